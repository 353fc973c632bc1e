/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a hostile client of a service. Whatever comes, each request that the program gets is
 * answered once, an honest client beside is served, and no descriptor is left.
 */
#include "records.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_HELD 64

struct held {
	struct caps_message messages[MOST_HELD];
	unsigned count;
};

static void get_one(struct caps_port *service, struct held *held, size_t capacity)
{
	static char buffer[65536];
	struct caps_message message;

	if (caps_get(service, &message, buffer, capacity, 0) != 0 || message.kind == CAPS_ABORT)
		return;
	/* All of the payload can be read. */
	for (size_t i = 0; i < message.length; i++)
		if (((const volatile unsigned char *)message.data)[i] == 255)
			break;
	if (held->count == MOST_HELD)
		caps_reply(service, &message, NULL);
	else
		held->messages[held->count++] = message;
}

static void reply_one(struct caps_port *service, struct held *held, unsigned which)
{
	struct caps_message *message;
	int error;

	if (held->count == 0)
		return;
	message = &held->messages[which % held->count];
	error = caps_reply(service, message, NULL);
	if ((error != 0 && error != -ECONNRESET) || caps_reply(service, message, NULL) != -ENOENT)
		abort();
	*message = held->messages[--held->count];
}

static void check_honest(struct caps_port *service, struct caps_port *honest)
{
	const struct caps_request request = {.operation = 200};
	struct caps_message message;
	struct held held = {.count = 0};

	if (caps_put(honest, &request, NULL) != 0)
		abort();
	for (int i = 0; i < 200; i++) {
		get_one(service, &held, 65536);
		reply_one(service, &held, 0);
	}
	if (caps_get(honest, &message, NULL, 0, 0) != 0 || message.error != 0)
		abort();
}

static void run(struct caps_port *service, int raw, struct input *in)
{
	struct held held = {.count = 0};

	while (in->at < in->size) {
		const uint8_t first = take_byte(in);

		if (send_record(raw, in, first))
			get_one(service, &held, 64);
		else if ((first >> 2) % 2 == 0)
			get_one(service, &held, take_byte(in));
		else
			reply_one(service, &held, take_byte(in));
	}
	for (int i = 0; i < 8; i++)
		get_one(service, &held, 65536);
	while (held.count > 0)
		reply_one(service, &held, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct caps_service_options options = {.size = sizeof(options), .description = "{}"};
	const int lowest = lowest_free();
	struct input in = {.data = data, .size = base_min(size, 4096)};
	struct caps_port *service, *honest;
	int ends[2], pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0 ||
	    caps_serve(NULL, &options, &service) != 0 ||
	    caps_connect_fd(pair[1], NULL, &honest) != 0 || caps_attach(service, pair[0]) != 0 ||
	    caps_attach(service, ends[0]) != 0)
		abort();
	run(service, ends[1], &in);
	check_honest(service, honest);
	close(ends[1]);
	caps_destroy(honest);
	caps_destroy(service);
	if (lowest_free() != lowest)
		abort();
	return 0;
}
