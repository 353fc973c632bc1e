/* SPDX-License-Identifier: MIT */
/*
 * Programs made of bytes, random or a fuzzer's, that have a fair chance of being accepted; and
 * running those that are in every way that there is.
 */
#ifndef OPVM_TESTS_RANDOM_H
#define OPVM_TESTS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random_totals {
	uint64_t programs;
	uint64_t accepted;
	uint64_t exhausted;
	uint64_t compiled;
};

/**
 * Makes a program of the bytes, verifies it, and if it is accepted runs it by the checked
 * interpreter, the interpreter and machine code. Prints and returns false if one of them does what
 * it must not, or does something else than the others.
 */
bool random_try(const uint8_t *bytes, size_t count, struct random_totals *totals);

#endif
