/* SPDX-License-Identifier: MIT */
/*
 * What a client of NBD sees while the driver of its device is replaced or killed:
 *
 *	reconnecting_client answered URI
 *	    asks for one block, says "sent", and wants the answer, then the end of the connection
 *	reconnecting_client persists URI SECONDS
 *	    writes and reads back without end; where the connection ends, it connects again and
 *repeats what it has no answer to; says how often. No request may fail, no byte be another.
 */
#include <libnbd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK         4096U
#define BLOCKS        64U
#define IN_FLIGHT     8U
#define CONNECT_TRIES 2000

static const char *uri;
/** The number that each block holds in all its words; 0 before it was written. */
static uint64_t expected[BLOCKS];
static unsigned connections;

static void fail(const char *what)
{
	fprintf(stderr, "%s (libnbd: %s)\n", what, nbd_get_error());
	exit(1);
}

static struct nbd_handle *try_to_connect(void)
{
	struct nbd_handle *const nbd = nbd_create();

	if (nbd == NULL)
		fail("cannot create a handle");
	if (nbd_connect_uri(nbd, uri) == 0)
		return nbd;
	nbd_close(nbd);
	return NULL;
}

static struct nbd_handle *connect_again(struct nbd_handle *old)
{
	nbd_close(old);
	connections++;
	for (unsigned i = 0; i < CONNECT_TRIES; i++) {
		struct nbd_handle *const nbd = try_to_connect();

		if (nbd != NULL)
			return nbd;
		usleep(10000);
	}
	fail("nobody answers any more");
	return NULL;
}

static bool has_ended(struct nbd_handle *nbd)
{
	return nbd_aio_is_dead(nbd) || nbd_aio_is_closed(nbd);
}

/** Waits for the answers to @count requests: false where the connection ends before. */
static bool take_answers(struct nbd_handle *nbd, const int64_t *cookies, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int done;

		while ((done = nbd_aio_command_completed(nbd, (uint64_t)cookies[i])) == 0) {
			if (nbd_poll(nbd, -1) < 0 && !has_ended(nbd))
				fail("cannot wait");
		}
		if (done < 0 && has_ended(nbd))
			return false;
		if (done < 0)
			fail("a request failed");
	}
	return true;
}

struct round {
	unsigned blocks[IN_FLIGHT];
	uint64_t *data;
};

static uint64_t *data_of(const struct round *round, unsigned i)
{
	return round->data + i * (BLOCK / sizeof(uint64_t));
}

/** Sends one request for each block; how many of them the connection took. */
static unsigned send_round(struct nbd_handle *nbd, const struct round *round, bool write,
			   int64_t *cookies)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		const uint64_t offset = (uint64_t)round->blocks[i] * BLOCK;

		cookies[i] = write ? nbd_aio_pwrite(nbd, data_of(round, i), BLOCK, offset,
						    NBD_NULL_COMPLETION, 0)
				   : nbd_aio_pread(nbd, data_of(round, i), BLOCK, offset,
						   NBD_NULL_COMPLETION, 0);
		if (cookies[i] < 0)
			return i;
	}
	return IN_FLIGHT;
}

/** Until all of it was answered on one connection. */
static struct nbd_handle *run_round(struct nbd_handle *nbd, const struct round *round, bool write)
{
	int64_t cookies[IN_FLIGHT];

	for (;;) {
		const unsigned sent = send_round(nbd, round, write, cookies);

		if (sent < IN_FLIGHT && !has_ended(nbd))
			fail("cannot send");
		if (sent == IN_FLIGHT && take_answers(nbd, cookies, sent))
			return nbd;
		nbd = connect_again(nbd);
	}
}

static void fill(struct round *round, uint64_t number)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		uint64_t *const data = data_of(round, i);

		round->blocks[i] =
			i * (BLOCKS / IN_FLIGHT) + (unsigned)random() % (BLOCKS / IN_FLIGHT);
		expected[round->blocks[i]] = number * IN_FLIGHT + i;
		for (size_t word = 0; word < BLOCK / sizeof(*data); word++)
			data[word] = expected[round->blocks[i]];
	}
}

static void choose(struct round *round)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		round->blocks[i] = (unsigned)random() % BLOCKS;
}

static void compare(const struct round *round)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		const uint64_t *const data = data_of(round, i);

		for (size_t word = 0; word < BLOCK / sizeof(*data); word++) {
			if (data[word] != expected[round->blocks[i]])
				fail("other content");
		}
	}
}

static int persist(time_t seconds)
{
	const time_t end = time(NULL) + seconds;
	struct round round = {.data = calloc(IN_FLIGHT, BLOCK)};
	struct nbd_handle *nbd = try_to_connect();
	uint64_t rounds = 0;

	if (nbd == NULL || round.data == NULL)
		fail("cannot begin");
	while (time(NULL) < end) {
		fill(&round, ++rounds);
		nbd = run_round(nbd, &round, true);
		choose(&round);
		nbd = run_round(nbd, &round, false);
		compare(&round);
	}
	nbd_close(nbd);
	free(round.data);
	printf("%llu rounds, %u connections more\n", (unsigned long long)rounds, connections);
	return 0;
}

static int want_answer(void)
{
	struct nbd_handle *const nbd = try_to_connect();
	static char block[BLOCK];
	int64_t cookie;

	if (nbd == NULL)
		fail("cannot connect");
	cookie = nbd_aio_pread(nbd, block, BLOCK, 0, NBD_NULL_COMPLETION, 0);
	if (cookie < 0)
		fail("cannot send");
	puts("sent");
	fflush(stdout);
	if (!take_answers(nbd, &cookie, 1))
		fail("the connection ended without the answer");
	while (!has_ended(nbd)) {
		if (nbd_poll(nbd, -1) < 0 && !has_ended(nbd))
			fail("cannot wait for the end");
	}
	nbd_close(nbd);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	uri = argv[2];
	if (strcmp(argv[1], "answered") == 0)
		return want_answer();
	return argc == 4 ? persist(atol(argv[3])) : 2;
}
