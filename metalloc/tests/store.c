/* SPDX-License-Identifier: MIT */
/*
 * The database: what is merged how, and that nothing in a file is followed which should not be.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[STORE_PATH];
static char path[STORE_PATH];
static const struct identity identity = {.key = {1, 2, 3}, .name = "program"};

static int make_directory(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/metalloc-store-XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	return store_path(path, directory, identity.key) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static struct store *create(void)
{
	struct store *store = NULL;

	assert_int_equal(store_create(directory, &identity, &store), 0);
	assert_non_null(store);
	return store;
}

static void test_new_file_is_whole_and_private(void **state)
{
	struct store *const store = create();
	struct store_head head;
	struct stat file;

	(void)state;
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode, S_IFREG | 0600);
	assert_int_equal(file.st_size, STORE_BYTES);
	assert_true(file.st_blocks * 512 >= STORE_BYTES);
	assert_int_equal(store_open(path, identity.key, &head, NULL), 0);
	assert_string_equal(head.name, "program");
	munmap(store, STORE_BYTES);
}

static void test_record_of_a_process_that_is_gone_is_merged(void **state)
{
	struct store *const store = create();
	const pid_t child = fork();

	(void)state;
	if (child == 0) {
		const int slot = store_claim(store);

		store->pages[2 + slot].record.allocated[3] = 1000;
		store->pages[2 + slot].record.carved[3] = 500;
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(store->pages[1].record.allocated[3], 0);
	store_recover(store);
	assert_int_equal(store->pages[1].record.allocated[3], 1000);
	assert_int_equal(store->pages[0].head.runs, 1);
	assert_int_equal(store->pages[0].head.choice.ways[3], CHOICE_LISTS);
	assert_int_equal(store->pages[0].head.writers[0], 0);
	munmap(store, STORE_BYTES);
}

static void test_merge_passes_over_a_merger_that_was_killed(void **state)
{
	struct store *const store = create();
	const pid_t child = fork();
	int slot;

	(void)state;
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	store->pages[0].head.merging = (uint32_t)child;
	slot = store_claim(store);
	store_merge(store, (unsigned)slot);
	assert_int_equal(store->pages[0].head.merging, 0);
	store->pages[0].head.merging = (uint32_t)getppid();
	slot = store_claim(store);
	store_merge(store, (unsigned)slot);
	assert_int_equal(store->pages[0].head.writers[slot], getpid());
	munmap(store, STORE_BYTES);
}

static void test_no_more_records_than_pages(void **state)
{
	struct store *const store = create();

	(void)state;
	for (unsigned i = 0; i < STORE_SLOTS; i++)
		assert_int_equal(store_claim(store), i);
	assert_int_equal(store_claim(store), -1);
	munmap(store, STORE_BYTES);
}

static void test_weights_decay(void **state)
{
	static struct record merged, run;

	(void)state;
	run.allocated[1] = 800;
	store_weigh(&merged, &run, 0);
	assert_int_equal(merged.allocated[1], 800);
	run.allocated[1] = 400;
	store_weigh(&merged, &run, 1);
	assert_int_equal(merged.allocated[1], 600);
	for (unsigned i = 2; i < 60; i++)
		store_weigh(&merged, &run, i);
	assert_in_range(merged.allocated[1], 400, 410);
	run.allocated[1] = UINT64_MAX;
	store_weigh(&merged, &run, 60);
	assert_true(merged.allocated[1] <= INT64_MAX);
}

static void test_profile_converges_and_starts_anew_when_behaviour_changes(void **state)
{
	struct store *const store = create();

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		const int slot = store_claim(store);

		store->pages[2 + slot].record.allocated[2] = 100000;
		store_merge(store, (unsigned)slot);
	}
	assert_true(store->pages[0].head.stable >= STORE_CONVERGED);
	for (unsigned i = 0; i < 4; i++) {
		const int slot = store_claim(store);

		store->pages[2 + slot].record.allocated[40] = 1000000;
		store_merge(store, (unsigned)slot);
	}
	assert_true(store->pages[0].head.stable < STORE_CONVERGED);
	munmap(store, STORE_BYTES);
}

/** Writes over one byte of the file's head at a time: the file is refused, or means the same
 * bounds. */
static void test_damaged_heads_are_never_followed(void **state)
{
	struct store *const store = create();
	unsigned char *const bytes = (unsigned char *)store;
	unsigned refused = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(struct store_head); i++)
		for (unsigned flip = 1; flip < 256; flip *= 2) {
			struct store_head head;
			int error;

			bytes[i] ^= (unsigned char)flip;
			error = store_open(path, identity.key, &head, NULL);
			assert_true(error == 0 || error == -EBADMSG);
			if (error == 0)
				assert_true(choice_is_valid(&head.choice));
			refused += error != 0;
			bytes[i] ^= (unsigned char)flip;
		}
	assert_true(refused >= 8 * (sizeof(struct choice) + 16 + STORE_KEY));
	munmap(store, STORE_BYTES);
}

/** The owner may write anything into the records; merging must survive it, and choose within
 * bounds. */
static void test_hostile_records_make_choices_within_bounds(void **state)
{
	struct store *const store = create();

	(void)state;
	srandom(20261122);
	for (unsigned round = 0; round < 2000; round++) {
		const int slot = store_claim(store);

		for (unsigned page = 1; page < 3; page++)
			for (size_t i = 0; i < STORE_PAGE; i++)
				store->pages[page].bytes[i] = (char)(random() >> (random() % 16));
		store_merge(store, (unsigned)slot);
		assert_true(choice_is_valid(&store->pages[0].head.choice));
	}
	munmap(store, STORE_BYTES);
}

static void test_files_that_others_could_have_written_are_ignored(void **state)
{
	struct store *const store = create();
	struct store_head head;
	char other[STORE_PATH + 2];

	(void)state;
	assert_int_equal(chmod(path, 0620), 0);
	assert_int_equal(store_open(path, identity.key, &head, NULL), -EPERM);
	assert_int_equal(chmod(path, 0602), 0);
	assert_int_equal(store_open(path, identity.key, &head, NULL), -EPERM);
	assert_int_equal(chmod(path, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(store_open(path, identity.key, &head, NULL), -EPERM);
		assert_int_equal(chown(path, 0, 0), 0);
	}
	snprintf(other, sizeof(other), "%s.l", path);
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(store_open(other, identity.key, &head, NULL), -ELOOP);
	unlink(other);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(store_open(other, identity.key, &head, NULL), -EPERM);
	unlink(other);
	assert_int_equal(store_open("/dev/zero", identity.key, &head, NULL), -EPERM);
	munmap(store, STORE_BYTES);
}

static void test_files_of_another_length_are_ignored(void **state)
{
	struct store_head head;
	struct store *map = NULL;

	(void)state;
	munmap(create(), STORE_BYTES);
	assert_int_equal(truncate(path, STORE_BYTES - 1), 0);
	assert_int_equal(store_open(path, identity.key, &head, &map), -EBADMSG);
	assert_int_equal(truncate(path, STORE_BYTES + 1), 0);
	assert_int_equal(store_open(path, identity.key, &head, &map), -EBADMSG);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(store_create(directory, &identity, &map), -EBADMSG);
	assert_null(map);
}

static void test_limit_on_file_sizes_makes_no_file_and_no_signal(void **state)
{
	struct rlimit old, least;
	struct store *map = NULL;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	least = old;
	least.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &least), 0);
	assert_int_equal(store_create(directory, &identity, &map), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_identity_is_the_build_id_with_the_script(void **state)
{
	struct identity here, file, with_script;
	char word[] = "x", *words[] = {word, NULL};

	(void)state;
	identify(&here, 1, words);
	assert_int_equal(identify_file(&file, "/proc/self/exe", NULL), 0);
	assert_memory_equal(here.key, file.key, STORE_KEY);
	assert_int_equal(identify_file(&file, "/bin/sh", NULL), 0);
	assert_memory_not_equal(here.key, file.key, STORE_KEY);
	assert_int_equal(identify_file(&with_script, "/bin/sh", "/etc/passwd"), 0);
	assert_memory_not_equal(with_script.key, file.key, STORE_KEY);
	assert_int_equal(identify_file(&with_script, "/bin/sh", "-c"), 0);
	assert_memory_equal(with_script.key, file.key, STORE_KEY);
	assert_int_equal(identify_file(&file, "/nonexistent", NULL), -ENOENT);
	assert_int_equal(identify_file(&file, "/tmp", NULL), -EINVAL);
}

static void test_choice_follows_the_profile(void **state)
{
	static struct record merged;
	struct choice choice;

	(void)state;
	merged.allocated[1] = 10;
	merged.allocated[2] = 1000;
	merged.allocated[3] = 1000000;
	merged.carved[3] = 1000000;
	choice_make(&merged, &choice);
	assert_int_equal(choice.ways[1], CHOICE_BUMP);
	assert_int_equal(choice.ways[2], CHOICE_LISTS);
	assert_int_equal(choice.ways[3], CHOICE_LISTS | CHOICE_WHOLE);
	assert_int_equal(choice.ways[4], CHOICE_OPEN);
	assert_int_equal(choice.flags, 0);
	merged.foreign = 200000;
	merged.peak_bytes = UINT64_C(1) << 30;
	merged.resident_bytes = UINT64_C(1) << 29;
	choice_make(&merged, &choice);
	assert_int_equal(choice.flags, 0);
	merged.resident_bytes = UINT64_C(1) << 30;
	merged.big_allocated[9] = 1000;
	merged.big_peak[9] = 2;
	choice_make(&merged, &choice);
	assert_int_equal(choice.ways[2], CHOICE_HANDOVER);
	assert_int_equal(choice.flags, CHOICE_HUGE);
	assert_in_range(choice.keep_bytes, 28 << 20, 64 << 20);
	assert_true(choice_is_valid(&choice));
}

static void test_choice_keeps_what_comes_and_goes(void **state)
{
	struct record merged = {.peak_bytes = UINT64_C(80) << 20};
	struct choice choice;

	(void)state;
	merged.big_allocated[8] = 1000;
	merged.big_peak[8] = 6;
	choice_make(&merged, &choice);
	assert_int_equal(choice.flags, CHOICE_LARGE);
	assert_int_equal(choice.keep_bytes, merged.peak_bytes);
	merged.resident_bytes = merged.peak_bytes;
	choice_make(&merged, &choice);
	assert_int_equal(choice.flags, CHOICE_LARGE | CHOICE_LARGE_HUGE);
	assert_true(choice_is_valid(&choice));
	merged.big_allocated[8] = 0;
	merged.carved[1] = 20 * merged.peak_bytes / class_bytes(1);
	choice_make(&merged, &choice);
	assert_int_equal(choice.flags, CHOICE_HUGE);
	assert_int_equal(choice.keep_bytes, merged.peak_bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new_file_is_whole_and_private),
		TEST(test_record_of_a_process_that_is_gone_is_merged),
		TEST(test_merge_passes_over_a_merger_that_was_killed),
		TEST(test_no_more_records_than_pages),
		cmocka_unit_test(test_weights_decay),
		TEST(test_profile_converges_and_starts_anew_when_behaviour_changes),
		TEST(test_damaged_heads_are_never_followed),
		TEST(test_hostile_records_make_choices_within_bounds),
		TEST(test_files_that_others_could_have_written_are_ignored),
		TEST(test_files_of_another_length_are_ignored),
		TEST(test_limit_on_file_sizes_makes_no_file_and_no_signal),
		cmocka_unit_test(test_identity_is_the_build_id_with_the_script),
		cmocka_unit_test(test_choice_follows_the_profile),
		cmocka_unit_test(test_choice_keeps_what_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
