/* SPDX-License-Identifier: MIT */
/*
 * What the sides of caps' benchmark offer: a server in a process of its own, and one round trip.
 */
#ifndef BENCH_CAPS_LOAD_H
#define BENCH_CAPS_LOAD_H

#include <stddef.h>

#define SMALL_BYTES 64

#ifdef __cplusplus
extern "C" {
#endif

/** A peer: @serve runs in a child until its client is gone, @call is one round trip. */
struct side {
	const char *name;
	int socket_type;
	void (*serve)(int fd);
	void *(*open)(int fd);
	void (*call)(void *client);
	void (*close)(void *client);
};

extern const struct side side_caps, side_raw, side_sdbus, side_capnp;

/** Ends the program with what went wrong. */
__attribute__((noreturn)) void die(const char *what);

#ifdef __cplusplus
}
#endif

#endif
