/* SPDX-License-Identifier: MIT */
/*
 * Places for tracers to look at: USDT probes, each a no-op instruction until one is attached. What
 * they tell stays where it is, so that nothing is loaded for them.
 */
#ifndef BDUS_PROBES_H
#define BDUS_PROBES_H

#include "device/io.h"

#include <sys/sdt.h>

/** A request came: queue, request, operation, offset, length. */
static inline void bdus_probe_fetch(const void *queue, const struct bdus_io *io)
{
	/* cppcheck-suppress unknownMacro */
	DTRACE_PROBE5(bdus, fetch, queue, io, io->request.op, io->request.offset_bytes,
		      io->request.length_bytes);
}

/** Its result is about to go back: queue, request, operation, result. */
static inline void bdus_probe_complete(const void *queue, const struct bdus_io *io)
{
	/* cppcheck-suppress unknownMacro */
	DTRACE_PROBE4(bdus, complete, queue, io, io->request.op, io->result);
}

#endif
