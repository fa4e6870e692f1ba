// SPDX-License-Identifier: GPL-2.0-only
/*
 * A range-compressed map from gfn to attribute bits.
 *
 * The form of the xarray, which holds whenever no update is under way:
 *
 * - The xarray is empty until the first update that sets a bit.
 *
 * - After that, a node has a value in each of its slots or a node below it,
 *   never NULL: bits of 0 are stored like any others.  What is beyond the
 *   largest index of the tree has bits of 0.  The tree is as high as the highest
 *   gfn needs that ever had a bit set, and never shrinks.
 *
 * - A node other than the root never has the same value in all its slots, the
 *   slot above it has that value instead.  So equal contents in trees of the
 *   same height are equal trees, and a block of gfns whose size and alignment
 *   are those of a slot and which have the same bits is one entry or a part of
 *   one.
 *
 * An entry's order is therefore always a multiple of XA_CHUNK_SHIFT and there
 * are no sibling slots.  That is what makes the update's phases simple: an entry
 * that reaches across a boundary of the update is split by a single node for
 * each level, and from then on every store is to a slot that exists.  A store
 * changes all of the entry that it hits, whatever its own order, so no entry that
 * changes may reach beyond the update.
 *
 * Readers that hold the RCU lock find a gfn's old bits or its new ones at each
 * moment, and an entry's order is the shift of the node that it was read from,
 * which is constant.  A node that is replaced by a value has had that value in
 * all slots, and one that is removed with a root had bits of 0.
 *
 * Writers exclude each other by a lock of the caller's.  The lock of the xarray
 * is held for a number of slots that is bounded by constants.
 */
#include <linux/align.h>
#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/sched.h>

#include "mem_attr_store.h"

/* How much the order of entries grows from one level of the tree to the next. */
#define LEVEL_ORDER	XA_CHUNK_SHIFT

static unsigned long order_size(unsigned int order)
{
	return 1UL << order;
}

/* The gfn after the aligned block of that order around @gfn. */
static unsigned long block_end(unsigned long gfn, unsigned int order)
{
	return ALIGN_DOWN(gfn, order_size(order)) + order_size(order);
}

/* The entry at the index of @xas, which begins with no position. */
static void *load(struct xa_state *xas)
{
	void *entry;

	do {
		entry = xas_load(xas);
	} while (xas_retry(xas, entry));

	return entry;
}

/* The entry at @gfn, which comes after the one that @xas is at. */
static void *load_next(struct xa_state *xas, unsigned long gfn)
{
	void *entry;

	/* From the same node, if that has it and no node below. */
	if (!IS_ALIGNED(gfn, order_size(xas->xa_node->shift + LEVEL_ORDER))) {
		xas->xa_index = gfn;
		entry = xas_reload(xas);
		if (!xa_is_internal(entry))
			return entry;
	}

	xas_set(xas, gfn);
	return load(xas);
}

/*
 * The entry at @gfn and its order.  False if @gfn is beyond the tree: then there
 * is no entry, but a block that has none, and the bits of all of it.
 */
static bool load_entry(struct xarray *xa, unsigned long gfn,
		       unsigned long *bits, unsigned int *order)
{
	XA_STATE(xas, xa, gfn);
	void *entry;
	bool found;

	rcu_read_lock();
	entry = load(&xas);
	found = xas_is_node(&xas);
	if (found) {
		*bits = xa_to_value(entry);
		*order = xas.xa_node->shift;
	} else {
		/* Gfn 0 is beyond a tree only if there is none. */
		*bits = 0;
		*order = gfn ? __fls(gfn) : MEM_ATTR_STORE_GFN_BITS;
	}
	rcu_read_unlock();

	return found;
}

static bool is_in_tree(struct xarray *xa, unsigned long gfn)
{
	unsigned long bits;
	unsigned int order;

	return load_entry(xa, gfn, &bits, &order);
}

/*
 * The order of all that the tree spans: that of the root's slots and one level
 * more.  0 if there is no tree.
 */
static unsigned int tree_span(struct xarray *xa)
{
	unsigned int span = 0;
	void *root;

	rcu_read_lock();
	root = xa_head(xa);
	if (xa_is_node(root))
		span = xa_to_node(root)->shift + LEVEL_ORDER;
	rcu_read_unlock();

	return span;
}

/* What a tree must span to have the gfns up to @end, exclusive. */
static unsigned int span_for(unsigned long end)
{
	return roundup(fls_long(end - 1) ?: 1, LEVEL_ORDER);
}

/*
 * Store a value in a slot that exists, which may be one that has a node below.
 * Not the root itself: there's no slot above it.
 */
static void store_value(struct xarray *xa, unsigned long gfn,
			unsigned int order, unsigned long bits)
{
	XA_STATE_ORDER(xas, xa, gfn, order);

	xas_lock(&xas);
	xas_store(&xas, xa_mk_value(bits));
	xas_unlock(&xas);

	WARN_ON_ONCE(xas_error(&xas));
}

/*
 * Make a tree of that span, with bits of 0 in all slots of its root.  If there
 * is a tree, which then has to be one level lower, it becomes the first slot.
 */
static int add_root(struct xarray *xa, unsigned int span, bool empty, gfp_t gfp)
{
	const unsigned int order = span - LEVEL_ORDER;
	unsigned long slot;
	XA_STATE_ORDER(xas, xa, order_size(order), order);

	do {
		xas_lock(&xas);
		/* This one makes the node, the others then have their slots. */
		xas_store(&xas, xa_mk_value(0));
		for (slot = empty ? 0 : 2; !xas_error(&xas) && slot < XA_CHUNK_SIZE; slot++) {
			xas_set_order(&xas, slot << order, order);
			xas_store(&xas, xa_mk_value(0));
		}
		xas_unlock(&xas);
	} while (xas_nomem(&xas, gfp));

	return xas_error(&xas);
}

/* Undo add_root().  The xarray drops a root of which only the first slot is left. */
static void remove_root(struct xarray *xa, unsigned int span, bool empty)
{
	const unsigned int order = span - LEVEL_ORDER;
	unsigned long slot;
	XA_STATE(xas, xa, 0);

	xas_lock(&xas);
	for (slot = XA_CHUNK_SIZE - 1; slot; slot--) {
		xas_set_order(&xas, slot << order, order);
		xas_store(&xas, NULL);
	}
	if (empty) {
		/*
		 * The root may be gone by now: the head then is its first slot's
		 * value, or the node below that slot.
		 */
		xas_set_order(&xas, 0, order);
		xas_store(&xas, NULL);
	}
	xas_unlock(&xas);
}

/* Let the tree span @end - 1.  On failure, it may be higher than it was. */
static int grow(struct xarray *xa, unsigned long end, unsigned int span, gfp_t gfp)
{
	unsigned int wanted = span_for(end);
	int r;

	if (!span)
		return add_root(xa, wanted, true, gfp);

	while (span < wanted) {
		span += LEVEL_ORDER;
		r = add_root(xa, span, false, gfp);
		if (r)
			return r;
	}
	return 0;
}

static void shrink(struct xarray *xa, unsigned int to)
{
	unsigned int span = tree_span(xa);

	if (!to && span) {
		remove_root(xa, span, true);
		return;
	}

	for (; span > to; span -= LEVEL_ORDER)
		remove_root(xa, span, false);
}

/* Replace an entry by a node of entries that are one level lower. */
static int split_entry(struct xarray *xa, unsigned long gfn, unsigned int order,
		       unsigned long bits, gfp_t gfp)
{
	const unsigned int new_order = order - LEVEL_ORDER;
	void *entry = xa_mk_value(bits);
	XA_STATE_ORDER(xas, xa, gfn, new_order);

	xas_split_alloc(&xas, entry, order, gfp);
	if (xas_error(&xas))
		return xas_error(&xas);

	xas_lock(&xas);
	xas_split(&xas, entry, order);
	xas_unlock(&xas);

	return 0;
}

/*
 * Split what it takes for an entry to start at @gfn.  The node that has it then
 * has slots of 2^@order gfns.
 */
static int split_at(struct xarray *xa, unsigned long gfn, unsigned int *order, gfp_t gfp)
{
	unsigned long bits;
	int r;

	if (!load_entry(xa, gfn, &bits, order))
		return 0;

	for (; !IS_ALIGNED(gfn, order_size(*order)); *order -= LEVEL_ORDER) {
		r = split_entry(xa, gfn, *order, bits, gfp);
		if (r)
			return r;
	}
	return 0;
}

/* Let entries start at @start and @end. */
static int split(struct xarray *xa, unsigned long start, unsigned long end, gfp_t gfp)
{
	unsigned int order;
	int r;

	r = split_at(xa, start, &order, gfp);
	if (r)
		return r;

	/* That may have done it, in the same node. */
	if (IS_ALIGNED(end, order_size(order)) && end <= block_end(start, order + LEVEL_ORDER))
		return 0;

	return split_at(xa, end, &order, gfp);
}

/*
 * Replace the node that @xas is at by a single entry in the node above it, if all
 * slots have the same bits and none has a node below.  Never the root.
 */
static bool merge_node(struct xa_state *xas, unsigned long gfn, unsigned int span)
{
	unsigned int shift = xas->xa_node->shift;
	unsigned int order = shift + LEVEL_ORDER;
	unsigned long slot;
	void *value;

	if (order >= span)
		return false;

	/* Entries are reloaded from the same node, by their index. */
	gfn = ALIGN_DOWN(gfn, order_size(order));
	xas->xa_index = gfn;
	value = xas_reload(xas);
	for (slot = 1; slot < XA_CHUNK_SIZE; slot++) {
		xas->xa_index = gfn + (slot << shift);
		if (xas_reload(xas) != value)
			return false;
	}
	/* All slots have the same, so it's not a node. */
	xas_set_order(xas, gfn, order);
	xas_store(xas, value);
	return true;
}

/*
 * Merge what can be, from the entry at @gfn up to the slots of the node that spans
 * 2^@span gfns, which stays.
 */
static void merge_up(struct xarray *xa, unsigned long gfn, unsigned int span)
{
	bool merged;

	do {
		XA_STATE(xas, xa, gfn);

		xas_lock(&xas);
		xas_load(&xas);
		merged = xas_is_node(&xas) && merge_node(&xas, gfn, span);
		xas_unlock(&xas);
	} while (merged);
}

/*
 * Carry the update out from @gfn on, up to where the node of its entry ends or a
 * slot has a node below, and merge the node if it can be.  Returns the gfn to go
 * on with.
 *
 * The entry starts at @gfn, unless a merge has made it a part of a larger one:
 * that has the update's bits already, and isn't stored to.
 */
static unsigned long update_node(const struct mem_attr_update *update,
				 unsigned long gfn, unsigned int span, bool *merged)
{
	unsigned long end = update->end;
	unsigned long old, new;
	struct xa_node *node;
	void *entry;
	XA_STATE(xas, update->xa, gfn);

	*merged = false;

	xas_lock(&xas);
	entry = xas_load(&xas);
	node = xas.xa_node;
	/* What is beyond the tree has no bits to clear. */
	if (!xas_is_node(&xas))
		goto out_unlock;

	end = min(end, block_end(gfn, node->shift + LEVEL_ORDER));
	do {
		old = xa_to_value(entry);
		new = (old & ~update->mask) | update->bits;
		/*
		 * To the slot that was loaded from, i.e. to all of the entry,
		 * which is within the update if its bits change.
		 */
		if (new != old)
			xas_store(&xas, xa_mk_value(new));
		entry = xas_next_entry(&xas, end - 1);
	} while (entry && xas.xa_node == node);

	if (entry)
		end = xas.xa_index;
	else
		*merged = merge_node(&xas, gfn, span);
out_unlock:
	xas_unlock(&xas);
	return end;
}

/**
 * mem_attr_store_init() - Make an empty store
 * @xa: the xarray to keep it in, which isn't initialised
 *
 * The store's memory is charged to the memory control group of the task that
 * causes it to be allocated.
 *
 * Context: Any.
 */
void mem_attr_store_init(struct xarray *xa)
{
	xa_init_flags(xa, XA_FLAGS_ACCOUNT);
}

/**
 * mem_attr_store_destroy() - Free all memory of a store
 * @xa: the store, which has neither readers nor a writer any more
 *
 * Frees in pieces, as xa_destroy() has interrupts disabled for as long as it
 * takes to free all of the nodes.
 *
 * Context: May sleep.
 */
void mem_attr_store_destroy(struct xarray *xa)
{
	const unsigned int piece = 2 * LEVEL_ORDER;
	const unsigned int span = tree_span(xa);
	unsigned long gfn, next, bits;
	unsigned int order;

	for (gfn = 0; piece < span && gfn < order_size(span); gfn = next) {
		load_entry(xa, gfn, &bits, &order);
		order = max(order, piece);
		next = block_end(gfn, order);

		/* One node and those right below it, or one of values alone. */
		for (; order < span && IS_ALIGNED(next, order_size(order)); order += LEVEL_ORDER)
			store_value(xa, gfn, order, 0);
		cond_resched();
	}
	xa_destroy(xa);
}

/**
 * mem_attr_store_lookup() - The bits of a gfn, and of how many around it
 * @xa: the store
 * @gfn: the gfn, less than MEM_ATTR_STORE_END
 * @order: set so that all gfns of the aligned block of 2^@order gfns around @gfn
 *	   have the same bits; a multiple of XA_CHUNK_SHIFT for what is in the tree
 *
 * Bits and order are from the same entry, i.e. belong to each other also if
 * there is a writer.  If there's none, then there is no larger block of an order
 * that is a multiple of XA_CHUNK_SHIFT, except for all that the tree spans.  What
 * is beyond the tree isn't in an entry, has bits of 0, and an order that need not
 * be such a multiple.
 *
 * Context: Any, takes the RCU lock.
 * Return: The bits.
 */
unsigned long mem_attr_store_lookup(struct xarray *xa, unsigned long gfn,
				    unsigned int *order)
{
	unsigned long bits;

	load_entry(xa, gfn, &bits, order);
	return bits;
}

/**
 * mem_attr_store_run() - The run of equal bits from a gfn on
 * @xa: the store
 * @start: the gfn, less than @end
 * @end: where to end at the latest, exclusive, up to MEM_ATTR_STORE_END
 * @run: the run, from @start on
 *
 * As entries are as large as can be, a run is made of 2 * XA_CHUNK_SIZE of them
 * for each level of the tree at most; beside a writer it can be more, as entries
 * are merged after they are stored.
 *
 * Context: Any, holds the RCU lock all the time.  If there is a writer, then the
 *	    gfns of the run had these bits at some time each, but not necessarily
 *	    at the same time.
 */
void mem_attr_store_run(struct xarray *xa, unsigned long start,
			unsigned long end, struct mem_attr_run *run)
{
	XA_STATE(xas, xa, start);

	run->start = start;

	rcu_read_lock();
	run->bits = xa_to_value(load(&xas));
	do {
		/* What is beyond the tree has bits of 0, all of it. */
		run->end = end;
		if (!xas_is_node(&xas))
			break;
		run->end = min(end, block_end(xas.xa_index, xas.xa_node->shift));
	} while (run->end < end && xa_to_value(load_next(&xas, run->end)) == run->bits);
	rcu_read_unlock();
}

/**
 * mem_attr_store_uniform() - Do all gfns of a block have the same bits?
 * @xa: the store
 * @gfn: the first gfn of the block, aligned to 2^@order
 * @order: the block's size is 2^@order gfns; at most MEM_ATTR_STORE_GFN_BITS
 *
 * Looks at the slots of one node at most, after a lookup or two, as a block that
 * has a node below one of its slots has different bits.
 *
 * Context: Any, takes the RCU lock.  If there is a writer, then the answer may be
 *	    false although all gfns have the same bits.  It is true only if the
 *	    gfns had the same bits, at some time each.
 * Return: Whether they have.
 */
bool mem_attr_store_uniform(struct xarray *xa, unsigned long gfn,
			    unsigned int order)
{
	unsigned long last = gfn + order_size(order) - 1;
	bool uniform = true;
	void *value;
	XA_STATE(xas, xa, gfn);

	rcu_read_lock();
	value = load(&xas);

	/* All that is beyond the tree has bits of 0. */
	if (!xas_is_node(&xas))
		goto out_unlock;

	if (order > xas.xa_node->shift + LEVEL_ORDER) {
		/* Only the root can be uniform, and be so with what is beyond it. */
		last = gfn + order_size(xas.xa_node->shift + LEVEL_ORDER) - 1;
		uniform = value == xa_mk_value(0) && !is_in_tree(xa, last + 1);
	}

	/* Entries are reloaded from the same node, by their index. */
	while (uniform && last - xas.xa_index >= order_size(xas.xa_node->shift)) {
		xas.xa_index += order_size(xas.xa_node->shift);
		uniform = xas_reload(&xas) == value;
	}

out_unlock:
	rcu_read_unlock();
	return uniform;
}

/**
 * mem_attr_store_reserve() - Prepare for an update, so that it can't fail
 * @update: what is to change, see there
 * @gfp: how to allocate; memory is charged in any case
 *
 * Allocates a node for each level of the tree and each end of the update, and one
 * for each level that the tree has to grow by, at most.  No bits change.
 * Unless this fails, mem_attr_store_commit() or mem_attr_store_cancel() has to
 * follow, and the store must have no other writer until then.
 *
 * Context: Excluded from other writers by the caller.  May sleep if @gfp allows.
 * Return: 0, or -ENOMEM if there's no memory, then nothing has changed; -EINVAL
 *	   for an @update that isn't one, which is a bug of the caller.
 */
int mem_attr_store_reserve(struct mem_attr_update *update, gfp_t gfp)
{
	struct xarray *xa = update->xa;
	int r = 0;

	if (WARN_ON_ONCE(update->start >= update->end ||
			 update->end > MEM_ATTR_STORE_END ||
			 update->mask & ~MEM_ATTR_STORE_BITS ||
			 update->bits & ~update->mask))
		return -EINVAL;

	update->span = tree_span(xa);
	/* Beyond the tree, there is nothing to clear. */
	if (update->bits)
		r = grow(xa, update->end, update->span, gfp);
	if (!r)
		r = split(xa, update->start, update->end, gfp);
	if (r)
		mem_attr_store_cancel(update);
	return r;
}

/**
 * mem_attr_store_commit() - Carry an update out
 * @update: what mem_attr_store_reserve() has prepared
 *
 * Costs what the entries cost that are there to begin with, not the gfns.
 * Readers see gfn by gfn change while it is under way.
 *
 * Context: Excluded from other writers since mem_attr_store_reserve().  May
 *	    sleep.
 */
void mem_attr_store_commit(struct mem_attr_update *update)
{
	struct xarray *xa = update->xa;
	unsigned int span = update->span;
	unsigned long gfn, next;
	bool merged;

	/* What the reservation made of the tree. */
	if (update->bits)
		span = max(span, span_for(update->end));

	for (gfn = update->start; gfn < update->end; gfn = next) {
		next = update_node(update, gfn, span, &merged);
		if (merged)
			merge_up(xa, next - 1, span);
		cond_resched();
	}

	/* What was the root before may be merged now. */
	if (span != update->span)
		merge_up(xa, 0, span);
}

/**
 * mem_attr_store_cancel() - Give an update up
 * @update: what mem_attr_store_reserve() has prepared
 *
 * Gives back all memory that the update has reserved.
 *
 * Context: Excluded from other writers since mem_attr_store_reserve().
 */
void mem_attr_store_cancel(struct mem_attr_update *update)
{
	/* What was the root must not become a value, the tree is to be as it was. */
	merge_up(update->xa, update->start, update->span);
	merge_up(update->xa, update->end, update->span);
	shrink(update->xa, update->span);
}
