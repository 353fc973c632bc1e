/* SPDX-License-Identifier: MIT */
#include "emit.h"

void find_writers(struct unit *unit)
{
	(void)unit;
}

void emit_writer_types(struct emit *e)
{
	(void)e;
}

void emit_writer(struct emit *e)
{
	(void)e;
}
