/* SPDX-License-Identifier: MIT */
/*
 * Parsing of `key=value` words: sizes and their suffixes, limits, and refusals that say what is
 * allowed.
 */
#include "base/bits.h"
#include "base/error.h"
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct bdus_option table[] = {
	{.key = "size", .kind = BDUS_OPTION_SIZE, .minimum = 512, .maximum = UINT64_C(1) << 40},
	{.key = "count", .kind = BDUS_OPTION_NUMBER, .fallback = "7", .maximum = 64},
	{.key = "name", .kind = BDUS_OPTION_STRING},
	{.key = "fast", .kind = BDUS_OPTION_BOOL, .fallback = "no"},
	{.key = "mode", .kind = BDUS_OPTION_CHOICE, .fallback = "auto", .choices = "auto yes no"},
	{.key = NULL},
};

static int parse(const char *const *words, unsigned count, struct bdus_config **config)
{
	return bdus_config_create("driver test", table, words, count, config);
}

/** Asserts that one word is refused with a message that holds each of the others. */
static void assert_refused(const char *word, const char *part, const char *other_part)
{
	struct bdus_config *config = NULL;

	assert_int_equal(parse(&word, 1, &config), -EINVAL);
	assert_null(config);
	assert_non_null(strstr(base_error_message(), "driver test"));
	assert_non_null(strstr(base_error_message(), part));
	assert_non_null(strstr(base_error_message(), other_part));
}

static void sizes_take_suffixes_of_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{"0", 0},
		{"4096", 4096},
		{"0x1000", 4096},
		{"0X1f", 31},
		{"1B", 1},
		{"1b", 1},
		{"4K", 4096},
		{"4k", 4096},
		{"4KB", 4096},
		{"4KiB", 4096},
		{"4kib", 4096},
		{"3M", UINT64_C(3) << 20},
		{"2G", UINT64_C(2) << 30},
		{"1T", UINT64_C(1) << 40},
		{"16383P", UINT64_C(16383) << 50},
		{"18446744073709551615", UINT64_MAX},
		{"010", 10},
	};

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(cases); i++) {
		uint64_t bytes = 1;

		assert_int_equal(bdus_parse_size(cases[i].text, &bytes), 0);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void senseless_sizes_are_refused_and_leave_the_result_alone(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{"", -EINVAL},
		{"K", -EINVAL},
		{"-1", -EINVAL},
		{"+1", -EINVAL},
		{" 1", -EINVAL},
		{"1 ", -EINVAL},
		{"1X", -EINVAL},
		{"1Ki", -EINVAL},
		{"1KK", -EINVAL},
		{"1.5K", -EINVAL},
		{"1E", -EINVAL},
		{"0x", -EINVAL},
		{"0xK", -EINVAL},
		{"1KiBx", -EINVAL},
		{"16384P", -ERANGE},
		{"18446744073709551616", -ERANGE},
		{"99999999999999999999G", -ERANGE},
		{"17179869184G", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(cases); i++) {
		uint64_t bytes = 123;

		if (bdus_parse_size(cases[i].text, &bytes) != cases[i].result)
			fail_msg("size '%s' is not refused as it should be", cases[i].text);
		assert_int_equal(bytes, 123);
	}
}

static void values_are_found_by_key(void **state)
{
	static const char *const words[] = {"size=1M", "name=a=b", "fast", "mode=yes"};
	struct bdus_config *config;

	(void)state;
	assert_int_equal(parse(words, 4, &config), 0);
	assert_int_equal(bdus_config_number(config, "size"), 1 << 20);
	assert_string_equal(bdus_config_string(config, "name"), "a=b");
	assert_true(bdus_config_bool(config, "fast"));
	assert_string_equal(bdus_config_string(config, "mode"), "yes");
	assert_true(bdus_config_given(config, "mode"));
	bdus_config_destroy(config);
}

static void fallbacks_stand_in_for_what_is_not_given(void **state)
{
	struct bdus_config *config;

	(void)state;
	assert_int_equal(parse(NULL, 0, &config), 0);
	assert_int_equal(bdus_config_number(config, "count"), 7);
	assert_false(bdus_config_given(config, "count"));
	assert_int_equal(bdus_config_number(config, "size"), 0);
	assert_null(bdus_config_string(config, "name"));
	assert_false(bdus_config_bool(config, "fast"));
	assert_string_equal(bdus_config_string(config, "mode"), "auto");
	bdus_config_destroy(config);
}

static void words_are_copied(void **state)
{
	char word[] = "name=first";
	const char *const words[] = {word};
	struct bdus_config *config;

	(void)state;
	assert_int_equal(parse(words, 1, &config), 0);
	memset(word, 'x', sizeof(word) - 1);
	assert_string_equal(bdus_config_string(config, "name"), "first");
	bdus_config_destroy(config);
}

static void bools_are_said_in_eight_ways_and_by_the_key_alone(void **state)
{
	static const struct {
		const char *word;
		bool value;
	} cases[] = {
		{"fast=yes", true},  {"fast=true", true}, {"fast=on", true},
		{"fast=1", true},    {"fast=no", false},  {"fast=false", false},
		{"fast=off", false}, {"fast=0", false},   {"fast", true},
	};

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(cases); i++) {
		struct bdus_config *config;

		assert_int_equal(parse(&cases[i].word, 1, &config), 0);
		assert_int_equal(bdus_config_bool(config, "fast"), cases[i].value);
		bdus_config_destroy(config);
	}
}

static void unknown_keys_are_refused_with_those_allowed(void **state)
{
	(void)state;
	assert_refused("sise=1M", "'sise'", "size, count, name, fast, mode");
	assert_refused("siz=1M", "'siz'", "size");
	assert_refused("sizes=1M", "'sizes'", "size");
	assert_refused("=1M", "''", "size");
	assert_refused("", "''", "size");
}

static void wrong_values_are_refused_with_what_is_allowed(void **state)
{
	(void)state;
	assert_refused("size=511", "size=511", "from 512 to 1099511627776");
	assert_refused("size=2T", "size=2T", "from 512 to 1099511627776");
	assert_refused("size=99999999999999999999999", "size=", "such as 4096, 64K or 1G");
	assert_refused("count=65", "count=65", "from 0 to 64");
	assert_refused("count=1K", "count=1K", "a whole number");
	assert_refused("count=-1", "count=-1", "a whole number");
	assert_refused("name=", "name=", "not empty");
	assert_refused("fast=maybe", "fast=maybe", "yes or no");
	assert_refused("mode=maybe", "mode=maybe", "auto yes no");
	assert_refused("mode=yes no", "mode=yes no", "auto yes no");
	assert_refused("mode=ye", "mode=ye", "auto yes no");
	assert_refused("mode=", "mode=", "auto yes no");
	assert_refused("mode= ", "mode= ", "auto yes no");
	assert_refused("size", "size", "needs a value");
}

static void a_key_given_twice_is_refused(void **state)
{
	static const char *const words[] = {"count=1", "count=1"};
	struct bdus_config *config;

	(void)state;
	assert_int_equal(parse(words, 2, &config), -EINVAL);
	assert_non_null(strstr(base_error_message(), "count is given twice"));
}

static void a_required_option_left_out_is_refused_by_name(void **state)
{
	static const struct bdus_option strict[] = {
		{.key = "path", .kind = BDUS_OPTION_STRING, .required = true, .help = "the image"},
		{.key = NULL},
	};
	struct bdus_config *config;

	(void)state;
	assert_int_equal(bdus_config_create("driver file", strict, NULL, 0, &config), -EINVAL);
	assert_non_null(strstr(base_error_message(), "path"));
	assert_non_null(strstr(base_error_message(), "the image"));
}

static void any_word_is_refused_where_there_are_no_options(void **state)
{
	static const char *const words[] = {"size=1M"};
	struct bdus_config *config;

	(void)state;
	assert_int_equal(bdus_config_create("driver x", NULL, words, 1, &config), -EINVAL);
	assert_non_null(strstr(base_error_message(), "no options"));
	assert_int_equal(bdus_config_create("driver x", NULL, NULL, 0, &config), 0);
	bdus_config_destroy(config);
}

static void words_of_any_length_do_not_overrun_the_message(void **state)
{
	static char word[100000];
	const char *const words[] = {word};
	struct bdus_config *config;

	(void)state;
	memset(word, 'k', sizeof(word) - 1);
	assert_int_equal(parse(words, 1, &config), -EINVAL);
	memcpy(word, "mode=", 5);
	assert_int_equal(parse(words, 1, &config), -EINVAL);
	memcpy(word, "name=", 5);
	assert_int_equal(parse(words, 1, &config), 0);
	assert_int_equal(strlen(bdus_config_string(config, "name")), sizeof(word) - 6);
	bdus_config_destroy(config);
}

static void a_table_with_many_keys_does_not_overrun_the_message(void **state)
{
	static struct bdus_option many[101];
	static char keys[100][32];
	static const char *const words[] = {"other=1"};
	struct bdus_config *config;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		memset(keys[i], 'a' + (int)(i % 26), sizeof(keys[i]) - 1);
		many[i] = (struct bdus_option){.key = keys[i], .kind = BDUS_OPTION_STRING};
	}
	assert_int_equal(bdus_config_create("driver x", many, words, 1, &config), -EINVAL);
	assert_non_null(strstr(base_error_message(), "'other'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_take_suffixes_of_powers_of_1024),
		cmocka_unit_test(senseless_sizes_are_refused_and_leave_the_result_alone),
		cmocka_unit_test(values_are_found_by_key),
		cmocka_unit_test(fallbacks_stand_in_for_what_is_not_given),
		cmocka_unit_test(words_are_copied),
		cmocka_unit_test(bools_are_said_in_eight_ways_and_by_the_key_alone),
		cmocka_unit_test(unknown_keys_are_refused_with_those_allowed),
		cmocka_unit_test(wrong_values_are_refused_with_what_is_allowed),
		cmocka_unit_test(a_key_given_twice_is_refused),
		cmocka_unit_test(a_required_option_left_out_is_refused_by_name),
		cmocka_unit_test(any_word_is_refused_where_there_are_no_options),
		cmocka_unit_test(words_of_any_length_do_not_overrun_the_message),
		cmocka_unit_test(a_table_with_many_keys_does_not_overrun_the_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
