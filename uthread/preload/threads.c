/* SPDX-License-Identifier: MIT */
/*
 * pthread_create() and all that is about a thread. A pthread_t of a carried program is a uthread_t.
 *
 * The end of a thread unwinds its stack, for destructors of C++ and for clean-up handlers, which
 * the C library's macros keep in buffers on the stack to jump to: who unwinds past such a buffer
 * jumps to it, and it comes back by __pthread_unwind_next().
 */
#include "preload_internal.h"

#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/** The least stack that a thread of the program gets: it does not know of ours. */
#define STACK_BYTES_LEAST (64U << 10)

__thread struct preload_thread *preload_self;
struct preload_counts preload_counts;
struct preload_thread preload_main = {.is_main = true};
atomic_uint preload_alive = 1;

static atomic_flag pool_lock = ATOMIC_FLAG_INIT;
static struct preload_thread *pool;

/* ---- memory of threads ----------------------------------------------------------------------- */

static void lock_pool(void)
{
	while (atomic_flag_test_and_set_explicit(&pool_lock, memory_order_acquire))
		real.sched_yield();
}

static void unlock_pool(void)
{
	atomic_flag_clear_explicit(&pool_lock, memory_order_release);
}

static struct preload_thread *take_thread(void)
{
	struct preload_thread *thread;

	lock_pool();
	thread = pool;
	if (thread != NULL)
		pool = thread->next_free;
	unlock_pool();
	return thread != NULL ? thread : calloc(1, sizeof(*thread));
}

static void give_thread(struct preload_thread *thread)
{
	lock_pool();
	thread->next_free = pool;
	pool = thread;
	unlock_pool();
}

/* ---- keys --------------------------------------------------------------------------------------
 */

static void (*destructors[PRELOAD_VALUES])(void *);

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	const int error = real.pthread_key_create(key, destructor);

	if (error == 0 && *key < PRELOAD_VALUES)
		destructors[*key] = destructor;
	return error;
}

int pthread_key_delete(pthread_key_t key)
{
	if (key < PRELOAD_VALUES)
		destructors[key] = NULL;
	return real.pthread_key_delete(key);
}

/** The main thread's are where they were before main(): it stays on its thread of the kernel. */
void *pthread_getspecific(pthread_key_t key)
{
	const struct preload_thread *const self = preload_self;

	if (self == NULL || self->is_main || key >= PRELOAD_VALUES)
		return real.pthread_getspecific(key);
	return self->values != NULL ? (void *)(uintptr_t)self->values[key] : NULL;
}

int pthread_setspecific(pthread_key_t key, const void *value)
{
	struct preload_thread *const self = preload_self;

	if (self == NULL || self->is_main || key >= PRELOAD_VALUES)
		return real.pthread_setspecific(key, value);
	if (self->values == NULL) {
		self->values = calloc(PRELOAD_VALUES, sizeof(self->values[0]));
		if (self->values == NULL)
			return ENOMEM;
	}
	self->values[key] = value;
	return 0;
}

static bool destroy_values(struct preload_thread *self)
{
	bool any = false;

	for (unsigned key = 0; key < PRELOAD_VALUES; key++) {
		void *const value = (void *)(uintptr_t)self->values[key];

		if (value == NULL || destructors[key] == NULL)
			continue;
		self->values[key] = NULL;
		destructors[key](value);
		any = true;
	}
	return any;
}

static void finish_values(struct preload_thread *self)
{
	for (unsigned i = 0; i < UTHREAD_DESTRUCTOR_ITERATIONS && destroy_values(self); i++)
		;
	free(self->values);
	self->values = NULL;
}

/* ---- ending ------------------------------------------------------------------------------------
 */

/** The last of what a thread does. A process whose last thread ended, ends. */
static void finish(struct preload_thread *self)
{
	self->cancel_disabled = true;
	uthread_setcancelstate(UTHREAD_CANCEL_DISABLE, NULL);
	if (self->values != NULL)
		finish_values(self);
	if (atomic_fetch_sub(&preload_alive, 1) == 1)
		exit(0);
	if (!self->is_main)
		give_thread(self);
	preload_self = NULL;
}

static void jump_to_cleanup(struct preload_thread *self) __attribute__((noreturn));

static void jump_to_cleanup(struct preload_thread *self)
{
	struct __jmp_buf_tag *place;

	/* It has no room for a mask, which it says it did not save. */
	__asm__("" : "=r"(place) : "0"(self->cleanups->__cancel_jmp_buf));
	_longjmp(place, 1);
}

static _Unwind_Reason_Code stop(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
				struct _Unwind_Exception *exception,
				struct _Unwind_Context *context, void *memory)
{
	struct preload_thread *const self = memory;
	const bool ends = actions & _UA_END_OF_STACK;
	void *const result = self->result;

	(void)version;
	(void)class;
	(void)exception;
	if (self->cleanups != NULL && (ends || _Unwind_GetCFA(context) > (uintptr_t)self->cleanups))
		jump_to_cleanup(self);
	if (!ends)
		return _URC_NO_REASON;
	finish(self);
	uthread_exit(result);
}

static void unwind(struct preload_thread *self) __attribute__((noreturn));

static void unwind(struct preload_thread *self)
{
	void *const result = self->result;

	memset(&self->unwinding, 0, sizeof(self->unwinding));
	_Unwind_ForcedUnwind(&self->unwinding, stop, self);
	/* Code that nobody can unwind was met. */
	if (self->cleanups != NULL)
		jump_to_cleanup(self);
	finish(self);
	uthread_exit(result);
}

void preload_exit(struct preload_thread *self, void *result)
{
	self->result = result;
	self->cancel_disabled = true;
	uthread_setcancelstate(UTHREAD_CANCEL_DISABLE, NULL);
	unwind(self);
}

bool preload_cancelled(struct preload_thread *self)
{
	if (self->interrupted) {
		self->interrupted = false;
		return true;
	}
	preload_exit(self, PTHREAD_CANCELED);
}

void pthread_exit(void *result)
{
	struct preload_thread *const self = preload_self;

	if (self != NULL)
		preload_exit(self, result);
	real.pthread_exit(result);
	abort();
}

/* Of <pthread.h>, which declares them only where exceptions are off. */
void __pthread_register_cancel(__pthread_unwind_buf_t *buffer);
void __pthread_unregister_cancel(__pthread_unwind_buf_t *buffer);
void __pthread_unwind_next(__pthread_unwind_buf_t *buffer) __attribute__((noreturn));

void __pthread_register_cancel(__pthread_unwind_buf_t *buffer)
{
	struct preload_thread *const self = preload_self;

	buffer->__pad[0] = self != NULL ? self->cleanups : NULL;
	if (self != NULL)
		self->cleanups = buffer;
}

void __pthread_unregister_cancel(__pthread_unwind_buf_t *buffer)
{
	struct preload_thread *const self = preload_self;

	if (self != NULL)
		self->cleanups = buffer->__pad[0];
}

void __pthread_unwind_next(__pthread_unwind_buf_t *buffer)
{
	struct preload_thread *const self = preload_self;

	if (self == NULL)
		abort();
	self->cleanups = buffer->__pad[0];
	unwind(self);
}

/* ---- creating -----------------------------------------------------------------------------------
 */

void *preload_thread_main(void *memory)
{
	struct preload_thread *const self = memory;
	void *result;

	preload_return(self);
	uthread_setcanceltype(UTHREAD_CANCEL_RETURNS, NULL);
	result = self->start(self->argument);
	finish(self);
	return result;
}

/** What of the attributes a userland thread can have; the rest is counted and left out. */
static int translate(const pthread_attr_t *given, uthread_attr_t *attr)
{
	size_t bytes = 0;
	void *stack = NULL;
	int value;

	uthread_attr_init(attr);
	if (given == NULL)
		return 0;
	pthread_attr_getdetachstate(given, &value);
	attr->detached = value == PTHREAD_CREATE_DETACHED ? UTHREAD_CREATE_DETACHED
							  : UTHREAD_CREATE_JOINABLE;
	pthread_attr_getinheritsched(given, &value);
	if (value == PTHREAD_EXPLICIT_SCHED)
		preload_count(&preload_counts.ignored);
	pthread_attr_getstack(given, &stack, &bytes);
	/* Without a stack of its own, the C library gives the end of one of no bytes. */
	if (stack != NULL && (uintptr_t)stack + bytes != 0)
		return uthread_attr_setstack(attr, stack, bytes);
	pthread_attr_getstacksize(given, &bytes);
	if (bytes < STACK_BYTES_LEAST)
		bytes = STACK_BYTES_LEAST;
	return uthread_attr_setstacksize(attr, bytes);
}

static int create_real(pthread_t *thread, const pthread_attr_t *attr, start_fn *start,
		       void *argument)
{
	preload_count(&preload_counts.real_threads);
	return real.pthread_create(thread, attr, start, argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *given, start_fn *start, void *argument)
{
	struct preload_thread *const self = preload_self;
	struct preload_thread *made;
	uthread_attr_t attr;
	int error;

	if (self == NULL)
		return create_real(thread, given, start, argument);
	error = translate(given, &attr);
	made = error == 0 ? take_thread() : NULL;
	if (made == NULL)
		return error != 0 ? -error : EAGAIN;
	made->start = start;
	made->argument = argument;
	made->cleanups = NULL;
	made->exceptions[0] = made->exceptions[1] = NULL;
	made->mask = self->mask;
	made->mask_number = self->mask_number;
	made->call = PRELOAD_CALL_NONE;
	made->interrupted = made->cancel_disabled = false;
	atomic_fetch_add_explicit(&preload_alive, 1, memory_order_relaxed);
	error = uthread_create(thread, &attr, preload_thread_main, made);
	if (error == 0) {
		preload_count(&preload_counts.threads);
		return 0;
	}
	atomic_fetch_sub(&preload_alive, 1);
	give_thread(made);
	return -error;
}

/* ---- joining ------------------------------------------------------------------------------------
 */

static int join_until(struct preload_thread *self, pthread_t thread, void **result,
		      uint64_t deadline_ns)
{
	int error;

	for (;;) {
		preload_leave(self);
		error = uthread_join_until(thread, result, deadline_ns);
		preload_return(self);
		if (error != -ECANCELED)
			return -error;
		preload_cancelled(self);
	}
}

int pthread_join(pthread_t thread, void **result)
{
	struct preload_thread *const self = preload_self;

	if (self == NULL)
		return real.pthread_join(thread, result);
	return join_until(self, thread, result, UTHREAD_NEVER);
}

int pthread_tryjoin_np(pthread_t thread, void **result)
{
	struct preload_thread *const self = preload_self;
	int error;

	if (self == NULL)
		return real.pthread_tryjoin_np(thread, result);
	error = join_until(self, thread, result, 0);
	return error == ETIMEDOUT ? EBUSY : error;
}

int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
			 const struct timespec *when)
{
	struct preload_thread *const self = preload_self;
	uint64_t deadline_ns;
	int error;

	if (self == NULL)
		return real.pthread_clockjoin_np(thread, result, clock, when);
	deadline_ns = preload_deadline(clock, when, &error);
	return error != 0 ? error : join_until(self, thread, result, deadline_ns);
}

int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *when)
{
	return pthread_clockjoin_np(thread, result, CLOCK_REALTIME, when);
}

int pthread_detach(pthread_t thread)
{
	return preload_self != NULL ? -uthread_detach(thread) : real.pthread_detach(thread);
}

pthread_t pthread_self(void)
{
	return preload_self != NULL ? uthread_self() : real.pthread_self();
}

int sched_yield(void)
{
	struct preload_thread *const self = preload_self;

	if (self == NULL)
		return real.sched_yield();
	preload_leave(self);
	uthread_yield();
	preload_return(self);
	return 0;
}

/* ---- cancelling ---------------------------------------------------------------------------------
 */

int pthread_cancel(pthread_t thread)
{
	return preload_self != NULL ? -uthread_cancel(thread) : real.pthread_cancel(thread);
}

int pthread_setcancelstate(int state, int *old)
{
	struct preload_thread *const self = preload_self;

	if (self == NULL)
		return real.pthread_setcancelstate(state, old);
	if (state != PTHREAD_CANCEL_ENABLE && state != PTHREAD_CANCEL_DISABLE)
		return EINVAL;
	if (old != NULL)
		*old = self->cancel_disabled ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE;
	self->cancel_disabled = state == PTHREAD_CANCEL_DISABLE;
	uthread_setcancelstate(
		self->cancel_disabled ? UTHREAD_CANCEL_DISABLE : UTHREAD_CANCEL_ENABLE, NULL);
	return 0;
}

/** Asynchronous cancellation acts at the next point, as that of a thread that does not run. */
int pthread_setcanceltype(int type, int *old)
{
	if (preload_self == NULL)
		return real.pthread_setcanceltype(type, old);
	if (type != PTHREAD_CANCEL_DEFERRED && type != PTHREAD_CANCEL_ASYNCHRONOUS)
		return EINVAL;
	if (type == PTHREAD_CANCEL_ASYNCHRONOUS)
		preload_count(&preload_counts.ignored);
	if (old != NULL)
		*old = PTHREAD_CANCEL_DEFERRED;
	return 0;
}

void pthread_testcancel(void)
{
	struct preload_thread *const self = preload_self;

	if (self == NULL)
		real.pthread_testcancel();
	else if (uthread_testcancel() == -ECANCELED)
		preload_cancelled(self);
}

/* ---- once
 * ---------------------------------------------------------------------------------------- */

enum {
	ONCE_NEW = 0,
	ONCE_RUNS = 1,
	ONCE_DONE = 2
};

static void once_again(pthread_once_t **once)
{
	if (*once != NULL)
		__atomic_store_n(*once, ONCE_NEW, __ATOMIC_RELEASE);
}

/** A routine that was cancelled is run again by the next caller. */
static void run_once(pthread_once_t *control, void (*routine)(void))
{
	pthread_once_t *running __attribute__((cleanup(once_again))) = control;

	routine();
	running = NULL;
	__atomic_store_n(control, ONCE_DONE, __ATOMIC_RELEASE);
}

int pthread_once(pthread_once_t *once, void (*routine)(void))
{
	int state = ONCE_NEW;

	if (__atomic_load_n(once, __ATOMIC_ACQUIRE) == ONCE_DONE)
		return 0;
	if (preload_self == NULL)
		return real.pthread_once(once, routine);
	while (!__atomic_compare_exchange_n(once, &state, ONCE_RUNS, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_ACQUIRE)) {
		if (state == ONCE_DONE)
			return 0;
		sched_yield();
		state = ONCE_NEW;
	}
	run_once(once, routine);
	return 0;
}

/* ---- what is known of a thread
 * ------------------------------------------------------------------- */

int pthread_setname_np(pthread_t thread, const char *name)
{
	return preload_self != NULL ? -uthread_setname(thread, name)
				    : real.pthread_setname_np(thread, name);
}

int pthread_getname_np(pthread_t thread, char *name, size_t bytes)
{
	return preload_self != NULL ? -uthread_getname(thread, name, bytes)
				    : real.pthread_getname_np(thread, name, bytes);
}

/** Whether there is such a thread. */
static int exists(pthread_t thread)
{
	int priority;

	return -uthread_getpriority(thread, &priority);
}

static int ignore(pthread_t thread)
{
	preload_count(&preload_counts.ignored);
	return exists(thread);
}

int pthread_setaffinity_np(pthread_t thread, size_t bytes, const cpu_set_t *cpus)
{
	return preload_self != NULL ? ignore(thread)
				    : real.pthread_setaffinity_np(thread, bytes, cpus);
}

int pthread_getaffinity_np(pthread_t thread, size_t bytes, cpu_set_t *cpus)
{
	if (preload_self == NULL)
		return real.pthread_getaffinity_np(thread, bytes, cpus);
	return exists(thread) != 0 ? ESRCH : sched_getaffinity(0, bytes, cpus) == 0 ? 0 : errno;
}

int pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *parameters)
{
	return preload_self != NULL ? ignore(thread)
				    : real.pthread_setschedparam(thread, policy, parameters);
}

int pthread_getschedparam(pthread_t thread, int *policy, struct sched_param *parameters)
{
	if (preload_self == NULL)
		return real.pthread_getschedparam(thread, policy, parameters);
	*policy = sched_getscheduler(0);
	sched_getparam(0, parameters);
	return exists(thread);
}

int pthread_setschedprio(pthread_t thread, int priority)
{
	return preload_self != NULL ? ignore(thread) : real.pthread_setschedprio(thread, priority);
}

/** The worker's: its stack, which no thread is on, is no guide. */
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
	if (preload_self == NULL)
		return real.pthread_getattr_np(thread, attr);
	if (ignore(thread) != 0)
		return ESRCH;
	return real.pthread_getattr_np(real.pthread_self(), attr);
}

/** The time of all threads of a worker is one. */
int pthread_getcpuclockid(pthread_t thread, clockid_t *clock)
{
	if (preload_self == NULL)
		return real.pthread_getcpuclockid(thread, clock);
	*clock = CLOCK_THREAD_CPUTIME_ID;
	return ignore(thread);
}

/** The signal goes to the process, where threads in sigwait() find it, too. */
int pthread_kill(pthread_t thread, int number)
{
	if (preload_self == NULL)
		return real.pthread_kill(thread, number);
	if (number < 0 || number >= NSIG)
		return EINVAL;
	if (exists(thread) != 0 || number == 0)
		return exists(thread);
	return kill(getpid(), number) == 0 ? 0 : errno;
}
