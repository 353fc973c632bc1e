/* SPDX-License-Identifier: MIT */
/*
 * Disks in files, served by a program with a loop of its own, on one thread, for system tests:
 *
 *	async-disk FILE TRANSPORT [any-payload] [direct] [memory=BYTES] [count=N]
 *
 * With count=N, the files are FILE.0 and so on. Prints where each device is, and at the end how
 * payloads came: registered in the ring or as memory, and how much of the program's memory was in
 * use at most. With memory=BYTES all payloads lie in that much memory of its own.
 */
#include <bdus/async.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define DISKS_MOST 256

struct io {
	struct bdus_call call;
	struct bdus_request *request;
	struct io *next;
};

struct disk {
	struct bdus_device *device;
	struct bdus_queue *queue;
	int fd;
};

static struct disk disks[DISKS_MOST];
static struct bdus_loop *loop;
static struct bdus_memory *memory;
static struct io *idle;
static unsigned registered;
static unsigned in_memory;
static size_t out_bytes;
static size_t most_bytes;

static void completed(struct bdus_call *call)
{
	struct io *const io = (struct io *)call;
	struct bdus_request *const request = io->request;
	const int64_t result = call->message.result;
	const uint64_t wanted = request->op == BDUS_OP_FLUSH ? 0 : request->length_bytes;

	io->next = idle;
	idle = io;
	if (result < 0)
		fprintf(stderr, "%s: %s\n", bdus_op_name(request->op), strerror((int)-result));
	bdus_complete(request, result == (int64_t)wanted ? 0 : -EIO);
}

static struct io *get_io(void)
{
	struct io *io = idle;

	if (io != NULL)
		idle = io->next;
	else
		io = calloc(1, sizeof(*io));
	if (io == NULL)
		abort();
	io->call.completed = completed;
	return io;
}

static void count_payload(const struct bdus_request *request)
{
	if (request->op == BDUS_OP_FLUSH)
		return;
	if (request->payload_buffer != 0)
		registered++;
	else
		in_memory++;
}

static void submit(void *instance, struct bdus_request *request)
{
	const struct disk *const disk = instance;
	struct io *const io = get_io();
	struct asys_message *const message = &io->call.message;
	const int64_t offset = (int64_t)request->offset_bytes;

	io->request = request;
	count_payload(request);
	if (request->op == BDUS_OP_READ)
		bdus_payload_prep_read(message, request, 0, request->length_bytes, disk->fd,
				       offset);
	else if (request->op == BDUS_OP_WRITE)
		bdus_payload_prep_write(message, request, 0, request->length_bytes, disk->fd,
					offset);
	else
		asys_prep_fdatasync(message, disk->fd);
	if (bdus_loop_send(loop, &io->call) < 0)
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
	(void)opaque;
	out_bytes += bytes;
	if (most_bytes < out_bytes)
		most_bytes = out_bytes;
	return aligned_alloc(PAGE_BYTES, bytes);
}

static void give_back(void *opaque, void *piece, size_t bytes)
{
	(void)opaque;
	out_bytes -= bytes;
	free(piece);
}

static int fail(const char *what)
{
	fprintf(stderr, "async-disk: %s: %s\n", what, bdus_manage_error());
	return EXIT_FAILURE;
}

/** What the words on the command line ask for. */
struct wishes {
	struct bdus_device_options options;
	struct bdus_memory_options memory;
	int open_flags;
	unsigned count;
};

static int start_disk(struct disk *disk, const struct wishes *wishes, const char *path)
{
	struct bdus_device_options options = wishes->options;

	disk->fd = open(path, wishes->open_flags);
	if (disk->fd < 0)
		return fail(path);
	options.instance = disk;
	options.memory = memory;
	options.attrs.size_bytes = (uint64_t)lseek(disk->fd, 0, SEEK_END);
	if (bdus_device_create(&options, &disk->device) < 0)
		return fail("device");
	if (bdus_queue_open(disk->device, 0, loop, &disk->queue) < 0)
		return fail("queue");
	if (bdus_queue_detach(disk->queue) != -EOPNOTSUPP)
		return fail("a queue of ublk could be detached");
	return bdus_device_start(disk->device) < 0 ? fail("start") : EXIT_SUCCESS;
}

static int start_disks(const struct wishes *wishes, const char *file)
{
	char path[4096];

	if (bdus_loop_create(NULL, &loop) < 0)
		return fail("loop");
	if (wishes->memory.limit_bytes != 0 && bdus_memory_create(&wishes->memory, &memory) < 0)
		return fail("memory");
	if (wishes->count == 0)
		return start_disk(&disks[0], wishes, file);
	for (unsigned i = 0; i < wishes->count; i++) {
		snprintf(path, sizeof(path), "%s.%u", file, i);
		if (start_disk(&disks[i], wishes, path) != EXIT_SUCCESS)
			return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/** Lets go of devices as they end, so that others need not wait for them to be gone. */
static int take_leave(void)
{
	int result = EXIT_SUCCESS;

	for (unsigned i = 0; i < DISKS_MOST && disks[i].device != NULL; i++) {
		if (disks[i].queue == NULL || bdus_queue_result(disks[i].queue) == 0)
			continue;
		bdus_queue_close(disks[i].queue);
		if (bdus_device_destroy(disks[i].device) < 0)
			result = fail("end");
		disks[i].queue = NULL;
	}
	return result;
}

static int serve(void)
{
	int result = EXIT_SUCCESS;
	unsigned left = 0;

	do {
		if (bdus_loop_process(loop, -1) < 0)
			return fail("loop");
		if (take_leave() != EXIT_SUCCESS)
			result = EXIT_FAILURE;
		left = 0;
		for (unsigned i = 0; i < DISKS_MOST; i++)
			left += disks[i].queue != NULL;
	} while (left > 0);
	return result;
}

static void take_word(struct wishes *wishes, const char *word)
{
	if (strcmp(word, "any-payload") == 0)
		wishes->options.attrs.flags |= BDUS_DEVICE_ANY_PAYLOAD;
	else if (strcmp(word, "direct") == 0)
		wishes->open_flags |= O_DIRECT;
	else if (strncmp(word, "memory=", 7) == 0)
		wishes->memory.limit_bytes = strtoul(word + 7, NULL, 0);
	else if (strncmp(word, "count=", 6) == 0)
		wishes->count = (unsigned)strtoul(word + 6, NULL, 0) % (DISKS_MOST + 1);
}

int main(int count, char **arguments)
{
	struct wishes wishes = {
		.options = {.size = sizeof(wishes.options),
			    .driver = &driver,
			    .attrs = {.ops = BDUS_OP_BIT(BDUS_OP_READ) |
					     BDUS_OP_BIT(BDUS_OP_WRITE) |
					     BDUS_OP_BIT(BDUS_OP_FLUSH),
				      .queues = 1,
				      .max_transfer_bytes = 256 << 10}},
		.memory = {.size = sizeof(wishes.memory),
			   .allocate = allocate,
			   .release = give_back},
		.open_flags = O_RDWR | O_CLOEXEC,
	};
	int result;

	if (count < 3)
		return fail("usage: FILE TRANSPORT [any-payload] [direct] [memory=BYTES] "
			    "[count=N]");
	wishes.options.transport = arguments[2];
	for (int i = 3; i < count; i++)
		take_word(&wishes, arguments[i]);
	if (start_disks(&wishes, arguments[1]) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	result = serve();
	bdus_loop_destroy(loop);
	printf("registered %u memory %u most %zu left %zu\n", registered, in_memory, most_bytes,
	       out_bytes);
	return bdus_memory_destroy(memory) < 0 ? fail("memory") : result;
}
