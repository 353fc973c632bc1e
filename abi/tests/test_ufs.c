/* SPDX-License-Identifier: MIT */
/*
 * UFS1 and UFS2 of both byte orders, as makefs makes them. There is no checker of UFS for Linux;
 * check hashes, which makefs does not write, are compared with a CRC computed here.
 */
#include "abi_test.h"
#include "ufs.h"

#include <stdio.h>
#include <stdlib.h>

/* Parameters of the structures, as they follow from the superblock. */
static enum wire_order order;
static uint32_t group_bytes, symlink_bytes;
static bool groups_are_hashed, inodes_are_hashed;

SUBJECT_DYNAMIC(ufs_superblock1);
SUBJECT_DYNAMIC(ufs_superblock2);
SUBJECT_DYNAMIC(ufs_cylinder_group, group_bytes, groups_are_hashed);
SUBJECT_FIXED(ufs_inode1, order, symlink_bytes);
SUBJECT_FIXED(ufs_inode2, order, symlink_bytes, inodes_are_hashed);
SUBJECT_DYNAMIC(ufs_directory_block, order);

struct kind {
	unsigned version;
	enum wire_order order;
	const char *options;
};

static const struct kind kinds[] = {
	{1, WIRE_LITTLE, "-o version=1"},
	{1, WIRE_BIG, "-B be -o version=1"},
	{2, WIRE_LITTLE, "-o version=2"},
	{2, WIRE_BIG, "-B be -o version=2"},
	{2, WIRE_LITTLE, "-o version=2,bsize=16384,fsize=2048,minfree=3,optimization=space"},
};

static struct image disk;
static const struct kind *kind;
static const struct ufs_geometry *geometry;

static uint32_t word_at(const uint8_t *data)
{
	return order == WIRE_BIG ? wire_load_be32(data) : wire_load_le32(data);
}

/* As a system finds it: Debian's makefs puts superblocks of UFS2 where those of UFS1 are. */
static size_t superblock_offset(void)
{
	static const size_t places[] = {UFS_UFS2_SUPERBLOCK_OFFSET, UFS_UFS1_SUPERBLOCK_OFFSET,
					UFS_FLOPPY_SUPERBLOCK_OFFSET, UFS_LATE_SUPERBLOCK_OFFSET};
	const uint32_t magic = kind->version == 1 ? UFS_UFS1_MAGIC : UFS_UFS2_MAGIC;

	for (unsigned i = 0; i < 4; i++)
		if (word_at(disk.data + places[i] + UFS_SUPERBLOCK_BYTES - 4) == magic)
			return places[i];
	fail_msg("there is no superblock");
	return 0;
}

static const struct subject *superblock_subject(void)
{
	return kind->version == 1 ? &ufs_superblock1_subject : &ufs_superblock2_subject;
}

static const struct subject *inode_subject(void)
{
	return kind->version == 1 ? &ufs_inode1_subject : &ufs_inode2_subject;
}

static size_t inode_bytes(void)
{
	return kind->version == 1 ? 128 : 256;
}

static uint8_t *superblock(void)
{
	return disk.data + superblock_offset();
}

static size_t superblock_bytes(void)
{
	return ufs_geometry_superblock_bytes(geometry, order);
}

static void make_disk(const struct kind *wanted)
{
	need_tool("makefs");
	kind = wanted;
	order = kind->order;
	make_tree();
	free(disk.data);
	disk.data = NULL;
	assert_int_equal(run(0, "rm -f disk && makefs -t ffs -s 8m %s disk tree", kind->options),
			 0);
	disk = load("disk");
	assert_accepted(superblock_subject(), superblock(), disk.size - superblock_offset());
	geometry = ufs_geometry_from(superblock());
	group_bytes = ufs_geometry_cylinder_group_bytes(geometry, order);
	symlink_bytes = kind->version == 1 ? 60 : 120;
	groups_are_hashed = inodes_are_hashed = false;
}

static uint8_t *fragment(uint64_t number)
{
	return disk.data + number * ufs_geometry_fragment_bytes(geometry, order);
}

static uint64_t group_start(uint32_t group)
{
	uint64_t start = (uint64_t)group * ufs_geometry_fragments_per_group(geometry, order);

	if (kind->version == 1)
		start += (uint64_t)ufs_geometry_old_cylinder_group_offset(geometry, order) *
			 (group & ~ufs_geometry_old_cylinder_group_mask(geometry, order));
	return start;
}

static uint8_t *cylinder_group(uint32_t group)
{
	return fragment(group_start(group) + ufs_geometry_cylinder_group_fragment(geometry, order));
}

static uint8_t *inode(uint32_t number)
{
	const uint32_t per_group = ufs_geometry_inodes_per_group(geometry, order);

	return fragment(group_start(number / per_group) +
			ufs_geometry_inode_fragment(geometry, order)) +
	       (size_t)(number % per_group) * inode_bytes();
}

static unsigned inode_mode(uint32_t number)
{
	return kind->version == 1 ? ufs_inode1_mode(ufs_inode1_from(inode(number)), order)
				  : ufs_inode2_mode(ufs_inode2_from(inode(number)), order);
}

static uint8_t *first_block(uint32_t number)
{
	return fragment(kind->version == 1
				? ufs_inode1_blocks(ufs_inode1_from(inode(number)), 0, order)
				: ufs_inode2_blocks(ufs_inode2_from(inode(number)), 0, order));
}

/* The inode of a name in the first block of a directory, or 0. */
static uint32_t find_name(uint32_t directory, const char *name, size_t *index)
{
	struct ufs_directory_block_view view;
	struct ufs_directory_entry_view entry;
	struct wire_cursor cursor = {0};

	assert_int_equal(ufs_directory_block_check(&view, first_block(directory), 512, order, NULL),
			 0);
	for (*index = 0; ufs_directory_block_entries_next(&view, &cursor, &entry); ++*index) {
		const struct wire_text text = ufs_directory_entry_name(&entry);

		if (text.length == strlen(name) && memcmp(text.data, name, text.length) == 0)
			return ufs_directory_entry_inode(&entry);
	}
	return 0;
}

/* ---- tests ---- */

static void check_cylinder_groups(void)
{
	for (uint32_t i = 0; i < ufs_geometry_cylinder_groups(geometry, order); i++) {
		struct ufs_cylinder_group_view view;

		assert_sound(&ufs_cylinder_group_subject, cylinder_group(i), group_bytes);
		assert_rewritten(&ufs_cylinder_group_subject, cylinder_group(i), group_bytes);
		assert_int_equal(ufs_cylinder_group_check(&view, cylinder_group(i), group_bytes,
							  group_bytes, false, NULL),
				 0);
		assert_int_equal(ufs_cylinder_group_number(&view), i);
		assert_int_equal(ufs_cylinder_group_order(&view), order);
	}
}

static void check_inodes(void)
{
	const uint32_t count = ufs_geometry_cylinder_groups(geometry, order) *
			       ufs_geometry_inodes_per_group(geometry, order);
	unsigned used = 0, directories = 0;

	for (uint32_t i = 0; i < count; i++) {
		assert_sound(inode_subject(), inode(i), inode_bytes());
		if (inode_mode(i) == 0)
			continue;
		if (used++ % 8 == 0)
			assert_rewritten(inode_subject(), inode(i), inode_bytes());
		if ((inode_mode(i) & 0xf000) != 0x4000)
			continue;
		assert_sound(&ufs_directory_block_subject, first_block(i), 512);
		assert_rewritten(&ufs_directory_block_subject, first_block(i), 512);
		directories++;
	}
	assert_true(used > 45);
	assert_int_equal(directories, 3);
}

static void file_systems_of_makefs_are_sound(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		print_message("makefs %s\n", kinds[i].options);
		make_disk(&kinds[i]);
		assert_sound(superblock_subject(), superblock(), superblock_bytes());
		assert_rewritten(superblock_subject(), superblock(), superblock_bytes());
		check_cylinder_groups();
		check_inodes();
	}
}

static void names_lead_to_files(void **state)
{
	size_t index;

	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		uint32_t number;
		struct wire_text text;
		uint64_t length;

		make_disk(&kinds[i]);
		number = find_name(UFS_ROOT_INODE, "short", &index);
		assert_int_not_equal(number, 0);
		assert_int_equal(inode_mode(number) & 0xf000, 0xa000);
		text = kinds[i].version == 1 ? ufs_inode1_symlink(ufs_inode1_from(inode(number)))
					     : ufs_inode2_symlink(ufs_inode2_from(inode(number)));
		assert_int_equal(text.length, 14);
		assert_memory_equal(text.data, "folder/file-01", 14);
		number = find_name(UFS_ROOT_INODE, "large", &index);
		length = kinds[i].version == 1
				 ? ufs_inode1_length(ufs_inode1_from(inode(number)), order)
				 : ufs_inode2_length(ufs_inode2_from(inode(number)), order);
		assert_int_equal(length, 300000);
		assert_memory_equal(first_block(number), "some content", 12);
	}
}

/* The check hash as FreeBSD computes it: the field counts as zero. */
static uint32_t hash_of(const uint8_t *data, size_t size, size_t field)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < size; i++) {
		crc ^= i >= field && i < field + 4 ? 0 : data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

static void hash_everything(void)
{
	edit(superblock_subject(), superblock(), superblock_bytes(), "hashed",
	     "SUPERBLOCK|CYLINDER_GROUPS|INODES");
	groups_are_hashed = inodes_are_hashed = true;
	assert_int_equal(
		ufs_cylinder_group_subject.format.seal(cylinder_group(0), group_bytes, NULL), 0);
	assert_int_equal(inode_subject()->format.seal(inode(UFS_ROOT_INODE), inode_bytes(), NULL),
			 0);
}

static void check_hashes_are_those_of_freebsd(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		make_disk(&kinds[i]);
		hash_everything();
		assert_int_equal(word_at(superblock() + 1304),
				 hash_of(superblock(), superblock_bytes(), 1304));
		assert_int_equal(word_at(cylinder_group(0) + 132),
				 hash_of(cylinder_group(0), group_bytes, 132));
		if (kinds[i].version == 2)
			assert_int_equal(word_at(inode(UFS_ROOT_INODE) + 244),
					 hash_of(inode(UFS_ROOT_INODE), 256, 244));
	}
}

static void every_changed_byte_under_a_hash_is_found(void **state)
{
	size_t size;

	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		print_message("makefs %s\n", kinds[i].options);
		make_disk(&kinds[i]);
		hash_everything();
		size = superblock_bytes();
		/* The bytes at 1308 say what is hashed. */
		corrupt(superblock_subject(), superblock(), size, (struct range){0, size},
			(const struct range[]){{0, 1308}, {1312, size}, {0}});
		truncate_all(superblock_subject(), superblock(), size);
		corrupt(&ufs_cylinder_group_subject, cylinder_group(0), group_bytes,
			(struct range){0, group_bytes},
			(const struct range[]){{0, group_bytes}, {0}});
		truncate_all(&ufs_cylinder_group_subject, cylinder_group(0), group_bytes);
		corrupt(inode_subject(), inode(UFS_ROOT_INODE), inode_bytes(),
			(struct range){0, inode_bytes()},
			(const struct range[]){{0, kinds[i].version == 2 ? 256 : 0}, {0}});
		truncate_all(inode_subject(), inode(UFS_ROOT_INODE), inode_bytes());
		corrupt(&ufs_directory_block_subject, first_block(UFS_ROOT_INODE), 512,
			(struct range){0, 512}, NULL);
		truncate_all(&ufs_directory_block_subject, first_block(UFS_ROOT_INODE), 512);
	}
}

static void edits_are_read_back(void **state)
{
	size_t index;
	char path[64];

	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		make_disk(&kinds[i]);
		hash_everything();
		assert_int_not_equal(find_name(UFS_ROOT_INODE, "large", &index), 0);
		snprintf(path, sizeof(path), "entries[%zu].name", index);
		edit(&ufs_directory_block_subject, first_block(UFS_ROOT_INODE), 512, path, "small");
		assert_int_equal(find_name(UFS_ROOT_INODE, "large", &index), 0);
		assert_int_not_equal(find_name(UFS_ROOT_INODE, "small", &index), 0);
		edit(superblock_subject(), superblock(), superblock_bytes(), "geometry.volume_name",
		     "renamed");
		assert_prints(superblock_subject(), superblock(), superblock_bytes(), "renamed");
		edit(inode_subject(), inode(UFS_ROOT_INODE), inode_bytes(), "uid", "4711");
		assert_accepted(inode_subject(), inode(UFS_ROOT_INODE), inode_bytes());
	}
}

static int clean_up(void **state)
{
	free(disk.data);
	return leave_folder(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_systems_of_makefs_are_sound),
		cmocka_unit_test(names_lead_to_files),
		cmocka_unit_test(check_hashes_are_those_of_freebsd),
		cmocka_unit_test(every_changed_byte_under_a_hash_is_found),
		cmocka_unit_test(edits_are_read_back),
	};

	return exit_code(cmocka_run_group_tests(tests, enter_folder, clean_up));
}
