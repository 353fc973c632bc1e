/* SPDX-License-Identifier: MIT */
/*
 * Ports in userland threads, all of them on one thread of the kernel: who waits for a message waits
 * alone, or nobody would ever answer it.
 */
#include "caps_test.h"

#include <poll.h>
#include <uthread.h>
#include <uthread/asys.h>

#define CALLERS 8
#define SERVERS 3

static unsigned rounds = 200;
static const char *folder;
static struct caps_port *service, *shared;
static unsigned answered, ticks;
static bool is_over;

/* ---- waiting ---- */

static int wait_for(struct caps_port *port)
{
	const int64_t events = uthread_poll(caps_fd(port), POLLIN, uthread_deadline(20000));

	return events > 0 ? 0 : (int)events;
}

/** As caps_get() without an end. */
static int get_message(struct caps_port *port, struct caps_message *message, char *buffer,
		       size_t capacity)
{
	int error;

	while ((error = caps_get(port, message, buffer, capacity, 0)) == -EAGAIN)
		if (wait_for(port) != 0)
			return -ETIMEDOUT;
	return error;
}

/** As caps_call(). */
static int call_port(struct caps_port *port, const struct caps_request *request,
		     struct caps_message *message, char *buffer, size_t capacity)
{
	uint64_t id;
	int error;

	while ((error = caps_put(port, request, &id)) == -EAGAIN)
		if (wait_for(port) != 0)
			return -ETIMEDOUT;
	while (error == 0 &&
	       (error = caps_wait(port, id, message, buffer, capacity, 0)) == -ETIMEDOUT) {
		error = wait_for(port);
		if (error != 0)
			return error;
	}
	return error;
}

/* ---- threads ---- */

/** Takes what comes next while it still has to answer, so that several are open at a time. */
static void *serve(void *unused)
{
	struct caps_message message;
	char buffer[64];

	while (!is_over && get_message(service, &message, buffer, sizeof(buffer)) == 0) {
		const struct caps_answer answer = {.error = (int32_t)message.operation,
						   .data = buffer,
						   .length = message.length};

		uthread_yield();
		assert_int_equal(message.kind, CAPS_REQUEST);
		assert_good(caps_reply(service, &message, &answer));
	}
	return unused;
}

static void call_once(struct caps_port *port, unsigned number)
{
	struct caps_message message;
	char text[64], buffer[64];
	struct caps_request request;

	snprintf(text, sizeof(text), "call %u", number);
	request = text_request(number, text);
	assert_good(call_port(port, &request, &message, buffer, sizeof(buffer)));
	assert_int_equal(message.error, number);
	assert_int_equal(message.length, strlen(text));
	assert_memory_equal(buffer, text, message.length);
	answered++;
}

/** Half of them share a port, the others have one each. */
static void *call(void *argument)
{
	const struct caps_client_options options = {.size = sizeof(options), .directory = folder};
	const unsigned number = (unsigned)(uintptr_t)argument;
	struct caps_port *own = NULL;

	if (number % 2 != 0)
		assert_good(caps_connect("threads", &options, &own));
	for (unsigned i = 0; i < rounds; i++)
		call_once(own != NULL ? own : shared, number * 100000 + i + 1);
	caps_destroy(own);
	return argument;
}

static void *tick(void *unused)
{
	while (!is_over) {
		ticks++;
		uthread_sleep_ms(1);
	}
	return unused;
}

/** Ends the servers, which wait, by one request to each. */
static void end_servers(uthread_t *servers)
{
	const struct caps_request request = text_request(1, "the end");

	is_over = true;
	for (unsigned i = 0; i < SERVERS; i++)
		assert_good(caps_put(shared, &request, NULL));
	for (unsigned i = 0; i < SERVERS; i++)
		assert_int_equal(uthread_join(servers[i], NULL), 0);
}

static void *start(void *unused)
{
	uthread_t servers[SERVERS], callers[CALLERS], ticker;

	assert_int_equal(uthread_create(&ticker, NULL, tick, NULL), 0);
	for (unsigned i = 0; i < SERVERS; i++)
		assert_int_equal(uthread_create(&servers[i], NULL, serve, NULL), 0);
	/* All wait for what is not there. */
	uthread_sleep_ms(20);
	for (uintptr_t i = 0; i < CALLERS; i++)
		assert_int_equal(uthread_create(&callers[i], NULL, call, (void *)i), 0);
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(uthread_join(callers[i], NULL), 0);
	end_servers(servers);
	assert_int_equal(uthread_join(ticker, NULL), 0);
	return unused;
}

static void test_waiting_for_a_port_blocks_one_userland_thread(void **state)
{
	const struct uthread_options options = {
		.size = sizeof(options), .workers = 1, .hooks = &uthread_asys_hooks};
	const struct caps_service_options own = {.size = sizeof(own), .directory = folder};
	const struct caps_client_options client = {.size = sizeof(client), .directory = folder};

	(void)state;
	assert_good(caps_serve("threads", &own, &service));
	assert_good(caps_connect("threads", &client, &shared));
	assert_int_equal(uthread_run(&options, start, NULL, NULL), 0);
	caps_destroy(shared);
	caps_destroy(service);
	assert_int_equal(answered, CALLERS * rounds);
	assert_true(ticks >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waiting_for_a_port_blocks_one_userland_thread)};
	int result;

	folder = namespace_make();
	result = cmocka_run_group_tests(tests, NULL, NULL);
	namespace_remove();
	return result;
}
