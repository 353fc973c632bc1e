/* SPDX-License-Identifier: MIT */
/*
 * A choice: how a program is to be served, as it is made from a profile and read at the next
 * execution. A seed is a choice in a file of its own.
 */
#ifndef CHOICE_H
#define CHOICE_H

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHOICE_MAGIC UINT64_C(0x31304f4c4c41544d)

/** What serves a class. Numbers are on disk. */
enum choice_way {
	/** bump until the class recurs. */
	CHOICE_OPEN,
	/** bump, for longer. */
	CHOICE_BUMP,
	CHOICE_LISTS,
	CHOICE_HANDOVER,
	CHOICE_BITMAP,
	CHOICE_WAYS
};

/** With a way: groups of this class fill up, so that their pages are asked for at once. */
#define CHOICE_WHOLE 0x80u

/** From here on page faults and the TLB cost more than the memory that huge pages may waste. */
#define CHOICE_HUGE_FROM_BYTES (UINT64_C(16) << 20)

enum choice_flag {
	CHOICE_HUGE = 1 << 0,
	CHOICE_HARDENED = 1 << 1,
	/** The largest blocks are cut from one place of keep_bytes and a quarter; of huge pages. */
	CHOICE_LARGE = 1 << 2,
	CHOICE_LARGE_HUGE = 1 << 3
};

#define CHOICE_FLAGS (CHOICE_HUGE | CHOICE_HARDENED | CHOICE_LARGE | CHOICE_LARGE_HUGE)

struct choice {
	uint64_t magic;
	uint32_t bytes;
	uint32_t flags;
	/** Free memory to keep, and memory that will be needed. */
	uint64_t keep_bytes;
	uint64_t expected_bytes;
	/** By class; [0] is for the groups of bump. */
	uint8_t ways[88];
	/** Of all that is before it. */
	uint64_t checksum;
};

static_assert(sizeof(struct choice) == 128 && CLASS_COUNT <= 88, "the layout on disk");

/** The choice for what @merged tells; it is sealed. */
void choice_make(const struct record *merged, struct choice *choice);
/** Computes its checksum. */
void choice_seal(struct choice *choice);
/** Whether it can be followed: not damaged, and with no member out of its range. */
bool choice_is_valid(const struct choice *choice);
/** Makes it what this process does, while there is one thread. */
void choice_follow(const struct choice *choice);
const char *choice_way_name(unsigned way);
/** The way of that name, or -1. */
int choice_way_named(const char *name);

#endif
