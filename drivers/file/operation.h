/* SPDX-License-Identifier: MIT */
/*
 * One request in progress: the system call that it makes at the moment, and what the steps after
 * that need to know.
 *
 * A request is a chain of calls in the loop of its queue. A step prepares operation->call.message
 * and sends it with the function that is the next step; that one looks at the result, and sends
 * again or ends the operation. All of it happens on the queue's thread.
 */
#ifndef FILE_OPERATION_H
#define FILE_OPERATION_H

#include <bdus/async.h>

struct image;
struct lane;
struct report;

struct operation {
	struct bdus_call call;
	struct bdus_request *request;
	struct image *image;
	struct bdus_loop *loop;

	/* A transfer: what is left of it, where its bytes are, and what comes after it. */
	uint64_t offset;
	uint64_t length;
	/* Of the request's payload, what is done; zeros are written from memory of the driver. */
	uint64_t skip;
	bool zeros;
	/* This attempt goes around the page cache; the next ones must not. */
	bool direct;
	bool cached_only;
	int rw_flags;
	void (*finished)(struct operation *operation, int result);

	union {
		/* Write zeros, discard: the part done by one call, and the end of the whole. */
		struct {
			uint64_t from;
			uint64_t to;
			uint64_t end;
		};
		/* `from` and the length, as BLKDISCARD wants them. */
		uint64_t range[2];
		/* Extents: how many are told, from where on none is, and the data behind that. */
		struct {
			uint64_t at;
			uint64_t data;
			uint32_t told;
		};
		/* What is told of zones. */
		struct report *report;
	};

	struct lane *lane;
	/* In the lane's list of free ones, or among those that wait for a turn, in zones.c also
	 * behind the one that has it. */
	struct operation *next;
};

/* ---- operation.c --------------------------------------------------------------------------- */

/** A new operation for @request; NULL when there is no memory. On the queue's thread. */
struct operation *operation_begin(struct image *image, struct bdus_request *request);

/** Completes the request with @result, 0 or a negative errno, and forgets the operation. */
void operation_end(struct operation *operation, int result);

/** Sends the message of @operation, prepared by the caller; its result goes to @next. */
void operation_send(struct operation *operation, void (*next)(struct bdus_call *call));

/** Sends the message once more, as it was. */
void operation_repeat(struct operation *operation);

static inline struct operation *operation_of(struct bdus_call *call)
{
	/* `call` is the first member. */
	return (struct operation *)(void *)call;
}

/** Frees what the operations of an image are made of; all have ended. */
void operation_free_lanes(struct image *image);

#endif
