/* SPDX-License-Identifier: MIT */
/*
 * A server of kbdus that does everything wrong, by the bare interface.
 *
 * usage: kbdus-hostile cases             what must be refused, and what it must not do to a client
 *        kbdus-hostile fuzz SEED SECONDS random commands, rings and deaths
 *        kbdus-hostile unload TIMES FILE unloads the module after each of so many devices, and
 * loads it from FILE
 *
 * Prints what failed; the exit status says whether something did. Run it on a machine that may
 * crash.
 */
#include "kbdus.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONTROL    "/dev/bdus-control"
#define DEPTH      8
#define ENTRIES    8
#define BLOCK      4096
#define SIZE       (16 << 20)
#define STRIDE     (1 << 20)
#define CASE_ID    1000000007
#define FUZZ_ID    1000000100
#define WAIT_LIMIT 20

static int failures;

static void check(bool holds, const char *what)
{
	if (!holds) {
		printf("FAIL: %s (errno %s)\n", what, strerror(errno));
		failures++;
	}
}

static int command(int fd, unsigned number, void *argument)
{
	return ioctl(fd, (unsigned long)number, argument);
}

static int open_control(void)
{
	const int fd = open(CONTROL, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		perror(CONTROL);
		exit(2);
	}
	return fd;
}

/* ---- a device ------------------------------------------------------------------------------ */

struct server {
	int owner;
	int queue;
	struct kbdus_abi_rings *rings;
	struct kbdus_abi_request *requests;
	struct kbdus_abi_result *results;
	size_t map_bytes;
	uint32_t head;
	uint32_t tail;
	char *payloads;
	uint64_t id;
};

static struct kbdus_abi_device wish(uint64_t id)
{
	struct kbdus_abi_device device = {0};

	kbdus_abi_device_set_id(&device, id);
	kbdus_abi_device_set_size_bytes(&device, SIZE);
	kbdus_abi_device_set_logical_block_size(&device, 512);
	kbdus_abi_device_set_physical_block_size(&device, BLOCK);
	kbdus_abi_device_set_max_transfer_bytes(&device, STRIDE);
	kbdus_abi_device_set_queues(&device, 1);
	kbdus_abi_device_set_queue_depth(&device, DEPTH);
	kbdus_abi_device_set_ops(&device, KBDUS_ABI_OPS_READ | KBDUS_ABI_OPS_WRITE);
	kbdus_abi_device_set_attrs(&device, KBDUS_ABI_ATTR_NO_PARTITION_SCAN);
	return device;
}

static struct kbdus_abi_attach attachment(int owner, const void *payloads)
{
	struct kbdus_abi_attach attach = {0};

	kbdus_abi_attach_set_owner(&attach, owner);
	kbdus_abi_attach_set_payloads(&attach, (uintptr_t)payloads);
	kbdus_abi_attach_set_stride_bytes(&attach, STRIDE);
	return attach;
}

static void prepare(struct server *server, uint64_t id)
{
	*server = (struct server){.owner = open_control(), .queue = open_control(), .id = id};
	server->payloads = mmap(NULL, DEPTH * STRIDE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static bool attach_queue(struct server *server)
{
	struct kbdus_abi_attach attach;

	attach = attachment(server->owner, server->payloads);
	if (command(server->queue, KBDUS_ABI_COMMAND_ATTACH, &attach) != 0)
		return false;
	server->map_bytes = kbdus_abi_attach_map_bytes(&attach);
	server->rings =
		mmap(NULL, server->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, server->queue, 0);
	if (server->rings == MAP_FAILED)
		return false;
	server->requests = (void *)((char *)server->rings + KBDUS_ABI_ENTRIES_OFFSET);
	server->results =
		(void *)((char *)server->requests +
			 kbdus_abi_attach_entries(&attach) * sizeof(struct kbdus_abi_request));
	return true;
}

/* Makes a device up to its rings; whether that worked. */
static bool make_with(struct server *server, uint64_t id, uint32_t attrs)
{
	struct kbdus_abi_device device = wish(id);

	kbdus_abi_device_set_attrs(&device, kbdus_abi_device_attrs(&device) | attrs);
	prepare(server, id);
	return command(server->owner, KBDUS_ABI_COMMAND_CREATE, &device) == 0 &&
	       attach_queue(server);
}

static bool make(struct server *server, uint64_t id)
{
	return make_with(server, id, 0);
}

/* Announces a successor. */
static bool adopt(struct server *server, uint64_t id)
{
	struct kbdus_abi_device device = {0};

	prepare(server, id);
	kbdus_abi_device_set_id(&device, id);
	return command(server->owner, KBDUS_ABI_COMMAND_ADOPT, &device) == 0;
}

static unsigned state_of(const struct server *server)
{
	struct kbdus_abi_device told = {0};

	return command(server->owner, KBDUS_ABI_COMMAND_STATUS, &told) == 0
		       ? (unsigned)kbdus_abi_device_state(&told)
		       : ~0U;
}

static int enter(struct server *server)
{
	return command(server->queue, KBDUS_ABI_COMMAND_ENTER, NULL);
}

static void put_result(struct server *server, struct kbdus_abi_result result)
{
	server->results[server->tail++ % ENTRIES] = result;
	atomic_store((_Atomic uint32_t *)(void *)&server->rings->results_tail, server->tail);
}

static struct kbdus_abi_result answer(const struct server *server,
				      const struct kbdus_abi_request *request)
{
	struct kbdus_abi_result result = {0};
	const uint32_t tag = kbdus_abi_request_tag(request);

	kbdus_abi_result_set_tag(&result, tag);
	kbdus_abi_result_set_generation(&result, kbdus_abi_request_generation(request));
	kbdus_abi_result_set_address(&result, (uintptr_t)server->payloads + (size_t)tag * STRIDE);
	return result;
}

static bool take(struct server *server, struct kbdus_abi_request *request)
{
	if (atomic_load((_Atomic uint32_t *)(void *)&server->rings->requests_tail) == server->head)
		return false;
	*request = server->requests[server->head++ % ENTRIES];
	return true;
}

/* Answers what there is, well, until @done says so. Reads are of the letter x. */
static bool serve_until(struct server *server, bool (*done)(struct server *server))
{
	const time_t limit = time(NULL) + WAIT_LIMIT;
	struct kbdus_abi_request request;

	while (!done(server)) {
		if (time(NULL) > limit)
			return false;
		enter(server);
		while (take(server, &request)) {
			const struct kbdus_abi_result result = answer(server, &request);

			if (kbdus_abi_request_op(&request) == KBDUS_ABI_OP_READ)
				memset((char *)(uintptr_t)kbdus_abi_result_address(&result), 'x',
				       kbdus_abi_request_length_bytes(&request));
			put_result(server, result);
		}
		enter(server);
		usleep(500);
	}
	return true;
}

static bool is_live(struct server *server)
{
	return state_of(server) == KBDUS_ABI_STATE_LIVE;
}

static void unmake(struct server *server)
{
	close(server->owner);
	close(server->queue);
	if (server->rings && server->rings != MAP_FAILED)
		munmap(server->rings, server->map_bytes);
	munmap(server->payloads, DEPTH * STRIDE);
}

/* Until no device is left that the module knows. */
static bool none_left(void)
{
	const time_t limit = time(NULL) + WAIT_LIMIT;
	const int fd = open_control();
	struct kbdus_abi_device told = {0};

	while (command(fd, KBDUS_ABI_COMMAND_NEXT, &told) == 0) {
		if (time(NULL) > limit)
			return false;
		kbdus_abi_device_set_id(&told, 0);
		usleep(2000);
	}
	close(fd);
	return errno == ENODEV;
}

/* ---- a client ------------------------------------------------------------------------------ */

struct client {
	pthread_t thread;
	uint64_t id;
	bool write;
	ssize_t result;
	int error;
	char byte;
	atomic_bool done;
};

static void *run_client(void *argument)
{
	struct client *const client = argument;
	char path[40], *const buffer = aligned_alloc(BLOCK, BLOCK);
	int fd;

	snprintf(path, sizeof(path), "/dev/bdus-%llu", (unsigned long long)client->id);
	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	memset(buffer, 'w', BLOCK);
	client->result =
		client->write ? pwrite(fd, buffer, BLOCK, BLOCK) : pread(fd, buffer, BLOCK, 0);
	client->error = errno;
	client->byte = buffer[BLOCK - 1];
	free(buffer);
	close(fd);
	atomic_store(&client->done, true);
	return NULL;
}

static void begin(struct client *client, uint64_t id, bool write)
{
	*client = (struct client){.id = id, .write = write};
	pthread_create(&client->thread, NULL, run_client, client);
}

/* The next request; false when none comes. */
static bool wait_for_request(struct server *server, struct kbdus_abi_request *request)
{
	for (int tries = 0; tries < WAIT_LIMIT * 1000; tries++) {
		enter(server);
		if (take(server, request))
			return true;
		usleep(1000);
	}
	return false;
}

static void end(struct server *server, struct client *client)
{
	enter(server);
	pthread_join(client->thread, NULL);
}

static uint32_t refused(const struct server *server)
{
	return atomic_load((_Atomic uint32_t *)(void *)&server->rings->results_refused);
}

/* ---- cases --------------------------------------------------------------------------------- */

static void refuses(const char *what, void (*spoil)(struct kbdus_abi_device *device))
{
	struct kbdus_abi_device device = wish(CASE_ID);
	const int fd = open_control();

	spoil(&device);
	errno = 0;
	check(command(fd, KBDUS_ABI_COMMAND_CREATE, &device) == -1 && errno == EINVAL, what);
	close(fd);
}

#define SPOIL(field, value)                                        \
	static void spoil_##field(struct kbdus_abi_device *device) \
	{                                                          \
		kbdus_abi_device_set_##field(device, value);       \
	}

SPOIL(size_bytes, 0)
SPOIL(logical_block_size, 513)
SPOIL(physical_block_size, 1 << 20)
SPOIL(max_transfer_bytes, 512)
SPOIL(optimal_io_bytes, 3)
SPOIL(max_discard_bytes, 4096)
SPOIL(queues, 0)
SPOIL(queue_depth, 1 << 20)
SPOIL(ops, 0x80000000)
SPOIL(attrs, 0x80000000)

static void attributes_are_checked(void)
{
	refuses("a size of 0 is refused", spoil_size_bytes);
	refuses("a logical block size of 513 is refused", spoil_logical_block_size);
	refuses("a physical block size of 1 MiB is refused", spoil_physical_block_size);
	refuses("a transfer of less than a page is refused", spoil_max_transfer_bytes);
	refuses("an optimal size of 3 is refused", spoil_optimal_io_bytes);
	refuses("a limit of an operation that is not there is refused", spoil_max_discard_bytes);
	refuses("no queue is refused", spoil_queues);
	refuses("a deep queue is refused", spoil_queue_depth);
	refuses("an unknown operation is refused", spoil_ops);
	refuses("an unknown attribute is refused", spoil_attrs);
}

static void files_are_what_they_are(void)
{
	struct kbdus_abi_device device = wish(CASE_ID), other = wish(CASE_ID);
	struct kbdus_abi_attach attach;
	struct server server;
	const int fd = open_control();

	check(make(&server, CASE_ID), "a device is made");
	check(command(fd, KBDUS_ABI_COMMAND_CREATE, &other) == -1 && errno == EEXIST,
	      "an id is used once");
	check(command(server.owner, KBDUS_ABI_COMMAND_CREATE, &device) == -1 && errno == EBUSY,
	      "an owner stays one");
	check(command(server.owner, KBDUS_ABI_COMMAND_ENTER, NULL) == -1 && errno == ENOTTY,
	      "an owner cannot enter");
	check(command(server.queue, KBDUS_ABI_COMMAND_START, NULL) == -1 && errno == ENOTTY,
	      "a queue cannot start");
	check(command(fd, KBDUS_ABI_COMMAND_STOP, NULL) == -1 && errno == ENOTTY,
	      "a file that is nothing cannot stop");
	check(command(fd, 0xbd77, NULL) == -1 && errno == ENOTTY, "unknown commands are refused");
	check(command(fd, KBDUS_ABI_COMMAND_VERSION, (void *)8) == -1 && errno == EFAULT,
	      "bad addresses are refused");
	attach = attachment(server.queue, server.payloads);
	check(command(fd, KBDUS_ABI_COMMAND_ATTACH, &attach) == -1 && errno == EINVAL,
	      "a queue owns nothing");
	attach = attachment(STDOUT_FILENO, server.payloads);
	check(command(fd, KBDUS_ABI_COMMAND_ATTACH, &attach) == -1 && errno == EINVAL,
	      "another file owns nothing");
	attach = attachment(server.owner, server.payloads);
	check(command(fd, KBDUS_ABI_COMMAND_ATTACH, &attach) == -1 && errno == EBUSY,
	      "a queue is attached once");
	kbdus_abi_attach_set_queue(&attach, 1);
	check(command(fd, KBDUS_ABI_COMMAND_ATTACH, &attach) == -1 && errno == EINVAL,
	      "a queue that is not there is refused");
	kbdus_abi_attach_set_queue(&attach, 0);
	kbdus_abi_attach_set_payloads(&attach, UINT64_MAX - 5);
	check(command(fd, KBDUS_ABI_COMMAND_ATTACH, &attach) == -1 && errno == EINVAL,
	      "payloads beyond all memory are refused");
	check(mmap(NULL, server.map_bytes * 2, PROT_READ, MAP_SHARED, server.queue, 0) ==
		      MAP_FAILED,
	      "no more than the rings is mapped");
	check(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, server.queue, 0) == MAP_FAILED,
	      "rings are not mapped privately");
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, server.owner, 0) == MAP_FAILED,
	      "an owner has nothing to map");
	close(fd);
	unmake(&server);
	check(none_left(), "a device that was not started goes with its files");
}

static void wrong_results_are_dropped(void)
{
	struct kbdus_abi_request request;
	struct kbdus_abi_result result;
	struct client client;
	struct server server;

	check(make(&server, CASE_ID), "a device is made");
	check(command(server.owner, KBDUS_ABI_COMMAND_START, NULL) == 0, "it is started");
	check(serve_until(&server, is_live), "it is live");

	result = (struct kbdus_abi_result){0};
	put_result(&server, result);
	kbdus_abi_result_set_tag(&result, 0xffffffff);
	put_result(&server, result);
	check(enter(&server) == 0 && refused(&server) == 2, "results for nothing are counted");

	begin(&client, CASE_ID, false);
	check(wait_for_request(&server, &request), "a read comes");
	result = answer(&server, &request);
	kbdus_abi_result_set_generation(&result, kbdus_abi_request_generation(&request) + 1);
	put_result(&server, result);
	enter(&server);
	check(!atomic_load(&client.done) && refused(&server) == 3, "generations are compared");
	result = answer(&server, &request);
	memset((char *)(uintptr_t)kbdus_abi_result_address(&result), 'y', BLOCK);
	put_result(&server, result);
	put_result(&server, result);
	end(&server, &client);
	check(client.result == BLOCK && client.byte == 'y', "the right result counts");
	check(refused(&server) == 4, "a result counts once");

	begin(&client, CASE_ID, false);
	check(wait_for_request(&server, &request), "another read comes");
	result = answer(&server, &request);
	kbdus_abi_result_set_address(&result, UINT64_C(0xffffffff81000000));
	put_result(&server, result);
	end(&server, &client);
	check(client.result == -1 && client.error == EIO, "memory of the kernel is not copied");

	begin(&client, CASE_ID, false);
	check(wait_for_request(&server, &request), "one more read comes");
	result = answer(&server, &request);
	kbdus_abi_result_set_result(&result, 12345);
	put_result(&server, result);
	end(&server, &client);
	check(client.result == -1 && client.error == EIO, "a positive result is an error");
	unmake(&server);
	check(none_left(), "the device goes with its files");
}

static void scribbled_rings_do_no_harm(void)
{
	struct kbdus_abi_request request;
	struct client client;
	struct server server;
	uint32_t tail;

	check(make(&server, CASE_ID), "a device is made");
	check(command(server.owner, KBDUS_ABI_COMMAND_START, NULL) == 0, "it is started");
	check(serve_until(&server, is_live), "it is live");
	tail = server.tail;
	memset(server.rings, 0xa5, server.map_bytes);
	check(enter(&server) == -1 && errno == EPROTO, "a tail far ahead is refused");
	memset(server.rings, 0, server.map_bytes);
	atomic_store((_Atomic uint32_t *)(void *)&server.rings->results_tail, tail);
	check(enter(&server) == 0, "a tail put right is taken");
	begin(&client, CASE_ID, true);
	server.head = atomic_load((_Atomic uint32_t *)(void *)&server.rings->requests_tail);
	check(wait_for_request(&server, &request), "a write comes");
	check(server.payloads[kbdus_abi_request_tag(&request) * STRIDE] == 'w', "with its payload");
	put_result(&server, answer(&server, &request));
	end(&server, &client);
	check(client.result == BLOCK, "the write is answered");
	unmake(&server);
	check(none_left(), "the device goes with its files");
}

static void payloads_are_reached_by_tag(void)
{
	const uint64_t place = UINT64_C(1) << KBDUS_ABI_PLACE_TAG_SHIFT;
	struct kbdus_abi_request request;
	void *const nowhere = mmap(NULL, BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kbdus_abi_result result;
	char bytes[2 * BLOCK];
	struct client client;
	struct server server;
	off_t at;

	check(make(&server, CASE_ID), "a device is made");
	check(command(server.owner, KBDUS_ABI_COMMAND_START, NULL) == 0, "it is started");
	check(serve_until(&server, is_live), "it is live");
	check(pread(server.queue, bytes, 1, 0) == -1 && errno == EINVAL, "no payload without one");
	check(pread(server.queue, bytes, 1, (off_t)(place * 99)) == -1 && errno == EINVAL,
	      "no payload of a tag that is not there");
	begin(&client, CASE_ID, true);
	check(wait_for_request(&server, &request), "a write comes");
	at = (off_t)(kbdus_abi_request_tag(&request) * place);
	check(pread(server.queue, bytes, sizeof(bytes), at) == BLOCK && bytes[BLOCK - 1] == 'w',
	      "a write's payload is read, and no more");
	check(pwrite(server.queue, bytes, BLOCK, at) == -1, "a write's payload is not written");
	check(pread(server.queue, nowhere, BLOCK, at) == -1 && errno == EFAULT,
	      "bad addresses are refused");
	put_result(&server, answer(&server, &request));
	end(&server, &client);
	begin(&client, CASE_ID, false);
	check(wait_for_request(&server, &request), "a read comes");
	memset(bytes, 'p', sizeof(bytes));
	at = (off_t)(kbdus_abi_request_tag(&request) * place);
	check(pwrite(server.queue, bytes, BLOCK, at) == BLOCK, "a read's payload is written");
	result = answer(&server, &request);
	kbdus_abi_result_set_flags(&result, KBDUS_ABI_RESULT_FLAG_PLACED);
	put_result(&server, result);
	end(&server, &client);
	check(client.result == BLOCK && client.byte == 'p', "and comes to the client");
	unmake(&server);
	check(none_left(), "the device goes with its files");
}

/* Moves a block between a pipe and the payload of @request; whether all of it went. */
static bool splice_payload(const struct server *server, const struct kbdus_abi_request *request,
			   int from_pipe, int to_pipe)
{
	loff_t place =
		(loff_t)((uint64_t)kbdus_abi_request_tag(request) << KBDUS_ABI_PLACE_TAG_SHIFT);

	return from_pipe >= 0 ? splice(from_pipe, NULL, server->queue, &place, BLOCK, 0) == BLOCK
			      : splice(server->queue, &place, to_pipe, NULL, 2 * BLOCK, 0) == BLOCK;
}

static void payloads_are_spliced(void)
{
	struct kbdus_abi_request request;
	struct kbdus_abi_result result;
	char bytes[BLOCK];
	struct client client;
	struct server server;
	int ends[2];

	check(pipe(ends) == 0, "there is a pipe");
	check(make(&server, CASE_ID), "a device is made");
	check(command(server.owner, KBDUS_ABI_COMMAND_START, NULL) == 0, "it is started");
	check(serve_until(&server, is_live), "it is live");
	begin(&client, CASE_ID, true);
	check(wait_for_request(&server, &request), "a write comes");
	check(splice_payload(&server, &request, -1, ends[1]), "it is spliced, and no more");
	check(read(ends[0], bytes, BLOCK) == BLOCK && bytes[0] == 'w' && bytes[BLOCK - 1] == 'w',
	      "the pipe has the payload");
	memset(bytes, 's', BLOCK);
	check(write(ends[1], bytes, BLOCK) == BLOCK, "the pipe is filled");
	check(!splice_payload(&server, &request, ends[0], -1), "a write's payload is not written");
	put_result(&server, answer(&server, &request));
	end(&server, &client);
	check(!splice_payload(&server, &request, -1, ends[1]), "nor read when it is answered");
	begin(&client, CASE_ID, false);
	check(wait_for_request(&server, &request), "a read comes");
	check(splice_payload(&server, &request, ends[0], -1), "the pipe is spliced to it");
	result = answer(&server, &request);
	kbdus_abi_result_set_flags(&result, KBDUS_ABI_RESULT_FLAG_PLACED);
	put_result(&server, result);
	end(&server, &client);
	check(client.result == BLOCK && client.byte == 's', "and comes to the client");
	unmake(&server);
	check(none_left(), "the device goes with its files");
	close(ends[0]);
	close(ends[1]);
}

static void closing_fails_requests(void)
{
	struct kbdus_abi_request request;
	struct client client;
	struct server server;

	check(make(&server, CASE_ID), "a device is made");
	check(command(server.owner, KBDUS_ABI_COMMAND_START, NULL) == 0, "it is started");
	check(serve_until(&server, is_live), "it is live");
	begin(&client, CASE_ID, false);
	check(wait_for_request(&server, &request), "a read comes");
	close(server.owner);
	pthread_join(client.thread, NULL);
	check(client.result == -1 && client.error == EIO,
	      "the read fails when the owner is closed");
	/* The mapping keeps the file, and what it shows. */
	close(server.queue);
	memset(server.rings, 0xff, server.map_bytes);
	munmap(server.rings, server.map_bytes);
	munmap(server.payloads, DEPTH * STRIDE);
	check(none_left(), "the device goes with its mapping");
}

static bool is_stopped(struct server *server)
{
	return state_of(server) == KBDUS_ABI_STATE_STOPPED;
}

static void stopping_ends_queues(void)
{
	struct pollfd queue;
	struct server server;

	check(make(&server, CASE_ID), "a device is made");
	check(command(server.owner, KBDUS_ABI_COMMAND_START, NULL) == 0, "it is started");
	check(serve_until(&server, is_live), "it is live");
	check(command(server.owner, KBDUS_ABI_COMMAND_START, NULL) == -1 && errno == EBUSY,
	      "it is started once");
	check(command(server.owner, KBDUS_ABI_COMMAND_STOP, NULL) == 0, "it is stopped");
	check(serve_until(&server, is_stopped), "it has stopped");
	queue = (struct pollfd){.fd = server.queue, .events = POLLIN};
	check(poll(&queue, 1, 1000) == 1, "a queue that ended is readable");
	check(enter(&server) == -1 && errno == ENODEV, "and says so");
	check(command(server.queue, KBDUS_ABI_COMMAND_ENTER, (void *)KBDUS_ABI_ENTER_WAIT) == -1 &&
		      errno == ENODEV,
	      "it does not wait for what cannot come");
	unmake(&server);
	check(none_left(), "the device goes with its files");
}

static int resize(int fd, uint64_t size_bytes)
{
	struct kbdus_abi_device wanted = {0};

	kbdus_abi_device_set_size_bytes(&wanted, size_bytes);
	return command(fd, KBDUS_ABI_COMMAND_RESIZE, &wanted);
}

static bool has_size(const struct server *server, uint64_t size_bytes)
{
	struct kbdus_abi_device told = {0};
	uint64_t seen = 0;
	char path[40];
	int disk;

	snprintf(path, sizeof(path), "/dev/bdus-%llu", (unsigned long long)server->id);
	disk = open(path, O_RDONLY | O_CLOEXEC);
	ioctl(disk, BLKGETSIZE64, &seen);
	close(disk);
	return seen == size_bytes && command(server->owner, KBDUS_ABI_COMMAND_STATUS, &told) == 0 &&
	       kbdus_abi_device_size_bytes(&told) == size_bytes;
}

static void sizes_are_the_owners(void)
{
	struct server server;
	const int fd = open_control();

	check(make(&server, CASE_ID), "a device is made");
	check(resize(server.owner, SIZE) == -1 && errno == EBUSY, "what has no disk has its size");
	check(command(server.owner, KBDUS_ABI_COMMAND_START, NULL) == 0, "it is started");
	check(serve_until(&server, is_live), "it is live");
	check(resize(fd, SIZE) == -1 && errno == ENOTTY, "a file that is nothing has no size");
	check(resize(server.queue, SIZE) == -1 && errno == ENOTTY, "nor has a queue");
	check(command(server.owner, KBDUS_ABI_COMMAND_RESIZE, (void *)8) == -1 && errno == EFAULT,
	      "bad addresses are refused");
	check(resize(server.owner, 0) == -1 && errno == EINVAL, "a size of 0 is refused");
	check(resize(server.owner, SIZE + 512) == -1 && errno == EINVAL,
	      "half a physical block is refused");
	check(resize(server.owner, UINT64_C(1) << 63) == -1 && errno == EINVAL,
	      "a size past all offsets is refused");
	check(has_size(&server, SIZE), "it is as it was");
	check(resize(server.owner, 2 * SIZE) == 0 && has_size(&server, 2 * SIZE), "it grows");
	check(resize(server.owner, SIZE / 2) == 0 && has_size(&server, SIZE / 2), "it shrinks");
	check(command(server.owner, KBDUS_ABI_COMMAND_STOP, NULL) == 0, "it is stopped");
	check(resize(server.owner, SIZE) == -1 && errno == EBUSY, "what ends keeps its size");
	check(serve_until(&server, is_stopped), "it has stopped");
	close(fd);
	unmake(&server);
	check(none_left(), "the device goes with its files");
}

static uint32_t notices_of(const struct server *server)
{
	struct kbdus_abi_device told = {0};

	check(command(server->owner, KBDUS_ABI_COMMAND_STATUS, &told) == 0, "the state is told");
	return kbdus_abi_device_notices(&told);
}

static void destroy_device(uint64_t id)
{
	struct kbdus_abi_device device = {0};
	const int fd = open_control();

	kbdus_abi_device_set_id(&device, id);
	command(fd, KBDUS_ABI_COMMAND_DESTROY, &device);
	close(fd);
}

static bool serve_live(struct server *server, uint32_t attrs)
{
	return make_with(server, CASE_ID, attrs) &&
	       command(server->owner, KBDUS_ABI_COMMAND_START, NULL) == 0 &&
	       serve_until(server, is_live);
}

/* The successor of the server of a device without one. */
static bool succeed(struct server *server)
{
	return attach_queue(server) && command(server->owner, KBDUS_ABI_COMMAND_START, NULL) == 0;
}

static void requests_outlive_a_server(void)
{
	struct kbdus_abi_request request;
	struct client reader, writer;
	struct server first, second;

	check(serve_live(&first, KBDUS_ABI_ATTR_RECOVERABLE), "a recoverable device is live");
	begin(&reader, CASE_ID, false);
	check(wait_for_request(&first, &request), "a read comes");
	check(!(kbdus_abi_request_flags(&request) & KBDUS_ABI_REQUEST_FLAG_RETRIED),
	      "for the first time");
	unmake(&first);
	begin(&writer, CASE_ID, true);
	usleep(20000);
	check(!atomic_load(&reader.done) && !atomic_load(&writer.done), "requests wait");
	check(adopt(&second, CASE_ID), "an orphan can be adopted");
	check(notices_of(&second) & KBDUS_ABI_NOTICE_VACANT, "it is vacant");
	check(command(second.owner, KBDUS_ABI_COMMAND_START, NULL) == -1 && errno == EBUSY,
	      "who has no queues does not start");
	check(succeed(&second), "the successor attaches and starts");
	check(wait_for_request(&second, &request), "a request comes to it");
	check(kbdus_abi_request_op(&request) == KBDUS_ABI_OP_READ &&
		      (kbdus_abi_request_flags(&request) & KBDUS_ABI_REQUEST_FLAG_RETRIED),
	      "the one that was lost is the first, and marked");
	memset(second.payloads + (size_t)kbdus_abi_request_tag(&request) * STRIDE, 'r', BLOCK);
	put_result(&second, answer(&second, &request));
	end(&second, &reader);
	check(reader.result == BLOCK && reader.byte == 'r', "its client sees no more of it");
	check(wait_for_request(&second, &request) &&
		      kbdus_abi_request_op(&request) == KBDUS_ABI_OP_WRITE &&
		      !(kbdus_abi_request_flags(&request) & KBDUS_ABI_REQUEST_FLAG_RETRIED) &&
		      second.payloads[kbdus_abi_request_tag(&request) * STRIDE] == 'w',
	      "the one that nobody had follows, with its payload");
	put_result(&second, answer(&second, &request));
	end(&second, &writer);
	check(writer.result == BLOCK, "it is written");
	unmake(&second);
	destroy_device(CASE_ID);
	check(none_left(), "an orphan can be destroyed");
}

static void servers_make_room(void)
{
	struct pollfd file;
	struct kbdus_abi_request request;
	struct server first, second, third;
	struct client client;

	check(serve_live(&first, 0), "a device that is not recoverable is live");
	check(command(first.owner, KBDUS_ABI_COMMAND_LEAVE, NULL) == -1 && errno == EINVAL,
	      "it is not left to nobody");
	check(notices_of(&first) == 0, "nobody has come");
	begin(&client, CASE_ID, false);
	check(wait_for_request(&first, &request), "a read comes");
	check(adopt(&second, CASE_ID), "a successor comes");
	check(!adopt(&third, CASE_ID) && errno == EBUSY, "only one does");
	unmake(&third);
	check(notices_of(&first) == KBDUS_ABI_NOTICE_SUCCEEDED, "the server is told");
	check(!attach_queue(&second) && errno == EBUSY, "the successor waits");
	check(command(second.owner, KBDUS_ABI_COMMAND_STOP, NULL) == -1 && errno == EBUSY,
	      "and rules nothing");
	notices_of(&second);
	check(command(first.owner, KBDUS_ABI_COMMAND_LEAVE, NULL) == 0, "the server leaves");
	check(enter(&first) == 0, "it has a request to answer yet");
	put_result(&first, answer(&first, &request));
	check(enter(&first) == -1 && errno == ENODEV, "then its queue has ended");
	pthread_join(client.thread, NULL);
	check(client.result == BLOCK, "the request was answered");
	begin(&client, CASE_ID, false);
	usleep(20000);
	check(enter(&first) == -1 && errno == ENODEV, "it gets no more");
	close(first.owner);
	close(first.queue);
	munmap(first.rings, first.map_bytes);
	file = (struct pollfd){.fd = second.owner, .events = POLLIN};
	check(poll(&file, 1, 1000) == 1, "the successor's file is readable");
	check(notices_of(&second) & KBDUS_ABI_NOTICE_VACANT, "its time has come");
	file.revents = 0;
	check(poll(&file, 1, 0) == 0, "once");
	check(succeed(&second), "it attaches and starts");
	check(wait_for_request(&second, &request) &&
		      !(kbdus_abi_request_flags(&request) & KBDUS_ABI_REQUEST_FLAG_RETRIED),
	      "what came meanwhile is for it");
	put_result(&second, answer(&second, &request));
	end(&second, &client);
	check(client.result == BLOCK, "and answered by it");
	unmake(&second);
	munmap(first.payloads, DEPTH * STRIDE);
	check(none_left(), "the device goes with its second server");
}

static void orphans_end_their_requests(void)
{
	struct kbdus_abi_request request;
	struct server first, second;
	struct client client;

	check(serve_live(&first, KBDUS_ABI_ATTR_RECOVERABLE), "a recoverable device is live");
	begin(&client, CASE_ID, false);
	check(wait_for_request(&first, &request), "a read comes");
	close(first.owner);
	check(enter(&first) == -1 && errno == ENODEV, "a queue ends with its owner");
	memset(first.rings, 0xff, first.map_bytes);
	check(adopt(&second, CASE_ID), "a successor comes");
	check(!attach_queue(&second) && errno == EBUSY, "the dead still have a file");
	check(pwrite(first.queue, "x", 1, 0) == -1 && errno == EINVAL, "which is of no use");
	close(first.queue);
	munmap(first.rings, first.map_bytes);
	check(attach_queue(&second), "without it, the successor attaches");
	check(enter(&second) == 0 && !take(&second, &request), "nothing comes before START");
	unmake(&second);
	check(!atomic_load(&client.done), "the request waits for one that starts");
	destroy_device(CASE_ID);
	pthread_join(client.thread, NULL);
	check(client.result == -1 && client.error == EIO, "it fails when the orphan is destroyed");
	munmap(first.payloads, DEPTH * STRIDE);
	check(none_left(), "nothing is left");
}

static struct kbdus_abi_ioctl_part argument(uint32_t command, uint32_t bytes)
{
	struct kbdus_abi_ioctl_part part = {0};

	kbdus_abi_ioctl_part_set_command(&part, command);
	kbdus_abi_ioctl_part_set_flags(&part,
				       KBDUS_ABI_PART_FLAG_IN | KBDUS_ABI_PART_FLAG_CLIENT_64);
	kbdus_abi_ioctl_part_set_element_bytes(&part, bytes);
	kbdus_abi_ioctl_part_set_count(&part, 1);
	return part;
}

static struct kbdus_abi_ioctl_part pointed(uint32_t command, uint16_t parent)
{
	struct kbdus_abi_ioctl_part part = argument(command, 16);

	kbdus_abi_ioctl_part_set_parent(&part, parent);
	kbdus_abi_ioctl_part_set_pointer_width(&part, 8);
	return part;
}

static int describe(const struct server *server, const struct kbdus_abi_ioctl_part *parts,
		    uint32_t count)
{
	struct kbdus_abi_ioctl_table table = {0};

	kbdus_abi_ioctl_table_set_parts(&table, (uintptr_t)parts);
	kbdus_abi_ioctl_table_set_count(&table, count);
	return command(server->owner, KBDUS_ABI_COMMAND_DESCRIBE, &table);
}

static void bad_descriptions_are_refused(void)
{
	struct kbdus_abi_ioctl_part parts[8];
	struct server server;

	check(make(&server, CASE_ID), "a device is made");
#define REFUSES(count, what) check(describe(&server, parts, count) == -1 && errno == EINVAL, what)
	parts[0] = argument(1, 16);
	REFUSES(0, "an empty table is refused");
	check(describe(&server, parts, 1 << 20) == -1 && errno == E2BIG, "a large one is refused");
	check(describe(&server, (void *)8, 1) == -1 && errno == EFAULT, "none is refused");
	parts[0] = argument(1, 0);
	REFUSES(1, "an empty argument is refused");
	parts[0] = argument(1, 2 << 20);
	REFUSES(1, "a large argument is refused");
	parts[0] = argument(1, 16);
	kbdus_abi_ioctl_part_set_flags(&parts[0], KBDUS_ABI_PART_FLAG_IN);
	REFUSES(1, "an argument for nobody is refused");
	parts[0] = pointed(1, 0);
	REFUSES(1, "a part of nothing is refused");
	parts[0] = argument(1, 16);
	parts[1] = pointed(2, 0);
	REFUSES(2, "a part of another command is refused");
	parts[1] = pointed(1, 1);
	REFUSES(2, "a part of itself is refused");
	parts[1] = pointed(1, 0);
	kbdus_abi_ioctl_part_set_pointer_width(&parts[1], 3);
	REFUSES(2, "a pointer of 3 bytes is refused");
	parts[1] = pointed(1, 0);
	kbdus_abi_ioctl_part_set_pointer_at(&parts[1], UINT32_MAX - 3);
	REFUSES(2, "a pointer past the end is refused");
	parts[1] = pointed(1, 0);
	kbdus_abi_ioctl_part_set_count_width(&parts[1], 8);
	kbdus_abi_ioctl_part_set_count_at(&parts[1], 9);
	REFUSES(2, "a count past the end is refused");
	parts[1] = pointed(1, 0);
	kbdus_abi_ioctl_part_set_flags(&parts[0],
				       KBDUS_ABI_PART_FLAG_OUT | KBDUS_ABI_PART_FLAG_CLIENT_64);
	REFUSES(2, "a pointer that does not come is refused");
	parts[0] = argument(1, 16);
	for (uint16_t i = 1; i < 6; i++)
		parts[i] = pointed(1, i - 1);
	REFUSES(6, "pointers that lead deep are refused");
#undef REFUSES
	check(describe(&server, parts, 5) == 0, "a good table is taken");
	check(describe(&server, parts, 5) == -1 && errno == EBUSY, "once");
	unmake(&server);
	check(none_left(), "the device goes with its files");
}

/* ---- zones --------------------------------------------------------------------------------- */

#define ZONE (1 << 20)
#define ZONE_OPS                                                                          \
	(KBDUS_ABI_OPS_ZONE_REPORT | KBDUS_ABI_OPS_ZONE_OPEN | KBDUS_ABI_OPS_ZONE_CLOSE | \
	 KBDUS_ABI_OPS_ZONE_FINISH | KBDUS_ABI_OPS_ZONE_RESET | KBDUS_ABI_OPS_ZONE_RESET_ALL)

static struct kbdus_abi_zoned zoned_wish(void)
{
	struct kbdus_abi_zoned zoned = {0};

	kbdus_abi_zoned_set_zone_bytes(&zoned, ZONE);
	kbdus_abi_zoned_set_max_append_bytes(&zoned, 65536);
	kbdus_abi_zoned_set_ops(&zoned, ZONE_OPS | KBDUS_ABI_OPS_ZONE_APPEND);
	return zoned;
}

static bool has_zones(void)
{
	struct kbdus_abi_version version = {0};
	const int fd = open_control();

	command(fd, KBDUS_ABI_COMMAND_VERSION, &version);
	close(fd);
	return kbdus_abi_version_features(&version) & KBDUS_ABI_FEATURE_ZONES;
}

static void bad_zones_are_refused(void)
{
	struct kbdus_abi_zoned zoned;
	struct server server;

	check(make(&server, CASE_ID), "a device is made");
#define REFUSES(field, value)                                                                  \
	zoned = zoned_wish();                                                                  \
	kbdus_abi_zoned_set_##field(&zoned, value);                                            \
	check(command(server.owner, KBDUS_ABI_COMMAND_ZONES, &zoned) == -1 && errno == EINVAL, \
	      "zones with bad " #field " are refused")
	REFUSES(zone_bytes, 0);
	REFUSES(zone_bytes, 512);
	REFUSES(zone_bytes, 3 << 20);
	REFUSES(zone_bytes, 2 * SIZE);
	REFUSES(zone_bytes, UINT64_C(1) << 63);
	REFUSES(max_append_bytes, 0);
	REFUSES(max_append_bytes, 513);
	REFUSES(max_append_bytes, 2 * STRIDE);
	REFUSES(ops, ZONE_OPS);
	REFUSES(ops, KBDUS_ABI_OPS_ZONE_REPORT);
	REFUSES(ops, 0xffffffff);
#undef REFUSES
	zoned = zoned_wish();
	check(command(server.queue, KBDUS_ABI_COMMAND_ZONES, &zoned) == -1 && errno == ENOTTY,
	      "a queue has no zones");
	check(command(server.owner, KBDUS_ABI_COMMAND_ZONES, (void *)8) == -1 && errno == EFAULT,
	      "bad addresses are refused");
	check(command(server.owner, KBDUS_ABI_COMMAND_ZONES, &zoned) == 0, "good zones are taken");
	check(command(server.owner, KBDUS_ABI_COMMAND_ZONES, &zoned) == -1 && errno == EBUSY,
	      "once");
	unmake(&server);
	check(none_left(), "the device goes with its files");
}

static bool is_settled(struct server *server)
{
	const unsigned state = state_of(server);

	return state == KBDUS_ABI_STATE_LIVE || state == KBDUS_ABI_STATE_STOPPED;
}

/* Answers reports with zones that are alike, but for @spoil, until the device is live or not. */
static unsigned report(struct server *server, void (*spoil)(struct kbdus_abi_zone *zone))
{
	const time_t limit = time(NULL) + WAIT_LIMIT;
	struct kbdus_abi_request request;

	while (!is_settled(server) && time(NULL) <= limit) {
		enter(server);
		while (take(server, &request)) {
			const struct kbdus_abi_result result = answer(server, &request);
			struct kbdus_abi_zone *const zones =
				(void *)(uintptr_t)kbdus_abi_result_address(&result);
			const uint64_t bytes = kbdus_abi_request_length_bytes(&request);

			for (uint64_t i = 0; i < bytes / sizeof(*zones); i++) {
				const uint64_t start =
					kbdus_abi_request_offset_bytes(&request) + i * ZONE;

				zones[i] = (struct kbdus_abi_zone){0};
				kbdus_abi_zone_set_start_bytes(&zones[i], start);
				kbdus_abi_zone_set_length_bytes(&zones[i], ZONE);
				kbdus_abi_zone_set_capacity_bytes(&zones[i], ZONE);
				kbdus_abi_zone_set_write_pointer_bytes(&zones[i], start);
				kbdus_abi_zone_set_type(&zones[i], 2);
				kbdus_abi_zone_set_condition(&zones[i], 1);
				if (i == 3 && spoil)
					spoil(&zones[i]);
			}
			put_result(server, result);
		}
		enter(server);
		usleep(500);
	}
	return state_of(server);
}

#define LIE(field, value)                                    \
	static void lie_##field(struct kbdus_abi_zone *zone) \
	{                                                    \
		kbdus_abi_zone_set_##field(zone, value);     \
	}

LIE(start_bytes, 512)
LIE(length_bytes, ZONE / 2)
LIE(capacity_bytes, 2 * ZONE)
LIE(write_pointer_bytes, UINT64_MAX - 511)
LIE(type, 200)
LIE(condition, 0xc)

static void lies_about_zones_make_no_disk(void)
{
	static void (*const lies[])(struct kbdus_abi_zone * zone) = {
		NULL,
		lie_start_bytes,
		lie_length_bytes,
		lie_capacity_bytes,
		lie_write_pointer_bytes,
		lie_type,
		lie_condition,
	};

	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const unsigned wanted = i == 0 ? KBDUS_ABI_STATE_LIVE : KBDUS_ABI_STATE_STOPPED;
		struct kbdus_abi_zoned zoned = zoned_wish();
		struct server server;

		check(make(&server, CASE_ID), "a device is made");
		check(command(server.owner, KBDUS_ABI_COMMAND_ZONES, &zoned) == 0, "with zones");
		check(command(server.owner, KBDUS_ABI_COMMAND_START, NULL) == 0, "it is started");
		check(report(&server, lies[i]) == wanted,
		      i == 0 ? "zones that can be make a disk" : "zones that cannot be make none");
		unmake(&server);
		check(none_left(), "the device goes with its files");
	}
}

static int run_cases(void)
{
	attributes_are_checked();
	files_are_what_they_are();
	wrong_results_are_dropped();
	scribbled_rings_do_no_harm();
	payloads_are_reached_by_tag();
	payloads_are_spliced();
	closing_fails_requests();
	stopping_ends_queues();
	sizes_are_the_owners();
	requests_outlive_a_server();
	servers_make_room();
	orphans_end_their_requests();
	bad_descriptions_are_refused();
	if (has_zones()) {
		bad_zones_are_refused();
		lies_about_zones_make_no_disk();
	}
	printf("%d failures\n", failures);
	return failures != 0;
}

/* ---- fuzzing ------------------------------------------------------------------------------- */

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % below;
}

static void scribble(void *memory, size_t bytes)
{
	for (uint32_t count = draw(8); count > 0 && bytes > 0; count--)
		((unsigned char *)memory)[draw((uint32_t)bytes)] = (unsigned char)draw(256);
}

static void send_uring(struct io_uring *ring, int fd)
{
	struct io_uring_sqe *const sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;

	if (!sqe)
		return;
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = draw(4) ? KBDUS_ABI_COMMAND_ENTER : KBDUS_ABI_COMMAND_COMMIT + draw(2);
	io_uring_submit(ring);
	while (io_uring_peek_cqe(ring, &cqe) == 0)
		io_uring_cqe_seen(ring, cqe);
}

static void random_command(struct server *server)
{
	unsigned char bytes[256];
	const int fd = draw(2) ? server->owner : server->queue;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = draw(3) ? 0 : (unsigned char)draw(256);
	command(fd, 0xbd00 + draw(17), draw(8) ? bytes : (void *)(uintptr_t)draw(3));
}

static void random_answers(struct server *server)
{
	struct kbdus_abi_request request;

	while (take(server, &request)) {
		struct kbdus_abi_result result = answer(server, &request);

		if (!draw(6))
			scribble(&result, sizeof(result));
		if (draw(20))
			put_result(server, result);
		if (!draw(20))
			put_result(server, result);
	}
}

static void random_payload(struct server *server)
{
	const off_t place =
		(off_t)((uint64_t)draw(DEPTH + 2) << KBDUS_ABI_PLACE_TAG_SHIFT) + draw(2 * BLOCK);

	if (draw(2))
		(void)!pread(server->queue, server->payloads, draw(2 * STRIDE), place);
	else
		(void)!pwrite(server->queue, server->payloads, draw(2 * STRIDE), place);
}

static void *fuzz_client(void *argument)
{
	struct client client;

	for (;;) {
		client = (struct client){.id = FUZZ_ID, .write = argument != NULL};
		run_client(&client);
		usleep(300);
	}
	return NULL;
}

static bool begin_life(struct server *server)
{
	static const uint32_t attrs[] = {0, KBDUS_ABI_ATTR_RECOVERABLE};
	const time_t limit = time(NULL) + WAIT_LIMIT;

	if (make_with(server, FUZZ_ID, attrs[draw(2)]))
		return true;
	unmake(server);
	if (!adopt(server, FUZZ_ID))
		return false;
	while (!attach_queue(server)) {
		if (time(NULL) > limit)
			return false;
		usleep(500);
	}
	return true;
}

/* One life, ended by whoever kills this process. */
static void fuzz_life(void)
{
	struct io_uring ring;
	struct server server;
	pthread_t client;
	uint32_t tail;

	if (!begin_life(&server) || io_uring_queue_init(32, &ring, 0) != 0)
		_exit(0);
	if (draw(10))
		command(server.owner, KBDUS_ABI_COMMAND_START, NULL);
	pthread_create(&client, NULL, fuzz_client, NULL);
	pthread_create(&client, NULL, fuzz_client, &server);
	for (;;) {
		switch (draw(12)) {
		case 0:
			random_command(&server);
			break;
		case 1:
			tail = server.tail;
			scribble(server.rings, server.map_bytes);
			atomic_store((_Atomic uint32_t *)(void *)&server.rings->results_tail, tail);
			break;
		case 2:
		case 3:
			send_uring(&ring, draw(8) ? server.queue : server.owner);
			break;
		case 4:
			random_payload(&server);
			break;
		case 5:
			if (!draw(200))
				close(draw(2) ? server.owner : server.queue);
			else if (!draw(100))
				command(server.owner, KBDUS_ABI_COMMAND_LEAVE, NULL);
			else if (!draw(10))
				resize(server.owner,
				       (uint64_t)(1 + draw(2 * SIZE / BLOCK)) * BLOCK);
			break;
		default:
			enter(&server);
			random_answers(&server);
			break;
		}
	}
}

static int run_fuzz(uint64_t seed, unsigned seconds)
{
	const time_t limit = time(NULL) + (time_t)seconds;
	unsigned lives = 0;

	for (; time(NULL) < limit && failures == 0; lives++) {
		pid_t child;

		random_state = seed + lives;
		child = fork();
		if (child == 0)
			fuzz_life();
		usleep(1000 + draw(60000));
		kill(child, SIGKILL);
		/* The next life takes the device over, once this one's clients are no obstacle. */
		if (draw(8) == 0)
			continue;
		destroy_device(FUZZ_ID);
		while (wait(NULL) > 0)
			;
		check(none_left(), "a device goes with its process, or when it is destroyed");
	}
	destroy_device(FUZZ_ID);
	while (wait(NULL) > 0)
		;
	check(none_left(), "none is left in the end");
	printf("seed %llu: %u lives, %d failures\n", (unsigned long long)seed, lives, failures);
	return failures != 0;
}

/* ---- unloading ----------------------------------------------------------------------------- */

/* Serves one device until it has ended; tells the pipe when it is live. */
static void serve_one(int told)
{
	struct server server;

	if (!make(&server, CASE_ID) || command(server.owner, KBDUS_ABI_COMMAND_START, NULL) != 0 ||
	    !serve_until(&server, is_live) || write(told, "l", 1) != 1)
		_exit(1);
	serve_until(&server, is_stopped);
	_exit(0);
}

/* Opens and reads the device whenever it is there. */
static void open_for_ever(void)
{
	struct client client;

	for (;;) {
		client = (struct client){.id = CASE_ID};
		run_client(&client);
	}
}

/* Loses no time, so that whoever still uses the module is found. */
static bool unload(bool with_openers)
{
	const time_t limit = time(NULL) + WAIT_LIMIT;

	while (syscall(SYS_delete_module, "kbdus", O_NONBLOCK) != 0) {
		if (!with_openers || errno != EAGAIN || time(NULL) > limit)
			return false;
		usleep(1000);
	}
	return true;
}

static bool load(const char *file)
{
	const int fd = open(file, O_RDONLY | O_CLOEXEC);
	const bool loaded = fd >= 0 && syscall(SYS_finit_module, fd, "", 0) == 0;

	close(fd);
	return loaded;
}

static void unload_after_one(unsigned round, const char *file, bool with_openers)
{
	int told[2], status;
	pid_t child;
	char word;

	check(load(file), "the module is loaded");
	if (pipe(told) != 0)
		exit(2);
	child = fork();
	if (child == 0)
		serve_one(told[1]);
	close(told[1]);
	check(read(told[0], &word, 1) == 1, "the device is live");
	close(told[0]);
	if (round % 4 == 3)
		kill(child, SIGKILL);
	destroy_device(CASE_ID);
	check(none_left(), "the device has gone");
	check(unload(with_openers), "the module is unloaded");
	waitpid(child, &status, 0);
}

static int run_unload(unsigned times, const char *file)
{
	unsigned round;
	pid_t opener;

	for (round = 0; round < times / 2 && failures == 0; round++)
		unload_after_one(round, file, false);
	opener = fork();
	if (opener == 0)
		open_for_ever();
	for (; round < times && failures == 0; round++)
		unload_after_one(round, file, true);
	kill(opener, SIGKILL);
	waitpid(opener, NULL, 0);
	printf("%u times, %d failures\n", round, failures);
	return failures != 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "cases") == 0)
		return run_cases();
	if (argc == 4 && strcmp(argv[1], "fuzz") == 0)
		return run_fuzz(strtoull(argv[2], NULL, 0), (unsigned)atoi(argv[3]));
	if (argc == 4 && strcmp(argv[1], "unload") == 0)
		return run_unload((unsigned)atoi(argv[2]), argv[3]);
	fprintf(stderr, "usage: kbdus-hostile cases | fuzz SEED SECONDS | unload TIMES FILE\n");
	return 2;
}
