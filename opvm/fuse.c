/* SPDX-License-Identifier: MIT */
/*
 * Decides which operations are run together with the next one.
 */
#include "interpret.h"

/* The codes of both lists, in their order. */
#define FIRST_CODE(row, ...) OPVM_OP_##row,
static const uint16_t firsts[] = {OPVM_FUSE_FIRST(FIRST_CODE)};

enum {
	OPVM_OP_JNE64_K_BACK = OPVM_BACKWARDS + OPVM_OP_JNE64_K,
	OPVM_OP_JLT64_K_BACK = OPVM_BACKWARDS + OPVM_OP_JLT64_K,
	OPVM_OP_JNE64_X_BACK = OPVM_BACKWARDS + OPVM_OP_JNE64_X,
	OPVM_OP_JLT64_X_BACK = OPVM_BACKWARDS + OPVM_OP_JLT64_X,
	OPVM_OP_JLE64_X_BACK = OPVM_BACKWARDS + OPVM_OP_JLE64_X,
	OPVM_OP_JGT64_X_BACK = OPVM_BACKWARDS + OPVM_OP_JGT64_X
};
#define SECOND_CODE(first, row, ...) OPVM_OP_##row,
static const uint16_t seconds[] = {OPVM_FUSE_SECOND(SECOND_CODE, ())};

#define FUSED (OPVM_LAST_PLAIN + 1)

_Static_assert(OPVM_CODES == FUSED + 2 * OPVM_LENGTH(firsts) * OPVM_LENGTH(seconds),
	       "codes are counted as they are made");

uint16_t opvm_plain_code(uint16_t code)
{
	return code < FUSED ? code : firsts[(code - FUSED) / (2 * OPVM_LENGTH(seconds))];
}

/** Where the code is in the list, or its length. */
static unsigned place_of(const uint16_t *list, unsigned length, uint16_t code)
{
	unsigned place = 0;

	while (place < length && list[place] != code)
		place++;
	return place;
}

static bool uses_source(uint16_t code)
{
	return (opvm_shapes[code & (OPVM_BACKWARDS - 1)].form & OPVM_FORM_S) != 0;
}

/** Whether the second works on the first's result, and on nothing else that the first changes. */
static bool is_chain(const struct opvm_operation *op)
{
	const struct opvm_shape *const shape = &opvm_shapes[op[1].code & (OPVM_BACKWARDS - 1)];

	if (shape->group == OPVM_GROUP_LOAD)
		return op[1].dst == op->dst && op[1].src == op->dst;
	return op[1].dst == op->dst && (!uses_source(op[1].code) || op[1].src != op->dst);
}

/** The code of an operation and the next one, or 0; *@chain says whether they are a chain. */
static uint16_t fused_code(const struct opvm_operation *op, bool *chain)
{
	const unsigned first = place_of(firsts, OPVM_LENGTH(firsts), op->code);
	const unsigned second = place_of(seconds, OPVM_LENGTH(seconds), op[1].code);

	*chain = false;
	if (first == OPVM_LENGTH(firsts) || second == OPVM_LENGTH(seconds))
		return 0;
	*chain = is_chain(op);
	return (uint16_t)(FUSED + 2 * (first * OPVM_LENGTH(seconds) + second) + !*chain);
}

void opvm_fuse(struct opvm_program *program)
{
	struct opvm_operation *const operations = program->operations;

	/* Forwards, as what comes after an operation has to have its own code yet. */
	for (uint32_t at = 0; at + 1 < program->operations_count; at++) {
		bool chain, next_chain = false;
		const uint16_t code = fused_code(&operations[at], &chain);

		if (code == 0)
			continue;
		if (!chain && at + 2 < program->operations_count)
			fused_code(&operations[at + 1], &next_chain);
		/* A chain saves more than a pair. */
		if (chain || !next_chain)
			operations[at].code = code;
	}
}
