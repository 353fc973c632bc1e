/* SPDX-License-Identifier: MIT */
/*
 * HAMMER. No tool makes it on Linux: structures are written here byte by byte, in both byte orders
 * and for both kinds of checksums, from the layout that DragonFly BSD publishes.
 */
#include "abi_test.h"
#include "hammer.h"
#include "image_writer.h"

#include <stdlib.h>

static enum wire_order order;
static uint32_t version, data_bytes;

/* The two pieces are the volume header before and after its checksum. */
void hammer_volume_crc(unsigned char *digest, const struct wire_bytes *pieces, size_t count)
{
	const bool is_big = pieces[0].data[0] == 0xc8;
	const unsigned char *at = pieces[0].data + 152;
	const uint32_t volume_version = is_big ? wire_load_be32(at) : wire_load_le32(at);
	uint32_t crc = 0;

	for (size_t i = 0; i < count; i++)
		crc ^= (uint32_t)(volume_version < 7 ? wire_crc32 : wire_crc32c)(0, pieces[i].data,
										 pieces[i].size);
	if (is_big)
		wire_store_be32(digest, crc);
	else
		wire_store_le32(digest, crc);
}

SUBJECT_FIXED(hammer_volume_header);
SUBJECT_FIXED(hammer_blockmap_layer1, order, version);
SUBJECT_FIXED(hammer_blockmap_layer2, order, version);
SUBJECT_FIXED(hammer_node, order, version);
SUBJECT_FIXED(hammer_inode, order);
SUBJECT_FIXED(hammer_pfs, order);
SUBJECT_FIXED(hammer_snapshot, order);
SUBJECT_FIXED(hammer_configuration, order);
SUBJECT_DYNAMIC(hammer_directory_entry, order, data_bytes);

static const struct variant {
	enum wire_order order;
	uint32_t version;
} variants[] = {{WIRE_LITTLE, 7}, {WIRE_LITTLE, 6}, {WIRE_BIG, 7}, {WIRE_BIG, 6}};

#define VARIANTS (sizeof(variants) / sizeof(*variants))

static uint8_t header[1928], internal[4096], leaf[4096], layer1[32], layer2[16], inode[128],
	pfs[292], snapshot[128], entry[27], configuration[1024];

/* ---- writing ---- */

static uint32_t crc(const uint8_t *data, size_t size)
{
	return bitwise_crc(data, size, version < 7 ? 0xedb88320 : 0x82f63b78);
}

static struct writer cleared(uint8_t *data, size_t size)
{
	memset(data, 0, size);
	return (struct writer){data, order == WIRE_BIG};
}

static void put_header(void)
{
	struct writer w = cleared(header, sizeof(header));

	put(w, 0, 8, 0xc8414d4dc5523031);
	put(w, 8, 8, 32768);
	put(w, 16, 8, 65536);
	put(w, 24, 8, 1 << 20);
	put(w, 32, 8, 1 << 30);
	memcpy(w.at + 48, "0123456789abcdefFEDCBA9876543210", 32);
	memcpy(w.at + 80, "a label", 7);
	put(w, 144, 4, 0);
	put(w, 148, 4, 2);
	put(w, 152, 4, version);
	put(w, 200, 8, 127);
	put(w, 208, 8, 100);
	put(w, 240, 8, 0x8000000000004000);
	put(w, 248, 8, 0x100000000);
	for (size_t i = 0; i < 16; i++) {
		put(w, 264 + i * 40, 8, i << 60);
		put(w, 264 + i * 40 + 16, 8, i << 60 | 64);
		put(w, 264 + i * 40 + 36, 4, crc(w.at + 264 + i * 40, 36));
	}
	for (size_t i = 0; i < 128; i++)
		put(w, 904 + i * 8, 8, UINT64_C(0x2000000000000000) + (i << 23));
	put(w, 156, 4, crc(w.at, 156) ^ crc(w.at + 160, 1928 - 160));
}

static void put_node(uint8_t *data, char type, unsigned count)
{
	struct writer w = cleared(data, 4096);

	put(w, 4, 4, 0xb3a49586);
	put(w, 16, 4, count);
	put(w, 20, 1, (uint8_t)type);
	put(w, 56, 8, 0x100000000);
	for (size_t i = 0; i < count + (type == 'I'); i++) {
		struct writer e = in(w, 64 + i * 64);

		put(e, 0, 8, i + 1);
		put(e, 8, 8, (uint64_t) - (int64_t)i);
		put(e, 16, 8, 0x100000000 + i);
		put(e, 32, 2, 0x10);
		put(e, 34, 1, 2);
		put(e, 35, 1, type == 'I' ? 'L' : 'R');
		put(e, 36, 4, 2);
		put(e, 40, type == 'I' ? 8 : 4, 0x12345678);
		put(e, 48, 8, 0xa000000000010000);
		put(e, 56, 4, type == 'I' ? 0 : 16384);
	}
	put(w, 0, 4, crc(w.at + 4, 4092));
}

static void put_layers(void)
{
	struct writer w = cleared(layer1, sizeof(layer1));

	put(w, 0, 8, 1000);
	put(w, 8, 8, 0x2000000000800000);
	put(w, 28, 4, crc(w.at, 28));
	w = cleared(layer2, sizeof(layer2));
	put(w, 0, 1, 10);
	put(w, 4, 4, 4096);
	put(w, 8, 4, 0xffffff00);
	put(w, 12, 4, crc(w.at, 12));
}

static void put_records(void)
{
	struct writer w = cleared(inode, sizeof(inode));

	put(w, 0, 2, 1);
	put(w, 2, 2, 0755);
	put(w, 16, 8, 1700000000000000);
	put(w, 24, 8, 1);
	put(w, 64, 1, 7);
	put(w, 72, 8, 1);
	put(w, 80, 8, 5);
	memcpy(w.at + 88, "there", 5);
	w = cleared(pfs, sizeof(pfs));
	put(w, 16, 8, 0x100000000);
	put(w, 72 + 4, 4, 1);
	memcpy(w.at + 80, "slave", 5);
	w = cleared(snapshot, sizeof(snapshot));
	put(w, 0, 8, 0x100000000);
	memcpy(w.at + 32, "before the change", 17);
	w = cleared(entry, sizeof(entry));
	put(w, 0, 8, 4711);
	memcpy(w.at + 16, "eleven byte", 11);
	data_bytes = sizeof(entry);
	memset(configuration, 0, sizeof(configuration));
	memcpy(configuration, "snapshots 1d 60d\n", 17);
}

static void make_structures(const struct variant *variant)
{
	order = variant->order;
	version = variant->version;
	put_header();
	put_node(internal, 'I', 62);
	put_node(leaf, 'L', 40);
	put_layers();
	put_records();
}

/* ---- tests ---- */

static const struct {
	const struct subject *subject;
	const uint8_t *data;
	size_t size, uncovered; /* the last so many bytes are under no checksum */
} all[] = {
	{&hammer_volume_header_subject, header, sizeof(header), 0},
	{&hammer_node_subject, internal, sizeof(internal), 0},
	{&hammer_node_subject, leaf, sizeof(leaf), 0},
	{&hammer_blockmap_layer1_subject, layer1, sizeof(layer1), 0},
	{&hammer_blockmap_layer2_subject, layer2, sizeof(layer2), 0},
	{&hammer_inode_subject, inode, sizeof(inode), sizeof(inode)},
	{&hammer_pfs_subject, pfs, sizeof(pfs), sizeof(pfs)},
	{&hammer_snapshot_subject, snapshot, sizeof(snapshot), sizeof(snapshot)},
	{&hammer_directory_entry_subject, entry, sizeof(entry), sizeof(entry)},
	{&hammer_configuration_subject, configuration, sizeof(configuration),
	 sizeof(configuration)},
};

static void structures_are_sound(void **state)
{
	(void)state;
	for (unsigned v = 0; v < VARIANTS; v++) {
		make_structures(&variants[v]);
		for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
			assert_sound(all[i].subject, all[i].data, all[i].size);
			if (all[i].size < 2000)
				assert_rewritten(all[i].subject, all[i].data, all[i].size);
		}
		assert_int_equal(hammer_volume_header_order(hammer_volume_header_from(header)),
				 order);
	}
}

static void fields_are_what_was_written(void **state)
{
	const struct hammer_element *element;

	(void)state;
	for (unsigned v = 0; v < VARIANTS; v++) {
		make_structures(&variants[v]);
		element = hammer_node_elements(hammer_node_from(leaf), 3);
		assert_int_equal(hammer_element_key(element, order), -3);
		assert_true(hammer_element_has_data_bytes(element, order, 'L'));
		assert_int_equal(hammer_element_data_bytes(element, order), 16384);
		assert_int_equal(hammer_blockmap_layer2_free_bytes(
					 hammer_blockmap_layer2_from(layer2), order),
				 -256);
		assert_prints(&hammer_volume_header_subject, header, sizeof(header), "a label");
		assert_prints(&hammer_directory_entry_subject, entry, sizeof(entry), "eleven byte");
	}
}

static void edited_structures_have_the_right_checksums(void **state)
{
	(void)state;
	for (unsigned v = 0; v < VARIANTS; v++) {
		uint8_t edited[4096];

		make_structures(&variants[v]);
		memcpy(edited, header, sizeof(header));
		edit(&hammer_volume_header_subject, edited, sizeof(header), "inodes", "4711");
		edit(&hammer_volume_header_subject, edited, sizeof(header),
		     "blockmaps[9].next_offset", "99");
		put((struct writer){header, order == WIRE_BIG}, 224, 8, 4711);
		put((struct writer){header, order == WIRE_BIG}, 264 + 9 * 40 + 16, 8, 99);
		put((struct writer){header, order == WIRE_BIG}, 264 + 9 * 40 + 36, 4,
		    crc(header + 264 + 9 * 40, 36));
		put((struct writer){header, order == WIRE_BIG}, 156, 4,
		    crc(header, 156) ^ crc(header + 160, 1768));
		assert_memory_equal(edited, header, sizeof(header));
		memcpy(edited, leaf, sizeof(leaf));
		edit(&hammer_node_subject, edited, sizeof(leaf), "elements[5].data_crc",
		     "305419896");
		put((struct writer){leaf, order == WIRE_BIG}, 64 + 5 * 64 + 60, 4, 305419896);
		put((struct writer){leaf, order == WIRE_BIG}, 0, 4, crc(leaf + 4, 4092));
		assert_memory_equal(edited, leaf, sizeof(leaf));
	}
}

static void every_changed_byte_under_a_checksum_is_found(void **state)
{
	(void)state;
	for (unsigned v = 0; v < VARIANTS; v++) {
		make_structures(&variants[v]);
		for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
			corrupt(all[i].subject, all[i].data, all[i].size,
				(struct range){0, all[i].size},
				(const struct range[]){{0, all[i].size - all[i].uncovered}, {0}});
			truncate_all(all[i].subject, all[i].data, all[i].size);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(structures_are_sound),
		cmocka_unit_test(fields_are_what_was_written),
		cmocka_unit_test(edited_structures_have_the_right_checksums),
		cmocka_unit_test(every_changed_byte_under_a_checksum_is_found),
	};

	return exit_code(cmocka_run_group_tests(tests, NULL, NULL));
}
