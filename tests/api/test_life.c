/* SPDX-License-Identifier: MIT */
/*
 * The order in which callbacks come, what follows when one of them fails, which threads run them
 * and how many at once.
 */
#include "api_test.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVENTS 64

/** What the callbacks of a device noted. All of it shared with the test. */
struct notes {
	/* What the life cycle callbacks return. */
	int initialize_result;
	int available_result;
	int terminate_result;
	int read_result;
	/* How long they take. */
	unsigned available_ms;
	unsigned read_ms;

	/** The events in their order: 'i', 'a', 't', 'r', 'w'. */
	atomic_uint count;
	char events[EVENTS];
	pid_t threads[EVENTS];
	/** Whether a life cycle callback runs, and how many others do. */
	atomic_int alone;
	atomic_int running;
	atomic_int most_running;
	uint32_t limit;
	const char *path;
};

static const struct bdus_attrs attrs = {.size = 1 << 20, .logical_block_size = 512};

static void note(struct notes *notes, char event)
{
	unsigned index = atomic_fetch_add(&notes->count, 1);

	if (index >= EVENTS)
		return;
	notes->events[index] = event;
	notes->threads[index] = gettid();
}

/* Nothing may run beside a callback of the life cycle, and it not beside anything. */
static void begin_alone(struct notes *notes, char event)
{
	note(notes, event);
	api_check(atomic_fetch_add(&notes->alone, 1) == 0);
	api_check(atomic_load(&notes->running) == 0);
}

static void end_alone(struct notes *notes)
{
	api_check(atomic_load(&notes->running) == 0);
	atomic_fetch_sub(&notes->alone, 1);
}

static int note_initialize(struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	begin_alone(notes, 'i');
	notes->limit = ctx->attrs->max_concurrent_callbacks;
	end_alone(notes);
	return notes->initialize_result;
}

static int note_available(struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	begin_alone(notes, 'a');
	api_sleep_ms(notes->available_ms);
	end_alone(notes);
	return notes->available_result;
}

static int note_terminate(struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	begin_alone(notes, 't');
	api_sleep_ms(20);
	end_alone(notes);
	return notes->terminate_result;
}

static void note_most(struct notes *notes, int running)
{
	int most = atomic_load(&notes->most_running);

	while (running > most &&
	       !atomic_compare_exchange_weak(&notes->most_running, &most, running))
		continue;
}

static int note_read(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	(void)offset;
	note(notes, 'r');
	note_most(notes, atomic_fetch_add(&notes->running, 1) + 1);
	api_check(atomic_load(&notes->alone) == 0);
	api_check((uint32_t)atomic_load(&notes->running) <= notes->limit);
	memset(buffer, 0, size);
	api_sleep_ms(notes->read_ms);
	api_check(atomic_load(&notes->alone) == 0);
	atomic_fetch_sub(&notes->running, 1);
	return notes->read_result;
}

static const struct bdus_ops ops = {
	.initialize = note_initialize,
	.on_device_available = note_available,
	.terminate = note_terminate,
	.read = note_read,
};

static void test_callbacks_come_in_order(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	const struct api_outcome *outcome;
	struct nbd_handle *nbd;
	struct api_run run;
	char data[512];

	(void)state;
	notes->available_ms = 100;
	api_start(&run, &ops, &attrs, notes);
	nbd = api_connect(&run);
	for (int i = 0; i < 3; i++)
		api_assert_nbd(nbd_pread(nbd, data, sizeof(data), 0, 0));
	nbd_close(nbd);
	while (!memchr(notes->events, 'a', EVENTS))
		api_sleep_ms(2);
	outcome = api_stop(&run);
	if (!outcome->result)
		fail_msg("%s", outcome->message);
	assert_int_equal(notes->count, 6);
	assert_int_equal(notes->events[0], 'i');
	assert_int_equal(notes->events[5], 't');
	assert_int_equal(notes->most_running, 1);
}

static void test_failed_initialize_ends_everything(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	const struct api_outcome *outcome;

	(void)state;
	notes->initialize_result = EXDEV;
	outcome = api_run_to_end(&ops, &attrs, notes);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, EXDEV);
	assert_non_null(strstr(outcome->message, "initialize"));
	assert_string_equal(notes->events, "i");
}

static void test_initialize_may_abort(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	const struct api_outcome *outcome;

	(void)state;
	notes->initialize_result = bdus_abort;
	outcome = api_run_to_end(&ops, &attrs, notes);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, EIO);
	assert_non_null(strstr(outcome->message, "initialize"));
	assert_string_equal(notes->events, "i");
}

static void test_failed_on_device_available_is_followed_by_terminate(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	const struct api_outcome *outcome;

	(void)state;
	notes->available_result = EMLINK;
	outcome = api_run_to_end(&ops, &attrs, notes);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, EMLINK);
	assert_non_null(strstr(outcome->message, "on_device_available"));
	assert_string_equal(notes->events, "iat");
}

/* The first failure is the one that is reported. */
static void test_failed_terminate_does_not_hide_an_earlier_failure(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	const struct api_outcome *outcome;

	(void)state;
	notes->available_result = EMLINK;
	notes->terminate_result = ENOMEM;
	outcome = api_run_to_end(&ops, &attrs, notes);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, EMLINK);
	assert_string_equal(notes->events, "iat");
}

static void test_failed_terminate_fails_the_run(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	const struct api_outcome *outcome;
	struct api_run run;

	(void)state;
	notes->terminate_result = ENOTTY;
	api_start(&run, &ops, &attrs, notes);
	nbd_close(api_connect(&run));
	outcome = api_stop(&run);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, ENOTTY);
	assert_non_null(strstr(outcome->message, "terminate"));
}

static void test_abort_fails_the_request_and_ends_the_run(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	const struct api_outcome *outcome;
	struct nbd_handle *nbd;
	struct api_run run;
	char data[512];

	(void)state;
	notes->read_result = bdus_abort;
	api_start(&run, &ops, &attrs, notes);
	nbd = api_connect(&run);
	assert_int_equal(nbd_pread(nbd, data, sizeof(data), 0, 0), -1);
	nbd_close(nbd);
	outcome = api_wait(&run);
	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, EIO);
	assert_non_null(strstr(outcome->message, "read"));
	assert_int_equal(notes->events[notes->count - 1], 't');
}

/* Begins @count reads on each of @clients connections. Payloads are never looked at. */
static void begin_reads(struct nbd_handle **nbds, unsigned clients, unsigned count)
{
	static char data[EVENTS][512];

	for (unsigned i = 0; i < clients * count; i++) {
		int64_t cookie = nbd_aio_pread(nbds[i % clients], data[i], sizeof(data[i]), i * 512,
					       NBD_NULL_COMPLETION, 0);

		assert_true(cookie > 0);
	}
}

static void finish_reads(struct nbd_handle **nbds, unsigned clients)
{
	for (unsigned i = 0; i < clients; i++) {
		int64_t cookie;

		while (nbd_aio_in_flight(nbds[i]) > 0)
			api_assert_nbd(nbd_poll(nbds[i], -1));
		while ((cookie = nbd_aio_peek_command_completed(nbds[i])) > 0)
			api_assert_nbd(nbd_aio_command_completed(nbds[i], (uint64_t)cookie));
		nbd_close(nbds[i]);
	}
}

/* Four clients with eight reads each at a driver that sleeps in every one of them. */
static struct notes *run_with_load(uint32_t max_concurrent_callbacks, pid_t *caller_tid)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct bdus_attrs concurrent = attrs;
	const struct api_outcome *outcome;
	struct nbd_handle *nbds[4];
	struct api_run run;

	concurrent.max_concurrent_callbacks = max_concurrent_callbacks;
	notes->read_ms = 10;
	notes->available_ms = 50;
	api_start(&run, &ops, &concurrent, notes);
	for (unsigned i = 0; i < 4; i++)
		nbds[i] = api_connect(&run);
	begin_reads(nbds, 4, 8);
	finish_reads(nbds, 4);
	outcome = api_stop(&run);
	if (!outcome->result)
		fail_msg("%s", outcome->message);
	assert_int_equal(notes->count, 1 + 1 + 32 + 1);
	*caller_tid = outcome->caller_tid;
	return notes;
}

static void test_one_callback_at_a_time_on_the_calling_thread(void **state)
{
	pid_t caller_tid;
	struct notes *notes = run_with_load(1, &caller_tid);

	(void)state;
	assert_int_equal(notes->most_running, 1);
	for (unsigned i = 0; i < notes->count; i++)
		assert_int_equal(notes->threads[i], caller_tid);
}

static void test_no_more_callbacks_at_once_than_allowed(void **state)
{
	pid_t caller_tid;
	struct notes *notes = run_with_load(4, &caller_tid);

	(void)state;
	assert_int_equal(notes->limit, 4);
	assert_in_range(notes->most_running, 2, 4);
}

/* A signal that comes while callbacks sleep: they are let finish, and terminate runs after them. */
static void test_requests_finish_before_terminate(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct bdus_attrs concurrent = attrs;
	const struct api_outcome *outcome;
	struct nbd_handle *nbds[1];
	struct api_run run;

	(void)state;
	concurrent.max_concurrent_callbacks = 4;
	notes->read_ms = 300;
	api_start(&run, &ops, &concurrent, notes);
	nbds[0] = api_connect(&run);
	begin_reads(nbds, 1, 2);
	while (atomic_load(&notes->running) == 0)
		api_assert_nbd(nbd_poll(nbds[0], 2));
	outcome = api_stop(&run);
	assert_true(outcome->result);
	assert_int_equal(notes->running, 0);
	assert_int_equal(notes->events[notes->count - 1], 't');
	nbd_close(nbds[0]);
}

/* Stdout of the driver, which is that of the test until it ends, goes to a pipe. */
static void test_path_is_printed_without_on_device_available(void **state)
{
	const struct bdus_ops plain = {.read = api_read_nothing};
	int saved = dup(STDOUT_FILENO);
	char printed[256] = "";
	struct api_run run;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	dup2(ends[1], STDOUT_FILENO);
	api_start(&run, &plain, &attrs, NULL);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(ends[1]);
	assert_int_equal(poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, 10000), 1);
	assert_true(read(ends[0], printed, sizeof(printed) - 1) > 0);
	nbd_close(api_connect(&run));
	assert_true(api_stop(&run)->result);
	assert_true(read(ends[0], printed + strlen(printed),
			 sizeof(printed) - 1 - strlen(printed)) >= 0);
	close(ends[0]);
	assert_int_equal(strncmp(printed, "nbd+unix://", 11), 0);
	assert_non_null(strstr(printed, api_socket()));
	assert_ptr_equal(strchr(printed, '\n'), printed + strlen(printed) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		api_unit_test(test_callbacks_come_in_order),
		api_unit_test(test_failed_initialize_ends_everything),
		api_unit_test(test_initialize_may_abort),
		api_unit_test(test_failed_on_device_available_is_followed_by_terminate),
		api_unit_test(test_failed_terminate_does_not_hide_an_earlier_failure),
		api_unit_test(test_failed_terminate_fails_the_run),
		api_unit_test(test_abort_fails_the_request_and_ends_the_run),
		api_unit_test(test_one_callback_at_a_time_on_the_calling_thread),
		api_unit_test(test_no_more_callbacks_at_once_than_allowed),
		api_unit_test(test_requests_finish_before_terminate),
		api_unit_test(test_path_is_printed_without_on_device_available),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
