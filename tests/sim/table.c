/* SPDX-License-Identifier: MIT */
/*
 * The ways in of the simulation's program: the simulated one, and no other.
 */
#include "device/transport.h"

extern const struct bdus_transport bdus_transport_sim;

const struct bdus_transport *const bdus_transport_table[] = {
	&bdus_transport_sim,
	NULL,
};
