/* SPDX-License-Identifier: MIT */
/*
 * One client's port and one service's port, each shared by several threads, with clients that come
 * and go beside them. Every call gets its own answer, and every message exactly one.
 */
#include "caps_test.h"

#include <pthread.h>
#include <stdatomic.h>

#define CALLERS  4
#define SERVERS  3
#define VISITORS 2

static unsigned rounds = 300;
static const char *folder;
static struct caps_port *service, *shared;
static atomic_uint served, answered, wrong;

static void *serve(void *unused)
{
	struct caps_message message;
	char buffer[64];
	int error;

	(void)unused;
	while ((error = caps_get(service, &message, buffer, sizeof(buffer), -1)) == 0) {
		const struct caps_answer answer = {.error = (int32_t)message.operation,
						   .data = buffer,
						   .length = message.length};

		/* Aborts come from calls that gave up; what they name may be answered by now. */
		if (message.kind == CAPS_ABORT)
			continue;
		caps_publish(service, atomic_fetch_add(&served, 1));
		error = caps_reply(service, &message, &answer);
		if (error != 0 && error != -ECONNRESET)
			atomic_fetch_add(&wrong, 1);
	}
	return NULL;
}

static void call_once(struct caps_port *port, unsigned number)
{
	struct caps_message message;
	char text[64], buffer[64];
	struct caps_request request;
	int error;

	snprintf(text, sizeof(text), "call %u", number);
	request = text_request(number, text);
	error = caps_call(port, &request, &message, buffer, sizeof(buffer), 20000);
	if (error != 0 || message.error != (int32_t)number || message.length != strlen(text) ||
	    memcmp(buffer, text, message.length) != 0)
		atomic_fetch_add(&wrong, 1);
	else
		atomic_fetch_add(&answered, 1);
}

static void *call(void *first)
{
	const unsigned base = (unsigned)(uintptr_t)first;
	uint64_t generation;

	for (unsigned i = 0; i < rounds; i++) {
		call_once(shared, base + i);
		if (i % 16 == 0 && caps_generation(shared, &generation, 1000) != 0)
			atomic_fetch_add(&wrong, 1);
	}
	return NULL;
}

/* Asks, perhaps leaves before there is an answer, and comes back. */
static void *visit(void *first)
{
	const struct caps_client_options options = {
		.size = sizeof(options), .directory = folder, .timeout_ms = 5000};
	const unsigned base = (unsigned)(uintptr_t)first;

	for (unsigned i = 0; i < rounds / 10; i++) {
		const struct caps_request request = text_request(1, "gone");
		struct caps_port *port;

		if (caps_connect("shared", &options, &port) != 0) {
			atomic_fetch_add(&wrong, 1);
			continue;
		}
		call_once(port, base + i);
		if (i % 2 == 0)
			caps_put(port, &request, NULL);
		caps_destroy(port);
	}
	return NULL;
}

static void test_threads_share_ports(void **state)
{
	const struct caps_service_options own = {.size = sizeof(own), .directory = folder};
	const struct caps_client_options options = {.size = sizeof(options), .directory = folder};
	pthread_t servers[SERVERS], callers[CALLERS], visitors[VISITORS];

	(void)state;
	assert_good(caps_serve("shared", &own, &service));
	assert_good(caps_connect("shared", &options, &shared));
	for (int i = 0; i < SERVERS; i++)
		pthread_create(&servers[i], NULL, serve, NULL);
	for (uintptr_t i = 0; i < CALLERS; i++)
		pthread_create(&callers[i], NULL, call, (void *)((i + 1) * 100000));
	for (uintptr_t i = 0; i < VISITORS; i++)
		pthread_create(&visitors[i], NULL, visit, (void *)((i + 11) * 100000));
	for (int i = 0; i < CALLERS; i++)
		pthread_join(callers[i], NULL);
	for (int i = 0; i < VISITORS; i++)
		pthread_join(visitors[i], NULL);
	caps_close(service);
	for (int i = 0; i < SERVERS; i++)
		pthread_join(servers[i], NULL);
	caps_destroy(shared);
	caps_destroy(service);
	assert_int_equal(wrong, 0);
	assert_int_equal(answered, CALLERS * rounds + VISITORS * (rounds / 10));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads_share_ports)};
	int result;

	if (argc > 1)
		rounds = (unsigned)atoi(argv[1]);
	folder = namespace_make();
	result = cmocka_run_group_tests(tests, NULL, NULL);
	namespace_remove();
	return result;
}
