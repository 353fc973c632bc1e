/* SPDX-License-Identifier: MIT */
/*
 * What tests of generated code need. They also run on 32-bit and big-endian machines, for which
 * there is no cmocka here.
 */
#ifndef WIRE_TESTS_CHECK_H
#define WIRE_TESTS_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                        \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

#define CHECK_EQUAL(is, wanted)                                                                    \
	do {                                                                                       \
		const uint64_t is_ = (uint64_t)(is), wanted_ = (uint64_t)(wanted);                 \
		if (is_ != wanted_) {                                                              \
			fprintf(stderr, "%s:%d: %s is %#" PRIx64 ", not %#" PRIx64 "\n", __FILE__, \
				__LINE__, #is, is_, wanted_);                                      \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/** Checks that @fault reads as @wanted. */
#define CHECK_FAULT(fault, wanted)                                                                \
	do {                                                                                      \
		char text_[512];                                                                  \
		wire_fault_text((fault), text_, sizeof(text_));                                   \
		if (strcmp(text_, (wanted)) != 0) {                                               \
			fprintf(stderr, "%s:%d: the fault is\n%s\nnot\n%s\n", __FILE__, __LINE__, \
				text_, (wanted));                                                 \
			exit(1);                                                                  \
		}                                                                                 \
	} while (0)

#define TEXT(literal) ((struct wire_text){(literal), sizeof(literal) - 1})

#define RUN(test)                                  \
	do {                                       \
		test();                            \
		fprintf(stderr, "ok %s\n", #test); \
	} while (0)

/** A copy on the heap at an odd address, so that sanitizers see what goes past it, and
 * misalignment. */
static inline unsigned char *odd_copy(const void *data, size_t size)
{
	unsigned char *copy = malloc(size + 1);

	CHECK(copy != NULL);
	if (size != 0)
		memcpy(copy + 1, data, size);
	return copy + 1;
}

static inline void odd_free(unsigned char *copy)
{
	free(copy - 1);
}

#endif
