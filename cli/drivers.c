/* SPDX-License-Identifier: MIT */
/*
 * Finds a driver by what the user wrote: the name of a built-in one, or the path of a shared
 * object. What filters.c does in the same way is here as well.
 */
#include "cli_internal.h"

#include <string.h>

bool cli_is_driver_path(const char *word)
{
	const size_t length = strlen(word);

	return strchr(word, '/') != NULL || (length > 3 && strcmp(word + length - 3, ".so") == 0);
}

static int refuse_name(const char *kind, const char *name, cli_name_at *name_at)
{
	struct cli_suggestion suggestion = {.word = name};
	char *allowed = cli_format("%s", "");

	for (size_t i = 0; name_at(i) != NULL; i++) {
		cli_suggest(&suggestion, name_at(i));
		allowed = cli_format("%s%s%s", allowed, allowed[0] == '\0' ? "" : ", ", name_at(i));
	}
	return cli_usage_error("there is no %s \"%s\"%s; built in: %s; a %s in a shared "
			       "object is given by its path",
			       kind, name, cli_suggestion_text(&suggestion), allowed, kind);
}

int cli_find_built_in(const char *kind, const char *name, cli_name_at *name_at, size_t *index)
{
	for (size_t i = 0; name_at(i) != NULL; i++) {
		if (strcmp(name_at(i), name) == 0) {
			*index = i;
			return CLI_OK;
		}
	}
	return refuse_name(kind, name, name_at);
}

int cli_loaded(int error)
{
	if (error >= 0)
		return CLI_OK;
	cli_say_library_error(NULL, error);
	return cli_status_of(error);
}

static const char *driver_name_at(size_t index)
{
	return cli_driver_table[index] != NULL ? cli_driver_table[index]->name : NULL;
}

int cli_driver_find(const char *word, const struct bdus_driver **driver)
{
	size_t index = 0;
	int status;

	if (cli_is_driver_path(word))
		return cli_loaded(bdus_manage_load_driver(word, driver));
	status = cli_find_built_in("driver", word, driver_name_at, &index);
	if (status == CLI_OK)
		*driver = cli_driver_table[index];
	return status;
}
