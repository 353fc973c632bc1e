/* SPDX-License-Identifier: MIT */
/*
 * Builds simple replies and chunks.
 */
#include "reply.h"

#include "base/bits.h"
#include "base/byteorder.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert((int)BDUS_EXTENT_HOLE == (int)NBD_STATE_HOLE, "an extent's flags go out as they are");
static_assert((int)BDUS_EXTENT_ZERO == (int)NBD_STATE_ZERO, "an extent's flags go out as they are");

uint32_t nbd_reply_error(const struct nbd_command *command, int result)
{
	switch (result) {
	case 0:
		return NBD_ERROR_NONE;
	case -EPERM:
	case -EROFS:
		return NBD_ERROR_EPERM;
	case -ENOMEM:
		return NBD_ERROR_ENOMEM;
	case -EINVAL:
		return NBD_ERROR_EINVAL;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return NBD_ERROR_ENOSPC;
	case -EOPNOTSUPP:
		/* The protocol has this error for fast zeroing alone. */
		return (command->flags & NBD_CMD_FLAG_FAST_ZERO) ? NBD_ERROR_ENOTSUP
								 : NBD_ERROR_EINVAL;
	case -ESHUTDOWN:
		return NBD_ERROR_ESHUTDOWN;
	default:
		return NBD_ERROR_EIO;
	}
}

static void set_simple(struct nbd_reply *reply, const struct nbd_command *command, uint32_t error)
{
	struct nbd_simple_reply *const simple = &reply->header.simple;

	base_store_be32(&simple->magic, NBD_SIMPLE_REPLY_MAGIC);
	base_store_be32(&simple->error, error);
	memcpy(simple->cookie, command->cookie, sizeof(simple->cookie));
	reply->header_bytes = sizeof(*simple);
	reply->payload = NULL;
	reply->payload_bytes = 0;
}

/** Starts the only chunk of a reply: a header of @header_bytes and @payload_bytes behind it. */
static void set_chunk(struct nbd_reply *reply, const struct nbd_command *command, unsigned type,
		      size_t header_bytes, const void *payload, size_t payload_bytes)
{
	struct nbd_chunk *const chunk = &reply->header.chunk;

	base_store_be32(&chunk->magic, NBD_STRUCTURED_REPLY_MAGIC);
	base_store_be16(&chunk->flags, NBD_REPLY_FLAG_DONE);
	base_store_be16(&chunk->type, (uint16_t)type);
	memcpy(chunk->cookie, command->cookie, sizeof(chunk->cookie));
	base_store_be32(&chunk->length, (uint32_t)(header_bytes - sizeof(*chunk) + payload_bytes));
	reply->header_bytes = (uint32_t)header_bytes;
	reply->payload = payload;
	reply->payload_bytes = (uint32_t)payload_bytes;
}

void nbd_reply_failure(struct nbd_reply *reply, const struct nbd_session *session,
		       const struct nbd_command *command, uint32_t error, const char *text)
{
	const size_t length = text != NULL ? strlen(text) : 0;
	struct nbd_chunk_error *const chunk = &reply->header.error;

	if (!session->structured) {
		set_simple(reply, command, error);
		return;
	}
	set_chunk(reply, command, NBD_REPLY_TYPE_ERROR, sizeof(*chunk), text, length);
	base_store_be32(&chunk->error, error);
	base_store_be16(&chunk->text_length, (uint16_t)length);
}

void nbd_reply_success(struct nbd_reply *reply, const struct nbd_command *command)
{
	set_simple(reply, command, NBD_ERROR_NONE);
}

/** Ends at the first byte that is not zero, which with real data is among the first few. */
static bool is_zero(const uint8_t *data, size_t length)
{
	const size_t probe = base_min(length, 16);

	for (size_t i = 0; i < probe; i++) {
		if (data[i] != 0)
			return false;
	}
	return length == probe || memcmp(data, data + probe, length - probe) == 0;
}

static void set_hole(struct nbd_reply *reply, const struct nbd_command *command)
{
	struct nbd_chunk_hole *const hole = &reply->header.hole;

	set_chunk(reply, command, NBD_REPLY_TYPE_OFFSET_HOLE, sizeof(*hole), NULL, 0);
	base_store_be64(&hole->offset, command->offset_bytes);
	base_store_be32(&hole->size, command->length_bytes);
}

void nbd_reply_read(struct nbd_reply *reply, const struct nbd_session *session,
		    const struct nbd_command *command, const void *data)
{
	struct nbd_chunk_data *const chunk = &reply->header.data;

	if (!session->structured) {
		set_simple(reply, command, NBD_ERROR_NONE);
		reply->payload = data;
		reply->payload_bytes = command->length_bytes;
	} else if (!(command->flags & NBD_CMD_FLAG_DF) && is_zero(data, command->length_bytes)) {
		set_hole(reply, command);
	} else {
		set_chunk(reply, command, NBD_REPLY_TYPE_OFFSET_DATA, sizeof(*chunk), data,
			  command->length_bytes);
		base_store_be64(&chunk->offset, command->offset_bytes);
	}
}

/** Walks over the driver's extents and writes the protocol's, which are shorter, over them. */
struct status_writer {
	struct nbd_extent *out;
	uint32_t count;
	/** Of the client's range and of the device, what is not described yet. */
	uint64_t wanted;
	uint64_t left;
};

/** Appends one extent; false when no more may follow. */
static bool write_extent(struct status_writer *writer, const struct nbd_export *export,
			 struct bdus_extent extent)
{
	const uint64_t longest = base_align_down(UINT32_MAX, export->minimum_block_bytes);
	const uint64_t length = base_min(base_min(extent.length_bytes, longest), writer->left);
	struct nbd_extent *const out = &writer->out[writer->count];

	if (length == 0)
		return false;
	base_store_be32(&out->length, (uint32_t)length);
	base_store_be32(&out->flags, extent.flags & (NBD_STATE_HOLE | NBD_STATE_ZERO));
	writer->count++;
	writer->left -= length;
	if (length < extent.length_bytes || length >= writer->wanted)
		return false;
	writer->wanted -= length;
	return true;
}

bool nbd_reply_status(struct nbd_reply *reply, const struct nbd_export *export,
		      const struct nbd_command *command, struct bdus_extent *extents,
		      uint32_t count)
{
	struct nbd_chunk_status *const status = &reply->header.status;
	struct status_writer writer = {
		.out = (void *)extents,
		.wanted = command->length_bytes,
		.left = nbd_export_size(export) - command->offset_bytes,
	};

	if (command->flags & NBD_CMD_FLAG_REQ_ONE) {
		writer.left = command->length_bytes;
		count = (uint32_t)base_min(count, 1);
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!write_extent(&writer, export, extents[i]))
			break;
	}
	if (writer.count == 0)
		return false;
	set_chunk(reply, command, NBD_REPLY_TYPE_BLOCK_STATUS, sizeof(*status), extents,
		  writer.count * sizeof(struct nbd_extent));
	base_store_be32(&status->context, NBD_ALLOCATION_ID);
	return true;
}
