/* SPDX-License-Identifier: MIT */
/*
 * A map in memory. Owner: whoever calls filters/zonefold/map.h, one thread at a time.
 */
#include "fold_map.h"

#include "map.h"

#include <bdus/driver.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_COMMIT_US 400
#define MOST_FULL_PERCENT 60

struct map_memory {
	struct sim_world *world;
	struct sim_random random;
	bool exists;
	struct fold_record record;
	struct zonefold_page *pages;
	bool *stored;
	uint32_t page_count;
	uint64_t *sequences;
	bool is_open;
	/** How many of a hundred commits find no room. */
	unsigned full_percent;
};

/** What the filter has of it. */
struct fold_map {
	struct map_memory *memory;
	/** There was one since it was opened, which a device needs to become available. */
	bool has_committed;
};

static struct map_memory *next_memory;

struct map_memory *map_memory_create(struct sim_world *world, uint64_t seed)
{
	struct map_memory *const memory = calloc(1, sizeof(*memory));

	if (memory == NULL)
		abort();
	memory->world = world;
	sim_random_init(&memory->random, seed, UINT64_C(0x3a9));
	if (sim_random_chance(&memory->random, 50))
		memory->full_percent =
			(unsigned)sim_random_between(&memory->random, 1, MOST_FULL_PERCENT);
	return memory;
}

void map_memory_destroy(struct map_memory *memory)
{
	if (memory == NULL)
		return;
	free(memory->pages);
	free(memory->stored);
	free(memory->sequences);
	free(memory);
}

void map_memory_use(struct map_memory *memory)
{
	next_memory = memory;
}

static void make(struct map_memory *memory, const struct fold_record *fresh)
{
	memory->record = *fresh;
	memory->page_count = (fresh->blocks + ZONEFOLD_PAGE_ENTRIES - 1) / ZONEFOLD_PAGE_ENTRIES;
	memory->pages = calloc(memory->page_count, sizeof(*memory->pages));
	memory->stored = calloc(memory->page_count, sizeof(*memory->stored));
	memory->sequences = calloc(fresh->sequential_zones, sizeof(*memory->sequences));
	if (memory->pages == NULL || memory->stored == NULL || memory->sequences == NULL)
		abort();
	memory->exists = true;
}

int fold_map_open(const char *path, const struct fold_record *fresh, struct fold_map **map,
		  struct fold_record *record)
{
	struct map_memory *const memory = next_memory;

	(void)path;
	if (memory->is_open)
		return bdus_config_error(EBUSY, "the map is open");
	if (!memory->exists)
		make(memory, fresh);
	*map = calloc(1, sizeof(**map));
	if (*map == NULL)
		abort();
	(*map)->memory = memory;
	*record = memory->record;
	memory->is_open = true;
	return 0;
}

int fold_map_load(struct fold_map *map, struct fold_index *index, uint64_t *sequences)
{
	const struct map_memory *const memory = map->memory;
	int result = 0;

	for (uint32_t i = 0; i < memory->page_count && result == 0; i++)
		if (memory->stored[i])
			result = fold_index_load(index, &memory->pages[i]);
	memcpy(sequences, memory->sequences, memory->record.sequential_zones * sizeof(*sequences));
	return result < 0 ? bdus_config_error(-result, "the map refers to a block twice") : 0;
}

static void store(struct map_memory *memory, const struct fold_commit *commit)
{
	for (uint32_t i = 0; i < commit->page_count; i++) {
		const uint32_t number = zonefold_page_number(&commit->pages[i]);

		memory->pages[number] = commit->pages[i];
		memory->stored[number] = true;
	}
	for (uint32_t i = 0; i < commit->zone_count; i++)
		memory->sequences[commit->zones[i].number] = commit->zones[i].sequence;
	memory->record.commits = commit->commits;
	memory->record.sequence = commit->sequence;
}

int fold_map_commit(struct fold_map *map, const struct fold_commit *commit)
{
	struct map_memory *const memory = map->memory;
	const atomic_bool *const power_failed = &memory->world->power_failed;
	const bool takes_effect = sim_random_chance(&memory->random, 50);

	if (atomic_load(power_failed))
		return bdus_config_error(EIO, "the map has no power");
	usleep((unsigned)sim_random_below(&memory->random, LONGEST_COMMIT_US));
	if (map->has_committed && sim_random_chance(&memory->random, memory->full_percent)) {
		atomic_fetch_add(&memory->world->stores_full, 1);
		return bdus_config_error(ENOSPC, "the map has no room");
	}
	map->has_committed = true;
	if (!atomic_load(power_failed) || takes_effect)
		store(memory, commit);
	usleep((unsigned)sim_random_below(&memory->random, LONGEST_COMMIT_US));
	return atomic_load(power_failed)
		       ? bdus_config_error(EIO, "the map lost its power during a commit")
		       : 0;
}

void fold_map_close(struct fold_map *map)
{
	if (map == NULL)
		return;
	map->memory->is_open = false;
	free(map);
}
