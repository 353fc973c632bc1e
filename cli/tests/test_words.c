/* SPDX-License-Identifier: MIT */
/*
 * How the command sorts out its words, guesses what a wrong one was meant to be, and merges the
 * statuses of several devices.
 */
#include "../cli_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct cli_option options[] = {
	{"transport", 't', "SPEC", ""},
	{"timeout", 0, "SECONDS", ""},
	{"force", 'f', NULL, ""},
	{"quiet", 'q', NULL, ""},
	CLI_OPTIONS_END,
};

const struct cli_command cli_commands[] = {
	{"try", "THING…", 0, 3, "", NULL, options, NULL, false},
	{NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, false},
};

const struct bdus_driver *const cli_driver_table[] = {NULL};
const struct bdus_filter *const cli_filter_table[] = {NULL};

int cli_kernel_command(uint64_t id, const char *const *words, unsigned count, char *answer,
		       size_t answer_bytes)
{
	(void)id, (void)words, (void)count, (void)answer, (void)answer_bytes;
	return -ENOTSUP;
}

#define MOST_WORDS 8

/** Sorts out words separated by spaces. The words live until the next call. */
static int parse(struct cli_args *args, const char *line)
{
	char *const copy = cli_format("%s", line);
	static char *words[MOST_WORDS];
	unsigned count = 0;

	for (char *rest = copy, *word; (word = strsep(&rest, " ")) != NULL;)
		words[count++] = word;
	return cli_args_parse(args, cli_command_find("try"), words, line[0] == '\0' ? 0 : count);
}

static void options_may_stand_anywhere(void **state)
{
	static const char *const lines[] = {
		"-f a --transport x b", "a b -f --transport=x", "a -ft x b", "a -ftx b",
		"-t y a -t x b -f",
	};
	struct cli_args args;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(parse(&args, lines[i]), CLI_OK);
		assert_true(cli_args_has(&args, "force"));
		assert_false(cli_args_has(&args, "quiet"));
		assert_string_equal(cli_args_value(&args, "transport"), "x");
		assert_int_equal(args.operand_count, 2);
		assert_string_equal(args.operands[0], "a");
		assert_string_equal(args.operands[1], "b");
	}
}

static void two_dashes_end_options(void **state)
{
	struct cli_args args;

	(void)state;
	assert_int_equal(parse(&args, "-f -- -q --"), CLI_OK);
	assert_false(cli_args_has(&args, "quiet"));
	assert_int_equal(args.operand_count, 2);
	assert_string_equal(args.operands[0], "-q");
	assert_string_equal(args.operands[1], "--");
	assert_int_equal(parse(&args, "-"), CLI_OK);
	assert_string_equal(args.operands[0], "-");
}

static void an_argument_may_look_like_an_option(void **state)
{
	struct cli_args args;

	(void)state;
	assert_int_equal(parse(&args, "--transport --force"), CLI_OK);
	assert_string_equal(cli_args_value(&args, "transport"), "--force");
	assert_false(cli_args_has(&args, "force"));
	assert_int_equal(parse(&args, "--transport="), CLI_OK);
	assert_string_equal(cli_args_value(&args, "transport"), "");
}

static void what_is_not_understood_is_refused(void **state)
{
	static const char *const lines[] = {"--forc", "--forced", "-x",  "-fx", "--force=1",
					    "-t",     "a b c d",  "--=", "---", "--force="};
	struct cli_args args;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(parse(&args, lines[i]), CLI_USAGE);
}

static void seconds_have_three_decimals(void **state)
{
	static const struct {
		const char *line;
		uint64_t milliseconds;
	} good[] = {
		{"", 0},
		{"--timeout 1", 1000},
		{"--timeout 0.001", 1},
		{"--timeout 1.5", 1500},
		{"--timeout 0.250", 250},
		{"--timeout 1000000000", 1000000000000},
	};
	static const char *const bad[] = {
		"--timeout 0",      "--timeout 0.0", "--timeout .5",  "--timeout 1.",
		"--timeout 1.2345", "--timeout -1",  "--timeout 1s",  "--timeout 1000000001",
		"--timeout 1e3",    "--timeout +1",  "--timeout inf",
	};
	struct cli_args args;
	uint64_t milliseconds;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		milliseconds = 1;
		assert_int_equal(parse(&args, good[i].line), CLI_OK);
		assert_int_equal(cli_args_seconds(&args, "timeout", &milliseconds), CLI_OK);
		assert_int_equal(milliseconds, good[i].milliseconds);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(&args, bad[i]), CLI_OK);
		assert_int_equal(cli_args_seconds(&args, "timeout", &milliseconds), CLI_USAGE);
	}
}

static const char *guess(const char *word)
{
	static const char *const candidates[] = {"ram", "null", "file", "destroy", "drivers"};
	struct cli_suggestion suggestion = {.word = word};

	for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++)
		cli_suggest(&suggestion, candidates[i]);
	return suggestion.best;
}

static void the_nearest_word_is_guessed(void **state)
{
	(void)state;
	assert_string_equal(guess("rma"), "ram");
	assert_string_equal(guess("fiel"), "file");
	assert_string_equal(guess("destory"), "destroy");
	assert_string_equal(guess("dest"), "destroy");
	assert_string_equal(guess("driver"), "drivers");
	assert_string_equal(guess("ram"), "ram");
	assert_null(guess("zfs"));
	assert_null(guess(""));
	assert_null(guess("x"));
	assert_null(guess("a-word-that-is-far-longer-than-any-that-there-could-be"));
}

static void statuses_in_common_survive(void **state)
{
	int status = CLI_OK;

	(void)state;
	cli_status_merge(&status, CLI_OK);
	assert_int_equal(status, CLI_OK);
	cli_status_merge(&status, CLI_NO_DEVICE);
	cli_status_merge(&status, CLI_OK);
	cli_status_merge(&status, CLI_NO_DEVICE);
	assert_int_equal(status, CLI_NO_DEVICE);
	cli_status_merge(&status, CLI_TIMED_OUT);
	assert_int_equal(status, CLI_FAILED);
	cli_status_merge(&status, CLI_FAILED);
	assert_int_equal(status, CLI_FAILED);
}

static int free_all(void **state)
{
	(void)state;
	cli_free_all();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_may_stand_anywhere),
		cmocka_unit_test(two_dashes_end_options),
		cmocka_unit_test(an_argument_may_look_like_an_option),
		cmocka_unit_test(what_is_not_understood_is_refused),
		cmocka_unit_test(seconds_have_three_decimals),
		cmocka_unit_test(the_nearest_word_is_guessed),
		cmocka_unit_test(statuses_in_common_survive),
	};

	return cmocka_run_group_tests(tests, NULL, free_all);
}
