// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE	/* fallocate() */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/falloc.h>
#include <linux/kvm.h>

#include "checks.h"
#include "memory.h"
#include "vmm.h"

__u64 span_gpa(const struct span *span)
{
	return span->region->gpa + span->first * PAGE_SIZE;
}

char *span_shared(const struct span *span)
{
	return span->region->shared + span->first * PAGE_SIZE;
}

static __u64 span_size(const struct span *span)
{
	return span->nr_pages * PAGE_SIZE;
}

const char *span_name(const struct span *span)
{
	static char names[4][48];
	static unsigned int next;
	char *name = names[next++ % 4];

	if (span->nr_pages == 1)
		snprintf(name, sizeof(names[0]), "%s page %u",
			 span->region->name, span->first);
	else
		snprintf(name, sizeof(names[0]), "%s pages %u-%u",
			 span->region->name, span->first,
			 span->first + span->nr_pages - 1);
	return name;
}

static char *create_shared_half(const struct region *region)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	int fd = -1;
	void *mem;

	if (region->in_place) {
		flags = MAP_SHARED;
		fd = region->guest_memfd;
	}

	mem = mmap(NULL, region->nr_pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
		   flags, fd, 0);
	if (mem == MAP_FAILED)
		give_up("mmap() the shared half of a memslot",
			"The host is out of memory or address space.");
	return mem;
}

static int create_private_half(struct vmm *vmm, const struct region *region)
{
	struct kvm_create_guest_memfd gmem = {
		.size = region->nr_pages * PAGE_SIZE,
	};
	int fd;

	if (region->in_place)
		gmem.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE;

	fd = ioctl(vmm->vm_fd, KVM_CREATE_GUEST_MEMFD, &gmem);
	if (fd < 0)
		give_up("KVM_CREATE_GUEST_MEMFD, the private half of a memslot",
			"EINVAL: a size that is not whole pages, or a flag that this VM does not offer.");
	return fd;
}

/*
 * One slot per region. With KVM_MEM_GUEST_MEMFD a slot names both halves, and
 * each page's attribute selects between them; without it the slot can only
 * ever serve shared pages.
 */
void memory_plug(struct vmm *vmm, struct region *region)
{
	struct kvm_userspace_memory_region2 slot = {
		.slot = region - vmm->regions,
		.guest_phys_addr = region->gpa,
		.memory_size = region->nr_pages * PAGE_SIZE,
	};

	if (region->with_guest_memfd) {
		region->guest_memfd = create_private_half(vmm, region);
		slot.guest_memfd = region->guest_memfd;
		slot.flags = KVM_MEM_GUEST_MEMFD;
	}
	region->shared = create_shared_half(region);
	slot.userspace_addr = (__u64)(unsigned long)region->shared;

	if (ioctl(vmm->vm_fd, KVM_SET_USER_MEMORY_REGION2, &slot))
		give_up("KVM_SET_USER_MEMORY_REGION2, a new memslot",
			"EEXIST: it overlaps another slot. EINVAL: a bad alignment, flag or guest_memfd.");
	region->plugged = true;
}

/* The numbers come from the guest: compare without overflow. */
bool memory_find(struct vmm *vmm, __u64 gpa, __u64 nr_pages,
		 struct span *span)
{
	unsigned int i;

	for (i = 0; i < NR_REGIONS; i++) {
		struct region *region = &vmm->regions[i];
		__u64 first = (gpa - region->gpa) / PAGE_SIZE;

		if (gpa < region->gpa || gpa % PAGE_SIZE)
			continue;
		if (first >= region->nr_pages)
			continue;
		if (!nr_pages || nr_pages > region->nr_pages - first)
			continue;

		*span = pages_of(region, first, nr_pages);
		return true;
	}
	return false;
}

static void record(const struct span *span, bool private)
{
	struct page_state *page = &span->region->pages[span->first];
	unsigned int i;

	for (i = 0; i < span->nr_pages; i++, page++) {
		page->converted |= page->private != private;
		page->private = private;
	}
}

/*
 * Memory that is shared in place can't be made private while somebody uses it. That
 * may be for a moment only, when a vCPU is just about to map it; or for as long as
 * the VMM has it pinned for I/O, which is for the VMM to end.
 */
static int set_attributes(struct vmm *vmm, struct kvm_memory_attributes *attrs)
{
	int ret, tries = 100;

	do {
		ret = ioctl(vmm->vm_fd, KVM_SET_MEMORY_ATTRIBUTES, attrs);
	} while (ret && errno == EAGAIN && --tries);
	return ret;
}

bool memory_set_private(struct vmm *vmm, const struct span *span,
			bool private)
{
	struct kvm_memory_attributes attrs = {
		.address = span_gpa(span),
		.size = span_size(span),
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (set_attributes(vmm, &attrs)) {
		complain("KVM_SET_MEMORY_ATTRIBUTES",
			 "EINVAL: a bad range or attribute. ENOMEM: no room to record it. EAGAIN: a page is in use, in place. EHWPOISON: a page's memory is lost. EINTR: being killed. Nothing changed.");
		return false;
	}

	record(span, private);
	say("vmm", "KVM_SET_MEMORY_ATTRIBUTES: %s now %s", span_name(span),
	    private ? "PRIVATE" : "shared");
	return true;
}

static void free_private_half(const struct span *span)
{
	if (fallocate(span->region->guest_memfd,
		      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      span->first * PAGE_SIZE, span_size(span)))
		give_up("fallocate(PUNCH_HOLE) in guest_memfd",
			"EINVAL: the range is not whole pages of the file.");
	say("vmm", "fallocate(guest_memfd, PUNCH_HOLE): frees their private half");
}

static void free_shared_half(const struct span *span)
{
	if (madvise(span_shared(span), span_size(span), MADV_DONTNEED))
		give_up("madvise(MADV_DONTNEED) on the shared half",
			"EINVAL: the pages are locked, or not a mapping of the VMM.");
	say("vmm", "madvise(MADV_DONTNEED): frees their shared half");
}

/*
 * The attribute comes first. While the old one is in force the guest may
 * touch a page at any time, and would bring back what was just freed.
 */
bool memory_convert(struct vmm *vmm, const struct span *span, bool private)
{
	if (!memory_set_private(vmm, span, private))
		return false;

	if (span->region->in_place)
		return true;
	if (private)
		free_shared_half(span);
	else if (span->region->with_guest_memfd)
		free_private_half(span);
	return true;
}

void memory_begin_act(struct vmm *vmm)
{
	unsigned int nr, page;

	for (nr = 0; nr < NR_REGIONS; nr++)
		for (page = 0; page < REGION_MAX_PAGES; page++)
			vmm->regions[nr].pages[page].converted = false;
}
