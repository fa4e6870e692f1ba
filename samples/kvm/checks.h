/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the user reads: the story, line by line, and the checks in it.
 *
 * The story is for people by default. With KTAP the checks become KTAP's
 * result lines and the story its diagnostics, for a program to read.
 */
#ifndef SAMPLES_KVM_CHECKS_H
#define SAMPLES_KVM_CHECKS_H

#include <stdbool.h>
#include <stdnoreturn.h>

#define EXIT_SKIP 4	/* the value that kselftest knows as "skipped" */

void checks_init(bool ktap);

/* How many checks will follow; called before the first one. */
void checks_plan(unsigned int planned);

/* One line of text as it is; in KTAP a diagnostic. */
void print_line(const char *fmt, ...);

/* Announces an act: its title, then why it is played. */
void headline(unsigned int nr, unsigned int total, const char *title,
	      const char *why);

/* One step of the story: who does what. */
void say(const char *who, const char *fmt, ...);

/* Steps that are but more of the same aren't told. */
void pause_story(void);
void resume_story(void);

/* Counts a check and prints it; returns @passed. */
bool check(bool passed, const char *fmt, ...);

/* Reports that a system call failed: what was tried, errno, what it means. */
void complain(const char *tried, const char *meaning);

/* As complain(), for errors that leave nothing to go on with. */
noreturn void give_up(const char *tried, const char *meaning);

/*
 * The machine cannot run the sample: what it lacks, and what to do about it.
 * Called before checks_plan().
 */
noreturn void skip(const char *lack, const char *what_to_do);

/* Prints the count; returns the exit status. */
int checks_finish(void);

#endif /* SAMPLES_KVM_CHECKS_H */
