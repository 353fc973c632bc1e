/* SPDX-License-Identifier: MIT */
/*
 * Where an image lies: a file, or in tests a disk that loses its power. A store takes reads, writes
 * and syncs, any number at once, and finishes them in any order; a write is durable once a sync
 * that was sent after its end has ended. All on the thread of the device's queue.
 */
#ifndef ZONED_STORE_H
#define ZONED_STORE_H

#include <bdus/async.h>

enum store_kind {
	STORE_READ,
	STORE_WRITE,
	STORE_SYNC,
};

struct store;

struct store_call {
	enum store_kind kind;
	void *memory;
	uint64_t offset;
	uint64_t length;
	/** Called once, also before send() returns; with 0 or a negative errno. */
	void (*done)(struct store_call *call, int result);

	/* The store's own. */
	struct store *store;
	struct bdus_loop *loop;
	struct bdus_call call;
	uint64_t progress;
	struct store_call *next;
};

struct store_ops {
	/** Begins @call, in the loop of a queue. */
	void (*send)(struct store *store, struct bdus_loop *loop, struct store_call *call);
	/** Carries it out, before the device has a queue or after; 0 or a negative errno. */
	int (*now)(struct store *store, enum store_kind kind, void *memory, uint64_t offset,
		   uint64_t length);
	/** Takes what is closed. */
	int (*close)(struct store *store);
};

struct store {
	const struct store_ops *ops;
	uint64_t size_bytes;
};

/**
 * Opens the file at @path, or makes one of @create_bytes where that is not 0 and there is none;
 * *@created says so. 0, or a negative errno after bdus_config_error().
 */
int zstore_file_open(const char *path, uint64_t create_bytes, bool *created, struct store **store);

#endif
