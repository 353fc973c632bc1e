/* SPDX-License-Identifier: MIT */
/*
 * How a service waits: at its only client's socket while that keeps asking, and for all others
 * nonetheless. Nobody waits for longer than a tick of the system because of a client that was
 * alone.
 */
#include "caps_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define SOON_MS   2000
#define CALLS     200
#define NEWCOMERS 30

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Answers until the port is closed. */
static void *serve(void *port)
{
	struct caps_message message;
	char buffer[64];
	int error;

	while ((error = caps_get(port, &message, buffer, sizeof(buffer), -1)) == 0)
		if (message.kind == CAPS_REQUEST)
			caps_reply(port, &message, NULL);
	return (void *)(intptr_t)error;
}

static void call(struct caps_port *client)
{
	const struct caps_request request = text_request(1, "call");
	struct caps_message reply;

	assert_good(caps_call(client, &request, &reply, NULL, 0, SOON_MS));
	assert_int_equal(reply.error, 0);
}

static const char *folder;

static void begin(struct pair *pair)
{
	const struct caps_service_options own = {.size = sizeof(own), .directory = folder};
	const struct caps_client_options options = {.size = sizeof(options), .directory = folder};

	assert_good(caps_serve("waits", &own, &pair->service));
	assert_good(caps_connect("waits", &options, &pair->client));
}

/* By name, as the service has to look at its listener for that. */
static struct caps_port *join(void)
{
	const struct caps_client_options options = {.size = sizeof(options), .directory = folder};
	struct caps_port *client;

	assert_good(caps_connect("waits", &options, &client));
	return client;
}

static void stop(struct pair *pair, pthread_t server)
{
	void *error;

	caps_close(pair->service);
	pthread_join(server, &error);
	assert_int_equal((intptr_t)error, -ENOTCONN);
	pair_finish(pair);
}

static void test_newcomers_are_served_beside_a_silent_client(void **state)
{
	struct pair pair;
	pthread_t server;

	(void)state;
	begin(&pair);
	pthread_create(&server, NULL, serve, pair.service);
	for (unsigned i = 0; i < NEWCOMERS; i++) {
		struct caps_port *newcomer;

		for (unsigned j = 0; j < i % 5; j++)
			call(pair.client);
		newcomer = join();
		call(newcomer);
		caps_destroy(newcomer);
	}
	stop(&pair, server);
}

struct asker {
	struct caps_port *client;
	atomic_bool done;
};

static void *ask_without_pause(void *argument)
{
	struct asker *asker = argument;

	while (!atomic_load(&asker->done))
		call(asker->client);
	return NULL;
}

static void test_newcomers_are_served_beside_one_that_never_stops(void **state)
{
	struct asker asker;
	pthread_t server, busy;
	struct pair pair;

	(void)state;
	begin(&pair);
	asker = (struct asker){.client = pair.client};
	pthread_create(&server, NULL, serve, pair.service);
	pthread_create(&busy, NULL, ask_without_pause, &asker);
	for (unsigned i = 0; i < NEWCOMERS; i++) {
		struct caps_port *newcomer = join();

		call(newcomer);
		caps_destroy(newcomer);
	}
	atomic_store(&asker.done, true);
	pthread_join(busy, NULL);
	stop(&pair, server);
}

static void test_closing_ends_the_wait_at_a_client(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NEWCOMERS; i++) {
		struct pair pair;
		pthread_t server;

		begin(&pair);
		pthread_create(&server, NULL, serve, pair.service);
		call(pair.client);
		stop(&pair, server);
	}
}

/* Requests of more and of less than one piece is meant for, one after the other. */
static void test_lengths_may_change_from_one_to_the_next(void **state)
{
	static const unsigned lengths[] = {0, 7, 1024, 60000, 3, 65536, 65536, 0, 1025};
	static char data[65536], buffer[65536];
	struct pair pair;

	(void)state;
	begin(&pair);
	for (unsigned i = 0; i < CALLS; i++) {
		const unsigned length = lengths[i % (sizeof(lengths) / sizeof(lengths[0]))];
		/* Room for all of it, or only by asking again. */
		const size_t room = i % 3 == 0 ? sizeof(buffer) : length / 2;
		const struct caps_request request = {.data = data, .length = length};
		struct caps_message message;
		int result;

		memset(data, (int)i, sizeof(data));
		assert_good(caps_put(pair.client, &request, NULL));
		result = caps_get(pair.service, &message, buffer, room, SOON_MS);
		if (result == -EMSGSIZE)
			result = caps_get(pair.service, &message, buffer, length, SOON_MS);
		assert_good(result);
		assert_int_equal(message.length, length);
		assert_int_equal(memcmp(buffer, data, length), 0);
		assert_good(caps_reply(pair.service, &message, NULL));
		assert_good(caps_get(pair.client, &message, NULL, 0, SOON_MS));
	}
	pair_finish(&pair);
}

static void test_a_wait_is_as_long_as_it_was_told(void **state)
{
	static const int timeouts_ms[] = {5, 30, 150, 1050};
	struct caps_message message;
	struct pair pair;

	(void)state;
	begin(&pair);
	for (unsigned i = 0; i < sizeof(timeouts_ms) / sizeof(timeouts_ms[0]); i++) {
		const struct caps_request request = text_request(1, "late");
		const uint64_t begin_ms = now_ms();
		char buffer[64];
		uint64_t id;

		assert_good(caps_put(pair.client, &request, &id));
		assert_good(caps_get(pair.service, &message, buffer, sizeof(buffer), SOON_MS));
		assert_int_equal(
			caps_get(pair.service, &(struct caps_message){0}, NULL, 0, timeouts_ms[i]),
			-ETIMEDOUT);
		assert_true(now_ms() - begin_ms >= (uint64_t)timeouts_ms[i]);
		assert_int_equal(caps_wait(pair.client, id, &message, NULL, 0, timeouts_ms[i]),
				 -ETIMEDOUT);
		assert_true(now_ms() - begin_ms >= 2 * (uint64_t)timeouts_ms[i]);
	}
	pair_finish(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newcomers_are_served_beside_a_silent_client),
		cmocka_unit_test(test_newcomers_are_served_beside_one_that_never_stops),
		cmocka_unit_test(test_closing_ends_the_wait_at_a_client),
		cmocka_unit_test(test_lengths_may_change_from_one_to_the_next),
		cmocka_unit_test(test_a_wait_is_as_long_as_it_was_told),
	};

	int result;

	folder = namespace_make();
	result = cmocka_run_group_tests(tests, NULL, NULL);
	namespace_remove();
	return result;
}
