/* SPDX-License-Identifier: MIT */
/*
 * A client that kills the server of its device, and holds it to what it had been told. Random
 * writes, zeros, flushes and writes by force unit access, several in flight; each block says which
 * write it is of. Of each block the model knows the write that must be there at least, since a
 * flush that was sent after its answer was answered itself, and the newest one that may be.
 *
 * usage: crash-client URI MODEL SEED PID    looks at all blocks, writes, kills process PID
 *        crash-client URI MODEL SEED 0      looks, writes, and ends in good order: all of it must
 * stay
 *
 * The model is a file, made where there is none. Exit status 1: something that was flushed is not
 * there, or a block holds what nobody wrote to it.
 */
#include <errno.h>
#include <libnbd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK       4096U
#define BLOCKS_MOST 65536U
#define WIDEST      16U
#define IN_FLIGHT   12U

enum kind {
	WRITE,
	ZERO,
	FLUSH,
};

struct block {
	/** Numbers of writes; 0 for the zeros of the beginning. */
	uint64_t durable;
	uint64_t answered;
	uint64_t newest;
	/** The newest that made zeros of it. */
	uint64_t zeros;
};

struct operation {
	enum kind kind;
	bool used;
	bool fua;
	uint64_t id;
	uint32_t first;
	uint32_t count;
	/** Of a flush: what was answered when it was sent. */
	uint64_t answered[BLOCKS_MOST];
	char data[WIDEST * BLOCK];
};

static struct {
	uint64_t next_id;
	uint32_t blocks;
	struct block block[BLOCKS_MOST];
} model = {.next_id = 1};

static struct operation operations[IN_FLIGHT];
static bool busy[BLOCKS_MOST];
static bool killed;
static unsigned flushes;
static struct nbd_handle *nbd;
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % below;
}

__attribute__((noreturn)) static void fail(const char *what)
{
	const char *const why = nbd_get_error();

	fprintf(stderr, "crash-client: %s: %s\n", what, why != NULL ? why : "");
	exit(1);
}

/* ---- blocks -------------------------------------------------------------------------------- */

static void fill(char *data, uint32_t block, uint64_t id)
{
	uint64_t word = id;

	for (uint32_t at = 0; at < BLOCK; at += sizeof(word)) {
		memcpy(data + at, &word, sizeof(word));
		word = (word + block + at) * UINT64_C(0x9e3779b97f4a7c15) + id;
	}
}

static bool is_zero(const char *data)
{
	return data[0] == 0 && memcmp(data, data + 1, BLOCK - 1) == 0;
}

/** Which write of @block the data is of; fails for that of none that may be there. */
static uint64_t recognise(uint32_t block, const char *data)
{
	const struct block *const known = &model.block[block];
	char expected[BLOCK];
	uint64_t id;

	if (is_zero(data)) {
		id = known->zeros;
	} else {
		memcpy(&id, data, sizeof(id));
		fill(expected, block, id);
		if (memcmp(data, expected, BLOCK) != 0) {
			fprintf(stderr, "block %u holds what nobody wrote to it\n", block);
			exit(1);
		}
	}
	if (id >= known->durable && id <= known->newest)
		return id;
	fprintf(stderr, "block %u holds write %llu: must be from %llu to %llu\n", block,
		(unsigned long long)id, (unsigned long long)known->durable,
		(unsigned long long)known->newest);
	exit(1);
}

/** What is there when a driver has come back is there for good. */
static void look_at_all(void)
{
	static char data[WIDEST * BLOCK];

	for (uint32_t first = 0; first < model.blocks; first += WIDEST) {
		const uint32_t left = model.blocks - first;
		const uint32_t count = left < WIDEST ? left : WIDEST;

		if (nbd_pread(nbd, data, count * BLOCK, (uint64_t)first * BLOCK, 0) < 0)
			fail("cannot read");
		for (uint32_t i = 0; i < count; i++) {
			struct block *const block = &model.block[first + i];

			block->newest = recognise(first + i, data + i * BLOCK);
			block->durable = block->newest;
			block->answered = block->newest;
			block->zeros = is_zero(data + i * BLOCK) ? block->newest : 0;
		}
	}
}

/* ---- requests ------------------------------------------------------------------------------ */

static void note_flushed(const struct operation *flush)
{
	flushes++;
	for (uint32_t i = 0; i < model.blocks; i++)
		if (model.block[i].durable < flush->answered[i])
			model.block[i].durable = flush->answered[i];
}

static void note_written(const struct operation *write)
{
	for (uint32_t i = write->first; i < write->first + write->count; i++) {
		model.block[i].answered = write->id;
		if (write->fua)
			model.block[i].durable = write->id;
	}
}

static int answered(void *opaque, int *error)
{
	struct operation *const operation = opaque;

	operation->used = false;
	for (uint32_t i = operation->first; i < operation->first + operation->count; i++)
		busy[i] = false;
	if (*error != 0 && !killed) {
		fprintf(stderr, "crash-client: a request failed: %s\n", strerror(*error));
		exit(1);
	}
	if (*error == 0 && operation->kind == FLUSH)
		note_flushed(operation);
	else if (*error == 0)
		note_written(operation);
	return 1;
}

static bool is_free(uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++)
		if (busy[i])
			return false;
	return true;
}

static void send_flush(struct operation *operation)
{
	operation->count = 0;
	for (uint32_t i = 0; i < model.blocks; i++)
		operation->answered[i] = model.block[i].answered;
	if (nbd_aio_flush(nbd,
			  (nbd_completion_callback){.callback = answered, .user_data = operation},
			  0) < 0)
		fail("cannot send a flush");
}

static void send_change(struct operation *operation)
{
	const nbd_completion_callback done = {.callback = answered, .user_data = operation};
	const uint64_t offset = (uint64_t)operation->first * BLOCK;
	const uint32_t flags = operation->fua ? LIBNBD_CMD_FLAG_FUA : 0;
	int64_t sent;

	for (uint32_t i = 0; i < operation->count; i++) {
		struct block *const block = &model.block[operation->first + i];

		busy[operation->first + i] = true;
		block->newest = operation->id;
		if (operation->kind == ZERO)
			block->zeros = operation->id;
		fill(operation->data + i * BLOCK, operation->first + i, operation->id);
	}
	if (operation->kind == ZERO)
		sent = nbd_aio_zero(nbd, (uint64_t)operation->count * BLOCK, offset, done, flags);
	else
		sent = nbd_aio_pwrite(nbd, operation->data, operation->count * BLOCK, offset, done,
				      flags);
	if (sent < 0)
		fail("cannot send a write");
}

/** Half of the writes go to a sixteenth of the device, so that zones become garbage at different
 * speeds. */
static void send_one(struct operation *operation)
{
	const uint32_t dice = draw(100);
	const uint32_t range = draw(2) ? model.blocks : model.blocks / 16;
	const uint32_t count = 1 + draw(WIDEST);
	const uint32_t first = draw(range - WIDEST);

	operation->kind = dice < 8 ? FLUSH : dice < 14 ? ZERO : WRITE;
	operation->fua = operation->kind != FLUSH && draw(12) == 0;
	operation->first = first;
	operation->count = count;
	if (operation->kind != FLUSH && !is_free(first, count))
		return;
	operation->used = true;
	operation->id = model.next_id++;
	if (operation->kind == FLUSH)
		send_flush(operation);
	else
		send_change(operation);
}

static struct operation *unused_operation(void)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		if (!operations[i].used)
			return &operations[i];
	return NULL;
}

static bool any_used(void)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		if (operations[i].used)
			return true;
	return false;
}

static void work(unsigned count)
{
	while (count > 0) {
		struct operation *const operation = unused_operation();

		if (operation != NULL) {
			send_one(operation);
			count--;
		} else if (nbd_poll(nbd, 10000) < 0) {
			fail("the connection broke");
		}
	}
}

/** What was answered up to the end is read to the end. */
static void drain(void)
{
	while (any_used() && !nbd_aio_is_dead(nbd) && !nbd_aio_is_closed(nbd))
		if (nbd_poll(nbd, 10000) < 0 && !killed)
			fail("the connection broke");
}

/* ---- the model's file ---------------------------------------------------------------------- */

static void load_model(const char *path)
{
	FILE *const file = fopen(path, "r");

	if (file == NULL)
		return;
	if (fread(&model, sizeof(model), 1, file) != 1)
		fail("the model cannot be read");
	fclose(file);
}

static void save_model(const char *path)
{
	FILE *const file = fopen(path, "w");

	if (file == NULL || fwrite(&model, sizeof(model), 1, file) != 1 || fclose(file) != 0)
		fail("the model cannot be written");
}

static void connect_to(const char *uri)
{
	int64_t size;

	nbd = nbd_create();
	if (nbd == NULL || nbd_connect_uri(nbd, uri) < 0)
		fail("cannot connect");
	size = nbd_get_size(nbd);
	model.blocks = (uint32_t)(size / BLOCK);
	if (size < 16 * (2 * WIDEST) * (int64_t)BLOCK || model.blocks > BLOCKS_MOST)
		fail("the device has a size that is not for this");
}

int main(int argc, char **argv)
{
	pid_t server;

	if (argc != 5) {
		fprintf(stderr, "usage: crash-client URI MODEL SEED PID\n");
		return 2;
	}
	random_state = strtoull(argv[3], NULL, 10);
	server = (pid_t)strtol(argv[4], NULL, 10);
	load_model(argv[2]);
	connect_to(argv[1]);
	look_at_all();
	work(50 + draw(500));
	if (server != 0) {
		usleep(draw(3000));
		killed = true;
		kill(server, SIGKILL);
	}
	drain();
	/* The end of a server in good order stores everything. */
	for (uint32_t i = 0; server == 0 && i < model.blocks; i++)
		model.block[i].durable = model.block[i].newest;
	save_model(argv[2]);
	printf("%llu operations so far, %u flushes now\n", (unsigned long long)model.next_id,
	       flushes);
	nbd_close(nbd);
	return 0;
}
