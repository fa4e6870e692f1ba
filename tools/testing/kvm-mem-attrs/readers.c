// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers that run beside a writer see what was before the update or what is
 * after it, at each gfn, and never anything else.
 */
#include <pthread.h>
#include <stdlib.h>

#include "common.h"

#define NR_READERS	3
#define NR_GFNS		4096UL

/* The last update and the one under way, whose number is odd. */
static unsigned long nr_updates_twice;
static unsigned char before[NR_GFNS], after[NR_GFNS];

static struct xarray xa;
static bool done;

/* All gfns up to @end had @bits before the update, or have them after it. */
static bool range_is(unsigned long gfn, unsigned long end, unsigned long bits)
{
	for (; gfn < end; gfn++) {
		if (uatomic_read(&before[gfn]) != bits && uatomic_read(&after[gfn]) != bits)
			return false;
	}
	return true;
}

static bool block_is(unsigned long gfn, unsigned int order, unsigned long bits)
{
	unsigned long end = min(((gfn >> order) + 1) << order, NR_GFNS);

	return range_is(gfn >> order << order, end, bits);
}

static void *reader(void *arg)
{
	unsigned long *nr_seen = arg;
	unsigned int seed = *nr_seen;

	rcu_register_thread();
	for (*nr_seen = 0; !uatomic_read(&done);) {
		unsigned long gfn = rand_r(&seed) % NR_GFNS;
		unsigned long number = uatomic_read(&nr_updates_twice);
		struct mem_attr_run run;
		unsigned long bits;
		unsigned int order;
		bool matches;

		cmm_smp_rmb();
		bits = mem_attr_store_lookup(&xa, gfn, &order);
		matches = block_is(gfn, order, bits);

		mem_attr_store_run(&xa, gfn, NR_GFNS, &run);
		matches &= range_is(gfn, run.end, run.bits);

		order = rand_r(&seed) % 12;
		gfn = gfn >> order << order;
		if (mem_attr_store_uniform(&xa, gfn, order))
			matches &= block_is(gfn, order, 0) || block_is(gfn, order, 1);
		cmm_smp_rmb();
		/* Another update has begun, there's nothing to compare with. */
		if (number != uatomic_read(&nr_updates_twice))
			continue;
		check(matches);
		*nr_seen += number & 1;
	}
	rcu_unregister_thread();
	return NULL;
}

static void update(unsigned int *seed)
{
	unsigned long start = rand_r(seed) % NR_GFNS;
	unsigned long end = min(start + 1 + rand_r(seed) % (1UL << rand_r(seed) % 12), NR_GFNS);
	unsigned long bits = rand_r(seed) % 2, gfn;

	for (gfn = start; gfn < end; gfn++)
		uatomic_set(&after[gfn], bits);

	cmm_smp_wmb();
	uatomic_inc(&nr_updates_twice);
	cmm_smp_mb();
	set_bits(&xa, start, end, 1, bits);
	cmm_smp_mb();
	uatomic_inc(&nr_updates_twice);
	cmm_smp_wmb();

	for (gfn = start; gfn < end; gfn++)
		uatomic_set(&before[gfn], bits);
}

void readers_test(unsigned int seed, unsigned int nr_updates)
{
	unsigned long nr_seen[NR_READERS], total = 0;
	pthread_t threads[NR_READERS];
	unsigned int i;

	mem_attr_store_init(&xa);
	for (i = 0; i < NR_READERS; i++) {
		nr_seen[i] = seed + i;
		check(!pthread_create(&threads[i], NULL, reader, &nr_seen[i]));
	}
	for (i = 0; i < nr_updates; i++)
		update(&seed);
	uatomic_set(&done, true);
	for (i = 0; i < NR_READERS; i++) {
		pthread_join(threads[i], NULL);
		total += nr_seen[i];
	}
	mem_attr_store_destroy(&xa);
	check(!nr_nodes());
	/* Lookups that began and ended within one update. */
	check(total);
	passed("readers # %u updates, %lu lookups in the middle of one", nr_updates, total);
}
