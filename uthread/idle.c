/* SPDX-License-Identifier: MIT */
/*
 * Workers with nothing to run, and the monitor that calls spare ones.
 *
 * A worker that goes to sleep first says so (`asleep`, `idle_count`) and then looks once more; who
 * gives it work first makes that visible (`queued`, `inbox`, `first_wake_ns`) and then looks for
 * sleepers. All of this is sequentially consistent, so that one of the two sees the other. The last
 * worker to sleep finds a deadlock: threads are left, and nothing could wake one. It looks twice
 * (`idle_epoch`), as one that was woken meanwhile may have taken what there was.
 *
 * A spare worker sleeps until the monitor calls it, which it does for each worker that was seen in
 * the same thread for a whole tick while others wait to run. It then takes what it finds from all
 * queues, and stands by again when there is nothing.
 */
#include "uthread_internal.h"

#include "base/thread.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- sleeping ------------------------------------------------------------------------------ */

void uthread_sleep_on(atomic_uint *word, unsigned value, uint64_t deadline_ns)
{
	const struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / 1000000000U),
		.tv_nsec = (long)(deadline_ns % 1000000000U),
	};

	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value,
		deadline_ns == UTHREAD_NEVER ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

void uthread_wake_on(atomic_uint *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/** Wakes @worker if it sleeps. */
static bool wake(struct uthread_worker *worker)
{
	const struct uthread_hooks *const hooks = worker->scheduler->hooks;

	if (atomic_load_explicit(&worker->asleep, memory_order_relaxed) == 0 ||
	    atomic_exchange(&worker->asleep, 0) == 0)
		return false;
	if (hooks != NULL)
		hooks->kick(worker->hooks_state);
	else
		uthread_wake_on(&worker->asleep);
	return true;
}

void uthread_wake_this(struct uthread_worker *worker)
{
	if (atomic_load(&worker->scheduler->idle_count) != 0)
		wake(worker);
}

void uthread_wake_worker(struct uthread_scheduler *scheduler)
{
	if (atomic_load(&scheduler->idle_count) == 0)
		return;
	for (unsigned i = 0; i < scheduler->workers_count; i++)
		if (wake(&scheduler->workers[i]))
			return;
}

static void call_spare(struct uthread_worker *worker)
{
	const struct uthread_hooks *const hooks = worker->scheduler->hooks;

	atomic_store(&worker->called, 1);
	if (hooks != NULL && atomic_load(&worker->attached))
		hooks->kick(worker->hooks_state);
	else
		uthread_wake_on(&worker->called);
}

void uthread_wake_all_workers(struct uthread_scheduler *scheduler)
{
	for (unsigned i = 0; i < scheduler->workers_count; i++) {
		wake(&scheduler->workers[i]);
		if (scheduler->workers[i].spare)
			call_spare(&scheduler->workers[i]);
	}
}

/** Sleeps, by the hooks if there are any. */
static void rest(struct uthread_worker *worker, uint64_t deadline_ns)
{
	const struct uthread_hooks *const hooks = worker->scheduler->hooks;

	if (hooks == NULL) {
		uthread_sleep_on(&worker->asleep, 1, deadline_ns);
		return;
	}
	worker->in_hook = true;
	hooks->wait(worker->hooks_state, deadline_ns);
	worker->in_hook = false;
}

/* ---- deadlocks ----------------------------------------------------------------------------- */

/** Whether nothing can wake any thread, as far as one look tells. */
static bool nothing_pending(struct uthread_scheduler *scheduler)
{
	return atomic_load(&scheduler->idle_count) == scheduler->workers_count &&
	       atomic_load(&scheduler->first_wake_ns) == UTHREAD_NEVER &&
	       atomic_load(&scheduler->parked) == 0 && atomic_load(&scheduler->live) > 0 &&
	       !uthread_has_queued(scheduler);
}

static bool is_deadlocked(struct uthread_scheduler *scheduler)
{
	const unsigned epoch = atomic_load(&scheduler->idle_epoch);

	for (unsigned look = 0; look < 2; look++)
		if (!nothing_pending(scheduler))
			return false;
	return atomic_load(&scheduler->idle_epoch) == epoch;
}

static void end_deadlock(struct uthread_worker *worker)
{
	struct uthread_scheduler *const scheduler = worker->scheduler;

	if (atomic_exchange(&scheduler->deadlocked, true))
		return;
	uthread_report_deadlock(worker);
	if (!(scheduler->flags & UTHREAD_DEADLOCK_GOES_ON))
		uthread_stop(scheduler);
}

/* ---- idle workers -------------------------------------------------------------------------- */

static void begin_rest(struct uthread_worker *worker)
{
	atomic_fetch_add(&worker->scheduler->idle_count, 1);
}

static void end_rest(struct uthread_worker *worker)
{
	atomic_fetch_add(&worker->scheduler->idle_epoch, 1);
	atomic_fetch_sub(&worker->scheduler->idle_count, 1);
}

/** What a spare worker's threads wait for comes to its own hooks. */
static bool has_own(struct uthread_worker *worker)
{
	return atomic_load(&worker->queued) != 0 || atomic_load(&worker->next) != NULL;
}

static void stand_by(struct uthread_worker *worker)
{
	struct uthread_scheduler *const scheduler = worker->scheduler;

	begin_rest(worker);
	if (is_deadlocked(scheduler))
		end_deadlock(worker);
	while (atomic_load(&worker->called) == 0 && !atomic_load(&scheduler->stopping) &&
	       !has_own(worker)) {
		if (scheduler->hooks == NULL)
			uthread_sleep_on(&worker->called, 0, UTHREAD_NEVER);
		else
			rest(worker, UTHREAD_NEVER);
	}
	end_rest(worker);
	atomic_store(&worker->called, 0);
}

void uthread_idle(struct uthread_worker *worker)
{
	struct uthread_scheduler *const scheduler = worker->scheduler;

	if (worker->spare) {
		stand_by(worker);
		return;
	}
	atomic_store(&worker->asleep, 1);
	begin_rest(worker);
	if (is_deadlocked(scheduler))
		end_deadlock(worker);
	if (!uthread_has_work(worker) && !atomic_load(&scheduler->stopping))
		rest(worker, uthread_timers_first(scheduler));
	end_rest(worker);
	atomic_store(&worker->asleep, 0);
}

/* ---- the monitor --------------------------------------------------------------------------- */

/** Whether @worker has been in one thread since the last look. */
static bool seems_stuck(struct uthread_worker *worker)
{
	const unsigned long switches =
		atomic_load_explicit(&worker->switches, memory_order_relaxed);
	const bool same = switches == worker->seen_switches;

	worker->seen_switches = switches;
	if (!same || !atomic_load_explicit(&worker->busy, memory_order_relaxed)) {
		worker->stuck = false;
		return false;
	}
	return true;
}

static void call_one_spare(struct uthread_scheduler *scheduler)
{
	for (unsigned i = 0; i < scheduler->workers_count; i++)
		if (scheduler->workers[i].spare &&
		    !atomic_load_explicit(&scheduler->workers[i].busy, memory_order_relaxed) &&
		    atomic_load(&scheduler->workers[i].called) == 0) {
			call_spare(&scheduler->workers[i]);
			return;
		}
}

static bool has_work_waiting(const struct uthread_scheduler *scheduler)
{
	const uint64_t first_ns = uthread_timers_first(scheduler);

	return uthread_has_queued(scheduler) ||
	       (first_ns != UTHREAD_NEVER && first_ns <= base_now_ns());
}

static void look_at_workers(struct uthread_scheduler *scheduler)
{
	bool call = false;

	for (unsigned i = 0; i < scheduler->workers_count; i++) {
		struct uthread_worker *const worker = &scheduler->workers[i];

		if (!seems_stuck(worker) || !has_work_waiting(scheduler))
			continue;
		call = true;
		if (!worker->stuck)
			atomic_fetch_add(&scheduler->stuck, 1);
		worker->stuck = true;
	}
	if (call)
		call_one_spare(scheduler);
}

static void *monitor_main(void *argument)
{
	struct uthread_scheduler *const scheduler = argument;

	while (atomic_load(&scheduler->monitor_stop) == 0) {
		uthread_sleep_on(&scheduler->monitor_stop, 0,
				 base_now_ns() + scheduler->tick_ms * 1000000ULL);
		look_at_workers(scheduler);
	}
	return NULL;
}

int uthread_monitor_start(struct uthread_scheduler *scheduler)
{
	int error;

	if (!scheduler->workers[scheduler->workers_count - 1].spare)
		return 0;
	error = base_thread_start(&scheduler->monitor, monitor_main, scheduler);
	if (error != 0)
		return base_error_errno(error, "cannot start the thread that watches workers");
	scheduler->monitored = true;
	return 0;
}

void uthread_monitor_stop(struct uthread_scheduler *scheduler)
{
	if (!scheduler->monitored)
		return;
	atomic_store(&scheduler->monitor_stop, 1);
	uthread_wake_on(&scheduler->monitor_stop);
	pthread_join(scheduler->monitor, NULL);
	scheduler->monitored = false;
}
