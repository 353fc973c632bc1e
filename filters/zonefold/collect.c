/* SPDX-License-Identifier: MIT */
/*
 * Garbage collection, while fewer than FOLD_ZONES_WANTED zones are free or about to be:
 *
 *   IDLE ──▶ READING ──▶ MOVING ──▶ NEXT ──▶ READING … ──▶ IDLE, at the end of the victim
 *
 * The victim is the full zone with the fewest valid blocks. What is valid in it is read, some
 * blocks at a time, and appended to the zone of the stream COLLECTED; a block that was written anew
 * meanwhile stays where that put it. The victim is then empty, and is reset after the next
 * checkpoint, which is asked for here.
 *
 * There is always a zone to move to: clients never get the last free one, a victim fits into one
 * zone, and each gives back more than it takes. With the reserve that a device has
 * (FOLD_ZONES_RESERVE) full zones hold at least one zone's worth of garbage whenever fewer than
 * FOLD_ZONES_WANTED are coming, so that this ends.
 */
#include "base/bits.h"
#include "fold.h"

#include <errno.h>
#include <string.h>

#define MOST_FAILURES 3

uint32_t fold_victim(const struct fold *fold)
{
	const struct fold_index *const index = &fold->index;
	uint32_t best = FOLD_NOBODY;

	for (uint32_t i = 0; i < index->zones; i++) {
		const struct fold_zone *const zone = &fold->zones[i];

		if (zone->state != FOLD_FULL || zone->unreadable || index->valid[i] == 0 ||
		    index->valid[i] >= index->zone_blocks - 1)
			continue;
		if (best == FOLD_NOBODY || index->valid[i] < index->valid[best] ||
		    (index->valid[i] == index->valid[best] &&
		     zone->sequence < fold->zones[best].sequence))
			best = i;
	}
	return best;
}

/* ---- moving ---------------------------------------------------------------------------------- */

/** The victim is left as it is. */
static void give_up(struct fold *fold)
{
	fold->zones[fold->collector.victim].unreadable = true;
	fold->trouble = -EIO;
	fold->collector.phase = FOLD_COLLECT_IDLE;
}

/** What was read is moved, or never will be: from now on the victim may be reset. */
static void end_part(struct fold *fold, bool failed)
{
	fold_reader_goes(fold, fold->collector.victim);
	if (failed)
		give_up(fold);
	else
		fold->collector.phase = FOLD_COLLECT_NEXT;
}

static void note_moved(struct fold *fold, uint32_t place)
{
	const struct fold_collector *const collector = &fold->collector;

	for (uint32_t i = 0; i < collector->moving; i++) {
		const uint32_t number = collector->moved + i;

		if (fold->index.places[collector->blocks[number]] == collector->places[number])
			fold_index_set(&fold->index, collector->blocks[number], place + i);
	}
	fold->counters.collected_blocks += collector->moving;
}

static void part_was_moved(void *instance, struct bdus_request *parent, struct bdus_request *child,
			   int result)
{
	struct fold *const fold = instance;
	struct fold_collector *const collector = &fold->collector;
	uint32_t place = FOLD_NOWHERE;

	(void)parent;
	if (result == 0)
		place = fold_landing(fold, collector->moving_zone, collector->moving,
				     child->append_offset_bytes);
	if (place != FOLD_NOWHERE) {
		note_moved(fold, place);
		collector->moved += collector->moving;
	} else {
		result = -EIO;
		if (++collector->failures == MOST_FAILURES)
			end_part(fold, true);
	}
	collector->moving = 0;
	fold_append_is_back(fold, collector->moving_zone, result);
	fold_go_on(fold);
}

static void move_part(struct fold *fold, uint32_t zone)
{
	struct fold_collector *const collector = &fold->collector;
	const uint32_t room = fold->index.zone_blocks - fold->zones[zone].filled;
	const uint32_t count = (uint32_t)base_min(
		base_min(collector->count - collector->moved, room), fold->most_append);
	struct bdus_request *const child =
		bdus_filter_child(fold->own, 0, count * FOLD_BLOCK, part_was_moved);

	if (child == NULL) {
		end_part(fold, true);
		return;
	}
	child->op = BDUS_OP_ZONE_APPEND;
	child->offset_bytes = fold_zone_bytes(fold, zone);
	child->data = collector->memory + collector->moved * FOLD_BLOCK;
	collector->moving = count;
	collector->moving_zone = zone;
	fold_append_begins(fold, zone, count);
	bdus_filter_send(child);
}

/* ---- reading --------------------------------------------------------------------------------- */

/** Brings what is still valid of what was read together. */
static void pack(struct fold *fold)
{
	struct fold_collector *const collector = &fold->collector;

	collector->count = 0;
	for (uint32_t i = 0; i < collector->span; i++) {
		const uint32_t place =
			collector->victim * fold->index.zone_blocks + collector->first + i;
		const uint32_t block = fold->index.owners[place];

		if (block == FOLD_NOBODY)
			continue;
		memmove(collector->memory + collector->count * FOLD_BLOCK,
			collector->memory + i * FOLD_BLOCK, FOLD_BLOCK);
		collector->blocks[collector->count] = block;
		collector->places[collector->count++] = place;
	}
	collector->moved = 0;
	collector->failures = 0;
}

static void part_was_read(void *instance, struct bdus_request *parent, struct bdus_request *child,
			  int result)
{
	struct fold *const fold = instance;
	struct fold_collector *const collector = &fold->collector;

	(void)parent;
	(void)child;
	if (result == 0) {
		pack(fold);
		collector->phase = FOLD_COLLECT_MOVING;
	} else {
		end_part(fold, true);
	}
	fold_go_on(fold);
}

/** Finds the next valid blocks of the victim; false at its end. */
static bool find_part(struct fold *fold)
{
	struct fold_collector *const collector = &fold->collector;
	const uint32_t *const owners =
		fold->index.owners + (size_t)collector->victim * fold->index.zone_blocks;
	uint32_t first = collector->cursor, end;

	while (first < fold->index.zone_blocks && owners[first] == FOLD_NOBODY)
		first++;
	if (first == fold->index.zone_blocks)
		return false;
	end = (uint32_t)base_min(first + FOLD_COLLECT_BLOCKS, fold->index.zone_blocks);
	while (owners[end - 1] == FOLD_NOBODY)
		end--;
	collector->first = first;
	collector->span = end - first;
	collector->cursor = end;
	return true;
}

static void read_part(struct fold *fold)
{
	struct fold_collector *const collector = &fold->collector;
	struct bdus_request *child;

	if (fold->stopping || !find_part(fold)) {
		fold->counters.collected_zones += !fold->stopping;
		collector->phase = FOLD_COLLECT_IDLE;
		return;
	}
	child = bdus_filter_child(fold->own, 0, collector->span * FOLD_BLOCK, part_was_read);
	if (child == NULL) {
		give_up(fold);
		return;
	}
	child->op = BDUS_OP_READ;
	child->offset_bytes = fold_place_bytes(fold, collector->victim * fold->index.zone_blocks +
							     collector->first);
	child->data = collector->memory;
	collector->phase = FOLD_COLLECT_READING;
	fold_reader_comes(fold, collector->victim);
	bdus_filter_send(child);
}

/* ---- deciding -------------------------------------------------------------------------------- */

/** Asks for a checkpoint when zones wait for one to become free, and those are needed. */
static void ask_for_checkpoint(struct fold *fold)
{
	if (fold->free_zones >= FOLD_ZONES_WANTED || fold->checkpoint.failed != 0)
		return;
	for (uint32_t i = 0; i < fold->index.zones; i++)
		if (fold_is_empty(fold, i) && !fold->zones[i].noted)
			fold->checkpoint.wanted = true;
}

static void choose_victim(struct fold *fold)
{
	uint32_t victim;

	if (fold->stopping || fold_coming_zones(fold) >= FOLD_ZONES_WANTED)
		return;
	victim = fold_victim(fold);
	if (victim == FOLD_NOBODY)
		return;
	fold->collector.victim = victim;
	fold->collector.cursor = 1;
	read_part(fold);
}

/** Without a zone to move to it waits for one, which may never come. */
static void go_on_moving(struct fold *fold)
{
	struct fold_collector *const collector = &fold->collector;
	uint32_t zone;

	if (collector->moved == collector->count || fold->index.valid[collector->victim] == 0) {
		end_part(fold, false);
		return;
	}
	zone = fold_target(fold, FOLD_COLLECTED);
	if (zone != FOLD_NOBODY)
		move_part(fold, zone);
}

bool fold_collector_is_busy(const struct fold *fold)
{
	return fold->collector.phase == FOLD_COLLECT_READING || fold->collector.moving != 0;
}

void fold_collector_go_on(struct fold *fold)
{
	struct fold_collector *const collector = &fold->collector;

	if (collector->phase == FOLD_COLLECT_MOVING && collector->moving == 0)
		go_on_moving(fold);
	if (collector->phase == FOLD_COLLECT_NEXT)
		read_part(fold);
	if (collector->phase == FOLD_COLLECT_IDLE)
		choose_victim(fold);
	ask_for_checkpoint(fold);
}
