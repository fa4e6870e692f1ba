// SPDX-License-Identifier: GPL-2.0-only
/* Guests of protected VMs that do what the host tells them. */
#include <linux/arm-smccc.h>
#include <linux/sizes.h>

#include "kvm_util.h"
#include "pkvm.h"
#include "pkvm_puppet.h"
#include "processor.h"
#include "ucall_common.h"

static long call_hypervisor(const struct pkvm_command *command)
{
	struct arm_smccc_res res = {};

	if (command->op == OP_SMC)
		smccc_smc(command->gpa, command->value, 0, 0, 0, 0, 0, 0, &res);
	else
		smccc_hvc(command->gpa, command->value, 0, 0, 0, 0, 0, 0, &res);
	return command->op == OP_HVC_R1 ? res.a1 : res.a0;
}

static u64 obey(const struct pkvm_command *command)
{
	switch (READ_ONCE(command->op)) {
	case OP_READ:
		return pkvm_guest_load((u64 *)command->gpa, PKVM_ENDED);
	case OP_WRITE:
		return pkvm_guest_store((u64 *)command->gpa, PKVM_ENDED, command->value);
	case OP_SHARE:
		return pkvm_mem_call(PKVM_MEM_SHARE, command->gpa, command->nr, command->value);
	case OP_UNSHARE:
		return pkvm_mem_call(PKVM_MEM_UNSHARE, command->gpa, command->nr, command->value);
	default:
		return call_hypervisor(command);
	}
}

static void puppet_code(bool is_first, struct pkvm_command *command, gpa_t gpa)
{
	u64 result;

	if (is_first)
		pkvm_guest_init();
	result = mem_share(gpa);

	for (;;) {
		GUEST_SYNC(result);
		WRITE_ONCE(command->begun, true);
		result = obey(command);
	}
}

/* By nothing that the guest has done: it goes on where it was. */
static void on_abort(struct ex_regs *regs)
{
}

u64 pkvm_puppet_result(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	return uc.args[1];
}

void pkvm_add_puppets(struct kvm_vm *vm, int nr, struct kvm_vcpu *vcpus[],
		      struct pkvm_command *commands[])
{
	gva_t page = vm_alloc_shared(vm, nr * SZ_4K, KVM_UTIL_MIN_VADDR, MEM_REGION_TEST_DATA);
	int i;

	vm_init_descriptor_tables(vm);
	vm_install_sync_handler(vm, VECTOR_SYNC_CURRENT, ESR_ELx_EC_DABT_CUR, on_abort);

	for (i = 0; i < nr; i++, page += SZ_4K) {
		commands[i] = addr_gva2hva(vm, page);
		vcpus[i] = vm_vcpu_add(vm, i, puppet_code);
		vcpu_args_set(vcpus[i], 3, !i, page, addr_gva2gpa(vm, page));
		vcpu_init_descriptor_tables(vcpus[i]);
	}

	kvm_arch_vm_finalize_vcpus(vm);
	for (i = 0; i < nr; i++) {
		pkvm_vcpu_run(vcpus[i]);
		TEST_ASSERT_EQ((long)pkvm_puppet_result(vcpus[i]), SMCCC_RET_SUCCESS);
	}
}
