/* SPDX-License-Identifier: MIT */
/*
 * Machine code by the kernel's own compiler: a module cannot have memory to execute, but
 * bpf_prog_alloc() and bpf_prog_select_runtime() are for modules, too. They take instructions that
 * need no verifier any more, which is what a lowered program is translated to, in two passes of the
 * same size: the first finds out where everything lies.
 *
 *	begin:      fuel and the address of the call to the stack; r1 = the context; to the entry
 *	operations: those of the program, but
 *	            jumps backwards use up fuel first, and go to `exhausted` when it is out;
 *	            divisions have their zeros and overflows told apart, which machines trap;
 *	            what newer instructions do is done by older ones;
 *	            the result goes to the call's memory, as what the kernel's programs return has
 *32 bits exhausted:  r0 = RAN_OUT; exit trap:       r0 = TRAPPED; exit
 *
 * What the kernel's compiler has no register or place for is interpreted as before: functions,
 * addresses of code, more stack than the kernel's programs have. AX is the register that the kernel
 * keeps for translations like this one.
 */
#include "interpret.h"

#include <linux/filter.h>

/* What the translated program returns. */
enum outcome {
	RAN = 0,
	RAN_OUT = 1,
	TRAPPED = 2
};

/* What it is called with. */
struct call {
	void *context;
	int64_t fuel;
	uint64_t result;
};

/* Signed division came with version 4 of the instruction set, in Linux 6.6. */
#ifdef BPF_MEMSX
#define HAS_SIGNED_DIVISION true
#else
#define HAS_SIGNED_DIVISION false
#endif

/* The stack of the kernel's programs, of which two words are taken here. */
#define MOST_STACK_BYTES 480

struct translation {
	const struct opvm_program *program;
	/* NULL in the first pass. */
	struct bpf_insn *code;
	uint32_t used;
	/* The operation that is being translated. */
	uint32_t at;
	/* Where each operation begins. */
	uint32_t *places;
	uint32_t exhausted;
	uint32_t trap;
	/* Below r10. */
	int16_t fuel_place;
	int16_t call_place;
	/* A jump is too far for its field, or something has no translation. */
	bool failed;
};

static void emit(struct translation *to, struct bpf_insn instruction)
{
	if (to->code)
		to->code[to->used] = instruction;
	to->used++;
}

/* How far from the instruction that comes next. */
static int16_t distance(struct translation *to, uint32_t place)
{
	const int64_t far = (int64_t)place - to->used - 1;

	if (to->code && (far > S16_MAX || far < S16_MIN))
		to->failed = true;
	return (int16_t)far;
}

static void emit_jump(struct translation *to, uint32_t place)
{
	const int16_t far = distance(to, place);

	emit(to, BPF_JMP_A(far));
}

/* ---- helpers ------------------------------------------------------------------------------- */

/* As the kernel's programs call functions. */
#define HELPER(index)                                                      \
	static u64 call_helper_##index(u64 a, u64 b, u64 c, u64 d, u64 e)  \
	{                                                                  \
		return opvm_builtins[index].function(a, b, c, d, e, NULL); \
	}
HELPER(0)
HELPER(1)
HELPER(2)
HELPER(3)
HELPER(4)
HELPER(5)
HELPER(6)
HELPER(7)

static u64 (*const helpers[])(u64 a, u64 b, u64 c, u64 d, u64 e) = {
	call_helper_0, call_helper_1, call_helper_2, call_helper_3,
	call_helper_4, call_helper_5, call_helper_6, call_helper_7,
};

/* Calls are 32 bits away from a place in the kernel; some machines load modules farther off. */
static void translate_helper(struct translation *to, const struct opvm_operation *op)
{
	unsigned int index = 0;
	int64_t far;

	while (index < OPVM_LENGTH(helpers) && opvm_builtins[index].function != op->function)
		index++;
	if (index == OPVM_LENGTH(helpers)) {
		to->failed = true;
		return;
	}
	far = (int64_t)((uintptr_t)helpers[index] - (uintptr_t)__bpf_call_base);
	if (far != (int32_t)far)
		to->failed = true;
	emit(to, BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, (int32_t)far));
}

/* ---- arithmetic ---------------------------------------------------------------------------- */

static uint8_t class_of(const struct opvm_shape *shape)
{
	return shape->bits == 64 ? BPF_ALU64 : BPF_ALU;
}

static void emit_alu_k(struct translation *to, const struct opvm_shape *shape, uint8_t what,
		       uint8_t dst, int32_t immediate)
{
	emit(to, BPF_RAW_INSN(class_of(shape) | what | BPF_K, dst, 0, 0, immediate));
}

static void emit_alu_x(struct translation *to, const struct opvm_shape *shape, uint8_t what,
		       uint8_t dst, uint8_t src)
{
	emit(to, BPF_RAW_INSN(class_of(shape) | what | BPF_X, dst, src, 0, 0));
}

/* The instruction as it is in the table. */
static void emit_same(struct translation *to, const struct opvm_operation *op,
		      const struct opvm_shape *shape, int32_t immediate)
{
	emit(to,
	     BPF_RAW_INSN(shape->opcode, op->dst, shape->form & OPVM_FORM_S ? op->src : 0,
			  shape->selector == OPVM_SELECT_OFFSET ? shape->selected : 0, immediate));
}

/* A jump over @count instructions unless src has this value, as wide as the operation. */
static void skip_unless(struct translation *to, const struct opvm_shape *shape, uint8_t src,
			int32_t value, int16_t count)
{
	const uint8_t class = shape->bits == 64 ? BPF_JMP : BPF_JMP32;

	emit(to, BPF_RAW_INSN(class | BPF_JNE | BPF_K, src, 0, count, value));
}

static bool is_remainder(const struct opvm_shape *shape)
{
	return shape->operation == OPVM_DO_MOD || shape->operation == OPVM_DO_SMOD;
}

static bool is_signed_division(const struct opvm_shape *shape)
{
	return shape->operation == OPVM_DO_SDIV || shape->operation == OPVM_DO_SMOD;
}

/* dst divided by 0: 0, or for remainders dst itself, of which 32 bits are left. */
static void divide_by_zero(struct translation *to, const struct opvm_operation *op,
			   const struct opvm_shape *shape)
{
	if (is_remainder(shape))
		emit_alu_x(to, shape, BPF_MOV, op->dst, op->dst);
	else
		emit_alu_k(to, shape, BPF_MOV, op->dst, 0);
}

/* dst divided by -1. */
static void divide_by_minus_one(struct translation *to, const struct opvm_operation *op,
				const struct opvm_shape *shape)
{
	if (is_remainder(shape))
		emit_alu_k(to, shape, BPF_MOV, op->dst, 0);
	else
		emit_alu_k(to, shape, BPF_NEG, op->dst, 0);
}

static void translate_division_k(struct translation *to, const struct opvm_operation *op,
				 const struct opvm_shape *shape)
{
	if ((int32_t)op->immediate == 0)
		divide_by_zero(to, op, shape);
	else if (is_signed_division(shape) && (int32_t)op->immediate == -1)
		divide_by_minus_one(to, op, shape);
	else
		emit_same(to, op, shape, (int32_t)op->immediate);
}

static void translate_division_x(struct translation *to, const struct opvm_operation *op,
				 const struct opvm_shape *shape)
{
	const bool is_signed = is_signed_division(shape);

	skip_unless(to, shape, op->src, 0, 2);
	divide_by_zero(to, op, shape);
	emit(to, BPF_JMP_A(is_signed ? 4 : 1));
	if (is_signed) {
		skip_unless(to, shape, op->src, -1, 2);
		divide_by_minus_one(to, op, shape);
		emit(to, BPF_JMP_A(1));
	}
	emit_same(to, op, shape, 0);
}

static void translate_division(struct translation *to, const struct opvm_operation *op,
			       const struct opvm_shape *shape)
{
	if (is_signed_division(shape) && !HAS_SIGNED_DIVISION)
		to->failed = true;
	if (shape->form & OPVM_FORM_S)
		translate_division_x(to, op, shape);
	else
		translate_division_k(to, op, shape);
}

/* dst's low @bits with their sign, as wide as the operation. */
static void extend_sign(struct translation *to, const struct opvm_shape *shape, uint8_t dst,
			unsigned int bits)
{
	emit_alu_k(to, shape, BPF_LSH, dst, (int32_t)(shape->bits - bits));
	emit_alu_k(to, shape, BPF_ARSH, dst, (int32_t)(shape->bits - bits));
}

static void translate_sign(struct translation *to, const struct opvm_operation *op,
			   const struct opvm_shape *shape, unsigned int bits)
{
	emit_alu_x(to, shape, BPF_MOV, op->dst, op->src);
	extend_sign(to, shape, op->dst, bits);
}

/* The order of bytes that this machine has not. */
#ifdef __BIG_ENDIAN
#define OTHER_ORDER BPF_TO_LE
#else
#define OTHER_ORDER BPF_TO_BE
#endif

static void translate_alu(struct translation *to, const struct opvm_operation *op,
			  const struct opvm_shape *shape)
{
	switch (shape->operation) {
	case OPVM_DO_DIV:
	case OPVM_DO_SDIV:
	case OPVM_DO_MOD:
	case OPVM_DO_SMOD:
		translate_division(to, op, shape);
		break;
	case OPVM_DO_MOVSX8:
		translate_sign(to, op, shape, 8);
		break;
	case OPVM_DO_MOVSX16:
		translate_sign(to, op, shape, 16);
		break;
	case OPVM_DO_MOVSX32:
		translate_sign(to, op, shape, 32);
		break;
	case OPVM_DO_SWAP16:
	case OPVM_DO_SWAP32:
	case OPVM_DO_SWAP64:
		emit(to, BPF_ENDIAN(OTHER_ORDER, op->dst, shape->selected));
		break;
	case OPVM_DO_LE16:
	case OPVM_DO_LE32:
	case OPVM_DO_LE64:
	case OPVM_DO_BE16:
	case OPVM_DO_BE32:
	case OPVM_DO_BE64:
		emit_same(to, op, shape, shape->selected);
		break;
	case OPVM_DO_LSH:
	case OPVM_DO_RSH:
	case OPVM_DO_ARSH:
		/* Of more, some machines take what they like. */
		emit_same(to, op, shape,
			  shape->form & OPVM_FORM_S
				  ? 0
				  : (int32_t)op->immediate & (int32_t)(shape->bits - 1));
		break;
	default:
		emit_same(to, op, shape,
			  shape->form & OPVM_FORM_S || !(shape->form & OPVM_FORM_I)
				  ? 0
				  : (int32_t)op->immediate);
	}
}

/* ---- memory -------------------------------------------------------------------------------- */

static uint8_t width_of(const struct opvm_shape *shape)
{
	switch (shape->bits) {
	case 8:
		return BPF_B;
	case 16:
		return BPF_H;
	case 32:
		return BPF_W;
	default:
		return BPF_DW;
	}
}

static void translate_load(struct translation *to, const struct opvm_operation *op,
			   const struct opvm_shape *shape)
{
	static const struct opvm_shape wide = {.bits = 64};

	emit(to, BPF_LDX_MEM(width_of(shape), op->dst, op->src, (int16_t)op->offset));
	if (shape->operation == OPVM_DO_LOAD_SIGNED)
		extend_sign(to, &wide, op->dst, shape->bits);
}

static void translate_store(struct translation *to, const struct opvm_operation *op,
			    const struct opvm_shape *shape)
{
	if (shape->group == OPVM_GROUP_STORE_K)
		emit(to, BPF_ST_MEM(width_of(shape), op->dst, (int16_t)op->offset,
				    (int32_t)op->immediate));
	else
		emit(to, BPF_STX_MEM(width_of(shape), op->dst, op->src, (int16_t)op->offset));
}

/* What 32 bits were read to has no others; not every machine sees to that itself. */
static void translate_atomic(struct translation *to, const struct opvm_operation *op,
			     const struct opvm_shape *shape)
{
	const uint8_t read_to = shape->operation == OPVM_DO_CMPXCHG ? BPF_REG_0 : op->src;

	emit(to,
	     BPF_RAW_INSN(shape->opcode, op->dst, op->src, (int16_t)op->offset, shape->selected));
	if (shape->bits == 32 && shape->operation >= OPVM_DO_FETCH_ADD)
		emit(to, BPF_MOV32_REG(read_to, read_to));
}

static void translate_wide(struct translation *to, const struct opvm_operation *op,
			   const struct opvm_shape *shape)
{
	if (shape->operation == OPVM_DO_CODE)
		to->failed = true;
	emit(to, BPF_RAW_INSN(BPF_LD | BPF_DW | BPF_IMM, op->dst, 0, 0, (int32_t)op->bits));
	emit(to, BPF_RAW_INSN(0, 0, 0, 0, (int32_t)(op->bits >> 32)));
}

/* ---- control ------------------------------------------------------------------------------- */

static void go_back(struct translation *to, const struct opvm_operation *op)
{
	emit(to, BPF_LDX_MEM(BPF_DW, BPF_REG_AX, BPF_REG_FP, to->fuel_place));
	emit(to, BPF_ALU64_IMM(BPF_SUB, BPF_REG_AX, -op->offset));
	emit(to, BPF_STX_MEM(BPF_DW, BPF_REG_FP, BPF_REG_AX, to->fuel_place));
	emit(to, BPF_JMP_IMM(BPF_JSLT, BPF_REG_AX, 0, distance(to, to->exhausted)));
	emit_jump(to, to->places[to->at + 1 + (uint32_t)op->offset]);
}

static void translate_jump(struct translation *to, const struct opvm_operation *op,
			   const struct opvm_shape *shape)
{
	const bool always = shape->group == OPVM_GROUP_JUMP;
	const uint32_t target = to->at + 1 + (uint32_t)op->offset;
	struct bpf_insn jump =
		BPF_RAW_INSN(shape->opcode, op->dst, op->src, 0, (int32_t)op->immediate);

	if (shape->form & OPVM_FORM_S)
		jump.imm = 0;
	else
		jump.src_reg = 0;
	if (op->offset >= 0 && always) {
		emit_jump(to, to->places[target]);
	} else if (op->offset >= 0) {
		jump.off = distance(to, to->places[target]);
		emit(to, jump);
	} else {
		/* Over what goes round it, to going back. */
		jump.off = 1;
		if (!always) {
			emit(to, jump);
			emit(to, BPF_JMP_A(5));
		}
		go_back(to, op);
	}
}

static void translate_exit(struct translation *to)
{
	emit(to, BPF_LDX_MEM(BPF_DW, BPF_REG_AX, BPF_REG_FP, to->call_place));
	emit(to, BPF_STX_MEM(BPF_DW, BPF_REG_AX, BPF_REG_0, offsetof(struct call, result)));
	emit(to, BPF_MOV64_IMM(BPF_REG_0, RAN));
	emit(to, BPF_EXIT_INSN());
}

static void end_early(struct translation *to, enum outcome outcome)
{
	emit(to, BPF_MOV64_IMM(BPF_REG_0, outcome));
	emit(to, BPF_EXIT_INSN());
}

/* ---- programs ------------------------------------------------------------------------------ */

static void translate_group(struct translation *to, const struct opvm_operation *op,
			    const struct opvm_shape *shape)
{
	switch (shape->group) {
	case OPVM_GROUP_ALU_K:
	case OPVM_GROUP_ALU_X:
		translate_alu(to, op, shape);
		break;
	case OPVM_GROUP_JUMP:
	case OPVM_GROUP_JUMP_K:
	case OPVM_GROUP_JUMP_X:
		translate_jump(to, op, shape);
		break;
	case OPVM_GROUP_CALL:
		if (shape->operation == OPVM_DO_HELPER || shape->operation == OPVM_DO_BTF)
			translate_helper(to, op);
		else
			to->failed = true;
		break;
	case OPVM_GROUP_EXIT:
		translate_exit(to);
		break;
	case OPVM_GROUP_WIDE:
		translate_wide(to, op, shape);
		break;
	case OPVM_GROUP_LOAD:
		translate_load(to, op, shape);
		break;
	case OPVM_GROUP_ATOMIC:
		translate_atomic(to, op, shape);
		break;
	default:
		translate_store(to, op, shape);
	}
}

/* One operation; goes on to the next. */
static void translate_one(struct translation *to)
{
	const struct opvm_operation *const op = &to->program->operations[to->at];
	const struct opvm_shape *shape;

	to->places[to->at] = to->used;
	if (op->code == OPVM_TRAP) {
		emit_jump(to, to->trap);
		to->at++;
		return;
	}
	shape = opvm_shape_of(op->code);
	translate_group(to, op, shape);
	to->at += shape->group == OPVM_GROUP_WIDE ? 2 : 1;
}

static void begin(struct translation *to)
{
	emit(to, BPF_LDX_MEM(BPF_DW, BPF_REG_AX, BPF_REG_1, offsetof(struct call, fuel)));
	emit(to, BPF_STX_MEM(BPF_DW, BPF_REG_FP, BPF_REG_AX, to->fuel_place));
	emit(to, BPF_STX_MEM(BPF_DW, BPF_REG_FP, BPF_REG_1, to->call_place));
	emit(to, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_1, offsetof(struct call, context)));
	emit_jump(to, to->places[to->program->entry]);
}

static void translate(struct translation *to)
{
	to->used = 0;
	begin(to);
	for (to->at = 0; to->at < to->program->operations_count && !to->failed;)
		translate_one(to);
	to->exhausted = to->used;
	end_early(to, RAN_OUT);
	to->trap = to->used;
	end_early(to, TRAPPED);
}

static int refuse(struct opvm_log *log)
{
	return opvm_fail(log, EOPNOTSUPP,
			 "the kernel's compiler does not take this program; it is interpreted\n");
}

/* A program of the kernel's, of @to's size; NULL after an error. */
static struct bpf_prog *make(struct translation *to, uint32_t stack_bytes)
{
	struct bpf_prog *const prog = bpf_prog_alloc(bpf_prog_size(to->used), 0);

	if (!prog)
		return NULL;
	prog->len = to->used;
	prog->gpl_compatible = 1;
	prog->aux->stack_depth = stack_bytes;
	strscpy(prog->aux->name, "opvm", sizeof(prog->aux->name));
	to->code = prog->insnsi;
	translate(to);
	return prog;
}

/* @prog as machine code, or gone. */
static struct bpf_prog *compile(struct bpf_prog *prog)
{
	int error = 0;

	prog = bpf_prog_select_runtime(prog, &error);
	if (!error && prog->jited)
		return prog;
	bpf_prog_free(prog);
	return NULL;
}

int opvm_compile(struct opvm_program *program, struct opvm_log *log)
{
	const uint32_t stack_bytes = round_up(program->info.stack_bytes, 8);
	struct translation to = {
		.program = program,
		.fuel_place = (int16_t)(-(int32_t)(stack_bytes + 8)),
		.call_place = (int16_t)(-(int32_t)(stack_bytes + 16)),
	};
	struct bpf_prog *prog = NULL;

	if (program->compiled)
		return 0;
	if (stack_bytes > MOST_STACK_BYTES)
		return refuse(log);
	to.places = opvm_host_allocate((program->operations_count + 1) * sizeof(to.places[0]));
	if (!to.places)
		return opvm_fail(log, ENOMEM, "no memory to compile %u instructions\n",
				 program->operations_count);
	translate(&to);
	if (!to.failed)
		prog = make(&to, stack_bytes + 16);
	opvm_host_free(to.places);
	if (prog && to.failed) {
		bpf_prog_free(prog);
		prog = NULL;
	}
	program->code = prog ? compile(prog) : NULL;
	program->compiled = program->code;
	return program->compiled ? 0 : refuse(log);
}

int opvm_run_code(const struct opvm_program *program, void *context, uint64_t fuel,
		  uint64_t *result)
{
	struct call call = {
		.context = context,
		.fuel = fuel > INT64_MAX ? INT64_MAX : (int64_t)fuel,
	};

	switch (bpf_prog_run_pin_on_cpu(program->compiled, &call)) {
	case RAN:
		*result = call.result;
		return 0;
	case RAN_OUT:
		*result = program->exhausted_result;
		return -ETIME;
	default:
		*result = program->exhausted_result;
		return -EFAULT;
	}
}

void opvm_release_code(struct opvm_program *program)
{
	if (program->code)
		bpf_prog_free(program->code);
}
