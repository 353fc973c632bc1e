/* SPDX-License-Identifier: MIT */
/*
 * What the engine's own files know of a loop, beyond what transports do.
 */
#ifndef DEVICE_INTERNAL_LOOP_H
#define DEVICE_INTERNAL_LOOP_H

#include "base/list.h"
#include "device/io.h"
#include "device/loop.h"

#include <asys.h>
#include <pthread.h>
#include <stdatomic.h>

/** Something that is looked at after each turn, for as long as it is in the loop's list. */
struct bdus_loop_hook {
	struct base_list link;
	void (*run)(struct bdus_loop_hook *hook);
};

struct bdus_loop {
	struct asys *asys;
	pthread_t owner;
	uint32_t flags;
	/** Within a turn: callbacks run, and nothing may be closed. */
	bool in_turn;
	/** Being destroyed: nothing new is begun. */
	bool ending;
	/** Requests are served within `submit` and may take long there: keep turns short. */
	bool serves_in_place;
	/** Most requests that one turn fetches. */
	unsigned batch;
	/** How often bdus_loop_process() was called. */
	unsigned turns;

	struct base_list queues;
	/** Queues whose transport has something to hand over, and those with results to commit. */
	struct base_list ready;
	struct base_list dirty;
	struct base_list hooks;
	/** Userland threads; NULL until a driver wants some. */
	struct bdus_threads *threads;
	/** Completed calls that bdus_loop_end_call() came upon. */
	struct asys_message *stashed;
	struct asys_message **stashed_end;

	/** Busy polling: the most allowed, and how long pays off at present. */
	uint64_t most_awake_ns;
	uint64_t awake_ns;
	/** When it last began to look in vain; 0 after a wait. */
	uint64_t looked_since_ns;

	unsigned files;
	bool *file_used;
	unsigned buffers;
	bool *buffer_used;
	/** Memory for the kernel to pick from; NULL until wanted. */
	uint8_t *pieces;

	/** Completions from other threads, last first. */
	_Alignas(64) _Atomic(struct bdus_io *) remote;
	/** Threads that are handing in a completion; the loop lasts until they are done. */
	atomic_uint pushers;
	/** One of its queues is `asked`. */
	atomic_bool asked;
};

void bdus_loop_add_hook(struct bdus_loop *loop, struct bdus_loop_hook *hook);
/** Takes one that is in no list. */
void bdus_loop_remove_hook(struct bdus_loop_hook *hook);

/** Hands in a completion. Any thread. */
void bdus_loop_push_remote(struct bdus_loop *loop, struct bdus_io *io);

/** One turn, which leaves what it committed to the next one's system call. */
int bdus_loop_turn(struct bdus_loop *loop, int timeout_ms);

#endif
