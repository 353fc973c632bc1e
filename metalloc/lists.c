/* SPDX-License-Identifier: MIT */
/*
 * lists: each class in groups of its own, blocks without tags, free ones in the thread's list.
 * malloc() and free() pop and push there without coming here; they come for more blocks, and when
 * a period is over: so many blocks have been released.
 *
 *	released ──▶ list of the thread ──▶ half a period of them stays for what comes next
 *	                                └─▶ more: to its group, or to the heap that it belongs to
 *	wanted   ◀── list ◀── groups with free blocks, then what was never handed out, then new
 *groups
 *
 * So that a group knows when it is empty, that only blocks that were just touched are looked at,
 * and that a thread which releases what others allocate keeps little of it. A period becomes longer
 * when a list was short, or when what went to its group is wanted again.
 *
 * handover: the same with short periods, for programs in which other threads release.
 */
#include "metalloc_internal.h"
#include "profile.h"

#define BATCH_BYTES  2048u
#define BATCH_BLOCKS 32u
/* Groups with free blocks that are emptied for one malloc(), at most. */
#define BATCH_GROUPS 8u

/* Of blocks, and of their bytes: a period at first, of a class handed over, and in the end. */
#define PERIOD_LEAST    8u
#define PERIOD_BLOCKS   128u
#define PERIOD_BYTES    (128u << 10)
#define PERIOD_HANDOVER (32u << 10)
#define PERIOD_MOST     (1u << 20)
/* A process that is killed has no more than such a part of its releases uncounted. */
#define PERIOD_PART 16u

static unsigned batch(size_t bytes)
{
	const size_t fits = bytes >= BATCH_BYTES ? 1 : BATCH_BYTES / bytes;

	return (unsigned)base_min(fits, BATCH_BLOCKS);
}

int64_t lists_period(const struct heap_class *class, unsigned index)
{
	const size_t bytes =
		class->allocator == &metalloc_handover ? PERIOD_HANDOVER : PERIOD_BYTES;

	return (int64_t)base_min(base_max(bytes / class_bytes(index), PERIOD_LEAST), PERIOD_BLOCKS);
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
	group->list = list_distance(index);
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
	class->carved += count;
	profile_carved(group->class, count);
	return first;
}

/** Has the list take what groups have; whether there was some. */
static bool take_stored(struct heap_class *class, struct list *list, size_t bytes)
{
	const unsigned enough = batch(bytes);
	unsigned count = 0;

	for (unsigned i = 0; i < BATCH_GROUPS && count < enough && class->with_free != NULL; i++) {
		struct group *const group = class->with_free;

		class->with_free = group->next_with_free;
		group->free_last->next = list->head;
		list->head = group->free;
		count += group->free_count;
		group->free = NULL;
		group->free_count = 0;
	}
	return count != 0;
}

static void lengthen_period(struct heap_class *class, size_t bytes)
{
	if (class->allocator != &metalloc_handover &&
	    (uint64_t) class->period * bytes < PERIOD_MOST &&
	    (uint64_t) class->period <= class->released / PERIOD_PART)
		class->period *= 2;
}

static void *lists_allocate(const struct metalloc_allocator *self, size_t size_bytes)
{
	const unsigned index = class_of_size(size_bytes);
	struct heap *const heap = metalloc_thread.heap;
	struct heap_class *const class = &heap->classes[index];
	struct list *const list = &metalloc_thread.lists[index];
	const size_t bytes = class_bytes(index);

	if (take_stored(class, list, bytes)) {
		lengthen_period(class, bytes);
		return list_pop(list);
	}
	if (class->carve == class->carve_end) {
		heap_sweep_if_grown(heap);
		if (take_stored(class, list, bytes))
			return list_pop(list);
		if (!add_group(self, heap, index))
			return NULL;
	}
	return carve(class, list, bytes, batch(bytes));
}

/** A free block goes into its group, which is this heap's. */
static void store(struct heap_class *class, struct group *group, struct block *block)
{
	block->next = group->free;
	if (group->free == NULL) {
		group->free_last = block;
		group->next_with_free = class->with_free;
		class->with_free = group;
	}
	group->free = block;
	group->free_count++;
}

/** Up to @most blocks go where they belong; the rest. Blocks of others make periods short again. */
static struct block *settle(struct heap *heap, unsigned index, struct block *block, int64_t most)
{
	struct heap_class *const class = &heap->classes[index];
	struct block *next;

	for (; block != NULL && most > 0; block = next, most--) {
		struct group *const group = group_of(block);
		struct heap *const home = atomic_load_explicit(&group->heap, memory_order_relaxed);

		next = block->next;
		__builtin_prefetch(group_of(next));
		if (home != heap && group->allocator == &metalloc_bump) {
			handover_one(home, block);
		} else if (home != heap) {
			handover(heap, home, block, index);
			class->period = lists_period(class, index);
		} else if (group->allocator == &metalloc_bump) {
			block->next = class->spare;
			class->spare = block;
		} else {
			store(class, group, block);
		}
	}
	return block;
}

void lists_settle_all(struct heap *heap)
{
	for (unsigned i = 1; i < CLASS_COUNT; i++) {
		struct list *const list = &metalloc_thread.lists[i];

		settle(heap, i, list->head, INT64_MAX);
		list->head = NULL;
	}
	handover_flush(heap);
}

/** What a list has beyond half a period is settled, but no more than was released in one. */
static void settle_some(struct heap *heap, unsigned index)
{
	const int64_t period = heap->classes[index].period;
	struct block *last = metalloc_thread.lists[index].head;

	for (int64_t i = 1; i < period / 2 && last != NULL; i++)
		last = last->next;
	if (last == NULL || last->next == NULL) {
		lengthen_period(&heap->classes[index], class_bytes(index));
		return;
	}
	last->next = settle(heap, index, last->next, period);
	handover_flush(heap);
}

void lists_count(struct heap *heap, unsigned index)
{
	struct heap_class *const class = &heap->classes[index];
	struct list *const list = &metalloc_thread.lists[index];
	const uint64_t more = (uint64_t)(class->begun - list->left);

	class->released += more;
	class->reported += more;
	list->left = class->begun = class->period;
	profile_allocated(index, more);
}

static void lists_release(const struct metalloc_allocator *self, void *block)
{
	struct group *const group = group_of(block);
	struct heap *const heap = metalloc_thread.heap;

	(void)self;
	if (heap == NULL) {
		handover_one(group->heap, block);
		return;
	}
	list_push(&metalloc_thread.lists[group->class], block);
	lists_count(heap, group->class);
	settle_some(heap, group->class);
}

void lists_give_empty(struct heap *heap, unsigned index)
{
	struct heap_class *const class = &heap->classes[index];
	const struct group *const carved = class->carve != class->carve_end ? class->groups : NULL;
	struct group **link = &class->groups;
	struct group *group;

	class->with_free = NULL;
	while ((group = *link) != NULL) {
		if (group->allocator->allocate == lists_allocate && group != carved &&
		    group->free_count == group->carved) {
			*link = group->next;
			class->carved -= group->carved;
			heap->groups--;
			units_give(group);
			continue;
		}
		if (group->free != NULL) {
			group->next_with_free = class->with_free;
			class->with_free = group;
		}
		link = &group->next;
	}
}

static size_t lists_usable(const struct metalloc_allocator *self, const void *block)
{
	(void)self;
	return group_of(block)->block_bytes;
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
	.release = lists_release,
	.usable = lists_usable,
};
