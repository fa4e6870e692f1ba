// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of conversions that a host refuses, at any granule, once or for good. */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/arm-smccc.h>
#include <linux/sizes.h>

#include "convert.h"

#define BASE		SZ_2G
#define NR_GRANULES	6

/* How many granules the hypervisor takes at a time, and how the host refuses them. */
struct mode {
	const char *name;
	bool knows_counts;
	/* It does no more at a time. */
	size_t max;
	/* The host refuses all for one, or else it agrees to those before that one. */
	bool all_or_nothing;
};

/* What the hypervisor has, and which granule the host refuses to have converted. */
struct host {
	const struct mode *mode;
	struct pkvm_memory mem;
	bool shared[NR_GRANULES];
	int nr_calls;
	int refused_share;
	int refused_unshare;
	bool for_good;
	long refusal;
	/* It says that it has done more than was asked for. */
	bool boasts;
	/* What it has refused last, as the driver has put it. */
	phys_addr_t refused_phys;
	size_t refused_nr;
	bool refused_was_share;
};

/* As many granules as there aren't. */
#define NEVER		1000

static bool refuses(const struct host *host, int i, bool share)
{
	int refused = share ? host->refused_share : host->refused_unshare;

	/* It isn't asked for what is so. */
	if (host->shared[i] == share)
		return false;

	return host->for_good ? i >= refused : i == refused;
}

/* How many granules the host agrees to. */
static size_t agree(const struct host *host, int first, size_t nr, bool share)
{
	size_t i;

	nr = min(nr, host->mode->max);
	for (i = 0; i < nr; i++) {
		if (refuses(host, first + i, share))
			return host->mode->all_or_nothing ? 0 : i;
	}
	return nr;
}

static void fake_convert_call(phys_addr_t phys, size_t nr, bool share, struct arm_smccc_res *res)
{
	struct kunit *test = kunit_get_current_test();
	struct host *host = test->priv;
	int first = (phys - BASE) / SZ_4K;
	size_t i, agreed;

	host->nr_calls++;
	KUNIT_ASSERT_EQ(test, host->mode->knows_counts, nr > 0);
	KUNIT_ASSERT_GE(test, phys, BASE);
	KUNIT_ASSERT_EQ(test, phys, BASE + first * SZ_4K);
	KUNIT_ASSERT_LE(test, first + max(nr, 1UL), NR_GRANULES);
	/* Nothing is asked for that is so, unless that can't be known. */
	for (i = 0; i < max(nr, 1UL) && !host->mem.is_mixed; i++)
		KUNIT_EXPECT_EQ(test, host->shared[first + i], !share);

	/* Nor what was refused just now. */
	if (phys == host->refused_phys && nr == host->refused_nr)
		KUNIT_EXPECT_NE(test, share, host->refused_was_share);

	agreed = agree(host, first, max(nr, 1UL), share);
	host->refused_phys = agreed ? 0 : phys;
	host->refused_nr = nr;
	host->refused_was_share = share;
	for (i = 0; i < agreed; i++)
		host->shared[first + i] = share;
	res->a0 = agreed ? SMCCC_RET_SUCCESS : host->refusal;
	res->a1 = host->boasts ? NEVER : agreed;
}

static const struct mode modes[] = {
	{ "no counts", false, 1 },
	{ "one at a time", true, 1 },
	{ "two at a time", true, 2 },
	{ "all at a time", true, NR_GRANULES },
	{ "two at a time or none", true, 2, true },
	{ "all or none", true, NR_GRANULES, true },
};

KUNIT_ARRAY_PARAM_DESC(mode, modes, name);

static int convert_init(struct kunit *test)
{
	struct host *host = kunit_kzalloc(test, sizeof(*host), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, host);
	host->mode = test->param_value;
	host->refused_share = NEVER;
	host->refused_unshare = NEVER;
	host->refusal = SMCCC_RET_INVALID_PARAMETER;
	test->priv = host;
	kunit_activate_static_stub(test, pkvm_convert_call, fake_convert_call);
	return 0;
}

static void start_as(struct host *host, bool shared)
{
	int i;

	host->mem.is_mixed = false;
	host->nr_calls = 0;
	host->refused_phys = 0;
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

static int convert_part(struct host *host, int first, int nr, bool share)
{
	host->mem.granule = SZ_4K;
	host->mem.knows_counts = host->mode->knows_counts;
	return pkvm_convert_range(&host->mem, BASE + first * SZ_4K, nr * SZ_4K, share);
}

static int convert_all(struct host *host, bool share)
{
	return convert_part(host, 0, NR_GRANULES, share);
}

static void test_agreed(struct kunit *test)
{
	struct host *host = test->priv;
	int nr_calls = NR_GRANULES / host->mode->max;

	KUNIT_EXPECT_EQ(test, 0, convert_all(host, true));
	KUNIT_EXPECT_EQ(test, NR_GRANULES, nr_shared(host));
	KUNIT_EXPECT_EQ(test, nr_calls, host->nr_calls);
	KUNIT_EXPECT_EQ(test, 0, convert_all(host, false));
	KUNIT_EXPECT_EQ(test, 0, nr_shared(host));
	KUNIT_EXPECT_EQ(test, 2 * nr_calls, host->nr_calls);
}

static void test_part(struct kunit *test)
{
	struct host *host = test->priv;

	KUNIT_EXPECT_EQ(test, 0, convert_part(host, 1, 2, true));
	KUNIT_EXPECT_EQ(test, 2, nr_shared(host));
	KUNIT_EXPECT_TRUE(test, host->shared[1]);
	KUNIT_EXPECT_TRUE(test, host->shared[2]);
}

/* Nothing is shared in the end. */
static void test_share_refused(struct kunit *test)
{
	struct host *host = test->priv;

	for (host->refused_share = 0; host->refused_share < NR_GRANULES; host->refused_share++) {
		start_as(host, false);
		KUNIT_EXPECT_EQ(test, -EPERM, convert_all(host, true));
		KUNIT_EXPECT_EQ(test, 0, nr_shared(host));
	}
}

static void test_unshare_refused(struct kunit *test)
{
	struct host *host = test->priv;
	int k;

	for (k = 0; k < NR_GRANULES; k++) {
		start_as(host, true);
		host->refused_unshare = k;
		KUNIT_EXPECT_EQ(test, -EPERM, convert_all(host, false));
		KUNIT_EXPECT_EQ(test, NR_GRANULES, nr_shared(host));
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
			KUNIT_EXPECT_EQ(test, -EPERM, convert_all(host, true));
			/* If all were refused for one, then it may be that none was shared. */
			if (!nr_shared(host) && host->mode->all_or_nothing)
				continue;
			KUNIT_EXPECT_EQ(test, 1, nr_shared(host));
			KUNIT_EXPECT_TRUE(test, host->shared[j]);

			/* To try again doesn't share those that are private. */
			host->refused_phys = 0;
			KUNIT_EXPECT_EQ(test, -EPERM, convert_all(host, false));
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
	KUNIT_EXPECT_EQ(test, -EPERM, convert_all(host, true));
	KUNIT_EXPECT_EQ(test, host->mode->all_or_nothing && host->mode->max > 2 ? 0 : 3,
			nr_shared(host));
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
		KUNIT_EXPECT_EQ(test, -EPERM, convert_all(host, true));
		KUNIT_EXPECT_EQ(test, 0, nr_shared(host));
	}
}

/* Nothing is done, and that's called a success: not what goes on for ever. */
static void test_success_of_nothing(struct kunit *test)
{
	struct host *host = test->priv;

	host->mode = &(struct mode) { .knows_counts = true, .max = 2 };
	host->refused_share = 2;
	host->refusal = SMCCC_RET_SUCCESS;
	KUNIT_EXPECT_EQ(test, -EPERM, convert_all(host, true));
	KUNIT_EXPECT_EQ(test, 0, nr_shared(host));
}

/* What it has done is taken for what was asked for at most, and it isn't counted if it can't. */
static void test_boasts(struct kunit *test)
{
	struct host *host = test->priv;

	host->boasts = true;
	KUNIT_EXPECT_EQ(test, 0, convert_part(host, 1, 1, true));
	KUNIT_EXPECT_EQ(test, 1, nr_shared(host));
	host->refused_share = 3;
	KUNIT_EXPECT_EQ(test, -EPERM, convert_part(host, 3, 1, true));
	if (!host->mode->knows_counts)
		KUNIT_EXPECT_EQ(test, -EPERM, convert_part(host, 2, 2, true));
	KUNIT_EXPECT_EQ(test, 1, nr_shared(host));
}

static struct kunit_case convert_cases[] = {
	KUNIT_CASE_PARAM(test_agreed, mode_gen_params),
	KUNIT_CASE_PARAM(test_part, mode_gen_params),
	KUNIT_CASE_PARAM(test_share_refused, mode_gen_params),
	KUNIT_CASE_PARAM(test_unshare_refused, mode_gen_params),
	KUNIT_CASE_PARAM(test_undo_refused, mode_gen_params),
	KUNIT_CASE_PARAM(test_all_refused, mode_gen_params),
	KUNIT_CASE_PARAM(test_other_refusals, mode_gen_params),
	KUNIT_CASE(test_success_of_nothing),
	KUNIT_CASE_PARAM(test_boasts, mode_gen_params),
	{}
};

static struct kunit_suite convert_suite = {
	.name = "pkvm_guest_convert",
	.init = convert_init,
	.test_cases = convert_cases,
};

kunit_test_suite(convert_suite);
