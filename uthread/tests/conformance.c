/* SPDX-License-Identifier: MIT */
/*
 * What programs may rely on, in every way that a scheduler can be set up: argument 1 names the way.
 */
#include "uthread_test.h"

#include <fenv.h>
#include <math.h>
#include <time.h>

#define MANY 200

static uint64_t now_ns(void)
{
	return uthread_deadline(0);
}

/* ---- threads ------------------------------------------------------------------------------- */

static void *add_one(void *argument)
{
	return (char *)argument + 1;
}

static void *join_gives_result(void *argument)
{
	uthread_t threads[MANY];

	for (uintptr_t i = 0; i < MANY; i++)
		CHECK_INT(uthread_create(&threads[i], NULL, add_one, (void *)i), 0);
	for (uintptr_t i = 0; i < MANY; i++) {
		void *result;

		CHECK_INT(uthread_join(threads[i], &result), 0);
		CHECK((uintptr_t)result == i + 1);
		CHECK_INT(uthread_join(threads[i], &result), -ESRCH);
		CHECK((uintptr_t)result == i + 1);
		CHECK_INT(uthread_cancel(threads[i]), -ESRCH);
		CHECK_INT(uthread_detach(threads[i]), -ESRCH);
	}
	return argument;
}

static void *exit_early(void *argument)
{
	uthread_exit(argument);
}

static void *sleep_until_told(void *argument)
{
	while (!__atomic_load_n((bool *)argument, __ATOMIC_ACQUIRE))
		uthread_yield();
	return argument;
}

/** The next thread has the memory of one that was joined, and not its name. */
static void *name_of_one_that_is_gone(void *argument)
{
	uthread_t gone, thread;
	bool told = false;

	CHECK_INT(uthread_create(&gone, NULL, exit_early, NULL), 0);
	CHECK_INT(uthread_join(gone, NULL), 0);
	CHECK_INT(uthread_create(&thread, NULL, sleep_until_told, &told), 0);
	CHECK(thread != gone);
	CHECK_INT(uthread_cancel(gone), -ESRCH);
	CHECK_INT(uthread_detach(gone), -ESRCH);
	CHECK_INT(uthread_join(gone, NULL), -ESRCH);
	__atomic_store_n(&told, true, __ATOMIC_RELEASE);
	CHECK_INT(uthread_join(thread, NULL), 0);
	return argument;
}

static void *misuse_of_join(void *argument)
{
	uthread_attr_t attr;
	uthread_t thread;
	void *result = NULL;

	CHECK_INT(uthread_join(uthread_self(), NULL), -EDEADLK);
	CHECK_INT(uthread_join(0, NULL), -ESRCH);
	CHECK_INT(uthread_create(&thread, NULL, exit_early, argument), 0);
	CHECK_INT(uthread_join(thread, &result), 0);
	CHECK(result == argument);
	uthread_attr_init(&attr);
	CHECK_INT(uthread_attr_setdetachstate(&attr, UTHREAD_CREATE_DETACHED), 0);
	CHECK_INT(uthread_create(&thread, &attr, exit_early, NULL), 0);
	result = argument;
	CHECK(uthread_join(thread, &result) < 0);
	CHECK(result == argument);
	return argument;
}

static unsigned long detached_ran;

static void *count_itself(void *unused)
{
	__atomic_fetch_add(&detached_ran, 1, __ATOMIC_RELAXED);
	return unused;
}

static void *detached_threads_run(void *argument)
{
	for (unsigned i = 0; i < MANY; i++) {
		uthread_t thread;

		CHECK_INT(uthread_create(&thread, NULL, count_itself, NULL), 0);
		if (i % 2 == 0)
			uthread_yield();
		CHECK_INT(uthread_detach(thread), 0);
	}
	return argument;
}

static void test_threads_end_and_are_joined(void **state)
{
	(void)state;
	test_run(join_gives_result);
	test_run(misuse_of_join);
	test_run(name_of_one_that_is_gone);
	detached_ran = 0;
	test_run(detached_threads_run);
	/* The run ends only when all of them have. */
	CHECK_INT(detached_ran, MANY);
}

static uthread_sem_t sem;

static void *wait_at_gate(void *argument)
{
	CHECK_INT(uthread_sem_wait(&sem), 0);
	return argument;
}

static void *limit_is_met(void *argument)
{
	uthread_t threads[8];
	unsigned made = 0;

	CHECK_INT(uthread_sem_init(&sem, 0), 0);
	while (made < 8 && uthread_create(&threads[made], NULL, wait_at_gate, NULL) == 0)
		made++;
	CHECK_INT(made, 3);
	CHECK_INT(uthread_create(&threads[made], NULL, add_one, NULL), -EAGAIN);
	CHECK(strstr(uthread_error(), "max_threads") != NULL);
	for (unsigned i = 0; i < made; i++)
		CHECK_INT(uthread_sem_post(&sem), 0);
	while (made > 0)
		CHECK_INT(uthread_join(threads[--made], NULL), 0);
	/* One that was joined may still be on its way out, on another worker. */
	CHECK_INT(uthread_sleep_ms(20), 0);
	CHECK_INT(uthread_create(&threads[0], NULL, add_one, NULL), 0);
	CHECK_INT(uthread_join(threads[0], NULL), 0);
	return argument;
}

static void test_too_many_threads_are_refused(void **state)
{
	(void)state;
	test_options.max_threads = 4;
	test_run(limit_is_met);
	test_options.max_threads = 0;
}

static void *check_attributes(void *argument)
{
	static char memory[65536] __attribute__((aligned(64)));
	char name[UTHREAD_NAME_BYTES];
	uthread_attr_t attr;
	uthread_t thread;
	void *result;
	int priority;

	uthread_attr_init(&attr);
	CHECK_INT(uthread_attr_setstacksize(&attr, UTHREAD_STACK_MIN - 1), -EINVAL);
	CHECK_INT(uthread_attr_setstacksize(&attr, (size_t)UTHREAD_STACK_MAX + 1), -EINVAL);
	CHECK_INT(uthread_attr_setname(&attr, "sixteen letters!"), -ERANGE);
	CHECK_INT(uthread_attr_setpriority(&attr, UTHREAD_PRIORITY_MAX + 1), -EINVAL);
	CHECK_INT(uthread_attr_setdetachstate(&attr, 2), -EINVAL);
	CHECK_INT(uthread_attr_setname(&attr, "fifteen letters"), 0);
	CHECK_INT(uthread_attr_setpriority(&attr, 5), 0);
	CHECK_INT(uthread_attr_setstack(&attr, memory, sizeof(memory)), 0);
	CHECK_INT(uthread_create(&thread, &attr, add_one, memory), 0);
	CHECK_INT(uthread_getname(thread, name, sizeof(name)), 0);
	CHECK(strcmp(name, "fifteen letters") == 0);
	CHECK_INT(uthread_getname(thread, name, 4), -ERANGE);
	CHECK_INT(uthread_getpriority(thread, &priority), 0);
	CHECK_INT(priority, 5);
	CHECK_INT(uthread_join(thread, &result), 0);
	CHECK(result == memory + 1);
	CHECK_INT(uthread_getpriority(thread, &priority), -ESRCH);
	return argument;
}

static void test_attributes_are_checked_and_kept(void **state)
{
	(void)state;
	test_run(check_attributes);
}

/* ---- mutexes ------------------------------------------------------------------------------- */

static uthread_mutex_t mutex;
static unsigned long counter;
static unsigned inside;

static void *count_under_mutex(void *unused)
{
	for (unsigned i = 0; i < MANY; i++) {
		CHECK_INT(uthread_mutex_lock(&mutex), 0);
		CHECK_INT(inside++, 0);
		counter++;
		if (i % 3 == 0)
			uthread_yield();
		inside--;
		CHECK_INT(uthread_mutex_unlock(&mutex), 0);
	}
	return unused;
}

static void run_eight(void *(*start)(void *))
{
	uthread_t threads[8];

	for (unsigned i = 0; i < 8; i++)
		CHECK_INT(uthread_create(&threads[i], NULL, start, NULL), 0);
	for (unsigned i = 0; i < 8; i++)
		CHECK_INT(uthread_join(threads[i], NULL), 0);
}

static void *mutexes_exclude(void *argument)
{
	counter = 0;
	CHECK_INT(uthread_mutex_init(&mutex, UTHREAD_MUTEX_NORMAL), 0);
	run_eight(count_under_mutex);
	CHECK_INT(counter, 8 * MANY);
	CHECK_INT(uthread_mutex_destroy(&mutex), 0);
	return argument;
}

static void *try_and_fail(void *unused)
{
	CHECK_INT(uthread_mutex_trylock(&mutex), -EBUSY);
	CHECK_INT(uthread_mutex_unlock(&mutex), -EPERM);
	CHECK_INT(uthread_mutex_lock_until(&mutex, 0), -ETIMEDOUT);
	CHECK_INT(uthread_mutex_lock_until(&mutex, uthread_deadline(5)), -ETIMEDOUT);
	return unused;
}

static void *kinds_differ(void *argument)
{
	uthread_t thread;

	for (int kind = UTHREAD_MUTEX_NORMAL; kind <= UTHREAD_MUTEX_ERRORCHECK; kind++) {
		CHECK_INT(uthread_mutex_init(&mutex, kind), 0);
		CHECK_INT(uthread_mutex_unlock(&mutex), -EPERM);
		CHECK_INT(uthread_mutex_lock(&mutex), 0);
		CHECK_INT(uthread_mutex_destroy(&mutex), -EBUSY);
		CHECK_INT(uthread_create(&thread, NULL, try_and_fail, NULL), 0);
		CHECK_INT(uthread_join(thread, NULL), 0);
		CHECK_INT(uthread_mutex_lock_until(&mutex, uthread_deadline(1)),
			  kind == UTHREAD_MUTEX_NORMAL      ? -ETIMEDOUT
			  : kind == UTHREAD_MUTEX_RECURSIVE ? 0
							    : -EDEADLK);
		if (kind == UTHREAD_MUTEX_RECURSIVE)
			CHECK_INT(uthread_mutex_unlock(&mutex), 0);
		CHECK_INT(uthread_mutex_unlock(&mutex), 0);
		CHECK_INT(uthread_mutex_unlock(&mutex), -EPERM);
	}
	CHECK_INT(uthread_mutex_init(&mutex, 3), -EINVAL);
	return argument;
}

static void test_mutexes_exclude_and_refuse_misuse(void **state)
{
	(void)state;
	test_run(mutexes_exclude);
	test_run(kinds_differ);
}

/* ---- conditions ---------------------------------------------------------------------------- */

static uthread_cond_t cond;
static unsigned turn;

static void *take_turns(void *argument)
{
	const unsigned own = (unsigned)(uintptr_t)argument;

	CHECK_INT(uthread_mutex_lock(&mutex), 0);
	for (unsigned i = 0; i < MANY; i++) {
		while (turn % 4 != own)
			CHECK_INT(uthread_cond_wait(&cond, &mutex), 0);
		turn++;
		CHECK_INT(uthread_cond_broadcast(&cond), 0);
	}
	CHECK_INT(uthread_mutex_unlock(&mutex), 0);
	return NULL;
}

static void *conditions_wake(void *argument)
{
	uthread_t threads[4];

	turn = 0;
	CHECK_INT(uthread_mutex_init(&mutex, UTHREAD_MUTEX_NORMAL), 0);
	CHECK_INT(uthread_cond_init(&cond), 0);
	for (uintptr_t i = 0; i < 4; i++)
		CHECK_INT(uthread_create(&threads[i], NULL, take_turns, (void *)i), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(uthread_join(threads[i], NULL), 0);
	CHECK_INT(turn, 4 * MANY);
	CHECK_INT(uthread_cond_destroy(&cond), 0);
	return argument;
}

static void *conditions_refuse(void *argument)
{
	CHECK_INT(uthread_mutex_init(&mutex, UTHREAD_MUTEX_RECURSIVE), 0);
	CHECK_INT(uthread_cond_init(&cond), 0);
	CHECK_INT(uthread_cond_wait(&cond, &mutex), -EPERM);
	CHECK_INT(uthread_mutex_lock(&mutex), 0);
	CHECK_INT(uthread_cond_wait_until(&cond, &mutex, 0), -ETIMEDOUT);
	CHECK_INT(uthread_cond_wait_until(&cond, &mutex, uthread_deadline(3)), -ETIMEDOUT);
	CHECK_INT(uthread_mutex_lock(&mutex), 0);
	CHECK_INT(uthread_cond_wait(&cond, &mutex), -EINVAL);
	CHECK_INT(uthread_mutex_unlock(&mutex), 0);
	CHECK_INT(uthread_mutex_unlock(&mutex), 0);
	return argument;
}

static void test_conditions_wake_whom_they_should(void **state)
{
	(void)state;
	test_run(conditions_wake);
	test_run(conditions_refuse);
}

/* ---- semaphores, barriers, locks, once ------------------------------------------------------ */

static uthread_barrier_t barrier;
static uthread_rwlock_t rwlock;
static unsigned readers, writers, serial;

static void *pass_units(void *unused)
{
	for (unsigned i = 0; i < MANY; i++) {
		CHECK_INT(uthread_sem_wait(&sem), 0);
		CHECK(__atomic_add_fetch(&inside, 1, __ATOMIC_RELAXED) <= 3);
		uthread_yield();
		__atomic_sub_fetch(&inside, 1, __ATOMIC_RELAXED);
		CHECK_INT(uthread_sem_post(&sem), 0);
	}
	return unused;
}

static void *semaphores_count(void *argument)
{
	uint32_t value;

	CHECK_INT(uthread_sem_init(&sem, UTHREAD_SEM_VALUE_MAX + 1), -EINVAL);
	CHECK_INT(uthread_sem_init(&sem, UTHREAD_SEM_VALUE_MAX), 0);
	CHECK_INT(uthread_sem_post(&sem), -EOVERFLOW);
	CHECK_INT(uthread_sem_init(&sem, 3), 0);
	run_eight(pass_units);
	CHECK_INT(uthread_sem_getvalue(&sem, &value), 0);
	CHECK_INT(value, 3);
	for (unsigned i = 0; i < 3; i++)
		CHECK_INT(uthread_sem_trywait(&sem), 0);
	CHECK_INT(uthread_sem_trywait(&sem), -EAGAIN);
	CHECK_INT(uthread_sem_wait_until(&sem, uthread_deadline(2)), -ETIMEDOUT);
	CHECK_INT(uthread_sem_destroy(&sem), 0);
	return argument;
}

static void *meet(void *unused)
{
	for (unsigned i = 0; i < MANY; i++) {
		const int result = uthread_barrier_wait(&barrier);

		CHECK(result == 0 || result == UTHREAD_BARRIER_SERIAL_THREAD);
		if (result != 0)
			__atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
		CHECK(__atomic_load_n(&serial, __ATOMIC_RELAXED) <= i + 1);
	}
	return unused;
}

static void *barriers_meet(void *argument)
{
	serial = 0;
	CHECK_INT(uthread_barrier_init(&barrier, 0), -EINVAL);
	CHECK_INT(uthread_barrier_init(&barrier, 8), 0);
	/* Who gave up did not come. */
	CHECK_INT(uthread_barrier_wait_until(&barrier, 0), -ETIMEDOUT);
	CHECK_INT(uthread_barrier_wait_until(&barrier, uthread_deadline(2)), -ETIMEDOUT);
	run_eight(meet);
	CHECK_INT(serial, MANY);
	CHECK_INT(uthread_barrier_destroy(&barrier), 0);
	return argument;
}

static void *read_and_write(void *unused)
{
	for (unsigned i = 0; i < MANY; i++) {
		const bool writes = i % 4 == 0;

		CHECK_INT(writes ? uthread_rwlock_wrlock(&rwlock) : uthread_rwlock_rdlock(&rwlock),
			  0);
		__atomic_add_fetch(writes ? &writers : &readers, 1, __ATOMIC_RELAXED);
		uthread_yield();
		CHECK(__atomic_load_n(&writers, __ATOMIC_RELAXED) == writes);
		CHECK(!writes || __atomic_load_n(&readers, __ATOMIC_RELAXED) == 0);
		__atomic_sub_fetch(writes ? &writers : &readers, 1, __ATOMIC_RELAXED);
		CHECK_INT(uthread_rwlock_unlock(&rwlock), 0);
	}
	return unused;
}

static void *try_locked(void *unused)
{
	CHECK_INT(uthread_rwlock_tryrdlock(&rwlock), -EBUSY);
	CHECK_INT(uthread_rwlock_trywrlock(&rwlock), -EBUSY);
	CHECK_INT(uthread_rwlock_unlock(&rwlock), -EPERM);
	CHECK_INT(uthread_rwlock_rdlock_until(&rwlock, uthread_deadline(2)), -ETIMEDOUT);
	CHECK_INT(uthread_rwlock_wrlock_until(&rwlock, uthread_deadline(2)), -ETIMEDOUT);
	return unused;
}

static void *locks_share_and_exclude(void *argument)
{
	uthread_t thread;

	CHECK_INT(uthread_rwlock_init(&rwlock), 0);
	run_eight(read_and_write);
	CHECK_INT(uthread_rwlock_unlock(&rwlock), -EPERM);
	CHECK_INT(uthread_rwlock_wrlock(&rwlock), 0);
	CHECK_INT(uthread_rwlock_rdlock(&rwlock), -EDEADLK);
	CHECK_INT(uthread_create(&thread, NULL, try_locked, NULL), 0);
	CHECK_INT(uthread_join(thread, NULL), 0);
	CHECK_INT(uthread_rwlock_destroy(&rwlock), -EBUSY);
	CHECK_INT(uthread_rwlock_unlock(&rwlock), 0);
	CHECK_INT(uthread_rwlock_destroy(&rwlock), 0);
	return argument;
}

static uthread_once_t once = UTHREAD_ONCE_INIT;

static void routine(void)
{
	uthread_yield();
	counter++;
}

static void *do_once(void *unused)
{
	CHECK_INT(uthread_once(&once, routine), 0);
	CHECK_INT(counter, 1);
	return unused;
}

static void routine_that_is_cancelled(void)
{
	if (__atomic_fetch_add(&counter, 1, __ATOMIC_ACQ_REL) == 0)
		uthread_sleep_ms(100000);
}

static void *do_once_or_not(void *unused)
{
	uthread_once(&once, routine_that_is_cancelled);
	return unused;
}

/** The next one runs what the first did not come to the end of. */
static void *once_is_left(void *argument)
{
	uthread_t threads[2];
	void *result;

	counter = 0;
	once = (uthread_once_t)UTHREAD_ONCE_INIT;
	CHECK_INT(uthread_create(&threads[0], NULL, do_once_or_not, argument), 0);
	while (__atomic_load_n(&counter, __ATOMIC_ACQUIRE) == 0)
		CHECK_INT(uthread_sleep_ms(1), 0);
	CHECK_INT(uthread_create(&threads[1], NULL, do_once_or_not, argument), 0);
	CHECK_INT(uthread_sleep_ms(2), 0);
	CHECK_INT(uthread_cancel(threads[0]), 0);
	CHECK_INT(uthread_join(threads[0], &result), 0);
	CHECK(result == UTHREAD_CANCELED);
	CHECK_INT(uthread_join(threads[1], &result), 0);
	CHECK(result == argument);
	CHECK_INT(counter, 2);
	return argument;
}

static void *once_is_once(void *argument)
{
	counter = 0;
	once = (uthread_once_t)UTHREAD_ONCE_INIT;
	run_eight(do_once);
	return argument;
}

static void test_semaphores_barriers_locks_and_once(void **state)
{
	(void)state;
	test_run(semaphores_count);
	test_run(barriers_meet);
	test_run(locks_share_and_exclude);
	test_run(once_is_once);
	test_run(once_is_left);
}

/* ---- channels ------------------------------------------------------------------------------ */

static struct uthread_channel *channel;

static void *send_many(void *unused)
{
	for (uint32_t i = 1; i <= MANY; i++)
		CHECK_INT(uthread_channel_send(channel, &i), 0);
	return unused;
}

static void *sum_up(void *unused)
{
	uint32_t value;
	int result;

	while ((result = uthread_channel_receive(channel, &value)) == 0)
		__atomic_add_fetch(&counter, value, __ATOMIC_RELAXED);
	CHECK_INT(result, -EPIPE);
	return unused;
}

static void channels_carry(size_t capacity)
{
	uthread_t senders[4], receivers[3];
	uint32_t value = 7;

	counter = 0;
	CHECK_INT(uthread_channel_create(sizeof(uint32_t), capacity, &channel), 0);
	CHECK_INT(uthread_channel_receive_until(channel, &value, uthread_deadline(1)), -ETIMEDOUT);
	CHECK_INT(value, 7);
	for (unsigned i = 0; i < 3; i++)
		CHECK_INT(uthread_create(&receivers[i], NULL, sum_up, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(uthread_create(&senders[i], NULL, send_many, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(uthread_join(senders[i], NULL), 0);
	CHECK_INT(uthread_channel_close(channel), 0);
	CHECK_INT(uthread_channel_close(channel), -EINVAL);
	CHECK_INT(uthread_channel_send(channel, &value), -EPIPE);
	for (unsigned i = 0; i < 3; i++)
		CHECK_INT(uthread_join(receivers[i], NULL), 0);
	CHECK_INT(counter, 4 * MANY * (MANY + 1) / 2);
	uthread_channel_destroy(channel);
}

static void *channels_of_all_sizes(void *argument)
{
	CHECK_INT(uthread_channel_create(0, 1, &channel), -EINVAL);
	CHECK_INT(uthread_channel_create(SIZE_MAX, 2, &channel), -EINVAL);
	channels_carry(0);
	channels_carry(1);
	channels_carry(64);
	return argument;
}

static void test_channels_carry_each_element_once(void **state)
{
	(void)state;
	test_run(channels_of_all_sizes);
}

/* ---- time ---------------------------------------------------------------------------------- */

static void *sleep_a_little(void *argument)
{
	const uint64_t started = now_ns();
	const uint64_t ms = (uintptr_t)argument;

	CHECK_INT(uthread_sleep_ms(ms), 0);
	CHECK(now_ns() - started >= ms * 1000000);
	return argument;
}

static void *sleepers_wake(void *argument)
{
	uthread_t threads[MANY];
	const uint64_t started = now_ns();

	for (uintptr_t i = 0; i < MANY; i++)
		CHECK_INT(uthread_create(&threads[i], NULL, sleep_a_little,
					 (void *)(i * 37 % 20 + 1)),
			  0);
	for (unsigned i = 0; i < MANY; i++)
		CHECK_INT(uthread_join(threads[i], NULL), 0);
	/* All at once, not one after the other. */
	CHECK(now_ns() - started < UINT64_C(10000) * 1000000);
	return argument;
}

static void *joins_end_in_time(void *argument)
{
	uthread_t thread;

	CHECK_INT(uthread_sem_init(&sem, 0), 0);
	CHECK_INT(uthread_create(&thread, NULL, wait_at_gate, NULL), 0);
	CHECK_INT(uthread_join_until(thread, NULL, 0), -ETIMEDOUT);
	CHECK_INT(uthread_join_until(thread, NULL, uthread_deadline(3)), -ETIMEDOUT);
	CHECK_INT(uthread_sem_post(&sem), 0);
	CHECK_INT(uthread_join_until(thread, NULL, UTHREAD_NEVER), 0);
	return argument;
}

static void test_sleepers_wake_in_time(void **state)
{
	(void)state;
	test_run(sleepers_wake);
	test_run(joins_end_in_time);
}

/* ---- cancellation, clean-up, data ----------------------------------------------------------- */

static unsigned cleaned;

static void clean(void *argument)
{
	cleaned = cleaned * 10 + (unsigned)(uintptr_t)argument;
}

static void unlock(void *argument)
{
	CHECK_INT(uthread_mutex_unlock(argument), 0);
}

static void *wait_for_ever(void *unused)
{
	CHECK_INT(uthread_mutex_lock(&mutex), 0);
	uthread_cleanup_push(clean, (void *)1);
	uthread_cleanup_push(unlock, &mutex);
	while (true)
		uthread_cond_wait(&cond, &mutex);
	uthread_cleanup_pop(0);
	uthread_cleanup_pop(0);
	return unused;
}

static void *wait_and_return(void *argument)
{
	int old;

	CHECK_INT(uthread_setcanceltype(UTHREAD_CANCEL_RETURNS, &old), 0);
	CHECK_INT(old, UTHREAD_CANCEL_DEFERRED);
	CHECK_INT(uthread_sleep_ms(100000), -ECANCELED);
	CHECK_INT(uthread_setcancelstate(UTHREAD_CANCEL_DISABLE, NULL), 0);
	CHECK_INT(uthread_sem_post(&sem), 0);
	/* The next one comes here, and has to wait. */
	CHECK_INT(uthread_sleep_ms(5), 0);
	CHECK_INT(uthread_setcancelstate(UTHREAD_CANCEL_ENABLE, &old), 0);
	CHECK_INT(old, UTHREAD_CANCEL_DISABLE);
	CHECK_INT(uthread_testcancel(), -ECANCELED);
	CHECK_INT(uthread_testcancel(), 0);
	return argument;
}

static void *cancelling(void *argument)
{
	uthread_t thread;
	void *result;

	cleaned = 0;
	CHECK_INT(uthread_mutex_init(&mutex, UTHREAD_MUTEX_NORMAL), 0);
	CHECK_INT(uthread_cond_init(&cond), 0);
	CHECK_INT(uthread_sem_init(&sem, 0), 0);
	CHECK_INT(uthread_create(&thread, NULL, wait_for_ever, NULL), 0);
	CHECK_INT(uthread_sleep_ms(2), 0);
	CHECK_INT(uthread_cancel(thread), 0);
	CHECK_INT(uthread_join(thread, &result), 0);
	CHECK(result == UTHREAD_CANCELED);
	CHECK_INT(cleaned, 1);
	/* The handler gave the mutex back, and the condition has forgotten the thread. */
	CHECK_INT(uthread_mutex_trylock(&mutex), 0);
	CHECK_INT(uthread_cond_destroy(&cond), 0);

	CHECK_INT(uthread_create(&thread, NULL, wait_and_return, argument), 0);
	CHECK_INT(uthread_cancel(thread), 0);
	CHECK_INT(uthread_sem_wait(&sem), 0);
	CHECK_INT(uthread_cancel(thread), 0);
	CHECK_INT(uthread_join(thread, &result), 0);
	CHECK(result == argument);
	return argument;
}

static void test_cancelled_threads_clean_up(void **state)
{
	(void)state;
	test_run(cancelling);
}

static uthread_key_t keys[40];
static unsigned long destroyed;

static void destroy_value(void *value)
{
	__atomic_add_fetch(&destroyed, (uintptr_t)value, __ATOMIC_RELAXED);
}

static void *keep_values(void *argument)
{
	for (uintptr_t i = 0; i < 40; i++) {
		CHECK(uthread_getspecific(keys[i]) == NULL);
		CHECK_INT(uthread_setspecific(keys[i], (void *)(i + 1)), 0);
	}
	uthread_yield();
	for (uintptr_t i = 0; i < 40; i++)
		CHECK((uintptr_t)uthread_getspecific(keys[i]) == i + 1);
	return argument;
}

static void *data_is_each_thread_s_own(void *argument)
{
	uthread_key_t again;

	destroyed = 0;
	for (unsigned i = 0; i < 40; i++)
		CHECK_INT(uthread_key_create(&keys[i], destroy_value), 0);
	run_eight(keep_values);
	CHECK_INT(destroyed, 8 * 40 * 41 / 2);
	CHECK_INT(uthread_setspecific(keys[0], argument), 0);
	CHECK_INT(uthread_key_delete(keys[0]), 0);
	CHECK_INT(uthread_key_delete(keys[0]), -EINVAL);
	CHECK_INT(uthread_setspecific(keys[0], argument), -EINVAL);
	CHECK_INT(uthread_setspecific(UTHREAD_KEYS_MAX, argument), -EINVAL);
	CHECK_INT(uthread_key_create(&again, NULL), 0);
	/* The same index; the value of the key before is not that of this one. */
	CHECK_INT(again, keys[0]);
	CHECK(uthread_getspecific(again) == NULL);
	CHECK_INT(uthread_key_delete(again), 0);
	for (unsigned i = 1; i < 40; i++)
		CHECK_INT(uthread_key_delete(keys[i]), 0);
	return argument;
}

static void test_specific_data_is_each_thread_s_own(void **state)
{
	(void)state;
	test_run(data_is_each_thread_s_own);
}

/* ---- nurseries ----------------------------------------------------------------------------- */

static int succeed(void *unused)
{
	(void)unused;
	uthread_yield();
	__atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
	return 0;
}

static int fail_soon(void *unused)
{
	(void)unused;
	uthread_sleep_ms(2);
	return -EIO;
}

static int sleep_long(void *unused)
{
	(void)unused;
	uthread_sleep_ms(100000);
	__atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
	return 0;
}

static void *nurseries_hold(void *argument)
{
	uthread_nursery_t nursery;

	counter = 0;
	CHECK_INT(uthread_nursery_init(&nursery), 0);
	CHECK_INT(uthread_nursery_finish(&nursery), 0);
	CHECK_INT(uthread_nursery_init(&nursery), 0);
	for (unsigned i = 0; i < 20; i++)
		CHECK_INT(uthread_nursery_start(&nursery, NULL, succeed, NULL), 0);
	CHECK_INT(uthread_nursery_finish(&nursery), 0);
	CHECK_INT(counter, 20);

	CHECK_INT(uthread_nursery_init(&nursery), 0);
	for (unsigned i = 0; i < 20; i++)
		CHECK_INT(uthread_nursery_start(&nursery, NULL, sleep_long, NULL), 0);
	CHECK_INT(uthread_nursery_start(&nursery, NULL, fail_soon, NULL), 0);
	CHECK_INT(uthread_nursery_finish(&nursery), -EIO);
	CHECK_INT(counter, 20);

	CHECK_INT(uthread_nursery_init(&nursery), 0);
	CHECK_INT(uthread_nursery_start(&nursery, NULL, sleep_long, NULL), 0);
	CHECK_INT(uthread_nursery_finish_until(&nursery, uthread_deadline(2)), -ETIMEDOUT);

	CHECK_INT(uthread_nursery_init(&nursery), 0);
	CHECK_INT(uthread_nursery_start(&nursery, NULL, sleep_long, NULL), 0);
	CHECK_INT(uthread_nursery_cancel(&nursery), 0);
	CHECK_INT(uthread_nursery_start(&nursery, NULL, sleep_long, NULL), -ECANCELED);
	CHECK_INT(uthread_nursery_finish(&nursery), -ECANCELED);
	CHECK_INT(counter, 20);
	return argument;
}

static void test_nurseries_end_with_their_threads(void **state)
{
	(void)state;
	test_run(nurseries_hold);
}

/* ---- what else a thread has of its own ------------------------------------------------------ */

/** The compiler takes the place of errno for the same throughout a function. */
static __attribute__((noinline)) int *own_errno(void)
{
	__asm__ volatile("" ::: "memory");
	return &errno;
}

static void *keep_errno(void *argument)
{
	const int own = (int)(uintptr_t)argument;

	for (unsigned i = 0; i < MANY; i++) {
		*own_errno() = own;
		uthread_yield();
		CHECK_INT(*own_errno(), own);
	}
	return NULL;
}

static void *keep_rounding(void *argument)
{
	const int own = argument != NULL ? FE_UPWARD : FE_DOWNWARD;

	CHECK_INT(fesetround(own), 0);
	for (unsigned i = 0; i < MANY; i++) {
		uthread_yield();
		CHECK_INT(fegetround(), own);
		CHECK((rint(2.5) > 2.7) == (own == FE_UPWARD));
	}
	return NULL;
}

static void *own_things(void *argument)
{
	uthread_t threads[10];

	for (uintptr_t i = 0; i < 10; i++)
		CHECK_INT(uthread_create(&threads[i], NULL, i < 8 ? keep_errno : keep_rounding,
					 (void *)(i < 8 ? i + 1 : i - 8)),
			  0);
	for (unsigned i = 0; i < 10; i++)
		CHECK_INT(uthread_join(threads[i], NULL), 0);
	CHECK_INT(fegetround(), FE_TONEAREST);
	return argument;
}

static void test_errno_and_rounding_are_each_thread_s_own(void **state)
{
	(void)state;
	test_run(own_things);
}

static void test_others_than_userland_threads_are_refused(void **state)
{
	(void)state;
	CHECK_INT(uthread_yield(), -EPERM);
	CHECK_INT(uthread_create(NULL, NULL, add_one, NULL), -EPERM);
	CHECK_INT(uthread_mutex_lock(&mutex), -EPERM);
	CHECK_INT(uthread_sem_post(&sem), -EPERM);
	CHECK_INT(uthread_sleep_ms(1), -EPERM);
	CHECK(uthread_self() == 0);
	CHECK(uthread_getspecific(0) == NULL);
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_end_and_are_joined),
		cmocka_unit_test(test_too_many_threads_are_refused),
		cmocka_unit_test(test_attributes_are_checked_and_kept),
		cmocka_unit_test(test_mutexes_exclude_and_refuse_misuse),
		cmocka_unit_test(test_conditions_wake_whom_they_should),
		cmocka_unit_test(test_semaphores_barriers_locks_and_once),
		cmocka_unit_test(test_channels_carry_each_element_once),
		cmocka_unit_test(test_sleepers_wake_in_time),
		cmocka_unit_test(test_cancelled_threads_clean_up),
		cmocka_unit_test(test_specific_data_is_each_thread_s_own),
		cmocka_unit_test(test_nurseries_end_with_their_threads),
		cmocka_unit_test(test_errno_and_rounding_are_each_thread_s_own),
		cmocka_unit_test(test_others_than_userland_threads_are_refused),
	};

	if (!test_choose_way(count > 1 ? arguments[1] : "one-worker"))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
