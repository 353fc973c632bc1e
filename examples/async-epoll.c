/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory in a loop of one's own, here that of epoll(7): `async-epoll [WAY-IN]`.
 *
 * The loop's descriptor is level-triggered: it stays readable for as long as there is something to
 * do.
 */
#define _GNU_SOURCE 1
#include <bdus/async.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
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

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/** Until the device has ended, which a signal asks for. */
static void serve(struct bdus_loop *loop, struct bdus_device *device, struct bdus_queue *queue)
{
	const int epoll = epoll_create1(EPOLL_CLOEXEC);
	const int signals = open_signals();
	struct signalfd_siginfo came;
	struct epoll_event event;

	watch(epoll, signals);
	watch(epoll, bdus_loop_fd(loop));
	while (bdus_queue_result(queue) == 0) {
		if (epoll_wait(epoll, &event, 1, -1) != 1)
			continue;
		if (event.data.fd != signals)
			bdus_loop_process(loop, 0);
		else if (read(signals, &came, sizeof(came)) > 0)
			bdus_device_stop(device);
	}
	close(signals);
	close(epoll);
}

int main(int argc, char **argv)
{
	const struct bdus_async_driver driver = {
		.size = sizeof(driver),
		.name = "async-epoll",
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
		fprintf(stderr, "async-epoll: %s\n", bdus_manage_error());
		return 1;
	}
	serve(loop, device, queue);
	bdus_queue_close(queue);
	bdus_loop_destroy(loop);
	return bdus_device_destroy(device) < 0;
}
