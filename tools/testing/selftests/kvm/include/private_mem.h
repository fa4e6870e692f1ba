/* SPDX-License-Identifier: GPL-2.0-only */
/* VMs with private memory that need neither hardware nor firmware of their own. */
#ifndef SELFTEST_KVM_PRIVATE_MEM_H
#define SELFTEST_KVM_PRIVATE_MEM_H

#include "kvm_util.h"
#include "processor.h"

#ifndef PAGE_SIZE
#define PAGE_SIZE	((u64)getpagesize())
#endif

extern const struct vm_shape private_mem_shape;

/* Why there are no such VMs, or NULL. */
const char *private_mem_missing(void);

/* Without memslots and vCPUs. */
struct kvm_vm *private_mem_create_barebones(void);

/* The first gpa that no memslot can have. */
u64 private_mem_gpa_limit(struct kvm_vm *vm);

/* What the attribute is, of any gpa that a memslot can have. */
bool private_mem_is_private(struct kvm_vcpu *vcpu, gpa_t gpa);

/*
 * For guests that touch memory while the host converts it, unasked, and has it run by
 * private_mem_vcpu_run() meanwhile.
 */
void private_mem_add_memslot(struct kvm_vm *vm, gpa_t gpa, u32 slot, u64 npages);
void private_mem_vcpu_run(struct kvm_vcpu *vcpu);

/* Whether what is shared can be mapped by hugepages of 2 MiB, and how many are now. */
extern const bool private_mem_has_hugepages;
u64 private_mem_nr_hugepages(struct kvm_vm *vm);

/* In the guest, once on each vCPU; the pages are shared with the host, for good. */
void private_mem_guest_init(gpa_t gpa, u64 npages);

/* In the guest: what is there; or what it's given, if the guest doesn't get what's shared. */
u64 private_mem_guest_load(u64 *addr, u64 otherwise);

#endif /* SELFTEST_KVM_PRIVATE_MEM_H */
