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

#include <cmocka.h>
#include <wire.h>

struct image {
	uint8_t *data;
	size_t size;
};

/** A structure with its parameters bound, as if it were a root; and what roots do not offer. */
struct subject {
	struct wire_format format;
	/** Length of the copy, or a negative errno. */
	long (*copy)(void *to, size_t room, const void *data, size_t size);
	bool (*equal)(const void *a, const void *b, size_t size);
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

/* ---- subjects of structures ---- */

#define SUBJECT_PARTS(prefix)                                                    \
	static const struct subject prefix##_subject __attribute__((unused)) = { \
		.format = {.format = #prefix,                                    \
			   .name = "structure",                                  \
			   .check = prefix##_subject_check,                      \
			   .walk = prefix##_subject_walk,                        \
			   .seal = prefix##_subject_seal},                       \
		.copy = prefix##_subject_copy,                                   \
		.equal = prefix##_subject_equal,                                 \
	}

/** A dynamic structure; what follows the prefix are its parameters, from the order on. */
#define SUBJECT_DYNAMIC(prefix, ...)                                                               \
	static int prefix##_subject_check(const void *data, size_t size,                           \
					  const uint64_t *arguments, struct wire_fault *fault)     \
	{                                                                                          \
		struct prefix##_view view;                                                         \
                                                                                                   \
		(void)arguments;                                                                   \
		return prefix##_check(&view, data, size, ##__VA_ARGS__, fault);                    \
	}                                                                                          \
	static int prefix##_subject_walk(const void *data, size_t size, const uint64_t *arguments, \
					 struct wire_walk *walk)                                   \
	{                                                                                          \
		struct prefix##_view view;                                                         \
		const int result = prefix##_open(&view, data, size, ##__VA_ARGS__, NULL);          \
                                                                                                   \
		(void)arguments;                                                                   \
		return result < 0 ? result : prefix##_walk(&view, walk);                           \
	}                                                                                          \
	static int prefix##_subject_seal(void *data, size_t size, const uint64_t *arguments)       \
	{                                                                                          \
		struct prefix##_view view;                                                         \
		const int result = prefix##_open(&view, data, size, ##__VA_ARGS__, NULL);          \
                                                                                                   \
		(void)arguments;                                                                   \
		return result < 0 ? result : prefix##_seal(&view);                                 \
	}                                                                                          \
	static long prefix##_subject_copy(void *to, size_t room, const void *data, size_t size)    \
	{                                                                                          \
		struct prefix##_view view;                                                         \
		const int result = prefix##_open(&view, data, size, ##__VA_ARGS__, NULL);          \
                                                                                                   \
		return result < 0 ? result : prefix##_copy(to, room, &view);                       \
	}                                                                                          \
	static bool prefix##_subject_equal(const void *a, const void *b, size_t size)              \
	{                                                                                          \
		struct prefix##_view va, vb;                                                       \
                                                                                                   \
		return prefix##_open(&va, a, size, ##__VA_ARGS__, NULL) == 0 &&                    \
		       prefix##_open(&vb, b, size, ##__VA_ARGS__, NULL) == 0 &&                    \
		       prefix##_equal(&va, &vb);                                                   \
	}                                                                                          \
	SUBJECT_PARTS(prefix)

/** A fixed structure, likewise. */
#define SUBJECT_FIXED(prefix, ...)                                                                 \
	static int prefix##_subject_check(const void *data, size_t size,                           \
					  const uint64_t *arguments, struct wire_fault *fault)     \
	{                                                                                          \
		(void)arguments;                                                                   \
		return prefix##_check(data, size, ##__VA_ARGS__, fault);                           \
	}                                                                                          \
	static int prefix##_subject_walk(const void *data, size_t size, const uint64_t *arguments, \
					 struct wire_walk *walk)                                   \
	{                                                                                          \
		(void)arguments;                                                                   \
		if (size < sizeof(struct prefix))                                                  \
			return -ENODATA;                                                           \
		return prefix##_walk(prefix##_from(data), ##__VA_ARGS__, walk);                    \
	}                                                                                          \
	static int prefix##_subject_seal(void *data, size_t size, const uint64_t *arguments)       \
	{                                                                                          \
		(void)arguments;                                                                   \
		return size < sizeof(struct prefix) ? -ENODATA                                     \
						    : prefix##_seal(data, ##__VA_ARGS__);          \
	}                                                                                          \
	static long prefix##_subject_copy(void *to, size_t room, const void *data, size_t size)    \
	{                                                                                          \
		if (room < sizeof(struct prefix) || size < sizeof(struct prefix))                  \
			return -ENOSPC;                                                            \
		prefix##_copy(to, data);                                                           \
		return (long)sizeof(struct prefix);                                                \
	}                                                                                          \
	static bool prefix##_subject_equal(const void *a, const void *b, size_t size)              \
	{                                                                                          \
		return size >= sizeof(struct prefix) && prefix##_equal(a, b, ##__VA_ARGS__);       \
	}                                                                                          \
	SUBJECT_PARTS(prefix)

#endif
