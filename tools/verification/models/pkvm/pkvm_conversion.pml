/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a protected VM's memory is converted: the guest asks, userspace decides by
 * setting attributes, and EL2 has the last word.
 *
 * By default, the host is an adversary: it may make any EL2 call with any arguments at
 * any time, run vCPUs or not, return what it likes, and access any memory that its own
 * stage-2 lets it.  With -DCOOP it is KVM and a VMM that follow the protocol, where the
 * VMM agrees, denies, delays, withdraws, gives back and punches holes as it likes; with
 * -DAGREE as well, it agrees to all and does nothing unasked.
 *
 * Not modelled: a host that rewrites a protected VM's registers, which nothing keeps it
 * from today; caches and TLBs; devices.
 *
 * -DBUG_... leaves out a check, one each, for the model to show that it is needed.
 *
 * What is checked, in every state:
 *  - a frame is the host's alone, or one page's (nothing is lost, mapped twice, or
 *    freed while it is mapped);
 *  - guest and EL2 agree on what a page is, unless the guest waits for an answer;
 *    it is told of success if the conversion is in force, of an error if it isn't;
 *  - the host never reads what the guest keeps secret;
 *  - the guest finds in a private page what it has left there, or nothing at all;
 * and with -DCOOP also
 *  - shared pages keep their content, in both directions;
 *  - a mapping of the VMM's never faults at EL2;
 *  - a request that the VMM agrees to succeeds; with -DAGREE, all are answered.
 *
 * "make model" runs all of it.
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
#define WD		4	/* withdrawn: owned by the guest, not mapped */
#define PX		5	/* its memory was taken by force */

/* What EL2 has of a frame of the host's. */
#define OWNED		0
#define GONE		1	/* donated to the guest */
#define BORROWED	2	/* the guest's, which shares it */

/* What a page holds; secrets are those of one page. */
#define JUNK		0
#define SECRET(p)	(1 + (p))
#define PUBLIC(p)	(1 + NR_PAGES + (p))
#define IS_SECRET(c)	((c) >= 1 && (c) <= NR_PAGES)

/* What a vCPU has asked for. */
#define NOTHING		0
#define SHARE		1
#define UNSHARE		2

/* Answers. */
#define SUCCESS		0
#define ERROR		1
#define AGAIN		2	/* the hypercall is to be executed again */

/* EL2's state, guarded by the locks of the host's and the guest's stage-2. */
byte gs[NR_PAGES];
byte frame[NR_PAGES];		/* of PO, SO, WD */
byte hs[NR_FRAMES];
byte content[NR_FRAMES];

/* The pending request of each vCPU, also EL2's. */
byte conv[NR_VCPUS];
byte conv_page[NR_VCPUS];
bit conv_done[NR_VCPUS];

/* Where a vCPU is. */
bit running[NR_VCPUS];		/* in the guest */
bit agreed[NR_VCPUS];		/* userspace has agreed to what it asked for */
byte fault[NR_VCPUS];		/* page that it has exited for, or NO_PAGE */

/* The guest's own. */
bit gv_shared[NR_PAGES];	/* what it takes the page for */
byte asked[NR_VCPUS];		/* from before the hypercall until it's answered */
byte asked_page[NR_VCPUS];

/* What a private page should hold, and every page if the host follows the protocol. */
byte expected[NR_PAGES];
bit lost[NR_PAGES];		/* taken by force, for the guest to know */

#define asks(v, p, what)	(asked[v] == (what) && asked_page[v] == (p))
#define somebody_asks(p, what)	(asks(0, p, what) || asks(1, p, what))
/* The guest keeps secrets in pages that are private and that it's not about to share. */
#define keeps_secret(p)		(!gv_shared[p] && !somebody_asks(p, SHARE))
#define pending(v, p)		(conv[v] != NOTHING && conv_page[v] == (p))

#define has_frame(p)		(gs[p] == PO || gs[p] == SO || gs[p] == WD)
#define uses(p, f)		(has_frame(p) && frame[p] == (f))
#define users(f)		(uses(0, f) + uses(1, f))

/*
 * Always: a frame is the host's alone or one page's; and the guest and EL2 agree on
 * what a page is, unless the guest waits for an answer.
 */
#define consistent_frame(f) \
	((hs[f] == OWNED && users(f) == 0) || (hs[f] != OWNED && users(f) == 1))
#define consistent_page(p) \
	(gs[p] == PX || somebody_asks(p, SHARE) || somebody_asks(p, UNSHARE) || \
	 (gv_shared[p] == (gs[p] == SO || gs[p] == SN)))
#define consistent_host(p) \
	(!has_frame(p) || ((gs[p] == SO) == (hs[frame[p]] == BORROWED)))

inline check()
{
	assert(consistent_frame(0) && consistent_frame(1) && consistent_frame(2));
	assert(consistent_page(0) && consistent_page(1));
	assert(consistent_host(0) && consistent_host(1));
}

/*
 * EL2, by its functions.  Each is one step, with the locks of both stage-2s held.
 */

/* kvm_handle_pvm_hvc64(): a vCPU asks for a conversion. */
inline el2_begin(v, p, what, ok)
{
	ok = true;
	if
	:: gs[p] == PX -> ok = false
	:: what == SHARE && (gs[p] == SO || gs[p] == SN) -> ok = false
	:: what == UNSHARE && !(gs[p] == SO || gs[p] == SN) -> ok = false
#ifndef BUG_TWO_REQUESTS
	/* Or one might be told of a success that the other one has undone. */
	:: pending(1 - v, p) -> ok = false
#endif
	:: else
	fi
	if
	:: ok ->
		conv[v] = what;
		conv_page[v] = p;
		conv_done[v] = false
	:: else
	fi
}

/* __pkvm_host_convert_guest(): what a vCPU has asked for, and nothing else. */
inline el2_convert(v, p, what)
{
	if
#ifndef BUG_NO_REQUEST
	:: conv[v] == NOTHING -> skip
#endif
#ifndef BUG_OTHER_PAGE
	:: conv[v] != NOTHING && conv_page[v] != p -> skip
#endif
	/* The states that a direction starts from would do, too. */
	:: conv[v] != NOTHING && conv[v] != what -> skip
	:: conv_done[v] -> skip
	:: else ->
		if
		:: what == SHARE && (gs[p] == PO || gs[p] == WD) ->
			gs[p] = SO;
			hs[frame[p]] = BORROWED;
			if
			:: content[frame[p]] == SECRET(p) && somebody_asks(p, SHARE) ->
				/* What it held is no secret any more. */
				content[frame[p]] = PUBLIC(p);
				expected[p] = PUBLIC(p)
			:: else
			fi;
			conv_done[v] = true
		:: what == SHARE && gs[p] == PN ->
			gs[p] = SN;
			conv_done[v] = true
		:: what == UNSHARE && gs[p] == SO ->
			gs[p] = PO;
			hs[frame[p]] = GONE;
			expected[p] = content[frame[p]];
			conv_done[v] = true
		:: what == UNSHARE && gs[p] == SN ->
			gs[p] = PN;
			conv_done[v] = true
		:: else
		fi
	fi
}

/* handle___kvm_vcpu_run(): the answer to what was pending, by the host's x0 at most. */
inline el2_finish(v, x0, answer)
{
	answer = x0;
	if
#ifndef BUG_TRUST_X0
	:: conv[v] != NOTHING && conv_done[v] -> answer = SUCCESS
	:: conv[v] != NOTHING && !conv_done[v] && x0 == SUCCESS -> answer = ERROR
#endif
	:: else
	fi;
#ifndef BUG_STALE_REQUEST
	conv[v] = NOTHING;
	conv_done[v] = false;
	conv_page[v] = 0
#endif
}

/* __pkvm_host_donate_guest() */
inline el2_donate(f, p)
{
	if
#ifndef BUG_DONATE_USED
	:: hs[f] != OWNED -> skip
#endif
#ifdef BUG_DONATE_WITHDRAWN
	:: gs[p] != PN && gs[p] != WD -> skip
#else
#ifdef BUG_DONATE_SHARED
	:: gs[p] != PN && gs[p] != SN -> skip
#else
#ifdef BUG_DONATE_POISONED
	:: gs[p] != PN && gs[p] != PX -> skip
#else
	:: gs[p] != PN -> skip
#endif
#endif
#endif
	:: else ->
		if
		:: gs[p] == PN -> expected[p] = content[f]
		:: else
		fi;
#ifdef BUG_DONATE_WITHDRAWN
		if
		:: gs[p] == WD -> hs[frame[p]] = OWNED
		:: else
		fi;
#endif
		gs[p] = PO;
		frame[p] = f;
		hs[f] = GONE
	fi
}

/* __pkvm_host_map_shared_guest() */
inline el2_map_shared(f, p)
{
	if
	:: hs[f] != OWNED -> skip
#ifdef BUG_MAP_SHARED_PRIVATE
	:: gs[p] != SN && gs[p] != PN -> skip
#else
	:: gs[p] != SN -> skip
#endif
	:: else ->
		gs[p] = SO;
		frame[p] = f;
		hs[f] = BORROWED;
		expected[p] = content[f]
	fi
}

/* __pkvm_host_unmap_shared_guest() */
inline el2_unmap_shared(p)
{
	if
#ifdef BUG_UNMAP_PRIVATE
	:: gs[p] != SO && gs[p] != PO -> skip
#else
	:: gs[p] != SO -> skip
#endif
	:: else ->
		gs[p] = SN;
		hs[frame[p]] = OWNED;
		frame[p] = 0
	fi
}

/* __pkvm_host_withdraw_guest(): the guest loses its mapping, and nobody gets one. */
inline el2_withdraw(p)
{
	if
	:: gs[p] != PO -> skip
	:: else ->
		gs[p] = WD
#ifdef BUG_WITHDRAW_TO_HOST
		;hs[frame[p]] = OWNED
#endif
	fi
}

/* __pkvm_host_give_back_guest(): the frame is the one that EL2 has noted. */
inline el2_give_back(p, f)
{
	if
	:: gs[p] != WD -> skip
	:: else ->
		gs[p] = PO
#ifdef BUG_GIVE_BACK_OTHER
		;hs[frame[p]] = OWNED;
		frame[p] = f;
		hs[f] = GONE
#endif
	fi
}

/* __pkvm_host_force_reclaim_page_guest() */
inline el2_force_reclaim(p)
{
	if
#ifdef BUG_RECLAIM_MISSES_WITHDRAWN
	:: gs[p] != PO -> skip
#else
	:: gs[p] != PO && gs[p] != WD -> skip
#endif
	:: else ->
#ifndef BUG_RECLAIM_KEEPS
		content[frame[p]] = JUNK;
#endif
		lost[p] = true;
		hs[frame[p]] = OWNED;
		frame[p] = 0;
#ifdef BUG_RECLAIM_FORGETS
		gs[p] = PN
#else
		gs[p] = PX
#endif
	fi
}

/* The host's own stage-2 */
#define host_may_access(f)	(hs[f] != GONE)

inline host_read(f)
{
	assert(!IS_SECRET(content[f]))
}

/*
 * A guest's vCPU.  It touches pages and asks for conversions, all of it as it likes,
 * but for keeping no secrets in what it shares.
 */
proctype vcpu(byte v)
{
	byte p;
	byte what;
	bool ok;

end:	do
	:: atomic { running[v] && asked[v] == NOTHING ->
		select (p : 0 .. NR_PAGES - 1);
		if
		/* An access. */
		:: true ->
			if
			:: gs[p] == PO || gs[p] == SO ->
				/* What was kept is there, and if not, there's nothing. */
				assert(!lost[p]);
#ifdef COOP
				assert(content[frame[p]] == expected[p]);
#else
				assert(gs[p] == SO || content[frame[p]] == expected[p]);
#endif
				if
				:: keeps_secret(p) ->
					content[frame[p]] = SECRET(p);
					expected[p] = SECRET(p)
				:: else
				fi
			:: else ->
				running[v] = false;
				fault[v] = p
			fi
		/* A request. */
		:: true ->
			what = (gv_shared[p] -> UNSHARE : SHARE);
			asked[v] = what;
			asked_page[v] = p;
			el2_begin(v, p, what, ok);
			if
			:: ok -> running[v] = false
			:: else ->
				asked[v] = NOTHING;
				asked_page[v] = 0
			fi
		fi;
		p = 0; what = 0; ok = 0;
		check()
	   }
	od
}

/* The host runs a vCPU, and says what the answer is if it waits for one. */
inline run_vcpu(v, x0)
{
	el2_finish(v, x0, answer);
	fault[v] = NO_PAGE;
	running[v] = true;
	if
#ifdef COOP
	/* Who was agreed with gets to know it. */
	:: asked[v] != NOTHING && agreed[v] && answer != SUCCESS ->
		assert(gs[asked_page[v]] == PX)
#endif
	:: asked[v] != NOTHING && answer == SUCCESS ->
		/* It is so, now. */
		assert((asked[v] == SHARE) == (gs[asked_page[v]] == SO || gs[asked_page[v]] == SN) ||
		       gs[asked_page[v]] == PX);
		gv_shared[asked_page[v]] = (asked[v] == SHARE);
	:: asked[v] != NOTHING && answer != SUCCESS ->
		/* It isn't. */
		assert((asked[v] == UNSHARE) == (gs[asked_page[v]] == SO || gs[asked_page[v]] == SN) ||
		       gs[asked_page[v]] == PX)
	:: else
	fi;
	asked[v] = NOTHING;
	asked_page[v] = 0;
	answer = 0
}

#ifdef COOP

/*
 * KVM at EL1, and the VMM: a thread for each vCPU, and one for all else.
 */
bit attr_private[NR_PAGES];
bit blocked[NR_PAGES];		/* KVM's own: withdrawn, not for the host to map */
byte gmem[NR_PAGES];		/* the page of guest_memfd, or NO_FRAME */
bit dead;

#define is_free(f)	(hs[f] == OWNED && gmem[0] != (f) && gmem[1] != (f))
#define view_private(p)	(gs[p] == PN || gs[p] == PO || gs[p] == WD)

/* There's always a frame left: there are more than pages. */
inline get_gmem(p)
{
	if
	:: gmem[p] != NO_FRAME
	:: gmem[p] == NO_FRAME && is_free(0) -> gmem[p] = 0
	:: gmem[p] == NO_FRAME && !is_free(0) && is_free(1) -> gmem[p] = 1
	:: gmem[p] == NO_FRAME && !is_free(0) && !is_free(1) -> gmem[p] = 2
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
		:: pending(0, p) && conv[0] == SHARE && !conv_done[0] ->
			el2_convert(0, p, SHARE);
			blocked[p] = false
		:: pending(1, p) && conv[1] == SHARE && !conv_done[1] ->
			el2_convert(1, p, SHARE);
			blocked[p] = false
		:: else ->
			if
			:: gs[p] == PO ->
				el2_withdraw(p);
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
	:: pending(0, p) && conv[0] == UNSHARE && !conv_done[0] -> el2_convert(0, p, UNSHARE)
	:: pending(1, p) && conv[1] == UNSHARE && !conv_done[1] -> el2_convert(1, p, UNSHARE)
	:: else ->
		if
		:: gs[p] == WD -> el2_give_back(p, frame[p]); blocked[p] = false
		:: gs[p] == SO -> el2_unmap_shared(p)
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
	:: gs[p] == PO || gs[p] == WD -> el2_force_reclaim(p); blocked[p] = false
#ifndef BUG_PUNCH_MISSES_SHARED
	:: gs[p] == SO -> el2_unmap_shared(p)
#endif
	:: else
	fi;
	if
	:: gmem[p] != NO_FRAME ->
		/* Nobody else has what is freed. */
		assert(hs[gmem[p]] == OWNED && users(gmem[p]) == 0);
		content[gmem[p]] = JUNK;
		gmem[p] = NO_FRAME
	:: else
	fi
}

/* A vCPU's fault: map what both sides agree on, or else ask the VMM. */
inline handle_fault(v, p, resolved)
{
	resolved = true;
	if
	:: gs[p] == PX -> resolved = false
	:: gs[p] == PO || gs[p] == SO -> skip
	:: gs[p] == PN && attr_private[p] -> get_gmem(p); el2_donate(gmem[p], p)
	:: gs[p] == SN && !attr_private[p] -> get_gmem(p); el2_map_shared(gmem[p], p)
	:: else -> resolved = false
	fi
}

/* The thread of a vCPU. */
proctype vmm(byte v)
{
	byte p, answer, x0;
	bool resolved;

end:	do
	/* A request: agree, or not, or another time. */
	:: atomic { !dead && !running[v] && asked[v] != NOTHING && !agreed[v] ->
		p = asked_page[v];
		if
		:: true -> set_attribute(p, asked[v] == UNSHARE); agreed[v] = true
#ifndef AGREE
		:: true -> x0 = SUCCESS; run_vcpu(v, x0)
		:: true -> x0 = ERROR; run_vcpu(v, x0)
		:: true -> x0 = AGAIN; run_vcpu(v, x0)
#endif
		fi;
		p = 0; x0 = 0;
		check()
	   }
#ifndef BUG_NEVER_ANSWERED
	:: atomic { !dead && !running[v] && agreed[v] ->
		x0 = SUCCESS;
		run_vcpu(v, x0);
		agreed[v] = false;
		check()
	   }
#endif
	/* An exit for a fault, or the first time. */
	:: atomic { !dead && !running[v] && asked[v] == NOTHING ->
		if
		:: fault[v] != NO_PAGE ->
			p = fault[v];
			handle_fault(v, p, resolved);
			if
			:: !resolved && gs[p] != PX -> set_attribute(p, view_private(p))
#ifndef AGREE
			:: !resolved -> skip
#endif
			:: else
			fi
		:: else
		fi;
		x0 = 0;
		run_vcpu(v, x0);
		p = 0; resolved = 0;
		check()
	   }
	od
}

/* What the VMM does unasked, and the host's side of shared memory. */
proctype admin()
{
	byte p;

	do
	:: atomic { !dead ->
		select (p : 0 .. NR_PAGES - 1);
		if
		:: true -> set_attribute(p, true)
		:: true -> set_attribute(p, false)
		:: true -> punch_hole(p)
		/* Its mapping of the page, which never faults. */
		:: !attr_private[p] && !blocked[p] && gmem[p] != NO_FRAME ->
			assert(host_may_access(gmem[p]));
			host_read(gmem[p]);
			assert(gs[p] != SO || content[gmem[p]] == expected[p])
		:: !attr_private[p] && !blocked[p] && gmem[p] != NO_FRAME ->
			content[gmem[p]] = JUNK;
			if
			:: gs[p] == SO -> expected[p] = JUNK
			:: else
			fi
		/* The end: all memory comes back, and nothing of the guest's with it. */
		:: true ->
			dead = true;
			running[0] = false;
			running[1] = false;
			punch_hole(0);
			punch_hole(1);
			assert(hs[0] == OWNED && hs[1] == OWNED && hs[2] == OWNED);
			host_read(0);
			host_read(1);
			host_read(2)
		fi;
		p = 0;
		check()
	   }
	:: dead -> break
	od
}

#else

proctype host()
{
	byte v, p, f, x0, what, answer;

	do
	:: atomic {
		select (v : 0 .. NR_VCPUS - 1);
		select (p : 0 .. NR_PAGES - 1);
		select (f : 0 .. NR_FRAMES - 1);
		if
		:: !running[v] -> select (x0 : SUCCESS .. AGAIN); run_vcpu(v, x0)
		:: select (what : SHARE .. UNSHARE); el2_convert(v, p, what)
		:: true -> el2_donate(f, p)
		:: true -> el2_map_shared(f, p)
		:: true -> el2_unmap_shared(p)
		:: true -> el2_withdraw(p)
		:: true -> el2_give_back(p, f)
		:: true -> el2_force_reclaim(p)
		:: host_may_access(f) -> host_read(f)
		:: host_may_access(f) -> content[f] = JUNK
		fi;
		v = 0; p = 0; f = 0; x0 = 0; what = 0;
		check()
	   }
	od
}

#endif /* COOP */

init {
	atomic {
		fault[0] = NO_PAGE;
		fault[1] = NO_PAGE;
		run vcpu(0);
		run vcpu(1);
#ifdef COOP
		gmem[0] = NO_FRAME;
		gmem[1] = NO_FRAME;
		attr_private[0] = true;
		attr_private[1] = true;
		run vmm(0);
		run vmm(1)
#ifndef AGREE
		;run admin()
#endif
#else
		run host()
#endif
	}
}

/* Who asks gets an answer, if the VMM agrees to all. */
#define asking (asked[0] != NOTHING)
#ifdef AGREE
ltl progress { [] (asking -> <> !asking) }
#endif
