/* SPDX-License-Identifier: MIT */
/*
 * What filters may do with requests, and what they and the layers around them may rely on.
 */
#include "attrs.h"
#include "base/bits.h"
#include "fake.h"

#include <bdus/async.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KIB        UINT64_C(1024)
#define READ_WRITE (BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE))

static struct fake fake;
static struct bdus_io io;
static char payload[256 << 10] __attribute__((aligned(4096)));

static const struct bdus_device_attrs plain = {.size_bytes = 1 << 20};
static const char *const no_words[4] = {"", "", "", ""};

/* ---- filters -------------------------------------------------------------------------------- */

static char calls[256];
static unsigned open_filters;

static void note(const char *what)
{
	strncat(calls, what, sizeof(calls) - strlen(calls) - 1);
}

static int plain_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		      void **instance)
{
	(void)config;
	(void)attrs;
	*instance = &fake;
	open_filters++;
	note("o");
	return 0;
}

static int plain_close(void *instance)
{
	assert_ptr_equal(instance, &fake);
	open_filters--;
	note("c");
	return 0;
}

#define FILTER(word, open_function, submit_function)                                        \
	{                                                                                   \
		.abi = BDUS_FILTER_ABI, .size = sizeof(struct bdus_filter), .name = (word), \
		.summary = "for a test", .open = (open_function), .close = plain_close,     \
		.submit = (submit_function),                                                \
	}

static void pass(void *instance, struct bdus_request *request)
{
	assert_ptr_equal(instance, &fake);
	note("p");
	request->driver_data = &fake;
	bdus_filter_pass(request);
}
static const struct bdus_filter passing = FILTER("passing", plain_open, pass);

static int watched_result;

static void watched(void *instance, struct bdus_request *parent, struct bdus_request *child,
		    int result)
{
	assert_ptr_equal(instance, &fake);
	assert_ptr_equal(parent->driver_data, &watched_result);
	assert_int_equal(child->length_bytes, parent->length_bytes);
	note("w");
	watched_result = result;
	bdus_complete(parent, result);
}

static void watch(void *instance, struct bdus_request *request)
{
	struct bdus_request *const child =
		bdus_filter_child(request, 0, request->length_bytes, watched);

	assert_ptr_equal(instance, &fake);
	assert_null(request->driver_data);
	request->driver_data = &watched_result;
	bdus_filter_send(child);
}
static const struct bdus_filter watching = FILTER("watching", plain_open, watch);

/** Cuts a request into blocks of 4 KiB that are on their way together. */
static void chop(void *instance, struct bdus_request *request)
{
	struct bdus_request *children[64];
	unsigned count = 0;

	(void)instance;
	for (uint64_t skip = 0; skip < request->length_bytes; skip += 4096)
		children[count++] = bdus_filter_child(
			request, skip, base_min(request->length_bytes - skip, 4096), NULL);
	for (unsigned i = 0; i < count; i++)
		bdus_filter_send(children[i]);
}
static const struct bdus_filter chopping = FILTER("chopping", plain_open, chop);

/** Reads one block after the other, each once the one before is back. */
static void next_block(void *instance, struct bdus_request *parent, struct bdus_request *child,
		       int result)
{
	const uint64_t done =
		child == NULL ? 0
			      : child->offset_bytes + child->length_bytes - parent->offset_bytes;

	(void)instance;
	if (result != 0 || done == parent->length_bytes)
		bdus_complete(parent, result);
	else
		bdus_filter_send(bdus_filter_child(parent, done, 512, next_block));
}

static void crawl(void *instance, struct bdus_request *request)
{
	next_block(instance, request, NULL, 0);
}
static const struct bdus_filter crawling = FILTER("crawling", plain_open, crawl);

/** Moves requests up by 64 KiB, so that the device seems that much smaller. */
static int shift_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		      void **instance)
{
	attrs->size_bytes -= 64 * KIB;
	return plain_open(config, attrs, instance);
}

static void shift(void *instance, struct bdus_request *request)
{
	struct bdus_request *const child =
		bdus_filter_child(request, 0, request->length_bytes, NULL);

	(void)instance;
	child->offset_bytes += 64 * KIB;
	bdus_filter_send(child);
}
static const struct bdus_filter shifting = FILTER("shifting", shift_open, shift);

/** Takes write zeros, which it makes discards of. */
static int give_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		     void **instance)
{
	attrs->ops |= BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS) | BDUS_OP_BIT(BDUS_OP_EXTENTS);
	attrs->max_transfer_bytes = 256 << 10;
	return plain_open(config, attrs, instance);
}
static const struct bdus_filter giving = FILTER("giving", give_open, pass);

static void refuse(void *instance, struct bdus_request *request)
{
	(void)instance;
	bdus_complete(request, -ETIMEDOUT);
}
static const struct bdus_filter refusing = FILTER("refusing", plain_open, refuse);

static int fail_to_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
			void **instance)
{
	(void)config;
	(void)attrs;
	(void)instance;
	return bdus_config_error(EXDEV, "it does not want to");
}
static const struct bdus_filter failing = FILTER("failing", fail_to_open, pass);

/* ---- tests ---------------------------------------------------------------------------------- */

static void start(struct bdus_device_attrs attrs, uint32_t ops,
		  const struct bdus_filter *const *filters, unsigned count)
{
	memset(&io, 0, sizeof(io));
	calls[0] = '\0';
	fake_init_filtered(&fake, attrs, ops, filters, no_words, count);
}

static void start_one(struct bdus_device_attrs attrs, uint32_t ops,
		      const struct bdus_filter *filter)
{
	start(attrs, ops, &filter, 1);
}

static void finish(void)
{
	fake_finish(&fake);
	assert_int_equal(open_filters, 0);
}

static void assert_answered(int result)
{
	assert_int_equal(fake.commit_count, 1);
	assert_ptr_equal(fake.committed[0], &io);
	assert_int_equal(io.result, result);
	assert_int_equal(fake.queue.in_flight, 0);
}

static void a_request_passed_on_is_the_same_and_comes_back_without_the_filter(void **state)
{
	static const struct bdus_filter *const filters[] = {&passing, &passing, &passing};

	(void)state;
	start(plain, READ_WRITE, filters, 3);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 4096, 8192, payload);
	assert_string_equal(calls, "oooppp");
	assert_ptr_equal(fake.pending[0], &io.request);
	assert_null(fake.seen[0].driver_data);
	assert_int_equal(fake.queue.in_flight, 1);
	fake_answer(&fake, 0, -ENOSPC);
	assert_answered(-ENOSPC);
	finish();
	assert_string_equal(calls, "oooppp"
				   "ccc");
}

static void filters_are_passed_in_the_order_in_which_they_were_named(void **state)
{
	static const struct bdus_filter *const shift_first[] = {&shifting, &refusing};
	static const struct bdus_filter *const refuse_first[] = {&refusing, &passing};

	(void)state;
	start(plain, READ_WRITE, shift_first, 2);
	assert_int_equal(fake.attrs.size_bytes, plain.size_bytes - 64 * KIB);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 4096, payload);
	assert_answered(-ETIMEDOUT);
	finish();
	start(plain, READ_WRITE, refuse_first, 2);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 4096, payload);
	assert_answered(-ETIMEDOUT);
	assert_string_equal(calls, "oo");
	finish();
}

static void a_watching_filter_learns_of_the_result_before_clients_do(void **state)
{
	static const struct bdus_filter *const filters[] = {&watching, &watching};

	(void)state;
	start(plain, READ_WRITE, filters, 2);
	fake_issue(&fake, &io, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 512, 1024, payload);
	assert_int_equal(fake.seen[0].offset_bytes, 512);
	assert_int_equal(fake.seen[0].flags, BDUS_REQUEST_FUA);
	assert_ptr_equal(fake.seen[0].data, payload);
	assert_int_equal(fake.commit_count, 0);
	watched_result = 1;
	fake_answer(&fake, 0, -ENOLINK);
	assert_string_equal(calls, "ooww");
	assert_int_equal(watched_result, -ENOLINK);
	assert_answered(-ENOLINK);
	finish();
}

static void children_complete_their_parent_with_the_first_error(void **state)
{
	(void)state;
	start_one(plain, READ_WRITE, &chopping);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 12 * KIB, payload);
	assert_int_equal(fake.seen_count, 3);
	assert_ptr_equal(fake.seen[2].data, payload + 8192);
	fake_answer(&fake, 1, -ETIMEDOUT);
	fake_answer(&fake, 2, -ENOSPC);
	assert_int_equal(fake.commit_count, 0);
	fake_answer(&fake, 0, 0);
	assert_answered(-ETIMEDOUT);
	/* And anew, in the memory of the same slot. */
	fake.commit_count = 0;
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 64 * KIB, payload);
	assert_int_equal(fake.seen_count, 3 + 16);
	assert_answered(0);
	finish();
}

static void children_of_children_come_back_in_order(void **state)
{
	static const struct bdus_filter *const filters[] = {&chopping, &watching, &crawling,
							    &chopping};

	(void)state;
	start(plain, READ_WRITE, filters, 4);
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 16 * KIB, payload);
	assert_int_equal(fake.seen_count, 32);
	assert_answered(0);
	finish();
}

/** What the filter at @place counted. */
static struct bdus_filter_stats counted(const struct bdus_stats_memory *memory, unsigned place)
{
	struct bdus_filter_stats found;
	struct bdus_stats *stats;

	assert_int_equal(bdus_stats_open_fd(dup(memory->fd), &stats), 0);
	assert_int_equal(bdus_stats_read_filter(stats, BDUS_STATS_ALL, place, &found), 0);
	assert_int_equal(bdus_stats_read_filter(stats, 0, 3, &found), -ENODEV);
	assert_int_equal(bdus_stats_read_filter(stats, 0, place, &found), 0);
	bdus_stats_close(stats);
	return found;
}

static void each_filter_counts_what_it_was_given_and_what_it_ended(void **state)
{
	static const struct bdus_filter *const filters[] = {&passing, &chopping, &refusing};
	struct bdus_stats_row rows[BDUS_STATS_FILTERS];
	struct bdus_stats_memory memory;
	struct bdus_filter_stats found;

	(void)state;
	start(plain, READ_WRITE, filters, 3);
	assert_int_equal(bdus_stats_memory_init(&memory, 1, 8), 0);
	bdus_stats_name_filters(&memory, rows, bdus_stack_rows(fake.stack, rows));
	fake.queue.stats = bdus_stats_part(&memory, 0);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 12 * KIB, payload);
	assert_answered(-ETIMEDOUT);
	assert_null(io.stage);
	/* Passed on. */
	found = counted(&memory, 0);
	assert_string_equal(found.name, "passing");
	assert_int_equal(found.held.operations, 1);
	assert_int_equal(found.held.bytes, 12 * KIB);
	assert_int_equal(found.held.errors, 0);
	assert_int_equal(found.completed, 0);
	assert_int_equal(found.held.timed, 1);
	/* Completed by its children. */
	found = counted(&memory, 1);
	assert_string_equal(found.name, "chopping");
	assert_int_equal(found.held.operations, 1);
	assert_int_equal(found.held.errors, 1);
	assert_int_equal(found.completed, 1);
	assert_int_equal(found.held.timed, 1);
	/* Completed, three times, within the time of the filter above. */
	found = counted(&memory, 2);
	assert_string_equal(found.name, "refusing");
	assert_int_equal(found.held.operations, 3);
	assert_int_equal(found.held.bytes, 12 * KIB);
	assert_int_equal(found.held.errors, 3);
	assert_int_equal(found.completed, 3);
	assert_int_equal(found.held.timed, 3);
	assert_true(found.held.timed_ns <= counted(&memory, 1).held.timed_ns);
	finish();
	bdus_stats_memory_finish(&memory);
}

static void what_the_driver_completes_counts_for_no_filter(void **state)
{
	static const struct bdus_filter *const filters[] = {&passing, &giving, &passing};
	struct bdus_stats_row rows[BDUS_STATS_FILTERS];
	struct bdus_stats_memory memory;

	(void)state;
	start(plain, READ_WRITE, filters, 3);
	assert_int_equal(bdus_stats_memory_init(&memory, 1, 8), 0);
	bdus_stats_name_filters(&memory, rows, bdus_stack_rows(fake.stack, rows));
	fake.queue.stats = bdus_stats_part(&memory, 0);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 4096, payload);
	fake_answer(&fake, 0, -ENOSPC);
	assert_answered(-ENOSPC);
	for (unsigned place = 0; place < 3; place++) {
		const struct bdus_filter_stats found = counted(&memory, place);

		assert_int_equal(found.held.operations, 1);
		assert_int_equal(found.held.errors, 0);
		assert_int_equal(found.completed, 0);
	}
	finish();
	bdus_stats_memory_finish(&memory);
}

/** Attributes as attached filters find them, and the layers that queues would take. */
static struct bdus_device_attrs seen_above(void)
{
	struct bdus_device_attrs attrs = fake.attrs;

	attrs.ops = READ_WRITE;
	return attrs;
}

static int attach(const struct bdus_filter *filter, struct bdus_layer *top)
{
	const struct bdus_filter_use use = {.filter = filter};
	const struct bdus_device_attrs attrs = seen_above();

	return bdus_stack_attach(fake.stack, &use, &attrs, top);
}

static void filters_come_and_go_between_requests(void **state)
{
	static const struct bdus_filter *const filters[] = {&passing, &watching};
	struct bdus_stats_row rows[BDUS_STATS_FILTERS];
	struct bdus_layer top;

	(void)state;
	start(plain, READ_WRITE, filters, 2);
	fake.at_once = true;
	assert_int_equal(attach(&refusing, &top), 0);
	assert_int_equal(attach(&passing, &top), -EBUSY);
	/* Until the queue takes it, all is as it was. */
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 4096, payload);
	assert_answered(0);
	fake.queue.top.layer = top;
	assert_int_equal(bdus_stack_settle(fake.stack), 0);
	fake.commit_count = 0;
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 4096, payload);
	assert_answered(-ETIMEDOUT);
	assert_int_equal(bdus_stack_rows(fake.stack, rows), 3);
	assert_string_equal(rows[0].name, "refusing");
	assert_int_equal(rows[0].row, 2);
	assert_int_equal(rows[1].row, 0);

	assert_int_equal(bdus_stack_detach(fake.stack, "3", &top), -ENODEV);
	assert_int_equal(bdus_stack_detach(fake.stack, "refusing", &top), 0);
	fake.queue.top.layer = top;
	assert_int_equal(bdus_stack_settle(fake.stack), 0);
	assert_int_equal(bdus_stack_detach(fake.stack, "1", &top), 0);
	fake.queue.top.layer = top;
	assert_int_equal(bdus_stack_settle(fake.stack), 0);
	assert_int_equal(open_filters, 1);
	calls[0] = '\0';
	fake.commit_count = 0;
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 4096, payload);
	assert_answered(0);
	assert_string_equal(calls, "p");
	/* The last one, too; and a change that never settled ends with the stack. */
	assert_int_equal(bdus_stack_detach(fake.stack, "0", &top), 0);
	fake.queue.top.layer = top;
	assert_int_equal(bdus_stack_settle(fake.stack), 0);
	assert_true(bdus_stack_is_empty(fake.stack));
	assert_int_equal(attach(&passing, &top), 0);
	assert_int_equal(open_filters, 1);
	finish();
}

static void a_filter_that_changes_the_device_neither_comes_nor_goes(void **state)
{
	static const struct bdus_filter *const filters[] = {&shifting, &passing};
	struct bdus_layer top;

	(void)state;
	start(plain, READ_WRITE, filters, 2);
	assert_int_equal(attach(&shifting, &top), -EOPNOTSUPP);
	assert_int_equal(attach(&failing, &top), -EXDEV);
	assert_int_equal(open_filters, 2);
	assert_int_equal(bdus_stack_detach(fake.stack, "shifting", &top), -EOPNOTSUPP);
	assert_int_equal(bdus_stack_detach(fake.stack, "passing", &top), 0);
	finish();
}

/** Each child is sent from `done` of the one before: the stack of calls must not grow with them. */
static void a_million_children_in_turn_take_no_stack(void **state)
{
	struct bdus_device_attrs large = plain;

	(void)state;
	large.size_bytes = UINT64_C(1) << 30;
	large.max_discard_bytes = UINT64_C(1) << 30;
	start_one(large, READ_WRITE | BDUS_OP_BIT(BDUS_OP_DISCARD), &crawling);
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_DISCARD, 0, 0, UINT64_C(512) << 20, NULL);
	assert_int_equal(fake.seen_count, 1 << 20);
	assert_answered(0);
	finish();
}

static void what_a_filter_sends_need_not_fit_the_layer_below(void **state)
{
	struct bdus_device_attrs small = plain;

	(void)state;
	small.max_transfer_bytes = 8192;
	start_one(small, READ_WRITE, &giving);
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_WRITE, 0, 0, 32 * KIB, payload);
	assert_string_equal(calls, "op");
	assert_int_equal(fake.seen_count, 4);
	assert_answered(0);
	fake.commit_count = 0;
	fake_issue(&fake, &io, BDUS_OP_WRITE_ZEROS, 0, 0, 16 * KIB, NULL);
	assert_string_equal(calls, "opp");
	assert_int_equal(fake.seen[4].op, BDUS_OP_WRITE);
	assert_int_equal(fake.seen_count, 6);
	assert_answered(0);
	finish();
}

static void a_child_past_the_end_of_the_layer_below_is_an_error(void **state)
{
	static const struct bdus_filter *const filters[] = {&passing, &shifting};

	(void)state;
	start(plain, READ_WRITE, filters, 2);
	/* As if the filter had forgotten to make the device smaller. */
	fake.queue.top.rules.size_bytes = plain.size_bytes;
	fake_issue(&fake, &io, BDUS_OP_READ, 0, plain.size_bytes - 4096, 4096, payload);
	assert_int_equal(fake.seen_count, 0);
	assert_answered(-EINVAL);
	finish();
}

static void extents_and_lent_memory_pass_through_a_watching_filter(void **state)
{
	static char lent[4096];
	struct bdus_extent extents[2];

	(void)state;
	start_one(plain, READ_WRITE | BDUS_OP_BIT(BDUS_OP_EXTENTS), &watching);
	io.request.extents = extents;
	io.request.extent_capacity = 2;
	fake_issue(&fake, &io, BDUS_OP_EXTENTS, 0, 0, 4096, NULL);
	assert_ptr_equal(fake.seen[0].extents, extents);
	fake.pending[0]->extent_count = 2;
	fake_answer(&fake, 0, 0);
	assert_answered(0);
	assert_int_equal(io.request.extent_count, 2);
	fake.commit_count = 0;
	fake_issue(&fake, &io, BDUS_OP_READ, BDUS_REQUEST_MAY_LEND, 0, 4096, payload);
	fake.pending[1]->data = lent;
	fake_answer(&fake, 1, 0);
	assert_answered(0);
	assert_ptr_equal(io.request.data, lent);
	finish();
}

static void a_part_of_a_request_is_lent_nothing(void **state)
{
	(void)state;
	start_one(plain, READ_WRITE, &chopping);
	fake_issue(&fake, &io, BDUS_OP_READ, BDUS_REQUEST_MAY_LEND, 0, 8192, payload);
	assert_int_equal(fake.seen[0].flags, 0);
	fake_answer(&fake, 0, 0);
	fake_answer(&fake, 1, 0);
	assert_answered(0);
	finish();
}

/** Zero copy: what is a buffer of the kernel's stays one, and children know their place in it. */
static void payloads_that_are_no_memory_stay_what_they_are(void **state)
{
	(void)state;
	start_one(plain, READ_WRITE, &chopping);
	bdus_io_init(&io);
	bdus_io_prepare(&io, BDUS_OP_READ, 0, 0, 8192, NULL);
	io.request.payload_buffer = 7;
	io.request.payload_offset_bytes = 512;
	fake.to_fetch[fake.fetch_count++] = &io;
	bdus_host_make_ready(&fake.queue);
	bdus_loop_turn(fake.loop, 0);
	assert_int_equal(fake.seen[1].payload_buffer, 7);
	assert_int_equal(fake.seen[1].payload_offset_bytes, 512 + 4096);
	fake_answer(&fake, 0, 0);
	fake_answer(&fake, 1, 0);
	assert_answered(0);
	finish();
}

static void *complete_elsewhere(void *request)
{
	bdus_complete_from_any_thread(request, 0);
	return NULL;
}

static void children_may_be_completed_by_other_threads(void **state)
{
	pthread_t threads[4];

	(void)state;
	start_one(plain, READ_WRITE, &chopping);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 16 * KIB, payload);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, complete_elsewhere, fake.pending[i]), 0);
	fake_wait(&fake, 1);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_answered(0);
	finish();
}

static void a_filter_that_fails_to_open_closes_those_below(void **state)
{
	static const struct bdus_filter_use uses[] = {{&failing, NULL, 0}, {&passing, NULL, 0}};
	struct bdus_device_attrs attrs = plain;
	struct bdus_stack *stack;

	(void)state;
	calls[0] = '\0';
	attrs.ops = READ_WRITE;
	assert_int_equal(bdus_attrs_complete("driver fake", &attrs), 0);
	assert_int_equal(bdus_stack_create(uses, 2, &stack), 0);
	assert_int_equal(bdus_stack_open(stack, &attrs), -EXDEV);
	assert_string_equal(base_error_message(), "it does not want to");
	assert_string_equal(calls, "oc");
	assert_int_equal(attrs.size_bytes, plain.size_bytes);
	bdus_stack_destroy(stack);
}

static void filters_with_wrong_tables_or_words_are_refused_by_name(void **state)
{
	static const struct bdus_filter old = {.abi = 0, .name = "old"};
	static const char *const words[] = {"colour=red"};
	static const struct bdus_filter_use bad_table[] = {{&old, NULL, 0}};
	static const struct bdus_filter_use bad_word[] = {{&passing, words, 1}};
	struct bdus_stack *stack = NULL;

	(void)state;
	assert_int_equal(bdus_stack_create(bad_table, 1, &stack), -EINVAL);
	assert_non_null(strstr(base_error_message(), "filter old"));
	assert_int_equal(bdus_stack_create(bad_word, 1, &stack), -EINVAL);
	assert_non_null(strstr(base_error_message(), "filter passing"));
	assert_int_equal(bdus_stack_create(bad_word, 17, &stack), -EINVAL);
	assert_null(stack);
}

static void make_and_drop(void *instance, struct bdus_request *request)
{
	struct bdus_request *const first = bdus_filter_child(request, 0, 512, NULL);
	struct bdus_request *const second = bdus_filter_child(request, 512, 512, NULL);

	(void)instance;
	bdus_filter_drop(second);
	bdus_filter_drop(first);
	bdus_complete(request, -EAGAIN);
}

static void children_that_are_dropped_were_never_made(void **state)
{
	static const struct bdus_filter dropping = FILTER("dropping", plain_open, make_and_drop);

	(void)state;
	start_one(plain, READ_WRITE, &dropping);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 1024, payload);
	assert_answered(-EAGAIN);
	assert_int_equal(io.children, 0);
	finish();
}

/* ---- what filters do by themselves ----------------------------------------------------------- */

static struct bdus_request *own;
static int start_result;
static int own_result;

static struct bdus_request *own_child(uint8_t op, uint64_t offset, uint64_t length,
				      bdus_filter_done *done)
{
	struct bdus_request *const child = bdus_filter_child(own, 0, length, done);

	assert_non_null(child);
	child->op = op;
	child->offset_bytes = offset;
	child->data = payload;
	return child;
}

static int reading_start(void *instance, struct bdus_request *request)
{
	assert_ptr_equal(instance, &fake);
	own = request;
	note("s");
	own_result = bdus_filter_wait(own_child(BDUS_OP_READ, 8192, 4096, NULL));
	return start_result;
}

static int writing_stop(void *instance, struct bdus_request *request)
{
	assert_ptr_equal(instance, &fake);
	assert_ptr_equal(own, request);
	note("e");
	return bdus_filter_wait(own_child(BDUS_OP_WRITE, 0, 8192, NULL));
}

static const struct bdus_filter starting = {
	.abi = BDUS_FILTER_ABI,
	.size = sizeof(struct bdus_filter),
	.name = "starting",
	.summary = "for a test",
	.open = plain_open,
	.close = plain_close,
	.submit = pass,
	.start = reading_start,
	.stop = writing_stop,
};

static void begin_started(const struct bdus_filter *const *filters, unsigned count)
{
	calls[0] = '\0';
	start_result = 0;
	own_result = 1;
	fake_init_filtered(&fake, plain, READ_WRITE, filters, no_words, count);
	fake.at_once = true;
}

static void a_filter_reads_below_before_the_first_request_and_writes_after_the_last(void **state)
{
	static const struct bdus_filter *const filters[] = {&passing, &starting, &passing};

	(void)state;
	begin_started(filters, 3);
	assert_int_equal(bdus_stack_start(fake.stack, &fake.queue), 0);
	assert_int_equal(own_result, 0);
	assert_string_equal(calls, "ooosp");
	assert_int_equal(fake.seen_count, 1);
	assert_int_equal(fake.seen[0].op, BDUS_OP_READ);
	assert_int_equal(fake.seen[0].offset_bytes, 8192);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 4096, payload);
	assert_int_equal(fake.seen_count, 2);
	assert_int_equal(bdus_stack_stop(fake.stack), 0);
	assert_int_equal(fake.seen_count, 3);
	assert_int_equal(fake.seen[2].op, BDUS_OP_WRITE);
	assert_int_equal(bdus_stack_stop(fake.stack), 0);
	assert_int_equal(fake.seen_count, 3);
	assert_int_equal(fake.commit_count, 1);
	fake_finish(&fake);
	assert_int_equal(open_filters, 0);
}

static void what_a_filter_waits_for_gives_its_error(void **state)
{
	static const struct bdus_filter *const filters[] = {&starting};

	(void)state;
	begin_started(filters, 1);
	fake.results[0] = -EIO;
	fake.results[1] = -ENOSPC;
	assert_int_equal(bdus_stack_start(fake.stack, &fake.queue), 0);
	assert_int_equal(own_result, -EIO);
	assert_int_equal(bdus_stack_stop(fake.stack), -ENOSPC);
	fake_finish(&fake);
}

static void after_a_start_that_failed_filters_above_are_left_alone(void **state)
{
	static const struct bdus_filter *const filters[] = {&starting, &starting};

	(void)state;
	begin_started(filters, 2);
	start_result = -EINVAL;
	assert_int_equal(bdus_stack_start(fake.stack, &fake.queue), -EINVAL);
	assert_string_equal(calls, "oos");
	assert_int_equal(bdus_stack_stop(fake.stack), 0);
	fake_finish(&fake);
	assert_string_equal(calls, "ooscc");
}

static void own_child_is_back(void *instance, struct bdus_request *parent,
			      struct bdus_request *child, int result)
{
	assert_ptr_equal(instance, &fake);
	assert_ptr_equal(parent, own);
	assert_int_equal(child->op, BDUS_OP_WRITE);
	own_result = result;
}

static void leave_it_to_the_loop(void *instance, struct bdus_request *request)
{
	(void)instance;
	bdus_complete_from_any_thread(request, 0);
}

/** A layer below that answers by the loop; and filters above that come meanwhile. */
static void a_filter_acts_by_itself_while_the_device_is_in_use(void **state)
{
	static const struct bdus_filter_use uses[] = {{&starting, NULL, 0}};
	static const struct bdus_filter_use coming = {&passing, NULL, 0};
	static const struct bdus_filter_use late = {&starting, NULL, 0};
	struct bdus_device_attrs attrs = {.size_bytes = 1 << 20, .ops = READ_WRITE};
	struct bdus_layer top;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	start_result = 0;
	assert_int_equal(bdus_attrs_complete("driver fake", &attrs), 0);
	assert_int_equal(bdus_stack_create(uses, 1, &fake.stack), 0);
	assert_int_equal(bdus_stack_open(fake.stack, &attrs), 0);
	fake_init_over(
		&fake, attrs, READ_WRITE,
		bdus_stack_over(fake.stack, (struct bdus_layer){.submit = leave_it_to_the_loop}));
	assert_int_equal(bdus_stack_start(fake.stack, &fake.queue), 0);
	assert_int_equal(bdus_stack_attach(fake.stack, &late, &attrs, &top), -EOPNOTSUPP);
	assert_non_null(strstr(base_error_message(), "must be there from the start"));
	assert_int_equal(bdus_stack_attach(fake.stack, &coming, &attrs, &top), 0);
	assert_int_equal(bdus_stack_settle(fake.stack), 0);
	own_result = 1;
	bdus_filter_send(own_child(BDUS_OP_WRITE, 4096, 4096, own_child_is_back));
	assert_int_equal(own_result, 1);
	assert_int_equal(fake.queue.in_flight, 1);
	bdus_loop_turn(fake.loop, 1000);
	assert_int_equal(own_result, 0);
	assert_int_equal(bdus_stack_stop(fake.stack), 0);
	fake_finish(&fake);
}

static void a_filter_of_before_there_was_a_start_is_accepted(void **state)
{
	struct bdus_filter older = passing;
	const struct bdus_filter *const filters[] = {&older};

	(void)state;
	older.size = offsetof(struct bdus_filter, start);
	older.start = reading_start;
	begin_started(filters, 1);
	assert_int_equal(bdus_stack_start(fake.stack, &fake.queue), 0);
	assert_string_equal(calls, "o");
	fake_finish(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_passed_on_is_the_same_and_comes_back_without_the_filter),
		cmocka_unit_test(filters_are_passed_in_the_order_in_which_they_were_named),
		cmocka_unit_test(a_watching_filter_learns_of_the_result_before_clients_do),
		cmocka_unit_test(children_complete_their_parent_with_the_first_error),
		cmocka_unit_test(children_of_children_come_back_in_order),
		cmocka_unit_test(each_filter_counts_what_it_was_given_and_what_it_ended),
		cmocka_unit_test(what_the_driver_completes_counts_for_no_filter),
		cmocka_unit_test(filters_come_and_go_between_requests),
		cmocka_unit_test(a_filter_that_changes_the_device_neither_comes_nor_goes),
		cmocka_unit_test(a_million_children_in_turn_take_no_stack),
		cmocka_unit_test(what_a_filter_sends_need_not_fit_the_layer_below),
		cmocka_unit_test(a_child_past_the_end_of_the_layer_below_is_an_error),
		cmocka_unit_test(extents_and_lent_memory_pass_through_a_watching_filter),
		cmocka_unit_test(a_part_of_a_request_is_lent_nothing),
		cmocka_unit_test(payloads_that_are_no_memory_stay_what_they_are),
		cmocka_unit_test(children_may_be_completed_by_other_threads),
		cmocka_unit_test(a_filter_that_fails_to_open_closes_those_below),
		cmocka_unit_test(filters_with_wrong_tables_or_words_are_refused_by_name),
		cmocka_unit_test(children_that_are_dropped_were_never_made),
		cmocka_unit_test(
			a_filter_reads_below_before_the_first_request_and_writes_after_the_last),
		cmocka_unit_test(what_a_filter_waits_for_gives_its_error),
		cmocka_unit_test(after_a_start_that_failed_filters_above_are_left_alone),
		cmocka_unit_test(a_filter_acts_by_itself_while_the_device_is_in_use),
		cmocka_unit_test(a_filter_of_before_there_was_a_start_is_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
