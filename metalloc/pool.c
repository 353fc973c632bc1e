/* SPDX-License-Identifier: MIT */
/*
 * Pools of payload buffers; see metalloc/pool.h.
 *
 *	mapping: | struct metalloc_pool, ring of buffers' numbers | padding | buffers … |
 *
 * Free buffers are in a ring: `head` is where the next one is taken, `tail` where one is put; both
 *count up, and tail - head are free. The ring and a bit for each buffer that is taken are under the
 *pool's lock, which a cache takes once for half of its buffers.
 */
#include <metalloc/pool.h>

#include "lock.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MOST_COUNT      (1u << 24)
#define MOST_ALIGNMENT  ((size_t)2 << 20)
#define USUAL_ALIGNMENT ((size_t)4096)
#define BATCH           (METALLOC_POOL_CACHE / 2)

struct metalloc_pool {
	char *mapping;
	size_t mapping_bytes;
	char *buffers;
	/** From one buffer to the next. */
	size_t stride_bytes;
	uint32_t count;

	_Alignas(64) struct lock lock;
	uint32_t head;
	uint32_t tail;
	uint64_t *taken;
	uint32_t ring[];
};

/** Everything before the buffers. */
static size_t book_bytes(uint32_t count)
{
	return base_align_up(sizeof(struct metalloc_pool) + count * sizeof(uint32_t), 64) +
	       (count + 63) / 64 * sizeof(uint64_t);
}

static bool are_valid(const struct metalloc_pool_options *options)
{
	return options->buffer_bytes != 0 && options->count != 0 && options->count <= MOST_COUNT &&
	       (options->alignment_bytes == 0 || (base_is_power_of_two(options->alignment_bytes) &&
						  options->alignment_bytes <= MOST_ALIGNMENT)) &&
	       (options->flags & ~(unsigned)(METALLOC_POOL_HUGE | METALLOC_POOL_PINNED)) == 0;
}

/** Lays the pool out in a mapping that is large enough; buffers begin at a multiple of @alignment.
 */
static struct metalloc_pool *lay_out(char *mapping, size_t mapping_bytes, size_t stride_bytes,
				     uint32_t count, size_t alignment_bytes)
{
	struct metalloc_pool *const pool = (struct metalloc_pool *)(void *)mapping;
	const size_t ring = sizeof(*pool) + count * sizeof(uint32_t);

	pool->mapping = mapping;
	pool->mapping_bytes = mapping_bytes;
	pool->buffers =
		(char *)base_align_up((uintptr_t)mapping + book_bytes(count), alignment_bytes);
	pool->stride_bytes = stride_bytes;
	pool->count = count;
	pool->taken = (uint64_t *)(void *)(mapping + base_align_up(ring, 64));
	pool->tail = count;
	for (uint32_t i = 0; i < count; i++)
		pool->ring[i] = i;
	return pool;
}

static int prepare(char *mapping, size_t bytes, unsigned flags)
{
	if (flags & METALLOC_POOL_HUGE)
		madvise(mapping, bytes, MADV_HUGEPAGE);
	if ((flags & METALLOC_POOL_PINNED) && mlock(mapping, bytes) != 0)
		return -errno;
	return 0;
}

int metalloc_pool_create(const struct metalloc_pool_options *options, struct metalloc_pool **pool)
{
	size_t alignment, stride, bytes;
	char *mapping;
	int error;

	if (options == NULL || pool == NULL || !are_valid(options))
		return -EINVAL;
	alignment = options->alignment_bytes == 0 ? USUAL_ALIGNMENT : options->alignment_bytes;
	if (options->buffer_bytes > PTRDIFF_MAX / 2)
		return -ENOMEM;
	stride = base_align_up(options->buffer_bytes, alignment);
	/* Room to begin the buffers, and what huge pages cover of them, where they have to. */
	if (options->flags & METALLOC_POOL_HUGE)
		alignment = MOST_ALIGNMENT;
	if (__builtin_mul_overflow(stride, options->count, &bytes) ||
	    __builtin_add_overflow(bytes, book_bytes(options->count) + alignment, &bytes) ||
	    bytes > PTRDIFF_MAX)
		return -ENOMEM;
	mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapping == MAP_FAILED)
		return -ENOMEM;
	error = prepare(mapping, bytes, options->flags);
	if (error != 0) {
		munmap(mapping, bytes);
		return error;
	}
	*pool = lay_out(mapping, bytes, stride, options->count, alignment);
	return 0;
}

void metalloc_pool_destroy(struct metalloc_pool *pool)
{
	if (pool != NULL)
		munmap(pool->mapping, pool->mapping_bytes);
}

int64_t metalloc_pool_index(const struct metalloc_pool *pool, const void *buffer)
{
	const size_t offset = (uintptr_t)buffer - (uintptr_t)pool->buffers;

	if ((uintptr_t)buffer < (uintptr_t)pool->buffers || offset % pool->stride_bytes != 0 ||
	    offset / pool->stride_bytes >= pool->count)
		return -1;
	return (int64_t)(offset / pool->stride_bytes);
}

/** Up to @most free buffers; the lock is held. */
static uint32_t take_some(struct metalloc_pool *pool, void **buffers, uint32_t most)
{
	const uint32_t count = (uint32_t)base_min(most, pool->tail - pool->head);

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t index = pool->ring[pool->head++ % pool->count];

		pool->taken[index / 64] |= UINT64_C(1) << index % 64;
		buffers[i] = pool->buffers + (size_t)index * pool->stride_bytes;
	}
	/* Both begin anew together, before they could overflow. */
	if (pool->head >= pool->count) {
		pool->head -= pool->count;
		pool->tail -= pool->count;
	}
	return count;
}

/** The lock is held. */
static void give_one(struct metalloc_pool *pool, void *buffer)
{
	const int64_t index = metalloc_pool_index(pool, buffer);
	const uint64_t bit = UINT64_C(1) << (index & 63);

	if (index < 0 || (pool->taken[index / 64] & bit) == 0)
		abort();
	pool->taken[index / 64] &= ~bit;
	pool->ring[pool->tail++ % pool->count] = (uint32_t)index;
}

void *metalloc_pool_take(struct metalloc_pool *pool)
{
	void *buffer = NULL;

	lock_take(&pool->lock);
	take_some(pool, &buffer, 1);
	lock_give(&pool->lock);
	return buffer;
}

void metalloc_pool_give(struct metalloc_pool *pool, void *buffer)
{
	lock_take(&pool->lock);
	give_one(pool, buffer);
	lock_give(&pool->lock);
}

void *metalloc_pool_memory(const struct metalloc_pool *pool, size_t *length_bytes)
{
	*length_bytes = pool->stride_bytes * pool->count;
	return pool->buffers;
}

uint32_t metalloc_pool_free_count(struct metalloc_pool *pool)
{
	uint32_t count;

	lock_take(&pool->lock);
	count = pool->tail - pool->head;
	lock_give(&pool->lock);
	return count;
}

void metalloc_pool_cache_init(struct metalloc_pool_cache *cache, struct metalloc_pool *pool)
{
	cache->pool = pool;
	cache->count = 0;
}

/** The oldest go back, all but @keep. */
static void shrink(struct metalloc_pool_cache *cache, uint32_t keep)
{
	const uint32_t count = cache->count - keep;

	lock_take(&cache->pool->lock);
	for (uint32_t i = 0; i < count; i++)
		give_one(cache->pool, cache->buffers[i]);
	lock_give(&cache->pool->lock);
	memmove(cache->buffers, cache->buffers + count, keep * sizeof(cache->buffers[0]));
	cache->count = keep;
}

void metalloc_pool_cache_finish(struct metalloc_pool_cache *cache)
{
	shrink(cache, 0);
}

void *metalloc_pool_cache_take(struct metalloc_pool_cache *cache)
{
	if (cache->count == 0) {
		lock_take(&cache->pool->lock);
		cache->count = take_some(cache->pool, cache->buffers, BATCH);
		lock_give(&cache->pool->lock);
	}
	return cache->count == 0 ? NULL : cache->buffers[--cache->count];
}

void metalloc_pool_cache_give(struct metalloc_pool_cache *cache, void *buffer)
{
	if (cache->count == METALLOC_POOL_CACHE)
		shrink(cache, BATCH);
	cache->buffers[cache->count++] = buffer;
}
