/* SPDX-License-Identifier: MIT */
/*
 * Sends and receives one packet, with descriptors and the sender's credentials. What comes in is
 * verified here as far as one packet can be: length, header, number of descriptors.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "caps_internal.h"

#define SMALL_BYTES 1024

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int) * CAPS_PACKET_FDS) + CMSG_SPACE(sizeof(struct ucred))];
};

void caps_close_fds(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static int send_error(int error)
{
	if (error == EPIPE || error == ECONNRESET || error == ENOTCONN)
		return -ENOTCONN;
	/* Descriptors of this user that nobody has received are limited; that passes. */
	return error == EWOULDBLOCK || error == ETOOMANYREFS || error == ENOBUFS ? -EAGAIN : -error;
}

/* Copying into one piece costs less than to tell the kernel of two. */
static int send_small(int fd, const struct caps_wire_header *header, const void *data)
{
	const size_t length = caps_inline_bytes(header);
	unsigned char packet[sizeof(*header) + SMALL_BYTES];
	ssize_t sent;

	memcpy(packet, header, sizeof(*header));
	if (length != 0)
		memcpy(packet + sizeof(*header), data, length);
	do
		sent = send(fd, packet, sizeof(*header) + length, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent >= 0 ? 0 : send_error(errno);
}

int caps_packet_send(int fd, const struct caps_wire_header *header, const void *data,
		     const int *fds, unsigned fd_count)
{
	struct iovec parts[2] = {{wire_writable(header), sizeof(*header)},
				 {wire_writable(data), caps_inline_bytes(header)}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = parts[1].iov_len != 0 ? 2 : 1};
	union control control;
	ssize_t sent;

	if (fd_count == 0 && parts[1].iov_len <= SMALL_BYTES)
		return send_small(fd, header, data);
	if (fd_count != 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		memset(&control, 0, message.msg_controllen);
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int) * fd_count),
						  .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * fd_count);
	}
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent >= 0 ? 0 : send_error(errno);
}

/* Takes descriptors and credentials out; a hostile packet may have them in any order and number. */
static void take_control(struct msghdr *message, struct caps_packet *packet)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		const size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && bytes == sizeof(packet->sender))
			memcpy(&packet->sender, CMSG_DATA(c), bytes);
		if (c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < bytes / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (packet->fd_count < CAPS_PACKET_FDS)
				packet->fds[packet->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

/* Too few is no fault of the sender where this process had no room for them. */
static int verify_fds(struct caps_packet *packet, bool cut)
{
	const struct caps_wire_header *header = &packet->header;
	const unsigned declared = caps_wire_header_fd_count(header) +
				  (caps_wire_header_flags(header) & CAPS_WIRE_PACKET_FLAG_MEMORY);

	if (packet->fd_count == declared && !cut)
		return 1;
	if (packet->fd_count < declared && cut) {
		caps_close_fds(packet->fds, packet->fd_count);
		packet->fd_count = 0;
		packet->lost_fds = true;
		return 1;
	}
	return base_error(EPROTO, "a packet has %u descriptors%s, and declares %u",
			  packet->fd_count, cut ? " or more" : "", declared);
}

static int verify(struct caps_packet *packet, const struct msghdr *message, size_t length)
{
	struct wire_fault fault;
	char text[160];

	if (message->msg_flags & MSG_TRUNC)
		return base_error(EPROTO, "a packet is longer than %zu bytes",
				  sizeof(packet->header) + CAPS_INLINE_BYTES);
	if (caps_wire_header_check(&packet->header, base_min(length, sizeof(packet->header)),
				   &fault) < 0) {
		wire_fault_text(&fault, text, sizeof(text));
		return base_error(EPROTO, "a packet of %zu bytes is none of caps: %s", length,
				  text);
	}
	length -= sizeof(packet->header);
	if (length != caps_inline_bytes(&packet->header))
		return base_error(EPROTO, "a packet has %zu bytes of payload, and declares %zu",
				  length, caps_inline_bytes(&packet->header));
	return verify_fds(packet, (message->msg_flags & MSG_CTRUNC) != 0);
}

static ssize_t receive(int fd, int flags, struct msghdr *message)
{
	ssize_t length;

	/* An error that the peer's closing left may stand before packets that it sent. */
	do
		length = recvmsg(fd, message, flags | MSG_CMSG_CLOEXEC);
	while (length < 0 && errno == ECONNRESET);
	if (length < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return length;
}

/* The same as if it had come in parts. */
static void share_out(struct caps_packet *packet, const struct caps_room *room, size_t length)
{
	struct caps_spill *spill = room->spill;
	const size_t first = base_min(length, room->capacity);

	packet->header = spill->header;
	if (first != 0)
		memcpy(room->buffer, spill->data, first);
	if (length > first)
		memmove(spill->data, spill->data + first, length - first);
}

/* One piece, copied once more, costs less than parts as long as it is small. */
static ssize_t receive_packet(int fd, int flags, struct msghdr *message, struct caps_packet *packet,
			      const struct caps_room *room)
{
	struct caps_spill *spill = room->spill;
	const size_t header = sizeof(packet->header);
	const size_t capacity = base_min(room->capacity, CAPS_INLINE_BYTES);
	struct iovec whole = {&spill->header, header + CAPS_INLINE_BYTES};
	struct iovec parts[3] = {{&packet->header, header},
				 {room->buffer, capacity},
				 {spill->data, CAPS_INLINE_BYTES - capacity}};
	const bool is_whole = spill->last_bytes <= SMALL_BYTES;
	ssize_t length;

	message->msg_iov = is_whole ? &whole : parts;
	message->msg_iovlen = is_whole ? 1 : 3;
	length = receive(fd, flags, message);
	if (length < 0)
		return length;
	spill->last_bytes = (size_t)length > header ? (size_t)length - header : 0;
	if (is_whole)
		share_out(packet, room, spill->last_bytes);
	return length;
}

int caps_packet_receive(int fd, int flags, struct caps_packet *packet, const struct caps_room *room)
{
	union control control;
	struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t length;

	packet->fd_count = 0;
	packet->lost_fds = false;
	packet->sender.pid = -1;
	length = receive_packet(fd, flags, &message, packet, room);
	if (length < 0)
		return (int)length;
	take_control(&message, packet);
	if (length == 0 && packet->fd_count == 0)
		return 0;
	return verify(packet, &message, (size_t)length);
}
