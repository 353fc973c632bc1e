/* SPDX-License-Identifier: MIT */
/*
 * What the engine itself needs of the management calls.
 */
#ifndef DEVICE_MANAGE_H
#define DEVICE_MANAGE_H

#include <bdus/manage.h>

/** As bdus_manage_find(), for a path only, whether or not it looks like one. */
int bdus_manage_find_path(const char *path, struct bdus_device_info *info);

/** Removes what devices of processes that were killed left behind; silent, bounded in time. */
void bdus_manage_sweep(void);

#endif
