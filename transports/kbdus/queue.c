/* SPDX-License-Identifier: MIT */
/*
 * The way of requests. One command, ENTER, takes the results that lie in the one ring, and puts
 * requests into the other; it comes back when it has brought some. A batch is one command, whatever
 * its size.
 *
 *	 open, commit        requests have come        fetch: all taken
 *	──────────────▶ sent ─────────────────▶ back ─────────────────▶ due ── commit ──▶ sent …
 *	                 │ the disk is gone
 *	                 ▼
 *	              ended: fetch() returns -ENODEV
 *
 * While ENTER is with the module, results that come up are told by COMMIT. A loop without io_uring
 * makes the same commands by ioctl(2), which then never wait, and polls the queue's file.
 *
 * Owner: the thread of the loop that the queue was opened in.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "kbdus_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* After this long without any request, payload memory goes back to the system. */
#define IDLE_MS 10000

struct kbdus_slot {
	struct bdus_io io;
	uint32_t generation;
	/* Where the module put, or will fetch, the payload; a driver may have lent other memory. */
	void *payload;
};

struct bdus_transport_queue {
	struct bdus_queue *host;
	struct bdus_loop *loop;
	struct bdus_transport_device *device;
	unsigned index;
	unsigned depth;
	int fd;
	/* Index of the file in the ring's table; -1 without a ring. */
	int file;

	/* Shared with the module. */
	struct kbdus_abi_rings *rings;
	const struct kbdus_abi_request *requests;
	struct kbdus_abi_result *results;
	size_t map_bytes;
	uint32_t mask;
	uint32_t requests_head;
	uint32_t results_tail;

	/* Payloads, by tag; NULL where the program has the memory. Never touched takes no room. */
	uint8_t *payloads;
	size_t payload_stride;
	struct kbdus_slot *slots;
	/* Requests that the engine has. */
	unsigned held;

	/* ENTER, or the poll of the file. */
	struct bdus_call wait_call;
	bool waiting;
	struct bdus_call commit_call;
	bool committing;
	bool ended;

	struct bdus_call idle_call;
	bool idle_check_armed;
	bool busy;
	bool trim_due;
};

/* ---- opening and closing ------------------------------------------------------------------- */

static int map_payloads(struct bdus_transport_queue *queue)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes;
	void *map;

	if (queue->device->memory)
		return 0;
	queue->payload_stride = base_align_up(queue->device->limits.max_transfer_bytes, page);
	if (base_mul_overflows(queue->payload_stride, (size_t)queue->depth, &bytes))
		return base_error(ENOMEM,
				  "kbdus: %u payloads of %zu bytes exceed the address space",
				  queue->depth, queue->payload_stride);
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (map == MAP_FAILED)
		return base_error_errno(errno, "kbdus: cannot map %zu bytes for payloads", bytes);
	queue->payloads = map;
	/* A huge page a tag would make small requests take hundreds of times their size. */
	madvise(map, bytes, MADV_NOHUGEPAGE);
	madvise(map, bytes, MADV_DONTFORK);
	return 0;
}

static int attach(struct bdus_transport_queue *queue, uint32_t *entries)
{
	struct kbdus_abi_attach attach = {0};
	int result;

	kbdus_abi_attach_set_owner(&attach, queue->device->fd);
	kbdus_abi_attach_set_queue(&attach, queue->index);
	kbdus_abi_attach_set_payloads(&attach, (uintptr_t)queue->payloads);
	kbdus_abi_attach_set_stride_bytes(&attach, queue->payload_stride);
	result = kbdus_control_run(queue->fd, KBDUS_ABI_COMMAND_ATTACH, &attach);
	if (result < 0)
		return base_error_errno(-result, "kbdus: cannot attach queue %u", queue->index);
	*entries = kbdus_abi_attach_entries(&attach);
	queue->map_bytes = kbdus_abi_attach_map_bytes(&attach);
	if (!base_is_power_of_two(*entries) || *entries < queue->depth ||
	    queue->map_bytes <
		    KBDUS_ABI_ENTRIES_OFFSET + *entries * (sizeof(struct kbdus_abi_request) +
							   sizeof(struct kbdus_abi_result)))
		return base_error(EPROTO, "kbdus: rings of %u entries in %zu bytes", *entries,
				  queue->map_bytes);
	return 0;
}

static int map_rings(struct bdus_transport_queue *queue)
{
	uint32_t entries = 0;
	void *map;
	int result = attach(queue, &entries);

	if (result < 0)
		return result;
	map = mmap(NULL, queue->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd, 0);
	if (map == MAP_FAILED)
		return base_error_errno(errno, "kbdus: cannot map the rings of queue %u",
					queue->index);
	madvise(map, queue->map_bytes, MADV_DONTFORK);
	queue->rings = map;
	queue->requests = (const void *)((char *)map + KBDUS_ABI_ENTRIES_OFFSET);
	queue->results = (void *)((char *)map + KBDUS_ABI_ENTRIES_OFFSET +
				  entries * sizeof(struct kbdus_abi_request));
	queue->mask = entries - 1;
	return 0;
}

static bool has_ring(const struct bdus_transport_queue *queue)
{
	return queue->file >= 0;
}

static int choose_ring(struct bdus_transport_queue *queue)
{
	if (queue->device->by_poll || bdus_loop_ring_error(queue->loop) < 0)
		return 0;
	queue->file = bdus_loop_add_file(queue->loop, queue->fd);
	return queue->file < 0 ? queue->file : 0;
}

static void send_wait(struct bdus_transport_queue *queue);

static int open_queue(struct bdus_transport_queue *queue)
{
	int result;

	queue->slots = calloc(queue->depth, sizeof(*queue->slots));
	if (!queue->slots)
		return base_error(ENOMEM, "out of memory for %u requests", queue->depth);
	for (unsigned tag = 0; tag < queue->depth; tag++)
		bdus_io_init(&queue->slots[tag].io);
	queue->fd = queue->device->queue_fds[queue->index];
	queue->device->queue_fds[queue->index] = -1;
	result = map_payloads(queue);
	if (result == 0)
		result = map_rings(queue);
	if (result == 0)
		result = choose_ring(queue);
	if (result == 0)
		send_wait(queue);
	return result;
}

static void on_wait(struct bdus_call *call);
static void on_commit(struct bdus_call *call);
static void on_idle_check(struct bdus_call *call);

int kbdus_queue_open(struct bdus_transport_device *device, unsigned index, struct bdus_queue *host,
		     struct bdus_transport_queue **result_queue)
{
	struct bdus_transport_queue *const queue = calloc(1, sizeof(*queue));
	int result;

	if (!queue)
		return base_error(ENOMEM, "out of memory");
	queue->device = device;
	queue->index = index;
	queue->depth = device->depth;
	queue->host = host;
	queue->loop = bdus_host_loop(host);
	queue->fd = -1;
	queue->file = -1;
	queue->wait_call.completed = on_wait;
	queue->commit_call.completed = on_commit;
	queue->idle_call.completed = on_idle_check;
	result = open_queue(queue);
	if (result < 0) {
		kbdus_queue_close(queue);
		return result;
	}
	*result_queue = queue;
	return 0;
}

void kbdus_queue_close(struct bdus_transport_queue *queue)
{
	if (!queue)
		return;
	bdus_loop_end_call(queue->loop, &queue->idle_call);
	if (!has_ring(queue))
		bdus_loop_end_call(queue->loop, &queue->wait_call);
	bdus_loop_remove_file(queue->loop, queue->file);
	if (queue->rings)
		munmap(queue->rings, queue->map_bytes);
	if (queue->fd >= 0)
		close(queue->fd);
	if (queue->payloads)
		munmap(queue->payloads, queue->payload_stride * queue->depth);
	free(queue->slots);
	free(queue);
}

/* ---- the rings ----------------------------------------------------------------------------- */

static uint32_t load(const void *word)
{
	return atomic_load_explicit((const _Atomic uint32_t *)word, memory_order_acquire);
}

static void store(void *word, uint32_t value)
{
	atomic_store_explicit((_Atomic uint32_t *)word, value, memory_order_release);
}

static bool has_requests(const struct bdus_transport_queue *queue)
{
	return load(&queue->rings->requests_tail) != queue->requests_head;
}

/* What the result says beside its number: where a payload lies, or where an append went. */
static uint64_t address_of(const struct kbdus_slot *slot)
{
	const struct bdus_request *const request = &slot->io.request;

	if (base_unlikely(request->op == BDUS_OP_ZONE_APPEND))
		return request->append_offset_bytes;
	return request->op == BDUS_OP_ZONE_REPORT ? (uintptr_t)request->zones
						  : (uintptr_t)request->data;
}

static void push_result(struct bdus_transport_queue *queue, unsigned tag, int32_t result)
{
	struct kbdus_abi_result *const entry = &queue->results[queue->results_tail & queue->mask];
	const struct kbdus_slot *const slot = &queue->slots[tag];

	kbdus_abi_result_set_tag(entry, tag);
	kbdus_abi_result_set_generation(entry, slot->generation);
	kbdus_abi_result_set_result(entry, result);
	kbdus_abi_result_set_flags(entry, queue->device->memory ? KBDUS_ABI_RESULT_FLAG_PLACED : 0);
	kbdus_abi_result_set_address(entry, address_of(slot));
	queue->results_tail++;
}

/* ---- commands ------------------------------------------------------------------------------ */

/* Has the loop ask for what there is to tell. */
static void tell(struct bdus_transport_queue *queue)
{
	bdus_host_make_ready(queue->host);
}

static void fail(struct bdus_transport_queue *queue, int64_t result)
{
	bdus_host_fail(
		queue->host,
		base_error_errno((int)-result, "kbdus: the module failed queue %u", queue->index));
}

/* What ENTER returned, by whichever way. */
static void note_entered(struct bdus_transport_queue *queue, int64_t result)
{
	if (base_likely(result >= 0) || result == -EINTR) {
		tell(queue);
	} else if (result == -ENODEV) {
		queue->ended = true;
		tell(queue);
	} else {
		fail(queue, result);
	}
}

static void prepare_command(struct bdus_transport_queue *queue, struct bdus_call *call,
			    enum kbdus_abi_command command)
{
	asys_prep_uring_cmd(&call->message, queue->file, command, NULL, 0, 0);
	call->message.flags = ASYS_FIXED_FILE;
}

static void send_wait(struct bdus_transport_queue *queue)
{
	int result;

	if (has_ring(queue)) {
		kbdus_abi_rings_set_busy_poll_us(
			queue->rings,
			bdus_loop_is_shared(queue->loop) ? 0 : queue->device->busy_poll_us);
		prepare_command(queue, &queue->wait_call, KBDUS_ABI_COMMAND_ENTER);
	} else {
		asys_prep_poll(&queue->wait_call.message, queue->fd, POLLIN);
	}
	result = bdus_loop_send(queue->loop, &queue->wait_call);
	queue->waiting = result == 0;
	if (result < 0)
		bdus_host_fail(queue->host, result);
}

/* Without a ring; never waits. */
static void enter(struct bdus_transport_queue *queue)
{
	const int result = kbdus_control_run(queue->fd, KBDUS_ABI_COMMAND_ENTER,
					     (void *)(uintptr_t)KBDUS_ABI_ENTER_AT_ONCE);

	if (result == 0 && !queue->waiting)
		send_wait(queue);
	else if (result != 0)
		note_entered(queue, result);
}

static void on_wait(struct bdus_call *call)
{
	struct bdus_transport_queue *const queue =
		base_container_of(call, struct bdus_transport_queue, wait_call);

	queue->waiting = false;
	if (has_ring(queue))
		note_entered(queue, call->message.result);
	else if (call->message.result >= 0)
		enter(queue);
	else
		fail(queue, call->message.result);
}

static void send_commit(struct bdus_transport_queue *queue)
{
	prepare_command(queue, &queue->commit_call, KBDUS_ABI_COMMAND_COMMIT);
	queue->committing = bdus_loop_send(queue->loop, &queue->commit_call) == 0;
}

/* Results may have come up after the module looked. */
static void on_commit(struct bdus_call *call)
{
	struct bdus_transport_queue *const queue =
		base_container_of(call, struct bdus_transport_queue, commit_call);

	queue->committing = false;
	if (call->message.result < 0 && call->message.result != -ECANCELED)
		fail(queue, call->message.result);
	else if (queue->waiting && load(&queue->rings->results_head) != queue->results_tail)
		send_commit(queue);
}

/* Lets the module see results, and wait for requests if there are none left here. */
static void hand_over(struct bdus_transport_queue *queue)
{
	const bool has_results = load(&queue->rings->results_head) != queue->results_tail;

	if (queue->ended && !has_results)
		return;
	if (!has_ring(queue))
		enter(queue);
	else if (!queue->waiting && !queue->ended)
		send_wait(queue);
	else if (has_results && !queue->committing)
		send_commit(queue);
}

/* ---- payload memory ------------------------------------------------------------------------ */

/* 0 for a request without a payload. */
static uint64_t payload_bytes(const struct bdus_request *request)
{
	switch (request->op) {
	case BDUS_OP_READ:
	case BDUS_OP_WRITE:
	case BDUS_OP_ZONE_APPEND:
	case BDUS_OP_IOCTL:
		return request->length_bytes;
	case BDUS_OP_ZONE_REPORT:
		return kbdus_report_bytes(request);
	default:
		return 0;
	}
}

static bool brings_payload(const struct bdus_request *request)
{
	return request->op != BDUS_OP_READ && request->op != BDUS_OP_ZONE_REPORT;
}

static bool returns_payload(const struct bdus_request *request)
{
	return request->op != BDUS_OP_WRITE && request->op != BDUS_OP_ZONE_APPEND;
}

/* What is to be written, from the module into the program's memory. */
static int read_payload(const struct bdus_transport_queue *queue, unsigned tag,
			const struct bdus_request *request)
{
	const off_t place = (off_t)((uint64_t)tag << KBDUS_ABI_PLACE_TAG_SHIFT);
	const ssize_t done = pread(queue->fd, request->data, request->length_bytes, place);

	return done == (ssize_t)request->length_bytes ? 0 : -EIO;
}

/* Memory for the payload, with what is to be written in it; -EAGAIN while there is none. */
static int bring_payload(struct bdus_transport_queue *queue, unsigned tag)
{
	struct bdus_request *const request = &queue->slots[tag].io.request;
	struct bdus_memory *const memory = queue->device->memory;
	const uint64_t bytes = payload_bytes(request);
	int result = 0;

	if (bytes == 0)
		return 0;
	request->data = memory ? bdus_memory_get(memory, queue->host, bytes)
			       : queue->payloads + tag * queue->payload_stride;
	if (!request->data)
		return -EAGAIN;
	queue->slots[tag].payload = request->data;
	if (memory && brings_payload(request))
		result = read_payload(queue, tag, request);
	if (result < 0)
		bdus_memory_put(memory, request->data, bytes);
	else if (base_unlikely(request->op == BDUS_OP_ZONE_REPORT))
		kbdus_begin_report(request, request->data);
	return result;
}

/*
 * Memory of the program is given back at once, so what was read into it is handed over first.
 */
static int32_t return_payload(struct bdus_transport_queue *queue, unsigned tag)
{
	struct kbdus_slot *const slot = &queue->slots[tag];
	struct bdus_request *const request = &slot->io.request;
	const off_t place = (off_t)((uint64_t)tag << KBDUS_ABI_PLACE_TAG_SHIFT);
	const uint64_t bytes = payload_bytes(request);
	int32_t result = slot->io.result;

	if (bytes == 0)
		return result;
	if (returns_payload(request) && result == 0 &&
	    pwrite(queue->fd, (const void *)(uintptr_t)address_of(slot), bytes, place) !=
		    (ssize_t)bytes)
		result = -EIO;
	bdus_memory_put(queue->device->memory, slot->payload, bytes);
	return result;
}

static void arm_idle_check(struct bdus_transport_queue *queue)
{
	asys_prep_timeout(&queue->idle_call.message, base_deadline_ns(IDLE_MS));
	queue->idle_check_armed = bdus_loop_send(queue->loop, &queue->idle_call) == 0;
	queue->busy = false;
}

static void on_idle_check(struct bdus_call *call)
{
	struct bdus_transport_queue *const queue =
		base_container_of(call, struct bdus_transport_queue, idle_call);

	queue->idle_check_armed = false;
	if (queue->busy) {
		arm_idle_check(queue);
		return;
	}
	queue->trim_due = true;
	tell(queue);
}

/*
 * Nobody may use payload memory now: no request is with the engine, none has come, all results were
 * taken, and the module copies payloads only within our own calls.
 */
static void trim(struct bdus_transport_queue *queue)
{
	queue->trim_due = false;
	if (queue->held == 0 && !has_requests(queue) &&
	    load(&queue->rings->results_head) == queue->results_tail &&
	    (!has_ring(queue) || bdus_loop_is_quiet(queue->loop)))
		madvise(queue->payloads, queue->payload_stride * queue->depth, MADV_DONTNEED);
}

static void note_busy(struct bdus_transport_queue *queue)
{
	queue->busy = true;
	if (base_unlikely(!queue->idle_check_armed && queue->payloads))
		arm_idle_check(queue);
}

/* ---- towards the engine -------------------------------------------------------------------- */

/* One request of the ring: 1 with @io, 0 if it was answered here, -EAGAIN to try again later. */
static int take_request(struct bdus_transport_queue *queue, struct bdus_io **io)
{
	const struct kbdus_abi_request request =
		queue->requests[queue->requests_head & queue->mask];
	const unsigned tag = kbdus_abi_request_tag(&request);
	struct kbdus_slot *slot;
	int result;

	if (base_unlikely(tag >= queue->depth)) {
		queue->requests_head++;
		return 0;
	}
	slot = &queue->slots[tag];
	slot->generation = kbdus_abi_request_generation(&request);
	result = kbdus_decode_request(&request, &queue->device->limits, &slot->io);
	if (base_likely(result == 0))
		result = bring_payload(queue, tag);
	if (result == -EAGAIN)
		return result;
	queue->requests_head++;
	*io = &slot->io;
	if (base_unlikely(result < 0))
		push_result(queue, tag, result);
	return result == 0;
}

static unsigned take_requests(struct bdus_transport_queue *queue, struct bdus_io **ios,
			      unsigned capacity)
{
	unsigned count = 0;

	while (count < capacity && has_requests(queue)) {
		const int result = take_request(queue, &ios[count]);

		if (base_unlikely(result == -EAGAIN))
			return count;
		count += (unsigned)result;
	}
	/* What is left is asked for in the next turn; if nothing is, the module is, in this one's
	 * end. */
	if (base_unlikely(has_requests(queue)))
		tell(queue);
	else if (!queue->waiting && !queue->ended)
		bdus_host_want_commit(queue->host);
	return count;
}

int kbdus_queue_fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	unsigned count;

	if (base_unlikely(queue->trim_due))
		trim(queue);
	if (base_unlikely(queue->ended && queue->held == 0))
		return base_error(ENODEV, "kbdus: the device has ended");
	count = take_requests(queue, ios, capacity);
	queue->held += count;
	if (base_likely(count != 0))
		note_busy(queue);
	return (int)count;
}

void kbdus_queue_commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
			unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const unsigned tag =
			(unsigned)(base_container_of(ios[i], struct kbdus_slot, io) - queue->slots);

		if (base_unlikely(ios[i]->request.op == BDUS_OP_ZONE_REPORT))
			kbdus_end_report(&ios[i]->request);
		push_result(queue, tag,
			    base_unlikely(queue->device->memory != NULL)
				    ? return_payload(queue, tag)
				    : ios[i]->result);
	}
	queue->held -= count;
	store(&queue->rings->results_tail, queue->results_tail);
	hand_over(queue);
	if (base_unlikely(queue->ended))
		tell(queue);
}
