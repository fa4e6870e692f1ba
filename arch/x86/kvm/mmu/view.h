/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_MMU_VIEW_H
#define __KVM_X86_MMU_VIEW_H

/*
 * For the guest, a page is private or shared, and that's its view.  For
 * userspace it is, too, and that's the page's attribute.  KVM decides neither: it
 * maps a page if both are the same, and otherwise exits to userspace with what the
 * guest's view is.
 *
 * How KVM learns the guest's view is a matter of the VM's type, see enum
 * kvm_view_source.  Nothing else in KVM is to tell private from shared by what
 * came with a fault.
 */

#include <linux/kvm_host.h>

struct kvm_page_fault;

/**
 * enum kvm_view_verdict - What comes of the guest's view and userspace's
 * @KVM_VIEW_AGREES: they are the same, the page may be mapped
 * @KVM_VIEW_DISAGREES: they aren't, userspace has to know
 * @KVM_VIEW_RETRY: they aren't, but userspace's is changing: look again
 */
enum kvm_view_verdict {
	KVM_VIEW_AGREES,
	KVM_VIEW_DISAGREES,
	KVM_VIEW_RETRY,
};

/**
 * struct kvm_view - The guest's view of a page
 * @gfn: the page, without the bit of the gpa that may be a part of the view
 * @is_private: whether it is private for the guest
 * @verdict: what userspace's view makes of it
 */
struct kvm_view {
	gfn_t gfn;
	bool is_private;
	enum kvm_view_verdict verdict;
};

struct kvm_view kvm_resolve_view(enum kvm_view_source source, gfn_t direct_bits,
				 gpa_t gpa, u64 error_code, unsigned long attrs,
				 bool changing);
gpa_t kvm_view_to_gpa(enum kvm_view_source source, gfn_t direct_bits,
		      gpa_t gpa, bool is_private);
u64 kvm_view_to_error_code(enum kvm_view_source source, bool is_private);

struct kvm_view kvm_mmu_fault_view(struct kvm *kvm, gpa_t gpa, u64 error_code);
bool kvm_mmu_view_agrees(struct kvm *kvm, const struct kvm_page_fault *fault);
int kvm_mmu_check_view(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault);

#endif /* __KVM_X86_MMU_VIEW_H */
