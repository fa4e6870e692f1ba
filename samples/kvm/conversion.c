// SPDX-License-Identifier: GPL-2.0
/* How a guest's request for conversion reaches the VMM: the same on all architectures. */
#include <sys/ioctl.h>

#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "checks.h"
#include "conversion.h"
#include "vmm.h"

#define BIT(n) (1ULL << (n))

/* Bits 0-3 are a hint at a page size; bit 4 is the request itself. */
#define MAP_GPA_RANGE_KNOWN_BITS (KVM_MAP_GPA_RANGE_ENCRYPTED | 0xf)

/*
 * KVM exits for the hypercalls in this mask and answers all others itself. For a
 * protected VM on arm64 this is more than an exit, and comes first: from here on its
 * memory is what the attributes say, and all of it is guest_memfd.
 */
void enable_conversions(struct vmm *vmm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXIT_HYPERCALL,
		.args = { BIT(KVM_HC_MAP_GPA_RANGE) },
	};

	if (!(vmm_vm_cap(vmm, KVM_CAP_EXIT_HYPERCALL) &
	      BIT(KVM_HC_MAP_GPA_RANGE)))
		skip("KVM does not pass KVM_HC_MAP_GPA_RANGE on to the VMM",
		     "boot a newer kernel");
	if (ioctl(vmm->vm_fd, KVM_ENABLE_CAP, &cap))
		give_up("enable KVM_CAP_EXIT_HYPERCALL",
			"EINVAL: a hypercall in the mask cannot be passed to userspace, or it is too late.");
}

bool get_conversion(const struct kvm_run *run, struct conversion *request)
{
	__u64 attributes = run->hypercall.args[2];

	if (run->exit_reason != KVM_EXIT_HYPERCALL ||
	    run->hypercall.nr != KVM_HC_MAP_GPA_RANGE)
		return false;

	*request = (struct conversion){
		.gpa = run->hypercall.args[0],
		.nr_pages = run->hypercall.args[1],
		.to_private = attributes & KVM_MAP_GPA_RANGE_ENCRYPTED,
		.valid = !(attributes & ~MAP_GPA_RANGE_KNOWN_BITS),
	};
	return true;
}
