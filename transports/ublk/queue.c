/* SPDX-License-Identifier: MIT */
/*
 * The way of requests: one ring a queue.
 *
 * Each tag of the queue always has one command: with the kernel, waiting for a request, or back
 * from it, while the engine has the request. The result of a request and the wait for the tag's
 * next one are one command; results are prepared by commit() and go to the kernel in the same
 * system call in which fetch() waits.
 *
 *	      open                request             commit
 *	(none) ──▶ with the kernel ──▶ with the engine ──▶ with the kernel …
 *	                  │ device stopped
 *	                  ▼
 *	               retired; once all are, fetch() returns -ENODEV
 *
 * Owner: the thread that opened the queue. The kernel insists on it, too.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "ublk_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a completion is about: a tag, or one of these. */
enum {
	EVENT_WAKE = UBLK_ABI_DEPTH,
	EVENT_ERRAND,
	EVENT_IDLE_CHECK,
	EVENT_COUNT
};

/* Index of the character device in the ring's table of files. */
#define CHAR_FILE 0

/* After this long without any request, payload memory goes back to the system. */
#define IDLE_SECONDS 10

struct bdus_transport_queue {
	struct io_uring ring;
	struct bdus_transport_device *device;
	unsigned index;
	unsigned depth;
	uint32_t commit_number;
	/* The kernel's requests, by tag; read-only. */
	const struct ublk_abi_io_desc *descriptors;
	size_t descriptors_bytes;
	/* Payloads, by tag. Never touched memory takes no room. */
	uint8_t *payloads;
	size_t payload_stride;
	struct bdus_io *ios;

	/* Tags that came back without a request, and requests that the engine has. */
	unsigned retired;
	unsigned held;
	int wake_fd;
	bool wake_armed;
	bool errand_armed;
	bool ring_ready;
	/* The ring runs the kernel's side only while we wait in it. */
	bool ring_defers;
	bool idle_check_armed;
	/* Requests came since the last idle check. */
	bool busy;
	/* Payload memory may be in use by nobody, and has been for long. */
	bool trim_due;
	struct __kernel_timespec idle_time;
};

/* ---- opening and closing ------------------------------------------------------------------- */

static void *payload_of(const struct bdus_transport_queue *queue, unsigned tag)
{
	return queue->payloads + tag * queue->payload_stride;
}

static unsigned round_up_to_power_of_two(unsigned value)
{
	unsigned power = 1;

	while (power < value)
		power *= 2;
	return power;
}

/* The best set-up first; kernels that lack a flag say -EINVAL. */
static int create_ring(struct bdus_transport_queue *queue)
{
	static const unsigned setups[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	const unsigned submissions =
		round_up_to_power_of_two((unsigned)base_min(queue->depth, BDUS_BATCH));
	int result = -EINVAL;

	for (unsigned i = 0; result == -EINVAL && i < BASE_ARRAY_LENGTH(setups); i++) {
		struct io_uring_params params = {
			.flags = setups[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries =
				round_up_to_power_of_two(queue->depth + EVENT_COUNT - EVENT_WAKE),
		};

		result = io_uring_queue_init_params(submissions, &queue->ring, &params);
		queue->ring_defers = (setups[i] & IORING_SETUP_DEFER_TASKRUN) != 0;
	}
	if (result < 0)
		return base_error_errno(-result, "ublk: cannot create an io_uring for queue %u",
					queue->index);
	queue->ring_ready = true;
	/* A child that had the ring mapped would keep the device served after our death. */
	io_uring_ring_dontfork(&queue->ring);
	result = io_uring_register_files(&queue->ring, &queue->device->char_fd, 1);
	if (result < 0)
		return base_error_errno(-result, "ublk: cannot register /dev/ublkc%u in a ring",
					queue->device->number);
	/* Saves the kernel a look-up in each call; where it has no such thing, nothing is lost. */
	io_uring_register_ring_fd(&queue->ring);
	return 0;
}

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

static void prepare_command(struct bdus_transport_queue *queue, struct io_uring_sqe *sqe,
			    uint32_t number, unsigned tag, int32_t result)
{
	struct ublk_abi_io_cmd body;

	ublk_abi_io_cmd_set_queue_id(&body, (uint16_t)queue->index);
	ublk_abi_io_cmd_set_tag(&body, (uint16_t)tag);
	ublk_abi_io_cmd_set_result(&body, result);
	ublk_abi_io_cmd_set_addr(&body, (uintptr_t)payload_of(queue, tag));
	memset(sqe, 0, offsetof(struct io_uring_sqe, addr3));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = CHAR_FILE;
	sqe->cmd_op = number;
	sqe->user_data = tag;
	memcpy(&sqe->addr3, &body, sizeof(body));
}

/* A free entry; makes room by a system call when the ring is full. NULL when that failed. */
static struct io_uring_sqe *get_entry(struct bdus_transport_queue *queue)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&queue->ring);

	if (base_unlikely(!sqe)) {
		while (io_uring_submit(&queue->ring) == -EINTR)
			;
		sqe = io_uring_get_sqe(&queue->ring);
	}
	return sqe;
}

static int submit_fetches(struct bdus_transport_queue *queue)
{
	const uint32_t number = ublk_control_is_encoded(queue->device->control)
					? (uint32_t)UBLK_ENCODE_IO(UBLK_ABI_IO_FETCH)
					: UBLK_ABI_IO_FETCH;
	int result;

	for (unsigned tag = 0; tag < queue->depth; tag++) {
		struct io_uring_sqe *const sqe = get_entry(queue);

		if (!sqe)
			return base_error(EIO, "ublk: the ring of queue %u takes no more commands",
					  queue->index);
		prepare_command(queue, sqe, number, tag, 0);
	}
	do {
		result = io_uring_submit(&queue->ring);
	} while (result == -EINTR);
	if (result < 0)
		return base_error_errno(-result, "ublk: cannot submit to the ring of queue %u",
					queue->index);
	return 0;
}

/*
 * The kernel looks for partitions only when every queue was fetched by a privileged thread: see
 * ublk_create().
 */
static int fetch_all(struct bdus_transport_queue *queue)
{
	int result;

	if (!queue->device->hide_privilege)
		return submit_fetches(queue);
	result = ublk_hide_privilege();
	if (result < 0)
		return base_error_errno(-result, "ublk: cannot lay down CAP_SYS_ADMIN for a moment "
						 "to keep the kernel from looking for partitions");
	result = submit_fetches(queue);
	ublk_restore_privilege();
	return result;
}

static int open_queue(struct bdus_transport_queue *queue)
{
	int result;

	queue->ios = calloc(queue->depth, sizeof(*queue->ios));
	if (!queue->ios)
		return base_error(ENOMEM, "out of memory for %u requests", queue->depth);
	for (unsigned tag = 0; tag < queue->depth; tag++)
		bdus_io_init(&queue->ios[tag]);
	result = create_ring(queue);
	if (result == 0)
		result = map_descriptors(queue);
	if (result == 0)
		result = map_payloads(queue);
	if (result == 0)
		result = fetch_all(queue);
	return result;
}

int ublk_queue_open(struct bdus_transport_device *device, unsigned index, int wake_fd,
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
	queue->wake_fd = wake_fd;
	queue->idle_time.tv_sec = IDLE_SECONDS;
	queue->commit_number = ublk_control_is_encoded(device->control)
				       ? (uint32_t)UBLK_ENCODE_IO(UBLK_ABI_IO_COMMIT_AND_FETCH)
				       : UBLK_ABI_IO_COMMIT_AND_FETCH;
	result = open_queue(queue);
	if (result < 0) {
		ublk_queue_close(queue);
		return result;
	}
	*result_queue = queue;
	return 0;
}

void ublk_queue_close(struct bdus_transport_queue *queue)
{
	if (!queue)
		return;
	if (queue->ring_ready)
		io_uring_queue_exit(&queue->ring);
	if (queue->descriptors)
		munmap((void *)(uintptr_t)queue->descriptors, queue->descriptors_bytes);
	if (queue->payloads)
		munmap(queue->payloads, queue->payload_stride * queue->depth);
	free(queue->ios);
	free(queue);
}

/* ---- waiting ------------------------------------------------------------------------------- */

/* One poll at a time, armed anew after each event: it then reports what is still readable. */
static void arm_poll(struct bdus_transport_queue *queue, int fd, unsigned mask, unsigned event,
		     bool *armed)
{
	struct io_uring_sqe *const sqe = get_entry(queue);

	if (!sqe)
		return;
	io_uring_prep_poll_add(sqe, fd, mask);
	sqe->user_data = event;
	*armed = true;
}

static void arm_idle_check(struct bdus_transport_queue *queue)
{
	struct io_uring_sqe *const sqe = get_entry(queue);

	if (!sqe)
		return;
	io_uring_prep_timeout(sqe, &queue->idle_time, 0, 0);
	sqe->user_data = EVENT_IDLE_CHECK;
	queue->idle_check_armed = true;
	queue->busy = false;
}

static void arm_events(struct bdus_transport_queue *queue)
{
	if (base_unlikely(!queue->wake_armed))
		arm_poll(queue, queue->wake_fd, POLLIN, EVENT_WAKE, &queue->wake_armed);
	if (base_unlikely(queue->busy && !queue->idle_check_armed))
		arm_idle_check(queue);
	if (base_unlikely(queue->index == 0 && queue->device->watched && !queue->errand_armed))
		arm_poll(queue, ublk_errand_fd(queue->device->watched), POLLHUP, EVENT_ERRAND,
			 &queue->errand_armed);
}

/* Queue 0 must not sleep past the time limit of START_DEV. */
static int limit_timeout(const struct bdus_transport_queue *queue, int timeout_ms)
{
	int patience_ms;

	if (base_likely(queue->index != 0 || queue->device->start_deadline_ns == 0))
		return timeout_ms;
	patience_ms = base_remaining_ms(queue->device->start_deadline_ns);
	return timeout_ms >= 0 && timeout_ms < patience_ms ? timeout_ms : patience_ms;
}

/* Hands everything prepared to the kernel and waits for completions, in one system call. */
static int enter_ring(struct bdus_transport_queue *queue, int timeout_ms)
{
	struct io_uring *const ring = &queue->ring;
	struct io_uring_cqe *cqe;
	struct __kernel_timespec timeout;
	int result;

	if (timeout_ms == 0 || io_uring_cq_ready(ring) != 0) {
		result = io_uring_submit_and_get_events(ring);
	} else if (timeout_ms < 0) {
		result = io_uring_submit_and_wait(ring, 1);
	} else {
		timeout.tv_sec = timeout_ms / 1000;
		timeout.tv_nsec = timeout_ms % 1000 * 1000000LL;
		result = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &timeout, NULL);
	}
	/* Time over, a signal, or a shortage that passes: the caller comes again. */
	if (result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
	    result == -EBUSY)
		return 0;
	return base_error_errno(-result, "ublk: cannot wait in the ring of queue %u", queue->index);
}

/* ---- requests ------------------------------------------------------------------------------ */

static void commit_result(struct bdus_transport_queue *queue, unsigned tag, int32_t result)
{
	struct io_uring_sqe *const sqe = get_entry(queue);

	/* The ring has room for all tags once it was submitted, so this is a ring out of order. */
	if (base_unlikely(!sqe)) {
		queue->retired++;
		return;
	}
	prepare_command(queue, sqe, queue->commit_number, tag, result);
}

/* A tag's command is back: stores its request at @io and returns 1, or 0 when there is none. */
static int take_tag(struct bdus_transport_queue *queue, unsigned tag, int result,
		    struct bdus_io **io)
{
	struct bdus_io *const slot = &queue->ios[tag];

	queue->busy = true;
	if (base_unlikely(result == -ENODEV)) {
		queue->retired++;
		return 0;
	}
	if (base_unlikely(result != UBLK_ABI_IO_RESULT_REQUEST)) {
		queue->retired++;
		return base_error_errno(result < 0 ? -result : EPROTO,
					"ublk: the kernel failed a command of tag %u of queue %u "
					"with %d",
					tag, queue->index, result);
	}
	if (base_unlikely(ublk_decode_request(&queue->descriptors[tag], &queue->device->limits,
					      payload_of(queue, tag), slot) != 0)) {
		commit_result(queue, tag, -EIO);
		return 0;
	}
	queue->held++;
	*io = slot;
	return 1;
}

static int take_event(struct bdus_transport_queue *queue, uint64_t event)
{
	switch (event) {
	case EVENT_WAKE:
		queue->wake_armed = false;
		return 0;
	case EVENT_ERRAND:
		queue->errand_armed = false;
		return ublk_device_on_errand(queue->device);
	case EVENT_IDLE_CHECK:
		queue->idle_check_armed = false;
		queue->trim_due = !queue->busy;
		return 0;
	default:
		return base_error(EPROTO, "ublk: a completion for tag %llu of a queue of %u",
				  (unsigned long long)event, queue->depth);
	}
}

/*
 * Nobody may use payload memory now: no request is with the engine, none waits in the ring, and
 * the kernel copies payloads only while we wait in it.
 */
static void trim(struct bdus_transport_queue *queue)
{
	queue->trim_due = false;
	if (queue->held == 0 && queue->ring_defers && queue->device->may_trim &&
	    io_uring_cq_ready(&queue->ring) == 0)
		madvise(queue->payloads, queue->payload_stride * queue->depth, MADV_DONTNEED);
}

static int take_completions(struct bdus_transport_queue *queue, struct bdus_io **ios,
			    unsigned capacity)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0, count = 0;
	int result = 0;

	io_uring_for_each_cqe(&queue->ring, head, cqe)
	{
		if (count == capacity || result < 0)
			break;
		seen++;
		if (base_likely(cqe->user_data < queue->depth)) {
			result = take_tag(queue, (unsigned)cqe->user_data, cqe->res, &ios[count]);
			count += result > 0;
		} else {
			result = take_event(queue, cqe->user_data);
		}
	}
	io_uring_cq_advance(&queue->ring, seen);
	return result < 0 ? result : (int)count;
}

int ublk_queue_fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity,
		     int timeout_ms)
{
	int result;

	if (base_unlikely(queue->retired == queue->depth && queue->held == 0))
		return base_error(ENODEV, "ublk: the device has ended");
	arm_events(queue);
	result = enter_ring(queue, limit_timeout(queue, timeout_ms));
	if (result < 0)
		return result;
	result = take_completions(queue, ios, capacity);
	if (base_unlikely(queue->trim_due))
		trim(queue);
	return result;
}

void ublk_queue_commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
		       unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const unsigned tag = (unsigned)(ios[i] - queue->ios);

		commit_result(queue, tag, ublk_encode_result(ios[i]));
	}
	queue->held -= count;
}
