/* SPDX-License-Identifier: MIT */
/*
 * What the parts of zonefold share.
 *
 *	zonefold.c    the filter: options, attributes, the way of requests to their parts
 *	recover.c     start: reads zones and their headers, checks that the map belongs to them
 *	serve.c       reads, writes, what is unmapped
 *	space.c       zones: opened, filled, finished, reset
 *	collect.c     garbage collection
 *	checkpoint.c  flushes: the map is made durable
 *	committer.c   the thread that waits for the map's store
 *	status.c      what is told
 *	index.c       the translation in memory
 *	map.c         the map in its store
 *
 * Owner: everything belongs to the thread of queue 0, the only one; the store of the map to the
 * committer while a commit is under way.
 */
#ifndef ZONEFOLD_FOLD_H
#define ZONEFOLD_FOLD_H

#include "index.h"
#include "map.h"

#include <bdus/async.h>
#include <bdus/filter.h>
#include <bdus/zoned.h>

#define FOLD_BLOCK UINT64_C(4096)

/** Fewest sequential zones, and how many of them are never for data of clients, besides `reserve`.
 */
#define FOLD_ZONES_MIN     8
#define FOLD_ZONES_RESERVE 6
/** Below so many zones that are free, or about to be, garbage is collected. */
#define FOLD_ZONES_WANTED   3
#define FOLD_COLLECT_BLOCKS 64

enum fold_stream {
	FOLD_WRITTEN = ZONEFOLD_ROLE_WRITTEN,
	FOLD_COLLECTED = ZONEFOLD_ROLE_COLLECTED,
	FOLD_STREAMS,
};

/**
 * States of a sequential zone:
 *
 *   FREE ──▶ OPENING ──▶ OPEN ──▶ FILLED ──▶ FULL ──▶ RESETTING ──▶ FREE
 *              │           │ failed │          ▲           │
 *              │           └────────┴▶ FINISHING           │ failed
 *              └──── failed ──────────────────────▶ RESETTING ──▶ BROKEN
 *
 * OPENING until its header is written; FILLED while the last appends are on their way; from FULL on
 * nothing is written any more; RESETTING once a commit without references to it is durable and no
 * read is in it. A zone of which an append failed is finished, so that it holds no resources.
 */
enum fold_zone_state {
	FOLD_FREE,
	FOLD_OPENING,
	FOLD_OPEN,
	FOLD_FILLED,
	FOLD_FINISHING,
	FOLD_FULL,
	FOLD_RESETTING,
	FOLD_BROKEN,
	FOLD_ZONE_STATES,
};

struct fold_zone {
	uint64_t sequence;
	/** Blocks that are written or on their way, the header among them. */
	uint32_t filled;
	uint32_t appends;
	uint32_t readers;
	uint8_t state;
	uint8_t stream;
	/** An append failed. */
	bool failed;
	/** What it holds cannot be read: it is not collected. */
	bool unreadable;
	/** It has nothing valid, in the commit under way, and in one that is durable. */
	bool noted;
	bool released;
	/** The next commit has to store its sequence. */
	bool renamed;
};

/** A part of a request or a step of its own that is below. */
struct fold_piece {
	struct bdus_request *child;
	uint32_t zone;
	uint32_t block;
	uint32_t count;
	struct fold_piece *next;
};

struct fold_operation {
	struct bdus_request *request;
	uint32_t block;
	uint32_t count;
	/** How much of it was sent. */
	uint32_t sent;
	uint32_t pending;
	int result;
	struct fold_piece *pieces;
	struct fold_operation *next;
};

struct fold_list {
	struct bdus_request *first;
	struct bdus_request *last;
};

enum fold_checkpoint_phase {
	FOLD_CHECKPOINT_IDLE,
	FOLD_CHECKPOINT_FLUSHING,
	FOLD_CHECKPOINT_COMMITTING,
};

struct fold_checkpoint {
	enum fold_checkpoint_phase phase;
	/** Flushes that wait for the next one, and for the one under way. */
	struct fold_list asking;
	struct fold_list served;
	/** Zones wait for one. */
	bool wanted;
	/** The newest one failed, and with what. */
	int failed;
	struct fold_commit commit;
	struct fold_committer *committer;
};

enum fold_collect_phase {
	FOLD_COLLECT_IDLE,
	FOLD_COLLECT_READING,
	FOLD_COLLECT_MOVING,
	FOLD_COLLECT_NEXT,
};

struct fold_collector {
	enum fold_collect_phase phase;
	uint32_t victim;
	/** The next block of the victim to look at. */
	uint32_t cursor;
	/** What was read: blocks and where they were; how many were sent on, and are below. */
	uint32_t first;
	uint32_t span;
	uint32_t count;
	uint32_t moved;
	uint32_t moving;
	uint32_t moving_zone;
	unsigned failures;
	uint32_t blocks[FOLD_COLLECT_BLOCKS];
	uint32_t places[FOLD_COLLECT_BLOCKS];
	char *memory;
};

struct fold_counters {
	uint64_t written_blocks;
	uint64_t collected_blocks;
	uint64_t headers;
	uint64_t collected_zones;
	uint64_t resets;
	uint64_t commits;
	uint64_t failed_commits;
};

struct fold {
	struct fold_record record;
	struct fold_map *map;
	struct fold_index index;
	struct fold_zone *zones;
	uint32_t free_zones;
	/** Opening, open, filled or being finished; and how many may be at once. */
	uint32_t active_zones;
	uint32_t most_active;
	/** Most blocks of an append. */
	uint32_t most_append;
	/** The zone that each stream writes to, if it is not FOLD_NOBODY. */
	uint32_t targets[FOLD_STREAMS];
	struct zonefold_header *headers;
	/** Children of what is no client's. */
	struct bdus_request *own;
	/** Why zones could not be made ready for writing, of late; 0 for no reason. */
	int trouble;
	/** Something was written since the last checkpoint began. */
	bool unsynced;
	bool stopping;
	bool going;
	bool go_again;
	struct fold_operation *writers;
	struct fold_operation **writers_end;
	struct fold_operation *free_operations;
	struct fold_piece *free_pieces;
	struct fold_checkpoint checkpoint;
	struct fold_collector collector;
	struct fold_counters counters;
	char last_error[256];
};

static inline uint64_t fold_zone_bytes(const struct fold *fold, uint32_t zone)
{
	return (fold->record.conventional_zones + (uint64_t)zone) * fold->record.zone_size_bytes;
}

static inline uint64_t fold_place_bytes(const struct fold *fold, uint32_t place)
{
	return fold_zone_bytes(fold, place / fold->index.zone_blocks) +
	       place % fold->index.zone_blocks * FOLD_BLOCK;
}

/** The sequential zone that a range below begins in. */
static inline uint32_t fold_zone_at(const struct fold *fold, uint64_t offset_bytes)
{
	return (uint32_t)(offset_bytes / fold->record.zone_size_bytes) -
	       fold->record.conventional_zones;
}

static inline void fold_push(struct fold_list *list, struct bdus_request *request)
{
	request->driver_data = NULL;
	if (list->first == NULL)
		list->first = request;
	else
		list->last->driver_data = request;
	list->last = request;
}

static inline struct bdus_request *fold_pop(struct fold_list *list)
{
	struct bdus_request *const request = list->first;

	if (request != NULL)
		list->first = request->driver_data;
	return request;
}

/** How many blocks a device with these zones has above. */
uint32_t fold_blocks_above(uint32_t zones, uint32_t zone_blocks, unsigned reserve_percent);

/** Begins whatever has become possible. */
void fold_go_on(struct fold *fold);

/* ---- recover.c ------------------------------------------------------------------------------ */

int fold_recover(struct fold *fold);

/* ---- serve.c -------------------------------------------------------------------------------- */

void fold_read(struct fold *fold, struct bdus_request *request);
void fold_write(struct fold *fold, struct bdus_request *request);
void fold_unmap(struct fold *fold, struct bdus_request *request);
void fold_tell_extents(struct fold *fold, struct bdus_request *request);
/** Sends what waits as far as there is room. */
void fold_writers_go_on(struct fold *fold);
void fold_operations_free(struct fold *fold);

/* ---- space.c -------------------------------------------------------------------------------- */

/** The zone to append to, with room; FOLD_NOBODY while there is none. */
uint32_t fold_target(struct fold *fold, enum fold_stream stream);
/** An append of @count blocks begins, and is back. */
void fold_append_begins(struct fold *fold, uint32_t zone, uint32_t count);
void fold_append_is_back(struct fold *fold, uint32_t zone, int result);
/** Where an append landed, as a place; FOLD_NOWHERE where it cannot have. */
uint32_t fold_landing(const struct fold *fold, uint32_t zone, uint32_t count, uint64_t at_bytes);
/** A reader came, or went. */
void fold_reader_comes(struct fold *fold, uint32_t zone);
void fold_reader_goes(struct fold *fold, uint32_t zone);
/** A full zone has become free of references for good. */
void fold_release(struct fold *fold, uint32_t zone);
/** Whether the zone has nothing that is needed, and only a checkpoint has to say so. */
bool fold_is_empty(const struct fold *fold, uint32_t zone);
/** Zones that are, or will be, free without anything being moved. */
uint32_t fold_coming_zones(const struct fold *fold);
/** Whether a zone may yet become free, or appends may yet come back, by what is under way. */
bool fold_space_is_coming(const struct fold *fold);

/* ---- collect.c ------------------------------------------------------------------------------ */

/** The full zone with the fewest valid blocks, the oldest of several; FOLD_NOBODY for none that
 * would give anything. */
uint32_t fold_victim(const struct fold *fold);
void fold_collector_go_on(struct fold *fold);
/** Something of it is below. */
bool fold_collector_is_busy(const struct fold *fold);

/* ---- checkpoint.c --------------------------------------------------------------------------- */

void fold_flush(struct fold *fold, struct bdus_request *request);
void fold_checkpoint_go_on(struct fold *fold);

/* ---- committer.c ---------------------------------------------------------------------------- */

struct fold_committer;

int fold_committer_create(struct fold_map *map, struct fold_committer **committer);
/** Waits for a commit under way; takes NULL. */
void fold_committer_destroy(struct fold_committer *committer);
/**
 * Begins @commit. @done is called in @loop, with its result and the sentence to it, unless the loop
 * ends first.
 */
int fold_committer_begin(struct fold_committer *committer, struct bdus_loop *loop,
			 const struct fold_commit *commit,
			 void (*done)(void *opaque, int result, const char *message), void *opaque);

/* ---- status.c ------------------------------------------------------------------------------- */

int fold_command(void *instance, const char *const *words, unsigned count, char *answer,
		 size_t answer_bytes);

#endif
