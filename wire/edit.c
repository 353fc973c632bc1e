/* SPDX-License-Identifier: MIT */
/*
 * Editing by path: find the field on a walk, parse the value, store it, set the checksums.
 */
#include <stdlib.h>

#include "wire_internal.h"

struct search {
	struct wire_walk walk;
	const char *path;
	/* How much of @path each structure or array on the way has matched; -1: nothing below can
	 * match. */
	long matched[WIRE_MAX_DEPTH + 1];
	struct wire_node found;
	bool is_found;
};

/* The length of @path from @at that names this node; -1 if it does not. */
static long match(const char *path, long at, const struct wire_node *node)
{
	const char *start = path + at, *from = start;
	char *end;

	if (node->name == NULL) {
		if (*from != '[' || from[1] < '0' || from[1] > '9' ||
		    strtoull(from + 1, &end, 10) != node->index || *end != ']')
			return -1;
		return at + (end + 1 - start);
	}
	if (at != 0 && *from++ != '.')
		return -1;
	if (strncmp(from, node->name, strlen(node->name)) != 0)
		return -1;
	from += strlen(node->name);
	if (*from != '\0' && *from != '.' && *from != '[')
		return -1;
	return at + (from - start);
}

static int find(struct wire_walk *w, const struct wire_node *node)
{
	struct search *s = (struct search *)(void *)w;
	const unsigned depth = w->depth - (node->event == WIRE_ENTER);
	const long before = depth == 0 ? 0 : s->matched[depth];
	const long after =
		node->event == WIRE_LEAVE || before < 0 ? -1 : match(s->path, before, node);

	if (node->event == WIRE_LEAVE)
		return 0;
	if (node->event == WIRE_ENTER)
		s->matched[depth + 1] = after;
	if (after < 0 || s->path[after] != '\0')
		return 0;
	s->found = *node;
	s->is_found = true;
	return 1;
}

/* ---- values ---- */

static bool parse_number(const char *text, size_t length, uint64_t *value)
{
	char copy[32], *end;

	if (length == 0 || length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if ((copy[0] < '0' || copy[0] > '9') && copy[0] != '-')
		return false;
	errno = 0;
	*value = copy[0] == '-' ? (uint64_t)strtoll(copy, &end, 0) : strtoull(copy, &end, 0);
	return errno == 0 && *end == '\0';
}

static bool parse_name(const struct wire_node *node, const char *text, size_t length,
		       uint64_t *value)
{
	for (const struct wire_name *name = node->names; name != NULL && name->name != NULL; name++)
		if (strlen(name->name) == length && memcmp(name->name, text, length) == 0) {
			*value = name->value;
			return true;
		}
	return parse_number(text, length, value);
}

static bool parse_flags(const struct wire_node *node, const char *text, uint64_t *value)
{
	*value = 0;
	for (;;) {
		const size_t length = strcspn(text, "|");
		size_t start = 0, end = length;
		uint64_t one;

		while (start < end && text[start] == ' ')
			start++;
		while (end > start && text[end - 1] == ' ')
			end--;
		if (!parse_name(node, text + start, end - start, &one))
			return false;
		*value |= one;
		if (text[length] == '\0')
			return true;
		text += length + 1;
	}
}

static uint64_t load(const unsigned char *data, size_t size, enum wire_order order)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | data[order == WIRE_BIG ? i : size - 1 - i];
	return value;
}

static void store(unsigned char *data, size_t size, enum wire_order order, uint64_t value)
{
	for (size_t i = 0; i < size; i++, value >>= 8)
		data[order == WIRE_BIG ? size - 1 - i : i] = (unsigned char)(value & 0xff);
}

static bool fits(const struct wire_node *node, uint64_t value)
{
	const unsigned unused = 64 - node->bit_count;

	if (node->kind == WIRE_SIGNED)
		return (uint64_t)((int64_t)(value << unused) >> unused) == value;
	return value << unused >> unused == value;
}

static int set_number(const struct wire_node *node, unsigned char *data, const char *text)
{
	const uint64_t mask = UINT64_MAX >> (64 - node->bit_count) << node->bit_shift;
	uint64_t value;

	if (node->flavour == WIRE_JOINED)
		return -ENOTSUP;
	if (node->flavour == WIRE_FLAGS ? !parse_flags(node, text, &value)
					: !parse_name(node, text, strlen(text), &value))
		return -EINVAL;
	if (!fits(node, value))
		return -ERANGE;
	store(data, (size_t)node->size, node->order,
	      (load(data, (size_t)node->size, node->order) & ~mask) |
		      (value << node->bit_shift & mask));
	return 0;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int set_hex(const struct wire_node *node, unsigned char *data, const char *text)
{
	const size_t length = strlen(text);

	for (size_t i = 0; i < length; i++)
		if (digit(text[i]) < 0)
			return -EINVAL;
	if (length % 2 != 0)
		return -EINVAL;
	if (length / 2 != node->size)
		return -ERANGE;
	for (size_t i = 0; i < length / 2; i++)
		data[i] = (unsigned char)(digit(text[2 * i]) * 16 + digit(text[2 * i + 1]));
	return 0;
}

static enum wire_text_rule rule_of(const struct wire_node *node)
{
	switch (node->flavour) {
	case WIRE_TERMINATED:
		return WIRE_TEXT_TERMINATED;
	case WIRE_SPACE_PADDED:
		return WIRE_TEXT_SPACE_PADDED;
	case WIRE_EXACT:
		return WIRE_TEXT_EXACT;
	default:
		return WIRE_TEXT_ZERO_PADDED;
	}
}

static int set_value(const struct wire_node *node, unsigned char *data, const char *text)
{
	const struct wire_text value = {text, strlen(text)};

	if (node->event != WIRE_VALUE)
		return -ENOTSUP;
	switch (node->kind) {
	case WIRE_UNSIGNED:
	case WIRE_SIGNED:
		return set_number(node, data, text);
	case WIRE_TEXT:
		return wire_set_text(rule_of(node), data, (size_t)node->size, value) == 0 ? 0
											  : -ERANGE;
	case WIRE_UTF16:
		return wire_set_utf16(rule_of(node), data, (size_t)node->size / 2, node->order,
				      value) == 0
			       ? 0
			       : -ERANGE;
	default:
		return set_hex(node, data, text);
	}
}

static const uint64_t *with_defaults(const struct wire_format *format, const uint64_t *arguments,
				     uint64_t *defaults)
{
	for (size_t i = 0; i < format->argument_count && i < WIRE_MAX_ARGUMENTS; i++)
		defaults[i] = arguments == NULL ? format->arguments[i].value : arguments[i];
	return defaults;
}

int wire_edit(const struct wire_format *format, void *data, size_t size, const uint64_t *arguments,
	      const char *path, const char *value, struct wire_fault *fault)
{
	struct search s = {.walk = {.visit = find}, .path = path};
	uint64_t defaults[WIRE_MAX_ARGUMENTS];
	int error = wire_walk_format(format, data, size, arguments, &s.walk);

	if (!s.is_found)
		return error < 0 ? error : -ENOENT;
	if (s.found.data == NULL)
		return -ENODATA;
	error = set_value(&s.found, (unsigned char *)data + s.found.offset, value);
	if (error != 0)
		return error;
	arguments = with_defaults(format, arguments, defaults);
	error = format->seal(data, size, arguments);
	return error != 0 ? error : format->check(data, size, arguments, fault);
}
