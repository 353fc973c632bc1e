/* SPDX-License-Identifier: MIT */
/*
 * The inode tables of an ext4 image: every inode in use is validated, its checksum verified, and
 * all its fields summed; once by what wirec makes of abi/ext4.wire, once by a loop written by hand
 * that checks the same and uses the same CRC. Both in alternating rounds; prints medians and the
 * ratio.
 *
 * usage: bench-inodes IMAGE ROUNDS
 */
#include "ext4.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_ROUNDS 99

/** What both need to know of the image. */
struct table {
	const unsigned char *image;
	uint64_t size;
	uint32_t block_bytes, groups, inodes_per_group, descriptor_bytes;
	uint16_t inode_bytes;
	uint32_t seed;
	uint64_t descriptors;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- by what wirec generated ---- */

static uint64_t sum_extents(const struct ext4_extent_node_view *node)
{
	uint64_t sum = (uint64_t)ext4_extent_node_magic(node) + ext4_extent_node_entry_count(node) +
		       ext4_extent_node_entries_max(node) + ext4_extent_node_depth(node) +
		       ext4_extent_node_generation(node);

	for (size_t i = 0; i < ext4_extent_node_extents_count(node); i++) {
		const struct ext4_extent *const extent = ext4_extent_node_extents(node, i);

		sum += (uint64_t)ext4_extent_first_block(extent) + ext4_extent_block_count(extent) +
		       ext4_extent_start(extent);
	}
	for (size_t i = 0; i < ext4_extent_node_indexes_count(node); i++) {
		const struct ext4_extent_index *const index = ext4_extent_node_indexes(node, i);

		sum += (uint64_t)ext4_extent_index_first_block(index) +
		       ext4_extent_index_leaf(index);
	}
	return sum;
}

static uint64_t sum_place(const struct ext4_inode_view *inode)
{
	uint64_t sum = 0;

	if (ext4_inode_has_extents(inode))
		return sum_extents(ext4_inode_extents(inode));
	if (ext4_inode_has_symlink(inode))
		return ext4_inode_symlink(inode).length;
	if (ext4_inode_has_device(inode))
		return (uint64_t)ext4_inode_old_device(inode) + ext4_inode_device(inode);
	for (size_t i = 0; i < ext4_inode_blocks_count(inode); i++)
		sum += ext4_inode_blocks(inode, i);
	return sum + ext4_inode_indirect_block(inode) + ext4_inode_double_indirect_block(inode) +
	       ext4_inode_triple_indirect_block(inode);
}

static uint64_t sum_inode(const struct ext4_inode_view *inode)
{
	return (uint64_t)ext4_inode_mode(inode) + ext4_inode_uid(inode) + ext4_inode_length(inode) +
	       ext4_inode_access_time(inode) + ext4_inode_change_time(inode) +
	       ext4_inode_modification_time(inode) + ext4_inode_deletion_time(inode) +
	       ext4_inode_gid(inode) + ext4_inode_link_count(inode) +
	       ext4_inode_sector_count(inode) + ext4_inode_flags(inode) + sum_place(inode) +
	       ext4_inode_generation(inode) + ext4_inode_attribute_block(inode) +
	       ext4_inode_fragment(inode) + ext4_inode_checksum_lo(inode) +
	       ext4_inode_reserved(inode) + ext4_inode_extra_bytes(inode) +
	       ext4_inode_checksum_hi(inode) + ext4_inode_change_time_extra(inode) +
	       ext4_inode_modification_time_extra(inode) + ext4_inode_access_time_extra(inode) +
	       ext4_inode_creation_time(inode) + ext4_inode_creation_time_extra(inode) +
	       ext4_inode_version_number(inode) + ext4_inode_project(inode);
}

static uint64_t read_generated(const struct table *table, const unsigned char *data,
			       uint32_t number)
{
	struct ext4_inode_view inode;

	if (ext4_inode_check(&inode, data, table->inode_bytes, number, table->inode_bytes, 2,
			     table->seed, wire_no_bytes(), NULL) != 0)
		abort();
	return sum_inode(&inode);
}

/* ---- by hand ---- */

struct raw_extent {
	uint32_t first_block;
	uint16_t block_count, start_hi;
	uint32_t start_lo;
} __attribute__((packed));

struct raw_index {
	uint32_t first_block, leaf_lo;
	uint16_t leaf_hi, unused;
} __attribute__((packed));

struct raw_inode {
	uint16_t mode, uid_lo;
	uint32_t length_lo, access_time, change_time, modification_time, deletion_time;
	uint16_t gid_lo, link_count;
	uint32_t sector_count_lo, flags, version_lo;
	union {
		uint32_t blocks[15];
		unsigned char symlink[60];
		struct {
			uint16_t magic, entry_count, entries_max, depth;
			uint32_t generation;
			union {
				struct raw_extent extents[4];
				struct raw_index indexes[4];
			} __attribute__((packed));
		} __attribute__((packed)) node;
	} __attribute__((packed)) place;
	uint32_t generation, attribute_block_lo, length_hi, fragment;
	uint16_t sector_count_hi, attribute_block_hi, uid_hi, gid_hi, checksum_lo, reserved;
	uint16_t extra_bytes, checksum_hi;
	uint32_t change_time_extra, modification_time_extra, access_time_extra;
	uint32_t creation_time, creation_time_extra, version_hi, project;
} __attribute__((packed));

#define OLD_BYTES 128U

/** Whether a field that ends before @end is among the extra ones. */
static bool covers(const struct raw_inode *raw, size_t end)
{
	return OLD_BYTES + raw->extra_bytes >= end;
}

static bool check_node_by_hand(const struct raw_inode *raw)
{
	if (raw->place.node.magic != 0xf30a || raw->place.node.depth > 5 ||
	    raw->place.node.entry_count > raw->place.node.entries_max ||
	    raw->place.node.entries_max > 4)
		return false;
	for (unsigned i = 0; raw->place.node.depth == 0 && i < raw->place.node.entry_count; i++)
		if (raw->place.node.extents[i].block_count == 0)
			return false;
	return true;
}

static bool symlink_is_padded(const unsigned char *text)
{
	size_t i = 0;

	while (i < 60 && text[i] != 0)
		i++;
	while (i < 60 && text[i] == 0)
		i++;
	return i == 60;
}

static bool is_short_link(const struct raw_inode *raw)
{
	return (raw->mode & 0xf000) == 0xa000 && raw->length_lo < 60 && (raw->flags & 0x800) == 0;
}

static bool check_place_by_hand(const struct raw_inode *raw)
{
	if (raw->flags & 0x10000000)
		return true;
	if (raw->flags & 0x80000)
		return check_node_by_hand(raw);
	return !is_short_link(raw) || symlink_is_padded(raw->place.symlink);
}

static bool is_used(const struct raw_inode *raw)
{
	return raw->mode | raw->link_count | raw->flags | raw->length_lo | raw->access_time |
	       raw->change_time | raw->modification_time | raw->deletion_time |
	       raw->sector_count_lo | raw->version_lo | raw->generation | raw->uid_lo |
	       raw->gid_lo | raw->checksum_lo;
}

static bool check_sum_by_hand(const struct table *table, const unsigned char *data, uint32_t number)
{
	const struct raw_inode *const raw = (const struct raw_inode *)(const void *)data;
	static const unsigned char zeroes[2];
	const bool has_hi = covers(raw, 132);
	uint64_t crc = wire_crc32c_raw(table->seed, &number, sizeof(number));

	crc = wire_crc32c_raw(crc, &raw->generation, sizeof(raw->generation));
	crc = wire_crc32c_raw(crc, data, 124);
	crc = wire_crc32c_raw(crc, zeroes, 2);
	if (!has_hi)
		return raw->checksum_lo ==
		       (uint16_t)wire_crc32c_raw(crc, data + 126, table->inode_bytes - 126U);
	crc = wire_crc32c_raw(crc, data + 126, 4);
	crc = wire_crc32c_raw(crc, zeroes, 2);
	crc = wire_crc32c_raw(crc, data + 132, table->inode_bytes - 132U);
	return crc == (raw->checksum_lo | (uint32_t)raw->checksum_hi << 16);
}

static uint64_t sum_node_by_hand(const struct raw_inode *raw)
{
	uint64_t sum = (uint64_t)raw->place.node.magic + raw->place.node.entry_count +
		       raw->place.node.entries_max + raw->place.node.depth +
		       raw->place.node.generation;

	for (unsigned i = 0; i < raw->place.node.entry_count; i++) {
		const struct raw_extent *const e = &raw->place.node.extents[i];
		const struct raw_index *const x = &raw->place.node.indexes[i];

		if (raw->place.node.depth == 0)
			sum += (uint64_t)e->first_block + (uint64_t)e->block_count + e->start_lo +
			       ((uint64_t)e->start_hi << 32);
		else
			sum += (uint64_t)x->first_block + x->leaf_lo + ((uint64_t)x->leaf_hi << 32);
	}
	return sum;
}

static uint64_t sum_place_by_hand(const struct raw_inode *raw)
{
	uint64_t sum = 0;

	if (raw->flags & 0x10000000)
		return 0;
	if (raw->flags & 0x80000)
		return sum_node_by_hand(raw);
	if (is_short_link(raw))
		return strnlen((const char *)raw->place.symlink, 60);
	if ((raw->mode & 0xf000) == 0x2000 || (raw->mode & 0xf000) == 0x6000)
		return (uint64_t)raw->place.blocks[0] + raw->place.blocks[1];
	for (unsigned i = 0; i < 15; i++)
		sum += raw->place.blocks[i];
	return sum;
}

static uint64_t sum_extra_by_hand(const struct raw_inode *raw)
{
	uint64_t sum = raw->extra_bytes;

	sum += covers(raw, 132) ? raw->checksum_hi : 0;
	sum += covers(raw, 136) ? raw->change_time_extra : 0;
	sum += covers(raw, 140) ? raw->modification_time_extra : 0;
	sum += covers(raw, 144) ? raw->access_time_extra : 0;
	sum += covers(raw, 148) ? raw->creation_time : 0;
	sum += covers(raw, 152) ? raw->creation_time_extra : 0;
	sum += covers(raw, 156) ? (uint64_t)raw->version_hi << 32 : 0;
	sum += covers(raw, 160) ? raw->project : 0;
	return sum;
}

static uint64_t sum_by_hand(const struct raw_inode *raw)
{
	return (uint64_t)raw->mode + (raw->uid_lo | (uint64_t)raw->uid_hi << 16) + raw->length_lo +
	       ((uint64_t)raw->length_hi << 32) + raw->access_time + raw->change_time +
	       raw->modification_time + raw->deletion_time +
	       (raw->gid_lo | (uint64_t)raw->gid_hi << 16) + raw->link_count +
	       raw->sector_count_lo + ((uint64_t)raw->sector_count_hi << 32) + raw->flags +
	       sum_place_by_hand(raw) + raw->generation + raw->attribute_block_lo +
	       ((uint64_t)raw->attribute_block_hi << 32) + raw->fragment + raw->checksum_lo +
	       raw->reserved + raw->version_lo + sum_extra_by_hand(raw);
}

static uint64_t read_by_hand(const struct table *table, const unsigned char *data, uint32_t number)
{
	const struct raw_inode *const raw = (const struct raw_inode *)(const void *)data;

	if (table->inode_bytes < sizeof(*raw) ||
	    OLD_BYTES + raw->extra_bytes > table->inode_bytes || raw->extra_bytes % 4 != 0 ||
	    !check_place_by_hand(raw) || (is_used(raw) && !check_sum_by_hand(table, data, number)))
		abort();
	return sum_by_hand(raw);
}

/* ---- both ---- */

typedef uint64_t reader(const struct table *table, const unsigned char *data, uint32_t number);

/** Calls @read for each inode that is in use; returns the sum and counts. */
static inline uint64_t read_all(const struct table *table, reader *read, uint64_t *count)
{
	uint64_t sum = 0;

	*count = 0;
	for (uint32_t group = 0; group < table->groups; group++) {
		const unsigned char *const descriptor = table->image + table->descriptors +
							(uint64_t)group * table->descriptor_bytes;
		const unsigned char *data =
			table->image +
			(uint64_t)wire_load_le32(descriptor + 8) * table->block_bytes;

		for (uint32_t i = 0; i < table->inodes_per_group; i++, data += table->inode_bytes) {
			/* Most of a fresh table is empty, and would only measure memory. */
			if (wire_load_le16(data) == 0 && wire_load_le16(data + 26) == 0)
				continue;
			sum += read(table, data, group * table->inodes_per_group + i + 1);
			++*count;
		}
	}
	return sum;
}

static bool open_table(struct table *table, const char *path)
{
	const int fd = open(path, O_RDONLY);
	struct stat stat;
	void *image;

	if (fd < 0 || fstat(fd, &stat) != 0)
		return false;
	image = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (image == MAP_FAILED)
		return false;
	table->image = image;
	table->size = (uint64_t)stat.st_size;
	return true;
}

static bool learn_geometry(struct table *table)
{
	const unsigned char *const sb = table->image + 1024;
	const uint32_t blocks = wire_load_le32(sb + 4), per_group = wire_load_le32(sb + 32);
	const uint32_t incompatible = wire_load_le32(sb + 96);
	const unsigned char *const uuid = sb + 104;

	if (table->size < 65536 || wire_load_le16(sb + 56) != 0xef53 || per_group == 0 ||
	    (wire_load_le32(sb + 100) & 0x400) == 0)
		return false;
	table->block_bytes = 1024U << wire_load_le32(sb + 24);
	table->groups = (blocks + per_group - 1) / per_group;
	table->inodes_per_group = wire_load_le32(sb + 40);
	table->inode_bytes = wire_load_le16(sb + 88);
	table->descriptor_bytes = (incompatible & 0x80) != 0 ? wire_load_le16(sb + 254) : 32;
	table->descriptors = table->block_bytes == 1024 ? 2048 : table->block_bytes;
	table->seed =
		(uint32_t)((incompatible & 0x2000) != 0 ? wire_load_le32(sb + 624)
							: wire_crc32c_raw(0xffffffff, uuid, 16));
	return true;
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return values[count / 2];
}

int main(int argc, char **argv)
{
	static double generated[MOST_ROUNDS], by_hand[MOST_ROUNDS], ratio[MOST_ROUNDS];
	const unsigned rounds = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	struct table table;

	if (rounds == 0 || rounds > MOST_ROUNDS || !open_table(&table, argv[1]) ||
	    !learn_geometry(&table))
		return 2;
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t count, start = now_ns(), middle, end, one, other;

		one = read_all(&table, read_generated, &count);
		middle = now_ns();
		other = read_all(&table, read_by_hand, &count);
		end = now_ns();
		if (one != other || count == 0) {
			fprintf(stderr, "sums differ: %llu, %llu\n", (unsigned long long)one,
				(unsigned long long)other);
			return 1;
		}
		generated[i] = (double)(middle - start) / (double)count;
		by_hand[i] = (double)(end - middle) / (double)count;
		ratio[i] = by_hand[i] / generated[i];
	}
	printf("inode: generated %.1f ns, by hand %.1f ns, speed ratio %.2f\n",
	       median(generated, rounds), median(by_hand, rounds), median(ratio, rounds));
	return 0;
}
