/* SPDX-License-Identifier: MIT */
/*
 * The digests that descriptions in abi/ leave to the program.
 */
#include "hammer.h"
#include "luks2.h"
#include "sha256.h"

void luks2_sha256(unsigned char *digest, const struct wire_bytes *pieces, size_t count)
{
	sha256(digest, pieces, count);
}

/** See abi/hammer.wire: the first piece starts with the signature and ends with the version. */
void hammer_volume_crc(unsigned char *digest, const struct wire_bytes *pieces, size_t count)
{
	const unsigned char *const first = pieces[0].data;
	const bool is_little = wire_load_le64(first) == HAMMER_VOLUME_MAGIC;
	const unsigned char *const last = first + pieces[0].size - 4;
	const uint32_t version = is_little ? wire_load_le32(last) : wire_load_be32(last);
	wire_sum_step *const step = version < 7 ? wire_crc32 : wire_crc32c;
	uint32_t crc = 0;

	for (size_t i = 0; i < count; i++)
		crc ^= (uint32_t)step(0, pieces[i].data, pieces[i].size);
	for (unsigned i = 0; i < 4; i++)
		digest[i] = (unsigned char)(crc >> (is_little ? 8 * i : 24 - 8 * i));
}
