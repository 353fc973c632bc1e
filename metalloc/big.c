/* SPDX-License-Identifier: MIT */
/*
 * big: blocks of more than METALLOC_MOST_BYTES and less than 4 MiB, each a run of units. A block
 * begins right behind its group's header, or at the first multiple of its alignment in the first
 * unit.
 *
 * Short runs that a thread releases stay with its heap, up to a bound, for the next ones: neither a
 * lock nor the kernel is asked. To the profile they are live until they are given back.
 */
#include "metalloc_internal.h"
#include "profile.h"

#define MOST_BYTES (UNITS_MOST * UNIT_BYTES)
/* At hand for the thread that has the first heap, and for another one. */
#define RUNS_BYTES       (16 * UNIT_BYTES)
#define RUNS_BYTES_OTHER (4 * UNIT_BYTES)
/* What is used again is told to the profile by so many. */
#define AGAIN_PERIOD 16u
/* Where in the slack of a run its block begins. */
#define COLORS     32u
#define LINE_BYTES 64u

static size_t units_for(size_t bytes)
{
	return (bytes + UNIT_BYTES - 1) / UNIT_BYTES;
}

/**
 * Headers, and all that lies right behind them, compete for a few places of a processor's cache: a
 * block that need not begin there begins at one of some lines.
 */
static size_t color(const struct group *group, size_t offset, size_t size_bytes)
{
	const size_t colored = offset + ((uintptr_t)group / UNIT_BYTES % COLORS) * LINE_BYTES;

	return colored + size_bytes <= group->units * UNIT_BYTES ? colored : offset;
}

static void describe(struct group *group, size_t offset)
{
	group->block = (char *)group + offset;
	group->block_bytes = group->units * UNIT_BYTES - offset;
}

static void flush(struct heap *heap, size_t count)
{
	profile_big_again(count * UNIT_BYTES, heap->runs_again[count]);
	heap->runs_again[count] = 0;
}

void big_flush(struct heap *heap)
{
	for (unsigned i = 1; i <= RUNS_MOST; i++)
		if (heap->runs_again[i] != 0)
			flush(heap, i);
}

static struct group *take_run(struct heap *heap, size_t count)
{
	struct group *const group = count <= RUNS_MOST ? heap->runs[count] : NULL;

	if (group == NULL)
		return NULL;
	heap->runs[count] = group->next;
	heap->runs_bytes -= count * UNIT_BYTES;
	group->zeroed = false;
	if (++heap->runs_again[count] == AGAIN_PERIOD)
		flush(heap, count);
	return group;
}

static struct group *new_run(size_t count)
{
	struct group *const group = units_take(count);

	if (group == NULL)
		return NULL;
	group->allocator = &metalloc_big;
	profile_big(count * UNIT_BYTES, 1);
	return group;
}

void *big_allocate(size_t size_bytes, size_t alignment_bytes)
{
	size_t offset = base_max(HEADER_BYTES, alignment_bytes);
	struct group *group;
	size_t count;

	if (offset >= UNIT_BYTES || size_bytes > MOST_BYTES - offset || metalloc_policy.hardened)
		return pages_allocate(size_bytes, alignment_bytes);
	count = units_for(offset + size_bytes);
	group = take_run(metalloc_thread.heap, count);
	if (group == NULL)
		group = new_run(count);
	if (group == NULL)
		return NULL;
	if (alignment_bytes <= LINE_BYTES)
		offset = color(group, offset, size_bytes);
	describe(group, offset);
	return group->block;
}

static void give_run(struct group *group)
{
	profile_big(group->units * UNIT_BYTES, -1);
	units_give(group);
}

static void big_release(const struct metalloc_allocator *self, void *block)
{
	struct group *const group = group_of(block);
	struct heap *const heap = metalloc_thread.heap;
	const size_t bytes = group->units * UNIT_BYTES;

	(void)self;
	if (heap == NULL || group->units > RUNS_MOST ||
	    heap->runs_bytes + bytes > (heap->next == NULL ? RUNS_BYTES : RUNS_BYTES_OTHER)) {
		give_run(group);
		return;
	}
	group->next = heap->runs[group->units];
	heap->runs[group->units] = group;
	heap->runs_bytes += bytes;
}

void big_let_go(struct heap *heap)
{
	for (unsigned i = 1; i <= RUNS_MOST; i++)
		while (heap->runs[i] != NULL) {
			struct group *const group = heap->runs[i];

			heap->runs[i] = group->next;
			give_run(group);
		}
	heap->runs_bytes = 0;
}

void *big_resize(void *block, size_t size_bytes)
{
	struct group *const group = group_of(block);
	const size_t offset = (size_t)(group->block - (char *)group);
	const size_t old_bytes = group->units * UNIT_BYTES;

	if (size_bytes <= group->block_bytes)
		return size_bytes >= group->block_bytes / 2 ? block : NULL;
	if (size_bytes > MOST_BYTES - offset ||
	    !units_extend(group, units_for(offset + size_bytes)))
		return NULL;
	profile_big(old_bytes, -1);
	profile_big(group->units * UNIT_BYTES, 1);
	describe(group, offset);
	return block;
}

static size_t big_usable(const struct metalloc_allocator *self, const void *block)
{
	(void)self;
	return group_of(block)->block_bytes;
}

static void *big_take(const struct metalloc_allocator *self, size_t size_bytes)
{
	(void)self;
	return big_allocate(size_bytes, CLASS_STEP_BYTES);
}

const struct metalloc_allocator metalloc_big = {
	.name = "big",
	.least_bytes = METALLOC_MOST_BYTES + 1,
	.most_bytes = MOST_BYTES - HEADER_BYTES,
	.alignment_bytes = CLASS_STEP_BYTES,
	.flags = METALLOC_BIG_CHURN,
	.allocate = big_take,
	.release = big_release,
	.usable = big_usable,
};
