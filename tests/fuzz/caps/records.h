/* SPDX-License-Identifier: MIT */
/*
 * How an input of caps' fuzz targets is read: records, each a packet to send or a step of the
 *program at the port under test.
 *
 *	byte 0, low 2 bits   0: raw packet: a length byte, that many bytes
 *	                     1: packet with a sound header: kind, flags, fd_count, id, operation,
 *error (a byte each), length of the payload (2 bytes), payload bytes follow only in number 2: step
 *of the program, an argument byte 3: as 1, with memory: length is that of a memfd, flags say how it
 *is sealed byte 0, other bits   descriptors to send along
 */
#ifndef CAPS_RECORDS_H
#define CAPS_RECORDS_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caps_internal.h"

struct input {
	const uint8_t *data;
	size_t size, at;
};

static inline uint8_t take_byte(struct input *in)
{
	return in->at < in->size ? in->data[in->at++] : 0;
}

static inline void send_bytes(int raw, const void *data, size_t size, const int *fds,
			      unsigned count)
{
	char control[CMSG_SPACE(sizeof(int) * 80)] __attribute__((aligned(8))) = {0};
	struct iovec part = {wire_writable(data), size};
	struct msghdr out = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;

	if (count != 0) {
		out.msg_control = control;
		out.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	}
	sendmsg(raw, &out, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static inline int make_memory(uint8_t seals, uint64_t length)
{
	const int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)length) != 0 ||
	    fcntl(fd, F_ADD_SEALS, seals & 0x1e) != 0)
		abort();
	return fd;
}

static inline void send_sound(int raw, struct input *in, unsigned fd_count, bool memory)
{
	static unsigned char packet[sizeof(struct caps_wire_header) + 65536];
	struct caps_wire_header *header = caps_wire_header_from(packet);
	int fds[80] = {0};
	uint8_t flags;
	uint64_t length;
	size_t payload;

	caps_wire_header_init(header);
	caps_wire_header_set_kind(header, take_byte(in));
	flags = take_byte(in);
	caps_wire_header_set_flags(header, memory ? CAPS_WIRE_PACKET_FLAG_MEMORY : flags);
	caps_wire_header_set_fd_count(header, take_byte(in));
	caps_wire_header_set_id(header, take_byte(in));
	caps_wire_header_set_operation(header, take_byte(in));
	caps_wire_header_set_error(header, (int8_t)take_byte(in));
	length = take_byte(in);
	length |= (uint64_t)take_byte(in) << 8;
	caps_wire_header_set_length(header, length);
	payload = memory ? 0 : (size_t)length;
	if (memory)
		fds[0] = make_memory(flags, length);
	send_bytes(raw, packet, sizeof(*header) + payload, fds, fd_count + memory);
	if (memory)
		close(fds[0]);
}

/** Sends the packet of a record; false if it is a step of the program. */
static inline bool send_record(int raw, struct input *in, uint8_t first)
{
	const int fds[64] = {0};
	const unsigned fd_count = first >> 2;

	if ((first & 3) == 2)
		return false;
	if ((first & 3) == 0) {
		const size_t wanted = take_byte(in);
		const size_t size = base_min(wanted, in->size - in->at);

		send_bytes(raw, in->data + in->at, size, fds, fd_count);
		in->at += size;
	} else {
		send_sound(raw, in, fd_count, (first & 3) == 3);
	}
	return true;
}

/** The lowest free descriptor, which is the same again if none was left open. */
static inline int lowest_free(void)
{
	const int fd = dup(0);

	if (fd < 0)
		abort();
	close(fd);
	return fd;
}

#endif
