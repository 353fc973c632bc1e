/* SPDX-License-Identifier: MIT */
/*
 * The program of the filter: what it may see, loading and replacing it, its maps.
 */
#include "opvm_filter.h"

#include "opvm/block_fields.h"
#include "opvm_block.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_BYTES         8192
#define MOST_OBJECT_BYTES (16L << 20)

/* ---- the context ----------------------------------------------------------------------------- */

#define SAME_PLACE(member)                                                 \
	static_assert(offsetof(struct opvm_block, member) ==               \
			      offsetof(struct opvm_block_context, member), \
		      "opvm/block.h has " #member " where abi/opvm_block.wire has it")
SAME_PLACE(offset_bytes);
SAME_PLACE(length_bytes);
SAME_PLACE(time_ns);
SAME_PLACE(device_bytes);
SAME_PLACE(block_bytes);
SAME_PLACE(operation);
SAME_PLACE(flags);
SAME_PLACE(part);
SAME_PLACE(payload);
SAME_PLACE(payload_end);
SAME_PLACE(covers_bytes);
SAME_PLACE(target_bytes);
SAME_PLACE(delay_ns);
SAME_PLACE(status);
SAME_PLACE(result);
SAME_PLACE(elapsed_ns);
SAME_PLACE(backends);
SAME_PLACE(backend);
static_assert(sizeof(struct opvm_block) == OPVM_BLOCK_CONTEXT_SIZE,
	      "opvm/block.h is as long as abi/opvm_block.wire says");

static const struct opvm_field fields[] = {OPVM_BLOCK_FIELDS(MOST_PAYLOAD_BYTES)};

static const struct opvm_context context = {
	.name = "opvm_block",
	.size_bytes = sizeof(struct opvm_block),
	.fields_count = sizeof(fields) / sizeof(fields[0]),
	.fields = fields,
};

static const struct opvm_environment environment = {
	.size = sizeof(environment),
	.context = &context,
};

/* ---- counters ---------------------------------------------------------------------------------
 */

const char *const opvm_counter_names[COUNTERS] = {
	[COUNT_CALLS] = "calls",
	[COUNT_PASSED] = "passed",
	[COUNT_DONE] = "done",
	[COUNT_REDIRECTED] = "redirected",
	[COUNT_FAILED] = "failed",
	[COUNT_DELAYED] = "delayed",
	[COUNT_EXHAUSTED] = "out_of_fuel",
	[COUNT_REFUSED] = "refused_answers",
};

uint64_t opvm_counter(const struct filter *filter, enum counter counter)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < LANES; i++)
		sum += atomic_load_explicit(&filter->lanes[i].counters[counter],
					    memory_order_relaxed);
	return sum;
}

/* ---- loading ----------------------------------------------------------------------------------
 */

/** All of a file; NULL after a message. */
static char *read_file(const char *path, size_t *size_bytes)
{
	FILE *const file = fopen(path, "rbe");
	char *bytes = NULL;
	long size = -1;

	if (file != NULL && fseek(file, 0, SEEK_END) == 0)
		size = ftell(file);
	if (size >= 0 && size <= MOST_OBJECT_BYTES && fseek(file, 0, SEEK_SET) == 0)
		bytes = malloc((size_t)size + 1);
	if (bytes != NULL && fread(bytes, 1, (size_t)size, file) != (size_t)size) {
		free(bytes);
		bytes = NULL;
	}
	if (bytes == NULL)
		bdus_config_error(errno != 0 ? errno : EFBIG,
				  "filter opvm: program %s: cannot be read: %s", path,
				  size > MOST_OBJECT_BYTES ? "it is larger than 16 MiB"
							   : strerror(errno));
	else
		bytes[size] = '\0';
	if (file != NULL)
		fclose(file);
	*size_bytes = (size_t)size;
	return bytes;
}

static bool is_text(const char *path)
{
	const size_t length = strlen(path);

	return length > 2 && strcmp(path + length - 2, ".s") == 0;
}

/** Messages of users have one line. */
static const char *in_one_line(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && text[length - 1] == '\n')
		text[--length] = '\0';
	for (char *at = text; *at != '\0'; at++)
		if (*at == '\n')
			*at = ';';
	return text;
}

static void unload(struct loaded *loaded)
{
	if (loaded == NULL)
		return;
	opvm_object_destroy(loaded->object);
	free(loaded);
}

static int parse(const char *path, const char *bytes, size_t size_bytes, struct opvm_log *log,
		 struct opvm_object **object)
{
	struct opvm_object *made = NULL;
	int result = is_text(path) ? opvm_object_assemble(bytes, log, &made)
				   : opvm_object_read(bytes, size_bytes, log, &made);

	if (result == 0)
		result = opvm_object_load(made, &environment, NULL, log);
	if (result == 0) {
		*object = made;
		return 0;
	}
	opvm_object_destroy(made);
	/* A program that is refused is a wrong one; who asks is not refused anything. */
	return bdus_config_error(result == -EACCES ? EINVAL : -result,
				 "filter opvm: program %s: %s", path, in_one_line(log->text));
}

int opvm_load_object(const char *path, struct opvm_object **object)
{
	char *const text = malloc(LOG_BYTES);
	struct opvm_log log = {.text = text, .size_bytes = LOG_BYTES};
	size_t size_bytes;
	char *bytes;
	int result;

	if (text == NULL)
		return bdus_config_error(ENOMEM, "filter opvm: program %s: no memory", path);
	text[0] = '\0';
	errno = 0;
	bytes = read_file(path, &size_bytes);
	result = bytes != NULL ? parse(path, bytes, size_bytes, &log, object)
			       : -(errno != 0 ? errno : EFBIG);
	free(bytes);
	free(text);
	return result;
}

/** A program of what was loaded, as machine code where there is such a thing. */
static int find(const struct filter *filter, const char *path, const char *name,
		struct loaded *loaded, struct opvm_program **program)
{
	*program = opvm_object_find_program(loaded->object, name);
	if (*program == NULL)
		return bdus_config_error(ENOENT, "filter opvm: program %s: there is no '%s' in it",
					 path, name != NULL ? name : "program");
	/* Without machine code it runs as well. */
	if (!filter->interpret)
		opvm_compile(*program, NULL);
	return 0;
}

/** What opvm_object_find_program() gives for NULL is the program of index 0. */
static int choose(const struct filter *filter, const char *path, const char *name,
		  const char *completion, struct loaded *loaded)
{
	const struct opvm_object_program *const first = opvm_object_program(loaded->object, 0);
	int result = find(filter, path, name, loaded, &loaded->program);

	if (result == 0 && completion != NULL)
		result = find(filter, path, completion, loaded, &loaded->completion);
	if (result == 0)
		snprintf(loaded->name, sizeof(loaded->name), "%s",
			 name != NULL ? name : first->name);
	return result;
}

static int load(const struct filter *filter, const char *path, const char *name,
		const char *completion, struct loaded **result_loaded)
{
	struct loaded *const loaded = calloc(1, sizeof(*loaded));
	int result;

	if (loaded == NULL)
		return bdus_config_error(ENOMEM, "filter opvm: program %s: no memory", path);
	result = opvm_load_object(path, &loaded->object);
	if (result == 0)
		result = choose(filter, path, name, completion, loaded);
	if (result < 0) {
		unload(loaded);
		return result;
	}
	*result_loaded = loaded;
	return 0;
}

/* ---- maps -------------------------------------------------------------------------------------
 */

/** Maps of another form, and of kinds that are not copied, start anew. */
static void copy_maps(const struct loaded *from, const struct loaded *to)
{
	const struct opvm_map_definition *definition;

	for (uint32_t i = 0; (definition = opvm_object_map_definition(to->object, i)) != NULL;
	     i++) {
		const struct opvm_map *const old =
			opvm_object_find_map(from->object, definition->name);

		if (old != NULL)
			opvm_map_copy(old, opvm_object_find_map(to->object, definition->name));
	}
}

/* ---- replacing --------------------------------------------------------------------------------
 */

/** Waits until every queue was seen outside of the program, whose run fuel bounds. */
static void wait_for_lanes(struct filter *filter)
{
	for (unsigned i = 0; i < LANES; i++)
		while (atomic_load(&filter->lanes[i].inside) != 0)
			sched_yield();
}

static void put_in_place(struct filter *filter, struct loaded *loaded)
{
	struct loaded *const old = atomic_exchange(&filter->loaded, loaded);

	wait_for_lanes(filter);
	unload(old);
}

int opvm_filter_load(struct filter *filter, const char *path, const char *name,
		     const char *completion, bool keep_maps)
{
	const struct loaded *const old = atomic_load(&filter->loaded);
	struct loaded *loaded = NULL;
	const int result = load(filter, path, name, completion, &loaded);

	if (result < 0)
		return result;
	if (keep_maps && old != NULL)
		copy_maps(old, loaded);
	put_in_place(filter, loaded);
	return 0;
}

void opvm_filter_detach(struct filter *filter)
{
	put_in_place(filter, NULL);
}
