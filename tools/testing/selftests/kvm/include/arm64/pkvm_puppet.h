/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests of protected VMs that do what the host tells them, a command at a time, by a page
 * that each vCPU shares with it.
 */
#ifndef SELFTEST_KVM_PKVM_PUPPET_H
#define SELFTEST_KVM_PKVM_PUPPET_H

#include "kvm_util.h"
#include "pkvm.h"

enum pkvm_op {
	OP_READ,
	OP_WRITE,
	OP_SHARE,
	OP_UNSHARE,
	/* Any hypercall: the function is the gpa, and it has one argument, the value. */
	OP_HVC,
	OP_SMC,
	/* And the result is what it returns in R1. */
	OP_HVC_R1,
};

struct pkvm_command {
	enum pkvm_op op;
	u64 gpa;
	/* How many pages are to be converted, or 0 if that isn't said. */
	u64 nr;
	/* Of a conversion: the argument that it doesn't know. */
	u64 value;
	/* The guest is at it. */
	bool begun;
};

/* What an access returns that the host has ended. */
#define PKVM_ENDED	0xe4dedull

/*
 * vCPUs that wait for commands, of a VM that has all of its memory. An abort that the host
 * injects is of no consequence to them.
 */
void pkvm_add_puppets(struct kvm_vm *vm, int nr, struct kvm_vcpu *vcpus[],
		      struct pkvm_command *commands[]);

/* What the last command has returned, of a vCPU that is done with it. */
u64 pkvm_puppet_result(struct kvm_vcpu *vcpu);

#endif /* SELFTEST_KVM_PKVM_PUPPET_H */
