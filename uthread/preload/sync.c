/* SPDX-License-Identifier: MIT */
/*
 * What threads wait for: mutexes, condition variables, reader-writer locks, barriers, spin locks
 * and semaphores, each in the memory of the C library's object, whose static initialisers are also
 * those of uthread's. Objects that processes share, and robust mutexes, are the real ones, tried
 * again and again with others running in between.
 */
#include "preload_internal.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/** Between two tries of an object that another process may have. */
#define RETRY_MS 1
/** Says in an object's spare bytes that it is uthread's, whatever the C library left there. */
#define OURS 0x7574687265616431U

static_assert(sizeof(uthread_mutex_t) <= sizeof(pthread_mutex_t) &&
		      offsetof(uthread_mutex_t, kind) == offsetof(pthread_mutex_t, __data.__kind),
	      "a mutex of either kind tells its kind in the same place");

/** For what has no mark yet: several may be the first. */
static atomic_flag marking = ATOMIC_FLAG_INIT;

static void begin_marking(void)
{
	while (atomic_flag_test_and_set_explicit(&marking, memory_order_acquire))
		real.sched_yield();
}

static void end_marking(uint64_t *mark)
{
	__atomic_store_n(mark, OURS, __ATOMIC_RELEASE);
	atomic_flag_clear_explicit(&marking, memory_order_release);
}

static inline bool is_marked(const uint64_t *mark)
{
	return __builtin_expect(__atomic_load_n(mark, __ATOMIC_ACQUIRE) == OURS, 1);
}

/** Waits a little for a real object; 0, -ETIMEDOUT, or EINTR's place by -ECANCELED. */
static int pause_until(struct preload_thread *self, uint64_t deadline_ns)
{
	uint64_t soon_ns = uthread_deadline(RETRY_MS);
	int state;

	if (deadline_ns <= uthread_deadline(0))
		return -ETIMEDOUT;
	preload_leave(self);
	uthread_setcancelstate(UTHREAD_CANCEL_DISABLE, &state);
	uthread_sleep_until(soon_ns < deadline_ns ? soon_ns : deadline_ns);
	uthread_setcancelstate(state, NULL);
	preload_return(self);
	return 0;
}

/* ---- mutexes
 * ------------------------------------------------------------------------------------- */

/** Kinds beyond those that uthread has: robust, with priorities, shared. */
static inline bool is_real(const pthread_mutex_t *mutex)
{
	return mutex->__data.__kind > PTHREAD_MUTEX_ADAPTIVE_NP;
}

static inline uthread_mutex_t *ours(pthread_mutex_t *mutex)
{
	return (uthread_mutex_t *)(void *)mutex;
}

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	const int error = real.pthread_mutex_init(mutex, attr);

	if (is_real(mutex))
		preload_count(&preload_counts.shared_objects);
	return error;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	if (preload_self == NULL || is_real(mutex))
		return real.pthread_mutex_destroy(mutex);
	return -uthread_mutex_destroy(ours(mutex));
}

static int lock_real(struct preload_thread *self, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
	int error;

	while ((error = real.pthread_mutex_trylock(mutex)) == EBUSY)
		if (pause_until(self, deadline_ns) != 0)
			return ETIMEDOUT;
	return error;
}

static int lock_slowly(struct preload_thread *self, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
	int error;

	if (is_real(mutex))
		return lock_real(self, mutex, deadline_ns);
	preload_leave(self);
	error = uthread_mutex_lock_until(ours(mutex), deadline_ns);
	preload_return(self);
	return -error;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	struct preload_thread *const self = preload_self;

	if (self == NULL)
		return real.pthread_mutex_lock(mutex);
	if (!is_real(mutex) && uthread_mutex_trylock(ours(mutex)) == 0)
		return 0;
	return lock_slowly(self, mutex, UTHREAD_NEVER);
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	if (preload_self == NULL || is_real(mutex))
		return real.pthread_mutex_trylock(mutex);
	return -uthread_mutex_trylock(ours(mutex));
}

int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *when)
{
	struct preload_thread *const self = preload_self;
	uint64_t deadline_ns;
	int error;

	if (self == NULL)
		return real.pthread_mutex_clocklock(mutex, clock, when);
	/* A mutex that is free is locked whatever the time. */
	if (!is_real(mutex) && uthread_mutex_trylock(ours(mutex)) == 0)
		return 0;
	deadline_ns = preload_deadline(clock, when, &error);
	return error != 0 ? error : lock_slowly(self, mutex, deadline_ns);
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *when)
{
	return pthread_mutex_clocklock(mutex, CLOCK_REALTIME, when);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	if (preload_self == NULL || is_real(mutex))
		return real.pthread_mutex_unlock(mutex);
	return -uthread_mutex_unlock(ours(mutex));
}

/* ---- condition variables
 * --------------------------------------------------------------------------- */

enum {
	/* As the C library has them in __wrefs. */
	COND_SHARED = 1,
	COND_MONOTONIC = 2
};

struct cond {
	uthread_cond_t cond;
	uint64_t unused[2];
	uint32_t unused_too;
	uint32_t flags;
	uint64_t mark;
};

static_assert(sizeof(struct cond) == sizeof(pthread_cond_t) &&
		      offsetof(struct cond, flags) == offsetof(pthread_cond_t, __data.__wrefs),
	      "the flags are where the C library has them");

static inline bool cond_is_real(const pthread_cond_t *cond)
{
	return cond->__data.__wrefs & COND_SHARED;
}

/** What the C library left of signals before main() is nothing that anybody waits for. */
static inline uthread_cond_t *our_cond(pthread_cond_t *memory)
{
	struct cond *const cond = (struct cond *)(void *)memory;

	if (!is_marked(&cond->mark)) {
		begin_marking();
		if (cond->mark != OURS)
			cond->cond = (uthread_cond_t)UTHREAD_COND_INITIALIZER;
		end_marking(&cond->mark);
	}
	return &cond->cond;
}

int pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
	const int error = real.pthread_cond_init(cond, attr);

	if (cond_is_real(cond))
		preload_count(&preload_counts.shared_objects);
	return error;
}

int pthread_cond_destroy(pthread_cond_t *cond)
{
	if (preload_self == NULL || cond_is_real(cond))
		return real.pthread_cond_destroy(cond);
	return -uthread_cond_destroy(our_cond(cond));
}

static int wait_until(struct preload_thread *self, pthread_cond_t *cond, pthread_mutex_t *mutex,
		      uint64_t deadline_ns)
{
	int error;

	preload_leave(self);
	error = uthread_cond_wait_until(our_cond(cond), ours(mutex), deadline_ns);
	preload_return(self);
	if (error != -ECANCELED)
		return -error;
	/* A signal that was handled is a spurious wake. */
	preload_cancelled(self);
	return 0;
}

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	struct preload_thread *const self = preload_self;

	if (self == NULL || cond_is_real(cond) || is_real(mutex))
		return real.pthread_cond_wait(cond, mutex);
	return wait_until(self, cond, mutex, UTHREAD_NEVER);
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
			   const struct timespec *when)
{
	struct preload_thread *const self = preload_self;
	uint64_t deadline_ns;
	int error;

	if (self == NULL || cond_is_real(cond) || is_real(mutex))
		return real.pthread_cond_clockwait(cond, mutex, clock, when);
	deadline_ns = preload_deadline(clock, when, &error);
	return error != 0 ? error : wait_until(self, cond, mutex, deadline_ns);
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
			   const struct timespec *when)
{
	const bool monotonic = cond->__data.__wrefs & COND_MONOTONIC;

	if (preload_self == NULL || cond_is_real(cond) || is_real(mutex))
		return real.pthread_cond_timedwait(cond, mutex, when);
	return pthread_cond_clockwait(cond, mutex, monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME,
				      when);
}

int pthread_cond_signal(pthread_cond_t *cond)
{
	if (preload_self == NULL || cond_is_real(cond))
		return real.pthread_cond_signal(cond);
	return -uthread_cond_signal(our_cond(cond));
}

int pthread_cond_broadcast(pthread_cond_t *cond)
{
	if (preload_self == NULL || cond_is_real(cond))
		return real.pthread_cond_broadcast(cond);
	return -uthread_cond_broadcast(our_cond(cond));
}

/* ---- reader-writer locks
 * ----------------------------------------------------------------------------- */

struct rwlock {
	uthread_rwlock_t rwlock;
	uint64_t mark;
};

static_assert(sizeof(struct rwlock) <= offsetof(pthread_rwlock_t, __data.__flags),
	      "a lock and its mark fit in before the flags");

/** `__shared` lies in what is the count of readers of ours: only asked of what has no mark. */
static inline bool rwlock_is_real(const pthread_rwlock_t *memory)
{
	const struct rwlock *const lock = (const struct rwlock *)(const void *)memory;

	return !is_marked(&lock->mark) && memory->__data.__shared != 0;
}

static inline uthread_rwlock_t *our_rwlock(pthread_rwlock_t *memory)
{
	struct rwlock *const lock = (struct rwlock *)(void *)memory;

	if (!is_marked(&lock->mark)) {
		begin_marking();
		if (lock->mark != OURS)
			lock->rwlock = (uthread_rwlock_t)UTHREAD_RWLOCK_INITIALIZER;
		end_marking(&lock->mark);
	}
	return &lock->rwlock;
}

int pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attr)
{
	const int error = real.pthread_rwlock_init(lock, attr);

	if (rwlock_is_real(lock))
		preload_count(&preload_counts.shared_objects);
	return error;
}

int pthread_rwlock_destroy(pthread_rwlock_t *lock)
{
	int error;

	if (preload_self == NULL || rwlock_is_real(lock))
		return real.pthread_rwlock_destroy(lock);
	error = -uthread_rwlock_destroy(our_rwlock(lock));
	if (error == 0)
		memset(lock, 0, sizeof(*lock));
	return error;
}

/** For reading or writing, whichever of uthread's and of the C library's is given. */
static int lock_rwlock(pthread_rwlock_t *lock, uint64_t deadline_ns,
		       int (*until)(uthread_rwlock_t *, uint64_t), int (*try)(pthread_rwlock_t *))
{
	struct preload_thread *const self = preload_self;
	int error;

	if (rwlock_is_real(lock)) {
		while ((error = try(lock)) == EBUSY)
			if (pause_until(self, deadline_ns) != 0)
				return ETIMEDOUT;
		return error;
	}
	preload_leave(self);
	error = until(our_rwlock(lock), deadline_ns);
	preload_return(self);
	return -error;
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	if (preload_self == NULL)
		return real.pthread_rwlock_rdlock(lock);
	return lock_rwlock(lock, UTHREAD_NEVER, uthread_rwlock_rdlock_until,
			   real.pthread_rwlock_tryrdlock);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	if (preload_self == NULL)
		return real.pthread_rwlock_wrlock(lock);
	return lock_rwlock(lock, UTHREAD_NEVER, uthread_rwlock_wrlock_until,
			   real.pthread_rwlock_trywrlock);
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
	if (preload_self == NULL || rwlock_is_real(lock))
		return real.pthread_rwlock_tryrdlock(lock);
	return -uthread_rwlock_tryrdlock(our_rwlock(lock));
}

int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
	if (preload_self == NULL || rwlock_is_real(lock))
		return real.pthread_rwlock_trywrlock(lock);
	return -uthread_rwlock_trywrlock(our_rwlock(lock));
}

int pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *when)
{
	uint64_t deadline_ns;
	int error;

	if (preload_self == NULL)
		return real.pthread_rwlock_clockrdlock(lock, clock, when);
	deadline_ns = preload_deadline(clock, when, &error);
	return error != 0 ? error
			  : lock_rwlock(lock, deadline_ns, uthread_rwlock_rdlock_until,
					real.pthread_rwlock_tryrdlock);
}

int pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *when)
{
	uint64_t deadline_ns;
	int error;

	if (preload_self == NULL)
		return real.pthread_rwlock_clockwrlock(lock, clock, when);
	deadline_ns = preload_deadline(clock, when, &error);
	return error != 0 ? error
			  : lock_rwlock(lock, deadline_ns, uthread_rwlock_wrlock_until,
					real.pthread_rwlock_trywrlock);
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *when)
{
	return pthread_rwlock_clockrdlock(lock, CLOCK_REALTIME, when);
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *when)
{
	return pthread_rwlock_clockwrlock(lock, CLOCK_REALTIME, when);
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	if (preload_self == NULL || rwlock_is_real(lock))
		return real.pthread_rwlock_unlock(lock);
	return -uthread_rwlock_unlock(our_rwlock(lock));
}

/* ---- barriers, spin locks
 * ------------------------------------------------------------------------------ */

struct barrier {
	uthread_barrier_t barrier;
	uint64_t mark;
};

static_assert(sizeof(struct barrier) <= sizeof(pthread_barrier_t), "a barrier has room for ours");

static bool barrier_is_ours(const pthread_barrier_t *memory)
{
	return preload_self != NULL && ((const struct barrier *)(const void *)memory)->mark == OURS;
}

int pthread_barrier_init(pthread_barrier_t *memory, const pthread_barrierattr_t *attr,
			 unsigned count)
{
	struct barrier *const barrier = (struct barrier *)(void *)memory;
	int shared = PTHREAD_PROCESS_PRIVATE, error;

	if (attr != NULL)
		pthread_barrierattr_getpshared(attr, &shared);
	barrier->mark = 0;
	if (preload_self == NULL || shared != PTHREAD_PROCESS_PRIVATE) {
		preload_count(&preload_counts.shared_objects);
		return real.pthread_barrier_init(memory, attr, count);
	}
	error = -uthread_barrier_init(&barrier->barrier, count);
	if (error == 0)
		barrier->mark = OURS;
	return error;
}

int pthread_barrier_destroy(pthread_barrier_t *memory)
{
	struct barrier *const barrier = (struct barrier *)(void *)memory;
	int error;

	if (!barrier_is_ours(memory))
		return real.pthread_barrier_destroy(memory);
	error = -uthread_barrier_destroy(&barrier->barrier);
	if (error == 0)
		barrier->mark = 0;
	return error;
}

int pthread_barrier_wait(pthread_barrier_t *memory)
{
	struct preload_thread *const self = preload_self;
	int result;

	if (!barrier_is_ours(memory))
		return real.pthread_barrier_wait(memory);
	preload_leave(self);
	result = uthread_barrier_wait(&((struct barrier *)(void *)memory)->barrier);
	preload_return(self);
	return result == UTHREAD_BARRIER_SERIAL_THREAD ? PTHREAD_BARRIER_SERIAL_THREAD : -result;
}

/** As the C library has it: an int, which is 1 when it is free. */
int pthread_spin_lock(pthread_spinlock_t *lock)
{
	while (pthread_spin_trylock(lock) != 0)
		sched_yield();
	return 0;
}

/* ---- semaphores
 * ---------------------------------------------------------------------------------------- */

struct sem {
	uthread_sem_t sem;
	uint64_t mark;
};

static_assert(sizeof(struct sem) <= sizeof(sem_t), "a semaphore has room for ours");

/** Those of sem_open(), of before main() and of shared memory are not. */
static bool sem_is_ours(const sem_t *memory)
{
	return ((const struct sem *)(const void *)memory)->mark == OURS;
}

static uthread_sem_t *our_sem(sem_t *memory)
{
	return &((struct sem *)(void *)memory)->sem;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

int sem_init(sem_t *memory, int shared, unsigned value)
{
	struct sem *const sem = (struct sem *)(void *)memory;
	int error;

	sem->mark = 0;
	if (preload_self == NULL || shared) {
		preload_count(&preload_counts.shared_objects);
		return real.sem_init(memory, shared, value);
	}
	error = -uthread_sem_init(&sem->sem, value);
	if (error != 0)
		return fail(error);
	sem->mark = OURS;
	return 0;
}

int sem_destroy(sem_t *memory)
{
	if (preload_self == NULL || !sem_is_ours(memory))
		return real.sem_destroy(memory);
	((struct sem *)(void *)memory)->mark = 0;
	return 0;
}

static int wait_for_real(struct preload_thread *self, sem_t *sem, uint64_t deadline_ns)
{
	while (real.sem_trywait(sem) != 0) {
		if (errno != EAGAIN)
			return -1;
		if (uthread_testcancel() == -ECANCELED && preload_cancelled(self))
			return fail(EINTR);
		if (pause_until(self, deadline_ns) != 0)
			return fail(ETIMEDOUT);
	}
	return 0;
}

static int wait_for_sem(struct preload_thread *self, sem_t *sem, uint64_t deadline_ns)
{
	int error;

	if (!sem_is_ours(sem))
		return wait_for_real(self, sem, deadline_ns);
	self->call = PRELOAD_CALL_RESTARTS;
	preload_leave(self);
	error = uthread_sem_wait_until(our_sem(sem), deadline_ns);
	preload_return(self);
	self->call = PRELOAD_CALL_NONE;
	if (error == 0)
		return 0;
	if (error != -ECANCELED)
		return fail(-error);
	preload_cancelled(self);
	return fail(EINTR);
}

int sem_wait(sem_t *sem)
{
	struct preload_thread *const self = preload_self;

	return self == NULL ? real.sem_wait(sem) : wait_for_sem(self, sem, UTHREAD_NEVER);
}

int sem_trywait(sem_t *sem)
{
	int error;

	if (preload_self == NULL || !sem_is_ours(sem))
		return real.sem_trywait(sem);
	error = uthread_sem_trywait(our_sem(sem));
	return error == 0 ? 0 : fail(-error);
}

int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *when)
{
	struct preload_thread *const self = preload_self;
	uint64_t deadline_ns;
	int error;

	if (self == NULL)
		return real.sem_clockwait(sem, clock, when);
	if (sem_trywait(sem) == 0)
		return 0;
	deadline_ns = preload_deadline(clock, when, &error);
	return error != 0 ? fail(error) : wait_for_sem(self, sem, deadline_ns);
}

int sem_timedwait(sem_t *sem, const struct timespec *when)
{
	return sem_clockwait(sem, CLOCK_REALTIME, when);
}

void preload_post_now(sem_t *sem)
{
	uthread_sem_post(our_sem(sem));
}

int sem_post(sem_t *sem)
{
	int error;

	if (!sem_is_ours(sem))
		return real.sem_post(sem);
	if (preload_self == NULL)
		return preload_post_later(sem) ? 0 : fail(EAGAIN);
	error = uthread_sem_post(our_sem(sem));
	return error == 0 ? 0 : fail(-error);
}

int sem_getvalue(sem_t *sem, int *value)
{
	if (!sem_is_ours(sem))
		return real.sem_getvalue(sem, value);
	return uthread_sem_getvalue(our_sem(sem), (uint32_t *)value) == 0 ? 0 : fail(EINVAL);
}
