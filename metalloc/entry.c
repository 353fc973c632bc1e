/* SPDX-License-Identifier: MIT */
/*
 * The malloc family, and the whole of what most calls execute. What a call finds in the way is
 * slow.c's.
 *
 * malloc(): the size, rounded up to a multiple of 16, is the distance of its class' list in the
 * thread's lists. Size 0, and sizes that wrap around, arrive at list 0, which is always empty.
 * free(): the block's group says which of the thread's lists it is for. Whose heap it belongs to
 * is not asked here, but when the list is settled.
 */
#include "entry.h"
#include "metalloc_internal.h"

#include <errno.h>
#include <string.h>

static_assert(sizeof(struct list) == CLASS_STEP_BYTES && offsetof(struct thread, lists) == 0,
	      "a rounded size is a list's distance");
static_assert(offsetof(struct list, head) == 0 && offsetof(struct list, left) == 8,
	      "as platform.h has it");

static inline void *allocate_from(uintptr_t list, size_t size_bytes)
{
	struct block *const block = platform_load(list);

	if (base_unlikely(block == NULL))
		return allocate_slowly(size_bytes);
	platform_store(list, block->next);
	return block;
}

/** Sizes above those whose class is a matter of rounding, kept out of the way of the others. */
static __attribute__((noinline)) void *allocate_medium(size_t size_bytes)
{
	if (size_bytes > METALLOC_MOST_BYTES)
		return allocate_slowly(size_bytes);
	return allocate_from(list_distance(class_of_size(size_bytes)), size_bytes);
}

void *ENTRY(malloc)(size_t size_bytes)
{
	const size_t rounded = size_bytes + (CLASS_STEP_BYTES - 1);

	if (base_unlikely(rounded > CLASS_SMALL_BYTES + CLASS_STEP_BYTES - 1))
		return allocate_medium(size_bytes);
	return allocate_from(platform_own(rounded & ~(size_t)(CLASS_STEP_BYTES - 1)), size_bytes);
}

void ENTRY(free)(void *released)
{
	const struct group *const group = group_of(released);
	struct block *const block = released;
	uintptr_t list;

	/* Only NULL has a group there: addresses of a program are positive. */
	if (base_unlikely((intptr_t)group < 0))
		return;
	list = group->list;
	if (base_unlikely(platform_count_down(list))) {
		release_slowly(released);
		return;
	}
	block->next = platform_load(list);
	platform_store(list, block);
}

void *ENTRY(calloc)(size_t count, size_t size_bytes)
{
	size_t bytes;
	void *block;

	if (__builtin_mul_overflow(count, size_bytes, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	block = ENTRY(malloc)(bytes);
	if (block != NULL && !is_zero(block, bytes))
		memset(block, 0, bytes);
	return block;
}

/* Called, not copied, by what tools that replace realloc() do not know of. So is memalign(). */
__attribute__((noinline)) void *ENTRY(realloc)(void *block, size_t size_bytes)
{
	if (block == NULL)
		return ENTRY(malloc)(size_bytes);
	if (size_bytes == 0) {
		ENTRY(free)(block);
		return NULL;
	}
	return reallocate(block, size_bytes);
}

void *ENTRY(reallocarray)(void *block, size_t count, size_t size_bytes)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size_bytes, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return ENTRY(realloc)(block, bytes);
}

int ENTRY(posix_memalign)(void **block, size_t alignment_bytes, size_t size_bytes)
{
	const int saved_errno = errno;
	void *allocated;

	if (!base_is_power_of_two(alignment_bytes) || alignment_bytes % sizeof(void *) != 0)
		return EINVAL;
	allocated = allocate_aligned(alignment_bytes, size_bytes);
	errno = saved_errno;
	if (allocated == NULL)
		return ENOMEM;
	*block = allocated;
	return 0;
}

void *ENTRY(aligned_alloc)(size_t alignment_bytes, size_t size_bytes)
{
	if (!base_is_power_of_two(alignment_bytes)) {
		errno = EINVAL;
		return NULL;
	}
	return allocate_aligned(alignment_bytes, size_bytes);
}

/** As glibc's: an alignment that is no power of two is rounded up to one. */
__attribute__((noinline)) void *ENTRY(memalign)(size_t alignment_bytes, size_t size_bytes)
{
	if (alignment_bytes > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	while (!base_is_power_of_two(alignment_bytes))
		alignment_bytes =
			alignment_bytes == 0 ? 1 : (alignment_bytes | (alignment_bytes - 1)) + 1;
	return allocate_aligned(alignment_bytes, size_bytes);
}

void *ENTRY(valloc)(size_t size_bytes)
{
	return allocate_aligned(PAGE_BYTES, size_bytes);
}

void *ENTRY(pvalloc)(size_t size_bytes)
{
	const size_t page = PAGE_BYTES;

	if (size_bytes > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	return ENTRY(memalign)(page, size_bytes == 0 ? page : base_align_up(size_bytes, page));
}

size_t ENTRY(malloc_usable_size)(void *block)
{
	return block == NULL ? 0 : usable_bytes(block);
}
