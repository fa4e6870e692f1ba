/* SPDX-License-Identifier: GPL-2.0 */
/* A guest's requests for conversion. */
#ifndef SAMPLES_KVM_CONVERSION_H
#define SAMPLES_KVM_CONVERSION_H

#include <stdbool.h>

struct conversion;
struct kvm_run;
struct vmm;

/* Has KVM pass the guest's requests for conversion on to the VMM. */
void enable_conversions(struct vmm *vmm);

/* Is the exit a request? */
bool get_conversion(const struct kvm_run *run, struct conversion *request);

#endif /* SAMPLES_KVM_CONVERSION_H */
