// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion of a protected VM's memory between private and shared, for VMs whose
 * userspace decides what is converted.
 *
 * What a guest considers a page to be is for the guest alone to change. The host can
 * give it memory for the page and, without ever seeing what is secret, take it away:
 *
 *	state of the guest's page	model	the guest	its memory is
 *	PKVM_NOPAGE			PN	private		none
 *	PKVM_PAGE_OWNED			PO	private		the guest's
 *	PKVM_WITHDRAWN			WD	private		the guest's, mapped by nobody
 *	PKVM_POISON			PX	private		gone, taken by force
 *	PKVM_SHARED_NOPAGE		SN	shared		none
 *	PKVM_PAGE_SHARED_OWNED		SO	shared		borrowed by the host
 *
 * tools/verification/models/pkvm/pkvm_conversion.pml is a model of this file and of what
 * mem_protect.c has for guests: donation, forced reclaim, and reclaim of dying VMs. Its
 * transitions have the names of the functions.
 *
 * The state of a guest's page is in the leaf of the guest's stage-2, valid or not, and
 * guarded by the VM's lock; what the host may access by the host's lock, which is taken
 * first. The host cannot convert: a vCPU asks, by pkvm_conversion_begin(), and that is
 * what __pkvm_host_convert_guest() carries out and pkvm_conversion_finish() answers.
 */

#include <kvm/arm_hypercalls.h>

#include <asm/insn-def.h>
#include <asm/kvm_emulate.h>

#include <nvhe/mem_convert.h>
#include <nvhe/mem_protect.h>
#include <nvhe/memory.h>
#include <nvhe/mm.h>

/* The memory of a page that has to be in a state. */
static int get_page_in_state(struct pkvm_hyp_vm *vm, u64 gfn, enum pkvm_page_state wanted,
			     u64 *phys)
{
	enum pkvm_page_state state;
	int ret;

	if (!guest_gfn_is_valid(vm, gfn))
		return -EINVAL;

	ret = guest_get_page(vm, hyp_pfn_to_phys(gfn), &state, phys);
	if (ret)
		return ret;

	return state == wanted ? 0 : guest_state_error(state);
}

/**
 * __pkvm_host_map_shared_guest() - Back a page that the guest shares with memory
 * @pfn: the host's memory
 * @gfn: the guest's page
 * @vcpu: the vCPU that has run into the page, loaded
 *
 * The guest sees what the host has written to the memory, and the host keeps access.
 * The entry that says that the page is shared is there, so that no memory is needed
 * for page tables. It's invalid, and what was there before has been invalidated with its
 * TLBs.
 *
 * Context: Takes the host's and the VM's lock.
 * Return: 0; -EINVAL if there is no such pfn or gfn, -EPERM if the guest has memory for
 *	   @gfn, -ENOENT if @gfn is private and has none, -EHWPOISON if it was taken by
 *	   force, -EBUSY if the host does not have @pfn for itself, as another VM has it,
 *	   or it isn't memory.
 */
int __pkvm_host_map_shared_guest(u64 pfn, u64 gfn, struct pkvm_hyp_vcpu *vcpu)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);
	u64 unused, phys = hyp_pfn_to_phys(pfn);
	int ret;

	if (!pfn_range_is_valid(pfn, 1))
		return -EINVAL;

	host_lock_component();
	guest_lock_component(vm);

	ret = get_page_in_state(vm, gfn, PKVM_SHARED_NOPAGE, &unused);
	if (!ret && __host_check_page_state_range(phys, PAGE_SIZE, PKVM_PAGE_OWNED))
		ret = -EBUSY;
	if (!ret)
		guest_share_page(vm, gfn, phys, NULL);

	guest_unlock_component(vm);
	host_unlock_component();

	return ret;
}

/**
 * __pkvm_host_unmap_shared_guest() - Take the memory of a page that the guest shares
 * @gfn: the guest's page
 * @vm: the VM
 *
 * The page stays shared, without memory. The guest's TLBs don't have it any more before
 * the host may call the memory its own, and what the guest has written past the caches
 * is what the host finds.
 *
 * Context: Takes the host's and the VM's lock.
 * Return: 0; -EINVAL if there is no such gfn, -ENOENT if it has no memory, -EPERM if
 *	   it isn't shared, -EHWPOISON if its memory was taken by force.
 */
int __pkvm_host_unmap_shared_guest(u64 gfn, struct pkvm_hyp_vm *vm)
{
	u64 phys;
	int ret;

	host_lock_component();
	guest_lock_component(vm);

	ret = get_page_in_state(vm, gfn, PKVM_PAGE_SHARED_OWNED, &phys);
	if (ret)
		goto unlock;

	WARN_ON(__host_check_page_state_range(phys, PAGE_SIZE, PKVM_PAGE_SHARED_BORROWED));
	WARN_ON(kvm_pgtable_stage2_annotate(&vm->pgt, hyp_pfn_to_phys(gfn), PAGE_SIZE, NULL,
					    KVM_GUEST_INVALID_PTE_TYPE_SHARED, 0));
	vm->mm_ops.dcache_clean_inval_poc(hyp_phys_to_virt(phys), PAGE_SIZE);
	WARN_ON(__host_set_page_state_range(phys, PAGE_SIZE, PKVM_PAGE_OWNED));
unlock:
	guest_unlock_component(vm);
	host_unlock_component();

	return ret;
}

/**
 * __pkvm_host_withdraw_guest() - Take a private page from the guest, for nobody
 * @gfn: the guest's page
 * @vm: the VM
 *
 * The memory stays the guest's, with its content, and the entry in the guest's stage-2
 * holds where it is: the host can't choose other memory to give back. Once the guest's
 * TLBs don't have it, nobody has. The host's view of the memory doesn't change, and so
 * the host's lock isn't needed.
 *
 * Context: Takes the VM's lock.
 * Return: 0; -EINVAL if there is no such gfn, -ENOENT if it has no memory, -EPERM if
 *	   it's shared or withdrawn, -EHWPOISON if its memory was taken by force.
 */
int __pkvm_host_withdraw_guest(u64 gfn, struct pkvm_hyp_vm *vm)
{
	u64 phys;
	int ret;

	guest_lock_component(vm);

	ret = get_page_in_state(vm, gfn, PKVM_PAGE_OWNED, &phys);
	if (!ret)
		WARN_ON(kvm_pgtable_stage2_annotate(&vm->pgt, hyp_pfn_to_phys(gfn), PAGE_SIZE,
						    NULL, KVM_GUEST_INVALID_PTE_TYPE_WITHDRAWN,
						    phys));

	guest_unlock_component(vm);

	return ret;
}

/**
 * __pkvm_host_give_back_guest() - Let the guest have a page that was withdrawn
 * @gfn: the guest's page
 * @vm: the VM
 *
 * With the memory and the content that it had: mapping it cleans the caches, as for
 * memory that is new to the guest. The entry was invalid, so that there is nothing in
 * TLBs.
 *
 * Context: Takes the VM's lock.
 * Return: 0; -EINVAL if there is no such gfn, -ENOENT if it has no memory, -EPERM if
 *	   it wasn't withdrawn, -EHWPOISON if its memory was taken by force.
 */
int __pkvm_host_give_back_guest(u64 gfn, struct pkvm_hyp_vm *vm)
{
	u64 phys;
	int ret;

	guest_lock_component(vm);

	ret = get_page_in_state(vm, gfn, PKVM_WITHDRAWN, &phys);
	if (!ret)
		WARN_ON(kvm_pgtable_stage2_map(&vm->pgt, hyp_pfn_to_phys(gfn), PAGE_SIZE, phys,
					       pkvm_mkstate(KVM_PGTABLE_PROT_RWX, PKVM_PAGE_OWNED),
					       NULL, 0));

	guest_unlock_component(vm);

	return ret;
}

static bool is_shared(enum pkvm_page_state state)
{
	return state == PKVM_PAGE_SHARED_OWNED || state == PKVM_SHARED_NOPAGE;
}

/* For how many pages, from a gfn on, no vCPU waits, to have them converted or to be told. */
static u64 nr_not_asked_for(struct pkvm_hyp_vm *vm, u64 gfn, u64 nr)
{
	const struct pkvm_conversion *conv;
	struct pkvm_hyp_vcpu *vcpu;
	unsigned int i;

	hyp_assert_lock_held(&vm->lock);

	/* There are KVM_MAX_VCPUS at most. */
	for (i = 0; i < vm->kvm.created_vcpus; i++) {
		/* Pairs with the release in register_hyp_vcpu(). */
		vcpu = smp_load_acquire(&vm->vcpus[i]);
		if (!vcpu)
			continue;

		conv = &vcpu->conv;
		if (conv->state == PKVM_CONVERSION_ASKED && conv->gfn < gfn + nr &&
		    conv->gfn + conv->nr > gfn)
			nr = conv->gfn > gfn ? conv->gfn - gfn : 0;
	}
	return nr;
}

/* How many pages, from a gfn on, are shared, or private, as far as there are any. */
static u64 nr_alike(struct pkvm_hyp_vm *vm, u64 gfn, u64 nr, bool shared)
{
	enum pkvm_page_state state;
	u64 i, phys;

	for (i = 0; i < nr; i++) {
		if (guest_get_page(vm, hyp_pfn_to_phys(gfn + i), &state, &phys) ||
		    state == PKVM_POISON || is_shared(state) != shared)
			break;
	}
	return i;
}

/**
 * pkvm_conversion_begin() - A guest asks for the conversion of pages
 * @vcpu: the vCPU that asks, loaded
 * @ipa: the first page
 * @nr: how many pages it asks for, or 0 for one, and not to be told how many are converted.
 *	If it isn't 0 then it becomes how many of them, from the first one on, this is about,
 *	if the host is to be asked, or there's nothing to ask.
 * @share: to share them, or else to have them for itself
 * @pc: where the guest goes on when it is told the answer
 *
 * The pages need no memory, and no memslot, for userspace may still provide them. While
 * a vCPU waits no other can ask for them: when it is told of the success it has to
 * be so, and not what the other one has made of it since. To refuse the other would be
 * to tell it that the page isn't what it is, and so it waits as well.
 *
 * All of them have to be converted for that, and so the range ends where a page is as
 * wanted, or lost, or where another vCPU waits for it: what's told of the first pages is
 * true, and for the others the guest asks again.
 *
 * A vCPU waits until it runs again, or the host resets it. It isn't fair: a guest that has
 * one vCPU convert a page to and fro may keep another from getting its turn.
 *
 * Context: Takes the VM's lock.
 * Return: 0 if the host is to be asked; -EALREADY if there's nothing to ask, the pages are
 *	   as wanted; -EBUSY if another vCPU waits for the first, and this one is to execute
 *	   the hypercall again; -EINVAL if @ipa is no page that the guest can have;
 *	   -EHWPOISON if its memory was taken by force, though it's private: there is no
 *	   page to have.
 */
int pkvm_conversion_begin(struct pkvm_hyp_vcpu *vcpu, u64 ipa, u64 *nr, bool share, u64 pc)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);
	u64 phys, gfn = hyp_phys_to_pfn(ipa);
	enum pkvm_page_state state;
	bool counted = *nr;
	u64 alike;
	int ret;

	if (!PAGE_ALIGNED(ipa) || !guest_gfn_is_valid(vm, gfn))
		return -EINVAL;

	guest_lock_component(vm);

	ret = guest_get_page(vm, ipa, &state, &phys);
	if (!ret && state == PKVM_POISON)
		ret = -EHWPOISON;
	if (ret)
		goto unlock;

	alike = counted ? min(*nr, PKVM_CONVERSION_MAX) : 1;
	if (is_shared(state) == share)
		ret = -EALREADY;
	else
		alike = nr_not_asked_for(vm, gfn, alike);
	if (!alike) {
		ret = -EBUSY;
		goto unlock;
	}

	alike = nr_alike(vm, gfn, alike, is_shared(state));
	if (counted)
		*nr = alike;
	if (!ret) {
		vcpu->conv = (struct pkvm_conversion) {
			.state	 = PKVM_CONVERSION_ASKED,
			.share	 = share,
			.counted = counted,
			.nr	 = alike,
			.gfn	 = gfn,
			.pc	 = pc,
		};
	}
unlock:
	guest_unlock_component(vm);

	return ret;
}

/*
 * Private to shared. The guest had the page for itself, perhaps without knowing, and
 * keeps what it has written to it.
 */
static int convert_to_shared(struct pkvm_hyp_vm *vm, u64 gfn, enum pkvm_page_state state,
			     u64 phys, bool commit)
{
	struct kvm_hyp_memcache *mc = &vm->kvm.arch.pkvm.convert_mc;
	int ret;

	switch (state) {
	case PKVM_PAGE_OWNED:
	case PKVM_WITHDRAWN:
		WARN_ON(__host_check_page_state_range(phys, PAGE_SIZE, PKVM_NOPAGE));
		if (commit) {
			clean_page(phys);
			guest_share_page(vm, gfn, phys, NULL);
		}
		return 0;
	case PKVM_NOPAGE:
		ret = guest_check_pgtable_memcache(vm, mc);
		if (ret || !commit)
			return ret;

		WARN_ON(kvm_pgtable_stage2_annotate(&vm->pgt, hyp_pfn_to_phys(gfn), PAGE_SIZE, mc,
						    KVM_GUEST_INVALID_PTE_TYPE_SHARED, 0));
		return 0;
	default:
		return guest_state_error(state);
	}
}

/* Shared to private. Once the host's TLBs don't have the page, it is a secret. */
static int convert_to_private(struct pkvm_hyp_vm *vm, u64 gfn, enum pkvm_page_state state,
			      u64 phys, bool commit)
{
	switch (state) {
	case PKVM_PAGE_SHARED_OWNED:
		WARN_ON(__host_check_page_state_range(phys, PAGE_SIZE, PKVM_PAGE_SHARED_BORROWED));
		if (commit)
			guest_own_page(vm, gfn, phys, NULL);
		return 0;
	case PKVM_SHARED_NOPAGE:
		if (commit)
			WARN_ON(kvm_pgtable_stage2_unmap(&vm->pgt, hyp_pfn_to_phys(gfn),
							 PAGE_SIZE));
		return 0;
	default:
		return guest_state_error(state);
	}
}

/**
 * __pkvm_host_convert_guest() - Carry out what a vCPU has asked for, a page at a time
 * @gfn: a page that it has asked for
 * @commit: do it, or else say whether it could be done
 * @vcpu: the vCPU, loaded or not
 *
 * The direction is what the guest has asked for, and the memory what its page has, and
 * neither is for the host to say. Nor is the order: the guest is told of so many pages from
 * the first on, and would take one after those for what it was.
 *
 * In the guest's stage-2, only software bits change between PKVM_PAGE_OWNED and
 * PKVM_PAGE_SHARED_OWNED, and all else was invalid before, so that no TLB invalidation
 * is needed; but for page tables that go with the last entry in them, from
 * PKVM_SHARED_NOPAGE to PKVM_NOPAGE, which an unmap looks after. In the host's, the
 * entry is invalidated with its TLBs when the host loses the page.
 *
 * Memory for page tables is the VM's own, as the vCPU's is for the CPU that it's loaded
 * on.
 *
 * Context: The VM's convert_lock is held. Takes the host's and the VM's lock.
 * Return: 0; -ENOENT if the vCPU doesn't wait for the conversion of @gfn, or, with @commit,
 *	   if a page before it isn't converted, -ENOMEM if the page has no memory, and
 *	   convert_mc has less than page tables can need, -EHWPOISON if the page's memory was
 *	   taken by force meanwhile.
 */
int __pkvm_host_convert_guest(u64 gfn, bool commit, struct pkvm_hyp_vcpu *vcpu)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);
	struct pkvm_conversion *conv = &vcpu->conv;
	enum pkvm_page_state state;
	int ret = -ENOENT;
	u64 next, phys;

	hyp_assert_lock_held(&vm->convert_lock);

	host_lock_component();
	guest_lock_component(vm);

	next = conv->gfn + conv->done;
	if (conv->state != PKVM_CONVERSION_ASKED || gfn < next || gfn >= conv->gfn + conv->nr)
		goto unlock;
	if (commit && gfn != next)
		goto unlock;

	ret = guest_get_page(vm, hyp_pfn_to_phys(gfn), &state, &phys);
	if (ret)
		goto unlock;

	if (conv->share)
		ret = convert_to_shared(vm, gfn, state, phys, commit);
	else
		ret = convert_to_private(vm, gfn, state, phys, commit);

	if (!ret && commit)
		conv->done++;
unlock:
	guest_unlock_component(vm);
	host_unlock_component();

	return ret;
}

/**
 * __pkvm_host_forget_conversion() - A vCPU is reset, and what it has asked for is void
 * @vcpu: the vCPU, loaded or not
 *
 * It may never run again, and so others don't wait for it. If it isn't reset but goes on
 * where it has asked, then it isn't told anything, and asks again; or it doesn't go on, see
 * pkvm_conversion_finish().
 *
 * Context: Takes the VM's lock.
 */
void __pkvm_host_forget_conversion(struct pkvm_hyp_vcpu *vcpu)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);

	guest_lock_component(vm);
	if (vcpu->conv.state != PKVM_CONVERSION_NONE)
		WRITE_ONCE(vcpu->conv.state, PKVM_CONVERSION_FORGOTTEN);
	guest_unlock_component(vm);
}

/**
 * pkvm_conversion_finish() - Tell a vCPU what has become of the conversion it asked for
 * @vcpu: the vCPU, about to run, with the registers that the host has left
 *
 * Success and how many pages are converted if any is, an error if none is, whatever the
 * host says; success also if a page's memory was taken by force after the conversion, which
 * the guest finds when it uses the page. Or nothing, if the host has it execute the
 * hypercall again, or go on elsewhere, from a reset say: then, too, the vCPU doesn't
 * wait any more.
 *
 * A vCPU whose request was forgotten asks again, and so finds what its page is. But that says
 * nothing of the pages behind it, if several were converted: once another vCPU undoes the
 * first, they are shared, say, and the guest takes them for private. It doesn't run until the
 * host has it go on elsewhere.
 *
 * That the host can change the vCPU's registers, and so make it go on elsewhere, or with
 * another answer once it was given here, is not for here to solve: see "CPU state
 * isolation" in Documentation/virt/kvm/arm/pkvm.rst.
 *
 * Context: Takes the VM's lock, if the vCPU waits.
 * Return: Whether the vCPU may run.
 */
bool pkvm_conversion_finish(struct pkvm_hyp_vcpu *vcpu)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);
	struct kvm_vcpu *arch_vcpu = &vcpu->vcpu;
	struct pkvm_conversion conv;
	bool stuck;
	u64 *pc;

	/* See struct pkvm_conversion: if it's that then it stays that. */
	if (READ_ONCE(vcpu->conv.state) == PKVM_CONVERSION_NONE)
		return true;

	/*
	 * Or the PC would be another than what's looked at here by the time that
	 * the guest runs. The flag is a part of what an exception is encoded in,
	 * which may be pending: then, ELR is what the PC is here.
	 */
	if (!vcpu_get_flag(arch_vcpu, PENDING_EXCEPTION))
		vcpu_clear_flag(arch_vcpu, INCREMENT_PC);

	guest_lock_component(vm);
	conv = vcpu->conv;
	pc = pkvm_vcpu_resume_pc(arch_vcpu, conv.pc);
	stuck = pc && conv.state == PKVM_CONVERSION_FORGOTTEN && conv.done > 1;
	if (!stuck)
		vcpu->conv = (struct pkvm_conversion) {};
	guest_unlock_component(vm);

	if (stuck)
		return false;
	if (!pc)
		return true;

	if (conv.state == PKVM_CONVERSION_FORGOTTEN) {
		*pc = conv.pc - AARCH64_INSN_SIZE;
		return true;
	}

	/*
	 * What is in force is answered at once. With the request gone, another vCPU
	 * could undo it before this one asks again.
	 */
	if (*pc != conv.pc && !conv.done)
		return true;

	*pc = conv.pc;
	smccc_set_retval(arch_vcpu, conv.done ? SMCCC_RET_SUCCESS : SMCCC_RET_INVALID_PARAMETER,
			 conv.counted ? conv.done : 0, 0, 0);
	return true;
}
