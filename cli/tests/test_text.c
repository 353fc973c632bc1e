/* SPDX-License-Identifier: MIT */
/*
 * Text and JSON that the command makes of what it did not write itself: names that would drive the
 * terminal, bytes that are not UTF-8, numbers that JSON cannot hold.
 */
#include "../cli_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct cli_command cli_commands[] = {{.name = NULL}};
const struct bdus_driver *const cli_driver_table[] = {NULL};
const struct bdus_filter *const cli_filter_table[] = {NULL};

int cli_kernel_command(uint64_t id, const char *const *words, unsigned count, char *answer,
		       size_t answer_bytes)
{
	(void)id, (void)words, (void)count, (void)answer, (void)answer_bytes;
	return -ENOTSUP;
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	char escape[] = "a\033[2Jb\tc\nd\177";
	char eight_bit[] = "\xc2\x9b"
			   "2J caf\xc3\xa9 \xe2\x80\xa6";

	(void)state;
	assert_string_equal(cli_make_printable(escape), "a?[2Jb?c?d?");
	assert_string_equal(cli_make_printable(eight_bit), "??2J caf\xc3\xa9 \xe2\x80\xa6");
}

static void sizes_are_readable(void **state)
{
	char text[CLI_SIZE_TEXT];

	(void)state;
	assert_string_equal(cli_size_text(0, text), "0 bytes");
	assert_string_equal(cli_size_text(512, text), "512 bytes");
	assert_string_equal(cli_size_text(4096, text), "4 KiB");
	assert_string_equal(cli_size_text(1536, text), "1.5 KiB");
	assert_string_equal(cli_size_text(UINT64_C(16) << 20, text), "16 MiB");
	assert_string_equal(cli_size_text(UINT64_MAX, text), "15.9 EiB");
}

static void ranges_are_written_as_a_user_would(void **state)
{
	struct bdus_option option = {.kind = BDUS_OPTION_SIZE};

	(void)state;
	assert_string_equal(cli_option_range(&option), "");
	option.minimum = 512;
	assert_string_equal(cli_option_range(&option), "at least 512");
	option.maximum = UINT64_C(1) << 50;
	assert_string_equal(cli_option_range(&option), "512 to 1P");
	option.kind = BDUS_OPTION_NUMBER;
	option.maximum = 4096;
	assert_string_equal(cli_option_range(&option), "512 to 4096");
	option.kind = BDUS_OPTION_STRING;
	assert_string_equal(cli_option_range(&option), "");
}

static void assert_json_text(const char *text, const char *expected)
{
	json_t *const value = cli_json_text(text);

	assert_string_equal(json_string_value(value), expected);
	json_decref(value);
}

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
	(void)state;
	assert_json_text("plain", "plain");
	assert_json_text("caf\xc3\xa9", "caf\xc3\xa9");
	assert_json_text("a\xff"
			 "b",
			 "a\xef\xbf\xbd"
			 "b");
	assert_json_text("\xc3", "\xef\xbf\xbd");
	assert_json_text("\xe2\x80\xa6\x80z", "\xe2\x80\xa6\xef\xbf\xbdz");
	assert_json_text("\xf0\x9f\x98\x80\xf0\x9f\x98", "\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd"
							 "\xef\xbf\xbd");
	assert_true(json_is_null(cli_json_text("")));
	assert_true(json_is_null(cli_json_text(NULL)));
}

static void numbers_that_json_cannot_hold_are_null(void **state)
{
	json_t *const largest = cli_json_number(INT64_MAX);

	(void)state;
	assert_int_equal(json_integer_value(largest), INT64_MAX);
	json_decref(largest);
	assert_true(json_is_null(cli_json_number((uint64_t)INT64_MAX + 1)));
	assert_true(json_is_null(cli_json_number(BDUS_ID_NONE)));
	assert_true(json_is_null(cli_json_known(0)));
}

static void a_foreign_device_has_nulls(void **state)
{
	const struct bdus_device_info info = {.id = BDUS_ID_NONE,
					      .state = BDUS_STATE_ORPHANED,
					      .flags = BDUS_DEVICE_READ_ONLY | 1U << 31,
					      .ops = BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS) | 1U << 30,
					      .native_path = "/dev/ublkb7"};
	static const char *const unknown[] = {"id",    "path",  "driver",    "pid",    "size_bytes",
					      "major", "minor", "created_s", "queues", "transport"};
	json_t *const device = cli_json_device(&info);

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_true(json_is_null(json_object_get(device, unknown[i])));
	assert_true(json_is_true(json_object_get(device, "read_only")));
	assert_int_equal(json_array_size(json_object_get(device, "flags")), 1);
	assert_int_equal(json_array_size(json_object_get(device, "operations")), 1);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(device, "operations"), 0)),
		"write-zeros");
	json_decref(device);
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
		cmocka_unit_test(control_characters_do_not_reach_the_terminal),
		cmocka_unit_test(sizes_are_readable),
		cmocka_unit_test(ranges_are_written_as_a_user_would),
		cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
		cmocka_unit_test(numbers_that_json_cannot_hold_are_null),
		cmocka_unit_test(a_foreign_device_has_nulls),
	};

	return cmocka_run_group_tests(tests, NULL, free_all);
}
