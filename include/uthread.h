/* SPDX-License-Identifier: MIT */
/*
 * uthread: userland threads for programs that ask for them.
 *
 * Threads that are switched by a function call rather than by the kernel: a program can have a
 * million of them, and code that waits reads as if it blocked. A scheduler carries any number of
 * threads on a few workers, which are threads of the kernel.
 *
 *	static void *start(void *argument)
 *	{
 *		uthread_t thread;
 *
 *		uthread_create(&thread, NULL, work, argument);
 *		return uthread_join(thread, NULL) == 0 ? argument : NULL;
 *	}
 *
 *	uthread_run(NULL, start, argument, NULL);
 *
 * Names, attributes and meanings are those of POSIX threads (IEEE Std 1003.1-2017) unless said, so
 * that porting is a rename. Two things differ everywhere. Errors are negative errno values, with a
 * sentence in uthread_error() for those that a program does not expect in good order (not for
 * -EBUSY, -EAGAIN, -ETIMEDOUT, -ECANCELED, -EPIPE). And each call that waits has a form that ends
 * in `_until` and takes a deadline: nanoseconds of CLOCK_MONOTONIC, see uthread_deadline(); 0 only
 * tries, UTHREAD_NEVER waits for ever; when it has passed, the call returns -ETIMEDOUT.
 *
 * Threads: a call that says nothing else is for a userland thread, and returns -EPERM to any other
 * caller. Objects (mutexes and so on) are shared by the threads of one scheduler, and must not
 *move. Switching happens only in calls that wait and in uthread_yield(); a thread that computes
 *keeps its worker until then. No call but uthread_unpark() is for signal handlers.
 *
 * With more than one worker, or with spare workers, a thread that waited may go on in another
 * thread of the kernel: what belongs to that, `__thread` variables above all, may be another then.
 * With one worker and no spare this never happens, nor with UTHREAD_BOUND_THREADS. `errno` is each
 * thread's own in any case; but a compiler may take its address for the same throughout a function,
 * so that, where threads move, one function should not look at it both before and after a wait.
 */
#ifndef UTHREAD_H
#define UTHREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The deadline that never comes. */
#define UTHREAD_NEVER UINT64_MAX

/** The smallest stack, with its guard and what uthread keeps there (less than 2 KiB). */
#define UTHREAD_STACK_MIN 16384U
/** The largest stack, 1 GiB. */
#define UTHREAD_STACK_MAX (1U << 30)
/** Bytes of a name with its terminating zero. */
#define UTHREAD_NAME_BYTES 16
/** Priorities go from 0 to this; higher ones first. Without a say: 0. */
#define UTHREAD_PRIORITY_MAX 63
/** Most workers, and most spare ones. */
#define UTHREAD_WORKERS_MAX 1024

/** Names a thread, as pthread_t. Never 0. Not used again for a long time (8 million threads). */
typedef uint64_t uthread_t;

/** CLOCK_MONOTONIC in nanoseconds, @timeout_ms from now. Any thread. */
uint64_t uthread_deadline(uint64_t timeout_ms);

/** The last error of this thread of the kernel as a sentence; valid until it waits or fails again.
 */
const char *uthread_error(void);

/* ---- schedulers ---------------------------------------------------------------------------- */

struct uthread_attr;
struct uthread_policy;
struct uthread_hooks;
struct uthread_scheduler;

enum uthread_option_flag {
	/** Guard pages are mappings of their own, even where the kernel has lighter ones. */
	UTHREAD_CLASSIC_GUARDS = 1 << 0,
	/** Leave SIGSEGV alone; an overflow of a stack then has no message. */
	UTHREAD_NO_OVERFLOW_MESSAGE = 1 << 1,
	/**
	 * A thread belongs to one worker from its creation, the one that has the fewest unless
	 * uthread_attr_setworker() says which, and never runs on another: what belongs to a thread
	 * of the kernel, `__thread` variables above all, stays the same for it. Nothing is stolen.
	 * Not with spare workers.
	 */
	UTHREAD_BOUND_THREADS = 1 << 2,
	/**
	 * A deadlock is reported and nothing else: the threads go on waiting, as a signal's handler
	 * may yet wake one. It may be reported again after something was woken.
	 */
	UTHREAD_DEADLOCK_GOES_ON = 1 << 3
};

/** How a scheduler shall be. Zeros mean defaults. */
struct uthread_options {
	/** sizeof(struct uthread_options). */
	uint32_t size;
	/** uthread_option_flag. */
	uint32_t flags;
	/**
	 * Threads of the kernel that run threads, up to UTHREAD_WORKERS_MAX; as many as there are
	 * CPUs for the process. With one (and no spare one) nothing is atomic and nothing locked.
	 */
	uint32_t workers;
	/**
	 * More of them, up to as many, that stand in for workers which are stuck in a blocking call
	 * or a long computation; 0.
	 */
	uint32_t spare_workers;
	/** With spare workers: a worker that did not switch for this long is stuck; 10. */
	uint32_t tick_ms;
	/** Most threads at once; 16 million. */
	uint32_t max_threads;
	/** Stacks of threads whose attributes do not say; 64 KiB. */
	size_t stack_bytes;
	/** NULL: uthread_policy_stealing. Must stay valid while the scheduler exists. */
	const struct uthread_policy *policy;
	/** What a worker does when nothing is left to run; NULL: it sleeps. As for `policy`. */
	const struct uthread_hooks *hooks;
	void *hooks_context;
	/**
	 * Gets the report of a deadlock, several lines; NULL: standard error. Called on a worker,
	 * outside any thread.
	 */
	void (*report)(void *context, const char *text);
	void *report_context;
};

/**
 * Runs @start(@argument) in a userland thread of a new scheduler, and returns when it and all
 * threads that came of it have ended. The calling thread is one of the workers until then. @result
 * may be NULL, or receives what @start returned. @options may be NULL.
 *
 * Errors: -EINVAL for an option out of range; -ENOMEM, -EAGAIN when memory or threads of the kernel
 * cannot be had; -EPERM in a userland thread. -EDEADLK when threads are left that can never go on:
 * all of them wait and there is nothing that could wake one. The report names each of them, what
 * it waits for, and its calls; the threads are then abandoned with their stacks' contents.
 */
int uthread_run(const struct uthread_options *options, void *(*start)(void *), void *argument,
		void **result);

/**
 * The same in parts, for a program with a loop of its own: a scheduler of one worker, which is
 * whatever thread of the kernel calls uthread_turn(). Options as for uthread_run(), but -EINVAL
 * with more than one worker or with spare ones; `workers` is 1 unless said.
 */
int uthread_scheduler_create(const struct uthread_options *options,
			     struct uthread_scheduler **scheduler);

/** Takes NULL. Threads that are left are abandoned. Not from one of its threads. */
void uthread_scheduler_destroy(struct uthread_scheduler *scheduler);

/** What uthread_turn() leaves. */
struct uthread_turn {
	/** Threads that have not ended. */
	uint32_t threads;
	uint32_t padding;
	/** When the next one wants to be woken; 0 when one could go on now; UTHREAD_NEVER. */
	uint64_t deadline_ns;
};

/**
 * Runs threads until none can go on, or for some thousand switches, without sleeping. @left may be
 * NULL. The hooks are not asked to wait. Returns the number of switches. From one thread of the
 * kernel at a time; -EPERM in a userland thread.
 */
int uthread_turn(struct uthread_scheduler *scheduler, struct uthread_turn *left);

/** As uthread_create() for a thread of @scheduler, from between turns or from its own threads. */
int uthread_scheduler_spawn(struct uthread_scheduler *scheduler, uthread_t *thread,
			    const struct uthread_attr *attr, void *(*start)(void *),
			    void *argument);

/** As uthread_cancel() for each thread that has not ended, from between turns. */
void uthread_scheduler_cancel(struct uthread_scheduler *scheduler);

/** What a scheduler has and did. */
struct uthread_info {
	uint32_t workers;
	uint32_t spare_workers;
	/** Threads that have not ended, and stacks that were ever made. */
	uint32_t threads;
	uint32_t stacks;
	/** Whether guards are the kernel's lightweight ones. */
	uint32_t light_guards;
	uint32_t padding;
	uint64_t created;
	uint64_t switches;
	uint64_t steals;
	/** How often a stuck worker was noticed. */
	uint64_t stuck;
};

/** About the caller's scheduler. */
int uthread_describe(struct uthread_info *info);

/* ---- threads ------------------------------------------------------------------------------- */

enum uthread_detach_state {
	UTHREAD_CREATE_JOINABLE,
	UTHREAD_CREATE_DETACHED
};

/** Attributes of threads to be; the members are uthread's own. */
typedef struct uthread_attr {
	size_t stack_bytes;
	void *stack;
	uint64_t deadline_ns;
	uint8_t detached;
	uint8_t priority;
	char name[UTHREAD_NAME_BYTES];
	/** One more than the worker's number. */
	uint16_t worker;
} uthread_attr_t;

/* As those of pthreads; any thread may call them. -EINVAL for what is out of range. */
int uthread_attr_init(uthread_attr_t *attr);
int uthread_attr_destroy(uthread_attr_t *attr);
int uthread_attr_setdetachstate(uthread_attr_t *attr, int state);
int uthread_attr_getdetachstate(const uthread_attr_t *attr, int *state);
/** UTHREAD_STACK_MIN to UTHREAD_STACK_MAX; rounded up to a power of two. */
int uthread_attr_setstacksize(uthread_attr_t *attr, size_t stack_bytes);
int uthread_attr_getstacksize(const uthread_attr_t *attr, size_t *stack_bytes);
/** Memory of the caller's, without a guard; it must last until the thread was joined or, when it is
 *  detached, until the scheduler is gone. */
int uthread_attr_setstack(uthread_attr_t *attr, void *stack, size_t stack_bytes);
int uthread_attr_getstack(const uthread_attr_t *attr, void **stack, size_t *stack_bytes);
/** 0 to UTHREAD_PRIORITY_MAX; for policies that look at it. */
int uthread_attr_setpriority(uthread_attr_t *attr, int priority);
int uthread_attr_getpriority(const uthread_attr_t *attr, int *priority);
/** For uthread_policy_deadline and policies like it. */
int uthread_attr_setdeadline(uthread_attr_t *attr, uint64_t deadline_ns);
/** -ERANGE when longer than UTHREAD_NAME_BYTES - 1. */
int uthread_attr_setname(uthread_attr_t *attr, const char *name);
/**
 * The worker that the thread is to belong to, as pthread_attr_setaffinity_np(): 0 is the one that
 * called uthread_run(). With UTHREAD_BOUND_THREADS only; uthread_create() returns -EINVAL without
 * it or when there is no such worker.
 */
int uthread_attr_setworker(uthread_attr_t *attr, unsigned worker);

/** What a cancelled thread ends with. */
#define UTHREAD_CANCELED ((void *)-1)

/**
 * pthread_create(). @thread and @attr may be NULL. Errors: -EAGAIN when there are max_threads
 * already, or the kernel gives no memory or no more mappings for stacks; -EINVAL for attributes out
 * of range.
 */
int uthread_create(uthread_t *thread, const uthread_attr_t *attr, void *(*start)(void *),
		   void *argument);

/**
 * Waits for the end of @thread and forgets it. @result may be NULL. Errors: -ESRCH for a thread
 * that was joined or, being detached, has ended; -EINVAL for one that is detached or that somebody
 * else is joining; -EDEADLK for the caller itself. A point of cancellation; @thread can be joined
 * afterwards.
 */
int uthread_join(uthread_t thread, void **result);
int uthread_join_until(uthread_t thread, void **result, uint64_t deadline_ns);

/** Lets @thread be forgotten when it ends. -ESRCH, -EINVAL as uthread_join(). */
int uthread_detach(uthread_t thread);

/** Ends the caller: clean-up handlers, then destructors of its data. Its stack is not unwound. */
void uthread_exit(void *result) __attribute__((noreturn));

/** The caller, or 0 where that is no userland thread. Any thread. */
uthread_t uthread_self(void);
static inline int uthread_equal(uthread_t a, uthread_t b)
{
	return a == b;
}

/** Lets others run. A caller that is no userland thread gets -EPERM. */
int uthread_yield(void);

/** Waits for the deadline; 0 then. Points of cancellation. */
int uthread_sleep_until(uint64_t deadline_ns);
int uthread_sleep_ms(uint64_t timeout_ms);

/** Errors of all four: -ESRCH. Names are cut at -ERANGE; priorities act from the next wake on. */
int uthread_setname(uthread_t thread, const char *name);
int uthread_getname(uthread_t thread, char *name, size_t name_bytes);
int uthread_setpriority(uthread_t thread, int priority);
int uthread_getpriority(uthread_t thread, int *priority);
/** For policies that look at it. -ESRCH. */
int uthread_setdeadline(uthread_t thread, uint64_t deadline_ns);

/* ---- cancellation -------------------------------------------------------------------------- */

enum uthread_cancel_state {
	UTHREAD_CANCEL_ENABLE,
	UTHREAD_CANCEL_DISABLE
};

enum uthread_cancel_type {
	/** The thread ends with UTHREAD_CANCELED in the next point of cancellation. */
	UTHREAD_CANCEL_DEFERRED,
	/** The next point of cancellation returns -ECANCELED, once for each uthread_cancel(). */
	UTHREAD_CANCEL_RETURNS
};

/**
 * Asks @thread to end. -ESRCH. Points of cancellation are the calls that wait, but not those of
 * mutexes, reader-writer locks, barriers and uthread_once(), as POSIX has it; and
 * uthread_testcancel().
 */
int uthread_cancel(uthread_t thread);
/** As those of pthreads, of the calling thread; @old may be NULL. */
int uthread_setcancelstate(int state, int *old);
int uthread_setcanceltype(int type, int *old);
/** 0, or -ECANCELED with UTHREAD_CANCEL_RETURNS. */
int uthread_testcancel(void);

/** A clean-up handler; memory of uthread_cleanup_push(). */
struct uthread_cleanup {
	void (*routine)(void *);
	void *argument;
	struct uthread_cleanup *next;
};

void uthread_cleanup_enter(struct uthread_cleanup *cleanup);
void uthread_cleanup_leave(int execute);

#define UTHREAD_JOIN_NAMES(a, b) a##b
#define UTHREAD_CLEANUP_AT(line) UTHREAD_JOIN_NAMES(uthread_cleanup_at_, line)

/* pthread_cleanup_push() and _pop(): a pair in one block. */
#define uthread_cleanup_push(function, its_argument)                                               \
	do {                                                                                       \
		struct uthread_cleanup UTHREAD_CLEANUP_AT(__LINE__) = {(function), (its_argument), \
								       NULL};                      \
	uthread_cleanup_enter(&UTHREAD_CLEANUP_AT(__LINE__))

#define uthread_cleanup_pop(execute)      \
	uthread_cleanup_leave((execute)); \
	}                                 \
	while (0)

/* ---- thread-specific data ------------------------------------------------------------------ */

typedef uint32_t uthread_key_t;

/** Most keys at once. */
#define UTHREAD_KEYS_MAX 1024
/** How often destructors run as long as values are left. */
#define UTHREAD_DESTRUCTOR_ITERATIONS 4

/** As those of pthreads; keys are the process's. create, delete: any thread. -EAGAIN, -EINVAL. */
int uthread_key_create(uthread_key_t *key, void (*destructor)(void *));
int uthread_key_delete(uthread_key_t key);
/** -EINVAL, -ENOMEM. */
int uthread_setspecific(uthread_key_t key, const void *value);
/** NULL as well outside userland threads. */
void *uthread_getspecific(uthread_key_t key);

/* ---- mutexes ------------------------------------------------------------------------------- */

/** Those who wait for an object, in order. */
struct uthread_waiters {
	struct uthread_waiter *first;
	struct uthread_waiter *last;
};

enum uthread_mutex_kind {
	/** Locking it twice waits for ever. */
	UTHREAD_MUTEX_NORMAL,
	/** Counts. */
	UTHREAD_MUTEX_RECURSIVE,
	/** Locking it twice returns -EDEADLK. */
	UTHREAD_MUTEX_ERRORCHECK
};

/** Is handed to the one who waited longest. */
typedef struct uthread_mutex {
	uintptr_t owner;
	uint32_t depth;
	uint32_t padding;
	uint32_t kind;
	uint32_t padding_too;
	struct uthread_waiters waiters;
} uthread_mutex_t;

#define UTHREAD_MUTEX_INITIALIZER                 \
	{                                         \
		0, 0, 0, UTHREAD_MUTEX_NORMAL, 0, \
		{                                 \
			NULL, NULL                \
		}                                 \
	}
#define UTHREAD_RECURSIVE_MUTEX_INITIALIZER          \
	{                                            \
		0, 0, 0, UTHREAD_MUTEX_RECURSIVE, 0, \
		{                                    \
			NULL, NULL                   \
		}                                    \
	}
#define UTHREAD_ERRORCHECK_MUTEX_INITIALIZER          \
	{                                             \
		0, 0, 0, UTHREAD_MUTEX_ERRORCHECK, 0, \
		{                                     \
			NULL, NULL                    \
		}                                     \
	}

/** @kind of uthread_mutex_kind, else -EINVAL. Any thread. */
int uthread_mutex_init(uthread_mutex_t *mutex, int kind);
/** -EBUSY while it is locked. Any thread. */
int uthread_mutex_destroy(uthread_mutex_t *mutex);
/** -EDEADLK as the kind says; -EAGAIN when a recursive one is locked 2^32 - 1 times. */
int uthread_mutex_lock(uthread_mutex_t *mutex);
int uthread_mutex_lock_until(uthread_mutex_t *mutex, uint64_t deadline_ns);
/** -EBUSY. */
int uthread_mutex_trylock(uthread_mutex_t *mutex);
/** -EPERM for any other than the owner, whatever the kind. */
int uthread_mutex_unlock(uthread_mutex_t *mutex);

/* ---- condition variables ------------------------------------------------------------------- */

typedef struct uthread_cond {
	struct uthread_waiters waiters;
} uthread_cond_t;

#define UTHREAD_COND_INITIALIZER   \
	{                          \
		{                  \
			NULL, NULL \
		}                  \
	}

int uthread_cond_init(uthread_cond_t *cond);
/** -EBUSY while somebody waits. */
int uthread_cond_destroy(uthread_cond_t *cond);
/**
 * The caller has to own @mutex (-EPERM), once (-EINVAL when a recursive one is locked more often),
 * and owns it again on return, whatever is returned. Points of cancellation. There are no spurious
 * wakes.
 */
int uthread_cond_wait(uthread_cond_t *cond, uthread_mutex_t *mutex);
int uthread_cond_wait_until(uthread_cond_t *cond, uthread_mutex_t *mutex, uint64_t deadline_ns);
int uthread_cond_signal(uthread_cond_t *cond);
int uthread_cond_broadcast(uthread_cond_t *cond);

/* ---- semaphores ---------------------------------------------------------------------------- */

#define UTHREAD_SEM_VALUE_MAX 0x7fffffffU

typedef struct uthread_sem {
	struct uthread_waiters waiters;
	uint32_t value;
	uint32_t padding;
} uthread_sem_t;

/** -EINVAL past UTHREAD_SEM_VALUE_MAX. */
int uthread_sem_init(uthread_sem_t *sem, uint32_t value);
/** -EBUSY while somebody waits. */
int uthread_sem_destroy(uthread_sem_t *sem);
/** Points of cancellation. */
int uthread_sem_wait(uthread_sem_t *sem);
int uthread_sem_wait_until(uthread_sem_t *sem, uint64_t deadline_ns);
/** -EAGAIN. */
int uthread_sem_trywait(uthread_sem_t *sem);
/** -EOVERFLOW past UTHREAD_SEM_VALUE_MAX. */
int uthread_sem_post(uthread_sem_t *sem);
int uthread_sem_getvalue(const uthread_sem_t *sem, uint32_t *value);

/* ---- reader-writer locks ------------------------------------------------------------------- */

/** Fair: who comes after a waiting writer waits behind it. */
typedef struct uthread_rwlock {
	struct uthread_waiters waiters;
	uintptr_t writer;
	uint32_t readers;
	uint32_t padding;
} uthread_rwlock_t;

#define UTHREAD_RWLOCK_INITIALIZER    \
	{                             \
		{NULL, NULL}, 0, 0, 0 \
	}

int uthread_rwlock_init(uthread_rwlock_t *rwlock);
/** -EBUSY while it is locked. */
int uthread_rwlock_destroy(uthread_rwlock_t *rwlock);
/** -EDEADLK when the caller has it for writing. */
int uthread_rwlock_rdlock(uthread_rwlock_t *rwlock);
int uthread_rwlock_rdlock_until(uthread_rwlock_t *rwlock, uint64_t deadline_ns);
int uthread_rwlock_wrlock(uthread_rwlock_t *rwlock);
int uthread_rwlock_wrlock_until(uthread_rwlock_t *rwlock, uint64_t deadline_ns);
/** -EBUSY. */
int uthread_rwlock_tryrdlock(uthread_rwlock_t *rwlock);
int uthread_rwlock_trywrlock(uthread_rwlock_t *rwlock);
/** -EPERM when nobody has it, or another for writing. */
int uthread_rwlock_unlock(uthread_rwlock_t *rwlock);

/* ---- barriers, once ------------------------------------------------------------------------ */

#define UTHREAD_BARRIER_SERIAL_THREAD 1

typedef struct uthread_barrier {
	struct uthread_waiters waiters;
	uint32_t count;
	uint32_t arrived;
} uthread_barrier_t;

/** -EINVAL for a @count of 0. */
int uthread_barrier_init(uthread_barrier_t *barrier, uint32_t count);
/** -EBUSY while somebody waits. */
int uthread_barrier_destroy(uthread_barrier_t *barrier);
/** UTHREAD_BARRIER_SERIAL_THREAD to one, 0 to the others. */
int uthread_barrier_wait(uthread_barrier_t *barrier);
/** One whose deadline passes did not arrive. */
int uthread_barrier_wait_until(uthread_barrier_t *barrier, uint64_t deadline_ns);

typedef struct uthread_once {
	struct uthread_waiters waiters;
	uint32_t state;
	uint32_t padding;
} uthread_once_t;

#define UTHREAD_ONCE_INIT          \
	{                          \
		{NULL, NULL}, 0, 0 \
	}

/** When @routine's thread is cancelled in it, the next caller runs it. */
int uthread_once(uthread_once_t *once, void (*routine)(void));

/* ---- channels ------------------------------------------------------------------------------ */

struct uthread_channel;

/**
 * A queue of @capacity elements of @element_bytes each, which are copied; with a @capacity of 0 a
 * sender waits for its receiver. In order; any number of senders and receivers. Any thread. Errors:
 * -EINVAL for elements of 0 bytes or more than 1 GiB in all; -ENOMEM.
 */
int uthread_channel_create(size_t element_bytes, size_t capacity, struct uthread_channel **channel);
/** Takes NULL; nobody may wait on it. Any thread. */
void uthread_channel_destroy(struct uthread_channel *channel);
/** -EPIPE when it is closed. Points of cancellation. */
int uthread_channel_send(struct uthread_channel *channel, const void *element);
int uthread_channel_send_until(struct uthread_channel *channel, const void *element,
			       uint64_t deadline_ns);
/** -EPIPE when it is closed and empty. Points of cancellation. */
int uthread_channel_receive(struct uthread_channel *channel, void *element);
int uthread_channel_receive_until(struct uthread_channel *channel, void *element,
				  uint64_t deadline_ns);
/** Wakes all who wait with -EPIPE. -EINVAL when it is closed. */
int uthread_channel_close(struct uthread_channel *channel);

/* ---- nurseries ----------------------------------------------------------------------------- */

/**
 * A scope for threads: uthread_nursery_finish() returns only when all of them ended. Belongs to the
 * thread that made it.
 */
typedef struct uthread_nursery {
	struct uthread_waiters waiters;
	struct uthread_waiters children;
	uint32_t running;
	int32_t result;
} uthread_nursery_t;

int uthread_nursery_init(uthread_nursery_t *nursery);
/**
 * Starts @task(@argument) in a thread of @nursery; @attr may be NULL, its detach state is ignored.
 * A negative result is a failure: the first one cancels the others. Errors as uthread_create(), and
 * -ECANCELED once one has failed or the nursery was cancelled. From the nursery's owner and from
 * its threads.
 */
int uthread_nursery_start(uthread_nursery_t *nursery, const uthread_attr_t *attr,
			  int (*task)(void *), void *argument);
/** Cancels all its threads; uthread_nursery_finish() returns -ECANCELED unless one failed before.
 */
int uthread_nursery_cancel(uthread_nursery_t *nursery);
/**
 * Waits for all; returns 0 or the first failure. When the caller is cancelled or the deadline
 * passes meanwhile, the threads are cancelled and it still waits for their end; the result is then
 * -ECANCELED or -ETIMEDOUT. @nursery needs a new init afterwards.
 */
int uthread_nursery_finish(uthread_nursery_t *nursery);
int uthread_nursery_finish_until(uthread_nursery_t *nursery, uint64_t deadline_ns);

/* ---- being woken from outside -------------------------------------------------------------- */

/** A place for one thread to wait, and for any thread of the kernel to wake it. */
struct uthread_parker {
	uintptr_t state;
	struct uthread_scheduler *scheduler;
};

/** For threads of the caller's scheduler. */
int uthread_parker_init(struct uthread_parker *parker);
/**
 * Waits for uthread_unpark(); returns at once if that was called since the last return. A point of
 * cancellation. A thread that waits here is not part of a deadlock. -EBUSY if another one waits.
 */
int uthread_park(struct uthread_parker *parker, uint64_t deadline_ns);
/**
 * The same for a thread that only serves others: its wait keeps nobody from finding that they are
 * deadlocked.
 */
int uthread_stand_by(struct uthread_parker *parker, uint64_t deadline_ns);
/** Any thread of the kernel, and signal handlers. The parker must last until this returned. */
void uthread_unpark(struct uthread_parker *parker);

/* ---- policies ------------------------------------------------------------------------------ */

/** A thread that can run, as a policy sees it. The first three are the policy's while it has it. */
struct uthread_node {
	struct uthread_node *next;
	struct uthread_node *previous;
	uint64_t key;
	/** Of the attributes, or set since. */
	uint64_t deadline_ns;
	uint8_t priority;
};

enum uthread_reason {
	/** Just created. */
	UTHREAD_REASON_CREATED,
	/** What it waited for is there. */
	UTHREAD_REASON_WOKEN,
	/** uthread_yield(). */
	UTHREAD_REASON_YIELDED
};

enum uthread_policy_flag {
	/** Who is woken runs next, before the queue is asked (up to 64 times in a row). */
	UTHREAD_POLICY_HANDS_OVER = 1 << 0
};

/**
 * Who runs next: one queue a worker. A queue is never in two calls at once; uthread has a lock for
 * that. All are required but init, finish and steal.
 */
struct uthread_policy {
	/** sizeof(struct uthread_policy). */
	uint32_t size;
	/** uthread_policy_flag. */
	uint32_t flags;
	const char *name;
	/** Memory of a queue; it is zeroed before init. */
	size_t queue_bytes;
	/** 0 or a negative errno value. */
	int (*init)(void *queue);
	/** The queue may not be empty; what it holds needs no care. */
	void (*finish)(void *queue);
	/** Must not fail. */
	void (*push)(void *queue, struct uthread_node *node, enum uthread_reason reason);
	/** NULL when the queue is empty. */
	struct uthread_node *(*pop)(void *queue);
	/** For another worker, which has nothing to do; absent: pop. */
	struct uthread_node *(*steal)(void *queue);
};

/** New threads first, the newest before the others; then woken ones in order. The oldest are
 * stolen. */
extern const struct uthread_policy uthread_policy_stealing;
/** All in order; work is shared in the same order. */
extern const struct uthread_policy uthread_policy_fifo;
/** The highest priority first, in order among equals. */
extern const struct uthread_policy uthread_policy_priority;
/** The earliest uthread_attr_setdeadline() first; those without one last. */
extern const struct uthread_policy uthread_policy_deadline;

/* ---- hooks --------------------------------------------------------------------------------- */

/** What a worker does when it has nothing to run. All are required but poll and forked. */
struct uthread_hooks {
	/** sizeof(struct uthread_hooks). */
	uint32_t size;
	uint32_t padding;
	/** On each worker's own thread of the kernel before it runs anything; its result is for the
	 *  other calls. 0 or a negative errno value, with which uthread_run() fails. */
	int (*attach)(void *context, void **state);
	void (*detach)(void *state);
	/**
	 * Sleeps until something happened, at most until the deadline, and until `kick` at most.
	 * What happened it tells by uthread_unpark().
	 */
	void (*wait)(void *state, uint64_t deadline_ns);
	/** Ends `wait`, now or the next time; for uthread_turn(), says that it is time for another.
	 *  Any thread, any number of times. */
	void (*kick)(void *state);
	/** Looks without sleeping, now and then, while there are threads to run. */
	void (*poll)(void *state);
	/** In the child of a fork, in place of detach, before the next attach. */
	void (*forked)(void *state);
};

/** The state of the caller's worker; NULL without hooks. Valid until the caller waits. */
void *uthread_hooks_state(void);

#ifdef __cplusplus
}
#endif

#endif
