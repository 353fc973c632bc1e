/* SPDX-License-Identifier: MIT */
/*
 * The few things that start-up does with strings, inline: the first call of each function of the C
 * library costs the loader a search, and start-up calls most of them once.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

static inline size_t text_length(const char *text)
{
	size_t length = 0;

	while (text[length] != '\0')
		length++;
	return length;
}

/** Appends @part to what is in @text, which has room for @capacity bytes; false when it does not
 * fit. */
static inline bool text_append(char *text, size_t capacity, const char *part)
{
	const size_t length = text_length(text), more = text_length(part);

	if (length + more >= capacity)
		return false;
	for (size_t i = 0; i <= more; i++)
		text[length + i] = part[i];
	return true;
}

/** What follows @prefix in @text, or NULL. */
static inline const char *text_after(const char *text, const char *prefix)
{
	for (; *prefix != '\0'; text++, prefix++)
		if (*text != *prefix)
			return NULL;
	return text;
}

static inline bool text_equals(const char *a, const char *b)
{
	const char *const rest = text_after(a, b);

	return rest != NULL && *rest == '\0';
}

/** The value of a variable of an environment, or NULL. */
static inline const char *text_variable(char *const environment[], const char *name)
{
	for (; *environment != NULL; environment++) {
		const char *const rest = text_after(*environment, name);

		if (rest != NULL && *rest == '=')
			return rest + 1;
	}
	return NULL;
}

#endif
