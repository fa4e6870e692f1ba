/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's device "edu", driven from user space: what a device can do to memory that the host
 * can't access itself.
 */
#ifndef SELFTEST_KVM_EDU_DMA_H
#define SELFTEST_KVM_EDU_DMA_H

#include "kvm_util.h"

/* Its registers, or NULL if this machine has none. It may access memory from then on. */
char *edu_open(void);
void edu_close(char *edu);

/* Have it read eight bytes of memory into its own, or write them, by physical address. */
void edu_load(char *edu, u64 pa);
void edu_store(char *edu, u64 pa);

#endif /* SELFTEST_KVM_EDU_DMA_H */
