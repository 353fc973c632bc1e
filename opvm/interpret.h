/* SPDX-License-Identifier: MIT */
/*
 * Codes of lowered operations.
 */
#ifndef OPVM_INTERPRET_H
#define OPVM_INTERPRET_H

#include "compute.h"

enum opvm_code {
	/** Added to the row of a jump that goes backwards. */
	OPVM_BACKWARDS = 256,
	/** Where verification says that nothing comes. */
	OPVM_TRAP = 512,
	OPVM_CODES
};

/** opvm_interpret() on a stack of the caller's that ends at @stack_end, aligned to 8 bytes. */
int opvm_interpret_on(const struct opvm_program *program, void *context, uint64_t fuel,
		      uint64_t *result, void *stack_end);

#endif
