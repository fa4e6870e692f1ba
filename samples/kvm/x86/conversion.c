// SPDX-License-Identifier: GPL-2.0
/* What a guest is told of its request for conversion on x86, and its doorbell. */
#include <errno.h>	/* KVM_EINVAL is EINVAL */

#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "../arch.h"
#include "doorbell.h"

const long arch_denial = -KVM_EINVAL;

/*
 * KVM moves ret to the guest's RAX as it is, when the vCPU next runs. Errors
 * are negative there, as those that KVM itself returns from hypercalls.
 */
void arch_answer_conversion(struct kvm_run *run, long answer)
{
	run->hypercall.ret = answer;
}

bool arch_is_doorbell(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_IO &&
	       run->io.direction == KVM_EXIT_IO_OUT &&
	       run->io.port == DOORBELL_PORT;
}
