/* SPDX-License-Identifier: MIT */
/*
 * Who is at the other end: asks the kernel, compares each message's sender with those before, and
 * decides who may.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "caps_internal.h"

/* Linux 6.5, later than the C library. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* More than any system allows, NGROUPS_MAX. */
#define MAX_GROUPS 65536

int caps_want_credentials(int fd)
{
	const int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 ? 0 : -errno;
}

static int read_groups(struct caps_peer *peer, int fd)
{
	socklen_t size = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
		return 0;
	if (size > MAX_GROUPS * sizeof(gid_t))
		return base_error(EINVAL, "the peer has groups of %u bytes", (unsigned)size);
	peer->groups = malloc(size);
	if (peer->groups == NULL)
		return base_error(ENOMEM, "no memory for the peer's groups");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) != 0)
		return base_error_errno(errno, "cannot ask for the peer's groups");
	peer->credentials.groups = peer->groups;
	peer->credentials.group_count = (unsigned)(size / sizeof(gid_t));
	return 0;
}

static int ask_pidfd(int fd)
{
	socklen_t size = sizeof(int);
	int pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	return -errno;
}

/* The number is that of the peer as long as the connection, which only that process has, is open.
 */
static int open_pidfd(pid_t pid, int fd)
{
	struct pollfd look = {.fd = fd};
	const int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (pidfd < 0)
		return -ESRCH;
	if (poll(&look, 1, 0) == 0)
		return pidfd;
	close(pidfd);
	return -ESRCH;
}

int caps_peer_init(struct caps_peer *peer, int fd, bool learn)
{
	struct ucred who;
	socklen_t size = sizeof(who);
	int error;

	*peer = (struct caps_peer){0};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
		return base_error_errno(errno, "cannot ask who the peer is");
	peer->credentials = (struct caps_credentials){.pid = who.pid,
						      .uid = who.uid,
						      .gid = who.gid,
						      .effective_uid = who.uid,
						      .effective_gid = who.gid};
	peer->process_known = !learn;
	error = read_groups(peer, fd);
	if (error != 0)
		caps_peer_finish(peer);
	return error;
}

void caps_peer_finish(struct caps_peer *peer)
{
	free(peer->groups);
	peer->groups = NULL;
	peer->credentials.groups = NULL;
	peer->credentials.group_count = 0;
}

int caps_peer_verify(struct caps_peer *peer, const struct ucred *sender)
{
	struct caps_credentials *known = &peer->credentials;

	if (base_likely(peer->known && sender->pid == known->pid && sender->uid == known->uid &&
			sender->gid == known->gid))
		return 0;
	if (sender->pid < 0)
		return base_error(EPERM, "a packet came without its sender");
	if (peer->process_known && sender->pid != known->pid)
		return base_error(EPERM, "process %d sent on the connection of process %d",
				  (int)sender->pid, (int)known->pid);
	if (peer->known)
		return base_error(EPERM, "process %d has another user or group than before",
				  (int)sender->pid);
	known->pid = sender->pid;
	known->uid = sender->uid;
	known->gid = sender->gid;
	peer->known = true;
	peer->process_known = true;
	return 0;
}

int caps_peer_pidfd(const struct caps_peer *peer, int fd)
{
	struct ucred who;
	socklen_t size = sizeof(who);
	int pidfd = -ESRCH;

	if (fd < 0)
		return base_error(ESRCH, "the connection of process %d is gone",
				  (int)peer->credentials.pid);
	/* The kernel knows who connected; of a pair, that need not be who sends. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
	    who.pid == peer->credentials.pid)
		pidfd = ask_pidfd(fd);
	if (pidfd < 0)
		pidfd = open_pidfd(peer->credentials.pid, fd);
	return pidfd >= 0 ? pidfd
			  : base_error(-pidfd, "process %d is gone", (int)peer->credentials.pid);
}

static bool is_in_group(const struct caps_credentials *who, gid_t group)
{
	if (who->effective_gid == group)
		return true;
	for (unsigned i = 0; i < who->group_count; i++)
		if (who->groups[i] == group)
			return true;
	return false;
}

bool caps_peer_may(const struct caps_peer *peer, uint32_t access, gid_t group)
{
	const struct caps_credentials *who = &peer->credentials;

	if (who->effective_uid == 0 || (access & CAPS_ACCESS_WORLD) != 0)
		return true;
	if ((access & CAPS_ACCESS_USER) != 0 && who->effective_uid == geteuid())
		return true;
	return (access & CAPS_ACCESS_GROUP) != 0 && is_in_group(who, group);
}
