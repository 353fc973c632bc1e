/* SPDX-License-Identifier: MIT */
/*
 * The server's objects: the device with its listening sockets, its queues (one event loop each),
 * their connections and the requests in progress.
 *
 * Each connection belongs to one queue for all its life, and everything in a queue belongs to the
 * thread that opened it; exceptions are marked "any thread". Queue 0 accepts connections and hands
 * them to the queue with the fewest, through that queue's inbox and event fd.
 */
#ifndef NBD_INTERNAL_H
#define NBD_INTERNAL_H

#include "base/list.h"
#include "command.h"
#include "device/pool.h"
#include "device/transport.h"
#include "export.h"
#include "listen.h"
#include "reply.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

struct nbd_handshake;

/** Most requests of one connection that are received and not yet answered, and their payload. */
#define NBD_CONNECTION_REQUESTS 256
#define NBD_CONNECTION_BYTES    ((size_t)NBD_DEFAULT_PAYLOAD_BYTES)
/** Replies that wait for the client to read keep more requests from being taken above this. */
#define NBD_CONNECTION_UNSENT_BYTES ((size_t)256 << 10)
/** Receive buffer of a connection; holds dozens of small writes, or any option. */
#define NBD_RECEIVE_BYTES ((size_t)128 << 10)
/** From this length on a write's payload is received where it will be used. */
#define NBD_LARGE_WRITE_BYTES ((size_t)32 << 10)
/**
 * Payload after which a fetch returns though there is more: the first replies go out, and the
 * client works on them, while the rest is being served.
 */
#define NBD_BATCH_BYTES ((size_t)64 << 10)
/** Extents in the answer to one block status command. */
#define NBD_STATUS_EXTENTS 512

/** A call of the loop that waits for a descriptor. Its memory stays while it is `armed`. */
struct nbd_watch {
	struct bdus_call call;
	bool armed;
};

enum nbd_connection_state {
	NBD_CONNECTION_HANDSHAKE,
	NBD_CONNECTION_TRANSMISSION,
	/** Nothing more is read; ends once everything received was answered. */
	NBD_CONNECTION_DRAINING,
	/** The socket is shut down; exists until the engine and the loop gave back what they have.
	 */
	NBD_CONNECTION_DEAD,
};

/** A command from its reception until its reply was sent. */
struct nbd_request {
	struct bdus_io io;
	/** In the list of free requests or in a connection's list of replies. */
	struct nbd_request *next;
	/** NULL while it is free. */
	struct nbd_connection *connection;
	/** From the queue's pool; NULL when there is none. */
	void *data;
	size_t data_bytes;
	/** `data` is memory of the program's rather than from the queue's pool. */
	bool data_is_theirs;
	struct nbd_command command;
	struct nbd_reply reply;
};

struct nbd_connection {
	int fd;
	enum nbd_connection_state state;
	struct bdus_transport_queue *queue;
	/** In the queue's `connections` or `dead`, or in its inbox. */
	struct base_list link;
	/** In `handshakes`, `ready` and `unsent` of the queue; empty when not. */
	struct base_list handshake_link;
	struct base_list ready_link;
	struct base_list unsent_link;

	/** Until transmission starts. */
	struct nbd_handshake *handshake;
	size_t handshake_sent;
	uint64_t handshake_deadline_ns;
	struct nbd_session session;

	/** What was received and not yet used: [begin, end) of `buffer`. */
	uint8_t *buffer;
	size_t begin;
	size_t end;
	/** The write whose payload is arriving, and how much of it is there. */
	struct nbd_request *incoming;
	size_t incoming_bytes;
	/**
	 * Receives into `incoming` and into `buffer` from `end` on, which nobody else touches
	 * meanwhile.
	 */
	struct nbd_watch input;
	struct msghdr input_message;
	struct iovec input_pieces[2];
	/** The last command was a large write, so that the next one's payload should not be
	 * buffered. */
	bool large_writes;

	/** The socket takes no more for now; `output` waits for room. */
	bool send_blocked;
	struct nbd_watch output;
	/** Replies to send, oldest first, and how much of the first went out. */
	struct nbd_request *replies;
	struct nbd_request **replies_end;
	size_t reply_sent;
	size_t unsent_bytes;

	/** Requests that exist for this connection, their payload, and those with the engine. */
	unsigned requests;
	size_t bytes;
	unsigned in_engine;
};

/** What one fetch collects. */
struct nbd_batch {
	struct bdus_io **ios;
	unsigned capacity;
	unsigned count;
	size_t bytes;
};

struct bdus_transport_queue {
	struct bdus_transport_device *device;
	unsigned index;
	struct bdus_queue *host;
	struct bdus_loop *loop;
	/** For the next deadline, which is at `timer_ns`; UINT64_MAX while it is not armed. */
	struct bdus_call timer_call;
	uint64_t timer_ns;
	struct bdus_call idle_call;
	bool idle_check_armed;
	/** Waits for clients. Queue 0's only. */
	struct nbd_watch accepting;
	/** Waits for the device's event fd of this queue: for its inbox or for `stopping`. */
	struct nbd_watch event;
	struct bdus_pool *pool;
	struct nbd_request *free_requests;
	struct nbd_request_slab *slabs;

	struct base_list connections;
	struct base_list dead;
	/** By deadline, the first one first. */
	struct base_list handshakes;
	/** With input to look at, in turn. */
	struct base_list ready;
	/** With replies that can be sent. */
	struct base_list unsent;
	/** With a request whose payload waits for memory of the program's, by `ready_link`. */
	struct base_list starved;
	unsigned in_engine;
	/** Requests came since the last idle check. */
	bool busy;
	bool stopping;
	uint64_t stop_deadline_ns;
	/** While nothing is fetched: until then replies are waited for; 0 while something is. */
	uint64_t sending_deadline_ns;
	/** Accepting rests until then, for want of descriptors; 0 when it does not. */
	uint64_t accept_again_ns;
	/** Clients are kept away, which was told. Queue 0's only. */
	bool keeps_away;

	/** Any thread: connections that this queue has or will have. */
	atomic_uint load;
	/** Any thread, under the lock: connections that queue 0 handed over. */
	pthread_mutex_t inbox_lock;
	struct base_list inbox;
};

struct bdus_transport_device {
	struct nbd_export export;
	const struct bdus_log *log;
	struct nbd_listeners listeners;
	/** An epoll with the listening sockets; -1 before start() and after stop(). */
	int accept_fd;
	unsigned max_connections;
	uint64_t handshake_timeout_ms;
	uint64_t busy_poll_ns;
	/** Where payloads have to lie; NULL for the queues' own pools. */
	struct bdus_memory *memory;
	unsigned queue_depth;
	unsigned queue_count;
	/** One for each queue; they live as long as the device. Any thread may write. */
	int *event_fds;
	/** Filled by the queues' owners before start(). */
	struct bdus_transport_queue **queues;
	/** A successor has the listening sockets. */
	bool sockets_given;
	/** Any thread. */
	atomic_uint connection_count;
	atomic_bool stopping;
};

/* ---- request.c: the slots of a queue ------------------------------------------------------- */

/** A request for @connection; NULL when memory is out. */
struct nbd_request *nbd_request_get(struct nbd_connection *connection,
				    const struct nbd_command *command);
/** Gives it @bytes of payload memory; false when memory is out. */
bool nbd_request_get_data(struct nbd_request *request, size_t bytes);
/** Gives it memory of the program's, which nbd_queue_get_memory() gave. */
void nbd_request_use_memory(struct nbd_request *request, void *memory, size_t bytes);
/** Gives that back before the request itself. */
void nbd_request_drop_data(struct nbd_request *request);
void nbd_request_put(struct nbd_request *request);
/** Takes back all that the engine holds. Every connection must be dead. */
void nbd_request_take_back_all(struct bdus_transport_queue *queue);
/** Frees all slots; none may be in use. */
void nbd_request_free_slabs(struct bdus_transport_queue *queue);

/* ---- connection.c: life, and what goes in -------------------------------------------------- */

/** Takes over @fd, whatever the outcome. NULL when memory is out. */
struct nbd_connection *nbd_connection_create(int fd);
/** Frees a connection that no queue ever adopted. */
void nbd_connection_discard(struct nbd_connection *connection);
/** Makes @queue its owner and begins the handshake. */
void nbd_connection_adopt(struct nbd_connection *connection, struct bdus_transport_queue *queue);
/** Closes the socket and frees all that the engine does not hold. */
void nbd_connection_kill(struct nbd_connection *connection);
/** Stops reading; the connection ends when everything is answered. */
void nbd_connection_drain(struct nbd_connection *connection);
/** Ends a draining connection that has nothing left to answer. */
void nbd_connection_settle(struct nbd_connection *connection);
/** Frees a dead connection, unless the engine or the loop still has something of it. */
void nbd_connection_reap(struct nbd_connection *connection);
/** Adds the requests that arrived to @batch, until that or the client is full, or asks for more. */
void nbd_connection_receive(struct nbd_connection *connection, struct nbd_batch *batch);
/** Puts it in line for nbd_connection_receive() unless that was done and awaits more. */
void nbd_connection_make_ready(struct nbd_connection *connection);
/** Takes its calls out of the queue's loop; it may die of what they brought. */
void nbd_connection_detach(struct nbd_connection *connection);
/** Goes on in the queue's loop of now. */
void nbd_connection_attach(struct nbd_connection *connection);

/* ---- send.c: what goes out ----------------------------------------------------------------- */

/** Builds the reply for a request that is done with @result, or was refused, and puts it in line.
 */
void nbd_connection_answer(struct nbd_connection *connection, struct nbd_request *request,
			   int result);
/** Sends as many replies as the socket takes. */
void nbd_connection_send(struct nbd_connection *connection);
/** Sends the handshake's output; false when the socket takes no more, or the connection died. */
bool nbd_connection_send_handshake(struct nbd_connection *connection);
/** Frees the replies in line. */
void nbd_connection_drop_replies(struct nbd_connection *connection);

/* ---- queue.c: turns ------------------------------------------------------------------------ */

int nbd_queue_open(struct bdus_transport_device *device, unsigned index, struct bdus_queue *host,
		   struct bdus_transport_queue **queue);
void nbd_queue_close(struct bdus_transport_queue *queue);
void nbd_queue_detach(struct bdus_transport_queue *queue);
void nbd_queue_attach(struct bdus_transport_queue *queue);
bool nbd_queue_is_sending(struct bdus_transport_queue *queue);
int nbd_queue_fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity);
/** Memory of the program's for @connection, or NULL, after which it is in line for it. */
void *nbd_queue_get_memory(struct bdus_transport_queue *queue, struct nbd_connection *connection,
			   size_t bytes);
/** Begins to watch for a quiet while, after which memory is given back. */
void nbd_queue_check_idle(struct bdus_transport_queue *queue);
void nbd_queue_commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
		      unsigned count);
/** Any thread. */
void nbd_queue_wake(struct bdus_transport_queue *queue);
/** Waits for poll(2) @events of @fd, unless it does already. */
void nbd_queue_watch(struct bdus_transport_queue *queue, struct nbd_watch *watch, int fd,
		     uint32_t events);

/* ---- accept.c: new clients, on queue 0 ----------------------------------------------------- */

/** Begins to accept clients and to hand them to the queues. */
int nbd_queue_listen(struct bdus_transport_queue *queue);
/** Goes on accepting after a rest. */
void nbd_queue_accept_again(struct bdus_transport_queue *queue);
/** Ends that, and closes the listening sockets. */
void nbd_queue_unlisten(struct bdus_transport_queue *queue);
/** Adopts what queue 0 handed over, or closes it when the device ends. */
void nbd_queue_take_inbox(struct bdus_transport_queue *queue);

#endif
