// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of protected VMs that is guest_memfd's, seen from the host.
 *
 * What the guest has is in the VM's pkvm_mappings, a page each:
 *
 *	neither		the page is the guest's alone; its attribute is PRIVATE
 *	withdrawn	it is the guest's, and nobody can access it; the attribute is SHARED
 *	shared		the guest and the host have it; the attribute is SHARED
 *	poisoned	it has a memory error, and nobody can access it
 *
 * For all other pages the host has the memory, and what the guest takes a page for when
 * it runs into it is known at EL2 only.
 *
 * The pages aren't pinned, as they don't move and guest_memfd tells what it frees. They
 * are kvm->mmu_lock's, as in any other VM.
 */
#include <linux/kvm_host.h>

#include <asm/kvm_mmu.h>
#include <asm/kvm_pkvm.h>
#include <asm/kvm_pkvm_memory.h>

static struct kvm_pgtable *pgtable(struct kvm *kvm)
{
	return kvm->arch.mmu.pgt;
}

static struct pkvm_mapping *first_mapping(struct kvm *kvm, gfn_t start, gfn_t end)
{
	lockdep_assert_held(&kvm->mmu_lock);

	/* It's gone with the mm, before the VM. */
	if (!pgtable(kvm))
		return NULL;

	return pkvm_first_mapping(pgtable(kvm), start, end);
}

/* The attribute isn't what the guest takes the page for. */
#define DISAGREES	1

/* Has the vCPU run into a page whose memory was taken by force? EL2 looks where it was. */
static bool in_poison_fault(void)
{
	return (int)kvm_call_hyp_nvhe(__pkvm_vcpu_in_poison_fault) > 0;
}

/*
 * The vCPU has run into a page that it should have: another was faster, or else nobody
 * lets it have the page.
 */
static int explain_mapping(const struct pkvm_mapping *mapping)
{
	if (mapping->poisoned || in_poison_fault())
		return -EHWPOISON;

	return mapping->withdrawn ? DISAGREES : -EAGAIN;
}

/* Give the guest the memory for a page, alone or not, if that's how it wants it. */
static int give_memory(gfn_t gfn, kvm_pfn_t pfn, bool is_private)
{
	int ret;

	if (is_private)
		ret = kvm_call_hyp_nvhe(__pkvm_host_donate_guest, pfn, gfn);
	else
		ret = kvm_call_hyp_nvhe(__pkvm_host_map_shared_guest, pfn, gfn);

	switch (ret) {
	case -EPERM:
	case -ENOENT:
		return in_poison_fault() ? -EHWPOISON : DISAGREES;
	default:
		return ret;
	}
}

/* What the guest takes a page for that it has: it's no matter what the attribute is. */
static bool guest_view(struct kvm *kvm, gfn_t gfn, bool is_private)
{
	struct pkvm_mapping *mapping;

	read_lock(&kvm->mmu_lock);
	mapping = first_mapping(kvm, gfn, gfn + 1);
	if (mapping)
		is_private = !mapping->shared;
	read_unlock(&kvm->mmu_lock);

	return is_private;
}

static int map_page(struct kvm_vcpu *vcpu, gfn_t gfn, kvm_pfn_t pfn, bool is_private)
{
	struct kvm_hyp_memcache *mc = &vcpu->arch.pkvm_memcache;
	struct kvm *kvm = vcpu->kvm;
	struct pkvm_mapping *mapping;
	int ret;

	lockdep_assert_held_write(&kvm->mmu_lock);

	mapping = first_mapping(kvm, gfn, gfn + 1);
	if (mapping)
		return explain_mapping(mapping);

	ret = give_memory(gfn, pfn, is_private);
	if (ret)
		return ret;

	mapping = mc->mapping;
	mc->mapping = NULL;
	*mapping = (struct pkvm_mapping) {
		.gfn		= gfn,
		.pfn		= pfn,
		.nr_pages	= 1,
		.gmem		= true,
		.shared		= !is_private,
	};
	pkvm_add_mapping(pgtable(kvm), mapping);

	return 0;
}

/**
 * pkvm_gmem_abort() - Handle a fault of a protected VM whose memory is guest_memfd's
 * @vcpu: the vCPU, loaded
 * @slot: the memslot
 * @ipa: where it has faulted
 *
 * A page that is private by its attribute becomes the guest's alone, with the content
 * that it has; one that's shared, the guest's and the host's. If the guest takes it for
 * something else, then nothing changes, and userspace is told.
 *
 * Context: kvm->srcu is held. Takes kvm->mmu_lock, may sleep.
 * Return: 0 if the guest can try again; -ENOMEM without memory for page tables; -EBUSY if
 *	   the page is shared and another VM has it, by the host's mapping; otherwise
 *	   KVM_EXIT_MEMORY_FAULT is prepared:
 *	   -EFAULT if the guest takes the page for what it isn't; the exit has its view,
 *	   -EHWPOISON if the memory was taken by force, or has an error,
 *	   what kvm_gmem_get_pfn() returns.
 */
int pkvm_gmem_abort(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gpa_t ipa)
{
	bool is_private, exit_private;
	gfn_t gfn = gpa_to_gfn(ipa);
	struct kvm *kvm = vcpu->kvm;
	unsigned long mmu_seq;
	struct page *page;
	kvm_pfn_t pfn;
	int ret;

	ret = topup_hyp_memcache(&vcpu->arch.pkvm_memcache,
				 kvm_mmu_cache_min_pages(vcpu->arch.hw_mmu));
	if (ret)
		return ret;

	mmu_seq = kvm->mmu_invalidate_seq;
	/* Pairs with the smp_wmb() in kvm_mmu_invalidate_end(). */
	smp_rmb();

	/* Whoever takes the page has no use for another reference to it. */
	if (mmu_invalidate_retry_gfn_unsafe(kvm, mmu_seq, gfn))
		return 0;

	is_private = kvm_mem_is_private(kvm, gfn);

	ret = kvm_gmem_get_pfn(kvm, slot, gfn, &pfn, &page, NULL);
	if (ret) {
		exit_private = guest_view(kvm, gfn, is_private);
		goto exit;
	}

	write_lock(&kvm->mmu_lock);
	if (mmu_invalidate_retry_gfn(kvm, mmu_seq, gfn))
		ret = -EAGAIN;
	else
		ret = map_page(vcpu, gfn, pfn, is_private);
	write_unlock(&kvm->mmu_lock);

	put_page(page);

	if (!ret || ret == -EAGAIN)
		return 0;
	if (ret == -EBUSY)
		return ret;

	exit_private = is_private;
	if (ret == DISAGREES) {
		exit_private = !is_private;
		ret = -EFAULT;
	} else if (ret == -EHWPOISON) {
		/* It was the guest's own. */
		exit_private = true;
	}
exit:
	kvm_prepare_memory_fault_exit(vcpu, gfn_to_gpa(gfn), PAGE_SIZE, kvm_is_write_fault(vcpu),
				      kvm_vcpu_trap_is_exec_fault(vcpu), exit_private);
	return ret;
}

static int unmap_shared(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	return kvm_call_hyp_nvhe(__pkvm_host_unmap_shared_guest, kvm->arch.pkvm.handle,
				 mapping->gfn);
}

static int withdraw(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	return kvm_call_hyp_nvhe(__pkvm_host_withdraw_guest, kvm->arch.pkvm.handle, mapping->gfn);
}

static int give_back(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	return kvm_call_hyp_nvhe(__pkvm_host_give_back_guest, kvm->arch.pkvm.handle,
				 mapping->gfn);
}

typedef void (*mapping_fn)(struct kvm *kvm, struct pkvm_mapping *mapping);

/*
 * Call fn() for each mapping of [start, end), with kvm->mmu_lock held, that is let go of
 * if somebody wants it. fn() may drop the mapping.
 */
static void walk_mappings(struct kvm *kvm, gfn_t start, gfn_t end, mapping_fn fn)
{
	struct pkvm_mapping *mapping;

	lockdep_assert_held_write(&kvm->mmu_lock);

	while (start < end) {
		mapping = first_mapping(kvm, start, end);
		if (!mapping)
			return;

		start = mapping->gfn + 1;
		fn(kvm, mapping);
		cond_resched_rwlock_write(&kvm->mmu_lock);
	}
}

static void unmap_if_shared(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	if (mapping->shared && !mapping->poisoned &&
	    !KVM_BUG_ON(unmap_shared(kvm, mapping), kvm))
		pkvm_drop_mapping(pgtable(kvm), mapping);
}

/**
 * pkvm_gmem_unmap_shared() - Take the memory that a guest shares in a range
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * The pages stay shared, and get the same memory when the guest runs into them.
 *
 * Context: kvm->mmu_lock is held for writing, and let go of meanwhile.
 */
void pkvm_gmem_unmap_shared(struct kvm *kvm, gfn_t start, gfn_t end)
{
	walk_mappings(kvm, start, end, unmap_if_shared);
}

/*
 * EL2 doesn't survive a memory error when it clears the page. Who had it loses it, and
 * nobody gets it: a page with an error isn't freed. What was shared can have other memory
 * then.
 */
static void poison_mapping(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	if (mapping->shared) {
		unmap_if_shared(kvm, mapping);
		return;
	}

	if (!mapping->withdrawn)
		withdraw(kvm, mapping);
	mapping->poisoned = true;
}

/*
 * Take a page of the guest's by force: it's cleared, and never again the guest's at that
 * gfn, so that nothing else can be put in its place. -EAGAIN is that it's the host's, as
 * it was taken before, and -EHWPOISON that the guest knows.
 */
static int reclaim_private(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	int ret = kvm_call_hyp_nvhe(__pkvm_force_reclaim_guest_page, PFN_PHYS(mapping->pfn));

	if (ret == -EAGAIN && withdraw(kvm, mapping) == -EHWPOISON)
		return 0;
	return ret;
}

/* Pages with a memory error whose guest is gone: EL2 keeps them, as it can't clear them. */
static atomic_long_t nr_lost_pages;

static void lose_mapping(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	atomic_long_inc(&nr_lost_pages);
	pkvm_drop_mapping(pgtable(kvm), mapping);
}

/* Take the memory of a mapping, for it to be freed. */
static void invalidate_mapping(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	struct page *page = pfn_to_page(mapping->pfn);
	int ret;

	if (PageHWPoison(page)) {
		if (kvm->arch.pkvm.is_dying)
			lose_mapping(kvm, mapping);
		else if (!mapping->poisoned)
			poison_mapping(kvm, mapping);
		return;
	}

	if (kvm->arch.pkvm.is_dying)
		ret = kvm_call_hyp_nvhe(__pkvm_reclaim_dying_guest_page,
					kvm->arch.pkvm.handle, mapping->gfn);
	else if (mapping->shared)
		ret = unmap_shared(kvm, mapping);
	else
		ret = reclaim_private(kvm, mapping);

	/* It's going to be freed in any case, and must not be used by others then. */
	if (KVM_BUG_ON(ret, kvm))
		get_page(page);
	pkvm_drop_mapping(pgtable(kvm), mapping);
}

/**
 * kvm_arch_gmem_invalidate_range() - Take memory that guest_memfd is about to free
 * @kvm: the VM
 * @range: the gfns, of one memslot
 *
 * Context: kvm->mmu_lock is held for writing, and let go of meanwhile; an invalidation of
 *	    the range is in progress.
 */
void kvm_arch_gmem_invalidate_range(struct kvm *kvm, struct kvm_gfn_range *range)
{
	if (kvm_arch_has_private_mem(kvm))
		walk_mappings(kvm, range->start, range->end, invalidate_mapping);
}

/**
 * pkvm_gmem_teardown() - Take all memory from a VM that won't run any more
 * @kvm: the VM
 *
 * Before its page tables go: who frees guest_memfd's memory meanwhile, in another process
 * for instance, has to find what the guest has.
 *
 * Context: The mm that has created the VM is going, or the VM is. Takes kvm->mmu_lock, may
 *	    sleep.
 */
void pkvm_gmem_teardown(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
	if (pgtable(kvm) && pkvm_hyp_vm_is_created(kvm)) {
		pkvm_start_teardown(kvm);
		walk_mappings(kvm, 0, kvm_phys_size(&kvm->arch.mmu) >> PAGE_SHIFT,
			      invalidate_mapping);
	}
	write_unlock(&kvm->mmu_lock);
}

/*
 * What userspace says of a page that the guest has. If the memory was taken from it by
 * force then there's nothing to do: the guest finds that out by itself.
 */
static void changed(struct kvm *kvm, struct pkvm_mapping *mapping, int ret, bool withdrawn)
{
	if (ret == -EHWPOISON)
		pkvm_drop_mapping(pgtable(kvm), mapping);
	else if (!KVM_BUG_ON(ret, kvm))
		mapping->withdrawn = withdrawn;
}

static void make_private(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	if (mapping->poisoned)
		return;

	if (mapping->shared)
		unmap_if_shared(kvm, mapping);
	else if (mapping->withdrawn)
		changed(kvm, mapping, give_back(kvm, mapping), false);
}

static void make_shared(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	if (!mapping->poisoned && !mapping->shared && !mapping->withdrawn)
		changed(kvm, mapping, withdraw(kvm, mapping), true);
}

/**
 * pkvm_gmem_convert() - Let a range be what userspace says, whatever the guest says
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 * @is_private: what userspace says
 *
 * The guest takes pages for what it took them before, and loses access to those that
 * aren't that.
 *
 * Context: kvm->slots_lock is held, and an invalidation of the range in progress, so that
 *	    nothing is mapped meanwhile. Takes kvm->mmu_lock, may sleep.
 */
void pkvm_gmem_convert(struct kvm *kvm, gfn_t start, gfn_t end, bool is_private)
{
	lockdep_assert_held(&kvm->slots_lock);

	write_lock(&kvm->mmu_lock);
	walk_mappings(kvm, start, end, is_private ? make_private : make_shared);
	write_unlock(&kvm->mmu_lock);
}

/**
 * pkvm_gmem_convert_as_asked() - Have EL2 convert what a vCPU waits for
 * @vcpu: the vCPU
 * @gfn: the page
 * @is_private: what it becomes
 * @commit: do it, or else say whether it could be done
 *
 * The mapping never says anything else than EL2: who frees the memory looks at it.
 *
 * Context: kvm->slots_lock is held. Takes kvm->mmu_lock.
 * Return: 0; -EHWPOISON if the page has a memory error, for EL2 it is withdrawn then; or
 *	   what __pkvm_host_convert_guest() returns.
 */
int pkvm_gmem_convert_as_asked(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_private, bool commit)
{
	struct kvm *kvm = vcpu->kvm;
	struct pkvm_mapping *mapping;
	int ret;

	lockdep_assert_held(&kvm->slots_lock);

	write_lock(&kvm->mmu_lock);
	mapping = first_mapping(kvm, gfn, gfn + 1);
	if (mapping && mapping->poisoned)
		ret = -EHWPOISON;
	else
		ret = kvm_call_hyp_nvhe(__pkvm_host_convert_guest, kvm->arch.pkvm.handle,
					vcpu->vcpu_idx, gfn, commit);
	if (!ret && mapping && commit) {
		mapping->shared = !is_private;
		mapping->withdrawn = false;
	}
	write_unlock(&kvm->mmu_lock);

	return ret;
}

/**
 * pkvm_gmem_is_accessible() - Can the host access a page's memory?
 * @kvm: the VM
 * @gfn: the page
 *
 * Context: Takes kvm->mmu_lock.
 * Return: Whether it can; or else it is the guest's alone, withdrawn or not. There may be
 *	   other memory for a page that was lost.
 */
bool pkvm_gmem_is_accessible(struct kvm *kvm, gfn_t gfn)
{
	struct pkvm_mapping *mapping;
	bool accessible;

	read_lock(&kvm->mmu_lock);
	mapping = first_mapping(kvm, gfn, gfn + 1);
	accessible = !mapping || mapping->shared || mapping->poisoned;
	read_unlock(&kvm->mmu_lock);

	return accessible;
}

/**
 * pkvm_count_mappings() - Count the pages that a protected VM has
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 * @count: is added to
 *
 * Context: Takes kvm->mmu_lock and lets go of it meanwhile, may sleep.
 */
void pkvm_count_mappings(struct kvm *kvm, gfn_t start, gfn_t end, struct pkvm_page_count *count)
{
	struct pkvm_mapping *mapping;

	read_lock(&kvm->mmu_lock);
	while (start < end && (mapping = first_mapping(kvm, start, end))) {
		if (!mapping->gmem)
			count->pinned += mapping->nr_pages;
		else if (mapping->poisoned)
			count->poisoned++;
		else if (mapping->shared)
			count->shared++;
		else
			count->private++;

		start = mapping->gfn + mapping->nr_pages;
		cond_resched_rwlock_read(&kvm->mmu_lock);
	}
	read_unlock(&kvm->mmu_lock);
}

/**
 * pkvm_count_lost_pages() - Count the pages that no VM has any more, and EL2 keeps
 *
 * Return: How many were private to a VM that is gone, and had a memory error, since boot.
 */
u64 pkvm_count_lost_pages(void)
{
	return atomic_long_read(&nr_lost_pages);
}

/* Whether a guest has memory of a memslot, or such as it doesn't share. */
static bool has_memory(struct kvm *kvm, const struct kvm_memory_slot *slot, bool only_private)
{
	gfn_t start = slot->base_gfn, end = start + slot->npages;
	struct pkvm_mapping *mapping;
	bool found = false;

	read_lock(&kvm->mmu_lock);
	while (!found && start < end && (mapping = first_mapping(kvm, start, end))) {
		found = !mapping->poisoned && !(only_private && mapping->shared);
		start = mapping->gfn + mapping->nr_pages;
		cond_resched_rwlock_read(&kvm->mmu_lock);
	}
	read_unlock(&kvm->mmu_lock);

	return found;
}

/**
 * kvm_arch_check_memslot_deletion() - May a memslot go?
 * @kvm: the VM
 * @slot: the memslot, in use
 *
 * What would be refused later is refused here, before the guest notices: vCPUs are
 * running, and may have private memory by then, for pkvm_gmem_prepare_slot() to find.
 *
 * Context: kvm->slots_lock is held. Takes kvm->mmu_lock, may sleep.
 * Return: 0; -EPERM if the guest has private memory in it.
 */
int kvm_arch_check_memslot_deletion(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	lockdep_assert_held(&kvm->slots_lock);

	return kvm_arch_has_private_mem(kvm) && has_memory(kvm, slot, true) ? -EPERM : 0;
}

/**
 * pkvm_gmem_prepare_slot() - May a memslot be changed so?
 * @kvm: the VM
 * @old: the memslot as it was, invalid by now if it goes; or NULL
 * @new: as it is to be, or NULL
 *
 * A guest's private memory has to be freed before the memslot can go: what the guest has
 * would be out of the host's reach if there were no gfn to it, and as private at another
 * gfn it's of no use to the guest. What it shares was taken from it before.
 *
 * Context: kvm->slots_lock is held. Takes kvm->mmu_lock, may sleep.
 * Return: 0; -EINVAL for memory that isn't of a guest_memfd that is shared in place,
 *	   -EPERM if the guest has memory in a memslot that goes.
 */
int pkvm_gmem_prepare_slot(struct kvm *kvm, const struct kvm_memory_slot *old,
			   const struct kvm_memory_slot *new)
{
	if (new && !kvm_slot_is_in_place(new))
		return -EINVAL;

	if (!new && has_memory(kvm, old, false))
		return -EPERM;

	return 0;
}
