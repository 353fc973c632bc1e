/* SPDX-License-Identifier: MIT */
/*
 * What malloc() and free() do when the thread's list does not help: no block in it, a period
 * that is over, a block of another kind of group, a size without a class.
 */
#include "entry.h"
#include "metalloc_internal.h"
#include "profile.h"

#include <errno.h>
#include <string.h>

/* Of the allocations of a class that come here, one in so many has its life measured. */
#define MEASURED_PERIOD 16u
/* How far down a list an aligned block is looked for. */
#define ALIGNED_TRIES 8u

static uint64_t count_blocks(const struct block *block)
{
	uint64_t count = 0;

	for (; block != NULL; block = block->next)
		count++;
	return count;
}

/** Blocks of a class that this thread could allocate without having more carved. */
static uint64_t count_free(const struct heap_class *class, const struct list *list)
{
	uint64_t count = count_blocks(list->head) + count_blocks(class->spare);

	for (const struct group *group = class->with_free; group != NULL;
	     group = group->next_with_free)
		count += group->free_count;
	return count;
}

/**
 * What was carved or released has been allocated but for what is free now; until here, releases
 * were taken for allocations.
 */
void profile_flush(struct heap *heap)
{
	big_flush(heap);
	for (unsigned i = 1; i < CLASS_COUNT; i++) {
		struct heap_class *const class = &heap->classes[i];
		const struct list *const list = &metalloc_thread.lists[i];
		uint64_t allocated;

		if (list->left != class->begun)
			lists_count(heap, i);
		allocated = class->carved + class->released - count_free(class, list);
		profile_allocated(i, allocated - class->reported);
		class->reported = allocated;
	}
}

/** Allocators other than these have no lists, and see each allocation. */
static bool uses_lists(const struct metalloc_allocator *allocator)
{
	return allocator == &metalloc_bump || allocator->allocate == metalloc_lists.allocate;
}

static bool is_measured(struct heap_class *class)
{
	return uses_lists(class->allocator) && ++class->measured % MEASURED_PERIOD == 1;
}

/** An allocation of a class whose releases are not counted. */
static void count_one(struct heap *heap, unsigned index)
{
	if (--metalloc_thread.lists[index].left < 0)
		lists_count(heap, index);
}

static void *take(struct heap *heap, unsigned index)
{
	struct heap_class *const class = &heap->classes[index];
	struct list *const list = &metalloc_thread.lists[index];
	void *block = NULL;

	if (list->head != NULL)
		return list_pop(list);
	if (!uses_lists(class->allocator))
		count_one(heap, index);
	if (is_measured(class))
		block = bump_allocate_measured(heap, index);
	if (block == NULL)
		block = class->allocator->allocate(class->allocator, class_bytes(index));
	return block;
}

static void *allocate_any(struct heap *heap, size_t size_bytes)
{
	if (size_bytes > METALLOC_MOST_BYTES)
		return big_allocate(size_bytes, CLASS_STEP_BYTES);
	return take(heap, class_of_size(size_bytes));
}

/** Without memory: whatever can be found. */
static void scrape(struct heap *heap)
{
	heap_absorb_idle(heap);
	heap_sweep(heap);
	pages_let_go();
	units_unmap();
}

void *allocate_slowly(size_t size_bytes)
{
	const int saved_errno = errno;
	struct heap *const heap = heap_of_thread();
	void *block = NULL;

	if (heap != NULL) {
		heap_collect(heap);
		block = allocate_any(heap, size_bytes);
		if (block == NULL && size_bytes <= PTRDIFF_MAX) {
			scrape(heap);
			block = allocate_any(heap, size_bytes);
		}
	}
	errno = block == NULL ? ENOMEM : saved_errno;
	return block;
}

/** A block of the class' list that is aligned, if one lies near its head. */
static void *pop_aligned(struct list *list, size_t alignment_bytes)
{
	struct block **link = &list->head;

	for (unsigned i = 0; i < ALIGNED_TRIES && *link != NULL; i++, link = &(*link)->next) {
		struct block *const block = *link;

		if ((uintptr_t)block % alignment_bytes == 0) {
			*link = block->next;
			return block;
		}
	}
	return NULL;
}

/** The least class that holds the size and is a multiple of the alignment; 0 when none is. */
static unsigned aligned_class(size_t size_bytes, size_t alignment_bytes)
{
	const size_t rounded = base_align_up(size_bytes + (size_bytes == 0), alignment_bytes);
	unsigned class;

	if (rounded > METALLOC_MOST_BYTES)
		return 0;
	for (class = class_of_size(rounded); class < CLASS_COUNT; class ++)
		if (class_bytes(class) % alignment_bytes == 0)
			return class;
	return 0;
}

static bool makes_natural_blocks(const struct metalloc_allocator *allocator)
{
	return allocator->allocate == metalloc_lists.allocate || allocator == &metalloc_bitmap;
}

static void *take_aligned(struct heap *heap, unsigned class, size_t alignment_bytes)
{
	const struct metalloc_allocator *const allocator = heap->classes[class].allocator;
	struct list *const list = &metalloc_thread.lists[class];
	void *block = pop_aligned(list, alignment_bytes);

	if (block != NULL)
		return block;
	/* What a list still holds is not aligned; a new block may be. */
	if (makes_natural_blocks(allocator) &&
	    (list->head == NULL || allocator == &metalloc_bitmap))
		return allocator->allocate(allocator, class_bytes(class));
	return bump_allocate_aligned(heap, class_bytes(class), alignment_bytes);
}

void *allocate_aligned(size_t alignment_bytes, size_t size_bytes)
{
	const int saved_errno = errno;
	struct heap *const heap = heap_of_thread();
	unsigned class = 0;
	void *block = NULL;

	if (alignment_bytes <= CLASS_STEP_BYTES)
		return allocate_slowly(size_bytes);
	if (heap == NULL || size_bytes > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	heap_collect(heap);
	if (alignment_bytes <= 4096)
		class = aligned_class(size_bytes, alignment_bytes);
	block = class != 0 ? take_aligned(heap, class, alignment_bytes)
			   : big_allocate(size_bytes, alignment_bytes);
	errno = block == NULL ? ENOMEM : saved_errno;
	return block;
}

void release_slowly(void *block)
{
	const struct metalloc_allocator *const allocator = group_of(block)->allocator;
	const int saved_errno = errno;

	allocator->release(allocator, block);
	errno = saved_errno;
}

size_t usable_bytes(const void *block)
{
	const struct metalloc_allocator *const allocator = group_of(block)->allocator;

	return allocator->usable(allocator, block);
}

bool is_zero(const void *block, size_t size_bytes)
{
	return size_bytes > METALLOC_MOST_BYTES && group_of(block)->zeroed;
}

static void *resize_pages(void *block, size_t size_bytes)
{
	const int saved_errno = errno;
	void *const resized = pages_resize(block, size_bytes);

	errno = saved_errno;
	return resized;
}

static void *resize(void *block, size_t size_bytes, size_t usable)
{
	const struct metalloc_allocator *const allocator = group_of(block)->allocator;

	if (allocator == &metalloc_big)
		return big_resize(block, size_bytes);
	if (allocator == &metalloc_pages)
		return resize_pages(block, size_bytes);
	return size_bytes <= usable && (size_bytes >= usable / 2 || usable <= 64) ? block : NULL;
}

/** What grows once is likely to grow again: it gets a quarter more than it had, so as not to move
 * often. */
static size_t growth(size_t size_bytes, size_t usable)
{
	const size_t grown = usable + usable / 4;

	return size_bytes > usable && size_bytes < grown ? grown : size_bytes;
}

void *reallocate(void *block, size_t size_bytes)
{
	const struct group *const group = group_of(block);
	size_t usable = group->block_bytes;
	void *moved = NULL;

	if (group->class != 0) {
		if (size_bytes <= usable && size_bytes >= usable / 2)
			return block;
	} else {
		usable = usable_bytes(block);
	}
	moved = resize(block, size_bytes, usable);
	if (moved != NULL)
		return moved;
	moved = ENTRY(malloc)(growth(size_bytes, usable));
	if (moved == NULL)
		moved = ENTRY(malloc)(size_bytes);
	if (moved == NULL)
		return NULL;
	memcpy(moved, block, base_min(usable, size_bytes));
	ENTRY(free)(block);
	return moved;
}
