// SPDX-License-Identifier: GPL-2.0-only
/* One property of the store each, on the smallest example that shows it. */
#include <stdio.h>
#include <errno.h>
#include <linux/slab.h>

#include "common.h"

#define A	BIT(0)
#define B	BIT(40)
#define LAST	(MEM_ATTR_STORE_END - 1)
#define NODE	XA_CHUNK_SIZE

static struct xarray xa;

static unsigned long get(unsigned long gfn)
{
	return xa_to_value(xa_load(&xa, gfn));
}

static unsigned long get_order(unsigned long gfn)
{
	unsigned int order;

	mem_attr_store_lookup(&xa, gfn, &order);
	return order;
}

static void empty(void)
{
	struct mem_attr_run run;
	unsigned int order;

	check(!mem_attr_store_lookup(&xa, 0, &order));
	check(order == MEM_ATTR_STORE_GFN_BITS);
	check(!mem_attr_store_lookup(&xa, LAST, &order));
	mem_attr_store_run(&xa, 5, MEM_ATTR_STORE_END, &run);
	check(run.start == 5 && run.end == MEM_ATTR_STORE_END && !run.bits);
	set_bits(&xa, 0, MEM_ATTR_STORE_END, A | B, 0);
	check(!nr_nodes());
}

static void single_gfns(void)
{
	static const unsigned long gfns[] = {
		0, 1, NODE - 1, NODE, NODE * NODE - 1, NODE * NODE, BIT(33) + 7, LAST,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(gfns); i++) {
		set_bits(&xa, gfns[i], gfns[i] + 1, A, A);
		check(get(gfns[i]) == A);
		check(get_order(gfns[i]) == 0);
		check(gfns[i] == 0 || gfns[i] - 1 == gfns[max(i, 1U) - 1] || !get(gfns[i] - 1));
		check(gfns[i] == LAST || !get(gfns[i] + 1));
		check_form(&xa, gfns[i] + 1);
	}
	for (i = 0; i < ARRAY_SIZE(gfns); i++)
		set_bits(&xa, gfns[i], gfns[i] + 1, A, 0);
	/* The root stays. */
	check(check_form(&xa, LAST + 1) == 1);
	check(nr_nodes() == 1);
}

static void everything(void)
{
	set_bits(&xa, 0, MEM_ATTR_STORE_END, A, A);
	check(get(0) == A && get(LAST) == A);
	check(nr_nodes() == 1);
	set_bits(&xa, 0, MEM_ATTR_STORE_END, A, 0);
	check(!get(0) && !get(LAST));
	check(nr_nodes() == 1);
}

/* A large range costs a node, and a hole in it one for each level. */
static void ranges_are_cheap(void)
{
	set_bits(&xa, 0, NODE * NODE * NODE, A, A);
	check(nr_nodes() == 1);
	set_bits(&xa, 5, 6, A, 0);
	check(nr_nodes() == 3);
	check(!get(5) && get(4) == A && get(6) == A);
	check(get_order(NODE) == XA_CHUNK_SHIFT);
	check(get_order(NODE * NODE) == 2 * XA_CHUNK_SHIFT);
	set_bits(&xa, 5, 6, A, A);
	check(nr_nodes() == 1);
	check(get_order(5) == 2 * XA_CHUNK_SHIFT);
}

/* Neighbours merge, whichever comes last. */
static void neighbours_merge(void)
{
	unsigned long gfn;

	set_bits(&xa, NODE * NODE, NODE * NODE + 1, A, A);
	check(nr_nodes() == 3);
	for (gfn = 0; gfn < NODE; gfn += 2)
		set_bits(&xa, gfn, gfn + 1, A, A);
	check(nr_nodes() == 5);
	for (gfn = 1; gfn < NODE; gfn += 2) {
		check(get_order(0) == 0);
		set_bits(&xa, gfn, gfn + 1, A, A);
	}
	check(get_order(0) == XA_CHUNK_SHIFT);
	check(nr_nodes() == 4);
}

static void two_owners(void)
{
	set_bits(&xa, 10, 20, A, A);
	set_bits(&xa, 15, 25, B, B);
	check(get(14) == A && get(15) == (A | B) && get(20) == B && !get(25));
	set_bits(&xa, 0, 100, A, 0);
	check(!get(14) && get(15) == B && get(24) == B);
	set_bits(&xa, 0, 100, A, A);
	check(get(14) == A && get(15) == (A | B) && get(99) == A && !get(100));
	set_bits(&xa, 0, 100, A | B, B);
	check(get(0) == B && get(99) == B && !get(100));
}

static void runs(void)
{
	struct mem_attr_run run;

	set_bits(&xa, 100, 1000, A, A);
	mem_attr_store_run(&xa, 0, 5000, &run);
	check(run.start == 0 && run.end == 100 && !run.bits);
	mem_attr_store_run(&xa, 100, 5000, &run);
	check(run.start == 100 && run.end == 1000 && run.bits == A);
	mem_attr_store_run(&xa, 150, 170, &run);
	check(run.start == 150 && run.end == 170 && run.bits == A);
	mem_attr_store_run(&xa, 1000, MEM_ATTR_STORE_END, &run);
	check(run.start == 1000 && run.end == MEM_ATTR_STORE_END && !run.bits);
}

static void uniform_blocks(void)
{
	unsigned int order;

	for (order = 0; order <= MEM_ATTR_STORE_GFN_BITS; order++)
		check(mem_attr_store_uniform(&xa, 0, order));

	set_bits(&xa, 512, 2048, A, A);
	check(mem_attr_store_uniform(&xa, 512, 9));
	check(mem_attr_store_uniform(&xa, 1024, 10));
	check(!mem_attr_store_uniform(&xa, 0, 10));
	check(!mem_attr_store_uniform(&xa, 0, 12));
	check(!mem_attr_store_uniform(&xa, 0, MEM_ATTR_STORE_GFN_BITS));
	check(mem_attr_store_uniform(&xa, 0, 9));
	check(mem_attr_store_uniform(&xa, BIT(40), 30));

	set_bits(&xa, 512, 2048, A, 0);
	for (order = 0; order <= MEM_ATTR_STORE_GFN_BITS; order++)
		check(mem_attr_store_uniform(&xa, 0, order));
}

/* What was a whole tree, or not worth one, is a slot of a higher one. */
static void growing(void)
{
	set_bits(&xa, 0, NODE, A, A);
	check(check_form(&xa, NODE) == 1);
	set_bits(&xa, NODE * NODE - 1, NODE * NODE, A, A);
	check(check_form(&xa, NODE * NODE) == 2);
	check(get_order(0) == XA_CHUNK_SHIFT);
	set_bits(&xa, LAST, LAST + 1, A, A);
	check_form(&xa, LAST + 1);
	check(get(0) == A && get(NODE - 1) == A && !get(NODE));
	check(get(NODE * NODE - 1) == A && !get(NODE * NODE) && get(LAST) == A);
}

static void cancelling(void)
{
	struct mem_attr_update update = {
		.xa = &xa, .start = 77, .end = BIT(30) + 3, .mask = A, .bits = A,
	};
	unsigned long nr;

	/* From nothing, and back to nothing. */
	check(!mem_attr_store_reserve(&update, GFP_KERNEL));
	check(!get(77));
	mem_attr_store_cancel(&update);
	check(xa_empty(&xa));
	check(!nr_nodes());

	set_bits(&xa, 0, 200, B, B);
	nr = nr_nodes();
	check(!mem_attr_store_reserve(&update, GFP_KERNEL));
	check(get(77) == B && get(199) == B && !get(200));
	mem_attr_store_cancel(&update);
	check(check_form(&xa, 200) == nr);
	check(nr_nodes() == nr);

	/* Including a tree that is but a single node of single gfns. */
	set_bits(&xa, 0, 200, B, 0);
	update.start = 0;
	update.end = 1;
	check(!mem_attr_store_reserve(&update, GFP_KERNEL));
	mem_attr_store_cancel(&update);
	check_form(&xa, 200);
}

/* A tree that is one value for all of it stays a tree. */
static void cancelling_growth(void)
{
	struct mem_attr_update update = {
		.xa = &xa, .start = 3, .end = BIT(30) + 3, .mask = A, .bits = A,
	};

	set_bits(&xa, 0, NODE * NODE, B, B);
	check(check_form(&xa, NODE * NODE) == 1);
	check(!mem_attr_store_reserve(&update, GFP_KERNEL));
	mem_attr_store_cancel(&update);
	check(check_form(&xa, NODE * NODE) == 1);
	check(get(0) == B && get(NODE * NODE - 1) == B && !get(NODE * NODE));
}

static void cancelling_first_gfn(void)
{
	struct mem_attr_update update = {
		.xa = &xa, .start = 0, .end = 1, .mask = A, .bits = A,
	};

	check(!mem_attr_store_reserve(&update, GFP_KERNEL));
	mem_attr_store_cancel(&update);
	check(xa_empty(&xa));
	check(!nr_nodes());
}

static void clearing_beyond_the_tree(void)
{
	set_bits(&xa, 3, 4, A, A);
	set_bits(&xa, BIT(40), BIT(41), A, 0);
	set_bits(&xa, 3, MEM_ATTR_STORE_END, A, 0);
	check(check_form(&xa, 4) == 1);
	check(!get(3));
}

static void bad_updates(void)
{
	static const struct mem_attr_update updates[] = {
		{ .start = 1, .end = 1, .mask = A, .bits = A },
		{ .start = 2, .end = 1, .mask = A, .bits = A },
		{ .start = 0, .end = MEM_ATTR_STORE_END + 1, .mask = A, .bits = A },
		{ .start = 0, .end = 1, .mask = A, .bits = B },
		{ .start = 0, .end = 1, .mask = BIT(63), .bits = BIT(63) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(updates); i++) {
		struct mem_attr_update update = updates[i];

		update.xa = &xa;
		check(mem_attr_store_reserve(&update, GFP_KERNEL) == -EINVAL);
		check(xa_empty(&xa));
	}
}

/* Every second gfn of some nodes, which is as bad as it can get. */
static void destroying_many_nodes(void)
{
	unsigned long gfn;

	for (gfn = 0; gfn < 4 * NODE * NODE * NODE; gfn += NODE / 2)
		set_bits(&xa, gfn, gfn + 1, A, A);
	check(nr_nodes() > 4 * NODE * NODE);
	mem_attr_store_destroy(&xa);
	check(!nr_nodes());
	mem_attr_store_init(&xa);
}

#define UNIT_TEST(name)	{ #name, name }

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	UNIT_TEST(empty),
	UNIT_TEST(single_gfns),
	UNIT_TEST(everything),
	UNIT_TEST(ranges_are_cheap),
	UNIT_TEST(neighbours_merge),
	UNIT_TEST(two_owners),
	UNIT_TEST(runs),
	UNIT_TEST(uniform_blocks),
	UNIT_TEST(growing),
	UNIT_TEST(cancelling),
	UNIT_TEST(cancelling_growth),
	UNIT_TEST(cancelling_first_gfn),
	UNIT_TEST(clearing_beyond_the_tree),
	UNIT_TEST(bad_updates),
	UNIT_TEST(destroying_many_nodes),
};

void unit_tests(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		mem_attr_store_init(&xa);
		tests[i].run();
		mem_attr_store_destroy(&xa);
		check(!nr_nodes());
		passed("unit.%s", tests[i].name);
	}
}
