// SPDX-License-Identifier: GPL-2.0
/*
 * A module that was built without opvm: there are no programs.
 */
#include "kbdus_internal.h"

int kbdus_program_init(void)
{
	return 0;
}

void kbdus_program_exit(void)
{
}

bool kbdus_program_serve(struct kbdus_queue *queue, struct request *request, int op, u16 flags)
{
	return false;
}

bool kbdus_program_end(struct request *request, int result)
{
	return false;
}

void kbdus_program_end_delays(struct kbdus_device *device)
{
}

long kbdus_program_command(unsigned int number, void __user *argument)
{
	return -ENOTTY;
}

void kbdus_program_put(struct kbdus_program *program)
{
}
