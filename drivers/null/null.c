/* SPDX-License-Identifier: MIT */
#include <bdus/driver.h>
extern const struct bdus_driver bdus_driver_null;
const struct bdus_driver bdus_driver_null = {.name = "null"};
