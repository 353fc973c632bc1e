/* SPDX-License-Identifier: MIT */
/*
 * Draws a scenario from its seed.
 */
#include "scenario.h"

#include "base/bits.h"
#include "fold.h"

#include <bdus/zoned.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

extern const struct bdus_driver bdus_driver_null;
extern const struct bdus_driver bdus_driver_ram;
extern const struct bdus_driver bdus_driver_file;
extern const struct bdus_driver bdus_driver_zoned;
extern const struct bdus_filter bdus_filter_delay;
extern const struct bdus_filter bdus_filter_zonefold;

const char *const scenario_drivers[] = {"disk", "slow",  "null",     "ram",
					"file", "zoned", "zonefold", NULL};

/** One of @count values. */
#define ONE_OF(scenario, values) \
	((values)[sim_random_below(&(scenario)->random, BASE_ARRAY_LENGTH(values))])

static bool chance(struct scenario *scenario, unsigned percent)
{
	return sim_random_chance(&scenario->random, percent);
}

static uint64_t between(struct scenario *scenario, uint64_t low, uint64_t high)
{
	return sim_random_between(&scenario->random, low, high);
}

static void add_word(struct scenario *scenario, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void add_word(struct scenario *scenario, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(scenario->words[scenario->word_count++], SCENARIO_WORD_BYTES, format, arguments);
	va_end(arguments);
}

/* ---- the device ----------------------------------------------------------------------------- */

static void draw_geometry(struct scenario *scenario)
{
	static const uint32_t blocks[] = {512, 512, 1024, 2048, 4096, 4096};
	const uint32_t other = ONE_OF(scenario, blocks);

	scenario->logical_block_size = ONE_OF(scenario, blocks);
	scenario->physical_block_size = (uint32_t)base_max(other, scenario->logical_block_size);
	scenario->size_bytes = between(scenario, 1, 2048) * scenario->physical_block_size;
	if (chance(scenario, 30))
		scenario->size_bytes = between(scenario, 1, 8) * MIB;
}

/** What the device claims to be, less than the driver says. */
static void draw_claims(struct scenario *scenario)
{
	static const unsigned droppable[] = {BDUS_OP_FLUSH,   BDUS_OP_WRITE_ZEROS,
					     BDUS_OP_DISCARD, BDUS_OP_SECURE_ERASE,
					     BDUS_OP_EXTENTS, BDUS_OP_CACHE};
	static const uint32_t transfers[] = {0, 0, 4096, 8192, 12288, 65536, 65536 + 4096};
	static const uint64_t others[] = {0, 0, 4096, 16384, 65536, MIB + 4096};
	struct wrap_setup *const wrap = &scenario->wrap;

	wrap->ops_mask = UINT32_MAX;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(droppable); i++) {
		if (chance(scenario, 20))
			wrap->ops_mask &= ~BDUS_OP_BIT(droppable[i]);
	}
	if (chance(scenario, 3))
		wrap->ops_mask &= ~BDUS_OP_BIT(BDUS_OP_WRITE);
	wrap->flags_mask = chance(scenario, 50) ? ~(uint32_t)BDUS_DEVICE_FUA : UINT32_MAX;
	wrap->more_flags = chance(scenario, 5) ? BDUS_DEVICE_READ_ONLY : 0;
	wrap->max_transfer_bytes = ONE_OF(scenario, transfers);
	wrap->max_write_zeros_bytes = ONE_OF(scenario, others);
	wrap->max_discard_bytes = ONE_OF(scenario, others);
	wrap->queues = (uint32_t)between(scenario, 1, 4);
	wrap->queue_depth = (uint32_t)between(scenario, 1, chance(scenario, 50) ? 64 : 4);
	wrap->max_concurrency = (uint32_t)between(scenario, 1, 8);
}

static void draw_misbehaviour(struct scenario *scenario)
{
	if (chance(scenario, 40))
		scenario->wrap.bad_spots = (unsigned)between(scenario, 1, SIM_BAD_SPOTS_MAX);
	if (chance(scenario, 25))
		scenario->wrap.flush_failures_percent = (unsigned)between(scenario, 1, 50);
}

/* ---- the drivers ---------------------------------------------------------------------------- */

static void draw_style(struct scenario *scenario)
{
	static const enum wrap_style styles[] = {WRAP_AS_IS, WRAP_AT_ONCE, WRAP_SCRAMBLED,
						 WRAP_THREADED};

	scenario->wrap.style = ONE_OF(scenario, styles);
}

static void init_disk(struct scenario *scenario)
{
	scenario->wrap.inner = &disk_driver;
	scenario->generations = 3;
	scenario->stores = true;
	scenario->loses_power = chance(scenario, 50);
	draw_style(scenario);
	scenario->disk = disk_create(&(struct disk_setup){
		.world = scenario->wrap.world,
		.seed = scenario->request.seed,
		.size_bytes = scenario->size_bytes,
		.logical_block_size = scenario->logical_block_size,
		.physical_block_size = scenario->physical_block_size,
		.volatile_cache = scenario->wrap.ops_mask & BDUS_OP_BIT(BDUS_OP_FLUSH),
	});
	disk_use(scenario->disk);
}

/**
 * A disk that takes its time, behind a deep queue: the engine must not lose sight of anything else
 * while there is always one more request.
 */
static void init_slow(struct scenario *scenario)
{
	init_disk(scenario);
	scenario->wrap.style = WRAP_AS_IS;
	scenario->wrap.handle_us = 3000;
	scenario->wrap.max_concurrency = (uint32_t)between(scenario, 1, 2);
	scenario->wrap.queue_depth = 64;
	scenario->wrap.bad_spots = 0;
	scenario->generations = 1;
	scenario->loses_power = false;
	scenario->stops_within_ms = 1500;
}

static void add_geometry(struct scenario *scenario)
{
	add_word(scenario, "size=%" PRIu64, scenario->size_bytes);
	add_word(scenario, "logical-block-size=%" PRIu32, scenario->logical_block_size);
	add_word(scenario, "physical-block-size=%" PRIu32, scenario->physical_block_size);
}

static void init_null(struct scenario *scenario)
{
	scenario->wrap.inner = &bdus_driver_null;
	scenario->generations = 1;
	scenario->reads_zeros = chance(scenario, 80);
	if (chance(scenario, 50))
		scenario->size_bytes =
			(UINT64_C(1) << between(scenario, 30, 61)) - scenario->physical_block_size;
	add_geometry(scenario);
	add_word(scenario, "zero=%s", scenario->reads_zeros ? "yes" : "no");
}

static void init_ram(struct scenario *scenario)
{
	scenario->wrap.inner = &bdus_driver_ram;
	scenario->generations = 1;
	scenario->stores = true;
	add_geometry(scenario);
	add_word(scenario, "reserve=0");
	if (chance(scenario, 20))
		add_word(scenario, "huge-pages");
}

static void make_file(const char *path, uint64_t size_bytes)
{
	FILE *const file = fopen(path, "w");

	if (file == NULL || ftruncate(fileno(file), (off_t)size_bytes) != 0) {
		perror(path);
		exit(2);
	}
	fclose(file);
}

static void init_file(struct scenario *scenario)
{
	static const char *const directs[] = {"auto", "auto", "no"};
	char path[128];

	scenario->wrap.inner = &bdus_driver_file;
	scenario->size_bytes = base_align_up(scenario->size_bytes, 4096);
	scenario->generations = 2;
	scenario->stores = true;
	if (chance(scenario, 40))
		scenario->killed_at = between(scenario, 1, scenario->request.operations);
	snprintf(path, sizeof(path), "%s/image", scenario->request.directory);
	make_file(path, scenario->size_bytes);
	add_word(scenario, "path=%s", path);
	add_word(scenario, "logical-block-size=%" PRIu32, scenario->logical_block_size);
	add_word(scenario, "direct=%s", ONE_OF(scenario, directs));
}

/* ---- zones ----------------------------------------------------------------------------------- */

/** Broken in memory, as add_zoned_words() says. */
static uint8_t broken_zone(uint32_t index)
{
	return index == 3 ? BDUS_ZONE_READ_ONLY : index == 4 ? BDUS_ZONE_OFFLINE : 0;
}

static void draw_zones(struct scenario *scenario, struct bdus_device_attrs *attrs)
{
	static const uint32_t blocks[] = {512, 4096};
	uint64_t zone_blocks;

	*attrs = (struct bdus_device_attrs){
		.logical_block_size = ONE_OF(scenario, blocks),
		.conventional_zones = (uint32_t)between(scenario, 0, 2),
	};
	attrs->zone_size_bytes = base_max(4096, attrs->logical_block_size * UINT64_C(2))
				 << between(scenario, 0, 4);
	zone_blocks = attrs->zone_size_bytes / attrs->logical_block_size;
	attrs->zone_capacity_bytes = between(scenario, base_max(zone_blocks / 2, 2), zone_blocks) *
				     attrs->logical_block_size;
	attrs->size_bytes = between(scenario, 8, 24) * attrs->zone_size_bytes;
	if (chance(scenario, 50))
		attrs->max_active_zones = (uint32_t)between(scenario, 1, 6);
	if (chance(scenario, 50))
		attrs->max_open_zones = (uint32_t)between(
			scenario, 1, attrs->max_active_zones != 0 ? attrs->max_active_zones : 4);
	if (chance(scenario, 50))
		attrs->max_append_bytes =
			(uint32_t)between(scenario, 1, 4) * attrs->logical_block_size;
}

static void add_zoned_words(struct scenario *scenario, const struct bdus_device_attrs *attrs)
{
	add_word(scenario, "size=%" PRIu64, attrs->size_bytes);
	add_word(scenario, "logical-block-size=%" PRIu32, attrs->logical_block_size);
	add_word(scenario, "zone-size=%" PRIu64, attrs->zone_size_bytes);
	add_word(scenario, "zone-capacity=%" PRIu64, attrs->zone_capacity_bytes);
	add_word(scenario, "conventional=%" PRIu32, attrs->conventional_zones);
	add_word(scenario, "max-open=%" PRIu32, attrs->max_open_zones);
	add_word(scenario, "max-active=%" PRIu32, attrs->max_active_zones);
	if (attrs->max_append_bytes != 0)
		add_word(scenario, "max-append=%" PRIu32, attrs->max_append_bytes);
}

/** In an image on a medium that may lose its power, or, with broken zones, in memory. */
static void place_zones(struct scenario *scenario)
{
	if (chance(scenario, 30)) {
		add_word(scenario, "read-only-zones=3");
		add_word(scenario, "offline-zones=4");
		scenario->generations = 1;
		return;
	}
	add_word(scenario, "path=medium");
	add_word(scenario, "create=yes");
	scenario->generations = 3;
	scenario->loses_power = true;
	scenario->medium = medium_create(scenario->wrap.world, scenario->request.seed);
	medium_use(scenario->medium);
}

static void init_zoned(struct scenario *scenario)
{
	struct bdus_device_attrs attrs;

	scenario->wrap.inner = &bdus_driver_zoned;
	scenario->wrap.style = WRAP_AS_IS;
	scenario->wrap.ops_mask = UINT32_MAX;
	scenario->wrap.more_flags = 0;
	scenario->wrap.bad_spots = 0;
	scenario->wrap.flush_failures_percent = 0;
	draw_zones(scenario, &attrs);
	add_zoned_words(scenario, &attrs);
	place_zones(scenario);
	scenario->wrap.world->zones =
		sim_zones_create(&attrs, scenario->medium == NULL ? broken_zone : NULL);
}

/** What zonefold asks of the zones below it. */
static void draw_folded_zones(struct scenario *scenario, struct bdus_device_attrs *attrs)
{
	static const uint32_t blocks[] = {512, 4096};
	const uint64_t zone_blocks = UINT64_C(4) << between(scenario, 0, 2);

	*attrs = (struct bdus_device_attrs){
		.logical_block_size = ONE_OF(scenario, blocks),
		.conventional_zones = (uint32_t)between(scenario, 0, 2),
		.zone_size_bytes = zone_blocks * FOLD_BLOCK,
		.zone_capacity_bytes = between(scenario, 3, zone_blocks) * FOLD_BLOCK,
	};
	attrs->size_bytes = (attrs->conventional_zones + between(scenario, FOLD_ZONES_MIN, 24)) *
			    attrs->zone_size_bytes;
	if (chance(scenario, 50))
		attrs->max_active_zones = (uint32_t)between(scenario, 2, 5);
	if (chance(scenario, 50))
		attrs->max_open_zones = (uint32_t)between(
			scenario, 1, attrs->max_active_zones != 0 ? attrs->max_active_zones : 4);
	if (chance(scenario, 50))
		attrs->max_append_bytes = (uint32_t)(between(scenario, 1, 3) * FOLD_BLOCK);
}

static struct sim_world *folded_world;

/** What clients are to be told that the device can do is what the filter can. */
static int folded_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		       void **instance)
{
	const int result = bdus_filter_zonefold.open(config, attrs, instance);

	if (result == 0)
		folded_world->driver_ops = attrs->ops;
	return result;
}

/** Beneath the other layers; below it, appends may change places. */
static void lay_zonefold(struct scenario *scenario)
{
	static const char *const words[] = {"map=memory", "create=yes", "reserve=0"};
	static const char *const delays[] = {"time=0us", "jitter=200us"};
	static struct bdus_filter folded;

	folded = bdus_filter_zonefold;
	folded.open = folded_open;
	folded_world = scenario->wrap.world;
	scenario->filters[scenario->filter_count++] = (struct bdus_filter_use){&folded, words, 3};
	if (chance(scenario, 50))
		scenario->filters[scenario->filter_count++] =
			(struct bdus_filter_use){&bdus_filter_delay, delays, 2};
}

/** A conventional disk by the filter zonefold, over the driver zoned on a medium that loses power.
 */
static void init_zonefold(struct scenario *scenario)
{
	struct bdus_device_attrs attrs;

	scenario->wrap.inner = &bdus_driver_zoned;
	scenario->wrap.style = WRAP_AS_IS;
	scenario->wrap.ops_mask = UINT32_MAX;
	scenario->wrap.more_flags = 0;
	scenario->wrap.bad_spots = 0;
	scenario->wrap.flush_failures_percent = 0;
	scenario->wrap.is_translated = true;
	draw_folded_zones(scenario, &attrs);
	add_zoned_words(scenario, &attrs);
	add_word(scenario, "path=medium");
	add_word(scenario, "create=yes");
	scenario->generations = 4;
	scenario->stores = true;
	scenario->loses_power = true;
	scenario->logical_block_size = (uint32_t)FOLD_BLOCK;
	scenario->physical_block_size = (uint32_t)FOLD_BLOCK;
	scenario->size_bytes =
		FOLD_BLOCK *
		fold_blocks_above((uint32_t)(attrs.size_bytes / attrs.zone_size_bytes) -
					  attrs.conventional_zones,
				  (uint32_t)(attrs.zone_capacity_bytes / FOLD_BLOCK), 0);
	scenario->medium = medium_create(scenario->wrap.world, scenario->request.seed);
	medium_use(scenario->medium);
	scenario->map = map_memory_create(scenario->wrap.world, scenario->request.seed);
	map_memory_use(scenario->map);
}

static bool init_driver(struct scenario *scenario)
{
	static void (*const inits[])(struct scenario *) = {
		init_disk, init_slow, init_null, init_ram, init_file, init_zoned, init_zonefold};

	for (unsigned i = 0; scenario_drivers[i] != NULL; i++) {
		if (strcmp(scenario->request.driver, scenario_drivers[i]) == 0) {
			inits[i](scenario);
			return true;
		}
	}
	return false;
}

/* ---- clients, and what goes wrong ------------------------------------------------------------ */

static void draw_transport(struct scenario *scenario)
{
	static const char *const mixes[] = {"even", "even", "reads", "writes", "holes"};
	static const char *const limits[] = {"", "", "", ",max-transfer=4K", ",max-transfer=20K"};
	static const char *const others[] = {"", "", ",max-zeros=8K,max-discard=4K",
					     ",max-discard=128K"};
	static const char *const largest[] = {"16K", "64K", "256K"};

	snprintf(scenario->transport, sizeof(scenario->transport),
		 "sim,seed=%" PRIu64 ",operations=%" PRIu64 ",mix=%s,max-request=%s%s%s%s",
		 scenario->request.seed, scenario->request.operations, ONE_OF(scenario, mixes),
		 ONE_OF(scenario, largest), ONE_OF(scenario, limits), ONE_OF(scenario, others),
		 scenario->request.overlap ? "" : ",overlap=no");
	if (chance(scenario, 20))
		scenario->run_queues = (uint32_t)between(scenario, 1, 4);
	if (chance(scenario, 20))
		scenario->run_queue_depth = (uint32_t)between(scenario, 1, 32);
	scenario->run_read_only =
		scenario->wrap.world->zones == NULL && scenario->map == NULL && chance(scenario, 3);
}

static void draw_management(struct scenario *scenario)
{
	if (!chance(scenario, 30))
		return;
	scenario->managed = (unsigned)between(scenario, 1, 10);
	scenario->is_destroyed = chance(scenario, 50);
}

static void draw_ending(struct scenario *scenario)
{
	static const enum sim_failure_point points[] = {
		SIM_FAIL_CREATE,       SIM_FAIL_OPEN_QUEUE, SIM_FAIL_START,
		SIM_FAIL_START_RESULT, SIM_FAIL_FETCH,
	};
	const uint64_t dice = sim_random_below(&scenario->random, 100);

	if (scenario->stops_within_ms > 0)
		scenario->terminate_at = between(scenario, 100, 300);
	else if (dice < 20) {
		scenario->terminate_at = between(scenario, 1, scenario->request.operations);
	} else if (dice < 32) {
		scenario->failure_point = ONE_OF(scenario, points);
		scenario->failure_at = between(scenario, 0, scenario->request.operations / 2);
	} else if (dice < 35) {
		scenario->open_errno = EXDEV;
	} else if (dice < 38) {
		scenario->available_errno = EDOM;
	}
}

bool scenario_init(struct scenario *scenario, const struct scenario_request *request)
{
	struct sim_world *const world = scenario->wrap.world;

	memset(scenario, 0, sizeof(*scenario));
	scenario->request = *request;
	scenario->wrap.world = world;
	scenario->wrap.seed = request->seed;
	sim_random_init(&scenario->random, request->seed, UINT64_C(0x5ce));
	draw_geometry(scenario);
	draw_claims(scenario);
	draw_misbehaviour(scenario);
	if (!init_driver(scenario))
		return false;
	draw_transport(scenario);
	draw_ending(scenario);
	draw_management(scenario);
	scenario->filter_count =
		layers_draw(&scenario->random, world->zones == NULL, scenario->filters);
	if (scenario->map != NULL)
		lay_zonefold(scenario);
	scenario->wrap.open_errno = scenario->open_errno;
	if (scenario->stores)
		world->model = sim_model_create(scenario->size_bytes, scenario->logical_block_size,
						scenario->loses_power);
	world->reads_zeros = scenario->reads_zeros;
	return true;
}

void scenario_finish(struct scenario *scenario)
{
	disk_destroy(scenario->disk);
	scenario->disk = NULL;
	medium_destroy(scenario->medium);
	scenario->medium = NULL;
	map_memory_destroy(scenario->map);
	scenario->map = NULL;
	sim_zones_destroy(scenario->wrap.world->zones);
	scenario->wrap.world->zones = NULL;
}
