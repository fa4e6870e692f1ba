// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: store-test [SEED]
 *
 * Tests of the store of KVM's memory attributes.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <linux/radix-tree.h>

#include "../selftests/kselftest.h"
#include "common.h"

/* What it takes for a plan; each result counts. */
#define NR_UNIT_TESTS	15
#define NR_SEEDS	4

void passed(const char *format, ...)
{
	char name[128];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	ksft_test_result_pass("%s\n", name);
}

int main(int argc, char *argv[])
{
	unsigned int seed = argc > 1 ? strtoul(argv[1], NULL, 0) : time(NULL);
	unsigned int i;

	rcu_register_thread();
	radix_tree_init();

	ksft_print_header();
	ksft_set_plan(NR_UNIT_TESTS + NR_SEEDS + 1);
	ksft_print_msg("again: store-test %u\n", seed);
	unit_tests();
	for (i = 0; i < NR_SEEDS; i++)
		random_test(seed + i, 300);
	readers_test(seed, 20000);
	rcu_unregister_thread();
	ksft_finished();
}
