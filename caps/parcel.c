/* SPDX-License-Identifier: MIT */
/*
 * Packets that are kept, packets that are about to be sent, and the messages that the program sees
 * of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "caps_internal.h"

/* ---- kept ---- */

struct caps_parcel *caps_parcel_bare(const struct caps_wire_header *header)
{
	struct caps_parcel *parcel = calloc(1, sizeof(*parcel));

	if (parcel != NULL) {
		base_list_init(&parcel->link);
		parcel->header = *header;
	}
	return parcel;
}

struct caps_parcel *caps_parcel_keep(struct caps_packet *packet, const struct caps_room *room,
				     struct caps_mapping *mapping)
{
	const size_t length = caps_inline_bytes(&packet->header);
	const size_t first = base_min(length, room->capacity);
	struct caps_parcel *parcel = malloc(sizeof(*parcel) + length);

	if (parcel == NULL)
		return NULL;
	base_list_init(&parcel->link);
	parcel->header = packet->header;
	parcel->sender = packet->sender;
	parcel->mapping = mapping;
	parcel->fd_count = packet->fd_count;
	memcpy(parcel->fds, packet->fds, sizeof(parcel->fds));
	packet->fd_count = 0;
	if (first != 0)
		memcpy(parcel->data, room->buffer, first);
	if (length > first)
		memcpy(parcel->data + first, room->spill->data, length - first);
	return parcel;
}

void caps_parcel_free(struct caps_parcel *parcel)
{
	if (parcel == NULL)
		return;
	caps_close_fds(parcel->fds, parcel->fd_count);
	caps_mapping_release(parcel->mapping);
	free(parcel);
}

int caps_parcel_open(struct caps_parcel *parcel, struct caps_message *message, void *buffer,
		     size_t capacity)
{
	const size_t length = caps_inline_bytes(&parcel->header);

	if (length > capacity) {
		message->length = length;
		return base_error(EMSGSIZE, "a message has %zu bytes, and the buffer %zu", length,
				  capacity);
	}
	caps_message_start(message, &parcel->header, parcel->fds, parcel->fd_count);
	message->data = parcel->mapping != NULL ? parcel->mapping->data : buffer;
	message->mapping = parcel->mapping;
	if (length != 0)
		memcpy(buffer, parcel->data, length);
	parcel->mapping = NULL;
	parcel->fd_count = 0;
	return 0;
}

int caps_parcel_send(int fd, const struct caps_parcel *parcel)
{
	return caps_packet_send(fd, &parcel->header, parcel->data, parcel->fds, parcel->fd_count);
}

/* ---- outgoing ---- */

static int check_content(const struct caps_content *content)
{
	const uint64_t length = content->memory ? content->memory->length : content->length;

	if (content->fd_count > CAPS_MAX_FDS)
		return base_error(EINVAL, "%u descriptors; at most %d", content->fd_count,
				  CAPS_MAX_FDS);
	if (length > CAPS_MAX_BYTES)
		return base_error(EMSGSIZE, "a payload of %llu bytes; at most %llu",
				  (unsigned long long)length, (unsigned long long)CAPS_MAX_BYTES);
	if (content->memory != NULL && !content->memory->sealed)
		return base_error(EINVAL, "the memory is not sealed");
	for (unsigned i = 0; i < content->fd_count; i++)
		if (fcntl(content->fds[i], F_GETFD) < 0)
			return base_error(EBADF, "descriptor %d is not open", content->fds[i]);
	return 0;
}

int caps_outgoing_init(struct caps_outgoing *out, const struct caps_content *content)
{
	const struct caps_memory *memory = content->memory;
	const int error = check_content(content);

	if (error != 0)
		return error;
	out->own_fd = -1;
	if (memory == NULL && content->length > CAPS_INLINE_BYTES) {
		out->own_fd = caps_memory_copy(content->data, content->length);
		if (out->own_fd < 0)
			return out->own_fd;
	}
	caps_wire_header_init(&out->header);
	out->data = content->data;
	out->fd_count = 0;
	if (memory != NULL || out->own_fd >= 0) {
		out->fds[out->fd_count++] = memory != NULL ? memory->fd : out->own_fd;
		caps_wire_header_set_flags(&out->header, CAPS_WIRE_PACKET_FLAG_MEMORY);
	}
	caps_wire_header_set_length(&out->header, memory ? memory->length : content->length);
	caps_wire_header_set_fd_count(&out->header, (uint8_t)content->fd_count);
	if (content->fd_count != 0)
		memcpy(out->fds + out->fd_count, content->fds, content->fd_count * sizeof(int));
	out->fd_count += content->fd_count;
	return 0;
}

void caps_outgoing_finish(struct caps_outgoing *out)
{
	if (out->own_fd >= 0)
		close(out->own_fd);
	out->own_fd = -1;
}

int caps_outgoing_keep(const struct caps_outgoing *out, struct caps_parcel **parcel)
{
	const size_t length = caps_inline_bytes(&out->header);
	struct caps_parcel *kept = calloc(1, sizeof(*kept) + length);

	if (kept == NULL)
		return base_error(ENOMEM, "no memory to keep a message");
	base_list_init(&kept->link);
	kept->header = out->header;
	if (length != 0)
		memcpy(kept->data, out->data, length);
	for (; kept->fd_count < out->fd_count; kept->fd_count++) {
		const int fd = fcntl(out->fds[kept->fd_count], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			const int error = errno;

			caps_parcel_free(kept);
			return base_error_errno(error, "cannot keep a descriptor");
		}
		kept->fds[kept->fd_count] = fd;
	}
	*parcel = kept;
	return 0;
}

/* ---- messages ---- */

void caps_message_start(struct caps_message *message, const struct caps_wire_header *header,
			const int *fds, unsigned fd_count)
{
	message->id = caps_wire_header_id(header);
	message->operation = caps_wire_header_operation(header);
	message->error = caps_wire_header_error(header);
	message->length = caps_wire_header_length(header);
	message->data = NULL;
	message->mapping = NULL;
	message->user = NULL;
	message->fd_count = fd_count;
	if (fd_count != 0)
		memcpy(message->fds, fds, fd_count * sizeof(int));
}

void caps_release(struct caps_message *message)
{
	caps_close_fds(message->fds, message->fd_count);
	message->fd_count = 0;
	caps_mapping_release(message->mapping);
	message->mapping = NULL;
	message->data = NULL;
}
