/* SPDX-License-Identifier: GPL-2.0 */
/* Describes the exits that nobody asked for. They end the run. */
#ifndef SAMPLES_KVM_EXITS_H
#define SAMPLES_KVM_EXITS_H

#include <stdnoreturn.h>

struct vmm;

/* Says what kvm_run holds and where the guest was, then exits. */
noreturn void exit_unexpected(struct vmm *vmm);

/*
 * Called after KVM_RUN failed, with errno intact: returns if the reason is a
 * memory fault, which is the one error that a VMM can resolve.
 */
void exit_require_memory_fault(struct vmm *vmm);

#endif /* SAMPLES_KVM_EXITS_H */
