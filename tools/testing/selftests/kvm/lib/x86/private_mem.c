// SPDX-License-Identifier: GPL-2.0-only
/* Software-protected VMs. */
#include "kvm_util.h"
#include "private_mem.h"
#include "processor.h"

const struct vm_shape private_mem_shape = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

const char *private_mem_missing(void)
{
	if (!(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM)))
		return "there are no software-protected VMs";
	if (!kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY))
		return "KVM_PRE_FAULT_MEMORY isn't there to tell what an attribute is";
	return NULL;
}

struct kvm_vm *private_mem_create_barebones(void)
{
	return vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
}

/* See kvm_mmu_max_gfn(). VMs with private memory use TDP. */
u64 private_mem_gpa_limit(struct kvm_vm *vm)
{
	return BIT_ULL(this_cpu_property(X86_PROPERTY_MAX_PHY_ADDR));
}

static bool has_memslot(struct kvm_vm *vm, gpa_t gpa)
{
	struct userspace_mem_region *region;
	int ctr;

	hash_for_each(vm->regions.slot_hash, ctr, region, slot_node) {
		if (gpa - region->region.guest_phys_addr < region->region.memory_size)
			return true;
	}
	return false;
}

/*
 * What isn't backed by a memslot, or not by guest_memfd, can't be private: KVM
 * gives EFAULT for private gfns, and for shared ones 0 or ENOENT.
 */
bool private_mem_is_private(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_pre_fault_memory range = {
		.gpa = gpa,
		.size = PAGE_SIZE,
	};

	if (!__vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range)) {
		TEST_ASSERT(has_memslot(vcpu->vm, gpa), "%#lx was mapped without memory", gpa);
		return false;
	}

	TEST_ASSERT(errno == EFAULT || errno == ENOENT,
		    "KVM_PRE_FAULT_MEMORY of %#lx failed with errno %d", gpa, errno);
	return errno == EFAULT;
}

/* What's shared has other memory than what's private, and the guest gets either. */
void private_mem_add_memslot(struct kvm_vm *vm, gpa_t gpa, u32 slot, u64 npages)
{
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS_HUGETLB_2MB, gpa, slot, npages,
				    KVM_MEM_GUEST_MEMFD);
}

void private_mem_vcpu_run(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
}

const bool private_mem_has_hugepages = true;

u64 private_mem_nr_hugepages(struct kvm_vm *vm)
{
	return vm_get_stat(vm, pages_2m);
}

void private_mem_guest_init(gpa_t gpa, u64 npages)
{
}

u64 private_mem_guest_load(u64 *addr, u64 otherwise)
{
	return READ_ONCE(*addr);
}
