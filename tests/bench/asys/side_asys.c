/* SPDX-License-Identifier: MIT */
/*
 * The load by asys.
 */
#include "asys.h"
#include "load.h"

#include <stdio.h>

struct run {
	struct asys *asys;
	struct load *load;
	struct asys_message messages[DEPTH];
	uint64_t sent;
	uint64_t completed;
	bool nops;
};

static void prepare(struct run *run, struct asys_message *message)
{
	const unsigned slot = (unsigned)(message - run->messages);

	/* A message that says the same again is sent as it is. */
	if (run->nops)
		return;
	asys_prep_read(message, 0, load_buffer(run->load, slot), BLOCK,
		       load_next_offset(run->load));
	message->flags = ASYS_FIXED_FILE;
}

static bool queue(struct run *run, struct asys_message *messages[], unsigned count)
{
	unsigned more = 0;

	for (; more < count && run->sent < run->load->operations; more++, run->sent++)
		prepare(run, messages[more]);
	return asys_queue(run->asys, messages, more) >= 0;
}

static bool loop(struct run *run)
{
	struct asys_message *batch[DEPTH];
	int count = DEPTH;

	for (unsigned i = 0; i < DEPTH; i++) {
		asys_prep_nop(&run->messages[i]);
		batch[i] = &run->messages[i];
	}
	for (;;) {
		if (!queue(run, batch, (unsigned)count))
			return false;
		if (run->completed == run->load->operations)
			return true;
		count = asys_wait(run->asys, batch, DEPTH, -1);
		if (count < 0)
			return false;
		for (int i = 0; i < count; i++)
			if (batch[i]->result != (run->nops ? 0 : BLOCK))
				return false;
		run->completed += (unsigned)count;
	}
}

static bool run_with(struct load *load, uint32_t flags, bool nops)
{
	const struct asys_options options = {
		.size = sizeof(options), .flags = flags, .depth = DEPTH};
	struct run run = {.load = load, .nops = nops};
	bool result;

	result = asys_create(&options, &run.asys) == 0 &&
		 (nops || asys_register_files(run.asys, &load->file, 1) == 0) && loop(&run);
	if (!result)
		fprintf(stderr, "asys: %s\n", asys_error());
	asys_destroy(run.asys);
	return result;
}

bool run_asys_reads(struct load *load)
{
	return run_with(load, 0, false);
}

bool run_asys_reads_without_ring(struct load *load)
{
	return run_with(load, ASYS_NO_RING, false);
}

bool run_asys_nops(struct load *load)
{
	return run_with(load, 0, true);
}
