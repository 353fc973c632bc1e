/* SPDX-License-Identifier: MIT */
/*
 * For unit tests of drivers: stands in for BDUS, so that a test can open a driver with options and
 * hand it single requests. It implements what <bdus/driver.h>, <bdus/request.h> and, for calls in a
 * loop, <bdus/async.h> promise a driver, and checks that the driver keeps its side: each request is
 * completed exactly once.
 *
 * Each thread has a queue and a loop of its own. Calls are carried out when the test says so, one
 * by one, in an order that is random and the same in every run; through the functions of the C
 * library, which a test may wrap.
 */
#ifndef DRIVERS_TESTING_DOUBLE_H
#define DRIVERS_TESTING_DOUBLE_H

#include <bdus/async.h>
#include <bdus/driver.h>

struct opened {
	const struct bdus_driver *driver;
	struct bdus_device_attrs attrs;
	void *instance;
};

/**
 * Opens @driver with options as a user would write them, "key=value" separated by spaces. Returns
 * what the driver's `open` does, or -EINVAL for words that BDUS would refuse.
 */
int double_open(struct opened *opened, const struct bdus_driver *driver, const char *options);

int double_close(struct opened *opened);

/** What the driver said last through bdus_config_error(); empty since the last double_open(). */
const char *double_message(void);

/** Hands one request to the driver and returns its result; any thread. */
int double_request(const struct opened *opened, enum bdus_op op, unsigned flags, uint64_t offset,
		   uint64_t length, void *data);

/** A request that need not be over when the driver has taken it. */
struct double_io {
	struct bdus_request request;
	unsigned completions;
	int result;
};

/** Hands @io->request to the driver on this thread; it may be completed then or not. */
void double_begin(const struct opened *opened, struct double_io *io);

/** Carries out one of this thread's calls and tells the driver; false when there is none. */
bool double_step(void);

/** The calls of this thread that were sent and not carried out; NULL past the last. */
const struct bdus_call *double_call(unsigned index);

/** Asks for extents; returns their number or a negative errno. */
int double_extents(const struct opened *opened, uint64_t offset, uint64_t length,
		   struct bdus_extent *extents, uint32_t capacity);

#endif
