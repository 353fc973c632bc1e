/* SPDX-License-Identifier: MIT */
/*
 * Memory that lives until the command ends. A command allocates little and ends soon, so that
 * nothing is given back one by one; running out of it ends the command.
 */
#include "cli_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
	struct block *next;
	size_t bytes;
	max_align_t memory[];
};

static struct block *blocks;

void *cli_allocate(size_t bytes)
{
	struct block *const block = malloc(sizeof(*block) + bytes);

	if (block == NULL) {
		cli_say("out of memory");
		exit(CLI_FAILED);
	}
	block->next = blocks;
	block->bytes = bytes;
	blocks = block;
	return block->memory;
}

void *cli_grow(void *memory, size_t bytes)
{
	void *const grown = cli_allocate(bytes);

	if (memory != NULL) {
		const struct block *const old =
			(const struct block *)(const void *)((const char *)memory -
							     offsetof(struct block, memory));

		memcpy(grown, memory, old->bytes < bytes ? old->bytes : bytes);
	}
	return grown;
}

void cli_free_all(void)
{
	while (blocks != NULL) {
		struct block *const block = blocks;

		blocks = block->next;
		free(block);
	}
}

char *cli_format_va(const char *format, va_list arguments)
{
	va_list again;
	char *text;
	int length;

	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		length = 0;
	text = cli_allocate((size_t)length + 1);
	text[0] = '\0';
	vsnprintf(text, (size_t)length + 1, format, arguments);
	return text;
}

char *cli_format(const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = cli_format_va(format, arguments);
	va_end(arguments);
	return text;
}
