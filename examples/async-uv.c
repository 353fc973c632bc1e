/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory in a loop of one's own, here that of libuv: `async-uv [WAY-IN]`.
 *
 *	cc -o async-uv async-uv.c $(pkg-config --cflags --libs bdus libuv)
 */
#define _GNU_SOURCE 1
#include <bdus/async.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static char memory[16 << 20];

static void submit(void *instance, struct bdus_request *request)
{
	char *place = memory + request->offset_bytes;

	(void)instance;
	if (request->op == BDUS_OP_READ)
		memcpy(request->data, place, request->length_bytes);
	else
		memcpy(place, request->data, request->length_bytes);
	bdus_complete(request, 0);
}

static void available(void *instance, const struct bdus_device_info *info)
{
	(void)instance;
	printf("%s\n", info->path);
	fflush(stdout);
}

struct server {
	struct bdus_loop *loop;
	struct bdus_device *device;
	struct bdus_queue *queue;
	uv_poll_t poll;
	uv_signal_t terminate;
};

/** Something happened: does it, and leaves the loop of libuv when the device has ended. */
static void on_events(uv_poll_t *poll, int status, int events)
{
	struct server *server = poll->data;

	(void)status;
	(void)events;
	bdus_loop_process(server->loop, 0);
	if (bdus_queue_result(server->queue) == 0)
		return;
	uv_close((uv_handle_t *)&server->poll, NULL);
	uv_close((uv_handle_t *)&server->terminate, NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct server *server = signal->data;

	(void)number;
	bdus_device_stop(server->device);
}

/** Until the device has ended, which a signal asks for. */
static void serve(struct bdus_loop *loop, struct bdus_device *device, struct bdus_queue *queue)
{
	struct server server = {.loop = loop, .device = device, .queue = queue};
	uv_loop_t uv;

	uv_loop_init(&uv);
	uv_poll_init(&uv, &server.poll, bdus_loop_fd(loop));
	uv_signal_init(&uv, &server.terminate);
	server.poll.data = &server;
	server.terminate.data = &server;
	uv_poll_start(&server.poll, UV_READABLE, on_events);
	uv_signal_start(&server.terminate, on_signal, SIGTERM);
	uv_run(&uv, UV_RUN_DEFAULT);
	uv_loop_close(&uv);
}

int main(int argc, char **argv)
{
	const struct bdus_async_driver driver = {
		.size = sizeof(driver),
		.name = "async-uv",
		.submit = submit,
		.available = available,
	};
	const struct bdus_device_options options = {
		.size = sizeof(options),
		.driver = &driver,
		.attrs = {.size_bytes = sizeof(memory),
			  .ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE)},
		.transport = argc > 1 ? argv[1] : NULL,
	};
	struct bdus_device *device;
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	if (bdus_loop_create(NULL, &loop) < 0 || bdus_device_create(&options, &device) < 0 ||
	    bdus_queue_open(device, 0, loop, &queue) < 0 || bdus_device_start(device) < 0) {
		fprintf(stderr, "async-uv: %s\n", bdus_manage_error());
		return 1;
	}
	serve(loop, device, queue);
	bdus_queue_close(queue);
	bdus_loop_destroy(loop);
	return bdus_device_destroy(device) < 0;
}
