/* SPDX-License-Identifier: MIT */
/*
 * Tests of the file driver: its content against a model in every mode, the blocks that its image
 * takes, durability, locks, bad images, and file systems that are full or lack something.
 */
#include "double.h"
#include "fault.h"
#include "model.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern const struct bdus_driver bdus_driver_file;

enum {
	KIB = 1 << 10,
	MIB = 1 << 20,
	THREADS = 4,
};

/* The folder of one test, which is the current one while it runs. */
static char folder[64];

static unsigned char buffer[MIB] __attribute__((aligned(65536)));

static int enter_folder_in(const char *parent)
{
	snprintf(folder, sizeof(folder), "%s/bdus-test-file-XXXXXX", parent);
	return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int enter_folder(void **state)
{
	char here[32] = ".";

	(void)state;
	fault = (struct fault){.syncs = 0};
	return enter_folder_in(here);
}

static int leave_folder(void **state)
{
	char command[128];

	(void)state;
	if (chdir("..") < 0)
		return -1;
	snprintf(command, sizeof(command), "rm -rf '%s'", strrchr(folder, '/') + 1);
	return system(command);
}

static int open_file(struct opened *opened, const char *options)
{
	return double_open(opened, &bdus_driver_file, options);
}

static void must_open(struct opened *opened, const char *options)
{
	const int result = open_file(opened, options);

	if (result != 0)
		fail_msg("%s: %d, %s", options, result, double_message());
}

static void make_image(const char *path, off_t size)
{
	const int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int fill(const struct opened *opened, uint64_t offset, uint64_t length, int byte)
{
	assert_true(length <= sizeof(buffer));
	memset(buffer, byte, length);
	return double_request(opened, BDUS_OP_WRITE, 0, offset, length, buffer);
}

static void must_read(const struct opened *opened, uint64_t offset, uint64_t length, int byte)
{
	assert_true(length <= sizeof(buffer));
	memset(buffer, ~byte, length);
	assert_int_equal(double_request(opened, BDUS_OP_READ, 0, offset, length, buffer), 0);
	for (uint64_t i = 0; i < length; i++)
		if (buffer[i] != byte)
			fail_msg("byte %d is 0x%02x", (int)(offset + i), buffer[i]);
}

static int64_t blocks_of(const char *path)
{
	struct stat status;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	/* Some file systems count blocks only once they are written. */
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	return status.st_blocks * 512;
}

static off_t size_of(const char *path)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return status.st_size;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* ---- content ------------------------------------------------------------------------------- */

static void play(const char *options, uint64_t length, uint32_t block, unsigned count)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct opened opened;

		make_image("image", (off_t)length);
		must_open(&opened, options);
		const struct model_result result =
			model_play(&opened, 0, length, block, seed, count);
		if (result.failed_at != 0)
			fail_msg("%s, seed %d, request %u: %s", options, (int)seed,
				 result.failed_at, result.complaint);
		assert_int_equal(double_close(&opened), 0);
		assert_int_equal(size_of("image"), length);
		assert_int_equal(unlink("image"), 0);
	}
}

static void content_matches_a_model(void **state)
{
	(void)state;
	play("path=image", 1050112, 512, 400);
	play("path=image direct=no", 1050112, 512, 400);
	play("path=image logical-block-size=4096", 2 * MIB, 4096, 400);
	/* Blocks of 512 bytes on a disk of 4096: some go through the page cache and some around it.
	 */
	fault.direct_alignment = 4096;
	play("path=image", 1050112, 512, 400);
}

static void content_matches_a_model_on_tmpfs(void **state)
{
	assert_int_equal(leave_folder(state), 0);
	if (enter_folder_in("/dev/shm") != 0) {
		enter_folder(state);
		suite_skip("no /dev/shm to write to");
	}
	play("path=image", 1050112, 512, 1000);
}

static void content_matches_a_model_where_nothing_is_fast(void **state)
{
	(void)state;
	fault.allocate_error = EOPNOTSUPP;
	play("path=image", 1050112, 512, 300);
}

static void short_and_interrupted_transfers_are_completed(void **state)
{
	(void)state;
	fault.most_bytes = 5 * 512;
	play("path=image", 1050112, 512, 150);
	play("path=image direct=no", 1050112, 512, 150);
}

struct player {
	const struct opened *opened;
	uint64_t start;
	uint64_t length;
	uint32_t block;
	uint64_t seed;
	struct model_result result;
};

static void *play_range(void *argument)
{
	struct player *const player = argument;

	player->result = model_play(player->opened, player->start, player->length, player->block,
				    player->seed, 500);
	return NULL;
}

/* Small blocks: the ranges of the threads meet in the middle of a page. */
static void play_side_by_side(const char *options, uint32_t block)
{
	const uint64_t length = 61 * block;
	struct player players[THREADS];
	pthread_t threads[THREADS];
	struct opened opened;

	make_image("image", MIB);
	must_open(&opened, options);
	assert_true(opened.attrs.queues >= THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		players[i] = (struct player){.opened = &opened,
					     .start = i * length,
					     .length = length,
					     .block = block,
					     .seed = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, play_range, &players[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS; i++)
		if (players[i].result.failed_at != 0)
			fail_msg("%s, thread %u, request %u: %s", options, i,
				 players[i].result.failed_at, players[i].result.complaint);
	assert_int_equal(double_close(&opened), 0);
	assert_int_equal(unlink("image"), 0);
}

static void threads_that_share_a_block_do_not_disturb_one_another(void **state)
{
	(void)state;
	play_side_by_side("path=image logical-block-size=4096", 4096);
	play_side_by_side("path=image direct=no", 512);
}

/* ---- many requests at once ------------------------------------------------------------------ */

/* Whether the calls in flight write through the page cache, or around it, or both. */
static void count_writes_in_flight(unsigned *direct, unsigned *cached)
{
	const struct bdus_call *call;

	*direct = *cached = 0;
	for (unsigned i = 0; (call = double_call(i)) != NULL; i++) {
		if (fcntl((int)call->message.arguments[0], F_GETFL) & O_DIRECT)
			++*direct;
		else
			++*cached;
	}
}

/* Writes of one block each, every third of them too small to be direct. */
static void begin_writes(const struct opened *opened, struct double_io ios[], unsigned count)
{
	memset(buffer, 0x11, sizeof(buffer));
	for (unsigned i = 0; i < count; i++) {
		ios[i] = (struct double_io){.request = {.op = BDUS_OP_WRITE,
							.offset_bytes = i * 4096,
							.length_bytes = i % 3 == 0 ? 512 : 4096,
							.data = buffer}};
		double_begin(opened, &ios[i]);
	}
}

static void a_write_through_the_page_cache_has_the_image_to_itself(void **state)
{
	enum {
		COUNT = 64
	};
	struct double_io ios[COUNT];
	unsigned direct, cached, most_direct = 0;
	struct opened opened;

	(void)state;
	fault.direct_alignment = 4096;
	must_open(&opened, "path=image size=1M create=yes");
	if (opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_CACHE))
		suite_skip("the file system has no direct transfers");
	assert_int_equal(opened.attrs.queues, 1);
	begin_writes(&opened, ios, COUNT);
	do {
		count_writes_in_flight(&direct, &cached);
		assert_true(cached == 0 || (cached == 1 && direct == 0));
		most_direct = direct > most_direct ? direct : most_direct;
	} while (double_step());
	assert_int_equal(most_direct, 2);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(ios[i].completions, 1);
		assert_int_equal(ios[i].result, 0);
		must_read(&opened, i * 4096, i % 3 == 0 ? 512 : 4096, 0x11);
	}
	assert_int_equal(double_close(&opened), 0);
}

static void a_write_that_must_not_wait_is_refused_out_of_turn(void **state)
{
	struct double_io ios[2];
	struct opened opened;

	(void)state;
	fault.direct_alignment = 4096;
	must_open(&opened, "path=image size=1M create=yes");
	if (opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_CACHE))
		suite_skip("the file system has no direct transfers");
	begin_writes(&opened, ios, 1);
	ios[1] = ios[0];
	ios[1].request.flags = BDUS_REQUEST_NO_WAIT;
	double_begin(&opened, &ios[1]);
	assert_int_equal(ios[1].completions, 1);
	assert_int_equal(ios[1].result, -EAGAIN);
	while (double_step())
		;
	assert_int_equal(ios[0].result, 0);
	assert_int_equal(double_close(&opened), 0);
}

static void many_requests_are_in_flight_at_once_and_complete_once_each(void **state)
{
	enum {
		COUNT = 200
	};
	static struct double_io ios[COUNT];
	struct opened opened;
	unsigned completed = 0;

	(void)state;
	must_open(&opened, "path=image size=1M create=yes direct=no");
	assert_true(opened.attrs.queues > 1);
	begin_writes(&opened, ios, COUNT);
	assert_non_null(double_call(COUNT - 1));
	while (double_step())
		completed++;
	assert_int_equal(completed, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(ios[i].completions, 1);
		assert_int_equal(ios[i].result, 0);
	}
	assert_int_equal(double_close(&opened), 0);
}

static void transfers_are_direct_where_they_are_aligned(void **state)
{
	struct opened opened;

	(void)state;
	must_open(&opened, "path=image size=1M create=yes direct=no");
	assert_int_equal(fill(&opened, 0, 4096, 0x11), 0);
	assert_int_equal(fault.direct_transfers, 0);
	assert_true(opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_CACHE));
	assert_int_equal(double_close(&opened), 0);
	fault = (struct fault){.direct_alignment = 4096};
	if (open_file(&opened, "path=image direct=yes") != 0)
		suite_skip("the file system has no direct transfers");
	assert_int_equal(opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_CACHE), 0);
	assert_int_equal(fill(&opened, 4096, 4096, 0x22), 0);
	assert_int_equal(fault.cached_transfers, 0);
	assert_int_equal(fault.direct_transfers, 1);
	assert_int_equal(fill(&opened, 512, 4096, 0x33), 0);
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE, 0, 8192, 4096, buffer + 512), 0);
	assert_int_equal(fault.cached_transfers, 2);
	assert_int_equal(fault.direct_transfers, 1);
	must_read(&opened, 0, 512, 0x11);
	must_read(&opened, 512, 4096, 0x33);
	must_read(&opened, 4096 + 512, 4096 - 512, 0x22);
	assert_int_equal(double_close(&opened), 0);
}

static void what_was_written_is_in_the_file(void **state)
{
	struct opened opened;
	char got[512];
	int fd;

	(void)state;
	must_open(&opened, "path=image size=1M create=yes");
	assert_int_equal(fill(&opened, 8192, 4096, 0x41), 0);
	assert_int_equal(double_close(&opened), 0);
	fd = open("image", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, got, sizeof(got), 8192), sizeof(got));
	assert_int_equal(got[511], 0x41);
	assert_int_equal(pread(fd, got, sizeof(got), 8192 - 512), sizeof(got));
	assert_int_equal(got[511], 0);
	close(fd);
}

/* ---- space --------------------------------------------------------------------------------- */

static void open_filled(struct opened *opened, const char *options)
{
	must_open(opened, options);
	for (uint64_t done = 0; done < 8 * MIB; done += MIB)
		assert_int_equal(fill(opened, done, MIB, 0x11), 0);
	assert_int_equal(double_request(opened, BDUS_OP_FLUSH, 0, 0, 0, NULL), 0);
	assert_in_range(blocks_of("image"), 8 * MIB, 9 * MIB);
}

static void discard_gives_blocks_back(void **state)
{
	struct opened opened;

	(void)state;
	open_filled(&opened, "path=image size=8M create=yes");
	if (!(opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_DISCARD)))
		suite_skip("no holes can be made in a file here");
	/* Half a block at each end, which must stay. */
	assert_int_equal(
		double_request(&opened, BDUS_OP_DISCARD, 0, 2 * MIB - 2048, 4 * MIB + 4096, NULL),
		0);
	assert_in_range(blocks_of("image"), 4 * MIB, 5 * MIB);
	must_read(&opened, MIB, MIB, 0x11);
	must_read(&opened, 2 * MIB, 512, 0);
	must_read(&opened, 6 * MIB, MIB, 0x11);
	assert_int_equal(double_close(&opened), 0);
	assert_int_equal(size_of("image"), 8 * MIB);
}

static void write_zeros_gives_blocks_back_only_if_it_may(void **state)
{
	struct opened opened;

	(void)state;
	open_filled(&opened, "path=image size=8M create=yes");
	if (!(opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_DISCARD)))
		suite_skip("no holes can be made in a file here");
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE_ZEROS, 0, 0, 4 * MIB, NULL), 0);
	assert_in_range(blocks_of("image"), 8 * MIB, 9 * MIB);
	must_read(&opened, 3 * MIB, MIB, 0);
	must_read(&opened, 4 * MIB, MIB, 0x11);
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_MAY_UNMAP, 0,
					4 * MIB, NULL),
			 0);
	assert_in_range(blocks_of("image"), 4 * MIB, 5 * MIB);
	must_read(&opened, 3 * MIB, MIB, 0);
	assert_int_equal(double_close(&opened), 0);
}

static void zeros_are_refused_as_fast_where_they_must_be_written(void **state)
{
	struct opened opened;

	(void)state;
	open_filled(&opened, "path=image size=8M create=yes");
	fault.allocate_error = EOPNOTSUPP;
	assert_int_equal(
		double_request(&opened, BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_FAST_ONLY, 0, MIB, NULL),
		-EOPNOTSUPP);
	must_read(&opened, 0, MIB, 0x11);
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE_ZEROS, 0, 0, MIB, NULL), 0);
	must_read(&opened, 0, MIB, 0);
	assert_int_equal(double_close(&opened), 0);
}

static void discard_is_not_offered_where_there_are_no_holes(void **state)
{
	struct opened opened;

	(void)state;
	fault.allocate_error = EOPNOTSUPP;
	must_open(&opened, "path=image size=8M create=yes");
	assert_int_equal(opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_DISCARD), 0);
	assert_int_equal(double_close(&opened), 0);
}

static void opening_part_of_an_image_leaves_the_rest_alone(void **state)
{
	struct opened opened;

	(void)state;
	open_filled(&opened, "path=image size=8M create=yes");
	assert_int_equal(double_close(&opened), 0);
	must_open(&opened, "path=image size=1M");
	assert_int_equal(opened.attrs.size_bytes, MIB);
	assert_int_equal(double_close(&opened), 0);
	must_open(&opened, "path=image");
	for (uint64_t done = 0; done < 8 * MIB; done += MIB)
		must_read(&opened, done, MIB, 0x11);
	assert_int_equal(double_close(&opened), 0);
}

static void extents_tell_what_was_written(void **state)
{
	struct bdus_extent extents[8];
	struct opened opened;

	(void)state;
	must_open(&opened, "path=image size=8M create=yes");
	if (!(opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_EXTENTS)))
		suite_skip("the file system does not tell holes from data");
	assert_int_equal(fill(&opened, MIB, 64 * KIB, 0x11), 0);
	assert_int_equal(fill(&opened, 7 * MIB, MIB, 0x11), 0);
	assert_int_equal(double_extents(&opened, 512, 8 * MIB - 512, extents, 8), 4);
	assert_int_equal(extents[0].length_bytes, MIB - 512);
	assert_int_equal(extents[0].flags, BDUS_EXTENT_HOLE | BDUS_EXTENT_ZERO);
	assert_int_equal(extents[1].length_bytes, 64 * KIB);
	assert_int_equal(extents[1].flags, 0);
	assert_int_equal(extents[2].length_bytes, 6 * MIB - 64 * KIB);
	assert_int_equal(extents[3].length_bytes, MIB);
	assert_int_equal(double_extents(&opened, 512, 8 * MIB - 512, extents, 1), 1);
	assert_int_equal(double_close(&opened), 0);
}

/* ---- durability ---------------------------------------------------------------------------- */

static void flush_fua_and_close_make_durable(void **state)
{
	struct opened opened;

	(void)state;
	must_open(&opened, "path=image size=1M create=yes");
	assert_true(opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_FLUSH));
	assert_true(opened.attrs.flags & BDUS_DEVICE_FUA);
	assert_int_equal(fill(&opened, 0, 4096, 0x11), 0);
	assert_int_equal(fault.syncs + fault.durable_writes, 0);
	assert_int_equal(double_request(&opened, BDUS_OP_FLUSH, 0, 0, 0, NULL), 0);
	assert_int_equal(fault.syncs, 1);
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 0, 4096, buffer),
			 0);
	assert_int_equal(fault.durable_writes, 1);
	assert_int_equal(
		double_request(&opened, BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_FUA, 0, 4096, NULL), 0);
	assert_int_equal(fault.syncs, 2);
	assert_int_equal(double_close(&opened), 0);
	assert_int_equal(fault.syncs, 3);
}

static void fua_is_a_write_and_a_flush_where_the_file_system_has_none(void **state)
{
	struct opened opened;

	(void)state;
	must_open(&opened, "path=image size=1M create=yes");
	fault.durable_write_error = EOPNOTSUPP;
	memset(buffer, 0x22, 4096);
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 0, 4096, buffer),
			 0);
	assert_int_equal(fault.syncs, 1);
	must_read(&opened, 0, 4096, 0x22);
	assert_int_equal(double_close(&opened), 0);
}

static void a_flush_that_failed_never_succeeds_later(void **state)
{
	struct opened opened;

	(void)state;
	must_open(&opened, "path=image size=1M create=yes");
	assert_int_equal(fill(&opened, 0, 4096, 0x11), 0);
	fault.sync_error = EIO;
	assert_int_equal(double_request(&opened, BDUS_OP_FLUSH, 0, 0, 0, NULL), -EIO);
	fault.sync_error = 0;
	assert_int_equal(double_request(&opened, BDUS_OP_FLUSH, 0, 0, 0, NULL), -EIO);
	assert_int_equal(
		double_request(&opened, BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_FUA, 0, 4096, NULL),
		-EIO);
	assert_int_equal(double_close(&opened), -EIO);
}

static void an_error_told_to_a_fua_write_is_told_to_the_next_flush(void **state)
{
	struct opened opened;

	(void)state;
	must_open(&opened, "path=image size=1M create=yes");
	fault.durable_write_error = EIO;
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 0, 4096, buffer),
			 -EIO);
	assert_int_equal(double_request(&opened, BDUS_OP_FLUSH, 0, 0, 0, NULL), -EIO);
	assert_int_equal(double_close(&opened), -EIO);
}

static void no_wait_gives_up_where_it_would_wait(void **state)
{
	struct opened opened;

	(void)state;
	must_open(&opened, "path=image size=1M create=yes");
	assert_int_equal(double_request(&opened, BDUS_OP_FLUSH, BDUS_REQUEST_NO_WAIT, 0, 0, NULL),
			 -EAGAIN);
	assert_int_equal(double_close(&opened), 0);
}

/* ---- locks --------------------------------------------------------------------------------- */

static void must_refuse(const char *options, int errnum, const char *part)
{
	struct opened opened;
	const int result = open_file(&opened, options);

	if (result != -errnum || strstr(double_message(), part) == NULL)
		fail_msg("%s: %d, not %d with \"%s\": %s", options, result, -errnum, part,
			 double_message());
}

static void a_second_writer_is_refused_and_told_who_the_first_is(void **state)
{
	struct opened opened;
	char holder[64];

	(void)state;
	snprintf(holder, sizeof(holder), "path=image is in use by process %d", (int)getpid());
	must_open(&opened, "path=image size=1M create=yes");
	must_refuse("path=image", EBUSY, holder);
	must_refuse("path=./image", EBUSY, "path=./image");
	must_refuse("path=image read-only=yes", EBUSY, holder);
	must_refuse("path=image size=2M create=yes", EBUSY, holder);
	assert_int_equal(size_of("image"), MIB);
	assert_int_equal(double_close(&opened), 0);
	must_open(&opened, "path=image");
	assert_int_equal(double_close(&opened), 0);
}

static void readers_share_an_image_and_keep_writers_out(void **state)
{
	struct opened first, second;

	(void)state;
	make_image("image", MIB);
	must_open(&first, "path=image read-only=yes");
	must_open(&second, "path=image read-only=yes");
	must_refuse("path=image", EBUSY, "in use by process");
	assert_int_equal(double_close(&first), 0);
	must_refuse("path=image", EBUSY, "in use by process");
	assert_int_equal(double_close(&second), 0);
	must_open(&first, "path=image");
	assert_int_equal(double_close(&first), 0);
}

static void lock_no_opens_what_is_locked(void **state)
{
	struct opened first, second;

	(void)state;
	make_image("image", MIB);
	must_open(&first, "path=image");
	must_open(&second, "path=image lock=no");
	assert_int_equal(double_close(&second), 0);
	must_refuse("path=image", EBUSY, "in use");
	assert_int_equal(double_close(&first), 0);
}

/* Whether qemu-io can open the image while this process has it open. */
static bool qemu_can(const char *options)
{
	char command[128];
	int status;

	snprintf(command, sizeof(command), "qemu-io %s -f raw -c 'read 0 512' image >qemu.log 2>&1",
		 options);
	status = system(command);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		suite_skip("no qemu-io here");
	return status == 0;
}

static void qemu_keeps_out_of_an_image_that_is_written(void **state)
{
	struct opened opened;

	(void)state;
	make_image("image", MIB);
	must_open(&opened, "path=image");
	assert_false(qemu_can(""));
	assert_false(qemu_can("-r"));
	assert_int_equal(double_close(&opened), 0);
	must_open(&opened, "path=image read-only=yes");
	assert_true(qemu_can("-r"));
	assert_false(qemu_can(""));
	assert_int_equal(double_close(&opened), 0);
	assert_true(qemu_can(""));
}

/* Runs qemu-io on the image until its input ends; returns where to write that to. */
static FILE *start_qemu(const char *options)
{
	char command[128];
	FILE *input;

	snprintf(command, sizeof(command), "qemu-io %s -f raw image >qemu.log 2>&1", options);
	input = popen(command, "we");
	assert_non_null(input);
	fputs("read 0 512\n", input);
	fflush(input);
	for (unsigned i = 0; i < 200 && size_of("qemu.log") == 0; i++)
		usleep(50000);
	return input;
}

static void an_image_that_qemu_writes_is_refused(void **state)
{
	struct opened opened;
	FILE *qemu;

	(void)state;
	if (system("command -v qemu-io >/dev/null") != 0)
		suite_skip("no qemu-io here");
	make_image("image", MIB);
	make_image("qemu.log", 0);
	qemu = start_qemu("");
	must_refuse("path=image", EBUSY, "in use by process");
	must_refuse("path=image read-only=yes", EBUSY, "in use by process");
	assert_int_equal(pclose(qemu), 0);
	make_image("qemu.log", 0);
	qemu = start_qemu("-r");
	must_refuse("path=image", EBUSY, "in use by process");
	must_open(&opened, "path=image read-only=yes");
	assert_int_equal(double_close(&opened), 0);
	assert_int_equal(pclose(qemu), 0);
}

/* ---- bad images ---------------------------------------------------------------------------- */

static void images_that_cannot_be_disks_are_refused_by_name(void **state)
{
	(void)state;
	make_image("empty", 0);
	make_image("odd", 1000);
	make_image("odd4k", 8192 + 512);
	assert_int_equal(mkdir("folder", 0700), 0);
	assert_int_equal(mkfifo("pipe", 0600), 0);
	must_refuse("path=missing", ENOENT, "path=missing does not exist; create=yes");
	must_refuse("path=missing create=yes", EINVAL, "needs size=");
	must_refuse("path=nowhere/image size=1M create=yes", ENOENT, "path=nowhere/image");
	must_refuse("path=folder", EISDIR, "path=folder is a directory; allowed are");
	must_refuse("path=pipe", EINVAL, "path=pipe is a pipe; allowed are");
	must_refuse("path=/dev/null", EINVAL, "path=/dev/null is a character device");
	must_refuse("path=empty", EINVAL, "path=empty is empty; create=yes with size=");
	must_refuse("path=odd", EINVAL, "1000 bytes of path=odd are not a multiple");
	must_refuse("path=odd4k logical-block-size=4K", EINVAL, "4096 bytes");
	must_refuse("path=odd4k size=1M", EINVAL, "size=1048576 is more than the 8704 bytes");
	must_refuse("path=odd4k logical-block-size=1000", EINVAL, "1000 is not a power of two");
	must_refuse("path=odd4k create=yes read-only=yes", EINVAL, "exclude one another");
	assert_false(exists("missing"));
	assert_int_equal(size_of("odd"), 1000);
}

static void a_file_system_without_direct_transfers_is_named(void **state)
{
	struct opened opened;
	const int result = open_file(&opened, "path=/proc/self/environ direct=yes read-only=yes");

	(void)state;
	assert_true(result < 0);
	assert_non_null(strstr(double_message(), "/proc/self/environ"));
}

static void a_failed_open_leaves_files_as_they_were(void **state)
{
	(void)state;
	make_image("image", MIB);
	must_refuse("path=new size=1000 create=yes", EINVAL, "path=new");
	assert_false(exists("new"));
	must_refuse("path=image size=1048577 create=yes", EINVAL, "path=image");
	assert_int_equal(size_of("image"), MIB);
}

static void create_makes_a_sparse_file_and_lengthens_one(void **state)
{
	struct opened opened;

	(void)state;
	must_open(&opened, "path=image size=1G create=yes");
	assert_int_equal(opened.attrs.size_bytes, 1 << 30);
	assert_int_equal(fill(&opened, 0, 4096, 0x11), 0);
	assert_int_equal(double_close(&opened), 0);
	assert_int_equal(size_of("image"), 1 << 30);
	assert_in_range(blocks_of("image"), 0, MIB);
	must_open(&opened, "path=image size=2G create=yes");
	assert_int_equal(opened.attrs.size_bytes, UINT64_C(2) << 30);
	must_read(&opened, 0, 4096, 0x11);
	assert_int_equal(double_close(&opened), 0);
	assert_int_equal(size_of("image"), INT64_C(2) << 30);
	/* Never shorter. */
	must_open(&opened, "path=image size=1G create=yes");
	assert_int_equal(double_close(&opened), 0);
	assert_int_equal(size_of("image"), INT64_C(2) << 30);
}

static void the_name_of_a_new_file_is_durable(void **state)
{
	struct opened opened;

	(void)state;
	must_open(&opened, "path=image size=1M create=yes");
	assert_int_equal(fault.folder_syncs, 1);
	assert_int_equal(double_close(&opened), 0);
}

static void read_only_neither_offers_nor_does_writes(void **state)
{
	struct opened opened;

	(void)state;
	make_image("image", MIB);
	must_open(&opened, "path=image read-only=yes");
	assert_true(opened.attrs.flags & BDUS_DEVICE_READ_ONLY);
	assert_int_equal(opened.attrs.ops &
				 (BDUS_OP_BIT(BDUS_OP_WRITE) | BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS) |
				  BDUS_OP_BIT(BDUS_OP_DISCARD)),
			 0);
	must_read(&opened, 0, MIB, 0);
	opened.attrs.ops |= BDUS_OP_BIT(BDUS_OP_WRITE);
	assert_true(fill(&opened, 0, 512, 0x11) < 0);
	must_read(&opened, 0, MIB, 0);
	assert_int_equal(double_close(&opened), 0);
}

static void an_image_longer_than_the_file_size_limit_is_refused(void **state)
{
	struct rlimit old, low;

	(void)state;
	make_image("image", 2 * MIB);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = MIB;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	must_refuse("path=image", EFBIG, "ulimit -f");
	must_refuse("path=new size=2M create=yes", EFBIG, "ulimit -f");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_false(exists("new"));
}

static void an_image_that_shrinks_gives_errors_and_not_zeros(void **state)
{
	struct opened opened;

	(void)state;
	open_filled(&opened, "path=image size=8M create=yes");
	assert_int_equal(truncate("image", 4 * MIB), 0);
	assert_int_equal(double_request(&opened, BDUS_OP_READ, 0, 4 * MIB - 4096, 8192, buffer),
			 -EIO);
	assert_int_equal(fill(&opened, 6 * MIB, 4096, 0x22), -EIO);
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE_ZEROS, 0, 6 * MIB, 4096, NULL),
			 -EIO);
	assert_int_equal(double_request(&opened, BDUS_OP_FLUSH, 0, 0, 0, NULL), -EIO);
	assert_int_equal(size_of("image"), 4 * MIB);
	/* Growing back does not bring back what was lost. */
	assert_int_equal(truncate("image", 8 * MIB), 0);
	assert_int_equal(double_request(&opened, BDUS_OP_READ, 0, 6 * MIB, 4096, buffer), -EIO);
	assert_int_equal(double_close(&opened), -EIO);
}

static void a_write_does_not_lengthen_an_image_that_shrank(void **state)
{
	struct opened opened;

	(void)state;
	open_filled(&opened, "path=image size=8M create=yes");
	assert_int_equal(truncate("image", 4 * MIB), 0);
	assert_int_equal(fill(&opened, 6 * MIB, 4096, 0x22), -EIO);
	assert_int_equal(size_of("image"), 4 * MIB);
	assert_int_equal(double_close(&opened), -EIO);
}

/* ---- full file systems --------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		suite_skip("this user may not have a name space of its own");
	close(fd);
}

/* Lets a user other than root mount for itself, under its own name. */
static void become_mounter(void)
{
	const unsigned user = geteuid(), group = getegid();
	char map[64];

	if (unshare(user == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) < 0)
		suite_skip("this user may not have a name space of its own");
	if (user == 0)
		return;
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", user, user);
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", group, group);
	write_text("/proc/self/gid_map", map);
}

/* Mounts a file system of 2 MiB on "small", for this process only. */
static void mount_small(void)
{
	assert_int_equal(mkdir("small", 0700), 0);
	become_mounter();
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "small", "tmpfs", 0, "size=2M") < 0)
		suite_skip("nothing can be mounted here");
}

static void check_full_file_system(const char *options)
{
	struct opened opened;
	uint64_t written = 0;
	int result;

	must_open(&opened, options);
	while ((result = fill(&opened, written, 128 * KIB, 0x11)) == 0)
		written += 128 * KIB;
	assert_int_equal(result, -ENOSPC);
	assert_in_range(written, MIB, 2 * MIB);
	for (uint64_t done = 0; done < written; done += 128 * KIB)
		must_read(&opened, done, 128 * KIB, 0x11);
	assert_int_equal(double_request(&opened, BDUS_OP_FLUSH, 0, 0, 0, NULL), 0);
	/* Space that is given back is there for what did not fit. */
	assert_int_equal(double_request(&opened, BDUS_OP_DISCARD, 0, 0, MIB, NULL), 0);
	assert_int_equal(fill(&opened, written, 128 * KIB, 0x22), 0);
	must_read(&opened, written, 128 * KIB, 0x22);
	must_read(&opened, written - 128 * KIB, 128 * KIB, 0x11);
	assert_int_equal(double_close(&opened), 0);
	assert_int_equal(unlink("small/image"), 0);
}

static void a_full_file_system_gives_no_space_and_loses_nothing(void **state)
{
	(void)state;
	mount_small();
	check_full_file_system("path=small/image size=64M create=yes");
	check_full_file_system("path=small/image size=64M create=yes direct=no");
	assert_int_equal(umount("small"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(content_matches_a_model),
		TEST(content_matches_a_model_on_tmpfs),
		TEST(content_matches_a_model_where_nothing_is_fast),
		TEST(short_and_interrupted_transfers_are_completed),
		TEST(threads_that_share_a_block_do_not_disturb_one_another),
		TEST(a_write_through_the_page_cache_has_the_image_to_itself),
		TEST(a_write_that_must_not_wait_is_refused_out_of_turn),
		TEST(many_requests_are_in_flight_at_once_and_complete_once_each),
		TEST(transfers_are_direct_where_they_are_aligned),
		TEST(what_was_written_is_in_the_file),
		TEST(discard_gives_blocks_back),
		TEST(write_zeros_gives_blocks_back_only_if_it_may),
		TEST(zeros_are_refused_as_fast_where_they_must_be_written),
		TEST(discard_is_not_offered_where_there_are_no_holes),
		TEST(opening_part_of_an_image_leaves_the_rest_alone),
		TEST(extents_tell_what_was_written),
		TEST(flush_fua_and_close_make_durable),
		TEST(fua_is_a_write_and_a_flush_where_the_file_system_has_none),
		TEST(a_flush_that_failed_never_succeeds_later),
		TEST(an_error_told_to_a_fua_write_is_told_to_the_next_flush),
		TEST(no_wait_gives_up_where_it_would_wait),
		TEST(a_second_writer_is_refused_and_told_who_the_first_is),
		TEST(readers_share_an_image_and_keep_writers_out),
		TEST(lock_no_opens_what_is_locked),
		TEST(qemu_keeps_out_of_an_image_that_is_written),
		TEST(an_image_that_qemu_writes_is_refused),
		TEST(images_that_cannot_be_disks_are_refused_by_name),
		TEST(a_file_system_without_direct_transfers_is_named),
		TEST(a_failed_open_leaves_files_as_they_were),
		TEST(create_makes_a_sparse_file_and_lengthens_one),
		TEST(the_name_of_a_new_file_is_durable),
		TEST(read_only_neither_offers_nor_does_writes),
		TEST(an_image_longer_than_the_file_size_limit_is_refused),
		TEST(an_image_that_shrinks_gives_errors_and_not_zeros),
		TEST(a_write_does_not_lengthen_an_image_that_shrank),
		TEST(a_full_file_system_gives_no_space_and_loses_nothing),
	};

	return suite_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
