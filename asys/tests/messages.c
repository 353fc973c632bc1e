/* SPDX-License-Identifier: MIT */
/*
 * How messages go together, whatever carries them out: links, cancelling, deadlines, threads, the
 * descriptor, and the end. Run once for each way; see TEST_MAIN().
 */
#include "asys_test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- links --------------------------------------------------------------------------------- */

static void test_linked_writes_and_reads_run_in_order(void **state)
{
	const char *const directories[] = {"/var/tmp", "/dev/shm"};

	for (unsigned round = 0; round < 20; round++) {
		const int file = test_file(directories[round % 2], 0);
		struct asys_message messages[9];
		uint64_t in[8], out;

		for (unsigned i = 0; i < 8; i++) {
			in[i] = round * 1000 + i;
			asys_prep_write(&messages[i], file, &in[i], sizeof(in[i]), 0);
			messages[i].flags = i % 3 == 0   ? ASYS_LINK_SUCCESS
					    : i % 3 == 1 ? ASYS_LINK_AFTER
							 : ASYS_LINK_HARD;
		}
		asys_prep_read(&messages[8], file, &out, sizeof(out), 0);
		test_run(*state, messages, 9);
		for (unsigned i = 0; i < 9; i++)
			assert_int_equal(messages[i].result, 8);
		assert_true(out == in[7]);
		close(file);
	}
}

static void test_links_join_calls_of_all_kinds(void **state)
{
	struct asys_message messages[5];
	const uint64_t begin = test_now_ns();
	char buffer[4] = "";
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_timeout(&messages[0], begin + 10 * MS);
	messages[0].flags = ASYS_LINK_SUCCESS;
	asys_prep(&messages[1], SYS_getppid, 0, 0, 0, 0, 0, 0);
	messages[1].flags = ASYS_LINK_SUCCESS;
	asys_prep_nop(&messages[2]);
	messages[2].flags = ASYS_LINK_SUCCESS;
	asys_prep_write(&messages[3], ends[1], "abc", 3, -1);
	messages[3].flags = ASYS_LINK_SUCCESS;
	asys_prep_read(&messages[4], ends[0], buffer, 3, -1);
	test_run(*state, messages, 5);
	assert_true(test_now_ns() >= begin + 10 * MS);
	assert_int_equal(messages[1].result, getppid());
	assert_int_equal(messages[4].result, 3);
	assert_string_equal(buffer, "abc");
	close(ends[0]);
	close(ends[1]);
}

static void test_success_links_end_at_an_error_or_a_short_read(void **state)
{
	const int file = test_file("/var/tmp", 100);
	struct asys_message messages[4];
	char buffer[200];

	asys_prep_read(&messages[0], file, buffer, 200, 0);
	messages[0].flags = ASYS_LINK_SUCCESS;
	asys_prep_nop(&messages[1]);
	messages[1].flags = ASYS_LINK_SUCCESS;
	asys_prep_nop(&messages[2]);
	messages[2].flags = ASYS_LINK_HARD;
	asys_prep_nop(&messages[3]);
	test_run(*state, messages, 4);
	assert_int_equal(messages[0].result, 100);
	assert_int_equal(messages[1].result, -ECANCELED);
	assert_int_equal(messages[2].result, -ECANCELED);
	assert_int_equal(messages[3].result, 0);
	asys_prep_read(&messages[0], -1, buffer, 200, 0);
	messages[0].flags = ASYS_LINK_SUCCESS;
	asys_prep_nop(&messages[1]);
	test_run(*state, messages, 2);
	assert_int_equal(messages[0].result, -EBADF);
	assert_int_equal(messages[1].result, -ECANCELED);
	close(file);
}

static void test_after_links_pass_errors_but_not_cancels(void **state)
{
	struct asys_message messages[3], *batch[3];
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&messages[0], -1, &byte, 1, 0);
	messages[0].flags = ASYS_LINK_AFTER;
	asys_prep_read(&messages[1], ends[0], &byte, 1, -1);
	messages[1].flags = ASYS_LINK_AFTER;
	messages[1].deadline_ns = asys_deadline(10);
	asys_prep_nop(&messages[2]);
	test_run(*state, messages, 3);
	assert_int_equal(messages[0].result, -EBADF);
	assert_int_equal(messages[1].result, -ETIMEDOUT);
	assert_int_equal(messages[2].result, -ECANCELED);

	asys_prep_read(&messages[0], ends[0], &byte, 1, -1);
	messages[0].flags = ASYS_LINK_HARD;
	asys_prep_nop(&messages[1]);
	messages[1].flags = ASYS_LINK_AFTER;
	asys_prep_nop(&messages[2]);
	for (unsigned i = 0; i < 3; i++)
		batch[i] = &messages[i];
	assert_int_equal(asys_send(*state, batch, 3), 3);
	/* Stopped before its turn, it still completes in its turn. */
	assert_int_equal(asys_cancel(*state, &messages[1]), 0);
	assert_int_equal(asys_reap(*state, batch, 3), 0);
	assert_int_equal(asys_cancel(*state, &messages[0]), 0);
	assert_ptr_equal(test_wait_one(*state), &messages[0]);
	assert_ptr_equal(test_wait_one(*state), &messages[1]);
	assert_ptr_equal(test_wait_one(*state), &messages[2]);
	assert_int_equal(messages[0].result, -ECANCELED);
	assert_int_equal(messages[1].result, -ECANCELED);
	assert_int_equal(messages[2].result, -ECANCELED);
	close(ends[0]);
	close(ends[1]);
}

static void test_a_link_to_nothing_is_refused(void **state)
{
	struct asys_message messages[2], *batch[2] = {&messages[0], &messages[1]};

	asys_prep_nop(&messages[0]);
	asys_prep_nop(&messages[1]);
	messages[1].flags = ASYS_LINK_AFTER;
	assert_int_equal(asys_send(*state, batch, 2), -EINVAL);
	messages[1].flags = 0;
	messages[0].flags = ASYS_LINK_AFTER | ASYS_LINK_HARD;
	assert_int_equal(asys_send(*state, batch, 2), -EINVAL);
	assert_int_equal(asys_pending(*state), 0);
	messages[0].flags = ASYS_LINK_AFTER;
	test_run(*state, messages, 2);
}

/* ---- cancelling and deadlines -------------------------------------------------------------- */

static void cancel_waiting(struct asys *asys, struct asys_message *message)
{
	test_send(asys, message);
	usleep(2000);
	assert_int_equal(asys_cancel(asys, message), 0);
	assert_ptr_equal(test_wait_one(asys), message);
	assert_int_equal(message->result, -ECANCELED);
	assert_int_equal(asys_cancel(asys, message), -ENOENT);
}

static void test_what_waits_can_be_cancelled(void **state)
{
	struct asys_message message;
	char byte;
	int ends[2], sockets[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	asys_prep_read(&message, ends[0], &byte, 1, -1);
	cancel_waiting(*state, &message);
	asys_prep_poll(&message, ends[0], POLLIN);
	cancel_waiting(*state, &message);
	asys_prep_recv(&message, sockets[0], &byte, 1, 0);
	cancel_waiting(*state, &message);
	asys_prep_timeout(&message, asys_deadline(100000));
	cancel_waiting(*state, &message);
	close(ends[0]);
	close(ends[1]);
	close(sockets[0]);
	close(sockets[1]);
}

static void test_a_call_in_a_worker_is_said_not_to_be_cancellable(void **state)
{
	struct timespec pause = {0, 400000000};
	struct asys_message message;

	asys_prep(&message, SYS_nanosleep, asys_pointer(&pause), 0, 0, 0, 0, 0);
	test_send(*state, &message);
	usleep(100000);
	assert_int_equal(asys_cancel(*state, &message), -EALREADY);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, 0);
}

static void test_what_completed_is_not_cancelled(void **state)
{
	struct asys_message message;

	asys_prep_nop(&message);
	assert_int_equal(asys_cancel(*state, &message), -ENOENT);
	test_send(*state, &message);
	usleep(100000);
	assert_int_equal(asys_cancel(*state, &message), -EALREADY);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, 0);
}

static void test_a_message_cancels_another(void **state)
{
	struct asys_message message, cancel;
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&message, ends[0], &byte, 1, -1);
	test_send(*state, &message);
	usleep(2000);
	asys_prep_cancel(&cancel, &message);
	test_send(*state, &cancel);
	test_wait_one(*state);
	test_wait_one(*state);
	assert_int_equal(cancel.result, 0);
	assert_int_equal(message.result, -ECANCELED);
	close(ends[0]);
	close(ends[1]);
}

static void test_deadlines_end_what_waits(void **state)
{
	struct asys_message message;
	uint64_t begin;
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&message, ends[0], &byte, 1, -1);
	message.deadline_ns = begin = asys_deadline(20);
	assert_int_equal(test_result(*state, &message), -ETIMEDOUT);
	assert_true(test_now_ns() >= begin);
	message.deadline_ns = 1;
	assert_int_equal(test_result(*state, &message), -ETIMEDOUT);
	assert_int_equal(write(ends[1], "x", 1), 1);
	message.deadline_ns = asys_deadline(100000);
	assert_int_equal(test_result(*state, &message), 1);
	asys_prep_timeout(&message, asys_deadline(100000));
	message.deadline_ns = asys_deadline(5);
	assert_int_equal(test_result(*state, &message), -ETIMEDOUT);
	close(ends[0]);
	close(ends[1]);
}

static void test_a_call_that_cannot_be_stopped_outlives_its_deadline(void **state)
{
	struct timespec pause = {0, 500000000};
	struct asys_message message;

	asys_prep(&message, SYS_nanosleep, asys_pointer(&pause), 0, 0, 0, 0, 0);
	message.deadline_ns = asys_deadline(250);
	assert_int_equal(test_result(*state, &message), 0);
}

static void test_many_deadlines_are_each_kept(void **state)
{
	enum {
		COUNT = 200
	};
	struct asys_message *const messages = calloc(COUNT, sizeof(*messages));
	const uint64_t begin = test_now_ns();
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		asys_prep_read(&messages[i], ends[0], &byte, 1, -1);
		messages[i].deadline_ns = begin + ((i * 7919) % 50 + 1) * MS;
		test_send(*state, &messages[i]);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		struct asys_message *const one = test_wait_one(*state);

		assert_int_equal(one->result, -ETIMEDOUT);
		assert_true(test_now_ns() >= one->deadline_ns);
	}
	free(messages);
	close(ends[0]);
	close(ends[1]);
}

/* ---- other threads ------------------------------------------------------------------------- */

enum {
	POSTERS = 4,
	POSTED = 2000
};

struct poster {
	struct asys *asys;
	pthread_t thread;
	struct asys_message *messages;
};

static void *post_all(void *argument)
{
	struct poster *const poster = argument;
	struct asys_message *pair[2];

	for (unsigned i = 0; i < POSTED; i += 2) {
		pair[0] = &poster->messages[i];
		pair[1] = &poster->messages[i + 1];
		asys_prep_nop(pair[0]);
		pair[0]->flags = (i % 4) ? ASYS_LINK_AFTER : 0;
		asys_prep(pair[1], SYS_getppid, 0, 0, 0, 0, 0, 0);
		if (i % 64)
			asys_prep_nop(pair[1]);
		if (asys_post(poster->asys, pair, 2) != 2)
			abort();
	}
	return NULL;
}

static void test_messages_posted_by_threads_complete_once_each(void **state)
{
	struct poster posters[POSTERS];
	struct asys_message *completed[64];
	unsigned seen = 0;

	for (unsigned i = 0; i < POSTERS; i++) {
		posters[i].asys = *state;
		posters[i].messages = calloc(POSTED, sizeof(struct asys_message));
		pthread_create(&posters[i].thread, NULL, post_all, &posters[i]);
	}
	while (seen < POSTERS * POSTED) {
		const int count = test_wait(*state, completed, 64);

		assert_in_range(count, 1, 64);
		for (int i = 0; i < count; i++) {
			assert_null(completed[i]->user);
			completed[i]->user = completed;
		}
		seen += (unsigned)count;
	}
	for (unsigned i = 0; i < POSTERS; i++) {
		pthread_join(posters[i].thread, NULL);
		free(posters[i].messages);
	}
	assert_int_equal(asys_pending(*state), 0);
}

static void *post_one_later(void *argument)
{
	struct poster *const poster = argument;

	usleep(20000);
	asys_prep_nop(poster->messages);
	if (asys_post(poster->asys, &poster->messages, 1) != 1)
		abort();
	return NULL;
}

static void test_a_post_wakes_an_owner_that_waits_for_ever(void **state)
{
	struct asys_message message, *completed;
	struct poster poster = {.asys = *state, .messages = &message};

	pthread_create(&poster.thread, NULL, post_one_later, &poster);
	while (asys_wait(*state, &completed, 1, -1) == 0)
		;
	assert_ptr_equal(completed, &message);
	pthread_join(poster.thread, NULL);
	assert_int_equal(asys_ready(*state), 0);
}

static void *wake_later(void *argument)
{
	usleep(20000);
	if (asys_wake(argument) != 0)
		abort();
	return NULL;
}

static void test_a_wake_ends_one_wait_whether_it_comes_before_or_during(void **state)
{
	struct asys_message *completed;
	pthread_t thread;

	assert_int_equal(asys_wake(*state), 0);
	assert_int_equal(asys_wake(*state), 0);
	assert_int_equal(asys_wait(*state, &completed, 1, -1), 0);
	pthread_create(&thread, NULL, wake_later, *state);
	assert_int_equal(asys_wait(*state, &completed, 1, -1), 0);
	pthread_join(thread, NULL);
	assert_int_equal(asys_wait(*state, &completed, 1, 10), 0);
	assert_int_equal(asys_pending(*state), 0);
}

/* ---- the descriptor ------------------------------------------------------------------------ */

static bool is_readable(int file, int timeout_ms)
{
	struct pollfd look = {.fd = file, .events = POLLIN};

	return poll(&look, 1, timeout_ms) == 1;
}

static void test_the_descriptor_tells_of_a_wake(void **state)
{
	struct asys_message *completed;
	const int file = asys_fd(*state);

	assert_true(file >= 0);
	while (is_readable(file, 0))
		assert_int_equal(asys_reap(*state, &completed, 1), 0);
	assert_int_equal(asys_wake(*state), 0);
	assert_true(is_readable(file, PATIENCE_MS));
	for (unsigned turns = 0; is_readable(file, 0); turns++) {
		assert_true(turns < 8);
		assert_int_equal(asys_reap(*state, &completed, 1), 0);
	}
}

/** Waits by the descriptor alone, as a program with a loop of its own. */
static struct asys_message *poll_one(struct asys *asys, int file)
{
	struct asys_message *completed;

	while (asys_reap(asys, &completed, 1) == 0)
		if (!is_readable(file, PATIENCE_MS))
			fail_msg("the descriptor does not tell");
	return completed;
}

/** Reaps nothing, until the descriptor says so, too. */
static void assert_quiet(struct asys *asys, int file)
{
	struct asys_message *completed;

	for (unsigned i = 0; i < 10 && is_readable(file, 5); i++)
		assert_int_equal(asys_reap(asys, &completed, 1), 0);
	assert_false(is_readable(file, 0));
}

static void test_the_descriptor_tells_of_every_completion(void **state)
{
	const int shared = test_file("/dev/shm", 4096);
	const int disk = test_file("/var/tmp", 4096);
	const int file = asys_fd(*state);
	struct asys_message message, message2;
	struct poster poster = {.asys = *state, .messages = &message};
	uint8_t buffer[16], buffer2[16];
	int ends[2];

	assert_true(file >= 0);
	assert_int_equal(pipe(ends), 0);
	assert_quiet(*state, file);
	asys_prep_read(&message, shared, buffer, 16, 0);
	test_send(*state, &message);
	assert_true(is_readable(file, PATIENCE_MS));
	assert_ptr_equal(poll_one(*state, file), &message);
	assert_quiet(*state, file);
	asys_prep_read(&message, disk, buffer, 16, 0);
	asys_prep_read(&message2, shared, buffer2, 16, 0);
	test_send(*state, &message);
	test_send(*state, &message2);
	poll_one(*state, file);
	assert_true(is_readable(file, PATIENCE_MS));
	poll_one(*state, file);
	assert_quiet(*state, file);
	asys_prep(&message, SYS_getppid, 0, 0, 0, 0, 0, 0);
	test_send(*state, &message);
	assert_ptr_equal(poll_one(*state, file), &message);
	asys_prep_read(&message, ends[0], buffer, 1, -1);
	test_send(*state, &message);
	assert_quiet(*state, file);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_ptr_equal(poll_one(*state, file), &message);
	message.deadline_ns = asys_deadline(20);
	test_send(*state, &message);
	assert_ptr_equal(poll_one(*state, file), &message);
	assert_int_equal(message.result, -ETIMEDOUT);
	asys_prep_timeout(&message, asys_deadline(20));
	test_send(*state, &message);
	assert_ptr_equal(poll_one(*state, file), &message);
	for (unsigned i = 0; i < 3; i++) {
		assert_quiet(*state, file);
		pthread_create(&poster.thread, NULL, post_one_later, &poster);
		assert_ptr_equal(poll_one(*state, file), &message);
		pthread_join(poster.thread, NULL);
	}
	close(shared);
	close(disk);
	close(ends[0]);
	close(ends[1]);
}

static void test_chains_run_by_the_descriptor_alone(void **state)
{
	const int file = asys_fd(*state);
	const int disk = test_file("/var/tmp", 4096);
	struct asys_message messages[6], *batch[6];
	uint8_t buffer[16];

	for (unsigned i = 0; i < 6; i++) {
		asys_prep_read(&messages[i], disk, buffer, 16, 0);
		if (i % 2)
			asys_prep(&messages[i], SYS_getppid, 0, 0, 0, 0, 0, 0);
		messages[i].flags = i < 5 ? ASYS_LINK_SUCCESS : 0;
		batch[i] = &messages[i];
	}
	assert_int_equal(asys_send(*state, batch, 6), 6);
	for (unsigned i = 0; i < 6; i++)
		assert_ptr_equal(poll_one(*state, file), &messages[i]);
	close(disk);
}

static void test_queued_messages_go_with_the_wait(void **state)
{
	const int disk = test_file("/var/tmp", 4096);
	struct asys_message message, *batch = &message;
	uint8_t buffer[16];

	asys_prep_read(&message, disk, buffer, 16, 0);
	assert_int_equal(asys_queue(*state, &batch, 1), 1);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, 16);
	close(disk);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void test_closing_drains_when_asked(void **state)
{
	struct asys_message messages[2], *batch[2] = {&messages[0], &messages[1]};

	asys_prep_timeout(&messages[0], asys_deadline(20));
	messages[0].flags = ASYS_LINK_SUCCESS;
	asys_prep(&messages[1], SYS_getppid, 0, 0, 0, 0, 0, 0);
	assert_int_equal(asys_send(*state, batch, 2), 2);
	assert_int_equal(asys_close(*state, ASYS_CLOSE_DRAIN), 0);
	test_wait_one(*state);
	test_wait_one(*state);
	assert_int_equal(messages[0].result, 0);
	assert_int_equal(messages[1].result, getppid());
	assert_int_equal(asys_send(*state, batch, 2), -ESHUTDOWN);
	assert_int_equal(asys_post(*state, batch, 2), 2);
	test_wait_one(*state);
	test_wait_one(*state);
	assert_int_equal(messages[0].result, -ESHUTDOWN);
}

static void test_closing_cancels_when_asked(void **state)
{
	struct asys_message messages[4], *batch[4];
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&messages[0], ends[0], &byte, 1, -1);
	messages[0].flags = ASYS_LINK_HARD;
	asys_prep_nop(&messages[1]);
	asys_prep_timeout(&messages[2], asys_deadline(100000));
	asys_prep_poll(&messages[3], ends[0], POLLIN);
	for (unsigned i = 0; i < 4; i++)
		batch[i] = &messages[i];
	assert_int_equal(asys_send(*state, batch, 4), 4);
	usleep(2000);
	assert_int_equal(asys_close(*state, ASYS_CLOSE_CANCEL), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(test_wait_one(*state)->result, -ECANCELED);
	assert_int_equal(asys_pending(*state), 0);
	close(ends[0]);
	close(ends[1]);
}

static void test_destroying_waits_for_what_uses_memory(void **state)
{
	struct timespec pause = {0, 300000000};
	struct asys_message messages[4], *batch[4];
	struct asys *asys;
	uint32_t word = 0;
	char byte;
	int ends[2];

	(void)state;
	assert_int_equal(asys_create(&test_options, &asys), 0);
	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&messages[0], ends[0], &byte, 1, -1);
	asys_prep(&messages[1], SYS_nanosleep, asys_pointer(&pause), 0, 0, 0, 0, 0);
	asys_prep_futex_wait(&messages[2], &word, 0);
	asys_prep_timeout(&messages[3], asys_deadline(100000));
	for (unsigned i = 0; i < 4; i++)
		batch[i] = &messages[i];
	assert_int_equal(asys_send(asys, batch, 4), 4);
	/* A worker has to be in the call. */
	usleep(100000);
	asys_destroy(asys);
	assert_int_equal(messages[0].result, -ECANCELED);
	assert_int_equal(messages[1].result, 0);
	assert_int_equal(messages[2].result, -ECANCELED);
	assert_int_equal(messages[3].result, -ECANCELED);
	close(ends[0]);
	close(ends[1]);
	asys_destroy(NULL);
}

/** ThreadSanitizer does not bear threads in the child of a process that has some. */
#ifdef __SANITIZE_THREAD__
static const bool child_may_have_threads = false;
#else
static const bool child_may_have_threads = true;
#endif

static int as_child(struct asys *asys, struct asys_message *message)
{
	struct asys_message *completed;
	bool right = asys_send(asys, &message, 1) == -EBADF;

	right = right && strstr(asys_error(), "fork") != NULL;
	right = right && asys_post(asys, &message, 1) == -EBADF;
	right = right && asys_wait(asys, &completed, 1, -1) == -EBADF;
	right = right && asys_fd(asys) == -EBADF && asys_pending(asys) == -EBADF;
	asys_destroy(asys);
	if (right && child_may_have_threads) {
		if (asys_create(&test_options, &asys) != 0)
			return 1;
		asys_prep_nop(message);
		right = asys_send(asys, &message, 1) == 1 && test_wait(asys, &completed, 1) == 1;
		asys_destroy(asys);
	}
	return right ? 0 : 1;
}

static void test_the_child_of_a_fork_has_a_closed_handle(void **state)
{
	struct asys_message message, own;
	char byte;
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	asys_prep(&own, SYS_getppid, 0, 0, 0, 0, 0, 0);
	test_result(*state, &own);
	asys_prep_read(&message, ends[0], &byte, 1, -1);
	test_send(*state, &message);
	asys_prep_nop(&own);
	child = fork();
	if (child == 0)
		_exit(as_child(*state, &own));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, 1);
	close(ends[0]);
	close(ends[1]);
}

static void test_sending_twice_is_refused_or_aborts(void **state)
{
	struct asys_message message, *batch = &message;
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct asys *asys;

		freopen("/dev/null", "w", stderr);
		signal(SIGABRT, SIG_DFL);
		if (asys_create(&test_options, &asys) != 0)
			_exit(1);
		asys_prep_timeout(&message, asys_deadline(100000));
		asys_send(asys, &batch, 1);
		_exit(asys_send(asys, &batch, 1) == -EALREADY ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (BDUS_DEBUG_CHECKS)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	(void)state;
}

static void test_options_out_of_range_are_refused_by_name(void **state)
{
	struct asys_options options = test_options;
	struct asys *asys = NULL;

	(void)state;
	options.depth = 100000;
	assert_int_equal(asys_create(&options, &asys), -EINVAL);
	assert_non_null(strstr(asys_error(), "depth is 100000"));
	options = test_options;
	options.flags |= 1 << 30;
	assert_int_equal(asys_create(&options, &asys), -EINVAL);
	options.size = 3;
	assert_int_equal(asys_create(&options, &asys), -EINVAL);
	assert_null(asys);
}

/* ---- all at once --------------------------------------------------------------------------- */

struct storm {
	struct asys_message message;
	bool in_flight;
	uint64_t buffer;
};

static void prepare_any(struct storm *one, unsigned *seed, const int files[2], const int ends[2])
{
	struct asys_message *const message = &one->message;
	const int64_t offset = rand_r(seed) % 1000 * 8;

	switch (rand_r(seed) % 8) {
	case 0:
		asys_prep_nop(message);
		break;
	case 1:
	case 2:
		asys_prep_read(message, files[rand_r(seed) % 2], &one->buffer, 8, offset);
		break;
	case 3:
		asys_prep_write(message, files[rand_r(seed) % 2], &one->buffer, 8, offset);
		break;
	case 4:
		asys_prep_read(message, ends[0], &one->buffer, 1, -1);
		break;
	case 5:
		asys_prep_write(message, ends[1], &one->buffer, 1, -1);
		break;
	case 6:
		asys_prep_timeout(message, test_now_ns() + (unsigned)rand_r(seed) % 1000 * 1000U);
		break;
	default:
		asys_prep(message, SYS_getppid, 0, 0, 0, 0, 0, 0);
		break;
	}
	if (rand_r(seed) % 4 == 0)
		message->deadline_ns = test_now_ns() + (unsigned)rand_r(seed) % 3000 * 1000U;
}

static unsigned send_some(struct asys *asys, struct storm storms[], unsigned count, unsigned *seed,
			  const int files[2], const int ends[2])
{
	struct asys_message *batch[8];
	unsigned chosen = 0;

	for (unsigned tries = 0; tries < 16 && chosen < 8; tries++) {
		struct storm *const one = &storms[(unsigned)rand_r(seed) % count];

		if (one->in_flight)
			continue;
		prepare_any(one, seed, files, ends);
		one->message.flags = (uint16_t)((unsigned[]){0, ASYS_LINK_AFTER, ASYS_LINK_SUCCESS,
							     ASYS_LINK_HARD}[rand_r(seed) % 4]);
		one->in_flight = true;
		batch[chosen++] = &one->message;
	}
	if (chosen == 0)
		return 0;
	batch[chosen - 1]->flags = 0;
	assert_int_equal(asys_send(asys, batch, chosen), chosen);
	return chosen;
}

static unsigned reap_some(struct asys *asys, struct storm storms[], int timeout_ms)
{
	struct asys_message *completed[16];
	const int count = asys_wait(asys, completed, 16, timeout_ms);

	assert_in_range(count, 0, 16);
	for (int i = 0; i < count; i++) {
		struct storm *const one = (struct storm *)(void *)completed[i];

		assert_true(one >= storms && one->in_flight);
		one->in_flight = false;
	}
	return (unsigned)count;
}

static void test_a_storm_with_cancels_and_deadlines_completes_once_each(void **state)
{
	enum {
		COUNT = 128,
		ROUNDS = 3000
	};
	struct storm *const storms = calloc(COUNT, sizeof(*storms));
	const int files[2] = {test_file("/var/tmp", 8192), test_file("/dev/shm", 8192)};
	unsigned seed = 20261122, sent = 0, seen = 0;
	uint64_t limit;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct storm *const victim = &storms[(unsigned)rand_r(&seed) % COUNT];

		sent += send_some(*state, storms, COUNT, &seed, files, ends);
		if (rand_r(&seed) % 4 == 0 && victim->in_flight)
			asys_cancel(*state, &victim->message);
		seen += reap_some(*state, storms, round % 32 == 0 ? 1 : 0);
	}
	assert_int_equal(asys_close(*state, ASYS_CLOSE_CANCEL), 0);
	limit = asys_deadline(PATIENCE_MS);
	while (seen < sent) {
		assert_true(test_now_ns() < limit);
		seen += reap_some(*state, storms, 1000);
	}
	assert_int_equal(asys_pending(*state), 0);
	free(storms);
	for (unsigned i = 0; i < 2; i++) {
		close(files[i]);
		close(ends[i]);
	}
}

static const struct CMUnitTest tests[] = {
	TEST_CASE(test_linked_writes_and_reads_run_in_order),
	TEST_CASE(test_links_join_calls_of_all_kinds),
	TEST_CASE(test_success_links_end_at_an_error_or_a_short_read),
	TEST_CASE(test_after_links_pass_errors_but_not_cancels),
	TEST_CASE(test_a_link_to_nothing_is_refused),
	TEST_CASE(test_what_waits_can_be_cancelled),
	TEST_CASE(test_a_call_in_a_worker_is_said_not_to_be_cancellable),
	TEST_CASE(test_what_completed_is_not_cancelled),
	TEST_CASE(test_a_message_cancels_another),
	TEST_CASE(test_deadlines_end_what_waits),
	TEST_CASE(test_a_call_that_cannot_be_stopped_outlives_its_deadline),
	TEST_CASE(test_many_deadlines_are_each_kept),
	TEST_CASE(test_messages_posted_by_threads_complete_once_each),
	TEST_CASE(test_a_post_wakes_an_owner_that_waits_for_ever),
	TEST_CASE(test_a_wake_ends_one_wait_whether_it_comes_before_or_during),
	TEST_CASE(test_the_descriptor_tells_of_a_wake),
	TEST_CASE(test_the_descriptor_tells_of_every_completion),
	TEST_CASE(test_chains_run_by_the_descriptor_alone),
	TEST_CASE(test_queued_messages_go_with_the_wait),
	TEST_CASE(test_closing_drains_when_asked),
	TEST_CASE(test_closing_cancels_when_asked),
	TEST_CASE(test_destroying_waits_for_what_uses_memory),
	TEST_CASE(test_the_child_of_a_fork_has_a_closed_handle),
	TEST_CASE(test_sending_twice_is_refused_or_aborts),
	TEST_CASE(test_options_out_of_range_are_refused_by_name),
	TEST_CASE(test_a_storm_with_cancels_and_deadlines_completes_once_each),
};

TEST_MAIN(tests)
