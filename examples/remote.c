/* SPDX-License-Identifier: MIT */
/*
 * A disk that a server elsewhere has, and a cache of it here: `bdus run ./remote.so port=7000`. The
 * server begins with the number of blocks; then it gets a block's number, 0 for reading or 1 for
 * writing, and what is written, and answers with the block. Each request has a userland thread,
 * which waits for the mutex and the network as if it blocked; others find their blocks meanwhile.
 */
#include <arpa/inet.h>
#include <bdus/thread.h>
#include <errno.h>
#include <string.h>

#define BLOCK 4096
#define SLOTS 1024

static struct slot {
	uint64_t number; /* of the block, counted from 1 */
	char data[BLOCK];
} cache[SLOTS];
static uthread_mutex_t line = UTHREAD_MUTEX_INITIALIZER;
static int server;

/** Has the server read or write the block of @slot. The caller has the line. */
static int ask(struct slot *slot, uint64_t block, uint64_t write)
{
	struct iovec parts[] = {{&block, 8}, {&write, 8}, {slot->data, BLOCK}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = write ? 3 : 2};

	slot->number = 0;
	if (uthread_sendmsg(server, &message, MSG_NOSIGNAL) != (write ? 16 + BLOCK : 16) ||
	    uthread_recv(server, slot->data, BLOCK, MSG_WAITALL) != BLOCK)
		return -EIO;
	slot->number = block + 1;
	return 0;
}

static int serve(void *instance, struct bdus_request *request)
{
	const uint64_t first = request->offset_bytes / BLOCK, write = request->op == BDUS_OP_WRITE;
	int result = 0;

	(void)instance;
	for (uint64_t i = 0; i < request->length_bytes / BLOCK && result == 0; i++) {
		struct slot *slot = &cache[(first + i) % SLOTS];
		char *data = (char *)request->data + i * BLOCK;

		if (write || slot->number != first + i + 1) {
			uthread_mutex_lock(&line);
			if (write)
				memcpy(slot->data, data, BLOCK);
			result = ask(slot, first + i, write);
			uthread_mutex_unlock(&line);
		}
		if (!write)
			memcpy(data, slot->data, BLOCK);
	}
	return result;
}

static int open_remote(const struct bdus_config *config, struct bdus_device_attrs *attrs, void **me)
{
	const uint16_t port = (uint16_t)bdus_config_number(config, "port");
	struct sockaddr_in address = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};

	*me = NULL;
	attrs->logical_block_size = BLOCK;
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE);
	server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(server, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    recv(server, &attrs->size_bytes, 8, MSG_WAITALL) != 8)
		return bdus_config_error(errno, "port %u: %s", port, strerror(errno));
	attrs->size_bytes *= BLOCK;
	return 0;
}

static const struct bdus_option options[] = {{"port", BDUS_OPTION_NUMBER, .required = true}, {0}};
static const struct bdus_driver remote = {BDUS_DRIVER_ABI,    sizeof(remote), "remote",
					  "a disk elsewhere", options,        .open = open_remote,
					  .thread = serve};
BDUS_DRIVER_EXPORT(remote)
