// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to have userspace convert a protected VM's memory, instead of leaving it to
 * the hypervisor: the same guest in a VM that opts in and in one that doesn't, by turns.
 *
 * The guest is a few instructions without MMU, see pkvm_legacy_test. It prints
 * "name|legacy or asked|value|unit"; there is nothing to pass or to fail.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "kvm_util.h"
#include "pkvm.h"
#include "processor.h"
#include "test_util.h"

#define CODE_GPA	SZ_1M
#define DATA_GPA	SZ_4M
#define DATA_PAGES	4096ul
#define MMIO_GPA	(SZ_1G + SZ_1M)

#define MAX_VCPUS	4
#define NR_CONVERSIONS	500
#define NR_ROUNDS	3

/* As many pages as can be asked for at once. */
#define RANGE_PAGES	64
#define NR_RANGES	16

/*
 * x1 is the first page, x4 the number of rounds, or of pages, and x6 the number of pages to be
 * converted at once, or 0 for one. Functions are those of
 * Documentation/virt/kvm/arm/hypercalls.rst.
 */
asm(".pushsection .rodata\n\t"
	".balign 8\n"
	"perf_convert:\n\t"
	"mov	x5, x1\n"
	"1:\n\t"
	"mov	x0, #3\n\t"
	"movk	x0, #0xc600, lsl #16\n\t"
	"mov	x1, x5\n\t"
	"mov	x2, x6\n\t"
	"mov	x3, #0\n\t"
	"hvc	#0\n\t"
	"mov	x0, #4\n\t"
	"movk	x0, #0xc600, lsl #16\n\t"
	"mov	x1, x5\n\t"
	"mov	x2, x6\n\t"
	"mov	x3, #0\n\t"
	"hvc	#0\n\t"
	"subs	x4, x4, #1\n\t"
	"b.ne	1b\n\t"
	"str	x0, [x10]\n"
	"perf_touch:\n\t"
	"str	xzr, [x1]\n\t"
	"add	x1, x1, #4096\n\t"
	"subs	x4, x4, #1\n\t"
	"b.ne	perf_touch\n\t"
	"str	x0, [x10]\n"
	"perf_end:\n\t"
	".popsection\n");

struct machine {
	bool asks;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[MAX_VCPUS];
};

static const char *name(const struct machine *machine)
{
	return machine->asks ? "asked" : "legacy";
}

static void report(const char *what, const struct machine *machine, double value,
		   const char *unit)
{
	printf("%s|%s|%.3f|%s\n", what, name(machine), value, unit);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static void set_x(struct kvm_vcpu *vcpu, int x, u64 value)
{
	vcpu_set_reg(vcpu, ARM64_CORE_REG(regs.regs[0]) + 2 * x, value);
}

static void create(struct machine *machine, bool asks)
{
	struct kvm_vcpu_init init;
	char *code;
	int i;

	machine->asks = asks;
	machine->vm = ____vm_create(private_mem_shape);
	if (asks)
		pkvm_enable_conversions(machine->vm);

	vm_userspace_mem_region_add(machine->vm, VM_MEM_SRC_ANONYMOUS, CODE_GPA, 0, 1, 0);
	vm_userspace_mem_region_add(machine->vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA, 1, DATA_PAGES, 0);
	code = addr_gpa2hva(machine->vm, CODE_GPA);
	memcpy(code, PKVM_CODE(perf_convert), PKVM_CODE(perf_end) - PKVM_CODE(perf_convert));
	__builtin___clear_cache(code, code + SZ_4K);
	/* There, so that a first touch is that and not an allocation. */
	memset(addr_gpa2hva(machine->vm, DATA_GPA), 1, DATA_PAGES * SZ_4K);
	if (asks) {
		vm_mem_set_private(machine->vm, CODE_GPA, SZ_4K);
		vm_mem_set_private(machine->vm, DATA_GPA, DATA_PAGES * SZ_4K);
	}

	vm_ioctl(machine->vm, KVM_ARM_PREFERRED_TARGET, &init);
	for (i = 0; i < MAX_VCPUS; i++) {
		machine->vcpus[i] = __vm_vcpu_add(machine->vm, i);
		vcpu_ioctl(machine->vcpus[i], KVM_ARM_VCPU_INIT, &init);
		set_x(machine->vcpus[i], 10, MMIO_GPA);
	}
}

enum answer {
	AGREE,
	DENY,
};

/* What a vCPU is to do, and how long it takes. */
struct job {
	struct kvm_vcpu *vcpu;
	const char *code;
	u64 gpa;
	u64 count;
	/* How many pages are converted at once, or 0 for one. */
	u64 nr;
	enum answer answer;
	double us;
	double us_in_ioctl;
	unsigned int nr_exits;
};

static void answer(struct job *job)
{
	double start = now_us();

	job->nr_exits++;
	if (job->answer == DENY) {
		job->vcpu->run->hypercall.ret = EINVAL;
		return;
	}

	pkvm_agree(job->vcpu);
	job->us_in_ioctl += now_us() - start;
}

static void *run_job(void *arg)
{
	struct job *job = arg;
	struct kvm_vcpu *vcpu = job->vcpu;
	u64 gpa, size;
	double start;
	bool share;

	/* What is done with the last access, so that the PC is where it says. */
	if (vcpu->run->exit_reason == KVM_EXIT_MMIO)
		vcpu_run_complete_io(vcpu);
	vcpu_set_reg(vcpu, ARM64_CORE_REG(regs.pc),
		     CODE_GPA + (job->code - PKVM_CODE(perf_convert)));
	set_x(vcpu, 1, job->gpa);
	set_x(vcpu, 4, job->count);
	set_x(vcpu, 6, job->nr);

	start = now_us();
	vcpu_run(vcpu);
	while (pkvm_wants_range(vcpu, &gpa, &size, &share)) {
		TEST_ASSERT_EQ(size, (job->nr ?: 1) * SZ_4K);
		answer(job);
		vcpu_run(vcpu);
	}
	job->us = now_us() - start;
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	return NULL;
}

static struct job run(struct machine *machine, const char *code, u64 page, u64 count,
		      enum answer answer)
{
	struct job job = {
		.vcpu = machine->vcpus[0],
		.code = code,
		.gpa = DATA_GPA + page * SZ_4K,
		.count = count,
		.answer = answer,
	};

	run_job(&job);
	return job;
}

/* A line of a file in kB. */
static long kib(const char *path, const char *what)
{
	FILE *file = fopen(path, "r");
	char line[128];
	long value = 0;

	TEST_ASSERT(file, "Can't open %s", path);
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, what, strlen(what)))
			sscanf(line + strlen(what), " %ld", &value);
	}
	fclose(file);
	return value;
}

static long kernel_kib(void)
{
	return kib("/proc/meminfo", "Slab:") + kib("/proc/meminfo", "SecPageTables:");
}

/* Of what has run once, so that it is there. */
static void measure_touch(struct machine *machine)
{
	const double per_gib = (double)SZ_1G / SZ_4K / (DATA_PAGES - 16);
	long kernel, locked;
	struct job job;

	run(machine, PKVM_CODE(perf_touch), 0, 16, AGREE);
	kernel = kernel_kib();
	locked = kib("/proc/self/status", "VmLck:");
	job = run(machine, PKVM_CODE(perf_touch), 16, DATA_PAGES - 16, AGREE);

	report("first touch of a page", machine, job.us / (DATA_PAGES - 16), "us");
	report("the kernel's memory, per GiB", machine, (kernel_kib() - kernel) * per_gib, "KiB");
	report("locked memory, per GiB", machine,
	       (kib("/proc/self/status", "VmLck:") - locked) * per_gib / 1024, "MiB");
}

static void measure_conversion(struct machine *machine)
{
	struct job job;

	run(machine, PKVM_CODE(perf_convert), 0, 16, AGREE);
	job = run(machine, PKVM_CODE(perf_convert), 0, NR_CONVERSIONS, AGREE);
	report("share and unshare a page", machine, job.us / NR_CONVERSIONS, "us");
	if (!machine->asks)
		return;

	report(" of that, KVM_SET_MEMORY_ATTRIBUTES", machine, job.us_in_ioctl / NR_CONVERSIONS,
	       "us");
	job = run(machine, PKVM_CODE(perf_convert), 0, NR_CONVERSIONS, DENY);
	report(" and an exit that is denied", machine, job.us / job.nr_exits, "us");
}

/* What is touched, and asked for at once where that can be asked for, and else one by one. */
static void measure_range(struct machine *machine)
{
	struct job job = {
		.vcpu = machine->vcpus[0],
		.code = PKVM_CODE(perf_convert),
		.gpa = DATA_GPA,
		.count = NR_RANGES,
		.nr = RANGE_PAGES,
	};
	int i;

	if (!machine->asks) {
		for (i = 0; i < RANGE_PAGES; i++)
			job.us += run(machine, PKVM_CODE(perf_convert), i, NR_RANGES, AGREE).us;
	} else {
		run_job(&job);
	}
	report("the same for each of 64 pages", machine, job.us / NR_RANGES / RANGE_PAGES, "us");
	if (machine->asks)
		report(" of those, KVM_SET_MEMORY_ATTRIBUTES", machine,
		       job.us_in_ioctl / NR_RANGES / RANGE_PAGES, "us");
}

static void measure_vcpus(struct machine *machine, int nr)
{
	struct job jobs[MAX_VCPUS];
	pthread_t threads[MAX_VCPUS];
	char what[40];
	double start;
	int i;

	for (i = 0; i < nr; i++) {
		jobs[i] = (struct job) {
			.vcpu = machine->vcpus[i],
			.code = PKVM_CODE(perf_convert),
			.gpa = DATA_GPA + i * SZ_4K,
			.count = NR_CONVERSIONS,
		};
	}

	start = now_us();
	for (i = 0; i < nr; i++)
		kvm_pthread_create(&threads[i], NULL, run_job, &jobs[i]);
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);

	snprintf(what, sizeof(what), "both, by %d vCPUs at a time", nr);
	report(what, machine, (now_us() - start) / NR_CONVERSIONS / nr, "us");
}

int main(void)
{
	struct machine machine;
	int i, nr;

	__TEST_REQUIRE(!private_mem_missing(), "%s", private_mem_missing());
	__TEST_REQUIRE(!geteuid(), "needs to be root, to pin as much memory as it likes");

	for (i = 0; i < 2 * NR_ROUNDS; i++) {
		create(&machine, i % 2);
		measure_touch(&machine);
		measure_conversion(&machine);
		measure_range(&machine);
		for (nr = 1; nr <= MAX_VCPUS; nr *= 2)
			measure_vcpus(&machine, nr);
		kvm_vm_free(machine.vm);
	}
	return 0;
}
