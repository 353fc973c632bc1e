/* SPDX-License-Identifier: MIT */
/*
 * qcow2 images that qemu-img made, of both versions and with extended L2 entries; qemu-img check
 * judges what was edited. The format has no checksums: damage must do no harm, and what makes no
 * sense is refused.
 */
#include "abi_test.h"
#include "qcow2.h"

#include <stdlib.h>

static uint32_t cluster_bits, refcount_order;
static uint64_t directory_bytes;

SUBJECT_DYNAMIC(qcow2_image);
SUBJECT_DYNAMIC(qcow2_header);
SUBJECT_DYNAMIC(qcow2_l2_table, cluster_bits);
SUBJECT_DYNAMIC(qcow2_extended_l2_table, cluster_bits);
SUBJECT_DYNAMIC(qcow2_refcount_block, cluster_bits, refcount_order);
SUBJECT_DYNAMIC(qcow2_bitmap_directory, directory_bytes);

struct kind {
	const char *options;
	uint32_t version, order;
	bool extended;
};

static const struct kind kinds[] = {
	{"compat=0.10", 2, 4, false},
	{"compat=1.1", 3, 4, false},
	{"compat=1.1,cluster_size=512,refcount_bits=1,lazy_refcounts=off", 3, 0, false},
	{"compat=1.1,cluster_size=4096,refcount_bits=64,lazy_refcounts=on", 3, 6, false},
	{"compat=1.1,refcount_bits=8,compression_type=zstd", 3, 3, false},
	{"extended_l2=on,refcount_bits=32", 3, 5, true},
	{"extended_l2=on,cluster_size=16384", 3, 4, true},
};

/* With data that is plain, compressed and zero, a backing file and snapshots, where the kind allows
 * them. */
static struct image make_image(const struct kind *kind)
{
	const bool may_snapshot = kind->order >= 1;

	need_tool("qemu-img");
	need_tool("qemu-io");
	assert_int_equal(run(0,
			     "rm -f image base && qemu-img create -q -f qcow2 base 8M && "
			     "qemu-img create -q -f qcow2 -o %s -b base -F qcow2 image 8M && "
			     "qemu-io -c 'write -P 1 0 200k' -c 'write -c -P 2 512k 64k' -c 'write "
			     "-z 1M 128k' "
			     "-c 'write -P 3 3000k 4k' image",
			     kind->options),
			 0);
	if (may_snapshot)
		assert_int_equal(run(0, "qemu-img snapshot -c 'the first' image && "
					"qemu-io -c 'write -P 4 100k 300k' image && "
					"qemu-img snapshot -c second image"),
				 0);
	assert_int_equal(run(0, "qemu-img check image"), 0);
	return load("image");
}

static void read_image(struct qcow2_image_view *view, const struct image *image)
{
	assert_int_equal(qcow2_image_check(view, image->data, image->size, NULL), 0);
	cluster_bits = qcow2_header_cluster_bits(qcow2_image_header(view));
}

static const struct subject *l2_subject(bool extended)
{
	return extended ? &qcow2_extended_l2_table_subject : &qcow2_l2_table_subject;
}

/* All L2 tables and refcount blocks that the image points to. */
static void check_tables(const struct kind *kind, const struct image *image)
{
	struct qcow2_image_view view;
	unsigned tables = 0, blocks = 0;

	read_image(&view, image);
	refcount_order = kind->order;
	for (size_t i = 0; i < qcow2_image_l1_count(&view); i++) {
		const uint64_t at = qcow2_l1_entry_offset(qcow2_image_l1(&view, i)) << 9;

		if (at == 0)
			continue;
		assert_sound(l2_subject(kind->extended), image->data + at,
			     (size_t)1 << cluster_bits);
		tables++;
	}
	for (size_t i = 0; i < qcow2_image_refcount_table_count(&view); i++) {
		const uint64_t at =
			qcow2_refcount_table_entry_offset(qcow2_image_refcount_table(&view, i));

		if (at == 0)
			continue;
		assert_sound(&qcow2_refcount_block_subject, image->data + at,
			     (size_t)1 << cluster_bits);
		blocks++;
	}
	assert_true(tables > 0 && blocks > 0);
}

static void images_of_qemu_are_sound(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct image image;

		print_message("%s\n", kinds[i].options);
		image = make_image(&kinds[i]);
		assert_sound(&qcow2_image_subject, image.data, image.size);
		assert_sound(&qcow2_header_subject, image.data, 4096);
		assert_rewritten(&qcow2_header_subject, image.data, 4096);
		check_tables(&kinds[i], &image);
		free(image.data);
	}
}

static void fields_are_those_that_were_asked_for(void **state)
{
	struct image image;
	struct qcow2_image_view view;
	struct qcow2_snapshot_view snapshot;
	struct wire_cursor cursor = {0};
	const struct qcow2_header_view *header;

	(void)state;
	image = make_image(&kinds[4]);
	read_image(&view, &image);
	header = qcow2_image_header(&view);
	assert_int_equal(qcow2_header_disk_bytes(header), 8 << 20);
	assert_int_equal(qcow2_header_refcount_order(header), 3);
	assert_int_equal(qcow2_header_compression_type(header), QCOW2_COMPRESSION_ZSTD);
	assert_int_equal(qcow2_image_backing_file(&view).length, 4);
	assert_true(qcow2_image_snapshots_next(&view, &cursor, &snapshot));
	assert_int_equal(qcow2_snapshot_name(&snapshot).length, 9);
	assert_memory_equal(qcow2_snapshot_name(&snapshot).data, "the first", 9);
	assert_int_equal(qcow2_snapshot_disk_bytes(&snapshot), 8 << 20);
	assert_true(qcow2_image_snapshots_next(&view, &cursor, &snapshot));
	assert_false(qcow2_image_snapshots_next(&view, &cursor, &snapshot));
	free(image.data);
}

static void older_versions_have_no_later_fields(void **state)
{
	struct image image = make_image(&kinds[0]);
	struct qcow2_header_view view;

	(void)state;
	assert_int_equal(qcow2_header_check(&view, image.data, image.size, NULL), 0);
	assert_false(qcow2_header_has_incompatible_features(&view));
	assert_false(qcow2_header_has_compression_type(&view));
	assert_int_equal(qcow2_header_refcount_order(&view), 0);
	free(image.data);
}

/* Where the extension of the bitmaps says that their directory is. */
static uint64_t directory_offset(const struct image *image)
{
	struct qcow2_header_view header;
	struct qcow2_extension_view extension;
	struct wire_cursor cursor = {0};

	assert_int_equal(qcow2_header_check(&header, image->data, image->size, NULL), 0);
	while (qcow2_header_extensions_next(&header, &cursor, &extension)) {
		if (qcow2_extension_type(&extension) != QCOW2_EXTENSION_TYPE_BITMAPS)
			continue;
		directory_bytes = qcow2_extension_bitmap_directory_bytes(&extension);
		return qcow2_extension_bitmap_directory_offset(&extension);
	}
	fail_msg("there are no bitmaps");
	return 0;
}

static void bitmaps_are_sound(void **state)
{
	struct image image;
	uint64_t at;

	(void)state;
	need_tool("qemu-img");
	assert_int_equal(run(0, "rm -f image && qemu-img create -q -f qcow2 image 8M && qemu-img "
				"bitmap --add image one && "
				"qemu-img bitmap --add -g 4096 image another"),
			 0);
	image = load("image");
	assert_sound(&qcow2_image_subject, image.data, image.size);
	at = directory_offset(&image);
	assert_sound(&qcow2_bitmap_directory_subject, image.data + at, directory_bytes);
	assert_rewritten(&qcow2_bitmap_directory_subject, image.data + at, directory_bytes);
	assert_prints(&qcow2_bitmap_directory_subject, image.data + at, directory_bytes, "another");
	edit(&qcow2_bitmap_directory_subject, image.data + at, directory_bytes, "bitmaps[0].name",
	     "two");
	store_part("image", 0, image.data, image.size);
	assert_int_equal(run(0, "qemu-img check image && qemu-img info image"), 0);
	assert_true(said("name: two"));
	corrupt(&qcow2_bitmap_directory_subject, image.data + at, directory_bytes,
		(struct range){0, directory_bytes}, NULL);
	truncate_all(&qcow2_bitmap_directory_subject, image.data + at, directory_bytes);
	free(image.data);
}

static void qemu_accepts_edited_images(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct image image = make_image(&kinds[i]);

		if (kinds[i].version >= 3)
			edit(&qcow2_image_subject, image.data, image.size,
			     "header.compatible_features", "LAZY_REFCOUNTS");
		edit(&qcow2_image_subject, image.data, image.size, "backing_file", "BASE");
		if (kinds[i].order >= 1)
			edit(&qcow2_image_subject, image.data, image.size, "snapshots[0].name",
			     "renamed !");
		store_part("image", 0, image.data, image.size);
		free(image.data);
		assert_int_equal(
			run(0, "mv base BASE && qemu-img check image && qemu-img info image"), 0);
		assert_true(said("backing file: BASE"));
		assert_true(kinds[i].order < 1 || said("renamed !"));
		assert_true(kinds[i].version < 3 || said("lazy refcounts: true"));
		run(0, "rm -f BASE");
	}
}

static void no_change_does_harm(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct image image = make_image(&kinds[i]);
		struct qcow2_image_view view;
		uint64_t at;

		print_message("%s\n", kinds[i].options);
		read_image(&view, &image);
		refcount_order = kinds[i].order;
		/* The first 8 bytes are constant or as good as that. */
		corrupt(&qcow2_image_subject, image.data, image.size, (struct range){0, 512},
			(const struct range[]){{0, 8}, {0}});
		truncate_all(&qcow2_header_subject, image.data, kinds[i].version >= 3 ? 120 : 80);
		at = qcow2_header_l1_offset(qcow2_image_header(&view));
		corrupt(&qcow2_image_subject, image.data, image.size, (struct range){at, at + 64},
			NULL);
		if (kinds[i].order >= 1) {
			at = qcow2_header_snapshots_offset(qcow2_image_header(&view));
			corrupt(&qcow2_image_subject, image.data, image.size,
				(struct range){at, image.size}, NULL);
		}
		at = qcow2_l1_entry_offset(qcow2_image_l1(&view, 0)) << 9;
		corrupt(l2_subject(kinds[i].extended), image.data + at, (size_t)1 << cluster_bits,
			(struct range){0, 128}, NULL);
		free(image.data);
	}
}

static void impossible_headers_are_refused(void **state)
{
	static const struct {
		size_t at, size;
		uint64_t value;
		const char *text;
	} changes[] = {
		{4, 4, 1, "version"},
		{4, 4, 4, "version"},
		{20, 4, 8, "cluster_bits"},
		{20, 4, 63, "cluster_bits"},
		{32, 4, 3, "crypt_method"},
		{36, 4, 0xffffffff, "l1_entries"},
		{40, 8, UINT64_MAX, "L1 table"},
		{40, 8, UINT64_C(1) << 60, "l1"},
		{48, 8, UINT64_C(1) << 40, "refcount_table"},
		{56, 4, 0xffffffff, "refcount table"},
		{60, 4, 0xffffffff, "snapshot_count"},
		{64, 8, UINT64_C(1) << 62, "snapshots"},
		{72, 8, 32, "incompatible_features"},
		{96, 4, 7, "refcount_order"},
		{100, 4, 105, "multiple of 8"},
		{100, 4, 0xfffffff8, "header_length"},
		{8, 8, UINT64_MAX, ""},
	};
	struct image image = make_image(&kinds[1]);

	(void)state;
	for (unsigned i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		uint8_t before[8];

		memcpy(before, image.data + changes[i].at, changes[i].size);
		if (changes[i].size == 4)
			wire_store_be32(image.data + changes[i].at, (uint32_t)changes[i].value);
		else
			wire_store_be64(image.data + changes[i].at, changes[i].value);
		assert_refused(&qcow2_image_subject, image.data, image.size, changes[i].text);
		memcpy(image.data + changes[i].at, before, changes[i].size);
	}
	assert_accepted(&qcow2_image_subject, image.data, image.size);
	free(image.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_of_qemu_are_sound),
		cmocka_unit_test(fields_are_those_that_were_asked_for),
		cmocka_unit_test(older_versions_have_no_later_fields),
		cmocka_unit_test(bitmaps_are_sound),
		cmocka_unit_test(qemu_accepts_edited_images),
		cmocka_unit_test(no_change_does_harm),
		cmocka_unit_test(impossible_headers_are_refused),
	};

	return exit_code(cmocka_run_group_tests(tests, enter_folder, leave_folder));
}
