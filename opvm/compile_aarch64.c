/* SPDX-License-Identifier: MIT */
/*
 * Machine code for AArch64 (AAPCS64, ARMv8.0, little endian).
 *
 *	r0 x7  r1-r5 x0-x4  r6-r9 x19-x22  r10 x25
 *	x24: sp within the frame  x26: fuel that is left  x27: context  x28: where the result goes
 *	x9 to x12 are free for every operation.
 *
 * One frame holds what has to be saved and the stack of the program:
 *
 *	saved registers | stack of the program | <- sp, x24
 *
 * A program with functions calls each of them, the first included, by bl; who calls saves r6 to r10
 *and the way back. Running out of fuel returns to x24.
 *
 * Constants of the program that have more than 16 bits are made of two random halves.
 */
#include "compile.h"

enum machine_register {
	X0 = 0,
	X5 = 5,
	X7 = 7,
	X9 = 9,
	X10,
	X11,
	X12,
	X19 = 19,
	X20,
	X21,
	X22,
	X23,
	X24,
	X25,
	X26,
	X27,
	X28,
	X29,
	X30,
	/** Zero or sp, as the instruction has it. */
	X31
};

static const uint8_t registers[11] = {X7, 0, 1, 2, 3, 4, X19, X20, X21, X22, X25};

enum condition {
	EQUAL = 0,
	NOT_EQUAL = 1,
	HIGHER_SAME = 2,
	LOWER = 3,
	NEGATIVE = 4,
	POSITIVE_ZERO = 5,
	HIGHER = 8,
	LOWER_SAME = 9,
	GREATER_EQUAL = 10,
	LESS = 11,
	GREATER = 12,
	LESS_EQUAL = 13
};

/* Instructions without their registers; those on 64 bits have the highest bit as well. */
enum machine_opcode {
	ADD = 0x0b000000,
	SUB = 0x4b000000,
	SUBS = 0x6b000000,
	AND = 0x0a000000,
	ORR = 0x2a000000,
	EOR = 0x4a000000,
	ANDS = 0x6a000000,
	ADD_IMMEDIATE = 0x11000000,
	ADDS_IMMEDIATE = 0x31000000,
	SUB_IMMEDIATE = 0x51000000,
	SUBS_IMMEDIATE = 0x71000000,
	MOVN = 0x12800000,
	MOVZ = 0x52800000,
	MOVK = 0x72800000,
	MUL = 0x1b007c00,
	MSUB = 0x1b008000,
	UDIV = 0x1ac00800,
	SDIV = 0x1ac00c00,
	LSLV = 0x1ac02000,
	LSRV = 0x1ac02400,
	ASRV = 0x1ac02800,
	SBFM = 0x13000000,
	UBFM = 0x53000000,
	REV16 = 0x5ac00400,
	REV_32 = 0x5ac00800,
	REV_64 = 0x5ac00c00,
};

#define WIDE      0x80000000U
#define WIDE_BITS 0x80400000U

/* No operation takes more bytes than this. */
#define MOST_BYTES 192
/** Bytes that conditional jumps reach over. */
#define REACH_BYTES (1 << 20)
#define SAVED_BYTES 96

/* ---- words --------------------------------------------------------------------------------- */

static void word(struct compiler *compiler, uint32_t value)
{
	memcpy(compiler->memory.code + compiler->used, &value, sizeof(value));
	compiler->used += sizeof(value);
}

static uint32_t width(bool wide)
{
	return wide ? WIDE : 0;
}

/** to = from OP by */
static void on_registers(struct compiler *compiler, bool wide, uint32_t opcode, unsigned to,
			 unsigned from, unsigned by)
{
	word(compiler, width(wide) | opcode | by << 16 | from << 5 | to);
}

/** to = from OP by, by 0 to 4095. */
static void on_immediate(struct compiler *compiler, bool wide, uint32_t opcode, unsigned to,
			 unsigned from, uint32_t by)
{
	word(compiler, width(wide) | opcode | by << 10 | from << 5 | to);
}

static void move(struct compiler *compiler, bool wide, unsigned to, unsigned from)
{
	on_registers(compiler, wide, ORR, to, X31, from);
}

/** Bits from @first on, @last included, moved to where immr and imms say. */
static void bit_field(struct compiler *compiler, bool wide, uint32_t opcode, unsigned to,
		      unsigned from, unsigned first, unsigned last)
{
	word(compiler, (wide ? WIDE_BITS : 0) | opcode | (uint32_t)first << 16 |
			       (uint32_t)last << 10 | from << 5 | to);
}

/* ---- constants ----------------------------------------------------------------------------- */

static uint64_t random_word(struct compiler *compiler)
{
	uint64_t *const random = &compiler->memory.random;

	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static void set_part(struct compiler *compiler, uint32_t opcode, unsigned reg, unsigned part,
		     uint64_t value)
{
	word(compiler,
	     WIDE | opcode | part << 21 | (uint32_t)(uint16_t)(value >> part * 16) << 5 | reg);
}

/** Always in four instructions: for what is not the same in both passes, and for random numbers. */
static void set_long(struct compiler *compiler, unsigned reg, uint64_t value)
{
	set_part(compiler, MOVZ, reg, 0, value);
	for (unsigned part = 1; part < 4; part++)
		set_part(compiler, MOVK, reg, part, value);
}

static void set_plain(struct compiler *compiler, unsigned reg, uint64_t value)
{
	if (~value <= UINT16_MAX) {
		set_part(compiler, MOVN, reg, 0, ~value);
		return;
	}
	set_part(compiler, MOVZ, reg, 0, value);
	for (unsigned part = 1; part < 4; part++)
		if ((uint16_t)(value >> part * 16) != 0)
			set_part(compiler, MOVK, reg, part, value);
}

/** A constant of the program. @reg is not x12. */
static void set_constant(struct compiler *compiler, unsigned reg, uint64_t value)
{
	if (value <= UINT16_MAX || ~value <= UINT16_MAX) {
		set_plain(compiler, reg, value);
	} else {
		const uint64_t key = random_word(compiler);

		set_long(compiler, reg, value ^ key);
		set_long(compiler, X12, key);
		on_registers(compiler, true, EOR, reg, reg, X12);
	}
}

/** to = from OP by, where OP is ADD_IMMEDIATE or alike and has to be done by a register if need be.
 */
static void on_number(struct compiler *compiler, uint32_t immediate_opcode, uint32_t opcode,
		      unsigned to, unsigned from, uint32_t by)
{
	if (by <= 4095) {
		on_immediate(compiler, true, immediate_opcode, to, from, by);
		return;
	}
	set_plain(compiler, X9, by);
	on_registers(compiler, true, opcode, to, from, X9);
}

/* ---- jumps --------------------------------------------------------------------------------- */

static void jump_to(struct compiler *compiler, size_t place)
{
	const int64_t distance = ((int64_t)place - (int64_t)compiler->used) / 4;

	word(compiler, 0x14000000U | ((uint32_t)distance & 0x03ffffffU));
}

static void call(struct compiler *compiler, size_t place)
{
	const int64_t distance = ((int64_t)place - (int64_t)compiler->used) / 4;

	word(compiler, 0x94000000U | ((uint32_t)distance & 0x03ffffffU));
}

/** A jump over what is emitted next; land() says where it ends. */
static size_t jump_over(struct compiler *compiler, unsigned condition)
{
	word(compiler, 0x54000000U | condition);
	return compiler->used - 4;
}

static void land(struct compiler *compiler, size_t jump)
{
	const uint32_t distance = (uint32_t)(compiler->used - jump) / 4;
	uint32_t value;

	memcpy(&value, compiler->memory.code + jump, sizeof(value));
	value |= distance << 5;
	memcpy(compiler->memory.code + jump, &value, sizeof(value));
}

static void jump_if(struct compiler *compiler, unsigned condition, size_t place)
{
	const int64_t distance = ((int64_t)place - (int64_t)compiler->used) / 4;

	if (compiler->is_long) {
		const size_t over = jump_over(compiler, condition ^ 1);

		jump_to(compiler, place);
		land(compiler, over);
		return;
	}
	word(compiler, 0x54000000U | ((uint32_t)distance & 0x7ffffU) << 5 | condition);
}

/* ---- arithmetic ---------------------------------------------------------------------------- */

/** The register that holds the operand: src, or x9 with the immediate. */
static unsigned operand_of(struct compiler *compiler, const struct opvm_operation *op,
			   const struct opvm_shape *shape)
{
	if (shape->form & OPVM_FORM_S)
		return registers[op->src];
	set_constant(compiler, X9, (uint64_t)op->immediate);
	return X9;
}

static void compile_simple(struct compiler *compiler, const struct opvm_operation *op,
			   const struct opvm_shape *shape, uint32_t opcode)
{
	const unsigned dst = registers[op->dst];

	on_registers(compiler, shape->bits == 64, opcode, dst, dst,
		     operand_of(compiler, op, shape));
}

/** @negated: what subtracts the same. */
static void compile_sum(struct compiler *compiler, const struct opvm_operation *op,
			const struct opvm_shape *shape, bool subtract)
{
	const bool wide = shape->bits == 64;
	const unsigned dst = registers[op->dst];
	const int64_t by = op->immediate;

	if ((shape->form & OPVM_FORM_S) || by < -4095 || by > 4095)
		compile_simple(compiler, op, shape, subtract ? SUB : ADD);
	else
		on_immediate(compiler, wide, (by < 0) != subtract ? SUB_IMMEDIATE : ADD_IMMEDIATE,
			     dst, dst, (uint32_t)(by < 0 ? -by : by));
}

static void compile_shift(struct compiler *compiler, const struct opvm_operation *op,
			  const struct opvm_shape *shape)
{
	const bool wide = shape->bits == 64;
	const unsigned bits = shape->bits, dst = registers[op->dst];
	const unsigned by = (unsigned)op->immediate & (bits - 1);
	const uint32_t opcode = shape->operation == OPVM_DO_LSH   ? LSLV
				: shape->operation == OPVM_DO_RSH ? LSRV
								  : ASRV;

	if (shape->form & OPVM_FORM_S)
		on_registers(compiler, wide, opcode, dst, dst, registers[op->src]);
	else if (opcode == LSLV)
		bit_field(compiler, wide, UBFM, dst, dst, (bits - by) % bits, bits - 1 - by);
	else
		bit_field(compiler, wide, opcode == LSRV ? UBFM : SBFM, dst, dst, by, bits - 1);
}

/** The machine divides by 0, and the least number by -1, as the RFC wants it. */
static void compile_division(struct compiler *compiler, const struct opvm_operation *op,
			     const struct opvm_shape *shape)
{
	const bool wide = shape->bits == 64;
	const bool is_signed = shape->operation == OPVM_DO_SDIV || shape->operation == OPVM_DO_SMOD;
	const bool remainder = shape->operation == OPVM_DO_MOD || shape->operation == OPVM_DO_SMOD;
	const unsigned dst = registers[op->dst], by = operand_of(compiler, op, shape);

	on_registers(compiler, wide, is_signed ? SDIV : UDIV, remainder ? X10 : dst, dst, by);
	if (remainder)
		on_registers(compiler, wide, MSUB | dst << 10, dst, X10, by);
}

static void compile_move(struct compiler *compiler, const struct opvm_operation *op,
			 const struct opvm_shape *shape)
{
	const uint64_t value = (uint64_t)op->immediate;

	if (shape->form & OPVM_FORM_S)
		move(compiler, shape->bits == 64, registers[op->dst], registers[op->src]);
	else
		set_constant(compiler, registers[op->dst],
			     shape->bits == 64 ? value : (uint32_t)value);
}

static void compile_swap(struct compiler *compiler, const struct opvm_shape *shape, unsigned dst)
{
	switch (shape->operation) {
	case OPVM_DO_BE16:
	case OPVM_DO_SWAP16:
		on_registers(compiler, false, REV16, dst, dst, 0);
		bit_field(compiler, false, UBFM, dst, dst, 0, 15);
		break;
	case OPVM_DO_LE16:
		bit_field(compiler, false, UBFM, dst, dst, 0, 15);
		break;
	case OPVM_DO_LE32:
		move(compiler, false, dst, dst);
		break;
	case OPVM_DO_LE64:
		break;
	case OPVM_DO_BE64:
	case OPVM_DO_SWAP64:
		on_registers(compiler, true, REV_64, dst, dst, 0);
		break;
	default:
		on_registers(compiler, false, REV_32, dst, dst, 0);
		break;
	}
}

static void compile_alu(struct compiler *compiler, const struct opvm_operation *op,
			const struct opvm_shape *shape)
{
	const bool wide = shape->bits == 64;
	const unsigned dst = registers[op->dst], src = registers[op->src];

	switch (shape->operation) {
	case OPVM_DO_ADD:
		compile_sum(compiler, op, shape, false);
		break;
	case OPVM_DO_SUB:
		compile_sum(compiler, op, shape, true);
		break;
	case OPVM_DO_OR:
		compile_simple(compiler, op, shape, ORR);
		break;
	case OPVM_DO_AND:
		compile_simple(compiler, op, shape, AND);
		break;
	case OPVM_DO_XOR:
		compile_simple(compiler, op, shape, EOR);
		break;
	case OPVM_DO_MUL:
		compile_simple(compiler, op, shape, MUL);
		break;
	case OPVM_DO_LSH:
	case OPVM_DO_RSH:
	case OPVM_DO_ARSH:
		compile_shift(compiler, op, shape);
		break;
	case OPVM_DO_NEG:
		on_registers(compiler, wide, SUB, dst, X31, dst);
		break;
	case OPVM_DO_MOV:
		compile_move(compiler, op, shape);
		break;
	case OPVM_DO_MOVSX8:
		bit_field(compiler, wide, SBFM, dst, src, 0, 7);
		break;
	case OPVM_DO_MOVSX16:
		bit_field(compiler, wide, SBFM, dst, src, 0, 15);
		break;
	case OPVM_DO_MOVSX32:
		bit_field(compiler, true, SBFM, dst, src, 0, 31);
		break;
	case OPVM_DO_DIV:
	case OPVM_DO_SDIV:
	case OPVM_DO_MOD:
	case OPVM_DO_SMOD:
		compile_division(compiler, op, shape);
		break;
	default:
		compile_swap(compiler, shape, dst);
		break;
	}
}

/* ---- memory -------------------------------------------------------------------------------- */

/** @what: 0 to store, 1 to load, 2 to load and extend the sign to 64 bits. */
static void reach(struct compiler *compiler, unsigned bits, unsigned what, unsigned reg,
		  unsigned base, int32_t offset)
{
	const uint32_t size = (uint32_t)__builtin_ctz(bits) - 3;
	const uint32_t opcode = size << 30 | 0x38000000U | what << 22;
	const uint32_t scaled = (uint32_t)offset >> size;

	if (offset >= -256 && offset <= 255) {
		word(compiler, opcode | ((uint32_t)offset & 0x1ff) << 12 | base << 5 | reg);
	} else if (offset > 0 && scaled << size == (uint32_t)offset && scaled <= 4095) {
		word(compiler, opcode | 1U << 24 | scaled << 10 | base << 5 | reg);
	} else {
		set_plain(compiler, X10, (uint64_t)(int64_t)offset);
		word(compiler, opcode | 0x00206800U | (uint32_t)X10 << 16 | base << 5 | reg);
	}
}

static void compile_load(struct compiler *compiler, const struct opvm_operation *op,
			 const struct opvm_shape *shape)
{
	reach(compiler, shape->bits, shape->operation == OPVM_DO_LOAD_SIGNED ? 2 : 1,
	      registers[op->dst], registers[op->src], op->offset);
}

static void compile_store(struct compiler *compiler, const struct opvm_operation *op,
			  const struct opvm_shape *shape)
{
	const unsigned reg = operand_of(compiler, op, shape);

	reach(compiler, shape->bits, 0, reg, registers[op->dst], op->offset);
}

/** The instruction that makes the new value of the old one in x10; 0 for none. */
static uint32_t atomic_opcode(enum opvm_do operation)
{
	switch (operation) {
	case OPVM_DO_ATOMIC_ADD:
	case OPVM_DO_FETCH_ADD:
		return ADD;
	case OPVM_DO_ATOMIC_OR:
	case OPVM_DO_FETCH_OR:
		return ORR;
	case OPVM_DO_ATOMIC_AND:
	case OPVM_DO_FETCH_AND:
		return AND;
	case OPVM_DO_ATOMIC_XOR:
	case OPVM_DO_FETCH_XOR:
		return EOR;
	default:
		return 0;
	}
}

static bool is_fetched(enum opvm_do operation)
{
	return operation == OPVM_DO_FETCH_ADD || operation == OPVM_DO_FETCH_OR ||
	       operation == OPVM_DO_FETCH_AND || operation == OPVM_DO_FETCH_XOR ||
	       operation == OPVM_DO_XCHG;
}

/** A loop around a load and a store that fails where somebody else wrote. */
static void compile_atomic(struct compiler *compiler, const struct opvm_operation *op,
			   const struct opvm_shape *shape)
{
	const bool wide = shape->bits == 64, compares = shape->operation == OPVM_DO_CMPXCHG;
	const uint32_t size = wide ? 0xc0000000U : 0x80000000U;
	const uint32_t opcode = atomic_opcode(shape->operation);
	const unsigned src = registers[op->src];
	size_t again, different = 0;

	set_plain(compiler, X9, (uint64_t)(int64_t)op->offset);
	on_registers(compiler, true, ADD, X9, X9, registers[op->dst]);
	again = compiler->used;
	word(compiler, size | 0x085ffc00U | X9 << 5 | X10);
	if (compares) {
		on_registers(compiler, wide, SUBS, X31, X10, X7);
		different = jump_over(compiler, NOT_EQUAL);
	} else if (opcode != 0) {
		on_registers(compiler, wide, opcode, X11, X10, src);
	}
	word(compiler, size | 0x0800fc00U | (uint32_t)X12 << 16 | X9 << 5 |
			       (opcode != 0 ? (unsigned)X11 : src));
	/* cbnz w12 */
	word(compiler,
	     0x35000000U | (((uint32_t)(again - compiler->used) / 4) & 0x7ffffU) << 5 | X12);
	if (compares)
		land(compiler, different);
	/* dmb ish */
	word(compiler, 0xd5033bbfU);
	if (compares)
		move(compiler, wide, X7, X10);
	else if (is_fetched(shape->operation))
		move(compiler, wide, src, X10);
}

/* ---- control ------------------------------------------------------------------------------- */

static unsigned condition_of(enum opvm_do operation)
{
	switch (operation) {
	case OPVM_DO_JEQ:
		return EQUAL;
	case OPVM_DO_JGT:
		return HIGHER;
	case OPVM_DO_JGE:
		return HIGHER_SAME;
	case OPVM_DO_JLT:
		return LOWER;
	case OPVM_DO_JLE:
		return LOWER_SAME;
	case OPVM_DO_JSGT:
		return GREATER;
	case OPVM_DO_JSGE:
		return GREATER_EQUAL;
	case OPVM_DO_JSLT:
		return LESS;
	case OPVM_DO_JSLE:
		return LESS_EQUAL;
	default: /* JNE, and JSET after a test */
		return NOT_EQUAL;
	}
}

static void compile_comparison(struct compiler *compiler, const struct opvm_operation *op,
			       const struct opvm_shape *shape)
{
	const bool wide = shape->bits == 64;
	const unsigned dst = registers[op->dst];
	const int64_t with = op->immediate;

	if (shape->operation == OPVM_DO_JSET)
		on_registers(compiler, wide, ANDS, X31, dst, operand_of(compiler, op, shape));
	else if ((shape->form & OPVM_FORM_S) || with < -4095 || with > 4095)
		on_registers(compiler, wide, SUBS, X31, dst, operand_of(compiler, op, shape));
	else if (with < 0)
		on_immediate(compiler, wide, ADDS_IMMEDIATE, X31, dst, (uint32_t)-with);
	else
		on_immediate(compiler, wide, SUBS_IMMEDIATE, X31, dst, (uint32_t)with);
}

static void charge(struct compiler *compiler, uint32_t cost)
{
	on_number(compiler, SUBS_IMMEDIATE, SUBS, X26, X26, cost);
}

static void refund(struct compiler *compiler, uint32_t cost)
{
	on_number(compiler, ADD_IMMEDIATE, ADD, X26, X26, cost);
}

/** stp or ldp of two registers at [base + offset]; with @writes, base changes before or after. */
enum pair_opcode {
	STORE_PAIR = 0x29000000,
	STORE_PAIR_BEFORE = 0x29800000,
	LOAD_PAIR = 0x29400000,
	LOAD_PAIR_AFTER = 0x28c00000
};

static void on_pair(struct compiler *compiler, enum pair_opcode opcode, unsigned first,
		    unsigned second, int32_t offset)
{
	word(compiler, WIDE | (uint32_t)opcode | ((uint32_t)(offset / 8) & 0x7f) << 15 |
			       second << 10 | X31 << 5 | first);
}

static void compile_helper(struct compiler *compiler, const struct opvm_operation *op)
{
	if (compiler->has_functions)
		on_pair(compiler, STORE_PAIR_BEFORE, X30, X31, -16);
	move(compiler, true, X5, X27);
	set_plain(compiler, X9, op->bits);
	/* blr x9 */
	word(compiler, 0xd63f0000U | X9 << 5);
	if (compiler->has_functions)
		on_pair(compiler, LOAD_PAIR_AFTER, X30, X31, 16);
	move(compiler, true, X7, X0);
}

static void compile_function_call(struct compiler *compiler, const struct opvm_operation *op,
				  const struct opvm_shape *shape)
{
	charge(compiler, op->call.cost);
	jump_if(compiler, NEGATIVE, compiler->exhausted);
	on_pair(compiler, STORE_PAIR_BEFORE, X19, X20, -48);
	on_pair(compiler, STORE_PAIR, X21, X22, 16);
	on_pair(compiler, STORE_PAIR, X25, X30, 32);
	on_number(compiler, SUB_IMMEDIATE, SUB, X25, X25, op->call.stack_bytes);
	if (shape->operation == OPVM_DO_REGISTER)
		word(compiler, 0xd63f0000U | (uint32_t)registers[op->dst] << 5);
	else
		call(compiler, compiler->memory.places[compiler->at + 1 + (uint32_t)op->offset]);
	on_pair(compiler, LOAD_PAIR, X25, X30, 32);
	on_pair(compiler, LOAD_PAIR, X21, X22, 16);
	on_pair(compiler, LOAD_PAIR_AFTER, X19, X20, 48);
}

static void compile_call(struct compiler *compiler, const struct opvm_operation *op,
			 const struct opvm_shape *shape)
{
	if (shape->operation == OPVM_DO_LOCAL || shape->operation == OPVM_DO_REGISTER)
		compile_function_call(compiler, op, shape);
	else
		compile_helper(compiler, op);
}

static void compile_wide(struct compiler *compiler, const struct opvm_operation *op,
			 const struct opvm_shape *shape)
{
	const unsigned dst = registers[op->dst];

	if (shape->operation == OPVM_DO_IMM64)
		set_constant(compiler, dst, op->bits);
	else if (shape->operation == OPVM_DO_CODE)
		set_long(compiler, dst,
			 (uint64_t)(uintptr_t)compiler->memory.code +
				 compiler->memory
					 .places[op->target - compiler->program->operations]);
	else
		set_plain(compiler, dst, op->bits);
}

/* ---- frames -------------------------------------------------------------------------------- */

/** Arguments: x0 context, x1 fuel, x2 where the result goes. */
static void begin_frame(struct compiler *compiler)
{
	on_pair(compiler, STORE_PAIR_BEFORE, X29, X30, -SAVED_BYTES);
	on_pair(compiler, STORE_PAIR, X19, X20, 16);
	on_pair(compiler, STORE_PAIR, X21, X22, 32);
	on_pair(compiler, STORE_PAIR, X23, X24, 48);
	on_pair(compiler, STORE_PAIR, X25, X26, 64);
	on_pair(compiler, STORE_PAIR, X27, X28, 80);
	move(compiler, true, X26, 1);
	move(compiler, true, X27, 0);
	move(compiler, true, X28, 2);
	/* Not by move(), which takes 31 for zero. */
	on_immediate(compiler, true, ADD_IMMEDIATE, X25, X31, 0);
	set_plain(compiler, X9, compiler->stack_bytes);
	on_registers(compiler, true, SUB, X24, X25, X9);
	on_immediate(compiler, true, ADD_IMMEDIATE, X31, X24, 0);
}

/** With the result in x7; returns @error. */
static void end_frame(struct compiler *compiler, int error)
{
	reach(compiler, 64, 0, X7, X28, 0);
	set_plain(compiler, X0, (uint32_t)error);
	set_plain(compiler, X9, compiler->stack_bytes);
	on_registers(compiler, true, ADD, X9, X24, X9);
	on_immediate(compiler, true, ADD_IMMEDIATE, X31, X9, 0);
	on_pair(compiler, LOAD_PAIR, X19, X20, 16);
	on_pair(compiler, LOAD_PAIR, X21, X22, 32);
	on_pair(compiler, LOAD_PAIR, X23, X24, 48);
	on_pair(compiler, LOAD_PAIR, X25, X26, 64);
	on_pair(compiler, LOAD_PAIR, X27, X28, 80);
	on_pair(compiler, LOAD_PAIR_AFTER, X29, X30, SAVED_BYTES);
	/* ret */
	word(compiler, 0xd65f03c0U);
}

static void compile_early_end(struct compiler *compiler, int error)
{
	set_plain(compiler, X7, compiler->program->exhausted_result);
	end_frame(compiler, error);
}

static void compile_exit(struct compiler *compiler, const struct opvm_operation *op,
			 const struct opvm_shape *shape)
{
	(void)op;
	(void)shape;
	if (compiler->has_functions)
		word(compiler, 0xd65f03c0U);
	else
		end_frame(compiler, 0);
}

static void begin(struct compiler *compiler)
{
	const uint32_t entry = compiler->program->entry;

	begin_frame(compiler);
	if (compiler->has_functions) {
		call(compiler, compiler->memory.places[entry]);
		end_frame(compiler, 0);
	} else if (entry != 0) {
		jump_to(compiler, compiler->memory.places[entry]);
	}
}

/* ---- programs ------------------------------------------------------------------------------ */

static void survey(struct compiler *compiler, size_t most_bytes)
{
	const struct opvm_program *const program = compiler->program;

	for (uint32_t at = 0; at < program->operations_count; at++) {
		const struct opvm_operation *const op = &program->operations[at];
		enum opvm_do operation;

		if (op->code == OPVM_TRAP)
			continue;
		operation = opvm_shape_of(op->code)->operation;
		if (operation == OPVM_DO_LOCAL || operation == OPVM_DO_REGISTER)
			compiler->has_functions = true;
	}
	compiler->is_long = most_bytes >= REACH_BYTES;
	compiler->stack_bytes = (program->info.stack_bytes + 15) & ~15U;
}

const struct emitters opvm_emitters = {
	.most_bytes = MOST_BYTES,
	.survey = survey,
	.begin = begin,
	.early_end = compile_early_end,
	.charge = charge,
	.refund = refund,
	.fuel_left = POSITIVE_ZERO,
	.fuel_out = NEGATIVE,
	.jump_to = jump_to,
	.jump_if = jump_if,
	.jump_back_if = jump_if,
	.jump_over = jump_over,
	.land = land,
	.compare = compile_comparison,
	.condition_of = condition_of,
	.groups =
		{
			[OPVM_GROUP_ALU_K] = compile_alu,
			[OPVM_GROUP_ALU_X] = compile_alu,
			[OPVM_GROUP_CALL] = compile_call,
			[OPVM_GROUP_EXIT] = compile_exit,
			[OPVM_GROUP_WIDE] = compile_wide,
			[OPVM_GROUP_LOAD] = compile_load,
			[OPVM_GROUP_STORE_K] = compile_store,
			[OPVM_GROUP_STORE_X] = compile_store,
			[OPVM_GROUP_ATOMIC] = compile_atomic,
		},
};
