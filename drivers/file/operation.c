/* SPDX-License-Identifier: MIT */
/*
 * Memory for requests in progress, and sending their calls.
 *
 * Each queue has a lane: a list of free operations that only the queue's thread touches. It grows
 * by a block when more requests are in flight than ever before; memory goes back when the image is
 * closed. The list of lanes only grows and is read without a lock; an image has few queues.
 */
#include "operation.h"

#include "base/bits.h"
#include "file_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
	BLOCK_OPERATIONS = 32,
};

static_assert(offsetof(struct operation, call) == 0, "see operation_of()");

struct block {
	struct block *next;
	struct operation operations[BLOCK_OPERATIONS];
};

struct lane {
	struct lane *next;
	const struct bdus_queue *queue;
	struct operation *free;
	struct block *blocks;
};

/* ---- lanes --------------------------------------------------------------------------------- */

static struct lane *add_lane(struct image *image, const struct bdus_queue *queue)
{
	struct lane *const lane = calloc(1, sizeof(*lane));

	if (lane == NULL)
		return NULL;
	lane->queue = queue;
	lane->next = atomic_load_explicit(&image->lanes, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&image->lanes, &lane->next, lane,
						      memory_order_release, memory_order_relaxed))
		;
	return lane;
}

static struct lane *find_lane(struct image *image, const struct bdus_queue *queue)
{
	struct lane *lane = atomic_load_explicit(&image->lanes, memory_order_acquire);

	while (lane != NULL && lane->queue != queue)
		lane = lane->next;
	return base_likely(lane != NULL) ? lane : add_lane(image, queue);
}

static void grow(struct lane *lane)
{
	struct block *const block = calloc(1, sizeof(*block));

	if (block == NULL)
		return;
	block->next = lane->blocks;
	lane->blocks = block;
	for (unsigned i = 0; i < BLOCK_OPERATIONS; i++) {
		block->operations[i].lane = lane;
		block->operations[i].next = lane->free;
		lane->free = &block->operations[i];
	}
}

static void free_lane(struct lane *lane)
{
	while (lane->blocks != NULL) {
		struct block *const block = lane->blocks;

		lane->blocks = block->next;
		free(block);
	}
	free(lane);
}

void operation_free_lanes(struct image *image)
{
	struct lane *lane = atomic_load(&image->lanes);

	while (lane != NULL) {
		struct lane *const next = lane->next;

		free_lane(lane);
		lane = next;
	}
}

/* ---- operations ---------------------------------------------------------------------------- */

struct operation *operation_begin(struct image *image, struct bdus_request *request)
{
	struct bdus_queue *const queue = bdus_request_queue(request);
	struct lane *const lane = find_lane(image, queue);
	struct operation *operation;

	if (base_likely(lane != NULL) && base_unlikely(lane->free == NULL))
		grow(lane);
	if (base_unlikely(lane == NULL || lane->free == NULL))
		return NULL;
	operation = lane->free;
	lane->free = operation->next;
	operation->request = request;
	operation->image = image;
	operation->loop = bdus_queue_loop(queue);
	operation->offset = request->offset_bytes;
	operation->length = request->length_bytes;
	operation->skip = 0;
	operation->zeros = false;
	operation->cached_only = false;
	operation->rw_flags = 0;
	operation->finished = operation_end;
	return operation;
}

void operation_end(struct operation *operation, int result)
{
	struct bdus_request *const request = operation->request;
	struct operation *next = NULL;

	if (base_unlikely(operation->image->zones != NULL))
		next = zones_end(operation, result);
	operation->next = operation->lane->free;
	operation->lane->free = operation;
	bdus_complete(request, result);
	if (base_unlikely(next != NULL))
		zones_begin_next(next);
}

void operation_send(struct operation *operation, void (*next)(struct bdus_call *call))
{
	operation->call.completed = next;
	operation_repeat(operation);
}

void operation_repeat(struct operation *operation)
{
	const int result = bdus_loop_send(operation->loop, &operation->call);

	if (base_likely(result == 0))
		return;
	/* A loop that ends takes no more calls. */
	operation->call.message.result = result;
	operation->call.completed(&operation->call);
}
