/* SPDX-License-Identifier: MIT */
/*
 * The NBD server as a way in: options, what it can carry, and the life of its device. The work is
 * done by queue.c and what that calls.
 */
#include "base/error.h"
#include "nbd_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_HOST "127.0.0.1"

static const struct bdus_option nbd_options[] = {
	{.key = "socket",
	 .kind = BDUS_OPTION_STRING,
	 .help = "Unix socket to listen on (default: ID.nbd in the runtime directory)"},
	{.key = "mode",
	 .kind = BDUS_OPTION_STRING,
	 .fallback = "0600",
	 .help = "permissions of the Unix socket, in octal"},
	{.key = "host",
	 .kind = BDUS_OPTION_STRING,
	 .help = "listen on TCP at this name or address (default: " DEFAULT_HOST ")"},
	{.key = "port",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "10809",
	 .maximum = UINT16_MAX,
	 .help = "listen on TCP at this port; 0 takes a free one"},
	{.key = "export",
	 .kind = BDUS_OPTION_STRING,
	 .help = "name of the export (default: the empty name, which always works)"},
	{.key = "description",
	 .kind = BDUS_OPTION_STRING,
	 .help = "line that clients see when they list exports"},
	{.key = "max-connections",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "64",
	 .minimum = 1,
	 .maximum = 65535,
	 .help = "most clients at once; others are turned away"},
	{.key = "handshake-timeout",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "10",
	 .minimum = 1,
	 .maximum = 3600,
	 .help = "seconds that a client has to choose the export"},
	{.key = "busy-poll",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "100",
	 .maximum = 1000000,
	 .help = "microseconds to look for the next request before sleeping, while that pays off"},
	{.key = NULL},
};

/* ---- probe --------------------------------------------------------------------------------- */

static void supports(struct bdus_transport_report *report, enum bdus_feature feature,
		     const char *remark)
{
	report->features[feature].supported = true;
	snprintf(report->features[feature].reason, sizeof(report->features[feature].reason), "%s",
		 remark);
}

static void lacks(struct bdus_transport_report *report, enum bdus_feature feature,
		  const char *reason)
{
	snprintf(report->features[feature].reason, sizeof(report->features[feature].reason), "%s",
		 reason);
}

static void nbd_probe(struct bdus_transport_report *report)
{
	report->usable = true;
	supports(report, BDUS_FEATURE_REMOTE, "over TCP, without encryption");
	supports(report, BDUS_FEATURE_READ_ONLY, "");
	supports(report, BDUS_FEATURE_FLUSH, "");
	supports(report, BDUS_FEATURE_FUA, "");
	supports(report, BDUS_FEATURE_DISCARD, "");
	supports(report, BDUS_FEATURE_WRITE_ZEROS, "");
	supports(report, BDUS_FEATURE_EXTENTS, "");
	supports(report, BDUS_FEATURE_CACHE, "");
	supports(report, BDUS_FEATURE_MULTI_QUEUE, "for clients with several connections");
	supports(report, BDUS_FEATURE_UNPRIVILEGED, "");
	supports(report, BDUS_FEATURE_RECOVERY, "clients have to connect again");
	supports(report, BDUS_FEATURE_NO_PARTITION_SCAN, "the client decides");
	lacks(report, BDUS_FEATURE_BLOCK_DEVICE, "the client makes one, such as nbd-client");
	lacks(report, BDUS_FEATURE_SECURE_ERASE, "the protocol has no such request");
	lacks(report, BDUS_FEATURE_IOCTL, "the protocol has no such request");
	lacks(report, BDUS_FEATURE_ZONES, "the protocol has no zones");
	lacks(report, BDUS_FEATURE_PARTITION_SCAN, "the client decides");
	lacks(report, BDUS_FEATURE_ZERO_COPY, "data goes through a socket");
}

/* ---- create -------------------------------------------------------------------------------- */

static int parse_mode(const char *text, mode_t *mode)
{
	char *end;
	const unsigned long value = strtoul(text, &end, 8);

	if (*text < '0' || *text > '7' || *end != '\0' || value > 0777)
		return base_error(EINVAL, "mode=%s is not an octal number from 0 to 0777", text);
	*mode = (mode_t)value;
	return 0;
}

static int listen_unix(struct bdus_transport_device *device,
		       const struct bdus_transport_setup *setup)
{
	const char *path = bdus_config_string(setup->options, "socket");
	char chosen[PATH_MAX];
	mode_t mode = 0;
	const int error = parse_mode(bdus_config_string(setup->options, "mode"), &mode);

	if (error != 0)
		return error;
	if (path == NULL) {
		snprintf(chosen, sizeof(chosen), "%s/%llu.nbd", setup->runtime_directory,
			 (unsigned long long)setup->id);
		path = chosen;
	}
	return nbd_listen_unix(&device->listeners, path, mode);
}

/** The port in the URI of a device that was served before: what follows the last colon of the host.
 */
static uint64_t former_port(const char *uri)
{
	static const char scheme[] = "nbd://";
	const char *host;
	const char *colon;

	if (strncmp(uri, scheme, sizeof(scheme) - 1) != 0)
		return 0;
	host = uri + sizeof(scheme) - 1;
	colon = memrchr(host, ':', strcspn(host, "/"));
	return colon != NULL ? strtoull(colon + 1, NULL, 10) : 0;
}

static int listen_tcp(struct bdus_transport_device *device,
		      const struct bdus_transport_setup *setup)
{
	const char *const host = bdus_config_string(setup->options, "host");
	uint64_t port = bdus_config_number(setup->options, "port");

	if (port == 0 && setup->adopted != NULL)
		port = former_port(setup->adopted->path);
	return nbd_listen_tcp(&device->listeners, host != NULL ? host : DEFAULT_HOST,
			      (uint16_t)port);
}

static int open_listeners(struct bdus_transport_device *device,
			  const struct bdus_transport_setup *setup)
{
	const struct bdus_config *const options = setup->options;
	const bool tcp = bdus_config_given(options, "host") || bdus_config_given(options, "port");
	const bool file =
		bdus_config_given(options, "socket") || bdus_config_given(options, "mode");
	int inherited;

	if (setup->handed != NULL && setup->handed->count != 0)
		return nbd_listen_take(&device->listeners, setup->handed->fds,
				       setup->handed->count);
	if (tcp && file)
		return base_error(EINVAL,
				  "socket and mode are for a Unix socket, host and port for "
				  "TCP; give one kind only");
	if (tcp)
		return listen_tcp(device, setup);
	if (file)
		return listen_unix(device, setup);
	inherited = nbd_listen_inherit(&device->listeners);
	if (inherited != 0)
		return inherited < 0 ? inherited : 0;
	return listen_unix(device, setup);
}

/** Text of an option, copied; @fallback when it was not given. */
static int copy_text(const struct bdus_config *options, const char *key, const char *fallback,
		     const char **copy)
{
	const char *const text = bdus_config_string(options, key);

	if (text != NULL && strlen(text) > NBD_STRING_BYTES)
		return base_error(EINVAL, "%s has %zu bytes; at most %d are allowed", key,
				  strlen(text), NBD_STRING_BYTES);
	*copy = strdup(text != NULL ? text : fallback);
	return *copy != NULL ? 0 : base_error(ENOMEM, "out of memory for the %s", key);
}

static int set_names(struct nbd_export *export, const struct bdus_transport_setup *setup)
{
	char description[128];
	int error;

	snprintf(description, sizeof(description), "BDUS device %llu, driver %s",
		 (unsigned long long)setup->id, setup->driver_name);
	error = copy_text(setup->options, "export", "", &export->name);
	if (error != 0)
		return error;
	return copy_text(setup->options, "description", description, &export->description);
}

static int check_carried(const struct bdus_transport_setup *setup)
{
	if (setup->native_ops & BDUS_OP_BIT(BDUS_OP_SECURE_ERASE))
		return base_error(EOPNOTSUPP,
				  "NBD cannot carry secure erase, which driver %s offers",
				  setup->driver_name);
	if (setup->attrs->zone_size_bytes != 0)
		return base_error(EOPNOTSUPP,
				  "NBD cannot carry the zones of driver %s: the protocol has no "
				  "operations on them",
				  setup->driver_name);
	return 0;
}

static int make_events(struct bdus_transport_device *device)
{
	device->event_fds = calloc(device->queue_count, sizeof(int));
	if (device->event_fds == NULL)
		return base_error(ENOMEM, "out of memory for %u queues", device->queue_count);
	memset(device->event_fds, -1, device->queue_count * sizeof(int));
	for (unsigned i = 0; i < device->queue_count; i++) {
		device->event_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (device->event_fds[i] < 0)
			return base_error_errno(errno, "cannot create an eventfd");
	}
	return 0;
}

static void close_events(struct bdus_transport_device *device)
{
	for (unsigned i = 0; device->event_fds != NULL && i < device->queue_count; i++)
		if (device->event_fds[i] >= 0)
			close(device->event_fds[i]);
	free(device->event_fds);
}

static int set_up(struct bdus_transport_device *device, const struct bdus_transport_setup *setup)
{
	char uri[sizeof(((struct bdus_device_info *)NULL)->path)];
	int error = check_carried(setup);

	if (error != 0)
		return error;
	nbd_export_init(&device->export, setup->attrs, setup->native_ops);
	/* One request must never need more than there is. */
	device->log = setup->log;
	device->memory = setup->memory;
	if (setup->memory != NULL)
		device->export.maximum_payload_bytes = (uint32_t)base_min(
			setup->attrs->max_transfer_bytes, device->export.maximum_payload_bytes);
	error = set_names(&device->export, setup);
	if (error != 0)
		return error;
	device->queue_depth = setup->attrs->queue_depth;
	device->queue_count = setup->attrs->queues;
	device->queues = calloc(device->queue_count, sizeof(struct bdus_transport_queue *));
	if (device->queues == NULL)
		return base_error(ENOMEM, "out of memory for %u queues", device->queue_count);
	error = make_events(device);
	if (error != 0)
		return error;
	device->max_connections = (unsigned)bdus_config_number(setup->options, "max-connections");
	device->handshake_timeout_ms =
		bdus_config_number(setup->options, "handshake-timeout") * 1000;
	device->busy_poll_ns = bdus_config_number(setup->options, "busy-poll") * 1000;
	error = open_listeners(device, setup);
	if (error != 0)
		return error;
	error = nbd_listen_uri(&device->listeners, device->export.name, uri, sizeof(uri));
	if (error == 0 && setup->adopted != NULL && strcmp(uri, setup->adopted->path) != 0)
		return base_error(EINVAL,
				  "clients know device %llu as %s and would not find it at %s",
				  (unsigned long long)setup->id, setup->adopted->path, uri);
	return error;
}

static int nbd_destroy(struct bdus_transport_device *device)
{
	if (device == NULL)
		return 0;
	nbd_listen_close(&device->listeners);
	if (device->accept_fd >= 0)
		close(device->accept_fd);
	close_events(device);
	free(device->queues);
	free((char *)device->export.name);
	free((char *)device->export.description);
	free(device);
	return 0;
}

static int nbd_create(const struct bdus_transport_setup *setup,
		      struct bdus_transport_device **device)
{
	struct bdus_transport_device *const created = calloc(1, sizeof(*created));
	int error;

	if (created == NULL)
		return base_error(ENOMEM, "out of memory for an NBD server");
	created->accept_fd = -1;
	error = set_up(created, setup);
	if (error != 0) {
		nbd_destroy(created);
		return error;
	}
	*device = created;
	return 0;
}

/* ---- start, stop --------------------------------------------------------------------------- */

static int nbd_start(struct bdus_transport_device *device)
{
	return nbd_queue_listen(device->queues[0]);
}

static int nbd_start_result(struct bdus_transport_device *device)
{
	(void)device;
	return 1;
}

static void nbd_describe(struct bdus_transport_device *device, struct bdus_device_info *info)
{
	/* That it fits was checked when the device was created. */
	nbd_listen_uri(&device->listeners, device->export.name, info->path, sizeof(info->path));
	info->native_path[0] = '\0';
	info->major = 0;
	info->minor = 0;
}

static int nbd_stop(struct bdus_transport_device *device)
{
	/* Where the loop ended first, its queue is gone and accepts nobody. */
	if (device->queues[0] != NULL)
		nbd_queue_unlisten(device->queues[0]);
	/* From now on any of the queues may be closed by its owner. */
	atomic_store_explicit(&device->stopping, true, memory_order_release);
	for (unsigned i = 0; i < device->queue_count; i++)
		eventfd_write(device->event_fds[i], 1);
	return 0;
}

/* ---- from one process to the next ---------------------------------------------------------- */

/** Whoever has claimed the record is the only one: there is nobody else to wait for. */
static int nbd_await_predecessor(struct bdus_transport_device *device, uint64_t deadline_ns)
{
	(void)device;
	(void)deadline_ns;
	return 0;
}

/** Nothing but its record tells of a device that is being handed over. */
static int nbd_announce(uint64_t id, struct bdus_handed *handed)
{
	(void)id;
	(void)handed;
	return 0;
}

static int nbd_socket(struct bdus_transport_device *device, unsigned index)
{
	if (index >= device->listeners.count)
		return base_error(ENOENT, "the server listens on %u sockets",
				  device->listeners.count);
	device->sockets_given = true;
	return device->listeners.fds[index];
}

/** Connections end with the queues. New clients wait for the successor, where there is one. */
static int nbd_leave(struct bdus_transport_device *device)
{
	if (device->sockets_given)
		nbd_listen_forget_file(&device->listeners);
	if (device->queues[0] != NULL)
		nbd_queue_unlisten(device->queues[0]);
	return 0;
}

/** What a process that was killed leaves behind is a file at most. */
static int nbd_remove(const struct bdus_device_info *info, uint64_t deadline_ns,
		      bdus_progress_fn *progress, void *opaque)
{
	(void)deadline_ns;
	(void)progress;
	(void)opaque;
	return nbd_listen_remove_stale(info->path);
}

extern const struct bdus_transport bdus_transport_nbd;

/** Clients that come from now on are told; for those that are there, NBD has no words. */
static int nbd_resize(struct bdus_transport_device *device, uint64_t size_bytes)
{
	__atomic_store_n(&device->export.size_bytes, size_bytes, __ATOMIC_RELAXED);
	return 0;
}

const struct bdus_transport bdus_transport_nbd = {
	.name = "nbd",
	.summary = "network block device server, over a Unix socket or TCP",
	.options = nbd_options,
	.probe = nbd_probe,
	.create = nbd_create,
	.adopt = nbd_create,
	.announce = nbd_announce,
	.await_predecessor = nbd_await_predecessor,
	.socket = nbd_socket,
	.is_sending = nbd_queue_is_sending,
	.leave = nbd_leave,
	.open_queue = nbd_queue_open,
	.start = nbd_start,
	.start_result = nbd_start_result,
	.describe = nbd_describe,
	.fetch = nbd_queue_fetch,
	.commit = nbd_queue_commit,
	.stop = nbd_stop,
	.resize = nbd_resize,
	.close_queue = nbd_queue_close,
	.detach_queue = nbd_queue_detach,
	.attach_queue = nbd_queue_attach,
	.destroy = nbd_destroy,
	.remove = nbd_remove,
};
