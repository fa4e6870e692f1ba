/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest memory: regions with a shared and a private half, and the VMM's own
 * record of which half each page uses.
 *
 * The shared half is ordinary memory of the VMM (mmap), the private half is
 * a guest_memfd, which the host does not map (no GUEST_MEMFD_FLAG_MMAP). Which
 * of the two a guest physical page uses is its attribute, and the attribute is
 * the VMM's to set. KVM has no call to read attributes back, hence the record.
 *
 * Memory that is shared in place has one half only, a guest_memfd that the host
 * maps (GUEST_MEMFD_FLAG_IN_PLACE): the attribute says whether it may look.
 */
#ifndef SAMPLES_KVM_MEMORY_H
#define SAMPLES_KVM_MEMORY_H

#include <stdbool.h>
#include <linux/types.h>

struct vmm;

#define PAGE_SIZE		4096ULL
#define REGION_MAX_PAGES	32

struct page_state {
	bool private;
	bool converted;		/* in this act */
};

struct region {
	const char *name;
	const char *about;
	__u64 gpa;
	unsigned int nr_pages;
	bool with_guest_memfd;
	bool in_place;

	/* Of a region that has a memslot: */
	bool plugged;
	char *shared;
	int guest_memfd;

	/* The record. Attributes do not depend on there being a memslot. */
	struct page_state pages[REGION_MAX_PAGES];
};

/* Some pages of a region: what a conversion, a step or a check is about. */
struct span {
	struct region *region;
	unsigned int first;
	unsigned int nr_pages;
};

static inline struct span pages_of(struct region *region, unsigned int first,
				   unsigned int nr_pages)
{
	return (struct span){ region, first, nr_pages };
}

static inline struct span all_pages_of(struct region *region)
{
	return pages_of(region, 0, region->nr_pages);
}

__u64 span_gpa(const struct span *span);

/* The host's mapping of the span's shared half, or of its only one. */
char *span_shared(const struct span *span);

/* "ram pages 8-15", in one of four buffers that take turns. */
const char *span_name(const struct span *span);

/* Gives the region its memslot, with both halves. */
void memory_plug(struct vmm *vmm, struct region *region);

/* Finds the pages [gpa, gpa + nr_pages) if one region holds them all. */
bool memory_find(struct vmm *vmm, __u64 gpa, __u64 nr_pages,
		 struct span *span);

/*
 * Sets the attribute and records it. On an error, which is printed, neither
 * KVM nor the record has changed.
 */
bool memory_set_private(struct vmm *vmm, const struct span *span,
			bool private);

/*
 * Converts: sets the attribute, then frees the half that fell out of use.
 * The content of the pages is not carried over, but for what is shared in place:
 * that stays where it is.
 */
bool memory_convert(struct vmm *vmm, const struct span *span, bool private);

/* Forgets which pages were converted: a new act begins. */
void memory_begin_act(struct vmm *vmm);

#endif /* SAMPLES_KVM_MEMORY_H */
