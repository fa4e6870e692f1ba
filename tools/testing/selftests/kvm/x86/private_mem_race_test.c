// SPDX-License-Identifier: GPL-2.0-only
/*
 * A software-protected VM's view of a gfn follows the gfn's attribute, so that
 * the two can't disagree: an access or a prefault that races with a conversion
 * of the page sees the page as it was or as it is, and never fails.
 *
 * The race is a matter of chance.  A kernel that takes the view from an attribute
 * that it read too early fails well within the NR_ROUNDS conversions.
 */
#include <pthread.h>

#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "kselftest_harness.h"

/* An arbitrary gpa that the library's own memslots don't use. */
#define TEST_GPA	SZ_4G
#define TEST_SLOT	10

#define NR_ROUNDS	20000

/* Seconds, for kernels that check themselves. */
#define MAX_SECONDS	600

static const struct vm_shape protected_vm_shape = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

FIXTURE(race) {
};

FIXTURE_SETUP(race)
{
}

FIXTURE_TEARDOWN(race)
{
}

static bool done;

static void guest_read_forever(void)
{
	while (!READ_ONCE(done))
		READ_ONCE(*(u64 *)TEST_GPA);
	GUEST_DONE();
}

static struct kvm_vm *create_vm(struct kvm_vcpu **vcpu)
{
	struct kvm_vm *vm;

	vm = vm_create_shape_with_one_vcpu(protected_vm_shape, vcpu, guest_read_forever);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, TEST_GPA, TEST_SLOT, 1,
				    KVM_MEM_GUEST_MEMFD);
	virt_map(vm, TEST_GPA, TEST_GPA, 1);
	return vm;
}

static void *convert_back_and_forth(void *arg)
{
	struct kvm_vm *vm = arg;
	int i;

	for (i = 0; i < NR_ROUNDS && !READ_ONCE(done); i++) {
		vm_mem_set_private(vm, TEST_GPA, PAGE_SIZE);
		vm_mem_set_shared(vm, TEST_GPA, PAGE_SIZE);
	}

	WRITE_ONCE(done, true);
	sync_global_to_guest(vm, done);
	return NULL;
}

TEST_F_TIMEOUT(race, guest_access, MAX_SECONDS)
{
	struct kvm_vcpu *vcpu;
	pthread_t converter;
	struct kvm_vm *vm;
	struct ucall uc;
	int r;

	vm = create_vm(&vcpu);
	kvm_pthread_create(&converter, NULL, convert_back_and_forth, vm);

	r = _vcpu_run(vcpu);
	TEST_ASSERT(!r, "KVM_RUN failed with errno %d, exit reason %u, flags %#llx", errno,
		    vcpu->run->exit_reason, vcpu->run->memory_fault.flags);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_DONE);

	kvm_pthread_join(converter, NULL);
	kvm_vm_free(vm);
}

TEST_F_TIMEOUT(race, prefault, MAX_SECONDS)
{
	struct kvm_pre_fault_memory range;
	struct kvm_vcpu *vcpu;
	pthread_t converter;
	struct kvm_vm *vm;
	int r;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY));

	vm = create_vm(&vcpu);
	/* What a prefault must leave alone; KVM_RUN is never called. */
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	kvm_pthread_create(&converter, NULL, convert_back_and_forth, vm);

	while (!READ_ONCE(done)) {
		range = (struct kvm_pre_fault_memory) {
			.gpa = TEST_GPA,
			.size = PAGE_SIZE,
		};
		r = __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range);
		TEST_ASSERT(!r, "KVM_PRE_FAULT_MEMORY failed with errno %d", errno);
		TEST_ASSERT_EQ(vcpu->run->exit_reason, KVM_EXIT_UNKNOWN);
	}

	kvm_pthread_join(converter, NULL);
	kvm_vm_free(vm);
}

/* A prefault that fails says so by its errno, and only by that. */
TEST(prefault_leaves_run_alone)
{
	struct kvm_pre_fault_memory range = {
		.gpa = TEST_GPA,
		.size = PAGE_SIZE,
	};
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int r;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY));

	vm = vm_create_shape_with_one_vcpu(protected_vm_shape, &vcpu, guest_read_forever);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, TEST_GPA, TEST_SLOT, 1, 0);
	vm_mem_set_private(vm, TEST_GPA, PAGE_SIZE);

	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	r = __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range);
	TEST_ASSERT(r && errno == EFAULT, "Wanted EFAULT, got %d, errno %d", r, errno);
	TEST_ASSERT_EQ(vcpu->run->exit_reason, KVM_EXIT_UNKNOWN);
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM));

	return test_harness_run(argc, argv);
}
