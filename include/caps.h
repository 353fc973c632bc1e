/* SPDX-License-Identifier: MIT */
/*
 * caps: named services, ports, and messages with credentials, between processes of one machine.
 *
 * A service is registered under a name in the namespace of a user; clients look it up and get a
 * port. Clients put requests; the service gets them and replies to each; clients wait for replies.
 * There is no daemon: a namespace is a folder, a service is a socket in it.
 *
 *	struct caps_request request = {.operation = 1, .data = "hello", .length = 5};
 *	struct caps_message reply;
 *	char buffer[512];
 *
 *	caps_connect("greeter", NULL, &port);
 *	caps_call(port, &request, &reply, buffer, sizeof(buffer), 1000);
 *	// reply.error, reply.data, reply.length
 *	caps_release(&reply);
 *
 * The life of a message: request (put, until the service replies), reply (completed, until the
 * client takes it), disposed. Each message that was put is completed exactly once, whatever dies:
 * with the service's reply, or with one of the errors at `struct caps_message`.
 *
 * Threads: every function may be called by any thread at any time, except that caps_destroy() must
 * be the last call on a port; caps_close() wakes threads that wait. What a handler of signals may
 * call: nothing.
 *
 * Forks: in the child of fork(2) every port answers -ENOTCONN; its parent is not disturbed, and
 * caps_destroy() is the only other thing to do with it. A child made by other means (clone(2)) must
 * not use its parent's ports: what it sends carries its own process id, and the peer ends the
 * connection.
 *
 * Errors: functions return 0 or a positive number, or a negative errno value with a sentence in
 * caps_error(). Outputs are untouched on failure. Timeouts are in milliseconds: 0 does not wait, -1
 * waits for ever; signals do not end a wait.
 */
#ifndef CAPS_H
#define CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct caps_port;
struct wire_operation;

/** Room for a name with its terminating zero; names are of [0-9A-Za-z_.] and start with no dot. */
#define CAPS_NAME_BYTES 64
/** Most descriptors with a message. */
#define CAPS_MAX_FDS 16
/** Longer payloads travel in sealed memory; the caller sees no difference. */
#define CAPS_INLINE_BYTES 65536
/** Longest payload. */
#define CAPS_MAX_BYTES (UINT64_C(1) << 30)
/** Unanswered requests of one connection, unless the service says otherwise. */
#define CAPS_WINDOW 128
/** The least that a service may allow; what clients may send before it has told them. */
#define CAPS_MIN_WINDOW 8
/** As a user of a namespace: that of the system, in which only root registers. */
#define CAPS_SYSTEM ((uid_t)-1)
/** Codes of operations from here on are caps' own. */
#define CAPS_RESERVED_OPERATIONS UINT32_C(0xffffff00)
/** Asks a service for its description; see `struct caps_service_options`. */
#define CAPS_DESCRIBE UINT32_C(0xffffff00)

/* ---- identity ------------------------------------------------------------------------------ */

/**
 * Who is at the other end, as the kernel says. The process and the real ids are those of the sender
 * of this very message (SCM_CREDENTIALS, unix(7)); effective ids and groups are those with which it
 * connected, or listened (SO_PEERCRED, SO_PEERGROUPS). A connection belongs to one process with one
 * identity: a message from another process, or after setuid(2), ends it.
 *
 * A privileged process may send other ids than its own; the kernel allows that to whom it allows
 * to become them.
 */
struct caps_credentials {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	uid_t effective_uid;
	gid_t effective_gid;
	unsigned group_count;
	/** Supplementary groups. */
	const gid_t *groups;
};

/* ---- messages ------------------------------------------------------------------------------ */

enum caps_kind {
	/** At a service: to be answered with caps_reply(). */
	CAPS_REQUEST = 1,
	/** At a client: a completed message. */
	CAPS_REPLY,
	/**
	 * At a service: the client wants no reply to the request of this id any more, or is gone.
	 * The request still is to be answered, which ends it; its reply may be an error. Comes at
	 * most once for a request, and never after its reply.
	 */
	CAPS_ABORT
};

/** What was received. Filled in by caps_get(), caps_wait() and caps_call(). */
struct caps_message {
	/** Of the request. At a service: the service's own number of it. Never used again. */
	uint64_t id;
	enum caps_kind kind;
	uint32_t operation;
	/**
	 * Of replies: 0; a positive number of the operation's own; or a negative errno value, which
	 * is the service's own or tells why there is no reply:
	 * -ECONNRESET: the service is gone, and may or may not have seen the request;
	 * -ESHUTDOWN: the service closed its port before it replied;
	 * -ECANCELED: aborted before it was sent;
	 * -EACCES, -EBUSY: the service refused the connection;
	 * -EPROTO: the service broke the protocol, and the connection was ended;
	 * -ENOSYS, -EBADMSG: the service has no such operation, or its description of it refuses
	 * the request; -EBADMSG also: the reply is not what the client's description says; -EMFILE:
	 * no room for the descriptors of the message; -ENOMEM: none to store it.
	 */
	int32_t error;
	/** Descriptors; the receiver's. caps_release() closes them; set to -1 what is to stay. */
	unsigned fd_count;
	int fds[CAPS_MAX_FDS];
	/** In the caller's buffer, or read-only memory until caps_release(). */
	const void *data;
	uint64_t length;
	/** Of requests: valid until the reply to it. Of replies: as long as the port. */
	struct caps_credentials sender;
	/** Of replies: what the request had. */
	void *user;
	/* caps' own. */
	void *mapping;
	void *reserved[3];
};

enum caps_put_flag {
	/** Wait in the port for credit, instead of -EAGAIN. */
	CAPS_QUEUE = 1 << 0
};

/** What to send. All of it is copied or duplicated before the call returns. */
struct caps_request {
	uint32_t operation;
	/** caps_put_flag. */
	uint32_t flags;
	const void *data;
	uint64_t length;
	/** Descriptors to send along; they stay open here. */
	const int *fds;
	unsigned fd_count;
	/** Payload made by caps_memory_create() rather than at data; NULL for none. */
	const struct caps_memory *memory;
	/** For `struct caps_message`. */
	void *user;
};

struct caps_answer {
	/** See `struct caps_message`; the range is that of int32_t. */
	int32_t error;
	unsigned fd_count;
	const int *fds;
	const void *data;
	uint64_t length;
	const struct caps_memory *memory;
};

/* ---- ports --------------------------------------------------------------------------------- */

/** Who may connect, beside root. */
enum caps_access {
	CAPS_ACCESS_USER = 1 << 0,
	/** Members of `struct caps_service_options`.group. */
	CAPS_ACCESS_GROUP = 1 << 1,
	CAPS_ACCESS_WORLD = 1 << 2
};

/** How a service shall be. Zeros mean defaults. */
struct caps_service_options {
	/** sizeof(struct caps_service_options). */
	uint32_t size;
	/** Refuse to share the name; without it, the newest service of a name shadows others. */
	bool exclusive;
	/** Register in the namespace of the system rather than that of the effective user. */
	bool system;
	/** A namespace of its own: this folder. */
	const char *directory;
	/** caps_access; CAPS_ACCESS_USER. */
	uint32_t access;
	gid_t group;
	/** Unanswered requests of one client, CAPS_MIN_WINDOW to 65535; CAPS_WINDOW. */
	uint32_t window;
	/** Clients at a time; 1024. A user who is neither root nor the service's may have half. */
	uint32_t max_clients;
	/** Replies in bytes that wait for a client to read; a client with more is cut off; 1 MiB.
	 */
	uint32_t max_unread_bytes;
	/**
	 * The operations, made by wirec. With them the port refuses unknown ones, requests that the
	 * description refuses and wrong numbers of descriptors before the program sees them.
	 */
	const struct wire_operation *operations;
	size_t operation_count;
	/** The answer to CAPS_DESCRIBE, made by wirec; NULL for none. Must stay. */
	const char *description;
};

/**
 * Registers a service and makes its port. With @name NULL it has no name and gets connections from
 * caps_attach() alone.
 *
 * Errors: -EINVAL for a name or option out of range; -EADDRINUSE where an exclusive service has the
 * name, or any has and this is to be exclusive; -EACCES or -EPERM where the namespace is not for
 * this user, or its folder can be written by others; -ENOMEM, -EMFILE, and those of mkdir(2) and
 * bind(2).
 */
int caps_serve(const char *name, const struct caps_service_options *options,
	       struct caps_port **port);

/**
 * Makes @fd, one end of a connected SOCK_SEQPACKET pair, a client's connection; it is the port's
 * on success. The peer is who sends its first message. Errors: -EINVAL for a port of a client;
 * -ENOTCONN; -ENOMEM; those of setsockopt(2) and epoll_ctl(2) for another kind of descriptor.
 */
int caps_attach(struct caps_port *service, int fd);

struct caps_client_options {
	/** sizeof(struct caps_client_options). */
	uint32_t size;
	/** How long to wait for the service to appear. */
	int timeout_ms;
	/** Namespaces to look into, in this order; the effective user, then CAPS_SYSTEM. */
	const uid_t *users;
	unsigned user_count;
	/** A namespace of its own: this folder, and none else; of the first of @users. */
	const char *directory;
	/** As of a service: to refuse replies that the description refuses. */
	const struct wire_operation *operations;
	size_t operation_count;
};

/**
 * Finds a service and makes a port that is connected to it. A service counts only if its process
 * has the user of the namespace (or is root's); what else listens there is refused, as its name is
 * squatted. Whether the service takes this client shows in the first completion.
 *
 * Errors: -EINVAL; -ENOENT where no such service is registered, or appeared in time; -EACCES where
 * it does not let this user connect; -EPERM for a squatted name, or a folder that others can write;
 * -ENOMEM, -EMFILE, and those of connect(2).
 */
int caps_connect(const char *name, const struct caps_client_options *options,
		 struct caps_port **port);

/** As caps_connect(), on one end of a pair whose other end has caps_attach(). @fd is the port's. */
int caps_connect_fd(int fd, const struct caps_client_options *options, struct caps_port **port);

/**
 * A descriptor that is readable when caps_get() has something to give or to do; on a client's port
 * also when caps_wait() may. It is the port's: for poll(2), epoll(7), asys and the like only.
 * -ENOTCONN, or -EMFILE and the like.
 */
int caps_fd(struct caps_port *port);

/**
 * Ends a port. A service answers all that is outstanding with -ESHUTDOWN; a client completes all
 * its messages with -ESHUTDOWN. Threads that wait wake, and every later call but caps_wait() and
 * caps_get() for completed messages gives -ENOTCONN.
 */
void caps_close(struct caps_port *port);

/** Closes and frees a port; nobody else may be using it. Takes NULL. */
void caps_destroy(struct caps_port *port);

/* ---- exchanging messages ------------------------------------------------------------------- */

/**
 * Client: sends a request, and stores its id at @id (may be NULL). Does not wait.
 *
 * Errors: -EAGAIN where the credit is used up (complete something first) or the socket is full;
 * -EMSGSIZE for more than CAPS_MAX_BYTES; -EINVAL for a reserved operation (but CAPS_DESCRIBE), too
 * many descriptors or a port of a service; -EBADF for one of the descriptors; -ENOTCONN where the
 * service is gone or the port closed; -EACCES, -EBUSY where it has refused the connection;
 * -ENOMEM, -ENOSPC.
 */
int caps_put(struct caps_port *port, const struct caps_request *request, uint64_t *id);

/**
 * Client: waits for the message @id and takes it, which disposes of it. @buffer (@capacity bytes)
 * is where @message->data will point for small payloads. Errors: -ETIMEDOUT (the message is still
 * under way); -ENOENT for what was never put or already taken; -EMSGSIZE where the payload does not
 * fit @capacity: @message->length says its size (the one exception from untouched outputs), and the
 * message stays; -ENOMEM; -ENOTCONN after fork(2).
 */
int caps_wait(struct caps_port *port, uint64_t id, struct caps_message *message, void *buffer,
	      size_t capacity, int timeout_ms);

/**
 * Service: gets the next request or abort. Client: takes a completed message that no thread waits
 * for. Buffer, and errors, as with caps_wait(), with -EAGAIN in place of -ETIMEDOUT for a
 * @timeout_ms of 0; -ENOENT: a client without any message under way; -ENOTCONN: the port was
 * closed.
 */
int caps_get(struct caps_port *port, struct caps_message *message, void *buffer, size_t capacity,
	     int timeout_ms);

/**
 * Service: answers @request (only its id matters), and releases it as caps_release() does unless
 * the call fails with an error other than -ECONNRESET. @answer may be NULL: nothing but success.
 *
 * Errors: -ENOENT: it was answered already; -ECONNRESET: the client is gone, and the request
 * disposed of; -EMSGSIZE, -EINVAL, -EBADF as with caps_put(); -ENOTCONN, -ENOMEM, -ENOSPC.
 */
int caps_reply(struct caps_port *port, struct caps_message *request,
	       const struct caps_answer *answer);

/** What became of an abort. */
enum caps_abort_result {
	/** There is no such message, or it was taken. */
	CAPS_ABORT_NOT_FOUND = 1,
	/** It had completed before; its reply is to be taken. */
	CAPS_ABORT_DONE,
	/** The service was told; the message completes with its reply, if only an error. */
	CAPS_ABORT_FORWARDED,
	/** It had not been sent; it is now completed, with -ECANCELED. */
	CAPS_ABORT_ABORTED
};

/** Client: asks for the end of a message, which still has to be taken. -EAGAIN: the socket is full.
 */
int caps_abort(struct caps_port *port, uint64_t id);

/**
 * Client: put and wait in one, with waiting for credit as well. Where @timeout_ms passes, the
 * request is aborted and its reply, if there ever is one, disposed of: -ETIMEDOUT. With -EMSGSIZE
 * @message->id is set, too, for caps_wait() to take the message. Other errors as those two.
 */
int caps_call(struct caps_port *port, const struct caps_request *request,
	      struct caps_message *message, void *buffer, size_t capacity, int timeout_ms);

/** Closes what descriptors of @message are not -1 and frees its payload. Twice does no harm. */
void caps_release(struct caps_message *message);

/**
 * A pidfd (pidfd_open(2)) of who sent @message, the caller's to close. By SO_PEERPIDFD where the
 * kernel has that (6.5); otherwise by number, after which the connection must still be open.
 * -ESRCH: the process or the connection is gone. @message must not have been answered.
 */
int caps_pidfd(struct caps_port *port, const struct caps_message *message);

/* ---- generations --------------------------------------------------------------------------- */

/** Service: publishes a number that clients read without a message, 0 at first. Any thread. */
void caps_publish(struct caps_port *port, uint64_t generation);

/**
 * Client: stores what the service published last at @generation. Waits up to @timeout_ms for the
 * service's greeting, once; then it is a read of shared memory. -ETIMEDOUT, -ENOTCONN.
 */
int caps_generation(struct caps_port *port, uint64_t *generation, int timeout_ms);

/* ---- payload in memory --------------------------------------------------------------------- */

/**
 * Memory that can be sent without being copied, any number of times. A connection keeps the last
 * two payloads that came by it mapped, of up to 16 MiB each, so that what comes again is there
 * already.
 */
struct caps_memory {
	/** Writable until it is sealed, then read-only. */
	void *data;
	uint64_t length;
	int fd;
	bool sealed;
};

/** @length is 1 to CAPS_MAX_BYTES. -EINVAL, -ENOMEM, -ENOSPC, -EMFILE. */
int caps_memory_create(struct caps_memory *memory, uint64_t length);
/** Nobody can change it any more, this process included. Before it is sent; again is no error. */
int caps_memory_seal(struct caps_memory *memory);
/** What was sent before stays with its receivers. */
void caps_memory_finish(struct caps_memory *memory);

/* ---- looking around ------------------------------------------------------------------------ */

/** A registered service, as far as its folder tells. */
struct caps_entry {
	char name[CAPS_NAME_BYTES];
	/** CAPS_SYSTEM, or the user of the namespace. */
	uid_t user;
	/** Of the process that listens; 0 if nobody does. */
	pid_t pid;
	uid_t uid;
	bool exclusive;
	/** A newer one has its name. */
	bool shadowed;
};

/**
 * Calls @found for each service in the namespaces of @options, the newest of a name first, until it
 * returns other than 0, which this then returns. Folders that do not exist are empty.
 */
int caps_list(const struct caps_client_options *options,
	      int (*found)(void *context, const struct caps_entry *entry), void *context);

/** The calling thread's last error as a sentence. Valid until its next call. */
const char *caps_error(void);

#ifdef __cplusplus
}
#endif

#endif
