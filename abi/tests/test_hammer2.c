/* SPDX-License-Identifier: MIT */
/*
 * HAMMER2. No packaged tool makes it on Linux: images are written here byte by byte, in both byte
 * orders, from the layout that DragonFly BSD publishes. An image made elsewhere is checked, too, if
 * HAMMER2_IMAGE names one.
 */
#include "abi_test.h"
#include "hammer2.h"
#include "image_writer.h"

#include <stdlib.h>
#include <sys/stat.h>

static enum wire_order order;
static uint32_t block_bytes;

SUBJECT_FIXED(hammer2_volume_header);
SUBJECT_FIXED(hammer2_inode, order);
SUBJECT_FIXED(hammer2_block_reference, order);
SUBJECT_FIXED(hammer2_freemap_leaf, order);
SUBJECT_DYNAMIC(hammer2_indirect_block, order, block_bytes);

/* Where things are in an image of ours. */
enum {
	SUPER_ROOT = 0x10000,
	ROOT = 0x10400,
	FILE_INODE = 0x10800,
	INDIRECT = 0x11000,
	LEAF = 0x18000,
	IMAGE = 0x20000
};

static struct image image;

/* ---- writing ---- */

static void put_reference(struct writer w, unsigned type, unsigned check, uint64_t key,
			  uint64_t offset, unsigned radix)
{
	put(w, 0x00, 1, type);
	put(w, 0x01, 1, check << 4 | 2);
	put(w, 0x03, 1, 0);
	put(w, 0x04, 1, radix);
	put(w, 0x08, 8, key);
	put(w, 0x10, 8, 7);
	put(w, 0x18, 8, 8);
	put(w, 0x20, 8, offset | radix);
	put(w, 0x28, 8, 9);
	put(w, 0x40, 8, 0x1122334455667788);
}

/* An entry of a directory lies in the reference. */
static void put_entry(struct writer w, uint64_t inode, const char *name)
{
	put(w, 0x00, 1, 4);
	put(w, 0x08, 8, UINT64_C(0x8000000000000000) + inode);
	put(w, 0x30, 8, inode);
	put(w, 0x38, 2, strlen(name));
	put(w, 0x3a, 1, 2);
	memcpy(w.at + 0x40, name, strlen(name));
}

static void put_inode(struct writer w, unsigned type, uint64_t number, const char *name,
		      unsigned flags)
{
	put(w, 0x00, 2, 1);
	put(w, 0x10, 8, 1700000000000000);
	put(w, 0x50, 1, type);
	put(w, 0x51, 1, flags);
	put(w, 0x54, 4, 0755);
	put(w, 0x58, 8, number);
	put(w, 0x60, 8, 300);
	put(w, 0x68, 8, 1);
	put(w, 0x80, 2, strlen(name));
	put(w, 0x82, 1, 1);
	put(w, 0x87, 1, 8);
	memcpy(w.at + 0x100, name, strlen(name));
}

static void put_leaf(struct writer w)
{
	for (unsigned i = 0; i < 256; i++) {
		put(w, i * 0x80 + 0x00, 4, i * 1024);
		put(w, i * 0x80 + 0x04, 2, 0x100 + i);
		put(w, i * 0x80 + 0x1c, 4, 4U << 20);
		put(w, i * 0x80 + 0x40, 8, UINT64_MAX);
	}
}

static void put_volume_header(struct writer w)
{
	put(w, 0x00, 8, 0x48414d3205172011);
	put(w, 0x28, 8, IMAGE);
	put(w, 0x30, 4, 2);
	put(w, 0x39, 1, 1);
	put(w, 0x3c, 1, 1);
	memcpy(w.at + 0x40, "0123456789abcdef", 16);
	put(w, 0x60, 8, IMAGE);
	put(w, 0x78, 8, 0x10);
	put(w, 0xc0, 8, IMAGE);
	put_reference(in(w, 0x200), 1, 2, 0, SUPER_ROOT, 10);
	put_reference(in(w, 0x800), 5, 5, 0, LEAF, 15);
	put(w, 0xe00 + 8 * 63, 8, 0x1234);
	memcpy(w.at + 0x1000 + 5 * 0x80 + 0x40, "/dev/serno/1", 12);
	put(w, 0x1f8, 4, bitwise_crc32c(w.at + 512, 512));
	put(w, 0x1fc, 4, bitwise_crc32c(w.at, 508));
	put(w, 0xfffc, 4, bitwise_crc32c(w.at, 65532));
}

static void make_image(enum wire_order wanted)
{
	struct writer w;

	order = wanted;
	free(image.data);
	image = (struct image){calloc(1, IMAGE), IMAGE};
	w = (struct writer){image.data, wanted == WIRE_BIG};
	put_volume_header(w);
	put_inode(in(w, SUPER_ROOT), 1, 0, "SUPROOT", 2);
	put_reference(in(w, SUPER_ROOT + 0x200), 1, 3, 1, ROOT, 10);
	put_inode(in(w, ROOT), 1, 1, "DATA", 2);
	put_entry(in(w, ROOT + 0x200), 1024, "one");
	put_reference(in(w, ROOT + 0x280), 2, 2, 0, INDIRECT, 12);
	put_inode(in(w, FILE_INODE), 2, 1024, "one", 1);
	memset(w.at + FILE_INODE + 0x200, 'x', 300);
	for (unsigned i = 0; i < 4096 / 128; i++)
		put_entry(in(w, INDIRECT + i * 128), 1024 + i, "a name of middling length");
	put_leaf(in(w, LEAF));
}

/* ---- tests ---- */

static void structures_are_sound_in_both_orders(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		make_image(i == 0 ? WIRE_LITTLE : WIRE_BIG);
		assert_sound(&hammer2_volume_header_subject, image.data, HAMMER2_VOLUME_BYTES);
		assert_int_equal(
			hammer2_volume_header_order(hammer2_volume_header_from(image.data)), order);
		for (size_t at = SUPER_ROOT; at <= FILE_INODE; at += 1024) {
			assert_sound(&hammer2_inode_subject, image.data + at, 1024);
			assert_rewritten(&hammer2_inode_subject, image.data + at, 1024);
		}
		block_bytes = 4096;
		assert_sound(&hammer2_indirect_block_subject, image.data + INDIRECT, 4096);
		assert_sound(&hammer2_freemap_leaf_subject, image.data + LEAF, 32768);
		assert_sound(&hammer2_block_reference_subject, image.data + 0x200, 128);
	}
}

static void fields_are_what_was_written(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const struct hammer2_inode *inode;
		const struct hammer2_block_reference *entry;

		make_image(i == 0 ? WIRE_LITTLE : WIRE_BIG);
		inode = hammer2_inode_from(image.data + ROOT);
		assert_int_equal(hammer2_inode_number(inode, order), 1);
		assert_int_equal(hammer2_inode_mode(inode, order), 0755);
		assert_int_equal(hammer2_inode_name_length(inode, order), 4);
		entry = hammer2_blockset_references(hammer2_inode_blocks(inode), 0);
		assert_true(hammer2_block_reference_has_name(entry, order));
		assert_int_equal(hammer2_block_reference_inode(entry, order), 1024);
		assert_int_equal(hammer2_block_reference_name(entry).length, 3);
		inode = hammer2_inode_from(image.data + FILE_INODE);
		assert_true(hammer2_inode_has_data(inode, order));
		assert_int_equal(hammer2_inode_data(inode).data[299], 'x');
		assert_prints(&hammer2_volume_header_subject, image.data, HAMMER2_VOLUME_BYTES,
			      "FREEMAP");
	}
}

static void edited_headers_have_the_right_checksums(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct writer w;
		struct image expected;

		make_image(i == 0 ? WIRE_LITTLE : WIRE_BIG);
		expected = (struct image){malloc(IMAGE), IMAGE};
		memcpy(expected.data, image.data, IMAGE);
		w = (struct writer){expected.data, i == 1};
		put(w, 0x68, 8, 4711);
		put(w, 0x200 + 8, 8, 42);
		put(w, 0x1f8, 4, bitwise_crc32c(w.at + 512, 512));
		put(w, 0x1fc, 4, bitwise_crc32c(w.at, 508));
		put(w, 0xfffc, 4, bitwise_crc32c(w.at, 65532));
		edit(&hammer2_volume_header_subject, image.data, HAMMER2_VOLUME_BYTES,
		     "allocator_free_bytes", "4711");
		edit(&hammer2_volume_header_subject, image.data, HAMMER2_VOLUME_BYTES,
		     "super_root.references[0].key", "42");
		assert_memory_equal(image.data, expected.data, IMAGE);
		free(expected.data);
	}
}

static void every_changed_byte_of_the_header_is_found(void **state)
{
	const struct range all[] = {{0, HAMMER2_VOLUME_BYTES}, {0}};

	(void)state;
	make_image(WIRE_LITTLE);
	corrupt(&hammer2_volume_header_subject, image.data, HAMMER2_VOLUME_BYTES, all[0], all);
	make_image(WIRE_BIG);
	corrupt(&hammer2_volume_header_subject, image.data, HAMMER2_VOLUME_BYTES,
		(struct range){0, 2560}, all);
	truncate_all(&hammer2_volume_header_subject, image.data, 2560);
}

static void no_change_of_blocks_does_harm(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		make_image(i == 0 ? WIRE_LITTLE : WIRE_BIG);
		block_bytes = 4096;
		corrupt(&hammer2_inode_subject, image.data + ROOT, 1024, (struct range){0, 1024},
			NULL);
		truncate_all(&hammer2_inode_subject, image.data + ROOT, 1024);
		corrupt(&hammer2_indirect_block_subject, image.data + INDIRECT, 4096,
			(struct range){0, 512}, NULL);
		truncate_all(&hammer2_indirect_block_subject, image.data + INDIRECT, 4096);
		corrupt(&hammer2_freemap_leaf_subject, image.data + LEAF, 32768,
			(struct range){0, 256}, NULL);
	}
}

/* ---- an image made elsewhere ---- */

static unsigned references_seen, names_seen;

static void follow_all(const char *path, const struct hammer2_block_reference *references,
		       size_t count, unsigned depth);

/* What is below a reference whose check code is a CRC-32C matches it. */
static void check_code(const struct hammer2_block_reference *reference, const struct image *block)
{
	if (hammer2_block_reference_check_method(reference, order) == HAMMER2_CHECK_KIND_CRC32C)
		assert_int_equal(hammer2_block_reference_crc32c(reference, order),
				 bitwise_crc32c(block->data, block->size));
	if (hammer2_block_reference_check_method(reference, order) == HAMMER2_CHECK_KIND_FREEMAP)
		assert_int_equal(hammer2_block_reference_freemap_crc32c(reference, order),
				 bitwise_crc32c(block->data, block->size));
}

static void follow_block(const char *path, const struct hammer2_block_reference *reference,
			 const struct image *block, unsigned depth)
{
	struct hammer2_indirect_block_view view;

	switch (hammer2_block_reference_type(reference, order)) {
	case HAMMER2_BLOCK_TYPE_INODE:
		assert_sound(&hammer2_inode_subject, block->data, block->size);
		if (!hammer2_inode_has_data(hammer2_inode_from(block->data), order))
			follow_all(
				path,
				hammer2_blockset_references(
					hammer2_inode_blocks(hammer2_inode_from(block->data)), 0),
				4, depth);
		break;
	case HAMMER2_BLOCK_TYPE_INDIRECT:
	case HAMMER2_BLOCK_TYPE_FREEMAP_NODE:
		block_bytes = (uint32_t)block->size;
		assert_sound(&hammer2_indirect_block_subject, block->data, block->size);
		assert_int_equal(hammer2_indirect_block_check(&view, block->data, block->size,
							      order, block_bytes, NULL),
				 0);
		follow_all(path, hammer2_indirect_block_references(&view, 0), block->size / 128,
			   depth);
		break;
	case HAMMER2_BLOCK_TYPE_FREEMAP_LEAF:
		assert_sound(&hammer2_freemap_leaf_subject, block->data, block->size);
		break;
	default:
		break;
	}
}

static void follow(const char *path, const struct hammer2_block_reference *reference,
		   unsigned depth)
{
	const uint64_t place = hammer2_block_reference_offset_and_radix(reference, order);
	struct image block;

	names_seen += hammer2_block_reference_has_name(reference, order);
	references_seen +=
		hammer2_block_reference_type(reference, order) != HAMMER2_BLOCK_TYPE_EMPTY;
	if ((place & 63) == 0 || depth > 20)
		return;
	block = load_part(path, place & ~UINT64_C(63), (size_t)1 << (place & 63));
	check_code(reference, &block);
	follow_block(path, reference, &block, depth + 1);
	free(block.data);
}

static void follow_all(const char *path, const struct hammer2_block_reference *references,
		       size_t count, unsigned depth)
{
	for (size_t i = 0; i < count; i++)
		follow(path, references + i, depth);
}

/* The newest of the headers at the starts of the first zones; all are sound. */
static struct image load_newest_header(const char *path)
{
	struct image newest = {0};
	struct stat status;
	uint64_t best = 0;

	assert_int_equal(stat(path, &status), 0);
	for (uint64_t at = 0;
	     at < UINT64_C(4) * HAMMER2_ZONE_BYTES && at < (uint64_t)status.st_size;
	     at += HAMMER2_ZONE_BYTES) {
		struct image block = load_part(path, at, HAMMER2_VOLUME_BYTES);
		const struct hammer2_volume_header *header = hammer2_volume_header_from(block.data);

		assert_sound(&hammer2_volume_header_subject, block.data, block.size);
		order = hammer2_volume_header_order(header);
		if (newest.data == NULL || hammer2_volume_header_mirror_id(header, order) > best) {
			best = hammer2_volume_header_mirror_id(header, order);
			free(newest.data);
			newest = block;
		} else {
			free(block.data);
		}
	}
	return newest;
}

static void image_made_elsewhere_is_sound(void **state)
{
	const char *path = getenv("HAMMER2_IMAGE");
	const struct hammer2_volume_header *header;
	struct image block;

	(void)state;
	if (path == NULL) {
		print_message("skipped: HAMMER2_IMAGE names no image\n");
		skip();
	}
	block = load_newest_header(path);
	header = hammer2_volume_header_from(block.data);
	follow_all(path, hammer2_blockset_references(hammer2_volume_header_super_root(header), 0),
		   4, 0);
	follow_all(path, hammer2_blockset_references(hammer2_volume_header_freemap(header), 0), 4,
		   0);
	print_message("%u references, %u of them names\n", references_seen, names_seen);
	assert_true(references_seen > 0);
	free(block.data);
}

static int clean_up(void **state)
{
	(void)state;
	free(image.data);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(structures_are_sound_in_both_orders),
		cmocka_unit_test(fields_are_what_was_written),
		cmocka_unit_test(edited_headers_have_the_right_checksums),
		cmocka_unit_test(every_changed_byte_of_the_header_is_found),
		cmocka_unit_test(no_change_of_blocks_does_harm),
		cmocka_unit_test(image_made_elsewhere_is_sound),
	};

	return exit_code(cmocka_run_group_tests(tests, NULL, clean_up));
}
