// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's device "edu" copies between memory and a buffer of its own: docs/specs/edu.rst of
 * QEMU's source. Its property dma_mask has to reach all memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <string.h>

#include <linux/limits.h>
#include <linux/pci_regs.h>
#include <linux/sizes.h>

#include "edu_dma.h"
#include "processor.h"
#include "test_util.h"

/* "vendor" and "device" in sysfs. */
#define EDU_ID		"0x1234 0x11e8"
#define EDU_BAR_SIZE	SZ_1M

#define EDU_DMA_FROM	0x80
#define EDU_DMA_TO	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_COMMAND	0x98
#define EDU_DMA_RUN	BIT(0)
#define EDU_DMA_OUT	BIT(1)

/* Where its buffer is, for it. */
#define EDU_BUFFER	0x40000

static int open_file(const char *dir, const char *name, int flags)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags);
	TEST_ASSERT(fd >= 0, "Can't open %s, errno %d", path, errno);
	return fd;
}

static void read_id(const char *dir, const char *name, char id[8])
{
	int fd = open_file(dir, name, O_RDONLY);

	/* Four digits behind 0x. */
	TEST_ASSERT(read(fd, id, 6) == 6, "Can't read %s/%s", dir, name);
	id[6] = 0;
	close(fd);
}

static bool is_edu(const char *dir)
{
	char vendor[8], device[8], id[16];

	read_id(dir, "vendor", vendor);
	read_id(dir, "device", device);
	snprintf(id, sizeof(id), "%s %s", vendor, device);
	return !strcmp(id, EDU_ID);
}

static char *enable(const char *dir)
{
	u16 command;
	char *edu;
	int fd;

	fd = open_file(dir, "enable", O_WRONLY);
	TEST_ASSERT(write(fd, "1", 1) == 1, "Can't enable %s, errno %d", dir, errno);
	close(fd);

	fd = open_file(dir, "config", O_RDWR);
	TEST_ASSERT_EQ(pread(fd, &command, sizeof(command), PCI_COMMAND), sizeof(command));
	command |= PCI_COMMAND_MASTER;
	TEST_ASSERT_EQ(pwrite(fd, &command, sizeof(command), PCI_COMMAND), sizeof(command));
	close(fd);

	fd = open_file(dir, "resource0", O_RDWR);
	edu = kvm_mmap(EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	close(fd);
	return edu;
}

char *edu_open(void)
{
	char *edu = NULL;
	glob_t found;
	size_t i;

	if (glob("/sys/bus/pci/devices/*", 0, NULL, &found))
		return NULL;

	for (i = 0; i < found.gl_pathc && !edu; i++) {
		if (is_edu(found.gl_pathv[i]))
			edu = enable(found.gl_pathv[i]);
	}
	globfree(&found);
	return edu;
}

void edu_close(char *edu)
{
	kvm_munmap(edu, EDU_BAR_SIZE);
}

static void copy(char *edu, u64 from, u64 to, u64 direction)
{
	writeq(from, edu + EDU_DMA_FROM);
	writeq(to, edu + EDU_DMA_TO);
	writeq(sizeof(u64), edu + EDU_DMA_COUNT);
	writeq(EDU_DMA_RUN | direction, edu + EDU_DMA_COMMAND);
	while (readq(edu + EDU_DMA_COMMAND) & EDU_DMA_RUN)
		sched_yield();
}

void edu_load(char *edu, u64 pa)
{
	copy(edu, pa, EDU_BUFFER, 0);
}

void edu_store(char *edu, u64 pa)
{
	copy(edu, EDU_BUFFER, pa, EDU_DMA_OUT);
}
