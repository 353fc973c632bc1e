/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the verifier: bytes become programs (opvm/tests/random.c), and those that are accepted are
 * run by an interpreter that checks everything, by the real one, and as machine code. Bytes are
 * also taken for instructions as they are, which mostly tries what refuses.
 */
#include "kinds.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void verify_raw(const uint8_t *data, size_t size)
{
	char message[1024];
	struct opvm_log log = {message, sizeof(message), 0};
	struct opvm_source source = {
		.size = sizeof(source), .max_steps = 5000, .verify_only = true};
	struct opvm_instruction *const code = malloc(size + 1);

	if (code == NULL)
		abort();
	memcpy(code, data, size);
	source.instructions = code;
	source.count = (uint32_t)(size / sizeof(*code));
	opvm_program_create(&test_environment, &source, &log, NULL);
	free(code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct random_totals totals = {0};

	if (size == 0 || size > 4096)
		return 0;
	if (data[0] & 1)
		verify_raw(data + 1, size - 1);
	else if (!random_try(data + 1, size - 1, &totals))
		abort();
	return 0;
}
