// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the rules of memory attributes: lookups, who may set what, and
 * what is prepared, undone and invalidated.  The VM is but a struct kvm without
 * memslots, whose store some tests fill behind KVM's back.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/kvm_host.h>

#include "kvm_mm.h"
#include "mem_attr_store.h"
#include "mem_attributes.h"

#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE

/* A bit that isn't PRIVATE, and not userspace's. */
#define OTHER		BIT(40)

#define NR_RANGES	8

struct gfns {
	gfn_t start;
	gfn_t end;
};

/* What the architecture is asked to do, and when it is to refuse. */
static struct {
	struct gfns prepared[NR_RANGES];
	struct gfns undone[NR_RANGES];
	struct gfns committed[NR_RANGES];
	int nr_prepared;
	int nr_undone;
	int nr_committed;
	bool committed_late;
	int nr_until_failure;
} arch;

static int mem_attributes_init(struct kunit *test)
{
	struct kvm *kvm = kunit_kzalloc(test, sizeof(*kvm), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, kvm);
	mutex_init(&kvm->slots_lock);
	KVM_MMU_LOCK_INIT(kvm);
	for (i = 0; i < KVM_MAX_NR_ADDRESS_SPACES; i++)
		rcu_assign_pointer(kvm->memslots[i], &kvm->__memslots[i][0]);
	kvm_init_mem_attributes(kvm);
	kvm->arch.has_private_mem = true;
	test->priv = kvm;
	return 0;
}

static void mem_attributes_exit(struct kunit *test)
{
	struct kvm *kvm = test->priv;

	kvm_destroy_mem_attributes(kvm);
}

static void fill(struct kunit *test, gfn_t start, gfn_t end, unsigned long bits)
{
	struct kvm *kvm = test->priv;
	struct mem_attr_update update = {
		.xa = &kvm->mem_attr_array,
		.start = start,
		.end = end,
		.mask = MEM_ATTR_STORE_BITS,
		.bits = bits,
	};

	KUNIT_ASSERT_EQ(test, 0, mem_attr_store_reserve(&update, GFP_KERNEL));
	mem_attr_store_commit(&update);
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
	struct mem_attr_update update = {
		.xa = &kvm->mem_attr_array,
		.start = 100,
		.end = 200,
		.mask = PRIVATE,
		.bits = PRIVATE,
	};

	KUNIT_ASSERT_EQ(test, 0, mem_attr_store_reserve(&update, GFP_KERNEL));

	expect_range(test, true, 0, 300, PRIVATE, 0);
	expect_range(test, true, 150, 151, PRIVATE, 0);
	expect_range(test, false, 100, 200, PRIVATE, PRIVATE);
	mem_attr_store_cancel(&update);
}

static int set_user(struct kunit *test, gfn_t start, gfn_t end, u64 attributes)
{
	struct kvm_memory_attributes attrs = {
		.address = start << PAGE_SHIFT,
		.size = (end - start) << PAGE_SHIFT,
		.attributes = attributes,
	};

	return kvm_vm_ioctl_set_mem_attributes(test->priv, &attrs);
}

static int set_internal(struct kunit *test, gfn_t start, gfn_t end,
			unsigned long mask, unsigned long attrs)
{
	return kvm_set_internal_mem_attributes(test->priv, start, end, mask, attrs);
}

static void expect_all(struct kunit *test, gfn_t start, gfn_t end, unsigned long bits)
{
	struct kvm *kvm = test->priv;
	gfn_t gfn;

	for (gfn = start; gfn < end; gfn++) {
		KUNIT_EXPECT_EQ_MSG(test, bits, kvm_get_all_mem_attributes(kvm, gfn),
				    "gfn %llu", gfn);
		KUNIT_EXPECT_EQ_MSG(test, bits & PRIVATE, kvm_get_memory_attributes(kvm, gfn),
				    "gfn %llu", gfn);
	}
}

/* What either owner sets leaves the other's attributes as they are. */
static void owners_are_separate(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0, set_internal(test, 10, 20, OTHER, OTHER));
	KUNIT_EXPECT_EQ(test, 0, set_user(test, 0, 30, PRIVATE));
	expect_all(test, 0, 10, PRIVATE);
	expect_all(test, 10, 20, PRIVATE | OTHER);
	expect_all(test, 20, 30, PRIVATE);

	KUNIT_EXPECT_EQ(test, 0, set_internal(test, 15, 30, OTHER, 0));
	expect_all(test, 10, 15, PRIVATE | OTHER);
	expect_all(test, 15, 30, PRIVATE);

	KUNIT_EXPECT_EQ(test, 0, set_user(test, 0, 30, 0));
	expect_all(test, 0, 10, 0);
	expect_all(test, 10, 15, OTHER);
	expect_all(test, 15, 30, 0);
}

static void owners_are_enforced(struct kunit *test)
{
	gfn_t max_gfn = kvm_arch_max_mem_attributes_gfn(test->priv);

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL, set_internal(test, 0, 1, PRIVATE, PRIVATE));
		KUNIT_EXPECT_EQ(test, -EINVAL,
				set_internal(test, 0, 1, PRIVATE | OTHER, OTHER));
		KUNIT_EXPECT_EQ(test, -EINVAL, set_internal(test, 0, 1, OTHER, PRIVATE));
		KUNIT_EXPECT_EQ(test, -EINVAL, set_internal(test, 0, 1, 0, 0));
	}
	KUNIT_EXPECT_EQ(test, -EINVAL, set_user(test, 0, 1, OTHER));
	KUNIT_EXPECT_EQ(test, -EINVAL, set_internal(test, 1, 1, OTHER, OTHER));
	KUNIT_EXPECT_EQ(test, -EINVAL, set_internal(test, max_gfn, max_gfn + 2, OTHER, OTHER));
	KUNIT_EXPECT_TRUE(test, xa_empty(&((struct kvm *)test->priv)->mem_attr_array));
	KUNIT_EXPECT_EQ(test, 0, set_internal(test, max_gfn, max_gfn + 1, OTHER, OTHER));
}

static int fake_prepare(struct kvm *kvm, gfn_t start, gfn_t end,
			unsigned long mask, unsigned long attrs)
{
	if (arch.nr_until_failure == arch.nr_prepared)
		return -EAGAIN;

	if (arch.nr_prepared < NR_RANGES)
		arch.prepared[arch.nr_prepared] = (struct gfns){ start, end };
	arch.nr_prepared++;
	return 0;
}

static void fake_undo(struct kvm *kvm, gfn_t start, gfn_t end,
		      unsigned long mask, unsigned long attrs)
{
	if (arch.nr_undone < NR_RANGES)
		arch.undone[arch.nr_undone] = (struct gfns){ start, end };
	arch.nr_undone++;
}

/* Nobody maps anything meanwhile, and who looks finds the old attributes. */
static void fake_commit(struct kvm *kvm, gfn_t start, gfn_t end,
			unsigned long mask, unsigned long attrs)
{
	if (!kvm->mmu_invalidate_in_progress ||
	    (kvm_get_all_mem_attributes(kvm, start) & mask) == attrs)
		arch.committed_late = true;

	if (arch.nr_committed < NR_RANGES)
		arch.committed[arch.nr_committed] = (struct gfns){ start, end };
	arch.nr_committed++;
}

/* Let the architecture refuse the n-th range, 0 being the first, or none. */
static void fake_arch(struct kunit *test, int nr_until_failure)
{
	memset(&arch, 0, sizeof(arch));
	arch.nr_until_failure = nr_until_failure;
	kunit_activate_static_stub(test, kvm_prepare_mem_attr_range, fake_prepare);
	kunit_activate_static_stub(test, kvm_undo_mem_attr_range, fake_undo);
	kunit_activate_static_stub(test, kvm_commit_mem_attr_range, fake_commit);
}

static void expect_ranges(struct kunit *test, const struct gfns *wanted, int nr_wanted,
			  const struct gfns *found, int nr_found)
{
	int i;

	KUNIT_ASSERT_EQ(test, nr_wanted, nr_found);
	for (i = 0; i < nr_wanted; i++) {
		KUNIT_EXPECT_EQ(test, wanted[i].start, found[i].start);
		KUNIT_EXPECT_EQ(test, wanted[i].end, found[i].end);
	}
}

/* Wherever it fails: what was prepared is undone, and nothing has changed. */
static void prepare_fails_anywhere(struct kunit *test)
{
	static const struct gfns changes[] = {
		{ 5, 10 }, { 20, 30 }, { 40, 64 }, { 64, 70 }, { 4000, 5000 },
	};
	struct kvm *kvm = test->priv;
	unsigned long seq;
	int i;

	KUNIT_ASSERT_EQ(test, 0, set_user(test, 10, 20, PRIVATE));
	KUNIT_ASSERT_EQ(test, 0, set_user(test, 30, 40, PRIVATE));
	KUNIT_ASSERT_EQ(test, 0, set_user(test, 70, 4000, PRIVATE));
	/* A run of its own, though userspace's attributes are the same. */
	KUNIT_ASSERT_EQ(test, 0, set_internal(test, 64, 70, OTHER, OTHER));

	seq = kvm->mmu_invalidate_seq;
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		fake_arch(test, i);
		KUNIT_EXPECT_EQ(test, -EAGAIN, set_user(test, 5, 5000, PRIVATE));
		expect_ranges(test, changes, i, arch.prepared, arch.nr_prepared);
		expect_ranges(test, changes, i, arch.undone, arch.nr_undone);
		KUNIT_EXPECT_EQ(test, 0, arch.nr_committed);
		KUNIT_EXPECT_EQ(test, seq, kvm->mmu_invalidate_seq);
		expect_all(test, 5, 10, 0);
		expect_all(test, 10, 20, PRIVATE);
		expect_all(test, 20, 30, 0);
		expect_all(test, 64, 70, OTHER);
		expect_all(test, 4000, 5000, 0);
	}

	fake_arch(test, -1);
	KUNIT_EXPECT_EQ(test, 0, set_user(test, 5, 5000, PRIVATE));
	expect_ranges(test, changes, i, arch.prepared, arch.nr_prepared);
	expect_ranges(test, changes, i, arch.committed, arch.nr_committed);
	KUNIT_EXPECT_FALSE(test, arch.committed_late);
	KUNIT_EXPECT_EQ(test, 0, arch.nr_undone);
	KUNIT_EXPECT_EQ(test, seq + 1, kvm->mmu_invalidate_seq);
	expect_range(test, true, 5, 5000, PRIVATE, PRIVATE);
}

static void nothing_to_do(struct kunit *test)
{
	struct kvm *kvm = test->priv;
	unsigned long seq;

	KUNIT_ASSERT_EQ(test, 0, set_user(test, 10, 20, PRIVATE));
	seq = kvm->mmu_invalidate_seq;
	fake_arch(test, 0);
	KUNIT_EXPECT_EQ(test, 0, set_user(test, 10, 20, PRIVATE));
	KUNIT_EXPECT_EQ(test, 0, set_user(test, 12, 13, PRIVATE));
	KUNIT_EXPECT_EQ(test, 0, set_user(test, 20, 1000, 0));
	KUNIT_EXPECT_EQ(test, seq, kvm->mmu_invalidate_seq);
}

/* While gfns are being converted, to say the same of them again is news. */
static void converting_is_news(struct kunit *test)
{
	static const struct gfns converting = { 12, 15 };
	struct kvm *kvm = test->priv;
	unsigned long seq;

	KUNIT_ASSERT_EQ(test, 0, set_user(test, 10, 20, PRIVATE));
	KUNIT_ASSERT_EQ(test, 0, set_internal(test, 12, 15, KVM_MEM_ATTR_CONVERTING,
					      KVM_MEM_ATTR_CONVERTING));
	seq = kvm->mmu_invalidate_seq;

	fake_arch(test, -1);
	KUNIT_EXPECT_EQ(test, 0, set_user(test, 10, 20, PRIVATE));
	expect_ranges(test, &converting, 1, arch.prepared, arch.nr_prepared);
	expect_ranges(test, &converting, 1, arch.committed, arch.nr_committed);
	KUNIT_EXPECT_EQ(test, seq + 1, kvm->mmu_invalidate_seq);
	expect_all(test, 12, 15, PRIVATE | KVM_MEM_ATTR_CONVERTING);

	fake_arch(test, 0);
	KUNIT_EXPECT_EQ(test, -EAGAIN, set_user(test, 10, 20, PRIVATE));
	KUNIT_EXPECT_EQ(test, 0, set_internal(test, 10, 12, KVM_MEM_ATTR_CONVERTING, 0));
	KUNIT_EXPECT_EQ(test, seq + 1, kvm->mmu_invalidate_seq);
}

static void expect_invalidated(struct kunit *test, gfn_t start, gfn_t end)
{
	struct kvm *kvm = test->priv;

	KUNIT_EXPECT_EQ(test, 0, kvm->mmu_invalidate_in_progress);
	KUNIT_EXPECT_EQ(test, start, kvm->mmu_invalidate_range_start);
	KUNIT_EXPECT_EQ(test, end, kvm->mmu_invalidate_range_end);
}

#ifdef CONFIG_X86
/* The hugepages that were possible at both ends, and no more than changes. */
static void invalidation_is_widened(struct kunit *test)
{
	gfn_t nr_1g = KVM_PAGES_PER_HPAGE(PG_LEVEL_1G);
	gfn_t nr_2m = KVM_PAGES_PER_HPAGE(PG_LEVEL_2M);
	struct kvm *kvm = test->priv;

	KUNIT_ASSERT_EQ(test, 0, set_user(test, nr_1g + 700, nr_1g + 701, PRIVATE));
	expect_invalidated(test, nr_1g, 2 * nr_1g);

	/* The 1G block isn't uniform any more, and one of its 2M blocks neither. */
	KUNIT_ASSERT_EQ(test, 0, set_user(test, nr_1g + 710, nr_1g + 720, PRIVATE));
	expect_invalidated(test, nr_1g + 710, nr_1g + 720);
	KUNIT_ASSERT_EQ(test, 0, set_user(test, nr_1g + 5, nr_1g + 720, PRIVATE));
	expect_invalidated(test, nr_1g, nr_1g + 710);
	KUNIT_ASSERT_EQ(test, 0, set_user(test, nr_1g + 720, nr_1g + 2 * nr_2m + 1, PRIVATE));
	expect_invalidated(test, nr_1g + 720, nr_1g + 3 * nr_2m);

	/* Without an SPTE, there's nothing to flush. */
	KUNIT_EXPECT_EQ(test, 0, kvm->stat.generic.remote_tlb_flush_requests);
}
#endif

static struct kunit_case mem_attributes_cases[] = {
	KUNIT_CASE(range_empty),
	KUNIT_CASE(range_private),
	KUNIT_CASE(range_masked),
	KUNIT_CASE(range_reserved),
	KUNIT_CASE(owners_are_separate),
	KUNIT_CASE(owners_are_enforced),
	KUNIT_CASE(prepare_fails_anywhere),
	KUNIT_CASE(nothing_to_do),
	KUNIT_CASE(converting_is_news),
#ifdef CONFIG_X86
	KUNIT_CASE(invalidation_is_widened),
#endif
	{}
};

static struct kunit_suite mem_attributes_suite = {
	.name = "kvm_mem_attributes",
	.init = mem_attributes_init,
	.exit = mem_attributes_exit,
	.test_cases = mem_attributes_cases,
};

kunit_test_suite(mem_attributes_suite);
