/* SPDX-License-Identifier: MIT */
/*
 * The load by POSIX AIO, as the C library has it, and by plain pread(2).
 */
#include "load.h"

#include <aio.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool submit_one(struct load *load, struct aiocb *control, unsigned slot)
{
	memset(control, 0, sizeof(*control));
	control->aio_fildes = load->file;
	control->aio_buf = load_buffer(load, slot);
	control->aio_nbytes = BLOCK;
	control->aio_offset = load_next_offset(load);
	return aio_read(control) == 0;
}

/** Looks at all, and sends anew what is done; how many were. */
static int take(struct load *load, struct aiocb controls[], const struct aiocb *waiting[],
		uint64_t *sent)
{
	int count = 0;

	for (unsigned slot = 0; slot < DEPTH; slot++) {
		if (!waiting[slot] || aio_error(&controls[slot]) == EINPROGRESS)
			continue;
		if (aio_return(&controls[slot]) != BLOCK)
			return -1;
		count++;
		waiting[slot] = NULL;
		if (*sent == load->operations)
			continue;
		if (!submit_one(load, &controls[slot], slot))
			return -1;
		waiting[slot] = &controls[slot];
		(*sent)++;
	}
	return count;
}

bool run_aio_reads(struct load *load)
{
	static struct aiocb controls[DEPTH];
	const struct aiocb *waiting[DEPTH] = {NULL};
	uint64_t sent = 0, completed = 0;

	for (unsigned slot = 0; slot < DEPTH && sent < load->operations; slot++, sent++) {
		if (!submit_one(load, &controls[slot], slot))
			return false;
		waiting[slot] = &controls[slot];
	}
	while (completed < load->operations) {
		int count;

		aio_suspend(waiting, DEPTH, NULL);
		count = take(load, controls, waiting, &sent);
		if (count < 0)
			return false;
		completed += (unsigned)count;
	}
	return true;
}

bool run_pread_reads(struct load *load)
{
	for (uint64_t i = 0; i < load->operations; i++)
		if (pread(load->file, load_buffer(load, (unsigned)(i % DEPTH)), BLOCK,
			  load_next_offset(load)) != BLOCK)
			return false;
	return true;
}
