/* SPDX-License-Identifier: MIT */
/*
 * What the BDUS 0.1 API promises of bdus_rerun() and `recoverable`, over ublk or kbdus, as
 * BDUS_TRANSPORT says. Needs root: started by tests/system/recover-api-keeps-its-promises.sh and
 * its like, in a guest.
 */
#include "api_test.h"

#include <bdus/manage.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_BYTES (4 << 20)

/** The disk's data and the order of events, for all drivers of a device. */
struct common {
	atomic_uint clock;
	char memory[DISK_BYTES];
};

/** What one driver saw, and what it shall do. Shared. */
struct notes {
	struct common *common;
	/* What callbacks return. */
	int initialize_result;
	int terminate_result;
	atomic_int write_result;
	unsigned write_ms;
	/* When they were called last, by common->clock; 0 for never. */
	atomic_uint initialized;
	atomic_uint available;
	atomic_uint flushed;
	atomic_uint terminated;
	atomic_uint writes;
	atomic_uint writing;
	uint64_t id;
	char path[64];
	bool is_rerun;
	struct bdus_attrs attrs;
};

static unsigned now(const struct notes *notes)
{
	return atomic_fetch_add(&notes->common->clock, 1) + 1;
}

static int initialize(struct bdus_ctx *ctx)
{
	struct notes *const notes = ctx->private_data;

	notes->is_rerun = ctx->is_rerun;
	notes->attrs = *ctx->attrs;
	notes->id = ctx->id;
	atomic_store(&notes->initialized, now(notes));
	return notes->initialize_result;
}

static int available(struct bdus_ctx *ctx)
{
	struct notes *const notes = ctx->private_data;

	snprintf(notes->path, sizeof(notes->path), "%s", ctx->path);
	atomic_store(&notes->available, now(notes));
	return 0;
}

static int terminate(struct bdus_ctx *ctx)
{
	struct notes *const notes = ctx->private_data;

	api_check(atomic_load(&notes->writing) == 0);
	atomic_store(&notes->terminated, now(notes));
	return notes->terminate_result;
}

static int read_memory(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	const struct notes *const notes = ctx->private_data;

	memcpy(buffer, notes->common->memory + offset, size);
	return 0;
}

static int write_memory(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct notes *const notes = ctx->private_data;

	atomic_fetch_add(&notes->writing, 1);
	atomic_fetch_add(&notes->writes, 1);
	if (notes->write_ms != 0)
		api_sleep_ms(notes->write_ms);
	memcpy(notes->common->memory + offset, buffer, size);
	atomic_fetch_sub(&notes->writing, 1);
	return atomic_load(&notes->write_result);
}

static int flush(struct bdus_ctx *ctx)
{
	struct notes *const notes = ctx->private_data;

	atomic_store(&notes->flushed, now(notes));
	return 0;
}

static int discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static const struct bdus_ops ops = {
	.initialize = initialize,
	.on_device_available = available,
	.terminate = terminate,
	.read = read_memory,
	.write = write_memory,
	.flush = flush,
	.discard = discard,
};

static const struct bdus_attrs attrs = {
	.logical_block_size = 512,
	.physical_block_size = 4096,
	.size = DISK_BYTES,
	.max_read_write_size = 65536,
	.disable_partition_scanning = true,
	.recoverable = true,
};

/** What a driver for any device of this kind says of itself. */
static const struct bdus_attrs inherits = {.max_concurrent_callbacks = 2};

static struct notes *make_notes(struct common *common)
{
	struct notes *const notes = api_shared_alloc(sizeof(*notes));

	notes->common = common != NULL ? common : api_shared_alloc(sizeof(*common));
	return notes;
}

static void wait_for(const atomic_uint *event)
{
	const uint64_t deadline_ms = api_now_ms() + 20000;

	while (atomic_load(event) == 0) {
		if (api_now_ms() > deadline_ms)
			fail_msg("nothing happened for 20 s");
		api_sleep_ms(2);
	}
}

/** Starts the first driver of a device. */
static struct notes *start(struct api_run *run, const struct bdus_attrs *with)
{
	struct notes *const notes = make_notes(NULL);

	api_start(run, &ops, with, notes);
	wait_for(&notes->available);
	return notes;
}

/** The driver of a device, and one to come. */
struct drivers {
	struct api_run first;
	struct api_run second;
	struct notes *old;
	struct notes *new;
};

static struct drivers start_one(const struct bdus_attrs *with)
{
	struct drivers of = {0};

	of.old = start(&of.first, with);
	of.new = make_notes(of.old->common);
	return of;
}

/** Gives the device the other driver. */
static void rerun(struct drivers *of, const struct bdus_attrs *with)
{
	api_start_again(&of->second, of->old->id, &ops, with, of->new);
}

/** One write of @letter to the first block, in a child; its status is that of the child. */
static pid_t begin_write(const char *path, char letter)
{
	const pid_t child = fork();

	if (child == 0) {
		void *const block = aligned_alloc(4096, 4096);
		const int fd = open(path, O_RDWR | O_DIRECT);

		memset(block, letter, 4096);
		_exit(fd >= 0 && pwrite(fd, block, 4096, 0) == 4096 ? 0 : 1);
	}
	return child;
}

static int end_write(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

/** Which way in the devices of this run come by. */
static bool is_over(const char *way)
{
	const char *const chosen = getenv("BDUS_TRANSPORT");

	return chosen != NULL && strcmp(chosen, way) == 0;
}

static void check_refused(uint64_t id, const struct bdus_ops *with_ops,
			  const struct bdus_attrs *with, int errnum, const char *word)
{
	struct bdus_attrs attrs_here = *with;

	attrs_here.dont_daemonize = true;
	errno = 0;
	assert_false(bdus_rerun(id, with_ops, &attrs_here, make_notes(NULL)));
	assert_int_equal(errno, errnum);
	if (strstr(bdus_get_error_message(), word) == NULL)
		fail_msg("does not mention '%s': %s", word, bdus_get_error_message());
}

/* ---- the tests ----------------------------------------------------------------------------- */

/** The old driver is flushed, then terminated, then the new one is initialized, with all that the
 * device has. */
static void test_a_driver_takes_the_place_of_another(void **state)
{
	struct drivers of = start_one(&attrs);

	(void)state;
	assert_false(of.old->is_rerun);
	assert_true(of.old->attrs.recoverable);
	assert_int_equal(end_write(begin_write(of.old->path, 'a')), 0);
	rerun(&of, &inherits);
	wait_for(&of.new->available);
	assert_true(api_wait(&of.first)->result);
	assert_true(atomic_load(&of.old->flushed) != 0);
	assert_true(atomic_load(&of.old->flushed) < atomic_load(&of.old->terminated));
	assert_true(atomic_load(&of.old->terminated) < atomic_load(&of.new->initialized));
	assert_true(atomic_load(&of.new->initialized) < atomic_load(&of.new->available));
	assert_true(of.new->is_rerun);
	assert_int_equal(of.new->id, of.old->id);
	assert_string_equal(of.new->path, of.old->path);
	assert_int_equal(of.new->attrs.size, DISK_BYTES);
	assert_int_equal(of.new->attrs.logical_block_size, 512);
	assert_int_equal(of.new->attrs.physical_block_size, 4096);
	assert_int_equal(of.new->attrs.max_read_write_size, of.old->attrs.max_read_write_size);
	assert_int_equal(of.new->attrs.max_discard_erase_size,
			 of.old->attrs.max_discard_erase_size);
	assert_int_equal(of.new->attrs.max_write_zeros_size, 0);
	assert_int_equal(of.new->attrs.max_concurrent_callbacks, 2);
	assert_true(of.new->attrs.recoverable);
	assert_true(of.new->attrs.disable_partition_scanning);
	assert_int_equal(end_write(begin_write(of.new->path, 'b')), 0);
	assert_int_equal(of.old->common->memory[0], 'b');
	assert_true(atomic_load(&of.new->writes) > 0);
	assert_true(bdus_destroy_dev(of.new->id));
	assert_true(api_wait(&of.second)->result);
}

/** A request in the old driver is finished by it, and not given to the new one. */
static void test_a_request_in_flight_is_served_once(void **state)
{
	struct drivers of = start_one(&attrs);
	pid_t writer;

	(void)state;
	of.old->write_ms = 300;
	writer = begin_write(of.old->path, 'c');
	wait_for(&of.old->writing);
	rerun(&of, &inherits);
	assert_int_equal(end_write(writer), 0);
	wait_for(&of.new->available);
	assert_true(api_wait(&of.first)->result);
	assert_int_equal(atomic_load(&of.old->writes), 1);
	assert_int_equal(atomic_load(&of.new->writes), 0);
	assert_true(api_stop(&of.second)->result);
}

static void test_what_does_not_fit_is_refused_and_the_driver_goes_on(void **state)
{
	struct api_run run;
	struct notes *const notes = start(&run, &attrs);
	struct bdus_ops less = ops;
	struct bdus_attrs with = inherits;

	(void)state;
	with.size = 2 * DISK_BYTES;
	check_refused(notes->id, &ops, &with, EINVAL, "size");
	with = inherits;
	with.logical_block_size = 1024;
	check_refused(notes->id, &ops, &with, EINVAL, "logical_block_size");
	with = inherits;
	with.physical_block_size = 512;
	check_refused(notes->id, &ops, &with, EINVAL, "physical_block_size");
	with = inherits;
	with.max_read_write_size = 4096;
	check_refused(notes->id, &ops, &with, EINVAL, "max_read_write_size");
	with = inherits;
	with.max_discard_erase_size = 512;
	check_refused(notes->id, &ops, &with, EINVAL, "max_discard_erase_size");
	less.discard = NULL;
	check_refused(notes->id, &less, &inherits, EINVAL, "discard");
	less = ops;
	less.write = NULL;
	check_refused(notes->id, &less, &inherits, EINVAL, "");
	check_refused(UINT64_C(1) << 62, &ops, &inherits, ENODEV, "");
	assert_int_equal(atomic_load(&notes->terminated), 0);
	assert_int_equal(end_write(begin_write(notes->path, 'd')), 0);
	assert_true(api_stop(&run)->result);
}

static void test_larger_limits_become_those_of_the_device(void **state)
{
	struct drivers of = start_one(&attrs);
	struct bdus_attrs with = attrs;

	(void)state;
	with.max_read_write_size = 1 << 20;
	with.recoverable = false;
	with.disable_partition_scanning = false;
	rerun(&of, &with);
	wait_for(&of.new->available);
	assert_int_equal(of.new->attrs.max_read_write_size, 65536);
	assert_true(of.new->attrs.recoverable);
	assert_true(of.new->attrs.disable_partition_scanning);
	assert_true(api_wait(&of.first)->result);
	assert_true(api_stop(&of.second)->result);
}

static void test_a_device_that_is_not_recoverable_ends_with_its_driver(void **state)
{
	struct bdus_attrs with = attrs;
	struct bdus_device_info info;
	struct api_run run;
	struct notes *notes;

	(void)state;
	with.recoverable = false;
	notes = start(&run, &with);
	assert_false(notes->attrs.recoverable);
	if (is_over("ublk"))
		check_refused(notes->id, &ops, &inherits, ENOTSUP, "recoverable");
	assert_int_equal(atomic_load(&notes->terminated), 0);
	atomic_store(&notes->write_result, bdus_abort);
	assert_int_equal(end_write(begin_write(notes->path, 'e')), 1);
	assert_false(api_wait(&run)->result);
	assert_int_equal(bdus_manage_find_id(notes->id, &info), -ENODEV);
}

/** It is given another driver all the same, where the way in can do that, and is not kept by it. */
static void test_a_device_that_is_not_recoverable_is_given_another_driver(void **state)
{
	struct bdus_attrs with = attrs;
	struct bdus_device_info info;
	struct drivers of;
	pid_t writer;

	(void)state;
	if (is_over("ublk"))
		skip();
	with.recoverable = false;
	of = start_one(&with);
	of.old->write_ms = 300;
	writer = begin_write(of.old->path, 'j');
	wait_for(&of.old->writing);
	rerun(&of, &inherits);
	assert_int_equal(end_write(writer), 0);
	wait_for(&of.new->available);
	assert_true(api_wait(&of.first)->result);
	assert_int_equal(atomic_load(&of.new->writes), 0);
	assert_false(of.new->attrs.recoverable);
	assert_int_equal(end_write(begin_write(of.new->path, 'k')), 0);
	assert_int_equal(of.old->common->memory[0], 'k');
	atomic_store(&of.new->write_result, bdus_abort);
	assert_int_equal(end_write(begin_write(of.new->path, 'l')), 1);
	assert_false(api_wait(&of.second)->result);
	assert_int_equal(bdus_manage_find_id(of.new->id, &info), -ENODEV);
}

/** Then there is nobody to keep the device. */
static void test_a_device_that_is_not_recoverable_ends_when_its_new_driver_fails(void **state)
{
	struct bdus_attrs with = attrs;
	struct bdus_device_info info;
	struct drivers of;

	(void)state;
	if (is_over("ublk"))
		skip();
	with.recoverable = false;
	of = start_one(&with);
	of.new->initialize_result = EILSEQ;
	rerun(&of, &inherits);
	assert_true(api_wait(&of.first)->result);
	assert_false(api_wait(&of.second)->result);
	assert_int_equal(of.second.outcome->errnum, EILSEQ);
	assert_int_equal(bdus_manage_find_id(of.old->id, &info), -ENODEV);
	assert_int_equal(access(of.old->path, F_OK), -1);
}

static void test_a_driver_that_aborts_leaves_a_recoverable_device(void **state)
{
	struct drivers of = start_one(&attrs);
	struct bdus_device_info info;
	pid_t writer;

	(void)state;
	atomic_store(&of.old->write_result, bdus_abort);
	assert_int_equal(end_write(begin_write(of.old->path, 'f')), 1);
	assert_false(api_wait(&of.first)->result);
	assert_int_equal(of.first.outcome->errnum, EIO);
	assert_true(atomic_load(&of.old->terminated) != 0);
	assert_int_equal(bdus_manage_find_id(of.old->id, &info), 0);
	assert_int_equal(info.state, BDUS_STATE_ORPHANED);
	writer = begin_write(of.old->path, 'g');
	rerun(&of, &inherits);
	assert_int_equal(end_write(writer), 0);
	assert_int_equal(of.old->common->memory[0], 'g');
	wait_for(&of.new->available);
	assert_true(bdus_flush_dev(of.old->id));
	assert_true(api_stop(&of.second)->result);
}

/** Whether the old one terminates successfully does not matter to the new one. */
static void test_terminate_may_fail(void **state)
{
	struct drivers of = start_one(&attrs);

	(void)state;
	of.old->terminate_result = ENOSPC;
	rerun(&of, &inherits);
	wait_for(&of.new->available);
	assert_false(api_wait(&of.first)->result);
	assert_int_equal(of.first.outcome->errnum, ENOSPC);
	assert_true(api_stop(&of.second)->result);
}

static void test_a_new_driver_that_fails_leaves_the_device_to_another(void **state)
{
	struct drivers of = start_one(&attrs);
	struct notes *const good = make_notes(of.old->common);
	struct api_run third;
	struct bdus_device_info info;

	(void)state;
	of.new->initialize_result = EILSEQ;
	rerun(&of, &inherits);
	assert_true(api_wait(&of.first)->result);
	assert_false(api_wait(&of.second)->result);
	assert_int_equal(of.second.outcome->errnum, EILSEQ);
	assert_int_equal(atomic_load(&of.new->terminated), 0);
	assert_int_equal(bdus_manage_find_id(of.old->id, &info), 0);
	assert_int_equal(info.state, BDUS_STATE_ORPHANED);
	api_start_again(&third, of.old->id, &ops, &inherits, good);
	wait_for(&good->available);
	assert_int_equal(end_write(begin_write(good->path, 'h')), 0);
	assert_true(api_stop(&third)->result);
}

static void test_a_killed_driver_has_its_request_repeated(void **state)
{
	struct drivers of = start_one(&attrs);
	pid_t writer;

	(void)state;
	of.old->write_ms = 60000;
	writer = begin_write(of.old->path, 'i');
	wait_for(&of.old->writing);
	assert_int_equal(kill(of.first.pid, SIGKILL), 0);
	assert_int_equal(waitpid(of.first.pid, NULL, 0), of.first.pid);
	rerun(&of, &inherits);
	assert_int_equal(end_write(writer), 0);
	assert_int_equal(of.old->common->memory[0], 'i');
	assert_int_equal(atomic_load(&of.new->writes), 1);
	wait_for(&of.new->available);
	assert_true(api_stop(&of.second)->result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		api_block_test(test_a_driver_takes_the_place_of_another),
		api_block_test(test_a_request_in_flight_is_served_once),
		api_block_test(test_what_does_not_fit_is_refused_and_the_driver_goes_on),
		api_block_test(test_larger_limits_become_those_of_the_device),
		api_block_test(test_a_device_that_is_not_recoverable_ends_with_its_driver),
		api_block_test(test_a_device_that_is_not_recoverable_is_given_another_driver),
		api_block_test(
			test_a_device_that_is_not_recoverable_ends_when_its_new_driver_fails),
		api_block_test(test_a_driver_that_aborts_leaves_a_recoverable_device),
		api_block_test(test_terminate_may_fail),
		api_block_test(test_a_new_driver_that_fails_leaves_the_device_to_another),
		api_block_test(test_a_killed_driver_has_its_request_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
