/* SPDX-License-Identifier: MIT */
/*
 * The interpreter: every operation ends with a jump to the next one's code. The function is as long
 * as the table of instructions, of which it is made; each operation is one line of it.
 *
 * An operation stands at the index of its instruction, so that displacements are those of the
 * instructions. Codes are rows, those of jumps backwards rows + OPVM_BACKWARDS, those of two
 * operations in one OPVM_FUSED_…: these leave the second one where it was, for jumps to it.
 */
#include "interpret.h"

/* Where a function was called from. */
struct frame {
	const struct opvm_operation *return_to;
	uint64_t saved[5];
};

#define NEXT(count)                     \
	do {                            \
		op += (count);          \
		goto *labels[op->code]; \
	} while (0)

#define DST r[op->dst]
#define SRC r[op->src]

/* Uses up @cost; the last line of a loop that nobody ends. */
#define CHARGE(cost)                               \
	do {                                       \
		left -= (cost);                    \
		if (__builtin_expect(left < 0, 0)) \
			goto exhausted;            \
	} while (0)

#define RUN_ALU_K(operation, bits)                                                   \
	DST = opvm_compute(OPVM_DO_##operation, bits, DST, (uint64_t)op->immediate); \
	NEXT(1);
#define RUN_ALU_X(operation, bits)                               \
	DST = opvm_compute(OPVM_DO_##operation, bits, DST, SRC); \
	NEXT(1);
#define RUN_LOAD(operation, bits)                                         \
	DST = opvm_load(bits, OPVM_DO_##operation == OPVM_DO_LOAD_SIGNED, \
			SRC + (uint64_t)(int64_t)op->offset);             \
	NEXT(1);
#define RUN_STORE_K(operation, bits)                                                    \
	opvm_store(bits, DST + (uint64_t)(int64_t)op->offset, (uint64_t)op->immediate); \
	NEXT(1);
#define RUN_STORE_X(operation, bits)                                \
	opvm_store(bits, DST + (uint64_t)(int64_t)op->offset, SRC); \
	NEXT(1);
#define RUN_ATOMIC(operation, bits)                                                               \
	{                                                                                         \
		const uint64_t old = opvm_atomic(OPVM_DO_##operation, bits,                       \
						 DST + (uint64_t)(int64_t)op->offset, SRC, r[0]); \
		if (OPVM_DO_##operation == OPVM_DO_CMPXCHG)                                       \
			r[0] = old;                                                               \
		else if (OPVM_DO_##operation >= OPVM_DO_FETCH_ADD)                                \
			SRC = old;                                                                \
		NEXT(1);                                                                          \
	}
#define RUN_WIDE(operation, bits)      \
	DST = (uint64_t)op->immediate; \
	NEXT(2);
#define RUN_JUMP(operation, bits) NEXT(1 + op->offset);
#define RUN_JUMP_K(operation, bits)                                                \
	if (opvm_compare(OPVM_DO_##operation, bits, DST, (uint64_t)op->immediate)) \
		NEXT(1 + op->offset);                                              \
	NEXT(1);
#define RUN_JUMP_X(operation, bits)                            \
	if (opvm_compare(OPVM_DO_##operation, bits, DST, SRC)) \
		NEXT(1 + op->offset);                          \
	NEXT(1);
#define RUN_CALL(operation, bits) goto call_##operation;
#define RUN_EXIT(operation, bits) goto leave;

/* Jumps backwards have a second copy, which charges the distance; other groups have none. */
#define BACK_JUMP(name, operation, bits)            \
	back_##name : CHARGE(-(int64_t)op->offset); \
	NEXT(1 + op->offset);
#define BACK_JUMP_K(name, operation, bits)                                                        \
	back_##name : if (!opvm_compare(OPVM_DO_##operation, bits, DST, (uint64_t)op->immediate)) \
			      NEXT(1);                                                            \
	CHARGE(-(int64_t)op->offset);                                                             \
	NEXT(1 + op->offset);
#define BACK_JUMP_X(name, operation, bits)                                             \
	back_##name : if (!opvm_compare(OPVM_DO_##operation, bits, DST, SRC)) NEXT(1); \
	CHARGE(-(int64_t)op->offset);                                                  \
	NEXT(1 + op->offset);
#define BACK_ALU_K(...)
#define BACK_ALU_X(...)
#define BACK_LOAD(...)
#define BACK_STORE_K(...)
#define BACK_STORE_X(...)
#define BACK_ATOMIC(...)
#define BACK_WIDE(...)
#define BACK_CALL(...)
#define BACK_EXIT(...)

#define LABEL_BACK_JUMP(name)   [OPVM_BACKWARDS + OPVM_OP_##name] = &&back_##name,
#define LABEL_BACK_JUMP_K(name) LABEL_BACK_JUMP(name)
#define LABEL_BACK_JUMP_X(name) LABEL_BACK_JUMP(name)
#define LABEL_BACK_ALU_K(name)
#define LABEL_BACK_ALU_X(name)
#define LABEL_BACK_LOAD(name)
#define LABEL_BACK_STORE_K(name)
#define LABEL_BACK_STORE_X(name)
#define LABEL_BACK_ATOMIC(name)
#define LABEL_BACK_WIDE(name)
#define LABEL_BACK_CALL(name)
#define LABEL_BACK_EXIT(name)

#define LABEL(name, ...) [OPVM_OP_##name] = &&run_##name,
#define LABEL_BACK(name, opcode, selector, selected, form, group, operation, bits, text) \
	LABEL_BACK_##group(name)
#define BODY(name, opcode, selector, selected, form, group, operation, bits, text) \
	run_##name : RUN_##group(operation, bits)
#define BODY_BACK(name, opcode, selector, selected, form, group, operation, bits, text) \
	BACK_##group(name, operation, bits)

/* ---- two in one ---------------------------------------------------------------------------- */

#define VALUE_ALU_K(operation, bits) \
	opvm_compute(OPVM_DO_##operation, bits, DST, (uint64_t)op->immediate)
#define VALUE_ALU_X(operation, bits) opvm_compute(OPVM_DO_##operation, bits, DST, SRC)
#define VALUE_LOAD(operation, bits)  opvm_load(bits, false, SRC + (uint64_t)(int64_t)op->offset)

#define SECOND_K (uint64_t) op[1].immediate
#define SECOND_X r[op[1].src]

/* The second of a chain: dst is that of the first, and the other operand something else. */
#define CHAIN_ALU(operation, bits, operand)                            \
	DST = opvm_compute(OPVM_DO_##operation, bits, value, operand); \
	NEXT(2);
#define CHAIN_ALU_K(operation, bits) CHAIN_ALU(operation, bits, SECOND_K)
#define CHAIN_ALU_X(operation, bits) CHAIN_ALU(operation, bits, SECOND_X)
#define CHAIN_LOAD(operation, bits)                                            \
	DST = opvm_load(bits, false, value + (uint64_t)(int64_t)op[1].offset); \
	NEXT(2);
#define CHAIN_JUMP(operation, bits, operand, charge)                  \
	DST = value;                                                  \
	if (!opvm_compare(OPVM_DO_##operation, bits, value, operand)) \
		NEXT(2);                                              \
	charge;                                                       \
	NEXT(2 + op[1].offset);
#define CHAIN_JUMP_K(operation, bits) CHAIN_JUMP(operation, bits, SECOND_K, (void)0)
#define CHAIN_JUMP_X(operation, bits) CHAIN_JUMP(operation, bits, SECOND_X, (void)0)
#define CHAIN_BACK_K(operation, bits) \
	CHAIN_JUMP(operation, bits, SECOND_K, CHARGE(-(int64_t)op[1].offset))
#define CHAIN_BACK_X(operation, bits) \
	CHAIN_JUMP(operation, bits, SECOND_X, CHARGE(-(int64_t)op[1].offset))

/* The second of any other pair. */
#define PAIR_ALU(operation, bits, operand)                                             \
	DST = value;                                                                   \
	r[op[1].dst] = opvm_compute(OPVM_DO_##operation, bits, r[op[1].dst], operand); \
	NEXT(2);
#define PAIR_ALU_K(operation, bits) PAIR_ALU(operation, bits, SECOND_K)
#define PAIR_ALU_X(operation, bits) PAIR_ALU(operation, bits, SECOND_X)
#define PAIR_LOAD(operation, bits)                                                         \
	DST = value;                                                                       \
	r[op[1].dst] = opvm_load(bits, false, SECOND_X + (uint64_t)(int64_t)op[1].offset); \
	NEXT(2);
#define PAIR_JUMP(operation, bits, operand, charge)                          \
	DST = value;                                                         \
	if (!opvm_compare(OPVM_DO_##operation, bits, r[op[1].dst], operand)) \
		NEXT(2);                                                     \
	charge;                                                              \
	NEXT(2 + op[1].offset);
#define PAIR_JUMP_K(operation, bits) PAIR_JUMP(operation, bits, SECOND_K, (void)0)
#define PAIR_JUMP_X(operation, bits) PAIR_JUMP(operation, bits, SECOND_X, (void)0)
#define PAIR_BACK_K(operation, bits) \
	PAIR_JUMP(operation, bits, SECOND_K, CHARGE(-(int64_t)op[1].offset))
#define PAIR_BACK_X(operation, bits) \
	PAIR_JUMP(operation, bits, SECOND_X, CHARGE(-(int64_t)op[1].offset))

/* Attributes of both rows become arguments on the way. */
#define FUSED_BODY(how, first, second) \
	FUSED_BODY_(how, first, OPVM_AS_##first, second, OPVM_AS_##second)
#define FUSED_BODY_(...) FUSED_BODY__(__VA_ARGS__)
#define FUSED_BODY__(how, first, kind, operation1, bits1, second, group, operation, bits) \
	how##_##first##_##second:                                                         \
	{                                                                                 \
		const uint64_t value = VALUE_##kind(operation1, bits1);                   \
                                                                                          \
		how##_##group(operation, bits)                                            \
	}
#define CHAIN_BODY(first, second) FUSED_BODY(CHAIN, first, second)
#define PAIR_BODY(first, second)  FUSED_BODY(PAIR, first, second)

#define CHAIN_LABEL(first, second) [OPVM_CHAIN_##first##_##second] = &&CHAIN_##first##_##second,
#define PAIR_LABEL(first, second)  [OPVM_PAIR_##first##_##second] = &&PAIR_##first##_##second,

int opvm_interpret_on(const struct opvm_program *program, void *context, uint64_t fuel,
		      uint64_t *result, void *stack_end)
{
	static const void *const labels[OPVM_CODES] = {
		OPVM_OPCODES(LABEL, LABEL) OPVM_OPCODES(LABEL_BACK, LABEL_BACK)
			OPVM_CHAINS(CHAIN_LABEL) OPVM_PAIRS(PAIR_LABEL)[OPVM_TRAP] = &&trap};
	struct frame frames[OPVM_MAX_FRAMES - 1];
	const struct opvm_operation *op = &program->operations[program->entry];
	int64_t left = fuel > INT64_MAX ? INT64_MAX : (int64_t)fuel;
	unsigned depth = 0;
	uint64_t r[11];

	r[1] = (uint64_t)(uintptr_t)context;
	r[10] = (uint64_t)(uintptr_t)stack_end;
	NEXT(0);

	OPVM_OPCODES(BODY, BODY)
	OPVM_OPCODES(BODY_BACK, BODY_BACK)
	OPVM_CHAINS(CHAIN_BODY)
	OPVM_PAIRS(PAIR_BODY)

call_HELPER:
call_BTF:
	r[0] = op->function(r[1], r[2], r[3], r[4], r[5], context);
	NEXT(1);
call_LOCAL:
	CHARGE(op->call.cost);
	frames[depth].return_to = op + 1;
	memcpy(frames[depth].saved, &r[6], sizeof(frames[depth].saved));
	depth++;
	r[10] -= op->call.stack_bytes;
	NEXT(1 + op->offset);
call_REGISTER:
	CHARGE(op->call.cost);
	frames[depth].return_to = op + 1;
	memcpy(frames[depth].saved, &r[6], sizeof(frames[depth].saved));
	depth++;
	r[10] -= op->call.stack_bytes;
	op = (const struct opvm_operation *)(uintptr_t)DST;
	NEXT(0);
leave:
	if (depth == 0) {
		*result = r[0];
		return 0;
	}
	depth--;
	memcpy(&r[6], frames[depth].saved, sizeof(frames[depth].saved));
	op = frames[depth].return_to;
	NEXT(0);
exhausted:
	*result = program->exhausted_result;
	return -ETIME;
trap:
	/* Verification saw that nothing comes here; were it wrong, the program ends. */
	*result = program->exhausted_result;
	return -EFAULT;
}

OPVM_HOST_UNUSUAL_JUMPS(opvm_interpret_on)

static __attribute__((__noinline__)) int interpret_deep(const struct opvm_program *program,
							void *context, uint64_t fuel,
							uint64_t *result)
{
	uint64_t stack[OPVM_STACK_BYTES * OPVM_MAX_FRAMES / 8];

	return opvm_interpret_on(program, context, fuel, result, stack + OPVM_LENGTH(stack));
}

int opvm_interpret(const struct opvm_program *program, void *context, uint64_t fuel,
		   uint64_t *result)
{
	uint64_t stack[OPVM_STACK_BYTES / 8];

	if (program->info.stack_bytes > sizeof(stack))
		return interpret_deep(program, context, fuel, result);
	return opvm_interpret_on(program, context, fuel, result, stack + OPVM_LENGTH(stack));
}
