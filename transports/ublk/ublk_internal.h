/* SPDX-License-Identifier: MIT */
/*
 * What the files of the ublk way in share.
 *
 *	ublk.c       the ops table; a device's life
 *	adopt.c      taking a device over from another server
 *	control.c    commands on /dev/ublk-control, each with a time limit
 *	errand.c     those that wait for requests, in a child
 *	queue.c      the way of requests
 *	single.c     … by a command each
 *	batch.c      … by commands for many
 *	translate.c  kernel structures to ours and back; pure functions
 *	zoned.c      the same for zoned devices, and reports of zones
 *	probe.c      what this machine and this user can do
 *	find.c       devices that exist, seen from other processes
 *	remove.c     ending and deleting them
 *	protect.c    what keeps a process able to serve when memory is short; capabilities
 */
#ifndef UBLK_INTERNAL_H
#define UBLK_INTERNAL_H

#include "device/transport.h"

#include "ublk.h"

#include <liburing.h>
#include <linux/ioctl.h>

#define UBLK_CONTROL_PATH "/dev/ublk-control"

/** Every control command must end within this time. */
#define UBLK_COMMAND_TIMEOUT_MS 30000

/** Room for "/dev/ublkc" and any 32-bit number. */
#define UBLK_PATH_BYTES 32

/** Commands' numbers as later kernels want them, like those of an ioctl which reads or exchanges.
 */
#define UBLK_ENCODE_READ(number)     _IOR('u', (number), struct ublk_abi_ctrl_cmd)
#define UBLK_ENCODE_EXCHANGE(number) _IOWR('u', (number), struct ublk_abi_ctrl_cmd)
#define UBLK_ENCODE_IO(number)       _IOWR('u', (number), struct ublk_abi_io_cmd)

/**
 * What payloads without copying take: pages of clients show up in the ring's table of buffers by
 * themselves, and what a driver has to see for once is copied by reading and writing the character
 * device.
 */
#define UBLK_ZERO_COPY_FLAGS (UBLK_ABI_F_AUTO_BUFFER | UBLK_ABI_F_USER_COPY)

/* ---- control.c ----------------------------------------------------------------------------- */

struct ublk_control;

struct ublk_command {
	/** UBLK_ABI_CTRL_*. */
	unsigned number;
	/** Number N of /dev/ublkcN. */
	uint32_t device;
	uint64_t data;
	/** Goes to the kernel and comes back from it; NULL and 0 for none. */
	void *payload;
	size_t payload_bytes;
	/** Put the character device's path first: what unprivileged devices and INFO2 want. */
	bool with_path;
};

/**
 * Opens /dev/ublk-control and asks the driver for its features. The channel belongs to the calling
 * thread. -ENODEV: no driver; -EACCES: no right to it; -EPERM, -ENOSYS: no io_uring here.
 */
int ublk_control_create(struct ublk_control **control);

/** Takes NULL. A command that is still under way goes on in the kernel. */
void ublk_control_destroy(struct ublk_control *control);

/** UBLK_ABI_F_* that the driver knows; 0 where it cannot be asked (before 6.5). */
uint64_t ublk_control_features(const struct ublk_control *control);

/** Whether commands are to be encoded like ioctl numbers. */
bool ublk_control_is_encoded(const struct ublk_control *control);

/** Another channel, which knows already what @other knows of the driver. */
int ublk_control_create_like(const struct ublk_control *other, struct ublk_control **control);

/** The files that a process needs open to use the channel. */
void ublk_control_get_files(const struct ublk_control *control, int fds[2]);

/** Runs @command to its end and returns its result; -ETIMEDOUT says what it waited for. */
int ublk_control_run(struct ublk_control *control, const struct ublk_command *command);

/** Begins a command without payload. */
int ublk_control_begin(struct ublk_control *control, const struct ublk_command *command);

/** Whether what was begun has ended by @deadline_ns, with its @result. */
bool ublk_control_ended(struct ublk_control *control, uint64_t deadline_ns, int *result);

/** As ublk_control_run(), however long it takes. For processes that nobody waits for. */
int ublk_control_run_without_limit(struct ublk_control *control,
				   const struct ublk_command *command);

/** GET_DEV_INFO by whichever command this kernel has; -ENODEV when there is no such device. */
int ublk_control_get_info(struct ublk_control *control, uint32_t device,
			  struct ublk_abi_dev_info *info);

/** "/dev/ublkcN" */
void ublk_char_path(char path[UBLK_PATH_BYTES], uint32_t device);
/** "/dev/ublkbN" */
void ublk_block_path(char path[UBLK_PATH_BYTES], uint32_t device);

/* ---- errand.c ------------------------------------------------------------------------------ */

/** A command that may wait for requests, and is therefore run by a child; once in its life. */
struct ublk_errand;

/**
 * Prepares an errand, with what privileges the caller has now. Belongs to the calling thread, as
 * all that follows.
 */
int ublk_errand_create(const struct ublk_control *control, struct ublk_errand **errand);

/** Takes NULL. What was begun goes on. */
void ublk_errand_destroy(struct ublk_errand *errand);

/** Begins @command, which has no payload. */
int ublk_errand_begin(struct ublk_errand *errand, const struct ublk_command *command);

/** Whether a command was begun, ended or not. */
bool ublk_errand_was_begun(const struct ublk_errand *errand);

/** Hangs up (POLLHUP) when the command has ended. */
int ublk_errand_fd(const struct ublk_errand *errand);

/** 1 when the command has ended, with its result; 0 while it is under way at @deadline_ns. */
int ublk_errand_wait(struct ublk_errand *errand, uint64_t deadline_ns, int *result);

/* ---- translate.c --------------------------------------------------------------------------- */

/** The tag that marks our devices in the kernel: see translate.c. */
uint64_t ublk_tag_from_id(uint64_t id);
/** The id in a tag, BDUS_ID_NONE when the device is not ours. */
uint64_t ublk_tag_to_id(uint64_t tag);

/** Lowers the limits in @attrs to what ublk carries, or refuses what it cannot carry at all. */
int ublk_fit_attrs(struct bdus_device_attrs *attrs, uint32_t native_ops);

/** The kernel's parameters of a device with @attrs. */
void ublk_fill_params(const struct bdus_device_attrs *attrs, struct ublk_abi_params *params);

/** What queue.c checks requests against. */
struct ublk_limits {
	uint64_t size_bytes;
	uint64_t max_transfer_bytes;
	uint64_t max_discard_bytes;
	uint64_t max_write_zeros_bytes;
	uint32_t ops;
	/** 0 where the device has no zones. */
	uint64_t zone_size_bytes;
	uint32_t max_append_bytes;
};

/** Fills in @io for the request in @descriptor; -EIO when the kernel asks for what cannot be. */
int ublk_decode_request(const struct ublk_abi_io_desc *descriptor, const struct ublk_limits *limits,
			void *payload, struct bdus_io *io);

/** What to tell the kernel about the completed @io. */
int32_t ublk_encode_result(const struct bdus_io *io);

/* ---- zoned.c ------------------------------------------------------------------------------- */

/** Refuses zones that this kernel, or this user, or ublk at all cannot carry. */
int ublk_zoned_check(const struct bdus_device_attrs *attrs, uint64_t features, bool unprivileged);

/** Adds zones to the kernel's parameters. */
void ublk_zoned_fill_params(const struct bdus_device_attrs *attrs, struct ublk_abi_params *params);

/**
 * ublk_decode_request() for operations on zones; @count is what the descriptor says in place of a
 * length. -EIO for those that the device does not have.
 */
int ublk_zoned_decode(uint32_t op_flags, uint64_t sector, uint32_t count,
		      const struct ublk_limits *limits, void *payload, struct bdus_io *io);

/** Memory for the answer to a report; 0 or -ENOMEM. */
int ublk_zoned_make_room(struct bdus_request *request);
void ublk_zoned_free_room(struct bdus_request *request);

/** A part of a report as the kernel wants it; at most UBLK_ZONES_AT_ONCE zones. */
#define UBLK_ZONES_AT_ONCE 64
void ublk_zoned_encode(const struct bdus_zone *zones, unsigned count,
		       struct ublk_abi_zone *encoded);

/* ---- ublk.c, queue.c ----------------------------------------------------------------------- */

struct bdus_transport_device {
	struct ublk_control *control;
	struct ublk_errand *start;
	struct ublk_errand *stop;
	/** Number N of /dev/ublkbN and /dev/ublkcN. */
	uint32_t number;
	/** /dev/ublkcN */
	int char_fd;
	bool added;
	/** Another process made it; not added, and so not removed, by this one. */
	bool adopted;
	/** Not ended by destroy(), but for another process. */
	bool stays;
	bool recoverable;
	/** What the kernel made of ADD_DEV. */
	struct ublk_abi_dev_info made;
	bool unprivileged;
	/** Queues must fetch without CAP_SYS_ADMIN, which keeps older kernels from scanning. */
	bool hide_privilege;
	/** Requests and results are exchanged in batches. */
	bool batches;
	/** Payloads are buffers of the ring rather than memory. */
	bool zero_copy;
	/** Payloads are copied one by one, rather than by the kernel. */
	bool user_copy;
	/** Where they then lie; NULL for memory of the queue's. */
	struct bdus_memory *memory;
	/** The kernel hands over requests only within our own waiting calls. */
	bool may_trim;
	unsigned queues;
	unsigned depth;
	struct ublk_limits limits;
	/** Queue 0 while it is open, in whose loop the errands are watched. */
	struct bdus_transport_queue *main_queue;
	/** Until when START_DEV must have ended; 0 when it is not under way. */
	uint64_t start_deadline_ns;
	/** Calls of queue 0's loop: for the ends of the errands, and for that deadline. */
	struct bdus_call start_watch;
	struct bdus_call stop_watch;
	struct bdus_call start_timer;
};

int ublk_queue_open(struct bdus_transport_device *device, unsigned index, struct bdus_queue *host,
		    struct bdus_transport_queue **queue);
int ublk_queue_fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity);
void ublk_queue_commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
		       unsigned count);
int ublk_queue_copy_payload(struct bdus_transport_queue *queue, struct bdus_io *io,
			    uint64_t skip_bytes, void *memory, size_t length_bytes);
void ublk_queue_close(struct bdus_transport_queue *queue);

struct bdus_loop *ublk_queue_loop(struct bdus_transport_queue *queue);
/** Has the queue fail with @result and the last message. */
void ublk_queue_fail(struct bdus_transport_queue *queue, int result);

/** Queue 0 is being closed: nothing of the device stays in its loop. */
void ublk_device_leave_loop(struct bdus_transport_device *device);

int ublk_destroy(struct bdus_transport_device *device);
int ublk_open_node(struct bdus_transport_device *device);
/** @flags: those of the kernel's device that count. */
void ublk_note_flags(const struct bdus_transport_setup *setup, struct bdus_transport_device *device,
		     uint64_t flags);

/* ---- adopt.c ------------------------------------------------------------------------------- */

int ublk_adopt(const struct bdus_transport_setup *setup, struct bdus_transport_device **device);
int ublk_await_predecessor(struct bdus_transport_device *device, uint64_t deadline_ns);
/** Lets requests come to a device that was adopted, all of whose queues are open. */
int ublk_end_recovery(struct bdus_transport_device *device);
int ublk_leave(struct bdus_transport_device *device);
/** Has the kernel notice soon when the server of a started device dies. */
void ublk_watch_server(const struct bdus_transport_device *device);

/* ---- probe.c ------------------------------------------------------------------------------- */

void ublk_probe(struct bdus_transport_report *report);

/* ---- find.c -------------------------------------------------------------------------------- */

int ublk_scan(int (*found)(const struct bdus_device_info *info, void *opaque), void *opaque);
int ublk_identify(const char *path, struct bdus_device_info *info);

/** The number in "/dev/ublkbN" or "/dev/ublkcN", -ENOENT for other names. */
int64_t ublk_number_from_path(const char *path);
/** Fills in `major` and `minor` of a started device's disk. */
void ublk_read_device_number(uint32_t number, struct bdus_device_info *info);
/** Whether a process has /dev/ublkcN open, which only a server does. */
bool ublk_is_served(uint32_t number);
/** Whether a server is behind the device, or is just making or ending it. */
bool ublk_is_alive(const struct ublk_abi_dev_info *answer);
/** Calls @visit for each ublk device, ours or not, until it returns non-zero; returns that. */
int ublk_for_each(struct ublk_control *control,
		  int (*visit)(const struct ublk_abi_dev_info *answer, void *opaque), void *opaque);

/* ---- remove.c ------------------------------------------------------------------------------ */

int ublk_remove(const struct bdus_device_info *info, uint64_t deadline_ns,
		bdus_progress_fn *progress, void *opaque);

/** How a wait tells of itself and ends. */
struct ublk_patience {
	uint64_t started_ns;
	uint64_t deadline_ns;
	uint64_t told_s;
	bdus_progress_fn *progress;
	void *opaque;
};

/**
 * Deletes a stopped device and waits until it is gone, or -ETIMEDOUT. Of @answer, number, flags and
 * tag count.
 */
int ublk_delete(struct ublk_control *control, const struct ublk_abi_dev_info *answer,
		struct ublk_patience *patience);

/* ---- protect.c ----------------------------------------------------------------------------- */

/**
 * From the first device of a process to its last: keeps the out-of-memory killer away as far as is
 * permitted. Any thread.
 */
void ublk_protect_process(void);
void ublk_unprotect_process(void);

/** Keeps the kernel from waiting for our own device when it finds memory for this thread. */
void ublk_protect_thread(void);

/** Whether the calling thread has CAP_SYS_ADMIN in effect. */
bool ublk_has_privilege(void);
/** Gives up CAP_SYS_ADMIN for the calling thread, or takes it back; 0 or a negative errno. */
int ublk_hide_privilege(void);
int ublk_restore_privilege(void);

#endif
