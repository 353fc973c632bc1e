/* SPDX-License-Identifier: MIT */
/*
 * What the BDUS 0.1 API promises of block devices, over ublk or kbdus. Needs root: started by
 * tests/system/api-block-devices-keep-their-promises.sh, in a guest.
 */
#include "api_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DISK_BYTES (8 << 20)
#define CALLS      1024

/** A disk in shared memory that notes its calls. */
struct disk {
	/* What callbacks return. */
	int result;
	unsigned read_ms;
	bool drop_privileges;

	/* Seen in the life cycle. */
	uint32_t major_at_first;
	uint32_t minor_at_first;
	atomic_bool available;
	atomic_bool terminated;
	uint64_t id;
	char path[64];
	uint32_t major;
	uint32_t minor;
	struct bdus_attrs attrs;
	pid_t server;

	/* The letter of each request, and whether the last zeros could be unmapped. */
	atomic_uint count;
	char calls[CALLS];
	bool may_unmap;
	atomic_int running;
	atomic_int most_running;
	atomic_int alone;
	pid_t first_thread;
	char memory[DISK_BYTES];
};

static uint32_t page;

static int disk_initialize(struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	disk->major_at_first = ctx->major;
	disk->minor_at_first = ctx->minor;
	disk->attrs = *ctx->attrs;
	disk->first_thread = gettid();
	if (disk->drop_privileges && (setgid(65534) || setuid(65534)))
		return errno;
	return 0;
}

static int disk_available(struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	atomic_store(&disk->alone, 1);
	api_check(atomic_load(&disk->running) == 0);
	disk->id = ctx->id;
	disk->major = ctx->major;
	disk->minor = ctx->minor;
	disk->server = getpid();
	snprintf(disk->path, sizeof(disk->path), "%s", ctx->path);
	api_check(access(ctx->path, F_OK) == 0);
	api_sleep_ms(5);
	api_check(atomic_load(&disk->running) == 0);
	atomic_store(&disk->alone, 0);
	atomic_store(&disk->available, true);
	return 0;
}

static int disk_terminate(struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	atomic_store(&disk->terminated, true);
	return 0;
}

static void note(struct bdus_ctx *ctx, char call, uint64_t offset, uint32_t size, uint32_t limit)
{
	struct disk *disk = ctx->private_data;

	api_check(size > 0 && size <= limit);
	api_check(size % ctx->attrs->logical_block_size == 0);
	api_check(offset % ctx->attrs->logical_block_size == 0);
	api_check(offset + size <= ctx->attrs->size);
	disk->calls[atomic_fetch_add(&disk->count, 1) % CALLS] = call;
}

static int disk_read(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;
	int running = atomic_fetch_add(&disk->running, 1) + 1;

	if (running > atomic_load(&disk->most_running))
		atomic_store(&disk->most_running, running);
	api_check((uint32_t)running <= ctx->attrs->max_concurrent_callbacks);
	api_check(atomic_load(&disk->alone) == 0);
	api_check((uintptr_t)buffer % page == 0);
	if (ctx->attrs->max_concurrent_callbacks == 1)
		api_check(gettid() == disk->first_thread);
	note(ctx, 'r', offset, size, ctx->attrs->max_read_write_size);
	api_sleep_ms(disk->read_ms);
	memcpy(buffer, disk->memory + offset, size);
	atomic_fetch_sub(&disk->running, 1);
	return disk->result;
}

static int store(char call, const char *buffer, uint64_t offset, uint32_t size,
		 struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	api_check((uintptr_t)buffer % page == 0);
	note(ctx, call, offset, size, ctx->attrs->max_read_write_size);
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
	note(ctx, 's', offset, size, ctx->attrs->max_write_same_size);
	return 0;
}

static int disk_write_zeros(uint64_t offset, uint32_t size, bool may_unmap, struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	note(ctx, 'z', offset, size, ctx->attrs->max_write_zeros_size);
	disk->may_unmap = may_unmap;
	memset(disk->memory + offset, 0, size);
	return disk->result;
}

static int disk_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	note(ctx, 'd', offset, size, ctx->attrs->max_discard_erase_size);
	memset(disk->memory + offset, 0xdd, size);
	return disk->result;
}

static int disk_flush(struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	disk->calls[atomic_fetch_add(&disk->count, 1) % CALLS] = 'f';
	return disk->result;
}

static const struct bdus_ops full_ops = {
	.initialize = disk_initialize,
	.on_device_available = disk_available,
	.terminate = disk_terminate,
	.read = disk_read,
	.write = disk_write,
	.write_same = disk_write_same,
	.write_zeros = disk_write_zeros,
	.fua_write = disk_fua_write,
	.flush = disk_flush,
	.discard = disk_discard,
};

static const struct bdus_attrs plain_attrs = {
	.size = DISK_BYTES, .logical_block_size = 512, .disable_partition_scanning = true};

/** A running device; @fd is open with O_DIRECT. */
struct fixture {
	struct api_run run;
	struct disk *disk;
	int fd;
};

static void wait_until_available(struct fixture *f)
{
	const uint64_t deadline_ms = api_now_ms() + 10000;

	while (!atomic_load(&f->disk->available)) {
		if (f->run.outcome->returned)
			fail_msg("no device: %s", f->run.outcome->message);
		assert_true(api_now_ms() < deadline_ms);
		api_sleep_ms(2);
	}
}

static struct fixture start_disk(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
				 struct disk *disk)
{
	struct fixture f = {.disk = disk};

	api_start(&f.run, ops, attrs, disk);
	wait_until_available(&f);
	f.fd = open(disk->path, (ops->write ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	assert_true(f.fd >= 0);
	atomic_store(&disk->count, 0);
	return f;
}

static struct fixture start(const struct bdus_ops *ops, const struct bdus_attrs *attrs)
{
	return start_disk(ops, attrs, api_shared_alloc(sizeof(struct disk)));
}

static void stop(struct fixture *f)
{
	const struct api_outcome *outcome;

	close(f->fd);
	outcome = api_stop(&f->run);
	if (!outcome->result)
		fail_msg("%s", outcome->message);
	assert_true(f->disk->terminated);
	assert_int_equal(access(f->disk->path, F_OK), -1);
}

/* Which requests came since the last time, one letter each; repeated ones count once. */
static const char *kinds(struct disk *disk)
{
	static char kinds[CALLS + 1];
	unsigned length = 0;

	for (unsigned i = 0; i < atomic_load(&disk->count) && i < CALLS; i++)
		if (length == 0 || kinds[length - 1] != disk->calls[i])
			kinds[length++] = disk->calls[i];
	kinds[length] = '\0';
	atomic_store(&disk->count, 0);
	return kinds;
}

static char *buffer_of(size_t size)
{
	char *buffer = aligned_alloc(page, size);

	assert_non_null(buffer);
	for (size_t i = 0; i < size; i++)
		buffer[i] = (char)(i * 2654435761U >> 11);
	return buffer;
}

static void test_context_names_the_device(void **state)
{
	struct fixture f = start(&full_ops, &plain_attrs);
	char expected[64];
	struct stat stat_of;

	(void)state;
	snprintf(expected, sizeof(expected), "/dev/bdus-%llu", (unsigned long long)f.disk->id);
	assert_string_equal(f.disk->path, expected);
	assert_int_equal(stat(f.disk->path, &stat_of), 0);
	assert_true(S_ISBLK(stat_of.st_mode));
	assert_int_equal(f.disk->major_at_first, 0);
	assert_int_equal(f.disk->minor_at_first, 0);
	assert_int_equal(f.disk->major, major(stat_of.st_rdev));
	assert_int_equal(f.disk->minor, minor(stat_of.st_rdev));
	stop(&f);
}

static void test_kernel_knows_the_attributes(void **state)
{
	struct bdus_attrs attrs = plain_attrs;
	struct fixture f;
	unsigned physical;
	uint64_t size;
	int logical;

	(void)state;
	attrs.logical_block_size = 1024;
	attrs.physical_block_size = 4096;
	f = start(&full_ops, &attrs);
	assert_int_equal(ioctl(f.fd, BLKSSZGET, &logical), 0);
	assert_int_equal(ioctl(f.fd, BLKPBSZGET, &physical), 0);
	assert_int_equal(ioctl(f.fd, BLKGETSIZE64, &size), 0);
	assert_int_equal(logical, 1024);
	assert_int_equal(physical, 4096);
	assert_int_equal(size, DISK_BYTES);
	stop(&f);
}

static void test_data_goes_through_unchanged(void **state)
{
	struct bdus_attrs attrs = plain_attrs;
	char *data = buffer_of(4 << 20);
	char *back = buffer_of(4 << 20);
	struct fixture f;

	(void)state;
	for (uint32_t limit = 0; limit <= 2 * page; limit += page) {
		attrs.max_read_write_size = limit;
		f = start(&full_ops, &attrs);
		memset(back, 0, 4 << 20);
		assert_int_equal(pwrite(f.fd, data, 4 << 20, 1536), 4 << 20);
		assert_memory_equal(f.disk->memory + 1536, data, 4 << 20);
		assert_int_equal(pread(f.fd, back, 4 << 20, 1536), 4 << 20);
		assert_memory_equal(back, data, 4 << 20);
		stop(&f);
	}
	free(data);
	free(back);
}

static void test_each_request_has_its_callback(void **state)
{
	struct fixture f = start(&full_ops, &plain_attrs);
	uint64_t range[2] = {4096, 8192};
	char *data = buffer_of(4096);

	(void)state;
	assert_int_equal(pread(f.fd, data, 4096, 0), 4096);
	assert_string_equal(kinds(f.disk), "r");
	assert_int_equal(pwrite(f.fd, data, 4096, 0), 4096);
	assert_string_equal(kinds(f.disk), "w");
	assert_int_equal(fsync(f.fd), 0);
	assert_string_equal(kinds(f.disk), "f");
	assert_int_equal(ioctl(f.fd, BLKDISCARD, range), 0);
	assert_string_equal(kinds(f.disk), "d");
	assert_int_equal(ioctl(f.fd, BLKZEROOUT, range), 0);
	assert_false(f.disk->may_unmap);
	assert_string_equal(kinds(f.disk), "z");
	assert_int_equal(fallocate(f.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192),
			 0);
	assert_true(f.disk->may_unmap);
	assert_string_equal(kinds(f.disk), "z");
	free(data);
	stop(&f);
}

/* The write itself; then the kernel may flush once more. */
static void test_durable_write(void **state)
{
	struct bdus_ops ops = full_ops;
	struct fixture f = start(&ops, &plain_attrs);
	char *data = buffer_of(4096);
	int fd = open(f.disk->path, O_RDWR | O_DIRECT | O_DSYNC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, 4096, 0), 4096);
	assert_int_equal(strncmp(kinds(f.disk), "u", 1), 0);
	close(fd);
	stop(&f);
	ops.fua_write = NULL;
	f = start(&ops, &plain_attrs);
	fd = open(f.disk->path, O_RDWR | O_DIRECT | O_DSYNC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, 4096, 0), 4096);
	assert_int_equal(strncmp(kinds(f.disk), "wf", 2), 0);
	close(fd);
	free(data);
	stop(&f);
}

static void test_zeros_without_write_zeros(void **state)
{
	struct bdus_ops ops = full_ops;
	uint64_t range[2] = {512, 4 << 20};
	struct fixture f;

	(void)state;
	ops.write_zeros = NULL;
	f = start(&ops, &plain_attrs);
	memset(f.disk->memory, 'x', DISK_BYTES);
	assert_int_equal(ioctl(f.fd, BLKZEROOUT, range), 0);
	assert_string_equal(kinds(f.disk), "w");
	assert_int_equal(f.disk->memory[511], 'x');
	for (uint64_t i = 0; i < range[1]; i++)
		assert_int_equal(f.disk->memory[512 + i], 0);
	assert_int_equal(f.disk->memory[512 + range[1]], 'x');
	stop(&f);
}

static void test_discard_without_callback_is_not_supported(void **state)
{
	struct bdus_ops ops = full_ops;
	uint64_t range[2] = {0, 4096};
	struct fixture f;

	(void)state;
	ops.discard = NULL;
	f = start(&ops, &plain_attrs);
	assert_int_equal(ioctl(f.fd, BLKDISCARD, range), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	assert_string_equal(kinds(f.disk), "");
	stop(&f);
}

static void test_device_without_write_is_read_only(void **state)
{
	const struct bdus_ops ops = {.initialize = disk_initialize,
				     .on_device_available = disk_available,
				     .terminate = disk_terminate,
				     .read = disk_read};
	struct fixture f = start(&ops, &plain_attrs);
	char *data = buffer_of(4096);
	int read_only = 0;
	int fd;

	(void)state;
	assert_int_equal(ioctl(f.fd, BLKROGET, &read_only), 0);
	assert_int_equal(read_only, 1);
	fd = open(f.disk->path, O_WRONLY | O_DIRECT);
	if (fd >= 0) {
		assert_int_equal(pwrite(fd, data, 4096, 0), -1);
		assert_int_equal(errno, EPERM);
		close(fd);
	}
	assert_string_equal(kinds(f.disk), "");
	free(data);
	stop(&f);
}

static void test_errors_that_clients_see(void **state)
{
	static const struct {
		int returned;
		int seen;
	} cases[] = {{ENOSPC, ENOSPC}, {ENOLINK, ENOLINK}, {ETIMEDOUT, ETIMEDOUT},
		     {EIO, EIO},       {EPERM, EIO},       {ENOMEM, EIO},
		     {EINVAL, EIO},    {EOPNOTSUPP, EIO},  {EAGAIN, EIO},
		     {-ENOSPC, EIO},   {INT_MAX, EIO},     {1000, EIO}};
	struct fixture f = start(&full_ops, &plain_attrs);
	char *data = buffer_of(4096);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		f.disk->result = cases[i].returned;
		assert_int_equal(pread(f.fd, data, 4096, 0), -1);
		assert_int_equal(errno, cases[i].seen);
		assert_int_equal(pwrite(f.fd, data, 4096, 0), -1);
		assert_int_equal(errno, cases[i].seen);
		assert_int_equal(fsync(f.fd), -1);
		assert_int_equal(errno, cases[i].seen);
	}
	f.disk->result = 0;
	assert_int_equal(pread(f.fd, data, 4096, 0), 4096);
	free(data);
	stop(&f);
}

/** Which way in the devices of this run come by. */
static bool is_over(const char *way)
{
	return strcmp(getenv("BDUS_TRANSPORT"), way) == 0;
}

static int disk_secure_erase(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;

	note(ctx, 'e', offset, size, ctx->attrs->max_discard_erase_size);
	memset(disk->memory + offset, 0xee, size);
	return disk->result;
}

/* The directions are the driver's: it reads the client's bytes, and writes to the client. */
#define NOTHING _IO('T', 1)
#define TAKE    _IOR('T', 2, uint64_t)
#define GIVE    _IOW('T', 3, uint64_t)
#define DOUBLE  _IOWR('T', 4, uint64_t)

static int disk_ioctl(uint32_t command, void *argument, struct bdus_ctx *ctx)
{
	struct disk *disk = ctx->private_data;
	uint64_t *const number = argument;

	disk->calls[atomic_fetch_add(&disk->count, 1) % CALLS] = 'i';
	switch (command) {
	case NOTHING:
		api_check(argument == NULL);
		return disk->result;
	case TAKE:
		api_check(*number == 7);
		*number = 8;
		return 0;
	case GIVE:
		api_check(*number == 0);
		*number = 9;
		return disk->result;
	case DOUBLE:
		*number *= 2;
		return disk->result;
	default:
		return ENOTTY;
	}
}

/* One request of each kind; what came of it is in errno. */
static int request(int fd, char kind, char *data)
{
	uint64_t range[2] = {8192, 65536};

	switch (kind) {
	case 'r':
		return pread(fd, data, 4096, 0) == 4096 ? 0 : -1;
	case 'w':
		return pwrite(fd, data, 4096, 0) == 4096 ? 0 : -1;
	case 'f':
		return fsync(fd);
	case 'd':
		return ioctl(fd, BLKDISCARD, range);
	case 'z':
		return ioctl(fd, BLKZEROOUT, range);
	case 'e':
		return ioctl(fd, BLKSECDISCARD, range);
	default:
		return ioctl(fd, NOTHING);
	}
}

/* The kinds that this way in carries, and callbacks for them. */
static const char *all_kinds(struct bdus_ops *ops)
{
	*ops = full_ops;
	if (is_over("ublk"))
		return "rwfdz";
	ops->secure_erase = disk_secure_erase;
	ops->ioctl = disk_ioctl;
	return "rwfdzei";
}

/* Those of ioctls reach the client as they are: see test_ioctl_has_its_callback(). */
static void test_errors_of_every_kind_of_request(void **state)
{
	static const struct {
		int returned;
		int seen;
	} cases[] = {{ENOSPC, ENOSPC}, {ENOLINK, ENOLINK}, {ETIMEDOUT, ETIMEDOUT}, {ENODEV, EIO}};
	char *data = buffer_of(4096);
	struct bdus_ops ops;
	const char *kind = all_kinds(&ops);
	struct fixture f = start(&ops, &plain_attrs);

	(void)state;
	for (; *kind != '\0' && *kind != 'i'; kind++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			f.disk->result = cases[i].returned;
			assert_int_equal(request(f.fd, *kind, data), -1);
			assert_int_equal(errno, cases[i].seen);
		}
	f.disk->result = 0;
	free(data);
	stop(&f);
}

static void test_any_callback_may_abort(void **state)
{
	char *data = buffer_of(4096);
	struct bdus_ops ops;

	(void)state;
	for (const char *kind = all_kinds(&ops); *kind != '\0'; kind++) {
		struct fixture f = start(&ops, &plain_attrs);
		const struct api_outcome *outcome;

		f.disk->result = bdus_abort;
		assert_int_equal(request(f.fd, *kind, data), -1);
		outcome = api_wait(&f.run);
		assert_false(outcome->result);
		assert_int_equal(outcome->errnum, EIO);
		assert_true(f.disk->terminated);
		assert_int_equal(access(f.disk->path, F_OK), -1);
		close(f.fd);
	}
	free(data);
}

/* Each callback checks its own size; that there are many shows that it was the limit that split. */
static void test_limits_hold_for_ranges(void **state)
{
	struct bdus_attrs attrs = plain_attrs;
	uint64_t range[2] = {65536, 1 << 20};
	struct bdus_ops ops;
	const bool erases = strchr(all_kinds(&ops), 'e') != NULL;
	struct fixture f;

	(void)state;
	attrs.max_write_zeros_size = 65536;
	attrs.max_discard_erase_size = 32768;
	f = start(&ops, &attrs);
	assert_in_range(f.disk->attrs.max_write_zeros_size, 512, 65536);
	assert_in_range(f.disk->attrs.max_discard_erase_size, 512, 32768);
	memset(f.disk->memory, 'x', DISK_BYTES);
	assert_int_equal(ioctl(f.fd, BLKZEROOUT, range), 0);
	assert_true(f.disk->count >= 16);
	assert_string_equal(kinds(f.disk), "z");
	assert_int_equal(ioctl(f.fd, BLKDISCARD, range), 0);
	assert_true(f.disk->count >= 32);
	assert_string_equal(kinds(f.disk), "d");
	if (erases) {
		assert_int_equal(ioctl(f.fd, BLKSECDISCARD, range), 0);
		assert_true(f.disk->count >= 32);
		assert_string_equal(kinds(f.disk), "e");
		assert_int_equal((unsigned char)f.disk->memory[65536], 0xee);
		assert_int_equal((unsigned char)f.disk->memory[65536 + (1 << 20) - 1], 0xee);
	}
	assert_int_equal(f.disk->memory[65535], 'x');
	assert_int_equal(f.disk->memory[65536 + (1 << 20)], 'x');
	stop(&f);
}

static int fail_early(struct bdus_ctx *ctx)
{
	disk_initialize(ctx);
	return EDOM;
}

static int fail_available(struct bdus_ctx *ctx)
{
	disk_available(ctx);
	return EDOM;
}

static int fail_late(struct bdus_ctx *ctx)
{
	disk_terminate(ctx);
	return EDOM;
}

static void test_failed_initialize_leaves_no_device(void **state)
{
	struct disk *disk = api_shared_alloc(sizeof(*disk));
	struct bdus_ops ops = full_ops;
	const struct api_outcome *outcome;

	(void)state;
	ops.initialize = fail_early;
	outcome = api_run_to_end(&ops, &plain_attrs, disk);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, EDOM);
	assert_false(disk->available);
	assert_false(disk->terminated);
}

static void test_failed_on_device_available_takes_the_device_away(void **state)
{
	struct disk *disk = api_shared_alloc(sizeof(*disk));
	struct bdus_ops ops = full_ops;
	const struct api_outcome *outcome;

	(void)state;
	ops.on_device_available = fail_available;
	outcome = api_run_to_end(&ops, &plain_attrs, disk);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, EDOM);
	assert_true(disk->terminated);
	assert_int_equal(access(disk->path, F_OK), -1);
}

static void test_failed_terminate_fails_the_run(void **state)
{
	struct bdus_ops ops = full_ops;
	const struct api_outcome *outcome;
	struct fixture f;

	(void)state;
	ops.terminate = fail_late;
	f = start(&ops, &plain_attrs);
	close(f.fd);
	outcome = api_stop(&f.run);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, EDOM);
	assert_int_equal(access(f.disk->path, F_OK), -1);
}

static void test_abort_takes_the_device_away(void **state)
{
	struct fixture f = start(&full_ops, &plain_attrs);
	const struct api_outcome *outcome;
	char *data = buffer_of(4096);

	(void)state;
	f.disk->result = bdus_abort;
	assert_int_equal(pread(f.fd, data, 4096, 0), -1);
	assert_int_equal(errno, EIO);
	outcome = api_wait(&f.run);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, EIO);
	assert_true(f.disk->terminated);
	assert_int_equal(access(f.disk->path, F_OK), -1);
	close(f.fd);
	free(data);
}

struct reader {
	pthread_t thread;
	const char *path;
};

static void *read_much(void *opaque)
{
	const struct reader *reader = opaque;
	char *data = aligned_alloc(page, 4096);
	int fd = open(reader->path, O_RDONLY | O_DIRECT);
	bool fine = data && fd >= 0;

	for (int i = 0; fine && i < 8; i++)
		fine = pread(fd, data, 4096, i * 4096) == 4096;
	free(data);
	close(fd);
	return fine ? NULL : opaque;
}

static int most_running_under_load(uint32_t max_concurrent_callbacks)
{
	struct bdus_attrs attrs = plain_attrs;
	struct reader readers[8];
	struct fixture f;
	int most;

	attrs.max_concurrent_callbacks = max_concurrent_callbacks;
	f = start(&full_ops, &attrs);
	f.disk->read_ms = 5;
	for (int i = 0; i < 8; i++) {
		readers[i].path = f.disk->path;
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_much, &readers[i]),
				 0);
	}
	for (int i = 0; i < 8; i++) {
		void *failed;

		assert_int_equal(pthread_join(readers[i].thread, &failed), 0);
		assert_null(failed);
	}
	most = atomic_load(&f.disk->most_running);
	stop(&f);
	return most;
}

static void test_no_more_callbacks_at_once_than_allowed(void **state)
{
	(void)state;
	assert_int_equal(most_running_under_load(1), 1);
	assert_in_range(most_running_under_load(4), 2, 4);
}

/* What is in the page cache goes to the driver first, then its flush is called. */
static void test_flush_dev_writes_the_page_cache(void **state)
{
	struct fixture f = start(&full_ops, &plain_attrs);
	int fd = open(f.disk->path, O_RDWR);
	const char *seen;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "durable", 7, 12345), 7);
	assert_true(bdus_flush_dev(f.disk->id));
	assert_memory_equal(f.disk->memory + 12345, "durable", 7);
	seen = kinds(f.disk);
	assert_int_equal(seen[strlen(seen) - 1], 'f');
	assert_non_null(strchr(seen, 'w'));
	close(fd);
	stop(&f);
}

static void test_destroy_dev_ends_the_driver(void **state)
{
	struct fixture f = start(&full_ops, &plain_attrs);
	char *data = buffer_of(4096);

	(void)state;
	if (!bdus_destroy_dev(f.disk->id))
		fail_msg("%s", bdus_get_error_message());
	assert_true(f.disk->terminated);
	assert_int_equal(access(f.disk->path, F_OK), -1);
	/* Whoever has it open finds an error, or a device of no size. */
	assert_true(pread(f.fd, data, 4096, 0) <= 0);
	assert_true(api_wait(&f.run)->result);
	assert_false(bdus_destroy_dev(f.disk->id));
	assert_int_equal(errno, ENODEV);
	close(f.fd);
	free(data);
}

static void assert_path_is_refused(const char *path, int errnum)
{
	uint64_t id = 12345;

	assert_false(bdus_get_dev_id_from_path(&id, path));
	assert_int_equal(errno, errnum);
	assert_int_equal(id, 12345);
	assert_non_null(strstr(bdus_get_error_message(), path));
}

static void test_ids_are_found_by_path(void **state)
{
	struct fixture f = start(&full_ops, &plain_attrs);
	char link[] = "/tmp/link-to-a-device";
	char native[PATH_MAX];
	uint64_t id = 0;

	(void)state;
	unlink(link);
	assert_int_equal(symlink(f.disk->path, link), 0);
	assert_non_null(realpath(link, native));
	assert_true(bdus_get_dev_id_from_path(&id, f.disk->path));
	assert_int_equal(id, f.disk->id);
	id = 0;
	assert_true(bdus_get_dev_id_from_path(&id, link));
	assert_int_equal(id, f.disk->id);
	id = 0;
	assert_true(bdus_get_dev_id_from_path(&id, native));
	assert_int_equal(id, f.disk->id);
	stop(&f);
	assert_path_is_refused(link, ENOENT);
	unlink(link);
}

/* A block special file of somebody else, made here so that none needs to be found. */
static void test_foreign_block_devices_are_refused(void **state)
{
	const char *path = "/tmp/not-of-bdus";

	(void)state;
	unlink(path);
	assert_int_equal(mknod(path, S_IFBLK | 0600, makedev(7, 99)), 0);
	assert_path_is_refused(path, EINVAL);
	unlink(path);
}

/* One partition, from the second MiB to the fourth. */
static void write_partition_table(char *memory)
{
	static const unsigned char entry[16] = {0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0};

	memcpy(memory + 446, entry, sizeof(entry));
	memory[510] = 0x55;
	memory[511] = (char)0xaa;
}

/* The path of the first partition, as the kernel names it. */
static void partition_path(const struct disk *disk, char *path, size_t size)
{
	char native[PATH_MAX];

	assert_non_null(realpath(disk->path, native));
	assert_true((size_t)snprintf(path, size, "%sp1", native) < size);
}

static void test_partitions_are_scanned(void **state)
{
	struct disk *disk = api_shared_alloc(sizeof(*disk));
	struct bdus_attrs attrs = plain_attrs;
	const uint64_t deadline_ms = api_now_ms() + 5000;
	char path[PATH_MAX + 2];
	struct fixture f;

	(void)state;
	attrs.disable_partition_scanning = false;
	write_partition_table(disk->memory);
	f = start_disk(&full_ops, &attrs, disk);
	partition_path(disk, path, sizeof(path));
	while (access(path, F_OK) && api_now_ms() < deadline_ms)
		api_sleep_ms(10);
	assert_int_equal(access(path, F_OK), 0);
	assert_path_is_refused(path, EINVAL);
	stop(&f);
}

static void test_partitions_are_not_scanned_when_disabled(void **state)
{
	struct disk *disk = api_shared_alloc(sizeof(*disk));
	char path[PATH_MAX + 2];
	struct fixture f;

	(void)state;
	write_partition_table(disk->memory);
	f = start_disk(&full_ops, &plain_attrs, disk);
	partition_path(disk, path, sizeof(path));
	api_sleep_ms(500);
	assert_int_equal(access(path, F_OK), -1);
	stop(&f);
}

static void test_ids_count_up_and_are_not_used_again(void **state)
{
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct fixture f = start(&full_ops, &plain_attrs);

		assert_true(i == 0 || f.disk->id > last);
		last = f.disk->id;
		stop(&f);
	}
}

/* Root is needed to make the device, not to serve it. */
static void test_initialize_may_drop_privileges(void **state)
{
	struct disk *disk = api_shared_alloc(sizeof(*disk));
	char *data = buffer_of(4096);
	struct fixture f;

	(void)state;
	disk->drop_privileges = true;
	f = start_disk(&full_ops, &plain_attrs, disk);
	assert_int_equal(pread(f.fd, data, 4096, 0), 4096);
	free(data);
	stop(&f);
}

static void check_not_carried(const struct bdus_ops *ops, const char *word)
{
	struct disk *disk = api_shared_alloc(sizeof(*disk));
	const struct api_outcome *const outcome = api_run_to_end(ops, &plain_attrs, disk);

	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, ENOTSUP);
	if (strstr(outcome->message, word) == NULL)
		fail_msg("does not mention '%s': %s", word, outcome->message);
	assert_false(disk->available);
}

static void test_what_ublk_cannot_carry_is_refused_by_name(void **state)
{
	struct bdus_ops ops = full_ops;

	(void)state;
	if (!is_over("ublk"))
		skip();
	ops.secure_erase = disk_secure_erase;
	check_not_carried(&ops, "secure erase");
	ops = full_ops;
	ops.ioctl = disk_ioctl;
	check_not_carried(&ops, "ioctl");
}

static void test_secure_erase_has_its_callback(void **state)
{
	uint64_t range[2] = {8192, 65536};
	struct bdus_ops ops = full_ops;
	struct fixture f;

	(void)state;
	if (is_over("ublk"))
		skip();
	ops.secure_erase = disk_secure_erase;
	f = start(&ops, &plain_attrs);
	assert_int_equal(ioctl(f.fd, BLKSECDISCARD, range), 0);
	assert_string_equal(kinds(f.disk), "e");
	assert_int_equal((unsigned char)f.disk->memory[8192], 0xee);
	assert_int_equal((unsigned char)f.disk->memory[8192 + 65535], 0xee);
	assert_int_equal(f.disk->memory[8192 + 65536], 0);
	stop(&f);
	f = start(&full_ops, &plain_attrs);
	assert_int_equal(ioctl(f.fd, BLKSECDISCARD, range), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	stop(&f);
}

static void test_ioctl_has_its_callback(void **state)
{
	struct bdus_ops ops = full_ops;
	uint64_t number = 7;
	struct fixture f;

	(void)state;
	if (is_over("ublk"))
		skip();
	ops.ioctl = disk_ioctl;
	f = start(&ops, &plain_attrs);
	assert_int_equal(ioctl(f.fd, NOTHING), 0);
	assert_string_equal(kinds(f.disk), "i");
	/* What the driver only reads does not come back. */
	assert_int_equal(ioctl(f.fd, TAKE, &number), 0);
	assert_int_equal(number, 7);
	assert_int_equal(ioctl(f.fd, GIVE, &number), 0);
	assert_int_equal(number, 9);
	assert_int_equal(ioctl(f.fd, DOUBLE, &number), 0);
	assert_int_equal(number, 18);
	/* Any error reaches the client as it is, and nothing else does. */
	f.disk->result = EXDEV;
	assert_int_equal(ioctl(f.fd, DOUBLE, &number), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(number, 18);
	assert_int_equal(ioctl(f.fd, _IO('T', 99)), -1);
	assert_int_equal(errno, ENOTTY);
	stop(&f);
}

/** Linux has no such request any more, so that a driver must have another way to the same end. */
static void test_write_same_is_never_called(void **state)
{
	char *data = buffer_of(65536);
	struct fixture f = start(&full_ops, &plain_attrs);

	(void)state;
	memset(data, 'x', 65536);
	assert_int_equal(pwrite(f.fd, data, 65536, 0), 65536);
	assert_int_equal(f.disk->memory[65535], 'x');
	assert_null(strchr(kinds(f.disk), 's'));
	assert_true(f.disk->attrs.max_write_same_size != 0);
	free(data);
	stop(&f);
}

static void test_kbdus_tells_its_version(void **state)
{
	struct bdus_version version = {77, 77, 77};

	(void)state;
	if (is_over("kbdus")) {
		assert_true(bdus_get_kbdus_version(&version));
		assert_int_equal(version.major, 0);
		assert_int_equal(version.minor, 1);
		return;
	}
	if (access("/dev/bdus-control", F_OK) == 0)
		skip();
	assert_false(bdus_get_kbdus_version(&version));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(version.major, 77);
}

static void *leave_root(void *opaque)
{
	const struct bdus_attrs attrs = {
		.size = DISK_BYTES, .logical_block_size = 512, .dont_daemonize = true};
	int *errnum = opaque;

	if (seteuid(65534)) {
		*errnum = -1;
		return NULL;
	}
	*errnum = bdus_run(&full_ops, &attrs, NULL) ? 0 : errno;
	if (seteuid(0))
		*errnum = -1;
	return NULL;
}

/* Devices of others are not even known to who may not have them. */
static bool is_refused(bool result)
{
	return !result && (errno == EPERM || errno == EACCES || errno == ENOENT || errno == ENODEV);
}

static void test_users_without_rights_manage_nothing(void **state)
{
	struct fixture f = start(&full_ops, &plain_attrs);
	const struct bdus_attrs attrs = {.dont_daemonize = true};
	char *data = buffer_of(4096);
	struct bdus_version version;

	(void)state;
	assert_int_equal(seteuid(65534), 0);
	assert_true(is_refused(bdus_flush_dev(f.disk->id)));
	assert_true(is_refused(bdus_rerun(f.disk->id, &full_ops, &attrs, f.disk)));
	assert_true(is_refused(bdus_destroy_dev(f.disk->id)));
	if (is_over("kbdus"))
		assert_true(is_refused(bdus_get_kbdus_version(&version)));
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(pread(f.fd, data, 4096, 0), 4096);
	free(data);
	stop(&f);
}

static void test_users_without_rights_are_refused(void **state)
{
	int errnum = 0;

	(void)state;
	leave_root(&errnum);
	assert_true(errnum == EPERM || errnum == EACCES);
	assert_string_not_equal(bdus_get_error_message(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		api_block_test(test_context_names_the_device),
		api_block_test(test_kernel_knows_the_attributes),
		api_block_test(test_data_goes_through_unchanged),
		api_block_test(test_each_request_has_its_callback),
		api_block_test(test_durable_write),
		api_block_test(test_zeros_without_write_zeros),
		api_block_test(test_discard_without_callback_is_not_supported),
		api_block_test(test_device_without_write_is_read_only),
		api_block_test(test_errors_that_clients_see),
		api_block_test(test_errors_of_every_kind_of_request),
		api_block_test(test_abort_takes_the_device_away),
		api_block_test(test_any_callback_may_abort),
		api_block_test(test_limits_hold_for_ranges),
		api_block_test(test_failed_initialize_leaves_no_device),
		api_block_test(test_failed_on_device_available_takes_the_device_away),
		api_block_test(test_failed_terminate_fails_the_run),
		api_block_test(test_no_more_callbacks_at_once_than_allowed),
		api_block_test(test_flush_dev_writes_the_page_cache),
		api_block_test(test_destroy_dev_ends_the_driver),
		api_block_test(test_ids_are_found_by_path),
		api_block_test(test_foreign_block_devices_are_refused),
		api_block_test(test_partitions_are_scanned),
		api_block_test(test_partitions_are_not_scanned_when_disabled),
		api_block_test(test_ids_count_up_and_are_not_used_again),
		api_block_test(test_initialize_may_drop_privileges),
		api_block_test(test_what_ublk_cannot_carry_is_refused_by_name),
		api_block_test(test_secure_erase_has_its_callback),
		api_block_test(test_ioctl_has_its_callback),
		api_block_test(test_write_same_is_never_called),
		api_block_test(test_kbdus_tells_its_version),
		api_block_test(test_users_without_rights_are_refused),
		api_block_test(test_users_without_rights_manage_nothing),
	};

	page = (uint32_t)sysconf(_SC_PAGESIZE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
