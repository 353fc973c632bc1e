/* SPDX-License-Identifier: MIT */
/*
 * Codes of lowered operations.
 */
#ifndef OPVM_INTERPRET_H
#define OPVM_INTERPRET_H

#include "compute.h"
#include "fuse.h"

enum opvm_code {
	/** Added to the row of a jump that goes backwards. */
	OPVM_BACKWARDS = 256,
	/** Where verification says that nothing comes. */
	OPVM_TRAP = 512,
	OPVM_LAST_PLAIN = OPVM_TRAP,

	/* Two operations in one. */
#define OPVM_CODE(first, second) OPVM_CHAIN_##first##_##second,
	OPVM_CHAINS(OPVM_CODE)
#undef OPVM_CODE
#define OPVM_CODE(first, second) OPVM_PAIR_##first##_##second,
	OPVM_PAIRS(OPVM_CODE)
#undef OPVM_CODE
		OPVM_CODES
};

/** The code of the operation alone, of one that is perhaps fused with the next. */
uint16_t opvm_plain_code(uint16_t code);

/** The row of an operation, alone. Not of traps. */
static inline uint8_t opvm_row_of(uint16_t code)
{
	const unsigned row = opvm_plain_code(code) % OPVM_BACKWARDS;

	return (uint8_t)(row < OPVM_ROWS ? row : OPVM_OP_EXIT);
}

/** What an operation is, alone. Not of traps. */
static inline const struct opvm_shape *opvm_shape_of(uint16_t code)
{
	return &opvm_shapes[opvm_row_of(code)];
}

/** Fuses what can be, for the interpreter. */
void opvm_fuse(struct opvm_program *program);

/** opvm_interpret() on a stack of the caller's that ends at @stack_end, aligned to 8 bytes. */
int opvm_interpret_on(const struct opvm_program *program, void *context, uint64_t fuel,
		      uint64_t *result, void *stack_end);

#endif
