// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long it takes to set memory attributes and to use memory that has some.
 * Prints a line for each measurement: "name|pattern|value|unit".
 */
#include <pthread.h>
#include <sys/mman.h>

#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

/* An arbitrary gpa that the library's own memslots don't use. */
#define TEST_GPA	SZ_4G
#define TEST_SLOT	10
#define TEST_SIZE	SZ_256M
#define NPAGES		(TEST_SIZE / SZ_4K)

#define MAX_THREADS	4
#define NR_CONVERSIONS	2000
#define NR_FAULTS	2048

static const struct vm_shape protected_vm_shape = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

struct thread {
	pthread_t thread;
	struct kvm_vm *vm;
	u64 gpa;
};

static void print(const char *name, const char *pattern, double value, const char *unit)
{
	printf("%s|%s|%.3f|%s\n", name, pattern, value, unit);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static double set_us(struct kvm_vm *vm, u64 gpa, u64 size, u64 attributes)
{
	double start = now_us();

	vm_set_memory_attributes(vm, gpa, size, attributes);
	return now_us() - start;
}

static void measure_range(u64 size, const char *pattern)
{
	struct kvm_vm *vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	long before = get_reclaimable_slab_kib();
	double start;

	print("set", pattern, set_us(vm, TEST_GPA, size, KVM_MEMORY_ATTRIBUTE_PRIVATE), "us");
	print("memory", pattern, get_reclaimable_slab_kib() - before, "KiB");
	print("repeat", pattern, set_us(vm, TEST_GPA, size, KVM_MEMORY_ATTRIBUTE_PRIVATE), "us");
	print("clear", pattern, set_us(vm, TEST_GPA, size, 0), "us");

	vm_mem_set_private(vm, TEST_GPA, size);
	start = now_us();
	kvm_vm_free(vm);
	print("teardown", pattern, now_us() - start, "us");
}

static void measure_ranges(u64 max_gib)
{
	static const u64 sizes[] = { 1, 4, 16, 64, 256, 1024 };
	char pattern[32];
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes) && sizes[i] <= max_gib; i++) {
		snprintf(pattern, sizeof(pattern), "%lu GiB", sizes[i]);
		measure_range(sizes[i] * SZ_1G, pattern);
	}
}

static void *convert(void *arg)
{
	struct thread *thread = arg;
	int i;

	for (i = 0; i < NR_CONVERSIONS; i++) {
		vm_mem_set_shared(thread->vm, thread->gpa, SZ_4K);
		vm_mem_set_private(thread->vm, thread->gpa, SZ_4K);
	}
	return NULL;
}

/* Microseconds for a conversion, of all that the threads do in that time. */
static void measure_conversions(struct kvm_vm *vm, const char *pattern, int nr_threads)
{
	struct thread threads[MAX_THREADS];
	double start = now_us();
	int i;

	for (i = 0; i < nr_threads; i++) {
		threads[i].vm = vm;
		threads[i].gpa = TEST_GPA + SZ_16M * (i + 1) + 5 * SZ_4K;
		kvm_pthread_create(&threads[i].thread, NULL, convert, &threads[i]);
	}
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i].thread, NULL);
	print("one-page", pattern, (now_us() - start) / (2 * NR_CONVERSIONS * nr_threads), "us");
}

static void measure_alternating(struct kvm_vm *vm)
{
	long before = get_reclaimable_slab_kib();
	double start = now_us();
	u64 page;

	for (page = 0; page < NPAGES; page += 2)
		vm_mem_set_shared(vm, TEST_GPA + page * SZ_4K, SZ_4K);
	print("set", "alternating 256 MiB", now_us() - start, "us");
	print("memory", "alternating 256 MiB", get_reclaimable_slab_kib() - before, "KiB");
}

static void measure_memslot(struct kvm_vm *vm, u64 gib)
{
	const u64 gpa = 64ul * SZ_1G, size = gib * SZ_1G;
	char pattern[32];
	double start;
	void *hva;

	hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(hva != MAP_FAILED, "mmap() failed");
	vm_mem_set_private(vm, gpa, size);

	start = now_us();
	vm_set_user_memory_region(vm, TEST_SLOT + 1, 0, gpa, size, hva);
	snprintf(pattern, sizeof(pattern), "%lu GiB private", gib);
	print("memslot", pattern, now_us() - start, "us");

	vm_set_user_memory_region(vm, TEST_SLOT + 1, 0, gpa, 0, hva);
	vm_mem_set_shared(vm, gpa, size);
	munmap(hva, size);
}

static void guest_touch(void)
{
	u64 page;

	for (;;) {
		for (page = 0; page < NR_FAULTS; page++)
			READ_ONCE(*(u64 *)(TEST_GPA + page * SZ_4K));
		GUEST_SYNC(0);
	}
}

static void measure_faults(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	double start = now_us();

	vcpu_run(vcpu);
	print("fault", "private", (now_us() - start) / NR_FAULTS, "us");
}

int main(int argc, char *argv[])
{
	u64 max_gib = 64;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int opt;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM));

	while ((opt = getopt(argc, argv, "g:")) != -1) {
		TEST_ASSERT(opt == 'g', "usage: %s [-g GiB to set at most]", argv[0]);
		max_gib = atoi_positive("GiB", optarg);
	}

	/* Guests can have no more, and the ranges begin at TEST_GPA. */
	max_gib = min(max_gib, BIT_ULL(this_cpu_property(X86_PROPERTY_MAX_PHY_ADDR)) / SZ_1G -
			       TEST_GPA / SZ_1G);

	vm = __vm_create_shape_with_one_vcpu(protected_vm_shape, &vcpu, NPAGES, guest_touch);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, TEST_GPA, TEST_SLOT, NPAGES,
				    KVM_MEM_GUEST_MEMFD);
	virt_map(vm, TEST_GPA, TEST_GPA, NPAGES);
	vm_mem_set_private(vm, TEST_GPA, TEST_SIZE);

	measure_faults(vm, vcpu);
	measure_conversions(vm, "uniform", 1);
	measure_conversions(vm, "uniform, 2 threads", 2);
	measure_conversions(vm, "uniform, 4 threads", 4);
	measure_alternating(vm);
	measure_conversions(vm, "fragmented", 1);
	measure_memslot(vm, 16);
	kvm_vm_free(vm);

	measure_ranges(max_gib);
	return 0;
}
