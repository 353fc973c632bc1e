/* SPDX-License-Identifier: MIT */
#include <bdus/driver.h>
extern const struct bdus_driver bdus_driver_ram;
const struct bdus_driver bdus_driver_ram = {.name = "ram"};
