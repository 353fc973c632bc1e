/* SPDX-License-Identifier: MIT */
/*
 * Channels: a ring of elements, and those who wait to send or to receive. Who waits has the address
 * of its element in `slot`; the other side copies to or from there and sets it to NULL. A slot that
 * is left when its thread was woken means that the channel was closed. All under the bucket's lock.
 */
#include "uthread_internal.h"

#include <stdlib.h>

#define BYTES_MOST (1U << 30)

struct uthread_channel {
	struct uthread_waiters senders;
	struct uthread_waiters receivers;
	size_t element_bytes;
	size_t capacity;
	size_t first;
	size_t count;
	bool closed;
	char elements[];
};

int uthread_channel_create(size_t element_bytes, size_t capacity, struct uthread_channel **result)
{
	struct uthread_channel *channel;

	if (element_bytes == 0 || element_bytes > BYTES_MOST ||
	    capacity > BYTES_MOST / element_bytes)
		return base_error(EINVAL,
				  "a channel of %zu elements of %zu bytes: from 1 byte to %u in "
				  "all are possible",
				  capacity, element_bytes, BYTES_MOST);
	channel = malloc(sizeof(*channel) + element_bytes * capacity);
	if (channel == NULL)
		return base_error(ENOMEM, "no memory for a channel of %zu elements of %zu bytes",
				  capacity, element_bytes);
	*channel = (struct uthread_channel){.element_bytes = element_bytes, .capacity = capacity};
	*result = channel;
	return 0;
}

void uthread_channel_destroy(struct uthread_channel *channel)
{
	free(channel);
}

static void copy(const struct uthread_channel *channel, void *to, const void *from)
{
	if (channel->element_bytes == sizeof(uint64_t))
		memcpy(to, from, sizeof(uint64_t));
	else
		memcpy(to, from, channel->element_bytes);
}

static char *element_at(struct uthread_channel *channel, size_t index)
{
	const size_t place = channel->first + index;

	return channel->elements + (place < channel->capacity ? place : place - channel->capacity) *
					   channel->element_bytes;
}

static void put(struct uthread_channel *channel, const void *element)
{
	copy(channel, element_at(channel, channel->count++), element);
}

static void get(struct uthread_channel *channel, void *element)
{
	copy(channel, element, element_at(channel, 0));
	channel->count--;
	if (++channel->first == channel->capacity)
		channel->first = 0;
}

/** Sends without waiting, if that is possible: 0; -EPIPE; -EAGAIN. */
static int send_now(bool solo, struct uthread_channel *channel, const void *element,
		    struct uthread **woken, bool *parked)
{
	if (channel->closed)
		return -EPIPE;
	*woken = uthread_claim_first(solo, &channel->receivers, parked);
	if (*woken != NULL) {
		copy(channel, (*woken)->slot, element);
		(*woken)->slot = NULL;
		return 0;
	}
	if (channel->count == channel->capacity)
		return -EAGAIN;
	put(channel, element);
	return 0;
}

/** The same for receiving. */
static int receive_now(bool solo, struct uthread_channel *channel, void *element,
		       struct uthread **woken, bool *parked)
{
	*woken = NULL;
	if (channel->count > 0)
		get(channel, element);
	else if (channel->closed)
		return -EPIPE;
	else if (channel->capacity > 0)
		return -EAGAIN;
	*woken = uthread_claim_first(solo, &channel->senders, parked);
	if (*woken == NULL)
		return channel->capacity > 0 ? 0 : -EAGAIN;
	if (channel->capacity > 0)
		put(channel, (*woken)->slot);
	else
		copy(channel, element, (*woken)->slot);
	(*woken)->slot = NULL;
	return 0;
}

/** Waits in @list with the bucket locked; unlocks it. */
static inline int wait_in(struct uthread *self, struct uthread_channel *channel,
			  struct uthread_waiters *list, enum uthread_why why, void *element,
			  uint64_t deadline_ns)
{
	const bool solo = self->worker->solo;
	int result;

	self->slot = element;
	result = uthread_wait_for(self, channel, list, why, deadline_ns);
	if (result != 0)
		return result;
	/* The other side may still be copying. */
	uthread_lock_object(solo, channel);
	uthread_unlock_object(solo, channel);
	return self->slot == NULL ? 0 : -EPIPE;
}

static inline int send_until(struct uthread_channel *channel, const void *element,
			     uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();
	struct uthread *woken = NULL;
	bool parked = false;
	int result;

	if (base_unlikely(self == NULL))
		return uthread_no_thread();
	if (base_unlikely(uthread_cancel_pending(self)))
		return uthread_cancel_now(self);
	uthread_lock_object(self->worker->solo, channel);
	result = send_now(self->worker->solo, channel, element, &woken, &parked);
	if (result == -EAGAIN) {
		result = wait_in(self, channel, &channel->senders, UTHREAD_WHY_SEND,
				 (void *)(uintptr_t)element, deadline_ns);
		return uthread_cancel_point(self, result);
	}
	uthread_unlock_object(self->worker->solo, channel);
	uthread_wake(self->worker, woken, parked);
	return result;
}

int uthread_channel_send_until(struct uthread_channel *channel, const void *element,
			       uint64_t deadline_ns)
{
	return send_until(channel, element, deadline_ns);
}

int uthread_channel_send(struct uthread_channel *channel, const void *element)
{
	return send_until(channel, element, UTHREAD_NEVER);
}

static inline int receive_until(struct uthread_channel *channel, void *element,
				uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();
	struct uthread *woken = NULL;
	bool parked = false;
	int result;

	if (base_unlikely(self == NULL))
		return uthread_no_thread();
	if (base_unlikely(uthread_cancel_pending(self)))
		return uthread_cancel_now(self);
	uthread_lock_object(self->worker->solo, channel);
	result = receive_now(self->worker->solo, channel, element, &woken, &parked);
	if (result == -EAGAIN) {
		result = wait_in(self, channel, &channel->receivers, UTHREAD_WHY_RECEIVE, element,
				 deadline_ns);
		return uthread_cancel_point(self, result);
	}
	uthread_unlock_object(self->worker->solo, channel);
	uthread_wake(self->worker, woken, parked);
	return result;
}

int uthread_channel_receive_until(struct uthread_channel *channel, void *element,
				  uint64_t deadline_ns)
{
	return receive_until(channel, element, deadline_ns);
}

int uthread_channel_receive(struct uthread_channel *channel, void *element)
{
	return receive_until(channel, element, UTHREAD_NEVER);
}

int uthread_channel_close(struct uthread_channel *channel)
{
	struct uthread_worker *const worker = uthread_here;
	bool was_closed;

	if (worker == NULL || worker->current == NULL)
		return uthread_no_thread();
	uthread_lock_object(worker->solo, channel);
	was_closed = channel->closed;
	channel->closed = true;
	uthread_wake_all(worker, channel, &channel->senders);
	uthread_lock_object(worker->solo, channel);
	uthread_wake_all(worker, channel, &channel->receivers);
	return was_closed ? base_error(EINVAL, "the channel is closed already") : 0;
}
