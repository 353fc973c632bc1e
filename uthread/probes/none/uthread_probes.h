/* SPDX-License-Identifier: MIT */
/*
 * Places for tracers to look at, on a system without <sys/sdt.h>: none.
 */
#ifndef UTHREAD_PROBES_H
#define UTHREAD_PROBES_H

#define UTHREAD_PROBE_CREATE(thread, start)   ((void)0)
#define UTHREAD_PROBE_SWITCH(from, to)        ((void)0)
#define UTHREAD_PROBE_PARK(thread, object)    ((void)0)
#define UTHREAD_PROBE_WAKE(thread, how)       ((void)0)
#define UTHREAD_PROBE_STEAL(thread, from, to) ((void)0)

#endif
