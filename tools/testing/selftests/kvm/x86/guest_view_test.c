// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracked views: what the guest said by KVM_HC_MAP_GPA_RANGE, and userspace agreed
 * to, is the guest's view, until userspace resets it.  If the attribute is another,
 * then the guest's access exits to userspace; nothing is converted.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "kselftest_harness.h"

/* An arbitrary gpa that the library's own memslots don't use. */
#define TEST_GPA	SZ_4G
#define TEST_SLOT	10
#define NPAGES		16ul
#define PAGE(n)		(TEST_GPA + (n) * PAGE_SIZE)

/* Where a memslot is added later. */
#define LATE_GPA	(2ul * SZ_4G)
#define LATE_SLOT	11

#define PRIVATE		KVM_MAP_GPA_RANGE_ENCRYPTED
#define SHARED		KVM_MAP_GPA_RANGE_DECRYPTED

#define NR_HAMMERED	500
#define NR_RACES	300

/* Makes allocations of a task fail one by one, CONFIG_FAULT_INJECTION. */
#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define FAILSLAB_WAIT	"/sys/kernel/debug/failslab/ignore-gfp-wait"

static const struct vm_shape protected_vm_shape = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

/* What the guest is to do next. */
static struct {
	enum { READ, WRITE, MAP, HAMMER } op;
	u64 gpa;
	u64 arg;
	u64 size;
} command;

static bool done;

static u64 guest_hammer(void)
{
	u64 i, ret = 0;

	for (i = 0; !READ_ONCE(done) && !ret; i++)
		ret = __kvm_hypercall_map_gpa_range(PAGE(i % NPAGES), PAGE_SIZE,
						    i / NPAGES % 2 ? SHARED : PRIVATE);
	return ret;
}

static u64 guest_execute(void)
{
	switch (READ_ONCE(command.op)) {
	case READ:
		return READ_ONCE(*(u64 *)READ_ONCE(command.gpa));
	case WRITE:
		WRITE_ONCE(*(u64 *)READ_ONCE(command.gpa), READ_ONCE(command.arg));
		return 0;
	case MAP:
		return __kvm_hypercall_map_gpa_range(READ_ONCE(command.gpa),
						     READ_ONCE(command.size),
						     READ_ONCE(command.arg));
	case HAMMER:
		return guest_hammer();
	}
	return 0;
}

static void guest_main(void)
{
	for (;;)
		GUEST_SYNC(guest_execute());
}

static void guest_race_main(void)
{
	while (!READ_ONCE(done))
		WRITE_ONCE(*(u64 *)PAGE(0), 1);
	GUEST_SYNC(0);
}

FIXTURE(view) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
};

/* Created without vCPUs, as the view's source is settled before there are any. */
static struct kvm_vm *create_vm(bool tracked)
{
	struct kvm_vm *vm = __vm_create(protected_vm_shape, 2, 0);

	vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
	if (tracked)
		vm_enable_cap(vm, KVM_CAP_TRACKED_GUEST_VIEW, 0);

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, TEST_GPA, TEST_SLOT, NPAGES,
				    KVM_MEM_GUEST_MEMFD);
	virt_map(vm, TEST_GPA, TEST_GPA, NPAGES);
	virt_map(vm, LATE_GPA, LATE_GPA, 1);
	return vm;
}

FIXTURE_SETUP(view)
{
	self->vm = create_vm(true);
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_main);
}

FIXTURE_TEARDOWN(view)
{
	kvm_vm_free(self->vm);
}

/* Run the guest up to the result of its command, which is expected. */
static void expect_result(struct kvm_vcpu *vcpu, u64 expected)
{
	struct ucall uc;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	TEST_ASSERT_EQ(uc.args[1], expected);
}

static void give_command(struct kvm_vm *vm, int op, u64 gpa, u64 size, u64 arg)
{
	command.op = op;
	command.gpa = gpa;
	command.size = size;
	command.arg = arg;
	sync_global_to_guest(vm, command);
}

static void guest_write(struct kvm_vcpu *vcpu, u64 gpa, u64 value)
{
	give_command(vcpu->vm, WRITE, gpa, 0, value);
	expect_result(vcpu, 0);
}

static void guest_read(struct kvm_vcpu *vcpu, u64 gpa, u64 expected)
{
	give_command(vcpu->vm, READ, gpa, 0, 0);
	expect_result(vcpu, expected);
}

/* The access that the guest is about to make, or repeats, exits. */
static void expect_disagreement(struct kvm_vcpu *vcpu, u64 gpa, bool is_private)
{
	int r = _vcpu_run(vcpu);

	TEST_ASSERT(r == -1 && errno == EFAULT, "KVM_RUN returned %d, errno %d", r, errno);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT_EQ(vcpu->run->memory_fault.gpa, gpa);
	TEST_ASSERT_EQ(vcpu->run->memory_fault.size, PAGE_SIZE);
	TEST_ASSERT_EQ(vcpu->run->memory_fault.flags,
		       is_private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0);
}

/* Let the guest ask, up to where userspace has to answer. */
static void guest_ask(struct kvm_vcpu *vcpu, u64 gpa, u64 size, u64 attrs)
{
	give_command(vcpu->vm, MAP, gpa, size, attrs);
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_HYPERCALL);
	TEST_ASSERT_EQ(vcpu->run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	TEST_ASSERT_EQ(vcpu->run->hypercall.args[0], gpa);
	TEST_ASSERT_EQ(vcpu->run->hypercall.args[1], size / PAGE_SIZE);
	TEST_ASSERT_EQ(vcpu->run->hypercall.args[2], attrs);
}

static void answer(struct kvm_vcpu *vcpu, u64 ret)
{
	vcpu->run->hypercall.ret = ret;
	expect_result(vcpu, ret);
}

static void set_private(struct kvm_vm *vm, u64 gpa, u64 size, bool is_private)
{
	vm_set_memory_attributes(vm, gpa, size,
				 is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
}

/* The guest asks, and userspace converts and agrees. */
static void convert(struct kvm_vcpu *vcpu, u64 gpa, u64 size, u64 attrs)
{
	guest_ask(vcpu, gpa, size, attrs);
	set_private(vcpu->vm, gpa, size, attrs == PRIVATE);
	answer(vcpu, 0);
}

static int reset_view(struct kvm_vm *vm, u64 gpa, u64 size)
{
	struct kvm_guest_view_range range = {
		.address = gpa,
		.size = size,
	};

	return __vm_ioctl(vm, KVM_RESET_GUEST_VIEW, &range);
}

TEST_F(view, agree)
{
	convert(self->vcpu, PAGE(0), 2 * PAGE_SIZE, PRIVATE);
	guest_write(self->vcpu, PAGE(1), 0x11);
	guest_read(self->vcpu, PAGE(1), 0x11);

	convert(self->vcpu, PAGE(1), PAGE_SIZE, SHARED);
	guest_write(self->vcpu, PAGE(1), 0x22);
	TEST_ASSERT_EQ(*(u64 *)addr_gpa2hva(self->vm, PAGE(1)), 0x22);
}

/* What the guest didn't ask for exits, at each access, and only where it is so. */
TEST_F(view, userspace_makes_private_shared)
{
	convert(self->vcpu, PAGE(0), 3 * PAGE_SIZE, PRIVATE);
	guest_write(self->vcpu, PAGE(1), 0x33);

	set_private(self->vm, PAGE(1), PAGE_SIZE, false);
	guest_write(self->vcpu, PAGE(0), 1);
	guest_write(self->vcpu, PAGE(2), 1);
	give_command(self->vm, READ, PAGE(1), 0, 0);
	expect_disagreement(self->vcpu, PAGE(1), true);
	expect_disagreement(self->vcpu, PAGE(1), true);

	set_private(self->vm, PAGE(1), PAGE_SIZE, true);
	expect_result(self->vcpu, 0x33);
}

TEST_F(view, userspace_makes_shared_private)
{
	convert(self->vcpu, PAGE(0), PAGE_SIZE, SHARED);
	guest_write(self->vcpu, PAGE(0), 0x44);

	set_private(self->vm, PAGE(0), PAGE_SIZE, true);
	give_command(self->vm, READ, PAGE(0), 0, 0);
	expect_disagreement(self->vcpu, PAGE(0), false);

	set_private(self->vm, PAGE(0), PAGE_SIZE, false);
	expect_result(self->vcpu, 0x44);
}

/* Userspace says yes and converts nothing: also what's mapped can't be used. */
TEST_F(view, agreed_but_not_converted)
{
	guest_write(self->vcpu, PAGE(0), 0x55);

	guest_ask(self->vcpu, PAGE(0), PAGE_SIZE, PRIVATE);
	answer(self->vcpu, 0);

	give_command(self->vm, WRITE, PAGE(0), 0, 0x66);
	expect_disagreement(self->vcpu, PAGE(0), true);
	TEST_ASSERT_EQ(*(u64 *)addr_gpa2hva(self->vm, PAGE(0)), 0x55);

	set_private(self->vm, PAGE(0), PAGE_SIZE, true);
	expect_result(self->vcpu, 0);
}

TEST_F(view, denied)
{
	convert(self->vcpu, PAGE(0), PAGE_SIZE, PRIVATE);

	guest_ask(self->vcpu, PAGE(0), PAGE_SIZE, SHARED);
	answer(self->vcpu, -KVM_EPERM);
	guest_write(self->vcpu, PAGE(0), 1);

	/* It's private for the guest as it was. */
	set_private(self->vm, PAGE(0), PAGE_SIZE, false);
	give_command(self->vm, READ, PAGE(0), 0, 0);
	expect_disagreement(self->vcpu, PAGE(0), true);
}

/* The hypercall's arguments in kvm_run are for userspace to read. */
TEST_F(view, request_is_the_guests)
{
	guest_ask(self->vcpu, PAGE(1), PAGE_SIZE, PRIVATE);
	self->vcpu->run->hypercall.args[0] = PAGE(0);
	self->vcpu->run->hypercall.args[1] = NPAGES;
	self->vcpu->run->hypercall.args[2] = SHARED;
	set_private(self->vm, TEST_GPA, NPAGES * PAGE_SIZE, true);
	answer(self->vcpu, 0);

	/* No view is known of its neighbours: they follow the attribute. */
	set_private(self->vm, TEST_GPA, NPAGES * PAGE_SIZE, false);
	guest_read(self->vcpu, PAGE(0), 0);
	guest_read(self->vcpu, PAGE(2), 0);
	give_command(self->vm, READ, PAGE(1), 0, 0);
	expect_disagreement(self->vcpu, PAGE(1), true);
}

/* Complete the hypercall, and don't let the guest go on. */
static int complete(struct kvm_vcpu *vcpu, u64 ret)
{
	int r;

	vcpu->run->hypercall.ret = ret;
	vcpu->run->immediate_exit = 1;
	r = __vcpu_run(vcpu);
	vcpu->run->immediate_exit = 0;
	TEST_ASSERT_EQ(r, -1);
	return errno;
}

static u64 guest_rax(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_regs_get(vcpu, &regs);
	return regs.rax;
}

/* What counts is what the guest gets to see: a 32-bit one, of an error, maybe 0. */
TEST_F(view, truncated_answer)
{
	struct kvm_sregs sregs, sregs32;

	guest_ask(self->vcpu, PAGE(0), PAGE_SIZE, PRIVATE);
	TEST_ASSERT_EQ(complete(self->vcpu, BIT_ULL(32)), EINTR);
	TEST_ASSERT_EQ(guest_rax(self->vcpu), BIT_ULL(32));
	expect_result(self->vcpu, BIT_ULL(32));
	guest_write(self->vcpu, PAGE(0), 1);

	guest_ask(self->vcpu, PAGE(0), PAGE_SIZE, PRIVATE);
	vcpu_sregs_get(self->vcpu, &sregs);
	sregs32 = sregs;
	sregs32.cs.l = 0;
	sregs32.cs.db = 1;
	vcpu_sregs_set(self->vcpu, &sregs32);
	TEST_ASSERT_EQ(complete(self->vcpu, BIT_ULL(32)), EINTR);
	vcpu_sregs_set(self->vcpu, &sregs);
	TEST_ASSERT_EQ(guest_rax(self->vcpu), 0);
	expect_result(self->vcpu, 0);

	give_command(self->vm, READ, PAGE(0), 0, 0);
	expect_disagreement(self->vcpu, PAGE(0), true);
}

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	TEST_ASSERT(fd >= 0, "open(%s): %d", path, errno);
	TEST_ASSERT(write(fd, value, strlen(value)) > 0, "write(%s): %d", path, errno);
	close(fd);
}

/* Complete the hypercall, while the nth allocation fails.  Returns whether it was made. */
static bool complete_without_memory(struct kvm_vcpu *vcpu, int fd, int nth, int *error)
{
	char buffer[16] = "";

	snprintf(buffer, sizeof(buffer), "%d", nth);
	TEST_ASSERT_EQ(pwrite(fd, buffer, strlen(buffer), 0), strlen(buffer));
	*error = complete(vcpu, 0);

	memset(buffer, 0, sizeof(buffer));
	TEST_ASSERT(pread(fd, buffer, sizeof(buffer) - 1, 0) > 0, "read: %d", errno);
	TEST_ASSERT_EQ(pwrite(fd, "0", 1, 0), 1);
	return !strtoul(buffer, NULL, 0);
}

/* With each allocation failing in turn, the vCPU stays in the hypercall. */
TEST_F(view, no_memory)
{
	int fd, r, nth, nr_failed = 0;
	struct kvm_regs before, after;
	bool made = true;

	if (access(FAIL_NTH, W_OK) || access(FAILSLAB_WAIT, W_OK))
		SKIP(return, "needs CONFIG_FAILSLAB and CONFIG_FAULT_INJECTION_DEBUG_FS");

	write_file(FAILSLAB_WAIT, "N");
	fd = open(FAIL_NTH, O_RDWR);
	TEST_ASSERT(fd >= 0, "open(%s): %d", FAIL_NTH, errno);

	for (nth = 1; made; nth++) {
		guest_ask(self->vcpu, PAGE(1), PAGE_SIZE, PRIVATE);
		vcpu_regs_get(self->vcpu, &before);
		made = complete_without_memory(self->vcpu, fd, nth, &r);
		/* Else it was one that KVM can do without. */
		if (r != EINTR) {
			nr_failed++;
			TEST_ASSERT_EQ(r, ENOMEM);
			TEST_ASSERT_KVM_EXIT_REASON(self->vcpu, KVM_EXIT_HYPERCALL);
			vcpu_regs_get(self->vcpu, &after);
			TEST_ASSERT(!memcmp(&before, &after, sizeof(before)),
				    "registers have changed");
		}
		answer(self->vcpu, 0);

		give_command(self->vm, READ, PAGE(1), 0, 0);
		expect_disagreement(self->vcpu, PAGE(1), true);
		/* Nothing is left to be known, so that it takes memory again. */
		TEST_ASSERT(!reset_view(self->vm, PAGE(1), PAGE_SIZE), "errno %d", errno);
		expect_result(self->vcpu, 0);
	}
	close(fd);
	write_file(FAILSLAB_WAIT, "Y");
	TEST_ASSERT(nr_failed, "no allocation failed");
}

/* Without memslots, the vCPU stays in the hypercall until there are some. */
TEST_F(view, memslot_is_added_first)
{
	struct kvm_regs before, after;

	guest_ask(self->vcpu, LATE_GPA, PAGE_SIZE, PRIVATE);
	vcpu_regs_get(self->vcpu, &before);

	self->vcpu->run->hypercall.ret = 0;
	TEST_ASSERT(_vcpu_run(self->vcpu) == -1 && errno == ENOENT,
		    "a view without memslot: errno %d", errno);
	TEST_ASSERT(_vcpu_run(self->vcpu) == -1 && errno == ENOENT,
		    "a view without memslot, again: errno %d", errno);
	vcpu_regs_get(self->vcpu, &after);
	TEST_ASSERT(!memcmp(&before, &after, sizeof(before)), "registers have changed");

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, LATE_GPA, LATE_SLOT, 1,
				    KVM_MEM_GUEST_MEMFD);
	set_private(self->vm, LATE_GPA, PAGE_SIZE, true);
	answer(self->vcpu, 0);
	guest_write(self->vcpu, LATE_GPA, 1);

	set_private(self->vm, LATE_GPA, PAGE_SIZE, false);
	give_command(self->vm, READ, LATE_GPA, 0, 0);
	expect_disagreement(self->vcpu, LATE_GPA, true);
}

/* Userspace may think better of it. */
TEST_F(view, denied_after_all)
{
	guest_ask(self->vcpu, LATE_GPA - PAGE_SIZE, 2 * PAGE_SIZE, PRIVATE);
	self->vcpu->run->hypercall.ret = 0;
	TEST_ASSERT(_vcpu_run(self->vcpu) == -1 && errno == ENOENT,
		    "a view without memslot: errno %d", errno);
	answer(self->vcpu, -KVM_EINVAL);
}

/* A range that starts or ends in a memslot isn't covered, one across two is. */
TEST_F(view, coverage)
{
	const u64 end = PAGE(NPAGES);

	guest_ask(self->vcpu, PAGE(NPAGES - 1), 2 * PAGE_SIZE, PRIVATE);
	TEST_ASSERT(_vcpu_run(self->vcpu) == -1 && errno == ENOENT, "errno %d", errno);
	answer(self->vcpu, -KVM_EINVAL);

	guest_ask(self->vcpu, PAGE(0) - PAGE_SIZE, 2 * PAGE_SIZE, PRIVATE);
	TEST_ASSERT(_vcpu_run(self->vcpu) == -1 && errno == ENOENT, "errno %d", errno);
	answer(self->vcpu, -KVM_EINVAL);

	guest_ask(self->vcpu, PAGE(0), BIT_ULL(52), PRIVATE);
	TEST_ASSERT(_vcpu_run(self->vcpu) == -1 && errno == ENOENT, "errno %d", errno);
	answer(self->vcpu, -KVM_EINVAL);

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, end, LATE_SLOT, 1,
				    KVM_MEM_GUEST_MEMFD);
	convert(self->vcpu, PAGE(NPAGES - 1), 2 * PAGE_SIZE, PRIVATE);
}

TEST_F(view, reset)
{
	convert(self->vcpu, PAGE(0), 3 * PAGE_SIZE, PRIVATE);
	set_private(self->vm, PAGE(0), 3 * PAGE_SIZE, false);

	TEST_ASSERT(!reset_view(self->vm, PAGE(1), PAGE_SIZE), "errno %d", errno);
	guest_read(self->vcpu, PAGE(1), 0);
	give_command(self->vm, READ, PAGE(2), 0, 0);
	expect_disagreement(self->vcpu, PAGE(2), true);

	/* All that there can be, for a VM's reset. */
	TEST_ASSERT(!reset_view(self->vm, 0, BIT_ULL(63)), "errno %d", errno);
	expect_result(self->vcpu, 0);
	guest_read(self->vcpu, PAGE(0), 0);
}

TEST_F(view, reset_errors)
{
	struct kvm_guest_view_range range = { .address = PAGE(0), .size = PAGE_SIZE };
	struct kvm_guest_view_range *no_range = NULL;
	struct kvm_vm *untracked = create_vm(false);

	TEST_ASSERT(reset_view(self->vm, PAGE(0) + 1, PAGE_SIZE) && errno == EINVAL,
		    "unaligned address: errno %d", errno);
	TEST_ASSERT(reset_view(self->vm, PAGE(0), 1) && errno == EINVAL,
		    "unaligned size: errno %d", errno);
	TEST_ASSERT(reset_view(self->vm, PAGE(0), 0) && errno == EINVAL,
		    "no size: errno %d", errno);
	TEST_ASSERT(reset_view(self->vm, -PAGE_SIZE, 2 * PAGE_SIZE) && errno == EINVAL,
		    "wraps around: errno %d", errno);
	TEST_ASSERT(reset_view(untracked, PAGE(0), PAGE_SIZE) && errno == EINVAL,
		    "not tracked: errno %d", errno);

	range.flags = 1;
	TEST_ASSERT(__vm_ioctl(self->vm, KVM_RESET_GUEST_VIEW, &range) && errno == EINVAL,
		    "flags: errno %d", errno);
	range.flags = 0;
	range.reserved = 1;
	TEST_ASSERT(__vm_ioctl(self->vm, KVM_RESET_GUEST_VIEW, &range) && errno == EINVAL,
		    "reserved: errno %d", errno);
	TEST_ASSERT(__vm_ioctl(self->vm, KVM_RESET_GUEST_VIEW, no_range) && errno == EFAULT,
		    "bad pointer: errno %d", errno);
	kvm_vm_free(untracked);
}

/* A prefault finds a disagreement, too, and has no exit. */
TEST_F(view, prefault)
{
	struct kvm_pre_fault_memory range = { .gpa = PAGE(0), .size = PAGE_SIZE };

	convert(self->vcpu, PAGE(0), PAGE_SIZE, PRIVATE);
	TEST_ASSERT(!__vcpu_ioctl(self->vcpu, KVM_PRE_FAULT_MEMORY, &range),
		    "prefault of what is agreed on: errno %d", errno);

	set_private(self->vm, PAGE(0), PAGE_SIZE, false);
	range = (struct kvm_pre_fault_memory) { .gpa = PAGE(0), .size = PAGE_SIZE };
	TEST_ASSERT(__vcpu_ioctl(self->vcpu, KVM_PRE_FAULT_MEMORY, &range) && errno == EFAULT,
		    "prefault of what isn't: errno %d", errno);
	TEST_ASSERT_KVM_EXIT_REASON(self->vcpu, KVM_EXIT_IO);
}

/* Without the capability, userspace's word is the guest's. */
TEST(untracked)
{
	struct kvm_vm *vm = create_vm(false);
	struct kvm_vcpu *vcpu = vm_vcpu_add(vm, 0, guest_main);

	convert(vcpu, PAGE(0), PAGE_SIZE, PRIVATE);
	set_private(vm, PAGE(0), PAGE_SIZE, false);
	guest_read(vcpu, PAGE(0), 0);

	/* Nor does KVM look at memslots. */
	guest_ask(vcpu, LATE_GPA, PAGE_SIZE, PRIVATE);
	answer(vcpu, 0);
	kvm_vm_free(vm);
}

static void expect_no_cap(struct kvm_vm *vm, u64 arg, const char *why)
{
	TEST_ASSERT(__vm_enable_cap(vm, KVM_CAP_TRACKED_GUEST_VIEW, arg) && errno == EINVAL,
		    "%s: errno %d", why, errno);
}

TEST(capability)
{
	struct kvm_vm *vm = create_vm(false);

	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_TRACKED_GUEST_VIEW), 1);
	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_TRACKED_GUEST_VIEW), 1);
	expect_no_cap(vm, 1, "an argument");
	vm_vcpu_add(vm, 0, guest_main);
	expect_no_cap(vm, 0, "a vCPU exists");
	kvm_vm_free(vm);

	vm = vm_create_barebones();
	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_TRACKED_GUEST_VIEW), 0);
	expect_no_cap(vm, 0, "not a protected VM");
	kvm_vm_free(vm);
}

static void *agree_to_all(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;

	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_HYPERCALL)
			break;
		vcpu->run->hypercall.ret = 0;
	}
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	TEST_ASSERT_EQ(uc.args[1], 0);
	return NULL;
}

/* A guest that does nothing but ask doesn't keep others from the VM's memslots. */
TEST_F_TIMEOUT(view, hammer, 600)
{
	pthread_t vcpu_thread;
	int i;

	give_command(self->vm, HAMMER, 0, 0, 0);
	kvm_pthread_create(&vcpu_thread, NULL, agree_to_all, self->vcpu);

	for (i = 0; i < NR_HAMMERED; i++) {
		vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, LATE_GPA,
					    LATE_SLOT, 1, 0);
		set_private(self->vm, LATE_GPA, PAGE_SIZE, i & 1);
		vm_mem_region_delete(self->vm, LATE_SLOT);
	}

	done = true;
	sync_global_to_guest(self->vm, done);
	kvm_pthread_join(vcpu_thread, NULL);
}

static void *access_until_done(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;

	while (_vcpu_run(vcpu)) {
		TEST_ASSERT_EQ(errno, EFAULT);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MEMORY_FAULT);
		TEST_ASSERT_EQ(vcpu->run->memory_fault.gpa, PAGE(0));
	}
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	TEST_ASSERT_EQ(uc.args[1], 0);
	return NULL;
}

/*
 * While one vCPU's request is served, another one uses the page: it exits for as long
 * as the views differ, and not for any other reason or page.
 */
TEST_F(view, another_vcpu)
{
	struct kvm_vcpu *other = vm_vcpu_add(self->vm, 1, guest_race_main);
	pthread_t thread;
	int i;

	kvm_pthread_create(&thread, NULL, access_until_done, other);

	for (i = 0; i < NR_RACES; i++)
		convert(self->vcpu, PAGE(0), PAGE_SIZE, i & 1 ? SHARED : PRIVATE);

	done = true;
	sync_global_to_guest(self->vm, done);
	kvm_pthread_join(thread, NULL);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_TRACKED_GUEST_VIEW));

	return test_harness_run(argc, argv);
}
