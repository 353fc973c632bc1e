/* SPDX-License-Identifier: MIT */
/*
 * Statistics: what is counted, how times fall into buckets, who is timed, and what readers may do.
 */
#include "stats.h"

#include "base/clock.h"
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define READ_WRITE_DISCARD \
	(BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) | BDUS_OP_BIT(BDUS_OP_DISCARD))

static struct fake fake;
static struct bdus_io ios[256];
static struct bdus_stats_memory memory;
static struct bdus_stats *stats;
static char payload[4096];

static void setup(uint32_t queues)
{
	const struct bdus_device_attrs attrs = {.size_bytes = 1 << 20, .max_discard_bytes = 4096};

	assert_int_equal(bdus_stats_memory_init(&memory, queues, 32), 0);
	assert_int_equal(bdus_stats_open_fd(dup(memory.fd), &stats), 0);
	fake_init(&fake, attrs, READ_WRITE_DISCARD);
	fake.queue.stats = bdus_stats_part(&memory, queues - 1);
}

static void teardown(void)
{
	fake_finish(&fake);
	bdus_stats_close(stats);
	bdus_stats_memory_finish(&memory);
}

static struct bdus_op_stats of(uint32_t op)
{
	struct bdus_op_stats result;

	assert_int_equal(bdus_stats_read(stats, BDUS_STATS_ALL, op, &result), 0);
	return result;
}

static void each_request_counts_once_with_its_bytes_or_its_error(void **state)
{
	struct bdus_queue_stats queue;

	(void)state;
	setup(1);
	fake.at_once = true;
	fake.results[1] = -ENOSPC;
	fake_issue(&fake, &ios[0], BDUS_OP_READ, 0, 0, 4096, payload);
	fake_issue(&fake, &ios[1], BDUS_OP_WRITE, 0, 0, 512, payload);
	fake_issue(&fake, &ios[2], BDUS_OP_WRITE, 0, 0, 1024, payload);
	/* Past the end of the device: refused before the driver sees it. */
	fake_issue(&fake, &ios[3], BDUS_OP_READ, 0, 1 << 20, 512, payload);
	/* Three pieces below, one request above. */
	fake_issue(&fake, &ios[4], BDUS_OP_DISCARD, 0, 0, 12288, NULL);
	assert_int_equal(of(BDUS_OP_READ).operations, 2);
	assert_int_equal(of(BDUS_OP_READ).bytes, 4096);
	assert_int_equal(of(BDUS_OP_READ).errors, 1);
	assert_int_equal(of(BDUS_OP_WRITE).operations, 2);
	assert_int_equal(of(BDUS_OP_WRITE).bytes, 1024);
	assert_int_equal(of(BDUS_OP_WRITE).errors, 1);
	assert_int_equal(of(BDUS_OP_DISCARD).operations, 1);
	assert_int_equal(of(BDUS_OP_DISCARD).bytes, 12288);
	assert_int_equal(of(BDUS_STATS_ALL).operations, 5);
	assert_int_equal(of(BDUS_OP_COUNT).operations, 0);
	assert_int_equal(bdus_stats_read_queue(stats, 0, &queue), 0);
	assert_int_equal(queue.fetched, 5);
	assert_int_equal(queue.in_flight, 0);
	teardown();
}

static void requests_on_their_way_are_in_flight(void **state)
{
	struct bdus_queue_stats queue;

	(void)state;
	setup(3);
	for (unsigned i = 0; i < 5; i++)
		fake_issue(&fake, &ios[i], BDUS_OP_READ, 0, 0, 512, payload);
	fake_answer(&fake, 2, 0);
	fake_wait(&fake, 1);
	assert_int_equal(bdus_stats_read_queue(stats, BDUS_STATS_ALL, &queue), 0);
	assert_int_equal(queue.in_flight, 4);
	assert_int_equal(queue.queues, 3);
	assert_int_equal(queue.queue_depth, 32);
	assert_int_equal(bdus_stats_read_queue(stats, 0, &queue), 0);
	assert_int_equal(queue.in_flight, 0);
	assert_int_equal(bdus_stats_read_queue(stats, 3, &queue), -EINVAL);
	for (unsigned i = 0; i < 5; i++)
		if (i != 2)
			fake_answer(&fake, i, 0);
	teardown();
}

static void few_requests_are_all_timed(void **state)
{
	struct bdus_op_stats reads;

	(void)state;
	setup(1);
	for (unsigned i = 0; i < 20; i++) {
		fake_issue(&fake, &ios[i], BDUS_OP_READ, 0, 0, 512, payload);
		usleep(2000);
		fake_answer(&fake, i, 0);
	}
	reads = of(BDUS_OP_READ);
	assert_int_equal(reads.timed, 20);
	assert_true(reads.timed_ns >= 20 * 2000000);
	assert_true(bdus_stats_quantile_ns(&reads, 0) >= 1800000);
	assert_true(bdus_stats_quantile_ns(&reads, 1) >= 2000000);
	teardown();
}

/** As a queue would count them, @batch at a time, and at once. */
static void pass(unsigned count, unsigned batch)
{
	static struct bdus_io many[BDUS_BATCH];
	struct bdus_io *pointers[BDUS_BATCH];

	for (unsigned i = 0; i < batch; i++)
		pointers[i] = &many[i];
	for (unsigned done = 0; done < count; done += batch) {
		bdus_stats_fetched(fake.queue.stats, &fake.queue.sampler, pointers, batch);
		for (unsigned i = 0; i < batch; i++) {
			bdus_stats_ended(fake.queue.stats, &many[i]);
			if (many[i].fetched_ns != 0)
				bdus_stats_end(fake.queue.stats, &many[i], base_now_ns());
		}
	}
}

static void many_requests_are_timed_in_samples(void **state)
{
	const unsigned count = 1 << 20;
	struct bdus_op_stats reads;

	(void)state;
	setup(1);
	pass(count, 8);
	reads = of(BDUS_OP_READ);
	assert_int_equal(reads.operations, count);
	assert_in_range(reads.timed, count / 128, count / 8);
	/* Alone, and then again all of them once they are few. */
	pass(count, 1);
	bdus_stats_subtract(&reads, &reads);
	assert_int_equal(reads.timed, 0);
	for (unsigned i = 0; i < 20; i++) {
		usleep(1000);
		reads = of(BDUS_OP_READ);
		pass(1, 1);
	}
	pass(1, 1);
	assert_int_equal(of(BDUS_OP_READ).timed, reads.timed + 2);
	teardown();
}

/** A request that comes at every 16th place is timed as often as its neighbours. */
static void samples_do_not_follow_a_pattern_of_requests(void **state)
{
	struct bdus_stats_sampler sampler;
	unsigned hits[16] = {0};
	unsigned place = 0;

	(void)state;
	bdus_stats_sampler_init(&sampler, 12345);
	for (unsigned i = 0; i < 16000; i++) {
		struct bdus_io io = {0};

		sampler.passed = 1 << 20;
		sampler.mean = 32;
		sampler.last_ns = base_now_ns() - 1000;
		bdus_stats_begin(&sampler, &io);
		place = (place + sampler.until) % 16;
		hits[place]++;
	}
	for (unsigned i = 0; i < 16; i++)
		assert_in_range(hits[i], 800, 1200);
}

static void every_time_falls_into_the_bucket_that_says_so(void **state)
{
	(void)state;
	assert_int_equal(bdus_stats_bucket_ns(0), 0);
	for (unsigned i = 1; i < BDUS_STATS_BUCKETS; i++) {
		const uint64_t start = bdus_stats_bucket_ns(i);
		const uint64_t width = bdus_stats_bucket_ns(i + 1) - start;

		assert_true(start > bdus_stats_bucket_ns(i - 1));
		assert_true(i < 8 || width <= start / 8);
		for (int side = -1; side <= 0; side++) {
			struct bdus_io io = {.fetched_ns = 1};
			struct bdus_op_stats reads;

			setup(1);
			bdus_stats_end(fake.queue.stats, &io, 1 + start + (uint64_t)side);
			reads = of(BDUS_OP_READ);
			assert_int_equal(reads.buckets[i + (unsigned)side], 1);
			assert_int_equal(reads.timed_ns, start + (uint64_t)side);
			teardown();
		}
	}
}

static void a_time_without_end_falls_into_the_last_bucket(void **state)
{
	struct bdus_io io = {.fetched_ns = 1};

	(void)state;
	setup(1);
	bdus_stats_end(fake.queue.stats, &io, UINT64_MAX);
	assert_int_equal(of(BDUS_OP_READ).buckets[BDUS_STATS_BUCKETS - 1], 1);
	teardown();
}

static void quantiles_are_where_the_times_were(void **state)
{
	(void)state;
	setup(1);
	for (unsigned i = 1; i <= 1000; i++) {
		struct bdus_io io = {.fetched_ns = 1};

		bdus_stats_end(fake.queue.stats, &io, 1 + i * 1000);
	}
	struct bdus_op_stats reads = of(BDUS_OP_READ);

	assert_in_range(bdus_stats_quantile_ns(&reads, 0.5), 440000, 565000);
	assert_in_range(bdus_stats_quantile_ns(&reads, 0.99), 900000, 1115000);
	assert_in_range(bdus_stats_quantile_ns(&reads, 1), 1000000, 1125000);
	assert_true(bdus_stats_quantile_ns(&reads, 0) <= 1000);
	reads = (struct bdus_op_stats){0};
	assert_int_equal(bdus_stats_quantile_ns(&reads, 0.5), 0);
	teardown();
}

static void readers_cannot_write_or_shrink_what_they_read(void **state)
{
	(void)state;
	setup(1);
	assert_ptr_equal(mmap(NULL, memory.size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0),
			 MAP_FAILED);
	assert_int_equal(pwrite(memory.fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(memory.fd, 0), -1);
	teardown();
}

/** A reader of what @change made of statistics. */
static int open_forged(void (*change)(char *start), int seals)
{
	const int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct bdus_stats *forged = NULL;
	char *start;
	int result;

	assert_int_equal(ftruncate(fd, (off_t)memory.size), 0);
	start = mmap(NULL, memory.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memcpy(start, memory.start, 4096);
	change(start);
	munmap(start, memory.size);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	result = bdus_stats_open_fd(fd, &forged);
	bdus_stats_close(forged);
	return result;
}

static void leave(char *start)
{
	(void)start;
}

static void forge_magic(char *start)
{
	start[0] ^= 1;
}

static void forge_word(char *start, unsigned index, uint32_t value)
{
	memcpy(start + 8 + (size_t)index * 4, &value, 4);
}

static void forge_ops(char *start)
{
	forge_word(start, 1, 200);
}

static void forge_queues(char *start)
{
	forge_word(start, 3, 65536);
}

static void forge_no_queues(char *start)
{
	forge_word(start, 3, 0);
}

static void forge_part(char *start)
{
	forge_word(start, 5, 64);
}

static void statistics_of_a_hostile_process_are_refused(void **state)
{
	(void)state;
	setup(1);
	assert_int_equal(open_forged(leave, F_SEAL_SHRINK), 0);
	assert_int_equal(open_forged(leave, F_SEAL_GROW), -EPROTO);
	assert_int_equal(open_forged(forge_magic, F_SEAL_SHRINK), -EPROTO);
	assert_int_equal(open_forged(forge_ops, F_SEAL_SHRINK), -EPROTO);
	assert_int_equal(open_forged(forge_queues, F_SEAL_SHRINK), -EPROTO);
	assert_int_equal(open_forged(forge_no_queues, F_SEAL_SHRINK), -EPROTO);
	assert_int_equal(open_forged(forge_part, F_SEAL_SHRINK), -EPROTO);
	assert_int_equal(bdus_stats_open_fd(open("/dev/null", O_RDONLY), &stats), -EPROTO);
	teardown();
}

static void *read_again_and_again(void *argument)
{
	const atomic_bool *const stop = argument;
	struct bdus_op_stats before = {0};

	while (!atomic_load(stop)) {
		const struct bdus_op_stats now = of(BDUS_STATS_ALL);
		struct bdus_queue_stats queue;

		assert_true(now.operations >= before.operations);
		assert_true(now.timed >= before.timed);
		assert_int_equal(bdus_stats_read_queue(stats, BDUS_STATS_ALL, &queue), 0);
		assert_true(queue.fetched >= before.operations);
		before = now;
	}
	return NULL;
}

static void numbers_never_fall_while_they_are_written(void **state)
{
	atomic_bool stop = false;
	pthread_t thread;

	(void)state;
	setup(1);
	assert_int_equal(pthread_create(&thread, NULL, read_again_and_again, &stop), 0);
	for (unsigned i = 0; i < 200; i++)
		pass(1024, 1 + i % 16);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_counts_once_with_its_bytes_or_its_error),
		cmocka_unit_test(requests_on_their_way_are_in_flight),
		cmocka_unit_test(few_requests_are_all_timed),
		cmocka_unit_test(many_requests_are_timed_in_samples),
		cmocka_unit_test(samples_do_not_follow_a_pattern_of_requests),
		cmocka_unit_test(every_time_falls_into_the_bucket_that_says_so),
		cmocka_unit_test(a_time_without_end_falls_into_the_last_bucket),
		cmocka_unit_test(quantiles_are_where_the_times_were),
		cmocka_unit_test(readers_cannot_write_or_shrink_what_they_read),
		cmocka_unit_test(statistics_of_a_hostile_process_are_refused),
		cmocka_unit_test(numbers_never_fall_while_they_are_written),
	};

	return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
