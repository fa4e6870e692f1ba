// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who has which memory, for EL1 and for EL2: /sys/kernel/debug/kvm/pkvm_pages.
 *
 * EL1's numbers are from the mappings of protected VMs, and EL2's from the host's stage-2
 * for all of memory. As long as nobody changes anything, and the host has taken no page by
 * force, they agree:
 *
 *	el1_private + el1_poisoned + el1_lost	= el2_guest
 *	el1_shared				= el2_both
 *
 * Poisoned and lost are private pages with a memory error, of VMs that are there, and that
 * were. What's pinned is that of VMs whose memory the host doesn't convert, for which EL1
 * isn't told what they share: el2_guest or el2_both has it.
 */
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/kvm_host.h>
#include <linux/memblock.h>
#include <linux/seq_file.h>

#include <asm/kvm_mmu.h>
#include <asm/kvm_pkvm.h>
#include <asm/kvm_pkvm_memory.h>

static void count_at_el1(struct pkvm_page_count *count)
{
	struct kvm *kvm;

	guard(mutex)(&kvm_lock);

	list_for_each_entry(kvm, &vm_list, vm_list) {
		if (fatal_signal_pending(current))
			return;
		if (kvm_vm_is_protected(kvm))
			pkvm_count_mappings(kvm, 0, kvm_phys_size(&kvm->arch.mmu) >> PAGE_SHIFT,
					    count);
	}
}

static u64 count_at_el2(enum pkvm_page_user user)
{
	unsigned long start, end, nr;
	u64 count = 0;
	int i, ret;

	for_each_mem_pfn_range(i, MAX_NUMNODES, &start, &end, NULL) {
		for (; start < end && !fatal_signal_pending(current); start += nr) {
			nr = min(end - start, PKVM_COUNT_PAGES_MAX);
			ret = kvm_call_hyp_nvhe(__pkvm_count_pages, start, nr, user);
			if (!WARN_ON_ONCE(ret < 0))
				count += ret;
			cond_resched();
		}
	}
	return count;
}

static int pkvm_pages_show(struct seq_file *file, void *unused)
{
	struct pkvm_page_count el1 = {};

	count_at_el1(&el1);
	seq_printf(file, "el1_private %llu\n", el1.private);
	seq_printf(file, "el1_shared %llu\n", el1.shared);
	seq_printf(file, "el1_poisoned %llu\n", el1.poisoned);
	seq_printf(file, "el1_lost %llu\n", pkvm_count_lost_pages());
	seq_printf(file, "el1_pinned %llu\n", el1.pinned);
	seq_printf(file, "el2_guest %llu\n", count_at_el2(PKVM_USER_GUEST));
	seq_printf(file, "el2_both %llu\n", count_at_el2(PKVM_USER_BOTH));
	seq_printf(file, "el2_hyp %llu\n", count_at_el2(PKVM_USER_HYP));

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pkvm_pages);

static int __init pkvm_debug_init(void)
{
	struct dentry *dir;

	if (!is_protected_kvm_enabled())
		return 0;

	dir = debugfs_lookup("kvm", NULL);
	if (IS_ERR_OR_NULL(dir))
		return 0;

	debugfs_create_file("pkvm_pages", 0400, dir, NULL, &pkvm_pages_fops);
	pkvm_create_call_debugfs(dir);
	dput(dir);

	return 0;
}

/* Once KVM has its directory, and EL2 has been told that it's alone with its memory. */
late_initcall(pkvm_debug_init);
