// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_MEMORY_ATTRIBUTES on ranges that are large or mostly empty: the cost
 * of clearing is that of what is set, and a task that waits for slots_lock or
 * for memory can be killed, in which case nothing was set.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/sizes.h>
#include <linux/userfaultfd.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "kselftest_harness.h"

/* An arbitrary gpa that the library's own memslots don't use. */
#define TEST_GPA	SZ_4G
#define TEST_SLOT	10
/* More than KVM stores in one go, see XA_CHECK_SCHED. */
#define TEST_NPAGES	10000ul

/* A page that only userfaultfd can provide. */
#define ABSENT_GPA	(2ul * SZ_4G)
#define ABSENT_SLOT	11

/* With an entry for each page, it takes far longer to set than to be killed. */
#define ENDLESS_SIZE	(512ull * SZ_1G)

/* What setting it has to allocate before it counts as being under way. */
#define UNDERWAY_KIB	(4 * 1024)

static const struct vm_shape protected_vm_shape = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

FIXTURE(vm) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
};

static void guest_read_absent(void)
{
	READ_ONCE(*(u64 *)ABSENT_GPA);
	GUEST_DONE();
}

FIXTURE_SETUP(vm)
{
	self->vm = vm_create_shape_with_one_vcpu(protected_vm_shape, &self->vcpu,
						 guest_read_absent);
	/* Without guest_memfd, a page can be mapped only while it is shared. */
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, TEST_GPA, TEST_SLOT,
				    TEST_NPAGES, 0);
}

FIXTURE_TEARDOWN(vm)
{
	kvm_vm_free(self->vm);
}

static bool is_private(struct kvm_vcpu *vcpu, u64 page)
{
	struct kvm_pre_fault_memory range = {
		.gpa = TEST_GPA + page * PAGE_SIZE,
		.size = PAGE_SIZE,
	};
	int r = __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range);

	TEST_ASSERT(!r || errno == EFAULT, "KVM_PRE_FAULT_MEMORY failed with errno %d", errno);
	return r;
}

/* The state of a task as in /proc/PID/stat, e.g. 'D' for one that is blocked. */
static char task_state(pid_t pid)
{
	char path[64], state;
	FILE *file;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	TEST_ASSERT(file, "Can't open %s", path);
	r = fscanf(file, "%*d (%*[^)]) %c", &state);
	TEST_ASSERT(r == 1, "Can't read %s", path);
	fclose(file);
	return state;
}

static int set_endless_range(void *arg)
{
	struct kvm_vm *vm = arg;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	vm_mem_set_private(vm, TEST_GPA, min_t(u64, ENDLESS_SIZE,
					       (vm->max_gfn + 1) * PAGE_SIZE - TEST_GPA));
	return 0;
}

/* Holds slots_lock until no vCPU is where it might still use the memslot. */
static int delete_absent_slot(void *arg)
{
	struct kvm_vm *vm = arg;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	vm_set_user_memory_region(vm, ABSENT_SLOT, 0, ABSENT_GPA, 0, NULL);
	return 0;
}

/*
 * A task of its own to be killed alone, but with this task's memory, which is
 * what KVM demands of those who use a VM.
 */
static pid_t start_task(int (*function)(void *), struct kvm_vm *vm)
{
	const size_t stack_size = SZ_64K;
	char *stack;
	pid_t pid;

	stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(stack != MAP_FAILED, "mmap() of a stack failed");

	pid = clone(function, stack + stack_size,
		    CLONE_VM | CLONE_FILES | SIGCHLD, vm);
	TEST_ASSERT(pid > 0, "clone() failed");
	return pid;
}

static void kill_and_reap(pid_t pid)
{
	int status;

	TEST_ASSERT(!kill(pid, SIGKILL), "kill() failed");
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "Wanted a task killed by SIGKILL, its status is %#x", status);
}

TEST_F(vm, clear_sparse_range)
{
	vm_mem_set_private(self->vm, TEST_GPA, PAGE_SIZE);
	TEST_ASSERT(is_private(self->vcpu, 0), "A page that was set isn't private");

	vm_mem_set_shared(self->vm, 0, 1ull << 63);
	TEST_ASSERT(!is_private(self->vcpu, 0), "A page that was cleared is private");
}

TEST_F(vm, store_in_batches)
{
	u64 i;

	vm_mem_set_private(self->vm, TEST_GPA + PAGE_SIZE, (TEST_NPAGES - 2) * PAGE_SIZE);
	for (i = 0; i < TEST_NPAGES; i++)
		TEST_ASSERT(is_private(self->vcpu, i) == (i >= 1 && i < TEST_NPAGES - 1),
			    "Page %lu is wrong after setting", i);

	vm_mem_set_shared(self->vm, TEST_GPA + 2 * PAGE_SIZE, (TEST_NPAGES - 4) * PAGE_SIZE);
	for (i = 0; i < TEST_NPAGES; i++)
		TEST_ASSERT(is_private(self->vcpu, i) == (i == 1 || i == TEST_NPAGES - 2),
			    "Page %lu is wrong after clearing", i);
}

TEST_F(vm, kill_while_setting)
{
	long before = get_reclaimable_slab_kib();
	pid_t pid = start_task(set_endless_range, self->vm);
	int status;

	/* It isn't endless for a kernel that stores ranges. */
	while (get_reclaimable_slab_kib() < before + UNDERWAY_KIB && task_state(pid) != 'Z')
		sched_yield();

	TEST_ASSERT(!kill(pid, SIGKILL), "kill() failed");
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	TEST_ASSERT(is_private(self->vcpu, 0) == is_private(self->vcpu, TEST_NPAGES - 1),
		    "A part is set, the task's status is %#x", status);
	/* A task may be killed when it has set everything. */
	TEST_ASSERT(WIFSIGNALED(status) || is_private(self->vcpu, 0),
		    "Nothing is set, the task's status is %#x", status);
}

static void *run_vcpu(void *vcpu)
{
	__vcpu_run(vcpu);
	return NULL;
}

static int register_absent_page(void *hva)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (unsigned long)hva, .len = PAGE_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC);

	TEST_ASSERT(uffd >= 0, "userfaultfd() failed");
	TEST_ASSERT(!ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API failed");
	TEST_ASSERT(!ioctl(uffd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER failed");
	return uffd;
}

static void provide_absent_page(int uffd, void *hva)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)hva, .len = PAGE_SIZE },
	};

	TEST_ASSERT(!ioctl(uffd, UFFDIO_ZEROPAGE, &zero), "UFFDIO_ZEROPAGE failed");
	close(uffd);
}

/*
 * slots_lock is held by who deletes a memslot, and waits for the vCPU that waits
 * for a page of that memslot, and so for this test.
 */
TEST_F(vm, kill_while_waiting)
{
	pid_t holder, waiter;
	struct uffd_msg msg;
	pthread_t thread;
	void *hva;
	int uffd;

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, ABSENT_GPA, ABSENT_SLOT,
				    1, 0);
	virt_map(self->vm, ABSENT_GPA, ABSENT_GPA, 1);
	hva = addr_gpa2hva(self->vm, ABSENT_GPA);
	uffd = register_absent_page(hva);

	TEST_ASSERT(!pthread_create(&thread, NULL, run_vcpu, self->vcpu),
		    "pthread_create() failed");
	TEST_ASSERT(read(uffd, &msg, sizeof(msg)) == sizeof(msg), "No fault on the absent page");

	holder = start_task(delete_absent_slot, self->vm);
	while (task_state(holder) != 'D')
		sched_yield();
	waiter = start_task(set_endless_range, self->vm);
	while (task_state(waiter) != 'D')
		sched_yield();

	kill_and_reap(waiter);
	TEST_ASSERT(!waitpid(holder, NULL, WNOHANG),
		    "The holder of slots_lock ended before the waiter was killed");

	provide_absent_page(uffd, hva);
	pthread_join(thread, NULL);
	TEST_ASSERT(waitpid(holder, NULL, 0) == holder, "waitpid() failed");
	TEST_ASSERT(!is_private(self->vcpu, 0), "A task that was killed has set attributes");
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY));

	return test_harness_run(argc, argv);
}
