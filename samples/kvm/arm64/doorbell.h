/* SPDX-License-Identifier: GPL-2.0 */
/* A write to this address, where there is no memory, says: the call is done. */
#ifndef SAMPLES_KVM_ARM64_DOORBELL_H
#define SAMPLES_KVM_ARM64_DOORBELL_H

/* The first byte after the GiB that is memory for the guest. */
#define DOORBELL_GPA 0x40000000ULL

#endif /* SAMPLES_KVM_ARM64_DOORBELL_H */
