/* SPDX-License-Identifier: MIT */
/*
 * Runs one property of a test program, or all.
 */
#include "suite.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	STATUS_SKIPPED = 77,
	STATUS_NO_SUCH_TEST = 99,
};

static bool skipped;

void suite_skip(const char *reason)
{
	fprintf(stderr, "skipped: %s\n", reason);
	skipped = true;
	skip();
}

int suite_run(const struct CMUnitTest *tests, size_t count, int argc, char **argv)
{
	for (size_t i = 0; i < count; i++) {
		const struct CMUnitTest one[] = {tests[i]};
		int failures;

		if (argc > 1 && strcmp(tests[i].name, argv[1]) != 0)
			continue;
		failures = cmocka_run_group_tests_name(tests[i].name, one, NULL, NULL);
		if (failures != 0)
			return 1;
		if (argc > 1)
			return skipped ? STATUS_SKIPPED : 0;
	}
	return argc > 1 ? STATUS_NO_SUCH_TEST : 0;
}
