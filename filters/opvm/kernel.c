/* SPDX-License-Identifier: MIT */
/*
 * Programs that answer requests of a device within the kernel module kbdus: the commands of the
 * filter, for these. Whoever asks does it itself, by abi/kbdus_program.wire; the process that
 * serves the device has no part in it.
 */
#include "answer.h"
#include "opvm_filter.h"

#include "kbdus_program.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CONTROL      "/dev/bdus-control"
#define LOG_BYTES    8192
#define VALUE_BYTES  (1U << 20)
#define RECORD_BYTES 512
#define FUEL         100000

/** A device of kbdus, and what it tells of its program. */
struct kernel {
	uint64_t id;
	int control;
	struct kbdus_program_abi_status status;
};

static uint64_t address(const void *memory)
{
	return (uint64_t)(uintptr_t)memory;
}

static int fail(const struct kernel *kernel, const char *what, int errnum)
{
	const char *why = strerror(errnum);

	if (errnum == ENODEV)
		why = "kbdus has no such device that runs";
	else if (errnum == ENOTTY)
		why = "this kbdus was built without opvm";
	else if (errnum == EPERM)
		why = "it takes who may administer the system";
	return bdus_config_error(errnum, "device %" PRIu64 ": %s a program in the kernel: %s",
				 kernel->id, what, why);
}

/* ---- loading ----------------------------------------------------------------------------------
 */

/** What a user says beside the file and the name of the program. */
struct wish {
	const char *path;
	const char *name;
	/** Of the program that is called when a request is back; NULL for none. */
	const char *completion;
	const char *backing;
	uint64_t fuel;
	bool may_pass;
	uint32_t flags;
};

static int take_fuel(const char *text, uint64_t *fuel)
{
	if (opvm_parse_number(text, strlen(text), fuel) == 0 && *fuel >= 1 &&
	    *fuel <= KBDUS_PROGRAM_ABI_FUEL)
		return 0;
	return bdus_config_error(EINVAL, "fuel=%s: in the kernel it is a number from 1 to %u", text,
				 (unsigned)KBDUS_PROGRAM_ABI_FUEL);
}

static int take_word(struct wish *wish, const char *word)
{
	if (strncmp(word, "backend=", 8) == 0)
		wish->backing = word + 8;
	else if (strncmp(word, "fuel=", 5) == 0)
		return take_fuel(word + 5, &wish->fuel);
	else if (strcmp(word, "exhausted=pass") == 0)
		wish->may_pass = true;
	else if (strcmp(word, "exhausted=fail") == 0)
		wish->may_pass = false;
	else if (strcmp(word, "interpret") == 0)
		wish->flags |= KBDUS_PROGRAM_ABI_LOAD_FLAG_INTERPRET;
	else if (strcmp(word, "keep-maps") == 0)
		wish->flags |= KBDUS_PROGRAM_ABI_LOAD_FLAG_KEEP_MAPS;
	else if (wish->name == NULL)
		wish->name = word;
	else if (wish->completion == NULL)
		wish->completion = word;
	else
		return bdus_config_error(EINVAL, "'%s': there are two programs already, %s and %s",
					 word, wish->name, wish->completion);
	return 0;
}

static int take_words(struct wish *wish, const char *const *words, unsigned count)
{
	int result = 0;

	*wish = (struct wish){.path = words[0], .fuel = FUEL};
	for (unsigned i = 1; i < count && result == 0; i++)
		result = take_word(wish, words[i]);
	return result;
}

/** @name NULL for the first one; NULL, with the error told, if it is not there. */
static const struct opvm_object_program *find_program(const struct wish *wish,
						      const struct opvm_object *object,
						      const char *name)
{
	const struct opvm_object_program *program;

	for (uint32_t i = 0; (program = opvm_object_program(object, i)) != NULL; i++)
		if (name == NULL || strcmp(program->name, name) == 0)
			return program;
	bdus_config_error(ENOENT, "program %s: there is no '%s' in it", wish->path,
			  name != NULL ? name : "program");
	return NULL;
}

/** The programs of a wish; @completion NULL for none. */
struct programs {
	const struct opvm_object_program *first;
	const struct opvm_object_program *completion;
};

static int find_programs(const struct wish *wish, const struct opvm_object *object,
			 struct programs *programs)
{
	programs->completion = NULL;
	programs->first = find_program(wish, object, wish->name);
	if (programs->first == NULL)
		return -ENOENT;
	if (wish->completion == NULL)
		return 0;
	programs->completion = find_program(wish, object, wish->completion);
	return programs->completion != NULL ? 0 : -ENOENT;
}

/** The maps of an object, and what its data are to begin with. */
struct maps {
	struct opvm_map_definition definitions[KBDUS_PROGRAM_ABI_MAPS];
	uint64_t contents[KBDUS_PROGRAM_ABI_MAPS];
	uint32_t count;
};

static void free_maps(const struct maps *maps)
{
	for (uint32_t i = 0; i < maps->count; i++)
		free((void *)(uintptr_t)maps->contents[i]);
}

/** Variables of a program are the one value of an array. */
static int copy_contents(const struct opvm_object *object,
			 const struct opvm_map_definition *definition, uint64_t *contents)
{
	const uint32_t first = 0;
	void *value;

	if (definition->kind != OPVM_MAP_ARRAY || definition->entries != 1)
		return 0;
	value = malloc(definition->value_bytes);
	if (value == NULL)
		return bdus_config_error(ENOMEM, "no memory for map %s", definition->name);
	opvm_map_get(opvm_object_find_map(object, definition->name), &first, value);
	*contents = address(value);
	return 0;
}

static int copy_maps(const struct opvm_object *object, struct maps *maps)
{
	const struct opvm_map_definition *definition;
	int result = 0;

	while (result == 0 &&
	       (definition = opvm_object_map_definition(object, maps->count)) != NULL) {
		if (maps->count == KBDUS_PROGRAM_ABI_MAPS)
			return bdus_config_error(E2BIG,
						 "in the kernel, a program has at most %d maps",
						 KBDUS_PROGRAM_ABI_MAPS);
		maps->definitions[maps->count] = *definition;
		result = copy_contents(object, definition, &maps->contents[maps->count++]);
	}
	return result;
}

static int open_backing(const struct wish *wish, int *backing)
{
	*backing = -1;
	if (wish->backing == NULL)
		return 0;
	*backing = open(wish->backing, O_RDWR | O_CLOEXEC);
	if (*backing < 0 && (errno == EROFS || errno == EACCES || errno == EPERM))
		*backing = open(wish->backing, O_RDONLY | O_CLOEXEC);
	if (*backing < 0)
		return bdus_config_error(errno, "backend %s: %s", wish->backing, strerror(errno));
	return 0;
}

static int refuse(const struct kernel *kernel, const struct wish *wish, const char *log, int errnum)
{
	switch (errnum) {
	case EACCES:
	case E2BIG:
		return bdus_config_error(EINVAL, "program %s: the kernel refuses it: %.*s",
					 wish->path, (int)strcspn(log, "\n"),
					 log[0] != '\0' ? log : strerror(errnum));
	case ENOTBLK:
		return bdus_config_error(errnum, "backend %s: it is no block device",
					 wish->backing);
	case ELOOP:
		return bdus_config_error(errnum, "backend %s: it is a device of kbdus itself",
					 wish->backing);
	case EOPNOTSUPP:
		return bdus_config_error(errnum,
					 "backend %s: it has a cache that a device without flush "
					 "could not have written back",
					 wish->backing);
	default:
		return fail(kernel, "cannot load", errnum);
	}
}

static int send_program(const struct kernel *kernel, const struct wish *wish,
			const struct opvm_object *object, const struct programs *programs,
			const struct maps *maps)
{
	char log[LOG_BYTES] = "";
	struct kbdus_program_abi_load load;
	uint32_t count;
	int backing, result;

	memset(&load, 0, sizeof(load));
	result = open_backing(wish, &backing);
	if (result < 0)
		return result;
	kbdus_program_abi_load_set_id(&load, kernel->id);
	kbdus_program_abi_load_set_instructions(&load, address(opvm_object_code(object, &count)));
	kbdus_program_abi_load_set_count(&load, count);
	kbdus_program_abi_load_set_entry(&load, programs->first->entry);
	kbdus_program_abi_load_set_flags(&load, wish->flags);
	if (programs->completion != NULL) {
		kbdus_program_abi_load_set_completion(&load, programs->completion->entry);
		kbdus_program_abi_load_set_flags(
			&load, wish->flags | KBDUS_PROGRAM_ABI_LOAD_FLAG_COMPLETION);
	}
	kbdus_program_abi_load_set_maps(&load, address(maps->definitions));
	kbdus_program_abi_load_set_contents(&load, address(maps->contents));
	kbdus_program_abi_load_set_maps_count(&load, maps->count);
	kbdus_program_abi_load_set_backing(&load, backing);
	kbdus_program_abi_load_set_fuel(&load, wish->fuel);
	kbdus_program_abi_load_set_log(&load, address(log));
	kbdus_program_abi_load_set_log_bytes(&load, sizeof(log));
	kbdus_program_abi_load_set_exhausted(&load,
					     wish->may_pass ? OPVM_BLOCK_PASS : OPVM_BLOCK_FAIL);
	snprintf(load.name, sizeof(load.name), "%s", programs->first->name);
	if (ioctl(kernel->control, KBDUS_PROGRAM_ABI_COMMAND_LOAD, &load) < 0)
		result = refuse(kernel, wish, log, errno);
	if (backing >= 0)
		close(backing);
	return result;
}

static int load(const struct kernel *kernel, const char *const *words, unsigned count)
{
	struct opvm_object *object;
	struct programs programs;
	struct maps maps = {.count = 0};
	struct wish wish;
	int result = take_words(&wish, words, count);

	if (result == 0)
		result = opvm_load_object(wish.path, &object);
	if (result < 0)
		return result;
	result = find_programs(&wish, object, &programs);
	if (result == 0)
		result = copy_maps(object, &maps);
	if (result == 0)
		result = send_program(kernel, &wish, object, &programs, &maps);
	free_maps(&maps);
	opvm_object_destroy(object);
	return result;
}

/* ---- telling ----------------------------------------------------------------------------------
 */

static int read_status(struct kernel *kernel)
{
	kbdus_program_abi_status_set_id(&kernel->status, kernel->id);
	if (ioctl(kernel->control, KBDUS_PROGRAM_ABI_COMMAND_STATUS, &kernel->status) < 0)
		return fail(kernel, "cannot ask for", errno);
	return 0;
}

static int on_map(const struct kernel *kernel, enum kbdus_program_abi_map_command command,
		  uint32_t index, const void *key, void *value, size_t value_bytes)
{
	struct kbdus_program_abi_map argument;
	int result;

	memset(&argument, 0, sizeof(argument));
	kbdus_program_abi_map_set_id(&argument, kernel->id);
	kbdus_program_abi_map_set_index(&argument, index);
	kbdus_program_abi_map_set_command(&argument, command);
	kbdus_program_abi_map_set_key(&argument, address(key));
	kbdus_program_abi_map_set_value(&argument, address(value));
	kbdus_program_abi_map_set_value_bytes(&argument, value_bytes);
	result = ioctl(kernel->control, KBDUS_PROGRAM_ABI_COMMAND_MAP, &argument);
	return result < 0 ? -errno : result;
}

static int describe_map(const struct kernel *kernel, uint32_t index,
			struct opvm_map_definition *definition)
{
	return on_map(kernel, KBDUS_PROGRAM_ABI_MAP_COMMAND_DESCRIBE, index, NULL, definition,
		      sizeof(*definition));
}

static void add_program(const struct kernel *kernel, struct answer *answer)
{
	const struct kbdus_program_abi_status *const status = &kernel->status;
	const uint32_t maps = kbdus_program_abi_status_maps(status);
	const uint32_t flags = kbdus_program_abi_status_flags(status);
	struct opvm_map_definition definition;

	if (kbdus_program_abi_status_instructions(status) == 0) {
		opvm_answer_add(answer, "null");
		return;
	}
	opvm_answer_add_name(answer, status->name);
	opvm_answer_add(answer, ",\"instructions\":%" PRIu32 ",\"compiled\":%s,\"maps\":[",
			kbdus_program_abi_status_instructions(status),
			flags & KBDUS_PROGRAM_ABI_PROGRAM_FLAG_COMPILED ? "true" : "false");
	/* It may be replaced meanwhile, by one with fewer. */
	for (uint32_t i = 0; i < maps && describe_map(kernel, i, &definition) == 0; i++)
		opvm_answer_add_map(answer, i, &definition);
	opvm_answer_add(answer, "],\"backend\":");
	if (kbdus_program_abi_status_backing_major(status) == 0)
		opvm_answer_add(answer, "null");
	else
		opvm_answer_add(answer, "\"%" PRIu32 ":%" PRIu32 "\"",
				kbdus_program_abi_status_backing_major(status),
				kbdus_program_abi_status_backing_minor(status));
}

static int tell_status(struct kernel *kernel, struct answer *answer)
{
	const struct kbdus_program_abi_status *const status = &kernel->status;
	const uint64_t counts[COUNTERS] = {
		[COUNT_CALLS] = kbdus_program_abi_status_calls(status),
		[COUNT_PASSED] = kbdus_program_abi_status_passed(status),
		[COUNT_DONE] = kbdus_program_abi_status_done(status),
		[COUNT_REDIRECTED] = kbdus_program_abi_status_redirected(status),
		[COUNT_FAILED] = kbdus_program_abi_status_failed(status),
		[COUNT_DELAYED] = kbdus_program_abi_status_delayed(status),
		[COUNT_EXHAUSTED] = kbdus_program_abi_status_exhausted(status),
		[COUNT_REFUSED] = kbdus_program_abi_status_refused(status),
	};

	opvm_answer_add(answer, "{\"program\":");
	add_program(kernel, answer);
	opvm_answer_add(answer, ",\"replaced\":%" PRIu64 ",\"fuel\":%" PRIu64,
			kbdus_program_abi_status_replaced(status),
			kbdus_program_abi_status_fuel(status));
	for (unsigned i = 0; i < COUNTERS; i++)
		opvm_answer_add(answer, ",\"%s\":%" PRIu64, opvm_counter_names[i], counts[i]);
	opvm_answer_add(answer, "}");
	return opvm_answer_finish(answer);
}

/* ---- maps -------------------------------------------------------------------------------------
 */

struct place {
	uint32_t index;
	struct opvm_map_definition definition;
};

static int find_map(const struct kernel *kernel, const char *name, struct place *place)
{
	const uint32_t maps = kbdus_program_abi_status_instructions(&kernel->status) != 0
				      ? kbdus_program_abi_status_maps(&kernel->status)
				      : 0;

	for (uint32_t i = 0; i < maps && describe_map(kernel, i, &place->definition) == 0; i++) {
		place->index = i;
		if (strcmp(place->definition.name, name) == 0)
			return 0;
	}
	return bdus_config_error(ENOENT, "device %" PRIu64 ": in the kernel there is no map '%s'",
				 kernel->id, name);
}

static int fail_map(const char *name, int result)
{
	return bdus_config_error(-result, "map %s: %s", name, strerror(-result));
}

/** Values as opvm_map_get() gives them. */
static void add_value(const struct kernel *kernel, const struct opvm_map_definition *definition,
		      const uint8_t *value, struct answer *answer)
{
	uint32_t count = 1;

	if (definition->kind == OPVM_MAP_HISTOGRAM)
		count = 64;
	else if (definition->kind == OPVM_MAP_PER_CPU)
		count = kbdus_program_abi_status_processors(&kernel->status);
	opvm_answer_add_values(answer, value, count, definition->value_bytes,
			       definition->value_bytes);
}

static int get_entry(const struct kernel *kernel, const char *name, const char *key_text,
		     struct answer *answer)
{
	uint8_t *const value = calloc(1, VALUE_BYTES);
	struct place place;
	uint64_t key = 0;
	int result = find_map(kernel, name, &place);

	if (value == NULL)
		result = fail_map(name, -ENOMEM);
	if (result == 0 && key_text != NULL)
		result = opvm_parse_key(&place.definition, key_text, strlen(key_text), &key);
	if (result == 0) {
		result = on_map(kernel, KBDUS_PROGRAM_ABI_MAP_COMMAND_GET, place.index,
				key_text != NULL ? &key : NULL, value, VALUE_BYTES);
		if (result < 0)
			fail_map(name, result);
	}
	if (result == 0)
		add_value(kernel, &place.definition, value, answer);
	free(value);
	return result < 0 ? result : opvm_answer_finish(answer);
}

static int set_entry(const struct kernel *kernel, const char *const *words)
{
	struct place place;
	uint64_t key, value;
	int result = find_map(kernel, words[0], &place);

	if (result == 0)
		result = opvm_parse_key(&place.definition, words[1], strlen(words[1]), &key);
	if (result == 0)
		result = opvm_parse_value(&place.definition, words[2], strlen(words[2]), &value);
	if (result < 0)
		return result;
	result = on_map(kernel, KBDUS_PROGRAM_ABI_MAP_COMMAND_SET, place.index, &key, &value,
			place.definition.value_bytes);
	return result < 0 ? fail_map(words[0], result) : 0;
}

static int read_ring(const struct kernel *kernel, const char *name, struct answer *answer)
{
	uint8_t record[RECORD_BYTES];
	struct place place;
	int result = find_map(kernel, name, &place);

	if (result < 0)
		return result;
	result = on_map(kernel, KBDUS_PROGRAM_ABI_MAP_COMMAND_READ, place.index, NULL, record,
			sizeof(record));
	if (result < 0)
		return fail_map(name, result);
	if (result == 0)
		opvm_answer_add(answer, "null");
	else
		opvm_answer_add_bytes(answer, record, (size_t)result);
	return opvm_answer_finish(answer);
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static int detach(const struct kernel *kernel)
{
	struct kbdus_program_abi_status argument = kernel->status;

	if (ioctl(kernel->control, KBDUS_PROGRAM_ABI_COMMAND_UNLOAD, &argument) < 0)
		return fail(kernel, "cannot detach", errno);
	return 0;
}

static int carry_out(struct kernel *kernel, const char *const *words, unsigned count,
		     struct answer *answer)
{
	const char *const verb = words[0];

	if (strcmp(verb, "status") == 0 && count == 1)
		return tell_status(kernel, answer);
	if (strcmp(verb, "replace") == 0 && count > 1)
		return load(kernel, words + 1, count - 1);
	if (strcmp(verb, "detach") == 0 && count == 1)
		return detach(kernel);
	if (strcmp(verb, "get") == 0 && (count == 2 || count == 3))
		return get_entry(kernel, words[1], count == 3 ? words[2] : NULL, answer);
	if (strcmp(verb, "set") == 0 && count == 4)
		return set_entry(kernel, words + 1);
	if (strcmp(verb, "read") == 0 && count == 2)
		return read_ring(kernel, words[1], answer);
	return bdus_config_error(EINVAL, "'%s' with %u words is no command for the kernel", verb,
				 count);
}

int opvm_kernel_command(uint64_t id, const char *const *words, unsigned count, char *text,
			size_t size_bytes)
{
	struct answer answer = {.text = text, .size_bytes = size_bytes};
	struct kernel kernel = {.id = id};
	int result;

	kernel.control = open(CONTROL, O_RDWR | O_CLOEXEC);
	if (kernel.control < 0)
		return bdus_config_error(errno, "%s: %s", CONTROL, strerror(errno));
	result = read_status(&kernel);
	if (result == 0)
		result = carry_out(&kernel, words, count, &answer);
	close(kernel.control);
	return result;
}
