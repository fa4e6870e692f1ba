/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Conversion of a protected VM's memory between private and shared, see
 * arch/arm64/kvm/hyp/nvhe/mem_convert.c.
 */

#ifndef __ARM64_KVM_NVHE_MEM_CONVERT_H__
#define __ARM64_KVM_NVHE_MEM_CONVERT_H__

#include <nvhe/pkvm.h>

int __pkvm_host_map_shared_guest(u64 pfn, u64 gfn, struct pkvm_hyp_vcpu *vcpu);
int __pkvm_host_unmap_shared_guest(u64 gfn, struct pkvm_hyp_vm *vm);
int __pkvm_host_withdraw_guest(u64 gfn, struct pkvm_hyp_vm *vm);
int __pkvm_host_give_back_guest(u64 gfn, struct pkvm_hyp_vm *vm);

int pkvm_conversion_begin(struct pkvm_hyp_vcpu *vcpu, u64 ipa, u64 *nr, bool share, u64 pc);
int __pkvm_host_convert_guest(u64 gfn, bool commit, struct pkvm_hyp_vcpu *vcpu);
void __pkvm_host_forget_conversion(struct pkvm_hyp_vcpu *vcpu);
bool pkvm_conversion_finish(struct pkvm_hyp_vcpu *vcpu);

#endif /* __ARM64_KVM_NVHE_MEM_CONVERT_H__ */
