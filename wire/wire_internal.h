/* SPDX-License-Identifier: MIT */
/*
 * What printing and editing share.
 */
#ifndef WIRE_INTERNAL_H
#define WIRE_INTERNAL_H

#include "wire.h"

/** Parameters of a root, at most; the compiler allows 16 arguments. */
#define WIRE_MAX_ARGUMENTS 16

/** Walks @data with @arguments, or the defaults if that is NULL. @w->visit is set. */
int wire_walk_format(const struct wire_format *format, const void *data, size_t size,
		     const uint64_t *arguments, struct wire_walk *w);

#endif
