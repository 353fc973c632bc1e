/* SPDX-License-Identifier: MIT */
/*
 * The blocking style: one driver of the engine whose `handle` calls the callbacks of a
 * `struct bdus_ops`. Where max_concurrent_callbacks is 1 the engine calls it on the main thread,
 * else on the threads of the elastic pool.
 */
#include "blocking.h"

#include "attrs.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "device.h"
#include "run.h"
#include "takeover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct blocking {
	struct bdus_ops ops;
	struct bdus_attrs attrs;
	struct bdus_attrs original_attrs;
	void *private_data;
	/** Made when the device is created. Its members are const to callbacks, not to us. */
	struct bdus_ctx *ctx;
	char path[sizeof(((struct bdus_device_info *)0)->path)];
	struct bdus_device *device;
	bool initialized;
	bool is_rerun;
	/** Any thread: whether calls are logged; starts as `attrs.log`. */
	atomic_bool log;
};

/* ---- logging ------------------------------------------------------------------------------- */

static void log_call(const struct blocking *blocking, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void log_call(const struct blocking *blocking, const char *format, ...)
{
	char text[256];
	va_list arguments;

	if (!atomic_load_explicit(&blocking->log, memory_order_relaxed))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "bdus: device %" PRIu64 ": %s\n", blocking->ctx->id, text);
}

static void log_attr(const struct blocking *blocking, const char *name, uint64_t value,
		     uint64_t original)
{
	if (value == original)
		log_call(blocking, "attribute %s = %" PRIu64, name, value);
	else
		log_call(blocking, "attribute %s = %" PRIu64 " (was %" PRIu64 ")", name, value,
			 original);
}

static void log_zone_attrs(const struct blocking *blocking)
{
	const struct bdus_attrs *const now = &blocking->attrs;
	const struct bdus_attrs *const was = &blocking->original_attrs;

	log_attr(blocking, "zone_size", now->zone_size, was->zone_size);
	log_attr(blocking, "zone_capacity", now->zone_capacity, was->zone_capacity);
	log_attr(blocking, "conventional_zones", now->conventional_zones, was->conventional_zones);
	log_attr(blocking, "max_open_zones", now->max_open_zones, was->max_open_zones);
	log_attr(blocking, "max_active_zones", now->max_active_zones, was->max_active_zones);
	log_attr(blocking, "max_zone_append_size", now->max_zone_append_size,
		 was->max_zone_append_size);
}

static void log_attrs(const struct blocking *blocking)
{
	const struct bdus_attrs *const now = &blocking->attrs;
	const struct bdus_attrs *const was = &blocking->original_attrs;

	log_attr(blocking, "logical_block_size", now->logical_block_size, was->logical_block_size);
	log_attr(blocking, "physical_block_size", now->physical_block_size,
		 was->physical_block_size);
	log_attr(blocking, "size", now->size, was->size);
	log_attr(blocking, "max_concurrent_callbacks", now->max_concurrent_callbacks,
		 was->max_concurrent_callbacks);
	log_attr(blocking, "max_read_write_size", now->max_read_write_size,
		 was->max_read_write_size);
	log_attr(blocking, "max_write_same_size", now->max_write_same_size,
		 was->max_write_same_size);
	log_attr(blocking, "max_write_zeros_size", now->max_write_zeros_size,
		 was->max_write_zeros_size);
	log_attr(blocking, "max_discard_erase_size", now->max_discard_erase_size,
		 was->max_discard_erase_size);
	log_attr(blocking, "disable_partition_scanning", now->disable_partition_scanning,
		 was->disable_partition_scanning);
	log_attr(blocking, "recoverable", now->recoverable, was->recoverable);
	log_attr(blocking, "dont_daemonize", now->dont_daemonize, was->dont_daemonize);
	log_attr(blocking, "log", now->log, was->log);
	if (now->zone_size != 0)
		log_zone_attrs(blocking);
}

/* ---- requests ------------------------------------------------------------------------------ */

static int call_write(struct blocking *blocking, const struct bdus_request *request)
{
	/* Without a flush, and so without `fua_write`, every write is durable. */
	const bool fua = (request->flags & BDUS_REQUEST_FUA) && blocking->ops.fua_write != NULL;
	const uint32_t size = (uint32_t)request->length_bytes;

	log_call(blocking, "%s(offset = %" PRIu64 ", size = %" PRIu32 ")",
		 fua ? "fua_write" : "write", request->offset_bytes, size);
	if (fua)
		return blocking->ops.fua_write(request->data, request->offset_bytes, size,
					       blocking->ctx);
	return blocking->ops.write(request->data, request->offset_bytes, size, blocking->ctx);
}

static int call_flush(struct blocking *blocking)
{
	log_call(blocking, "flush()");
	return blocking->ops.flush(blocking->ctx);
}

/** There is no `write_zeros` with FUA: a flush follows, which a driver with `fua_write` has. */
static int call_write_zeros(struct blocking *blocking, const struct bdus_request *request)
{
	const bool may_unmap = request->flags & BDUS_REQUEST_MAY_UNMAP;
	const uint32_t size = (uint32_t)request->length_bytes;
	int result;

	log_call(blocking, "write_zeros(offset = %" PRIu64 ", size = %" PRIu32 ", may_unmap = %s)",
		 request->offset_bytes, size, may_unmap ? "true" : "false");
	result = blocking->ops.write_zeros(request->offset_bytes, size, may_unmap, blocking->ctx);
	if (result == 0 && (request->flags & BDUS_REQUEST_FUA) && blocking->ops.flush != NULL)
		result = call_flush(blocking);
	return result;
}

static int call_zone_report(struct blocking *blocking, struct bdus_request *request)
{
	const uint64_t zones_bytes = blocking->attrs.zone_size;
	const uint32_t count =
		(uint32_t)base_min(request->zone_capacity, request->length_bytes / zones_bytes);
	int result;

	log_call(blocking, "zone_report(offset = %" PRIu64 ", count = %" PRIu32 ")",
		 request->offset_bytes, count);
	result = blocking->ops.zone_report(request->zones, request->offset_bytes, count,
					   blocking->ctx);
	if (result == 0)
		request->zone_count = count;
	return result;
}

/** There is no append with FUA: a flush follows, which a driver with `fua_write` has. */
static int call_zone_append(struct blocking *blocking, struct bdus_request *request)
{
	const uint32_t size = (uint32_t)request->length_bytes;
	int result;

	log_call(blocking, "zone_append(offset = %" PRIu64 ", size = %" PRIu32 ")",
		 request->offset_bytes, size);
	result = blocking->ops.zone_append(request->data, request->offset_bytes, size,
					   &request->append_offset_bytes, blocking->ctx);
	if (result == 0 && (request->flags & BDUS_REQUEST_FUA) && blocking->ops.flush != NULL)
		result = call_flush(blocking);
	return result;
}

static int call_zone_change(struct blocking *blocking, const char *name,
			    int (*callback)(uint64_t offset, struct bdus_ctx *ctx),
			    const struct bdus_request *request)
{
	log_call(blocking, "%s(offset = %" PRIu64 ")", name, request->offset_bytes);
	return callback(request->offset_bytes, blocking->ctx);
}

static int call_back_for_zones(struct blocking *blocking, struct bdus_request *request)
{
	const struct bdus_ops *const ops = &blocking->ops;

	switch (request->op) {
	case BDUS_OP_ZONE_REPORT:
		return call_zone_report(blocking, request);
	case BDUS_OP_ZONE_APPEND:
		return call_zone_append(blocking, request);
	case BDUS_OP_ZONE_OPEN:
		return call_zone_change(blocking, "zone_open", ops->zone_open, request);
	case BDUS_OP_ZONE_CLOSE:
		return call_zone_change(blocking, "zone_close", ops->zone_close, request);
	case BDUS_OP_ZONE_FINISH:
		return call_zone_change(blocking, "zone_finish", ops->zone_finish, request);
	case BDUS_OP_ZONE_RESET:
		return call_zone_change(blocking, "zone_reset", ops->zone_reset, request);
	case BDUS_OP_ZONE_RESET_ALL:
		log_call(blocking, "zone_reset_all()");
		return ops->zone_reset_all(blocking->ctx);
	default:
		return EOPNOTSUPP;
	}
}

static int call_ioctl(struct blocking *blocking, const struct bdus_request *request)
{
	const uint32_t command = (uint32_t)request->offset_bytes;
	void *const argument = request->length_bytes != 0 ? request->data : NULL;

	log_call(blocking, "ioctl(command = 0x%" PRIx32 ")", command);
	return blocking->ops.ioctl(command, argument, blocking->ctx);
}

static int call_back(struct blocking *blocking, struct bdus_request *request)
{
	const uint64_t offset = request->offset_bytes;
	const uint32_t size = (uint32_t)request->length_bytes;

	switch (request->op) {
	case BDUS_OP_READ:
		log_call(blocking, "read(offset = %" PRIu64 ", size = %" PRIu32 ")", offset, size);
		return blocking->ops.read(request->data, offset, size, blocking->ctx);
	case BDUS_OP_WRITE:
		return call_write(blocking, request);
	case BDUS_OP_FLUSH:
		return call_flush(blocking);
	case BDUS_OP_WRITE_ZEROS:
		return call_write_zeros(blocking, request);
	case BDUS_OP_DISCARD:
		log_call(blocking, "discard(offset = %" PRIu64 ", size = %" PRIu32 ")", offset,
			 size);
		return blocking->ops.discard(offset, size, blocking->ctx);
	case BDUS_OP_SECURE_ERASE:
		log_call(blocking, "secure_erase(offset = %" PRIu64 ", size = %" PRIu32 ")", offset,
			 size);
		return blocking->ops.secure_erase(offset, size, blocking->ctx);
	case BDUS_OP_IOCTL:
		return call_ioctl(blocking, request);
	default:
		return call_back_for_zones(blocking, request);
	}
}

static void abort_device(struct blocking *blocking, const struct bdus_request *request)
{
	char what[96];

	snprintf(what, sizeof(what), "the driver was aborted by its callback for %s",
		 bdus_op_name(request->op));
	bdus_device_abort(blocking->device, EIO, what);
}

/** A callback's result as the engine's: clients are told a few errors, all others are EIO. */
static int handle(void *instance, struct bdus_request *request)
{
	struct blocking *const blocking = instance;
	const int result = call_back(blocking, request);

	switch (result) {
	case 0:
	case ENOLINK:
	case ENOSPC:
	case ETIMEDOUT:
		return -result;
	case ETOOMANYREFS:
	case EOVERFLOW:
		return blocking->attrs.zone_size != 0 ? -result : -EIO;
	case bdus_abort:
		abort_device(blocking, request);
		return -EIO;
	default:
		/* The kernel knows no larger numbers. */
		return request->op == BDUS_OP_IOCTL && result > 0 && result < 4096 ? -result : -EIO;
	}
}

/* ---- life ---------------------------------------------------------------------------------- */

/** The result of a callback that is not for a request. */
static int life_result(const char *name, int result)
{
	if (result == 0)
		return 0;
	if (result == bdus_abort)
		return base_error(EIO, "the driver was aborted by its callback '%s'", name);
	if (result < 0)
		result = EIO;
	return base_error_errno(result, "the driver's callback '%s' failed", name);
}

static int open_blocking(const struct bdus_config *config, struct bdus_device_attrs *attrs,
			 void **instance)
{
	const struct blocking *const blocking = *instance;

	(void)config;
	bdus_blocking_describe(&blocking->ops, &blocking->attrs, attrs);
	return 0;
}

static int close_blocking(void *instance)
{
	struct blocking *const blocking = instance;
	int result = 0;

	if (blocking->initialized && blocking->ops.terminate != NULL) {
		log_call(blocking, "terminate()");
		result = life_result("terminate", blocking->ops.terminate(blocking->ctx));
	}
	return result;
}

/** Writes the context anew; what the driver keeps in private_data stays. */
static void fill_ctx(struct blocking *blocking, const struct bdus_device_info *info,
		     void *private_data)
{
	const struct bdus_ctx filled = {
		.id = info->id,
		.path = blocking->path,
		.ops = &blocking->ops,
		.attrs = &blocking->attrs,
		.is_rerun = blocking->is_rerun,
		.private_data = private_data,
		.major = info->major,
		.minor = info->minor,
	};

	snprintf(blocking->path, sizeof(blocking->path), "%s", info->path);
	memcpy(blocking->ctx, &filled, sizeof(filled));
}

static int created(void *opaque, struct bdus_device *device, const struct bdus_device_attrs *attrs,
		   const struct bdus_device_info *info)
{
	struct blocking *const blocking = opaque;
	int result;

	blocking->device = device;
	blocking->ctx = malloc(sizeof(*blocking->ctx));
	if (blocking->ctx == NULL)
		return base_error(ENOMEM, "no memory for the driver's context");
	bdus_blocking_adjust(&blocking->ops, attrs, &blocking->attrs);
	fill_ctx(blocking, info, blocking->private_data);
	log_attrs(blocking);
	if (blocking->ops.initialize != NULL) {
		log_call(blocking, "initialize()");
		result = life_result("initialize", blocking->ops.initialize(blocking->ctx));
		if (result < 0)
			return result;
	}
	blocking->initialized = true;
	return 0;
}

static int available(const struct bdus_device_info *info, void *opaque)
{
	struct blocking *const blocking = opaque;

	fill_ctx(blocking, info, blocking->ctx->private_data);
	if (blocking->ops.on_device_available == NULL) {
		printf("%s\n", blocking->ctx->path);
		fflush(stdout);
		return 0;
	}
	log_call(blocking, "on_device_available()");
	return life_result("on_device_available", blocking->ops.on_device_available(blocking->ctx));
}

static void set_log_level(void *opaque, uint32_t level)
{
	struct blocking *const blocking = opaque;

	atomic_store_explicit(&blocking->log, level >= BDUS_LOG_DEBUG, memory_order_relaxed);
}

static const struct bdus_driver blocking_driver = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "blocking",
	.summary = "callbacks of the BDUS 0.1 API",
	.open = open_blocking,
	.close = close_blocking,
	.handle = handle,
};

static void init(struct blocking *blocking, const struct bdus_ops *ops,
		 const struct bdus_attrs *attrs, void *private_data)
{
	*blocking = (struct blocking){
		.ops = *ops,
		.attrs = *attrs,
		.original_attrs = *attrs,
		.private_data = private_data,
		.log = attrs->log,
	};
}

static struct bdus_run_config configure(struct blocking *blocking)
{
	const struct bdus_attrs *const attrs = &blocking->attrs;

	return (struct bdus_run_config){
		.driver = &blocking_driver,
		.instance = blocking,
		.transport = getenv("BDUS_TRANSPORT"),
		.block_device_only = true,
		.daemonize = !attrs->dont_daemonize,
		.created = created,
		.available = available,
		.set_log_level = set_log_level,
		.log_level = attrs->log ? BDUS_LOG_DEBUG : BDUS_LOG_ERRORS,
		.opaque = blocking,
	};
}

int bdus_blocking_run(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		      void *private_data)
{
	struct bdus_run_config config;
	struct blocking blocking;
	int result = bdus_blocking_check(ops, attrs);

	if (result < 0)
		return result;
	init(&blocking, ops, attrs, private_data);
	config = configure(&blocking);
	result = bdus_run_driver(&config);
	free(blocking.ctx);
	return result;
}

/** What can be refused before a driver that lives is asked to end. */
static int check_fit(const struct bdus_device_info *info, const struct blocking *blocking)
{
	struct bdus_device_attrs attrs;
	int result;

	bdus_blocking_describe(&blocking->ops, &blocking->attrs, &attrs);
	result = bdus_attrs_complete("driver blocking", &attrs);
	return result < 0 ? result : bdus_takeover_match("blocking", info, attrs.ops, &attrs);
}

int bdus_blocking_rerun(uint64_t id, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
			void *private_data)
{
	struct bdus_run_config config;
	struct bdus_device_info info;
	struct blocking blocking;
	int result = bdus_manage_find_id(id, &info);

	if (result < 0)
		return result;
	init(&blocking, ops, attrs, private_data);
	result = bdus_blocking_inherit(&info, &blocking.attrs);
	if (result == 0)
		result = bdus_blocking_check(ops, &blocking.attrs);
	if (result == 0)
		result = check_fit(&info, &blocking);
	if (result < 0)
		return result;
	blocking.is_rerun = true;
	config = configure(&blocking);
	config.transport = NULL;
	config.takes_over = true;
	config.device_id = id;
	config.rerun_deadline_ns = base_deadline_ns(BDUS_RERUN_TIMEOUT_MS);
	result = bdus_run_driver(&config);
	free(blocking.ctx);
	return result;
}
