/* SPDX-License-Identifier: MIT */
/*
 * Answers to commands, and numbers.
 */
#include "answer.h"

#include <bdus/driver.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers ----------------------------------------------------------------------------------
 */

void opvm_answer_add(struct answer *answer, const char *format, ...)
{
	va_list arguments;
	int length;

	if (answer->used >= answer->size_bytes)
		return;
	va_start(arguments, format);
	length = vsnprintf(answer->text + answer->used, answer->size_bytes - answer->used, format,
			   arguments);
	va_end(arguments);
	answer->used += (size_t)length;
}

void opvm_answer_add_name(struct answer *answer, const char *name)
{
	opvm_answer_add(answer, "\"");
	for (; *name != '\0'; name++)
		opvm_answer_add(answer, "%c",
				*name >= ' ' && *name < 127 && *name != '"' && *name != '\\' ? *name
											     : '?');
	opvm_answer_add(answer, "\"");
}

int opvm_answer_finish(const struct answer *answer)
{
	if (answer->used >= answer->size_bytes)
		return bdus_config_error(ENOBUFS, "filter opvm: the answer does not fit");
	return 0;
}

static const char *kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[OPVM_MAP_ARRAY] = "array",     [OPVM_MAP_HASH] = "hash",
		[OPVM_MAP_PER_CPU] = "per_cpu", [OPVM_MAP_HISTOGRAM] = "histogram",
		[OPVM_MAP_RING] = "ring",
	};

	return kind < sizeof(names) / sizeof(names[0]) && names[kind] != NULL ? names[kind] : "?";
}

void opvm_answer_add_map(struct answer *answer, uint32_t index,
			 const struct opvm_map_definition *map)
{
	opvm_answer_add(answer, "%s{\"name\":", index == 0 ? "" : ",");
	opvm_answer_add_name(answer, map->name);
	opvm_answer_add(answer,
			",\"kind\":\"%s\",\"key_bytes\":%" PRIu32 ",\"value_bytes\":%" PRIu32
			",\"entries\":%" PRIu32 "}",
			kind_name(map->kind), map->key_bytes, map->value_bytes, map->entries);
}

void opvm_answer_add_bytes(struct answer *answer, const uint8_t *bytes, size_t count)
{
	opvm_answer_add(answer, "\"");
	for (size_t i = 0; i < count; i++)
		opvm_answer_add(answer, "%02x", bytes[i]);
	opvm_answer_add(answer, "\"");
}

static void add_value(struct answer *answer, const uint8_t *value, uint32_t size_bytes)
{
	uint64_t number = 0;

	if (size_bytes > 8) {
		opvm_answer_add_bytes(answer, value, size_bytes);
		return;
	}
	memcpy(&number, value, size_bytes);
	/* In the low bytes on a machine of either order. */
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		number >>= 8 * (8 - size_bytes);
	opvm_answer_add(answer, "%" PRIu64, number);
}

void opvm_answer_add_values(struct answer *answer, const uint8_t *values, uint32_t count,
			    uint32_t value_bytes, size_t stride_bytes)
{
	opvm_answer_add(answer, "%s", count > 1 ? "[" : "");
	for (uint32_t i = 0; i < count; i++) {
		opvm_answer_add(answer, "%s", i == 0 ? "" : ",");
		add_value(answer, values + i * stride_bytes, value_bytes);
	}
	opvm_answer_add(answer, "%s", count > 1 ? "]" : "");
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

int opvm_parse_number(const char *text, size_t length, uint64_t *number)
{
	static const char units[] = "KMGT";
	char copy[32];
	char *end;
	const char *unit;

	if (length == 0 || length >= sizeof(copy) || text[0] < '0' || text[0] > '9')
		return -EINVAL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	errno = 0;
	*number = strtoull(copy, &end, 0);
	if (errno != 0)
		return -EINVAL;
	if (*end == '\0')
		return 0;
	unit = strchr(units, *end);
	if (unit == NULL || end[1] != '\0' || *number > UINT64_MAX >> (10 * (unit - units + 1)))
		return -EINVAL;
	*number <<= 10 * (unit - units + 1);
	return 0;
}

/** Stores @number in @size_bytes in this machine's order. */
static int store(uint64_t number, void *to, uint32_t size_bytes)
{
	const uint8_t one = (uint8_t)number;
	const uint16_t two = (uint16_t)number;
	const uint32_t four = (uint32_t)number;

	if (size_bytes < 8 && number >> (size_bytes * 8) != 0)
		return -EINVAL;
	switch (size_bytes) {
	case 1:
		memcpy(to, &one, 1);
		return 0;
	case 2:
		memcpy(to, &two, 2);
		return 0;
	case 4:
		memcpy(to, &four, 4);
		return 0;
	case 8:
		memcpy(to, &number, 8);
		return 0;
	default:
		return -EINVAL;
	}
}

static int parse(const struct opvm_map_definition *map, const char *what, const char *text,
		 size_t length, uint32_t size_bytes, uint64_t *result)
{
	uint64_t number;

	if (opvm_parse_number(text, length, &number) < 0 || store(number, result, size_bytes) < 0)
		return bdus_config_error(EINVAL,
					 "filter opvm: '%.*s' is no %s of map %s, which takes "
					 "numbers of %" PRIu32 " bytes",
					 (int)length, text, what, map->name, size_bytes);
	return 0;
}

int opvm_parse_key(const struct opvm_map_definition *map, const char *text, size_t length,
		   uint64_t *key)
{
	return parse(map, "key", text, length, map->key_bytes, key);
}

int opvm_parse_value(const struct opvm_map_definition *map, const char *text, size_t length,
		     uint64_t *value)
{
	return parse(map, "value", text, length, map->value_bytes, value);
}
