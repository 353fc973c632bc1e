/* SPDX-License-Identifier: MIT */
/*
 * Sorts out the words of a command line. Options may stand before, between and after operands; "--"
 * ends them. They are not abbreviated, so that a new option never changes the meaning of an old
 * script.
 */
#include "command_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct option_info option_table[] = {
	{OPTION_OFFSET, "offset", 'o', "BYTES", "Where the structure begins in the image"},
	{OPTION_LENGTH, "length", 'l', "BYTES",
	 "How much of the image belongs to it; all that follows"},
	{OPTION_SET, "set", 's', "NAME=VALUE",
	 "Set an argument of the format; see \"wire formats\""},
	{OPTION_JSON, "json", 'j', NULL, "Print JSON"},
	{OPTION_QUIET, "quiet", 'q', NULL, "Print nothing; only the exit status tells"},
	{OPTION_FORCE, "force", 'f', NULL, "Write even if the result breaks a rule of the format"},
	{OPTION_DRY_RUN, "dry-run", 'n', NULL, "Do everything but write"},
	{OPTION_HELP, "help", 'h', NULL, "Print help and exit"},
	{0, NULL, 0, NULL, NULL},
};

static void say_va(const char *format, va_list arguments)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, arguments);
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	fprintf(stderr, "wire: %s\n", text);
}

void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_va(format, arguments);
	va_end(arguments);
}

int usage_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_va(format, arguments);
	va_end(arguments);
	return STATUS_USAGE;
}

/** The base of a number, by its first two characters; moves @text behind them. */
static unsigned take_base(const char **text)
{
	static const struct {
		const char *prefix;
		unsigned base;
	} bases[] = {{"0x", 16}, {"0X", 16}, {"0o", 8}, {"0b", 2}};

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		if (strncmp(*text, bases[i].prefix, 2) != 0)
			continue;
		*text += 2;
		return bases[i].base;
	}
	return 10;
}

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return 16;
}

bool parse_number(const char *text, uint64_t *number)
{
	static const char units[] = "KMGT";
	const unsigned base = take_base(&text);
	uint64_t value = 0;
	const char *unit;

	if (digit_value(*text) >= base)
		return false;
	for (; digit_value(*text) < base; text++)
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit_value(*text), &value))
			return false;
	unit = *text != '\0' ? strchr(units, *text) : NULL;
	if (unit != NULL &&
	    __builtin_mul_overflow(value, UINT64_C(1024) << (10 * (unit - units)), &value))
		return false;
	if (text[unit != NULL] != '\0')
		return false;
	*number = value;
	return true;
}

/** What is left of the line, and where the next operand goes. */
struct parser {
	struct words *words;
	const struct command *command;
	char **line;
	unsigned count, next, operand_count;
};

static int refuse_option(const struct parser *p, const char *word)
{
	char allowed[256] = "";
	size_t length = 0;

	for (const struct option_info *o = option_table; o->name != NULL; o++)
		if (p->command->options & o->bit)
			length += (size_t)snprintf(allowed + length, sizeof(allowed) - length,
						   "%s--%s", length != 0 ? ", " : "", o->name);
	return usage_error("%s has no option \"%s\"; allowed: %s", p->command->name, word, allowed);
}

static int take_bytes(const struct option_info *option, const char *text, uint64_t *bytes)
{
	if (!parse_number(text, bytes))
		return usage_error("--%s: \"%s\" is no number of bytes; allowed: 0 to 2^64 - 1, "
				   "also 0x… and with K, M, G or T",
				   option->name, text);
	return STATUS_OK;
}

static int take_setting(struct words *words, const char *text)
{
	if (words->setting_count == MOST_SETTINGS)
		return usage_error("--set: at most %d are allowed", MOST_SETTINGS);
	words->settings[words->setting_count++] = text;
	return STATUS_OK;
}

static int store_option(struct words *words, const struct option_info *option, const char *argument)
{
	switch (option->bit) {
	case OPTION_OFFSET:
		return take_bytes(option, argument, &words->offset);
	case OPTION_LENGTH:
		return take_bytes(option, argument, &words->length);
	case OPTION_SET:
		return take_setting(words, argument);
	case OPTION_JSON:
		words->json = true;
		break;
	case OPTION_FORCE:
		words->force = true;
		break;
	case OPTION_QUIET:
		words->quiet = true;
		break;
	case OPTION_DRY_RUN:
		words->dry_run = true;
		break;
	default:
		words->help = true;
	}
	return STATUS_OK;
}

/** @attached is what followed the option in its own word, or NULL. */
static int take_option(struct parser *p, const struct option_info *option, const char *attached)
{
	if (option->argument == NULL && attached != NULL)
		return usage_error("option --%s takes no argument, but was given \"%s\"",
				   option->name, attached);
	if (option->argument != NULL && attached == NULL) {
		if (p->next == p->count)
			return usage_error("option --%s needs an argument: %s", option->name,
					   option->argument);
		attached = p->line[p->next++];
	}
	return store_option(p->words, option, attached);
}

static int parse_long(struct parser *p, const char *word)
{
	const size_t length = strcspn(word + 2, "=");
	const char *const attached = word[2 + length] == '=' ? word + 2 + length + 1 : NULL;

	for (const struct option_info *o = option_table; o->name != NULL; o++)
		if ((p->command->options & o->bit) && strlen(o->name) == length &&
		    strncmp(o->name, word + 2, length) == 0)
			return take_option(p, o, attached);
	return refuse_option(p, word);
}

static int parse_letters(struct parser *p, const char *word)
{
	for (const char *letter = word + 1; *letter != '\0'; letter++) {
		const struct option_info *o = option_table;
		bool attached;
		int status;

		while (o->name != NULL && !((p->command->options & o->bit) && o->letter == *letter))
			o++;
		if (o->name == NULL)
			return refuse_option(p, word);
		attached = o->argument != NULL && letter[1] != '\0';
		status = take_option(p, o, attached ? letter + 1 : NULL);
		if (status != STATUS_OK || attached)
			return status;
	}
	return STATUS_OK;
}

static int parse_word(struct parser *p, bool *options_ended)
{
	char *const word = p->line[p->next++];

	if (*options_ended || word[0] != '-' || word[1] == '\0') {
		p->line[p->operand_count++] = word;
		return STATUS_OK;
	}
	if (word[1] != '-')
		return parse_letters(p, word);
	if (word[2] != '\0')
		return parse_long(p, word);
	*options_ended = true;
	return STATUS_OK;
}

int words_parse(struct words *words, const struct command *command, char **line, unsigned count)
{
	struct parser p = {.words = words, .command = command, .line = line, .count = count};
	bool options_ended = false;

	*words = (struct words){.operands = (const char *const *)line, .length = UINT64_MAX};
	while (p.next < count) {
		const int status = parse_word(&p, &options_ended);

		if (status != STATUS_OK)
			return status;
	}
	words->operand_count = p.operand_count;
	if (words->help)
		return STATUS_OK;
	if (p.operand_count < command->min_operands)
		return usage_error("%s needs %s; see \"wire help %s\"", command->name,
				   command->operands, command->name);
	if (p.operand_count > command->max_operands)
		return usage_error("%s does not take \"%s\"; see \"wire help %s\"", command->name,
				   line[command->max_operands], command->name);
	return STATUS_OK;
}
