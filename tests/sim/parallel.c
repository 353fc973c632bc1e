/* SPDX-License-Identifier: MIT */
/*
 * Many devices at once in one process, each run by a thread of its own: they share the table of
 * signals, the runtime directory and nothing else. In the last round one SIGTERM must end them all.
 */
#include "base/bits.h"
#include "sim/sim.h"

#include <bdus/manage.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICES    8
#define ROUNDS     12
#define SIZE_BYTES (UINT64_C(1) << 20)

extern const struct bdus_driver bdus_driver_ram;

struct run {
	struct sim_world world;
	pthread_t thread;
	uint64_t seed;
	/** Goes on until a signal ends it. */
	bool endless;
	uint64_t id;
	int result;
	char message[256];
};

static struct run runs[DEVICES];
static pthread_barrier_t all_available;

static int on_available(const struct bdus_device_info *info, void *opaque)
{
	struct run *const run = opaque;

	run->id = info->id;
	if (run->endless)
		pthread_barrier_wait(&all_available);
	return 0;
}

static void *run_device(void *argument)
{
	static const char *const words[] = {"size=1M", "reserve=0", "queues=2"};
	struct run *const run = argument;
	char transport[128];

	snprintf(transport, sizeof(transport),
		 "sim,seed=%" PRIu64 ",operations=%u,overlap=no,depth=8,max-transfer=16K",
		 run->seed, run->endless ? 100000000 : 300);
	sim_use_world(&run->world);
	run->result = bdus_manage_run(&(struct bdus_run_options){
		.size = sizeof(struct bdus_run_options),
		.driver = &bdus_driver_ram,
		.driver_options = words,
		.driver_option_count = BASE_ARRAY_LENGTH(words),
		.transport = transport,
		.available = on_available,
		.opaque = run,
	});
	snprintf(run->message, sizeof(run->message), "%s", bdus_manage_error());
	return NULL;
}

static void start(struct run *run, uint64_t seed, bool endless)
{
	sim_world_init(&run->world);
	run->world.driver_ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
				BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS) | BDUS_OP_BIT(BDUS_OP_DISCARD) |
				BDUS_OP_BIT(BDUS_OP_EXTENTS);
	run->world.model = sim_model_create(SIZE_BYTES, 512, false);
	run->seed = seed;
	run->endless = endless;
	if (pthread_create(&run->thread, NULL, run_device, run) != 0)
		abort();
}

static bool finish(struct run *run)
{
	bool good;

	pthread_join(run->thread, NULL);
	good = run->result == 0 && !sim_has_failed(&run->world);
	if (!good) {
		fprintf(stderr, "device %" PRIu64 ", seed %" PRIu64 ": result %d (%s), %s\n",
			run->id, run->seed, run->result, run->message, run->world.failure);
		sim_print_trace(&run->world, stderr);
	}
	sim_world_finish(&run->world);
	return good;
}

static bool ids_differ(void)
{
	for (unsigned i = 0; i < DEVICES; i++) {
		for (unsigned j = 0; j < i; j++) {
			if (runs[i].id == runs[j].id) {
				fprintf(stderr, "two devices have the id %" PRIu64 "\n",
					runs[i].id);
				return false;
			}
		}
	}
	return true;
}

static bool run_round(unsigned round)
{
	const bool endless = round == ROUNDS - 1;
	bool good = true;

	for (unsigned i = 0; i < DEVICES; i++)
		start(&runs[i], round * DEVICES + i + 1, endless);
	if (endless) {
		pthread_barrier_wait(&all_available);
		usleep(50000);
		kill(getpid(), SIGTERM);
	}
	for (unsigned i = 0; i < DEVICES; i++)
		good = finish(&runs[i]) && good;
	return good && ids_differ();
}

int main(void)
{
	char directory[] = "/tmp/bdus-sim-parallel-XXXXXX";
	char counter[64];
	bool good = true;

	if (mkdtemp(directory) == NULL || setenv("BDUS_RUNTIME_DIR", directory, 1) != 0)
		return 2;
	pthread_barrier_init(&all_available, NULL, DEVICES + 1);
	alarm(500);
	for (unsigned round = 0; round < ROUNDS && good; round++)
		good = run_round(round);
	snprintf(counter, sizeof(counter), "%s/next-id", directory);
	unlink(counter);
	if (rmdir(directory) != 0) {
		perror(directory);
		good = false;
	}
	return good ? 0 : 1;
}
