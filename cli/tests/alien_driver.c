/* SPDX-License-Identifier: MIT */
/*
 * A driver of a contract that does not exist yet, which must be refused before it is called.
 */
#include <bdus/driver.h>
#include <stdlib.h>

static int alien_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		      void **instance)
{
	(void)config;
	(void)attrs;
	(void)instance;
	abort();
}

static const struct bdus_driver alien_driver = {
	.abi = 999,
	.size = sizeof(struct bdus_driver),
	.name = "alien",
	.open = alien_open,
};

BDUS_DRIVER_EXPORT(alien_driver)
