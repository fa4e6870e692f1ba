// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests of protected VMs that ask for what they can't have, or far too often: each attempt
 * says what was tried and what the guest was told. The host goes on, its memory is its own,
 * and what the guest was told is so.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include <linux/arm-smccc.h>
#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "pkvm.h"
#include "pkvm_puppet.h"
#include "processor.h"
#include "test_util.h"

#define TEST_SLOT	10
#define TEST_GPA	SZ_4G
#define TEST_PAGES	4
#define PAGE(n)		(TEST_GPA + (n) * SZ_4K)

/* Where nothing is, and will be. */
#define NO_GPA		(SZ_4G + SZ_1G)

#define HOSTS		0x805100

FIXTURE(guest) {
	struct pkvm_pages before;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
	struct pkvm_command *commands[2];
	char *mem;
};

FIXTURE_SETUP(guest)
{
	self->before = pkvm_check_pages();
	self->vm = __vm_create(private_mem_shape, 2, 0);
	private_mem_add_memslot(self->vm, TEST_GPA, TEST_SLOT, TEST_PAGES);
	virt_map(self->vm, TEST_GPA, TEST_GPA, TEST_PAGES);
	self->mem = addr_gpa2hva(self->vm, TEST_GPA);
	vm_mem_set_private(self->vm, TEST_GPA, TEST_PAGES * SZ_4K);
	pkvm_add_puppets(self->vm, 2, self->vcpus, self->commands);
}

FIXTURE_TEARDOWN(guest)
{
	pkvm_check_pages();
	kvm_vm_free(self->vm);
	pkvm_check_pages_are_back(&self->before);
}

static void start(struct _test_data_guest *self, int vcpu, enum pkvm_op op, u64 gpa, u64 value)
{
	*self->commands[vcpu] = (struct pkvm_command) { .op = op, .gpa = gpa, .value = value };
	vcpu_run(self->vcpus[vcpu]);
}

static bool is_asked(struct _test_data_guest *self, int vcpu)
{
	u64 gpa, size;
	bool share;

	return pkvm_wants_range(self->vcpus[vcpu], &gpa, &size, &share);
}

/* Userspace denies, if it's asked at all. What the guest is told. */
static long denied(struct _test_data_guest *self, const char *what, bool *asked)
{
	long ret;

	*asked = is_asked(self, 0);
	if (*asked) {
		self->vcpus[0]->run->hypercall.ret = EINVAL;
		vcpu_run(self->vcpus[0]);
	}
	ret = pkvm_puppet_result(self->vcpus[0]);
	ksft_print_msg("%-48s %ld%s\n", what, ret, *asked ? ", after the host was asked" : "");
	return ret;
}

static void try(struct _test_data_guest *self, bool wants_to_be_asked, long wanted,
		const char *what, enum pkvm_op op, u64 gpa, u64 value)
{
	bool asked;

	start(self, 0, op, gpa, value);
	TEST_ASSERT_EQ(denied(self, what, &asked), wanted);
	TEST_ASSERT_EQ(asked, wants_to_be_asked);
}

/* So many pages, of which the host is asked for some. */
static void try_to_share(struct _test_data_guest *self, u64 wants_to_be_asked, const char *what,
			 u64 gpa, u64 nr)
{
	u64 asked_for, size;
	bool share, asked;

	*self->commands[0] = (struct pkvm_command) { .op = OP_SHARE, .gpa = gpa, .nr = nr };
	vcpu_run(self->vcpus[0]);
	if (!pkvm_wants_range(self->vcpus[0], &asked_for, &size, &share))
		size = 0;
	TEST_ASSERT_EQ(size, wants_to_be_asked * SZ_4K);
	TEST_ASSERT_EQ(denied(self, what, &asked), SMCCC_RET_INVALID_PARAMETER);
}

TEST_F(guest, addresses)
{
	const long invalid = SMCCC_RET_INVALID_PARAMETER;
	u64 limit = private_mem_gpa_limit(self->vm);

	try(self, true, invalid, "share where there is no memory", OP_SHARE, NO_GPA, 0);
	try(self, true, invalid, "share where devices are", OP_SHARE, 0x8000000, 0);
	try(self, true, invalid, "share the last page", OP_SHARE, limit - SZ_4K, 0);
	try(self, false, invalid, "share beyond the last page", OP_SHARE, limit, 0);
	try(self, false, invalid, "unshare beyond the last page", OP_UNSHARE, limit, 0);
	try(self, false, invalid, "share at the end of all addresses", OP_SHARE, -SZ_4K, 0);
	try(self, false, invalid, "share with a sign", OP_SHARE, BIT_ULL(63) | PAGE(0), 0);
	try(self, false, invalid, "share half a page", OP_SHARE, PAGE(0) + SZ_2K, 0);
	try(self, false, invalid, "share a byte further", OP_SHARE, PAGE(0) + 1, 0);
	try(self, false, invalid, "unshare a byte less", OP_UNSHARE, PAGE(1) - 1, 0);
	try(self, false, invalid, "share with an argument of tomorrow", OP_SHARE, PAGE(0), 1);
	try(self, false, invalid, "share with a huge one", OP_SHARE, PAGE(0), -2);
}

/* As many as it likes is what it can ask for, and not what is done at once. */
TEST_F(guest, counts)
{
	u64 limit = private_mem_gpa_limit(self->vm);

	try_to_share(self, 64, "share more pages than there are", PAGE(0), -1);
	try_to_share(self, 64, "share so many that their size is 0", PAGE(0), BIT_ULL(52));
	try_to_share(self, 1, "share the last page, and what is after it", limit - SZ_4K, -1);
	try_to_share(self, 0, "share what is after it", limit, -1);
	try_to_share(self, 0, "share half pages", PAGE(0) + SZ_2K, 2);
	try_to_share(self, 64, "share half of what is where no memory is", NO_GPA, 128);
}

/* The guest hasn't shared the page: it's not the host's, whatever userspace says. */
static void expect_private(struct _test_data_guest *self)
{
	vm_mem_set_shared(self->vm, PAGE(0), SZ_4K);
	TEST_ASSERT_EQ(read_signal(self->mem), SIGBUS);
	vm_mem_set_private(self->vm, PAGE(0), SZ_4K);
}

/* Conversions are hypercalls, and nothing else is one. */
TEST_F(guest, conduits)
{
	u64 page = PAGE(0), i;

	for (i = 0; i < 2; i++) {
		try(self, false, SMCCC_RET_NOT_SUPPORTED, "share by SMC", OP_SMC, PKVM_MEM_SHARE,
		    page);
		try(self, false, SMCCC_RET_NOT_SUPPORTED, "unshare by SMC", OP_SMC,
		    PKVM_MEM_UNSHARE, page);
		/* With the page there, and in use. */
		start(self, 0, OP_WRITE, page, HOSTS);
	}
	expect_private(self);

	for (i = 0; i < 64; i++) {
		if (PKVM_MEM_CALL(i) == PKVM_MEM_SHARE || PKVM_MEM_CALL(i) == PKVM_MEM_UNSHARE)
			continue;
		start(self, 0, OP_HVC, PKVM_MEM_CALL(i), page);
		TEST_ASSERT(!is_asked(self, 0), "Function %lu is a conversion", i);
		pkvm_puppet_result(self->vcpus[0]);
	}
	expect_private(self);

	try(self, false, SMCCC_RET_NOT_SUPPORTED, "share by the function of 32 bits", OP_HVC,
	    PKVM_MEM_SHARE & ~BIT(30), page);
	try(self, false, SMCCC_RET_NOT_SUPPORTED, "share by a function that yields", OP_HVC,
	    PKVM_MEM_SHARE & ~BIT(31), page);
}

/* As often as it likes: nothing piles up at EL2. */
TEST_F(guest, floods)
{
	struct pkvm_pages before;
	int i;

	/* What the first ones need is there. */
	for (i = 0; i < 3; i++) {
		start(self, 0, OP_SHARE, NO_GPA + i * (u64)SZ_1G, 0);
		self->vcpus[0]->run->hypercall.ret = EINVAL;
		vcpu_run(self->vcpus[0]);
	}
	before = pkvm_check_pages();

	for (i = 0; i < 1000; i++) {
		start(self, 0, OP_SHARE, NO_GPA + i % 200 * (u64)SZ_1G, 0);
		TEST_ASSERT(is_asked(self, 0), "Request %d hasn't been passed on", i);
		self->vcpus[0]->run->hypercall.ret = EINVAL;
		vcpu_run(self->vcpus[0]);
		TEST_ASSERT_EQ((long)pkvm_puppet_result(self->vcpus[0]),
			       SMCCC_RET_INVALID_PARAMETER);
	}
	TEST_ASSERT_EQ(pkvm_check_pages().el2_hyp, before.el2_hyp);
	ksft_print_msg("%d requests were denied\n", i);
}

#define NR_RACES	200

struct racer {
	struct _test_data_guest *self;
	int vcpu;
};

/* Userspace agrees, as often as it's asked. */
static long convert(struct _test_data_guest *self, int vcpu, enum pkvm_op op)
{
	*self->commands[vcpu] = (struct pkvm_command) { .op = op, .gpa = PAGE(0) };
	pkvm_vcpu_run(self->vcpus[vcpu]);
	return pkvm_puppet_result(self->vcpus[vcpu]);
}

/* A vCPU that changes its mind all the time, and a host that agrees to everything. */
static void *race(void *arg)
{
	struct racer *racer = arg;
	long ret;
	int i;

	for (i = 0; i < NR_RACES; i++) {
		ret = convert(racer->self, racer->vcpu, i % 2 ? OP_UNSHARE : OP_SHARE);
		TEST_ASSERT_EQ(ret, SMCCC_RET_SUCCESS);
	}
	return NULL;
}

/* Two vCPUs on one page: in the end it is what the guest takes it for. */
TEST_F(guest, races)
{
	struct racer racers[] = { { self, 0 }, { self, 1 } };
	pthread_t threads[ARRAY_SIZE(racers)];
	int i;

	start(self, 0, OP_WRITE, PAGE(0), 0x42);
	for (i = 0; i < ARRAY_SIZE(racers); i++)
		kvm_pthread_create(&threads[i], NULL, race, &racers[i]);
	for (i = 0; i < ARRAY_SIZE(racers); i++)
		pthread_join(threads[i], NULL);
	ksft_print_msg("%d requests of each vCPU were converted\n", NR_RACES);

	ASSERT_EQ(SMCCC_RET_SUCCESS, convert(self, 0, OP_UNSHARE));
	expect_private(self);
	ASSERT_EQ(SMCCC_RET_SUCCESS, convert(self, 0, OP_SHARE));
	ASSERT_EQ(0x42, *(u64 *)self->mem);
}

int main(int argc, char *argv[])
{
	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());

	return test_harness_run(argc, argv);
}
