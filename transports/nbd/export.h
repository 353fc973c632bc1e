/* SPDX-License-Identifier: MIT */
/*
 * The one disk that a server offers, as clients are told about it, and what the parsers of the
 * handshake and of requests need to know of it.
 */
#ifndef NBD_EXPORT_H
#define NBD_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

/** The id of the metadata context "base:allocation" in our messages. */
#define NBD_ALLOCATION_ID 1

struct bdus_device_attrs;

struct nbd_export {
	/** The name that clients ask for; the empty name reaches the export as well. */
	const char *name;
	/** A line for people; not NULL. */
	const char *description;
	uint64_t size_bytes;
	/** NBD_FLAG_* of the transmission phase, without NBD_FLAG_SEND_DF. */
	uint16_t flags;
	/** Whether "base:allocation" is offered. */
	bool has_extents;
	uint32_t minimum_block_bytes;
	uint32_t preferred_block_bytes;
	uint32_t maximum_payload_bytes;
};

/** The device may be resized while connections are served. */
static inline uint64_t nbd_export_size(const struct nbd_export *export)
{
	return __atomic_load_n(&export->size_bytes, __ATOMIC_RELAXED);
}

/** What one client has negotiated, as far as it changes the meaning of requests. */
struct nbd_session {
	/** Replies to reads and to block status are chunks. */
	bool structured;
	/** The client selected "base:allocation". */
	bool allocation;
};

/** Fills in all but the names from a device's attributes. */
void nbd_export_init(struct nbd_export *export, const struct bdus_device_attrs *attrs,
		     uint32_t native_ops);

#endif
