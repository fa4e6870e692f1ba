// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM itself uses memory of guests, for the tables of an ITS or the structure for stolen
 * time.  What a protected VM's guest has for itself it doesn't get, and says so.
 */
#include <errno.h>

#include <linux/arm-smccc.h>
#include <linux/sizes.h>

#include "gic_v3.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "pkvm.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "vgic.h"

#define TEST_SLOT	10
#define TEST_GPA	SZ_4G
/* As large as a table's page is for KVM. */
#define TEST_PAGES	(SZ_64K / SZ_4K)

#define PV_TIME_ST	ARM_SMCCC_CALL_VAL(ARM_SMCCC_FAST_CALL, ARM_SMCCC_SMC_64,	\
					   ARM_SMCCC_OWNER_STANDARD_HYP, 0x21)

#define GUESTS_OWN	0x6e57

static void guest_code(void)
{
	struct arm_smccc_res res;
	int i;

	pkvm_guest_init();
	WRITE_ONCE(*(u64 *)TEST_GPA, GUESTS_OWN);

	for (i = 0; i < 2; i++) {
		smccc_hvc(PV_TIME_ST, 0, 0, 0, 0, 0, 0, 0, &res);
		GUEST_SYNC_ARGS(i, res.a0, READ_ONCE(*(u64 *)TEST_GPA), 0, 0);
		if (!i)
			mem_share(TEST_GPA);
	}
	GUEST_DONE();
}

FIXTURE(pkvm) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
};

FIXTURE_SETUP(pkvm)
{
	struct kvm_vm *vm;

	vm = __vm_create(private_mem_shape, 1, 0);
	self->vm = vm;
	private_mem_add_memslot(vm, TEST_GPA, TEST_SLOT, TEST_PAGES);
	virt_map(vm, TEST_GPA, TEST_GPA, TEST_PAGES);
	vm_mem_set_private(vm, TEST_GPA, TEST_PAGES * SZ_4K);
	self->vcpu = vm_vcpu_add(vm, 0, guest_code);
}

FIXTURE_TEARDOWN(pkvm)
{
	kvm_vm_free(self->vm);
}

static int its_control(int its, u64 attr)
{
	return __kvm_device_attr_set(its, KVM_DEV_ARM_VGIC_GRP_CTRL, attr, NULL);
}

static void expect_no_tables(int its)
{
	TEST_ASSERT_EQ(its_control(its, KVM_DEV_ARM_ITS_SAVE_TABLES), -1);
	TEST_ASSERT_EQ(errno, EFAULT);
	TEST_ASSERT_EQ(its_control(its, KVM_DEV_ARM_ITS_RESTORE_TABLES), -1);
	TEST_ASSERT_EQ(errno, EFAULT);
}

/* The guest's next report of what PV_TIME_ST has returned, and what is there then. */
static struct ucall run_until_sync(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	pkvm_vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	return uc;
}

TEST_F(pkvm, its_tables)
{
	u64 baser = TEST_GPA | GITS_BASER_PAGE_SIZE_64K | GITS_BASER_InnerShareable |
		    GITS_BASER_RaWaWb | GITS_BASER_VALID;
	u64 *table;
	int its;

	if (!self->vm->arch.has_gic)
		SKIP(return, "There is no GICv3");

	its = vgic_its_setup(self->vm);
	kvm_arch_vm_finalize_vcpus(self->vm);
	/* The second one is that of collections. */
	kvm_device_attr_set(its, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, GITS_BASER + 8, &baser);

	/* What the guest has never had, has, and has had taken from it. */
	expect_no_tables(its);
	run_until_sync(self->vcpu);
	expect_no_tables(its);
	vm_mem_set_shared(self->vm, TEST_GPA, TEST_PAGES * SZ_4K);
	expect_no_tables(its);
	vm_mem_set_private(self->vm, TEST_GPA, TEST_PAGES * SZ_4K);
	ASSERT_EQ(GUESTS_OWN, run_until_sync(self->vcpu).args[3]);

	/* As the host may have it, it's the host's. */
	vm_mem_set_shared(self->vm, TEST_GPA, TEST_PAGES * SZ_4K);
	table = addr_gpa2hva(self->vm, TEST_GPA);
	*table = ~0ull;
	ASSERT_EQ(0, its_control(its, KVM_DEV_ARM_ITS_SAVE_TABLES));
	ASSERT_EQ(0, *table);
	ASSERT_EQ(0, its_control(its, KVM_DEV_ARM_ITS_RESTORE_TABLES));
	close(its);
}

TEST_F(pkvm, stolen_time)
{
	u64 ipa = TEST_GPA;
	struct kvm_device_attr attr = {
		.group = KVM_ARM_VCPU_PVTIME_CTRL,
		.attr = KVM_ARM_VCPU_PVTIME_IPA,
		.addr = (u64)&ipa,
	};
	struct ucall uc;

	if (__vcpu_ioctl(self->vcpu, KVM_HAS_DEVICE_ATTR, &attr))
		SKIP(return, "There is no stolen time");

	vcpu_ioctl(self->vcpu, KVM_SET_DEVICE_ATTR, &attr);
	kvm_arch_vm_finalize_vcpus(self->vm);

	uc = run_until_sync(self->vcpu);
	ASSERT_EQ(SMCCC_RET_NOT_SUPPORTED, (long)uc.args[2]);
	ASSERT_EQ(GUESTS_OWN, uc.args[3]);

	/* Once the guest shares it, the structure has a revision and attributes of 0. */
	uc = run_until_sync(self->vcpu);
	ASSERT_EQ(TEST_GPA, uc.args[2]);
	ASSERT_EQ(0, uc.args[3]);
}

int main(int argc, char *argv[])
{
	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());

	return test_harness_run(argc, argv);
}
