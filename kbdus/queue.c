// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of a queue, between the block layer and the server of the moment. Requests wait here
 * while there is none. Who takes a request out of all lists and states ends it.
 *
 *	           attach              open                leave             all answered
 *	nobody ───────────▶ attached ────────▶ serving ───────────▶ leaving ─────────────▶ over
 *	  ▲                                       │                    │                    │
 *	  └────────────────── detach ─────────────┴────────────────────┴────────────────────┘
 */
#include "kbdus_internal.h"

#include "compat/compat.h"

#include <linux/slab.h>

/* How soon a server's death is noticed where its files stay open. */
#define WATCH_JIFFIES (HZ / 2)

/* ---- memory ---------------------------------------------------------------------------------- */

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
	init_waitqueue_head(&queue->wait);
	INIT_LIST_HEAD(&queue->pending);
	INIT_DELAYED_WORK(&queue->watch, watch_server);
	for (tag = 0; tag < depth; tag++)
		INIT_LIST_HEAD(&queue->slots[tag].link);
	return queue;
}

void kbdus_queue_destroy(struct kbdus_queue *queue)
{
	cancel_delayed_work_sync(&queue->watch);
	kvfree(queue);
}

/* ---- with the lock --------------------------------------------------------------------------- */

void kbdus_queue_free_slot(struct kbdus_queue *queue, struct kbdus_slot *slot, bool held)
{
	lockdep_assert_held(&queue->lock);
	slot->state = KBDUS_SLOT_FREE;
	slot->retried = false;
	queue->busy--;
	queue->held -= held;
}

void kbdus_queue_put_back(struct kbdus_queue *queue, struct kbdus_slot *slot, bool retried)
{
	lockdep_assert_held(&queue->lock);
	slot->state = KBDUS_SLOT_PENDING;
	slot->retried |= retried;
	list_move_tail(&slot->link, &queue->pending);
}

bool kbdus_queue_is_over(const struct kbdus_queue *queue, const struct kbdus_session *session)
{
	return queue->session != session || (queue->leaving && queue->held == 0) ||
	       (queue->ended && list_empty(&queue->pending));
}

bool kbdus_queue_has_news(const struct kbdus_queue *queue, const struct kbdus_session *session)
{
	return (queue->open && !list_empty(&queue->pending)) || queue->news ||
	       kbdus_queue_is_over(queue, session);
}

static void set_waiting(struct kbdus_queue *queue)
{
	if (queue->session)
		WRITE_ONCE(*(u32 *)(void *)&queue->session->rings->waiting, 1);
}

/* ---- doorbells ------------------------------------------------------------------------------- */

KBDUS_DEFINE_TASK_WORK(bring, kbdus_session_bring)

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

/* ---- from the block layer -------------------------------------------------------------------- */

/* With the lock. */
static void watch(struct kbdus_queue *queue)
{
	if (likely(queue->watched || !queue->session))
		return;
	queue->watched = true;
	queue_delayed_work(kbdus_work, &queue->watch, WATCH_JIFFIES);
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
	set_waiting(queue);
	watch(queue);
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
		kbdus_queue_free_slot(queue, slot, slot->state == KBDUS_SLOT_SERVED);
	}
	/* The last one that a server which leaves had to answer, maybe. */
	if (ended && queue->leaving)
		ring(queue, flags);
	else
		spin_unlock_irqrestore(&queue->lock, flags);
	return ended;
}

/* ---- servers come and go --------------------------------------------------------------------- */

int kbdus_queue_attach(struct kbdus_queue *queue, struct kbdus_session *session)
{
	unsigned long flags;
	int error = 0;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->session || queue->dead)
		error = -EBUSY;
	else
		queue->session = session;
	spin_unlock_irqrestore(&queue->lock, flags);
	return error;
}

void kbdus_queue_open(struct kbdus_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	queue->open = true;
	if (queue->busy) {
		set_waiting(queue);
		watch(queue);
	}
	ring(queue, flags);
}

void kbdus_queue_leave(struct kbdus_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	queue->open = false;
	queue->leaving = true;
	ring(queue, flags);
}

/* Slots in @failed are nobody's but the caller's. */
static void fail_all(struct list_head *failed)
{
	struct kbdus_slot *slot, *next;

	list_for_each_entry_safe (slot, next, failed, link) {
		list_del_init(&slot->link);
		kbdus_disk_end(slot->request, -EIO);
	}
}

/*
 * With the lock: what the server has, to be served again, before what came later. What must not be
 * is the caller's to fail, and its slots stay taken until then.
 */
static void put_back_all(struct kbdus_queue *queue, struct list_head *failed)
{
	const u32 depth = kbdus_abi_device_queue_depth(&queue->device->created);
	LIST_HEAD(later);
	u32 tag;

	list_splice_init(&queue->pending, &later);
	for (tag = 0; tag < depth; tag++) {
		struct kbdus_slot *slot = &queue->slots[tag];

		if (slot->state != KBDUS_SLOT_SERVED)
			continue;
		if (kbdus_queue_may_repeat(slot->request)) {
			kbdus_queue_put_back(queue, slot, true);
		} else {
			kbdus_queue_free_slot(queue, slot, false);
			list_move_tail(&slot->link, failed);
		}
	}
	list_splice_tail(&later, &queue->pending);
}

bool kbdus_queue_detach(struct kbdus_queue *queue, const struct kbdus_session *session)
{
	unsigned long flags;
	LIST_HEAD(failed);
	bool held = false;

	spin_lock_irqsave(&queue->lock, flags);
	if (session && queue->session != session) {
		spin_unlock_irqrestore(&queue->lock, flags);
		return false;
	}
	if (queue->held != 0) {
		held = true;
		put_back_all(queue, &failed);
	}
	queue->held = 0;
	queue->session = NULL;
	queue->open = false;
	queue->leaving = false;
	ring(queue, flags);
	fail_all(&failed);
	return held;
}

void kbdus_queue_abort(struct kbdus_queue *queue)
{
	const u32 depth = kbdus_abi_device_queue_depth(&queue->device->created);
	struct kbdus_slot *slot;
	unsigned long flags;
	LIST_HEAD(failed);
	u32 tag;

	spin_lock_irqsave(&queue->lock, flags);
	queue->dead = true;
	for (tag = 0; tag < depth; tag++) {
		slot = &queue->slots[tag];
		if (slot->state == KBDUS_SLOT_PENDING || slot->state == KBDUS_SLOT_SERVED) {
			kbdus_queue_free_slot(queue, slot, slot->state == KBDUS_SLOT_SERVED);
			list_move_tail(&slot->link, &failed);
		}
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	fail_all(&failed);
}

/*
 * Files are closed with a process's last thread. That may be one that waits for the very device,
 * and it would for ever.
 */
static void watch_server(struct work_struct *work)
{
	struct kbdus_queue *queue = container_of(work, struct kbdus_queue, watch.work);
	unsigned long flags;
	bool killed;

	spin_lock_irqsave(&queue->lock, flags);
	killed = queue->session && kbdus_session_is_killed(queue->session);
	queue->watched = false;
	if (queue->busy != 0)
		watch(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
	if (killed)
		kbdus_device_lose(queue->device);
}
