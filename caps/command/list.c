/* SPDX-License-Identifier: MIT */
/*
 * caps list: services, with who serves them.
 */
#include "command_internal.h"

#include <pwd.h>
#include <stdio.h>

static int print_one(void *context, const struct caps_entry *entry)
{
	const struct passwd *user = getpwuid(entry->uid);
	char number[16];

	(void)context;
	snprintf(number, sizeof(number), "%u", (unsigned)entry->uid);
	printf("%-40s %8d %-12s%s%s%s\n", entry->name, (int)entry->pid,
	       user != NULL ? user->pw_name : number, entry->user == CAPS_SYSTEM ? " system" : "",
	       entry->exclusive ? " exclusive" : "", entry->shadowed ? " shadowed" : "");
	return 0;
}

static int collect_one(void *context, const struct caps_entry *entry)
{
	json_array_append_new(context,
			      json_pack("{s:s, s:i, s:i, s:b, s:b, s:b}", "name", entry->name,
					"pid", (int)entry->pid, "uid", (int)entry->uid, "system",
					entry->user == CAPS_SYSTEM, "exclusive", entry->exclusive,
					"shadowed", entry->shadowed));
	return 0;
}

int command_list(const struct options *options)
{
	uid_t users[1];
	const struct caps_client_options client = client_options(options, users);
	json_t *all = json_array();
	int error;

	if (options->json)
		error = caps_list(&client, collect_one, all);
	else
		error = caps_list(&client, print_one, NULL);
	if (options->json && error == 0) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(all);
	return error == 0 ? STATUS_GOOD : fail("%s", caps_error());
}
