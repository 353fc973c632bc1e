/* SPDX-License-Identifier: MIT */
/*
 * wire check: whether an image keeps to its format; if not, which field breaks which rule.
 */
#include "command_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/** Members of JSON that are numbers up to 2^64 - 1, which jansson does not have. */
static void print_fault_json(const struct subject *subject, const struct wire_fault *fault)
{
	json_t *const text = json_string(subject_fault_text(subject, fault));
	char *const quoted = json_dumps(text, JSON_ENCODE_ANY);

	printf("  \"fault\": %s,\n  \"rule\": \"%s\",\n", quoted != NULL ? quoted : "null",
	       fault->rule);
	printf("  \"offset\": %" PRIu64 ",\n  \"value\": %" PRIu64 ",\n  \"allowed\": %" PRIu64
	       ",\n",
	       subject->image.offset + fault->offset, fault->value, fault->allowed);
	free(quoted);
	json_decref(text);
}

/** @fault is NULL if there is none. */
static void print_json(const struct subject *subject, const struct wire_fault *fault)
{
	puts("{");
	if (fault != NULL)
		print_fault_json(subject, fault);
	printf("  \"format\": \"%s\",\n  \"name\": \"%s\",\n  \"valid\": %s\n}\n",
	       subject->format->format, subject->format->name, fault == NULL ? "true" : "false");
}

int command_check(const struct words *words)
{
	struct subject subject = {0};
	struct wire_fault fault;
	int status = subject_open(&subject, words, false);
	bool valid;

	if (status != STATUS_OK)
		return status;
	valid = subject.format->check(subject.image.data, subject.image.size, subject.arguments,
				      &fault) >= 0;
	if (words->json)
		print_json(&subject, valid ? NULL : &fault);
	else if (!valid && !words->quiet)
		subject_say_fault(&subject, &fault);
	else if (valid && !words->quiet)
		printf("%s: valid %s\n", subject.image.path, format_title(subject.format));
	subject_close(&subject);
	return valid ? STATUS_OK : STATUS_INVALID;
}
