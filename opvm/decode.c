/* SPDX-License-Identifier: MIT */
/*
 * The table of instructions, and the check that a program consists of nothing else.
 */
#include "opvm_internal.h"

#define OPVM_SHAPE(name, opcode, selector, selected, form, group, operation, bits, text) \
	{text,                                                                           \
	 opcode,                                                                         \
	 OPVM_SELECT_##selector,                                                         \
	 selected,                                                                       \
	 OPVM_FORM_##form,                                                               \
	 OPVM_GROUP_##group,                                                             \
	 OPVM_DO_##operation,                                                            \
	 bits},
const struct opvm_shape opvm_shapes[OPVM_ROWS] = {OPVM_OPCODES(OPVM_SHAPE, OPVM_SHAPE)};

/* Row + 1 of the first row of each opcode; 0 for opcodes that are not defined. */
#define OPVM_FIRST(name, opcode, ...) [opcode] = OPVM_OP_##name + 1,
#define OPVM_FURTHER(...)
static const uint8_t first_rows[256] = {OPVM_OPCODES(OPVM_FIRST, OPVM_FURTHER)};

/* ---- one instruction ----------------------------------------------------------------------- */

static int64_t selecting_field(const struct opvm_instruction *instruction, uint8_t selector)
{
	switch (selector) {
	case OPVM_SELECT_OFFSET:
		return instruction->offset;
	case OPVM_SELECT_IMMEDIATE:
		return instruction->immediate;
	case OPVM_SELECT_SOURCE:
		return opvm_src(instruction);
	default:
		return 0;
	}
}

/** The row of opcode and selecting field; OPVM_ROWS if there is none. */
static unsigned find_row(const struct opvm_instruction *instruction)
{
	unsigned row = first_rows[instruction->opcode];

	if (row == 0)
		return OPVM_ROWS;
	for (row--; row < OPVM_ROWS; row++)
		if (opvm_shapes[row].opcode == instruction->opcode &&
		    selecting_field(instruction, opvm_shapes[row].selector) ==
			    opvm_shapes[row].selected)
			return row;
	return OPVM_ROWS;
}

/** The name of a field that carries nothing in this row and is not zero; NULL if all are well. */
static const char *reserved_field(const struct opvm_instruction *instruction,
				  const struct opvm_shape *shape)
{
	const uint8_t form = shape->form;

	if (!(form & OPVM_FORM_D) && opvm_dst(instruction) != 0)
		return "destination register";
	if (!(form & OPVM_FORM_S) && shape->selector != OPVM_SELECT_SOURCE &&
	    opvm_src(instruction) != 0)
		return "source register";
	if (!(form & OPVM_FORM_O) && shape->selector != OPVM_SELECT_OFFSET &&
	    instruction->offset != 0)
		return "offset";
	if (!(form & OPVM_FORM_I) && shape->selector != OPVM_SELECT_IMMEDIATE &&
	    instruction->immediate != 0)
		return "immediate";
	return NULL;
}

int opvm_decode(const struct opvm_instruction *instruction)
{
	const unsigned row = find_row(instruction);

	if (row == OPVM_ROWS || reserved_field(instruction, &opvm_shapes[row]) != NULL)
		return -EINVAL;
	return (int)row;
}

int64_t opvm_target(const struct opvm_instruction *instruction, uint8_t row, uint32_t at)
{
	const struct opvm_shape *const shape = &opvm_shapes[row];
	const bool far = shape->operation == OPVM_DO_JA_FAR || shape->group == OPVM_GROUP_CALL ||
			 shape->group == OPVM_GROUP_WIDE;

	return (int64_t)at + 1 + (far ? instruction->immediate : instruction->offset);
}

bool opvm_is_jump(uint8_t row)
{
	return row < OPVM_ROWS && opvm_shapes[row].group >= OPVM_GROUP_JUMP &&
	       opvm_shapes[row].group <= OPVM_GROUP_JUMP_X;
}

/* ---- all of a program ---------------------------------------------------------------------- */

static bool writes_dst(const struct opvm_shape *shape)
{
	return shape->group == OPVM_GROUP_ALU_K || shape->group == OPVM_GROUP_ALU_X ||
	       shape->group == OPVM_GROUP_WIDE || shape->group == OPVM_GROUP_LOAD;
}

/** Registers that exist, and r10 left as it is. */
static int check_registers(const struct opvm_instruction *instruction,
			   const struct opvm_shape *shape, uint32_t at, struct opvm_log *log)
{
	const unsigned dst = opvm_dst(instruction), src = opvm_src(instruction);
	const bool fetches = shape->group == OPVM_GROUP_ATOMIC &&
			     shape->operation >= OPVM_DO_FETCH_ADD &&
			     shape->operation <= OPVM_DO_XCHG;

	if (dst > 10 || ((shape->form & OPVM_FORM_S) && src > 10))
		return opvm_fail(log, EINVAL, "instruction %u: register r%u: there are r0 to r10\n",
				 at, dst > 10 ? dst : src);
	if ((writes_dst(shape) && dst == 10) || (fetches && src == 10))
		return opvm_fail(log, EINVAL,
				 "instruction %u: writes r10, which only points to the stack\n",
				 at);
	return 0;
}

static int check_encoding(const struct opvm_instruction *instruction, uint32_t at, unsigned row,
			  struct opvm_log *log)
{
	const char *field;

	if (row == OPVM_ROWS && first_rows[instruction->opcode] == 0)
		return opvm_fail(log, EINVAL,
				 "instruction %u: opcode 0x%02x is not defined by RFC 9669\n", at,
				 instruction->opcode);
	if (row == OPVM_ROWS)
		return opvm_fail(log, EINVAL,
				 "instruction %u: opcode 0x%02x is not defined with source %u, "
				 "offset %d and immediate %d\n",
				 at, instruction->opcode, opvm_src(instruction),
				 instruction->offset, instruction->immediate);
	field = reserved_field(instruction, &opvm_shapes[row]);
	if (field != NULL)
		return opvm_fail(log, EINVAL,
				 "instruction %u: the %s of opcode 0x%02x is reserved and has to "
				 "be 0\n",
				 at, field, instruction->opcode);
	return check_registers(instruction, &opvm_shapes[row], at, log);
}

static int check_second_half(const struct opvm_instruction *instructions, uint32_t count,
			     uint32_t at, uint8_t row, struct opvm_log *log)
{
	const struct opvm_instruction *const half = &instructions[at + 1];

	if (at + 1 == count)
		return opvm_fail(log, EINVAL, "instruction %u: its second half lies past the end\n",
				 at);
	if (half->opcode != 0 || half->registers != 0 || half->offset != 0 ||
	    (!(opvm_shapes[row].form & OPVM_FORM_W) && half->immediate != 0))
		return opvm_fail(log, EINVAL,
				 "instruction %u: reserved fields of its second half are not 0\n",
				 at);
	return 0;
}

static bool has_target(uint8_t row)
{
	return opvm_is_jump(row) || row == OPVM_OP_CALL_LOCAL || row == OPVM_OP_LDDW_CODE;
}

static int check_targets(const struct opvm_instruction *instructions, uint32_t count,
			 const uint8_t *rows, struct opvm_log *log)
{
	for (uint32_t at = 0; at < count; at++) {
		int64_t target;

		if (rows[at] == OPVM_SECOND_HALF || !has_target(rows[at]))
			continue;
		target = opvm_target(&instructions[at], rows[at], at);
		if (target < 0 || target >= count)
			return opvm_fail(log, EINVAL,
					 "instruction %u: goes to %lld: the program has 0 to %u\n",
					 at, (long long)target, count - 1);
		if (rows[target] == OPVM_SECOND_HALF)
			return opvm_fail(log, EINVAL,
					 "instruction %u: goes to %lld, the second half of another "
					 "instruction\n",
					 at, (long long)target);
	}
	return 0;
}

int opvm_decode_all(const struct opvm_instruction *instructions, uint32_t count, uint8_t *rows,
		    struct opvm_log *log)
{
	for (uint32_t at = 0; at < count; at++) {
		const unsigned row = find_row(&instructions[at]);
		int error = check_encoding(&instructions[at], at, row, log);

		if (error != 0)
			return error;
		rows[at] = (uint8_t)row;
		if (opvm_shapes[row].group != OPVM_GROUP_WIDE)
			continue;
		error = check_second_half(instructions, count, at, (uint8_t)row, log);
		if (error != 0)
			return error;
		rows[++at] = OPVM_SECOND_HALF;
	}
	return check_targets(instructions, count, rows, log);
}
