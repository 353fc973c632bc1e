/* SPDX-License-Identifier: MIT */
/*
 * What people read of the verifier: refusals and steps.
 */
#include "verify.h"

#define TEXT_BYTES 128

static void write_number(const struct opvm_value *value, char *text, size_t size_bytes)
{
	char range[TEXT_BYTES];

	opvm_range_write(&value->range, range, sizeof(range));
	if (opvm_range_is_constant(&value->range))
		opvm_format(text, size_bytes, "%+lld", (long long)value->range.smin);
	else
		opvm_format(text, size_bytes, " + (%s)", range);
}

static void write_pointer(const struct opvm_verifier *verifier, const struct opvm_value *value,
			  char *text, size_t size_bytes)
{
	char number[TEXT_BYTES + 8];

	write_number(value, number, sizeof(number));
	switch (value->type) {
	case OPVM_TYPE_CONTEXT:
		opvm_format(text, size_bytes, "context%s", number);
		break;
	case OPVM_TYPE_STACK:
		opvm_format(text, size_bytes, "stack of function %u%s", value->index, number);
		break;
	case OPVM_TYPE_MAP:
		opvm_format(text, size_bytes, "map %s",
			    opvm_map_describe(verifier->source->maps[value->index])->name);
		break;
	case OPVM_TYPE_VALUE:
		opvm_format(text, size_bytes, "value of map %s%s%s",
			    opvm_map_describe(verifier->source->maps[value->index])->name, number,
			    value->or_null ? ", or null" : "");
		break;
	case OPVM_TYPE_REGION:
		opvm_format(text, size_bytes, "%s%s", verifier->regions[value->index].name, number);
		break;
	case OPVM_TYPE_REGION_END:
		opvm_format(text, size_bytes, "end of %s%s", verifier->regions[value->index].name,
			    number);
		break;
	case OPVM_TYPE_VARIABLE:
		opvm_format(text, size_bytes, "variable %s%s",
			    verifier->environment->variables[value->index].name, number);
		break;
	default:
		opvm_format(text, size_bytes, "function at instruction %u", value->index);
		break;
	}
}

void opvm_value_write(const struct opvm_verifier *verifier, const struct opvm_value *value,
		      char *text, size_t size_bytes)
{
	if (value->type == OPVM_TYPE_NOTHING)
		opvm_format(text, size_bytes, "nothing that may be used");
	else if (value->type == OPVM_TYPE_INTEGER)
		opvm_range_write(&value->range, text, size_bytes);
	else
		write_pointer(verifier, value, text, size_bytes);
}

static const struct opvm_line *find_line(const struct opvm_source *source, uint32_t at)
{
	const struct opvm_line *line = NULL;

	for (uint32_t index = 0; index < source->lines_count; index++)
		if (source->lines[index].instruction <= at)
			line = &source->lines[index];
	return line;
}

static void write_line(struct opvm_verifier *verifier, uint32_t at)
{
	const struct opvm_line *const line = find_line(verifier->source, at);

	if (line != NULL)
		opvm_log(verifier->log, "  at %s:%u: %s\n", line->file != NULL ? line->file : "?",
			 line->line, line->text != NULL ? line->text : "");
}

static void write_registers(struct opvm_verifier *verifier)
{
	const struct opvm_frame *const frame = opvm_top(verifier->state);
	char text[TEXT_BYTES * 2];

	for (unsigned reg = 0; reg < OPVM_LENGTH(frame->registers); reg++) {
		if (frame->registers[reg].type == OPVM_TYPE_NOTHING)
			continue;
		opvm_value_write(verifier, &frame->registers[reg], text, sizeof(text));
		opvm_log(verifier->log, "  r%u: %s\n", reg, text);
	}
}

static void write_instruction(struct opvm_verifier *verifier)
{
	char text[TEXT_BYTES];

	opvm_write_instruction(verifier->source->instructions, verifier->source->count,
			       verifier->state->at, text, sizeof(text));
	opvm_log(verifier->log, "instruction %u: %s\n", verifier->state->at, text);
}

int opvm_refuse(struct opvm_verifier *verifier, const char *format, ...)
{
	char needed[TEXT_BYTES * 2];
	va_list arguments;

	va_start(arguments, format);
	opvm_host_format(needed, sizeof(needed), format, arguments);
	va_end(arguments);
	write_instruction(verifier);
	write_line(verifier, verifier->state->at);
	opvm_log(verifier->log, "  needs %s\n", needed);
	write_registers(verifier);
	for (uint32_t frame = verifier->state->frames_count; frame-- > 1;)
		opvm_log(verifier->log, "  in a function called by instruction %u\n",
			 verifier->state->frames[frame].call_at);
	return -EACCES;
}

void opvm_explain(struct opvm_verifier *verifier)
{
	const struct opvm_instruction *const instruction =
		&verifier->source->instructions[verifier->state->at];
	const struct opvm_frame *const frame = opvm_top(verifier->state);
	const uint8_t form = opvm_shapes[verifier->rows[verifier->state->at]].form;
	char text[TEXT_BYTES * 2];

	write_instruction(verifier);
	if ((form & OPVM_FORM_D) &&
	    frame->registers[opvm_dst(instruction)].type != OPVM_TYPE_NOTHING) {
		opvm_value_write(verifier, &frame->registers[opvm_dst(instruction)], text,
				 sizeof(text));
		opvm_log(verifier->log, "  r%u: %s\n", opvm_dst(instruction), text);
	}
	if (form & OPVM_FORM_S) {
		opvm_value_write(verifier, &frame->registers[opvm_src(instruction)], text,
				 sizeof(text));
		opvm_log(verifier->log, "  r%u: %s\n", opvm_src(instruction), text);
	}
}
