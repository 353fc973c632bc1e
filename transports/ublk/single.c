/* SPDX-License-Identifier: MIT */
/*
 * A command a tag. Each tag of the queue always has one command: with the kernel, waiting for a
 * request, or back from it, while the request is here. The result of a request and the wait for the
 * tag's next one are one command.
 *
 *	      start               request               give
 *	(none) ──▶ with the kernel ──▶ back with a request ──▶ with the kernel …
 *	                  │ device stopped
 *	                  ▼
 *	               retired
 */
#include "base/bits.h"
#include "base/error.h"
#include "queue.h"

#include <errno.h>

/* Commands that one system call takes along when a queue is opened. */
#define COMMANDS_AT_ONCE 128

/* Where the kernel shall put the pages of the tag's next request: see ublk_auto_buf_reg. */
static uint64_t buffer_of(const struct bdus_transport_queue *queue, unsigned tag)
{
	return queue->first_buffer < 0 ? 0 : (unsigned)queue->first_buffer + tag;
}

/* Sends the tag's command; what the loop does not take comes back never. */
static void send_command(struct bdus_transport_queue *queue, uint32_t number, unsigned tag,
			 int32_t result)
{
	struct ublk_slot *const slot = &queue->slots[tag];

	ublk_abi_io_cmd_set_result(&slot->body, result);
	asys_prep_uring_cmd(&slot->call.message, queue->file, number, &slot->body,
			    sizeof(slot->body), buffer_of(queue, tag));
	slot->call.message.flags = queue->file_flag;
	if (base_unlikely(bdus_loop_send(queue->loop, &slot->call) < 0))
		queue->retired++;
}

static void retire(struct bdus_transport_queue *queue, unsigned tag, int result)
{
	queue->retired++;
	if (result == -ENODEV)
		ublk_queue_ended(queue);
	else
		ublk_queue_fail(queue,
				base_error_errno(result < 0 ? -result : EPROTO,
						 "ublk: the kernel failed a command of tag %u of "
						 "queue %u with %d",
						 tag, queue->index, result));
}

/* A tag's command is back: with a request, or because there will be none. */
static void on_command(struct bdus_call *call)
{
	struct ublk_slot *const slot = base_container_of(call, struct ublk_slot, call);
	struct bdus_transport_queue *const queue = slot->queue;
	const unsigned tag = (unsigned)(slot - queue->slots);

	if (base_unlikely(call->message.result != UBLK_ABI_IO_RESULT_REQUEST))
		retire(queue, tag, (int)call->message.result);
	else
		ublk_queue_arrive(queue, tag);
}

static void init_commands(struct bdus_transport_queue *queue)
{
	for (unsigned tag = 0; tag < queue->depth; tag++) {
		struct ublk_slot *const slot = &queue->slots[tag];

		slot->queue = queue;
		slot->call.completed = on_command;
		ublk_abi_io_cmd_set_queue_id(&slot->body, (uint16_t)queue->index);
		ublk_abi_io_cmd_set_tag(&slot->body, (uint16_t)tag);
		ublk_abi_io_cmd_set_addr(&slot->body, ublk_queue_place(queue, tag, 0));
	}
}

static int start(struct bdus_transport_queue *queue)
{
	const bool encoded = ublk_control_is_encoded(queue->device->control);
	const uint32_t fetch =
		encoded ? (uint32_t)UBLK_ENCODE_IO(UBLK_ABI_IO_FETCH) : UBLK_ABI_IO_FETCH;

	queue->commit_number = encoded ? (uint32_t)UBLK_ENCODE_IO(UBLK_ABI_IO_COMMIT_AND_FETCH)
				       : UBLK_ABI_IO_COMMIT_AND_FETCH;
	init_commands(queue);
	for (unsigned tag = 0; tag < queue->depth; tag++) {
		send_command(queue, fetch, tag, 0);
		if (tag % COMMANDS_AT_ONCE == COMMANDS_AT_ONCE - 1)
			bdus_loop_flush(queue->loop);
	}
	bdus_loop_flush(queue->loop);
	return queue->retired == 0
		       ? 0
		       : base_error(EIO, "ublk: the ring of queue %u takes no more commands",
				    queue->index);
}

static void give(struct bdus_transport_queue *queue, unsigned tag, int32_t result)
{
	if (base_unlikely(queue->device->limits.zone_size_bytes != 0))
		ublk_abi_io_cmd_set_addr(&queue->slots[tag].body,
					 ublk_queue_place(queue, tag, result));
	send_command(queue, queue->commit_number, tag, result);
}

static void flush(struct bdus_transport_queue *queue)
{
	(void)queue;
}

static bool has_ended(const struct bdus_transport_queue *queue)
{
	return queue->retired == queue->depth;
}

static void finish(struct bdus_transport_queue *queue)
{
	(void)queue;
}

const struct ublk_exchange ublk_exchange_singly = {
	.start = start,
	.give = give,
	.flush = flush,
	.has_ended = has_ended,
	.finish = finish,
};
