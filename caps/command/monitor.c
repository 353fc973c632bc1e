/* SPDX-License-Identifier: MIT */
/*
 * caps monitor: registers itself before a service, as the newest of its name, hands on each
 * message, and prints it as a line of JSON. Clients that are connected already are not seen; the
 * service sees the monitor as its client.
 */
#include "command_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct monitor {
	struct caps_port *front, *back;
	json_t *description; /* NULL if the service has none */
	char *text;          /* of it, to give to those who ask the monitor */
	char *buffer;
	unsigned left; /* 0: no end */
	bool bounded;
};

/** A request that was handed on: what `user` of its message points to. */
struct passed {
	struct caps_message request;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static void print(const struct monitor *m, const struct caps_message *message, const char *what)
{
	const json_t *operation = find_code(m->description, message->operation);
	const char *name = text_of(operation, "name");
	json_t *line = json_pack("{s:s, s:I, s:i, s:i}", what, name != NULL ? name : "",
				 "operation", (json_int_t)message->operation, "pid",
				 (int)message->sender.pid, "uid", (int)message->sender.uid);

	if (message->error != 0)
		json_object_set_new(line, "error",
				    error_json(m->description, operation, message->error));
	else
		json_object_set_new(line, "body",
				    decode(m->description, text_of(operation, what), message->data,
					   (size_t)message->length));
	if (message->fd_count != 0)
		json_object_set_new(line, "descriptors", json_integer(message->fd_count));
	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(line);
}

static void pass_request(struct monitor *m, struct caps_message *message)
{
	struct passed *passed = malloc(sizeof(*passed));
	struct caps_answer answer = {.error = -ENOMEM};
	struct caps_request request = {.operation = message->operation,
				       .flags = CAPS_QUEUE,
				       .data = message->data,
				       .length = message->length,
				       .fds = message->fds,
				       .fd_count = message->fd_count,
				       .user = passed};

	print(m, message, "request");
	if (passed != NULL)
		answer.error = caps_put(m->back, &request, NULL);
	if (answer.error != 0) {
		caps_reply(m->front, message, &answer);
		free(passed);
		return;
	}
	/* Its own parts are with the service now; the answer needs only its id. */
	caps_release(message);
	passed->request = *message;
}

static void pass_reply(struct monitor *m, struct caps_message *message)
{
	struct passed *passed = message->user;
	const struct caps_answer answer = {.error = message->error,
					   .data = message->data,
					   .length = message->length,
					   .fds = message->fds,
					   .fd_count = message->fd_count};

	print(m, message, "reply");
	caps_reply(m->front, &passed->request, &answer);
	caps_release(message);
	free(passed);
}

/* 0 until the service is gone. */
static int turn(struct monitor *m)
{
	struct pollfd look[2] = {{.fd = caps_fd(m->front), .events = POLLIN},
				 {.fd = caps_fd(m->back), .events = POLLIN}};
	struct caps_message message;
	int error;

	if (poll(look, 2, -1) < 0)
		return 0;
	while (caps_get(m->front, &message, m->buffer, CAPS_INLINE_BYTES, 0) == 0)
		if (message.kind == CAPS_REQUEST)
			pass_request(m, &message);
	while ((error = caps_get(m->back, &message, m->buffer, CAPS_INLINE_BYTES, 0)) == 0) {
		pass_reply(m, &message);
		if (m->bounded && --m->left == 0)
			return 1;
	}
	return error == -ENOTCONN;
}

static int serve(struct monitor *m, const struct options *options)
{
	const struct caps_service_options service = {.size = sizeof(service),
						     .system = options->system,
						     .directory = options->directory,
						     .description = m->text};

	if (caps_serve(options->operands[0], &service, &m->front) != 0)
		return fail("%s", caps_error());
	fprintf(stderr, "caps: standing before '%s'\n", options->operands[0]);
	while (!interrupted && turn(m) == 0)
		;
	caps_destroy(m->front);
	return STATUS_GOOD;
}

int command_monitor(const struct options *options)
{
	const struct sigaction action = {.sa_handler = interrupt};
	struct monitor m = {.left = options->count, .bounded = options->count != 0};
	int status;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (connect_to(options, &m.back) != STATUS_GOOD)
		return STATUS_FAILED;
	m.buffer = malloc(CAPS_INLINE_BYTES);
	m.description = ask_description(m.back, options->timeout_ms);
	m.text = json_dumps(m.description, JSON_COMPACT);
	status = m.buffer == NULL ? fail("no memory") : serve(&m, options);
	caps_destroy(m.back);
	json_decref(m.description);
	free(m.text);
	free(m.buffer);
	return status;
}
