/* SPDX-License-Identifier: MIT */
/*
 * See sha256.h.
 */
#include "sha256.h"

#include <stdint.h>
#include <string.h>

static const uint32_t constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

struct state {
	uint32_t h[8];
	unsigned char block[64];
	size_t filled;
	uint64_t length;
};

static uint32_t turn(uint32_t value, unsigned by)
{
	return value >> by | value << (32 - by);
}

static void schedule(uint32_t w[64], const unsigned char *block)
{
	for (unsigned i = 0; i < 16; i++)
		w[i] = wire_load_be32(block + (size_t)i * 4);
	for (unsigned i = 16; i < 64; i++) {
		const uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[i - 7] +
		       (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
	}
}

static void add_block(struct state *state, const unsigned char *block)
{
	uint32_t w[64], v[8];

	schedule(w, block);
	memcpy(v, state->h, sizeof(v));
	for (unsigned i = 0; i < 64; i++) {
		const uint32_t one = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) +
				     ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[i] + w[i];
		const uint32_t two = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) +
				     ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += one;
		v[0] = one + two;
	}
	for (unsigned i = 0; i < 8; i++)
		state->h[i] += v[i];
}

static void add(struct state *state, const unsigned char *data, size_t size)
{
	state->length += size;
	while (size > 0) {
		const size_t room = sizeof(state->block) - state->filled;
		const size_t now = size < room ? size : room;

		memcpy(state->block + state->filled, data, now);
		state->filled += now;
		data += now;
		size -= now;
		if (state->filled == sizeof(state->block)) {
			add_block(state, state->block);
			state->filled = 0;
		}
	}
}

void sha256(unsigned char digest[32], const struct wire_bytes *pieces, size_t count)
{
	static const unsigned char padding[64] = {0x80};
	struct state state = {.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
				    0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
	unsigned char bits[8];

	for (size_t i = 0; i < count; i++)
		add(&state, pieces[i].data, pieces[i].size);
	wire_store_be64(bits, state.length * 8);
	add(&state, padding, 1 + (119 - state.filled) % 64);
	add(&state, bits, sizeof(bits));
	for (unsigned i = 0; i < 8; i++)
		wire_store_be32(digest + (size_t)i * 4, state.h[i]);
}
