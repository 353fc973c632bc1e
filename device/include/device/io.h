/* SPDX-License-Identifier: MIT */
/*
 * The engine's side of a request: the public part that drivers see, and what the engine needs to
 * bring its result back to the transport that fetched it.
 *
 * A transport embeds one `struct bdus_io` in each of its slots (a ublk tag, an NBD request slot),
 * initialises it once with bdus_io_init(), fills in `request` anew for each request and hands it
 * out through fetch(). The engine hands it back through commit() with `result` set. Between the two
 * neither the slot nor its payload may be touched by the transport.
 */
#ifndef DEVICE_IO_H
#define DEVICE_IO_H

#include <bdus/request.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bdus_queue;
struct bdus_stage;

struct bdus_io {
	struct bdus_request request;
	/** 0 or a negative errno; set before commit(). For transports to read only then. */
	int32_t result;

	/* What follows belongs to the engine. */
	uint32_t state;
	struct bdus_queue *queue;
	/** Link in a worker list or in the list of completions from other threads. */
	struct bdus_io *next;
	/** For requests that the engine itself made: called instead of commit(), on the queue's
	 * thread. */
	void (*finished)(struct bdus_io *io);
	union {
		/** When it began to wait for a worker, in ns of CLOCK_MONOTONIC. */
		uint64_t queued_ns;
		/** Whose threads serve it. */
		const struct bdus_thread_driver *threaded;
	};
	/** The filter that holds it; NULL while none does. */
	const struct bdus_stage *stage;
	/** Of a request whose children complete it: how many are not back. `result` is theirs so
	 * far. */
	uint32_t children;
	/** When it was fetched, if it is timed (device/stats.h); else 0. */
	uint64_t fetched_ns;
	/** When the filter that holds it got it, if it is timed. */
	uint64_t entered_ns;
};

/** Prepares a slot's request once, before its first use. */
static inline void bdus_io_init(struct bdus_io *io)
{
	memset(io, 0, sizeof(*io));
}

/** Fills in the public part for a new request; `extents` stay unset. */
static inline void bdus_io_prepare(struct bdus_io *io, enum bdus_op op, unsigned flags,
				   uint64_t offset_bytes, uint64_t length_bytes, void *data)
{
	io->request.op = (uint8_t)op;
	io->request.flags = (uint16_t)flags;
	io->request.offset_bytes = offset_bytes;
	io->request.length_bytes = length_bytes;
	io->request.data = data;
	io->request.payload_buffer = 0;
	io->request.driver_data = NULL;
}

#endif
