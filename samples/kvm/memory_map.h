/* SPDX-License-Identifier: GPL-2.0 */
/* Draws the VMM's record of guest memory: a block per page. */
#ifndef SAMPLES_KVM_MEMORY_MAP_H
#define SAMPLES_KVM_MEMORY_MAP_H

struct vmm;

void memory_map_draw(struct vmm *vmm);

#endif /* SAMPLES_KVM_MEMORY_MAP_H */
