/* SPDX-License-Identifier: MIT */
/*
 * Completions: from the queue's thread and from others, once and no more.
 */
#include "base/bits.h"
#include "fake.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define READ_WRITE (BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE))
#define THREADS    4
#define EACH       32

static struct fake fake;
static struct bdus_io ios[THREADS * EACH];
static char payload[4096];

static const struct bdus_device_attrs plain = {.size_bytes = 1 << 20};

static void *complete_each(void *argument)
{
	const unsigned first = *(const unsigned *)argument * EACH;

	for (unsigned i = first; i < first + EACH; i++)
		bdus_complete_from_any_thread(fake.pending[i], i % 2 == 0 ? 0 : -ENOSPC);
	return NULL;
}

static void completions_of_many_threads_all_arrive_once(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		unsigned numbers[THREADS];
		pthread_t threads[THREADS];
		unsigned came[THREADS * EACH] = {0};

		fake_init(&fake, plain, READ_WRITE);
		for (unsigned i = 0; i < THREADS * EACH; i++)
			fake_issue(&fake, &ios[i], BDUS_OP_READ, 0, 0, 512, payload);
		for (unsigned i = 0; i < THREADS; i++) {
			numbers[i] = i;
			assert_int_equal(
				pthread_create(&threads[i], NULL, complete_each, &numbers[i]), 0);
		}
		fake_wait(&fake, THREADS * EACH);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		for (unsigned i = 0; i < THREADS * EACH; i++)
			came[fake.committed[i] - ios]++;
		for (unsigned i = 0; i < THREADS * EACH; i++) {
			assert_int_equal(came[i], 1);
			assert_int_equal(ios[i].result, i % 2 == 0 ? 0 : -ENOSPC);
		}
		fake_finish(&fake);
	}
}

static void *complete_late(void *argument)
{
	usleep(20000);
	bdus_complete_from_any_thread(argument, 0);
	return NULL;
}

static void a_completion_wakes_a_queue_that_sleeps(void **state)
{
	pthread_t thread;

	(void)state;
	fake_init(&fake, plain, READ_WRITE);
	fake_issue(&fake, &ios[0], BDUS_OP_READ, 0, 0, 512, payload);
	assert_int_equal(pthread_create(&thread, NULL, complete_late, fake.pending[0]), 0);
	/* Without the wake-up this would not return. */
	assert_int_equal(bdus_loop_turn(fake.loop, -1), 0);
	pthread_join(thread, NULL);
	bdus_loop_turn(fake.loop, 0);
	assert_int_equal(fake.commit_count, 1);
	fake_finish(&fake);
}

static void *wake_soon(void *loop)
{
	usleep(20000);
	bdus_loop_wake(loop);
	return NULL;
}

static void a_loop_that_looks_before_it_sleeps_hears_who_wakes_it(void **state)
{
	pthread_t thread;

	(void)state;
	fake_init(&fake, plain, READ_WRITE);
	bdus_loop_allow_polling(fake.loop, UINT64_C(200) * 1000 * 1000);
	fake.loop->awake_ns = UINT64_C(200) * 1000 * 1000;
	assert_int_equal(pthread_create(&thread, NULL, wake_soon, fake.loop), 0);
	/* The word comes while it looks. If it then slept, this would not return. */
	assert_int_equal(bdus_loop_turn(fake.loop, -1), 0);
	pthread_join(thread, NULL);
	fake_finish(&fake);
}

static void a_piece_completed_elsewhere_lets_the_next_one_go(void **state)
{
	struct bdus_device_attrs attrs = plain;
	pthread_t thread;

	(void)state;
	attrs.max_discard_bytes = 4096;
	fake_init(&fake, attrs, READ_WRITE | BDUS_OP_BIT(BDUS_OP_DISCARD));
	fake_issue(&fake, &ios[0], BDUS_OP_DISCARD, 0, 0, 8192, NULL);
	assert_int_equal(pthread_create(&thread, NULL, complete_late, fake.pending[0]), 0);
	pthread_join(thread, NULL);
	assert_int_equal(fake.seen_count, 1);
	bdus_loop_turn(fake.loop, 0);
	assert_int_equal(fake.seen_count, 2);
	bdus_complete_from_any_thread(fake.pending[1], 0);
	fake_wait(&fake, 1);
	assert_int_equal(ios[0].result, 0);
	fake_finish(&fake);
}

static void more_requests_than_a_batch_are_committed_in_batches(void **state)
{
	static struct bdus_io many[BDUS_BATCH];

	(void)state;
	fake_init(&fake, plain, READ_WRITE);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < BDUS_BATCH; i++) {
			bdus_io_init(&many[i]);
			bdus_io_prepare(&many[i], BDUS_OP_READ, 0, 0, 512, payload);
			fake.to_fetch[fake.fetch_count++] = &many[i];
		}
		bdus_host_make_ready(&fake.queue);
		fake.at_once = true;
		assert_int_equal(bdus_loop_turn(fake.loop, 0), BDUS_BATCH);
	}
	fake_wait(&fake, 3 * BDUS_BATCH);
	fake_finish(&fake);
}

/* ---- wrong drivers -------------------------------------------------------------------------- */

static void complete_twice(void)
{
	fake_issue(&fake, &ios[0], BDUS_OP_READ, 0, 0, 512, payload);
	bdus_complete(fake.pending[0], 0);
	bdus_complete(fake.pending[0], 0);
}

static void complete_twice_from_any_thread(void)
{
	fake_issue(&fake, &ios[0], BDUS_OP_READ, 0, 0, 512, payload);
	bdus_complete_from_any_thread(fake.pending[0], 0);
	bdus_complete_from_any_thread(fake.pending[0], 0);
}

static void complete_never(void)
{
	fake_issue(&fake, &ios[0], BDUS_OP_READ, 0, 0, 512, payload);
	bdus_queue_end(&fake.queue);
}

static void issue_many(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fake_issue(&fake, &ios[i], BDUS_OP_READ, 0, i * 4096, 512, payload);
}

static void complete_one_of_many(void)
{
	issue_many(3);
	bdus_complete(fake.pending[1], 0);
	bdus_complete(fake.pending[0], 0);
	bdus_queue_end(&fake.queue);
}

static void never_complete_many(void)
{
	issue_many(20);
	bdus_queue_end(&fake.queue);
}

/** What a child that does @wrong says before it ends; it must end by abort(). */
static void assert_aborts(void (*wrong)(void), const char *says)
{
	char text[4096] = "";
	size_t length = 0;
	int ends[2];
	ssize_t more;
	pid_t child;
	int status;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		fake_init(&fake, plain, READ_WRITE);
		wrong();
		_exit(0);
	}
	close(ends[1]);
	while ((more = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)more;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_non_null(strstr(text, says));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void completing_twice_or_never_aborts_where_that_is_checked(void **state)
{
	(void)state;
	if (!BDUS_DEBUG_CHECKS)
		skip();
	assert_aborts(complete_twice, "second time: read request at offset 0, length 512");
	assert_aborts(complete_twice_from_any_thread, "second time");
	assert_aborts(complete_never, "never completed: read request at offset 0, length 512");
	assert_aborts(complete_one_of_many,
		      "never completed: read request at offset 8192, length 512");
	assert_aborts(never_complete_many, "never completed: 4 more");
}

static void completing_twice_counts_once_where_it_is_not_checked(void **state)
{
	(void)state;
	if (BDUS_DEBUG_CHECKS)
		skip();
	fake_init(&fake, plain, READ_WRITE);
	complete_twice();
	fake_wait(&fake, 1);
	bdus_loop_turn(fake.loop, 0);
	assert_int_equal(fake.commit_count, 1);
	fake_finish(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(completions_of_many_threads_all_arrive_once),
		cmocka_unit_test(a_completion_wakes_a_queue_that_sleeps),
		cmocka_unit_test(a_loop_that_looks_before_it_sleeps_hears_who_wakes_it),
		cmocka_unit_test(a_piece_completed_elsewhere_lets_the_next_one_go),
		cmocka_unit_test(more_requests_than_a_batch_are_committed_in_batches),
		cmocka_unit_test(completing_twice_or_never_aborts_where_that_is_checked),
		cmocka_unit_test(completing_twice_counts_once_where_it_is_not_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
