// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which ranges and attributes KVM_SET_MEMORY_ATTRIBUTES takes: setting is
 * limited to the gfns that a VM can have, clearing is clamped to them, and a VM
 * that supports no attribute takes none.
 */
#include <linux/sizes.h>

#include "kvm_util.h"
#include "private_mem.h"
#include "test_util.h"
#include "kselftest_harness.h"

#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE

static int set_attributes(struct kvm_vm *vm, u64 address, u64 size, u64 attributes, u64 flags)
{
	struct kvm_memory_attributes attr = {
		.address = address,
		.size = size,
		.attributes = attributes,
		.flags = flags,
	};

	return __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr) ? errno : 0;
}

static void expect_set(struct kvm_vm *vm, u64 address, u64 size, u64 attributes, int wanted)
{
	int r = set_attributes(vm, address, size, attributes, 0);

	TEST_ASSERT(r == wanted, "[%#lx, +%#lx) = %#lx: wanted errno %d, got %d",
		    address, size, attributes, wanted, r);
}

TEST(bad_arguments)
{
	struct kvm_vm *vm = private_mem_create_barebones();

	expect_set(vm, 0, 0, PRIVATE, EINVAL);
	expect_set(vm, 0, PAGE_SIZE - 1, PRIVATE, EINVAL);
	expect_set(vm, 1, PAGE_SIZE, PRIVATE, EINVAL);
	expect_set(vm, -PAGE_SIZE, 2 * PAGE_SIZE, 0, EINVAL);
	expect_set(vm, 0, PAGE_SIZE, PRIVATE | 1, EINVAL);
	expect_set(vm, 0, PAGE_SIZE, ~0ull, EINVAL);
	TEST_ASSERT_EQ(set_attributes(vm, 0, PAGE_SIZE, PRIVATE, 1), EINVAL);
	kvm_vm_free(vm);
}

TEST(set_is_limited)
{
	struct kvm_vm *vm = private_mem_create_barebones();
	u64 limit = private_mem_gpa_limit(vm);

	expect_set(vm, limit - PAGE_SIZE, PAGE_SIZE, PRIVATE, 0);
	expect_set(vm, limit, PAGE_SIZE, PRIVATE, EINVAL);
	expect_set(vm, limit - PAGE_SIZE, 2 * PAGE_SIZE, PRIVATE, EINVAL);
	expect_set(vm, BIT_ULL(63), PAGE_SIZE, PRIVATE, EINVAL);
	expect_set(vm, -PAGE_SIZE - PAGE_SIZE, PAGE_SIZE, PRIVATE, EINVAL);
	kvm_vm_free(vm);
}

TEST(clear_is_clamped)
{
	struct kvm_vm *vm = private_mem_create_barebones();
	u64 limit = private_mem_gpa_limit(vm);

	expect_set(vm, limit - PAGE_SIZE, PAGE_SIZE, PRIVATE, 0);
	expect_set(vm, limit - PAGE_SIZE, 2 * PAGE_SIZE, 0, 0);
	expect_set(vm, limit, PAGE_SIZE, 0, 0);
	expect_set(vm, BIT_ULL(63), PAGE_SIZE, 0, 0);
	expect_set(vm, 0, -PAGE_SIZE, 0, 0);
	kvm_vm_free(vm);
}

/* A range of which a part is refused changes nothing in the rest of it. */
TEST(refused_whole)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	u64 gpa;

	vm = vm_create_shape_with_one_vcpu(private_mem_shape, &vcpu, NULL);
	gpa = private_mem_gpa_limit(vm) - PAGE_SIZE;

	TEST_ASSERT(!private_mem_is_private(vcpu, gpa), "Wanted it to be shared before");
	expect_set(vm, gpa, 2 * PAGE_SIZE, PRIVATE, EINVAL);
	TEST_ASSERT(!private_mem_is_private(vcpu, gpa),
		    "Wanted it to be shared after a set that was refused");

	expect_set(vm, gpa, PAGE_SIZE, PRIVATE, 0);
	TEST_ASSERT(private_mem_is_private(vcpu, gpa), "Wanted it to be private after a set");
	kvm_vm_free(vm);
}

TEST(vm_without_attributes)
{
	struct kvm_vm *vm = vm_create_barebones();

	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	expect_set(vm, 0, PAGE_SIZE, PRIVATE, EINVAL);
	expect_set(vm, 0, PAGE_SIZE, 0, EINVAL);
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());

	return test_harness_run(argc, argv);
}
