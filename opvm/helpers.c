/* SPDX-License-Identifier: MIT */
/*
 * The helpers that every environment has, and finding those that a call names.
 */
#include "opvm_internal.h"

static struct opvm_map *map_at(uint64_t argument)
{
	return (struct opvm_map *)(uintptr_t)argument;
}

static void *memory_at(uint64_t argument)
{
	return (void *)(uintptr_t)argument;
}

static uint64_t call_lookup(uint64_t map, uint64_t key, uint64_t c, uint64_t d, uint64_t e,
			    void *context)
{
	(void)c, (void)d, (void)e, (void)context;
	return (uint64_t)(uintptr_t)opvm_map_lookup(map_at(map), memory_at(key));
}

static uint64_t call_update(uint64_t map, uint64_t key, uint64_t value, uint64_t flags, uint64_t e,
			    void *context)
{
	(void)e, (void)context;
	if (opvm_map_describe(map_at(map))->kind == OPVM_MAP_PER_CPU && flags != OPVM_MAP_ABSENT) {
		/* As a lookup and a store: this processor's value alone. */
		void *const own = opvm_map_lookup(map_at(map), memory_at(key));

		if (flags > OPVM_MAP_PRESENT)
			return (uint64_t)-EINVAL;
		if (own == NULL)
			return (uint64_t)-E2BIG;
		memcpy(own, memory_at(value), opvm_map_describe(map_at(map))->value_bytes);
		return 0;
	}
	return (uint64_t)opvm_map_set(map_at(map), memory_at(key), memory_at(value), flags);
}

static uint64_t call_delete(uint64_t map, uint64_t key, uint64_t c, uint64_t d, uint64_t e,
			    void *context)
{
	(void)c, (void)d, (void)e, (void)context;
	return (uint64_t)opvm_map_delete(map_at(map), memory_at(key));
}

static uint64_t call_time(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, void *context)
{
	(void)a, (void)b, (void)c, (void)d, (void)e, (void)context;
	return opvm_host_time_ns();
}

/** One step of a counter that all threads share, well mixed. */
static uint64_t call_random(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			    void *context)
{
	static uint64_t counter;
	uint64_t mixed = __atomic_add_fetch(&counter, 0x9e3779b97f4a7c15ULL, __ATOMIC_RELAXED);

	(void)a, (void)b, (void)c, (void)d, (void)e, (void)context;
	mixed += opvm_host_time_ns();
	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
	return (uint32_t)(mixed >> 32);
}

static uint64_t call_processor(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			       void *context)
{
	(void)a, (void)b, (void)c, (void)d, (void)e, (void)context;
	return opvm_host_processor();
}

static uint64_t call_ring_output(uint64_t map, uint64_t data, uint64_t size_bytes, uint64_t flags,
				 uint64_t e, void *context)
{
	(void)e, (void)context;
	if (flags != 0)
		return (uint64_t)-EINVAL;
	return (uint64_t)opvm_ring_output(map_at(map), memory_at(data), size_bytes);
}

static uint64_t call_histogram_add(uint64_t map, uint64_t value, uint64_t c, uint64_t d, uint64_t e,
				   void *context)
{
	(void)c, (void)d, (void)e, (void)context;
	return (uint64_t)opvm_histogram_add(map_at(map), value);
}

#define KEYED_MAPS (1 << OPVM_MAP_ARRAY | 1 << OPVM_MAP_HASH | 1 << OPVM_MAP_PER_CPU)
#define MAP        OPVM_ARGUMENT_MAP
#define KEY        OPVM_ARGUMENT_KEY
#define VALUE      OPVM_ARGUMENT_VALUE
#define INTEGER    OPVM_ARGUMENT_INTEGER
#define BYTES      OPVM_ARGUMENT_READ
#define SIZE       OPVM_ARGUMENT_SIZE

/* Ends with one without a function. */
const struct opvm_helper opvm_builtins[] = {
	{"map_lookup",
	 call_lookup,
	 OPVM_CALL_MAP_LOOKUP,
	 0,
	 {MAP, KEY},
	 OPVM_RESULT_VALUE_OR_NULL,
	 KEYED_MAPS},
	{"map_update",
	 call_update,
	 OPVM_CALL_MAP_UPDATE,
	 0,
	 {MAP, KEY, VALUE, INTEGER},
	 OPVM_RESULT_INTEGER,
	 KEYED_MAPS},
	{"map_delete",
	 call_delete,
	 OPVM_CALL_MAP_DELETE,
	 0,
	 {MAP, KEY},
	 OPVM_RESULT_INTEGER,
	 KEYED_MAPS},
	{"time_ns", call_time, OPVM_CALL_TIME_NS, 0, {0}, OPVM_RESULT_INTEGER, 0},
	{"random", call_random, OPVM_CALL_RANDOM, 0, {0}, OPVM_RESULT_INTEGER, 0},
	{"processor", call_processor, OPVM_CALL_PROCESSOR, 0, {0}, OPVM_RESULT_INTEGER, 0},
	{"ring_output",
	 call_ring_output,
	 OPVM_CALL_RING_OUTPUT,
	 0,
	 {MAP, BYTES, SIZE, INTEGER},
	 OPVM_RESULT_INTEGER,
	 1 << OPVM_MAP_RING},
	{"histogram_add",
	 call_histogram_add,
	 OPVM_CALL_HISTOGRAM_ADD,
	 0,
	 {MAP, INTEGER},
	 OPVM_RESULT_INTEGER,
	 1 << OPVM_MAP_HISTOGRAM},
	{NULL, NULL, 0, 0, {0}, 0, 0},
};

const struct opvm_helper *opvm_find_helper(const struct opvm_environment *environment,
					   enum opvm_do how, uint32_t number)
{
	for (const struct opvm_helper *helper = opvm_builtins; helper->function != NULL; helper++)
		if (how == OPVM_DO_HELPER && helper->number == number)
			return helper;
	for (uint32_t index = 0; index < environment->helpers_count; index++) {
		const struct opvm_helper *const helper = &environment->helpers[index];

		if (how == OPVM_DO_HELPER ? helper->number == number
					  : number != 0 && helper->btf_id == number)
			return helper;
	}
	return NULL;
}
