/* SPDX-License-Identifier: MIT */
/*
 * Turns verified instructions into operations: immediates as they are needed, addresses in place of
 * indices, jumps backwards marked, and traps where verification saw nothing come.
 *
 * Operation i is instruction i. dst, src and offset are those of the instruction; offset is also
 *where a jump or a call goes, whichever field had it. The union is
 *
 *	ALU_K, JUMP_K, STORE_K   the immediate, sign-extended
 *	WIDE                     the value, or the address of a map, a variable or an operation
 *	CALL of a helper         its function
 *	CALL of a function       its cost in fuel, and the stack of the calling function
 */
#include "interpret.h"

struct lowering {
	const struct opvm_environment *environment;
	const struct opvm_source *source;
	const struct opvm_facts *facts;
	const uint8_t *rows;
	struct opvm_program *program;
	/** What calling through a register costs. */
	uint32_t longest_function;
};

static uint32_t longest_function(const struct opvm_facts *facts, uint32_t count)
{
	uint32_t longest = 0;

	for (uint32_t at = 0; at < count; at++)
		longest = facts->length[at] > longest ? facts->length[at] : longest;
	return longest;
}

static int64_t wide_value(const struct lowering *lowering, uint32_t at)
{
	const struct opvm_instruction *const instruction = &lowering->source->instructions[at];
	const uint32_t index = (uint32_t)instruction->immediate;
	const struct opvm_operation *const operations = lowering->program->operations;

	switch (opvm_shapes[lowering->rows[at]].operation) {
	case OPVM_DO_MAP:
	case OPVM_DO_MAP_FD:
		return (int64_t)(uintptr_t)lowering->source->maps[index];
	case OPVM_DO_MAP_VALUE:
	case OPVM_DO_MAP_FD_VALUE:
		return (int64_t)((uintptr_t)opvm_map_values(lowering->source->maps[index]) +
				 (uint32_t)instruction[1].immediate);
	case OPVM_DO_VARIABLE:
		return (int64_t)(uintptr_t)lowering->environment->variables[index].address;
	case OPVM_DO_CODE:
		return (int64_t)(uintptr_t)&operations[opvm_target(instruction, OPVM_OP_LDDW_CODE,
								   at)];
	default:
		return (int64_t)opvm_wide(instruction);
	}
}

static void lower_call(const struct lowering *lowering, uint32_t at, struct opvm_operation *to)
{
	const struct opvm_instruction *const instruction = &lowering->source->instructions[at];
	const struct opvm_facts *const facts = lowering->facts;
	const enum opvm_do how = opvm_shapes[lowering->rows[at]].operation;

	if (how == OPVM_DO_HELPER || how == OPVM_DO_BTF) {
		to->function = opvm_find_helper(lowering->environment, how,
						(uint32_t)instruction->immediate)
				       ->function;
		return;
	}
	to->offset = instruction->immediate;
	to->call.stack_bytes = facts->stack_bytes[facts->function[at]];
	to->call.cost = how == OPVM_DO_REGISTER ? lowering->longest_function
						: facts->length[at + 1 + (uint32_t)to->offset];
}

static void lower_jump(const struct lowering *lowering, uint32_t at, struct opvm_operation *to)
{
	const struct opvm_instruction *const instruction = &lowering->source->instructions[at];
	const int64_t target = opvm_target(instruction, lowering->rows[at], at);

	to->offset = (int32_t)(target - at - 1);
	if (target <= at)
		to->code += OPVM_BACKWARDS;
}

static void lower_one(const struct lowering *lowering, uint32_t at, struct opvm_operation *to)
{
	const struct opvm_instruction *const instruction = &lowering->source->instructions[at];
	const uint8_t row = lowering->rows[at];

	if (!lowering->facts->reached[at]) {
		to->code = OPVM_TRAP;
		return;
	}
	to->code = row;
	to->dst = (uint8_t)opvm_dst(instruction);
	to->src = (uint8_t)opvm_src(instruction);
	to->offset = instruction->offset;
	to->immediate = instruction->immediate;
	if (opvm_is_jump(row))
		lower_jump(lowering, at, to);
	else if (opvm_shapes[row].group == OPVM_GROUP_CALL)
		lower_call(lowering, at, to);
	else if (opvm_shapes[row].group == OPVM_GROUP_WIDE)
		to->immediate = wide_value(lowering, at);
}

int opvm_lower(const struct opvm_environment *environment, const struct opvm_source *source,
	       const uint8_t *rows, const struct opvm_facts *facts, struct opvm_program *program)
{
	struct lowering lowering = {environment, source, facts, rows, program, 0};

	program->operations =
		opvm_host_allocate((size_t)source->count * sizeof(struct opvm_operation));
	if (program->operations == NULL)
		return -ENOMEM;
	program->operations_count = source->count;
	program->entry = source->entry;
	lowering.longest_function = longest_function(facts, source->count);
	for (uint32_t at = 0; at < source->count; at++)
		lower_one(&lowering, at, &program->operations[at]);
	opvm_fuse(program);
	return 0;
}
