/* SPDX-License-Identifier: MIT */
/*
 * The manager. It calls what the `bdus` command calls, in the process that serves the device, which
 * the engine does not know: all goes through the runtime directory and the service.
 */
#include "manager.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_MS 60000

static struct {
	struct manager_setup setup;
	struct bdus_device_info info;
	struct sim_random random;
	pthread_t thread;
	bool started;
	bool lost_flush;
} manager;

/** Whether @error means that the device ended meanwhile. */
static bool device_is_gone(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -ECONNRESET ||
	       error == -EPIPE || error == -ENODEV;
}

static void complain(const char *what, int result)
{
	sim_fail(manager.setup.world, "%s gave %d: %s", what, result, bdus_manage_error());
}

static int count_device(const struct bdus_device_info *info, void *opaque)
{
	unsigned *const count = opaque;

	if (info->id != manager.info.id)
		return 0;
	(*count)++;
	if (info->state == BDUS_STATE_ORPHANED || info->pid != manager.info.pid ||
	    info->size_bytes != manager.info.size_bytes ||
	    strcmp(info->path, manager.info.path) != 0)
		sim_fail(manager.setup.world, "the device is listed as %s, process %d, path %s",
			 bdus_state_name(info->state), info->pid, info->path);
	return 0;
}

static void list_devices(void)
{
	unsigned count = 0;
	const int result = bdus_manage_list(count_device, &count);

	if (result != 0 || count > 1)
		complain("listing devices", result);
}

static void find_device(void)
{
	struct bdus_device_info found;
	char text[32];
	int result;

	snprintf(text, sizeof(text), "%" PRIu64, manager.info.id);
	result = bdus_manage_find(text, &found);
	if (result != 0 && result != -ENODEV)
		complain("finding the device", result);
}

static void note_flush(int result, uint64_t issued)
{
	struct sim_world *const world = manager.setup.world;

	pthread_mutex_lock(&world->lock);
	if (result == 0 && world->model != NULL)
		sim_model_end_flush(world->model, issued);
	if (result == -EIO && manager.setup.flushes_fail)
		world->flush_failures_seen++;
	pthread_mutex_unlock(&world->lock);
	if (device_is_gone(result))
		manager.lost_flush = true;
	else if (result == -ENOSPC && atomic_load(&world->stores_full) > 0)
		return;
	else if (result != 0 && !(result == -EIO && (manager.setup.flushes_fail ||
						     atomic_load(&world->power_failed))))
		complain("flushing the device", result);
}

static void flush_device(void)
{
	struct sim_world *const world = manager.setup.world;
	uint64_t issued;

	pthread_mutex_lock(&world->lock);
	issued = world->now++;
	pthread_mutex_unlock(&world->lock);
	note_flush(bdus_manage_flush(&manager.info, TIMEOUT_MS, NULL, NULL), issued);
}

static int connect_raw(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *const directory = getenv("BDUS_RUNTIME_DIR");
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%" PRIu64 ".ctl/device/1.x",
		 directory, manager.info.id);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/** Many that connect, say something senseless or leave before they are answered. */
static void bother(void)
{
	static const char *const words[] = {"",
					    "x",
					    "flush",
					    "flush flush",
					    "stop it",
					    "FLUSH",
					    "0123456789012345678901234567890123456789"};
	const unsigned count = (unsigned)sim_random_between(&manager.random, 1, 80);
	int fds[80];

	for (unsigned i = 0; i < count; i++) {
		const char *const word =
			words[sim_random_below(&manager.random, BASE_ARRAY_LENGTH(words))];

		fds[i] = connect_raw();
		if (fds[i] < 0)
			continue;
		if (send(fds[i], word, strlen(word), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		    errno != EPIPE && errno != ECONNRESET && errno != EAGAIN)
			complain("sending to the service", -errno);
	}
	if (sim_random_chance(&manager.random, 50))
		usleep(500);
	for (unsigned i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static void destroy_device(void)
{
	const int result = bdus_manage_destroy(&manager.info, TIMEOUT_MS, NULL, NULL);
	struct bdus_device_info found;

	if (result != 0)
		complain("destroying the device", result);
	else if (bdus_manage_find_id(manager.info.id, &found) != -ENODEV)
		sim_fail(manager.setup.world, "the device was destroyed and can be found");
}

static void *manager_main(void *argument)
{
	static void (*const actions[])(void) = {list_devices, find_device, flush_device,
						flush_device, bother};

	for (unsigned i = 0; i < manager.setup.actions; i++) {
		actions[sim_random_below(&manager.random, BASE_ARRAY_LENGTH(actions))]();
		usleep((unsigned)sim_random_below(&manager.random, 2000));
	}
	if (manager.setup.destroys)
		destroy_device();
	return argument;
}

void manager_start(const struct manager_setup *setup, const struct bdus_device_info *info)
{
	manager.setup = *setup;
	manager.info = *info;
	sim_random_init(&manager.random, setup->seed, UINT64_C(0x3a3a));
	manager.started = pthread_create(&manager.thread, NULL, manager_main, NULL) == 0;
	if (!manager.started)
		sim_fail(setup->world, "cannot start the manager's thread");
}

void manager_finish(void)
{
	if (manager.started)
		pthread_join(manager.thread, NULL);
	manager.started = false;
}

bool manager_lost_a_flush(void)
{
	const bool lost = manager.lost_flush;

	manager.lost_flush = false;
	return lost;
}
