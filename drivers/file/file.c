/* SPDX-License-Identifier: MIT */
#include <bdus/driver.h>
extern const struct bdus_driver bdus_driver_file;
const struct bdus_driver bdus_driver_file = {.name = "file"};
