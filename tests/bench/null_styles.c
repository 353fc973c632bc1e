/* SPDX-License-Identifier: MIT */
/*
 * A null device over ublk whose driver is in one of two styles: bench-null-styles async|threaded.
 * Prints where the device is.
 */
#include <bdus/thread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bdus_device *device;

static void submit(void *instance, struct bdus_request *request)
{
	(void)instance;
	bdus_complete(request, 0);
}

static int handle(void *instance, struct bdus_request *request)
{
	(void)instance;
	(void)request;
	return 0;
}

static struct bdus_thread_driver threads = {.size = sizeof(threads), .handle = handle};

static void available(void *instance, const struct bdus_device_info *info)
{
	(void)instance;
	printf("%s\n", info->path);
	fflush(stdout);
}

static void stop(int number)
{
	(void)number;
	bdus_device_stop(device);
}

static int die(void)
{
	fprintf(stderr, "bench-null-styles: %s\n", bdus_manage_error());
	return EXIT_FAILURE;
}

static int serve(const struct bdus_async_driver *driver)
{
	const struct bdus_loop_options loop_options = {.size = sizeof(loop_options),
						       .flags = BDUS_LOOP_NOT_POLLED};
	const struct bdus_device_options options = {
		.size = sizeof(options),
		.driver = driver,
		.instance = &threads,
		.attrs = {.size_bytes = UINT64_C(250) << 30,
			  .ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE),
			  .flags = BDUS_DEVICE_NO_PARTITION_SCAN},
		.transport = "ublk",
	};
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	if (bdus_loop_create(&loop_options, &loop) < 0 ||
	    bdus_device_create(&options, &device) < 0 ||
	    bdus_queue_open(device, 0, loop, &queue) < 0 || bdus_device_start(device) < 0)
		return die();
	signal(SIGTERM, stop);
	while (bdus_queue_result(queue) == 0)
		if (bdus_loop_process(loop, -1) < 0)
			return die();
	bdus_queue_close(queue);
	bdus_loop_destroy(loop);
	return bdus_device_destroy(device) < 0 ? die() : EXIT_SUCCESS;
}

int main(int argument_count, char **arguments)
{
	struct bdus_async_driver driver = {
		.size = sizeof(driver),
		.name = "null",
		.available = available,
	};

	if (argument_count == 2 && strcmp(arguments[1], "async") == 0)
		driver.submit = submit;
	else if (argument_count == 2 && strcmp(arguments[1], "threaded") == 0)
		driver.submit = bdus_thread_submit;
	else
		return EXIT_FAILURE;
	return serve(&driver);
}
