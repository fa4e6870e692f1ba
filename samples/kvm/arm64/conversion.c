// SPDX-License-Identifier: GPL-2.0
/* What a guest is told of its request for conversion on arm64, and its doorbell. */
#include <errno.h>

#include <linux/kvm.h>

#include "../arch.h"
#include "doorbell.h"

/* SMCCC's INVALID_PARAMETER, see Documentation/virt/kvm/arm/hypercalls.rst. */
const long arch_denial = -3;

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
