/* SPDX-License-Identifier: MIT */
/*
 * Finds filters and backends by what the user wrote, and cuts their words from one another.
 */
#include "cli_internal.h"

#include <string.h>

static const char *filter_name_at(size_t index)
{
	return cli_filter_table[index] != NULL ? cli_filter_table[index]->name : NULL;
}

int cli_filter_find(const char *word, const struct bdus_filter **filter)
{
	size_t index = 0;
	int status;

	if (cli_is_driver_path(word))
		return cli_loaded(bdus_manage_load_filter(word, filter));
	status = cli_find_built_in("filter", word, filter_name_at, &index);
	if (status == CLI_OK)
		*filter = cli_filter_table[index];
	return status;
}

static bool is_key(const struct bdus_option *options, const char *word)
{
	for (; options != NULL && options->key != NULL; options++)
		if (strcmp(options->key, word) == 0)
			return true;
	return false;
}

/** The first word may leave out its key, which is then the filter's first. */
static const char *complete_first(const struct bdus_option *options, const char *word)
{
	if (strchr(word, '=') != NULL || is_key(options, word) || options == NULL ||
	    options->key == NULL)
		return word;
	return cli_format("%s=%s", options->key, word);
}

/** The words of a specification, after its name and colon; the first may lack its key. */
static void cut_words(const char *spec, const struct bdus_option *options,
		      const char *const **result, unsigned *result_count)
{
	const size_t name_length = strcspn(spec, ":");
	const char *rest = spec[name_length] == ':' ? spec + name_length + 1 : "";
	const char **words = NULL;
	unsigned count = 0;

	while (*rest != '\0') {
		const size_t length = strcspn(rest, ",");

		words = cli_grow(words, (count + 1) * sizeof(words[0]));
		words[count++] = cli_format("%.*s", (int)length, rest);
		rest += length + (rest[length] == ',');
	}
	if (count != 0)
		words[0] = complete_first(options, words[0]);
	*result = words;
	*result_count = count;
}

int cli_filter_parse(const char *spec, struct bdus_filter_use *use)
{
	const int status =
		cli_filter_find(cli_format("%.*s", (int)strcspn(spec, ":"), spec), &use->filter);

	if (status == CLI_OK)
		cut_words(spec, use->filter->options, &use->options, &use->option_count);
	return status;
}

int cli_backend_parse(const char *spec, struct bdus_backend_use *use)
{
	const int status =
		cli_driver_find(cli_format("%.*s", (int)strcspn(spec, ":"), spec), &use->driver);

	if (status == CLI_OK)
		cut_words(spec, use->driver->options, &use->options, &use->option_count);
	return status;
}
