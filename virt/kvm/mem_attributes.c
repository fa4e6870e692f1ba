// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attributes of a VM's memory: what userspace says of each gfn, and what KVM
 * has to remember of it.  Either writes its own bits alone.
 *
 * They are set in the order
 *
 *	reserve		memory for the store
 *	prepare		take from host user space what becomes private, and ask the
 *			architecture, the last that can fail
 *	invalidate	zap what the old attributes allowed to be mapped; from
 *			here on, vCPUs that fault on the range retry
 *	commit		let the architecture carry out the change, and store the new
 *			attributes
 *	end		vCPUs map by the new attributes
 *
 * and kvm->slots_lock is held all the time.  What has the wanted attributes
 * already takes no part in it.
 */
#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <kunit/visibility.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>
#include <linux/wait_bit.h>
#include <trace/events/kvm.h>

#include "guest_memfd.h"
#include "kvm_mm.h"
#include "mem_attr_store.h"
#include "mem_attributes.h"

/**
 * kvm_init_mem_attributes() - Let a VM have memory attributes
 * @kvm: the VM, which is being created
 *
 * Context: Any.
 */
void kvm_init_mem_attributes(struct kvm *kvm)
{
	mem_attr_store_init(&kvm->mem_attr_array);
}

/**
 * kvm_destroy_mem_attributes() - Free the memory that a VM's attributes take
 * @kvm: the VM, which nobody else uses any more
 *
 * Context: May sleep.
 */
void kvm_destroy_mem_attributes(struct kvm *kvm)
{
	mem_attr_store_destroy(&kvm->mem_attr_array);
}

/**
 * kvm_supported_mem_attributes() - The attributes that memory can have
 * @kvm: the VM, or NULL to ask for what any VM can have
 *
 * Context: Any.
 * Return: A mask of KVM_MEMORY_ATTRIBUTE_*.
 */
u64 kvm_supported_mem_attributes(struct kvm *kvm)
{
	if (kvm ? kvm_arch_has_private_mem(kvm) : kvm_arch_may_have_private_mem())
		return KVM_MEMORY_ATTRIBUTE_PRIVATE;

	return 0;
}

/**
 * kvm_range_has_memory_attributes() - Do all gfns have these attributes?
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last, greater than @start
 * @mask: the attributes that count, as far as the VM supports them
 * @attrs: what they should be
 *
 * The time it takes is that for the runs of gfns with equal attributes up to the
 * first gfn that hasn't @attrs.
 *
 * Context: Any.  Unless kvm->slots_lock is held, attributes may change any time.
 * Return: Whether all have them; false if @attrs isn't a subset of @mask.
 */
bool kvm_range_has_memory_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
				     unsigned long mask, unsigned long attrs)
{
	struct mem_attr_run run = { .end = start };

	mask &= kvm_supported_mem_attributes(kvm);
	if (attrs & ~mask)
		return false;

	while (run.end < end) {
		mem_attr_store_run(&kvm->mem_attr_array, run.end, end, &run);
		if ((run.bits & mask) != attrs)
			return false;
	}
	return true;
}

/**
 * kvm_mem_attributes_uniform() - Do all gfns of a block have the same attributes?
 * @kvm: the VM
 * @gfn: the first gfn, aligned to the block's size
 * @order: the block's size is 2^@order gfns
 *
 * All attributes count, i.e. also those that are KVM's own.  Costs a lookup or
 * two, and a look at up to XA_CHUNK_SIZE slots of a node.
 *
 * Context: Any.  With kvm->slots_lock held, and no change of attributes begun
 *	    under it, the answer is exact.  With kvm->mmu_lock held, and for a
 *	    block that has a gfn for which mmu_invalidate_retry_gfn() is false,
 *	    true means that attributes are equal when all changes in progress are
 *	    done, see kvm_arch_widen_mem_attributes().
 * Return: Whether they have.
 */
bool kvm_mem_attributes_uniform(struct kvm *kvm, gfn_t gfn, unsigned int order)
{
	return mem_attr_store_uniform(&kvm->mem_attr_array, gfn, order);
}

/**
 * kvm_mem_attributes_change() - Are the attributes of a gfn being changed?
 * @kvm: the VM
 * @gfn: the gfn
 *
 * Context: Any.  If the answer is that they aren't, then what is read of them
 *	    afterwards is what the last change made of them, or a later one.  If the
 *	    attributes were read before, with a read barrier in between, and they
 *	    aren't being changed, then they were stable at some time since.
 * Return: Whether they are.
 */
bool kvm_mem_attributes_change(struct kvm *kvm, gfn_t gfn)
{
	/*
	 * Pairs with the releases in begin_change() and end_change().  A start that
	 * is of a later change than the end comes with what the change that ended in
	 * between has made of the attributes; and a change that began after the end
	 * was read may go unnoticed.
	 */
	gfn_t end = smp_load_acquire(&kvm->mem_attr_change_end);
	/* After the end, and before the attributes. */
	gfn_t start = smp_load_acquire(&kvm->mem_attr_change_start);

	return gfn >= start && gfn < end;
}

/**
 * kvm_wait_mem_attributes_change() - Wait until a gfn's attributes are stable
 * @kvm: the VM
 * @gfn: the gfn
 *
 * Another change may begin at any time.
 *
 * Context: May sleep.  Who changes attributes waits neither for kvm->srcu nor for
 *	    mmap_lock meanwhile, but does take invalidate_lock of guest_memfd files,
 *	    which must not be held.
 * Return: 0, -ERESTARTSYS on a fatal signal.
 */
int kvm_wait_mem_attributes_change(struct kvm *kvm, gfn_t gfn)
{
	return wait_var_event_killable(&kvm->mem_attr_change_end,
				       !kvm_mem_attributes_change(kvm, gfn));
}

static void begin_change(struct kvm *kvm, const struct mem_attr_update *update)
{
	lockdep_assert_held(&kvm->slots_lock);

	/* After what the last change did. */
	smp_store_release(&kvm->mem_attr_change_start, update->start);
	/* After the start. */
	smp_store_release(&kvm->mem_attr_change_end, update->end);
	/* Who sees the new attributes of a gfn, and a read barrier, sees this. */
	smp_wmb();
}

static void end_change(struct kvm *kvm)
{
	lockdep_assert_held(&kvm->slots_lock);

	/* Who sees that the change is over sees the attributes. */
	store_release_wake_up(&kvm->mem_attr_change_end, 0);
}

/*
 * Gfns that have the wanted attributes take no part in an update, unless they
 * are being converted, when userspace's word is news in any case.
 */
static bool is_change(const struct mem_attr_update *update, unsigned long bits)
{
	if ((bits & update->mask) != update->bits)
		return true;

	return update->mask == KVM_MEM_ATTR_USER_MASK && bits & KVM_MEM_ATTR_CONVERTING;
}

/* The next run of what the update is for.  Starts with run->end = update->start. */
static bool next_run(const struct mem_attr_update *update, struct mem_attr_run *run)
{
	if (run->end >= update->end)
		return false;

	mem_attr_store_run(update->xa, run->end, update->end, run);
	return true;
}

/*
 * Limit the update to the range from the first gfn that it changes to the last.
 * Returns 0 if there is none, 1 if there are some, -EINTR on a fatal signal, as
 * the runs can be as many as the VM's memory has pages.
 */
static int trim_to_changes(struct mem_attr_update *update)
{
	struct mem_attr_run run = { .end = update->start };
	unsigned long start = 0, end = 0;

	while (next_run(update, &run)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		if (!is_change(update, run.bits))
			continue;
		if (!end)
			start = run.start;
		end = run.end;
	}
	if (!end)
		return 0;

	update->start = start;
	update->end = end;
	return 1;
}

/*
 * Ask the architecture whether attributes of [@start, @end) may change, which all
 * are different from what they are to become, or being converted.
 *
 * It may sleep and fail, and must do nothing that kvm_undo_mem_attr_range() can't
 * undo: e.g. look whether pages are pinned, allocate, split page tables.  The gfns
 * are still mapped and in use.
 */
VISIBLE_IF_KUNIT int kvm_prepare_mem_attr_range(struct kvm *kvm, gfn_t start, gfn_t end,
						unsigned long mask, unsigned long attrs)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_prepare_mem_attr_range, kvm, start, end, mask, attrs);

#ifdef CONFIG_HAVE_KVM_ARCH_MEM_ATTRIBUTES
	return kvm_arch_prepare_mem_attributes(kvm, start, end, mask, attrs);
#else
	return 0;
#endif
}

VISIBLE_IF_KUNIT void kvm_undo_mem_attr_range(struct kvm *kvm, gfn_t start, gfn_t end,
					      unsigned long mask, unsigned long attrs)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_undo_mem_attr_range, kvm, start, end, mask, attrs);

#ifdef CONFIG_HAVE_KVM_ARCH_MEM_ATTRIBUTES
	kvm_arch_undo_mem_attributes(kvm, start, end, mask, attrs);
#endif
}

VISIBLE_IF_KUNIT void kvm_commit_mem_attr_range(struct kvm *kvm, gfn_t start, gfn_t end,
						unsigned long mask, unsigned long attrs)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_commit_mem_attr_range, kvm, start, end, mask, attrs);

#ifdef CONFIG_HAVE_KVM_ARCH_MEM_ATTRIBUTES
	kvm_arch_commit_mem_attributes(kvm, start, end, mask, attrs);
#endif
}

/* Undo what was prepared below @end, in the order in which it was done. */
static void undo_update(struct kvm *kvm, const struct mem_attr_update *update, gfn_t end)
{
	struct mem_attr_run run = { .end = update->start };

	while (next_run(update, &run) && run.start < end) {
		if (is_change(update, run.bits))
			kvm_undo_mem_attr_range(kvm, run.start, run.end,
						update->mask, update->bits);
		cond_resched();
	}
}

static int prepare_run(struct kvm *kvm, const struct mem_attr_update *update,
		       const struct mem_attr_run *run)
{
	unsigned long new = (run->bits & ~update->mask) | update->bits;
	int r;

	if (kvm_gmem_in_place(kvm) &&
	    kvm_gmem_host_may_map(run->bits) && !kvm_gmem_host_may_map(new)) {
		r = kvm_gmem_unshare(kvm, run->start, run->end);
		if (r)
			return r;
	}

	return kvm_prepare_mem_attr_range(kvm, run->start, run->end,
					  update->mask, update->bits);
}

static int prepare_update(struct kvm *kvm, const struct mem_attr_update *update)
{
	struct mem_attr_run run = { .end = update->start };
	int r;

	/* Bits that don't keep the host from mapping memory on their own never do. */
	if (kvm_gmem_in_place(kvm) && !kvm_gmem_host_may_map(update->bits)) {
		r = kvm_gmem_wait_for_faults(kvm, update->start, update->end);
		if (r)
			return r;
	}

	/* Don't walk for nothing. */
	if (!IS_ENABLED(CONFIG_HAVE_KVM_ARCH_MEM_ATTRIBUTES) &&
	    !kvm_gmem_in_place(kvm) && !kunit_get_current_test())
		return 0;

	while (next_run(update, &run)) {
		cond_resched();
		if (!is_change(update, run.bits))
			continue;

		r = -EINTR;
		if (!fatal_signal_pending(current))
			r = prepare_run(kvm, update, &run);
		if (r) {
			undo_update(kvm, update, run.start);
			return r;
		}
	}
	return 0;
}

/* SPTEs that are zapped without a chance for others to get mmu_lock. */
#define GFNS_PER_ZAP	512

/* What an update does to the MMU, and the range of its invalidation. */
struct mem_attr_zap {
	struct kvm *kvm;
	gfn_t start;
	gfn_t end;
	enum kvm_gfn_range_filter filter;
	bool flush;
};

/*
 * The halves of memory that must not stay mapped where the update changes @bits.
 *
 * Attributes that are KVM's own don't tell which half may be mapped, but if the
 * guest's view is among them they may tell that neither may.
 */
static int stale_halves(const struct mem_attr_update *update, unsigned long bits)
{
	unsigned long new = (bits & ~update->mask) | update->bits;

	if (!is_change(update, bits))
		return 0;

	if (update->mask == KVM_MEM_ATTR_USER_MASK)
		return new & KVM_MEMORY_ATTRIBUTE_PRIVATE ? KVM_FILTER_SHARED : KVM_FILTER_PRIVATE;

	if (kvm_tracked_view_is_private(new) != !!(new & KVM_MEMORY_ATTRIBUTE_PRIVATE))
		return KVM_FILTER_SHARED | KVM_FILTER_PRIVATE;

	return 0;
}

/* An SPTE that was zapped maps a PUD at most, though maybe little of it changes. */
static void flush_zapped(struct mem_attr_zap *zap)
{
	gfn_t start = ALIGN_DOWN(zap->start, PUD_SIZE >> PAGE_SHIFT);
	gfn_t end = ALIGN(zap->end, PUD_SIZE >> PAGE_SHIFT);

	if (zap->flush)
		kvm_flush_remote_tlbs_range(zap->kvm, start, end - start);
	zap->flush = false;
}

/*
 * Let go of mmu_lock if somebody wants it, or the CPU.  TLBs must not have what
 * the page tables have lost by then: who finds an SPTE zapped, e.g. to free its
 * page, doesn't flush it again.
 */
static void mmu_lock_break(struct mem_attr_zap *zap)
{
	struct kvm *kvm = zap->kvm;

	if (!need_resched() && !KVM_MMU_LOCK_NEEDBREAK(kvm))
		return;

	flush_zapped(zap);
	KVM_MMU_UNLOCK(kvm);
	cond_resched();
	KVM_MMU_LOCK(kvm);
}

/*
 * Zap what a memslot has of a run.  If that's much, then mmu_lock may be let go of
 * in the middle of it, by code that doesn't know of what was zapped before.
 */
static void zap_slot(struct mem_attr_zap *zap, struct kvm_memory_slot *slot,
		     const struct mem_attr_run *run)
{
	struct kvm_gfn_range range = {
		.slot = slot,
		.start = max(run->start, slot->base_gfn),
		.end = min(run->end, slot->base_gfn + slot->npages),
		.attr_filter = zap->filter,
	};

	if (range.start >= range.end)
		return;

	range.may_block = range.end - range.start > GFNS_PER_ZAP;
	if (range.may_block)
		flush_zapped(zap);
	zap->flush |= kvm_unmap_gfn_range(zap->kvm, &range);
	mmu_lock_break(zap);
}

static void zap_run(struct mem_attr_zap *zap, const struct mem_attr_run *run)
{
	struct kvm_memslot_iter iter;
	struct kvm_memslots *slots;
	int i;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(zap->kvm); i++) {
		slots = __kvm_memslots(zap->kvm, i);

		kvm_for_each_memslot_in_gfn_range(&iter, slots, run->start, run->end)
			zap_slot(zap, iter.slot, run);
	}
}

/*
 * Add the update to the invalidation in progress, and zap what it changes.  What
 * wasn't reached yet when mmu_lock is let go of may be used up to then, but not
 * be mapped anew.
 */
static void begin_invalidation(struct mem_attr_zap *zap, const struct mem_attr_update *update)
{
	struct mem_attr_run run = { .end = update->start };
	struct kvm *kvm = zap->kvm;

	lockdep_assert_held(&kvm->slots_lock);

	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_start(kvm);
	kvm_mmu_invalidate_range_add(kvm, zap->start, zap->end);

	while (next_run(update, &run)) {
		zap->filter = stale_halves(update, run.bits);
		if (zap->filter)
			zap_run(zap, &run);
		mmu_lock_break(zap);
	}

	flush_zapped(zap);
	KVM_MMU_UNLOCK(kvm);
}

static void end_invalidation(struct kvm *kvm)
{
	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_end(kvm);
	KVM_MMU_UNLOCK(kvm);
}

/*
 * Let the architecture carry out the update, where the store has the old attributes yet.
 * Nobody maps anything by the old ones or the new ones meanwhile.
 */
static void commit_arch_update(struct kvm *kvm, const struct mem_attr_update *update)
{
	struct mem_attr_run run = { .end = update->start };

	while (next_run(update, &run)) {
		if (is_change(update, run.bits))
			kvm_commit_mem_attr_range(kvm, run.start, run.end,
						  update->mask, update->bits);
		cond_resched();
	}
}

static int set_mem_attributes_locked(struct kvm *kvm, struct mem_attr_update *update)
{
	struct mem_attr_zap zap = { .kvm = kvm };
	int r;

	lockdep_assert_held(&kvm->slots_lock);

	r = trim_to_changes(update);
	if (r <= 0)
		return r;

	/* Before the reservation, while the store can tell what is uniform. */
	zap.start = update->start;
	zap.end = update->end;
	kvm_arch_widen_mem_attributes(kvm, &zap.start, &zap.end);

	/*
	 * At the limit of its memory cgroup, the VMM gets an error that it can
	 * handle and doesn't get killed.
	 */
	r = mem_attr_store_reserve(update, GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL |
					   __GFP_NOWARN);
	if (r)
		return r;

	begin_change(kvm, update);
	r = prepare_update(kvm, update);
	if (r) {
		mem_attr_store_cancel(update);
		goto out;
	}

	begin_invalidation(&zap, update);
	commit_arch_update(kvm, update);
	mem_attr_store_commit(update);
	end_invalidation(kvm);
out:
	end_change(kvm);
	return r;
}

/* Set the attributes in @mask, which must be @owner's, for [@start, @end). */
static int __set_mem_attributes(struct kvm *kvm, gfn_t start, gfn_t end, u64 owner,
				unsigned long mask, unsigned long attrs)
{
	struct mem_attr_update update = {
		.xa = &kvm->mem_attr_array,
		.start = start,
		.end = end,
		.mask = mask,
		.bits = attrs,
	};

	if (WARN_ON_ONCE(!mask || mask & ~owner || attrs & ~mask))
		return -EINVAL;

	return set_mem_attributes_locked(kvm, &update);
}

static int set_mem_attributes(struct kvm *kvm, gfn_t start, gfn_t end, u64 owner,
			      unsigned long mask, unsigned long attrs)
{
	int r;

	if (mutex_lock_killable(&kvm->slots_lock))
		return -EINTR;

	r = __set_mem_attributes(kvm, start, end, owner, mask, attrs);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/**
 * kvm_set_internal_mem_attributes_locked() - Set attributes that are KVM's own
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last, greater than @start
 * @mask: the attributes to change, of KVM_MEM_ATTR_INTERNAL_MASK
 * @attrs: what they are to become, a subset of @mask
 *
 * For who has to know more of the memslots than that they don't change.
 *
 * Context: kvm->slots_lock is held, may sleep.
 * Return: As kvm_set_internal_mem_attributes().
 */
int kvm_set_internal_mem_attributes_locked(struct kvm *kvm, gfn_t start, gfn_t end,
					   unsigned long mask, unsigned long attrs)
{
	lockdep_assert_held(&kvm->slots_lock);

	if (start >= end || end - 1 > kvm_arch_max_mem_attributes_gfn(kvm))
		return -EINVAL;

	return __set_mem_attributes(kvm, start, end, KVM_MEM_ATTR_INTERNAL_MASK, mask, attrs);
}

/**
 * kvm_set_internal_mem_attributes() - Set attributes that are KVM's own
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last, greater than @start
 * @mask: the attributes to change, of KVM_MEM_ATTR_INTERNAL_MASK
 * @attrs: what they are to become, a subset of @mask
 *
 * For use by all of KVM.  Userspace's attributes stay as they are: there's no
 * function to set those but for the ioctl.
 *
 * Mappings stay as they are, unless the attributes are the guest's view and it
 * isn't userspace's.
 *
 * If the range is of a guest's choice, then the caller has to bound it, and to
 * check that memslots cover it.
 *
 * Context: Takes kvm->slots_lock, may sleep.  kvm->srcu must not be held, whoever
 *	    has slots_lock may be waiting for its readers.
 * Return: 0, or else nothing has changed:
 *	   -EINVAL if there can't be memory in a part of the range, or for bits
 *	   that aren't KVM's, which is a bug of the caller,
 *	   -ENOMEM without memory for the store, memory cgroup's limit included,
 *	   -EAGAIN if memory is taken from the host in place, and is in use,
 *	   -EINTR on a fatal signal,
 *	   what kvm_arch_prepare_mem_attributes() returns.
 */
int kvm_set_internal_mem_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
				    unsigned long mask, unsigned long attrs)
{
	lockdep_assert_not_held(&kvm->srcu);

	if (start >= end || end - 1 > kvm_arch_max_mem_attributes_gfn(kvm))
		return -EINVAL;

	return set_mem_attributes(kvm, start, end, KVM_MEM_ATTR_INTERNAL_MASK, mask, attrs);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_set_internal_mem_attributes);

/**
 * kvm_vm_ioctl_set_mem_attributes() - KVM_SET_MEMORY_ATTRIBUTES
 * @kvm: the VM
 * @attrs: the ioctl's argument, copied from userspace
 *
 * Context: Takes kvm->slots_lock, may sleep.
 * Return: 0, or an error: -EINVAL, -ENOMEM, -EAGAIN, -EINTR, or what
 *	   kvm_arch_prepare_mem_attributes() returns.  See
 *	   Documentation/virt/kvm/api.rst for the meanings.
 */
int kvm_vm_ioctl_set_mem_attributes(struct kvm *kvm,
				    struct kvm_memory_attributes *attrs)
{
	gfn_t start, end, max_gfn;

	/* flags is currently not used. */
	if (attrs->flags)
		return -EINVAL;
	/* Even "none" is an answer only if there's something to choose from. */
	if (!kvm_supported_mem_attributes(kvm))
		return -EINVAL;
	if (attrs->attributes & ~kvm_supported_mem_attributes(kvm))
		return -EINVAL;
	if (attrs->size == 0 || attrs->address + attrs->size < attrs->address)
		return -EINVAL;
	if (!PAGE_ALIGNED(attrs->address) || !PAGE_ALIGNED(attrs->size))
		return -EINVAL;

	start = attrs->address >> PAGE_SHIFT;
	end = (attrs->address + attrs->size) >> PAGE_SHIFT;

	/*
	 * Gfns that no memslot can have don't get attributes, and so there are
	 * none to clear.
	 */
	max_gfn = kvm_arch_max_mem_attributes_gfn(kvm);
	if (attrs->attributes && end - 1 > max_gfn)
		return -EINVAL;
	if (start > max_gfn)
		return 0;
	end = min(end, max_gfn + 1);

	/*
	 * xarray tracks data using "unsigned long", and as a result so does
	 * KVM.  For simplicity, supports generic attributes only on 64-bit
	 * architectures.
	 */
	BUILD_BUG_ON(sizeof(attrs->attributes) != sizeof(unsigned long));
	BUILD_BUG_ON(KVM_MEMORY_ATTRIBUTE_PRIVATE & ~KVM_MEM_ATTR_USER_MASK);
	BUILD_BUG_ON(KVM_MEM_ATTR_USER_MASK & KVM_MEM_ATTR_INTERNAL_MASK);
	BUILD_BUG_ON((KVM_MEM_ATTR_USER_MASK | KVM_MEM_ATTR_INTERNAL_MASK) != MEM_ATTR_STORE_BITS);

	trace_kvm_vm_set_mem_attributes(start, end, attrs->attributes);

	return set_mem_attributes(kvm, start, end, KVM_MEM_ATTR_USER_MASK,
				  KVM_MEM_ATTR_USER_MASK, attrs->attributes);
}
