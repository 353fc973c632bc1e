/* SPDX-License-Identifier: MIT */
/*
 * One request to a block device, as a driver or a filter sees it, and how it is completed.
 *
 * A request lives from the moment a layer receives it until that layer completes it; it must be
 * completed exactly once. Every field is read-only to a driver unless its comment says otherwise.
 * The structure is always allocated by BDUS and may grow at its end in later versions.
 */
#ifndef BDUS_REQUEST_H
#define BDUS_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What a request asks for. The numbers are part of the ABI; new operations take new numbers.
 * Meanings are those of the Linux block layer (include/linux/blk_types.h, REQ_OP_*) unless said.
 */
enum bdus_op {
	/** Fill the payload from the device. */
	BDUS_OP_READ = 0,
	/** Store the payload to the device. */
	BDUS_OP_WRITE = 1,
	/** Make every write that completed before this request was issued durable. No range. */
	BDUS_OP_FLUSH = 2,
	/** Make the range read as zeros; deallocating it needs BDUS_REQUEST_MAY_UNMAP. */
	BDUS_OP_WRITE_ZEROS = 3,
	/** The content of the range is no longer needed; what it reads as afterwards is undefined.
	 */
	BDUS_OP_DISCARD = 4,
	/** As discard, and the old content must not be recoverable. */
	BDUS_OP_SECURE_ERASE = 5,
	/**
	 * Tell which parts of the range are allocated: fill `extents` from its start with at most
	 * `extent_capacity` entries, set `extent_count` to their number (at least 1) and complete.
	 * The entries follow one another from `offset_bytes`; the last may end before or past the
	 * end of the range, never past the device.
	 */
	BDUS_OP_EXTENTS = 6,
	/** Advice: the range will be read soon. */
	BDUS_OP_CACHE = 7,
	/*
	 * Of zoned devices (bdus/zoned.h). But for the append, reset all and the report, the range
	 * is one whole zone, which need not be one that the operation is for. Errors that clients
	 * are told of besides those of bdus_complete(): -ETOOMANYREFS, no zone can be opened
	 * because of max_open_zones; -EOVERFLOW, none can become active because of
	 * max_active_zones.
	 */
	/**
	 * Tell what zones are like: fill `zones`, from the zone that starts at `offset_bytes` on,
	 * with at most `zone_capacity` entries, set `zone_count` to their number (at least 1) and
	 * complete. The range is of whole zones, as many as there is room for.
	 */
	BDUS_OP_ZONE_REPORT = 8,
	BDUS_OP_ZONE_OPEN = 9,
	BDUS_OP_ZONE_CLOSE = 10,
	BDUS_OP_ZONE_FINISH = 11,
	BDUS_OP_ZONE_RESET = 12,
	/** Reset all zones that can be. The range is the device. */
	BDUS_OP_ZONE_RESET_ALL = 13,
	/**
	 * Write the payload to the write pointer of the zone that starts at `offset_bytes`, all of
	 * it or nothing, and set `append_offset_bytes` to where that was. Never split.
	 */
	BDUS_OP_ZONE_APPEND = 14,
	/**
	 * Carry out an ioctl of a client, whose number is `offset_bytes`. The payload, which may be
	 * empty, is its argument with all that it points to, as bdus/ioctl.h says; what the driver
	 * makes of it goes back. The client sees any error as it is; -ENOTTY: there is no such
	 * command. Never split.
	 */
	BDUS_OP_IOCTL = 15,
	BDUS_OP_COUNT
};

/** The bit of an operation in a mask of operations, such as bdus_device_attrs.ops. */
#define BDUS_OP_BIT(op) (UINT32_C(1) << (op))

/** Request flags. */
enum {
	/** Write, append, write zeros: the data must be durable before completion (force unit
	 * access). */
	BDUS_REQUEST_FUA = 1 << 0,
	/** Write zeros: the range may be deallocated, so that a later write may lack space. */
	BDUS_REQUEST_MAY_UNMAP = 1 << 1,
	/** Write zeros: complete with -EOPNOTSUPP rather than be as slow as writing (NBD
	 * FAST_ZERO). */
	BDUS_REQUEST_FAST_ONLY = 1 << 2,
	/** Complete with -EAGAIN rather than wait. */
	BDUS_REQUEST_NO_WAIT = 1 << 3,
	/**
	 * Read: instead of filling the payload, the driver may set `data` to memory of its own that
	 * holds what is read, and complete with 0. BDUS only reads that memory, at any time until
	 * the driver's `close` is called; a client whose read is still on its way sees what later
	 * writes make of it.
	 */
	BDUS_REQUEST_MAY_LEND = 1 << 4,
	/**
	 * A driver that died may have carried out some or all of the request, but completed it not.
	 * Carry it out again, which for reads, writes and ranges does no harm. What must not run
	 * twice does not come: the client of an append to a zone is told of an I/O error, and so is
	 * that of an ioctl that is not described as repeatable.
	 */
	BDUS_REQUEST_RETRIED = 1 << 5,
	/** Ioctl: the client is a 32-bit program on a 64-bit kernel. */
	BDUS_REQUEST_CLIENT_32 = 1 << 6,
};

/** Flags of an extent; their values are those of NBD's base:allocation context. */
enum {
	/** Not allocated: a write there may lack space. */
	BDUS_EXTENT_HOLE = 1 << 0,
	/** Reads as zeros. */
	BDUS_EXTENT_ZERO = 1 << 1,
};

struct bdus_extent {
	uint64_t length_bytes;
	uint32_t flags;
	uint32_t reserved;
};

struct bdus_zone;

struct bdus_request {
	/** enum bdus_op. */
	uint8_t op;
	uint8_t reserved_8;
	/** BDUS_REQUEST_*. */
	uint16_t flags;
	/**
	 * 0 when the payload is memory at `data`; else 1 + the index, in the ring of the queue's
	 * loop, of the registered buffer that is the payload, and `data` is NULL. Only for drivers
	 * with BDUS_DEVICE_ANY_PAYLOAD; see bdus_payload_prep_read() in bdus/async.h.
	 */
	uint32_t payload_buffer;
	/** Where the range starts; a multiple of the logical block size. */
	uint64_t offset_bytes;
	/** Length of the range, not 0 but for a flush; a multiple of the logical block size. */
	uint64_t length_bytes;
	/**
	 * The payload of a read, write or append: `length_bytes` bytes, aligned to a page unless
	 * the layer above split the request. Belongs to BDUS; usable until completion. With
	 * BDUS_REQUEST_MAY_LEND a driver may change it.
	 */
	void *data;
	/** For BDUS_OP_EXTENTS: where the answer goes, its room, and how much of it was used. */
	struct bdus_extent *extents;
	uint32_t extent_capacity;
	uint32_t extent_count;
	/** For the driver that holds the request; BDUS neither reads nor changes it. Starts NULL.
	 */
	void *driver_data;
	/** Of a payload in a registered buffer: where it starts there, in bytes. */
	uint64_t payload_offset_bytes;
	/** For BDUS_OP_ZONE_REPORT: where the answer goes, its room, and how much of it was used.
	 */
	struct bdus_zone *zones;
	uint32_t zone_capacity;
	uint32_t zone_count;
	/** For BDUS_OP_ZONE_APPEND: set by the driver, where the payload was written. */
	uint64_t append_offset_bytes;
};

/**
 * Completes @request from the thread that owns its queue, that is from within `submit` or from
 * whatever the driver runs on that thread.
 *
 * @result is 0 for success or a negative errno. The client of the device sees -ENOSPC, -EOPNOTSUPP,
 * -ETIMEDOUT, -ENOLINK, -EAGAIN, -ETOOMANYREFS and -EOVERFLOW as they are where its protocol can
 * say them, and any other failure as EIO. After the call the request and its payload no longer
 * belong to the driver. A second completion of the same request aborts the process in debug builds.
 */
void bdus_complete(struct bdus_request *request, int result);

/**
 * As bdus_complete(), from any thread. Costs an atomic exchange, and a wake-up of the queue's
 * thread where that sleeps.
 */
void bdus_complete_from_any_thread(struct bdus_request *request, int result);

/** The name of an operation for messages, such as "write zeros"; "unknown" for other numbers. */
const char *bdus_op_name(unsigned op);

#ifdef __cplusplus
}
#endif

#endif
