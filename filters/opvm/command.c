/* SPDX-License-Identifier: MIT */
/*
 * What is asked of the filter from outside: status, another program, values of maps. Answers are
 * one JSON document each.
 */
#include "answer.h"
#include "opvm_filter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- status -----------------------------------------------------------------------------------
 */

static void add_maps(struct answer *answer, const struct loaded *loaded)
{
	const struct opvm_map_definition *map;

	opvm_answer_add(answer, ",\"maps\":[");
	for (uint32_t i = 0; (map = opvm_object_map_definition(loaded->object, i)) != NULL; i++)
		opvm_answer_add_map(answer, i, map);
	opvm_answer_add(answer, "]");
}

static int tell_status(const struct filter *filter, struct answer *answer)
{
	const struct loaded *const loaded = atomic_load(&filter->loaded);
	struct opvm_program_info info = {0};

	opvm_answer_add(answer, "{\"program\":");
	if (loaded == NULL) {
		opvm_answer_add(answer, "null");
	} else {
		opvm_program_describe(loaded->program, &info);
		opvm_answer_add_name(answer, loaded->name);
		opvm_answer_add(answer, ",\"instructions\":%" PRIu32 ",\"compiled\":%s",
				info.instructions, info.compiled ? "true" : "false");
		add_maps(answer, loaded);
	}
	opvm_answer_add(answer, ",\"replaced\":%u,\"fuel\":%" PRIu64, filter->replaced,
			filter->fuel);
	for (unsigned i = 0; i < COUNTERS; i++)
		opvm_answer_add(answer, ",\"%s\":%" PRIu64, opvm_counter_names[i],
				opvm_counter(filter, i));
	opvm_answer_add(answer, "}");
	return opvm_answer_finish(answer);
}

/* ---- maps -------------------------------------------------------------------------------------
 */

static int find_map(const struct filter *filter, const char *name, struct opvm_map **map)
{
	const struct loaded *const loaded = atomic_load(&filter->loaded);

	*map = loaded != NULL ? opvm_object_find_map(loaded->object, name) : NULL;
	if (*map == NULL)
		return bdus_config_error(ENOENT, "filter opvm: there is no map '%s'", name);
	return 0;
}

static int set_value(struct opvm_map *map, const char *key_text, size_t key_length,
		     const char *text, size_t length)
{
	const struct opvm_map_definition *const definition = opvm_map_describe(map);
	uint64_t key, value;
	int result = opvm_parse_key(definition, key_text, key_length, &key);

	if (result == 0)
		result = opvm_parse_value(definition, text, length, &value);
	if (result < 0)
		return result;
	result = opvm_map_set(map, &key, &value, OPVM_MAP_ANY);
	if (result < 0)
		return bdus_config_error(-result, "filter opvm: map %s cannot take key %.*s: %s",
					 definition->name, (int)key_length, key_text,
					 strerror(-result));
	return 0;
}

/** "MAP:KEY:VALUE" of @length bytes. */
static int set_word(struct filter *filter, const char *word, size_t length)
{
	char name[sizeof(((struct opvm_map_definition *)0)->name)];
	const char *const key = memchr(word, ':', length);
	const char *const value =
		key != NULL ? memchr(key + 1, ':', length - (size_t)(key + 1 - word)) : NULL;
	struct opvm_map *map;
	int result;

	if (value == NULL || (size_t)(key - word) >= sizeof(name))
		return bdus_config_error(EINVAL, "filter opvm: maps: '%.*s' must be MAP:KEY:VALUE",
					 (int)length, word);
	memcpy(name, word, (size_t)(key - word));
	name[key - word] = '\0';
	result = find_map(filter, name, &map);
	if (result < 0)
		return result;
	return set_value(map, key + 1, (size_t)(value - key - 1), value + 1,
			 length - (size_t)(value + 1 - word));
}

int opvm_filter_set(struct filter *filter, const char *words)
{
	for (;;) {
		const size_t length = strcspn(words, "+");
		const int result = set_word(filter, words, length);

		if (result < 0 || words[length] == '\0')
			return result;
		words += length + 1;
	}
}

/** The value of a key, or those of each processor, or of a histogram. */
static int add_entry(struct answer *answer, const struct opvm_map *map, const void *key)
{
	const struct opvm_map_definition *const definition = opvm_map_describe(map);
	const uint32_t values =
		definition->kind == OPVM_MAP_HISTOGRAM ? 64 : opvm_map_processors(map);
	uint8_t *const memory = malloc((size_t)values * definition->value_bytes + 8);
	int result;

	if (memory == NULL)
		return bdus_config_error(ENOMEM, "filter opvm: no memory for a value");
	result = opvm_map_get(map, key, memory);
	if (result < 0) {
		free(memory);
		return bdus_config_error(-result, "filter opvm: map %s: %s", definition->name,
					 strerror(-result));
	}
	opvm_answer_add_values(answer, memory, values, definition->value_bytes,
			       definition->value_bytes);
	free(memory);
	return 0;
}

static int get_entry(const struct filter *filter, const char *name, const char *key_text,
		     struct answer *answer)
{
	struct opvm_map *map;
	uint64_t key = 0;
	int result = find_map(filter, name, &map);

	if (result == 0 && key_text != NULL)
		result = opvm_parse_key(opvm_map_describe(map), key_text, strlen(key_text), &key);
	if (result == 0)
		result = add_entry(answer, map, key_text != NULL ? &key : NULL);
	return result < 0 ? result : opvm_answer_finish(answer);
}

static int set_entry(struct filter *filter, const char *const *words)
{
	struct opvm_map *map;
	const int result = find_map(filter, words[0], &map);

	return result < 0 ? result
			  : set_value(map, words[1], strlen(words[1]), words[2], strlen(words[2]));
}

/** The oldest record of a ring in hexadecimal digits, or null. */
static int read_ring(const struct filter *filter, const char *name, struct answer *answer)
{
	uint8_t record[512];
	struct opvm_map *map;
	int result = find_map(filter, name, &map);

	if (result < 0)
		return result;
	result = opvm_ring_read(map, record, sizeof(record));
	if (result < 0)
		return bdus_config_error(-result, "filter opvm: map %s: %s", name,
					 strerror(-result));
	if (result == 0)
		opvm_answer_add(answer, "null");
	else
		opvm_answer_add_bytes(answer, record, (size_t)result);
	return opvm_answer_finish(answer);
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static int replace(struct filter *filter, const char *const *words, unsigned count)
{
	const bool keep_maps = count > 1 && strcmp(words[count - 1], "keep-maps") == 0;
	const unsigned names = count - 1 - keep_maps;
	int result;

	if (names > 2)
		return bdus_config_error(EINVAL, "filter opvm: replace takes PROGRAM [NAME "
						 "[COMPLETION]] [keep-maps]");
	result = opvm_filter_load(filter, words[0], names > 0 ? words[1] : NULL,
				  names > 1 ? words[2] : NULL, keep_maps);
	filter->replaced += result == 0;
	return result;
}

int opvm_filter_command(void *instance, const char *const *words, unsigned count, char *text,
			size_t size_bytes)
{
	struct filter *const filter = instance;
	struct answer answer = {.text = text, .size_bytes = size_bytes};
	const char *const verb = count > 0 ? words[0] : "";

	if (strcmp(verb, "status") == 0 && count == 1)
		return tell_status(filter, &answer);
	if (strcmp(verb, "replace") == 0 && count > 1)
		return replace(filter, words + 1, count - 1);
	if (strcmp(verb, "detach") == 0 && count == 1) {
		opvm_filter_detach(filter);
		return 0;
	}
	if (strcmp(verb, "get") == 0 && (count == 2 || count == 3))
		return get_entry(filter, words[1], count == 3 ? words[2] : NULL, &answer);
	if (strcmp(verb, "set") == 0 && count == 4)
		return set_entry(filter, words + 1);
	if (strcmp(verb, "read") == 0 && count == 2)
		return read_ring(filter, words[1], &answer);
	return bdus_config_error(
		EINVAL,
		"filter opvm: '%s' with %u words is no command: status, replace "
		"PROGRAM [NAME [COMPLETION]] [keep-maps], detach, get MAP [KEY], set MAP KEY "
		"VALUE, read RING",
		verb, count);
}
