/* SPDX-License-Identifier: MIT */
/*
 * Random programs, run by Linux (BPF_PROG_TEST_RUN) and in each way that opvm has: results and what
 * is left in memory have to be the same.
 *
 * Programs are made so that both verifiers take nearly all of them: numbers in r0 to r5, r7 and r8,
 * eight words of stack, a context of eight words, jumps forwards, and loops that r9 counts. What
 * Linux knows of RFC 9669 is found out first; what it does not know is left out.
 *
 * usage: linux SEED PROGRAMS
 */
#include "emit.h"

#include <linux/bpf.h>
#include <sys/syscall.h>

#define MOST_INSTRUCTIONS 192
#define WORDS             8
#define PARTS             4
#define FUEL              1000000
#define SKIPPED           77

struct context {
	uint64_t words[WORDS];
};

struct maker {
	uint64_t state;
	/** Linux knows the instructions that came last: of version 4, as compilers call it. */
	bool has_all;
	struct opvm_instruction code[MOST_INSTRUCTIONS];
	uint32_t count;
	/** Where instructions of the part that is being made start. */
	uint32_t starts[MOST_INSTRUCTIONS];
	uint32_t starts_count;
};

static const uint8_t numbers[] = {0, 1, 2, 3, 4, 5, 7, 8};

/* ---- making -------------------------------------------------------------------------------- */

static uint32_t random_below(struct maker *maker, uint32_t end)
{
	maker->state = maker->state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(maker->state >> 33) % end;
}

static unsigned random_register(struct maker *maker)
{
	return numbers[random_below(maker, OPVM_LENGTH(numbers))];
}

static int random_number(struct maker *maker)
{
	static const int usual[] = {0,  1,  2,  3,   7,     8,         15,        31,
				    63, -1, -2, 255, 65535, INT32_MAX, INT32_MIN, 64};

	if (random_below(maker, 3) == 0)
		return (int)random_below(maker, UINT32_MAX);
	return usual[random_below(maker, OPVM_LENGTH(usual))];
}

static void emit(struct maker *maker, unsigned row, unsigned dst, unsigned src, int offset,
		 int immediate)
{
	maker->starts[maker->starts_count++] = maker->count;
	maker->code[maker->count++] = make_instruction(row, dst, src, offset, immediate);
	if (opvm_shapes[row].group == OPVM_GROUP_WIDE)
		maker->code[maker->count++] =
			(struct opvm_instruction){.immediate = random_number(maker)};
}

/** What only newer kernels know: sign extension, signed division, swaps, far jumps. */
static bool is_new(unsigned row)
{
	const enum opvm_do operation = opvm_shapes[row].operation;

	return (operation >= OPVM_DO_MOVSX8 && operation <= OPVM_DO_MOVSX32) ||
	       (operation >= OPVM_DO_SWAP16 && operation <= OPVM_DO_SWAP64) ||
	       operation == OPVM_DO_SDIV || operation == OPVM_DO_SMOD ||
	       operation == OPVM_DO_LOAD_SIGNED || operation == OPVM_DO_JA_FAR;
}

/** An immediate that both verifiers take: shifts by less than the width, no division by 0. */
static int fitting_number(struct maker *maker, const struct opvm_shape *shape)
{
	const int number = random_number(maker);

	switch (shape->operation) {
	case OPVM_DO_LSH:
	case OPVM_DO_RSH:
	case OPVM_DO_ARSH:
		return number & (shape->bits - 1);
	case OPVM_DO_DIV:
	case OPVM_DO_SDIV:
	case OPVM_DO_MOD:
	case OPVM_DO_SMOD:
		return number != 0 ? number : 9;
	default:
		return number;
	}
}

/** An aligned place in the stack or, where @anywhere, the context: its base, and the offset. */
static unsigned random_place(struct maker *maker, unsigned bits, bool anywhere, int *offset)
{
	const unsigned bytes = bits / 8;
	const int place = (int)(random_below(maker, WORDS * 8 / bytes) * bytes);

	if (anywhere && random_below(maker, 2) == 0) {
		*offset = place;
		return 6;
	}
	*offset = place - WORDS * 8;
	return 10;
}

static void emit_memory(struct maker *maker, unsigned row)
{
	const struct opvm_shape *const shape = &opvm_shapes[row];
	const unsigned reg = random_register(maker);
	int offset;
	const unsigned base =
		random_place(maker, shape->bits, shape->group != OPVM_GROUP_ATOMIC, &offset);

	if (shape->group == OPVM_GROUP_LOAD)
		emit(maker, row, reg, base, offset, 0);
	else
		emit(maker, row, base, reg, offset, random_number(maker));
}

static void emit_random(struct maker *maker)
{
	const unsigned row = random_below(maker, OPVM_ROWS);
	const struct opvm_shape *const shape = &opvm_shapes[row];
	const unsigned dst = random_register(maker);

	if (is_new(row) && !maker->has_all)
		return;
	switch (shape->group) {
	case OPVM_GROUP_ALU_K:
		emit(maker, row, dst, 0, 0, fitting_number(maker, shape));
		break;
	case OPVM_GROUP_ALU_X:
		emit(maker, row, dst, random_register(maker), 0, 0);
		break;
	case OPVM_GROUP_JUMP_K:
	case OPVM_GROUP_JUMP_X:
		emit(maker, row, dst, random_register(maker), 0, random_number(maker));
		break;
	case OPVM_GROUP_LOAD:
	case OPVM_GROUP_STORE_K:
	case OPVM_GROUP_STORE_X:
	case OPVM_GROUP_ATOMIC:
		emit_memory(maker, row);
		break;
	case OPVM_GROUP_WIDE:
		if (row == OPVM_OP_LDDW)
			emit(maker, row, dst, 0, 0, random_number(maker));
		break;
	default: /* What ends or leaves a program is not left to chance. */
		break;
	}
}

/** Jumps of a part go to a later instruction of it, or to its end. */
static void aim_jumps(struct maker *maker)
{
	for (uint32_t index = 0; index < maker->starts_count; index++) {
		const uint32_t at = maker->starts[index];
		struct opvm_instruction *const jump = &maker->code[at];
		const uint32_t later = maker->starts_count - index;
		const uint32_t chosen = index + 1 + random_below(maker, later);

		if (opvm_is_jump((uint8_t)opvm_decode(jump)))
			jump->offset =
				(int16_t)((chosen < maker->starts_count ? maker->starts[chosen]
									: maker->count) -
					  at - 1);
	}
}

/** Some instructions, once or as often as r9 counts. */
static void emit_part(struct maker *maker)
{
	const uint32_t rounds = random_below(maker, 3) == 0 ? 1 + random_below(maker, 9) : 0;
	uint32_t first;

	emit(maker, OPVM_OP_MOV64_K, 9, 0, 0, (int)rounds);
	first = maker->count;
	maker->starts_count = 0;
	for (uint32_t left = 3 + random_below(maker, 16); left > 0; left--)
		emit_random(maker);
	aim_jumps(maker);
	if (rounds == 0)
		return;
	emit(maker, OPVM_OP_ADD64_K, 9, 0, 0, -1);
	emit(maker, OPVM_OP_JNE64_K, 9, 0, (int)first - (int)maker->count - 1, 0);
}

static void make(struct maker *maker)
{
	maker->count = 0;
	maker->starts_count = 0;
	emit(maker, OPVM_OP_MOV64_X, 6, 1, 0, 0);
	for (unsigned word = 0; word < WORDS; word++) {
		emit(maker, OPVM_OP_STDW, 10, 0, -8 * (int)(word + 1), random_number(maker));
		emit(maker, OPVM_OP_LDXDW, numbers[word], 6, 8 * (int)word, 0);
	}
	for (unsigned part = 0; part < PARTS; part++)
		emit_part(maker);
	for (unsigned word = 0; word < WORDS; word++)
		emit(maker, OPVM_OP_STXDW, 6, numbers[word], 8 * (int)word, 0);
	/* Linux tells 32 bits of the result. */
	for (unsigned word = 0; word < WORDS; word++) {
		emit(maker, OPVM_OP_LDXDW, 1, 10, -8 * (int)(word + 1), 0);
		emit(maker, OPVM_OP_XOR64_X, 0, 1, 0, 0);
		emit(maker, OPVM_OP_MUL64_K, 0, 0, 0, 0x01000193);
	}
	emit(maker, OPVM_OP_RSH64_K, 0, 0, 0, 20);
	emit(maker, OPVM_OP_EXIT, 0, 0, 0, 0);
}

/* ---- Linux --------------------------------------------------------------------------------- */

static long call_linux(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/** A descriptor of the program, or a negative errno. */
static int load_into_linux(const struct opvm_instruction *code, uint32_t count)
{
	union bpf_attr attributes;
	long loaded;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_SYSCALL;
	attributes.prog_flags = BPF_F_SLEEPABLE;
	attributes.insns = (uint64_t)(uintptr_t)code;
	attributes.insn_cnt = count;
	attributes.license = (uint64_t)(uintptr_t) "GPL";
	loaded = call_linux(BPF_PROG_LOAD, &attributes);
	return loaded < 0 ? -errno : (int)loaded;
}

static int run_in_linux(int program, struct context *context, uint32_t *result)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.test.prog_fd = (uint32_t)program;
	attributes.test.ctx_in = (uint64_t)(uintptr_t)context;
	attributes.test.ctx_size_in = sizeof(*context);
	if (call_linux(BPF_PROG_TEST_RUN, &attributes) < 0)
		return -errno;
	*result = attributes.test.retval;
	return 0;
}

static int try_in_linux(unsigned row)
{
	const struct opvm_instruction code[] = {make_instruction(OPVM_OP_MOV64_K, 0, 0, 0, 1),
						make_instruction(row, 0, 0, 0, 1),
						make_instruction(OPVM_OP_EXIT, 0, 0, 0, 0)};
	struct context context = {{0}};
	uint32_t result;
	const int program = load_into_linux(code, OPVM_LENGTH(code));
	int error = program;

	if (program >= 0) {
		error = run_in_linux(program, &context, &result);
		close(program);
	}
	return error;
}

/* ---- opvm ---------------------------------------------------------------------------------- */

static const struct opvm_field fields[] = {{.name = "words",
					    .size_bytes = sizeof(struct context),
					    .kind = OPVM_FIELD_INTEGER,
					    .flags = OPVM_FIELD_WRITABLE}};
static const struct opvm_context context_type = {"words", sizeof(struct context), 1, fields};
static const struct opvm_environment environment = {.size = sizeof(environment),
						    .context = &context_type};

static struct opvm_program *load(const struct maker *maker)
{
	static char message[4096];
	struct opvm_log log = {message, sizeof(message), 0};
	const struct opvm_source source = {
		.size = sizeof(source), .count = maker->count, .instructions = maker->code};
	struct opvm_program *program;
	const int error = opvm_program_create(&environment, &source, &log, &program);

	if (error == 0)
		return program;
	printf("Linux takes what opvm refuses: %s\n", message);
	return NULL;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static void print_program(const struct maker *maker)
{
	char text[128];

	for (uint32_t at = 0; at < maker->count;) {
		const int halves =
			opvm_write_instruction(maker->code, maker->count, at, text, sizeof(text));

		printf("%4u  %s\n", at, text);
		at += halves > 0 ? (uint32_t)halves : 1;
	}
}

static bool is_same(const char *way, const struct context *ours, uint64_t result,
		    const struct context *linux_context, uint32_t linux_result)
{
	if ((uint32_t)result != linux_result) {
		printf("%s: 0x%x, Linux: 0x%x\n", way, (uint32_t)result, linux_result);
		return false;
	}
	for (unsigned word = 0; word < WORDS; word++)
		if (ours->words[word] != linux_context->words[word]) {
			printf("%s leaves 0x%llx in word %u, Linux 0x%llx\n", way,
			       (unsigned long long)ours->words[word], word,
			       (unsigned long long)linux_context->words[word]);
			return false;
		}
	return true;
}

static bool compare(struct opvm_program *program, int in_linux, const struct context *given)
{
	struct context theirs = *given, interpreted = *given, compiled = *given;
	uint64_t result = 0;
	uint32_t expected = 0;

	if (run_in_linux(in_linux, &theirs, &expected) != 0 ||
	    opvm_interpret(program, &interpreted, FUEL, &result) != 0 ||
	    !is_same("interpreter", &interpreted, result, &theirs, expected))
		return false;
	return opvm_run(program, &compiled, FUEL, &result) == 0 &&
	       is_same("machine code", &compiled, result, &theirs, expected);
}

/** 1 if Linux does not take the program, 0 if all do the same, negative otherwise. */
static int try_one(struct maker *maker)
{
	struct opvm_program *program;
	struct context given;
	int in_linux, result = 0;

	make(maker);
	in_linux = load_into_linux(maker->code, maker->count);
	if (in_linux < 0)
		return 1;
	program = load(maker);
	if (program != NULL)
		opvm_compile(program, NULL);
	for (unsigned run = 0; program != NULL && result == 0 && run < 3; run++) {
		for (unsigned word = 0; word < WORDS; word++)
			given.words[word] = (uint64_t)(int64_t)random_number(maker) << (run * 11);
		result = compare(program, in_linux, &given) ? 0 : -1;
	}
	if (program == NULL || result < 0)
		print_program(maker);
	opvm_program_destroy(program);
	close(in_linux);
	return program == NULL ? -1 : result;
}

int main(int count, char **arguments)
{
	const uint64_t seed = count > 1 ? strtoull(arguments[1], NULL, 0) : 1;
	const uint64_t programs = count > 2 ? strtoull(arguments[2], NULL, 0) : 1000;
	const int error = try_in_linux(OPVM_OP_MOV64_K);
	static struct maker maker;
	uint64_t compared = 0;

	if (error < 0) {
		printf("SKIP: Linux does not run programs for this process: %s\n",
		       strerror(-error));
		return SKIPPED;
	}
	maker.has_all = try_in_linux(OPVM_OP_SDIV64_K) == 0;
	for (uint64_t index = 0; index < programs; index++) {
		int result;

		maker.state = seed * 1000000007u + index * 7919;
		result = try_one(&maker);
		if (result < 0) {
			printf("FAILED: seed %llu, program %llu\n", (unsigned long long)seed,
			       (unsigned long long)index);
			return 1;
		}
		compared += result == 0;
	}
	printf("%llu programs, %llu did the same in Linux%s\n", (unsigned long long)programs,
	       (unsigned long long)compared,
	       maker.has_all ? "" : ", which knows the older instructions only");
	return compared < programs / 4;
}
