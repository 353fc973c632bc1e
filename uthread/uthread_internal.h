/* SPDX-License-Identifier: MIT */
/*
 * What the files of uthread share: threads, workers, schedulers, and the calls between them.
 *
 * The life of a thread, as its `life` says, and below it how one waits, as its `wait` says:
 *
 *	FREE ──create──▶ ALIVE ──exit──▶ ENDED ──join──▶ FREE
 *	                   └──────────────exit, detached──▶
 *
 *	          link              switched away
 *	RUNNING ───────▶ PREPARED ───────────────▶ PARKED
 *	   ▲                │ claimed by a waker,     │ claimed: the claimer calls uthread_ready()
 *	   │                ▼ the time, a cancel      ▼
 *	   └──────── WOKEN, TIMED_OUT, CANCELLED ◀────┘
 *
 * Whoever takes `wait` from PREPARED or PARKED to one of the last three has claimed the thread. A
 * claimed PARKED thread is the claimer's to make ready. A claimed PREPARED one has not yet left its
 * stack: whoever runs next on its worker finds that out (uthread_arrive()) and makes it ready.
 *
 * Locks: `solo` schedulers, with one worker and no spare, take none at all. In others an object's
 * waiters and words are under the lock of its bucket (uthread_bucket()), which outlives the object;
 * a queue under its worker's lock; timers and stacks under one lock each of the scheduler. While a
 * bucket is held, that of a queue may be taken, and nothing else; none is held across a switch.
 * Timed out and cancelled threads take themselves out of the object's list.
 */
#ifndef UTHREAD_INTERNAL_H
#define UTHREAD_INTERNAL_H

#include "uthread.h"
#include "uthread_switch.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define UTHREAD_STACK_CLASSES 17
#define UTHREAD_CACHE_MOST    64
#define UTHREAD_FRAMES_MOST   32

enum uthread_life {
	UTHREAD_LIFE_FREE,
	UTHREAD_LIFE_ALIVE,
	UTHREAD_LIFE_ENDED
};

enum uthread_wait {
	UTHREAD_WAIT_RUNNING,
	UTHREAD_WAIT_PREPARED,
	UTHREAD_WAIT_PARKED,
	UTHREAD_WAIT_WOKEN,
	UTHREAD_WAIT_TIMED_OUT,
	UTHREAD_WAIT_CANCELLED,
	/** Beside PREPARED and PARKED: the wait is a point of cancellation, and enabled. */
	UTHREAD_WAIT_CANCELLABLE = 8
};

static inline enum uthread_wait uthread_wait_state(unsigned wait)
{
	return (enum uthread_wait)(wait & ~(unsigned)UTHREAD_WAIT_CANCELLABLE);
}

/** What a thread waits for, for the report and debuggers. */
enum uthread_why {
	UTHREAD_WHY_NOTHING,
	UTHREAD_WHY_JOIN,
	UTHREAD_WHY_SLEEP,
	UTHREAD_WHY_MUTEX,
	UTHREAD_WHY_COND,
	UTHREAD_WHY_SEM,
	UTHREAD_WHY_READ_LOCK,
	UTHREAD_WHY_WRITE_LOCK,
	UTHREAD_WHY_BARRIER,
	UTHREAD_WHY_ONCE,
	UTHREAD_WHY_SEND,
	UTHREAD_WHY_RECEIVE,
	UTHREAD_WHY_NURSERY,
	UTHREAD_WHY_PARK,
	UTHREAD_WHY_COUNT
};

/** What is to be done about the one who switched away, once it has. */
enum uthread_after {
	UTHREAD_AFTER_NOTHING,
	/** It yielded. */
	UTHREAD_AFTER_PUSH,
	/** It waits. */
	UTHREAD_AFTER_PARK,
	/** It ended. */
	UTHREAD_AFTER_END
};

typedef atomic_uint uthread_lock_t;

/** A stack that can be switched to. */
struct uthread_context {
	struct uthread_registers registers;
	/** Of the whole stack, for the tools that have to know. */
	void *bottom;
	size_t bytes;
	/** Of a tool. */
	void *tool;
};

struct uthread_specific {
	uint64_t sequence;
	void *value;
};

struct uthread_worker;
struct uthread_scheduler;

/** A place in an object's list. */
struct uthread_waiter {
	struct uthread_waiter *next;
	struct uthread_waiter *previous;
};

/** What a thread has once it runs; lies at the top of its stack. */
struct uthread_own {
	struct uthread_cleanup *cleanups;
	struct uthread_specific *specific;
	uint32_t specific_count;
	/** What Valgrind calls the stack. */
	unsigned tool_stack;

	/** In a heap of deadlines: the first child, the next sibling, who points here. */
	uint64_t wake_ns;
	struct uthread *timer_child;
	struct uthread *timer_next;
	struct uthread **timer_link;

	/** A delivery of uthread_unpark(), and who else has one. */
	struct uthread *inbox_next;
	bool delivered;
	bool in_timers;
};

/** A thread. Many are created before one runs: what is not needed for that, it has on its stack. */
struct uthread {
	struct uthread_node node;
	/** Without a stack pointer before it first runs. */
	struct uthread_context context;
	/** NULL before it runs and once it has left its stack for good. */
	struct uthread_own *own;
	struct uthread_worker *worker;
	atomic_uint wait;
	int saved_errno;
	/** The object, and whether this is in its list; under its bucket's lock. */
	const void *object;
	struct uthread_waiter waiter;
	bool linked;
	uint8_t why;
	bool cancel_disabled;
	/** It ends because it was cancelled. */
	bool cancelled;
	uint8_t cancel_type;
	atomic_bool cancel_wanted;
	bool detached;
	/** It has left its stack for good. */
	atomic_bool gone;
	atomic_uint life;
	uint32_t generation;
	struct uthread *joiner;
	void *result;
	void *(*start)(void *);
	void *argument;
	/** UTHREAD_STACK_CLASSES with a stack of the program's. */
	uint8_t stack_class;
	char name[UTHREAD_NAME_BYTES];
	/** A channel's element; how many others hold; whatever the object wants. */
	void *slot;
	struct uthread_nursery *nursery;
	struct uthread_waiter sibling;
} __attribute__((aligned(128)));

static_assert(sizeof(struct uthread) == 256, "four lines of the processor's cache");

/** Memory of threads that are none, linked by node.next. */
struct uthread_free {
	struct uthread_node *first;
	uint32_t count;
};

/** Threads that lie side by side; those beyond `made` never were. */
struct uthread_thread_slab {
	struct uthread_thread_slab *next;
	struct uthread *threads;
	uint32_t count;
	uint32_t made;
};

/** Free stacks of one class that a worker has, by their lowest addresses. */
struct uthread_stack_cache {
	uint32_t count;
	char *stacks[UTHREAD_CACHE_MOST + 1];
};

struct uthread_stack_list {
	char **stacks;
	uint32_t count;
	uint32_t room;
};

/** A class of stacks; what is no count is under stacks_lock. */
struct uthread_stack_class {
	/** Threads that have one or are going to. */
	atomic_uint promised;
	/** Free ones that a worker may keep, and that all may keep from others. */
	uint32_t cache_most;
	uint32_t out_of_reach;
	/** All that there are; grows under stacks_lock. */
	atomic_uint made;
	struct uthread_stack_list free;
	/** The slab that they are still made of. */
	struct uthread_slab *open;
};

/** Stacks of one class that lie side by side. */
struct uthread_slab {
	struct uthread_slab *next;
	char *memory;
	size_t stack_bytes;
	uint32_t count;
	/** Made so far; the others were never touched. */
	uint32_t made;
};

struct uthread_worker {
	/** Null on the worker's own stack. */
	struct uthread *current;
	struct uthread_scheduler *scheduler;
	bool solo;
	/** Its threads are its own: see UTHREAD_BOUND_THREADS. */
	bool bound;
	/** The policy's; see uthread_policy_flag. */
	bool hands_over;
	uint8_t after;
	/** In one of the hooks, where no list is in the middle of a change. */
	volatile bool in_hook;
	/** Who has just switched away. */
	struct uthread *previous;
	int *errno_location;
	/** Who runs next, before the queue is asked. */
	_Atomic(struct uthread *) next;
	uint32_t handed;
	uint32_t ticks;
	/** Of uthread_turn(): when it is over, and whether it is. */
	uint32_t looks_left;
	bool turn_over;
	const struct uthread_policy *policy;
	void *queue;
	atomic_ulong switches;
	atomic_ulong created;
	struct uthread_free free_threads;
	struct uthread_context base;

	/** Others touch what follows. */
	_Alignas(64) uthread_lock_t queue_lock;
	/** Threads in the queue; a hint to others. */
	atomic_uint queued;
	/** Of an idle worker, which sleeps on this word: 1 until somebody wakes it. */
	atomic_uint asleep;
	/** Runs a thread at this time; the monitor's. */
	atomic_bool busy;
	bool stuck;
	/** One that may have to stand in, and must not otherwise. */
	bool spare;
	atomic_uint called;
	unsigned long seen_switches;
	atomic_ulong steals;
	/** Threads that belong to it and have not ended. */
	atomic_uint belonging;
	void *hooks_state;
	atomic_bool attached;
	bool started;
	unsigned index;
	pthread_t thread;
	/** Set while threads are asked for their backtraces; see report.c. */
	struct uthread_inspection *inspection;
	struct uthread_stack_cache cache[UTHREAD_STACK_CLASSES];
};

struct uthread_scheduler {
	bool solo;
	bool bound;
	bool light_guards;
	bool passive;
	uint32_t flags;
	uint32_t max_threads;
	uint32_t tick_ms;
	size_t stack_bytes;
	const struct uthread_policy *policy;
	const struct uthread_hooks *hooks;
	void *hooks_context;
	void (*report)(void *, const char *);
	void *report_context;

	/** In the child of a fork: the one that is left. */
	struct uthread_worker *workers;
	unsigned workers_count;
	struct uthread_worker *workers_memory;
	unsigned workers_made;
	unsigned started;
	struct uthread *main_thread;
	void *main_result;

	_Alignas(64) atomic_uint live;
	/** Threads in uthread_park(), whom the world outside may wake. */
	atomic_uint parked;
	atomic_bool stopping;
	atomic_bool deadlocked;
	atomic_ulong stuck;
	_Atomic(struct uthread *) inbox;
	/** Calls of uthread_unpark() from elsewhere that may still look at the scheduler. */
	atomic_uint unparking;
	/** Workers that have stopped, and whether all have: none kicks another from then on. */
	atomic_uint stopped;
	atomic_uint all_stopped;

	_Alignas(64) uthread_lock_t timers_lock;
	struct uthread *timers;
	/** Of the first, for those who only look. */
	atomic_ulong first_wake_ns;

	/** Workers that sleep, spares that stand by included; and how often one stopped to. */
	_Alignas(64) atomic_uint idle_count;
	atomic_uint idle_epoch;

	_Alignas(64) uthread_lock_t stacks_lock;
	struct uthread_free free_threads;
	struct uthread_thread_slab *thread_slabs;
	struct uthread_stack_class classes[UTHREAD_STACK_CLASSES];
	struct uthread_slab *slabs;
	uint32_t stacks;

	struct uthread_scheduler *list_next;
	pthread_t monitor;
	bool monitored;
	atomic_uint monitor_stop;
};

/** The worker that the calling thread of the kernel is; NULL. Read it once a call: see above. */
extern __thread struct uthread_worker *uthread_here __attribute__((tls_model("initial-exec")));

/** The calling userland thread; NULL. */
static inline struct uthread *uthread_current(void)
{
	struct uthread_worker *const worker = uthread_here;

	return worker != NULL ? worker->current : NULL;
}

static inline struct uthread *uthread_of(struct uthread_node *node)
{
	return base_container_of(node, struct uthread, node);
}

/** The error of a call that only userland threads may make. */
int uthread_no_thread(void);

/* ---- locks --------------------------------------------------------------------------------- */

void uthread_lock_slowly(uthread_lock_t *lock);

static inline void uthread_lock(uthread_lock_t *lock)
{
	unsigned expected = 0;

	if (!atomic_compare_exchange_weak_explicit(lock, &expected, 1, memory_order_acquire,
						   memory_order_relaxed))
		uthread_lock_slowly(lock);
}

static inline void uthread_unlock(uthread_lock_t *lock)
{
	atomic_store_explicit(lock, 0, memory_order_release);
}

uthread_lock_t *uthread_bucket(const void *object);

static inline void uthread_lock_object(bool solo, const void *object)
{
	if (!solo)
		uthread_lock(uthread_bucket(object));
}

static inline void uthread_unlock_object(bool solo, const void *object)
{
	if (!solo)
		uthread_unlock(uthread_bucket(object));
}

/** Compares and sets, without the price of atomicity where there is nobody else. */
static inline bool uthread_swap_word(bool solo, uintptr_t *word, uintptr_t expected,
				     uintptr_t desired)
{
	if (!solo)
		return __atomic_compare_exchange_n(word, &expected, desired, false,
						   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	if (*word != expected)
		return false;
	*word = desired;
	return true;
}

static inline unsigned uthread_count_up(bool solo, atomic_uint *count)
{
	unsigned before;

	if (!solo)
		return atomic_fetch_add(count, 1) + 1;
	before = atomic_load_explicit(count, memory_order_relaxed);
	atomic_store_explicit(count, before + 1, memory_order_relaxed);
	return before + 1;
}

static inline unsigned uthread_count_down(bool solo, atomic_uint *count)
{
	unsigned before;

	if (!solo)
		return atomic_fetch_sub(count, 1) - 1;
	before = atomic_load_explicit(count, memory_order_relaxed);
	atomic_store_explicit(count, before - 1, memory_order_relaxed);
	return before - 1;
}

/* ---- lists --------------------------------------------------------------------------------- */

static inline struct uthread *uthread_waiting(struct uthread_waiter *waiter)
{
	return base_container_of(waiter, struct uthread, waiter);
}

static inline void uthread_list_push(struct uthread_waiters *list, struct uthread_waiter *waiter)
{
	waiter->next = NULL;
	waiter->previous = list->last;
	if (list->last != NULL)
		list->last->next = waiter;
	else
		list->first = waiter;
	list->last = waiter;
}

static inline void uthread_list_remove(struct uthread_waiters *list, struct uthread_waiter *waiter)
{
	if (waiter->previous != NULL)
		waiter->previous->next = waiter->next;
	else
		list->first = waiter->next;
	if (waiter->next != NULL)
		waiter->next->previous = waiter->previous;
	else
		list->last = waiter->previous;
}

/* ---- switch/: one folder for each machine -------------------------------------------------- */

/** Where a new context begins: calls uthread_begin() with what the switch passed. */
void uthread_context_start(void);

/** Gives @context, which has no stack yet, the caller's floating-point environment. */
static inline void uthread_context_inherit(struct uthread_context *context)
{
	context->registers.sp = NULL;
	uthread_registers_inherit(&context->registers);
}

/** Makes @context begin in uthread_context_start() on its stack, of which @top is the end. */
void uthread_context_prepare(struct uthread_context *context, void *top);

/** The first C function of a thread. Does not return. */
void uthread_begin(struct uthread_worker *worker);

/* ---- scheduler.c --------------------------------------------------------------------------- */

/** What the one who runs next does first. */
void uthread_arrive(struct uthread_worker *worker);

/** Lets @thread, which is nobody's and was woken, run. */
void uthread_ready(struct uthread_worker *worker, struct uthread *thread);

/** Puts it into the worker's queue. */
void uthread_enqueue(struct uthread_worker *worker, struct uthread *thread,
		     enum uthread_reason reason);

/** Who runs next on @worker; NULL. */
struct uthread *uthread_pick(struct uthread_worker *worker);

/** Runs until there is nothing to run; the number of switches. */
unsigned long uthread_run_ready(struct uthread_worker *worker);

/** Takes over those that uthread_unpark() woke from elsewhere. */
void uthread_take_inbox(struct uthread_worker *worker);

/** Whether anybody could run; whether on @worker. */
bool uthread_has_queued(const struct uthread_scheduler *scheduler);
bool uthread_has_work(const struct uthread_worker *worker);

/* ---- create.c: the life of schedulers ------------------------------------------------------ */

extern pthread_mutex_t uthread_schedulers_lock;
extern struct uthread_scheduler *uthread_schedulers;

/** Stops and wakes all workers: the last thread ended, or none can go on. */
void uthread_stop(struct uthread_scheduler *scheduler);

/* ---- idle.c: workers with nothing to run, and those that stand in --------------------------- */

/** Sleeps until there may be something to run; a spare worker, until it has to stand in. */
void uthread_idle(struct uthread_worker *worker);

/** futex(2): sleeps while *@word is @value, at most until the deadline; wakes all who do. */
void uthread_sleep_on(atomic_uint *word, unsigned value, uint64_t deadline_ns);
void uthread_wake_on(atomic_uint *word);

/** Wakes one that sleeps, if any does. Safe in signal handlers. */
void uthread_wake_worker(struct uthread_scheduler *scheduler);
/** Wakes @worker if it sleeps. */
void uthread_wake_this(struct uthread_worker *worker);
void uthread_wake_all_workers(struct uthread_scheduler *scheduler);

int uthread_monitor_start(struct uthread_scheduler *scheduler);
void uthread_monitor_stop(struct uthread_scheduler *scheduler);

/* ---- fork.c -------------------------------------------------------------------------------- */

void uthread_watch_forks(void);

/** In the child of a fork: no lock of buckets is held. */
void uthread_buckets_reset(void);

/* ---- wait.c -------------------------------------------------------------------------------- */

/**
 * Begins a wait for @object, whose bucket is locked; @list may be NULL. @cancellable: it is a point
 * of cancellation.
 */
void uthread_wait_link(struct uthread *self, const void *object, struct uthread_waiters *list,
		       enum uthread_why why, bool cancellable);

/**
 * Waits on after uthread_wait_link(), with no lock: 0 when woken, -ETIMEDOUT, -ECANCELED. @list as
 * before; the caller is out of it on return.
 */
int uthread_wait_finish(struct uthread *self, struct uthread_waiters *list, uint64_t deadline_ns);

/** Both: with @object's bucket locked on the call and unlocked on return. */
static inline int uthread_wait_for(struct uthread *self, const void *object,
				   struct uthread_waiters *list, enum uthread_why why,
				   uint64_t deadline_ns)
{
	uthread_wait_link(self, object, list, why, true);
	uthread_unlock_object(self->worker->solo, object);
	return uthread_wait_finish(self, list, deadline_ns);
}

/** The first of @list whom nobody else claimed, out of it and claimed; NULL. Bucket locked. */
struct uthread *uthread_claim_first(bool solo, struct uthread_waiters *list, bool *parked);

/** Claims a thread that may be waiting: whether it was, and in @parked whether it is away. */
bool uthread_claim(bool solo, struct uthread *thread, enum uthread_wait how, bool *parked);

/** Makes a claimed thread ready if it is away. No lock. */
static inline void uthread_wake(struct uthread_worker *worker, struct uthread *thread, bool parked)
{
	if (parked)
		uthread_ready(worker, thread);
}

/** Wakes all of @list; its bucket is locked on the call and unlocked on return. */
void uthread_wake_all(struct uthread_worker *worker, const void *object,
		      struct uthread_waiters *list);

/** Acts on a cancellation that a wait returned: exits, or returns -ECANCELED. */
int uthread_cancel_now(struct uthread *self);

/** What a point of cancellation returns, given what its wait did. */
static inline int uthread_cancel_point(struct uthread *self, int result)
{
	return base_unlikely(result == -ECANCELED) ? uthread_cancel_now(self) : result;
}

bool uthread_cancel_pending(struct uthread *self);

const char *uthread_why_name(enum uthread_why why);

/* ---- timers.c ------------------------------------------------------------------------------ */

void uthread_timer_add(struct uthread *thread, uint64_t wake_ns);
void uthread_timer_remove(struct uthread *thread);

/** Wakes those whose time has come. */
void uthread_timers_run(struct uthread_worker *worker);

static inline uint64_t uthread_timers_first(const struct uthread_scheduler *scheduler)
{
	return atomic_load_explicit(&scheduler->first_wake_ns, memory_order_relaxed);
}

/* ---- stack.c ------------------------------------------------------------------------------- */

static inline void uthread_free_push(struct uthread_free *list, struct uthread *thread)
{
	thread->node.next = list->first;
	list->first = &thread->node;
	list->count++;
}

static inline struct uthread *uthread_free_pop(struct uthread_free *list)
{
	struct uthread_node *const node = list->first;

	if (node == NULL)
		return NULL;
	list->first = node->next;
	list->count--;
	return uthread_of(node);
}

/** Memory for a thread that the worker has not at hand; NULL. */
struct uthread *uthread_memory_make(struct uthread_scheduler *scheduler);

static inline struct uthread *uthread_memory_take(struct uthread_worker *worker)
{
	struct uthread *const thread = uthread_free_pop(&worker->free_threads);

	return base_likely(thread != NULL) ? thread : uthread_memory_make(worker->scheduler);
}

void uthread_memory_give(struct uthread_worker *worker, struct uthread *thread);

/** The class of stacks of at least @bytes: each is twice the one before. */
static inline unsigned uthread_stack_class(size_t bytes)
{
	if (bytes <= UTHREAD_STACK_MIN)
		return 0;
	return 64 - (unsigned)__builtin_clzll((bytes - 1) / UTHREAD_STACK_MIN);
}

/** Makes stacks until @promised threads can have one; takes the promise back with -EAGAIN. */
int uthread_stack_ensure(struct uthread_scheduler *scheduler, unsigned stack_class,
			 uint32_t promised);

/** Sees to it that one more thread can have a stack of that class. */
static inline int uthread_stack_promise(struct uthread_scheduler *scheduler, unsigned stack_class)
{
	struct uthread_stack_class *const class = &scheduler->classes[stack_class];
	const uint32_t promised = uthread_count_up(scheduler->solo, &class->promised);

	if (base_likely(promised + class->out_of_reach <=
			atomic_load_explicit(&class->made, memory_order_relaxed)))
		return 0;
	return uthread_stack_ensure(scheduler, stack_class, promised);
}

/** Gives @thread, which is about to run for the first time, its stack. */
void uthread_stack_enter(struct uthread_worker *worker, struct uthread *thread);

/** Takes it back when it has left it for good. */
void uthread_stack_leave(struct uthread_worker *worker, struct uthread *thread);

void uthread_stacks_finish(struct uthread_scheduler *scheduler);

/** Finds out what guards this kernel has. */
void uthread_stacks_init(struct uthread_scheduler *scheduler);

/** In the child of a fork, where the caller is all there is. */
void uthread_stacks_forked(struct uthread_worker *worker);

/** Calls @visit for each thread that there ever was, free ones included. */
void uthread_threads_visit(struct uthread_scheduler *scheduler,
			   void (*visit)(struct uthread *thread, void *context), void *context);

/* ---- overflow.c ---------------------------------------------------------------------------- */

void uthread_overflow_watch(void);

/** For a thread that this library started with all signals blocked: a fault would just kill. */
void uthread_overflow_admit(void);

/** Gives the calling thread of the kernel a stack for that signal, unless it has one. */
void uthread_overflow_attach(void);

/* ---- thread.c ------------------------------------------------------------------------------ */

/** As uthread_create(); @nursery is NULL or where it belongs, @slot what the thread is to find. */
int uthread_spawn(struct uthread_worker *worker, struct uthread_scheduler *scheduler, uthread_t *id,
		  const struct uthread_attr *attr, void *(*start)(void *), void *argument,
		  struct uthread_nursery *nursery, void *slot);

/** What becomes of a thread that has left its stack for good. */
void uthread_ended(struct uthread_worker *worker, struct uthread *thread);

uthread_t uthread_id(const struct uthread *thread);

/* ---- cancel.c, specific.c, nursery.c ------------------------------------------------------- */

void uthread_cleanups_run(struct uthread *self);
void uthread_specific_finish(struct uthread *self);

/** A thread of a nursery is about to end. */
void uthread_nursery_leave(struct uthread *self, void *result);

/** Asks @thread, which cannot be forgotten meanwhile, to end. Whether it is to be made ready. */
bool uthread_cancel_thread(bool solo, struct uthread *thread);

/* ---- mutex.c ------------------------------------------------------------------------------- */

/** For condition variables. */
int uthread_mutex_check(struct uthread *self, const uthread_mutex_t *mutex);
int uthread_mutex_relock(struct uthread *self, uthread_mutex_t *mutex);
void uthread_mutex_release(struct uthread *self, uthread_mutex_t *mutex);

/* ---- report.c ------------------------------------------------------------------------------ */

/** Tells of a deadlock. On the worker's own stack, while no other runs. */
void uthread_report_deadlock(struct uthread_worker *worker);

/** What a thread that waits is asked for: its calls. */
struct uthread_inspection {
	void *frames[UTHREAD_FRAMES_MOST];
	int count;
};

/** Goes to @thread, which waits and comes back from uthread_leave() at once. */
void uthread_inspect(struct uthread_worker *worker, struct uthread *thread);
void uthread_inspect_self(struct uthread_inspection *inspection);

#endif
