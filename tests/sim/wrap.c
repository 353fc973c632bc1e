/* SPDX-License-Identifier: MIT */
/*
 * The wrapping driver. There is one at a time in the process, since `open` is told of nothing but
 * options, and these are the inner driver's.
 */
#include "wrap.h"

#include "base/bits.h"
#include "scramble.h"

#include <bdus/thread.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static struct {
	struct wrap_setup setup;
	struct bdus_driver made;
	void *inner;
	bool open;
	pthread_t opener;
	struct bdus_device_attrs attrs;
	struct scramble *scramble;
	atomic_uint in_handle;
	atomic_uint flushes;
} wrap;

/* ---- what the engine asks for --------------------------------------------------------------- */

static void expect(bool condition, const struct bdus_request *request, const char *what)
{
	if (!condition)
		sim_fail(wrap.setup.world,
			 "the driver was given a request that it must not see: %s, offset %llu, "
			 "length %llu, flags %#x: %s",
			 bdus_op_name(request->op), (unsigned long long)request->offset_bytes,
			 (unsigned long long)request->length_bytes, request->flags, what);
}

static uint64_t longest(unsigned op)
{
	const struct bdus_device_attrs *const attrs =
		wrap.setup.is_translated ? &wrap.attrs : &wrap.setup.world->attrs;
	uint64_t limit = 0;

	if (op == BDUS_OP_READ || op == BDUS_OP_WRITE)
		limit = attrs->max_transfer_bytes;
	else if (op == BDUS_OP_WRITE_ZEROS)
		limit = attrs->max_write_zeros_bytes;
	else if (op == BDUS_OP_DISCARD || op == BDUS_OP_SECURE_ERASE)
		limit = attrs->max_discard_bytes;
	return limit != 0 ? limit : UINT64_MAX;
}

static void watch_range(const struct bdus_request *request)
{
	const uint64_t mask = wrap.setup.world->attrs.logical_block_size - 1;

	if (request->op == BDUS_OP_FLUSH)
		return;
	expect(request->length_bytes > 0, request, "it is empty");
	expect(((request->offset_bytes | request->length_bytes) & mask) == 0, request,
	       "it is not aligned");
	expect(base_range_within(request->offset_bytes, request->length_bytes,
				 wrap.attrs.size_bytes),
	       request, "it ends past the device");
	expect(request->length_bytes <= longest(request->op), request,
	       "it is longer than the device takes");
	if (request->op == BDUS_OP_READ || request->op == BDUS_OP_WRITE)
		expect(request->data != NULL && ((uintptr_t)request->data & mask) == 0, request,
		       "its payload is missing or not aligned");
	if (request->op == BDUS_OP_EXTENTS)
		expect(request->extents != NULL && request->extent_capacity > 0, request,
		       "there is no room for the answer");
}

static void watch_flags(const struct bdus_request *request)
{
	const bool fua = request->flags & BDUS_REQUEST_FUA;

	expect(!fua || (wrap.attrs.flags & BDUS_DEVICE_FUA) ||
		       !(wrap.attrs.ops & BDUS_OP_BIT(BDUS_OP_FLUSH)),
	       request, "it has FUA, which the driver left to the engine");
	expect(request->driver_data == NULL, request, "driver_data does not start NULL");
	expect(!(wrap.attrs.flags & BDUS_DEVICE_READ_ONLY) ||
		       (request->op != BDUS_OP_WRITE && request->op != BDUS_OP_WRITE_ZEROS &&
			request->op != BDUS_OP_DISCARD && request->op != BDUS_OP_SECURE_ERASE),
	       request, "the device is read-only");
}

static void watch(const struct bdus_request *request)
{
	const int queue = sim_owned_queue();

	sim_trace(wrap.setup.world, &(struct sim_trace_line){
					    .kind = SIM_TRACE_DRIVER_TAKES,
					    .number = 1,
					    .queue = (uint8_t)(queue >= 0 ? queue : 0),
					    .op = request->op,
					    .flags = request->flags,
					    .offset_bytes = request->offset_bytes,
					    .length_bytes = request->length_bytes,
				    });
	expect(wrap.open, request, "the driver is not open");
	expect(request->op < BDUS_OP_COUNT && (wrap.attrs.ops & BDUS_OP_BIT(request->op)), request,
	       "the driver does not take it");
	watch_range(request);
	watch_flags(request);
}

/* ---- failures ------------------------------------------------------------------------------- */

/** The failure that is due to @request, counted; 0 for none. */
static int due_failure(const struct bdus_request *request)
{
	struct sim_world *const world = wrap.setup.world;
	const uint64_t dice = sim_mix(
		wrap.setup.seed + atomic_fetch_add(&wrap.flushes, request->op == BDUS_OP_FLUSH));

	if (request->op != BDUS_OP_FLUSH)
		return -sim_bad_spot(world, request->op, request->offset_bytes,
				     request->length_bytes);
	if (dice % 100 >= wrap.setup.flush_failures_percent)
		return 0;
	atomic_fetch_add(&world->flushes_failed, 1);
	return -EIO;
}

static void draw_bad_spots(void)
{
	static const int errors[] = {EIO,     ENOSPC, EOPNOTSUPP, ETIMEDOUT,
				     ENOLINK, EAGAIN, EBADF,      ENOMEM};
	const uint64_t block = wrap.attrs.logical_block_size;
	struct sim_world *const world = wrap.setup.world;
	struct sim_random random;

	sim_random_init(&random, wrap.setup.seed, UINT64_C(0xbad));
	world->spot_count = (unsigned)base_min(wrap.setup.bad_spots, SIM_BAD_SPOTS_MAX);
	for (unsigned i = 0; i < world->spot_count; i++) {
		const uint64_t blocks = base_min(wrap.attrs.size_bytes / block, 2048);

		world->spots[i] = (struct sim_bad_spot){
			.offset_bytes = block * sim_random_below(&random, blocks),
			.length_bytes = block * sim_random_between(&random, 1, 4),
			.ops = (uint32_t)sim_random_next(&random),
			.errnum = errors[sim_random_below(&random, BASE_ARRAY_LENGTH(errors))],
		};
	}
}

/* ---- the driver ----------------------------------------------------------------------------- */

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	if (limit == 0)
		return value;
	return value == 0 ? limit : base_min(value, limit);
}

static void change_attrs(struct bdus_device_attrs *attrs)
{
	const struct wrap_setup *const setup = &wrap.setup;

	attrs->ops &= setup->ops_mask;
	attrs->flags = (attrs->flags & setup->flags_mask) | setup->more_flags;
	attrs->queues = (uint32_t)at_most(attrs->queues, setup->queues);
	attrs->queue_depth = (uint32_t)at_most(attrs->queue_depth, setup->queue_depth);
	attrs->max_concurrency = (uint32_t)at_most(attrs->max_concurrency, setup->max_concurrency);
	attrs->max_transfer_bytes =
		(uint32_t)at_most(attrs->max_transfer_bytes, setup->max_transfer_bytes);
	attrs->max_write_zeros_bytes =
		at_most(attrs->max_write_zeros_bytes, setup->max_write_zeros_bytes);
	attrs->max_discard_bytes = at_most(attrs->max_discard_bytes, setup->max_discard_bytes);
}

static int serve(void *opaque, struct bdus_request *request)
{
	const int failure = due_failure(request);

	(void)opaque;
	return failure != 0 ? failure : wrap.setup.inner->handle(wrap.inner, request);
}

static int wrap_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		     void **instance)
{
	int result;

	if (wrap.setup.open_errno != 0)
		return bdus_config_error(wrap.setup.open_errno,
					 "the driver fails to open, as it was told");
	result = wrap.setup.inner->open(config, attrs, &wrap.inner);
	if (result < 0)
		return result;
	change_attrs(attrs);
	wrap.attrs = *attrs;
	if (wrap.attrs.logical_block_size == 0)
		wrap.attrs.logical_block_size = 512;
	wrap.setup.world->driver_ops = attrs->ops;
	wrap.setup.world->driver_flags = attrs->flags;
	draw_bad_spots();
	wrap.opener = pthread_self();
	wrap.open = true;
	if (wrap.setup.style == WRAP_SCRAMBLED)
		wrap.scramble =
			scramble_create(wrap.setup.seed,
					(unsigned)base_min(attrs->max_concurrency, 2), serve, NULL);
	*instance = &wrap;
	return 0;
}

static int wrap_close(void *instance)
{
	struct sim_world *const world = wrap.setup.world;

	if (instance != &wrap || !wrap.open || !pthread_equal(wrap.opener, pthread_self()))
		sim_fail(world, "close() of what is not open, or on another thread than open()");
	if (atomic_load(&wrap.in_handle) != 0)
		sim_fail(world, "close() while a request is being handled");
	wrap.open = false;
	if (wrap.scramble != NULL && scramble_destroy(wrap.scramble) != 0)
		sim_fail(world, "close() while requests are waiting in the driver");
	wrap.scramble = NULL;
	return wrap.setup.inner->close != NULL ? wrap.setup.inner->close(wrap.inner) : 0;
}

static void wrap_submit(void *instance, struct bdus_request *request)
{
	int failure;

	(void)instance;
	watch(request);
	expect(sim_owned_queue() >= 0, request, "submit() outside the thread of a queue");
	if (wrap.scramble != NULL) {
		scramble_submit(wrap.scramble, request);
		return;
	}
	if (wrap.setup.inner->handle != NULL) {
		bdus_complete(request, serve(NULL, request));
		return;
	}
	failure = due_failure(request);
	if (failure != 0)
		bdus_complete(request, failure);
	else
		wrap.setup.inner->submit(wrap.inner, request);
}

/** Blocks now and then, so that an elastic pool has a reason to grow. */
static void loiter(const struct bdus_request *request)
{
	if (wrap.setup.handle_us > 0)
		usleep(wrap.setup.handle_us);
	else if (sim_mix(request->offset_bytes ^ wrap.setup.seed) % 128 == 0)
		usleep(100);
}

static int wrap_handle(void *instance, struct bdus_request *request)
{
	const unsigned others = atomic_fetch_add(&wrap.in_handle, 1);
	int result;

	(void)instance;
	watch(request);
	expect(others < wrap.attrs.max_concurrency, request, "more calls at once than allowed");
	if (wrap.attrs.max_concurrency == 1)
		expect(pthread_equal(wrap.opener, pthread_self()), request,
		       "handle() of a driver for one call at a time, outside the main thread");
	loiter(request);
	result = serve(NULL, request);
	atomic_fetch_sub(&wrap.in_handle, 1);
	return result;
}

/** Gives way to other requests in several ways, of which each may put this one behind them. */
static void wait_somehow(const struct bdus_request *request)
{
	const uint64_t dice = sim_mix(request->offset_bytes ^ wrap.setup.seed) % 64;
	static __thread uthread_mutex_t mutex = UTHREAD_MUTEX_INITIALIZER;
	struct asys_message message;

	if (dice < 16)
		uthread_yield();
	else if (dice == 16)
		uthread_sleep_ms(1);
	else if (dice < 24) {
		asys_prep_nop(&message);
		uthread_asys_call(&message);
	} else if (dice < 32) {
		uthread_mutex_lock(&mutex);
		uthread_yield();
		uthread_mutex_unlock(&mutex);
	}
}

/** Owner: a userland thread on the loop of the request's queue. */
static int wrap_thread(void *instance, struct bdus_request *request)
{
	int result;

	(void)instance;
	watch(request);
	expect(sim_owned_queue() >= 0, request, "a thread outside the thread of a queue");
	expect(uthread_self() != 0, request, "a thread that is none");
	atomic_fetch_add(&wrap.in_handle, 1);
	wait_somehow(request);
	result = serve(NULL, request);
	atomic_fetch_sub(&wrap.in_handle, 1);
	return result;
}

const struct bdus_driver *wrap_driver(const struct wrap_setup *setup)
{
	const bool blocking = setup->style == WRAP_AS_IS && setup->inner->handle != NULL;

	const bool threaded = setup->style == WRAP_THREADED;

	memset(&wrap, 0, sizeof(wrap));
	wrap.setup = *setup;
	wrap.made = (struct bdus_driver){
		.abi = BDUS_DRIVER_ABI,
		.size = sizeof(struct bdus_driver),
		.name = setup->inner->name,
		.summary = setup->inner->summary,
		.options = setup->inner->options,
		.open = wrap_open,
		.close = wrap_close,
		.submit = blocking || threaded ? NULL : wrap_submit,
		.handle = blocking ? wrap_handle : NULL,
		.thread = threaded ? wrap_thread : NULL,
	};
	return &wrap.made;
}

bool wrap_is_open(void)
{
	return wrap.open;
}
