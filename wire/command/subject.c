/* SPDX-License-Identifier: MIT */
/*
 * What dump, check and edit begin with: a format with its arguments, and an image.
 */
#include "command_internal.h"

#include <inttypes.h>
#include <stdio.h>

int subject_open(struct subject *subject, const struct words *words, bool to_edit)
{
	int status = format_find(words->operands[0], &subject->format);

	if (status != STATUS_OK)
		return status;
	format_defaults(subject->format, subject->arguments);
	for (unsigned i = 0; i < words->setting_count && status == STATUS_OK; i++)
		status = format_set(subject->format, subject->arguments, words->settings[i]);
	if (status != STATUS_OK)
		return status;
	subject->image.path = words->operands[1];
	return image_open(&subject->image, words, to_edit);
}

void subject_close(struct subject *subject)
{
	image_close(&subject->image);
}

const char *subject_fault_text(const struct subject *subject, const struct wire_fault *fault)
{
	static char text[640];
	const size_t length = wire_fault_text(fault, text, sizeof(text));

	if (subject->image.offset != 0 && length < sizeof(text))
		snprintf(text + length, sizeof(text) - length, " (byte %" PRIu64 " of the image)",
			 subject->image.offset + fault->offset);
	return text;
}

void subject_say_fault(const struct subject *subject, const struct wire_fault *fault)
{
	say("%s: %s: %s", subject->image.path, format_title(subject->format),
	    subject_fault_text(subject, fault));
}
