// SPDX-License-Identifier: GPL-2.0-only
/*
 * A gfn can be PRIVATE in a memslot that has no guest_memfd; nothing maps it,
 * and disabling dirty logging, which looks for huge pages to recover, must take
 * that as it is.
 */
#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

/* Aligned to what a huge page needs, and not used by the library's memslots. */
#define TEST_GPA	SZ_4G
#define TEST_SIZE	SZ_2M
#define TEST_NPAGES	(TEST_SIZE / PAGE_SIZE)
#define TEST_SLOT	10

static const struct vm_shape protected_vm_shape = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

/* Bit 9 is set by a WARN, see Documentation/admin-guide/tainted-kernels.rst. */
#define TAINT_WARN	BIT(9)

static unsigned long taint(void)
{
	unsigned long value;
	FILE *file;
	int r;

	file = fopen("/proc/sys/kernel/tainted", "r");
	TEST_ASSERT(file, "Can't open /proc/sys/kernel/tainted");
	r = fscanf(file, "%lu", &value);
	TEST_ASSERT(r == 1, "Can't read /proc/sys/kernel/tainted");
	fclose(file);
	return value;
}

static void guest_write_all(void)
{
	u64 gpa;

	for (gpa = TEST_GPA; gpa < TEST_GPA + TEST_SIZE; gpa += PAGE_SIZE)
		WRITE_ONCE(*(u64 *)gpa, gpa);
	GUEST_SYNC(0);

	READ_ONCE(*(u64 *)TEST_GPA);
	GUEST_DONE();
}

int main(int argc, char *argv[])
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM));
	__TEST_REQUIRE(!(taint() & TAINT_WARN), "a WARN that came before hides those of this test");

	vm = vm_create_shape_with_one_vcpu(protected_vm_shape, &vcpu, guest_write_all);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS_THP, TEST_GPA, TEST_SLOT,
				    TEST_NPAGES, KVM_MEM_LOG_DIRTY_PAGES);
	virt_map(vm, TEST_GPA, TEST_GPA, TEST_NPAGES);

	/* Dirty logging maps page by page, i.e. makes a page table to collapse. */
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);

	vm_mem_set_private(vm, TEST_GPA, TEST_SIZE);
	vm_mem_region_set_flags(vm, TEST_SLOT, 0);
	TEST_ASSERT(!(taint() & TAINT_WARN), "Disabling dirty logging made KVM WARN");

	TEST_ASSERT(_vcpu_run(vcpu) && errno == EFAULT,
		    "Wanted an access to a private page to exit");
	TEST_ASSERT_EQ(vcpu->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT_EQ(vcpu->run->memory_fault.flags, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	TEST_ASSERT_EQ(vcpu->run->memory_fault.gpa, TEST_GPA);

	vm_mem_set_shared(vm, TEST_GPA, TEST_SIZE);
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_DONE);

	kvm_vm_free(vm);
	return 0;
}
