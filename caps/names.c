/* SPDX-License-Identifier: MIT */
/*
 * Namespaces are folders, names are folders in them, and services are sockets in these:
 *
 *	/run/user/1000/caps/org.example.greeter/3.s
 *
 * The number counts up; the highest one that is alive is the service. A namespace belongs to its
 * user, and only that user can write it: that is what makes a name worth something.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caps_internal.h"

int caps_check_name(const char *name)
{
	const size_t length = strnlen(name, CAPS_NAME_BYTES);

	if (length == 0 || length >= CAPS_NAME_BYTES)
		return base_error(EINVAL, "a name of %zu bytes; 1 to %d", length,
				  CAPS_NAME_BYTES - 1);
	for (const char *c = name; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && (*c != '.' || c == name))
			return base_error(
				EINVAL,
				"the name '%s'; allowed are 0-9, A-Z, a-z, '_' and, not at "
				"the start, '.'",
				name);
	return 0;
}

/* ---- namespaces ---- */

int caps_namespace_path(uid_t user, const char *directory, char *path, size_t size)
{
	const char *runtime = user == geteuid() ? secure_getenv("XDG_RUNTIME_DIR") : NULL;
	int length;

	if (directory != NULL)
		length = snprintf(path, size, "%s", directory);
	else if (user == CAPS_SYSTEM)
		length = snprintf(path, size, "/run/caps");
	else if (runtime != NULL && runtime[0] == '/')
		length = snprintf(path, size, "%s/caps", runtime);
	else
		length = snprintf(path, size, "/run/user/%u/caps", (unsigned)user);
	return length < (int)size ? 0
				  : base_error(ENAMETOOLONG, "a namespace of %d bytes; at most %zu",
					       length, size - 1);
}

static int check_owner(int fd, uid_t user, const char *path)
{
	const uid_t owner = user == CAPS_SYSTEM ? 0 : user;
	struct stat status;

	if (fstat(fd, &status) != 0)
		return base_error_errno(errno, "%s", path);
	if (status.st_uid != owner && status.st_uid != 0)
		return base_error(EPERM, "%s belongs to user %u; to be trusted, it has to be of %u",
				  path, (unsigned)status.st_uid, (unsigned)owner);
	if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return base_error(EPERM, "%s can be written by others (mode %03o)", path,
				  (unsigned)status.st_mode & 0777U);
	return 0;
}

int caps_namespace_open(uid_t user, const char *directory, bool create)
{
	char path[512];
	int error = caps_namespace_path(user, directory, path, sizeof(path));
	int fd;

	if (error != 0)
		return error;
	if (create && mkdir(path, 0755) != 0 && errno != EEXIST)
		return base_error_errno(errno, "cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return base_error_errno(errno, "%s", path);
	error = check_owner(fd, user, path);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

/* ---- entries ---- */

void caps_entry_name(char name[CAPS_ENTRY_BYTES], const struct caps_number *number)
{
	snprintf(name, CAPS_ENTRY_BYTES, "%llu.%c", (unsigned long long)number->number,
		 number->exclusive ? 'x' : 's');
}

static bool parse_entry(const char *name, struct caps_number *number)
{
	char again[CAPS_ENTRY_BYTES];
	char *end;

	errno = 0;
	number->number = strtoull(name, &end, 10);
	if (errno != 0 || end == name || end[0] != '.')
		return false;
	number->exclusive = end[1] == 'x';
	caps_entry_name(again, number);
	return strcmp(again, name) == 0;
}

static int newest_first(const void *left, const void *right)
{
	const struct caps_number *a = left;
	const struct caps_number *b = right;

	return a->number < b->number ? 1 : a->number > b->number ? -1 : 0;
}

static int read_entries(DIR *folder, struct caps_number **numbers)
{
	struct dirent *found;
	int count = 0;

	while ((found = readdir(folder)) != NULL) {
		struct caps_number number;
		struct caps_number *more;

		if (!parse_entry(found->d_name, &number))
			continue;
		more = realloc(*numbers, (size_t)(count + 1) * sizeof(*more));
		if (more == NULL)
			return base_error(ENOMEM, "no memory for the services of a name");
		more[count++] = number;
		*numbers = more;
	}
	return count;
}

int caps_entries(int folder, struct caps_number **numbers)
{
	const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct caps_number *list = NULL;
	int count;

	if (stream == NULL) {
		const int error = errno;

		if (copy >= 0)
			close(copy);
		return base_error_errno(error, "cannot read the folder of a name");
	}
	count = read_entries(stream, &list);
	closedir(stream);
	if (count > 1)
		qsort(list, (size_t)count, sizeof(*list), newest_first);
	if (count < 0) {
		free(list);
		return count;
	}
	*numbers = list;
	return count;
}

int caps_entry_address(struct sockaddr_un *address, int folder, const char *entry)
{
	const int length = snprintf(address->sun_path, sizeof(address->sun_path),
				    "/proc/self/fd/%d/%s", folder, entry);

	return length < (int)sizeof(address->sun_path) ? 0 : -ENAMETOOLONG;
}

/* How long a service with a full queue of connections may take. */
static const struct timeval patience = {.tv_sec = 2};

int caps_entry_connect(int folder, const struct caps_number *number)
{
	char entry[CAPS_ENTRY_BYTES];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int error;
	int fd;

	caps_entry_name(entry, number);
	error = caps_entry_address(&address, folder, entry);
	if (error != 0)
		return error;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	error = caps_want_credentials(fd);
	if (error == 0 &&
	    (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0 ||
	     connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0))
		error = errno == ENOENT ? -ECONNREFUSED : -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}
