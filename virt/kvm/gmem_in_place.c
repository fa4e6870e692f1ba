// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory shared in place: a guest_memfd that the host may map exactly while the
 * pages are shared, so that a page is the same page on both sides of a conversion
 * and keeps its content.
 *
 * What decides is the attribute of the gfn that a page is bound to, not anything
 * of the file: page of the file > memslot that is bound there > gfn > attribute.
 * A page that's bound to no memslot is private.
 *
 * While userspace makes a range private, user mappings of it are gone and can't be
 * faulted in, as kvm_mem_attributes_change() says.  That begins before each file's
 * invalidate_lock is taken exclusively to zap its mappings, and faults hold that
 * lock shared to look at it.  So a fault has either installed its mapping before the
 * zap, or still has its folio and is noticed as another user of it, or comes later
 * and waits.
 */
#include <linux/folio_batch.h>
#include <linux/kvm_host.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "guest_memfd.h"
#include "mem_attr_store.h"

/* Pages whose mappings are zapped and users looked for under invalidate_lock. */
#define PAGES_PER_LOCK	512

/**
 * kvm_gmem_host_may_map() - May host user space map a gfn with such attributes?
 * @attrs: all attributes of the gfn, KVM's own included
 *
 * If it's private for one of the guest and userspace, then not.
 *
 * Context: Any.
 * Return: Whether it may.
 */
bool kvm_gmem_host_may_map(unsigned long attrs)
{
	if (attrs & (KVM_MEMORY_ATTRIBUTE_PRIVATE | KVM_MEM_ATTR_CONVERTING))
		return false;

	return !kvm_tracked_view_is_private(attrs);
}

/**
 * kvm_gmem_host_fault() - What to answer to a fault of host user space
 * @kvm: the VM
 * @gfn: the gfn that the page is bound to
 *
 * Context: The file's invalidate_lock is held, so that no conversion can begin to
 *	    zap mappings before the fault has its folio.
 * Return: 0 if the page may be mapped, VM_FAULT_SIGBUS if not, and VM_FAULT_NOPAGE
 *	   if it's being converted: the access is to be tried again.
 */
vm_fault_t kvm_gmem_host_fault(struct kvm *kvm, gfn_t gfn)
{
	if (kvm_mem_attributes_change(kvm, gfn))
		return VM_FAULT_NOPAGE;

	if (!kvm_gmem_host_may_map(kvm_get_all_mem_attributes(kvm, gfn)))
		return VM_FAULT_SIGBUS;

	return 0;
}

/*
 * Has somebody a reference to one of the pages, besides the page cache?  They could
 * read and write it without a mapping, now or later.
 */
static int check_unused(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	enum lru_cache_drained drained = LRU_CACHE_NOT_DRAINED;
	struct folio_batch batch;
	struct folio *folio;
	int i, r = 0;

	folio_batch_init(&batch);
	while (!r && filemap_get_folios(mapping, &start, end - 1, &batch)) {
		for (i = 0; i < folio_batch_count(&batch) && !r; i++) {
			folio = batch.folios[i];
			/* One reference is the batch's own. */
			lru_cache_drain_for_folio(folio, 1, &drained);
			if (folio_ref_count(folio) != folio_nr_pages(folio) + 1)
				r = -EAGAIN;
		}
		folio_batch_release(&batch);

		if (fatal_signal_pending(current))
			r = -EINTR;
		cond_resched();
	}
	return r;
}

static pgoff_t gfn_to_index(struct kvm_memory_slot *slot, gfn_t gfn)
{
	return gfn - slot->base_gfn + slot->gmem.pgoff;
}

/* Take a memslot's part of [@start, @end) from host user space, piece by piece. */
static int unshare_slot(struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
{
	/* A file that is being closed waits for slots_lock before it's gone. */
	struct file *file = slot->gmem.file;
	struct address_space *mapping;
	pgoff_t index, last, next;
	int r = 0;

	if (!file || !kvm_gmem_is_in_place(file_inode(file)))
		return 0;

	mapping = file->f_mapping;
	index = gfn_to_index(slot, max(start, slot->base_gfn));
	last = gfn_to_index(slot, min(end, slot->base_gfn + slot->npages));

	for (; index < last && !r; index = next) {
		next = min(index + PAGES_PER_LOCK, last);

		filemap_invalidate_lock(mapping);
		unmap_mapping_pages(mapping, index, next - index, false);
		r = check_unused(mapping, index, next);
		filemap_invalidate_unlock(mapping);

		if (!r && fatal_signal_pending(current))
			r = -EINTR;
		cond_resched();
	}
	return r;
}

/**
 * kvm_gmem_unshare() - Take a range from host user space
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * Zaps user mappings of what in the range is shared in place, and looks for others
 * who use it: pages that are pinned, in a pipe, or about to be mapped.  Their
 * content doesn't change, and whatever was zapped can be faulted in again unless
 * the range becomes private.
 *
 * Context: kvm->slots_lock is held, and kvm_mem_attributes_change() is true for the
 *	    range.  Takes invalidate_lock of guest_memfd files.  May sleep.
 * Return: 0, -EAGAIN if a page is in use, -EINTR on a fatal signal.
 */
int kvm_gmem_unshare(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct kvm_memslots *slots = kvm_memslots(kvm);
	struct kvm_memslot_iter iter;
	int r;

	lockdep_assert_held(&kvm->slots_lock);

	kvm_for_each_memslot_in_gfn_range(&iter, slots, start, end) {
		if (!kvm_slot_has_gmem(iter.slot))
			continue;

		r = unshare_slot(iter.slot, start, end);
		if (r)
			return r;
	}
	return 0;
}

/**
 * kvm_gmem_check_binding() - May a memslot be bound to a file that's shared in place?
 * @kvm: the VM
 * @slot: the memslot
 * @mapping: the file's pages
 *
 * What is bound to no memslot can't be mapped, but can have users from when it was
 * bound to another one.  Where it's private by being bound, it must have none.
 *
 * Context: kvm->slots_lock is held, and nothing is bound to these pages.  May sleep.
 * Return: 0, -EAGAIN if a page that would be private is in use, -EINTR on a fatal
 *	   signal.
 */
int kvm_gmem_check_binding(struct kvm *kvm, struct kvm_memory_slot *slot,
			   struct address_space *mapping)
{
	gfn_t end = slot->base_gfn + slot->npages;
	struct mem_attr_run run = { .end = slot->base_gfn };
	int r = 0;

	lockdep_assert_held(&kvm->slots_lock);

	while (!r && run.end < end) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		mem_attr_store_run(&kvm->mem_attr_array, run.end, end, &run);
		if (!kvm_gmem_host_may_map(run.bits))
			r = check_unused(mapping, gfn_to_index(slot, run.start),
					 gfn_to_index(slot, run.end));
	}
	return r;
}
