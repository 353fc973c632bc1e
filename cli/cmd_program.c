/* SPDX-License-Identifier: MIT */
/*
 * bdus program: what programs in the filters of a device do, and what they are. Each verb becomes a
 * command for the filter, whose answer is printed as it is: one JSON document. With --kernel it is
 * the program that answers requests within kbdus, and the command is carried out right here.
 */
#include "cli_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WORDS   12
#define ANSWER_BYTES 8192
#define TIMEOUT_MS   30000

const struct cli_option cli_program_options[] = {
	{"filter", 0, "FILTER", "The filter's name, or its place from 0 on (default: opvm)"},
	{"kernel", 0, NULL, "The program within kbdus, not one of a filter"},
	{"backend", 0, "PATH", "Of --kernel: the block device that requests are redirected to"},
	{"fuel", 0, "NUMBER", "Of --kernel: instructions that a call may take"},
	{"exhausted", 0, "fail|pass",
	 "Of --kernel: what becomes of a request whose call takes more"},
	{"interpret", 0, NULL, "Of --kernel: do without machine code"},
	CLI_OPTIONS_END,
};

/** What a user writes, and what the filter is told. */
struct verb {
	/** One word or two. */
	const char *words[2];
	const char *operands;
	unsigned min_operands;
	unsigned max_operands;
	const char *command;
	/** The first operand is a file, which the process of the device is to find. */
	bool takes_file;
	/** Added to the command. */
	const char *last;
};

static const struct verb verbs[] = {
	{{"list", NULL}, "DEVICE", 0, 0, "status", false, NULL},
	{{"load", NULL}, "DEVICE FILE [NAME [COMPLETION]]", 1, 3, "replace", true, NULL},
	{{"replace", NULL}, "DEVICE FILE [NAME [COMPLETION]]", 1, 3, "replace", true, "keep-maps"},
	{{"detach", NULL}, "DEVICE", 0, 0, "detach", false, NULL},
	{{"map", "get"}, "DEVICE MAP [KEY]", 1, 2, "get", false, NULL},
	{{"map", "set"}, "DEVICE MAP KEY VALUE", 3, 3, "set", false, NULL},
	{{"map", "read"}, "DEVICE RING", 1, 1, "read", false, NULL},
};

static const struct verb *find_verb(const struct cli_args *args, unsigned *used)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		const unsigned count = verbs[i].words[1] != NULL ? 2 : 1;

		if (args->operand_count < count ||
		    strcmp(args->operands[0], verbs[i].words[0]) != 0 ||
		    (count == 2 && strcmp(args->operands[1], verbs[i].words[1]) != 0))
			continue;
		*used = count;
		return &verbs[i];
	}
	return NULL;
}

static int refuse_verb(const struct cli_args *args)
{
	return cli_usage_error("program cannot \"%s\"; it can: list, load, replace, detach, map "
			       "get, map set, map read",
			       args->operands[0]);
}

/** The path of a file from wherever the other process is. */
static const char *whole_path(const char *path)
{
	char resolved[PATH_MAX];

	return realpath(path, resolved) != NULL ? cli_format("%s", resolved) : path;
}

static unsigned make_words(const struct verb *verb, const char *const *operands, unsigned count,
			   const char *words[MOST_WORDS])
{
	unsigned used = 0;

	words[used++] = verb->command;
	for (unsigned i = 0; i < count; i++)
		words[used++] = verb->takes_file && i == 0 ? whole_path(operands[i]) : operands[i];
	if (verb->last != NULL)
		words[used++] = verb->last;
	return used;
}

/** What a program that is loaded into the kernel needs besides; nothing for other commands. */
static unsigned add_kernel_words(const struct cli_args *args, const struct verb *verb,
				 const char *words[MOST_WORDS], unsigned used)
{
	static const char *const names[] = {"backend", "fuel", "exhausted"};

	if (!verb->takes_file)
		return used;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *const value = cli_args_value(args, names[i]);

		if (value != NULL)
			words[used++] = cli_format("%s=%s", names[i], value);
	}
	if (cli_args_has(args, "interpret"))
		words[used++] = "interpret";
	return used;
}

/** Options that only the kernel's programs have. */
static bool has_kernel_options(const struct cli_args *args)
{
	return cli_args_has(args, "backend") || cli_args_has(args, "fuel") ||
	       cli_args_has(args, "exhausted") || cli_args_has(args, "interpret");
}

static int ask(const struct cli_args *args, const struct bdus_device_info *info,
	       const char *const *words, unsigned count, char answer[ANSWER_BYTES])
{
	const char *const filter = cli_args_value(args, "filter");

	if (cli_args_has(args, "kernel"))
		return cli_kernel_command(info->id, words, count, answer, ANSWER_BYTES);
	return bdus_manage_filter_command(info, filter != NULL ? filter : "opvm", words, count,
					  answer, ANSWER_BYTES, TIMEOUT_MS);
}

static int refuse_transport(const struct bdus_device_info *info)
{
	cli_say("%s comes by %s; programs in the kernel are for devices of kbdus",
		cli_device_name(info), info->transport);
	return CLI_FAILED;
}

static int tell(const struct cli_args *args, const char *device, const char *const *words,
		unsigned count)
{
	struct bdus_device_info info;
	char answer[ANSWER_BYTES] = "";
	int error = bdus_manage_find(device, &info);

	if (error >= 0 && cli_args_has(args, "kernel") && strcmp(info.transport, "kbdus") != 0)
		return refuse_transport(&info);
	if (error >= 0)
		error = ask(args, &info, words, count, answer);
	if (error < 0) {
		cli_say_library_error(NULL, error);
		return cli_status_of(error);
	}
	if (answer[0] != '\0')
		puts(cli_make_printable(answer));
	return CLI_OK;
}

int cli_cmd_program(const struct cli_args *args)
{
	const char *words[MOST_WORDS];
	unsigned used = 0;
	const struct verb *const verb = find_verb(args, &used);
	unsigned count;

	if (verb == NULL)
		return refuse_verb(args);
	count = args->operand_count - used;
	if (count < verb->min_operands + 1 || count > verb->max_operands + 1)
		return cli_usage_error("program %s%s%s needs: %s", verb->words[0],
				       used == 2 ? " " : "", used == 2 ? verb->words[1] : "",
				       verb->operands);
	if (has_kernel_options(args) && !cli_args_has(args, "kernel"))
		return cli_usage_error(
			"--backend, --fuel, --exhausted and --interpret go with --kernel; "
			"the options of a filter are given when it is put there");
	count = make_words(verb, args->operands + used + 1, count - 1, words);
	count = add_kernel_words(args, verb, words, count);
	return tell(args, args->operands[used], words, count);
}
