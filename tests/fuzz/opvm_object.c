/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes what reads objects: ELF, or a text for the assembler; and loading what was read.
 */
#include "kinds.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct opvm_source defaults = {.size = sizeof(defaults), .max_steps = 5000};
	char message[1024];
	struct opvm_log log = {message, sizeof(message), 0};
	struct opvm_object *object = NULL;
	const bool elf = size > 0 && data[0] == 0x7f;
	char *const text = malloc(size + 1);
	int error;

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	error = elf ? opvm_object_read(data, size, &log, &object)
		    : opvm_object_assemble(text, &log, &object);
	if (error == 0 && opvm_object_map_definition(object, 8) == NULL)
		opvm_object_load(object, &test_environment, &defaults, &log);
	opvm_object_destroy(object);
	free(text);
	return 0;
}
