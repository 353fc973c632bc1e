/* SPDX-License-Identifier: MIT */
/*
 * For the tests of the file driver: stands between the driver and the system calls that make data
 * durable, counts them, and makes them fail on demand. The test program is linked with --wrap for
 * each of these calls.
 */
#ifndef FILE_FAULT_H
#define FILE_FAULT_H

struct fault {
	/** Calls seen. */
	unsigned syncs;
	unsigned durable_writes;
	unsigned folder_syncs;
	/** Transfers around the page cache, and through it. */
	unsigned direct_transfers;
	unsigned cached_transfers;
	/** The errno that all coming calls fail with; 0 for none. */
	int sync_error;
	int durable_write_error;
	int allocate_error;
	/** Reads and writes move at most this many bytes, and are interrupted every other time. */
	unsigned most_bytes;
	/** What statx() says that direct transfers must be aligned to, 0 for what is true. */
	unsigned direct_alignment;
};

extern struct fault fault;

#endif
