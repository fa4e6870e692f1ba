// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracked views: what a guest takes its memory for, private or shared, if it says
 * so by a hypercall and no access carries it.  It's kept in KVM's own attributes,
 * so that the guest's view and userspace's, which is the attribute, are known each
 * on its own and can differ.
 *
 * A guest's view becomes known when userspace has agreed to what the guest asked
 * for, and is forgotten when userspace says so.  Until it is known, it follows the
 * attribute.
 */
#include <linux/kvm_host.h>

#include "guest_view.h"
#include "mem_attributes.h"

/* Whether each gfn is in a memslot of userspace's. */
static bool memslots_cover(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct kvm_memslots *slots = kvm_memslots(kvm);
	struct kvm_memslot_iter iter;

	kvm_for_each_memslot_in_gfn_range(&iter, slots, start, end) {
		/* Not memslots that are KVM's own. */
		if (iter.slot->base_gfn > start || iter.slot->id >= KVM_USER_MEM_SLOTS)
			return false;

		start = iter.slot->base_gfn + iter.slot->npages;
		if (start >= end)
			return true;
	}
	return false;
}

/**
 * kvm_record_guest_view() - Remember what the guest takes a range for
 * @kvm: the VM, whose view is tracked
 * @start: the first gfn
 * @end: the gfn after the last, greater than @start
 * @is_private: the guest's view
 *
 * Whatever is mapped and isn't what the guest takes it for gets unmapped, the next
 * access to it then tells userspace of the disagreement.
 *
 * The range is what the guest has asked for.  That memslots cover it bounds the
 * memory that this takes: an entry of the store, i.e. a pointer, for each page of
 * them at most.
 *
 * Context: Takes kvm->slots_lock, may sleep.  kvm->srcu must not be held, whoever
 *	    has slots_lock may be waiting for its readers.
 * Return: 0, or else nothing has changed:
 *	   -ENOENT unless memslots cover the range,
 *	   -ENOMEM without memory for it, memory cgroup's limit included,
 *	   -EAGAIN if memory becomes the guest's in place, and is in use,
 *	   -EINTR on a fatal signal.
 */
int kvm_record_guest_view(struct kvm *kvm, gfn_t start, gfn_t end, bool is_private)
{
	unsigned long view = KVM_MEM_ATTR_VIEW_KNOWN;
	int r = -ENOENT;

	lockdep_assert_not_held(&kvm->srcu);

	if (is_private)
		view |= KVM_MEM_ATTR_VIEW_PRIVATE;

	if (mutex_lock_killable(&kvm->slots_lock))
		return -EINTR;

	if (memslots_cover(kvm, start, end))
		r = kvm_set_internal_mem_attributes_locked(kvm, start, end,
							   KVM_MEM_ATTR_VIEW_MASK, view);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/**
 * kvm_vm_ioctl_reset_guest_view() - KVM_RESET_GUEST_VIEW
 * @kvm: the VM
 * @range: the ioctl's argument, copied from userspace
 *
 * Context: Takes kvm->slots_lock, may sleep.
 * Return: 0, or an error: -EINVAL, -ENOMEM or -EINTR.  See
 *	   Documentation/virt/kvm/api.rst for the meanings.
 */
int kvm_vm_ioctl_reset_guest_view(struct kvm *kvm, struct kvm_guest_view_range *range)
{
	gfn_t start, end, max_gfn = kvm_arch_max_mem_attributes_gfn(kvm);

	if (!kvm_arch_has_tracked_view(kvm))
		return -EINVAL;
	if (range->flags || range->reserved)
		return -EINVAL;
	if (!range->size || range->address + range->size < range->address)
		return -EINVAL;
	if (!PAGE_ALIGNED(range->address) || !PAGE_ALIGNED(range->size))
		return -EINVAL;

	/* There is no view of gfns that no memslot can have. */
	start = range->address >> PAGE_SHIFT;
	end = min((range->address + range->size) >> PAGE_SHIFT, max_gfn + 1);
	if (start >= end)
		return 0;

	return kvm_set_internal_mem_attributes(kvm, start, end, KVM_MEM_ATTR_VIEW_MASK, 0);
}
