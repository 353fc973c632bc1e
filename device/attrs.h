/* SPDX-License-Identifier: MIT */
/*
 * Checks what a driver or a filter says of its device, and fills in what it left open.
 */
#ifndef DEVICE_ATTRS_H
#define DEVICE_ATTRS_H

#include <bdus/driver.h>

/**
 * Fills defaults into @attrs and checks them; -EINVAL with a message that begins with @owner, as in
 * "driver ram", and names the attribute.
 */
int bdus_attrs_complete(const char *owner, struct bdus_device_attrs *attrs);

/** Whether clients would see the same device. */
bool bdus_attrs_are_same(const struct bdus_device_attrs *one,
			 const struct bdus_device_attrs *other);

/** The page size of this machine, in bytes. */
uint32_t bdus_page_size(void);

#endif
