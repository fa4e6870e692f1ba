// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_MEMORY_ATTRIBUTES that runs out of memory fails with ENOMEM, changes
 * no attribute and keeps none of the memory that it took.
 *
 * Slab allocations of this task are made to fail after a number of bytes, which
 * takes CONFIG_FAILSLAB and CONFIG_FAULT_INJECTION_DEBUG_FS.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

#define FAILSLAB	"/sys/kernel/debug/failslab/"

/* An arbitrary gpa that the library's own memslots don't use. */
#define TEST_GPA	SZ_4G
#define TEST_SLOT	10

/* Takes 9 MiB on a kernel that has an entry for every page. */
#define LARGE_SIZE	SZ_4G
#define MEMORY_KIB	(8 * 1024)
/* Less than a node of the radix tree, and many times what the path to a page takes. */
#define STEP_BYTES	256
#define MAX_BYTES	SZ_64K
/* Well above what the rest of the system does to the slab meanwhile. */
#define NOISE_KIB	(2 * 1024)

static const struct vm_shape protected_vm_shape = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

/* In the order in which to set them, and in reverse to restore them. */
static const char * const knobs[][2] = {
	{ "space", NULL },
	{ "verbose", "0" },
	{ "task-filter", "Y" },
	{ "ignore-gfp-wait", "N" },
	{ "interval", "1" },
	{ "times", "-1" },
	{ "probability", "100" },
};

static char saved[ARRAY_SIZE(knobs)][32];
static int make_it_fail;

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	TEST_ASSERT(fd >= 0, "Can't open %s", path);
	TEST_ASSERT(write(fd, value, strlen(value)) == strlen(value),
		    "Can't write %s to %s", value, path);
	close(fd);
}

static void read_file(const char *path, char *value, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t r;

	TEST_ASSERT(fd >= 0, "Can't open %s", path);
	r = read(fd, value, size - 1);
	TEST_ASSERT(r > 0, "Can't read %s", path);
	value[r] = 0;
	close(fd);
}

/* Let allocations of this task fail once it has allocated so much. */
static void start_failing(unsigned int bytes)
{
	char path[64], space[16];
	int i;

	snprintf(space, sizeof(space), "%u", bytes);
	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		snprintf(path, sizeof(path), FAILSLAB "%s", knobs[i][0]);
		read_file(path, saved[i], sizeof(saved[i]));
		write_file(path, knobs[i][1] ?: space);
	}

	/* Opening a file allocates, so this one stays open until the end. */
	make_it_fail = open("/proc/self/make-it-fail", O_WRONLY);
	TEST_ASSERT(make_it_fail >= 0, "Can't open /proc/self/make-it-fail");
	TEST_ASSERT(write(make_it_fail, "1", 1) == 1, "Can't start failing");
}

static void stop_failing(void)
{
	char path[64];
	int i;

	TEST_ASSERT(write(make_it_fail, "0", 1) == 1, "Can't stop failing");
	close(make_it_fail);

	for (i = ARRAY_SIZE(knobs) - 1; i >= 0; i--) {
		snprintf(path, sizeof(path), FAILSLAB "%s", knobs[i][0]);
		write_file(path, saved[i]);
	}
}

static int set_private(struct kvm_vm *vm, u64 size, unsigned int bytes)
{
	struct kvm_memory_attributes attr = {
		.address = TEST_GPA,
		.size = size,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	int r;

	start_failing(bytes);
	r = __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr);
	r = r ? errno : 0;
	stop_failing();
	TEST_ASSERT(!r || r == ENOMEM, "Wanted ENOMEM, got %d", r);
	return r;
}

static void expect_private(struct kvm_vcpu *vcpu, bool wanted)
{
	struct kvm_pre_fault_memory range = {
		.gpa = TEST_GPA,
		.size = PAGE_SIZE,
	};
	int r = __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range);

	TEST_ASSERT(!r || errno == EFAULT, "KVM_PRE_FAULT_MEMORY failed with errno %d", errno);
	TEST_ASSERT(wanted == !!r, "The page is %s", r ? "private" : "shared");
}

/* Every allocation that a single page takes, failing one after the other. */
static void fail_each(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	unsigned int bytes, nr_failed = 0;

	for (bytes = 0; bytes < MAX_BYTES; bytes += STEP_BYTES) {
		if (!set_private(vm, PAGE_SIZE, bytes))
			break;
		nr_failed++;
		expect_private(vcpu, false);
	}
	TEST_ASSERT(bytes < MAX_BYTES, "No amount of memory is enough");
	TEST_ASSERT(nr_failed, "Nothing was allocated");
	expect_private(vcpu, true);
	vm_mem_set_shared(vm, TEST_GPA, PAGE_SIZE);
}

static void fail_leak(int sig)
{
	TEST_FAIL("Memory that was taken by the ioctl isn't given back");
}

/* A failure after much has been allocated, if that much is needed. */
static void fail_late(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	long before = get_reclaimable_slab_kib();

	if (!set_private(vm, LARGE_SIZE, MEMORY_KIB * 1024)) {
		expect_private(vcpu, true);
		return;
	}

	/* Nodes are freed by RCU, in its own time. */
	signal(SIGALRM, fail_leak);
	alarm(30);
	while (get_reclaimable_slab_kib() > before + NOISE_KIB)
		sched_yield();
	alarm(0);
	expect_private(vcpu, false);
	vm_mem_set_private(vm, TEST_GPA, LARGE_SIZE);
}

int main(int argc, char *argv[])
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY));
	__TEST_REQUIRE(!access(FAILSLAB "space", W_OK),
		       "needs CONFIG_FAILSLAB, CONFIG_FAULT_INJECTION_DEBUG_FS and debugfs");

	vm = vm_create_shape_with_one_vcpu(protected_vm_shape, &vcpu, NULL);
	/* Without guest_memfd, a page can be mapped only while it is shared. */
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, TEST_GPA, TEST_SLOT, 1, 0);

	fail_each(vm, vcpu);
	fail_late(vm, vcpu);
	kvm_vm_free(vm);
	return 0;
}
