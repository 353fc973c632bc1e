/* SPDX-License-Identifier: MIT */
/*
 * The messages of the Network Block Device protocol: numbers and layouts, as the protocol's
 * document (doc/proto.md of NetworkBlockDevice/nbd) defines them. Every integer on the wire is
 * big-endian and unaligned; the types below are arrays of bytes, so that no field can be read
 * without conversion.
 */
#ifndef ABI_NBD_H
#define ABI_NBD_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/** Big-endian integers as they lie in a message. */
typedef struct {
	uint8_t bytes[2];
} nbd_be16;
typedef struct {
	uint8_t bytes[4];
} nbd_be32;
typedef struct {
	uint8_t bytes[8];
} nbd_be64;

/** Registered TCP port. */
#define NBD_PORT 10809

/** Longest string that either side may send: names, descriptions, queries, error texts. */
#define NBD_STRING_BYTES 4096

/** Largest payload that a server without announced limits has to take. */
#define NBD_DEFAULT_PAYLOAD_BYTES (UINT32_C(1) << 25)

/* ---- handshake: greeting and options ------------------------------------------------------- */

/** "NBDMAGIC", the first word of the server's greeting. */
#define NBD_GREETING_MAGIC UINT64_C(0x4e42444d41474943)
/** "IHAVEOPT", the second word of the greeting and the first of each option. */
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054)
/** First word of the server's answer to an option. */
#define NBD_OPTION_REPLY_MAGIC UINT64_C(0x0003e889045565a9)

/** Handshake flags of the server's greeting, and the client's answer to them. */
enum {
	NBD_FLAG_FIXED_NEWSTYLE = 1 << 0,
	NBD_FLAG_NO_ZEROES = 1 << 1,
	NBD_FLAG_C_FIXED_NEWSTYLE = 1 << 0,
	NBD_FLAG_C_NO_ZEROES = 1 << 1,
};

/** Transmission flags: what an export can do. */
enum {
	NBD_FLAG_HAS_FLAGS = 1 << 0,
	NBD_FLAG_READ_ONLY = 1 << 1,
	NBD_FLAG_SEND_FLUSH = 1 << 2,
	NBD_FLAG_SEND_FUA = 1 << 3,
	NBD_FLAG_ROTATIONAL = 1 << 4,
	NBD_FLAG_SEND_TRIM = 1 << 5,
	NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
	NBD_FLAG_SEND_DF = 1 << 7,
	NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
	NBD_FLAG_SEND_RESIZE = 1 << 9,
	NBD_FLAG_SEND_CACHE = 1 << 10,
	NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
};

/** Options that a client can send. */
enum {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_PEEK_EXPORT = 4,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
	NBD_OPT_EXTENDED_HEADERS = 11,
};

/** Kinds of answers to an option; those with the highest bit set are errors. */
#define NBD_REP_ACK                 UINT32_C(1)
#define NBD_REP_SERVER              UINT32_C(2)
#define NBD_REP_INFO                UINT32_C(3)
#define NBD_REP_META_CONTEXT        UINT32_C(4)
#define NBD_REP_ERROR_BIT           (UINT32_C(1) << 31)
#define NBD_REP_ERR_UNSUP           (NBD_REP_ERROR_BIT | 1)
#define NBD_REP_ERR_POLICY          (NBD_REP_ERROR_BIT | 2)
#define NBD_REP_ERR_INVALID         (NBD_REP_ERROR_BIT | 3)
#define NBD_REP_ERR_PLATFORM        (NBD_REP_ERROR_BIT | 4)
#define NBD_REP_ERR_TLS_REQD        (NBD_REP_ERROR_BIT | 5)
#define NBD_REP_ERR_UNKNOWN         (NBD_REP_ERROR_BIT | 6)
#define NBD_REP_ERR_SHUTDOWN        (NBD_REP_ERROR_BIT | 7)
#define NBD_REP_ERR_BLOCK_SIZE_REQD (NBD_REP_ERROR_BIT | 8)
#define NBD_REP_ERR_TOO_BIG         (NBD_REP_ERROR_BIT | 9)

/** What a client can ask for in NBD_OPT_INFO and NBD_OPT_GO. */
enum {
	NBD_INFO_EXPORT = 0,
	NBD_INFO_NAME = 1,
	NBD_INFO_DESCRIPTION = 2,
	NBD_INFO_BLOCK_SIZE = 3,
};

/** The server's first message. */
struct nbd_greeting {
	nbd_be64 magic;
	nbd_be64 option_magic;
	nbd_be16 flags;
};
static_assert(sizeof(struct nbd_greeting) == 18, "layout of the greeting");

/** The client's answer to the greeting. */
struct nbd_client_flags {
	nbd_be32 flags;
};
static_assert(sizeof(struct nbd_client_flags) == 4, "layout of the client's flags");

/** Before the data of each option. */
struct nbd_option {
	nbd_be64 magic;
	nbd_be32 option;
	nbd_be32 length;
};
static_assert(sizeof(struct nbd_option) == 16, "layout of an option");

/** Before the data of each answer to an option. */
struct nbd_option_reply {
	nbd_be64 magic;
	nbd_be32 option;
	nbd_be32 type;
	nbd_be32 length;
};
static_assert(sizeof(struct nbd_option_reply) == 20, "layout of an option's reply");

/** The answer to NBD_OPT_EXPORT_NAME, which has no reply header. */
struct nbd_export_name_reply {
	nbd_be64 size;
	nbd_be16 flags;
	/** Not sent to a client that said NBD_FLAG_C_NO_ZEROES. */
	uint8_t zeroes[124];
};
static_assert(sizeof(struct nbd_export_name_reply) == 134, "layout of the old export reply");
static_assert(offsetof(struct nbd_export_name_reply, zeroes) == 10, "where its zeroes start");

/** Data of NBD_REP_INFO for NBD_INFO_EXPORT. */
struct nbd_info_export {
	nbd_be16 type;
	nbd_be64 size;
	nbd_be16 flags;
};
static_assert(sizeof(struct nbd_info_export) == 12, "layout of the export's information");

/** Data of NBD_REP_INFO for NBD_INFO_BLOCK_SIZE. */
struct nbd_info_block_size {
	nbd_be16 type;
	nbd_be32 minimum;
	nbd_be32 preferred;
	nbd_be32 maximum_payload;
};
static_assert(sizeof(struct nbd_info_block_size) == 14, "layout of the block sizes");

/* ---- transmission: requests ---------------------------------------------------------------- */

#define NBD_REQUEST_MAGIC UINT32_C(0x25609513)

enum {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_CACHE = 5,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
};

enum {
	NBD_CMD_FLAG_FUA = 1 << 0,
	NBD_CMD_FLAG_NO_HOLE = 1 << 1,
	NBD_CMD_FLAG_DF = 1 << 2,
	NBD_CMD_FLAG_REQ_ONE = 1 << 3,
	NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
};

struct nbd_request_header {
	nbd_be32 magic;
	nbd_be16 flags;
	nbd_be16 type;
	/** Comes back in the reply, unchanged. */
	uint8_t cookie[8];
	nbd_be64 offset;
	nbd_be32 length;
};
static_assert(sizeof(struct nbd_request_header) == 28, "layout of a request");
static_assert(offsetof(struct nbd_request_header, cookie) == 8, "where a request's cookie lies");
static_assert(offsetof(struct nbd_request_header, length) == 24, "where a request's length lies");

/* ---- transmission: replies ----------------------------------------------------------------- */

#define NBD_SIMPLE_REPLY_MAGIC     UINT32_C(0x67446698)
#define NBD_STRUCTURED_REPLY_MAGIC UINT32_C(0x668e33ef)

/** Error numbers; no others go over the wire. */
enum {
	NBD_SUCCESS = 0,
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_EOVERFLOW = 75,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

/** Flags and types of a chunk of a structured reply; types with the highest bit set are errors. */
enum {
	NBD_REPLY_FLAG_DONE = 1 << 0,

	NBD_REPLY_TYPE_NONE = 0,
	NBD_REPLY_TYPE_OFFSET_DATA = 1,
	NBD_REPLY_TYPE_OFFSET_HOLE = 2,
	NBD_REPLY_TYPE_BLOCK_STATUS = 5,
	NBD_REPLY_TYPE_ERROR = (1 << 15) | 1,
	NBD_REPLY_TYPE_ERROR_OFFSET = (1 << 15) | 2,
};

/** Flags of an extent in the context "base:allocation". */
enum {
	NBD_STATE_HOLE = 1 << 0,
	NBD_STATE_ZERO = 1 << 1,
};

struct nbd_simple_reply {
	nbd_be32 magic;
	nbd_be32 error;
	uint8_t cookie[8];
};
static_assert(sizeof(struct nbd_simple_reply) == 16, "layout of a simple reply");

struct nbd_chunk {
	nbd_be32 magic;
	nbd_be16 flags;
	nbd_be16 type;
	uint8_t cookie[8];
	/** Of what follows this header. */
	nbd_be32 length;
};
static_assert(sizeof(struct nbd_chunk) == 20, "layout of a chunk");

/** NBD_REPLY_TYPE_OFFSET_DATA, before the data. */
struct nbd_chunk_data {
	struct nbd_chunk chunk;
	nbd_be64 offset;
};
static_assert(sizeof(struct nbd_chunk_data) == 28, "layout of a data chunk");

/** NBD_REPLY_TYPE_OFFSET_HOLE. */
struct nbd_chunk_hole {
	struct nbd_chunk chunk;
	nbd_be64 offset;
	nbd_be32 size;
};
static_assert(sizeof(struct nbd_chunk_hole) == 32, "layout of a hole chunk");

/** NBD_REPLY_TYPE_ERROR, before the text. */
struct nbd_chunk_error {
	struct nbd_chunk chunk;
	nbd_be32 error;
	nbd_be16 text_length;
};
static_assert(sizeof(struct nbd_chunk_error) == 26, "layout of an error chunk");

/** NBD_REPLY_TYPE_BLOCK_STATUS, before the extents. */
struct nbd_chunk_status {
	struct nbd_chunk chunk;
	nbd_be32 context;
};
static_assert(sizeof(struct nbd_chunk_status) == 24, "layout of a block status chunk");

struct nbd_extent {
	nbd_be32 length;
	nbd_be32 flags;
};
static_assert(sizeof(struct nbd_extent) == 8, "layout of an extent");

#endif
