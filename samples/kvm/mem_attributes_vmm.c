// SPDX-License-Identifier: GPL-2.0
/*
 * A sample VMM for KVM memory attributes: who may see which guest page.
 *
 * The flow, for authors of VMMs, and where to find it:
 *
 *  1. Create a VM of a type that has private memory, and ask the VM, not the
 *     system, whether it offers KVM_MEMORY_ATTRIBUTE_PRIVATE.       (vmm.c)
 *  2. Enable KVM_CAP_EXIT_HYPERCALL for KVM_HC_MAP_GPA_RANGE, and only then
 *     tell the guest that it may ask for conversions: by CPUID on x86. On
 *     arm64 that comes first of all.                         (conversion.c)
 *  3. Give memory that may be private a memslot with two halves: mmap() for
 *     shared, guest_memfd for private pages. On arm64, all memory is as in 8.
 *                                                                (memory.c)
 *  4. All memory is shared at first. Set PRIVATE where the guest is to start
 *     with private memory, and record it: there is no call to read it back.
 *  5. On KVM_EXIT_HYPERCALL decide, while the guest waits. To agree, set the
 *     attribute, then free the half that fell out of use, then answer 0. To
 *     deny, answer an error and leave the attribute, which is the answer on
 *     arm64. Memslots may be changed first.                      (policy.c)
 *  6. When KVM_RUN fails with EFAULT and the reason is KVM_EXIT_MEMORY_FAULT,
 *     the guest touched a page in a way that its attribute does not allow, or
 *     that the memslot cannot serve. Resolve it and run the vCPU again, or
 *     stop: KVM has changed nothing and will not decide.          (vmm.c)
 *
 * And where KVM offers it:
 *
 *  7. Have KVM track the guest's view, what it asked for and the VMM agreed to,
 *     so that an attribute that differs from it is a fault, too.    (vmm.c)
 *  8. Use guest_memfd for both halves: a page keeps its content when it is
 *     converted, and the host maps it exactly while it is shared. (memory.c)
 *
 * The sample plays this in acts, checks each step, and draws a map of the
 * attributes after each act.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>

#include "arch.h"
#include "checks.h"
#include "memory_map.h"
#include "policy.h"
#include "puppet.h"
#include "terminal.h"
#include "vmm.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define SECRET		"for the guest alone"
#define NEW_SECRET	"a second secret"
#define QUESTION	"guest to host: hello?"
#define REPLY		"host to guest: hello!"
#define LOADED		"a kernel to boot"
#define NOTHING		""	/* as every text, padded with zeros */

/* What a page holds that was converted: two halves aren't one page. */
static const char *after_conversion(const struct span *span, const char *text)
{
	return span->region->in_place ? text : NOTHING;
}

static const char *nothing_seen(const struct span *span)
{
	if (span->region->in_place)
		return "is refused: its mapping of them is empty, system calls get EFAULT";
	return "finds nothing but zeros in its mapping of them";
}

static void act_private(struct vmm *vmm)
{
	struct span ram = all_pages_of(&vmm->regions[RAM]);

	memory_set_private(vmm, &ram, true);
	guest_writes(vmm, &ram, SECRET);

	check(guest_finds(vmm, &ram, SECRET),
	      "the guest reads its secret back from every page");
	check(host_sees_nothing(&ram), "the host %s", nothing_seen(&ram));
}

static void act_share(struct vmm *vmm)
{
	struct region *ram = &vmm->regions[RAM];
	struct span wanted = pages_of(ram, 8, 8);
	struct span before = pages_of(ram, 0, 8);
	struct span after = pages_of(ram, 16, 16);
	long answer;

	vmm->on_conversion = policy_agree;
	answer = guest_asks(vmm, &wanted, false);

	check(vmm->last_request.gpa == span_gpa(&wanted) &&
	      vmm->last_request.nr_pages == wanted.nr_pages &&
	      !vmm->last_request.to_private,
	      "the request reached the VMM as the guest made it");
	check(answer == 0, "the guest is told that the pages are shared");
	if (ram->in_place) {
		check(guest_finds(vmm, &wanted, SECRET),
		      "the guest finds in them what it has written");
		check(host_finds(&wanted, SECRET),
		      "the host finds it, too: that it's no secret is for the guest to know");
	} else {
		check(guest_finds(vmm, &wanted, NOTHING),
		      "the guest finds zeros: its secret did not move to the shared half");
		check(host_finds(&wanted, NOTHING),
		      "the host finds zeros there too: nothing leaked");
	}
	check(guest_finds(vmm, &before, SECRET) &&
	      guest_finds(vmm, &after, SECRET),
	      "the pages around them still hold the secret, for the guest");
}

static void act_talk(struct vmm *vmm)
{
	struct span talk = pages_of(&vmm->regions[RAM], 8, 8);

	guest_writes(vmm, &talk, QUESTION);
	check(host_finds(&talk, QUESTION),
	      "the host reads the guest's message in its own mapping");

	host_writes(&talk, REPLY);
	check(guest_finds(vmm, &talk, REPLY),
	      "the guest reads the host's reply in the same pages");
}

static void act_unshare(struct vmm *vmm)
{
	struct region *ram = &vmm->regions[RAM];
	struct span back = pages_of(ram, 8, 4);
	struct span kept = pages_of(ram, 12, 4);
	long answer;

	vmm->on_conversion = policy_agree;
	answer = guest_asks(vmm, &back, true);

	check(answer == 0, "the guest is told that the pages are private");
	check(guest_finds(vmm, &back, after_conversion(&back, REPLY)),
	      back.region->in_place ? "the guest finds the host's reply in them" :
	      "the guest finds zeros: the conversation did not move either");

	guest_writes(vmm, &back, NEW_SECRET);
	check(guest_finds(vmm, &back, NEW_SECRET),
	      "the guest reads its new secret back");
	check(host_sees_nothing(&back), "the host %s", nothing_seen(&back));
	check(guest_finds(vmm, &kept, REPLY) && host_finds(&kept, REPLY),
	      "the pages that stayed shared still hold the host's reply");
}

static void act_deny(struct vmm *vmm)
{
	struct span wanted = pages_of(&vmm->regions[RAM], 0, 4);
	long answer;

	vmm->on_conversion = policy_deny;
	answer = guest_asks(vmm, &wanted, false);

	check(answer == arch_denial,
	      "the guest is told that it was denied, and goes on");
	check(guest_finds(vmm, &wanted, SECRET),
	      "its pages are private as before and hold the secret");

	guest_writes(vmm, &wanted, NEW_SECRET);
	check(host_sees_nothing(&wanted),
	      "what the guest writes there still does not reach the host");
}

/* Where memory is the guest's from the start on, there's only sharing to ask for. */
static void use_late(struct vmm *vmm, const struct span *late)
{
	if (!arch_memory_in_place) {
		guest_writes(vmm, late, SECRET);
		check(guest_finds(vmm, late, SECRET), "the guest uses all of it");
		check(host_sees_nothing(late), "the host %s", nothing_seen(late));
		return;
	}

	guest_writes(vmm, late, QUESTION);
	check(guest_finds(vmm, late, QUESTION), "the guest uses all of it");
	check(host_finds(late, QUESTION), "the host reads what the guest writes");
}

static void act_plug(struct vmm *vmm)
{
	struct region *late = &vmm->regions[LATE];
	struct span wanted = all_pages_of(late);
	bool was_plugged = late->plugged;
	long answer;

	vmm->on_conversion = policy_plug_and_agree;
	answer = guest_asks(vmm, &wanted, !arch_memory_in_place);

	check(!was_plugged && late->plugged,
	      "the memslot was added while the guest waited for its answer");
	check(answer == 0, "the guest is told that it has %s memory there",
	      arch_memory_in_place ? "shared" : "private");
	use_late(vmm, &wanted);
}

static void act_fault(struct vmm *vmm)
{
	struct span page = pages_of(&vmm->regions[PLAIN], 2, 1);

	memory_set_private(vmm, &page, true);
	vmm->on_memory_fault = policy_share_on_fault;
	guest_writes(vmm, &page, QUESTION);

	check(vmm->nr_faults == 1, "the guest's access faulted, once");
	check(vmm->last_fault.gpa == span_gpa(&page) &&
	      vmm->last_fault.size == PAGE_SIZE,
	      "the fault names the page that the guest touched");
	check(vmm->last_fault.flags == KVM_MEMORY_EXIT_FLAG_PRIVATE,
	      "the fault says that the access was private");
	check(host_finds(&page, QUESTION),
	      "the guest's write was completed, in the shared half");
	check(guest_finds(vmm, &page, QUESTION), "the guest reads it back");
}

static void act_in_place(struct vmm *vmm)
{
	struct region *place = &vmm->regions[PLACE];
	struct span all = all_pages_of(place);
	struct span shared = pages_of(place, 0, 4);
	struct span kept = pages_of(place, 4, 4);

	host_writes(&all, LOADED);
	vmm->on_conversion = policy_agree;
	if (arch_memory_in_place)
		memory_set_private(vmm, &all, true);
	check(guest_asks(vmm, &all, true) == 0, "the guest is told that the pages are private");
	check(guest_finds(vmm, &all, LOADED),
	      "the guest finds in them what the host has written");
	check(host_is_refused(&all),
	      "the host has lost them: its mapping is empty, and system calls get EFAULT");

	guest_writes(vmm, &all, SECRET);
	check(guest_asks(vmm, &shared, false) == 0,
	      "the guest is told that half of them are shared");
	check(host_finds(&shared, SECRET),
	      "the host sees what the guest has written: it is the same page");
	check(host_is_refused(&kept), "the host does not get to see the others");

	check(guest_asks(vmm, &shared, true) == 0 && host_is_refused(&shared) &&
	      guest_finds(vmm, &shared, SECRET),
	      "and back: private, refused to the host, with their content");
}

static void act_disagree(struct vmm *vmm)
{
	struct span page = pages_of(&vmm->regions[PLACE], 5, 1);
	unsigned int nr_faults = vmm->nr_faults;

	memory_set_private(vmm, &page, false);
	check(host_is_refused(&page),
	      "the page is still private for the guest, so the host may not map it");

	vmm->on_memory_fault = policy_follow_the_guest;
	check(guest_finds(vmm, &page, SECRET),
	      "the guest has read its secret, once the VMM made the page PRIVATE again");
	check(vmm->nr_faults == nr_faults + 1, "before that, the guest's access faulted, once");
	check(vmm->last_fault.gpa == span_gpa(&page) &&
	      vmm->last_fault.flags == KVM_MEMORY_EXIT_FLAG_PRIVATE,
	      "the fault named the page, and said that the guest takes it for private");
}

static bool has_plain_memory(const struct vmm *vmm)
{
	return vmm->regions[PLAIN].plugged;
}

/* By any KVM that has private memory. */
static bool always(const struct vmm *vmm)
{
	(void)vmm;
	return true;
}

static bool views_are_tracked(const struct vmm *vmm)
{
	return vmm->tracks_view && vmm->regions[PLACE].plugged;
}

static bool is_shared_in_place(const struct vmm *vmm)
{
	return vmm->regions[PLACE].plugged;
}

static const struct act {
	const char *title;
	const char *why;
	void (*play)(struct vmm *vmm);
	unsigned int nr_checks;

	bool (*is_offered)(const struct vmm *vmm);
	const char *lack;
} acts[] = {
	{
		"the VMM makes memory private",
		"The VMM marks \"ram\" PRIVATE before the guest uses it, so that KVM takes these\n"
		"pages from guest_memfd, which the host has not mapped.",
		act_private, 2, always, NULL,
	}, {
		"the guest asks to share, and the VMM agrees",
		"The guest needs pages that both sides see. Its request stops the vCPU, and\n"
		"nothing is shared until the VMM sets the attribute.",
		act_share, 5, always, NULL,
	}, {
		"guest and host talk in the shared pages",
		"Shared pages are the VMM's own memory: each side reads what the other wrote.",
		act_talk, 2, always, NULL,
	}, {
		"the guest asks for privacy again",
		"Half of the shared pages go back. Where a page has two halves in two places, a\n"
		"conversion never carries content over, and a VMM frees the half that it left.",
		act_unshare, 5, always, NULL,
	}, {
		"the guest asks to share, and the VMM denies",
		"Which pages may be converted is the VMM's to say. The guest gets an error, and\n"
		"not an attribute changes.",
		act_deny, 3, always, NULL,
	}, {
		"the guest asks about memory that is not there",
		"\"late\" has no memslot. While the guest waits for its answer, the VMM adds one,\n"
		"and then agrees. KVM left the whole decision to the VMM.",
		act_plug, 4, always, NULL,
	}, {
		"the guest touches a page that cannot be private",
		"The VMM marks a page of \"plain\" PRIVATE, but its memslot has no guest_memfd.\n"
		"KVM reports the access; the VMM corrects itself and the guest never notices.",
		act_fault, 5, has_plain_memory, "memslots without guest_memfd for this VM",
	}, {
		"one page for both sides",
		"\"place\" has no halves: host and guest use the same pages of guest_memfd, which\n"
		"the VMM has mapped. What is converted stays where it is, with its content.",
		act_in_place, 7, is_shared_in_place, "GUEST_MEMFD_FLAG_IN_PLACE",
	}, {
		"the VMM and the guest disagree",
		"The VMM takes back PRIVATE from a page that the guest takes for private. Its\n"
		"view is kept, so the access faults, and the VMM mends it: nothing was lost.",
		act_disagree, 4, views_are_tracked,
		"KVM_CAP_TRACKED_GUEST_VIEW, or not GUEST_MEMFD_FLAG_IN_PLACE",
	},
};

static void introduce(const struct vmm *vmm)
{
	unsigned int i;

	print_line("%sA guest, its VMM, and who may see which page of guest memory%s",
		   paint(PAINT_TITLE), paint(PAINT_NONE));
	print_line("%s", "");
	for (i = 0; i < NR_REGIONS; i++)
		print_line("    %-7s%s", vmm->regions[i].name,
			   vmm->regions[i].about);
}

static unsigned int count_checks(const struct vmm *vmm)
{
	unsigned int sum = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(acts); i++)
		if (acts[i].is_offered(vmm))
			sum += acts[i].nr_checks;
	return sum;
}

static void play_acts(struct vmm *vmm)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(acts); i++) {
		headline(i + 1, ARRAY_SIZE(acts), acts[i].title, acts[i].why);
		if (!acts[i].is_offered(vmm)) {
			print_line("  Not played: this kernel does not offer %s.", acts[i].lack);
			continue;
		}
		memory_begin_act(vmm);
		vmm->on_conversion = policy_deny;
		vmm->on_memory_fault = NULL;
		acts[i].play(vmm);
		memory_map_draw(vmm);
	}
}

static void usage(const char *name)
{
	printf("Usage: %s [--color=auto|always|never] [--ascii] [--ktap]\n"
	       "\n"
	       "Shows KVM memory attributes at work: a guest, its VMM, and who sees which page.\n"
	       "\n"
	       "  --color=WHEN  auto (the default) is for a terminal and honours NO_COLOR\n"
	       "  --ascii       draw with # - . ^ and no block characters\n"
	       "  --ktap        print KTAP, for a program to read\n"
	       "\n"
	       "Exits with 0 if all checks passed, 1 if not, 4 if KVM lacks what it takes.\n",
	       name);
}

static enum colour_choice parse_colour(const char *name, const char *when)
{
	if (!strcmp(when, "auto"))
		return COLOUR_AUTO;
	if (!strcmp(when, "always"))
		return COLOUR_ALWAYS;
	if (!strcmp(when, "never"))
		return COLOUR_NEVER;

	usage(name);
	exit(EXIT_FAILURE);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "color", required_argument, NULL, 'c' },
		{ "ascii", no_argument, NULL, 'a' },
		{ "ktap", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	enum colour_choice colour = COLOUR_AUTO;
	bool ascii = false;
	bool ktap = false;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			colour = parse_colour(argv[0], optarg);
			break;
		case 'a':
			ascii = true;
			break;
		case 'k':
			ktap = true;
			break;
		case 'h':
			usage(argv[0]);
			exit(EXIT_SUCCESS);
		default:
			usage(argv[0]);
			exit(EXIT_FAILURE);
		}
	}

	terminal_init(colour, ascii);
	checks_init(ktap);
}

int main(int argc, char **argv)
{
	static struct vmm vmm;

	parse_options(argc, argv);
	vmm_create(&vmm);
	checks_plan(count_checks(&vmm));
	introduce(&vmm);
	vmm_start(&vmm);
	play_acts(&vmm);
	return checks_finish();
}
