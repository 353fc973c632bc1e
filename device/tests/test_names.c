/* SPDX-License-Identifier: MIT */
/*
 * Names for people and for JSON: every number has one, no two share one, and other numbers are
 * safe.
 */
#include <bdus/manage.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *op_name(unsigned number)
{
	return bdus_op_name(number);
}

static const char *feature_name(unsigned number)
{
	return bdus_feature_name((enum bdus_feature)number);
}

static const char *state_name(unsigned number)
{
	return bdus_state_name((enum bdus_device_state)number);
}

static void assert_distinct(const char *(*name)(unsigned), unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_non_null(name(i));
		assert_string_not_equal(name(i), "unknown");
		assert_string_not_equal(name(i), "");
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(name(i), name(j));
	}
	assert_string_equal(name(count), "unknown");
	assert_string_equal(name(UINT32_MAX), "unknown");
}

static void every_number_has_a_name_of_its_own(void **state)
{
	(void)state;
	assert_distinct(op_name, BDUS_OP_COUNT);
	assert_distinct(feature_name, BDUS_FEATURE_COUNT);
	assert_distinct(state_name, BDUS_STATE_RECOVERING + 1);
}

static void names_of_features_are_words_for_json(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BDUS_FEATURE_COUNT; i++) {
		const char *const name = feature_name(i);

		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_has_a_name_of_its_own),
		cmocka_unit_test(names_of_features_are_words_for_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
