/* SPDX-License-Identifier: MIT */
/*
 * The assembler: lines against the patterns of the table of instructions, in two passes: first
 *labels and what is declared, then instructions.
 *
 *	# a comment
 *	.map counts hash 8 8 1024        name, kind, bytes of keys and values, entries
 *	.program main                    begins here; without any, "main" begins at the first line
 *	again:                           a label
 *		lddw r1, map counts
 *		jne r2, 0, again
 */
#include "object.h"

#include <ctype.h>

struct label {
	const char *name;
	uint32_t at;
};

struct assembler {
	struct opvm_object *object;
	struct opvm_log *log;
	struct label *labels;
	uint32_t labels_count;
	/** The line that is being read, without its comment. */
	const char *text;
	size_t length;
	uint32_t line;
	/** Instructions before this line. */
	uint32_t at;
	/** First pass: only labels and declarations. */
	bool first;
};

/* Where a line is read, and what has been read of its instruction. */
struct reader {
	const struct assembler *assembler;
	const char *at;
	const char *end;
	struct opvm_instruction halves[2];
};

static int wrong(const struct assembler *assembler, const char *what)
{
	return opvm_fail(assembler->log, EINVAL, "line %u: %s: %.*s\n", assembler->line, what,
			 (int)assembler->length, assembler->text);
}

/* ---- words --------------------------------------------------------------------------------- */

static void skip_spaces(struct reader *reader)
{
	while (reader->at < reader->end && isspace((unsigned char)*reader->at))
		reader->at++;
}

static bool is_word(char letter)
{
	return isalnum((unsigned char)letter) || letter == '_' || letter == '.';
}

/** The next word, whose length is returned; 0 if there is none. */
static size_t read_word(struct reader *reader, const char **word)
{
	skip_spaces(reader);
	*word = reader->at;
	while (reader->at < reader->end && is_word(*reader->at))
		reader->at++;
	return (size_t)(reader->at - *word);
}

static bool is_same(const char *word, size_t length, const char *name)
{
	return strlen(name) == length && memcmp(word, name, length) == 0;
}

/** An integer in decimal or, after 0x, in hexadecimal, with or without a sign. */
static bool read_number(struct reader *reader, int64_t *number)
{
	char digits[32];
	char *end;
	size_t length = 0;

	skip_spaces(reader);
	while (reader->at + length < reader->end && length < sizeof(digits) - 1 &&
	       (is_word(reader->at[length]) ||
		(length == 0 && (*reader->at == '-' || *reader->at == '+')))) {
		digits[length] = reader->at[length];
		length++;
	}
	digits[length] = 0;
	if (length == 0)
		return false;
	errno = 0;
	*number = digits[0] == '-' ? strtoll(digits, &end, 0) : (int64_t)strtoull(digits, &end, 0);
	if (errno != 0 || *end != 0 || end == digits)
		return false;
	reader->at += length;
	return true;
}

/* ---- operands ------------------------------------------------------------------------------ */

static bool read_register(struct reader *reader, unsigned shift)
{
	const char *word;
	const size_t length = read_word(reader, &word);
	unsigned number;

	if (length < 2 || length > 3 || word[0] != 'r' || !isdigit((unsigned char)word[1]))
		return false;
	number = (unsigned)(word[1] - '0');
	if (length == 3) {
		if (!isdigit((unsigned char)word[2]) || number == 0)
			return false;
		number = number * 10 + (unsigned)(word[2] - '0');
	}
	if (number > 15)
		return false;
	reader->halves[0].registers |= (uint8_t)(number << shift);
	return true;
}

static int64_t find_label(const struct assembler *assembler, const char *word, size_t length)
{
	for (uint32_t index = 0; index < assembler->labels_count; index++)
		if (is_same(word, length, assembler->labels[index].name))
			return assembler->labels[index].at;
	return -1;
}

/** A label, or a distance with its sign. */
static bool read_target(struct reader *reader, int64_t *distance)
{
	const char *word;
	size_t length;
	int64_t at;

	skip_spaces(reader);
	if (reader->at < reader->end && (*reader->at == '+' || *reader->at == '-'))
		return read_number(reader, distance);
	length = read_word(reader, &word);
	if (length == 0)
		return false;
	at = find_label(reader->assembler, word, length);
	/* In the first pass labels may not be known yet. */
	*distance = at < 0 ? 0 : at - reader->assembler->at - 1;
	return at >= 0 || reader->assembler->first;
}

/** Names that stand for an immediate: maps and helpers. */
static bool read_name(struct reader *reader, int64_t *number)
{
	const struct opvm_object *const object = reader->assembler->object;
	const char *word;
	const size_t length = read_word(reader, &word);

	for (uint32_t index = 0; length > 0 && index < object->maps_count; index++)
		if (is_same(word, length, object->definitions[index].name)) {
			*number = index;
			return true;
		}
	for (const struct opvm_helper *helper = opvm_builtins; helper->function != NULL; helper++)
		if (is_same(word, length, helper->name)) {
			*number = helper->number;
			return true;
		}
	return false;
}

static bool read_immediate(struct reader *reader)
{
	const char *const start = reader->at;
	int64_t number;

	if (!read_number(reader, &number)) {
		reader->at = start;
		if (!read_name(reader, &number))
			return false;
	}
	if (number < INT32_MIN || number > UINT32_MAX)
		return false;
	reader->halves[0].immediate = (int32_t)(uint32_t)number;
	return true;
}

/** 64 bits; of an address of a map's value "map+offset" as well. */
static bool read_wide(struct reader *reader)
{
	const char *const start = reader->at;
	int64_t number, offset = 0;

	if (!read_number(reader, &number)) {
		reader->at = start;
		if (!read_name(reader, &number))
			return false;
		if (reader->at < reader->end && *reader->at == '+' && !read_number(reader, &offset))
			return false;
		number |= offset << 32;
	}
	reader->halves[0].immediate = (int32_t)(uint32_t)number;
	reader->halves[1].immediate = (int32_t)(uint32_t)((uint64_t)number >> 32);
	return true;
}

/** An offset with its sign, or nothing for 0. */
static bool read_offset(struct reader *reader)
{
	int64_t number = 0;

	skip_spaces(reader);
	if (reader->at < reader->end && *reader->at != ']' && !read_number(reader, &number))
		return false;
	if (number < INT16_MIN || number > INT16_MAX)
		return false;
	reader->halves[0].offset = (int16_t)number;
	return true;
}

static bool read_operand(struct reader *reader, char letter)
{
	int64_t number = 0;

	switch (letter) {
	case 'd':
		return read_register(reader, 0);
	case 's':
		return read_register(reader, 4);
	case 'i':
		return read_immediate(reader);
	case 'I':
		return read_wide(reader);
	case 'o':
		return read_offset(reader);
	case 't':
		if (!read_target(reader, &number) || number < INT16_MIN || number > INT16_MAX)
			return false;
		reader->halves[0].offset = (int16_t)number;
		return true;
	default:
		if (!read_target(reader, &number) || number < INT32_MIN || number > INT32_MAX)
			return false;
		reader->halves[0].immediate = (int32_t)number;
		return true;
	}
}

/* ---- lines --------------------------------------------------------------------------------- */

static bool matches(struct reader *reader, const char *pattern)
{
	const char *const start = reader->at;

	for (; *pattern != 0; pattern++) {
		if (*pattern == '%') {
			if (!read_operand(reader, *++pattern))
				return false;
		} else if (*pattern == ' ') {
			if (reader->at != start && reader->at < reader->end &&
			    is_word(*reader->at) && is_word(reader->at[-1]))
				return false;
			skip_spaces(reader);
		} else {
			if (!is_word(*pattern))
				skip_spaces(reader);
			if (reader->at == reader->end || *reader->at != *pattern)
				return false;
			reader->at++;
		}
	}
	skip_spaces(reader);
	return reader->at == reader->end;
}

static void select_row(struct opvm_instruction *instruction, const struct opvm_shape *shape)
{
	instruction->opcode = shape->opcode;
	switch (shape->selector) {
	case OPVM_SELECT_OFFSET:
		instruction->offset = shape->selected;
		break;
	case OPVM_SELECT_IMMEDIATE:
		instruction->immediate = shape->selected;
		break;
	case OPVM_SELECT_SOURCE:
		instruction->registers |= (uint8_t)(shape->selected << 4);
		break;
	default:
		break;
	}
}

/** The row whose pattern the line has; OPVM_ROWS if there is none. */
static unsigned find_pattern(const struct assembler *assembler, struct reader *reader)
{
	for (unsigned row = 0; row < OPVM_ROWS; row++) {
		memset(reader, 0, sizeof(*reader));
		reader->assembler = assembler;
		reader->at = assembler->text;
		reader->end = assembler->text + assembler->length;
		if (matches(reader, opvm_shapes[row].text))
			return row;
	}
	return OPVM_ROWS;
}

static int add_instruction(struct assembler *assembler)
{
	struct reader reader;
	const unsigned row = find_pattern(assembler, &reader);
	unsigned halves;

	if (row == OPVM_ROWS)
		return wrong(assembler,
			     "neither an instruction nor a declaration, or an operand out "
			     "of its range, or a label that is not there");
	halves = opvm_shapes[row].group == OPVM_GROUP_WIDE ? 2 : 1;
	select_row(&reader.halves[0], &opvm_shapes[row]);
	for (unsigned half = 0; half < halves && !assembler->first; half++) {
		const int error = opvm_object_add(assembler->object, &reader.halves[half]);

		if (error != 0)
			return opvm_fail(assembler->log, -error, "line %u: too many instructions\n",
					 assembler->line);
	}
	assembler->at += halves;
	return 0;
}

static int add_label(struct assembler *assembler, size_t length)
{
	struct label *labels;
	const char *name;

	if (!assembler->first)
		return 0;
	if (find_label(assembler, assembler->text, length) >= 0)
		return wrong(assembler, "the label is there already");
	labels = realloc(assembler->labels, (assembler->labels_count + 1) * sizeof(*labels));
	if (labels == NULL)
		return wrong(assembler, "no memory");
	assembler->labels = labels;
	name = opvm_object_string(assembler->object, assembler->text, length);
	if (name == NULL)
		return wrong(assembler, "no memory");
	labels[assembler->labels_count++] = (struct label){name, assembler->at};
	return 0;
}

static int add_program(struct assembler *assembler, struct reader *reader)
{
	const char *word, *name;
	const size_t length = read_word(reader, &word);

	if (length == 0)
		return wrong(assembler, "a program needs a name");
	if (!assembler->first)
		return 0;
	name = opvm_object_string(assembler->object, word, length);
	if (name == NULL ||
	    opvm_object_add_program(assembler->object, name, "", assembler->at) != 0)
		return wrong(assembler, "no memory");
	return 0;
}

static uint32_t map_kind(const char *word, size_t length)
{
	static const char *const names[] = {"", "array", "hash", "per_cpu", "histogram", "ring"};

	for (uint32_t kind = 1; kind < OPVM_LENGTH(names); kind++)
		if (is_same(word, length, names[kind]))
			return kind;
	return 0;
}

static int add_map(struct assembler *assembler, struct reader *reader)
{
	struct opvm_object *const object = assembler->object;
	struct opvm_map_definition *const definition = &object->definitions[object->maps_count];
	int64_t numbers[3];
	const char *word;
	size_t length;

	if (!assembler->first)
		return 0;
	if (object->maps_count == OPVM_MAX_MAPS)
		return wrong(assembler, "too many maps");
	length = read_word(reader, &word);
	if (length == 0 || length >= sizeof(definition->name))
		return wrong(assembler, "a map needs a name of up to 31 letters");
	memset(definition, 0, sizeof(*definition));
	memcpy(definition->name, word, length);
	length = read_word(reader, &word);
	definition->kind = map_kind(word, length);
	for (unsigned index = 0; index < 3; index++)
		if (!read_number(reader, &numbers[index]) || numbers[index] < 0 ||
		    numbers[index] > UINT32_MAX)
			return wrong(assembler, "a map needs .map name kind key value entries");
	definition->key_bytes = (uint32_t)numbers[0];
	definition->value_bytes = (uint32_t)numbers[1];
	definition->entries = (uint32_t)numbers[2];
	if (definition->kind == 0)
		return wrong(assembler, "kinds are array, hash, per_cpu, histogram and ring");
	object->maps_count++;
	return 0;
}

static int read_line(struct assembler *assembler)
{
	struct reader reader = {
		assembler, assembler->text, assembler->text + assembler->length, {{0}}};
	const char *word;
	const size_t length = read_word(&reader, &word);

	if (is_same(word, length, ".map"))
		return add_map(assembler, &reader);
	if (is_same(word, length, ".program"))
		return add_program(assembler, &reader);
	if (length > 0 && length + 1 == assembler->length && assembler->text[length] == ':')
		return add_label(assembler, length);
	return add_instruction(assembler);
}

/** Takes the next line without spaces around it and without its comment. */
static const char *take_line(struct assembler *assembler, const char *text)
{
	const char *const newline = strchr(text, '\n');
	const char *end = newline != NULL ? newline : text + strlen(text);
	const char *const next = newline != NULL ? newline + 1 : end;
	const char *const comment = memchr(text, '#', (size_t)(end - text));

	end = comment != NULL ? comment : end;
	while (text < end && isspace((unsigned char)*text))
		text++;
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	assembler->text = text;
	assembler->length = (size_t)(end - text);
	assembler->line++;
	return next;
}

static int read_all(struct assembler *assembler, const char *text)
{
	assembler->at = 0;
	assembler->line = 0;
	while (*text != 0) {
		int error = 0;

		text = take_line(assembler, text);
		if (assembler->length > 0)
			error = read_line(assembler);
		if (error != 0)
			return error;
	}
	return 0;
}

int opvm_object_assemble(const char *text, struct opvm_log *log, struct opvm_object **object)
{
	struct assembler assembler = {.log = log, .first = true};
	int error;

	assembler.object = opvm_object_create();
	if (assembler.object == NULL)
		return opvm_fail(log, ENOMEM, "no memory for an object\n");
	error = read_all(&assembler, text);
	assembler.first = false;
	if (error == 0)
		error = read_all(&assembler, text);
	if (error == 0 && assembler.object->programs_count == 0)
		error = opvm_object_add_program(assembler.object, "main", "", 0);
	free(assembler.labels);
	if (error != 0)
		opvm_object_destroy(assembler.object);
	else
		*object = assembler.object;
	return error;
}
