// SPDX-License-Identifier: GPL-2.0-only
/*
 * How memory of a protected VM gets converted between private and shared if userspace
 * decides.
 *
 * A guest asks by the hypercalls MEM_SHARE and MEM_UNSHARE. EL2 remembers for what, and
 * tells it in the end whether it has got it. From here, userspace gets to know by an exit,
 * and answers by the attribute that it gives the page:
 *
 *	what the guest asked for	EL2 converts the page, and so nothing of it is lost;
 *					of several pages, one after the other
 *	anything else			the page is what the guest takes it for, and if
 *					that isn't the attribute then nobody can access it
 *
 * Requests are kept for vCPUs, in vcpu->arch.pkvm_request, and their pages have
 * KVM_MEM_ATTR_CONVERTING, so that the answer is carried out also where the attribute is
 * the one that they have. Both are guarded by kvm->slots_lock, which the vCPU takes before
 * it goes on: what userspace was told that it can convert stays convertible until then.
 */
#include <linux/kvm_host.h>
#include <uapi/linux/kvm_para.h>

#include <asm/kvm_emulate.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_pkvm.h>
#include <asm/kvm_pkvm_memory.h>

#include <kvm/arm_hypercalls.h>

/**
 * pkvm_enable_host_converts() - KVM_CAP_EXIT_HYPERCALL
 * @kvm: the VM
 * @cap: the ioctl's argument
 *
 * There's no way back, and EL2 takes a copy when it creates the VM.
 *
 * Context: Takes kvm->lock and kvm->slots_lock, may sleep.
 * Return: 0; -EINVAL for a VM that isn't protected, or has vCPUs or memslots, and for
 *	   arguments but KVM_HC_MAP_GPA_RANGE's bit.
 */
int pkvm_enable_host_converts(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	if (!kvm_vm_is_protected(kvm) || cap->args[0] != BIT(KVM_HC_MAP_GPA_RANGE) ||
	    memchr_inv(&cap->args[1], 0, sizeof(cap->args) - sizeof(cap->args[0])))
		return -EINVAL;

	guard(mutex)(&kvm->lock);
	guard(mutex)(&kvm->slots_lock);

	if (kvm->created_vcpus || !kvm_are_all_memslots_empty(kvm))
		return -EINVAL;

	kvm->arch.pkvm.convert_mc.flags |= HYP_MEMCACHE_ACCOUNT_STAGE2;
	kvm->arch.pkvm.host_converts = true;
	return 0;
}

/**
 * pkvm_is_conversion_call() - Is it a hypercall that asks for a conversion?
 * @vcpu: the vCPU that has executed HVC, and EL2 hasn't handled it
 *
 * Return: Whether EL2 waits for userspace's word.
 */
bool pkvm_is_conversion_call(struct kvm_vcpu *vcpu)
{
	if (!kvm_arch_has_private_mem(vcpu->kvm))
		return false;

	switch (smccc_get_function(vcpu)) {
	case ARM_SMCCC_VENDOR_HYP_KVM_MEM_SHARE_FUNC_ID:
	case ARM_SMCCC_VENDOR_HYP_KVM_MEM_UNSHARE_FUNC_ID:
		return true;
	default:
		return false;
	}
}

/* Set or clear KVM_MEM_ATTR_CONVERTING of a vCPU's pages, and what goes with it. */
static int set_request(struct kvm_vcpu *vcpu, bool active)
{
	struct pkvm_request *request = &vcpu->arch.pkvm_request;
	struct kvm *kvm = vcpu->kvm;
	int ret;

	if (mutex_lock_killable(&kvm->slots_lock))
		return -EINTR;

	ret = kvm_set_internal_mem_attributes_locked(kvm, request->gfn,
						     request->gfn + request->nr,
						     KVM_MEM_ATTR_CONVERTING,
						     active ? KVM_MEM_ATTR_CONVERTING : 0);
	if (!ret) {
		kvm->arch.pkvm.nr_requests += active - request->active;
		request->active = active;
	}
	mutex_unlock(&kvm->slots_lock);

	return ret;
}

/* Have the guest execute the hypercall again, unless userspace has put it elsewhere. */
static void execute_again(struct kvm_vcpu *vcpu)
{
	u64 behind_hvc = vcpu->arch.pkvm_request.pc;
	u64 *pc = pkvm_vcpu_resume_pc(vcpu, behind_hvc);

	if (pc)
		*pc = behind_hvc - AARCH64_INSN_SIZE;
}

static void prepare_exit(struct kvm_vcpu *vcpu)
{
	const struct pkvm_request *request = &vcpu->arch.pkvm_request;
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.ret = 0;
	memset(run->hypercall.args, 0, sizeof(run->hypercall.args));
	run->hypercall.args[0] = gfn_to_gpa(request->gfn);
	run->hypercall.args[1] = request->nr * (PAGE_SIZE / SZ_4K);
	run->hypercall.args[2] = KVM_MAP_GPA_RANGE_PAGE_SZ_4K |
				 (request->share ? KVM_MAP_GPA_RANGE_DECRYPTED :
						   KVM_MAP_GPA_RANGE_ENCRYPTED);
	run->hypercall.flags = 0;
}

/**
 * pkvm_handle_conversion_call() - Ask userspace for the conversion that a guest asks for
 * @vcpu: the vCPU
 *
 * EL2 has looked at the address, and the number of pages is what it wants to have converted,
 * which can be less than what the guest asks for, or 0 for one.
 *
 * Context: The vCPU's, kvm->srcu isn't held. Takes kvm->slots_lock, may sleep.
 * Return: 0 for KVM_EXIT_HYPERCALL; or, and then the guest is to ask again, -ENOMEM without
 *	   memory for the store of attributes, -EINTR on a fatal signal.
 */
int pkvm_handle_conversion_call(struct kvm_vcpu *vcpu)
{
	struct pkvm_request *request = &vcpu->arch.pkvm_request;
	unsigned long nr = smccc_get_arg2(vcpu);
	int ret;

	/* EL2 has cut it. */
	WARN_ON_ONCE(nr > PKVM_CONVERSION_MAX);

	request->gfn = gpa_to_gfn(smccc_get_arg1(vcpu));
	request->share = smccc_get_function(vcpu) == ARM_SMCCC_VENDOR_HYP_KVM_MEM_SHARE_FUNC_ID;
	request->pc = *vcpu_pc(vcpu);
	request->nr = clamp(nr, 1UL, PKVM_CONVERSION_MAX);
	request->done = 0;

	ret = set_request(vcpu, true);
	if (ret) {
		execute_again(vcpu);
		return ret;
	}

	prepare_exit(vcpu);
	return 0;
}

/**
 * pkvm_complete_conversion_call() - Let a vCPU go on that has asked for a conversion
 * @vcpu: the vCPU, about to run
 *
 * What it is told is EL2's business: how much has been converted. Userspace can
 * have it ask again, but for that its answer has no meaning.
 *
 * Context: The vCPU's. Takes kvm->slots_lock, may sleep.
 * Return: 0, or else it is where it was: -EINVAL for an answer that isn't one, -ENOMEM
 *	   without memory for the store of attributes, -EINTR on a fatal signal.
 */
int pkvm_complete_conversion_call(struct kvm_vcpu *vcpu)
{
	u64 answer = READ_ONCE(vcpu->run->hypercall.ret);
	int ret = -EINVAL;

	if (answer == 0 || answer == EINVAL || answer == EAGAIN)
		ret = set_request(vcpu, false);
	if (ret) {
		vcpu->run->exit_reason = KVM_EXIT_HYPERCALL;
		return ret;
	}

	if (answer == EAGAIN)
		execute_again(vcpu);
	return 0;
}

/**
 * pkvm_forget_conversion() - A vCPU is reset, what it has asked for is void
 * @vcpu: the vCPU, which may never run again
 *
 * Context: The vCPU's. Takes kvm->slots_lock, may sleep.
 * Return: 0; -ENOMEM without memory for the store of attributes, -EINTR on a fatal signal.
 */
int pkvm_forget_conversion(struct kvm_vcpu *vcpu)
{
	int ret;

	if (!kvm_arch_has_private_mem(vcpu->kvm) || !vcpu_get_flag(vcpu, VCPU_PKVM_FINALIZED))
		return 0;

	if (vcpu->arch.pkvm_request.active) {
		ret = set_request(vcpu, false);
		if (ret)
			return ret;
	}

	/* Also what it was to be told if it had run. */
	WARN_ON_ONCE(kvm_call_hyp_nvhe(__pkvm_host_forget_conversion,
				       vcpu->kvm->arch.pkvm.handle, vcpu->vcpu_idx));
	return 0;
}

/* Which of these pages does the vCPU wait for to become such? */
static bool asks_for(const struct kvm_vcpu *vcpu, gfn_t *start, gfn_t *end, bool is_private)
{
	const struct pkvm_request *request = &vcpu->arch.pkvm_request;

	if (!request->active || request->share != !is_private)
		return false;

	*start = max(*start, request->gfn + request->done);
	*end = min(*end, request->gfn + request->nr);
	return *start < *end;
}

/*
 * At the limit of its memory cgroup, the VMM gets an error that it can handle and doesn't
 * get killed.
 */
static void *alloc_page_table(void *unused)
{
	void *addr = (void *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL |
					     __GFP_NOWARN);

	if (addr)
		kvm_account_pgtable_pages(addr, 1);
	return addr;
}

static phys_addr_t to_phys(void *addr)
{
	return __pa(addr);
}

/*
 * How many single pages that are shared without memory may need as much memory for page
 * tables as all of a request's: those are in no more than two tables of each level.
 */
static int nr_like_single(const struct pkvm_request *request)
{
	static_assert(PKVM_CONVERSION_MAX <= PTRS_PER_PTE);

	return request->nr > 1 ? 2 : 1;
}

/*
 * Memory for the page tables of so many pages that are shared without memory. Before EL2
 * converts one, it wants to have what another could need.
 */
static int topup_for_conversions(struct kvm *kvm, int nr)
{
	return __topup_hyp_memcache(&kvm->arch.pkvm.convert_mc,
				    (nr + 1) * kvm_mmu_cache_min_pages(&kvm->arch.mmu),
				    alloc_page_table, to_phys, NULL);
}

/* Have EL2 convert, or say whether it could, so many pages that the vCPU has asked for. */
static int convert_as_asked(struct kvm_vcpu *vcpu, gfn_t start, gfn_t end, bool is_private,
			    bool commit)
{
	gfn_t gfn;
	int ret;

	for (gfn = start; gfn < end; gfn++) {
		if (!commit && fatal_signal_pending(current))
			return -EINTR;

		ret = pkvm_gmem_convert_as_asked(vcpu, gfn, is_private, commit);
		if (ret)
			return ret;

		if (commit)
			vcpu->arch.pkvm_request.done++;
		cond_resched();
	}
	return 0;
}

/**
 * kvm_arch_prepare_mem_attributes() - May a range be what userspace says?
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 * @mask: the attributes to change
 * @attrs: what they are to become
 *
 * Whether EL2 could carry out the conversions that vCPUs wait for. All else that may have
 * to be done can be done, and nothing is done here.
 *
 * Context: kvm->slots_lock is held, may sleep.
 * Return: 0; -ENOMEM without memory for page tables, -EHWPOISON if a page that is to be
 *	   converted has lost its memory by force, -EINTR on a fatal signal.
 */
int kvm_arch_prepare_mem_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
				    unsigned long mask, unsigned long attrs)
{
	bool is_private = attrs & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	struct kvm_vcpu *vcpu;
	gfn_t first, last;
	unsigned long i;
	int nr = 0, ret;

	lockdep_assert_held(&kvm->slots_lock);

	if (mask != KVM_MEM_ATTR_USER_MASK || !kvm->arch.pkvm.nr_requests)
		return 0;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		/* What was prepared for other runs of the same change counts, too. */
		if (vcpu->arch.pkvm_request.active && vcpu->arch.pkvm_request.share && !is_private)
			nr += nr_like_single(&vcpu->arch.pkvm_request);

		first = start;
		last = end;
		if (!asks_for(vcpu, &first, &last, is_private))
			continue;

		ret = is_private ? 0 : topup_for_conversions(kvm, nr);
		if (!ret)
			ret = convert_as_asked(vcpu, first, last, is_private, false);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * kvm_arch_undo_mem_attributes() - What was prepared isn't going to be committed
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 * @mask: the attributes that were to change
 * @attrs: what they were to become
 *
 * Nothing was done that would have to be undone.
 *
 * Context: kvm->slots_lock is held.
 */
void kvm_arch_undo_mem_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
				  unsigned long mask, unsigned long attrs)
{
}

static void carry_out_requests(struct kvm *kvm, gfn_t start, gfn_t end, bool is_private)
{
	const struct pkvm_request *request;
	struct kvm_vcpu *vcpu;
	gfn_t first, last;
	unsigned long i;
	int ret;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		first = start;
		last = end;
		if (!asks_for(vcpu, &first, &last, is_private))
			continue;

		/* What's after pages that aren't converted is nothing that the guest is told of. */
		request = &vcpu->arch.pkvm_request;
		if (first != request->gfn + request->done)
			continue;

		/* Memory can have been taken by force since it was looked at. */
		ret = convert_as_asked(vcpu, first, last, is_private, true);
		KVM_BUG_ON(ret && ret != -EHWPOISON, kvm);
	}
}

/**
 * kvm_arch_commit_mem_attributes() - A range becomes what userspace says
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 * @mask: the attributes that change
 * @attrs: what they become
 *
 * Where a vCPU waits for that, both sides agree then. Elsewhere the guest finds that they
 * don't when it runs into the page.
 *
 * Context: kvm->slots_lock is held, after kvm_arch_prepare_mem_attributes(), and an
 *	    invalidation of the range is in progress. May sleep.
 */
void kvm_arch_commit_mem_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
				    unsigned long mask, unsigned long attrs)
{
	bool is_private = attrs & KVM_MEMORY_ATTRIBUTE_PRIVATE;

	lockdep_assert_held(&kvm->slots_lock);

	if (mask != KVM_MEM_ATTR_USER_MASK)
		return;

	if (kvm->arch.pkvm.nr_requests)
		carry_out_requests(kvm, start, end, is_private);
	pkvm_gmem_convert(kvm, start, end, is_private);
}

/**
 * kvm_arch_gmem_host_may_map() - May host user space map a page that is shared?
 * @kvm: the VM
 * @gfn: the page, by its attribute shared
 *
 * Context: Takes kvm->mmu_lock.
 * Return: Whether it may; not if the guest hasn't offered it, and it was withdrawn.
 */
bool kvm_arch_gmem_host_may_map(struct kvm *kvm, gfn_t gfn)
{
	return !kvm_arch_has_private_mem(kvm) || pkvm_gmem_is_accessible(kvm, gfn);
}

/**
 * kvm_arch_widen_mem_attributes() - What else has to be invalidated with a range?
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * Nothing: what a guest's memory can be has no size but the page's.
 */
void kvm_arch_widen_mem_attributes(struct kvm *kvm, gfn_t *start, gfn_t *end)
{
}

/**
 * kvm_arch_max_mem_attributes_gfn() - The last gfn that can have attributes
 * @kvm: the VM
 *
 * Return: the last of its IPA space.
 */
gfn_t kvm_arch_max_mem_attributes_gfn(const struct kvm *kvm)
{
	return (kvm_phys_size(&kvm->arch.mmu) >> PAGE_SHIFT) - 1;
}

/**
 * kvm_arch_supports_gmem_in_place() - Can guest_memfd be shared in place?
 * @kvm: the VM, or NULL for any
 *
 * Return: Whether it can: for protected VMs that userspace converts.
 */
bool kvm_arch_supports_gmem_in_place(struct kvm *kvm)
{
	return kvm ? kvm_arch_has_private_mem(kvm) : is_protected_kvm_enabled();
}

/**
 * kvm_arch_supports_gmem_init_shared() - Can guest_memfd be the host's for good?
 * @kvm: the VM
 *
 * Return: Whether it can: not where userspace converts it.
 */
bool kvm_arch_supports_gmem_init_shared(struct kvm *kvm)
{
	return !kvm_arch_has_private_mem(kvm);
}
