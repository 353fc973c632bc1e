/* SPDX-License-Identifier: MIT */
/*
 * asys: asynchronous system calls. Messages in, completions out.
 *
 * A message names a system call. The program sends messages in batches and gets them back in
 * batches, each exactly once, with the call's result in it. Between the two a message is carried
 * out by an executor of asys' choice: the kernel's io_uring, worker threads, or the sending thread
 * itself where that cannot block. The program sees no difference but in speed: a kernel without
 * io_uring, or a sandbox that forbids it, changes nothing else.
 *
 *	struct asys_message message, *in = &message, *out;
 *
 *	asys_prep_read(&message, fd, buffer, sizeof(buffer), 0);
 *	asys_send(asys, &in, 1);
 *	asys_wait(asys, &out, 1, -1);           // out == &message, out->result: as read()
 *
 * Threads: a handle belongs to the thread that created it. Every call on it is for that thread
 * alone except asys_post(), asys_wake() and asys_error(). Functions that only fill in a message are
 *for whoever has it.
 *
 * Memory: a message and all that it points to belong to the program. From sending until asys_reap()
 * or asys_wait() hands the message back, they must stay where they are, and the message must not be
 * touched. asys allocates nothing for a message.
 *
 * Errors: functions return 0 or a positive count, or a negative errno value with a sentence in
 * asys_error(). Outputs are untouched on failure.
 */
#ifndef ASYS_H
#define ASYS_H

#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct asys;
struct statx;

/**
 * What a message can name beside a system call's number (`SYS_…`). The arguments are those of the
 * asys_prep_ function of that name.
 */
enum asys_operation {
	ASYS_NOP = 0xf000,
	ASYS_TIMEOUT,
	ASYS_POLL,
	ASYS_SPLICE,
	ASYS_FUTEX_WAIT,
	ASYS_FUTEX_WAKE,
	ASYS_URING_CMD,
	ASYS_CANCEL,
	ASYS_READ,
	ASYS_WRITE
};

/** Flags of a message. They may be set between its asys_prep_ function and sending. */
enum asys_message_flag {
	/** The file in arguments[0] is an index of asys_register_files(). Not for ASYS_SPLICE. */
	ASYS_FIXED_FILE = 1 << 0,
	/** The memory lies in the registered buffer of index buffer_index. Reads and writes. */
	ASYS_FIXED_BUFFER = 1 << 1,

	/*
	 * Links: the next message of the same asys_send() starts when this one has completed. At
	 * most one of these. A message that does not start completes in its turn with -ECANCELED,
	 * and its own link then decides about the next.
	 */

	/** … unless this one was cancelled or its deadline passed. */
	ASYS_LINK_AFTER = 1 << 2,
	/** … only if this one succeeded: no error and, for reads, writes and splices, not short. */
	ASYS_LINK_SUCCESS = 1 << 3,
	/** … whatever became of this one. */
	ASYS_LINK_HARD = 1 << 4,

	/*
	 * Of ASYS_URING_CMD, for drivers that know them; -EINVAL for other messages, and with links
	 * or a deadline.
	 */

	/** The kernel picks memory out of the group buffer_index; see asys_provide_buffers(). */
	ASYS_PICK_BUFFER = 1 << 5,
	/**
	 * The message may be handed out many times. With `more` set it is still in flight, and its
	 * result lasts until the next asys_reap() or asys_wait().
	 */
	ASYS_REPEAT = 1 << 6
};

/** One system call to be. Filled in by asys_prep() or one of its kin. */
struct asys_message {
	/** A system call's number, or an asys_operation. */
	uint16_t number;
	/** asys_message_flag. */
	uint16_t flags;
	/** With ASYS_FIXED_BUFFER; the group with ASYS_PICK_BUFFER. */
	uint16_t buffer_index;
	/* asys' own. */
	uint8_t state;
	uint8_t marks;

	uint64_t arguments[6];
	/** What the call returned: 0 or more, or a negative errno value. Set on completion. */
	int64_t result;
	/** The program's; asys leaves it alone, and so do the asys_prep_ functions. */
	void *user;
	/**
	 * Nanoseconds of CLOCK_MONOTONIC after which the message is cancelled and completes with
	 * -ETIMEDOUT; 0 for never. What cannot be cancelled (see asys_cancel()) completes as it
	 * would have without a deadline.
	 */
	uint64_t deadline_ns;

	/* asys' own while the message is sent. */
	struct asys_message *next;
	struct asys_message *previous;
	struct asys_message *follower;
	struct asys_message *heap_child;
	struct asys_message *heap_next;
	struct asys_message *heap_previous;
	int32_t file;
	uint8_t queued;

	/** With ASYS_REPEAT: this was not the last result. */
	uint8_t more;
	uint8_t reserved[2];
	/** With ASYS_PICK_BUFFER: the one that the result is in; -1 for none. */
	int32_t picked_buffer;
	/* asys' own. */
	uint32_t shown;
};

/* ---- handles ------------------------------------------------------------------------------- */

enum asys_option_flag {
	/** Do not use io_uring, as if the kernel had none. */
	ASYS_NO_RING = 1 << 0,
	/** Carry nothing out on the sending thread. */
	ASYS_NO_INLINE = 1 << 1,
	/** Make a ring whose entries have room for 80 bytes of ASYS_URING_CMD rather than 16. */
	ASYS_WIDE_ENTRIES = 1 << 2
};

/** How a handle shall be. Zeros mean defaults. */
struct asys_options {
	/** sizeof(struct asys_options). */
	uint32_t size;
	/** asys_option_flag. */
	uint32_t flags;
	/** Messages that one system call can carry, up to 32768; 256. More may be in flight. */
	uint32_t depth;
	/** Most threads of asys, up to 1024; 64. The first starts when it is needed. */
	uint32_t max_workers;
	/** Most threads of the kernel for this handle's messages that block, up to 1024; 64. */
	uint32_t max_kernel_workers;
	/** A thread of asys without work ends after this time; 1000. */
	uint32_t worker_idle_ms;
};

/**
 * Makes a handle that belongs to the calling thread, and stores it at @asys. @options may be NULL.
 *
 * That io_uring is absent or forbidden is no error: asys_describe() tells. Errors: -EINVAL for an
 * option out of range; -ENOMEM, -EMFILE, -ENFILE.
 *
 * After fork(), the child's copy of a handle is closed: every call fails with -EBADF and touches
 * nothing of the parent's; asys_destroy() frees the child's memory. Messages sent by the parent
 * never complete in the child.
 */
int asys_create(const struct asys_options *options, struct asys **asys);

/**
 * Ends a handle; takes NULL. Cancels what is in flight and waits for what cannot be cancelled, so
 * that no memory of the program is used afterwards. Messages not reaped by then have their results
 * in them, but for those of ASYS_URING_CMD, which a driver may keep for as long as it likes: the
 * kernel takes them back, without a result. No other thread may be in asys_post() on it.
 */
void asys_destroy(struct asys *asys);

enum asys_close_how {
	/** Let everything sent run to its end. */
	ASYS_CLOSE_DRAIN,
	/** Cancel what can be cancelled; links do not start. */
	ASYS_CLOSE_CANCEL
};

/**
 * Takes no more messages: sending fails with -ESHUTDOWN, and a message posted too late completes
 * with that. Go on with asys_wait() until asys_pending() is 0. May be called again, to cancel after
 * all.
 */
int asys_close(struct asys *asys, enum asys_close_how how);

/**
 * Messages sent and not yet reaped. Those that asys did not yet see of asys_post() do not count;
 * nor, after asys_close() with ASYS_CLOSE_CANCEL, those of ASYS_URING_CMD, which nobody can cancel.
 */
int asys_pending(const struct asys *asys);

/** What a handle has and did. */
struct asys_info {
	/** 0 when messages go to io_uring; else the negative errno value of why not. */
	int32_t ring_error;
	/** IORING_SETUP_… flags that the kernel took. */
	uint32_t ring_setup;
	/** Threads of asys at this moment. */
	uint32_t workers;
	uint32_t padding;
	/** Messages given to each executor so far. One may be tried inline first. */
	uint64_t given_ring;
	uint64_t given_inline;
	uint64_t given_workers;
};

int asys_describe(struct asys *asys, struct asys_info *info);

/** The calling thread's last error as a sentence; empty before the first. Valid until the next. */
const char *asys_error(void);

/* ---- sending and reaping ------------------------------------------------------------------- */

/**
 * Sends @count messages; they run in any order and at once but for links. @count 0 hands over what
 * asys_queue() left. Returns @count.
 *
 * A message that the kernel or asys does not like completes with its error. Errors, with nothing
 * sent: -EINVAL when the last message links to none or one has two links; -EALREADY when one is in
 * flight already (a debug build of asys aborts); -ESHUTDOWN after asys_close(); -EBADF in the child
 * of a fork.
 */
int asys_send(struct asys *asys, struct asys_message *const messages[], unsigned count);

/**
 * As asys_send(), but leaves messages for io_uring to the system call of the next asys_send(),
 * asys_reap() or asys_wait(). A loop that queues and waits makes one system call a turn.
 */
int asys_queue(struct asys *asys, struct asys_message *const messages[], unsigned count);

/**
 * As asys_send(), from any thread, and from signal handlers. The owner starts the messages in its
 * next asys_reap() or asys_wait(), which this wakes; it also reaps them. Lock-free.
 */
int asys_post(struct asys *asys, struct asys_message *const messages[], unsigned count);

/** Stores up to @capacity completed messages at @completed without waiting; returns how many. */
int asys_reap(struct asys *asys, struct asys_message *completed[], unsigned capacity);

/** How many completed messages asys_reap() would give without a system call. */
int asys_ready(const struct asys *asys);

/**
 * As asys_reap(), but waits until there is at least one, at most @timeout_ms (-1: for ever).
 * Returns 0 when the time is over, on a signal or on asys_wake().
 */
int asys_wait(struct asys *asys, struct asys_message *completed[], unsigned capacity,
	      int timeout_ms);

/**
 * Ends the owner's asys_wait(), or if it is not in one, keeps its next one from waiting: it returns
 * what has completed, which may be nothing. asys_fd() is readable until then. Any thread, and
 * signal handlers. Lock-free. -EBADF in the child of a fork.
 */
int asys_wake(struct asys *asys);

/**
 * A file descriptor that is readable when asys_reap() may have something to give or to do; for
 * poll(2) and epoll(7), not for reading. It remains asys' own.
 *
 * Ask for it first: with io_uring it takes a ring of another kind, which costs a few percent of
 * speed, so that this fails with -EBUSY while messages are in flight or files or buffers are
 * registered. Later calls give the same one. Messages of asys_queue() have to be handed over before
 * polling.
 */
int asys_fd(struct asys *asys);

/**
 * Asks for the end of a message before its time. It completes in any case, and is freed by nobody.
 *
 * 0: it was stopped; it will complete with -ECANCELED, or with its own result if it ended at that
 * very moment. -EALREADY: it runs and cannot be stopped, or has completed; it has or will have its
 * own result. -ENOENT: it is not in flight. These two leave no sentence in asys_error().
 *
 * Cannot be stopped: a call that a worker thread is in, except ASYS_FUTEX_WAIT; a call that the
 * kernel is carrying out on a disk. Waiting for a descriptor (ASYS_POLL, reads of a pipe, sockets
 * except for connect() without io_uring), for time or for a link can always be stopped.
 */
int asys_cancel(struct asys *asys, struct asys_message *message);

/* ---- files and buffers --------------------------------------------------------------------- */

/**
 * Registers @count files, up to 32768, for ASYS_FIXED_FILE, in place of those registered before; -1
 * leaves an index empty. Saves work for each message, and asys looks only once at what kind of file
 * it is. asys has its own reference: the program may close its descriptor. No message with
 * ASYS_FIXED_FILE may be in flight. Errors: -EINVAL, -EBADF, -EMFILE, -ENOMEM. 0 removes all.
 */
int asys_register_files(struct asys *asys, const int files[], unsigned count);

/** Puts @file in place of the one at @index; -1 empties it. Errors as asys_register_files(). */
int asys_update_file(struct asys *asys, unsigned index, int file);

/**
 * Registers @count pieces of memory, up to 16384, for ASYS_FIXED_BUFFER, in place of those
 * registered before; the kernel pins them. An entry without a base is left for the kernel to fill
 * in (ublk registers a request's pages that way). No message with ASYS_FIXED_BUFFER may be in
 * flight. Without io_uring, messages use the memory as usual. Errors: -EINVAL, -EFAULT, -ENOMEM
 * (see RLIMIT_MEMLOCK).
 */
int asys_register_buffers(struct asys *asys, const struct iovec buffers[], unsigned count);

/**
 * Provides @count pieces of @length_bytes each at @memory, for messages with ASYS_PICK_BUFFER and
 * the number @group, up to 15. The memory is the program's, and must last until the group is
 * provided anew, or removed by a @count of 0; no message may use the group then. @count is a power
 * of two up to 32768. A message that finds no piece left completes with -ENOBUFS. Errors: -EINVAL;
 * -ENOMEM; -EOPNOTSUPP without io_uring; what the kernel says (before Linux 5.19, -EINVAL).
 */
int asys_provide_buffers(struct asys *asys, unsigned group, void *memory, uint32_t length_bytes,
			 unsigned count);

/** Gives the piece picked_buffer of @group back, to be picked again. */
void asys_return_buffer(struct asys *asys, unsigned group, int32_t picked_buffer);

/**
 * Says that @file is another one than before. asys remembers what kind of file a descriptor is,
 * notices messages that close it, and looks again every now and then; a program that closes it by
 * other means and opens another loses some speed until then, but nothing else.
 */
int asys_forget_file(struct asys *asys, int file);

/* ---- messages ------------------------------------------------------------------------------ */

/** An argument of a message that is a pointer. */
static inline uint64_t asys_pointer(const volatile void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

/** An argument of a message that is a signed number, such as a descriptor. */
static inline uint64_t asys_signed(int64_t number)
{
	return (uint64_t)number;
}

/** The value of deadline_ns for @timeout_ms from now. */
static inline uint64_t asys_deadline(uint64_t timeout_ms)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec + timeout_ms * 1000000U;
}

/**
 * Any system call by its number, with the arguments and meaning of its manual page in section 2.
 * Those which are about the calling thread (as gettid()) find one of asys' threads.
 */
static inline void asys_prep(struct asys_message *message, uint16_t number, uint64_t argument0,
			     uint64_t argument1, uint64_t argument2, uint64_t argument3,
			     uint64_t argument4, uint64_t argument5)
{
	message->number = number;
	message->flags = 0;
	message->buffer_index = 0;
	message->state = 0;
	message->marks = 0;
	message->arguments[0] = argument0;
	message->arguments[1] = argument1;
	message->arguments[2] = argument2;
	message->arguments[3] = argument3;
	message->arguments[4] = argument4;
	message->arguments[5] = argument5;
	message->deadline_ns = 0;
}

/** Does nothing and completes with 0. */
static inline void asys_prep_nop(struct asys_message *message)
{
	asys_prep(message, ASYS_NOP, 0, 0, 0, 0, 0, 0);
}

/** pread(2), or read(2) with an @offset of -1. */
static inline void asys_prep_read(struct asys_message *message, int file, void *buffer,
				  size_t length_bytes, int64_t offset)
{
	asys_prep(message, offset < 0 ? SYS_read : SYS_pread64, asys_signed(file),
		  asys_pointer(buffer), length_bytes, asys_signed(offset), 0, 0);
}

/** pwrite(2), or write(2) with an @offset of -1. */
static inline void asys_prep_write(struct asys_message *message, int file, const void *buffer,
				   size_t length_bytes, int64_t offset)
{
	asys_prep(message, offset < 0 ? SYS_write : SYS_pwrite64, asys_signed(file),
		  asys_pointer(buffer), length_bytes, asys_signed(offset), 0, 0);
}

/**
 * preadv2(2) into one buffer: @offset -1 is the file's position, @flags are RWF_… May be made one
 * into a registered buffer, by ASYS_FIXED_BUFFER and buffer_index.
 */
static inline void asys_prep_read_flags(struct asys_message *message, int file, void *buffer,
					size_t length_bytes, int64_t offset, int flags)
{
	asys_prep(message, ASYS_READ, asys_signed(file), asys_pointer(buffer), length_bytes,
		  asys_signed(offset), asys_signed(flags), 0);
}

/** pwritev2(2) from one buffer, as asys_prep_read_flags(). */
static inline void asys_prep_write_flags(struct asys_message *message, int file, const void *buffer,
					 size_t length_bytes, int64_t offset, int flags)
{
	asys_prep(message, ASYS_WRITE, asys_signed(file), asys_pointer(buffer), length_bytes,
		  asys_signed(offset), asys_signed(flags), 0);
}

/** As asys_prep_read() into the registered buffer @index. */
static inline void asys_prep_read_fixed(struct asys_message *message, int file, void *buffer,
					size_t length_bytes, int64_t offset, uint16_t index)
{
	asys_prep_read(message, file, buffer, length_bytes, offset);
	message->flags = ASYS_FIXED_BUFFER;
	message->buffer_index = index;
}

/** As asys_prep_write() from the registered buffer @index. */
static inline void asys_prep_write_fixed(struct asys_message *message, int file, const void *buffer,
					 size_t length_bytes, int64_t offset, uint16_t index)
{
	asys_prep_write(message, file, buffer, length_bytes, offset);
	message->flags = ASYS_FIXED_BUFFER;
	message->buffer_index = index;
}

/** preadv2(2): @offset -1 is the file's position, @flags are RWF_… */
static inline void asys_prep_readv(struct asys_message *message, int file,
				   const struct iovec *vectors, unsigned count, int64_t offset,
				   int flags)
{
	asys_prep(message, SYS_preadv2, asys_signed(file), asys_pointer(vectors), count,
		  asys_signed(offset), 0, asys_signed(flags));
}

/** pwritev2(2). */
static inline void asys_prep_writev(struct asys_message *message, int file,
				    const struct iovec *vectors, unsigned count, int64_t offset,
				    int flags)
{
	asys_prep(message, SYS_pwritev2, asys_signed(file), asys_pointer(vectors), count,
		  asys_signed(offset), 0, asys_signed(flags));
}

/** fsync(2). */
static inline void asys_prep_fsync(struct asys_message *message, int file)
{
	asys_prep(message, SYS_fsync, asys_signed(file), 0, 0, 0, 0, 0);
}

/** fdatasync(2). */
static inline void asys_prep_fdatasync(struct asys_message *message, int file)
{
	asys_prep(message, SYS_fdatasync, asys_signed(file), 0, 0, 0, 0, 0);
}

/** fallocate(2). */
static inline void asys_prep_fallocate(struct asys_message *message, int file, int mode,
				       int64_t offset, int64_t length_bytes)
{
	asys_prep(message, SYS_fallocate, asys_signed(file), asys_signed(mode), asys_signed(offset),
		  asys_signed(length_bytes), 0, 0);
}

/** openat(2); the result is the descriptor. */
static inline void asys_prep_openat(struct asys_message *message, int directory, const char *path,
				    int flags, mode_t mode)
{
	asys_prep(message, SYS_openat, asys_signed(directory), asys_pointer(path),
		  asys_signed(flags), mode, 0, 0);
}

/** close(2). No message about @file may be in flight. */
static inline void asys_prep_close(struct asys_message *message, int file)
{
	asys_prep(message, SYS_close, asys_signed(file), 0, 0, 0, 0, 0);
}

/** statx(2). */
static inline void asys_prep_statx(struct asys_message *message, int directory, const char *path,
				   int flags, unsigned mask, struct statx *status)
{
	asys_prep(message, SYS_statx, asys_signed(directory), asys_pointer(path),
		  asys_signed(flags), mask, asys_pointer(status), 0);
}

/** socket(2). */
static inline void asys_prep_socket(struct asys_message *message, int domain, int type,
				    int protocol)
{
	asys_prep(message, SYS_socket, asys_signed(domain), asys_signed(type),
		  asys_signed(protocol), 0, 0, 0);
}

/** accept4(2). @address and @length may be NULL. */
static inline void asys_prep_accept(struct asys_message *message, int socket,
				    struct sockaddr *address, socklen_t *length, int flags)
{
	asys_prep(message, SYS_accept4, asys_signed(socket), asys_pointer(address),
		  asys_pointer(length), asys_signed(flags), 0, 0);
}

/** connect(2). */
static inline void asys_prep_connect(struct asys_message *message, int socket,
				     const struct sockaddr *address, socklen_t length)
{
	asys_prep(message, SYS_connect, asys_signed(socket), asys_pointer(address), length, 0, 0,
		  0);
}

/** send(2). May send less than all, like write(2) to a pipe. */
static inline void asys_prep_send(struct asys_message *message, int socket, const void *buffer,
				  size_t length_bytes, int flags)
{
	asys_prep(message, SYS_sendto, asys_signed(socket), asys_pointer(buffer), length_bytes,
		  asys_signed(flags), 0, 0);
}

/** recv(2). */
static inline void asys_prep_recv(struct asys_message *message, int socket, void *buffer,
				  size_t length_bytes, int flags)
{
	asys_prep(message, SYS_recvfrom, asys_signed(socket), asys_pointer(buffer), length_bytes,
		  asys_signed(flags), 0, 0);
}

/** sendmsg(2). */
static inline void asys_prep_sendmsg(struct asys_message *message, int socket,
				     const struct msghdr *header, int flags)
{
	asys_prep(message, SYS_sendmsg, asys_signed(socket), asys_pointer(header),
		  asys_signed(flags), 0, 0, 0);
}

/** recvmsg(2). */
static inline void asys_prep_recvmsg(struct asys_message *message, int socket,
				     struct msghdr *header, int flags)
{
	asys_prep(message, SYS_recvmsg, asys_signed(socket), asys_pointer(header),
		  asys_signed(flags), 0, 0, 0);
}

/** shutdown(2). */
static inline void asys_prep_shutdown(struct asys_message *message, int socket, int how)
{
	asys_prep(message, SYS_shutdown, asys_signed(socket), asys_signed(how), 0, 0, 0, 0);
}

/** ioctl(2). */
static inline void asys_prep_ioctl(struct asys_message *message, int file, unsigned long request,
				   uint64_t argument)
{
	asys_prep(message, SYS_ioctl, asys_signed(file), request, argument, 0, 0, 0);
}

/** splice(2), but with offsets by value: -1 for a pipe or the file's own position. */
static inline void asys_prep_splice(struct asys_message *message, int from, int64_t from_offset,
				    int to, int64_t to_offset, size_t length_bytes, unsigned flags)
{
	asys_prep(message, ASYS_SPLICE, asys_signed(from), asys_signed(from_offset),
		  asys_signed(to), asys_signed(to_offset), length_bytes, flags);
}

/** Completes when @file has one of @events (POLLIN …), with those that it has, as poll(2) says. */
static inline void asys_prep_poll(struct asys_message *message, int file, unsigned events)
{
	asys_prep(message, ASYS_POLL, asys_signed(file), events, 0, 0, 0, 0);
}

/** Completes with 0 when CLOCK_MONOTONIC is at @when_ns; see asys_deadline(). */
static inline void asys_prep_timeout(struct asys_message *message, uint64_t when_ns)
{
	asys_prep(message, ASYS_TIMEOUT, when_ns, 0, 0, 0, 0, 0);
}

/**
 * FUTEX_WAIT of a futex that is private to the process: waits for a wake while *@word is @value;
 * completes with 0, or -EAGAIN when it is not.
 */
static inline void asys_prep_futex_wait(struct asys_message *message, const uint32_t *word,
					uint32_t value)
{
	asys_prep(message, ASYS_FUTEX_WAIT, asys_pointer(word), value, 0, 0, 0, 0);
}

/** FUTEX_WAKE: completes with how many were woken, at most @count. */
static inline void asys_prep_futex_wake(struct asys_message *message, const uint32_t *word,
					unsigned count)
{
	asys_prep(message, ASYS_FUTEX_WAKE, asys_pointer(word), count, 0, 0, 0, 0);
}

/**
 * IORING_OP_URING_CMD: gives @command, of up to 16 bytes (80 with ASYS_WIDE_ENTRIES), to the driver
 * behind @file, with @address in the entry's own `addr`. @command is copied when the message is
 * sent. -EOPNOTSUPP without io_uring.
 */
static inline void asys_prep_uring_cmd(struct asys_message *message, int file, uint32_t operation,
				       const void *command, size_t command_bytes, uint64_t address)
{
	asys_prep(message, ASYS_URING_CMD, asys_signed(file), operation, asys_pointer(command),
		  command_bytes, address, 0);
}

/**
 * asys_cancel() as a message, so that another thread can post it: completes with what that returns.
 * @target must stay valid memory until then.
 */
static inline void asys_prep_cancel(struct asys_message *message, struct asys_message *target)
{
	asys_prep(message, ASYS_CANCEL, asys_pointer(target), 0, 0, 0, 0, 0);
}

#ifdef __cplusplus
}
#endif

#endif
