// SPDX-License-Identifier: GPL-2.0-only
/* Updates that libFuzzer chooses, against the model. */
#include <stdint.h>
#include <string.h>
#include <linux/radix-tree.h>

#include "common.h"

struct __packed step {
	uint16_t start;
	uint16_t nr_cells;
	uint8_t mask;
	uint8_t bits;
};

static struct model model;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	rcu_register_thread();
	radix_tree_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned long before = nr_nodes();
	struct xarray xa;
	struct step step;

	memset(&model, 0, sizeof(model));
	mem_attr_store_init(&xa);
	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		unsigned int start, end;

		memcpy(&step, data, sizeof(step));
		start = step.start % NR_CELLS;
		end = start + 1 + step.nr_cells % (NR_CELLS - start);
		if (step.mask)
			update_both(&xa, &model, start, end, step.mask, step.bits & step.mask);
	}
	mem_attr_store_destroy(&xa);
	check(nr_nodes() == before);
	return 0;
}
