/* SPDX-License-Identifier: MIT */
/*
 * What a thread does about being cancelled, and its clean-up handlers.
 */
#include "uthread_internal.h"

bool uthread_cancel_pending(struct uthread *self)
{
	return atomic_load_explicit(&self->cancel_wanted, memory_order_relaxed) &&
	       !self->cancel_disabled;
}

int uthread_cancel_now(struct uthread *self)
{
	atomic_store(&self->cancel_wanted, false);
	if (self->cancel_type == UTHREAD_CANCEL_RETURNS)
		return -ECANCELED;
	self->cancelled = true;
	uthread_exit(UTHREAD_CANCELED);
}

int uthread_testcancel(void)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return uthread_no_thread();
	return uthread_cancel_pending(self) ? uthread_cancel_now(self) : 0;
}

int uthread_setcancelstate(int state, int *old)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return uthread_no_thread();
	if (state != UTHREAD_CANCEL_ENABLE && state != UTHREAD_CANCEL_DISABLE)
		return base_error(EINVAL, "cancel state %d: there are only two", state);
	if (old != NULL)
		*old = self->cancel_disabled ? UTHREAD_CANCEL_DISABLE : UTHREAD_CANCEL_ENABLE;
	self->cancel_disabled = state == UTHREAD_CANCEL_DISABLE;
	return 0;
}

int uthread_setcanceltype(int type, int *old)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return uthread_no_thread();
	if (type != UTHREAD_CANCEL_DEFERRED && type != UTHREAD_CANCEL_RETURNS)
		return base_error(EINVAL, "cancel type %d: there are only two", type);
	if (old != NULL)
		*old = self->cancel_type;
	self->cancel_type = (uint8_t)type;
	return 0;
}

/* ---- clean-up handlers --------------------------------------------------------------------- */

void uthread_cleanup_enter(struct uthread_cleanup *cleanup)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return;
	cleanup->next = self->own->cleanups;
	self->own->cleanups = cleanup;
}

void uthread_cleanup_leave(int execute)
{
	struct uthread *const self = uthread_current();
	struct uthread_cleanup *cleanup;

	if (self == NULL || self->own->cleanups == NULL)
		return;
	cleanup = self->own->cleanups;
	self->own->cleanups = cleanup->next;
	if (execute)
		cleanup->routine(cleanup->argument);
}

void uthread_cleanups_run(struct uthread *self)
{
	while (self->own->cleanups != NULL) {
		struct uthread_cleanup *const cleanup = self->own->cleanups;

		self->own->cleanups = cleanup->next;
		cleanup->routine(cleanup->argument);
	}
}
