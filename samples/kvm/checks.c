// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "terminal.h"

static unsigned int nr_planned;
static unsigned int nr_checks;
static unsigned int nr_failed;
static bool ktap_output;
static bool is_paused;

/* In KTAP all that is not a result is a comment, empty lines too. */
static const char *line_start(void)
{
	return ktap_output ? "# " : "";
}

void checks_init(bool ktap)
{
	ktap_output = ktap;

	/* A crash of the host kernel must not swallow the last lines. */
	setvbuf(stdout, NULL, _IOLBF, 0);

	if (ktap)
		puts("TAP version 13");
}

/*
 * The plan stands before the results, so that a run that ends early is seen
 * to have missed checks.
 */
void checks_plan(unsigned int planned)
{
	nr_planned = planned;
	if (ktap_output)
		printf("1..%u\n", planned);
}

void print_line(const char *fmt, ...)
{
	va_list args;

	fputs(line_start(), stdout);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

void headline(unsigned int nr, unsigned int total, const char *title,
	      const char *why)
{
	int len;

	print_line("%s", "");
	print_line("%sAct %u of %u: %s%s", paint(PAINT_TITLE), nr, total,
		   title, paint(PAINT_NONE));

	for (; *why; why += len + (why[len] == '\n')) {
		len = strcspn(why, "\n");
		print_line("  %.*s", len, why);
	}
	print_line("%s", "");
}

void pause_story(void)
{
	is_paused = true;
}

void resume_story(void)
{
	is_paused = false;
}

void say(const char *who, const char *fmt, ...)
{
	va_list args;

	if (is_paused)
		return;

	printf("%s  %s%-6s%s ", line_start(), paint(PAINT_TITLE), who,
	       paint(PAINT_NONE));
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static void print_verdict(bool passed)
{
	if (ktap_output)
		printf("%s %u - ", passed ? "ok" : "not ok", nr_checks);
	else
		printf("  %s%-6s%s ", paint(passed ? PAINT_GOOD : PAINT_BAD),
		       passed ? "ok" : "FAILED", paint(PAINT_NONE));
}

bool check(bool passed, const char *fmt, ...)
{
	va_list args;

	nr_checks++;
	nr_failed += !passed;

	print_verdict(passed);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');

	return passed;
}

void complain(const char *tried, const char *meaning)
{
	int err = errno;

	print_line("  %serror%s  Tried to %s: %s (errno %d).",
		   paint(PAINT_BAD), paint(PAINT_NONE), tried, strerror(err), err);
	print_line("         %s", meaning);
}

void give_up(const char *tried, const char *meaning)
{
	complain(tried, meaning);
	if (ktap_output)
		printf("Bail out! Could not %s.\n", tried);
	exit(EXIT_FAILURE);
}

void skip(const char *lack, const char *what_to_do)
{
	printf("%s%s: %s.\n", ktap_output ? "1..0 # SKIP " : "Skipped: ",
	       lack, what_to_do);
	exit(EXIT_SKIP);
}

int checks_finish(void)
{
	print_line("%s", "");
	print_line("%u checks, %u failed", nr_checks, nr_failed);

	if (nr_checks != nr_planned) {
		print_line("%u checks were planned", nr_planned);
		return EXIT_FAILURE;
	}
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
