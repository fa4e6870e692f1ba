// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "fdt.h"
#include "machine.h"

enum phandle {
	GIC = 1,
	CLOCK,
	POOL,
};

#define IRQ_PPI			1
#define IRQ_LEVEL_LOW		8

static void describe_memory(struct fdt *fdt)
{
	fdt_begin(fdt, "memory@80000000");
	fdt_string(fdt, "device_type", "memory");
	fdt_cells(fdt, "reg", 0, RAM_GPA, 0, RAM_SIZE);
	fdt_end(fdt);

	/* What devices can access, which for a protected guest is what it shares. */
	fdt_begin(fdt, "reserved-memory");
	fdt_cells(fdt, "#address-cells", 2);
	fdt_cells(fdt, "#size-cells", 2);
	fdt_empty(fdt, "ranges");
	fdt_begin(fdt, "pool@87e00000");
	fdt_string(fdt, "compatible", "restricted-dma-pool");
	fdt_cells(fdt, "reg", 0, POOL_GPA, 0, POOL_SIZE);
	fdt_cells(fdt, "phandle", POOL);
	fdt_end(fdt);
	fdt_end(fdt);
}

static void describe_cpu(struct fdt *fdt)
{
	fdt_begin(fdt, "cpus");
	fdt_cells(fdt, "#address-cells", 1);
	fdt_cells(fdt, "#size-cells", 0);
	fdt_begin(fdt, "cpu@0");
	fdt_string(fdt, "device_type", "cpu");
	fdt_string(fdt, "compatible", "arm,armv8");
	fdt_cells(fdt, "reg", 0);
	fdt_string(fdt, "enable-method", "psci");
	fdt_end(fdt);
	fdt_end(fdt);

	fdt_begin(fdt, "psci");
	fdt_string(fdt, "compatible", "arm,psci-1.0");
	fdt_string(fdt, "method", "hvc");
	fdt_end(fdt);

	fdt_begin(fdt, "timer");
	fdt_string(fdt, "compatible", "arm,armv8-timer");
	fdt_cells(fdt, "interrupts", IRQ_PPI, 13, IRQ_LEVEL_LOW, IRQ_PPI, 14, IRQ_LEVEL_LOW,
		  IRQ_PPI, 11, IRQ_LEVEL_LOW, IRQ_PPI, 10, IRQ_LEVEL_LOW);
	fdt_empty(fdt, "always-on");
	fdt_end(fdt);
}

static void describe_gic(struct fdt *fdt)
{
	fdt_begin(fdt, "interrupt-controller@8000000");
	fdt_string(fdt, "compatible", "arm,gic-v3");
	fdt_cells(fdt, "#interrupt-cells", 3);
	fdt_empty(fdt, "interrupt-controller");
	fdt_cells(fdt, "reg", 0, GIC_DIST_GPA, 0, GIC_DIST_SIZE,
		  0, GIC_REDIST_GPA, 0, GIC_REDIST_SIZE);
	fdt_cells(fdt, "phandle", GIC);
	fdt_end(fdt);
}

/* With the ID that its registers would have, so that it's taken for what it is. */
static void describe_rtc(struct fdt *fdt)
{
	static const char compatible[] = "arm,pl031\0arm,primecell";

	fdt_begin(fdt, "clock");
	fdt_string(fdt, "compatible", "fixed-clock");
	fdt_cells(fdt, "#clock-cells", 0);
	fdt_cells(fdt, "clock-frequency", 24000000);
	fdt_cells(fdt, "phandle", CLOCK);
	fdt_end(fdt);

	fdt_begin(fdt, "rtc@9010000");
	fdt_bytes(fdt, "compatible", compatible, sizeof(compatible));
	fdt_cells(fdt, "reg", 0, RTC_GPA, 0, RTC_SIZE);
	fdt_cells(fdt, "arm,primecell-periphid", 0x00041031);
	fdt_cells(fdt, "clocks", CLOCK);
	fdt_string(fdt, "clock-names", "apb_pclk");
	fdt_cells(fdt, "memory-region", POOL);
	fdt_empty(fdt, "dma-coherent");
	fdt_end(fdt);
}

size_t machine_describe(void *to, size_t room, size_t initrd_size)
{
	struct fdt fdt = { .structure_size = 0 };

	fdt_begin(&fdt, "");
	fdt_string(&fdt, "compatible", "linux,dummy-virt");
	fdt_string(&fdt, "model", "a protected guest");
	fdt_cells(&fdt, "#address-cells", 2);
	fdt_cells(&fdt, "#size-cells", 2);
	fdt_cells(&fdt, "interrupt-parent", GIC);

	fdt_begin(&fdt, "chosen");
	fdt_string(&fdt, "bootargs",
		   "earlycon=pl011,mmio32,0x9000000 keep_bootcon panic=-1 printk.devkmsg=on");
	fdt_cells(&fdt, "linux,initrd-start", 0, INITRD_GPA);
	fdt_cells(&fdt, "linux,initrd-end", 0, INITRD_GPA + initrd_size);
	fdt_end(&fdt);

	describe_memory(&fdt);
	describe_cpu(&fdt);
	describe_gic(&fdt);
	describe_rtc(&fdt);
	fdt_end(&fdt);

	return fdt_finish(&fdt, to, room);
}
