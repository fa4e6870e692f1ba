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
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* For linux/io_uring.h, as tools/ has a linux/types.h without it. */
#include <linux/stddef.h>

#include <linux/falloc.h>
#include <linux/io_uring.h>
#include <linux/kvm_para.h>
#include <linux/sizes.h>
#include <linux/userfaultfd.h>

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

/* Times to try again, where somebody may use a page for a moment. */
#define NR_TRIES	100

/* Newer than the C library may be. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

/* More than KVM handles in one go. */
#define MANY		(4 * SZ_1M / PAGE_SIZE)
#define MANY_GPA	(2ul * SZ_4G)
#define MANY_SLOT	12

static const struct vm_shape protected_vm_shape = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

/* What the guest is to do next. */
static struct {
	enum { READ, WRITE, ASK } op;
	u64 gpa;
	u64 value;
} command;

static u64 guest_execute(void)
{
	u64 *p = (u64 *)READ_ONCE(command.gpa);
	u64 value = READ_ONCE(command.value);

	switch (READ_ONCE(command.op)) {
	case READ:
		return READ_ONCE(*p);
	case WRITE:
		WRITE_ONCE(*p, value);
		return value;
	case ASK:
		return __kvm_hypercall_map_gpa_range((u64)p, PAGE_SIZE, value);
	}
	return 0;
}

static void guest_main(void)
{
	for (;;)
		GUEST_SYNC(guest_execute());
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
static bool is_mapped(char *page)
{
	struct sigaction action = { .sa_handler = on_sigbus }, old;
	bool ok = false;

	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(bus_error, 1)) {
		(void)READ_ONCE(*page);
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

/* The page is in the page tables of this process. */
static bool is_present(char *page)
{
	static int fd = -1;
	u64 entry = 0;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY);
	TEST_ASSERT(fd >= 0, "open(/proc/self/pagemap): %d", errno);
	TEST_ASSERT_EQ(pread(fd, &entry, sizeof(entry),
			     (uintptr_t)page / PAGE_SIZE * sizeof(entry)), sizeof(entry));
	return entry & BIT_ULL(63);
}

static void expect_none_present(char *mem, u64 nr_pages)
{
	u64 page;

	for (page = 0; page < nr_pages; page++)
		TEST_ASSERT(!is_present(mem + page * PAGE_SIZE), "page %lu is mapped", page);
}

static void give_command(struct kvm_vm *vm, int op, u64 gpa, u64 value)
{
	command.op = op;
	command.gpa = gpa;
	command.value = value;
	sync_global_to_guest(vm, command);
}

static void expect_result(struct kvm_vcpu *vcpu, u64 value)
{
	struct ucall uc;

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	TEST_ASSERT_EQ(uc.args[1], value);
}

static void guest_write(struct kvm_vcpu *vcpu, u64 gpa, u64 value)
{
	give_command(vcpu->vm, WRITE, gpa, value);
	expect_result(vcpu, value);
}

static void guest_expect(struct kvm_vcpu *vcpu, u64 gpa, u64 value)
{
	give_command(vcpu->vm, READ, gpa, 0);
	expect_result(vcpu, value);
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
static void expect_busy(struct kvm_vm *vm, char *mem)
{
	TEST_ASSERT_EQ(set_attributes(vm, TEST_GPA, SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE), EAGAIN);
	expect_mapped(mem, 0, NPAGES, true);
}

static void make_range_private(struct kvm_vm *vm, u64 gpa, u64 size)
{
	int i, r = EAGAIN;

	for (i = 0; i < NR_TRIES && r == EAGAIN; i++)
		r = set_attributes(vm, gpa, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	TEST_ASSERT_EQ(r, 0);
}

static void make_private(struct kvm_vm *vm)
{
	make_range_private(vm, TEST_GPA, SIZE);
}

/* Put pages into a pipe: their user has them without a mapping. */
static void splice_pages(int fds[2], char *mem, u64 nr_pages)
{
	struct iovec iov = { .iov_base = mem, .iov_len = nr_pages * PAGE_SIZE };

	TEST_ASSERT(!pipe(fds), "pipe() failed");
	TEST_ASSERT_EQ(vmsplice(fds[1], &iov, 1, 0), iov.iov_len);
}

static void close_pipe(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
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
	struct iovec local = { .iov_base = buffer, .iov_len = PAGE_SIZE };
	int fds[2], fd;

	self->mem[0] = 0x77;
	TEST_ASSERT_EQ(process_vm_readv(getpid(), &local, 1, &iov, 1, 0), PAGE_SIZE);
	TEST_ASSERT_EQ(buffer[0], 0x77);

	make_private(self->vm);
	TEST_ASSERT(!pipe(fds), "pipe() failed");

	TEST_ASSERT(process_vm_readv(getpid(), &local, 1, &iov, 1, 0) == -1 && errno == EFAULT,
		    "process_vm_readv: %d", errno);

	TEST_ASSERT(write(fds[1], self->mem, 1) == -1 && errno == EFAULT, "write: %d", errno);

	TEST_ASSERT(vmsplice(fds[1], &iov, 1, 0) == -1 && errno == EFAULT,
		    "vmsplice: %d", errno);

	/* As ptrace() does. */
	fd = open("/proc/self/mem", O_RDONLY);
	TEST_ASSERT(fd >= 0, "open(/proc/self/mem): %d", errno);
	TEST_ASSERT(pread(fd, buffer, PAGE_SIZE, (uintptr_t)self->mem) == -1 && errno == EIO,
		    "pread(/proc/self/mem): %d", errno);
	close(fd);
	close_pipe(fds);
}

/* KVM's own accesses by the memslot's userspace_addr fail, too: to a page of MSRs. */
TEST_F(gmem, private_for_kvm)
{
	make_private(self->vm);
	/* The wall clock that KVM writes at once, if it can. */
	vcpu_set_msr(self->vcpu, MSR_KVM_WALL_CLOCK_NEW, PAGE(0));
	guest_expect(self->vcpu, PAGE(0), 0);
}

TEST_F(gmem, spliced)
{
	char buffer[PAGE_SIZE];
	int fds[2];

	memset(self->mem, 0x33, SIZE);
	splice_pages(fds, self->mem + 12 * PAGE_SIZE, 1);

	/* The first memslot isn't the one that fails. */
	expect_busy(self->vm, self->mem);
	guest_expect(self->vcpu, PAGE(2), 0x3333333333333333ull);

	TEST_ASSERT_EQ(read(fds[0], buffer, PAGE_SIZE), PAGE_SIZE);
	TEST_ASSERT_EQ(buffer[0], 0x33);
	make_private(self->vm);
	expect_mapped(self->mem, 0, NPAGES, false);
	guest_expect(self->vcpu, PAGE(2), 0x3333333333333333ull);
	close_pipe(fds);
}

/* A page that's pinned for I/O, for as long as it is. */
TEST_F(gmem, pinned)
{
	struct iovec iov = { .iov_base = self->mem + 9 * PAGE_SIZE, .iov_len = PAGE_SIZE };
	struct io_uring_params params = {};
	int ring;

	memset(self->mem, 0x34, SIZE);
	ring = syscall(__NR_io_uring_setup, 1, &params);
	if (ring < 0)
		SKIP(return, "needs CONFIG_IO_URING, and kernel.io_uring_disabled to be 0: %s",
		     strerror(errno));
	TEST_ASSERT(!syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1),
		    "IORING_REGISTER_BUFFERS: %d", errno);

	expect_busy(self->vm, self->mem);
	TEST_ASSERT_EQ(self->mem[9 * PAGE_SIZE], 0x34);

	TEST_ASSERT(!syscall(__NR_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0),
		    "IORING_UNREGISTER_BUFFERS: %d", errno);
	make_private(self->vm);
	expect_mapped(self->mem, 0, NPAGES, false);
	close(ring);
}

/* Pages that are private already don't matter. */
TEST_F(gmem, used_elsewhere)
{
	int fds[2];

	splice_pages(fds, self->mem, 1);
	make_range_private(self->vm, PAGE(1), SIZE - PAGE_SIZE);
	TEST_ASSERT_EQ(set_attributes(self->vm, PAGE(0), PAGE_SIZE,
				      KVM_MEMORY_ATTRIBUTE_PRIVATE), EAGAIN);
	close_pipe(fds);
}

/* All or nothing also if it's much. */
TEST_F(gmem, many_pages)
{
	int fd = vm_create_guest_memfd(self->vm, MANY * PAGE_SIZE, IN_PLACE);
	char *mem = kvm_mmap(MANY * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	int fds[2];

	vm_set_user_memory_region2(self->vm, MANY_SLOT, KVM_MEM_GUEST_MEMFD, MANY_GPA,
				   MANY * PAGE_SIZE, mem, fd, 0);
	memset(mem, 0x35, MANY * PAGE_SIZE);
	splice_pages(fds, mem + (MANY - 2) * PAGE_SIZE, 1);

	TEST_ASSERT_EQ(set_attributes(self->vm, MANY_GPA, MANY * PAGE_SIZE,
				      KVM_MEMORY_ATTRIBUTE_PRIVATE), EAGAIN);
	expect_mapped(mem, 0, MANY, true);

	close_pipe(fds);
	make_range_private(self->vm, MANY_GPA, MANY * PAGE_SIZE);
	expect_none_present(mem, MANY);
	expect_mapped(mem, 0, MANY, false);

	TEST_ASSERT_EQ(set_attributes(self->vm, MANY_GPA, MANY * PAGE_SIZE, 0), 0);
	TEST_ASSERT_EQ(mem[(MANY - 1) * PAGE_SIZE], 0x35);
	kvm_munmap(mem, MANY * PAGE_SIZE);
	close(fd);
}

static void on_memory_error(int sig)
{
}

/* The page is gone for both sides, and doesn't stand in the others' way. */
TEST_F(gmem, poisoned)
{
	struct sigaction action = { .sa_handler = on_memory_error }, old;
	int r;

	memset(self->mem, 0x36, SIZE);
	sigaction(SIGBUS, &action, &old);
	r = madvise(self->mem + 5 * PAGE_SIZE, PAGE_SIZE, MADV_HWPOISON);
	sigaction(SIGBUS, &old, NULL);
	if (r && (errno == EINVAL || errno == EPERM))
		SKIP(return, "needs CONFIG_MEMORY_FAILURE and CAP_SYS_ADMIN");
	/* EBUSY says that the page still belongs to the file. */
	TEST_ASSERT(!r || errno == EBUSY, "MADV_HWPOISON: %d", errno);
	expect_mapped(self->mem, 5, 6, false);

	make_private(self->vm);
	guest_expect(self->vcpu, PAGE(4), 0x3636363636363636ull);
	give_command(self->vm, READ, PAGE(5), 0);
	TEST_ASSERT(_vcpu_run(self->vcpu) == -1 && errno == EHWPOISON, "KVM_RUN: %d", errno);

	vm_mem_set_shared(self->vm, TEST_GPA, SIZE);
	expect_mapped(self->mem, 0, 5, true);
	expect_mapped(self->mem, 5, 6, false);
	expect_mapped(self->mem, 6, NPAGES, true);
}

static int bind_memslot(struct kvm_vm *vm, int fd, char *mem, u64 slot, u64 gpa)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.userspace_addr = (uintptr_t)mem,
		.memory_size = SIZE / 2,
		.guest_memfd = fd,
	};

	return __vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region) ? errno : 0;
}

TEST_F(gmem, rebinding_does_not_convert)
{
	int fds[2];

	memset(self->mem, 0x44, SIZE);
	splice_pages(fds, self->mem, 1);

	/* Bound to nothing, it's private. */
	remove_memslots(self->vm, self->fd, self->mem);
	expect_mapped(self->mem, 0, NPAGES, false);

	/* Bound to private gfns, the page mustn't be used. */
	make_private(self->vm);
	TEST_ASSERT_EQ(bind_memslot(self->vm, self->fd, self->mem, TEST_SLOT, PAGE(0)), EAGAIN);

	close_pipe(fds);
	add_memslots(self->vm, self->fd, self->mem);
	expect_mapped(self->mem, 0, NPAGES, false);
	guest_expect(self->vcpu, PAGE(0), 0x4444444444444444ull);

	vm_mem_set_shared(self->vm, TEST_GPA, SIZE);
	TEST_ASSERT_EQ(self->mem[0], 0x44);
}

/* It's the gfn that is private, and what's bound to another is what that is. */
TEST_F(gmem, rebinding_to_shared)
{
	make_private(self->vm);
	guest_write(self->vcpu, PAGE(0), 0x4747474747474747ull);
	remove_memslots(self->vm, self->fd, self->mem);
	expect_mapped(self->mem, 0, NPAGES, false);

	TEST_ASSERT_EQ(bind_memslot(self->vm, self->fd, self->mem, MANY_SLOT, MANY_GPA), 0);
	TEST_ASSERT_EQ(self->mem[0], 0x47);
}

/* What would fill page table entries in its own way has to keep out. */
TEST_F(gmem, no_userfaultfd_no_guards)
{
	struct uffdio_register reg = {
		.range = { .start = (unsigned long)self->mem, .len = SIZE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int uffd;

	TEST_ASSERT(madvise(self->mem, SIZE, MADV_GUARD_INSTALL) && errno == EINVAL,
		    "MADV_GUARD_INSTALL: %d", errno);

	uffd = syscall(__NR_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (uffd < 0)
		SKIP(return, "needs CONFIG_USERFAULTFD: %s", strerror(errno));
	TEST_ASSERT(!ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API: %d", errno);
	TEST_ASSERT(ioctl(uffd, UFFDIO_REGISTER, &reg) && errno == EINVAL,
		    "UFFDIO_REGISTER: %d", errno);
	close(uffd);
}

/* What's bound is bound, whatever else could be said of it. */
TEST_F(gmem, bound_already)
{
	int fds[2];

	splice_pages(fds, self->mem, 1);
	TEST_ASSERT_EQ(set_attributes(self->vm, MANY_GPA, SIZE / 2,
				      KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
	TEST_ASSERT_EQ(bind_memslot(self->vm, self->fd, self->mem, MANY_SLOT, MANY_GPA), EEXIST);
	close_pipe(fds);
	expect_mapped(self->mem, 0, NPAGES, true);
}

/* Neither moves nor locks keep a mapping. */
TEST_F(gmem, mremap_and_mlock)
{
	char *mem = kvm_mmap(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd);
	char *moved = kvm_mmap(SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	memset(mem, 0x45, SIZE);
	TEST_ASSERT(!mlock(mem, SIZE), "mlock: %d", errno);
	moved = mremap(mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, moved);
	TEST_ASSERT(moved != MAP_FAILED, "mremap: %d", errno);
	TEST_ASSERT_EQ(moved[0], 0x45);
	TEST_ASSERT(is_present(moved), "a page that was accessed isn't mapped");

	make_private(self->vm);
	expect_none_present(moved, NPAGES);
	expect_mapped(moved, 0, NPAGES, false);
	kvm_munmap(moved, SIZE);
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
static char *racing_mem;
static int nr_refused;

static void *touch_forever(void *arg)
{
	char *mem = arg;
	u64 page = 0;

	while (!READ_ONCE(done)) {
		is_mapped(mem + page * PAGE_SIZE);
		page = (page + 1) % NPAGES;
	}
	return NULL;
}

/* By itself, and by system calls: page faults, and get_user_pages(). */
static void *use_forever(void *arg)
{
	char *mem = arg, buffer[PAGE_SIZE];
	struct iovec local = { .iov_base = buffer, .iov_len = PAGE_SIZE };
	struct iovec remote = { .iov_len = PAGE_SIZE };
	u64 page = 0;

	while (!READ_ONCE(done)) {
		remote.iov_base = mem + page * PAGE_SIZE;
		if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != PAGE_SIZE)
			nr_refused++;
		page = (page + 1) % NPAGES;
		if (!is_mapped(mem + page * PAGE_SIZE))
			nr_refused++;
	}
	return NULL;
}

static void *remap_forever(void *arg)
{
	int fd = *(int *)arg;
	char *mem;

	while (!READ_ONCE(done)) {
		mem = kvm_mmap(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
		WRITE_ONCE(racing_mem, mem);
		madvise(mem, SIZE, MADV_POPULATE_WRITE);
		kvm_munmap(mem, SIZE);
	}
	return NULL;
}

/* EAGAIN is an answer, a private page that's mapped isn't. */
static void race(struct kvm_vm *vm, void *(*racer)(void *), void *arg)
{
	pthread_t thread;
	int i, r, nr_private = 0;

	kvm_pthread_create(&thread, NULL, racer, arg);
	for (i = 0; i < NR_RACES || (!nr_private && i < NR_RACES * NR_TRIES); i++) {
		r = set_attributes(vm, TEST_GPA, SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
		TEST_ASSERT(!r || r == EAGAIN, "conversion: %d", r);
		if (!r) {
			nr_private++;
			expect_none_present(READ_ONCE(racing_mem), NPAGES);
			TEST_ASSERT_EQ(set_attributes(vm, TEST_GPA, SIZE, 0), 0);
		}
	}
	WRITE_ONCE(done, true);
	kvm_pthread_join(thread, NULL);
	TEST_ASSERT(nr_private, "somebody uses a page, each time of %d", i);
}

TEST_F(gmem, race_with_munmap)
{
	racing_mem = self->mem;
	race(self->vm, remap_forever, &self->fd);
}

/* The thread jumps out of its SIGBUS, so nobody else may have any. */
TEST_F(gmem, race_with_faults)
{
	racing_mem = self->mem;
	race(self->vm, touch_forever, self->mem);
}

/* While a conversion is tried that fails, accesses to what stays shared wait. */
TEST_F(gmem, faults_wait)
{
	pthread_t thread;
	int fds[2], i;

	splice_pages(fds, self->mem + (NPAGES - 1) * PAGE_SIZE, 1);
	kvm_pthread_create(&thread, NULL, use_forever, self->mem);
	for (i = 0; i < NR_RACES; i++)
		TEST_ASSERT_EQ(set_attributes(self->vm, TEST_GPA, SIZE,
					      KVM_MEMORY_ATTRIBUTE_PRIVATE), EAGAIN);
	WRITE_ONCE(done, true);
	kvm_pthread_join(thread, NULL);
	TEST_ASSERT_EQ(nr_refused, 0);
	close_pipe(fds);
}

/* What's bound to no memslot is private at once, and stays that way. */
TEST_F(gmem, race_with_unbinding)
{
	pthread_t thread;
	int i;

	kvm_pthread_create(&thread, NULL, touch_forever, self->mem);
	for (i = 0; i < NR_RACES; i++) {
		remove_memslots(self->vm, self->fd, self->mem);
		expect_none_present(self->mem, NPAGES);
		add_memslots(self->vm, self->fd, self->mem);
	}
	WRITE_ONCE(done, true);
	kvm_pthread_join(thread, NULL);
}

TEST_F(gmem, race_with_exit)
{
	int i, r, status, tries;
	pid_t pid;

	for (i = 0; i < 20; i++) {
		pid = fork();
		TEST_ASSERT(pid >= 0, "fork() failed");
		if (!pid) {
			for (;;)
				is_mapped(self->mem + i % NPAGES * PAGE_SIZE);
		}
		kill(pid, SIGKILL);
		r = EAGAIN;
		for (tries = 0; r == EAGAIN && tries < NR_TRIES; tries++)
			r = set_attributes(self->vm, TEST_GPA, SIZE,
					   KVM_MEMORY_ATTRIBUTE_PRIVATE);
		TEST_ASSERT_EQ(r, 0);
		expect_none_present(self->mem, NPAGES);
		TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
		TEST_ASSERT_EQ(set_attributes(self->vm, TEST_GPA, SIZE, 0), 0);
	}
}

/* What the guest takes for private isn't the host's, whatever the attribute is. */
TEST(tracked_view)
{
	struct kvm_vm *vm = __vm_create(protected_vm_shape, 1, 0);
	struct kvm_vcpu *vcpu;
	int fds[2], fd;
	char *mem;

	vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
	vm_enable_cap(vm, KVM_CAP_TRACKED_GUEST_VIEW, 0);
	vcpu = vm_vcpu_add(vm, 0, guest_main);
	fd = vm_create_guest_memfd(vm, SIZE, IN_PLACE);
	mem = kvm_mmap(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	add_memslots(vm, fd, mem);
	virt_map(vm, TEST_GPA, TEST_GPA, NPAGES);
	memset(mem, 0x88, SIZE);

	/* A request that's agreed to while the page is used waits for its end. */
	splice_pages(fds, mem, 1);
	give_command(vm, ASK, PAGE(0), KVM_MAP_GPA_RANGE_ENCRYPTED);
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_HYPERCALL);
	vcpu->run->hypercall.ret = 0;
	TEST_ASSERT(_vcpu_run(vcpu) == -1 && errno == EAGAIN, "KVM_RUN: %d", errno);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_HYPERCALL);
	expect_mapped(mem, 0, NPAGES, true);
	close_pipe(fds);
	expect_result(vcpu, 0);

	/* The attribute is still shared. */
	expect_mapped(mem, 0, 1, false);
	expect_mapped(mem, 1, NPAGES, true);

	vm_mem_set_private(vm, PAGE(0), PAGE_SIZE);
	expect_mapped(mem, 0, 1, false);
	guest_expect(vcpu, PAGE(0), 0x8888888888888888ull);

	kvm_munmap(mem, SIZE);
	close(fd);
	kvm_vm_free(vm);
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
	expect_no_gmem(vm, IN_PLACE | GUEST_MEMFD_FLAG_INIT_SHARED);
	expect_no_gmem(vm, GUEST_MEMFD_FLAG_IN_PLACE | GUEST_MEMFD_FLAG_INIT_SHARED);

	/* Without the right to map it. */
	fd = vm_create_guest_memfd(vm, SIZE, GUEST_MEMFD_FLAG_IN_PLACE);
	mem = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	TEST_ASSERT(mem == MAP_FAILED && errno == ENODEV, "mmap: %d", errno);
	close(fd);

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
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_IN_PLACE);

	return test_harness_run(argc, argv);
}
