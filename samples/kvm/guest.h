/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contract between the VMM and its guest.
 *
 * The guest is a puppet: the VMM puts a call into a mailbox and runs the
 * vCPU; the guest does what the call says, leaves the result in the mailbox
 * and rings a doorbell (an exit). The mailbox is in memory that stays shared.
 */
#ifndef SAMPLES_KVM_GUEST_H
#define SAMPLES_KVM_GUEST_H

#include <linux/types.h>

/* Where things are in the boot region, which is mapped 1:1. */
#define GUEST_MAILBOX_GPA	0x1000
#define GUEST_CODE_GPA		0x2000
#define GUEST_CODE_SIZE		0x2000
#define GUEST_STACK_TOP		0x5000
#define GUEST_ARCH_GPA		0x5000	/* to 0x8000: the architecture's */

#define GUEST_TEXT_SIZE		64

enum guest_op {
	GUEST_NOTHING,
	GUEST_WRITE,		/* text to gpa */
	GUEST_READ,		/* text from gpa */
	GUEST_CONVERT,		/* ask for nr_pages at gpa to be converted */
};

struct guest_call {
	__u64 op;
	__u64 gpa;
	__u64 nr_pages;
	__u64 to_private;
	__s64 answer;		/* what the hypercall returned */
	char text[GUEST_TEXT_SIZE];
};

/*
 * All that runs in the guest is in this section, so that the VMM can copy it
 * as one piece; the linker names its two ends. The guest has no floating point
 * state and no canary for a stack protector.
 */
#define __guest_fn \
	__attribute__((section("guest_code"), no_stack_protector, \
		       target("general-regs-only")))

extern const char __start_guest_code[];
extern const char __stop_guest_code[];

void guest_main(struct guest_call *call);

#endif /* SAMPLES_KVM_GUEST_H */
