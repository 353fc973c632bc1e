/* SPDX-License-Identifier: MIT */
/*
 * What the process of a device is told of what happens, at levels that can be changed meanwhile.
 * Where a text goes is up to who runs the device; the engine prints nothing itself. Not for the
 * path of requests.
 */
#ifndef DEVICE_LOG_H
#define DEVICE_LOG_H

#include <bdus/manage.h>
#include <stdatomic.h>

/** Belongs to the device; the functions are for any thread. */
struct bdus_log {
	/** NULL where nobody wants to be told. Set before other threads know of it. */
	void (*tell)(void *opaque, enum bdus_log_level level, const char *text);
	void *opaque;
	/** enum bdus_log_level. */
	atomic_uint level;
};

/** Has the text, of one line, told if @level is told now. Leaves errno and the last error alone. */
void bdus_log_tell(const struct bdus_log *log, enum bdus_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
