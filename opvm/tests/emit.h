/* SPDX-License-Identifier: MIT */
/*
 * Makes instructions of rows of the table.
 */
#ifndef OPVM_TESTS_EMIT_H
#define OPVM_TESTS_EMIT_H

#include "opvm_internal.h"

/** The instruction of @row with those of the operands that it has. */
static inline struct opvm_instruction make_instruction(unsigned row, unsigned dst, unsigned src,
						       int offset, int immediate)
{
	const struct opvm_shape *const shape = &opvm_shapes[row];
	struct opvm_instruction made = {0};

	made.opcode = shape->opcode;
	made.registers = (uint8_t)((shape->form & OPVM_FORM_D ? dst : 0) |
				   (shape->form & OPVM_FORM_S ? src << 4 : 0));
	made.offset = shape->form & OPVM_FORM_O ? (int16_t)offset : 0;
	made.immediate = shape->form & OPVM_FORM_I ? immediate : 0;
	if (shape->selector == OPVM_SELECT_OFFSET)
		made.offset = shape->selected;
	else if (shape->selector == OPVM_SELECT_IMMEDIATE)
		made.immediate = shape->selected;
	else if (shape->selector == OPVM_SELECT_SOURCE)
		made.registers |= (uint8_t)(shape->selected << 4);
	return made;
}

#endif
