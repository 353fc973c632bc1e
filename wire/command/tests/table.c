/* SPDX-License-Identifier: MIT */
/*
 * The formats of the command that is tested: one made for that.
 */
#include "command_internal.h"

#include "sample.h"

const struct wire_format *const format_table[] = {
	&sample_box_format,
	NULL,
};
