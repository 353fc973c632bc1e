/* SPDX-License-Identifier: MIT */
/*
 * The medium under the driver "zoned". Each call that is sent also sends an empty message into the
 * loop; when that is back, one of the calls that wait is carried out, whichever.
 *
 * Owner: the thread of the device's only queue; before and after it, the one that runs the device.
 */
#include "medium.h"

#include "base/bits.h"
#include "base/checked.h"
#include "store.h"

#include <bdus/driver.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR    512
#define CALLS_MAX 1024

/** A write that no sync has covered. */
struct written {
	uint64_t offset;
	uint64_t length;
	char *data;
};

struct tick {
	struct bdus_call call;
	struct medium *medium;
	struct tick *next;
};

struct medium {
	struct store store;
	struct sim_world *world;
	struct sim_random random;
	char *cached;
	char *durable;
	struct written *log;
	size_t logged;
	size_t log_room;
	struct store_call *calls[CALLS_MAX];
	/** How much of the log each sync covers. */
	size_t covers[CALLS_MAX];
	unsigned waiting;
	struct tick ticks[CALLS_MAX];
	struct tick *free_ticks;
	uint64_t count;
	uint64_t fails_at;
	bool has_power;
};

static struct medium *next_medium;

static struct medium *medium_of(struct store *store)
{
	return base_container_of(store, struct medium, store);
}

/* ---- the cache ------------------------------------------------------------------------------- */

static void note_write(struct medium *medium, uint64_t offset, const void *data, uint64_t length)
{
	if (medium->logged == medium->log_room) {
		medium->log_room = 2 * medium->log_room + 64;
		medium->log = realloc(medium->log, medium->log_room * sizeof(*medium->log));
	}
	medium->log[medium->logged] = (struct written){offset, length, malloc(length)};
	memcpy(medium->log[medium->logged++].data, data, length);
	memcpy(medium->cached + offset, data, length);
}

static void make_durable(struct medium *medium, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct written *const written = &medium->log[i];

		memcpy(medium->durable + written->offset, written->data, written->length);
		free(written->data);
	}
	medium->logged -= count;
	if (count > 0)
		memmove(medium->log, medium->log + count, medium->logged * sizeof(*medium->log));
	for (unsigned i = 0; i < medium->waiting; i++)
		medium->covers[i] = medium->covers[i] > count ? medium->covers[i] - count : 0;
}

static void tear(struct medium *medium, uint64_t offset, const char *data, uint64_t length)
{
	const uint64_t kept = sim_random_below(&medium->random, 3);

	for (uint64_t done = 0; done < length; done += SECTOR)
		if (kept == 2 || (kept == 1 && sim_random_chance(&medium->random, 50)))
			memcpy(medium->durable + offset + done, data + done, SECTOR);
}

static void lose_power(struct medium *medium)
{
	medium->has_power = false;
	atomic_store(&medium->world->power_failed, true);
	for (size_t i = 0; i < medium->logged; i++) {
		tear(medium, medium->log[i].offset, medium->log[i].data, medium->log[i].length);
		free(medium->log[i].data);
	}
	medium->logged = 0;
	for (unsigned i = 0; i < medium->waiting; i++)
		if (medium->calls[i]->kind == STORE_WRITE)
			tear(medium, medium->calls[i]->offset, medium->calls[i]->memory,
			     medium->calls[i]->length);
	if (medium->store.size_bytes > 0)
		memcpy(medium->cached, medium->durable, medium->store.size_bytes);
}

static int carry_out(struct medium *medium, enum store_kind kind, void *memory, uint64_t offset,
		     uint64_t length, size_t covered)
{
	if (!medium->has_power)
		return -EIO;
	if (kind != STORE_SYNC && !base_range_within(offset, length, medium->store.size_bytes))
		return -ENODATA;
	if (kind == STORE_READ)
		memcpy(memory, medium->cached + offset, length);
	else if (kind == STORE_WRITE)
		note_write(medium, offset, memory, length);
	else
		make_durable(medium, covered);
	return 0;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void end_some_call(struct bdus_call *base)
{
	struct tick *const tick = base_container_of(base, struct tick, call);
	struct medium *const medium = tick->medium;
	const unsigned index = (unsigned)sim_random_below(&medium->random, medium->waiting);
	struct store_call *const call = medium->calls[index];
	const size_t covered = medium->covers[index];

	if (medium->has_power && ++medium->count == medium->fails_at)
		lose_power(medium);
	tick->next = medium->free_ticks;
	medium->free_ticks = tick;
	medium->waiting--;
	medium->calls[index] = medium->calls[medium->waiting];
	medium->covers[index] = medium->covers[medium->waiting];
	call->done(call, carry_out(medium, call->kind, call->memory, call->offset, call->length,
				   covered));
}

static void medium_send(struct store *store, struct bdus_loop *loop, struct store_call *call)
{
	struct medium *const medium = medium_of(store);
	struct tick *const tick = medium->free_ticks;

	if (tick == NULL)
		abort();
	medium->free_ticks = tick->next;
	medium->covers[medium->waiting] = medium->logged;
	medium->calls[medium->waiting++] = call;
	asys_prep_nop(&tick->call.message);
	/* A loop that ends takes no more calls. */
	if (bdus_loop_send(loop, &tick->call) < 0)
		end_some_call(&tick->call);
}

static int medium_now(struct store *store, enum store_kind kind, void *memory, uint64_t offset,
		      uint64_t length)
{
	struct medium *const medium = medium_of(store);

	return carry_out(medium, kind, memory, offset, length, medium->logged);
}

/** The medium outlives the device. */
static int medium_close(struct store *store)
{
	return medium_of(store)->waiting == 0 ? 0 : -EBUSY;
}

static const struct store_ops medium_ops = {
	.send = medium_send,
	.now = medium_now,
	.close = medium_close,
};

/** What drivers/zoned/store_file.c does with a file. */
int zstore_file_open(const char *path, uint64_t create_bytes, bool *created, struct store **store)
{
	struct medium *const medium = next_medium;

	(void)path;
	*created = medium->store.size_bytes == 0;
	if (*created) {
		medium->cached = calloc(1, create_bytes);
		medium->durable = calloc(1, create_bytes);
		if (medium->cached == NULL || medium->durable == NULL)
			return bdus_config_error(ENOMEM, "no memory for a medium");
		medium->store.size_bytes = create_bytes;
	}
	*store = &medium->store;
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct medium *medium_create(struct sim_world *world, uint64_t seed)
{
	struct medium *const medium = calloc(1, sizeof(*medium));

	if (medium == NULL)
		abort();
	medium->store.ops = &medium_ops;
	medium->world = world;
	medium->has_power = true;
	sim_random_init(&medium->random, seed, UINT64_C(0x3ed));
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		medium->ticks[i].call.completed = end_some_call;
		medium->ticks[i].medium = medium;
		medium->ticks[i].next = medium->free_ticks;
		medium->free_ticks = &medium->ticks[i];
	}
	return medium;
}

void medium_destroy(struct medium *medium)
{
	if (medium == NULL)
		return;
	for (size_t i = 0; i < medium->logged; i++)
		free(medium->log[i].data);
	free(medium->log);
	free(medium->cached);
	free(medium->durable);
	free(medium);
}

void medium_use(struct medium *medium)
{
	next_medium = medium;
}

void medium_set_power_failure(struct medium *medium, uint64_t after_calls)
{
	medium->fails_at = after_calls > 0 ? medium->count + after_calls : 0;
}

void medium_restart(struct medium *medium)
{
	if (medium->has_power)
		lose_power(medium);
	medium->has_power = true;
	medium->fails_at = 0;
}
