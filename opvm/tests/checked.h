/* SPDX-License-Identifier: MIT */
/*
 * An interpreter that believes nothing: it tests every access, every use of a register and every
 * jump at run time. What the verifier has accepted must never fail here.
 */
#ifndef OPVM_TESTS_CHECKED_H
#define OPVM_TESTS_CHECKED_H

#include "interpret.h"

#define CHECKED_RANGES 32

/** Memory that a program may reach beside its stack. */
struct checked_range {
	uint64_t address;
	uint64_t size_bytes;
	bool writable;
};

struct checked {
	const struct opvm_program *program;
	struct checked_range ranges[CHECKED_RANGES];
	unsigned ranges_count;
	void *context;
	uint64_t fuel;
	/** What was wrong, or NULL. */
	const char *violation;
	/** The instruction that was. */
	uint32_t at;
};

void checked_allow(struct checked *checked, const void *address, uint64_t size_bytes,
		   bool writable);

/** As opvm_run(); -EFAULT with a violation. */
int checked_run(struct checked *checked, uint64_t *result);

#endif
