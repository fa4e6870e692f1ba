/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_GUEST_VIEW_H
#define KVM_GUEST_VIEW_H

#include <linux/kvm.h>

struct kvm;

int kvm_vm_ioctl_reset_guest_view(struct kvm *kvm, struct kvm_guest_view_range *range);

#endif /* KVM_GUEST_VIEW_H */
