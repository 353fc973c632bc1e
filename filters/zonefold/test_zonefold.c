/* SPDX-License-Identifier: MIT */
/*
 * The translation in memory, the map in its store and what it refuses, and the choice of what is
 * collected. What becomes of requests is shown by tests/sim and tests/nbd.
 */
#include "base/bits.h"
#include "fold.h"

#include <bdus/manage.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCKS      1000
#define ZONES       20
#define ZONE_BLOCKS 64

static char directory[64];
static char path[96];
static const struct fold_record fresh = {
	.map_id = 0x1234,
	.zone_size_bytes = ZONE_BLOCKS * FOLD_BLOCK,
	.zone_capacity_bytes = ZONE_BLOCKS * FOLD_BLOCK,
	.sequential_zones = ZONES,
	.blocks = BLOCKS,
};

/* ---- the translation ------------------------------------------------------------------------- */

static void blocks_are_where_they_were_put_last(void **state)
{
	struct fold_index index;
	uint32_t place;

	(void)state;
	assert_int_equal(fold_index_init(&index, BLOCKS, ZONES, ZONE_BLOCKS), 0);
	assert_int_equal(fold_index_run(&index, 0, BLOCKS, &place), BLOCKS);
	assert_int_equal(place, FOLD_NOWHERE);
	for (uint32_t i = 0; i < 10; i++)
		fold_index_set(&index, 100 + i, 1 + i);
	assert_int_equal(fold_index_run(&index, 100, BLOCKS - 100, &place), 10);
	assert_int_equal(place, 1);
	assert_int_equal(index.valid[0], 10);
	fold_index_set(&index, 105, ZONE_BLOCKS + 1);
	assert_int_equal(fold_index_run(&index, 100, BLOCKS - 100, &place), 5);
	assert_int_equal(index.valid[0], 9);
	assert_int_equal(index.valid[1], 1);
	assert_int_equal(index.owners[6], FOLD_NOBODY);
	assert_int_equal(fold_index_extent(&index, 0), 11);
	fold_index_set(&index, 109, FOLD_NOWHERE);
	assert_int_equal(fold_index_extent(&index, 0), 10);
	assert_int_equal(fold_index_extent(&index, 2), 0);
	assert_int_equal(index.mapped, 9);
	assert_int_equal(index.dirty_count, 1);
	fold_index_finish(&index);
}

static void pages_with_places_that_cannot_be_are_refused(void **state)
{
	static const uint32_t bad[] = {
		/* a header, past the end, one that is taken */
		0, ZONE_BLOCKS, ZONES * ZONE_BLOCKS, UINT32_MAX - 1, 7,
	};
	struct zonefold_page page;

	(void)state;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(bad); i++) {
		struct fold_index index;

		assert_int_equal(fold_index_init(&index, BLOCKS, ZONES, ZONE_BLOCKS), 0);
		zonefold_page_init(&page);
		fold_index_store(&index, 0, &page);
		zonefold_page_set_places(&page, 5, 7);
		zonefold_page_set_places(&page, 6, bad[i]);
		assert_int_equal(fold_index_load(&index, &page), -EINVAL);
		fold_index_finish(&index);
	}
}

/* ---- the map --------------------------------------------------------------------------------- */

static int make_directory(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/bdus-zonefold-XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/map", directory);
	return 0;
}

static int remove_directory(void **state)
{
	static const char *const ends[] = {"", "-wal", "-journal"};

	(void)state;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(ends); i++) {
		char name[128];

		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
	return rmdir(directory);
}

/** Stores all that is dirty, as one commit. */
static int commit(struct fold_map *map, struct fold_index *index, uint64_t number)
{
	struct zonefold_page *const pages = calloc(index->page_count, sizeof(*pages));
	struct fold_zone_row zone = {3, number};
	struct fold_commit all = {.commits = number,
				  .sequence = number,
				  .pages = pages,
				  .zones = &zone,
				  .zone_count = 1};
	int result;

	assert_non_null(pages);
	for (uint32_t i = 0; i < index->page_count; i++) {
		if (!index->dirty[i])
			continue;
		zonefold_page_init(&pages[all.page_count]);
		zonefold_page_set_number(&pages[all.page_count], i);
		fold_index_store(index, i, &pages[all.page_count++]);
		fold_index_soil(index, i, false);
	}
	result = fold_map_commit(map, &all);
	free(pages);
	return result;
}

static int open_and_load(struct fold_index *index)
{
	struct fold_record record;
	uint64_t sequences[ZONES] = {0};
	struct fold_map *map;
	int result = fold_map_open(path, NULL, &map, &record);

	if (result < 0)
		return result;
	assert_int_equal(fold_index_init(index, BLOCKS, ZONES, ZONE_BLOCKS), 0);
	result = fold_map_load(map, index, sequences);
	if (result == 0) {
		assert_int_equal(record.map_id, fresh.map_id);
		assert_int_equal(record.commits, 2);
		assert_int_equal(sequences[3], 2);
	} else {
		fold_index_finish(index);
	}
	fold_map_close(map);
	return result;
}

/** A map with two commits. */
static void make_map(void)
{
	struct fold_index index;
	struct fold_record record;
	struct fold_map *map;

	assert_int_equal(fold_map_open(path, &fresh, &map, &record), 0);
	assert_int_equal(record.map_id, fresh.map_id);
	assert_int_equal(fold_index_init(&index, BLOCKS, ZONES, ZONE_BLOCKS), 0);
	for (uint32_t i = 0; i < 400; i++)
		fold_index_set(&index, 2 * i, i / 63 * ZONE_BLOCKS + 1 + i % 63);
	assert_int_equal(commit(map, &index, 1), 0);
	fold_index_set(&index, 3, 10 * ZONE_BLOCKS + 5);
	assert_int_equal(commit(map, &index, 2), 0);
	fold_index_finish(&index);
	fold_map_close(map);
}

static void a_map_says_what_was_committed_last(void **state)
{
	struct fold_index index;

	(void)state;
	make_map();
	assert_int_equal(open_and_load(&index), 0);
	assert_int_equal(index.places[3], 10 * ZONE_BLOCKS + 5);
	assert_int_equal(index.places[798], 399 / 63 * ZONE_BLOCKS + 1 + 399 % 63);
	assert_int_equal(index.mapped, 401);
	assert_int_equal(index.dirty_count, 0);
	fold_index_finish(&index);
}

static void a_map_is_used_by_one(void **state)
{
	struct fold_record record;
	struct fold_map *map, *other;

	(void)state;
	make_map();
	assert_int_equal(fold_map_open(path, NULL, &map, &record), 0);
	assert_int_equal(fold_map_open(path, NULL, &other, &record), -EBUSY);
	assert_non_null(strstr(bdus_manage_error(), "in use"));
	fold_map_close(map);
}

static void overwrite(off_t at, const void *data, size_t bytes)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, bytes, at), bytes);
	close(fd);
}

static void what_is_no_map_is_refused_and_left_alone(void **state)
{
	static const char text[] = "this is a letter, and longer than the header of a database is, "
				   "so that it cannot be taken for one that was cut short.......";
	struct fold_record record;
	struct fold_map *map;
	char found[sizeof(text)];
	int fd;

	(void)state;
	assert_int_equal(fold_map_open(path, NULL, &map, &record), -ENOENT);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	assert_int_equal(fold_map_open(path, NULL, &map, &record), -EINVAL);
	assert_non_null(strstr(bdus_manage_error(), "no map"));
	assert_int_equal(fold_map_open(path, &fresh, &map, &record), -EINVAL);
	assert_int_equal(pread(fd, found, sizeof(found), 0), sizeof(found));
	assert_memory_equal(found, text, sizeof(text));
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	assert_int_equal(fold_map_open(path, NULL, &map, &record), -EINVAL);
	assert_non_null(strstr(bdus_manage_error(), "create=yes"));
}

/** Whatever byte of a map is damaged: it is refused, or was not in use. */
static void damaged_maps_are_refused_or_whole(void **state)
{
	static const unsigned char bytes[] = {0x00, 0xff, 0x5a};
	struct fold_index index;
	struct stat status;
	char *whole, *buffer;
	unsigned refused = 0;
	int fd;

	(void)state;
	make_map();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &status), 0);
	whole = malloc((size_t)status.st_size);
	buffer = malloc((size_t)status.st_size);
	assert_int_equal(read(fd, whole, (size_t)status.st_size), status.st_size);
	close(fd);
	for (off_t at = 0; at < status.st_size; at += 61) {
		memcpy(buffer, whole, (size_t)status.st_size);
		memset(buffer + at, bytes[at % 3],
		       (size_t)base_min(16, (uint64_t)(status.st_size - at)));
		assert_int_equal(truncate(path, 0), 0);
		overwrite(0, buffer, (size_t)status.st_size);
		if (open_and_load(&index) < 0) {
			assert_non_null(strstr(bdus_manage_error(), path));
			refused++;
			continue;
		}
		assert_int_equal(index.mapped, 401);
		assert_int_equal(index.places[3], 10 * ZONE_BLOCKS + 5);
		fold_index_finish(&index);
	}
	assert_true(refused > 50);
	free(whole);
	free(buffer);
}

static void truncated_maps_are_refused(void **state)
{
	struct fold_index index;
	struct stat status;

	(void)state;
	make_map();
	assert_int_equal(stat(path, &status), 0);
	for (off_t size = status.st_size - 1024; size > 0; size -= 3584) {
		assert_int_equal(truncate(path, size), 0);
		assert_int_equal(open_and_load(&index), -EINVAL);
		assert_non_null(strstr(bdus_manage_error(), "truncated"));
	}
}

/* ---- what is collected ----------------------------------------------------------------------- */

static void the_fullest_of_garbage_is_collected_and_the_oldest_of_those(void **state)
{
	static struct fold_zone zones[ZONES];
	struct fold fold = {.zones = zones};

	(void)state;
	assert_int_equal(fold_index_init(&fold.index, BLOCKS, ZONES, ZONE_BLOCKS), 0);
	assert_int_equal(fold_victim(&fold), FOLD_NOBODY);
	for (uint32_t i = 0; i < ZONES; i++) {
		zones[i] = (struct fold_zone){.state = FOLD_FULL, .sequence = 100 - i};
		fold.index.valid[i] = ZONE_BLOCKS - 1;
	}
	/* Full of what is valid, empty, being written, unreadable: none of these. */
	assert_int_equal(fold_victim(&fold), FOLD_NOBODY);
	fold.index.valid[1] = 0;
	fold.index.valid[2] = 1;
	zones[2].state = FOLD_OPEN;
	fold.index.valid[3] = 1;
	zones[3].unreadable = true;
	assert_int_equal(fold_victim(&fold), FOLD_NOBODY);
	fold.index.valid[4] = 30;
	fold.index.valid[5] = 20;
	fold.index.valid[6] = 20;
	assert_int_equal(fold_victim(&fold), 6);
	fold_index_finish(&fold.index);
}

static void at_least_two_zones_of_eight_are_for_clients(void **state)
{
	(void)state;
	assert_int_equal(fold_blocks_above(8, 64, 0), 2 * 63);
	assert_int_equal(fold_blocks_above(6, 64, 0), 0);
	assert_int_equal(fold_blocks_above(100, 64, 7), (100 - 13) * 63);
	assert_int_equal(fold_blocks_above(8, 64, 80), 0);
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_where_they_were_put_last),
		cmocka_unit_test(pages_with_places_that_cannot_be_are_refused),
		WITH_DIRECTORY(a_map_says_what_was_committed_last),
		WITH_DIRECTORY(a_map_is_used_by_one),
		WITH_DIRECTORY(what_is_no_map_is_refused_and_left_alone),
		WITH_DIRECTORY(damaged_maps_are_refused_or_whole),
		WITH_DIRECTORY(truncated_maps_are_refused),
		cmocka_unit_test(the_fullest_of_garbage_is_collected_and_the_oldest_of_those),
		cmocka_unit_test(at_least_two_zones_of_eight_are_for_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
