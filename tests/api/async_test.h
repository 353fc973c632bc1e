/* SPDX-License-Identifier: MIT */
/*
 * What tests of bdus/async.h share: devices made in the test's own process, over NBD, with a disk
 * in memory that answers in several ways; and clients, each a process of its own by libnbd, so that
 * the test's process has no thread but those that it starts.
 *
 * Clients wait until their socket is there. Start them before anything else exists, so that they
 * inherit nothing.
 */
#ifndef ASYNC_TEST_H
#define ASYNC_TEST_H

#include <bdus/async.h>
#include <bdus/thread.h>

#include <libnbd.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

#include <cmocka.h>

#define ASYNC_PATIENCE_MS 20000
#define ASYNC_DISK_BYTES  (1 << 20)
#define ASYNC_READ_WRITE  (BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE))

/* ---- clients ------------------------------------------------------------------------------- */

struct async_client {
	pid_t pid;
	/** Readable once it has ended. */
	int pidfd;
};

/** Runs in the client's process; returns whether all was as it should be. */
typedef bool async_client_fn(struct nbd_handle *nbd, unsigned number);

/** Starts a client of the device with socket @device. */
void async_client_start(struct async_client *client, unsigned device, async_client_fn *run,
			unsigned number);
/** Waits for its end; fails the test if it was not content. */
void async_client_finish(struct async_client *client);

/** Writes blocks of its own part of the disk, the @number-th of 8, and reads them back. */
async_client_fn async_client_verify;
/** Connects, and sees a disk. */
async_client_fn async_client_look;

/* ---- disks --------------------------------------------------------------------------------- */

enum async_answer {
	/** Within submit. */
	ASYNC_AT_ONCE,
	/** Kept in `held`, for the test to answer. */
	ASYNC_HELD,
	/** By the thread of async_disk_helper(). */
	ASYNC_ELSEWHERE,
	/** In userland threads on the queue's loop, by `on_thread`. */
	ASYNC_THREADED,
};

struct async_disk {
	struct bdus_async_driver driver;
	struct bdus_device *device;
	/** As attributes of the device: 0 for the default. */
	unsigned queues;
	unsigned queue_depth;
	unsigned max_transfer_bytes;
	/** Where payloads shall lie; NULL for anywhere. */
	struct bdus_memory *memory_of_program;
	enum async_answer answer;
	/** Called for each request first, if not NULL. */
	void (*on_submit)(struct async_disk *disk, struct bdus_request *request);
	/** Called in each request's thread first, if not NULL; a failure is the request's result.
	 */
	int (*on_thread)(struct async_disk *disk, struct bdus_request *request);
	struct bdus_thread_driver threads;
	char *memory;
	atomic_uint submitted;
	unsigned available;
	unsigned stopping;
	int stop_result;

	/** Protects what is held. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct bdus_request *held;
	unsigned held_count;
	bool helper_ends;
};

void async_disk_init(struct async_disk *disk, enum async_answer answer);
void async_disk_finish(struct async_disk *disk);
/** Makes the disk's device with socket @number. */
int async_disk_create(struct async_disk *disk, unsigned number);
/** The same, with queue 0 opened in @loop and started. */
struct bdus_queue *async_disk_start(struct async_disk *disk, unsigned number,
				    struct bdus_loop *loop);
/** Does what @request asks for. */
void async_disk_serve(struct async_disk *disk, const struct bdus_request *request);
/** Answers up to @most held requests, by bdus_complete() or from any thread. */
unsigned async_disk_answer(struct async_disk *disk, unsigned most, bool any_thread);
/** A thread that answers what is held until `helper_ends`. */
void *async_disk_helper(void *disk);
void async_disk_end_helper(struct async_disk *disk);

/* ---- loops --------------------------------------------------------------------------------- */

/**
 * With "forbidden" on the command line, every io_uring call of this process fails from now on, as
 * in many sandboxes. Exits if that cannot be had.
 */
void async_choose_way(int argc, char **argv);

struct bdus_loop *async_loop(uint32_t flags);

/**
 * Polls the loop without ever waiting in it until each of @clients has ended; fails the test when
 * nothing happens for long, which is what a lost event looks like. @between is called before each
 * poll, if not NULL.
 */
void async_serve(struct bdus_loop *loop, struct async_client *clients, unsigned count,
		 void (*between)(void *argument), void *argument);

/** Stops the disk, polls until its queue has ended in good order, closes and destroys. */
void async_disk_end(struct async_disk *disk, struct bdus_queue *queue, struct bdus_loop *loop);

/** Polls and processes once; fails the test when nothing happens for long. */
void async_turn(struct bdus_loop *loop);

/** Entries of /proc/self/task or /proc/self/fd. */
unsigned async_count(const char *folder);

#define async_unit_test(function) \
	cmocka_unit_test_setup_teardown(function, async_setup, async_teardown)
/** A folder of its own for sockets and records, which has to be empty again after the test. */
int async_setup(void **state);
int async_teardown(void **state);
const char *async_folder(void);

#endif
