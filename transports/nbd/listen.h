/* SPDX-License-Identifier: MIT */
/*
 * The sockets that a server listens on: a Unix socket, TCP, or what the service manager passed.
 */
#ifndef NBD_LISTEN_H
#define NBD_LISTEN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#define NBD_LISTENERS 16

struct nbd_listeners {
	unsigned count;
	int fds[NBD_LISTENERS];
	/** The file of a Unix socket that is ours to remove; empty when there is none. */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	dev_t path_device;
	ino_t path_inode;
};

/**
 * Listens on a Unix socket at @path, whose file gets the permissions @mode. The file of a server
 * that is gone is replaced; one that is in use, or is no socket, is refused with -EADDRINUSE.
 */
int nbd_listen_unix(struct nbd_listeners *listeners, const char *path, mode_t mode);

/** Listens on all addresses of @host, at @port; 0 takes a free one. */
int nbd_listen_tcp(struct nbd_listeners *listeners, const char *host, uint16_t port);

/**
 * Takes over the sockets that a service manager passed to this process, or to its parent before
 * that forked, and clears the variables that say so. Returns their number, 0 when there are none.
 */
int nbd_listen_inherit(struct nbd_listeners *listeners);

/**
 * Takes over sockets that listen, by another process until now, and the file of one of them; -1
 * takes the places of their descriptors.
 */
int nbd_listen_take(struct nbd_listeners *listeners, int *fds, unsigned count);

/** Writes the URI by which clients reach export @name; -ENAMETOOLONG when it needs more room. */
int nbd_listen_uri(const struct nbd_listeners *listeners, const char *name, char *uri, size_t room);

/** The file is another server's to remove from now on. */
void nbd_listen_forget_file(struct nbd_listeners *listeners);

/** Removes the Unix socket that @uri names if nobody listens on it any more. */
int nbd_listen_remove_stale(const char *uri);

/** Closes the sockets and removes the file, if it is still ours. */
void nbd_listen_close(struct nbd_listeners *listeners);

#endif
