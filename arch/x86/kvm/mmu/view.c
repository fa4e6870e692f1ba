// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a guest's view of its memory, private or shared, is read from a fault, and
 * what comes of it and of what userspace says of that memory.
 */
#include <linux/kvm_host.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "view.h"

/**
 * kvm_resolve_view() - The guest's view of a page, and userspace's
 * @source: how the guest tells its view
 * @direct_bits: the bit of a gfn that makes it shared, for KVM_VIEW_GPA_BIT
 * @gpa: what the guest accesses, or what it would, as the access has it
 * @error_code: PFERR_* of that access
 * @attrs: all attributes of the page, KVM's own included; if the view comes with
 *	   the access, then it doesn't depend on them, but the verdict does
 * @changing: whether they may have changed, or been about to, as they were read
 *
 * A function of its arguments and of nothing else.  An error code that says more,
 * as that the page tables have a reserved bit set because there's MMIO, says the
 * same about the view.
 *
 * For KVM_VIEW_GPA_BIT, see the SHARED bit of a GPA in the Intel TDX Module Base
 * Architecture Specification; for KVM_VIEW_ENC_BIT, the ENC bit of EXITINFO1 in
 * "RMP and VMPL Access Checks" of the AMD64 Architecture Programmer's Manual,
 * volume 2.
 *
 * Context: Any.
 * Return: The view, with the verdict.
 */
struct kvm_view kvm_resolve_view(enum kvm_view_source source, gfn_t direct_bits,
				 gpa_t gpa, u64 error_code, unsigned long attrs,
				 bool changing)
{
	bool attr_is_private = attrs & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	struct kvm_view view = {
		.gfn = gpa_to_gfn(gpa) & ~direct_bits,
	};

	switch (source) {
	case KVM_VIEW_NONE:
		return view;
	case KVM_VIEW_GPA_BIT:
		view.is_private = direct_bits && !(gpa_to_gfn(gpa) & direct_bits);
		break;
	case KVM_VIEW_ENC_BIT:
		view.is_private = error_code & PFERR_GUEST_ENC_MASK;
		break;
	case KVM_VIEW_ATTRIBUTE:
		view.is_private = attr_is_private;
		break;
	case KVM_VIEW_TRACKED:
		view.is_private = kvm_tracked_view_is_private(attrs);
		break;
	}

	if (view.is_private != attr_is_private)
		view.verdict = changing ? KVM_VIEW_RETRY : KVM_VIEW_DISAGREES;
	return view;
}

/**
 * kvm_view_to_gpa() - The gpa by which a guest with a certain view accesses a page
 * @source: how the guest tells its view
 * @direct_bits: the bit of a gfn that makes it shared, for KVM_VIEW_GPA_BIT
 * @gpa: the gpa without that bit
 * @is_private: the view
 *
 * With kvm_view_to_error_code(), the inverse of kvm_resolve_view(), for faults
 * that KVM handles before they happen.
 *
 * Context: Any.
 * Return: The gpa, with the bit if need be.
 */
gpa_t kvm_view_to_gpa(enum kvm_view_source source, gfn_t direct_bits,
		      gpa_t gpa, bool is_private)
{
	if (source == KVM_VIEW_GPA_BIT && !is_private)
		gpa |= gfn_to_gpa(direct_bits);
	return gpa;
}

/**
 * kvm_view_to_error_code() - What of an error code tells that view
 * @source: how the guest tells its view
 * @is_private: the view
 *
 * Context: Any.
 * Return: PFERR_GUEST_ENC_MASK or 0.
 */
u64 kvm_view_to_error_code(enum kvm_view_source source, bool is_private)
{
	return source == KVM_VIEW_ENC_BIT && is_private ? PFERR_GUEST_ENC_MASK : 0;
}

/**
 * kvm_mmu_fault_view() - What an access tells of the guest's view
 * @kvm: the VM
 * @gpa: what is accessed, in a direct MMU
 * @error_code: PFERR_*
 *
 * Context: Any.
 * Return: The gfn and the view.  As far as the view depends on a lookup it's not
 *	   in here, and the verdict isn't.
 */
struct kvm_view kvm_mmu_fault_view(struct kvm *kvm, gpa_t gpa, u64 error_code)
{
	return kvm_resolve_view(kvm->arch.view_source, kvm_gfn_direct_bits(kvm),
				gpa, error_code, 0, false);
}

/*
 * The same for a fault whose gfn is known, with the attributes that it has, which
 * are about to change, or have changed since the fault's snapshot, if @changing.
 */
static struct kvm_view lookup_view(struct kvm *kvm, const struct kvm_page_fault *fault,
				   unsigned long attrs, bool changing)
{
	gpa_t gpa = gfn_to_gpa(fault->gfn);

	/* Of an MMU that isn't direct, the address is a virtual one or L2's. */
	if (kvm_gfn_direct_bits(kvm))
		gpa |= fault->addr & gfn_to_gpa(kvm_gfn_direct_bits(kvm));

	return kvm_resolve_view(kvm->arch.view_source, kvm_gfn_direct_bits(kvm), gpa,
				fault->error_code, attrs, changing);
}

/**
 * kvm_mmu_view_agrees() - Is the guest's view userspace's, as far as can be seen?
 * @kvm: the VM
 * @fault: the fault, with a gfn
 *
 * Context: Any.  If attributes change at the same time, the answer may be wrong.
 * Return: Whether they are the same.
 */
bool kvm_mmu_view_agrees(struct kvm *kvm, const struct kvm_page_fault *fault)
{
	unsigned long attrs;

	if (kvm->arch.view_source == KVM_VIEW_NONE)
		return true;

	attrs = kvm_get_all_mem_attributes(kvm, fault->gfn);
	return lookup_view(kvm, fault, attrs, false).verdict == KVM_VIEW_AGREES;
}

/*
 * Whether what was read of the gfn's attributes since the fault's snapshot may be
 * from the middle of a change.  Other invalidations move mmu_invalidate_seq, too:
 * that costs a retry, whereas one that goes on and on must not put off an exit.
 */
static bool attributes_change(struct kvm *kvm, const struct kvm_page_fault *fault)
{
	/* The attributes were read before what tells whether they were changing. */
	smp_rmb();
	return kvm_mem_attributes_change(kvm, fault->gfn) ||
	       READ_ONCE(kvm->mmu_invalidate_seq) != fault->mmu_seq;
}

/**
 * kvm_mmu_check_view() - Compare the guest's view with userspace's
 * @vcpu: the vCPU
 * @fault: the fault, with a gfn and a snapshot of mmu_invalidate_seq; gets
 *	   is_private
 *
 * A change of attributes that begins after the snapshot makes the fault stale.
 * One that had begun before may have been seen half done: views that disagree
 * then are looked at once more when it's complete.  So what userspace is told is
 * what it has said, and not what it is about to say.
 *
 * A prefault has no exit.  If the view comes with the access, then a prefault's is
 * what the attribute was a moment ago, and a disagreement is a change of that.
 *
 * Context: The vCPU's, with kvm->srcu held, and after the snapshot's read barrier.
 * Return: RET_PF_CONTINUE if they are the same.  RET_PF_RETRY during a change, or
 *	   -EAGAIN for a prefault.  -EFAULT if they aren't the same, with an exit to
 *	   userspace prepared unless it's a prefault.
 */
int kvm_mmu_check_view(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_view view;
	unsigned long attrs;
	bool changing;

	if (kvm->arch.view_source == KVM_VIEW_NONE)
		return RET_PF_CONTINUE;

	attrs = kvm_get_all_mem_attributes(kvm, fault->gfn);
	changing = attributes_change(kvm, fault) ||
		   (fault->prefetch && !kvm_arch_has_tracked_view(kvm));

	view = lookup_view(kvm, fault, attrs, changing);
	fault->is_private = view.is_private;

	switch (view.verdict) {
	case KVM_VIEW_AGREES:
		return RET_PF_CONTINUE;
	case KVM_VIEW_RETRY:
		return fault->prefetch ? -EAGAIN : RET_PF_RETRY;
	case KVM_VIEW_DISAGREES:
		break;
	}

	kvm_mmu_prepare_memory_fault_exit(vcpu, fault);
	return -EFAULT;
}
