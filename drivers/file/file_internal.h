/* SPDX-License-Identifier: MIT */
/*
 * The file driver's open image, and what its parts offer one another:
 *
 *	file.c    the driver: options, attributes, one call for each operation
 *	image.c   finding, checking, creating and closing the image
 *	lock.c    keeping other writers out
 *	io.c      reading, writing and making durable
 *	space.c   holes: discard, write zeros, extents
 */
#ifndef FILE_INTERNAL_H
#define FILE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bdus_config;
struct bdus_request;

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

	uint64_t size_bytes;
	uint32_t logical_block_size;
	uint32_t physical_block_size;
	/* Unit in which holes can be made, and zeros be written by other means than writing. */
	uint32_t hole_alignment;
	uint32_t zero_alignment;

	/*
	 * Where requests may be smaller than a direct transfer, they go through the page cache,
	 * which reads and writes whole pages. Writers of this kind hold the lock exclusively and
	 * direct writers hold it shared, so that neither undoes what the other wrote beside it.
	 */
	bool mixed;
	pthread_rwlock_t mixed_lock;

	/* The image was found shorter than it must be: nothing in it can be trusted any more. */
	atomic_bool shrunk;
	/* The first error (positive) of making data durable; the kernel reports each only once. */
	atomic_int sync_error;
};

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

/* ---- io.c; each returns 0 or a negative errno ---------------------------------------------- */

int io_read(struct image *image, uint64_t offset, uint64_t length, void *data, bool no_wait);
int io_write(struct image *image, uint64_t offset, uint64_t length, const void *data, bool durable,
	     bool no_wait);
int io_write_zeros(struct image *image, uint64_t offset, uint64_t length);
int io_sync(struct image *image);
int io_cache(struct image *image, uint64_t offset, uint64_t length);

/** -EIO when the image has become shorter than the device; remembers it. */
int io_check_size(struct image *image);

/** The result for a client of a failed system call: the negative errno, -ENOSPC for all its kin. */
int io_result(int errnum);

/* ---- space.c; each returns 0 or a negative errno ------------------------------------------- */

int space_discard(struct image *image, uint64_t offset, uint64_t length);
int space_write_zeros(struct image *image, const struct bdus_request *request);
int space_extents(struct image *image, struct bdus_request *request);

/** Finds out whether holes can be made in, and told apart from data in, a regular file. */
void space_probe(struct image *image);

#endif
