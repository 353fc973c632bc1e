/* SPDX-License-Identifier: MIT */
/*
 * The service of store.wire as a program, for tests of the `caps` command.
 *
 * usage: caps-store NAME [rude]
 *
 * A rude one says of itself what would drive a terminal.
 */
#include "store_service.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	struct caps_service_options options = {.size = sizeof(options)};
	struct store store = {.length = 0};
	const struct store_service service = store_handlers(&store);
	struct caps_message message;
	struct caps_port *port;
	char buffer[1024];

	store_caps_serve(&options);
	if (argc == 3)
		options.description =
			"{\"operations\": [{\"name\": \"rude\\u001b[31m\", \"code\": 1,"
			" \"doc\": \"one\\ntwo\\u009b2J\\u007f\", \"request\": \"s\\u001b]0;x\"}],"
			" \"structs\": [{\"name\": \"s\\u001b]0;x\", \"items\": [{\"name\": "
			"\"a\\rb\","
			" \"type\": \"c\\u001bc\", \"count\": \"\\u0007\"}]}]}";
	if (argc < 2 || caps_serve(argv[1], &options, &port) != 0) {
		fprintf(stderr, "%s\n", caps_error());
		return 1;
	}
	while (caps_get(port, &message, buffer, sizeof(buffer), -1) == 0)
		store_dispatch(&service, port, &message);
	return 0;
}
