/* SPDX-License-Identifier: MIT */
/*
 * The state of zones: every operation on every condition, the limits, writes and appends and where
 * they may go, what a restart finds, and the checker, which must accept what the rules allow and
 * find what they do not.
 */
#include "base/bits.h"
#include "base/error.h"
#include "zones.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ZONE     UINT64_C(65536)
#define CAPACITY UINT64_C(49152)
#define BLOCK    UINT64_C(4096)
#define ZONES    16U
#define CONV     2U
/* Where the tests' favourite sequential zone starts. */
#define Z(n) ((CONV + (n)) * ZONE)

static const struct bdus_zone_geometry plain = {
	.size_bytes = ZONES * ZONE,
	.zone_size_bytes = ZONE,
	.zone_capacity_bytes = CAPACITY,
	.logical_block_size = BLOCK,
	.conventional_zones = CONV,
};

static struct bdus_zones *make(uint32_t max_open, uint32_t max_active)
{
	struct bdus_zone_geometry geometry = plain;
	struct bdus_zones *zones;

	geometry.max_open_zones = max_open;
	geometry.max_active_zones = max_active;
	assert_int_equal(bdus_zones_create(&geometry, &zones), 0);
	return zones;
}

static struct bdus_zone look(const struct bdus_zones *zones, uint64_t start)
{
	struct bdus_zone zone;

	assert_int_equal(bdus_zones_report(zones, start, &zone, 1), 1);
	return zone;
}

static void assert_is(const struct bdus_zones *zones, uint64_t start, unsigned condition,
		      uint64_t written)
{
	const struct bdus_zone zone = look(zones, start);

	assert_string_equal(bdus_zone_condition_name(zone.condition),
			    bdus_zone_condition_name(condition));
	assert_int_equal(zone.write_pointer_bytes - start, written);
}

static void assert_counts(const struct bdus_zones *zones, unsigned open, unsigned active)
{
	assert_int_equal(bdus_zones_open_count(zones), open);
	assert_int_equal(bdus_zones_active_count(zones), active);
}

static void assert_said(const char *part)
{
	if (strstr(base_error_message(), part) == NULL)
		fail_msg("'%s' does not say '%s'", base_error_message(), part);
}

/* ---- transitions --------------------------------------------------------------------------- */

enum deed {
	WRITE,
	FILL,
	APPEND,
	OPEN,
	CLOSE,
	FINISH,
	RESET,
	DEEDS
};

/** Puts the zone at Z(0) into @condition, with one block written where that is possible. */
static void bring_into(struct bdus_zones *zones, unsigned condition)
{
	switch (condition) {
	case BDUS_ZONE_EMPTY:
		break;
	case BDUS_ZONE_IMPLICIT_OPEN:
		assert_int_equal(bdus_zones_write(zones, Z(0), BLOCK), 0);
		break;
	case BDUS_ZONE_EXPLICIT_OPEN:
		assert_int_equal(bdus_zones_write(zones, Z(0), BLOCK), 0);
		assert_int_equal(bdus_zones_open(zones, Z(0)), 0);
		break;
	case BDUS_ZONE_CLOSED:
		assert_int_equal(bdus_zones_write(zones, Z(0), BLOCK), 0);
		assert_int_equal(bdus_zones_close(zones, Z(0)), 0);
		break;
	case BDUS_ZONE_FULL:
		assert_int_equal(bdus_zones_write(zones, Z(0), CAPACITY), 0);
		break;
	default:
		assert_int_equal(bdus_zones_restore(zones, CONV, condition, BLOCK), 0);
	}
	assert_int_equal(look(zones, Z(0)).condition, condition);
}

static int act(struct bdus_zones *zones, enum deed deed)
{
	const uint64_t pointer = look(zones, Z(0)).write_pointer_bytes;
	uint64_t at;

	switch (deed) {
	case WRITE:
		return bdus_zones_write(zones, pointer, BLOCK);
	case FILL:
		return bdus_zones_write(zones, pointer, Z(0) + CAPACITY - pointer);
	case APPEND:
		return bdus_zones_append(zones, Z(0), BLOCK, &at);
	case OPEN:
		return bdus_zones_open(zones, Z(0));
	case CLOSE:
		return bdus_zones_close(zones, Z(0));
	case FINISH:
		return bdus_zones_finish(zones, Z(0));
	default:
		return bdus_zones_reset(zones, Z(0));
	}
}

#define NO 0xff
enum {
	E = BDUS_ZONE_EMPTY,
	I = BDUS_ZONE_IMPLICIT_OPEN,
	X = BDUS_ZONE_EXPLICIT_OPEN,
	C = BDUS_ZONE_CLOSED,
	F = BDUS_ZONE_FULL,
};

static const struct {
	uint8_t from;
	uint8_t to[DEEDS];
} transitions[] = {
	/*                        write fill append open close finish reset */
	{BDUS_ZONE_EMPTY, {I, F, I, X, E, F, E}},
	{BDUS_ZONE_IMPLICIT_OPEN, {I, F, I, X, C, F, E}},
	{BDUS_ZONE_EXPLICIT_OPEN, {X, F, X, X, C, F, E}},
	{BDUS_ZONE_CLOSED, {I, F, I, X, C, F, E}},
	{BDUS_ZONE_FULL, {NO, NO, NO, NO, NO, F, E}},
	{BDUS_ZONE_READ_ONLY, {NO, NO, NO, NO, NO, NO, NO}},
	{BDUS_ZONE_OFFLINE, {NO, NO, NO, NO, NO, NO, NO}},
};

static void check_transition(unsigned from, enum deed deed, unsigned to)
{
	struct bdus_zones *const zones = make(3, 4);
	struct bdus_zone before, after;
	unsigned open, active;
	int result;

	bring_into(zones, from);
	before = look(zones, Z(0));
	open = bdus_zones_open_count(zones);
	active = bdus_zones_active_count(zones);
	result = act(zones, deed);
	after = look(zones, Z(0));
	if (to == NO) {
		/* A fill of a full zone has no length. */
		assert_true(result == -EIO || (result == -EINVAL && deed == FILL));
		assert_memory_equal(&before, &after, sizeof(after));
		assert_counts(zones, open, active);
	} else {
		assert_int_equal(result, 0);
		assert_string_equal(bdus_zone_condition_name(after.condition),
				    bdus_zone_condition_name(to));
		assert_counts(zones, to == I || to == X, to == I || to == X || to == C);
	}
	bdus_zones_destroy(zones);
}

static void every_operation_on_every_condition_leads_where_the_diagram_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(transitions); i++)
		for (unsigned deed = 0; deed < DEEDS; deed++)
			check_transition(transitions[i].from, (enum deed)deed,
					 transitions[i].to[deed]);
}

static void an_open_zone_without_data_closes_to_empty(void **state)
{
	struct bdus_zones *const zones = make(0, 0);

	(void)state;
	assert_int_equal(bdus_zones_open(zones, Z(3)), 0);
	assert_counts(zones, 1, 1);
	assert_int_equal(bdus_zones_close(zones, Z(3)), 0);
	assert_is(zones, Z(3), BDUS_ZONE_EMPTY, 0);
	assert_counts(zones, 0, 0);
	bdus_zones_destroy(zones);
}

static void a_finished_zone_tells_how_much_of_it_holds_data(void **state)
{
	struct bdus_zones *const zones = make(0, 0);
	uint64_t part;

	(void)state;
	assert_int_equal(bdus_zones_write(zones, Z(0), 2 * BLOCK), 0);
	assert_int_equal(bdus_zones_finish(zones, Z(0)), 0);
	assert_is(zones, Z(0), BDUS_ZONE_FULL, CAPACITY);
	assert_int_equal(bdus_zones_written_bytes(zones, CONV), 2 * BLOCK);
	assert_int_equal(bdus_zones_read_part(zones, Z(0) + BLOCK, 4 * BLOCK, &part), 1);
	assert_int_equal(part, BLOCK);
	assert_int_equal(bdus_zones_read_part(zones, Z(0) + 2 * BLOCK, ZONE, &part), 0);
	assert_int_equal(part, ZONE - 2 * BLOCK);
	bdus_zones_destroy(zones);
}

/* ---- limits -------------------------------------------------------------------------------- */

static void an_implicitly_open_zone_gives_way_and_the_first_one_does(void **state)
{
	struct bdus_zones *const zones = make(2, 0);

	(void)state;
	assert_int_equal(bdus_zones_write(zones, Z(0), BLOCK), 0);
	assert_int_equal(bdus_zones_write(zones, Z(1), BLOCK), 0);
	assert_int_equal(bdus_zones_write(zones, Z(0) + BLOCK, BLOCK), 0);
	assert_int_equal(bdus_zones_write(zones, Z(2), BLOCK), 0);
	assert_is(zones, Z(0), BDUS_ZONE_CLOSED, 2 * BLOCK);
	assert_is(zones, Z(1), BDUS_ZONE_IMPLICIT_OPEN, BLOCK);
	assert_is(zones, Z(2), BDUS_ZONE_IMPLICIT_OPEN, BLOCK);
	assert_counts(zones, 2, 3);
	assert_int_equal(bdus_zones_open(zones, Z(0)), 0);
	assert_is(zones, Z(1), BDUS_ZONE_CLOSED, BLOCK);
	assert_counts(zones, 2, 3);
	bdus_zones_destroy(zones);
}

static void explicitly_open_zones_do_not_give_way(void **state)
{
	struct bdus_zones *const zones = make(2, 0);
	uint64_t at = 17;

	(void)state;
	assert_int_equal(bdus_zones_open(zones, Z(0)), 0);
	assert_int_equal(bdus_zones_open(zones, Z(1)), 0);
	assert_int_equal(bdus_zones_write(zones, Z(2), BLOCK), -ETOOMANYREFS);
	assert_said("2 zones are explicitly open");
	assert_int_equal(bdus_zones_append(zones, Z(2), BLOCK, &at), -ETOOMANYREFS);
	assert_int_equal(at, 17);
	assert_int_equal(bdus_zones_open(zones, Z(2)), -ETOOMANYREFS);
	assert_is(zones, Z(2), BDUS_ZONE_EMPTY, 0);
	assert_int_equal(bdus_zones_write(zones, Z(1), BLOCK), 0);
	assert_int_equal(bdus_zones_close(zones, Z(0)), 0);
	assert_int_equal(bdus_zones_write(zones, Z(2), BLOCK), 0);
	bdus_zones_destroy(zones);
}

static void closed_zones_stay_active_until_they_are_full_or_reset(void **state)
{
	struct bdus_zones *const zones = make(1, 2);

	(void)state;
	assert_int_equal(bdus_zones_write(zones, Z(0), BLOCK), 0);
	assert_int_equal(bdus_zones_write(zones, Z(1), BLOCK), 0);
	assert_int_equal(bdus_zones_write(zones, Z(2), BLOCK), -EOVERFLOW);
	assert_said("2 zones are active");
	assert_is(zones, Z(1), BDUS_ZONE_IMPLICIT_OPEN, BLOCK);
	assert_int_equal(bdus_zones_open(zones, Z(2)), -EOVERFLOW);
	assert_int_equal(bdus_zones_write(zones, Z(0) + BLOCK, BLOCK), 0);
	assert_int_equal(bdus_zones_finish(zones, Z(0)), 0);
	assert_int_equal(bdus_zones_write(zones, Z(2), BLOCK), 0);
	assert_int_equal(bdus_zones_write(zones, Z(3), BLOCK), -EOVERFLOW);
	assert_int_equal(bdus_zones_reset(zones, Z(1)), 0);
	assert_int_equal(bdus_zones_write(zones, Z(3), BLOCK), 0);
	/* To be finished, an empty zone needs nothing. */
	assert_int_equal(bdus_zones_finish(zones, Z(5)), 0);
	assert_counts(zones, 1, 2);
	bdus_zones_destroy(zones);
}

/* ---- places -------------------------------------------------------------------------------- */

static void writes_go_to_the_write_pointer_and_nowhere_else(void **state)
{
	struct bdus_zones *const zones = make(0, 0);

	(void)state;
	assert_int_equal(bdus_zones_write(zones, Z(0) + BLOCK, BLOCK), -EIO);
	assert_said("must be at its write pointer, 131072");
	assert_int_equal(bdus_zones_write(zones, Z(0), BLOCK), 0);
	assert_int_equal(bdus_zones_write(zones, Z(0), BLOCK), -EIO);
	assert_int_equal(bdus_zones_write(zones, Z(0) + BLOCK, CAPACITY), -EIO);
	assert_said("has room for 45056");
	assert_int_equal(bdus_zones_write(zones, Z(0) + BLOCK, CAPACITY - BLOCK), 0);
	assert_is(zones, Z(0), BDUS_ZONE_FULL, CAPACITY);
	assert_int_equal(bdus_zones_write(zones, Z(0) + CAPACITY, BLOCK), -EIO);
	assert_int_equal(bdus_zones_write(zones, Z(0) + 512, BLOCK), -EINVAL);
	assert_int_equal(bdus_zones_write(zones, Z(1), 512), -EINVAL);
	assert_int_equal(bdus_zones_write(zones, Z(1), 0), -EINVAL);
	assert_int_equal(bdus_zones_write(zones, ZONES * ZONE, BLOCK), -EINVAL);
	assert_int_equal(bdus_zones_write(zones, UINT64_MAX - BLOCK + 1, 2 * BLOCK), -EINVAL);
	bdus_zones_destroy(zones);
}

static void conventional_zones_are_written_anywhere_but_not_across_their_end(void **state)
{
	struct bdus_zones *const zones = make(1, 1);

	(void)state;
	assert_int_equal(bdus_zones_write(zones, ZONE - BLOCK, 2 * BLOCK), 0);
	assert_int_equal(bdus_zones_write(zones, 0, CONV * ZONE), 0);
	assert_int_equal(bdus_zones_write(zones, CONV * ZONE - BLOCK, 2 * BLOCK), -EIO);
	assert_is(zones, Z(0), BDUS_ZONE_EMPTY, 0);
	assert_int_equal(look(zones, 0).condition, BDUS_ZONE_NO_WRITE_POINTER);
	assert_int_equal(look(zones, 0).capacity_bytes, ZONE);
	assert_int_equal(bdus_zones_reset(zones, 0), -EINVAL);
	assert_said("conventional");
	assert_int_equal(bdus_zones_open(zones, ZONE), -EINVAL);
	assert_counts(zones, 0, 0);
	bdus_zones_destroy(zones);
}

static void appends_tell_where_they_went(void **state)
{
	struct bdus_zone_geometry geometry = plain;
	struct bdus_zones *zones;
	uint64_t at;

	(void)state;
	geometry.max_append_bytes = 5 * BLOCK;
	assert_int_equal(bdus_zones_create(&geometry, &zones), 0);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(bdus_zones_append(zones, Z(0), BLOCK, &at), 0);
		assert_int_equal(at, Z(0) + i * BLOCK);
	}
	assert_int_equal(bdus_zones_append(zones, Z(0), BLOCK, &at), -EIO);
	assert_int_equal(bdus_zones_append(zones, Z(1), 6 * BLOCK, &at), -EINVAL);
	assert_said("at most 20480");
	assert_int_equal(bdus_zones_append(zones, Z(1), 5 * BLOCK, &at), 0);
	assert_int_equal(bdus_zones_append(zones, Z(1), 5 * BLOCK, &at), 0);
	assert_int_equal(bdus_zones_append(zones, Z(1), 5 * BLOCK, &at), -EIO);
	assert_is(zones, Z(1), BDUS_ZONE_IMPLICIT_OPEN, 10 * BLOCK);
	assert_int_equal(bdus_zones_append(zones, Z(1) + BLOCK, BLOCK, &at), -EINVAL);
	assert_int_equal(bdus_zones_append(zones, 0, BLOCK, &at), -EINVAL);
	assert_int_equal(bdus_zones_append(zones, ZONES * ZONE, BLOCK, &at), -EINVAL);
	bdus_zones_destroy(zones);
}

static void the_newest_write_can_be_taken_back(void **state)
{
	struct bdus_zones *const zones = make(1, 1);

	(void)state;
	assert_int_equal(bdus_zones_write(zones, Z(0), BLOCK), 0);
	assert_int_equal(bdus_zones_write(zones, Z(0) + BLOCK, BLOCK), 0);
	assert_int_equal(bdus_zones_undo_write(zones, Z(0), BLOCK), -EINVAL);
	assert_int_equal(bdus_zones_undo_write(zones, Z(0) + BLOCK, BLOCK), 0);
	assert_is(zones, Z(0), BDUS_ZONE_IMPLICIT_OPEN, BLOCK);
	assert_int_equal(bdus_zones_undo_write(zones, Z(0), BLOCK), 0);
	assert_is(zones, Z(0), BDUS_ZONE_EMPTY, 0);
	assert_int_equal(bdus_zones_write(zones, Z(1), CAPACITY), 0);
	assert_int_equal(bdus_zones_undo_write(zones, Z(1), CAPACITY), 0);
	assert_is(zones, Z(1), BDUS_ZONE_EMPTY, 0);
	assert_counts(zones, 0, 0);
	bdus_zones_destroy(zones);
}

static void broken_zones_are_read_as_far_as_they_can_be(void **state)
{
	struct bdus_zones *const zones = make(0, 0);
	uint64_t part;

	(void)state;
	assert_int_equal(bdus_zones_restore(zones, CONV, BDUS_ZONE_READ_ONLY, BLOCK), 0);
	assert_int_equal(bdus_zones_restore(zones, CONV + 1, BDUS_ZONE_OFFLINE, BLOCK), 0);
	assert_int_equal(bdus_zones_read_part(zones, Z(0), 2 * BLOCK, &part), 1);
	assert_int_equal(part, BLOCK);
	assert_int_equal(bdus_zones_read_part(zones, Z(0) + BLOCK, BLOCK, &part), -EIO);
	assert_int_equal(bdus_zones_read_part(zones, Z(1), BLOCK, &part), -EIO);
	bdus_zones_reset_all(zones);
	assert_int_equal(look(zones, Z(0)).condition, BDUS_ZONE_READ_ONLY);
	assert_int_equal(look(zones, Z(1)).condition, BDUS_ZONE_OFFLINE);
	bdus_zones_destroy(zones);
}

static void reports_stop_at_the_end_and_start_where_zones_do(void **state)
{
	struct bdus_zones *const zones = make(0, 0);
	struct bdus_zone described[ZONES + 1];

	(void)state;
	assert_int_equal(bdus_zones_report(zones, 0, described, ZONES + 1), ZONES);
	for (unsigned i = 0; i < ZONES; i++) {
		assert_int_equal(described[i].start_bytes, i * ZONE);
		assert_int_equal(described[i].length_bytes, ZONE);
		assert_int_equal(described[i].type,
				 i < CONV ? BDUS_ZONE_CONVENTIONAL : BDUS_ZONE_SEQUENTIAL);
	}
	assert_int_equal(bdus_zones_report(zones, (ZONES - 1) * ZONE, described, 5), 1);
	assert_int_equal(bdus_zones_report(zones, ZONES * ZONE, described, 1), -EINVAL);
	assert_int_equal(bdus_zones_report(zones, ZONE / 2, described, 1), -EINVAL);
	bdus_zones_destroy(zones);
}

static void what_is_restored_must_be_possible(void **state)
{
	struct bdus_zones *const zones = make(1, 2);

	(void)state;
	assert_int_equal(bdus_zones_restore(zones, 0, BDUS_ZONE_EMPTY, 0), -EINVAL);
	assert_int_equal(bdus_zones_restore(zones, ZONES, BDUS_ZONE_EMPTY, 0), -EINVAL);
	assert_int_equal(bdus_zones_restore(zones, 5, BDUS_ZONE_EMPTY, BLOCK), -EINVAL);
	assert_int_equal(bdus_zones_restore(zones, 5, BDUS_ZONE_CLOSED, 0), -EINVAL);
	assert_int_equal(bdus_zones_restore(zones, 5, BDUS_ZONE_CLOSED, CAPACITY), -EINVAL);
	assert_int_equal(bdus_zones_restore(zones, 5, BDUS_ZONE_CLOSED, 512), -EINVAL);
	assert_int_equal(bdus_zones_restore(zones, 5, BDUS_ZONE_FULL, ZONE), -EINVAL);
	assert_int_equal(bdus_zones_restore(zones, 5, BDUS_ZONE_IMPLICIT_OPEN, BLOCK), -EINVAL);
	assert_int_equal(bdus_zones_restore(zones, 5, 0x7, BLOCK), -EINVAL);
	assert_int_equal(bdus_zones_restore(zones, 5, BDUS_ZONE_CLOSED, BLOCK), 0);
	assert_int_equal(bdus_zones_restore(zones, 6, BDUS_ZONE_CLOSED, BLOCK), 0);
	assert_int_equal(bdus_zones_restore(zones, 7, BDUS_ZONE_CLOSED, BLOCK), -EOVERFLOW);
	assert_int_equal(bdus_zones_restore(zones, 6, BDUS_ZONE_FULL, BLOCK), 0);
	assert_int_equal(bdus_zones_restore(zones, 7, BDUS_ZONE_CLOSED, BLOCK), 0);
	assert_counts(zones, 0, 2);
	bdus_zones_destroy(zones);
}

static void geometries_that_break_a_rule_are_refused(void **state)
{
	static const struct {
		struct bdus_zone_geometry geometry;
		const char *part;
	} cases[] = {
		{{.size_bytes = 1 << 20, .zone_size_bytes = 3000, .logical_block_size = 512},
		 "zone size 3000"},
		{{.size_bytes = 3 << 19, .zone_size_bytes = 1 << 20, .logical_block_size = 512},
		 "multiple of the zone size"},
		{{.size_bytes = 1 << 20, .zone_size_bytes = 65536, .logical_block_size = 100},
		 "logical block size 100"},
		{{.size_bytes = 1 << 20,
		  .zone_size_bytes = 65536,
		  .zone_capacity_bytes = 65537,
		  .logical_block_size = 512},
		 "zone capacity 65537"},
		{{.size_bytes = 1 << 20,
		  .zone_size_bytes = 65536,
		  .logical_block_size = 512,
		  .conventional_zones = 16},
		 "fewer than all 16"},
		{{.size_bytes = 1 << 20,
		  .zone_size_bytes = 65536,
		  .logical_block_size = 512,
		  .conventional_zones = 8,
		  .max_open_zones = 9},
		 "sequential zones, 8"},
		{{.size_bytes = 1 << 20,
		  .zone_size_bytes = 65536,
		  .logical_block_size = 512,
		  .max_open_zones = 4,
		  .max_active_zones = 3},
		 "4 open zones"},
		{{.size_bytes = 1 << 20,
		  .zone_size_bytes = 65536,
		  .logical_block_size = 4096,
		  .max_append_bytes = 512},
		 "append 512"},
		{{.size_bytes = UINT64_C(1) << 62,
		  .zone_size_bytes = 4096,
		  .logical_block_size = 512},
		 "must be at most 2147483647"},
	};
	struct bdus_zones *zones = NULL;

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(cases); i++) {
		assert_int_equal(bdus_zones_create(&cases[i].geometry, &zones), -EINVAL);
		assert_said(cases[i].part);
		assert_null(zones);
	}
}

/* ---- the checker ---------------------------------------------------------------------------- */

static uint64_t random_state;

static uint64_t draw(uint64_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return (random_state >> 33) % limit;
}

static struct bdus_request draw_request(const struct bdus_zones *zones, struct bdus_zone *room)
{
	static const uint8_t ops[] = {
		BDUS_OP_WRITE,       BDUS_OP_WRITE,     BDUS_OP_ZONE_APPEND, BDUS_OP_ZONE_APPEND,
		BDUS_OP_ZONE_REPORT, BDUS_OP_ZONE_OPEN, BDUS_OP_ZONE_CLOSE,  BDUS_OP_ZONE_FINISH,
		BDUS_OP_ZONE_RESET,  BDUS_OP_READ,      BDUS_OP_FLUSH,
	};
	struct bdus_request request = {
		.op = ops[draw(sizeof(ops))],
		.offset_bytes = draw(ZONES) * ZONE,
		.length_bytes = (1 + draw(6)) * BLOCK,
		.zones = room,
		.zone_capacity = ZONES,
	};

	if (draw(200) == 0)
		request.op = BDUS_OP_ZONE_RESET_ALL;
	if (request.op == BDUS_OP_WRITE && draw(4) != 0)
		request.offset_bytes = look(zones, request.offset_bytes).write_pointer_bytes;
	if (request.offset_bytes + request.length_bytes > ZONES * ZONE)
		request.offset_bytes -= BLOCK * 6;
	return request;
}

static void the_checker_accepts_what_the_rules_allow(void **state)
{
	struct bdus_zones *const driver = make(3, 5);
	struct bdus_zones *const checker = make(3, 5);
	struct bdus_zone room[ZONES];
	unsigned successes = 0;

	(void)state;
	random_state = 1;
	for (unsigned i = 0; i < 100000; i++) {
		struct bdus_request request = draw_request(driver, room);
		const int result = bdus_zones_handle(driver, &request);

		successes += result == 0;
		/* A failed request leaves a doubt that a report lifts. */
		if (bdus_zones_check(checker, &request, result) != 0)
			fail_msg("step %u: %s", i, base_error_message());
		request = (struct bdus_request){
			.op = BDUS_OP_ZONE_REPORT, .zones = room, .zone_capacity = ZONES};
		assert_int_equal(bdus_zones_handle(driver, &request), 0);
		if (bdus_zones_check(checker, &request, 0) != 0)
			fail_msg("report after step %u: %s", i, base_error_message());
	}
	assert_true(successes > 40000);
	bdus_zones_destroy(driver);
	bdus_zones_destroy(checker);
}

static void assert_found(struct bdus_zones *checker, const struct bdus_request *request, int result,
			 const char *part)
{
	assert_int_equal(bdus_zones_check(checker, request, result), -EILSEQ);
	assert_said(part);
}

static void the_checker_finds_what_they_do_not(void **state)
{
	struct bdus_zones *const checker = make(2, 3);
	struct bdus_zone room[ZONES];
	struct bdus_request report = {
		.op = BDUS_OP_ZONE_REPORT, .zones = room, .zone_capacity = ZONES};
	struct bdus_request request = {
		.op = BDUS_OP_WRITE, .offset_bytes = Z(0) + BLOCK, .length_bytes = BLOCK};

	(void)state;
	assert_found(checker, &request, 0, "write at offset 135168 succeeded");
	request = (struct bdus_request){.op = BDUS_OP_ZONE_APPEND,
					.offset_bytes = Z(0),
					.length_bytes = BLOCK,
					.append_offset_bytes = Z(0) + BLOCK};
	assert_found(checker, &request, 0, "gone to offset 135168");
	request.op = BDUS_OP_ZONE_OPEN;
	assert_found(checker, &request, -ETOOMANYREFS, "too many open zones");
	assert_found(checker, &request, -EOVERFLOW, "too many active zones");

	/* One block is written; now reports that lie about it. */
	assert_int_equal(bdus_zones_handle(checker, &report), 0);
	assert_int_equal(bdus_zones_check(checker, &report, 0), 0);
	room[CONV].write_pointer_bytes += BLOCK;
	assert_found(checker, &report, 0, "write pointer");
	room[CONV].write_pointer_bytes -= BLOCK;
	room[CONV].condition = BDUS_ZONE_FULL;
	assert_found(checker, &report, 0, "reported full");
	room[CONV].condition = 0x7;
	assert_found(checker, &report, 0, "condition 0x7");
	room[CONV].condition = BDUS_ZONE_CLOSED;
	assert_int_equal(bdus_zones_check(checker, &report, 0), 0);
	room[CONV + 1].capacity_bytes = ZONE;
	assert_found(checker, &report, 0, "capacity");
	room[CONV + 1].capacity_bytes = CAPACITY;
	room[0].type = BDUS_ZONE_SEQUENTIAL;
	assert_found(checker, &report, 0, "type");
	report.zone_count = 0;
	assert_found(checker, &report, 0, "tells of 0");
	report.zone_count = ZONES + 1;
	assert_found(checker, &report, 0, "tells of 17");
	bdus_zones_destroy(checker);
}

static void the_checker_takes_over_what_nobody_can_know(void **state)
{
	struct bdus_zones *const checker = make(0, 0);
	struct bdus_zone room[ZONES];
	struct bdus_request report = {
		.op = BDUS_OP_ZONE_REPORT, .zones = room, .zone_capacity = ZONES};
	struct bdus_request request = {
		.op = BDUS_OP_WRITE, .offset_bytes = Z(0), .length_bytes = 4 * BLOCK};

	(void)state;
	assert_int_equal(bdus_zones_check(checker, &request, -EIO), 0);
	assert_int_equal(bdus_zones_handle(checker, &report), 0);
	room[CONV].condition = BDUS_ZONE_IMPLICIT_OPEN;
	room[CONV].write_pointer_bytes += 2 * BLOCK;
	room[CONV + 1].condition = BDUS_ZONE_OFFLINE;
	assert_int_equal(bdus_zones_check(checker, &report, 0), 0);
	assert_is(checker, Z(0), BDUS_ZONE_IMPLICIT_OPEN, 2 * BLOCK);
	assert_int_equal(look(checker, Z(1)).condition, BDUS_ZONE_OFFLINE);
	room[CONV].write_pointer_bytes += BLOCK;
	assert_found(checker, &report, 0, "write pointer");
	bdus_zones_destroy(checker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_on_every_condition_leads_where_the_diagram_says),
		cmocka_unit_test(an_open_zone_without_data_closes_to_empty),
		cmocka_unit_test(a_finished_zone_tells_how_much_of_it_holds_data),
		cmocka_unit_test(an_implicitly_open_zone_gives_way_and_the_first_one_does),
		cmocka_unit_test(explicitly_open_zones_do_not_give_way),
		cmocka_unit_test(closed_zones_stay_active_until_they_are_full_or_reset),
		cmocka_unit_test(writes_go_to_the_write_pointer_and_nowhere_else),
		cmocka_unit_test(conventional_zones_are_written_anywhere_but_not_across_their_end),
		cmocka_unit_test(appends_tell_where_they_went),
		cmocka_unit_test(the_newest_write_can_be_taken_back),
		cmocka_unit_test(broken_zones_are_read_as_far_as_they_can_be),
		cmocka_unit_test(reports_stop_at_the_end_and_start_where_zones_do),
		cmocka_unit_test(what_is_restored_must_be_possible),
		cmocka_unit_test(geometries_that_break_a_rule_are_refused),
		cmocka_unit_test(the_checker_accepts_what_the_rules_allow),
		cmocka_unit_test(the_checker_finds_what_they_do_not),
		cmocka_unit_test(the_checker_takes_over_what_nobody_can_know),
	};

	return cmocka_run_group_tests_name("device-zones", tests, NULL, NULL);
}
