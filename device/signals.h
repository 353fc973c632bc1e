/* SPDX-License-Identifier: MIT */
/*
 * SIGTERM and SIGINT as a polite request to end the devices that this process serves.
 */
#ifndef DEVICE_SIGNALS_H
#define DEVICE_SIGNALS_H

#include <stdbool.h>

/**
 * From now until bdus_signals_forget(), a SIGTERM or SIGINT is noted instead of ending the process,
 * unless the program handles or ignores that signal itself. Returns a slot for the other calls, or
 * -1 when too many devices run; signals then act as they did before.
 */
int bdus_signals_watch(void);

/** Has a signal also write to the eventfd @event_fd; -1 for none. */
void bdus_signals_set_wake(int slot, int event_fd);

/** Takes -1. */
void bdus_signals_forget(int slot);

/** Whether a signal came since bdus_signals_watch(). */
bool bdus_signals_came(int slot);

#endif
