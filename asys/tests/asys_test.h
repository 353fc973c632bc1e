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

/** Longer than anything takes that is not broken. */
#define PATIENCE_MS 20000

/** The options that every handle of this run has, by the program's first argument. */
extern struct asys_options test_options;

/**
 * Sets test_options by a name: ring, no-ring, forbidden (io_uring refused by seccomp), workers (no
 * ring, nothing inline), ring-and-workers (nothing inline). False when this machine cannot do that.
 */
bool test_choose_way(const char *name);

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
