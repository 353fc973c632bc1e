/* SPDX-License-Identifier: MIT */
/*
 * Commands for filters: words in, text out. What they mean is between the filter and who asks.
 */
#include "control_internal.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 16

/** The words, each of which has to end within the @length bytes. Their number, or -EINVAL. */
static int cut_words(const char *bytes, size_t length, const char *words[MOST_WORDS])
{
	int count = 0;

	for (size_t used = 0; used < length; used += strlen(bytes + used) + 1) {
		if (count == MOST_WORDS || memchr(bytes + used, 0, length - used) == NULL)
			return base_error(EINVAL,
					  "a command for a filter has at most %d words, "
					  "each with its end",
					  MOST_WORDS);
		words[count++] = bytes + used;
	}
	return count;
}

static int carry_out(struct bdus_device *device, const struct control_filter_command *request,
		     char *answer, size_t answer_bytes)
{
	const struct wire_text name = control_filter_command_filter(request);
	const char *words[MOST_WORDS];
	char filter[32];
	int count;

	if (name.length >= sizeof(filter))
		return base_error(EINVAL, "the name of a filter is longer than %zu bytes",
				  sizeof(filter) - 1);
	memcpy(filter, name.data, name.length);
	filter[name.length] = '\0';
	count = cut_words((const char *)control_filter_command_words(request).data,
			  control_filter_command_length(request), words);
	if (count < 0)
		return count;
	return bdus_device_filter_command(device, filter, words, (unsigned)count, answer,
					  answer_bytes);
}

void control_handle_filter(void *context, struct caps_port *port, struct caps_message *message,
			   const struct control_filter_command *request)
{
	const struct bdus_control *const control = context;
	struct control_filter_answer *const reply = calloc(1, sizeof(*reply));
	int result;

	if (reply == NULL) {
		control_refuse(port, message, base_error(ENOMEM, "no memory for an answer"));
		return;
	}
	result = carry_out(control->device, request, (char *)reply, sizeof(*reply));
	if (result < 0)
		control_refuse(port, message, result);
	else
		control_filter_reply(port, message, reply);
	free(reply);
}
