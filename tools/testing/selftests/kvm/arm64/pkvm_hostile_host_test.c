// SPDX-License-Identifier: GPL-2.0-only
/*
 * A host that calls the hypervisor as it likes, for memory of a protected VM that it isn't
 * to get, or to give: by /sys/kernel/debug/kvm/pkvm_call, see arch/arm64/kvm/pkvm_call.c.
 *
 * Each attempt says what was tried and what came back. The guest's secrets are then where
 * they were, and nothing of them is in what the host can read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

#include <linux/arm-smccc.h>
#include <linux/falloc.h>
#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "edu_dma.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "pkvm.h"
#include "pkvm_puppet.h"
#include "processor.h"
#include "test_util.h"

#define DEBUGFS		"/sys/kernel/debug/kvm/"

#define TEST_SLOT	10
#define TEST_GPA	SZ_4G
#define PAGE(n)		(TEST_GPA + (n) * SZ_4K)
#define GFN(n)		(PAGE(n) / SZ_4K)

/* What the guest has of each page. */
enum {
	OWNED,
	SHARED,
	WITHDRAWN,
	GONE,
	UNTOUCHED,
	NO_MEMORY,	/* shared, and never touched */
	TEST_PAGES,
};

#define SECRET		0x5ec4e7
#define PUBLIC		0x9b11c
/* Instead of what the guest has. */
#define SUBSTITUTE	0x5b5b5b

FIXTURE(host) {
	struct kvm_vm *vm, *other;
	struct kvm_vcpu *vcpus[2], *other_vcpu;
	struct pkvm_command *commands[2], *other_command;
	int handle, other_handle;
	int gmem, calls;
	char *mem;
	u64 *substitute;
	unsigned long pfn[TEST_PAGES], substitute_pfn;
};

static u64 *host(struct _test_data_host *self, int page)
{
	return (u64 *)(self->mem + page * SZ_4K);
}

static int __run(struct _test_data_host *self, int vcpu, enum pkvm_op op, u64 gpa, u64 value)
{
	*self->commands[vcpu] = (struct pkvm_command) { .op = op, .gpa = gpa, .value = value };
	return _vcpu_run(self->vcpus[vcpu]);
}

static u64 run(struct _test_data_host *self, enum pkvm_op op, u64 gpa, u64 value)
{
	*self->commands[0] = (struct pkvm_command) { .op = op, .gpa = gpa, .value = value };
	pkvm_vcpu_run(self->vcpus[0]);
	return pkvm_puppet_result(self->vcpus[0]);
}

static int vm_handle(struct kvm_vm *vm)
{
	char path[80];
	int handle;
	FILE *file;

	snprintf(path, sizeof(path), DEBUGFS "%d-%d/pkvm_handle", getpid(), vm->fd);
	file = fopen(path, "r");
	TEST_ASSERT(file, "Can't open %s", path);
	TEST_ASSERT_EQ(fscanf(file, "%d", &handle), 1);
	fclose(file);
	return handle;
}

/* Have the page in memory, and know where. */
static unsigned long touch(u64 *page, u64 value)
{
	WRITE_ONCE(*page, value);
	return pkvm_to_pfn(page);
}

FIXTURE_SETUP(host)
{
	int i;

	self->calls = open(DEBUGFS "pkvm_call", O_RDWR);
	TEST_ASSERT(self->calls >= 0, "Can't open " DEBUGFS "pkvm_call");

	self->vm = __vm_create(private_mem_shape, 2, 0);
	self->gmem = vm_create_guest_memfd(self->vm, TEST_PAGES * SZ_4K,
					   GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE);
	self->mem = kvm_mmap(TEST_PAGES * SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, self->gmem);
	vm_set_user_memory_region2(self->vm, TEST_SLOT, KVM_MEM_GUEST_MEMFD, TEST_GPA,
				   TEST_PAGES * SZ_4K, self->mem, self->gmem, 0);
	virt_map(self->vm, TEST_GPA, TEST_GPA, TEST_PAGES);
	pkvm_add_puppets(self->vm, 2, self->vcpus, self->commands);
	self->handle = vm_handle(self->vm);

	for (i = 0; i < TEST_PAGES; i++)
		self->pfn[i] = touch(host(self, i), 0);
	vm_mem_set_private(self->vm, TEST_GPA, TEST_PAGES * SZ_4K);
	run(self, OP_WRITE, PAGE(OWNED), SECRET);
	run(self, OP_WRITE, PAGE(SHARED), PUBLIC);
	run(self, OP_SHARE, PAGE(SHARED), 0);
	run(self, OP_WRITE, PAGE(WITHDRAWN), SECRET);
	vm_mem_set_shared(self->vm, PAGE(WITHDRAWN), SZ_4K);
	run(self, OP_WRITE, PAGE(GONE), SECRET);
	kvm_fallocate(self->gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, GONE * SZ_4K, SZ_4K);
	run(self, OP_SHARE, PAGE(NO_MEMORY), 0);

	self->other = __vm_create(private_mem_shape, 1, 0);
	pkvm_add_puppets(self->other, 1, &self->other_vcpu, &self->other_command);
	self->other_handle = vm_handle(self->other);

	self->substitute = kvm_mmap(SZ_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	self->substitute_pfn = touch(self->substitute, SUBSTITUTE);
}

FIXTURE_TEARDOWN(host)
{
	kvm_munmap(self->mem, TEST_PAGES * SZ_4K);
	kvm_munmap(self->substitute, SZ_4K);
	close(self->gmem);
	close(self->calls);
	kvm_vm_free(self->vm);
	kvm_vm_free(self->other);
}

/* Make the calls, and return what call @nr has returned. */
static int make_calls(struct _test_data_host *self, const char *calls, int nr)
{
	char text[256] = {}, *line = text;

	TEST_ASSERT(write(self->calls, calls, strlen(calls)) == strlen(calls),
		    "The kernel doesn't make these calls, errno %d:\n%s", errno, calls);
	TEST_ASSERT(pread(self->calls, text, sizeof(text) - 1, 0) > 0, "Can't read what came back");
	while (nr--)
		line = strchr(line, '\n') + 1;
	return atoi(line);
}

static int read_pfn(struct _test_data_host *self, unsigned long pfn)
{
	char call[40];

	snprintf(call, sizeof(call), "read %lx\n", pfn);
	return make_calls(self, call, 0);
}

/* The host finds no secret in memory. */
static void check_secrets(struct _test_data_host *self)
{
	int i;

	TEST_ASSERT_EQ(read_pfn(self, self->pfn[OWNED]), -EFAULT);
	TEST_ASSERT_EQ(read_pfn(self, self->pfn[WITHDRAWN]), -EFAULT);
	for (i = 0; i < TEST_PAGES; i++)
		TEST_ASSERT(read_pfn(self, self->pfn[i]) != SECRET, "The host reads page %d", i);
	TEST_ASSERT_EQ(*self->substitute, SUBSTITUTE);
}

/* And the guest finds all that it has left there, in the end. */
static void check_guest(struct _test_data_host *self)
{
	TEST_ASSERT_EQ(run(self, OP_READ, PAGE(OWNED), 0), SECRET);
	TEST_ASSERT_EQ(run(self, OP_READ, PAGE(SHARED), 0), PUBLIC);
	vm_mem_set_private(self->vm, PAGE(WITHDRAWN), SZ_4K);
	TEST_ASSERT_EQ(run(self, OP_READ, PAGE(WITHDRAWN), 0), SECRET);
	vm_mem_set_shared(self->vm, PAGE(WITHDRAWN), SZ_4K);
}

/* Print what the call returns that isn't to succeed, and see that it hasn't. */
static void check_attempt(struct _test_data_host *self, const char *what, int ret, int wanted)
{
	ksft_print_msg("%-56s %s\n", what, strerror(-ret));
	TEST_ASSERT(ret == wanted, "%s: expected %d, got %d", what, wanted, ret);
	check_secrets(self);
}

static void try(struct _test_data_host *self, int wanted, const char *what, const char *format, ...)
{
	char call[128];
	va_list args;

	va_start(args, format);
	vsnprintf(call, sizeof(call), format, args);
	va_end(args);
	check_attempt(self, what, make_calls(self, call, 0), wanted);
}

/* A call with a vCPU loaded, of this VM or of the other. */
static int call_loaded(struct _test_data_host *self, int handle, const char *call, u64 arg0,
		       u64 arg1)
{
	char calls[256];

	snprintf(calls, sizeof(calls), "__pkvm_vcpu_load %x 0 0\n%s %lx %lx\n__pkvm_vcpu_put\n",
		 handle, call, arg0, arg1);
	return make_calls(self, calls, 1);
}

/* Give a page of the guest's that has, or had, memory other memory. */
static int donate_substitute(struct _test_data_host *self, int page)
{
	return call_loaded(self, self->handle, "__pkvm_host_donate_guest", self->substitute_pfn,
			   GFN(page));
}

static void try_loaded(struct _test_data_host *self, int wanted, const char *what,
		       const char *call, u64 arg0, u64 arg1)
{
	check_attempt(self, what, call_loaded(self, self->handle, call, arg0, arg1), wanted);
	/* Without a vCPU, this would be EINVAL. */
	TEST_ASSERT_EQ(donate_substitute(self, OWNED), -EPERM);
}

/* Only what a vCPU has asked for is converted, and only for that vCPU. */
TEST_F(host, conversions)
{
	int handle = self->handle, other = self->other_handle;
	u64 gpa;
	bool share;

	try(self, -ENOENT, "convert what nobody has asked for",
	    "__pkvm_host_convert_guest %x 0 %lx 1", handle, GFN(OWNED));

	TEST_ASSERT_EQ(__run(self, 0, OP_SHARE, PAGE(UNTOUCHED), 0), 0);
	TEST_ASSERT(pkvm_wants_conversion(self->vcpus[0], &gpa, &share), "No request");
	try(self, -ENOENT, "convert another page than was asked for",
	    "__pkvm_host_convert_guest %x 0 %lx 1", handle, GFN(OWNED));
	try(self, -ENOENT, "convert a withdrawn page that wasn't asked for",
	    "__pkvm_host_convert_guest %x 0 %lx 1", handle, GFN(WITHDRAWN));
	try(self, -ENOENT, "convert it for a vCPU that hasn't asked",
	    "__pkvm_host_convert_guest %x 1 %lx 1", handle, GFN(UNTOUCHED));
	try(self, -EINVAL, "convert it for a vCPU that isn't there",
	    "__pkvm_host_convert_guest %x 2 %lx 1", handle, GFN(UNTOUCHED));
	try(self, -EINVAL, "convert it for a vCPU far out",
	    "__pkvm_host_convert_guest %x ffffffff %lx 1", handle, GFN(UNTOUCHED));
	try(self, -ENOENT, "convert it for another VM",
	    "__pkvm_host_convert_guest %x 0 %lx 1", other, GFN(UNTOUCHED));
	try(self, -EINVAL, "convert it for a VM that isn't there",
	    "__pkvm_host_convert_guest %x 0 %lx 1", 0xffff, GFN(UNTOUCHED));
	try(self, -ENOENT, "convert a page beyond all addresses",
	    "__pkvm_host_convert_guest %x 0 %lx 1", handle, GFN(UNTOUCHED) | BIT(52));

	self->vcpus[0]->run->hypercall.ret = EINVAL;
	vcpu_run(self->vcpus[0]);
	TEST_ASSERT_EQ((long)pkvm_puppet_result(self->vcpus[0]), SMCCC_RET_INVALID_PARAMETER);
	try(self, -ENOENT, "convert what was denied meanwhile",
	    "__pkvm_host_convert_guest %x 0 %lx 1", handle, GFN(UNTOUCHED));
	check_guest(self);
}

/* The guest is told what is so, not what the host would like it to believe. */
TEST_F(host, answers)
{
	struct kvm_vcpu *vcpu = self->vcpus[0];
	u64 gpa, x0 = ARM64_CORE_REG(regs.regs[0]);
	bool share;

	/* Taken back from the host? It would write secrets where the host can read them. */
	TEST_ASSERT_EQ(__run(self, 0, OP_UNSHARE, PAGE(SHARED), 0), 0);
	vcpu_set_reg(vcpu, x0, SMCCC_RET_SUCCESS);
	vcpu_run(vcpu);
	ksft_print_msg("x0 says SUCCESS: the guest is told %ld\n", (long)pkvm_puppet_result(vcpu));
	TEST_ASSERT_EQ((long)pkvm_puppet_result(vcpu), SMCCC_RET_INVALID_PARAMETER);

	/* Not shared? It would use as its own what it shares. */
	TEST_ASSERT_EQ(__run(self, 0, OP_SHARE, PAGE(UNTOUCHED), 0), 0);
	pkvm_agree(vcpu);
	vcpu_set_reg(vcpu, x0, SMCCC_RET_INVALID_PARAMETER);
	vcpu->run->hypercall.ret = EINVAL;
	vcpu_run(vcpu);
	ksft_print_msg("x0 says INVALID_PARAMETER: the guest is told %ld\n",
		       (long)pkvm_puppet_result(vcpu));
	TEST_ASSERT_EQ((long)pkvm_puppet_result(vcpu), SMCCC_RET_SUCCESS);

	/* What is forgotten isn't answered. */
	TEST_ASSERT_EQ(__run(self, 0, OP_UNSHARE, PAGE(SHARED), 0), 0);
	try(self, 0, "forget what a vCPU has asked for",
	    "__pkvm_host_forget_conversion %x 0", self->handle);
	vcpu_run(vcpu);
	ksft_print_msg("the guest asks again\n");
	TEST_ASSERT(pkvm_wants_conversion(vcpu, &gpa, &share), "The guest doesn't ask again");
	TEST_ASSERT_EQ(gpa, PAGE(SHARED));
	vcpu->run->hypercall.ret = EINVAL;
	vcpu_run(vcpu);
	TEST_ASSERT_EQ((long)pkvm_puppet_result(vcpu), SMCCC_RET_INVALID_PARAMETER);
	check_guest(self);
}

/* What it's told of a range says nothing of the pages behind what it's told of. */
TEST_F(host, ranges)
{
	struct kvm_vcpu *vcpu = self->vcpus[1];
	u64 gpa = PAGE(TEST_PAGES), size;
	int handle = self->handle;
	bool share;

	*self->commands[1] = (struct pkvm_command) { .op = OP_SHARE, .gpa = gpa, .nr = 2 };
	vcpu_run(vcpu);
	TEST_ASSERT(pkvm_wants_range(vcpu, &gpa, &size, &share), "No request");
	TEST_ASSERT_EQ(size, 2 * SZ_4K);
	try(self, -ENOENT, "convert the second page before the first",
	    "__pkvm_host_convert_guest %x 1 %lx 1", handle, GFN(TEST_PAGES + 1));
	try(self, -ENOENT, "convert a page behind the range",
	    "__pkvm_host_convert_guest %x 1 %lx 1", handle, GFN(TEST_PAGES + 2));
	pkvm_agree(vcpu);
	try(self, -ENOENT, "convert the first page twice",
	    "__pkvm_host_convert_guest %x 1 %lx 1", handle, GFN(TEST_PAGES));

	/* What the host has left where the guest finds how many. */
	vcpu_set_reg(vcpu, ARM64_CORE_REG(regs.regs[1]), 64);
	vcpu_run(vcpu);
	ksft_print_msg("x1 says 64: the guest is told %ld\n", (long)pkvm_puppet_result(vcpu));
	TEST_ASSERT_EQ(pkvm_puppet_result(vcpu), 2);

	*self->commands[1] = (struct pkvm_command) { .op = OP_UNSHARE, .gpa = gpa, .nr = 2 };
	vcpu_run(vcpu);
	pkvm_agree(vcpu);

	/* To ask again would tell it of the first page, and not that the second is private. */
	try(self, 0, "forget what a vCPU has asked for, and has got",
	    "__pkvm_host_forget_conversion %x 1", handle);
	TEST_ASSERT_EQ((long)run(self, OP_SHARE, gpa, 0), SMCCC_RET_SUCCESS);
	TEST_ASSERT_EQ(__vcpu_run(vcpu), -1);
	TEST_ASSERT_EQ(errno, EINVAL);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_FAIL_ENTRY);
	ksft_print_msg("the vCPU can't go on\n");
	check_guest(self);
}

/* Other memory than the guest has had, or memory where it wants none. */
TEST_F(host, substitutes)
{
	/* Of the addresses that the CPU has, the last ones aren't memory. */
	u64 nothing = private_mem_gpa_limit(self->vm) / SZ_4K - 1;
	u64 pfn = self->substitute_pfn;

	try_loaded(self, -EPERM, "give other memory for a private page",
		   "__pkvm_host_donate_guest", pfn, GFN(OWNED));
	try_loaded(self, -EPERM, "give other memory for a shared page",
		   "__pkvm_host_donate_guest", pfn, GFN(SHARED));
	try_loaded(self, -EPERM, "give other memory for a withdrawn page",
		   "__pkvm_host_donate_guest", pfn, GFN(WITHDRAWN));
	try_loaded(self, -EPERM, "give other memory for a page that is gone",
		   "__pkvm_host_donate_guest", pfn, GFN(GONE));
	try_loaded(self, -EPERM, "give private memory for what is shared without",
		   "__pkvm_host_donate_guest", pfn, GFN(NO_MEMORY));
	try_loaded(self, -EPERM, "map other memory for a private page",
		   "__pkvm_host_map_shared_guest", pfn, GFN(OWNED));
	try_loaded(self, -EPERM, "map other memory for a shared page",
		   "__pkvm_host_map_shared_guest", pfn, GFN(SHARED));
	try_loaded(self, -EPERM, "map other memory for a withdrawn page",
		   "__pkvm_host_map_shared_guest", pfn, GFN(WITHDRAWN));
	try_loaded(self, -EHWPOISON, "map other memory for a page that is gone",
		   "__pkvm_host_map_shared_guest", pfn, GFN(GONE));
	try_loaded(self, -ENOENT, "map memory for what is private and has none",
		   "__pkvm_host_map_shared_guest", pfn, GFN(UNTOUCHED));
	try_loaded(self, -EINVAL, "give memory for a page beyond all addresses",
		   "__pkvm_host_donate_guest", pfn, GFN(UNTOUCHED) | BIT(52));
	try_loaded(self, -EINVAL, "give memory beyond all addresses",
		   "__pkvm_host_donate_guest", BIT(52), GFN(UNTOUCHED));
	try_loaded(self, -EINVAL, "map memory beyond all addresses",
		   "__pkvm_host_map_shared_guest", BIT(52), GFN(NO_MEMORY));
	try_loaded(self, -EPERM, "give memory that isn't there",
		   "__pkvm_host_donate_guest", nothing, GFN(UNTOUCHED));
	try_loaded(self, -EBUSY, "map memory that isn't there",
		   "__pkvm_host_map_shared_guest", nothing, GFN(NO_MEMORY));
	try(self, -EINVAL, "give memory without a vCPU",
	    "__pkvm_host_donate_guest %lx %lx", pfn, GFN(UNTOUCHED));
	check_guest(self);
}

/* The guest's memory, for others. */
TEST_F(host, takers)
{
	static const int pages[] = { OWNED, SHARED, WITHDRAWN };
	int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		check_attempt(self, "give the guest's memory to another",
			      call_loaded(self, self->other_handle, "__pkvm_host_donate_guest",
					  self->pfn[pages[i]], 0x80000), -EPERM);
		try_loaded(self, -EPERM, "give the guest's memory for another page",
			   "__pkvm_host_donate_guest", self->pfn[pages[i]], GFN(UNTOUCHED));
		try(self, -EPERM, "share the guest's memory with the hypervisor",
		    "__pkvm_host_share_hyp %lx", self->pfn[pages[i]]);
	}
	try_loaded(self, -EBUSY, "map the guest's own memory for what it shares",
		   "__pkvm_host_map_shared_guest", self->pfn[OWNED], GFN(NO_MEMORY));
	try(self, -EPERM, "take back from the hypervisor what the guest has",
	    "__pkvm_host_unshare_hyp %lx", self->pfn[OWNED]);
	check_guest(self);
}

/* Calls for pages in another state, or for other VMs. */
TEST_F(host, wrong_calls)
{
	int handle = self->handle;

	try(self, -EPERM, "withdraw what the guest shares",
	    "__pkvm_host_withdraw_guest %x %lx", handle, GFN(SHARED));
	try(self, -EPERM, "withdraw what is withdrawn",
	    "__pkvm_host_withdraw_guest %x %lx", handle, GFN(WITHDRAWN));
	try(self, -EPERM, "give back what isn't withdrawn",
	    "__pkvm_host_give_back_guest %x %lx", handle, GFN(OWNED));
	try(self, -EHWPOISON, "give back what is gone",
	    "__pkvm_host_give_back_guest %x %lx", handle, GFN(GONE));
	try(self, -EPERM, "unmap a private page",
	    "__pkvm_host_unmap_shared_guest %x %lx", handle, GFN(OWNED));
	try(self, -EPERM, "unmap a withdrawn page",
	    "__pkvm_host_unmap_shared_guest %x %lx", handle, GFN(WITHDRAWN));
	try(self, -EINVAL, "reclaim memory of a VM that lives",
	    "__pkvm_reclaim_dying_guest_page %x %lx", handle, GFN(OWNED));
	try(self, -EINVAL, "end the teardown of a VM that lives",
	    "__pkvm_finalize_teardown_vm %x", handle);
	try(self, -ENOENT, "withdraw a page of another VM",
	    "__pkvm_host_withdraw_guest %x %lx", self->other_handle, GFN(OWNED));
	try(self, -EINVAL, "withdraw a page beyond all addresses",
	    "__pkvm_host_withdraw_guest %x %lx", handle, GFN(OWNED) | BIT(52));
	try(self, -EINVAL, "stop sharing as with a VM that isn't protected",
	    "__pkvm_host_unshare_guest %x %lx 1", handle, GFN(SHARED));
	try(self, -EINVAL, "write-protect as in a VM that isn't protected",
	    "__pkvm_host_wrprotect_guest %x %lx 1", handle, GFN(OWNED));
	try(self, -EINVAL, "look for accesses as in a VM that isn't protected",
	    "__pkvm_host_test_clear_young_guest %x %lx 1 1", handle, GFN(OWNED));
	try_loaded(self, -EINVAL, "relax permissions as in a VM that isn't protected",
		   "__pkvm_host_relax_perms_guest", GFN(OWNED), 7);
	try_loaded(self, -EINVAL, "share memory as with a VM that isn't protected",
		   "__pkvm_host_share_guest", self->substitute_pfn, GFN(UNTOUCHED));
	check_guest(self);
}

/* The guest runs into a page that is gone, and gives up on it. */
static void expect_gone(struct _test_data_host *self, int page)
{
	TEST_ASSERT_EQ(__run(self, 0, OP_READ, PAGE(page), 0), -1);
	TEST_ASSERT_EQ(errno, EHWPOISON);
	TEST_ASSERT(pkvm_end_access(self->vcpus[0]), "The guest isn't at an access");
	vcpu_run(self->vcpus[0]);
	TEST_ASSERT_EQ(pkvm_puppet_result(self->vcpus[0]), PKVM_ENDED);
}

/* Taken by force, it's of zeros for the host, and gone for the guest. */
TEST_F(host, force)
{
	static const int pages[] = { OWNED, WITHDRAWN };
	char call[80];
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		snprintf(call, sizeof(call), "__pkvm_force_reclaim_guest_page %lx",
			 self->pfn[pages[i]] * SZ_4K);
		ret = make_calls(self, call, 0);
		ksft_print_msg("take page %d by force: %s\n", pages[i], strerror(-ret));
		TEST_ASSERT_EQ(ret, 0);
		TEST_ASSERT_EQ(read_pfn(self, self->pfn[pages[i]]), 0);
		expect_gone(self, pages[i]);

		TEST_ASSERT_EQ(donate_substitute(self, pages[i]), -EPERM);
		expect_gone(self, pages[i]);
	}
	TEST_ASSERT_EQ(run(self, OP_READ, PAGE(SHARED), 0), PUBLIC);
}

/*
 * The host has got what it isn't to get, as Documentation/virt/kvm/arm/pkvm.rst says that
 * it does: expected, and to be seen.
 */
#define KNOWN_HOLE(what) do {								\
	snprintf(_metadata->results->reason, sizeof(_metadata->results->reason), "%s", what); \
	_metadata->exit_code = KSFT_XFAIL;						\
} while (0)

/* "CPU state isolation": what the guest is about to store is in a register. */
TEST_F(host, registers)
{
	struct kvm_vcpu *vcpu = self->vcpus[0];
	u64 x2 = ARM64_CORE_REG(regs.regs[2]), seen, stored;

	TEST_ASSERT_EQ(__run(self, 0, OP_WRITE, PAGE(WITHDRAWN), SECRET), -1);
	TEST_ASSERT_EQ(errno, EFAULT);
	seen = vcpu_get_reg(vcpu, x2);
	ksft_print_msg("read a register: %#lx\n", (long)seen);
	vcpu_set_reg(vcpu, x2, SUBSTITUTE);
	vm_mem_set_private(self->vm, PAGE(WITHDRAWN), SZ_4K);
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(pkvm_puppet_result(vcpu), SUBSTITUTE);
	stored = run(self, OP_READ, PAGE(WITHDRAWN), 0);
	ksft_print_msg("change a register: the guest stores %#lx\n", (long)stored);

	if (seen == SECRET || stored == SUBSTITUTE)
		KNOWN_HOLE("the host has the guest's registers");
}

/* What the device brings the host from there. */
static u64 edu_read(struct _test_data_host *self, char *edu, unsigned long pfn)
{
	WRITE_ONCE(*self->substitute, SUBSTITUTE);
	edu_load(edu, pfn * SZ_4K);
	edu_store(edu, self->substitute_pfn * SZ_4K);
	return READ_ONCE(*self->substitute);
}

/* "DMA isolation using an IOMMU": a device doesn't go by the stage-2 that the host has. */
TEST_F(host, devices)
{
	u64 owned, withdrawn, stored;
	char *edu = edu_open();

	if (!edu)
		SKIP(return, "needs QEMU's device \"edu\"");

	/* That it is able to. */
	TEST_ASSERT_EQ(edu_read(self, edu, self->pfn[SHARED]), PUBLIC);

	owned = edu_read(self, edu, self->pfn[OWNED]);
	ksft_print_msg("have a device read a private page: %#lx\n", (long)owned);
	withdrawn = edu_read(self, edu, self->pfn[WITHDRAWN]);
	ksft_print_msg("have a device read a withdrawn page: %#lx\n", (long)withdrawn);

	WRITE_ONCE(*self->substitute, SUBSTITUTE);
	edu_load(edu, self->substitute_pfn * SZ_4K);
	edu_store(edu, self->pfn[OWNED] * SZ_4K);
	stored = run(self, OP_READ, PAGE(OWNED), 0);
	ksft_print_msg("have a device write a private page: the guest reads %#lx\n", (long)stored);
	edu_close(edu);

	if (owned == SECRET || withdrawn == SECRET || stored == SUBSTITUTE)
		KNOWN_HOLE("the host has devices access the guest's memory");
}

int main(int argc, char *argv[])
{
	int calls = open(DEBUGFS "pkvm_call", O_RDWR);

	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());
	__TEST_REQUIRE(calls >= 0, "needs CONFIG_NVHE_EL2_DEBUG, debugfs, and no lockdown");
	close(calls);

	return test_harness_run(argc, argv);
}
