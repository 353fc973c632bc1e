/* SPDX-License-Identifier: MIT */
/*
 * A driver whose device is good for ioctls only, described well or, with table=bad, not.
 */
#include "ioctl_commands.h"

#include <bdus/driver.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#define BOTH (BDUS_IOCTL_CLIENT_64 | BDUS_IOCTL_CLIENT_32)

static const struct bdus_ioctl_part parts[] = {
	BDUS_IOCTL_ARGUMENT(COMMAND_QUERY, struct query, BDUS_IOCTL_IN | BDUS_IOCTL_OUT | BOTH),
	BDUS_IOCTL_COUNTED(COMMAND_QUERY, 0, struct query, names, count, sizeof(struct name),
			   NAMES_MOST, BDUS_IOCTL_IN | BDUS_IOCTL_OUT),
	BDUS_IOCTL_COUNTED(COMMAND_QUERY, 1, struct name, text, length, 1, TEXT_MOST,
			   BDUS_IOCTL_IN | BDUS_IOCTL_OUT),
	BDUS_IOCTL_ARGUMENT(COMMAND_NOTE, struct note,
			    BDUS_IOCTL_IN | BDUS_IOCTL_OUT | BDUS_IOCTL_CLIENT_64),
	BDUS_IOCTL_COUNTED(COMMAND_NOTE, 0, struct note, text, length, 1, TEXT_MOST, BDUS_IOCTL_IN),
	BDUS_IOCTL_ARGUMENT(COMMAND_NOTE_32, struct note_32,
			    BDUS_IOCTL_IN | BDUS_IOCTL_OUT | BDUS_IOCTL_CLIENT_32),
	BDUS_IOCTL_COUNTED(COMMAND_NOTE_32, 0, struct note_32, text, length, 1, TEXT_MOST,
			   BDUS_IOCTL_IN),
	BDUS_IOCTL_ARGUMENT(COMMAND_AGAIN, uint64_t,
			    BDUS_IOCTL_IN | BDUS_IOCTL_OUT | BDUS_IOCTL_REPEATABLE | BOTH),
	BDUS_IOCTL_ARGUMENT(COMMAND_ODD, char[ODD_BYTES], BDUS_IOCTL_IN | BDUS_IOCTL_OUT | BOTH),
};

/** The second one's pointer would reach past the end of the argument. */
static const struct bdus_ioctl_part bad_parts[] = {
	BDUS_IOCTL_ARGUMENT(COMMAND_QUERY, uint64_t, BDUS_IOCTL_IN | BOTH),
	BDUS_IOCTL_POINTED(COMMAND_QUERY, 0, struct query, names, 1, BDUS_IOCTL_IN),
};

static uint32_t add_up(char *text, uint32_t length)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; text != NULL && i < length; i++) {
		sum += (unsigned char)text[i];
		text[i] = (char)toupper((unsigned char)text[i]);
	}
	return sum;
}

static int answer_query(void *data)
{
	struct query *const query = data;
	struct name *const names = bdus_ioctl_at(data, query->names);

	query->sum = 0;
	for (uint32_t i = 0; names != NULL && i < query->count; i++) {
		names[i].sum = add_up(bdus_ioctl_at(data, names[i].text), names[i].length);
		query->sum += names[i].sum;
		/* Of no consequence: pointers are the client's. */
		names[i].text = UINT64_MAX;
	}
	return 0;
}

static int answer_note(const struct bdus_request *request)
{
	struct note *const note = request->data;

	if (request->flags & BDUS_REQUEST_CLIENT_32)
		return -EPROTO;
	note->sum = add_up(bdus_ioctl_at(note, (uintptr_t)note->text), note->length);
	return 0;
}

static int answer_note_32(const struct bdus_request *request)
{
	struct note_32 *const note = request->data;

	if (!(request->flags & BDUS_REQUEST_CLIENT_32))
		return -EPROTO;
	note->sum = add_up(bdus_ioctl_at(note, note->text), note->length);
	return 0;
}

static int answer(struct bdus_request *request)
{
	char *const bytes = request->data;

	switch (request->offset_bytes) {
	case COMMAND_QUERY:
		return answer_query(request->data);
	case COMMAND_NOTE:
		return answer_note(request);
	case COMMAND_NOTE_32:
		return answer_note_32(request);
	case COMMAND_AGAIN:
	case COMMAND_TWICE:
		*(uint64_t *)request->data *= 2;
		return 0;
	case COMMAND_ODD:
		for (unsigned i = 0; i < ODD_BYTES; i++)
			bytes[i]++;
		return 0;
	case COMMAND_FAIL:
		return -EXDEV;
	default:
		return -ENOTTY;
	}
}

static bool is_answered(const struct bdus_request *request)
{
	switch (request->offset_bytes) {
	case COMMAND_HANG:
		return false;
	case COMMAND_AGAIN:
		return (request->flags & BDUS_REQUEST_RETRIED) != 0;
	default:
		return true;
	}
}

static void submit(void *instance, struct bdus_request *request)
{
	(void)instance;
	if (request->op != BDUS_OP_IOCTL)
		bdus_complete(request, 0);
	else if (is_answered(request))
		bdus_complete(request, answer(request));
}

static int open_nothing(const struct bdus_config *config, struct bdus_device_attrs *attrs,
			void **instance)
{
	const bool bad = bdus_config_bool(config, "bad");

	*instance = NULL;
	attrs->size_bytes = 1 << 24;
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_IOCTL);
	attrs->ioctl_parts = bad ? bad_parts : parts;
	attrs->ioctl_part_count =
		bad ? sizeof(bad_parts) / sizeof(bad_parts[0]) : sizeof(parts) / sizeof(parts[0]);
	return 0;
}

static const struct bdus_option options[] = {
	{.key = "bad", .kind = BDUS_OPTION_BOOL, .fallback = "no", .help = "Describe them badly"},
	{.key = NULL},
};

static const struct bdus_driver ioctl_driver = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "ioctls",
	.summary = "ioctls for tests",
	.options = options,
	.open = open_nothing,
	.submit = submit,
};

BDUS_DRIVER_EXPORT(ioctl_driver)
