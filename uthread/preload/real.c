/* SPDX-License-Identifier: MIT */
/*
 * Finds the C library's functions. uthread, asys and base are linked into this library by a linker
 * that gives them preload_real_NAME for NAME (see meson.build), so that their own threads, locks
 * and files are real ones.
 */
#include "real.h"

#include <dlfcn.h>
#include <stdlib.h>

struct real_calls real_functions;
bool real_found;

/**
 * There is one thread when it is first called. A name that is not found costs memory, which an
 * allocator may lock for: all of them have to be there.
 */
__attribute__((constructor(101))) void real_find(void)
{
#define X(result, name, parameters) *(void **)&real_functions.name = dlsym(RTLD_NEXT, #name);
	PRELOAD_REAL(X)
#undef X
	real_found = true;
}

/* ---- for the libraries within ---------------------------------------------------------------- */

int preload_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, start_fn *start,
				void *arg);
int preload_real_pthread_join(pthread_t thread, void **result);
void preload_real_pthread_exit(void *result);
pthread_t preload_real_pthread_self(void);
int preload_real_pthread_once(pthread_once_t *once, void (*routine)(void));
int preload_real_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
int preload_real_pthread_setspecific(pthread_key_t key, const void *value);
int preload_real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int preload_real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int preload_real_pthread_mutex_destroy(pthread_mutex_t *mutex);
int preload_real_pthread_mutex_lock(pthread_mutex_t *mutex);
int preload_real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int preload_real_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr);
int preload_real_pthread_cond_destroy(pthread_cond_t *cond);
int preload_real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int preload_real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
					const struct timespec *when);
int preload_real_pthread_cond_signal(pthread_cond_t *cond);
int preload_real_sched_yield(void);
int preload_real_sigaction(int number, const struct sigaction *action, struct sigaction *old);
sighandler_t preload_real_signal(int number, sighandler_t handler);
ssize_t preload_real_read(int file, void *buffer, size_t length);
ssize_t preload_real_write(int file, const void *buffer, size_t length);
int preload_real_close(int file);
int preload_real_poll(struct pollfd *files, nfds_t count, int timeout_ms);
int preload_real_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout_ms);

int preload_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, start_fn *start,
				void *arg)
{
	return real.pthread_create(thread, attr, start, arg);
}

int preload_real_pthread_join(pthread_t thread, void **result)
{
	return real.pthread_join(thread, result);
}

void preload_real_pthread_exit(void *result)
{
	real.pthread_exit(result);
	abort();
}

pthread_t preload_real_pthread_self(void)
{
	return real.pthread_self();
}

int preload_real_pthread_once(pthread_once_t *once, void (*routine)(void))
{
	return real.pthread_once(once, routine);
}

int preload_real_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	return real.pthread_key_create(key, destructor);
}

int preload_real_pthread_setspecific(pthread_key_t key, const void *value)
{
	return real.pthread_setspecific(key, value);
}

int preload_real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return real.pthread_sigmask(how, set, old);
}

int preload_real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	return real.pthread_mutex_init(mutex, attr);
}

int preload_real_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	return real.pthread_mutex_destroy(mutex);
}

int preload_real_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	return real.pthread_mutex_lock(mutex);
}

int preload_real_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	return real.pthread_mutex_unlock(mutex);
}

int preload_real_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
	return real.pthread_cond_init(cond, attr);
}

int preload_real_pthread_cond_destroy(pthread_cond_t *cond)
{
	return real.pthread_cond_destroy(cond);
}

int preload_real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	return real.pthread_cond_wait(cond, mutex);
}

int preload_real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
					const struct timespec *when)
{
	return real.pthread_cond_timedwait(cond, mutex, when);
}

int preload_real_pthread_cond_signal(pthread_cond_t *cond)
{
	return real.pthread_cond_signal(cond);
}

int preload_real_sched_yield(void)
{
	return real.sched_yield();
}

int preload_real_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	return real.sigaction(number, action, old);
}

sighandler_t preload_real_signal(int number, sighandler_t handler)
{
	const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct sigaction old;

	return real.sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

ssize_t preload_real_read(int file, void *buffer, size_t length)
{
	return real.read(file, buffer, length);
}

ssize_t preload_real_write(int file, const void *buffer, size_t length)
{
	return real.write(file, buffer, length);
}

int preload_real_poll(struct pollfd *files, nfds_t count, int timeout_ms)
{
	return real.poll(files, count, timeout_ms);
}

int preload_real_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout_ms)
{
	return real.epoll_wait(epoll, events, most, timeout_ms);
}

int preload_real_close(int file)
{
	return real.close(file);
}
