// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include <linux/kvm.h>

#include "arch.h"
#include "checks.h"
#include "exits.h"
#include "vmm.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	__u32 reason;
	const char *name;
	const char *meaning;
} exits[] = {
	{ KVM_EXIT_IO, "KVM_EXIT_IO", "the guest used an I/O port that is not the doorbell" },
	{ KVM_EXIT_HYPERCALL, "KVM_EXIT_HYPERCALL", "a hypercall that this VMM does not serve" },
	{ KVM_EXIT_HLT, "KVM_EXIT_HLT", "the guest halted" },
	{ KVM_EXIT_MMIO, "KVM_EXIT_MMIO", "the guest touched an address without a memslot" },
	{ KVM_EXIT_SHUTDOWN, "KVM_EXIT_SHUTDOWN",
	  "the guest met an exception that it has no handler for (AMD: the vCPU was reset)" },
	{ KVM_EXIT_FAIL_ENTRY, "KVM_EXIT_FAIL_ENTRY",
	  "the CPU refused the guest's initial state" },
	{ KVM_EXIT_INTERNAL_ERROR, "KVM_EXIT_INTERNAL_ERROR",
	  "KVM could not emulate what the guest did" },
	{ KVM_EXIT_MEMORY_FAULT, "KVM_EXIT_MEMORY_FAULT",
	  "an access against the attributes, not expected or not resolved" },
};

static void describe_reason(__u32 reason)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(exits); i++) {
		if (exits[i].reason != reason)
			continue;
		print_line("  Unexpected exit %s (%u): %s.", exits[i].name,
			   reason, exits[i].meaning);
		return;
	}
	print_line("  Unexpected exit %u: see KVM_EXIT_* in linux/kvm.h.",
		   reason);
}

static void describe_where(struct vmm *vmm)
{
	const struct kvm_run *run = vmm->run;

	print_line("  The guest was at pc %#llx.",
		   (unsigned long long)arch_guest_pc(vmm));

	if (run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		print_line("  It touched gpa %#llx (size %#llx, %s).",
			   (unsigned long long)run->memory_fault.gpa,
			   (unsigned long long)run->memory_fault.size,
			   run->memory_fault.flags &
			   KVM_MEMORY_EXIT_FLAG_PRIVATE ? "PRIVATE" : "shared");
	if (run->exit_reason == KVM_EXIT_MMIO)
		print_line("  It %s gpa %#llx, %u bytes.",
			   run->mmio.is_write ? "wrote to" : "read from",
			   (unsigned long long)run->mmio.phys_addr,
			   run->mmio.len);
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		print_line("  The hardware's reason is %#llx.",
			   (unsigned long long)
			   run->fail_entry.hardware_entry_failure_reason);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		print_line("  Suberror %u.", run->internal.suberror);
}

void exit_unexpected(struct vmm *vmm)
{
	describe_reason(vmm->run->exit_reason);
	describe_where(vmm);
	check(false, "the guest exits only for reasons that the VMM expects");
	exit(EXIT_FAILURE);
}

/*
 * With EHWPOISON, kvm_run says which page is lost, and nothing resolves that. For
 * other errors but EFAULT, exit_reason is left over from before.
 */
void exit_require_memory_fault(struct vmm *vmm)
{
	if (errno == EFAULT && vmm->run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		return;

	complain("KVM_RUN",
		 "EFAULT: KVM could not reach guest memory and does not say where. Else see KVM_RUN in api.rst.");
	print_line("  The guest was at pc %#llx.",
		   (unsigned long long)arch_guest_pc(vmm));
	exit(EXIT_FAILURE);
}
