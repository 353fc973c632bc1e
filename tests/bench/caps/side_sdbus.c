/* SPDX-License-Identifier: MIT */
/*
 * sd-bus on a direct connection of two peers, without a broker: a method that returns its bytes.
 */
#include "load.h"

#include <sys/socket.h>
#include <systemd/sd-bus.h>

static int echo(sd_bus_message *message, void *unused, sd_bus_error *error)
{
	sd_bus_message *reply;
	const void *data;
	size_t size;
	int result;

	(void)unused;
	(void)error;
	if (sd_bus_message_read_array(message, 'y', &data, &size) < 0 ||
	    sd_bus_message_new_method_return(message, &reply) < 0)
		return -1;
	result = sd_bus_message_append_array(reply, 'y', data, size);
	if (result >= 0)
		result = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return result;
}

static const sd_bus_vtable methods[] = {
	SD_BUS_VTABLE_START(0), SD_BUS_METHOD("Echo", "ay", "ay", echo, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END};

static void serve(int fd)
{
	sd_id128_t id = {.qwords = {1, 2}};
	sd_bus *bus;
	int result;

	if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
	    sd_bus_set_server(bus, 1, id) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, "/bench", "bench.Echo", methods, NULL) < 0 ||
	    sd_bus_start(bus) < 0)
		die("sd-bus server");
	for (;;) {
		result = sd_bus_process(bus, NULL);
		if (result == 0)
			result = sd_bus_wait(bus, UINT64_MAX);
		if (result < 0)
			break;
	}
	sd_bus_unref(bus);
}

static void *open_bus(int fd)
{
	sd_bus *bus;

	if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_start(bus) < 0)
		die("sd-bus client");
	return bus;
}

static void call(void *client)
{
	const unsigned char data[SMALL_BYTES] = {0};
	sd_bus_message *message, *reply;
	const void *back;
	size_t size;

	if (sd_bus_message_new_method_call(client, &message, NULL, "/bench", "bench.Echo", "Echo") <
		    0 ||
	    sd_bus_message_append_array(message, 'y', data, sizeof(data)) < 0 ||
	    sd_bus_call(client, message, 0, NULL, &reply) < 0 ||
	    sd_bus_message_read_array(reply, 'y', &back, &size) < 0 || size != sizeof(data))
		die("sd-bus call");
	sd_bus_message_unref(message);
	sd_bus_message_unref(reply);
}

static void close_bus(void *client)
{
	sd_bus_close(client);
	sd_bus_unref(client);
}

const struct side side_sdbus = {
	"sd-bus, peer to peer", SOCK_STREAM, serve, open_bus, call, close_bus};
