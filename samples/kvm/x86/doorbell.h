/* SPDX-License-Identifier: GPL-2.0 */
/* A write to this I/O port says: the call in the mailbox is done. */
#ifndef SAMPLES_KVM_X86_DOORBELL_H
#define SAMPLES_KVM_X86_DOORBELL_H

#define DOORBELL_PORT 0xd0

#endif /* SAMPLES_KVM_X86_DOORBELL_H */
