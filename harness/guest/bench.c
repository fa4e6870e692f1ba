// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM_SET_MEMORY_ATTRIBUTES costs: seconds and slab memory to set a range
 * PRIVATE, to set it again and to clear it. Prints a line of JSON each.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Slab memory of the whole system, in KiB. */
static long slab_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Slab: %ld kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static void measure(int vm, unsigned long gib, const char *what, unsigned long long attributes)
{
	struct kvm_memory_attributes attr = {
		.address = 4ull << 30,
		.size = (unsigned long long)gib << 30,
		.attributes = attributes,
	};
	long before = slab_kib();
	double start = now();
	int r = ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr);
	double end = now();

	if (r) {
		perror("KVM_SET_MEMORY_ATTRIBUTES");
		exit(1);
	}
	printf("{\"gib\": %lu, \"what\": \"%s\", \"seconds\": %.4f, \"slab_kib\": %ld}\n",
	       gib, what, end - start, slab_kib() - before);
	fflush(stdout);
}

int main(int argc, char *argv[])
{
	int kvm = open("/dev/kvm", O_RDWR), i;

	for (i = 1; i < argc; i++) {
		unsigned long gib = strtoul(argv[i], NULL, 0);
		int vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);

		if (vm < 0) {
			perror("KVM_CREATE_VM");
			return 1;
		}
		measure(vm, gib, "set", KVM_MEMORY_ATTRIBUTE_PRIVATE);
		measure(vm, gib, "repeated", KVM_MEMORY_ATTRIBUTE_PRIVATE);
		measure(vm, gib, "cleared", 0);
		close(vm);
	}
	return 0;
}
