/* SPDX-License-Identifier: MIT */
/*
 * LUKS2 headers that cryptsetup wrote; cryptsetup judges what was edited.
 */
#include "abi_test.h"
#include "luks2.h"
#include "sha256.h"

#include <stdlib.h>

#define HEADER_BYTES 16384

void luks2_sha256(unsigned char *digest, const struct wire_bytes *pieces, size_t count)
{
	sha256(digest, pieces, count);
}

SUBJECT_DYNAMIC(luks2_header);
SUBJECT_DYNAMIC(luks2_device);

/* The header is in a file of its own, so that only it has to be written. */
static struct image make_device(void)
{
	need_tool("cryptsetup");
	assert_int_equal(run(0,
			     "truncate -s 1M data && truncate -s 16M device && printf secret | "
			     "cryptsetup -q "
			     "luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "
			     "--luks2-metadata-size 16k --luks2-keyslots-size 256k --label first "
			     "--header device data -"),
			 0);
	return load_part("device", 0, 2 * HEADER_BYTES);
}

static void digest_is_that_of_the_standard(void **state)
{
	const struct wire_bytes pieces[] = {wire_bytes("a", 1), wire_bytes("bc", 2)};
	unsigned char digest[32];

	(void)state;
	sha256(digest, pieces, 2);
	assert_memory_equal(digest,
			    "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
			    "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad",
			    32);
}

static void headers_of_cryptsetup_are_sound(void **state)
{
	struct image device = make_device();
	struct luks2_device_view view;
	const struct luks2_header_view *primary;

	(void)state;
	assert_sound(&luks2_device_subject, device.data, device.size);
	assert_sound(&luks2_header_subject, device.data, HEADER_BYTES);
	assert_sound(&luks2_header_subject, device.data + HEADER_BYTES, HEADER_BYTES);
	assert_rewritten(&luks2_header_subject, device.data, HEADER_BYTES);
	assert_prints(&luks2_device_subject, device.data, device.size, "first");
	assert_int_equal(luks2_device_check(&view, device.data, device.size, NULL), 0);
	primary = luks2_device_primary(&view);
	assert_int_equal(luks2_header_header_bytes(primary), HEADER_BYTES);
	assert_int_equal(luks2_header_label(primary).length, 5);
	assert_memory_equal(luks2_header_json(primary).data, "{\"keyslots\":", 12);
	assert_int_equal(luks2_header_magic(luks2_device_secondary(&view)), LUKS2_SECONDARY_MAGIC);
	free(device.data);
}

static void cryptsetup_accepts_edited_headers(void **state)
{
	struct image device = make_device();

	(void)state;
	edit(&luks2_device_subject, device.data, device.size, "primary.label", "second");
	edit(&luks2_device_subject, device.data, device.size, "secondary.label", "second");
	edit(&luks2_device_subject, device.data, device.size, "primary.sequence", "77");
	edit(&luks2_device_subject, device.data, device.size, "secondary.sequence", "77");
	store_part("device", 0, device.data, device.size);
	assert_int_equal(
		run(0, "cryptsetup isLuks --type luks2 device && cryptsetup luksDump device"), 0);
	assert_true(said("second"));
	assert_true(said("77"));
	assert_int_equal(
		run(0, "printf secret | cryptsetup open --test-passphrase --header device data -"),
		0);
	free(device.data);
}

/* The two agree on what is damaged: each header by itself, and the repair of one from the other. */
static void cryptsetup_recovers_what_is_found_damaged(void **state)
{
	struct image device = make_device();
	struct image repaired;

	(void)state;
	device.data[100] ^= 1;
	assert_refused(&luks2_header_subject, device.data, HEADER_BYTES, "checksum");
	assert_accepted(&luks2_header_subject, device.data + HEADER_BYTES, HEADER_BYTES);
	store_part("device", 0, device.data, device.size);
	assert_int_equal(
		run(0,
		    "printf secret | cryptsetup -q open --test-passphrase --header device data -; "
		    "cryptsetup luksDump device"),
		0);
	repaired = load_part("device", 0, 2 * HEADER_BYTES);
	assert_accepted(&luks2_device_subject, repaired.data, repaired.size);
	free(repaired.data);
	free(device.data);
}

static void every_changed_byte_is_found(void **state)
{
	struct image device = make_device();
	const struct range all[] = {{0, HEADER_BYTES}, {0}};

	(void)state;
	corrupt(&luks2_header_subject, device.data, HEADER_BYTES, all[0], all);
	corrupt(&luks2_header_subject, device.data + HEADER_BYTES, HEADER_BYTES,
		(struct range){0, 4096}, all);
	truncate_all(&luks2_device_subject, device.data, 2 * HEADER_BYTES);
	free(device.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest_is_that_of_the_standard),
		cmocka_unit_test(headers_of_cryptsetup_are_sound),
		cmocka_unit_test(cryptsetup_accepts_edited_headers),
		cmocka_unit_test(cryptsetup_recovers_what_is_found_damaged),
		cmocka_unit_test(every_changed_byte_is_found),
	};

	return exit_code(cmocka_run_group_tests(tests, enter_folder, leave_folder));
}
