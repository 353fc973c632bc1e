/* SPDX-License-Identifier: MIT */
/*
 * The elastic pool: how many threads there are when idle, in a burst, and under steady load.
 */
#include "base/clock.h"
#include "fake.h"
#include "workers.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define IDLE_MS      100
#define REQUESTS_MAX 256

/** What the requests of a test do; they find it in the pool's instance. */
struct load {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/** Calls in progress, and the most there ever were. */
	unsigned inside;
	unsigned most_inside;
	bool open;
	unsigned sleep_us;
	uint64_t compute_ns;
};

static struct fake fake;
static struct bdus_workers *workers;
static struct bdus_io ios[REQUESTS_MAX];
static struct load load;

static int handle_load(void *instance, struct bdus_request *request)
{
	struct load *const work = instance;
	const uint64_t compute_until = base_now_ns() + work->compute_ns;

	(void)request;
	pthread_mutex_lock(&work->lock);
	work->inside++;
	if (work->inside > work->most_inside)
		work->most_inside = work->inside;
	pthread_cond_broadcast(&work->changed);
	while (!work->open)
		pthread_cond_wait(&work->changed, &work->lock);
	pthread_mutex_unlock(&work->lock);
	if (work->sleep_us > 0)
		usleep(work->sleep_us);
	while (work->compute_ns > 0 && base_now_ns() < compute_until)
		;
	pthread_mutex_lock(&work->lock);
	work->inside--;
	pthread_mutex_unlock(&work->lock);
	return 0;
}

static void start_with(unsigned maximum, bool fixed, unsigned idle_ms)
{
	const struct bdus_device_attrs attrs = {.size_bytes = 1 << 20};
	const struct bdus_workers_policy policy = {
		.maximum = maximum, .idle_ms = idle_ms, .fixed = fixed};

	memset(&load, 0, sizeof(load));
	pthread_mutex_init(&load.lock, NULL);
	pthread_cond_init(&load.changed, NULL);
	load.open = true;
	assert_int_equal(bdus_workers_create(&policy, handle_load, &load, &workers), 0);
	memset(&fake, 0, sizeof(fake));
	fake_init_over(&fake, attrs, BDUS_OP_BIT(BDUS_OP_CACHE),
		       (struct bdus_layer){.submit = bdus_workers_submit, .instance = workers});
}

static void start(unsigned maximum, bool fixed)
{
	start_with(maximum, fixed, IDLE_MS);
}

static void finish(void)
{
	bdus_workers_destroy(workers);
	fake_finish(&fake);
	pthread_mutex_destroy(&load.lock);
	pthread_cond_destroy(&load.changed);
}

static void hold(void)
{
	pthread_mutex_lock(&load.lock);
	load.open = false;
	pthread_mutex_unlock(&load.lock);
}

static void let_go(void)
{
	pthread_mutex_lock(&load.lock);
	load.open = true;
	pthread_cond_broadcast(&load.changed);
	pthread_mutex_unlock(&load.lock);
}

static void issue(unsigned index)
{
	fake_issue(&fake, &ios[index], BDUS_OP_CACHE, 0, 0, 512, NULL);
}

static unsigned inside(void)
{
	unsigned count;

	pthread_mutex_lock(&load.lock);
	count = load.inside;
	pthread_mutex_unlock(&load.lock);
	return count;
}

/** Turns the queue and ticks the pool, as the engine does, until @count calls are in progress. */
static void turn_until_inside(unsigned count)
{
	const uint64_t deadline = base_deadline_ns(30000);

	while (inside() < count) {
		if (base_remaining_ms(deadline) == 0)
			fail_msg("%u of %u calls are in progress", inside(), count);
		bdus_workers_tick(workers);
		bdus_loop_turn(fake.loop, BDUS_WORKERS_TICK_MS);
	}
}

/** The same until @count requests came back. */
static void turn_until_committed(unsigned count)
{
	const uint64_t deadline = base_deadline_ns(30000);

	while (fake.commit_count < count) {
		if (base_remaining_ms(deadline) == 0)
			fail_msg("%u of %u requests came back", fake.commit_count, count);
		bdus_workers_tick(workers);
		bdus_loop_turn(fake.loop, BDUS_WORKERS_TICK_MS);
	}
}

static unsigned count_threads(void)
{
	DIR *const tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	unsigned count = 0;

	assert_non_null(tasks);
	while ((entry = readdir(tasks)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

static void wait_for_count(unsigned count, unsigned timeout_ms)
{
	const uint64_t deadline = base_deadline_ns(timeout_ms);

	while (bdus_workers_count(workers) != count) {
		if (base_remaining_ms(deadline) == 0)
			fail_msg("there are %u threads and should be %u",
				 bdus_workers_count(workers), count);
		usleep(1000);
	}
}

static void an_idle_pool_has_one_thread(void **state)
{
	(void)state;
	start(64, false);
	usleep(2 * IDLE_MS * 1000);
	assert_int_equal(bdus_workers_count(workers), 1);
	finish();
}

static void a_burst_of_blocked_calls_gets_as_many_threads(void **state)
{
	(void)state;
	start(64, false);
	hold();
	for (unsigned i = 0; i < 64; i++)
		issue(i);
	turn_until_inside(64);
	assert_int_equal(bdus_workers_count(workers), 64);
	let_go();
	turn_until_committed(64);
	finish();
}

static void a_burst_wakes_as_many_idle_threads_as_there_are_requests(void **state)
{
	const unsigned count = 16;

	(void)state;
	/* Nobody may be rescued by a thread that looks for work as it ends. */
	start_with(count, true, 3600 * 1000);
	for (unsigned round = 0; round < 20; round++) {
		fake.commit_count = 0;
		usleep(2000);
		hold();
		for (unsigned i = 0; i < count; i++)
			issue(i);
		turn_until_inside(count);
		let_go();
		turn_until_committed(count);
	}
	finish();
}

static void there_are_never_more_than_allowed(void **state)
{
	(void)state;
	start(5, false);
	load.sleep_us = 200;
	for (unsigned i = 0; i < REQUESTS_MAX; i++) {
		issue(i);
		assert_true(bdus_workers_count(workers) <= 5);
	}
	turn_until_committed(REQUESTS_MAX);
	assert_true(load.most_inside <= 5);
	finish();
}

static void threads_end_after_idleness_but_for_one(void **state)
{
	(void)state;
	start(32, false);
	hold();
	for (unsigned i = 0; i < 32; i++)
		issue(i);
	turn_until_inside(32);
	let_go();
	turn_until_committed(32);
	wait_for_count(1, 10000);
	usleep(2 * IDLE_MS * 1000);
	assert_int_equal(bdus_workers_count(workers), 1);
	finish();
}

static void one_request_at_a_time_needs_one_thread(void **state)
{
	(void)state;
	start(64, false);
	load.sleep_us = 100;
	for (unsigned i = 0; i < 200; i++) {
		issue(i);
		turn_until_committed(i + 1);
		assert_int_equal(bdus_workers_count(workers), 1);
	}
	finish();
}

static void threads_that_compute_are_not_joined_by_others(void **state)
{
	(void)state;
	start(64, false);
	load.compute_ns = UINT64_C(2) * 1000 * 1000;
	for (unsigned i = 0; i < 64; i++)
		issue(i);
	turn_until_committed(64);
	/* Taking the lock of the test's own load may look like being blocked, now and then. */
	assert_true(load.most_inside <= 8);
	finish();
}

/** Issues again each request that came back. */
static void issue_what_came_back(void)
{
	struct bdus_io *again[FAKE_REQUESTS_MAX];
	const unsigned count = fake.commit_count;

	memcpy(again, fake.committed, count * sizeof(again[0]));
	fake.commit_count = 0;
	for (unsigned i = 0; i < count; i++)
		fake_issue(&fake, again[i], BDUS_OP_CACHE, 0, 0, 512, NULL);
}

static void steady_load_settles_on_the_threads_that_it_needs(void **state)
{
	const unsigned in_flight = 4;
	uint64_t end;

	(void)state;
	start(64, false);
	load.sleep_us = 2000;
	for (unsigned i = 0; i < in_flight; i++)
		issue(i);
	for (end = base_deadline_ns(10 * IDLE_MS); base_remaining_ms(end) > 0;) {
		turn_until_committed(1);
		issue_what_came_back();
		assert_true(bdus_workers_count(workers) <= 2 * in_flight);
	}
	turn_until_committed(in_flight);
	assert_in_range(load.most_inside, in_flight - 1, in_flight);
	assert_in_range(bdus_workers_count(workers), in_flight - 1, 2 * in_flight);
	finish();
}

static void a_fixed_pool_has_all_threads_at_all_times(void **state)
{
	(void)state;
	start(16, true);
	assert_int_equal(bdus_workers_count(workers), 16);
	usleep(3 * IDLE_MS * 1000);
	assert_int_equal(bdus_workers_count(workers), 16);
	finish();
}

static void a_paused_pool_runs_nothing_until_resumed(void **state)
{
	(void)state;
	start(8, false);
	load.sleep_us = 20000;
	issue(0);
	turn_until_inside(1);
	bdus_workers_pause(workers);
	assert_int_equal(inside(), 0);
	for (unsigned i = 1; i < 8; i++)
		issue(i);
	for (unsigned i = 0; i < 20; i++) {
		bdus_workers_tick(workers);
		bdus_loop_turn(fake.loop, 1);
	}
	assert_int_equal(inside(), 0);
	bdus_workers_resume(workers);
	turn_until_committed(8);
	finish();
}

static void destroying_the_pool_ends_every_thread(void **state)
{
	/* Of the first pool: what a sanitizer starts with the first thread stays. */
	const unsigned before = (start(4, false), finish(), usleep(10000), count_threads());

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		uint64_t deadline;

		start(16, false);
		hold();
		for (unsigned i = 0; i < 16; i++)
			issue(i);
		turn_until_inside(16);
		let_go();
		turn_until_committed(16);
		finish();
		for (deadline = base_deadline_ns(10000); count_threads() > before;)
			assert_int_not_equal(base_remaining_ms(deadline), 0);
	}
}

static void requests_of_many_bursts_all_come_back(void **state)
{
	(void)state;
	start(16, false);
	for (unsigned round = 0; round < 50; round++) {
		const unsigned count = 1 + round % 40;

		fake.commit_count = 0;
		load.sleep_us = round % 3 == 0 ? 300 : 0;
		for (unsigned i = 0; i < count; i++)
			issue(i);
		turn_until_committed(count);
	}
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_pool_has_one_thread),
		cmocka_unit_test(a_burst_of_blocked_calls_gets_as_many_threads),
		cmocka_unit_test(a_burst_wakes_as_many_idle_threads_as_there_are_requests),
		cmocka_unit_test(there_are_never_more_than_allowed),
		cmocka_unit_test(threads_end_after_idleness_but_for_one),
		cmocka_unit_test(one_request_at_a_time_needs_one_thread),
		cmocka_unit_test(threads_that_compute_are_not_joined_by_others),
		cmocka_unit_test(steady_load_settles_on_the_threads_that_it_needs),
		cmocka_unit_test(a_fixed_pool_has_all_threads_at_all_times),
		cmocka_unit_test(a_paused_pool_runs_nothing_until_resumed),
		cmocka_unit_test(destroying_the_pool_ends_every_thread),
		cmocka_unit_test(requests_of_many_bursts_all_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
