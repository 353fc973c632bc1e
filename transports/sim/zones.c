/* SPDX-License-Identifier: MIT */
/*
 * The client of a zoned disk, and the model that judges what it is answered: see sim/zones.h.
 *
 * So that answers can be foretold, a zone has at most one of these in flight: a write, or a change
 * of its condition; but any number of appends, of which only the sum is known before they are
 * back. Reads go on beside all of them but resets and, in conventional zones, writes. Whether
 * limits on open and active zones must refuse is foretold of requests that were in flight alone,
 * and may be so of others.
 *
 * Life of what a request did: `begin` marks it, `answer` makes it certain. What has no answer when
 * the power goes stays marked, and the first sweep after that says what became of it.
 */
#include "sim/zones.h"
#include "base/bits.h"
#include "sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT    UINT64_MAX
#define PENDING_MAX  4096
#define BLOCKS_MAX   64
#define NO_HELD      UINT32_MAX
#define NOT_REPORTED UINT8_MAX

/** Bits of sim_plan.allowed: how a request may end. */
enum {
	MAY_SUCCEED = 1 << 0,
	MAY_FAIL = 1 << 1,
	MAY_BE_INVALID = 1 << 2,
	MAY_EXCEED_OPEN = 1 << 3,
	MAY_EXCEED_ACTIVE = 1 << 4,
};

struct block {
	/** The number that it holds; 0 for zeros. */
	uint64_t id;
	/** When its write was answered. */
	uint64_t done;
	bool durable;
};

/** Closed stands for implicitly open as well, since a drive may close those at any time. */
struct zone {
	struct block *blocks;
	uint32_t capacity;
	uint8_t condition;
	/** Blocks below it hold data; those of appends in flight, or just back, come on top. */
	uint32_t written;
	uint32_t append_blocks;
	uint32_t appended_blocks;
	uint32_t appends;
	uint32_t readers;
	/** The write or the change in flight; BDUS_OP_COUNT for none. */
	uint8_t busy_with;
	/** When anything last began or ended to change it. */
	uint64_t touched;
	/** Its being full is durable. */
	bool finished;
	/** After a crash: what the sweep found so far. */
	bool crashed;
	uint32_t held;
	uint8_t reported;
	uint32_t reported_blocks;
};

/** Appends of which it is not known where they went, or whether. */
struct pending {
	uint64_t id;
	uint32_t count;
	uint32_t zone;
};

struct sim_zones {
	struct bdus_device_attrs attrs;
	uint32_t count;
	uint32_t zone_blocks;
	struct zone *zones;
	struct pending pending[PENDING_MAX];
	unsigned pending_count;
	/** Writes, appends and changes: in flight, and ever begun. */
	unsigned changes;
	uint64_t begun;
	/** What was answered before is durable. */
	uint64_t flushed;
};

static uint32_t block_bytes(const struct sim_zones *zones)
{
	return zones->attrs.logical_block_size;
}

static bool is_conventional(const struct sim_zones *zones, uint32_t index)
{
	return index < zones->attrs.conventional_zones;
}

static bool is_broken(const struct zone *zone)
{
	return zone->condition == BDUS_ZONE_READ_ONLY || zone->condition == BDUS_ZONE_OFFLINE;
}

static bool is_busy(const struct zone *zone)
{
	return zone->busy_with != BDUS_OP_COUNT || zone->appends > 0;
}

static struct zone *zone_at(const struct sim_zones *zones, uint64_t offset_bytes)
{
	return &zones->zones[offset_bytes / zones->attrs.zone_size_bytes];
}

/* ---- life ---------------------------------------------------------------------------------- */

static bool init_zone(struct sim_zones *zones, uint32_t index, uint8_t broken)
{
	struct zone *const zone = &zones->zones[index];
	const bool conventional = is_conventional(zones, index);

	*zone = (struct zone){
		.capacity = conventional ? zones->zone_blocks
					 : (uint32_t)(zones->attrs.zone_capacity_bytes /
						      block_bytes(zones)),
		.condition = conventional  ? BDUS_ZONE_NO_WRITE_POINTER
			     : broken != 0 ? broken
					   : BDUS_ZONE_EMPTY,
		.written = conventional ? zones->zone_blocks : 0,
		.busy_with = BDUS_OP_COUNT,
	};
	zone->blocks = calloc(zones->zone_blocks, sizeof(*zone->blocks));
	return zone->blocks != NULL;
}

struct sim_zones *sim_zones_create(const struct bdus_device_attrs *attrs,
				   uint8_t (*broken)(uint32_t index))
{
	struct sim_zones *const zones = calloc(1, sizeof(*zones));
	bool complete;

	if (zones == NULL)
		return NULL;
	zones->attrs = *attrs;
	zones->count = (uint32_t)(attrs->size_bytes / attrs->zone_size_bytes);
	zones->zone_blocks = (uint32_t)(attrs->zone_size_bytes / attrs->logical_block_size);
	zones->zones = calloc(zones->count, sizeof(*zones->zones));
	complete = zones->zones != NULL;
	for (uint32_t index = 0; index < zones->count && complete; index++)
		complete = init_zone(zones, index, broken != NULL ? broken(index) : 0);
	if (complete)
		return zones;
	sim_zones_destroy(zones);
	return NULL;
}

void sim_zones_destroy(struct sim_zones *zones)
{
	if (zones == NULL)
		return;
	for (uint32_t index = 0; zones->zones != NULL && index < zones->count; index++)
		free(zones->zones[index].blocks);
	free(zones->zones);
	free(zones);
}

void sim_zones_crash(struct sim_zones *zones)
{
	for (uint32_t index = 0; index < zones->count; index++) {
		struct zone *const zone = &zones->zones[index];

		zone->crashed = true;
		zone->held = NO_HELD;
		zone->reported = NOT_REPORTED;
		zone->readers = 0;
		zone->appends = 0;
	}
	zones->changes = 0;
}

void sim_zones_set_limits(struct sim_zones *zones, const struct bdus_device_attrs *attrs)
{
	zones->attrs.max_transfer_bytes = attrs->max_transfer_bytes;
	zones->attrs.max_append_bytes = attrs->max_append_bytes;
}

/* ---- contents ------------------------------------------------------------------------------ */

static void fill_block(uint64_t *words, uint32_t bytes, uint64_t id)
{
	words[0] = id;
	for (uint32_t i = 1; i < bytes / sizeof(*words); i++)
		words[i] = sim_mix(id + i);
}

/** The number that a block holds; false when it holds no number of any write, nor zeros. */
static bool read_block(const uint64_t *words, uint32_t bytes, uint64_t *id)
{
	uint64_t wrong = 0;

	*id = words[0];
	for (uint32_t i = 1; i < bytes / sizeof(*words); i++)
		wrong |= words[i] ^ (*id != 0 ? sim_mix(*id + i) : 0);
	return wrong == 0;
}

/** Blocks of a request have numbers that follow one another. */
static uint64_t first_id(const struct sim_slot *slot)
{
	return slot->stamp * BLOCKS_MAX;
}

void sim_zones_fill(const struct sim_zones *zones, struct sim_slot *slot)
{
	const uint32_t bytes = block_bytes(zones);
	uint64_t *const words = slot->payload;

	if (slot->plan.op != BDUS_OP_WRITE && slot->plan.op != BDUS_OP_ZONE_APPEND)
		return;
	for (uint32_t i = 0; i < slot->plan.length_bytes / bytes; i++)
		fill_block(words + (size_t)i * bytes / sizeof(*words), bytes, first_id(slot) + i);
}

static bool is_pending(const struct sim_zones *zones, uint32_t zone, uint64_t id)
{
	for (unsigned i = 0; i < zones->pending_count; i++) {
		const struct pending *const pending = &zones->pending[i];

		if (pending->zone == zone && id - pending->id < pending->count)
			return true;
	}
	return false;
}

static void drop_pending(struct sim_zones *zones, uint64_t id)
{
	for (unsigned i = 0; i < zones->pending_count; i++) {
		if (zones->pending[i].id != id)
			continue;
		zones->pending[i] = zones->pending[--zones->pending_count];
		return;
	}
}

/* ---- what may be asked, and what must come of it --------------------------------------------- */

static unsigned count_active(const struct sim_zones *zones)
{
	unsigned count = 0;

	for (uint32_t index = 0; index < zones->count; index++)
		count += zones->zones[index].condition == BDUS_ZONE_CLOSED ||
			 zones->zones[index].condition == BDUS_ZONE_EXPLICIT_OPEN;
	return count;
}

static unsigned count_explicit(const struct sim_zones *zones)
{
	unsigned count = 0;

	for (uint32_t index = 0; index < zones->count; index++)
		count += zones->zones[index].condition == BDUS_ZONE_EXPLICIT_OPEN;
	return count;
}

/** What the limits make of a request that opens the zone, and is alone. */
static unsigned limited(const struct sim_zones *zones, const struct zone *zone)
{
	const struct bdus_device_attrs *const attrs = &zones->attrs;
	unsigned allowed = 0;

	if (zone->condition == BDUS_ZONE_EMPTY && attrs->max_active_zones != 0 &&
	    count_active(zones) >= attrs->max_active_zones)
		allowed |= MAY_EXCEED_ACTIVE;
	if (zone->condition != BDUS_ZONE_EXPLICIT_OPEN && attrs->max_open_zones != 0 &&
	    count_explicit(zones) >= attrs->max_open_zones)
		allowed |= MAY_EXCEED_OPEN;
	return allowed != 0 ? allowed : MAY_SUCCEED;
}

static bool can_be_changed(const struct sim_zones *zones, uint32_t index)
{
	return !is_conventional(zones, index) && !is_broken(&zones->zones[index]);
}

static void put_range(const struct sim_zones *zones, struct sim_plan *plan, uint32_t block,
		      uint32_t count)
{
	plan->offset_bytes =
		plan->zone * zones->attrs.zone_size_bytes + (uint64_t)block * block_bytes(zones);
	plan->length_bytes = (uint64_t)count * block_bytes(zones);
}

static uint32_t most_blocks(const struct sim_zones *zones)
{
	return (uint32_t)base_min(BLOCKS_MAX, zones->attrs.max_transfer_bytes / block_bytes(zones));
}

static uint32_t draw_count(const struct sim_zones *zones, const struct sim_plan *plan,
			   uint32_t most)
{
	const uint64_t limit = base_max(base_min(most, most_blocks(zones)), 1);

	return (uint32_t)(1 + (plan->dice >> 32) % limit);
}

/** A write anywhere in a conventional zone. */
static void shape_conventional_write(const struct sim_zones *zones, struct sim_plan *plan)
{
	const uint32_t block = (uint32_t)plan->dice % zones->zone_blocks;

	put_range(zones, plan, block, draw_count(zones, plan, zones->zone_blocks - block));
	plan->allowed = MAY_SUCCEED;
}

/** Mostly at the write pointer; else somewhere else, or past the capacity. */
static void shape_write(const struct sim_zones *zones, struct sim_plan *plan)
{
	const struct zone *const zone = &zones->zones[plan->zone];
	const uint32_t left = zone->capacity - zone->written;
	const unsigned kind = (unsigned)(plan->dice % 20);
	uint32_t block = zone->written;
	uint32_t count = draw_count(zones, plan, left);

	plan->allowed = MAY_FAIL;
	if (zone->condition == BDUS_ZONE_FULL || is_broken(zone)) {
		block = (uint32_t)base_min(block, zone->capacity - 1);
		count = 1;
	} else if (kind == 0) {
		block = (zone->written + 1 + (uint32_t)(plan->dice >> 8) % zone->capacity) %
			zone->capacity;
		count = 1;
		if (block == zone->written)
			plan->allowed = limited(zones, zone);
	} else if (kind == 1 && left < most_blocks(zones) &&
		   zone->written + left < zones->zone_blocks) {
		count = left + 1;
	} else {
		plan->allowed = limited(zones, zone);
	}
	put_range(zones, plan, block, count);
}

static void shape_append(const struct sim_zones *zones, struct sim_plan *plan)
{
	const struct zone *const zone = &zones->zones[plan->zone];
	const uint32_t most = zones->attrs.max_append_bytes / block_bytes(zones);
	const uint32_t count = draw_count(zones, plan, most);

	put_range(zones, plan, 0, count);
	plan->allowed = MAY_FAIL;
	if (!can_be_changed(zones, plan->zone) || zone->condition == BDUS_ZONE_FULL)
		return;
	if (plan->dice % 32 == 0 && most < BLOCKS_MAX) {
		put_range(zones, plan, 0, most + 1);
		plan->allowed = MAY_BE_INVALID;
		return;
	}
	if (zone->written + zone->append_blocks + count <= zone->capacity)
		plan->allowed = limited(zones, zone);
	else if (zone->written + zone->appended_blocks + count <= zone->capacity)
		plan->allowed = MAY_SUCCEED | MAY_FAIL;
}

static void shape_change(const struct sim_zones *zones, struct sim_plan *plan)
{
	const struct zone *const zone = &zones->zones[plan->zone];
	const bool opens = plan->op == BDUS_OP_ZONE_OPEN;
	const bool needs_room = opens || plan->op == BDUS_OP_ZONE_CLOSE;

	put_range(zones, plan, 0, zones->zone_blocks);
	if (!can_be_changed(zones, plan->zone) || (needs_room && zone->condition == BDUS_ZONE_FULL))
		plan->allowed = MAY_FAIL;
	else
		plan->allowed = opens ? limited(zones, zone) : MAY_SUCCEED;
}

/** Within a zone, or on into the next one. */
static void shape_read(const struct sim_zones *zones, struct sim_plan *plan)
{
	const uint32_t block = (uint32_t)plan->dice % zones->zone_blocks;
	const uint64_t left = zones->attrs.size_bytes / block_bytes(zones) -
			      plan->zone * zones->zone_blocks - block;

	put_range(zones, plan, block,
		  draw_count(zones, plan, (uint32_t)base_min(left, zones->zone_blocks)));
}

static bool read_is_admitted(const struct sim_zones *zones, struct sim_plan *plan)
{
	const uint64_t last = plan->offset_bytes + plan->length_bytes - 1;

	plan->allowed = MAY_SUCCEED;
	for (struct zone *zone = zone_at(zones, plan->offset_bytes); zone <= zone_at(zones, last);
	     zone++) {
		/* What was on its way when the power went is no more. */
		if (zone->crashed)
			continue;
		if (zone->busy_with == BDUS_OP_ZONE_RESET ||
		    (zone->busy_with == BDUS_OP_WRITE &&
		     zone->condition == BDUS_ZONE_NO_WRITE_POINTER))
			return false;
		if (is_broken(zone))
			plan->allowed = MAY_FAIL;
	}
	return true;
}

static void shape_report(const struct sim_zones *zones, struct sim_plan *plan)
{
	const uint32_t left = zones->count - plan->zone;

	plan->zone_capacity = 1 + (uint32_t)plan->dice % left;
	put_range(zones, plan, 0, left * zones->zone_blocks);
	plan->allowed = MAY_SUCCEED;
}

static bool shape_reset_all(const struct sim_zones *zones, struct sim_plan *plan)
{
	for (uint32_t index = 0; index < zones->count; index++)
		if (is_busy(&zones->zones[index]) || zones->zones[index].readers > 0)
			return false;
	plan->offset_bytes = 0;
	plan->length_bytes = zones->attrs.size_bytes;
	plan->allowed = MAY_SUCCEED;
	return true;
}

static bool shape_exclusive(const struct sim_zones *zones, struct sim_plan *plan)
{
	const struct zone *const zone = &zones->zones[plan->zone];

	if (is_busy(zone))
		return false;
	if (zone->readers > 0 &&
	    (plan->op == BDUS_OP_ZONE_RESET || is_conventional(zones, plan->zone)))
		return false;
	if (plan->op != BDUS_OP_WRITE)
		shape_change(zones, plan);
	else if (is_conventional(zones, plan->zone))
		shape_conventional_write(zones, plan);
	else
		shape_write(zones, plan);
	return true;
}

bool sim_zones_admit(const struct sim_zones *zones, struct sim_plan *plan)
{
	if (plan->is_sweep)
		return plan->op == BDUS_OP_ZONE_REPORT || read_is_admitted(zones, plan);
	switch (plan->op) {
	case BDUS_OP_READ:
		shape_read(zones, plan);
		return read_is_admitted(zones, plan);
	case BDUS_OP_ZONE_REPORT:
		shape_report(zones, plan);
		return true;
	case BDUS_OP_ZONE_RESET_ALL:
		return shape_reset_all(zones, plan);
	case BDUS_OP_ZONE_APPEND:
		if (zones->zones[plan->zone].busy_with != BDUS_OP_COUNT ||
		    zones->pending_count == PENDING_MAX)
			return false;
		shape_append(zones, plan);
		return true;
	default:
		return shape_exclusive(zones, plan);
	}
}

void sim_zones_plan(const struct sim_zones *zones, struct sim_random *random, struct sim_plan *plan)
{
	static const struct {
		uint8_t op;
		uint8_t weight;
	} kinds[] = {
		{BDUS_OP_ZONE_APPEND, 34},   {BDUS_OP_WRITE, 24},     {BDUS_OP_READ, 20},
		{BDUS_OP_ZONE_REPORT, 5},    {BDUS_OP_FLUSH, 4},      {BDUS_OP_ZONE_OPEN, 4},
		{BDUS_OP_ZONE_CLOSE, 3},     {BDUS_OP_ZONE_RESET, 4}, {BDUS_OP_ZONE_FINISH, 1},
		{BDUS_OP_ZONE_RESET_ALL, 1},
	};
	uint64_t left = sim_random_below(random, 100);
	unsigned kind = 0;

	while (left >= kinds[kind].weight)
		left -= kinds[kind++].weight;
	plan->op = kinds[kind].op;
	plan->dice = sim_random_next(random);
	plan->zone = (uint32_t)sim_random_below(
		random, sim_random_chance(random, 60) ? base_min(zones->count, 5) : zones->count);
	if ((plan->op == BDUS_OP_WRITE || plan->op == BDUS_OP_ZONE_APPEND) &&
	    sim_random_chance(random, 15))
		plan->flags |= BDUS_REQUEST_FUA;
	if (plan->op == BDUS_OP_READ && sim_random_chance(random, 50))
		plan->flags |= BDUS_REQUEST_MAY_LEND;
}

bool sim_zones_plan_sweep(const struct sim_zones *zones, uint64_t step, struct sim_plan *plan)
{
	if (step >= 2 * (uint64_t)zones->count)
		return false;
	*plan = (struct sim_plan){
		.op = step % 2 == 0 ? BDUS_OP_ZONE_REPORT : BDUS_OP_READ,
		.is_sweep = true,
		.zone = (uint32_t)(step / 2),
		.zone_capacity = 1,
		.allowed = MAY_SUCCEED,
	};
	put_range(zones, plan, 0, zones->zone_blocks);
	return true;
}

/* ---- requests begin -------------------------------------------------------------------------- */

static bool changes_zones(const struct sim_plan *plan)
{
	return plan->op != BDUS_OP_READ && plan->op != BDUS_OP_ZONE_REPORT &&
	       plan->op != BDUS_OP_FLUSH;
}

static void begin_write(const struct sim_zones *zones, const struct sim_slot *slot)
{
	struct zone *const zone = &zones->zones[slot->plan.zone];
	const uint64_t block =
		slot->plan.offset_bytes % zones->attrs.zone_size_bytes / block_bytes(zones);

	if (slot->plan.allowed == MAY_FAIL ||
	    (zone->condition != BDUS_ZONE_NO_WRITE_POINTER && block != zone->written))
		return;
	for (uint32_t i = 0; i < slot->plan.length_bytes / block_bytes(zones); i++)
		zone->blocks[block + i] =
			(struct block){.id = first_id(slot) + i, .done = IN_FLIGHT};
}

static void begin_append(struct sim_zones *zones, const struct sim_slot *slot)
{
	struct zone *const zone = &zones->zones[slot->plan.zone];
	const uint32_t count = (uint32_t)(slot->plan.length_bytes / block_bytes(zones));

	zone->appends++;
	zone->append_blocks += count;
	zones->pending[zones->pending_count++] =
		(struct pending){.id = first_id(slot), .count = count, .zone = slot->plan.zone};
}

static void begin_read(const struct sim_zones *zones, const struct sim_plan *plan, int step)
{
	const uint64_t last = plan->offset_bytes + plan->length_bytes - 1;

	for (struct zone *zone = zone_at(zones, plan->offset_bytes); zone <= zone_at(zones, last);
	     zone++)
		zone->readers += (uint32_t)step;
}

static void occupy(struct sim_zones *zones, const struct sim_plan *plan, uint8_t with, uint64_t now)
{
	const bool all = plan->op == BDUS_OP_ZONE_RESET_ALL;
	const uint32_t first = all ? 0 : plan->zone;
	const uint32_t end = all ? zones->count : plan->zone + 1;

	for (uint32_t index = first; index < end; index++) {
		zones->zones[index].busy_with = with;
		zones->zones[index].touched = now;
	}
}

static uint8_t occupation(const struct sim_plan *plan)
{
	return plan->op == BDUS_OP_ZONE_RESET_ALL ? BDUS_OP_ZONE_RESET : plan->op;
}

void sim_zones_begin(struct sim_zones *zones, struct sim_slot *slot)
{
	struct sim_plan *const plan = &slot->plan;

	if (plan->op == BDUS_OP_READ)
		begin_read(zones, plan, 1);
	if (!changes_zones(plan))
		return;
	plan->was_alone = zones->changes == 0;
	plan->begun = ++zones->begun;
	zones->changes++;
	if (plan->op == BDUS_OP_ZONE_APPEND) {
		begin_append(zones, slot);
		return;
	}
	occupy(zones, plan, occupation(plan), slot->issued);
	if (plan->op == BDUS_OP_WRITE)
		begin_write(zones, slot);
}

/* ---- results --------------------------------------------------------------------------------- */

static unsigned kind_of(int result)
{
	switch (result) {
	case 0:
		return MAY_SUCCEED;
	case -EINVAL:
		return MAY_BE_INVALID;
	case -ETOOMANYREFS:
		return MAY_EXCEED_OPEN;
	case -EOVERFLOW:
		return MAY_EXCEED_ACTIVE;
	default:
		return result == -EIO ? MAY_FAIL : 0;
	}
}

/** Others may have opened and closed zones meanwhile. */
static unsigned widened(const struct sim_zones *zones, const struct sim_plan *plan)
{
	const unsigned about_limits = MAY_SUCCEED | MAY_EXCEED_OPEN | MAY_EXCEED_ACTIVE;
	const bool opens = plan->op == BDUS_OP_WRITE || plan->op == BDUS_OP_ZONE_APPEND ||
			   plan->op == BDUS_OP_ZONE_OPEN;

	if (!opens || !(plan->allowed & about_limits) || is_conventional(zones, plan->zone) ||
	    (plan->was_alone && zones->begun == plan->begun))
		return plan->allowed;
	return plan->allowed | MAY_SUCCEED |
	       (zones->attrs.max_open_zones != 0 ? MAY_EXCEED_OPEN : 0) |
	       (zones->attrs.max_active_zones != 0 ? MAY_EXCEED_ACTIVE : 0);
}

static void after_success(struct zone *zone)
{
	if (zone->condition == BDUS_ZONE_EMPTY)
		zone->condition = BDUS_ZONE_CLOSED;
	if (zone->written == zone->capacity)
		zone->condition = BDUS_ZONE_FULL;
}

static void end_write(const struct sim_zones *zones, const struct sim_slot *slot, uint64_t now)
{
	struct zone *const zone = &zones->zones[slot->plan.zone];
	const bool succeeded = slot->io.result == 0;
	const uint64_t block =
		slot->plan.offset_bytes % zones->attrs.zone_size_bytes / block_bytes(zones);
	const uint32_t count = (uint32_t)(slot->plan.length_bytes / block_bytes(zones));

	for (uint32_t i = 0; i < count && block + i < zone->capacity; i++) {
		struct block *const written = &zone->blocks[block + i];

		if (written->id != first_id(slot) + i)
			continue;
		written->done = now;
		written->durable = slot->plan.flags & BDUS_REQUEST_FUA;
		if (!succeeded)
			*written = (struct block){0};
	}
	if (!succeeded || zone->condition == BDUS_ZONE_NO_WRITE_POINTER)
		return;
	zone->written += count;
	after_success(zone);
}

/** All appends are back: they must have left no gap. */
static const char *settle_appends(struct zone *zone)
{
	const uint32_t end = zone->written + zone->appended_blocks;

	for (uint32_t i = zone->written; i < end; i++)
		if (zone->blocks[i].id == 0)
			return "appends to its zone left a gap";
	zone->append_blocks = 0;
	zone->appended_blocks = 0;
	if (end == zone->written)
		return NULL;
	zone->written = end;
	after_success(zone);
	return NULL;
}

static const char *place_append(struct sim_zones *zones, const struct sim_slot *slot, uint64_t now)
{
	struct zone *const zone = &zones->zones[slot->plan.zone];
	const uint64_t at = slot->io.request.append_offset_bytes;
	const uint32_t count = (uint32_t)(slot->plan.length_bytes / block_bytes(zones));
	const uint64_t start = slot->plan.zone * zones->attrs.zone_size_bytes;
	const uint64_t block = (at - start) / block_bytes(zones);

	if (at < start || at % block_bytes(zones) != 0 || block < zone->written ||
	    block + count > zone->capacity)
		return "an append is reported where none can go";
	for (uint32_t i = 0; i < count; i++) {
		if (zone->blocks[block + i].id != 0)
			return "two appends are reported at one place";
		zone->blocks[block + i] = (struct block){
			.id = first_id(slot) + i,
			.done = now,
			.durable = slot->plan.flags & BDUS_REQUEST_FUA,
		};
	}
	zone->appended_blocks += count;
	return NULL;
}

static const char *end_append(struct sim_zones *zones, const struct sim_slot *slot, uint64_t now)
{
	struct zone *const zone = &zones->zones[slot->plan.zone];
	const char *wrong = NULL;

	drop_pending(zones, first_id(slot));
	zone->touched = now;
	zone->appends--;
	if (slot->io.result == 0)
		wrong = place_append(zones, slot, now);
	else
		zone->append_blocks -= (uint32_t)(slot->plan.length_bytes / block_bytes(zones));
	if (wrong == NULL && zone->appends == 0)
		wrong = settle_appends(zone);
	return wrong;
}

static void empty(const struct sim_zones *zones, struct zone *zone)
{
	memset(zone->blocks, 0, zones->zone_blocks * sizeof(*zone->blocks));
	zone->written = 0;
	zone->finished = false;
	zone->condition = BDUS_ZONE_EMPTY;
}

static void end_reset_all(const struct sim_zones *zones)
{
	for (uint32_t index = 0; index < zones->count; index++)
		if (can_be_changed(zones, index))
			empty(zones, &zones->zones[index]);
}

static void end_change(const struct sim_zones *zones, const struct sim_plan *plan)
{
	struct zone *const zone = &zones->zones[plan->zone];

	if (plan->op == BDUS_OP_ZONE_RESET_ALL) {
		end_reset_all(zones);
	} else if (plan->op == BDUS_OP_ZONE_RESET) {
		empty(zones, zone);
	} else if (plan->op == BDUS_OP_ZONE_FINISH) {
		zone->condition = BDUS_ZONE_FULL;
		zone->finished = true;
	} else if (plan->op == BDUS_OP_ZONE_OPEN) {
		zone->condition = BDUS_ZONE_EXPLICIT_OPEN;
	} else if (zone->condition == BDUS_ZONE_EXPLICIT_OPEN) {
		zone->condition = zone->written == 0 ? BDUS_ZONE_EMPTY : BDUS_ZONE_CLOSED;
	}
}

/* ---- contents and reports -------------------------------------------------------------------- */

static bool is_durable(const struct sim_zones *zones, const struct block *block)
{
	return block->id != 0 && (block->durable || block->done < zones->flushed);
}

/** Whether a write to the block may have been on its way while it was read. */
static bool was_in_flight(const struct zone *zone, uint32_t number, uint64_t issued)
{
	const struct block *const block = &zone->blocks[number];

	if (block->id != 0)
		return block->done == IN_FLIGHT || block->done >= issued;
	return number >= zone->written && (zone->appends > 0 || zone->touched >= issued);
}

/** A block that was read while the disk goes on. One that is being written reads as before, or as
 * after, and before may be what the zone held before it was reset. */
static const char *check_block(const struct sim_zones *zones, uint32_t index, uint32_t number,
			       uint64_t id, uint64_t issued)
{
	const struct zone *const zone = &zones->zones[index];

	if (id == zone->blocks[number].id || was_in_flight(zone, number, issued))
		return NULL;
	return id == 0 ? "what was written reads as zeros" : "it reads other data than was written";
}

/** A block as the crash left it, which is believed from then on. */
static const char *adopt_block(const struct sim_zones *zones, uint32_t index, uint32_t number,
			       uint64_t id)
{
	struct zone *const zone = &zones->zones[index];
	struct block *const block = &zone->blocks[number];
	const bool conventional = is_conventional(zones, index);
	const bool resets = zone->busy_with == BDUS_OP_ZONE_RESET;

	if (id != block->id && is_durable(zones, block) && !(resets && id == 0))
		return "what was durable is lost after a crash";
	if (id != 0 && id != block->id && !conventional && !is_pending(zones, index, id))
		return "after a crash it reads other data than was written";
	if (id != 0 && !conventional && zone->held != number)
		return "after a crash there is data behind a gap";
	zone->held += id != 0 && !conventional;
	*block = (struct block){.id = id, .durable = true};
	return NULL;
}

/** A write that the crash tore is there in part, where no write pointer can hide it. */
static const char *adopt_torn(const struct sim_zones *zones, uint32_t index, uint32_t number)
{
	struct block *const block = &zones->zones[index].blocks[number];

	if (!is_conventional(zones, index) || is_durable(zones, block))
		return "a block is torn";
	*block = (struct block){.id = UINT64_MAX, .done = IN_FLIGHT};
	return NULL;
}

static const char *judge_crashed(struct sim_zones *zones, uint32_t index);

static const char *check_data(struct sim_zones *zones, const struct sim_slot *slot)
{
	const uint32_t bytes = block_bytes(zones);
	const uint64_t first = slot->plan.offset_bytes / bytes;
	const bool adopts = zones->zones[slot->plan.zone].crashed;
	const uint64_t *const words = slot->payload;
	const char *wrong = NULL;
	uint64_t id;

	if (adopts)
		zones->zones[slot->plan.zone].held = 0;
	for (uint64_t i = 0; i < slot->plan.length_bytes / bytes && wrong == NULL; i++) {
		const uint32_t index = (uint32_t)((first + i) / zones->zone_blocks);
		const uint32_t number = (uint32_t)((first + i) % zones->zone_blocks);

		const bool is_whole = read_block(words + i * bytes / sizeof(*words), bytes, &id);

		if (!is_whole && adopts)
			wrong = adopt_torn(zones, index, number);
		else if (!is_whole)
			wrong = was_in_flight(&zones->zones[index], number, slot->issued)
					? NULL
					: "a block is torn";
		else if (adopts)
			wrong = adopt_block(zones, index, number, id);
		else
			wrong = check_block(zones, index, number, id, slot->issued);
	}
	return wrong == NULL && adopts ? judge_crashed(zones, slot->plan.zone) : wrong;
}

/** Both the report and the content of a zone after a crash are known: do they belong together? */
static const char *judge_crashed(struct sim_zones *zones, uint32_t index)
{
	struct zone *const zone = &zones->zones[index];
	const bool limits = zones->attrs.max_active_zones != 0;
	const uint8_t busy_with = zone->busy_with;
	const bool was_finished = zone->finished;
	const uint32_t issued = zone->written + zone->append_blocks;

	if (zone->held == NO_HELD || zone->reported == NOT_REPORTED)
		return NULL;
	zone->crashed = false;
	zone->busy_with = BDUS_OP_COUNT;
	zone->append_blocks = 0;
	zone->appended_blocks = 0;
	if (is_conventional(zones, index))
		return NULL;
	zone->written = zone->held;
	zone->condition = zone->reported;
	zone->finished = zone->reported == BDUS_ZONE_FULL;
	if (zone->reported == BDUS_ZONE_EMPTY && zone->held == 0)
		return was_finished && busy_with != BDUS_OP_ZONE_RESET ? "a finished zone is empty"
								       : NULL;
	if (zone->reported == BDUS_ZONE_FULL) {
		if (!was_finished && !limits && busy_with != BDUS_OP_ZONE_FINISH &&
		    busy_with != BDUS_OP_WRITE && issued < zone->capacity)
			return "after a crash a zone is full that was not filled";
		return NULL;
	}
	if (zone->reported != BDUS_ZONE_CLOSED)
		return "after a crash a zone is in a condition that does not last";
	if (was_finished)
		return "a finished zone is not full after a crash";
	return zone->reported_blocks == zone->held
		       ? NULL
		       : "after a crash the write pointer is not where the data ends";
}

static bool condition_matches(uint8_t reported, uint8_t known)
{
	return reported == known ||
	       (known == BDUS_ZONE_CLOSED && reported == BDUS_ZONE_IMPLICIT_OPEN);
}

static const char *check_reported(struct sim_zones *zones, uint32_t index,
				  const struct bdus_zone *reported, uint64_t issued)
{
	struct zone *const zone = &zones->zones[index];
	const uint64_t start = index * zones->attrs.zone_size_bytes;
	const uint64_t blocks = (reported->write_pointer_bytes - start) / block_bytes(zones);

	if (reported->start_bytes != start ||
	    reported->length_bytes != zones->attrs.zone_size_bytes ||
	    reported->capacity_bytes != (uint64_t)zone->capacity * block_bytes(zones) ||
	    (reported->type == BDUS_ZONE_CONVENTIONAL) != is_conventional(zones, index))
		return "a zone is reported with another geometry than it has";
	if (zone->crashed) {
		zone->reported = reported->condition;
		zone->reported_blocks = (uint32_t)blocks;
		return judge_crashed(zones, index);
	}
	if (is_busy(zone) || zone->touched >= issued)
		return NULL;
	if (!condition_matches(reported->condition, zone->condition))
		return "a zone is reported in another condition than it has";
	if ((zone->condition == BDUS_ZONE_EMPTY || zone->condition == BDUS_ZONE_CLOSED ||
	     zone->condition == BDUS_ZONE_EXPLICIT_OPEN) &&
	    blocks != zone->written)
		return "a write pointer is reported where it is not";
	return NULL;
}

static const char *check_open_count(const struct sim_zones *zones, const struct bdus_zone *reported,
				    uint32_t count)
{
	unsigned open = 0;

	for (uint32_t i = 0; i < count; i++)
		open += reported[i].condition == BDUS_ZONE_IMPLICIT_OPEN ||
			reported[i].condition == BDUS_ZONE_EXPLICIT_OPEN;
	return zones->attrs.max_open_zones != 0 && open > zones->attrs.max_open_zones
		       ? "more zones are open than may be"
		       : NULL;
}

static const char *check_report(struct sim_zones *zones, const struct sim_slot *slot)
{
	const struct bdus_request *const request = &slot->io.request;
	const uint32_t expected =
		(uint32_t)base_min(slot->plan.zone_capacity, zones->count - slot->plan.zone);
	const char *wrong = NULL;

	if (request->zone_count == 0 || request->zone_count > slot->plan.zone_capacity ||
	    request->zone_count > expected)
		return "the number of zones is 0, or more than there is room for";
	for (uint32_t i = 0; i < request->zone_count && wrong == NULL; i++)
		wrong = check_reported(zones, slot->plan.zone + i, &slot->zones[i], slot->issued);
	return wrong != NULL ? wrong : check_open_count(zones, slot->zones, request->zone_count);
}

/* ---- requests end ---------------------------------------------------------------------------- */

static const char *end_change_request(struct sim_zones *zones, const struct sim_slot *slot,
				      uint64_t now)
{
	const struct sim_plan *const plan = &slot->plan;

	zones->changes--;
	if (plan->op == BDUS_OP_ZONE_APPEND)
		return end_append(zones, slot, now);
	occupy(zones, plan, BDUS_OP_COUNT, now);
	if (plan->op == BDUS_OP_WRITE)
		end_write(zones, slot, now);
	else if (slot->io.result == 0)
		end_change(zones, plan);
	return NULL;
}

const char *sim_zones_answer(struct sim_zones *zones, struct sim_slot *slot, uint64_t now,
			     bool power_failed)
{
	const int result = slot->io.result;
	const bool is_right = widened(zones, &slot->plan) & kind_of(result);

	if (slot->plan.op == BDUS_OP_READ)
		begin_read(zones, &slot->plan, -1);
	/* What became of it shows when there is power again. */
	if (result < 0 && power_failed)
		return NULL;
	if (!is_right)
		return "the result is not the one that it must have";
	if (changes_zones(&slot->plan))
		return end_change_request(zones, slot, now);
	if (result < 0)
		return NULL;
	return slot->plan.op == BDUS_OP_READ ? check_data(zones, slot) : check_report(zones, slot);
}

void sim_zones_end_flush(struct sim_zones *zones, uint64_t issued)
{
	zones->flushed = base_max(zones->flushed, issued);
}
