// SPDX-License-Identifier: GPL-2.0-only
/* Protected VMs whose memory is converted between private and shared by the test. */
#include <fcntl.h>
#include <unistd.h>

#include <linux/align.h>
#include <linux/arm-smccc.h>
#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "kvm_util.h"
#include "pkvm.h"
#include "processor.h"
#include "sparsebit.h"
#include "ucall_common.h"

/* Whether the kernel has protected VMs that convert memory as userspace says. */
bool pkvm_is_available(void)
{
	return kvm_check_cap(KVM_CAP_EXIT_HYPERCALL) & BIT_ULL(KVM_HC_MAP_GPA_RANGE);
}

/* Before there are memslots and vCPUs. Without it, the hypervisor converts on its own. */
void pkvm_enable_conversions(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT_ULL(KVM_HC_MAP_GPA_RANGE));
	vm->arch.host_converts = true;
}

/* What was loaded becomes private, but for what was allocated to be shared. */
void pkvm_finalize_memory(struct kvm_vm *vm)
{
	struct userspace_mem_region *region;
	sparsebit_idx_t first, last;
	int ctr;

	hash_for_each(vm->regions.slot_hash, ctr, region, slot_node) {
		if (!sparsebit_any_set(region->protected_phy_pages))
			continue;

		sparsebit_for_each_set_range(region->protected_phy_pages, first, last)
			vm_mem_set_private(vm, first * vm->page_size,
					   (last - first + 1) * vm->page_size);
	}
}

/* Has the vCPU exited as its guest wants so many bytes converted? */
bool pkvm_wants_range(struct kvm_vcpu *vcpu, gpa_t *gpa, u64 *size, bool *share)
{
	const struct kvm_run *run = vcpu->run;

	if (run->exit_reason != KVM_EXIT_HYPERCALL || run->hypercall.nr != KVM_HC_MAP_GPA_RANGE)
		return false;

	*gpa = run->hypercall.args[0];
	*size = run->hypercall.args[1] * SZ_4K;
	*share = !(run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED);
	TEST_ASSERT(*size && IS_ALIGNED(*gpa | *size, vcpu->vm->page_size),
		    "The request is for %#lx bytes at %#lx", *size, *gpa);
	return true;
}

/* And they're one page. */
bool pkvm_wants_conversion(struct kvm_vcpu *vcpu, gpa_t *gpa, bool *share)
{
	u64 size;

	if (!pkvm_wants_range(vcpu, gpa, &size, share))
		return false;

	TEST_ASSERT_EQ(size, vcpu->vm->page_size);
	return true;
}

/* Convert what the guest wants converted. */
void pkvm_agree(struct kvm_vcpu *vcpu)
{
	bool share;
	gpa_t gpa;
	u64 size;

	TEST_ASSERT(pkvm_wants_range(vcpu, &gpa, &size, &share),
		    "Expected a request for a conversion, got exit %s",
		    exit_reason_str(vcpu->run->exit_reason));
	if (share)
		vm_mem_set_shared(vcpu->vm, gpa, size);
	else
		vm_mem_set_private(vcpu->vm, gpa, size);
}

/* Run the vCPU until it exits for something else than conversions, and agree to those. */
void pkvm_vcpu_run(struct kvm_vcpu *vcpu)
{
	bool share;
	gpa_t gpa;
	u64 size;

	vcpu_run(vcpu);
	while (pkvm_wants_range(vcpu, &gpa, &size, &share)) {
		pkvm_agree(vcpu);
		vcpu_run(vcpu);
	}
}

#define PAGES_FILE	"/sys/kernel/debug/kvm/pkvm_pages"

bool pkvm_has_pages(void)
{
	return !access(PAGES_FILE, R_OK);
}

struct pkvm_pages pkvm_read_pages(void)
{
	FILE *file = fopen(PAGES_FILE, "r");
	struct pkvm_pages pages;
	const struct {
		const char *name;
		long *count;
	} lines[] = {
		{ "el1_private", &pages.el1_private },
		{ "el1_shared", &pages.el1_shared },
		{ "el1_poisoned", &pages.el1_poisoned },
		{ "el1_lost", &pages.el1_lost },
		{ "el1_pinned", &pages.el1_pinned },
		{ "el2_guest", &pages.el2_guest },
		{ "el2_both", &pages.el2_both },
		{ "el2_hyp", &pages.el2_hyp },
	};
	char name[16];
	int i;

	TEST_ASSERT(file, "Can't open " PAGES_FILE);
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		TEST_ASSERT(fscanf(file, "%15s %ld", name, lines[i].count) == 2,
			    "Can't read line %d of " PAGES_FILE, i);
		TEST_ASSERT(!strcmp(name, lines[i].name), "Expected %s, got %s", lines[i].name,
			    name);
	}
	fclose(file);
	return pages;
}

/* What EL1 knows to be the guests' alone. */
static long el1_guest(const struct pkvm_pages *pages)
{
	return pages->el1_private + pages->el1_poisoned + pages->el1_lost;
}

struct pkvm_pages pkvm_check_pages(void)
{
	struct pkvm_pages pages = {};

	if (!pkvm_has_pages())
		return pages;

	pages = pkvm_read_pages();
	TEST_ASSERT(el1_guest(&pages) == pages.el2_guest && pages.el1_shared == pages.el2_both,
		    "Guests have %ld pages and share %ld for EL1, %ld and %ld for EL2",
		    el1_guest(&pages), pages.el1_shared, pages.el2_guest, pages.el2_both);
	return pages;
}

void pkvm_check_pages_are_back(const struct pkvm_pages *before)
{
	struct pkvm_pages after = pkvm_check_pages();

	TEST_ASSERT_EQ(after.el2_guest - after.el1_lost, before->el2_guest - before->el1_lost);
	TEST_ASSERT_EQ(after.el2_both, before->el2_both);
	TEST_ASSERT_EQ(after.el2_hyp, before->el2_hyp);
}

unsigned long pkvm_to_pfn(void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	u64 entry;

	TEST_ASSERT(fd >= 0, "Can't open /proc/self/pagemap");
	TEST_ASSERT_EQ(pread(fd, &entry, sizeof(entry), (u64)addr / SZ_4K * sizeof(entry)),
		       sizeof(entry));
	close(fd);
	TEST_ASSERT(entry & BIT_ULL(63), "%p isn't mapped", addr);
	return entry & GENMASK_ULL(54, 0);
}

/* Without a stack, so that there's no more to an access than what it returns. */
asm(".pushsection .text\n\t"
	".global pkvm_guest_load, pkvm_guest_store\n"
	"pkvm_guest_load:\n\t"
	"ldr	x0, [x0]\n\t"
	"ret\n"
	"pkvm_guest_store:\n\t"
	"str	x2, [x0]\n\t"
	"mov	x0, x2\n\t"
	"ret\n\t"
	".popsection\n");

/* Whether the vCPU is at such an access. If so then it returns instead of making it. */
bool pkvm_end_access(struct kvm_vcpu *vcpu)
{
	u64 pc = vcpu_get_reg(vcpu, ARM64_CORE_REG(regs.pc));

	if (pc != (u64)pkvm_guest_load && pc != (u64)pkvm_guest_store)
		return false;

	vcpu_set_reg(vcpu, ARM64_CORE_REG(regs.regs[0]),
		     vcpu_get_reg(vcpu, ARM64_CORE_REG(regs.regs[1])));
	vcpu_set_reg(vcpu, ARM64_CORE_REG(regs.pc),
		     vcpu_get_reg(vcpu, ARM64_CORE_REG(regs.regs[30])));
	return true;
}

/* How many pages were converted is told exactly if the guest has said how many. */
long pkvm_mem_call(u32 function, gpa_t gpa, u64 nr, u64 arg3)
{
	struct arm_smccc_res res;

	smccc_hvc(function, gpa, nr, arg3, 0, 0, 0, 0, &res);
	if (!nr || res.a0) {
		GUEST_ASSERT_EQ(res.a1, 0);
		return res.a0;
	}

	GUEST_ASSERT(res.a1 && res.a1 <= nr);
	return res.a1;
}

long mem_share(gpa_t gpa)
{
	return pkvm_mem_call(PKVM_MEM_SHARE, gpa, 0, 0);
}

long mem_unshare(gpa_t gpa)
{
	return pkvm_mem_call(PKVM_MEM_UNSHARE, gpa, 0, 0);
}

long mem_share_range(gpa_t gpa, u64 nr)
{
	return pkvm_mem_call(PKVM_MEM_SHARE, gpa, nr, 0);
}

long mem_unshare_range(gpa_t gpa, u64 nr)
{
	return pkvm_mem_call(PKVM_MEM_UNSHARE, gpa, nr, 0);
}

/* Share what ucalls need. */
void pkvm_guest_init(void)
{
	int i;

	for (i = 0; i < ucall_nr_pages_required(SZ_4K); i++) {
		/* There's nobody to be told of it yet. */
		while (mem_share(ucall_pool_gpa + i * SZ_4K))
			;
	}
}
