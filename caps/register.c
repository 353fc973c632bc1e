/* SPDX-License-Identifier: MIT */
/*
 * Puts a service's socket into the folder of its name. Registrations of one name come one after the
 * other, by a lock on the folder; a socket appears there only once somebody listens.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caps_internal.h"

#define BACKLOG  128
#define NEW_NAME ".new"

static mode_t access_mode(uint32_t access)
{
	mode_t mode = S_IRUSR | S_IWUSR;

	if (access & CAPS_ACCESS_GROUP)
		mode |= S_IRGRP | S_IWGRP;
	if (access & CAPS_ACCESS_WORLD)
		mode |= S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH;
	return mode;
}

static int open_name(const char *name, const struct caps_service_options *options)
{
	const uid_t user = options->system ? CAPS_SYSTEM : geteuid();
	const int parent = caps_namespace_open(user, options->directory, true);
	int error = 0;
	int fd;

	if (parent < 0)
		return parent;
	if (mkdirat(parent, name, 0755) != 0 && errno != EEXIST)
		error = base_error_errno(errno, "cannot register '%s'", name);
	fd = error == 0 ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
			: -1;
	if (error == 0 && (fd < 0 || flock(fd, LOCK_EX) != 0))
		error = base_error_errno(errno, "cannot register '%s'", name);
	close(parent);
	if (error == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return error;
}

/* Whether somebody listens; what nobody listens at any more goes. */
static bool is_alive(int folder, const struct caps_number *number)
{
	const int fd = caps_entry_connect(folder, number);
	char entry[CAPS_ENTRY_BYTES];

	if (fd >= 0)
		close(fd);
	if (fd != -ECONNREFUSED)
		return true;
	caps_entry_name(entry, number);
	unlinkat(folder, entry, 0);
	return false;
}

/* The number to take, at @next. */
static int check_others(int folder, const char *name, bool exclusive, uint64_t *next)
{
	struct caps_number *others = NULL;
	const int count = caps_entries(folder, &others);
	int error = count < 0 ? count : 0;

	*next = count > 0 ? others[0].number + 1 : 1;
	for (int i = 0; i < count && error == 0; i++)
		if (is_alive(folder, &others[i]) && (exclusive || others[i].exclusive))
			error = base_error(EADDRINUSE, "'%s' is registered%s", name,
					   others[i].exclusive ? ", exclusively" : " already");
	free(others);
	return error;
}

static int listen_at(int fd, int folder, const char *entry,
		     const struct caps_service_options *options)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (caps_entry_address(&address, folder, NEW_NAME) != 0)
		return -ENAMETOOLONG;
	if (unlinkat(folder, NEW_NAME, 0) != 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		return -errno;
	if ((options->access & CAPS_ACCESS_GROUP) != 0 &&
	    fchownat(folder, NEW_NAME, (uid_t)-1, options->group, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	if (fchmodat(folder, NEW_NAME, access_mode(options->access), 0) != 0 ||
	    listen(fd, BACKLOG) != 0 || renameat(folder, NEW_NAME, folder, entry) != 0)
		return -errno;
	return 0;
}

/* By name, so that a service that nobody uses has one descriptor less. */
static char *path_of(int folder, const struct caps_number *number)
{
	char entry[CAPS_ENTRY_BYTES];
	char link[64];
	char path[PATH_MAX];
	char *whole;
	ssize_t length;

	caps_entry_name(entry, number);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", folder);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return NULL;
	path[length] = '\0';
	return asprintf(&whole, "%s/%s", path, entry) < 0 ? NULL : whole;
}

static int register_in(int folder, int fd, const char *name,
		       const struct caps_service_options *options, char **path)
{
	struct caps_number number = {.exclusive = options->exclusive};
	char entry[CAPS_ENTRY_BYTES];
	int error = check_others(folder, name, options->exclusive, &number.number);

	if (error != 0)
		return error;
	*path = path_of(folder, &number);
	if (*path == NULL)
		return base_error(ENOMEM, "no memory to register '%s'", name);
	caps_entry_name(entry, &number);
	error = listen_at(fd, folder, entry, options);
	if (error == 0)
		return 0;
	free(*path);
	*path = NULL;
	return base_error_errno(-error, "cannot listen as '%s'", name);
}

int caps_register(int fd, const char *name, const struct caps_service_options *options, char **path)
{
	const int folder = open_name(name, options);
	int error;

	if (folder < 0)
		return folder;
	error = register_in(folder, fd, name, options, path);
	flock(folder, LOCK_UN);
	close(folder);
	return error;
}

void caps_unregister(char **path)
{
	if (*path != NULL)
		unlink(*path);
	free(*path);
	*path = NULL;
}
