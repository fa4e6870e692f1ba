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

/* A vCPU waits for the page's conversion, or to be told of it. */
static bool vcpu_asks_for(const struct pkvm_hyp_vcpu *vcpu, u64 gfn)
{
	const struct pkvm_conversion *conv = &vcpu->conv;

	return conv->gfn == gfn &&
	       (conv->state == PKVM_CONVERSION_ASKED || conv->state == PKVM_CONVERSION_DONE);
}

/* Any vCPU of the VM does. There are KVM_MAX_VCPUS at most. */
static bool is_asked_for(struct pkvm_hyp_vm *vm, u64 gfn)
{
	struct pkvm_hyp_vcpu *vcpu;
	unsigned int i;

	hyp_assert_lock_held(&vm->lock);

	for (i = 0; i < vm->kvm.created_vcpus; i++) {
		/* Pairs with the release in register_hyp_vcpu(). */
		vcpu = smp_load_acquire(&vm->vcpus[i]);
		if (vcpu && vcpu_asks_for(vcpu, gfn))
			return true;
	}
	return false;
}

/**
 * pkvm_conversion_begin() - A guest asks for a page's conversion
 * @vcpu: the vCPU that asks, loaded
 * @ipa: the page
 * @share: to share it, or else to have it for itself
 * @pc: where the guest goes on when it is told the answer
 *
 * The page needs no memory, and no memslot, for userspace may still provide them. While
 * a vCPU waits no other can ask for the page: when it is told of the success it has to
 * be so, and not what the other one has made of it since. To refuse the other would be
 * to tell it that the page isn't what it is, and so it waits as well.
 *
 * A vCPU waits until it runs again, or the host resets it. It isn't fair: a guest that has
 * one vCPU convert a page to and fro may keep another from getting its turn.
 *
 * Context: Takes the VM's lock.
 * Return: 0 if the host is to be asked; -EALREADY if there's nothing to ask, the page is
 *	   as wanted; -EBUSY if another vCPU waits for it, and this one is to execute the
 *	   hypercall again; -EINVAL if @ipa is no page that the guest can have; -EHWPOISON
 *	   if its memory was taken by force, though it's private: there is no page to
 *	   have.
 */
int pkvm_conversion_begin(struct pkvm_hyp_vcpu *vcpu, u64 ipa, bool share, u64 pc)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);
	u64 phys, gfn = hyp_phys_to_pfn(ipa);
	enum pkvm_page_state state;
	int ret;

	if (!PAGE_ALIGNED(ipa) || !guest_gfn_is_valid(vm, gfn))
		return -EINVAL;

	guest_lock_component(vm);

	ret = guest_get_page(vm, ipa, &state, &phys);
	if (ret)
		goto unlock;

	if (state == PKVM_POISON)
		ret = -EHWPOISON;
	else if (is_shared(state) == share)
		ret = -EALREADY;
	else if (is_asked_for(vm, gfn))
		ret = -EBUSY;
	else
		vcpu->conv = (struct pkvm_conversion) {
			.state	= PKVM_CONVERSION_ASKED,
			.share	= share,
			.gfn	= gfn,
			.pc	= pc,
		};
unlock:
	guest_unlock_component(vm);

	return ret;
}

/*
 * Private to shared. The guest had the page for itself, perhaps without knowing, and
 * keeps what it has written to it.
 */
static int convert_to_shared(struct pkvm_hyp_vcpu *vcpu, enum pkvm_page_state state,
			     u64 phys, bool commit)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);
	struct kvm_hyp_memcache *mc = &vm->kvm.arch.pkvm.convert_mc;
	u64 gfn = vcpu->conv.gfn;
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
static int convert_to_private(struct pkvm_hyp_vcpu *vcpu, enum pkvm_page_state state,
			      u64 phys, bool commit)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);
	u64 gfn = vcpu->conv.gfn;

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
 * __pkvm_host_convert_guest() - Carry out what a vCPU has asked for
 * @gfn: the page that it has asked for
 * @commit: do it, or else say whether it could be done
 * @vcpu: the vCPU, loaded or not
 *
 * The direction is what the guest has asked for, and the memory what its page has, and
 * neither is for the host to say.
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
 * Return: 0; -ENOENT if the vCPU doesn't wait for the conversion of @gfn, -ENOMEM if the
 *	   page has no memory, and convert_mc has less than page tables can need,
 *	   -EHWPOISON if the page's memory was taken by force meanwhile.
 */
int __pkvm_host_convert_guest(u64 gfn, bool commit, struct pkvm_hyp_vcpu *vcpu)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);
	struct pkvm_conversion *conv = &vcpu->conv;
	enum pkvm_page_state state;
	int ret = -ENOENT;
	u64 phys;

	hyp_assert_lock_held(&vm->convert_lock);

	host_lock_component();
	guest_lock_component(vm);

	if (conv->state != PKVM_CONVERSION_ASKED || conv->gfn != gfn)
		goto unlock;

	ret = guest_get_page(vm, hyp_pfn_to_phys(gfn), &state, &phys);
	if (ret)
		goto unlock;

	if (conv->share)
		ret = convert_to_shared(vcpu, state, phys, commit);
	else
		ret = convert_to_private(vcpu, state, phys, commit);

	if (!ret && commit)
		WRITE_ONCE(conv->state, PKVM_CONVERSION_DONE);
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
 * where it has asked, then it isn't told anything, and asks again.
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
 * Success if the conversion is in force, an error if it isn't, whatever the host says;
 * success also if the page's memory was taken by force after the conversion, which the
 * guest finds when it uses the page. Or nothing, if the host has it execute the
 * hypercall again, or go on elsewhere, from a reset say: then, too, the vCPU doesn't
 * wait any more.
 *
 * That the host can change the vCPU's registers, and so make it go on elsewhere, or with
 * another answer once it was given here, is not for here to solve: see "CPU state
 * isolation" in Documentation/virt/kvm/arm/pkvm.rst.
 *
 * Context: Takes the VM's lock, if the vCPU waits.
 */
void pkvm_conversion_finish(struct pkvm_hyp_vcpu *vcpu)
{
	struct pkvm_hyp_vm *vm = pkvm_hyp_vcpu_to_hyp_vm(vcpu);
	struct kvm_vcpu *arch_vcpu = &vcpu->vcpu;
	struct pkvm_conversion conv;
	bool again, done;
	u64 pc;

	/* See struct pkvm_conversion: if it's that then it stays that. */
	if (READ_ONCE(vcpu->conv.state) == PKVM_CONVERSION_NONE)
		return;

	guest_lock_component(vm);
	conv = vcpu->conv;
	vcpu->conv = (struct pkvm_conversion) {};
	guest_unlock_component(vm);

	/*
	 * Or the PC would be another than what's looked at here by the time that
	 * the guest runs. The flag is a part of what an exception is encoded in,
	 * which may be pending: then, ELR is what the PC is here.
	 */
	if (!vcpu_get_flag(arch_vcpu, PENDING_EXCEPTION))
		vcpu_clear_flag(arch_vcpu, INCREMENT_PC);

	pc = pkvm_vcpu_resume_pc(arch_vcpu);
	again = pc == conv.pc - AARCH64_INSN_SIZE;
	if (pc != conv.pc && !again)
		return;

	if (conv.state == PKVM_CONVERSION_FORGOTTEN) {
		pkvm_vcpu_set_resume_pc(arch_vcpu, conv.pc - AARCH64_INSN_SIZE);
		return;
	}

	/*
	 * What is in force is answered at once. With the request gone, another vCPU
	 * could undo it before this one asks again.
	 */
	done = conv.state == PKVM_CONVERSION_DONE;
	if (again && !done)
		return;

	pkvm_vcpu_set_resume_pc(arch_vcpu, conv.pc);
	smccc_set_retval(arch_vcpu, done ? SMCCC_RET_SUCCESS : SMCCC_RET_INVALID_PARAMETER,
			 0, 0, 0);
}
