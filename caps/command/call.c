/* SPDX-License-Identifier: MIT */
/*
 * caps call and caps bench: a request from JSON, its reply as JSON; many of them, and how long they
 * took.
 */
#include "command_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CALLS 10000

/** All that a call needs. */
struct caller {
	struct caps_port *port;
	json_t *description;
	const json_t *operation;
	struct body body;
	struct caps_request request;
	char *buffer;
};

/* The third operand, or standard input for "-"; without it, an empty object. */
static json_t *read_value(const struct options *options)
{
	json_error_t where;
	json_t *value;

	if (options->operand_count < 3)
		return json_object();
	if (strcmp(options->operands[2], "-") == 0)
		value = json_loadf(stdin, 0, &where);
	else
		value = json_loads(options->operands[2], 0, &where);
	if (value == NULL)
		fail("the request is not JSON: %s", where.text);
	return value;
}

static int prepare_body(struct caller *caller, const struct options *options)
{
	const char *name = text_of(caller->operation, "request");
	json_t *value = read_value(options);
	int status = STATUS_GOOD;

	if (value == NULL)
		return STATUS_FAILED;
	if (name != NULL)
		status = encode(caller->description, name, value, &caller->body);
	else if (json_object_size(value) != 0)
		status = fail("'%s' has no request", options->operands[1]);
	json_decref(value);
	return status;
}

static int prepare(struct caller *caller, const struct options *options)
{
	caller->description = ask_description(caller->port, options->timeout_ms);
	if (caller->description == NULL)
		return STATUS_FAILED;
	caller->operation = find_operation(caller->description, options->operands[1]);
	if (caller->operation == NULL || prepare_body(caller, options) != STATUS_GOOD)
		return STATUS_FAILED;
	if (number_of(caller->operation, "fds") != options->fd_count)
		return fail("'%s' takes %llu descriptors (--fd), and %u were given",
			    options->operands[1],
			    (unsigned long long)number_of(caller->operation, "fds"),
			    options->fd_count);
	caller->buffer = malloc(CAPS_INLINE_BYTES);
	if (caller->buffer == NULL)
		return fail("no memory");
	caller->request =
		(struct caps_request){.operation = (uint32_t)number_of(caller->operation, "code"),
				      .data = caller->body.data,
				      .length = caller->body.length,
				      .fds = options->fds,
				      .fd_count = options->fd_count};
	return STATUS_GOOD;
}

static int start(struct caller *caller, const struct options *options)
{
	*caller = (struct caller){.port = NULL};
	if (connect_to(options, &caller->port) != STATUS_GOOD)
		return STATUS_FAILED;
	return prepare(caller, options);
}

static void finish(struct caller *caller)
{
	body_finish(&caller->body);
	json_decref(caller->description);
	caps_destroy(caller->port);
	free(caller->buffer);
}

static int show(const struct caller *caller, const struct caps_message *reply)
{
	json_t *value;

	if (reply->error != 0) {
		value = error_json(caller->description, caller->operation, reply->error);
		if (json_is_string(value))
			fail("%s (%d)", json_string_value(value), reply->error);
		else
			fail("%s%s%.*s",
			     reply->error < 0 ? strerror(-reply->error) : "unknown error",
			     reply->length != 0 ? ": " : "",
			     (int)(reply->length < 512 ? reply->length : 512),
			     reply->length != 0 ? (const char *)reply->data : "");
		json_decref(value);
		return STATUS_FAILED;
	}
	value = decode(caller->description, text_of(caller->operation, "reply"), reply->data,
		       (size_t)reply->length);
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(value);
	if (reply->fd_count != 0)
		fprintf(stderr, "caps: %u descriptors came with the reply and were closed\n",
			reply->fd_count);
	return STATUS_GOOD;
}

int command_call(const struct options *options)
{
	struct caps_message reply;
	struct caller caller;
	int status = start(&caller, options);

	if (status == STATUS_GOOD) {
		if (caps_call(caller.port, &caller.request, &reply, caller.buffer,
			      CAPS_INLINE_BYTES, options->timeout_ms) != 0) {
			status = fail("%s", caps_error());
		} else {
			status = show(&caller, &reply);
			caps_release(&reply);
		}
	}
	finish(&caller);
	return status;
}

/* ---- bench ---- */

static int by_value(const void *a, const void *b)
{
	const double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void print_times(const struct options *options, double *times, unsigned count, double all_ms)
{
	const double us = 1000;

	qsort(times, count, sizeof(*times), by_value);
	printf(options->json
		       ? "{\"calls\": %u, \"calls_per_second\": %.0f, \"median_us\": %.1f, "
			 "\"p99_us\": %.1f, \"max_us\": %.1f}\n"
		       : "%u calls, %.0f a second; median %.1f us, 99 %% %.1f us, most %.1f us\n",
	       count, count / all_ms * 1000, times[count / 2] * us,
	       times[(uint64_t)count * 99 / 100] * us, times[count - 1] * us);
}

static int measure(const struct caller *caller, const struct options *options, double *times,
		   unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const double begin = now_ms();
		struct caps_message reply;

		if (caps_call(caller->port, &caller->request, &reply, caller->buffer,
			      CAPS_INLINE_BYTES, options->timeout_ms) != 0)
			return fail("%s", caps_error());
		times[i] = now_ms() - begin;
		caps_release(&reply);
		if (reply.error != 0)
			return fail("call %u ended with error %d", i, reply.error);
	}
	return STATUS_GOOD;
}

int command_bench(const struct options *options)
{
	const unsigned count = options->count != 0 ? options->count : DEFAULT_CALLS;
	double *times = calloc(count, sizeof(*times));
	struct caller caller;
	int status = times != NULL ? start(&caller, options) : fail("no memory");
	double begin;

	if (times == NULL)
		return status;
	if (status == STATUS_GOOD) {
		begin = now_ms();
		status = measure(&caller, options, times, count);
		if (status == STATUS_GOOD)
			print_times(options, times, count, now_ms() - begin);
	}
	finish(&caller);
	free(times);
	return status;
}
