/* SPDX-License-Identifier: MIT */
/*
 * wire dump: an image as text or JSON. An image that breaks a rule is printed as far as its fields
 * can be found, after the complaint.
 */
#include "command_internal.h"

#include <stdio.h>
#include <string.h>

static void put_to_stdout(struct wire_sink *sink, const char *text, size_t length)
{
	(void)sink;
	fwrite(text, 1, length, stdout);
}

int command_dump(const struct words *words)
{
	struct wire_sink sink = {.put = put_to_stdout};
	struct subject subject = {0};
	struct wire_fault fault;
	int status = subject_open(&subject, words, false);
	int (*const print)(const struct wire_format *, const void *, size_t, const uint64_t *,
			   struct wire_sink *) = words->json ? wire_print_json : wire_print_text;

	if (status != STATUS_OK)
		return status;
	if (subject.format->check(subject.image.data, subject.image.size, subject.arguments,
				  &fault) < 0) {
		subject_say_fault(&subject, &fault);
		status = STATUS_INVALID;
	}
	if (print(subject.format, subject.image.data, subject.image.size, subject.arguments,
		  &sink) < 0)
		status = STATUS_INVALID;
	subject_close(&subject);
	return status;
}
