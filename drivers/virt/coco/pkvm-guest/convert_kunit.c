// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of conversions that a host refuses, at any granule, once or for good. */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/arm-smccc.h>
#include <linux/sizes.h>

#include "convert.h"

#define BASE		SZ_2G
#define NR_GRANULES	6

/* What the hypervisor has, and when the host refuses: which call, of which direction. */
struct host {
	bool shared[NR_GRANULES];
	int nr_shares;
	int nr_unshares;
	int refused_share;
	int refused_unshare;
	bool for_good;
	long refusal;
};

/* As many calls as there can't be. */
#define NEVER		1000

static bool refuses(const struct host *host, int nr, int refused)
{
	return host->for_good ? nr >= refused : nr == refused;
}

static unsigned long fake_convert_granule(phys_addr_t phys, bool share)
{
	struct kunit *test = kunit_get_current_test();
	struct host *host = test->priv;
	int i = (phys - BASE) / SZ_4K;
	bool refused;

	KUNIT_ASSERT_GE(test, phys, BASE);
	KUNIT_ASSERT_EQ(test, phys, BASE + i * SZ_4K);
	KUNIT_ASSERT_LT(test, i, NR_GRANULES);

	refused = share ? refuses(host, host->nr_shares++, host->refused_share) :
			  refuses(host, host->nr_unshares++, host->refused_unshare);
	if (refused)
		return host->refusal;

	host->shared[i] = share;
	return SMCCC_RET_SUCCESS;
}

static int convert_init(struct kunit *test)
{
	struct host *host = kunit_kzalloc(test, sizeof(*host), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, host);
	host->refused_share = NEVER;
	host->refused_unshare = NEVER;
	host->refusal = SMCCC_RET_INVALID_PARAMETER;
	test->priv = host;
	kunit_activate_static_stub(test, pkvm_convert_granule, fake_convert_granule);
	return 0;
}

static void start_as(struct host *host, bool shared)
{
	int i;

	host->nr_shares = 0;
	host->nr_unshares = 0;
	for (i = 0; i < NR_GRANULES; i++)
		host->shared[i] = shared;
}

static int nr_shared(const struct host *host)
{
	int i, nr = 0;

	for (i = 0; i < NR_GRANULES; i++)
		nr += host->shared[i];
	return nr;
}

static int convert_all(bool share)
{
	return pkvm_convert_range(BASE, NR_GRANULES * SZ_4K, SZ_4K, share);
}

static void test_agreed(struct kunit *test)
{
	struct host *host = test->priv;

	KUNIT_EXPECT_EQ(test, 0, convert_all(true));
	KUNIT_EXPECT_EQ(test, NR_GRANULES, nr_shared(host));
	KUNIT_EXPECT_EQ(test, 0, convert_all(false));
	KUNIT_EXPECT_EQ(test, 0, nr_shared(host));
	KUNIT_EXPECT_EQ(test, NR_GRANULES, host->nr_shares);
	KUNIT_EXPECT_EQ(test, NR_GRANULES, host->nr_unshares);
}

static void test_part(struct kunit *test)
{
	struct host *host = test->priv;

	KUNIT_EXPECT_EQ(test, 0, pkvm_convert_range(BASE + SZ_4K, 2 * SZ_4K, SZ_4K, true));
	KUNIT_EXPECT_EQ(test, 2, nr_shared(host));
	KUNIT_EXPECT_TRUE(test, host->shared[1]);
	KUNIT_EXPECT_TRUE(test, host->shared[2]);
}

/* Nothing is shared in the end, and no granule was asked back that wasn't shared. */
static void test_share_refused(struct kunit *test)
{
	struct host *host = test->priv;

	for (host->refused_share = 0; host->refused_share < NR_GRANULES; host->refused_share++) {
		start_as(host, false);
		KUNIT_EXPECT_EQ(test, -EPERM, convert_all(true));
		KUNIT_EXPECT_EQ(test, 0, nr_shared(host));
		KUNIT_EXPECT_EQ(test, host->refused_share, host->nr_unshares);
	}
}

static void test_unshare_refused(struct kunit *test)
{
	struct host *host = test->priv;
	int k;

	for (k = 0; k < NR_GRANULES; k++) {
		start_as(host, true);
		host->refused_unshare = k;
		KUNIT_EXPECT_EQ(test, -EPERM, convert_all(false));
		KUNIT_EXPECT_EQ(test, NR_GRANULES, nr_shared(host));
		KUNIT_EXPECT_EQ(test, k, host->nr_shares);
	}
}

/* One that stays shared is no reason to leave the others so; it's an error in any case. */
static void test_undo_refused(struct kunit *test)
{
	struct host *host = test->priv;
	int k, j;

	for (k = 1; k < NR_GRANULES; k++) {
		for (j = 0; j < k; j++) {
			start_as(host, false);
			host->refused_share = k;
			host->refused_unshare = j;
			KUNIT_EXPECT_EQ(test, -EPERM, convert_all(true));
			KUNIT_EXPECT_EQ(test, 1, nr_shared(host));
			KUNIT_EXPECT_TRUE(test, host->shared[j]);
		}
	}
}

static void test_all_refused(struct kunit *test)
{
	struct host *host = test->priv;

	host->for_good = true;
	host->refused_share = 4;
	host->refused_unshare = 1;
	KUNIT_EXPECT_EQ(test, -EPERM, convert_all(true));
	KUNIT_EXPECT_EQ(test, 3, nr_shared(host));
	KUNIT_EXPECT_FALSE(test, host->shared[0]);
}

/* Whatever is said but SUCCESS. */
static void test_other_refusals(struct kunit *test)
{
	static const long refusals[] = { SMCCC_RET_NOT_SUPPORTED, SMCCC_RET_NOT_REQUIRED, 1 };
	struct host *host = test->priv;
	int i;

	host->refused_share = 2;
	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		start_as(host, false);
		host->refusal = refusals[i];
		KUNIT_EXPECT_EQ(test, -EPERM, convert_all(true));
		KUNIT_EXPECT_EQ(test, 0, nr_shared(host));
	}
}

static struct kunit_case convert_cases[] = {
	KUNIT_CASE(test_agreed),
	KUNIT_CASE(test_part),
	KUNIT_CASE(test_share_refused),
	KUNIT_CASE(test_unshare_refused),
	KUNIT_CASE(test_undo_refused),
	KUNIT_CASE(test_all_refused),
	KUNIT_CASE(test_other_refusals),
	{}
};

static struct kunit_suite convert_suite = {
	.name = "pkvm_guest_convert",
	.init = convert_init,
	.test_cases = convert_cases,
};

kunit_test_suite(convert_suite);
