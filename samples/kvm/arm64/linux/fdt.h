/* SPDX-License-Identifier: GPL-2.0 */
/* A writer of flattened device trees (Devicetree Specification, chapter 5). */
#ifndef SAMPLES_KVM_ARM64_LINUX_FDT_H
#define SAMPLES_KVM_ARM64_LINUX_FDT_H

#include <stddef.h>
#include <linux/types.h>

struct fdt {
	char structure[4096];
	char strings[1024];
	size_t structure_size;
	size_t strings_size;
};

void fdt_begin(struct fdt *fdt, const char *name);
void fdt_end(struct fdt *fdt);

void fdt_empty(struct fdt *fdt, const char *name);
void fdt_string(struct fdt *fdt, const char *name, const char *value);
void fdt_bytes(struct fdt *fdt, const char *name, const void *value, size_t size);

/* Cells of 32 bits: as many as are given. */
#define fdt_cells(fdt, name, ...)						\
	__fdt_cells(fdt, name, (const __u32[]){ __VA_ARGS__ },			\
		    sizeof((const __u32[]){ __VA_ARGS__ }) / sizeof(__u32))
void __fdt_cells(struct fdt *fdt, const char *name, const __u32 *cells, size_t nr);

/* Writes the whole, after the last fdt_end(), and returns its size. */
size_t fdt_finish(struct fdt *fdt, void *to, size_t room);

#endif /* SAMPLES_KVM_ARM64_LINUX_FDT_H */
