/* SPDX-License-Identifier: MIT */
/*
 * What a device's service does for its clients. The table at the end has all of it: an operation is
 * described in abi/control.wire, and handled here or in a file of its own.
 */
#include "control_internal.h"

#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** What was done, without who asked. */
#define TOLD_BYTES 384

void control_refuse(const struct bdus_control *control, struct caps_message *message, int32_t error)
{
	const char *const text = base_error_message();
	const struct caps_answer answer = {.error = error, .data = text, .length = strlen(text)};

	bdus_log_tell(bdus_device_log(control->device), BDUS_LOG_WARNINGS,
		      "refused to process %d of user %u: %s", (int)message->sender.pid,
		      (unsigned)message->sender.effective_uid, text);
	caps_reply(control->port, message, &answer);
}

void control_tell_done(const struct bdus_control *control, const struct caps_message *message,
		       const char *format, ...)
{
	const struct bdus_log *const log = bdus_device_log(control->device);
	char what[TOLD_BYTES];
	va_list arguments;

	if (atomic_load_explicit(&log->level, memory_order_relaxed) < BDUS_LOG_INFO)
		return;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	bdus_log_tell(log, BDUS_LOG_INFO, "%s, as process %d of user %u asked", what,
		      (int)message->sender.pid, (unsigned)message->sender.effective_uid);
}

/* ---- info ---------------------------------------------------------------------------------- */

static struct wire_text text_of(const char *text)
{
	return (struct wire_text){text, strlen(text)};
}

static void handle_info(void *context, struct caps_port *port, struct caps_message *message)
{
	const struct bdus_control *const control = context;
	const struct bdus_device_info *const info = bdus_device_info(control->device);
	struct control_device reply;

	control_device_init(&reply);
	control_device_set_id(&reply, info->id);
	control_device_set_size_bytes(&reply, info->size_bytes);
	control_device_set_created_s(&reply, info->created_s);
	control_device_set_state(&reply, (uint32_t)info->state);
	control_device_set_pid(&reply, (uint32_t)info->pid);
	control_device_set_logical_block_size(&reply, info->logical_block_size);
	control_device_set_physical_block_size(&reply, info->physical_block_size);
	control_device_set_queues(&reply, info->queues);
	control_device_set_queue_depth(&reply, info->queue_depth);
	control_device_set_ops(&reply, info->ops);
	control_device_set_flags(&reply, info->flags);
	control_device_set_major(&reply, info->major);
	control_device_set_minor(&reply, info->minor);
	control_device_set_log_level(&reply, bdus_device_log_level(control->device));
	control_device_set_transport(&reply, text_of(info->transport));
	control_device_set_driver(&reply, text_of(info->driver));
	control_device_set_path(&reply, text_of(info->path));
	control_device_set_native_path(&reply, text_of(info->native_path));
	control_info_reply(port, message, &reply);
}

/* ---- statistics ---------------------------------------------------------------------------- */

static void handle_statistics(void *context, struct caps_port *port, struct caps_message *message)
{
	const struct bdus_control *const control = context;
	const int fd = bdus_device_stats_fd(control->device);

	if (fd < 0)
		control_refuse(control, message, fd);
	else
		control_statistics_reply(port, message, &fd);
}

/* ---- flush --------------------------------------------------------------------------------- */

/** A flush on its way. */
struct flush {
	struct bdus_control *control;
	struct base_list link;
	struct bdus_io io;
	struct caps_message message;
};

static void flush_finished(struct bdus_io *io)
{
	struct flush *const flush = base_container_of(io, struct flush, io);
	const struct bdus_control *const control = flush->control;

	base_list_remove(&flush->link);
	if (io->result == 0)
		control_flush_reply(control->port, &flush->message);
	else
		control_refuse(control, &flush->message,
			       base_error(-io->result, "the driver's flush failed"));
	free(flush);
}

static void handle_flush(void *context, struct caps_port *port, struct caps_message *message)
{
	struct bdus_control *const control = context;
	struct flush *const flush = calloc(1, sizeof(*flush));
	int result;

	(void)port;
	if (flush == NULL) {
		control_refuse(control, message, base_error(ENOMEM, "no memory for a flush"));
		return;
	}
	*flush = (struct flush){.control = control, .message = *message};
	bdus_io_init(&flush->io);
	flush->io.finished = flush_finished;
	base_list_push_back(&control->flushes, &flush->link);
	result = bdus_device_flush(control->device, &flush->io);
	if (result == 0)
		return;
	base_list_remove(&flush->link);
	free(flush);
	control_refuse(control, message, result);
}

void control_drop_flushes(struct bdus_control *control)
{
	struct base_list *link;

	while ((link = base_list_pop_front(&control->flushes)) != NULL)
		free(base_list_entry(link, struct flush, link));
}

/* ---- the rest ------------------------------------------------------------------------------ */

static void handle_stop(void *context, struct caps_port *port, struct caps_message *message)
{
	const struct bdus_control *const control = context;

	control_tell_done(control, message, "the device is being stopped");
	bdus_device_stop(control->device);
	control_stop_reply(port, message);
}

static void handed_over(const struct bdus_control *control, struct caps_message *message)
{
	control_tell_done(control, message, "the device is being given another driver");
	control_hand_over_reply(control->port, message);
}

static void handle_hand_over(void *context, struct caps_port *port, struct caps_message *message)
{
	const struct bdus_control *const control = context;
	const int result = bdus_device_hand_over(control->device);

	(void)port;
	if (result < 0)
		control_refuse(control, message, result);
	else
		handed_over(control, message);
}

static void handle_socket(void *context, struct caps_port *port, struct caps_message *message,
			  const struct control_socket_number *request)
{
	const struct bdus_control *const control = context;
	const int fd = bdus_device_socket(control->device, control_socket_number_number(request));

	if (fd < 0)
		control_refuse(control, message, fd);
	else
		control_socket_reply(port, message, &fd);
}

static void handle_set_log_level(void *context, struct caps_port *port,
				 struct caps_message *message,
				 const struct control_log_level *request)
{
	const struct bdus_control *const control = context;
	const uint32_t level = control_log_level_level(request);
	const int result = bdus_device_set_log_level(control->device, level);

	if (result < 0) {
		control_refuse(control, message, result);
		return;
	}
	control_tell_done(control, message, "the log level is %u", level);
	control_set_log_level_reply(port, message);
}

static void handle_resize(void *context, struct caps_port *port, struct caps_message *message,
			  const struct control_size *request)
{
	const struct bdus_control *const control = context;
	const uint64_t size_bytes = control_size_size_bytes(request);
	const int result = bdus_device_resize(control->device, size_bytes);

	if (result < 0) {
		control_refuse(control, message, result);
		return;
	}
	control_tell_done(control, message, "the device has %llu bytes",
			  (unsigned long long)size_bytes);
	control_resize_reply(port, message);
}

struct control_service control_handlers(struct bdus_control *control)
{
	return (struct control_service){
		.context = control,
		.handle_info = handle_info,
		.handle_statistics = handle_statistics,
		.handle_flush = handle_flush,
		.handle_stop = handle_stop,
		.handle_set_log_level = handle_set_log_level,
		.handle_resize = handle_resize,
		.handle_filter = control_handle_filter,
		.handle_attach_filter = control_handle_attach_filter,
		.handle_detach_filter = control_handle_detach_filter,
		.handle_hand_over = handle_hand_over,
		.handle_socket = handle_socket,
	};
}
