/* SPDX-License-Identifier: MIT */
/*
 * What caps.h promises of names: registration, shadowing, looking up and waiting, who may connect,
 * who may serve, and who a message is from. Tests of several users need root.
 */
#include "caps_test.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char buffer[512];
static const char *folder;

#define SOMEBODY 54321
#define TEAM     54322

static int setup(void **state)
{
	(void)state;
	folder = namespace_make();
	return chmod(folder, 0755);
}

static int teardown(void **state)
{
	(void)state;
	namespace_remove();
	return 0;
}

static struct caps_service_options in_folder(void)
{
	return (struct caps_service_options){.size = sizeof(struct caps_service_options),
					     .directory = folder};
}

static struct caps_client_options from_folder(int timeout_ms)
{
	return (struct caps_client_options){.size = sizeof(struct caps_client_options),
					    .directory = folder,
					    .timeout_ms = timeout_ms};
}

static int serve(const char *name, bool exclusive, struct caps_port **port)
{
	struct caps_service_options options = in_folder();

	options.exclusive = exclusive;
	return caps_serve(name, &options, port);
}

static int find(const char *name, struct caps_port **port)
{
	const struct caps_client_options options = from_folder(0);

	return caps_connect(name, &options, port);
}

/* Which of two services a client of @name reaches. */
static bool reaches(const char *name, struct caps_port *service)
{
	const struct caps_request request = text_request(1, "ping");
	struct caps_message message;
	struct caps_port *client;
	bool got;

	assert_good(find(name, &client));
	assert_good(caps_put(client, &request, NULL));
	got = caps_get(service, &message, buffer, sizeof(buffer), 50) == 0;
	caps_destroy(client);
	return got;
}

static void test_names_are_checked(void **state)
{
	static const char *const wrong[] = {
		"",
		".hidden",
		"a/b",
		"a b",
		"a*",
		"\xc3\xa4",
		"0123456789012345678901234567890123456789012345678901234567890123"};
	struct caps_port *port;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(serve(wrong[i], false, &port), -EINVAL);
		assert_int_equal(find(wrong[i], &port), -EINVAL);
	}
	assert_good(serve("012345678901234567890123456789012345678901234567890123456789_.Z", false,
			  &port));
	caps_destroy(port);
}

static void test_the_newest_shadows_until_it_is_gone(void **state)
{
	struct caps_port *old, *new;

	(void)state;
	assert_good(serve("name", false, &old));
	assert_true(reaches("name", old));
	assert_good(serve("name", false, &new));
	assert_true(reaches("name", new));
	caps_destroy(new);
	assert_true(reaches("name", old));
	caps_destroy(old);
	assert_int_equal(find("name", &old), -ENOENT);
}

static void test_an_exclusive_name_has_one_service(void **state)
{
	struct caps_port *first, *second;

	(void)state;
	assert_good(serve("mine", true, &first));
	assert_int_equal(serve("mine", false, &second), -EADDRINUSE);
	assert_int_equal(serve("mine", true, &second), -EADDRINUSE);
	caps_destroy(first);
	assert_good(serve("mine", false, &first));
	assert_int_equal(serve("mine", true, &second), -EADDRINUSE);
	caps_destroy(first);
}

static void test_a_killed_service_leaves_its_name_free(void **state)
{
	struct caps_port *port;
	int ready[2];
	char letter;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		if (serve("dies", true, &port) == 0 && write(ready[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &letter, 1), 1);
	assert_int_equal(serve("dies", true, &port), -EADDRINUSE);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(find("dies", &port), -ENOENT);
	assert_good(serve("dies", true, &port));
	caps_destroy(port);
	close(ready[0]);
	close(ready[1]);
}

static void test_waiting_ends_when_the_service_appears(void **state)
{
	struct caps_client_options options = from_folder(10000);
	char deeper[64];
	struct caps_port *port;
	pid_t child;

	(void)state;
	snprintf(deeper, sizeof(deeper), "%s/later", folder);
	options.directory = deeper;
	child = fork();
	if (child == 0) {
		struct caps_service_options own = in_folder();

		own.directory = deeper;
		usleep(50000);
		if (caps_serve("late", &own, &port) != 0)
			_exit(1);
		poll(NULL, 0, 3000);
		_exit(0);
	}
	assert_good(caps_connect("late", &options, &port));
	caps_destroy(port);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	options.timeout_ms = 30;
	assert_int_equal(caps_connect("late", &options, &port), -ENOENT);
}

static int note(void *context, const struct caps_entry *entry)
{
	char *text = context;

	sprintf(text + strlen(text), "%s%s%s%s ", entry->name, entry->exclusive ? "!" : "",
		entry->shadowed ? "-" : "", entry->pid == getpid() ? "" : "?");
	return 0;
}

static void test_listing_shows_names_newest_first(void **state)
{
	const struct caps_client_options options = from_folder(0);
	struct caps_port *ports[3];
	char text[256] = "";

	(void)state;
	assert_good(serve("b", true, &ports[0]));
	assert_good(serve("a", false, &ports[1]));
	assert_good(serve("a", false, &ports[2]));
	assert_good(caps_list(&options, note, text));
	assert_string_equal(text, "a a- b! ");
	for (int i = 0; i < 3; i++)
		caps_destroy(ports[i]);
}

static void test_messages_say_who_sent_them(void **state)
{
	const struct caps_request request = text_request(1, "who am I");
	struct caps_port *service, *client;
	struct caps_message message;
	int pidfd;
	pid_t child;

	(void)state;
	assert_good(serve("who", false, &service));
	child = fork();
	if (child == 0) {
		const bool good =
			find("who", &client) == 0 &&
			caps_call(client, &request, &message, buffer, sizeof(buffer), 5000) == 0 &&
			message.sender.pid == getppid() && message.sender.uid == getuid();

		_exit(good ? 0 : 1);
	}
	assert_good(caps_get(service, &message, buffer, sizeof(buffer), 5000));
	assert_int_equal(message.sender.pid, child);
	assert_int_equal(message.sender.uid, getuid());
	assert_int_equal(message.sender.effective_gid, getegid());
	assert_int_equal(message.sender.group_count, getgroups(0, NULL));
	pidfd = caps_pidfd(service, &message);
	assert_true(pidfd >= 0);
	assert_good(caps_reply(service, &message, NULL));
	assert_int_equal(caps_pidfd(service, &message), -ESRCH);
	/* The descriptor is of that process: it tells of its end. */
	assert_int_equal(poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, 5000), 1);
	close(pidfd);
	waitpid(child, &pidfd, 0);
	assert_int_equal(pidfd, 0);
	caps_destroy(service);
}

static void become(uid_t uid, gid_t team)
{
	if (setgroups(team != 0, &team) != 0 || setgid(SOMEBODY) != 0 || setuid(uid) != 0)
		_exit(99);
}

/* What somebody, perhaps of the team, gets when calling: an error of connecting or a completion. */
static int call_as_somebody(gid_t team, struct caps_port *service)
{
	const struct caps_request request = text_request(1, "may I");
	struct caps_message message;
	struct caps_port *client;
	int status;
	const pid_t child = fork();

	if (child == 0) {
		int error;

		become(SOMEBODY, team);
		error = find("guarded", &client);
		if (error == 0)
			error = caps_call(client, &request, &message, buffer, sizeof(buffer), 5000);
		_exit(error != 0 ? -error : -message.error);
	}
	while (waitpid(child, &status, WNOHANG) == 0)
		if (caps_get(service, &message, buffer, sizeof(buffer), 20) == 0)
			caps_reply(service, &message, NULL);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static void make_reachable(const char *name)
{
	char path[512];

	/* The socket lets everybody in, so that only the service's own check is left. */
	snprintf(path, sizeof(path), "%s/%s/1.s", folder, name);
	assert_int_equal(chmod(path, 0666), 0);
}

static void test_access_is_for_user_group_and_world(void **state)
{
	static const struct {
		uint32_t access;
		int stranger, member;
	} cases[] = {{CAPS_ACCESS_USER, -EACCES, -EACCES},
		     {CAPS_ACCESS_USER | CAPS_ACCESS_GROUP, -EACCES, 0},
		     {CAPS_ACCESS_WORLD, 0, 0}};

	(void)state;
	if (getuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int open = 0; open < 2; open++) {
			struct caps_service_options options = in_folder();
			struct caps_port *service;

			options.access = cases[i].access;
			options.group = TEAM;
			assert_good(caps_serve("guarded", &options, &service));
			if (open)
				make_reachable("guarded");
			assert_int_equal(call_as_somebody(0, service), cases[i].stranger);
			assert_int_equal(call_as_somebody(TEAM, service), cases[i].member);
			caps_destroy(service);
		}
}

static void test_a_folder_of_another_user_is_trusted_if_that_is_named(void **state)
{
	const uid_t somebody = SOMEBODY, other = SOMEBODY + 1;
	struct caps_client_options options = {.size = sizeof(options), .timeout_ms = 5000};
	struct caps_port *port;
	char path[128];
	pid_t child;

	(void)state;
	if (getuid() != 0)
		skip();
	snprintf(path, sizeof(path), "%s/theirs", folder);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chown(path, SOMEBODY, SOMEBODY), 0);
	options.directory = path;
	child = fork();
	if (child == 0) {
		struct caps_service_options own = {.size = sizeof(own), .directory = path};

		become(SOMEBODY, 0);
		_exit(caps_serve("x", &own, &port) != 0 || pause());
	}
	assert_int_equal(caps_connect("x", &options, &port), -EPERM);
	options.users = &other;
	options.user_count = 1;
	assert_int_equal(caps_connect("x", &options, &port), -EPERM);
	options.users = &somebody;
	assert_good(caps_connect("x", &options, &port));
	caps_destroy(port);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void test_a_squatted_name_is_refused(void **state)
{
	struct caps_port *port;
	int ready[2];
	char letter;
	char path[128];
	pid_t child;

	(void)state;
	if (getuid() != 0)
		skip();
	/* Somebody got hold of the folder of a name in root's namespace. */
	snprintf(path, sizeof(path), "%s/bank", folder);
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(chown(path, SOMEBODY, SOMEBODY), 0);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		become(SOMEBODY, 0);
		struct caps_service_options options = in_folder();

		options.directory = path;
		options.access = CAPS_ACCESS_WORLD;
		if (caps_serve("x", &options, &port) != 0 || chdir(path) != 0 ||
		    rename("x/1.s", "1.s") != 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &letter, 1), 1);
	assert_int_equal(find("bank", &port), -EPERM);
	assert_non_null(strstr(caps_error(), "squatted"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static void test_a_folder_that_others_write_is_no_namespace(void **state)
{
	struct caps_port *port;

	(void)state;
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(serve("name", false, &port), -EPERM);
	assert_int_equal(find("name", &port), -EPERM);
	assert_int_equal(chmod(folder, 0755), 0);
	if (getuid() != 0)
		return;
	assert_int_equal(chown(folder, SOMEBODY, SOMEBODY), 0);
	assert_int_equal(find("name", &port), -EPERM);
}

static void test_one_user_cannot_take_all_places(void **state)
{
	struct caps_service_options options = in_folder();
	struct caps_port *service, *client;
	struct caps_message message;
	int status;
	pid_t child;

	(void)state;
	if (getuid() != 0)
		skip();
	options.access = CAPS_ACCESS_WORLD;
	options.max_clients = 4;
	assert_good(caps_serve("crowd", &options, &service));
	child = fork();
	if (child == 0) {
		unsigned refused = 0;

		become(SOMEBODY, 0);
		for (int i = 0; i < 5; i++) {
			const struct caps_request request = text_request(1, "x");

			int error = find("crowd", &client);

			if (error == 0)
				error = caps_call(client, &request, &message, buffer,
						  sizeof(buffer), 5000);
			refused += (error != 0 ? error : message.error) == -EBUSY;
		}
		_exit((int)refused);
	}
	while (caps_get(service, &message, buffer, sizeof(buffer), 500) == 0)
		caps_reply(service, &message, NULL);
	waitpid(child, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 3);
	caps_destroy(service);
}

static void test_a_full_process_turns_clients_away_and_goes_on(void **state)
{
	struct caps_port *service, *client;
	struct caps_message message;
	const struct caps_request request = text_request(1, "x");
	struct rlimit before, lower;
	int taken[64], count = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	lower = before;
	lower.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
	assert_good(serve("full", false, &service));
	assert_good(find("full", &client));
	while ((taken[count] = open("/dev/null", O_RDONLY)) >= 0)
		count++;
	assert_good(caps_put(client, &request, NULL));
	assert_int_equal(caps_get(service, &message, buffer, sizeof(buffer), 20), -ETIMEDOUT);
	while (count > 0)
		close(taken[--count]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_good(caps_get(client, &message, buffer, sizeof(buffer), 1000));
	assert_true(message.error == -EBUSY || message.error == -EPROTO);
	caps_destroy(client);
	assert_true(reaches("full", service));
	caps_destroy(service);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_names_are_checked),
		TEST(test_the_newest_shadows_until_it_is_gone),
		TEST(test_an_exclusive_name_has_one_service),
		TEST(test_a_killed_service_leaves_its_name_free),
		TEST(test_waiting_ends_when_the_service_appears),
		TEST(test_listing_shows_names_newest_first),
		TEST(test_messages_say_who_sent_them),
		TEST(test_access_is_for_user_group_and_world),
		TEST(test_a_folder_of_another_user_is_trusted_if_that_is_named),
		TEST(test_a_squatted_name_is_refused),
		TEST(test_a_folder_that_others_write_is_no_namespace),
		TEST(test_one_user_cannot_take_all_places),
		TEST(test_a_full_process_turns_clients_away_and_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
