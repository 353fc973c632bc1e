/* SPDX-License-Identifier: MIT */
/*
 * The kind of program that tests use.
 */
#include "kinds.h"

#include <string.h>

uint64_t test_variable;
static uint64_t constant = 0x1122334455667788;

static uint64_t sum(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, void *context)
{
	(void)context;
	return a + b + c + d + e;
}

static uint64_t fill(uint64_t memory, uint64_t size, uint64_t byte, uint64_t d, uint64_t e,
		     void *context)
{
	(void)d, (void)e, (void)context;
	memset((void *)(uintptr_t)memory, (int)byte, (size_t)size);
	return 0;
}

static uint64_t number(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, void *context)
{
	(void)b, (void)c, (void)d, (void)e;
	return a == (uint64_t)(uintptr_t)context ? ((struct test_context *)context)->number : 0;
}

#define INTEGER OPVM_ARGUMENT_INTEGER

static const struct opvm_helper helpers[] = {
	{"sum",
	 sum,
	 TEST_SUM,
	 TEST_BTF_ID,
	 {INTEGER, INTEGER, INTEGER, INTEGER, INTEGER},
	 OPVM_RESULT_INTEGER,
	 0},
	{"fill",
	 fill,
	 TEST_FILL,
	 0,
	 {OPVM_ARGUMENT_WRITE, OPVM_ARGUMENT_SIZE, INTEGER},
	 OPVM_RESULT_INTEGER,
	 0},
	{"number", number, TEST_NUMBER, 0, {OPVM_ARGUMENT_CONTEXT}, OPVM_RESULT_INTEGER, 0},
};

static const struct opvm_variable variables[] = {
	{"counter", &test_variable, sizeof(test_variable), true},
	{"constant", &constant, sizeof(constant), false},
};

#define PLACE(member) \
#member, offsetof(struct test_context, member), sizeof(((struct test_context *)0)->member)

static const struct opvm_field fields[] = {
	{PLACE(data), OPVM_FIELD_REGION, OPVM_FIELD_WRITABLE, 0, 0, TEST_DATA_MIN, TEST_DATA_MAX},
	{PLACE(data_end), OPVM_FIELD_REGION_END, 0, 0, 0, TEST_DATA_MIN, TEST_DATA_MAX},
	{PLACE(length), OPVM_FIELD_REGION_LENGTH, 0, 0, 0, TEST_DATA_MIN, TEST_DATA_MAX},
	{PLACE(number), OPVM_FIELD_INTEGER, 0, 0, 0, 0, 0},
	{PLACE(writable), OPVM_FIELD_INTEGER, OPVM_FIELD_WRITABLE, 0, 0, 0, 0},
	{PLACE(bytes), OPVM_FIELD_INTEGER, 0, 0, 0, 0, 0},
};

static const struct opvm_context context = {"test", sizeof(struct test_context),
					    sizeof(fields) / sizeof(fields[0]), fields};

const struct opvm_environment test_environment = {
	.size = sizeof(struct opvm_environment),
	.helpers_count = sizeof(helpers) / sizeof(helpers[0]),
	.variables_count = sizeof(variables) / sizeof(variables[0]),
	.context = &context,
	.helpers = helpers,
	.variables = variables,
};
