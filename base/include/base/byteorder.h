/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of big-endian integers at any alignment.
 */
#ifndef BASE_BYTEORDER_H
#define BASE_BYTEORDER_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BASE_DEFINE_BE(bits)                                                   \
	static inline uint##bits##_t base_load_be##bits(const void *from)      \
	{                                                                      \
		uint##bits##_t raw;                                            \
		memcpy(&raw, from, sizeof(raw));                               \
		return be##bits##toh(raw);                                     \
	}                                                                      \
	static inline void base_store_be##bits(void *to, uint##bits##_t value) \
	{                                                                      \
		const uint##bits##_t raw = htobe##bits(value);                 \
		memcpy(to, &raw, sizeof(raw));                                 \
	}

BASE_DEFINE_BE(16)
BASE_DEFINE_BE(32)
BASE_DEFINE_BE(64)

#undef BASE_DEFINE_BE

#endif
