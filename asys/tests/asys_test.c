/* SPDX-License-Identifier: MIT */
/*
 * For tests of asys.
 */
#include "asys_test.h"
#include "forbid_ring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct asys_options test_options = {.size = sizeof(test_options)};

static bool ring_error_is(int expected)
{
	struct asys_info info;
	struct asys *asys;
	bool result;

	if (asys_create(&test_options, &asys) != 0)
		return false;
	result = asys_describe(asys, &info) == 0 && info.ring_error == expected;
	if (!result)
		printf("SKIP: io_uring: %s\n", strerror(-info.ring_error));
	asys_destroy(asys);
	return result;
}

static bool choose_way(const char *name)
{
	if (strcmp(name, "no-ring") == 0)
		test_options.flags = ASYS_NO_RING;
	else if (strcmp(name, "workers") == 0)
		test_options.flags = ASYS_NO_RING | ASYS_NO_INLINE;
	else if (strcmp(name, "ring-and-workers") == 0)
		test_options.flags = ASYS_NO_INLINE;
	else if (strcmp(name, "forbidden") == 0)
		return forbid_ring() && ring_error_is(-EPERM);
	if (test_options.flags & ASYS_NO_RING)
		return true;
	return ring_error_is(0);
}

int test_begin(int count, char **arguments)
{
	if (count != 2 && count != 3) {
		fprintf(stderr, "usage: %s WAY [PATTERN]\n", arguments[0]);
		return 2;
	}
	if (count == 3)
		cmocka_set_test_filter(arguments[2]);
	return choose_way(arguments[1]) ? 0 : 77;
}

int test_create(void **state)
{
	struct asys *asys;
	const int result = asys_create(&test_options, &asys);

	if (result == 0)
		*state = asys;
	return result;
}

int test_destroy(void **state)
{
	asys_destroy(*state);
	return 0;
}

int test_wait(struct asys *asys, struct asys_message *completed[], unsigned capacity)
{
	const uint64_t limit = asys_deadline(PATIENCE_MS);
	int count;

	do
		count = asys_wait(asys, completed, capacity, PATIENCE_MS);
	while (count == 0 && test_now_ns() < limit);
	return count;
}

struct asys_message *test_wait_one(struct asys *asys)
{
	struct asys_message *completed;

	if (test_wait(asys, &completed, 1) != 1)
		fail_msg("nothing completes; %d are in flight", asys_pending(asys));
	return completed;
}

void test_send(struct asys *asys, struct asys_message *message)
{
	assert_int_equal(asys_send(asys, &message, 1), 1);
}

int64_t test_result(struct asys *asys, struct asys_message *message)
{
	test_send(asys, message);
	assert_ptr_equal(test_wait_one(asys), message);
	return message->result;
}

void test_run(struct asys *asys, struct asys_message messages[], unsigned count)
{
	struct asys_message *batch[64];

	assert_in_range(count, 1, 64);
	for (unsigned i = 0; i < count; i++)
		batch[i] = &messages[i];
	assert_int_equal(asys_send(asys, batch, count), count);
	for (unsigned i = 0; i < count; i++)
		test_wait_one(asys);
	assert_int_equal(asys_pending(asys), 0);
}

uint8_t test_byte(uint64_t offset)
{
	return (uint8_t)(offset * 31 + (offset >> 8) * 7);
}

int test_file(const char *directory, size_t size_bytes)
{
	char path[256];
	uint8_t block[4096];
	int file;

	snprintf(path, sizeof(path), "%s/asys-test-XXXXXX", directory);
	file = mkostemp(path, O_CLOEXEC);
	assert_true(file >= 0);
	unlink(path);
	for (size_t at = 0; at < size_bytes; at += sizeof(block)) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = test_byte(at + i);
		assert_int_equal(pwrite(file, block, sizeof(block), (off_t)at), sizeof(block));
	}
	assert_int_equal(ftruncate(file, (off_t)size_bytes), 0);
	return file;
}

uint64_t test_now_ns(void)
{
	return asys_deadline(0);
}

unsigned test_count_threads(const char *name)
{
	DIR *const tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	unsigned count = 0;

	assert_non_null(tasks);
	while ((entry = readdir(tasks)) != NULL) {
		char path[512], text[64] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fgets(text, sizeof(text), file) != NULL)
			count += strncmp(text, name, strlen(name)) == 0;
		fclose(file);
	}
	closedir(tasks);
	return count;
}
