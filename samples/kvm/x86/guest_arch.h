/* SPDX-License-Identifier: GPL-2.0 */
/* x86-64 inside the guest: the hypercall and the doorbell. */
#ifndef SAMPLES_KVM_X86_GUEST_ARCH_H
#define SAMPLES_KVM_X86_GUEST_ARCH_H

#include <linux/kvm_para.h>
#include <linux/types.h>

#include "doorbell.h"
#include "../guest.h"

/*
 * A CPU only knows its own vendor's hypercall instruction. KVM would patch
 * the other one, but that is a quirk, and patching means writing to code.
 */
static __guest_fn int guest_cpu_has_vmmcall(void)
{
	__u32 eax = 0, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));

	/* The vendor's first four letters: "Auth"(enticAMD), "Hygo"(nGenuine) */
	return ebx == 0x68747541 || ebx == 0x6f677948;
}

static __guest_fn long guest_map_gpa_range(__u64 gpa, __u64 nr_pages,
					   __u64 to_private)
{
	__u64 attributes = to_private ? KVM_MAP_GPA_RANGE_ENCRYPTED :
					KVM_MAP_GPA_RANGE_DECRYPTED;
	long ret = KVM_HC_MAP_GPA_RANGE;

	if (guest_cpu_has_vmmcall())
		asm volatile("vmmcall" : "+a"(ret)
			     : "b"(gpa), "c"(nr_pages), "d"(attributes)
			     : "memory");
	else
		asm volatile("vmcall" : "+a"(ret)
			     : "b"(gpa), "c"(nr_pages), "d"(attributes)
			     : "memory");
	return ret;
}

/* It is shared until somebody converts it. */
static __guest_fn void guest_share_mailbox(struct guest_call *call)
{
	(void)call;
}

static __guest_fn void guest_ring_doorbell(void)
{
	asm volatile("outb %%al, %0" : : "i"(DOORBELL_PORT) : "memory");
}

#endif /* SAMPLES_KVM_X86_GUEST_ARCH_H */
