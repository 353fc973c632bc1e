/* SPDX-License-Identifier: MIT */
/*
 * Payload memory as the program wants it: its own calls, a region of it, or a pool that is made
 * here, with a limit on what is out at once, and a line of those that wait for some to come back.
 * Nothing is cached by a queue, where it would be out of the reach of others who wait.
 *
 * `lock` protects everything; the program's calls are made under it. A queue that waits is in
 * `waiting` until memory comes back; then its loop is woken, and looks at `asked` of its
 * queues. A queue that is closed leaves the line first, under the lock.
 */
#include "memory.h"

#include "base/bits.h"
#include "base/error.h"
#include "device/memory.h"
#include "queue.h"
#include "region.h"

#include <errno.h>
#include <metalloc/pool.h>
#include <pthread.h>
#include <stdlib.h>

#define PAGE_BYTES ((size_t)4096)

struct bdus_memory {
	struct bdus_memory_options options;
	struct bdus_region *region;
	struct metalloc_pool *pool;
	pthread_mutex_t lock;
	size_t out_bytes;
	unsigned users;
	/** Of queues, by `memory_link`. */
	struct base_list waiting;
};

static int check(const struct bdus_memory_options *options)
{
	const bool calls = options->allocate != NULL && options->release != NULL;
	const bool region = options->region != NULL, pool = options->pool_count != 0;

	if (options->size != sizeof(*options))
		return base_error(EINVAL, "size of the memory's options is %zu: it has to be %zu",
				  options->size, sizeof(*options));
	if (calls + region + pool != 1)
		return base_error(EINVAL, "payload memory comes from `allocate` and `release`, "
					  "from a region, or from a pool: give one of them");
	return 0;
}

static int create_pool(const struct bdus_memory_options *options, struct metalloc_pool **pool)
{
	const struct metalloc_pool_options wanted = {
		.buffer_bytes = options->pool_buffer_bytes,
		.alignment_bytes = PAGE_BYTES,
		.count = options->pool_count,
		.flags = options->pool_flags,
	};
	const int error = metalloc_pool_create(&wanted, pool);

	if (error < 0)
		return base_error_errno(
			-error, "cannot make a pool of %u payloads of %zu bytes, flags %u",
			options->pool_count, options->pool_buffer_bytes, options->pool_flags);
	return 0;
}

static int create_source(struct bdus_memory *memory)
{
	const struct bdus_memory_options *const options = &memory->options;

	if (options->region != NULL)
		return bdus_region_create(options->region, options->region_bytes, &memory->region);
	return options->pool_count == 0 ? 0 : create_pool(options, &memory->pool);
}

int bdus_memory_create(const struct bdus_memory_options *options,
		       struct bdus_memory **result_memory)
{
	struct bdus_memory *memory;
	int result = check(options);

	if (result < 0)
		return result;
	memory = calloc(1, sizeof(*memory));
	if (memory == NULL)
		return base_error(ENOMEM, "no memory to manage payload memory");
	memory->options = *options;
	result = create_source(memory);
	if (result < 0) {
		free(memory);
		return result;
	}
	pthread_mutex_init(&memory->lock, NULL);
	base_list_init(&memory->waiting);
	*result_memory = memory;
	return 0;
}

int bdus_memory_destroy(struct bdus_memory *memory)
{
	if (memory == NULL)
		return 0;
	if (memory->users != 0)
		return base_error(EBUSY, "%u devices still use the payload memory", memory->users);
	bdus_region_destroy(memory->region);
	metalloc_pool_destroy(memory->pool);
	pthread_mutex_destroy(&memory->lock);
	free(memory);
	return 0;
}

/** The largest payload that there can be memory for; 0 for any. */
static size_t largest_bytes(const struct bdus_memory *memory)
{
	const size_t limit =
		memory->options.limit_bytes != 0 ? memory->options.limit_bytes : SIZE_MAX;

	if (memory->region != NULL)
		return base_min(limit, bdus_region_largest(memory->region));
	if (memory->pool != NULL)
		return base_min(limit,
				base_align_up(memory->options.pool_buffer_bytes, PAGE_BYTES));
	return memory->options.limit_bytes;
}

int bdus_memory_join(struct bdus_memory *memory, size_t wanted_bytes)
{
	const size_t most = largest_bytes(memory);

	if (most != 0 && most < wanted_bytes)
		return base_error(EINVAL,
				  "payloads have up to %zu bytes, and the payload memory gives out "
				  "no more than %zu: lower max_transfer_bytes or give more",
				  wanted_bytes, most);
	pthread_mutex_lock(&memory->lock);
	memory->users++;
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

void bdus_memory_leave(struct bdus_memory *memory)
{
	pthread_mutex_lock(&memory->lock);
	memory->users--;
	pthread_mutex_unlock(&memory->lock);
}

void bdus_memory_forget(struct bdus_memory *memory, struct bdus_queue *queue)
{
	pthread_mutex_lock(&memory->lock);
	base_list_remove(&queue->memory_link);
	pthread_mutex_unlock(&memory->lock);
}

/* ---- getting and giving back --------------------------------------------------------------- */

/** What is asked for and counted: whole pages. */
static size_t whole_pages(size_t bytes)
{
	return base_align_up(bytes, PAGE_BYTES);
}

static void *take(struct bdus_memory *memory, size_t bytes)
{
	const struct bdus_memory_options *const options = &memory->options;

	if (options->limit_bytes != 0 && memory->out_bytes + bytes > options->limit_bytes)
		return NULL;
	if (memory->region != NULL)
		return bdus_region_get(memory->region, bytes);
	if (memory->pool != NULL)
		return metalloc_pool_take(memory->pool);
	return options->allocate(options->opaque, bytes);
}

static void give_back(struct bdus_memory *memory, void *piece, size_t bytes)
{
	if (memory->region != NULL)
		bdus_region_put(memory->region, piece, bytes);
	else if (memory->pool != NULL)
		metalloc_pool_give(memory->pool, piece);
	else
		memory->options.release(memory->options.opaque, piece, bytes);
}

/** Gives back what the program should not have given, and ends who asked for it. */
static void refuse_misaligned(struct bdus_memory *memory, struct bdus_queue *host, void *piece,
			      size_t bytes)
{
	give_back(memory, piece, bytes);
	bdus_host_fail(host, base_error(EINVAL,
					"the program's allocate() gave %p for a payload of %zu "
					"bytes: it has to be aligned to %zu",
					piece, bytes, PAGE_BYTES));
}

void *bdus_memory_get(struct bdus_memory *memory, struct bdus_queue *host, size_t bytes)
{
	const size_t asked = whole_pages(bytes);
	void *piece;

	pthread_mutex_lock(&memory->lock);
	piece = take(memory, asked);
	if (((uintptr_t)piece & (PAGE_BYTES - 1)) != 0) {
		refuse_misaligned(memory, host, piece, asked);
		piece = NULL;
	} else if (piece != NULL) {
		memory->out_bytes += asked;
	} else if (base_list_is_empty(&host->memory_link)) {
		base_list_push_back(&memory->waiting, &host->memory_link);
	}
	pthread_mutex_unlock(&memory->lock);
	return piece;
}

/** All who wait try again; the first ones are woken first. */
static void wake_waiting(struct bdus_memory *memory)
{
	struct base_list *link;

	while ((link = base_list_pop_front(&memory->waiting)) != NULL) {
		struct bdus_queue *const queue =
			base_list_entry(link, struct bdus_queue, memory_link);

		bdus_queue_ask(queue);
	}
}

void bdus_memory_put(struct bdus_memory *memory, void *piece, size_t bytes)
{
	const size_t asked = whole_pages(bytes);

	pthread_mutex_lock(&memory->lock);
	give_back(memory, piece, asked);
	memory->out_bytes -= asked;
	wake_waiting(memory);
	pthread_mutex_unlock(&memory->lock);
}
