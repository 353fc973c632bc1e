/* SPDX-License-Identifier: MIT */
/*
 * A disk kept in a regular file: `image FILE`, where the file's size is a multiple of 512.
 *
 * The callbacks block in pread(2) and pwrite(2), so several of them may be in progress at once. The
 * page cache below makes this a device with a volatile cache: `flush` is what makes data durable,
 * and BDUS follows a write with force unit access by a flush, as there is no `fua_write`.
 */
#define _GNU_SOURCE 1
#include <bdus.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int fd_of(const struct bdus_ctx *ctx)
{
	return *(const int *)ctx->private_data;
}

static int image_read(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	while (size > 0) {
		ssize_t got = pread(fd_of(ctx), buffer, size, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		if (got == 0)
			return EIO; /* somebody made the file shorter */
		buffer += got;
		offset += (uint64_t)got;
		size -= (uint32_t)got;
	}
	return 0;
}

static int image_write(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	while (size > 0) {
		ssize_t put = pwrite(fd_of(ctx), buffer, size, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		buffer += put;
		offset += (uint64_t)put;
		size -= (uint32_t)put;
	}
	return 0;
}

static int image_flush(struct bdus_ctx *ctx)
{
	return fdatasync(fd_of(ctx)) ? errno : 0;
}

static int image_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return fallocate(fd_of(ctx), mode, (off_t)offset, (off_t)size) ? errno : 0;
}

static const struct bdus_ops image_ops = {
	.read = image_read,
	.write = image_write,
	.flush = image_flush,
	.discard = image_discard,
};

static int run(int fd, const char *path)
{
	struct bdus_attrs attrs = {.logical_block_size = 512, .max_concurrent_callbacks = 16};
	struct stat stat;

	if (fstat(fd, &stat)) {
		perror(path);
		return 1;
	}
	attrs.size = S_ISREG(stat.st_mode) ? (uint64_t)stat.st_size : 0;
	if (!bdus_run(&image_ops, &attrs, &fd)) {
		fprintf(stderr, "image: %s: %s\n", path, bdus_get_error_message());
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int fd;
	int status;

	if (argc != 2) {
		fprintf(stderr, "usage: image FILE\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	status = run(fd, argv[1]);
	close(fd);
	return status;
}
