/* SPDX-License-Identifier: MIT */
/*
 * Blocks that one thread releases and another has allocated go back to the heap that they came
 * from, in batches: a thread collects what it released of a few heaps, and pushes each collection
 * onto that heap's list of batches at once. The heap's thread takes the whole list when it runs out
 * of blocks of any class. A push and a take of the whole have no ABA problem.
 *
 *	thread B: outgoing[heap A] ── batch ──▶ heap A's remote ── all of it ──▶ lists of thread A
 *
 *	remote ──▶ last ── older ──▶ last of another batch
 *	            │ ▲
 *	      first ▼ └── next ── … (a ring of blocks of one class)
 *
 * A batch becomes part of a list by two stores to its last block: those before it, which the other
 * thread's processor still has, are looked at when they are allocated.
 */
#include "metalloc_internal.h"
#include "profile.h"

#define BATCH_BLOCKS 32u
#define BATCH_BYTES  8192u

static_assert(sizeof(struct batch) <= CLASS_STEP_BYTES, "the least block has room");

static void push(struct heap *to, struct block *first, struct block *last)
{
	struct batch *const batch = (struct batch *)(void *)last;
	struct batch *older = atomic_load_explicit(&to->remote, memory_order_relaxed);

	batch->first = first;
	do {
		batch->older = older;
	} while (!atomic_compare_exchange_weak_explicit(
		&to->remote, &older, batch, memory_order_release, memory_order_relaxed));
}

static void flush(struct outgoing *outgoing)
{
	if (outgoing->count == 0)
		return;
	push(outgoing->heap, outgoing->head, outgoing->tail);
	profile_foreign(outgoing->count);
	outgoing->count = 0;
}

void handover_flush(struct heap *from)
{
	for (unsigned i = 0; i < OUTGOING_COUNT; i++)
		flush(&from->outgoing[i]);
}

void handover_one(struct heap *to, struct block *block)
{
	push(to, block, block);
	profile_foreign(1);
}

void handover(struct heap *from, struct heap *to, struct block *block, unsigned class)
{
	struct outgoing *const outgoing =
		&from->outgoing[((uintptr_t)to / sizeof(struct heap)) % OUTGOING_COUNT];

	if (outgoing->heap != to || outgoing->class != class) {
		flush(outgoing);
		outgoing->heap = to;
		outgoing->class = class;
	}
	if (outgoing->count == 0)
		outgoing->tail = block;
	else
		block->next = outgoing->head;
	outgoing->head = block;
	outgoing->count++;
	if (outgoing->count >= BATCH_BLOCKS || outgoing->count * class_bytes(class) >= BATCH_BYTES)
		flush(outgoing);
}

/** Blocks of another heap may be among them: they go there when the list is settled. */
static void take(struct heap *heap, struct batch *batch)
{
	const struct group *const group = group_of(batch);
	struct block *const last = (struct block *)(void *)batch;
	struct heap *const home = atomic_load_explicit(&group->heap, memory_order_relaxed);
	struct block *const first = batch->first;

	if (group->allocator != &metalloc_bump) {
		last->next = metalloc_thread.lists[group->class].head;
		metalloc_thread.lists[group->class].head = first;
	} else if (home == heap) {
		bump_take_back(heap, last);
	} else {
		handover_one(home, last);
	}
}

void handover_take(struct heap *heap, struct batch *batch)
{
	while (batch != NULL) {
		struct batch *const older = batch->older;

		__builtin_prefetch(older);
		take(heap, batch);
		batch = older;
	}
}
