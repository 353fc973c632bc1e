/* SPDX-License-Identifier: MIT */
/*
 * What tests of descriptions share: a temporary folder in which real tools make images, and what
 * must hold for every structure: it is accepted, every value printed is what the bytes say, copies
 * and sealed copies are identical, and no byte of it can be changed or cut off so that anything
 * crashes or that a checksum over it misses it.
 */
#ifndef ABI_TEST_H
#define ABI_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "subject.h"

#include <cmocka.h>

struct image {
	uint8_t *data;
	size_t size;
};

/* ---- the folder and the tools ---- */

/** For cmocka groups: enters a temporary folder, leaves and removes it. */
int enter_folder(void **state);
int leave_folder(void **state);
/** Skips the test with a reason unless the tool is there; system folders are searched, too. */
void need_tool(const char *name);
/** The exit code for the number of failed tests: 77 if some were skipped for want of a tool. */
int exit_code(int failed);
/** Runs a shell command and returns its exit code; its output is in the file "log", shown if the
 * code is not
 * @expected. */
__attribute__((format(printf, 2, 3))) int run(int expected, const char *format, ...);
/** Whether the last command said @text. */
bool said(const char *text);
/** A folder "tree" with files, folders, symlinks, a large and a sparse file. */
void make_tree(void);
/** Each to be released with free(). */
struct image load(const char *path);
struct image load_part(const char *path, size_t offset, size_t size);
void store_part(const char *path, size_t offset, const void *data, size_t size);

/* ---- what must hold ---- */

void assert_accepted(const struct subject *subject, const void *data, size_t size);
/** Refused with a fault whose text contains @text. */
void assert_refused(const struct subject *subject, const void *data, size_t size, const char *text);
/** Text and JSON come out, JSON that parses; each value is what the bytes say, and lies within
 * them. */
void assert_printed(const struct subject *subject, const void *data, size_t size);
/** The text contains @text. */
void assert_prints(const struct subject *subject, const void *data, size_t size, const char *text);
/** Copies are equal and identical, sealing changes nothing. */
void assert_round_trip(const struct subject *subject, const void *data, size_t size);
/** Every value stored anew as it was changes nothing. For small structures: the time grows with the
 * square. */
void assert_rewritten(const struct subject *subject, const void *data, size_t size);
/** Stores a value by its path, with the checksums. */
void edit(const struct subject *subject, void *data, size_t size, const char *path,
	  const char *value);
/** All of the above but rewriting. */
void assert_sound(const struct subject *subject, const void *data, size_t size);

struct range {
	size_t from, to;
};

/** Changes each byte of @where in turn, in two ways. Nothing may crash, and bytes within @covered
 * (ends with {0}) must be refused. The number of changes that were refused. */
size_t corrupt(const struct subject *subject, const void *data, size_t size, struct range where,
	       const struct range *covered);
/** Cuts to every size below @needed; all must be refused. */
void truncate_all(const struct subject *subject, const void *data, size_t needed);

#endif
