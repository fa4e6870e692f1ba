// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversions of a protected guest's memory, by as many granules as the hypervisor takes at
 * a time.
 *
 * The host may refuse any of them, whatever it has done before. What the guest takes its
 * memory for is only what the hypervisor has confirmed.
 */
#define pr_fmt(fmt) "pkvm-guest: " fmt

#include <kunit/static_stub.h>
#include <linux/arm-smccc.h>
#include <linux/minmax.h>
#include <linux/printk.h>

#include "convert.h"

/**
 * pkvm_convert_call() - Ask the hypervisor for a conversion
 * @phys: the first granule's address
 * @nr: how many; or 0 for one, of a hypervisor that doesn't know counts
 * @share: with the host, or take them back
 * @res: what it returns
 *
 * See Documentation/virt/kvm/arm/hypercalls.rst.
 *
 * Context: Any. May take as long as the host's userspace likes.
 */
void pkvm_convert_call(phys_addr_t phys, size_t nr, bool share, struct arm_smccc_res *res)
{
	KUNIT_STATIC_STUB_REDIRECT(pkvm_convert_call, phys, nr, share, res);

	arm_smccc_1_1_invoke(share ? ARM_SMCCC_VENDOR_HYP_KVM_MEM_SHARE_FUNC_ID :
				     ARM_SMCCC_VENDOR_HYP_KVM_MEM_UNSHARE_FUNC_ID,
			     phys, nr, 0, res);
}

/*
 * How much is what was asked for, from the first granule on. Of what comes after it nothing is
 * said: it can be asked for in its turn. 0 if the first one is refused.
 */
static size_t convert_some(const struct pkvm_memory *mem, phys_addr_t phys, size_t size,
			   bool share)
{
	size_t nr = mem->knows_counts ? size / mem->granule : 0;
	struct arm_smccc_res res;

	pkvm_convert_call(phys, nr, share, &res);
	if (res.a0 != SMCCC_RET_SUCCESS)
		return 0;

	return mem->granule * (nr ? min(res.a1, nr) : 1);
}

/* How much was converted from the start on, until the host has refused. */
static size_t convert(const struct pkvm_memory *mem, phys_addr_t phys, size_t size, bool share)
{
	size_t some, done;

	for (done = 0; done < size; done += some) {
		some = convert_some(mem, phys + done, size - done, share);
		if (!some)
			break;
	}
	return done;
}

/*
 * As much as the host allows, which may refuse some for one that's among them. How much
 * isn't what it was.
 */
static size_t undo(const struct pkvm_memory *mem, phys_addr_t phys, size_t size, bool share)
{
	size_t some, offset, left = 0;

	for (offset = 0; offset < size; offset += some) {
		some = convert_some(mem, phys + offset, size - offset, !share);
		if (!some && mem->knows_counts && size - offset > mem->granule)
			some = convert_some(mem, phys + offset, mem->granule, !share);
		if (!some) {
			some = mem->granule;
			left += some;
		}
	}
	return left;
}

/**
 * pkvm_convert_range() - Share a range with the host, or take it back, as a whole
 * @mem: how memory is converted
 * @phys: the first granule's address
 * @size: bytes, a multiple of the granule's size
 * @share: with the host, or take it back
 *
 * The range has to be shared as a whole, or not at all, but for what is left by an error. If
 * the host refuses a granule then those before it become again what they were. If it refuses
 * that as well, then some are shared and others not, here and from then on wherever one that
 * is to be taken back is refused: those before it stay private. As the caller isn't told, it
 * must not use the range as private memory after an error, nor free it before it has taken
 * it back.
 *
 * Context: Any. May take as long as the host's userspace likes.
 * Return: 0, or -EPERM if the host has refused a granule.
 */
int pkvm_convert_range(struct pkvm_memory *mem, phys_addr_t phys, size_t size, bool share)
{
	size_t done, left;

	done = convert(mem, phys, size, share);
	if (done >= size)
		return 0;

	pr_warn_ratelimited("The host refuses to have memory %s, %#zx bytes into %#zx at %pap\n",
			    share ? "shared" : "given back", done, size, &phys);
	/* They may have been private before: the host would get what it doesn't have. */
	if (!share && READ_ONCE(mem->is_mixed))
		return -EPERM;

	left = undo(mem, phys, done, share);
	if (!left)
		return -EPERM;

	WRITE_ONCE(mem->is_mixed, true);
	pr_err_ratelimited("%#zx bytes of that stay %s, and none of it can be used\n", left,
			   share ? "shared" : "private");
	return -EPERM;
}
