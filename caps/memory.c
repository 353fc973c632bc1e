/* SPDX-License-Identifier: MIT */
/*
 * Payloads and numbers in memory that two processes share. A receiver maps nothing that its sender
 * can still change or shrink.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caps_internal.h"

#define FIXED_SIZE    (F_SEAL_SHRINK | F_SEAL_GROW)
#define PAYLOAD_SEALS (FIXED_SIZE | F_SEAL_WRITE)

static int make(uint64_t length)
{
	const int fd = memfd_create("caps", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return base_error_errno(errno, "cannot make memory");
	if (ftruncate(fd, (off_t)length) != 0) {
		const int error = errno;

		close(fd);
		return base_error_errno(error, "cannot make memory of %llu bytes",
					(unsigned long long)length);
	}
	return fd;
}

/* Written rather than mapped: the kernel then fills pages without clearing them first. */
static int fill(int fd, const char *data, uint64_t length)
{
	uint64_t done = 0;

	while (done < length) {
		const ssize_t put = pwrite(fd, data + done, (size_t)(length - done), (off_t)done);

		if (put > 0)
			done += (uint64_t)put;
		else if (put == 0 || errno != EINTR)
			return base_error_errno(put == 0 ? ENOSPC : errno, "cannot fill memory");
	}
	return 0;
}

int caps_memory_copy(const void *data, uint64_t length)
{
	const int fd = make(length);
	int error;

	if (fd < 0)
		return fd;
	error = fill(fd, data, length);
	if (error == 0 && fcntl(fd, F_ADD_SEALS, PAYLOAD_SEALS) != 0)
		error = base_error_errno(errno, "cannot seal memory");
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int caps_memory_create(struct caps_memory *memory, uint64_t length)
{
	void *data;
	int fd;

	if (length == 0 || length > CAPS_MAX_BYTES)
		return base_error(EINVAL, "memory of %llu bytes; 1 to %llu",
				  (unsigned long long)length, (unsigned long long)CAPS_MAX_BYTES);
	fd = make(length);
	if (fd < 0)
		return fd;
	data = mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED) {
		const int error = errno;

		close(fd);
		return base_error_errno(error, "cannot map memory");
	}
	*memory = (struct caps_memory){.data = data, .length = length, .fd = fd};
	return 0;
}

/* The writable mapping has to go before the kernel seals; another one takes its place. */
int caps_memory_seal(struct caps_memory *memory)
{
	void *data;

	if (memory->sealed)
		return 0;
	data = mmap(memory->data, (size_t)memory->length, PROT_READ, MAP_PRIVATE | MAP_FIXED,
		    memory->fd, 0);
	if (data == MAP_FAILED || fcntl(memory->fd, F_ADD_SEALS, PAYLOAD_SEALS) != 0)
		return base_error_errno(errno, "cannot seal memory");
	memory->sealed = true;
	return 0;
}

void caps_memory_finish(struct caps_memory *memory)
{
	if (memory->data != NULL)
		munmap(memory->data, (size_t)memory->length);
	if (memory->fd >= 0)
		close(memory->fd);
	*memory = (struct caps_memory){.fd = -1};
}

static bool is_sealed(int fd, int seals, uint64_t length)
{
	const int has = fcntl(fd, F_GET_SEALS);
	struct stat status;

	return has >= 0 && (has & seals) == seals && fstat(fd, &status) == 0 &&
	       (uint64_t)status.st_size >= length;
}

/* ---- mappings of what was received ---- */

/* Longer ones are not kept for another time: they would hold much memory of the sender's. */
#define MOST_KEPT_BYTES (16U << 20)

void caps_mapping_release(struct caps_mapping *mapping)
{
	if (mapping == NULL || atomic_fetch_sub(&mapping->holders, 1) != 1)
		return;
	munmap(mapping->data, (size_t)mapping->length);
	free(mapping);
}

void caps_recent_finish(struct caps_recent *recent)
{
	for (unsigned i = 0; i < CAPS_RECENT; i++)
		caps_mapping_release(recent->mappings[i]);
	*recent = (struct caps_recent){.next = 0};
}

/* The same memory: a mapping keeps its inode from being used again, and seals do not come off. */
static struct caps_mapping *find_recent(const struct caps_recent *recent, const struct stat *status,
					uint64_t length)
{
	for (unsigned i = 0; i < CAPS_RECENT; i++) {
		struct caps_mapping *mapping = recent->mappings[i];

		if (mapping == NULL || mapping->inode != status->st_ino ||
		    mapping->device != status->st_dev || mapping->length != length)
			continue;
		atomic_fetch_add(&mapping->holders, 1);
		return mapping;
	}
	return NULL;
}

static void remember(struct caps_recent *recent, struct caps_mapping *mapping)
{
	if (mapping->length > MOST_KEPT_BYTES)
		return;
	caps_mapping_release(recent->mappings[recent->next]);
	atomic_fetch_add(&mapping->holders, 1);
	recent->mappings[recent->next] = mapping;
	recent->next = (recent->next + 1) % CAPS_RECENT;
}

int caps_memory_map(struct caps_recent *recent, int fd, uint64_t length,
		    struct caps_mapping **mapping)
{
	struct caps_mapping *made;
	struct stat status;

	if (fstat(fd, &status) != 0)
		return base_error_errno(errno, "cannot look at a payload");
	*mapping = find_recent(recent, &status, length);
	if (*mapping != NULL)
		return 0;
	if (!is_sealed(fd, PAYLOAD_SEALS, length))
		return base_error(EBADMSG,
				  "a payload of %llu bytes is no sealed memory of that size",
				  (unsigned long long)length);
	made = malloc(sizeof(*made));
	if (made == NULL)
		return base_error(ENOMEM, "no memory for a payload");
	*made = (struct caps_mapping){
		.holders = 1, .device = status.st_dev, .inode = status.st_ino, .length = length};
	made->data = mmap(NULL, (size_t)length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (made->data == MAP_FAILED) {
		free(made);
		return base_error_errno(ENOMEM, "cannot map a payload of %llu bytes",
					(unsigned long long)length);
	}
	remember(recent, made);
	*mapping = made;
	return 0;
}

/* ---- generations ---- */

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Sealed against every later writer; the mapping that is there goes on writing. */
int caps_generation_create(_Atomic uint64_t **mapping, int *fd)
{
	const int made = make(page_bytes());
	void *data;

	if (made < 0)
		return made;
	data = mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, made, 0);
	if (data == MAP_FAILED || fcntl(made, F_ADD_SEALS, FIXED_SIZE | F_SEAL_FUTURE_WRITE) != 0) {
		const int error = errno;

		if (data != MAP_FAILED)
			munmap(data, page_bytes());
		close(made);
		return base_error_errno(error, "cannot make memory for the generation");
	}
	*mapping = data;
	*fd = made;
	return 0;
}

int caps_generation_map(int fd, _Atomic uint64_t **mapping)
{
	void *data;

	if (!is_sealed(fd, FIXED_SIZE, page_bytes()))
		return base_error(EPROTO, "the service's generation is no sealed memory");
	data = mmap(NULL, page_bytes(), PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return base_error_errno(ENOMEM, "cannot map the service's generation");
	*mapping = data;
	return 0;
}

void caps_generation_unmap(_Atomic uint64_t *mapping)
{
	if (mapping != NULL)
		munmap((void *)mapping, page_bytes());
}
