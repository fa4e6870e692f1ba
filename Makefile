# SPDX-License-Identifier: GPL-2.0
#
# The commands of the project; what they do is in harness/. Not part of the
# kernel, whose makefiles come with the base.

ARCH ?= x86_64
KERNEL ?= patched
VARIANT ?=
T ?=

export KERNEL_TARBALL KERNEL_SRC ACCEL CPU SMP MEM FORCE REPEAT

# The kernel's own makefiles must not see what is said here.
unexport ARCH
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

.PHONY: help tree export build demo test regress check debug matrix bisect bench model series clean

help:
	@echo 'usage: make COMMAND [VARIABLE=value...]'
	@echo
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables: ARCH=x86_64|arm64, KERNEL=patched|base, KERNEL_TARBALL=file or'
	@echo 'KERNEL_SRC=directory (another base), ACCEL=kvm (nesting instead of emulation),'
	@echo 'CPU=, SMP=, MEM= (the test machine), JOBS= (parallel compilers).'

## demo      boot the patched kernel and watch a VMM convert a guest's memory
demo:
	@harness/locked harness/demo $(KERNEL) $(ARCH)

## test      all tests on both architectures (T=name: one; KERNEL=base: on the base;
##           REPEAT=n: each n times, to see how often a race is lost)
test:
	@harness/locked harness/test $(KERNEL) $(T)

## regress   the base's own KVM selftests, on the base and on the patched kernel
regress:
	@harness/locked harness/regress $(T)

## check     checkpatch, sparse, coccicheck, W=1, kernel-doc, shellcheck, SPDX
check:
	@harness/locked harness/check $(T)

## debug     the tests near to the series on a kernel with KASAN and lockdep
debug:
	@harness/locked harness/debug $(ARCH)

## matrix    compile KVM in the configurations of distributions and architectures
matrix:
	@harness/locked harness/matrix $(T)

## bench     what memory attributes cost: base, patched, and other stores; for arm64,
##           what it costs a protected VM to ask userspace
bench:
	@harness/locked harness/bench$(if $(filter arm64,$(ARCH)),-arm64)

## model     check the model of how a protected VM's memory is converted
model:
	@harness/locked harness/model

## bisect    build and test every step of the series on its own
bisect:
	@harness/locked harness/bisect $(T)

## tree      make build/linux: the base, and a commit for each step of the series
tree:
	@harness/locked harness/tree $(KERNEL)

## export    write the commits of build/linux back to series/ and whole files
export:
	@harness/locked harness/export-tree build/linux

## series    write the series as mails to build/mails, ready for git send-email
series:
	@harness/locked harness/series

## build     kernel, selftests and initramfs of KERNEL for ARCH
build:
	@harness/locked harness/build $(KERNEL) $(ARCH) $(VARIANT)

## clean     remove build/; downloads and compiler cache are kept
clean:
	rm -rf build
