/* SPDX-License-Identifier: MIT */
/*
 * What wirec makes of operations: stubs that call, handlers that are called, checks on both sides,
 * printers. A service of its own runs in a thread.
 */
#include "caps_test.h"
#include "store_service.h"

#include <pthread.h>

static struct store store;
static struct pair pair;
static pthread_t thread;
static char buffer[1024];
static struct caps_message message;

static void *serve(void *unused)
{
	const struct store_service service = store_handlers(&store);
	struct caps_message request;
	char room[1024];

	(void)unused;
	while (caps_get(pair.service, &request, room, sizeof(room), -1) == 0)
		store_dispatch(&service, pair.service, &request);
	return NULL;
}

/* The state says whether the port checks beside the generated code. */
static int start(bool with_checks)
{
	struct caps_service_options service = {.size = sizeof(service)};
	struct caps_client_options client = {.size = sizeof(client)};

	memset(&store, 0, sizeof(store));
	if (with_checks) {
		store_caps_serve(&service);
		store_caps_connect(&client);
	}
	pair_init(&pair, &service, &client);
	return pthread_create(&thread, NULL, serve, NULL);
}

static int start_checked(void **state)
{
	(void)state;
	return start(true);
}

static int start_bare(void **state)
{
	(void)state;
	return start(false);
}

static int stop(void **state)
{
	(void)state;
	caps_close(pair.service);
	pthread_join(thread, NULL);
	pair_finish(&pair);
	return 0;
}

static int set(const char *name, const void *content, size_t size)
{
	const struct store_change_values change = {.options = STORE_OPTION_SYNC,
						   .name = {name, strlen(name)},
						   .content = wire_bytes(content, size)};
	struct store_changed changed;
	const int error =
		store_set_call(pair.client, &change, &changed, buffer, sizeof(buffer), -1);

	return error != 0 ? error : (int)store_changed_version(&changed) + 1000;
}

static int get(const char *name, struct store_value_view *value)
{
	const struct store_key_values key = {.name = {name, strlen(name)}};

	return store_get_call(pair.client, &key, value, &message, buffer, sizeof(buffer), -1);
}

static void test_stubs_call_handlers(void **state)
{
	struct store_value_view value;

	(void)state;
	assert_int_equal(set("name", "content", 7), 1001);
	assert_int_equal(get("name", &value), 0);
	assert_int_equal(store_value_version(&value), 1);
	assert_memory_equal(store_value_content(&value).data, "content", 7);
	caps_release(&message);
	assert_int_equal(store_clear_call(pair.client, -1), 0);
	assert_int_equal(get("name", &value), STORE_PROBLEM_NO_SUCH_KEY);
}

static void test_errors_are_the_operation_s_own(void **state)
{
	static const char large[300];

	(void)state;
	assert_int_equal(set("name", large, sizeof(large)), STORE_PROBLEM_FULL);
	assert_int_equal(store_later_call(pair.client, -1), -ENOSYS);
}

static void test_fixed_bodies_need_no_buffer(void **state)
{
	struct store_state there, back;

	(void)state;
	assert_int_equal(store_state_call(pair.client, &there, -1), 0);
	assert_int_equal(store_state_level(&there), 42);
	assert_int_equal(store_point_x(store_state_corners(&there, 1)), -5);
	assert_int_equal(store_mirror_call(pair.client, &there, &back, -1), 0);
	assert_memory_equal(&there, &back, sizeof(back));
}

static void test_descriptors_are_counted_on_both_sides(void **state)
{
	const struct store_key_values key = {.name = {"name", 4}};
	const unsigned before = open_descriptors();
	int ends[2];
	char text[8] = "";

	(void)state;
	assert_int_equal(set("name", "content", 7), 1001);
	assert_int_equal(store_open_call(pair.client, &key, &message, buffer, sizeof(buffer), -1),
			 0);
	assert_int_equal(pread(message.fds[0], text, 7, 0), 7);
	assert_string_equal(text, "content");
	caps_release(&message);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(store_files_call(pair.client, (const int[]){ends[1], ends[1]}, -1), 0);
	assert_int_equal(read(ends[0], text, sizeof(text)), 2);
	assert_memory_equal(text, "12", 2);
	close(ends[0]);
	close(ends[1]);
	/* One descriptor where two are declared. */
	assert_good(caps_call(pair.client,
			      &(struct caps_request){.operation = STORE_OPERATION_FILES,
						     .fds = (const int[]){0},
						     .fd_count = 1},
			      &message, buffer, sizeof(buffer), -1));
	assert_int_equal(message.error, -EBADMSG);
	/* The service's thread closes its own after it has answered. */
	for (int i = 0; i < 1000 && open_descriptors() != before; i++)
		usleep(1000);
	assert_int_equal(open_descriptors(), before);
}

static void test_bad_requests_reach_no_handler(void **state)
{
	static const struct {
		uint32_t operation;
		const char *data;
		size_t length;
		int error;
	} cases[] = {
		{STORE_OPERATION_GET, "", 0, -EBADMSG},
		{STORE_OPERATION_GET, "\5\0abc", 5, -EBADMSG},
		{STORE_OPERATION_SET, "\377\377\1\0a\0\0\0\0", 9, -EBADMSG},
		{STORE_OPERATION_CLEAR, "x", 1, -EBADMSG},
		{99, "", 0, -ENOSYS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct caps_request request = {.operation = cases[i].operation,
						     .data = cases[i].data,
						     .length = cases[i].length};

		assert_good(caps_call(pair.client, &request, &message, buffer, sizeof(buffer), -1));
		assert_int_equal(message.error, cases[i].error);
	}
	assert_int_equal(store.version, 0);
}

struct sink {
	struct wire_sink sink;
	char text[1024];
	size_t length;
};

static void put(struct wire_sink *sink, const char *text, size_t length)
{
	struct sink *own = (struct sink *)sink;

	assert_true(own->length + length < sizeof(own->text));
	memcpy(own->text + own->length, text, length);
	own->length += length;
}

static void test_messages_can_be_printed(void **state)
{
	struct sink sink = {.sink = {put}};
	struct caps_message unknown = {.operation = 99};
	struct store_value_view value;

	(void)state;
	assert_int_equal(set("name", "AB", 2), 1001);
	assert_int_equal(get("name", &value), 0);
	assert_int_equal(store_caps_print(&message, &sink.sink), 0);
	assert_non_null(strstr(sink.text, "\"version\""));
	assert_non_null(strstr(sink.text, "4142"));
	caps_release(&message);
	assert_int_equal(store_caps_print(&unknown, &sink.sink), -ENOSYS);
}

static void test_a_reply_that_is_none_is_refused(void **state)
{
	struct caps_client_options options = {.size = sizeof(options)};
	struct caps_answer answer = {.data = "too short", .length = 9};
	struct store_state reply;
	struct caps_message request;
	uint64_t id;

	(void)reply;
	(void)state;
	for (int checked = 0; checked < 2; checked++) {
		struct pair own;

		if (checked)
			store_caps_connect(&options);
		pair_init(&own, NULL, &options);
		assert_good(caps_put(own.client,
				     &(struct caps_request){.operation = STORE_OPERATION_STATE},
				     &id));
		get_request(own.service, &request);
		assert_good(caps_reply(own.service, &request, &answer));
		assert_good(caps_wait(own.client, id, &message, buffer, sizeof(buffer), 0));
		assert_int_equal(message.error, checked ? -EBADMSG : 0);
		pair_finish(&own);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define BOTH(name)                                                  \
	cmocka_unit_test_setup_teardown(name, start_checked, stop), \
		cmocka_unit_test_setup_teardown(name, start_bare, stop)
		BOTH(test_stubs_call_handlers),
		BOTH(test_errors_are_the_operation_s_own),
		BOTH(test_fixed_bodies_need_no_buffer),
		BOTH(test_descriptors_are_counted_on_both_sides),
		BOTH(test_bad_requests_reach_no_handler),
		BOTH(test_messages_can_be_printed),
		cmocka_unit_test(test_a_reply_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
