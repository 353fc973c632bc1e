/* SPDX-License-Identifier: MIT */
/*
 * Payload memory: page-aligned buffers in size classes of powers of two. A pool belongs to one
 * thread. Freed buffers are kept for the next request up to a limit and given back to the system
 * when the pool is trimmed.
 */
#ifndef DEVICE_POOL_H
#define DEVICE_POOL_H

#include <stddef.h>
#include <stdint.h>

/** Smallest and largest buffer, in bytes. */
#define BDUS_POOL_SMALLEST ((size_t)4096)
#define BDUS_POOL_LARGEST  ((size_t)64 << 20)

struct bdus_pool;

/** @keep_bytes: how much freed memory the pool holds on to. NULL when memory is out. */
struct bdus_pool *bdus_pool_create(size_t keep_bytes);

/** Every buffer must have been put back. Takes NULL. */
void bdus_pool_destroy(struct bdus_pool *pool);

/**
 * A buffer of at least @bytes (1 to BDUS_POOL_LARGEST), aligned to a page, content undefined. NULL
 * when memory is out or @bytes is out of range.
 */
void *bdus_pool_get(struct bdus_pool *pool, size_t bytes);

/** Gives back a buffer that bdus_pool_get() returned for the same @bytes. Takes a NULL @buffer. */
void bdus_pool_put(struct bdus_pool *pool, void *buffer, size_t bytes);

/** Returns the memory of all free buffers to the system; for a queue that has gone idle. */
void bdus_pool_trim(struct bdus_pool *pool);

#endif
