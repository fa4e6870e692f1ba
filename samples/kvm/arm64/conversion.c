// SPDX-License-Identifier: GPL-2.0
/* How a guest's request for conversion reaches the VMM on arm64. */
#include <errno.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "../arch.h"
#include "../checks.h"
#include "../vmm.h"
#include "doorbell.h"

#define BIT(n) (1ULL << (n))

/* SMCCC's INVALID_PARAMETER, see Documentation/virt/kvm/arm/hypercalls.rst. */
const long arch_denial = -3;

/* Bits 0-3 are a hint at a page size; bit 4 is the request itself. */
#define MAP_GPA_RANGE_KNOWN_BITS (KVM_MAP_GPA_RANGE_ENCRYPTED | 0xf)

/*
 * For a protected VM this is more than an exit: from here on its memory is
 * what the attributes say, and all of it is guest_memfd. It comes first.
 */
void arch_enable_conversions(struct vmm *vmm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXIT_HYPERCALL,
		.args = { BIT(KVM_HC_MAP_GPA_RANGE) },
	};

	if (ioctl(vmm->vm_fd, KVM_ENABLE_CAP, &cap))
		give_up("enable KVM_CAP_EXIT_HYPERCALL",
			"EINVAL: there are vCPUs or memslots already, or the VM isn't protected.");
}

/* The guest's MEM_SHARE and MEM_UNSHARE, in the terms of all architectures. */
bool arch_get_conversion(const struct kvm_run *run,
			 struct conversion *request)
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

/*
 * What the guest is told is up to the hypervisor: success if the page has been
 * converted, an error if not. The VMM's answer can say no more than EAGAIN, to
 * have the guest ask again.
 */
void arch_answer_conversion(struct kvm_run *run, long answer)
{
	run->hypercall.ret = answer ? EINVAL : 0;
}

bool arch_is_doorbell(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write &&
	       run->mmio.phys_addr == DOORBELL_GPA;
}
