/* SPDX-License-Identifier: MIT */
/*
 * The map in a SQLite database. SQLite's log makes a commit whole and durable, and finds what is
 * wrong with the database itself; checksums of pages find what is wrong with what they say, and
 * sums over all of them what is missing.
 */
#include "map.h"

#include "base/bits.h"

#include <bdus/driver.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

struct fold_map {
	sqlite3 *database;
	char *path;
	struct zonefold_record record;
	/** As last stored. */
	uint32_t *checksums;
	uint32_t page_count;
	uint64_t *sequences;
	uint32_t zone_count;
	sqlite3_stmt *put_record;
	sqlite3_stmt *put_page;
	sqlite3_stmt *put_zone;
};

/* ---- errors --------------------------------------------------------------------------------- */

static int errno_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR:
	case SQLITE_SCHEMA:
		return EINVAL;
	default:
		return EIO;
	}
}

static int corrupt(const struct fold_map *map, const char *what)
{
	return bdus_config_error(EINVAL, "filter zonefold: map=%s is corrupt or truncated: %s",
				 map->path, what);
}

/** The failure of a call of SQLite. */
static int failed(const struct fold_map *map, const char *what)
{
	const int code = sqlite3_extended_errcode(map->database);
	const int error = errno_of(code);

	if (error == EBUSY)
		return bdus_config_error(EBUSY,
					 "filter zonefold: map=%s is in use by another "
					 "device",
					 map->path);
	if (error == EINVAL)
		return bdus_config_error(EINVAL,
					 "filter zonefold: map=%s is no map, or a corrupt or "
					 "truncated one: %s: %s",
					 map->path, what, sqlite3_errmsg(map->database));
	return bdus_config_error(error, "filter zonefold: map=%s: %s: %s", map->path, what,
				 error == ENOSPC ? strerror(ENOSPC)
						 : sqlite3_errmsg(map->database));
}

/* ---- SQLite --------------------------------------------------------------------------------- */

static int run(struct fold_map *map, const char *sql, const char *what)
{
	return sqlite3_exec(map->database, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
									       : failed(map, what);
}

static int prepare(struct fold_map *map, const char *sql, sqlite3_stmt **statement)
{
	return sqlite3_prepare_v2(map->database, sql, -1, statement, NULL) == SQLITE_OK
		       ? 0
		       : failed(map, "reading its tables");
}

/** Runs one that gives nothing back, and makes it ready for the next time. */
static bool step(sqlite3_stmt *statement)
{
	const bool done = sqlite3_step(statement) == SQLITE_DONE;

	return sqlite3_reset(statement) == SQLITE_OK && done;
}

/** The number that a query gives. */
static int ask_number(struct fold_map *map, const char *sql, int64_t *number)
{
	sqlite3_stmt *statement;
	int result = prepare(map, sql, &statement);

	if (result < 0)
		return result;
	if (sqlite3_step(statement) == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	else
		result = failed(map, "reading it");
	sqlite3_finalize(statement);
	return result;
}

/* ---- the record ----------------------------------------------------------------------------- */

static int put_record(struct fold_map *map, struct zonefold_record *record)
{
	zonefold_record_seal(record);
	sqlite3_bind_blob(map->put_record, 1, record, sizeof(*record), SQLITE_STATIC);
	return step(map->put_record) ? 0 : failed(map, "storing its record");
}

static void fill_record(struct zonefold_record *to, const struct fold_record *from)
{
	zonefold_record_init(to);
	zonefold_record_set_map_id(to, from->map_id);
	zonefold_record_set_zone_size_bytes(to, from->zone_size_bytes);
	zonefold_record_set_zone_capacity_bytes(to, from->zone_capacity_bytes);
	zonefold_record_set_conventional_zones(to, from->conventional_zones);
	zonefold_record_set_sequential_zones(to, from->sequential_zones);
	zonefold_record_set_blocks(to, from->blocks);
	zonefold_record_set_commits(to, from->commits);
	zonefold_record_set_sequence(to, from->sequence);
}

static void tell_record(const struct zonefold_record *from, struct fold_record *to)
{
	*to = (struct fold_record){
		.map_id = zonefold_record_map_id(from),
		.zone_size_bytes = zonefold_record_zone_size_bytes(from),
		.zone_capacity_bytes = zonefold_record_zone_capacity_bytes(from),
		.conventional_zones = zonefold_record_conventional_zones(from),
		.sequential_zones = zonefold_record_sequential_zones(from),
		.blocks = zonefold_record_blocks(from),
		.commits = zonefold_record_commits(from),
		.sequence = zonefold_record_sequence(from),
	};
}

static int read_record(struct fold_map *map)
{
	sqlite3_stmt *statement;
	int result = prepare(map, "SELECT value FROM record WHERE id = 1", &statement);

	if (result < 0)
		return result;
	if (sqlite3_step(statement) != SQLITE_ROW)
		result = corrupt(map, "it has no record");
	else if (sqlite3_column_bytes(statement, 0) != sizeof(map->record))
		result = corrupt(map, "its record has another size");
	else
		memcpy(&map->record, sqlite3_column_blob(statement, 0), sizeof(map->record));
	sqlite3_finalize(statement);
	if (result == 0 && zonefold_record_check(&map->record, sizeof(map->record), NULL) < 0)
		result = corrupt(map, "its record is not valid");
	return result;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int prepare_statements(struct fold_map *map)
{
	int result = prepare(map, "INSERT OR REPLACE INTO record VALUES (1, ?1)", &map->put_record);

	if (result == 0)
		result = prepare(map, "INSERT OR REPLACE INTO pages VALUES (?1, ?2)",
				 &map->put_page);
	if (result == 0)
		result = prepare(map, "INSERT OR REPLACE INTO zones VALUES (?1, ?2)",
				 &map->put_zone);
	return result;
}

static int make_tables(struct fold_map *map, const struct fold_record *fresh)
{
	char *const sql = sqlite3_mprintf(
		"BEGIN IMMEDIATE;"
		"PRAGMA application_id = %d; PRAGMA user_version = %d;"
		"CREATE TABLE record (id INTEGER PRIMARY KEY, value BLOB NOT NULL);"
		"CREATE TABLE pages (number INTEGER PRIMARY KEY, value BLOB NOT NULL);"
		"CREATE TABLE zones (number INTEGER PRIMARY KEY, sequence INTEGER NOT NULL);",
		ZONEFOLD_APPLICATION, ZONEFOLD_VERSION);
	int result = sql != NULL ? run(map, sql, "making it")
				 : bdus_config_error(ENOMEM, "filter zonefold: no memory");

	sqlite3_free(sql);
	if (result == 0)
		result = prepare_statements(map);
	if (result < 0)
		return result;
	fill_record(&map->record, fresh);
	result = put_record(map, &map->record);
	return result == 0 ? run(map, "COMMIT", "making it") : result;
}

/** Nobody has written to it, so that it can become a map. */
static bool is_empty(struct fold_map *map)
{
	int64_t tables = 1;

	return ask_number(map, "SELECT count(*) FROM sqlite_master", &tables) == 0 && tables == 0;
}

static int check_kind(struct fold_map *map)
{
	int64_t application = 0, version = 0;
	int result = ask_number(map, "PRAGMA application_id", &application);

	if (result == 0)
		result = ask_number(map, "PRAGMA user_version", &version);
	if (result < 0)
		return result;
	if (application != ZONEFOLD_APPLICATION)
		return bdus_config_error(EINVAL,
					 "filter zonefold: map=%s is a database, but no map of "
					 "zonefold; create=yes makes one where there is none",
					 map->path);
	if (version != ZONEFOLD_VERSION)
		return bdus_config_error(EINVAL,
					 "filter zonefold: map=%s is of version %lld; this is %d",
					 map->path, (long long)version, ZONEFOLD_VERSION);
	return 0;
}

/** Has SQLite look through the whole database. */
static int check_whole(struct fold_map *map)
{
	sqlite3_stmt *statement;
	int result = prepare(map, "PRAGMA quick_check(1)", &statement);
	const unsigned char *said = NULL;

	if (result < 0)
		return result;
	if (sqlite3_step(statement) == SQLITE_ROW)
		said = sqlite3_column_text(statement, 0);
	if (said == NULL)
		result = failed(map, "checking it");
	else if (strcmp((const char *)said, "ok") != 0)
		result = corrupt(map, (const char *)said);
	sqlite3_finalize(statement);
	return result;
}

static int open_database(struct fold_map *map, bool create)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW |
			  (create ? SQLITE_OPEN_CREATE : 0);
	int result;

	if (sqlite3_open_v2(map->path, &map->database, flags, NULL) != SQLITE_OK)
		return bdus_config_error(sqlite3_system_errno(map->database) != 0
						 ? sqlite3_system_errno(map->database)
						 : EIO,
					 "filter zonefold: map=%s cannot be opened: %s", map->path,
					 sqlite3_errmsg(map->database));
	sqlite3_extended_result_codes(map->database, 1);
	sqlite3_db_config(map->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(map->database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	result = run(map, "PRAGMA locking_mode = EXCLUSIVE", "locking it");
	if (result == 0)
		result = run(map, "PRAGMA journal_mode = WAL", "opening it");
	return result == 0 ? run(map, "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON",
				 "opening it")
			   : result;
}

static int read_or_make(struct fold_map *map, const struct fold_record *fresh)
{
	int result;

	if (fresh != NULL && is_empty(map))
		return make_tables(map, fresh);
	result = check_kind(map);
	if (result == 0)
		result = check_whole(map);
	if (result == 0)
		result = prepare_statements(map);
	return result == 0 ? read_record(map) : result;
}

static int make_room(struct fold_map *map)
{
	map->zone_count = zonefold_record_sequential_zones(&map->record);
	map->page_count = (uint32_t)(base_align_up(zonefold_record_blocks(&map->record),
						   ZONEFOLD_PAGE_ENTRIES) /
				     ZONEFOLD_PAGE_ENTRIES);
	map->checksums = calloc(base_max(map->page_count, 1), sizeof(*map->checksums));
	map->sequences = calloc(base_max(map->zone_count, 1), sizeof(*map->sequences));
	return map->checksums != NULL && map->sequences != NULL
		       ? 0
		       : bdus_config_error(ENOMEM, "filter zonefold: no memory for the map %s",
					   map->path);
}

int fold_map_open(const char *path, const struct fold_record *fresh, struct fold_map **opened,
		  struct fold_record *record)
{
	struct fold_map *const map = calloc(1, sizeof(*map));
	int result;

	if (map != NULL)
		map->path = strdup(path);
	if (map == NULL || map->path == NULL) {
		free(map);
		return bdus_config_error(ENOMEM, "filter zonefold: no memory for a map");
	}
	result = open_database(map, fresh != NULL);
	if (result == 0)
		result = read_or_make(map, fresh);
	if (result == 0)
		result = make_room(map);
	if (result < 0) {
		fold_map_close(map);
		return result;
	}
	tell_record(&map->record, record);
	*opened = map;
	return 0;
}

void fold_map_close(struct fold_map *map)
{
	if (map == NULL)
		return;
	sqlite3_finalize(map->put_record);
	sqlite3_finalize(map->put_page);
	sqlite3_finalize(map->put_zone);
	sqlite3_close(map->database);
	free(map->checksums);
	free(map->sequences);
	free(map->path);
	free(map);
}

/* ---- loading -------------------------------------------------------------------------------- */

static int load_page(struct fold_map *map, struct fold_index *index, sqlite3_stmt *row)
{
	const int64_t number = sqlite3_column_int64(row, 0);
	struct zonefold_page page;

	if (number < 0 || number >= map->page_count)
		return corrupt(map, "a page lies past the end of the device");
	if (sqlite3_column_bytes(row, 1) != sizeof(page))
		return corrupt(map, "a page has another size");
	memcpy(&page, sqlite3_column_blob(row, 1), sizeof(page));
	if (zonefold_page_check(&page, sizeof(page), NULL) < 0 ||
	    zonefold_page_number(&page) != number ||
	    zonefold_page_map_id(&page) != zonefold_record_map_id(&map->record))
		return corrupt(map, "a page is not valid");
	if (fold_index_load(index, &page) < 0)
		return corrupt(map, "a block has a place that it cannot have");
	map->checksums[number] = zonefold_page_checksum(&page);
	return 0;
}

static int load_zone(struct fold_map *map, uint64_t *sequences, sqlite3_stmt *row)
{
	const int64_t number = sqlite3_column_int64(row, 0);

	if (number < 0 || number >= map->zone_count)
		return corrupt(map, "a zone lies past the end of the device");
	map->sequences[number] = (uint64_t)sqlite3_column_int64(row, 1);
	sequences[number] = map->sequences[number];
	return 0;
}

static int load_pages(struct fold_map *map, struct fold_index *index)
{
	sqlite3_stmt *rows;
	int result = prepare(map, "SELECT number, value FROM pages", &rows);
	int stepped = SQLITE_ROW;

	if (result < 0)
		return result;
	while (result == 0 && (stepped = sqlite3_step(rows)) == SQLITE_ROW)
		result = load_page(map, index, rows);
	if (result == 0 && stepped != SQLITE_DONE)
		result = failed(map, "reading its pages");
	sqlite3_finalize(rows);
	return result;
}

static int load_zones(struct fold_map *map, uint64_t *sequences)
{
	sqlite3_stmt *rows;
	int result = prepare(map, "SELECT number, sequence FROM zones", &rows);
	int stepped = SQLITE_ROW;

	if (result < 0)
		return result;
	while (result == 0 && (stepped = sqlite3_step(rows)) == SQLITE_ROW)
		result = load_zone(map, sequences, rows);
	if (result == 0 && stepped != SQLITE_DONE)
		result = failed(map, "reading its zones");
	sqlite3_finalize(rows);
	return result;
}

/** What a zone adds to the sum over all of them. */
static uint64_t weight(uint32_t number, uint64_t sequence)
{
	return (number + UINT64_C(1)) * sequence;
}

/** Whether all that was stored is there. */
static int check_sums(struct fold_map *map)
{
	uint64_t pages = 0, zones = 0;

	for (uint32_t i = 0; i < map->page_count; i++)
		pages += map->checksums[i];
	for (uint32_t i = 0; i < map->zone_count; i++)
		zones += weight(i, map->sequences[i]);
	if (pages != zonefold_record_pages_sum(&map->record) ||
	    zones != zonefold_record_zones_sum(&map->record))
		return corrupt(map, "pages or zones are missing or of another time");
	return 0;
}

int fold_map_load(struct fold_map *map, struct fold_index *index, uint64_t *sequences)
{
	int result = load_pages(map, index);

	if (result == 0)
		result = load_zones(map, sequences);
	return result == 0 ? check_sums(map) : result;
}

/* ---- committing ----------------------------------------------------------------------------- */

static int put_page(struct fold_map *map, struct zonefold_page *page, uint64_t *sum)
{
	const uint32_t number = zonefold_page_number(page);

	zonefold_page_set_map_id(page, zonefold_record_map_id(&map->record));
	zonefold_page_seal(page);
	*sum += (uint64_t)zonefold_page_checksum(page) - map->checksums[number];
	sqlite3_bind_int64(map->put_page, 1, number);
	sqlite3_bind_blob(map->put_page, 2, page, sizeof(*page), SQLITE_STATIC);
	return step(map->put_page) ? 0 : failed(map, "storing a page");
}

static int put_zone(struct fold_map *map, const struct fold_zone_row *zone, uint64_t *sum)
{
	*sum += weight(zone->number, zone->sequence) -
		weight(zone->number, map->sequences[zone->number]);
	sqlite3_bind_int64(map->put_zone, 1, zone->number);
	sqlite3_bind_int64(map->put_zone, 2, (int64_t)zone->sequence);
	return step(map->put_zone) ? 0 : failed(map, "storing a zone");
}

static int put_all(struct fold_map *map, const struct fold_commit *commit,
		   struct zonefold_record *record)
{
	uint64_t pages = zonefold_record_pages_sum(record);
	uint64_t zones = zonefold_record_zones_sum(record);
	int result = 0;

	for (uint32_t i = 0; i < commit->page_count && result == 0; i++)
		result = put_page(map, &commit->pages[i], &pages);
	for (uint32_t i = 0; i < commit->zone_count && result == 0; i++)
		result = put_zone(map, &commit->zones[i], &zones);
	if (result < 0)
		return result;
	zonefold_record_set_commits(record, commit->commits);
	zonefold_record_set_sequence(record, commit->sequence);
	zonefold_record_set_pages_sum(record, pages);
	zonefold_record_set_zones_sum(record, zones);
	return put_record(map, record);
}

/** What was stored is what the next commit begins with. */
static void note_stored(struct fold_map *map, const struct fold_commit *commit,
			const struct zonefold_record *record)
{
	map->record = *record;
	for (uint32_t i = 0; i < commit->page_count; i++)
		map->checksums[zonefold_page_number(&commit->pages[i])] =
			zonefold_page_checksum(&commit->pages[i]);
	for (uint32_t i = 0; i < commit->zone_count; i++)
		map->sequences[commit->zones[i].number] = commit->zones[i].sequence;
}

int fold_map_commit(struct fold_map *map, const struct fold_commit *commit)
{
	struct zonefold_record record = map->record;
	int result = run(map, "BEGIN IMMEDIATE", "beginning a commit");

	if (result < 0)
		return result;
	result = put_all(map, commit, &record);
	if (result == 0)
		result = run(map, "COMMIT", "committing");
	if (result == 0)
		note_stored(map, commit, &record);
	else
		/* Some failures have done so already. */
		sqlite3_exec(map->database, "ROLLBACK", NULL, NULL, NULL);
	return result;
}
