/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARCH_X86_KVM_TRACKED_VIEW_H
#define ARCH_X86_KVM_TRACKED_VIEW_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_TRACKED_GUEST_VIEW
int kvm_enable_tracked_view(struct kvm *kvm, const struct kvm_enable_cap *cap);
int kvm_track_map_gpa_range(struct kvm_vcpu *vcpu, gpa_t gpa, u64 npages, u64 attrs);
#else
static inline int kvm_enable_tracked_view(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	return -EINVAL;
}

static inline int kvm_track_map_gpa_range(struct kvm_vcpu *vcpu, gpa_t gpa,
					  u64 npages, u64 attrs)
{
	return 0;
}
#endif

#endif /* ARCH_X86_KVM_TRACKED_VIEW_H */
