/* SPDX-License-Identifier: MIT */
/*
 * Dynamic structures: counts, sizes and places that the data states, valid, truncated, and hostile.
 */
#include "flow.h"

#include "check.h"

static bool says(struct wire_text text, const char *wanted)
{
	return wire_text_equal(text, (struct wire_text){wanted, strlen(wanted)});
}

static const unsigned char lists[] = {
	2,    0,   1,    0,   2,              /* numbers */
	0,    5,   0,    7,                   /* until_seven */
	'a',  'b', 0,                         /* name */
	8,    0,   0,    0,   9, 0, 0, 0, 10, /* by_size */
	1,    2,   'h',  'i',                 /* text */
	2,    4,   1,    2,   3, 4,           /* number */
	0x77, 1,   0xee,                      /* other */
	0,    0,                              /* end */
	1,    0,   0,    2,   3, 0, 0, 4,     /* points */
};

static void test_arrays_of_all_kinds_are_found(void)
{
	unsigned char *copy = odd_copy(lists, sizeof(lists));
	struct flow_lists_view v;
	struct wire_cursor cursor = {0};
	struct flow_tlv_view tlv;

	CHECK_EQUAL(flow_lists_check(&v, copy, sizeof(lists), NULL), 0);
	CHECK_EQUAL(v.length, sizeof(lists));
	CHECK_EQUAL(flow_lists_numbers_count(&v), 2);
	CHECK_EQUAL(flow_lists_numbers(&v, 1), 2);
	CHECK_EQUAL(flow_lists_numbers(&v, 2), 0);
	CHECK_EQUAL(flow_lists_until_seven_count(&v), 2);
	CHECK_EQUAL(flow_lists_until_seven(&v, 0), 5);
	CHECK(says(flow_lists_name(&v), "ab"));
	CHECK_EQUAL(flow_lists_by_size_count(&v), 2);
	CHECK_EQUAL(flow_lists_by_size(&v, 1), 10);
	CHECK_EQUAL(flow_lists_options_count(&v), 4);
	CHECK(flow_lists_options_next(&v, &cursor, &tlv) && says(flow_tlv_text(&tlv), "hi"));
	CHECK_EQUAL(flow_tlv_number(&tlv), 0);
	CHECK(flow_lists_options_next(&v, &cursor, &tlv) && flow_tlv_number(&tlv) == 0x01020304);
	CHECK(!flow_tlv_has_text(&tlv) && flow_tlv_text(&tlv).length == 0);
	CHECK(flow_lists_options_next(&v, &cursor, &tlv) && flow_tlv_other(&tlv).data[0] == 0xee);
	CHECK(flow_lists_options_next(&v, &cursor, &tlv));
	CHECK(!flow_lists_options_next(&v, &cursor, &tlv));
	CHECK_EQUAL(flow_lists_points_count(&v), 2);
	CHECK(shapes_point_y(flow_lists_points(&v, 1)) == 4);
	CHECK(flow_lists_points(&v, 2) == NULL);
	odd_free(copy);
}

static void test_setters_write_through_views(void)
{
	unsigned char *copy = odd_copy(lists, sizeof(lists));
	struct flow_lists_view v;

	CHECK_EQUAL(flow_lists_check(&v, copy, sizeof(lists), NULL), 0);
	flow_lists_set_numbers(&v, 1, 0x1234);
	flow_lists_set_numbers(&v, 2, 0xffff);
	CHECK_EQUAL(copy[3], 0x12);
	CHECK_EQUAL(copy[5], 0);
	CHECK_EQUAL(flow_lists_set_name(&v, TEXT("xy")), 0);
	CHECK_EQUAL(flow_lists_set_name(&v, TEXT("xyz")), -EINVAL);
	CHECK(says(flow_lists_name(&v), "xy"));
	shapes_point_set_x(flow_lists_edit_points(&v, 0), 0x0707);
	CHECK_EQUAL(copy[sizeof(lists) - 8], 7);
	odd_free(copy);
}

static void test_every_truncation_is_a_fault(void)
{
	for (size_t size = 0; size < sizeof(lists) - 8; size++) {
		unsigned char *copy = odd_copy(lists, size);
		struct flow_lists_view v;
		struct wire_fault fault;
		char text[200];

		CHECK(flow_lists_check(&v, copy, size, &fault) < 0);
		CHECK(wire_fault_text(&fault, text, sizeof(text)) < sizeof(text));
		odd_free(copy);
	}
}

static void test_a_fault_that_was_never_set_has_a_text(void)
{
	const struct wire_fault fault = {0};
	char text[200];

	CHECK(wire_fault_text(&fault, text, sizeof(text)) < sizeof(text));
	CHECK(strstr(text, "no fault") != NULL);
}

/* One byte of the lists, what it is set to, and the fault. */
static const struct {
	size_t at;
	unsigned char value;
	const char *text;
} hostile[] = {
	{0, 0xff, "numbers: at byte 1: goes past the end: 255, allowed 21"},
	{8, 8, "until_seven: at byte 13: has too many elements: 4, allowed 4"},
	{11, 'c', "points: at byte 26: does not end with an element: 18, allowed 4"},
	{12, 7, "by_size: at byte 13: does not end with an element: 7, allowed 4"},
	{12, 255, "by_size: at byte 13: goes past the end: 255, allowed 31"},
	{22, 200, "options[0].value: at byte 23: goes past the end: 200, allowed 21"},
	{26, 3, "options[1].number: at byte 30: the data ends before its end: 5, allowed 6"},
};

static void test_hostile_lengths_are_named(void)
{
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		unsigned char *copy = odd_copy(lists, sizeof(lists));
		struct flow_lists_view v;
		struct wire_fault fault;

		copy[hostile[i].at] = hostile[i].value;
		CHECK(flow_lists_check(&v, copy, sizeof(lists), &fault) < 0);
		CHECK_FAULT(&fault, hostile[i].text);
		odd_free(copy);
	}
}

static void test_what_is_left_must_be_whole_elements(void)
{
	struct flow_lists_view v;
	struct wire_fault fault;

	CHECK_EQUAL(flow_lists_check(&v, lists, sizeof(lists) - 1, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "points: at byte 36: does not end with an element: 7, allowed 4");
	CHECK_EQUAL(flow_lists_check(&v, lists, sizeof(lists) - 8, NULL), 0);
	CHECK_EQUAL(flow_lists_points_count(&v), 0);
}

/* ---- a header that grew ---- */

static const unsigned char first_version[] = {0, 20, 0, 8, 1, 6, 0xaa, 0xbb, 0, 0, 0,
					      3, 1,  2, 3, 4, 0, 0,    0,    0, 99};
static const unsigned char second_version[] = {
	0, 32,   0,    14, 2,    3,    0xaa, 0xbb, 0, 0, 0, 98, 0xab, 0xcd, /* covered */
	7, 0x12, 0x34,                                                      /* kind, only_middle */
	0, 0,    0,    2,  0xd1, 0xd2, 0,                                   /* long, aligned */
	0, 0,    0,    9,                                                   /* after */
	1, 2,    3,    4, /* more than the fields */
};

static void test_old_headers_lack_new_fields(void)
{
	struct flow_message_view v;
	unsigned char copy[21];

	memcpy(copy, first_version, sizeof(copy));
	copy[5] = 4; /* short */
	copy[8] = 2;
	CHECK_EQUAL(flow_message_check(&v, copy, sizeof(copy), 100, NULL), -EBADMSG);
	copy[11] = 0;
	CHECK_EQUAL(flow_message_check(&v, copy, sizeof(copy), 100, NULL), 0);
	CHECK_EQUAL(v.length, 20);
	CHECK(flow_message_has_old(&v) && flow_message_old(&v) == 0xaabb);
	CHECK(!flow_message_has_newer(&v) && flow_message_newer(&v) == 0);
	CHECK(!flow_message_has_kind(&v) && !flow_message_has_only_middle(&v));
	CHECK(flow_message_has_short_data(&v) && !flow_message_has_long_data(&v));
	CHECK(flow_message_long_data(&v).data == NULL);
	CHECK_EQUAL(flow_message_short_data(&v).size, 2);
	CHECK_EQUAL(flow_message_after(&v), 0x01020304);
}

static void test_new_headers_have_them(void)
{
	struct flow_message_view v;
	struct wire_fault fault;
	unsigned char copy[sizeof(second_version)];

	memcpy(copy, second_version, sizeof(copy));
	CHECK_EQUAL(flow_message_check(&v, copy, sizeof(copy), 100, NULL), 0);
	CHECK_EQUAL(flow_message_newer(&v), 98);
	CHECK(flow_message_has_newest(&v) && flow_message_newest(&v) == 0xabcd);
	CHECK_EQUAL(flow_message_kind(&v), 7);
	CHECK_EQUAL(flow_message_only_middle(&v), 0x1234);
	CHECK_EQUAL(flow_message_long_data(&v).data[1], 0xd2);
	CHECK_EQUAL(flow_message_after(&v), 9);
	copy[11] = 100;
	CHECK_EQUAL(flow_message_check(&v, copy, sizeof(copy), 100, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "newer: at byte 8: must lie in its range: 100, allowed 99");
	copy[11] = 1;
	copy[12] = 0;
	CHECK_EQUAL(flow_message_check(&v, copy, sizeof(copy), 100, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "newest: at byte 12: must be its constant: 205, allowed 43981");
	copy[12] = 0xab;
	copy[23] = 1;
	CHECK_EQUAL(flow_message_check(&v, copy, sizeof(copy), 100, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "pad: at byte 23: padding must be zero: 1, allowed 0");
}

static void test_a_half_covered_field_is_absent(void)
{
	struct flow_message_view v;
	unsigned char copy[sizeof(second_version)];

	memcpy(copy, second_version, sizeof(copy));
	copy[3] = 13;
	copy[12] = 0;
	copy[13] = 0;
	CHECK_EQUAL(flow_message_open(&v, copy, sizeof(copy), 100, NULL), -ENODATA);
	copy[5] = 1;
	CHECK_EQUAL(flow_message_open(&v, copy, sizeof(copy), 100, NULL), 0);
	CHECK(!flow_message_has_newest(&v) && flow_message_newest(&v) == 0);
	CHECK(flow_message_has_newer(&v));
}

static void test_stated_sizes_bound_what_is_inside(void)
{
	struct flow_message_view v;
	struct wire_fault fault;
	unsigned char copy[sizeof(second_version)];

	memcpy(copy, second_version, sizeof(copy));
	copy[1] = 27;
	CHECK_EQUAL(flow_message_check(&v, copy, sizeof(copy), 100, &fault), -ENODATA);
	CHECK_FAULT(&fault, "after: at byte 27: the data ends before its end: 27, allowed 28");
	copy[1] = 33;
	CHECK_EQUAL(flow_message_check(&v, copy, sizeof(copy), 100, &fault), -ENODATA);
	CHECK_FAULT(&fault, "size: at byte 0: the structure goes past the end: 33, allowed 32");
	CHECK_EQUAL(flow_message_check(&v, copy, 1, 100, &fault), -ENODATA);
}

/* ---- stored places ---- */

static void test_stored_places_may_be_anywhere_inside(void)
{
	unsigned char data[64] = {0, 10, 2, 2};
	struct flow_table_view v;
	struct flow_row_view row;
	struct wire_fault fault;
	struct wire_cursor cursor = {0};

	data[40] = 10;
	data[45] = 11;
	data[46] = 0xcc;
	CHECK_EQUAL(flow_table_check(&v, data, sizeof(data), 5, NULL), 0);
	CHECK_EQUAL(flow_table_cells_count(&v), 2);
	CHECK(flow_table_cells_next(&v, &cursor, &row) && flow_row_id(&row) == 10);
	CHECK_EQUAL(flow_table_cells_at(&v, 1, &row), 0);
	CHECK_EQUAL(flow_row_rest(&row).data[0], 0xcc);
	CHECK_EQUAL(flow_row_rest(&row).size, 4);
	CHECK_EQUAL(flow_table_cells_at(&v, 2, &row), -ERANGE);
	data[45] = 9;
	CHECK_EQUAL(flow_table_check(&v, data, sizeof(data), 5, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "cells[1].assert: at byte 46: rows are numbered from 10: 0, allowed 1");
	CHECK_EQUAL(flow_table_open(&v, data, sizeof(data), 5, NULL), 0);
	CHECK_EQUAL(flow_table_check(&v, data, 49, 5, &fault), -ENODATA);
	data[0] = 0xff;
	CHECK_EQUAL(flow_table_check(&v, data, sizeof(data), 5, &fault), -ERANGE);
	CHECK_FAULT(&fault,
		    "cells: at byte 0: its stored place lies past the end: 261160, allowed 64");
	memcpy(data, "\0\x41\2\0", 4); /* one past the end, where "bytes left" would wrap */
	CHECK_EQUAL(flow_table_open(&v, data, sizeof(data), 5, &fault), -ERANGE);
	memcpy(data, "\0\x40\2\0", 4);
	CHECK_EQUAL(flow_table_open(&v, data, sizeof(data), 5, &fault), -ENODATA);
	memcpy(data, "\xff\x0a\2\2", 4);
	CHECK_EQUAL(flow_table_check(&v, data, sizeof(data), 0, &fault), -ERANGE);
	data[0] = 0;
	CHECK_EQUAL(flow_table_check(&v, data, sizeof(data), 0, &fault), -ENODATA);
}

/* ---- writers ---- */

static const struct flow_tlv_values options[] = {
	{.what = FLOW_TAG_TEXT, .text = {"hello", 5}, .length = 5},
	{.what = FLOW_TAG_NUMBER, .number = 0xdeadbeef, .length = 4},
	{.what = 0x99, .other = {(const unsigned char *)"xyz", 3}, .length = 3},
};

static struct flow_packet_values some_values(void)
{
	struct shapes_point corners[2];
	struct flow_packet_values values = {
		.kind = 1,
		.text = {"text", 4},
		.padding = 3,
		.large = 0x1122334455667788,
		.options = options,
		.options_count = 3,
		.corners_count = 2,
		.trailer = 0x7777,
	};

	static struct shapes_point kept[2];

	memset(corners, 0, sizeof(corners));
	shapes_point_set_y(&corners[1], -2);
	memcpy(kept, corners, sizeof(kept));
	values.corners = kept;
	return values;
}

static const unsigned char written[] = {
	4,    3,    1,    't', 'e', 'x', 't', 3,   0,   0,   0, 0x11, 0x22, 0x33, 0x44, 0x55,
	0x66, 0x77, 0x88, 1,   5,   'h', 'e', 'l', 'l', 'o', 2, 4,    0xde, 0xad, 0xbe, 0xef,
	0x99, 3,    'x',  'y', 'z', 0,   0,   0,   0,   0,   0, 0xff, 0xfe, 0x77, 0x77,
};

static void test_writers_write_what_readers_read(void)
{
	const struct flow_packet_values values = some_values();
	unsigned char buffer[100];
	struct flow_packet_view v;

	CHECK_EQUAL(flow_packet_measure(&values, NULL), sizeof(written));
	CHECK_EQUAL(flow_packet_write(buffer, sizeof(buffer), &values, NULL), sizeof(written));
	CHECK(memcmp(buffer, written, sizeof(written)) == 0);
	CHECK_EQUAL(flow_packet_check(&v, buffer, sizeof(buffer), NULL), 0);
	CHECK_EQUAL(v.length, sizeof(written));
	CHECK_EQUAL(flow_packet_large(&v), 0x1122334455667788);
	CHECK_EQUAL(flow_packet_trailer(&v), 0x7777);
}

static void test_writers_stay_in_their_buffer(void)
{
	const struct flow_packet_values values = some_values();

	for (size_t size = 0; size < sizeof(written); size++) {
		unsigned char *buffer = odd_copy(written, size);

		CHECK_EQUAL(flow_packet_write(buffer, size, &values, NULL), -ENOSPC);
		odd_free(buffer);
	}
}

static void test_writers_refuse_what_readers_would(void)
{
	struct flow_packet_values values = some_values();
	unsigned char buffer[100];
	char long_text[300];
	struct wire_fault fault;

	values.padding = 4;
	CHECK_EQUAL(flow_packet_write(buffer, sizeof(buffer), &values, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "padding: at byte 7: must lie in its range: 4, allowed 3");
	values = some_values();
	memset(long_text, 'x', sizeof(long_text));
	values.text = (struct wire_text){long_text, 256};
	CHECK_EQUAL(flow_packet_write(buffer, sizeof(buffer), &values, &fault), -EBADMSG);
	CHECK_FAULT(&fault, "size_of_text: at byte 3: cannot hold the count: 256, allowed 255");
	values = some_values();
	values.corners_count = 1;
	CHECK_EQUAL(flow_packet_write(buffer, sizeof(buffer), &values, &fault), -EBADMSG);
	values = some_values();
	values.kind = 2;
	CHECK_EQUAL(flow_packet_write(buffer, sizeof(buffer), &values, &fault), -EPROTONOSUPPORT);
}

static void test_writers_of_nested_structures(void)
{
	struct flow_pair_values pair = {.first = some_values(), .second = some_values()};
	struct flow_pair_view v, w;
	unsigned char buffer[200], copy[200];

	pair.second.kind = 0;
	pair.second.small = 0xee;
	CHECK_EQUAL(flow_pair_write(buffer, sizeof(buffer), &pair, NULL),
		    2 * sizeof(written) - 7 + 1);
	CHECK_EQUAL(flow_pair_check(&v, buffer, sizeof(buffer), NULL), 0);
	CHECK_EQUAL(flow_packet_small(flow_pair_second(&v)), 0xee);
	CHECK_EQUAL(flow_pair_copy(copy, sizeof(copy), &v), v.length);
	CHECK_EQUAL(flow_pair_copy(copy, v.length - 1, &v), -ENOSPC);
	CHECK_EQUAL(flow_pair_check(&w, copy, sizeof(copy), NULL), 0);
	CHECK(flow_pair_equal(&v, &w));
	flow_packet_set_small(flow_pair_second(&w), 1);
	CHECK(!flow_pair_equal(&v, &w));
}

/* ---- printing and editing ---- */

struct memory_sink {
	struct wire_sink sink;
	char text[4096];
	size_t length;
};

static void keep(struct wire_sink *sink, const char *text, size_t length)
{
	struct memory_sink *memory = (struct memory_sink *)(void *)sink;

	CHECK(memory->length + length < sizeof(memory->text));
	memcpy(memory->text + memory->length, text, length);
	memory->length += length;
	memory->text[memory->length] = '\0';
}

static void test_json_has_everything_that_is_there(void)
{
	struct memory_sink memory = {.sink = {keep}};

	CHECK_EQUAL(wire_print_json(&flow_lists_format, lists, sizeof(lists), NULL, &memory.sink),
		    0);
	CHECK(strcmp(memory.text,
		     "{\"count\": 2, \"numbers\": [1, 2], \"until_seven\": [5, 7], \"name\": "
		     "\"ab\", "
		     "\"bytes_size\": 8, \"by_size\": [9, 10], \"options\": ["
		     "{\"what\": \"TEXT\", \"length\": 2, \"text\": \"hi\"}, "
		     "{\"what\": \"NUMBER\", \"length\": 4, \"number\": 16909060}, "
		     "{\"what\": 119, \"length\": 1, \"other\": \"ee\"}, "
		     "{\"what\": \"END\", \"length\": 0, \"other\": \"\"}], "
		     "\"points\": [{\"x\": 1, \"y\": 2}, {\"x\": 3, \"y\": 4}]}\n") == 0);
}

static void test_text_is_for_people(void)
{
	struct memory_sink memory = {.sink = {keep}};

	CHECK_EQUAL(wire_print_text(&flow_lists_format, lists, sizeof(lists), NULL, &memory.sink),
		    0);
	CHECK(strstr(memory.text,
		     "options:\n  [0]:\n    what: 1 (TEXT)\n    length: 2\n    text: \"hi\"\n") !=
	      NULL);
}

static void test_edits_by_path(void)
{
	unsigned char *copy = odd_copy(lists, sizeof(lists));
	const struct wire_format *f = &flow_lists_format;
	const size_t size = sizeof(lists);

	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "options[1].number", "0xff", NULL), 0);
	CHECK_EQUAL(copy[30], 0xff);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "points[1].y", "-2", NULL), 0);
	CHECK_EQUAL(copy[size - 1], 0xfe);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "options[0].text", "yo", NULL), 0);
	CHECK_EQUAL(copy[23], 'y');
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "options[2].other", "a1", NULL), 0);
	CHECK_EQUAL(copy[33], 0xa1);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "options[0].what", "NUMBER", NULL), -ENODATA);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "numbers[0]", "65536", NULL), -ENODATA);
	odd_free(copy);
	copy = odd_copy(lists, size);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "numbers[0]", "65536", NULL), -ERANGE);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "numbers[0]", "x", NULL), -EINVAL);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "numbers[2]", "1", NULL), -ENOENT);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "number", "1", NULL), -ENOENT);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "points", "1", NULL), -ENOTSUP);
	CHECK_EQUAL(wire_edit(f, copy, size, NULL, "count", "200", NULL), -ENODATA);
	odd_free(copy);
}

int main(void)
{
	RUN(test_arrays_of_all_kinds_are_found);
	RUN(test_setters_write_through_views);
	RUN(test_every_truncation_is_a_fault);
	RUN(test_a_fault_that_was_never_set_has_a_text);
	RUN(test_hostile_lengths_are_named);
	RUN(test_what_is_left_must_be_whole_elements);
	RUN(test_old_headers_lack_new_fields);
	RUN(test_new_headers_have_them);
	RUN(test_a_half_covered_field_is_absent);
	RUN(test_stated_sizes_bound_what_is_inside);
	RUN(test_stored_places_may_be_anywhere_inside);
	RUN(test_writers_write_what_readers_read);
	RUN(test_writers_stay_in_their_buffer);
	RUN(test_writers_refuse_what_readers_would);
	RUN(test_writers_of_nested_structures);
	RUN(test_json_has_everything_that_is_there);
	RUN(test_text_is_for_people);
	RUN(test_edits_by_path);
	return 0;
}
