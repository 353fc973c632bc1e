/* SPDX-License-Identifier: MIT */
/*
 * Peers that break the protocol, on purpose and byte by byte: each is cut off or answered with an
 * error, nobody else notices, and no descriptor stays.
 */
#include "caps_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "caps_internal.h"

static char buffer[1024];
static struct caps_message message;

/** A packet as a hostile peer makes it. */
struct forged {
	const char *name;
	struct {
		uint32_t magic;
		uint8_t version, kind, flags, fd_count;
		uint64_t id;
		uint32_t operation;
		int32_t error;
		uint64_t length;
	} header;
	size_t bytes; /* of the packet, all of it */
	unsigned fds; /* that really travel */
};

#define MAGIC   0x53504143
#define REQUEST CAPS_WIRE_PACKET_REQUEST
#define REPLY   CAPS_WIRE_PACKET_REPLY
#define HELLO   CAPS_WIRE_PACKET_HELLO
#define ABORT   CAPS_WIRE_PACKET_ABORT

static const struct forged to_service[] = {
	{"one byte", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 0}, 1, 0},
	{"half a header", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 0}, 31, 0},
	{"another magic", {MAGIC + 1, 1, REQUEST, 0, 0, 1, 1, 0, 0}, 32, 0},
	{"another version", {MAGIC, 2, REQUEST, 0, 0, 1, 1, 0, 0}, 32, 0},
	{"no kind", {MAGIC, 1, 0, 0, 0, 1, 1, 0, 0}, 32, 0},
	{"unknown kind", {MAGIC, 1, 9, 0, 0, 1, 1, 0, 0}, 32, 0},
	{"a greeting", {MAGIC, 1, HELLO, 0, 0, 0, 128, 0, 0}, 32, 0},
	{"a reply", {MAGIC, 1, REPLY, 0, 0, 1, 1, 0, 0}, 32, 0},
	{"unknown flags", {MAGIC, 1, REQUEST, 2, 0, 1, 1, 0, 0}, 32, 0},
	{"id 0", {MAGIC, 1, REQUEST, 0, 0, 0, 1, 0, 0}, 32, 0},
	{"half a payload", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 100}, 82, 0},
	{"more payload than it says", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 10}, 50, 0},
	{"a length without end", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, UINT64_MAX}, 32, 0},
	{"a long payload in the packet", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 70000}, 70032, 0},
	{"a packet longer than any", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 65536}, 66000, 0},
	{"a descriptor too few", {MAGIC, 1, REQUEST, 0, 2, 1, 1, 0, 0}, 32, 1},
	{"a descriptor too many", {MAGIC, 1, REQUEST, 0, 1, 1, 1, 0, 0}, 32, 2},
	{"descriptors that are not declared", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 0}, 32, 5},
	{"more descriptors than any message", {MAGIC, 1, REQUEST, 0, 16, 1, 1, 0, 0}, 32, 60},
	{"more declared than any message", {MAGIC, 1, REQUEST, 0, 17, 1, 1, 0, 0}, 32, 17},
	{"memory without a descriptor", {MAGIC, 1, REQUEST, 1, 0, 1, 1, 0, 100}, 32, 0},
	{"memory of no length", {MAGIC, 1, REQUEST, 1, 0, 1, 1, 0, 0}, 32, 1},
	{"an abort with descriptors", {MAGIC, 1, ABORT, 0, 1, 1, 0, 0, 0}, 32, 1},
	{"nothing but descriptors", {MAGIC, 1, REQUEST, 0, 1, 1, 1, 0, 0}, 0, 3},
};

static const struct forged to_client[] = {
	{"half a header", {MAGIC, 1, REPLY, 0, 0, 1, 1, 0, 0}, 20, 0},
	{"a request", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 0}, 32, 0},
	{"an abort", {MAGIC, 1, ABORT, 0, 0, 1, 1, 0, 0}, 32, 0},
	{"a second greeting", {MAGIC, 1, HELLO, 0, 1, 0, 128, 0, 0}, 32, 1},
	{"a reply to what was not put", {MAGIC, 1, REPLY, 0, 0, 2, 1, 0, 0}, 32, 0},
	{"a reply to an id far away", {MAGIC, 1, REPLY, 0, 0, UINT64_MAX, 1, 0, 0}, 32, 0},
	{"half a payload", {MAGIC, 1, REPLY, 0, 0, 1, 1, 0, 50}, 40, 0},
	{"descriptors that are not declared", {MAGIC, 1, REPLY, 0, 0, 1, 1, 0, 0}, 32, 4},
	{"a descriptor too few", {MAGIC, 1, REPLY, 0, 3, 1, 1, 0, 0}, 32, 2},
};

static int forge(int fd, const struct forged *forged)
{
	static char packet[80000];
	struct iovec part = {packet, forged->bytes};
	int fds[64];
	char control[CMSG_SPACE(sizeof(fds))] __attribute__((aligned(8))) = {0};
	struct msghdr out = {.msg_iov = &part, .msg_iovlen = 1};

	memcpy(packet, &forged->header, sizeof(forged->header));
	if (forged->fds != 0) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)control;

		for (unsigned i = 0; i < forged->fds; i++)
			fds[i] = STDERR_FILENO;
		out.msg_control = control;
		out.msg_controllen = CMSG_SPACE(sizeof(int) * forged->fds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * forged->fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * forged->fds);
	}
	return sendmsg(fd, &out, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/** A service with an honest client and a raw connection. */
struct scene {
	struct pair pair;
	int raw;
	unsigned descriptors;
};

static void scene_init(struct scene *scene)
{
	int ends[2];

	pair_init(&scene->pair, NULL, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_good(caps_attach(scene->pair.service, ends[0]));
	scene->raw = ends[1];
	scene->descriptors = open_descriptors();
}

static void scene_finish(struct scene *scene)
{
	close(scene->raw);
	pair_finish(&scene->pair);
}

static void assert_honest_client_is_served(struct scene *scene)
{
	const struct caps_request request = text_request(3, "honest");

	assert_good(caps_put(scene->pair.client, &request, NULL));
	assert_good(caps_get(scene->pair.service, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.operation, 3);
	assert_good(caps_reply(scene->pair.service, &message, NULL));
	assert_good(caps_get(scene->pair.client, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.error, 0);
}

/* Past the greeting there is nothing but the end. */
static bool is_cut(int fd)
{
	char packet[64];
	ssize_t length;

	do
		length = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
	while (length > 0 || (length < 0 && errno == ECONNRESET));
	return length == 0;
}

static void test_a_service_cuts_off_who_breaks_the_protocol(void **state)
{
	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(to_service); i++) {
		struct scene scene;

		scene_init(&scene);
		assert_int_equal(forge(scene.raw, &to_service[i]), 0);
		if (caps_get(scene.pair.service, &message, buffer, sizeof(buffer), 0) != -EAGAIN ||
		    !is_cut(scene.raw))
			fail_msg("%s: was accepted", to_service[i].name);
		/* One less: the connection. */
		if (open_descriptors() != scene.descriptors - 1)
			fail_msg("%s: left descriptors", to_service[i].name);
		assert_honest_client_is_served(&scene);
		scene_finish(&scene);
	}
}

static const struct forged greeting = {"", {MAGIC, 1, HELLO, 0, 1, 0, 128, 0, 0}, 32, 1};

/* A client whose service is a raw socket, greeted and with message 1 under way. */
static int greeted_client(struct caps_port **client)
{
	const struct caps_request request = text_request(1, "question");
	struct caps_service_options options = {.size = sizeof(options)};
	struct caps_wire_header hello;
	struct caps_port *helper;
	uint64_t generation;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_good(caps_connect_fd(ends[1], NULL, client));
	assert_good(caps_serve(NULL, &options, &helper));
	assert_good(caps_service_receive_clients(&helper->service));
	caps_wire_header_init(&hello);
	caps_wire_header_set_kind(&hello, HELLO);
	caps_wire_header_set_fd_count(&hello, 1);
	caps_wire_header_set_operation(&hello, 128);
	assert_int_equal(caps_packet_send(ends[0], &hello, NULL, &helper->service.generation_fd, 1),
			 0);
	caps_destroy(helper);
	assert_good(caps_generation(*client, &generation, 0));
	assert_good(caps_put(*client, &request, NULL));
	return ends[0];
}

static void test_a_client_leaves_a_service_that_breaks_the_protocol(void **state)
{
	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(to_client); i++) {
		const unsigned before = open_descriptors();
		struct caps_port *client;
		const int raw = greeted_client(&client);

		assert_int_equal(forge(raw, &to_client[i]), 0);
		assert_good(caps_wait(client, 1, &message, buffer, sizeof(buffer), 0));
		if (message.error != -EPROTO)
			fail_msg("%s: was accepted", to_client[i].name);
		assert_int_equal(caps_put(client, &(struct caps_request){0}, NULL), -ENOTCONN);
		caps_destroy(client);
		close(raw);
		if (open_descriptors() != before)
			fail_msg("%s: left descriptors", to_client[i].name);
	}
}

static void test_a_reply_comes_once_whatever_the_service_does(void **state)
{
	const struct forged reply = {"", {MAGIC, 1, REPLY, 0, 0, 1, 1, 0, 0}, 32, 0};
	struct caps_port *client;
	const int raw = greeted_client(&client);

	(void)state;
	assert_good(caps_put(client, &(struct caps_request){0}, NULL));
	assert_int_equal(forge(raw, &reply), 0);
	assert_int_equal(forge(raw, &reply), 0);
	assert_good(caps_wait(client, 2, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.error, -EPROTO);
	assert_good(caps_wait(client, 1, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.error, 0);
	assert_int_equal(caps_wait(client, 1, &message, buffer, sizeof(buffer), 0), -ENOENT);
	caps_destroy(client);
	close(raw);
}

static void test_a_greeting_has_to_be_one(void **state)
{
	struct forged wrong[] = {greeting, greeting, greeting};

	(void)state;
	wrong[0].header.operation = CAPS_MIN_WINDOW - 1;
	wrong[1].header.fd_count = 0;
	wrong[1].fds = 0;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(wrong); i++) {
		const unsigned before = open_descriptors();
		struct caps_port *client;
		uint64_t generation;
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
		assert_good(caps_connect_fd(ends[1], NULL, &client));
		assert_good(caps_put(client, &(struct caps_request){0}, NULL));
		/* The third's descriptor is no memory. */
		assert_int_equal(forge(ends[0], &wrong[i]), 0);
		assert_int_equal(caps_generation(client, &generation, 0), -ENOTCONN);
		assert_good(caps_get(client, &message, buffer, sizeof(buffer), 0));
		assert_int_equal(message.error, -EPROTO);
		caps_destroy(client);
		close(ends[0]);
		assert_int_equal(open_descriptors(), before);
	}
}

static void test_a_flood_ends_at_the_window(void **state)
{
	struct forged request = {"", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 0}, 32, 0};
	unsigned got = 0, told = 0;
	struct scene scene;

	(void)state;
	scene_init(&scene);
	for (int i = 0; i < 100000 && forge(scene.raw, &request) == 0; i++) {
		request.header.id++;
		if (i % 32 != 0)
			continue;
		while (caps_get(scene.pair.service, &message, buffer, sizeof(buffer), 0) == 0) {
			got += message.kind == CAPS_REQUEST;
			told += message.kind == CAPS_ABORT;
		}
	}
	assert_int_equal(got, CAPS_WINDOW);
	assert_int_equal(told, CAPS_WINDOW);
	assert_true(is_cut(scene.raw));
	assert_honest_client_is_served(&scene);
	scene_finish(&scene);
}

static void test_ids_do_not_go_back(void **state)
{
	struct forged request = {"", {MAGIC, 1, REQUEST, 0, 0, 5, 1, 0, 0}, 32, 0};
	struct scene scene;

	(void)state;
	scene_init(&scene);
	assert_int_equal(forge(scene.raw, &request), 0);
	get_request(scene.pair.service, &message);
	assert_good(caps_reply(scene.pair.service, &message, NULL));
	assert_int_equal(forge(scene.raw, &request), 0);
	assert_int_equal(caps_get(scene.pair.service, &message, buffer, sizeof(buffer), 0),
			 -EAGAIN);
	assert_true(is_cut(scene.raw));
	scene_finish(&scene);
}

static void test_ids_of_others_are_out_of_reach(void **state)
{
	const struct caps_request request = text_request(1, "mine");
	struct forged steal = {"", {MAGIC, 1, ABORT, 0, 0, 1, 0, 0, 0}, 32, 0};
	struct caps_message mine;
	struct scene scene;

	(void)state;
	scene_init(&scene);
	assert_good(caps_put(scene.pair.client, &request, NULL));
	get_request(scene.pair.service, &mine);
	for (steal.header.id = 1; steal.header.id < 20; steal.header.id++)
		assert_int_equal(forge(scene.raw, &steal), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(caps_get(scene.pair.service, &message, buffer, sizeof(buffer), 0),
				 -EAGAIN);
	assert_good(caps_reply(scene.pair.service, &mine, NULL));
	assert_good(caps_get(scene.pair.client, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.error, 0);
	scene_finish(&scene);
}

/* Sends a request of @length bytes in memory @fd, raw. */
static void send_memory(int raw, int fd, uint64_t id, uint64_t length)
{
	struct caps_wire_header header;

	caps_wire_header_init(&header);
	caps_wire_header_set_kind(&header, REQUEST);
	caps_wire_header_set_id(&header, id);
	caps_wire_header_set_flags(&header, CAPS_WIRE_PACKET_FLAG_MEMORY);
	caps_wire_header_set_length(&header, length);
	assert_int_equal(caps_packet_send(raw, &header, NULL, &fd, 1), 0);
}

static void test_memory_that_could_change_is_refused(void **state)
{
	const int all = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	const int seals[] = {0, all & ~F_SEAL_WRITE, all & ~F_SEAL_SHRINK, all & ~F_SEAL_GROW, all};
	struct scene scene;

	(void)state;
	scene_init(&scene);
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(seals); i++) {
		const int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		assert_int_equal(ftruncate(fd, 4096), 0);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
		/* The last one is sealed, and shorter than it says. */
		send_memory(scene.raw, fd, i + 1, seals[i] == all ? 4097 : 4096);
		assert_int_equal(caps_get(scene.pair.service, &message, buffer, sizeof(buffer), 0),
				 -EAGAIN);
		close(fd);
	}
	send_memory(scene.raw, STDERR_FILENO, 100, 10);
	assert_int_equal(caps_get(scene.pair.service, &message, buffer, sizeof(buffer), 0),
			 -EAGAIN);
	assert_int_equal(open_descriptors(), scene.descriptors);
	assert_honest_client_is_served(&scene);
	scene_finish(&scene);
}

static void test_a_connection_is_of_one_process(void **state)
{
	const struct forged request = {"", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 0}, 32, 0};
	struct forged next = request;
	struct scene scene;
	int status;
	pid_t child;

	(void)state;
	scene_init(&scene);
	assert_int_equal(forge(scene.raw, &request), 0);
	get_request(scene.pair.service, &message);
	assert_good(caps_reply(scene.pair.service, &message, NULL));
	next.header.id = 2;
	child = fork();
	if (child == 0)
		_exit(forge(scene.raw, &next) == 0 ? 0 : 1);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(caps_get(scene.pair.service, &message, buffer, sizeof(buffer), 0),
			 -EAGAIN);
	assert_true(is_cut(scene.raw));
	scene_finish(&scene);
}

static void test_the_first_message_is_from_who_connected(void **state)
{
	const struct forged request = {"", {MAGIC, 1, REQUEST, 0, 0, 1, 1, 0, 0}, 32, 0};
	const char *folder = namespace_make();
	const struct caps_service_options own = {.size = sizeof(own), .directory = folder};
	const struct caps_client_options options = {.size = sizeof(options), .directory = folder};
	struct caps_port *service;
	pid_t child;
	int raw;

	(void)state;
	assert_good(caps_serve("first", &own, &service));
	assert_good(caps_lookup("first", &options, &raw));
	child = fork();
	if (child == 0)
		_exit(forge(raw, &request) == 0 ? 0 : 1);
	waitpid(child, NULL, 0);
	assert_int_equal(caps_get(service, &message, buffer, sizeof(buffer), 20), -ETIMEDOUT);
	assert_true(is_cut(raw));
	close(raw);
	caps_destroy(service);
	namespace_remove();
}

static void test_descriptors_without_room_fail_the_message_alone(void **state)
{
	struct caps_request request = {.fds = (const int[]){0, 1, 2}, .fd_count = 3};
	int taken[2048], count = 0;
	struct pair pair;
	unsigned before;

	(void)state;
	pair_init(&pair, NULL, NULL);
	before = open_descriptors();
	assert_good(caps_put(pair.client, &request, NULL));
	while (count < 2048 && (taken[count] = dup(0)) >= 0)
		count++;
	assert_int_not_equal(count, 2048);
	assert_int_equal(caps_get(pair.service, &message, buffer, sizeof(buffer), 0), -EAGAIN);
	while (count > 0)
		close(taken[--count]);
	assert_good(caps_get(pair.client, &message, buffer, sizeof(buffer), 0));
	assert_int_equal(message.error, -EMFILE);
	assert_int_equal(open_descriptors(), before);
	pair_finish(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_service_cuts_off_who_breaks_the_protocol),
		cmocka_unit_test(test_a_client_leaves_a_service_that_breaks_the_protocol),
		cmocka_unit_test(test_a_reply_comes_once_whatever_the_service_does),
		cmocka_unit_test(test_a_greeting_has_to_be_one),
		cmocka_unit_test(test_a_flood_ends_at_the_window),
		cmocka_unit_test(test_ids_do_not_go_back),
		cmocka_unit_test(test_ids_of_others_are_out_of_reach),
		cmocka_unit_test(test_memory_that_could_change_is_refused),
		cmocka_unit_test(test_a_connection_is_of_one_process),
		cmocka_unit_test(test_the_first_message_is_from_who_connected),
		cmocka_unit_test(test_descriptors_without_room_fail_the_message_alone),
	};

	/* Few enough that using them all up is quick. */
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){1000, 1000});
	return cmocka_run_group_tests(tests, NULL, NULL);
}
