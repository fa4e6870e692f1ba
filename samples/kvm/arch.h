/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an architecture provides; <arch>/machine.c and <arch>/conversion.c.
 * The inside of the guest is in <arch>/guest_arch.h.
 */
#ifndef SAMPLES_KVM_ARCH_H
#define SAMPLES_KVM_ARCH_H

#include <stdbool.h>
#include <linux/types.h>

struct kvm_run;
struct vmm;

/* The type of VM to create; skips where KVM does not have it. */
unsigned long arch_vm_type(void);
void arch_require_vm_type(const struct vmm *vmm);

/*
 * Is all memory shared in place? And does the guest take it for private that it
 * has not shared, from the start on?
 */
extern const bool arch_memory_in_place;

/* Makes the vCPU start in guest_main(), with the mailbox as its argument. */
void arch_setup_vcpu(struct vmm *vmm);

/* Takes what the vCPU starts with from the host, where it can be private. */
void arch_protect_boot(struct vmm *vmm);
__u64 arch_guest_pc(const struct vmm *vmm);

/* Exits: is it the guest's doorbell, and the answer to a request. */
extern const long arch_denial;	/* what a guest is told that is denied */
bool arch_is_doorbell(const struct kvm_run *run);
void arch_answer_conversion(struct kvm_run *run, long answer);

#endif /* SAMPLES_KVM_ARCH_H */
