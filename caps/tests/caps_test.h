/* SPDX-License-Identifier: MIT */
/*
 * What caps' tests share: a namespace of their own, a service with one client in one process, and
 * counting of descriptors.
 */
#ifndef CAPS_TEST_H
#define CAPS_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "caps.h"

/** Says what caps said where a call failed that should not. */
#define assert_good(call)                                                          \
	do {                                                                       \
		const int result_ = (call);                                        \
		if (result_ != 0)                                                  \
			print_error("%s: %d: %s\n", #call, result_, caps_error()); \
		assert_int_equal(result_, 0);                                      \
	} while (0)

/** A service without a name and a client of it. */
struct pair {
	struct caps_port *service, *client;
};

void pair_init(struct pair *pair, struct caps_service_options *service,
	       const struct caps_client_options *client);
void pair_finish(struct pair *pair);

/** A new folder to be a namespace; and its end, with all that is in it. */
const char *namespace_make(void);
void namespace_remove(void);

/** Open descriptors of this process. */
unsigned open_descriptors(void);

/** A request with text. */
struct caps_request text_request(uint32_t operation, const char *text);
/** Gets a request that must be there. */
void get_request(struct caps_port *service, struct caps_message *message);

#endif
