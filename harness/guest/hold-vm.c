// SPDX-License-Identifier: GPL-2.0
/*
 * Keep a VM until the machine goes off.
 *
 * The first VM turns a jump label on that the last one turns off
 * (preempt_notifier_key), and under QEMU's emulation of several arm64 processors
 * one of them at times goes on with the old code. A vCPU is then put without
 * having been loaded, or the reverse, which the kernel WARNs of, or hangs by.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR);

	/* A kernel without KVM has nothing to hold. */
	if (kvm < 0 && errno == ENOENT)
		return 0;

	if (kvm < 0 || ioctl(kvm, KVM_CREATE_VM, 0) < 0) {
		fprintf(stderr, "hold-vm: no VM: %s\n", strerror(errno));
		return 1;
	}

	/* The caller goes on once the VM is there. */
	if (daemon(0, 0))
		return 1;
	for (;;)
		pause();
}
