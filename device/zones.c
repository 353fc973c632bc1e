/* SPDX-License-Identifier: MIT */
/*
 * The state of zones: write pointers, conditions, and the limits on open and active ones.
 *
 *	            write, append                      open
 *	  EMPTY ──────────────────▶ IMPLICIT_OPEN ──────────────▶ EXPLICIT_OPEN
 *	    │                        │  │    ▲                     ▲  │  │
 *	    │ open                   │  │    │ write, append       │  │  │
 *	    └────────────────────────┼──┼────┼─────────────────────┤  │  │
 *	                             │  │    │              open   │  │  │
 *	                       close │  │    └──── CLOSED ─────────┘  │  │ close
 *	                   or evicted└──┼────────▶   ▲ │              │  │
 *	                                │            └─┼──────────────┼──┘
 *	                                ▼  finish, or  ▼  finish      ▼
 *	                     written to the capacity ──▶ FULL ◀───────┘
 *
 *	reset     every one of these, back to EMPTY
 *	close     of an open zone with nothing written: back to EMPTY
 *	finish    of EMPTY: FULL
 *	evicted   a zone that is to be opened where max_open_zones are: the one that was opened
 *	          implicitly first, if any, becomes closed
 *	no-ops    open of EXPLICIT_OPEN, close of CLOSED and EMPTY, finish of FULL, reset of EMPTY
 *	errors    open and close of FULL (ZBC-2 calls these no-ops), and everything that would
 *	          change a READ_ONLY or OFFLINE zone: -EIO
 *
 * open zones    IMPLICIT_OPEN, EXPLICIT_OPEN: at most max_open_zones, else -ETOOMANYREFS
 * active zones  these and CLOSED: at most max_active_zones, else -EOVERFLOW
 *
 * Invariants: `written` of EMPTY is 0 and of a CLOSED or open zone less than the capacity (0 only
 *in an EXPLICIT_OPEN one); counts are those of the conditions; exactly the IMPLICIT_OPEN zones are
 *in the list, the one opened first at its head.
 */
#include "zones.h"
#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define NONE UINT32_MAX

struct state {
	/** Bytes from the start that hold data. */
	uint64_t written;
	/** Neighbours in the list of implicitly open zones; NONE at its ends. */
	uint32_t before;
	uint32_t after;
	uint8_t condition;
	/** Only checked zones: see zone_requests.c. */
	bool doubtful;
};

struct bdus_zones {
	struct bdus_zone_geometry geometry;
	unsigned zone_shift;
	uint32_t count;
	uint32_t open;
	uint32_t active;
	uint32_t first_implicit;
	uint32_t last_implicit;
	uint32_t doubtful;
	struct state *states;
};

const char *bdus_zone_condition_name(unsigned condition)
{
	static const char *const names[] = {
		[BDUS_ZONE_NO_WRITE_POINTER] = "without a write pointer",
		[BDUS_ZONE_EMPTY] = "empty",
		[BDUS_ZONE_IMPLICIT_OPEN] = "implicitly open",
		[BDUS_ZONE_EXPLICIT_OPEN] = "explicitly open",
		[BDUS_ZONE_CLOSED] = "closed",
		[BDUS_ZONE_READ_ONLY] = "read-only",
		[BDUS_ZONE_FULL] = "full",
		[BDUS_ZONE_OFFLINE] = "offline",
	};

	if (condition >= BASE_ARRAY_LENGTH(names) || names[condition] == NULL)
		return "unknown";
	return names[condition];
}

/* ---- life and looks ------------------------------------------------------------------------ */

static bool is_conventional(const struct bdus_zones *zones, uint32_t index)
{
	return index < zones->geometry.conventional_zones;
}

static void make_new(struct bdus_zones *zones)
{
	for (uint32_t index = 0; index < zones->count; index++) {
		struct state *const state = &zones->states[index];
		const bool conventional = is_conventional(zones, index);

		state->before = NONE;
		state->after = NONE;
		state->condition = conventional ? BDUS_ZONE_NO_WRITE_POINTER : BDUS_ZONE_EMPTY;
		state->written = conventional ? zones->geometry.zone_size_bytes : 0;
	}
}

int bdus_zones_create(const struct bdus_zone_geometry *geometry, struct bdus_zones **result)
{
	struct bdus_zone_geometry complete = *geometry;
	struct bdus_zones *zones;
	int error;

	if (complete.zone_capacity_bytes == 0)
		complete.zone_capacity_bytes = complete.zone_size_bytes;
	error = bdus_zone_geometry_check("zones", &complete);
	if (error < 0)
		return error;
	zones = calloc(1, sizeof(*zones));
	if (zones == NULL)
		return base_error(ENOMEM, "no memory for zones");
	zones->geometry = complete;
	zones->zone_shift = base_log2(complete.zone_size_bytes);
	zones->count = (uint32_t)(complete.size_bytes >> zones->zone_shift);
	zones->first_implicit = NONE;
	zones->last_implicit = NONE;
	zones->states = calloc(zones->count, sizeof(*zones->states));
	if (zones->states == NULL) {
		free(zones);
		return base_error(ENOMEM, "no memory for the state of %" PRIu64 " zones",
				  complete.size_bytes / complete.zone_size_bytes);
	}
	make_new(zones);
	*result = zones;
	return 0;
}

void bdus_zones_destroy(struct bdus_zones *zones)
{
	if (zones == NULL)
		return;
	free(zones->states);
	free(zones);
}

uint32_t bdus_zones_count(const struct bdus_zones *zones)
{
	return zones->count;
}

uint32_t bdus_zones_open_count(const struct bdus_zones *zones)
{
	return zones->open;
}

uint32_t bdus_zones_active_count(const struct bdus_zones *zones)
{
	return zones->active;
}

const struct bdus_zone_geometry *bdus_zones_geometry(const struct bdus_zones *zones)
{
	return &zones->geometry;
}

uint64_t bdus_zones_written_bytes(const struct bdus_zones *zones, uint32_t index)
{
	return zones->states[index].written;
}

static uint64_t start_of(const struct bdus_zones *zones, uint32_t index)
{
	return (uint64_t)index << zones->zone_shift;
}

void bdus_zones_describe(const struct bdus_zones *zones, uint32_t index, struct bdus_zone *zone)
{
	const struct bdus_zone_geometry *const geometry = &zones->geometry;
	const struct state *const state = &zones->states[index];
	const bool conventional = is_conventional(zones, index);
	const bool full = state->condition == BDUS_ZONE_FULL;

	*zone = (struct bdus_zone){
		.start_bytes = start_of(zones, index),
		.length_bytes = geometry->zone_size_bytes,
		.capacity_bytes =
			conventional ? geometry->zone_size_bytes : geometry->zone_capacity_bytes,
		.type = conventional ? BDUS_ZONE_CONVENTIONAL : BDUS_ZONE_SEQUENTIAL,
		.condition = state->condition,
	};
	zone->write_pointer_bytes =
		zone->start_bytes + (full ? zone->capacity_bytes : state->written);
}

/* ---- conditions ---------------------------------------------------------------------------- */

static bool is_open(unsigned condition)
{
	return condition == BDUS_ZONE_IMPLICIT_OPEN || condition == BDUS_ZONE_EXPLICIT_OPEN;
}

static bool is_active(unsigned condition)
{
	return is_open(condition) || condition == BDUS_ZONE_CLOSED;
}

static void list_remove(struct bdus_zones *zones, struct state *state)
{
	if (state->before != NONE)
		zones->states[state->before].after = state->after;
	else
		zones->first_implicit = state->after;
	if (state->after != NONE)
		zones->states[state->after].before = state->before;
	else
		zones->last_implicit = state->before;
	state->before = NONE;
	state->after = NONE;
}

static void list_append(struct bdus_zones *zones, struct state *state)
{
	const uint32_t index = (uint32_t)(state - zones->states);

	state->before = zones->last_implicit;
	if (state->before != NONE)
		zones->states[state->before].after = index;
	else
		zones->first_implicit = index;
	zones->last_implicit = index;
}

/** The only place where a condition changes. */
static void set_condition(struct bdus_zones *zones, struct state *state, unsigned condition)
{
	const unsigned former = state->condition;

	if (former == condition)
		return;
	zones->open += (uint32_t)is_open(condition) - (uint32_t)is_open(former);
	zones->active += (uint32_t)is_active(condition) - (uint32_t)is_active(former);
	if (former == BDUS_ZONE_IMPLICIT_OPEN)
		list_remove(zones, state);
	if (condition == BDUS_ZONE_IMPLICIT_OPEN)
		list_append(zones, state);
	state->condition = (uint8_t)condition;
}

/** Makes room for @state to be opened: 0, or why there is none. Closes another zone at most. */
static int make_room(struct bdus_zones *zones, const struct state *state)
{
	const struct bdus_zone_geometry *const limits = &zones->geometry;

	if (!is_active(state->condition) && limits->max_active_zones != 0 &&
	    zones->active >= limits->max_active_zones)
		return base_error(EOVERFLOW,
				  "%" PRIu32 " zones are active, which is the most allowed: zone "
				  "%td cannot be opened",
				  zones->active, state - zones->states);
	if (is_open(state->condition) || limits->max_open_zones == 0 ||
	    zones->open < limits->max_open_zones)
		return 0;
	if (zones->first_implicit == NONE)
		return base_error(ETOOMANYREFS,
				  "%" PRIu32 " zones are explicitly open, which is the most "
				  "allowed: zone %td cannot be opened",
				  zones->open, state - zones->states);
	set_condition(zones, &zones->states[zones->first_implicit], BDUS_ZONE_CLOSED);
	return 0;
}

/** The sequential zone that starts at @zone_bytes; NULL with a message. */
static struct state *find_zone(const struct bdus_zones *zones, uint64_t zone_bytes)
{
	const uint64_t index = zone_bytes >> zones->zone_shift;

	if (index >= zones->count || (index << zones->zone_shift) != zone_bytes) {
		base_error(EINVAL, "no zone starts at offset %" PRIu64, zone_bytes);
		return NULL;
	}
	if (is_conventional(zones, (uint32_t)index)) {
		base_error(EINVAL, "zone %" PRIu64 " is conventional: it must be sequential",
			   index);
		return NULL;
	}
	return &zones->states[index];
}

static int refuse(const struct bdus_zones *zones, const struct state *state, const char *what)
{
	return base_error(EIO, "zone %td is %s: it cannot be %s", state - zones->states,
			  bdus_zone_condition_name(state->condition), what);
}

int bdus_zones_open(struct bdus_zones *zones, uint64_t zone_bytes)
{
	struct state *const state = find_zone(zones, zone_bytes);
	int result;

	if (state == NULL)
		return -EINVAL;
	if (state->condition != BDUS_ZONE_EMPTY && !is_active(state->condition))
		return refuse(zones, state, "opened");
	result = make_room(zones, state);
	if (result == 0)
		set_condition(zones, state, BDUS_ZONE_EXPLICIT_OPEN);
	return result;
}

int bdus_zones_close(struct bdus_zones *zones, uint64_t zone_bytes)
{
	struct state *const state = find_zone(zones, zone_bytes);

	if (state == NULL)
		return -EINVAL;
	if (is_open(state->condition))
		set_condition(zones, state,
			      state->written == 0 ? BDUS_ZONE_EMPTY : BDUS_ZONE_CLOSED);
	else if (state->condition != BDUS_ZONE_EMPTY && state->condition != BDUS_ZONE_CLOSED)
		return refuse(zones, state, "closed");
	return 0;
}

static bool is_broken(const struct state *state)
{
	return state->condition == BDUS_ZONE_READ_ONLY || state->condition == BDUS_ZONE_OFFLINE;
}

int bdus_zones_finish(struct bdus_zones *zones, uint64_t zone_bytes)
{
	struct state *const state = find_zone(zones, zone_bytes);

	if (state == NULL)
		return -EINVAL;
	if (is_broken(state))
		return refuse(zones, state, "finished");
	set_condition(zones, state, BDUS_ZONE_FULL);
	return 0;
}

static void reset(struct bdus_zones *zones, struct state *state)
{
	set_condition(zones, state, BDUS_ZONE_EMPTY);
	state->written = 0;
}

int bdus_zones_reset(struct bdus_zones *zones, uint64_t zone_bytes)
{
	struct state *const state = find_zone(zones, zone_bytes);

	if (state == NULL)
		return -EINVAL;
	if (is_broken(state))
		return refuse(zones, state, "reset");
	reset(zones, state);
	return 0;
}

void bdus_zones_reset_all(struct bdus_zones *zones)
{
	for (uint32_t index = zones->geometry.conventional_zones; index < zones->count; index++)
		if (!is_broken(&zones->states[index]))
			reset(zones, &zones->states[index]);
}

int bdus_zones_report(const struct bdus_zones *zones, uint64_t zone_bytes,
		      struct bdus_zone *described, uint32_t capacity)
{
	const uint64_t first = zone_bytes >> zones->zone_shift;
	uint32_t count;

	if (first >= zones->count || (first << zones->zone_shift) != zone_bytes)
		return base_error(EINVAL, "no zone starts at offset %" PRIu64, zone_bytes);
	count = (uint32_t)base_min(base_min(capacity, zones->count - first), INT32_MAX);
	for (uint32_t i = 0; i < count; i++)
		bdus_zones_describe(zones, (uint32_t)first + i, &described[i]);
	return (int)count;
}

/* ---- writes and reads ---------------------------------------------------------------------- */

static bool range_is_valid(const struct bdus_zones *zones, uint64_t offset, uint64_t length)
{
	const uint64_t mask = zones->geometry.logical_block_size - 1;

	return length != 0 && ((offset | length) & mask) == 0 &&
	       base_range_within(offset, length, zones->geometry.size_bytes);
}

static int refuse_range(uint64_t offset, uint64_t length)
{
	return base_error(EINVAL,
			  "range of %" PRIu64 " bytes at offset %" PRIu64
			  ": must be whole blocks of the device",
			  length, offset);
}

static int refuse_place(const struct bdus_zones *zones, const struct state *state, uint64_t offset,
			uint64_t length)
{
	const uint32_t index = (uint32_t)(state - zones->states);

	if (offset - start_of(zones, index) != state->written)
		return base_error(EIO,
				  "write to zone %" PRIu32 " at offset %" PRIu64
				  ": must be at its write pointer, %" PRIu64,
				  index, offset, start_of(zones, index) + state->written);
	return base_error(EIO,
			  "write of %" PRIu64 " bytes at offset %" PRIu64 ": zone %" PRIu32
			  " has room for %" PRIu64,
			  length, offset, index,
			  zones->geometry.zone_capacity_bytes - state->written);
}

static bool fits(const struct bdus_zones *zones, const struct state *state, uint64_t length)
{
	return length <= zones->geometry.zone_capacity_bytes - state->written;
}

static void advance(struct bdus_zones *zones, struct state *state, uint64_t length)
{
	state->written += length;
	if (base_unlikely(state->written == zones->geometry.zone_capacity_bytes))
		set_condition(zones, state, BDUS_ZONE_FULL);
}

/** A write of @length bytes at the write pointer of a zone in any condition. */
static int write_zone(struct bdus_zones *zones, struct state *state, uint64_t length)
{
	int result;

	if (!is_open(state->condition)) {
		if (state->condition != BDUS_ZONE_EMPTY && state->condition != BDUS_ZONE_CLOSED)
			return refuse(zones, state, "written");
		result = make_room(zones, state);
		if (result < 0)
			return result;
		set_condition(zones, state, BDUS_ZONE_IMPLICIT_OPEN);
	}
	advance(zones, state, length);
	return 0;
}

static int write_conventional(const struct bdus_zones *zones, uint64_t offset, uint64_t length)
{
	const uint64_t end = (uint64_t)zones->geometry.conventional_zones << zones->zone_shift;

	if (offset + length > end)
		return base_error(EIO,
				  "write of %" PRIu64 " bytes at offset %" PRIu64
				  ": must not cross into the sequential zones at %" PRIu64,
				  length, offset, end);
	return 0;
}

int bdus_zones_write(struct bdus_zones *zones, uint64_t offset_bytes, uint64_t length_bytes)
{
	const uint64_t index = offset_bytes >> zones->zone_shift;
	struct state *state;

	if (base_unlikely(!range_is_valid(zones, offset_bytes, length_bytes)))
		return refuse_range(offset_bytes, length_bytes);
	if (is_conventional(zones, (uint32_t)index))
		return write_conventional(zones, offset_bytes, length_bytes);
	state = &zones->states[index];
	if (base_unlikely(state->condition == BDUS_ZONE_FULL || is_broken(state)))
		return refuse(zones, state, "written");
	if (base_unlikely(offset_bytes - start_of(zones, (uint32_t)index) != state->written ||
			  !fits(zones, state, length_bytes)))
		return refuse_place(zones, state, offset_bytes, length_bytes);
	return write_zone(zones, state, length_bytes);
}

int bdus_zones_append(struct bdus_zones *zones, uint64_t zone_bytes, uint64_t length_bytes,
		      uint64_t *at_bytes)
{
	struct state *const state = find_zone(zones, zone_bytes);
	const uint32_t most = zones->geometry.max_append_bytes;
	uint64_t at;
	int result;

	if (state == NULL)
		return -EINVAL;
	if (!range_is_valid(zones, zone_bytes, length_bytes))
		return refuse_range(zone_bytes, length_bytes);
	if (most != 0 && length_bytes > most)
		return base_error(EINVAL, "append of %" PRIu64 " bytes: must be at most %" PRIu32,
				  length_bytes, most);
	if (state->condition == BDUS_ZONE_FULL || is_broken(state))
		return refuse(zones, state, "written");
	at = zone_bytes + state->written;
	if (!fits(zones, state, length_bytes))
		return refuse_place(zones, state, at, length_bytes);
	result = write_zone(zones, state, length_bytes);
	if (result == 0)
		*at_bytes = at;
	return result;
}

/** A zone that was made full by what is taken back was open before; its place may be taken. */
static void reopen(struct bdus_zones *zones, struct state *state)
{
	if (make_room(zones, state) == 0)
		set_condition(zones, state, BDUS_ZONE_IMPLICIT_OPEN);
	else
		set_condition(zones, state, BDUS_ZONE_CLOSED);
}

int bdus_zones_undo_write(struct bdus_zones *zones, uint64_t offset_bytes, uint64_t length_bytes)
{
	const uint64_t index = offset_bytes >> zones->zone_shift;
	struct state *state;

	if (!range_is_valid(zones, offset_bytes, length_bytes))
		return refuse_range(offset_bytes, length_bytes);
	if (is_conventional(zones, (uint32_t)index))
		return 0;
	state = &zones->states[index];
	if (start_of(zones, (uint32_t)index) + state->written != offset_bytes + length_bytes ||
	    length_bytes > state->written)
		return base_error(EINVAL,
				  "%" PRIu64 " bytes at offset %" PRIu64
				  ": not the newest write to zone %" PRIu64,
				  length_bytes, offset_bytes, index);
	state->written -= length_bytes;
	if (state->condition == BDUS_ZONE_FULL)
		reopen(zones, state);
	if (state->written == 0 && state->condition != BDUS_ZONE_EXPLICIT_OPEN && !is_broken(state))
		set_condition(zones, state, BDUS_ZONE_EMPTY);
	return 0;
}

int bdus_zones_read_part(const struct bdus_zones *zones, uint64_t offset_bytes,
			 uint64_t length_bytes, uint64_t *part_bytes)
{
	const uint64_t index = offset_bytes >> zones->zone_shift;
	const uint64_t skip = offset_bytes - (index << zones->zone_shift);
	const struct state *const state = &zones->states[index];
	const uint64_t rest = base_min(length_bytes, zones->geometry.zone_size_bytes - skip);

	if (state->condition == BDUS_ZONE_OFFLINE)
		return refuse(zones, state, "read");
	if (skip < state->written) {
		*part_bytes = base_min(rest, state->written - skip);
		return 1;
	}
	if (state->condition == BDUS_ZONE_READ_ONLY)
		return refuse(zones, state, "read past what was written");
	*part_bytes = rest;
	return 0;
}

/* ---- zones found as they are --------------------------------------------------------------- */

static bool may_be_restored(const struct bdus_zones *zones, enum bdus_zone_condition condition,
			    uint64_t written)
{
	const uint64_t capacity = zones->geometry.zone_capacity_bytes;

	if (written % zones->geometry.logical_block_size != 0 || written > capacity)
		return false;
	switch (condition) {
	case BDUS_ZONE_EMPTY:
		return written == 0;
	case BDUS_ZONE_CLOSED:
		return written != 0 && written < capacity;
	case BDUS_ZONE_FULL:
	case BDUS_ZONE_READ_ONLY:
	case BDUS_ZONE_OFFLINE:
		return true;
	default:
		return false;
	}
}

int bdus_zones_restore(struct bdus_zones *zones, uint32_t index, enum bdus_zone_condition condition,
		       uint64_t written_bytes)
{
	const uint32_t most = zones->geometry.max_active_zones;
	struct state *state;

	if (index >= zones->count || is_conventional(zones, index))
		return base_error(EINVAL, "zone %" PRIu32 " is no sequential zone of the device",
				  index);
	if (!may_be_restored(zones, condition, written_bytes))
		return base_error(EINVAL,
				  "zone %" PRIu32 " cannot be %s with %" PRIu64
				  " bytes written of %" PRIu64,
				  index, bdus_zone_condition_name(condition), written_bytes,
				  zones->geometry.zone_capacity_bytes);
	state = &zones->states[index];
	if (is_active(condition) && !is_active(state->condition) && most != 0 &&
	    zones->active >= most)
		return base_error(EOVERFLOW,
				  "zone %" PRIu32 " is closed, and %" PRIu32
				  " others are active, which is the most allowed",
				  index, zones->active);
	set_condition(zones, state, condition);
	state->written = written_bytes;
	return 0;
}

void bdus_zones_adopt(struct bdus_zones *zones, const struct bdus_zone *reported, uint32_t index)
{
	struct state *const state = &zones->states[index];

	zones->doubtful -= state->doubtful;
	state->doubtful = false;
	set_condition(zones, state, reported->condition);
	if (reported->condition == BDUS_ZONE_FULL)
		state->written = zones->geometry.zone_capacity_bytes;
	else if (!is_broken(state))
		state->written = reported->write_pointer_bytes - reported->start_bytes;
}

bool bdus_zones_is_doubtful(const struct bdus_zones *zones, uint32_t index)
{
	return zones->states[index].doubtful;
}

void bdus_zones_doubt(struct bdus_zones *zones, uint32_t index)
{
	if (is_conventional(zones, index))
		return;
	zones->doubtful += !zones->states[index].doubtful;
	zones->states[index].doubtful = true;
}

bool bdus_zones_have_doubts(const struct bdus_zones *zones)
{
	return zones->doubtful != 0;
}
