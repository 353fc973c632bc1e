/* SPDX-License-Identifier: MIT */
/*
 * Finds services: namespace after namespace, the newest of a name first; waits for one to appear;
 * lists them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "caps_internal.h"

/* Changes that inotify does not tell of, as those above the watched folder, are seen after this. */
#define LOOK_AGAIN_MS 200

/** Where to look, with the defaults filled in. */
struct search {
	uid_t users[2];
	const uid_t *user;
	unsigned count;
	const char *directory;
};

static void start_search(struct search *search, const struct caps_client_options *options)
{
	search->users[0] = geteuid();
	search->users[1] = CAPS_SYSTEM;
	search->user = search->users;
	search->count = 2;
	search->directory = NULL;
	if (options == NULL)
		return;
	search->directory = options->directory;
	if (options->users != NULL) {
		search->user = options->users;
		search->count = options->user_count;
	}
	if (options->directory != NULL)
		search->count = (unsigned)base_min(search->count, 1);
}

/* ---- one name ---- */

/* Who may serve there: the namespace's user, root, and with a folder of one's own, whose it is. */
static int check_server(int fd, const char *name, uid_t user, const struct search *search)
{
	struct ucred who;
	socklen_t size = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
		return base_error_errno(errno, "cannot ask who serves '%s'", name);
	if (who.uid == 0 || (user != CAPS_SYSTEM && who.uid == user))
		return 0;
	return base_error(EPERM, "'%s'%s%s is squatted: process %d of user %u serves it", name,
			  search->directory ? " in " : "",
			  search->directory ? search->directory : "", (int)who.pid,
			  (unsigned)who.uid);
}

static int connect_newest(int folder, const char *name)
{
	struct caps_number *numbers = NULL;
	const int count = caps_entries(folder, &numbers);
	int fd = count < 0 ? count : -ECONNREFUSED;

	for (int i = 0; i < count && fd == -ECONNREFUSED; i++)
		fd = caps_entry_connect(folder, &numbers[i]);
	free(numbers);
	if (fd == -ECONNREFUSED)
		return -ENOENT;
	return fd < 0 ? base_error_errno(-fd, "cannot connect to '%s'", name) : fd;
}

/* A descriptor; -ENOENT only where nobody has the name. */
static int try_namespace(const char *name, uid_t user, const struct search *search)
{
	const int parent = caps_namespace_open(user, search->directory, false);
	int folder;
	int fd;
	int error;

	if (parent < 0)
		return parent;
	folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	error = -errno;
	close(parent);
	if (folder < 0)
		return error == -ENOENT ? error : base_error_errno(-error, "'%s'", name);
	fd = connect_newest(folder, name);
	close(folder);
	if (fd < 0)
		return fd;
	error = check_server(fd, name, user, search);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static int try_all(const char *name, const struct search *search)
{
	int fd = -ENOENT;

	for (unsigned i = 0; i < search->count && fd == -ENOENT; i++)
		fd = try_namespace(name, search->user[i], search);
	return fd;
}

/* ---- waiting ---- */

/* The deepest folder on the way to the name that is there. */
static void watch(int notifier, const char *name, uid_t user, const struct search *search)
{
	char path[512 + CAPS_NAME_BYTES];
	char *slash;

	if (caps_namespace_path(user, search->directory, path, 512) != 0)
		return;
	strcat(path, "/");
	strcat(path, name);
	while (inotify_add_watch(notifier, path, IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF) < 0) {
		slash = strrchr(path, '/');
		if (slash == NULL || slash == path)
			return;
		*slash = '\0';
	}
}

/* Watches before it looks, so that nothing happens unseen between the two. */
static int try_watched(const char *name, const struct search *search, uint64_t deadline)
{
	struct pollfd look = {.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .events = POLLIN};
	const uint64_t soon = base_deadline_ns(LOOK_AGAIN_MS);
	int fd;

	for (unsigned i = 0; i < search->count && look.fd >= 0; i++)
		watch(look.fd, name, search->user[i], search);
	fd = try_all(name, search);
	if (fd == -ENOENT)
		poll(&look, 1, base_remaining_ms(base_min(deadline, soon)));
	if (look.fd >= 0)
		close(look.fd);
	return fd;
}

int caps_lookup(const char *name, const struct caps_client_options *options, int *fd)
{
	const uint64_t deadline = caps_deadline(options != NULL ? options->timeout_ms : 0);
	struct search search;
	int found = caps_check_name(name);

	if (found != 0)
		return found;
	start_search(&search, options);
	found = try_all(name, &search);
	while (found == -ENOENT && base_now_ns() < deadline)
		found = try_watched(name, &search, deadline);
	if (found == -ENOENT)
		return base_error(ENOENT, "no service '%s' is registered%s%s", name,
				  search.directory ? " in " : "",
				  search.directory ? search.directory : "");
	if (found < 0)
		return found;
	*fd = found;
	return 0;
}

/* ---- listing ---- */

struct listing {
	int (*found)(void *context, const struct caps_entry *entry);
	void *context;
	struct caps_entry entry;
};

/* Who listens, if this user may ask; nothing for what is dead. */
static int list_entry(struct listing *listing, int folder, const struct caps_number *number)
{
	const int fd = caps_entry_connect(folder, number);
	struct caps_entry *entry = &listing->entry;
	struct ucred who = {0};
	socklen_t size = sizeof(who);
	int result;

	if (fd == -ECONNREFUSED)
		return 0;
	if (fd >= 0) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size);
		close(fd);
	}
	entry->pid = who.pid;
	entry->uid = who.uid;
	entry->exclusive = number->exclusive;
	result = listing->found(listing->context, entry);
	entry->shadowed = true;
	return result;
}

static int list_name(struct listing *listing, int parent, const char *name)
{
	const int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct caps_number *numbers = NULL;
	int result = 0;
	int count;

	if (folder < 0)
		return 0;
	count = caps_entries(folder, &numbers);
	memcpy(listing->entry.name, name, strlen(name) + 1);
	listing->entry.shadowed = false;
	for (int i = 0; i < count && result == 0; i++)
		result = list_entry(listing, folder, &numbers[i]);
	free(numbers);
	close(folder);
	return count < 0 ? count : result;
}

static int list_namespace(struct listing *listing, int parent)
{
	struct dirent **names;
	char path[64];
	int result = 0;
	int count;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", parent);
	count = scandir(path, &names, NULL, alphasort);
	if (count < 0)
		return base_error_errno(errno, "cannot read a namespace");
	for (int i = 0; i < count; i++) {
		if (result == 0 && caps_check_name(names[i]->d_name) == 0)
			result = list_name(listing, parent, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return result;
}

int caps_list(const struct caps_client_options *options,
	      int (*found)(void *context, const struct caps_entry *entry), void *context)
{
	struct listing listing = {.found = found, .context = context};
	struct search search;
	int result = 0;

	start_search(&search, options);
	for (unsigned i = 0; i < search.count && result == 0; i++) {
		const int parent = caps_namespace_open(search.user[i], search.directory, false);

		if (parent == -ENOENT)
			continue;
		if (parent < 0)
			return parent;
		listing.entry.user = search.user[i];
		result = list_namespace(&listing, parent);
		close(parent);
	}
	return result;
}
