/* SPDX-License-Identifier: MIT */
/*
 * Records and ids: unique across processes, never reused, and known for orphans when their process
 * is gone.
 */
#include "base/bits.h"
#include "base/error.h"
#include "registry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PROCESSES 8
#define EACH      40

static char directory[64];

static void format_path(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", directory, name);
}

static int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/bdus-registry-XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	return setenv("BDUS_RUNTIME_DIR", directory, 1);
}

/** Fails when a test left anything but the counter behind. */
static int remove_directory(void **state)
{
	char path[96];

	(void)state;
	format_path(path, sizeof(path), "next-id");
	unlink(path);
	return rmdir(directory);
}

static void write_file(const char *name, const char *text)
{
	char path[96];
	int fd;

	format_path(path, sizeof(path), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void sample(struct bdus_device_info *info, uint64_t id)
{
	*info = (struct bdus_device_info){
		.id = id,
		.state = BDUS_STATE_AVAILABLE,
		.pid = getpid(),
		.size_bytes = UINT64_MAX - 511,
		.logical_block_size = 512,
		.physical_block_size = 4096,
		.queues = 4,
		.queue_depth = 128,
		.ops = 0xff,
		.flags = BDUS_DEVICE_FUA,
		.major = 259,
		.minor = UINT32_MAX,
		.created_s = 1700000000,
		.transport = "sim",
		.driver = "ram",
		.path = "/dev/bdus-3",
		.native_path = "/dev/ublkb3",
	};
}

/* ---- ids ------------------------------------------------------------------------------------ */

static void ids_count_up_and_are_not_reused_after_release(void **state)
{
	uint64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct bdus_record *record;
		uint64_t id;

		assert_int_equal(bdus_registry_reserve(&record, &id), 0);
		assert_true(i == 0 || id > last);
		last = id;
		bdus_registry_release(record);
	}
	bdus_registry_release(NULL);
}

/** Reserves ids and writes them to @fd; every other record is released at once. */
static void reserve_many(int fd)
{
	struct bdus_record *kept[EACH] = {NULL};

	for (unsigned i = 0; i < EACH; i++) {
		uint64_t id;

		if (bdus_registry_reserve(&kept[i], &id) != 0 ||
		    write(fd, &id, sizeof(id)) != sizeof(id))
			_exit(1);
		if (i % 2 == 0) {
			bdus_registry_release(kept[i]);
			kept[i] = NULL;
		}
	}
	for (unsigned i = 0; i < EACH; i++)
		bdus_registry_release(kept[i]);
	_exit(0);
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t first = *(const uint64_t *)a;
	const uint64_t second = *(const uint64_t *)b;

	return (first > second) - (first < second);
}

static void processes_that_race_get_ids_of_their_own(void **state)
{
	uint64_t ids[PROCESSES * EACH];
	size_t got = 0;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	for (unsigned i = 0; i < PROCESSES; i++) {
		if (fork() == 0)
			reserve_many(ends[1]);
	}
	close(ends[1]);
	for (ssize_t length; got < sizeof(ids); got += (size_t)length) {
		length = read(ends[0], (char *)ids + got, sizeof(ids) - got);
		if (length <= 0)
			break;
	}
	close(ends[0]);
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status = 1;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(got, sizeof(ids));
	qsort(ids, BASE_ARRAY_LENGTH(ids), sizeof(ids[0]), compare_ids);
	for (size_t i = 1; i < BASE_ARRAY_LENGTH(ids); i++)
		assert_int_not_equal(ids[i], ids[i - 1]);
}

static void an_id_that_a_record_has_is_passed_over(void **state)
{
	struct bdus_record *record;
	struct bdus_device_info info;
	char name[32];
	uint64_t id;

	(void)state;
	assert_int_equal(bdus_registry_reserve(&record, &id), 0);
	bdus_registry_release(record);
	/* As after a counter that was lost while devices existed. */
	snprintf(name, sizeof(name), "%" PRIu64 ".dev", id + 1);
	write_file(name, "state=1\nend\n");
	assert_int_equal(bdus_registry_reserve(&record, &id), 0);
	assert_int_equal(bdus_registry_read(id - 1, &info), 1);
	assert_int_equal(info.state, BDUS_STATE_ORPHANED);
	bdus_registry_release(record);
	bdus_registry_forget(&info);
}

static void a_damaged_counter_is_refused_by_name(void **state)
{
	static const char *const texts[] = {"hello\n", "12", "-1\n", "1 2\n", "\n"};
	struct bdus_record *record = NULL;
	uint64_t id = 77;

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(texts); i++) {
		write_file("next-id", texts[i]);
		assert_int_equal(bdus_registry_reserve(&record, &id), -EINVAL);
		assert_non_null(strstr(base_error_message(), "next-id"));
		assert_null(record);
		assert_int_equal(id, 77);
	}
}

/* ---- records -------------------------------------------------------------------------------- */

static void a_record_is_read_as_it_was_written(void **state)
{
	struct bdus_record *record;
	struct bdus_device_info written;
	struct bdus_device_info info;
	uint64_t id;

	(void)state;
	assert_int_equal(bdus_registry_reserve(&record, &id), 0);
	sample(&written, id);
	assert_int_equal(bdus_registry_write(record, &written), 0);
	assert_int_equal(bdus_registry_read(id, &info), 1);
	assert_memory_equal(&info, &written, sizeof(info));
	/* A shorter text leaves nothing of the longer one. */
	memset(written.path, 0, sizeof(written.path));
	written.size_bytes = 0;
	assert_int_equal(bdus_registry_write(record, &written), 0);
	assert_int_equal(bdus_registry_read(id, &info), 1);
	assert_memory_equal(&info, &written, sizeof(info));
	bdus_registry_release(record);
	assert_int_equal(bdus_registry_read(id, &info), 0);
}

static void text_cannot_forge_other_fields(void **state)
{
	struct bdus_record *record;
	struct bdus_device_info written;
	struct bdus_device_info info;
	uint64_t id;

	(void)state;
	assert_int_equal(bdus_registry_reserve(&record, &id), 0);
	sample(&written, id);
	strcpy(written.driver, "evil\npid=1\nstate=3\nx=");
	assert_int_equal(bdus_registry_write(record, &written), 0);
	assert_int_equal(bdus_registry_read(id, &info), 1);
	assert_int_equal(info.pid, getpid());
	assert_int_equal(info.state, BDUS_STATE_AVAILABLE);
	assert_null(strchr(info.driver, '\n'));
	bdus_registry_release(record);
}

static void garbage_in_a_record_is_survived(void **state)
{
	static char text[5000];
	static const char *const texts[] = {"", "\n\n\n", "=\n=", "state", "pid=x\nsize_bytes=\n"};
	struct bdus_device_info info;

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(texts); i++) {
		write_file("9999.dev", texts[i]);
		assert_int_equal(bdus_registry_read(9999, &info), 1);
		assert_int_equal(info.state, BDUS_STATE_ORPHANED);
	}
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "transport=", 10);
	write_file("9999.dev", text);
	assert_int_equal(bdus_registry_read(9999, &info), 1);
	assert_int_equal(strlen(info.transport), sizeof(info.transport) - 1);
	bdus_registry_forget(&info);
}

static void the_record_of_a_killed_process_is_an_orphan(void **state)
{
	struct bdus_device_info info;
	uint64_t id = 0;
	int ends[2];
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		struct bdus_record *record;

		if (bdus_registry_reserve(&record, &id) != 0)
			_exit(1);
		sample(&info, id);
		if (bdus_registry_write(record, &info) != 0 ||
		    write(ends[1], &id, sizeof(id)) != sizeof(id))
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ends[0], &id, sizeof(id)), sizeof(id));
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(bdus_registry_read(id, &info), 1);
	assert_int_equal(info.state, BDUS_STATE_AVAILABLE);
	assert_int_equal(info.pid, child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(bdus_registry_read(id, &info), 1);
	assert_int_equal(info.state, BDUS_STATE_ORPHANED);
	assert_int_equal(info.pid, 0);
	assert_string_equal(info.driver, "ram");
	bdus_registry_forget(&info);
	assert_int_equal(bdus_registry_read(id, &info), 0);
}

static void looking_at_a_record_does_not_take_it_from_its_owner(void **state)
{
	struct bdus_record *record;
	struct bdus_device_info info;
	uint64_t id;

	(void)state;
	assert_int_equal(bdus_registry_reserve(&record, &id), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(bdus_registry_read(id, &info), 1);
		assert_int_not_equal(info.state, BDUS_STATE_ORPHANED);
	}
	bdus_registry_release(record);
}

static int count_and_keep(const struct bdus_device_info *info, void *opaque)
{
	uint64_t *const ids = opaque;

	ids[1 + ids[0]++] = info->id;
	return 0;
}

static int stop_at_once(const struct bdus_device_info *info, void *opaque)
{
	(void)info;
	(*(unsigned *)opaque)++;
	return -ECANCELED;
}

static void records_are_listed_in_the_order_of_their_ids(void **state)
{
	static const char *const names[] = {
		"10.dev",   "9.dev",      "100.dev", "x.dev",
		"7.device", ".8.dev.new", "11.ctl",  "99999999999999999999999.dev"};
	uint64_t ids[1 + 8] = {0};
	unsigned calls = 0;
	char path[96];

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(names); i++)
		write_file(names[i], "end\n");
	assert_int_equal(bdus_registry_each(count_and_keep, ids), 0);
	assert_int_equal(ids[0], 3);
	assert_int_equal(ids[1], 9);
	assert_int_equal(ids[2], 10);
	assert_int_equal(ids[3], 100);
	assert_int_equal(bdus_registry_each(stop_at_once, &calls), -ECANCELED);
	assert_int_equal(calls, 1);
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(names); i++) {
		format_path(path, sizeof(path), names[i]);
		unlink(path);
	}
}

/* ---- the directory --------------------------------------------------------------------------- */

static void a_runtime_directory_that_is_none_is_refused_by_name(void **state)
{
	static char long_name[300];
	char path[96];
	char found[256];

	(void)state;
	write_file("file", "");
	format_path(path, sizeof(path), "file");
	setenv("BDUS_RUNTIME_DIR", path, 1);
	assert_int_equal(bdus_registry_directory(found, sizeof(found)), -ENOTDIR);
	assert_non_null(strstr(base_error_message(), path));
	unlink(path);

	format_path(path, sizeof(path), "no/such");
	setenv("BDUS_RUNTIME_DIR", path, 1);
	assert_int_equal(bdus_registry_directory(found, sizeof(found)), -ENOENT);

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[0] = '/';
	setenv("BDUS_RUNTIME_DIR", long_name, 1);
	assert_int_equal(bdus_registry_directory(found, sizeof(found)), -ENAMETOOLONG);
	setenv("BDUS_RUNTIME_DIR", directory, 1);
	assert_int_equal(bdus_registry_directory(found, sizeof(found)), 0);
	assert_string_equal(found, directory);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)
	const struct CMUnitTest tests[] = {
		TEST(ids_count_up_and_are_not_reused_after_release),
		TEST(processes_that_race_get_ids_of_their_own),
		TEST(an_id_that_a_record_has_is_passed_over),
		TEST(a_damaged_counter_is_refused_by_name),
		TEST(a_record_is_read_as_it_was_written),
		TEST(text_cannot_forge_other_fields),
		TEST(garbage_in_a_record_is_survived),
		TEST(the_record_of_a_killed_process_is_an_orphan),
		TEST(looking_at_a_record_does_not_take_it_from_its_owner),
		TEST(records_are_listed_in_the_order_of_their_ids),
		TEST(a_runtime_directory_that_is_none_is_refused_by_name),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
