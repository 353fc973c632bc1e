/* SPDX-License-Identifier: MIT */
/*
 * Options of drivers and transports: one value for each entry of the table, checked when parsed, so
 * that looking one up cannot fail. Asking for a key that the table does not have is a bug of the
 * driver and ends the process.
 */
#include "options.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct value {
	bool given;
	char *text;
	uint64_t number;
};

struct bdus_config {
	const char *owner;
	const struct bdus_option *options;
	unsigned count;
	const struct bdus_backends *backends;
	struct value values[];
};

/* ---- values -------------------------------------------------------------------------------- */

/** The power of two that a suffix such as "K", "KB" or "KiB" stands for; -1 for no such suffix. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "KMGTP";
	const char *letter;

	if (suffix[0] == '\0' || strcasecmp(suffix, "B") == 0)
		return 0;
	letter = strchr(letters, toupper((unsigned char)suffix[0]));
	if (letter == NULL)
		return -1;
	if (suffix[1] != '\0' && strcasecmp(suffix + 1, "B") != 0 &&
	    strcasecmp(suffix + 1, "iB") != 0)
		return -1;
	return 10 * (int)(letter - letters + 1);
}

/** Decimal or 0x digits at the start of @text; -EINVAL when there are none. */
static int parse_digits(const char *text, char **rest, uint64_t *number)
{
	const int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*number = strtoull(text, rest, base);
	return errno != 0 ? -ERANGE : 0;
}

int bdus_parse_size(const char *text, uint64_t *bytes)
{
	uint64_t number;
	char *rest;
	int shift;
	const int result = parse_digits(text, &rest, &number);

	if (result < 0)
		return result;
	shift = suffix_shift(rest);
	if (shift < 0)
		return -EINVAL;
	if (base_mul_overflows(number, UINT64_C(1) << shift, &number))
		return -ERANGE;
	*bytes = number;
	return 0;
}

static int parse_number(const char *text, uint64_t *number)
{
	uint64_t parsed;
	char *rest;
	const int result = parse_digits(text, &rest, &parsed);

	if (result < 0)
		return result;
	if (*rest != '\0')
		return -EINVAL;
	*number = parsed;
	return 0;
}

static int parse_bool(const char *text, uint64_t *number)
{
	static const char *const words[][2] = {
		{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};

	for (unsigned pair = 0; pair < BASE_ARRAY_LENGTH(words); pair++) {
		for (unsigned value = 0; value < 2; value++) {
			if (strcasecmp(text, words[pair][value]) == 0) {
				*number = value;
				return 0;
			}
		}
	}
	return -EINVAL;
}

/** Whether @word is one of the space-separated words in @list. */
static bool word_in_list(const char *word, const char *list)
{
	const size_t length = strlen(word);

	if (length == 0 || strchr(word, ' ') != NULL)
		return false;
	for (const char *at = list; (at = strstr(at, word)) != NULL; at += length) {
		const bool starts = at == list || at[-1] == ' ';
		const bool ends = at[length] == '\0' || at[length] == ' ';

		if (starts && ends)
			return true;
	}
	return false;
}

static int parse_value(const struct bdus_option *option, const char *text, uint64_t *number)
{
	switch (option->kind) {
	case BDUS_OPTION_STRING:
		return text[0] != '\0' ? 0 : -EINVAL;
	case BDUS_OPTION_SIZE:
		return bdus_parse_size(text, number);
	case BDUS_OPTION_NUMBER:
		return parse_number(text, number);
	case BDUS_OPTION_BOOL:
		return parse_bool(text, number);
	case BDUS_OPTION_CHOICE:
		return word_in_list(text, option->choices) ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static bool has_limits(const struct bdus_option *option)
{
	return (option->kind == BDUS_OPTION_SIZE || option->kind == BDUS_OPTION_NUMBER) &&
	       (option->minimum != 0 || option->maximum != 0);
}

static bool within_limits(const struct bdus_option *option, uint64_t number)
{
	return !has_limits(option) ||
	       (number >= option->minimum && (option->maximum == 0 || number <= option->maximum));
}

/** What a user may write for @option, for messages. */
static void describe_allowed(const struct bdus_option *option, char *text, size_t size)
{
	static const char *const kinds[] = {
		[BDUS_OPTION_STRING] = "a text that is not empty",
		[BDUS_OPTION_SIZE] = "a size such as 4096, 64K or 1G",
		[BDUS_OPTION_NUMBER] = "a whole number",
		[BDUS_OPTION_BOOL] = "yes or no",
		[BDUS_OPTION_CHOICE] = "one of: ",
	};
	int used = snprintf(text, size, "%s%s", kinds[option->kind],
			    option->kind == BDUS_OPTION_CHOICE ? option->choices : "");

	if (!has_limits(option) || used < 0 || (size_t)used >= size)
		return;
	if (option->maximum != 0)
		snprintf(text + used, size - (size_t)used, " from %" PRIu64 " to %" PRIu64,
			 option->minimum, option->maximum);
	else
		snprintf(text + used, size - (size_t)used, ", at least %" PRIu64, option->minimum);
}

static int set_value(struct bdus_config *config, unsigned index, const char *text, bool given)
{
	const struct bdus_option *const option = &config->options[index];
	struct value *const value = &config->values[index];
	uint64_t number = 0;
	char allowed[160];
	const int result = parse_value(option, text, &number);

	if (result < 0 || !within_limits(option, number)) {
		describe_allowed(option, allowed, sizeof(allowed));
		return base_error(EINVAL, "%s: option %s=%s: must be %s", config->owner,
				  option->key, text, allowed);
	}
	value->text = strdup(text);
	if (value->text == NULL)
		return base_error(ENOMEM, "%s: no memory for option %s", config->owner,
				  option->key);
	value->number = number;
	value->given = given;
	return 0;
}

/* ---- words --------------------------------------------------------------------------------- */

static int find_key(const struct bdus_config *config, const char *key, size_t length)
{
	for (unsigned i = 0; i < config->count; i++) {
		const char *const name = config->options[i].key;

		if (strlen(name) == length && memcmp(name, key, length) == 0)
			return (int)i;
	}
	return -1;
}

static int refuse_unknown_key(const struct bdus_config *config, const char *word, size_t length)
{
	char allowed[256] = "";
	size_t used = 0;

	for (unsigned i = 0; i < config->count && used < sizeof(allowed); i++)
		used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s",
					 i > 0 ? ", " : "", config->options[i].key);
	if (config->count == 0)
		return base_error(EINVAL, "%s: unknown option '%.*s'; it has no options",
				  config->owner, (int)length, word);
	return base_error(EINVAL, "%s: unknown option '%.*s'; allowed are: %s", config->owner,
			  (int)length, word, allowed);
}

static int take_word(struct bdus_config *config, const char *word)
{
	const char *const equals = strchr(word, '=');
	const size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
	const int index = find_key(config, word, length);

	if (index < 0)
		return refuse_unknown_key(config, word, length);
	if (config->values[index].given)
		return base_error(EINVAL, "%s: option %s is given twice", config->owner,
				  config->options[index].key);
	if (equals == NULL && config->options[index].kind != BDUS_OPTION_BOOL)
		return base_error(EINVAL, "%s: option %s needs a value: %s=…", config->owner,
				  config->options[index].key, config->options[index].key);
	return set_value(config, (unsigned)index, equals != NULL ? equals + 1 : "yes", true);
}

static int take_fallback(struct bdus_config *config, unsigned index)
{
	const struct bdus_option *const option = &config->options[index];

	if (config->values[index].given)
		return 0;
	if (option->required)
		return base_error(EINVAL, "%s: option %s is required: %s=… (%s)", config->owner,
				  option->key, option->key, option->help);
	if (option->fallback == NULL)
		return 0;
	return set_value(config, index, option->fallback, false);
}

static int parse_words(struct bdus_config *config, const char *const *words, unsigned count)
{
	int result = 0;

	for (unsigned i = 0; i < count && result == 0; i++)
		result = take_word(config, words[i]);
	for (unsigned i = 0; i < config->count && result == 0; i++)
		result = take_fallback(config, i);
	return result;
}

int bdus_config_create(const char *owner, const struct bdus_option *options,
		       const char *const *words, unsigned count, struct bdus_config **config)
{
	struct bdus_config *made;
	unsigned option_count = 0;
	int result;

	while (options != NULL && options[option_count].key != NULL)
		option_count++;
	made = calloc(1, sizeof(*made) + option_count * sizeof(made->values[0]));
	if (made == NULL)
		return base_error(ENOMEM, "%s: no memory for its options", owner);
	made->owner = owner;
	made->options = options;
	made->count = option_count;
	result = parse_words(made, words, count);
	if (result < 0) {
		bdus_config_destroy(made);
		return result;
	}
	made->owner = NULL;
	*config = made;
	return 0;
}

void bdus_config_destroy(struct bdus_config *config)
{
	if (config == NULL)
		return;
	for (unsigned i = 0; i < config->count; i++)
		free(config->values[i].text);
	free(config);
}

/* ---- asking -------------------------------------------------------------------------------- */

static const struct value *look_up(const struct bdus_config *config, const char *key)
{
	const int index = find_key(config, key, strlen(key));

	if (index < 0) {
		fprintf(stderr, "bdus: option '%s' is asked for but not declared\n", key);
		abort();
	}
	return &config->values[index];
}

void bdus_config_set_backends(struct bdus_config *config, const struct bdus_backends *backends)
{
	config->backends = backends;
}

const struct bdus_backends *bdus_config_backends(const struct bdus_config *config)
{
	return config->backends;
}

bool bdus_config_given(const struct bdus_config *config, const char *key)
{
	return look_up(config, key)->given;
}

const char *bdus_config_string(const struct bdus_config *config, const char *key)
{
	return look_up(config, key)->text;
}

uint64_t bdus_config_number(const struct bdus_config *config, const char *key)
{
	return look_up(config, key)->number;
}

bool bdus_config_bool(const struct bdus_config *config, const char *key)
{
	return look_up(config, key)->number != 0;
}

int bdus_config_error(int errnum, const char *format, ...)
{
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = base_error_va(errnum, format, arguments);
	va_end(arguments);
	return result;
}
