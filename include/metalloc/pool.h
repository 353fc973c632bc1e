/* SPDX-License-Identifier: MIT */
/*
 * Pools of payload buffers: a fixed number of buffers of one size, aligned, in one piece of memory
 *that never moves, which can be pinned or in huge pages, and registered with a kernel or a device
 *as a whole.
 *
 * A pool may be used by any number of threads. One that takes and gives often has a cache, which
 *goes to the pool once for many buffers; the pool hands them out in the order in which they were
 *given back.
 *
 *	struct metalloc_pool_cache cache;
 *
 *	metalloc_pool_cache_init(&cache, pool);
 *	buffer = metalloc_pool_cache_take(&cache);
 *	…
 *	metalloc_pool_cache_give(&cache, buffer);
 *	metalloc_pool_cache_finish(&cache);
 *
 * Pools do not use malloc(), and are the same whether libmetalloc replaces it or not.
 */
#ifndef METALLOC_POOL_H
#define METALLOC_POOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct metalloc_pool;

enum metalloc_pool_flag {
	/** In huge pages where the kernel has some; in others where it has none. */
	METALLOC_POOL_HUGE = 1 << 0,
	/** Locked in memory (mlock(2)) for the life of the pool, and its pages present from the
	 * start. */
	METALLOC_POOL_PINNED = 1 << 1
};

struct metalloc_pool_options {
	/** Bytes of each buffer, at least 1. A buffer occupies that, rounded up to the alignment.
	 */
	size_t buffer_bytes;
	/** A power of two up to 2 MiB; 0 for 4096. */
	size_t alignment_bytes;
	/** Number of buffers: 1 to 2^24. */
	uint32_t count;
	/** metalloc_pool_flag. */
	unsigned flags;
};

/**
 * Makes a pool, all of whose buffers are free and zero. Any thread.
 *
 * -EINVAL: an option is not as described. -ENOMEM: there is not so much memory, or RLIMIT_MEMLOCK
 * does not allow to pin it. -EPERM: this process may pin nothing. -EAGAIN: see mlock(2).
 */
int metalloc_pool_create(const struct metalloc_pool_options *options, struct metalloc_pool **pool);

/** Ends a pool with all its buffers, those that are taken included; caches of it end before. NULL:
 * nothing. */
void metalloc_pool_destroy(struct metalloc_pool *pool);

/** A free buffer, with whatever contents; NULL when all are taken or in caches. Any thread. */
void *metalloc_pool_take(struct metalloc_pool *pool);

/** Gives back a buffer that was taken. Any thread. Something else ends the program. */
void metalloc_pool_give(struct metalloc_pool *pool, void *buffer);

/** The memory of all buffers, for registering it; @length_bytes of it. */
void *metalloc_pool_memory(const struct metalloc_pool *pool, size_t *length_bytes);

/** Which buffer of the pool it is, from 0 on, or -1 for an address that is not the start of one. */
int64_t metalloc_pool_index(const struct metalloc_pool *pool, const void *buffer);

/** How many buffers are free and in no cache, at this moment. Any thread. */
uint32_t metalloc_pool_free_count(struct metalloc_pool *pool);

/** Most buffers that a cache holds back from other threads. */
#define METALLOC_POOL_CACHE 32

/** A thread's cache: the caller's memory, and its thread's alone. The members are metalloc's. */
struct metalloc_pool_cache {
	struct metalloc_pool *pool;
	uint32_t count;
	void *buffers[METALLOC_POOL_CACHE];
};

void metalloc_pool_cache_init(struct metalloc_pool_cache *cache, struct metalloc_pool *pool);

/** Gives back what is in the cache. */
void metalloc_pool_cache_finish(struct metalloc_pool_cache *cache);

/** As metalloc_pool_take() and metalloc_pool_give(). A buffer may be given to another cache of the
 * pool. */
void *metalloc_pool_cache_take(struct metalloc_pool_cache *cache);
void metalloc_pool_cache_give(struct metalloc_pool_cache *cache, void *buffer);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
