/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_MEM_ATTRIBUTES_H
#define KVM_MEM_ATTRIBUTES_H

#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/types.h>

struct kvm;

#ifdef CONFIG_KVM_GENERIC_MEMORY_ATTRIBUTES
void kvm_init_mem_attributes(struct kvm *kvm);
void kvm_destroy_mem_attributes(struct kvm *kvm);
u64 kvm_supported_mem_attributes(struct kvm *kvm);
int kvm_vm_ioctl_set_mem_attributes(struct kvm *kvm,
				    struct kvm_memory_attributes *attrs);

#if IS_ENABLED(CONFIG_KUNIT)
int kvm_prepare_mem_attr_range(struct kvm *kvm, gfn_t start, gfn_t end,
			       unsigned long mask, unsigned long attrs);
void kvm_undo_mem_attr_range(struct kvm *kvm, gfn_t start, gfn_t end,
			     unsigned long mask, unsigned long attrs);
void kvm_commit_mem_attr_range(struct kvm *kvm, gfn_t start, gfn_t end,
			       unsigned long mask, unsigned long attrs);
#endif
#else
static inline void kvm_init_mem_attributes(struct kvm *kvm)
{
}

static inline void kvm_destroy_mem_attributes(struct kvm *kvm)
{
}
#endif /* CONFIG_KVM_GENERIC_MEMORY_ATTRIBUTES */

#endif /* KVM_MEM_ATTRIBUTES_H */
