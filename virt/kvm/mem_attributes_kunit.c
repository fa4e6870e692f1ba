// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of memory attribute lookups.  The VM is but a struct kvm with an
 * empty store, which the tests fill behind KVM's back.
 */
#include <kunit/test.h>
#include <linux/kvm_host.h>

#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE

/* A bit that isn't PRIVATE and no attribute of today's uAPI. */
#define OTHER		BIT(40)

static int mem_attributes_init(struct kunit *test)
{
	struct kvm *kvm = kunit_kzalloc(test, sizeof(*kvm), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, kvm);
	xa_init(&kvm->mem_attr_array);
	kvm->arch.has_private_mem = true;
	test->priv = kvm;
	return 0;
}

static void mem_attributes_exit(struct kunit *test)
{
	struct kvm *kvm = test->priv;

	xa_destroy(&kvm->mem_attr_array);
}

static void fill(struct kunit *test, gfn_t start, gfn_t end, unsigned long bits)
{
	struct kvm *kvm = test->priv;
	gfn_t gfn;

	for (gfn = start; gfn < end; gfn++)
		KUNIT_ASSERT_EQ(test, 0, xa_err(xa_store(&kvm->mem_attr_array, gfn,
							 xa_mk_value(bits), GFP_KERNEL)));
}

static void expect_range(struct kunit *test, bool wanted, gfn_t start, gfn_t end,
			 unsigned long mask, unsigned long attrs)
{
	KUNIT_EXPECT_EQ_MSG(test, wanted,
			    kvm_range_has_memory_attributes(test->priv, start, end, mask, attrs),
			    "[%llu, %llu) mask %#lx attrs %#lx", start, end, mask, attrs);
}

static void range_empty(struct kunit *test)
{
	expect_range(test, true, 0, 1, PRIVATE, 0);
	expect_range(test, true, 0, 1000, PRIVATE, 0);
	expect_range(test, true, 0, 1000, ~0ul, 0);
	expect_range(test, false, 0, 1, PRIVATE, PRIVATE);
	expect_range(test, false, 0, 1000, PRIVATE, PRIVATE);
}

static void range_private(struct kunit *test)
{
	fill(test, 100, 200, PRIVATE);

	expect_range(test, true, 100, 200, PRIVATE, PRIVATE);
	expect_range(test, true, 150, 151, PRIVATE, PRIVATE);
	expect_range(test, false, 99, 200, PRIVATE, PRIVATE);
	expect_range(test, false, 100, 201, PRIVATE, PRIVATE);
	expect_range(test, true, 0, 100, PRIVATE, 0);
	expect_range(test, false, 0, 101, PRIVATE, 0);
	expect_range(test, false, 199, 300, PRIVATE, 0);
	expect_range(test, true, 200, 300, PRIVATE, 0);
}

/* Bits that weren't asked for don't count, wherever their entries are. */
static void range_masked(struct kunit *test)
{
	fill(test, 100, 200, OTHER);
	fill(test, 200, 300, OTHER | PRIVATE);

	expect_range(test, true, 100, 200, PRIVATE, 0);
	expect_range(test, true, 50, 200, PRIVATE, 0);
	expect_range(test, true, 0, 101, PRIVATE, 0);
	expect_range(test, false, 50, 201, PRIVATE, 0);
	expect_range(test, true, 200, 300, PRIVATE, PRIVATE);
	expect_range(test, false, 199, 300, PRIVATE, PRIVATE);
}

/* What is reserved, but not stored, has no attributes. */
static void range_reserved(struct kunit *test)
{
	struct kvm *kvm = test->priv;
	gfn_t gfn;

	for (gfn = 100; gfn < 200; gfn++)
		KUNIT_ASSERT_EQ(test, 0, xa_reserve(&kvm->mem_attr_array, gfn, GFP_KERNEL));

	expect_range(test, true, 0, 300, PRIVATE, 0);
	expect_range(test, true, 150, 151, PRIVATE, 0);
	expect_range(test, false, 100, 200, PRIVATE, PRIVATE);
}

static struct kunit_case mem_attributes_cases[] = {
	KUNIT_CASE(range_empty),
	KUNIT_CASE(range_private),
	KUNIT_CASE(range_masked),
	KUNIT_CASE(range_reserved),
	{}
};

static struct kunit_suite mem_attributes_suite = {
	.name = "kvm_mem_attributes",
	.init = mem_attributes_init,
	.exit = mem_attributes_exit,
	.test_cases = mem_attributes_cases,
};

kunit_test_suite(mem_attributes_suite);
