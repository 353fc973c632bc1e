/* SPDX-License-Identifier: MIT */
/*
 * A kernel without a compiler of its own: modules cannot have memory to execute, so there is no
 * machine code.
 */
#include "interpret.h"

int opvm_compile(struct opvm_program *program, struct opvm_log *log)
{
	(void)program;
	return opvm_fail(log, EOPNOTSUPP,
			 "this kernel has no compiler; programs are interpreted\n");
}

int opvm_run_code(const struct opvm_program *program, void *context, uint64_t fuel,
		  uint64_t *result)
{
	return opvm_interpret(program, context, fuel, result);
}

void opvm_release_code(struct opvm_program *program)
{
	(void)program;
}
