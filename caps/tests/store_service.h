/* SPDX-License-Identifier: MIT */
/*
 * The service of store.wire, for tests.
 */
#ifndef STORE_SERVICE_H
#define STORE_SERVICE_H

#include "store_caps.h"

struct store {
	char name[128];
	size_t length;
	unsigned char content[256];
	size_t size;
	uint64_t version;
};

struct store_service store_handlers(struct store *store);

#endif
