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
 * A host fault looks at bindings and attributes, and installs its mapping, with the
 * file's invalidate_lock held shared.  Who takes memory from the host says so first,
 * by kvm_mem_attributes_change() or by removing bindings, and then takes that lock
 * exclusively once per memslot: faults that were on their way have installed their
 * mappings by then, which can be zapped, and those that come later wait or fail.
 */
#include <linux/folio_batch.h>
#include <linux/kvm_host.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "guest_memfd.h"
#include "mem_attr_store.h"

/* Pages whose mappings are zapped in one go. */
#define PAGES_PER_ZAP	512

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
	if (attrs & KVM_MEMORY_ATTRIBUTE_PRIVATE)
		return false;

	return !kvm_tracked_view_is_private(attrs);
}

/*
 * Map a page that the host may map.  If its folio is locked then that's not waited
 * for with invalidate_lock held, as memory_failure() takes them the other way round:
 * returns VM_FAULT_RETRY and, in @locked, the folio with a reference.
 */
static vm_fault_t map_folio(struct vm_fault *vmf, struct folio **locked)
{
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	struct folio *folio;
	vm_fault_t ret;

	folio = kvm_gmem_get_folio(file_inode(vmf->vma->vm_file), vmf->pgoff, FGP_FOR_MMAP);
	if (IS_ERR(folio))
		return vmf_error(PTR_ERR(folio));

	if (!folio_trylock(folio)) {
		*locked = folio;
		return VM_FAULT_RETRY;
	}

	if (folio_test_hwpoison(folio)) {
		ret = VM_FAULT_HWPOISON;
	} else {
		if (!folio_test_uptodate(folio)) {
			clear_highpage(folio_page(folio, 0));
			folio_mark_uptodate(folio);
		}
		ret = vmf_insert_page_mkwrite(vmf, folio_file_page(folio, vmf->pgoff), write);
	}

	folio_unlock(folio);
	folio_put(folio);
	return ret;
}

/*
 * Wait until @locked is unlocked or, without one, until the attributes of @gfn aren't
 * being changed, without mmap_lock if the fault can be tried again.
 */
static vm_fault_t wait_to_try_again(struct vm_fault *vmf, struct folio *locked,
				    struct kvm *kvm, gfn_t gfn)
{
	bool unlock = fault_flag_allow_retry_first(vmf->flags);
	int r;

	if (unlock) {
		if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
			return VM_FAULT_RETRY;
		release_fault_lock(vmf);
	}

	if (locked)
		r = folio_wait_locked_killable(locked);
	else
		r = kvm_wait_mem_attributes_change(kvm, gfn);

	/* A task that's being killed doesn't try again. */
	if (unlock)
		return VM_FAULT_RETRY;
	return r ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
}

/**
 * kvm_gmem_check_host_fault() - May host user space map a gfn now?
 * @kvm: the VM
 * @gfn: the gfn that the page is bound to
 *
 * Context: invalidate_lock of the page's file is held, so that a conversion that
 *	    begins meanwhile can't take the page from the host before it's mapped.
 * Return: 0 if it may, VM_FAULT_SIGBUS if not, VM_FAULT_RETRY if that may be about
 *	   to change.
 */
vm_fault_t kvm_gmem_check_host_fault(struct kvm *kvm, gfn_t gfn)
{
	/* In this order: what's read after no change was seen is in force. */
	bool change = kvm_mem_attributes_change(kvm, gfn);

	if (!kvm_gmem_host_may_map(kvm_get_all_mem_attributes(kvm, gfn)))
		return VM_FAULT_SIGBUS;

	/*
	 * Pairs with the release by which attributes are stored: what the architecture
	 * has made of the page for these attributes is seen.
	 */
	smp_rmb();
	if (!change && !kvm_arch_gmem_host_may_map(kvm, gfn))
		return VM_FAULT_SIGBUS;

	return change ? VM_FAULT_RETRY : 0;
}

/**
 * kvm_gmem_fault_in_place() - Handle a fault of host user space
 * @vmf: the fault, on a file that's shared in place
 *
 * Context: A vm_operations_struct's fault(), i.e. mmap_lock is held, may sleep.  Takes
 *	    invalidate_lock, and folio locks by trylock under it.
 * Return: VM_FAULT_NOPAGE if the page is mapped, or the access is to be tried again,
 *	   VM_FAULT_RETRY likewise, if mmap_lock was let go of to wait, or couldn't be,
 *	   VM_FAULT_SIGBUS if the host may not map the page, or on a fatal signal,
 *	   VM_FAULT_HWPOISON if the page has a memory error,
 *	   VM_FAULT_OOM without memory.
 */
vm_fault_t kvm_gmem_fault_in_place(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct folio *locked = NULL;
	struct kvm *kvm = NULL;
	gfn_t gfn = 0;
	vm_fault_t ret;

	/* Who has it for long, e.g. to punch a hole, holds up mmap_lock, too. */
	if (down_read_killable(&file->f_mapping->invalidate_lock))
		return VM_FAULT_SIGBUS;

	ret = kvm_gmem_check_page(file, vmf->pgoff, &kvm, &gfn);
	if (!ret)
		ret = map_folio(vmf, &locked);
	filemap_invalidate_unlock_shared(file->f_mapping);

	if (ret != VM_FAULT_RETRY)
		return ret;

	/* Without mmap_lock, the mapping may go, and with it the file, the VM and KVM. */
	get_file(file);
	ret = wait_to_try_again(vmf, locked, kvm, gfn);
	if (locked)
		folio_put(locked);
	fput(file);
	return ret;
}

/*
 * A folio of [@start, @end) that somebody has a reference to, besides the page cache,
 * with a reference: he could read and write it without a mapping, now or later.  NULL
 * if there's none.  Folios with memory errors are nobody's: neither the host nor the
 * guest gets to map them again, unless a test takes the error back.
 */
static struct folio *find_used(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	struct folio *folio, *used = NULL;
	struct folio_batch batch;
	int i;

	folio_batch_init(&batch);
	while (!used && filemap_get_folios(mapping, &start, end - 1, &batch)) {
		for (i = 0; i < folio_batch_count(&batch) && !used; i++) {
			folio = batch.folios[i];
			/* One reference is the batch's own. */
			if (folio_ref_count(folio) == folio_nr_pages(folio) + 1)
				continue;
			if (folio_test_hwpoison(folio))
				continue;

			folio_get(folio);
			used = folio;
		}
		folio_batch_release(&batch);
	}
	return used;
}

/*
 * Zap user mappings of [@index, @end) and look for other users, but for LRU caches,
 * which are drained once.
 */
static int take_pages(struct address_space *mapping, pgoff_t index, pgoff_t end,
		      enum lru_cache_drained *drained)
{
	struct folio *used;

	unmap_mapping_pages(mapping, index, end - index, false);
	used = find_used(mapping, index, end);
	if (!used)
		return 0;

	/*
	 * Its reference may be gone by now, and others' be in LRU caches.  The one
	 * that's held here isn't said, so that caches are drained in any case.
	 */
	lru_cache_drain_for_folio(used, 0, drained);
	folio_put(used);

	used = find_used(mapping, index, end);
	if (!used)
		return 0;

	folio_put(used);
	return -EAGAIN;
}

/* Wait for faults that haven't been told yet not to map a memslot's memory. */
static int wait_for_faults(struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
{
	struct rw_semaphore *lock = &slot->gmem.file->f_mapping->invalidate_lock;

	if (down_write_killable(lock))
		return -EINTR;

	up_write(lock);
	return 0;
}

/*
 * Take a memslot's part of [@start, @end) from host user space.  No new mappings can
 * appear.
 */
static int take_slot(struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
{
	struct address_space *mapping = slot->gmem.file->f_mapping;
	enum lru_cache_drained drained = LRU_CACHE_NOT_DRAINED;
	unsigned long index, last, next;
	int r = 0;

	index = kvm_gmem_get_index(slot, max(start, slot->base_gfn));
	last = kvm_gmem_get_index(slot, min(end, slot->base_gfn + slot->npages));

	while (!r && xa_find(&mapping->i_pages, &index, last - 1, XA_PRESENT)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		next = min(index + PAGES_PER_ZAP, last);
		r = take_pages(mapping, index, next, &drained);
		index = next;
	}
	return r;
}

/* Do something with all memslots of [@start, @end) that are shared in place. */
static int call_for_slots(struct kvm *kvm, gfn_t start, gfn_t end,
			  int (*fn)(struct kvm_memory_slot *slot, gfn_t start, gfn_t end))
{
	struct kvm_memslot_iter iter;
	struct kvm_memslots *slots;
	int i, r;

	lockdep_assert_held(&kvm->slots_lock);

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		slots = __kvm_memslots(kvm, i);

		kvm_for_each_memslot_in_gfn_range(&iter, slots, start, end) {
			if (!kvm_slot_is_in_place(iter.slot))
				continue;

			r = fn(iter.slot, start, end);
			if (r)
				return r;
		}
	}
	return 0;
}

/**
 * kvm_gmem_wait_for_faults() - Wait until host faults know of a change
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * Context: kvm->slots_lock is held, and kvm_mem_attributes_change() is true for the
 *	    range.  Takes invalidate_lock of guest_memfd files.  May sleep.
 * Return: 0, then no new mapping of the range appears until the change is over;
 *	   -EINTR on a fatal signal.
 */
int kvm_gmem_wait_for_faults(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return call_for_slots(kvm, start, end, wait_for_faults);
}

/**
 * kvm_gmem_unshare() - Take a range from host user space
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * Zaps user mappings of what in the range is shared in place, and looks for others
 * who use it: pages that are pinned or in a pipe, or that a vCPU is about to map.
 * Their content doesn't change, and whatever was zapped can be faulted in again
 * unless the range becomes private.
 *
 * Context: kvm->slots_lock is held, after kvm_gmem_wait_for_faults() for the range.
 *	    May sleep.
 * Return: 0, -EAGAIN if a page is in use, -EINTR on a fatal signal.
 */
int kvm_gmem_unshare(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return call_for_slots(kvm, start, end, take_slot);
}

/**
 * kvm_gmem_check_binding() - May a memslot be bound to a file that's shared in place?
 * @kvm: the VM
 * @slot: the memslot, which has the file, but isn't bound to it
 *
 * What is bound to no memslot can't be mapped, but can have users from when it was
 * bound to another one.  Where it's private by being bound, it must have none.
 *
 * From here on, changes of the VM's attributes call kvm_gmem_unshare().
 *
 * Context: kvm->slots_lock is held, and nothing is bound to these pages, i.e. faults
 *	    fail.  May sleep.
 * Return: 0, -EAGAIN if a page that would be private is in use, -EINTR on a fatal
 *	   signal.
 */
int kvm_gmem_check_binding(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	gfn_t end = slot->base_gfn + slot->npages;
	struct mem_attr_run run = { .end = slot->base_gfn };
	int r = 0;

	lockdep_assert_held(&kvm->slots_lock);

	kvm->gmem_in_place = true;

	while (!r && run.end < end) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		mem_attr_store_run(&kvm->mem_attr_array, run.end, end, &run);
		if (!kvm_gmem_host_may_map(run.bits))
			r = take_slot(slot, run.start, run.end);
	}
	return r;
}
