/* SPDX-License-Identifier: MIT */
/*
 * Finding formats by their names, and their arguments; and `wire formats`, which lists both.
 */
#include "command_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *format_title(const struct wire_format *format)
{
	static char title[128];

	snprintf(title, sizeof(title), "%s.%s", format->format, format->name);
	return title;
}

static int refuse_format(const char *name, const char *reason)
{
	char allowed[768] = "";
	size_t length = 0;

	for (unsigned i = 0; format_table[i] != NULL && length < sizeof(allowed); i++)
		length += (size_t)snprintf(allowed + length, sizeof(allowed) - length, "%s%s",
					   length != 0 ? ", " : "", format_title(format_table[i]));
	return usage_error("%s \"%s\"; allowed: %s", reason, name, allowed);
}

int format_find(const char *name, const struct wire_format **format)
{
	const struct wire_format *found = NULL;
	unsigned matches = 0;

	for (unsigned i = 0; format_table[i] != NULL; i++) {
		if (strcmp(format_title(format_table[i]), name) == 0) {
			*format = format_table[i];
			return STATUS_OK;
		}
		if (strcmp(format_table[i]->format, name) == 0) {
			found = format_table[i];
			matches++;
		}
	}
	if (matches != 1)
		return refuse_format(name, matches == 0 ? "there is no format"
							: "several formats begin with");
	*format = found;
	return STATUS_OK;
}

void format_defaults(const struct wire_format *format, uint64_t *arguments)
{
	if (format->argument_count > MOST_ARGUMENTS)
		abort();
	for (size_t i = 0; i < format->argument_count; i++)
		arguments[i] = format->arguments[i].value;
}

static int refuse_argument(const struct wire_format *format, const char *word)
{
	char allowed[256] = "";
	size_t length = 0;

	for (size_t i = 0; i < format->argument_count && length < sizeof(allowed); i++)
		length += (size_t)snprintf(allowed + length, sizeof(allowed) - length, "%s%s",
					   length != 0 ? ", " : "", format->arguments[i].name);
	return usage_error("%s has no argument \"%.*s\"; allowed: %s", format_title(format),
			   (int)strcspn(word, "="), word, length != 0 ? allowed : "none");
}

int format_set(const struct wire_format *format, uint64_t *arguments, const char *word)
{
	const size_t length = strcspn(word, "=");

	if (word[length] == '\0')
		return usage_error("--set needs NAME=VALUE, but was given \"%s\"", word);
	for (size_t i = 0; i < format->argument_count; i++) {
		if (strlen(format->arguments[i].name) != length ||
		    strncmp(format->arguments[i].name, word, length) != 0)
			continue;
		if (!parse_number(word + length + 1, &arguments[i]))
			return usage_error(
				"--set %.*s: \"%s\" is no number; allowed: 0 to 2^64 - 1, "
				"also 0x… and with K, M, G or T",
				(int)length, word, word + length + 1);
		return STATUS_OK;
	}
	return refuse_argument(format, word);
}

static void print_json(void)
{
	for (unsigned i = 0; format_table[i] != NULL; i++) {
		const struct wire_format *const format = format_table[i];

		printf("%s\n  {\"format\": \"%s\", \"name\": \"%s\", \"arguments\": {",
		       i == 0 ? "[" : ",", format->format, format->name);
		for (size_t j = 0; j < format->argument_count; j++)
			printf("%s\"%s\": %" PRIu64, j == 0 ? "" : ", ", format->arguments[j].name,
			       format->arguments[j].value);
		printf("}}");
	}
	puts(format_table[0] == NULL ? "[]" : "\n]");
}

int command_formats(const struct words *words)
{
	if (words->json) {
		print_json();
		return STATUS_OK;
	}
	for (unsigned i = 0; format_table[i] != NULL; i++) {
		const struct wire_format *const format = format_table[i];

		printf("%-24s", format_title(format));
		for (size_t j = 0; j < format->argument_count; j++)
			printf(" %s=%" PRIu64, format->arguments[j].name,
			       format->arguments[j].value);
		putchar('\n');
	}
	return STATUS_OK;
}
