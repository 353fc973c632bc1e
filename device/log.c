/* SPDX-License-Identifier: MIT */
/*
 * Telling what happens to a device.
 */
#include "device/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define LINE_BYTES 512

void bdus_log_tell(const struct bdus_log *log, enum bdus_log_level level, const char *format, ...)
{
	const int saved = errno;
	char text[LINE_BYTES];
	va_list arguments;

	if (log->tell == NULL || level > atomic_load_explicit(&log->level, memory_order_relaxed))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log->tell(log->opaque, level, text);
	errno = saved;
}
