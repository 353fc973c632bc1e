/* SPDX-License-Identifier: MIT */
/*
 * What is each thread's own, though it lies with the thread of the kernel: the exceptions that the
 * C++ runtime is handling, and the mask of signals. `errno` is uthread's business.
 *
 * Masks: as long as no thread changes its own, all have the same, and `preload_mask_number` stays
 * what it was. A change gives the thread, and the kernel's, a new number; a thread that returns to
 * another number than its own puts its mask back. While all wait, the mask is the main thread's,
 * which signals of the process are for before others.
 */
#include "preload_internal.h"

#include <string.h>

void *(*preload_exceptions)(void);
atomic_ulong preload_mask_number;

/* __cxa_eh_globals: what is caught, and how many are thrown but not caught. */
#define EXCEPTIONS_BYTES 16

static void use_mask(const struct preload_thread *thread)
{
	if (thread->mask_number == atomic_load(&preload_mask_number))
		return;
	atomic_store(&preload_mask_number, thread->mask_number);
	real.pthread_sigmask(SIG_SETMASK, &thread->mask, NULL);
}

void preload_leave_slowly(struct preload_thread *self)
{
	if (preload_exceptions != NULL)
		memcpy(self->exceptions, preload_exceptions(), EXCEPTIONS_BYTES);
	use_mask(&preload_main);
}

void preload_return_slowly(struct preload_thread *self)
{
	if (preload_exceptions != NULL)
		memcpy(preload_exceptions(), self->exceptions, EXCEPTIONS_BYTES);
	use_mask(self);
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
	atomic_store(&preload_mask_number, self->mask_number);
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
