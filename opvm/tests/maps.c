/* SPDX-License-Identifier: MIT */
/*
 * Maps as the host sees them, alone and while other threads change them.
 */
#include "opvm.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct opvm_map *create(uint32_t kind, uint32_t key_bytes, uint32_t value_bytes,
			       uint32_t entries)
{
	const struct opvm_map_definition definition = {"map", kind, key_bytes, value_bytes,
						       entries};
	struct opvm_map *map = NULL;

	assert_int_equal(opvm_map_create(&definition, NULL, &map), 0);
	return map;
}

static void definitions_are_checked(void **unused)
{
	static const struct {
		struct opvm_map_definition definition;
		const char *reason;
	} wrong[] = {
		{{"a", 0, 4, 8, 1}, "kind 0"},
		{{"a", 6, 4, 8, 1}, "kind 6"},
		{{"a", OPVM_MAP_ARRAY, 8, 8, 1}, "key of 8 bytes"},
		{{"a", OPVM_MAP_HASH, 0, 8, 1}, "key of 0 bytes"},
		{{"a", OPVM_MAP_HASH, 513, 8, 1}, "key of 513 bytes"},
		{{"a", OPVM_MAP_ARRAY, 4, 0, 1}, "value of 0 bytes"},
		{{"a", OPVM_MAP_ARRAY, 4, 8, 0}, "0 entries"},
		{{"a", OPVM_MAP_ARRAY, 4, 8, UINT32_MAX}, "entries"},
		{{"a", OPVM_MAP_ARRAY, 4, 65536, 1U << 24}, "at most"},
		{{"a", OPVM_MAP_RING, 0, 0, 100}, "a power of two"},
	};

	(void)unused;
	for (unsigned index = 0; index < sizeof(wrong) / sizeof(wrong[0]); index++) {
		char text[256] = "";
		struct opvm_log log = {text, sizeof(text), 0};
		struct opvm_map *map = NULL;

		assert_int_equal(opvm_map_create(&wrong[index].definition, &log, &map), -EINVAL);
		assert_null(map);
		assert_non_null(strstr(text, wrong[index].reason));
	}
}

static void values_are_copied_to_a_map_of_the_same_form(void **unused)
{
	struct opvm_map *const from = create(OPVM_MAP_HASH, 8, 4, 16);
	struct opvm_map *const to = create(OPVM_MAP_HASH, 8, 4, 16);
	struct opvm_map *const small = create(OPVM_MAP_HASH, 8, 4, 8);
	struct opvm_map *const ring = create(OPVM_MAP_RING, 0, 0, 4096);
	uint32_t value, got;

	(void)unused;
	for (uint64_t key = 100; key < 110; key++) {
		value = (uint32_t)key * 3;
		assert_int_equal(opvm_map_set(from, &key, &value, OPVM_MAP_ANY), 0);
	}
	value = 1;
	assert_int_equal(opvm_map_set(to, &(uint64_t){7}, &value, OPVM_MAP_ANY), 0);
	assert_int_equal(opvm_map_copy(from, to), 0);
	for (uint64_t key = 100; key < 110; key++) {
		assert_int_equal(opvm_map_get(to, &key, &got), 0);
		assert_int_equal(got, key * 3);
	}
	assert_int_equal(opvm_map_get(to, &(uint64_t){7}, &got), 0);
	assert_int_equal(opvm_map_copy(from, small), -EINVAL);
	assert_int_equal(opvm_map_copy(ring, ring), -EINVAL);
	opvm_map_destroy(from);
	opvm_map_destroy(to);
	opvm_map_destroy(small);
	opvm_map_destroy(ring);
}

static void arrays_have_all_values_from_the_start(void **unused)
{
	struct opvm_map *const map = create(OPVM_MAP_ARRAY, 4, 12, 3);
	uint32_t key = 2, next;
	char value[12] = "eleven byte", got[12];

	(void)unused;
	assert_int_equal(opvm_map_get(map, &key, got), 0);
	assert_int_equal(got[0], 0);
	assert_int_equal(opvm_map_set(map, &key, value, OPVM_MAP_ANY), 0);
	assert_int_equal(opvm_map_get(map, &key, got), 0);
	assert_memory_equal(got, value, sizeof(value));
	assert_int_equal(opvm_map_set(map, &key, value, OPVM_MAP_ABSENT), -EEXIST);
	assert_int_equal(opvm_map_set(map, &key, value, 3), -EINVAL);
	assert_int_equal(opvm_map_delete(map, &key), -EINVAL);
	key = 3;
	assert_int_equal(opvm_map_get(map, &key, got), -ENOENT);
	assert_int_equal(opvm_map_set(map, &key, value, OPVM_MAP_ANY), -E2BIG);
	assert_int_equal(opvm_map_next(map, NULL, &next), 0);
	assert_int_equal(next, 0);
	key = 2;
	assert_int_equal(opvm_map_next(map, &key, &next), -ENOENT);
	opvm_map_destroy(map);
}

static void hashes_keep_what_is_put_in(void **unused)
{
	struct opvm_map *const map = create(OPVM_MAP_HASH, 5, 8, 1000);
	char key[5] = {0}, next[5];
	uint64_t value;
	unsigned seen = 0;

	(void)unused;
	for (uint32_t number = 0; number < 1000; number++) {
		memcpy(key, &number, 4);
		value = number;
		assert_int_equal(opvm_map_set(map, key, &value, OPVM_MAP_ABSENT), 0);
	}
	memcpy(key, "full", 5);
	assert_int_equal(opvm_map_set(map, key, &value, OPVM_MAP_ANY), -E2BIG);
	assert_int_equal(opvm_map_set(map, key, &value, OPVM_MAP_PRESENT), -ENOENT);
	for (int error = opvm_map_next(map, NULL, key); error == 0;
	     error = opvm_map_next(map, key, next)) {
		if (seen++ > 0)
			memcpy(key, next, sizeof(key));
	}
	assert_int_equal(seen, 1000);
	memset(key, 0, sizeof(key));
	for (uint32_t number = 0; number < 1000; number += 2) {
		memcpy(key, &number, 4);
		assert_int_equal(opvm_map_delete(map, key), 0);
		assert_int_equal(opvm_map_delete(map, key), -ENOENT);
	}
	for (uint32_t number = 0; number < 1000; number++) {
		memcpy(key, &number, 4);
		assert_int_equal(opvm_map_get(map, key, &value), number % 2 ? 0 : -ENOENT);
		assert_true(number % 2 == 0 || value == number);
	}
	opvm_map_destroy(map);
}

static void per_cpu_values_are_one_for_each_processor(void **unused)
{
	struct opvm_map *const map = create(OPVM_MAP_PER_CPU, 4, 8, 2);
	const uint32_t processors = opvm_map_processors(map), key = 1;
	uint64_t *const values = calloc(processors, 8), value = 5;

	(void)unused;
	assert_true(processors >= 1);
	assert_int_equal(opvm_map_set(map, &key, &value, OPVM_MAP_ANY), 0);
	assert_int_equal(opvm_map_get(map, &key, values), 0);
	for (uint32_t processor = 0; processor < processors; processor++)
		assert_int_equal(values[processor], 5);
	free(values);
	opvm_map_destroy(map);
}

/** A program of the text that is run once with @map. */
static uint64_t run_with(struct opvm_map *map, const char *text)
{
	const struct opvm_environment environment = {.size = sizeof(environment)};
	char message[2048] = "";
	struct opvm_log log = {message, sizeof(message), 0};
	struct opvm_object *object;
	struct opvm_source source = {.size = sizeof(source), .maps = &map, .maps_count = 1};
	struct opvm_program *program;
	uint64_t result;

	assert_int_equal(opvm_object_assemble(text, &log, &object), 0);
	source.instructions = opvm_object_code(object, &source.count);
	if (opvm_program_create(&environment, &source, &log, &program) != 0)
		fail_msg("%s", message);
	assert_int_equal(opvm_run(program, NULL, 1000000, &result), 0);
	opvm_program_destroy(program);
	opvm_object_destroy(object);
	return result;
}

static void histograms_count_by_the_highest_bit(void **unused)
{
	struct opvm_map *const map = create(OPVM_MAP_HISTOGRAM, 0, 0, 0);
	uint64_t counters[64];

	(void)unused;
	run_with(map, "mov r6, 1000\n"
		      "again:\n"
		      "lddw r1, map 0\n"
		      "mov r2, r6\n"
		      "call histogram_add\n"
		      "add r6, -1\n"
		      "jne r6, 0, again\n"
		      "mov r0, 0\n"
		      "exit\n");
	assert_int_equal(opvm_map_get(map, NULL, counters), 0);
	for (unsigned bucket = 0; bucket < 9; bucket++)
		assert_int_equal(counters[bucket], 1U << bucket);
	assert_int_equal(counters[9], 1000 - 511);
	assert_int_equal(counters[10], 0);
	assert_int_equal(opvm_map_set(map, NULL, counters, OPVM_MAP_ANY), -EINVAL);
	opvm_map_destroy(map);
}

static void rings_give_records_in_their_order(void **unused)
{
	static const char output[] = "stdw [r10-16], 1\n"
				     "stdw [r10-8], 2\n"
				     "lddw r1, map 0\n"
				     "mov r2, r10\n"
				     "add r2, -16\n"
				     "mov r3, 13\n"
				     "mov r4, 0\n"
				     "call ring_output\n"
				     "exit\n";
	struct opvm_map *const map = create(OPVM_MAP_RING, 0, 0, 64);
	uint8_t record[16] = {0};

	(void)unused;
	assert_int_equal(opvm_ring_read(map, record, sizeof(record)), 0);
	for (unsigned round = 0; round < 10; round++) {
		assert_int_equal(run_with(map, output), 0);
		assert_int_equal(run_with(map, output), 0);
		assert_int_equal(run_with(map, output), (uint64_t)-ENOSPC);
		assert_int_equal(opvm_ring_read(map, record, 12), -ENOSPC);
		assert_int_equal(opvm_ring_read(map, record, sizeof(record)), 13);
		assert_int_equal(record[0], 1);
		assert_int_equal(record[8], 2);
		assert_int_equal(opvm_ring_read(map, record, sizeof(record)), 13);
		assert_int_equal(opvm_ring_read(map, record, sizeof(record)), 0);
	}
	assert_int_equal(opvm_ring_lost(map), 10);
	opvm_map_destroy(map);
}

/* ---- threads ------------------------------------------------------------------------------- */

#define THREADS 3
#define CHANGES 20000

struct worker {
	struct opvm_map *map;
	unsigned number;
	unsigned wrong;
};

/** Each has keys of its own, which come and go; all look for a key that always stays. */
static void *change(void *argument)
{
	struct worker *const worker = argument;
	const uint64_t stays = 1000000;

	for (uint64_t round = 0; round < CHANGES; round++) {
		const uint64_t key = worker->number * 1000 + round % 50;
		uint64_t value = key * 7, got = 0;

		worker->wrong += opvm_map_set(worker->map, &key, &value, OPVM_MAP_ANY) != 0;
		worker->wrong += opvm_map_get(worker->map, &key, &got) != 0 || got != value;
		worker->wrong += opvm_map_get(worker->map, &stays, &got) != 0 || got != 99;
		if (round % 3 == 0)
			worker->wrong += opvm_map_delete(worker->map, &key) != 0;
	}
	return NULL;
}

static void hashes_are_for_many_threads(void **unused)
{
	struct opvm_map *const map = create(OPVM_MAP_HASH, 8, 8, 200);
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	const uint64_t stays = 1000000, value = 99;

	(void)unused;
	assert_int_equal(opvm_map_set(map, &stays, &value, OPVM_MAP_ANY), 0);
	for (unsigned index = 0; index < THREADS; index++) {
		workers[index] = (struct worker){map, index, 0};
		assert_int_equal(pthread_create(&threads[index], NULL, change, &workers[index]), 0);
	}
	for (unsigned index = 0; index < THREADS; index++) {
		pthread_join(threads[index], NULL);
		assert_int_equal(workers[index].wrong, 0);
	}
	opvm_map_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(definitions_are_checked),
		cmocka_unit_test(arrays_have_all_values_from_the_start),
		cmocka_unit_test(values_are_copied_to_a_map_of_the_same_form),
		cmocka_unit_test(hashes_keep_what_is_put_in),
		cmocka_unit_test(per_cpu_values_are_one_for_each_processor),
		cmocka_unit_test(histograms_count_by_the_highest_bit),
		cmocka_unit_test(rings_give_records_in_their_order),
		cmocka_unit_test(hashes_are_for_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
