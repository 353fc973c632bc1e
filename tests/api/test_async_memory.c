/* SPDX-License-Identifier: MIT */
/*
 * Payload memory of the program's, shared by many devices over NBD: payloads lie in it and nowhere
 * else, there is never more of it in use than allowed, requests wait rather than fail, and in the
 * end all of it has come back.
 */
#include "async_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DEVICES      4
#define CLIENTS      (DEVICES * 4)
#define TRANSFER     ((size_t)4096)
#define REGION_BYTES (3 * TRANSFER)

static char *region;
static atomic_uint strays;

/** The payload has to lie in the region, if there is one. */
static void check_place(struct async_disk *disk, struct bdus_request *request)
{
	char *const data = request->data;

	(void)disk;
	if (region == NULL || (request->op != BDUS_OP_READ && request->op != BDUS_OP_WRITE))
		return;
	if (data < region || data + request->length_bytes > region + REGION_BYTES)
		atomic_fetch_add(&strays, 1);
}

static struct bdus_memory *make_region(void)
{
	struct bdus_memory_options options = {
		.size = sizeof(options),
		.region_bytes = REGION_BYTES,
	};
	struct bdus_memory *memory;

	region = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(region, MAP_FAILED);
	options.region = region;
	assert_int_equal(bdus_memory_create(&options, &memory), 0);
	return memory;
}

static struct bdus_memory *make_pool(void)
{
	const struct bdus_memory_options options = {
		.size = sizeof(options),
		.pool_count = REGION_BYTES / TRANSFER,
		.pool_buffer_bytes = TRANSFER,
		.pool_flags = BDUS_MEMORY_HUGE,
	};
	struct bdus_memory *memory;

	assert_int_equal(bdus_memory_create(&options, &memory), 0);
	return memory;
}

static void prepare(struct async_disk *disk, enum async_answer answer, struct bdus_memory *memory)
{
	async_disk_init(disk, answer);
	disk->memory_of_program = memory;
	disk->max_transfer_bytes = TRANSFER;
	disk->on_submit = check_place;
}

static struct async_disk disks[DEVICES];
static unsigned most_held;

/** Answers one request of each disk, when the memory for more has been given out. */
static void answer_some(void *argument)
{
	unsigned held = 0;

	(void)argument;
	for (unsigned i = 0; i < DEVICES; i++)
		held += disks[i].held_count;
	if (most_held < held)
		most_held = held;
	for (unsigned i = 0; i < DEVICES; i++)
		async_disk_answer(&disks[i], 1, i % 2 != 0);
}

static void share(struct bdus_memory *(*make)(void))
{
	struct async_client clients[CLIENTS];
	struct bdus_queue *queues[DEVICES];
	struct bdus_memory *memory;
	struct bdus_loop *loop;

	most_held = 0;
	for (unsigned i = 0; i < CLIENTS; i++)
		async_client_start(&clients[i], i % DEVICES, async_client_verify, i / DEVICES);
	loop = async_loop(0);
	memory = make();
	for (unsigned i = 0; i < DEVICES; i++) {
		prepare(&disks[i], ASYNC_HELD, memory);
		queues[i] = async_disk_start(&disks[i], i, loop);
	}
	assert_int_equal(bdus_memory_destroy(memory), -EBUSY);
	async_serve(loop, clients, CLIENTS, answer_some, NULL);
	assert_in_range(most_held, 1, REGION_BYTES / TRANSFER);
	for (unsigned i = 0; i < DEVICES; i++) {
		async_disk_end(&disks[i], queues[i], loop);
		async_disk_finish(&disks[i]);
	}
	bdus_loop_destroy(loop);
	assert_int_equal(atomic_load(&strays), 0);
	assert_int_equal(bdus_memory_destroy(memory), 0);
}

static void many_devices_share_memory_for_three_requests(void **state)
{
	(void)state;
	share(make_region);
	munmap(region, REGION_BYTES);
	region = NULL;
}

static void many_devices_share_a_pool_for_three_requests(void **state)
{
	(void)state;
	share(make_pool);
}

static size_t out_bytes;

static void *allocate_wrongly(void *opaque, size_t bytes)
{
	(void)opaque;
	out_bytes += bytes;
	return (char *)aligned_alloc(4096, bytes + 4096) + 16;
}

static void release(void *opaque, void *memory, size_t bytes)
{
	(void)opaque;
	out_bytes -= bytes;
	free((char *)memory - 16);
}

static bool client_fails(struct nbd_handle *nbd, unsigned number)
{
	char data[512];

	(void)number;
	return nbd_pread(nbd, data, sizeof(data), 0, 0) != 0;
}

static void misaligned_memory_ends_the_device_by_name(void **state)
{
	const struct bdus_memory_options options = {
		.size = sizeof(options),
		.allocate = allocate_wrongly,
		.release = release,
	};
	struct async_client client;
	struct async_disk disk;
	struct bdus_memory *memory;
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	(void)state;
	async_client_start(&client, 0, client_fails, 0);
	loop = async_loop(0);
	assert_int_equal(bdus_memory_create(&options, &memory), 0);
	prepare(&disk, ASYNC_AT_ONCE, memory);
	queue = async_disk_start(&disk, 0, loop);
	while (bdus_queue_result(queue) == 0)
		async_turn(loop);
	assert_int_equal(bdus_queue_result(queue), -EINVAL);
	bdus_loop_destroy(loop);
	assert_int_equal(bdus_device_destroy(disk.device), -EINVAL);
	assert_non_null(strstr(bdus_manage_error(), "aligned to 4096"));
	async_client_finish(&client);
	assert_int_equal(out_bytes, 0);
	assert_int_equal(bdus_memory_destroy(memory), 0);
	async_disk_finish(&disk);
}

static void memory_for_less_than_one_request_is_refused(void **state)
{
	struct bdus_memory *const memory = make_region();
	struct async_disk disk;

	(void)state;
	prepare(&disk, ASYNC_AT_ONCE, memory);
	disk.max_transfer_bytes = 4 * TRANSFER;
	assert_int_equal(async_disk_create(&disk, 0), -EINVAL);
	assert_non_null(strstr(bdus_manage_error(), "16384"));
	assert_int_equal(bdus_memory_destroy(memory), 0);
	munmap(region, REGION_BYTES);
	async_disk_finish(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		async_unit_test(many_devices_share_memory_for_three_requests),
		async_unit_test(many_devices_share_a_pool_for_three_requests),
		async_unit_test(misaligned_memory_ends_the_device_by_name),
		async_unit_test(memory_for_less_than_one_request_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
