/* SPDX-License-Identifier: MIT */
/*
 * Checksums. Each takes the state so far and gives the next one, so that pieces follow one another.
 */
#include "wire.h"

#include "crc_tables.h"

/* Eight bytes at a time, one table for each. */
static uint32_t crc_update(const uint32_t table[8][256], uint32_t crc, const unsigned char *p,
			   size_t size)
{
	for (; size >= 8; p += 8, size -= 8) {
		const uint32_t low = wire_load_le32(p) ^ crc, high = wire_load_le32(p + 4);

		crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^
		      table[5][low >> 16 & 0xff] ^ table[4][low >> 24] ^ table[3][high & 0xff] ^
		      table[2][high >> 8 & 0xff] ^ table[1][high >> 16 & 0xff] ^
		      table[0][high >> 24];
	}
	for (; size > 0; p++, size--)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
	return crc;
}

uint64_t wire_crc32(uint64_t state, const void *data, size_t size)
{
	return ~crc_update(crc32_table, ~(uint32_t)state, (const unsigned char *)data, size);
}

uint64_t wire_crc32_raw(uint64_t state, const void *data, size_t size)
{
	return crc_update(crc32_table, (uint32_t)state, (const unsigned char *)data, size);
}

uint64_t wire_crc32c(uint64_t state, const void *data, size_t size)
{
	return ~crc_update(crc32c_table, ~(uint32_t)state, (const unsigned char *)data, size);
}

uint64_t wire_crc32c_raw(uint64_t state, const void *data, size_t size)
{
	return crc_update(crc32c_table, (uint32_t)state, (const unsigned char *)data, size);
}

uint64_t wire_crc16(uint64_t state, const void *data, size_t size)
{
	const unsigned char *p = (const unsigned char *)data;
	uint32_t crc = (uint16_t)state;

	for (size_t i = 0; i < size; i++) {
		crc ^= p[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xa001U : 0);
	}
	return crc;
}

/* The last unit may lack bytes, which count as zero. */
static uint32_t unit(const unsigned char *p, size_t left, unsigned bytes, bool is_big)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes && i < left; i++)
		value |= (uint32_t)p[i] << 8 * (is_big ? bytes - 1 - i : i);
	return value;
}

#define DEFINE_SUMS(name, type, bytes, is_big)                                             \
	uint64_t wire_sum##name(uint64_t state, const void *data, size_t size)             \
	{                                                                                  \
		type sum = (type)state;                                                    \
                                                                                           \
		for (size_t i = 0; i < size; i += (bytes))                                 \
			sum = (type)(sum + unit((const unsigned char *)data + i, size - i, \
						(bytes), (is_big)));                       \
		return sum;                                                                \
	}                                                                                  \
	uint64_t wire_xor##name(uint64_t state, const void *data, size_t size)             \
	{                                                                                  \
		type sum = (type)state;                                                    \
                                                                                           \
		for (size_t i = 0; i < size; i += (bytes))                                 \
			sum = (type)(sum ^ unit((const unsigned char *)data + i, size - i, \
						(bytes), (is_big)));                       \
		return sum;                                                                \
	}

DEFINE_SUMS(8, uint8_t, 1, false)
DEFINE_SUMS(16le, uint16_t, 2, false)
DEFINE_SUMS(16be, uint16_t, 2, true)
DEFINE_SUMS(32le, uint32_t, 4, false)
DEFINE_SUMS(32be, uint32_t, 4, true)

/* ---- pieces ---- */

static const unsigned char zeroes[64];

/* The hole that ends after @at and starts first; NULL if there is none before @to. */
static const struct wire_hole *next_hole(const struct wire_hole *holes, size_t count, size_t at,
					 size_t to)
{
	const struct wire_hole *found = NULL;

	for (size_t i = 0; i < count; i++)
		if (holes[i].offset + holes[i].size > at && holes[i].offset < to &&
		    (found == NULL || holes[i].offset < found->offset))
			found = &holes[i];
	return found;
}

size_t wire_sum_range(struct wire_bytes *pieces, const unsigned char *base, size_t from, size_t to,
		      const struct wire_hole *holes, size_t count)
{
	size_t made = 0;

	while (from < to) {
		const struct wire_hole *hole = next_hole(holes, count, from, to);
		const size_t start = hole == NULL          ? to
				     : hole->offset > from ? (size_t)hole->offset
							   : from;
		size_t end;

		if (start > from)
			pieces[made++] = wire_bytes(base + from, start - from);
		if (hole == NULL)
			break;
		end = (size_t)wire_min(hole->offset + hole->size, to);
		pieces[made++] = wire_bytes(zeroes, end - start);
		from = end;
	}
	return made;
}

/* As many bytes as the steps take at a time; units are no larger. */
#define STRIDE 8

/* Pieces follow one another without a gap: what is left of one is put before the next, so that
 * units may lie across their bounds, and that short pieces do not cost a step for each byte. */
uint64_t wire_sum(wire_sum_step *step, uint64_t seed, const struct wire_bytes *pieces, size_t count)
{
	unsigned char pending[STRIDE];
	uint64_t state = seed;
	size_t have = 0;

	for (size_t i = 0; i < count; i++) {
		const unsigned char *p = pieces[i].data;
		size_t left = pieces[i].size;

		for (; have != 0 && have < STRIDE && left != 0; left--)
			pending[have++] = *p++;
		if (have == STRIDE) {
			state = step(state, pending, STRIDE);
			have = 0;
		}
		if (left >= STRIDE) {
			const size_t whole = left - left % STRIDE;

			state = step(state, p, whole);
			p += whole;
			left -= whole;
		}
		for (; left != 0; left--)
			pending[have++] = *p++;
	}
	return have != 0 ? step(state, pending, have) : state;
}
