/* SPDX-License-Identifier: MIT */
/*
 * A whole compilation: files with what they import, up to the layout.
 */
#include <errno.h>
#include <string.h>

#include "wirec.h"

static const char *base_name(struct compiler *c, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
	const size_t length = strlen(name);
	const bool has_suffix = length > 5 && strcmp(name + length - 5, ".wire") == 0;

	return arena_copy(&c->arena, name, has_suffix ? length - 5 : length);
}

static struct unit *find_unit(struct compiler *c, const char *path)
{
	for (struct unit *unit = c->units; unit != NULL; unit = unit->next)
		if (strcmp(unit->source.path, path) == 0)
			return unit;
	return NULL;
}

/* Reads, parses and resolves @path, once. NULL with errno if it cannot be read. */
static struct unit *load(struct compiler *c, const char *path)
{
	struct unit *unit = find_unit(c, path);
	const char *data;
	size_t length;

	if (unit != NULL)
		return unit;
	data = c->read(&c->arena, path, &length);
	if (data == NULL)
		return NULL;
	unit = arena_alloc(&c->arena, sizeof(*unit));
	unit->source = (struct source){.path = path, .data = data, .length = length};
	unit->base = base_name(c, path);
	unit->next = c->units;
	c->units = unit;
	parse_unit(c, unit);
	c->depth = 0;
	/* Imports and layouts of what did not parse would only repeat its mistakes. */
	if (c->errors == 0)
		resolve_unit(c, unit);
	return unit;
}

struct unit *load_import(struct compiler *c, const struct unit *importer,
			 const struct import *import)
{
	const char *slash = strrchr(importer->source.path, '/');
	const int length = slash == NULL ? 0 : (int)(slash - importer->source.path) + 1;
	struct unit *unit;
	unsigned chain = 0;

	for (const struct unit *other = c->units; other != NULL; other = other->next)
		chain += other->progress == PROGRESS_RUNNING;
	if (chain > WIREC_MAX_DEPTH) {
		report(c, &import->pos, "limit", "imports are nested more than %d deep",
		       WIREC_MAX_DEPTH);
		return NULL;
	}
	unit = load(c,
		    arena_format(&c->arena, "%.*s%s", length, importer->source.path, import->path));
	for (unsigned i = 0; unit == NULL && i < c->folder_count; i++)
		unit = load(c, arena_format(&c->arena, "%s/%s", c->folders[i], import->path));
	if (unit == NULL)
		report(c, &import->pos, "import", "'%s' cannot be read: %s", import->path,
		       strerror(errno));
	return unit;
}

struct unit *compile(struct compiler *c, const char *path)
{
	struct unit *volatile unit = NULL;

	if (setjmp(c->stop) != 0)
		return NULL;
	unit = load(c, path);
	if (unit == NULL) {
		text_format(&c->messages, "wirec: %s: %s\n", path, strerror(errno));
		return NULL;
	}
	if (c->errors == 0)
		check_c_names(c, unit);
	return c->errors == 0 ? unit : NULL;
}

bool emit_all(struct compiler *c, struct unit *unit, struct text outputs[WIREC_OUTPUTS])
{
	if (setjmp(c->stop) != 0)
		return false;
	if (c->outputs == OUTPUTS_IOCTLS) {
		emit_ioctls(c, unit, &outputs[0]);
	} else if (c->outputs == OUTPUTS_CAPS) {
		emit_caps_header(c, unit, &outputs[0]);
		emit_caps_source(c, unit, &outputs[1]);
		emit_reference(c, unit, &outputs[2]);
	} else {
		emit_header(c, unit, &outputs[0]);
		emit_source(c, unit, &outputs[1]);
		emit_walk(c, unit, &outputs[2]);
	}
	return c->errors == 0;
}

const char *output_name(struct compiler *c, const struct unit *unit, unsigned index)
{
	static const char *const suffixes[][WIREC_OUTPUTS] = {
		[OUTPUTS_STRUCTS] = {".h", ".c", "_walk.c"},
		[OUTPUTS_CAPS] = {"_caps.h", "_caps.c", ".md"},
		[OUTPUTS_IOCTLS] = {"_ioctls.h"},
	};
	const char *const suffix = index < WIREC_OUTPUTS ? suffixes[c->outputs][index] : NULL;

	return suffix == NULL ? NULL : arena_format(&c->arena, "%s%s", unit->base, suffix);
}

void compiler_finish(struct compiler *c)
{
	text_finish(&c->messages);
	text_finish(&c->scratch);
	arena_finish(&c->arena);
}
