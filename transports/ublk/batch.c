/* SPDX-License-Identifier: MIT */
/*
 * Commands for many tags. One command, which lasts until the device stops, brings the tags of new
 * requests, in memory that the kernel picks from the loop's; another takes the results of many.
 *
 *	fetch:   start ──▶ with the kernel ──▶ tags … ──▶ ended when the device stops
 *	                        ▲    │ no memory left
 *	                        └────┘
 *	commit:  free ──▶ filling ──▶ with the kernel ──▶ free
 *	              give       flush
 */
#include "base/bits.h"
#include "base/error.h"
#include "queue.h"

#include <errno.h>
#include <stdlib.h>

#define ENCODE_BATCH(number) ((uint32_t)_IOWR('u', (number), struct ublk_abi_batch_io))

/* Results on their way. */
struct commit {
	struct bdus_call call;
	struct ublk_abi_batch_io body;
	struct bdus_transport_queue *queue;
	struct commit *next;
	struct commit *made_before;
	unsigned count;
	_Alignas(8) uint8_t elements[BDUS_BATCH * sizeof(struct ublk_abi_batch_result_with_place)];
};

struct ublk_batches {
	struct bdus_call fetch;
	struct ublk_abi_batch_io fetch_body;
	struct bdus_transport_queue *queue;
	/* Bytes and flags of one element. */
	unsigned element_bytes;
	uint16_t flags;
	/* The first command, which the kernel answers at once. */
	struct bdus_call prepare;
	struct ublk_abi_batch_io prepare_body;
	uint8_t *prepare_elements;
	bool fetching;
	/* With the kernel, or being filled. */
	unsigned commits;
	struct commit *filling;
	struct commit *free;
	struct commit *made_last;
};

static void fail(struct bdus_transport_queue *queue, const char *what, int64_t result)
{
	ublk_queue_fail(queue, base_error_errno(result < 0 ? (int)-result : EPROTO,
						"ublk: the kernel %s of queue %u with %lld", what,
						queue->index, (long long)result));
}

/* ---- results ------------------------------------------------------------------------------- */

static void fill_element(const struct bdus_transport_queue *queue, uint8_t *element, unsigned tag,
			 int32_t result)
{
	struct ublk_abi_batch_result *const plain = (void *)element;
	struct ublk_abi_batch_result_with_place *const with_place = (void *)element;

	ublk_abi_batch_result_set_tag(plain, (uint16_t)tag);
	ublk_abi_batch_result_set_buffer_index(
		plain, queue->first_buffer < 0 ? 0 : (uint16_t)(queue->first_buffer + (int)tag));
	ublk_abi_batch_result_set_result(plain, result);
	if (queue->batches->flags != 0)
		ublk_abi_batch_result_with_place_set_place(with_place,
							   ublk_queue_place(queue, tag, result));
}

static void fill_body(const struct bdus_transport_queue *queue, struct ublk_abi_batch_io *body,
		      unsigned count)
{
	*body = (struct ublk_abi_batch_io){0};
	ublk_abi_batch_io_set_queue_id(body, (uint16_t)queue->index);
	ublk_abi_batch_io_set_flags(body, queue->batches->flags);
	ublk_abi_batch_io_set_nr_elem(body, (uint16_t)count);
	ublk_abi_batch_io_set_elem_bytes(body, (uint8_t)queue->batches->element_bytes);
}

/* All results were taken, unless the device has ended meanwhile. */
static void on_commit(struct bdus_call *call)
{
	struct commit *const commit = base_container_of(call, struct commit, call);
	struct bdus_transport_queue *const queue = commit->queue;
	struct ublk_batches *const batches = queue->batches;
	const int64_t result = call->message.result;

	if (base_unlikely(result != (int64_t)commit->count * batches->element_bytes) &&
	    batches->fetching)
		fail(queue, "did not take the results", result);
	commit->next = batches->free;
	batches->free = commit;
	batches->commits--;
	if (base_unlikely(!batches->fetching))
		ublk_queue_ended(queue);
}

static struct commit *new_commit(struct bdus_transport_queue *queue)
{
	struct commit *commit = queue->batches->free;

	if (base_likely(commit != NULL)) {
		queue->batches->free = commit->next;
	} else {
		commit = malloc(sizeof(*commit));
		if (!commit)
			return NULL;
		commit->queue = queue;
		commit->call.completed = on_commit;
		commit->made_before = queue->batches->made_last;
		queue->batches->made_last = commit;
	}
	commit->count = 0;
	queue->batches->commits++;
	return commit;
}

static void flush(struct bdus_transport_queue *queue)
{
	struct commit *const commit = queue->batches->filling;

	if (!commit)
		return;
	queue->batches->filling = NULL;
	fill_body(queue, &commit->body, commit->count);
	asys_prep_uring_cmd(&commit->call.message, queue->file,
			    ENCODE_BATCH(UBLK_ABI_IO_COMMIT_BATCH), &commit->body,
			    sizeof(commit->body), asys_pointer(commit->elements));
	commit->call.message.flags = queue->file_flag;
	if (base_unlikely(bdus_loop_send(queue->loop, &commit->call) < 0))
		ublk_queue_fail(queue, base_error(EIO,
						  "ublk: the ring of queue %u takes no more "
						  "commands",
						  queue->index));
}

static void give(struct bdus_transport_queue *queue, unsigned tag, int32_t result)
{
	struct ublk_batches *const batches = queue->batches;

	if (!batches->filling)
		batches->filling = new_commit(queue);
	if (base_unlikely(!batches->filling)) {
		ublk_queue_fail(queue, base_error(ENOMEM, "ublk: no memory for results of queue %u",
						  queue->index));
		return;
	}
	fill_element(queue,
		     batches->filling->elements + batches->filling->count * batches->element_bytes,
		     tag, result);
	if (++batches->filling->count == BDUS_BATCH)
		flush(queue);
}

/* ---- requests ------------------------------------------------------------------------------ */

static int send_fetch(struct bdus_transport_queue *queue)
{
	struct ublk_batches *const batches = queue->batches;

	asys_prep_uring_cmd(&batches->fetch.message, queue->file,
			    ENCODE_BATCH(UBLK_ABI_IO_FETCH_BATCH), &batches->fetch_body,
			    sizeof(batches->fetch_body), 0);
	batches->fetch.message.flags = queue->file_flag | ASYS_PICK_BUFFER | ASYS_REPEAT;
	batches->fetch.message.buffer_index = BDUS_LOOP_GROUP;
	batches->fetching = bdus_loop_send(queue->loop, &batches->fetch) == 0;
	return batches->fetching
		       ? 0
		       : base_error(EIO, "ublk: the ring of queue %u takes no more commands",
				    queue->index);
}

static void arrive(struct bdus_transport_queue *queue, const uint16_t *tags, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (base_likely(tags[i] < queue->depth))
			ublk_queue_arrive(queue, tags[i]);
		else
			ublk_queue_fail(queue, base_error(EPROTO,
							  "ublk: the kernel has a request of tag "
							  "%u, where queue %u has %u",
							  tags[i], queue->index, queue->depth));
	flush(queue);
}

static void fetch_ended(struct bdus_transport_queue *queue, int64_t result)
{
	queue->batches->fetching = false;
	if (result == -ENOBUFS) {
		if (send_fetch(queue) < 0)
			ublk_queue_fail(queue, -EIO);
	} else if (result == -ENODEV) {
		ublk_queue_ended(queue);
	} else {
		fail(queue, "failed to bring requests", result);
	}
}

static void on_fetch(struct bdus_call *call)
{
	struct ublk_batches *const batches = base_container_of(call, struct ublk_batches, fetch);
	struct bdus_transport_queue *const queue = batches->queue;
	const int64_t result = call->message.result;

	if (result > 0) {
		arrive(queue, bdus_loop_picked(queue->loop, call),
		       (size_t)result / sizeof(uint16_t));
	}
	bdus_loop_return_picked(queue->loop, call);
	if (base_unlikely(!call->message.more))
		fetch_ended(queue, result);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void on_prepare(struct bdus_call *call)
{
	struct ublk_batches *const batches = base_container_of(call, struct ublk_batches, prepare);

	free(batches->prepare_elements);
	batches->prepare_elements = NULL;
	if (call->message.result < 0)
		fail(batches->queue, "refused the tags", call->message.result);
}

static int send_prepare(struct bdus_transport_queue *queue)
{
	struct ublk_batches *const batches = queue->batches;

	batches->prepare_elements = calloc(queue->depth, batches->element_bytes);
	if (!batches->prepare_elements)
		return base_error(ENOMEM, "out of memory for %u requests", queue->depth);
	for (unsigned tag = 0; tag < queue->depth; tag++)
		fill_element(queue, batches->prepare_elements + tag * batches->element_bytes, tag,
			     0);
	fill_body(queue, &batches->prepare_body, queue->depth);
	batches->prepare.completed = on_prepare;
	asys_prep_uring_cmd(&batches->prepare.message, queue->file,
			    ENCODE_BATCH(UBLK_ABI_IO_PREPARE_BATCH), &batches->prepare_body,
			    sizeof(batches->prepare_body), asys_pointer(batches->prepare_elements));
	batches->prepare.message.flags = queue->file_flag;
	return bdus_loop_send(queue->loop, &batches->prepare);
}

/* What each element has beside the result: one thing at most. */
static uint16_t flags_of(const struct bdus_transport_queue *queue)
{
	if (queue->device->limits.zone_size_bytes != 0)
		return UBLK_ABI_BATCH_ZONE_LBA;
	return queue->payloads && !queue->device->user_copy ? UBLK_ABI_BATCH_BUFFER_ADDRESS : 0;
}

static int start(struct bdus_transport_queue *queue)
{
	struct ublk_batches *const batches = calloc(1, sizeof(*batches));
	int result;

	if (!batches)
		return base_error(ENOMEM, "out of memory");
	queue->batches = batches;
	batches->queue = queue;
	batches->flags = flags_of(queue);
	batches->element_bytes = batches->flags != 0
					 ? sizeof(struct ublk_abi_batch_result_with_place)
					 : sizeof(struct ublk_abi_batch_result);
	ublk_abi_batch_io_set_queue_id(&batches->fetch_body, (uint16_t)queue->index);
	ublk_abi_batch_io_set_elem_bytes(&batches->fetch_body, sizeof(uint16_t));
	batches->fetch.completed = on_fetch;
	result = bdus_loop_provide_memory(queue->loop);
	if (result == 0)
		result = send_prepare(queue);
	if (result == 0)
		result = send_fetch(queue);
	bdus_loop_flush(queue->loop);
	return result;
}

static bool has_ended(const struct bdus_transport_queue *queue)
{
	return !queue->batches->fetching && queue->batches->commits == 0;
}

static void finish(struct bdus_transport_queue *queue)
{
	struct ublk_batches *const batches = queue->batches;

	if (!batches)
		return;
	while (batches->made_last) {
		struct commit *const commit = batches->made_last;

		batches->made_last = commit->made_before;
		free(commit);
	}
	free(batches->prepare_elements);
	free(batches);
}

const struct ublk_exchange ublk_exchange_batches = {
	.start = start,
	.give = give,
	.flush = flush,
	.has_ended = has_ended,
	.finish = finish,
};
