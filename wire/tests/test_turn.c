/* SPDX-License-Identifier: MIT */
/*
 * Formats whose byte order the image decides: the same values in both orders read, print and are
 * refused alike.
 */
#include "turn.h"

#include "check.h"

static void fill(struct turn_super *s, enum wire_order order)
{
	turn_super_init(s, order);
	turn_super_set_before(s, order, 0);
	turn_super_set_modes(s, order, TURN_MODE_A | TURN_MODE_B);
	turn_super_set_odd(s, order, 0x010203);
	turn_super_set_one(s, order, 9);
	turn_super_set_low(s, order, 5);
	turn_super_set_high(s, order, 0x1234567);
	turn_inner_set_value(turn_super_edit_nested(s), order, 0x11223344);
	turn_inner_set_always_big(turn_super_edit_nested(s), order, 0x0102);
	turn_inner_set_negative(turn_super_edit_list(s, 1), order, -7);
	turn_super_set_numbers(s, 2, order, 0xfffe);
	CHECK_EQUAL(turn_super_set_name(s, order, TEXT("ab")), 0);
	turn_super_set_whole(s, order, 0x1122334455667788);
	CHECK_EQUAL(turn_super_seal(s), 0);
}

static const enum wire_order orders[] = {WIRE_LITTLE, WIRE_BIG};

static void test_values_are_the_same_in_both_orders(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct turn_super s;
		const enum wire_order o = orders[i];

		fill(&s, o);
		CHECK_EQUAL(turn_super_check(&s, sizeof(s), NULL), 0);
		CHECK_EQUAL(turn_super_order(&s), o);
		CHECK_EQUAL(s.magic.bytes[0], o == WIRE_BIG ? 0x19 : 0x19);
		CHECK_EQUAL(s.magic.bytes[1], o == WIRE_BIG ? 0x54 : 0x01);
		CHECK_EQUAL(turn_super_modes(&s, o), 0x8001);
		CHECK_EQUAL(s.modes.bytes[0], o == WIRE_BIG ? 0x80 : 0x01);
		CHECK_EQUAL(turn_super_odd(&s, o), 0x010203);
		CHECK_EQUAL(s.odd.bytes[0], o == WIRE_BIG ? 1 : 3);
		CHECK_EQUAL(turn_super_low(&s, o), 5);
		CHECK_EQUAL(turn_super_high(&s, o), 0x1234567);
		CHECK_EQUAL(turn_inner_value(turn_super_nested(&s), o), 0x11223344);
		CHECK_EQUAL(s.nested.always_big.bytes[0], 1);
		CHECK(turn_inner_negative(turn_super_list(&s, 1), o) == -7);
		CHECK_EQUAL(turn_super_numbers(&s, 2, o), 0xfffe);
		CHECK_EQUAL(turn_super_name(&s, o).units, 2);
		CHECK_EQUAL(turn_super_whole(&s, o), 0x1122334455667788);
	}
}

static void test_neither_order_is_a_fault_of_the_magic(void)
{
	struct turn_super s;
	struct wire_fault fault;

	fill(&s, WIRE_BIG);
	s.magic.bytes[2] ^= 1;
	CHECK_EQUAL(turn_super_check(&s, sizeof(s), &fault), -EBADMSG);
	CHECK(strcmp(fault.steps[0].name, "magic") == 0);
}

static void test_checksums_and_conditions_follow_the_order(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct turn_super s;
		struct wire_fault fault;

		fill(&s, orders[i]);
		turn_super_set_before(&s, orders[i], 1);
		CHECK_EQUAL(turn_super_check(&s, sizeof(s), &fault), -EBADMSG);
		CHECK(strcmp(fault.steps[0].name, "sometimes") == 0);
		turn_super_set_sometimes(&s, orders[i], 3);
		CHECK_EQUAL(turn_super_check(&s, sizeof(s), &fault), -EBADMSG);
		CHECK(strcmp(fault.steps[0].name, "sum") == 0);
		CHECK_EQUAL(turn_super_seal(&s), 0);
		CHECK_EQUAL(turn_super_check(&s, sizeof(s), NULL), 0);
		CHECK(turn_super_has_sometimes(&s, orders[i]));
	}
}

/* ---- dynamic ---- */

static const unsigned char little[] = {0x54, 0x19, 1, 0, 2, 0, 1, 0, 0, 0, 0, 2, 3, 0, 4, 0,
				       0,    0,    0, 5, 6, 0, 1, 0, 9, 0, 2, 0, 7, 0, 8, 0};
static const unsigned char big[] = {0, 1, 0x19, 0x54, 0, 2, 0, 0, 0, 1, 0, 2, 0, 3, 0, 0,
				    0, 4, 0,    5,    0, 6, 0, 1, 0, 9, 0, 2, 0, 7, 0, 8};

struct printed {
	struct wire_sink sink;
	char text[2048];
	size_t length;
};

static void keep(struct wire_sink *sink, const char *text, size_t length)
{
	struct printed *p = (struct printed *)(void *)sink;

	CHECK(p->length + length < sizeof(p->text));
	memcpy(p->text + p->length, text, length);
	p->length += length;
	p->text[p->length] = '\0';
}

static void test_both_orders_print_the_same(void)
{
	struct printed a = {.sink = {keep}}, b = {.sink = {keep}};

	CHECK_EQUAL(turn_image_format.check(little, sizeof(little), (const uint64_t[]){4}, NULL),
		    0);
	CHECK_EQUAL(turn_image_format.check(big, sizeof(big), (const uint64_t[]){4}, NULL), 0);
	CHECK_EQUAL(turn_image_format.check(big, sizeof(big), (const uint64_t[]){1}, NULL),
		    -EBADMSG);
	CHECK_EQUAL(wire_print_json(&turn_image_format, little, sizeof(little), NULL, &a.sink), 0);
	CHECK_EQUAL(wire_print_json(&turn_image_format, big, sizeof(big), NULL, &b.sink), 0);
	CHECK(strcmp(a.text, b.text) == 0);
	CHECK(strstr(a.text, "\"values\": [7, 8]") != NULL);
}

static void test_edits_keep_the_order(void)
{
	unsigned char *copy = odd_copy(big, sizeof(big));

	CHECK_EQUAL(wire_edit(&turn_image_format, copy, sizeof(big), NULL, "pieces[1].values[0]",
			      "0x1234", NULL),
		    0);
	CHECK_EQUAL(copy[28], 0x12);
	odd_free(copy);
}

/* Every byte changed in every way that a bit can: both orders agree on whether that is valid. */
static void test_both_orders_refuse_the_same(void)
{
	static const unsigned char place_in_big[] = {3,  2,  1,  0,  5,  4,  9,  8,  7,  6,  10,
						     11, 13, 12, 17, 16, 15, 14, 18, 19, 21, 20,
						     23, 22, 25, 24, 27, 26, 29, 28, 31, 30};

	for (size_t i = 0; i < sizeof(little) * 8; i++) {
		unsigned char a[sizeof(little)], b[sizeof(big)];
		struct wire_fault x, y;

		memcpy(a, little, sizeof(a));
		memcpy(b, big, sizeof(b));
		a[i / 8] ^= (unsigned char)(1U << i % 8);
		b[place_in_big[i / 8]] ^= (unsigned char)(1U << i % 8);
		memset(&x, 0, sizeof(x));
		memset(&y, 0, sizeof(y));
		CHECK_EQUAL(turn_image_format.check(a, sizeof(a), (const uint64_t[]){4}, &x),
			    turn_image_format.check(b, sizeof(b), (const uint64_t[]){4}, &y));
		CHECK(x.error == y.error && x.offset == y.offset && x.rule == y.rule);
	}
}

int main(void)
{
	RUN(test_values_are_the_same_in_both_orders);
	RUN(test_neither_order_is_a_fault_of_the_magic);
	RUN(test_checksums_and_conditions_follow_the_order);
	RUN(test_both_orders_print_the_same);
	RUN(test_edits_keep_the_order);
	RUN(test_both_orders_refuse_the_same);
	return 0;
}
