/* SPDX-License-Identifier: MIT */
/*
 * Checksums give published values, every covered bit matters, holes do not, and sealing sets them.
 */
#include "sums.h"

#include "check.h"

/* A digest that depends on every byte and its place. */
void sums_twist(unsigned char *digest, const struct wire_bytes *pieces, size_t count)
{
	uint32_t state = 1;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < pieces[i].size; k++)
			state = (state ^ pieces[i].data[k]) * 16777619U;
	wire_store_be32(digest, state);
}

static void test_check_values_of_the_algorithms(void)
{
	struct sums_known s;

	sums_known_init(&s);
	memcpy(s.text, "123456789", 9);
	CHECK_EQUAL(sums_known_seal(&s), 0);
	CHECK_EQUAL(sums_known_check(&s, sizeof(s), NULL), 0);
	CHECK_EQUAL(sums_known_c32(&s), 0xcbf43926);
	CHECK_EQUAL(sums_known_c32r(&s), 0xcbf43926 ^ 0xffffffff);
	CHECK_EQUAL(sums_known_c32c(&s), 0xe3069283);
	CHECK_EQUAL(sums_known_c32cr(&s), 0xe3069283 ^ 0xffffffff);
	CHECK_EQUAL(sums_known_c16(&s), 0x4b37);
	CHECK_EQUAL(sums_known_s8(&s), 0xdd);
	CHECK_EQUAL(sums_known_x8(&s), 0x31);
	CHECK_EQUAL(sums_known_s16l(&s), (0x3231 + 0x3433 + 0x3635 + 0x3837 + 0x39) & 0xffff);
	CHECK_EQUAL(sums_known_s16b(&s), (0x3132 + 0x3334 + 0x3536 + 0x3738 + 0x3900) & 0xffff);
	CHECK_EQUAL(sums_known_s32l(&s), 0x34333231 + 0x38373635 + 0x39);
	CHECK_EQUAL(sums_known_s32b(&s), (uint32_t)(0x31323334U + 0x35363738U + 0x39000000U));
	CHECK_EQUAL(sums_known_x16l(&s), 0x3231 ^ 0x3433 ^ 0x3635 ^ 0x3837 ^ 0x39);
	CHECK_EQUAL(sums_known_x16b(&s), 0x3132 ^ 0x3334 ^ 0x3536 ^ 0x3738 ^ 0x3900);
	CHECK_EQUAL(sums_known_x32l(&s), 0x34333231 ^ 0x38373635 ^ 0x39);
	CHECK_EQUAL(sums_known_x32b(&s), 0x31323334 ^ 0x35363738 ^ 0x39000000);
}

static void test_long_data_and_pieces_give_the_same(void)
{
	unsigned char data[200];
	uint32_t slow = 0xffffffff;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7 + 3);
	for (size_t i = 0; i < sizeof(data); i++) {
		slow ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			slow = slow >> 1 ^ ((slow & 1) != 0 ? 0x82f63b78 : 0);
	}
	for (size_t cut = 0; cut <= sizeof(data); cut++)
		CHECK_EQUAL(wire_crc32c_raw(wire_crc32c_raw(0xffffffff, data, cut), data + cut,
					    sizeof(data) - cut),
			    slow);
	CHECK_EQUAL(wire_crc32c(wire_crc32c(0, data, 13), data + 13, sizeof(data) - 13), ~slow);
}

/* Every range over every two holes, against bytes zeroed one by one. */
static void check_holes(const unsigned char *data, unsigned a, unsigned b, unsigned from,
			unsigned to)
{
	const struct wire_hole holes[] = {{a, 2}, {b, 3}};
	struct wire_bytes pieces[5];
	unsigned char zeroed[12];
	const size_t count = wire_sum_range(pieces, data, from, to, holes, 2);

	memcpy(zeroed, data, sizeof(zeroed));
	memset(zeroed + a, 0, 2);
	memset(zeroed + b, 0, b + 3 > 12 ? 12 - b : 3);
	CHECK(count <= 5);
	CHECK_EQUAL(wire_sum(wire_crc32, 0, pieces, count),
		    wire_crc32(0, zeroed + from, to - from));
}

static void test_holes_count_as_zero_wherever_they_lie(void)
{
	static const unsigned char data[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

	for (unsigned a = 0; a < 10; a++)
		for (unsigned b = 0; b < 10; b++)
			for (unsigned from = 0; from <= 12; from++)
				for (unsigned to = from; to <= 12; to++)
					check_holes(data, a, b, from, to);
}

static const unsigned char uuid[] = "0123456789abcdef";

/* Every bit that is covered, and no other, makes a difference. */
static void test_every_covered_bit_matters(void)
{
	for (unsigned more = 0; more <= 6; more += 2) {
		unsigned char data[14] = {1, 2, 3, 4, 0, 0,  (unsigned char)more,
					  5, 6, 7, 8, 9, 10, 11};
		const struct wire_bytes id = wire_bytes(uuid, 16);
		struct sums_split_view v;
		struct wire_fault fault;

		CHECK_EQUAL(sums_split_open(&v, data, sizeof(data), 6, 77, id, true, NULL), 0);
		CHECK_EQUAL(sums_split_seal(&v), 0);
		CHECK_EQUAL(sums_split_check(&v, data, sizeof(data), 6, 77, id, true, NULL), 0);
		CHECK_EQUAL(sums_split_check(&v, data, sizeof(data), 6, 78, id, true, &fault),
			    -EBADMSG);
		CHECK(strcmp(fault.steps[0].name, "sum_lo") == 0);
		CHECK_EQUAL(sums_split_check(&v, data, sizeof(data), 6, 78, id, false, NULL), 0);
		for (size_t bit = 0; bit < 14 * 8; bit++) {
			data[bit / 8] ^= (unsigned char)(1U << bit % 8);
			CHECK(sums_split_check(&v, data, sizeof(data), 6, 77, id, true, NULL) < 0);
			data[bit / 8] ^= (unsigned char)(1U << bit % 8);
		}
	}
}

static void test_the_version_chooses_the_algorithm(void)
{
	struct sums_chosen s;

	sums_chosen_init(&s);
	sums_chosen_set_data(&s, 0x00020001);
	sums_chosen_set_version(&s, 1);
	CHECK_EQUAL(sums_chosen_seal(&s), 0);
	CHECK_EQUAL(sums_chosen_sum(&s), 3);
	CHECK_EQUAL(sums_chosen_check(&s, sizeof(s), NULL), 0);
	sums_chosen_set_version(&s, 2);
	CHECK_EQUAL(sums_chosen_check(&s, sizeof(s), NULL), -EBADMSG);
	CHECK_EQUAL(sums_chosen_seal(&s), 0);
	CHECK(sums_chosen_sum(&s) != 3);
	CHECK_EQUAL(sums_chosen_check(&s, sizeof(s), NULL), 0);
}

static void test_digests_of_the_program(void)
{
	const struct sums_digested_values values = {.data = wire_bytes("abc", 3)};
	unsigned char buffer[16];
	struct sums_digested_view v;

	CHECK_EQUAL(sums_digested_write(buffer, sizeof(buffer), &values, NULL), 10);
	CHECK_EQUAL(sums_digested_check(&v, buffer, 10, NULL), 0);
	CHECK(!wire_is_zero(buffer + 1, 4));
	CHECK(wire_is_zero(buffer + 5, 2));
	for (size_t bit = 8; bit < 10 * 8; bit++) {
		buffer[bit / 8] ^= (unsigned char)(1U << bit % 8);
		CHECK_EQUAL(sums_digested_check(&v, buffer, 10, NULL), -EBADMSG);
		buffer[bit / 8] ^= (unsigned char)(1U << bit % 8);
	}
}

static void test_ranges_from_the_data_are_checked(void)
{
	struct sums_ranged s;
	struct wire_fault fault;

	sums_ranged_init(&s);
	sums_ranged_set_end(&s, 8);
	CHECK_EQUAL(sums_ranged_seal(&s), 0);
	CHECK_EQUAL(sums_ranged_check(&s, sizeof(s), NULL), 0);
	sums_ranged_set_end(&s, 9);
	CHECK_EQUAL(sums_ranged_check(&s, sizeof(s), &fault), -EBADMSG);
	CHECK_FAULT(&fault, "sum: at byte 8: its checksum covers itself: 0, allowed 9");
	sums_ranged_set_end(&s, 13);
	CHECK_EQUAL(sums_ranged_check(&s, sizeof(s), &fault), -ERANGE);
	CHECK_EQUAL(sums_ranged_seal(&s), -ERANGE);
	sums_ranged_set_end(&s, 4);
	sums_ranged_set_start(&s, 5);
	CHECK_EQUAL(sums_ranged_check(&s, sizeof(s), NULL), -ERANGE);
}

static void test_seals_go_from_the_inside_out(void)
{
	unsigned char data[8 + 10 + 16 + 28 + 4] = {0};
	struct sums_nested_view v;
	struct wire_fault fault;

	data[0] = 1;
	data[8] = 3;
	data[18] = 2;
	data[26] = 1;
	CHECK_EQUAL(sums_nested_check(&v, data, sizeof(data), NULL), -EBADMSG);
	CHECK_EQUAL(sums_nested_open(&v, data, sizeof(data), NULL), 0);
	CHECK_EQUAL(sums_nested_seal(&v), 0);
	CHECK_EQUAL(sums_nested_check(&v, data, sizeof(data), NULL), 0);
	CHECK_EQUAL(wire_edit(&sums_nested_format, data, sizeof(data), NULL, "many[1].data", "5",
			      &fault),
		    0);
	CHECK_EQUAL(wire_edit(&sums_nested_format, data, sizeof(data), NULL, "splits[1].a", "5",
			      &fault),
		    0);
	CHECK_EQUAL(sums_nested_check(&v, data, sizeof(data), NULL), 0);
	data[34] ^= 1;
	CHECK_EQUAL(sums_nested_check(&v, data, sizeof(data), &fault), -EBADMSG);
	CHECK(strcmp(fault.steps[1].name, "splits") == 0 && fault.steps[1].index == 0);
}

int main(void)
{
	RUN(test_check_values_of_the_algorithms);
	RUN(test_long_data_and_pieces_give_the_same);
	RUN(test_holes_count_as_zero_wherever_they_lie);
	RUN(test_every_covered_bit_matters);
	RUN(test_the_version_chooses_the_algorithm);
	RUN(test_digests_of_the_program);
	RUN(test_ranges_from_the_data_are_checked);
	RUN(test_seals_go_from_the_inside_out);
	return 0;
}
