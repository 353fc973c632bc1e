/* SPDX-License-Identifier: MIT */
/*
 * For images that no tool on Linux makes: integers put at offsets as the format's own headers have
 * them, and bitwise CRCs, so that nothing of what is tested takes part in making what it is tested
 * on.
 */
#ifndef ABI_TESTS_IMAGE_WRITER_H
#define ABI_TESTS_IMAGE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer {
	uint8_t *at;
	bool is_big;
};

static inline void put(struct writer w, size_t offset, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		w.at[offset + (w.is_big ? bytes - 1 - i : i)] = (uint8_t)(value >> 8 * i);
}

static inline struct writer in(struct writer w, size_t offset)
{
	w.at += offset;
	return w;
}

/** Reflected, inverted before and after: of zlib with 0xedb88320, Castagnoli's with 0x82f63b78. */
static inline uint32_t bitwise_crc(const uint8_t *data, size_t size, uint32_t polynomial)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
	}
	return ~crc;
}

static inline uint32_t bitwise_crc32c(const uint8_t *data, size_t size)
{
	return bitwise_crc(data, size, 0x82f63b78);
}

#endif
