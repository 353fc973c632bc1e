/* SPDX-License-Identifier: MIT */
/*
 * Blocks that one thread releases and another has allocated go back to the heap that they came
 *from, in batches: a thread collects what it released of a few heaps, and pushes each collection
 *onto that heap's list of returned blocks at once. The heap's thread takes the whole list when it
 *runs out of blocks of any class. A push and a take of the whole have no ABA problem.
 *
 *	thread B: outgoing[heap A] ── batch ──▶ heap A's remote ── all of it ──▶ lists of thread A
 */
#include "metalloc_internal.h"
#include "profile.h"

#define BATCH_BLOCKS 32u
#define BATCH_BYTES  8192u

void handover_now(struct heap *to, struct block *first, struct block *last)
{
	struct block *head = atomic_load_explicit(&to->remote, memory_order_relaxed);

	do {
		last->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&to->remote, &head, first, memory_order_release, memory_order_relaxed));
}

static void flush(struct outgoing *outgoing)
{
	if (outgoing->count == 0)
		return;
	handover_now(outgoing->heap, outgoing->head, outgoing->tail);
	profile_foreign(outgoing->count);
	outgoing->count = 0;
	outgoing->bytes = 0;
}

void handover_flush(struct heap *from)
{
	for (unsigned i = 0; i < OUTGOING_COUNT; i++)
		flush(&from->outgoing[i]);
}

void handover(struct heap *from, struct heap *to, struct block *block, size_t size_bytes)
{
	struct outgoing *outgoing;

	if (from == NULL) {
		handover_now(to, block, block);
		return;
	}
	outgoing = &from->outgoing[((uintptr_t)to / sizeof(struct heap)) % OUTGOING_COUNT];
	if (outgoing->heap != to) {
		flush(outgoing);
		outgoing->heap = to;
	}
	if (outgoing->count == 0)
		outgoing->tail = block;
	else
		block->next = outgoing->head;
	outgoing->head = block;
	outgoing->count++;
	outgoing->bytes += (uint32_t)size_bytes;
	if (outgoing->count >= BATCH_BLOCKS || outgoing->bytes >= BATCH_BYTES)
		flush(outgoing);
}
