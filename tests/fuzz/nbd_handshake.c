/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the NBD handshake. The first byte says how the rest is cut into pieces, as a network
 * would do it; whatever arrives, the machine stays within its buffers, asks for no more than an
 * option's length, and answers in well-formed messages.
 */
#include "base/byteorder.h"
#include "handshake.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct nbd_export export = {
	.name = "disk",
	.description = "a disk",
	.size_bytes = 1 << 20,
	.flags = NBD_FLAG_HAS_FLAGS,
	.has_extents = true,
	.minimum_block_bytes = 512,
	.preferred_block_bytes = 4096,
	.maximum_payload_bytes = NBD_DEFAULT_PAYLOAD_BYTES,
};

/** Walks over the answers to one message; they must fill the output exactly. */
static void check_output(const struct nbd_handshake *handshake)
{
	size_t at = 0;

	if (handshake->option == NBD_OPT_EXPORT_NAME || handshake->state == NBD_HANDSHAKE_FLAGS)
		return;
	while (at < handshake->output_bytes) {
		const struct nbd_option_reply *const reply = (const void *)(handshake->output + at);

		if (base_load_be64(&reply->magic) != NBD_OPTION_REPLY_MAGIC)
			abort();
		at += sizeof(*reply) + base_load_be32(&reply->length);
	}
	if (at != handshake->output_bytes)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nbd_handshake handshake;
	const size_t step = size == 0 || data[0] == 0 ? size : data[0];
	size_t begin = 1;
	size_t end = 1;

	nbd_handshake_init(&handshake, &export);
	while (begin < size && !nbd_handshake_is_over(&handshake)) {
		uint8_t *piece;
		size_t used;

		/* A copy of its own, so that a read past its end is noticed. */
		piece = malloc(end - begin + 1);
		memcpy(piece, data + begin, end - begin);
		handshake.output_bytes = 0;
		used = nbd_handshake_feed(&handshake, piece, end - begin);
		free(piece);
		if (used > end - begin)
			abort();
		begin += used;
		check_output(&handshake);
		if (used != 0)
			continue;
		if (end == size || end - begin >= NBD_HANDSHAKE_INPUT_BYTES)
			break;
		end = end + step < size ? end + step : size;
	}
	if (end - begin >= NBD_HANDSHAKE_INPUT_BYTES && !nbd_handshake_is_over(&handshake) &&
	    begin != end)
		abort();
	return 0;
}
