/* SPDX-License-Identifier: MIT */
/*
 * Many null devices over ublk in one process, on one thread and one loop: usage: bench-null-many
 * COUNT. Prints where each of them is, and "end" when all have ended.
 */
#include <bdus/async.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST 256

static struct bdus_device *devices[MOST];
static struct bdus_queue *queues[MOST];
static unsigned count;

static void submit(void *instance, struct bdus_request *request)
{
	(void)instance;
	bdus_complete(request, 0);
}

static void available(void *instance, const struct bdus_device_info *info)
{
	(void)instance;
	printf("%s\n", info->path);
	fflush(stdout);
}

static const struct bdus_async_driver driver = {
	.size = sizeof(driver),
	.name = "null-many",
	.submit = submit,
	.available = available,
};

static const struct bdus_device_options options = {
	.size = sizeof(options),
	.driver = &driver,
	.attrs = {.size_bytes = UINT64_C(250) << 30,
		  .ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE),
		  .queues = 1,
		  .queue_depth = 32,
		  .flags = BDUS_DEVICE_NO_PARTITION_SCAN},
	.transport = "ublk",
};

static void stop_all(int number)
{
	(void)number;
	for (unsigned i = 0; i < count; i++)
		bdus_device_stop(devices[i]);
}

static int die(void)
{
	fprintf(stderr, "bench-null-many: %s\n", bdus_manage_error());
	return EXIT_FAILURE;
}

static int ended(void)
{
	for (unsigned i = 0; i < count; i++)
		if (bdus_queue_result(queues[i]) == 0)
			return 0;
	return 1;
}

int main(int argument_count, char **arguments)
{
	const unsigned wanted = argument_count > 1 ? (unsigned)atoi(arguments[1]) : 0;
	const struct bdus_loop_options not_polled = {
		.size = sizeof(not_polled),
		.flags = BDUS_LOOP_NOT_POLLED,
		.depth = 1024,
	};
	struct bdus_loop *loop;

	if (wanted < 1 || wanted > MOST) {
		fprintf(stderr, "usage: bench-null-many COUNT, up to %d\n", MOST);
		return EXIT_FAILURE;
	}
	if (bdus_loop_create(&not_polled, &loop) < 0)
		return die();
	for (unsigned i = 0; i < wanted; i++) {
		if (bdus_device_create(&options, &devices[i]) < 0 ||
		    bdus_queue_open(devices[i], 0, loop, &queues[i]) < 0)
			return die();
		count++;
		if (bdus_device_start(devices[i]) < 0)
			return die();
	}
	signal(SIGTERM, stop_all);
	while (!ended())
		if (bdus_loop_process(loop, -1) < 0)
			return die();
	for (unsigned i = 0; i < count; i++) {
		bdus_queue_close(queues[i]);
		if (bdus_device_destroy(devices[i]) < 0)
			die();
	}
	bdus_loop_destroy(loop);
	puts("end");
	return EXIT_SUCCESS;
}
