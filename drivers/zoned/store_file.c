/* SPDX-License-Identifier: MIT */
/*
 * The image in a regular file, by system calls in the loop of the device's queue. The file is
 * locked as long as it is open.
 */
#include "base/bits.h"
#include "store.h"

#include <bdus/driver.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_store {
	struct store store;
	int fd;
};

static struct file_store *file_of(struct store *store)
{
	return base_container_of(store, struct file_store, store);
}

static void sent(struct bdus_call *base);

/** Sends what is left of @call, in the loop that it remembers. */
static void send_rest(struct store_call *call)
{
	struct asys_message *const message = &call->call.message;
	const int fd = file_of(call->store)->fd;
	char *const memory = (char *)call->memory + call->progress;
	const int64_t offset = (int64_t)(call->offset + call->progress);
	const size_t length = call->length - call->progress;
	int result;

	if (call->kind == STORE_READ)
		asys_prep_read(message, fd, memory, length, offset);
	else if (call->kind == STORE_WRITE)
		asys_prep_write(message, fd, memory, length, offset);
	else
		asys_prep_fdatasync(message, fd);
	call->call.completed = sent;
	result = bdus_loop_send(call->loop, &call->call);
	/* A loop that ends takes no more calls. */
	if (result < 0)
		call->done(call, result);
}

static void sent(struct bdus_call *base)
{
	struct store_call *const call = base_container_of(base, struct store_call, call);
	const int64_t result = base->message.result;

	if (result == -EINTR) {
		send_rest(call);
		return;
	}
	if (result < 0 || (result == 0 && call->kind != STORE_SYNC)) {
		call->done(call, result < 0 ? (int)result : -EIO);
		return;
	}
	call->progress += (uint64_t)result;
	if (call->kind != STORE_SYNC && call->progress < call->length)
		send_rest(call);
	else
		call->done(call, 0);
}

static void file_send(struct store *store, struct bdus_loop *loop, struct store_call *call)
{
	call->store = store;
	call->loop = loop;
	call->progress = 0;
	send_rest(call);
}

static int transfer_now(int fd, enum store_kind kind, char *memory, uint64_t offset,
			uint64_t length)
{
	for (uint64_t done = 0; done < length;) {
		const ssize_t result =
			kind == STORE_READ
				? pread(fd, memory + done, length - done, (off_t)(offset + done))
				: pwrite(fd, memory + done, length - done, (off_t)(offset + done));

		if (result < 0 && errno == EINTR)
			continue;
		if (result <= 0)
			return result < 0 ? -errno : -ENODATA;
		done += (uint64_t)result;
	}
	return 0;
}

static int file_now(struct store *store, enum store_kind kind, void *memory, uint64_t offset,
		    uint64_t length)
{
	const int fd = file_of(store)->fd;

	if (kind == STORE_SYNC)
		return fdatasync(fd) < 0 ? -errno : 0;
	return transfer_now(fd, kind, memory, offset, length);
}

static int file_close(struct store *store)
{
	struct file_store *const file = file_of(store);
	const int result = close(file->fd) < 0 ? -errno : 0;

	free(file);
	return result;
}

static const struct store_ops file_ops = {
	.send = file_send,
	.now = file_now,
	.close = file_close,
};

/** Makes the file with its name durable, and removes it again where that fails. */
static int make_file(const char *path, uint64_t bytes, int *fd)
{
	char folder[4096];
	int errnum, folder_fd;

	*fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (*fd < 0)
		return bdus_config_error(errno, "zoned: path=%s cannot be created: %s", path,
					 strerror(errno));
	snprintf(folder, sizeof(folder), "%s", path);
	folder_fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ftruncate(*fd, (off_t)bytes) == 0 && fsync(*fd) == 0 && folder_fd >= 0 &&
	    fsync(folder_fd) == 0) {
		close(folder_fd);
		return 0;
	}
	errnum = errno;
	if (folder_fd >= 0)
		close(folder_fd);
	close(*fd);
	unlink(path);
	return bdus_config_error(errnum, "zoned: path=%s cannot be made %llu bytes long: %s", path,
				 (unsigned long long)bytes, strerror(errnum));
}

static int check_file(int fd, const char *path, struct stat *status)
{
	if (fstat(fd, status) < 0)
		return bdus_config_error(errno, "zoned: path=%s: %s", path, strerror(errno));
	if (!S_ISREG(status->st_mode))
		return bdus_config_error(EINVAL, "zoned: path=%s is not a regular file", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return bdus_config_error(EBUSY, "zoned: path=%s is in use by another process",
					 path);
	return 0;
}

int zstore_file_open(const char *path, uint64_t create_bytes, bool *created, struct store **store)
{
	struct file_store *file;
	struct stat status;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int result = 0;

	*created = fd < 0 && errno == ENOENT && create_bytes != 0;
	if (*created)
		result = make_file(path, create_bytes, &fd);
	else if (fd < 0)
		result = bdus_config_error(errno, "zoned: path=%s cannot be opened: %s", path,
					   strerror(errno));
	if (result < 0)
		return result;
	result = check_file(fd, path, &status);
	file = result == 0 ? calloc(1, sizeof(*file)) : NULL;
	if (file == NULL) {
		close(fd);
		return result < 0 ? result : bdus_config_error(ENOMEM, "zoned: out of memory");
	}
	*file = (struct file_store){
		.store = {.ops = &file_ops, .size_bytes = (uint64_t)status.st_size},
		.fd = fd,
	};
	*store = &file->store;
	return 0;
}
