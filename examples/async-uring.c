/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory in a loop of one's own, here an io_uring of the program's: `async-uring
 *[WAY-IN]`.
 *
 *	cc -o async-uring async-uring.c $(pkg-config --cflags --libs bdus liburing)
 *
 * The library has a ring of its own, whose descriptor the program's ring polls like any other.
 */
#define _GNU_SOURCE 1
#include <bdus/async.h>
#include <liburing.h>
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

/** Has @ring say once when @fd is readable. */
static void watch(struct io_uring *ring, int fd)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(ring);

	io_uring_prep_poll_add(entry, fd, POLLIN);
	io_uring_sqe_set_data64(entry, (unsigned)fd);
}

/** Until the device has ended, which a signal asks for. */
static void serve(struct bdus_loop *loop, struct bdus_device *device, struct bdus_queue *queue)
{
	const int signals = open_signals();
	struct signalfd_siginfo came;
	struct io_uring_cqe *event;
	struct io_uring ring;

	if (io_uring_queue_init(8, &ring, 0) < 0)
		return;
	watch(&ring, signals);
	watch(&ring, bdus_loop_fd(loop));
	while (bdus_queue_result(queue) == 0) {
		int fd;

		io_uring_submit(&ring);
		if (io_uring_wait_cqe(&ring, &event) < 0)
			continue;
		fd = (int)io_uring_cqe_get_data64(event);
		io_uring_cqe_seen(&ring, event);
		if (fd != signals)
			bdus_loop_process(loop, 0);
		else if (read(signals, &came, sizeof(came)) > 0)
			bdus_device_stop(device);
		watch(&ring, fd);
	}
	io_uring_queue_exit(&ring);
	close(signals);
}

int main(int argc, char **argv)
{
	const struct bdus_async_driver driver = {
		.size = sizeof(driver),
		.name = "async-uring",
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
		fprintf(stderr, "async-uring: %s\n", bdus_manage_error());
		return 1;
	}
	serve(loop, device, queue);
	bdus_queue_close(queue);
	bdus_loop_destroy(loop);
	return bdus_device_destroy(device) < 0;
}
