/* SPDX-License-Identifier: MIT */
/*
 * Memory for machine code, which compilers fill in: written first and executable afterwards, never
 * both.
 */
#ifndef OPVM_CODE_H
#define OPVM_CODE_H

#include "opvm_internal.h"

struct opvm_code_memory {
	uint8_t *code;
	size_t mapped_bytes;
	/** Where operations begin, for the compiler. */
	uint32_t *places;
	/** Not 0. */
	uint64_t random;
};

/** Makes room for @most_bytes of code and @places. On failure there is nothing to give back. */
int opvm_code_begin(struct opvm_code_memory *memory, size_t places, size_t most_bytes,
		    struct opvm_log *log);

/** Makes the first @used_bytes what @program runs, and gives the rest back, also on failure. */
int opvm_code_finish(struct opvm_code_memory *memory, struct opvm_program *program,
		     size_t used_bytes, struct opvm_log *log);

#endif
