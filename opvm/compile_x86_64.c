/* SPDX-License-Identifier: MIT */
/*
 * Machine code for x86-64 (System V ABI).
 *
 *	r0 rax  r1 rdi  r2 rsi  r3 rdx  r4 rcx  r5 r8  r6 rbx  r7 r13  r8 r14  r9 r15  r10 rbp
 *	r12: fuel that is left.  r9, r10 and r11 are free for every operation.
 *
 * A program without functions is one frame:
 *
 *	saved registers | where the result goes | context | stack of the program | <- rsp
 *
 * With functions, every one of them, the first included, is called with this on top of the stack:
 *
 *	… | rsp to go back to when fuel runs out | context | return address | <- rsp
 *
 * Pages are written first and executable afterwards, never both. Constants of the program that have
 *more than 16 bits are made of two random halves, so that nobody can write code in them.
 */
#include "compile.h"

enum machine_register {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15
};

static const uint8_t registers[11] = {RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP};

/* Condition codes. */
enum condition {
	BELOW = 2,
	ABOVE_EQUAL = 3,
	EQUAL = 4,
	NOT_EQUAL = 5,
	BELOW_EQUAL = 6,
	ABOVE = 7,
	LESS = 12,
	GREATER_EQUAL = 13,
	LESS_EQUAL = 14,
	GREATER = 15
};

/* No operation takes more bytes than this. */
#define MOST_BYTES 160

/* ---- bytes --------------------------------------------------------------------------------- */

static void byte(struct compiler *compiler, unsigned value)
{
	compiler->memory.code[compiler->used++] = (uint8_t)value;
}

static void bytes32(struct compiler *compiler, uint32_t value)
{
	memcpy(compiler->memory.code + compiler->used, &value, sizeof(value));
	compiler->used += sizeof(value);
}

static void bytes64(struct compiler *compiler, uint64_t value)
{
	memcpy(compiler->memory.code + compiler->used, &value, sizeof(value));
	compiler->used += sizeof(value);
}

/** The prefix for registers above 7 and for 64 bits. @always: for the low bytes of registers, too.
 */
static void prefix(struct compiler *compiler, bool wide, unsigned reg, unsigned base, bool always)
{
	const unsigned rex = 0x40 | (unsigned)wide << 3 | (reg >> 3) << 2 | base >> 3;

	if (rex != 0x40 || always)
		byte(compiler, rex);
}

/** An instruction of one byte on two registers: @reg and, in the place of memory, @base. */
static void on_registers(struct compiler *compiler, bool wide, unsigned opcode, unsigned reg,
			 unsigned base)
{
	prefix(compiler, wide, reg, base, false);
	byte(compiler, opcode);
	byte(compiler, 0xc0 | (reg & 7) << 3 | (base & 7));
}

static void on_registers_0f(struct compiler *compiler, bool wide, unsigned opcode, unsigned reg,
			    unsigned base)
{
	/* Bytes of rsi and the like need a prefix. */
	prefix(compiler, wide, reg, base, true);
	byte(compiler, 0x0f);
	byte(compiler, opcode);
	byte(compiler, 0xc0 | (reg & 7) << 3 | (base & 7));
}

/** The operand [base + offset]. */
static void memory(struct compiler *compiler, unsigned reg, unsigned base, int32_t offset)
{
	const bool is_short = offset >= INT8_MIN && offset <= INT8_MAX;

	byte(compiler, (is_short ? 0x40U : 0x80U) | (reg & 7) << 3 | (base & 7));
	if ((base & 7) == RSP)
		byte(compiler, 0x24);
	if (is_short)
		byte(compiler, (uint8_t)offset);
	else
		bytes32(compiler, (uint32_t)offset);
}

static void move(struct compiler *compiler, bool wide, unsigned to, unsigned from)
{
	on_registers(compiler, wide, 0x89, from, to);
}

static void load_stack(struct compiler *compiler, unsigned to, int32_t offset)
{
	prefix(compiler, true, to, RSP, false);
	byte(compiler, 0x8b);
	memory(compiler, to, RSP, offset);
}

static void push(struct compiler *compiler, unsigned reg)
{
	prefix(compiler, false, 0, reg, false);
	byte(compiler, 0x50 | (reg & 7));
}

static void pop(struct compiler *compiler, unsigned reg)
{
	prefix(compiler, false, 0, reg, false);
	byte(compiler, 0x58 | (reg & 7));
}

/** Arithmetic with an immediate by its number: 0 add, 1 or, 4 and, 5 sub, 6 xor, 7 cmp. */
static void arithmetic(struct compiler *compiler, bool wide, unsigned which, unsigned reg,
		       int32_t by)
{
	const bool is_short = by >= INT8_MIN && by <= INT8_MAX;

	on_registers(compiler, wide, is_short ? 0x83 : 0x81, which, reg);
	if (is_short)
		byte(compiler, (uint8_t)by);
	else
		bytes32(compiler, (uint32_t)by);
}

/** Moves rsp. */
static void adjust_stack(struct compiler *compiler, int32_t by)
{
	if (by != 0)
		arithmetic(compiler, true, by < 0 ? 5 : 0, RSP, by < 0 ? -by : by);
}

/* ---- constants ----------------------------------------------------------------------------- */

static uint64_t random_word(struct compiler *compiler)
{
	compiler->memory.random ^= compiler->memory.random << 13;
	compiler->memory.random ^= compiler->memory.random >> 7;
	compiler->memory.random ^= compiler->memory.random << 17;
	return compiler->memory.random;
}

static bool is_harmless(int64_t value)
{
	return value >= -65536 && value <= 65535;
}

static void set_plain(struct compiler *compiler, unsigned reg, uint64_t value)
{
	if (value == 0) {
		on_registers(compiler, false, 0x31, reg, reg);
	} else if (value <= UINT32_MAX) {
		prefix(compiler, false, 0, reg, false);
		byte(compiler, 0xb8 | (reg & 7));
		bytes32(compiler, (uint32_t)value);
	} else if ((int64_t)value >= INT32_MIN && (int64_t)value < 0) {
		on_registers(compiler, true, 0xc7, 0, reg);
		bytes32(compiler, (uint32_t)value);
	} else {
		prefix(compiler, true, 0, reg, false);
		byte(compiler, 0xb8 | (reg & 7));
		bytes64(compiler, value);
	}
}

/** A wide value of the same size, whatever it is: for pointers and halves of constants. */
static void set_long(struct compiler *compiler, unsigned reg, uint64_t value)
{
	prefix(compiler, true, 0, reg, false);
	byte(compiler, 0xb8 | (reg & 7));
	bytes64(compiler, value);
}

/** A constant of the program. @reg is not r10. */
static void set_constant(struct compiler *compiler, unsigned reg, uint64_t value)
{
	const uint64_t key = random_word(compiler);

	if (is_harmless((int64_t)value)) {
		set_plain(compiler, reg, value);
		return;
	}
	set_long(compiler, reg, value ^ key);
	set_long(compiler, R10, key);
	on_registers(compiler, true, 0x31, R10, reg);
}

/* ---- jumps --------------------------------------------------------------------------------- */

/** A short jump over what is emitted next; land() says where it ends. */
static size_t jump_over(struct compiler *compiler, unsigned condition)
{
	byte(compiler, 0x70 | condition);
	byte(compiler, 0);
	return compiler->used;
}

static size_t jump_over_always(struct compiler *compiler)
{
	byte(compiler, 0xeb);
	byte(compiler, 0);
	return compiler->used;
}

static void land(struct compiler *compiler, size_t jump)
{
	compiler->memory.code[jump - 1] = (uint8_t)(compiler->used - jump);
}

static void jump_to(struct compiler *compiler, size_t place)
{
	byte(compiler, 0xe9);
	bytes32(compiler, (uint32_t)(place - compiler->used - 4));
}

static void jump_if(struct compiler *compiler, unsigned condition, size_t place)
{
	byte(compiler, 0x0f);
	byte(compiler, 0x80 | condition);
	bytes32(compiler, (uint32_t)(place - compiler->used - 4));
}

/** To a place that has been passed, so that its distance is known in each pass. */
static void jump_back_if(struct compiler *compiler, unsigned condition, size_t place)
{
	const int64_t distance = (int64_t)place - (int64_t)compiler->used - 2;

	if (distance < INT8_MIN) {
		jump_if(compiler, condition, place);
		return;
	}
	byte(compiler, 0x70 | condition);
	byte(compiler, (uint8_t)distance);
}

/* ---- arithmetic ---------------------------------------------------------------------------- */

/** The register that holds the operand: src, or r11 with the immediate. */
static unsigned operand_of(struct compiler *compiler, const struct opvm_operation *op,
			   const struct opvm_shape *shape)
{
	if (shape->form & OPVM_FORM_S)
		return registers[op->src];
	set_constant(compiler, R11, (uint64_t)op->immediate);
	return R11;
}

/** Shifts by a register: the count has to be in cl. */
static void shift_by_register(struct compiler *compiler, bool wide, unsigned which, unsigned dst,
			      unsigned src)
{
	if (src == RCX && dst != RCX) {
		on_registers(compiler, wide, 0xd3, which, dst);
		return;
	}
	move(compiler, true, R11, RCX);
	if (src != RCX)
		move(compiler, true, RCX, src);
	if (dst == RCX) {
		on_registers(compiler, wide, 0xd3, which, R11);
		move(compiler, true, RCX, R11);
	} else {
		on_registers(compiler, wide, 0xd3, which, dst);
		move(compiler, true, RCX, R11);
	}
}

static void compile_shift(struct compiler *compiler, const struct opvm_operation *op,
			  const struct opvm_shape *shape, unsigned which)
{
	const bool wide = shape->bits == 64;
	const unsigned dst = registers[op->dst];

	if (shape->form & OPVM_FORM_S) {
		shift_by_register(compiler, wide, which, dst, registers[op->src]);
		return;
	}
	on_registers(compiler, wide, 0xc1, which, dst);
	byte(compiler, (unsigned)op->immediate & (shape->bits - 1U));
	/* By 0, the upper half would stay. */
	if (!wide)
		move(compiler, false, dst, dst);
}

/** Quotient or remainder of dst by r11, which is neither 0 nor, with sign, -1, into r11. */
static void divide_in_rax(struct compiler *compiler, bool wide, bool is_signed, bool remainder,
			  unsigned dst)
{
	move(compiler, true, R10, RAX);
	move(compiler, true, R9, RDX);
	if (dst != RAX)
		move(compiler, true, RAX, dst);
	if (is_signed) {
		prefix(compiler, wide, 0, 0, false);
		byte(compiler, 0x99);
	} else {
		on_registers(compiler, false, 0x31, RDX, RDX);
	}
	on_registers(compiler, wide, 0xf7, is_signed ? 7 : 6, R11);
	move(compiler, wide, R11, remainder ? RDX : RAX);
	move(compiler, true, RAX, R10);
	move(compiler, true, RDX, R9);
}

static void compile_division(struct compiler *compiler, const struct opvm_operation *op,
			     const struct opvm_shape *shape)
{
	const bool wide = shape->bits == 64;
	const bool is_signed = shape->operation == OPVM_DO_SDIV || shape->operation == OPVM_DO_SMOD;
	const bool remainder = shape->operation == OPVM_DO_MOD || shape->operation == OPVM_DO_SMOD;
	const unsigned dst = registers[op->dst], by = operand_of(compiler, op, shape);
	size_t zero, minus_one = 0, done, done_too = 0;

	if (by != R11)
		move(compiler, true, R11, by);
	on_registers(compiler, wide, 0x85, R11, R11);
	zero = jump_over(compiler, EQUAL);
	if (is_signed) {
		arithmetic(compiler, wide, 7, R11, -1);
		minus_one = jump_over(compiler, EQUAL);
	}
	divide_in_rax(compiler, wide, is_signed, remainder, dst);
	move(compiler, wide, dst, R11);
	done = jump_over_always(compiler);
	if (is_signed) {
		land(compiler, minus_one);
		if (remainder)
			on_registers(compiler, false, 0x31, dst, dst);
		else
			on_registers(compiler, wide, 0xf7, 3, dst);
		done_too = jump_over_always(compiler);
	}
	land(compiler, zero);
	if (!remainder)
		on_registers(compiler, false, 0x31, dst, dst);
	else if (!wide)
		move(compiler, false, dst, dst);
	land(compiler, done);
	if (is_signed)
		land(compiler, done_too);
}

static void compile_simple(struct compiler *compiler, const struct opvm_operation *op,
			   const struct opvm_shape *shape, unsigned opcode, unsigned which)
{
	const bool wide = shape->bits == 64;

	if (!(shape->form & OPVM_FORM_S) && is_harmless(op->immediate))
		arithmetic(compiler, wide, which, registers[op->dst], (int32_t)op->immediate);
	else
		on_registers(compiler, wide, opcode, operand_of(compiler, op, shape),
			     registers[op->dst]);
}

static void compile_multiplication(struct compiler *compiler, const struct opvm_operation *op,
				   const struct opvm_shape *shape)
{
	const bool wide = shape->bits == 64;
	const unsigned dst = registers[op->dst], by = operand_of(compiler, op, shape);

	prefix(compiler, wide, dst, by, false);
	byte(compiler, 0x0f);
	byte(compiler, 0xaf);
	byte(compiler, 0xc0 | (dst & 7) << 3 | (by & 7));
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
		byte(compiler, 0x66);
		on_registers(compiler, false, 0xc1, 1, dst);
		byte(compiler, 8);
		on_registers_0f(compiler, false, 0xb7, dst, dst);
		break;
	case OPVM_DO_LE16:
		on_registers_0f(compiler, false, 0xb7, dst, dst);
		break;
	case OPVM_DO_LE32:
		move(compiler, false, dst, dst);
		break;
	case OPVM_DO_LE64:
		break;
	default:
		prefix(compiler,
		       shape->operation == OPVM_DO_BE64 || shape->operation == OPVM_DO_SWAP64, 0,
		       dst, false);
		byte(compiler, 0x0f);
		byte(compiler, 0xc8 | (dst & 7));
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
		compile_simple(compiler, op, shape, 0x01, 0);
		break;
	case OPVM_DO_SUB:
		compile_simple(compiler, op, shape, 0x29, 5);
		break;
	case OPVM_DO_OR:
		compile_simple(compiler, op, shape, 0x09, 1);
		break;
	case OPVM_DO_AND:
		compile_simple(compiler, op, shape, 0x21, 4);
		break;
	case OPVM_DO_XOR:
		compile_simple(compiler, op, shape, 0x31, 6);
		break;
	case OPVM_DO_MUL:
		compile_multiplication(compiler, op, shape);
		break;
	case OPVM_DO_LSH:
		compile_shift(compiler, op, shape, 4);
		break;
	case OPVM_DO_RSH:
		compile_shift(compiler, op, shape, 5);
		break;
	case OPVM_DO_ARSH:
		compile_shift(compiler, op, shape, 7);
		break;
	case OPVM_DO_NEG:
		on_registers(compiler, wide, 0xf7, 3, dst);
		break;
	case OPVM_DO_MOV:
		compile_move(compiler, op, shape);
		break;
	case OPVM_DO_MOVSX8:
		on_registers_0f(compiler, wide, 0xbe, dst, src);
		break;
	case OPVM_DO_MOVSX16:
		on_registers_0f(compiler, wide, 0xbf, dst, src);
		break;
	case OPVM_DO_MOVSX32:
		on_registers(compiler, true, 0x63, dst, src);
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
	/* A shift of 32 bits by 0 writes nothing. */
	if (!wide && (shape->form & OPVM_FORM_S) &&
	    (shape->operation == OPVM_DO_LSH || shape->operation == OPVM_DO_RSH ||
	     shape->operation == OPVM_DO_ARSH))
		move(compiler, false, dst, dst);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void compile_load(struct compiler *compiler, const struct opvm_operation *op,
			 const struct opvm_shape *shape)
{
	static const uint8_t opcodes[2][4] = {{0xb6, 0xb7, 0x8b, 0x8b}, {0xbe, 0xbf, 0x63, 0x8b}};
	const bool is_signed = shape->operation == OPVM_DO_LOAD_SIGNED;
	const unsigned size = (unsigned)__builtin_ctz(shape->bits) - 3;
	const unsigned dst = registers[op->dst], base = registers[op->src];

	prefix(compiler, is_signed || size == 3, dst, base, false);
	if (size < 2)
		byte(compiler, 0x0f);
	byte(compiler, opcodes[is_signed][size]);
	memory(compiler, dst, base, op->offset);
}

static void store_register(struct compiler *compiler, unsigned bits, unsigned reg, unsigned base,
			   int32_t offset)
{
	if (bits == 16)
		byte(compiler, 0x66);
	prefix(compiler, bits == 64, reg, base, bits == 8);
	byte(compiler, bits == 8 ? 0x88 : 0x89);
	memory(compiler, reg, base, offset);
}

static void compile_store(struct compiler *compiler, const struct opvm_operation *op,
			  const struct opvm_shape *shape)
{
	const unsigned reg = operand_of(compiler, op, shape);

	store_register(compiler, shape->bits, reg, registers[op->dst], op->offset);
}

/** or, and, xor that give what was there: a loop around an exchange. */
static void compile_fetch_loop(struct compiler *compiler, const struct opvm_operation *op,
			       const struct opvm_shape *shape)
{
	const bool wide = shape->bits == 64;
	const unsigned opcode = shape->operation == OPVM_DO_FETCH_OR    ? 0x09
				: shape->operation == OPVM_DO_FETCH_AND ? 0x21
									: 0x31;
	const unsigned src = registers[op->src];
	size_t again;

	move(compiler, true, R10, src);
	prefix(compiler, true, R9, registers[op->dst], false);
	byte(compiler, 0x8d);
	memory(compiler, R9, registers[op->dst], op->offset);
	push(compiler, RAX);
	prefix(compiler, wide, RAX, R9, false);
	byte(compiler, 0x8b);
	memory(compiler, RAX, R9, 0);
	again = compiler->used;
	move(compiler, true, R11, RAX);
	on_registers(compiler, wide, opcode, R10, R11);
	byte(compiler, 0xf0);
	prefix(compiler, wide, R11, R9, false);
	byte(compiler, 0x0f);
	byte(compiler, 0xb1);
	memory(compiler, R11, R9, 0);
	jump_back_if(compiler, NOT_EQUAL, again);
	move(compiler, wide, R11, RAX);
	pop(compiler, RAX);
	move(compiler, true, src, R11);
}

static void compile_atomic(struct compiler *compiler, const struct opvm_operation *op,
			   const struct opvm_shape *shape)
{
	const unsigned src = registers[op->src], base = registers[op->dst];
	bool two_bytes = false;
	unsigned opcode = 0;

	switch (shape->operation) {
	case OPVM_DO_ATOMIC_ADD:
		opcode = 0x01;
		break;
	case OPVM_DO_ATOMIC_OR:
		opcode = 0x09;
		break;
	case OPVM_DO_ATOMIC_AND:
		opcode = 0x21;
		break;
	case OPVM_DO_ATOMIC_XOR:
		opcode = 0x31;
		break;
	case OPVM_DO_XCHG:
		opcode = 0x87;
		break;
	case OPVM_DO_FETCH_ADD:
		opcode = 0xc1;
		two_bytes = true;
		break;
	case OPVM_DO_CMPXCHG:
		opcode = 0xb1;
		two_bytes = true;
		break;
	default:
		compile_fetch_loop(compiler, op, shape);
		return;
	}
	if (shape->operation != OPVM_DO_XCHG)
		byte(compiler, 0xf0);
	prefix(compiler, shape->bits == 64, src, base, false);
	if (two_bytes)
		byte(compiler, 0x0f);
	byte(compiler, opcode);
	memory(compiler, src, base, op->offset);
	if (shape->operation == OPVM_DO_CMPXCHG && shape->bits == 32)
		move(compiler, false, RAX, RAX);
}

/* ---- control ------------------------------------------------------------------------------- */

static unsigned condition_of(enum opvm_do operation)
{
	switch (operation) {
	case OPVM_DO_JEQ:
		return EQUAL;
	case OPVM_DO_JGT:
		return ABOVE;
	case OPVM_DO_JGE:
		return ABOVE_EQUAL;
	case OPVM_DO_JLT:
		return BELOW;
	case OPVM_DO_JLE:
		return BELOW_EQUAL;
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

	if (shape->operation == OPVM_DO_JSET)
		on_registers(compiler, wide, 0x85, operand_of(compiler, op, shape), dst);
	else if (!(shape->form & OPVM_FORM_S) && is_harmless(op->immediate))
		arithmetic(compiler, wide, 7, dst, (int32_t)op->immediate);
	else
		on_registers(compiler, wide, 0x39, operand_of(compiler, op, shape), dst);
}

static void compile_helper(struct compiler *compiler, const struct opvm_operation *op)
{
	const int32_t at = compiler->has_functions ? 16 : (int32_t)compiler->stack_bytes;

	/* In a function, rsp is 8 bytes off. */
	if (compiler->has_functions)
		adjust_stack(compiler, -8);
	load_stack(compiler, R9, at);
	set_long(compiler, RAX, op->bits);
	on_registers(compiler, false, 0xff, 2, RAX);
	if (compiler->has_functions)
		adjust_stack(compiler, 8);
}

static void charge(struct compiler *compiler, uint32_t cost)
{
	/* As fuel is never negative before, a borrow is its end; the processor joins this and the
	 * jump that follows into one step. */
	arithmetic(compiler, true, 5, R12, (int32_t)cost);
}

static void refund(struct compiler *compiler, uint32_t cost)
{
	arithmetic(compiler, true, 0, R12, (int32_t)cost);
}

static void compile_function_call(struct compiler *compiler, const struct opvm_operation *op,
				  const struct opvm_shape *shape)
{
	static const uint8_t kept[] = {RBX, R13, R14, R15, RBP};

	charge(compiler, op->call.cost);
	jump_if(compiler, BELOW, compiler->exhausted);
	load_stack(compiler, R9, 8);
	load_stack(compiler, R10, 16);
	for (unsigned index = 0; index < OPVM_LENGTH(kept); index++)
		push(compiler, kept[index]);
	push(compiler, R10);
	push(compiler, R9);
	arithmetic(compiler, true, 5, RBP, (int32_t)op->call.stack_bytes);
	if (shape->operation == OPVM_DO_REGISTER) {
		on_registers(compiler, false, 0xff, 2, registers[op->dst]);
	} else {
		const size_t place =
			compiler->memory.places[compiler->at + 1 + (uint32_t)op->offset];

		byte(compiler, 0xe8);
		bytes32(compiler, (uint32_t)(place - compiler->used - 4));
	}
	adjust_stack(compiler, 16);
	for (unsigned index = OPVM_LENGTH(kept); index-- > 0;)
		pop(compiler, kept[index]);
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
	size_t place;

	if (shape->operation == OPVM_DO_IMM64) {
		set_constant(compiler, dst, op->bits);
	} else if (shape->operation == OPVM_DO_CODE) {
		place = compiler->memory.places[op->target - compiler->program->operations];
		prefix(compiler, true, dst, 0, false);
		byte(compiler, 0x8d);
		byte(compiler, (dst & 7) << 3 | 5);
		bytes32(compiler, (uint32_t)(place - compiler->used - 4));
	} else {
		set_plain(compiler, dst, op->bits);
	}
}

/* ---- frames -------------------------------------------------------------------------------- */

static const uint8_t callee_saved[] = {RBX, RBP, R12, R13, R14, R15};

/** Arguments: rdi context, rsi fuel, rdx where the result goes. */
static void begin_frame(struct compiler *compiler)
{
	for (unsigned index = 0; index < OPVM_LENGTH(callee_saved); index++)
		if (compiler->saved & 1U << callee_saved[index])
			push(compiler, callee_saved[index]);
	push(compiler, RDX);
	adjust_stack(compiler, -(int32_t)compiler->padding);
	if (compiler->has_helpers && !compiler->has_functions)
		push(compiler, RDI);
	adjust_stack(compiler, -(int32_t)compiler->stack_bytes);
	if (compiler->saved & 1U << RBP) {
		prefix(compiler, true, RBP, RSP, false);
		byte(compiler, 0x8d);
		memory(compiler, RBP, RSP, (int32_t)compiler->stack_bytes);
	}
	if (compiler->saved & 1U << R12)
		move(compiler, true, R12, RSI);
}

/** With the result in rax and rsp as begin_frame() left it; returns @error. */
static void end_frame(struct compiler *compiler, int error)
{
	const bool has_context = compiler->has_helpers && !compiler->has_functions;

	adjust_stack(compiler,
		     (int32_t)(compiler->stack_bytes + compiler->padding + (has_context ? 8 : 0)));
	pop(compiler, RDX);
	store_register(compiler, 64, RAX, RDX, 0);
	set_plain(compiler, RAX, (uint32_t)error);
	for (unsigned index = OPVM_LENGTH(callee_saved); index-- > 0;)
		if (compiler->saved & 1U << callee_saved[index])
			pop(compiler, callee_saved[index]);
	byte(compiler, 0xc3);
}

static void begin_functions(struct compiler *compiler)
{
	move(compiler, true, RAX, RSP);
	push(compiler, RAX);
	push(compiler, RDI);
	byte(compiler, 0xe8);
	bytes32(compiler,
		(uint32_t)(compiler->memory.places[compiler->program->entry] - compiler->used - 4));
	adjust_stack(compiler, 16);
	end_frame(compiler, 0);
}

static void begin(struct compiler *compiler)
{
	const uint32_t entry = compiler->program->entry;

	begin_frame(compiler);
	if (compiler->has_functions)
		begin_functions(compiler);
	else if (entry != 0)
		jump_to(compiler, compiler->memory.places[entry]);
}

static void compile_exit(struct compiler *compiler, const struct opvm_operation *op,
			 const struct opvm_shape *shape)
{
	(void)op;
	(void)shape;
	if (compiler->has_functions)
		byte(compiler, 0xc3);
	else
		end_frame(compiler, 0);
}

static void compile_early_end(struct compiler *compiler, int error)
{
	if (compiler->has_functions)
		load_stack(compiler, RSP, 16);
	set_plain(compiler, RAX, compiler->program->exhausted_result);
	end_frame(compiler, error);
}

/* ---- programs ------------------------------------------------------------------------------ */

static void note_register(struct compiler *compiler, unsigned reg)
{
	if (reg < OPVM_LENGTH(registers))
		compiler->saved |= 1U << registers[reg];
}

/** What of the frame the program needs. */
static void survey(struct compiler *compiler, size_t most_bytes)
{
	const struct opvm_program *const program = compiler->program;
	unsigned pushed = 1;

	(void)most_bytes;
	for (uint32_t at = 0; at < program->operations_count; at++) {
		const struct opvm_operation *const op = &program->operations[at];
		const struct opvm_shape *shape;

		if (op->code == OPVM_TRAP)
			continue;
		shape = opvm_shape_of(op->code);
		if (shape->form & OPVM_FORM_D)
			note_register(compiler, op->dst);
		if (shape->form & OPVM_FORM_S)
			note_register(compiler, op->src);
		if (opvm_plain_code(op->code) >= OPVM_BACKWARDS)
			compiler->saved |= 1U << R12;
		if (shape->operation == OPVM_DO_LOCAL || shape->operation == OPVM_DO_REGISTER)
			compiler->has_functions = true;
		else if (shape->group == OPVM_GROUP_CALL)
			compiler->has_helpers = true;
	}
	if (compiler->has_functions)
		compiler->saved = UINT32_MAX;
	for (unsigned index = 0; index < OPVM_LENGTH(callee_saved); index++)
		pushed += (compiler->saved & 1U << callee_saved[index]) != 0;
	pushed += compiler->has_helpers && !compiler->has_functions;
	compiler->stack_bytes = (program->info.stack_bytes + 15) & ~15U;
	/* Callers leave rsp 8 bytes off a multiple of 16. */
	compiler->padding = pushed % 2 == 0 ? 8 : 0;
}

const struct emitters opvm_emitters = {
	.most_bytes = MOST_BYTES,
	.survey = survey,
	.begin = begin,
	.early_end = compile_early_end,
	.charge = charge,
	.refund = refund,
	.fuel_left = ABOVE_EQUAL,
	.fuel_out = BELOW,
	.jump_to = jump_to,
	.jump_if = jump_if,
	.jump_back_if = jump_back_if,
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
