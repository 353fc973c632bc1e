/* SPDX-License-Identifier: MIT */
/*
 * How long requests take, as histograms of the highest bit of their nanoseconds, one for reads, one
 * for writes and one for the rest.
 *
 *	bdus run … --filter opvm:latency-histogram.o,name=serve,completion=back
 */
#include "opvm/program.h"

#include "opvm/block.h"

OPVM_MAP(reads, OPVM_MAP_HISTOGRAM, 0, sizeof(uint64_t), 64);
OPVM_MAP(writes, OPVM_MAP_HISTOGRAM, 0, sizeof(uint64_t), 64);
OPVM_MAP(others, OPVM_MAP_HISTOGRAM, 0, sizeof(uint64_t), 64);

OPVM_PROGRAM uint64_t serve(struct opvm_block *request)
{
	(void)request;
	return OPVM_BLOCK_PASS;
}

OPVM_PROGRAM uint64_t back(struct opvm_block *request)
{
	if (request->operation == OPVM_BLOCK_READ)
		opvm_histogram_add(&reads, request->elapsed_ns);
	else if (request->operation == OPVM_BLOCK_WRITE)
		opvm_histogram_add(&writes, request->elapsed_ns);
	else
		opvm_histogram_add(&others, request->elapsed_ns);
	return 0;
}
