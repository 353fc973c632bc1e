/* SPDX-License-Identifier: MIT */
/*
 * Fixed structures: each kind of field is read from and written to bytes made by hand, and each
 * rule refuses what breaks it.
 */
#include "shapes.h"

#include "check.h"

#define MOST 1000

static const unsigned char image[] = {
	0xed, 0x5e,                                     /* magic */
	0x12, 0x34,                                     /* other_order */
	0x01, 0x02, 0x03,                               /* three */
	0x01, 0x02, 0x03, 0x04, 0x05,                   /* five */
	0x06, 0x05, 0x04, 0x03, 0x02, 0x01,             /* six */
	0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,       /* seven */
	0xfe, 0xff, 0xff,                               /* below_zero */
	0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, /* all */
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb, /* all_signed */
	0x07,                                           /* bounded */
	0xe8, 0x03, 0x00, 0x00,                         /* by_parameter */
	0x80,                                           /* what */
	0x12, 0x34,                                     /* may_be_any */
	0x31, 0xff,                                     /* cleared */
	0x81,                                           /* refused */
	0x02,                                           /* number */
	0x29, 0x00, 0x34, 0x12,                         /* low_first: 1, 20, 0, 0x1234 */
	0xaa, 0xad,                                     /* high_first: 0xa, 0x155, 5 */
	0xff, 0xff, 0xff, 0xfe,                         /* at_point */
	0x01, 0x00, 0x00, 0x02, 0x03, 0x00, 0x00, 0x04, /* corners */
	1,    0,    0,    0,    2,    0,    0,    0,    3, 0, 0, 0, /* numbers */
	0xff, 0xff, 0xff, 0x00, 0x00, 0x01,                         /* odd_numbers */
	0x01, 0x02,                                                 /* kinds */
	'r',  'a',  'w',  0,    1,                                  /* raw */
	'B',  'D',  'U',  'S',  0,    0,                            /* fixed_bytes */
	'z',  'e',  'r',  'o',  0,    0,    0,    0,                /* zeroed */
	'e',  0,    'x',  'y',                                      /* ended */
	's',  'p',  ' ',  'c',  ' ',  ' ',                          /* spaced */
	'a',  0,    'c',                                            /* whole */
	'a',  'b',  0,    0,                                        /* constant */
	'w',  0,    0xac, 0x20, 0x3d, 0xd8, 0x00, 0xde, 0, 0, /* wide: w, euro sign, U+1F600 */
	0,    'b',  0,    0,    0xff, 0xff,                   /* wide_big */
	0,    0,                                              /* pad */
	0x99,                                                 /* pad keep */
	0,    0,    0,                                        /* align */
	0x44, 0x33, 0x22, 0x11,                               /* part_low */
	0x55,                                                 /* part_high */
	0x06,                                                 /* part_bits */
};

static struct shapes_record *copy_of_image(void)
{
	return shapes_record_from(odd_copy(image, sizeof(image)));
}

static void release(struct shapes_record *r)
{
	odd_free((unsigned char *)r);
}

static void test_getters_give_what_bytes_say(void)
{
	struct shapes_record *r = copy_of_image();

	CHECK_EQUAL(sizeof(image), SHAPES_RECORD_SIZE);
	CHECK_EQUAL(shapes_record_check(r, sizeof(*r), MOST, NULL), 0);
	CHECK_EQUAL(shapes_record_magic(r), 0x5eed);
	CHECK_EQUAL(shapes_record_other_order(r), 0x1234);
	CHECK_EQUAL(shapes_record_three(r), 0x030201);
	CHECK_EQUAL(shapes_record_five(r), 0x0102030405);
	CHECK_EQUAL(shapes_record_six(r), 0x010203040506);
	CHECK_EQUAL(shapes_record_seven(r), 0x01020304050607);
	CHECK(shapes_record_below_zero(r) == -2);
	CHECK_EQUAL(shapes_record_all(r), 0x0123456789abcdef);
	CHECK(shapes_record_all_signed(r) == -5);
	CHECK_EQUAL(shapes_record_what(r), SHAPES_KIND_LINK);
	CHECK_EQUAL(shapes_record_may_be_any(r), 0x1234);
	CHECK_EQUAL(shapes_record_cleared(r), SHAPES_TIDY_BOTH);
	CHECK_EQUAL(shapes_record_refused(r), SHAPES_STRICT_X | SHAPES_STRICT_Y);
	release(r);
}

static void test_bits_lie_where_their_order_says(void)
{
	struct shapes_record *r = copy_of_image();

	CHECK_EQUAL(shapes_record_l1(r), 1);
	CHECK_EQUAL(shapes_record_l5(r), 20);
	CHECK_EQUAL(shapes_record_l16(r), 0x1234);
	CHECK_EQUAL(shapes_record_h4(r), 0xa);
	CHECK_EQUAL(shapes_record_h9(r), 0x155);
	shapes_record_set_h9(r, 0x3ff);
	CHECK_EQUAL(shapes_record_h4(r), 0xa);
	CHECK_EQUAL(shapes_record_h9(r), 0x1ff);
	CHECK_EQUAL(r->high_first.bytes[1] & 7, 5);
	shapes_record_set_l5(r, 0x15);
	CHECK_EQUAL(shapes_record_l1(r), 1);
	CHECK_EQUAL(shapes_record_l16(r), 0x1234);
	release(r);
}

static void test_arrays_end_where_they_end(void)
{
	struct shapes_record *r = copy_of_image();

	CHECK_EQUAL(shapes_record_numbers_count(r), 3);
	CHECK_EQUAL(shapes_record_numbers(r, 2), 3);
	CHECK_EQUAL(shapes_record_numbers(r, 3), 0);
	CHECK_EQUAL(shapes_record_numbers(r, SIZE_MAX), 0);
	shapes_record_set_numbers(r, 3, 0xffffffff);
	CHECK(shapes_record_odd_numbers(r, 0) == -1);
	CHECK(shapes_record_odd_numbers(r, 1) == 1);
	CHECK(shapes_record_corners(r, 2) == NULL);
	CHECK(shapes_point_x(shapes_record_corners(r, 1)) == 3);
	CHECK(shapes_point_y(shapes_record_corners(r, 1)) == 4);
	CHECK(shapes_point_x(shapes_record_at_point(r)) == -1);
	CHECK(shapes_point_y(shapes_record_at_point(r)) == -2);
	shapes_point_set_y(shapes_record_edit_corners(r, 0), -3);
	CHECK(shapes_point_y(shapes_record_corners(r, 0)) == -3);
	release(r);
}

static bool says(struct wire_text text, const char *wanted)
{
	return wire_text_equal(text, (struct wire_text){wanted, strlen(wanted)});
}

static void test_text_comes_without_padding(void)
{
	struct shapes_record *r = copy_of_image();
	char utf8[16];

	CHECK(says(shapes_record_zeroed(r), "zero"));
	CHECK(says(shapes_record_ended(r), "e"));
	CHECK(says(shapes_record_spaced(r), "sp c"));
	CHECK_EQUAL(shapes_record_whole(r).length, 3);
	CHECK_EQUAL(shapes_record_raw(r).size, 5);
	CHECK_EQUAL(wire_utf16_to_utf8(shapes_record_wide(r), utf8, sizeof(utf8)), 8);
	CHECK(memcmp(utf8, "w\xe2\x82\xac\xf0\x9f\x98\x80", 8) == 0);
	CHECK_EQUAL(shapes_record_wide_big(r).units, 1);
	release(r);
}

static void test_setters_of_text_refuse_what_does_not_fit(void)
{
	struct shapes_record *r = copy_of_image();

	CHECK_EQUAL(shapes_record_set_zeroed(r, TEXT("12345678")), 0);
	CHECK(says(shapes_record_zeroed(r), "12345678"));
	CHECK_EQUAL(shapes_record_set_zeroed(r, TEXT("123456789")), -EINVAL);
	CHECK_EQUAL(shapes_record_set_zeroed(r, TEXT("a\0b")), -EINVAL);
	CHECK_EQUAL(shapes_record_set_ended(r, TEXT("1234")), -EINVAL);
	CHECK_EQUAL(shapes_record_set_whole(r, TEXT("12")), -EINVAL);
	CHECK_EQUAL(shapes_record_set_spaced(r, TEXT("x")), 0);
	CHECK(memcmp(r->spaced, "x     ", 6) == 0);
	CHECK_EQUAL(shapes_record_set_raw(r, wire_bytes("12345", 4)), -EINVAL);
	CHECK_EQUAL(shapes_record_set_wide(r, TEXT("\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
						   "a")),
		    0);
	CHECK_EQUAL(shapes_record_wide(r).units, 5);
	CHECK_EQUAL(shapes_record_set_wide(r, TEXT("123456")), -EINVAL);
	CHECK_EQUAL(shapes_record_set_wide(r, TEXT("\xff")), -EINVAL);
	CHECK_EQUAL(shapes_record_set_wide(r, TEXT("\xc0\x80")), -EINVAL);
	CHECK_EQUAL(shapes_record_set_wide(r, TEXT("\xed\xa0\x80")), -EINVAL);
	CHECK_EQUAL(shapes_record_set_wide(r, TEXT("\xe2\x82")), -EINVAL);
	CHECK_EQUAL(shapes_record_set_wide_big(r, TEXT("abc")), -EINVAL);
	release(r);
}

static void test_joined_parts_make_one_value(void)
{
	struct shapes_record *r = copy_of_image();

	CHECK_EQUAL(shapes_record_joined(r), 0x65511223344);
	shapes_record_set_joined(r, 0xfedcba98765);
	CHECK_EQUAL(shapes_record_part_low(r), 0xcba98765);
	CHECK_EQUAL(shapes_record_part_high(r), 0xed);
	CHECK_EQUAL(shapes_record_part_bits(r), 0xf);
	release(r);
}

static void test_setters_undo_getters(void)
{
	struct shapes_record *r = copy_of_image(), other;

	memset(&other, 0, sizeof(other));
	shapes_record_set_three(&other, 0xff030201);
	CHECK_EQUAL(shapes_record_three(&other), 0x030201);
	shapes_record_set_five(&other, shapes_record_five(r));
	shapes_record_set_six(&other, shapes_record_six(r));
	shapes_record_set_seven(&other, shapes_record_seven(r));
	shapes_record_set_below_zero(&other, shapes_record_below_zero(r));
	shapes_record_set_all(&other, shapes_record_all(r));
	shapes_record_set_all_signed(&other, shapes_record_all_signed(r));
	CHECK(memcmp((unsigned char *)&other + 7, (unsigned char *)r + 7, 37) == 0);
	shapes_record_set_cleared(&other, 0xffff);
	CHECK_EQUAL(other.cleared.bytes[0] | other.cleared.bytes[1] << 8, 0x11);
	release(r);
}

static void test_init_sets_constants_and_is_nearly_valid(void)
{
	struct shapes_record r;
	struct wire_fault fault;

	shapes_record_init(&r);
	CHECK_EQUAL(shapes_record_magic(&r), 0x5eed);
	CHECK_EQUAL(shapes_record_h4(&r), 0xa);
	CHECK(memcmp(r.fixed_bytes, "BDUS\0\0", 6) == 0);
	CHECK(memcmp(r.spaced, "      ", 6) == 0);
	CHECK_EQUAL(shapes_record_check(&r, sizeof(r), MOST, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "bounded: at byte 44: must lie in one of its ranges: 0, allowed 3");
}

/* Each byte that breaks a rule, the error, and what is said about it. */
static const struct {
	size_t at;
	unsigned char value;
	int error;
	const char *text;
} broken[] = {
	{0, 0, EBADMSG, "magic: at byte 0: must be its constant: 24064, allowed 24301"},
	{6, 0x80, EBADMSG, "assert: at byte 158: three must stay small: 0, allowed 1"},
	{44, 4, EBADMSG, "bounded: at byte 44: must lie in one of its ranges: 4, allowed 3"},
	{44, 0x30, EBADMSG, "bounded: at byte 44: must lie in one of its ranges: 48, allowed 3"},
	{45, 0xe9, EBADMSG, "by_parameter: at byte 45: must lie in its range: 1001, allowed 1000"},
	{49, 3, EPROTONOSUPPORT, "what: at byte 49: is an unknown value: 3, allowed 0"},
	{54, 0x82, EPROTONOSUPPORT, "refused: at byte 54: has unknown flags: 130, allowed 129"},
	{55, 9, EPROTONOSUPPORT, "number: at byte 55: is an unknown value: 9, allowed 0"},
	{56, 0x2b, EBADMSG, "l5: at byte 56: must lie in its range: 21, allowed 20"},
	{56, 0x69, EBADMSG, "pad: at byte 56: bits without a name must be zero: 1, allowed 0"},
	{60, 0xba, EBADMSG, "h4: at byte 60: must be its constant: 11, allowed 10"},
	{93, 0, EPROTONOSUPPORT, "kinds: at byte 93: is an unknown value: 0, allowed 0"},
	{103, 1, EBADMSG, "fixed_bytes: at byte 103: has a wrong byte: 1, allowed 0"},
	{110, 1, EBADMSG, "zeroed: at byte 110: must be zero after its end: 1, allowed 0"},
	{114, 1, EBADMSG, "ended: at byte 113: has no zero byte at its end: 4, allowed 4"},
	{128, 1, EBADMSG, "constant: at byte 128: has a wrong byte: 1, allowed 0"},
	{147, 1, EBADMSG, "pad: at byte 146: padding must be zero: 1, allowed 0"},
};

static void test_each_broken_rule_is_found_and_named(void)
{
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct shapes_record *r = copy_of_image();
		struct wire_fault fault;

		((unsigned char *)r)[broken[i].at] = broken[i].value;
		CHECK_EQUAL(shapes_record_check(r, sizeof(*r), MOST, &fault), -broken[i].error);
		CHECK_FAULT(&fault, broken[i].text);
		CHECK_EQUAL(shapes_record_check(r, sizeof(*r), MOST, NULL), -broken[i].error);
		release(r);
	}
}

static void test_truncated_data_names_the_field(void)
{
	for (size_t size = 0; size < sizeof(image); size++) {
		unsigned char *copy = odd_copy(image, size);
		struct wire_fault fault;

		CHECK_EQUAL(shapes_record_check(copy, size, MOST, &fault), -ENODATA);
		if (size == 5)
			CHECK_FAULT(&fault,
				    "three: at byte 5: the data ends before its end: 5, allowed 7");
		odd_free(copy);
	}
}

static void test_equality_sees_values_and_kept_padding_only(void)
{
	struct shapes_record *a = copy_of_image(), *b = copy_of_image();

	CHECK(shapes_record_equal(a, b, MOST));
	((unsigned char *)b)[150] ^= 1; /* align */
	CHECK(shapes_record_equal(a, b, MOST));
	((unsigned char *)b)[53] ^= 1; /* an unknown flag that is cleared */
	CHECK(shapes_record_equal(a, b, MOST));
	((unsigned char *)b)[148] ^= 1; /* pad keep */
	CHECK(!shapes_record_equal(a, b, MOST));
	shapes_record_copy(b, a);
	CHECK(memcmp(a, b, sizeof(*a)) == 0);
	shapes_point_set_x(shapes_record_edit_corners(b, 1), 9);
	CHECK(!shapes_record_equal(a, b, MOST));
	release(a);
	release(b);
}

static void test_when_keeps_places_but_not_rules(void)
{
	struct shapes_conditions s;
	struct wire_fault fault;

	memset(&s, 0, sizeof(s));
	shapes_conditions_set_selector(&s, 77);
	CHECK_EQUAL(sizeof(s), 18);
	CHECK_EQUAL(shapes_conditions_check(&s, sizeof(s), false, NULL), 0);
	CHECK(!shapes_conditions_has_first(&s, true));
	shapes_conditions_set_features(&s, 3);
	CHECK(shapes_conditions_has_first(&s, true));
	CHECK(shapes_conditions_has_second(&s, true));
	CHECK(!shapes_conditions_has_second(&s, false));
	CHECK_EQUAL(shapes_conditions_check(&s, sizeof(s), true, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "first: at byte 1: must lie in its range: 0, allowed 6");
	shapes_conditions_set_first(&s, 5);
	CHECK_EQUAL(shapes_conditions_check(&s, sizeof(s), false, NULL), 0);
	CHECK_EQUAL(shapes_conditions_check(&s, sizeof(s), true, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "second: at byte 3: must be its constant: 0, allowed 7");
}

static void test_absent_parts_of_joins_count_as_zero(void)
{
	struct shapes_conditions s;

	memset(&s, 0, sizeof(s));
	shapes_conditions_set_low(&s, 0x1234);
	shapes_conditions_set_high(&s, 0x5678);
	CHECK_EQUAL(shapes_conditions_both(&s), 0x1234);
	shapes_conditions_set_features(&s, 1);
	CHECK_EQUAL(shapes_conditions_both(&s), 0x56781234);
}

static void test_unions_follow_their_selector(void)
{
	struct shapes_conditions s;
	struct wire_fault fault;

	memset(&s, 0, sizeof(s));
	shapes_conditions_set_selector(&s, 1);
	CHECK(shapes_conditions_has_a(&s, false) && !shapes_conditions_has_p(&s, false));
	CHECK_EQUAL(shapes_conditions_check(&s, sizeof(s), false, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "a: at byte 6: must lie in its range: 0, allowed 9");
	shapes_conditions_set_a(&s, 9);
	CHECK_EQUAL(shapes_conditions_check(&s, sizeof(s), false, NULL), 0);
	shapes_conditions_set_selector(&s, 9);
	CHECK(shapes_conditions_has_p(&s, false) && !shapes_conditions_has_other(&s, false));
	CHECK_EQUAL(shapes_conditions_check(&s, sizeof(s), false, NULL), 0);
	shapes_conditions_set_selector(&s, 5);
	CHECK_EQUAL(shapes_conditions_check(&s, sizeof(s), false, &fault), -EPROTONOSUPPORT);
	CHECK_FAULT(&fault, "body: at byte 6: is refused: 5, allowed 0");
	shapes_conditions_set_selector(&s, 0);
	CHECK(shapes_conditions_has_other(&s, false));
	CHECK_EQUAL(shapes_conditions_other(&s).size, 8);
}

static void test_stated_places_are_kept(void)
{
	CHECK_EQUAL(offsetof(struct shapes_places, later), 16);
	CHECK_EQUAL(offsetof(struct shapes_places, second), 4);
	CHECK_EQUAL(offsetof(struct shapes_places, last), 24);
	CHECK_EQUAL(sizeof(struct shapes_places), 32);
	CHECK_EQUAL(SHAPES_ROOM, 8);
}

int main(void)
{
	RUN(test_getters_give_what_bytes_say);
	RUN(test_bits_lie_where_their_order_says);
	RUN(test_arrays_end_where_they_end);
	RUN(test_text_comes_without_padding);
	RUN(test_setters_of_text_refuse_what_does_not_fit);
	RUN(test_joined_parts_make_one_value);
	RUN(test_setters_undo_getters);
	RUN(test_init_sets_constants_and_is_nearly_valid);
	RUN(test_each_broken_rule_is_found_and_named);
	RUN(test_truncated_data_names_the_field);
	RUN(test_equality_sees_values_and_kept_padding_only);
	RUN(test_when_keeps_places_but_not_rules);
	RUN(test_absent_parts_of_joins_count_as_zero);
	RUN(test_unions_follow_their_selector);
	RUN(test_stated_places_are_kept);
	return 0;
}
