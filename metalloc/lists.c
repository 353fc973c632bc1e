/* SPDX-License-Identifier: MIT */
/*
 * lists: each class in groups of its own, blocks without tags, free ones in the thread's list.
 * malloc() and free() pop and push there without coming here; they come for more blocks, which are
 * prepared some at a time from the newest group, and with blocks of other threads, which go back
 * one by one.
 */
#include "metalloc_internal.h"
#include "profile.h"

#define BATCH_BYTES  2048u
#define BATCH_BLOCKS 32u

unsigned lists_batch(const struct heap *heap, unsigned class)
{
	const size_t bytes = class_bytes(class);
	const size_t fits = bytes >= BATCH_BYTES ? 1 : BATCH_BYTES / bytes;

	(void)heap;
	return (unsigned)base_min(fits, BATCH_BLOCKS);
}

/** Where the first block of a group lies, so that blocks are as aligned as their size is. */
static size_t first_offset(size_t bytes)
{
	const size_t natural = bytes & -bytes;

	return base_align_up(HEADER_BYTES, base_min(natural, 4096));
}

static bool add_group(const struct metalloc_allocator *self, struct heap *heap, unsigned index)
{
	struct heap_class *const class = &heap->classes[index];
	const size_t bytes = class_bytes(index), first = first_offset(bytes);
	struct group *const group = units_take(1);

	if (group == NULL)
		return false;
	group->allocator = self;
	group->class = (uint8_t)index;
	group->block_bytes = bytes;
	group->list = (intptr_t)((uintptr_t)&metalloc_thread.lists[index] - platform_thread());
	atomic_store_explicit(&group->owner, platform_thread(), memory_order_relaxed);
	heap_add_group(heap, group, &class->groups);
	if (metalloc_policy.whole[index])
		units_prepare(group);
	class->carve = (char *)group + first;
	class->carve_end = class->carve + (UNIT_BYTES - first) / bytes * bytes;
	return true;
}

/** Hands out the first of some new blocks; the others become the thread's list. */
static void *carve(struct heap_class *class, struct list *list, size_t bytes, unsigned count)
{
	char *const first = class->carve;
	struct block *head = list->head;
	struct group *const group = class->groups;

	count = (unsigned)base_min(count, (size_t)(class->carve_end - first) / bytes);
	for (unsigned i = count - 1; i > 0; i--) {
		struct block *const block = (struct block *)(void *)(first + i * bytes);

		block->next = head;
		head = block;
	}
	list->head = head;
	group->carved += count;
	class->carve += count * bytes;
	profile_carved(group->class, count);
	return first;
}

static void *lists_allocate(const struct metalloc_allocator *self, size_t size_bytes)
{
	const unsigned index = class_of_size(size_bytes);
	struct heap *const heap = metalloc_thread.heap;
	struct heap_class *const class = &heap->classes[index];
	struct list *const list = &metalloc_thread.lists[index];

	if (class->carve == class->carve_end) {
		heap_sweep_if_grown(heap);
		if (list->head != NULL)
			return list_pop(list);
		if (!add_group(self, heap, index))
			return NULL;
	}
	return carve(class, list, class_bytes(index), lists_batch(heap, index));
}

static void lists_release(const struct metalloc_allocator *self, void *block)
{
	struct group *const group = group_of(block);
	struct heap *const heap = group->heap;

	(void)self;
	if (heap == metalloc_thread.heap) {
		list_push(&metalloc_thread.lists[group->class], block);
		return;
	}
	handover_now(heap, block, block);
	profile_foreign(1);
}

static size_t lists_usable(const struct metalloc_allocator *self, const void *block)
{
	(void)self;
	return group_of(block)->block_bytes;
}

static void handover_release(const struct metalloc_allocator *self, void *block)
{
	struct group *const group = group_of(block);

	(void)self;
	handover(metalloc_thread.heap, group->heap, block, group->block_bytes);
}

const struct metalloc_allocator metalloc_lists = {
	.name = "lists",
	.least_bytes = 0,
	.most_bytes = METALLOC_MOST_BYTES,
	.alignment_bytes = CLASS_STEP_BYTES,
	.flags = METALLOC_SINGLE_THREAD,
	.allocate = lists_allocate,
	.release = lists_release,
	.usable = lists_usable,
};

const struct metalloc_allocator metalloc_handover = {
	.name = "handover",
	.least_bytes = 0,
	.most_bytes = METALLOC_MOST_BYTES,
	.alignment_bytes = CLASS_STEP_BYTES,
	.flags = METALLOC_CROSS_THREAD,
	.allocate = lists_allocate,
	.release = handover_release,
	.usable = lists_usable,
};
