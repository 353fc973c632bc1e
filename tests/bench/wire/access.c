/* SPDX-License-Identifier: MIT */
/*
 * Each field of access.wire read twice: through its accessor, and from a structure written by hand.
 * The two functions of a pair must compile to the same instructions; test-access-is-free.sh
 * compares them.
 */
#include "access.h"

struct by_hand {
	uint8_t byte;
	int8_t signed_byte;
	uint16_t half;
	uint32_t word;
	uint64_t wide;
	int32_t signed_word;
	uint16_t kind;
	uint16_t list[3];
	struct {
		uint32_t a;
		uint64_t b;
	} __attribute__((packed)) inner;
	uint32_t big;
} __attribute__((packed));

_Static_assert(sizeof(struct by_hand) == ACCESS_PLAIN_SIZE, "both describe the same bytes");

#define PAIR(type, name, field, hand)                    \
	type field_##name(const struct access_plain *s); \
	type hand_##name(const struct by_hand *s);       \
	type field_##name(const struct access_plain *s)  \
	{                                                \
		return field;                            \
	}                                                \
	type hand_##name(const struct by_hand *s)        \
	{                                                \
		return hand;                             \
	}

PAIR(uint8_t, byte, access_plain_byte(s), s->byte)
PAIR(int8_t, signed_byte, access_plain_signed_byte(s), s->signed_byte)
PAIR(uint16_t, half, access_plain_half(s), s->half)
PAIR(uint32_t, word, access_plain_word(s), s->word)
PAIR(uint64_t, wide, access_plain_wide(s), s->wide)
PAIR(int32_t, signed_word, access_plain_signed_word(s), s->signed_word)
PAIR(uint16_t, enumerated, access_plain_kind(s), s->kind)
PAIR(uint16_t, element, access_plain_list(s, 1), s->list[1])
PAIR(uint64_t, nested, access_inner_b(access_plain_inner(s)), s->inner.b)
PAIR(uint32_t, big_endian, access_plain_big(s), __builtin_bswap32(s->big))
PAIR(uint64_t, sum, access_plain_word(s) + access_plain_wide(s) + access_plain_half(s),
     s->word + s->wide + s->half)
