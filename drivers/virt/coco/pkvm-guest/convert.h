/* SPDX-License-Identifier: GPL-2.0-only */
/* Conversions of a protected guest's memory, a granule at a time. */
#ifndef __PKVM_GUEST_CONVERT_H__
#define __PKVM_GUEST_CONVERT_H__

#include <linux/types.h>

int pkvm_convert_range(phys_addr_t phys, size_t size, size_t granule, bool share);
unsigned long pkvm_convert_granule(phys_addr_t phys, bool share);

#endif /* __PKVM_GUEST_CONVERT_H__ */
