// SPDX-License-Identifier: GPL-2.0
/*
 * What runs inside the guest: no library, no data, no kernel.
 *
 * The code is compiled with the VMM and copied to GUEST_CODE_GPA, so it must
 * not refer to anything outside of its section: no strings, no tables, no
 * calls that the compiler would add. __guest_fn sees to that for optimization
 * and hardening; profiling and sanitizers are not for this file.
 */
#include "guest.h"

#if defined(__x86_64__)
#include "x86/guest_arch.h"
#elif defined(__aarch64__)
#include "arm64/guest_arch.h"
#else
#error "No guest for this architecture yet"
#endif

/* The barrier keeps the compiler from turning the loop into memcpy(). */
static __guest_fn void guest_copy(char *to, const char *from)
{
	unsigned int i;

	for (i = 0; i < GUEST_TEXT_SIZE; i++) {
		to[i] = from[i];
		asm volatile("" : : : "memory");
	}
}

static __guest_fn void guest_do(struct guest_call *call)
{
	char *mem = (char *)call->gpa;

	if (call->op == GUEST_WRITE)
		guest_copy(mem, call->text);
	else if (call->op == GUEST_READ)
		guest_copy(call->text, mem);
	else if (call->op == GUEST_CONVERT)
		call->answer = guest_map_gpa_range(call->gpa, call->nr_pages,
						   call->to_private);
}

__guest_fn void guest_main(struct guest_call *call)
{
	guest_share_mailbox(call);
	for (;;) {
		guest_do(call);
		guest_ring_doorbell();
	}
}
