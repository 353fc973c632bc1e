// SPDX-License-Identifier: GPL-2.0
/*
 * A module that runs random programs within the kernel, in every way that there is: by the checked
 * interpreter, by the interpreter, and as machine code of the kernel's own compiler. It can only be
 * loaded where all of them agree. What it did, and how long a program of 14 instructions took, is
 * in the kernel's log.
 */
#include "opvm.h"
#include "random.h"

#include <linux/module.h>
#include <linux/sched.h>

static unsigned int programs = 20000;
module_param(programs, uint, 0);
static unsigned long seed = 1;
module_param(seed, ulong, 0);

static u64 state;

static u8 random_byte(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (u8)(state >> 56);
}

/* As opvm/tests/differential.c. */
static int try_all(struct random_totals *totals)
{
	static u8 bytes[160];
	unsigned int index;
	size_t length, at;

	for (index = 0; index < programs; index++) {
		state = seed * 1000000007u + index;
		random_byte();
		length = 8 + random_byte() % 152u;
		for (at = 0; at < length; at++)
			bytes[at] = random_byte();
		if (!random_try(bytes, length, totals)) {
			pr_err("opvm: seed %lu, program %u\n", seed, index);
			return -EILSEQ;
		}
		cond_resched();
	}
	return 0;
}

/* ---- how long a call takes ------------------------------------------------------------------- */

#define CALLS 200000

struct numbers {
	u64 operation;
	u64 offset;
};

static const struct opvm_field fields[] = {
	{"operation", offsetof(struct numbers, operation), 8, OPVM_FIELD_INTEGER},
	{"offset", offsetof(struct numbers, offset), 8, OPVM_FIELD_INTEGER},
};

static const struct opvm_context context = {"numbers", sizeof(struct numbers), ARRAY_SIZE(fields),
					    fields};

static const struct opvm_environment environment = {
	.size = sizeof(struct opvm_environment),
	.context = &context,
};

/* The window of a filter: 14 instructions, all of which are run. */
static const struct opvm_instruction window[] = {
	{0x79, 0x12, 0, 0},    /* ldxdw r2, [r1+0] */
	{0x79, 0x13, 8, 0},    /* ldxdw r3, [r1+8] */
	{0xb7, 0x00, 0, 3},    /* mov r0, 3 */
	{0x15, 0x02, 9, 77},   /* jeq r2, 77, out */
	{0xbf, 0x34, 0, 0},    /* mov r4, r3 */
	{0x77, 0x04, 0, 12},   /* rsh r4, 12 */
	{0x57, 0x04, 0, 1023}, /* and r4, 1023 */
	{0x25, 0x04, 5, 1000}, /* jgt r4, 1000, out */
	{0xbf, 0x25, 0, 0},    /* mov r5, r2 */
	{0x67, 0x05, 0, 3},    /* lsh r5, 3 */
	{0x0f, 0x45, 0, 0},    /* add r5, r4 */
	{0x55, 0x05, 1, 5},    /* jne r5, 5, out */
	{0xb7, 0x00, 0, 0},    /* mov r0, 0 */
	{0x95, 0x00, 0, 0},    /* exit */
};

static u64 time_of(const struct opvm_program *program,
		   int (*run)(const struct opvm_program *, void *, uint64_t, uint64_t *))
{
	struct numbers numbers = {1, 8192};
	const u64 begin = ktime_get_ns();
	unsigned int call;
	u64 result;

	for (call = 0; call < CALLS; call++)
		run(program, &numbers, 1000, &result);
	return (ktime_get_ns() - begin) * 10 / CALLS;
}

static int measure(void)
{
	const struct opvm_source source = {
		.size = sizeof(source), .instructions = window, .count = ARRAY_SIZE(window)};
	struct opvm_program *program;
	u64 interpreted, compiled;
	int error = opvm_program_create(&environment, &source, NULL, &program);

	if (error)
		return error;
	if (!opvm_compile(program, NULL)) {
		time_of(program, opvm_run);
		compiled = time_of(program, opvm_run);
		interpreted = time_of(program, opvm_interpret);
		pr_info("opvm: 14 instructions: interpreter %llu.%llu ns, machine code %llu.%llu "
			"ns\n",
			interpreted / 10, interpreted % 10, compiled / 10, compiled % 10);
	}
	opvm_program_destroy(program);
	return 0;
}

static int __init start(void)
{
	struct random_totals totals = {0};
	int error = try_all(&totals);

	pr_info("opvm: %llu programs, %llu accepted, %llu as machine code, %llu runs out of fuel\n",
		totals.programs, totals.accepted, totals.compiled, totals.exhausted);
	return error ?: measure();
}
module_init(start);

static void __exit stop(void)
{
}
module_exit(stop);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Random programs of opvm within the kernel");
