/* SPDX-License-Identifier: MIT */
/*
 * ioctls: what is made of their description is what a programmer would have written, who knows the
 * structures as C has them, on this machine and, with -m32, on its 32-bit sibling.
 */
#include "calls_ioctls.h"

#include "check.h"

struct name {
	uint64_t text;
	uint32_t length;
	uint32_t sum;
};

struct shelf {
	uint16_t count;
	uint64_t names __attribute__((aligned(8)));
};

struct catalog {
	uint32_t sum;
	uint32_t count;
	uint64_t shelves, title, totals;
};

struct note {
	char *text;
	unsigned long length;
	unsigned char kind;
	long change;
};

struct pair {
	uint32_t tag;
	struct note first[2];
	struct note *more;
	uint64_t *same;
};

struct notes {
	uint64_t list;
	uint32_t count, sum;
};

#define BOTH     (BDUS_IOCTL_CLIENT_64 | BDUS_IOCTL_CLIENT_32)
#define IN       BDUS_IOCTL_IN
#define OUT      BDUS_IOCTL_OUT
#define TEXT_64K 65536

/* Of programs like this one. */
#define OWN          (sizeof(long) == 8 ? BDUS_IOCTL_CLIENT_64 : BDUS_IOCTL_CLIENT_32)
#define NUMBER(wide) (sizeof(long) == 8 ? (wide) : wide##_32)

/* The parts of @command for @client are @wanted, in this order. */
static void check_parts(uint32_t command, uint32_t client, const struct bdus_ioctl_part *wanted,
			size_t count)
{
	size_t first = 0, i;

	while (first < CALLS_IOCTL_PART_COUNT && (calls_ioctl_parts[first].command != command ||
						  !(calls_ioctl_parts[first].flags & client)))
		first++;
	for (i = 0; i < count; i++) {
		CHECK(first + i < CALLS_IOCTL_PART_COUNT);
		CHECK(memcmp(&calls_ioctl_parts[first + i], &wanted[i], sizeof(wanted[i])) == 0);
	}
	CHECK(first + count == CALLS_IOCTL_PART_COUNT ||
	      calls_ioctl_parts[first + count].pointer_width == 0);
}

#define CHECK_PARTS(command, client, parts) \
	check_parts(command, client, parts, sizeof(parts) / sizeof((parts)[0]))

static void test_numbers_are_those_of_the_macros(void)
{
	CHECK_EQUAL(CALLS_IOCTL_CATALOG, _IOWR('b', 1, struct catalog));
	CHECK_EQUAL(NUMBER(CALLS_IOCTL_NOTE), _IOWR('b', 2, struct note));
	CHECK_EQUAL(NUMBER(CALLS_IOCTL_PAIR), _IOW('b', 3, struct pair));
	CHECK_EQUAL(CALLS_IOCTL_TWICE, _IOWR('b', 5, uint64_t));
	CHECK_EQUAL(CALLS_IOCTL_GET, _IOR('b', 6, char[12]));
	CHECK_EQUAL(CALLS_IOCTL_FAIL, _IO('b', 7));
	CHECK_EQUAL(CALLS_IOCTL_ODD, 0x1234);
	CHECK_EQUAL(CALLS_IOCTL_LIAR, _IOWR('b', 8, uint32_t));
	CHECK(CALLS_IOCTL_NOTE != CALLS_IOCTL_NOTE_32);
}

static void test_pointers_are_followed_three_deep(void)
{
	const uint32_t command = CALLS_IOCTL_CATALOG;
	const struct bdus_ioctl_part parts[] = {
		BDUS_IOCTL_ARGUMENT(command, struct catalog, IN | OUT | BOTH),
		BDUS_IOCTL_COUNTED(command, 0, struct catalog, shelves, count, sizeof(struct shelf),
				   8, IN),
		BDUS_IOCTL_COUNTED(command, 1, struct shelf, names, count, sizeof(struct name), 300,
				   IN | OUT),
		BDUS_IOCTL_COUNTED(command, 2, struct name, text, length, 1, TEXT_64K, IN | OUT),
		BDUS_IOCTL_TEXT(command, 0, struct catalog, title, 64),
		{command, OUT, 4, 4, 0, 8, 0, offsetof(struct catalog, totals), 0, 0},
	};

	CHECK_PARTS(command, BDUS_IOCTL_CLIENT_64, parts);
	CHECK_PARTS(command, BDUS_IOCTL_CLIENT_32, parts);
}

static void test_pointers_are_as_wide_as_the_client_s(void)
{
	const uint32_t command = NUMBER(CALLS_IOCTL_NOTE);
	const struct bdus_ioctl_part parts[] = {
		BDUS_IOCTL_ARGUMENT(command, struct note, IN | OUT | OWN | BDUS_IOCTL_REPEATABLE),
		BDUS_IOCTL_COUNTED(command, 0, struct note, text, length, 1, TEXT_64K, IN),
	};

	CHECK_PARTS(command, OWN, parts);
	CHECK_EQUAL(CALLS_NOTE_SIZE, 32);
	CHECK_EQUAL(CALLS_NOTE_32_SIZE, 16);
}

static void test_pointers_in_nested_structures_are_followed(void)
{
	const uint32_t command = NUMBER(CALLS_IOCTL_PAIR);
	const struct bdus_ioctl_part parts[] = {
		BDUS_IOCTL_ARGUMENT(command, struct pair, IN | OWN),
		BDUS_IOCTL_COUNTED(command, 0, struct pair, first[0].text, first[0].length, 1,
				   TEXT_64K, IN),
		BDUS_IOCTL_COUNTED(command, 0, struct pair, first[1].text, first[1].length, 1,
				   TEXT_64K, IN),
		BDUS_IOCTL_POINTED(command, 0, struct pair, more, sizeof(struct note), IN),
		BDUS_IOCTL_COUNTED(command, 3, struct note, text, length, 1, TEXT_64K, IN),
		BDUS_IOCTL_POINTED(command, 0, struct pair, same, sizeof(uint64_t), OUT),
	};

	CHECK_PARTS(command, OWN, parts);
}

static void test_clients_differ_by_what_is_pointed_to_alone(void)
{
	const uint32_t command = CALLS_IOCTL_NOTES;
	const struct bdus_ioctl_part parts[] = {
		BDUS_IOCTL_ARGUMENT(command, struct notes, IN | OUT | OWN),
		BDUS_IOCTL_COUNTED(command, 0, struct notes, list, count, sizeof(struct note), 3,
				   IN | OUT),
		BDUS_IOCTL_COUNTED(command, 1, struct note, text, length, 1, TEXT_64K, IN),
	};

	CHECK_PARTS(command, OWN, parts);
}

static void test_numbers_need_not_say_what_is_carried(void)
{
	const struct bdus_ioctl_part odd[] = {
		BDUS_IOCTL_ARGUMENT(CALLS_IOCTL_ODD, char[24], IN | OUT | BOTH)};
	const struct bdus_ioctl_part get[] = {
		BDUS_IOCTL_ARGUMENT(CALLS_IOCTL_GET, char[12], OUT | BOTH)};
	const struct bdus_ioctl_part liar[] = {
		BDUS_IOCTL_ARGUMENT(CALLS_IOCTL_LIAR, struct name, IN | BOTH),
		BDUS_IOCTL_COUNTED(CALLS_IOCTL_LIAR, 0, struct name, text, length, 1, TEXT_64K,
				   IN | OUT)};

	CHECK_PARTS(CALLS_IOCTL_ODD, BDUS_IOCTL_CLIENT_64, odd);
	CHECK_PARTS(CALLS_IOCTL_GET, BDUS_IOCTL_CLIENT_64, get);
	CHECK_PARTS(CALLS_IOCTL_LIAR, BDUS_IOCTL_CLIENT_32, liar);
}

static void test_drivers_find_what_pointers_lead_to(void)
{
	unsigned char payload[128] = {0};
	struct calls_catalog *const catalog = calls_catalog_from(payload);
	struct calls_shelf *shelf;

	calls_catalog_set_count(catalog, 1);
	calls_catalog_set_shelves(catalog, 40);
	calls_catalog_set_title(catalog, 56);
	memcpy(payload + 56, "title", 6);
	shelf = calls_catalog_at_shelves(catalog, payload);
	CHECK((unsigned char *)shelf == payload + 40);
	CHECK(strcmp(calls_catalog_at_title(catalog, payload), "title") == 0);
	CHECK(calls_catalog_at_totals(catalog, payload) == NULL);
	CHECK(calls_shelf_at_names(shelf, payload) == NULL);
	calls_shelf_set_names(shelf, 64);
	CHECK((unsigned char *)calls_shelf_at_names(shelf, payload) == payload + 64);
}

static void test_descriptions_are_checked_as_any(void)
{
	struct calls_shelf shelf;
	struct wire_fault fault;

	calls_shelf_init(&shelf);
	calls_shelf_set_count(&shelf, 300);
	CHECK_EQUAL(calls_shelf_check(&shelf, sizeof(shelf), &fault), 0);
	calls_shelf_set_count(&shelf, 301);
	CHECK(calls_shelf_check(&shelf, sizeof(shelf), &fault) < 0);
}

int main(void)
{
	RUN(test_numbers_are_those_of_the_macros);
	RUN(test_pointers_are_followed_three_deep);
	RUN(test_pointers_are_as_wide_as_the_client_s);
	RUN(test_pointers_in_nested_structures_are_followed);
	RUN(test_clients_differ_by_what_is_pointed_to_alone);
	RUN(test_numbers_need_not_say_what_is_carried);
	RUN(test_drivers_find_what_pointers_lead_to);
	RUN(test_descriptions_are_checked_as_any);
	return 0;
}
