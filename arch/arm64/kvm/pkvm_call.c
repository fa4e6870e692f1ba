// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a host could tell the hypervisor that doesn't keep to the rules: calls by user
 * space, for tests, /sys/kernel/debug/kvm/pkvm_call.
 *
 * A write has calls, a line each, of a name and its arguments in hexadecimal, up to
 * NR_CALLS. They are made one after the other on the same CPU. A read has what they have
 * returned, in decimal, a line each, if it returns something. A vCPU that a call loads has
 * to be put by another.
 * And "read" reads what the host finds in memory: its argument is the pfn, and what it
 * returns the lower 31 bits of what's there, or an error.
 *
 * It exists only where the hypervisor is built for debugging, as it can cost the host
 * everything; that it was used taints the kernel.
 */
#include <linux/debugfs.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/panic.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <asm/kvm_pkvm.h>
#include <asm/kvm_pkvm_memory.h>

#define NR_CALLS	8
#define NR_ARGS		4
#define LINE_SIZE	128

struct call {
	unsigned long id;
	u64 args[NR_ARGS];
	long ret;
};

struct calls {
	/* Guards the rest: a file can be shared. */
	struct mutex lock;
	struct call call[NR_CALLS];
	int nr;
};

/* Not a call. */
#define READ_PFN	0

#define CALL(f)	{ #f, KVM_HOST_SMCCC_FUNC(f) }

static const struct {
	const char *name;
	unsigned long id;
} known_calls[] = {
	{ "read", READ_PFN },
	CALL(__pkvm_host_share_hyp),
	CALL(__pkvm_host_unshare_hyp),
	CALL(__pkvm_host_donate_guest),
	CALL(__pkvm_host_share_guest),
	CALL(__pkvm_host_unshare_guest),
	CALL(__pkvm_host_relax_perms_guest),
	CALL(__pkvm_host_wrprotect_guest),
	CALL(__pkvm_host_test_clear_young_guest),
	CALL(__pkvm_force_reclaim_guest_page),
	CALL(__pkvm_reclaim_dying_guest_page),
	CALL(__pkvm_finalize_teardown_vm),
	CALL(__pkvm_vcpu_load),
	CALL(__pkvm_vcpu_put),
	CALL(__pkvm_host_map_shared_guest),
	CALL(__pkvm_host_unmap_shared_guest),
	CALL(__pkvm_host_withdraw_guest),
	CALL(__pkvm_host_give_back_guest),
	CALL(__pkvm_host_convert_guest),
	CALL(__pkvm_host_forget_conversion),
};

static int parse_call(char *line, struct call *call)
{
	char *word = strsep(&line, " ");
	int i;

	for (i = 0; i < ARRAY_SIZE(known_calls); i++) {
		if (!strcmp(word, known_calls[i].name))
			break;
	}
	if (i == ARRAY_SIZE(known_calls))
		return -EINVAL;

	*call = (struct call) { .id = known_calls[i].id };
	for (i = 0; (word = strsep(&line, " ")); i++) {
		if (i == NR_ARGS || kstrtou64(word, 16, &call->args[i]))
			return -EINVAL;
	}
	return 0;
}

static int parse_calls(char *text, struct calls *calls)
{
	char *line;
	int ret;

	calls->nr = 0;
	while ((line = strsep(&text, "\n"))) {
		if (!*line)
			continue;
		if (calls->nr == NR_CALLS)
			return -E2BIG;

		ret = parse_call(line, &calls->call[calls->nr]);
		if (ret)
			return ret;
		calls->nr++;
	}
	return 0;
}

static long read_pfn(unsigned long pfn)
{
	long value, ret;

	if (!pfn_valid(pfn))
		return -EINVAL;

	ret = copy_from_kernel_nofault(&value, pfn_to_kaddr(pfn), sizeof(value));
	return ret ?: value & INT_MAX;
}

static long make_call(const struct call *call)
{
	struct arm_smccc_res res;

	if (call->id == READ_PFN)
		return read_pfn(call->args[0]);

	arm_smccc_1_1_hvc(call->id, call->args[0], call->args[1], call->args[2], call->args[3],
			  &res);
	return res.a0 == SMCCC_RET_SUCCESS ? (int)res.a1 : -EOPNOTSUPP;
}

/* No other task's vCPU is loaded on this CPU meanwhile. */
static void make_calls(struct calls *calls)
{
	int i;

	guard(preempt)();
	for (i = 0; i < calls->nr; i++)
		calls->call[i].ret = make_call(&calls->call[i]);
}

static ssize_t pkvm_call_write(struct file *file, const char __user *buf, size_t size,
			       loff_t *pos)
{
	struct calls *calls = file->private_data;
	char *text;
	int ret;

	if (size > NR_CALLS * LINE_SIZE)
		return -E2BIG;

	text = memdup_user_nul(buf, size);
	if (IS_ERR(text))
		return PTR_ERR(text);

	guard(mutex)(&calls->lock);

	ret = parse_calls(text, calls);
	kfree(text);
	if (ret) {
		calls->nr = 0;
		return ret;
	}

	add_taint(TAINT_USER, LOCKDEP_STILL_OK);
	make_calls(calls);
	return size;
}

static ssize_t pkvm_call_read(struct file *file, char __user *buf, size_t size, loff_t *pos)
{
	struct calls *calls = file->private_data;
	char text[NR_CALLS * 24];
	size_t len = 0;
	int i;

	guard(mutex)(&calls->lock);

	for (i = 0; i < calls->nr; i++)
		len += scnprintf(text + len, sizeof(text) - len, "%ld\n", calls->call[i].ret);
	return simple_read_from_buffer(buf, size, pos, text, len);
}

static int pkvm_call_open(struct inode *inode, struct file *file)
{
	struct calls *calls = kzalloc_obj(*calls);

	if (!calls)
		return -ENOMEM;

	mutex_init(&calls->lock);
	file->private_data = calls;
	return 0;
}

static int pkvm_call_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static const struct file_operations pkvm_call_fops = {
	.owner		= THIS_MODULE,
	.open		= pkvm_call_open,
	.release	= pkvm_call_release,
	.read		= pkvm_call_read,
	.write		= pkvm_call_write,
};

/**
 * pkvm_create_vm_debugfs() - Tell by what handle the hypervisor knows a VM
 * @kvm: the VM, whose directory in debugfs there is, and goes with it
 *
 * Context: The VM is being created. May sleep.
 */
void pkvm_create_vm_debugfs(struct kvm *kvm)
{
	if (is_protected_kvm_enabled())
		debugfs_create_u16("pkvm_handle", 0400, kvm->debugfs_dentry,
				   &kvm->arch.pkvm.handle);
}

/**
 * pkvm_create_call_debugfs() - Let tests make calls
 * @dir: KVM's directory in debugfs
 *
 * Context: Once EL2 is there. May sleep.
 */
void pkvm_create_call_debugfs(struct dentry *dir)
{
	debugfs_create_file("pkvm_call", 0600, dir, NULL, &pkvm_call_fops);
}
