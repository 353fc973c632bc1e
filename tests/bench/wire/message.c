/* SPDX-License-Identifier: MIT */
/*
 * Writes or verifies and reads the message of message.wire again and again, for message.sh.
 *
 * usage: bench-message encode|read TIMES
 *
 * Prints nanoseconds for one time, the bytes of a message and the sum of what was read. Peers do
 * the same with the same values, so that their sums agree.
 */
#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RECORDS 3
/** Does not let the compiler know what is in memory. */
#define FORGET(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static uint32_t float_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static uint64_t double_bits(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static float bits_float(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static double bits_double(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static void fill_record(struct message_record_values *record, unsigned i)
{
	struct message_foo *const foo = message_bar_edit_parent(&record->sibling);

	memset(&record->sibling, 0, sizeof(record->sibling));
	message_foo_set_id(foo, 0xABADCAFEABADCAFE + i);
	message_foo_set_count(foo, (int16_t)(10000 + i));
	message_foo_set_prefix(foo, (int8_t)('@' + i));
	message_foo_set_length(foo, 1000000 + i);
	message_bar_set_time(&record->sibling, (int32_t)(123456 + i));
	message_bar_set_ratio(&record->sibling, float_bits(3.14159F + (float)i));
	message_bar_set_size(&record->sibling, (uint16_t)(10000 + i));
	record->name = (struct wire_text){"Hello, World!", 13};
	record->rating = double_bits(3.1415432432445543543 + i);
	record->postfix = (uint8_t)('!' + i);
}

static long encode(unsigned char *buffer, size_t size)
{
	struct message_record_values records[RECORDS];
	const struct message_container_values container = {
		.initialized = 1,
		.fruit = MESSAGE_FRUIT_BANANAS,
		.location = {"https://www.example.com/myurl/", 30},
		.list = records,
		.list_count = RECORDS,
	};

	for (unsigned i = 0; i < RECORDS; i++)
		fill_record(&records[i], i);
	return message_container_write(buffer, size, &container, NULL);
}

static int64_t sum_record(const struct message_record_view *record)
{
	const struct message_bar *const bar = message_record_sibling(record);
	const struct message_foo *const foo = message_bar_parent(bar);

	return (int64_t)message_record_name(record).length + message_record_postfix(record) +
	       (int64_t)bits_double(message_record_rating(record)) +
	       (int64_t)bits_float(message_bar_ratio(bar)) + message_bar_size(bar) +
	       message_bar_time(bar) + message_foo_count(foo) + (int64_t)message_foo_id(foo) +
	       message_foo_length(foo) + message_foo_prefix(foo);
}

static int64_t verify_and_read(const unsigned char *buffer, size_t size)
{
	struct message_container_view container;
	struct message_record_view record;
	struct wire_cursor cursor = {0};
	int64_t sum;

	if (message_container_check(&container, buffer, size, NULL) != 0)
		abort();
	sum = message_container_initialized(&container) + message_container_fruit(&container) +
	      (int64_t)message_container_location(&container).length;
	while (message_container_list_next(&container, &cursor, &record))
		sum += sum_record(&record);
	return sum;
}

int main(int argc, char **argv)
{
	unsigned char buffer[1024];
	const unsigned long times = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	const int encodes = argc == 3 && strcmp(argv[1], "encode") == 0;
	long size = encode(buffer, sizeof(buffer));
	uint64_t sum = 0, start;

	if (times == 0 || size < 0)
		return 2;
	start = now_ns();
	for (unsigned long i = 0; i < times; i++) {
		FORGET(buffer);
		if (encodes)
			size = encode(buffer, sizeof(buffer));
		else
			sum += (uint64_t)verify_and_read(buffer, (size_t)size);
		FORGET(buffer);
	}
	printf("%.3f %ld %lld\n", (double)(now_ns() - start) / (double)times, size,
	       (long long)verify_and_read(buffer, (size_t)size));
	return sum == 1;
}
