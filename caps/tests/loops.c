/* SPDX-License-Identifier: MIT */
/*
 * Ports in the loop of asys: a poll message tells when there is something to get.
 */
#include "caps_test.h"

#include <asys.h>

/* Waits by asys until the port's descriptor is readable. */
static void wait_by_asys(struct asys *asys, struct caps_port *port)
{
	struct asys_message poll_message, *batch = &poll_message, *done;

	asys_prep_poll(&poll_message, caps_fd(port), POLLIN);
	assert_int_equal(asys_send(asys, &batch, 1), 1);
	while (asys_wait(asys, &done, 1, 5000) == 0)
		;
	assert_ptr_equal(done, &poll_message);
	assert_true((poll_message.result & POLLIN) != 0);
}

static void test_asys_waits_for_ports(void **state)
{
	const struct caps_request request = text_request(1, "by asys");
	struct caps_message message;
	struct asys *asys;
	struct pair pair;
	char buffer[64];

	(void)state;
	assert_int_equal(asys_create(NULL, &asys), 0);
	pair_init(&pair, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		assert_good(caps_put(pair.client, &request, NULL));
		wait_by_asys(asys, pair.service);
		get_request(pair.service, &message);
		assert_good(caps_reply(pair.service, &message, NULL));
		wait_by_asys(asys, pair.client);
		while (caps_get(pair.client, &message, buffer, sizeof(buffer), 0) == -EAGAIN)
			wait_by_asys(asys, pair.client);
		assert_int_equal(message.error, 0);
	}
	pair_finish(&pair);
	asys_destroy(asys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_asys_waits_for_ports)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
