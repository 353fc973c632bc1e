/* SPDX-License-Identifier: MIT */
/*
 * Objects, and loading all that is in one.
 */
#include "object.h"

struct opvm_object *opvm_object_create(void)
{
	return opvm_host_allocate(sizeof(struct opvm_object));
}

/* ---- making -------------------------------------------------------------------------------- */

/** Makes room for one more element; NULL, with the array as it was, if there is none. */
static void *grow(void *array, uint32_t count, size_t element_bytes)
{
	/* Doubles at powers of two. */
	if (count != 0 && (count & (count - 1)) != 0)
		return array;
	return realloc(array, (count == 0 ? 1 : (size_t)count * 2) * element_bytes);
}

int opvm_object_add(struct opvm_object *object, const struct opvm_instruction *instruction)
{
	struct opvm_instruction *code;

	if (object->count == OPVM_MAX_INSTRUCTIONS)
		return -E2BIG;
	code = grow(object->code, object->count, sizeof(*code));
	if (code == NULL)
		return -ENOMEM;
	object->code = code;
	code[object->count++] = *instruction;
	return 0;
}

const char *opvm_object_string(struct opvm_object *object, const char *text, size_t length)
{
	char **const strings = grow(object->strings, object->strings_count, sizeof(*strings));
	char *copy;

	if (strings == NULL)
		return NULL;
	object->strings = strings;
	copy = malloc(length + 1);
	if (copy == NULL)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = 0;
	strings[object->strings_count++] = copy;
	return copy;
}

int opvm_object_add_program(struct opvm_object *object, const char *name, const char *section,
			    uint32_t entry)
{
	struct opvm_object_program *const programs =
		grow(object->programs, object->programs_count, sizeof(*programs));

	if (programs == NULL)
		return -ENOMEM;
	object->programs = programs;
	programs[object->programs_count++] = (struct opvm_object_program){name, section, entry};
	return 0;
}

int opvm_object_add_line(struct opvm_object *object, const struct opvm_line *line)
{
	struct opvm_line *const lines = grow(object->lines, object->lines_count, sizeof(*lines));

	if (lines == NULL)
		return -ENOMEM;
	object->lines = lines;
	lines[object->lines_count++] = *line;
	return 0;
}

/* ---- loading ------------------------------------------------------------------------------- */

static void unload(struct opvm_object *object)
{
	for (uint32_t index = 0; object->loaded_programs != NULL && index < object->programs_count;
	     index++)
		opvm_program_destroy(object->loaded_programs[index]);
	free(object->loaded_programs);
	object->loaded_programs = NULL;
	for (uint32_t index = 0; index < object->maps_count; index++) {
		opvm_map_destroy(object->maps[index]);
		object->maps[index] = NULL;
	}
	object->loaded = false;
}

void opvm_object_destroy(struct opvm_object *object)
{
	if (object == NULL)
		return;
	unload(object);
	for (uint32_t index = 0; index < object->strings_count; index++)
		free(object->strings[index]);
	for (uint32_t index = 0; index < object->maps_count; index++)
		free(object->contents[index]);
	free(object->strings);
	free(object->code);
	free(object->programs);
	free(object->lines);
	free(object);
}

static int create_maps(struct opvm_object *object, struct opvm_log *log)
{
	const uint32_t first = 0;

	for (uint32_t index = 0; index < object->maps_count; index++) {
		int error = opvm_map_create(&object->definitions[index], log, &object->maps[index]);

		if (error == 0 && object->contents[index] != NULL)
			error = opvm_map_set(object->maps[index], &first, object->contents[index],
					     0);
		if (error != 0)
			return error;
	}
	return 0;
}

static int create_program(struct opvm_object *object, const struct opvm_environment *environment,
			  const struct opvm_source *defaults, uint32_t index, struct opvm_log *log)
{
	struct opvm_source source = {.size = sizeof(source)};
	int error;

	if (defaults != NULL)
		source = *defaults;
	source.instructions = object->code;
	source.count = object->count;
	source.entry = object->programs[index].entry;
	source.maps = object->maps;
	source.maps_count = object->maps_count;
	source.lines = object->lines;
	source.lines_count = object->lines_count;
	source.verify_only = false;
	error = opvm_program_create(environment, &source, log, &object->loaded_programs[index]);
	if (error != 0)
		opvm_log(log, "program %s is refused\n", object->programs[index].name);
	return error;
}

int opvm_object_load(struct opvm_object *object, const struct opvm_environment *environment,
		     const struct opvm_source *defaults, struct opvm_log *log)
{
	int error;

	if (object->loaded)
		return opvm_fail(log, EBUSY, "the object is loaded already\n");
	if (object->programs_count == 0)
		return opvm_fail(log, EINVAL, "the object has no program\n");
	object->loaded_programs = calloc(object->programs_count, sizeof(struct opvm_program *));
	error = object->loaded_programs != NULL ? create_maps(object, log) : -ENOMEM;
	for (uint32_t index = 0; error == 0 && index < object->programs_count; index++)
		error = create_program(object, environment, defaults, index, log);
	if (error != 0)
		unload(object);
	else
		object->loaded = true;
	return error;
}

/* ---- telling ------------------------------------------------------------------------------- */

const struct opvm_instruction *opvm_object_code(const struct opvm_object *object, uint32_t *count)
{
	*count = object->count;
	return object->code;
}

const struct opvm_object_program *opvm_object_program(const struct opvm_object *object,
						      uint32_t index)
{
	return index < object->programs_count ? &object->programs[index] : NULL;
}

const struct opvm_map_definition *opvm_object_map_definition(const struct opvm_object *object,
							     uint32_t index)
{
	return index < object->maps_count ? &object->definitions[index] : NULL;
}

const struct opvm_line *opvm_object_line(const struct opvm_object *object, uint32_t instruction)
{
	const struct opvm_line *line = NULL;

	for (uint32_t index = 0; index < object->lines_count; index++)
		if (object->lines[index].instruction <= instruction)
			line = &object->lines[index];
	return line;
}

struct opvm_program *opvm_object_find_program(const struct opvm_object *object, const char *name)
{
	for (uint32_t index = 0; object->loaded && index < object->programs_count; index++)
		if (name == NULL || strcmp(object->programs[index].name, name) == 0)
			return object->loaded_programs[index];
	return NULL;
}

struct opvm_map *opvm_object_find_map(const struct opvm_object *object, const char *name)
{
	for (uint32_t index = 0; object->loaded && index < object->maps_count; index++)
		if (strcmp(object->definitions[index].name, name) == 0)
			return object->maps[index];
	return NULL;
}

int opvm_disassemble(const struct opvm_instruction *instructions, uint32_t count, uint32_t index,
		     char *text, size_t size_bytes)
{
	if (index >= count)
		return -EINVAL;
	return opvm_write_instruction(instructions, count, index, text, size_bytes);
}
