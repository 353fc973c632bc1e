/* SPDX-License-Identifier: MIT */
/*
 * The load by liburing, as one would write it for speed: one issuer, deferred work, registered file
 * and ring, one system call a turn.
 */
#include "load.h"

#include <liburing.h>

struct run {
	struct io_uring ring;
	struct load *load;
	uint64_t sent;
	uint64_t completed;
	bool nops;
};

static void submit_one(struct run *run, unsigned slot)
{
	struct io_uring_sqe *const sqe = io_uring_get_sqe(&run->ring);

	if (run->nops) {
		io_uring_prep_nop(sqe);
	} else {
		io_uring_prep_read(sqe, 0, load_buffer(run->load, slot), BLOCK,
				   (uint64_t)load_next_offset(run->load));
		sqe->flags = IOSQE_FIXED_FILE;
	}
	sqe->user_data = slot;
	run->sent++;
}

static bool take(struct run *run)
{
	const int wanted = run->nops ? 0 : BLOCK;
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;
	bool right = true;

	io_uring_for_each_cqe(&run->ring, head, cqe)
	{
		right = right && cqe->res == wanted;
		seen++;
		if (run->sent < run->load->operations)
			submit_one(run, (unsigned)cqe->user_data);
	}
	io_uring_cq_advance(&run->ring, seen);
	run->completed += seen;
	return right;
}

static bool loop(struct run *run)
{
	bool right = true;

	for (unsigned slot = 0; slot < DEPTH && run->sent < run->load->operations; slot++)
		submit_one(run, slot);
	while (right && run->completed < run->load->operations)
		right = io_uring_submit_and_wait(&run->ring, 1) >= 0 && take(run);
	return right;
}

static bool run_with(struct load *load, bool nops)
{
	struct io_uring_params parameters = {.flags = IORING_SETUP_SINGLE_ISSUER |
						      IORING_SETUP_DEFER_TASKRUN};
	struct run run = {.load = load, .nops = nops};
	bool result;

	if (io_uring_queue_init_params(DEPTH, &run.ring, &parameters) != 0)
		return false;
	io_uring_register_ring_fd(&run.ring);
	result = (nops || io_uring_register_files(&run.ring, &load->file, 1) == 0) && loop(&run);
	io_uring_queue_exit(&run.ring);
	return result;
}

bool run_liburing_reads(struct load *load)
{
	return run_with(load, false);
}

bool run_liburing_nops(struct load *load)
{
	return run_with(load, true);
}
