/* SPDX-License-Identifier: MIT */
/*
 * What callbacks for requests are promised: which of them is called for what, with which buffers
 * and ranges, and what becomes of their results.
 */
#include "api_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALLS      4096
#define DISK_BYTES (8 << 20)

/** One call of a callback. */
struct call {
	char kind;
	bool may_unmap;
	uint64_t offset;
	uint32_t size;
};

/** A disk in memory that notes every call. Serves one at a time. */
struct disk {
	int result;
	/** Of flush alone, for tests on writes that are followed by one. */
	int flush_result;
	unsigned count;
	struct call calls[CALLS];
	char memory[DISK_BYTES];
};

static uint32_t page;

static void note(struct disk *disk, struct call call)
{
	api_check(disk->count < CALLS);
	disk->calls[disk->count++ % CALLS] = call;
}

static void check_range(uint64_t offset, uint32_t size, uint32_t limit, const struct bdus_ctx *ctx)
{
	api_check(size > 0);
	api_check(size <= limit);
	api_check(size % ctx->attrs->logical_block_size == 0);
	api_check(offset % ctx->attrs->logical_block_size == 0);
	api_check(offset + size <= ctx->attrs->size);
}

static void check_payload(const char *buffer, uint64_t offset, uint32_t size,
			  const struct bdus_ctx *ctx)
{
	check_range(offset, size, ctx->attrs->max_read_write_size, ctx);
	api_check((uintptr_t)buffer % page == 0);
}

static int disk_read(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	check_payload(buffer, offset, size, ctx);
	note(disk, (struct call){.kind = 'r', .offset = offset, .size = size});
	memcpy(buffer, disk->memory + offset, size);
	return disk->result;
}

static int store(char kind, const char *buffer, uint64_t offset, uint32_t size,
		 struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	check_payload(buffer, offset, size, ctx);
	note(disk, (struct call){.kind = kind, .offset = offset, .size = size});
	memcpy(disk->memory + offset, buffer, size);
	return disk->result;
}

static int disk_write(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	return store('w', buffer, offset, size, ctx);
}

static int disk_fua_write(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	return store('u', buffer, offset, size, ctx);
}

static int disk_write_same(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)buffer;
	check_range(offset, size, ctx->attrs->max_write_same_size, ctx);
	note(ctx->private_data, (struct call){.kind = 's', .offset = offset, .size = size});
	return 0;
}

static int disk_write_zeros(uint64_t offset, uint32_t size, bool may_unmap, struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;
	const struct call call = {
		.kind = 'z', .may_unmap = may_unmap, .offset = offset, .size = size};

	check_range(offset, size, ctx->attrs->max_write_zeros_size, ctx);
	note(disk, call);
	memset(disk->memory + offset, 0, size);
	return disk->result;
}

static int disk_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	check_range(offset, size, ctx->attrs->max_discard_erase_size, ctx);
	note(disk, (struct call){.kind = 'd', .offset = offset, .size = size});
	return disk->result;
}

static int disk_flush(struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	note(disk, (struct call){.kind = 'f'});
	return disk->result ? disk->result : disk->flush_result;
}

static int be_quiet(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static const struct bdus_ops full_ops = {
	.on_device_available = be_quiet,
	.read = disk_read,
	.write = disk_write,
	.write_same = disk_write_same,
	.write_zeros = disk_write_zeros,
	.fua_write = disk_fua_write,
	.flush = disk_flush,
	.discard = disk_discard,
};

static const struct bdus_attrs attrs = {.size = DISK_BYTES, .logical_block_size = 512};

/** A running disk with a client. */
struct fixture {
	struct api_run run;
	struct disk *disk;
	struct nbd_handle *nbd;
};

static struct fixture start(const struct bdus_ops *ops, const struct bdus_attrs *with)
{
	struct fixture fixture = {.disk = api_shared_alloc(sizeof(struct disk))};

	api_start(&fixture.run, ops, with, fixture.disk);
	fixture.nbd = api_connect(&fixture.run);
	return fixture;
}

static void stop(struct fixture *fixture)
{
	const struct api_outcome *outcome;

	nbd_close(fixture->nbd);
	outcome = api_stop(&fixture->run);
	if (!outcome->result)
		fail_msg("%s", outcome->message);
}

/* Asserts which callbacks were called since the last time, each by its letter. */
static void assert_calls(struct disk *disk, const char *kinds)
{
	char called[CALLS + 1] = "";

	for (unsigned i = 0; i < disk->count; i++)
		called[i] = disk->calls[i].kind;
	disk->count = 0;
	assert_string_equal(called, kinds);
}

/* Asserts that the calls so far cover the range once, in pieces of @kind of at most @limit. */
static void assert_covered(struct disk *disk, char kind, uint64_t offset, uint64_t size,
			   uint32_t limit)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < disk->count; i++) {
		const struct call *call = &disk->calls[i];

		assert_int_equal(call->kind, kind);
		assert_in_range(call->size, 1, limit);
		assert_in_range(call->offset, offset, offset + size - call->size);
		for (unsigned j = 0; j < i; j++)
			assert_true(disk->calls[j].offset + disk->calls[j].size <= call->offset ||
				    call->offset + call->size <= disk->calls[j].offset);
		sum += call->size;
	}
	assert_int_equal(sum, size);
	disk->count = 0;
}

static char *random_bytes(size_t size)
{
	char *bytes = malloc(size);

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 2654435761U >> 13);
	return bytes;
}

static void test_data_goes_through_unchanged(void **state)
{
	static const uint32_t sizes[] = {512, 1024, 4096, 4608, 65536, 1 << 20, 3 << 20};
	struct fixture f = start(&full_ops, &attrs);
	char *data = random_bytes(3 << 20);
	char *back = malloc(3 << 20);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		const uint64_t offset = 512 * (3 + i);

		api_assert_nbd(nbd_pwrite(f.nbd, data, sizes[i], offset, 0));
		assert_memory_equal(f.disk->memory + offset, data, sizes[i]);
		memset(back, 0, sizes[i]);
		api_assert_nbd(nbd_pread(f.nbd, back, sizes[i], offset, 0));
		assert_memory_equal(back, data, sizes[i]);
	}
	free(data);
	free(back);
	stop(&f);
}

static void test_reads_and_writes_are_split_to_the_limit(void **state)
{
	const uint32_t limits[] = {page, page + 512, 3 * page, 65536};
	char *data = random_bytes(1 << 20);

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct bdus_attrs limited = attrs;
		struct fixture f;

		limited.max_read_write_size = limits[i];
		f = start(&full_ops, &limited);
		api_assert_nbd(nbd_pwrite(f.nbd, data, 1 << 20, 1536, 0));
		assert_memory_equal(f.disk->memory + 1536, data, 1 << 20);
		assert_covered(f.disk, 'w', 1536, 1 << 20, limits[i]);
		api_assert_nbd(nbd_pread(f.nbd, data, 1 << 20, 512, 0));
		assert_memory_equal(f.disk->memory + 512, data, 1 << 20);
		assert_covered(f.disk, 'r', 512, 1 << 20, limits[i]);
		stop(&f);
	}
	free(data);
}

static void test_zeros_and_discards_are_split_to_the_limit(void **state)
{
	struct bdus_attrs limited = attrs;
	struct fixture f;

	(void)state;
	limited.max_write_zeros_size = 65536 + 100;
	limited.max_discard_erase_size = 32768 + 511;
	f = start(&full_ops, &limited);
	api_assert_nbd(nbd_zero(f.nbd, 3 << 20, 512, 0));
	assert_covered(f.disk, 'z', 512, 3 << 20, 65536);
	api_assert_nbd(nbd_trim(f.nbd, 3 << 20, 512, 0));
	assert_covered(f.disk, 'd', 512, 3 << 20, 32768);
	stop(&f);
}

/* A client that does not keep to the block size must not make callbacks see less than a block. */
static void test_ranges_are_whole_blocks_whatever_the_client_asks(void **state)
{
	struct bdus_attrs large = attrs;
	struct fixture f;
	char data[512] = {0};

	(void)state;
	large.logical_block_size = 4096;
	f = start(&full_ops, &large);
	nbd_pread(f.nbd, data, 512, 512, 0);
	nbd_pread(f.nbd, data, 1, 4096, 0);
	nbd_pwrite(f.nbd, data, 512, 4096, 0);
	nbd_zero(f.nbd, 512, 4096, 0);
	nbd_trim(f.nbd, 512, 0, 0);
	api_assert_nbd(nbd_flush(f.nbd, 0));
	stop(&f);
}

static void test_requests_past_the_end_reach_no_callback(void **state)
{
	struct fixture f = start(&full_ops, &attrs);
	char data[1024] = {0};

	(void)state;
	assert_int_equal(nbd_pread(f.nbd, data, 512, DISK_BYTES, 0), -1);
	assert_int_equal(nbd_pread(f.nbd, data, 1024, DISK_BYTES - 512, 0), -1);
	assert_int_equal(nbd_pwrite(f.nbd, data, 512, UINT64_MAX - 511, 0), -1);
	assert_int_equal(nbd_zero(f.nbd, 1024, DISK_BYTES - 512, 0), -1);
	assert_int_equal(nbd_trim(f.nbd, 512, UINT64_C(1) << 62, 0), -1);
	assert_calls(f.disk, "");
	stop(&f);
}

static void test_each_request_has_its_callback(void **state)
{
	struct fixture f = start(&full_ops, &attrs);
	char data[4096] = {0};

	(void)state;
	assert_calls(f.disk, "");
	api_assert_nbd(nbd_pread(f.nbd, data, sizeof(data), 0, 0));
	assert_calls(f.disk, "r");
	api_assert_nbd(nbd_pwrite(f.nbd, data, sizeof(data), 0, 0));
	assert_calls(f.disk, "w");
	api_assert_nbd(nbd_pwrite(f.nbd, data, sizeof(data), 0, LIBNBD_CMD_FLAG_FUA));
	assert_calls(f.disk, "u");
	api_assert_nbd(nbd_flush(f.nbd, 0));
	assert_calls(f.disk, "f");
	api_assert_nbd(nbd_trim(f.nbd, 4096, 0, 0));
	assert_calls(f.disk, "d");
	api_assert_nbd(nbd_zero(f.nbd, 4096, 0, 0));
	assert_calls(f.disk, "z");
	stop(&f);
}

static void test_may_unmap_is_what_the_client_said(void **state)
{
	struct fixture f = start(&full_ops, &attrs);

	(void)state;
	api_assert_nbd(nbd_zero(f.nbd, 4096, 8192, 0));
	assert_true(f.disk->calls[0].may_unmap);
	assert_calls(f.disk, "z");
	api_assert_nbd(nbd_zero(f.nbd, 4096, 8192, LIBNBD_CMD_FLAG_NO_HOLE));
	assert_false(f.disk->calls[0].may_unmap);
	assert_calls(f.disk, "z");
	stop(&f);
}

/* There is no callback for zeros that are durable at once: a flush follows. */
static void test_flush_follows_zeros_with_fua(void **state)
{
	struct fixture f = start(&full_ops, &attrs);

	(void)state;
	api_assert_nbd(nbd_zero(f.nbd, 4096, 0, LIBNBD_CMD_FLAG_FUA));
	assert_calls(f.disk, "zf");
	stop(&f);
}

static void test_write_stands_in_for_write_zeros(void **state)
{
	const struct bdus_ops ops = {
		.on_device_available = be_quiet, .read = disk_read, .write = disk_write};
	struct bdus_attrs limited = attrs;
	struct fixture f;

	(void)state;
	limited.max_read_write_size = 65536;
	f = start(&ops, &limited);
	memset(f.disk->memory, 'x', DISK_BYTES);
	api_assert_nbd(nbd_zero(f.nbd, 3 << 20, 512, 0));
	assert_covered(f.disk, 'w', 512, 3 << 20, 65536);
	for (size_t i = 0; i < 3 << 20; i++)
		assert_int_equal(f.disk->memory[512 + i], 0);
	assert_int_equal(f.disk->memory[511], 'x');
	assert_int_equal(f.disk->memory[512 + (3 << 20)], 'x');
	stop(&f);
}

static void test_flush_stands_in_for_fua_write(void **state)
{
	struct bdus_ops ops = full_ops;
	char data[512] = {0};
	struct fixture f;

	(void)state;
	ops.fua_write = NULL;
	f = start(&ops, &attrs);
	api_assert_nbd(nbd_pwrite(f.nbd, data, sizeof(data), 0, LIBNBD_CMD_FLAG_FUA));
	assert_calls(f.disk, "wf");
	f.disk->flush_result = EIO;
	api_assert_nbd_fails(nbd_pwrite(f.nbd, data, sizeof(data), 0, LIBNBD_CMD_FLAG_FUA), EIO);
	assert_calls(f.disk, "wf");
	f.disk->result = EIO;
	api_assert_nbd_fails(nbd_pwrite(f.nbd, data, sizeof(data), 0, LIBNBD_CMD_FLAG_FUA), EIO);
	assert_calls(f.disk, "w");
	stop(&f);
}

/* No flush means no volatile cache, so that every write is as good as one with FUA. */
static void test_write_alone_is_durable(void **state)
{
	const struct bdus_ops ops = {
		.on_device_available = be_quiet, .read = disk_read, .write = disk_write};
	struct fixture f = start(&ops, &attrs);
	char data[512] = {0};

	(void)state;
	if (nbd_can_fua(f.nbd) == 1) {
		api_assert_nbd(nbd_pwrite(f.nbd, data, sizeof(data), 0, LIBNBD_CMD_FLAG_FUA));
		assert_calls(f.disk, "w");
	}
	if (nbd_can_flush(f.nbd) == 1) {
		api_assert_nbd(nbd_flush(f.nbd, 0));
		assert_calls(f.disk, "");
	}
	stop(&f);
}

static void test_requests_without_callback_are_not_supported(void **state)
{
	const struct bdus_ops ops = {.on_device_available = be_quiet, .read = disk_read};
	struct fixture f = start(&ops, &attrs);
	char data[512] = {0};

	(void)state;
	assert_int_equal(nbd_is_read_only(f.nbd), 1);
	assert_int_equal(nbd_can_trim(f.nbd), 0);
	assert_int_equal(nbd_pwrite(f.nbd, data, sizeof(data), 0, 0), -1);
	assert_int_equal(nbd_trim(f.nbd, 512, 0, 0), -1);
	assert_int_equal(nbd_zero(f.nbd, 512, 0, 0), -1);
	assert_calls(f.disk, "");
	api_assert_nbd(nbd_pread(f.nbd, data, sizeof(data), 0, 0));
	assert_calls(f.disk, "r");
	stop(&f);
}

static void test_reads_fail_without_read(void **state)
{
	const struct bdus_ops ops = {.on_device_available = be_quiet, .write = disk_write};
	struct fixture f = start(&ops, &attrs);
	char data[512] = {0};

	(void)state;
	assert_int_equal(nbd_pread(f.nbd, data, sizeof(data), 0, 0), -1);
	assert_calls(f.disk, "");
	api_assert_nbd(nbd_pwrite(f.nbd, data, sizeof(data), 0, 0));
	assert_calls(f.disk, "w");
	stop(&f);
}

/* NBD has a number for ENOSPC but none for ENOLINK and ETIMEDOUT, which are EIO to its clients. */
static void test_errors_that_clients_see(void **state)
{
	static const struct {
		int returned;
		int seen;
	} cases[] = {{ENOSPC, ENOSPC}, {EIO, EIO},        {ENOLINK, EIO},   {ETIMEDOUT, EIO},
		     {EPERM, EIO},     {ENOMEM, EIO},     {EINVAL, EIO},    {EOPNOTSUPP, EIO},
		     {EAGAIN, EIO},    {EOVERFLOW, EIO},  {ESHUTDOWN, EIO}, {1, EIO},
		     {100000, EIO},    {-1, EIO},         {-ENOSPC, EIO},   {INT_MAX, EIO},
		     {-EINVAL, EIO},   {INT_MIN + 1, EIO}};
	struct fixture f = start(&full_ops, &attrs);
	char data[512] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		f.disk->result = cases[i].returned;
		api_assert_nbd_fails(nbd_pread(f.nbd, data, 512, 0, 0), cases[i].seen);
		api_assert_nbd_fails(nbd_pwrite(f.nbd, data, 512, 0, 0), cases[i].seen);
		api_assert_nbd_fails(nbd_pwrite(f.nbd, data, 512, 0, LIBNBD_CMD_FLAG_FUA),
				     cases[i].seen);
		api_assert_nbd_fails(nbd_zero(f.nbd, 512, 0, 0), cases[i].seen);
		api_assert_nbd_fails(nbd_trim(f.nbd, 512, 0, 0), cases[i].seen);
		api_assert_nbd_fails(nbd_flush(f.nbd, 0), cases[i].seen);
		assert_calls(f.disk, "rwuzdf");
	}
	f.disk->result = 0;
	api_assert_nbd(nbd_pread(f.nbd, data, 512, 0, 0));
	stop(&f);
}

/* A part that fails makes the whole request fail, also when later parts succeed. */
static void test_a_failed_piece_fails_the_request(void **state)
{
	struct bdus_attrs limited = attrs;
	char *data = random_bytes(1 << 20);
	struct fixture f;

	(void)state;
	limited.max_read_write_size = page;
	f = start(&full_ops, &limited);
	f.disk->result = ENOSPC;
	api_assert_nbd_fails(nbd_pwrite(f.nbd, data, 1 << 20, 0, 0), ENOSPC);
	f.disk->result = 0;
	api_assert_nbd(nbd_pwrite(f.nbd, data, 1 << 20, 0, 0));
	free(data);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		api_unit_test(test_data_goes_through_unchanged),
		api_unit_test(test_reads_and_writes_are_split_to_the_limit),
		api_unit_test(test_zeros_and_discards_are_split_to_the_limit),
		api_unit_test(test_ranges_are_whole_blocks_whatever_the_client_asks),
		api_unit_test(test_requests_past_the_end_reach_no_callback),
		api_unit_test(test_each_request_has_its_callback),
		api_unit_test(test_may_unmap_is_what_the_client_said),
		api_unit_test(test_flush_follows_zeros_with_fua),
		api_unit_test(test_write_stands_in_for_write_zeros),
		api_unit_test(test_flush_stands_in_for_fua_write),
		api_unit_test(test_write_alone_is_durable),
		api_unit_test(test_requests_without_callback_are_not_supported),
		api_unit_test(test_reads_fail_without_read),
		api_unit_test(test_errors_that_clients_see),
		api_unit_test(test_a_failed_piece_fails_the_request),
	};

	page = (uint32_t)sysconf(_SC_PAGESIZE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
