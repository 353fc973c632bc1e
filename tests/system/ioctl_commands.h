/* SPDX-License-Identifier: MIT */
/*
 * The ioctls of a device for tests, as its clients know them. The driver has them described, in
 * ioctl_arguments.wire.
 */
#ifndef IOCTL_COMMANDS_H
#define IOCTL_COMMANDS_H

#include <linux/ioctl.h>
#include <stdint.h>

#define NAMES_MOST 300
#define TEXT_MOST  (1 << 20)

/** A text, and the sum of its bytes, which the driver fills in; it makes each letter a capital. */
struct name {
	uint64_t text;
	uint32_t length;
	uint32_t sum;
};

struct query {
	uint32_t count;
	/** Filled in: of all names. */
	uint32_t sum;
	uint64_t names;
};

/** Whose pointer is as wide as the client's. */
struct note {
	char *text;
	uint32_t length;
	uint32_t sum;
};

struct note_32 {
	uint32_t text;
	uint32_t length;
	uint32_t sum;
};

struct shelf {
	uint16_t count;
	uint64_t names __attribute__((aligned(8)));
};

#define SHELVES_MOST 3
#define SHELF_MOST   4
/** With the zero byte. */
#define TITLE_MOST 8

/** Three pointers deep. */
struct catalog {
	uint32_t count;
	/** Filled in: of all names, and the length of the title. */
	uint32_t sum;
	char *title;
	struct shelf *shelves;
	/** Filled in: of the names of each shelf. */
	uint32_t *sums;
};

struct catalog_32 {
	uint32_t count;
	uint32_t sum;
	uint32_t title;
	uint32_t shelves;
	uint32_t sums;
};

#define COMMAND_QUERY   _IOWR('b', 1, struct query)
#define COMMAND_NOTE    _IOWR('b', 2, struct note)
#define COMMAND_NOTE_32 _IOWR('b', 2, struct note_32)
/** Not described: twice the number comes back. */
#define COMMAND_TWICE _IOWR('b', 3, uint64_t)
/** Described, with a number that says nothing: 24 bytes, each comes back one higher. */
#define COMMAND_ODD 0x1234u
#define ODD_BYTES   24
/** Described, with a number that says that there is no argument. */
#define COMMAND_CATALOG _IO('b', 7)
/** Fails with EXDEV. */
#define COMMAND_FAIL _IO('b', 4)
/** Is never answered. */
#define COMMAND_HANG _IO('b', 5)
/** Described as repeatable: answered by the second driver that has it. */
#define COMMAND_AGAIN _IOWR('b', 6, uint64_t)

#endif
