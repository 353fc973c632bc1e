/* SPDX-License-Identifier: MIT */
/*
 * The boundary to the kernel's ublk driver (Linux 6.1 to 7.3), as far as BDUS uses it.
 *
 * Control commands are uring commands of 128-byte entries on /dev/ublk-control; I/O commands are
 * uring commands of ordinary entries on /dev/ublkcN. Facts from the kernel's
 * Documentation/block/ublk.rst and from what its driver accepts and returns.
 */
#ifndef ABI_UBLK_H
#define ABI_UBLK_H

#include <assert.h>
#include <linux/ioctl.h>
#include <stddef.h>
#include <stdint.h>

/* ---- control commands ---------------------------------------------------------------------- */

/** Numbers of the control commands; before Linux 6.4 they are used bare. */
enum {
	UBLK_ABI_GET_DEV_INFO = 0x02,
	UBLK_ABI_ADD_DEV = 0x04,
	UBLK_ABI_DEL_DEV = 0x05,
	UBLK_ABI_START_DEV = 0x06,
	UBLK_ABI_STOP_DEV = 0x07,
	UBLK_ABI_SET_PARAMS = 0x08,
	/** As GET_DEV_INFO, and wants the path of the character device (6.3). */
	UBLK_ABI_GET_DEV_INFO2 = 0x12,
	/** Which UBLK_ABI_F_* the driver knows (6.5). */
	UBLK_ABI_GET_FEATURES = 0x13,
	/** Deletes without waiting for those who hold the device open (6.9). */
	UBLK_ABI_DEL_DEV_ASYNC = 0x14,
};

/** What a control command carries in its submission entry. */
struct ublk_abi_ctrl_cmd {
	uint32_t dev_id;
	/** UINT16_MAX but for commands on one queue. */
	uint16_t queue_id;
	/** Length of what `addr` points to, the path included. */
	uint16_t len;
	uint64_t addr;
	uint64_t data;
	/** Length with its zero of the path that `addr` starts with; 0 for none. */
	uint16_t dev_path_len;
	uint16_t pad;
	uint32_t reserved;
};

static_assert(sizeof(struct ublk_abi_ctrl_cmd) == 32, "size of a control command");
static_assert(offsetof(struct ublk_abi_ctrl_cmd, addr) == 8, "place of addr");
static_assert(offsetof(struct ublk_abi_ctrl_cmd, dev_path_len) == 24, "place of dev_path_len");

/** A command's number as later kernels want it, like that of an ioctl which reads or exchanges. */
#define UBLK_ABI_ENCODE_READ(number)     _IOR('u', (number), struct ublk_abi_ctrl_cmd)
#define UBLK_ABI_ENCODE_EXCHANGE(number) _IOWR('u', (number), struct ublk_abi_ctrl_cmd)

/** Lets the kernel choose the number of a new device. */
#define UBLK_ABI_ANY_DEVICE UINT32_MAX
/** Device numbers are below this. */
#define UBLK_ABI_DEVICES (UINT32_C(1) << 20)
#define UBLK_ABI_QUEUES  4096
#define UBLK_ABI_DEPTH   4096

/** Feature flags: asked for in ADD_DEV, which echoes what the device has. */
#define UBLK_ABI_F_COMPLETE_IN_TASK  (UINT64_C(1) << 1)
#define UBLK_ABI_F_UNPRIVILEGED      (UINT64_C(1) << 5)
#define UBLK_ABI_F_IOCTL_ENCODE      (UINT64_C(1) << 6)
#define UBLK_ABI_F_NO_PARTITION_SCAN (UINT64_C(1) << 18)

enum ublk_abi_state {
	/** Not started yet, or stopped. */
	UBLK_ABI_STATE_DEAD = 0,
	UBLK_ABI_STATE_LIVE = 1,
	/** Of devices made for recovery: without a server, requests wait or fail. */
	UBLK_ABI_STATE_QUIESCED = 2,
	UBLK_ABI_STATE_FAIL_IO = 3,
};

/** Payload of ADD_DEV (both ways) and of GET_DEV_INFO. */
struct ublk_abi_dev_info {
	uint16_t nr_hw_queues;
	uint16_t queue_depth;
	uint16_t state;
	uint16_t io_desc_size;
	uint32_t max_io_buf_bytes;
	uint32_t dev_id;
	int32_t server_pid;
	uint32_t pad;
	uint64_t flags;
	/** The server's own; the kernel only keeps it. */
	uint64_t server_flags;
	uint32_t owner_uid;
	uint32_t owner_gid;
	uint64_t reserved[2];
};

static_assert(sizeof(struct ublk_abi_dev_info) == 64, "size of a device's description");
static_assert(offsetof(struct ublk_abi_dev_info, dev_id) == 12, "place of dev_id");
static_assert(offsetof(struct ublk_abi_dev_info, flags) == 24, "place of flags");
static_assert(offsetof(struct ublk_abi_dev_info, server_flags) == 32, "place of server_flags");

/** ublk_abi_params.types: which parts are meant. */
enum {
	UBLK_ABI_PARAM_BASIC = 1 << 0,
	UBLK_ABI_PARAM_DISCARD = 1 << 1,
};

/** ublk_abi_params.attrs */
enum {
	UBLK_ABI_ATTR_READ_ONLY = 1 << 0,
	UBLK_ABI_ATTR_ROTATIONAL = 1 << 1,
	UBLK_ABI_ATTR_VOLATILE_CACHE = 1 << 2,
	UBLK_ABI_ATTR_FUA = 1 << 3,
};

/** Payload of SET_PARAMS; the kernel's own has more parts behind these. */
struct ublk_abi_params {
	uint32_t len;
	uint32_t types;

	/* basic */
	uint32_t attrs;
	uint8_t logical_bs_shift;
	uint8_t physical_bs_shift;
	uint8_t io_opt_shift;
	uint8_t io_min_shift;
	uint32_t max_sectors;
	uint32_t chunk_sectors;
	uint64_t dev_sectors;
	uint64_t virt_boundary_mask;

	/* discard */
	uint32_t discard_alignment;
	uint32_t discard_granularity;
	uint32_t max_discard_sectors;
	uint32_t max_write_zeroes_sectors;
	uint16_t max_discard_segments;
	uint16_t discard_reserved;
	uint32_t tail_padding;
};

static_assert(offsetof(struct ublk_abi_params, dev_sectors) == 24, "place of dev_sectors");
static_assert(offsetof(struct ublk_abi_params, discard_alignment) == 40, "place of discard");
static_assert(offsetof(struct ublk_abi_params, max_discard_segments) == 56, "end of discard");
static_assert(sizeof(struct ublk_abi_params) == 64, "size of the parameters");

/** Unit of every sector count here, whatever the block size. */
#define UBLK_ABI_SECTOR_SHIFT 9

/* ---- I/O commands -------------------------------------------------------------------------- */

enum {
	/** Waits for the first request of a tag. */
	UBLK_ABI_IO_FETCH = 0x20,
	/** Returns a request's result and waits for the tag's next one. */
	UBLK_ABI_IO_COMMIT_AND_FETCH = 0x21,
};

#define UBLK_ABI_IO_ENCODE(number) _IOWR('u', (number), struct ublk_abi_io_cmd)

struct ublk_abi_io_cmd {
	uint16_t queue_id;
	uint16_t tag;
	/** Bytes done for a read or write, 0 for the rest, or a negative errno. */
	int32_t result;
	/** Where the payload of the tag's next request goes to or comes from. */
	uint64_t addr;
};

static_assert(sizeof(struct ublk_abi_io_cmd) == 16, "size of an I/O command");
static_assert(offsetof(struct ublk_abi_io_cmd, addr) == 8, "place of addr");

/** Result of an I/O command: a request has come. */
#define UBLK_ABI_IO_RESULT_REQUEST 0

enum {
	UBLK_ABI_OP_READ = 0,
	UBLK_ABI_OP_WRITE = 1,
	UBLK_ABI_OP_FLUSH = 2,
	UBLK_ABI_OP_DISCARD = 3,
	UBLK_ABI_OP_WRITE_ZEROES = 5,
};

#define UBLK_ABI_OP_MASK          UINT32_C(0xff)
#define UBLK_ABI_REQUEST_FUA      (UINT32_C(1) << 13)
#define UBLK_ABI_REQUEST_NO_UNMAP (UINT32_C(1) << 15)

/** One request, in the memory that the kernel shares read-only, at the index of its tag. */
struct ublk_abi_io_desc {
	/** Operation in the lowest byte, UBLK_ABI_REQUEST_* above. */
	uint32_t op_flags;
	uint32_t nr_sectors;
	uint64_t start_sector;
	uint64_t addr;
};

static_assert(sizeof(struct ublk_abi_io_desc) == 24, "size of a request");
static_assert(offsetof(struct ublk_abi_io_desc, start_sector) == 8, "place of start_sector");

#endif
