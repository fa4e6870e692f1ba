// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd and nested guests: what L2 gets to see of a page of L1's is what L1 does,
 * also if KVM has mapped it before L2 touches it.
 */
#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "test_util.h"
#include "vmx.h"

/* An arbitrary gpa that the library's own memslots don't use. */
#define TEST_GPA	0xc0000000ul
#define TEST_SLOT	10
#define PAGE(n)		(TEST_GPA + (n) * PAGE_SIZE)

/* Neighbours, of which KVM maps all when one is touched; the second is private. */
#define NPAGES		8

#define IN_SHARED	0x1111111111111111ull
#define IN_PRIVATE	0x2222222222222222ull

static void l2_guest_code(void)
{
	GUEST_SYNC(READ_ONCE(*(u64 *)PAGE(0)));
	GUEST_SYNC(READ_ONCE(*(u64 *)PAGE(1)));
	vmcall();
}

static void run_l2_vmx(struct vmx_pages *vmx)
{
	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
	GUEST_ASSERT(load_vmcs(vmx));
	prepare_vmcs(vmx, l2_guest_code);
	GUEST_ASSERT(!vmlaunch());
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
}

static void run_l2_svm(struct svm_test_data *svm)
{
	generic_svm_setup(svm, l2_guest_code);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
}

static void l1_guest_code(void *nested)
{
	WRITE_ONCE(*(u64 *)PAGE(1), IN_PRIVATE);

	if (this_cpu_has(X86_FEATURE_VMX))
		run_l2_vmx(nested);
	else
		run_l2_svm(nested);
	GUEST_DONE();
}

static void expect_read(struct kvm_vcpu *vcpu, u64 value)
{
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	case UCALL_SYNC:
		TEST_ASSERT_EQ(uc.args[1], value);
		break;
	default:
		TEST_FAIL("ucall %lu, exit reason %s", uc.cmd,
			  exit_reason_str(vcpu->run->exit_reason));
	}
}

/* L2 has its pages where L1 has them, and has accessed them: they may be prefetched. */
static void map_for_l2(struct kvm_vm *vm)
{
	int i;

	tdp_identity_map_default_memslots(vm);
	for (i = 0; i < NPAGES; i++) {
		tdp_map(vm, PAGE(i), PAGE(i), PAGE_SIZE);
		*tdp_get_pte(vm, PAGE(i)) |= PTE_ACCESSED_MASK(&vm->stage2_mmu) |
					     PTE_DIRTY_MASK(&vm->stage2_mmu);
	}
}

static struct kvm_vm *create_vm(unsigned long type, struct kvm_vcpu **vcpu)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = type,
	};
	struct kvm_vm *vm = vm_create_shape_with_one_vcpu(shape, vcpu, l1_guest_code);
	gva_t nested = 0;

	vm_enable_tdp(vm);
	if (kvm_cpu_has(X86_FEATURE_VMX))
		vcpu_alloc_vmx(vm, &nested);
	else
		vcpu_alloc_svm(vm, &nested);
	vcpu_args_set(*vcpu, 1, nested);
	return vm;
}

static void run(struct kvm_vm *vm, struct kvm_vcpu *vcpu, u64 first)
{
	struct ucall uc;

	virt_map(vm, TEST_GPA, TEST_GPA, NPAGES);
	map_for_l2(vm);

	expect_read(vcpu, first);
	expect_read(vcpu, IN_PRIVATE);

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_DONE);
	kvm_vm_free(vm);
}

/* What's at userspace_addr, also where the page is private. */
static void fill(char *mem)
{
	int i;

	for (i = 0; i < NPAGES; i++)
		*(u64 *)(mem + i * PAGE_SIZE) = IN_SHARED;
}

static void test_private(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(KVM_X86_SW_PROTECTED_VM, &vcpu);

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, TEST_GPA, TEST_SLOT, NPAGES,
				    KVM_MEM_GUEST_MEMFD);
	fill(addr_gpa2hva(vm, TEST_GPA));
	vm_mem_set_private(vm, PAGE(1), PAGE_SIZE);
	run(vm, vcpu, IN_SHARED);
}

/* All of the memslot is guest_memfd's, and userspace_addr is of no importance. */
static void test_all_guest_memfd(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(KVM_X86_DEFAULT_VM, &vcpu);
	size_t size = NPAGES * PAGE_SIZE;
	char *mem = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int fd = vm_create_guest_memfd(vm, size, GUEST_MEMFD_FLAG_MMAP |
						 GUEST_MEMFD_FLAG_INIT_SHARED);

	vm_set_user_memory_region2(vm, TEST_SLOT, KVM_MEM_GUEST_MEMFD, TEST_GPA, size, mem,
				   fd, 0);
	fill(mem);
	run(vm, vcpu, 0);
	close(fd);
	kvm_munmap(mem, size);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_VMX) || kvm_cpu_has(X86_FEATURE_SVM));
	TEST_REQUIRE(kvm_cpu_has_tdp());
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM));

	test_private();
	test_all_guest_memfd();
	return 0;
}
