/* SPDX-License-Identifier: MIT */
/*
 * Text and padding in data.
 */
#include "wire.h"

size_t wire_text_length(const unsigned char *data, size_t size)
{
	size_t length = 0;

	while (length < size && data[length] != '\0')
		length++;
	return length;
}

static size_t without_spaces(const unsigned char *data, size_t size)
{
	while (size > 0 && data[size - 1] == ' ')
		size--;
	return size;
}

struct wire_text wire_text(enum wire_text_rule rule, const unsigned char *data, size_t size)
{
	struct wire_text text = {(const char *)data, size};

	if (rule == WIRE_TEXT_SPACE_PADDED)
		text.length = without_spaces(data, size);
	else if (rule != WIRE_TEXT_EXACT)
		text.length = wire_text_length(data, size);
	return text;
}

static uint32_t unit_at(const struct wire_utf16 *text, size_t i)
{
	return wire_load_rt16(text->data + 2 * i, text->order);
}

struct wire_utf16 wire_utf16(enum wire_text_rule rule, const unsigned char *data, size_t units,
			     enum wire_order order)
{
	struct wire_utf16 text = {data, units, order};

	if (rule == WIRE_TEXT_SPACE_PADDED) {
		while (text.units > 0 && unit_at(&text, text.units - 1) == ' ')
			text.units--;
	} else if (rule != WIRE_TEXT_EXACT) {
		text.units = 0;
		while (text.units < units && unit_at(&text, text.units) != 0)
			text.units++;
	}
	return text;
}

bool wire_is_zero(const unsigned char *data, size_t size)
{
	unsigned char any = 0;

	for (size_t i = 0; i < size; i++)
		any |= data[i];
	return any == 0;
}

bool wire_text_is_valid(enum wire_text_rule rule, const unsigned char *data, size_t size)
{
	const size_t length = wire_text_length(data, size);

	if (rule == WIRE_TEXT_TERMINATED)
		return length < size;
	return rule != WIRE_TEXT_ZERO_PADDED || wire_is_zero(data + length, size - length);
}

bool wire_utf16_is_valid(enum wire_text_rule rule, const unsigned char *data, size_t units)
{
	const struct wire_utf16 text = wire_utf16(rule, data, units, WIRE_LITTLE);

	if (rule == WIRE_TEXT_TERMINATED)
		return text.units < units;
	return rule != WIRE_TEXT_ZERO_PADDED ||
	       wire_is_zero(data + 2 * text.units, 2 * (units - text.units));
}

bool wire_text_equal(struct wire_text a, struct wire_text b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool wire_utf16_equal(struct wire_utf16 a, struct wire_utf16 b)
{
	if (a.units != b.units)
		return false;
	for (size_t i = 0; i < a.units; i++)
		if (unit_at(&a, i) != unit_at(&b, i))
			return false;
	return true;
}

/* ---- UTF-16 and UTF-8 ---- */

/* The code point at unit *i, which moves past it. */
static uint32_t next_utf16(const struct wire_utf16 *text, size_t *i)
{
	const uint32_t unit = unit_at(text, (*i)++);
	uint32_t low;

	if (unit < 0xd800 || unit > 0xdfff)
		return unit;
	if (unit > 0xdbff || *i == text->units)
		return 0xfffd;
	low = unit_at(text, *i);
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	(*i)++;
	return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

static size_t put_utf8(uint32_t point, unsigned char *to)
{
	if (point < 0x80) {
		to[0] = (unsigned char)point;
		return 1;
	}
	if (point < 0x800) {
		to[0] = (unsigned char)(0xc0 | point >> 6);
		to[1] = (unsigned char)(0x80 | (point & 0x3f));
		return 2;
	}
	if (point < 0x10000) {
		to[0] = (unsigned char)(0xe0 | point >> 12);
		to[1] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
		to[2] = (unsigned char)(0x80 | (point & 0x3f));
		return 3;
	}
	to[0] = (unsigned char)(0xf0 | point >> 18);
	to[1] = (unsigned char)(0x80 | (point >> 12 & 0x3f));
	to[2] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
	to[3] = (unsigned char)(0x80 | (point & 0x3f));
	return 4;
}

size_t wire_utf16_to_utf8(struct wire_utf16 text, char *buffer, size_t size)
{
	size_t i = 0, length = 0;

	while (i < text.units) {
		unsigned char sequence[4];
		const size_t count = put_utf8(next_utf16(&text, &i), sequence);

		if (length + count <= size)
			memcpy(buffer + length, sequence, count);
		length += count;
	}
	return length;
}

/* The code point at *i of UTF-8, which moves past it; UINT32_MAX if it is none. */
static uint32_t next_utf8(struct wire_text text, size_t *i)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char first = (unsigned char)text.data[(*i)++];
	const unsigned more = first < 0x80   ? 0
			      : first < 0xc0 ? 4
			      : first < 0xe0 ? 1
			      : first < 0xf0 ? 2
					     : 3;
	uint32_t point = more == 0 ? first : first & (0x3fU >> more);

	if (more == 4 || first > 0xf4 || text.length - *i < more)
		return UINT32_MAX;
	for (unsigned k = 0; k < more; k++) {
		const unsigned char next = (unsigned char)text.data[(*i)++];

		if ((next & 0xc0) != 0x80)
			return UINT32_MAX;
		point = point << 6 | (next & 0x3f);
	}
	if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return UINT32_MAX;
	return point;
}

static void put_unit(unsigned char *data, size_t units, enum wire_order order, size_t at,
		     uint32_t unit)
{
	if (data != NULL && at < units)
		wire_store_rt16(data + 2 * at, (uint16_t)unit, order);
}

/* The units that @utf8 takes, stored if @data is not NULL; SIZE_MAX if it is no UTF-8. */
static size_t convert(unsigned char *data, size_t units, enum wire_order order,
		      struct wire_text utf8)
{
	size_t i = 0, at = 0;

	while (i < utf8.length) {
		const uint32_t point = next_utf8(utf8, &i);

		if (point == UINT32_MAX)
			return (size_t)-1;
		if (point >= 0x10000) {
			put_unit(data, units, order, at++, 0xd800 + ((point - 0x10000) >> 10));
			put_unit(data, units, order, at++, 0xdc00 + ((point - 0x10000) & 0x3ff));
		} else {
			put_unit(data, units, order, at++, point);
		}
	}
	return at;
}

size_t wire_utf8_units(struct wire_text utf8)
{
	return convert(NULL, 0, WIRE_LITTLE, utf8);
}

/* ---- setters ---- */

int wire_set_bytes(unsigned char *data, size_t size, struct wire_bytes value)
{
	if (value.size != size)
		return -EINVAL;
	if (size != 0)
		memmove(data, value.data, size);
	return 0;
}

static bool text_fits(enum wire_text_rule rule, size_t length, size_t size)
{
	switch (rule) {
	case WIRE_TEXT_EXACT:
		return length == size;
	case WIRE_TEXT_TERMINATED:
		return length < size;
	case WIRE_TEXT_ZERO_PADDED:
	case WIRE_TEXT_SPACE_PADDED:
	default:
		return length <= size;
	}
}

int wire_set_text(enum wire_text_rule rule, unsigned char *data, size_t size,
		  struct wire_text value)
{
	if (!text_fits(rule, value.length, size))
		return -EINVAL;
	if (rule != WIRE_TEXT_EXACT && rule != WIRE_TEXT_SPACE_PADDED &&
	    wire_text_length((const unsigned char *)value.data, value.length) != value.length)
		return -EINVAL;
	if (value.length != 0)
		memmove(data, value.data, value.length);
	if (size != value.length)
		memset(data + value.length, rule == WIRE_TEXT_SPACE_PADDED ? ' ' : 0,
		       size - value.length);
	return 0;
}

int wire_set_utf16(enum wire_text_rule rule, unsigned char *data, size_t units,
		   enum wire_order order, struct wire_text utf8)
{
	const size_t length = convert(NULL, 0, order, utf8);

	if (length == (size_t)-1 || !text_fits(rule, length, units))
		return -EINVAL;
	convert(data, units, order, utf8);
	for (size_t i = length; i < units; i++)
		put_unit(data, units, order, i, rule == WIRE_TEXT_SPACE_PADDED ? ' ' : 0);
	return 0;
}

int wire_copy(void *to, size_t size, const unsigned char *data, size_t length)
{
	if (size < length || length > INT32_MAX)
		return -ENOSPC;
	if (length != 0)
		memmove(to, data, length);
	return (int)length;
}
