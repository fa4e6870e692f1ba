// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protected VMs whose vCPUs touch, share and unshare memory, while the VMM agrees, denies
 * and delays, threads of its own change attributes and free memory, and read and write all
 * that they get hold of. The whole is killed where it is.
 *
 * A guest's secrets have a tag that the host must never see. What the guest has for itself
 * has the content that it has left there, unless it is gone for good.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <linux/arm-smccc.h>
#include <linux/falloc.h>
#include <linux/sizes.h>

#include "kvm_util.h"
#include "pkvm.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#define NR_VCPUS	2
/* Each vCPU has pages to itself, so that it knows what is in them; others are all's. */
#define OWN_PAGES	12
#define ARENA		(NR_VCPUS * OWN_PAGES)
#define NPAGES		(ARENA + 4)

#define TEST_SLOT	10
#define TEST_GPA	SZ_4G

#define SECRET		(0x5ec4e7ull << 40)
#define PUBLIC		(0x9b11c0ull << 40)
#define HOSTS		(0x805100ull << 40)
#define TAG_MASK	(0xffffffull << 40)
#define POISON		0xdeaddeaddeadull

/* The guest's idea of its pages. */
static enum { PRIVATE, SHARED, GONE } view[NPAGES];
static u64 content[NPAGES];

static u64 page_gpa(int page)
{
	return TEST_GPA + page * SZ_4K;
}

static void keep(int page, u64 value)
{
	content[page] = value;
	if (pkvm_guest_store((u64 *)page_gpa(page), POISON, value) == POISON)
		view[page] = GONE;
}

static void touch(int page, u64 random)
{
	u64 value = pkvm_guest_load((u64 *)page_gpa(page), POISON);

	if (value == POISON) {
		view[page] = GONE;
		return;
	}

	if (view[page] == PRIVATE) {
		GUEST_ASSERT_EQ(value, content[page]);
		keep(page, SECRET | random >> 24);
	} else {
		keep(page, PUBLIC | random >> 24);
	}
}

/* How many pages the guest is told of, of those from one on. */
static int nr_told(long ret, int nr)
{
	if (ret == SMCCC_RET_INVALID_PARAMETER)
		return 0;

	GUEST_ASSERT(ret > 0 && ret <= nr);
	return ret;
}

static void guest_share(int page, int max)
{
	int i, nr, told;

	/* What it's going to offer is no secret any more. */
	for (nr = 0; nr < max && view[page + nr] == PRIVATE; nr++) {
		keep(page + nr, PUBLIC | (page + nr));
		if (view[page + nr] == GONE)
			break;
	}
	if (!nr)
		return;

	told = nr_told(mem_share_range(page_gpa(page), nr), nr);
	for (i = 0; i < told; i++)
		view[page + i] = SHARED;
}

static void guest_unshare(int page, int max, u64 random)
{
	int i, told;

	told = nr_told(mem_unshare_range(page_gpa(page), max), max);
	for (i = 0; i < told; i++) {
		GUEST_ASSERT_EQ(view[page + i], SHARED);
		view[page + i] = PRIVATE;
		keep(page + i, SECRET | random >> 24);
	}
}

/* What becomes of the arena is anybody's guess, so that there are no secrets in it. */
static void step_in_arena(int page, u64 random)
{
	u64 value = 0;

	if (READ_ONCE(view[page]) == GONE)
		return;

	switch (random % 6) {
	case 0:
		mem_share(page_gpa(page));
		break;
	case 1:
		mem_unshare(page_gpa(page));
		break;
	case 2:
		mem_share_range(page_gpa(page), NPAGES - page);
		break;
	case 3:
		mem_unshare_range(page_gpa(page), NPAGES - page);
		break;
	case 4:
		value = pkvm_guest_load((u64 *)page_gpa(page), POISON);
		break;
	case 5:
		value = pkvm_guest_store((u64 *)page_gpa(page), POISON, PUBLIC | random >> 24);
		break;
	}
	if (value == POISON)
		WRITE_ONCE(view[page], GONE);
}

static void step(int vcpu, u64 random)
{
	int page = vcpu * OWN_PAGES + random % OWN_PAGES;
	int max = min((vcpu + 1) * OWN_PAGES - page, 1 + (int)(random >> 10 & 3));

	if (random >> 8 & 1) {
		step_in_arena(ARENA + random % (NPAGES - ARENA), random >> 9);
		return;
	}

	if (view[page] == GONE)
		return;
	if (random >> 9 & 1)
		touch(page, random);
	else if (view[page] == PRIVATE)
		guest_share(page, max);
	else
		guest_unshare(page, max, random);
}

static void guest_code(int vcpu)
{
	u64 random = 88172645463325252ull + vcpu;
	int page;

	if (!vcpu)
		pkvm_guest_init();

	/* There's nothing in them yet that it knows of. */
	for (page = vcpu * OWN_PAGES; page < (vcpu + 1) * OWN_PAGES; page++)
		keep(page, SECRET | page);
	GUEST_SYNC(0);

	for (;;) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		step(vcpu, random);
	}
}

static struct kvm_vm *vm;
static struct kvm_vcpu *vcpus[NR_VCPUS];
static char *mem;
static int gmem;

/* By the guest, last, but that mostly nobody cares. */
static gpa_t asked_for;

/* What has happened, roughly: nobody locks them. */
static struct {
	unsigned int requests;
	unsigned int faults;
	unsigned int gone;
	unsigned int changes;
	unsigned int accesses;
	unsigned int refusals;
	unsigned int holes;
} count;

static __thread sigjmp_buf bus_error;

static void on_sigbus(int sig)
{
	siglongjmp(bus_error, 1);
}

/* Try until nobody uses the memory. Who reads it does so for a moment. */
static void set_attributes(int first, int nr, bool is_private)
{
	struct kvm_memory_attributes attributes = {
		.address = page_gpa(first),
		.size = nr * SZ_4K,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};
	int ret;

	do {
		ret = __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes);
	} while (ret && errno == EAGAIN);
	TEST_ASSERT(!ret || errno == EHWPOISON, "KVM_SET_MEMORY_ATTRIBUTES failed with errno %d",
		    errno);
}

static void answer(struct kvm_vcpu *vcpu, gpa_t gpa, int nr, bool wants_shared,
		   unsigned int *seed)
{
	int some, first = (gpa - TEST_GPA) / SZ_4K;

	if (count.requests++ % 64 == 0)
		WRITE_ONCE(asked_for, gpa);
	switch (rand_r(seed) % 8) {
	case 0:
		vcpu->run->hypercall.ret = EINVAL;
		break;
	case 1:
		vcpu->run->hypercall.ret = EAGAIN;
		break;
	case 2:
		/* Not what it wants. */
		if (gpa >= TEST_GPA)
			set_attributes(first, nr, wants_shared);
		break;
	case 3:
		/* Some of what it wants, often the first ones. */
		some = rand_r(seed) & 1 ? 0 : rand_r(seed) % nr;
		if (gpa >= TEST_GPA)
			set_attributes(first + some, 1 + rand_r(seed) % (nr - some),
				       !wants_shared);
		break;
	case 4:
		/* What it wants, though it is told otherwise. */
		vcpu->run->hypercall.ret = EAGAIN;
		fallthrough;
	default:
		if (gpa >= TEST_GPA)
			set_attributes(first, nr, !wants_shared);
		else
			pkvm_agree(vcpu);
		break;
	}
}

/*
 * Free the page that a vCPU has asked for last, while that is answered. Guests keep half of
 * their pages, as what is gone isn't asked for again.
 */
static void *punch_holes(void *unused)
{
	unsigned int seed = 23;
	gpa_t gpa;

	while (count.holes < NPAGES / 2) {
		gpa = READ_ONCE(asked_for);
		if (gpa < TEST_GPA || rand_r(&seed) % 16)
			continue;

		kvm_fallocate(gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, gpa - TEST_GPA,
			      SZ_4K);
		WRITE_ONCE(asked_for, 0);
		count.holes++;
	}
	return NULL;
}

/* The page becomes what the guest takes it for, and what is gone is given up. */
static void resolve_fault(struct kvm_vcpu *vcpu, int error)
{
	struct kvm_run *run = vcpu->run;

	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT(run->memory_fault.gpa >= TEST_GPA, "Fault at %#llx", run->memory_fault.gpa);
	count.faults++;
	if (error == EHWPOISON) {
		count.gone++;
		TEST_ASSERT(pkvm_end_access(vcpu), "The guest has lost what it's made of");
		return;
	}

	TEST_ASSERT_EQ(error, EFAULT);
	set_attributes((run->memory_fault.gpa - TEST_GPA) / SZ_4K, 1,
		       run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE);
}

static void run_until_sync(struct kvm_vcpu *vcpu, unsigned int *seed)
{
	struct ucall uc;
	bool share;
	gpa_t gpa;
	u64 size;

	for (;;) {
		if (_vcpu_run(vcpu)) {
			resolve_fault(vcpu, errno);
			continue;
		}
		if (pkvm_wants_range(vcpu, &gpa, &size, &share)) {
			answer(vcpu, gpa, size / SZ_4K, share, seed);
			continue;
		}

		switch (get_ucall(vcpu, &uc)) {
		case UCALL_SYNC:
			return;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
		default:
			TEST_FAIL("Unknown ucall %lu", uc.cmd);
		}
	}
}

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	unsigned int seed = vcpu->id;

	/* It doesn't end on its own. */
	run_until_sync(vcpu, &seed);
	return NULL;
}

static void *change_attributes(void *unused)
{
	unsigned int seed = 17;
	int first;

	for (;;) {
		count.changes++;
		first = rand_r(&seed) % NPAGES;
		set_attributes(first, 1 + rand_r(&seed) % min(4, NPAGES - first),
			       rand_r(&seed) & 1);
	}
}

/* The host reads and writes what it can, and never finds a secret. */
static void *access_memory(void *unused)
{
	static unsigned int seed = 42;
	u64 *page, value;

	for (;;) {
		page = (u64 *)(mem + rand_r(&seed) % NPAGES * SZ_4K);
		count.accesses++;
		if (sigsetjmp(bus_error, 1)) {
			count.refusals++;
			continue;
		}

		value = READ_ONCE(*page);
		TEST_ASSERT((value & TAG_MASK) != SECRET, "The host has read the secret %#lx",
			    value);
		WRITE_ONCE(*page, HOSTS | seed);
	}
}

static void create(void)
{
	const struct sigaction action = { .sa_handler = on_sigbus };
	int i;

	TEST_ASSERT(!sigaction(SIGBUS, &action, NULL), "sigaction() failed");

	vm = __vm_create(private_mem_shape, NR_VCPUS, 0);
	gmem = vm_create_guest_memfd(vm, NPAGES * SZ_4K,
				     GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE);
	mem = kvm_mmap(NPAGES * SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, gmem);
	vm_set_user_memory_region2(vm, TEST_SLOT, KVM_MEM_GUEST_MEMFD, TEST_GPA, NPAGES * SZ_4K,
				   mem, gmem, 0);
	virt_map(vm, TEST_GPA, TEST_GPA, NPAGES);
	set_attributes(0, NPAGES, true);

	for (i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = vm_vcpu_add(vm, i, guest_code);
		vcpu_args_set(vcpus[i], 1, i);
	}
	kvm_arch_vm_finalize_vcpus(vm);
}

/*
 * Another process has the file, and frees all of it while the VMM is killed: the guest's
 * memory is taken from it at the same time from both sides.
 */
static void outlive(void)
{
	pid_t pid = fork();
	int i;

	TEST_ASSERT(pid >= 0, "fork() failed");
	if (pid)
		return;

	for (i = 0; i < 2000; i++)
		kvm_fallocate(gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			      NPAGES * SZ_4K);
	_exit(0);
}

/* Everything at once, and it goes on when the guest has asked so often. */
static void stress(unsigned int nr_requests)
{
	pthread_t guests[NR_VCPUS], changer, accessor, puncher;
	unsigned int seed = 4711, round;
	int i;

	create();
	kvm_pthread_create(&accessor, NULL, access_memory, NULL);
	for (i = 0; i < NR_VCPUS; i++)
		run_until_sync(vcpus[i], &seed);
	kvm_pthread_create(&changer, NULL, change_attributes, NULL);
	kvm_pthread_create(&puncher, NULL, punch_holes, NULL);
	for (i = 0; i < NR_VCPUS; i++)
		kvm_pthread_create(&guests[i], NULL, run_vcpu, vcpus[i]);

	for (round = 0; READ_ONCE(count.requests) < nr_requests; round++)
		set_attributes(0, NPAGES, round & 1);

	pr_info("%u requests, %u faults, %u pages gone, %u changes, %u accesses, %u refused, %u holes\n",
		count.requests, count.faults, count.gone, count.changes, count.accesses,
		count.refusals, count.holes);
	fflush(stdout);
}

/* All that a VM had is back, once nobody is left that had a part in it. */
static void check_nothing_is_lost(const struct pkvm_pages *before)
{
	int status;

	while (wait(&status) > 0)
		TEST_ASSERT(!status, "Who has outlived the VMM ended with status %#x", status);
	TEST_ASSERT_EQ(errno, ECHILD);

	pkvm_check_pages_are_back(before);
}

int main(int argc, char *argv[])
{
	int nr_requests = 4000, nr_kills = 4, i, status;
	struct pkvm_pages before;
	pid_t pid;

	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());

	while ((i = getopt(argc, argv, "k:r:")) != -1) {
		switch (i) {
		case 'k':
			nr_kills = atoi_positive("Kills", optarg);
			break;
		case 'r':
			nr_requests = atoi_positive("Requests", optarg);
			break;
		default:
			fprintf(stderr, "usage: %s [-r requests] [-k kills]\n", argv[0]);
			return KSFT_FAIL;
		}
	}

	before = pkvm_check_pages();
	if (!pkvm_has_pages())
		pr_info("EL2 isn't built for debugging, and doesn't tell what it has\n");

	/* Who outlives the VMM becomes a child of this process. */
	TEST_ASSERT(!prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl() failed");

	for (i = 0; i < nr_kills; i++) {
		pid = fork();
		TEST_ASSERT(pid >= 0, "fork() failed");
		if (!pid) {
			stress(nr_requests / (i + 1));
			outlive();
			kill(getpid(), SIGKILL);
		}

		TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
		TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
			    "Round %d ended with status %#x", i, status);
		check_nothing_is_lost(&before);
	}
	return 0;
}
