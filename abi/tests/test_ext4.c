/* SPDX-License-Identifier: MIT */
/*
 * ext2, ext3 and ext4 as mke2fs makes them with several sets of features; e2fsck judges what was
 * edited.
 */
#include "abi_test.h"
#include "ext4.h"

#include <stdio.h>
#include <stdlib.h>

/* Parameters of the structures, as they follow from the superblock and from where a structure lies.
 */
static uint32_t group, number, generation, seed, block_bytes;
static uint16_t descriptor_bytes, inode_bytes;
static uint8_t checksums;
static bool old_checksums;
static struct wire_bytes uuid;

SUBJECT_FIXED(ext4_superblock);
SUBJECT_DYNAMIC(ext4_filesystem);
SUBJECT_DYNAMIC(ext4_group_descriptor, group, descriptor_bytes, old_checksums, checksums, seed,
		uuid);
SUBJECT_DYNAMIC(ext4_inode, number, inode_bytes, checksums, seed, uuid);
SUBJECT_DYNAMIC(ext4_extent_block, block_bytes, number, generation, checksums, seed, uuid);
SUBJECT_DYNAMIC(ext4_directory_block, block_bytes, number, generation, checksums, seed, uuid);

static const char *const feature_sets[] = {
	"-t ext4 -b 4096",
	"-t ext4 -b 1024",
	"-t ext4 -b 1024 -O ^metadata_csum,uninit_bg",
	"-t ext4 -b 2048 -O ^64bit",
	"-t ext4 -b 1024 -O metadata_csum_seed -I 512",
	"-t ext4 -b 4096 -O inline_data -I 1024",
	"-t ext4 -b 4096 -O bigalloc -C 16384",
	"-t ext4 -b 4096 -O quota,project,casefold,verity,sparse_super2,large_dir,ea_inode -L "
	"'sixteen letters!'",
	"-t ext3 -b 2048",
	"-t ext2 -b 1024 -I 128",
	"-t ext2 -b 1024 -r 0",
};

static struct image disk;

static const struct ext4_superblock *superblock(void)
{
	return ext4_superblock_from(disk.data + EXT4_SUPERBLOCK_OFFSET);
}

static void learn_parameters(void)
{
	const struct ext4_superblock *s = superblock();

	block_bytes = 1024U << ext4_superblock_log_block_size(s);
	inode_bytes = ext4_superblock_revision(s) == 0 ? 128 : ext4_superblock_inode_bytes(s);
	descriptor_bytes = 32;
	if (ext4_superblock_incompat_features(s) & EXT4_INCOMPAT_WIDE)
		descriptor_bytes = ext4_superblock_descriptor_bytes(s);
	old_checksums = ext4_superblock_ro_compat_features(s) & EXT4_RO_COMPAT_GDT_CSUM;
	checksums = 0;
	if (ext4_superblock_ro_compat_features(s) & EXT4_RO_COMPAT_METADATA_CSUM)
		checksums =
			ext4_superblock_incompat_features(s) & EXT4_INCOMPAT_CHECKSUM_SEED ? 2 : 1;
	seed = ext4_superblock_checksum_seed(s);
	uuid = ext4_superblock_uuid(s);
}

/* A file system with the tree in it. */
static void make_disk(const char *features)
{
	need_tool("mke2fs");
	need_tool("e2fsck");
	need_tool("debugfs");
	make_tree();
	free(disk.data);
	disk.data = NULL;
	/* With quota, mke2fs forgets to count the tree. */
	assert_int_equal(run(0,
			     "rm -f disk && mke2fs -q -F -d tree %s disk 24M && { e2fsck -fy disk "
			     "|| test $? = 1; } "
			     "&& e2fsck -fn disk",
			     features),
			 0);
	/* Makes the seed different from what the UUID gives. */
	if (strstr(features, "csum_seed") != NULL)
		assert_int_equal(run(0, "tune2fs -U random disk"), 0);
	disk = load("disk");
	learn_parameters();
}

static uint8_t *descriptor(uint32_t index)
{
	group = index;
	return disk.data +
	       (size_t)(ext4_superblock_first_data_block(superblock()) + 1) * block_bytes +
	       (size_t)index * descriptor_bytes;
}

static uint32_t group_count(void)
{
	struct ext4_filesystem_view view;

	assert_int_equal(ext4_filesystem_check(&view, disk.data, disk.size, NULL), 0);
	return (uint32_t)ext4_filesystem_groups_count(&view);
}

/* Where an inode lies; it becomes the parameter of the subjects. */
static uint8_t *inode(uint32_t wanted)
{
	const uint32_t per_group = ext4_superblock_inodes_per_group(superblock());
	const uint8_t *data = descriptor((wanted - 1) / per_group);
	struct ext4_group_descriptor_view view;

	number = wanted;
	assert_int_equal(ext4_group_descriptor_check(&view, data, descriptor_bytes, group,
						     descriptor_bytes, old_checksums, checksums,
						     seed, uuid, NULL),
			 0);
	return disk.data + ext4_group_descriptor_inode_table(&view) * block_bytes +
	       (size_t)((wanted - 1) % per_group) * inode_bytes;
}

static void read_inode(struct ext4_inode_view *view, uint32_t wanted)
{
	const uint8_t *data = inode(wanted);

	assert_int_equal(ext4_inode_check(view, data, inode_bytes, wanted, inode_bytes, checksums,
					  seed, uuid, NULL),
			 0);
	generation = ext4_inode_generation(view);
}

/* The number of the inode at a path, as debugfs finds it. */
static uint32_t number_of(const char *path)
{
	struct image log;
	uint32_t found = 0;
	const char *text;

	assert_int_equal(run(0, "debugfs -R 'stat %s' disk", path), 0);
	log = load("log");
	text = memmem(log.data, log.size, "Inode: ", 7);
	assert_non_null(text);
	found = (uint32_t)strtoul(text + 7, NULL, 10);
	free(log.data);
	return found;
}

/* The place of a file's first block, by extents in the inode or by its table. */
static uint8_t *first_block(const struct ext4_inode_view *view)
{
	const struct ext4_extent_node_view *node = ext4_inode_extents(view);

	if (node == NULL)
		return disk.data + (size_t)ext4_inode_blocks(view, 0) * block_bytes;
	return disk.data + ext4_extent_start(ext4_extent_node_extents(node, 0)) * block_bytes;
}

static uint8_t *directory_block(const char *path)
{
	struct ext4_inode_view view;

	read_inode(&view, number_of(path));
	assert_int_equal(ext4_inode_mode(&view) & 0xf000, 0x4000);
	return ext4_inode_has_inline_data(&view) ? NULL : first_block(&view);
}

static uint8_t *extent_block(const char *path)
{
	struct ext4_inode_view view;
	const struct ext4_extent_node_view *node;

	read_inode(&view, number_of(path));
	node = ext4_inode_extents(&view);
	if (node == NULL)
		return NULL;
	assert_int_equal(ext4_extent_node_depth(node), 1);
	return disk.data + ext4_extent_index_leaf(ext4_extent_node_indexes(node, 0)) * block_bytes;
}

/* ---- tests ---- */

static void check_inodes(void)
{
	const uint32_t count = ext4_superblock_inode_count(superblock());
	unsigned used = 0;

	for (uint32_t i = 1; i <= count; i++) {
		const uint8_t *data = inode(i);
		const bool is_used = !wire_is_zero(data, inode_bytes);

		assert_accepted(&ext4_inode_subject, data, inode_bytes);
		if (!is_used)
			continue;
		assert_printed(&ext4_inode_subject, data, inode_bytes);
		assert_round_trip(&ext4_inode_subject, data, inode_bytes);
		if (used++ % 16 == 0)
			assert_rewritten(&ext4_inode_subject, data, inode_bytes);
	}
	assert_true(used > 40);
}

static void check_metadata(void)
{
	const uint8_t *block;

	assert_sound(&ext4_superblock_subject, superblock(), 1024);
	assert_rewritten(&ext4_superblock_subject, superblock(), 1024);
	assert_sound(&ext4_filesystem_subject, disk.data, disk.size);
	for (uint32_t i = 0; i < group_count(); i++) {
		const uint8_t *data = descriptor(i);

		assert_sound(&ext4_group_descriptor_subject, data, descriptor_bytes);
		assert_rewritten(&ext4_group_descriptor_subject, data, descriptor_bytes);
	}
	check_inodes();
	block = directory_block("/folder");
	if (block != NULL)
		assert_sound(&ext4_directory_block_subject, block, block_bytes);
	block = extent_block("/sparse");
	if (block != NULL)
		assert_sound(&ext4_extent_block_subject, block, block_bytes);
}

static void file_systems_of_mke2fs_are_sound(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(feature_sets) / sizeof(*feature_sets); i++) {
		print_message("mke2fs %s\n", feature_sets[i]);
		make_disk(feature_sets[i]);
		check_metadata();
	}
}

static void values_are_those_that_debugfs_shows(void **state)
{
	struct ext4_inode_view view;
	struct wire_text text;

	(void)state;
	make_disk(feature_sets[0]);
	read_inode(&view, number_of("/large"));
	assert_true(said("Size: 300000"));
	assert_int_equal(ext4_inode_length(&view), 300000);
	assert_true(ext4_inode_flags(&view) & EXT4_INODE_FLAG_EXTENTS);
	read_inode(&view, number_of("/short"));
	text = ext4_inode_symlink(&view);
	assert_int_equal(text.length, 14);
	assert_memory_equal(text.data, "folder/file-01", 14);
	read_inode(&view, EXT4_ROOT_INODE);
	assert_int_equal(ext4_inode_link_count(&view), 4);
}

/* The index of the entry with a name of a directory's block. */
static size_t entry_named(const uint8_t *block, const char *name)
{
	struct ext4_directory_block_view view;
	struct ext4_directory_entry_view entry;
	struct wire_cursor cursor = {0};

	assert_int_equal(ext4_directory_block_check(&view, block, block_bytes, block_bytes, number,
						    generation, checksums, seed, uuid, NULL),
			 0);
	for (size_t i = 0; ext4_directory_block_entries_next(&view, &cursor, &entry); i++) {
		const struct wire_text text = ext4_directory_entry_name(&entry);

		if (text.length == strlen(name) && memcmp(text.data, name, text.length) == 0)
			return i;
	}
	fail_msg("there is no entry %s", name);
	return 0;
}

static void edit_everything(void)
{
	uint8_t *const file = inode(number_of("/folder/file-07"));
	uint8_t *block;
	char path[64];

	edit(&ext4_inode_subject, file, inode_bytes, "modification_time", "1000000000");
	edit(&ext4_inode_subject, file, inode_bytes, "uid_lo", "4711");
	block = directory_block("/folder");
	snprintf(path, sizeof(path), "entries[%zu].name", entry_named(block, "file-09"));
	edit(&ext4_directory_block_subject, block, block_bytes, path, "renamed");
	edit(&ext4_group_descriptor_subject, descriptor(0), descriptor_bytes, "flags",
	     "INODES_ZEROED");
	edit(&ext4_superblock_subject, disk.data + EXT4_SUPERBLOCK_OFFSET, 1024, "label",
	     "another");
	edit(&ext4_superblock_subject, disk.data + EXT4_SUPERBLOCK_OFFSET, 1024, "error_count",
	     "0");
	assert_accepted(&ext4_filesystem_subject, disk.data, disk.size);
	store_part("disk", 0, disk.data, disk.size);
}

static void e2fsck_accepts_edited_file_systems(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(feature_sets) / sizeof(*feature_sets); i++) {
		/* With inline data the folder has no block; with quota, files cannot change hands.
		 */
		if (strstr(feature_sets[i], "inline_data") != NULL ||
		    strstr(feature_sets[i], "quota") != NULL)
			continue;
		print_message("mke2fs %s\n", feature_sets[i]);
		make_disk(feature_sets[i]);
		edit_everything();
		assert_int_equal(run(0,
				     "e2fsck -fn disk && debugfs -R 'stat /folder/renamed' disk && "
				     "debugfs -R 'stat /folder/file-07' disk && dumpe2fs -h disk"),
				 0);
		assert_true(said("Volume name:              another") || said("another"));
		assert_true(said("0x3b9aca00"));
		assert_true(said("User:  4711"));
	}
}

static void corrupt_one(const struct subject *subject, const void *data, size_t size,
			size_t covered)
{
	const struct range all[] = {{0, checksums != 0 ? covered : 0}, {0}};

	corrupt(subject, data, size, (struct range){0, size}, all);
	truncate_all(subject, data, size);
}

static void every_changed_byte_under_a_checksum_is_found(void **state)
{
	uint8_t *block;

	(void)state;
	for (unsigned i = 0; i < sizeof(feature_sets) / sizeof(*feature_sets); i++) {
		print_message("mke2fs %s\n", feature_sets[i]);
		make_disk(feature_sets[i]);
		/* Byte 101 says that there are checksums. */
		corrupt(&ext4_superblock_subject, superblock(), 1024, (struct range){0, 1024},
			(const struct range[]){
				{0, checksums ? 101 : 0}, {102, checksums ? 1024 : 0}, {0}});
		truncate_all(&ext4_superblock_subject, superblock(), 1024);
		corrupt(&ext4_group_descriptor_subject, descriptor(1 % group_count()),
			descriptor_bytes, (struct range){0, descriptor_bytes},
			(const struct range[]){
				{0, old_checksums || checksums ? descriptor_bytes : 0}, {0}});
		corrupt_one(&ext4_inode_subject, inode(EXT4_ROOT_INODE), inode_bytes, inode_bytes);
		corrupt_one(&ext4_inode_subject, inode(number_of("/short")), inode_bytes,
			    inode_bytes);
		corrupt_one(&ext4_inode_subject, inode(number_of("/sparse")), inode_bytes,
			    inode_bytes);
		block = directory_block("/folder");
		if (block != NULL)
			corrupt_one(&ext4_directory_block_subject, block, block_bytes, block_bytes);
		block = extent_block("/sparse");
		if (block != NULL)
			corrupt_one(&ext4_extent_block_subject, block, block_bytes,
				    12 + block_bytes / 12 * 12 - 12);
	}
}

/* The table of group descriptors, seen from the whole file system. */
static void damage_to_the_descriptors_is_found_from_the_start(void **state)
{
	const size_t from = 4096;
	struct image part;

	(void)state;
	make_disk("-t ext4 -b 4096");
	part = load_part("disk", 0, 8192);
	corrupt(&ext4_filesystem_subject, part.data, part.size, (struct range){0, 8192},
		(const struct range[]){{1024, 1125},
				       {1126, 2048},
				       {from, from + group_count() * descriptor_bytes},
				       {0}});
	truncate_all(&ext4_filesystem_subject, part.data, from + group_count() * descriptor_bytes);
	free(part.data);
}

static int clean_up(void **state)
{
	free(disk.data);
	return leave_folder(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_systems_of_mke2fs_are_sound),
		cmocka_unit_test(values_are_those_that_debugfs_shows),
		cmocka_unit_test(e2fsck_accepts_edited_file_systems),
		cmocka_unit_test(every_changed_byte_under_a_checksum_is_found),
		cmocka_unit_test(damage_to_the_descriptors_is_found_from_the_start),
	};

	return exit_code(cmocka_run_group_tests(tests, enter_folder, clean_up));
}
