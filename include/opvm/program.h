/* SPDX-License-Identifier: MIT */
/*
 * For programs in C that are compiled for opvm by clang -target bpf: declarations of the helpers
 *that every environment has, maps, and the context that `opvm run` gives.
 *
 *	OPVM_MAP(counts, OPVM_MAP_ARRAY, sizeof(uint32_t), sizeof(uint64_t), 16);
 *
 *	OPVM_PROGRAM uint64_t count(struct opvm_command_context *context)
 *	{
 *		…
 *	}
 */
#ifndef OPVM_PROGRAM_H
#define OPVM_PROGRAM_H

typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;

/** A function that is a program; its name is the program's. */
#define OPVM_PROGRAM __attribute__((section("opvm"), used))

/** As opvm_map_kind. */
enum {
	OPVM_MAP_ARRAY = 1,
	OPVM_MAP_HASH,
	OPVM_MAP_PER_CPU,
	OPVM_MAP_HISTOGRAM,
	OPVM_MAP_RING
};

/** As opvm_map_definition; the name is that of the variable. */
struct opvm_map_variable {
	char name[32];
	uint32_t kind;
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint32_t entries;
};

#define OPVM_MAP(name, kind, key_bytes, value_bytes, entries)                         \
	struct opvm_map_variable name __attribute__((section("opvm_maps"), used)) = { \
		"", kind, key_bytes, value_bytes, entries}

/* Helpers, as opvm_builtin says. */
static void *(*const opvm_map_lookup)(const void *map, const void *key) = (void *)1;
static int64_t (*const opvm_map_update)(const void *map, const void *key, const void *value,
					uint64_t flags) = (void *)2;
static int64_t (*const opvm_map_delete)(const void *map, const void *key) = (void *)3;
static uint64_t (*const opvm_time_ns)(void) = (void *)5;
static uint32_t (*const opvm_random)(void) = (void *)7;
static uint32_t (*const opvm_processor)(void) = (void *)8;
static int64_t (*const opvm_ring_output)(const void *ring, const void *data, uint64_t size_bytes,
					 uint64_t flags) = (void *)130;
static int64_t (*const opvm_histogram_add)(const void *histogram, uint64_t value) = (void *)0x1000;

/** What `opvm run` and `opvm bench` give: bytes of a file, and numbers of the command line. */
struct opvm_command_context {
	/** First byte, and past the last byte; the program may write them. */
	uint8_t *data;
	uint8_t *data_end;
	/** data_end - data. */
	uint64_t length_bytes;
	uint64_t numbers[4];
};

#endif
