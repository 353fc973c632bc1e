/* SPDX-License-Identifier: MIT */
/*
 * What both kinds of ports have in common, and what fork(2) makes of them: the child's ports lose
 * their descriptors, so that a connection stays with one process.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cond.h"
#include "caps_internal.h"

/* Locked before the locks of ports, and by nothing that has one. */
static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;
static struct base_list ports = {&ports, &ports};
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- fork ---- */

static void before_fork(void)
{
	pthread_mutex_lock(&ports_lock);
	base_list_for_each (link, &ports)
		pthread_mutex_lock(&base_list_entry(link, struct caps_port, link)->lock);
}

static void in_parent(void)
{
	base_list_for_each (link, &ports)
		pthread_mutex_unlock(&base_list_entry(link, struct caps_port, link)->lock);
	pthread_mutex_unlock(&ports_lock);
}

static void in_child(void)
{
	base_list_for_each (link, &ports) {
		struct caps_port *port = base_list_entry(link, struct caps_port, link);

		atomic_store(&port->forked, true);
		if (port->is_service)
			caps_service_abandon(port);
		else
			caps_client_abandon(port);
		pthread_mutex_unlock(&port->lock);
	}
	caps_spare_abandon();
	pthread_mutex_unlock(&ports_lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, in_parent, in_child);
}

/* ---- life ---- */

int caps_port_create(bool is_service, struct caps_port **port)
{
	struct caps_port *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return base_error(ENOMEM, "no memory for a port");
	made->spill = malloc(sizeof(*made->spill));
	if (made->spill == NULL) {
		free(made);
		return base_error(ENOMEM, "no memory for a port");
	}
	made->spill->last_bytes = 0;
	made->is_service = is_service;
	base_list_init(&made->link);
	pthread_mutex_init(&made->lock, NULL);
	base_cond_init(&made->changed);
	*port = made;
	return 0;
}

void caps_port_publish(struct caps_port *port)
{
	pthread_once(&once, watch_forks);
	pthread_mutex_lock(&ports_lock);
	base_list_push_back(&ports, &port->link);
	pthread_mutex_unlock(&ports_lock);
}

void caps_port_free(struct caps_port *port)
{
	pthread_cond_destroy(&port->changed);
	pthread_mutex_destroy(&port->lock);
	free(port->spill);
	free(port);
}

void caps_close(struct caps_port *port)
{
	if (atomic_load(&port->forked) || atomic_exchange(&port->closed, true))
		return;
	if (port->is_service)
		caps_service_close(port);
	else
		caps_client_close(port);
}

void caps_destroy(struct caps_port *port)
{
	if (port == NULL)
		return;
	caps_close(port);
	pthread_mutex_lock(&ports_lock);
	base_list_remove(&port->link);
	pthread_mutex_unlock(&ports_lock);
	if (port->is_service)
		caps_service_finish(port);
	else
		caps_client_finish(port);
	caps_port_free(port);
}

/* ---- what both do ---- */

int caps_port_check(const struct caps_port *port, bool is_service)
{
	if (port->is_service != is_service)
		return base_error(EINVAL, "this is for the port of a %s",
				  is_service ? "service" : "client");
	if (base_unlikely(atomic_load_explicit(&port->forked, memory_order_relaxed)))
		return base_error(ENOTCONN, "the port stayed with the process that forked");
	return 0;
}

int caps_fd(struct caps_port *port)
{
	const int error = caps_port_check(port, port->is_service);

	if (error != 0)
		return error;
	return port->is_service ? port->service.epoll : caps_client_fd(port);
}

int caps_get(struct caps_port *port, struct caps_message *message, void *buffer, size_t capacity,
	     int timeout_ms)
{
	const int error = caps_port_check(port, port->is_service);
	int result;

	if (error != 0)
		return error;
	result = port->is_service ? caps_service_get(port, message, buffer, capacity, timeout_ms)
				  : caps_client_get(port, message, buffer, capacity, timeout_ms);
	return result == -ETIMEDOUT && timeout_ms == 0 ? -EAGAIN : result;
}

bool caps_port_sleep(struct caps_port *port, uint64_t deadline_ns)
{
	bool in_time = true;

	port->waiting++;
	if (deadline_ns == CAPS_NEVER)
		pthread_cond_wait(&port->changed, &port->lock);
	else
		in_time = base_cond_wait_until(&port->changed, &port->lock, deadline_ns);
	port->waiting--;
	return in_time;
}

void caps_port_changed(struct caps_port *port)
{
	if (port->waiting != 0)
		pthread_cond_broadcast(&port->changed);
}

void caps_port_received(struct caps_port *port)
{
	port->receiving = false;
	caps_port_changed(port);
}

const struct wire_operation *caps_operation(const struct caps_port *port, uint32_t code)
{
	for (size_t i = 0; i < port->operation_count; i++)
		if (port->operations[i].code == code)
			return &port->operations[i];
	return NULL;
}

void caps_bell(int fd, bool *rung, bool ring)
{
	if (fd < 0 || *rung == ring)
		return;
	if (ring)
		eventfd_write(fd, 1);
	else
		eventfd_read(fd, &(eventfd_t){0});
	*rung = ring;
}

const char *caps_error(void)
{
	return base_error_message();
}
