/* SPDX-License-Identifier: MIT */
/*
 * Parses `key=value` words against a table of options.
 */
#ifndef DEVICE_OPTIONS_H
#define DEVICE_OPTIONS_H

#include <bdus/driver.h>

/**
 * Parses @count words for @owner ("driver ram", "transport nbd", for messages). @options may be
 * NULL. The words are copied. -EINVAL for an unknown key (the message lists those allowed), a key
 * given twice, a value out of range, a required option left out.
 */
int bdus_config_create(const char *owner, const struct bdus_option *options,
		       const char *const *words, unsigned count, struct bdus_config **config);

struct bdus_backends;

/** What bdus_filter_backend() tells of; kept by reference. Takes NULL. */
void bdus_config_set_backends(struct bdus_config *config, const struct bdus_backends *backends);
const struct bdus_backends *bdus_config_backends(const struct bdus_config *config);

/** Takes NULL. */
void bdus_config_destroy(struct bdus_config *config);

/** "64K" and the like as bytes; -EINVAL or -ERANGE without a message. */
int bdus_parse_size(const char *text, uint64_t *bytes);

#endif
