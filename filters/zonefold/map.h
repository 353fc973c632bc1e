/* SPDX-License-Identifier: MIT */
/*
 * The map of a device, where it outlives the process: a SQLite database (abi/zonefold.wire), or in
 * the simulation memory that loses its power. What a commit stored is durable when it returns, all
 * of it or, after a failure or a crash, nothing.
 *
 * Functions return 0, or a negative errno after bdus_config_error(), which names the map and what
 * is wrong with it. They block. One thread at a time.
 */
#ifndef ZONEFOLD_MAP_H
#define ZONEFOLD_MAP_H

#include "index.h"

struct fold_map;

/** What a map says of itself and of the device that it belongs to. */
struct fold_record {
	uint64_t map_id;
	uint64_t zone_size_bytes;
	uint64_t zone_capacity_bytes;
	uint32_t conventional_zones;
	uint32_t sequential_zones;
	/** Of the device above. */
	uint32_t blocks;
	/** Commits so far, and the highest sequence of a zone. */
	uint64_t commits;
	uint64_t sequence;
};

/** A zone that was opened since the last commit. */
struct fold_zone_row {
	uint32_t number;
	uint64_t sequence;
};

struct fold_commit {
	uint64_t commits;
	uint64_t sequence;
	/** Sealed by the map. */
	struct zonefold_page *pages;
	uint32_t page_count;
	struct fold_zone_row *zones;
	uint32_t zone_count;
};

/**
 * Opens the map at @path, exclusively, and checks it; or makes one that says @fresh, which may be
 * NULL, where there is none. *@record is what it says. -EINVAL: no map, or a corrupt or truncated
 * one; -EBUSY: in use; -ENOENT, -EACCES, -ENOSPC, -EIO.
 */
int fold_map_open(const char *path, const struct fold_record *fresh, struct fold_map **map,
		  struct fold_record *record);

/**
 * Fills in @index, which is empty, and @sequences of all zones, 0 for those that were never opened.
 * -EINVAL: the map is corrupt; -EIO.
 */
int fold_map_load(struct fold_map *map, struct fold_index *index, uint64_t *sequences);

/** -ENOSPC, -EIO: nothing of it was stored, and the map is as it was. */
int fold_map_commit(struct fold_map *map, const struct fold_commit *commit);

/** Takes NULL. */
void fold_map_close(struct fold_map *map);

#endif
