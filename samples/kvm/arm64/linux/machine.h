/* SPDX-License-Identifier: GPL-2.0 */
/* The machine that the guest finds: where things are, and its device tree. */
#ifndef SAMPLES_KVM_ARM64_LINUX_MACHINE_H
#define SAMPLES_KVM_ARM64_LINUX_MACHINE_H

#include <stddef.h>

#define GIC_DIST_GPA	0x08000000UL
#define GIC_DIST_SIZE	0x10000UL
#define GIC_REDIST_GPA	0x080a0000UL
#define GIC_REDIST_SIZE	0x20000UL

/* The serial port, of which no more is there than what prints. */
#define UART_GPA	0x09000000UL
#define UART_SIZE	0x1000UL
/* A clock that reads as zeros: a device that has the restricted DMA pool. */
#define RTC_GPA		0x09010000UL
#define RTC_SIZE	0x1000UL

#define RAM_GPA		0x80000000UL
#define RAM_SIZE	0x08000000UL

/* The kernel is at the start, and these are at the end. */
#define POOL_SIZE	0x00200000UL
#define POOL_GPA	(RAM_GPA + RAM_SIZE - POOL_SIZE)
#define DTB_SIZE	0x00010000UL
#define DTB_GPA		(POOL_GPA - 0x00200000UL)
#define INITRD_GPA	(RAM_GPA + 0x04000000UL)
#define INITRD_SIZE	(DTB_GPA - INITRD_GPA)

/* Writes the device tree, and returns its size. */
size_t machine_describe(void *to, size_t room, size_t initrd_size);

#endif /* SAMPLES_KVM_ARM64_LINUX_MACHINE_H */
