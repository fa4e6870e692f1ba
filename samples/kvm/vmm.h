/* SPDX-License-Identifier: GPL-2.0 */
/* A VM with one vCPU, and the loop that runs it. */
#ifndef SAMPLES_KVM_VMM_H
#define SAMPLES_KVM_VMM_H

#include <stdbool.h>
#include <linux/types.h>

#include "memory.h"

struct kvm_run;

/* What the guest asks for with KVM_HC_MAP_GPA_RANGE. */
struct conversion {
	__u64 gpa;
	__u64 nr_pages;
	bool to_private;
	bool valid;		/* no bit is set that has no meaning */
};

/* What KVM_EXIT_MEMORY_FAULT says. */
struct memory_fault {
	__u64 gpa;
	__u64 size;
	__u64 flags;
};

/* What the VMM answers: 0, or a negative KVM_E* value, which x86's guest receives. */
typedef long (*conversion_policy)(struct vmm *vmm,
				  const struct conversion *request);

/* True if the fault's cause is gone and the vCPU may try again. */
typedef bool (*fault_policy)(struct vmm *vmm,
			     const struct memory_fault *fault);

enum region_nr {
	BOOT,		/* the guest's code, stack, page tables, mailbox */
	RAM,
	LATE,		/* has no memslot until the guest asks for it */
	PLAIN,		/* has no guest_memfd, so cannot hold private pages */
	PLACE,		/* shared in place: has a memslot if KVM offers that */
	NR_REGIONS,
};

struct vmm {
	int kvm_fd;
	int vm_fd;
	int vcpu_fd;
	struct kvm_run *run;
	bool tracks_view;	/* the guest's view of its memory is kept */
	struct region regions[NR_REGIONS];

	/* KVM sets no policy: these two decide. */
	conversion_policy on_conversion;
	fault_policy on_memory_fault;

	/* What the last exits of these kinds said, for the checks. */
	struct conversion last_request;	/* pages that follow each other are one */
	unsigned int nr_requests;	/* exits that it took */
	struct memory_fault last_fault;
	unsigned int nr_faults;
};

/* Makes the VM, its memory (but for LATE, see PLACE) and its vCPU, or skips. */
void vmm_create(struct vmm *vmm);

/* Runs the guest for the first time. */
void vmm_start(struct vmm *vmm);

/* Runs the guest until it rings the doorbell; serves all other exits. */
void vmm_run(struct vmm *vmm);

/* What KVM_CHECK_EXTENSION says; at VM scope it is exact for this VM type. */
unsigned int vmm_system_cap(const struct vmm *vmm, unsigned int cap);
unsigned int vmm_vm_cap(const struct vmm *vmm, unsigned int cap);

#endif /* SAMPLES_KVM_VMM_H */
