/* SPDX-License-Identifier: MIT */
/*
 * Stands in for BDUS in unit tests of drivers.
 */
#include "double.h"

#include "base/bits.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MOST_WORDS = 16,
	WORD_BYTES = 512,
};

/* What a user wrote, cut into words. */
struct bdus_config {
	const struct bdus_option *options;
	char words[MOST_WORDS][WORD_BYTES];
	unsigned count;
};

static _Thread_local char message[512];

/* ---- options ------------------------------------------------------------------------------- */

static const struct bdus_option *find_option(const struct bdus_config *config, const char *key)
{
	const struct bdus_option *option = config->options;

	while (option->key != NULL && strcmp(option->key, key) != 0)
		option++;
	return option->key != NULL ? option : NULL;
}

static const char *given_value(const struct bdus_config *config, const char *key)
{
	const size_t length = strlen(key);

	for (unsigned i = 0; i < config->count; i++)
		if (strncmp(config->words[i], key, length) == 0 && config->words[i][length] == '=')
			return config->words[i] + length + 1;
	return NULL;
}

static const char *value_of(const struct bdus_config *config, const char *key)
{
	const char *const given = given_value(config, key);

	/* A driver may only ask for options that it declared. */
	if (find_option(config, key) == NULL)
		abort();
	return given != NULL ? given : find_option(config, key)->fallback;
}

bool bdus_config_given(const struct bdus_config *config, const char *key)
{
	return given_value(config, key) != NULL;
}

const char *bdus_config_string(const struct bdus_config *config, const char *key)
{
	return value_of(config, key);
}

uint64_t bdus_config_number(const struct bdus_config *config, const char *key)
{
	static const char units[] = "KMGTP";
	const char *const text = value_of(config, key);
	char *end;

	if (text == NULL)
		return 0;
	const uint64_t number = strtoull(text, &end, 0);
	const char *const unit = *end != '\0' ? strchr(units, *end) : NULL;
	return unit != NULL ? number << (10 * (unit - units + 1)) : number;
}

bool bdus_config_bool(const struct bdus_config *config, const char *key)
{
	const char *const text = value_of(config, key);

	return text != NULL && strcmp(text, "yes") == 0;
}

int bdus_config_error(int errnum, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return -errnum;
}

const char *double_message(void)
{
	return message;
}

static void cut_words(struct bdus_config *config, const char *text)
{
	while (*text != '\0' && config->count < MOST_WORDS) {
		const size_t length = strcspn(text, " ");
		snprintf(config->words[config->count++], WORD_BYTES, "%.*s", (int)length, text);
		text += length + strspn(text + length, " ");
	}
}

static bool in_range(const struct bdus_config *config, const struct bdus_option *option)
{
	const uint64_t number = bdus_config_number(config, option->key);

	if (option->kind != BDUS_OPTION_SIZE && option->kind != BDUS_OPTION_NUMBER)
		return true;
	return value_of(config, option->key) == NULL ||
	       (number >= option->minimum && (option->maximum == 0 || number <= option->maximum));
}

static bool words_are_known(const struct bdus_config *config)
{
	for (unsigned i = 0; i < config->count; i++) {
		char key[WORD_BYTES];
		snprintf(key, sizeof(key), "%.*s", (int)strcspn(config->words[i], "="),
			 config->words[i]);
		if (find_option(config, key) == NULL)
			return false;
	}
	return true;
}

static bool options_are_valid(const struct bdus_config *config)
{
	for (const struct bdus_option *option = config->options; option->key != NULL; option++)
		if ((option->required && given_value(config, option->key) == NULL) ||
		    !in_range(config, option))
			return false;
	return words_are_known(config);
}

int double_open(struct opened *opened, const struct bdus_driver *driver, const char *options)
{
	struct bdus_config config = {.options = driver->options};

	message[0] = '\0';
	cut_words(&config, options);
	if (!options_are_valid(&config))
		return -EINVAL;
	*opened = (struct opened){.driver = driver};
	return driver->open(&config, &opened->attrs, &opened->instance);
}

int double_close(struct opened *opened)
{
	return opened->driver->close ? opened->driver->close(opened->instance) : 0;
}

/* ---- requests ------------------------------------------------------------------------------ */

void bdus_complete(struct bdus_request *request, int result)
{
	struct double_io *const io = base_container_of(request, struct double_io, request);

	io->completions++;
	io->result = result;
}

void double_begin(const struct opened *opened, struct double_io *io)
{
	io->completions = 0;
	if (!(opened->attrs.ops & BDUS_OP_BIT(io->request.op)))
		bdus_complete(&io->request, -EOPNOTSUPP);
	else if (opened->driver->handle != NULL)
		bdus_complete(&io->request, opened->driver->handle(opened->instance, &io->request));
	else
		opened->driver->submit(opened->instance, &io->request);
}

static int serve(const struct opened *opened, struct double_io *io)
{
	double_begin(opened, io);
	while (io->completions == 0 && double_step())
		;
	if (io->completions != 1)
		abort();
	return io->result;
}

int double_request(const struct opened *opened, enum bdus_op op, unsigned flags, uint64_t offset,
		   uint64_t length, void *data)
{
	struct double_io io = {.request = {.op = (uint8_t)op,
					   .flags = (uint16_t)flags,
					   .offset_bytes = offset,
					   .length_bytes = length,
					   .data = data}};
	const int result = serve(opened, &io);

	/* What the driver lent is read as BDUS may: after completion. */
	if (result == 0 && io.request.data != data) {
		if (op != BDUS_OP_READ || !(flags & BDUS_REQUEST_MAY_LEND))
			abort();
		memcpy(data, io.request.data, length);
	}
	return result;
}

int double_extents(const struct opened *opened, uint64_t offset, uint64_t length,
		   struct bdus_extent *extents, uint32_t capacity)
{
	struct double_io io = {.request = {.op = BDUS_OP_EXTENTS,
					   .offset_bytes = offset,
					   .length_bytes = length,
					   .extents = extents,
					   .extent_capacity = capacity}};
	const int result = serve(opened, &io);

	return result < 0 ? result : (int)io.request.extent_count;
}
