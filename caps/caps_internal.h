/* SPDX-License-Identifier: MIT */
/*
 * What the files of caps share.
 *
 * The life of a message, and who has it:
 *
 *	client                      wire                 service
 *	caps_put ──▶ QUEUED ─credit─▶ SENT ──REQUEST──▶ pending ──▶ caps_get
 *	               │ abort         │ ◀───REPLY───── caps_reply ──▶ disposed
 *	               ▼               ▼
 *	              DONE ◀───────── DONE ──▶ caps_wait, caps_get ──▶ disposed
 *	              ▲ connection lost, port closed: every QUEUED and SENT
 *
 * Locks: a port has one, which guards all that it has; nothing else is locked under it but the list
 * of ports (port.c), which is locked alone. No thread holds it while it waits: who waits for
 *packets sets `receiving` and is the only one to receive meanwhile; others wait at `changed`. Only
 *who receives, or closes after `receiving` is false, frees connections.
 */
#ifndef CAPS_INTERNAL_H
#define CAPS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "caps.h"
#include "protocol.h"

/** Those of a message and that of its memory. */
#define CAPS_PACKET_FDS (CAPS_MAX_FDS + 1)
/** A moment that never comes. */
#define CAPS_NEVER UINT64_MAX

/**
 * From so long on a deadline may be late by two ticks of the system (some ms), though never early;
 * for a clock that is read at a fourth of the price.
 */
#define CAPS_LONG_MS 1000

/** The time of the last tick. */
static inline uint64_t caps_coarse_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/** The longest tick that Linux can be built with. */
#define CAPS_TICK_MS 10

static inline uint64_t caps_deadline(int timeout_ms)
{
	if (timeout_ms <= 0)
		return timeout_ms < 0 ? CAPS_NEVER : 0;
	if (timeout_ms < CAPS_LONG_MS)
		return base_deadline_ns((uint64_t)timeout_ms);
	return caps_coarse_now_ns() + ((uint64_t)timeout_ms + CAPS_TICK_MS) * 1000000U;
}

/** As base_remaining_ms(); at most so much too long where it is long. */
static inline int caps_remaining_ms(uint64_t deadline_ns)
{
	const uint64_t now_ns = deadline_ns != 0 ? caps_coarse_now_ns() : 0;
	const uint64_t left_ms =
		deadline_ns > now_ns ? (deadline_ns - now_ns + 999999U) / 1000000U : 0;

	if (left_ms < CAPS_LONG_MS)
		return deadline_ns != 0 ? base_remaining_ms(deadline_ns) : 0;
	return left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
}

/* ---- packets (packet.c) ---- */

/** Room for the longest packet. Belongs to who receives. */
struct caps_spill {
	/** Bytes of payload in the last packet; what comes next is taken to be like it. */
	size_t last_bytes;
	struct caps_wire_header header;
	unsigned char data[CAPS_INLINE_BYTES];
};
_Static_assert(offsetof(struct caps_spill, data) ==
		       offsetof(struct caps_spill, header) + sizeof(struct caps_wire_header),
	       "a packet fits in one piece");

/** A packet as it was received; its descriptors are the holder's. */
struct caps_packet {
	struct caps_wire_header header;
	struct ucred sender;
	unsigned fd_count;
	int fds[CAPS_PACKET_FDS];
	/** Some descriptors found no room in this process, and none are here. */
	bool lost_fds;
};

/** Where a payload goes: the first bytes to @buffer, the rest to @spill. */
struct caps_room {
	void *buffer;
	size_t capacity;
	struct caps_spill *spill;
};

/** Bytes of payload that lie in the packet itself. */
static inline size_t caps_inline_bytes(const struct caps_wire_header *header)
{
	return caps_wire_header_flags(header) & CAPS_WIRE_PACKET_FLAG_MEMORY
		       ? 0
		       : (size_t)caps_wire_header_length(header);
}

/**
 * Receives one packet and verifies its form: 1; 0 at the end of the connection; -EAGAIN; -EINTR;
 * -EPROTO with a message, after which the connection is of no use. @packet has descriptors to be
 * closed even then.
 */
int caps_packet_receive(int fd, int flags, struct caps_packet *packet,
			const struct caps_room *room);
/** 0; -EAGAIN; -ENOTCONN where nobody will read it; other errors of sendmsg(2). Never waits. */
int caps_packet_send(int fd, const struct caps_wire_header *header, const void *data,
		     const int *fds, unsigned fd_count);
void caps_close_fds(int *fds, unsigned count);

/* ---- memory (memory.c) ---- */

/** A descriptor of new sealed memory with this content. */
int caps_memory_copy(const void *data, uint64_t length);
/**
 * A payload in memory, mapped. Messages hold it, and so does the connection that it came by, in
 * case that it comes again.
 */
struct caps_mapping {
	atomic_uint holders;
	dev_t device;
	ino_t inode;
	uint64_t length;
	void *data;
};

/** Of one connection, so that what a peer does to it is only its own affair. */
#define CAPS_RECENT 2
struct caps_recent {
	struct caps_mapping *mappings[CAPS_RECENT];
	unsigned next;
};

/** Maps @length bytes of sealed memory, read-only. -EBADMSG with a message where it is not that. */
int caps_memory_map(struct caps_recent *recent, int fd, uint64_t length,
		    struct caps_mapping **mapping);
/** Takes NULL. */
void caps_mapping_release(struct caps_mapping *mapping);
void caps_recent_finish(struct caps_recent *recent);
/** A number in memory that others can only read: maps it, and stores a descriptor for them. */
int caps_generation_create(_Atomic uint64_t **mapping, int *fd);
int caps_generation_map(int fd, _Atomic uint64_t **mapping);
void caps_generation_unmap(_Atomic uint64_t *mapping);

/* ---- parcels (parcel.c) ---- */

/** A packet that is kept, on its way in or out. */
struct caps_parcel {
	struct base_list link;
	struct caps_wire_header header;
	struct ucred sender;
	unsigned fd_count;
	int fds[CAPS_PACKET_FDS];
	struct caps_mapping *mapping; /* the payload, if that is in memory and was received */
	unsigned char data[];
};

/** NULL without memory; the packet keeps its descriptors then. */
struct caps_parcel *caps_parcel_keep(struct caps_packet *packet, const struct caps_room *room,
				     struct caps_mapping *mapping);
/** One that has nothing but a header. */
struct caps_parcel *caps_parcel_bare(const struct caps_wire_header *header);
void caps_parcel_free(struct caps_parcel *parcel);
/** Gives the payload to @message. -EMSGSIZE, with its length set, if it does not fit. */
int caps_parcel_open(struct caps_parcel *parcel, struct caps_message *message, void *buffer,
		     size_t capacity);
int caps_parcel_send(int fd, const struct caps_parcel *parcel);

/** What is to be sent: checked, and with the descriptors in their order. */
struct caps_outgoing {
	struct caps_wire_header header;
	const void *data;
	unsigned fd_count;
	int fds[CAPS_PACKET_FDS];
	int own_fd; /* memory made here for a long payload; -1 for none */
};

struct caps_content {
	const void *data;
	uint64_t length;
	const struct caps_memory *memory;
	const int *fds;
	unsigned fd_count;
};

int caps_outgoing_init(struct caps_outgoing *out, const struct caps_content *content);
void caps_outgoing_finish(struct caps_outgoing *out);
/** A parcel with its own duplicates. -ENOMEM, -EMFILE, -EBADF. */
int caps_outgoing_keep(const struct caps_outgoing *out, struct caps_parcel **parcel);

/** Fills in what a received packet says; not its payload. */
void caps_message_start(struct caps_message *message, const struct caps_wire_header *header,
			const int *fds, unsigned fd_count);

/* ---- ids (table.c) ---- */

struct caps_node {
	uint64_t id;
	struct caps_node *next;
};

struct caps_table {
	struct caps_node **slots;
	size_t room, count;
};

int caps_table_init(struct caps_table *table);
void caps_table_finish(struct caps_table *table);
void caps_table_add(struct caps_table *table, struct caps_node *node);
void caps_table_remove(struct caps_table *table, struct caps_node *node);

static inline struct caps_node *caps_table_find(const struct caps_table *table, uint64_t id)
{
	struct caps_node *node = table->slots[id & (table->room - 1)];

	while (node != NULL && node->id != id)
		node = node->next;
	return node;
}

/* ---- identity (identity.c) ---- */

/** Who is at the other end of a connection. */
struct caps_peer {
	struct caps_credentials credentials;
	gid_t *groups;
	bool known; /* the real ids, by a first message */
	bool process_known;
};

/** Asks the kernel. With @learn the process is that of the first message. */
int caps_peer_init(struct caps_peer *peer, int fd, bool learn);
void caps_peer_finish(struct caps_peer *peer);
/** Whether a packet is from the same process and identity as those before; -EPERM with a message.
 */
int caps_peer_verify(struct caps_peer *peer, const struct ucred *sender);
int caps_peer_pidfd(const struct caps_peer *peer, int fd);
bool caps_peer_may(const struct caps_peer *peer, uint32_t access, gid_t group);
/** Has the kernel tell the sender of each packet. */
int caps_want_credentials(int fd);

/* ---- names (names.c, register.c, lookup.c) ---- */

/** A service's place among those of its name: a file "NUMBER.x" if it is exclusive, or "NUMBER.s".
 */
struct caps_number {
	uint64_t number;
	bool exclusive;
};

int caps_check_name(const char *name);
/** The folder of a namespace, checked; @create makes it. -ENOENT, -EPERM. */
int caps_namespace_open(uid_t user, const char *directory, bool create);
/** Path of a namespace; it may not exist. */
int caps_namespace_path(uid_t user, const char *directory, char *path, size_t size);
/** Binds @fd and listens there; stores where, for caps_unregister(). */
int caps_register(int fd, const char *name, const struct caps_service_options *options,
		  char **path);
/** Removes the socket, if there is one, and frees @path. */
void caps_unregister(char **path);
/** What is in an open folder of a name, the newest first: how many, in memory to be freed. */
int caps_entries(int folder, struct caps_number **numbers);
#define CAPS_ENTRY_BYTES 32
void caps_entry_name(char name[CAPS_ENTRY_BYTES], const struct caps_number *number);
/** A socket connected to an entry: -ECONNREFUSED where nobody listens any more. */
int caps_entry_connect(int folder, const struct caps_number *number);
/** "/proc/self/fd/FOLDER/ENTRY", which is short and cannot be exchanged by others. */
int caps_entry_address(struct sockaddr_un *address, int folder, const char *entry);
int caps_lookup(const char *name, const struct caps_client_options *options, int *fd);

/* ---- clients (client.c, receive.c) ---- */

enum caps_exchange_state {
	CAPS_QUEUED,
	CAPS_SENT,
	CAPS_DONE
};

/** A client's record of a message from put until it is taken. */
struct caps_exchange {
	struct caps_node node;
	struct base_list link; /* of its state's list */
	enum caps_exchange_state state;
	uint32_t operation;
	unsigned waiters;
	bool dropped;  /* nobody wants its completion */
	int32_t error; /* of a completion that is no packet */
	void *user;
	struct caps_parcel *parcel; /* QUEUED: the request; DONE: the reply, if there was one */
};

struct caps_client {
	int fd;
	int notifier; /* epoll of fd and bell; -1 until it is asked for */
	int bell;
	bool rung;
	bool greeted;
	int end_error; /* why there is no connection any more; 0 while there is */
	uint32_t window, sent;
	uint64_t next_id, armed_ms;
	struct caps_table table;
	struct base_list queued, in_flight, done, spare;
	struct caps_peer peer;
	struct caps_recent recent;
	_Atomic uint64_t *generation;
};

/* ---- services (service.c, connection.c, reply.c) ---- */

struct caps_connection {
	struct caps_node node; /* its id is what epoll tells */
	struct base_list link;
	int fd; /* -1: lost, and kept for what is pending */
	uint32_t outstanding;
	bool wants_out;
	bool is_timed; /* the socket has a timeout to wait */
	uint64_t last_id;
	struct caps_peer peer;
	struct caps_recent recent;
	struct base_list pending;
	struct base_list outbox; /* parcels */
	size_t outbox_bytes;
};

/** A service's record of a request until it is answered. */
struct caps_pending {
	struct caps_node node;
	struct base_list link;   /* of its connection; of spare ones */
	struct base_list notice; /* of the port, while it is kept or an abort is to be told */
	struct caps_connection *connection;
	uint64_t client_id;
	uint32_t operation;
	bool got; /* the program has it */
	bool aborted;
	struct caps_parcel *parcel; /* one that did not fit the program's buffer */
};

#define CAPS_BATCH 32
/** What epoll tells beside ids of connections. */
#define CAPS_EVENT_LISTENER 0
#define CAPS_EVENT_BELL     1
#define CAPS_FIRST_ID       2

struct caps_service {
	int epoll, listener;
	bool has_spare;
	/* -1 until the first client comes: most services wait for ever, and a process may have
	 * many. */
	int bell, generation_fd;
	bool rung;
	bool closing; /* the bell stays rung */
	char *registration;
	uint64_t published;
	_Atomic uint64_t *generation; /* what clients see of it; NULL until the first comes */
	uint64_t next_id, next_connection;
	struct caps_table table; /* pending */
	struct caps_table by_id; /* connections with a descriptor */
	struct base_list connections, spare;
	struct base_list notices; /* aborts to be told */
	struct base_list kept;    /* requests to be got with a larger buffer */
	uint32_t connection_count;
	/* Requests that may be waited for at the only connection, before a look around. */
	unsigned direct_left;
	/* What the last epoll_wait() told and is not done. */
	struct epoll_event ready[CAPS_BATCH];
	unsigned ready_at, ready_count;
	uint32_t access, window, max_clients, max_unread_bytes;
	gid_t group;
	const char *description;
};

/* ---- ports (port.c) ---- */

struct caps_port {
	struct base_list link; /* of all ports of the process */
	bool is_service;
	atomic_bool forked, closed;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool receiving;
	unsigned waiting; /* threads at changed */
	struct caps_spill *spill;
	const struct wire_operation *operations;
	size_t operation_count;
	union {
		struct caps_client client;
		struct caps_service service;
	};
};

int caps_port_create(bool is_service, struct caps_port **port);
/** Makes the port known to fork(2); the last step of creating one. */
void caps_port_publish(struct caps_port *port);
void caps_port_free(struct caps_port *port);
/** Waits at `changed` with the lock held; false past the deadline. */
bool caps_port_sleep(struct caps_port *port, uint64_t deadline_ns);
/** Wakes who sleeps there, with the lock held; and with receiving ended. */
void caps_port_changed(struct caps_port *port);
void caps_port_received(struct caps_port *port);
/** -EINVAL for another kind of port; -ENOTCONN after fork(2). */
int caps_port_check(const struct caps_port *port, bool is_service);
const struct wire_operation *caps_operation(const struct caps_port *port, uint32_t code);
/** Makes an eventfd readable, or not. */
void caps_bell(int fd, bool *rung, bool ring);

/* Of both kinds; _abandon only closes descriptors, in the child of fork(2). */
void caps_client_close(struct caps_port *port);
void caps_client_finish(struct caps_port *port);
void caps_client_abandon(struct caps_port *port);
int caps_client_fd(struct caps_port *port);
int caps_client_get(struct caps_port *port, struct caps_message *message, void *buffer,
		    size_t capacity, int timeout_ms);
void caps_service_close(struct caps_port *port);
void caps_service_finish(struct caps_port *port);
void caps_service_abandon(struct caps_port *port);
int caps_service_get(struct caps_port *port, struct caps_message *message, void *buffer,
		     size_t capacity, int timeout_ms);

/* All of the following are called with the port's lock. */

/** Where a completion goes if it is the one that somebody waits for. */
struct caps_receipt {
	uint64_t id; /* 0: any that nobody waits for */
	struct caps_message *message;
	void *buffer;
	size_t capacity;
	bool delivered;
};

/**
 * Receives one packet, or waits until another thread has: 0; -ETIMEDOUT; -ENOTCONN at the end of
 * the connection. Gives up the lock meanwhile. @receipt may be NULL.
 */
int caps_client_step(struct caps_port *port, uint64_t deadline_ns, struct caps_receipt *receipt);
/** The connection is gone: completes everything with @error. */
void caps_client_end(struct caps_port *port, int error);
/** A completion that is no packet. */
void caps_exchange_complete(struct caps_client *client, struct caps_exchange *exchange,
			    int32_t error);
void caps_exchange_dispose(struct caps_client *client, struct caps_exchange *exchange);
/** Sends what waits for credit. */
void caps_client_flush(struct caps_client *client);
void caps_client_ring(struct caps_client *client);

/** The descriptor with which clients are turned away when there is no other. */
int caps_spare_take(void);
void caps_spare_drop(void);
/** In the child of a fork. */
void caps_spare_abandon(void);
/** Makes what a service needs once it has clients. The port is locked. */
int caps_service_receive_clients(struct caps_service *service);
void caps_service_ring(struct caps_service *service);
void caps_service_accept(struct caps_service *service);
int caps_connection_add(struct caps_service *service, int fd, bool learn);
/** Ends a connection, which may free it; what is pending of it is told as aborted. */
void caps_connection_cut(struct caps_service *service, struct caps_connection *connection);
/** Answers what is pending with -ESHUTDOWN and frees it; or frees it and tells nobody. */
void caps_connection_close(struct caps_service *service, struct caps_connection *connection);
void caps_connection_forget(struct caps_service *service, struct caps_connection *connection);
/** Sends what waits for the client to read; -ENOTCONN. */
int caps_connection_flush(struct caps_service *service, struct caps_connection *connection);
/** Sends, or keeps: 0; -ENOTCONN, after which the connection is to be cut; -ENOMEM and the like. */
int caps_connection_send(struct caps_service *service, struct caps_connection *connection,
			 const struct caps_outgoing *out);
/** Answers with a number alone and disposes of @pending. */
void caps_pending_answer(struct caps_service *service, struct caps_pending *pending, int32_t error);
void caps_pending_dispose(struct caps_service *service, struct caps_pending *pending);

#endif
