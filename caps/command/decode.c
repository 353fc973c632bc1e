/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a structure as JSON, item after item, as a service's description lists them.
 */
#include "command_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_DEPTH 16

struct decoder {
	const json_t *description;
	const unsigned char *data;
	size_t length, at;
	unsigned depth;
};

uint64_t load(const unsigned char *data, unsigned bytes, bool big)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)data[big ? bytes - 1 - i : i] << (8 * i);
	return value;
}

json_t *hex_text(const unsigned char *data, size_t length)
{
	char *text = malloc(2 * length + 1);
	json_t *value;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < length; i++)
		sprintf(text + 2 * i, "%02x", data[i]);
	value = json_stringn(text, 2 * length);
	free(text);
	return value;
}

static const unsigned char *take(struct decoder *d, uint64_t bytes)
{
	const unsigned char *data = d->data + d->at;

	if (bytes > d->length - d->at)
		return NULL;
	d->at += (size_t)bytes;
	return data;
}

/* ---- values ---- */

/* Numbers that other programs would round are text. */
static json_t *plain_number(uint64_t number, bool is_signed)
{
	char text[24];

	if (is_signed || number < UINT64_C(1) << 53)
		return json_integer((json_int_t)number);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return json_string(text);
}

static json_t *flag_names(const json_t *values, uint64_t number)
{
	char text[1024] = "";
	size_t used = 0;
	struct member m;

	for (bool more = first_member(values, &m); more; more = next_member(values, &m)) {
		const uint64_t bit = (uint64_t)json_integer_value(m.value);

		if (bit == 0 || (number & bit) != bit || used + strlen(m.key) + 2 > sizeof(text))
			continue;
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
					 used == 0 ? "" : "|", m.key);
		number &= ~bit;
	}
	return number != 0 || used == 0 ? NULL : json_string(text);
}

static json_t *set_value(const json_t *set, uint64_t number)
{
	const json_t *values = json_object_get(set, "values");
	struct member m;

	if (json_is_true(json_object_get(set, "flags")))
		return flag_names(values, number);
	for (bool more = first_member(values, &m); more; more = next_member(values, &m))
		if ((uint64_t)json_integer_value(m.value) == number)
			return json_string(m.key);
	return NULL;
}

static json_t *number_json(const struct decoder *d, const json_t *item, uint64_t number,
			   bool is_signed)
{
	const json_t *set = find_named(d->description, "sets", text_of(item, "set"));
	json_t *named = set != NULL ? set_value(set, number) : NULL;

	return named != NULL ? named : plain_number(number, is_signed);
}

json_t *error_json(const json_t *description, const json_t *operation, int32_t error)
{
	const json_t *set = find_named(description, "sets", text_of(operation, "errors"));
	json_t *named = set != NULL && error > 0 ? set_value(set, (uint64_t)error) : NULL;

	return named != NULL ? named : json_integer(error);
}

/* ---- members ---- */

static json_t *get_scalar(struct decoder *d, const json_t *item)
{
	const unsigned bytes = (unsigned)number_of(item, "bytes");
	const bool is_signed = json_is_true(json_object_get(item, "signed"));
	const unsigned char *data = bytes >= 1 && bytes <= 8 ? take(d, bytes) : NULL;
	uint64_t number;

	if (data == NULL)
		return NULL;
	number = load(data, bytes, is_big(item));
	if (is_signed && bytes < 8 && (number >> (8 * bytes - 1)) != 0)
		number |= UINT64_MAX << (8 * bytes);
	return number_json(d, item, number, is_signed);
}

static bool get_bits(struct decoder *d, const json_t *item, json_t *into)
{
	const json_t *bits = json_object_get(item, "bits");
	const unsigned bytes = (unsigned)number_of(item, "bytes");
	const unsigned char *data = bytes >= 1 && bytes <= 8 ? take(d, bytes) : NULL;
	uint64_t all;

	if (data == NULL)
		return false;
	all = load(data, bytes, is_big(item));
	for (size_t i = 0; i < json_array_size(bits); i++) {
		const json_t *bit = json_array_get(bits, i);
		const unsigned width = (unsigned)number_of(bit, "width");
		const unsigned shift = (unsigned)number_of(bit, "shift");
		const uint64_t mask = width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;

		if (shift > 63 || text_of(bit, "name") == NULL)
			return false;
		json_object_set_new(into, text_of(bit, "name"),
				    number_json(d, bit, (all >> shift) & mask, false));
	}
	return true;
}

static json_t *get_text(const json_t *item, const unsigned char *data, size_t length)
{
	const char *rule = text_of(item, "rule");
	json_t *value;

	if (rule != NULL && strcmp(rule, "space_padded") == 0)
		while (length > 0 && data[length - 1] == ' ')
			length--;
	else if (rule != NULL && strcmp(rule, "exact") != 0)
		length = strnlen((const char *)data, length);
	value = json_stringn((const char *)data, length);
	return value != NULL ? value : json_pack("{s:o}", "hex", hex_text(data, length));
}

static json_t *get_struct(struct decoder *d, const char *name);

static json_t *get_element(struct decoder *d, const json_t *item)
{
	return strcmp(text_of(item, "type"), "struct") == 0 ? get_struct(d, text_of(item, "struct"))
							    : get_scalar(d, item);
}

/* How many, as far as @object, which has the members before it, tells. */
static bool get_count(const struct decoder *d, const json_t *item, const json_t *object,
		      uint64_t *count)
{
	const json_t *said = json_object_get(item, "count");
	const char *text = json_string_value(said);
	const json_t *other;

	*count = 1;
	if (json_is_integer(said)) {
		*count = (uint64_t)json_integer_value(said);
	} else if (text != NULL && strcmp(text, "..") == 0) {
		*count = d->length - d->at;
	} else if (text != NULL) {
		other = json_object_get(object, text);
		if (!json_is_integer(other))
			return false;
		*count = (uint64_t)json_integer_value(other);
	}
	return true;
}

static json_t *get_array(struct decoder *d, const json_t *item, uint64_t count)
{
	const char *said = text_of(item, "count");
	const bool rest = said != NULL && strcmp(said, "..") == 0;
	json_t *array = json_array();

	for (uint64_t i = 0; i < count && !(rest && d->at == d->length); i++) {
		const size_t before = d->at;
		json_t *element = get_element(d, item);

		if (element == NULL || d->at == before) {
			json_decref(element);
			json_decref(array);
			return NULL;
		}
		json_array_append_new(array, element);
	}
	return array;
}

static json_t *get_value(struct decoder *d, const json_t *item, const char *type,
			 const json_t *object)
{
	const unsigned char *data;
	uint64_t count;

	if (!get_count(d, item, object, &count))
		return NULL;
	if (strcmp(type, "text") == 0 || strcmp(type, "bytes") == 0) {
		data = take(d, count);
		if (data == NULL)
			return NULL;
		return strcmp(type, "text") == 0 ? get_text(item, data, (size_t)count)
						 : hex_text(data, (size_t)count);
	}
	if (strcmp(type, "scalar") != 0 && strcmp(type, "struct") != 0)
		return NULL;
	return json_object_get(item, "count") != NULL ? get_array(d, item, count)
						      : get_element(d, item);
}

static bool get_item(struct decoder *d, const json_t *item, json_t *object)
{
	const char *type = text_of(item, "type"), *name = text_of(item, "name");
	json_t *value;

	if (type == NULL)
		return false;
	if (strcmp(type, "pad") == 0)
		return take(d, number_of(item, "count")) != NULL;
	if (strcmp(type, "bits") == 0)
		return get_bits(d, item, object);
	value = name != NULL ? get_value(d, item, type, object) : NULL;
	return value != NULL && json_object_set_new(object, name, value) == 0;
}

static json_t *get_struct(struct decoder *d, const char *name)
{
	const json_t *items = json_object_get(find_named(d->description, "structs", name), "items");
	json_t *object;

	if (items == NULL || d->depth == MOST_DEPTH)
		return NULL;
	object = json_object();
	d->depth++;
	for (size_t i = 0; i < json_array_size(items); i++)
		if (!get_item(d, json_array_get(items, i), object)) {
			json_decref(object);
			return NULL;
		}
	d->depth--;
	return object;
}

json_t *decode(const json_t *description, const char *name, const void *data, size_t length)
{
	struct decoder d = {.description = description, .data = data, .length = length};
	json_t *value = NULL;

	if (length == 0 && name == NULL)
		return json_object();
	if (name != NULL)
		value = get_struct(&d, name);
	return value != NULL ? value : json_pack("{s:o}", "hex", hex_text(data, length));
}
