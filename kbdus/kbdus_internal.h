/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the module share.
 *
 *	main.c     loading, unloading, parameters
 *	control.c  /dev/bdus-control: files, commands, mappings
 *	device.c   the life of a device, and the table of devices
 *	disk.c     the block layer's side: limits, requests, time-outs
 *	queue.c    requests on their way to and from servers, which come and go
 *	ioctl.c    ioctls of clients
 *	session.c  rings, payloads, waiting: the server's side
 *	zones.c    what makes a device zoned; what servers say of zones
 *	program.c  programs that answer requests; no_program.c where there are none
 *	compat/    what differs between versions of the kernel
 *
 * Lock order: kbdus_table_lock; device->lock; session->serving; queue->lock. None of the first two
 * is held while something waits for a server; session->serving is held while its server's memory is
 * copied to or from, so whoever takes it can be killed meanwhile.
 *
 * References. A device is kept by each file that belongs to it, by work that is under way for it
 * and by its disk, until the block layer frees that. Files are kept by their mappings and by
 * commands of io_uring. Files and open disks keep the module; the rest is waited for by
 * kbdus_exit().
 */
#ifndef KBDUS_INTERNAL_H
#define KBDUS_INTERNAL_H

#include "compat/mode.h"
#include "compat/report.h"
#include "kbdus.h"

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define KBDUS_VERSION_MAJOR 0
#define KBDUS_VERSION_MINOR 1
#define KBDUS_VERSION_PATCH 3
#define KBDUS_VERSION_TEXT  "0.1.3"

struct io_uring_cmd;

/*
 * A slot holds the request of a tag.
 *
 *	         queue_rq            dispatch, payload copied        result taken
 *	FREE ───────────▶ PENDING ──▶ MOVING ──▶ SERVED ──────────▶ MOVING ──▶ FREE
 *	                   │   ▲        │          │  ▲ payload by read/write │
 *	                   │   └────────┴──────────┤  │                       │
 *	                   │      the server died  │  │                       │
 *	                   └── time-out, abort ────┴──┼─▶ FREE                │
 *	                                              └── MOVING ◀────────────┘
 *
 * All transitions are made under queue->lock. Who makes one to MOVING has the request to itself
 * until it makes the next one; who makes one to FREE ends the request, after it let go of the lock.
 */
enum kbdus_slot_state {
	KBDUS_SLOT_FREE,
	KBDUS_SLOT_PENDING,
	KBDUS_SLOT_MOVING,
	KBDUS_SLOT_SERVED,
};

/*
 * An ioctl, or a report of zones, on its way; the request of one has no range, and points here.
 * `place` is the command's number, or where the first zone starts.
 */
struct kbdus_ioctl {
	u64 place;
	u32 bytes;
	void *data;
	int result;
	bool is_32;
	bool is_repeatable;
};

struct kbdus_slot {
	struct request *request;
	/* In queue->pending, or in a list of who moves payloads. */
	struct list_head link;
	u32 generation;
	enum kbdus_slot_state state;
	/* Given to a server that is no more. */
	bool retried;
};

/*
 * What a server has of a queue: made when a file becomes the file of the queue, and freed with it.
 * It is the queue's until the server dies or leaves; then its commands fail with ENODEV.
 */
struct kbdus_session {
	struct kbdus_queue *queue;

	/* One server at a time: the rings, and moving payloads. */
	struct mutex serving;
	struct kbdus_abi_rings *rings;
	struct kbdus_abi_request *requests;
	struct kbdus_abi_result *results;
	size_t map_bytes;
	u32 entries;
	/* The module's own copies of the words that it writes. */
	u32 requests_tail;
	u32 results_head;
	u32 refused;

	/* Constant; `server` is the leader of the server's threads. */
	u64 payloads;
	u64 stride_bytes;
	struct task_struct *server;

	/* With `serving`. How long the next wait looks, and when the last one began; 0 for none. */
	u64 awake_ns;
	u64 waits_since_ns;
	/* Requests that the last turn gave. */
	unsigned int given;
};

struct kbdus_queue {
	struct kbdus_device *device;
	unsigned int index;

	/* What follows up to `news`, and slots. Taken from any context of the block layer. */
	spinlock_t lock;
	struct list_head pending;
	/* Slots that are not free, and those that the server has. */
	unsigned int busy;
	unsigned int held;
	/* The watch is set. */
	bool watched;
	/* Who serves; NULL for nobody. */
	struct kbdus_session *session;
	/* The command of io_uring that waits; who takes it from here completes it. */
	struct io_uring_cmd *command;
	/* The server may have requests. */
	bool open;
	/* The server goes when it holds none any more. */
	bool leaving;
	/* No server will come any more: requests fail. */
	bool dead;
	/* The disk is gone: there will be no requests. */
	bool ended;
	/* The device's state has changed; for queue 0. */
	bool news;
	wait_queue_head_t wait;
	/* While requests are in flight, looks whether the server still lives. */
	struct delayed_work watch;
	struct kbdus_slot slots[];
};

struct kbdus_device {
	struct kref references;
	/* In the table, until no file of the device is open; under kbdus_table_lock. */
	struct list_head link;

	/*
	 * As created and described; constant once there is a disk, but for the size, which is
	 * written under the lock.
	 */
	struct kbdus_abi_device created;
	struct kbdus_abi_ioctl_part *parts;
	u32 part_count;
	/* All zeros unless the device is zoned. */
	struct kbdus_abi_zoned zoned;

	/* What follows up to `keeps_module`. */
	struct mutex lock;
	/* All files of the device, and those of its server: the owner's and its queues'. */
	unsigned int files;
	unsigned int server_files;
	enum kbdus_abi_state state;
	int start_result;
	unsigned int attached;
	/* NULL for none. */
	const struct kbdus_file *owner;
	const struct kbdus_file *successor;
	/* Tells files of this server from those of earlier ones. */
	unsigned int epoch;
	/* The owner's process. */
	struct pid *creator;
	/* The server leaves in good order. */
	bool leaving;
	/* Unless 0, when the server was found killed, in jiffies. */
	unsigned long killed_at;
	/* Counts what STATUS would tell anew. */
	unsigned int changes;
	wait_queue_head_t changed;
	/* A disk without files keeps the module. */
	bool keeps_module;

	/* What answers requests before the server, or NULL; set while the queue is quiesced. */
	struct kbdus_program *program;

	struct blk_mq_tag_set tags;
	bool has_tags;
	struct gendisk *disk;
	bool disk_added;
	struct work_struct start_work;
	struct work_struct stop_work;
	struct work_struct forget_work;
	unsigned int queue_count;
	struct kbdus_queue *queues[];
};

/* ---- main.c ---------------------------------------------------------------------------------- */

extern struct workqueue_struct *kbdus_work;
extern unsigned int kbdus_max_devices;

/* ---- control.c ------------------------------------------------------------------------------- */

/* What a file is: nothing, an owner or successor, or a queue's. */
struct kbdus_file {
	/* Taken to decide what the file is. */
	struct mutex lock;
	/* NULL before that; then constant, published by the first. */
	struct kbdus_device *device;
	/* NULL for the owner. */
	struct kbdus_session *session;
	/* Under device->lock: device->epoch of its server, and device->changes when last told. */
	unsigned int epoch;
	unsigned int seen;
};

extern const struct file_operations kbdus_control_fops;

/* Of the file of a queue; NULL for another one. */
struct kbdus_session *kbdus_file_session(struct file *file);

/* ---- device.c -------------------------------------------------------------------------------- */

/*
 * Makes a device of what a server wishes, which is lowered to what can be had, and tells the rest
 * of it. The caller has a reference, and @file is its owner.
 */
int kbdus_device_create(struct kbdus_abi_device *wish, struct kbdus_file *file,
			struct kbdus_device **device);
void kbdus_device_put(struct kbdus_device *device);

/* Makes @file the successor of the server of the device with this id; the caller has a reference.
 */
int kbdus_device_adopt(u64 id, struct kbdus_file *file, struct kbdus_device **device);

/* Makes @session that of queue @index and of @file, for @owner; the file then has a reference. */
int kbdus_device_attach(struct kbdus_device *device, struct kbdus_file *owner,
			struct kbdus_file *file, struct kbdus_session *session);
/* A file of the device is closed, whose reference it gives up. */
void kbdus_device_leave(struct kbdus_device *device, struct kbdus_file *file);

/* Of @file; -EBUSY if it is not the owner. */
int kbdus_device_start(struct kbdus_device *device, const struct kbdus_file *file);
int kbdus_device_vacate(struct kbdus_device *device, const struct kbdus_file *file);
int kbdus_device_end(struct kbdus_device *device, const struct kbdus_file *file);
int kbdus_device_describe(struct kbdus_device *device, const struct kbdus_file *file,
			  const struct kbdus_abi_ioctl_table *table);
/* -EINVAL for what is no size, -EBUSY where there is no disk. */
int kbdus_device_resize(struct kbdus_device *device, const struct kbdus_file *file, u64 size_bytes);

/* Begins to remove the disk; with @abort, its requests fail at once. In any state. */
void kbdus_device_stop(struct kbdus_device *device, bool abort);
/* The server has been killed: what it had is for the next, or fails. */
void kbdus_device_lose(struct kbdus_device *device);
/* @file, if not NULL, then knows. */
void kbdus_device_tell(struct kbdus_device *device, struct kbdus_file *file,
		       struct kbdus_abi_device *told);
__poll_t kbdus_device_poll(struct kbdus_device *device, struct file *file, poll_table *table);

/* The device with this id, or with the lowest one from it on; with a reference. */
struct kbdus_device *kbdus_device_find(u64 id, bool or_next);

/* Waits until no device is left, not even in the block layer. */
void kbdus_devices_wait(void);

static inline bool kbdus_device_is_recoverable(const struct kbdus_device *device)
{
	return kbdus_abi_device_attrs(&device->created) & KBDUS_ABI_ATTR_RECOVERABLE;
}

/* ---- disk.c ---------------------------------------------------------------------------------- */

int kbdus_disk_create(struct kbdus_device *device);
int kbdus_disk_add(struct kbdus_device *device);
/* Gives the disk the size that the device has, and tells who watches it. */
void kbdus_disk_resize(struct kbdus_device *device);
/* Waits for the disk's requests, which somebody has to serve or fail. */
void kbdus_disk_remove(struct kbdus_device *device);

/* Ends a request, whose slot is free, with 0 or a negative errno of a server. */
void kbdus_disk_end(struct request *request, int result);
/* As that, now or by kbdus_disk_end_batch(), which is to follow. */
void kbdus_disk_end_in(struct io_comp_batch *batch, struct request *request, int result);
void kbdus_disk_end_batch(struct io_comp_batch *batch);
/* The KBDUS_ABI_OP_* of a request, and its flags; negative for what the device has not. */
int kbdus_disk_operation(const struct kbdus_device *device, struct request *request, u16 *flags);

/* Of the module, behind each request of a device; then comes what programs keep. */
struct kbdus_request {
	/* Of an ioctl or a report. */
	struct kbdus_ioctl *ioctl;
	/*
	 * Unless 0, the server has so much of it, from where it begins now, and then comes the
	 * rest.
	 */
	u32 part_bytes;
	/* A program is to be told of its end. */
	bool is_watched;
};

static inline struct kbdus_request *kbdus_request_own(struct request *request)
{
	return blk_mq_rq_to_pdu(request);
}

static inline struct kbdus_ioctl **kbdus_request_ioctl(struct request *request)
{
	return &kbdus_request_own(request)->ioctl;
}

/* An ioctl, or a report of zones. */
static inline bool kbdus_request_has_message(struct request *request)
{
	return req_op(request) == REQ_OP_DRV_OUT || req_op(request) == REQ_OP_DRV_IN;
}

/* ---- ioctl.c --------------------------------------------------------------------------------- */

/* Copies and checks a table: -EFAULT, -EINVAL, -E2BIG, -ENOMEM. Freed by kvfree(). */
int kbdus_ioctl_describe(const struct kbdus_abi_ioctl_table *table,
			 struct kbdus_abi_ioctl_part **parts);

/* -ENOTTY: the device has none; -E2BIG: more than the limits; -EFAULT, -ENOMEM; or the server's. */
int kbdus_ioctl(struct block_device *disk, kbdus_mode_t mode, unsigned int command,
		unsigned long argument);
int kbdus_compat_ioctl(struct block_device *disk, kbdus_mode_t mode, unsigned int command,
		       unsigned long argument);

/* Sends @ioctl through the queue, as REQ_OP_DRV_OUT or _IN, and waits: the server's result. */
int kbdus_ioctl_carry(struct request_queue *queue, blk_opf_t op, struct kbdus_ioctl *ioctl);

/* ---- zones.c --------------------------------------------------------------------------------- */

/*
 * Makes the device zoned: -EOPNOTSUPP where the kernel has none, -EINVAL for what cannot be, -EBUSY
 * if @file is not the owner, or too late.
 */
int kbdus_zones_describe(struct kbdus_device *device, const struct kbdus_file *file,
			 const struct kbdus_abi_zoned *zoned);
static inline bool kbdus_device_is_zoned(const struct kbdus_device *device)
{
	return kbdus_abi_zoned_zone_bytes(&device->zoned) != 0;
}
/* Has the block layer know the zones of the disk, by asking the server. */
int kbdus_zones_add(struct kbdus_device *device);
/* The block layer wants to know of @count zones, from the one at @sector on; how many were told. */
int kbdus_zones_report(struct gendisk *disk, sector_t sector, unsigned int count,
		       KBDUS_REPORT_PARAMETERS);
/* An append went to @offset of the device: whether it can have. */
bool kbdus_zones_land(const struct kbdus_device *device, struct request *request, u64 offset);

/* ---- queue.c, from the block layer and the device -------------------------------------------- */

struct kbdus_queue *kbdus_queue_create(struct kbdus_device *device, unsigned int index);
void kbdus_queue_destroy(struct kbdus_queue *queue);

/*
 * A new request, started; false if there is nobody to serve it. Unless it is the @last of several,
 * kbdus_queue_ring() has to follow.
 */
bool kbdus_queue_add(struct kbdus_queue *queue, struct request *request, bool last);
/* Lets the server know of what was added. */
void kbdus_queue_ring(struct kbdus_queue *queue);
/* A request that takes too long: true if the caller shall end it. */
bool kbdus_queue_time_out(struct kbdus_queue *queue, struct request *request);

/* @session serves from now on, but for requests, which kbdus_queue_open() lets it have; -EBUSY. */
int kbdus_queue_attach(struct kbdus_queue *queue, struct kbdus_session *session);
void kbdus_queue_open(struct kbdus_queue *queue);
/* No more requests for the server, which is to end when it has answered what it has. */
void kbdus_queue_leave(struct kbdus_queue *queue);
/* Nobody serves any more; what was served waits for the next. Whether there was any such. */
bool kbdus_queue_detach(struct kbdus_queue *queue, const struct kbdus_session *session);
/* With the lock: frees a slot whose request is the caller's to end; whether the server @held it. */
void kbdus_queue_free_slot(struct kbdus_queue *queue, struct kbdus_slot *slot, bool held);
/* Whether another server may be given a request that one has died with. */
static inline bool kbdus_queue_may_repeat(struct request *request)
{
	return !kbdus_request_has_message(request) ||
	       (*kbdus_request_ioctl(request))->is_repeatable;
}
/* With the lock: puts a request back in line. */
void kbdus_queue_put_back(struct kbdus_queue *queue, struct kbdus_slot *slot, bool retried);
/* With the lock: whether there is something for @session, be it its end. */
bool kbdus_queue_has_news(const struct kbdus_queue *queue, const struct kbdus_session *session);
/* With the lock: whether @session has ended. */
bool kbdus_queue_is_over(const struct kbdus_queue *queue, const struct kbdus_session *session);

/* Fails everything, now and from now on. */
void kbdus_queue_abort(struct kbdus_queue *queue);
/* There will be no more requests. */
void kbdus_queue_finish(struct kbdus_queue *queue);
/* The device's state has changed. */
void kbdus_queue_notify(struct kbdus_queue *queue);

/* ---- session.c, the server's side ------------------------------------------------------------ */

/* For @queue, of the calling process; -EINVAL: no such memory can be, -ENOMEM. */
struct kbdus_session *kbdus_session_create(struct kbdus_queue *queue, u64 payloads,
					   u64 stride_bytes);
/* Takes NULL. */
void kbdus_session_destroy(struct kbdus_session *session);

/* Takes results, gives requests: the number of these; negative errnos as those of ENTER. */
int kbdus_session_enter(struct kbdus_session *session, bool wait);
int kbdus_session_command(struct kbdus_session *session, struct io_uring_cmd *command,
			  unsigned int issue_flags);
/* Takes @command back, if it still waits. */
void kbdus_session_cancel(struct kbdus_session *session, struct io_uring_cmd *command,
			  unsigned int issue_flags);
__poll_t kbdus_session_poll(struct kbdus_session *session, struct file *file, poll_table *table);
/* Between the payload of an outstanding request and @iter, in its direction. */
ssize_t kbdus_session_copy(struct kbdus_session *session, loff_t place, struct iov_iter *iter);

/* Completes @command, in its own task, after a turn of serving. */
void kbdus_session_bring(struct io_uring_cmd *command, unsigned int issue_flags);
bool kbdus_session_is_killed(const struct kbdus_session *session);

/* ---- program.c ------------------------------------------------------------------------------- */

struct kbdus_program;

/* Room behind each request of a device, after what the module itself has there. */
#define KBDUS_PROGRAM_REQUEST_OFFSET sizeof(struct kbdus_request)
#define KBDUS_PROGRAM_REQUEST_BYTES  448

/*
 * Has the device's program, which is there, answer for a request that was started. False if it
 * passes: the request then goes to the server.
 */
bool kbdus_program_serve(struct kbdus_queue *queue, struct request *request, int op, u16 flags);
/*
 * A request, which has no message, is about to end. True if it does not: the server did a part of
 * it, and the rest is on its way.
 */
bool kbdus_program_end(struct request *request, int result);
/* What programs delay goes on at once; all queues are dead. */
void kbdus_program_end_delays(struct kbdus_device *device);
/* Commands for programs; -ENOTTY for any other. */
long kbdus_program_command(unsigned int number, void __user *argument);
/* Takes NULL. */
void kbdus_program_put(struct kbdus_program *program);
int kbdus_program_init(void);
/* No device is there any more. */
void kbdus_program_exit(void);

#endif
