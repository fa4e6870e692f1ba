/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a protected VM's memory is converted: the guest asks, userspace decides by
 * setting attributes, and EL2 has the last word.
 *
 * There are three modes:
 *  host	The host is an adversary.  It makes any EL2 call with any arguments at any
 *		time, runs and interrupts vCPUs or not, returns what it likes, tears the
 *		VM down, and accesses any memory that its own stage-2 lets it.
 *  coop	-DCOOP: the host is KVM and a VMM that follow the protocol.  The VMM
 *		agrees, denies, delays, sets attributes unasked and punches holes as it
 *		likes.
 *  agree	-DCOOP -DAGREE: the VMM agrees to all, and sets attributes unasked a few
 *		times only.
 *
 * What holds in all of them, in every state:
 *  - a frame is the host's alone, or one page's: none is mapped twice, or freed while
 *    it is mapped;
 *  - guest and EL2 agree on what a page is, but for a conversion that the guest has not
 *    been told of yet, or never is as the vCPU that has asked for it doesn't run again;
 *  - whenever the guest is told something, it is told for how many pages, from the first
 *    one on, what it has asked for is in force, or of an error if it isn't for the first
 *    one.  That tells all: the other pages are what they were to the guest;
 *  - the host never reads what the guest keeps secret;
 *  - the guest finds in a private page what it has left there, or nothing at all.
 * With -DCOOP, also:
 *  - a page keeps its content, in whichever way it's converted, until it's freed;
 *  - a mapping of the VMM's never faults at EL2;
 *  - a request that the VMM agrees to succeeds for all pages that EL2 has recorded, or up
 *    to one whose memory is gone;
 *  - once the VM is torn down all frames are the host's, with no secrets in them.
 * With -DAGREE, also:
 *  - each request is answered, each page that is touched is there in the end, and each
 *    vCPU runs again and again.
 *
 * What is not modelled, and so not shown:
 *  - EL1's own record of what EL2 has, and the steps that its functions are made of:
 *    here, a function of KVM's is one step, and sees EL2's state itself;
 *  - what makes EL1 fail or try again: pins, no memory, signals;
 *  - ranges of more than two pages, and blocks, memslots, page tables, TLBs, caches,
 *    devices;
 *  - PSCI and reset, but for the requests that are forgotten, or a host that rewrites a
 *    protected VM's registers, which nothing keeps it from today;
 *  - VMs that haven't opted in, other VMs, FF-A, a VM that gets the handle of one that
 *    is gone;
 *  - a guest that converts a page back and forth on one vCPU can starve another that
 *    asks for the same page: with -DAGREE, it lets the other one go first.
 *
 * Each of these leaves out a check, or makes a mistake, and the mode that is with it has
 * to find that.  It has to with -DNO_INVARIANTS, by what the guest, the VMM or the
 * adversary see, and not by what EL2 and KVM have noted; but for one, of which nobody
 * sees more, with two pages, than that the guest doesn't know for a while what its
 * page is: "invariant" is the host mode with the invariants.
 *	BUG_TRUST_X0			host
 *	BUG_STALE_REQUEST		host
 *	BUG_AGAIN_IF_DONE		host
 *	BUG_AGAIN_IF_PART_DONE		invariant
 *	BUG_ERROR_IF_PART_DONE		host
 *	BUG_TELL_ALL			host
 *	BUG_TWO_REQUESTS		host
 *	BUG_ALREADY_SO_IS_ERROR		host
 *	BUG_ALREADY_SO_IS_ASKED		host
 *	BUG_ALREADY_SO_COUNTS_ALL	host
 *	BUG_BUSY_IS_ERROR		coop
 *	BUG_RANGE_OVERLAPS		host
 *	BUG_RANGE_MIXED			coop
 *	BUG_DONE_IS_FREE		host
 *	BUG_FORGET_TRUSTS_X0		host
 *	BUG_FORGOTTEN_GOES_ON		host
 *	BUG_CONVERT_UNASKED		host
 *	BUG_CONVERT_OTHER_PAGE		host
 *	BUG_CONVERT_OUT_OF_ORDER	host
 *	BUG_CONVERT_BEYOND		host
 *	BUG_CONVERT_OTHER_FRAME		host
 *	BUG_CONVERT_KEEPS_WITHDRAWN	coop
 *	BUG_SHARE_WIPES			coop
 *	BUG_UNSHARE_WIPES		coop
 *	BUG_DONATE_USED			host
 *	BUG_DONATE_WITHDRAWN		host
 *	BUG_DONATE_SHARED		host
 *	BUG_DONATE_POISONED		host
 *	BUG_MAP_SHARED_USED		host
 *	BUG_MAP_SHARED_PRIVATE		host
 *	BUG_UNMAP_PRIVATE		host
 *	BUG_UNMAP_WITHDRAWN		host
 *	BUG_WITHDRAW_SHARED		host
 *	BUG_WITHDRAW_TO_HOST		host
 *	BUG_GIVE_BACK_SHARED		host
 *	BUG_GIVE_BACK_OTHER		host
 *	BUG_FORCE_RECLAIM_SHARED	host
 *	BUG_FORCE_RECLAIM_KEEPS		host
 *	BUG_FORCE_RECLAIM_FORGETS	host
 *	BUG_FORCE_RECLAIM_NOT_WITHDRAWN	coop
 *	BUG_LOAD_DYING			host
 *	BUG_TEARDOWN_LOADED		host
 *	BUG_RECLAIM_ALIVE		host
 *	BUG_RECLAIM_KEEPS		host
 *	BUG_RECLAIM_NOT_WITHDRAWN	coop
 *	BUG_RECLAIM_NOT_SHARED		coop
 *	BUG_UNCHANGED_IS_NOTHING	coop
 *	BUG_NOT_BLOCKED			coop
 *	BUG_SET_PRIVATE_DROPS		coop
 *	BUG_PUNCH_NOT_SHARED		coop
 *	BUG_NEVER_ANSWERED		agree
 *	BUG_NEVER_MAPPED		agree
 *	BUG_NEVER_RESOLVED		agree
 *	BUG_NEVER_RUN			agree
 *
 * To search the mode "coop", and, if the number of errors isn't 0, to see what led to it;
 * for "host", leave out -DCOOP, and for one of the above add it to what spin is given:
 *	spin -DCOOP -a pkvm_conversion.pml
 *	gcc -O2 -w -DSAFETY -DCOLLAPSE pan.c && ./a.out -m5000000 -w24
 *	spin -DCOOP -t -p -g pkvm_conversion.pml
 * and the mode "agree", which takes minutes:
 *	spin -DCOOP -DAGREE -a pkvm_conversion.pml
 *	gcc -O2 -w -DNFAIR=3 -DCOLLAPSE pan.c && ./a.out -a -f -m5000000 -w24
 */

#define NR_PAGES	2
#define NR_VCPUS	2
#define NR_FRAMES	3

#define NO_FRAME	NR_FRAMES
#define NO_PAGE		NR_PAGES

/* What EL2 has of a guest's page. */
#define PN		0	/* private, and there's no memory */
#define PO		1	/* private, owned by the guest */
#define SO		2	/* owned by the guest, shared with the host */
#define SN		3	/* shared, and there's no memory */
#define WD		4	/* private, owned by the guest, and mapped by nobody */
#define PX		5	/* private, its memory was taken by force */

/* What EL2 has of a frame of the host's. */
#define OWNED		0
#define GONE		1	/* the guest's */
#define BORROWED	2	/* the guest's, which shares it */

/* What a page holds; secrets are those of one page. */
#define JUNK		0
#define SECRET(p)	(1 + (p))
#ifdef COOP
#define PUBLIC(p)	(1 + NR_PAGES + (p))
#else
#define PUBLIC(p)	JUNK	/* An adversary may write there. */
#endif
#define IS_SECRET(c)	((c) >= 1 && (c) <= NR_PAGES)

/* What a vCPU has asked for. */
#define NOTHING		0
#define SHARE		1
#define UNSHARE		2
#define FORGOTTEN	3	/* it's void: the vCPU was to be reset */

/* Answers. */
#define SUCCESS		0
#define ERROR		1
#define AGAIN		2	/* none: the guest executes the hypercall again */
#define NONE		3	/* none: the guest waits, or has not asked */

/* Of the VM. */
#define ALIVE		0
#define DYING		1
#define DEAD		2

/* EL2's state, guarded by the locks of the host's and the guest's stage-2. */
byte gs[NR_PAGES];
byte frame[NR_PAGES];		/* of PO, SO, WD */
byte hs[NR_FRAMES];
byte content[NR_FRAMES];
byte life;

/* The pending request of each vCPU, also EL2's. */
byte conv[NR_VCPUS];
byte conv_first[NR_VCPUS];
byte conv_nr[NR_VCPUS];		/* of pages, as trimmed */
byte conv_done[NR_VCPUS];	/* of them, the first ones, are converted */

bit running[NR_VCPUS];		/* in the guest */

/* The guest's own. */
bit gv_shared[NR_PAGES];	/* what it takes the page for */
byte asked[NR_VCPUS];		/* from before the hypercall until it's answered */
byte asked_first[NR_VCPUS];
byte asked_nr[NR_VCPUS];
byte in_doubt[NR_VCPUS];	/* of them, the first ones, are done and forgotten */
bit lost[NR_PAGES];		/* the content was taken, for the guest to know */

/*
 * What a page should hold.  An adversary may write to what it has lent, so that it's
 * for private pages only, from when they get their memory or are made private.
 */
byte expected[NR_PAGES];

#ifdef COOP
bit attr_private[NR_PAGES];
bit blocked[NR_PAGES];		/* KVM's own: withdrawn, not for the host to map */
byte gmem[NR_PAGES];		/* the page of guest_memfd, or NO_FRAME */
bit agreed[NR_VCPUS];		/* userspace has agreed to what it asked for */
byte touch[NR_VCPUS];		/* page that a vCPU has run into, or NO_PAGE */
#define is_stuck(v)	(touch[v] != NO_PAGE)
#else
#define is_stuck(v)	false
#endif
#ifdef AGREE
#define NR_WHIMS	2
byte whims;			/* attributes that were set unasked */
bit steps[NR_VCPUS];		/* changes with all that the guest begins */
#endif

/* An adversary may write to what it has: nothing to rely on. */
#ifdef COOP
#define nothing_expected(p)	skip
#else
#define nothing_expected(p)	expected[p] = JUNK
#endif

#define is_shared(p)		(gs[p] == SO || gs[p] == SN)
#define is_in_force(what, p)	(is_shared(p) == ((what) == SHARE))

#define in_range(p, first, nr)	((p) >= (first) && (p) < (first) + (nr))
#define asks(v, p, what) \
	(asked[v] == (what) && in_range(p, asked_first[v], asked_nr[v]))
#define somebody_asks(p, what)	(asks(0, p, what) || asks(1, p, what))
/* The guest keeps secrets in pages that are private and that it's not about to share. */
#define keeps_secret(p)		(!gv_shared[p] && !somebody_asks(p, SHARE))

#define has_request(v)		(conv[v] == SHARE || conv[v] == UNSHARE)
#define cursor(v)		(conv_first[v] + conv_done[v])
#define is_next(v, p, what) \
	(conv[v] == (what) && conv_done[v] < conv_nr[v] && cursor(v) == (p))
/* Converted already or not: it's the request's until the vCPU is told. */
#ifdef BUG_DONE_IS_FREE
#define pending(v, p) \
	(has_request(v) && in_range(p, cursor(v), conv_nr[v] - conv_done[v]))
#else
#define pending(v, p)		(has_request(v) && in_range(p, conv_first[v], conv_nr[v]))
#endif
#define untold(v, p, what) \
	(conv[v] == (what) && in_range(p, conv_first[v], conv_done[v]))
#define nobody_told(p, what)	(untold(0, p, what) || untold(1, p, what))

#define has_frame(p)		(gs[p] == PO || gs[p] == SO || gs[p] == WD)
#define uses(p, f)		(has_frame(p) && frame[p] == (f))
#define users(f)		(uses(0, f) + uses(1, f))

/* A frame is the host's alone or one page's. */
#define consistent_frame(f) \
	((hs[f] == OWNED && users(f) == 0) || (hs[f] != OWNED && users(f) == 1))
#define consistent_host(p) \
	(!has_frame(p) || ((gs[p] == SO) == (hs[frame[p]] == BORROWED)))

/*
 * A page is what the guest takes it for, or what nobody has told it yet.  Who was to be
 * told of it and then forgotten asks again, or never does anything any more.  Then, it
 * may get an error, if the page's memory is gone: whatever it takes that page for, it
 * finds nothing.
 */
#define forgotten(v, p)		in_range(p, asked_first[v], in_doubt[v])
#define consistent_page(p) \
	(life != ALIVE || gs[p] == PX || forgotten(0, p) || forgotten(1, p) || \
	 is_shared(p) == (nobody_told(p, SHARE) || \
			  (gv_shared[p] && !nobody_told(p, UNSHARE))))

/* Who waits doesn't run, and has asked for what EL2 takes it to have asked for. */
#define consistent_request(v) \
	(conv[v] == NOTHING || \
	 (!running[v] && asked[v] != NOTHING && \
	  (!has_request(v) || \
	   (asked[v] == conv[v] && asked_first[v] == conv_first[v] && \
	    conv_nr[v] >= 1 && conv_nr[v] <= asked_nr[v] && \
	    conv_done[v] <= conv_nr[v]))))

/* What KVM makes of the attributes. */
#ifdef COOP
#define consistent_kvm(p) \
	(life != ALIVE || \
	 ((gs[p] != PO || attr_private[p]) && (gs[p] != SO || !attr_private[p]) && \
	  ((gs[p] == WD) == blocked[p]) && (gs[p] != WD || !attr_private[p]) && \
	  (!has_frame(p) || gmem[p] == frame[p])))
#define consistent_exit(v) \
	(life != ALIVE || (conv[v] != NOTHING) == (asked[v] != NOTHING && !running[v]))
#endif

inline check()
{
#ifndef NO_INVARIANTS
	assert(consistent_frame(0) && consistent_frame(1) && consistent_frame(2));
	assert(consistent_host(0) && consistent_host(1));
	assert(consistent_page(0) && consistent_page(1));
	assert(consistent_request(0) && consistent_request(1));
#ifdef COOP
	assert(consistent_kvm(0) && consistent_kvm(1));
	assert(consistent_exit(0) && consistent_exit(1));
#endif
#endif
	skip
}

/*
 * EL2, by its functions.  Each is one step, with the locks of both stage-2s held.
 */

/*
 * pkvm_load_hyp_vcpu(): calls that need a vCPU load it, and put it when they are done.
 * To keep it loaded for longer only keeps others from it.
 */
#ifdef BUG_LOAD_DYING
#define can_load(v)	(!running[v] && life != DEAD)
#else
#define can_load(v)	(!running[v] && life == ALIVE)
#endif

/*
 * A vCPU executes the hypercall.  A range is cut short where the answer would not be the
 * same for all of it, so that a number tells the guest all.  For PX, to record the
 * request would do, too: it can't be carried out.
 */
#ifdef BUG_ALREADY_SO_COUNTS_ALL
#define is_so(what, p)		true
#else
#define is_so(what, p)		(gs[p] != PX && is_in_force(what, p))
#endif
#ifdef BUG_RANGE_OVERLAPS
#define is_anothers(v, p)	false
#else
#define is_anothers(v, p)	pending(1 - (v), p)
#endif
#ifdef BUG_RANGE_MIXED
#define may_become(what, p)	(gs[p] != PX)
#else
#define may_become(what, p)	(gs[p] != PX && !is_in_force(what, p))
#endif
inline pkvm_conversion_begin(v, first, nr, what, answer, done)
{
	if
	:: gs[first] == PX -> answer = ERROR
#ifdef BUG_ALREADY_SO_IS_ERROR
	:: gs[first] != PX && is_in_force(what, first) -> answer = ERROR
#else
#ifndef BUG_ALREADY_SO_IS_ASKED
	:: gs[first] != PX && is_in_force(what, first) ->
		answer = SUCCESS;
		done = 1;
		do
		:: done < nr && is_so(what, first + done) -> done++
		:: else -> break
		od
#endif
#endif
	:: else ->
		if
#ifdef BUG_BUSY_IS_ERROR
		:: pending(1 - v, first) -> answer = ERROR
#else
#ifndef BUG_TWO_REQUESTS
		/* Or one might be told of a success that the other one has undone. */
		:: pending(1 - v, first) -> answer = AGAIN
#endif
#endif
		:: else ->
			conv[v] = what;
			conv_first[v] = first;
			conv_nr[v] = 1;
			conv_done[v] = 0;
			do
			:: conv_nr[v] < nr && may_become(what, first + conv_nr[v]) &&
			   !is_anothers(v, first + conv_nr[v]) -> conv_nr[v]++
			:: else -> break
			od;
			answer = NONE
		fi
	fi
}

/*
 * What a vCPU has asked for, with the memory that the page has, and in order, as the
 * guest is told no more than a number.  That the vCPU doesn't run is not needed for what
 * is shown here: who runs has no request.
 */
#ifdef BUG_CONVERT_OUT_OF_ORDER
#define may_be_next(v, p)	in_range(p, conv_first[v], conv_nr[v])
#else
#define may_be_next(v, p)	(cursor(v) == (p))
#endif
inline __pkvm_host_convert_guest(v, p, f)
{
	if
	:: !can_load(v) -> skip
#ifndef BUG_CONVERT_UNASKED
	:: can_load(v) && !has_request(v) -> skip
#endif
#ifndef BUG_CONVERT_OTHER_PAGE
	:: can_load(v) && !may_be_next(v, p) -> skip
#endif
#ifndef BUG_CONVERT_BEYOND
	:: can_load(v) && has_request(v) && conv_done[v] == conv_nr[v] -> skip
#endif
#ifdef BUG_CONVERT_OTHER_FRAME
	:: can_load(v) && has_frame(p) &&
	   ((gs[p] == SO && hs[f] != BORROWED) || (gs[p] != SO && hs[f] != GONE)) -> skip
#endif
	:: else ->
#ifdef BUG_CONVERT_OTHER_FRAME
		if
		:: has_frame(p) -> frame[p] = f
		:: else
		fi;
#endif
		if
#ifdef BUG_CONVERT_KEEPS_WITHDRAWN
		:: conv[v] == SHARE && gs[p] == PO ->
#else
		:: conv[v] == SHARE && (gs[p] == PO || gs[p] == WD) ->
#endif
			gs[p] = SO;
			hs[frame[p]] = BORROWED;
#ifdef BUG_SHARE_WIPES
			content[frame[p]] = JUNK;
#endif
			if
			:: content[frame[p]] == SECRET(p) && somebody_asks(p, SHARE) ->
				/* What it held is no secret any more. */
				content[frame[p]] = PUBLIC(p);
				expected[p] = PUBLIC(p)
			:: else
			fi;
			nothing_expected(p);
			conv_done[v]++
		:: conv[v] == SHARE && gs[p] == PN ->
			gs[p] = SN;
			conv_done[v]++
		:: conv[v] != SHARE && gs[p] == SO ->
			gs[p] = PO;
			hs[frame[p]] = GONE;
#ifdef BUG_UNSHARE_WIPES
			content[frame[p]] = JUNK;
#endif
#ifndef COOP
			expected[p] = content[frame[p]];
#endif
			conv_done[v]++
		:: conv[v] != SHARE && gs[p] == SN ->
			gs[p] = PN;
			conv_done[v]++
		:: else
		fi
	fi
}

/*
 * A vCPU is about to run: whether it gets an answer to what it waits for, and which.  It
 * gets one for all that is done, whatever the host says: if it asked again instead, a
 * page before the last could have been converted back, and it would not get to know of
 * those behind.
 */
#ifdef BUG_TELL_ALL
#define nr_told(v)	conv_nr[v]
#else
#define nr_told(v)	conv_done[v]
#endif
inline pkvm_conversion_finish(v, x0, answer, done)
{
	if
	:: conv[v] == NOTHING -> answer = NONE
#ifdef BUG_FORGET_TRUSTS_X0
	:: conv[v] == FORGOTTEN -> answer = x0; done = 1
#else
	:: conv[v] == FORGOTTEN -> answer = AGAIN
#endif
#ifdef BUG_TRUST_X0
	:: has_request(v) -> answer = x0; done = conv_nr[v]
#else
#ifdef BUG_AGAIN_IF_DONE
	:: has_request(v) && x0 == AGAIN -> answer = AGAIN
	:: has_request(v) && conv_done[v] > 0 && x0 != AGAIN ->
#else
#ifdef BUG_AGAIN_IF_PART_DONE
	:: has_request(v) && conv_done[v] > 0 &&
	   conv_done[v] < conv_nr[v] && x0 == AGAIN -> answer = AGAIN
	:: has_request(v) && conv_done[v] > 0 &&
	   (conv_done[v] == conv_nr[v] || x0 != AGAIN) ->
#else
#ifdef BUG_ERROR_IF_PART_DONE
	:: has_request(v) && conv_done[v] > 0 && conv_done[v] < conv_nr[v] ->
		answer = ERROR
	:: has_request(v) && conv_done[v] > 0 && conv_done[v] == conv_nr[v] ->
#else
	:: has_request(v) && conv_done[v] > 0 ->
#endif
#endif
#endif
		answer = SUCCESS;
		done = nr_told(v)
	:: has_request(v) && conv_done[v] == 0 -> answer = (x0 == AGAIN -> AGAIN : ERROR)
#endif
	fi;
#ifndef BUG_STALE_REQUEST
	conv[v] = NOTHING;
	conv_first[v] = 0;
	conv_nr[v] = 0;
	conv_done[v] = 0
#endif
}

/*
 * The host says that it resets the vCPU; in the model, it never does.  How many pages are
 * done is kept, for can_run().
 */
inline __pkvm_host_forget_conversion(v)
{
	if
	:: has_request(v) ->
		conv[v] = FORGOTTEN;
		in_doubt[v] = conv_done[v];
		conv_first[v] = 0;
		conv_nr[v] = 0
	:: else
	fi
}

inline __pkvm_host_donate_guest(v, f, p)
{
	if
	:: !can_load(v) -> skip
#ifndef BUG_DONATE_USED
	:: can_load(v) && hs[f] != OWNED -> skip
#endif
#ifdef BUG_DONATE_WITHDRAWN
	:: can_load(v) && gs[p] != PN && gs[p] != WD -> skip
#else
#ifdef BUG_DONATE_SHARED
	:: can_load(v) && gs[p] != PN && gs[p] != SN -> skip
#else
#ifdef BUG_DONATE_POISONED
	:: can_load(v) && gs[p] != PN && gs[p] != PX -> skip
#else
	:: can_load(v) && gs[p] != PN -> skip
#endif
#endif
#endif
	:: else ->
#ifndef COOP
		if
		:: gs[p] == PN -> expected[p] = content[f]
		:: else
		fi;
#endif
		gs[p] = PO;
		frame[p] = f;
		hs[f] = GONE
	fi
}

inline __pkvm_host_map_shared_guest(v, f, p)
{
	if
	:: !can_load(v) -> skip
#ifndef BUG_MAP_SHARED_USED
	:: can_load(v) && hs[f] != OWNED -> skip
#endif
#ifdef BUG_MAP_SHARED_PRIVATE
	:: can_load(v) && gs[p] != SN && gs[p] != PN -> skip
#else
	:: can_load(v) && gs[p] != SN -> skip
#endif
	:: else ->
		gs[p] = SO;
		frame[p] = f;
		hs[f] = BORROWED
	fi
}

inline __pkvm_host_unmap_shared_guest(p)
{
	if
	:: life != ALIVE -> skip
#ifdef BUG_UNMAP_PRIVATE
	:: life == ALIVE && gs[p] != SO && gs[p] != PO -> skip
#else
#ifdef BUG_UNMAP_WITHDRAWN
	:: life == ALIVE && gs[p] != SO && gs[p] != WD -> skip
#else
	:: life == ALIVE && gs[p] != SO -> skip
#endif
#endif
	:: else ->
		gs[p] = SN;
		hs[frame[p]] = OWNED;
		frame[p] = 0
	fi
}

/* The guest loses its mapping, and nobody gets one. */
inline __pkvm_host_withdraw_guest(p)
{
	if
	:: life != ALIVE -> skip
#ifdef BUG_WITHDRAW_SHARED
	:: life == ALIVE && gs[p] != PO && gs[p] != SO -> skip
#else
	:: life == ALIVE && gs[p] != PO -> skip
#endif
	:: else ->
		gs[p] = WD
#ifdef BUG_WITHDRAW_TO_HOST
		;hs[frame[p]] = OWNED
#endif
	fi
}

/* The frame is the one that EL2 has noted, and not for the host to say. */
inline __pkvm_host_give_back_guest(p, f)
{
	if
	:: life != ALIVE -> skip
#ifdef BUG_GIVE_BACK_SHARED
	:: life == ALIVE && gs[p] != WD && gs[p] != SO -> skip
#else
	:: life == ALIVE && gs[p] != WD -> skip
#endif
#ifdef BUG_GIVE_BACK_OTHER
	:: life == ALIVE && hs[f] != OWNED -> skip
#endif
	:: else ->
		gs[p] = PO
#ifdef BUG_GIVE_BACK_OTHER
		;content[frame[p]] = JUNK;
		hs[frame[p]] = OWNED;
		frame[p] = f;
		hs[f] = GONE
#endif
	fi
}

/* The host names the frame; which page it is of is for EL2 to know. */
inline __pkvm_host_force_reclaim_page_guest(p)
{
	if
	:: life == DEAD -> skip
#ifdef BUG_FORCE_RECLAIM_SHARED
	:: life != DEAD && gs[p] != PO && gs[p] != WD && gs[p] != SO -> skip
#else
#ifdef BUG_FORCE_RECLAIM_NOT_WITHDRAWN
	:: life != DEAD && gs[p] != PO -> skip
#else
	:: life != DEAD && gs[p] != PO && gs[p] != WD -> skip
#endif
#endif
	:: else ->
#ifndef BUG_FORCE_RECLAIM_KEEPS
		content[frame[p]] = JUNK;
#endif
		lost[p] = true;
		nothing_expected(p);
		hs[frame[p]] = OWNED;
		frame[p] = 0;
#ifdef BUG_FORCE_RECLAIM_FORGETS
		gs[p] = PN
#else
		gs[p] = PX
#endif
	fi
}

/* No vCPU runs any more: what it waits for doesn't matter. */
inline forget_request(v)
{
	conv[v] = NOTHING;
	conv_first[v] = 0;
	conv_nr[v] = 0;
	conv_done[v] = 0;
	in_doubt[v] = 0;
	asked[v] = NOTHING;
	asked_first[v] = 0;
	asked_nr[v] = 0
}

/* Not while a vCPU is loaded: none runs from here on. */
inline __pkvm_start_teardown_vm()
{
	if
	:: life != ALIVE -> skip
#ifndef BUG_TEARDOWN_LOADED
	:: life == ALIVE && (running[0] || running[1]) -> skip
#endif
	:: else ->
		life = DYING;
		forget_request(0);
		forget_request(1)
	fi
}

/* __pkvm_host_reclaim_page_guest() does the work. */
inline __pkvm_reclaim_dying_guest_page(p)
{
	if
#ifdef BUG_RECLAIM_ALIVE
	:: life == DEAD -> skip
#else
	:: life != DYING -> skip
#endif
	:: else ->
		if
#ifdef BUG_RECLAIM_NOT_WITHDRAWN
		:: gs[p] == PO ->
#else
		:: gs[p] == PO || gs[p] == WD ->
#endif
#ifndef BUG_RECLAIM_KEEPS
			content[frame[p]] = JUNK;
#endif
			lost[p] = true;
			nothing_expected(p);
			hs[frame[p]] = OWNED;
			frame[p] = 0;
			gs[p] = PN
#ifndef BUG_RECLAIM_NOT_SHARED
		:: gs[p] == SO ->
			hs[frame[p]] = OWNED;
			frame[p] = 0;
			gs[p] = PN
#endif
		:: else
		fi
	fi
}

/*
 * What the guest still has is lost, to the host as well.  Without its check, nobody
 * would see more than that.
 */
inline __pkvm_finalize_teardown_vm()
{
	if
	:: life == DYING -> life = DEAD
	:: else
	fi
}

/* The host's own stage-2 */
#define host_may_access(f)	(hs[f] != GONE)

inline host_read(f)
{
	assert(!IS_SECRET(content[f]))
}

/*
 * The guest
 */

/* A page is touched. */
inline guest_access(v, p)
{
	if
	:: gs[p] == PO || gs[p] == SO ->
		/* What was kept is there, and if not, there's nothing. */
		assert(!lost[p]);
#ifdef COOP
		assert(content[frame[p]] == expected[p]);
#else
		assert(gs[p] == SO || content[frame[p]] == expected[p]);
#endif
#ifdef COOP
		touch[v] = NO_PAGE;
#endif
		if
		:: keeps_secret(p) ->
			content[frame[p]] = SECRET(p);
			expected[p] = SECRET(p)
#ifdef COOP
		:: gv_shared[p] ->
			content[frame[p]] = PUBLIC(p);
			expected[p] = PUBLIC(p)
#endif
		:: else
		fi
	:: else ->
		running[v] = false
#ifdef COOP
		;touch[v] = p
#endif
	fi
}

/*
 * A vCPU is told: of success for as many of the first pages that it has asked for as are
 * what it has asked for, and nothing of the others; or of an error, if the first one
 * isn't.  To ask for a page to be private whose memory is gone is an error, though it is
 * private: there's nothing that it could be told of the content.
 */
#define told_of(v, p, done)	in_range(p, asked_first[v], done)
#define is_true(v, p, done)	(!told_of(v, p, done) || is_in_force(asked[v], p))

inline guest_told(v, answer, done)
{
	if
	:: answer == SUCCESS ->
		assert(done >= 1 && done <= asked_nr[v]);
		assert(is_true(v, 0, done) && is_true(v, 1, done));
		if
		:: told_of(v, 0, done) -> gv_shared[0] = (asked[v] == SHARE)
		:: else
		fi;
		if
		:: told_of(v, 1, done) -> gv_shared[1] = (asked[v] == SHARE)
		:: else
		fi
	:: answer == ERROR ->
		assert((asked[v] == UNSHARE && gs[asked_first[v]] == PX) ||
		       !is_in_force(asked[v], asked_first[v]))
	fi;
	in_doubt[v] = 0;
	asked[v] = NOTHING;
	asked_first[v] = 0;
	asked_nr[v] = 0
}

#ifdef AGREE
/* Who was made to ask again goes first. */
#define may_ask(v, first, nr) \
	(!(running[1 - v] && asked[1 - v] != NOTHING && \
	   in_range(asked_first[1 - v], first, nr)))
#else
#define may_ask(v, first, nr)	true
#endif

/*
 * A vCPU touches pages and asks for conversions, all of it as it likes, but for keeping
 * no secrets in what it shares.
 */
proctype vcpu(byte v)
{
	byte p, nr, what, answer, done;

end:	do
#ifdef COOP
	/* The page that it has run into, until it gets it. */
	:: atomic { running[v] && asked[v] == NOTHING && is_stuck(v) ->
		p = touch[v];
		guest_access(v, p);
		p = 0;
		check()
	   }
#endif
	/* Something new. */
	:: atomic { running[v] && asked[v] == NOTHING && !is_stuck(v) ->
#ifdef AGREE
		steps[v] = 1 - steps[v];
#endif
		select (p : 0 .. NR_PAGES - 1);
		select (nr : 1 .. NR_PAGES - p);
		if
		:: true -> guest_access(v, p)
		:: may_ask(v, p, nr) ->
			select (what : SHARE .. UNSHARE);
			asked[v] = what;
			asked_first[v] = p;
			asked_nr[v] = nr
		fi;
		p = 0; nr = 0; what = 0;
		check()
	   }
	/* The hypercall, perhaps again. */
	:: atomic { running[v] && asked[v] != NOTHING ->
		pkvm_conversion_begin(v, asked_first[v], asked_nr[v], asked[v], answer,
				      done);
		if
		:: answer == NONE -> running[v] = false
		:: answer == AGAIN -> skip
		:: answer == SUCCESS || answer == ERROR ->
#ifdef COOP
			/* The VMM has not been asked. */
			assert(answer == SUCCESS || gs[asked_first[v]] == PX);
#endif
			guest_told(v, answer, done)
		fi;
		answer = 0; done = 0;
		check()
	   }
	od
}

/*
 * Who was to be told of several pages when that was forgotten doesn't run, as long as it
 * isn't reset: to ask again tells it of the first page, and of the others only if that
 * one has not been converted back meanwhile.  With one page, to ask again will do.
 */
#ifdef BUG_FORGOTTEN_GOES_ON
#define can_run(v)	can_load(v)
#else
#define can_run(v)	(can_load(v) && !(conv[v] == FORGOTTEN && conv_done[v] > 1))
#endif
/* The host has a vCPU run, and says what the answer is if it waits for one. */
inline handle___kvm_vcpu_run(v, x0, answer, done)
{
	if
	:: can_run(v) ->
#ifdef COOP
		/* Who was agreed with gets all of it, but for what can't be had. */
		assert(!agreed[v] || conv_done[v] == conv_nr[v] ||
		       (conv[v] == SHARE && gs[cursor(v)] == PX));
#endif
		pkvm_conversion_finish(v, x0, answer, done);
		running[v] = true;
#ifdef COOP
#ifndef AGREE
		/* An interrupt may have it do something else. */
		touch[v] = NO_PAGE;
#endif
		/* Who was agreed with gets to know it. */
		assert((asked[v] == SHARE && gs[asked_first[v]] == PX) ||
		       !agreed[v] || answer == SUCCESS);
		agreed[v] = false;
#endif
		if
		:: asked[v] != NOTHING && (answer == SUCCESS || answer == ERROR) ->
			guest_told(v, answer, done)
		:: else
		fi;
		answer = 0; done = 0
	:: else
	fi
}

#ifdef COOP

/*
 * KVM at EL1, and the VMM: a thread for each vCPU, and one for all else.
 */
#define is_free(f)	(hs[f] == OWNED && gmem[0] != (f) && gmem[1] != (f))

/* There's always a frame left: there are more than pages.  It's zeroed here. */
inline get_gmem(p)
{
	if
	:: gmem[p] != NO_FRAME
	:: else ->
		if
		:: is_free(0) -> gmem[p] = 0
		:: !is_free(0) && is_free(1) -> gmem[p] = 1
		:: !is_free(0) && !is_free(1) -> gmem[p] = 2
		fi;
		assert(hs[gmem[p]] == OWNED);
		content[gmem[p]] = JUNK
	fi
}

/* Nobody else has what is freed. */
inline free_gmem(p)
{
	if
	:: gmem[p] != NO_FRAME ->
		assert(hs[gmem[p]] == OWNED && users(gmem[p]) == 0);
		gmem[p] = NO_FRAME;
		expected[p] = JUNK
	:: else
	fi
}

/* KVM_SET_MEMORY_ATTRIBUTES: always takes effect, and carries out what's pending. */
inline set_shared(p)
{
	if
#ifdef BUG_UNCHANGED_IS_NOTHING
	:: !attr_private[p] -> skip
#endif
	:: else ->
		attr_private[p] = false;
		if
		:: is_next(0, p, SHARE) ->
			__pkvm_host_convert_guest(0, p, frame[p]);
			blocked[p] = false
		:: is_next(1, p, SHARE) ->
			__pkvm_host_convert_guest(1, p, frame[p]);
			blocked[p] = false
		:: else ->
			if
			:: gs[p] == PO ->
				__pkvm_host_withdraw_guest(p);
#ifndef BUG_NOT_BLOCKED
				blocked[p] = true
#endif
			:: else
			fi
		fi
	fi
}

inline set_private(p)
{
	attr_private[p] = true;
	if
	:: is_next(0, p, UNSHARE) ->
		__pkvm_host_convert_guest(0, p, frame[p])
	:: is_next(1, p, UNSHARE) ->
		__pkvm_host_convert_guest(1, p, frame[p])
	:: else ->
		if
		:: gs[p] == WD ->
			__pkvm_host_give_back_guest(p, frame[p]);
			blocked[p] = false
		:: gs[p] == SO ->
			__pkvm_host_unmap_shared_guest(p)
#ifdef BUG_SET_PRIVATE_DROPS
			;gmem[p] = NO_FRAME
#endif
		:: else
		fi
	fi
}

inline set_attribute(p, private)
{
	if
	:: private -> set_private(p)
	:: else -> set_shared(p)
	fi
}

/* FALLOC_FL_PUNCH_HOLE: the page goes back to the host. */
inline punch_hole(p)
{
	if
	:: gs[p] == PO || gs[p] == WD ->
		__pkvm_host_force_reclaim_page_guest(p);
		blocked[p] = false
#ifndef BUG_PUNCH_NOT_SHARED
	:: gs[p] == SO -> __pkvm_host_unmap_shared_guest(p)
#endif
	:: else
	fi;
	free_gmem(p)
}

/* A vCPU's fault: map what both sides agree on, or else ask the VMM. */
inline handle_fault(v, p, resolved)
{
	resolved = true;
	if
	:: gs[p] == PX -> resolved = false
	:: gs[p] == PO || gs[p] == SO -> skip
	:: gs[p] == PN && attr_private[p] ->
		get_gmem(p)
#ifndef BUG_NEVER_MAPPED
		;__pkvm_host_donate_guest(v, gmem[p], p)
#endif
	:: gs[p] == SN && !attr_private[p] ->
		get_gmem(p)
#ifndef BUG_NEVER_MAPPED
		;__pkvm_host_map_shared_guest(v, gmem[p], p)
#endif
	:: else -> resolved = false
	fi
}

/* The thread of a vCPU. */
proctype vmm(byte v)
{
	byte p, answer, done, x0;
	bool resolved;

end:	do
	/* A request: agree, or not, or another time. */
	:: atomic { life == ALIVE && !running[v] && conv[v] != NOTHING && !agreed[v] ->
		p = conv_first[v];
		if
		:: true ->
			do
			:: p < conv_first[v] + conv_nr[v] ->
				set_attribute(p, conv[v] == UNSHARE);
				p++
			:: else -> break
			od;
			agreed[v] = true
#ifndef AGREE
		:: true ->
			select (x0 : SUCCESS .. AGAIN);
			handle___kvm_vcpu_run(v, x0, answer, done)
#endif
		fi;
		p = 0; x0 = 0;
		check()
	   }
#ifndef BUG_NEVER_ANSWERED
	:: atomic { life == ALIVE && !running[v] && agreed[v] ->
		x0 = SUCCESS;
		handle___kvm_vcpu_run(v, x0, answer, done);
		check()
	   }
#endif
#ifndef BUG_NEVER_RUN
	/* An exit for a fault, or the first time. */
	:: atomic { life == ALIVE && !running[v] && conv[v] == NOTHING ->
		if
		:: is_stuck(v) ->
			p = touch[v];
			handle_fault(v, p, resolved);
			if
#ifndef BUG_NEVER_RESOLVED
			:: !resolved && gs[p] != PX -> set_attribute(p, !is_shared(p))
#endif
#ifndef AGREE
			:: !resolved -> skip
#endif
			:: else
			fi
		:: else
		fi;
		x0 = 0;
		handle___kvm_vcpu_run(v, x0, answer, done);
		p = 0; resolved = 0;
		check()
	   }
#endif
	od
}

/*
 * All memory comes back, and nothing of the guest's with it.  The file may be closed
 * before the VM is, or after it.
 */
inline tear_down()
{
	running[0] = false;
	running[1] = false;
	if
	:: true -> punch_hole(0)
	:: true -> skip
	fi;
	if
	:: true -> punch_hole(1)
	:: true -> skip
	fi;
	__pkvm_start_teardown_vm();
	__pkvm_reclaim_dying_guest_page(0);
	__pkvm_reclaim_dying_guest_page(1);
	__pkvm_finalize_teardown_vm();
	free_gmem(0);
	free_gmem(1);
	assert(life == DEAD);
	assert(hs[0] == OWNED && hs[1] == OWNED && hs[2] == OWNED);
	host_read(0);
	host_read(1);
	host_read(2)
}

/* What the VMM does unasked, and the host's side of shared memory. */
proctype admin()
{
	byte p;

end:	do
#ifdef AGREE
	:: atomic { whims < NR_WHIMS ->
		whims = whims + 1;
#else
	:: atomic { life == ALIVE ->
#endif
		select (p : 0 .. NR_PAGES - 1);
		if
		:: true -> set_attribute(p, true)
		:: true -> set_attribute(p, false)
#ifndef AGREE
		:: true -> punch_hole(p)
		/* Its mapping of the page, which never faults. */
		:: !attr_private[p] && !blocked[p] ->
			get_gmem(p);
			assert(host_may_access(gmem[p]));
			host_read(gmem[p]);
			assert(content[gmem[p]] == expected[p]);
			if
			:: true ->
				content[gmem[p]] = JUNK;
				expected[p] = JUNK
			:: true -> skip
			fi
		:: true -> tear_down()
#endif
		fi;
		p = 0;
		check()
	   }
	od
}

#else

#define ANY_PAGE	select (p : 0 .. NR_PAGES - 1)
#define ANY_VCPU	select (v : 0 .. NR_VCPUS - 1)
#define ANY_FRAME	select (f : 0 .. NR_FRAMES - 1)
#define ANY_ANSWER	select (x0 : SUCCESS .. AGAIN)

proctype host()
{
	byte v, p, f, x0, answer, done;

	do
	:: atomic {
		if
		:: ANY_VCPU; ANY_ANSWER; handle___kvm_vcpu_run(v, x0, answer, done)
		/* An interrupt. */
		:: ANY_VCPU; running[v] = false
		:: ANY_VCPU; ANY_PAGE;
#ifdef BUG_CONVERT_OTHER_FRAME
		   ANY_FRAME;
#endif
		   __pkvm_host_convert_guest(v, p, f)
		:: ANY_VCPU; __pkvm_host_forget_conversion(v)
		:: ANY_VCPU; ANY_PAGE; ANY_FRAME; __pkvm_host_donate_guest(v, f, p)
		:: ANY_VCPU; ANY_PAGE; ANY_FRAME; __pkvm_host_map_shared_guest(v, f, p)
		:: ANY_PAGE; __pkvm_host_unmap_shared_guest(p)
		:: ANY_PAGE; __pkvm_host_withdraw_guest(p)
		:: ANY_PAGE;
#ifdef BUG_GIVE_BACK_OTHER
		   ANY_FRAME;
#endif
		   __pkvm_host_give_back_guest(p, f)
		:: ANY_PAGE; __pkvm_host_force_reclaim_page_guest(p)
		:: true -> __pkvm_start_teardown_vm()
		:: ANY_PAGE; __pkvm_reclaim_dying_guest_page(p)
		:: true -> __pkvm_finalize_teardown_vm()
		:: ANY_FRAME;
		   if
		   :: host_may_access(f) -> host_read(f); content[f] = JUNK
		   :: else
		   fi
		fi;
		v = 0; p = 0; f = 0; x0 = 0;
		check()
	   }
	od
}

#endif /* COOP */

init {
	atomic {
		run vcpu(0);
		run vcpu(1);
#ifdef COOP
		touch[0] = NO_PAGE;
		touch[1] = NO_PAGE;
		gmem[0] = NO_FRAME;
		gmem[1] = NO_FRAME;
		run vmm(0);
		run vmm(1);
		run admin()
#else
		run host()
#endif
	}
}

#ifdef AGREE
#define waits(v)	(asked[v] != NOTHING)
ltl progress {
	([] (waits(0) -> <> !waits(0))) && ([] (waits(1) -> <> !waits(1))) &&
	([] (is_stuck(0) -> <> !is_stuck(0))) && ([] (is_stuck(1) -> <> !is_stuck(1))) &&
	([] <> (steps[0] == 0)) && ([] <> (steps[0] == 1)) &&
	([] <> (steps[1] == 0)) && ([] <> (steps[1] == 1))
}
#endif
