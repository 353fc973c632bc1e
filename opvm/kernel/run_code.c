/* SPDX-License-Identifier: MIT */
/*
 * In the kernel there is no machine code of opvm's own: modules cannot have memory to execute.
 */
#include "interpret.h"

int opvm_run_code(const struct opvm_program *program, void *context, uint64_t fuel,
		  uint64_t *result)
{
	return opvm_interpret(program, context, fuel, result);
}

void opvm_release_code(struct opvm_program *program)
{
	(void)program;
}
