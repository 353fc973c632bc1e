/* SPDX-License-Identifier: MIT */
/*
 * The one error idiom of the project: a function that fails returns a negative errno and leaves a
 * sentence for people in a message that belongs to the calling thread.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

/** Longest message kept, in bytes, with its terminating zero; longer ones are cut. */
#define BASE_ERROR_MESSAGE_BYTES 512

/**
 * Sets the calling thread's message and returns -@errnum.
 *
 * The message should name the thing, the value and what was allowed. It carries no newline and no
 * errno text: use base_error_errno() where the system's reason should follow.
 * Any thread; `errno` is left as it was.
 */
int base_error(int errnum, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** As base_error(), with ": " and the system's text for @errnum appended. */
int base_error_errno(int errnum, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** As base_error(), for callers that have their own variable arguments. */
int base_error_va(int errnum, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

/** The calling thread's last message; an empty string before the first. Valid until the next. */
const char *base_error_message(void);

#endif
