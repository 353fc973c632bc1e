/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory in a loop of one's own, here that of poll(2), which also waits for signals:
 * `async-poll [WAY-IN]`.
 *
 * The loop's descriptor stands among the program's others. When it is readable, one call does what
 * there is to do, and nothing waits.
 */
#define _GNU_SOURCE 1
#include <bdus/async.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

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

static int open_signals(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

/** Until the device has ended, which a signal asks for. */
static void serve(struct bdus_loop *loop, struct bdus_device *device, struct bdus_queue *queue)
{
	struct pollfd looks[] = {
		{.fd = bdus_loop_fd(loop), .events = POLLIN},
		{.fd = open_signals(), .events = POLLIN},
	};
	struct signalfd_siginfo came;

	while (bdus_queue_result(queue) == 0) {
		poll(looks, 2, -1);
		if (looks[1].revents != 0 && read(looks[1].fd, &came, sizeof(came)) > 0)
			bdus_device_stop(device);
		if (bdus_loop_process(loop, 0) < 0)
			break;
	}
	close(looks[1].fd);
}

int main(int argc, char **argv)
{
	const struct bdus_async_driver driver = {
		.size = sizeof(driver),
		.name = "async-poll",
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
		fprintf(stderr, "async-poll: %s\n", bdus_manage_error());
		return 1;
	}
	serve(loop, device, queue);
	bdus_queue_close(queue);
	bdus_loop_destroy(loop);
	return bdus_device_destroy(device) < 0;
}
