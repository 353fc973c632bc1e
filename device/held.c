/* SPDX-License-Identifier: MIT */
/*
 * Drivers under test hold few requests, so that looking for one among them costs little.
 */
#include "held.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/** Who forgets one, forgets many; the first show what they have in common. */
#define TOLD_MOST 16
#define ROOM      64

static bool grow(struct bdus_held *held)
{
	const unsigned room = held->room * 2 + ROOM;
	struct bdus_io **const ios = realloc(held->ios, room * sizeof(struct bdus_io *));

	if (ios == NULL)
		return false;
	held->ios = ios;
	held->room = room;
	return true;
}

void bdus_held_add(struct bdus_held *held, struct bdus_io *io)
{
	if (held->count < held->room || grow(held))
		held->ios[held->count++] = io;
}

void bdus_held_remove(struct bdus_held *held, const struct bdus_io *io)
{
	for (unsigned i = held->count; i-- > 0;) {
		if (held->ios[i] != io)
			continue;
		held->ios[i] = held->ios[--held->count];
		return;
	}
}

void bdus_held_tell(const struct bdus_held *held)
{
	for (unsigned i = 0; i < held->count && i < TOLD_MOST; i++)
		bdus_say_request("never completed", held->ios[i]);
	if (held->count > TOLD_MOST)
		fprintf(stderr, "bdus: never completed: %u more\n", held->count - TOLD_MOST);
}

void bdus_held_free(struct bdus_held *held)
{
	free(held->ios);
	*held = (struct bdus_held){.ios = NULL};
}

void bdus_say_request(const char *what, const struct bdus_io *io)
{
	fprintf(stderr, "bdus: %s: %s request at offset %" PRIu64 ", length %" PRIu64 "\n", what,
		bdus_op_name(io->request.op), io->request.offset_bytes, io->request.length_bytes);
}
