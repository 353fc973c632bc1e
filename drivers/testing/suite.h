/* SPDX-License-Identifier: MIT */
/*
 * For unit tests of drivers: runs one property of a test program, so that the build can list and
 * time each by its name.
 */
#ifndef DRIVERS_TESTING_SUITE_H
#define DRIVERS_TESTING_SUITE_H

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/** Runs the test that argv[1] names, or all without one; a name that is not there is an error. */
int suite_run(const struct CMUnitTest *tests, size_t count, int argc, char **argv);

/** Prints why a test cannot run here and makes the program tell the build so. */
void suite_skip(const char *reason);

#endif
