// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd that is shared in place: host user space can map a page exactly while
 * its attribute is shared, a conversion keeps its content, and fails as a whole
 * while somebody uses a page that is to become private.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "kselftest_harness.h"

/* An arbitrary gpa that the library's own memslots don't use. */
#define TEST_GPA	SZ_4G
#define TEST_SLOT	10
#define NPAGES		16ul
#define SIZE		(NPAGES * PAGE_SIZE)
#define PAGE(n)		(TEST_GPA + (n) * PAGE_SIZE)

#define IN_PLACE	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_IN_PLACE)

#define NR_RACES	300

static const struct vm_shape protected_vm_shape = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

/* What the guest is to do next. */
static struct {
	bool write;
	u64 gpa;
	u64 value;
} command;

static void guest_main(void)
{
	u64 *p, value;

	for (;;) {
		p = (u64 *)READ_ONCE(command.gpa);
		value = READ_ONCE(command.value);
		if (READ_ONCE(command.write))
			WRITE_ONCE(*p, value);
		else
			value = READ_ONCE(*p);
		GUEST_SYNC(value);
	}
}

FIXTURE(gmem) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	char *mem;
	int fd;
};

/* Two memslots, so that what is to be all or nothing is so across both. */
static void add_memslots(struct kvm_vm *vm, int fd, char *mem)
{
	vm_set_user_memory_region2(vm, TEST_SLOT, KVM_MEM_GUEST_MEMFD, PAGE(0),
				   SIZE / 2, mem, fd, 0);
	vm_set_user_memory_region2(vm, TEST_SLOT + 1, KVM_MEM_GUEST_MEMFD, PAGE(NPAGES / 2),
				   SIZE / 2, mem + SIZE / 2, fd, SIZE / 2);
}

static void remove_memslots(struct kvm_vm *vm, int fd, char *mem)
{
	vm_set_user_memory_region2(vm, TEST_SLOT, KVM_MEM_GUEST_MEMFD, PAGE(0), 0, mem, fd, 0);
	vm_set_user_memory_region2(vm, TEST_SLOT + 1, KVM_MEM_GUEST_MEMFD, PAGE(NPAGES / 2),
				   0, mem, fd, 0);
}

FIXTURE_SETUP(gmem)
{
	self->vm = vm_create_shape_with_one_vcpu(protected_vm_shape, &self->vcpu, guest_main);
	self->fd = vm_create_guest_memfd(self->vm, SIZE, IN_PLACE);
	self->mem = kvm_mmap(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd);
	add_memslots(self->vm, self->fd, self->mem);
	virt_map(self->vm, TEST_GPA, TEST_GPA, NPAGES);
}

FIXTURE_TEARDOWN(gmem)
{
	kvm_munmap(self->mem, SIZE);
	close(self->fd);
	kvm_vm_free(self->vm);
}

static sigjmp_buf bus_error;

static void on_sigbus(int sig)
{
	siglongjmp(bus_error, 1);
}

/* Whether the host can read the page. */
static bool is_mapped(volatile char *page)
{
	struct sigaction action = { .sa_handler = on_sigbus }, old;
	bool ok = false;

	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(bus_error, 1)) {
		(void)*page;
		ok = true;
	}
	sigaction(SIGBUS, &old, NULL);
	return ok;
}

static void expect_mapped(char *mem, u64 first, u64 end, bool mapped)
{
	u64 page;

	for (page = first; page < end; page++)
		TEST_ASSERT(is_mapped(mem + page * PAGE_SIZE) == mapped,
			    "page %lu is %s", page, mapped ? "SIGBUS" : "mapped");
}

static u64 guest_access(struct kvm_vcpu *vcpu, bool write, u64 gpa, u64 value)
{
	struct ucall uc;

	command.write = write;
	command.gpa = gpa;
	command.value = value;
	sync_global_to_guest(vcpu->vm, command);

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	return uc.args[1];
}

static void guest_write(struct kvm_vcpu *vcpu, u64 gpa, u64 value)
{
	guest_access(vcpu, true, gpa, value);
}

static void guest_expect(struct kvm_vcpu *vcpu, u64 gpa, u64 value)
{
	TEST_ASSERT_EQ(guest_access(vcpu, false, gpa, 0), value);
}

static int set_attributes(struct kvm_vm *vm, u64 gpa, u64 size, u64 attributes)
{
	struct kvm_memory_attributes attr = {
		.address = gpa,
		.size = size,
		.attributes = attributes,
	};

	return __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr) ? errno : 0;
}

/* Some page is used: no attribute, content or mapping of another page is lost. */
static void expect_busy(struct __test_metadata *_metadata, struct kvm_vm *vm, char *mem)
{
	TEST_ASSERT_EQ(set_attributes(vm, TEST_GPA, SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE), EAGAIN);
	expect_mapped(mem, 0, NPAGES, true);
}

static void make_private(struct kvm_vm *vm)
{
	TEST_ASSERT_EQ(set_attributes(vm, TEST_GPA, SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
}

TEST_F(gmem, content_is_kept)
{
	*(u64 *)(self->mem + PAGE_SIZE) = 0x11;
	guest_expect(self->vcpu, PAGE(1), 0x11);

	make_private(self->vm);
	guest_expect(self->vcpu, PAGE(1), 0x11);
	guest_write(self->vcpu, PAGE(1), 0x22);

	vm_mem_set_shared(self->vm, PAGE(1), PAGE_SIZE);
	TEST_ASSERT_EQ(*(u64 *)(self->mem + PAGE_SIZE), 0x22);
	guest_expect(self->vcpu, PAGE(1), 0x22);
}

TEST_F(gmem, mapped_while_shared)
{
	expect_mapped(self->mem, 0, NPAGES, true);

	vm_mem_set_private(self->vm, PAGE(3), 8 * PAGE_SIZE);
	expect_mapped(self->mem, 0, 3, true);
	expect_mapped(self->mem, 3, 11, false);
	expect_mapped(self->mem, 11, NPAGES, true);

	vm_mem_set_shared(self->vm, PAGE(5), PAGE_SIZE);
	expect_mapped(self->mem, 3, 5, false);
	expect_mapped(self->mem, 5, 6, true);
	expect_mapped(self->mem, 6, 11, false);
}

/* System calls that are given such a pointer fail. */
TEST_F(gmem, private_for_syscalls)
{
	struct iovec iov = { .iov_base = self->mem, .iov_len = PAGE_SIZE };
	char buffer[PAGE_SIZE];
	int fds[2], fd;

	make_private(self->vm);
	TEST_ASSERT(!pipe(fds), "pipe() failed");

	TEST_ASSERT(write(fds[1], self->mem, 1) == -1 && errno == EFAULT, "write: %d", errno);

	TEST_ASSERT(vmsplice(fds[1], &iov, 1, 0) == -1 && errno == EFAULT,
		    "vmsplice: %d", errno);

	/* As process_vm_readv() and ptrace() do. */
	fd = open("/proc/self/mem", O_RDONLY);
	TEST_ASSERT(fd >= 0, "open(/proc/self/mem): %d", errno);
	TEST_ASSERT(pread(fd, buffer, PAGE_SIZE, (uintptr_t)self->mem) == -1 && errno == EIO,
		    "pread(/proc/self/mem): %d", errno);
	close(fd);
}

/* KVM's own accesses by the memslot's userspace_addr fail, too: to a page of MSRs. */
TEST_F(gmem, private_for_kvm)
{
	make_private(self->vm);
	/* The system time that KVM writes at once, if it can. */
	vcpu_set_msr(self->vcpu, MSR_KVM_WALL_CLOCK_NEW, PAGE(0));
	guest_expect(self->vcpu, PAGE(0), 0);
}

/* A page in a pipe: its user has it without a mapping. */
TEST_F(gmem, spliced)
{
	struct iovec iov = { .iov_base = self->mem + 12 * PAGE_SIZE, .iov_len = PAGE_SIZE };
	char buffer[PAGE_SIZE];
	int fds[2];

	memset(self->mem, 0x33, SIZE);
	TEST_ASSERT(!pipe(fds), "pipe() failed");
	TEST_ASSERT_EQ(vmsplice(fds[1], &iov, 1, 0), PAGE_SIZE);

	/* The first memslot isn't the one that fails. */
	expect_busy(_metadata, self->vm, self->mem);
	guest_expect(self->vcpu, PAGE(2), 0x3333333333333333ull);

	TEST_ASSERT_EQ(read(fds[0], buffer, PAGE_SIZE), PAGE_SIZE);
	TEST_ASSERT_EQ(buffer[0], 0x33);
	make_private(self->vm);
	expect_mapped(self->mem, 0, NPAGES, false);
	guest_expect(self->vcpu, PAGE(2), 0x3333333333333333ull);
}

/* Pages that are private already don't matter. */
TEST_F(gmem, used_elsewhere)
{
	struct iovec iov = { .iov_base = self->mem, .iov_len = PAGE_SIZE };
	int fds[2];

	TEST_ASSERT(!pipe(fds), "pipe() failed");
	TEST_ASSERT_EQ(vmsplice(fds[1], &iov, 1, 0), PAGE_SIZE);

	TEST_ASSERT_EQ(set_attributes(self->vm, PAGE(1), SIZE - PAGE_SIZE,
				      KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
	TEST_ASSERT_EQ(set_attributes(self->vm, PAGE(0), PAGE_SIZE,
				      KVM_MEMORY_ATTRIBUTE_PRIVATE), EAGAIN);
}

TEST_F(gmem, rebinding_does_not_convert)
{
	struct iovec iov = { .iov_base = self->mem, .iov_len = PAGE_SIZE };
	struct kvm_userspace_memory_region2 region = {
		.slot = TEST_SLOT,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = PAGE(0),
		.userspace_addr = (uintptr_t)self->mem,
		.memory_size = SIZE / 2,
		.guest_memfd = self->fd,
	};
	int fds[2];

	memset(self->mem, 0x44, SIZE);
	TEST_ASSERT(!pipe(fds), "pipe() failed");
	TEST_ASSERT_EQ(vmsplice(fds[1], &iov, 1, 0), PAGE_SIZE);

	/* Bound to nothing, it's private. */
	remove_memslots(self->vm, self->fd, self->mem);
	expect_mapped(self->mem, 0, NPAGES, false);

	/* Bound to private gfns, the page mustn't be used. */
	make_private(self->vm);
	TEST_ASSERT(__vm_ioctl(self->vm, KVM_SET_USER_MEMORY_REGION2, &region) &&
		    errno == EAGAIN, "bound while used: %d", errno);
	close(fds[0]);
	close(fds[1]);
	add_memslots(self->vm, self->fd, self->mem);
	expect_mapped(self->mem, 0, NPAGES, false);
	guest_expect(self->vcpu, PAGE(0), 0x4444444444444444ull);

	vm_mem_set_shared(self->vm, TEST_GPA, SIZE);
	TEST_ASSERT_EQ(self->mem[0], 0x44);
}

TEST_F(gmem, punch_hole)
{
	memset(self->mem, 0x55, SIZE);
	vm_mem_set_private(self->vm, PAGE(4), 4 * PAGE_SIZE);
	guest_expect(self->vcpu, PAGE(0), 0x5555555555555555ull);
	guest_expect(self->vcpu, PAGE(4), 0x5555555555555555ull);

	/* A shared one and a private one. */
	TEST_ASSERT(!fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       3 * PAGE_SIZE, 2 * PAGE_SIZE), "punch hole: %d", errno);

	guest_expect(self->vcpu, PAGE(3), 0);
	guest_expect(self->vcpu, PAGE(4), 0);
	guest_expect(self->vcpu, PAGE(5), 0x5555555555555555ull);
	TEST_ASSERT_EQ(self->mem[3 * PAGE_SIZE], 0);
	expect_mapped(self->mem, 3, 4, true);
	expect_mapped(self->mem, 4, 8, false);
}

/* A child has the same mapping, and the same right to it. */
TEST_F(gmem, fork)
{
	int ready[2], go[2], status;
	char c = 0;
	pid_t pid;

	TEST_ASSERT(!pipe(ready) && !pipe(go), "pipe() failed");
	self->mem[0] = 0x66;
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork() failed");
	if (!pid) {
		if (!is_mapped(self->mem) || self->mem[0] != 0x66)
			_exit(1);
		if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(2);
		_exit(is_mapped(self->mem) ? 3 : 0);
	}

	TEST_ASSERT_EQ(read(ready[0], &c, 1), 1);
	make_private(self->vm);
	TEST_ASSERT_EQ(write(go[1], &c, 1), 1);
	TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
	TEST_ASSERT_EQ(status, 0);
}

static bool done;

static void *touch_forever(void *arg)
{
	volatile char *mem = arg;
	u64 page = 0;

	while (!READ_ONCE(done)) {
		is_mapped(mem + page * PAGE_SIZE);
		page = (page + 1) % NPAGES;
	}
	return NULL;
}

static void *remap_forever(void *arg)
{
	int fd = *(int *)arg;
	char *mem;

	while (!READ_ONCE(done)) {
		mem = kvm_mmap(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
		madvise(mem, SIZE, MADV_POPULATE_WRITE);
		kvm_munmap(mem, SIZE);
	}
	return NULL;
}

/* EAGAIN is an answer, a private page that's mapped isn't. */
static void race(struct kvm_vm *vm, char *mem, void *(*racer)(void *), void *arg)
{
	pthread_t thread;
	int i, r, nr_private = 0;

	kvm_pthread_create(&thread, NULL, racer, arg);
	for (i = 0; i < NR_RACES || !nr_private; i++) {
		r = set_attributes(vm, TEST_GPA, SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
		TEST_ASSERT(!r || r == EAGAIN, "conversion: %d", r);
		if (!r) {
			nr_private++;
			TEST_ASSERT_EQ(set_attributes(vm, TEST_GPA, SIZE, 0), 0);
		}
	}
	WRITE_ONCE(done, true);
	kvm_pthread_join(thread, NULL);
}

TEST_F(gmem, race_with_munmap)
{
	race(self->vm, self->mem, remap_forever, &self->fd);
}

/* The thread jumps out of its SIGBUS, so nobody else may have any. */
TEST_F(gmem, race_with_faults)
{
	race(self->vm, self->mem, touch_forever, self->mem);
}

TEST_F(gmem, race_with_exit)
{
	pid_t pid;
	int i, r, status;

	for (i = 0; i < 20; i++) {
		pid = fork();
		TEST_ASSERT(pid >= 0, "fork() failed");
		if (!pid) {
			for (;;)
				is_mapped(self->mem + i % NPAGES * PAGE_SIZE);
		}
		kill(pid, SIGKILL);
		do {
			r = set_attributes(self->vm, TEST_GPA, SIZE,
					   KVM_MEMORY_ATTRIBUTE_PRIVATE);
		} while (r == EAGAIN);
		TEST_ASSERT_EQ(r, 0);
		TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
		TEST_ASSERT_EQ(set_attributes(self->vm, TEST_GPA, SIZE, 0), 0);
	}
}

static void expect_no_gmem(struct kvm_vm *vm, u64 flags)
{
	int fd = __vm_create_guest_memfd(vm, SIZE, flags);

	TEST_ASSERT(fd == -1 && errno == EINVAL, "flags %#lx: fd %d, errno %d", flags, fd, errno);
}

/* What existing flags mean stays: private memory can't be mapped, shared or not. */
TEST(flags)
{
	struct kvm_vm *vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	char *mem;
	int fd;

	TEST_ASSERT(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_IN_PLACE,
		    "in place isn't offered");
	expect_no_gmem(vm, GUEST_MEMFD_FLAG_IN_PLACE);
	expect_no_gmem(vm, IN_PLACE | GUEST_MEMFD_FLAG_INIT_SHARED);

	fd = vm_create_guest_memfd(vm, SIZE, GUEST_MEMFD_FLAG_MMAP);
	mem = kvm_mmap(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	add_memslots(vm, fd, mem);
	expect_mapped(mem, 0, NPAGES, false);
	kvm_munmap(mem, SIZE);
	close(fd);
	kvm_vm_free(vm);

	vm = vm_create_barebones();
	TEST_ASSERT(!(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_IN_PLACE),
		    "in place is offered without private memory");
	expect_no_gmem(vm, IN_PLACE);
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM));

	return test_harness_run(argc, argv);
}
