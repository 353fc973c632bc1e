/* SPDX-License-Identifier: MIT */
/*
 * Giving back groups of which every block is free. malloc() and free() keep no count of that, as it
 * would cost each of them. When a heap has grown by a part of what it had at most, the lists of its
 * thread are settled, once, before it grows on; groups then know how many of their blocks are free.
 * bump's do not, and have theirs counted.
 */
#include "metalloc_internal.h"

/* Smaller growth is not worth a look. */
#define LEAST_GROWTH_GROUPS 16u
#define GROWTH_PART         4u

#define EMPTY UINT32_MAX

static void count_spare(const struct heap *heap)
{
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		for (const struct block *block = heap->classes[i].spare; block != NULL;
		     block = block->next)
			group_of(block)->free_count++;
}

static bool mark_empty(struct group *groups)
{
	bool any = false;

	for (struct group *group = groups; group != NULL; group = group->next) {
		const bool is_empty = group->free_count == group->carved;

		group->free_count = is_empty ? EMPTY : 0;
		any |= is_empty;
	}
	return any;
}

static void filter_spare(struct heap_class *class)
{
	struct block **link = &class->spare;

	while (*link != NULL)
		if (group_of(*link)->free_count == EMPTY) {
			*link = (*link)->next;
			class->carved--;
		} else {
			link = &(*link)->next;
		}
}

static void give_empty(struct heap *heap)
{
	struct group **link = &heap->bump_groups;

	if (*link != NULL && (*link)->free_count == EMPTY)
		heap->bump = heap->bump_end = NULL;
	while (*link != NULL) {
		struct group *const group = *link;

		if (group->free_count != EMPTY) {
			link = &group->next;
			continue;
		}
		*link = group->next;
		heap->groups--;
		units_give(group);
	}
}

static void sweep_bump(struct heap *heap)
{
	count_spare(heap);
	if (!mark_empty(heap->bump_groups))
		return;
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		filter_spare(&heap->classes[i]);
	give_empty(heap);
}

void heap_sweep(struct heap *heap)
{
	heap->groups_most = (uint32_t)base_max(heap->groups_most, heap->groups);
	heap_collect(heap);
	lists_settle_all(heap);
	big_let_go(heap);
	bitmap_give_empty(heap);
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		lists_give_empty(heap, i);
	sweep_bump(heap);
	heap->groups_swept = heap->groups;
}

void heap_sweep_if_grown(struct heap *heap)
{
	const uint32_t growth = heap->groups - heap->groups_swept;

	if (heap->groups < heap->groups_swept)
		heap->groups_swept = heap->groups;
	else if (growth >= LEAST_GROWTH_GROUPS && growth >= heap->groups_most / GROWTH_PART) {
		heap_absorb_idle(heap);
		heap_sweep(heap);
	}
}
