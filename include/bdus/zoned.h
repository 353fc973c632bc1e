/* SPDX-License-Identifier: MIT */
/*
 * Zones of a zoned block device: what they are, and helpers that keep their state for a driver.
 *
 * A zoned device is cut into zones of one size (SMR disks: ZBC, ZAC; NVMe: ZNS). Conventional zones
 * are written anywhere. Sequential zones are written only at their write pointer, which moves on
 * with what is written, and are reset before they are written anew. Conditions, their transitions
 * and their limits are those of the NVMe Zoned Namespace Command Set, which ZBC-2 shares but where
 * noted; numbers and terms are Linux's (linux/blkzoned.h). Offsets and lengths are bytes.
 *
 * A driver that keeps no zones of its own has this do it: each request of the device goes to
 * bdus_zones_handle(), which decides it, and is then carried out. A driver that does, or passes
 * requests on to something that does, can be checked: bdus_zones_check() tells whether its answers
 * are possible.
 */
#ifndef BDUS_ZONED_H
#define BDUS_ZONED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum bdus_zone_type {
	BDUS_ZONE_CONVENTIONAL = 1,
	/** Written at the write pointer only ("sequential write required"). */
	BDUS_ZONE_SEQUENTIAL = 2,
};

enum bdus_zone_condition {
	/** Of conventional zones. */
	BDUS_ZONE_NO_WRITE_POINTER = 0x0,
	BDUS_ZONE_EMPTY = 0x1,
	/** Opened by being written. */
	BDUS_ZONE_IMPLICIT_OPEN = 0x2,
	/** Opened by a request. */
	BDUS_ZONE_EXPLICIT_OPEN = 0x3,
	/** Partly written, and holds no resources of open zones. */
	BDUS_ZONE_CLOSED = 0x4,
	/** Broken: can be read up to what was written, and nothing else. */
	BDUS_ZONE_READ_ONLY = 0xd,
	/** Written to its capacity, or finished. */
	BDUS_ZONE_FULL = 0xe,
	/** Broken: every access fails. */
	BDUS_ZONE_OFFLINE = 0xf,
};

/** What a report tells of one zone. */
struct bdus_zone {
	uint64_t start_bytes;
	uint64_t length_bytes;
	/** How much can be written, from the start; the length in a conventional zone. */
	uint64_t capacity_bytes;
	/**
	 * Where the next write goes, from the start of the device; the end of the capacity when the
	 * zone is full. Means nothing where the condition is no write pointer, read-only or
	 * offline.
	 */
	uint64_t write_pointer_bytes;
	/** enum bdus_zone_type. */
	uint8_t type;
	/** enum bdus_zone_condition. */
	uint8_t condition;
	uint8_t reserved[6];
};

/** "empty", "implicitly open" …; "unknown" for other numbers. */
const char *bdus_zone_condition_name(unsigned condition);

/* ---- state of zones, kept for a driver ------------------------------------------------------ */

/**
 * The zones of one device, in memory. One thread at a time may use it; a driver that serves
 * requests from several threads locks around its calls. Each call takes constant time, but for a
 * reset of all zones. Nothing here reads or writes data.
 */
struct bdus_zones;

/** As the attributes of the same names in struct bdus_device_attrs (bdus/driver.h). */
struct bdus_zone_geometry {
	uint64_t size_bytes;
	uint64_t zone_size_bytes;
	uint64_t zone_capacity_bytes;
	uint32_t logical_block_size;
	uint32_t conventional_zones;
	uint32_t max_open_zones;
	uint32_t max_active_zones;
	/** 0 for no limit but the zone's. */
	uint32_t max_append_bytes;
	uint32_t reserved;
};

/**
 * Makes zones that are all empty or conventional. Functions return 0 or a negative errno; a failure
 * leaves everything as it was and has a sentence in bdus_manage_error() of the calling thread.
 * -EINVAL: the geometry breaks a rule; -ENOMEM.
 */
int bdus_zones_create(const struct bdus_zone_geometry *geometry, struct bdus_zones **zones);

/** Takes NULL. */
void bdus_zones_destroy(struct bdus_zones *zones);

/** How many there are, and how many of them are open, and active: open or closed. */
uint32_t bdus_zones_count(const struct bdus_zones *zones);
uint32_t bdus_zones_open_count(const struct bdus_zones *zones);
uint32_t bdus_zones_active_count(const struct bdus_zones *zones);

/**
 * A write of @length_bytes at @offset_bytes: if the rules allow it, moves the write pointer on,
 * opens the zone implicitly where it is not open (for which another implicitly open one may become
 * closed), and makes it full when its capacity is used. The data is then the caller's to store.
 *
 * -EIO: not at the write pointer, past the capacity, from one zone into another that is not
 * conventional, or to a full, read-only or offline zone. -ETOOMANYREFS, -EOVERFLOW: too many open
 * or active zones. -EINVAL: not whole blocks, or past the device.
 */
int bdus_zones_write(struct bdus_zones *zones, uint64_t offset_bytes, uint64_t length_bytes);

/**
 * The same at the write pointer of the zone that starts at @zone_bytes, which is stored in
 * @at_bytes. -EINVAL also when that is no start of a sequential zone, or @length_bytes exceeds
 * max_append_bytes.
 */
int bdus_zones_append(struct bdus_zones *zones, uint64_t zone_bytes, uint64_t length_bytes,
		      uint64_t *at_bytes);

/**
 * Takes back the newest write of a zone, whose data could not be stored: the write pointer returns
 * to @offset_bytes. -EINVAL unless @offset_bytes + @length_bytes is the write pointer.
 */
int bdus_zones_undo_write(struct bdus_zones *zones, uint64_t offset_bytes, uint64_t length_bytes);

/**
 * How a read within the device begins: returns 1 when the first *@part_bytes, at most
 * @length_bytes, hold what was written; 0 when they were not written and read as zeros; -EIO when
 * the zone is offline, or read-only and was not written there.
 */
int bdus_zones_read_part(const struct bdus_zones *zones, uint64_t offset_bytes,
			 uint64_t length_bytes, uint64_t *part_bytes);

/**
 * The requests on the sequential zone that starts at @zone_bytes. -EINVAL: none does. -EIO: not
 * from its condition. -ETOOMANYREFS, -EOVERFLOW as in bdus_zones_write(). Each condition's answers
 * are in the diagram of device/zones.c and in bdus-zoned(7).
 */
int bdus_zones_open(struct bdus_zones *zones, uint64_t zone_bytes);
int bdus_zones_close(struct bdus_zones *zones, uint64_t zone_bytes);
int bdus_zones_finish(struct bdus_zones *zones, uint64_t zone_bytes);
int bdus_zones_reset(struct bdus_zones *zones, uint64_t zone_bytes);

/** Resets each zone that is open, closed or full. */
void bdus_zones_reset_all(struct bdus_zones *zones);

/**
 * Describes up to @capacity zones, from the one that starts at @zone_bytes on; returns how many.
 * -EINVAL when none starts there.
 */
int bdus_zones_report(const struct bdus_zones *zones, uint64_t zone_bytes,
		      struct bdus_zone *described, uint32_t capacity);

/**
 * Puts sequential zone number @index into a condition whatever it was in, for a driver that finds
 * its zones as it left them: empty, closed, full, read-only or offline. @written_bytes is how much
 * of the zone, from its start, holds data: whole blocks, more than 0 and less than the capacity
 * when closed; of a full zone it may be less than the capacity, when it was finished. -EINVAL;
 * -EOVERFLOW when there would be too many active zones.
 */
int bdus_zones_restore(struct bdus_zones *zones, uint32_t index, enum bdus_zone_condition condition,
		       uint64_t written_bytes);

/** How much of zone number @index, from its start, holds data; its length when conventional. */
uint64_t bdus_zones_written_bytes(const struct bdus_zones *zones, uint32_t index);

struct bdus_request;

/**
 * Decides a request of a device with these zones, of any operation, and answers it as far as zones
 * go: fills in a report, and where an append goes. Returns what the functions above do; 0 also for
 * operations that are no matter of zones. After 0, reads and writes are the caller's to carry out
 * (see bdus_zones_read_part() for reads); of write zeros, the device has to write zeros.
 */
int bdus_zones_handle(struct bdus_zones *zones, struct bdus_request *request);

/**
 * Checks a driver with zones of its own against these, which have to be told of every request to
 * it, in an order in which they may have taken effect: @request is complete, with @result and with
 * its report or its place of an append. 0: the driver may answer so, and what it did was done here,
 * too. -EILSEQ: it must not, as the sentence says. Requests that fail, of which nobody knows how
 * much they did, and broken zones are taken over from the driver with its next report of them.
 */
int bdus_zones_check(struct bdus_zones *zones, const struct bdus_request *request, int result);

#ifdef __cplusplus
}
#endif

#endif
