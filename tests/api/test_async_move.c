/* SPDX-License-Identifier: MIT */
/*
 * Queues that go from one thread's loop to another's and back while clients write and read: no
 * request is lost, none is served by the wrong thread, and what cannot move says so.
 */
#include "async_test.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUEUES  2
#define CLIENTS 4
/** How long a thread waits at most until it has served some. */
#define STAY_MS 200
#define SOME    20

/** Two threads that serve the queues by turns. */
struct relay {
	struct bdus_queue *queues[QUEUES];
	struct bdus_loop *loops[2];
	uint32_t flags;
	/** Whose turn it is, 2 at the end; under the lock. */
	unsigned turn;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned moves;
	unsigned refused;
};

static pthread_t server;
static atomic_uint strays;
static atomic_uint served[2];
static unsigned server_number;

static void note_server(struct async_disk *disk, struct bdus_request *request)
{
	(void)disk;
	(void)request;
	if (!pthread_equal(pthread_self(), server))
		atomic_fetch_add(&strays, 1);
	atomic_fetch_add(&served[server_number], 1);
}

static void expect(int result, int error, const char *word)
{
	assert_int_equal(result, error);
	if (strstr(bdus_manage_error(), word) == NULL)
		fail_msg("not a word of \"%s\": %s", word, bdus_manage_error());
}

/* ---- by turns ------------------------------------------------------------------------------ */

static void attach_all(struct relay *relay, unsigned number)
{
	server = pthread_self();
	server_number = number;
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(bdus_queue_attach(relay->queues[i], relay->loops[number]), 0);
}

static void detach(struct relay *relay, unsigned number, struct bdus_queue *queue)
{
	int result;

	while ((result = bdus_queue_detach(queue)) == -EBUSY) {
		relay->refused++;
		assert_true(bdus_loop_process(relay->loops[number], 1) >= 0);
	}
	assert_int_equal(result, 0);
	assert_null(bdus_queue_loop(queue));
}

static void detach_all(struct relay *relay, unsigned number)
{
	for (unsigned i = 0; i < QUEUES; i++)
		detach(relay, number, relay->queues[i]);
	relay->moves++;
}

/** Hands the turn to the other and waits for it to come back; false at the end. */
static bool hand_over(struct relay *relay, unsigned number)
{
	bool goes_on;

	pthread_mutex_lock(&relay->lock);
	relay->turn = 1 - number;
	pthread_cond_broadcast(&relay->changed);
	while (relay->turn == 1 - number)
		pthread_cond_wait(&relay->changed, &relay->lock);
	goes_on = relay->turn == number;
	pthread_mutex_unlock(&relay->lock);
	return goes_on;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void *serve_turns(void *argument)
{
	struct relay *const relay = argument;

	assert_int_equal(
		bdus_loop_create(
			&(struct bdus_loop_options){.size = sizeof(struct bdus_loop_options),
						    .flags = relay->flags},
			&relay->loops[1]),
		0);
	/* The first turn is the other's. */
	while (hand_over(relay, 1)) {
		const uint64_t until_ms = now_ms() + STAY_MS;
		const unsigned enough = atomic_load(&served[1]) + SOME;

		attach_all(relay, 1);
		while (now_ms() < until_ms && atomic_load(&served[1]) < enough)
			assert_true(bdus_loop_process(relay->loops[1], 1) >= 0);
		detach_all(relay, 1);
	}
	bdus_loop_destroy(relay->loops[1]);
	return NULL;
}

/** Called before each look at the main thread's loop. */
static void move_now_and_then(void *argument)
{
	static unsigned calls;
	struct relay *const relay = argument;

	if (++calls % 4 != 0)
		return;
	detach_all(relay, 0);
	assert_true(hand_over(relay, 0));
	attach_all(relay, 0);
}

static void end_relay(struct relay *relay, pthread_t other)
{
	pthread_mutex_lock(&relay->lock);
	relay->turn = 2;
	pthread_cond_broadcast(&relay->changed);
	pthread_mutex_unlock(&relay->lock);
	pthread_join(other, NULL);
}

static void await_turn(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	while (relay->turn != 0)
		pthread_cond_wait(&relay->changed, &relay->lock);
	pthread_mutex_unlock(&relay->lock);
}

static void end_disk(struct async_disk *disk, struct relay *relay)
{
	bdus_device_stop(disk->device);
	for (unsigned i = QUEUES; i-- > 0;) {
		while (bdus_queue_result(relay->queues[i]) == 0)
			async_turn(relay->loops[0]);
		assert_int_equal(bdus_queue_result(relay->queues[i]), -ENODEV);
	}
	for (unsigned i = QUEUES; i-- > 0;)
		assert_int_equal(bdus_queue_close(relay->queues[i]), 0);
	assert_int_equal(bdus_device_destroy(disk->device), 0);
}

static void relay_queues(uint32_t flags, enum async_answer answer)
{
	struct relay relay = {.flags = flags,
			      .turn = 1,
			      .lock = PTHREAD_MUTEX_INITIALIZER,
			      .changed = PTHREAD_COND_INITIALIZER};
	struct async_client clients[CLIENTS];
	struct async_disk disk;
	pthread_t other, helper;

	for (unsigned i = 0; i < CLIENTS; i++)
		async_client_start(&clients[i], 0, async_client_verify, i);
	async_disk_init(&disk, answer);
	disk.queues = QUEUES;
	disk.on_submit = note_server;
	if (answer == ASYNC_ELSEWHERE)
		assert_int_equal(pthread_create(&helper, NULL, async_disk_helper, &disk), 0);
	relay.loops[0] = async_loop(flags);
	server = pthread_self();
	server_number = 0;
	assert_int_equal(pthread_create(&other, NULL, serve_turns, &relay), 0);
	await_turn(&relay);
	assert_int_equal(async_disk_create(&disk, 0), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(bdus_queue_open(disk.device, i, relay.loops[0], &relay.queues[i]),
				 0);
	/* What is not started yet may move as well. */
	detach_all(&relay, 0);
	attach_all(&relay, 0);
	assert_int_equal(bdus_device_start(disk.device), 0);
	async_serve(relay.loops[0], clients, CLIENTS, move_now_and_then, &relay);
	end_relay(&relay, other);
	if (answer == ASYNC_ELSEWHERE) {
		async_disk_end_helper(&disk);
		pthread_join(helper, NULL);
	}
	end_disk(&disk, &relay);
	bdus_loop_destroy(relay.loops[0]);
	async_disk_finish(&disk);
	assert_true(relay.moves > 2);
	assert_int_equal(atomic_load(&strays), 0);
	assert_true(atomic_load(&served[0]) > 0);
	assert_true(atomic_load(&served[1]) > 0);
}

static void queues_move_between_threads_at_rest(void **state)
{
	(void)state;
	relay_queues(0, ASYNC_AT_ONCE);
}

static void queues_move_while_others_complete(void **state)
{
	(void)state;
	relay_queues(0, ASYNC_ELSEWHERE);
}

static void queues_move_without_io_uring(void **state)
{
	(void)state;
	relay_queues(BDUS_LOOP_NO_RING, ASYNC_AT_ONCE);
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void what_is_in_flight_stays(void **state)
{
	struct async_client client;
	struct async_disk disk;
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	(void)state;
	async_client_start(&client, 0, async_client_verify, 0);
	loop = async_loop(0);
	async_disk_init(&disk, ASYNC_HELD);
	queue = async_disk_start(&disk, 0, loop);
	while (disk.held_count == 0)
		async_turn(loop);
	expect(bdus_queue_detach(queue), -EBUSY, "1 requests are in flight");
	while (disk.held_count != 0)
		async_disk_answer(&disk, UINT_MAX, false);
	disk.answer = ASYNC_AT_ONCE;
	async_serve(loop, &client, 1, NULL, NULL);
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

static void a_detached_queue_is_in_no_loop(void **state)
{
	struct async_disk disk;
	struct bdus_queue *queue;
	struct bdus_loop *const loop = async_loop(0);

	(void)state;
	async_disk_init(&disk, ASYNC_AT_ONCE);
	queue = async_disk_start(&disk, 0, loop);
	expect(bdus_queue_attach(queue, loop), -EBUSY, "detach it first");
	assert_int_equal(bdus_queue_detach(queue), 0);
	expect(bdus_queue_detach(queue), -EINVAL, "was detached");
	expect(bdus_queue_process(queue, 0), -EINVAL, "was detached");
	expect(bdus_queue_fd(queue), -EINVAL, "was detached");
	expect(bdus_queue_close(queue), -EBUSY, "attach it before");
	expect(bdus_device_destroy(disk.device), -EBUSY, "still open");
	assert_int_equal(bdus_queue_attach(queue, loop), 0);
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

static void a_loop_of_its_own_is_not_left(void **state)
{
	struct async_disk disk;
	struct bdus_queue *queue;

	(void)state;
	async_disk_init(&disk, ASYNC_AT_ONCE);
	assert_int_equal(async_disk_create(&disk, 0), 0);
	assert_int_equal(bdus_queue_open(disk.device, 0, NULL, &queue), 0);
	expect(bdus_queue_detach(queue), -EINVAL, "a loop of its own");
	assert_int_equal(bdus_queue_close(queue), 0);
	bdus_device_destroy(disk.device);
	async_disk_finish(&disk);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		async_unit_test(queues_move_between_threads_at_rest),
		async_unit_test(queues_move_while_others_complete),
		async_unit_test(queues_move_without_io_uring),
		async_unit_test(what_is_in_flight_stays),
		async_unit_test(a_detached_queue_is_in_no_loop),
		async_unit_test(a_loop_of_its_own_is_not_left),
	};

	async_choose_way(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
