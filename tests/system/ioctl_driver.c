/* SPDX-License-Identifier: MIT */
/*
 * A driver whose device is good for ioctls only, as ioctl_arguments.wire describes them or, with
 * bad=yes, in a way that makes no sense.
 */
#include "ioctl_arguments_ioctls.h"

#include "ioctl_commands.h"

#include <bdus/driver.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

_Static_assert(COMMAND_QUERY == TESTS_IOCTL_QUERY && COMMAND_NOTE == TESTS_IOCTL_NOTE &&
		       COMMAND_NOTE_32 == TESTS_IOCTL_NOTE_32 &&
		       COMMAND_AGAIN == TESTS_IOCTL_AGAIN && COMMAND_ODD == TESTS_IOCTL_ODD &&
		       COMMAND_CATALOG == TESTS_IOCTL_CATALOG,
	       "numbers are what clients have");

/** The second one's pointer would reach past the end of the argument. */
static const struct bdus_ioctl_part bad_parts[] = {
	BDUS_IOCTL_ARGUMENT(COMMAND_QUERY, uint64_t, BDUS_IOCTL_IN | BDUS_IOCTL_CLIENT_64),
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

/** Works on names; what is in their pointers afterwards is of no consequence: they are the
 * client's. */
static uint32_t answer_names(struct tests_name *names, uint32_t count, void *payload)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; names != NULL && i < count; i++) {
		char *const text = tests_name_at_text(&names[i], payload);

		tests_name_set_sum(&names[i], add_up(text, tests_name_length(&names[i])));
		tests_name_set_text(&names[i], UINT64_MAX);
		sum += tests_name_sum(&names[i]);
	}
	return sum;
}

static int answer_query(void *payload)
{
	struct tests_query *const query = tests_query_from(payload);

	tests_query_set_sum(query, answer_names(tests_query_at_names(query, payload),
						tests_query_count(query), payload));
	return 0;
}

static int answer_note(const struct bdus_request *request)
{
	struct tests_note *const note = tests_note_from(request->data);
	unsigned char *const text = tests_note_at_text(note, request->data);

	if (request->flags & BDUS_REQUEST_CLIENT_32)
		return -EPROTO;
	tests_note_set_sum(note, add_up((char *)text, tests_note_length(note)));
	return 0;
}

static int answer_note_32(const struct bdus_request *request)
{
	struct tests_note_32 *const note = tests_note_32_from(request->data);
	unsigned char *const text = tests_note_32_at_text(note, request->data);

	if (!(request->flags & BDUS_REQUEST_CLIENT_32))
		return -EPROTO;
	tests_note_32_set_sum(note, add_up((char *)text, tests_note_32_length(note)));
	return 0;
}

/** The sum of all names on the shelves, each shelf's in @sums, and the length of the title. */
static uint32_t answer_shelves(const struct tests_shelf *shelves, uint32_t count, void *sums,
			       const char *title, void *payload)
{
	uint32_t total = title == NULL ? 0 : (uint32_t)strlen(title);

	for (uint32_t i = 0; shelves != NULL && i < count; i++) {
		const uint32_t sum = answer_names(tests_shelf_at_names(&shelves[i], payload),
						  tests_shelf_count(&shelves[i]), payload);

		total += sum;
		if (sums != NULL)
			memcpy((char *)sums + i * sizeof(sum), &sum, sizeof(sum));
	}
	return total;
}

/** The number is the same for all clients. */
static int answer_catalog(const struct bdus_request *request)
{
	struct tests_catalog *const wide = tests_catalog_from(request->data);
	struct tests_catalog_32 *const narrow = tests_catalog_32_from(request->data);
	void *const payload = request->data;

	if (request->flags & BDUS_REQUEST_CLIENT_32)
		tests_catalog_32_set_sum(
			narrow,
			answer_shelves(tests_catalog_32_at_shelves(narrow, payload),
				       tests_catalog_32_count(narrow),
				       tests_catalog_32_at_sums(narrow, payload),
				       tests_catalog_32_at_title(narrow, payload), payload));
	else
		tests_catalog_set_sum(wide, answer_shelves(tests_catalog_at_shelves(wide, payload),
							   tests_catalog_count(wide),
							   tests_catalog_at_sums(wide, payload),
							   tests_catalog_at_title(wide, payload),
							   payload));
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
	case COMMAND_CATALOG:
		return answer_catalog(request);
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
	attrs->ioctl_parts = bad ? bad_parts : tests_ioctl_parts;
	attrs->ioctl_part_count =
		bad ? sizeof(bad_parts) / sizeof(bad_parts[0]) : TESTS_IOCTL_PART_COUNT;
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
