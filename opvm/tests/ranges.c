/* SPDX-License-Identifier: MIT */
/*
 * What is said of ranges holds for their members: random ranges, members of them, and every
 * operation and condition on both.
 */
#include "compute.h"
#include "range.h"

#include <setjmp.h>

#include <cmocka.h>

#define ROUNDS 3000

static uint64_t seed = 12345;

static uint64_t random_word(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/** Numbers near the ends of types more often than others. */
static uint64_t random_number(void)
{
	static const uint64_t ends[] = {
		0,          1,          INT32_MAX,  UINT32_MAX,    INT64_MAX, 1ULL << 63,
		1ULL << 31, 1ULL << 32, UINT64_MAX, -(1ULL << 31), 64,        0xff};
	const uint64_t word = random_word();

	switch (word % 4) {
	case 0:
		return ends[word / 4 % OPVM_LENGTH(ends)] + word / 64 % 5 - 2;
	case 1:
		return random_word() >> word / 4 % 64;
	case 2:
		return (uint64_t)((int64_t)random_word() >> word / 4 % 64);
	default:
		return word / 4 % 100;
	}
}

/** The two numbers' range: the join of both, with or without some in between. */
static struct opvm_range random_range(uint64_t *member)
{
	const uint64_t a = random_number();
	const uint64_t b = random_word() % 3 == 0 ? a + random_word() % 64 : random_number();
	const struct opvm_range first = opvm_range_constant(a), second = opvm_range_constant(b);
	struct opvm_range range = random_word() % 5 == 0 ? first : opvm_range_join(&first, &second);

	*member = a;
	if (random_word() % 2 == 0 && opvm_range_between(a < b ? a : b, a < b ? b : a).umin <= a) {
		range = opvm_range_between(a < b ? a : b, a < b ? b : a);
		*member = a < b && b > a + 1 ? a + random_word() % (b - a) : a;
	}
	assert_true(opvm_range_settle(&range));
	return range;
}

static bool contains(const struct opvm_range *range, uint64_t value)
{
	const struct opvm_range constant = opvm_range_constant(value);

	return opvm_range_includes(range, &constant);
}

static void operations_keep_members(void **unused)
{
	(void)unused;
	for (int round = 0; round < ROUNDS; round++)
		for (unsigned operation = OPVM_DO_ADD; operation <= OPVM_DO_SWAP64; operation++)
			for (unsigned bits = 32; bits <= 64; bits += 32) {
				uint64_t a, b;
				const struct opvm_range ra = random_range(&a),
							rb = random_range(&b);
				const struct opvm_range result =
					opvm_range_compute((enum opvm_do)operation, bits, &ra, &rb);
				const uint64_t value =
					opvm_compute((enum opvm_do)operation, bits, a, b);

				if (!contains(&result, value))
					fail_msg("operation %u of %u bits: 0x%llx and 0x%llx give "
						 "0x%llx, which is not in the range",
						 operation, bits, (unsigned long long)a,
						 (unsigned long long)b, (unsigned long long)value);
			}
}

static void conditions_keep_members(void **unused)
{
	(void)unused;
	for (int round = 0; round < 4 * ROUNDS; round++)
		for (unsigned condition = OPVM_DO_JEQ; condition <= OPVM_DO_JCLEAR; condition++)
			for (unsigned bits = 32; bits <= 64; bits += 32) {
				uint64_t a, b;
				struct opvm_range ra = random_range(&a), rb = random_range(&b);

				if (random_word() % 4 == 0) {
					rb = ra;
					b = a;
				}
				if (!opvm_compare((enum opvm_do)condition, bits, a, b))
					continue;
				assert_true(
					opvm_range_assume((enum opvm_do)condition, bits, &ra, &rb));
				assert_true(contains(&ra, a));
				assert_true(contains(&rb, b));
			}
}

static void negations_are_what_is_left(void **unused)
{
	(void)unused;
	for (int round = 0; round < ROUNDS; round++)
		for (unsigned condition = OPVM_DO_JEQ; condition <= OPVM_DO_JCLEAR; condition++) {
			const uint64_t a = random_number(), b = random_number();

			assert_int_equal(opvm_holds((enum opvm_do)condition, a, b),
					 !opvm_holds(opvm_negated((enum opvm_do)condition), a, b));
			if (condition < OPVM_DO_JSET)
				assert_int_equal(
					opvm_holds((enum opvm_do)condition, a, b),
					opvm_holds(opvm_mirrored((enum opvm_do)condition), b, a));
		}
}

static void joins_and_widenings_include_both(void **unused)
{
	const uint64_t thresholds[] = {0, 1, 64, 1000, INT32_MAX, UINT64_MAX};

	(void)unused;
	for (int round = 0; round < 20 * ROUNDS; round++) {
		uint64_t a, b;
		const struct opvm_range ra = random_range(&a), rb = random_range(&b);
		const struct opvm_range join = opvm_range_join(&ra, &rb);
		const struct opvm_range wide =
			opvm_range_widen(&ra, &join, thresholds, OPVM_LENGTH(thresholds));

		assert_true(opvm_range_includes(&join, &ra) && opvm_range_includes(&join, &rb));
		assert_true(opvm_range_includes(&wide, &join));
		assert_true(contains(&wide, a) && contains(&wide, b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operations_keep_members),
		cmocka_unit_test(conditions_keep_members),
		cmocka_unit_test(negations_are_what_is_left),
		cmocka_unit_test(joins_and_widenings_include_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
