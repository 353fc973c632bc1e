/* SPDX-License-Identifier: MIT */
/*
 * Payload memory from a program: within its limits, and those who find none are told when some has
 * come back, from whatever thread.
 */
#include "base/bits.h"
#include "device/memory.h"
#include "fake.h"
#include "memory.h"

#include <bdus/manage.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE ((size_t)4096)

static const struct bdus_device_attrs plain = {.size_bytes = 1 << 20};

static unsigned allocated, released;
static size_t last_bytes;
static size_t misaligned_by;

static void *allocate(void *opaque, size_t bytes)
{
	assert_ptr_equal(opaque, &allocated);
	allocated++;
	last_bytes = bytes;
	return (char *)aligned_alloc(PAGE, bytes) + misaligned_by;
}

static void release(void *opaque, void *memory, size_t bytes)
{
	assert_ptr_equal(opaque, &allocated);
	assert_int_equal(bytes, last_bytes);
	released++;
	free((char *)memory - misaligned_by);
}

static const struct bdus_memory_options calls = {
	.size = sizeof(calls),
	.allocate = allocate,
	.release = release,
	.opaque = &allocated,
	.limit_bytes = 2 * PAGE,
};

static struct fake fake;
static struct bdus_memory *memory;

static int set_up(void **state)
{
	(void)state;
	allocated = released = 0;
	misaligned_by = 0;
	fake_init(&fake, plain, BDUS_OP_BIT(BDUS_OP_READ));
	if (bdus_memory_create(&calls, &memory) != 0)
		return -1;
	fake.queue.memory = memory;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_finish(&fake);
	return bdus_memory_destroy(memory);
}

static void the_limit_holds_and_pages_are_whole(void **state)
{
	void *first, *second;

	(void)state;
	first = bdus_memory_get(memory, &fake.queue, 512);
	assert_non_null(first);
	assert_int_equal(last_bytes, PAGE);
	second = bdus_memory_get(memory, &fake.queue, PAGE);
	assert_non_null(second);
	assert_null(bdus_memory_get(memory, &fake.queue, 1));
	assert_int_equal(fake.queue.result, 0);
	assert_int_equal(allocated, 2);
	bdus_memory_put(memory, first, 512);
	first = bdus_memory_get(memory, &fake.queue, PAGE);
	assert_non_null(first);
	bdus_memory_put(memory, first, PAGE);
	bdus_memory_put(memory, second, PAGE);
	assert_int_equal(allocated, released);
}

static void *put_later(void *piece)
{
	usleep(20000);
	bdus_memory_put(memory, piece, PAGE);
	return NULL;
}

static void who_found_none_is_asked_again_when_some_comes_back(void **state)
{
	pthread_t thread;
	void *pieces[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		pieces[i] = bdus_memory_get(memory, &fake.queue, PAGE);
	assert_null(bdus_memory_get(memory, &fake.queue, PAGE));
	assert_int_equal(pthread_create(&thread, NULL, put_later, pieces[0]), 0);
	/* Without the wake-up this would not return; the queue is then asked for requests. */
	while (fake.fetch_calls == 0)
		bdus_loop_turn(fake.loop, -1);
	pthread_join(thread, NULL);
	pieces[0] = bdus_memory_get(memory, &fake.queue, PAGE);
	assert_non_null(pieces[0]);
	/* Nobody waits now, and nobody is asked. */
	fake.fetch_calls = 0;
	for (unsigned i = 0; i < 2; i++)
		bdus_memory_put(memory, pieces[i], PAGE);
	bdus_loop_turn(fake.loop, 0);
	assert_int_equal(fake.fetch_calls, 0);
}

static void a_queue_that_is_gone_is_not_asked(void **state)
{
	void *pieces[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		pieces[i] = bdus_memory_get(memory, &fake.queue, PAGE);
	assert_null(bdus_memory_get(memory, &fake.queue, PAGE));
	fake_finish(&fake);
	for (unsigned i = 0; i < 2; i++)
		bdus_memory_put(memory, pieces[i], PAGE);
	fake_init(&fake, plain, BDUS_OP_BIT(BDUS_OP_READ));
}

static void misaligned_memory_is_given_back_and_named(void **state)
{

	(void)state;
	misaligned_by = 8;
	assert_null(bdus_memory_get(memory, &fake.queue, PAGE));
	assert_int_equal(fake.queue.result, -EINVAL);
	assert_non_null(strstr(fake.queue.message, "aligned to 4096"));
	assert_int_equal(released, 1);
}

static void memory_that_is_too_small_for_a_device_is_refused(void **state)
{
	(void)state;
	assert_int_equal(bdus_memory_join(memory, 3 * PAGE), -EINVAL);
	assert_int_equal(bdus_memory_join(memory, 2 * PAGE), 0);
	assert_int_equal(bdus_memory_destroy(memory), -EBUSY);
	bdus_memory_leave(memory);
}

static void options_that_make_no_sense_are_refused(void **state)
{
	struct bdus_memory_options wrong = calls;
	struct bdus_memory *none = NULL;

	(void)state;
	wrong.size--;
	assert_int_equal(bdus_memory_create(&wrong, &none), -EINVAL);
	wrong = calls;
	wrong.release = NULL;
	assert_int_equal(bdus_memory_create(&wrong, &none), -EINVAL);
	wrong = calls;
	wrong.region = &wrong;
	assert_int_equal(bdus_memory_create(&wrong, &none), -EINVAL);
	assert_null(none);
}

static const struct bdus_memory_options pooled = {
	.size = sizeof(pooled),
	.pool_count = 2,
	.pool_buffer_bytes = 2 * PAGE,
};

static void a_pool_gives_each_payload_one_of_its_buffers(void **state)
{
	struct bdus_memory *pool = NULL;
	char *first, *second;

	(void)state;
	assert_int_equal(bdus_memory_create(&pooled, &pool), 0);
	first = bdus_memory_get(pool, &fake.queue, 100);
	second = bdus_memory_get(pool, &fake.queue, 2 * PAGE);
	assert_true(first != NULL && second != NULL && first != second);
	assert_int_equal((uintptr_t)first % PAGE, 0);
	memset(first, 1, 2 * PAGE);
	memset(second, 2, 2 * PAGE);
	assert_int_equal(first[2 * PAGE - 1], 1);
	assert_null(bdus_memory_get(pool, &fake.queue, 1));
	bdus_memory_put(pool, first, 100);
	assert_true(atomic_load(&fake.queue.asked));
	assert_ptr_equal(bdus_memory_get(pool, &fake.queue, 1), first);
	bdus_memory_put(pool, first, 1);
	bdus_memory_put(pool, second, 2 * PAGE);
	assert_int_equal(bdus_memory_join(pool, 2 * PAGE), 0);
	bdus_memory_leave(pool);
	assert_int_equal(bdus_memory_join(pool, 2 * PAGE + 1), -EINVAL);
	assert_int_equal(bdus_memory_destroy(pool), 0);
}

/** KiB of this process that are locked in memory. */
static long locked_kib(void)
{
	char line[256];
	long kib = -1;
	FILE *const file = fopen("/proc/self/status", "r");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "VmLck:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	fclose(file);
	return kib;
}

/** Sanitizers let mlock() do nothing. */
static bool can_lock(void)
{
	static char page[4096] __attribute__((aligned(4096)));
	const long before = locked_kib();
	bool locks;

	mlock(page, sizeof(page));
	locks = locked_kib() > before;
	munlock(page, sizeof(page));
	return locks;
}

static void a_pinned_pool_is_locked_as_long_as_it_lives(void **state)
{
	struct bdus_memory_options options = pooled;
	struct bdus_memory *pool = NULL;
	const long before = locked_kib();
	int result;

	(void)state;
	options.pool_flags = BDUS_MEMORY_PINNED | BDUS_MEMORY_HUGE;
	result = bdus_memory_create(&options, &pool);
	if (result == -EPERM || result == -ENOMEM || result == -EAGAIN)
		skip();
	assert_int_equal(result, 0);
	assert_true(locked_kib() >= before + 16 || !can_lock());
	assert_int_equal(bdus_memory_destroy(pool), 0);
	assert_int_equal(locked_kib(), before);
}

static void pools_that_make_no_sense_are_refused(void **state)
{
	struct bdus_memory_options wrong = pooled;
	struct bdus_memory *none = NULL;

	(void)state;
	wrong.pool_buffer_bytes = 0;
	assert_int_equal(bdus_memory_create(&wrong, &none), -EINVAL);
	wrong = pooled;
	wrong.pool_flags = 1u << 7;
	assert_int_equal(bdus_memory_create(&wrong, &none), -EINVAL);
	assert_non_null(strstr(bdus_manage_error(), "flags 128"));
	wrong = pooled;
	wrong.region = &wrong;
	assert_int_equal(bdus_memory_create(&wrong, &none), -EINVAL);
	wrong = pooled;
	wrong.pool_buffer_bytes = SIZE_MAX / 2;
	assert_int_equal(bdus_memory_create(&wrong, &none), -ENOMEM);
	assert_null(none);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(the_limit_holds_and_pages_are_whole),
		CASE(who_found_none_is_asked_again_when_some_comes_back),
		CASE(a_queue_that_is_gone_is_not_asked),
		CASE(misaligned_memory_is_given_back_and_named),
		CASE(memory_that_is_too_small_for_a_device_is_refused),
		CASE(options_that_make_no_sense_are_refused),
		CASE(a_pool_gives_each_payload_one_of_its_buffers),
		CASE(a_pinned_pool_is_locked_as_long_as_it_lives),
		CASE(pools_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
