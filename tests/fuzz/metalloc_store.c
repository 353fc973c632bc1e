/* SPDX-License-Identifier: MIT */
/*
 * What metalloc reads: an executable, of which it wants the build id; a file of its database, whose
 * records it merges; and a seed. The input is each of them in turn.
 */
#include "store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/** A file with the input in it, by a path. */
static int make_file(const uint8_t *data, size_t size_bytes, char path[static 64])
{
	const int fd = memfd_create("input", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size_bytes) != (ssize_t)size_bytes)
		abort();
	fchmod(fd, 0600);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static void merge(const uint8_t *data, size_t size_bytes)
{
	static struct store store;
	const size_t head = sizeof(store.pages[0].head.key);

	memset((void *)&store, 0, sizeof(store));
	memcpy(store.pages[1].bytes, data, size_bytes < STORE_PAGE ? size_bytes : STORE_PAGE);
	if (size_bytes > head)
		memcpy(store.pages[2].bytes, data + head,
		       size_bytes - head < STORE_PAGE ? size_bytes - head : STORE_PAGE);
	store.pages[0].head.runs = size_bytes == 0 ? 0 : data[0];
	store.pages[0].head.writers[0] = (uint32_t)getpid();
	store_merge(&store, 0);
	assert(choice_is_valid(&store.pages[0].head.choice));
	assert(store.pages[0].head.writers[0] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct identity identity;
	struct store_head head;
	struct choice choice;
	char path[64];
	const int fd = make_file(data, size_bytes, path);

	identify_file(&identity, path, NULL);
	if (store_read_choice(path, &choice) == 0)
		assert(choice_is_valid(&choice));
	memset(&head, 0, sizeof(head));
	memcpy(&head, data, size_bytes < sizeof(head) ? size_bytes : sizeof(head));
	if (store_head_is_valid(&head, NULL))
		assert(choice_is_valid(&head.choice) && head.name[STORE_NAME - 1] == '\0');
	merge(data, size_bytes);
	close(fd);
	return 0;
}
