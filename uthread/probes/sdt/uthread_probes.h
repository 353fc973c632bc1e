/* SPDX-License-Identifier: MIT */
/*
 * Places for tracers to look at: USDT probes, each a no-op instruction until one is attached.
 */
#ifndef UTHREAD_PROBES_H
#define UTHREAD_PROBES_H

#include <sys/sdt.h>

#define UTHREAD_PROBE_CREATE(thread, start)   DTRACE_PROBE2(uthread, create, thread, start)
#define UTHREAD_PROBE_SWITCH(from, to)        DTRACE_PROBE2(uthread, switch, from, to)
#define UTHREAD_PROBE_PARK(thread, object)    DTRACE_PROBE2(uthread, park, thread, object)
#define UTHREAD_PROBE_WAKE(thread, how)       DTRACE_PROBE2(uthread, wake, thread, how)
#define UTHREAD_PROBE_STEAL(thread, from, to) DTRACE_PROBE3(uthread, steal, thread, from, to)

#endif
