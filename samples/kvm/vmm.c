// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/kvm.h>

#include "arch.h"
#include "checks.h"
#include "conversion.h"
#include "exits.h"
#include "guest.h"
#include "policy.h"
#include "vmm.h"

static const struct region initial_regions[NR_REGIONS] = {
	[BOOT] = {
		.name = "boot",
		.about = "the guest's code, stack, page tables, and what it is told to do",
		.gpa = 0x000000,
		.nr_pages = 8,
	},
	[RAM] = {
		.name = "ram",
		.about = "a shared half, and a private half in guest_memfd",
		.gpa = 0x100000,
		.nr_pages = 32,
		.with_guest_memfd = true,
	},
	[LATE] = {
		.name = "late",
		.about = "the same, but no memslot until the guest asks for it",
		.gpa = 0x200000,
		.nr_pages = 16,
		.with_guest_memfd = true,
	},
	[PLAIN] = {
		.name = "plain",
		.about = "a shared half and no guest_memfd",
		.gpa = 0x300000,
		.nr_pages = 8,
	},
	[PLACE] = {
		.name = "place",
		.about = "one guest_memfd for both, which the host has mapped",
		.gpa = 0x400000,
		.nr_pages = 8,
		.with_guest_memfd = true,
		.in_place = true,
	},
};

/* Several capabilities are bit masks, so an error must not look like one. */
static unsigned int check_extension(int fd, unsigned int cap)
{
	int ret = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return ret < 0 ? 0 : ret;
}

unsigned int vmm_system_cap(const struct vmm *vmm, unsigned int cap)
{
	return check_extension(vmm->kvm_fd, cap);
}

unsigned int vmm_vm_cap(const struct vmm *vmm, unsigned int cap)
{
	return check_extension(vmm->vm_fd, cap);
}

static void open_kvm(struct vmm *vmm)
{
	vmm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vmm->kvm_fd >= 0)
		return;

	if (errno == EACCES)
		skip("/dev/kvm is not yours to open",
		     "run as root, or join the group that owns it");
	skip("/dev/kvm cannot be opened",
	     "load KVM's module, on a CPU with virtualization enabled");
}

/*
 * Keep what the guest takes its memory for apart from what the attributes say.
 * Like all that decides how the guest's accesses are seen, before there are vCPUs.
 */
static void track_view(struct vmm *vmm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_TRACKED_GUEST_VIEW };

	/* Under pKVM the hypervisor keeps it, always. */
	vmm->tracks_view = arch_memory_in_place;
	if (!vmm_vm_cap(vmm, KVM_CAP_TRACKED_GUEST_VIEW))
		return;
	if (ioctl(vmm->vm_fd, KVM_ENABLE_CAP, &cap))
		give_up("KVM_ENABLE_CAP(KVM_CAP_TRACKED_GUEST_VIEW)",
			"EINVAL: the VM has vCPUs already.");
	vmm->tracks_view = true;
}

static void create_vm(struct vmm *vmm)
{
	arch_require_vm_type(vmm);
	vmm->vm_fd = ioctl(vmm->kvm_fd, KVM_CREATE_VM, arch_vm_type());
	if (vmm->vm_fd < 0)
		give_up("KVM_CREATE_VM",
			"ENOMEM: out of memory. EBUSY: another hypervisor owns the CPU.");

	enable_conversions(vmm);
	if (!(vmm_vm_cap(vmm, KVM_CAP_MEMORY_ATTRIBUTES) &
	      KVM_MEMORY_ATTRIBUTE_PRIVATE))
		skip("KVM offers this VM no PRIVATE attribute",
		     "boot a kernel with CONFIG_KVM_SW_PROTECTED_VM=y");
	if (!vmm_vm_cap(vmm, KVM_CAP_GUEST_MEMFD) ||
	    !vmm_vm_cap(vmm, KVM_CAP_USER_MEMORY2))
		skip("KVM has no guest_memfd for this VM",
		     "boot a kernel with CONFIG_KVM_SW_PROTECTED_VM=y");
	track_view(vmm);
}

/* Where all memory is in place, there are no two halves and no memory without. */
static void put_in_place(struct vmm *vmm)
{
	unsigned int i;

	for (i = 0; i < NR_REGIONS; i++) {
		vmm->regions[i].with_guest_memfd = true;
		vmm->regions[i].in_place = true;
	}
	vmm->regions[RAM].about = "pages of guest_memfd, for both sides";
	vmm->regions[PLAIN].about = "not used: all memory is guest_memfd here";
}

static void create_memory(struct vmm *vmm)
{
	memcpy(vmm->regions, initial_regions, sizeof(initial_regions));
	if (arch_memory_in_place)
		put_in_place(vmm);
	memory_plug(vmm, &vmm->regions[BOOT]);
	memory_plug(vmm, &vmm->regions[RAM]);
	if (!arch_memory_in_place)
		memory_plug(vmm, &vmm->regions[PLAIN]);
	if (vmm_vm_cap(vmm, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_IN_PLACE)
		memory_plug(vmm, &vmm->regions[PLACE]);
}

/* The guest's code is part of this program, and is copied from there. */
static void load_guest(struct vmm *vmm)
{
	size_t size = __stop_guest_code - __start_guest_code;

	if (size > GUEST_CODE_SIZE) {
		errno = E2BIG;
		give_up("load the guest's code",
			"The compiler made it larger than GUEST_CODE_SIZE.");
	}
	memcpy(vmm->regions[BOOT].shared + GUEST_CODE_GPA,
	       __start_guest_code, size);
}

static void create_vcpu(struct vmm *vmm)
{
	int size = ioctl(vmm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	vmm->vcpu_fd = ioctl(vmm->vm_fd, KVM_CREATE_VCPU, 0);
	if (vmm->vcpu_fd < 0)
		give_up("KVM_CREATE_VCPU", "ENOMEM: the host is out of memory.");

	vmm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			vmm->vcpu_fd, 0);
	if (vmm->run == MAP_FAILED)
		give_up("mmap() the vCPU's struct kvm_run",
			"The size must be what KVM_GET_VCPU_MMAP_SIZE says.");
	arch_setup_vcpu(vmm);
}

void vmm_create(struct vmm *vmm)
{
	open_kvm(vmm);
	create_vm(vmm);
	create_memory(vmm);
	load_guest(vmm);
	create_vcpu(vmm);
}

/*
 * Architectures whose guests ask for a page at a time: what follows on the last
 * request is one with it, and a story that has been told.
 */
static bool append_request(struct vmm *vmm, const struct conversion *request)
{
	struct conversion *last = &vmm->last_request;
	__u64 end = last->gpa + last->nr_pages * PAGE_SIZE;

	if (!last->nr_pages || request->gpa != end ||
	    request->to_private != last->to_private) {
		*last = *request;
		return false;
	}

	last->nr_pages += request->nr_pages;
	last->valid &= request->valid;
	return true;
}

/*
 * The guest waits inside its hypercall. Whatever the VMM does now, memslots
 * and attributes included, is done before the guest sees the answer.
 */
static void serve_conversion(struct vmm *vmm, const struct conversion *request)
{
	bool follows = append_request(vmm, request);
	long answer;

	vmm->nr_requests++;
	if (follows)
		pause_story();
	say("kvm", "KVM_EXIT_HYPERCALL: MAP_GPA_RANGE(%#llx, %llu pages, %s)",
	    (unsigned long long)request->gpa,
	    (unsigned long long)request->nr_pages,
	    request->to_private ? "encrypted" : "decrypted");

	answer = vmm->on_conversion(vmm, request);
	say("vmm", "answers %ld", answer);
	if (follows)
		resume_story();
	arch_answer_conversion(vmm->run, answer);
}

/*
 * An access that the attributes do not allow: KVM_RUN fails with EFAULT and,
 * unlike for other errors, kvm_run says why. With one vCPU and nobody else to
 * convert memory, a fault that comes back at once was not resolved; where more
 * happens at a time it may also have met the next conversion.
 */
static void serve_memory_fault(struct vmm *vmm, bool again)
{
	struct memory_fault fault = {
		.gpa = vmm->run->memory_fault.gpa,
		.size = vmm->run->memory_fault.size,
		.flags = vmm->run->memory_fault.flags,
	};

	if (!vmm->on_memory_fault ||
	    (again && fault.gpa == vmm->last_fault.gpa))
		exit_unexpected(vmm);

	vmm->last_fault = fault;
	vmm->nr_faults++;
	say("kvm", "KVM_RUN returns -1 with errno EFAULT, and kvm_run says why");
	say("kvm", "KVM_EXIT_MEMORY_FAULT: gpa %#llx, size %#llx, %s access",
	    (unsigned long long)fault.gpa, (unsigned long long)fault.size,
	    fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE ? "PRIVATE" : "shared");

	if (!vmm->on_memory_fault(vmm, &fault))
		exit_unexpected(vmm);
}

void vmm_run(struct vmm *vmm)
{
	bool faulted = false;

	for (;;) {
		struct conversion request;
		int ret = ioctl(vmm->vcpu_fd, KVM_RUN, 0);

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0) {
			exit_require_memory_fault(vmm);
			serve_memory_fault(vmm, faulted);
			faulted = true;
			continue;
		}
		faulted = false;

		if (arch_is_doorbell(vmm->run))
			return;
		if (!get_conversion(vmm->run, &request))
			exit_unexpected(vmm);
		serve_conversion(vmm, &request);
	}
}

/* It finds nothing to do in its mailbox, and may have to share that first. */
void vmm_start(struct vmm *vmm)
{
	arch_protect_boot(vmm);
	vmm->on_conversion = policy_agree;
	vmm_run(vmm);
}
