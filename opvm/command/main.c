/* SPDX-License-Identifier: MIT */
/*
 * The `opvm` command: a front for the library, for people who write programs.
 */
#include "opvm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOG_BYTES (1 << 20)
#define FUEL      100000000
#define DATA_MOST (1 << 20)

/** As opvm/program.h declares it. */
struct command_context {
	uint64_t data;
	uint64_t data_end;
	uint64_t length_bytes;
	uint64_t numbers[4];
};

#define PLACE(member)                                      \
#member, offsetof(struct command_context, member), \
		sizeof(((struct command_context *)0)->member)

static const struct opvm_field fields[] = {
	{PLACE(data), OPVM_FIELD_REGION, OPVM_FIELD_WRITABLE, 0, 0, 0, DATA_MOST},
	{PLACE(data_end), OPVM_FIELD_REGION_END, 0, 0, 0, 0, DATA_MOST},
	{PLACE(length_bytes), OPVM_FIELD_REGION_LENGTH, 0, 0, 0, 0, DATA_MOST},
	{PLACE(numbers), OPVM_FIELD_INTEGER, OPVM_FIELD_WRITABLE, 0, 0, 0, 0},
};

static const struct opvm_context context_type = {"opvm_command_context",
						 sizeof(struct command_context),
						 sizeof(fields) / sizeof(fields[0]), fields};

static const struct opvm_environment environment = {
	.size = sizeof(environment),
	.context = &context_type,
};

/* What the command line says. */
struct options {
	const char *verb;
	const char *path;
	const char *output;
	const char *program;
	const char *data_path;
	uint64_t fuel;
	uint64_t numbers[4];
	unsigned numbers_count;
	bool explain;
	bool interpret;
};

static char log_text[LOG_BYTES];

static const char usage[] =
	"usage: opvm compile SOURCE.c [-o OBJECT.o]\n"
	"       opvm verify [--explain] OBJECT.o\n"
	"       opvm dis OBJECT.o\n"
	"       opvm run [--program NAME] [--data FILE] [--fuel N] [--interpret] OBJECT.o "
	"[NUMBER]...\n"
	"       opvm bench [--program NAME] [--data FILE] OBJECT.o [NUMBER]...\n"
	"\n"
	"OBJECT.o may also be a text for the assembler, whose name ends in .s.\n";

/* ---- files --------------------------------------------------------------------------------- */

/** All of a file and a zero after it; NULL with a message. */
static char *read_file(const char *path, size_t *size_bytes)
{
	FILE *const file = fopen(path, "rb");
	char *bytes = NULL;
	size_t room = 0, used = 0, got = 1;

	if (file == NULL) {
		perror(path);
		return NULL;
	}
	while (got > 0) {
		if (used + 1 >= room) {
			room = room == 0 ? 65536 : room * 2;
			char *const more = realloc(bytes, room);

			if (more == NULL)
				break;
			bytes = more;
		}
		got = fread(bytes + used, 1, room - used - 1, file);
		used += got;
	}
	if (bytes != NULL)
		bytes[used] = 0;
	fclose(file);
	*size_bytes = used;
	return bytes;
}

static bool ends_in(const char *text, const char *end)
{
	const size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static int read_object(const struct options *options, struct opvm_object **object)
{
	struct opvm_log log = {log_text, sizeof(log_text), 0};
	size_t size_bytes = 0;
	char *const bytes = read_file(options->path, &size_bytes);
	int error;

	if (bytes == NULL)
		return 1;
	error = ends_in(options->path, ".s") ? opvm_object_assemble(bytes, &log, object)
					     : opvm_object_read(bytes, size_bytes, &log, object);
	free(bytes);
	if (error != 0)
		fprintf(stderr, "opvm: %s: %s", options->path, log_text);
	return error != 0;
}

static int load(const struct options *options, struct opvm_object *object)
{
	struct opvm_log log = {log_text, sizeof(log_text), 0};
	const struct opvm_source defaults = {.size = sizeof(defaults), .explain = options->explain};
	const int error = opvm_object_load(object, &environment, &defaults, &log);

	if (error != 0 || options->explain)
		fputs(log_text, error != 0 ? stderr : stdout);
	return error != 0;
}

/* ---- verbs --------------------------------------------------------------------------------- */

static int compile(const struct options *options)
{
	char output[4096];
	const char *const object = options->output != NULL ? options->output : output;
	int status;
	pid_t child;

	if (!ends_in(options->path, ".c")) {
		fprintf(stderr, "opvm: %s: a source in C ends in .c\n", options->path);
		return 2;
	}
	snprintf(output, sizeof(output), "%.*s.o", (int)strlen(options->path) - 2, options->path);
	child = fork();
	if (child == 0) {
		execlp("clang", "clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-c",
		       options->path, "-o", object, (char *)NULL);
		perror("opvm: clang");
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		perror("opvm");
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int verify(const struct options *options, struct opvm_object *object)
{
	const struct opvm_object_program *program;
	struct opvm_program_info info;

	if (load(options, object) != 0)
		return 1;
	for (uint32_t index = 0; (program = opvm_object_program(object, index)) != NULL; index++) {
		opvm_program_describe(opvm_object_find_program(object, program->name), &info);
		printf("%s: safe; %llu steps, %llu KiB of states, %u bytes of stack%s\n",
		       program->name, (unsigned long long)info.steps,
		       (unsigned long long)info.state_bytes / 1024, info.stack_bytes,
		       info.walked ? ", loops walked" : "");
	}
	return 0;
}

static int disassemble(const struct opvm_object *object)
{
	const struct opvm_object_program *program;
	const struct opvm_line *line, *last = NULL;
	uint32_t count, at = 0;
	const struct opvm_instruction *const code = opvm_object_code(object, &count);
	char text[128];

	while (at < count) {
		const int halves = opvm_disassemble(code, count, at, text, sizeof(text));

		for (uint32_t index = 0; (program = opvm_object_program(object, index)) != NULL;
		     index++)
			if (program->entry == at)
				printf("%s:\n", program->name);
		line = opvm_object_line(object, at);
		if (line != NULL && line != last && line->text != NULL)
			printf("\t\t\t\t# %u: %s\n", line->line, line->text);
		last = line;
		printf("%6u\t%s\n", at, text);
		at += halves > 0 ? (uint32_t)halves : 1;
	}
	return 0;
}

static int prepare(const struct options *options, struct command_context *context)
{
	size_t size_bytes = 0;
	char *data = calloc(1, 1);

	if (options->data_path != NULL) {
		free(data);
		data = read_file(options->data_path, &size_bytes);
	}
	if (data == NULL)
		return 1;
	if (size_bytes > DATA_MOST) {
		fprintf(stderr, "opvm: %s has %zu bytes: at most %d are possible\n",
			options->data_path, size_bytes, DATA_MOST);
		free(data);
		return 1;
	}
	context->data = (uint64_t)(uintptr_t)data;
	context->data_end = context->data + size_bytes;
	context->length_bytes = size_bytes;
	memcpy(context->numbers, options->numbers, sizeof(context->numbers));
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/** Nanoseconds of one run, over about half a second. */
static double measure(const struct options *options, const struct opvm_program *program,
		      struct command_context *context, bool interpret)
{
	const uint64_t start = now_ns();
	uint64_t runs = 0, result, spent;

	do {
		for (unsigned index = 0; index < 16; index++, runs++)
			if (interpret)
				opvm_interpret(program, context, options->fuel, &result);
			else
				opvm_run(program, context, options->fuel, &result);
		spent = now_ns() - start;
	} while (spent < 500000000);
	return (double)spent / (double)runs;
}

static void print_result(int error, uint64_t result)
{
	if (error == 0)
		printf("%llu\n", (unsigned long long)result);
	else
		printf("out of fuel\n");
}

static int run(const struct options *options, struct opvm_object *object)
{
	const bool bench = strcmp(options->verb, "bench") == 0;
	struct command_context context;
	struct opvm_program *program;
	uint64_t result = 0;
	bool compiled;
	int error;

	if (load(options, object) != 0 || prepare(options, &context) != 0)
		return 1;
	program = opvm_object_find_program(object, options->program);
	if (program == NULL) {
		fprintf(stderr, "opvm: %s has no program %s\n", options->path, options->program);
		free((void *)(uintptr_t)context.data);
		return 1;
	}
	compiled = !options->interpret && opvm_compile(program, NULL) == 0;
	error = opvm_run(program, &context, options->fuel, &result);
	print_result(error, result);
	if (bench) {
		printf("interpreter: %.1f ns\n", measure(options, program, &context, true));
		if (compiled)
			printf("machine code: %.1f ns\n",
			       measure(options, program, &context, false));
	}
	free((void *)(uintptr_t)context.data);
	return error != 0 ? 3 : 0;
}

/* ---- command line -------------------------------------------------------------------------- */

static bool read_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	return errno == 0 && end != text && *end == 0;
}

/** An option with its value if it has one. Returns how many arguments it is; 0 if it is wrong. */
static int read_option(struct options *options, const char *option, const char *value)
{
	if (strcmp(option, "--explain") == 0) {
		options->explain = true;
		return 1;
	}
	if (strcmp(option, "--interpret") == 0) {
		options->interpret = true;
		return 1;
	}
	if (value == NULL)
		return 0;
	if (strcmp(option, "-o") == 0)
		options->output = value;
	else if (strcmp(option, "--program") == 0)
		options->program = value;
	else if (strcmp(option, "--data") == 0)
		options->data_path = value;
	else if (strcmp(option, "--fuel") != 0 || !read_number(value, &options->fuel))
		return 0;
	return 2;
}

static bool read_arguments(struct options *options, int count, char **arguments)
{
	int index = 2, taken;

	options->fuel = FUEL;
	if (count < 3)
		return false;
	options->verb = arguments[1];
	while (index < count) {
		if (arguments[index][0] == '-') {
			taken = read_option(options, arguments[index],
					    index + 1 < count ? arguments[index + 1] : NULL);
			if (taken == 0)
				return false;
			index += taken;
		} else if (options->path == NULL) {
			options->path = arguments[index++];
		} else if (options->numbers_count < 4 &&
			   read_number(arguments[index++],
				       &options->numbers[options->numbers_count])) {
			options->numbers_count++;
		} else {
			return false;
		}
	}
	return options->path != NULL;
}

static int carry_out(const struct options *options)
{
	struct opvm_object *object = NULL;
	int status;

	if (strcmp(options->verb, "compile") == 0)
		return compile(options);
	if (read_object(options, &object) != 0)
		return 1;
	if (strcmp(options->verb, "verify") == 0)
		status = verify(options, object);
	else if (strcmp(options->verb, "dis") == 0)
		status = disassemble(object);
	else
		status = run(options, object);
	opvm_object_destroy(object);
	return status;
}

int main(int count, char **arguments)
{
	static const char *const verbs[] = {"compile", "verify", "dis", "run", "bench"};
	struct options options = {0};

	if (read_arguments(&options, count, arguments))
		for (unsigned index = 0; index < sizeof(verbs) / sizeof(verbs[0]); index++)
			if (strcmp(options.verb, verbs[index]) == 0)
				return carry_out(&options);
	fputs(usage, stderr);
	return 2;
}
