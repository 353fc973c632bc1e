/* SPDX-License-Identifier: MIT */
/*
 * Tests of the ram driver: its content against a model, on one thread and on several; the memory it
 * takes and gives back, measured from outside; and what happens when there is none.
 */
#include "double.h"
#include "model.h"
#include "suite.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

extern const struct bdus_driver bdus_driver_ram;

enum {
	KIB = 1 << 10,
	MIB = 1 << 20,
	THREADS = 4,
};

#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

static void open_ram(struct opened *opened, const char *options)
{
	assert_int_equal(double_open(opened, &bdus_driver_ram, options), 0);
}

/* Writes up to 1 MiB of one byte; for one thread at a time. */
static int fill(const struct opened *opened, uint64_t offset, uint64_t length, int byte)
{
	static unsigned char data[MIB];

	assert_true(length <= sizeof(data));
	memset(data, byte, length);
	return double_request(opened, BDUS_OP_WRITE, 0, offset, length, data);
}

static int byte_at(const struct opened *opened, uint64_t offset)
{
	unsigned char data[512];

	assert_int_equal(double_request(opened, BDUS_OP_READ, 0, offset & ~UINT64_C(511),
					sizeof(data), data),
			 0);
	return data[offset % 512];
}

/* The number of kilobytes that /proc/self/status gives for @key, in bytes. */
static int64_t status_bytes(const char *key)
{
	char line[256];
	int64_t value = -1;
	FILE *const file = fopen("/proc/self/status", "re");

	assert_non_null(file);
	while (value < 0 && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoll(line + strlen(key), NULL, 10) * KIB;
	fclose(file);
	assert_true(value >= 0);
	return value;
}

/* ---- content ------------------------------------------------------------------------------- */

static void play(const char *options, uint64_t length, uint32_t block, unsigned count)
{
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct opened opened;

		open_ram(&opened, options);
		const struct model_result result =
			model_play(&opened, 0, length, block, seed, count);
		if (result.failed_at != 0)
			fail_msg("%s, seed %d, request %u: %s", options, (int)seed,
				 result.failed_at, result.complaint);
		assert_int_equal(double_close(&opened), 0);
	}
}

static void content_matches_a_model(void **state)
{
	(void)state;
	/* The last unit is cut short by the end of the disk. */
	play("size=1050112", 1050112, 512, 2000);
	play("size=2M logical-block-size=4K", 2 * MIB, 4096, 2000);
	play("size=9M huge-pages=yes", 9 * MIB, 512, 1000);
}

struct player {
	const struct opened *opened;
	uint64_t start;
	uint64_t length;
	uint64_t seed;
	struct model_result result;
};

static void *play_range(void *argument)
{
	struct player *const player = argument;

	player->result =
		model_play(player->opened, player->start, player->length, 512, player->seed, 3000);
	return NULL;
}

/* The ranges of the threads meet in the middle of a page, so that they share its bit. */
static void play_side_by_side(const char *options)
{
	const uint64_t length = 301 * 512;
	struct player players[THREADS];
	pthread_t threads[THREADS];
	struct opened opened;

	open_ram(&opened, options);
	for (unsigned i = 0; i < THREADS; i++) {
		players[i] = (struct player){
			.opened = &opened, .start = i * length, .length = length, .seed = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, play_range, &players[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS; i++)
		if (players[i].result.failed_at != 0)
			fail_msg("%s, thread %u, request %u: %s", options, i,
				 players[i].result.failed_at, players[i].result.complaint);
	assert_int_equal(double_close(&opened), 0);
}

static void queues_that_share_a_page_do_not_disturb_one_another(void **state)
{
	(void)state;
	play_side_by_side("size=1M");
	play_side_by_side("size=1M huge-pages=yes");
}

/* Two threads that meet again and again, one writing some pages, one unmapping them. */
enum {
	DUEL_ROUNDS = 1000,
	DUEL_BYTES = 256 * KIB,
};

struct duel {
	struct opened opened;
	pthread_barrier_t barrier;
};

static void *unmap_again_and_again(void *argument)
{
	struct duel *const duel = argument;

	for (unsigned i = 0; i < DUEL_ROUNDS; i++) {
		pthread_barrier_wait(&duel->barrier);
		double_request(&duel->opened, BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_MAY_UNMAP, 0,
			       DUEL_BYTES, NULL);
		pthread_barrier_wait(&duel->barrier);
	}
	return NULL;
}

/* Whatever came of a page that was written and unmapped at once must not change of itself. */
static void check_page(const struct opened *opened, uint64_t page)
{
	const int first = byte_at(opened, page);

	assert_true(first == 0 || first == 0x55);
	assert_int_equal(fill(opened, page + 1024, 512, 0x77), 0);
	assert_int_equal(byte_at(opened, page), first);
	assert_int_equal(byte_at(opened, page + 1024), 0x77);
}

static void a_write_racing_an_unmap_is_lost_or_kept_for_good(void **state)
{
	struct duel duel;
	pthread_t thread;

	(void)state;
	open_ram(&duel.opened, "size=1M");
	pthread_barrier_init(&duel.barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, unmap_again_and_again, &duel), 0);
	for (unsigned i = 0; i < DUEL_ROUNDS; i++) {
		pthread_barrier_wait(&duel.barrier);
		assert_int_equal(fill(&duel.opened, 0, DUEL_BYTES, 0x55), 0);
		pthread_barrier_wait(&duel.barrier);
		for (uint64_t page = 0; page < DUEL_BYTES; page += 4096)
			check_page(&duel.opened, page);
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&duel.barrier);
	assert_int_equal(double_close(&duel.opened), 0);
}

static void long_writes_keep_every_byte(void **state)
{
	static unsigned char written[MIB + 512], read[MIB + 512];
	uint64_t random = 1;
	struct opened opened;

	(void)state;
	for (size_t i = 0; i < sizeof(written); i++)
		written[i] = (unsigned char)model_random(&random);
	open_ram(&opened, "size=4M");
	for (size_t offset = 0; offset < 4 * KIB; offset += 512) {
		const uint64_t length = sizeof(written) - offset;

		assert_int_equal(
			double_request(&opened, BDUS_OP_WRITE, 0, MIB + offset, length, written),
			0);
		memset(read, 0xee, sizeof(read));
		assert_int_equal(
			double_request(&opened, BDUS_OP_READ, 0, MIB + offset, length, read), 0);
		assert_memory_equal(written, read, length);
	}
	assert_int_equal(byte_at(&opened, MIB - 1), 0);
	assert_int_equal(byte_at(&opened, 2 * MIB + 512), 0);
	assert_int_equal(double_close(&opened), 0);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void reading_the_unwritten_takes_no_memory(void **state)
{
	unsigned char data[64 * KIB];
	struct opened opened;

	(void)state;
	open_ram(&opened, "size=1T");
	const int64_t resident = status_bytes("VmRSS:"), tables = status_bytes("VmPTE:");
	for (uint64_t offset = 0; offset < TIB; offset += 64 * MIB) {
		memset(data, 0xee, sizeof(data));
		assert_int_equal(
			double_request(&opened, BDUS_OP_READ, 0, offset, sizeof(data), data), 0);
		assert_int_equal(data[0] | data[sizeof(data) - 1], 0);
	}
	assert_in_range(status_bytes("VmRSS:") - resident + MIB, 0, 3 * MIB);
	assert_in_range(status_bytes("VmPTE:") - tables, 0, MIB);
	assert_int_equal(double_close(&opened), 0);
}

/* Resident memory may differ from what is expected by this much for other reasons. */
static void assert_resident(int64_t before, int64_t expected)
{
	const int64_t more = status_bytes("VmRSS:") - before;

	if (llabs(more - expected) > 3 * MIB)
		fail_msg("%lld KiB more resident, not %lld", (long long)more / KIB,
			 (long long)expected / KIB);
}

static void check_memory(const char *options, enum bdus_op op)
{
	const uint64_t length = 64 * MIB;
	struct opened opened;

	open_ram(&opened, options);
	const int64_t before = status_bytes("VmRSS:");
	for (uint64_t done = 0; done < length; done += MIB)
		assert_int_equal(fill(&opened, TIB / 2 + done, MIB, 0x11), 0);
	assert_resident(before, (int64_t)length);
	assert_int_equal(double_request(&opened, op, BDUS_REQUEST_MAY_UNMAP, TIB / 2 + length / 2,
					length / 2, NULL),
			 0);
	assert_resident(before, (int64_t)length / 2);
	assert_int_equal(byte_at(&opened, TIB / 2), 0x11);
	assert_int_equal(byte_at(&opened, TIB / 2 + length - 1), 0);
	assert_int_equal(double_close(&opened), 0);
	assert_resident(before, 0);
}

static void memory_follows_what_is_written_and_discarded(void **state)
{
	(void)state;
	check_memory("size=1T", BDUS_OP_DISCARD);
	check_memory("size=1T", BDUS_OP_WRITE_ZEROS);
	check_memory("size=1T huge-pages=yes", BDUS_OP_DISCARD);
}

static void memory_that_is_locked_is_given_back_too(void **state)
{
	struct opened opened;

	(void)state;
	if (mlockall(MCL_FUTURE | MCL_ONFAULT) < 0 ||
	    double_open(&opened, &bdus_driver_ram, "size=1T") < 0) {
		munlockall();
		suite_skip("this user may not lock memory");
	}
	assert_int_equal(double_close(&opened), 0);
	check_memory("size=1T", BDUS_OP_DISCARD);
	assert_int_equal(munlockall(), 0);
}

static void one_small_write_takes_one_page(void **state)
{
	struct opened opened;

	(void)state;
	open_ram(&opened, "size=1T");
	const int64_t before = status_bytes("VmRSS:");
	for (uint64_t i = 0; i < 1024; i++)
		assert_int_equal(fill(&opened, i * 16 * MIB, 512, 0x11), 0);
	assert_resident(before, 1024 * (int64_t)sysconf(_SC_PAGESIZE));
	assert_int_equal(double_close(&opened), 0);
}

static void write_zeros_without_unmap_keeps_the_range_allocated(void **state)
{
	struct bdus_extent extents[4];
	struct opened opened;

	(void)state;
	open_ram(&opened, "size=1T");
	const int64_t before = status_bytes("VmRSS:");
	assert_int_equal(fill(&opened, 8 * MIB, MIB, 0x11), 0);
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE_ZEROS, 0, 0, 64 * MIB, NULL), 0);
	assert_resident(before, 64 * MIB);
	assert_int_equal(byte_at(&opened, 8 * MIB), 0);
	assert_int_equal(double_extents(&opened, 0, 128 * MIB, extents, 4), 2);
	assert_int_equal(extents[0].length_bytes, 64 * MIB);
	assert_int_equal(extents[0].flags, 0);
	assert_int_equal(extents[1].length_bytes, 64 * MIB);
	assert_int_equal(extents[1].flags, BDUS_EXTENT_HOLE | BDUS_EXTENT_ZERO);
	assert_int_equal(double_close(&opened), 0);
}

static void unaligned_discard_keeps_what_shares_its_pages(void **state)
{
	struct opened opened;

	(void)state;
	open_ram(&opened, "size=1M");
	assert_int_equal(fill(&opened, 0, MIB, 0x11), 0);
	assert_int_equal(double_request(&opened, BDUS_OP_DISCARD, 0, 4096 - 512, 8192, NULL), 0);
	assert_int_equal(byte_at(&opened, 4095), 0x11);
	assert_int_equal(byte_at(&opened, 4096), 0);
	assert_int_equal(byte_at(&opened, 8191), 0);
	assert_int_equal(byte_at(&opened, 8192), 0x11);
	assert_int_equal(double_close(&opened), 0);
}

static void the_last_page_is_given_back_though_the_disk_ends_within_it(void **state)
{
	struct bdus_extent extents[2];
	struct opened opened;

	(void)state;
	open_ram(&opened, "size=1049088");
	assert_int_equal(fill(&opened, MIB, 512, 0x11), 0);
	assert_int_equal(double_extents(&opened, 0, MIB + 512, extents, 2), 2);
	assert_int_equal(extents[1].length_bytes, 512);
	assert_int_equal(double_request(&opened, BDUS_OP_DISCARD, 0, MIB, 512, NULL), 0);
	assert_int_equal(double_extents(&opened, 0, MIB + 512, extents, 2), 1);
	assert_int_equal(extents[0].length_bytes, MIB + 512);
	assert_int_equal(double_close(&opened), 0);
}

static void extents_tell_what_was_written(void **state)
{
	struct bdus_extent extents[8];
	struct opened opened;

	(void)state;
	open_ram(&opened, "size=64G");
	assert_int_equal(fill(&opened, 4096, 512, 0x11), 0);
	assert_int_equal(fill(&opened, 512 * KIB, 512 * KIB, 0x11), 0);
	assert_int_equal(double_extents(&opened, 512, 2 * MIB, extents, 8), 5);
	assert_int_equal(extents[0].length_bytes, 4096 - 512);
	assert_int_equal(extents[1].length_bytes, 4096);
	assert_int_equal(extents[1].flags, 0);
	assert_int_equal(extents[2].length_bytes, 512 * KIB - 8192);
	assert_int_equal(extents[3].length_bytes, 512 * KIB);
	assert_int_equal(extents[4].length_bytes, MIB + 512);
	assert_int_equal(extents[4].flags, BDUS_EXTENT_HOLE | BDUS_EXTENT_ZERO);
	/* An answer that has no room for more, and one that is cut short for its length. */
	assert_int_equal(double_extents(&opened, 512, 2 * MIB, extents, 2), 2);
	assert_int_equal(double_extents(&opened, 2 * MIB, 64 * GIB - 2 * MIB, extents, 8), 1);
	assert_true(extents[0].length_bytes >= GIB);
	assert_int_equal(double_close(&opened), 0);
}

/* ---- limits -------------------------------------------------------------------------------- */

static void a_write_past_the_limit_finds_no_space_and_harms_nothing(void **state)
{
	struct opened opened;

	(void)state;
	open_ram(&opened, "size=64G limit=4M");
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(fill(&opened, i * MIB, MIB, 0x11), 0);
	assert_int_equal(fill(&opened, 32 * GIB, 512, 0x22), -ENOSPC);
	assert_int_equal(byte_at(&opened, 32 * GIB), 0);
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE_ZEROS, 0, 5 * MIB, 512, NULL),
			 -ENOSPC);
	/* What has memory can be written again, and what is given back can be used elsewhere. */
	assert_int_equal(fill(&opened, 4 * MIB - 512, 512, 0x33), 0);
	assert_int_equal(double_request(&opened, BDUS_OP_DISCARD, 0, 0, 4096, NULL), 0);
	assert_int_equal(fill(&opened, 32 * GIB, 512, 0x22), 0);
	assert_int_equal(fill(&opened, 16 * GIB, 512, 0x22), -ENOSPC);
	assert_int_equal(byte_at(&opened, 4096), 0x11);
	assert_int_equal(byte_at(&opened, 4 * MIB - 1), 0x33);
	assert_int_equal(byte_at(&opened, 32 * GIB), 0x22);
	assert_int_equal(double_close(&opened), 0);
}

static void memory_reserved_for_the_machine_is_left_to_it(void **state)
{
	struct opened opened;

	(void)state;
	open_ram(&opened, "size=64G reserve=512T");
	assert_int_equal(fill(&opened, 0, 512, 0x11), -ENOSPC);
	assert_int_equal(byte_at(&opened, 0), 0);
	assert_int_equal(double_close(&opened), 0);
}

static void a_disk_of_many_tebibytes_works_to_its_end(void **state)
{
	struct opened opened;

	(void)state;
	open_ram(&opened, "size=32T");
	assert_int_equal(fill(&opened, 32 * TIB - 512, 512, 0x11), 0);
	assert_int_equal(byte_at(&opened, 32 * TIB - 1), 0x11);
	assert_int_equal(byte_at(&opened, 32 * TIB - 513), 0);
	assert_int_equal(double_request(&opened, BDUS_OP_DISCARD, 0, 32 * TIB - 4096, 4096, NULL),
			 0);
	assert_int_equal(byte_at(&opened, 32 * TIB - 1), 0);
	assert_int_equal(double_close(&opened), 0);
}

static void a_size_without_address_space_is_refused_by_name(void **state)
{
	struct rlimit old, low;
	struct opened opened;
	int result;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)status_bytes("VmSize:") + (rlim_t)64 * MIB;
	assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
	result = double_open(&opened, &bdus_driver_ram, "size=1T");
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	assert_int_equal(result, -ENOMEM);
	assert_non_null(strstr(double_message(), "size=1099511627776"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_matches_a_model),
		cmocka_unit_test(queues_that_share_a_page_do_not_disturb_one_another),
		cmocka_unit_test(a_write_racing_an_unmap_is_lost_or_kept_for_good),
		cmocka_unit_test(long_writes_keep_every_byte),
		cmocka_unit_test(reading_the_unwritten_takes_no_memory),
		cmocka_unit_test(memory_follows_what_is_written_and_discarded),
		cmocka_unit_test(memory_that_is_locked_is_given_back_too),
		cmocka_unit_test(one_small_write_takes_one_page),
		cmocka_unit_test(write_zeros_without_unmap_keeps_the_range_allocated),
		cmocka_unit_test(unaligned_discard_keeps_what_shares_its_pages),
		cmocka_unit_test(the_last_page_is_given_back_though_the_disk_ends_within_it),
		cmocka_unit_test(extents_tell_what_was_written),
		cmocka_unit_test(a_write_past_the_limit_finds_no_space_and_harms_nothing),
		cmocka_unit_test(memory_reserved_for_the_machine_is_left_to_it),
		cmocka_unit_test(a_disk_of_many_tebibytes_works_to_its_end),
		cmocka_unit_test(a_size_without_address_space_is_refused_by_name),
	};

	return suite_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
