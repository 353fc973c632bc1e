/* SPDX-License-Identifier: MIT */
/*
 * Zones: which one is written to, and how each comes from one state into the next (see fold.h).
 * What becomes possible by that is begun by fold_go_on().
 */
#include "base/bits.h"
#include "fold.h"

#include <errno.h>

static bool is_active(unsigned state)
{
	return state >= FOLD_OPENING && state <= FOLD_FINISHING;
}

static void change(struct fold *fold, uint32_t index, enum fold_zone_state state)
{
	struct fold_zone *const zone = &fold->zones[index];

	fold->active_zones -= is_active(zone->state);
	fold->active_zones += is_active(state);
	fold->free_zones -= zone->state == FOLD_FREE;
	fold->free_zones += state == FOLD_FREE;
	zone->state = (uint8_t)state;
}

/** Sends an operation on a whole zone; false when memory is out. */
static bool send_change(struct fold *fold, uint32_t index, enum bdus_op op, bdus_filter_done *done)
{
	struct bdus_request *const child =
		bdus_filter_child(fold->own, 0, fold->record.zone_size_bytes, done);

	if (child == NULL)
		return false;
	child->op = (uint8_t)op;
	child->offset_bytes = fold_zone_bytes(fold, index);
	bdus_filter_send(child);
	return true;
}

/* ---- resetting ------------------------------------------------------------------------------- */

static void zone_was_reset(void *instance, struct bdus_request *parent, struct bdus_request *child,
			   int result)
{
	struct fold *const fold = instance;
	const uint32_t index = fold_zone_at(fold, child->offset_bytes);
	struct fold_zone *const zone = &fold->zones[index];

	(void)parent;
	change(fold, index, result == 0 && !zone->failed ? FOLD_FREE : FOLD_BROKEN);
	fold->counters.resets += result == 0;
	if (result < 0)
		fold->trouble = result;
	*zone = (struct fold_zone){
		.sequence = zone->sequence, .state = zone->state, .renamed = zone->renamed};
	fold_go_on(fold);
}

static void reset(struct fold *fold, uint32_t index)
{
	change(fold, index, FOLD_RESETTING);
	if (!send_change(fold, index, BDUS_OP_ZONE_RESET, zone_was_reset))
		change(fold, index, FOLD_BROKEN);
}

/** Resets a zone that nothing refers to, unless reads are still in it. */
static void reset_if_unused(struct fold *fold, uint32_t index)
{
	const struct fold_zone *const zone = &fold->zones[index];

	if (zone->state == FOLD_FULL && zone->released && zone->readers == 0)
		reset(fold, index);
}

void fold_release(struct fold *fold, uint32_t index)
{
	fold->zones[index].released = true;
	reset_if_unused(fold, index);
}

void fold_reader_comes(struct fold *fold, uint32_t zone)
{
	fold->zones[zone].readers++;
}

void fold_reader_goes(struct fold *fold, uint32_t zone)
{
	fold->zones[zone].readers--;
	reset_if_unused(fold, zone);
}

bool fold_is_empty(const struct fold *fold, uint32_t index)
{
	const struct fold_zone *const zone = &fold->zones[index];

	return zone->state == FOLD_FULL && !zone->released && fold->index.valid[index] == 0;
}

uint32_t fold_coming_zones(const struct fold *fold)
{
	uint32_t coming = fold->free_zones;

	for (uint32_t i = 0; i < fold->index.zones; i++) {
		const struct fold_zone *const zone = &fold->zones[i];

		coming += zone->state == FOLD_RESETTING ||
			  (zone->state == FOLD_FULL && fold->index.valid[i] == 0);
	}
	return coming;
}

bool fold_space_is_coming(const struct fold *fold)
{
	for (uint32_t i = 0; i < fold->index.zones; i++) {
		const struct fold_zone *const zone = &fold->zones[i];

		if (zone->state == FOLD_RESETTING || zone->state == FOLD_OPENING ||
		    zone->state == FOLD_FILLED || zone->state == FOLD_FINISHING ||
		    (zone->state == FOLD_FULL && zone->released))
			return true;
	}
	return fold->checkpoint.phase != FOLD_CHECKPOINT_IDLE || fold_collector_is_busy(fold);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void zone_was_finished(void *instance, struct bdus_request *parent,
			      struct bdus_request *child, int result)
{
	struct fold *const fold = instance;

	const uint32_t index = fold_zone_at(fold, child->offset_bytes);

	(void)parent;
	(void)result;
	fold->zones[index].failed = false;
	change(fold, index, FOLD_FULL);
	fold_go_on(fold);
}

/** Nothing more goes into a zone: is it at its end? */
static void settle(struct fold *fold, uint32_t index)
{
	const struct fold_zone *const zone = &fold->zones[index];

	if (zone->state != FOLD_FILLED || zone->appends != 0)
		return;
	if (!zone->failed) {
		change(fold, index, FOLD_FULL);
		return;
	}
	change(fold, index, FOLD_FINISHING);
	if (!send_change(fold, index, BDUS_OP_ZONE_FINISH, zone_was_finished))
		change(fold, index, FOLD_FULL);
}

/** No stream writes to the zone any more. */
static void leave(struct fold *fold, uint32_t index)
{
	struct fold_zone *const zone = &fold->zones[index];

	if (fold->targets[zone->stream] == index)
		fold->targets[zone->stream] = FOLD_NOBODY;
	change(fold, index, FOLD_FILLED);
	settle(fold, index);
}

void fold_append_begins(struct fold *fold, uint32_t index, uint32_t count)
{
	struct fold_zone *const zone = &fold->zones[index];

	zone->filled += count;
	zone->appends++;
	if (zone->filled == fold->index.zone_blocks)
		leave(fold, index);
}

void fold_append_is_back(struct fold *fold, uint32_t index, int result)
{
	struct fold_zone *const zone = &fold->zones[index];

	zone->appends--;
	fold->unsynced = true;
	if (result < 0) {
		zone->failed = true;
		fold->trouble = result;
	}
	if (result < 0 && zone->state == FOLD_OPEN)
		leave(fold, index);
	else
		settle(fold, index);
}

uint32_t fold_landing(const struct fold *fold, uint32_t zone, uint32_t count, uint64_t at_bytes)
{
	const uint64_t start = fold_zone_bytes(fold, zone);
	const uint64_t block = (at_bytes - start) / FOLD_BLOCK;

	if (at_bytes < start || (at_bytes - start) % FOLD_BLOCK != 0 || block == 0 ||
	    !base_range_within(block, count, fold->index.zone_blocks))
		return FOLD_NOWHERE;
	for (uint32_t i = 0; i < count; i++)
		if (fold->index.owners[zone * fold->index.zone_blocks + (uint32_t)block + i] !=
		    FOLD_NOBODY)
			return FOLD_NOWHERE;
	return zone * fold->index.zone_blocks + (uint32_t)block;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void header_is_written(void *instance, struct bdus_request *parent,
			      struct bdus_request *child, int result)
{
	struct fold *const fold = instance;
	const uint32_t index = fold_zone_at(fold, child->offset_bytes);
	struct fold_zone *const zone = &fold->zones[index];

	(void)parent;
	if (result == 0 && child->append_offset_bytes == fold_zone_bytes(fold, index)) {
		fold->counters.headers++;
		fold->unsynced = true;
		fold->trouble = 0;
		change(fold, index, FOLD_OPEN);
	} else {
		/* It is not tried again, lest that goes on for ever. */
		fold->trouble = -EIO;
		fold->targets[zone->stream] = FOLD_NOBODY;
		zone->failed = true;
		reset(fold, index);
	}
	fold_go_on(fold);
}

static struct zonefold_header *make_header(struct fold *fold, uint32_t index)
{
	const struct fold_zone *const zone = &fold->zones[index];
	struct zonefold_header *const header = &fold->headers[zone->stream];

	zonefold_header_init(header);
	zonefold_header_set_map_id(header, fold->record.map_id);
	zonefold_header_set_sequence(header, zone->sequence);
	zonefold_header_set_commits(header, fold->record.commits);
	zonefold_header_set_role(header, zone->stream);
	zonefold_header_seal(header);
	return header;
}

/** Writes the header of a free zone. */
static void open_zone(struct fold *fold, uint32_t index, enum fold_stream stream)
{
	struct fold_zone *const zone = &fold->zones[index];
	struct bdus_request *const child =
		bdus_filter_child(fold->own, 0, FOLD_BLOCK, header_is_written);

	if (child == NULL)
		return;
	*zone = (struct fold_zone){
		.sequence = ++fold->record.sequence,
		.state = zone->state,
		.stream = (uint8_t)stream,
		.filled = 1,
		.renamed = true,
	};
	change(fold, index, FOLD_OPENING);
	fold->targets[stream] = index;
	child->op = BDUS_OP_ZONE_APPEND;
	child->offset_bytes = fold_zone_bytes(fold, index);
	child->data = make_header(fold, index);
	child->payload_buffer = 0;
	bdus_filter_send(child);
}

/** The free zone that was used longest ago, so that all wear alike. */
static uint32_t oldest_free(const struct fold *fold)
{
	uint32_t oldest = FOLD_NOBODY;

	for (uint32_t i = 0; i < fold->index.zones; i++)
		if (fold->zones[i].state == FOLD_FREE &&
		    (oldest == FOLD_NOBODY ||
		     fold->zones[i].sequence < fold->zones[oldest].sequence))
			oldest = i;
	return oldest;
}

/** Collecting needs one zone to move to: the last one is not for clients. */
static bool may_open(const struct fold *fold, enum fold_stream stream)
{
	const uint32_t kept = stream == FOLD_WRITTEN ? 1 : 0;

	return fold->free_zones > kept && fold->active_zones < fold->most_active;
}

uint32_t fold_target(struct fold *fold, enum fold_stream stream)
{
	if (fold->targets[stream] == FOLD_NOBODY && may_open(fold, stream))
		open_zone(fold, oldest_free(fold), stream);
	if (fold->targets[stream] == FOLD_NOBODY ||
	    fold->zones[fold->targets[stream]].state != FOLD_OPEN)
		return FOLD_NOBODY;
	return fold->targets[stream];
}
