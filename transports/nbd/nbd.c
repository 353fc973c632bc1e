/* SPDX-License-Identifier: MIT */
#include "device/transport.h"
extern const struct bdus_transport bdus_transport_nbd;
const struct bdus_transport bdus_transport_nbd = {.name = "nbd"};
