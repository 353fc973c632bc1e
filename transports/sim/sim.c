/* SPDX-License-Identifier: MIT */
/*
 * The simulated way in: a client in the same process that makes random requests from a seed, checks
 * every answer, and holds the engine to its side of the transport contract.
 *
 * Life of a queue; a sweep reads the whole device, and only queue 0 does it:
 *
 *	first sweep ──▶ random ──▶ last sweep ──▶ ended ──▶ gone (fetch returns -ENODEV)
 *	     └─────────────┴────────────┴────────────▲
 *	       stop, a failure, or a loss of power
 *
 * The requests of a queue depend on the seed and the queue alone; when they are issued also depends
 *on `timing` and on when others complete. A request that must not overlap one in flight waits, and
 * those behind it with it.
 */
#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "sim_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SWEEP_BYTES (UINT64_C(128) << 10)
/** Stands in a buffer before a read fills it; the stamp of no write. */
#define STAMP_UNREAD UINT64_C(0xfeedfacefeedface)
/** How long a client that waits for others sleeps before it looks again. */
#define LOOK_AGAIN_MS 1
/** Payload of a request whose length makes no sense. */
#define ODD_PAYLOAD_BYTES 4096

static _Thread_local struct sim_world *next_world;
static _Thread_local const struct bdus_transport_queue *owned_queue;

void sim_use_world(struct sim_world *world)
{
	next_world = world;
}

int sim_owned_queue(void)
{
	return owned_queue != NULL ? (int)owned_queue->index : -1;
}

static void expect(struct sim_world *world, bool condition, const char *what)
{
	if (!condition)
		sim_fail(world, "the engine broke the transport contract: %s", what);
}

static int fail_on_purpose(const char *step)
{
	return base_error(SIM_FAILURE_ERRNO, "the simulation fails in %s, as it was told", step);
}

/* ---- the device ---------------------------------------------------------------------------- */

static const struct bdus_option options[] = {
	{.key = "seed",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "1",
	 .help = "where requests come from"},
	{.key = "operations",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "2000",
	 .help = "random requests, over all queues"},
	{.key = "queues",
	 .kind = BDUS_OPTION_NUMBER,
	 .minimum = 1,
	 .maximum = SIM_QUEUES_MAX,
	 .help = "most queues"},
	{.key = "depth",
	 .kind = BDUS_OPTION_NUMBER,
	 .minimum = 1,
	 .maximum = 4096,
	 .help = "most requests in flight in a queue"},
	{.key = "max-transfer",
	 .kind = BDUS_OPTION_SIZE,
	 .minimum = 4096,
	 .maximum = UINT32_MAX,
	 .help = "lower the largest transfer to this"},
	{.key = "max-zeros",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "lower the largest write zeros to this"},
	{.key = "max-discard",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "lower the largest discard to this"},
	{.key = "max-request",
	 .kind = BDUS_OPTION_SIZE,
	 .fallback = "256K",
	 .minimum = 4096,
	 .maximum = UINT32_MAX,
	 .help = "largest random transfer, but for the edges of splitting"},
	{.key = "mix",
	 .kind = BDUS_OPTION_CHOICE,
	 .fallback = "even",
	 .choices = "even reads writes holes",
	 .help = "which operations there are most of"},
	{.key = "overlap",
	 .kind = BDUS_OPTION_BOOL,
	 .fallback = "yes",
	 .help = "whether requests in flight may overlap"},
	{.key = NULL},
};

static void sim_probe(struct bdus_transport_report *report)
{
	static const enum bdus_feature carried[] = {
		BDUS_FEATURE_READ_ONLY,
		BDUS_FEATURE_FLUSH,
		BDUS_FEATURE_FUA,
		BDUS_FEATURE_DISCARD,
		BDUS_FEATURE_WRITE_ZEROS,
		BDUS_FEATURE_SECURE_ERASE,
		BDUS_FEATURE_EXTENTS,
		BDUS_FEATURE_CACHE,
		BDUS_FEATURE_MULTI_QUEUE,
		BDUS_FEATURE_UNPRIVILEGED,
		BDUS_FEATURE_NO_PARTITION_SCAN,
		BDUS_FEATURE_ZONES,
	};

	report->usable = true;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(carried); i++)
		report->features[carried[i]].supported = true;
}

static enum sim_mix parse_mix(const char *word)
{
	static const char *const words[] = {
		[SIM_MIX_EVEN] = "even",
		[SIM_MIX_READS] = "reads",
		[SIM_MIX_WRITES] = "writes",
		[SIM_MIX_HOLES] = "holes",
	};

	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(words); i++) {
		if (strcmp(word, words[i]) == 0)
			return (enum sim_mix)i;
	}
	return SIM_MIX_EVEN;
}

static uint64_t lowered(const struct bdus_config *config, const char *key, uint64_t value,
			uint64_t unit)
{
	const uint64_t limit = bdus_config_number(config, key);

	if (!bdus_config_given(config, key) || (value != 0 && value <= limit))
		return value;
	return base_max(limit - limit % unit, unit);
}

static void lower_attrs(struct bdus_device_attrs *attrs, const struct bdus_config *config)
{
	const uint64_t unit = attrs->physical_block_size;

	attrs->queues =
		(uint32_t)base_min(lowered(config, "queues", attrs->queues, 1), SIM_QUEUES_MAX);
	attrs->queue_depth = (uint32_t)lowered(config, "depth", attrs->queue_depth, 1);
	attrs->max_transfer_bytes =
		(uint32_t)lowered(config, "max-transfer", attrs->max_transfer_bytes, unit);
	attrs->max_write_zeros_bytes =
		lowered(config, "max-zeros", attrs->max_write_zeros_bytes, unit);
	attrs->max_discard_bytes = lowered(config, "max-discard", attrs->max_discard_bytes, unit);
}

static void device_init(struct bdus_transport_device *device, struct sim_world *world,
			const struct bdus_transport_setup *setup)
{
	const struct bdus_config *const config = setup->options;

	lower_attrs(setup->attrs, config);
	*device = (struct bdus_transport_device){
		.world = world,
		.attrs = *setup->attrs,
		.native_ops = setup->native_ops,
		.id = setup->id,
		.main = pthread_self(),
		.seed = bdus_config_number(config, "seed"),
		.operations = bdus_config_number(config, "operations"),
		.max_request_bytes = bdus_config_number(config, "max-request"),
		.mix = parse_mix(bdus_config_string(config, "mix")),
		.overlap = bdus_config_bool(config, "overlap"),
		.busy_queues = setup->attrs->queues,
		.swept = !world->sweep_first,
	};
	world->attrs = device->attrs;
	base_list_init(&device->in_flight);
	if (world->zones != NULL)
		sim_zones_set_limits(world->zones, &device->attrs);
	if (world->model != NULL)
		sim_model_set_volatile_cache(world->model,
					     setup->native_ops & BDUS_OP_BIT(BDUS_OP_FLUSH));
}

static int sim_create(const struct bdus_transport_setup *setup,
		      struct bdus_transport_device **device)
{
	struct sim_world *const world = next_world;
	struct bdus_transport_device *made;

	if (world == NULL)
		return base_error(EINVAL, "no world was named for the simulation");
	expect(world, setup->native_ops == world->driver_ops,
	       "create() was told of other operations than the driver has");
	if (world->failure_point == SIM_FAIL_CREATE)
		return fail_on_purpose("create");
	made = malloc(sizeof(*made));
	if (made == NULL)
		return base_error(ENOMEM, "no memory for a simulated device");
	device_init(made, world, setup);
	world->devices++;
	world->generation++;
	*device = made;
	return 0;
}

static int sim_start(struct bdus_transport_device *device)
{
	struct sim_world *const world = device->world;

	expect(world, pthread_equal(device->main, pthread_self()), "start() outside main");
	expect(world, !device->started, "start() was called twice");
	pthread_mutex_lock(&world->lock);
	expect(world, device->open_queues == device->attrs.queues,
	       "start() before every queue was open");
	pthread_mutex_unlock(&world->lock);
	if (world->failure_point == SIM_FAIL_START)
		return fail_on_purpose("start");
	device->started = true;
	return 0;
}

static int sim_start_result(struct bdus_transport_device *device)
{
	struct sim_world *const world = device->world;

	expect(world, pthread_equal(device->main, pthread_self()), "start_result() outside main");
	expect(world, device->started, "start_result() before start()");
	expect(world, !world->available, "start_result() after it gave an answer");
	if (device->start_results++ < device->seed % 3)
		return 0;
	if (world->failure_point == SIM_FAIL_START_RESULT)
		return fail_on_purpose("start_result");
	world->available = true;
	return 1;
}

static void sim_describe(struct bdus_transport_device *device, struct bdus_device_info *info)
{
	snprintf(info->path, sizeof(info->path), "sim:%llu", (unsigned long long)device->seed);
}

static int sim_stop(struct bdus_transport_device *device)
{
	struct sim_world *const world = device->world;

	expect(world, pthread_equal(device->main, pthread_self()), "stop() outside main");
	pthread_mutex_lock(&world->lock);
	expect(world, !device->stopping, "stop() was called twice");
	device->stopping = true;
	world->stopped = true;
	if (device->terminating)
		world->stop_delay_ms = (base_now_ns() - device->terminated_ns) / 1000000U;
	pthread_mutex_unlock(&world->lock);
	sim_trace(world, &(struct sim_trace_line){.kind = SIM_TRACE_STOP_IS_ASKED});
	return 0;
}

static int sim_destroy(struct bdus_transport_device *device)
{
	if (device == NULL)
		return 0;
	expect(device->world, pthread_equal(device->main, pthread_self()),
	       "destroy() outside main");
	expect(device->world, device->open_queues == 0, "destroy() before every queue was closed");
	expect(device->world, device->in_flight_count == 0, "destroy() with requests in flight");
	device->world->devices--;
	free(device);
	return 0;
}

/* ---- slots --------------------------------------------------------------------------------- */

static int slots_init(struct bdus_transport_queue *queue)
{
	const unsigned depth = queue->device->attrs.queue_depth;

	queue->slots = calloc(depth, sizeof(*queue->slots));
	if (queue->slots == NULL)
		return base_error(ENOMEM, "no memory for %u simulated requests", depth);
	for (unsigned i = 0; i < depth; i++) {
		bdus_io_init(&queue->slots[i].io);
		base_list_init(&queue->slots[i].link);
		queue->slots[i].next_free = queue->free_slots;
		queue->free_slots = &queue->slots[i];
	}
	return 0;
}

static bool carries_data(const struct sim_plan *plan)
{
	return plan->op == BDUS_OP_READ || plan->op == BDUS_OP_WRITE ||
	       plan->op == BDUS_OP_ZONE_APPEND;
}

/** Exactly as much memory as the request needs, so that one byte more is noticed. */
static void slot_allocate(struct sim_slot *slot)
{
	const struct sim_plan *const plan = &slot->plan;
	const size_t bytes =
		plan->expectation == SIM_EXPECT_BAD_RANGE ? ODD_PAYLOAD_BYTES : plan->length_bytes;

	slot->payload = NULL;
	slot->extents = NULL;
	slot->zones = NULL;
	if (carries_data(plan) && posix_memalign(&slot->payload, 4096, bytes) != 0)
		abort();
	if (plan->op == BDUS_OP_EXTENTS) {
		slot->extents = malloc(plan->extent_capacity * sizeof(*slot->extents));
		if (slot->extents == NULL)
			abort();
	}
	if (plan->zone_capacity > 0) {
		slot->zones = calloc(plan->zone_capacity, sizeof(*slot->zones));
		if (slot->zones == NULL)
			abort();
	}
}

static void slot_fill(const struct sim_world *world, struct sim_slot *slot)
{
	const struct sim_plan *const plan = &slot->plan;

	if (!carries_data(plan) || plan->expectation == SIM_EXPECT_BAD_RANGE)
		return;
	if (world->zones != NULL)
		sim_zones_fill(world->zones, slot);
	else
		sim_model_fill(world->model, slot->payload, plan->offset_bytes, plan->length_bytes,
			       plan->op == BDUS_OP_WRITE ? slot->stamp : STAMP_UNREAD);
}

static void slot_prepare(struct bdus_transport_queue *queue, struct sim_slot *slot)
{
	struct bdus_io *const io = &slot->io;

	slot->stamp = ((uint64_t)queue->device->world->generation & 0xff) << 40 |
		      (uint64_t)queue->index << 32 | (slot->number + 1);
	slot_allocate(slot);
	slot_fill(queue->device->world, slot);
	bdus_io_prepare(io, (enum bdus_op)slot->plan.op, slot->plan.flags, slot->plan.offset_bytes,
			slot->plan.length_bytes, slot->payload);
	io->request.extents = slot->extents;
	io->request.extent_capacity = slot->extents != NULL ? slot->plan.extent_capacity : 0;
	io->request.extent_count = 0;
	io->request.zones = slot->zones;
	io->request.zone_capacity = slot->zones != NULL ? slot->plan.zone_capacity : 0;
	io->request.zone_count = 0;
	io->result = 1;
}

static void trace_slot(struct bdus_transport_queue *queue, const struct sim_slot *slot,
		       enum sim_trace_kind kind)
{
	sim_trace(queue->device->world, &(struct sim_trace_line){
						.kind = (uint8_t)kind,
						.queue = (uint8_t)queue->index,
						.number = slot->number,
						.op = slot->plan.op,
						.flags = slot->plan.flags,
						.offset_bytes = slot->plan.offset_bytes,
						.length_bytes = slot->plan.length_bytes,
						.result = slot->io.result,
					});
}

/* ---- issuing; the world's lock is held ------------------------------------------------------ */

static bool plans_overlap(const struct sim_plan *one, const struct sim_plan *other)
{
	return (sim_op_writes(one->op) || sim_op_writes(other->op)) &&
	       one->offset_bytes < other->offset_bytes + other->length_bytes &&
	       other->offset_bytes < one->offset_bytes + one->length_bytes;
}

/** Whether the queue's plan may be issued beside what is in flight in all queues. */
static bool plan_is_admitted(struct bdus_transport_queue *queue)
{
	struct bdus_transport_device *const device = queue->device;
	struct sim_plan *const plan = &queue->plan;

	if (plan->expectation != SIM_EXPECT_SERVICE || plan->op == BDUS_OP_FLUSH)
		return true;
	if (device->world->zones != NULL)
		return sim_zones_admit(device->world->zones, plan);
	if (!device->overlap) {
		base_list_for_each (link, &device->in_flight) {
			if (plans_overlap(plan,
					  &base_list_entry(link, struct sim_slot, link)->plan))
				return false;
		}
	}
	return device->world->model == NULL || !sim_op_writes(plan->op) ||
	       sim_model_has_room(device->world->model, plan->offset_bytes, plan->length_bytes);
}

static void issue(struct bdus_transport_queue *queue, struct sim_slot *slot)
{
	struct bdus_transport_device *const device = queue->device;

	slot->issued_to_engine = true;
	sim_begin(device, slot);
	if (slot->plan.expectation == SIM_EXPECT_SERVICE && slot->plan.op != BDUS_OP_FLUSH)
		base_list_push_back(&device->in_flight, &slot->link);
	device->in_flight_count++;
	device->world->requests++;
	device->world->max_in_flight =
		(unsigned)base_max(device->world->max_in_flight, device->in_flight_count);
	queue->in_flight++;
	trace_slot(queue, slot, SIM_TRACE_CLIENT_ISSUES);
}

/** Whether clients have no more to ask, whatever was planned. */
static bool must_end(const struct bdus_transport_device *device)
{
	return device->stopping || device->fetch_failed || sim_has_failed(device->world) ||
	       atomic_load(&device->world->power_failed);
}

static void plan_sweep(struct bdus_transport_queue *queue)
{
	const uint64_t size = queue->device->attrs.size_bytes;
	const struct sim_zones *const zones = queue->device->world->zones;

	if (zones != NULL) {
		queue->has_plan = sim_zones_plan_sweep(zones, queue->sweep_step, &queue->plan);
		queue->sweep_step++;
		return;
	}
	queue->plan = (struct sim_plan){
		.op = BDUS_OP_READ,
		.offset_bytes = queue->sweep_bytes,
		.length_bytes = base_min(SWEEP_BYTES, size - queue->sweep_bytes),
	};
	queue->sweep_bytes += queue->plan.length_bytes;
	queue->has_plan = true;
}

static bool sweep_is_over(const struct bdus_transport_queue *queue)
{
	struct sim_plan none;

	if (queue->device->world->zones != NULL)
		return !sim_zones_plan_sweep(queue->device->world->zones, queue->sweep_step, &none);
	return queue->device->world->model == NULL ||
	       queue->sweep_bytes == queue->device->attrs.size_bytes;
}

static void begin_phase(struct bdus_transport_queue *queue, enum sim_phase phase)
{
	queue->phase = phase;
	queue->sweep_bytes = 0;
	queue->sweep_step = 0;
}

static void plan_in_first_sweep(struct bdus_transport_queue *queue)
{
	struct bdus_transport_device *const device = queue->device;

	if (queue->index == 0 && !device->swept && !sweep_is_over(queue)) {
		plan_sweep(queue);
		return;
	}
	if (queue->index == 0 && queue->in_flight == 0)
		device->swept = true;
	if (device->swept)
		begin_phase(queue, SIM_PHASE_RANDOM);
}

static void plan_in_random(struct bdus_transport_queue *queue)
{
	struct bdus_transport_device *const device = queue->device;

	if (queue->planned < queue->quota) {
		queue->planned++;
		queue->has_plan = true;
		sim_plan_random(queue, &queue->plan);
	} else if (queue->in_flight == 0 && !device->terminating) {
		device->busy_queues--;
		begin_phase(queue, queue->index == 0 ? SIM_PHASE_LAST_SWEEP : SIM_PHASE_ENDED);
	}
}

static void plan_in_last_sweep(struct bdus_transport_queue *queue)
{
	if (queue->device->busy_queues > 0)
		return;
	if (!sweep_is_over(queue))
		plan_sweep(queue);
	else if (queue->in_flight == 0)
		queue->phase = SIM_PHASE_ENDED;
}

/** Makes up the next request, if there is one to be made just now. */
static void plan_next(struct bdus_transport_queue *queue)
{
	if (must_end(queue->device)) {
		queue->has_plan = false;
		queue->phase = SIM_PHASE_ENDED;
		return;
	}
	for (enum sim_phase before = SIM_PHASE_ENDED; !queue->has_plan && before != queue->phase;) {
		before = queue->phase;
		if (queue->phase == SIM_PHASE_FIRST_SWEEP)
			plan_in_first_sweep(queue);
		else if (queue->phase == SIM_PHASE_RANDOM)
			plan_in_random(queue);
		else if (queue->phase == SIM_PHASE_LAST_SWEEP)
			plan_in_last_sweep(queue);
	}
}

/** Changes, now and then, how many requests the client keeps in flight. */
static void change_mood(struct bdus_transport_queue *queue)
{
	if (!sim_random_chance(&queue->timing, 2))
		return;
	queue->wanted = 1;
	if (sim_random_chance(&queue->timing, 70))
		queue->wanted = (unsigned)sim_random_between(&queue->timing, 1,
							     queue->device->attrs.queue_depth);
}

static void ask_to_end(struct bdus_transport_device *device)
{
	struct sim_world *const world = device->world;

	if (device->terminating || world->terminate_at == 0 ||
	    world->requests < world->terminate_at || !world->available)
		return;
	device->terminating = true;
	device->terminated_ns = base_now_ns();
	kill(getpid(), SIGTERM);
}

/** Takes a slot for the queue's plan if that may be issued now. */
static struct sim_slot *take_slot(struct bdus_transport_queue *queue)
{
	struct sim_slot *const slot = queue->free_slots;

	if (slot == NULL || queue->in_flight >= queue->wanted)
		return NULL;
	plan_next(queue);
	if (!queue->has_plan || !plan_is_admitted(queue))
		return NULL;
	queue->has_plan = false;
	queue->free_slots = slot->next_free;
	slot->plan = queue->plan;
	slot->number = queue->device->world->requests;
	return slot;
}

static unsigned issue_some(struct bdus_transport_queue *queue, struct bdus_io **ios,
			   unsigned capacity)
{
	struct bdus_transport_device *const device = queue->device;
	const unsigned most =
		(unsigned)sim_random_between(&queue->timing, 1, base_min(capacity, 32));
	unsigned count = 0;

	change_mood(queue);
	while (count < most) {
		struct sim_slot *const slot = take_slot(queue);

		if (slot == NULL)
			break;
		slot_prepare(queue, slot);
		issue(queue, slot);
		ios[count++] = &slot->io;
	}
	ask_to_end(device);
	return count;
}

/* ---- a queue ------------------------------------------------------------------------------- */

static void on_look(struct bdus_call *call);

static int sim_open_queue(struct bdus_transport_device *device, unsigned index,
			  struct bdus_queue *host, struct bdus_transport_queue **made)
{
	struct sim_world *const world = device->world;
	struct bdus_transport_queue *queue;
	int result;

	expect(world, index < device->attrs.queues, "open_queue() of a queue too many");
	expect(world, index != 0 || pthread_equal(device->main, pthread_self()),
	       "open_queue() of queue 0 outside main");
	expect(world, owned_queue == NULL, "one thread owns two queues");
	if (world->failure_point == SIM_FAIL_OPEN_QUEUE &&
	    world->failure_at % device->attrs.queues == index)
		return fail_on_purpose("open_queue");
	queue = calloc(1, sizeof(*queue));
	if (queue == NULL)
		return base_error(ENOMEM, "no memory for a simulated queue");
	queue->device = device;
	queue->index = index;
	queue->host = host;
	queue->look_again.completed = on_look;
	queue->owner = pthread_self();
	queue->quota = device->operations / device->attrs.queues;
	queue->wanted = device->attrs.queue_depth;
	sim_random_init(&queue->requests, device->seed, 2 * index);
	sim_random_init(&queue->timing, device->seed, 2 * index + 1);
	result = slots_init(queue);
	if (result < 0) {
		free(queue);
		return result;
	}
	pthread_mutex_lock(&world->lock);
	device->open_queues++;
	world->queues++;
	pthread_mutex_unlock(&world->lock);
	owned_queue = queue;
	bdus_host_make_ready(host);
	*made = queue;
	return 0;
}

static void release_slot(struct bdus_transport_queue *queue, struct sim_slot *slot)
{
	slot->issued_to_engine = false;
	base_list_remove(&slot->link);
	free(slot->payload);
	free(slot->extents);
	free(slot->zones);
	slot->next_free = queue->free_slots;
	queue->free_slots = slot;
	queue->in_flight--;
	queue->device->in_flight_count--;
}

/** The engine need not answer what it fetched from a queue that then failed. */
static void abandon_slots(struct bdus_transport_queue *queue)
{
	for (unsigned i = 0; i < queue->device->attrs.queue_depth; i++) {
		struct sim_slot *const slot = &queue->slots[i];

		if (!slot->issued_to_engine)
			continue;
		sim_abandon(queue->device, slot);
		release_slot(queue, slot);
	}
}

static void sim_close_queue(struct bdus_transport_queue *queue)
{
	struct bdus_transport_device *device;

	if (queue == NULL)
		return;
	device = queue->device;
	expect(device->world, owned_queue == queue, "close_queue() outside its owner");
	bdus_loop_end_call(bdus_host_loop(queue->host), &queue->look_again);
	expect(device->world, queue->in_flight == 0 || queue->failed,
	       "close_queue() with requests in flight");
	expect(device->world, queue->gone || queue->failed || !queue->fetched,
	       "close_queue() of a running queue before fetch() said -ENODEV");
	owned_queue = NULL;
	pthread_mutex_lock(&device->world->lock);
	abandon_slots(queue);
	device->open_queues--;
	device->world->queues--;
	pthread_mutex_unlock(&device->world->lock);
	free(queue->slots);
	free(queue);
}

/** Fails once, when so many requests were made. */
static int fetch_failure(struct bdus_transport_queue *queue)
{
	struct sim_world *const world = queue->device->world;

	if (world->failure_point != SIM_FAIL_FETCH || queue->device->fetch_failed ||
	    world->requests < world->failure_at)
		return 0;
	queue->device->fetch_failed = true;
	queue->failed = true;
	return fail_on_purpose("fetch");
}

/** Whether nothing will come any more. A device that has not come yet does not go unless told to.
 */
static bool may_go(const struct bdus_transport_queue *queue)
{
	return queue->phase == SIM_PHASE_ENDED && queue->in_flight == 0 &&
	       (queue->device->world->available || queue->device->stopping);
}

/** Issues requests, or says that there will be none: one look, without waiting. */
static int fetch_now(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	struct sim_world *const world = queue->device->world;
	int result;

	pthread_mutex_lock(&world->lock);
	result = fetch_failure(queue);
	if (result == 0)
		result = (int)issue_some(queue, ios, capacity);
	if (result == 0) {
		plan_next(queue);
		if (may_go(queue))
			result = -ENODEV;
	}
	pthread_mutex_unlock(&world->lock);
	return result;
}

/** Clients that wait for others look again soon. */
static void look_again_later(struct bdus_transport_queue *queue)
{
	if (queue->looks_again)
		return;
	asys_prep_timeout(&queue->look_again.message, base_deadline_ns(LOOK_AGAIN_MS));
	queue->looks_again = bdus_loop_send(bdus_host_loop(queue->host), &queue->look_again) == 0;
}

static void on_look(struct bdus_call *call)
{
	struct bdus_transport_queue *const queue =
		base_container_of(call, struct bdus_transport_queue, look_again);

	queue->looks_again = false;
	bdus_host_make_ready(queue->host);
}

static bool check_fetch(struct bdus_transport_queue *queue, unsigned capacity)
{
	struct sim_world *const world = queue->device->world;

	expect(world, owned_queue == queue, "fetch() outside the queue's owner");
	expect(world, capacity > 0 && capacity <= BDUS_BATCH, "fetch() of 0 or too many requests");
	expect(world, !queue->gone && !queue->failed, "fetch() after it failed or said -ENODEV");
	queue->fetched = true;
	return !queue->gone && !queue->failed;
}

static int sim_fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	int result;

	if (!check_fetch(queue, capacity))
		return -ENODEV;
	result = fetch_now(queue, ios, capacity);
	if (result == -ENODEV)
		queue->gone = true;
	/* While start-up is under way, queue 0 must let the engine ask for its result. */
	else if (result > 0 || (queue->index == 0 && !queue->device->world->available))
		bdus_host_make_ready(queue->host);
	else if (result == 0)
		look_again_later(queue);
	return result;
}

static void take_back(struct bdus_transport_queue *queue, struct bdus_io *io)
{
	struct bdus_transport_device *const device = queue->device;
	struct sim_slot *const slot = base_container_of(io, struct sim_slot, io);

	if (slot < queue->slots || slot >= queue->slots + device->attrs.queue_depth) {
		sim_fail(device->world, "commit() of a request of another queue");
		return;
	}
	if (!slot->issued_to_engine) {
		sim_fail(device->world, "commit() of a request that was not fetched, or twice");
		return;
	}
	trace_slot(queue, slot, SIM_TRACE_CLIENT_IS_ANSWERED);
	sim_check_answer(device, slot);
	release_slot(queue, slot);
}

static void sim_commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
		       unsigned count)
{
	struct sim_world *const world = queue->device->world;

	expect(world, owned_queue == queue, "commit() outside the queue's owner");
	expect(world, count <= BDUS_BATCH, "commit() of too many requests");
	pthread_mutex_lock(&world->lock);
	for (unsigned i = 0; i < count; i++)
		take_back(queue, ios[i]);
	pthread_mutex_unlock(&world->lock);
	/* Answers let the client go on. */
	bdus_host_make_ready(queue->host);
}

extern const struct bdus_transport bdus_transport_sim;

const struct bdus_transport bdus_transport_sim = {
	.name = "sim",
	.summary = "random requests from a seed, in the same process",
	.options = options,
	.probe = sim_probe,
	.create = sim_create,
	.open_queue = sim_open_queue,
	.start = sim_start,
	.start_result = sim_start_result,
	.describe = sim_describe,
	.fetch = sim_fetch,
	.commit = sim_commit,
	.stop = sim_stop,
	.close_queue = sim_close_queue,
	.destroy = sim_destroy,
};
