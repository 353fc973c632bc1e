/* SPDX-License-Identifier: MIT */
/*
 * A disk in a file, served by a program with a loop of its own, for system tests:
 *
 *	async-disk FILE TRANSPORT [any-payload] [direct] [memory=BYTES]
 *
 * Prints where the device is, and at the end how payloads came: registered in the ring or as
 *memory, and how much of the program's memory was in use at most. With memory=BYTES all payloads
 *lie in that much memory of its own.
 */
#include <bdus/async.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES 4096

struct disk;

struct io {
	struct bdus_call call;
	struct bdus_request *request;
	struct disk *disk;
	struct io *next;
};

struct disk {
	struct bdus_loop *loop;
	struct bdus_memory *memory;
	int fd;
	struct io *free;
	unsigned registered;
	unsigned in_memory;
	size_t out_bytes;
	size_t most_bytes;
};

static void completed(struct bdus_call *call)
{
	struct io *const io = (struct io *)call;
	struct bdus_request *const request = io->request;
	const int64_t result = call->message.result;
	const uint64_t wanted = request->op == BDUS_OP_FLUSH ? 0 : request->length_bytes;

	io->next = io->disk->free;
	io->disk->free = io;
	if (result < 0)
		fprintf(stderr, "%s: %s\n", bdus_op_name(request->op), strerror((int)-result));
	bdus_complete(request, result == (int64_t)wanted ? 0 : -EIO);
}

static struct io *get_io(struct disk *disk)
{
	struct io *io = disk->free;

	if (io != NULL)
		disk->free = io->next;
	else
		io = calloc(1, sizeof(*io));
	if (io == NULL)
		abort();
	io->disk = disk;
	io->call.completed = completed;
	return io;
}

static void count_payload(struct disk *disk, const struct bdus_request *request)
{
	if (request->op == BDUS_OP_FLUSH)
		return;
	if (request->payload_buffer != 0)
		disk->registered++;
	else
		disk->in_memory++;
}

static void submit(void *instance, struct bdus_request *request)
{
	struct disk *const disk = instance;
	struct io *const io = get_io(disk);
	struct asys_message *const message = &io->call.message;
	const int64_t offset = (int64_t)request->offset_bytes;

	io->request = request;
	count_payload(disk, request);
	if (request->op == BDUS_OP_READ)
		bdus_payload_prep_read(message, request, 0, request->length_bytes, disk->fd,
				       offset);
	else if (request->op == BDUS_OP_WRITE)
		bdus_payload_prep_write(message, request, 0, request->length_bytes, disk->fd,
					offset);
	else
		asys_prep_fdatasync(message, disk->fd);
	if (bdus_loop_send(disk->loop, &io->call) < 0)
		abort();
}

static void available(void *instance, const struct bdus_device_info *info)
{
	(void)instance;
	printf("%s\n", info->path);
	fflush(stdout);
}

static const struct bdus_async_driver driver = {
	.size = sizeof(driver),
	.name = "async-disk",
	.submit = submit,
	.available = available,
};

static void *allocate(void *opaque, size_t bytes)
{
	struct disk *const disk = opaque;

	disk->out_bytes += bytes;
	if (disk->most_bytes < disk->out_bytes)
		disk->most_bytes = disk->out_bytes;
	return aligned_alloc(PAGE_BYTES, bytes);
}

static void give_back(void *opaque, void *memory, size_t bytes)
{
	struct disk *const disk = opaque;

	disk->out_bytes -= bytes;
	free(memory);
}

static int fail(const char *what)
{
	fprintf(stderr, "async-disk: %s: %s\n", what, bdus_manage_error());
	return EXIT_FAILURE;
}

static int serve(struct disk *disk, const struct bdus_device_options *options)
{
	struct bdus_device *device;
	struct bdus_queue *queue;
	int result;

	if (bdus_loop_create(NULL, &disk->loop) < 0)
		return fail("loop");
	if (bdus_device_create(options, &device) < 0)
		return fail("device");
	if (bdus_queue_open(device, 0, disk->loop, &queue) < 0)
		return fail("queue");
	if (bdus_device_start(device) < 0)
		fail("start");
	while (bdus_queue_result(queue) == 0 && bdus_loop_process(disk->loop, -1) >= 0)
		;
	bdus_queue_close(queue);
	result = bdus_device_destroy(device);
	bdus_loop_destroy(disk->loop);
	return result < 0 ? fail("end") : EXIT_SUCCESS;
}

int main(int count, char **arguments)
{
	struct disk disk = {.fd = -1};
	struct bdus_device_options options = {
		.size = sizeof(options),
		.driver = &driver,
		.instance = &disk,
		.attrs = {.ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
				 BDUS_OP_BIT(BDUS_OP_FLUSH),
			  .queues = 1,
			  .max_transfer_bytes = 256 << 10},
	};
	struct bdus_memory_options memory = {
		.size = sizeof(memory),
		.allocate = allocate,
		.release = give_back,
		.opaque = &disk,
	};
	int flags = O_RDWR | O_CLOEXEC;
	int result;

	if (count < 3)
		return fail("usage: FILE TRANSPORT [any-payload] [direct] [memory=BYTES]");
	options.transport = arguments[2];
	for (int i = 3; i < count; i++) {
		if (strcmp(arguments[i], "any-payload") == 0)
			options.attrs.flags |= BDUS_DEVICE_ANY_PAYLOAD;
		else if (strcmp(arguments[i], "direct") == 0)
			flags |= O_DIRECT;
		else if (strncmp(arguments[i], "memory=", 7) == 0)
			memory.limit_bytes = strtoul(arguments[i] + 7, NULL, 0);
	}
	disk.fd = open(arguments[1], flags);
	if (disk.fd < 0)
		return fail(arguments[1]);
	options.attrs.size_bytes = (uint64_t)lseek(disk.fd, 0, SEEK_END);
	if (memory.limit_bytes != 0 && bdus_memory_create(&memory, &disk.memory) < 0)
		return fail("memory");
	options.memory = disk.memory;
	result = serve(&disk, &options);
	printf("registered %u memory %u most %zu left %zu\n", disk.registered, disk.in_memory,
	       disk.most_bytes, disk.out_bytes);
	if (bdus_memory_destroy(disk.memory) < 0)
		return fail("memory");
	return result;
}
