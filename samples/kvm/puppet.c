// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "guest.h"
#include "puppet.h"
#include "vmm.h"

/* The guest reads and writes it too, though never while this code runs. */
static struct guest_call *mailbox(struct vmm *vmm)
{
	return (void *)(vmm->regions[BOOT].shared + GUEST_MAILBOX_GPA);
}

/* Texts are padded with zeros, so that "" stands for a page of zeros. */
static void set_text(char *to, const char *text)
{
	memset(to, 0, GUEST_TEXT_SIZE);
	memcpy(to, text, strlen(text));
}

static bool has_text(const char *mem, const char *text)
{
	char wanted[GUEST_TEXT_SIZE];

	set_text(wanted, text);
	return !memcmp(mem, wanted, GUEST_TEXT_SIZE);
}

static struct guest_call *run_call(struct vmm *vmm, enum guest_op op,
				   __u64 gpa)
{
	struct guest_call *call = mailbox(vmm);

	call->op = op;
	call->gpa = gpa;
	vmm_run(vmm);
	return call;
}

void guest_writes(struct vmm *vmm, const struct span *span, const char *text)
{
	__u64 gpa = span_gpa(span);
	unsigned int i;

	say("guest", "writes \"%s\" into %s", text, span_name(span));
	for (i = 0; i < span->nr_pages; i++, gpa += PAGE_SIZE) {
		set_text(mailbox(vmm)->text, text);
		run_call(vmm, GUEST_WRITE, gpa);
	}
}

bool guest_finds(struct vmm *vmm, const struct span *span, const char *text)
{
	__u64 gpa = span_gpa(span);
	unsigned int i;

	for (i = 0; i < span->nr_pages; i++, gpa += PAGE_SIZE)
		if (!has_text(run_call(vmm, GUEST_READ, gpa)->text, text))
			return false;
	return true;
}

long guest_asks(struct vmm *vmm, const struct span *span, bool to_private)
{
	struct guest_call *call = mailbox(vmm);

	say("guest", "asks that %s become %s", span_name(span),
	    to_private ? "private" : "shared");
	call->nr_pages = span->nr_pages;
	call->to_private = to_private;
	vmm->last_request.nr_pages = 0;
	vmm->nr_requests = 0;
	run_call(vmm, GUEST_CONVERT, span_gpa(span));
	if (vmm->nr_requests > 1)
		say("kvm", "and so on: %u exits, one for each page", vmm->nr_requests);
	say("guest", "receives %lld", (long long)call->answer);
	return call->answer;
}

bool host_finds(const struct span *span, const char *text)
{
	static const char zeros[PAGE_SIZE];
	const char *page = span_shared(span);
	unsigned int i;

	for (i = 0; i < span->nr_pages; i++, page += PAGE_SIZE) {
		if (!has_text(page, text))
			return false;
		if (memcmp(page + GUEST_TEXT_SIZE, zeros,
			   PAGE_SIZE - GUEST_TEXT_SIZE))
			return false;
	}
	return true;
}

bool host_sees_nothing(const struct span *span)
{
	return span->region->in_place ? host_is_refused(span) : host_finds(span, "");
}

/* A system call gets an error where an access of the host's own gets SIGBUS. */
bool host_is_refused(const struct span *span)
{
	const char *page = span_shared(span);
	bool refused = true;
	unsigned int i;
	int fds[2];

	if (pipe(fds))
		give_up("pipe()", "EMFILE: too many open files.");
	for (i = 0; i < span->nr_pages; i++, page += PAGE_SIZE)
		if (write(fds[1], page, 1) >= 0 || errno != EFAULT)
			refused = false;
	close(fds[0]);
	close(fds[1]);
	return refused;
}

void host_writes(const struct span *span, const char *text)
{
	char *page = span_shared(span);
	unsigned int i;

	say("host", "writes \"%s\" into %s", text, span_name(span));
	for (i = 0; i < span->nr_pages; i++, page += PAGE_SIZE)
		set_text(page, text);
}
