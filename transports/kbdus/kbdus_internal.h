/* SPDX-License-Identifier: MIT */
/*
 * What the files of the kbdus way in share.
 *
 *	kbdus.c      the ops table; a device's life
 *	control.c    /dev/bdus-control: opening it, commands without waiting
 *	queue.c      the way of requests
 *	translate.c  the module's structures to ours and back; pure functions
 *	zoned.c      the same of zoned devices
 *	probe.c      what this machine and this user can do
 *	find.c       devices that exist, and their removal, from other processes
 */
#ifndef KBDUS_INTERNAL_H
#define KBDUS_INTERNAL_H

#include "device/transport.h"

#include "kbdus.h"

#define KBDUS_CONTROL_PATH "/dev/bdus-control"
#define KBDUS_SYSFS_PATH   "/sys/class/block/bdus-"

/** Room for "/dev/bdus-" and any 64-bit number. */
#define KBDUS_PATH_BYTES 40

/* ---- control.c ----------------------------------------------------------------------------- */

/**
 * A new file of /dev/bdus-control. -ENODEV: the module is not loaded; -EACCES: no right to it;
 * -EPROTO: a module that this library does not understand.
 */
int kbdus_control_open(void);

/** Runs a command; its errors are those of ioctl(2), without a message. */
int kbdus_control_run(int fd, enum kbdus_abi_command command, void *argument);

/** The module's own version. */
int kbdus_control_version(int fd, struct kbdus_abi_version *version);

/** "/dev/bdus-N" */
void kbdus_path(char path[KBDUS_PATH_BYTES], uint64_t id);

/* ---- translate.c --------------------------------------------------------------------------- */

/** Lowers the limits in @attrs to what kbdus carries, or refuses what it cannot carry at all. */
int kbdus_fit_attrs(struct bdus_device_attrs *attrs, uint32_t native_ops);

/** What to ask the module for. */
void kbdus_fill_device(uint64_t id, const struct bdus_device_attrs *attrs,
		       struct kbdus_abi_device *wish);

/** What queue.c checks requests against. */
struct kbdus_limits {
	/** May change while the queues serve. */
	uint64_t size_bytes;
	uint32_t max_transfer_bytes;
	uint32_t ops;
	/** 0 unless the device is zoned. */
	uint32_t max_append_bytes;
	uint64_t zone_size_bytes;
};

/** Fills in @io, but for its payload; -EIO when the module asks for what cannot be. */
int kbdus_decode_request(const struct kbdus_abi_request *request, const struct kbdus_limits *limits,
			 struct bdus_io *io);

/* ---- zoned.c ------------------------------------------------------------------------------- */

/** The operations of zones. */
#define KBDUS_ZONE_OPS                                                           \
	(BDUS_OP_BIT(BDUS_OP_ZONE_REPORT) | BDUS_OP_BIT(BDUS_OP_ZONE_OPEN) |     \
	 BDUS_OP_BIT(BDUS_OP_ZONE_CLOSE) | BDUS_OP_BIT(BDUS_OP_ZONE_FINISH) |    \
	 BDUS_OP_BIT(BDUS_OP_ZONE_RESET) | BDUS_OP_BIT(BDUS_OP_ZONE_RESET_ALL) | \
	 BDUS_OP_BIT(BDUS_OP_ZONE_APPEND))

/** What to tell the module of the zones that @attrs has. */
void kbdus_fill_zoned(const struct bdus_device_attrs *attrs, struct kbdus_abi_zoned *zoned);

/** As kbdus_decode_request(), for an operation of zones that the device has. */
int kbdus_decode_zoned(const struct kbdus_abi_request *request, const struct kbdus_limits *limits,
		       unsigned flags, struct bdus_io *io);

/**
 * A report is made in place: the payload, of the request's zone_capacity zones, is what the driver
 * fills in. Afterwards, those that it did not tell of are zeros.
 */
void kbdus_begin_report(struct bdus_request *request, void *payload);
void kbdus_end_report(struct bdus_request *request);
uint64_t kbdus_report_bytes(const struct bdus_request *request);

/* ---- kbdus.c, queue.c ---------------------------------------------------------------------- */

struct bdus_transport_device {
	uint64_t id;
	/** The device's owner. */
	int fd;
	/** Where the program wants payloads; NULL for memory of the queues. */
	struct bdus_memory *memory;
	/** Do without commands of io_uring. */
	bool by_poll;
	/** How long commands of io_uring look for requests before they wait. */
	unsigned busy_poll_us;
	/** destroy() leaves the device alone. */
	bool stays;
	/** Files for the queues, while these have not taken them; -1 in their places then. */
	unsigned queues;
	int *queue_fds;
	unsigned depth;
	struct kbdus_limits limits;
};

int kbdus_queue_open(struct bdus_transport_device *device, unsigned index, struct bdus_queue *host,
		     struct bdus_transport_queue **queue);
int kbdus_queue_fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity);
void kbdus_queue_commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
			unsigned count);
void kbdus_queue_close(struct bdus_transport_queue *queue);

/* ---- probe.c ------------------------------------------------------------------------------- */

void kbdus_probe(struct bdus_transport_report *report);

/* ---- find.c -------------------------------------------------------------------------------- */

int kbdus_scan(int (*found)(const struct bdus_device_info *info, void *opaque), void *opaque);
int kbdus_identify(const char *path, struct bdus_device_info *info);
int kbdus_remove(const struct bdus_device_info *info, uint64_t deadline_ns,
		 bdus_progress_fn *progress, void *opaque);

/** Waits until the module knows the device no more: 0, or -ETIMEDOUT. */
int kbdus_wait_until_gone(int fd, uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress,
			  void *opaque);

#endif
