/* SPDX-License-Identifier: MIT */
/*
 * JSON to the bytes of a structure, item after item, as a service's description lists them. The
 * description is another process's word: nothing in it is believed beyond its bounds.
 */
#include "command_internal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_DEPTH 16
#define MOST_BYTES (16U << 20)

/** A structure on its way. */
struct encoder {
	const json_t *description;
	const json_t *items; /* of the structure at hand */
	const json_t *values;
	struct body *body;
	unsigned depth;
};

void body_finish(struct body *body)
{
	free(body->data);
	*body = (struct body){0};
}

static unsigned char *more(struct body *body, size_t bytes)
{
	unsigned char *at;

	if (bytes > MOST_BYTES || body->length + bytes > MOST_BYTES)
		return NULL;
	if (body->length + bytes > body->room) {
		const size_t room = (body->length + bytes) * 2;
		unsigned char *data = realloc(body->data, room);

		if (data == NULL)
			return NULL;
		body->data = data;
		body->room = room;
	}
	at = body->data + body->length;
	memset(at, 0, bytes);
	body->length += bytes;
	return at;
}

bool is_big(const json_t *item)
{
	const char *order = text_of(item, "order");

	if (order != NULL && strcmp(order, "native") == 0)
		return __BYTE_ORDER == __BIG_ENDIAN;
	return order != NULL && strcmp(order, "big") == 0;
}

void store(unsigned char *data, unsigned bytes, bool big, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		data[big ? bytes - 1 - i : i] = (unsigned char)(value >> (8 * i));
}

/* ---- numbers ---- */

static bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = text[0] == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
	return errno == 0 && end != text && *end == '\0';
}

/* A name of the set, or names with | between. */
static bool by_name(const json_t *set, const char *text, uint64_t *number)
{
	const json_t *values = json_object_get(set, "values");
	char name[128];

	*number = 0;
	for (;;) {
		const size_t length = strcspn(text, "|");
		const json_t *value;

		snprintf(name, sizeof(name), "%.*s", (int)length, text);
		value = json_object_get(values, name);
		if (!json_is_integer(value))
			return false;
		*number |= (uint64_t)json_integer_value(value);
		if (text[length] == '\0')
			return true;
		text += length + 1;
	}
}

static int take_number(const struct encoder *e, const json_t *item, const json_t *value,
		       uint64_t *number)
{
	const json_t *set = find_named(e->description, "sets", text_of(item, "set"));
	const char *text = json_string_value(value);

	if (json_is_integer(value))
		*number = (uint64_t)json_integer_value(value);
	else if (json_is_boolean(value))
		*number = json_is_true(value);
	else if (text == NULL || (!parse_number(text, number) && !by_name(set, text, number)))
		return fail("'%s' is to be a number%s", text_of(item, "name"),
			    set != NULL ? " or a name of its values" : "");
	return STATUS_GOOD;
}

static bool fits(uint64_t number, unsigned bits, bool is_signed)
{
	const int64_t value = (int64_t)number;

	if (bits >= 64)
		return true;
	if (is_signed)
		return value >= -(INT64_C(1) << (bits - 1)) && value < INT64_C(1) << (bits - 1);
	return number >> bits == 0;
}

/* ---- members ---- */

static size_t hex_length(const char *text)
{
	return strlen(text) / 2;
}

/* Elements of text, bytes or an array. */
static size_t count_in(const json_t *item, const json_t *value)
{
	const char *type = text_of(item, "type");

	if (json_is_array(value))
		return json_array_size(value);
	if (type != NULL && strcmp(type, "bytes") == 0 && json_is_string(value))
		return hex_length(json_string_value(value));
	return json_string_length(value);
}

/* A field that nobody gave may be the count of another one. */
static bool derive(const struct encoder *e, const char *name, uint64_t *number)
{
	for (size_t i = 0; i < json_array_size(e->items); i++) {
		const json_t *other = json_array_get(e->items, i);
		const char *count = text_of(other, "count");

		if (count == NULL || name == NULL || strcmp(count, name) != 0)
			continue;
		*number = count_in(other, json_object_get(e->values, text_of(other, "name")));
		return true;
	}
	return false;
}

static int number_for(const struct encoder *e, const json_t *item, const json_t *value,
		      uint64_t *number)
{
	const json_t *constant = json_object_get(item, "constant");

	if (value != NULL)
		return take_number(e, item, value, number);
	if (json_is_integer(constant))
		*number = (uint64_t)json_integer_value(constant);
	else if (!derive(e, text_of(item, "name"), number))
		return fail("'%s' is missing", text_of(item, "name"));
	return STATUS_GOOD;
}

static int put_scalar(const struct encoder *e, const json_t *item, const json_t *value)
{
	const unsigned bytes = (unsigned)number_of(item, "bytes");
	unsigned char *at;
	uint64_t number;

	if (number_for(e, item, value, &number) != STATUS_GOOD)
		return STATUS_FAILED;
	at = bytes <= 8 ? more(e->body, bytes) : NULL;
	if (at == NULL || !fits(number, 8 * bytes, json_is_true(json_object_get(item, "signed"))))
		return fail("'%s' does not fit %u bytes", text_of(item, "name"), bytes);
	store(at, bytes, is_big(item), number);
	return STATUS_GOOD;
}

static int put_bits(const struct encoder *e, const json_t *item)
{
	const json_t *bits = json_object_get(item, "bits");
	const unsigned bytes = (unsigned)number_of(item, "bytes");
	unsigned char *at = bytes <= 8 ? more(e->body, bytes) : NULL;
	uint64_t all = 0;

	for (size_t i = 0; i < json_array_size(bits); i++) {
		const json_t *bit = json_array_get(bits, i);
		const unsigned width = (unsigned)number_of(bit, "width");
		const unsigned shift = (unsigned)number_of(bit, "shift");
		const char *name = text_of(bit, "name");
		uint64_t number;

		if (number_for(e, bit, json_object_get(e->values, name), &number) != STATUS_GOOD)
			return STATUS_FAILED;
		if (shift > 63 || !fits(number, width, false))
			return fail("'%s' does not fit %u bits", name, width);
		all |= number << shift;
	}
	if (at == NULL)
		return fail("bits of %u bytes", bytes);
	store(at, bytes, is_big(item), all);
	return STATUS_GOOD;
}

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c == '\0' ? NULL : strchr(digits, c | 0x20);

	return found == NULL ? -1 : (int)(found - digits);
}

static int put_hex(const char *name, const char *text, unsigned char *at, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return fail("'%s' is to be hexadecimal digits", name);
		at[i] = (unsigned char)(high * 16 + low);
	}
	return STATUS_GOOD;
}

/* Bytes and text: as long as they are, or filled up to a stated length. */
static int put_string(const struct encoder *e, const json_t *item, const json_t *value)
{
	const bool is_text = strcmp(text_of(item, "type"), "text") == 0;
	const json_t *count = json_object_get(item, "count");
	const char *name = text_of(item, "name"), *rule = text_of(item, "rule");
	size_t length, room;
	unsigned char *at;

	if (value == NULL)
		value = json_object_get(item, "constant");
	if (!json_is_string(value))
		return fail("'%s' is to be %s", name, is_text ? "text" : "hexadecimal digits");
	length = is_text ? json_string_length(value) : hex_length(json_string_value(value));
	room = json_is_integer(count) ? (size_t)json_integer_value(count) : length;
	at = length <= room ? more(e->body, room) : NULL;
	if (at == NULL || (!is_text && length != room))
		return fail("'%s' has %zu bytes; allowed are %s%zu", name, length,
			    is_text ? "up to " : "", room);
	if (!is_text)
		return put_hex(name, json_string_value(value), at, length);
	memcpy(at, json_string_value(value), length);
	if (rule != NULL && strcmp(rule, "space_padded") == 0)
		memset(at + length, ' ', room - length);
	return STATUS_GOOD;
}

static int put_struct(const struct encoder *outer, const char *name, const json_t *values);

static int put_element(const struct encoder *e, const json_t *item, const json_t *value)
{
	return strcmp(text_of(item, "type"), "struct") == 0
		       ? put_struct(e, text_of(item, "struct"), value)
		       : put_scalar(e, item, value);
}

static int put_array(const struct encoder *e, const json_t *item, const json_t *value)
{
	const json_t *count = json_object_get(item, "count");
	const size_t size = json_array_size(value);

	if (!json_is_array(value) ||
	    (json_is_integer(count) && (size_t)json_integer_value(count) != size))
		return fail("'%s' is to be an array%s", text_of(item, "name"),
			    json_is_integer(count) ? " of another length" : "");
	for (size_t i = 0; i < size; i++)
		if (put_element(e, item, json_array_get(value, i)) != STATUS_GOOD)
			return STATUS_FAILED;
	return STATUS_GOOD;
}

static int put_item(const struct encoder *e, const json_t *item)
{
	const char *type = text_of(item, "type"), *name = text_of(item, "name");
	const json_t *value = name != NULL ? json_object_get(e->values, name) : NULL;

	if (type == NULL || strcmp(type, "other") == 0)
		return fail("a part of the structure cannot be written in JSON");
	if (strcmp(type, "pad") == 0)
		return more(e->body, (size_t)number_of(item, "count")) != NULL ? STATUS_GOOD
									       : fail("too large");
	if (strcmp(type, "bits") == 0)
		return put_bits(e, item);
	if (name == NULL)
		return fail("a member without a name");
	if (strcmp(type, "text") == 0 || strcmp(type, "bytes") == 0)
		return put_string(e, item, value);
	if (json_object_get(item, "count") != NULL)
		return put_array(e, item, value);
	return put_element(e, item, value);
}

static bool has_name(const json_t *item, const char *key)
{
	const json_t *bits = json_object_get(item, "bits");
	const char *name = text_of(item, "name");

	if (name != NULL && strcmp(name, key) == 0)
		return true;
	for (size_t i = 0; i < json_array_size(bits); i++) {
		name = text_of(json_array_get(bits, i), "name");
		if (name != NULL && strcmp(name, key) == 0)
			return true;
	}
	return false;
}

/* Names that no item has are somebody's mistake. */
static int check_names(const struct encoder *e)
{
	struct member m;

	for (bool more = first_member(e->values, &m); more; more = next_member(e->values, &m)) {
		bool found = false;

		for (size_t i = 0; i < json_array_size(e->items); i++)
			found |= has_name(json_array_get(e->items, i), m.key);
		if (!found)
			return fail("there is no member '%s'", m.key);
	}
	return STATUS_GOOD;
}

static int put_struct(const struct encoder *outer, const char *name, const json_t *values)
{
	const json_t *found = find_named(outer->description, "structs", name);
	const struct encoder e = {.description = outer->description,
				  .items = json_object_get(found, "items"),
				  .values = values,
				  .body = outer->body,
				  .depth = outer->depth + 1};

	if (found == NULL || e.depth > MOST_DEPTH)
		return fail("the description has no structure '%s'", name != NULL ? name : "");
	if (!json_is_object(values))
		return fail("'%s' is to be an object", name);
	if (check_names(&e) != STATUS_GOOD)
		return STATUS_FAILED;
	for (size_t i = 0; i < json_array_size(e.items); i++)
		if (put_item(&e, json_array_get(e.items, i)) != STATUS_GOOD)
			return STATUS_FAILED;
	return STATUS_GOOD;
}

int encode(const json_t *description, const char *name, const json_t *value, struct body *body)
{
	const struct encoder e = {.description = description, .body = body};

	return put_struct(&e, name, value);
}
