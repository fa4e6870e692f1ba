// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of how a guest's view is read: every source with every view,
 * attribute, and kind of error code, against a table; and the way back, from a
 * view to the access that tells it.
 */
#include <kunit/test.h>
#include <linux/kvm_host.h>

#include "view.h"

#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE
#define TRACKED_SHARED	KVM_MEM_ATTR_VIEW_KNOWN
#define TRACKED_PRIVATE	(KVM_MEM_ATTR_VIEW_KNOWN | KVM_MEM_ATTR_VIEW_PRIVATE)

/* An attribute that userspace may have some day, and one that KVM may have. */
#define OTHER		(BIT_ULL(0) | BIT_ULL(60))

#define ENC		PFERR_GUEST_ENC_MASK

#define SHARED_BIT	BIT_ULL(47)
#define GPA		0x12345678ull
#define SHARED_GPA	(GPA | SHARED_BIT)

/* What an error code may have besides, which says nothing of the view. */
static const u64 error_codes[] = {
	0,
	PFERR_PRESENT_MASK,
	PFERR_WRITE_MASK | PFERR_USER_MASK,
	PFERR_FETCH_MASK | PFERR_GUEST_FINAL_MASK,
	/* MMIO */
	PFERR_PRESENT_MASK | PFERR_RSVD_MASK,
	PFERR_GUEST_RMP_MASK | PFERR_GUEST_SIZEM_MASK | PFERR_GUEST_VMPL_MASK,
	PFERR_IMPLICIT_ACCESS,
};

struct view_case {
	const char *what;
	enum kvm_view_source source;
	gpa_t gpa;
	u64 error_code;
	unsigned long attrs;
	bool is_private;
	enum kvm_view_verdict verdict;
};

static const struct view_case view_cases[] = {
	{ "none", KVM_VIEW_NONE, GPA, 0, 0, false, KVM_VIEW_AGREES },
	{ "none, encrypted", KVM_VIEW_NONE, GPA, ENC, 0, false, KVM_VIEW_AGREES },

	{ "gpa private, attribute private",
	  KVM_VIEW_GPA_BIT, GPA, 0, PRIVATE, true, KVM_VIEW_AGREES },
	{ "gpa private, attribute shared",
	  KVM_VIEW_GPA_BIT, GPA, 0, 0, true, KVM_VIEW_DISAGREES },
	{ "gpa shared, attribute private",
	  KVM_VIEW_GPA_BIT, SHARED_GPA, 0, PRIVATE, false, KVM_VIEW_DISAGREES },
	{ "gpa shared, attribute shared",
	  KVM_VIEW_GPA_BIT, SHARED_GPA, 0, 0, false, KVM_VIEW_AGREES },
	{ "gpa shared, encrypted",
	  KVM_VIEW_GPA_BIT, SHARED_GPA, ENC, 0, false, KVM_VIEW_AGREES },

	{ "encrypted, attribute private",
	  KVM_VIEW_ENC_BIT, GPA, ENC, PRIVATE, true, KVM_VIEW_AGREES },
	{ "encrypted, attribute shared",
	  KVM_VIEW_ENC_BIT, GPA, ENC, 0, true, KVM_VIEW_DISAGREES },
	{ "not encrypted, attribute private",
	  KVM_VIEW_ENC_BIT, GPA, 0, PRIVATE, false, KVM_VIEW_DISAGREES },
	{ "not encrypted, attribute shared",
	  KVM_VIEW_ENC_BIT, GPA, 0, 0, false, KVM_VIEW_AGREES },

	{ "attribute private",
	  KVM_VIEW_ATTRIBUTE, GPA, 0, PRIVATE, true, KVM_VIEW_AGREES },
	{ "attribute shared",
	  KVM_VIEW_ATTRIBUTE, GPA, 0, 0, false, KVM_VIEW_AGREES },
	{ "attribute private, encrypted",
	  KVM_VIEW_ATTRIBUTE, GPA, ENC, PRIVATE, true, KVM_VIEW_AGREES },
	{ "attribute shared, encrypted",
	  KVM_VIEW_ATTRIBUTE, GPA, ENC, 0, false, KVM_VIEW_AGREES },

	/* Until the guest has spoken, its view follows the attribute. */
	{ "unknown, attribute private",
	  KVM_VIEW_TRACKED, GPA, 0, PRIVATE, true, KVM_VIEW_AGREES },
	{ "unknown, attribute shared",
	  KVM_VIEW_TRACKED, GPA, 0, 0, false, KVM_VIEW_AGREES },
	{ "tracked private, attribute private",
	  KVM_VIEW_TRACKED, GPA, 0, TRACKED_PRIVATE | PRIVATE, true, KVM_VIEW_AGREES },
	{ "tracked private, attribute shared",
	  KVM_VIEW_TRACKED, GPA, 0, TRACKED_PRIVATE, true, KVM_VIEW_DISAGREES },
	{ "tracked shared, attribute private",
	  KVM_VIEW_TRACKED, GPA, 0, TRACKED_SHARED | PRIVATE, false, KVM_VIEW_DISAGREES },
	{ "tracked shared, attribute shared",
	  KVM_VIEW_TRACKED, GPA, 0, TRACKED_SHARED, false, KVM_VIEW_AGREES },
	{ "tracked shared, encrypted",
	  KVM_VIEW_TRACKED, GPA, ENC, TRACKED_SHARED, false, KVM_VIEW_AGREES },
	/* What is tracked is of no interest to others. */
	{ "tracked shared, attribute private, which counts",
	  KVM_VIEW_ATTRIBUTE, GPA, 0, TRACKED_SHARED | PRIVATE, true, KVM_VIEW_AGREES },
	{ "tracked shared, encrypted, which counts",
	  KVM_VIEW_ENC_BIT, GPA, ENC, TRACKED_SHARED | PRIVATE, true, KVM_VIEW_AGREES },
};

static gfn_t direct_bits(enum kvm_view_source source)
{
	return source == KVM_VIEW_GPA_BIT ? gpa_to_gfn(SHARED_BIT) : 0;
}

static void view_case_desc(const struct view_case *c, char *desc)
{
	strscpy(desc, c->what, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(view, view_cases, view_case_desc);

static void resolve(struct kunit *test)
{
	const struct view_case *c = test->param_value;
	struct kvm_view view;
	int i;

	for (i = 0; i < 2 * ARRAY_SIZE(error_codes); i++) {
		view = kvm_resolve_view(c->source, direct_bits(c->source), c->gpa,
					c->error_code | error_codes[i / 2],
					c->attrs | (i & 1 ? OTHER : 0), false);

		KUNIT_EXPECT_EQ(test, view.gfn, gpa_to_gfn(GPA));
		KUNIT_EXPECT_EQ(test, view.is_private, c->is_private);
		KUNIT_EXPECT_EQ(test, view.verdict, c->verdict);
	}
}

/* While attributes change, who agrees does, and nobody is told otherwise. */
static void resolve_change(struct kunit *test)
{
	const struct view_case *c = test->param_value;
	struct kvm_view view;

	view = kvm_resolve_view(c->source, direct_bits(c->source), c->gpa,
				c->error_code, c->attrs, true);

	KUNIT_EXPECT_EQ(test, view.gfn, gpa_to_gfn(GPA));
	KUNIT_EXPECT_EQ(test, view.is_private, c->is_private);
	KUNIT_EXPECT_EQ(test, view.verdict,
			c->verdict == KVM_VIEW_AGREES ? KVM_VIEW_AGREES : KVM_VIEW_RETRY);
}

/* The shared bit isn't known until the TD is initialised: nothing is private. */
static void no_shared_bit(struct kunit *test)
{
	struct kvm_view view = kvm_resolve_view(KVM_VIEW_GPA_BIT, 0, GPA, 0, 0, false);

	KUNIT_EXPECT_EQ(test, view.gfn, gpa_to_gfn(GPA));
	KUNIT_EXPECT_FALSE(test, view.is_private);
}

/* Faults that KVM makes up tell the view that they are made up for. */
static void express(struct kunit *test)
{
	static const enum kvm_view_source sources[] = { KVM_VIEW_GPA_BIT, KVM_VIEW_ENC_BIT };
	enum kvm_view_source source;
	struct kvm_view view;
	u64 error_code;
	bool private;
	gpa_t gpa;
	int i;

	for (i = 0; i < 2 * ARRAY_SIZE(sources); i++) {
		source = sources[i / 2];
		private = i & 1;

		gpa = kvm_view_to_gpa(source, direct_bits(source), GPA, private);
		error_code = kvm_view_to_error_code(source, private) | PFERR_GUEST_FINAL_MASK;
		view = kvm_resolve_view(source, direct_bits(source), gpa, error_code,
					private ? PRIVATE : 0, false);

		KUNIT_EXPECT_EQ(test, view.gfn, gpa_to_gfn(GPA));
		KUNIT_EXPECT_EQ(test, view.is_private, private);
		KUNIT_EXPECT_EQ(test, view.verdict, KVM_VIEW_AGREES);
	}
}

static struct kunit_case view_test_cases[] = {
	KUNIT_CASE_PARAM(resolve, view_gen_params),
	KUNIT_CASE_PARAM(resolve_change, view_gen_params),
	KUNIT_CASE(no_shared_bit),
	KUNIT_CASE(express),
	{}
};

static struct kunit_suite view_test_suite = {
	.name = "kvm_view",
	.test_cases = view_test_cases,
};

kunit_test_suite(view_test_suite);
