/* SPDX-License-Identifier: MIT */
/*
 * The life of a device's service: a port of caps, which is one descriptor, in the loop of queue 0.
 * It has no thread, and costs a device that nobody asks nothing.
 */
#include "control_internal.h"

#include "base/error.h"
#include "device/loop.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** Messages that are served before requests have their turn again. */
#define MOST_AT_ONCE 16
/** Clients at a time, and the unanswered requests of each. */
#define MOST_CLIENTS 64
#define WINDOW       8

int control_folder(uint64_t id, char path[CONTROL_PATH])
{
	char directory[CONTROL_PATH / 2];
	const int result = bdus_registry_directory(directory, sizeof(directory));

	if (result == 0)
		snprintf(path, CONTROL_PATH, CONTROL_FOLDER, directory, (unsigned long long)id);
	return result;
}

static int serve(struct bdus_control *control)
{
	const unsigned long long id = bdus_device_info(control->device)->id;
	char folder[CONTROL_PATH];
	struct caps_service_options options = {
		.size = sizeof(options),
		.exclusive = true,
		.directory = folder,
		.window = WINDOW,
		.max_clients = MOST_CLIENTS,
	};
	int result = control_folder(id, folder);

	if (result < 0)
		return result;
	control_caps_serve(&options);
	result = caps_serve(CONTROL_NAME, &options, &control->port);
	return result < 0 ? base_error(-result, "cannot register a service for device %llu: %s", id,
				       caps_error())
			  : 0;
}

static void remove_entries(const char *path)
{
	DIR *const folder = opendir(path);
	struct dirent *entry;

	while (folder != NULL && (entry = readdir(folder)) != NULL)
		unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder != NULL)
		closedir(folder);
	rmdir(path);
}

/** Ids are not used again, so whatever is there is nobody's. */
void bdus_control_forget(const char *directory, uint64_t id)
{
	char path[CONTROL_PATH];
	const int length = snprintf(path, sizeof(path), CONTROL_FOLDER "/" CONTROL_NAME, directory,
				    (unsigned long long)id);

	if (length >= (int)sizeof(path))
		return;
	remove_entries(path);
	path[length - (int)sizeof("/" CONTROL_NAME) + 1] = '\0';
	rmdir(path);
}

static void forget_own(const struct bdus_device *device)
{
	char directory[CONTROL_PATH / 2];

	if (bdus_registry_directory(directory, sizeof(directory)) == 0)
		bdus_control_forget(directory, bdus_device_info(device)->id);
}

int bdus_control_create(struct bdus_device *device, struct bdus_control **control)
{
	struct bdus_control *const made = calloc(1, sizeof(*made));
	int result;

	if (made == NULL)
		return base_error(ENOMEM, "no memory for a device's service");
	made->device = device;
	base_list_init(&made->flushes);
	result = serve(made);
	if (result < 0) {
		forget_own(device);
		free(made);
		return result;
	}
	*control = made;
	return 0;
}

void bdus_control_destroy(struct bdus_control *control)
{
	if (control == NULL)
		return;
	caps_destroy(control->port);
	forget_own(control->device);
	free(control);
}

/* ---- in the loop --------------------------------------------------------------------------- */

static int wait_for_messages(struct bdus_control *control)
{
	asys_prep_poll(&control->call.message, caps_fd(control->port), POLLIN);
	return bdus_loop_send(control->loop, &control->call);
}

static void tell_message(const struct bdus_control *control, const struct caps_message *message)
{
	if (message->kind == CAPS_REQUEST)
		bdus_log_tell(bdus_device_log(control->device), BDUS_LOG_DEBUG,
			      "process %d of user %u asks for operation %u",
			      (int)message->sender.pid, (unsigned)message->sender.effective_uid,
			      message->operation);
}

/** What does not fit the buffer travels in memory of its own. */
static void serve_some(struct bdus_control *control)
{
	const struct control_service service = control_handlers(control);
	char *const buffer = malloc(CAPS_INLINE_BYTES);

	for (unsigned i = 0; buffer != NULL && i < MOST_AT_ONCE; i++) {
		struct caps_message message;

		if (caps_get(control->port, &message, buffer, CAPS_INLINE_BYTES, 0) != 0)
			break;
		tell_message(control, &message);
		control_dispatch(&service, control->port, &message);
	}
	free(buffer);
}

static void on_messages(struct bdus_call *call)
{
	struct bdus_control *const control = base_container_of(call, struct bdus_control, call);

	if (control->loop == NULL)
		return;
	if (call->message.result >= 0)
		serve_some(control);
	/* A loop that ends takes no more. */
	if (call->message.result != -ECANCELED)
		wait_for_messages(control);
}

int bdus_control_attach(struct bdus_control *control, struct bdus_loop *loop)
{
	control->loop = loop;
	control->call.completed = on_messages;
	return wait_for_messages(control);
}

void bdus_control_detach(struct bdus_control *control)
{
	struct bdus_loop *loop;

	if (control == NULL || control->loop == NULL)
		return;
	loop = control->loop;
	control->loop = NULL;
	bdus_loop_end_call(loop, &control->call);
	control_drop_flushes(control);
}
