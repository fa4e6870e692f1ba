// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random updates against a flat array, with every allocation failing in turn:
 * contents, form and memory are checked after each step.
 */
#include <stdlib.h>

#include "common.h"

static struct xarray xa;
static struct model model;

/* Cells of all sizes, near to each other more often than not. */
static void random_cells(unsigned int *start, unsigned int *end)
{
	unsigned int size = 1U << (rand() % 13);

	*start = rand() % NR_CELLS;
	if (rand() % 2)
		*start -= *start % size;
	*end = *start + 1 + rand() % size;
	if (*end > NR_CELLS || rand() % 8 == 0)
		*end = NR_CELLS;
	if (rand() % 16 == 0)
		*start = 0;
	/* All that a tree of some height spans, for another one to grow out of. */
	if (rand() % 16 == 0) {
		*start = 0;
		*end = 1U << (XA_CHUNK_SHIFT * (1 + rand() % 2));
	}
}

void random_test(unsigned int seed, unsigned int nr_updates)
{
	static const unsigned long masks[] = { BIT(0), BIT(35), BIT(0) | BIT(35) };
	unsigned int i, start, end;
	unsigned long mask, bits;

	srand(seed);
	memset(&model, 0, sizeof(model));
	mem_attr_store_init(&xa);

	for (i = 0; i < nr_updates; i++) {
		/* Stay low at first, so that the tree has to grow. */
		random_cells(&start, &end);
		if (i < nr_updates / 4) {
			start %= i + 1;
			end = start + 1 + end % (i + 1);
		}
		mask = masks[rand() % ARRAY_SIZE(masks)];
		bits = (unsigned long)rand() << 35 | rand();
		update_both(&xa, &model, start, end, mask, bits & mask);
	}

	check(nr_nodes() == check_form(&xa, model.nr_gfns_ever_set));
	mem_attr_store_destroy(&xa);
	check(!nr_nodes());
	passed("random # seed %u, %u updates", seed, nr_updates);
}
