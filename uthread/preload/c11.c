/* SPDX-License-Identifier: MIT */
/*
 * C11 threads, which in the C library are POSIX threads under other names.
 */
#include "preload_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <threads.h>

static int result_of(int error)
{
	switch (error) {
	case 0:
		return thrd_success;
	case EBUSY:
		return thrd_busy;
	case ETIMEDOUT:
		return thrd_timedout;
	case ENOMEM:
	case EAGAIN:
		return thrd_nomem;
	default:
		return thrd_error;
	}
}

/* ---- threads
 * ---------------------------------------------------------------------------------------- */

struct start {
	thrd_start_t function;
	void *argument;
};

static void *start_thread(void *memory)
{
	const struct start start = *(struct start *)memory;

	free(memory);
	return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
	struct start *const start = malloc(sizeof(*start));
	int error;

	if (start == NULL)
		return thrd_nomem;
	*start = (struct start){function, argument};
	error = pthread_create(thread, NULL, start_thread, start);
	if (error != 0)
		free(start);
	return result_of(error);
}

int thrd_join(thrd_t thread, int *result)
{
	void *value;
	const int error = pthread_join(thread, &value);

	if (error == 0 && result != NULL)
		*result = (int)(intptr_t)value;
	return result_of(error);
}

int thrd_detach(thrd_t thread)
{
	return result_of(pthread_detach(thread));
}

thrd_t thrd_current(void)
{
	return pthread_self();
}

int thrd_equal(thrd_t a, thrd_t b)
{
	return a == b;
}

void thrd_exit(int result)
{
	pthread_exit((void *)(intptr_t)result);
}

void thrd_yield(void)
{
	sched_yield();
}

int thrd_sleep(const struct timespec *time, struct timespec *left)
{
	const int error = clock_nanosleep(CLOCK_REALTIME, 0, time, left);

	return error == 0 ? 0 : error == EINTR ? -1 : -2;
}

/* ---- mutexes and conditions
 * -------------------------------------------------------------------------- */

int mtx_init(mtx_t *mutex, int type)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	if (type & mtx_recursive)
		pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	return result_of(pthread_mutex_init((pthread_mutex_t *)(void *)mutex, &attr));
}

void mtx_destroy(mtx_t *mutex)
{
	pthread_mutex_destroy((pthread_mutex_t *)(void *)mutex);
}

int mtx_lock(mtx_t *mutex)
{
	return result_of(pthread_mutex_lock((pthread_mutex_t *)(void *)mutex));
}

int mtx_trylock(mtx_t *mutex)
{
	return result_of(pthread_mutex_trylock((pthread_mutex_t *)(void *)mutex));
}

int mtx_timedlock(mtx_t *mutex, const struct timespec *when)
{
	return result_of(pthread_mutex_timedlock((pthread_mutex_t *)(void *)mutex, when));
}

int mtx_unlock(mtx_t *mutex)
{
	return result_of(pthread_mutex_unlock((pthread_mutex_t *)(void *)mutex));
}

int cnd_init(cnd_t *cond)
{
	return result_of(pthread_cond_init((pthread_cond_t *)(void *)cond, NULL));
}

void cnd_destroy(cnd_t *cond)
{
	pthread_cond_destroy((pthread_cond_t *)(void *)cond);
}

int cnd_wait(cnd_t *cond, mtx_t *mutex)
{
	return result_of(pthread_cond_wait((pthread_cond_t *)(void *)cond,
					   (pthread_mutex_t *)(void *)mutex));
}

int cnd_timedwait(cnd_t *cond, mtx_t *mutex, const struct timespec *when)
{
	return result_of(pthread_cond_timedwait((pthread_cond_t *)(void *)cond,
						(pthread_mutex_t *)(void *)mutex, when));
}

int cnd_signal(cnd_t *cond)
{
	return result_of(pthread_cond_signal((pthread_cond_t *)(void *)cond));
}

int cnd_broadcast(cnd_t *cond)
{
	return result_of(pthread_cond_broadcast((pthread_cond_t *)(void *)cond));
}

/* ---- thread-specific storage, once
 * --------------------------------------------------------------------- */

int tss_create(tss_t *key, tss_dtor_t destructor)
{
	return result_of(pthread_key_create(key, destructor));
}

void tss_delete(tss_t key)
{
	pthread_key_delete(key);
}

void *tss_get(tss_t key)
{
	return pthread_getspecific(key);
}

int tss_set(tss_t key, void *value)
{
	return result_of(pthread_setspecific(key, value));
}

void call_once(once_flag *flag, void (*function)(void))
{
	pthread_once((pthread_once_t *)(void *)flag, function);
}
