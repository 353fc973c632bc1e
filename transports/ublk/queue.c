/* SPDX-License-Identifier: MIT */
/*
 * The way of requests, whichever way the kernel exchanges them for results: see queue.h.
 *
 * Owner: the thread of the loop that the queue was opened in. The kernel insists on it, too.
 */
#include "queue.h"
#include "base/bits.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"

#include <bdus/zoned.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* After this long without any request, payload memory goes back to the system. */
#define IDLE_MS 10000

/* ---- opening and closing ------------------------------------------------------------------- */

static int map_descriptors(struct bdus_transport_queue *queue)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t most = base_align_up(UBLK_ABI_DEPTH * sizeof(*queue->descriptors), page);
	void *map;

	queue->descriptors_bytes = base_align_up(queue->depth * sizeof(*queue->descriptors), page);
	map = mmap(NULL, queue->descriptors_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE,
		   queue->device->char_fd, (off_t)(queue->index * most));
	if (map == MAP_FAILED)
		return base_error_errno(errno,
					"ublk: cannot map the requests of queue %u of "
					"/dev/ublkc%u",
					queue->index, queue->device->number);
	queue->descriptors = map;
	madvise(map, queue->descriptors_bytes, MADV_DONTFORK);
	return 0;
}

static int map_payloads(struct bdus_transport_queue *queue)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes;
	void *map;

	queue->payload_stride = base_align_up(queue->device->limits.max_transfer_bytes, page);
	if (base_mul_overflows(queue->payload_stride, (size_t)queue->depth, &bytes))
		return base_error(ENOMEM, "ublk: %u payloads of %zu bytes exceed the address space",
				  queue->depth, queue->payload_stride);
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (map == MAP_FAILED)
		return base_error_errno(errno, "ublk: cannot map %zu bytes for payloads", bytes);
	queue->payloads = map;
	/* A huge page a tag would make small requests take hundreds of times their size. */
	madvise(map, bytes, MADV_NOHUGEPAGE);
	madvise(map, bytes, MADV_DONTFORK);
	return 0;
}

static void init_slots(struct bdus_transport_queue *queue)
{
	for (unsigned tag = 0; tag < queue->depth; tag++)
		bdus_io_init(&queue->slots[tag].io);
}

/*
 * The kernel looks for partitions only when every queue was fetched by a privileged thread: see
 * ublk_create().
 */
static int fetch_all(struct bdus_transport_queue *queue)
{
	int result;

	if (!queue->device->hide_privilege)
		return queue->exchange->start(queue);
	result = ublk_hide_privilege();
	if (result < 0)
		return base_error_errno(-result, "ublk: cannot lay down CAP_SYS_ADMIN for a moment "
						 "to keep the kernel from looking for partitions");
	result = queue->exchange->start(queue);
	ublk_restore_privilege();
	return result;
}

static int reserve_buffers(struct bdus_transport_queue *queue)
{
	queue->first_buffer = bdus_loop_add_buffers(queue->loop, queue->depth);
	return queue->first_buffer < 0 ? queue->first_buffer : 0;
}

static int provide_payloads(struct bdus_transport_queue *queue)
{
	if (queue->device->zero_copy)
		return reserve_buffers(queue);
	return queue->device->memory ? 0 : map_payloads(queue);
}

/*
 * Kernels before 6.13 let go of a registered file only when every older request on registered files
 * has ended: commands of one device would hold the file, and so the end, of another. So only one of
 * a loop's files is registered.
 */
static int choose_file(struct bdus_transport_queue *queue)
{
	int index;

	queue->file = queue->device->char_fd;
	if (bdus_loop_has_files(queue->loop))
		return 0;
	index = bdus_loop_add_file(queue->loop, queue->device->char_fd);
	if (index < 0)
		return index;
	queue->file = index;
	queue->file_flag = ASYS_FIXED_FILE;
	return 0;
}

static int check_ring(struct bdus_transport_queue *queue)
{
	const int result = bdus_loop_ring_error(queue->loop);

	if (result < 0)
		return base_error_errno(-result,
					"ublk needs io_uring, which the loop of queue %u "
					"does without",
					queue->index);
	return 0;
}

static int open_queue(struct bdus_transport_queue *queue)
{
	int result = check_ring(queue);

	if (result < 0)
		return result;
	queue->slots = calloc(queue->depth, sizeof(*queue->slots));
	queue->arrived = calloc(queue->depth, sizeof(struct bdus_io *));
	if (!queue->slots || !queue->arrived)
		return base_error(ENOMEM, "out of memory for %u requests", queue->depth);
	result = choose_file(queue);
	if (result == 0)
		result = map_descriptors(queue);
	if (result == 0)
		result = provide_payloads(queue);
	if (result < 0)
		return result;
	init_slots(queue);
	return fetch_all(queue);
}

static void on_idle_check(struct bdus_call *call);

int ublk_queue_open(struct bdus_transport_device *device, unsigned index, struct bdus_queue *host,
		    struct bdus_transport_queue **result_queue)
{
	struct bdus_transport_queue *const queue = calloc(1, sizeof(*queue));
	int result;

	if (!queue)
		return base_error(ENOMEM, "out of memory");
	ublk_protect_thread();
	queue->device = device;
	queue->index = index;
	queue->depth = device->depth;
	queue->host = host;
	queue->loop = bdus_host_loop(host);
	queue->first_buffer = -1;
	queue->exchange = device->batches ? &ublk_exchange_batches : &ublk_exchange_singly;
	queue->idle_call.completed = on_idle_check;
	result = open_queue(queue);
	if (result < 0) {
		ublk_queue_close(queue);
		return result;
	}
	if (index == 0)
		device->main_queue = queue;
	*result_queue = queue;
	return 0;
}

void ublk_queue_close(struct bdus_transport_queue *queue)
{
	if (!queue)
		return;
	if (queue->device->main_queue == queue)
		ublk_device_leave_loop(queue->device);
	bdus_loop_end_call(queue->loop, &queue->idle_call);
	queue->exchange->finish(queue);
	if (queue->file_flag)
		bdus_loop_remove_file(queue->loop, queue->file);
	if (queue->first_buffer >= 0)
		bdus_loop_remove_buffers(queue->loop, (unsigned)queue->first_buffer, queue->depth);
	if (queue->descriptors)
		munmap((void *)(uintptr_t)queue->descriptors, queue->descriptors_bytes);
	if (queue->payloads)
		munmap(queue->payloads, queue->payload_stride * queue->depth);
	for (unsigned tag = 0; queue->slots && tag < queue->depth; tag++)
		ublk_zoned_free_room(&queue->slots[tag].io.request);
	free(queue->slots);
	free(queue->arrived);
	free(queue);
}

/* ---- requests ------------------------------------------------------------------------------ */

/* Has the loop ask for what there is to tell. */
static void tell(struct bdus_transport_queue *queue)
{
	bdus_host_make_ready(queue->host);
}

void ublk_queue_ended(struct bdus_transport_queue *queue)
{
	tell(queue);
}

struct bdus_loop *ublk_queue_loop(struct bdus_transport_queue *queue)
{
	return queue->loop;
}

void ublk_queue_fail(struct bdus_transport_queue *queue, int result)
{
	bdus_host_fail(queue->host, result);
}

static void arm_idle_check(struct bdus_transport_queue *queue)
{
	asys_prep_timeout(&queue->idle_call.message, base_deadline_ns(IDLE_MS));
	queue->idle_check_armed = bdus_loop_send(queue->loop, &queue->idle_call) == 0;
	queue->busy = false;
}

static bool has_payload(const struct bdus_request *request)
{
	return request->op == BDUS_OP_READ || request->op == BDUS_OP_WRITE ||
	       request->op == BDUS_OP_ZONE_APPEND;
}

/* The payload is in the ring, and not for this process to see. */
static void refer_to_buffer(struct bdus_transport_queue *queue, unsigned tag,
			    struct bdus_request *request)
{
	if (!has_payload(request))
		return;
	request->data = NULL;
	request->payload_buffer = (unsigned)queue->first_buffer + tag + 1;
	request->payload_offset_bytes = 0;
}

void ublk_queue_arrive(struct bdus_transport_queue *queue, unsigned tag)
{
	struct ublk_slot *const slot = &queue->slots[tag];

	if (base_unlikely(ublk_decode_request(&queue->descriptors[tag], &queue->device->limits,
					      ublk_queue_payload(queue, tag), &slot->io) != 0)) {
		slot->io.request.op = BDUS_OP_COUNT;
		queue->exchange->give(queue, tag, -EIO);
		return;
	}
	if (base_unlikely(slot->io.request.op == BDUS_OP_ZONE_REPORT) &&
	    ublk_zoned_make_room(&slot->io.request) < 0) {
		queue->exchange->give(queue, tag, -ENOMEM);
		return;
	}
	if (queue->first_buffer >= 0)
		refer_to_buffer(queue, tag, &slot->io.request);
	queue->arrived[queue->arrived_count++] = &slot->io;
	tell(queue);
}

/* ---- other events -------------------------------------------------------------------------- */

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

/* ---- payloads that are copied here ---------------------------------------------------------- */

/* Reading the character device at the place that stands for a request reads its pages. */
static int copy(const struct bdus_transport_queue *queue, uint64_t tag,
		const struct bdus_request *request, uint64_t skip_bytes, void *memory,
		size_t length_bytes)
{
	const uint64_t place = UBLK_ABI_COPY_START +
			       ((uint64_t)queue->index << UBLK_ABI_COPY_QUEUE_SHIFT) +
			       (tag << UBLK_ABI_COPY_TAG_SHIFT) + skip_bytes;
	const int fd = queue->device->char_fd;
	const bool from_client = request->op == BDUS_OP_WRITE || request->op == BDUS_OP_ZONE_APPEND;
	const ssize_t done = from_client ? pread(fd, memory, length_bytes, (off_t)place)
					 : pwrite(fd, memory, length_bytes, (off_t)place);

	return done == (ssize_t)length_bytes ? 0 : -EIO;
}

int ublk_queue_copy_payload(struct bdus_transport_queue *queue, struct bdus_io *io,
			    uint64_t skip_bytes, void *memory, size_t length_bytes)
{
	const struct bdus_request *const request = &io->request;

	return copy(queue, request->payload_buffer - 1 - (unsigned)queue->first_buffer, request,
		    request->payload_offset_bytes + skip_bytes, memory, length_bytes);
}

static unsigned tag_of(const struct bdus_transport_queue *queue, const struct bdus_io *io)
{
	return (unsigned)(base_container_of(io, const struct ublk_slot, io) - queue->slots);
}

/* Memory for the payload, with what is to be written in it; -EAGAIN while there is none. */
static int bring_payload(struct bdus_transport_queue *queue, struct bdus_io *io)
{
	struct bdus_request *const request = &io->request;
	const size_t bytes = request->length_bytes;
	int result;

	if (!has_payload(request))
		return 0;
	if (queue->device->memory) {
		request->data = bdus_memory_get(queue->device->memory, queue->host, bytes);
		if (!request->data)
			return -EAGAIN;
	}
	if (request->op == BDUS_OP_READ)
		return 0;
	result = copy(queue, tag_of(queue, io), request, 0, request->data, bytes);
	if (result < 0 && queue->device->memory)
		bdus_memory_put(queue->device->memory, request->data, bytes);
	return result;
}

/* Hands over what was read, and gives the memory back. */
static void take_payload(struct bdus_transport_queue *queue, struct bdus_io *io)
{
	struct bdus_request *const request = &io->request;

	if (!has_payload(request))
		return;
	if (request->op == BDUS_OP_READ && io->result == 0)
		io->result = copy(queue, tag_of(queue, io), request, 0, request->data,
				  request->length_bytes);
	if (queue->device->memory)
		bdus_memory_put(queue->device->memory, request->data, request->length_bytes);
}

/* ---- reports of zones ---------------------------------------------------------------------- */

/* Hands a report over in pieces, as the kernel's structures are larger than ours. */
static int copy_report(const struct bdus_transport_queue *queue, const struct bdus_io *io)
{
	const struct bdus_request *const request = &io->request;
	struct ublk_abi_zone encoded[UBLK_ZONES_AT_ONCE];
	int result = 0;

	for (uint32_t done = 0; done < request->zone_count && result == 0;) {
		const unsigned count =
			(unsigned)base_min(request->zone_count - done, UBLK_ZONES_AT_ONCE);

		ublk_zoned_encode(request->zones + done, count, encoded);
		result = copy(queue, tag_of(queue, io), request, done * sizeof(encoded[0]), encoded,
			      count * sizeof(encoded[0]));
		done += count;
	}
	return result;
}

static void take_report(const struct bdus_transport_queue *queue, struct bdus_io *io)
{
	if (io->result == 0)
		io->result = copy_report(queue, io);
	ublk_zoned_free_room(&io->request);
}

/* ---- towards the engine -------------------------------------------------------------------- */

/*
 * Nobody may use payload memory now: no request is with the engine, none has come, and the kernel
 * copies payloads only while the loop waits.
 */
static void trim(struct bdus_transport_queue *queue)
{
	queue->trim_due = false;
	if (queue->held == 0 && queue->arrived_count == 0 && queue->device->may_trim &&
	    bdus_loop_is_quiet(queue->loop))
		madvise(queue->payloads, queue->payload_stride * queue->depth, MADV_DONTNEED);
}

static void drop_arrived(struct bdus_transport_queue *queue, unsigned count)
{
	queue->arrived_count -= count;
	if (base_unlikely(queue->arrived_count != 0))
		memmove(queue->arrived, queue->arrived + count,
			queue->arrived_count * sizeof(struct bdus_io *));
}

static unsigned take_arrived(struct bdus_transport_queue *queue, struct bdus_io **ios,
			     unsigned capacity)
{
	const unsigned count = (unsigned)base_min(queue->arrived_count, capacity);

	memcpy(ios, queue->arrived, count * sizeof(struct bdus_io *));
	drop_arrived(queue, count);
	queue->held += count;
	if (base_unlikely(queue->arrived_count != 0))
		tell(queue);
	return count;
}

/* The same where each payload needs memory; those for which there is none wait, in their order. */
static unsigned take_with_payloads(struct bdus_transport_queue *queue, struct bdus_io **ios,
				   unsigned capacity)
{
	unsigned taken = 0, count = 0;
	int result = 0;

	while (taken < queue->arrived_count && count < capacity) {
		struct bdus_io *const io = queue->arrived[taken];

		result = bring_payload(queue, io);
		if (result == -EAGAIN)
			break;
		taken++;
		if (result == 0)
			ios[count++] = io;
		else
			queue->exchange->give(queue, tag_of(queue, io), result);
	}
	drop_arrived(queue, taken);
	queue->exchange->flush(queue);
	queue->held += count;
	if (queue->arrived_count != 0 && result != -EAGAIN)
		tell(queue);
	return count;
}

int ublk_queue_fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	if (base_unlikely(queue->held == 0 && queue->arrived_count == 0 &&
			  queue->exchange->has_ended(queue)))
		return base_error(ENODEV, "ublk: the device has ended");
	if (base_unlikely(queue->trim_due))
		trim(queue);
	if (base_likely(queue->arrived_count != 0 && queue->payloads)) {
		queue->busy = true;
		if (base_unlikely(!queue->idle_check_armed))
			arm_idle_check(queue);
	}
	if (base_unlikely(queue->device->user_copy))
		return (int)take_with_payloads(queue, ios, capacity);
	return (int)take_arrived(queue, ios, capacity);
}

void ublk_queue_commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
		       unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (base_unlikely(queue->device->user_copy))
			take_payload(queue, ios[i]);
		if (base_unlikely(ios[i]->request.op == BDUS_OP_ZONE_REPORT))
			take_report(queue, ios[i]);
		queue->exchange->give(queue, tag_of(queue, ios[i]), ublk_encode_result(ios[i]));
	}
	queue->exchange->flush(queue);
	queue->held -= count;
	if (base_unlikely(queue->exchange->has_ended(queue)))
		tell(queue);
}
