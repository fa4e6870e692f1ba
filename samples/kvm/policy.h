/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What this VMM decides when its guest asks or faults. KVM defines and
 * enforces attributes; which page may be converted is userspace's to say.
 */
#ifndef SAMPLES_KVM_POLICY_H
#define SAMPLES_KVM_POLICY_H

#include "vmm.h"

/* Agrees to any request for memory that can be converted. */
long policy_agree(struct vmm *vmm, const struct conversion *request);

/* Denies every request. */
long policy_deny(struct vmm *vmm, const struct conversion *request);

/* Gives the guest the memory that it asks about, then agrees. */
long policy_plug_and_agree(struct vmm *vmm, const struct conversion *request);

/* Makes the page that the guest touched shared. */
bool policy_share_on_fault(struct vmm *vmm, const struct memory_fault *fault);

/* Makes the page what the guest takes it for, which the fault says. */
bool policy_follow_the_guest(struct vmm *vmm, const struct memory_fault *fault);

#endif /* SAMPLES_KVM_POLICY_H */
