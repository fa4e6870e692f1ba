// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a guest's view becomes known that it tells by KVM_HC_MAP_GPA_RANGE: userspace
 * is asked, and if it agrees, the view is recorded before the guest gets to know.
 *
 * What userspace is asked is in vcpu->run, which it can write to.  What the guest
 * has asked for is in vcpu->arch.map_gpa_request.
 */
#include <linux/kvm_host.h>
#include <uapi/linux/kvm_para.h>

#include "regs.h"
#include "tracked_view.h"
#include "x86.h"

/* KVM_MAP_GPA_RANGE_PAGE_SZ_*, which are of no importance here. */
#define PAGE_SIZE_HINT	GENMASK_U64(3, 0)

/**
 * kvm_enable_tracked_view() - KVM_CAP_TRACKED_GUEST_VIEW
 * @kvm: the VM
 * @cap: the ioctl's argument
 *
 * Context: Takes kvm->lock, may sleep.
 * Return: 0, or -EINVAL for a VM that isn't software-protected or has vCPUs, and
 *	   for arguments, of which there are none.
 */
int kvm_enable_tracked_view(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	int r = -EINVAL;

	if (kvm->arch.vm_type != KVM_X86_SW_PROTECTED_VM ||
	    memchr_inv(cap->args, 0, sizeof(cap->args)))
		return r;

	/* Where a view comes from is settled before there are faults. */
	mutex_lock(&kvm->lock);
	if (!kvm->created_vcpus) {
		kvm->arch.view_source = KVM_VIEW_TRACKED;
		r = 0;
	}
	mutex_unlock(&kvm->lock);
	return r;
}

/*
 * The guest is told what userspace has answered, if that isn't 0; or if it is, once
 * the view is recorded.  Unless it can be, the vCPU stays where it is, and userspace
 * may mend what's wrong and run it again, or change its answer.
 */
static int complete_map_gpa_range(struct kvm_vcpu *vcpu)
{
	struct kvm_map_gpa_request *request = &vcpu->arch.map_gpa_request;
	u64 ret = READ_ONCE(vcpu->run->hypercall.ret);
	int r;

	/* What the guest sees counts. */
	if (!is_64_bit_hypercall(vcpu))
		ret = (u32)ret;

	if (!ret) {
		kvm_vcpu_srcu_read_unlock(vcpu);
		r = kvm_record_guest_view(vcpu->kvm, request->start, request->end,
					  request->is_private);
		kvm_vcpu_srcu_read_lock(vcpu);
		if (r) {
			vcpu->run->exit_reason = KVM_EXIT_HYPERCALL;
			vcpu->arch.complete_userspace_io = complete_map_gpa_range;
			return r;
		}
	}

	kvm_rax_write_raw(vcpu, ret);
	return kvm_skip_emulated_instruction(vcpu);
}

/**
 * kvm_track_map_gpa_range() - Track the view that a guest is asking for
 * @vcpu: the vCPU, which is about to exit to userspace for KVM_HC_MAP_GPA_RANGE
 * @gpa: the first gpa, page-aligned
 * @npages: the number of pages, not 0, that don't wrap around
 * @attrs: KVM_MAP_GPA_RANGE_*
 *
 * Does nothing for VMs whose view isn't tracked.
 *
 * Context: The vCPU's.
 * Return: 0, or -KVM_EINVAL for the guest if there's something in @attrs that has no
 *	   meaning (Documentation/virt/kvm/x86/hypercalls.rst).
 */
int kvm_track_map_gpa_range(struct kvm_vcpu *vcpu, gpa_t gpa, u64 npages, u64 attrs)
{
	struct kvm_map_gpa_request *request = &vcpu->arch.map_gpa_request;

	if (!kvm_arch_has_tracked_view(vcpu->kvm))
		return 0;

	if (attrs & ~(PAGE_SIZE_HINT | KVM_MAP_GPA_RANGE_ENCRYPTED))
		return -KVM_EINVAL;

	request->start = gpa_to_gfn(gpa);
	request->end = request->start + npages;
	request->is_private = attrs & KVM_MAP_GPA_RANGE_ENCRYPTED;
	vcpu->arch.complete_userspace_io = complete_map_gpa_range;
	return 0;
}
