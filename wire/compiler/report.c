/* SPDX-License-Identifier: MIT */
/*
 * Mistakes in sources: where, which rule, and the line itself with a caret.
 */
#include <stdio.h>
#include <string.h>

#include "wirec.h"

static void put_line(struct text *out, const struct pos *pos)
{
	const char *data = pos->source->data;
	size_t start = pos->offset;
	size_t end = start;

	while (start > 0 && data[start - 1] != '\n')
		start--;
	while (end < pos->source->length && data[end] != '\n')
		end++;
	text_format(out, "%5u | ", pos->line);
	text_put(out, data + start, end - start);
	text_format(out, "\n      | ");
	for (size_t i = start; i < pos->offset; i++)
		text_put(out, data[i] == '\t' ? "\t" : " ", 1);
	text_put(out, "^\n", 2);
}

/* What is read twice has its mistakes twice: the last message is dropped if it stands before. */
static bool is_repeated(struct compiler *c, size_t start)
{
	const char *const first = strstr(c->messages.data, c->messages.data + start);

	if (first == c->messages.data + start)
		return false;
	c->messages.length = start;
	c->messages.data[start] = '\0';
	return true;
}

void report(struct compiler *c, const struct pos *pos, const char *rule, const char *format, ...)
{
	const size_t start = c->messages.length;
	va_list arguments;

	text_format(&c->messages, "%s:%u:%u: error: ", pos->source->path, pos->line, pos->column);
	va_start(arguments, format);
	text_vformat(&c->messages, format, arguments);
	va_end(arguments);
	text_format(&c->messages, " [%s]\n", rule);
	if (is_repeated(c, start))
		return;
	put_line(&c->messages, pos);
	if (++c->errors == WIREC_MAX_ERRORS)
		longjmp(c->stop, 1);
}
