/* SPDX-License-Identifier: MIT */
/*
 * The request slots of a queue: made in slabs when more are in use than ever before, and kept. A
 * slot's address stays the same, as the engine demands.
 */
#include "nbd_internal.h"

#include <stdlib.h>

#define SLAB_REQUESTS 32

struct nbd_request_slab {
	struct nbd_request_slab *next;
	struct nbd_request requests[SLAB_REQUESTS];
};

static void add_slab(struct bdus_transport_queue *queue)
{
	struct nbd_request_slab *const slab = calloc(1, sizeof(*slab));

	if (slab == NULL)
		return;
	slab->next = queue->slabs;
	queue->slabs = slab;
	for (unsigned i = 0; i < SLAB_REQUESTS; i++) {
		struct nbd_request *const request = &slab->requests[i];

		bdus_io_init(&request->io);
		request->next = queue->free_requests;
		queue->free_requests = request;
	}
}

struct nbd_request *nbd_request_get(struct nbd_connection *connection,
				    const struct nbd_command *command)
{
	struct bdus_transport_queue *const queue = connection->queue;
	struct nbd_request *request;

	if (base_unlikely(queue->free_requests == NULL))
		add_slab(queue);
	request = queue->free_requests;
	if (base_unlikely(request == NULL))
		return NULL;
	queue->free_requests = request->next;
	request->next = NULL;
	request->connection = connection;
	request->data = NULL;
	request->data_bytes = 0;
	request->command = *command;
	connection->requests++;
	return request;
}

bool nbd_request_get_data(struct nbd_request *request, size_t bytes)
{
	request->data = bdus_pool_get(request->connection->queue->pool, bytes);
	if (base_unlikely(request->data == NULL))
		return false;
	request->data_bytes = bytes;
	request->data_is_theirs = false;
	request->connection->bytes += bytes;
	return true;
}

void nbd_request_use_memory(struct nbd_request *request, void *memory, size_t bytes)
{
	request->data = memory;
	request->data_bytes = bytes;
	request->data_is_theirs = true;
	request->connection->bytes += bytes;
}

void nbd_request_drop_data(struct nbd_request *request)
{
	if (request->data == NULL)
		return;
	if (request->data_is_theirs)
		bdus_memory_put(request->connection->queue->device->memory, request->data,
				request->data_bytes);
	else
		bdus_pool_put(request->connection->queue->pool, request->data, request->data_bytes);
	request->connection->bytes -= request->data_bytes;
	request->data = NULL;
	request->data_bytes = 0;
}

void nbd_request_put(struct nbd_request *request)
{
	struct nbd_connection *const connection = request->connection;
	struct bdus_transport_queue *const queue = connection->queue;

	nbd_request_drop_data(request);
	connection->requests--;
	request->connection = NULL;
	request->next = queue->free_requests;
	queue->free_requests = request;
}

static void take_back(struct nbd_request *request)
{
	struct nbd_connection *const connection = request->connection;

	if (connection == NULL || connection->incoming == request)
		return;
	connection->in_engine--;
	connection->queue->in_engine--;
	nbd_request_put(request);
}

void nbd_request_take_back_all(struct bdus_transport_queue *queue)
{
	for (struct nbd_request_slab *slab = queue->slabs; slab != NULL; slab = slab->next)
		for (unsigned i = 0; i < SLAB_REQUESTS; i++)
			take_back(&slab->requests[i]);
}

void nbd_request_free_slabs(struct bdus_transport_queue *queue)
{
	while (queue->slabs != NULL) {
		struct nbd_request_slab *const slab = queue->slabs;

		queue->slabs = slab->next;
		free(slab);
	}
	queue->free_requests = NULL;
}
