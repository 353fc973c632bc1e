/* SPDX-License-Identifier: MIT */
/*
 * The requests that drivers and filters hold, by name, where drivers are checked (the build option
 * debug_checks); elsewhere nothing but their number is known. On the queue's thread.
 */
#ifndef DEVICE_HELD_H
#define DEVICE_HELD_H

#include "device/io.h"

struct bdus_held {
	struct bdus_io **ios;
	unsigned count;
	unsigned room;
};

/** Without memory for it, @io goes unnamed. */
void bdus_held_add(struct bdus_held *held, struct bdus_io *io);

void bdus_held_remove(struct bdus_held *held, const struct bdus_io *io);

/** Says on the standard error which requests were never completed, the first of many. */
void bdus_held_tell(const struct bdus_held *held);

void bdus_held_free(struct bdus_held *held);

/** What stands for a request in messages to the driver's author. */
void bdus_say_request(const char *what, const struct bdus_io *io);

#endif
