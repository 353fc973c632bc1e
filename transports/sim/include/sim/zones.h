/* SPDX-License-Identifier: MIT */
/*
 * A model of a zoned disk: what each zone may be and hold, given what clients asked for and were
 * answered, also after a loss of power. It knows nothing of the state machine that drivers use
 * (device/zones.c) and promises no more than the NVMe Zoned Namespace Command Set does:
 *
 * - writes land at the write pointer, appends where they are reported, each block once;
 * - a zone refuses what its condition refuses; limits refuse what would exceed them, and nothing
 *   else;
 * - what is behind the write pointer reads as zeros;
 * - after a crash, a zone is in a state that it had, with the data below its write pointer, and
 *   nothing is lost that a flush, FUA, or the completion of a reset or finish made durable.
 *
 * Each block that is written holds a number of its own, so that lost, old, misplaced and torn data
 * are told by name. The caller serialises all calls.
 */
#ifndef SIM_ZONES_H
#define SIM_ZONES_H

#include <bdus/driver.h>
#include <stdbool.h>
#include <stdint.h>

struct sim_zones;

/**
 * Zones that are all empty, of which @broken, if it is not NULL, tells by a condition which are
 * read-only or offline for ever. NULL when memory is out.
 */
struct sim_zones *sim_zones_create(const struct bdus_device_attrs *attrs,
				   uint8_t (*broken)(uint32_t index));
void sim_zones_destroy(struct sim_zones *zones);

/** The disk lost its power and has it back; requests in flight will never be answered. */
void sim_zones_crash(struct sim_zones *zones);

#endif
