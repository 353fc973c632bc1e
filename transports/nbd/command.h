/* SPDX-License-Identifier: MIT */
/*
 * What a client's request message asks for, and whether it may: the one place that judges requests.
 * Knows nothing of sockets.
 */
#ifndef NBD_COMMAND_H
#define NBD_COMMAND_H

#include "export.h"
#include "nbd.h"

#include <bdus/request.h>

/** A refused write's payload is read past up to this length; a longer one ends the connection. */
#define NBD_COMMAND_SKIP_BYTES (UINT32_C(64) << 20)

enum nbd_verdict {
	/** To be done by the driver. */
	NBD_VERDICT_RUN,
	/** To be answered with `error`, once `payload_bytes` were read past. */
	NBD_VERDICT_REFUSE,
	/** The client says goodbye: everything before is answered, then the connection ends. */
	NBD_VERDICT_DISCONNECT,
	/** The protocol is broken in a way that leaves no common ground: the connection ends now.
	 */
	NBD_VERDICT_ABORT,
};

struct nbd_command {
	enum nbd_verdict verdict;
	/** NBD_CMD_* and NBD_CMD_FLAG_*. */
	uint16_t type;
	uint16_t flags;
	uint8_t cookie[8];
	uint64_t offset_bytes;
	uint32_t length_bytes;
	/** What follows the message. */
	uint32_t payload_bytes;
	/** When it is to be done. */
	enum bdus_op op;
	unsigned op_flags;
	/** When it is refused: NBD_E*, and a sentence for people with static storage. */
	uint32_t error;
	const char *error_text;
};

void nbd_command_decode(const struct nbd_export *export, const struct nbd_session *session,
			const struct nbd_request_header *header, struct nbd_command *command);

/** Makes it one that is answered with @error (NBD_E*); @text has static storage. */
void nbd_command_refuse(struct nbd_command *command, uint32_t error, const char *text);

#endif
