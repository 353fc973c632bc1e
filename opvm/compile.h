/* SPDX-License-Identifier: MIT */
/*
 * What compilers for all machines share (compile.c), and what each machine has to say: a table of
 * functions that emit machine code.
 */
#ifndef OPVM_COMPILE_H
#define OPVM_COMPILE_H

#include "code.h"
#include "interpret.h"

struct compiler {
	struct opvm_code_memory memory;
	const struct opvm_program *program;
	/** Bytes of code up to here. */
	size_t used;
	/** The operation that is being compiled. */
	uint32_t at;
	/** Which copy of a loop it is in, 0 for the loop itself; and the first and last of that
	 * loop. */
	uint32_t copy;
	uint32_t first;
	uint32_t last;
	/** Where the ends for missing fuel and for traps begin. */
	size_t exhausted;
	size_t trap;

	/* What survey() finds out; not every machine cares for all of it. */
	bool has_functions;
	bool has_helpers;
	/** Conditional jumps may not reach their targets. */
	bool is_long;
	uint32_t stack_bytes;
	/** Bits of machine registers that have to be saved. */
	uint32_t saved;
	/** Below the stack pointer's place after saving, to keep it aligned. */
	uint32_t padding;
};

typedef void emit_function(struct compiler *compiler, const struct opvm_operation *op,
			   const struct opvm_shape *shape);

/**
 * A machine. Conditions are numbers of its own, of which the lowest bit negates; places are offsets
 * in the code. Every function emits the same number of bytes in both passes, whatever the places
 * are that have not been passed.
 */
struct emitters {
	/** No operation takes more bytes than this, nor does leaving a copy of a loop. */
	size_t most_bytes;
	/** Finds out about the program as a whole; @most_bytes is how long its code may be. */
	void (*survey)(struct compiler *compiler, size_t most_bytes);
	/** All that comes before the program, and going to its entry. */
	void (*begin)(struct compiler *compiler);
	/** Ends the program with @error and the result that was set for that. */
	void (*early_end)(struct compiler *compiler, int error);

	/** Uses up fuel, after which one of these conditions holds; and gives it back. */
	void (*charge)(struct compiler *compiler, uint32_t cost);
	void (*refund)(struct compiler *compiler, uint32_t cost);
	unsigned fuel_left;
	unsigned fuel_out;

	void (*jump_to)(struct compiler *compiler, size_t place);
	void (*jump_if)(struct compiler *compiler, unsigned condition, size_t place);
	/** The same to a place that has been passed. */
	void (*jump_back_if)(struct compiler *compiler, unsigned condition, size_t place);
	/** A jump over what is emitted next; land() says where it ends. */
	size_t (*jump_over)(struct compiler *compiler, unsigned condition);
	void (*land)(struct compiler *compiler, size_t jump);

	/** Compares as a conditional jump does, and the condition for it to be taken. */
	emit_function *compare;
	unsigned (*condition_of)(enum opvm_do operation);

	/** Operations by their group; not of jumps. */
	emit_function *groups[OPVM_GROUP_ATOMIC + 1];
};

/** The machine that this was built for. */
extern const struct emitters opvm_emitters;

#endif
