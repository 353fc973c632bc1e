/* SPDX-License-Identifier: MIT */
/*
 * A thread that stores commits, since that waits for a disk. It tells the loop that one is done by
 * an event descriptor, which outlives the loop.
 *
 * The lock covers `commit`, `result` and `ending`; the map is the thread's while `commit` is set.
 */
#include "base/bits.h"
#include "base/thread.h"
#include "fold.h"

#include <bdus/manage.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct fold_committer {
	struct fold_map *map;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const struct fold_commit *commit;
	bool ending;
	int result;
	char message[256];
	int done_fd;
	struct bdus_call waits;
	void (*done)(void *opaque, int result, const char *message);
	void *opaque;
};

static const struct fold_commit *wait_for_commit(struct fold_committer *committer)
{
	const struct fold_commit *commit;

	pthread_mutex_lock(&committer->lock);
	while (committer->commit == NULL && !committer->ending)
		pthread_cond_wait(&committer->changed, &committer->lock);
	commit = committer->commit;
	pthread_mutex_unlock(&committer->lock);
	return commit;
}

static void *committer_main(void *argument)
{
	struct fold_committer *const committer = argument;
	const struct fold_commit *commit;
	const uint64_t one = 1;

	while ((commit = wait_for_commit(committer)) != NULL) {
		const int result = fold_map_commit(committer->map, commit);
		ssize_t written;

		pthread_mutex_lock(&committer->lock);
		committer->result = result;
		snprintf(committer->message, sizeof(committer->message), "%s",
			 result < 0 ? bdus_manage_error() : "");
		committer->commit = NULL;
		pthread_mutex_unlock(&committer->lock);
		written = write(committer->done_fd, &one, sizeof(one));
		(void)written;
	}
	return NULL;
}

static void commit_is_done(struct bdus_call *call)
{
	struct fold_committer *const committer =
		base_container_of(call, struct fold_committer, waits);
	char message[sizeof(committer->message)];
	uint64_t count;
	ssize_t got;
	int result;

	/* A loop that ends has nobody left to tell. */
	if (call->message.result < 0)
		return;
	got = read(committer->done_fd, &count, sizeof(count));
	(void)got;
	pthread_mutex_lock(&committer->lock);
	result = committer->result;
	memcpy(message, committer->message, sizeof(message));
	pthread_mutex_unlock(&committer->lock);
	committer->done(committer->opaque, result, message);
}

int fold_committer_begin(struct fold_committer *committer, struct bdus_loop *loop,
			 const struct fold_commit *commit,
			 void (*done)(void *opaque, int result, const char *message), void *opaque)
{
	int result;

	committer->done = done;
	committer->opaque = opaque;
	committer->waits.completed = commit_is_done;
	asys_prep_poll(&committer->waits.message, committer->done_fd, POLLIN);
	result = bdus_loop_send(loop, &committer->waits);
	if (result < 0)
		return result;
	pthread_mutex_lock(&committer->lock);
	committer->commit = commit;
	pthread_cond_signal(&committer->changed);
	pthread_mutex_unlock(&committer->lock);
	return 0;
}

int fold_committer_create(struct fold_map *map, struct fold_committer **created)
{
	struct fold_committer *const committer = calloc(1, sizeof(*committer));
	int error = ENOMEM;

	if (committer == NULL)
		return bdus_config_error(ENOMEM, "filter zonefold: no memory");
	committer->map = map;
	committer->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&committer->lock, NULL);
	pthread_cond_init(&committer->changed, NULL);
	error = committer->done_fd < 0
			? errno
			: base_thread_start(&committer->thread, committer_main, committer);
	if (error != 0) {
		if (committer->done_fd >= 0)
			close(committer->done_fd);
		free(committer);
		return bdus_config_error(error, "filter zonefold: cannot start a thread: %s",
					 strerror(error));
	}
	*created = committer;
	return 0;
}

void fold_committer_destroy(struct fold_committer *committer)
{
	if (committer == NULL)
		return;
	pthread_mutex_lock(&committer->lock);
	committer->ending = true;
	pthread_cond_signal(&committer->changed);
	pthread_mutex_unlock(&committer->lock);
	pthread_join(committer->thread, NULL);
	close(committer->done_fd);
	pthread_mutex_destroy(&committer->lock);
	pthread_cond_destroy(&committer->changed);
	free(committer);
}
