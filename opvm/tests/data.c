/* SPDX-License-Identifier: MIT */
/*
 * Runs the cases of *.data files:
 *
 *	== what is shown
 *	    assembly, which is also disassembled and assembled again
 *	-> 5                    the result of the interpreter, and of machine code where there is
 *some; "exhausted" for a program without fuel
 *	!> piece of the log     of a program that is refused
 *
 * Before the result there may be lines "data 01 02 …" (bytes of the region), "fuel N", and
 * "raw 95 00 …", an instruction in bytes, as assembly cannot say it.
 *
 * usage: data [--all-rows] FILE...: with it, fails if some instruction was run by no case.
 */
#include "kinds.h"
#include "opvm_internal.h"

#include <ctype.h>

#define EXHAUSTED 0xe0e0e0e0e0e0e0e0

struct test_case {
	char name[1024];
	char text[16384];
	size_t text_length;
	uint8_t data[TEST_DATA_MAX];
	uint32_t data_length;
	struct opvm_instruction raw[64];
	uint32_t raw_count;
	uint64_t fuel;
};

static bool rows_seen[OPVM_ROWS];
static unsigned passed, failed;
static const char *file_name;

static bool fail(const struct test_case *test, const char *what, const char *detail)
{
	printf("FAILED: %s: %s: %s %s\n", file_name, test->name, what, detail);
	return false;
}

/* ---- one case ------------------------------------------------------------------------------ */

/** Text of all instructions, with distances for labels. */
static char *disassemble(const struct opvm_object *object)
{
	uint32_t count, at = 0;
	const struct opvm_instruction *const code = opvm_object_code(object, &count);
	char *const text = calloc(count + 1, 96);
	size_t used = 0;

	while (at < count) {
		const int halves = opvm_disassemble(code, count, at, text + used, 95);

		if (halves < 0)
			break;
		used += strlen(text + used);
		text[used++] = '\n';
		at += (uint32_t)halves;
	}
	return text;
}

static bool survives_disassembly(const struct test_case *test, const struct opvm_object *object)
{
	char message[512];
	struct opvm_log log = {message, sizeof(message), 0};
	char *const text = disassemble(object);
	const struct opvm_instruction *code, *again;
	struct opvm_object *copy = NULL;
	uint32_t count, again_count = 0;
	bool same;

	code = opvm_object_code(object, &count);
	same = opvm_object_assemble(text, &log, &copy) == 0;
	if (same) {
		again = opvm_object_code(copy, &again_count);
		same = count == again_count && memcmp(code, again, count * sizeof(*code)) == 0;
	}
	opvm_object_destroy(copy);
	if (!same)
		fail(test, "disassembled and assembled again it differs:", text);
	free(text);
	return same;
}

static void prepare(const struct test_case *test, struct test_context *context, uint8_t *data)
{
	memcpy(data, test->data, test->data_length);
	memset(context, 0, sizeof(*context));
	context->data = (uint64_t)(uintptr_t)data;
	context->data_end = context->data + test->data_length;
	context->length = test->data_length;
	context->number = 42;
	for (unsigned index = 0; index < sizeof(context->bytes); index++)
		context->bytes[index] = (uint8_t)(0xf0 + index);
	test_variable = 0;
}

static uint64_t run(const struct test_case *test, const struct opvm_program *program, bool compiled)
{
	struct test_context context;
	/* As long as it says, so that sanitizers see what is beyond. */
	uint8_t *const data = malloc(test->data_length);
	uint64_t result = 0;
	int error;

	prepare(test, &context, data);
	error = compiled ? opvm_run(program, &context, test->fuel, &result)
			 : opvm_interpret(program, &context, test->fuel, &result);
	free(data);
	if (error != (result == EXHAUSTED ? -ETIME : 0))
		printf("%s: %s: the run returned %d\n", file_name, test->name, error);
	return result;
}

static void reset_maps(const struct opvm_object *object)
{
	const struct opvm_map_definition *definition;

	for (uint32_t index = 0; (definition = opvm_object_map_definition(object, index)) != NULL;
	     index++) {
		struct opvm_map *const map = opvm_object_find_map(object, definition->name);
		uint8_t key[512], zeros[65536] = {0};

		while (definition->kind == OPVM_MAP_HASH && opvm_map_next(map, NULL, key) == 0)
			opvm_map_delete(map, key);
		for (uint32_t at = 0;
		     definition->kind == OPVM_MAP_ARRAY && at < definition->entries; at++)
			opvm_map_set(map, &at, zeros, 0);
	}
}

static bool has_result(const struct test_case *test, struct opvm_object *object, uint64_t wanted)
{
	struct opvm_program *const program = opvm_object_find_program(object, "main");
	uint64_t result = run(test, program, false);
	char text[64];
	uint32_t count;
	const struct opvm_instruction *const code = opvm_object_code(object, &count);

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)result);
	if (result != wanted)
		return fail(test, "the interpreter's result is", text);
	for (uint32_t at = 0; at < count; at++) {
		const int row = opvm_decode(&code[at]);

		if (row >= 0)
			rows_seen[row] = true;
	}
	if (opvm_compile(program, NULL) != 0)
		return true;
	reset_maps(object);
	result = run(test, program, true);
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)result);
	return result == wanted || fail(test, "machine code's result is", text);
}

static bool make(const struct test_case *test, struct opvm_log *log, struct opvm_object **object)
{
	if (test->raw_count == 0)
		return opvm_object_assemble(test->text, log, object) == 0;
	return opvm_object_assemble("exit", log, object) == 0;
}

static int load(const struct test_case *test, struct opvm_object *object, struct opvm_log *log)
{
	const struct opvm_source raw = {.size = sizeof(raw),
					.instructions = test->raw,
					.count = test->raw_count,
					.verify_only = true};
	const struct opvm_source defaults = {.size = sizeof(defaults),
					     .exhausted_result = EXHAUSTED};

	if (test->raw_count != 0)
		return opvm_program_create(&test_environment, &raw, log, NULL);
	return opvm_object_load(object, &test_environment, &defaults, log);
}

static bool check(const struct test_case *test, const char *refusal, uint64_t wanted)
{
	char message[8192] = "";
	struct opvm_log log = {message, sizeof(message), 0};
	struct opvm_object *object = NULL;
	bool good;
	int error;

	if (!make(test, &log, &object))
		return refusal != NULL && strstr(message, refusal) != NULL
			       ? true
			       : fail(test, "cannot be assembled:", message);
	error = load(test, object, &log);
	if (refusal != NULL && error == 0)
		good = fail(test, "is accepted, though it should need", refusal);
	else if (refusal != NULL)
		good = strstr(message, refusal) != NULL ||
		       fail(test, "is refused in other words:", message);
	else if (error != 0)
		good = fail(test, "is refused:", message);
	else
		good = survives_disassembly(test, object) && has_result(test, object, wanted);
	opvm_object_destroy(object);
	return good;
}

/* ---- files --------------------------------------------------------------------------------- */

static void begin(struct test_case *test, const char *name)
{
	static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8};

	memset(test, 0, sizeof(*test));
	snprintf(test->name, sizeof(test->name), "%s", name);
	memcpy(test->data, data, sizeof(data));
	test->data_length = sizeof(data);
	test->fuel = 10000000;
}

static void read_bytes(const char *text, uint8_t *bytes, uint32_t *count, uint32_t room)
{
	char *end;

	for (*count = 0; *count < room; text = end) {
		const unsigned long byte = strtoul(text, &end, 16);

		if (end == text)
			return;
		bytes[(*count)++] = (uint8_t)byte;
	}
}

static void end_case(const struct test_case *test, const char *refusal, const char *wanted)
{
	const uint64_t number = wanted == NULL                     ? 0
				: strcmp(wanted, "exhausted") == 0 ? EXHAUSTED
				: wanted[0] == '-' ? (uint64_t)strtoll(wanted, NULL, 0)
						   : strtoull(wanted, NULL, 0);

	if (check(test, refusal, number))
		passed++;
	else
		failed++;
}

static void read_line(struct test_case *test, const char *line)
{
	uint32_t count;

	if (strncmp(line, "== ", 3) == 0) {
		begin(test, line + 3);
	} else if (strncmp(line, "-> ", 3) == 0) {
		end_case(test, NULL, line + 3);
	} else if (strncmp(line, "!> ", 3) == 0) {
		end_case(test, line + 3, NULL);
	} else if (strncmp(line, "data ", 5) == 0) {
		read_bytes(line + 5, test->data, &test->data_length, sizeof(test->data));
	} else if (strncmp(line, "zeros ", 6) == 0) {
		memset(test->data, 0, sizeof(test->data));
		test->data_length = (uint32_t)strtoul(line + 6, NULL, 0);
	} else if (strncmp(line, "fuel ", 5) == 0) {
		test->fuel = strtoull(line + 5, NULL, 0);
	} else if (strncmp(line, "raw ", 4) == 0) {
		read_bytes(line + 4, (uint8_t *)&test->raw[test->raw_count++], &count, 8);
	} else {
		test->text_length +=
			(size_t)snprintf(test->text + test->text_length,
					 sizeof(test->text) - test->text_length, "%s\n", line);
	}
}

static void read_file(const char *path)
{
	static struct test_case test;
	FILE *const file = fopen(path, "r");
	char line[1024];

	file_name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
	if (file == NULL) {
		perror(path);
		failed++;
		return;
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = 0;
		read_line(&test, line);
	}
	fclose(file);
}

static void check_rows(void)
{
	for (unsigned row = 0; row < OPVM_ROWS; row++)
		if (!rows_seen[row]) {
			printf("FAILED: no case runs \"%s\"\n", opvm_shapes[row].text);
			failed++;
		}
}

int main(int count, char **arguments)
{
	const bool all_rows = count > 1 && strcmp(arguments[1], "--all-rows") == 0;

	for (int index = all_rows ? 2 : 1; index < count; index++)
		read_file(arguments[index]);
	if (all_rows)
		check_rows();
	printf("%u cases passed, %u failed\n", passed, failed);
	return failed != 0 || passed == 0;
}
