/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic on what is known of values.
 *
 * Operations of 32 bits are done twice as operations of 64, on operands extended without and with
 * sign: the lower half of the result is the same each time, so what is known of either holds.
 */
#include "range.h"
#include "compute.h"

#define SIGN   (1ULL << 63)
#define SIGN32 (1U << 31)

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static int64_t least_signed(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most_signed(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- making ranges ------------------------------------------------------------------------- */

struct opvm_range opvm_range_any(void)
{
	return (struct opvm_range){0,          UINT64_MAX, INT64_MIN, INT64_MAX, 0,
				   UINT32_MAX, INT32_MIN,  INT32_MAX, 0,         UINT64_MAX};
}

struct opvm_range opvm_range_constant(uint64_t value)
{
	return (struct opvm_range){
		value,           value,          (int64_t)value, (int64_t)value, (uint32_t)value,
		(uint32_t)value, (int32_t)value, (int32_t)value, value,          0};
}

struct opvm_range opvm_range_between(uint64_t low, uint64_t high)
{
	struct opvm_range range = opvm_range_any();

	range.umin = low;
	range.umax = high;
	opvm_range_settle(&range);
	return range;
}

static struct opvm_range between_signed(int64_t low, int64_t high)
{
	struct opvm_range range = opvm_range_any();

	range.smin = low;
	range.smax = high;
	opvm_range_settle(&range);
	return range;
}

/* ---- letting parts learn from one another -------------------------------------------------- */

static void learn_from_bits(struct opvm_range *range)
{
	const uint64_t low = range->known, high = range->known | range->unknown;

	range->umin = most(range->umin, low);
	range->umax = least(range->umax, high);
	range->smin = most_signed(range->smin, (int64_t)(low | (range->unknown & SIGN)));
	range->smax = least_signed(range->smax, (int64_t)(high & ~(range->unknown & SIGN)));
	range->umin32 = (uint32_t)most(range->umin32, (uint32_t)low);
	range->umax32 = (uint32_t)least(range->umax32, (uint32_t)high);
}

static void learn_sign(struct opvm_range *range)
{
	if ((int64_t)range->umin <= (int64_t)range->umax) {
		range->smin = most_signed(range->smin, (int64_t)range->umin);
		range->smax = least_signed(range->smax, (int64_t)range->umax);
	}
	if ((range->smin < 0) == (range->smax < 0)) {
		range->umin = most(range->umin, (uint64_t)range->smin);
		range->umax = least(range->umax, (uint64_t)range->smax);
	}
	if ((int32_t)range->umin32 <= (int32_t)range->umax32) {
		range->smin32 = (int32_t)most_signed(range->smin32, (int32_t)range->umin32);
		range->smax32 = (int32_t)least_signed(range->smax32, (int32_t)range->umax32);
	}
	if ((range->smin32 < 0) == (range->smax32 < 0)) {
		range->umin32 = (uint32_t)most(range->umin32, (uint32_t)range->smin32);
		range->umax32 = (uint32_t)least(range->umax32, (uint32_t)range->smax32);
	}
}

static void learn_halves(struct opvm_range *range)
{
	const uint64_t high = range->umin >> 32;

	if (high == range->umax >> 32) {
		range->umin32 = (uint32_t)most(range->umin32, (uint32_t)range->umin);
		range->umax32 = (uint32_t)least(range->umax32, (uint32_t)range->umax);
		range->umin = most(range->umin, high << 32 | range->umin32);
		range->umax = least(range->umax, high << 32 | range->umax32);
	}
	if (range->smin >= INT32_MIN && range->smax <= INT32_MAX) {
		range->smin32 = (int32_t)most_signed(range->smin32, range->smin);
		range->smax32 = (int32_t)least_signed(range->smax32, range->smax);
		range->smin = most_signed(range->smin, range->smin32);
		range->smax = least_signed(range->smax, range->smax32);
	}
}

/** Adds what two agree on; false if they contradict each other. */
static bool meet_bits(struct opvm_range *range, uint64_t known, uint64_t unknown)
{
	if (((range->known ^ known) & ~range->unknown & ~unknown) != 0)
		return false;
	range->known |= known;
	range->unknown &= unknown;
	range->known &= ~range->unknown;
	return true;
}

/** The bits above the highest one in which the ends differ. */
static bool learn_bits(struct opvm_range *range)
{
	const uint64_t differ = range->umin ^ range->umax;
	const uint32_t differ32 = range->umin32 ^ range->umax32;
	const uint64_t below = differ == 0 ? 0 : UINT64_MAX >> __builtin_clzll(differ);
	const uint32_t below32 = differ32 == 0 ? 0 : UINT32_MAX >> __builtin_clz(differ32);

	return meet_bits(range, range->umin & ~below, below) &&
	       meet_bits(range, range->umin32 & ~below32, below32 | ~(uint64_t)UINT32_MAX);
}

/** Moves the ends to where the lowest bits are as they are known to be. */
static bool learn_stride(struct opvm_range *range)
{
	const uint64_t stride = range->unknown & -range->unknown;
	uint64_t low, high;

	if (stride <= 1)
		return true;
	low = (range->umin & ~(stride - 1)) | (range->known & (stride - 1));
	high = (range->umax & ~(stride - 1)) | (range->known & (stride - 1));
	if ((low < range->umin && low > UINT64_MAX - stride) ||
	    (high > range->umax && high < stride))
		return false;
	range->umin = low < range->umin ? low + stride : low;
	range->umax = high > range->umax ? high - stride : high;
	return true;
}

static bool is_empty(const struct opvm_range *range)
{
	return range->umin > range->umax || range->smin > range->smax ||
	       range->umin32 > range->umax32 || range->smin32 > range->smax32;
}

bool opvm_range_settle(struct opvm_range *range)
{
	for (int round = 0; round < 3; round++) {
		learn_from_bits(range);
		learn_sign(range);
		learn_halves(range);
		if (is_empty(range) || !learn_bits(range) || !learn_stride(range) ||
		    is_empty(range))
			return false;
	}
	return true;
}

/* ---- 64-bit operations --------------------------------------------------------------------- */

static struct opvm_range add(const struct opvm_range *a, const struct opvm_range *b)
{
	struct opvm_range sum = opvm_range_any();
	const uint64_t known = a->known + b->known;
	const uint64_t highest = known + a->unknown + b->unknown;

	if (__builtin_add_overflow(a->umax, b->umax, &sum.umax)) {
		sum.umax = UINT64_MAX;
	} else {
		sum.umin = a->umin + b->umin;
	}
	if (__builtin_add_overflow(a->smin, b->smin, &sum.smin) ||
	    __builtin_add_overflow(a->smax, b->smax, &sum.smax)) {
		sum.smin = INT64_MIN;
		sum.smax = INT64_MAX;
	}
	/* A bit is known where carries of the least and of the greatest sum agree. */
	sum.unknown = (known ^ highest) | a->unknown | b->unknown;
	sum.known = known & ~sum.unknown;
	return sum;
}

static struct opvm_range subtract(const struct opvm_range *a, const struct opvm_range *b)
{
	struct opvm_range rest = opvm_range_any();
	const uint64_t known = a->known - b->known;
	const uint64_t highest = known + a->unknown, lowest = known - b->unknown;

	if (a->umin >= b->umax) {
		rest.umin = a->umin - b->umax;
		rest.umax = a->umax - b->umin;
	}
	if (__builtin_sub_overflow(a->smin, b->smax, &rest.smin) ||
	    __builtin_sub_overflow(a->smax, b->smin, &rest.smax)) {
		rest.smin = INT64_MIN;
		rest.smax = INT64_MAX;
	}
	rest.unknown = (highest ^ lowest) | a->unknown | b->unknown;
	rest.known = known & ~rest.unknown;
	return rest;
}

/** How many of the lowest bits are known to be 0. */
static unsigned zeros_below(const struct opvm_range *range)
{
	const uint64_t maybe = range->known | range->unknown;

	return maybe == 0 ? 64 : (unsigned)__builtin_ctzll(maybe);
}

static void multiply_signed(const struct opvm_range *a, const struct opvm_range *b,
			    struct opvm_range *product)
{
	int64_t ends[4];

	if (__builtin_mul_overflow(a->smin, b->smin, &ends[0]) ||
	    __builtin_mul_overflow(a->smin, b->smax, &ends[1]) ||
	    __builtin_mul_overflow(a->smax, b->smin, &ends[2]) ||
	    __builtin_mul_overflow(a->smax, b->smax, &ends[3]))
		return;
	product->smin =
		least_signed(least_signed(ends[0], ends[1]), least_signed(ends[2], ends[3]));
	product->smax = most_signed(most_signed(ends[0], ends[1]), most_signed(ends[2], ends[3]));
}

static struct opvm_range multiply(const struct opvm_range *a, const struct opvm_range *b)
{
	struct opvm_range product = opvm_range_any();
	const unsigned zeros = zeros_below(a) + zeros_below(b);

	if (__builtin_mul_overflow(a->umax, b->umax, &product.umax))
		product.umax = UINT64_MAX;
	else
		product.umin = a->umin * b->umin;
	multiply_signed(a, b, &product);
	product.unknown = zeros >= 64 ? 0 : UINT64_MAX << zeros;
	return product;
}

static struct opvm_range logic(enum opvm_do operation, const struct opvm_range *a,
			       const struct opvm_range *b)
{
	struct opvm_range result = opvm_range_any();
	const uint64_t ones = operation == OPVM_DO_XOR
				      ? a->known ^ b->known
				      : opvm_compute(operation, 64, a->known, b->known);

	result.unknown = a->unknown | b->unknown;
	if (operation == OPVM_DO_AND) {
		result.unknown &= (a->known | a->unknown) & (b->known | b->unknown);
		result.umax = least(a->umax, b->umax);
	} else if (operation == OPVM_DO_OR) {
		result.unknown &= ~(a->known | b->known);
		result.umin = most(a->umin, b->umin);
	}
	result.known = ones & ~result.unknown;
	return result;
}

static struct opvm_range shift_left(const struct opvm_range *a, const struct opvm_range *by)
{
	struct opvm_range result = opvm_range_any();

	if (a->umax <= UINT64_MAX >> by->umax) {
		result.umin = a->umin << by->umin;
		result.umax = a->umax << by->umax;
	}
	if (opvm_range_is_constant(by)) {
		result.known = a->known << by->umin;
		result.unknown = a->unknown << by->umin;
	}
	return result;
}

static struct opvm_range shift_ranges_right(const struct opvm_range *a, const struct opvm_range *by)
{
	struct opvm_range result = opvm_range_any();

	result.umin = a->umin >> by->umax;
	result.umax = a->umax >> by->umin;
	if (opvm_range_is_constant(by)) {
		result.known = a->known >> by->umin;
		result.unknown = a->unknown >> by->umin;
	}
	return result;
}

static struct opvm_range shift_right_signed(const struct opvm_range *a, const struct opvm_range *by)
{
	struct opvm_range result = opvm_range_any();

	/* Shifting goes towards 0 or -1. */
	result.smin = a->smin < 0 ? a->smin >> by->umin : a->smin >> by->umax;
	result.smax = a->smax < 0 ? a->smax >> by->umax : a->smax >> by->umin;
	if (opvm_range_is_constant(by)) {
		result.unknown = (uint64_t)((int64_t)a->unknown >> by->umin);
		result.known = (uint64_t)((int64_t)a->known >> by->umin) & ~result.unknown;
	}
	return result;
}

static struct opvm_range divide(const struct opvm_range *a, const struct opvm_range *b)
{
	if (b->umin > 0)
		return opvm_range_between(a->umin / b->umax, a->umax / b->umin);
	return opvm_range_between(0, a->umax);
}

static struct opvm_range remain(const struct opvm_range *a, const struct opvm_range *b)
{
	if (a->umax < b->umin)
		return *a;
	return opvm_range_between(0, b->umin > 0 ? least(a->umax, b->umax - 1) : a->umax);
}

/** Signed division and remainder where nothing is negative; else anything. */
static struct opvm_range divide_signed(enum opvm_do operation, const struct opvm_range *a,
				       const struct opvm_range *b)
{
	if (a->smin < 0 || b->smin < 0)
		return opvm_range_any();
	return operation == OPVM_DO_SDIV ? divide(a, b) : remain(a, b);
}

static struct opvm_range extend_signed(unsigned bits, const struct opvm_range *b)
{
	const int64_t high = (int64_t)((1ULL << (bits - 1)) - 1);

	return b->smin >= -high - 1 && b->smax <= high ? *b : between_signed(-high - 1, high);
}

static struct opvm_range exchange(enum opvm_do operation, const struct opvm_range *a)
{
	switch (operation) {
	case OPVM_DO_LE16:
	case OPVM_DO_BE16:
	case OPVM_DO_SWAP16:
		return opvm_range_between(0, UINT16_MAX);
	case OPVM_DO_LE32:
	case OPVM_DO_BE32:
	case OPVM_DO_SWAP32:
		return opvm_range_between(0, UINT32_MAX);
	default:
		return operation == OPVM_DO_LE64 && OPVM_IS_LITTLE_ENDIAN ? *a : opvm_range_any();
	}
}

static struct opvm_range compute_wide(enum opvm_do operation, const struct opvm_range *a,
				      const struct opvm_range *b)
{
	const struct opvm_range zero = opvm_range_constant(0);

	switch (operation) {
	case OPVM_DO_ADD:
		return add(a, b);
	case OPVM_DO_SUB:
		return subtract(a, b);
	case OPVM_DO_MUL:
		return multiply(a, b);
	case OPVM_DO_DIV:
		return divide(a, b);
	case OPVM_DO_MOD:
		return remain(a, b);
	case OPVM_DO_SDIV:
	case OPVM_DO_SMOD:
		return divide_signed(operation, a, b);
	case OPVM_DO_OR:
	case OPVM_DO_AND:
	case OPVM_DO_XOR:
		return logic(operation, a, b);
	case OPVM_DO_LSH:
		return shift_left(a, b);
	case OPVM_DO_RSH:
		return shift_ranges_right(a, b);
	case OPVM_DO_ARSH:
		return shift_right_signed(a, b);
	case OPVM_DO_NEG:
		return subtract(&zero, a);
	case OPVM_DO_MOV:
		return *b;
	case OPVM_DO_MOVSX8:
		return extend_signed(8, b);
	case OPVM_DO_MOVSX16:
		return extend_signed(16, b);
	case OPVM_DO_MOVSX32:
		return between_signed(b->smin32, b->smax32);
	default:
		return exchange(operation, a);
	}
}

/* ---- operations ---------------------------------------------------------------------------- */

static struct opvm_range lower_half(const struct opvm_range *range)
{
	struct opvm_range half = opvm_range_between(range->umin32, range->umax32);

	meet_bits(&half, range->known & UINT32_MAX, range->unknown & UINT32_MAX);
	half.smin32 = range->smin32;
	half.smax32 = range->smax32;
	opvm_range_settle(&half);
	return half;
}

static struct opvm_range lower_half_signed(const struct opvm_range *range)
{
	return between_signed(range->smin32, range->smax32);
}

/** The lower half of what @a and @b both describe, extended by zeros. */
static struct opvm_range meet_halves(const struct opvm_range *a, const struct opvm_range *b)
{
	struct opvm_range half = lower_half(a);
	const struct opvm_range other = lower_half(b);

	half.umin32 = (uint32_t)most(half.umin32, other.umin32);
	half.umax32 = (uint32_t)least(half.umax32, other.umax32);
	half.smin32 = (int32_t)most_signed(half.smin32, other.smin32);
	half.smax32 = (int32_t)least_signed(half.smax32, other.smax32);
	meet_bits(&half, other.known, other.unknown);
	opvm_range_settle(&half);
	return half;
}

static bool is_shift(enum opvm_do operation)
{
	return operation == OPVM_DO_LSH || operation == OPVM_DO_RSH || operation == OPVM_DO_ARSH;
}

static bool needs_zeros(enum opvm_do operation)
{
	return operation == OPVM_DO_RSH || operation == OPVM_DO_DIV || operation == OPVM_DO_MOD;
}

static bool needs_sign(enum opvm_do operation)
{
	return operation == OPVM_DO_ARSH || operation == OPVM_DO_SDIV ||
	       operation == OPVM_DO_SMOD || operation == OPVM_DO_MOVSX8 ||
	       operation == OPVM_DO_MOVSX16;
}

static struct opvm_range compute_half(enum opvm_do operation, const struct opvm_range *a,
				      const struct opvm_range *b)
{
	const struct opvm_range za = lower_half(a), zb = lower_half(b);
	const struct opvm_range sa = lower_half_signed(a), sb = lower_half_signed(b);
	struct opvm_range with_zeros = compute_wide(operation, &za, &zb);
	struct opvm_range with_sign = compute_wide(operation, &sa, is_shift(operation) ? &zb : &sb);

	opvm_range_settle(&with_zeros);
	opvm_range_settle(&with_sign);
	if (needs_zeros(operation))
		with_sign = with_zeros;
	if (needs_sign(operation))
		with_zeros = with_sign;
	return meet_halves(&with_zeros, &with_sign);
}

struct opvm_range opvm_range_compute(enum opvm_do operation, unsigned bits,
				     const struct opvm_range *a, const struct opvm_range *b)
{
	struct opvm_range by = *b, result;

	if (opvm_range_is_constant(a) && opvm_range_is_constant(b))
		return opvm_range_constant(opvm_compute(operation, bits, a->umin, b->umin));
	if (is_shift(operation) && opvm_range_is_constant(b))
		by = opvm_range_constant(b->umin & (bits - 1));
	else if (is_shift(operation) && b->umax >= bits)
		by = opvm_range_between(0, bits - 1);
	result = bits == 32 ? compute_half(operation, a, &by) : compute_wide(operation, a, &by);
	opvm_range_settle(&result);
	return result;
}

/* ---- conditions ---------------------------------------------------------------------------- */

enum opvm_do opvm_negated(enum opvm_do condition)
{
	switch (condition) {
	case OPVM_DO_JEQ:
		return OPVM_DO_JNE;
	case OPVM_DO_JNE:
		return OPVM_DO_JEQ;
	case OPVM_DO_JGT:
		return OPVM_DO_JLE;
	case OPVM_DO_JLE:
		return OPVM_DO_JGT;
	case OPVM_DO_JGE:
		return OPVM_DO_JLT;
	case OPVM_DO_JLT:
		return OPVM_DO_JGE;
	case OPVM_DO_JSGT:
		return OPVM_DO_JSLE;
	case OPVM_DO_JSLE:
		return OPVM_DO_JSGT;
	case OPVM_DO_JSGE:
		return OPVM_DO_JSLT;
	case OPVM_DO_JSLT:
		return OPVM_DO_JSGE;
	case OPVM_DO_JSET:
		return OPVM_DO_JCLEAR;
	default:
		return OPVM_DO_JSET;
	}
}

enum opvm_do opvm_mirrored(enum opvm_do condition)
{
	switch (condition) {
	case OPVM_DO_JGT:
		return OPVM_DO_JLT;
	case OPVM_DO_JLT:
		return OPVM_DO_JGT;
	case OPVM_DO_JGE:
		return OPVM_DO_JLE;
	case OPVM_DO_JLE:
		return OPVM_DO_JGE;
	case OPVM_DO_JSGT:
		return OPVM_DO_JSLT;
	case OPVM_DO_JSLT:
		return OPVM_DO_JSGT;
	case OPVM_DO_JSGE:
		return OPVM_DO_JSLE;
	case OPVM_DO_JSLE:
		return OPVM_DO_JSGE;
	default:
		return condition;
	}
}

static bool assume_equal(unsigned bits, struct opvm_range *a, struct opvm_range *b)
{
	const uint64_t ignored = bits == 32 ? ~(uint64_t)UINT32_MAX : 0;

	if (!meet_bits(a, b->known & ~ignored, b->unknown | ignored) ||
	    !meet_bits(b, a->known & ~ignored, a->unknown | ignored))
		return false;
	a->umin32 = b->umin32 = (uint32_t)most(a->umin32, b->umin32);
	a->umax32 = b->umax32 = (uint32_t)least(a->umax32, b->umax32);
	a->smin32 = b->smin32 = (int32_t)most_signed(a->smin32, b->smin32);
	a->smax32 = b->smax32 = (int32_t)least_signed(a->smax32, b->smax32);
	if (bits == 32)
		return true;
	a->umin = b->umin = most(a->umin, b->umin);
	a->umax = b->umax = least(a->umax, b->umax);
	a->smin = b->smin = most_signed(a->smin, b->smin);
	a->smax = b->smax = least_signed(a->smax, b->smax);
	return true;
}

/** Takes @value away where it is an end of a 64-bit interval; false if nothing is left. */
static bool exclude(struct opvm_range *range, uint64_t value)
{
	if (range->umin == range->umax)
		return range->umin != value;
	range->umin += range->umin == value;
	range->umax -= range->umax == value;
	if (range->smin == range->smax)
		return range->smin != (int64_t)value;
	range->smin += range->smin == (int64_t)value;
	range->smax -= range->smax == (int64_t)value;
	return true;
}

static bool exclude32(struct opvm_range *range, uint32_t value)
{
	if (range->umin32 == range->umax32)
		return range->umin32 != value;
	range->umin32 += range->umin32 == value;
	range->umax32 -= range->umax32 == value;
	if (range->smin32 == range->smax32)
		return range->smin32 != (int32_t)value;
	range->smin32 += range->smin32 == (int32_t)value;
	range->smax32 -= range->smax32 == (int32_t)value;
	return true;
}

static bool assume_different(unsigned bits, struct opvm_range *a, struct opvm_range *b)
{
	bool possible = true;

	if (bits == 32) {
		if (b->umin32 == b->umax32)
			possible = exclude32(a, b->umin32);
		if (possible && a->umin32 == a->umax32)
			possible = exclude32(b, a->umin32);
		return possible;
	}
	if (opvm_range_is_constant(b))
		possible = exclude(a, b->umin);
	if (possible && opvm_range_is_constant(a))
		possible = exclude(b, a->umin);
	return possible;
}

/** a > b by @strict, a >= b without; without sign. */
static bool assume_above(unsigned bits, bool strict, struct opvm_range *a, struct opvm_range *b)
{
	if (bits == 32) {
		if (strict && (b->umin32 == UINT32_MAX || a->umax32 == 0))
			return false;
		a->umin32 = (uint32_t)most(a->umin32, b->umin32 + strict);
		b->umax32 = (uint32_t)least(b->umax32, a->umax32 - strict);
		return true;
	}
	if (strict && (b->umin == UINT64_MAX || a->umax == 0))
		return false;
	a->umin = most(a->umin, b->umin + strict);
	b->umax = least(b->umax, a->umax - strict);
	return true;
}

static bool assume_greater(unsigned bits, bool strict, struct opvm_range *a, struct opvm_range *b)
{
	if (bits == 32) {
		if (strict && (b->smin32 == INT32_MAX || a->smax32 == INT32_MIN))
			return false;
		a->smin32 = (int32_t)most_signed(a->smin32, b->smin32 + strict);
		b->smax32 = (int32_t)least_signed(b->smax32, a->smax32 - strict);
		return true;
	}
	if (strict && (b->smin == INT64_MAX || a->smax == INT64_MIN))
		return false;
	a->smin = most_signed(a->smin, b->smin + strict);
	b->smax = least_signed(b->smax, a->smax - strict);
	return true;
}

static bool assume_bits(enum opvm_do condition, unsigned bits, struct opvm_range *a,
			const struct opvm_range *b)
{
	const uint64_t tested = bits == 32 ? (uint32_t)b->known : b->known;
	const bool is_constant = bits == 32 ? (uint32_t)b->unknown == 0 : b->unknown == 0;

	if (condition == OPVM_DO_JCLEAR)
		return meet_bits(a, 0, ~tested);
	if (!is_constant)
		return true;
	if ((tested & (a->known | a->unknown)) == 0)
		return false;
	return (tested & (tested - 1)) != 0 || meet_bits(a, tested, ~tested);
}

bool opvm_range_assume(enum opvm_do condition, unsigned bits, struct opvm_range *a,
		       struct opvm_range *b)
{
	bool possible;

	switch (condition) {
	case OPVM_DO_JEQ:
		possible = assume_equal(bits, a, b);
		break;
	case OPVM_DO_JNE:
		possible = assume_different(bits, a, b);
		break;
	case OPVM_DO_JGT:
	case OPVM_DO_JGE:
		possible = assume_above(bits, condition == OPVM_DO_JGT, a, b);
		break;
	case OPVM_DO_JLT:
	case OPVM_DO_JLE:
		possible = assume_above(bits, condition == OPVM_DO_JLT, b, a);
		break;
	case OPVM_DO_JSGT:
	case OPVM_DO_JSGE:
		possible = assume_greater(bits, condition == OPVM_DO_JSGT, a, b);
		break;
	case OPVM_DO_JSLT:
	case OPVM_DO_JSLE:
		possible = assume_greater(bits, condition == OPVM_DO_JSLT, b, a);
		break;
	default:
		possible = assume_bits(condition, bits, a, b);
		break;
	}
	return possible && opvm_range_settle(a) && opvm_range_settle(b);
}

/* ---- order --------------------------------------------------------------------------------- */

bool opvm_range_includes(const struct opvm_range *outer, const struct opvm_range *inner)
{
	return outer->umin <= inner->umin && outer->umax >= inner->umax &&
	       outer->smin <= inner->smin && outer->smax >= inner->smax &&
	       outer->umin32 <= inner->umin32 && outer->umax32 >= inner->umax32 &&
	       outer->smin32 <= inner->smin32 && outer->smax32 >= inner->smax32 &&
	       (inner->unknown & ~outer->unknown) == 0 &&
	       ((inner->known ^ outer->known) & ~outer->unknown) == 0;
}

struct opvm_range opvm_range_join(const struct opvm_range *a, const struct opvm_range *b)
{
	struct opvm_range join;

	join.umin = least(a->umin, b->umin);
	join.umax = most(a->umax, b->umax);
	join.smin = least_signed(a->smin, b->smin);
	join.smax = most_signed(a->smax, b->smax);
	join.umin32 = (uint32_t)least(a->umin32, b->umin32);
	join.umax32 = (uint32_t)most(a->umax32, b->umax32);
	join.smin32 = (int32_t)least_signed(a->smin32, b->smin32);
	join.smax32 = (int32_t)most_signed(a->smax32, b->smax32);
	join.unknown = a->unknown | b->unknown | (a->known ^ b->known);
	join.known = a->known & ~join.unknown;
	return join;
}

/** The greatest threshold up to @value, or @otherwise; as @sign says, flipped values are compared.
 */
static uint64_t threshold_below(uint64_t value, uint64_t flip, uint64_t otherwise,
				const uint64_t *thresholds, uint32_t count)
{
	uint64_t best = otherwise;

	for (uint32_t index = 0; index < count; index++)
		if ((thresholds[index] ^ flip) <= (value ^ flip) &&
		    (thresholds[index] ^ flip) >= (best ^ flip))
			best = thresholds[index];
	return best;
}

static uint64_t threshold_above(uint64_t value, uint64_t flip, uint64_t otherwise,
				const uint64_t *thresholds, uint32_t count)
{
	uint64_t best = otherwise;

	for (uint32_t index = 0; index < count; index++)
		if ((thresholds[index] ^ flip) >= (value ^ flip) &&
		    (thresholds[index] ^ flip) <= (best ^ flip))
			best = thresholds[index];
	return best;
}

struct opvm_range opvm_range_widen(const struct opvm_range *old, const struct opvm_range *joined,
				   const uint64_t *thresholds, uint32_t count)
{
	struct opvm_range wide = *joined;

	if (joined->umin < old->umin)
		wide.umin = threshold_below(joined->umin, 0, 0, thresholds, count);
	if (joined->umax > old->umax)
		wide.umax = threshold_above(joined->umax, 0, UINT64_MAX, thresholds, count);
	if (joined->smin < old->smin)
		wide.smin = (int64_t)threshold_below((uint64_t)joined->smin, SIGN, SIGN, thresholds,
						     count);
	if (joined->smax > old->smax)
		wide.smax = (int64_t)threshold_above((uint64_t)joined->smax, SIGN, SIGN - 1,
						     thresholds, count);
	if (joined->umin32 < old->umin32)
		wide.umin32 = 0;
	if (joined->umax32 > old->umax32)
		wide.umax32 =
			(uint32_t)threshold_above(joined->umax32, 0, UINT32_MAX, thresholds, count);
	if (joined->smin32 < old->smin32)
		wide.smin32 = INT32_MIN;
	if (joined->smax32 > old->smax32)
		wide.smax32 = INT32_MAX;
	return wide;
}

void opvm_range_write(const struct opvm_range *range, char *text, size_t size_bytes)
{
	if (opvm_range_is_constant(range))
		opvm_format(text, size_bytes, "%lld", (long long)range->smin);
	else if (range->smin == INT64_MIN && range->smax == INT64_MAX &&
		 range->unknown == UINT64_MAX)
		opvm_format(text, size_bytes, "any");
	else if (range->smin < 0)
		opvm_format(text, size_bytes, "%lld to %lld", (long long)range->smin,
			    (long long)range->smax);
	else
		opvm_format(text, size_bytes, "%llu to %llu", (unsigned long long)range->umin,
			    (unsigned long long)range->umax);
}
