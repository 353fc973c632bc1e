/* SPDX-License-Identifier: MIT */
/*
 * metalloc seed: makes a seed from text, and text from a profile. One statement a line:
 *
 *	keep 16M                  free memory that is kept
 *	expect 8M                 memory that will be needed
 *	huge / hardened
 *	bump whole                groups of bump fill up
 *	16-256 lists whole        sizes in bytes, what serves them, and whether groups fill up
 *
 * and "#" begins a remark.
 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 256

static bool parse_bytes(const char *word, uint64_t *bytes)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(word, &end, 10);
	suffix = *end == '\0' ? NULL : strchr(suffixes, *end);
	if (end == word || errno != 0 || *word == '-' || value > UINT32_MAX ||
	    (*end != '\0' && (suffix == NULL || end[1] != '\0')))
		return false;
	*bytes = (uint64_t)value << (suffix == NULL ? 0 : 10 * (suffix - suffixes + 1));
	return true;
}

static bool parse_range(const char *word, unsigned *first, unsigned *last)
{
	unsigned long least, most;
	char *end;

	least = strtoul(word, &end, 10);
	if (end == word || *end != '-')
		return false;
	word = end + 1;
	most = strtoul(word, &end, 10);
	if (end == word || *end != '\0' || least == 0 || least > most || most > METALLOC_MOST_BYTES)
		return false;
	*first = class_of_size(least);
	*last = class_of_size(most);
	return true;
}

static bool parse_classes(const char *range, const char *name, bool whole, struct choice *choice)
{
	const int way = name == NULL ? -1 : choice_way_named(name);
	unsigned first, last;

	if (way < 0 || !parse_range(range, &first, &last))
		return false;
	for (unsigned i = first; i <= last; i++)
		choice->ways[i] = (uint8_t)((unsigned)way | (whole ? CHOICE_WHOLE : 0));
	return true;
}

/** "large", or "large huge". */
static bool parse_large(const char *how, const char *more, struct choice *choice)
{
	choice->flags |= CHOICE_LARGE;
	if (how != NULL)
		choice->flags |= CHOICE_LARGE_HUGE;
	return more == NULL && (how == NULL || strcmp(how, "huge") == 0);
}

/** One statement of up to three words. */
static bool parse(char *line, struct choice *choice)
{
	char *save, *words[4] = {NULL};

	line[strcspn(line, "#\n")] = '\0';
	words[0] = strtok_r(line, " \t", &save);
	for (unsigned i = 1; i < 4 && words[i - 1] != NULL; i++)
		words[i] = strtok_r(NULL, " \t", &save);
	if (words[0] == NULL)
		return true;
	if (words[3] != NULL || (words[2] != NULL && strcmp(words[2], "whole") != 0))
		return false;
	if (strcmp(words[0], "keep") == 0)
		return words[1] != NULL && words[2] == NULL &&
		       parse_bytes(words[1], &choice->keep_bytes);
	if (strcmp(words[0], "expect") == 0)
		return words[1] != NULL && words[2] == NULL &&
		       parse_bytes(words[1], &choice->expected_bytes);
	if (strcmp(words[0], "bump") == 0) {
		choice->ways[0] = CHOICE_WHOLE;
		return words[1] != NULL && words[2] == NULL && strcmp(words[1], "whole") == 0;
	}
	if (strcmp(words[0], "large") == 0)
		return parse_large(words[1], words[2], choice);
	if (words[1] != NULL)
		return parse_classes(words[0], words[1], words[2] != NULL, choice);
	if (strcmp(words[0], "huge") != 0 && strcmp(words[0], "hardened") != 0)
		return false;
	choice->flags |= words[0][1] == 'u' ? CHOICE_HUGE : CHOICE_HARDENED;
	return true;
}

static int read_text(const char *path, struct choice *choice)
{
	FILE *const file = fopen(path, "re");
	char line[LINE_BYTES];
	unsigned number = 0;
	int status = 0;

	if (file == NULL)
		return fail("%s: %s", path, strerror(errno));
	while (status == 0 && fgets(line, sizeof(line), file) != NULL) {
		char statement[LINE_BYTES];

		number++;
		memcpy(statement, line, sizeof(line));
		if (!parse(statement, choice))
			status = fail("%s:%u: not a statement: %.*s", path, number,
				      (int)strcspn(line, "\n"), line);
	}
	fclose(file);
	choice_seal(choice);
	if (status == 0 && !choice_is_valid(choice))
		status = fail("%s: at most 256M can be kept, and 64G expected", path);
	return status;
}

static int write_seed(const char *path, const struct choice *choice)
{
	FILE *const file = fopen(path, "we");

	if (file == NULL)
		return fail("%s: %s", path, strerror(errno));
	if (fwrite(choice, sizeof(*choice), 1, file) != 1 || fclose(file) != 0)
		return fail("%s: %s", path, strerror(errno));
	return 0;
}

static void print_classes(const struct choice *choice)
{
	for (unsigned first = 1, last; first < CLASS_COUNT; first = last + 1) {
		const unsigned way = choice->ways[first];

		for (last = first; last + 1 < CLASS_COUNT && choice->ways[last + 1] == way; last++)
			;
		if ((way & ~CHOICE_WHOLE) != CHOICE_OPEN)
			printf("%zu-%zu %s%s\n", class_bytes(first - 1) + 1, class_bytes(last),
			       choice_way_name(way), way & CHOICE_WHOLE ? " whole" : "");
	}
}

static int print_text(int count, char *words[])
{
	char path[STORE_PATH];
	struct store store;
	const struct choice *const choice = &store.pages[0].head.choice;

	if (count < 1 || count > 2)
		return EXIT_USAGE;
	if (find_profile(words[0], count > 1 ? words[1] : NULL, path, &store) != 0)
		return 1;
	printf("# %s, from a profile of %u executions\n", store.pages[0].head.name,
	       store.pages[0].head.runs);
	if (choice->keep_bytes >= 1024)
		printf("keep %lluK\n", (unsigned long long)choice->keep_bytes / 1024);
	if (choice->expected_bytes >= 1024)
		printf("expect %lluK\n", (unsigned long long)choice->expected_bytes / 1024);
	if (choice->flags & CHOICE_HUGE)
		printf("huge\n");
	if (choice->flags & CHOICE_LARGE)
		printf("large%s\n", choice->flags & CHOICE_LARGE_HUGE ? " huge" : "");
	if (choice->ways[0] & CHOICE_WHOLE)
		printf("bump whole\n");
	print_classes(choice);
	return 0;
}

int command_seed(int count, char *words[])
{
	const char *output = NULL;
	struct choice choice = {0};
	char path[STORE_PATH];

	if (count > 0 && strcmp(words[0], "--from") == 0)
		return print_text(count - 1, words + 1);
	if (count > 2 && strcmp(words[0], "--output") == 0) {
		output = words[1];
		count -= 2;
		words += 2;
	}
	if (count != 1)
		return EXIT_USAGE;
	if (output == NULL) {
		const char *const slash = strrchr(words[0], '/');
		const char *const name = slash == NULL ? words[0] : slash + 1;
		const char *const end = strstr(name, ".seed");

		snprintf(path, sizeof(path), METALLOC_SEEDS_LOCAL "/%.*s",
			 (int)(end == NULL ? strlen(name) : (size_t)(end - name)), name);
		output = path;
	}
	return read_text(words[0], &choice) != 0 ? 1 : write_seed(output, &choice);
}
