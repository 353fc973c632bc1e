/* SPDX-License-Identifier: MIT */
/*
 * Sorts out the words after a command's name by the command's own table of options. Options may
 * stand before, between and after operands; "--" ends them. They are not abbreviated, so that a
 * new option never changes the meaning of an old script.
 */
#include "cli_internal.h"

#include <string.h>

/** What is left of the words, and where the next operand goes. */
struct parser {
	struct cli_args *args;
	char **words;
	unsigned count;
	unsigned next;
	unsigned operand_count;
};

const struct cli_command *cli_command_find(const char *name)
{
	for (const struct cli_command *command = cli_commands; command->name != NULL; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}

/** Says that there is no such option, what is allowed, and what may have been meant. */
static int refuse_option(const struct cli_command *command, const char *word, size_t length)
{
	char *const text = cli_format("%.*s", (int)length, word);
	struct cli_suggestion suggestion = {.word = text};
	char *allowed = cli_format("%s", "");

	for (const struct cli_option *option = command->options; option->name != NULL; option++) {
		char *const name = cli_format("--%s", option->name);

		cli_suggest(&suggestion, name);
		allowed = cli_format("%s%s%s", allowed, allowed[0] == '\0' ? "" : ", ", name);
	}
	return cli_usage_error("%s has no option \"%s\"%s; allowed: %s", command->name, text,
			       cli_suggestion_text(&suggestion), allowed);
}

/** Stores an option's argument: what follows it in its own word, else the next word. */
static int take_value(struct parser *parser, const struct cli_option *option, const char *attached)
{
	const size_t index = (size_t)(option - parser->args->command->options);

	if (option->argument == NULL) {
		if (attached != NULL)
			return cli_usage_error("option --%s takes no argument, but was given "
					       "\"%s\"",
					       option->name, attached);
		attached = "";
	} else if (attached == NULL) {
		if (parser->next == parser->count)
			return cli_usage_error("option --%s needs an argument: %s", option->name,
					       option->argument);
		attached = parser->words[parser->next++];
	}
	parser->args->values[index] = attached;
	parser->args->given[parser->args->given_count++] = (struct cli_given){index, attached};
	return CLI_OK;
}

static int parse_long(struct parser *parser, const char *word)
{
	const char *const name = word + 2;
	const size_t length = strcspn(name, "=");
	const struct cli_command *const command = parser->args->command;

	for (const struct cli_option *option = command->options; option->name != NULL; option++)
		if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
			return take_value(parser, option,
					  name[length] == '=' ? name + length + 1 : NULL);
	return refuse_option(command, word, length + 2);
}

static const struct cli_option *find_letter(const struct cli_command *command, char letter)
{
	for (const struct cli_option *option = command->options; option->name != NULL; option++)
		if (option->letter == letter)
			return option;
	return NULL;
}

/** Letters may be joined, as in -fq; what follows one that takes an argument is the argument. */
static int parse_letters(struct parser *parser, const char *word)
{
	for (const char *letter = word + 1; *letter != '\0'; letter++) {
		const struct cli_option *const option = find_letter(parser->args->command, *letter);
		const bool attached =
			option != NULL && option->argument != NULL && letter[1] != '\0';
		int status;

		if (option == NULL)
			return refuse_option(parser->args->command, word, strlen(word));
		status = take_value(parser, option, attached ? letter + 1 : NULL);
		if (status != CLI_OK || attached)
			return status;
	}
	return CLI_OK;
}

static int parse_word(struct parser *parser, bool *options_ended)
{
	char *const word = parser->words[parser->next++];

	if (!*options_ended && word[0] == '-' && word[1] != '\0') {
		if (word[1] != '-')
			return parse_letters(parser, word);
		if (word[2] != '\0')
			return parse_long(parser, word);
		*options_ended = true;
		return CLI_OK;
	}
	parser->words[parser->operand_count++] = word;
	return CLI_OK;
}

static int check_operand_count(const struct cli_args *args)
{
	const struct cli_command *const command = args->command;

	if (args->operand_count < command->min_operands)
		return cli_usage_error("%s needs %s; see \"bdus help %s\"", command->name,
				       command->operands, command->name);
	if (args->operand_count > command->max_operands)
		return cli_usage_error("%s does not take \"%s\"; see \"bdus help %s\"",
				       command->name, args->operands[command->max_operands],
				       command->name);
	return CLI_OK;
}

int cli_args_parse(struct cli_args *args, const struct cli_command *command, char **words,
		   unsigned count)
{
	struct parser parser = {.args = args, .words = words, .count = count};
	bool options_ended = false;
	size_t letters = 0;

	/* Letters may be joined in one word. */
	*args = (struct cli_args){.command = command};
	for (unsigned i = 0; i < count; i++)
		letters += strlen(words[i]);
	args->given = cli_allocate((letters + 1) * sizeof(args->given[0]));
	while (parser.next < parser.count) {
		const int status = parse_word(&parser, &options_ended);

		if (status != CLI_OK)
			return status;
	}
	args->operands = (const char *const *)words;
	args->operand_count = parser.operand_count;
	return cli_args_has(args, "help") ? CLI_OK : check_operand_count(args);
}

const char *cli_args_value(const struct cli_args *args, const char *option)
{
	const struct cli_option *const options = args->command->options;

	for (size_t i = 0; options[i].name != NULL; i++)
		if (strcmp(options[i].name, option) == 0)
			return args->values[i];
	return NULL;
}

const char *cli_args_next(const struct cli_args *args, const char *option, unsigned *position)
{
	while (*position < args->given_count) {
		const struct cli_given *const given = &args->given[(*position)++];

		if (strcmp(args->command->options[given->index].name, option) == 0)
			return given->value;
	}
	return NULL;
}

bool cli_args_has(const struct cli_args *args, const char *option)
{
	return cli_args_value(args, option) != NULL;
}

/** Reads decimal digits up to @maximum; false when there are none or the number is too large. */
static bool read_digits(const char **text, uint64_t maximum, uint64_t *number)
{
	uint64_t value = 0;

	if (**text < '0' || **text > '9')
		return false;
	for (; **text >= '0' && **text <= '9'; ++*text) {
		value = value * 10 + (uint64_t)(**text - '0');
		if (value > maximum)
			return false;
	}
	*number = value;
	return true;
}

int cli_args_number(const struct cli_args *args, const char *option, uint32_t maximum,
		    uint32_t *number)
{
	const char *const text = cli_args_value(args, option);
	const char *end = text;
	uint64_t value = 0;

	if (text == NULL) {
		*number = 0;
		return CLI_OK;
	}
	if (!read_digits(&end, maximum, &value) || *end != '\0' || value == 0)
		return cli_usage_error("option --%s: \"%s\" is not a number from 1 to %u", option,
				       text, maximum);
	*number = (uint32_t)value;
	return CLI_OK;
}

/** Reads what follows the decimal point: up to three digits, as thousandths. */
static bool read_thousandths(const char **text, uint64_t *number)
{
	const char *const start = *text;
	uint64_t value;

	if (!read_digits(text, 999, &value) || *text - start > 3)
		return false;
	for (long digits = *text - start; digits < 3; digits++)
		value *= 10;
	*number = value;
	return true;
}

int cli_args_seconds(const struct cli_args *args, const char *option, uint64_t *milliseconds)
{
	const char *const text = cli_args_value(args, option);
	const uint64_t maximum_s = 1000000000;
	const char *end = text;
	uint64_t seconds = 0;
	uint64_t thousandths = 0;
	bool good;

	if (text == NULL) {
		*milliseconds = 0;
		return CLI_OK;
	}
	good = read_digits(&end, maximum_s, &seconds);
	if (good && *end == '.') {
		end++;
		good = read_thousandths(&end, &thousandths);
	}
	if (!good || *end != '\0' || seconds + thousandths == 0)
		return cli_usage_error("option --%s: \"%s\" is not a number of seconds from 0.001 "
				       "to %llu",
				       option, text, (unsigned long long)maximum_s);
	*milliseconds = seconds * 1000 + thousandths;
	return CLI_OK;
}
