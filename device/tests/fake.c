/* SPDX-License-Identifier: MIT */
#include "fake.h"

#include "attrs.h"
#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/** The transport knows its queue by this; the tests use one at a time. */
static struct fake *current;

static int fake_open_queue(struct bdus_transport_device *device, unsigned index,
			   struct bdus_queue *host, struct bdus_transport_queue **queue)
{
	(void)device;
	(void)index;
	(void)host;
	*queue = NULL;
	return 0;
}

static void fake_close_queue(struct bdus_transport_queue *queue)
{
	(void)queue;
}

static int fake_fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	unsigned count = 0;

	(void)queue;
	current->fetch_calls++;
	for (; count < current->fetch_count && count < capacity; count++)
		ios[count] = current->to_fetch[count];
	current->fetch_count -= count;
	memmove(current->to_fetch, current->to_fetch + count,
		current->fetch_count * sizeof(current->to_fetch[0]));
	if (current->fetch_count != 0)
		bdus_host_make_ready(&current->queue);
	return (int)count;
}

static void fake_commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
			unsigned count)
{
	(void)queue;
	assert_true(count <= BDUS_BATCH);
	for (unsigned i = 0; i < count; i++) {
		assert_true(current->commit_count < FAKE_REQUESTS_MAX);
		current->committed[current->commit_count++] = ios[i];
	}
}

static const struct bdus_transport fake_transport = {
	.name = "fake",
	.open_queue = fake_open_queue,
	.close_queue = fake_close_queue,
	.fetch = fake_fetch,
	.commit = fake_commit,
};

static void fake_submit(void *instance, struct bdus_request *request)
{
	struct fake *const fake = instance;
	const unsigned index = fake->seen_count++;
	const unsigned slot = index % FAKE_REQUESTS_MAX;

	fake->seen[slot] = *request;
	if (fake->at_once)
		bdus_complete(request, fake->results[slot]);
	else
		fake->pending[slot] = request;
}

static const struct bdus_loop_options not_polled = {
	.size = sizeof(not_polled),
	.flags = BDUS_LOOP_NOT_POLLED,
};

void fake_init_over(struct fake *fake, struct bdus_device_attrs attrs, uint32_t native_ops,
		    struct bdus_layer layer)
{
	attrs.ops = native_ops;
	assert_int_equal(bdus_attrs_complete("driver fake", &attrs), 0);
	attrs.ops = bdus_rules_effective_ops(native_ops, attrs.flags);
	assert_int_equal(bdus_rules_init(&fake->rules, &attrs, native_ops), 0);
	assert_int_equal(bdus_loop_create(&not_polled, &fake->loop), 0);
	assert_int_equal(bdus_queue_start(&fake->queue, fake->loop,
					  &(struct bdus_queue_setup){.transport = &fake_transport,
								     .top = layer,
								     .rules = &fake->rules}),
			 0);
	current = fake;
}

void fake_init(struct fake *fake, struct bdus_device_attrs attrs, uint32_t native_ops)
{
	memset(fake, 0, sizeof(*fake));
	fake_init_over(fake, attrs, native_ops,
		       (struct bdus_layer){.submit = fake_submit, .instance = fake});
}

static void make_stack(struct fake *fake, const struct bdus_filter *const *filters,
		       const char *const *words, unsigned count)
{
	struct bdus_filter_use uses[4];
	const char *cut[4][8];
	char copies[4][256];

	for (unsigned i = 0; i < count; i++) {
		char *rest = NULL;

		uses[i] = (struct bdus_filter_use){.filter = filters[i], .options = cut[i]};
		snprintf(copies[i], sizeof(copies[i]), "%s", words[i]);
		for (char *word = strtok_r(copies[i], " ", &rest); word != NULL;
		     word = strtok_r(NULL, " ", &rest))
			cut[i][uses[i].option_count++] = word;
	}
	assert_int_equal(bdus_stack_create(uses, count, &fake->stack), 0);
}

void fake_init_filtered(struct fake *fake, struct bdus_device_attrs attrs, uint32_t native_ops,
			const struct bdus_filter *const *filters, const char *const *words,
			unsigned count)
{
	fake_init_backed(fake, attrs, native_ops, filters, words, count, NULL, 0);
}

void fake_init_backed(struct fake *fake, struct bdus_device_attrs attrs, uint32_t native_ops,
		      const struct bdus_filter *const *filters, const char *const *words,
		      unsigned count, const struct bdus_backend_use *backends,
		      unsigned backend_count)
{
	memset(fake, 0, sizeof(*fake));
	make_stack(fake, filters, words, count);
	assert_int_equal(bdus_stack_add_backends(fake->stack, backends, backend_count), 0);
	attrs.ops = native_ops;
	assert_int_equal(bdus_attrs_complete("driver fake", &attrs), 0);
	assert_int_equal(bdus_stack_open(fake->stack, &attrs), 0);
	fake->attrs = attrs;
	fake_init_over(fake, attrs, attrs.ops,
		       bdus_stack_over(fake->stack, (struct bdus_layer){.submit = fake_submit,
									.instance = fake}));
}

void fake_finish(struct fake *fake)
{
	bdus_queue_end(&fake->queue);
	bdus_loop_destroy(fake->loop);
	bdus_rules_finish(&fake->rules);
	if (fake->stack != NULL)
		assert_int_equal(bdus_stack_close(fake->stack), 0);
	bdus_stack_destroy(fake->stack);
}

void fake_issue(struct fake *fake, struct bdus_io *io, enum bdus_op op, unsigned flags,
		uint64_t offset, uint64_t length, void *data)
{
	struct bdus_extent *const extents = io->request.extents;
	const uint32_t capacity = io->request.extent_capacity;
	const uint32_t zone_capacity = io->request.zone_capacity;

	bdus_io_init(io);
	bdus_io_prepare(io, op, flags, offset, length, data);
	io->request.extents = extents;
	io->request.extent_capacity = capacity;
	io->request.zone_capacity = zone_capacity;
	io->result = 1;
	fake->to_fetch[fake->fetch_count++] = io;
	bdus_host_make_ready(&fake->queue);
	assert_int_equal(bdus_loop_turn(fake->loop, 0), 1);
	bdus_loop_turn(fake->loop, 0);
}

void fake_answer(struct fake *fake, unsigned index, int result)
{
	struct bdus_request *const request = fake->pending[index];

	assert_true(index < fake->seen_count);
	assert_non_null(request);
	fake->pending[index] = NULL;
	bdus_complete(request, result);
	bdus_loop_turn(fake->loop, 0);
}

void fake_wait(struct fake *fake, unsigned count)
{
	const uint64_t deadline = base_deadline_ns(30000);

	while (fake->commit_count < count) {
		if (base_remaining_ms(deadline) == 0)
			fail_msg("only %u of %u requests came back", fake->commit_count, count);
		bdus_loop_turn(fake->loop, 10);
	}
}
