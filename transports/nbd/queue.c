/* SPDX-License-Identifier: MIT */
/*
 * One queue, driven by the engine's loop: calls that receive put connections in line, fetch takes
 * requests from them, commit sends the replies that are ready.
 *
 * A connection with input is in `ready` until that is used up, and then has a call that receives
 * more; one that may not be read from for now has neither and costs nothing.
 */
#include "base/clock.h"
#include "base/error.h"
#include "nbd_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/** Memory for payload that a queue keeps between requests, and the quiet after which it goes. */
#define KEEP_BYTES ((size_t)32 << 20)
#define TRIM_MS    1000
/** How long clients have to take their last replies when the device ends. */
#define STOP_MS 3000

/* ---- life ---------------------------------------------------------------------------------- */

static void init_lists(struct bdus_transport_queue *queue)
{
	base_list_init(&queue->connections);
	base_list_init(&queue->dead);
	base_list_init(&queue->handshakes);
	base_list_init(&queue->ready);
	base_list_init(&queue->unsent);
	base_list_init(&queue->starved);
	base_list_init(&queue->inbox);
}

void nbd_queue_watch(struct bdus_transport_queue *queue, struct nbd_watch *watch, int fd,
		     uint32_t events)
{
	if (watch->armed)
		return;
	asys_prep_poll(&watch->call.message, fd, events);
	/* Fails only in a loop that ends, and takes no more. */
	watch->armed = bdus_loop_send(queue->loop, &watch->call) == 0;
}

static void await_event(struct bdus_transport_queue *queue)
{
	nbd_queue_watch(queue, &queue->event, queue->device->event_fds[queue->index], POLLIN);
}

static void on_event(struct bdus_call *call);
static void on_timer(struct bdus_call *call);
static void on_idle_check(struct bdus_call *call);

int nbd_queue_open(struct bdus_transport_device *device, unsigned index, struct bdus_queue *host,
		   struct bdus_transport_queue **queue)
{
	struct bdus_transport_queue *const opened = calloc(1, sizeof(*opened));

	if (opened == NULL)
		return base_error(ENOMEM, "out of memory for queue %u", index);
	opened->device = device;
	opened->index = index;
	opened->host = host;
	opened->loop = bdus_host_loop(host);
	opened->timer_ns = UINT64_MAX;
	opened->idle_call.completed = on_idle_check;
	opened->event.call.completed = on_event;
	opened->timer_call.completed = on_timer;
	init_lists(opened);
	pthread_mutex_init(&opened->inbox_lock, NULL);
	opened->pool = bdus_pool_create(KEEP_BYTES);
	if (opened->pool == NULL) {
		nbd_queue_close(opened);
		return base_error(ENOMEM, "out of memory for a queue's pool");
	}
	await_event(opened);
	bdus_loop_allow_polling(opened->loop, device->busy_poll_ns);
	device->queues[index] = opened;
	*queue = opened;
	return 0;
}

static void for_each_connection(struct base_list *list, void (*act)(struct nbd_connection *))
{
	struct base_list *element = list->next;

	while (element != list) {
		struct nbd_connection *const connection =
			base_list_entry(element, struct nbd_connection, link);

		/* It may leave the list. */
		element = element->next;
		act(connection);
	}
}

static void end_calls(struct bdus_transport_queue *queue)
{
	bdus_loop_end_call(queue->loop, &queue->accepting.call);
	bdus_loop_end_call(queue->loop, &queue->event.call);
	bdus_loop_end_call(queue->loop, &queue->timer_call);
	bdus_loop_end_call(queue->loop, &queue->idle_call);
}

static void reap_dead(struct bdus_transport_queue *queue)
{
	for_each_connection(&queue->dead, nbd_connection_reap);
}

static void kill_all(struct bdus_transport_queue *queue)
{
	while (!base_list_is_empty(&queue->connections))
		nbd_connection_kill(
			base_list_entry(queue->connections.next, struct nbd_connection, link));
}

void nbd_queue_close(struct bdus_transport_queue *queue)
{
	if (queue == NULL)
		return;
	queue->stopping = true;
	end_calls(queue);
	nbd_queue_take_inbox(queue);
	kill_all(queue);
	/* A loop that ended does not wait for the engine. */
	nbd_request_take_back_all(queue);
	reap_dead(queue);
	nbd_request_free_slabs(queue);
	bdus_pool_destroy(queue->pool);
	pthread_mutex_destroy(&queue->inbox_lock);
	queue->device->queues[queue->index] = NULL;
	free(queue);
}

void nbd_queue_detach(struct bdus_transport_queue *queue)
{
	end_calls(queue);
	queue->accepting.armed = queue->event.armed = queue->idle_check_armed = false;
	queue->timer_ns = UINT64_MAX;
	for_each_connection(&queue->dead, nbd_connection_detach);
	for_each_connection(&queue->connections, nbd_connection_detach);
	queue->loop = NULL;
}

void nbd_queue_attach(struct bdus_transport_queue *queue)
{
	queue->loop = bdus_host_loop(queue->host);
	bdus_loop_allow_polling(queue->loop, queue->device->busy_poll_ns);
	await_event(queue);
	if (queue->index == 0 && queue->accept_again_ns == 0)
		nbd_queue_accept_again(queue);
	for_each_connection(&queue->connections, nbd_connection_attach);
}

void nbd_queue_wake(struct bdus_transport_queue *queue)
{
	/* Fails only when the counter is full, and then the queue is awake. */
	eventfd_write(queue->device->event_fds[queue->index], 1);
}

/* ---- stopping ------------------------------------------------------------------------------ */

/** Either may take the connection out of its list. */
static void stop_connection(struct nbd_connection *connection)
{
	if (connection->state == NBD_CONNECTION_HANDSHAKE)
		nbd_connection_kill(connection);
	else
		nbd_connection_drain(connection);
}

static void begin_stop(struct bdus_transport_queue *queue)
{
	queue->stopping = true;
	queue->stop_deadline_ns = base_deadline_ns(STOP_MS);
	queue->accept_again_ns = 0;
	for_each_connection(&queue->connections, stop_connection);
}

static bool has_ended(const struct bdus_transport_queue *queue)
{
	return queue->stopping && base_list_is_empty(&queue->connections) &&
	       base_list_is_empty(&queue->dead);
}

static bool has_replies(const struct base_list *connections)
{
	for (const struct base_list *element = connections->next; element != connections;
	     element = element->next) {
		if (base_list_entry(element, struct nbd_connection, link)->replies != NULL)
			return true;
	}
	return false;
}

bool nbd_queue_is_sending(struct bdus_transport_queue *queue)
{
	if (queue->sending_deadline_ns == 0)
		queue->sending_deadline_ns = base_deadline_ns(STOP_MS);
	return has_replies(&queue->connections) && base_now_ns() < queue->sending_deadline_ns;
}

/* ---- time ---------------------------------------------------------------------------------- */

/** The next moment at which something has to be done without an event. */
static uint64_t next_deadline_ns(const struct bdus_transport_queue *queue)
{
	uint64_t deadline = UINT64_MAX;

	if (!base_list_is_empty(&queue->handshakes))
		deadline = base_list_entry(queue->handshakes.next, struct nbd_connection,
					   handshake_link)
				   ->handshake_deadline_ns;
	if (queue->stopping)
		deadline = base_min(deadline, queue->stop_deadline_ns);
	if (queue->accept_again_ns != 0)
		deadline = base_min(deadline, queue->accept_again_ns);
	return deadline;
}

/** Does what is due. */
static void expire(struct bdus_transport_queue *queue)
{
	const uint64_t now = base_now_ns();

	while (!base_list_is_empty(&queue->handshakes)) {
		struct nbd_connection *const oldest = base_list_entry(
			queue->handshakes.next, struct nbd_connection, handshake_link);

		if (oldest->handshake_deadline_ns > now)
			break;
		nbd_connection_kill(oldest);
	}
	if (queue->accept_again_ns != 0 && queue->accept_again_ns <= now)
		nbd_queue_accept_again(queue);
	if (queue->stopping && queue->stop_deadline_ns <= now)
		kill_all(queue);
}

/** Has the loop wake the queue when the next thing is due. */
static void arm_timer(struct bdus_transport_queue *queue)
{
	const uint64_t when_ns = next_deadline_ns(queue);

	if (when_ns >= queue->timer_ns)
		return;
	/* One that was armed for later comes back, and then finds nothing due. */
	if (queue->timer_ns != UINT64_MAX) {
		bdus_loop_cancel(queue->loop, &queue->timer_call);
		return;
	}
	asys_prep_timeout(&queue->timer_call.message, when_ns);
	if (bdus_loop_send(queue->loop, &queue->timer_call) == 0)
		queue->timer_ns = when_ns;
}

static void on_timer(struct bdus_call *call)
{
	struct bdus_transport_queue *const queue =
		base_container_of(call, struct bdus_transport_queue, timer_call);

	queue->timer_ns = UINT64_MAX;
	bdus_host_make_ready(queue->host);
}

/** After a quiet while the memory of past requests goes back to the system. */
static void on_idle_check(struct bdus_call *call)
{
	struct bdus_transport_queue *const queue =
		base_container_of(call, struct bdus_transport_queue, idle_call);

	queue->idle_check_armed = false;
	if (!queue->busy && queue->in_engine == 0)
		bdus_pool_trim(queue->pool);
	else
		nbd_queue_check_idle(queue);
}

void nbd_queue_check_idle(struct bdus_transport_queue *queue)
{
	queue->busy = false;
	asys_prep_timeout(&queue->idle_call.message, base_deadline_ns(TRIM_MS));
	queue->idle_check_armed = bdus_loop_send(queue->loop, &queue->idle_call) == 0;
}

/* ---- turns --------------------------------------------------------------------------------- */

/** Another thread has something: a connection, or the end. */
static void on_event(struct bdus_call *call)
{
	struct bdus_transport_queue *const queue =
		base_container_of(call, struct bdus_transport_queue, event.call);
	eventfd_t count;

	queue->event.armed = false;
	bdus_host_make_ready(queue->host);
	eventfd_read(queue->device->event_fds[queue->index], &count);
	nbd_queue_take_inbox(queue);
	await_event(queue);
}

static void send_unsent(struct bdus_transport_queue *queue)
{
	struct base_list *element;

	while ((element = base_list_pop_front(&queue->unsent)) != NULL)
		nbd_connection_send(base_list_entry(element, struct nbd_connection, unsent_link));
}

/** Lets each connection in turn add requests until the batch is full. */
static void take_requests(struct bdus_transport_queue *queue, struct nbd_batch *batch)
{
	struct base_list *element;

	while (batch->count < batch->capacity && batch->bytes < NBD_BATCH_BYTES) {
		element = base_list_pop_front(&queue->ready);
		if (element == NULL)
			break;
		nbd_connection_receive(base_list_entry(element, struct nbd_connection, ready_link),
				       batch);
	}
	if (batch->count == 0)
		return;
	queue->busy = true;
	if (!queue->idle_check_armed)
		nbd_queue_check_idle(queue);
}

/** What else has to be done from time to time. */
static void tend(struct bdus_transport_queue *queue)
{
	if (!queue->stopping &&
	    atomic_load_explicit(&queue->device->stopping, memory_order_acquire))
		begin_stop(queue);
	if (next_deadline_ns(queue) != UINT64_MAX)
		expire(queue);
}

void *nbd_queue_get_memory(struct bdus_transport_queue *queue, struct nbd_connection *connection,
			   size_t bytes)
{
	void *const memory = bdus_memory_get(queue->device->memory, queue->host, bytes);

	if (memory != NULL)
		return memory;
	base_list_remove(&connection->ready_link);
	base_list_push_back(&queue->starved, &connection->ready_link);
	return NULL;
}

/** Memory may have come back: those who waited try again, in their order. */
static void resume_starved(struct bdus_transport_queue *queue)
{
	struct base_list *link;

	while ((link = base_list_pop_front(&queue->starved)) != NULL)
		nbd_connection_make_ready(base_list_entry(link, struct nbd_connection, ready_link));
}

int nbd_queue_fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	struct nbd_batch batch = {.ios = ios};

	queue->sending_deadline_ns = 0;
	send_unsent(queue);
	tend(queue);
	resume_starved(queue);
	batch.capacity =
		(unsigned)base_min(capacity, queue->device->queue_depth - queue->in_engine);
	take_requests(queue, &batch);
	/* What was refused is answered already. */
	send_unsent(queue);
	reap_dead(queue);
	if (has_ended(queue))
		return -ENODEV;
	if (queue->in_engine < queue->device->queue_depth && !base_list_is_empty(&queue->ready))
		bdus_host_make_ready(queue->host);
	arm_timer(queue);
	return (int)batch.count;
}

static void take_back(struct bdus_transport_queue *queue, struct bdus_io *io)
{
	struct nbd_request *const request = base_container_of(io, struct nbd_request, io);
	struct nbd_connection *const connection = request->connection;

	queue->in_engine--;
	connection->in_engine--;
	if (base_likely(connection->state != NBD_CONNECTION_DEAD))
		nbd_connection_answer(connection, request, io->result);
	else
		nbd_request_put(request);
}

void nbd_queue_commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
		      unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		take_back(queue, ios[i]);
	send_unsent(queue);
	/* There may be room for requests that waited, and connections that have ended. */
	if (!base_list_is_empty(&queue->ready) || !base_list_is_empty(&queue->dead) ||
	    queue->stopping)
		bdus_host_make_ready(queue->host);
}
