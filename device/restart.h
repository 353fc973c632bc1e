/* SPDX-License-Identifier: MIT */
/*
 * Running a driver that is started again when it is killed or fails.
 */
#ifndef DEVICE_RESTART_H
#define DEVICE_RESTART_H

#include "daemonize.h"
#include "run.h"

/**
 * As bdus_run_once(), by a child and, when that is killed or fails after its device became
 * available, by another one; until one ends in good order. Returns what the last one returned.
 */
int bdus_restart_run(const struct bdus_run_config *config, struct bdus_daemon *daemon);

#endif
