// SPDX-License-Identifier: GPL-2.0
/* The protected arm64 VM and its vCPU, which starts with its MMU on. */
#include <stddef.h>	/* for KVM_REG_ARM_CORE_REG() */
#include <sys/ioctl.h>

#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "../arch.h"
#include "../checks.h"
#include "../guest.h"
#include "../vmm.h"
#include "doorbell.h"

#define BIT(n) (1ULL << (n))

/* Names are the architecture's (Arm ARM, D24). */
#define MAIR_EL1	ARM64_SYS_REG(3, 0, 10, 2, 0)
#define SCTLR_EL1	ARM64_SYS_REG(3, 0, 1, 0, 0)
#define TCR_EL1		ARM64_SYS_REG(3, 0, 2, 0, 2)
#define TTBR0_EL1	ARM64_SYS_REG(3, 0, 2, 0, 0)

#define SCTLR_M		BIT(0)
#define SCTLR_C		BIT(2)
#define SCTLR_I		BIT(12)

/* 39 bits of address, pages of 4 KiB, cacheable and inner shareable walks. */
#define TCR_T0SZ	(64 - 39)
#define TCR_WALKS	(BIT(8) | BIT(10) | 3 * BIT(12))
#define TCR_EPD1	BIT(23)
#define TCR_IPS_40_BITS	(2 * BIT(32))

/* Attribute 0 is normal memory, write-back; attribute 1 is a device. */
#define MAIR		0x04ffULL

#define BLOCK_NORMAL	(BIT(0) | 3 * BIT(8) | BIT(10))
#define BLOCK_DEVICE	(BIT(0) | BIT(2) | BIT(10))

#define CORE_REG(name)							\
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |		\
	 KVM_REG_ARM_CORE_REG(name))

const bool arch_memory_in_place = true;

unsigned long arch_vm_type(void)
{
	return KVM_VM_TYPE_ARM_PROTECTED;
}

void arch_require_vm_type(const struct vmm *vmm)
{
	if (!(vmm_system_cap(vmm, KVM_CAP_EXIT_HYPERCALL) &
	      BIT(KVM_HC_MAP_GPA_RANGE)))
		skip("KVM has no protected VMs whose memory a VMM converts",
		     "boot a kernel that has them, with kvm-arm.mode=protected");
}

static void set_reg(struct vmm *vmm, __u64 id, __u64 value)
{
	struct kvm_one_reg reg = {
		.id = id,
		.addr = (__u64)(unsigned long)&value,
	};

	if (ioctl(vmm->vcpu_fd, KVM_SET_ONE_REG, &reg))
		give_up("KVM_SET_ONE_REG",
			"EINVAL: a value that the register can't have. ENOENT: no such register.");
}

static __u64 get_reg(const struct vmm *vmm, __u64 id)
{
	__u64 value = 0;
	struct kvm_one_reg reg = {
		.id = id,
		.addr = (__u64)(unsigned long)&value,
	};

	if (ioctl(vmm->vcpu_fd, KVM_GET_ONE_REG, &reg))
		return 0;
	return value;
}

/* Maps the first GiB 1:1, and the GiB with the doorbell. */
static void create_page_tables(struct vmm *vmm)
{
	__u64 *table = (void *)(vmm->regions[BOOT].shared + GUEST_ARCH_GPA);

	table[0] = BLOCK_NORMAL;
	table[DOORBELL_GPA >> 30] = DOORBELL_GPA | BLOCK_DEVICE;
}

static void enable_mmu(struct vmm *vmm)
{
	create_page_tables(vmm);
	set_reg(vmm, TTBR0_EL1, GUEST_ARCH_GPA);
	set_reg(vmm, MAIR_EL1, MAIR);
	set_reg(vmm, TCR_EL1, TCR_T0SZ | TCR_WALKS | TCR_EPD1 | TCR_IPS_40_BITS);
	set_reg(vmm, SCTLR_EL1, get_reg(vmm, SCTLR_EL1) | SCTLR_M | SCTLR_C | SCTLR_I);
}

/* As if guest_main(mailbox) had been called. */
static void set_entry_point(struct vmm *vmm)
{
	set_reg(vmm, CORE_REG(regs.pc), GUEST_CODE_GPA +
		((const char *)guest_main - __start_guest_code));
	set_reg(vmm, CORE_REG(regs.regs[0]), GUEST_MAILBOX_GPA);
	set_reg(vmm, CORE_REG(sp_el1), GUEST_STACK_TOP);
}

void arch_setup_vcpu(struct vmm *vmm)
{
	struct kvm_vcpu_init init = { 0 };

	if (ioctl(vmm->vm_fd, KVM_ARM_PREFERRED_TARGET, &init) ||
	    ioctl(vmm->vcpu_fd, KVM_ARM_VCPU_INIT, &init))
		give_up("KVM_ARM_VCPU_INIT", "EINVAL: the target isn't the host's.");
	enable_mmu(vmm);
	set_entry_point(vmm);
}

/* What the guest starts with is private from its first instruction on. */
void arch_protect_boot(struct vmm *vmm)
{
	struct region *boot = &vmm->regions[BOOT];
	unsigned int mailbox = GUEST_MAILBOX_GPA / PAGE_SIZE;
	struct span below = pages_of(boot, 0, mailbox);
	struct span above = pages_of(boot, mailbox + 1, boot->nr_pages - mailbox - 1);

	memory_set_private(vmm, &below, true);
	memory_set_private(vmm, &above, true);
}

__u64 arch_guest_pc(const struct vmm *vmm)
{
	return get_reg(vmm, CORE_REG(regs.pc));
}
