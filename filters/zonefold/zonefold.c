/* SPDX-License-Identifier: MIT */
/*
 * zonefold: a conventional device over a zoned one. What clients write is appended to open zones, a
 * map remembers where each block is, and zones whose blocks were written anew are emptied and
 * reset. This file has the filter's table and options, and hands requests to the parts (see
 * fold.h).
 */
#include "base/bits.h"
#include "fold.h"

#include <bdus/manage.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MOST_UNMAPPED_BYTES (UINT64_C(256) << 20)
#define NEEDED_OPS                                                            \
	(BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_ZONE_REPORT) |       \
	 BDUS_OP_BIT(BDUS_OP_ZONE_FINISH) | BDUS_OP_BIT(BDUS_OP_ZONE_RESET) | \
	 BDUS_OP_BIT(BDUS_OP_ZONE_APPEND))

static const struct bdus_option options[] = {
	{.key = "map",
	 .required = true,
	 .help = "File that remembers where blocks are, on another device"},
	{.key = "create",
	 .kind = BDUS_OPTION_BOOL,
	 .fallback = "no",
	 .help = "Make the map, where there is none, for a device whose zones are empty"},
	{.key = "reserve",
	 .kind = BDUS_OPTION_NUMBER,
	 .maximum = 80,
	 .fallback = "7",
	 .help = "Of a new map: percentage of zones that are kept for garbage collection"},
	{.key = NULL},
};

uint32_t fold_blocks_above(uint32_t zones, uint32_t zone_blocks, unsigned reserve_percent)
{
	const uint64_t reserve = FOLD_ZONES_RESERVE + (uint64_t)zones * reserve_percent / 100;

	return zones > reserve ? (uint32_t)((zones - reserve) * (zone_blocks - 1)) : 0;
}

/* ---- what lies below ------------------------------------------------------------------------- */

static int refuse(const char *what, uint64_t value, const char *allowed)
{
	return bdus_config_error(EINVAL,
				 "filter zonefold: the device below has %s %" PRIu64 ": must be %s",
				 what, value, allowed);
}

static uint32_t sequential_zones(const struct bdus_device_attrs *attrs)
{
	return (uint32_t)(attrs->size_bytes / attrs->zone_size_bytes) - attrs->conventional_zones;
}

static int check_limits(const struct bdus_device_attrs *attrs)
{
	const uint32_t zones = sequential_zones(attrs);
	const uint64_t capacity = attrs->zone_capacity_bytes;

	if (attrs->logical_block_size > FOLD_BLOCK)
		return refuse("logical blocks of", attrs->logical_block_size, "at most 4096 bytes");
	if (capacity % FOLD_BLOCK != 0 || capacity < 2 * FOLD_BLOCK)
		return refuse("zones of capacity", capacity, "a multiple of 4096, at least 8192");
	if (zones < FOLD_ZONES_MIN)
		return refuse("sequential zones:", zones, "at least 8");
	if (attrs->max_active_zones == 1)
		return refuse("max_active_zones", 1, "at least 2");
	if (attrs->max_append_bytes < FOLD_BLOCK)
		return refuse("appends of at most", attrs->max_append_bytes, "at least 4096 bytes");
	if (zones * (capacity / FOLD_BLOCK) >= FOLD_NOWHERE)
		return refuse("blocks in sequential zones:", zones * (capacity / FOLD_BLOCK),
			      "fewer than 4294967295");
	return 0;
}

static int check_below(const struct bdus_device_attrs *attrs)
{
	if (attrs->zone_size_bytes == 0)
		return bdus_config_error(EINVAL,
					 "filter zonefold: the device below has no zones: zonefold "
					 "is for zoned devices");
	if (attrs->flags & BDUS_DEVICE_READ_ONLY)
		return bdus_config_error(EROFS, "filter zonefold: the device below is read-only");
	if ((attrs->ops & NEEDED_OPS) != NEEDED_OPS)
		return bdus_config_error(EOPNOTSUPP,
					 "filter zonefold: the device below lacks an operation: it "
					 "must have read, zone report, finish, reset and append");
	return check_limits(attrs);
}

/* ---- the map --------------------------------------------------------------------------------- */

static int make_record(const struct bdus_config *config, const struct bdus_device_attrs *attrs,
		       struct fold_record *record)
{
	const uint32_t zones = sequential_zones(attrs);
	const unsigned reserve = (unsigned)bdus_config_number(config, "reserve");

	*record = (struct fold_record){
		.zone_size_bytes = attrs->zone_size_bytes,
		.zone_capacity_bytes = attrs->zone_capacity_bytes,
		.conventional_zones = attrs->conventional_zones,
		.sequential_zones = zones,
		.blocks = fold_blocks_above(
			zones, (uint32_t)(attrs->zone_capacity_bytes / FOLD_BLOCK), reserve),
	};
	if (record->blocks == 0)
		return bdus_config_error(
			EINVAL,
			"filter zonefold: reserve=%u: nothing would be left of %" PRIu32
			" sequential zones, of which %u are kept besides",
			reserve, zones, FOLD_ZONES_RESERVE);
	if (getrandom(&record->map_id, sizeof(record->map_id), 0) != sizeof(record->map_id))
		return bdus_config_error(EIO, "filter zonefold: no random number for the map");
	return 0;
}

/** A map of a device of another shape is not this one's. */
static int check_record(const char *path, const struct fold_record *record,
			const struct bdus_device_attrs *attrs)
{
	const uint32_t zones = sequential_zones(attrs);

	if (record->zone_size_bytes == attrs->zone_size_bytes &&
	    record->zone_capacity_bytes == attrs->zone_capacity_bytes &&
	    record->conventional_zones == attrs->conventional_zones &&
	    record->sequential_zones == zones && record->blocks != 0 &&
	    record->blocks <= fold_blocks_above(zones,
						(uint32_t)(attrs->zone_capacity_bytes / FOLD_BLOCK),
						0))
		return 0;
	return bdus_config_error(
		EINVAL,
		"filter zonefold: map=%s is of another device: it has %" PRIu32 " + %" PRIu32
		" zones of %" PRIu64 " bytes, capacity %" PRIu64 "; this one %" PRIu32 " + %" PRIu32
		" of %" PRIu64 ", capacity %" PRIu64,
		path, record->conventional_zones, record->sequential_zones, record->zone_size_bytes,
		record->zone_capacity_bytes, attrs->conventional_zones, zones,
		attrs->zone_size_bytes, attrs->zone_capacity_bytes);
}

static int open_map(struct fold *fold, const struct bdus_config *config,
		    const struct bdus_device_attrs *attrs)
{
	const char *const path = bdus_config_string(config, "map");
	const bool create = bdus_config_bool(config, "create");
	struct fold_record fresh;
	int result = create ? make_record(config, attrs, &fresh) : 0;

	if (result == 0)
		result = fold_map_open(path, create ? &fresh : NULL, &fold->map, &fold->record);
	return result == 0 ? check_record(path, &fold->record, attrs) : result;
}

static int no_memory(void)
{
	return bdus_config_error(ENOMEM, "filter zonefold: no memory for the translation");
}

static int load_map(struct fold *fold)
{
	const uint32_t zones = fold->record.sequential_zones;
	uint64_t *const sequences = calloc(zones, sizeof(*sequences));
	int result;

	if (sequences == NULL ||
	    fold_index_init(&fold->index, fold->record.blocks, zones,
			    (uint32_t)(fold->record.zone_capacity_bytes / FOLD_BLOCK)) < 0) {
		free(sequences);
		return no_memory();
	}
	result = fold_map_load(fold->map, &fold->index, sequences);
	for (uint32_t i = 0; i < zones; i++)
		fold->zones[i].sequence = sequences[i];
	free(sequences);
	return result;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int fold_close(void *instance)
{
	struct fold *const fold = instance;

	fold_committer_destroy(fold->checkpoint.committer);
	free(fold->checkpoint.commit.pages);
	free(fold->checkpoint.commit.zones);
	fold_operations_free(fold);
	fold_map_close(fold->map);
	fold_index_finish(&fold->index);
	free(fold->collector.memory);
	free(fold->headers);
	free(fold->zones);
	free(fold);
	return 0;
}

static int make_room(struct fold *fold)
{
	fold->zones = calloc(fold->record.sequential_zones, sizeof(*fold->zones));
	fold->headers = aligned_alloc(FOLD_BLOCK, FOLD_STREAMS * sizeof(*fold->headers));
	fold->collector.memory = aligned_alloc(FOLD_BLOCK, FOLD_COLLECT_BLOCKS * FOLD_BLOCK);
	return fold->zones != NULL && fold->headers != NULL && fold->collector.memory != NULL
		       ? 0
		       : no_memory();
}

/** What the device is like above. */
static void describe(const struct fold *fold, struct bdus_device_attrs *attrs)
{
	attrs->size_bytes = fold->record.blocks * FOLD_BLOCK;
	attrs->logical_block_size = (uint32_t)FOLD_BLOCK;
	attrs->physical_block_size = (uint32_t)FOLD_BLOCK;
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
		     BDUS_OP_BIT(BDUS_OP_FLUSH) | BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS) |
		     BDUS_OP_BIT(BDUS_OP_DISCARD) | BDUS_OP_BIT(BDUS_OP_EXTENTS);
	attrs->flags &= ~(uint32_t)BDUS_DEVICE_FUA;
	attrs->flags |= BDUS_DEVICE_FAST_ZERO;
	attrs->max_write_zeros_bytes = MOST_UNMAPPED_BYTES;
	attrs->max_discard_bytes = MOST_UNMAPPED_BYTES;
	attrs->discard_granularity_bytes = (uint32_t)FOLD_BLOCK;
	attrs->queues = 1;
	attrs->zone_size_bytes = 0;
	attrs->zone_capacity_bytes = 0;
	attrs->conventional_zones = 0;
	attrs->max_open_zones = 0;
	attrs->max_active_zones = 0;
	attrs->max_append_bytes = 0;
}

static int prepare(struct fold *fold, const struct bdus_config *config,
		   const struct bdus_device_attrs *attrs)
{
	int result = check_below(attrs);

	fold->writers_end = &fold->writers;
	fold->targets[FOLD_WRITTEN] = FOLD_NOBODY;
	fold->targets[FOLD_COLLECTED] = FOLD_NOBODY;
	fold->most_active = attrs->max_active_zones != 0 ? attrs->max_active_zones : UINT32_MAX;
	fold->most_append = (uint32_t)base_min(attrs->max_append_bytes, attrs->max_transfer_bytes) /
			    (uint32_t)FOLD_BLOCK;
	if (result == 0)
		result = open_map(fold, config, attrs);
	if (result == 0)
		result = make_room(fold);
	if (result == 0)
		result = load_map(fold);
	return result == 0 ? fold_committer_create(fold->map, &fold->checkpoint.committer) : result;
}

static int fold_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		     void **instance)
{
	struct fold *const fold = calloc(1, sizeof(*fold));
	int result;

	if (fold == NULL)
		return no_memory();
	result = prepare(fold, config, attrs);
	if (result < 0) {
		fold_close(fold);
		return result;
	}
	describe(fold, attrs);
	*instance = fold;
	return 0;
}

static int fold_start(void *instance, struct bdus_request *request)
{
	struct fold *const fold = instance;

	fold->own = request;
	return fold_recover(fold);
}

/** Ends what is under way, and stores what is not stored yet. */
static int fold_stop(void *instance, struct bdus_request *request)
{
	struct fold *const fold = instance;
	struct bdus_loop *const loop = bdus_queue_loop(bdus_request_queue(request));
	int result = 0;

	fold->stopping = true;
	while (fold_space_is_coming(fold) && result >= 0)
		result = bdus_loop_process(loop, -1);
	fold->checkpoint.wanted = fold->unsynced || fold->index.dirty_count != 0;
	fold->checkpoint.failed = 0;
	fold_go_on(fold);
	while (fold_space_is_coming(fold) && result >= 0)
		result = bdus_loop_process(loop, -1);
	if (result >= 0 && fold->checkpoint.failed < 0)
		return bdus_config_error(-fold->checkpoint.failed,
					 "filter zonefold: what was written last is not stored: %s",
					 fold->last_error);
	return result < 0 ? result : 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

void fold_go_on(struct fold *fold)
{
	if (fold->going) {
		fold->go_again = true;
		return;
	}
	fold->going = true;
	do {
		fold->go_again = false;
		fold_collector_go_on(fold);
		fold_writers_go_on(fold);
		fold_checkpoint_go_on(fold);
	} while (fold->go_again);
	fold->going = false;
}

static void fold_submit(void *instance, struct bdus_request *request)
{
	struct fold *const fold = instance;

	switch (request->op) {
	case BDUS_OP_READ:
		fold_read(fold, request);
		break;
	case BDUS_OP_WRITE:
		fold_write(fold, request);
		break;
	case BDUS_OP_FLUSH:
		fold_flush(fold, request);
		break;
	case BDUS_OP_DISCARD:
	case BDUS_OP_WRITE_ZEROS:
		fold_unmap(fold, request);
		break;
	case BDUS_OP_EXTENTS:
		fold_tell_extents(fold, request);
		break;
	default:
		bdus_complete(request, -EOPNOTSUPP);
		break;
	}
}

const struct bdus_filter bdus_filter_zonefold = {
	.abi = BDUS_FILTER_ABI,
	.size = sizeof(struct bdus_filter),
	.name = "zonefold",
	.summary = "A conventional device on a zoned one",
	.options = options,
	.open = fold_open,
	.close = fold_close,
	.submit = fold_submit,
	.command = fold_command,
	.start = fold_start,
	.stop = fold_stop,
};
