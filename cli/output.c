/* SPDX-License-Identifier: MIT */
/*
 * Text on stdout: tables whose columns fit their cells, wrapped paragraphs, sizes and names.
 * Nothing that comes from a device, a driver or another process reaches the terminal unfiltered.
 */
#include "cli_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char *cli_make_printable(char *text)
{
	for (unsigned char *byte = (unsigned char *)text; *byte != '\0'; byte++) {
		if (*byte < 0x20 || *byte == 0x7f)
			*byte = '?';
		else if (*byte == 0xc2 && byte[1] >= 0x80 && byte[1] < 0xa0)
			*byte++ = '?', *byte = '?'; /* U+0080 to U+009F */
	}
	return text;
}

/* ---- paragraphs ---------------------------------------------------------------------------- */

/** Prints one line of text that ends where @text does or at a newline; returns what follows. */
static const char *print_paragraph(const char *text, unsigned indent, unsigned *column)
{
	bool first = true;

	while (*text != '\0' && *text != '\n') {
		const unsigned length = (unsigned)strcspn(text, " \n");

		if (!first && *column + 1 + length > CLI_WIDTH) {
			printf("\n%*s", (int)indent, "");
			*column = indent;
			first = true;
		}
		printf("%s%.*s", first ? "" : " ", (int)length, text);
		*column += length + !first;
		first = false;
		text += length;
		text += *text == ' ';
	}
	return text;
}

static void print_wrapped(const char *text, unsigned indent)
{
	unsigned column = indent;

	for (;;) {
		text = print_paragraph(text, indent, &column);
		if (*text == '\0')
			break;
		text++;
		printf("\n%*s", (int)indent, "");
		column = indent;
	}
}

void cli_print_wrapped(const char *text, unsigned column)
{
	print_wrapped(text, column);
	putchar('\n');
}

/* ---- tables -------------------------------------------------------------------------------- */

void cli_table_add(struct cli_table *table, const char *format, ...)
{
	va_list arguments;

	if (table->count == table->capacity) {
		table->capacity = table->capacity == 0 ? 64 : table->capacity * 2;
		table->cells = cli_grow(table->cells, table->capacity * sizeof(char *));
	}
	va_start(arguments, format);
	table->cells[table->count++] = cli_make_printable(cli_format_va(format, arguments));
	va_end(arguments);
}

/** Prints a cell and what is needed before it, which is nothing for a cell without text. */
static void print_cell(const struct cli_table *table, unsigned index, unsigned start,
		       unsigned width, unsigned *cursor)
{
	const char *const cell = table->cells[index];
	const unsigned column = index % table->columns;
	const unsigned length = (unsigned)strlen(cell);

	if (length == 0)
		return;
	if ((table->right >> column & 1) != 0)
		start += width - length;
	printf("%*s", (int)(start - *cursor), "");
	*cursor = start + length;
	if (column + 1 == table->columns && table->wrap)
		print_wrapped(cell, start);
	else
		printf("%s", cell);
}

static void print_row(const struct cli_table *table, unsigned first, const unsigned *widths)
{
	unsigned cursor = 0;
	unsigned start = 0;

	for (unsigned column = 0; column < table->columns; column++) {
		print_cell(table, first + column, start, widths[column], &cursor);
		start += widths[column] + 2;
	}
	putchar('\n');
}

void cli_table_print(struct cli_table *table)
{
	unsigned widths[CLI_TABLE_COLUMNS] = {0};

	for (unsigned i = 0; i < table->count; i++) {
		const unsigned length = (unsigned)strlen(table->cells[i]);
		unsigned *const width = &widths[i % table->columns];

		*width = length > *width ? length : *width;
	}
	for (unsigned i = 0; i < table->count; i += table->columns)
		print_row(table, i, widths);
	table->count = 0;
}

/* ---- sizes and names ----------------------------------------------------------------------- */

const char *cli_size_text(uint64_t bytes, char text[static CLI_SIZE_TEXT])
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t tenths = 0;
	unsigned unit = 0;

	while (bytes >= 1024) {
		tenths = (bytes % 1024) * 10 / 1024;
		bytes /= 1024;
		unit++;
	}
	if (tenths == 0)
		snprintf(text, CLI_SIZE_TEXT, "%llu %s", (unsigned long long)bytes, units[unit]);
	else
		snprintf(text, CLI_SIZE_TEXT, "%llu.%llu %s", (unsigned long long)bytes,
			 (unsigned long long)tenths, units[unit]);
	return text;
}

const char *cli_flag_name(unsigned bit)
{
	switch (UINT32_C(1) << bit) {
	case BDUS_DEVICE_READ_ONLY:
		return "read-only";
	case BDUS_DEVICE_FUA:
		return "fua";
	case BDUS_DEVICE_ROTATIONAL:
		return "rotational";
	case BDUS_DEVICE_NO_PARTITION_SCAN:
		return "no-partition-scan";
	case BDUS_DEVICE_FAST_ZERO:
		return "fast-zero";
	case BDUS_DEVICE_RECOVERABLE:
		return "recoverable";
	default:
		return NULL;
	}
}

const char *cli_op_name(unsigned op)
{
	static char name[32];

	snprintf(name, sizeof(name), "%s", bdus_op_name(op));
	for (char *space = name; (space = strchr(space, ' ')) != NULL;)
		*space = '-';
	return name;
}

/* ---- key=value words ----------------------------------------------------------------------- */

/** A limit of a size as a user would write it: "4K" rather than 4096. */
static const char *limit_text(const struct bdus_option *option, uint64_t value,
			      char text[static CLI_SIZE_TEXT])
{
	static const char suffixes[] = "KMGTPE";
	int power = -1;

	while (option->kind == BDUS_OPTION_SIZE && value != 0 && value % 1024 == 0) {
		value /= 1024;
		power++;
	}
	snprintf(text, CLI_SIZE_TEXT, "%llu%.1s", (unsigned long long)value,
		 power < 0 ? "" : &suffixes[power]);
	return text;
}

const char *cli_option_range(const struct bdus_option *option)
{
	static char range[2 * CLI_SIZE_TEXT + 16];
	char minimum[CLI_SIZE_TEXT];
	char maximum[CLI_SIZE_TEXT];

	range[0] = '\0';
	if (option->kind != BDUS_OPTION_SIZE && option->kind != BDUS_OPTION_NUMBER)
		return range;
	limit_text(option, option->minimum, minimum);
	limit_text(option, option->maximum, maximum);
	if (option->maximum != 0 && option->maximum < INT64_MAX)
		snprintf(range, sizeof(range), "%s to %s", minimum, maximum);
	else if (option->minimum != 0)
		snprintf(range, sizeof(range), "at least %s", minimum);
	return range;
}

const char *cli_option_kind(const struct bdus_option *option)
{
	switch (option->kind) {
	case BDUS_OPTION_STRING:
		return "string";
	case BDUS_OPTION_SIZE:
		return "size";
	case BDUS_OPTION_NUMBER:
		return "number";
	case BDUS_OPTION_BOOL:
		return "bool";
	case BDUS_OPTION_CHOICE:
		return "choice";
	}
	return "unknown";
}

static const char *allowed_text(const struct bdus_option *option)
{
	return option->kind == BDUS_OPTION_CHOICE ? option->choices : cli_option_range(option);
}

void cli_print_options(const struct bdus_option *options)
{
	struct cli_table table = {.columns = 4, .wrap = true};

	cli_table_add(&table, "KEY");
	cli_table_add(&table, "KIND");
	cli_table_add(&table, "DEFAULT");
	cli_table_add(&table, "MEANING");
	for (const struct bdus_option *option = options; option->key != NULL; option++) {
		const char *const allowed = allowed_text(option);
		const char *const fallback = option->fallback != NULL ? option->fallback : "-";

		cli_table_add(&table, "%s", option->key);
		cli_table_add(&table, "%s", cli_option_kind(option));
		cli_table_add(&table, "%s", option->required ? "(required)" : fallback);
		cli_table_add(&table, "%s%s%s%s", option->help != NULL ? option->help : "",
			      allowed[0] == '\0' ? "" : " (", allowed,
			      allowed[0] == '\0' ? "" : ")");
	}
	cli_table_print(&table);
}
