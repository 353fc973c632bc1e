/* SPDX-License-Identifier: MIT */
/*
 * For tests of asys: handles in each of the ways that asys can work, and sending with patience.
 */
#ifndef ASYS_TEST_H
#define ASYS_TEST_H

#include "asys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

/** Longer than anything takes that is not broken. */
#define PATIENCE_MS 20000

/** The options that every handle of this run has, by the program's first argument. */
extern struct asys_options test_options;

/**
 * What main() does, for `PROGRAM WAY [PATTERN]`: runs the tests whose names match, with
 * test_options of a way of working: ring, no-ring, forbidden (io_uring refused by seccomp), workers
 * (no ring, nothing inline), ring-and-workers (nothing inline). 77 when this machine cannot work
 * that way.
 */
#define TEST_MAIN(tests)                                                                   \
	int main(int count, char **arguments)                                              \
	{                                                                                  \
		const int refused = test_begin(count, arguments);                          \
                                                                                           \
		return refused != 0 ? refused : cmocka_run_group_tests(tests, NULL, NULL); \
	}

/** A test that has a handle of its own as its state. */
#define TEST_CASE(name) cmocka_unit_test_setup_teardown(name, test_create, test_destroy)

/** What TEST_MAIN() begins with: 0, or what main() returns. */
int test_begin(int count, char **arguments);

int test_create(void **state);
int test_destroy(void **state);

/** Waits for at least one, whatever interrupts the wait; 0 or less when patience is over. */
int test_wait(struct asys *asys, struct asys_message *completed[], unsigned capacity);

struct asys_message *test_wait_one(struct asys *asys);
void test_send(struct asys *asys, struct asys_message *message);

/** Sends @message alone and waits for its result. */
int64_t test_result(struct asys *asys, struct asys_message *message);

/** Sends them as one batch and waits for all of them. */
void test_run(struct asys *asys, struct asys_message messages[], unsigned count);

/** A new file, already unlinked, in @directory. */
int test_file(const char *directory, size_t size_bytes);

/** The byte that test_file() puts at an offset. */
uint8_t test_byte(uint64_t offset);

uint64_t test_now_ns(void);

/** Threads of this process whose name begins with @name. */
unsigned test_count_threads(const char *name);

#endif
