/* SPDX-License-Identifier: MIT */
/*
 * GPT on disks that sgdisk and sfdisk partitioned; sgdisk -v judges what was edited.
 */
#include "abi_test.h"
#include "gpt.h"

#include <stdlib.h>

#define DISK_BYTES (4U << 20)

static uint32_t sector_bytes;
static uint64_t header_lba;

SUBJECT_DYNAMIC(gpt_disk, sector_bytes, header_lba);
SUBJECT_DYNAMIC(gpt_header, sector_bytes);
SUBJECT_FIXED(gpt_protective_mbr);

static void make_with_sgdisk(void)
{
	need_tool("sgdisk");
	assert_int_equal(run(0,
			     "truncate -s %u disk && sgdisk -o -n 1:2048:+1M -c 1:'first one' -n "
			     "2:0:0 -t 2:8200 "
			     "-c 2:'ünïcode' -A 2:set:2 disk && sgdisk -v disk",
			     DISK_BYTES),
			 0);
}

static void make_with_sfdisk(void)
{
	need_tool("sfdisk");
	assert_int_equal(
		run(0,
		    "truncate -s %u disk && printf 'label: gpt\nsize=1MiB, name=one\nname=two\n' | "
		    "sfdisk -q disk",
		    DISK_BYTES),
		0);
}

/* Everything that must hold for the copy of the table whose header is at @lba. */
static void check_copy(const struct image *disk, uint32_t sector, uint64_t lba)
{
	struct gpt_disk_view view;

	sector_bytes = sector;
	header_lba = lba;
	assert_sound(&gpt_disk_subject, disk->data, disk->size);
	assert_sound(&gpt_header_subject, disk->data + lba * sector, sector);
	assert_rewritten(&gpt_header_subject, disk->data + lba * sector, sector);
	assert_int_equal(gpt_disk_check(&view, disk->data, disk->size, sector, lba, NULL), 0);
	assert_int_equal(gpt_disk_entries_count(&view), 128);
	assert_int_equal(gpt_disk_my_lba(&view), lba);
}

static void check_tables(uint32_t sector)
{
	struct image disk = load("disk");

	check_copy(&disk, sector, 1);
	check_copy(&disk, sector, disk.size / sector - 1);
	assert_sound(&gpt_protective_mbr_subject, disk.data, 512);
	assert_rewritten(&gpt_protective_mbr_subject, disk.data, 512);
	free(disk.data);
}

static void tables_of_sgdisk_are_sound(void **state)
{
	(void)state;
	make_with_sgdisk();
	check_tables(512);
}

static void tables_of_sfdisk_are_sound(void **state)
{
	(void)state;
	make_with_sfdisk();
	check_tables(512);
}

/* No tool here makes tables for larger sectors in files: one of sgdisk is laid out anew. */
static void tables_for_larger_sectors_are_found_where_they_are(void **state)
{
	struct image small, large = {calloc(1, 8U << 20), 8U << 20};

	(void)state;
	make_with_sgdisk();
	small = load("disk");
	memcpy(large.data, small.data, 512);
	memcpy(large.data + 4096, small.data + 512, 512);
	memcpy(large.data + 8192, small.data + 1024, 128 * 128);
	check_copy(&large, 4096, 1);
	sector_bytes = 512;
	assert_refused(&gpt_disk_subject, large.data, large.size, "signature");
	free(small.data);
	free(large.data);
}

static void names_are_read_as_they_were_given(void **state)
{
	struct image disk;
	struct gpt_entry_view entry;
	struct gpt_disk_view view;
	char name[64];
	size_t length;

	(void)state;
	make_with_sgdisk();
	disk = load("disk");
	assert_int_equal(gpt_disk_check(&view, disk.data, disk.size, 512, 1, NULL), 0);
	assert_int_equal(gpt_disk_entries_at(&view, 1, &entry), 0);
	length = wire_utf16_to_utf8(gpt_entry_name(&entry), name, sizeof(name));
	assert_int_equal(length, strlen("ünïcode"));
	assert_memory_equal(name, "ünïcode", length);
	assert_int_equal(gpt_entry_attributes(&entry), GPT_ATTRIBUTE_LEGACY_BOOT);
	assert_int_equal(gpt_guid_time_low(gpt_entry_type(&entry)), 0x0657fd6d);
	assert_int_equal(gpt_disk_entries_at(&view, 0, &entry), 0);
	assert_int_equal(gpt_entry_first_lba(&entry), 2048);
	assert_int_equal(gpt_entry_last_lba(&entry), 4095);
	assert_int_equal(gpt_disk_entries_at(&view, 128, &entry), -ERANGE);
	free(disk.data);
}

static void sgdisk_accepts_edited_tables(void **state)
{
	struct image disk;
	const uint64_t backup = DISK_BYTES / 512 - 1;

	(void)state;
	make_with_sgdisk();
	disk = load("disk");
	sector_bytes = 512;
	for (unsigned i = 0; i < 2; i++) {
		header_lba = i == 0 ? 1 : backup;
		edit(&gpt_disk_subject, disk.data, disk.size, "entries[0].name", "renamed");
		edit(&gpt_disk_subject, disk.data, disk.size, "entries[0].attributes",
		     "REQUIRED|HIDDEN");
		edit(&gpt_disk_subject, disk.data, disk.size, "disk_id.time_middle", "0x1234");
		assert_accepted(&gpt_disk_subject, disk.data, disk.size);
	}
	store_part("disk", 0, disk.data, disk.size);
	free(disk.data);
	assert_int_equal(run(0, "sgdisk -v -i 1 -p disk"), 0);
	assert_true(said("No problems found"));
	assert_true(said("renamed"));
	assert_true(said("4000000000000001"));
	assert_true(said("-1234-"));
}

static void every_changed_byte_under_a_checksum_is_found(void **state)
{
	struct image disk;
	const size_t backup = DISK_BYTES - 512;

	(void)state;
	make_with_sgdisk();
	disk = load("disk");
	sector_bytes = 512;
	header_lba = 1;
	corrupt(&gpt_disk_subject, disk.data, disk.size, (struct range){0, 1024 + 128 * 128},
		(const struct range[]){{510, 512 + 92}, {1024, 1024 + 128 * 128}, {0}});
	corrupt(&gpt_header_subject, disk.data + 512, 512, (struct range){0, 512},
		(const struct range[]){{0, 92}, {0}});
	truncate_all(&gpt_header_subject, disk.data + 512, 512);
	header_lba = backup / 512;
	corrupt(&gpt_disk_subject, disk.data, disk.size,
		(struct range){backup - 128 * 128, DISK_BYTES},
		(const struct range[]){{backup - 128 * 128, backup + 92}, {0}});
	header_lba = 1;
	truncate_all(&gpt_disk_subject, disk.data, 1024 + 128 * 128);
	free(disk.data);
}

/* A sealed table may still say what cannot be. */
static void impossible_tables_are_refused(void **state)
{
	struct image disk;
	struct gpt_disk_view view;

	(void)state;
	make_with_sgdisk();
	disk = load("disk");
	sector_bytes = 512;
	header_lba = 1;
	assert_int_equal(gpt_disk_open(&view, disk.data, disk.size, 512, 1, NULL), 0);
	gpt_disk_set_entries_lba(&view, UINT64_MAX);
	assert_refused(&gpt_disk_subject, disk.data, disk.size, "entries");
	gpt_disk_set_entries_lba(&view, DISK_BYTES / 512);
	assert_refused(&gpt_disk_subject, disk.data, disk.size, "entries");
	gpt_disk_set_entries_lba(&view, 2);
	gpt_disk_set_entry_count(&view, UINT32_MAX);
	assert_refused(&gpt_disk_subject, disk.data, disk.size, "entry_count");
	gpt_disk_set_entry_count(&view, 128);
	assert_accepted(&gpt_disk_subject, disk.data, disk.size);
	header_lba = 2;
	assert_refused(&gpt_disk_subject, disk.data, disk.size, "signature");
	header_lba = UINT64_MAX;
	assert_refused(&gpt_disk_subject, disk.data, disk.size, "");
	free(disk.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_of_sgdisk_are_sound),
		cmocka_unit_test(tables_of_sfdisk_are_sound),
		cmocka_unit_test(tables_for_larger_sectors_are_found_where_they_are),
		cmocka_unit_test(names_are_read_as_they_were_given),
		cmocka_unit_test(sgdisk_accepts_edited_tables),
		cmocka_unit_test(every_changed_byte_under_a_checksum_is_found),
		cmocka_unit_test(impossible_tables_are_refused),
	};

	return exit_code(cmocka_run_group_tests(tests, enter_folder, leave_folder));
}
