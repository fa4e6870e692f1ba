// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory attributes are what userspace said last of each gfn: whatever the
 * ranges, their alignment and neighbours, with memslots, without, and if they
 * come and go.  An ioctl that fails changes none of them.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/sizes.h>

#include "kvm_util.h"
#include "private_mem.h"
#include "test_util.h"
#include "kselftest_harness.h"

#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE

/* An arbitrary gpa that the library's own memslots don't use. */
#define TEST_GPA	(64ul * SZ_1G)
#define TEST_SLOT	10

FIXTURE(vm) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
};

FIXTURE_SETUP(vm)
{
	self->vm = vm_create_shape_with_one_vcpu(private_mem_shape, &self->vcpu, NULL);
}

FIXTURE_TEARDOWN(vm)
{
	kvm_vm_free(self->vm);
}

static void expect(struct kvm_vcpu *vcpu, u64 gpa, bool private)
{
	TEST_ASSERT(private_mem_is_private(vcpu, gpa) == private, "gpa %#lx is %s", gpa,
		    private ? "shared" : "private");
}

/* The first and the last page of [start, end), and those next to it. */
static void expect_range(struct kvm_vcpu *vcpu, u64 start, u64 end, bool private)
{
	if (start)
		expect(vcpu, start - PAGE_SIZE, !private);
	expect(vcpu, start, private);
	expect(vcpu, end - PAGE_SIZE, private);
	if (end <= vcpu->vm->max_gfn * PAGE_SIZE)
		expect(vcpu, end, !private);
}

TEST_F(vm, boundaries)
{
	static const u64 sizes[] = { SZ_4K, SZ_8K, SZ_256K, SZ_2M, SZ_16M, SZ_1G, 64ul * SZ_1G };
	u64 start, end;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		/* Up to a boundary, across it by a page at either side, from it on. */
		for (j = 0; j < 4; j++) {
			start = TEST_GPA + sizes[i] - (j & 1) * PAGE_SIZE;
			end = TEST_GPA + 2 * sizes[i] + (j >> 1) * PAGE_SIZE;

			vm_mem_set_private(self->vm, start, end - start);
			expect_range(self->vcpu, start, end, true);
			vm_mem_set_shared(self->vm, start, end - start);
			expect(self->vcpu, start, false);
			expect(self->vcpu, end - PAGE_SIZE, false);
		}
	}
}

TEST_F(vm, holes)
{
	static const u64 sizes[] = { SZ_4K, SZ_256K, SZ_2M, SZ_1G };
	u64 hole;
	int i;

	vm_mem_set_private(self->vm, TEST_GPA, 16ul * SZ_1G);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		hole = TEST_GPA + 4ul * SZ_1G + 3 * sizes[i];
		vm_mem_set_shared(self->vm, hole, sizes[i]);
		expect_range(self->vcpu, hole, hole + sizes[i], false);
		expect_range(self->vcpu, TEST_GPA, TEST_GPA + 16ul * SZ_1G, true);
		vm_mem_set_private(self->vm, hole, sizes[i]);
		expect(self->vcpu, hole, true);
	}
}

TEST_F(vm, first_and_last_gfn)
{
	u64 end = private_mem_gpa_limit(self->vm);

	vm_mem_set_private(self->vm, end - PAGE_SIZE, PAGE_SIZE);
	expect_range(self->vcpu, end - PAGE_SIZE, end, true);
	vm_mem_set_private(self->vm, 0, PAGE_SIZE);
	expect(self->vcpu, 0, true);
	expect(self->vcpu, PAGE_SIZE, false);
	expect(self->vcpu, end - PAGE_SIZE, true);

	vm_mem_set_private(self->vm, 0, end);
	expect(self->vcpu, TEST_GPA, true);
	vm_mem_set_shared(self->vm, 0, end);
	expect(self->vcpu, 0, false);
	expect(self->vcpu, TEST_GPA, false);
	expect(self->vcpu, end - PAGE_SIZE, false);
}

TEST_F(vm, bad_pointer)
{
	struct kvm_memory_attributes *bad = NULL;

	TEST_ASSERT(__vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, bad) && errno == EFAULT,
		    "Wanted EFAULT for a bad pointer, got errno %d", errno);
}

static void add_slot(struct kvm_vm *vm, u64 gpa, u32 slot, u64 npages)
{
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, gpa, slot, npages, 0);
}

/* One range over a memslot, a gap, another memslot and nothing. */
TEST_F(vm, across_memslots)
{
	const u64 size = SZ_1M;

	add_slot(self->vm, TEST_GPA, TEST_SLOT, size / PAGE_SIZE);
	add_slot(self->vm, TEST_GPA + 2 * size, TEST_SLOT + 1, size / PAGE_SIZE);

	vm_mem_set_private(self->vm, TEST_GPA + PAGE_SIZE, 4 * size);
	expect_range(self->vcpu, TEST_GPA + PAGE_SIZE, TEST_GPA + PAGE_SIZE + 4 * size, true);
	expect(self->vcpu, TEST_GPA + size, true);
	expect(self->vcpu, TEST_GPA + 2 * size, true);

	vm_mem_set_shared(self->vm, TEST_GPA + size - PAGE_SIZE, 2 * size);
	expect_range(self->vcpu, TEST_GPA + size - PAGE_SIZE, TEST_GPA + 3 * size - PAGE_SIZE,
		     false);
}

/* Attributes are those of gfns, not of memslots. */
TEST_F(vm, outlive_memslots)
{
	const u64 size = SZ_4M, half = SZ_2M;

	add_slot(self->vm, TEST_GPA, TEST_SLOT, size / PAGE_SIZE);
	vm_mem_set_private(self->vm, TEST_GPA + half, size);
	expect(self->vcpu, TEST_GPA, false);

	vm_mem_region_delete(self->vm, TEST_SLOT);
	expect_range(self->vcpu, TEST_GPA + half, TEST_GPA + half + size, true);

	add_slot(self->vm, TEST_GPA + SZ_1M, TEST_SLOT, size / PAGE_SIZE);
	expect_range(self->vcpu, TEST_GPA + half, TEST_GPA + half + size, true);

	vm_mem_set_shared(self->vm, TEST_GPA, size);
	expect_range(self->vcpu, TEST_GPA + size, TEST_GPA + half + size, true);
}

static int open_cgroup_file(const char *cgroup, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	fd = open(path, O_WRONLY);
	TEST_ASSERT(fd >= 0, "Can't open %s", path);
	return fd;
}

static void write_string(int fd, const char *string)
{
	TEST_ASSERT(write(fd, string, strlen(string)) == strlen(string),
		    "Can't write \"%s\" to the cgroup", string);
}

/*
 * A VMM at the limit of its memory cgroup is told so, and not killed.  Each page
 * is in a node of its own, with no neighbour that could merge.
 */
TEST(memcg_limit)
{
	const u64 stride = SZ_256K, end = TEST_GPA + 64ul * SZ_1G;
	struct kvm_memory_attributes attr = {
		.address = TEST_GPA,
		.size = PAGE_SIZE,
		.attributes = PRIVATE,
	};
	const char *cgroup = "/sys/fs/cgroup/kvm_mem_attributes_test";
	const char *control = "/sys/fs/cgroup/cgroup.subtree_control";
	int root, procs, limit, r = 0;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	root = open(control, O_WRONLY);
	if (root < 0 || write(root, "+memory", 7) != 7)
		SKIP(return, "needs a memory controller in %s", control);
	TEST_ASSERT(!mkdir(cgroup, 0700) || errno == EEXIST, "Can't make %s", cgroup);
	limit = open_cgroup_file(cgroup, "memory.max");
	procs = open_cgroup_file(cgroup, "cgroup.procs");

	vm = vm_create_shape_with_one_vcpu(private_mem_shape, &vcpu, NULL);
	TEST_ASSERT(!mlockall(MCL_CURRENT), "mlockall() failed");
	write_string(limit, "4M");
	write_string(procs, "0");

	for (; !r && attr.address < end; attr.address += stride)
		r = __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr) ? errno : 0;

	/* Before anything else that might need memory. */
	write_string(limit, "max");
	attr.address -= stride;
	TEST_ASSERT(r == ENOMEM, "Wanted ENOMEM, got errno %d for gpa %#llx", r, attr.address);

	expect(vcpu, attr.address, false);
	expect(vcpu, attr.address - stride, true);
	vm_mem_set_private(vm, attr.address, PAGE_SIZE);
	expect(vcpu, attr.address, true);
	vm_mem_set_shared(vm, TEST_GPA, end - TEST_GPA);
	expect(vcpu, attr.address, false);
	expect(vcpu, TEST_GPA, false);

	kvm_vm_free(vm);
	close(procs);
	procs = open_cgroup_file("/sys/fs/cgroup", "cgroup.procs");
	write_string(procs, "0");
	rmdir(cgroup);
	close(root);
}

int main(int argc, char *argv[])
{
	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());

	return test_harness_run(argc, argv);
}
