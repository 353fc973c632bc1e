/* SPDX-License-Identifier: MIT */
/*
 * A queue, as queue.c and the two ways to exchange requests for results with the kernel see it:
 *
 *	single.c   a command a tag, which brings the tag's request and takes its result: every
 *kernel batch.c    one command that brings requests again and again, and one for many results:
 *Linux 7.0
 *
 * A tag is with the kernel, has arrived, or is held by the engine:
 *
 *	           ublk_queue_arrive()          fetch()                 give()
 *	with the kernel ──────────────▶ arrived ────────▶ held by the engine ──▶ with the kernel …
 *
 * Owner of all: the thread of the loop.
 */
#ifndef UBLK_QUEUE_H
#define UBLK_QUEUE_H

#include "base/bits.h"
#include "ublk_internal.h"

#include <bdus/zoned.h>

struct ublk_slot {
	struct bdus_io io;
	/** Of single.c: the tag's command, and its body, which is read when the command is sent. */
	struct bdus_call call;
	struct ublk_abi_io_cmd body;
	struct bdus_transport_queue *queue;
};

/** A way to exchange requests for results. */
struct ublk_exchange {
	/** Has the kernel bring requests. On failure, finish() follows. */
	int (*start)(struct bdus_transport_queue *queue);
	/** Takes the result of a tag's request; it goes to the kernel by flush() at the latest. */
	void (*give)(struct bdus_transport_queue *queue, unsigned tag, int32_t result);
	void (*flush)(struct bdus_transport_queue *queue);
	/** Whether the kernel brings no more requests, and has all results. */
	bool (*has_ended)(const struct bdus_transport_queue *queue);
	/** Frees what start() made; the kernel has no command any more. */
	void (*finish)(struct bdus_transport_queue *queue);
};

extern const struct ublk_exchange ublk_exchange_singly;
extern const struct ublk_exchange ublk_exchange_batches;

struct bdus_transport_queue {
	struct bdus_queue *host;
	struct bdus_loop *loop;
	struct bdus_transport_device *device;
	const struct ublk_exchange *exchange;
	unsigned index;
	unsigned depth;
	/** The character device: a descriptor, or with ASYS_FIXED_FILE an index of the ring's. */
	int file;
	uint16_t file_flag;
	/** The kernel's requests, by tag; read-only. */
	const struct ublk_abi_io_desc *descriptors;
	size_t descriptors_bytes;
	/** First of the ring's buffers that hold payloads, by tag; -1 where those are memory. */
	int first_buffer;
	/** Payloads, by tag. Never touched memory takes no room. */
	uint8_t *payloads;
	size_t payload_stride;
	struct ublk_slot *slots;

	/** Requests that have come and were not fetched yet. */
	struct bdus_io **arrived;
	unsigned arrived_count;
	/** Requests that the engine has. */
	unsigned held;

	/** Of single.c: tags that came back without a request. */
	unsigned retired;
	uint32_t commit_number;
	/** Of batch.c. */
	struct ublk_batches *batches;

	struct bdus_call idle_call;
	bool idle_check_armed;
	/** Requests came since the last idle check. */
	bool busy;
	/** Payload memory may be in use by nobody, and has been for long. */
	bool trim_due;
};

/** Where the kernel shall put the payload of the tag's next request, or take it from. */
static inline void *ublk_queue_payload(const struct bdus_transport_queue *queue, unsigned tag)
{
	return queue->payloads ? queue->payloads + tag * queue->payload_stride : NULL;
}

/**
 * What goes to the kernel with a result: where the payload of the tag's next request is to be; or
 * of zoned devices, whose payloads the kernel does not know, in which sector an append was written.
 */
static inline uint64_t ublk_queue_place(const struct bdus_transport_queue *queue, unsigned tag,
					int32_t result)
{
	const struct bdus_request *const request = &queue->slots[tag].io.request;

	if (base_unlikely(queue->device->limits.zone_size_bytes != 0))
		return request->op == BDUS_OP_ZONE_APPEND && result >= 0
			       ? request->append_offset_bytes >> UBLK_ABI_SECTOR_SHIFT
			       : 0;
	return queue->device->user_copy ? 0 : (uintptr_t)ublk_queue_payload(queue, tag);
}

/** The tag's request is in the queue's descriptors. */
void ublk_queue_arrive(struct bdus_transport_queue *queue, unsigned tag);

/** has_ended() may have become true. */
void ublk_queue_ended(struct bdus_transport_queue *queue);

#endif
