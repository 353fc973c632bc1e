/* SPDX-License-Identifier: MIT */
/*
 * The server's side of the handshake, as a machine that eats bytes and makes bytes and knows
 * nothing of sockets. Protocol: "Fixed newstyle negotiation" of the NBD document.
 */
#ifndef NBD_HANDSHAKE_H
#define NBD_HANDSHAKE_H

#include "export.h"
#include "nbd.h"

#include <stddef.h>

/** Longest option that is understood; enough for a name and some queries of full length. */
#define NBD_HANDSHAKE_OPTION_BYTES (16U << 10)
/** Longer ones up to this are read past and refused; beyond it the client is cut off. */
#define NBD_HANDSHAKE_SKIP_BYTES (1U << 20)
/** Bytes that the caller must be able to show at once for progress to be certain. */
#define NBD_HANDSHAKE_INPUT_BYTES (sizeof(struct nbd_option) + NBD_HANDSHAKE_OPTION_BYTES)
/** Room for the longest answer: three pieces of information with full strings. */
#define NBD_HANDSHAKE_OUTPUT_BYTES (16U << 10)

enum nbd_handshake_state {
	/** Waits for the client's flags. */
	NBD_HANDSHAKE_FLAGS,
	/** Waits for an option. */
	NBD_HANDSHAKE_OPTION,
	/** Reads past the data of an option that is too long. */
	NBD_HANDSHAKE_SKIP,
	/** Over: requests follow once the output was sent. */
	NBD_HANDSHAKE_DONE,
	/** Over: the connection ends once the output was sent. */
	NBD_HANDSHAKE_CLOSE,
};

struct nbd_handshake {
	const struct nbd_export *export;
	enum nbd_handshake_state state;
	bool no_zeroes;
	struct nbd_session session;
	/** The option in progress. */
	uint32_t option;
	uint32_t skip_bytes;
	/** What to send next; the caller sets `output_bytes` to 0 once it was sent. */
	size_t output_bytes;
	uint8_t output[NBD_HANDSHAKE_OUTPUT_BYTES];
};

/** Starts with the greeting as output. @export must outlive the handshake. */
void nbd_handshake_init(struct nbd_handshake *handshake, const struct nbd_export *export);

/**
 * Takes at most one message from the start of @data and returns how many bytes of it were used; 0
 * means that more input is needed. Call only in a waiting state and with no output left to send.
 */
size_t nbd_handshake_feed(struct nbd_handshake *handshake, const uint8_t *data, size_t length);

static inline bool nbd_handshake_is_over(const struct nbd_handshake *handshake)
{
	return handshake->state >= NBD_HANDSHAKE_DONE;
}

#endif
