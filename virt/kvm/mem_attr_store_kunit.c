// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the store of memory attributes, on the node size and the
 * allocator that this kernel has.  tools/testing/kvm-mem-attrs tests more.
 */
#include <kunit/test.h>
#include <linux/slab.h>

#include "mem_attr_store.h"

#define A	BIT(0)
#define B	BIT(40)
#define LAST	(MEM_ATTR_STORE_END - 1)
#define NODE	XA_CHUNK_SIZE

static int store_init(struct kunit *test)
{
	struct xarray *xa = kunit_kzalloc(test, sizeof(*xa), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, xa);
	mem_attr_store_init(xa);
	test->priv = xa;
	return 0;
}

static void store_exit(struct kunit *test)
{
	mem_attr_store_destroy(test->priv);
}

static void set_bits(struct kunit *test, unsigned long start, unsigned long end,
		     unsigned long mask, unsigned long bits)
{
	struct mem_attr_update update = {
		.xa = test->priv, .start = start, .end = end, .mask = mask, .bits = bits,
	};

	KUNIT_ASSERT_EQ(test, 0, mem_attr_store_reserve(&update, GFP_KERNEL));
	mem_attr_store_commit(&update);
}

static void expect_gfn(struct kunit *test, unsigned long gfn, unsigned long bits)
{
	KUNIT_EXPECT_EQ_MSG(test, bits, xa_to_value(xa_load(test->priv, gfn)),
			    "gfn %#lx", gfn);
}

static void expect_order(struct kunit *test, unsigned long gfn, unsigned int wanted)
{
	unsigned int order;

	mem_attr_store_lookup(test->priv, gfn, &order);
	KUNIT_EXPECT_EQ_MSG(test, wanted, order, "gfn %#lx", gfn);
}

static void store_single_gfns(struct kunit *test)
{
	static const unsigned long gfns[] = { 0, NODE - 1, NODE * NODE, BIT(33) + 7, LAST };
	int i;

	for (i = 0; i < ARRAY_SIZE(gfns); i++) {
		set_bits(test, gfns[i], gfns[i] + 1, A, A);
		expect_gfn(test, gfns[i], A);
		expect_gfn(test, gfns[i] ^ 1, 0);
		expect_order(test, gfns[i], 0);
	}
	for (i = 0; i < ARRAY_SIZE(gfns); i++)
		expect_gfn(test, gfns[i], A);
}

static void store_ranges(struct kunit *test)
{
	struct mem_attr_run run;

	set_bits(test, 100, BIT(28), A, A);
	expect_gfn(test, 99, 0);
	expect_gfn(test, 100, A);
	expect_gfn(test, BIT(28) - 1, A);
	expect_gfn(test, BIT(28), 0);

	mem_attr_store_run(test->priv, 0, BIT(30), &run);
	KUNIT_EXPECT_EQ(test, 0, run.bits);
	KUNIT_EXPECT_EQ(test, 100, run.end);
	mem_attr_store_run(test->priv, 100, BIT(30), &run);
	KUNIT_EXPECT_EQ(test, A, run.bits);
	KUNIT_EXPECT_EQ(test, BIT(28), run.end);

	/* 2M and 1G, of which the first have a part of the boundary. */
	KUNIT_EXPECT_FALSE(test, mem_attr_store_uniform(test->priv, 0, 9));
	KUNIT_EXPECT_TRUE(test, mem_attr_store_uniform(test->priv, BIT(9), 9));
	KUNIT_EXPECT_FALSE(test, mem_attr_store_uniform(test->priv, 0, 18));
	KUNIT_EXPECT_TRUE(test, mem_attr_store_uniform(test->priv, BIT(18), 18));
	KUNIT_EXPECT_TRUE(test, mem_attr_store_uniform(test->priv, BIT(40), 18));
}

/* Entries are as large as their alignment allows, whatever came first. */
static void store_merges(struct kunit *test)
{
	unsigned long gfn;

	set_bits(test, 0, NODE * NODE * NODE, A, A);
	expect_order(test, 5, 2 * XA_CHUNK_SHIFT);
	set_bits(test, 5, 6, A, 0);
	expect_order(test, 5, 0);
	expect_order(test, NODE, XA_CHUNK_SHIFT);
	set_bits(test, 5, 6, A, A);
	expect_order(test, 5, 2 * XA_CHUNK_SHIFT);

	for (gfn = 0; gfn < NODE * NODE; gfn += 2)
		set_bits(test, gfn, gfn + 1, B, B);
	for (gfn = NODE * NODE - 1; gfn < NODE * NODE; gfn -= 2)
		set_bits(test, gfn, gfn + 1, B, B);
	expect_order(test, 0, 2 * XA_CHUNK_SHIFT);
	expect_gfn(test, 0, A | B);
	expect_gfn(test, NODE * NODE, A);
}

/* What one owner writes leaves the other's bits alone. */
static void store_masks(struct kunit *test)
{
	set_bits(test, 10, 20, A, A);
	set_bits(test, 15, 25, B, B);
	set_bits(test, 0, 1000, A, 0);
	expect_gfn(test, 10, 0);
	expect_gfn(test, 15, B);
	set_bits(test, 0, 1000, A, A);
	expect_gfn(test, 14, A);
	expect_gfn(test, 15, A | B);
	expect_gfn(test, 24, A | B);
	expect_gfn(test, 25, A);
}

static void store_cancels(struct kunit *test)
{
	struct mem_attr_update update = {
		.xa = test->priv, .start = 77, .end = BIT(30) + 3, .mask = A, .bits = A,
	};

	KUNIT_ASSERT_EQ(test, 0, mem_attr_store_reserve(&update, GFP_KERNEL));
	mem_attr_store_cancel(&update);
	KUNIT_EXPECT_TRUE(test, xa_empty(test->priv));

	set_bits(test, 0, NODE * NODE, B, B);
	KUNIT_ASSERT_EQ(test, 0, mem_attr_store_reserve(&update, GFP_KERNEL));
	expect_order(test, 77, 0);
	expect_gfn(test, 77, B);
	mem_attr_store_cancel(&update);
	expect_order(test, 77, XA_CHUNK_SHIFT);
	expect_gfn(test, 77, B);
}

/* Many nodes, for the console to tell what freeing them does. */
static void store_is_destroyed(struct kunit *test)
{
	unsigned long gfn;

	for (gfn = 0; gfn < NODE * NODE * NODE; gfn += NODE)
		set_bits(test, gfn, gfn + 1, A, A);
	mem_attr_store_destroy(test->priv);
	KUNIT_EXPECT_TRUE(test, xa_empty((struct xarray *)test->priv));
}

static struct kunit_case store_cases[] = {
	KUNIT_CASE(store_single_gfns),
	KUNIT_CASE(store_ranges),
	KUNIT_CASE(store_merges),
	KUNIT_CASE(store_masks),
	KUNIT_CASE(store_cancels),
	KUNIT_CASE(store_is_destroyed),
	{}
};

static struct kunit_suite store_suite = {
	.name = "kvm_mem_attr_store",
	.init = store_init,
	.exit = store_exit,
	.test_cases = store_cases,
};

kunit_test_suite(store_suite);
