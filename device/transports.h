/* SPDX-License-Identifier: MIT */
/*
 * Choosing among the ways in.
 */
#ifndef DEVICE_TRANSPORTS_H
#define DEVICE_TRANSPORTS_H

#include "device/transport.h"

/**
 * Finds the way in that @spec names ("auto", "nbd", "nbd,socket=/run/x"; NULL is "auto"), checks
 * that it works here, and parses its options. -EINVAL: no such way in, or wrong options; -ENODEV,
 * or -EPERM where rights are what is missing: it does not work here, and the message says why.
 */
int bdus_transport_choose(const char *spec, bool block_device_only,
			  const struct bdus_transport **transport, struct bdus_config **config);

/** The way in with this name; NULL when there is none. */
const struct bdus_transport *bdus_transport_find(const char *name);

#endif
