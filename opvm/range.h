/* SPDX-License-Identifier: MIT */
/*
 * What is known of a 64-bit value: intervals of it and of its lower half, each without and with
 * sign, and bits that are known. Every function gives a range that holds whatever the operation
 * gives for members of its operands.
 */
#ifndef OPVM_RANGE_H
#define OPVM_RANGE_H

#include "opvm_internal.h"

struct opvm_range {
	uint64_t umin, umax;
	int64_t smin, smax;
	uint32_t umin32, umax32;
	int32_t smin32, smax32;
	/** Bits that are 1 in `unknown` are not known, and are 0 in `known`. */
	uint64_t known, unknown;
};

struct opvm_range opvm_range_any(void);
struct opvm_range opvm_range_constant(uint64_t value);
struct opvm_range opvm_range_between(uint64_t low, uint64_t high);

static inline bool opvm_range_is_constant(const struct opvm_range *range)
{
	return range->umin == range->umax;
}

/** Lets each part of the range learn from the others; false if nothing is left. */
bool opvm_range_settle(struct opvm_range *range);

/** What an ALU operation gives; @a is dst. */
struct opvm_range opvm_range_compute(enum opvm_do operation, unsigned bits,
				     const struct opvm_range *a, const struct opvm_range *b);

/** Reduces both to where the condition holds; false if it cannot. */
bool opvm_range_assume(enum opvm_do condition, unsigned bits, struct opvm_range *a,
		       struct opvm_range *b);

/** The condition that holds where @condition does not. */
enum opvm_do opvm_negated(enum opvm_do condition);

/** The condition of exchanged operands. Not for JSET and JCLEAR. */
enum opvm_do opvm_mirrored(enum opvm_do condition);

bool opvm_range_includes(const struct opvm_range *outer, const struct opvm_range *inner);
struct opvm_range opvm_range_join(const struct opvm_range *a, const struct opvm_range *b);

/**
 * A range that includes @joined, which includes @old, and whose ends are those of @old or of
 * @thresholds, sorted without sign, so that only finitely many can follow one another.
 */
struct opvm_range opvm_range_widen(const struct opvm_range *old, const struct opvm_range *joined,
				   const uint64_t *thresholds, uint32_t count);

/** Writes it for people, as short as it can be. */
void opvm_range_write(const struct opvm_range *range, char *text, size_t size_bytes);

#endif
