/* SPDX-License-Identifier: MIT */
/*
 * The JSON that --json prints. Its schema is documented in bdus(1) and stable: members are added,
 * never renamed or removed, and what is not known is null.
 */
#include "cli_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Ends the command when @value is NULL, which only a lack of memory makes it here. */
static json_t *checked(json_t *value)
{
	if (value == NULL) {
		cli_say("out of memory");
		exit(CLI_FAILED);
	}
	return value;
}

/** The length of up to four bytes at @text that are whole UTF-8 characters; 0 for none. */
static size_t character_length(const char *text)
{
	for (size_t bytes = 4; bytes > 0; bytes--) {
		json_t *const character =
			strnlen(text, bytes) == bytes ? json_stringn(text, bytes) : NULL;

		json_decref(character);
		if (character != NULL)
			return bytes;
	}
	return 0;
}

/** Copies @text with U+FFFD for each byte that is not part of a UTF-8 character. */
static json_t *repaired_text(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *const repaired = cli_allocate(strlen(text) * strlen(replacement) + 1);
	char *end = repaired;

	while (*text != '\0') {
		const size_t bytes = character_length(text);

		if (bytes != 0) {
			end = mempcpy(end, text, bytes);
			text += bytes;
		} else {
			end = stpcpy(end, replacement);
			text++;
		}
	}
	return checked(json_stringn(repaired, (size_t)(end - repaired)));
}

json_t *cli_json_text(const char *text)
{
	json_t *string;

	if (text == NULL || text[0] == '\0')
		return json_null();
	string = json_string(text);
	return string != NULL ? string : repaired_text(text);
}

json_t *cli_json_number(uint64_t value)
{
	return value <= INT64_MAX ? checked(json_integer((json_int_t)value)) : json_null();
}

json_t *cli_json_known(uint64_t value)
{
	return value != 0 ? cli_json_number(value) : json_null();
}

void cli_json_set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		checked(NULL);
}

void cli_json_append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) != 0)
		checked(NULL);
}

static json_t *operation_names(uint32_t ops)
{
	json_t *const names = checked(json_array());

	for (unsigned op = 0; op < BDUS_OP_COUNT; op++)
		if ((ops & BDUS_OP_BIT(op)) != 0)
			cli_json_append(names, cli_json_text(cli_op_name(op)));
	return names;
}

static json_t *flag_names(uint32_t flags)
{
	json_t *const names = checked(json_array());

	for (unsigned bit = 0; bit < 32; bit++)
		if ((flags >> bit & 1) != 0 && cli_flag_name(bit) != NULL)
			cli_json_append(names, cli_json_text(cli_flag_name(bit)));
	return names;
}

json_t *cli_json_device(const struct bdus_device_info *info)
{
	const bool has_number = info->major != 0 || info->minor != 0;
	json_t *const device = checked(json_object());

	cli_json_set(device, "id", cli_json_number(info->id));
	cli_json_set(device, "path", cli_json_text(info->path));
	cli_json_set(device, "native_path", cli_json_text(info->native_path));
	cli_json_set(device, "state", cli_json_text(bdus_state_name(info->state)));
	cli_json_set(device, "transport", cli_json_text(info->transport));
	cli_json_set(device, "driver", cli_json_text(info->driver));
	cli_json_set(device, "pid", cli_json_known(info->pid > 0 ? (uint64_t)info->pid : 0));
	cli_json_set(device, "size_bytes", cli_json_known(info->size_bytes));
	cli_json_set(device, "logical_block_size", cli_json_known(info->logical_block_size));
	cli_json_set(device, "physical_block_size", cli_json_known(info->physical_block_size));
	cli_json_set(device, "queues", cli_json_known(info->queues));
	cli_json_set(device, "queue_depth", cli_json_known(info->queue_depth));
	cli_json_set(device, "read_only", json_boolean(info->flags & BDUS_DEVICE_READ_ONLY));
	cli_json_set(device, "operations", operation_names(info->ops));
	cli_json_set(device, "flags", flag_names(info->flags));
	cli_json_set(device, "major", has_number ? cli_json_number(info->major) : json_null());
	cli_json_set(device, "minor", has_number ? cli_json_number(info->minor) : json_null());
	cli_json_set(device, "created_s", cli_json_known(info->created_s));
	return device;
}

/** The words of a choice as an array, null for options of another kind. */
static json_t *choice_words(const struct bdus_option *option)
{
	const char *word = option->choices;
	json_t *words;

	if (option->kind != BDUS_OPTION_CHOICE || word == NULL)
		return json_null();
	words = checked(json_array());
	for (word += strspn(word, " "); *word != '\0'; word += strspn(word, " ")) {
		const size_t length = strcspn(word, " ");

		cli_json_append(words, checked(json_stringn(word, length)));
		word += length;
	}
	return words;
}

static json_t *json_option(const struct bdus_option *option)
{
	const bool ranged = option->kind == BDUS_OPTION_SIZE || option->kind == BDUS_OPTION_NUMBER;
	const bool limited = ranged && (option->minimum != 0 || option->maximum != 0);
	json_t *const object = checked(json_object());

	cli_json_set(object, "key", cli_json_text(option->key));
	cli_json_set(object, "kind", cli_json_text(cli_option_kind(option)));
	cli_json_set(object, "required", json_boolean(option->required));
	cli_json_set(object, "default", cli_json_text(option->fallback));
	cli_json_set(object, "help", cli_json_text(option->help));
	cli_json_set(object, "minimum", limited ? cli_json_number(option->minimum) : json_null());
	cli_json_set(object, "maximum", limited ? cli_json_known(option->maximum) : json_null());
	cli_json_set(object, "choices", choice_words(option));
	return object;
}

json_t *cli_json_options(const struct bdus_option *options)
{
	json_t *const array = checked(json_array());

	for (; options != NULL && options->key != NULL; options++)
		cli_json_append(array, json_option(options));
	return array;
}

void cli_json_print(json_t *document)
{
	/* A failure to write is found by cli_flush_stdout(). */
	json_dumpf(checked(document), stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(document);
}
