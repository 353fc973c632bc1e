/* SPDX-License-Identifier: MIT */
/*
 * Places for tracers to look at, on a system without <sys/sdt.h>: none.
 */
#ifndef BDUS_PROBES_H
#define BDUS_PROBES_H

#include "device/io.h"

static inline void bdus_probe_fetch(const void *queue, const struct bdus_io *io)
{
	(void)queue;
	(void)io;
}

static inline void bdus_probe_complete(const void *queue, const struct bdus_io *io)
{
	(void)queue;
	(void)io;
}

#endif
