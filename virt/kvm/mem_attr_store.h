/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_MEM_ATTR_STORE_H
#define KVM_MEM_ATTR_STORE_H

/*
 * A map from gfn to attribute bits, which costs what its runs of equal bits
 * cost and not what their pages would.  It stands in one xarray, and is so
 * general that it knows of no VM.
 *
 * Every gfn has bits, 0 unless others were set.  Any number of readers may look
 * them up at any time.  One writer at a time changes them, in two phases:
 *
 *	r = mem_attr_store_reserve(&update, gfp);	may fail and sleep
 *	...						may fail
 *	mem_attr_store_commit(&update);			can't fail
 * or	mem_attr_store_cancel(&update);
 *
 * Only commit changes what readers see.
 */

#include <linux/bits.h>
#include <linux/types.h>
#include <linux/xarray.h>

/* Gfns have as many bits as fit a 64-bit gpa, which leaves room to round up. */
#define MEM_ATTR_STORE_GFN_BITS	52
#define MEM_ATTR_STORE_END	BIT(MEM_ATTR_STORE_GFN_BITS)

/* What the xarray can keep as a value. */
#define MEM_ATTR_STORE_BITS	GENMASK(BITS_PER_LONG - 2, 0)

/**
 * struct mem_attr_run - Consecutive gfns that have the same bits
 * @start: the first gfn
 * @end: the gfn after the last
 * @bits: the bits of each of them
 */
struct mem_attr_run {
	unsigned long start;
	unsigned long end;
	unsigned long bits;
};

/**
 * struct mem_attr_update - A change to a store
 * @xa: the store
 * @start: the first gfn to change
 * @end: the gfn after the last; less than or equal to MEM_ATTR_STORE_END
 * @mask: which bits are to change, those of MEM_ATTR_STORE_BITS
 * @bits: what they are to become, a subset of @mask
 * @span: private to the store
 */
struct mem_attr_update {
	struct xarray *xa;
	unsigned long start;
	unsigned long end;
	unsigned long mask;
	unsigned long bits;
	unsigned int span;
};

void mem_attr_store_init(struct xarray *xa);
void mem_attr_store_destroy(struct xarray *xa);
unsigned long mem_attr_store_lookup(struct xarray *xa, unsigned long gfn,
				    unsigned int *order);
void mem_attr_store_run(struct xarray *xa, unsigned long start,
			unsigned long end, struct mem_attr_run *run);
bool mem_attr_store_uniform(struct xarray *xa, unsigned long gfn,
			    unsigned int order);
int mem_attr_store_reserve(struct mem_attr_update *update, gfp_t gfp);
void mem_attr_store_commit(struct mem_attr_update *update);
void mem_attr_store_cancel(struct mem_attr_update *update);

#endif /* KVM_MEM_ATTR_STORE_H */
