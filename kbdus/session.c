// SPDX-License-Identifier: GPL-2.0
/*
 * A server's side of a queue: requests to it, results from it, and payloads, by shared memory and
 * by commands that are all carried out by the server's own task, whose memory is therefore at hand.
 *
 * Who adds a request rings if the server waits; the server looks for requests once more after it
 * said that it waits. Both happen under queue->lock. Of what lies in shared memory, indices are
 * published with release and read with acquire semantics, entries are copied once and then checked,
 * and nothing that the module itself needs to know is read back from there.
 *
 * A session may end at any time, with its server killed or gone; it is seen by queue->session being
 * another one, under queue->lock. Who then has a slot to itself puts the request back in line.
 */
#include "kbdus_internal.h"

#include "compat/compat.h"

#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

/* Results that are taken between two times of the lock. */
#define TAKEN_AT_ONCE 16

/* The first time that looking before waiting tries. */
#define FIRST_AWAKE_NS 8000

/* ---- memory ---------------------------------------------------------------------------------- */

static int map_rings(struct kbdus_session *session, u32 depth)
{
	BUILD_BUG_ON(sizeof(struct kbdus_abi_rings) != KBDUS_ABI_ENTRIES_OFFSET);
	session->entries = roundup_pow_of_two(depth);
	session->map_bytes = PAGE_ALIGN(KBDUS_ABI_ENTRIES_OFFSET +
					session->entries * (sizeof(struct kbdus_abi_request) +
							    sizeof(struct kbdus_abi_result)));
	session->rings = vmalloc_user(session->map_bytes);
	if (!session->rings)
		return -ENOMEM;
	session->requests = (void *)session->rings + KBDUS_ABI_ENTRIES_OFFSET;
	session->results = (void *)(session->requests + session->entries);
	return 0;
}

static bool is_payload_memory(const struct kbdus_device *device, u64 payloads, u64 stride_bytes)
{
	const u32 depth = kbdus_abi_device_queue_depth(&device->created);
	u64 bytes;

	if (payloads == 0)
		return stride_bytes == 0;
	return stride_bytes >= kbdus_abi_device_max_transfer_bytes(&device->created) &&
	       !check_mul_overflow(stride_bytes, (u64)depth, &bytes) && payloads <= ULONG_MAX &&
	       bytes <= ULONG_MAX - payloads;
}

struct kbdus_session *kbdus_session_create(struct kbdus_queue *queue, u64 payloads,
					   u64 stride_bytes)
{
	struct kbdus_session *session;

	if (!is_payload_memory(queue->device, payloads, stride_bytes))
		return ERR_PTR(-EINVAL);
	session = kzalloc(sizeof(*session), GFP_KERNEL);
	if (!session)
		return ERR_PTR(-ENOMEM);
	if (map_rings(session, kbdus_abi_device_queue_depth(&queue->device->created))) {
		kfree(session);
		return ERR_PTR(-ENOMEM);
	}
	mutex_init(&session->serving);
	session->queue = queue;
	session->payloads = payloads;
	session->stride_bytes = stride_bytes;
	session->server = get_task_struct(current->group_leader);
	return session;
}

void kbdus_session_destroy(struct kbdus_session *session)
{
	if (!session)
		return;
	put_task_struct(session->server);
	mutex_destroy(&session->serving);
	vfree(session->rings);
	kfree(session);
}

bool kbdus_session_is_killed(const struct kbdus_session *session)
{
	return READ_ONCE(session->server->signal->flags) & SIGNAL_GROUP_EXIT;
}

/* The caller's memory may not be there any more; what it was for is then for the next server. */
static bool gives_back(const struct kbdus_session *session)
{
	return kbdus_device_is_recoverable(session->queue->device) &&
	       (fatal_signal_pending(current) || (current->flags & PF_EXITING) ||
		kbdus_session_is_killed(session));
}

/* ---- words of the shared memory -------------------------------------------------------------- */

static u32 *word(void *field)
{
	return field;
}

/* Whatever else the server does to the entry, what is checked is what is used. */
static struct kbdus_abi_result read_result(const struct kbdus_session *session, u32 index)
{
	const u64 *from = (const u64 *)&session->results[index & (session->entries - 1)];
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

static size_t payload_bytes(struct request *request)
{
	const struct kbdus_request *own = kbdus_request_own(request);

	if (kbdus_request_has_message(request))
		return own->ioctl->bytes;
	return own->part_bytes ?: blk_rq_bytes(request);
}

static u64 place_of(struct request *request)
{
	return kbdus_request_has_message(request) ? (*kbdus_request_ioctl(request))->place
						  : (u64)blk_rq_pos(request) << SECTOR_SHIFT;
}

static void write_request(struct kbdus_session *session, struct kbdus_slot *slot)
{
	struct kbdus_abi_request *to =
		&session->requests[session->requests_tail & (session->entries - 1)];
	struct kbdus_abi_request entry = {};
	u16 flags = 0;

	kbdus_abi_request_set_tag(&entry, slot - session->queue->slots);
	kbdus_abi_request_set_generation(&entry, slot->generation);
	kbdus_abi_request_set_op(
		&entry, kbdus_disk_operation(session->queue->device, slot->request, &flags));
	if (slot->retried)
		flags |= KBDUS_ABI_REQUEST_FLAG_RETRIED;
	kbdus_abi_request_set_flags(&entry, flags);
	kbdus_abi_request_set_offset_bytes(&entry, place_of(slot->request));
	kbdus_abi_request_set_length_bytes(&entry, payload_bytes(slot->request));
	*to = entry;
	session->requests_tail++;
}

/* ---- payloads -------------------------------------------------------------------------------- */

static size_t copy_message(const struct kbdus_ioctl *ioctl, size_t skip, struct iov_iter *iter)
{
	const size_t left = skip < ioctl->bytes ? ioctl->bytes - skip : 0;
	const size_t bytes = min(left, iov_iter_count(iter));

	return iov_iter_rw(iter) == READ ? copy_to_iter(ioctl->data + skip, bytes, iter)
					 : copy_from_iter(ioctl->data + skip, bytes, iter);
}

/* From @skip bytes of the request's payload on, as much as @iter takes. */
static size_t copy_pages(struct request *request, size_t skip, struct iov_iter *iter)
{
	struct req_iterator position;
	struct bio_vec piece;
	size_t left = payload_bytes(request), done = 0;

	if (kbdus_request_has_message(request))
		return copy_message(*kbdus_request_ioctl(request), skip, iter);
	left -= min(skip, left);
	rq_for_each_segment (piece, request, position) {
		size_t bytes, copied;

		if (skip >= piece.bv_len) {
			skip -= piece.bv_len;
			continue;
		}
		bytes = min3(piece.bv_len - skip, left, iov_iter_count(iter));
		if (bytes == 0)
			break;
		if (rq_data_dir(request) == WRITE)
			copied = copy_page_to_iter(piece.bv_page, piece.bv_offset + skip, bytes,
						   iter);
		else
			copied = copy_page_from_iter(piece.bv_page, piece.bv_offset + skip, bytes,
						     iter);
		done += copied;
		left -= copied;
		skip = 0;
		if (copied != bytes)
			break;
	}
	return done;
}

/* Of requests with data in both directions, @to_server says which is meant. */
static int copy_whole(struct request *request, bool to_server, u64 address)
{
	const size_t bytes = payload_bytes(request);
	struct iov_iter iter;

	if (address > ULONG_MAX || !access_ok(u64_to_user_ptr(address), bytes))
		return -EFAULT;
	kbdus_iter_user(&iter, to_server ? KBDUS_ITER_TO : KBDUS_ITER_FROM,
			u64_to_user_ptr(address), bytes);
	return copy_pages(request, 0, &iter) == bytes ? 0 : -EFAULT;
}

static bool takes_payload(struct request *request)
{
	return req_op(request) == REQ_OP_WRITE || req_op(request) == REQ_OP_ZONE_APPEND ||
	       req_op(request) == REQ_OP_DRV_OUT;
}

static bool returns_payload(struct request *request)
{
	return req_op(request) == REQ_OP_READ || kbdus_request_has_message(request);
}

/*
 * Ends the exclusive use of a slot, which the server @had or not: with the request with the server;
 * back in line, if the session has ended meanwhile, or the @error is that the server dies; or,
 * where there is no hope, with its end. Whether the server has it.
 */
static bool settle(struct kbdus_session *session, struct kbdus_slot *slot, bool had, int error)
{
	struct kbdus_queue *queue = session->queue;
	struct request *request = slot->request;
	const bool again = !had || kbdus_queue_may_repeat(request);
	const bool given_back = error && again && gives_back(session);
	bool ended = false, served = false;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->dead || (error && !given_back)) {
		ended = true;
		kbdus_queue_free_slot(queue, slot, queue->session == session);
	} else if (queue->session != session && !again) {
		ended = true;
		kbdus_queue_free_slot(queue, slot, false);
	} else if (error || queue->session != session) {
		queue->held -= queue->session == session;
		kbdus_queue_put_back(queue, slot, had);
	} else {
		served = true;
		slot->state = KBDUS_SLOT_SERVED;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	if (ended)
		kbdus_disk_end(request, -EIO);
	return served;
}

/*
 * With the lock: the slot of @tag, now the caller's, if @session has its request and it is the one
 * @wanted.
 */
static struct kbdus_slot *claim(struct kbdus_session *session, u64 tag,
				bool (*wanted)(const struct kbdus_slot *slot, u32 detail),
				u32 detail)
{
	struct kbdus_queue *queue = session->queue;
	struct kbdus_slot *slot;

	if (tag >= kbdus_abi_device_queue_depth(&queue->device->created))
		return NULL;
	slot = &queue->slots[tag];
	if (queue->session != session || slot->state != KBDUS_SLOT_SERVED || !wanted(slot, detail))
		return NULL;
	slot->state = KBDUS_SLOT_MOVING;
	return slot;
}

static bool has_direction(const struct kbdus_slot *slot, u32 direction)
{
	return direction == WRITE ? takes_payload(slot->request) : returns_payload(slot->request);
}

ssize_t kbdus_session_copy(struct kbdus_session *session, loff_t place, struct iov_iter *iter)
{
	const u32 direction = iov_iter_rw(iter) == READ ? WRITE : READ;
	const size_t wanted = iov_iter_count(iter);
	struct kbdus_slot *slot;
	unsigned long flags;
	ssize_t done;

	if (place < 0)
		return -EINVAL;
	if (mutex_lock_killable(&session->serving))
		return -EINTR;
	spin_lock_irqsave(&session->queue->lock, flags);
	slot = claim(session, place >> KBDUS_ABI_PLACE_TAG_SHIFT, has_direction, direction);
	spin_unlock_irqrestore(&session->queue->lock, flags);
	if (!slot) {
		mutex_unlock(&session->serving);
		return -EINVAL;
	}
	done = copy_pages(slot->request, place & U32_MAX, iter);
	if (!done && wanted && (place & U32_MAX) < payload_bytes(slot->request))
		done = -EFAULT;
	settle(session, slot, true, 0);
	mutex_unlock(&session->serving);
	return done;
}

/* ---- results --------------------------------------------------------------------------------- */

static bool has_generation(const struct kbdus_slot *slot, u32 generation)
{
	return slot->generation == generation;
}

/* A result that is for a request: its slot is the taker's. */
struct taken {
	struct kbdus_slot *slot;
	struct kbdus_abi_result result;
};

/* Takes up to @most results, the last of which is before @tail; those for nothing are dropped. */
static unsigned int claim_results(struct kbdus_session *session, u32 tail, struct taken *taken,
				  unsigned int most)
{
	struct kbdus_queue *queue = session->queue;
	unsigned int count = 0;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	for (; session->results_head != tail && count < most; session->results_head++) {
		taken[count].result = read_result(session, session->results_head);
		taken[count].slot =
			claim(session, kbdus_abi_result_tag(&taken[count].result), has_generation,
			      kbdus_abi_result_generation(&taken[count].result));
		if (taken[count].slot)
			count++;
		else
			session->refused++;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return count;
}

/* Whether the request's payload, if it has any, has come. */
static bool take_payload(struct kbdus_session *session, const struct taken *taken)
{
	struct kbdus_slot *slot = taken->slot;
	int error;

	if (kbdus_abi_result_result(&taken->result) || !returns_payload(slot->request) ||
	    (kbdus_abi_result_flags(&taken->result) & KBDUS_ABI_RESULT_FLAG_PLACED))
		return true;
	error = copy_whole(slot->request, false, kbdus_abi_result_address(&taken->result));
	if (error)
		settle(session, slot, true, error);
	return !error;
}

/* The result of a request, of which an append that cannot have gone where it is said to has none.
 */
static int result_of(const struct kbdus_session *session, struct request *request,
		     const struct kbdus_abi_result *result)
{
	if (!kbdus_abi_result_result(result) && req_op(request) == REQ_OP_ZONE_APPEND &&
	    !kbdus_zones_land(session->queue->device, request, kbdus_abi_result_address(result)))
		return -EIO;
	return kbdus_abi_result_result(result);
}

static void end_taken(struct kbdus_session *session, const struct taken *taken, unsigned int count)
{
	struct kbdus_queue *queue = session->queue;
	struct request *requests[TAKEN_AT_ONCE];
	DEFINE_IO_COMP_BATCH(batch);
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&queue->lock, flags);
	for (i = 0; i < count; i++) {
		requests[i] = taken[i].slot->request;
		kbdus_queue_free_slot(queue, taken[i].slot, queue->session == session);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	for (i = 0; i < count; i++)
		kbdus_disk_end_in(&batch, requests[i],
				  result_of(session, requests[i], &taken[i].result));
	kbdus_disk_end_batch(&batch);
}

static int take_results(struct kbdus_session *session)
{
	/* The results before it are there: pairs with the server, which writes it last. */
	const u32 tail = smp_load_acquire(word(&session->rings->results_tail));
	struct taken taken[TAKEN_AT_ONCE];
	unsigned int count, kept, i;

	if (tail - session->results_head > session->entries)
		return -EPROTO;
	while (session->results_head != tail) {
		count = claim_results(session, tail, taken, ARRAY_SIZE(taken));
		for (kept = 0, i = 0; i < count; i++)
			if (take_payload(session, &taken[i]))
				taken[kept++] = taken[i];
		if (kept)
			end_taken(session, taken, kept);
	}
	WRITE_ONCE(*word(&session->rings->results_refused), session->refused);
	/* The server may write over what was read: pairs with its reading of this. */
	smp_store_release(word(&session->rings->results_head), tail);
	return 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool wants_payload(const struct kbdus_session *session, struct request *request)
{
	return takes_payload(request) && session->payloads;
}

/* With the lock: writes go to @writes, the rest straight to the server. */
static void give_each(struct kbdus_session *session, struct list_head *writes)
{
	struct kbdus_queue *queue = session->queue;
	struct kbdus_slot *slot, *next;

	list_for_each_entry_safe (slot, next, &queue->pending, link) {
		slot->generation++;
		queue->held++;
		if (wants_payload(session, slot->request)) {
			slot->state = KBDUS_SLOT_MOVING;
			list_move_tail(&slot->link, writes);
		} else {
			slot->state = KBDUS_SLOT_SERVED;
			list_del_init(&slot->link);
			write_request(session, slot);
		}
	}
}

/* All that is pending. Negative if the session has ended, 1 if the device's state has changed. */
static int give_pending(struct kbdus_session *session, struct list_head *writes)
{
	struct kbdus_queue *queue = session->queue;
	unsigned long flags;
	int result = -ENODEV;

	spin_lock_irqsave(&queue->lock, flags);
	WRITE_ONCE(*word(&session->rings->waiting), 0);
	if (!kbdus_queue_is_over(queue, session)) {
		result = queue->news;
		queue->news = false;
		if (queue->open)
			give_each(session, writes);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return result;
}

static void give_writes(struct kbdus_session *session, struct list_head *writes)
{
	struct kbdus_slot *slot, *next;

	list_for_each_entry_safe (slot, next, writes, link) {
		const u64 tag = slot - session->queue->slots;
		int error;

		list_del_init(&slot->link);
		error = copy_whole(slot->request, true,
				   session->payloads + tag * session->stride_bytes);
		/* The descriptor first: with the state, the request may be gone at any time. */
		if (!error)
			write_request(session, slot);
		if (!settle(session, slot, false, error) && !error)
			session->requests_tail--;
	}
}

/*
 * Takes results and gives requests: how many, or -ENODEV after the session's end. *@news if the
 * caller should not wait then.
 */
static int serve(struct kbdus_session *session, bool *news)
{
	const u32 before = session->requests_tail;
	LIST_HEAD(writes);
	int result;

	lockdep_assert_held(&session->serving);
	result = take_results(session);
	if (result)
		return result;
	result = give_pending(session, &writes);
	if (result < 0)
		return result;
	*news = result;
	give_writes(session, &writes);
	/* The server sees the requests before it: pairs with its reading of this. */
	smp_store_release(word(&session->rings->requests_tail), session->requests_tail);
	result = session->requests_tail - before;
	if (result)
		session->given = result;
	return result;
}

static int serve_alone(struct kbdus_session *session, bool *news)
{
	int result;

	if (mutex_lock_killable(&session->serving))
		return -EINTR;
	result = serve(session, news);
	mutex_unlock(&session->serving);
	return result;
}

static bool sees_news(struct kbdus_session *session)
{
	unsigned long flags;
	bool seen;

	spin_lock_irqsave(&session->queue->lock, flags);
	seen = kbdus_queue_has_news(session->queue, session);
	spin_unlock_irqrestore(&session->queue->lock, flags);
	return seen;
}

int kbdus_session_enter(struct kbdus_session *session, bool wait)
{
	bool news = false;
	int result = serve_alone(session, &news);

	if (result || news || !wait)
		return result;
	if (wait_event_interruptible(session->queue->wait, sees_news(session)))
		return -EINTR;
	return serve_alone(session, &news);
}

__poll_t kbdus_session_poll(struct kbdus_session *session, struct file *file, poll_table *table)
{
	poll_wait(file, &session->queue->wait, table);
	return sees_news(session) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* ---- looking before waiting ------------------------------------------------------------------ */

/*
 * A client with one request at a time sends the next one when it has the answer to the last. Where
 * that takes no longer than putting the server to sleep and waking it up, the server stays awake.
 * How long, follows from how waits went, as that of a loop's busy polling: see device/loop.c.
 * Clients with several requests in flight lose by it: batches would be smaller.
 */
static u64 most_awake_ns(const struct kbdus_session *session)
{
	const u32 wish_us = READ_ONCE(*word(&session->rings->busy_poll_us));

	return (u64)min_t(u32, wish_us, KBDUS_ABI_MOST_BUSY_POLL_US) * NSEC_PER_USEC;
}

static bool may_look(const struct kbdus_session *session)
{
	return session->awake_ns && session->given == 1 && num_online_cpus() > 1 &&
	       READ_ONCE(session->queue->held) == 0;
}

/* Others who want the processor come first. Whether there is something to serve. */
static bool look(struct kbdus_session *session)
{
	const u64 end_ns = session->waits_since_ns + min(session->awake_ns, most_awake_ns(session));

	while (!need_resched() && !signal_pending(current)) {
		/* A guess, without the lock. */
		if (data_race(kbdus_queue_has_news(session->queue, session)))
			return true;
		if (ktime_get_ns() >= end_ns)
			break;
		cpu_relax();
	}
	return false;
}

/* A turn ends without requests. Serves once more, if looking for them helps. */
static int look_and_serve(struct kbdus_session *session, bool *news)
{
	if (!most_awake_ns(session))
		return 0;
	session->waits_since_ns = ktime_get_ns();
	if (!may_look(session) || !look(session))
		return 0;
	session->waits_since_ns = 0;
	return serve(session, news);
}

/* A wait has ended that slept. */
static void learn(struct kbdus_session *session)
{
	const u64 most_ns = most_awake_ns(session);
	u64 waited_ns;

	if (!session->waits_since_ns)
		return;
	waited_ns = ktime_get_ns() - session->waits_since_ns;
	session->waits_since_ns = 0;
	if (waited_ns > most_ns)
		session->awake_ns = 0;
	else if (waited_ns > session->awake_ns)
		session->awake_ns = max_t(u64, session->awake_ns * 2, FIRST_AWAKE_NS);
}

/* ---- by io_uring ----------------------------------------------------------------------------- */

static bool is_dying(void)
{
	return (current->flags & (PF_EXITING | PF_KTHREAD)) || !current->mm;
}

void kbdus_session_bring(struct io_uring_cmd *command, unsigned int issue_flags)
{
	struct kbdus_session *session = kbdus_file_session(command->file);
	int result = -ECANCELED;
	bool news;

	if (!is_dying()) {
		result = -EINTR;
		if (!mutex_lock_killable(&session->serving)) {
			learn(session);
			result = serve(session, &news);
			mutex_unlock(&session->serving);
		}
	}
	kbdus_command_done(command, result, issue_flags);
}

/* Has @command wait; completes it at once when there is something to wait for no longer. */
static void arm(struct kbdus_session *session, struct io_uring_cmd *command,
		unsigned int issue_flags)
{
	struct kbdus_queue *queue = session->queue;
	unsigned long flags;
	int result = 1;

	kbdus_command_mark_cancelable(command, issue_flags);
	spin_lock_irqsave(&queue->lock, flags);
	if (kbdus_queue_has_news(queue, session))
		result = 0;
	else if (queue->command)
		result = -EBUSY;
	else
		queue->command = command;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (result <= 0)
		kbdus_command_done(command, result, issue_flags);
}

static int lock_serving(struct kbdus_session *session, unsigned int issue_flags)
{
	if (mutex_trylock(&session->serving))
		return 0;
	if (issue_flags & IO_URING_F_NONBLOCK)
		return -EAGAIN;
	return mutex_lock_killable(&session->serving) ? -EINTR : 0;
}

/* With COMMIT the last result of a server that leaves may come while ENTER waits. */
static int commit(struct kbdus_session *session)
{
	const int result = take_results(session);

	if (!result && READ_ONCE(session->queue->leaving))
		kbdus_queue_ring(session->queue);
	return result;
}

int kbdus_session_command(struct kbdus_session *session, struct io_uring_cmd *command,
			  unsigned int issue_flags)
{
	const u32 number = command->cmd_op;
	bool news = false;
	int result;

	if (number != KBDUS_ABI_COMMAND_ENTER && number != KBDUS_ABI_COMMAND_COMMIT)
		return -ENOTTY;
	result = lock_serving(session, issue_flags);
	if (result)
		return result;
	result = number == KBDUS_ABI_COMMAND_ENTER ? serve(session, &news) : commit(session);
	if (!result && !news && number == KBDUS_ABI_COMMAND_ENTER)
		result = look_and_serve(session, &news);
	mutex_unlock(&session->serving);
	if (result || news || number == KBDUS_ABI_COMMAND_COMMIT)
		return result;
	arm(session, command, issue_flags);
	return -EIOCBQUEUED;
}

void kbdus_session_cancel(struct kbdus_session *session, struct io_uring_cmd *command,
			  unsigned int issue_flags)
{
	struct kbdus_queue *queue = session->queue;
	unsigned long flags;
	bool waits;

	spin_lock_irqsave(&queue->lock, flags);
	waits = queue->command == command;
	if (waits)
		queue->command = NULL;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (waits)
		kbdus_command_done(command, -ECANCELED, issue_flags);
	if (kbdus_session_is_killed(session))
		kbdus_device_lose(queue->device);
}
