// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protected VMs whose memory userspace converts, on a host that runs out of memory: who
 * asked is told ENOMEM, nothing has changed, and the same can be done again.
 *
 * The first allocation of an ioctl fails, then the second, and so on until it succeeds;
 * see Documentation/fault-injection/fault-injection.rst for /proc/self/fail-nth.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <linux/arm-smccc.h>
#include <linux/sizes.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "pkvm.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#define DEBUGFS		"/sys/kernel/debug/"

/* Each page has page tables to itself. */
#define TEST_SLOT	10
#define TEST_GPA	SZ_4G
#define TEST_PAGES	5
#define PAGE(n)		(TEST_GPA + (n) * (u64)SZ_1G)

/* A range without memslot, on both sides of where tables of all levels end, if there are 4. */
#define RANGE_PAGES	4
#define RANGE_GPA	(BIT_ULL(39) - RANGE_PAGES / 2 * SZ_4K)

#define CONTENT		0xc0ffee

/* More than any ioctl allocates. */
#define MAX_ALLOCATIONS	1000

static const char * const knobs[][2] = {
	{ DEBUGFS "failslab/verbose", "0" },
	{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/verbose", "0" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/min-order", "0" },
};

#define NEEDED	"CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC, CONFIG_FAULT_INJECTION_DEBUG_FS"

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	TEST_ASSERT(fd >= 0, "Can't open %s", path);
	TEST_ASSERT_EQ(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

/* Of this task, and as opening it allocates, it stays open. */
static int fail_nth;

static void start_failing(int n)
{
	char value[8];

	TEST_ASSERT(n < MAX_ALLOCATIONS, "All %d allocations have failed", n);
	snprintf(value, sizeof(value), "%d", n);
	TEST_ASSERT_EQ(pwrite(fail_nth, value, strlen(value), 0), strlen(value));
}

/* Whether an allocation was made to fail. */
static bool stop_failing(void)
{
	char left[8] = {};

	TEST_ASSERT(pread(fail_nth, left, sizeof(left) - 1, 0) > 0, "Can't read fail-nth");
	TEST_ASSERT_EQ(pwrite(fail_nth, "0", 1, 0), 1);
	return !atoi(left);
}

/* The guest shares the last pages without having had memory for them. */
static bool is_touched(int page)
{
	return page < 2;
}

/* By the linker. */
extern const char __executable_start[], etext[];

static void guest_code(bool range)
{
	const char *code;
	int page;

	/* It has its code before memory is short. */
	for (code = __executable_start; code < etext; code += SZ_4K)
		READ_ONCE(*code);
	pkvm_guest_init();
	GUEST_SYNC(0);

	while (range)
		GUEST_SYNC(mem_share_range(RANGE_GPA, RANGE_PAGES));

	for (page = 0; page < TEST_PAGES; page++) {
		if (is_touched(page)) {
			WRITE_ONCE(*(u64 *)PAGE(page), CONTENT);
			GUEST_SYNC(0);
		}
		GUEST_SYNC(mem_share(PAGE(page)));
	}
	for (page = 0; page < TEST_PAGES; page++)
		GUEST_SYNC(mem_unshare(PAGE(page)));
}

FIXTURE(pkvm) {
	struct pkvm_pages before;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	char *mem;
	int gmem;
};

FIXTURE_SETUP(pkvm)
{
	struct kvm_vm *vm;
	int i;

	self->before = pkvm_check_pages();
	fail_nth = open("/proc/self/fail-nth", O_RDWR);
	TEST_ASSERT(fail_nth >= 0, "Can't open /proc/self/fail-nth");

	vm = __vm_create(private_mem_shape, 1, 0);
	self->vm = vm;
	self->gmem = vm_create_guest_memfd(vm, TEST_PAGES * SZ_4K,
					   GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE);
	self->mem = kvm_mmap(TEST_PAGES * SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, self->gmem);
	for (i = 0; i < TEST_PAGES; i++) {
		vm_set_user_memory_region2(vm, TEST_SLOT + i, KVM_MEM_GUEST_MEMFD, PAGE(i), SZ_4K,
					   self->mem + i * SZ_4K, self->gmem, i * SZ_4K);
		virt_map(vm, PAGE(i), PAGE(i), 1);
	}
	/* Ranges that a page's attribute can be no part of without being split. */
	vm_mem_set_private(vm, PAGE(0), TEST_PAGES * (u64)SZ_1G);
	self->vcpu = vm_vcpu_add(vm, 0, guest_code);
	vcpu_args_set(self->vcpu, 1, false);
	kvm_arch_vm_finalize_vcpus(vm);
}

FIXTURE_TEARDOWN(pkvm)
{
	pkvm_check_pages();
	kvm_munmap(self->mem, TEST_PAGES * SZ_4K);
	close(self->gmem);
	kvm_vm_free(self->vm);
	close(fail_nth);
	pkvm_check_pages_are_back(&self->before);
}

/* What the guest reports with its next GUEST_SYNC, for which it has run. */
static u64 reported(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	return uc.args[1];
}

static void run_until_sync(struct _test_data_pkvm *self)
{
	pkvm_vcpu_run(self->vcpu);
	reported(self->vcpu);
}

/* KVM_RUN until there's enough memory. How often there wasn't. */
static int run_without_memory(struct kvm_vcpu *vcpu)
{
	int n, ret;

	for (n = 1; ; n++) {
		start_failing(n);
		ret = __vcpu_run(vcpu);
		if (!stop_failing() || !ret)
			break;
		TEST_ASSERT_EQ(errno, ENOMEM);
	}
	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_RUN, ret));
	return n - 1;
}

static bool host_has(struct _test_data_pkvm *self, int page)
{
	return !read_signal(self->mem + page * SZ_4K);
}

static u64 host_reads(struct _test_data_pkvm *self, int page)
{
	return READ_ONCE(*(u64 *)(self->mem + page * SZ_4K));
}

/* Likewise KVM_SET_MEMORY_ATTRIBUTES, for which nobody sees a difference until then. */
static int set_without_memory(struct _test_data_pkvm *self, int page, u64 attributes)
{
	struct kvm_memory_attributes attrs = {
		.address = PAGE(page),
		.size = SZ_4K,
		.attributes = attributes,
	};
	struct pkvm_pages before = pkvm_check_pages(), now;
	bool had = host_has(self, page);
	int n, ret;

	for (n = 1; ; n++) {
		start_failing(n);
		ret = __vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs);
		/* Somebody looks at the page. */
		if (ret && errno == EAGAIN) {
			stop_failing();
			n--;
			continue;
		}
		if (!stop_failing() || !ret)
			break;
		TEST_ASSERT_EQ(errno, ENOMEM);

		now = pkvm_check_pages();
		TEST_ASSERT_EQ(now.el2_guest, before.el2_guest);
		TEST_ASSERT_EQ(now.el2_both, before.el2_both);
		TEST_ASSERT_EQ(host_has(self, page), had);
	}
	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SET_MEMORY_ATTRIBUTES, ret));
	return n - 1;
}

TEST_F_TIMEOUT(pkvm, first_touch, 120)
{
	int page, failures = 0;

	run_until_sync(self);
	for (page = 0; page < TEST_PAGES; page++) {
		if (is_touched(page)) {
			failures += run_without_memory(self->vcpu);
			reported(self->vcpu);
		}
		/* The request, which this is not about. */
		run_until_sync(self);
	}
	ASSERT_LT(0, failures);
}

/* Ask and agree; how often each has failed. */
static void convert_without_memory(struct _test_data_pkvm *self, int page, bool share,
				   int *asked, int *agreed)
{
	bool wants_shared;
	u64 gpa;

	*asked += run_without_memory(self->vcpu);
	TEST_ASSERT(pkvm_wants_conversion(self->vcpu, &gpa, &wants_shared), "No request");
	TEST_ASSERT_EQ(gpa, PAGE(page));
	TEST_ASSERT_EQ(wants_shared, share);
	*agreed += set_without_memory(self, page, share ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE);

	/* To let the vCPU go on takes no memory, as its page is in the store. */
	TEST_ASSERT_EQ(run_without_memory(self->vcpu), 0);
	TEST_ASSERT_EQ(reported(self->vcpu), SMCCC_RET_SUCCESS);
}

/* The guest asks, is answered, and gets to know of no error. */
TEST_F_TIMEOUT(pkvm, conversions, 120)
{
	int asked = 0, agreed = 0, agreed_to_unshare = 0, page;

	run_until_sync(self);
	for (page = 0; page < TEST_PAGES; page++) {
		if (is_touched(page))
			run_until_sync(self);

		convert_without_memory(self, page, true, &asked, &agreed);
		ASSERT_EQ(is_touched(page) ? CONTENT : 0, host_reads(self, page));
	}
	for (page = 0; page < TEST_PAGES; page++) {
		convert_without_memory(self, page, false, &asked, &agreed_to_unshare);
		ASSERT_FALSE(host_has(self, page));
	}
	TH_LOG("%d failures to ask, %d to agree", asked, agreed);
	ASSERT_LT(0, asked);
	ASSERT_LT(0, agreed);
	/* Neither page tables nor the store want any. */
	ASSERT_EQ(0, agreed_to_unshare);
}

/* None of several pages is converted without memory for the last, and so the guest is told. */
TEST_F_TIMEOUT(pkvm, range, 120)
{
	struct kvm_memory_attributes attrs = {
		.address = RANGE_GPA,
		.size = RANGE_PAGES * SZ_4K,
	};
	u64 gpa, size;
	bool share;
	int n;

	vcpu_args_set(self->vcpu, 1, true);
	run_until_sync(self);
	for (n = 1; ; n++) {
		run_without_memory(self->vcpu);
		TEST_ASSERT(pkvm_wants_range(self->vcpu, &gpa, &size, &share), "No request");
		ASSERT_EQ(attrs.size, size);

		start_failing(n);
		if (!__vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs))
			break;
		ASSERT_EQ(ENOMEM, errno);
		ASSERT_TRUE(stop_failing());
		vcpu_run(self->vcpu);
		ASSERT_EQ(SMCCC_RET_INVALID_PARAMETER, (long)reported(self->vcpu));
	}
	stop_failing();
	vcpu_run(self->vcpu);
	ASSERT_EQ(RANGE_PAGES, reported(self->vcpu));
	TH_LOG("%d failures to agree", n - 1);
	ASSERT_LT(1, n);
}

TEST_F_TIMEOUT(pkvm, withdraw_and_give_back, 120)
{
	int failures = 0;

	run_until_sync(self);
	run_until_sync(self);

	failures += set_without_memory(self, 0, 0);
	ASSERT_FALSE(host_has(self, 0));
	failures += set_without_memory(self, 0, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	ASSERT_LT(0, failures);

	run_until_sync(self);
	ASSERT_EQ(CONTENT, host_reads(self, 0));
}

int main(int argc, char *argv[])
{
	int i;

	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		__TEST_REQUIRE(!access(knobs[i][0], W_OK), "needs " NEEDED);
	__TEST_REQUIRE(access(DEBUGFS "fail_usercopy", F_OK), "copies mustn't fail, too");
	/* They are of no consequence but to who has asked for failures. */
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		write_file(knobs[i][0], knobs[i][1]);

	return test_harness_run(argc, argv);
}
