/* SPDX-License-Identifier: MIT */
/*
 * The world of a simulation: what the test and the transport share, the trace of the last requests,
 * and the first thing found wrong.
 */
#include "base/bits.h"
#include "sim/sim.h"

#include <stdarg.h>
#include <string.h>

static void init_locks(struct sim_world *world)
{
	pthread_mutexattr_t shared;

	pthread_mutexattr_init(&shared);
	pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&world->lock, &shared);
	pthread_mutex_init(&world->found_lock, &shared);
	pthread_mutexattr_destroy(&shared);
}

void sim_world_init(struct sim_world *world)
{
	memset(world, 0, sizeof(*world));
	init_locks(world);
	world->now = 1;
}

void sim_world_revive(struct sim_world *world)
{
	init_locks(world);
	world->devices = 0;
	world->queues = 0;
	world->available = false;
	if (world->model != NULL)
		sim_model_interrupt(world->model, world->now++);
}

void sim_world_finish(struct sim_world *world)
{
	sim_model_destroy(world->model);
	pthread_mutex_destroy(&world->lock);
	pthread_mutex_destroy(&world->found_lock);
}

void sim_fail(struct sim_world *world, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	pthread_mutex_lock(&world->found_lock);
	if (!world->failed)
		vsnprintf(world->failure, sizeof(world->failure), format, arguments);
	world->failed = true;
	pthread_mutex_unlock(&world->found_lock);
	va_end(arguments);
}

bool sim_has_failed(struct sim_world *world)
{
	bool failed;

	pthread_mutex_lock(&world->found_lock);
	failed = world->failed;
	pthread_mutex_unlock(&world->found_lock);
	return failed;
}

/** Whether @line is one more piece of what the last line tells, which is then made longer. */
static bool continues(struct sim_world *world, const struct sim_trace_line *line)
{
	struct sim_trace_line *last;

	if (world->trace_count == 0 || line->kind != SIM_TRACE_DRIVER_TAKES)
		return false;
	last = &world->trace[(world->trace_count - 1) % SIM_TRACE_LENGTH];
	if (last->kind != line->kind || last->op != line->op || last->queue != line->queue ||
	    last->flags != line->flags || line->length_bytes == 0 ||
	    last->offset_bytes + last->length_bytes != line->offset_bytes)
		return false;
	last->length_bytes += line->length_bytes;
	last->number++;
	return true;
}

void sim_trace(struct sim_world *world, const struct sim_trace_line *line)
{
	pthread_mutex_lock(&world->found_lock);
	/* What led to the failure, not what came after it. */
	if (!world->failed && !continues(world, line))
		world->trace[world->trace_count++ % SIM_TRACE_LENGTH] = *line;
	pthread_mutex_unlock(&world->found_lock);
}

static void print_line(const struct sim_trace_line *line, FILE *to)
{
	static const char *const names[] = {
		[SIM_TRACE_NONE] = "",
		[SIM_TRACE_CLIENT_ISSUES] = "client -->",
		[SIM_TRACE_CLIENT_IS_ANSWERED] = "client <--",
		[SIM_TRACE_DRIVER_TAKES] = "    driver",
		[SIM_TRACE_STOP_IS_ASKED] = "stop",
	};

	if (line->kind == SIM_TRACE_STOP_IS_ASKED) {
		fprintf(to, "  stop is asked for\n");
		return;
	}
	fprintf(to, "  %s queue %u #%-5llu %-12s offset %llu length %llu flags %#x",
		names[line->kind], line->queue, (unsigned long long)line->number,
		bdus_op_name(line->op), (unsigned long long)line->offset_bytes,
		(unsigned long long)line->length_bytes, line->flags);
	if (line->kind == SIM_TRACE_DRIVER_TAKES && line->number > 1)
		fprintf(to, " in %llu pieces", (unsigned long long)line->number);
	if (line->kind == SIM_TRACE_CLIENT_IS_ANSWERED)
		fprintf(to, " = %d", line->result);
	fputc('\n', to);
}

void sim_print_trace(struct sim_world *world, FILE *to)
{
	const uint64_t count = base_min(world->trace_count, SIM_TRACE_LENGTH);

	for (uint64_t i = world->trace_count - count; i < world->trace_count; i++)
		print_line(&world->trace[i % SIM_TRACE_LENGTH], to);
}

int sim_bad_spot(const struct sim_world *world, unsigned op, uint64_t offset_bytes,
		 uint64_t length_bytes)
{
	for (unsigned i = 0; i < world->spot_count; i++) {
		const struct sim_bad_spot *const spot = &world->spots[i];

		if ((spot->ops & BDUS_OP_BIT(op)) &&
		    offset_bytes < spot->offset_bytes + spot->length_bytes &&
		    spot->offset_bytes < offset_bytes + length_bytes)
			return spot->errnum;
	}
	return 0;
}
