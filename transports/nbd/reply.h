/* SPDX-License-Identifier: MIT */
/*
 * The message that answers one command: a header of its own and, for some, a payload that lies
 * elsewhere. Knows nothing of sockets.
 */
#ifndef NBD_REPLY_H
#define NBD_REPLY_H

#include "command.h"

struct nbd_reply {
	union {
		struct nbd_simple_reply simple;
		struct nbd_chunk chunk;
		struct nbd_chunk_data data;
		struct nbd_chunk_hole hole;
		struct nbd_chunk_error error;
		struct nbd_chunk_status status;
	} header;
	uint32_t header_bytes;
	uint32_t payload_bytes;
	const void *payload;
};

/** The protocol's number for a negative errno of a command. */
uint32_t nbd_reply_error(const struct nbd_command *command, int result);

/** Answers a command that failed; @text, for people, may be NULL and must outlive the reply. */
void nbd_reply_failure(struct nbd_reply *reply, const struct nbd_session *session,
		       const struct nbd_command *command, uint32_t error, const char *text);

/** Answers a command that succeeded and returns no data. */
void nbd_reply_success(struct nbd_reply *reply, const struct nbd_command *command);

/** Answers a read by @data, which must outlive the reply, or by a hole where all of it is zero. */
void nbd_reply_read(struct nbd_reply *reply, const struct nbd_session *session,
		    const struct nbd_command *command, const void *data);

/**
 * Answers a block status command from the driver's @extents, whose memory is reused for the message
 * and must outlive the reply. False when they say nothing about the range.
 */
bool nbd_reply_status(struct nbd_reply *reply, const struct nbd_export *export,
		      const struct nbd_command *command, struct bdus_extent *extents,
		      uint32_t count);

#endif
