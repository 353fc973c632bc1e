/* SPDX-License-Identifier: MIT */
/*
 * Programs in the kernel module kbdus, by the bare interface.
 *
 * usage: kbdus-program load ID FILE [program=NAME] [backing=PATH] [fuel=N] [exhausted=pass]
 *        kbdus-program unload|status ID
 *        kbdus-program get|delete ID MAP KEY      numbers; MAP by its place in the object
 *        kbdus-program set ID MAP KEY VALUE [4]   values of 8 bytes, or 4
 *        kbdus-program hostile ID                 what must be refused; says what was not
 *
 * FILE is an ELF object, or text in a file named *.s. The exit status says whether it was done, the
 * reason is on standard error.
 */
#include "kbdus_program.h"

#include <errno.h>
#include <fcntl.h>
#include <opvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL   "/dev/bdus-control"
#define LOG_BYTES 8192

static int control;

static int say(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static uint64_t address(const void *memory)
{
	return (uint64_t)(uintptr_t)memory;
}

/* ---- loading --------------------------------------------------------------------------------- */

static struct opvm_object *read_object(const char *path)
{
	static char message[LOG_BYTES], bytes[1 << 20];
	struct opvm_log log = {message, sizeof(message), 0};
	struct opvm_object *object = NULL;
	FILE *const file = fopen(path, "r");
	const size_t size = file != NULL ? fread(bytes, 1, sizeof(bytes) - 1, file) : 0;
	const char *const end = strrchr(path, '.');

	if (file != NULL)
		fclose(file);
	bytes[size] = '\0';
	if (end != NULL && strcmp(end, ".s") == 0)
		opvm_object_assemble(bytes, &log, &object);
	else
		opvm_object_read(bytes, size, &log, &object);
	if (object == NULL)
		fprintf(stderr, "%s: %s", path, message);
	return object;
}

static uint32_t entry_of(const struct opvm_object *object, const char *name)
{
	const struct opvm_object_program *program;

	for (uint32_t index = 0; (program = opvm_object_program(object, index)) != NULL; index++)
		if (name == NULL || strcmp(program->name, name) == 0)
			return program->entry;
	return UINT32_MAX;
}

static void take_word(struct kbdus_program_abi_load *load, const struct opvm_object *object,
		      const char *word)
{
	if (strncmp(word, "program=", 8) == 0)
		kbdus_program_abi_load_set_entry(load, entry_of(object, word + 8));
	else if (strncmp(word, "backing=", 8) == 0)
		kbdus_program_abi_load_set_backing(load, open(word + 8, O_RDWR));
	else if (strncmp(word, "fuel=", 5) == 0)
		kbdus_program_abi_load_set_fuel(load, strtoull(word + 5, NULL, 0));
	else if (strcmp(word, "exhausted=pass") == 0)
		kbdus_program_abi_load_set_exhausted(load, 0);
}

static int load(uint64_t id, const char *path, char **words)
{
	static struct opvm_map_definition definitions[KBDUS_PROGRAM_ABI_MAPS];
	static uint64_t contents[KBDUS_PROGRAM_ABI_MAPS];
	static char message[LOG_BYTES];
	const struct opvm_map_definition *definition;
	const struct opvm_instruction *code;
	struct opvm_object *const object = read_object(path);
	struct kbdus_program_abi_load argument;
	uint32_t count, maps = 0;

	if (object == NULL)
		return 1;
	code = opvm_object_code(object, &count);
	while (maps < KBDUS_PROGRAM_ABI_MAPS &&
	       (definition = opvm_object_map_definition(object, maps)) != NULL)
		definitions[maps++] = *definition;
	memset(&argument, 0, sizeof(argument));
	kbdus_program_abi_load_set_id(&argument, id);
	kbdus_program_abi_load_set_instructions(&argument, address(code));
	kbdus_program_abi_load_set_count(&argument, count);
	kbdus_program_abi_load_set_entry(&argument, entry_of(object, NULL));
	kbdus_program_abi_load_set_maps(&argument, address(definitions));
	kbdus_program_abi_load_set_contents(&argument, address(contents));
	kbdus_program_abi_load_set_maps_count(&argument, maps);
	kbdus_program_abi_load_set_backing(&argument, -1);
	kbdus_program_abi_load_set_fuel(&argument, 10000);
	kbdus_program_abi_load_set_log(&argument, address(message));
	kbdus_program_abi_load_set_log_bytes(&argument, sizeof(message));
	kbdus_program_abi_load_set_exhausted(&argument, 3);
	for (; *words != NULL; words++)
		take_word(&argument, object, *words);
	if (ioctl(control, KBDUS_PROGRAM_ABI_COMMAND_LOAD, &argument) == 0)
		return 0;
	fputs(message, stderr);
	return say("load");
}

/* ---- telling --------------------------------------------------------------------------------- */

static int status(uint64_t id)
{
	struct kbdus_program_abi_status told = {0};

	kbdus_program_abi_status_set_id(&told, id);
	if (ioctl(control, KBDUS_PROGRAM_ABI_COMMAND_STATUS, &told) != 0)
		return say("status");
	printf("instructions=%u calls=%llu passed=%llu done=%llu redirected=%llu failed=%llu "
	       "exhausted=%llu refused=%llu\n",
	       kbdus_program_abi_status_instructions(&told),
	       (unsigned long long)kbdus_program_abi_status_calls(&told),
	       (unsigned long long)kbdus_program_abi_status_passed(&told),
	       (unsigned long long)kbdus_program_abi_status_done(&told),
	       (unsigned long long)kbdus_program_abi_status_redirected(&told),
	       (unsigned long long)kbdus_program_abi_status_failed(&told),
	       (unsigned long long)kbdus_program_abi_status_exhausted(&told),
	       (unsigned long long)kbdus_program_abi_status_refused(&told));
	return 0;
}

static int unload(uint64_t id)
{
	struct kbdus_program_abi_status told = {0};

	kbdus_program_abi_status_set_id(&told, id);
	return ioctl(control, KBDUS_PROGRAM_ABI_COMMAND_UNLOAD, &told) == 0 ? 0 : say("unload");
}

static int map(uint64_t id, const char *how, char **words)
{
	const uint64_t key = strtoull(words[1], NULL, 0);
	uint64_t value[512] = {words[2] != NULL ? strtoull(words[2], NULL, 0) : 0};
	struct kbdus_program_abi_map argument;

	memset(&argument, 0, sizeof(argument));
	kbdus_program_abi_map_set_id(&argument, id);
	kbdus_program_abi_map_set_index(&argument, (uint32_t)strtoul(words[0], NULL, 0));
	kbdus_program_abi_map_set_key(&argument, address(&key));
	kbdus_program_abi_map_set_value(&argument, address(value));
	kbdus_program_abi_map_set_value_bytes(&argument, sizeof(value));
	if (strcmp(how, "set") == 0) {
		kbdus_program_abi_map_set_command(&argument, KBDUS_PROGRAM_ABI_MAP_COMMAND_SET);
		kbdus_program_abi_map_set_value_bytes(&argument,
						      words[2] != NULL && words[3] != NULL ? 4 : 8);
	} else if (strcmp(how, "delete") == 0) {
		kbdus_program_abi_map_set_command(&argument, KBDUS_PROGRAM_ABI_MAP_COMMAND_DELETE);
	}
	if (ioctl(control, KBDUS_PROGRAM_ABI_COMMAND_MAP, &argument) != 0)
		return say(how);
	if (strcmp(how, "get") == 0)
		printf("%llu\n", (unsigned long long)value[0]);
	return 0;
}

/* ---- hostile callers ------------------------------------------------------------------------- */

static int failures;

static void expect(const char *what, const struct kbdus_program_abi_load *argument, int error)
{
	const int got = ioctl(control, KBDUS_PROGRAM_ABI_COMMAND_LOAD, argument) == 0 ? 0 : errno;

	if (got == error)
		return;
	printf("%s: %s, not %s\n", what, strerror(got), strerror(error));
	failures++;
}

/** A field of a sound wish changed, and what has to come of it. */
#define WRONG(field, value, error)                                 \
	do {                                                       \
		struct kbdus_program_abi_load wrong = good;        \
		kbdus_program_abi_load_set_##field(&wrong, value); \
		expect(#field " " #value, &wrong, error);          \
	} while (0)

static void refuse_wishes(uint64_t id, const struct kbdus_program_abi_load good)
{
	static struct opvm_map_definition huge = {"huge", OPVM_MAP_ARRAY, 4, 1 << 20, UINT32_MAX};
	static struct opvm_map_definition strange = {"strange", 77, 4, 8, 1};
	static const struct opvm_instruction load_null[] = {{.opcode = 0xb7, .registers = 1},
							    {.opcode = 0x79, .registers = 0x10},
							    {.opcode = 0x95}};
	struct kbdus_program_abi_load changed = good;

	WRONG(id, id + 1000, ENODEV);
	WRONG(count, 0, EINVAL);
	WRONG(count, UINT32_MAX, EINVAL);
	WRONG(entry, 2, EINVAL);
	WRONG(completion, 2, EINVAL);
	WRONG(flags, 8, EINVAL);
	WRONG(instructions, 4096, EFAULT);
	WRONG(instructions, UINT64_MAX - 8, EFAULT);
	WRONG(maps_count, 17, EINVAL);
	WRONG(fuel, 0, EINVAL);
	WRONG(fuel, UINT64_MAX, EINVAL);
	WRONG(exhausted, 2, EINVAL);
	WRONG(log_bytes, UINT32_MAX, EINVAL);
	WRONG(backing, 9999, EBADF);
	WRONG(backing, control, ENOTBLK);
	kbdus_program_abi_load_set_maps_count(&changed, 1);
	expect("no maps", &changed, EFAULT);
	kbdus_program_abi_load_set_contents(&changed, address((const uint64_t[1]){0}));
	kbdus_program_abi_load_set_maps(&changed, address(&strange));
	expect("strange map", &changed, EINVAL);
	kbdus_program_abi_load_set_maps(&changed, address(&huge));
	if (ioctl(control, KBDUS_PROGRAM_ABI_COMMAND_LOAD, &changed) == 0)
		puts("a map of 4 PiB"), failures++;
	changed = good;
	kbdus_program_abi_load_set_instructions(&changed, address(load_null));
	kbdus_program_abi_load_set_count(&changed, 3);
	expect("a program that reads address 0", &changed, EACCES);
}

/** Random instructions, none of which may be taken and do harm. */
static void load_rubbish(struct kbdus_program_abi_load wish)
{
	static uint64_t code[64];
	uint64_t state = 88172645463325252;
	unsigned taken = 0;

	kbdus_program_abi_load_set_instructions(&wish, address(code));
	for (unsigned round = 0; round < 3000; round++) {
		for (unsigned at = 0; at < 64; at++) {
			state ^= state << 13, state ^= state >> 7, state ^= state << 17;
			code[at] = state;
			if (round & 1)
				code[at] &= 0x00000001000f0fff;
		}
		code[63] = 0x95;
		kbdus_program_abi_load_set_count(&wish, 1 + round % 64);
		taken += ioctl(control, KBDUS_PROGRAM_ABI_COMMAND_LOAD, &wish) == 0;
	}
	printf("%u of 3000 random programs were taken\n", taken);
}

static int hostile(uint64_t id)
{
	static const struct opvm_instruction pass[] = {{.opcode = 0xb7}, {.opcode = 0x95}};
	struct kbdus_program_abi_load good;

	memset(&good, 0, sizeof(good));
	kbdus_program_abi_load_set_id(&good, id);
	kbdus_program_abi_load_set_instructions(&good, address(pass));
	kbdus_program_abi_load_set_count(&good, 2);
	kbdus_program_abi_load_set_backing(&good, -1);
	kbdus_program_abi_load_set_fuel(&good, 100);
	expect("a sound program", &good, 0);
	refuse_wishes(id, good);
	load_rubbish(good);
	expect("a sound program", &good, 0);
	return failures != 0;
}

int main(int count, char **words)
{
	const char *const how = count > 2 ? words[1] : "";
	const uint64_t id = count > 2 ? strtoull(words[2], NULL, 0) : 0;

	control = open(CONTROL, O_RDWR | O_CLOEXEC);
	if (control < 0)
		return say(CONTROL);
	if (strcmp(how, "load") == 0 && count > 3)
		return load(id, words[3], words + 4);
	if (strcmp(how, "unload") == 0)
		return unload(id);
	if (strcmp(how, "status") == 0)
		return status(id);
	if (strcmp(how, "hostile") == 0)
		return hostile(id);
	if (count > 4)
		return map(id, how, words + 3);
	fputs("usage: see the source\n", stderr);
	return 2;
}
