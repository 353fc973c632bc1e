/* SPDX-License-Identifier: MIT */
/*
 * Finds a driver by what the user wrote: the name of a built-in one, or the path of a shared
 * object.
 */
#include "cli_internal.h"

#include <string.h>

bool cli_is_driver_path(const char *word)
{
	const size_t length = strlen(word);

	return strchr(word, '/') != NULL || (length > 3 && strcmp(word + length - 3, ".so") == 0);
}

static int load_driver(const char *path, const struct bdus_driver **driver)
{
	const int error = bdus_manage_load_driver(path, driver);

	if (error >= 0)
		return CLI_OK;
	cli_say_library_error(NULL, error);
	return cli_status_of(error);
}

static int refuse_name(const char *name)
{
	struct cli_suggestion suggestion = {.word = name};
	char *allowed = cli_format("%s", "");

	for (const struct bdus_driver *const *driver = cli_driver_table; *driver != NULL;
	     driver++) {
		cli_suggest(&suggestion, (*driver)->name);
		allowed = cli_format("%s%s%s", allowed, allowed[0] == '\0' ? "" : ", ",
				     (*driver)->name);
	}
	return cli_usage_error("there is no driver \"%s\"%s; built in: %s; a driver in a shared "
			       "object is given by its path",
			       name, cli_suggestion_text(&suggestion), allowed);
}

int cli_driver_find(const char *word, const struct bdus_driver **driver)
{
	if (cli_is_driver_path(word))
		return load_driver(word, driver);
	for (const struct bdus_driver *const *known = cli_driver_table; *known != NULL; known++) {
		if (strcmp((*known)->name, word) == 0) {
			*driver = *known;
			return CLI_OK;
		}
	}
	return refuse_name(word);
}
