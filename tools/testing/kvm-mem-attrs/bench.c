// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store against an xarray with an entry for each page, and a maple tree: how
 * long it takes to set, query and look up, and how many bytes of nodes there are.
 * Prints "name pattern contestant value unit" a line.
 */
#include <stdio.h>
#include <linux/maple_tree.h>
#include <linux/radix-tree.h>

#include "mem_attr_store.h"

#define GIB_PAGES	BIT(18)
#define PRIVATE		8UL

struct contestant {
	const char *name;
	void (*init)(void);
	void (*destroy)(void);
	void (*set)(unsigned long start, unsigned long end, unsigned long bits);
	bool (*query)(unsigned long start, unsigned long end, unsigned long bits);
	unsigned long (*get)(unsigned long gfn);
	unsigned long max_pages;
};

static struct xarray xa;
static struct maple_tree mt;

static void ours_init(void)
{
	mem_attr_store_init(&xa);
}

static void ours_destroy(void)
{
	mem_attr_store_destroy(&xa);
}

static void ours_set(unsigned long start, unsigned long end, unsigned long bits)
{
	struct mem_attr_update update = {
		.xa = &xa, .start = start, .end = end, .mask = PRIVATE, .bits = bits,
	};

	if (mem_attr_store_reserve(&update, GFP_KERNEL))
		abort();
	mem_attr_store_commit(&update);
}

static bool ours_query(unsigned long start, unsigned long end, unsigned long bits)
{
	struct mem_attr_run run = { .end = start };

	while (run.end < end) {
		mem_attr_store_run(&xa, run.end, end, &run);
		if (run.bits != bits)
			return false;
	}
	return true;
}

/* What kvm_get_memory_attributes() does, in the base and with the store. */
static unsigned long xarray_get(unsigned long gfn)
{
	return xa_to_value(xa_load(&xa, gfn));
}

static void pages_init(void)
{
	xa_init_flags(&xa, XA_FLAGS_ACCOUNT);
}

static void pages_destroy(void)
{
	xa_destroy(&xa);
}

static void pages_set(unsigned long start, unsigned long end, unsigned long bits)
{
	void *entry = bits ? xa_mk_value(bits) : NULL;
	unsigned long gfn;

	for (gfn = start; entry && gfn < end; gfn++)
		xa_reserve(&xa, gfn, GFP_KERNEL);
	for (gfn = start; gfn < end; gfn++)
		xa_store(&xa, gfn, entry, GFP_KERNEL);
}

static bool pages_query(unsigned long start, unsigned long end, unsigned long bits)
{
	XA_STATE(xas, &xa, start);
	unsigned long gfn;
	void *entry;

	for (gfn = start; gfn < end; gfn++) {
		do {
			entry = xas_next(&xas);
		} while (xas_retry(&xas, entry));
		if (xas.xa_index != gfn || xa_to_value(entry) != bits)
			return false;
	}
	return true;
}

static void maple_init(void)
{
	mt_init_flags(&mt, MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU);
}

static void maple_destroy(void)
{
	mtree_destroy(&mt);
}

/* With its neighbours, if these have the same bits: it doesn't merge by itself. */
static void maple_set(unsigned long start, unsigned long end, unsigned long bits)
{
	void *entry = bits ? xa_mk_value(bits) : NULL;
	unsigned long first = start, last = end - 1;
	struct ma_state mas;

	mas_init(&mas, &mt, start ? start - 1 : 0);
	mtree_lock(&mt);
	if (start && mas_walk(&mas) == entry)
		first = mas.index;
	mas_set(&mas, end);
	if (mas_walk(&mas) == entry)
		last = mas.last;
	mas_set_range(&mas, first, last);
	if (mas_store_gfp(&mas, entry, GFP_KERNEL))
		abort();
	mtree_unlock(&mt);
}

static bool maple_query(unsigned long start, unsigned long end, unsigned long bits)
{
	MA_STATE(mas, &mt, start, start);
	void *entry;

	rcu_read_lock();
	entry = mas_walk(&mas);
	while ((entry ? xa_to_value(entry) : 0) == bits) {
		if (mas.last >= end - 1) {
			rcu_read_unlock();
			return true;
		}
		entry = mas_next_range(&mas, end - 1);
	}
	rcu_read_unlock();
	return false;
}

static unsigned long maple_get(unsigned long gfn)
{
	void *entry = mtree_load(&mt, gfn);

	return entry ? xa_to_value(entry) : 0;
}

static const struct contestant contestants[] = {
	{ "base", pages_init, pages_destroy, pages_set, pages_query, xarray_get, 64 * GIB_PAGES },
	{ "maple", maple_init, maple_destroy, maple_set, maple_query, maple_get, ~0UL },
	{ "ours", ours_init, ours_destroy, ours_set, ours_query, xarray_get, ~0UL },
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void print(const struct contestant *c, const char *name, const char *pattern,
		  double value, const char *unit)
{
	printf("%s|%s|%s|%.2f|%s\n", name, pattern, c->name, value, unit);
	fflush(stdout);
}

static void set(const struct contestant *c, unsigned long start, unsigned long end,
		unsigned long bits)
{
	c->set(start, end, bits);
	bench_rcu_done();
}

/* The best of some runs, in nanoseconds; a run of base's takes seconds. */
static void bench_ranges(const struct contestant *c, unsigned long gib)
{
	const unsigned long start = 4 * GIB_PAGES, end = start + gib * GIB_PAGES;
	double best[3] = { 1e18, 1e18, 1e18 }, t[4];
	int i, j, nr = c->max_pages == ~0UL ? 1000 : 2;
	unsigned long bytes = 0, before;
	char pattern[32];

	if (gib * GIB_PAGES > c->max_pages)
		return;

	for (i = 0; i < nr; i++) {
		c->init();
		before = bench_nr_bytes;
		t[0] = now();
		set(c, start, end, PRIVATE);
		t[1] = now();
		if (!c->query(start, end, PRIVATE))
			abort();
		t[2] = now();
		bytes = bench_nr_bytes - before;
		set(c, start, end, 0);
		t[3] = now();
		c->destroy();
		bench_rcu_done();
		for (j = 0; j < 3; j++)
			best[j] = min(best[j], t[j + 1] - t[j]);
	}
	snprintf(pattern, sizeof(pattern), "%lu GiB", gib);
	print(c, "native.set", pattern, best[0], "ns");
	print(c, "native.query", pattern, best[1], "ns");
	print(c, "native.clear", pattern, best[2], "ns");
	print(c, "native.memory", pattern, bytes, "bytes");
}

static void bench_one_page(const struct contestant *c)
{
	const unsigned long gfn = 5 * GIB_PAGES + 12345;
	double best = 1e18, start;
	int i, j;

	c->init();
	set(c, 4 * GIB_PAGES, 8 * GIB_PAGES, PRIVATE);
	for (i = 0; i < 20; i++) {
		start = now();
		for (j = 0; j < 10000; j++) {
			set(c, gfn, gfn + 1, 0);
			set(c, gfn, gfn + 1, PRIVATE);
		}
		best = min(best, (now() - start) / 20000);
	}
	print(c, "native.one-page", "uniform", best, "ns");

	for (i = 0; i < 65536; i += 2)
		set(c, gfn + i, gfn + i + 1, 0);
	best = 1e18;
	for (i = 0; i < 20; i++) {
		start = now();
		for (j = 0; j < 10000; j++) {
			set(c, gfn + 1000, gfn + 1001, PRIVATE);
			set(c, gfn + 1000, gfn + 1001, 0);
		}
		best = min(best, (now() - start) / 20000);
	}
	print(c, "native.one-page", "fragmented", best, "ns");
	c->destroy();
	bench_rcu_done();
}

static void bench_alternating(const struct contestant *c)
{
	const unsigned long start = 4 * GIB_PAGES, end = start + GIB_PAGES / 4;
	double best = 1e18, t;
	unsigned long gfn, before = bench_nr_bytes;
	int i;

	for (i = 0; i < 20; i++) {
		c->init();
		t = now();
		for (gfn = start; gfn < end; gfn += 2)
			set(c, gfn, gfn + 1, PRIVATE);
		best = min(best, now() - t);
		if (!i)
			print(c, "native.memory", "alternating 256 MiB",
			      bench_nr_bytes - before, "bytes");
		c->destroy();
		bench_rcu_done();
	}
	print(c, "native.set", "alternating 256 MiB", best, "ns");
}

static unsigned long next_random(unsigned long last)
{
	return last * 6364136223846793005UL + 1442695040888963407UL;
}

static double bench_lookups(const struct contestant *c, unsigned long start,
			    unsigned long nr_pages, bool random)
{
	const unsigned long nr = 1UL << 20;
	unsigned long gfn = 0, i, sum = 0;
	double best = 1e18, t;
	int round;

	for (round = 0; round < 5; round++) {
		t = now();
		for (i = 0; i < nr; i++) {
			gfn = random ? next_random(gfn) : gfn + 1;
			sum += c->get(start + (random ? gfn >> 20 : gfn) % nr_pages);
		}
		best = min(best, (now() - t) / nr);
	}
	/* For the loop not to be left out. */
	if (sum == 1)
		printf("\n");
	return best;
}

static void fill_random(const struct contestant *c, unsigned long start, unsigned long nr_pages)
{
	unsigned long gfn = start, length, seed = 1;

	while (gfn < start + nr_pages) {
		seed = next_random(seed);
		length = 1 + (seed >> 33) % 100;
		if (seed >> 63)
			c->set(gfn, min(gfn + length, start + nr_pages), PRIVATE);
		bench_rcu_done();
		gfn += length;
	}
}

/* Hot is what fits the caches, cold what doesn't: 256 MiB and 16 GiB of guest. */
static void bench_get(const struct contestant *c)
{
	static const char * const names[] = { "uniform", "random", "alternating" };
	const unsigned long start = 4 * GIB_PAGES;
	unsigned long gfn, nr_pages;
	char pattern[32];
	int what, cold;

	for (what = 0; what < 3; what++) {
		for (cold = 0; cold < 2; cold++) {
			nr_pages = cold ? 16 * GIB_PAGES : GIB_PAGES / 4;
			c->init();
			if (what == 0)
				set(c, start, start + nr_pages, PRIVATE);
			else if (what == 1)
				fill_random(c, start, nr_pages);
			else
				for (gfn = 0; gfn < nr_pages; gfn += 2)
					set(c, start + gfn, start + gfn + 1, PRIVATE);
			snprintf(pattern, sizeof(pattern), "%s, %s", names[what],
				 cold ? "cold" : "hot");
			print(c, "native.lookup", pattern,
			      bench_lookups(c, start, nr_pages, cold), "ns");
			c->destroy();
			bench_rcu_done();
		}
	}
}

int main(int argc, char *argv[])
{
	static const unsigned long sizes[] = { 1, 4, 16, 64, 256, 1024 };
	const struct contestant *c = contestants;
	int i;

	radix_tree_init();
	maple_tree_init();

	/* A process each: where nodes are doesn't depend on who came before. */
	while (argc != 2 || strcmp(argv[1], c->name)) {
		if (++c == contestants + ARRAY_SIZE(contestants)) {
			fprintf(stderr, "usage: bench base|maple|ours\n");
			return 1;
		}
	}

	bench_get(c);
	bench_alternating(c);
	bench_one_page(c);
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		bench_ranges(c, sizes[i]);
	return 0;
}
