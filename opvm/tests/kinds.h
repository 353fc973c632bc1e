/* SPDX-License-Identifier: MIT */
/*
 * The kind of program that tests use: a context with a region, some fields, and two helpers.
 */
#ifndef OPVM_TESTS_KINDS_H
#define OPVM_TESTS_KINDS_H

#include "opvm.h"

struct test_context {
	uint64_t data;
	uint64_t data_end;
	uint32_t length;
	uint32_t number;
	uint64_t writable;
	uint8_t bytes[16];
};

#define TEST_DATA_MIN 4
#define TEST_DATA_MAX 4096

enum test_helper {
	/** Sum of five integers. */
	TEST_SUM = 0x2000,
	/** Fills memory with a byte: (memory, size, byte). */
	TEST_FILL,
	/** The number of the context: (context). */
	TEST_NUMBER,
	TEST_BTF_ID = 77
};

extern const struct opvm_environment test_environment;
extern uint64_t test_variable;

#endif
