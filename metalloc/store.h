/* SPDX-License-Identifier: MIT */
/*
 * The database: a directory with a file for each program, and what such a file holds. The layout is
 *that of the machine; a file that does not match it in every respect is left alone.
 *
 *	page 0: head, with the choice   page 1: merged record   pages 2 …: records of running
 *processes
 */
#ifndef STORE_H
#define STORE_H

#include "choice.h"

#include <stdatomic.h>
#include <sys/types.h>

#define STORE_MAGIC UINT64_C(0x3152544f5453544d)
#define STORE_SLOTS 4u
#define STORE_PAGE  4096u
#define STORE_BYTES (STORE_PAGE * (2u + STORE_SLOTS))
#define STORE_KEY   16u
#define STORE_NAME  64u
#define STORE_PATH  512u
/** So many executions in a row without another choice, and the profile has converged. */
#define STORE_CONVERGED 6u
/** … and from then on, one execution in so many is recorded. */
#define STORE_SAMPLED 16u

struct store_head {
	uint64_t magic;
	uint32_t bytes;
	uint32_t record_bytes;
	uint8_t key[STORE_KEY];
	/** The program's name, for people; always terminated. */
	char name[STORE_NAME];
	/** Process that merges, or 0. */
	_Atomic uint32_t merging;
	/** Executions merged so far, and since the choice last changed. */
	_Atomic uint32_t runs;
	_Atomic uint32_t stable;
	uint32_t reserved;
	/** Processes that write a record, or 0. */
	_Atomic uint32_t writers[STORE_SLOTS];
	struct choice choice;
};

union store_page {
	struct store_head head;
	struct record record;
	char bytes[STORE_PAGE];
};

static_assert(sizeof(union store_page) == STORE_PAGE, "a record fits in a page");

/** A file of the database, mapped. */
struct store {
	union store_page pages[2 + STORE_SLOTS];
};

/** Which program a process executes. */
struct identity {
	uint8_t key[STORE_KEY];
	char name[STORE_NAME];
};

/** identify.c: of the calling process, from its own memory, its executable and its script. */
void identify(struct identity *identity, int count, char *const arguments[]);
/** Of an executable; 0, or a negative errno value. */
int identify_file(struct identity *identity, const char *path, const char *script);

/** The directory of the database by an environment; false when there is none. */
bool store_directory(char path[static STORE_PATH], char *const environment[]);
/** "DIRECTORY/KEY"; false when it is too long. */
bool store_path(char path[static STORE_PATH], const char *directory, const uint8_t key[STORE_KEY]);
/** Whether a head is one, and that of @key if that is not NULL. */
bool store_head_is_valid(const struct store_head *head, const uint8_t *key);
/** Reads the head of a file and, with @map, maps it; 0 or a negative errno value. */
int store_open(const char *path, const uint8_t *key, struct store_head *head, struct store **map);
/** As store_open(), of a file made for it if there is none. */
int store_create(const char *directory, const struct identity *identity, struct store **map);
/** Merges what processes left that are no more. */
void store_recover(struct store *store);
/** A page for this process' record, or -1. */
int store_claim(struct store *store);
/** Merges a record into the profile and frees its page. */
void store_merge(struct store *store, unsigned slot);
/** @merged becomes the weighted mean of itself and @run. */
void store_weigh(struct record *merged, const struct record *run, uint32_t runs);
/** Reads a choice in a file that only its owner and root could have written. */
int store_read_choice(const char *path, struct choice *choice);

#endif
