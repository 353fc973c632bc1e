/* SPDX-License-Identifier: MIT */
/*
 * Memory of a compilation, text that grows, and names that are kept once. Running out of memory
 * ends the program: a compiler has nothing to save.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wirec.h"

struct arena_block {
	struct arena_block *next;
	size_t used, room;
	max_align_t data[];
};

static void *must(void *memory)
{
	if (memory == NULL) {
		fputs("wirec: out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;

	size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	if (block == NULL || block->room - block->used < size) {
		const size_t room = size > 65536 ? size : 65536;

		block = must(calloc(1, sizeof(*block) + room));
		block->room = room;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	block->used += size;
	return (char *)block->data + block->used - size;
}

char *arena_copy(struct arena *arena, const char *text, size_t length)
{
	char *copy = arena_alloc(arena, length + 1);

	if (length != 0)
		memcpy(copy, text, length);
	return copy;
}

const char *arena_format(struct arena *arena, const char *format, ...)
{
	struct text text = {0};
	const char *copy;
	va_list arguments;

	va_start(arguments, format);
	text_vformat(&text, format, arguments);
	va_end(arguments);
	copy = arena_copy(arena, text.data, text.length);
	text_finish(&text);
	return copy;
}

void arena_finish(struct arena *arena)
{
	while (arena->blocks != NULL) {
		struct arena_block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
}

static void text_reserve(struct text *text, size_t more)
{
	if (text->room - text->length > more)
		return;
	text->room = (text->length + more + 64) * 2;
	text->data = must(realloc(text->data, text->room));
}

void text_put(struct text *text, const char *data, size_t length)
{
	text_reserve(text, length);
	if (length != 0)
		memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = '\0';
}

void text_vformat(struct text *text, const char *format, va_list arguments)
{
	va_list again;
	int length;

	va_copy(again, arguments);
	text_reserve(text, 128);
	length = vsnprintf(text->data + text->length, text->room - text->length, format, arguments);
	if (length >= 0 && (size_t)length >= text->room - text->length) {
		text_reserve(text, (size_t)length);
		vsnprintf(text->data + text->length, text->room - text->length, format, again);
	}
	va_end(again);
	if (length > 0)
		text->length += (size_t)length;
}

void text_format(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	text_vformat(text, format, arguments);
	va_end(arguments);
}

void text_finish(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

static size_t hash(const char *text, size_t length)
{
	size_t value = 5381;

	for (size_t i = 0; i < length; i++)
		value = value * 33 ^ (unsigned char)text[i];
	return value;
}

/* Twice as many slots; the old ones stay in the arena. */
static void names_grow(struct arena *arena, struct names *names)
{
	const size_t room = names->room == 0 ? 256 : names->room * 2;
	const char **slots = arena_alloc(arena, room * sizeof(*slots));

	for (size_t i = 0; i < names->room; i++) {
		if (names->slots[i] == NULL)
			continue;
		size_t at = hash(names->slots[i], strlen(names->slots[i])) % room;

		while (slots[at] != NULL)
			at = (at + 1) % room;
		slots[at] = names->slots[i];
	}
	names->slots = slots;
	names->room = room;
}

const char *intern(struct arena *arena, struct names *names, const char *text, size_t length)
{
	size_t at;

	if (names->used * 2 >= names->room)
		names_grow(arena, names);
	at = hash(text, length) % names->room;
	for (; names->slots[at] != NULL; at = (at + 1) % names->room)
		if (strncmp(names->slots[at], text, length) == 0 &&
		    names->slots[at][length] == '\0')
			return names->slots[at];
	names->used++;
	names->slots[at] = arena_copy(arena, text, length);
	return names->slots[at];
}
