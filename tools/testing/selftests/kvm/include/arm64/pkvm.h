/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Protected VMs whose memory is converted between private and shared by the test.
 *
 * What's loaded into them is private once the vCPUs are finalized. Guest code then calls
 * pkvm_guest_init() before anything else, for ucalls to work, and the host runs it by
 * pkvm_vcpu_run() or handles KVM_EXIT_HYPERCALL itself.
 */
#ifndef SELFTEST_KVM_PKVM_H
#define SELFTEST_KVM_PKVM_H

#include <linux/arm-smccc.h>

#include "kvm_util.h"
#include "private_mem.h"

/* For the host. */
bool pkvm_is_available(void);
void pkvm_enable_conversions(struct kvm_vm *vm);
void pkvm_finalize_memory(struct kvm_vm *vm);
bool pkvm_wants_range(struct kvm_vcpu *vcpu, gpa_t *gpa, u64 *size, bool *share);
bool pkvm_wants_conversion(struct kvm_vcpu *vcpu, gpa_t *gpa, bool *share);
void pkvm_agree(struct kvm_vcpu *vcpu);
void pkvm_vcpu_run(struct kvm_vcpu *vcpu);

/*
 * How many pages protected VMs have, of all there are, for EL1 and for EL2; see
 * arch/arm64/kvm/pkvm_debug.c. It takes CONFIG_NVHE_EL2_DEBUG and debugfs.
 */
struct pkvm_pages {
	long el1_private;
	long el1_shared;
	long el1_poisoned;
	long el1_lost;
	long el1_pinned;
	long el2_guest;
	long el2_both;
	long el2_hyp;
};

bool pkvm_has_pages(void);
struct pkvm_pages pkvm_read_pages(void);

/*
 * While nothing changes: both sides say the same. And all that VMs have got since then is
 * back, but for pages with memory errors. Without the numbers, neither does anything.
 */
struct pkvm_pages pkvm_check_pages(void);
void pkvm_check_pages_are_back(const struct pkvm_pages *before);

/* Where memory is that the host has mapped. */
unsigned long pkvm_to_pfn(void *addr);

/*
 * For guests: accesses that the host can end, by pkvm_end_access(), and that return
 * @otherwise then.
 */
u64 pkvm_guest_load(u64 *addr, u64 otherwise);
u64 pkvm_guest_store(u64 *addr, u64 otherwise, u64 value);

bool pkvm_end_access(struct kvm_vcpu *vcpu);

/* Where a piece of code is in this program, to be copied into a guest. */
#define PKVM_CODE(label)					\
({								\
	const char *code;					\
								\
	asm("adrp %0, " #label "\n\t"				\
	    "add %0, %0, :lo12:" #label : "=r" (code));		\
	code;							\
})

/* Documentation/virt/kvm/arm/hypercalls.rst */
#define PKVM_MEM_CALL(nr)	ARM_SMCCC_CALL_VAL(ARM_SMCCC_FAST_CALL, ARM_SMCCC_SMC_64,	\
						   ARM_SMCCC_OWNER_VENDOR_HYP, nr)
#define PKVM_MEMINFO		PKVM_MEM_CALL(2)
#define PKVM_MEMINFO_COUNTS	BIT(0)
#define PKVM_MEM_SHARE		PKVM_MEM_CALL(3)
#define PKVM_MEM_UNSHARE	PKVM_MEM_CALL(4)

/*
 * For guests. What they return is an SMCCC_RET_*, or for ranges of so many pages how many of
 * them are as wanted, from the first one on, instead of SMCCC_RET_SUCCESS.
 */
long pkvm_mem_call(u32 function, gpa_t gpa, u64 nr, u64 arg3);
long mem_share(gpa_t gpa);
long mem_unshare(gpa_t gpa);
long mem_share_range(gpa_t gpa, u64 nr);
long mem_unshare_range(gpa_t gpa, u64 nr);
void pkvm_guest_init(void);

#endif /* SELFTEST_KVM_PKVM_H */
