/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: every described structure on any bytes. The input says which structure (a byte) and
 * what it is told (switches in a byte, a number of 32 bits and one of 16, little-endian); the rest
 * is its data. Whatever the validator says, walking, copying and sealing must not crash; of what it
 * accepts, the walk must succeed, a copy must be identical and equal, sealing must change nothing,
 * and the same with every number turned around must be accepted in the other byte order.
 */
#include "subject.h"

#include "ext4.h"
#include "gpt.h"
#include "hammer.h"
#include "hammer2.h"
#include "luks2.h"
#include "nbd.h"
#include "qcow2.h"
#include "ublk.h"
#include "ufs.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the structure is told. */
static uint8_t choice;
static bool is_set;
static enum wire_order order;
static uint32_t number, data_bytes, version;
static uint16_t half;
static const struct wire_bytes uuid = {(const unsigned char *)"0123456789abcdef", 16};

/* Any function of the bytes will do here. */
static void stir(unsigned char *digest, size_t size, const struct wire_bytes *pieces, size_t count)
{
	memset(digest, 0, size);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < pieces[i].size; k++)
			digest[k % size] =
				(unsigned char)(digest[k % size] * 31 + pieces[i].data[k]);
}

void luks2_sha256(unsigned char *digest, const struct wire_bytes *pieces, size_t count)
{
	stir(digest, 32, pieces, count);
}

void hammer_volume_crc(unsigned char *digest, const struct wire_bytes *pieces, size_t count)
{
	stir(digest, 4, pieces, count);
}

SUBJECT_DYNAMIC(gpt_disk, 512, 1);
SUBJECT_DYNAMIC(gpt_header, 512);
SUBJECT_FIXED(ext4_superblock);
SUBJECT_DYNAMIC(ext4_filesystem);
SUBJECT_DYNAMIC(ext4_group_descriptor, number, half, is_set, choice, number, uuid);
SUBJECT_DYNAMIC(ext4_inode, number, half, choice, number, uuid);
SUBJECT_DYNAMIC(ext4_extent_block, data_bytes, number, half, choice, number, uuid);
SUBJECT_DYNAMIC(ext4_directory_block, data_bytes, number, half, choice, number, uuid);
SUBJECT_DYNAMIC(luks2_header);
SUBJECT_DYNAMIC(luks2_device);
SUBJECT_DYNAMIC(qcow2_image);
SUBJECT_DYNAMIC(qcow2_header);
SUBJECT_DYNAMIC(qcow2_l2_table, half);
SUBJECT_DYNAMIC(qcow2_extended_l2_table, half);
SUBJECT_DYNAMIC(qcow2_refcount_block, half, number);
SUBJECT_DYNAMIC(qcow2_bitmap_directory, data_bytes);
SUBJECT_DYNAMIC(ufs_superblock1);
SUBJECT_DYNAMIC(ufs_superblock2);
SUBJECT_DYNAMIC(ufs_cylinder_group, data_bytes, is_set);
SUBJECT_FIXED(ufs_inode1, order, half);
SUBJECT_FIXED(ufs_inode2, order, half, is_set);
SUBJECT_DYNAMIC(ufs_directory_block, order);
SUBJECT_FIXED(hammer2_volume_header);
SUBJECT_FIXED(hammer2_inode, order);
SUBJECT_DYNAMIC(hammer2_indirect_block, order, data_bytes);
SUBJECT_FIXED(hammer2_freemap_entry, order);
SUBJECT_FIXED(hammer_volume_header);
SUBJECT_FIXED(hammer_node, order, version);
SUBJECT_FIXED(hammer_inode, order);
SUBJECT_DYNAMIC(hammer_directory_entry, order, data_bytes);
SUBJECT_FIXED(nbd_oldstyle_greeting);
SUBJECT_FIXED(nbd_request_header);
SUBJECT_DYNAMIC(nbd_option_message);
SUBJECT_DYNAMIC(nbd_option_reply_message);
SUBJECT_DYNAMIC(nbd_chunk_message);
SUBJECT_DYNAMIC(nbd_chunk_payload, half, data_bytes);
SUBJECT_DYNAMIC(nbd_block_status_payload, data_bytes);
SUBJECT_FIXED(ublk_abi_dev_info);
SUBJECT_DYNAMIC(ublk_abi_all_params);
SUBJECT_DYNAMIC(ublk_abi_batch_element, half);

/* Kept inputs start with an index into this: add at the end. */
static const struct subject *const subjects[] = {
	&gpt_disk_subject,
	&gpt_header_subject,
	&ext4_superblock_subject,
	&ext4_filesystem_subject,
	&ext4_group_descriptor_subject,
	&ext4_inode_subject,
	&ext4_extent_block_subject,
	&ext4_directory_block_subject,
	&luks2_header_subject,
	&luks2_device_subject,
	&qcow2_image_subject,
	&qcow2_header_subject,
	&qcow2_l2_table_subject,
	&qcow2_extended_l2_table_subject,
	&qcow2_refcount_block_subject,
	&qcow2_bitmap_directory_subject,
	&ufs_superblock1_subject,
	&ufs_superblock2_subject,
	&ufs_cylinder_group_subject,
	&ufs_inode1_subject,
	&ufs_inode2_subject,
	&ufs_directory_block_subject,
	&hammer2_volume_header_subject,
	&hammer2_inode_subject,
	&hammer2_indirect_block_subject,
	&hammer2_freemap_entry_subject,
	&hammer_volume_header_subject,
	&hammer_node_subject,
	&hammer_inode_subject,
	&hammer_directory_entry_subject,
	&nbd_oldstyle_greeting_subject,
	&nbd_request_header_subject,
	&nbd_option_message_subject,
	&nbd_option_reply_message_subject,
	&nbd_chunk_message_subject,
	&nbd_chunk_payload_subject,
	&nbd_block_status_payload_subject,
	&ublk_abi_dev_info_subject,
	&ublk_abi_all_params_subject,
	&ublk_abi_batch_element_subject,
};

/* Those of them that are told the byte order. */
static const struct subject *const turned_subjects[] = {
	&ufs_inode1_subject,
	&ufs_inode2_subject,
	&ufs_directory_block_subject,
	&hammer2_inode_subject,
	&hammer2_indirect_block_subject,
	&hammer2_freemap_entry_subject,
	&hammer_node_subject,
	&hammer_inode_subject,
	&hammer_directory_entry_subject,
};

static void insist(bool holds)
{
	if (!holds)
		abort();
}

static int look(struct wire_walk *walk, const struct wire_node *node)
{
	volatile uint8_t sum = 0;

	(void)walk;
	for (uint64_t i = 0; node->event == WIRE_VALUE && node->data != NULL && i < node->size; i++)
		sum ^= node->data[i];
	return 0;
}

static void listen(const uint8_t *head, size_t size)
{
	choice = head[1] & 3;
	is_set = head[1] & 8;
	order = head[1] & 4 ? WIRE_BIG : WIRE_LITTLE;
	version = is_set ? 6 : 7;
	number = wire_load_le32(head + 2);
	half = wire_load_le16(head + 6);
	data_bytes = (uint32_t)size;
}

static void check_copies(const struct subject *subject, const uint8_t *data, size_t size,
			 bool is_good)
{
	uint8_t *const copy = malloc(size + 1);
	long length;

	if (copy == NULL)
		return;
	length = subject->copy(copy, size, data, size);
	insist(!is_good || (length >= 0 && memcmp(copy, data, (size_t)length) == 0));
	memcpy(copy, data, size);
	insist(subject->equal(copy, data, size) || !is_good);
	insist(subject->format.seal(copy, size, NULL) == 0 || !is_good);
	insist(!is_good || memcmp(copy, data, size) == 0);
	subject->format.check(copy, size, NULL, NULL);
	free(copy);
}

/* Turns numbers around in a copy, each once though several bit fields may share it. */
struct turning {
	struct wire_walk walk;
	uint8_t *copy;
	uint64_t end;
};

static void turn(uint8_t *bytes, uint64_t size)
{
	for (uint64_t i = 0; i < size / 2; i++) {
		const uint8_t first = bytes[i];

		bytes[i] = bytes[size - 1 - i];
		bytes[size - 1 - i] = first;
	}
}

static int turn_node(struct wire_walk *walk, const struct wire_node *node)
{
	struct turning *const turning = (struct turning *)walk;
	const bool is_number = node->kind == WIRE_UNSIGNED || node->kind == WIRE_SIGNED;

	if (node->event != WIRE_VALUE || node->flavour == WIRE_JOINED || node->data == NULL)
		return 0;
	if (is_number && node->offset >= turning->end) {
		turn(turning->copy + node->offset, node->size);
		turning->end = node->offset + node->size;
	}
	for (uint64_t i = 0; node->kind == WIRE_UTF16 && i + 1 < node->size; i += 2)
		turn(turning->copy + node->offset + i, 2);
	return 0;
}

static bool is_told_its_order(const struct subject *subject)
{
	for (size_t i = 0; i < sizeof(turned_subjects) / sizeof(*turned_subjects); i++) {
		if (turned_subjects[i] == subject)
			return true;
	}
	return false;
}

static void check_other_order(const struct subject *subject, const uint8_t *data, size_t size)
{
	struct turning turning = {.walk = {.visit = turn_node, .data = data, .size = size},
				  .copy = malloc(size + 1)};

	if (turning.copy == NULL)
		return;
	memcpy(turning.copy, data, size);
	insist(subject->format.walk(data, size, NULL, &turning.walk) == 0);
	order = order == WIRE_BIG ? WIRE_LITTLE : WIRE_BIG;
	insist(subject->format.seal(turning.copy, size, NULL) == 0);
	insist(subject->format.check(turning.copy, size, NULL, NULL) == 0);
	free(turning.copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct subject *subject;
	struct wire_walk walk = {.visit = look};
	struct wire_fault fault;
	char text[256];
	bool is_good;

	if (size < HEAD_BYTES || data[0] >= sizeof(subjects) / sizeof(*subjects))
		return 0;
	subject = subjects[data[0]];
	listen(data, size - HEAD_BYTES);
	data += HEAD_BYTES;
	size -= HEAD_BYTES;
	is_good = subject->format.check(data, size, NULL, &fault) == 0;
	if (!is_good)
		insist(wire_fault_text(&fault, text, sizeof(text)) > 0);
	walk.data = data;
	walk.size = size;
	insist(subject->format.walk(data, size, NULL, &walk) == 0 || !is_good);
	check_copies(subject, data, size, is_good);
	if (is_good && is_told_its_order(subject))
		check_other_order(subject, data, size);
	return 0;
}
