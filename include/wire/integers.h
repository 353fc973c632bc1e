/* SPDX-License-Identifier: MIT */
/*
 * Integers as they lie in data: of 8 to 64 bits, of stated byte order, at any address. Loads and
 * stores of 16, 32 and 64 bits compile to one instruction (and a swap where orders differ).
 * Arithmetic on what they give: 64 bits without a sign; what does not fit sets *bad and is never
 * undefined.
 */
#ifndef WIRE_INTEGERS_H
#define WIRE_INTEGERS_H

#include "platform.h"

#ifdef __cplusplus
extern "C" {
#endif

enum wire_order {
	WIRE_LITTLE,
	WIRE_BIG
};

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WIRE_NATIVE        WIRE_BIG
#define WIRE_SWAP_LE(n, v) __builtin_bswap##n(v)
#define WIRE_SWAP_BE(n, v) (v)
#else
#define WIRE_NATIVE        WIRE_LITTLE
#define WIRE_SWAP_LE(n, v) (v)
#define WIRE_SWAP_BE(n, v) __builtin_bswap##n(v)
#endif

typedef struct {
	unsigned char bytes[1];
} wire_u8;

/* le: little, be: big, ne: of the machine, rt: chosen at run time. */
#define WIRE_DEFINE_TYPES(bits)                  \
	typedef struct {                         \
		unsigned char bytes[(bits) / 8]; \
	} wire_le##bits, wire_be##bits, wire_ne##bits, wire_rt##bits;

WIRE_DEFINE_TYPES(16)
WIRE_DEFINE_TYPES(24)
WIRE_DEFINE_TYPES(32)
WIRE_DEFINE_TYPES(40)
WIRE_DEFINE_TYPES(48)
WIRE_DEFINE_TYPES(56)
WIRE_DEFINE_TYPES(64)

#undef WIRE_DEFINE_TYPES

/* ---- one to eight bytes ---- */

static inline uint8_t wire_load_le8(const unsigned char *from)
{
	return *from;
}

static inline void wire_store_le8(unsigned char *to, uint8_t value)
{
	*to = value;
}

#define WIRE_DEFINE_WHOLE(order, ORDER, bits)                                            \
	static inline uint##bits##_t wire_load_##order##bits(const unsigned char *from)  \
	{                                                                                \
		uint##bits##_t value;                                                    \
                                                                                         \
		memcpy(&value, from, sizeof(value));                                     \
		return WIRE_SWAP_##ORDER(bits, value);                                   \
	}                                                                                \
	static inline void wire_store_##order##bits(unsigned char *to, uint##bits##_t v) \
	{                                                                                \
		const uint##bits##_t value = WIRE_SWAP_##ORDER(bits, v);                 \
                                                                                         \
		memcpy(to, &value, sizeof(value));                                       \
	}

WIRE_DEFINE_WHOLE(le, LE, 16)
WIRE_DEFINE_WHOLE(le, LE, 32)
WIRE_DEFINE_WHOLE(le, LE, 64)
WIRE_DEFINE_WHOLE(be, BE, 16)
WIRE_DEFINE_WHOLE(be, BE, 32)
WIRE_DEFINE_WHOLE(be, BE, 64)

#undef WIRE_DEFINE_WHOLE
#undef WIRE_SWAP_LE
#undef WIRE_SWAP_BE

#define WIRE_DEFINE_ODD(bits, type)                                                  \
	static inline type wire_load_le##bits(const unsigned char *from)             \
	{                                                                            \
		type value = 0;                                                      \
                                                                                     \
		for (unsigned i = 0; i < (bits) / 8; i++)                            \
			value |= (type)((type)from[i] << (8 * i));                   \
		return value;                                                        \
	}                                                                            \
	static inline type wire_load_be##bits(const unsigned char *from)             \
	{                                                                            \
		type value = 0;                                                      \
                                                                                     \
		for (unsigned i = 0; i < (bits) / 8; i++)                            \
			value = (type)(value << 8 | from[i]);                        \
		return value;                                                        \
	}                                                                            \
	static inline void wire_store_le##bits(unsigned char *to, type value)        \
	{                                                                            \
		for (unsigned i = 0; i < (bits) / 8; i++)                            \
			to[i] = (unsigned char)(value >> (8 * i) & 0xff);            \
	}                                                                            \
	static inline void wire_store_be##bits(unsigned char *to, type value)        \
	{                                                                            \
		for (unsigned i = 0; i < (bits) / 8; i++)                            \
			to[i] = (unsigned char)(value >> ((bits)-8 - 8 * i) & 0xff); \
	}

WIRE_DEFINE_ODD(24, uint32_t)
WIRE_DEFINE_ODD(40, uint64_t)
WIRE_DEFINE_ODD(48, uint64_t)
WIRE_DEFINE_ODD(56, uint64_t)

#undef WIRE_DEFINE_ODD

static inline uint8_t wire_load_be8(const unsigned char *from)
{
	return *from;
}

static inline void wire_store_be8(unsigned char *to, uint8_t value)
{
	*to = value;
}

/* Of the machine, and of an order that is only known at run time. */
#define WIRE_DEFINE_CHOSEN(bits, type)                                                          \
	static inline type wire_load_rt##bits(const unsigned char *from, enum wire_order order) \
	{                                                                                       \
		return order == WIRE_BIG ? wire_load_be##bits(from) : wire_load_le##bits(from); \
	}                                                                                       \
	static inline void wire_store_rt##bits(unsigned char *to, type value,                   \
					       enum wire_order order)                           \
	{                                                                                       \
		if (order == WIRE_BIG)                                                          \
			wire_store_be##bits(to, value);                                         \
		else                                                                            \
			wire_store_le##bits(to, value);                                         \
	}                                                                                       \
	static inline type wire_load_ne##bits(const unsigned char *from)                        \
	{                                                                                       \
		return wire_load_rt##bits(from, WIRE_NATIVE);                                   \
	}                                                                                       \
	static inline void wire_store_ne##bits(unsigned char *to, type value)                   \
	{                                                                                       \
		wire_store_rt##bits(to, value, WIRE_NATIVE);                                    \
	}

WIRE_DEFINE_CHOSEN(8, uint8_t)
WIRE_DEFINE_CHOSEN(16, uint16_t)
WIRE_DEFINE_CHOSEN(24, uint32_t)
WIRE_DEFINE_CHOSEN(32, uint32_t)
WIRE_DEFINE_CHOSEN(40, uint64_t)
WIRE_DEFINE_CHOSEN(48, uint64_t)
WIRE_DEFINE_CHOSEN(56, uint64_t)
WIRE_DEFINE_CHOSEN(64, uint64_t)

#undef WIRE_DEFINE_CHOSEN

/** The number that @bits bits of two's complement mean. */
static inline int64_t wire_sign(uint64_t value, unsigned bits)
{
	const uint64_t sign = UINT64_C(1) << (bits - 1);

	return (int64_t)((value ^ sign) - sign);
}

/* ---- arithmetic ---- */

static inline uint64_t wire_add(uint64_t a, uint64_t b, bool *bad)
{
	uint64_t result;

	*bad |= __builtin_add_overflow(a, b, &result);
	return result;
}

static inline uint64_t wire_sub(uint64_t a, uint64_t b, bool *bad)
{
	uint64_t result;

	*bad |= __builtin_sub_overflow(a, b, &result);
	return result;
}

static inline uint64_t wire_mul(uint64_t a, uint64_t b, bool *bad)
{
	uint64_t result;

	*bad |= __builtin_mul_overflow(a, b, &result);
	return result;
}

/* In the kernel of a 32-bit machine the compiler's own division is missing; there, use constants.
 */
static inline uint64_t wire_div(uint64_t a, uint64_t b, bool *bad)
{
	*bad |= b == 0;
	return b == 0 ? 0 : a / b;
}

static inline uint64_t wire_mod(uint64_t a, uint64_t b, bool *bad)
{
	*bad |= b == 0;
	return b == 0 ? 0 : a % b;
}

static inline uint64_t wire_shl(uint64_t a, uint64_t b, bool *bad)
{
	const uint64_t result = b < 64 ? a << b : 0;

	*bad |= a != 0 && (b >= 64 || result >> b != a);
	return result;
}

static inline uint64_t wire_shr(uint64_t a, uint64_t b)
{
	return b < 64 ? a >> b : 0;
}

/** Rounds @a up to a multiple of @b; @bad may be NULL where that cannot fail. */
static inline uint64_t wire_align(uint64_t a, uint64_t b, bool *bad)
{
	if (b == 0 || a > UINT64_MAX - (b - 1)) {
		if (bad != NULL)
			*bad = true;
		return 0;
	}
	return (a + b - 1) / b * b;
}

/** Bytes from @offset to the next multiple of @unit. */
static inline uint64_t wire_to_align(uint64_t offset, uint64_t unit)
{
	return (unit - offset % unit) % unit;
}

static inline uint64_t wire_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t wire_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline size_t wire_max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static inline uint64_t wire_positive(int64_t value, bool *bad)
{
	*bad |= value < 0;
	return value < 0 ? 0 : (uint64_t)value;
}

static inline uint64_t wire_fit(uint64_t value, uint64_t max, bool *bad)
{
	*bad |= value > max;
	return value > max ? 0 : value;
}

/* A function, as compilers warn where types make the comparison constant. */
static inline bool wire_exceeds(uint64_t value, uint64_t max)
{
	return value > max;
}

/** An index that is out of every range if it does not fit. */
static inline size_t wire_index(uint64_t value)
{
	const size_t index = (size_t)value;

	return index == value ? index : (size_t)-1;
}

#ifdef __cplusplus
}
#endif

#endif
