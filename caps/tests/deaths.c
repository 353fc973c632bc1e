/* SPDX-License-Identifier: MIT */
/*
 * Processes that are killed while messages are under way, again and again at other moments: the
 * other side completes, or is told of, every message, exactly once, and keeps no descriptor.
 */
#include "caps_test.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define UNDER_WAY 64

static const char *folder;
static char buffer[512];
static unsigned rounds = 60;

static void serve_for_ever(void)
{
	const struct caps_service_options options = {.size = sizeof(options), .directory = folder};
	struct caps_message message;
	struct caps_port *port;

	if (caps_serve("mortal", &options, &port) != 0)
		_exit(1);
	while (caps_get(port, &message, buffer, sizeof(buffer), -1) == 0)
		if (message.kind == CAPS_REQUEST)
			caps_reply(port, &message, NULL);
	_exit(1);
}

static void test_a_killed_service_leaves_no_message_open(void **state)
{
	const struct caps_client_options options = {
		.size = sizeof(options), .directory = folder, .timeout_ms = 5000};
	const struct caps_request request = text_request(1, "x");
	unsigned answered = 0, lost = 0;
	unsigned before = open_descriptors();

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		unsigned char completed[UNDER_WAY + 1] = {0};
		const pid_t child = fork();
		struct caps_message message;
		struct caps_port *port;
		unsigned put = 0;

		if (child == 0)
			serve_for_ever();
		assert_good(caps_connect("mortal", &options, &port));
		for (unsigned i = 0; i < UNDER_WAY; i++) {
			/* Without credit as long as there is no greeting, or gone. */
			put += caps_put(port, &request, NULL) == 0;
			if (i == round % UNDER_WAY)
				kill(child, SIGKILL);
		}
		while (caps_get(port, &message, buffer, sizeof(buffer), 5000) == 0) {
			assert_true(message.id <= put);
			assert_int_equal(completed[message.id]++, 0);
			assert_true(message.error == 0 || message.error == -ECONNRESET);
			answered += message.error == 0;
			lost += message.error != 0;
		}
		for (unsigned i = 1; i <= put; i++)
			assert_int_equal(completed[i], 1);
		caps_destroy(port);
		waitpid(child, NULL, 0);
	}
	assert_int_equal(open_descriptors(), before);
	print_message("%u answered, %u lost\n", answered, lost);
}

static void call_for_ever(void)
{
	const struct caps_client_options options = {
		.size = sizeof(options), .directory = folder, .timeout_ms = 5000};
	const struct caps_request request = text_request(1, "x");
	struct caps_message message;
	struct caps_port *port;

	if (caps_connect("patient", &options, &port) != 0)
		_exit(1);
	for (;;) {
		while (caps_put(port, &request, NULL) == 0)
			;
		while (caps_get(port, &message, buffer, sizeof(buffer), 0) == 0)
			;
	}
}

static void test_killed_clients_leave_no_request_open(void **state)
{
	const struct caps_service_options options = {.size = sizeof(options), .directory = folder};
	struct caps_message held[CAPS_WINDOW];
	struct caps_port *port;
	unsigned before = 0;

	(void)state;
	assert_good(caps_serve("patient", &options, &port));
	for (unsigned round = 0; round < rounds; round++) {
		const pid_t child = fork();
		unsigned count = 0, told = 0;
		struct caps_message message;

		if (child == 0)
			call_for_ever();
		while (count < 1 + round % 32) {
			assert_good(caps_get(port, &held[count], buffer, sizeof(buffer), 5000));
			count++;
		}
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (caps_get(port, &message, buffer, sizeof(buffer), 50) == 0) {
			if (message.kind == CAPS_REQUEST)
				held[count++] = message;
			else
				told++;
		}
		assert_int_equal(told, count);
		for (unsigned i = 0; i < count; i++)
			assert_int_equal(caps_reply(port, &held[i], NULL), -ECONNRESET);
		/* The first client has the service make what it needs for clients. */
		if (round == 0)
			before = open_descriptors();
		assert_int_equal(open_descriptors(), before);
	}
	caps_destroy(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_killed_service_leaves_no_message_open),
		cmocka_unit_test(test_killed_clients_leave_no_request_open),
	};
	int result;

	folder = namespace_make();
	result = cmocka_run_group_tests(tests, NULL, NULL);
	namespace_remove();
	return result;
}
