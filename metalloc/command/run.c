/* SPDX-License-Identifier: MIT */
/*
 * metalloc run: executes a program with the library preloaded, before whatever is preloaded
 * already.
 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int command_run(int count, char *words[])
{
	const char *const library = find_library(), *const others = getenv("LD_PRELOAD");
	char preload[2 * STORE_PATH];

	if (count >= 2 && strcmp(words[0], "--choice") == 0) {
		if (choice_way_named(words[1]) < 0 && strcmp(words[1], "hardened") != 0 &&
		    strcmp(words[1], "huge") != 0 && strcmp(words[1], "whole") != 0)
			return fail("%s is no choice: open, bump, lists, handover, bitmap, whole, "
				    "huge or hardened",
				    words[1]);
		setenv("METALLOC_CHOICE", words[1], 1);
		count -= 2;
		words += 2;
	}
	if (count < 1 || words[0][0] == '-')
		return EXIT_USAGE;
	if (access(library, R_OK) != 0)
		return fail("%s: %s", library, strerror(errno));
	snprintf(preload, sizeof(preload), "%s%s%s", library, others == NULL ? "" : ":",
		 others == NULL ? "" : others);
	setenv("LD_PRELOAD", preload, 1);
	execvp(words[0], words);
	return fail("%s: %s", words[0], strerror(errno));
}
