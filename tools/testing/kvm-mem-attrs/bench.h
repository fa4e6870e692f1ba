/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_MEM_ATTRS_BENCH_H
#define KVM_MEM_ATTRS_BENCH_H

/*
 * Included ahead of all that the benchmark is made of.  There are no concurrent
 * readers, so RCU costs nothing, as in a kernel that isn't preemptible, and frees
 * what it's given when an operation is done.
 */
#include <stdlib.h>
#include <time.h>

#include "shared.h"
#include <linux/init.h>

#undef rcu_read_lock
#undef rcu_read_unlock
#undef call_rcu
#define rcu_read_lock()		barrier()
#define rcu_read_unlock()	barrier()
#define call_rcu		bench_call_rcu

/* The maple tree's. */
#define kfree_rcu(ptr, ...)	bench_call_rcu(&(ptr)->rcu, bench_free_maple_node)

void bench_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void bench_free_maple_node(struct rcu_head *head);
void bench_rcu_done(void);

extern unsigned long bench_nr_bytes;

#endif
