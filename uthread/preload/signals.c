/* SPDX-License-Identifier: MIT */
/*
 * Handlers of signals. They run on a worker, in the middle of whatever it does, so that nothing of
 * uthread may be called there but uthread_unpark(): while one runs there is no `preload_self`, and
 * all calls are the C library's. What cannot be done there, posting a semaphore and interrupting a
 * call of the main thread, does the service, a thread of ours that is woken for it.
 */
#include "preload_internal.h"

#include <string.h>

#define SEMS_MOST 256

static struct sigaction actions[NSIG];
static struct uthread_parker parker;
static uthread_t main_id;
static atomic_bool wants_interrupt;
static atomic_bool interrupts_restarted;
/** Semaphores to post: a ring that handlers fill and the service empties. */
static _Atomic(sem_t *) sems[SEMS_MOST];
static atomic_uint sems_in;
static unsigned sems_out;
static bool serving;

/* ---- handlers
 * -------------------------------------------------------------------------------------- */

static void call_handler(const struct sigaction *action, int number, siginfo_t *info, void *context)
{
	if (action->sa_flags & SA_SIGINFO)
		action->sa_sigaction(number, info, context);
	else
		action->sa_handler(number);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	const struct sigaction action = actions[number];
	struct preload_thread *const self = preload_self;
	const int error = errno;

	preload_self = NULL;
	call_handler(&action, number, info, context);
	preload_self = self;
	if (serving) {
		if (!(action.sa_flags & SA_RESTART))
			atomic_store(&interrupts_restarted, true);
		atomic_store(&wants_interrupt, true);
		uthread_unpark(&parker);
	}
	errno = error;
}

static bool has_handler(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) ||
	       (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	struct sigaction ours, before;
	int result;

	if (!preload_is_carried || number <= 0 || number >= NSIG)
		return real.sigaction(number, action, old);
	before = actions[number];
	if (action != NULL) {
		ours = *action;
		if (has_handler(action)) {
			ours.sa_sigaction = on_signal;
			ours.sa_flags |= SA_SIGINFO;
		}
		actions[number] = *action;
	}
	result = real.sigaction(number, action != NULL ? &ours : NULL, old);
	if (result != 0)
		actions[number] = before;
	else if (old != NULL && (old->sa_flags & SA_SIGINFO) && old->sa_sigaction == on_signal)
		*old = before;
	return result;
}

sighandler_t signal(int number, sighandler_t handler)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct sigaction old;

	sigemptyset(&action.sa_mask);
	return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

bool preload_post_later(sem_t *sem)
{
	const unsigned place = atomic_fetch_add(&sems_in, 1) % SEMS_MOST;
	sem_t *none = NULL;

	if (!serving || !atomic_compare_exchange_strong(&sems[place], &none, sem))
		return false;
	uthread_unpark(&parker);
	return true;
}

/* ---- the service
 * -------------------------------------------------------------------------------------- */

static void post_sems(void)
{
	for (unsigned i = 0; i < SEMS_MOST; i++, sems_out++) {
		sem_t *const sem = atomic_exchange(&sems[sems_out % SEMS_MOST], NULL);

		if (sem == NULL)
			return;
		preload_post_now(sem);
	}
}

static void interrupt_main(void)
{
	const enum preload_call call = preload_main.call;

	if (!atomic_exchange(&wants_interrupt, false))
		return;
	if (call == PRELOAD_CALL_ENDS ||
	    (call == PRELOAD_CALL_RESTARTS && atomic_load(&interrupts_restarted))) {
		preload_main.interrupted = true;
		uthread_cancel(main_id);
	}
	atomic_store(&interrupts_restarted, false);
}

void preload_serve_init(uthread_t main_thread)
{
	main_id = main_thread;
	uthread_parker_init(&parker);
	serving = true;
}

void preload_serve(void)
{
	for (;;) {
		uthread_stand_by(&parker, UTHREAD_NEVER);
		post_sems();
		interrupt_main();
	}
}
