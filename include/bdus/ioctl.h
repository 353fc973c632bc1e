/* SPDX-License-Identifier: MIT */
/*
 * What the arguments of a driver's ioctls are made of, so that the kernel can bring them to the
 * driver with everything that they point to, and back.
 *
 * A driver takes ioctls by BDUS_OP_IOCTL, and may describe those whose argument holds pointers, or
 * whose number does not say how long the argument is, in `ioctl_parts` of its attributes. A command
 * that is not described goes by its number: _IOC_SIZE() bytes, which come with _IOC_WRITE and go
 * back with _IOC_READ.
 *
 * The parts of a command lie one after the other: the argument itself, then what is pointed to by
 * parts before. What a driver then sees is one piece of memory, the request's payload, with the
 * argument at its beginning. Each part begins at a multiple of 8 bytes, and in the place of each
 * pointer is the distance from the payload's beginning to what it points to, or 0 for none; see
 * bdus_ioctl_at(). The driver changes what goes back in place. Pointers themselves never go back.
 *
 * Such parts need not be written by hand: wirec(1) makes them of a description of the argument's
 * structures. bdus-kbdus(7) has an example.
 *
 *	struct query { uint32_t count; uint32_t flags; struct name *names; };
 *
 *	static const struct bdus_ioctl_part parts[] = {
 *		BDUS_IOCTL_ARGUMENT(QUERY, struct query, BDUS_IOCTL_IN | BDUS_IOCTL_CLIENT_64),
 *		BDUS_IOCTL_COUNTED(QUERY, 0, struct query, names, count, sizeof(struct name), 16,
 *		                   BDUS_IOCTL_OUT),
 *	};
 *
 * Clients that run with 32 bits have arguments of their own where these hold pointers or longs:
 * describe the command twice, or once for both with pointers that are 64 bits wide for either.
 *
 * Errors of clients: ENOTTY where the device takes no ioctls, or the client has a partition open;
 * E2BIG for more than 256 parts and elements that are pointed to, a count above what is allowed,
 * text that goes on for longer, or more than 1 MiB in all (less where the device's transfers are
 * shorter); EFAULT; EIO when the driver dies meanwhile, unless the device is recoverable and the
 * command BDUS_IOCTL_REPEATABLE.
 */
#ifndef BDUS_IOCTL_H
#define BDUS_IOCTL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags of a part. */
enum {
	/** The client's bytes come to the driver; else it sees zeros. */
	BDUS_IOCTL_IN = 1 << 0,
	/** The driver's bytes go back to the client when the result is 0. */
	BDUS_IOCTL_OUT = 1 << 1,
	/** Arguments: these parts are for 64-bit clients, for 32-bit clients, or for both. */
	BDUS_IOCTL_CLIENT_64 = 1 << 2,
	BDUS_IOCTL_CLIENT_32 = 1 << 3,
	/** Arguments: the command does no harm when it is carried out twice. */
	BDUS_IOCTL_REPEATABLE = 1 << 4,
	/**
	 * What a pointer leads to is text that ends with a zero byte, of at most `count` bytes with
	 * it; `element_bytes` is 1, and it only comes. The driver always sees a zero byte at its
	 * end.
	 */
	BDUS_IOCTL_STRING = 1 << 5,
};

/** At most 1,024 of these; pointers lead at most 4 levels deep. */
struct bdus_ioctl_part {
	/** The whole number of the command, the same for all its parts. */
	uint32_t command;
	uint32_t flags;
	/** Length of one element, not 0, and how many there are, or may be; 1 for the argument. */
	uint32_t element_bytes;
	uint32_t count;
	/** Which part of the command, 0 for the argument, has the pointer; one with IN. */
	uint16_t parent;
	/** 4 or 8 bytes; 0 says that this part is the argument. */
	uint8_t pointer_width;
	/** 1, 2, 4 or 8 bytes where an element of the parent has the count; else 0. */
	uint8_t count_width;
	/** Where in each element of the parent the pointer and the count are. */
	uint32_t pointer_at;
	uint32_t count_at;
	uint32_t reserved;
};

#define BDUS_IOCTL_ARGUMENT(number, type, part_flags)                \
	{                                                            \
		.command = (number), .flags = (part_flags),          \
		.element_bytes = (uint32_t)sizeof(type), .count = 1, \
	}

/** @bytes long, at the pointer @member of the part @parent_index, whose type is @type. */
#define BDUS_IOCTL_POINTED(number, parent_index, type, member, bytes, part_flags)               \
	{                                                                                       \
		.command = (number), .flags = (part_flags), .element_bytes = (uint32_t)(bytes), \
		.count = 1, .parent = (parent_index),                                           \
		.pointer_width = sizeof(((type *)NULL)->member),                                \
		.pointer_at = (uint32_t)offsetof(type, member),                                 \
	}

/** As many elements of @bytes as the member @counter says, at most @most. */
#define BDUS_IOCTL_COUNTED(number, parent_index, type, member, counter, bytes, most, part_flags) \
	{                                                                                        \
		.command = (number), .flags = (part_flags), .element_bytes = (uint32_t)(bytes),  \
		.count = (most), .parent = (parent_index),                                       \
		.pointer_width = sizeof(((type *)NULL)->member),                                 \
		.count_width = sizeof(((type *)NULL)->counter),                                  \
		.pointer_at = (uint32_t)offsetof(type, member),                                  \
		.count_at = (uint32_t)offsetof(type, counter),                                   \
	}

/** Text that ends with a zero byte, of at most @most bytes with it. */
#define BDUS_IOCTL_TEXT(number, parent_index, type, member, most)                \
	{                                                                        \
		.command = (number), .flags = BDUS_IOCTL_IN | BDUS_IOCTL_STRING, \
		.element_bytes = 1, .count = (most), .parent = (parent_index),   \
		.pointer_width = sizeof(((type *)NULL)->member),                 \
		.pointer_at = (uint32_t)offsetof(type, member),                  \
	}

/**
 * What the pointer @pointer of a part in the payload @data points to, in the payload; NULL for
 * none. @pointer is the pointer itself or, where it is declared as one, the number.
 */
static inline void *bdus_ioctl_at(void *data, uint64_t pointer)
{
	return pointer != 0 ? (char *)data + pointer : NULL;
}

#ifdef __cplusplus
}
#endif

#endif
