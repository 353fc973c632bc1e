/* SPDX-License-Identifier: MIT */
/*
 * bdus version.
 */
#include "cli_internal.h"

#include <stdio.h>

const struct cli_option cli_version_options[] = {
	{"json", 0, NULL, "Print one JSON document"},
	CLI_OPTIONS_END,
};

int cli_cmd_version(const struct cli_args *args)
{
	json_t *document;

	if (!cli_args_has(args, "json")) {
		printf("bdus %s\n", BDUS_VERSION);
		return CLI_OK;
	}
	document = json_object();
	cli_json_set(document, "version", cli_json_text(BDUS_VERSION));
	cli_json_set(document, "driver_abi", cli_json_number(BDUS_DRIVER_ABI));
	cli_json_print(document);
	return CLI_OK;
}
