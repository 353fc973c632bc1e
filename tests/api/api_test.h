/* SPDX-License-Identifier: MIT */
/*
 * What tests of the BDUS 0.1 API share: a driver run in a child process over NBD, and a libnbd
 * client in the test itself.
 *
 * Callbacks run in the child. What they note for the test must lie in memory from
 * api_shared_alloc(), and what they find wrong they report by api_check().
 */
#ifndef API_TEST_H
#define API_TEST_H

#include <bdus.h>

#include <libnbd.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

#include <cmocka.h>

/** How a call of bdus_run() in the child ended. */
struct api_outcome {
	bool returned;
	bool result;
	int errnum;
	char message[1024];
	/** The thread that called bdus_run(). */
	pid_t caller_tid;
};

struct api_run {
	pid_t pid;
	struct api_outcome *outcome;
};

/** Zeroed memory shared with children made later; never freed. */
void *api_shared_alloc(size_t size);

/** Notes a failure, to be raised by api_stop() or api_wait(); for callbacks. */
void api_check_at(bool holds, const char *what, const char *file, int line);
#define api_check(condition) api_check_at((condition), #condition, __FILE__, __LINE__)

/**
 * A test with a directory of its own for the socket and for records, to which BDUS_TRANSPORT and
 * BDUS_RUNTIME_DIR are set. A driver that a failed test left running is killed after it.
 */
#define api_unit_test(function) cmocka_unit_test_setup_teardown(function, api_setup, api_teardown)
int api_setup(void **state);
int api_teardown(void **state);

/** The same for block devices, over ublk unless BDUS_TRANSPORT has another way in, with the records
 * where the system has them. */
#define api_block_test(function) \
	cmocka_unit_test_setup_teardown(function, api_setup_block, api_teardown_block)
int api_setup_block(void **state);
int api_teardown_block(void **state);

/** The NBD socket of this test. */
const char *api_socket(void);

/** Runs bdus_run() in a child; @attrs gets `dont_daemonize`. */
void api_start(struct api_run *run, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
	       void *private_data);

/** The same by bdus_rerun() for the device @id. */
void api_start_again(struct api_run *run, uint64_t id, const struct bdus_ops *ops,
		     const struct bdus_attrs *attrs, void *private_data);

/** Runs bdus_run() in a child and waits for its end. */
const struct api_outcome *api_run_to_end(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
					 void *private_data);

/** A client of the running device, once that is there. Fails the test after ten seconds. */
struct nbd_handle *api_connect(struct api_run *run);

/** Tells the child to end, and waits. */
const struct api_outcome *api_stop(struct api_run *run);

/** Waits at most ten seconds for the child to end by itself. */
const struct api_outcome *api_wait(struct api_run *run);

/** Asserts that an NBD call failed with @errnum. */
void api_assert_nbd_fails(int result, int errnum);

/** Asserts that an NBD call succeeded; else shows the client's error. */
void api_assert_nbd(int result);

/** Milliseconds of CLOCK_MONOTONIC, and a sleep. */
uint64_t api_now_ms(void);
void api_sleep_ms(unsigned ms);

/** Callbacks that do nothing, and always work. */
int api_read_nothing(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx);
int api_write_nothing(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx);

#endif
