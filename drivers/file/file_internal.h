/* SPDX-License-Identifier: MIT */
/*
 * The file driver's open image, and what its parts offer one another:
 *
 *	file.c       the driver: options, attributes, one function for each kind of request
 *	image.c      finding, checking, creating and closing the image
 *	lock.c       keeping other writers out
 *	operation.c  requests in progress: their memory, and sending their calls
 *	io.c         reading, writing and making durable
 *	space.c      holes: discard, write zeros, extents
 *	zones.c      zones of a zoned block device
 */
#ifndef FILE_INTERNAL_H
#define FILE_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How long, and how often, to try again to get what nobody seems to hold. */
enum {
	PATIENCE_MS = 1000,
	PAUSE_MS = 10,
};

struct bdus_config;
struct bdus_device_attrs;
struct lane;
struct operation;
struct zones;

struct image {
	/* Through the page cache; holds the lock. The other one, with O_DIRECT, is -1 if not used.
	 */
	int fd;
	int direct_fd;
	/* Alignment that direct transfers need, in the image and in memory; a power of two. */
	uint32_t direct_alignment;

	bool read_only;
	bool is_block_device;
	/* What the image or the device below can do. */
	bool can_discard;
	bool can_tell_extents;
	bool zeros_fast;
	bool rotational;

	/* Grows while requests are served: image_size(). */
	uint64_t size_bytes;
	uint32_t logical_block_size;
	uint32_t physical_block_size;
	/* Unit in which holes can be made, and zeros be written by other means than writing. */
	uint32_t hole_alignment;
	uint32_t zero_alignment;

	/*
	 * Where requests may be smaller than a direct transfer, writes take turns; see io.c. How
	 * many are in progress, and those that wait, first come first. The device has one queue,
	 * whose thread alone uses these.
	 */
	bool mixed;
	bool cached_write;
	unsigned direct_writes;
	struct operation *waiting;
	struct operation *waiting_last;

	/* Of a zoned block device that is written; else NULL. See zones.c. */
	struct zones *zones;
	uint32_t max_open_zones;
	uint32_t max_active_zones;

	/* One for each queue; see operation.c. */
	_Atomic(struct lane *) lanes;

	/* The image was found shorter than it must be: nothing in it can be trusted any more. */
	atomic_bool shrunk;
	/* The first error (positive) of making data durable; the kernel reports each only once. */
	atomic_int sync_error;
};

static inline uint64_t image_size(const struct image *image)
{
	return __atomic_load_n(&image->size_bytes, __ATOMIC_RELAXED);
}

/* ---- image.c ------------------------------------------------------------------------------- */

/** Opens what the options name. Returns 0, or a negative errno after bdus_config_error(). */
int image_open(const struct bdus_config *config, bool read_only, struct image **image);

/** Makes everything written durable and closes. Returns 0 or a negative errno. */
int image_close(struct image *image);

/* ---- lock.c -------------------------------------------------------------------------------- */

/**
 * Locks the open image against other writers, or, with @read_only, against all writers. Returns 0,
 * or a negative errno after bdus_config_error(). The lock goes with the last descriptor.
 */
int lock_image(int fd, const char *path, bool read_only);

/* ---- io.c ---------------------------------------------------------------------------------- */

/* Each begins what the operation's request asks for, and ends the operation in time. */
void io_read(struct operation *operation);
void io_write(struct operation *operation);
void io_sync(struct operation *operation);
void io_cache(struct operation *operation);

/** Writes zeros, then calls @finished with 0 or a negative errno; @length may be 0. */
void io_write_zeros(struct operation *operation, uint64_t offset, uint64_t length,
		    void (*finished)(struct operation *operation, int result));

/** Makes everything written durable, on this thread. Returns 0 or a negative errno. */
int io_sync_and_wait(struct image *image);

/** -EIO when the image has become shorter than the device; remembers it. */
int io_check_size(struct image *image);

/** The result for a client of a failed system call: the negative errno, -ENOSPC for all its kin. */
int io_result(int errnum);

/* ---- space.c; as io_read() and its kin ------------------------------------------------------ */

void space_discard(struct operation *operation);
void space_write_zeros(struct operation *operation);
void space_extents(struct operation *operation);

/* ---- zones.c ------------------------------------------------------------------------------- */

/** Looks at all zones. 0, or a negative errno after bdus_config_error(). */
int zones_open(struct image *image, const char *path, uint64_t zone_bytes);
void zones_close(struct image *image);

/** What a device of them is like, beyond sizes of blocks. */
void zones_describe(const struct image *image, struct bdus_device_attrs *attrs);

/** Begins a write, append, open, close, finish or reset, when it is its turn. */
void zones_begin(struct operation *operation);
void zones_report(struct operation *operation);

/**
 * The operation ends with @result. Returns the one whose turn it is then, to be begun when it has
 * ended; NULL for none.
 */
struct operation *zones_end(struct operation *operation, int result);
void zones_begin_next(struct operation *operation);

/* ---- space.c, probing ---------------------------------------------------------------------- */

/** Finds out whether holes can be made in, and told apart from data in, a regular file. */
void space_probe(struct image *image);

#endif
