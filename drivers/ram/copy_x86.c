/* SPDX-License-Identifier: MIT */
/*
 * copy_past_caches() by the streaming stores that every 64-bit x86 processor has.
 */
#include "base/bits.h"
#include "copy.h"

#include <emmintrin.h>
#include <stdint.h>
#include <string.h>

#define VECTOR_BYTES sizeof(__m128i)
#define LINE_BYTES   (4 * VECTOR_BYTES)

/* One line of the cache at a time, so that it leaves the processor in one piece. */
static void stream_lines(unsigned char *to, const unsigned char *from, size_t lines)
{
	for (; lines > 0; lines--, to += LINE_BYTES, from += LINE_BYTES) {
		__m128i vectors[4];

		memcpy(vectors, from, sizeof(vectors));
		for (unsigned i = 0; i < 4; i++)
			_mm_stream_si128((__m128i *)(void *)(to + i * VECTOR_BYTES), vectors[i]);
	}
	/* Streaming stores are otherwise not in order with what tells others of the data. */
	_mm_sfence();
}

void copy_past_caches(void *to, const void *from, size_t length)
{
	const size_t before = base_min((size_t) - (uintptr_t)to % LINE_BYTES, length);
	const size_t lines = (length - before) / LINE_BYTES;
	const size_t done = before + lines * LINE_BYTES;
	unsigned char *const target = to;
	const unsigned char *const source = from;

	memcpy(target, source, before);
	stream_lines(target + before, source + before, lines);
	memcpy(target + done, source + done, length - done);
}
