/* SPDX-License-Identifier: MIT */
/*
 * Which allocators there are, and what include/metalloc.h offers to programs. Allocators are added
 * under `registry.lock` and never removed, so that others may read what is below `count` without
 * it.
 */
#include "metalloc_internal.h"

#include <errno.h>
#include <string.h>

#define MOST_ALLOCATORS 16u
#define NAME_BYTES      15u

static const struct metalloc_allocator *const built_in[] = {
	&metalloc_bump,   &metalloc_lists, &metalloc_handover,
	&metalloc_bitmap, &metalloc_big,   &metalloc_pages,
};

#define BUILT_IN BASE_ARRAY_LENGTH(built_in)

static struct {
	struct lock lock;
	_Atomic unsigned count;
	const struct metalloc_allocator *added[MOST_ALLOCATORS - BUILT_IN];
} registry;

const struct metalloc_allocator *metalloc_allocator(unsigned index)
{
	const unsigned added = atomic_load_explicit(&registry.count, memory_order_acquire);

	if (index < BUILT_IN)
		return built_in[index];
	return index - BUILT_IN < added ? registry.added[index - BUILT_IN] : NULL;
}

const struct metalloc_allocator *registry_find(const char *name)
{
	const struct metalloc_allocator *allocator;

	for (unsigned i = 0; (allocator = metalloc_allocator(i)) != NULL; i++)
		if (strcmp(allocator->name, name) == 0)
			return allocator;
	return NULL;
}

static bool name_is_valid(const char *name)
{
	const size_t length = name == NULL ? 0 : strnlen(name, NAME_BYTES + 1);

	return length > 0 && length <= NAME_BYTES &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static bool is_valid(const struct metalloc_allocator *allocator)
{
	return name_is_valid(allocator->name) && allocator->least_bytes <= allocator->most_bytes &&
	       allocator->most_bytes <= METALLOC_MOST_BYTES &&
	       base_is_power_of_two(allocator->alignment_bytes) &&
	       allocator->alignment_bytes >= CLASS_STEP_BYTES && allocator->allocate != NULL &&
	       allocator->release != NULL && allocator->usable != NULL;
}

int metalloc_register(const struct metalloc_allocator *allocator)
{
	unsigned count;
	int error = 0;

	if (allocator == NULL || !is_valid(allocator))
		return -EINVAL;
	lock_take(&registry.lock);
	count = atomic_load_explicit(&registry.count, memory_order_relaxed);
	if (registry_find(allocator->name) != NULL)
		error = -EEXIST;
	else if (count == MOST_ALLOCATORS - BUILT_IN)
		error = -ENOSPC;
	else {
		registry.added[count] = allocator;
		atomic_store_explicit(&registry.count, count + 1, memory_order_release);
	}
	lock_give(&registry.lock);
	return error;
}

/**
 * The class' list may hold blocks of what served it before. They are used up first unless the new
 * allocator has to see every allocation; then they stay where they are until the class changes
 * again.
 */
static void use(struct heap *heap, unsigned index, const struct metalloc_allocator *allocator)
{
	struct heap_class *const class = &heap->classes[index];

	class->allocator = allocator;
	class->patient = allocator == &metalloc_bump;
	class->bumped = 0;
	class->carve = class->carve_end = NULL;
}

int metalloc_use(const char *name, size_t least_bytes, size_t most_bytes)
{
	const struct metalloc_allocator *const allocator =
		name == NULL ? NULL : registry_find(name);
	struct heap *heap;

	if (allocator == NULL)
		return -ENOENT;
	if (least_bytes > most_bytes)
		return -EINVAL;
	if (least_bytes < allocator->least_bytes || most_bytes > allocator->most_bytes ||
	    most_bytes > METALLOC_MOST_BYTES)
		return -ERANGE;
	heap = heap_of_thread();
	if (heap == NULL)
		return -ENOMEM;
	for (unsigned i = class_of_size(least_bytes); i <= class_of_size(most_bytes); i++) {
		if (class_bytes(i) > allocator->most_bytes)
			break;
		use(heap, i, allocator);
		metalloc_policy.allocators[i] = allocator;
	}
	return 0;
}

const struct metalloc_allocator *metalloc_allocator_of(const void *block)
{
	return group_of(block)->allocator;
}

void *metalloc_group_take(const struct metalloc_allocator *self, size_t *header_bytes)
{
	struct group *const group = units_take(1);

	if (group == NULL)
		return NULL;
	if (!group->zeroed)
		memset((char *)group + HEADER_BYTES, 0, UNIT_BYTES - HEADER_BYTES);
	group->allocator = self;
	*header_bytes = HEADER_BYTES;
	return group;
}

void metalloc_group_give(void *group)
{
	units_give(group);
}

void metalloc_usage(struct metalloc_usage *usage)
{
	units_usage(usage);
	usage->threads = heap_thread_count();
}

void metalloc_trim(void)
{
	struct heap *const heap = heap_of_thread();

	if (heap != NULL)
		heap_sweep(heap);
	pages_let_go();
	units_trim(0);
}
