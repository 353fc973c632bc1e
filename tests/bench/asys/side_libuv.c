/* SPDX-License-Identifier: MIT */
/*
 * The load by libuv's thread pool.
 */
#include "load.h"

#include <uv.h>

struct run {
	uv_loop_t loop;
	struct load *load;
	uint64_t sent;
	bool right;
	uv_fs_t requests[DEPTH];
};

static void on_read(uv_fs_t *request);

static void submit_one(struct run *run, uv_fs_t *request)
{
	const unsigned slot = (unsigned)(request - run->requests);
	const uv_buf_t buffer = uv_buf_init((char *)load_buffer(run->load, slot), BLOCK);

	run->sent++;
	request->data = run;
	run->right = uv_fs_read(&run->loop, request, run->load->file, &buffer, 1,
				load_next_offset(run->load), on_read) == 0 &&
		     run->right;
}

static void on_read(uv_fs_t *request)
{
	struct run *const run = request->data;

	run->right = run->right && request->result == BLOCK;
	uv_fs_req_cleanup(request);
	if (run->right && run->sent < run->load->operations)
		submit_one(run, request);
}

bool run_libuv_reads(struct load *load)
{
	struct run run = {.load = load, .right = true};

	if (uv_loop_init(&run.loop) != 0)
		return false;
	for (unsigned slot = 0; slot < DEPTH && run.sent < load->operations; slot++)
		submit_one(&run, &run.requests[slot]);
	uv_run(&run.loop, UV_RUN_DEFAULT);
	uv_loop_close(&run.loop);
	return run.right;
}
