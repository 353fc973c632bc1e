/* SPDX-License-Identifier: MIT */
/*
 * Judges requests by the protocol's section "Request types": which flags each allows, what the
 * export must offer for it, and which error answers each breach.
 */
#include "command.h"

#include "base/bits.h"
#include "base/byteorder.h"

#include <string.h>

/** What the protocol says of one type of request. */
struct kind {
	enum bdus_op op;
	/** Error for a range past the end. */
	uint32_t range_error;
	/** The transmission flag without which it must not be sent; 0 for none. */
	uint16_t needs;
	/** Command flags that it takes besides FUA. */
	uint16_t allowed;
	/** It changes the device. */
	bool writes;
	bool known;
};

static const struct kind kinds[] = {
	[NBD_CMD_READ] = {.known = true,
			  .op = BDUS_OP_READ,
			  .allowed = NBD_CMD_FLAG_DF,
			  .range_error = NBD_ERROR_EINVAL},
	[NBD_CMD_WRITE] = {.known = true,
			   .op = BDUS_OP_WRITE,
			   .writes = true,
			   .range_error = NBD_ERROR_ENOSPC},
	[NBD_CMD_FLUSH] = {.known = true, .op = BDUS_OP_FLUSH, .needs = NBD_FLAG_SEND_FLUSH},
	[NBD_CMD_TRIM] = {.known = true,
			  .op = BDUS_OP_DISCARD,
			  .needs = NBD_FLAG_SEND_TRIM,
			  .writes = true,
			  .range_error = NBD_ERROR_EINVAL},
	[NBD_CMD_CACHE] = {.known = true,
			   .op = BDUS_OP_CACHE,
			   .needs = NBD_FLAG_SEND_CACHE,
			   .range_error = NBD_ERROR_EINVAL},
	[NBD_CMD_WRITE_ZEROES] = {.known = true,
				  .op = BDUS_OP_WRITE_ZEROS,
				  .needs = NBD_FLAG_SEND_WRITE_ZEROES,
				  .allowed = NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
				  .writes = true,
				  .range_error = NBD_ERROR_ENOSPC},
	[NBD_CMD_BLOCK_STATUS] = {.known = true,
				  .op = BDUS_OP_EXTENTS,
				  .allowed = NBD_CMD_FLAG_REQ_ONE,
				  .range_error = NBD_ERROR_EINVAL},
};

void nbd_command_refuse(struct nbd_command *command, uint32_t error, const char *text)
{
	command->verdict = NBD_VERDICT_REFUSE;
	command->error = error;
	command->error_text = text;
}

/** Flags that this client may set on this kind of request. */
static unsigned allowed_flags(const struct nbd_export *export, const struct nbd_session *session,
			      const struct kind *kind)
{
	unsigned allowed = kind->allowed;

	/* Where FUA is offered, it is valid on every request. */
	if (export->flags & NBD_FLAG_SEND_FUA)
		allowed |= NBD_CMD_FLAG_FUA;
	if (!session->structured)
		allowed &= ~(unsigned)NBD_CMD_FLAG_DF;
	if (!(export->flags & NBD_FLAG_SEND_FAST_ZERO))
		allowed &= ~(unsigned)NBD_CMD_FLAG_FAST_ZERO;
	return allowed;
}

static bool check_use(const struct nbd_export *export, const struct nbd_session *session,
		      const struct kind *kind, struct nbd_command *command)
{
	if (kind->writes && (export->flags & NBD_FLAG_READ_ONLY)) {
		nbd_command_refuse(command, NBD_ERROR_EPERM, "the export is read-only");
	} else if (kind->needs != 0 && !(export->flags & kind->needs)) {
		nbd_command_refuse(command, NBD_ERROR_EINVAL,
				   "the export does not offer this command");
	} else if (command->type == NBD_CMD_BLOCK_STATUS && !session->allocation) {
		nbd_command_refuse(command, NBD_ERROR_EINVAL, "no metadata context was selected");
	} else if (command->flags & ~allowed_flags(export, session, kind)) {
		nbd_command_refuse(command, NBD_ERROR_EINVAL,
				   "a flag is not valid for this command");
	} else {
		return true;
	}
	return false;
}

/** Whether the client has to limit the length to what one message carries. */
static bool has_payload(const struct nbd_command *command)
{
	return command->type == NBD_CMD_READ || command->type == NBD_CMD_WRITE;
}

static bool check_range(const struct nbd_export *export, const struct nbd_session *session,
			const struct kind *kind, struct nbd_command *command)
{
	const uint64_t mask = export->minimum_block_bytes - 1;

	if (command->type == NBD_CMD_FLUSH) {
		if (command->offset_bytes == 0 && command->length_bytes == 0)
			return true;
		nbd_command_refuse(command, NBD_ERROR_EINVAL,
				   "a flush has neither offset nor length");
	} else if (command->length_bytes == 0) {
		nbd_command_refuse(command, NBD_ERROR_EINVAL, "the length is zero");
	} else if (!base_range_within(command->offset_bytes, command->length_bytes,
				      nbd_export_size(export))) {
		nbd_command_refuse(command, kind->range_error,
				   "the range lies beyond the end of the export");
	} else if (((command->offset_bytes | command->length_bytes) & mask) != 0) {
		nbd_command_refuse(command, NBD_ERROR_EINVAL,
				   "offset and length must be multiples of the minimum block size");
	} else if (has_payload(command) && command->length_bytes > export->maximum_payload_bytes) {
		const bool overflow = command->type == NBD_CMD_READ && session->structured;

		nbd_command_refuse(command, overflow ? NBD_ERROR_EOVERFLOW : NBD_ERROR_EINVAL,
				   "the length is above the maximum payload size");
	} else {
		return true;
	}
	return false;
}

static unsigned request_flags(const struct nbd_command *command)
{
	unsigned flags = 0;

	if (command->type == NBD_CMD_READ)
		flags |= BDUS_REQUEST_MAY_LEND;
	if (command->type == NBD_CMD_WRITE || command->type == NBD_CMD_WRITE_ZEROES) {
		if (command->flags & NBD_CMD_FLAG_FUA)
			flags |= BDUS_REQUEST_FUA;
	}
	if (command->type == NBD_CMD_WRITE_ZEROES) {
		if (!(command->flags & NBD_CMD_FLAG_NO_HOLE))
			flags |= BDUS_REQUEST_MAY_UNMAP;
		if (command->flags & NBD_CMD_FLAG_FAST_ZERO)
			flags |= BDUS_REQUEST_FAST_ONLY;
	}
	return flags;
}

static void judge(const struct nbd_export *export, const struct nbd_session *session,
		  struct nbd_command *command)
{
	const struct kind *const kind = &kinds[command->type];

	if (!check_use(export, session, kind, command) ||
	    !check_range(export, session, kind, command))
		return;
	command->verdict = NBD_VERDICT_RUN;
	command->op = kind->op;
	command->op_flags = request_flags(command);
}

void nbd_command_decode(const struct nbd_export *export, const struct nbd_session *session,
			const struct nbd_request_header *header, struct nbd_command *command)
{
	command->verdict = NBD_VERDICT_ABORT;
	command->error = NBD_ERROR_NONE;
	command->error_text = NULL;
	if (base_load_be32(&header->magic) != NBD_REQUEST_MAGIC)
		return;
	command->type = base_load_be16(&header->type);
	command->flags = base_load_be16(&header->flags);
	memcpy(command->cookie, header->cookie, sizeof(command->cookie));
	command->offset_bytes = base_load_be64(&header->offset);
	command->length_bytes = base_load_be32(&header->length);
	command->payload_bytes = command->type == NBD_CMD_WRITE ? command->length_bytes : 0;
	if (command->type == NBD_CMD_DISC)
		command->verdict = NBD_VERDICT_DISCONNECT;
	else if (command->type >= BASE_ARRAY_LENGTH(kinds) || !kinds[command->type].known)
		nbd_command_refuse(command, NBD_ERROR_EINVAL,
				   "this server does not know the command");
	else if (command->payload_bytes <= NBD_COMMAND_SKIP_BYTES)
		judge(export, session, command);
}
