/* SPDX-License-Identifier: MIT */
/*
 * A disk in a file, whose reads and writes are sent straight from the callback and go to the kernel
 * in the same ring, and in the same system calls, as the requests themselves: `async-file FILE
 * [WAY-IN]`.
 *
 * BDUS_DEVICE_ANY_PAYLOAD: this driver never looks at payloads, so that where the kernel can do
 * that, data moves between the file and the client without being copied to this process.
 */
#define _GNU_SOURCE 1
#include <bdus/async.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct bdus_device *device;
static struct bdus_loop *loop;
static int file;

/** A request and the call that serves it. */
struct work {
	struct bdus_call call;
	struct bdus_request *request;
	struct work *next;
};

static struct work *idle;

static void done(struct bdus_call *call)
{
	struct work *work = (struct work *)call;
	struct bdus_request *request = work->request;
	const int64_t result = call->message.result;
	const int64_t wanted = request->op == BDUS_OP_FLUSH ? 0 : (int64_t)request->length_bytes;

	work->next = idle;
	idle = work;
	bdus_complete(request, result == wanted ? 0 : result < 0 ? (int)result : -EIO);
}

static struct work *get_work(void)
{
	struct work *work = idle;

	if (work != NULL)
		idle = work->next;
	else
		work = calloc(1, sizeof(*work));
	return work;
}

static void submit(void *instance, struct bdus_request *request)
{
	const int64_t offset = (int64_t)request->offset_bytes;
	struct work *work = get_work();

	(void)instance;
	if (work == NULL) {
		bdus_complete(request, -ENOMEM);
		return;
	}
	work->request = request;
	work->call.completed = done;
	if (request->op == BDUS_OP_READ)
		bdus_payload_prep_read(&work->call.message, request, 0, request->length_bytes, file,
				       offset);
	else if (request->op == BDUS_OP_WRITE)
		bdus_payload_prep_write(&work->call.message, request, 0, request->length_bytes,
					file, offset);
	else
		asys_prep_fdatasync(&work->call.message, file);
	if (bdus_loop_send(loop, &work->call) < 0)
		bdus_complete(request, -EIO);
}

static void available(void *instance, const struct bdus_device_info *info)
{
	(void)instance;
	printf("%s\n", info->path);
	fflush(stdout);
}

static void on_signal(int number)
{
	(void)number;
	/* NOLINTNEXTLINE(bugprone-signal-handler): it says that it may be called here. */
	bdus_device_stop(device);
}

int main(int argc, char **argv)
{
	const struct bdus_async_driver driver = {
		.size = sizeof(driver),
		.name = "async-file",
		.submit = submit,
		.available = available,
	};
	struct bdus_device_options options = {
		.size = sizeof(options),
		.driver = &driver,
		.attrs = {.flags = BDUS_DEVICE_ANY_PAYLOAD,
			  .ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
				 BDUS_OP_BIT(BDUS_OP_FLUSH)},
		.transport = argc > 2 ? argv[2] : NULL,
	};
	struct bdus_queue *queue;

	file = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	if (file < 0) {
		perror(argc > 1 ? argv[1] : "usage: async-file FILE [WAY-IN]");
		return 1;
	}
	options.attrs.size_bytes = (uint64_t)lseek(file, 0, SEEK_END);
	if (bdus_loop_create(NULL, &loop) < 0 || bdus_device_create(&options, &device) < 0 ||
	    bdus_queue_open(device, 0, loop, &queue) < 0 || bdus_device_start(device) < 0) {
		fprintf(stderr, "async-file: %s\n", bdus_manage_error());
		return 1;
	}
	signal(SIGTERM, on_signal);
	while (bdus_queue_result(queue) == 0 && bdus_loop_process(loop, -1) >= 0)
		;
	bdus_queue_close(queue);
	bdus_loop_destroy(loop);
	return bdus_device_destroy(device) < 0;
}
