/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_MEM_ATTRS_COMMON_H
#define KVM_MEM_ATTRS_COMMON_H

#include <stdbool.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/xarray.h>

#include "mem_attr_store.h"

/* Ends the test, naming what isn't so. */
#define check(cond)	do {							\
	if (!(cond))								\
		failed(__FILE__, __LINE__, #cond);				\
} while (0)

void __printf(1, 2) passed(const char *format, ...);
void __noreturn failed(const char *file, int line, const char *what);

/* Of the shared slab, and so of all nodes. */
extern int nr_allocated;

/* Fail the n-th allocation from now on, 1 being the next; 0 is none. */
extern unsigned long fail_allocation;
/* Any allocation ends the test. */
extern bool no_allocation;

/* Reserve and commit, neither of which may fail. */
void set_bits(struct xarray *xa, unsigned long start, unsigned long end,
	      unsigned long mask, unsigned long bits);

/* The nodes that the tree has, checking that its form is what it has to be. */
unsigned long check_form(struct xarray *xa, unsigned long nr_gfns_ever_set);
unsigned long nr_nodes(void);

/*
 * What a store should contain.  Gfns are too many to keep an array of all, so
 * those between the windows in which updates begin and end are one cell.
 */
#define NR_WINDOWS	4
#define WINDOW_SIZE	1200
#define NR_CELLS	(NR_WINDOWS * (WINDOW_SIZE + 1))

struct model {
	unsigned long bits[NR_CELLS];
	unsigned long nr_gfns_ever_set;
};

/* The first gfn of a cell; that of NR_CELLS is MEM_ATTR_STORE_END. */
unsigned long cell_gfn(unsigned int cell);

/*
 * The update of some cells in store and model, the store's with each allocation
 * failing in turn.
 */
void update_both(struct xarray *xa, struct model *model, unsigned int start,
		 unsigned int end, unsigned long mask, unsigned long bits);
/* While there is an update, more may be uniform than is found to be. */
void check_contents(struct xarray *xa, const struct model *model, bool updating);

void unit_tests(void);
void random_test(unsigned int seed, unsigned int nr_updates);
void readers_test(unsigned int seed, unsigned int nr_updates);

#endif
