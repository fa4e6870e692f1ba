// SPDX-License-Identifier: GPL-2.0
#include <errno.h>	/* KVM_EINVAL is EINVAL */

#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "checks.h"
#include "policy.h"

/*
 * The guest is not trusted. KVM has only checked that the range is page
 * aligned and does not wrap; whether there is memory is for the VMM to check.
 */
long policy_agree(struct vmm *vmm, const struct conversion *request)
{
	struct span span;

	if (!request->valid)
		return -KVM_EINVAL;
	if (!memory_find(vmm, request->gpa, request->nr_pages, &span))
		return -KVM_EINVAL;
	if (!span.region->plugged || !span.region->with_guest_memfd)
		return -KVM_EINVAL;
	if (!memory_convert(vmm, &span, request->to_private))
		return -KVM_EINVAL;
	return 0;
}

/* To deny is to do nothing: KVM has not changed anything on its own. */
long policy_deny(struct vmm *vmm, const struct conversion *request)
{
	(void)vmm;
	(void)request;

	say("vmm", "denies: it changes no attribute");
	return -KVM_EINVAL;
}

long policy_plug_and_agree(struct vmm *vmm, const struct conversion *request)
{
	struct span span;

	if (!request->valid ||
	    !memory_find(vmm, request->gpa, request->nr_pages, &span))
		return -KVM_EINVAL;

	if (!span.region->plugged) {
		memory_plug(vmm, span.region);
		say("vmm", "KVM_SET_USER_MEMORY_REGION2: a memslot for \"%s\", with guest_memfd",
		    span.region->name);
	}
	return policy_agree(vmm, request);
}

/* No half needs to be freed: the private one never existed. */
bool policy_share_on_fault(struct vmm *vmm, const struct memory_fault *fault)
{
	struct span span;

	if (!(fault->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE))
		return false;
	if (!memory_find(vmm, fault->gpa, fault->size / PAGE_SIZE, &span))
		return false;
	return memory_set_private(vmm, &span, false);
}

bool policy_follow_the_guest(struct vmm *vmm, const struct memory_fault *fault)
{
	struct span span;

	if (!memory_find(vmm, fault->gpa, fault->size / PAGE_SIZE, &span))
		return false;
	return memory_set_private(vmm, &span,
				  fault->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE);
}
