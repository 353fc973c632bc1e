/* SPDX-License-Identifier: MIT */
/*
 * Logs, and instructions as text: the same patterns that the assembler reads.
 */
#include "opvm_internal.h"

/* ---- logs ---------------------------------------------------------------------------------- */

static void append(struct opvm_log *log, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
static void append(struct opvm_log *log, const char *format, va_list arguments)
{
	size_t room;
	int written;

	if (log == NULL || log->size_bytes == 0 || log->used_bytes + 1 >= log->size_bytes)
		return;
	room = log->size_bytes - log->used_bytes;
	written = opvm_host_format(log->text + log->used_bytes, room, format, arguments);
	if (written > 0)
		log->used_bytes += (size_t)written < room ? (size_t)written : room - 1;
}

void opvm_log(struct opvm_log *log, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	append(log, format, arguments);
	va_end(arguments);
}

int opvm_fail(struct opvm_log *log, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	append(log, format, arguments);
	va_end(arguments);
	return -error;
}

int opvm_format(char *text, size_t size_bytes, const char *format, ...)
{
	va_list arguments;
	int written;

	va_start(arguments, format);
	written = opvm_host_format(text, size_bytes, format, arguments);
	va_end(arguments);
	return written;
}

/* ---- instructions -------------------------------------------------------------------------- */

struct writer {
	char *text;
	size_t size_bytes;
	size_t used;
};

static void put(struct writer *writer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void put(struct writer *writer, const char *format, ...)
{
	const size_t room = writer->size_bytes - writer->used;
	va_list arguments;
	int written;

	va_start(arguments, format);
	written = opvm_host_format(writer->text + writer->used, room, format, arguments);
	va_end(arguments);
	if (written > 0)
		writer->used += (size_t)written < room ? (size_t)written : room - 1;
}

/** Writes what a pattern's @letter stands for. */
static void put_operand(struct writer *writer, const struct opvm_instruction *instruction,
			char letter)
{
	switch (letter) {
	case 'd':
		put(writer, "r%u", opvm_dst(instruction));
		break;
	case 's':
		put(writer, "r%u", opvm_src(instruction));
		break;
	case 'i':
		put(writer, "%d", instruction->immediate);
		break;
	case 'I':
		put(writer, "0x%llx", (unsigned long long)opvm_wide(instruction));
		break;
	case 'o':
	case 't':
		put(writer, "%+d", instruction->offset);
		break;
	default:
		put(writer, "%+d", instruction->immediate);
		break;
	}
}

static int write_bytes(struct writer *writer, const struct opvm_instruction *instruction)
{
	put(writer, "undefined: opcode 0x%02x registers 0x%02x offset %d immediate %d",
	    instruction->opcode, instruction->registers, instruction->offset,
	    instruction->immediate);
	return -EINVAL;
}

int opvm_write_instruction(const struct opvm_instruction *instructions, uint32_t count,
			   uint32_t index, char *text, size_t size_bytes)
{
	struct writer writer = {text, size_bytes, 0};
	const int row = opvm_decode(&instructions[index]);
	const bool wide = row >= 0 && opvm_shapes[row].group == OPVM_GROUP_WIDE;

	if (row < 0 || (wide && index + 1 == count))
		return write_bytes(&writer, &instructions[index]);
	for (const char *at = opvm_shapes[row].text; *at != 0; at++)
		if (*at == '%')
			put_operand(&writer, &instructions[index], *++at);
		else
			put(&writer, "%c", *at);
	return wide ? 2 : 1;
}
