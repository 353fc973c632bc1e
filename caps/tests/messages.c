/* SPDX-License-Identifier: MIT */
/*
 * What caps.h promises of messages: states, aborts, sizes, credit, memory, descriptors,
 * generations, and ports that end. Both ends are in one process, so that each step is taken when
 * the test says.
 */
#include "caps_test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "caps_internal.h"

static char buffer[CAPS_INLINE_BYTES];
static struct caps_message message;

static void answer_text(struct caps_port *service, struct caps_message *request, const char *text)
{
	const struct caps_answer answer = {.data = text, .length = strlen(text)};

	assert_good(caps_reply(service, request, &answer));
}

static void put_text(struct caps_port *client, const char *text, uint64_t *id)
{
	const struct caps_request request = text_request(1, text);

	assert_good(caps_put(client, &request, id));
}

static void test_a_message_is_requested_answered_and_disposed_of(void **state)
{
	struct caps_message request;
	struct pair pair;
	uint64_t id;

	(void)state;
	pair_init(&pair, NULL, NULL);
	put_text(pair.client, "question", &id);
	assert_int_equal(caps_wait(pair.client, id, &message, buffer, sizeof(buffer), 0),
			 -ETIMEDOUT);
	get_request(pair.service, &request);
	assert_int_equal(request.operation, 1);
	assert_int_equal(request.length, 8);
	assert_memory_equal(request.data, "question", 8);
	answer_text(pair.service, &request, "answer");
	assert_int_equal(caps_reply(pair.service, &request, NULL), -ENOENT);
	assert_good(caps_wait(pair.client, id, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.id, id);
	assert_int_equal(message.kind, CAPS_REPLY);
	assert_memory_equal(message.data, "answer", 6);
	assert_int_equal(caps_wait(pair.client, id, &message, buffer, sizeof(buffer), 0), -ENOENT);
	pair_finish(&pair);
}

static void test_replies_reach_whom_they_are_for_in_any_order(void **state)
{
	struct caps_message requests[3];
	struct pair pair;
	uint64_t ids[3];
	char text[2] = "a";

	(void)state;
	pair_init(&pair, NULL, NULL);
	for (int i = 0; i < 3; i++, text[0]++)
		put_text(pair.client, text, &ids[i]);
	for (int i = 0; i < 3; i++)
		get_request(pair.service, &requests[i]);
	answer_text(pair.service, &requests[2], "three");
	answer_text(pair.service, &requests[0], "one");
	answer_text(pair.service, &requests[1], "two");
	assert_good(caps_wait(pair.client, ids[1], &message, buffer, sizeof(buffer), 0));
	assert_memory_equal(message.data, "two", 3);
	assert_good(caps_get(pair.client, &message, buffer, sizeof(buffer), 0));
	assert_memory_equal(message.data, "three", 5);
	assert_good(caps_get(pair.client, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.id, ids[0]);
	assert_int_equal(caps_get(pair.client, &message, buffer, sizeof(buffer), 0), -ENOENT);
	pair_finish(&pair);
}

static void test_abort_says_what_became_of_it(void **state)
{
	struct caps_request second = text_request(2, "waits");
	struct caps_message request;
	struct pair pair;
	uint64_t generation, first, queued;

	(void)state;
	pair_init(&pair, NULL, NULL);
	assert_good(caps_generation(pair.client, &generation, 0));
	pair.client->client.window = 1;
	assert_int_equal(caps_abort(pair.client, 7), CAPS_ABORT_NOT_FOUND);
	put_text(pair.client, "goes", &first);
	assert_int_equal(caps_put(pair.client, &second, &queued), -EAGAIN);
	second.flags = CAPS_QUEUE;
	assert_good(caps_put(pair.client, &second, &queued));
	assert_int_equal(caps_abort(pair.client, queued), CAPS_ABORT_ABORTED);
	assert_good(caps_wait(pair.client, queued, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.error, -ECANCELED);
	get_request(pair.service, &request);
	assert_int_equal(caps_abort(pair.client, first), CAPS_ABORT_FORWARDED);
	assert_good(caps_get(pair.service, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.kind, CAPS_ABORT);
	assert_int_equal(message.id, request.id);
	answer_text(pair.service, &request, "late");
	assert_int_equal(caps_wait(pair.client, first, &message, buffer, 1, 0), -EMSGSIZE);
	assert_int_equal(caps_abort(pair.client, first), CAPS_ABORT_DONE);
	assert_good(caps_wait(pair.client, first, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(caps_abort(pair.client, first), CAPS_ABORT_NOT_FOUND);
	pair_finish(&pair);
}

static void test_an_oversize_message_stays_and_says_its_size(void **state)
{
	struct pair pair;
	uint64_t id;

	(void)state;
	pair_init(&pair, NULL, NULL);
	put_text(pair.client, "twenty bytes of text", &id);
	message.length = 0;
	assert_int_equal(caps_get(pair.service, &message, buffer, 19, 0), -EMSGSIZE);
	assert_int_equal(message.length, 20);
	assert_int_equal(caps_get(pair.service, &message, buffer, 0, 0), -EMSGSIZE);
	assert_good(caps_get(pair.service, &message, buffer, 20, 0));
	assert_memory_equal(message.data, "twenty bytes of text", 20);
	answer_text(pair.service, &message, "0123456789");
	message.length = 0;
	assert_int_equal(caps_wait(pair.client, id, &message, buffer, 9, 0), -EMSGSIZE);
	assert_int_equal(message.length, 10);
	assert_good(caps_wait(pair.client, id, &message, buffer, 10, 0));
	assert_memory_equal(message.data, "0123456789", 10);
	pair_finish(&pair);
}

static void test_credit_pushes_back_and_comes_back(void **state)
{
	struct caps_request request = text_request(1, "x");
	struct pair pair;

	(void)state;
	pair_init(&pair, NULL, NULL);
	for (int i = 0; i < CAPS_WINDOW; i++)
		assert_good(caps_put(pair.client, &request, NULL));
	assert_int_equal(caps_put(pair.client, &request, NULL), -EAGAIN);
	request.flags = CAPS_QUEUE;
	assert_good(caps_put(pair.client, &request, NULL));
	for (int i = 0; i < CAPS_WINDOW; i++) {
		get_request(pair.service, &message);
		assert_good(caps_reply(pair.service, &message, NULL));
	}
	assert_int_equal(caps_get(pair.service, &message, buffer, sizeof(buffer), 0), -EAGAIN);
	for (int i = 0; i < CAPS_WINDOW; i++)
		assert_good(caps_get(pair.client, &message, buffer, sizeof(buffer), 0));
	get_request(pair.service, &message);
	assert_good(caps_reply(pair.service, &message, NULL));
	assert_good(caps_get(pair.client, &message, buffer, sizeof(buffer), 0));
	pair_finish(&pair);
}

static void test_a_busy_client_does_not_keep_others_waiting(void **state)
{
	const struct caps_request busy = text_request(1, "x"), other = text_request(2, "x");
	struct caps_port *client;
	struct pair pair;
	unsigned got = 0;
	int ends[2];

	(void)state;
	pair_init(&pair, NULL, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_good(caps_connect_fd(ends[1], NULL, &client));
	assert_good(caps_attach(pair.service, ends[0]));
	for (int i = 0; i < CAPS_WINDOW; i++)
		assert_good(caps_put(pair.client, &busy, NULL));
	assert_good(caps_put(client, &other, NULL));
	do {
		get_request(pair.service, &message);
		assert_true(++got <= 2);
	} while (message.operation != 2);
	caps_destroy(client);
	pair_finish(&pair);
}

static void test_a_long_payload_comes_in_sealed_memory(void **state)
{
	static unsigned char payload[1 << 20];
	const struct caps_request request = {.data = payload, .length = sizeof(payload)};
	const struct caps_answer answer = {.data = payload, .length = CAPS_INLINE_BYTES + 1};
	const unsigned before = open_descriptors();
	struct pair pair;
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (unsigned char)(i * 7 + i / 256);
	pair_init(&pair, NULL, NULL);
	assert_good(caps_put(pair.client, &request, &id));
	assert_good(caps_get(pair.service, &message, NULL, 0, 0));
	assert_int_equal(message.length, sizeof(payload));
	assert_memory_equal(message.data, payload, sizeof(payload));
	assert_int_equal(message.fd_count, 0);
	assert_good(caps_reply(pair.service, &message, &answer));
	assert_good(caps_wait(pair.client, id, &message, NULL, 0, 0));
	assert_memory_equal(message.data, payload, CAPS_INLINE_BYTES + 1);
	caps_release(&message);
	caps_release(&message);
	pair_finish(&pair);
	assert_int_equal(open_descriptors(), before);
}

static void test_memory_is_sent_often_and_changed_by_nobody(void **state)
{
	struct caps_memory memory;
	struct caps_request request = {.memory = &memory};
	struct pair pair;

	(void)state;
	pair_init(&pair, NULL, NULL);
	assert_int_equal(caps_memory_create(&memory, 0), -EINVAL);
	assert_int_equal(caps_memory_create(&memory, CAPS_MAX_BYTES + 1), -EINVAL);
	assert_good(caps_memory_create(&memory, 5000));
	memset(memory.data, 'm', 5000);
	assert_int_equal(caps_put(pair.client, &request, NULL), -EINVAL);
	assert_good(caps_memory_seal(&memory));
	assert_good(caps_memory_seal(&memory));
	assert_int_equal(pwrite(memory.fd, "x", 1, 0), -1);
	for (int i = 0; i < 3; i++) {
		assert_good(caps_put(pair.client, &request, NULL));
		assert_good(caps_get(pair.service, &message, NULL, 0, 0));
		assert_int_equal(message.length, 5000);
		assert_int_equal(((const char *)message.data)[4999], 'm');
		assert_good(caps_reply(pair.service, &message, NULL));
	}
	caps_memory_finish(&memory);
	pair_finish(&pair);
}

static void test_memory_outlives_the_ports_that_it_came_by(void **state)
{
	struct caps_message kept[4];
	struct caps_memory memory[4];
	struct pair pair;

	(void)state;
	pair_init(&pair, NULL, NULL);
	for (int i = 0; i < 4; i++) {
		const struct caps_request request = {.memory = &memory[i]};

		assert_good(caps_memory_create(&memory[i], 4096));
		memset(memory[i].data, 'a' + i, 4096);
		assert_good(caps_memory_seal(&memory[i]));
		assert_good(caps_put(pair.client, &request, NULL));
		assert_good(caps_get(pair.service, &kept[i], NULL, 0, 0));
		caps_memory_finish(&memory[i]);
	}
	pair_finish(&pair);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(((const char *)kept[i].data)[4095], 'a' + i);
		caps_release(&kept[i]);
	}
}

static void test_descriptors_go_both_ways_and_do_not_leak(void **state)
{
	const unsigned before = open_descriptors();
	int pipe_ends[2];
	struct caps_request request = {.fds = pipe_ends, .fd_count = 2};
	struct caps_answer answer = {.fd_count = 1};
	struct pair pair;
	char letter;
	int kept;

	(void)state;
	assert_int_equal(pipe(pipe_ends), 0);
	pair_init(&pair, NULL, NULL);
	assert_good(caps_put(pair.client, &request, NULL));
	get_request(pair.service, &message);
	assert_int_equal(message.fd_count, 2);
	assert_int_not_equal(fcntl(message.fds[1], F_GETFD) & FD_CLOEXEC, 0);
	assert_int_equal(write(message.fds[1], "p", 1), 1);
	answer.fds = &message.fds[0];
	assert_good(caps_reply(pair.service, &message, &answer));
	assert_good(caps_get(pair.client, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.fd_count, 1);
	kept = message.fds[0];
	message.fds[0] = -1;
	caps_release(&message);
	assert_int_equal(read(kept, &letter, 1), 1);
	close(kept);
	/* Sent, and never received. */
	assert_good(caps_put(pair.client, &request, NULL));
	request.fd_count = CAPS_MAX_FDS + 1;
	assert_int_equal(caps_put(pair.client, &request, NULL), -EINVAL);
	request.fd_count = 1;
	request.fds = (const int[]){9999};
	assert_int_equal(caps_put(pair.client, &request, NULL), -EBADF);
	pair_finish(&pair);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	assert_int_equal(open_descriptors(), before);
}

static void test_closing_answers_what_is_outstanding(void **state)
{
	struct pair pair;
	uint64_t got, unseen;

	(void)state;
	pair_init(&pair, NULL, NULL);
	put_text(pair.client, "got", &got);
	put_text(pair.client, "unseen", &unseen);
	get_request(pair.service, &message);
	caps_close(pair.service);
	assert_int_equal(caps_reply(pair.service, &message, NULL), -ENOTCONN);
	assert_int_equal(caps_get(pair.service, &message, buffer, sizeof(buffer), 0), -ENOTCONN);
	assert_good(caps_wait(pair.client, got, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.error, -ESHUTDOWN);
	assert_good(caps_wait(pair.client, unseen, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.error, -ECONNRESET);
	assert_int_equal(caps_put(pair.client, &(struct caps_request){0}, NULL), -ENOTCONN);
	pair_finish(&pair);
}

static void test_closing_a_client_completes_its_messages(void **state)
{
	struct pair pair;
	uint64_t id;

	(void)state;
	pair_init(&pair, NULL, NULL);
	put_text(pair.client, "got", &id);
	get_request(pair.service, &message);
	caps_close(pair.client);
	assert_int_equal(caps_put(pair.client, &(struct caps_request){0}, NULL), -ENOTCONN);
	assert_int_equal(caps_get(pair.service, &message, buffer, sizeof(buffer), 0), 0);
	assert_int_equal(message.kind, CAPS_ABORT);
	assert_int_equal(caps_reply(pair.service, &message, NULL), -ECONNRESET);
	assert_int_equal(caps_reply(pair.service, &message, NULL), -ENOENT);
	assert_good(caps_wait(pair.client, id, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.error, -ESHUTDOWN);
	pair_finish(&pair);
}

static bool is_readable(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};

	return poll(&look, 1, 0) == 1;
}

static void test_one_descriptor_tells_of_everything(void **state)
{
	struct pair pair;
	uint64_t first, second;
	int service, client;

	(void)state;
	pair_init(&pair, NULL, NULL);
	service = caps_fd(pair.service);
	client = caps_fd(pair.client);
	assert_false(is_readable(service));
	put_text(pair.client, "one", &first);
	put_text(pair.client, "two", &second);
	assert_true(is_readable(service));
	assert_int_equal(caps_get(pair.service, &message, buffer, 1, 0), -EMSGSIZE);
	assert_true(is_readable(service));
	get_request(pair.service, &message);
	assert_good(caps_reply(pair.service, &message, NULL));
	get_request(pair.service, &message);
	assert_false(is_readable(service));
	assert_good(caps_reply(pair.service, &message, NULL));
	/* The first is received, and kept, on the way to the second. */
	assert_good(caps_wait(pair.client, second, &message, buffer, sizeof(buffer), 0));
	assert_true(is_readable(client));
	assert_good(caps_get(pair.client, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.id, first);
	assert_false(is_readable(client));
	caps_close(pair.client);
	assert_true(is_readable(service));
	pair_finish(&pair);
}

static void test_generations_are_read_without_a_message(void **state)
{
	struct pair pair;
	uint64_t generation = 77;

	(void)state;
	pair_init(&pair, NULL, NULL);
	assert_good(caps_generation(pair.client, &generation, 0));
	assert_int_equal(generation, 0);
	caps_publish(pair.service, UINT64_MAX - 1);
	assert_good(caps_generation(pair.client, &generation, 0));
	assert_true(generation == UINT64_MAX - 1);
	assert_int_equal(caps_get(pair.service, &message, buffer, sizeof(buffer), 0), -EAGAIN);
	pair_finish(&pair);
}

static void test_a_call_that_is_late_is_aborted_and_forgotten(void **state)
{
	const struct caps_request request = text_request(1, "slow");
	struct caps_message late;
	struct pair pair;

	(void)state;
	pair_init(&pair, NULL, NULL);
	assert_int_equal(caps_call(pair.client, &request, &message, buffer, sizeof(buffer), 20),
			 -ETIMEDOUT);
	get_request(pair.service, &late);
	assert_good(caps_get(pair.service, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.kind, CAPS_ABORT);
	answer_text(pair.service, &late, "nobody wants it");
	assert_int_equal(caps_get(pair.client, &message, buffer, sizeof(buffer), 0), -ENOENT);
	pair_finish(&pair);
}

static void test_what_a_client_leaves_unread_is_bounded(void **state)
{
	struct caps_service_options options = {.max_unread_bytes = 300000, .window = 1000};
	const struct caps_answer answer = {.data = buffer, .length = sizeof(buffer)};
	struct caps_request request = text_request(1, "x");
	struct pair pair;
	int error = 0;

	(void)state;
	request.flags = CAPS_QUEUE;
	pair_init(&pair, &options, NULL);
	for (int i = 0; i < 64; i++)
		assert_good(caps_put(pair.client, &request, NULL));
	for (int i = 0; i < 64 && error == 0; i++) {
		char small[8];

		assert_good(caps_get(pair.service, &message, small, sizeof(small), 0));
		error = caps_reply(pair.service, &message, &answer);
	}
	assert_int_equal(error, -ECONNRESET);
	for (int i = 0; i < 64; i++)
		assert_good(caps_get(pair.client, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(caps_get(pair.client, &message, buffer, sizeof(buffer), 0), -ENOTCONN);
	pair_finish(&pair);
}

static void test_replies_wait_for_a_client_that_reads_late(void **state)
{
	const struct caps_answer answer = {.data = buffer, .length = sizeof(buffer)};
	struct caps_request request = text_request(1, "x");
	struct pair pair;
	static char room[CAPS_INLINE_BYTES];

	(void)state;
	pair_init(&pair, NULL, NULL);
	for (int i = 0; i < 8; i++) {
		assert_good(caps_put(pair.client, &request, NULL));
		get_request(pair.service, &message);
		assert_good(caps_reply(pair.service, &message, &answer));
	}
	for (int i = 0; i < 8; i++) {
		assert_good(caps_get(pair.client, &message, room, sizeof(room), 0));
		assert_int_equal(message.length, sizeof(buffer));
		assert_int_equal(caps_get(pair.service, &message, buffer, 8, 0), -EAGAIN);
	}
	pair_finish(&pair);
}

static void test_the_child_of_a_fork_is_not_connected(void **state)
{
	struct pair pair;
	uint64_t id;
	int status;
	pid_t child;

	(void)state;
	pair_init(&pair, NULL, NULL);
	put_text(pair.client, "before", &id);
	child = fork();
	if (child == 0) {
		const bool good =
			caps_put(pair.client, &(struct caps_request){0}, NULL) == -ENOTCONN &&
			caps_wait(pair.client, id, &message, buffer, 8, 0) == -ENOTCONN &&
			caps_get(pair.service, &message, buffer, 8, 0) == -ENOTCONN &&
			caps_fd(pair.service) == -ENOTCONN;

		pair_finish(&pair);
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	get_request(pair.service, &message);
	answer_text(pair.service, &message, "after");
	assert_good(caps_wait(pair.client, id, &message, buffer, sizeof(buffer), 0));
	pair_finish(&pair);
}

/* What a death leaves is that descriptors are closed, without a farewell. */
static void test_a_child_keeps_no_connection_of_the_dead_open(void **state)
{
	for (int service_dies = 0; service_dies < 2; service_dies++) {
		struct caps_message request;
		struct pair pair;
		uint64_t id;
		pid_t child;

		(void)state;
		pair_init(&pair, NULL, NULL);
		put_text(pair.client, "before", &id);
		get_request(pair.service, &request);
		child = fork();
		if (child == 0)
			for (;;)
				pause();
		if (service_dies) {
			caps_service_abandon(pair.service);
			assert_good(
				caps_wait(pair.client, id, &message, buffer, sizeof(buffer), 2000));
			assert_int_equal(message.error, -ECONNRESET);
		} else {
			caps_client_abandon(pair.client);
			assert_good(caps_get(pair.service, &message, buffer, sizeof(buffer), 2000));
			assert_int_equal(message.kind, CAPS_ABORT);
		}
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		pair_finish(&pair);
	}
}

static void test_calls_for_the_other_kind_of_port_are_refused(void **state)
{
	struct pair pair;
	uint64_t generation;

	(void)state;
	pair_init(&pair, NULL, NULL);
	assert_int_equal(caps_put(pair.service, &(struct caps_request){0}, NULL), -EINVAL);
	assert_int_equal(caps_generation(pair.service, &generation, 0), -EINVAL);
	assert_int_equal(caps_abort(pair.service, 1), -EINVAL);
	assert_int_equal(caps_reply(pair.client, &message, NULL), -EINVAL);
	assert_int_equal(caps_attach(pair.client, 0), -EINVAL);
	assert_int_equal(
		caps_put(pair.client, &(struct caps_request){.operation = UINT32_MAX}, NULL),
		-EINVAL);
	pair_finish(&pair);
}

static void test_a_description_is_answered_by_the_port(void **state)
{
	struct caps_service_options options = {.description = "{}"};
	const struct caps_request request = {.operation = CAPS_DESCRIBE};
	struct pair pair;

	(void)state;
	pair_init(&pair, &options, NULL);
	assert_good(caps_put(pair.client, &request, NULL));
	assert_int_equal(caps_get(pair.service, &message, buffer, sizeof(buffer), 0), -EAGAIN);
	assert_good(caps_get(pair.client, &message, buffer, sizeof(buffer), 0));
	assert_memory_equal(message.data, "{}", 2);
	pair_finish(&pair);
}

static void *call_once(void *port)
{
	const struct caps_request request = text_request(1, "from another thread");
	struct caps_message reply;
	char room[32];

	return caps_call(port, &request, &reply, room, sizeof(room), -1) == 0 &&
			       reply.error == -ESHUTDOWN
		       ? port
		       : NULL;
}

static void test_closing_wakes_who_waits(void **state)
{
	struct pair pair;
	pthread_t thread;
	void *result;

	(void)state;
	pair_init(&pair, NULL, NULL);
	pthread_create(&thread, NULL, call_once, pair.client);
	assert_good(caps_get(pair.service, &message, buffer, sizeof(buffer), 2000));
	caps_close(pair.client);
	pthread_join(thread, &result);
	assert_ptr_equal(result, pair.client);
	pair_finish(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_message_is_requested_answered_and_disposed_of),
		cmocka_unit_test(test_replies_reach_whom_they_are_for_in_any_order),
		cmocka_unit_test(test_abort_says_what_became_of_it),
		cmocka_unit_test(test_an_oversize_message_stays_and_says_its_size),
		cmocka_unit_test(test_credit_pushes_back_and_comes_back),
		cmocka_unit_test(test_a_busy_client_does_not_keep_others_waiting),
		cmocka_unit_test(test_a_long_payload_comes_in_sealed_memory),
		cmocka_unit_test(test_memory_is_sent_often_and_changed_by_nobody),
		cmocka_unit_test(test_memory_outlives_the_ports_that_it_came_by),
		cmocka_unit_test(test_descriptors_go_both_ways_and_do_not_leak),
		cmocka_unit_test(test_closing_answers_what_is_outstanding),
		cmocka_unit_test(test_closing_a_client_completes_its_messages),
		cmocka_unit_test(test_one_descriptor_tells_of_everything),
		cmocka_unit_test(test_generations_are_read_without_a_message),
		cmocka_unit_test(test_a_call_that_is_late_is_aborted_and_forgotten),
		cmocka_unit_test(test_what_a_client_leaves_unread_is_bounded),
		cmocka_unit_test(test_replies_wait_for_a_client_that_reads_late),
		cmocka_unit_test(test_the_child_of_a_fork_is_not_connected),
		cmocka_unit_test(test_a_child_keeps_no_connection_of_the_dead_open),
		cmocka_unit_test(test_calls_for_the_other_kind_of_port_are_refused),
		cmocka_unit_test(test_a_description_is_answered_by_the_port),
		cmocka_unit_test(test_closing_wakes_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
