/* SPDX-License-Identifier: MIT */
/*
 * Waiting with a deadline and with word of it once a second.
 */
#ifndef DEVICE_WAIT_H
#define DEVICE_WAIT_H

#include <bdus/manage.h>

struct bdus_wait {
	uint64_t started_ns;
	/** UINT64_MAX for none. */
	uint64_t deadline_ns;
	uint64_t next_word_ns;
	const char *waiting_for;
	bdus_progress_fn *progress;
	void *opaque;
};

void bdus_wait_init(struct bdus_wait *wait, const char *waiting_for, uint64_t deadline_ns,
		    bdus_progress_fn *progress, void *opaque);

/**
 * Says how long the next sleep may be, at most @most_ms, giving word to `progress` when a second
 * has gone by; -ETIMEDOUT with a message once the deadline has passed.
 */
int bdus_wait_step(struct bdus_wait *wait, int most_ms);

/** Sleeps for one step; 0, or what bdus_wait_step() returned when that was an error. */
int bdus_wait_sleep(struct bdus_wait *wait, int most_ms);

#endif
