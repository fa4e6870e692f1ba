// SPDX-License-Identifier: GPL-2.0
/* The x86 VM and its vCPU, which starts in long mode. */
#include <stdlib.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "../arch.h"
#include "../checks.h"
#include "../guest.h"
#include "../vmm.h"

#define BIT(n) (1ULL << (n))

#define CR0_PE		BIT(0)
#define CR0_PG		BIT(31)
#define CR4_PAE		BIT(5)
#define EFER_LME	BIT(8)
#define EFER_LMA	BIT(10)

#define PTE_PRESENT	BIT(0)
#define PTE_WRITABLE	BIT(1)
#define PTE_2M_PAGE	BIT(7)

#define MAX_CPUID_ENTRIES 256

const bool arch_memory_in_place;

unsigned long arch_vm_type(void)
{
	return KVM_X86_SW_PROTECTED_VM;
}

void arch_require_vm_type(const struct vmm *vmm)
{
	if (!(vmm_system_cap(vmm, KVM_CAP_VM_TYPES) &
	      BIT(KVM_X86_SW_PROTECTED_VM)))
		skip("KVM has no software-protected VMs",
		     "boot a kernel with CONFIG_KVM_SW_PROTECTED_VM=y, on a CPU with EPT or NPT");
}

/*
 * Maps the first GiB 1:1. Page tables stay in shared memory: KVM's emulator
 * walks them in the VMM's mapping.
 */
static __u64 create_page_tables(struct vmm *vmm)
{
	__u64 *pml4 = (void *)(vmm->regions[BOOT].shared + GUEST_ARCH_GPA);
	__u64 *pdpt = pml4 + 512;
	__u64 *pd = pdpt + 512;
	unsigned int i;

	pml4[0] = (GUEST_ARCH_GPA + PAGE_SIZE) | PTE_PRESENT | PTE_WRITABLE;
	pdpt[0] = (GUEST_ARCH_GPA + 2 * PAGE_SIZE) | PTE_PRESENT | PTE_WRITABLE;
	for (i = 0; i < 512; i++)
		pd[i] = i * BIT(21) | PTE_PRESENT | PTE_WRITABLE | PTE_2M_PAGE;

	return GUEST_ARCH_GPA;
}

static void set_long_mode(struct vmm *vmm)
{
	struct kvm_segment code = {
		.limit = ~0U, .selector = 0x08, .type = 0xb, .s = 1,
		.present = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = ~0U, .selector = 0x10, .type = 0x3, .s = 1,
		.present = 1, .db = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	if (ioctl(vmm->vcpu_fd, KVM_GET_SREGS, &sregs))
		give_up("KVM_GET_SREGS", "The vCPU has no readable state.");

	sregs.cr3 = create_page_tables(vmm);
	sregs.cr4 |= CR4_PAE;
	sregs.cr0 |= CR0_PE | CR0_PG;
	sregs.efer |= EFER_LME | EFER_LMA;
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;

	if (ioctl(vmm->vcpu_fd, KVM_SET_SREGS, &sregs))
		give_up("KVM_SET_SREGS, to enter long mode",
			"EINVAL: control registers, EFER and CPUID do not fit together.");
}

/* As if guest_main(mailbox) had been called: RSP is 8 below a multiple of 16. */
static void set_entry_point(struct vmm *vmm)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE_GPA +
		       ((const char *)guest_main - __start_guest_code),
		.rdi = GUEST_MAILBOX_GPA,
		.rsp = GUEST_STACK_TOP - 8,
		.rflags = BIT(1),
	};

	if (ioctl(vmm->vcpu_fd, KVM_SET_REGS, &regs))
		give_up("KVM_SET_REGS, to set the entry point",
			"The vCPU's state cannot be written.");
}

/*
 * The guest gets all that the host can give, and is told that it can ask for
 * conversions; a VMM may say so once KVM_CAP_EXIT_HYPERCALL is enabled.
 */
static void set_cpuid(struct vmm *vmm)
{
	struct kvm_cpuid2 *cpuid;
	unsigned int i;

	cpuid = calloc(1, sizeof(*cpuid) +
		       MAX_CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		give_up("allocate CPUID entries", "The host is out of memory.");

	cpuid->nent = MAX_CPUID_ENTRIES;
	if (ioctl(vmm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid))
		give_up("KVM_GET_SUPPORTED_CPUID",
			"E2BIG: there are more than MAX_CPUID_ENTRIES.");

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == KVM_CPUID_FEATURES)
			cpuid->entries[i].eax |= BIT(KVM_FEATURE_HC_MAP_GPA_RANGE);

	if (ioctl(vmm->vcpu_fd, KVM_SET_CPUID2, cpuid))
		give_up("KVM_SET_CPUID2", "EINVAL: KVM rejects a CPUID entry.");
	free(cpuid);
}

void arch_setup_vcpu(struct vmm *vmm)
{
	set_cpuid(vmm);
	set_long_mode(vmm);
	set_entry_point(vmm);
}

/* KVM's emulator reads it in the VMM's mapping. */
void arch_protect_boot(struct vmm *vmm)
{
	(void)vmm;
}

__u64 arch_guest_pc(const struct vmm *vmm)
{
	struct kvm_regs regs;

	if (ioctl(vmm->vcpu_fd, KVM_GET_REGS, &regs))
		return 0;
	return regs.rip;
}
