// SPDX-License-Identifier: GPL-2.0
/*
 * Boot Linux as a protected guest under pKVM, with one vCPU, and decide about each request
 * to share pages.
 *
 * The guest's kernel, its initrd and the device tree are loaded while memory is shared;
 * then all of it becomes private. What the guest shares is its restricted DMA pool, by
 * drivers/virt/coco/pkvm-guest. This VMM agrees to that. The guest asks for more, pools
 * for devices that there aren't, and has to do without.
 *
 * See ../../mem_attributes_vmm.c for what else there is to memory attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "machine.h"

#define BIT(n)		(1ULL << (n))
#define PAGE_SIZE	4096UL

#define EXIT_SKIP	4	/* the value that kselftest knows as "skipped" */

#define CORE_REG(name)							\
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |		\
	 KVM_REG_ARM_CORE_REG(name))

/* Documentation/arch/arm64/booting.rst */
struct image_header {
	__u32 code[2];
	__u64 text_offset;
	__u64 image_size;
	__u64 flags;
	__u64 reserved[3];
	__u32 magic;
};

#define IMAGE_MAGIC	0x644d5241	/* "ARM\x64" */

/* The PL011's registers that a guest needs to print. */
#define UART_DR		0x00
#define UART_FR		0x18
#define UART_FR_EMPTY	0x90		/* nothing to send or to receive */

struct vmm {
	int kvm;
	int vm;
	int vcpu;
	struct kvm_run *run;
	char *ram;
	__u64 entry;
	size_t initrd_size;

	unsigned long nr_shared;	/* pages that the guest shares */
	unsigned long nr_agreed;
	unsigned long nr_denied;
	unsigned long nr_mmio;
};

static noreturn void give_up(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s\n", strerror(error));
	exit(EXIT_FAILURE);
}

static void create_vm(struct vmm *vmm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXIT_HYPERCALL,
		.args = { BIT(KVM_HC_MAP_GPA_RANGE) },
	};

	vmm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vmm->kvm < 0)
		give_up("Can't open /dev/kvm");
	if (!(ioctl(vmm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_HYPERCALL) &
	      BIT(KVM_HC_MAP_GPA_RANGE))) {
		puts("Skipped: KVM has no protected VMs whose memory a VMM converts:");
		puts("boot a kernel that has them, with kvm-arm.mode=protected.");
		exit(EXIT_SKIP);
	}

	vmm->vm = ioctl(vmm->kvm, KVM_CREATE_VM, (unsigned long)KVM_VM_TYPE_ARM_PROTECTED);
	if (vmm->vm < 0)
		give_up("KVM_CREATE_VM");
	if (ioctl(vmm->vm, KVM_ENABLE_CAP, &cap))
		give_up("KVM_ENABLE_CAP(KVM_CAP_EXIT_HYPERCALL)");
}

static void create_memory(struct vmm *vmm)
{
	struct kvm_create_guest_memfd gmem = {
		.size = RAM_SIZE,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE,
	};
	struct kvm_userspace_memory_region2 slot = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = RAM_GPA,
		.memory_size = RAM_SIZE,
	};
	int fd = ioctl(vmm->vm, KVM_CREATE_GUEST_MEMFD, &gmem);

	if (fd < 0)
		give_up("KVM_CREATE_GUEST_MEMFD");
	vmm->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (vmm->ram == MAP_FAILED)
		give_up("mmap() of guest_memfd");

	slot.guest_memfd = fd;
	slot.userspace_addr = (__u64)(unsigned long)vmm->ram;
	if (ioctl(vmm->vm, KVM_SET_USER_MEMORY_REGION2, &slot))
		give_up("KVM_SET_USER_MEMORY_REGION2");
}

static void set_device_attr(int device, __u32 group, __u64 attr, __u64 value)
{
	struct kvm_device_attr device_attr = {
		.group = group,
		.attr = attr,
		.addr = (__u64)(unsigned long)&value,
	};

	if (ioctl(device, KVM_SET_DEVICE_ATTR, &device_attr))
		give_up("KVM_SET_DEVICE_ATTR, group %u, attribute %llu", group,
			(unsigned long long)attr);
}

static void create_gic(struct vmm *vmm)
{
	struct kvm_create_device gic = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };

	if (ioctl(vmm->vm, KVM_CREATE_DEVICE, &gic))
		give_up("KVM_CREATE_DEVICE of a GICv3");
	set_device_attr(gic.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST,
			GIC_DIST_GPA);
	set_device_attr(gic.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
			GIC_REDIST_GPA);
	set_device_attr(gic.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
}

static size_t load(struct vmm *vmm, const char *path, __u64 gpa, size_t room)
{
	char *to = vmm->ram + (gpa - RAM_GPA);
	int fd = open(path, O_RDONLY);
	struct stat st;
	ssize_t size;

	if (fd < 0 || fstat(fd, &st))
		give_up("Can't open %s", path);
	if ((size_t)st.st_size > room) {
		errno = EFBIG;
		give_up("%s", path);
	}
	size = read(fd, to, st.st_size);
	if (size != st.st_size)
		give_up("Can't read %s", path);
	close(fd);
	return size;
}

static void load_guest(struct vmm *vmm, const char *image, const char *initrd)
{
	const struct image_header *header = (void *)vmm->ram;

	load(vmm, image, RAM_GPA, INITRD_GPA - RAM_GPA);
	if (header->magic != IMAGE_MAGIC || header->text_offset ||
	    header->image_size > INITRD_GPA - RAM_GPA) {
		errno = ENOEXEC;
		give_up("%s is no kernel for this machine", image);
	}
	vmm->entry = RAM_GPA;
	vmm->initrd_size = load(vmm, initrd, INITRD_GPA, INITRD_SIZE);
	machine_describe(vmm->ram + (DTB_GPA - RAM_GPA), DTB_SIZE, vmm->initrd_size);
}

/* In use for a moment, when a vCPU is just about to map it. */
static bool set_attributes(struct vmm *vmm, __u64 gpa, __u64 size, __u64 attributes)
{
	struct kvm_memory_attributes attrs = {
		.address = gpa,
		.size = size,
		.attributes = attributes,
	};
	int ret, tries = 100;

	do {
		ret = ioctl(vmm->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs);
	} while (ret && errno == EAGAIN && --tries);
	return !ret;
}

static void set_reg(struct vmm *vmm, __u64 id, __u64 value)
{
	struct kvm_one_reg reg = {
		.id = id,
		.addr = (__u64)(unsigned long)&value,
	};

	if (ioctl(vmm->vcpu, KVM_SET_ONE_REG, &reg))
		give_up("KVM_SET_ONE_REG");
}

/* Documentation/arch/arm64/booting.rst has what a kernel wants to find. */
static void set_up_vcpu(struct vmm *vmm)
{
	struct kvm_vcpu_init init = { 0 };

	if (ioctl(vmm->vm, KVM_ARM_PREFERRED_TARGET, &init))
		give_up("KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= BIT(KVM_ARM_VCPU_PSCI_0_2);
	/* A protected guest finds what the CPU has, and may use what it asks for. */
	if (ioctl(vmm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0 &&
	    ioctl(vmm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_GENERIC) > 0)
		init.features[0] |= BIT(KVM_ARM_VCPU_PTRAUTH_ADDRESS) |
				    BIT(KVM_ARM_VCPU_PTRAUTH_GENERIC);
	if (ioctl(vmm->vcpu, KVM_ARM_VCPU_INIT, &init))
		give_up("KVM_ARM_VCPU_INIT");
	set_reg(vmm, CORE_REG(regs.pc), vmm->entry);
	set_reg(vmm, CORE_REG(regs.regs[0]), DTB_GPA);
}

static void create_vcpu(struct vmm *vmm)
{
	int size = ioctl(vmm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	vmm->vcpu = ioctl(vmm->vm, KVM_CREATE_VCPU, 0);
	if (vmm->vcpu < 0)
		give_up("KVM_CREATE_VCPU");
	vmm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vmm->vcpu, 0);
	if (vmm->run == MAP_FAILED)
		give_up("mmap() of the vCPU");
}

/* The pool is what the guest may share: no page less, and none besides. */
static bool may_share(__u64 gpa, __u64 size)
{
	return gpa >= POOL_GPA && gpa < POOL_GPA + POOL_SIZE &&
	       size <= POOL_GPA + POOL_SIZE - gpa;
}

static void serve_conversion(struct vmm *vmm)
{
	__u64 gpa = vmm->run->hypercall.args[0];
	__u64 size = vmm->run->hypercall.args[1] * PAGE_SIZE;
	bool private = vmm->run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED;

	if (!may_share(gpa, size) ||
	    !set_attributes(vmm, gpa, size, private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0)) {
		printf("vmm: denies to have %#llx %s\n", (unsigned long long)gpa,
		       private ? "private" : "shared");
		vmm->nr_denied++;
		vmm->run->hypercall.ret = EINVAL;
		return;
	}

	if (!vmm->nr_agreed++)
		printf("vmm: the first request is to have %#llx %s\n", (unsigned long long)gpa,
		       private ? "private" : "shared");
	vmm->nr_shared += private ? -(size / PAGE_SIZE) : size / PAGE_SIZE;
	vmm->run->hypercall.ret = 0;
}

/* The serial port prints; all else reads as zeros. */
static void serve_mmio(struct vmm *vmm)
{
	__u64 gpa = vmm->run->mmio.phys_addr;
	unsigned char *data = vmm->run->mmio.data;

	vmm->nr_mmio++;
	if (vmm->run->mmio.is_write) {
		if (gpa == UART_GPA + UART_DR)
			putchar(data[0]);
		return;
	}

	memset(data, 0, sizeof(vmm->run->mmio.data));
	if (gpa == UART_GPA + UART_FR)
		data[0] = UART_FR_EMPTY;
}

static void report_fault(struct vmm *vmm)
{
	if (errno != EFAULT && errno != EHWPOISON)
		give_up("KVM_RUN");
	if (vmm->run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		printf("vmm: the guest takes %#llx for %s, and it isn't that, or lost\n",
		       (unsigned long long)vmm->run->memory_fault.gpa,
		       vmm->run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE ?
		       "private" : "shared");
	give_up("KVM_RUN");
}

/* Until the guest ends; whether it has ended by itself, and well. */
static bool run(struct vmm *vmm)
{
	for (;;) {
		if (ioctl(vmm->vcpu, KVM_RUN, 0)) {
			if (errno != EINTR)
				report_fault(vmm);
			continue;
		}

		switch (vmm->run->exit_reason) {
		case KVM_EXIT_HYPERCALL:
			serve_conversion(vmm);
			break;
		case KVM_EXIT_MMIO:
			serve_mmio(vmm);
			break;
		case KVM_EXIT_SYSTEM_EVENT:
			return vmm->run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN;
		default:
			printf("vmm: unexpected exit %u\n", vmm->run->exit_reason);
			return false;
		}
	}
}

/* Writes to the host's mapping, as a device would, and reads them back. */
static bool host_has_pool(struct vmm *vmm)
{
	char *pool = vmm->ram + (POOL_GPA - RAM_GPA);
	__u64 offset;

	for (offset = 0; offset < POOL_SIZE; offset += PAGE_SIZE) {
		pool[offset] = 0x5a;
		asm volatile("" : : : "memory");
		if (pool[offset] != 0x5a)
			return false;
	}
	return true;
}

/* A system call gets an error where an access of the VMM's own gets SIGBUS. */
static bool host_has_kernel(struct vmm *vmm)
{
	int fds[2];
	bool has;

	if (pipe(fds))
		give_up("pipe()");
	has = write(fds[1], vmm->ram, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return has;
}

static bool check(bool passed, const char *what)
{
	printf("  %s %s\n", passed ? "ok    " : "FAILED", what);
	return passed;
}

int main(int argc, char **argv)
{
	static struct vmm vmm;
	bool ok;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3) {
		printf("usage: %s IMAGE INITRD\n\n", argv[0]);
		puts("Boots Linux as a protected guest under pKVM, to its init.");
		return EXIT_FAILURE;
	}

	create_vm(&vmm);
	create_memory(&vmm);
	load_guest(&vmm, argv[1], argv[2]);
	create_vcpu(&vmm);
	create_gic(&vmm);
	set_up_vcpu(&vmm);
	if (!set_attributes(&vmm, RAM_GPA, RAM_SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE))
		give_up("KVM_SET_MEMORY_ATTRIBUTES");

	ok = check(run(&vmm), "the guest has booted to its init, and ended by itself");
	printf("vmm: agreed to %lu requests, denied %lu; %lu other exits\n", vmm.nr_agreed,
	       vmm.nr_denied, vmm.nr_mmio);
	ok &= check(vmm.nr_shared == POOL_SIZE / PAGE_SIZE,
		    "it has shared its restricted DMA pool, and nothing else");
	ok &= check(vmm.nr_shared == POOL_SIZE / PAGE_SIZE && host_has_pool(&vmm),
		    "the host has the pool");
	ok &= check(!host_has_kernel(&vmm), "the host doesn't have the kernel that it has loaded");
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
