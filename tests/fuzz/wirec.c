/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the compiler on any source. It refuses with a message, or compiles; it does nothing
 * else. What it compiles, it compiles the same way twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wirec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *source;
static size_t source_size;

/* The source can import itself, and nothing else. */
static const char *read_source(struct arena *arena, const char *path, size_t *length)
{
	if (strcmp(path, "fuzz.wire") != 0) {
		errno = ENOENT;
		return NULL;
	}
	*length = source_size;
	return arena_copy(arena, (const char *)source, source_size);
}

static bool compile_once(struct text outputs[WIREC_OUTPUTS])
{
	struct compiler c = {.read = read_source};
	struct unit *unit = compile(&c, "fuzz.wire");
	const bool good = unit != NULL && emit_all(&c, unit, outputs);

	if (good != (c.messages.length == 0))
		abort();
	/* Beside the structures; there is one text of it. */
	if (good && unit->ioctls != NULL) {
		c.outputs = OUTPUTS_IOCTLS;
		emit_all(&c, unit, outputs);
	}
	compiler_finish(&c);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text first[WIREC_OUTPUTS] = {{0}}, second[WIREC_OUTPUTS] = {{0}};

	source = data;
	source_size = size;
	if (compile_once(first) != compile_once(second))
		abort();
	for (unsigned i = 0; i < WIREC_OUTPUTS; i++) {
		if (first[i].length != second[i].length ||
		    (first[i].length != 0 &&
		     memcmp(first[i].data, second[i].data, first[i].length) != 0))
			abort();
		text_finish(&first[i]);
		text_finish(&second[i]);
	}
	return 0;
}
