// SPDX-License-Identifier: GPL-2.0
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fdt.h"

#define FDT_MAGIC	0xd00dfeed
#define FDT_BEGIN_NODE	1
#define FDT_END_NODE	2
#define FDT_PROP	3
#define FDT_END		9
#define FDT_VERSION	17
#define FDT_COMPATIBLE	16

struct fdt_header {
	__u32 magic;
	__u32 totalsize;
	__u32 off_dt_struct;
	__u32 off_dt_strings;
	__u32 off_mem_rsvmap;
	__u32 version;
	__u32 last_comp_version;
	__u32 boot_cpuid_phys;
	__u32 size_dt_strings;
	__u32 size_dt_struct;
};

/* The tree is the program's own, and so too large a one is a bug of the program. */
static void *reserve(char *buf, size_t room, size_t *used, size_t size)
{
	void *start = buf + *used;

	if (size > room - *used) {
		fprintf(stderr, "The device tree is larger than struct fdt.\n");
		abort();
	}
	*used += size;
	return start;
}

/* What is in the structure begins at multiples of 4 bytes. */
static void append(struct fdt *fdt, const void *data, size_t size)
{
	size_t aligned = (size + 3) & ~(size_t)3;
	char *to = reserve(fdt->structure, sizeof(fdt->structure), &fdt->structure_size, aligned);

	memcpy(to, data, size);
	memset(to + size, 0, aligned - size);
}

static void append_cell(struct fdt *fdt, __u32 value)
{
	__u32 cell = htobe32(value);

	append(fdt, &cell, sizeof(cell));
}

static __u32 append_name(struct fdt *fdt, const char *name)
{
	size_t size = strlen(name) + 1, start = fdt->strings_size;

	memcpy(reserve(fdt->strings, sizeof(fdt->strings), &fdt->strings_size, size), name, size);
	return start;
}

void fdt_begin(struct fdt *fdt, const char *name)
{
	append_cell(fdt, FDT_BEGIN_NODE);
	append(fdt, name, strlen(name) + 1);
}

void fdt_end(struct fdt *fdt)
{
	append_cell(fdt, FDT_END_NODE);
}

void fdt_bytes(struct fdt *fdt, const char *name, const void *value, size_t size)
{
	append_cell(fdt, FDT_PROP);
	append_cell(fdt, size);
	append_cell(fdt, append_name(fdt, name));
	append(fdt, value, size);
}

void fdt_empty(struct fdt *fdt, const char *name)
{
	fdt_bytes(fdt, name, "", 0);
}

void fdt_string(struct fdt *fdt, const char *name, const char *value)
{
	fdt_bytes(fdt, name, value, strlen(value) + 1);
}

void __fdt_cells(struct fdt *fdt, const char *name, const __u32 *cells, size_t nr)
{
	size_t i;

	append_cell(fdt, FDT_PROP);
	append_cell(fdt, nr * sizeof(*cells));
	append_cell(fdt, append_name(fdt, name));
	for (i = 0; i < nr; i++)
		append_cell(fdt, cells[i]);
}

size_t fdt_finish(struct fdt *fdt, void *to, size_t room)
{
	/* Of reserved memory there is none in the header's table, but its end. */
	const size_t table = 16;
	struct fdt_header *header = to;
	size_t structure = sizeof(*header) + table, strings, size;

	append_cell(fdt, FDT_END);
	strings = structure + fdt->structure_size;
	size = strings + fdt->strings_size;
	if (size > room) {
		fprintf(stderr, "There's no room for the device tree.\n");
		abort();
	}

	*header = (struct fdt_header) {
		.magic = htobe32(FDT_MAGIC),
		.totalsize = htobe32(size),
		.off_dt_struct = htobe32(structure),
		.off_dt_strings = htobe32(strings),
		.off_mem_rsvmap = htobe32(sizeof(*header)),
		.version = htobe32(FDT_VERSION),
		.last_comp_version = htobe32(FDT_COMPATIBLE),
		.size_dt_strings = htobe32(fdt->strings_size),
		.size_dt_struct = htobe32(fdt->structure_size),
	};
	memset((char *)to + sizeof(*header), 0, table);
	memcpy((char *)to + structure, fdt->structure, fdt->structure_size);
	memcpy((char *)to + strings, fdt->strings, fdt->strings_size);
	return size;
}
