/* SPDX-License-Identifier: MIT */
/*
 * A program's own system calls in the loop of bdus/async.h: sent, posted, linked, cancelled, sent
 * by a driver from within its submit; and waking the loop.
 */
#include "async_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POSTERS 4
#define EACH    64
#define WAKES   50

static const uint32_t ways[] = {0, BDUS_LOOP_NO_RING, BDUS_LOOP_NOT_POLLED,
				BDUS_LOOP_NOT_POLLED | BDUS_LOOP_NO_RING};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/** Processes a loop that is polled until it has nothing to do. */
static void settle(struct bdus_loop *loop)
{
	struct pollfd look = {.fd = bdus_loop_fd(loop), .events = POLLIN};

	for (unsigned turns = 0; look.fd >= 0 && poll(&look, 1, 20) != 0; turns++) {
		assert_true(turns < 10);
		assert_int_equal(bdus_loop_process(loop, 0), 0);
	}
}

/* ---- waking -------------------------------------------------------------------------------- */

static struct bdus_loop *woken;

static void wake_on_signal(int number)
{
	(void)number;
	bdus_loop_wake(woken);
}

static void *wake_late(void *loop)
{
	usleep(10000);
	bdus_loop_wake(loop);
	return NULL;
}

static void waking_ends_a_wait_or_the_next_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WAYS; i++) {
		pthread_t thread;

		woken = async_loop(ways[i]);
		bdus_loop_wake(woken);
		assert_int_equal(bdus_loop_process(woken, -1), 0);
		assert_int_equal(pthread_create(&thread, NULL, wake_late, woken), 0);
		assert_int_equal(bdus_loop_process(woken, -1), 0);
		pthread_join(thread, NULL);
		bdus_loop_destroy(woken);
	}
}

static void a_signal_handler_may_wake(void **state)
{
	const struct sigaction action = {.sa_handler = wake_on_signal};

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	for (unsigned i = 0; i < WAYS; i++) {
		woken = async_loop(ways[i]);
		for (unsigned round = 0; round < WAKES; round++) {
			raise(SIGUSR1);
			/* The signal is over: only the wake-up can end this. */
			assert_int_equal(bdus_loop_process(woken, -1), 0);
		}
		bdus_loop_destroy(woken);
	}
	signal(SIGUSR1, SIG_DFL);
}

static void a_wake_up_shows_in_the_descriptor(void **state)
{
	struct pollfd look = {.events = POLLIN};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct bdus_loop *const loop = async_loop(ways[i]);

		settle(loop);
		look.fd = bdus_loop_fd(loop);
		bdus_loop_wake(loop);
		assert_int_equal(poll(&look, 1, ASYNC_PATIENCE_MS), 1);
		assert_int_equal(bdus_loop_process(loop, 0), 0);
		assert_int_equal(poll(&look, 1, 20), 0);
		bdus_loop_destroy(loop);
	}
}

static void a_wait_ends_with_its_time(void **state)
{
	struct bdus_loop *const loop = async_loop(0);

	(void)state;
	assert_int_equal(bdus_loop_process(loop, 0), 0);
	assert_int_equal(bdus_loop_process(loop, 20), 0);
	bdus_loop_destroy(loop);
}

/* ---- sending ------------------------------------------------------------------------------- */

struct noted {
	struct bdus_call call;
	unsigned completed;
	int order;
};

static int next_order;

static void note(struct bdus_call *call)
{
	struct noted *const noted = (struct noted *)call;

	noted->completed++;
	noted->order = ++next_order;
}

/** Turns the loop, which is polled where it can be, until @noted has completed. */
static void finish(struct bdus_loop *loop, struct noted *noted)
{
	for (unsigned turns = 0; noted->completed == 0; turns++) {
		assert_true(turns < 1000);
		if (bdus_loop_fd(loop) >= 0)
			async_turn(loop);
		else
			assert_true(bdus_loop_process(loop, 1000) >= 0);
	}
	assert_int_equal(noted->completed, 1);
}

static void a_call_completes_once_with_its_result(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WAYS; i++) {
		struct bdus_loop *const loop = async_loop(ways[i]);
		struct noted open = {.call = {.completed = note}};
		struct noted wrong = {.call = {.completed = note}};

		asys_prep_openat(&open.call.message, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC,
				 0);
		asys_prep_openat(&wrong.call.message, AT_FDCWD, "/nowhere/at/all", O_RDONLY, 0);
		assert_int_equal(bdus_loop_send(loop, &open.call), 0);
		assert_int_equal(bdus_loop_send(loop, &wrong.call), 0);
		finish(loop, &open);
		finish(loop, &wrong);
		assert_true(open.call.message.result >= 0);
		assert_int_equal(wrong.call.message.result, -ENOENT);
		close((int)open.call.message.result);
		bdus_loop_destroy(loop);
	}
}

/* The program knows no reason to process, so the descriptor has to give one. */
static void a_call_sent_to_a_loop_at_rest_completes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WAYS; i++) {
		struct bdus_loop *const loop = async_loop(ways[i]);
		struct noted ready = {.call = {.completed = note}};
		struct noted later = {.call = {.completed = note}};
		int ends[2];

		assert_int_equal(pipe(ends), 0);
		assert_int_equal(write(ends[1], "x", 1), 1);
		settle(loop);
		asys_prep_poll(&ready.call.message, ends[0], POLLIN);
		assert_int_equal(bdus_loop_send(loop, &ready.call), 0);
		finish(loop, &ready);
		settle(loop);
		asys_prep_timeout(&later.call.message, asys_deadline(20));
		assert_int_equal(bdus_loop_send(loop, &later.call), 0);
		finish(loop, &later);
		close(ends[0]);
		close(ends[1]);
		bdus_loop_destroy(loop);
	}
}

struct poster {
	struct bdus_loop *loop;
	struct noted calls[EACH];
	int result;
};

static void *post_all(void *argument)
{
	struct poster *const poster = argument;

	for (unsigned i = 0; i < EACH && poster->result == 0; i++) {
		struct bdus_call *const call = &poster->calls[i].call;

		asys_prep_nop(&call->message);
		call->completed = note;
		poster->result = bdus_loop_post(poster->loop, call);
	}
	return NULL;
}

static void calls_posted_by_many_threads_complete_on_the_loops_own(void **state)
{
	static struct poster posters[POSTERS];
	pthread_t threads[POSTERS];

	(void)state;
	for (unsigned way = 0; way < WAYS; way++) {
		struct bdus_loop *const loop = async_loop(ways[way]);

		memset(posters, 0, sizeof(posters));
		for (unsigned i = 0; i < POSTERS; i++) {
			posters[i].loop = loop;
			assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]),
					 0);
		}
		for (unsigned i = 0; i < POSTERS; i++)
			for (unsigned j = 0; j < EACH; j++)
				finish(loop, &posters[i].calls[j]);
		for (unsigned i = 0; i < POSTERS; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(posters[i].result, 0);
		}
		bdus_loop_destroy(loop);
	}
}

static int scratch_file(void)
{
	char path[96];
	int file;

	snprintf(path, sizeof(path), "%s/scratch", async_folder());
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	unlink(path);
	return file;
}

static void linked_calls_run_in_order_and_stop_at_a_failure(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WAYS; i++) {
		struct bdus_loop *const loop = async_loop(ways[i]);
		const int file = scratch_file();
		struct noted write = {.call = {.completed = note}};
		struct noted read = write;
		struct noted wrong = write;
		struct noted never = write;
		struct bdus_call *const good[] = {&write.call, &read.call};
		struct bdus_call *const bad[] = {&wrong.call, &never.call};
		char got[4] = "";

		asys_prep_write(&write.call.message, file, "abc", 4, 0);
		write.call.message.flags |= ASYS_LINK_SUCCESS;
		asys_prep_read(&read.call.message, file, got, 4, 0);
		assert_int_equal(bdus_loop_send_linked(loop, good, 2), 0);
		finish(loop, &read);
		assert_int_equal(read.call.message.result, 4);
		assert_string_equal(got, "abc");
		assert_true(write.order < read.order);

		asys_prep_read(&wrong.call.message, -1, got, 4, 0);
		wrong.call.message.flags |= ASYS_LINK_SUCCESS;
		asys_prep_write(&never.call.message, file, "xyz", 4, 0);
		assert_int_equal(bdus_loop_send_linked(loop, bad, 2), 0);
		finish(loop, &never);
		assert_int_equal(wrong.call.message.result, -EBADF);
		assert_int_equal(never.call.message.result, -ECANCELED);
		assert_int_equal(pread(file, got, 4, 0), 4);
		assert_string_equal(got, "abc");
		close(file);
		bdus_loop_destroy(loop);
	}
}

static void links_without_an_end_are_refused(void **state)
{
	struct bdus_loop *const loop = async_loop(0);
	struct noted first = {.call = {.completed = note}};
	struct bdus_call *const calls[] = {&first.call};

	(void)state;
	asys_prep_nop(&first.call.message);
	first.call.message.flags |= ASYS_LINK_SUCCESS;
	assert_int_equal(bdus_loop_send_linked(loop, calls, 1), -EINVAL);
	assert_int_equal(bdus_loop_send_linked(loop, calls, 0), -EINVAL);
	assert_int_equal(bdus_loop_send_linked(loop, calls, 1000000), -EINVAL);
	assert_non_null(strstr(bdus_manage_error(), "1000000 linked calls"));
	bdus_loop_destroy(loop);
	assert_int_equal(first.completed, 0);
}

/* ---- cancelling ---------------------------------------------------------------------------- */

static void a_cancelled_call_completes_all_the_same(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WAYS; i++) {
		struct bdus_loop *const loop = async_loop(ways[i]);
		struct noted waits = {.call = {.completed = note}};
		int ends[2];

		assert_int_equal(pipe(ends), 0);
		asys_prep_poll(&waits.call.message, ends[0], POLLIN);
		assert_int_equal(bdus_loop_cancel(loop, &waits.call), -ENOENT);
		assert_int_equal(bdus_loop_send(loop, &waits.call), 0);
		settle(loop);
		assert_int_equal(waits.completed, 0);
		assert_int_equal(bdus_loop_cancel(loop, &waits.call), 0);
		finish(loop, &waits);
		assert_int_equal(waits.call.message.result, -ECANCELED);
		close(ends[0]);
		close(ends[1]);
		bdus_loop_destroy(loop);
	}
}

static struct bdus_loop *ending;
static int sent_at_the_end;

static void send_once_more(struct bdus_call *call)
{
	note(call);
	sent_at_the_end = bdus_loop_send(ending, call);
}

static void the_end_of_a_loop_completes_what_is_in_flight(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WAYS; i++) {
		struct noted waits = {.call = {.completed = note}};
		struct noted again = {.call = {.completed = send_once_more}};
		int ends[2];

		ending = async_loop(ways[i]);
		assert_int_equal(pipe(ends), 0);
		asys_prep_poll(&waits.call.message, ends[0], POLLIN);
		asys_prep_poll(&again.call.message, ends[0], POLLIN);
		assert_int_equal(bdus_loop_send(ending, &waits.call), 0);
		assert_int_equal(bdus_loop_send(ending, &again.call), 0);
		bdus_loop_destroy(ending);
		assert_int_equal(waits.completed, 1);
		assert_int_equal(waits.call.message.result, -ECANCELED);
		assert_int_equal(again.completed, 1);
		assert_int_equal(sent_at_the_end, -ESHUTDOWN);
		close(ends[0]);
		close(ends[1]);
	}
}

/* ---- a driver's own I/O -------------------------------------------------------------------- */

struct file_disk {
	struct async_disk disk;
	int file;
	unsigned busy;
};

struct file_call {
	struct bdus_call call;
	struct bdus_request *request;
	struct file_disk *disk;
};

static void file_done(struct bdus_call *call)
{
	struct file_call *const done = (struct file_call *)call;
	const int64_t wanted = (int64_t)done->request->length_bytes;

	done->disk->busy--;
	bdus_complete(done->request, call->message.result == wanted ? 0 : -EIO);
	free(done);
}

static void file_submit(void *instance, struct bdus_request *request)
{
	struct file_disk *const disk = instance;
	struct file_call *const made = malloc(sizeof(*made));
	const size_t length = request->length_bytes;
	const int64_t offset = (int64_t)request->offset_bytes;

	*made = (struct file_call){
		.call = {.completed = file_done}, .request = request, .disk = disk};
	disk->busy++;
	atomic_fetch_add(&disk->disk.submitted, 1);
	if (request->op == BDUS_OP_READ)
		bdus_payload_prep_read(&made->call.message, request, 0, length, disk->file, offset);
	else
		bdus_payload_prep_write(&made->call.message, request, 0, length, disk->file,
					offset);
	if (bdus_loop_send(bdus_queue_loop(bdus_request_queue(request)), &made->call) != 0)
		abort();
}

static void a_driver_sends_its_own_calls_from_submit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct async_client clients[4];
		struct bdus_loop *loop;
		struct bdus_queue *queue;
		struct file_disk disk;

		for (unsigned j = 0; j < 4; j++)
			async_client_start(&clients[j], 0, async_client_verify, j);
		loop = async_loop(ways[i]);
		async_disk_init(&disk.disk, ASYNC_AT_ONCE);
		disk.disk.driver.submit = file_submit;
		disk.busy = 0;
		disk.file = scratch_file();
		assert_int_equal(ftruncate(disk.file, ASYNC_DISK_BYTES), 0);
		queue = async_disk_start(&disk.disk, 0, loop);
		async_serve(loop, clients, 4, NULL, NULL);
		async_disk_end(&disk.disk, queue, loop);
		assert_int_equal(disk.busy, 0);
		bdus_loop_destroy(loop);
		close(disk.file);
		async_disk_finish(&disk.disk);
	}
}

/* ---- payloads ------------------------------------------------------------------------------ */

static void copy_by_payload(struct async_disk *disk, struct bdus_request *request)
{
	char *const place = disk->memory + request->offset_bytes;
	const uint64_t half = request->length_bytes / 2;
	int result;

	if (request->op == BDUS_OP_WRITE) {
		result = bdus_payload_get(request, 0, place, half);
		result |= bdus_payload_get(request, half, place + half, half);
	} else {
		result = bdus_payload_put(request, 0, place, half);
		result |= bdus_payload_put(request, half, place + half, half);
	}
	assert_int_equal(result, 0);
}

static void get_and_put_submit(void *instance, struct bdus_request *request)
{
	copy_by_payload(instance, request);
	bdus_complete(request, 0);
}

static void payloads_are_copied_part_by_part(void **state)
{
	struct async_client client;
	struct async_disk disk;
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	(void)state;
	async_client_start(&client, 0, async_client_verify, 3);
	loop = async_loop(0);
	async_disk_init(&disk, ASYNC_AT_ONCE);
	disk.driver.submit = get_and_put_submit;
	queue = async_disk_start(&disk, 0, loop);
	async_serve(loop, &client, 1, NULL, NULL);
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		async_unit_test(waking_ends_a_wait_or_the_next_one),
		async_unit_test(a_signal_handler_may_wake),
		async_unit_test(a_wake_up_shows_in_the_descriptor),
		async_unit_test(a_wait_ends_with_its_time),
		async_unit_test(a_call_completes_once_with_its_result),
		async_unit_test(a_call_sent_to_a_loop_at_rest_completes),
		async_unit_test(calls_posted_by_many_threads_complete_on_the_loops_own),
		async_unit_test(linked_calls_run_in_order_and_stop_at_a_failure),
		async_unit_test(links_without_an_end_are_refused),
		async_unit_test(a_cancelled_call_completes_all_the_same),
		async_unit_test(the_end_of_a_loop_completes_what_is_in_flight),
		async_unit_test(a_driver_sends_its_own_calls_from_submit),
		async_unit_test(payloads_are_copied_part_by_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
