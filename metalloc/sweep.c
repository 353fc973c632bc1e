/* SPDX-License-Identifier: MIT */
/*
 * Finding groups of which every block is free. malloc() and free() keep no count of that, as it
 * would cost each of them; a heap that has grown by a quarter looks instead, once, before it grows
 * on.
 *
 * First, each free block of each list is counted in its group. Groups with as many as were ever
 * carved are empty; their blocks are taken out of the lists, and the groups are given back.
 */
#include "metalloc_internal.h"

/* Smaller growth is not worth a look. */
#define LEAST_GROWTH_GROUPS 8u

#define EMPTY UINT32_MAX

static uint32_t count_list(const struct block *block)
{
	uint32_t count = 0;

	for (; block != NULL; block = block->next, count++)
		group_of(block)->found_free++;
	return count;
}

/** Those of the heap's own groups: a block in a list may belong to no other. */
static void count_free(const struct heap *heap, uint32_t counts[static CLASS_COUNT])
{
	for (unsigned i = 1; i < CLASS_COUNT; i++) {
		counts[i] = count_list(metalloc_thread.lists[i].head);
		count_list(heap->classes[i].spare);
	}
}

static unsigned mark_empty(struct group *groups)
{
	unsigned empty = 0;

	for (struct group *group = groups; group != NULL; group = group->next) {
		const bool is_empty =
			group->allocator != &metalloc_bitmap && group->found_free == group->carved;

		group->found_free = is_empty ? EMPTY : 0;
		empty += is_empty;
	}
	return empty;
}

static unsigned mark_all_empty(struct heap *heap)
{
	unsigned empty = mark_empty(heap->bump_groups);

	for (unsigned i = 1; i < CLASS_COUNT; i++)
		empty += mark_empty(heap->classes[i].groups);
	return empty;
}

static void filter_list(struct block **link)
{
	while (*link != NULL)
		if (group_of(*link)->found_free == EMPTY)
			*link = (*link)->next;
		else
			link = &(*link)->next;
}

/** Whether a list of @count blocks has but those of its class' groups, all of which are empty. */
static bool is_all_empty(const struct group *group, uint32_t count)
{
	uint32_t carved = 0;

	for (; group != NULL && group->found_free == EMPTY; group = group->next)
		carved += group->carved;
	return group == NULL && carved == count;
}

static void filter_lists(struct heap *heap, const uint32_t counts[static CLASS_COUNT])
{
	for (unsigned i = 1; i < CLASS_COUNT; i++) {
		struct list *const list = &metalloc_thread.lists[i];

		/* Going through a long list is what costs most here, so it is not done again for
		 * nothing. */
		if (is_all_empty(heap->classes[i].groups, counts[i]))
			list->head = NULL;
		else
			filter_list(&list->head);
		filter_list(&heap->classes[i].spare);
	}
}

/** Whether the group that is carved from was among them. */
static bool give_empty(struct heap *heap, struct group **groups)
{
	const struct group *const newest = *groups;
	struct group **link = groups;

	while (*link != NULL) {
		struct group *const group = *link;

		if (group->found_free != EMPTY) {
			link = &group->next;
			continue;
		}
		*link = group->next;
		heap->groups--;
		atomic_store_explicit(&group->owner, 0, memory_order_relaxed);
		units_give(group);
	}
	return *groups != newest;
}

static void give_all_empty(struct heap *heap)
{
	if (give_empty(heap, &heap->bump_groups))
		heap->bump = heap->bump_end = NULL;
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		if (give_empty(heap, &heap->classes[i].groups))
			heap->classes[i].carve = heap->classes[i].carve_end = NULL;
}

void heap_sweep(struct heap *heap)
{
	uint32_t counts[CLASS_COUNT];

	heap_collect(heap);
	bitmap_give_empty(heap);
	count_free(heap, counts);
	if (mark_all_empty(heap) != 0) {
		filter_lists(heap, counts);
		give_all_empty(heap);
	}
	heap->groups_swept = heap->groups;
}

void heap_sweep_if_grown(struct heap *heap)
{
	const uint32_t growth = heap->groups - heap->groups_swept;

	if (heap->groups < heap->groups_swept)
		heap->groups_swept = heap->groups;
	else if (growth >= LEAST_GROWTH_GROUPS && growth >= heap->groups_swept / 4) {
		heap_absorb_idle(heap);
		heap_sweep(heap);
	}
}
