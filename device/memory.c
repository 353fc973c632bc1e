/* SPDX-License-Identifier: MIT */
/*
 * Payload memory from the program: its own calls, or a region, with a limit on what is out at once,
 * and a line of those that wait for some to come back.
 *
 * `lock` protects everything; the program's calls are made under it. A queue that waits is in
 * `waiting` until memory comes back; then its loop is woken, and looks at `memory_came` of its
 * queues. A queue that is closed leaves the line first, under the lock.
 */
#include "memory.h"

#include "base/bits.h"
#include "base/error.h"
#include "device/memory.h"
#include "queue.h"
#include "region.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define PAGE_BYTES ((size_t)4096)

struct bdus_memory {
	struct bdus_memory_options options;
	struct bdus_region *region;
	pthread_mutex_t lock;
	size_t out_bytes;
	unsigned users;
	/** Of queues, by `memory_link`. */
	struct base_list waiting;
};

static int check(const struct bdus_memory_options *options)
{
	const bool calls = options->allocate != NULL && options->release != NULL;

	if (options->size != sizeof(*options))
		return base_error(EINVAL, "size of the memory's options is %zu: it has to be %zu",
				  options->size, sizeof(*options));
	if (calls == (options->region != NULL))
		return base_error(EINVAL, "payload memory comes from `allocate` and `release`, or "
					  "from a region: give one of them");
	return 0;
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
	if (options->region != NULL)
		result =
			bdus_region_create(options->region, options->region_bytes, &memory->region);
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
	pthread_mutex_destroy(&memory->lock);
	free(memory);
	return 0;
}

int bdus_memory_join(struct bdus_memory *memory, size_t largest_bytes)
{
	size_t most = memory->options.limit_bytes;

	if (memory->region != NULL)
		most = base_min(most != 0 ? most : SIZE_MAX, bdus_region_largest(memory->region));
	if (most != 0 && most < largest_bytes)
		return base_error(EINVAL,
				  "payloads have up to %zu bytes, and the payload memory gives out "
				  "no more than %zu: lower max_transfer_bytes or give more",
				  largest_bytes, most);
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
	return options->allocate(options->opaque, bytes);
}

static void give_back(struct bdus_memory *memory, void *piece, size_t bytes)
{
	if (memory->region != NULL)
		bdus_region_put(memory->region, piece, bytes);
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

		atomic_store(&queue->memory_came, true);
		atomic_store(&queue->loop->memory_came, true);
		bdus_loop_wake(queue->loop);
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
