/* SPDX-License-Identifier: MIT */
/*
 * Machine code is never writable while it is executable, does not contain constants of the program,
 * and runs out of fuel where interpretation does.
 */
#include "kinds.h"
#include "opvm_internal.h"

#include <setjmp.h>

#include <cmocka.h>

/** A compiled program of the text; the test skips where there is no compiler. */
static struct opvm_program *compile(const char *text, struct opvm_object **object)
{
	struct opvm_program *program;

	assert_int_equal(opvm_object_assemble(text, NULL, object), 0);
	assert_int_equal(opvm_object_load(*object, &test_environment, NULL, NULL), 0);
	program = opvm_object_find_program(*object, NULL);
	if (opvm_compile(program, NULL) == -ENOTSUP)
		skip();
	assert_non_null(program->code);
	return program;
}

static bool contains(const struct opvm_program *program, uint64_t value, size_t bytes)
{
	return memmem(program->code, program->code_bytes, &value, bytes) != NULL;
}

static void constants_are_hidden(void **unused)
{
	struct opvm_object *object;
	const struct opvm_program *const program = compile("lddw r0, 0x3c909090903c9090\n"
							   "mov r1, 0x3ceb9091\n"
							   "add r0, 0x3ceb9092\n"
							   "xor32 r1, 0x3ceb9093\n"
							   "stdw [r10-8], 0x3ceb9094\n"
							   "jgt r0, 0x3ceb9095, +0\n"
							   "exit\n",
							   &object);
	uint64_t result;

	(void)unused;
	assert_false(contains(program, 0x3c909090903c9090, 8));
	for (uint64_t value = 0x3ceb9091; value <= 0x3ceb9095; value++)
		assert_false(contains(program, value, 4));
	assert_int_equal(opvm_run(program, NULL, 100, &result), 0);
	assert_int_equal(result, 0x3c909090903c9090 + 0x3ceb9092);
	opvm_object_destroy(object);
}

static void pages_are_executable_and_not_writable(void **unused)
{
	struct opvm_object *object;
	const struct opvm_program *const program = compile("mov r0, 1\nexit\n", &object);
	FILE *const maps = fopen("/proc/self/maps", "r");
	char line[512], access[8] = "";
	unsigned long first, end;

	(void)unused;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL)
		if (sscanf(line, "%lx-%lx %7s", &first, &end, access) == 3 &&
		    first <= (uintptr_t)program->code && end > (uintptr_t)program->code)
			break;
	fclose(maps);
	assert_string_equal(access, "r-xp");
	opvm_object_destroy(object);
}

/** Rounds that leave a trace, with ways on, out in the middle, and back. */
static const char *const loops[] = {
	"	ldxw r3, [r1+20]\n"
	"	mov r0, 0\n"
	"	mov r2, 0\n"
	"again:\n"
	"	add r2, 1\n"
	"	stxdw [r1+24], r2\n"
	"	jeq r2, r3, out\n"
	"	jset r2, 1, odd\n"
	"	add r0, 3\n"
	"odd:\n"
	"	add r0, 1\n"
	"	jne r2, 40, again\n"
	"	add r0, 1000\n"
	"out:\n"
	"	exit\n",
	"	ldxw r3, [r1+20]\n"
	"	mov r0, 0\n"
	"	mov r2, 0\n"
	"again:\n"
	"	jge r2, r3, out\n"
	"	stxdw [r1+24], r2\n"
	"	lddw r4, 0x123456789abcdef\n"
	"	xor r0, r4\n"
	"	add r2, 1\n"
	"	ja again\n"
	"out:\n"
	"	exit\n",
	/* One within another, so that what is given back matters afterwards. */
	"	mov r0, 0\n"
	"	mov r2, 0\n"
	"	ldxw r4, [r1+20]\n"
	"outer:\n"
	"	mov r3, 0\n"
	"inner:\n"
	"	add r0, 1\n"
	"	stxdw [r1+24], r0\n"
	"	jge r3, r4, next\n"
	"	add r3, 1\n"
	"	jne r3, 7, inner\n"
	"next:\n"
	"	add r2, 1\n"
	"	jne r2, 9, outer\n"
	"	exit\n",
	"	mov r0, 0\n"
	"	ldxw r2, [r1+20]\n"
	"again:\n"
	"	add r2, -1\n"
	"	jsgt r2, 0, again\n"
	"	stxdw [r1+24], r2\n"
	"	exit\n",
};

_Static_assert(offsetof(struct test_context, number) == 20, "loops read the number from here");
_Static_assert(offsetof(struct test_context, writable) == 24, "loops leave traces here");

static void compare_runs(const struct opvm_program *program, uint32_t number, uint64_t fuel)
{
	struct test_context interpreted = {.number = number}, compiled = {.number = number};
	uint64_t results[2];
	const int error = opvm_interpret(program, &interpreted, fuel, &results[0]);

	assert_int_equal(opvm_run(program, &compiled, fuel, &results[1]), error);
	assert_int_equal(results[0], results[1]);
	assert_memory_equal(&interpreted, &compiled, sizeof(compiled));
}

static void fuel_ends_as_when_interpreted(void **unused)
{
	struct opvm_object *object;

	(void)unused;
	for (unsigned index = 0; index < OPVM_LENGTH(loops); index++) {
		const struct opvm_program *const program = compile(loops[index], &object);

		for (uint32_t number = 0; number < 14; number++)
			for (uint64_t fuel = 0; fuel < 340; fuel++)
				compare_runs(program, number, fuel);
		opvm_object_destroy(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constants_are_hidden),
		cmocka_unit_test(pages_are_executable_and_not_writable),
		cmocka_unit_test(fuel_ends_as_when_interpreted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
