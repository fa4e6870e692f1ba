// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel offers to VMs of a type, a line each, with ok where a call
 * that has to work does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

static const struct {
	int nr;
	const char *name;
} capabilities[] = {
	{ KVM_CAP_MEMORY_ATTRIBUTES,	"KVM_CAP_MEMORY_ATTRIBUTES" },
	{ KVM_CAP_GUEST_MEMFD,		"KVM_CAP_GUEST_MEMFD" },
	{ KVM_CAP_MEMORY_FAULT_INFO,	"KVM_CAP_MEMORY_FAULT_INFO" },
	{ KVM_CAP_EXIT_HYPERCALL,	"KVM_CAP_EXIT_HYPERCALL" },
	{ KVM_CAP_USER_MEMORY2,		"KVM_CAP_USER_MEMORY2" },
};

static int nr_checks, nr_failed;

static void check(int passed, const char *what)
{
	nr_checks++;
	nr_failed += !passed;
	printf("%s %s\n", passed ? "  ok    " : "  FAILED", what);
}

static void show_vm(int kvm, const char *what, unsigned long type)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, type);
	unsigned int i;

	printf("\n%s\n", what);
	check(vm >= 0, "KVM_CREATE_VM creates it");
	if (vm < 0)
		return;

	for (i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++)
		printf("          %-28s %#x\n", capabilities[i].name,
		       ioctl(vm, KVM_CHECK_EXTENSION, capabilities[i].nr));

	check(ioctl(vm, KVM_CREATE_VCPU, 0) >= 0, "KVM_CREATE_VCPU gives it a vCPU");
	close(vm);
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR);

	check(kvm >= 0, "/dev/kvm opens");
	if (kvm >= 0) {
		show_vm(kvm, "A VM of the default type", 0);
#ifdef KVM_VM_TYPE_ARM_PROTECTED
		show_vm(kvm, "A protected VM (pKVM)", KVM_VM_TYPE_ARM_PROTECTED);
#endif
	}
	printf("\n%d checks, %d failed\n", nr_checks, nr_failed);
	return nr_failed ? 1 : 0;
}
