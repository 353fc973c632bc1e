/* SPDX-License-Identifier: MIT */
/*
 * The formats that the command knows: the one place that names them.
 */
#include "command_internal.h"

const struct wire_format *const format_table[] = {
	NULL,
};
