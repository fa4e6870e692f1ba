/* SPDX-License-Identifier: GPL-2.0-only */
/* Conversions of a protected guest's memory. */
#ifndef __PKVM_GUEST_CONVERT_H__
#define __PKVM_GUEST_CONVERT_H__

#include <linux/types.h>

struct arm_smccc_res;

/* How memory is converted, and how that has gone. */
struct pkvm_memory {
	/* The size of the least that's converted, in bytes. */
	size_t granule;
	/* How many of them are asked for at a time is said, and else it's one. */
	bool knows_counts;
	/* The host has refused to undo something: a range can be shared in part. */
	bool is_mixed;
};

int pkvm_convert_range(struct pkvm_memory *mem, phys_addr_t phys, size_t size, bool share);
void pkvm_convert_call(phys_addr_t phys, size_t nr, bool share, struct arm_smccc_res *res);

#endif /* __PKVM_GUEST_CONVERT_H__ */
