/* SPDX-License-Identifier: MIT */
/*
 * The disk of the simulation. `cached` is what reads return, `medium` what survives a loss of
 * power; a block in which they may differ is marked. One lock covers a whole request, so that the
 * disk is the most orderly there can be, and what goes wrong does so elsewhere.
 */
#include "disk.h"

#include "sim/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct disk {
	struct disk_setup setup;
	pthread_mutex_t lock;
	struct sim_random random;
	uint64_t requests;
	bool has_power;
	unsigned char *cached;
	unsigned char *medium;
	/** One for each logical block. */
	bool *marked;
};

static struct disk *next_disk;

struct disk *disk_create(const struct disk_setup *setup)
{
	struct disk *const disk = calloc(1, sizeof(*disk));

	if (disk == NULL)
		abort();
	disk->setup = *setup;
	disk->has_power = true;
	sim_random_init(&disk->random, setup->seed, UINT64_C(0xd15c));
	pthread_mutex_init(&disk->lock, NULL);
	disk->cached = calloc(1, setup->size_bytes);
	disk->medium = calloc(1, setup->size_bytes);
	disk->marked = calloc(setup->size_bytes / setup->logical_block_size, sizeof(bool));
	if (disk->cached == NULL || disk->medium == NULL || disk->marked == NULL)
		abort();
	return disk;
}

void disk_destroy(struct disk *disk)
{
	if (disk == NULL)
		return;
	pthread_mutex_destroy(&disk->lock);
	free(disk->cached);
	free(disk->medium);
	free(disk->marked);
	free(disk);
}

void disk_use(struct disk *disk)
{
	next_disk = disk;
}

/* ---- the cache; the lock is held ------------------------------------------------------------ */

static void settle(struct disk *disk, uint64_t block, bool keep)
{
	const uint64_t bytes = disk->setup.logical_block_size;

	disk->marked[block] = false;
	if (keep)
		memcpy(disk->medium + block * bytes, disk->cached + block * bytes, bytes);
	else
		memcpy(disk->cached + block * bytes, disk->medium + block * bytes, bytes);
}

static void settle_all(struct disk *disk, unsigned percent_kept)
{
	const uint64_t blocks = disk->setup.size_bytes / disk->setup.logical_block_size;

	for (uint64_t block = 0; block < blocks; block++) {
		if (disk->marked[block])
			settle(disk, block, sim_random_chance(&disk->random, percent_kept));
	}
}

static void lose_power(struct disk *disk)
{
	static const unsigned kept[] = {0, 10, 50, 90};

	settle_all(disk, kept[sim_random_below(&disk->random, 4)]);
	disk->has_power = false;
	atomic_store(&disk->setup.world->power_failed, true);
}

static void mark(struct disk *disk, uint64_t offset, uint64_t length, bool write_through)
{
	const uint64_t bytes = disk->setup.logical_block_size;

	for (uint64_t block = offset / bytes; block < (offset + length) / bytes; block++) {
		disk->marked[block] = true;
		if (write_through)
			settle(disk, block, true);
	}
}

void disk_set_power_failure(struct disk *disk, uint64_t after_requests)
{
	disk->setup.power_fails_at = after_requests > 0 ? disk->requests + after_requests : 0;
}

void disk_restart(struct disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	if (disk->has_power)
		lose_power(disk);
	disk->has_power = true;
	disk->setup.power_fails_at = 0;
	pthread_mutex_unlock(&disk->lock);
}

/* ---- requests; the lock is held -------------------------------------------------------------- */

static void disk_write(struct disk *disk, const struct bdus_request *request, bool write_through)
{
	memcpy(disk->cached + request->offset_bytes, request->data, request->length_bytes);
	mark(disk, request->offset_bytes, request->length_bytes, write_through);
}

static void disk_zero(struct disk *disk, const struct bdus_request *request, bool write_through)
{
	memset(disk->cached + request->offset_bytes, 0, request->length_bytes);
	mark(disk, request->offset_bytes, request->length_bytes, write_through);
}

/** Discards each block or leaves it, as a disk may. */
static void disk_discard(struct disk *disk, const struct bdus_request *request, bool write_through)
{
	const uint64_t bytes = disk->setup.logical_block_size;
	const uint64_t end = request->offset_bytes + request->length_bytes;

	for (uint64_t at = request->offset_bytes; at < end; at += bytes) {
		if (sim_random_chance(&disk->random, 20))
			continue;
		memset(disk->cached + at, 0, bytes);
		mark(disk, at, bytes, write_through);
	}
}

static bool block_is_zero(const struct disk *disk, uint64_t offset)
{
	const unsigned char *const data = disk->cached + offset;

	return data[0] == 0 && memcmp(data, data + 1, disk->setup.logical_block_size - 1) == 0;
}

static void disk_extents(struct disk *disk, struct bdus_request *request)
{
	const uint64_t bytes = disk->setup.logical_block_size;
	const uint64_t end = request->offset_bytes + request->length_bytes;
	uint64_t at = request->offset_bytes;
	uint32_t count = 0;

	while (at < end && count < request->extent_capacity) {
		const bool zero = block_is_zero(disk, at);
		const uint64_t from = at;

		while (at < disk->setup.size_bytes && block_is_zero(disk, at) == zero)
			at += bytes;
		request->extents[count++] = (struct bdus_extent){
			.length_bytes = at - from,
			.flags = zero ? BDUS_EXTENT_ZERO | BDUS_EXTENT_HOLE : 0,
		};
	}
	request->extent_count = count;
}

static void disk_read(struct disk *disk, struct bdus_request *request)
{
	unsigned char *const content = disk->cached + request->offset_bytes;
	/* A loss of power turns what a cache had back, which no client may see. */
	const bool may_lend =
		(request->flags & BDUS_REQUEST_MAY_LEND) && !disk->setup.volatile_cache;

	if (may_lend && sim_random_chance(&disk->random, 50))
		request->data = content;
	else
		memcpy(request->data, content, request->length_bytes);
}

static int serve(struct disk *disk, struct bdus_request *request)
{
	const bool write_through =
		!disk->setup.volatile_cache || (request->flags & BDUS_REQUEST_FUA);

	switch (request->op) {
	case BDUS_OP_READ:
		disk_read(disk, request);
		return 0;
	case BDUS_OP_WRITE:
		disk_write(disk, request, write_through);
		return 0;
	case BDUS_OP_WRITE_ZEROS:
		if ((request->flags & BDUS_REQUEST_FAST_ONLY) &&
		    sim_random_chance(&disk->random, 50))
			return -EOPNOTSUPP;
		disk_zero(disk, request, write_through);
		return 0;
	case BDUS_OP_DISCARD:
	case BDUS_OP_SECURE_ERASE:
		disk_discard(disk, request, write_through);
		return 0;
	case BDUS_OP_FLUSH:
		settle_all(disk, 100);
		return 0;
	case BDUS_OP_EXTENTS:
		disk_extents(disk, request);
		return 0;
	case BDUS_OP_CACHE:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- the driver ----------------------------------------------------------------------------- */

static int disk_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		     void **instance)
{
	struct disk *const disk = next_disk;

	(void)config;
	attrs->size_bytes = disk->setup.size_bytes;
	attrs->logical_block_size = disk->setup.logical_block_size;
	attrs->physical_block_size = disk->setup.physical_block_size;
	/* All that a device without zones can have. */
	attrs->ops = BDUS_OP_BIT(BDUS_OP_ZONE_REPORT) - 1;
	attrs->flags = BDUS_DEVICE_FUA;
	attrs->max_concurrency = 8;
	attrs->queues = 16;
	*instance = disk;
	return 0;
}

static int disk_close(void *instance)
{
	struct disk *const disk = instance;

	pthread_mutex_lock(&disk->lock);
	if (disk->has_power)
		settle_all(disk, 100);
	pthread_mutex_unlock(&disk->lock);
	return 0;
}

static int disk_handle(void *instance, struct bdus_request *request)
{
	struct disk *const disk = instance;
	int result = -EIO;

	pthread_mutex_lock(&disk->lock);
	disk->requests++;
	if (disk->has_power && disk->requests == disk->setup.power_fails_at)
		lose_power(disk);
	if (disk->has_power)
		result = serve(disk, request);
	pthread_mutex_unlock(&disk->lock);
	return result;
}

const struct bdus_driver disk_driver = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "disk",
	.summary = "a disk with a volatile cache that can lose its power",
	.open = disk_open,
	.close = disk_close,
	.handle = disk_handle,
};
