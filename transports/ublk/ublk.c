/* SPDX-License-Identifier: MIT */
#include "device/transport.h"
extern const struct bdus_transport bdus_transport_ublk;
const struct bdus_transport bdus_transport_ublk = {.name = "ublk"};
