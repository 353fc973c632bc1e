/* SPDX-License-Identifier: MIT */
/*
 * Makes and removes listening sockets.
 *
 * Whether the file of a Unix socket is in use is found out by connecting to it: only a socket that
 * nobody listens on refuses the connection, and only such a file is replaced. At the end the file
 * is removed if it is still the one that was made here.
 */
#include "listen.h"

#include "base/bits.h"
#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_TYPE (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)

/** The first descriptor that a service manager passes. */
#define INHERITED_FIRST 3

/** Any address that a socket here can have. */
union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un file;
};

static int get_address(int fd, union address *address)
{
	socklen_t length = sizeof(*address);

	memset(address, 0, sizeof(*address));
	if (getsockname(fd, &address->any, &length) != 0)
		return base_error_errno(errno, "cannot tell the address of a listening socket");
	return 0;
}

/* ---- Unix sockets -------------------------------------------------------------------------- */

/** What is at @address: 1 a server, 0 a socket file without one, else why it cannot be told. */
static int probe_server(const struct sockaddr_un *address)
{
	const int fd = socket(AF_UNIX, SOCKET_TYPE, 0);
	int result = 1;

	if (fd < 0)
		return base_error_errno(errno, "cannot create a Unix socket");
	if (connect(fd, (const void *)address, sizeof(*address)) != 0) {
		if (errno == ECONNREFUSED || errno == ENOENT)
			result = 0;
		else if (errno != EAGAIN)
			result = base_error_errno(errno, "cannot tell whether %s is in use",
						  address->sun_path);
	}
	close(fd);
	return result;
}

/** Removes the file that a server left behind; refuses to touch anything else. */
static int remove_stale(const struct sockaddr_un *address)
{
	struct stat status;
	int result;

	if (lstat(address->sun_path, &status) != 0)
		return errno == ENOENT
			       ? 0
			       : base_error_errno(errno, "cannot look at %s", address->sun_path);
	if (!S_ISSOCK(status.st_mode))
		return base_error(EADDRINUSE, "%s exists and is not a socket", address->sun_path);
	result = probe_server(address);
	if (result < 0)
		return result;
	if (result == 1)
		return base_error(EADDRINUSE, "another server is listening on %s",
				  address->sun_path);
	if (unlink(address->sun_path) != 0 && errno != ENOENT)
		return base_error_errno(errno, "cannot replace the unused socket %s",
					address->sun_path);
	return 0;
}

static int bind_unix(int fd, const struct sockaddr_un *address)
{
	int error;

	if (bind(fd, (const void *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return base_error_errno(errno, "cannot listen on %s", address->sun_path);
	error = remove_stale(address);
	if (error != 0)
		return error;
	if (bind(fd, (const void *)address, sizeof(*address)) != 0)
		return base_error_errno(errno, "cannot listen on %s", address->sun_path);
	return 0;
}

/** Notes which file is ours. */
static void remember_file(struct nbd_listeners *listeners, const char *path)
{
	struct stat status;

	if (lstat(path, &status) != 0)
		return;
	memcpy(listeners->path, path, strlen(path) + 1);
	listeners->path_device = status.st_dev;
	listeners->path_inode = status.st_ino;
}

static int open_unix(struct nbd_listeners *listeners, int fd, const struct sockaddr_un *address,
		     mode_t mode)
{
	int error;

	/* The file takes the permissions that the socket has when it is bound. */
	if (fchmod(fd, mode) != 0)
		return base_error_errno(errno, "cannot set the permissions of a socket");
	error = bind_unix(fd, address);
	if (error != 0)
		return error;
	listeners->fds[listeners->count++] = fd;
	remember_file(listeners, address->sun_path);
	/* The bits that the process's umask took away. */
	if (chmod(address->sun_path, mode) != 0)
		return base_error_errno(errno, "cannot set the permissions of %s",
					address->sun_path);
	if (listen(fd, SOMAXCONN) != 0)
		return base_error_errno(errno, "cannot listen on %s", address->sun_path);
	return 0;
}

int nbd_listen_unix(struct nbd_listeners *listeners, const char *path, mode_t mode)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t length = strlen(path);
	int error;
	int fd;

	if (length >= sizeof(address.sun_path))
		return base_error(ENAMETOOLONG,
				  "the path of a Unix socket has at most %zu bytes, not %zu: %s",
				  sizeof(address.sun_path) - 1, length, path);
	memcpy(address.sun_path, path, length + 1);
	fd = socket(AF_UNIX, SOCKET_TYPE, 0);
	if (fd < 0)
		return base_error_errno(errno, "cannot create a Unix socket");
	error = open_unix(listeners, fd, &address, mode);
	if (error != 0 && listeners->count == 0)
		close(fd);
	if (error != 0)
		nbd_listen_close(listeners);
	return error;
}

/* ---- TCP ----------------------------------------------------------------------------------- */

static void set_port(struct sockaddr *address, uint16_t port)
{
	if (address->sa_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
}

static uint16_t bound_port(int fd)
{
	union address address;

	if (get_address(fd, &address) != 0)
		return 0;
	return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port
						       : address.v4.sin_port);
}

/** Listens on one address; the host's further addresses follow at the port of the first. */
static int listen_address(struct nbd_listeners *listeners, const struct addrinfo *info,
			  uint16_t port)
{
	const int yes = 1;
	int fd;

	if (listeners->count == NBD_LISTENERS)
		return 0;
	if (port == 0 && listeners->count != 0)
		port = bound_port(listeners->fds[0]);
	fd = socket(info->ai_family, SOCKET_TYPE, 0);
	if (fd < 0)
		return -errno;
	set_port(info->ai_addr, port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (info->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
		const int error = -errno;

		close(fd);
		return error;
	}
	listeners->fds[listeners->count++] = fd;
	return 0;
}

int nbd_listen_tcp(struct nbd_listeners *listeners, const char *host, uint16_t port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found;
	int error = getaddrinfo(host, NULL, &hints, &found);

	if (error != 0)
		return base_error(EADDRNOTAVAIL, "cannot find the address of host %s: %s", host,
				  gai_strerror(error));
	for (const struct addrinfo *info = found; info != NULL; info = info->ai_next) {
		error = listen_address(listeners, info, port);
		/* A family that this machine does not have does not matter beside one it has. */
		if (error != 0 && error != -EAFNOSUPPORT && error != -EADDRNOTAVAIL)
			break;
	}
	freeaddrinfo(found);
	if (listeners->count != 0 &&
	    (error == 0 || error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL))
		return 0;
	nbd_listen_close(listeners);
	return base_error_errno(-error, "cannot listen on %s port %u", host, port);
}

/* ---- socket activation --------------------------------------------------------------------- */

/** The number in an environment variable; -1 when it is not set or not a number. */
static long environment_number(const char *name)
{
	const char *const text = getenv(name);
	char *end;
	long number;

	if (text == NULL || *text == '\0')
		return -1;
	number = strtol(text, &end, 10);
	return *end == '\0' ? number : -1;
}

static void clear_environment(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static bool is_listening_stream(int fd)
{
	int listening = 0;
	int type = 0;
	socklen_t length = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && listening != 0 &&
	       type == SOCK_STREAM;
}

static int inherit_one(struct nbd_listeners *listeners, int fd)
{
	if (!is_listening_stream(fd))
		return base_error(ENOTSOCK,
				  "LISTEN_FDS passes descriptor %d, which is not a stream socket "
				  "that listens",
				  fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) != 0)
		return base_error_errno(errno, "cannot set up descriptor %d of LISTEN_FDS", fd);
	listeners->fds[listeners->count++] = fd;
	return 0;
}

int nbd_listen_inherit(struct nbd_listeners *listeners)
{
	const long pid = environment_number("LISTEN_PID");
	const long count = environment_number("LISTEN_FDS");
	int error = 0;

	/* The number is that of our parent when the process forked to become a daemon. */
	if (count <= 0 || (pid != getpid() && pid != getppid()))
		return 0;
	if (count > NBD_LISTENERS)
		return base_error(E2BIG, "LISTEN_FDS passes %ld sockets; at most %d are taken",
				  count, NBD_LISTENERS);
	for (int i = 0; error == 0 && i < count; i++)
		error = inherit_one(listeners, INHERITED_FIRST + i);
	clear_environment();
	if (error != 0)
		nbd_listen_close(listeners);
	return error != 0 ? error : (int)count;
}

/* ---- from another process ------------------------------------------------------------------ */

int nbd_listen_take(struct nbd_listeners *listeners, int *fds, unsigned count)
{
	union address address;
	int result = 0;

	if (count > NBD_LISTENERS)
		return base_error(E2BIG, "%u sockets were handed over; at most %d are taken", count,
				  NBD_LISTENERS);
	for (unsigned i = 0; result == 0 && i < count; i++) {
		if (!is_listening_stream(fds[i]))
			return base_error(ENOTSOCK,
					  "a descriptor was handed over that is no stream socket "
					  "that listens");
		result = get_address(fds[i], &address);
		if (result == 0 && address.any.sa_family == AF_UNIX)
			remember_file(listeners, address.file.sun_path);
		listeners->fds[listeners->count++] = fds[i];
		fds[i] = -1;
	}
	return result;
}

/* ---- URI ----------------------------------------------------------------------------------- */

struct writer {
	char *out;
	size_t room;
	bool overflow;
};

static void write_char(struct writer *writer, char character)
{
	if (writer->room <= 1) {
		writer->overflow = true;
		return;
	}
	*writer->out++ = character;
	*writer->out = '\0';
	writer->room--;
}

static void write_text(struct writer *writer, const char *text)
{
	while (*text != '\0')
		write_char(writer, *text++);
}

/** Whether a character stands for itself in a URI's path and query (RFC 3986, "unreserved"). */
static bool is_unreserved(char character)
{
	return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
	       (character >= '0' && character <= '9') ||
	       (character != '\0' && strchr("-._~/", character) != NULL);
}

static void write_escaped(struct writer *writer, const char *text)
{
	char code[4];

	for (; *text != '\0'; text++) {
		if (is_unreserved(*text)) {
			write_char(writer, *text);
		} else {
			snprintf(code, sizeof(code), "%%%02X", (unsigned)(unsigned char)*text);
			write_text(writer, code);
		}
	}
}

/** The address as a client on this machine would write it. */
static void write_host(struct writer *writer, const union address *address)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (address->any.sa_family == AF_INET6) {
		const struct in6_addr *const host = &address->v6.sin6_addr;

		inet_ntop(AF_INET6, IN6_IS_ADDR_UNSPECIFIED(host) ? &in6addr_loopback : host, text,
			  sizeof(text));
		write_char(writer, '[');
		write_text(writer, text);
		write_char(writer, ']');
	} else {
		const struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
		const struct in_addr *const host = &address->v4.sin_addr;

		inet_ntop(AF_INET, host->s_addr == htonl(INADDR_ANY) ? &loopback : host, text,
			  sizeof(text));
		write_text(writer, text);
	}
}

static void write_tcp(struct writer *writer, const union address *address, int fd, const char *name)
{
	char port[8];

	write_text(writer, "nbd://");
	write_host(writer, address);
	snprintf(port, sizeof(port), ":%u", bound_port(fd));
	write_text(writer, port);
	write_char(writer, '/');
	write_escaped(writer, name);
}

static void write_unix(struct writer *writer, const struct sockaddr_un *address, const char *name)
{
	write_text(writer, "nbd+unix:///");
	write_escaped(writer, name);
	write_text(writer, "?socket=");
	write_escaped(writer, address->sun_path);
}

int nbd_listen_uri(const struct nbd_listeners *listeners, const char *name, char *uri, size_t room)
{
	struct writer writer = {uri, room, false};
	union address address;
	const int error = get_address(listeners->fds[0], &address);

	if (error != 0)
		return error;
	if (address.any.sa_family == AF_UNIX)
		write_unix(&writer, &address.file, name);
	else
		write_tcp(&writer, &address, listeners->fds[0], name);
	if (writer.overflow)
		return base_error(ENAMETOOLONG,
				  "the URI of export \"%.64s\" has more than %zu bytes", name,
				  room - 1);
	return 0;
}

/** The path of the Unix socket in @uri, as write_unix() wrote it; false for another kind. */
static bool read_unix(const char *uri, char *path, size_t room)
{
	static const char query[] = "?socket=";
	const char *from = strncmp(uri, "nbd+unix:", 9) == 0 ? strstr(uri, query) : NULL;
	size_t used = 0;

	if (from == NULL)
		return false;
	for (from += sizeof(query) - 1; *from != '\0' && used + 1 < room; from++) {
		unsigned code = (unsigned char)*from;

		if (*from == '%' && sscanf(from + 1, "%2x", &code) == 1)
			from += 2;
		path[used++] = (char)code;
	}
	path[used] = '\0';
	return *from == '\0';
}

int nbd_listen_remove_stale(const char *uri)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int result;

	if (!read_unix(uri, address.sun_path, sizeof(address.sun_path)))
		return 0;
	result = remove_stale(&address);
	/* Somebody else has the place now. */
	return result == -EADDRINUSE ? 0 : result;
}

/* ---- end ----------------------------------------------------------------------------------- */

static bool is_our_file(const struct nbd_listeners *listeners)
{
	struct stat status;

	return listeners->path[0] != '\0' && lstat(listeners->path, &status) == 0 &&
	       status.st_dev == listeners->path_device && status.st_ino == listeners->path_inode;
}

void nbd_listen_forget_file(struct nbd_listeners *listeners)
{
	listeners->path[0] = '\0';
}

void nbd_listen_close(struct nbd_listeners *listeners)
{
	if (is_our_file(listeners))
		unlink(listeners->path);
	listeners->path[0] = '\0';
	for (unsigned i = 0; i < listeners->count; i++)
		close(listeners->fds[i]);
	listeners->count = 0;
}
