/* SPDX-License-Identifier: MIT */
/*
 * bitmap: groups of one class with a bit for each block beside them, none in them. The lowest free
 * block is allocated, so that a group that empties stays empty and goes back at once: slower than
 * `lists`, and smaller. Nothing that a program writes into released memory can lead the allocator
 * astray, and a block released twice, or an address that is no block, ends the program.
 *
 * In the hardened mode every block is released twice here: first into a quarantine, filled with a
 * pattern that must still be there when it leaves. The last page of a group is then a guard.
 *
 * `allocated` is changed by any thread, atomically; `rested` too, and only in the hardened mode.
 * All else is the owning thread's, or under `quarantine.lock`. A group of which every block is free
 * is given back only by the heap's own thread, which alone allocates from it.
 */
#include "metalloc_internal.h"
#include "profile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS      (UNIT_BYTES / CLASS_STEP_BYTES / 64)
#define QUARANTINE 512u
#define PATTERN    0xd5
/* How many groups are looked at for a free block: so many, and a part of all. */
#define TRIES      8u
#define TRIES_PART 16u

struct bits {
	struct group group;
	char padding[HEADER_BYTES - sizeof(struct group)];
	_Atomic uint64_t allocated[WORDS];
	_Atomic uint64_t rested[WORDS];
};

#define BITS_BYTES ((uint32_t)sizeof(struct bits))

static struct {
	struct lock lock;
	void *blocks[QUARANTINE];
	unsigned next;
} quarantine;

static size_t first_offset(size_t bytes)
{
	return base_align_up(BITS_BYTES, base_min(bytes & -bytes, PAGE_BYTES));
}

static unsigned capacity(size_t bytes)
{
	const size_t guard = metalloc_policy.hardened ? PAGE_BYTES : 0;

	return (unsigned)((UNIT_BYTES - guard - first_offset(bytes)) / bytes);
}

static struct bits *bits_of(const void *block)
{
	return (struct bits *)(void *)group_of(block);
}

static struct bits *add_group(struct heap *heap, unsigned class)
{
	struct group *const group = units_take(1);
	struct bits *const bits = (struct bits *)(void *)group;

	if (group == NULL)
		return NULL;
	group->allocator = &metalloc_bitmap;
	group->class = (uint8_t) class;
	group->block_bytes = class_bytes(class);
	memset((char *)bits->allocated, 0, sizeof(bits->allocated));
	memset((char *)bits->rested, 0, sizeof(bits->rested));
	if (metalloc_policy.hardened)
		mprotect((char *)group + UNIT_BYTES - PAGE_BYTES, PAGE_BYTES, PROT_NONE);
	heap_add_group(heap, group, &heap->classes[class].groups);
	return bits;
}

static void give_group(struct heap *heap, struct group *group)
{
	heap->groups--;
	if (metalloc_policy.hardened)
		mprotect((char *)group + UNIT_BYTES - PAGE_BYTES, PAGE_BYTES,
			 PROT_READ | PROT_WRITE);
	units_give(group);
}

/** The lowest free block of a group, or NULL. */
static void *take(struct bits *bits, unsigned count)
{
	for (unsigned i = 0; i * 64 < count; i++) {
		const uint64_t seen =
			atomic_load_explicit(&bits->allocated[i], memory_order_acquire);
		const unsigned index =
			i * 64 + (seen == UINT64_MAX ? 64 : (unsigned)__builtin_ctzll(~seen));

		if (index == i * 64 + 64)
			continue;
		if (index >= count)
			return NULL;
		atomic_fetch_or_explicit(&bits->allocated[i], UINT64_C(1) << (index & 63),
					 memory_order_relaxed);
		bits->group.carved = (uint32_t)base_max(bits->group.carved, index + 1);
		return (char *)bits + first_offset(bits->group.block_bytes) +
		       index * bits->group.block_bytes;
	}
	return NULL;
}

static bool is_empty(struct bits *bits)
{
	for (unsigned i = 0; i < WORDS; i++)
		if (atomic_load_explicit(&bits->allocated[i], memory_order_acquire) != 0)
			return false;
	return true;
}

/**
 * A block of a group that is not full, from the last one on that had one. If hardly any group has
 * one, not all are looked at: a new group then costs less than the search, and little memory.
 */
static void *take_from_any(struct heap *heap, unsigned index, unsigned count)
{
	struct heap_class *const class = &heap->classes[index];
	const unsigned tries = TRIES + heap->groups / TRIES_PART;
	struct group *group = class->cursor != NULL ? class->cursor : class->groups;

	for (unsigned i = 0; i < tries && group != NULL; i++) {
		void *const block = group->allocator != &metalloc_bitmap
					    ? NULL
					    : take((struct bits *)(void *)group, count);

		class->cursor = group;
		if (block != NULL)
			return block;
		group = group->next != NULL ? group->next : class->groups;
	}
	return NULL;
}

/** Gives back groups in which nothing is allocated. */
static void give_empty(struct heap *heap, unsigned class)
{
	struct group **link = &heap->classes[class].groups;

	heap->classes[class].cursor = NULL;
	while (*link != NULL) {
		struct group *const group = *link;

		if (group->allocator == &metalloc_bitmap &&
		    is_empty((struct bits *)(void *)group)) {
			*link = group->next;
			give_group(heap, group);
		} else {
			link = &group->next;
		}
	}
}

void bitmap_give_empty(struct heap *heap)
{
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		if (heap->classes[i].allocator == &metalloc_bitmap)
			give_empty(heap, i);
}

static void *bitmap_allocate(const struct metalloc_allocator *self, size_t size_bytes)
{
	const unsigned index = class_of_size(size_bytes);
	struct heap *const heap = metalloc_thread.heap;
	const unsigned count = capacity(class_bytes(index));
	struct bits *bits;
	void *block;

	(void)self;
	block = take_from_any(heap, index, count);
	if (block != NULL)
		return block;
	heap_sweep_if_grown(heap);
	bits = add_group(heap, index);
	if (bits == NULL)
		return NULL;
	profile_carved(index, count);
	return take(bits, count);
}

/** The number of a block in its group. Whatever is no block ends the program. */
static unsigned index_of(const struct bits *bits, const void *block)
{
	const size_t bytes = bits->group.block_bytes;
	const size_t offset = (size_t)((const char *)block - (const char *)bits);
	const size_t first = first_offset(bytes);

	if (offset < first || (offset - first) % bytes != 0 ||
	    (offset - first) / bytes >= capacity(bytes))
		abort();
	return (unsigned)((offset - first) / bytes);
}

static void release_now(struct bits *bits, unsigned index)
{
	const uint64_t bit = UINT64_C(1) << (index & 63);

	if ((atomic_fetch_and_explicit(&bits->allocated[index / 64], ~bit, memory_order_release) &
	     bit) == 0)
		abort();
}

/** Its owner must not have written to it since. */
static void leave_quarantine(void *block)
{
	struct bits *const bits = bits_of(block);
	const unsigned index = index_of(bits, block);
	const unsigned char *const bytes = block;

	for (size_t i = 0; i < bits->group.block_bytes; i++)
		if (bytes[i] != PATTERN)
			abort();
	atomic_fetch_and_explicit(&bits->rested[index / 64], ~(UINT64_C(1) << (index & 63)),
				  memory_order_relaxed);
	release_now(bits, index);
}

static void enter_quarantine(struct bits *bits, unsigned index, void *block)
{
	const uint64_t bit = UINT64_C(1) << (index & 63);
	const uint64_t live =
		atomic_load_explicit(&bits->allocated[index / 64], memory_order_relaxed);
	void *leaving;

	if ((live & bit) == 0 ||
	    (atomic_fetch_or_explicit(&bits->rested[index / 64], bit, memory_order_relaxed) & bit))
		abort();
	memset(block, PATTERN, bits->group.block_bytes);
	lock_take(&quarantine.lock);
	leaving = quarantine.blocks[quarantine.next];
	quarantine.blocks[quarantine.next] = block;
	quarantine.next = (quarantine.next + 1) % QUARANTINE;
	lock_give(&quarantine.lock);
	if (leaving != NULL)
		leave_quarantine(leaving);
}

static void bitmap_release(const struct metalloc_allocator *self, void *block)
{
	struct bits *const bits = bits_of(block);
	const unsigned index = index_of(bits, block);

	(void)self;
	if (metalloc_policy.hardened)
		enter_quarantine(bits, index, block);
	else
		release_now(bits, index);
}

static size_t bitmap_usable(const struct metalloc_allocator *self, const void *block)
{
	(void)self;
	return group_of(block)->block_bytes;
}

const struct metalloc_allocator metalloc_bitmap = {
	.name = "bitmap",
	.least_bytes = 0,
	.most_bytes = METALLOC_MOST_BYTES,
	.alignment_bytes = CLASS_STEP_BYTES,
	.flags = METALLOC_LOW_MEMORY | METALLOC_CHECKED,
	.allocate = bitmap_allocate,
	.release = bitmap_release,
	.usable = bitmap_usable,
};
