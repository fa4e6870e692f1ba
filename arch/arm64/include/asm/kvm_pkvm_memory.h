/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of protected VMs that is guest_memfd's, and that userspace converts between
 * private and shared.
 */
#ifndef __ARM64_KVM_PKVM_MEMORY_H__
#define __ARM64_KVM_PKVM_MEMORY_H__

#include <linux/kvm_types.h>

struct dentry;
struct kvm_enable_cap;

/* Whose memory is, for EL2. */
enum pkvm_page_user {
	PKVM_USER_GUEST,	/* a guest's alone, or withdrawn from it */
	PKVM_USER_BOTH,		/* a guest's, shared with the host */
	PKVM_USER_HYP,		/* the hypervisor's */
};

/* For how many pages a vCPU can ask at once, which bounds what's done under locks. */
#define PKVM_CONVERSION_MAX	64

/* For how many pages, of all there are, EL2 is asked at once. */
#define PKVM_COUNT_PAGES_MAX	512

/* Pages that a VM has by its mappings at EL1. */
struct pkvm_page_count {
	u64 private;
	u64 shared;
	u64 poisoned;
	u64 pinned;
};

/* arch/arm64/kvm/pkvm_gmem.c */
int pkvm_gmem_abort(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gpa_t ipa);
int pkvm_gmem_prepare_slot(struct kvm *kvm, const struct kvm_memory_slot *old,
			   const struct kvm_memory_slot *new);
void pkvm_gmem_unmap_shared(struct kvm *kvm, gfn_t start, gfn_t end);
void pkvm_gmem_convert(struct kvm *kvm, gfn_t start, gfn_t end, bool is_private);
bool pkvm_gmem_is_accessible(struct kvm *kvm, gfn_t gfn);
int pkvm_gmem_convert_as_asked(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_private, bool commit);
void pkvm_gmem_teardown(struct kvm *kvm);
void pkvm_count_mappings(struct kvm *kvm, gfn_t start, gfn_t end, struct pkvm_page_count *count);
u64 pkvm_count_lost_pages(void);

/* arch/arm64/kvm/pkvm_convert.c */
int pkvm_enable_host_converts(struct kvm *kvm, const struct kvm_enable_cap *cap);
bool pkvm_is_conversion_call(struct kvm_vcpu *vcpu);
int pkvm_handle_conversion_call(struct kvm_vcpu *vcpu);
int pkvm_complete_conversion_call(struct kvm_vcpu *vcpu);
int pkvm_forget_conversion(struct kvm_vcpu *vcpu);

/* arch/arm64/kvm/pkvm_call.c */
#ifdef CONFIG_NVHE_EL2_DEBUG
void pkvm_create_call_debugfs(struct dentry *dir);
void pkvm_create_vm_debugfs(struct kvm *kvm);
#else
static inline void pkvm_create_vm_debugfs(struct kvm *kvm) {}
#endif

#endif /* __ARM64_KVM_PKVM_MEMORY_H__ */
