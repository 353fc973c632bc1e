/* SPDX-License-Identifier: MIT */
/*
 * Which paths name a ublk device, without a kernel that has any.
 */
#include "ublk_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void only_plain_names_carry_a_number(void **state)
{
	const char *const bad[] = {
		"",
		"/dev/ublkb",
		"/dev/ublkc",
		"/dev/ublkb1p1",
		"/dev/ublkb-1",
		"/dev/ublkb 1",
		"/dev/ublkb+1",
		"/dev/ublkbx",
		"ublkb1",
		"/dev/sda1",
		"/dev/ublkb1/..",
		"/tmp/ublkb1",
		"/dev/ublk-control",
		"/dev/ublkb4294967295",
		"/dev/ublkb99999999999999999999",
	};

	(void)state;
	assert_int_equal(ublk_number_from_path("/dev/ublkb0"), 0);
	assert_int_equal(ublk_number_from_path("/dev/ublkc1048575"), 1048575);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ublk_number_from_path(bad[i]), -ENOENT);
}

static void paths_of_other_things_are_not_ours(void **state)
{
	const char *const others[] = {"/dev/null", "/etc/passwd", "/", "/nowhere/at/all", ""};
	struct bdus_device_info info;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(ublk_identify(others[i], &info), 0);
}

static void links_that_lead_nowhere_are_not_ours(void **state)
{
	char directory[] = "/tmp/test-ublk-paths.XXXXXX", path[64];
	struct bdus_device_info info;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/link", directory);
	assert_int_equal(symlink("/dev/no-such-thing", path), 0);
	assert_int_equal(ublk_identify(path, &info), 0);
	unlink(path);
	rmdir(directory);
}

static void device_paths_are_made_of_the_number(void **state)
{
	char path[UBLK_PATH_BYTES];

	(void)state;
	ublk_char_path(path, UINT32_MAX);
	assert_string_equal(path, "/dev/ublkc4294967295");
	ublk_block_path(path, 0);
	assert_string_equal(path, "/dev/ublkb0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_plain_names_carry_a_number),
		cmocka_unit_test(paths_of_other_things_are_not_ours),
		cmocka_unit_test(links_that_lead_nowhere_are_not_ours),
		cmocka_unit_test(device_paths_are_made_of_the_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
