// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protected VMs that don't let userspace convert their memory: it is the host's memory,
 * pinned, and the hypervisor shares and unshares it without asking. That's how they
 * behave on kernels that don't know of anything else, too.
 *
 * The guest is a few instructions without MMU: the host sets registers and where it
 * begins, and gets x0 by an access to where there's no memory.
 */
#include <errno.h>
#include <signal.h>

#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "pkvm.h"
#include "processor.h"
#include "test_util.h"

#define CODE_GPA	SZ_1M
#define DATA_GPA	SZ_2M
#define DATA_PAGES	4
#define NOTHING_GPA	SZ_1G
#define MMIO_GPA	(SZ_1G + SZ_1M)

/* Each ends in telling x0, where x10 says. The vectors are for synchronous exceptions. */
asm(".pushsection .rodata\n\t"
	".balign 2048\n"
	"guest_vectors:\n\t"
	".org guest_vectors + 0x200\n\t"
	"mrs	x0, esr_el1\n\t"
	"str	x0, [x10]\n"
	"guest_call:\n\t"
	"hvc	#0\n\t"
	"str	x0, [x10]\n"
	"guest_call_r1:\n\t"
	"hvc	#0\n\t"
	"str	x1, [x10]\n"
	"guest_read:\n\t"
	"ldr	x0, [x1]\n\t"
	"str	x0, [x10]\n"
	"guest_write:\n\t"
	"str	x0, [x1]\n\t"
	"str	x0, [x10]\n"
	"guest_end:\n\t"
	".popsection\n");

FIXTURE(legacy) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	char *data;
};

static void set_x(struct kvm_vcpu *vcpu, int x, u64 value)
{
	vcpu_set_reg(vcpu, ARM64_CORE_REG(regs.regs[0]) +
		     2 * x, value);
}

FIXTURE_SETUP(legacy)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_P40V48_4K,
		.type = KVM_VM_TYPE_ARM_PROTECTED,
	};
	int kvm = open_kvm_dev_path_or_exit(), vm;
	struct kvm_vcpu_init init;
	char *code;

	vm = ioctl(kvm, KVM_CREATE_VM, (unsigned long)KVM_VM_TYPE_ARM_PROTECTED);
	close(kvm);
	if (vm < 0 && errno == EINVAL)
		SKIP(return, "There are no protected VMs");
	TEST_ASSERT(vm >= 0, "KVM_CREATE_VM failed with errno %d", errno);
	close(vm);

	self->vm = ____vm_create(shape);
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, CODE_GPA, 0, 1, 0);
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA, 1, DATA_PAGES, 0);
	self->data = addr_gpa2hva(self->vm, DATA_GPA);
	code = addr_gpa2hva(self->vm, CODE_GPA);
	memcpy(code, PKVM_CODE(guest_vectors), PKVM_CODE(guest_end) - PKVM_CODE(guest_vectors));
	__builtin___clear_cache(code, code + SZ_4K);

	self->vcpu = __vm_vcpu_add(self->vm, 0);
	vm_ioctl(self->vm, KVM_ARM_PREFERRED_TARGET, &init);
	vcpu_ioctl(self->vcpu, KVM_ARM_VCPU_INIT, &init);
	vcpu_set_reg(self->vcpu, KVM_ARM64_SYS_REG(SYS_VBAR_EL1), CODE_GPA);
	set_x(self->vcpu, 10, MMIO_GPA);
}

FIXTURE_TEARDOWN(legacy)
{
	if (self->vm)
		kvm_vm_free(self->vm);
}

static gpa_t code_gpa(const char *code)
{
	return CODE_GPA + (code - PKVM_CODE(guest_vectors));
}

/* Run code of the guest's, and return what it tells. Nobody else is asked. */
static u64 run(struct _test_data_legacy *self, const char *code, u64 x0, u64 x1, u64 x2)
{
	struct kvm_run *run = self->vcpu->run;

	/* What is done with the last access, so that the PC is where it says. */
	if (run->exit_reason == KVM_EXIT_MMIO)
		vcpu_run_complete_io(self->vcpu);

	set_x(self->vcpu, 0, x0);
	set_x(self->vcpu, 1, x1);
	set_x(self->vcpu, 2, x2);
	vcpu_set_reg(self->vcpu, ARM64_CORE_REG(regs.pc), code_gpa(code));
	vcpu_run(self->vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(self->vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(run->mmio.phys_addr, MMIO_GPA);
	TEST_ASSERT(run->mmio.is_write && run->mmio.len == 8, "Expected what x0 is");
	return *(u64 *)run->mmio.data;
}

static long call(struct _test_data_legacy *self, u32 function, u64 gpa)
{
	return run(self, PKVM_CODE(guest_call), function, gpa, 0);
}

/* There are no attributes, and no exits for conversions. */
TEST_F(legacy, capabilities)
{
	struct kvm_memory_attributes attributes = {
		.address = DATA_GPA,
		.size = SZ_4K,
	};

	ASSERT_EQ(0, vm_check_cap(self->vm, KVM_CAP_MEMORY_ATTRIBUTES));
	ASSERT_EQ(0, vm_check_cap(self->vm, KVM_CAP_MEMORY_FAULT_INFO));
	ASSERT_EQ(-1, __vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes));
	ASSERT_EQ(EINVAL, errno);
	attributes.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
	ASSERT_EQ(-1, __vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes));
	ASSERT_EQ(EINVAL, errno);
}

/* Memory keeps its content both ways, and the host has it only while it is shared. */
TEST_F(legacy, share_and_unshare)
{
	*(u64 *)self->data = 0x1234;
	ASSERT_EQ(0x1234, run(self, PKVM_CODE(guest_read), 0, DATA_GPA, 0));
	ASSERT_EQ(SIGSEGV, read_signal(self->data));

	ASSERT_EQ(SMCCC_RET_SUCCESS, call(self, PKVM_MEM_SHARE, DATA_GPA));
	ASSERT_EQ(0, read_signal(self->data));
	ASSERT_EQ(0x1234, *(u64 *)self->data);
	*(u64 *)self->data = 0x5678;
	ASSERT_EQ(0x5678, run(self, PKVM_CODE(guest_read), 0, DATA_GPA, 0));

	ASSERT_EQ(SMCCC_RET_SUCCESS, call(self, PKVM_MEM_UNSHARE, DATA_GPA));
	ASSERT_EQ(SIGSEGV, read_signal(self->data));
	run(self, PKVM_CODE(guest_write), 0x9abc, DATA_GPA, 0);
	ASSERT_EQ(SMCCC_RET_SUCCESS, call(self, PKVM_MEM_SHARE, DATA_GPA));
	ASSERT_EQ(0x9abc, *(u64 *)self->data);
}

/* What is so already, and what's no page. */
TEST_F(legacy, refused)
{
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, call(self, PKVM_MEM_UNSHARE, DATA_GPA));
	ASSERT_EQ(SMCCC_RET_SUCCESS, call(self, PKVM_MEM_SHARE, DATA_GPA));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, call(self, PKVM_MEM_SHARE, DATA_GPA));
	ASSERT_EQ(SMCCC_RET_SUCCESS, call(self, PKVM_MEM_UNSHARE, DATA_GPA));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, call(self, PKVM_MEM_UNSHARE, DATA_GPA));

	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, call(self, PKVM_MEM_SHARE, DATA_GPA + 8));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, call(self, PKVM_MEM_UNSHARE, DATA_GPA + 8));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER,
		  (long)run(self, PKVM_CODE(guest_call), PKVM_MEM_SHARE, DATA_GPA, 1));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER,
		  (long)run(self, PKVM_CODE(guest_call), PKVM_MEM_UNSHARE, DATA_GPA, 1));
}

/* Nor is a guest told that it could say how many pages it wants. */
TEST_F(legacy, no_counts)
{
	ASSERT_EQ(SZ_4K, call(self, PKVM_MEMINFO, 0));
	ASSERT_EQ(0, run(self, PKVM_CODE(guest_call_r1), PKVM_MEMINFO, 0, 0));
}

/* A page that the guest hasn't touched gets memory by being shared. */
TEST_F(legacy, share_untouched)
{
	ASSERT_EQ(SMCCC_RET_SUCCESS, call(self, PKVM_MEM_SHARE, DATA_GPA + SZ_4K));
	ASSERT_EQ(0, read_signal(self->data + SZ_4K));
}

/* Where no memslot is, the guest gets an abort. */
TEST_F(legacy, share_nothing)
{
	u64 esr = run(self, PKVM_CODE(guest_call), PKVM_MEM_SHARE, NOTHING_GPA, 0);

	ASSERT_EQ(ESR_ELx_EC_DABT_CUR, ESR_ELx_EC(esr));
	ASSERT_EQ(ESR_ELx_FSC_EXTABT, esr & ESR_ELx_FSC);
}

/* Memslots can't go any more once the VM has run. */
TEST_F(legacy, memslots)
{
	struct userspace_mem_region *region = memslot2region(self->vm, 1);
	void *data = self->data;

	ASSERT_EQ(-1, __vm_set_user_memory_region(self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, DATA_GPA,
						  DATA_PAGES * SZ_4K, data));
	ASSERT_EQ(EPERM, errno);
	ASSERT_EQ(0, __vm_set_user_memory_region(self->vm, 1, 0, DATA_GPA, 0, data));
	ASSERT_EQ(0, __vm_ioctl(self->vm, KVM_SET_USER_MEMORY_REGION2, &region->region));

	run(self, PKVM_CODE(guest_read), 0, DATA_GPA, 0);
	ASSERT_EQ(-1, __vm_set_user_memory_region(self->vm, 1, 0, DATA_GPA, 0, data));
	ASSERT_EQ(EPERM, errno);
}

/* guest_memfd is no memory that could be pinned. */
TEST_F(legacy, guest_memfd)
{
	u64 flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	int fd = vm_create_guest_memfd(self->vm, SZ_4K, flags);
	void *mem = kvm_mmap(SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, fd);

	vm_set_user_memory_region2(self->vm, 2, KVM_MEM_GUEST_MEMFD, SZ_4M, SZ_4K, mem, fd, 0);
	set_x(self->vcpu, 1, SZ_4M);
	vcpu_set_reg(self->vcpu, ARM64_CORE_REG(regs.pc), code_gpa(PKVM_CODE(guest_read)));
	ASSERT_EQ(-1, _vcpu_run(self->vcpu));
	ASSERT_EQ(EIO, errno);
	kvm_munmap(mem, SZ_4K);
	close(fd);
}

TEST_HARNESS_MAIN
