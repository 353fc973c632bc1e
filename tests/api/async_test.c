/* SPDX-License-Identifier: MIT */
/*
 * Disks, clients and loops for tests of bdus/async.h.
 */
#include "async_test.h"
#include "forbid_ring.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS_MOST 128
#define BLOCK        4096
#define PART_BLOCKS  (ASYNC_DISK_BYTES / 8 / BLOCK)

static char folder[64];

/* ---- clients ------------------------------------------------------------------------------- */

/** A socket may be there before anybody listens. */
static struct nbd_handle *connect_to(const char *socket)
{
	for (unsigned tries = 0; tries < ASYNC_PATIENCE_MS / 5; tries++) {
		struct nbd_handle *const nbd = nbd_create();

		if (nbd_connect_unix(nbd, socket) == 0)
			return nbd;
		nbd_close(nbd);
		usleep(5000);
	}
	fprintf(stderr, "client of %s: %s\n", socket, nbd_get_error());
	return NULL;
}

static bool run_client(unsigned device, async_client_fn *run, unsigned number)
{
	struct nbd_handle *nbd;
	char socket[96];
	bool good;

	snprintf(socket, sizeof(socket), "%s/%u", folder, device);
	nbd = connect_to(socket);
	if (nbd == NULL)
		return false;
	good = run(nbd, number);
	if (!good)
		fprintf(stderr, "client %u of %s: %s\n", number, socket,
			nbd_get_error() != NULL ? nbd_get_error() : "wrong data");
	nbd_shutdown(nbd, 0);
	nbd_close(nbd);
	return good;
}

void async_client_start(struct async_client *client, unsigned device, async_client_fn *run,
			unsigned number)
{
	fflush(NULL);
	client->pid = fork();
	assert_int_not_equal(client->pid, -1);
	if (client->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(run_client(device, run, number) ? 0 : 1);
	}
	client->pidfd = (int)syscall(SYS_pidfd_open, client->pid, 0);
	assert_true(client->pidfd >= 0);
}

void async_client_finish(struct async_client *client)
{
	int status;

	assert_int_equal(waitpid(client->pid, &status, 0), client->pid);
	close(client->pidfd);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void fill(char *block, unsigned number, unsigned round, unsigned index)
{
	for (unsigned i = 0; i < BLOCK; i++)
		block[i] = (char)(number * 31 + round * 7 + index + i * 13 + (i >> 8));
}

static bool verify_round(struct nbd_handle *nbd, unsigned number, unsigned round)
{
	const uint64_t start = (uint64_t)(number % 8) * PART_BLOCKS * BLOCK;
	char wanted[BLOCK];
	char got[BLOCK];

	for (unsigned i = 0; i < PART_BLOCKS; i++) {
		fill(wanted, number, round, i);
		if (nbd_pwrite(nbd, wanted, BLOCK, start + (uint64_t)i * BLOCK, 0) != 0)
			return false;
	}
	for (unsigned i = 0; i < PART_BLOCKS; i++) {
		fill(wanted, number, round, i);
		if (nbd_pread(nbd, got, BLOCK, start + (uint64_t)i * BLOCK, 0) != 0 ||
		    memcmp(got, wanted, BLOCK) != 0)
			return false;
	}
	return true;
}

bool async_client_verify(struct nbd_handle *nbd, unsigned number)
{
	return verify_round(nbd, number, 0) && verify_round(nbd, number, 1);
}

bool async_client_look(struct nbd_handle *nbd, unsigned number)
{
	(void)number;
	return nbd_get_size(nbd) == ASYNC_DISK_BYTES;
}

/* ---- disks --------------------------------------------------------------------------------- */

void async_disk_serve(struct async_disk *disk, const struct bdus_request *request)
{
	char *const place = disk->memory + request->offset_bytes;

	if (request->op == BDUS_OP_READ)
		memcpy(request->data, place, request->length_bytes);
	else if (request->op == BDUS_OP_WRITE)
		memcpy(place, request->data, request->length_bytes);
}

static void hold(struct async_disk *disk, struct bdus_request *request)
{
	pthread_mutex_lock(&disk->lock);
	request->driver_data = disk->held;
	disk->held = request;
	disk->held_count++;
	pthread_cond_signal(&disk->changed);
	pthread_mutex_unlock(&disk->lock);
}

static int serve_in_thread(void *instance, struct bdus_request *request)
{
	struct async_disk *const disk = instance;
	const int result = disk->on_thread != NULL ? disk->on_thread(disk, request) : 0;

	if (result == 0)
		async_disk_serve(disk, request);
	return result;
}

static void submit(void *instance, struct bdus_request *request)
{
	struct async_disk *const disk = instance;

	atomic_fetch_add(&disk->submitted, 1);
	if (disk->on_submit != NULL)
		disk->on_submit(disk, request);
	if (disk->answer == ASYNC_THREADED) {
		bdus_thread_submit(&disk->threads, request);
		return;
	}
	if (disk->answer != ASYNC_AT_ONCE) {
		hold(disk, request);
		return;
	}
	async_disk_serve(disk, request);
	bdus_complete(request, 0);
}

static void available(void *instance, const struct bdus_device_info *info)
{
	struct async_disk *const disk = instance;

	assert_int_equal(info->state, BDUS_STATE_AVAILABLE);
	assert_string_equal(info->driver, "async-test");
	disk->available++;
}

static void stopping(void *instance, int result)
{
	struct async_disk *const disk = instance;

	disk->stopping++;
	disk->stop_result = result;
}

void async_disk_init(struct async_disk *disk, enum async_answer answer)
{
	*disk = (struct async_disk){
		.driver =
			{
				.size = sizeof(disk->driver),
				.name = "async-test",
				.submit = submit,
				.available = available,
				.stopping = stopping,
			},
		.answer = answer,
		.threads = {.size = sizeof(disk->threads),
			    .handle = serve_in_thread,
			    .instance = disk},
		.memory = calloc(1, ASYNC_DISK_BYTES),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	assert_non_null(disk->memory);
}

void async_disk_finish(struct async_disk *disk)
{
	free(disk->memory);
}

int async_disk_create(struct async_disk *disk, unsigned number)
{
	char transport[96];
	const struct bdus_device_options options = {
		.size = sizeof(options),
		.driver = &disk->driver,
		.instance = disk,
		.attrs = {.size_bytes = ASYNC_DISK_BYTES,
			  .ops = ASYNC_READ_WRITE,
			  .queues = disk->queues,
			  .queue_depth = disk->queue_depth,
			  .max_transfer_bytes = disk->max_transfer_bytes},
		.transport = transport,
		.memory = disk->memory_of_program,
	};

	snprintf(transport, sizeof(transport), "nbd,socket=%s/%u", folder, number);
	return bdus_device_create(&options, &disk->device);
}

struct bdus_queue *async_disk_start(struct async_disk *disk, unsigned number,
				    struct bdus_loop *loop)
{
	struct bdus_queue *queue;

	assert_int_equal(async_disk_create(disk, number), 0);
	assert_int_equal(bdus_queue_open(disk->device, 0, loop, &queue), 0);
	assert_int_equal(bdus_device_start(disk->device), 0);
	return queue;
}

static struct bdus_request *take_held(struct async_disk *disk)
{
	struct bdus_request *request;

	pthread_mutex_lock(&disk->lock);
	request = disk->held;
	if (request != NULL) {
		disk->held = request->driver_data;
		disk->held_count--;
	}
	pthread_mutex_unlock(&disk->lock);
	return request;
}

unsigned async_disk_answer(struct async_disk *disk, unsigned most, bool any_thread)
{
	struct bdus_request *request;
	unsigned count = 0;

	while (count < most && (request = take_held(disk)) != NULL) {
		async_disk_serve(disk, request);
		if (any_thread)
			bdus_complete_from_any_thread(request, 0);
		else
			bdus_complete(request, 0);
		count++;
	}
	return count;
}

void *async_disk_helper(void *argument)
{
	struct async_disk *const disk = argument;
	bool ends;

	do {
		pthread_mutex_lock(&disk->lock);
		while (disk->held == NULL && !disk->helper_ends)
			pthread_cond_wait(&disk->changed, &disk->lock);
		ends = disk->helper_ends;
		pthread_mutex_unlock(&disk->lock);
		async_disk_answer(disk, UINT_MAX, true);
	} while (!ends);
	return NULL;
}

void async_disk_end_helper(struct async_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	disk->helper_ends = true;
	pthread_cond_signal(&disk->changed);
	pthread_mutex_unlock(&disk->lock);
}

/* ---- loops --------------------------------------------------------------------------------- */

struct bdus_loop *async_loop(uint32_t flags)
{
	const struct bdus_loop_options options = {.size = sizeof(options), .flags = flags};
	struct bdus_loop *loop = NULL;

	assert_int_equal(bdus_loop_create(&options, &loop), 0);
	return loop;
}

void async_turn(struct bdus_loop *loop)
{
	struct pollfd look = {.fd = bdus_loop_fd(loop), .events = POLLIN};

	assert_int_equal(poll(&look, 1, ASYNC_PATIENCE_MS), 1);
	assert_true(bdus_loop_process(loop, 0) >= 0);
}

void async_choose_way(int argc, char **argv)
{
	if (argc < 2)
		return;
	if (strcmp(argv[1], "forbidden") != 0 || !forbid_ring()) {
		printf("SKIP: cannot test %s: %s\n", argv[1], strerror(errno));
		exit(77);
	}
}

void async_serve(struct bdus_loop *loop, struct async_client *clients, unsigned count,
		 void (*between)(void *argument), void *argument)
{
	struct pollfd looks[1 + CLIENTS_MOST] = {{.fd = bdus_loop_fd(loop), .events = POLLIN}};
	unsigned left = count;

	assert_true(count <= CLIENTS_MOST);
	for (unsigned i = 0; i < count; i++)
		looks[1 + i] = (struct pollfd){.fd = clients[i].pidfd, .events = POLLIN};
	while (left > 0) {
		if (between != NULL)
			between(argument);
		if (poll(looks, 1 + count, ASYNC_PATIENCE_MS) <= 0)
			fail_msg("nothing happened for %d ms", ASYNC_PATIENCE_MS);
		if (looks[0].revents != 0)
			assert_true(bdus_loop_process(loop, 0) >= 0);
		for (unsigned i = 1; i <= count; i++) {
			if (looks[i].fd < 0 || looks[i].revents == 0)
				continue;
			looks[i].fd = -1;
			left--;
		}
	}
	for (unsigned i = 0; i < count; i++)
		async_client_finish(&clients[i]);
}

void async_disk_end(struct async_disk *disk, struct bdus_queue *queue, struct bdus_loop *loop)
{
	bdus_device_stop(disk->device);
	while (bdus_queue_result(queue) == 0)
		async_turn(loop);
	assert_int_equal(bdus_queue_result(queue), -ENODEV);
	assert_int_equal(bdus_queue_close(queue), 0);
	assert_int_equal(bdus_device_destroy(disk->device), 0);
	assert_int_equal(disk->stopping, 1);
	assert_int_equal(disk->stop_result, 0);
	disk->device = NULL;
}

/* ---- surroundings -------------------------------------------------------------------------- */

unsigned async_count(const char *path)
{
	DIR *const entries = opendir(path);
	unsigned count = 0;

	assert_non_null(entries);
	while (readdir(entries) != NULL)
		count++;
	closedir(entries);
	return count;
}

const char *async_folder(void)
{
	return folder;
}

int async_setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/bdus-async-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	return setenv("BDUS_RUNTIME_DIR", folder, 1);
}

/* Devices that ended leave neither sockets nor records; the counter of ids stays. */
int async_teardown(void **state)
{
	char command[256];

	(void)state;
	snprintf(command, sizeof(command),
		 "find '%s' -name '[0-9]*' | grep . && exit 1; rm -rf '%s'", folder, folder);
	return system(command) == 0 ? 0 : -1;
}
