/* SPDX-License-Identifier: MIT */
/*
 * The start: what zones are like below, whether the map belongs to them, and what becomes of those
 * that a crash left. Nothing is written before all of that is known.
 *
 * A zone that the map refers to must have the header that the map knows, and be written as far as
 * the map says. One that it does not refer to is reset, provided its header shows that zonefold
 * wrote it with this map and that the map is not an older copy.
 */
#include "base/bits.h"
#include "fold.h"

#include <bdus/manage.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_ZONES 256

struct recovery {
	struct fold *fold;
	/** As reported, the sequential ones. */
	struct bdus_zone *reported;
	struct zonefold_header *header;
	uint64_t newest_sequence;
	/** Nothing refers to it. */
	bool *unused;
};

static int refuse(uint32_t zone, const char *what)
{
	return bdus_config_error(EINVAL, "filter zonefold: sequential zone %" PRIu32 " %s", zone,
				 what);
}

/** Has the layer below carry out an operation of the filter's own. */
static int carry_out(struct fold *fold, enum bdus_op op, uint64_t offset, uint64_t length,
		     void *data)
{
	struct bdus_request *const child = bdus_filter_child(fold->own, 0, length, NULL);

	if (child == NULL)
		return -ENOMEM;
	child->op = (uint8_t)op;
	child->offset_bytes = offset;
	child->data = data;
	return bdus_filter_wait(child);
}

/* ---- reports --------------------------------------------------------------------------------- */

static int report_some(struct fold *fold, struct bdus_zone *zones, uint32_t first, uint32_t count)
{
	const uint64_t size = fold->record.zone_size_bytes;
	struct bdus_request *const child = bdus_filter_child(fold->own, 0, count * size, NULL);
	int result;

	if (child == NULL)
		return -ENOMEM;
	child->op = BDUS_OP_ZONE_REPORT;
	child->offset_bytes = fold_zone_bytes(fold, first);
	child->zones = zones;
	child->zone_capacity = count;
	result = bdus_filter_wait(child);
	if (result < 0)
		return result;
	return fold->own->zone_count != 0 && fold->own->zone_count <= count
		       ? (int)fold->own->zone_count
		       : -EIO;
}

static int report_all(struct recovery *recovery)
{
	const uint32_t zones = recovery->fold->index.zones;

	for (uint32_t done = 0; done < zones;) {
		const int result = report_some(recovery->fold, recovery->reported + done, done,
					       (uint32_t)base_min(zones - done, REPORT_ZONES));

		if (result < 0)
			return bdus_config_error(-result,
						 "filter zonefold: the zones below cannot be "
						 "reported: %s",
						 strerror(-result));
		done += (uint32_t)result;
	}
	return 0;
}

/* ---- one zone -------------------------------------------------------------------------------- */

static int read_header(struct recovery *recovery, uint32_t index)
{
	const int result =
		carry_out(recovery->fold, BDUS_OP_READ, fold_zone_bytes(recovery->fold, index),
			  FOLD_BLOCK, recovery->header);

	if (result < 0)
		return bdus_config_error(
			-result, "filter zonefold: sequential zone %" PRIu32 " cannot be read: %s",
			index, strerror(-result));
	if (zonefold_header_check(recovery->header, sizeof(*recovery->header), NULL) < 0)
		return refuse(index, "holds data that zonefold has not written: reset it first if "
				     "that is not needed");
	return 0;
}

static int check_header(struct recovery *recovery, uint32_t index)
{
	struct fold *const fold = recovery->fold;
	const struct zonefold_header *const header = recovery->header;
	const int result = read_header(recovery, index);

	if (result < 0)
		return result;
	if (zonefold_header_map_id(header) != fold->record.map_id)
		return refuse(index, "belongs to another map than this one");
	if (zonefold_header_commits(header) > fold->record.commits)
		return refuse(index, "was written after the map was: that is an old copy");
	if (fold->index.valid[index] != 0 &&
	    zonefold_header_sequence(header) != fold->zones[index].sequence)
		return refuse(index, "was written anew since the map was: that is an old copy");
	recovery->newest_sequence =
		base_max(recovery->newest_sequence, zonefold_header_sequence(header));
	fold->zones[index].stream = (uint8_t)zonefold_header_role(header);
	return 0;
}

/** How much of a zone is written, in blocks. */
static uint32_t written_blocks(const struct recovery *recovery, uint32_t index)
{
	const struct bdus_zone *const zone = &recovery->reported[index];

	switch (zone->condition) {
	case BDUS_ZONE_EMPTY:
	case BDUS_ZONE_OFFLINE:
		return 0;
	case BDUS_ZONE_FULL:
	case BDUS_ZONE_READ_ONLY:
		return recovery->fold->index.zone_blocks;
	default:
		return (uint32_t)((zone->write_pointer_bytes - zone->start_bytes) / FOLD_BLOCK);
	}
}

static int check_report(const struct recovery *recovery, uint32_t index)
{
	const struct fold *const fold = recovery->fold;
	const struct bdus_zone *const zone = &recovery->reported[index];
	const bool has_pointer =
		zone->condition != BDUS_ZONE_READ_ONLY && zone->condition != BDUS_ZONE_OFFLINE;

	if (zone->type != BDUS_ZONE_SEQUENTIAL ||
	    zone->start_bytes != fold_zone_bytes(fold, index) ||
	    zone->capacity_bytes != fold->record.zone_capacity_bytes ||
	    (has_pointer && (zone->write_pointer_bytes < zone->start_bytes ||
			     zone->write_pointer_bytes - zone->start_bytes > zone->length_bytes)))
		return refuse(index, "is reported with another geometry than the device has");
	return 0;
}

/** Puts a zone that holds something into the state that it is in. */
static void classify(struct recovery *recovery, uint32_t index)
{
	const struct bdus_zone *const reported = &recovery->reported[index];
	struct fold_zone *const zone = &recovery->fold->zones[index];
	const uint64_t written = reported->write_pointer_bytes - reported->start_bytes;

	recovery->unused[index] = recovery->fold->index.valid[index] == 0;
	zone->filled = written_blocks(recovery, index);
	if (reported->condition == BDUS_ZONE_READ_ONLY && recovery->unused[index])
		zone->state = FOLD_BROKEN;
	else if (reported->condition == BDUS_ZONE_FULL ||
		 reported->condition == BDUS_ZONE_READ_ONLY)
		zone->state = FOLD_FULL;
	else
		zone->state = FOLD_OPEN;
	/* Appends would not land where blocks begin. */
	zone->failed = zone->state == FOLD_OPEN && written % FOLD_BLOCK != 0;
}

static int examine(struct recovery *recovery, uint32_t index)
{
	struct fold *const fold = recovery->fold;
	const uint32_t written = written_blocks(recovery, index);
	const uint32_t extent = fold_index_extent(&fold->index, index);
	int result = check_report(recovery, index);

	if (result < 0)
		return result;
	if (extent > written)
		return refuse(index,
			      recovery->reported[index].condition == BDUS_ZONE_OFFLINE
				      ? "is offline, and the map has data in it"
				      : "ends before data that the map has in it: the map is "
					"of another device, or an old copy");
	if (written == 0) {
		fold->zones[index].state = recovery->reported[index].condition == BDUS_ZONE_OFFLINE
						   ? FOLD_BROKEN
						   : FOLD_FREE;
		return 0;
	}
	if (recovery->reported[index].condition == BDUS_ZONE_READ_ONLY && extent == 0) {
		fold->zones[index].state = FOLD_BROKEN;
		return 0;
	}
	result = check_header(recovery, index);
	if (result == 0)
		classify(recovery, index);
	return result;
}

/* ---- making ready ---------------------------------------------------------------------------- */

/** What was read of the map may be what a killed process had not made durable: it is from now on.
 */
static int make_map_durable(struct fold *fold)
{
	struct fold_commit commit = {
		.commits = fold->record.commits + 1,
		.sequence = fold->record.sequence,
	};
	const int result = fold_map_commit(fold->map, &commit);

	fold->record.commits += result == 0;
	return result;
}

static int on_whole_zone(struct fold *fold, uint32_t index, enum bdus_op op)
{
	return carry_out(fold, op, fold_zone_bytes(fold, index), fold->record.zone_size_bytes,
			 NULL);
}

/** A zone that is neither full nor empty is written on, or finished. */
static void settle_open(struct fold *fold, uint32_t index)
{
	struct fold_zone *const zone = &fold->zones[index];
	uint32_t *const target = &fold->targets[zone->stream];

	if (*target == FOLD_NOBODY && !zone->failed && zone->filled < fold->index.zone_blocks) {
		*target = index;
		return;
	}
	zone->failed = false;
	/* Where that fails, it is one more that is active. */
	(void)on_whole_zone(fold, index, BDUS_OP_ZONE_FINISH);
	zone->state = FOLD_FULL;
}

static void settle_zone(struct recovery *recovery, uint32_t index)
{
	struct fold *const fold = recovery->fold;
	struct fold_zone *const zone = &fold->zones[index];

	if (zone->state == FOLD_FREE || zone->state == FOLD_BROKEN)
		return;
	if (recovery->unused[index])
		*zone = (struct fold_zone){
			.sequence = zone->sequence,
			.state = on_whole_zone(fold, index, BDUS_OP_ZONE_RESET) == 0 ? FOLD_FREE
										     : FOLD_BROKEN,
		};
	else if (zone->state == FOLD_OPEN)
		settle_open(fold, index);
}

/** Collecting must have somewhere to move to, clients can wait. */
static void share_targets(struct fold *fold)
{
	uint32_t *const targets = fold->targets;

	if (fold->free_zones != 0 || targets[FOLD_COLLECTED] != FOLD_NOBODY ||
	    targets[FOLD_WRITTEN] == FOLD_NOBODY)
		return;
	targets[FOLD_COLLECTED] = targets[FOLD_WRITTEN];
	targets[FOLD_WRITTEN] = FOLD_NOBODY;
	fold->zones[targets[FOLD_COLLECTED]].stream = FOLD_COLLECTED;
}

static void settle_all(struct recovery *recovery)
{
	struct fold *const fold = recovery->fold;

	for (uint32_t i = 0; i < fold->index.zones; i++)
		settle_zone(recovery, i);
	for (uint32_t i = 0; i < fold->index.zones; i++) {
		fold->free_zones += fold->zones[i].state == FOLD_FREE;
		fold->active_zones += fold->zones[i].state == FOLD_OPEN;
	}
	share_targets(fold);
}

static int look(struct recovery *recovery)
{
	struct fold *const fold = recovery->fold;
	int result = report_all(recovery);

	for (uint32_t i = 0; i < fold->index.zones && result == 0; i++)
		result = examine(recovery, i);
	fold->record.sequence = base_max(fold->record.sequence, recovery->newest_sequence);
	if (result == 0)
		result = make_map_durable(fold);
	if (result == 0)
		settle_all(recovery);
	return result;
}

int fold_recover(struct fold *fold)
{
	struct recovery recovery = {
		.fold = fold,
		.reported = calloc(fold->index.zones, sizeof(*recovery.reported)),
		.header = aligned_alloc(FOLD_BLOCK, sizeof(*recovery.header)),
		.unused = calloc(fold->index.zones, sizeof(*recovery.unused)),
	};
	int result;

	if (recovery.reported == NULL || recovery.header == NULL || recovery.unused == NULL)
		result = bdus_config_error(ENOMEM, "filter zonefold: no memory to look at zones");
	else
		result = look(&recovery);
	free(recovery.reported);
	free(recovery.header);
	free(recovery.unused);
	return result;
}
