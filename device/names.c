/* SPDX-License-Identifier: MIT */
/*
 * Names of numbers, for messages and for JSON.
 */
#include "base/bits.h"

#include <bdus/manage.h>

const char *bdus_op_name(unsigned op)
{
	static const char *const names[] = {
		[BDUS_OP_READ] = "read",
		[BDUS_OP_WRITE] = "write",
		[BDUS_OP_FLUSH] = "flush",
		[BDUS_OP_WRITE_ZEROS] = "write zeros",
		[BDUS_OP_DISCARD] = "discard",
		[BDUS_OP_SECURE_ERASE] = "secure erase",
		[BDUS_OP_EXTENTS] = "extents",
		[BDUS_OP_CACHE] = "cache",
		[BDUS_OP_ZONE_REPORT] = "zone report",
		[BDUS_OP_ZONE_OPEN] = "zone open",
		[BDUS_OP_ZONE_CLOSE] = "zone close",
		[BDUS_OP_ZONE_FINISH] = "zone finish",
		[BDUS_OP_ZONE_RESET] = "zone reset",
		[BDUS_OP_ZONE_RESET_ALL] = "zone reset all",
		[BDUS_OP_ZONE_APPEND] = "zone append",
		[BDUS_OP_IOCTL] = "ioctl",
	};

	return op < BASE_ARRAY_LENGTH(names) ? names[op] : "unknown";
}

const char *bdus_feature_name(enum bdus_feature feature)
{
	static const char *const names[] = {
		[BDUS_FEATURE_BLOCK_DEVICE] = "block-device",
		[BDUS_FEATURE_REMOTE] = "remote",
		[BDUS_FEATURE_READ_ONLY] = "read-only",
		[BDUS_FEATURE_FLUSH] = "flush",
		[BDUS_FEATURE_FUA] = "fua",
		[BDUS_FEATURE_DISCARD] = "discard",
		[BDUS_FEATURE_WRITE_ZEROS] = "write-zeros",
		[BDUS_FEATURE_SECURE_ERASE] = "secure-erase",
		[BDUS_FEATURE_EXTENTS] = "extents",
		[BDUS_FEATURE_CACHE] = "cache",
		[BDUS_FEATURE_IOCTL] = "ioctl",
		[BDUS_FEATURE_ZONES] = "zones",
		[BDUS_FEATURE_PARTITION_SCAN] = "partition-scan",
		[BDUS_FEATURE_NO_PARTITION_SCAN] = "no-partition-scan",
		[BDUS_FEATURE_MULTI_QUEUE] = "multi-queue",
		[BDUS_FEATURE_UNPRIVILEGED] = "unprivileged",
		[BDUS_FEATURE_RECOVERY] = "recovery",
		[BDUS_FEATURE_ZERO_COPY] = "zero-copy",
	};

	return (unsigned)feature < BASE_ARRAY_LENGTH(names) ? names[feature] : "unknown";
}

const char *bdus_state_name(enum bdus_device_state state)
{
	static const char *const names[] = {
		[BDUS_STATE_CREATING] = "creating",     [BDUS_STATE_AVAILABLE] = "available",
		[BDUS_STATE_DRAINING] = "draining",     [BDUS_STATE_ORPHANED] = "orphaned",
		[BDUS_STATE_RECOVERING] = "recovering",
	};

	return (unsigned)state < BASE_ARRAY_LENGTH(names) ? names[state] : "unknown";
}
