/* SPDX-License-Identifier: MIT */
/*
 * The ways in of a unit test of the engine: none.
 */
#include "device/transport.h"

const struct bdus_transport *const bdus_transport_table[] = {NULL};
