/* SPDX-License-Identifier: MIT */
/*
 * Machine code is never writable while it is executable, and does not contain constants of the
 * program.
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constants_are_hidden),
		cmocka_unit_test(pages_are_executable_and_not_writable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
