/* SPDX-License-Identifier: MIT */
/*
 * Structures of all kinds behind one face, for tests and fuzzers.
 */
#ifndef ABI_TESTS_SUBJECT_H
#define ABI_TESTS_SUBJECT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wire.h>

/** A structure with its parameters bound, as if it were a root; and what roots do not offer. */
struct subject {
	struct wire_format format;
	/** Length of the copy, or a negative errno. */
	long (*copy)(void *to, size_t room, const void *data, size_t size);
	bool (*equal)(const void *a, const void *b, size_t size);
};

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
