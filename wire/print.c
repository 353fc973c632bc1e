/* SPDX-License-Identifier: MIT */
/*
 * Printing of data for people, and as JSON.
 */
#include <stdarg.h>
#include <stdio.h>

#include "wire_internal.h"

/** Hexadecimal digits of bytes that text shows before it cuts; JSON has them all. */
#define SHOWN_BYTES 64

struct printer {
	struct wire_walk walk;
	struct wire_sink *sink;
	bool first; /* JSON: nothing stands yet in the innermost object or array */
};

__attribute__((format(printf, 2, 3))) static void put(struct printer *p, const char *format, ...)
{
	char buffer[128];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(buffer, sizeof(buffer), format, arguments);
	va_end(arguments);
	if (length > 0)
		p->sink->put(p->sink, buffer,
			     (size_t)length < sizeof(buffer) ? (size_t)length : sizeof(buffer) - 1);
}

static void put_string(struct printer *p, const char *text)
{
	p->sink->put(p->sink, text, strlen(text));
}

static void put_hex(struct printer *p, const unsigned char *data, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		put(p, "%02x", data[i]);
}

static struct wire_text text_of(const struct wire_node *node)
{
	static const enum wire_text_rule rules[] = {
		[WIRE_ZERO_PADDED] = WIRE_TEXT_ZERO_PADDED,
		[WIRE_TERMINATED] = WIRE_TEXT_TERMINATED,
		[WIRE_SPACE_PADDED] = WIRE_TEXT_SPACE_PADDED,
		[WIRE_EXACT] = WIRE_TEXT_EXACT,
	};

	return wire_text(rules[node->flavour], node->data, (size_t)node->size);
}

static struct wire_utf16 utf16_of(const struct wire_node *node)
{
	static const enum wire_text_rule rules[] = {
		[WIRE_ZERO_PADDED] = WIRE_TEXT_ZERO_PADDED,
		[WIRE_TERMINATED] = WIRE_TEXT_TERMINATED,
		[WIRE_SPACE_PADDED] = WIRE_TEXT_SPACE_PADDED,
		[WIRE_EXACT] = WIRE_TEXT_EXACT,
	};

	return wire_utf16(rules[node->flavour], node->data, (size_t)node->size / 2, node->order);
}

/* Bytes that are no printable ASCII are escaped, so that no image talks to a terminal, nor breaks
 * JSON. */
static void put_quoted(struct printer *p, struct wire_text text)
{
	put_string(p, "\"");
	for (size_t i = 0; i < text.length; i++) {
		const unsigned char c = (unsigned char)text.data[i];

		if (c == '"' || c == '\\')
			put(p, "\\%c", c);
		else if (c < ' ' || c > '~')
			put(p, "\\u%04x", c);
		else
			put(p, "%c", c);
	}
	put_string(p, "\"");
}

static void put_quoted_utf16(struct printer *p, struct wire_utf16 text)
{
	put_string(p, "\"");
	for (size_t i = 0; i < text.units; i++) {
		const unsigned unit = wire_load_rt16(text.data + 2 * i, text.order);

		if (unit == '"' || unit == '\\')
			put(p, "\\%c", (char)unit);
		else if (unit < ' ' || unit > '~')
			put(p, "\\u%04x", unit);
		else
			put(p, "%c", (char)unit);
	}
	put_string(p, "\"");
}

static const char *name_of_value(const struct wire_node *node)
{
	for (const struct wire_name *name = node->names; name != NULL && name->name != NULL; name++)
		if (name->value == node->value)
			return name->name;
	return NULL;
}

static void put_number(struct printer *p, const struct wire_node *node)
{
	if (node->kind == WIRE_SIGNED)
		put(p, "%lld", (long long)(int64_t)node->value);
	else
		put(p, "%llu", (unsigned long long)node->value);
}

/* Names of the bits that are set, with @separator between; what has no name as a number. */
static void put_flags(struct printer *p, const struct wire_node *node, const char *quote,
		      const char *separator)
{
	uint64_t left = node->value;
	const char *before = "";

	for (const struct wire_name *name = node->names; name->name != NULL; name++) {
		if (name->value == 0 || (node->value & name->value) != name->value)
			continue;
		put(p, "%s%s%s%s", before, quote, name->name, quote);
		left &= ~name->value;
		before = separator;
	}
	if (left != 0)
		put(p, "%s%s0x%llx%s", before, quote, (unsigned long long)left, quote);
}

/* ---- for people ---- */

static void indent(struct printer *p, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		put_string(p, "  ");
}

static void text_number(struct printer *p, const struct wire_node *node)
{
	const char *name = name_of_value(node);

	put_number(p, node);
	if (node->flavour == WIRE_FLAGS && node->value != 0) {
		put_string(p, " (");
		put_flags(p, node, "", " | ");
		put_string(p, ")");
	} else if (node->flavour != WIRE_FLAGS && name != NULL) {
		put(p, " (%s)", name);
	} else if (node->kind == WIRE_UNSIGNED && node->value > 9) {
		put(p, " (0x%llx)", (unsigned long long)node->value);
	}
}

static void text_value(struct printer *p, const struct wire_node *node)
{
	switch (node->kind) {
	case WIRE_UNSIGNED:
	case WIRE_SIGNED:
		text_number(p, node);
		break;
	case WIRE_TEXT:
		put_quoted(p, text_of(node));
		break;
	case WIRE_UTF16:
		put_quoted_utf16(p, utf16_of(node));
		break;
	default:
		put_hex(p, node->data, node->size < SHOWN_BYTES ? node->size : SHOWN_BYTES);
		if (node->size > SHOWN_BYTES)
			put(p, "... (%llu bytes)", (unsigned long long)node->size);
		break;
	}
}

static int text_visit(struct wire_walk *w, const struct wire_node *node)
{
	struct printer *p = (struct printer *)(void *)w;

	if (node->event == WIRE_LEAVE)
		return 0;
	if (node->data == NULL && node->size != 0)
		return -ENODATA;
	indent(p, w->depth - (node->event == WIRE_ENTER));
	if (node->name != NULL)
		put_string(p, node->name);
	else
		put(p, "[%llu]", (unsigned long long)node->index);
	put_string(p, node->event == WIRE_ENTER ? ":" : ": ");
	if (node->event == WIRE_VALUE)
		text_value(p, node);
	put_string(p, "\n");
	return 0;
}

/* ---- JSON ---- */

static void json_number(struct printer *p, const struct wire_node *node)
{
	const int64_t value = (int64_t)node->value;
	const bool is_exact = node->kind == WIRE_SIGNED
				      ? value < INT64_C(1) << 53 && value > -(INT64_C(1) << 53)
				      : node->value < UINT64_C(1) << 53;
	const char *name = node->flavour == WIRE_ENUM ? name_of_value(node) : NULL;

	if (node->flavour == WIRE_FLAGS) {
		put_string(p, "[");
		put_flags(p, node, "\"", ", ");
		put_string(p, "]");
	} else if (name != NULL) {
		put(p, "\"%s\"", name);
	} else {
		put_string(p, is_exact ? "" : "\"");
		put_number(p, node);
		put_string(p, is_exact ? "" : "\"");
	}
}

static void json_value(struct printer *p, const struct wire_node *node)
{
	switch (node->kind) {
	case WIRE_UNSIGNED:
	case WIRE_SIGNED:
		json_number(p, node);
		break;
	case WIRE_TEXT:
		put_quoted(p, text_of(node));
		break;
	case WIRE_UTF16:
		put_quoted_utf16(p, utf16_of(node));
		break;
	default:
		put_string(p, "\"");
		put_hex(p, node->data, node->size);
		put_string(p, "\"");
		break;
	}
}

static int json_visit(struct wire_walk *w, const struct wire_node *node)
{
	struct printer *p = (struct printer *)(void *)w;

	if (node->event == WIRE_LEAVE) {
		put_string(p, node->kind == WIRE_ARRAY ? "]" : "}");
		p->first = false;
		return 0;
	}
	if (node->data == NULL && node->size != 0)
		return -ENODATA;
	put_string(p, p->first ? "" : ", ");
	p->first = node->event == WIRE_ENTER;
	if (node->name != NULL)
		put(p, "\"%s\": ", node->name);
	if (node->event == WIRE_ENTER)
		put_string(p, node->kind == WIRE_ARRAY ? "[" : "{");
	else
		json_value(p, node);
	return 0;
}

/* ---- both ---- */

int wire_walk_format(const struct wire_format *format, const void *data, size_t size,
		     const uint64_t *arguments, struct wire_walk *w)
{
	uint64_t defaults[WIRE_MAX_ARGUMENTS];

	if (format->argument_count > WIRE_MAX_ARGUMENTS)
		return -ERANGE;
	for (size_t i = 0; i < format->argument_count; i++)
		defaults[i] = arguments == NULL ? format->arguments[i].value : arguments[i];
	w->data = (const unsigned char *)data;
	w->size = size;
	w->depth = 0;
	return format->walk(data, size, defaults, w);
}

int wire_print_text(const struct wire_format *format, const void *data, size_t size,
		    const uint64_t *arguments, struct wire_sink *sink)
{
	struct printer p = {.walk = {.visit = text_visit}, .sink = sink};

	return wire_walk_format(format, data, size, arguments, &p.walk);
}

int wire_print_json(const struct wire_format *format, const void *data, size_t size,
		    const uint64_t *arguments, struct wire_sink *sink)
{
	struct printer p = {.walk = {.visit = json_visit}, .sink = sink, .first = true};
	int result;

	put_string(&p, "{");
	result = wire_walk_format(format, data, size, arguments, &p.walk);
	put_string(&p, "}\n");
	return result;
}
