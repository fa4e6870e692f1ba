/* SPDX-License-Identifier: GPL-2.0 */
/* The VMM's end of the mailbox: has the guest do things, looks at memory. */
#ifndef SAMPLES_KVM_PUPPET_H
#define SAMPLES_KVM_PUPPET_H

#include <stdbool.h>

#include "memory.h"

/* The guest writes @text at the start of each page. */
void guest_writes(struct vmm *vmm, const struct span *span, const char *text);

/* Does the guest find @text at the start of each page? "" means zeros. */
bool guest_finds(struct vmm *vmm, const struct span *span, const char *text);

/* The guest asks for a conversion; returns the answer that it received. */
long guest_asks(struct vmm *vmm, const struct span *span, bool to_private);

/* Does the host find @text in each page, and zeros in the rest of it? */
bool host_finds(const struct span *span, const char *text);

/* Does the kernel refuse each page, with EFAULT, when the host passes it on? */
bool host_is_refused(const struct span *span);

/* Refused in place, or zeros in the shared half. */
bool host_sees_nothing(const struct span *span);

/* The host writes @text at the start of each page, in the shared half. */
void host_writes(const struct span *span, const char *text);

#endif /* SAMPLES_KVM_PUPPET_H */
