// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of protected VMs that userspace converts between private and shared: what each
 * side gets to see, is told, and gets when the other one thinks differently.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <linux/arm-smccc.h>
#include <linux/falloc.h>
#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "pkvm.h"
#include "pkvm_puppet.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#define TEST_SLOT	10
#define TEST_GPA	SZ_4G
#define TEST_PAGES	4
#define PAGE(n)		(TEST_GPA + (n) * SZ_4K)

/* Where nothing is until a test puts a memslot there. */
#define LATE_SLOT	20
#define LATE_GPA	(SZ_4G + SZ_1G)

FIXTURE(pkvm) {
	struct pkvm_pages before;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
	struct pkvm_command *commands[2];
	int gmem;
	char *mem;
};

FIXTURE_SETUP(pkvm)
{
	struct kvm_vm *vm;

	self->before = pkvm_check_pages();

	vm = __vm_create(private_mem_shape, 2, 0);
	self->vm = vm;

	self->gmem = vm_create_guest_memfd(vm, TEST_PAGES * SZ_4K,
					   GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE);
	self->mem = kvm_mmap(TEST_PAGES * SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, self->gmem);
	/* Two, so that what is to be all or nothing is so across both. */
	vm_set_user_memory_region2(vm, TEST_SLOT, KVM_MEM_GUEST_MEMFD, PAGE(0), 2 * SZ_4K,
				   self->mem, self->gmem, 0);
	vm_set_user_memory_region2(vm, TEST_SLOT + 1, KVM_MEM_GUEST_MEMFD, PAGE(2), 2 * SZ_4K,
				   self->mem + 2 * SZ_4K, self->gmem, 2 * SZ_4K);
	virt_map(vm, TEST_GPA, TEST_GPA, TEST_PAGES);
	virt_map(vm, LATE_GPA, LATE_GPA, 1);

	pkvm_add_puppets(vm, 2, self->vcpus, self->commands);
}

/* Whatever a test has done, EL1 and EL2 agree on it, and in the end all has come back. */
FIXTURE_TEARDOWN(pkvm)
{
	pkvm_check_pages();

	kvm_munmap(self->mem, TEST_PAGES * SZ_4K);
	close(self->gmem);
	kvm_vm_free(self->vm);

	pkvm_check_pages_are_back(&self->before);
}

/* Tell a vCPU what to do next, and run it until it's done or exits for something else. */
static int __run(struct _test_data_pkvm *self, int vcpu, enum pkvm_op op, u64 gpa, u64 value)
{
	*self->commands[vcpu] = (struct pkvm_command) { .op = op, .gpa = gpa, .value = value };
	return _vcpu_run(self->vcpus[vcpu]);
}

/* To convert so many pages. */
static int run_range(struct _test_data_pkvm *self, int vcpu, enum pkvm_op op, u64 gpa, u64 nr)
{
	*self->commands[vcpu] = (struct pkvm_command) { .op = op, .gpa = gpa, .nr = nr };
	return _vcpu_run(self->vcpus[vcpu]);
}

static u64 guest_read(struct _test_data_pkvm *self, u64 gpa)
{
	TEST_ASSERT_EQ(__run(self, 0, OP_READ, gpa, 0), 0);
	return pkvm_puppet_result(self->vcpus[0]);
}

static void guest_write(struct _test_data_pkvm *self, u64 gpa, u64 value)
{
	TEST_ASSERT_EQ(__run(self, 0, OP_WRITE, gpa, value), 0);
	pkvm_puppet_result(self->vcpus[0]);
}

static void expect_request(struct _test_data_pkvm *self, int vcpu, enum pkvm_op op, u64 gpa, u64 nr)
{
	u64 asked_for, size;
	bool share;

	TEST_ASSERT(pkvm_wants_range(self->vcpus[vcpu], &asked_for, &size, &share),
		    "The guest's request didn't get to userspace");
	TEST_ASSERT_EQ(asked_for, gpa);
	TEST_ASSERT_EQ(size, nr * SZ_4K);
	TEST_ASSERT_EQ(share, op == OP_SHARE);
}

/* The guest asks, and userspace hasn't answered. */
static void guest_asks(struct _test_data_pkvm *self, int vcpu, enum pkvm_op op, u64 gpa)
{
	TEST_ASSERT_EQ(__run(self, vcpu, op, gpa, 0), 0);
	expect_request(self, vcpu, op, gpa, 1);
}

/* It wants a range, and asks for as much of it as can be asked for. */
static void guest_asks_for(struct _test_data_pkvm *self, int vcpu, enum pkvm_op op, u64 gpa,
			   u64 nr, u64 nr_asked)
{
	TEST_ASSERT_EQ(run_range(self, vcpu, op, gpa, nr), 0);
	expect_request(self, vcpu, op, gpa, nr_asked);
}

/* What the guest is told. */
static long answer(struct _test_data_pkvm *self, int vcpu, u64 ret)
{
	self->vcpus[vcpu]->run->hypercall.ret = ret;
	vcpu_run(self->vcpus[vcpu]);
	return pkvm_puppet_result(self->vcpus[vcpu]);
}

static void convert(struct _test_data_pkvm *self, enum pkvm_op op, u64 gpa)
{
	guest_asks(self, 0, op, gpa);
	pkvm_agree(self->vcpus[0]);
	TEST_ASSERT_EQ(answer(self, 0, 0), SMCCC_RET_SUCCESS);
}

static void convert_range(struct _test_data_pkvm *self, enum pkvm_op op, u64 gpa, u64 nr)
{
	guest_asks_for(self, 0, op, gpa, nr, nr);
	pkvm_agree(self->vcpus[0]);
	TEST_ASSERT_EQ(answer(self, 0, 0), nr);
}

/* The guest is told without userspace being asked. */
static long told_at_once(struct _test_data_pkvm *self, enum pkvm_op op, u64 gpa, u64 arg)
{
	TEST_ASSERT_EQ(__run(self, 0, op, gpa, arg), 0);
	return pkvm_puppet_result(self->vcpus[0]);
}

static long range_told_at_once(struct _test_data_pkvm *self, enum pkvm_op op, u64 gpa, u64 nr)
{
	TEST_ASSERT_EQ(run_range(self, 0, op, gpa, nr), 0);
	return pkvm_puppet_result(self->vcpus[0]);
}

/* The guest's access exits, with its view of the page. */
static void expect_fault_of(struct _test_data_pkvm *self, enum pkvm_op op, u64 gpa, bool is_private,
			    int error)
{
	struct kvm_run *run = self->vcpus[0]->run;

	TEST_ASSERT_EQ(__run(self, 0, op, gpa, 0x3), -1);
	TEST_ASSERT_EQ(errno, error);
	TEST_ASSERT_KVM_EXIT_REASON(self->vcpus[0], KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT_EQ(run->memory_fault.gpa, gpa);
	TEST_ASSERT_EQ(run->memory_fault.size, SZ_4K);
	TEST_ASSERT_EQ(run->memory_fault.flags, is_private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0);
}

static void expect_fault(struct _test_data_pkvm *self, u64 gpa, bool is_private, int error)
{
	expect_fault_of(self, OP_READ, gpa, is_private, error);
}

/* The access that exited is never made. */
static void end_access(struct _test_data_pkvm *self)
{
	TEST_ASSERT(pkvm_end_access(self->vcpus[0]), "The guest isn't at an access");
	vcpu_run(self->vcpus[0]);
	TEST_ASSERT_EQ(pkvm_puppet_result(self->vcpus[0]), PKVM_ENDED);
}

/* The access that exited, once nothing is in its way. */
static u64 try_again(struct _test_data_pkvm *self)
{
	vcpu_run(self->vcpus[0]);
	return pkvm_puppet_result(self->vcpus[0]);
}

/* Whether host user space can read the page, itself and by a system call. */
static bool host_has(struct _test_data_pkvm *self, int page)
{
	char *mem = self->mem + page * SZ_4K;
	int fds[2], signal = read_signal(mem);
	bool readable;

	/* Refused by KVM, and not by the hypervisor when it's too late. */
	TEST_ASSERT(!signal || signal == SIGBUS, "Got signal %d", signal);
	TEST_ASSERT(!pipe(fds), "pipe() failed");
	readable = write(fds[1], mem, 1) == 1;
	TEST_ASSERT(readable || errno == EFAULT, "Expected EFAULT, got %d", errno);
	close(fds[0]);
	close(fds[1]);

	TEST_ASSERT_EQ(!signal, readable);
	return readable;
}

static u64 *host(struct _test_data_pkvm *self, int page)
{
	return (u64 *)(self->mem + page * SZ_4K);
}

/* A line of /proc/self/status that is in kB. */
static long status_kib(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	long kib = -1;

	TEST_ASSERT(file, "Can't open /proc/self/status");
	while (kib < 0 && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), " %ld", &kib);
	}
	fclose(file);
	TEST_ASSERT(kib >= 0, "There's no %s in /proc/self/status", name);
	return kib;
}

/* What's loaded while it's shared is the guest's, with its content, and not the host's. */
TEST_F(pkvm, load)
{
	long locked = status_kib("VmLck:"), pinned = status_kib("VmPin:");

	*host(self, 0) = 0x1234;
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_FALSE(host_has(self, 0));
	ASSERT_EQ(0x1234, guest_read(self, PAGE(0)));
	ASSERT_FALSE(host_has(self, 0));

	/* Nor does it count as memory that can't be freed. */
	ASSERT_EQ(0, locked);
	ASSERT_EQ(locked, status_kib("VmLck:"));
	ASSERT_EQ(pinned, status_kib("VmPin:"));
}

/* A page is the same page on both sides, and keeps its content. */
TEST_F(pkvm, share_and_unshare)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0xabcd);

	convert(self, OP_SHARE, PAGE(0));
	ASSERT_TRUE(host_has(self, 0));
	ASSERT_EQ(0xabcd, *host(self, 0));
	*host(self, 0) = 0xef01;
	ASSERT_EQ(0xef01, guest_read(self, PAGE(0)));

	convert(self, OP_UNSHARE, PAGE(0));
	ASSERT_FALSE(host_has(self, 0));
	ASSERT_EQ(0xef01, guest_read(self, PAGE(0)));
}

/* The same for a page that has no memory. */
TEST_F(pkvm, without_memory)
{
	vm_mem_set_private(self->vm, PAGE(1), SZ_4K);
	convert(self, OP_SHARE, PAGE(1));
	convert(self, OP_UNSHARE, PAGE(1));
	convert(self, OP_SHARE, PAGE(1));
	*host(self, 1) = 0x77;
	ASSERT_EQ(0x77, guest_read(self, PAGE(1)));
}

/* Asking for what is so is no question for userspace. */
TEST_F(pkvm, nothing_to_ask)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(SMCCC_RET_SUCCESS, told_at_once(self, OP_UNSHARE, PAGE(0), 0));
	guest_write(self, PAGE(0), 1);
	ASSERT_EQ(SMCCC_RET_SUCCESS, told_at_once(self, OP_UNSHARE, PAGE(0), 0));

	/* Not even if the attribute is another. */
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(SMCCC_RET_SUCCESS, told_at_once(self, OP_UNSHARE, PAGE(0), 0));
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);

	convert(self, OP_SHARE, PAGE(0));
	ASSERT_EQ(SMCCC_RET_SUCCESS, told_at_once(self, OP_SHARE, PAGE(0), 0));
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(SMCCC_RET_SUCCESS, told_at_once(self, OP_SHARE, PAGE(0), 0));
}

/* Whatever userspace answers, the guest is told what is in force. */
TEST_F(pkvm, deny)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 1);

	guest_asks(self, 0, OP_SHARE, PAGE(0));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, EINVAL));
	guest_asks(self, 0, OP_SHARE, PAGE(0));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, 0));
	ASSERT_EQ(1, guest_read(self, PAGE(0)));

	guest_asks(self, 0, OP_SHARE, PAGE(0));
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, EINVAL));
	ASSERT_EQ(1, *host(self, 0));
}

/* The attribute that comes after the answer is what userspace wants, and nobody asked for. */
TEST_F(pkvm, answer_that_is_late)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 1);

	guest_asks(self, 0, OP_SHARE, PAGE(0));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, 0));
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_FALSE(host_has(self, 0));
	expect_fault(self, PAGE(0), true, EFAULT);
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(1, try_again(self));

	/* Nor does a KVM_RUN count that doesn't get to the guest. */
	guest_asks(self, 0, OP_SHARE, PAGE(0));
	self->vcpus[0]->run->immediate_exit = 1;
	ASSERT_EQ(-1, __vcpu_run(self->vcpus[0]));
	ASSERT_EQ(EINTR, errno);
	self->vcpus[0]->run->immediate_exit = 0;
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_FALSE(host_has(self, 0));
	vcpu_run(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, (long)pkvm_puppet_result(self->vcpus[0]));
	ASSERT_FALSE(host_has(self, 0));
}

/* What is agreed to and then taken back was done, and undone. */
TEST_F(pkvm, answer_that_is_taken_back)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 1);

	guest_asks(self, 0, OP_SHARE, PAGE(0));
	pkvm_agree(self->vcpus[0]);
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
	ASSERT_FALSE(host_has(self, 0));
	expect_fault(self, PAGE(0), false, EFAULT);
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(1, try_again(self));
}

TEST_F(pkvm, answer_that_is_none)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_asks(self, 0, OP_SHARE, PAGE(0));
	self->vcpus[0]->run->hypercall.ret = EPERM;
	ASSERT_EQ(-1, _vcpu_run(self->vcpus[0]));
	ASSERT_EQ(EINVAL, errno);
	TEST_ASSERT_KVM_EXIT_REASON(self->vcpus[0], KVM_EXIT_HYPERCALL);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
}

static void inject_abort(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_events events = {
		.exception.ext_dabt_pending = true,
	};

	u64 pc = vcpu_get_reg(vcpu, ARM64_CORE_REG(regs.pc));

	vcpu_events_set(vcpu, &events);
	TEST_ASSERT(vcpu_get_reg(vcpu, ARM64_CORE_REG(regs.pc)) != pc,
		    "The vCPU hasn't taken the exception");
}

/* The guest is told all the same, after it has handled the abort. */
TEST_F(pkvm, answer_after_abort)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0x91);

	guest_asks(self, 0, OP_SHARE, PAGE(0));
	pkvm_agree(self->vcpus[0]);
	inject_abort(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
	ASSERT_EQ(0x91, *host(self, 0));

	guest_asks(self, 0, OP_UNSHARE, PAGE(0));
	inject_abort(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, EINVAL));

	/* Or asks again. */
	guest_asks(self, 0, OP_UNSHARE, PAGE(0));
	inject_abort(self->vcpus[0]);
	self->vcpus[0]->run->hypercall.ret = EAGAIN;
	vcpu_run(self->vcpus[0]);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
	ASSERT_EQ(0x91, guest_read(self, PAGE(0)));
}

/* The guest is made to ask again, and isn't told anything meanwhile. */
TEST_F(pkvm, later)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_asks(self, 0, OP_SHARE, PAGE(0));
	self->vcpus[0]->run->hypercall.ret = EAGAIN;
	vcpu_run(self->vcpus[0]);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));

	/* Or is told, as what it asks again is so by now. */
	guest_asks(self, 0, OP_UNSHARE, PAGE(0));
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, EAGAIN));

	/* The other way, too, it isn't told of what didn't happen. */
	convert(self, OP_SHARE, PAGE(0));
	guest_asks(self, 0, OP_UNSHARE, PAGE(0));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, EINVAL));
	ASSERT_TRUE(host_has(self, 0));
}

static u64 *add_late_slot(struct _test_data_pkvm *self, int *fd)
{
	u64 *mem;

	*fd = vm_create_guest_memfd(self->vm, SZ_4K,
				    GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE);
	mem = kvm_mmap(SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, *fd);
	vm_set_user_memory_region2(self->vm, LATE_SLOT, KVM_MEM_GUEST_MEMFD, LATE_GPA, SZ_4K,
				   mem, *fd, 0);
	return mem;
}

static void delete_late_slot(struct _test_data_pkvm *self, u64 *mem, int fd)
{
	vm_set_user_memory_region2(self->vm, LATE_SLOT, KVM_MEM_GUEST_MEMFD, LATE_GPA, 0,
				   mem, fd, 0);
	kvm_munmap(mem, SZ_4K);
	close(fd);
}

/* It's shared before it exists, and stays shared with other memory. */
TEST_F(pkvm, memslot_added_meanwhile)
{
	u64 *mem;
	int fd;

	guest_asks(self, 0, OP_SHARE, LATE_GPA);
	mem = add_late_slot(self, &fd);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
	*mem = 0x99;
	ASSERT_EQ(0x99, guest_read(self, LATE_GPA));

	/* What the guest shares, the host can take away as a whole. */
	delete_late_slot(self, mem, fd);
	mem = add_late_slot(self, &fd);
	*mem = 0x77;
	ASSERT_EQ(0x77, guest_read(self, LATE_GPA));
	delete_late_slot(self, mem, fd);
}

/* Userspace takes a page that the guest hasn't offered: nobody has it, nothing is lost. */
TEST_F(pkvm, withdraw_and_give_back)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0x5ec4e7);

	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_FALSE(host_has(self, 0));
	expect_fault(self, PAGE(0), true, EFAULT);
	ASSERT_FALSE(host_has(self, 0));

	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(0x5ec4e7, try_again(self));
	ASSERT_FALSE(host_has(self, 0));

	/* Writes, too, aren't lost. */
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	expect_fault_of(self, OP_WRITE, PAGE(0), true, EFAULT);
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(0x3, try_again(self));
	ASSERT_EQ(0x3, guest_read(self, PAGE(0)));
}

/* The attribute is the wanted one already, and still is the answer. */
TEST_F(pkvm, withdrawn_and_then_offered)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0x0ffe4);
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);

	guest_asks(self, 0, OP_SHARE, PAGE(0));
	ASSERT_FALSE(host_has(self, 0));
	pkvm_agree(self->vcpus[0]);
	ASSERT_TRUE(host_has(self, 0));
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
	ASSERT_EQ(0x0ffe4, *host(self, 0));
}

/* An offer that userspace doesn't want changes nothing. */
TEST_F(pkvm, withdrawn_and_then_denied)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0xde41);
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);

	guest_asks(self, 0, OP_SHARE, PAGE(0));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, 0));
	ASSERT_FALSE(host_has(self, 0));
	expect_fault(self, PAGE(0), true, EFAULT);
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(0xde41, try_again(self));
}

/* The guest shares what has no memory yet: the host's content is what it finds. */
TEST_F(pkvm, shared_before_it_has_memory)
{
	vm_mem_set_private(self->vm, PAGE(0), 2 * SZ_4K);
	convert(self, OP_SHARE, PAGE(0));
	convert(self, OP_SHARE, PAGE(1));

	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_FALSE(host_has(self, 0));
	expect_fault(self, PAGE(0), false, EFAULT);
	end_access(self);

	*host(self, 1) = 0x66;
	convert(self, OP_UNSHARE, PAGE(1));
	ASSERT_FALSE(host_has(self, 1));
	ASSERT_EQ(0x66, guest_read(self, PAGE(1)));
}

/* Private for userspace, shared for the guest; and nothing of it was touched. */
TEST_F(pkvm, taken_from_what_is_shared)
{
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0x44);
	convert(self, OP_SHARE, PAGE(0));

	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_FALSE(host_has(self, 0));
	expect_fault(self, PAGE(0), false, EFAULT);
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(0x44, try_again(self));
	ASSERT_TRUE(host_has(self, 0));

	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	convert(self, OP_UNSHARE, PAGE(0));
	ASSERT_EQ(0x44, guest_read(self, PAGE(0)));
}

/* A page that was never private for userspace is private for the guest. */
TEST_F(pkvm, private_by_default)
{
	expect_fault(self, PAGE(3), true, EFAULT);
	ASSERT_TRUE(host_has(self, 3));
	*host(self, 3) = 0x33;
	vm_mem_set_private(self->vm, PAGE(3), SZ_4K);
	ASSERT_EQ(0x33, try_again(self));
}

/* A page that is used keeps both memslots from becoming private, and nothing changes. */
TEST_F(pkvm, in_use)
{
	struct iovec iov = { .iov_base = host(self, 3), .iov_len = 1 };
	struct kvm_memory_attributes attrs = {
		.address = PAGE(0),
		.size = TEST_PAGES * SZ_4K,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	int fds[2], i;

	vm_mem_set_private(self->vm, PAGE(0), TEST_PAGES * SZ_4K);
	for (i = 0; i < TEST_PAGES; i++) {
		guest_write(self, PAGE(i), i + 1);
		convert(self, OP_SHARE, PAGE(i));
	}

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(1, vmsplice(fds[1], &iov, 1, 0));

	guest_asks(self, 0, OP_UNSHARE, PAGE(0));
	ASSERT_EQ(-1, __vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs));
	ASSERT_EQ(EAGAIN, errno);
	for (i = 0; i < TEST_PAGES; i++)
		ASSERT_EQ(i + 1, *host(self, i));

	close(fds[0]);
	close(fds[1]);
	vm_mem_set_private(self->vm, PAGE(0), TEST_PAGES * SZ_4K);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
	ASSERT_EQ(1, guest_read(self, PAGE(0)));
	expect_fault(self, PAGE(1), false, EFAULT);
}

static void punch(int fd, int page)
{
	kvm_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * SZ_4K, SZ_4K);
}

static void punch_hole(struct _test_data_pkvm *self, int page)
{
	punch(self->gmem, page);
}

/* What the guest shares, it gets anew. What is anew is zero, for the host as well. */
TEST_F(pkvm, hole_in_shared_memory)
{
	vm_mem_set_private(self->vm, PAGE(0), TEST_PAGES * SZ_4K);
	guest_write(self, PAGE(0), 1);
	convert(self, OP_SHARE, PAGE(0));
	punch_hole(self, 0);
	ASSERT_EQ(0, guest_read(self, PAGE(0)));
	*host(self, 0) = 0x11;
	ASSERT_EQ(0x11, guest_read(self, PAGE(0)));
	guest_write(self, PAGE(0), 0x12);
	ASSERT_EQ(0x12, *host(self, 0));

	/* It still is private for userspace. */
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	punch_hole(self, 0);
	expect_fault(self, PAGE(0), false, EFAULT);
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(0, try_again(self));

	/* The guest has had no memory there, and the host has. */
	convert(self, OP_SHARE, PAGE(1));
	punch_hole(self, 1);
	*host(self, 1) = 0x13;
	punch_hole(self, 1);
	ASSERT_EQ(0, guest_read(self, PAGE(1)));
}

/* What the guest has never touched is the host's to free. */
TEST_F(pkvm, hole_in_untouched_memory)
{
	*host(self, 0) = 0x21;
	*host(self, 1) = 0x22;
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);

	punch_hole(self, 0);
	ASSERT_EQ(0, guest_read(self, PAGE(0)));
	punch_hole(self, 1);
	ASSERT_EQ(0, *host(self, 1));
	expect_fault(self, PAGE(1), true, EFAULT);
	vm_mem_set_private(self->vm, PAGE(1), SZ_4K);
	ASSERT_EQ(0, try_again(self));
}

/* Whatever is done, the guest finds nothing where its memory was, and isn't heard. */
static void expect_gone(struct _test_data_pkvm *self, u64 gpa)
{
	expect_fault(self, gpa, true, EHWPOISON);
	end_access(self);
	expect_fault_of(self, OP_WRITE, gpa, true, EHWPOISON);
	end_access(self);
	TEST_ASSERT_EQ(told_at_once(self, OP_SHARE, gpa, 0), SMCCC_RET_INVALID_PARAMETER);
	TEST_ASSERT_EQ(told_at_once(self, OP_UNSHARE, gpa, 0), SMCCC_RET_INVALID_PARAMETER);
}

/* What is the guest's own is gone for good, and nothing else gets in its place. */
TEST_F(pkvm, hole_in_private_memory)
{
	vm_mem_set_private(self->vm, PAGE(0), 2 * SZ_4K);
	guest_write(self, PAGE(0), 0x31);
	guest_write(self, PAGE(1), 0x32);
	vm_mem_set_shared(self->vm, PAGE(1), SZ_4K);

	punch_hole(self, 0);
	punch_hole(self, 1);
	expect_gone(self, PAGE(0));
	expect_gone(self, PAGE(1));

	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_TRUE(host_has(self, 0));
	ASSERT_TRUE(host_has(self, 1));
	*host(self, 0) = 0x33;
	expect_gone(self, PAGE(0));

	vm_mem_set_private(self->vm, PAGE(0), 2 * SZ_4K);
	expect_gone(self, PAGE(0));
	expect_gone(self, PAGE(1));
	punch_hole(self, 0);
	expect_gone(self, PAGE(0));
}

/* Without the file, there is nothing to be mapped, and what was the guest's is gone. */
TEST_F(pkvm, file_closed)
{
	u64 *mem;
	int fd;

	mem = add_late_slot(self, &fd);
	vm_mem_set_private(self->vm, LATE_GPA, SZ_4K);
	guest_write(self, LATE_GPA, 0x41);
	kvm_munmap(mem, SZ_4K);
	close(fd);

	expect_fault(self, LATE_GPA, true, EFAULT);
	end_access(self);
	vm_set_user_memory_region2(self->vm, LATE_SLOT, KVM_MEM_GUEST_MEMFD, LATE_GPA, 0,
				   mem, 0, 0);

	mem = add_late_slot(self, &fd);
	expect_gone(self, LATE_GPA);
	punch(fd, 0);
	delete_late_slot(self, mem, fd);
}

static void do_nothing(int sig)
{
}

/* Nobody gets a page with a memory error; as it was shared, there can be other memory. */
TEST_F(pkvm, memory_error)
{
	const struct sigaction action = { .sa_handler = do_nothing };
	struct sigaction old;
	u64 *mem;

	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0x51);
	convert(self, OP_SHARE, PAGE(0));
	TEST_ASSERT(!sigaction(SIGBUS, &action, &old), "sigaction() failed");
	/* EBUSY says that the page still belongs to the file. */
	if (madvise(host(self, 0), SZ_4K, MADV_HWPOISON) && errno != EBUSY)
		SKIP(return, "Memory errors can't be made, errno %d", errno);
	TEST_ASSERT(!sigaction(SIGBUS, &old, NULL), "sigaction() failed");

	expect_fault(self, PAGE(0), false, EHWPOISON);
	punch_hole(self, 0);
	ASSERT_EQ(0, try_again(self));
	/* The mapping that had the error keeps it. */
	mem = kvm_mmap(SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, self->gmem);
	*mem = 0x52;
	ASSERT_EQ(0x52, guest_read(self, PAGE(0)));
	kvm_munmap(mem, SZ_4K);
}

#define CORRUPT_PFN	"/sys/kernel/debug/hwpoison/corrupt-pfn"

static void corrupt(unsigned long pfn)
{
	int fd = open(CORRUPT_PFN, O_WRONLY);

	TEST_ASSERT(fd >= 0, "Can't open " CORRUPT_PFN);
	/* EBUSY says that the page still belongs to the file. */
	TEST_ASSERT(dprintf(fd, "%#lx", pfn) > 0 || errno == EBUSY,
		    "Page %#lx can't have an error, errno %d", pfn, errno);
	close(fd);
}

/* A private page with an error is the guest's for good, and nobody accesses it. */
TEST_F(pkvm, private_memory_error)
{
	struct kvm_memory_attributes share = {
		.address = PAGE(0),
		.size = SZ_4K,
	};
	struct pkvm_pages now, before;
	unsigned long pfn;

	if (access(CORRUPT_PFN, W_OK))
		SKIP(return, "needs CONFIG_HWPOISON_INJECT and debugfs");

	*host(self, 0) = 0x61;
	pfn = pkvm_to_pfn(host(self, 0));
	vm_mem_set_private(self->vm, PAGE(0), 2 * SZ_4K);
	guest_write(self, PAGE(0), 0x62);
	before = pkvm_check_pages();

	corrupt(pfn);
	expect_fault(self, PAGE(0), true, EHWPOISON);
	end_access(self);
	ASSERT_FALSE(host_has(self, 0));
	now = pkvm_check_pages();
	ASSERT_EQ(before.el2_guest, now.el2_guest);

	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_FALSE(host_has(self, 0));
	expect_fault(self, PAGE(0), true, EHWPOISON);
	end_access(self);
	guest_asks(self, 0, OP_SHARE, PAGE(0));
	ASSERT_EQ(-1, __vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &share));
	ASSERT_EQ(EHWPOISON, errno);
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, 0));

	/* Other memory is no substitute. */
	punch_hole(self, 0);
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	expect_fault(self, PAGE(0), true, EHWPOISON);
	end_access(self);

	/* An error in what's withdrawn. */
	vm_mem_set_shared(self->vm, PAGE(1), SZ_4K);
	*host(self, 1) = 0x71;
	pfn = pkvm_to_pfn(host(self, 1));
	vm_mem_set_private(self->vm, PAGE(1), SZ_4K);
	guest_write(self, PAGE(1), 0x72);
	vm_mem_set_shared(self->vm, PAGE(1), SZ_4K);
	corrupt(pfn);
	vm_mem_set_private(self->vm, PAGE(1), SZ_4K);
	expect_fault(self, PAGE(1), true, EHWPOISON);
	end_access(self);
}

#define SOFT_OFFLINE	"/sys/devices/system/memory/soft_offline_page"

/* A page that the guest has isn't taken for one that nobody uses. */
TEST_F(pkvm, soft_offline)
{
	int fd = open(SOFT_OFFLINE, O_WRONLY);
	unsigned long pfn;

	if (fd < 0)
		SKIP(return, "needs CONFIG_MEMORY_HOTPLUG and CONFIG_MEMORY_FAILURE");

	/* Read only, as what the host has written is left alone anyway. */
	ASSERT_TRUE(host_has(self, 0));
	pfn = pkvm_to_pfn(host(self, 0));
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0x81);
	ASSERT_LT(dprintf(fd, "%#lx", pfn * SZ_4K), 0);
	ASSERT_EQ(EBUSY, errno);
	convert(self, OP_SHARE, PAGE(0));
	ASSERT_LT(dprintf(fd, "%#lx", pfn * SZ_4K), 0);
	ASSERT_EQ(EBUSY, errno);
	close(fd);

	ASSERT_EQ(0x81, *host(self, 0));
	guest_write(self, PAGE(0), 0x82);
	ASSERT_EQ(0x82, *host(self, 0));
}

/* The memory that the guest offers is lost meanwhile: neither page is converted. */
TEST_F(pkvm, lost_while_it_is_asked_for)
{
	struct kvm_memory_attributes attrs = {
		.address = PAGE(1),
		.size = 2 * SZ_4K,
	};

	vm_mem_set_private(self->vm, PAGE(0), TEST_PAGES * SZ_4K);
	guest_write(self, PAGE(1), 1);
	guest_write(self, PAGE(2), 2);

	guest_asks(self, 0, OP_SHARE, PAGE(1));
	guest_asks(self, 1, OP_SHARE, PAGE(2));
	punch_hole(self, 2);
	ASSERT_EQ(-1, __vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs));
	ASSERT_EQ(EHWPOISON, errno);
	ASSERT_FALSE(host_has(self, 1));
	ASSERT_FALSE(host_has(self, 2));

	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 1, 0));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, 0));
	ASSERT_EQ(1, guest_read(self, PAGE(1)));
	expect_fault(self, PAGE(2), true, EHWPOISON);
}

/* The host can't lose sight of memory that is the guest's. */
TEST_F(pkvm, memslot_deleted)
{
	struct pkvm_pages before;

	vm_mem_set_private(self->vm, PAGE(0), TEST_PAGES * SZ_4K);
	guest_write(self, PAGE(0), 1);
	guest_write(self, PAGE(1), 1);
	convert(self, OP_SHARE, PAGE(1));
	before = pkvm_check_pages();

	ASSERT_EQ(-1, __vm_set_user_memory_region2(self->vm, TEST_SLOT, KVM_MEM_GUEST_MEMFD,
						   PAGE(0), 0, self->mem, self->gmem, 0));
	ASSERT_EQ(EPERM, errno);
	/* Nor has it lost what the guest shares, to give it back later. */
	ASSERT_EQ(before.el2_both, pkvm_check_pages().el2_both);
	ASSERT_EQ(1, guest_read(self, PAGE(0)));

	/* Withdrawn, it's still the guest's. */
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(-1, __vm_set_user_memory_region2(self->vm, TEST_SLOT, KVM_MEM_GUEST_MEMFD,
						   PAGE(0), 0, self->mem, self->gmem, 0));
	ASSERT_EQ(EPERM, errno);
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(1, guest_read(self, PAGE(0)));

	punch_hole(self, 0);
	vm_set_user_memory_region2(self->vm, TEST_SLOT, KVM_MEM_GUEST_MEMFD, PAGE(0), 0,
				   self->mem, self->gmem, 0);
}

struct run {
	struct kvm_vcpu *vcpu;
	int error;
};

static void *run_until_signal(void *arg)
{
	struct run *run = arg;

	run->error = __vcpu_run(run->vcpu) ? errno : 0;
	return NULL;
}

/*
 * The second vCPU asks while the first's request waits for its answer: it comes back to KVM
 * again and again, and never gets to userspace.
 */
static void second_still_waits(struct _test_data_pkvm *self)
{
	const struct sigaction action = { .sa_handler = do_nothing };
	struct run run = { .vcpu = self->vcpus[1] };
	pthread_t thread;
	u64 exits;

	TEST_ASSERT(!sigaction(SIGUSR1, &action, NULL), "sigaction() failed");
	kvm_pthread_create(&thread, NULL, run_until_signal, &run);

	while (!READ_ONCE(self->commands[1]->begun))
		;
	exits = vcpu_get_stat(self->vcpus[1], exits);
	while (vcpu_get_stat(self->vcpus[1], exits) < exits + 10)
		;
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	TEST_ASSERT_EQ(run.error, EINTR);
}

static void second_waits(struct _test_data_pkvm *self, enum pkvm_op op, u64 gpa)
{
	*self->commands[1] = (struct pkvm_command) { .op = op, .gpa = gpa };
	second_still_waits(self);
}

/* Two vCPUs want the same page: who is second waits, and isn't told what isn't so. */
TEST_F(pkvm, two_vcpus)
{
	u64 gpa = PAGE(0);

	vm_mem_set_private(self->vm, gpa, SZ_4K);
	guest_write(self, gpa, 0x61);
	guest_asks(self, 0, OP_SHARE, gpa);
	second_waits(self, OP_SHARE, gpa);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
	vcpu_run(self->vcpus[1]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, (long)pkvm_puppet_result(self->vcpus[1]));
	ASSERT_EQ(0x61, *host(self, 0));

	/* If the first is refused, then the second is to ask on its own. */
	guest_asks(self, 0, OP_UNSHARE, gpa);
	second_waits(self, OP_UNSHARE, gpa);
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, EINVAL));
	vcpu_run(self->vcpus[1]);
	pkvm_agree(self->vcpus[1]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 1, 0));
	ASSERT_FALSE(host_has(self, 0));
	ASSERT_EQ(0x61, guest_read(self, gpa));
}

/* Each gets what it asks for, in whatever order that is answered, or all at once. */
TEST_F(pkvm, two_requests)
{
	vm_mem_set_private(self->vm, PAGE(0), 2 * SZ_4K);
	guest_asks(self, 1, OP_SHARE, PAGE(0));
	guest_asks(self, 0, OP_SHARE, PAGE(1));
	pkvm_agree(self->vcpus[1]);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 1, 0));
	ASSERT_TRUE(host_has(self, 0));
	ASSERT_TRUE(host_has(self, 1));

	guest_asks(self, 1, OP_UNSHARE, PAGE(0));
	guest_asks(self, 0, OP_UNSHARE, PAGE(1));
	vm_mem_set_private(self->vm, PAGE(0), 2 * SZ_4K);
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 0, 0));
	ASSERT_EQ(SMCCC_RET_SUCCESS, answer(self, 1, 0));
	ASSERT_FALSE(host_has(self, 0));
	ASSERT_FALSE(host_has(self, 1));
}

static bool stop;
static unsigned int nr_changes;

/* Userspace says this and that, without a look at what the guest asks for. */
static void *change_attribute(void *vm)
{
	while (!READ_ONCE(stop)) {
		vm_set_memory_attributes(vm, PAGE(0), SZ_4K,
					 nr_changes & 1 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
		WRITE_ONCE(nr_changes, nr_changes + 1);
	}
	return NULL;
}

/* However that ends, what the guest is told is what the page is for it. */
TEST_F(pkvm, racing_ioctl)
{
	bool shared = false;
	int i, converted = 0;
	pthread_t thread;

	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0x71);

	for (i = 0; i < 50; i++) {
		guest_asks(self, 0, shared ? OP_UNSHARE : OP_SHARE, PAGE(0));
		nr_changes = 0;
		WRITE_ONCE(stop, false);
		kvm_pthread_create(&thread, NULL, change_attribute, self->vm);
		while (READ_ONCE(nr_changes) < i % 3)
			;
		if (answer(self, 0, 0) == SMCCC_RET_SUCCESS) {
			shared = !shared;
			converted++;
		}
		WRITE_ONCE(stop, true);
		pthread_join(thread, NULL);

		vm_set_memory_attributes(self->vm, PAGE(0), SZ_4K,
					 shared ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
		expect_fault(self, PAGE(0), !shared, EFAULT);
		vm_set_memory_attributes(self->vm, PAGE(0), SZ_4K,
					 shared ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE);
		ASSERT_EQ(0x71, try_again(self));
		ASSERT_EQ(shared, host_has(self, 0));
	}
	TH_LOG("%d of %d requests were converted", converted, i);
}

/* What each side has of a page, by what is done with it. */
TEST_F(pkvm, accounts)
{
	struct pkvm_pages before, now;

	if (!pkvm_has_pages())
		SKIP(return, "EL2 isn't built for debugging, and doesn't tell what it has");

	/* Its code for that has to be there before. */
	vm_mem_set_private(self->vm, PAGE(0), 3 * SZ_4K);
	guest_write(self, PAGE(2), 1);
	convert(self, OP_SHARE, PAGE(2));

	before = pkvm_check_pages();

	guest_write(self, PAGE(0), 1);
	guest_write(self, PAGE(1), 1);
	now = pkvm_check_pages();
	ASSERT_EQ(before.el2_guest + 2, now.el2_guest);
	ASSERT_EQ(before.el2_both, now.el2_both);

	convert(self, OP_SHARE, PAGE(0));
	now = pkvm_check_pages();
	ASSERT_EQ(before.el2_guest + 1, now.el2_guest);
	ASSERT_EQ(before.el2_both + 1, now.el2_both);

	/* Nobody has it, but it's the guest's. */
	vm_mem_set_shared(self->vm, PAGE(1), SZ_4K);
	now = pkvm_check_pages();
	ASSERT_EQ(before.el2_guest + 1, now.el2_guest);

	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	now = pkvm_check_pages();
	ASSERT_EQ(before.el2_both, now.el2_both);

	punch_hole(self, 1);
	now = pkvm_check_pages();
	ASSERT_EQ(before.el2_guest, now.el2_guest);
}

static void guest_of_another_vm(void)
{
	READ_ONCE(*(u64 *)TEST_GPA);
	GUEST_DONE();
}

/* The host's mapping of what is shared can be another VM's memory, and one has it. */
TEST_F(pkvm, shared_with_another_vm)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm_mem_set_private(self->vm, PAGE(1), SZ_4K);
	convert(self, OP_SHARE, PAGE(1));
	*host(self, 1) = 0x88;

	vm = vm_create_with_one_vcpu(&vcpu, guest_of_another_vm);
	vm_set_user_memory_region(vm, TEST_SLOT, 0, TEST_GPA, SZ_4K, host(self, 1));
	virt_map(vm, TEST_GPA, TEST_GPA, 1);
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_DONE);

	ASSERT_EQ(-1, __run(self, 0, OP_READ, PAGE(1), 0));
	ASSERT_EQ(EBUSY, errno);

	kvm_vm_free(vm);
	ASSERT_EQ(0x88, try_again(self));
}

/* Pages that are private, and have content that tells them apart. */
static void write_all(struct _test_data_pkvm *self)
{
	int i;

	vm_mem_set_private(self->vm, PAGE(0), TEST_PAGES * SZ_4K);
	for (i = 0; i < TEST_PAGES; i++)
		guest_write(self, PAGE(i), i + 1);
}

/* Which of them the host has, a bit each. Their content is what it was. */
static unsigned int hosts_pages(struct _test_data_pkvm *self)
{
	unsigned int pages = 0;
	int i;

	for (i = 0; i < TEST_PAGES; i++) {
		if (!host_has(self, i))
			continue;
		TEST_ASSERT_EQ(*host(self, i), i + 1);
		pages |= BIT(i);
	}
	return pages;
}

/* A guest can find out that it can say how many pages it wants. */
TEST_F(pkvm, counts_are_known)
{
	ASSERT_EQ(0, __run(self, 0, OP_HVC, PKVM_MEMINFO, 0));
	ASSERT_EQ(SZ_4K, pkvm_puppet_result(self->vcpus[0]));
	ASSERT_EQ(0, __run(self, 0, OP_HVC_R1, PKVM_MEMINFO, 0));
	ASSERT_EQ(PKVM_MEMINFO_COUNTS, pkvm_puppet_result(self->vcpus[0]));
}

/* Both memslots' pages at once. */
TEST_F(pkvm, range)
{
	int i;

	write_all(self);
	convert_range(self, OP_SHARE, PAGE(0), TEST_PAGES);
	ASSERT_EQ(0xf, hosts_pages(self));
	ASSERT_EQ(TEST_PAGES, range_told_at_once(self, OP_SHARE, PAGE(0), TEST_PAGES));

	convert_range(self, OP_UNSHARE, PAGE(0), TEST_PAGES);
	ASSERT_EQ(0, hosts_pages(self));
	for (i = 0; i < TEST_PAGES; i++)
		ASSERT_EQ(i + 1, guest_read(self, PAGE(i)));

	/* One is a range, too. */
	convert_range(self, OP_SHARE, PAGE(2), 1);
	ASSERT_EQ(BIT(2), hosts_pages(self));
}

/* Userspace agrees to a part, and the guest is told to how much. */
TEST_F(pkvm, range_in_part)
{
	write_all(self);
	guest_asks_for(self, 0, OP_SHARE, PAGE(0), 4, 4);
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	vm_mem_set_shared(self->vm, PAGE(1), SZ_4K);
	ASSERT_EQ(2, answer(self, 0, 0));
	ASSERT_EQ(0x3, hosts_pages(self));
	ASSERT_EQ(3, guest_read(self, PAGE(2)));

	/* Or is told by being denied the rest, or told to ask again for it. */
	guest_asks_for(self, 0, OP_UNSHARE, PAGE(0), 4, 2);
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(1, answer(self, 0, EINVAL));
	guest_asks_for(self, 0, OP_SHARE, PAGE(2), 2, 2);
	vm_mem_set_shared(self->vm, PAGE(2), SZ_4K);
	ASSERT_EQ(1, answer(self, 0, EAGAIN));
	ASSERT_EQ(0x6, hosts_pages(self));

	/* Also by a KVM_RUN that doesn't get to the guest. */
	guest_asks_for(self, 0, OP_UNSHARE, PAGE(1), 2, 2);
	vm_mem_set_private(self->vm, PAGE(1), SZ_4K);
	self->vcpus[0]->run->immediate_exit = 1;
	ASSERT_EQ(-1, __vcpu_run(self->vcpus[0]));
	ASSERT_EQ(EINTR, errno);
	self->vcpus[0]->run->immediate_exit = 0;
	vm_mem_set_private(self->vm, PAGE(2), SZ_4K);
	vcpu_run(self->vcpus[0]);
	ASSERT_EQ(1, pkvm_puppet_result(self->vcpus[0]));
	ASSERT_EQ(0, hosts_pages(self));
	expect_fault(self, PAGE(2), false, EFAULT);
	end_access(self);

	/* And what it has done before isn't for long. */
	guest_asks_for(self, 0, OP_SHARE, PAGE(3), 1, 1);
	pkvm_agree(self->vcpus[0]);
	vm_mem_set_private(self->vm, PAGE(3), SZ_4K);
	ASSERT_EQ(1, answer(self, 0, 0));
	expect_fault(self, PAGE(3), false, EFAULT);
}

TEST_F(pkvm, range_denied)
{
	write_all(self);
	guest_asks_for(self, 0, OP_SHARE, PAGE(0), 4, 4);
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, 0));

	guest_asks_for(self, 0, OP_SHARE, PAGE(0), 4, 4);
	self->vcpus[0]->run->hypercall.ret = EAGAIN;
	vcpu_run(self->vcpus[0]);
	expect_request(self, 0, OP_SHARE, PAGE(0), 4);
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, EINVAL));
	ASSERT_EQ(0, hosts_pages(self));

	/* As it's denied, what comes now isn't what it wants. */
	vm_mem_set_shared(self->vm, PAGE(0), TEST_PAGES * SZ_4K);
	ASSERT_EQ(0, hosts_pages(self));
}

/* It can only be told of the first pages: what is agreed to behind those is withdrawn. */
TEST_F(pkvm, range_out_of_order)
{
	write_all(self);
	guest_asks_for(self, 0, OP_SHARE, PAGE(0), 3, 3);
	vm_mem_set_shared(self->vm, PAGE(1), 2 * SZ_4K);
	ASSERT_EQ(0, hosts_pages(self));
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_EQ(1, answer(self, 0, 0));
	ASSERT_EQ(0x1, hosts_pages(self));
	expect_fault(self, PAGE(1), true, EFAULT);
	end_access(self);

	/* With what is withdrawn in its turn. */
	guest_asks_for(self, 0, OP_SHARE, PAGE(1), 3, 3);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(3, answer(self, 0, 0));
	ASSERT_EQ(0xf, hosts_pages(self));

	/* The other way, the guest shares it without memory meanwhile. */
	guest_asks_for(self, 0, OP_UNSHARE, PAGE(0), 2, 2);
	vm_mem_set_private(self->vm, PAGE(1), SZ_4K);
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, 0));
	convert_range(self, OP_UNSHARE, PAGE(0), 2);
	ASSERT_EQ(0xc, hosts_pages(self));
	ASSERT_EQ(2, guest_read(self, PAGE(1)));
}

/* Userspace is asked for what isn't so, up to what is. */
TEST_F(pkvm, range_of_both)
{
	write_all(self);
	convert(self, OP_SHARE, PAGE(2));
	guest_asks_for(self, 0, OP_SHARE, PAGE(0), 4, 2);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(2, answer(self, 0, 0));
	ASSERT_EQ(3, range_told_at_once(self, OP_SHARE, PAGE(0), 4));
	ASSERT_EQ(1, range_told_at_once(self, OP_SHARE, PAGE(2), 2));
	ASSERT_EQ(1, range_told_at_once(self, OP_UNSHARE, PAGE(3), 1));
	guest_asks_for(self, 0, OP_UNSHARE, PAGE(1), 3, 2);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(2, answer(self, 0, 0));
	ASSERT_EQ(0x1, hosts_pages(self));
}

/* A page is lost: all is converted or nothing, and what's before it can be. */
TEST_F(pkvm, range_with_a_hole)
{
	struct kvm_memory_attributes attrs = {
		.address = PAGE(0),
		.size = TEST_PAGES * SZ_4K,
	};

	write_all(self);
	guest_asks_for(self, 0, OP_SHARE, PAGE(0), 4, 4);
	punch_hole(self, 2);
	ASSERT_EQ(-1, __vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs));
	ASSERT_EQ(EHWPOISON, errno);
	ASSERT_EQ(0, hosts_pages(self));

	vm_mem_set_shared(self->vm, PAGE(0), 2 * SZ_4K);
	ASSERT_EQ(2, answer(self, 0, 0));
	ASSERT_EQ(0x3, hosts_pages(self));
	ASSERT_EQ(4, guest_read(self, PAGE(3)));

	/* It's no more than up to there that is asked for. */
	convert(self, OP_UNSHARE, PAGE(1));
	guest_asks_for(self, 0, OP_SHARE, PAGE(1), 3, 1);
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, answer(self, 0, 0));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, range_told_at_once(self, OP_SHARE, PAGE(2), 2));
}

/* One page is in use: none is converted. */
TEST_F(pkvm, range_in_use)
{
	struct iovec iov = { .iov_base = host(self, 3), .iov_len = 1 };
	struct kvm_memory_attributes attrs = {
		.address = PAGE(0),
		.size = TEST_PAGES * SZ_4K,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	int fds[2];

	write_all(self);
	convert_range(self, OP_SHARE, PAGE(0), TEST_PAGES);
	/* Not all of them have the attribute that they have for the guest. */
	vm_mem_set_private(self->vm, PAGE(1), SZ_4K);
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(1, vmsplice(fds[1], &iov, 1, 0));

	guest_asks_for(self, 0, OP_UNSHARE, PAGE(0), 4, 4);
	ASSERT_EQ(-1, __vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs));
	ASSERT_EQ(EAGAIN, errno);
	ASSERT_EQ(0xd, hosts_pages(self));

	close(fds[0]);
	close(fds[1]);
	pkvm_agree(self->vcpus[0]);
	ASSERT_EQ(4, answer(self, 0, 0));
	ASSERT_EQ(0, hosts_pages(self));
}

/* A range ends before what another vCPU waits for, and waits if it begins there. */
TEST_F(pkvm, ranges_of_two_vcpus)
{
	write_all(self);
	guest_asks_for(self, 0, OP_SHARE, PAGE(2), 2, 2);
	guest_asks_for(self, 1, OP_SHARE, PAGE(0), 4, 2);
	vm_mem_set_shared(self->vm, PAGE(0), TEST_PAGES * SZ_4K);
	ASSERT_EQ(2, answer(self, 0, 0));
	ASSERT_EQ(2, answer(self, 1, 0));
	ASSERT_EQ(0xf, hosts_pages(self));

	guest_asks_for(self, 0, OP_UNSHARE, PAGE(0), 2, 2);
	*self->commands[1] = (struct pkvm_command) { .op = OP_UNSHARE, .gpa = PAGE(1), .nr = 2 };
	second_still_waits(self);
	/* The first one's page is converted, and it isn't told: it still waits for both. */
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	second_still_waits(self);
	ASSERT_EQ(1, answer(self, 0, 0));
	vcpu_run(self->vcpus[1]);
	expect_request(self, 1, OP_UNSHARE, PAGE(1), 2);
	pkvm_agree(self->vcpus[1]);
	ASSERT_EQ(2, answer(self, 1, 0));
	ASSERT_EQ(0x8, hosts_pages(self));
}

/*
 * The most that can be asked for at once, by both vCPUs, without memslots, and each on both
 * sides of where page tables end: the second's of all levels, if there are 4.
 */
TEST_F(pkvm, ranges_without_memory)
{
	const u64 gpas[] = { LATE_GPA - 30 * SZ_4K, BIT_ULL(39) - 30 * SZ_4K };
	const u64 size = gpas[1] - gpas[0] + 64 * SZ_4K;
	struct pkvm_pages before;
	int i;

	for (i = 0; i < 2; i++) {
		before = pkvm_check_pages();
		guest_asks_for(self, 0, OP_SHARE, gpas[0], 1000, 64);
		guest_asks_for(self, 1, OP_SHARE, gpas[1], 1000, 64);
		vm_mem_set_shared(self->vm, gpas[0], size);
		ASSERT_EQ(64, answer(self, 0, 0));
		ASSERT_EQ(64, answer(self, 1, 0));
		ASSERT_EQ(64, range_told_at_once(self, OP_SHARE, gpas[1], 64));
		ASSERT_EQ(1, range_told_at_once(self, OP_SHARE, gpas[1] + 63 * SZ_4K, 64));

		guest_asks_for(self, 0, OP_UNSHARE, gpas[0], 1000, 64);
		guest_asks_for(self, 1, OP_UNSHARE, gpas[1], 1000, 64);
		vm_mem_set_private(self->vm, gpas[0], size);
		ASSERT_EQ(64, answer(self, 0, 0));
		ASSERT_EQ(64, answer(self, 1, 0));
	}
	/* What it has taken for page tables is kept for the next time, and not more each time. */
	ASSERT_EQ(before.el2_hyp, pkvm_check_pages().el2_hyp);
}

/* What a vCPU has asked for that is reset is nobody's business any more. */
TEST_F(pkvm, reset)
{
	struct kvm_vcpu_init init = self->vcpus[1]->init;

	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
	guest_write(self, PAGE(0), 0x55);
	guest_asks(self, 1, OP_SHARE, PAGE(0));

	init.features[0] |= BIT(KVM_ARM_VCPU_POWER_OFF);
	vcpu_ioctl(self->vcpus[1], KVM_ARM_VCPU_INIT, &init);

	/* It isn't converted, though the attribute is what it has asked for. */
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	ASSERT_FALSE(host_has(self, 0));

	/* Nor does another one wait for it. */
	convert(self, OP_SHARE, PAGE(0));
	ASSERT_EQ(0x55, *host(self, 0));
}

/* Of several pages that it doesn't know of, it can't go on as if it did. */
TEST_F(pkvm, reset_of_range)
{
	u64 pc;

	write_all(self);
	guest_asks_for(self, 1, OP_SHARE, PAGE(0), 2, 2);
	pkvm_agree(self->vcpus[1]);
	pc = vcpu_get_reg(self->vcpus[1], ARM64_CORE_REG(regs.pc));
	vcpu_ioctl(self->vcpus[1], KVM_ARM_VCPU_INIT, &self->vcpus[1]->init);
	vcpu_set_reg(self->vcpus[1], ARM64_CORE_REG(regs.pc), pc);
	ASSERT_EQ(-1, __vcpu_run(self->vcpus[1]));
	ASSERT_EQ(EINVAL, errno);
	TEST_ASSERT_KVM_EXIT_REASON(self->vcpus[1], KVM_EXIT_FAIL_ENTRY);
	ASSERT_EQ(0, self->vcpus[1]->run->fail_entry.hardware_entry_failure_reason);

	/* But one that starts at a vector, in a page that it can't access, isn't interrupted. */
	vcpu_set_reg(self->vcpus[1], ARM64_CORE_REG(elr_el1), pc);
	vcpu_ioctl(self->vcpus[1], KVM_ARM_VCPU_INIT, &self->vcpus[1]->init);
	ASSERT_EQ(-1, __vcpu_run(self->vcpus[1]));
	ASSERT_EQ(EFAULT, errno);
	TEST_ASSERT_KVM_EXIT_REASON(self->vcpus[1], KVM_EXIT_MEMORY_FAULT);

	/* And others aren't kept from it. */
	ASSERT_EQ(2, range_told_at_once(self, OP_SHARE, PAGE(0), 2));
	convert_range(self, OP_UNSHARE, PAGE(0), 2);
	ASSERT_EQ(0, hosts_pages(self));
}

/* No page. */
TEST_F(pkvm, bad_requests)
{
	static const u64 bad[] = { PAGE(0) + 8, BIT_ULL(63), -SZ_4K };
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, told_at_once(self, OP_SHARE, bad[i], 0));
		ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, told_at_once(self, OP_UNSHARE, bad[i], 0));
	}

	/* The argument that is reserved. */
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, told_at_once(self, OP_SHARE, PAGE(0), 1));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, told_at_once(self, OP_UNSHARE, PAGE(0), 1));

	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER,
		  told_at_once(self, OP_SHARE, private_mem_gpa_limit(self->vm), 0));
	ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER,
		  range_told_at_once(self, OP_SHARE, private_mem_gpa_limit(self->vm), 2));
}

static int enable(struct kvm_vm *vm, u64 hypercalls, u64 reserved)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXIT_HYPERCALL,
		.args = { hypercalls, reserved },
	};

	return __vm_ioctl(vm, KVM_ENABLE_CAP, &cap) ? errno : 0;
}

/* Enabled for good, and for nothing else; then there is what comes with it. */
TEST(opt_in)
{
	struct kvm_vm *vm;
	int i;

	vm = ____vm_create(private_mem_shape);
	ASSERT_EQ(BIT(KVM_HC_MAP_GPA_RANGE), vm_check_cap(vm, KVM_CAP_EXIT_HYPERCALL));
	ASSERT_EQ(0, vm_check_cap(vm, KVM_CAP_MEMORY_ATTRIBUTES));
	ASSERT_EQ(0, vm_check_cap(vm, KVM_CAP_MEMORY_FAULT_INFO));
	ASSERT_EQ(EINVAL, enable(vm, 0, 0));
	ASSERT_EQ(EINVAL, enable(vm, BIT(KVM_HC_MAP_GPA_RANGE) | 1, 0));
	ASSERT_EQ(EINVAL, enable(vm, BIT(KVM_HC_MAP_GPA_RANGE), 1));
	ASSERT_EQ(0, vm_check_cap(vm, KVM_CAP_MEMORY_ATTRIBUTES));

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, enable(vm, BIT(KVM_HC_MAP_GPA_RANGE), 0));
		ASSERT_EQ(EINVAL, enable(vm, 0, 0));
		ASSERT_EQ(KVM_MEMORY_ATTRIBUTE_PRIVATE,
			  vm_check_cap(vm, KVM_CAP_MEMORY_ATTRIBUTES));
		ASSERT_EQ(1, vm_check_cap(vm, KVM_CAP_MEMORY_FAULT_INFO));
		ASSERT_EQ(1, vm_check_cap(vm, KVM_CAP_GUEST_MEMFD));
		ASSERT_EQ(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE,
			  vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS));
	}
	kvm_vm_free(vm);

	/* Not for other VMs. */
	vm = vm_create_barebones();
	ASSERT_EQ(0, vm_check_cap(vm, KVM_CAP_EXIT_HYPERCALL));
	ASSERT_EQ(0, vm_check_cap(vm, KVM_CAP_MEMORY_ATTRIBUTES));
	ASSERT_EQ(EINVAL, enable(vm, BIT(KVM_HC_MAP_GPA_RANGE), 0));
	kvm_vm_free(vm);
}

/* It's too late when there are vCPUs or memslots. */
TEST(opt_in_late)
{
	struct kvm_vm *vm;
	void *mem;

	vm = ____vm_create(private_mem_shape);
	__vm_vcpu_add(vm, 0);
	ASSERT_EQ(EINVAL, enable(vm, BIT(KVM_HC_MAP_GPA_RANGE), 0));
	kvm_vm_free(vm);

	mem = kvm_mmap(SZ_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	vm = ____vm_create(private_mem_shape);
	vm_set_user_memory_region(vm, 0, 0, TEST_GPA, SZ_4K, mem);
	ASSERT_EQ(EINVAL, enable(vm, BIT(KVM_HC_MAP_GPA_RANGE), 0));
	vm_set_user_memory_region(vm, 0, 0, TEST_GPA, 0, mem);
	ASSERT_EQ(0, enable(vm, BIT(KVM_HC_MAP_GPA_RANGE), 0));
	kvm_vm_free(vm);
	kvm_munmap(mem, SZ_4K);
}

/* All memory has to be guest_memfd that is shared in place. */
TEST(other_memory)
{
	const u32 flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES;
	struct kvm_vm *vm;
	void *mem;
	int fd;

	vm = private_mem_create_barebones();
	mem = kvm_mmap(SZ_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_NE(0, __vm_set_user_memory_region(vm, 0, 0, TEST_GPA, SZ_4K, mem));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_NE(0, __vm_set_user_memory_region(vm, 0, KVM_MEM_READONLY, TEST_GPA, SZ_4K, mem));
	ASSERT_EQ(EINVAL, errno);
	kvm_munmap(mem, SZ_4K);

	ASSERT_EQ(-1, __vm_create_guest_memfd(vm, SZ_4K, GUEST_MEMFD_FLAG_MMAP |
					      GUEST_MEMFD_FLAG_INIT_SHARED));
	ASSERT_EQ(EINVAL, errno);

	fd = vm_create_guest_memfd(vm, SZ_4K, 0);
	ASSERT_NE(0, __vm_set_user_memory_region2(vm, 0, KVM_MEM_GUEST_MEMFD, TEST_GPA, SZ_4K,
						  0, fd, 0));
	ASSERT_EQ(EINVAL, errno);
	close(fd);

	/* What isn't bound is nobody's. */
	fd = vm_create_guest_memfd(vm, SZ_4K, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE);
	mem = kvm_mmap(SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	ASSERT_EQ(SIGBUS, read_signal(mem));
	vm_set_user_memory_region2(vm, 0, KVM_MEM_GUEST_MEMFD, TEST_GPA, SZ_4K, mem, fd, 0);
	ASSERT_EQ(0, read_signal(mem));
	ASSERT_NE(0, __vm_set_user_memory_region2(vm, 0, flags, TEST_GPA, SZ_4K, mem, fd, 0));
	ASSERT_EQ(EINVAL, errno);
	kvm_munmap(mem, SZ_4K);
	close(fd);
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());

	return test_harness_run(argc, argv);
}
