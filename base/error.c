/* SPDX-License-Identifier: MIT */
/*
 * Keeps one error message for each thread.
 */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char thread_message[BASE_ERROR_MESSAGE_BYTES];

int base_error_va(int errnum, const char *format, va_list arguments)
{
	const int saved = errno;
	char text[BASE_ERROR_MESSAGE_BYTES];

	vsnprintf(text, sizeof(text), format, arguments);
	memcpy(thread_message, text, sizeof(text));
	errno = saved;
	return -errnum;
}

int base_error(int errnum, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	base_error_va(errnum, format, arguments);
	va_end(arguments);
	return -errnum;
}

int base_error_errno(int errnum, const char *format, ...)
{
	const int saved = errno;
	va_list arguments;
	size_t used;
	char reason[128];

	va_start(arguments, format);
	base_error_va(errnum, format, arguments);
	va_end(arguments);
	used = strlen(thread_message);
	snprintf(thread_message + used, sizeof(thread_message) - used, ": %s",
		 strerror_r(errnum, reason, sizeof(reason)));
	errno = saved;
	return -errnum;
}

const char *base_error_message(void)
{
	return thread_message;
}
