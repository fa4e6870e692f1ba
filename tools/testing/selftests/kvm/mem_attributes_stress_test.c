// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads convert random ranges while vCPUs touch the memory.  When they pause,
 * each page must be what it was converted to last, and all that is shared be
 * mapped by hugepages where it can be, and by none else.
 *
 * Pages hold their number and which half they are of.  Each thread has a part of
 * memory to itself, for what is done last to a page to be known; the parts meet
 * in the middle of a hugepage.
 */
#include <pthread.h>
#include <stdlib.h>

#include <linux/sizes.h>

#include "kvm_util.h"
#include "private_mem.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

/* An arbitrary gpa that the library's own memslots don't use. */
#define TEST_GPA	SZ_4G
#define TEST_SLOT	10
#define TEST_SIZE	(12 * SZ_2M)
#define NPAGES		(TEST_SIZE / SZ_4K)
#define NPAGES_2M	(SZ_2M / SZ_4K)

#define NR_VCPUS	2
#define NR_THREADS	2
#define PART		(NPAGES / 2 - NPAGES_2M / 2)

#define SHARED_TAG	0x5aull
#define PRIVATE_TAG	0xa5ull
#define TAGGED(tag, page)	((tag) << 56 | (page))

struct part {
	struct kvm_vm *vm;
	unsigned int first;
	unsigned int end;
	unsigned int seed;
	int nr_conversions;
};

enum command { FILL_PRIVATE, TOUCH, REPORT };

/* What guest and host tell each other, in memory that stays shared. */
struct control {
	enum command command;
	bool paused;
	/* What a page is for the guest. */
	bool found_private[NPAGES];
};

#define CONTROL_PAGES	DIV_ROUND_UP(sizeof(struct control), SZ_4K)

/* In the guest; and the same in the host, which can't see the guest's page tables. */
static struct control *control;
static struct control *host_control;

/* What the threads have converted a page to. */
static bool is_private[NPAGES];

static u64 *guest_page(unsigned int page)
{
	return (u64 *)(TEST_GPA + page * SZ_4K);
}

static bool guest_look(unsigned int page)
{
	u64 value = private_mem_guest_load(guest_page(page), TAGGED(SHARED_TAG, page));

	if (value == TAGGED(PRIVATE_TAG, page))
		return true;

	GUEST_ASSERT_EQ(value, TAGGED(SHARED_TAG, page));
	return false;
}

static void guest_main(u32 id, gpa_t control_gpa)
{
	struct kvm_random_state random = new_kvm_random_state(id + 1);
	unsigned int page;

	private_mem_guest_init(control_gpa, CONTROL_PAGES);

	for (;;) {
		switch (READ_ONCE(control->command)) {
		case FILL_PRIVATE:
			for (page = id; page < NPAGES; page += NR_VCPUS)
				WRITE_ONCE(*guest_page(page), TAGGED(PRIVATE_TAG, page));
			break;
		case TOUCH:
			while (!READ_ONCE(control->paused))
				guest_look(kvm_random_u32(&random) % NPAGES);
			break;
		case REPORT:
			for (page = id; page < NPAGES; page += NR_VCPUS)
				WRITE_ONCE(control->found_private[page], guest_look(page));
			break;
		}
		GUEST_SYNC(0);
	}
}

static void *run_vcpu(void *vcpu)
{
	struct ucall uc;

	private_mem_vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		TEST_FAIL("Unknown ucall %lu", uc.cmd);
	}
	return NULL;
}

static void *convert(void *arg)
{
	struct part *part = arg;
	int i;

	for (i = 0; i < part->nr_conversions; i++) {
		unsigned int max = 1u << (rand_r(&part->seed) % 12);
		unsigned int first = part->first + rand_r(&part->seed) % (part->end - part->first);
		unsigned int end = min(first + 1 + rand_r(&part->seed) % max, part->end);
		bool private = rand_r(&part->seed) & 1;

		vm_set_memory_attributes(part->vm, TEST_GPA + first * SZ_4K,
					 (u64)(end - first) * SZ_4K,
					 private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
		memset(&is_private[first], private, end - first);
	}
	return NULL;
}

static void run_guests(struct kvm_vcpu **vcpus, enum command command, struct part *parts)
{
	pthread_t guests[NR_VCPUS], threads[NR_THREADS];
	int i;

	host_control->command = command;
	host_control->paused = false;

	for (i = 0; i < NR_VCPUS; i++)
		kvm_pthread_create(&guests[i], NULL, run_vcpu, vcpus[i]);
	for (i = 0; parts && i < NR_THREADS; i++)
		kvm_pthread_create(&threads[i], NULL, convert, &parts[i]);
	for (i = 0; parts && i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);

	WRITE_ONCE(host_control->paused, true);
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(guests[i], NULL);
}

/* Hugepages of which all pages are shared; private ones are always small. */
static unsigned int nr_shared_2m(void)
{
	unsigned int page, nr = 0;

	for (page = 0; page < NPAGES; page += NPAGES_2M)
		nr += !memchr(&is_private[page], true, NPAGES_2M);
	return nr;
}

/* Mappings go with their memslot. */
static void remap(struct kvm_vm *vm)
{
	struct kvm_userspace_memory_region2 *region = &memslot2region(vm, TEST_SLOT)->region;
	u64 size = region->memory_size;

	region->memory_size = 0;
	vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, region);
	region->memory_size = size;
	vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, region);
}

static void check_pages(struct kvm_vcpu **vcpus)
{
	unsigned int page;

	run_guests(vcpus, REPORT, NULL);
	for (page = 0; page < NPAGES; page++)
		TEST_ASSERT(host_control->found_private[page] == is_private[page],
			    "Page %u is %s", page,
			    host_control->found_private[page] ? "private" : "shared");
}

static void check_all(struct kvm_vm *vm, struct kvm_vcpu **vcpus)
{
	u64 before, after;

	/* First with the mappings that were made meanwhile. */
	check_pages(vcpus);
	if (!private_mem_has_hugepages)
		return;

	remap(vm);
	before = private_mem_nr_hugepages(vm);
	check_pages(vcpus);
	after = private_mem_nr_hugepages(vm);
	TEST_ASSERT(after - before == nr_shared_2m(),
		    "%lu hugepages are mapped, %u are possible", after - before, nr_shared_2m());
}

static long nr_free_hugepages(void)
{
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	long nr = 0;

	if (file) {
		if (fscanf(file, "%ld", &nr) != 1)
			nr = 0;
		fclose(file);
	}
	return nr;
}

static struct kvm_vm *create_vm(struct kvm_vcpu **vcpus)
{
	struct kvm_vm *vm;
	gva_t shared;
	int i;

	vm = __vm_create(private_mem_shape, NR_VCPUS, 0);
	private_mem_add_memslot(vm, TEST_GPA, TEST_SLOT, NPAGES);
	virt_map(vm, TEST_GPA, TEST_GPA, NPAGES);

	shared = vm_alloc_shared(vm, CONTROL_PAGES * SZ_4K, KVM_UTIL_MIN_VADDR,
				 MEM_REGION_TEST_DATA);
	control = (struct control *)shared;
	sync_global_to_guest(vm, control);
	host_control = addr_gva2hva(vm, shared);

	for (i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = vm_vcpu_add(vm, i, guest_main);
		vcpu_args_set(vcpus[i], 2, i, addr_gva2gpa(vm, shared));
	}
	kvm_arch_vm_finalize_vcpus(vm);
	return vm;
}

int main(int argc, char *argv[])
{
	struct part parts[NR_THREADS] = {
		{ .first = 0, .end = PART },
		{ .first = PART, .end = NPAGES },
	};
	int opt, i, round, nr_rounds = 30, nr_conversions = 300;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	unsigned int seed = time(NULL), page;
	unsigned int nr_hugepages = 0;
	struct kvm_vm *vm;

	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());
	TEST_REQUIRE(!private_mem_has_hugepages || nr_free_hugepages() >= TEST_SIZE / SZ_2M);

	while ((opt = getopt(argc, argv, "c:r:s:")) != -1) {
		switch (opt) {
		case 'c':
			nr_conversions = atoi_positive("Conversions", optarg);
			break;
		case 'r':
			nr_rounds = atoi_positive("Rounds", optarg);
			break;
		case 's':
			seed = strtoul(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: %s [-r rounds] [-c conversions] [-s seed]\n",
				argv[0]);
			return KSFT_FAIL;
		}
	}
	pr_info("%d rounds of %d conversions, again with -s %u\n", nr_rounds, nr_conversions, seed);

	vm = create_vm(vcpus);
	for (page = 0; page < NPAGES; page++)
		*(u64 *)(addr_gpa2hva(vm, TEST_GPA) + page * SZ_4K) = TAGGED(SHARED_TAG, page);
	vm_mem_set_private(vm, TEST_GPA, TEST_SIZE);
	run_guests(vcpus, FILL_PRIVATE, NULL);
	vm_mem_set_shared(vm, TEST_GPA, TEST_SIZE);
	check_all(vm, vcpus);

	for (round = 0; round < nr_rounds; round++) {
		for (i = 0; i < NR_THREADS; i++) {
			parts[i].vm = vm;
			parts[i].seed = seed++;
			/* Few of them leave more hugepages than many. */
			parts[i].nr_conversions = round % 2 ? 3 : nr_conversions;
		}
		run_guests(vcpus, TOUCH, parts);
		check_all(vm, vcpus);
		nr_hugepages += nr_shared_2m();
	}
	TEST_ASSERT(!private_mem_has_hugepages || nr_hugepages,
		    "No round has left any hugepage, take fewer conversions");

	kvm_vm_free(vm);
	return 0;
}
