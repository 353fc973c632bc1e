/* SPDX-License-Identifier: MIT */
/*
 * Payload memory in power-of-two classes. A free buffer holds the link to the next one in itself;
 * each class is a stack, so that the buffer used last, which is still in the cache, comes first.
 */
#include "device/pool.h"

#include "base/bits.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define CLASS_COUNT 15

static_assert(BDUS_POOL_SMALLEST << (CLASS_COUNT - 1) == BDUS_POOL_LARGEST,
	      "the classes go from the smallest buffer to the largest");

struct free_buffer {
	struct free_buffer *next;
};

struct bdus_pool {
	struct free_buffer *classes[CLASS_COUNT];
	size_t kept_bytes;
	size_t keep_bytes;
	/** Buffers that were handed out and not put back. */
	size_t out;
};

static unsigned class_of(size_t bytes)
{
	if (bytes <= BDUS_POOL_SMALLEST)
		return 0;
	return 64 - (unsigned)__builtin_clzll((bytes - 1) / BDUS_POOL_SMALLEST);
}

static size_t class_bytes(unsigned class)
{
	return BDUS_POOL_SMALLEST << class;
}

struct bdus_pool *bdus_pool_create(size_t keep_bytes)
{
	struct bdus_pool *const pool = calloc(1, sizeof(*pool));

	if (pool != NULL)
		pool->keep_bytes = keep_bytes;
	return pool;
}

void bdus_pool_destroy(struct bdus_pool *pool)
{
	if (pool == NULL)
		return;
	assert(pool->out == 0);
	bdus_pool_trim(pool);
	free(pool);
}

void *bdus_pool_get(struct bdus_pool *pool, size_t bytes)
{
	const unsigned class = class_of(bytes);
	struct free_buffer *buffer;
	void *memory;

	if (bytes == 0 || bytes > BDUS_POOL_LARGEST)
		return NULL;
	buffer = pool->classes[class];
	if (base_likely(buffer != NULL)) {
		pool->classes[class] = buffer->next;
		pool->kept_bytes -= class_bytes(class);
		pool->out++;
		return buffer;
	}
	memory = mmap(NULL, class_bytes(class), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	pool->out++;
	return memory;
}

void bdus_pool_put(struct bdus_pool *pool, void *buffer, size_t bytes)
{
	const unsigned class = class_of(bytes);
	struct free_buffer *const freed = buffer;

	if (buffer == NULL)
		return;
	pool->out--;
	if (pool->kept_bytes + class_bytes(class) > pool->keep_bytes) {
		munmap(buffer, class_bytes(class));
		return;
	}
	pool->kept_bytes += class_bytes(class);
	freed->next = pool->classes[class];
	pool->classes[class] = freed;
}

void bdus_pool_trim(struct bdus_pool *pool)
{
	for (unsigned class = 0; class < CLASS_COUNT; class ++) {
		while (pool->classes[class] != NULL) {
			struct free_buffer *const freed = pool->classes[class];

			pool->classes[class] = freed->next;
			munmap(freed, class_bytes(class));
		}
	}
	pool->kept_bytes = 0;
}
