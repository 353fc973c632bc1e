/* SPDX-License-Identifier: MIT */
/*
 * Waiting and reaping, and the descriptor that tells of it.
 *
 * One turn takes what other threads have, starts what that makes possible, makes at most one system
 * call on the ring (which also hands over what was queued), and gives out what has completed.
 */
#include "asys_internal.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <unistd.h>

/* While the kernel takes no more entries, and nothing may ever complete. */
#define STALLED_PAUSE_NS 1000000U
#define TURNS_A_LOOK     16

static unsigned take_ready(struct asys *asys, struct asys_message *completed[], unsigned capacity)
{
	unsigned count = 0;

	while (count < capacity && asys->ready.first != NULL) {
		struct asys_message *const message = asys_fifo_pop(&asys->ready);

		message->state = ASYS_STATE_IDLE;
		completed[count++] = message;
	}
	asys->ready_count -= count;
	asys->in_flight -= count;
	return count;
}

/** Starts what became due, and does not leave it lying in the ring. */
static void go_on(struct asys *asys)
{
	if (base_likely(asys->due.first == NULL))
		return;
	asys_start_due(asys);
	if (asys_has_ring(asys))
		asys_ring_submit(asys);
}

/** Whether another thread left something since the owner last looked; else it will wake us. */
static bool may_sleep(struct asys *asys)
{
	atomic_store(&asys->wake_wanted, true);
	return atomic_load(&asys->inbox) == NULL && atomic_load(&asys->finished) == NULL &&
	       !atomic_load(&asys->woken);
}

/**
 * Sees to it that the ring wakes us for the first deadline: by a timer in it, which lasts over many
 * waits and takes no look at the clock. Returns how long to wait.
 */
static uint64_t arm(struct asys *asys, uint64_t timeout_ns)
{
	asys_ring_arm(asys);
	if (base_likely(asys->deadlines == NULL ||
			asys->timer_ns <= asys_deadline_of(asys->deadlines)))
		return timeout_ns;
	/* The kernel took no timer now. */
	return asys_deadlines_limit(asys, timeout_ns);
}

/** Whether a deadline may have passed: not while a timer in the ring waits for the first. */
static bool may_be_late(const struct asys *asys)
{
	return asys->deadlines != NULL &&
	       (!asys_has_ring(asys) || asys->timer_ns > asys_deadline_of(asys->deadlines));
}

static void look(struct asys *asys, uint64_t timeout_ns)
{
	if (asys_has_ring(asys)) {
		if (timeout_ns != 0)
			timeout_ns = arm(asys, timeout_ns);
		if (timeout_ns != 0 || asys_ring_has_work(asys))
			asys_ring_enter(asys, timeout_ns);
	} else {
		asys_wait_turn(asys, timeout_ns);
	}
}

/** Whether somebody called asys_wake(), which counts once. */
static bool was_woken(struct asys *asys)
{
	return atomic_load_explicit(&asys->woken, memory_order_relaxed) &&
	       atomic_exchange(&asys->woken, false);
}

/** How long to sleep: not at all when there is something to give out. */
static uint64_t limit_sleep(struct asys *asys, uint64_t timeout_ns)
{
	if (timeout_ns == 0 || asys->ready.first != NULL || asys->repeat_count != 0 ||
	    (asys_has_ring(asys) && io_uring_cq_ready(&asys->ring) != 0))
		return 0;
	if (asys->stalled)
		timeout_ns = base_min(timeout_ns, STALLED_PAUSE_NS);
	return asys_has_ring(asys) ? timeout_ns : asys_deadlines_limit(asys, timeout_ns);
}

static unsigned turn(struct asys *asys, struct asys_message *completed[], unsigned capacity,
		     uint64_t timeout_ns)
{
	unsigned count = 0;

	asys->stalled = false;
	asys->interrupted = false;
	asys_take_shared(asys);
	asys_start_due(asys);
	timeout_ns = limit_sleep(asys, timeout_ns);
	if (timeout_ns != 0 && !may_sleep(asys))
		timeout_ns = 0;
	/* Without a ring, a look is a system call, and not urgent while there is something to give.
	 */
	if (asys_has_ring(asys) || asys->ready.first == NULL || ++asys->turns % TURNS_A_LOOK == 0)
		look(asys, timeout_ns);
	if (timeout_ns != 0) {
		atomic_store_explicit(&asys->wake_wanted, false, memory_order_relaxed);
		asys_take_shared(asys);
	}
	if (asys_has_ring(asys))
		count = asys_ring_take(asys, completed, capacity);
	if (base_unlikely(may_be_late(asys)))
		asys_deadlines_run(asys);
	go_on(asys);
	return count + take_ready(asys, completed + count, capacity - count);
}

int asys_wait(struct asys *asys, struct asys_message *completed[], unsigned capacity,
	      int timeout_ms)
{
	const uint64_t until = timeout_ms > 0 ? base_deadline_ns((uint64_t)timeout_ms) : 0;
	int error = asys_check(asys);
	unsigned count = 0;
	bool again = true;

	if (base_unlikely(error != 0))
		return error;
	asys->wait_number++;
	while (count == 0 && again && capacity > 0) {
		uint64_t timeout_ns = timeout_ms < 0 ? UINT64_MAX : 0;

		if (timeout_ms > 0) {
			const uint64_t now = base_now_ns();

			timeout_ns = until > now ? until - now : 0;
		}
		count = turn(asys, completed, capacity, timeout_ns);
		again = !was_woken(asys) && timeout_ns != 0 && !asys->interrupted;
	}
	asys_leave(asys);
	return (int)count;
}

int asys_reap(struct asys *asys, struct asys_message *completed[], unsigned capacity)
{
	return asys_wait(asys, completed, capacity, 0);
}

int asys_ready(const struct asys *asys)
{
	const int error = asys_check(asys);

	if (error != 0)
		return error;
	return (int)(asys->ready_count + asys->repeat_count +
		     (asys_has_ring(asys) ? io_uring_cq_ready(&asys->ring) : 0));
}

/* ---- the descriptor ------------------------------------------------------------------------ */

/** Makes the descriptor readable. */
static void wake_self(struct asys *asys)
{
	const uint64_t one = 1;

	if (asys->wake_sent)
		return;
	asys->wake_sent = true;
	while (write(asys->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void make_descriptor_tell(struct asys *asys)
{
	if (asys_has_ring(asys)) {
		asys_ring_arm(asys);
		asys_ring_submit(asys);
	} else {
		asys_wait_arm(asys);
	}
	if (!may_sleep(asys) || asys->ready.first != NULL || asys->due.first != NULL ||
	    asys->repeat_count != 0)
		wake_self(asys);
}

void asys_leave(struct asys *asys)
{
	if (base_unlikely(asys->polled))
		make_descriptor_tell(asys);
}

int asys_fd(struct asys *asys)
{
	int error = asys_check(asys);

	if (error == 0 && asys_has_ring(asys))
		error = asys_ring_make_pollable(asys);
	if (error == 0 && !asys_has_ring(asys) && asys->epoll_fd < 0)
		error = asys_wait_init(asys);
	if (error != 0)
		return error;
	asys->polled = true;
	asys_leave(asys);
	return asys_has_ring(asys) ? asys->ring.ring_fd : asys->epoll_fd;
}
