/* SPDX-License-Identifier: GPL-2.0 */
/* arm64 inside the guest: the hypercalls and the doorbell. */
#ifndef SAMPLES_KVM_ARM64_GUEST_ARCH_H
#define SAMPLES_KVM_ARM64_GUEST_ARCH_H

#include <linux/types.h>

#include "doorbell.h"
#include "../guest.h"
#include "../memory.h"

/* See Documentation/virt/kvm/arm/hypercalls.rst. */
#define HVC_MEM_SHARE	0xc6000003ULL
#define HVC_MEM_UNSHARE	0xc6000004ULL

/* Of one page, which needs no count in r2; r3 has no meaning, and so has to be 0. */
static __guest_fn long guest_convert_page(__u64 gpa, __u64 to_private)
{
	register __u64 r0 asm("x0") = to_private ? HVC_MEM_UNSHARE : HVC_MEM_SHARE;
	register __u64 r1 asm("x1") = gpa;
	register __u64 r2 asm("x2") = 0;
	register __u64 r3 asm("x3") = 0;

	asm volatile("hvc #0"
		     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3) : : "memory");
	return r0;
}

/* All of the pages or none: where one is refused, those before it go back. */
static __guest_fn long guest_map_gpa_range(__u64 gpa, __u64 nr_pages,
					   __u64 to_private)
{
	long ret = 0;
	__u64 done;

	for (done = 0; done < nr_pages && !ret; done++)
		ret = guest_convert_page(gpa + done * PAGE_SIZE, to_private);
	if (!ret)
		return 0;

	for (done--; done; done--)
		guest_convert_page(gpa + (done - 1) * PAGE_SIZE, !to_private);
	return ret;
}

/* What the guest reads and writes is its own until it has shared it. */
static __guest_fn void guest_share_mailbox(struct guest_call *call)
{
	while (guest_convert_page((__u64)call, 0))
		;
}

static __guest_fn void guest_ring_doorbell(void)
{
	asm volatile("str wzr, [%0]" : : "r"(DOORBELL_GPA) : "memory");
}

#endif /* SAMPLES_KVM_ARM64_GUEST_ARCH_H */
