/* SPDX-License-Identifier: MIT */
/*
 * A driver around another: it watches what the engine asks for, changes what the device claims to
 * be, fails requests on purpose, and completes them late and out of order.
 */
#ifndef TEST_SIM_WRAP_H
#define TEST_SIM_WRAP_H

#include "sim/sim.h"

#include <bdus/driver.h>

/** How the wrapped driver takes requests. */
enum wrap_style {
	/** As the inner one does. */
	WRAP_AS_IS,
	/** Within `submit`, whatever the inner one does; it must not block for long then. */
	WRAP_AT_ONCE,
	/** Late, in random order, from several threads; the inner one must have `handle`. */
	WRAP_SCRAMBLED,
	/** In userland threads, which wait for one another and for time; the inner one must have
	 * `handle`. */
	WRAP_THREADED,
};

struct wrap_setup {
	struct sim_world *world;
	const struct bdus_driver *inner;
	enum wrap_style style;
	uint64_t seed;
	/** What stays of the inner driver's. */
	uint32_t ops_mask;
	uint32_t flags_mask;
	/** Added to its flags. */
	uint32_t more_flags;
	/** At most these; 0 for the inner driver's own. */
	uint32_t queues;
	uint32_t queue_depth;
	uint32_t max_concurrency;
	uint32_t max_transfer_bytes;
	uint64_t max_write_zeros_bytes;
	uint64_t max_discard_bytes;
	/** How many bad spots the device has. */
	unsigned bad_spots;
	/** How long each call of `handle` takes at least. */
	unsigned handle_us;
	/** Of 100 flushes, so many fail. */
	unsigned flush_failures_percent;
	/** `open` fails with this errno; 0 for not. */
	int open_errno;
	/** Another layer makes requests of its own, for which the way in's limits do not count. */
	bool is_translated;
};

/** The wrapped driver; valid until the next call. */
const struct bdus_driver *wrap_driver(const struct wrap_setup *setup);

/** Whether the wrapped driver is open, as it must not be after a run. */
bool wrap_is_open(void);

#endif
