// SPDX-License-Identifier: GPL-2.0-only
/* VMs with private memory, on arm64: protected ones, whose memory is shared in place. */
#include <errno.h>
#include <unistd.h>

#include <linux/sizes.h>

#include "kvm_util.h"
#include "pkvm.h"
#include "private_mem.h"
#include "processor.h"

const struct vm_shape private_mem_shape = {
	.mode = VM_MODE_P40V48_4K,
	.type = KVM_VM_TYPE_ARM_PROTECTED,
};

const char *private_mem_missing(void)
{
	if (!pkvm_is_available())
		return "there are no protected VMs with memory that userspace converts";
	if (getpagesize() != SZ_4K)
		return "the library's guests have pages of 4 KiB, and the host has others";
	return NULL;
}

struct kvm_vm *private_mem_create_barebones(void)
{
	struct kvm_vm *vm = ____vm_create(private_mem_shape);

	pkvm_enable_conversions(vm);
	return vm;
}

/* In protected mode, all VMs have what the host can have, whatever their type says. */
u64 private_mem_gpa_limit(struct kvm_vm *vm)
{
	return BIT_ULL(kvm_check_cap(KVM_CAP_ARM_VM_IPA_SIZE));
}

#define PROBE_SLOT	1000

/*
 * Host user space can read what is shared, unless the guest has had it before, which no
 * vCPU has that runs nothing. Where there is no memslot there is one for as long as that.
 */
bool private_mem_is_private(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_vm *vm = vcpu->vm;
	size_t size = vm->page_size;
	bool is_private;
	char *page;
	int fd;

	fd = vm_create_guest_memfd(vm, size, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE);
	page = kvm_mmap(size, PROT_READ, MAP_SHARED, fd);

	if (__vm_set_user_memory_region2(vm, PROBE_SLOT, KVM_MEM_GUEST_MEMFD, gpa, size, page,
					 fd, 0)) {
		TEST_ASSERT(errno == EEXIST, "Adding a memslot at %#lx failed with errno %d",
			    gpa, errno);
		is_private = read_signal(addr_gpa2hva(vm, gpa));
	} else {
		is_private = read_signal(page);
		vm_set_user_memory_region2(vm, PROBE_SLOT, KVM_MEM_GUEST_MEMFD, gpa, 0, page,
					   fd, 0);
	}

	kvm_munmap(page, size);
	close(fd);
	return is_private;
}

/* All memory is guest_memfd that is shared in place. */
void private_mem_add_memslot(struct kvm_vm *vm, gpa_t gpa, u32 slot, u64 npages)
{
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, gpa, slot, npages, 0);
}

const bool private_mem_has_hugepages;

u64 private_mem_nr_hugepages(struct kvm_vm *vm)
{
	return 0;
}

u64 private_mem_guest_load(u64 *addr, u64 otherwise)
{
	return pkvm_guest_load(addr, otherwise);
}

/* The guest takes for private what isn't, and the load is one that the host can end. */
static bool ends_load(struct kvm_vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	return errno == EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT &&
	       run->memory_fault.flags == KVM_MEMORY_EXIT_FLAG_PRIVATE && pkvm_end_access(vcpu);
}

void private_mem_vcpu_run(struct kvm_vcpu *vcpu)
{
	bool share;
	gpa_t gpa;

	for (;;) {
		if (_vcpu_run(vcpu))
			TEST_ASSERT(ends_load(vcpu), KVM_IOCTL_ERROR(KVM_RUN, -1));
		else if (pkvm_wants_conversion(vcpu, &gpa, &share))
			pkvm_agree(vcpu);
		else
			return;
	}
}

void private_mem_guest_init(gpa_t gpa, u64 npages)
{
	u64 i;

	pkvm_guest_init();
	for (i = 0; i < npages; i++) {
		while (mem_share(gpa + i * SZ_4K))
			;
	}
}
