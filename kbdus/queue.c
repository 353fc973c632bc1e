// SPDX-License-Identifier: GPL-2.0
/*
 * A queue's server: requests to it, results from it, and payloads, by shared memory and by commands
 * that are all carried out by the server's own task, whose memory is therefore at hand.
 *
 * Who adds a request rings if the server waits; the server looks for requests once more after it
 * said that it waits. Both happen under queue->lock. Of what lies in shared memory, indices are
 * published with release and read with acquire semantics, entries are copied once and then checked,
 * and nothing that the module itself needs to know is read back from there.
 */
#include "kbdus_internal.h"

#include "compat/compat.h"

#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

/* How soon a server's death is noticed where its files stay open. */
#define WATCH_JIFFIES (HZ / 2)

/* ---- memory ---------------------------------------------------------------------------------- */

static int map_rings(struct kbdus_queue *queue, u32 depth)
{
	BUILD_BUG_ON(sizeof(struct kbdus_abi_rings) != KBDUS_ABI_ENTRIES_OFFSET);
	queue->entries = roundup_pow_of_two(depth);
	queue->map_bytes = PAGE_ALIGN(KBDUS_ABI_ENTRIES_OFFSET +
				      queue->entries * (sizeof(struct kbdus_abi_request) +
							sizeof(struct kbdus_abi_result)));
	queue->rings = vmalloc_user(queue->map_bytes);
	if (!queue->rings)
		return -ENOMEM;
	queue->requests = (void *)queue->rings + KBDUS_ABI_ENTRIES_OFFSET;
	queue->results = (void *)(queue->requests + queue->entries);
	return 0;
}

static void watch_server(struct work_struct *work);

struct kbdus_queue *kbdus_queue_create(struct kbdus_device *device, unsigned int index)
{
	const u32 depth = kbdus_abi_device_queue_depth(&device->created);
	struct kbdus_queue *queue;
	u32 tag;

	queue = kvzalloc(struct_size(queue, slots, depth), GFP_KERNEL);
	if (!queue)
		return NULL;
	queue->device = device;
	queue->index = index;
	spin_lock_init(&queue->lock);
	mutex_init(&queue->serving);
	init_waitqueue_head(&queue->wait);
	INIT_LIST_HEAD(&queue->pending);
	INIT_DELAYED_WORK(&queue->watch, watch_server);
	for (tag = 0; tag < depth; tag++)
		INIT_LIST_HEAD(&queue->slots[tag].link);
	if (map_rings(queue, depth)) {
		kvfree(queue);
		return NULL;
	}
	return queue;
}

void kbdus_queue_destroy(struct kbdus_queue *queue)
{
	cancel_delayed_work_sync(&queue->watch);
	if (queue->server)
		put_task_struct(queue->server);
	mutex_destroy(&queue->serving);
	vfree(queue->rings);
	kvfree(queue);
}

/* ---- words of the shared memory -------------------------------------------------------------- */

static u32 *word(void *field)
{
	return field;
}

static void set_waiting(struct kbdus_queue *queue, u32 value)
{
	WRITE_ONCE(*word(&queue->rings->waiting), value);
}

/* Whatever else the server does to the entry, what is checked is what is used. */
static struct kbdus_abi_result read_result(const struct kbdus_queue *queue, u32 index)
{
	const u64 *from = (const u64 *)&queue->results[index & (queue->entries - 1)];
	union {
		u64 words[sizeof(struct kbdus_abi_result) / sizeof(u64)];
		struct kbdus_abi_result result;
	} copy;
	unsigned int i;

	BUILD_BUG_ON(sizeof(copy.words) != sizeof(copy.result));
	for (i = 0; i < ARRAY_SIZE(copy.words); i++)
		copy.words[i] = READ_ONCE(from[i]);
	return copy.result;
}

static void write_request(struct kbdus_queue *queue, struct kbdus_slot *slot)
{
	struct kbdus_abi_request *to =
		&queue->requests[queue->requests_tail & (queue->entries - 1)];
	struct kbdus_abi_request entry = {};
	u16 flags = 0;

	kbdus_abi_request_set_tag(&entry, slot - queue->slots);
	kbdus_abi_request_set_generation(&entry, slot->generation);
	kbdus_abi_request_set_op(&entry,
				 kbdus_disk_operation(queue->device, slot->request, &flags));
	kbdus_abi_request_set_flags(&entry, flags);
	kbdus_abi_request_set_offset_bytes(&entry, (u64)blk_rq_pos(slot->request) << SECTOR_SHIFT);
	kbdus_abi_request_set_length_bytes(&entry, blk_rq_bytes(slot->request));
	*to = entry;
	queue->requests_tail++;
}

/* With the lock: the request is the caller's to end. */
static void release(struct kbdus_queue *queue, struct kbdus_slot *slot)
{
	slot->state = KBDUS_SLOT_FREE;
	queue->busy--;
}

/* ---- from the block layer -------------------------------------------------------------------- */

static bool has_news(const struct kbdus_queue *queue)
{
	return !list_empty(&queue->pending) || queue->news || queue->ended;
}

static void bring_requests(struct io_uring_cmd *command, unsigned int issue_flags);
KBDUS_DEFINE_TASK_WORK(bring, bring_requests)

/* Wakes whoever waits, in whichever way. Called with the lock, which it lets go. */
static void ring(struct kbdus_queue *queue, unsigned long flags) __releases(&queue->lock)
{
	struct io_uring_cmd *command = queue->command;

	queue->command = NULL;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (command)
		io_uring_cmd_complete_in_task(command, bring);
	if (wq_has_sleeper(&queue->wait))
		wake_up_all(&queue->wait);
}

void kbdus_queue_ring(struct kbdus_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	ring(queue, flags);
}

bool kbdus_queue_add(struct kbdus_queue *queue, struct request *request, bool last)
{
	struct kbdus_slot *slot = &queue->slots[request->tag];
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->dead || WARN_ON_ONCE(slot->state != KBDUS_SLOT_FREE)) {
		spin_unlock_irqrestore(&queue->lock, flags);
		return false;
	}
	slot->request = request;
	slot->state = KBDUS_SLOT_PENDING;
	list_add_tail(&slot->link, &queue->pending);
	queue->busy++;
	set_waiting(queue, 1);
	if (unlikely(!queue->watched)) {
		queue->watched = true;
		queue_delayed_work(kbdus_work, &queue->watch, WATCH_JIFFIES);
	}
	if (last)
		ring(queue, flags);
	else
		spin_unlock_irqrestore(&queue->lock, flags);
	return true;
}

bool kbdus_queue_time_out(struct kbdus_queue *queue, struct request *request)
{
	struct kbdus_slot *slot = &queue->slots[request->tag];
	unsigned long flags;
	bool ended;

	spin_lock_irqsave(&queue->lock, flags);
	ended = slot->request == request &&
		(slot->state == KBDUS_SLOT_PENDING || slot->state == KBDUS_SLOT_SERVED);
	if (ended) {
		list_del_init(&slot->link);
		release(queue, slot);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return ended;
}

void kbdus_queue_abort(struct kbdus_queue *queue)
{
	const u32 depth = kbdus_abi_device_queue_depth(&queue->device->created);
	struct kbdus_slot *slot, *next;
	unsigned long flags;
	LIST_HEAD(failed);
	u32 tag;

	spin_lock_irqsave(&queue->lock, flags);
	queue->dead = true;
	for (tag = 0; tag < depth; tag++) {
		slot = &queue->slots[tag];
		if (slot->state == KBDUS_SLOT_PENDING || slot->state == KBDUS_SLOT_SERVED) {
			release(queue, slot);
			list_move_tail(&slot->link, &failed);
		}
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	/* Slots of a dead queue are not used again. */
	list_for_each_entry_safe (slot, next, &failed, link) {
		list_del_init(&slot->link);
		kbdus_disk_end(slot->request, -EIO);
	}
}

static bool is_killed(const struct kbdus_queue *queue)
{
	return READ_ONCE(queue->server->signal->flags) & SIGNAL_GROUP_EXIT;
}

/*
 * Files are closed with a process's last thread. That may be one that waits for the very device,
 * and it would for ever.
 */
static void watch_server(struct work_struct *work)
{
	struct kbdus_queue *queue = container_of(work, struct kbdus_queue, watch.work);
	unsigned long flags;

	if (is_killed(queue))
		kbdus_device_stop(queue->device, true);
	spin_lock_irqsave(&queue->lock, flags);
	queue->watched = queue->busy != 0;
	if (queue->watched)
		queue_delayed_work(kbdus_work, &queue->watch, WATCH_JIFFIES);
	spin_unlock_irqrestore(&queue->lock, flags);
}

void kbdus_queue_finish(struct kbdus_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	queue->ended = true;
	ring(queue, flags);
}

void kbdus_queue_notify(struct kbdus_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	queue->news = true;
	ring(queue, flags);
}

/* ---- payloads -------------------------------------------------------------------------------- */

/* From @skip bytes of the request's payload on, as much as @iter takes. */
static size_t copy_pages(struct request *request, size_t skip, struct iov_iter *iter)
{
	struct req_iterator position;
	struct bio_vec piece;
	size_t done = 0;

	rq_for_each_segment (piece, request, position) {
		size_t bytes, copied;

		if (skip >= piece.bv_len) {
			skip -= piece.bv_len;
			continue;
		}
		bytes = min_t(size_t, piece.bv_len - skip, iov_iter_count(iter));
		if (bytes == 0)
			break;
		if (rq_data_dir(request) == WRITE)
			copied = copy_page_to_iter(piece.bv_page, piece.bv_offset + skip, bytes,
						   iter);
		else
			copied = copy_page_from_iter(piece.bv_page, piece.bv_offset + skip, bytes,
						     iter);
		done += copied;
		skip = 0;
		if (copied != bytes)
			break;
	}
	return done;
}

static int copy_whole(struct request *request, u64 address)
{
	const size_t bytes = blk_rq_bytes(request);
	struct iov_iter iter;

	if (address > ULONG_MAX || !access_ok(u64_to_user_ptr(address), bytes))
		return -EFAULT;
	kbdus_iter_user(&iter, rq_data_dir(request) == WRITE ? KBDUS_ITER_TO : KBDUS_ITER_FROM,
			u64_to_user_ptr(address), bytes);
	return copy_pages(request, 0, &iter) == bytes ? 0 : -EFAULT;
}

static bool has_payload(struct request *request)
{
	return req_op(request) == REQ_OP_READ || req_op(request) == REQ_OP_WRITE;
}

/*
 * Ends the exclusive use of a slot: with the request with the server, or, if the queue has died
 * meanwhile or there was an @error, with the end of the request. Whether the server has it.
 */
static bool settle(struct kbdus_queue *queue, struct kbdus_slot *slot, int error)
{
	struct request *request = slot->request;
	unsigned long flags;
	bool served;

	spin_lock_irqsave(&queue->lock, flags);
	served = !queue->dead && !error;
	if (served)
		slot->state = KBDUS_SLOT_SERVED;
	else
		release(queue, slot);
	spin_unlock_irqrestore(&queue->lock, flags);
	if (!served)
		kbdus_disk_end(request, -EIO);
	return served;
}

static struct kbdus_slot *find_served(struct kbdus_queue *queue, u64 tag, bool write)
{
	struct kbdus_slot *slot;
	unsigned long flags;

	if (tag >= kbdus_abi_device_queue_depth(&queue->device->created))
		return NULL;
	slot = &queue->slots[tag];
	spin_lock_irqsave(&queue->lock, flags);
	if (slot->state == KBDUS_SLOT_SERVED && has_payload(slot->request) &&
	    (rq_data_dir(slot->request) == WRITE) == write)
		slot->state = KBDUS_SLOT_MOVING;
	else
		slot = NULL;
	spin_unlock_irqrestore(&queue->lock, flags);
	return slot;
}

ssize_t kbdus_queue_copy(struct kbdus_queue *queue, loff_t place, struct iov_iter *iter)
{
	const bool write = iov_iter_rw(iter) == READ;
	const size_t wanted = iov_iter_count(iter);
	struct kbdus_slot *slot;
	ssize_t done;

	if (place < 0)
		return -EINVAL;
	if (mutex_lock_killable(&queue->serving))
		return -EINTR;
	slot = find_served(queue, place >> KBDUS_ABI_PLACE_TAG_SHIFT, write);
	if (!slot) {
		mutex_unlock(&queue->serving);
		return -EINVAL;
	}
	done = copy_pages(slot->request, place & U32_MAX, iter);
	if (!done && wanted && (place & U32_MAX) < blk_rq_bytes(slot->request))
		done = -EFAULT;
	settle(queue, slot, 0);
	mutex_unlock(&queue->serving);
	return done;
}

/* ---- results --------------------------------------------------------------------------------- */

/* The slot that a result is for, now the caller's; NULL if it is for nothing. */
static struct kbdus_slot *claim(struct kbdus_queue *queue, const struct kbdus_abi_result *result)
{
	const u32 tag = kbdus_abi_result_tag(result);
	struct kbdus_slot *slot;
	unsigned long flags;

	if (tag >= kbdus_abi_device_queue_depth(&queue->device->created))
		return NULL;
	slot = &queue->slots[tag];
	spin_lock_irqsave(&queue->lock, flags);
	if (slot->state == KBDUS_SLOT_SERVED &&
	    slot->generation == kbdus_abi_result_generation(result))
		slot->state = KBDUS_SLOT_MOVING;
	else
		slot = NULL;
	spin_unlock_irqrestore(&queue->lock, flags);
	return slot;
}

static void take_result(struct kbdus_queue *queue, const struct kbdus_abi_result *result)
{
	struct kbdus_slot *slot = claim(queue, result);
	int error = kbdus_abi_result_result(result);
	struct request *request;
	unsigned long flags;

	if (!slot) {
		queue->refused++;
		return;
	}
	request = slot->request;
	if (!error && req_op(request) == REQ_OP_READ &&
	    !(kbdus_abi_result_flags(result) & KBDUS_ABI_RESULT_FLAG_PLACED))
		error = copy_whole(request, kbdus_abi_result_address(result));
	spin_lock_irqsave(&queue->lock, flags);
	release(queue, slot);
	spin_unlock_irqrestore(&queue->lock, flags);
	kbdus_disk_end(request, error);
}

static int take_results(struct kbdus_queue *queue)
{
	const u32 tail = smp_load_acquire(word(&queue->rings->results_tail));
	struct kbdus_abi_result result;

	if (tail - queue->results_head > queue->entries)
		return -EPROTO;
	while (queue->results_head != tail) {
		result = read_result(queue, queue->results_head);
		take_result(queue, &result);
		queue->results_head++;
	}
	WRITE_ONCE(*word(&queue->rings->results_refused), queue->refused);
	smp_store_release(word(&queue->rings->results_head), tail);
	return 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool wants_payload(const struct kbdus_queue *queue, struct request *request)
{
	return req_op(request) == REQ_OP_WRITE && queue->payloads;
}

/*
 * Of all that is pending: writes go to @writes, the rest straight to the server. Whether the
 * device's state has changed.
 */
static bool give_pending(struct kbdus_queue *queue, struct list_head *writes)
{
	struct kbdus_slot *slot, *next;
	unsigned long flags;
	bool news;

	spin_lock_irqsave(&queue->lock, flags);
	set_waiting(queue, 0);
	news = queue->news;
	queue->news = false;
	list_for_each_entry_safe (slot, next, &queue->pending, link) {
		slot->generation++;
		if (wants_payload(queue, slot->request)) {
			slot->state = KBDUS_SLOT_MOVING;
			list_move_tail(&slot->link, writes);
		} else {
			slot->state = KBDUS_SLOT_SERVED;
			list_del_init(&slot->link);
			write_request(queue, slot);
		}
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return news;
}

static void give_writes(struct kbdus_queue *queue, struct list_head *writes)
{
	struct kbdus_slot *slot, *next;

	list_for_each_entry_safe (slot, next, writes, link) {
		const u64 tag = slot - queue->slots;
		int error;

		list_del_init(&slot->link);
		error = copy_whole(slot->request, queue->payloads + tag * queue->stride_bytes);
		/* The descriptor first: with the state, the request may be gone at any time. */
		if (!error)
			write_request(queue, slot);
		if (!settle(queue, slot, error) && !error)
			queue->requests_tail--;
	}
}

/*
 * Takes results and gives requests: how many, or -ENODEV after the disk's end, when all was given.
 * 1 in *@news if the caller should not wait then.
 */
static int serve(struct kbdus_queue *queue, bool *news)
{
	const u32 before = queue->requests_tail;
	LIST_HEAD(writes);
	int result;

	lockdep_assert_held(&queue->serving);
	result = take_results(queue);
	if (result)
		return result;
	*news = give_pending(queue, &writes);
	give_writes(queue, &writes);
	smp_store_release(word(&queue->rings->requests_tail), queue->requests_tail);
	result = queue->requests_tail - before;
	return result == 0 && READ_ONCE(queue->ended) ? -ENODEV : result;
}

static int serve_alone(struct kbdus_queue *queue, bool *news)
{
	int result;

	if (mutex_lock_killable(&queue->serving))
		return -EINTR;
	result = serve(queue, news);
	mutex_unlock(&queue->serving);
	return result;
}

static bool sees_news(struct kbdus_queue *queue)
{
	unsigned long flags;
	bool seen;

	spin_lock_irqsave(&queue->lock, flags);
	seen = has_news(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
	return seen;
}

int kbdus_queue_enter(struct kbdus_queue *queue, bool wait)
{
	bool news = false;
	int result = serve_alone(queue, &news);

	if (result || news || !wait)
		return result;
	if (wait_event_interruptible(queue->wait, sees_news(queue)))
		return -EINTR;
	return serve_alone(queue, &news);
}

__poll_t kbdus_queue_poll(struct kbdus_queue *queue, struct file *file, poll_table *table)
{
	poll_wait(file, &queue->wait, table);
	return sees_news(queue) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* ---- by io_uring ----------------------------------------------------------------------------- */

static bool is_dying(void)
{
	return (current->flags & (PF_EXITING | PF_KTHREAD)) || !current->mm;
}

/* In the server's task, after somebody has rung. */
static void bring_requests(struct io_uring_cmd *command, unsigned int issue_flags)
{
	struct kbdus_queue *queue = kbdus_file_queue(command->file);
	int result = -ECANCELED;
	bool news;

	if (!is_dying())
		result = serve_alone(queue, &news);
	kbdus_command_done(command, result, issue_flags);
}

/* Has @command wait; completes it at once when there is something to wait for no longer. */
static void arm(struct kbdus_queue *queue, struct io_uring_cmd *command, unsigned int issue_flags)
{
	unsigned long flags;
	int result = 1;

	kbdus_command_mark_cancelable(command, issue_flags);
	spin_lock_irqsave(&queue->lock, flags);
	if (queue->command)
		result = -EBUSY;
	else if (has_news(queue))
		result = 0;
	else
		queue->command = command;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (result <= 0)
		kbdus_command_done(command, result, issue_flags);
}

static int lock_serving(struct kbdus_queue *queue, unsigned int issue_flags)
{
	if (mutex_trylock(&queue->serving))
		return 0;
	if (issue_flags & IO_URING_F_NONBLOCK)
		return -EAGAIN;
	return mutex_lock_killable(&queue->serving) ? -EINTR : 0;
}

int kbdus_queue_command(struct kbdus_queue *queue, struct io_uring_cmd *command,
			unsigned int issue_flags)
{
	const u32 number = command->cmd_op;
	bool news = false;
	int result;

	if (number != KBDUS_ABI_COMMAND_ENTER && number != KBDUS_ABI_COMMAND_COMMIT)
		return -ENOTTY;
	result = lock_serving(queue, issue_flags);
	if (result)
		return result;
	result = number == KBDUS_ABI_COMMAND_ENTER ? serve(queue, &news) : take_results(queue);
	mutex_unlock(&queue->serving);
	if (result || news || number == KBDUS_ABI_COMMAND_COMMIT)
		return result;
	arm(queue, command, issue_flags);
	return -EIOCBQUEUED;
}

void kbdus_queue_cancel(struct kbdus_queue *queue, struct io_uring_cmd *command,
			unsigned int issue_flags)
{
	unsigned long flags;
	bool waits;

	spin_lock_irqsave(&queue->lock, flags);
	waits = queue->command == command;
	if (waits)
		queue->command = NULL;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (waits)
		kbdus_command_done(command, -ECANCELED, issue_flags);
	if (is_killed(queue))
		kbdus_device_stop(queue->device, true);
}
