/* SPDX-License-Identifier: MIT */
/*
 * Commands for filters: words in, text out. What they mean is between the filter and who asks. And
 * filters that come and go, which is answered when that is done.
 */
#include "control_internal.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
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
		control_refuse(control, message, base_error(ENOMEM, "no memory for an answer"));
		return;
	}
	result = carry_out(control->device, request, (char *)reply, sizeof(*reply));
	if (result < 0)
		control_refuse(control, message, result);
	else
		control_filter_reply(port, message, reply);
	free(reply);
}

/* ---- that come and go ---------------------------------------------------------------------- */

/** Copies a text with its end. */
static int take_name(struct wire_text name, char *to, size_t size)
{
	if (name.length >= size)
		return base_error(EINVAL, "the name of a filter is longer than %zu bytes",
				  size - 1);
	memcpy(to, name.data, name.length);
	to[name.length] = '\0';
	return 0;
}

static void end_change(const struct bdus_control *control)
{
	struct caps_message message = control->changing;

	control_tell_done(control, &message, "%s", control->change);
	/* Both are answered with nothing. */
	caps_reply(control->port, &message, NULL);
}

static void changed(void *opaque, int result)
{
	struct bdus_control *const control = opaque;

	if (result < 0)
		control_refuse(control, &control->changing, result);
	else
		end_change(control);
}

/** Keeps the message of a change that has begun. */
static void begun(struct bdus_control *control, struct caps_message *message, int result,
		  const char *filter, const char *what)
{
	if (result < 0) {
		control_refuse(control, message, result);
		return;
	}
	control->changing = *message;
	snprintf(control->change, sizeof(control->change), "filter %.40s was %s", filter, what);
}

void control_handle_attach_filter(void *context, struct caps_port *port,
				  struct caps_message *message,
				  const struct control_filter_use *request)
{
	struct bdus_control *const control = context;
	const char *words[MOST_WORDS];
	char filter[256] = "";
	int result = take_name(control_filter_use_filter(request), filter, sizeof(filter));
	int count = 0;

	(void)port;
	if (result == 0)
		count = cut_words((const char *)control_filter_use_words(request).data,
				  control_filter_use_length(request), words);
	if (count < 0)
		result = count;
	if (result == 0)
		result = bdus_device_attach_filter(control->device, filter, words, (unsigned)count,
						   changed, control);
	begun(control, message, result, filter, "attached");
}

void control_handle_detach_filter(void *context, struct caps_port *port,
				  struct caps_message *message,
				  const struct control_filter_name *request)
{
	struct bdus_control *const control = context;
	char filter[32] = "";
	int result = take_name(control_filter_name_filter(request), filter, sizeof(filter));

	(void)port;
	if (result == 0)
		result = bdus_device_detach_filter(control->device, filter, changed, control);
	begun(control, message, result, filter, "detached");
}
