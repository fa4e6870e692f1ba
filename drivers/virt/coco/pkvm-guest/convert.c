// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversions of a protected guest's memory, a granule at a time.
 *
 * The host may refuse any of them, whatever it has done before. What the guest takes its
 * memory for is only what the hypervisor has confirmed.
 */
#define pr_fmt(fmt) "pkvm-guest: " fmt

#include <kunit/static_stub.h>
#include <linux/arm-smccc.h>
#include <linux/printk.h>

#include "convert.h"

/**
 * pkvm_convert_granule() - Ask for a conversion
 * @phys: the granule's address
 * @share: with the host, or take it back
 *
 * See Documentation/virt/kvm/arm/hypercalls.rst.
 *
 * Context: Any. May take as long as the host's userspace likes.
 * Return: SMCCC_RET_SUCCESS exactly if the granule is what was asked for.
 */
unsigned long pkvm_convert_granule(phys_addr_t phys, bool share)
{
	struct arm_smccc_res res;

	KUNIT_STATIC_STUB_REDIRECT(pkvm_convert_granule, phys, share);

	arm_smccc_1_1_invoke(share ? ARM_SMCCC_VENDOR_HYP_KVM_MEM_SHARE_FUNC_ID :
				     ARM_SMCCC_VENDOR_HYP_KVM_MEM_UNSHARE_FUNC_ID,
			     phys, 0, 0, &res);
	return res.a0;
}

/* How much was converted from the start on, until the host has refused. */
static size_t convert(phys_addr_t phys, size_t size, size_t granule, bool share)
{
	size_t done;

	for (done = 0; done < size; done += granule) {
		if (pkvm_convert_granule(phys + done, share) != SMCCC_RET_SUCCESS)
			break;
	}
	return done;
}

/* As much as the host allows. How much isn't what it was. */
static size_t undo(phys_addr_t phys, size_t size, size_t granule, bool share)
{
	size_t offset, left = 0;

	for (offset = 0; offset < size; offset += granule) {
		if (pkvm_convert_granule(phys + offset, !share) != SMCCC_RET_SUCCESS)
			left += granule;
	}
	return left;
}

/**
 * pkvm_convert_range() - Share a range with the host, or take it back, as a whole
 * @phys: the first granule's address
 * @size: bytes, a multiple of @granule
 * @granule: the size of what a hypercall converts
 * @share: with the host, or take it back
 *
 * If the host refuses a granule then those before it become again what they were. If it
 * refuses that as well, then some are shared and others not: as the caller isn't told, it
 * must neither use the range as private memory after an error, nor free it.
 *
 * Context: Any. May take as long as the host's userspace likes.
 * Return: 0, or -EPERM if the host has refused a granule.
 */
int pkvm_convert_range(phys_addr_t phys, size_t size, size_t granule, bool share)
{
	size_t done, left;

	done = convert(phys, size, granule, share);
	if (done >= size)
		return 0;

	pr_warn_ratelimited("The host refuses to have memory %s, %#zx bytes into %#zx at %pap\n",
			    share ? "shared" : "given back", done, size, &phys);
	left = undo(phys, done, granule, share);
	if (left)
		pr_err_ratelimited("%#zx bytes of that stay %s, and none of it can be used\n",
				   left, share ? "shared" : "private");
	return -EPERM;
}
