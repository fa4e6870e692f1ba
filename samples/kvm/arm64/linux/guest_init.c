// SPDX-License-Identifier: GPL-2.0
/* The guest's init, static, as /init: says that it is there, and ends the machine. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void)
{
	struct utsname name;
	char text[300];
	int kmsg, len;

	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	kmsg = open("/dev/kmsg", O_WRONLY);
	uname(&name);

	/* As an error, for a console that shows nothing less; at once, as a line is a write. */
	len = snprintf(text, sizeof(text), "<3>init: Linux %s on %s runs as a protected guest\n",
		       name.release, name.machine);
	if (write(kmsg, text, len) != len)
		return 1;

	reboot(RB_POWER_OFF);
	return 1;
}
