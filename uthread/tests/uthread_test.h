/* SPDX-License-Identifier: MIT */
/*
 * What the tests of uthread share. A check that fails ends the process: it may be on the stack of
 * any thread, from which cmocka has no way back.
 */
#ifndef UTHREAD_TEST_H
#define UTHREAD_TEST_H

#include "uthread.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHECK(condition)                                                                  \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, \
				__LINE__, #condition, uthread_error());                   \
			abort();                                                          \
		}                                                                         \
	} while (0)

#define CHECK_INT(expression, expected)                                                        \
	do {                                                                                   \
		const long long check_value = (long long)(expression);                         \
		if (check_value != (long long)(expected)) {                                    \
			fprintf(stderr, "%s:%d: %s is %lld rather than %s (last error: %s)\n", \
				__FILE__, __LINE__, #expression, check_value, #expected,       \
				uthread_error());                                              \
			abort();                                                               \
		}                                                                              \
	} while (0)

/** The options that the way asks for: see ways in uthread_test.c. */
extern struct uthread_options test_options;

/** Sets test_options; false for a name that is none. */
bool test_choose_way(const char *name);

/** Runs @start in a scheduler with test_options, to its good end. */
void test_run(void *(*start)(void *));

#endif
