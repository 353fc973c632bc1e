/* SPDX-License-Identifier: MIT */
/*
 * The threaded style, bdus/thread.h: requests that wait, for one another, for time, for system
 * calls and for other threads of the kernel, while their loop serves the rest; and what becomes of
 * threads when their loop ends. Each in a loop with io_uring and in one without.
 */
#include "async_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK    4096
#define AT_ONCE  32
#define SLEEP_MS 300

static const uint32_t ways[] = {0, BDUS_LOOP_NO_RING};

#define FOR_EACH_WAY(way) for (const uint32_t *way = ways; way < ways + 2; way++)

/** Serves one client from a disk of threads to its end. */
static void serve_client(uint32_t flags, async_client_fn *client_run, struct async_disk *disk,
			 void (*prepare)(struct bdus_loop *loop))
{
	struct async_client client;
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	async_client_start(&client, 0, client_run, 0);
	loop = async_loop(flags);
	if (prepare != NULL)
		prepare(loop);
	queue = async_disk_start(disk, 0, loop);
	async_serve(loop, &client, 1, NULL, NULL);
	async_disk_end(disk, queue, loop);
	bdus_loop_destroy(loop);
}

static void serve_threads(uint32_t flags, async_client_fn *client_run,
			  int (*on_thread)(struct async_disk *, struct bdus_request *),
			  void (*prepare)(struct bdus_loop *loop))
{
	struct async_disk disk;

	async_disk_init(&disk, ASYNC_THREADED);
	disk.on_thread = on_thread;
	serve_client(flags, client_run, &disk, prepare);
	async_disk_finish(&disk);
}

/* ---- time ---------------------------------------------------------------------------------- */

static unsigned inside, most_inside;

static int sleep_a_while(struct async_disk *disk, struct bdus_request *request)
{
	(void)disk;
	(void)request;
	if (++inside > most_inside)
		most_inside = inside;
	assert_int_equal(uthread_sleep_ms(SLEEP_MS), 0);
	inside--;
	return 0;
}

static bool read_at_once(struct nbd_handle *nbd, unsigned number)
{
	static char data[AT_ONCE][BLOCK];
	int64_t cookies[AT_ONCE];

	(void)number;
	for (unsigned i = 0; i < AT_ONCE; i++) {
		cookies[i] = nbd_aio_pread(nbd, data[i], BLOCK, (uint64_t)i * BLOCK,
					   NBD_NULL_COMPLETION, 0);
		if (cookies[i] < 0)
			return false;
	}
	for (unsigned i = 0; i < AT_ONCE; i++)
		while (!nbd_aio_command_completed(nbd, (uint64_t)cookies[i]))
			if (nbd_poll(nbd, ASYNC_PATIENCE_MS) <= 0)
				return false;
	return true;
}

static void requests_sleep_side_by_side(void **state)
{
	(void)state;
	FOR_EACH_WAY(way)
	{
		inside = most_inside = 0;
		serve_threads(*way, read_at_once, sleep_a_while, NULL);
		assert_int_equal(inside, 0);
		assert_true(most_inside > AT_ONCE / 4);
	}
}

/* ---- a mutex and system calls --------------------------------------------------------------- */

static uthread_mutex_t line = UTHREAD_MUTEX_INITIALIZER;
static int sockets[2];

/** Each word that comes in goes back with one added. */
static void *answer_words(void *unused)
{
	uint64_t word;

	while (uthread_recv(sockets[1], &word, sizeof(word), 0) == sizeof(word)) {
		word++;
		uthread_send(sockets[1], &word, sizeof(word), 0);
	}
	return unused;
}

static void start_answering(struct bdus_loop *loop)
{
	const uthread_attr_t detached = {.deadline_ns = UTHREAD_NEVER,
					 .detached = UTHREAD_CREATE_DETACHED};

	assert_int_equal(bdus_thread_create(loop, NULL, &detached, answer_words, NULL), 0);
}

static int ask_for_a_word(struct async_disk *disk, struct bdus_request *request)
{
	const uint64_t asked = request->offset_bytes;
	uint64_t word = asked;

	(void)disk;
	uthread_mutex_lock(&line);
	assert_int_equal(uthread_send(sockets[0], &word, sizeof(word), 0), sizeof(word));
	assert_int_equal(uthread_recv(sockets[0], &word, sizeof(word), 0), sizeof(word));
	uthread_mutex_unlock(&line);
	return word == asked + 1 ? 0 : -EIO;
}

static void requests_take_turns_at_a_socket(void **state)
{
	(void)state;
	FOR_EACH_WAY(way)
	{
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
		serve_threads(*way, async_client_verify, ask_for_a_word, start_answering);
		close(sockets[0]);
		close(sockets[1]);
	}
}

/* ---- being woken from elsewhere ------------------------------------------------------------- */

static struct uthread_parker parker;
static atomic_bool wants_wake, wakes_end;

static void *wake_parked(void *unused)
{
	while (!atomic_load(&wakes_end)) {
		if (atomic_exchange(&wants_wake, false))
			uthread_unpark(&parker);
		usleep(100);
	}
	return unused;
}

static int park_once(struct async_disk *disk, struct bdus_request *request)
{
	(void)disk;
	(void)request;
	uthread_mutex_lock(&line);
	uthread_parker_init(&parker);
	atomic_store(&wants_wake, true);
	assert_int_equal(uthread_park(&parker, uthread_deadline(ASYNC_PATIENCE_MS)), 0);
	uthread_mutex_unlock(&line);
	return 0;
}

static void threads_of_the_kernel_wake_requests(void **state)
{
	pthread_t waker;

	(void)state;
	FOR_EACH_WAY(way)
	{
		atomic_store(&wakes_end, false);
		assert_int_equal(pthread_create(&waker, NULL, wake_parked, NULL), 0);
		serve_threads(*way, read_at_once, park_once, NULL);
		atomic_store(&wakes_end, true);
		pthread_join(waker, NULL);
	}
}

/* ---- results ------------------------------------------------------------------------------- */

static int run_out_of_space(struct async_disk *disk, struct bdus_request *request)
{
	(void)disk;
	uthread_yield();
	return request->op == BDUS_OP_WRITE ? -ENOSPC : 0;
}

static bool see_no_space(struct nbd_handle *nbd, unsigned number)
{
	char data[BLOCK] = "";

	(void)number;
	return nbd_pwrite(nbd, data, BLOCK, 0, 0) == -1 && nbd_get_errno() == ENOSPC &&
	       nbd_pread(nbd, data, BLOCK, 0, 0) == 0;
}

static void a_failure_reaches_the_client(void **state)
{
	(void)state;
	FOR_EACH_WAY(way)
	serve_threads(*way, see_no_space, run_out_of_space, NULL);
}

static bool see_an_error(struct nbd_handle *nbd, unsigned number)
{
	char data[BLOCK] = "";

	(void)number;
	return nbd_pread(nbd, data, BLOCK, 0, 0) == -1 && nbd_get_errno() == EIO;
}

static void a_request_that_gets_no_thread_fails(void **state)
{
	struct async_disk disk;

	(void)state;
	async_disk_init(&disk, ASYNC_THREADED);
	disk.threads.stack_bytes = SIZE_MAX / 2;
	serve_client(0, see_an_error, &disk, NULL);
	disk.threads.stack_bytes = UTHREAD_STACK_MIN;
	async_disk_finish(&disk);
}

/* ---- threads that only yield ---------------------------------------------------------------- */

static atomic_bool yields_end;

static void *yield_for_ever(void *unused)
{
	while (!atomic_load(&yields_end))
		uthread_yield();
	return unused;
}

static void start_yielding(struct bdus_loop *loop)
{
	atomic_store(&yields_end, false);
	assert_int_equal(bdus_thread_create(loop, NULL, NULL, yield_for_ever, NULL), 0);
}

static void a_thread_that_only_yields_does_not_keep_the_loop(void **state)
{
	(void)state;
	FOR_EACH_WAY(way)
	serve_threads(*way, async_client_verify, NULL, start_yielding);
	atomic_store(&yields_end, true);
}

/* ---- the end of a loop ---------------------------------------------------------------------- */

static unsigned cleaned, cancelled_calls, woken;

static void count_cleaned(void *unused)
{
	(void)unused;
	cleaned++;
}

static void *sleep_for_ever(void *unused)
{
	uthread_cleanup_push(count_cleaned, NULL);
	uthread_sleep_until(UTHREAD_NEVER);
	woken++;
	uthread_cleanup_pop(0);
	return unused;
}

static void *read_for_ever(void *unused)
{
	char byte;

	uthread_setcanceltype(UTHREAD_CANCEL_RETURNS, NULL);
	if (uthread_read(sockets[0], &byte, 1) == -ECANCELED)
		cancelled_calls++;
	return unused;
}

/** Waits where no cancellation reaches it. */
static void *lock_for_ever(void *argument)
{
	uthread_mutex_t *const mutex = argument;

	uthread_mutex_lock(mutex);
	uthread_mutex_lock(mutex);
	woken++;
	return NULL;
}

static void a_loop_that_ends_cancels_its_threads(void **state)
{
	struct bdus_loop *loop;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	FOR_EACH_WAY(way)
	{
		uthread_mutex_t mutex = UTHREAD_MUTEX_INITIALIZER;

		cleaned = cancelled_calls = woken = 0;
		loop = async_loop(*way);
		assert_int_equal(bdus_thread_create(loop, NULL, NULL, sleep_for_ever, NULL), 0);
		assert_int_equal(bdus_thread_create(loop, NULL, NULL, read_for_ever, NULL), 0);
		assert_int_equal(bdus_thread_create(loop, NULL, NULL, lock_for_ever, &mutex), 0);
		assert_int_equal(bdus_loop_process(loop, 0), 0);
		assert_int_equal(bdus_loop_process(loop, 0), 0);
		bdus_loop_destroy(loop);
		assert_int_equal(cleaned, 1);
		assert_int_equal(cancelled_calls, 1);
		assert_int_equal(woken, 0);
	}
	close(sockets[0]);
	close(sockets[1]);
}

static void wrong_stacks_are_refused(void **state)
{
	struct async_disk disk;
	struct bdus_device *device = NULL;
	struct bdus_device_options options = {
		.size = sizeof(options),
		.driver = &disk.driver,
		.attrs = {.size_bytes = ASYNC_DISK_BYTES,
			  .ops = ASYNC_READ_WRITE,
			  .thread_stack_bytes = UTHREAD_STACK_MIN - 1},
		.transport = "nbd",
	};

	(void)state;
	async_disk_init(&disk, ASYNC_THREADED);
	assert_int_equal(bdus_device_create(&options, &device), -EINVAL);
	assert_non_null(strstr(bdus_manage_error(), "thread_stack_bytes"));
	async_disk_finish(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		async_unit_test(requests_sleep_side_by_side),
		async_unit_test(requests_take_turns_at_a_socket),
		async_unit_test(threads_of_the_kernel_wake_requests),
		async_unit_test(a_failure_reaches_the_client),
		async_unit_test(a_request_that_gets_no_thread_fails),
		async_unit_test(a_thread_that_only_yields_does_not_keep_the_loop),
		async_unit_test(a_loop_that_ends_cancels_its_threads),
		async_unit_test(wrong_stacks_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
