/* SPDX-License-Identifier: MIT */
/*
 * Decides which operations are run together with the next one.
 */
#include "interpret.h"

enum {
	OPVM_OP_JNE64_K_BACK = OPVM_BACKWARDS + OPVM_OP_JNE64_K,
	OPVM_OP_JNE64_X_BACK = OPVM_BACKWARDS + OPVM_OP_JNE64_X,
	OPVM_OP_JLT64_X_BACK = OPVM_BACKWARDS + OPVM_OP_JLT64_X,
	OPVM_OP_JLE64_X_BACK = OPVM_BACKWARDS + OPVM_OP_JLE64_X
};

struct fused {
	uint16_t first;
	uint16_t second;
};

#define FUSED(first, second) {OPVM_OP_##first, OPVM_OP_##second},

/* In the order of the codes. */
static const struct fused fused[] = {OPVM_CHAINS(FUSED) OPVM_PAIRS(FUSED)};

#define FIRST_FUSED (OPVM_LAST_PLAIN + 1)
#define FIRST_PAIR  (OPVM_PAIR_LDXDW_LDXDW - FIRST_FUSED)

_Static_assert(OPVM_CODES == FIRST_FUSED + OPVM_LENGTH(fused),
	       "codes are counted as they are made");

uint16_t opvm_plain_code(uint16_t code)
{
	return code < FIRST_FUSED ? code : fused[code - FIRST_FUSED].first;
}

/** Whether the second works on the first's result, and on nothing else that the first changes. */
static bool is_chain(const struct opvm_operation *op)
{
	const struct opvm_shape *shape;

	if (op[1].code == OPVM_TRAP || op[1].dst != op->dst)
		return false;
	shape = opvm_shape_of(op[1].code);
	if (shape->group == OPVM_GROUP_LOAD)
		return op[1].src == op->dst;
	return !(shape->form & OPVM_FORM_S) || op[1].src != op->dst;
}

/** The code of an operation and the next one, or 0: of chains if they are one, else of pairs. */
static uint16_t fused_code(const struct opvm_operation *op, bool chain)
{
	const unsigned end = chain ? FIRST_PAIR : OPVM_LENGTH(fused);

	if (chain && !is_chain(op))
		return 0;
	for (unsigned index = chain ? 0 : FIRST_PAIR; index < end; index++)
		if (fused[index].first == op->code && fused[index].second == op[1].code)
			return (uint16_t)(FIRST_FUSED + index);
	return 0;
}

void opvm_fuse(struct opvm_program *program)
{
	struct opvm_operation *const operations = program->operations;

	/* Forwards, as what comes after an operation has to have its own code yet. */
	for (uint32_t at = 0; at + 1 < program->operations_count; at++) {
		uint16_t code = fused_code(&operations[at], true);

		/* A chain saves more than a pair. */
		if (code == 0 && (at + 2 >= program->operations_count ||
				  fused_code(&operations[at + 1], true) == 0))
			code = fused_code(&operations[at], false);
		if (code != 0)
			operations[at].code = code;
	}
}
