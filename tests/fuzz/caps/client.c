/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a hostile service of a client. Whatever comes, each message that was put completes
 * exactly once, and no descriptor is left.
 */
#include "records.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
	unsigned put, taken;
};

static void greet(int raw, struct input *in)
{
	struct caps_wire_header header;
	int fd = make_memory(take_byte(in), 4096);

	caps_wire_header_init(&header);
	caps_wire_header_set_kind(&header, CAPS_WIRE_PACKET_HELLO);
	caps_wire_header_set_operation(&header, take_byte(in));
	caps_wire_header_set_fd_count(&header, 1);
	caps_packet_send(raw, &header, NULL, &fd, 1);
	close(fd);
}

static void take(struct caps_port *client, struct tally *tally, size_t capacity)
{
	static char buffer[65536];
	struct caps_message message;
	int error;

	error = caps_get(client, &message, buffer, capacity, 0);
	if (error == -EMSGSIZE)
		error = caps_get(client, &message, buffer, sizeof(buffer), 0);
	if (error != 0)
		return;
	if (message.id == 0 || message.id > tally->put)
		abort();
	tally->taken++;
	caps_release(&message);
}

static void put(struct caps_port *client, struct tally *tally)
{
	const struct caps_request request = {.operation = 1, .flags = CAPS_QUEUE};
	const int error = caps_put(client, &request, NULL);

	if (error != 0 && error != -ENOTCONN && error != -EACCES && error != -EBUSY)
		abort();
	tally->put += error == 0;
}

static void run(struct caps_port *client, int raw, struct input *in, struct tally *tally)
{
	while (in->at < in->size) {
		const uint8_t first = take_byte(in);

		if (send_record(raw, in, first))
			take(client, tally, 16);
		else if ((first >> 2) % 4 == 0)
			greet(raw, in);
		else if ((first >> 2) % 4 == 1)
			put(client, tally);
		else if ((first >> 2) % 4 == 2)
			caps_abort(client, take_byte(in));
		else
			take(client, tally, take_byte(in));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int lowest = lowest_free();
	struct input in = {.data = data, .size = base_min(size, 4096)};
	struct tally tally = {0, 0};
	struct caps_port *client;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 ||
	    caps_connect_fd(ends[1], NULL, &client) != 0)
		abort();
	run(client, ends[0], &in, &tally);
	close(ends[0]);
	for (unsigned i = 0; i < 5000 && tally.taken < tally.put; i++)
		take(client, &tally, 65536);
	if (tally.taken != tally.put)
		abort();
	caps_destroy(client);
	if (lowest_free() != lowest)
		abort();
	return 0;
}
