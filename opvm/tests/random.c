/* SPDX-License-Identifier: MIT */
/*
 * Programs made of bytes. A prologue puts into registers what programs work with; then bytes choose
 * instructions, registers among those few, and small offsets and immediates.
 */
#include "random.h"
#include "checked.h"
#include "emit.h"
#include "kinds.h"

#define MOST_INSTRUCTIONS 128
#define VALUE_BYTES       64
#define FUEL              3000
#define EXHAUSTED         0xe0e0e0e0e0e0e0e0
#define DATA_BYTES        24

struct maker {
	const uint8_t *bytes;
	size_t left;
	struct opvm_instruction code[MOST_INSTRUCTIONS];
	uint32_t count;
};

/* What a run leaves behind, beside its result. */
struct outcome {
	int error;
	uint64_t result;
	uint64_t writable;
	uint64_t variable;
	uint8_t data[DATA_BYTES];
	uint8_t value[VALUE_BYTES];
};

/* ---- making -------------------------------------------------------------------------------- */

static uint8_t take(struct maker *maker)
{
	if (maker->left == 0)
		return 0;
	maker->left--;
	return *maker->bytes++;
}

static void emit(struct maker *maker, unsigned row, unsigned dst, unsigned src, int offset,
		 int immediate)
{
	maker->code[maker->count++] = make_instruction(row, dst, src, offset, immediate);
	if (opvm_shapes[row].group == OPVM_GROUP_WIDE)
		maker->code[maker->count++] = (struct opvm_instruction){0};
}

/** r6: context, r7: first byte, r8: past the last one, r9: a map's value; numbers in r0 to r5. */
static void emit_prologue(struct maker *maker)
{
	emit(maker, OPVM_OP_MOV64_X, 6, 1, 0, 0);
	emit(maker, OPVM_OP_LDXDW, 7, 1, offsetof(struct test_context, data), 0);
	emit(maker, OPVM_OP_LDXDW, 8, 1, offsetof(struct test_context, data_end), 0);
	emit(maker, OPVM_OP_LDDW_INDEX_VALUE, 9, 0, 0, 0);
	emit(maker, OPVM_OP_STDW, 10, 0, -8, (int8_t)take(maker));
	emit(maker, OPVM_OP_LDXW, 0, 6, offsetof(struct test_context, length), 0);
	emit(maker, OPVM_OP_LDXDW, 2, 6, offsetof(struct test_context, writable), 0);
	emit(maker, OPVM_OP_LDXW, 3, 6, offsetof(struct test_context, number), 0);
	emit(maker, OPVM_OP_MOV64_K, 4, 0, 0, (int8_t)take(maker));
	emit(maker, OPVM_OP_MOV64_K, 1, 0, 0, take(maker));
	emit(maker, OPVM_OP_MOV64_X, 5, 7 + take(maker) % 3U, 0, 0);
}

static int small_number(struct maker *maker)
{
	static const int usual[] = {0,  1,  2,  3,  4,  7,   8,   15,        16,        31,     24,
				    63, 64, -1, -2, -8, 255, 256, INT32_MAX, INT32_MIN, 0xffff, 60};
	const uint8_t byte = take(maker);

	return byte < 128 ? usual[byte % OPVM_LENGTH(usual)] : byte - 192;
}

static int jump_distance(struct maker *maker)
{
	const int distance = take(maker) % 16 - 6;

	if (distance < 0 && (int)maker->count + 1 + distance < 12)
		return 1;
	return distance;
}

/** A pointer moved by a number that a mask or a comparison keeps small: what the proof is about. */
static void emit_bounded_access(struct maker *maker)
{
	const unsigned number = take(maker) % 5, pointer = take(maker) % 2 ? 9 : 7;
	const uint8_t how = take(maker);

	if (how & 1)
		emit(maker, OPVM_OP_AND64_K, number, 0, 0, small_number(maker));
	else
		emit(maker, OPVM_OP_JLT64_K + how % 4U, number, 0, jump_distance(maker),
		     small_number(maker));
	emit(maker, OPVM_OP_MOV64_X, 5, pointer, 0, 0);
	emit(maker, OPVM_OP_ADD64_X, 5, number, 0, 0);
	if (how & 2) {
		emit(maker, OPVM_OP_MOV64_X, number, 5, 0, 0);
		emit(maker, OPVM_OP_ADD64_K, number, 0, 0, 1 + take(maker) % 8);
		emit(maker, OPVM_OP_JGT64_X, number, 8, jump_distance(maker), 0);
	}
	emit(maker, how & 4 ? OPVM_OP_LDXB + take(maker) % 7U : OPVM_OP_STB + take(maker) % 8U,
	     how & 4 ? number : 5, how & 4 ? 5 : 4, take(maker) % 8 - 1, small_number(maker));
}

static void emit_lookup(struct maker *maker)
{
	emit(maker, OPVM_OP_STW, 10, 0, -4, take(maker) % 6);
	emit(maker, OPVM_OP_MOV64_X, 2, 10, 0, 0);
	emit(maker, OPVM_OP_ADD64_K, 2, 0, 0, -4);
	emit(maker, OPVM_OP_LDDW_INDEX, 1, 0, 0, 0);
	emit(maker, OPVM_OP_CALL, 0, 0, 0, OPVM_CALL_MAP_LOOKUP);
	emit(maker, OPVM_OP_MOV64_X, 5, 0, 0, 0);
	emit(maker, take(maker) % 4 ? OPVM_OP_JEQ64_K : OPVM_OP_JNE64_K, take(maker) % 2 ? 5 : 0, 0,
	     jump_distance(maker), 0);
}

static void emit_any(struct maker *maker)
{
	const unsigned row = take(maker) % OPVM_ROWS;
	const uint8_t registers = take(maker);
	const unsigned group = opvm_shapes[row].group;

	if (group == OPVM_GROUP_CALL || group == OPVM_GROUP_EXIT ||
	    (group == OPVM_GROUP_WIDE && row != OPVM_OP_LDDW))
		return;
	emit(maker, row, registers % 6, registers / 6 % 11,
	     opvm_is_jump((uint8_t)row) ? jump_distance(maker) : -(int)(take(maker) % 24),
	     row == OPVM_OP_JA_FAR ? jump_distance(maker) : small_number(maker));
}

static void make(struct maker *maker)
{
	emit_prologue(maker);
	while (maker->left > 0 && maker->count < MOST_INSTRUCTIONS - 32) {
		const uint8_t kind = take(maker);

		if (kind < 60)
			emit_bounded_access(maker);
		else if (kind < 70)
			emit_lookup(maker);
		else if (kind < 130)
			emit(maker, OPVM_OP_ADD64_K, kind % 6U, 0, 0, small_number(maker));
		else
			emit_any(maker);
	}
	/* Jumps forwards may come here; the result is a number more often than not. */
	for (unsigned index = 0; index < 10; index++)
		emit(maker, OPVM_OP_MOV64_K, 5, 0, 0, 0);
	emit(maker, OPVM_OP_MOV64_X, 0, take(maker) % 5, 0, 0);
	emit(maker, OPVM_OP_EXIT, 0, 0, 0, 0);
}

/* ---- running ------------------------------------------------------------------------------- */

/** Under which a program runs. */
struct conditions {
	uint32_t length;
	uint64_t fuel;
};

enum way {
	BY_CHECKED,
	BY_INTERPRETER,
	BY_MACHINE
};

static void reset_map(struct opvm_map *map)
{
	uint8_t value[VALUE_BYTES];

	for (unsigned at = 0; at < sizeof(value); at++)
		value[at] = (uint8_t)(at * 3);
	for (uint32_t key = 0; key < 4; key++)
		opvm_map_set(map, &key, value, 0);
}

static int run_checked(const struct opvm_program *program, struct test_context *context,
		       const uint8_t *data, struct opvm_map *map, uint64_t fuel, uint64_t *result)
{
	struct checked checked = {.program = program, .context = context, .fuel = fuel};
	int error;

	checked_allow(&checked, context, offsetof(struct test_context, writable), false);
	checked_allow(&checked, &context->writable, 8, true);
	checked_allow(&checked, context->bytes, sizeof(context->bytes), false);
	checked_allow(&checked, data, context->length, true);
	for (uint32_t key = 0; key < 4; key++)
		checked_allow(&checked, opvm_map_lookup(map, &key), VALUE_BYTES, true);
	checked_allow(&checked, &test_variable, sizeof(test_variable), true);
	error = checked_run(&checked, result);
	if (checked.violation != NULL)
		printf("accepted, but instruction %u uses %s\n", checked.at, checked.violation);
	return error;
}

static void run(enum way way, const struct opvm_program *program, const struct conditions *given,
		struct opvm_map *map, struct outcome *outcome)
{
	const uint32_t length = given->length, key = 0;
	struct test_context context = {.length = length, .number = 42, .writable = 7};
	uint8_t *const data = malloc(length);

	memset(outcome, 0, sizeof(*outcome));
	for (uint32_t at = 0; at < length; at++)
		data[at] = (uint8_t)(at + 1);
	context.data = (uint64_t)(uintptr_t)data;
	context.data_end = context.data + length;
	test_variable = 0;
	reset_map(map);
	if (way == BY_CHECKED)
		outcome->error =
			run_checked(program, &context, data, map, given->fuel, &outcome->result);
	else if (way == BY_INTERPRETER)
		outcome->error = opvm_interpret(program, &context, given->fuel, &outcome->result);
	else
		outcome->error = opvm_run(program, &context, given->fuel, &outcome->result);
	outcome->writable = context.writable;
	outcome->variable = test_variable;
	memcpy(outcome->data, data, length);
	opvm_map_get(map, &key, outcome->value);
	free(data);
}

static bool compare(const struct opvm_program *program, struct opvm_map *map,
		    const struct conditions *given, bool compiled, struct random_totals *totals)
{
	struct outcome checked, outcome;

	run(BY_CHECKED, program, given, map, &checked);
	if (checked.error == -EFAULT)
		return false;
	totals->exhausted += checked.error == -ETIME;
	for (enum way way = BY_INTERPRETER; way <= (compiled ? BY_MACHINE : BY_INTERPRETER);
	     way++) {
		run(way, program, given, map, &outcome);
		if (memcmp(&checked, &outcome, sizeof(outcome)) != 0) {
			printf("%s: error %d, result 0x%llx; checked: error %d, result 0x%llx\n",
			       way == BY_MACHINE ? "machine code" : "interpreter", outcome.error,
			       (unsigned long long)outcome.result, checked.error,
			       (unsigned long long)checked.result);
			return false;
		}
	}
	return true;
}

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

static bool run_all(const struct maker *maker, struct opvm_map *map, struct random_totals *totals)
{
	static const struct conditions given[] = {
		{TEST_DATA_MIN, FUEL}, {9, FUEL}, {DATA_BYTES, FUEL}, {DATA_BYTES, 47}, {9, 150}};
	static char message[4096];
	struct opvm_log log = {message, sizeof(message), 0};
	const struct opvm_source source = {.size = sizeof(source),
					   .count = maker->count,
					   .instructions = maker->code,
					   .maps_count = 1,
					   .maps = &map,
					   .max_steps = 20000,
					   .exhausted_result = EXHAUSTED};
	struct opvm_program *program;
	bool good = true, compiled;

	totals->programs++;
	if (opvm_program_create(&test_environment, &source, &log, &program) != 0)
		return true;
	totals->accepted++;
	compiled = opvm_compile(program, NULL) == 0;
	totals->compiled += compiled;
	for (unsigned index = 0; good && index < OPVM_LENGTH(given); index++)
		good = compare(program, map, &given[index], compiled, totals);
	opvm_program_destroy(program);
	return good;
}

bool random_try(const uint8_t *bytes, size_t count, struct random_totals *totals)
{
	static const struct opvm_map_definition definition = {"values", OPVM_MAP_ARRAY, 4,
							      VALUE_BYTES, 4};
	static struct maker maker;
	struct opvm_map *map;
	bool good;

	memset(&maker, 0, sizeof(maker));
	maker.bytes = bytes;
	maker.left = count;
	make(&maker);
	if (opvm_map_create(&definition, NULL, &map) != 0)
		return true;
	good = run_all(&maker, map, totals);
	if (!good)
		print_program(&maker);
	opvm_map_destroy(map);
	return good;
}
