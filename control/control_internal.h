/* SPDX-License-Identifier: MIT */
/*
 * What the files of the room share: the service of one device. Everything in it belongs to the
 * thread of the device's queue 0.
 */
#ifndef CONTROL_INTERNAL_H
#define CONTROL_INTERNAL_H

#include "base/list.h"
#include "control_caps.h"
#include "device/control.h"

/** The namespace of a device is a folder in the runtime directory; and the service's name there. */
#define CONTROL_FOLDER "%s/%llu.ctl"
#define CONTROL_NAME   "device"
#define CONTROL_PATH   512

struct bdus_control {
	struct bdus_device *device;
	struct caps_port *port;
	/** NULL while it is not attached. */
	struct bdus_loop *loop;
	/** Waits for the port to have something. */
	struct bdus_call call;
	/** Flushes on their way (operations.c). */
	struct base_list flushes;
	/** Who waits for a change of filters, of which there is one at a time (filters.c). */
	struct caps_message changing;
	/** What that is, for the log. */
	char change[64];
};

/** The operations, with @control as their context. */
struct control_service control_handlers(struct bdus_control *control);

/** Hands a command to a filter (filters.c). */
void control_handle_filter(void *context, struct caps_port *port, struct caps_message *message,
			   const struct control_filter_command *request);

/** Attach and detach filters (filters.c). */
void control_handle_attach_filter(void *context, struct caps_port *port,
				  struct caps_message *message,
				  const struct control_filter_use *request);
void control_handle_detach_filter(void *context, struct caps_port *port,
				  struct caps_message *message,
				  const struct control_filter_name *request);

/** Answers with a negative errno and the last message. */
void control_refuse(const struct bdus_control *control, struct caps_message *message,
		    int32_t error);
/** Tells what was done for whom, at BDUS_LOG_INFO. */
void control_tell_done(const struct bdus_control *control, const struct caps_message *message,
		       const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Forgets the flushes whose queue is gone. */
void control_drop_flushes(struct bdus_control *control);

/** The namespace of device @id. */
int control_folder(uint64_t id, char path[CONTROL_PATH]);

#endif
