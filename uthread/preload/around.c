/* SPDX-License-Identifier: MIT */
/*
 * What is each thread's own, though it lies with the thread of the kernel: the exceptions that the
 * C++ runtime is handling, and the mask of signals. `errno` is uthread's business.
 *
 * Masks: as long as no thread changes its own, all have the same, and `preload_mask_number` stays
 * what it was. A change gives the thread, and the kernel's, a new number; a thread that returns to
 * another number than its own puts its mask back. While all threads of the first worker wait, its
 * mask is the main thread's, which signals of the process are for before others; other workers take
 * none meanwhile.
 */
#include "preload_internal.h"

#include <limits.h>
#include <string.h>

void *(*preload_exceptions)(void);
__thread unsigned long preload_mask_number;

/** The mask of a worker that has nothing to run, and is not the first. */
#define NOBODYS_MASK ULONG_MAX

/* __cxa_eh_globals: what is caught, and how many are thrown but not caught. */
#define EXCEPTIONS_BYTES 16

static void use_mask(unsigned long number, const sigset_t *mask)
{
	if (number == preload_mask_number)
		return;
	preload_mask_number = number;
	real.pthread_sigmask(SIG_SETMASK, mask, NULL);
}

void preload_leave_slowly(struct preload_thread *self)
{
	memcpy(self->exceptions, preload_exceptions(), EXCEPTIONS_BYTES);
}

void preload_return_slowly(struct preload_thread *self)
{
	if (preload_exceptions != NULL)
		memcpy(preload_exceptions(), self->exceptions, EXCEPTIONS_BYTES);
	use_mask(self->mask_number, &self->mask);
}

/* ---- while a worker has nothing to run ----------------------------------------------------------
 */

static __thread bool is_first_worker;

static int attach(void *context, void **state)
{
	is_first_worker = gettid() == getpid();
	/* Others begin with all signals blocked. */
	if (!is_first_worker)
		preload_mask_number = NOBODYS_MASK;
	return uthread_asys_hooks.attach(context, state);
}

static void rest(void *state, uint64_t deadline_ns)
{
	sigset_t all;

	if (is_first_worker) {
		use_mask(preload_main.mask_number, &preload_main.mask);
	} else {
		sigfillset(&all);
		use_mask(NOBODYS_MASK, &all);
	}
	uthread_asys_hooks.wait(state, deadline_ns);
}

const struct uthread_hooks *preload_hooks(void)
{
	static struct uthread_hooks hooks;

	hooks = uthread_asys_hooks;
	hooks.attach = attach;
	hooks.wait = rest;
	return &hooks;
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	static atomic_ulong numbers;
	struct preload_thread *const self = preload_self;
	const int error = real.pthread_sigmask(how, set, old);

	if (self == NULL || set == NULL || error != 0)
		return error;
	real.pthread_sigmask(SIG_BLOCK, NULL, &self->mask);
	self->mask_number = atomic_fetch_add(&numbers, 1) + 1;
	preload_mask_number = self->mask_number;
	return 0;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	const int error = pthread_sigmask(how, set, old);

	if (error == 0)
		return 0;
	errno = error;
	return -1;
}
