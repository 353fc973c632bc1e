/* SPDX-License-Identifier: MIT */
/*
 * Places for tracers to look at: USDT probes, each a no-op instruction until one is attached.
 */
#ifndef UTHREAD_PROBES_H
#define UTHREAD_PROBES_H

#include <stdint.h>

#include <sys/sdt.h>

static inline void uthread_probe_create(const void *thread, uintptr_t start)
{
	/* cppcheck-suppress unknownMacro */
	DTRACE_PROBE2(uthread, create, thread, start);
}

static inline void uthread_probe_switch(const void *from, const void *to)
{
	/* cppcheck-suppress unknownMacro */
	DTRACE_PROBE2(uthread, switch, from, to);
}

static inline void uthread_probe_park(const void *thread, const void *object)
{
	/* cppcheck-suppress unknownMacro */
	DTRACE_PROBE2(uthread, park, thread, object);
}

static inline void uthread_probe_wake(const void *thread, unsigned how)
{
	/* cppcheck-suppress unknownMacro */
	DTRACE_PROBE2(uthread, wake, thread, how);
}

static inline void uthread_probe_steal(const void *thread, unsigned from, unsigned to)
{
	/* cppcheck-suppress unknownMacro */
	DTRACE_PROBE3(uthread, steal, thread, from, to);
}

#endif
