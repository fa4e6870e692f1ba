// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <linux/slab.h>

#include "common.h"

unsigned long fail_allocation;
bool no_allocation;

void *__real_kmem_cache_alloc_lru(struct kmem_cache *cache, struct list_lru *lru, int gfp);
void *__wrap_kmem_cache_alloc_lru(struct kmem_cache *cache, struct list_lru *lru, int gfp);

void *__wrap_kmem_cache_alloc_lru(struct kmem_cache *cache, struct list_lru *lru, int gfp)
{
	check(!no_allocation);
	/* The store is to charge whatever it allocates. */
	check(gfp & __GFP_ACCOUNT);

	/* Attempts that must not sleep fail anyway, and are repeated. */
	if ((gfp & __GFP_DIRECT_RECLAIM) && fail_allocation && !--fail_allocation)
		return NULL;

	return __real_kmem_cache_alloc_lru(cache, lru, gfp);
}

void failed(const char *file, int line, const char *what)
{
	fflush(stdout);
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

static void commit(struct mem_attr_update *update)
{
	no_allocation = true;
	mem_attr_store_commit(update);
	no_allocation = false;
}

void set_bits(struct xarray *xa, unsigned long start, unsigned long end,
	      unsigned long mask, unsigned long bits)
{
	struct mem_attr_update update = {
		.xa = xa, .start = start, .end = end, .mask = mask, .bits = bits,
	};

	check(!mem_attr_store_reserve(&update, GFP_KERNEL));
	commit(&update);
}

unsigned long nr_nodes(void)
{
	/* Nodes are freed after a grace period. */
	rcu_barrier();
	return uatomic_read(&nr_allocated);
}

static unsigned long check_node(struct xarray *xa, struct xa_node *node, bool is_root)
{
	unsigned int slot, nr_values = 0;
	unsigned long nr = 1;
	bool differ = false;
	void *first = NULL;

	for (slot = 0; slot < XA_CHUNK_SIZE; slot++) {
		void *entry = xa_entry_locked(xa, node, slot);

		check(entry);
		if (!slot)
			first = entry;
		if (entry != first || xa_is_node(entry))
			differ = true;
		if (xa_is_value(entry)) {
			nr_values++;
			continue;
		}
		check(xa_is_node(entry) && node->shift);
		check(xa_to_node(entry)->shift + XA_CHUNK_SHIFT == node->shift);
		check(xa_to_node(entry)->offset == slot);
		nr += check_node(xa, xa_to_node(entry), false);
	}
	check(node->count == XA_CHUNK_SIZE);
	check(node->nr_values == nr_values);
	check(is_root || differ);
	return nr;
}

unsigned long check_form(struct xarray *xa, unsigned long nr_gfns_ever_set)
{
	unsigned int shift = 0;
	unsigned long nr;

	if (!nr_gfns_ever_set) {
		check(xa_empty(xa));
		return 0;
	}

	while ((nr_gfns_ever_set - 1) >> shift >= XA_CHUNK_SIZE)
		shift += XA_CHUNK_SHIFT;

	xa_lock(xa);
	check(xa_is_node(xa_head_locked(xa)));
	check(xa_to_node(xa_head_locked(xa))->shift == shift);
	nr = check_node(xa, xa_to_node(xa_head_locked(xa)), true);
	xa_unlock(xa);
	return nr;
}

static const unsigned long windows[NR_WINDOWS] = {
	0, 1UL << 18, 1UL << 40, MEM_ATTR_STORE_END - WINDOW_SIZE - 1,
};

unsigned long cell_gfn(unsigned int cell)
{
	if (cell == NR_CELLS)
		return MEM_ATTR_STORE_END;

	return windows[cell / (WINDOW_SIZE + 1)] + cell % (WINDOW_SIZE + 1);
}

static unsigned int gfn_cell(unsigned long gfn)
{
	unsigned int low = 0, high = NR_CELLS;

	while (high - low > 1) {
		unsigned int middle = (low + high) / 2;

		if (cell_gfn(middle) <= gfn)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* What a lookup says of a block is true of every gfn in it. */
static void check_lookup(struct xarray *xa, const struct model *model, unsigned long gfn)
{
	unsigned int order, cell;
	unsigned long bits, end;

	bits = mem_attr_store_lookup(xa, gfn, &order);
	end = ((gfn >> order) + 1) << order;
	cell = gfn_cell(gfn >> order << order);
	for (; cell < NR_CELLS && cell_gfn(cell) < end; cell++)
		check(model->bits[cell] == bits);
}

static void check_runs(struct xarray *xa, const struct model *model)
{
	struct mem_attr_run run;
	unsigned long gfn;
	unsigned int cell;

	for (gfn = 0; gfn < MEM_ATTR_STORE_END; gfn = run.end) {
		mem_attr_store_run(xa, gfn, MEM_ATTR_STORE_END, &run);
		check(run.start == gfn);
		for (cell = gfn_cell(gfn); cell < NR_CELLS && cell_gfn(cell) < run.end; cell++)
			check(model->bits[cell] == run.bits);
		check(cell_gfn(cell) == run.end);
		check(cell == NR_CELLS || model->bits[cell] != run.bits);
	}
}

/* Blocks of all sizes around a gfn. */
static void check_uniform(struct xarray *xa, const struct model *model, unsigned long gfn,
			  bool exact)
{
	unsigned int order, cell;
	unsigned long start, end;
	bool uniform = true;

	for (order = 0; order <= MEM_ATTR_STORE_GFN_BITS; order++) {
		start = gfn >> order << order;
		end = start + (1UL << order);
		cell = gfn_cell(start);
		for (; uniform && cell < NR_CELLS && cell_gfn(cell) < end; cell++)
			uniform = model->bits[cell] == model->bits[gfn_cell(gfn)];
		if (exact || !uniform)
			check(mem_attr_store_uniform(xa, start, order) == uniform);
	}
}

void check_contents(struct xarray *xa, const struct model *model, bool updating)
{
	unsigned int cell;

	for (cell = 0; cell < NR_CELLS; cell++) {
		check(xa_to_value(xa_load(xa, cell_gfn(cell))) == model->bits[cell]);
		check(xa_to_value(xa_load(xa, cell_gfn(cell + 1) - 1)) == model->bits[cell]);
	}
	for (cell = rand() % 37; cell < NR_CELLS; cell += 37)
		check_lookup(xa, model, cell_gfn(cell));
	for (cell = rand() % 997; cell < NR_CELLS; cell += 997)
		check_uniform(xa, model, cell_gfn(cell), !updating);
	check_lookup(xa, model, MEM_ATTR_STORE_END - 1);
	check_runs(xa, model);
}

void update_both(struct xarray *xa, struct model *model, unsigned int start,
		 unsigned int end, unsigned long mask, unsigned long bits)
{
	struct mem_attr_update update = {
		.xa = xa, .start = cell_gfn(start), .end = cell_gfn(end),
		.mask = mask, .bits = bits,
	};
	unsigned long nr = check_form(xa, model->nr_gfns_ever_set);
	unsigned long nth;
	unsigned int cell;
	int r;

	for (nth = 1; ; nth++) {
		fail_allocation = nth;
		r = mem_attr_store_reserve(&update, GFP_KERNEL);
		if (fail_allocation)
			break;
		check(r == -ENOMEM);
		check(check_form(xa, model->nr_gfns_ever_set) == nr);
	}
	fail_allocation = 0;
	check(!r);
	check_contents(xa, model, true);

	/* Given up, it's as if it hadn't been. */
	if (rand() % 4 == 0) {
		mem_attr_store_cancel(&update);
		check(check_form(xa, model->nr_gfns_ever_set) == nr);
		check_contents(xa, model, false);
		check(!mem_attr_store_reserve(&update, GFP_KERNEL));
	}

	commit(&update);
	for (cell = start; cell < end; cell++)
		model->bits[cell] = (model->bits[cell] & ~mask) | bits;
	if (bits)
		model->nr_gfns_ever_set = max(model->nr_gfns_ever_set, cell_gfn(end));
	check_form(xa, model->nr_gfns_ever_set);
	check_contents(xa, model, false);
}
