/* SPDX-License-Identifier: MIT */
/*
 * The first frame of a context on AArch64, as switch.S takes it from the stack.
 */
#include "uthread_internal.h"

struct frame {
	uint64_t frame_pointer;
	void (*start)(void);
	uint64_t registers[10];
	uint64_t vectors[8];
	uint64_t fpcr;
	uint64_t unused;
};

void uthread_context_prepare(struct uthread_context *context, void *top)
{
	struct frame *const frame = (struct frame *)base_align_down((uintptr_t)top, 16) - 1;

	*frame = (struct frame){
		.start = uthread_context_start,
		.fpcr = context->registers.fpcr,
	};
	context->registers.sp = frame;
}
