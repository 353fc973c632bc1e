/* SPDX-License-Identifier: MIT */
/*
 * Where there is no compiler for the machine.
 */
#include "interpret.h"

int opvm_compile(struct opvm_program *program, struct opvm_log *log)
{
	(void)program;
	return opvm_fail(log, ENOTSUP,
			 "there is no compiler for this machine; programs are "
			 "interpreted\n");
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
