/* SPDX-License-Identifier: MIT */
/*
 * Places for tracers to look at, on a system without <sys/sdt.h>: none.
 */
#ifndef UTHREAD_PROBES_H
#define UTHREAD_PROBES_H

#include <stdint.h>

static inline void uthread_probe_create(const void *thread, uintptr_t start)
{
	(void)thread;
	(void)start;
}

static inline void uthread_probe_switch(const void *from, const void *to)
{
	(void)from;
	(void)to;
}

static inline void uthread_probe_park(const void *thread, const void *object)
{
	(void)thread;
	(void)object;
}

static inline void uthread_probe_wake(const void *thread, unsigned how)
{
	(void)thread;
	(void)how;
}

static inline void uthread_probe_steal(const void *thread, unsigned from, unsigned to)
{
	(void)thread;
	(void)from;
	(void)to;
}

#endif
