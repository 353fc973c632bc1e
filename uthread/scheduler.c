/* SPDX-License-Identifier: MIT */
/*
 * Who runs: leaving a stack for the next one, making threads ready, choosing among them.
 *
 * Threads switch to one another directly; a worker's own stack is only gone to when there is nobody
 * to run, or everything is over. What has to be done about the thread that was left, and cannot be
 * done while it is still on its stack, does the one who comes next (uthread_arrive()).
 */
#include "uthread_leave.h"

#include <sched.h>

/** Picks between two looks at the time, at what other threads woke, and at the hooks. */
#define TICKS_BETWEEN_LOOKS 64
/** Picks in a row that may pass the queue by. */
#define HANDED_MOST  64
#define SPINS        128
#define BUCKETS_LOG2 8

__thread struct uthread_worker *uthread_here __attribute__((tls_model("initial-exec")));

static struct {
	_Alignas(64) uthread_lock_t lock;
} buckets[1U << BUCKETS_LOG2];

int uthread_no_thread(void)
{
	return base_error(EPERM, "the caller is no userland thread");
}

/* ---- locks --------------------------------------------------------------------------------- */

uthread_lock_t *uthread_bucket(const void *object)
{
	const uint64_t mixed = (uint64_t)(uintptr_t)object * 0x9e3779b97f4a7c15U;

	return &buckets[mixed >> (64 - BUCKETS_LOG2)].lock;
}

void uthread_lock_slowly(uthread_lock_t *lock)
{
	for (unsigned tries = 0;; tries++) {
		unsigned expected = 0;

		if (atomic_load_explicit(lock, memory_order_relaxed) == 0 &&
		    atomic_compare_exchange_weak_explicit(lock, &expected, 1, memory_order_acquire,
							  memory_order_relaxed))
			return;
		/* Its holder may have lost its processor. */
		if (tries >= SPINS)
			sched_yield();
	}
}

void uthread_buckets_reset(void)
{
	memset(buckets, 0, sizeof(buckets));
}

/* ---- queues -------------------------------------------------------------------------------- */

/** Once the lock is free, the thread may run and be gone. */
static void enqueue_shared(struct uthread_worker *worker, struct uthread *thread,
			   enum uthread_reason reason)
{
	uthread_lock(&worker->queue_lock);
	worker->policy->push(worker->queue, &thread->node, reason);
	atomic_fetch_add(&worker->queued, 1);
	uthread_unlock(&worker->queue_lock);
	if (worker->bound)
		uthread_wake_this(worker);
	else
		uthread_wake_worker(worker->scheduler);
}

void uthread_enqueue(struct uthread_worker *worker, struct uthread *thread,
		     enum uthread_reason reason)
{
	if (worker->solo)
		worker->policy->push(worker->queue, &thread->node, reason);
	else
		enqueue_shared(worker->bound ? thread->worker : worker, thread, reason);
}

static struct uthread *dequeue(struct uthread_worker *worker,
			       struct uthread_node *(*pop)(void *queue))
{
	struct uthread_node *node;

	if (atomic_load_explicit(&worker->queued, memory_order_relaxed) == 0)
		return NULL;
	uthread_lock(&worker->queue_lock);
	node = pop(worker->queue);
	if (node != NULL)
		atomic_fetch_sub_explicit(&worker->queued, 1, memory_order_relaxed);
	uthread_unlock(&worker->queue_lock);
	return node != NULL ? uthread_of(node) : NULL;
}

static struct uthread *pop_own(struct uthread_worker *worker)
{
	struct uthread_node *node;

	if (!worker->solo)
		return dequeue(worker, worker->policy->pop);
	node = worker->policy->pop(worker->queue);
	return node != NULL ? uthread_of(node) : NULL;
}

/** The one who is to run before the queue. */
static struct uthread *take_next(struct uthread_worker *worker)
{
	struct uthread *const thread = atomic_load_explicit(&worker->next, memory_order_relaxed);

	if (thread == NULL)
		return NULL;
	if (!worker->solo)
		return atomic_exchange(&worker->next, NULL);
	atomic_store_explicit(&worker->next, NULL, memory_order_relaxed);
	return thread;
}

/** Puts @thread before the queue, if that place is free and the queue had its turn. */
static bool hand_over(struct uthread_worker *worker, struct uthread *thread)
{
	struct uthread *expected = NULL;

	if (!worker->hands_over || worker->handed >= HANDED_MOST ||
	    atomic_load_explicit(&worker->next, memory_order_relaxed) != NULL ||
	    (worker->bound && thread->worker != worker))
		return false;
	if (!worker->solo)
		return atomic_compare_exchange_strong(&worker->next, &expected, thread);
	atomic_store_explicit(&worker->next, thread, memory_order_relaxed);
	return true;
}

void uthread_ready(struct uthread_worker *worker, struct uthread *thread)
{
	uthread_probe_wake(thread, atomic_load_explicit(&thread->wait, memory_order_relaxed));
	if (!hand_over(worker, thread))
		uthread_enqueue(worker, thread, UTHREAD_REASON_WOKEN);
}

static bool has_own(const struct uthread_worker *worker)
{
	return atomic_load(&worker->queued) != 0 || atomic_load(&worker->next) != NULL;
}

bool uthread_has_queued(const struct uthread_scheduler *scheduler)
{
	if (atomic_load(&scheduler->inbox) != NULL)
		return true;
	for (unsigned i = 0; i < scheduler->workers_count; i++)
		if (has_own(&scheduler->workers[i]))
			return true;
	return false;
}

bool uthread_has_work(const struct uthread_worker *worker)
{
	if (!worker->bound)
		return uthread_has_queued(worker->scheduler);
	return has_own(worker) || atomic_load(&worker->scheduler->inbox) != NULL;
}

/* ---- choosing ------------------------------------------------------------------------------ */

static struct uthread *steal_from(struct uthread_worker *worker, struct uthread_worker *victim)
{
	const struct uthread_policy *const policy = worker->policy;
	struct uthread *thread = dequeue(victim, policy->steal ? policy->steal : policy->pop);

	/* One who computes does not come to run whom it woke. */
	if (thread == NULL)
		thread = take_next(victim);
	if (thread == NULL)
		return NULL;
	uthread_probe_steal(thread, victim->index, worker->index);
	atomic_fetch_add_explicit(&worker->steals, 1, memory_order_relaxed);
	return thread;
}

static struct uthread *steal(struct uthread_worker *worker)
{
	struct uthread_scheduler *const scheduler = worker->scheduler;

	for (unsigned i = 1; i < scheduler->workers_count; i++) {
		const unsigned index = (worker->index + i) % scheduler->workers_count;
		struct uthread *const thread = steal_from(worker, &scheduler->workers[index]);

		if (thread != NULL)
			return thread;
	}
	return NULL;
}

/** The end of uthread_unpark(), on a worker: the thread cannot end before this. */
static void deliver(struct uthread_worker *worker, struct uthread *thread)
{
	bool parked = false;

	uthread_lock_object(worker->solo, thread);
	thread->own->delivered = true;
	uthread_claim(worker->solo, thread, UTHREAD_WAIT_WOKEN, &parked);
	uthread_unlock_object(worker->solo, thread);
	uthread_wake(worker, thread, parked);
}

void uthread_take_inbox(struct uthread_worker *worker)
{
	struct uthread *thread, *next;

	if (atomic_load_explicit(&worker->scheduler->inbox, memory_order_relaxed) == NULL)
		return;
	thread = atomic_exchange(&worker->scheduler->inbox, NULL);
	for (; thread != NULL; thread = next) {
		next = thread->own->inbox_next;
		deliver(worker, thread);
	}
}

static void look_around(struct uthread_worker *worker)
{
	const struct uthread_hooks *const hooks = worker->scheduler->hooks;

	uthread_take_inbox(worker);
	if (uthread_timers_first(worker->scheduler) != UTHREAD_NEVER)
		uthread_timers_run(worker);
	if (hooks == NULL || hooks->poll == NULL)
		return;
	worker->in_hook = true;
	hooks->poll(worker->hooks_state);
	worker->in_hook = false;
}

/** Whether the program's own loop has to have its turn, for all that could go on. */
static bool ends_turn(struct uthread_worker *worker)
{
	if (base_likely(!worker->scheduler->passive))
		return false;
	if (worker->looks_left == 0)
		worker->turn_over = true;
	else
		worker->looks_left--;
	return worker->turn_over;
}

struct uthread *uthread_pick(struct uthread_worker *worker)
{
	struct uthread *thread;

	if (base_unlikely(++worker->ticks % TICKS_BETWEEN_LOOKS == 0)) {
		look_around(worker);
		if (ends_turn(worker))
			return NULL;
	}
	thread = take_next(worker);
	if (thread != NULL) {
		worker->handed++;
		return thread;
	}
	worker->handed = 0;
	thread = pop_own(worker);
	if (base_likely(thread != NULL || worker->current != NULL))
		return thread;
	/* On the worker's own stack there is time to look everywhere. */
	look_around(worker);
	thread = take_next(worker);
	if (thread == NULL)
		thread = pop_own(worker);
	return thread != NULL || worker->solo || worker->bound ? thread : steal(worker);
}

/* ---- switching ----------------------------------------------------------------------------- */

static void park(struct uthread_worker *worker, struct uthread *thread)
{
	unsigned wait = atomic_load_explicit(&thread->wait, memory_order_relaxed);
	const unsigned flag = wait & UTHREAD_WAIT_CANCELLABLE;

	if (uthread_wait_state(wait) != UTHREAD_WAIT_PREPARED ||
	    !atomic_compare_exchange_strong(&thread->wait, &wait, UTHREAD_WAIT_PARKED | flag))
		uthread_ready(worker, thread);
}

void uthread_arrive(struct uthread_worker *worker)
{
	const enum uthread_after after = worker->after;
	struct uthread *const previous = worker->previous;

	worker->after = UTHREAD_AFTER_NOTHING;
	if (after == UTHREAD_AFTER_PUSH)
		uthread_enqueue(worker, previous, UTHREAD_REASON_YIELDED);
	else if (after == UTHREAD_AFTER_PARK)
		park(worker, previous);
	else if (after == UTHREAD_AFTER_END)
		uthread_ended(worker, previous);
}

void uthread_inspect(struct uthread_worker *worker, struct uthread *thread)
{
	uthread_go(worker, &worker->base, thread);
	uthread_arrive(worker);
}

unsigned long uthread_run_ready(struct uthread_worker *worker)
{
	const unsigned long before = atomic_load_explicit(&worker->switches, memory_order_relaxed);
	struct uthread *thread;

	while (!worker->turn_over && (thread = uthread_pick(worker)) != NULL) {
		atomic_store_explicit(&worker->busy, true, memory_order_relaxed);
		uthread_go(worker, &worker->base, thread);
		uthread_arrive(worker);
		atomic_store_explicit(&worker->busy, false, memory_order_relaxed);
	}
	return atomic_load_explicit(&worker->switches, memory_order_relaxed) - before;
}

int uthread_yield(void)
{
	struct uthread *const self = uthread_current();
	struct uthread_worker *worker;

	if (self == NULL)
		return uthread_no_thread();
	worker = self->worker;
	if (!worker->solo) {
		uthread_leave(self, UTHREAD_AFTER_PUSH);
		return 0;
	}
	uthread_enqueue(worker, self, UTHREAD_REASON_YIELDED);
	uthread_leave(self, UTHREAD_AFTER_NOTHING);
	return 0;
}

/* ---- being woken from outside -------------------------------------------------------------- */

int uthread_parker_init(struct uthread_parker *parker)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return uthread_no_thread();
	*parker = (struct uthread_parker){.scheduler = self->worker->scheduler};
	return 0;
}

/** A wake came while the wait ended otherwise: it is on its way, and must arrive first. */
static void await_delivery(struct uthread *self)
{
	const bool solo = self->worker->solo;

	uthread_lock_object(solo, self);
	if (self->own->delivered) {
		uthread_unlock_object(solo, self);
		return;
	}
	uthread_wait_link(self, self, NULL, UTHREAD_WHY_PARK, false);
	uthread_unlock_object(solo, self);
	uthread_wait_finish(self, NULL, UTHREAD_NEVER);
}

#define PARKER_WOKEN ((uintptr_t)1)

static int park_until(struct uthread *self, struct uthread_parker *parker, uint64_t deadline_ns)
{
	const bool solo = self->worker->solo;
	uintptr_t state = 0;
	int result;

	self->own->delivered = false;
	uthread_wait_link(self, self, NULL, UTHREAD_WHY_PARK, true);
	if (!__atomic_compare_exchange_n(&parker->state, &state, (uintptr_t)self, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		bool parked;

		uthread_claim(solo, self, UTHREAD_WAIT_WOKEN, &parked);
		uthread_wait_finish(self, NULL, UTHREAD_NEVER);
		return state == PARKER_WOKEN ? 0 : -EBUSY;
	}
	result = uthread_wait_finish(self, NULL, deadline_ns);
	if (result != 0) {
		state = (uintptr_t)self;
		if (__atomic_compare_exchange_n(&parker->state, &state, 0, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return result;
		await_delivery(self);
	}
	return 0;
}

/** @hopes: somebody outside may wake it, which is no deadlock. */
static int park_as(struct uthread_parker *parker, uint64_t deadline_ns, bool hopes)
{
	struct uthread *const self = uthread_current();
	struct uthread_scheduler *scheduler;
	int result;

	if (self == NULL)
		return uthread_no_thread();
	if (uthread_cancel_pending(self))
		return uthread_cancel_now(self);
	scheduler = parker->scheduler;
	if (hopes)
		uthread_count_up(self->worker->solo, &scheduler->parked);
	result = park_until(self, parker, deadline_ns);
	if (hopes)
		uthread_count_down(self->worker->solo, &scheduler->parked);
	if (result == 0)
		__atomic_store_n(&parker->state, 0, __ATOMIC_SEQ_CST);
	return uthread_cancel_point(self, result);
}

int uthread_park(struct uthread_parker *parker, uint64_t deadline_ns)
{
	return park_as(parker, deadline_ns, true);
}

int uthread_stand_by(struct uthread_parker *parker, uint64_t deadline_ns)
{
	return park_as(parker, deadline_ns, false);
}

/** In a hook of the same scheduler: straight to the queue, which nobody is in the middle of. */
static void deliver_here(struct uthread_worker *worker, struct uthread *thread)
{
	worker->in_hook = false;
	atomic_signal_fence(memory_order_seq_cst);
	deliver(worker, thread);
	atomic_signal_fence(memory_order_seq_cst);
	worker->in_hook = true;
}

static void deliver_elsewhere(struct uthread_scheduler *scheduler, struct uthread *thread)
{
	struct uthread *first = atomic_load_explicit(&scheduler->inbox, memory_order_relaxed);

	do {
		thread->own->inbox_next = first;
	} while (!atomic_compare_exchange_weak(&scheduler->inbox, &first, thread));
	if (!scheduler->passive)
		uthread_wake_worker(scheduler);
	else if (scheduler->hooks != NULL)
		scheduler->hooks->kick(scheduler->workers[0].hooks_state);
}

void uthread_unpark(struct uthread_parker *parker)
{
	struct uthread_scheduler *const scheduler = parker->scheduler;
	struct uthread_worker *const worker = uthread_here;
	const bool here = worker != NULL && worker->scheduler == scheduler && worker->in_hook;
	uintptr_t state;

	/* Once the thread is woken, all may come to its end: parker, thread and scheduler. */
	if (!here)
		atomic_fetch_add(&scheduler->unparking, 1);
	state = __atomic_exchange_n(&parker->state, PARKER_WOKEN, __ATOMIC_SEQ_CST);
	if (state != 0 && state != PARKER_WOKEN) {
		if (here)
			deliver_here(worker, (struct uthread *)state);
		else
			deliver_elsewhere(scheduler, (struct uthread *)state);
	}
	if (!here)
		atomic_fetch_sub(&scheduler->unparking, 1);
}
