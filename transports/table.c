/* SPDX-License-Identifier: MIT */
/*
 * The ways in that libbdus has, the best first: the order in which "auto" tries them.
 */
#include "device/transport.h"

extern const struct bdus_transport bdus_transport_ublk;
extern const struct bdus_transport bdus_transport_kbdus;
extern const struct bdus_transport bdus_transport_nbd;

const struct bdus_transport *const bdus_transport_table[] = {
	&bdus_transport_ublk,
	&bdus_transport_kbdus,
	&bdus_transport_nbd,
	NULL,
};
