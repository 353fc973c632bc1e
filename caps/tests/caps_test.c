/* SPDX-License-Identifier: MIT */
/*
 * Helpers of caps' tests.
 */
#include "caps_test.h"

#include <dirent.h>
#include <ftw.h>

static char folder[] = "/tmp/caps-test-XXXXXX";
static const char template[] = "/tmp/caps-test-XXXXXX";

void pair_init(struct pair *pair, struct caps_service_options *service,
	       const struct caps_client_options *client)
{
	int ends[2];

	if (service != NULL)
		service->size = sizeof(*service);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_good(caps_serve(NULL, service, &pair->service));
	assert_good(caps_connect_fd(ends[1], client, &pair->client));
	assert_good(caps_attach(pair->service, ends[0]));
}

void pair_finish(struct pair *pair)
{
	caps_destroy(pair->client);
	caps_destroy(pair->service);
}

const char *namespace_make(void)
{
	memcpy(folder, template, sizeof(folder));
	assert_non_null(mkdtemp(folder));
	return folder;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)kind;
	(void)walk;
	return remove(path);
}

void namespace_remove(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

unsigned open_descriptors(void)
{
	DIR *list = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(list);
	while (readdir(list) != NULL)
		count++;
	closedir(list);
	return count;
}

struct caps_request text_request(uint32_t operation, const char *text)
{
	return (struct caps_request){.operation = operation, .data = text, .length = strlen(text)};
}

void get_request(struct caps_port *service, struct caps_message *message)
{
	static char buffer[512];

	assert_good(caps_get(service, message, buffer, sizeof(buffer), 0));
	assert_int_equal(message->kind, CAPS_REQUEST);
}
