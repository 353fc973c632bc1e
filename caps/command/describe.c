/* SPDX-License-Identifier: MIT */
/*
 * caps describe: asks a service for its description, and finds things in it.
 */
#include "command_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *ask_description(struct caps_port *port, int timeout_ms)
{
	const struct caps_request request = {.operation = CAPS_DESCRIBE};
	struct caps_message reply;
	json_error_t where;
	json_t *description = NULL;
	char *buffer = malloc(CAPS_INLINE_BYTES);

	if (buffer == NULL ||
	    caps_call(port, &request, &reply, buffer, CAPS_INLINE_BYTES, timeout_ms) != 0) {
		fail("%s", buffer == NULL ? "no memory" : caps_error());
	} else if (reply.error != 0) {
		fail(reply.error == -ENOSYS ? "the service has no description"
					    : "the service does not answer: error %d",
		     reply.error);
		caps_release(&reply);
	} else {
		description = json_loadb(reply.data, (size_t)reply.length, 0, &where);
		if (!json_is_object(description))
			fail("the service's description is not JSON");
		caps_release(&reply);
	}
	free(buffer);
	return description;
}

const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

uint64_t number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

const json_t *find_named(const json_t *description, const char *list, const char *name)
{
	const json_t *all = json_object_get(description, list);

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *one = json_array_get(all, i);
		const char *its = text_of(one, "name");

		if (its != NULL && name != NULL && strcmp(its, name) == 0)
			return one;
	}
	return NULL;
}

static bool set_member(struct member *member)
{
	if (member->at == NULL)
		return false;
	member->key = json_object_iter_key(member->at);
	member->value = json_object_iter_value(member->at);
	return true;
}

/* jansson's iterators change nothing, whatever their parameters say. */
bool first_member(const json_t *object, struct member *member)
{
	member->at = json_object_iter((json_t *)(uintptr_t)object);
	return set_member(member);
}

bool next_member(const json_t *object, struct member *member)
{
	member->at = json_object_iter_next((json_t *)(uintptr_t)object, member->at);
	return set_member(member);
}

const json_t *find_code(const json_t *description, uint32_t code)
{
	const json_t *all = json_object_get(description, "operations");

	for (size_t i = 0; i < json_array_size(all); i++)
		if (number_of(json_array_get(all, i), "code") == code)
			return json_array_get(all, i);
	return NULL;
}

const json_t *find_operation(const json_t *description, const char *word)
{
	const json_t *found = find_named(description, "operations", word);

	if (found == NULL)
		fail("the service has no operation '%s'", word);
	return found;
}

static void put(const char *text)
{
	put_printable(stdout, text);
}

static void print_set(const json_t *description, const char *what, const char *name)
{
	const json_t *set = find_named(description, "sets", name);
	const json_t *values = json_object_get(set, "values");
	struct member m;

	if (set == NULL)
		return;
	printf("    %s", what);
	for (bool more = first_member(values, &m); more; more = next_member(values, &m)) {
		putchar(' ');
		put(m.key);
		printf("=%lld", (long long)json_integer_value(m.value));
	}
	putchar('\n');
}

static void print_item(const json_t *item)
{
	const char *type = text_of(item, "type"), *of = text_of(item, "struct");
	const json_t *count = json_object_get(item, "count");
	const json_t *bits = json_object_get(item, "bits");

	for (size_t i = 0; i < json_array_size(bits); i++) {
		putchar(' ');
		put(text_of(json_array_get(bits, i), "name"));
		printf(":%llu", (unsigned long long)number_of(json_array_get(bits, i), "width"));
	}
	if (text_of(item, "name") == NULL)
		return;
	putchar(' ');
	put(text_of(item, "name"));
	putchar(':');
	put(of != NULL ? of : type);
	if (json_object_get(item, "bytes") != NULL)
		printf("%llu", 8 * (unsigned long long)number_of(item, "bytes"));
	if (json_is_string(count)) {
		putchar('[');
		put(json_string_value(count));
		putchar(']');
	} else if (count != NULL) {
		printf("[%lld]", (long long)json_integer_value(count));
	}
}

static void print_struct(const json_t *description, const char *what, const char *name)
{
	const json_t *found = find_named(description, "structs", name);
	const json_t *items = json_object_get(found, "items");

	if (found == NULL)
		return;
	printf("    %s", what);
	for (size_t i = 0; i < json_array_size(items); i++)
		print_item(json_array_get(items, i));
	putchar('\n');
}

static void print_operation(const json_t *description, const json_t *operation)
{
	const char *doc = text_of(operation, "doc");

	put(text_of(operation, "name"));
	printf(" (%llu)%s", (unsigned long long)number_of(operation, "code"),
	       doc != NULL ? ": " : "");
	put(doc);
	putchar('\n');
	print_struct(description, "request", text_of(operation, "request"));
	print_struct(description, "reply  ", text_of(operation, "reply"));
	print_set(description, "errors ", text_of(operation, "errors"));
	if (number_of(operation, "fds") != 0)
		printf("    descriptors with the request: %llu\n",
		       (unsigned long long)number_of(operation, "fds"));
	if (number_of(operation, "reply_fds") != 0)
		printf("    descriptors with the reply: %llu\n",
		       (unsigned long long)number_of(operation, "reply_fds"));
}

int command_describe(const struct options *options)
{
	struct caps_port *port;
	json_t *description;
	const json_t *operations;

	if (connect_to(options, &port) != STATUS_GOOD)
		return STATUS_FAILED;
	description = ask_description(port, options->timeout_ms);
	caps_destroy(port);
	if (description == NULL)
		return STATUS_FAILED;
	operations = json_object_get(description, "operations");
	if (options->json) {
		json_dumpf(description, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		for (size_t i = 0; i < json_array_size(operations); i++)
			print_operation(description, json_array_get(operations, i));
	}
	json_decref(description);
	return STATUS_GOOD;
}
