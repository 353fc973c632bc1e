/* SPDX-License-Identifier: MIT */
/*
 * Attributes of threads to be.
 */
#include "uthread_internal.h"

int uthread_attr_init(uthread_attr_t *attr)
{
	*attr = (uthread_attr_t){.deadline_ns = UTHREAD_NEVER};
	return 0;
}

int uthread_attr_destroy(uthread_attr_t *attr)
{
	(void)attr;
	return 0;
}

int uthread_attr_setdetachstate(uthread_attr_t *attr, int state)
{
	if (state != UTHREAD_CREATE_JOINABLE && state != UTHREAD_CREATE_DETACHED)
		return base_error(EINVAL, "detach state %d: there are only two", state);
	attr->detached = (uint8_t)state;
	return 0;
}

int uthread_attr_getdetachstate(const uthread_attr_t *attr, int *state)
{
	*state = attr->detached;
	return 0;
}

static int check_stack_bytes(size_t stack_bytes)
{
	if (stack_bytes >= UTHREAD_STACK_MIN && stack_bytes <= UTHREAD_STACK_MAX)
		return 0;
	return base_error(EINVAL, "a stack of %zu bytes: from %u to %u are possible", stack_bytes,
			  UTHREAD_STACK_MIN, UTHREAD_STACK_MAX);
}

int uthread_attr_setstacksize(uthread_attr_t *attr, size_t stack_bytes)
{
	const int error = check_stack_bytes(stack_bytes);

	if (error != 0)
		return error;
	attr->stack_bytes = stack_bytes;
	return 0;
}

int uthread_attr_getstacksize(const uthread_attr_t *attr, size_t *stack_bytes)
{
	*stack_bytes = attr->stack_bytes;
	return 0;
}

int uthread_attr_setstack(uthread_attr_t *attr, void *stack, size_t stack_bytes)
{
	const int error = check_stack_bytes(stack_bytes);

	if (error != 0)
		return error;
	if (stack == NULL)
		return base_error(EINVAL, "a stack needs memory");
	attr->stack = stack;
	attr->stack_bytes = stack_bytes;
	return 0;
}

int uthread_attr_getstack(const uthread_attr_t *attr, void **stack, size_t *stack_bytes)
{
	*stack = attr->stack;
	*stack_bytes = attr->stack_bytes;
	return 0;
}

int uthread_attr_setpriority(uthread_attr_t *attr, int priority)
{
	if (priority < 0 || priority > UTHREAD_PRIORITY_MAX)
		return base_error(EINVAL, "priority %d: from 0 to %d are possible", priority,
				  UTHREAD_PRIORITY_MAX);
	attr->priority = (uint8_t)priority;
	return 0;
}

int uthread_attr_getpriority(const uthread_attr_t *attr, int *priority)
{
	*priority = attr->priority;
	return 0;
}

int uthread_attr_setdeadline(uthread_attr_t *attr, uint64_t deadline_ns)
{
	attr->deadline_ns = deadline_ns;
	return 0;
}

int uthread_attr_setname(uthread_attr_t *attr, const char *name)
{
	const size_t length = strlen(name);

	if (length >= sizeof(attr->name))
		return base_error(ERANGE, "a name of %zu characters: at most %zu are possible",
				  length, sizeof(attr->name) - 1);
	memset(attr->name, 0, sizeof(attr->name));
	memcpy(attr->name, name, length);
	return 0;
}

int uthread_attr_setworker(uthread_attr_t *attr, unsigned worker)
{
	if (worker >= UTHREAD_WORKERS_MAX)
		return base_error(EINVAL, "worker %u: from 0 to %u are possible", worker,
				  UTHREAD_WORKERS_MAX - 1);
	attr->worker = (uint16_t)(worker + 1);
	return 0;
}
