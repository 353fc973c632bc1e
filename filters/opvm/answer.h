/* SPDX-License-Identifier: MIT */
/*
 * What commands for programs have in common, of the filter (command.c) and in the kernel
 * (kernel.c): answers, which are one JSON document each, and numbers as users write them.
 */
#ifndef FILTERS_OPVM_ANSWER_H
#define FILTERS_OPVM_ANSWER_H

#include <opvm.h>
#include <stddef.h>

/** An answer as it grows; what does not fit is noticed. */
struct answer {
	char *text;
	size_t size_bytes;
	size_t used;
};

void opvm_answer_add(struct answer *answer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/** In quotes. Names are taken from files: only what needs no quoting is shown. */
void opvm_answer_add_name(struct answer *answer, const char *name);
/** One of an array of maps, the first of which has @index 0. */
void opvm_answer_add_map(struct answer *answer, uint32_t index,
			 const struct opvm_map_definition *map);
/** A key's value; an array where @count is not 1. One value follows @stride_bytes after the other.
 */
void opvm_answer_add_values(struct answer *answer, const uint8_t *values, uint32_t count,
			    uint32_t value_bytes, size_t stride_bytes);
/** Bytes in hexadecimal digits, in quotes. */
void opvm_answer_add_bytes(struct answer *answer, const uint8_t *bytes, size_t count);
/** -ENOBUFS after a message unless all of it is there. */
int opvm_answer_finish(const struct answer *answer);

/** A decimal or hexadecimal number with K, M, G or T; -EINVAL without a message. */
int opvm_parse_number(const char *text, size_t length, uint64_t *number);
/** A number as a key or value of @map, in this machine's order; -EINVAL after a message. */
int opvm_parse_key(const struct opvm_map_definition *map, const char *text, size_t length,
		   uint64_t *key);
int opvm_parse_value(const struct opvm_map_definition *map, const char *text, size_t length,
		     uint64_t *value);

#endif
