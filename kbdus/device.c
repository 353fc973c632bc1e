// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a device.
 *
 *	            START                  disk exists
 *	CREATED ───────────▶ STARTING ─────────────────▶ LIVE
 *	   │                   │    │ no disk to be had    │
 *	   │ STOP, DESTROY,    │    └──────────────────────┼──────┐
 *	   │ a file is closed  │ STOP, …                   │ …    │
 *	   │                   ▼                           ▼      ▼
 *	   │                STOPPING ◀─────────────────────┘      │
 *	   │                   │ the disk is gone                 │
 *	   └───────────────────┴──────────▶ STOPPED ◀─────────────┘
 *
 * Disks are made and removed by work, since both wait for requests, which the thread that asked for
 * it may have to serve. A file that is closed while there is a disk means that the server has died:
 * the requests fail, and the disk goes. The device stays in the table until its last file is
 * closed; by then the module is not in use by it any more.
 */
#include "kbdus_internal.h"

#include <linux/cred.h>
#include <linux/log2.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

static DEFINE_MUTEX(kbdus_table_lock);
static LIST_HEAD(kbdus_table);
static unsigned int kbdus_table_count;

/* Devices whose memory is in use. */
static atomic_t kbdus_alive = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(kbdus_alive_wait);

/* ---- memory ---------------------------------------------------------------------------------- */

static void free_device(struct kbdus_device *device)
{
	unsigned int i;

	if (device->has_tags)
		blk_mq_free_tag_set(&device->tags);
	for (i = 0; i < device->queue_count; i++)
		kbdus_queue_destroy(device->queues[i]);
	put_pid(device->creator);
	mutex_destroy(&device->lock);
	kfree(device);
	if (atomic_dec_and_test(&kbdus_alive))
		wake_up_all(&kbdus_alive_wait);
}

static void release_device(struct kref *references)
{
	free_device(container_of(references, struct kbdus_device, references));
}

void kbdus_device_put(struct kbdus_device *device)
{
	kref_put(&device->references, release_device);
}

void kbdus_devices_wait(void)
{
	wait_event(kbdus_alive_wait, atomic_read(&kbdus_alive) == 0);
}

/* ---- creating -------------------------------------------------------------------------------- */

static bool is_block_size(u32 size)
{
	return is_power_of_2(size) && size >= SECTOR_SIZE && size <= PAGE_SIZE;
}

static bool is_limit(u32 limit, u32 ops, u32 op, u32 block_size)
{
	if (!(ops & op))
		return limit == 0;
	return limit != 0 && limit <= KBDUS_ABI_RANGE_BYTES && limit % block_size == 0;
}

static bool is_power_or_zero(u32 number)
{
	return number == 0 || is_power_of_2(number);
}

static bool has_sound_limits(const struct kbdus_abi_device *wish)
{
	const u32 block = kbdus_abi_device_logical_block_size(wish);
	const u32 transfer = kbdus_abi_device_max_transfer_bytes(wish);
	const u32 ops = kbdus_abi_device_ops(wish);

	return transfer >= PAGE_SIZE && transfer <= KBDUS_ABI_TRANSFER_BYTES &&
	       transfer % block == 0 && is_power_or_zero(kbdus_abi_device_optimal_io_bytes(wish)) &&
	       is_power_or_zero(kbdus_abi_device_discard_granularity_bytes(wish)) &&
	       is_limit(kbdus_abi_device_max_discard_bytes(wish), ops, KBDUS_ABI_OPS_DISCARD,
			block) &&
	       is_limit(kbdus_abi_device_max_write_zeros_bytes(wish), ops,
			KBDUS_ABI_OPS_WRITE_ZEROS, block) &&
	       is_limit(kbdus_abi_device_max_secure_erase_bytes(wish), ops,
			KBDUS_ABI_OPS_SECURE_ERASE, block);
}

static bool is_sound(const struct kbdus_abi_device *wish)
{
	const u32 logical = kbdus_abi_device_logical_block_size(wish);
	const u32 physical = kbdus_abi_device_physical_block_size(wish);
	const u64 size = kbdus_abi_device_size_bytes(wish);
	const u32 known_ops = (KBDUS_ABI_OPS_SECURE_ERASE << 1) - 1;
	const u32 known_attrs = (KBDUS_ABI_ATTR_NO_PARTITION_SCAN << 1) - 1;

	return is_block_size(logical) && is_block_size(physical) && physical >= logical &&
	       size != 0 && size % physical == 0 && size <= S64_MAX &&
	       !(kbdus_abi_device_ops(wish) & ~known_ops) &&
	       !(kbdus_abi_device_attrs(wish) & ~known_attrs) &&
	       kbdus_abi_device_queues(wish) >= 1 &&
	       kbdus_abi_device_queues(wish) <= KBDUS_ABI_QUEUES &&
	       kbdus_abi_device_queue_depth(wish) >= 1 &&
	       kbdus_abi_device_queue_depth(wish) <= KBDUS_ABI_DEPTH && has_sound_limits(wish);
}

static void start_disk(struct work_struct *work);
static void stop_disk(struct work_struct *work);
static void forget(struct work_struct *work);

static struct kbdus_device *allocate(const struct kbdus_abi_device *wish)
{
	const unsigned int queues = kbdus_abi_device_queues(wish);
	struct kbdus_device *device;

	device = kzalloc(struct_size(device, queues, queues), GFP_KERNEL);
	if (!device)
		return NULL;
	kref_init(&device->references);
	INIT_LIST_HEAD(&device->link);
	mutex_init(&device->lock);
	INIT_WORK(&device->start_work, start_disk);
	INIT_WORK(&device->stop_work, stop_disk);
	INIT_WORK(&device->forget_work, forget);
	device->created = *wish;
	device->creator = get_pid(task_tgid(current));
	atomic_inc(&kbdus_alive);
	for (; device->queue_count < queues; device->queue_count++) {
		struct kbdus_queue *queue = kbdus_queue_create(device, device->queue_count);

		if (!queue) {
			free_device(device);
			return NULL;
		}
		device->queues[device->queue_count] = queue;
	}
	return device;
}

/* The table is sorted by id. */
static struct kbdus_device *lookup(u64 id)
{
	struct kbdus_device *device;

	list_for_each_entry (device, &kbdus_table, link)
		if (kbdus_abi_device_id(&device->created) >= id)
			return device;
	return NULL;
}

static int enter_table(struct kbdus_device *device)
{
	const u64 id = kbdus_abi_device_id(&device->created);
	struct kbdus_device *next;
	int error = 0;

	mutex_lock(&kbdus_table_lock);
	next = lookup(id);
	if (next && kbdus_abi_device_id(&next->created) == id) {
		error = -EEXIST;
	} else if (kbdus_table_count >= kbdus_max_devices) {
		error = -ENOSPC;
	} else {
		list_add_tail(&device->link, next ? &next->link : &kbdus_table);
		kbdus_table_count++;
		device->files = 1;
	}
	mutex_unlock(&kbdus_table_lock);
	return error;
}

int kbdus_device_create(struct kbdus_abi_device *wish, struct kbdus_device **result)
{
	struct kbdus_device *device;
	int error;

	if (!is_sound(wish))
		return -EINVAL;
	kbdus_abi_device_set_queues(wish, min(kbdus_abi_device_queues(wish), nr_cpu_ids));
	device = allocate(wish);
	if (!device)
		return -ENOMEM;
	error = enter_table(device);
	if (error) {
		kbdus_device_put(device);
		return error;
	}
	kbdus_device_tell(device, wish);
	*result = device;
	return 0;
}

/* ---- the table ------------------------------------------------------------------------------- */

struct kbdus_device *kbdus_device_find(u64 id, bool or_next)
{
	struct kbdus_device *device;

	mutex_lock(&kbdus_table_lock);
	device = lookup(id);
	if (device && !or_next && kbdus_abi_device_id(&device->created) != id)
		device = NULL;
	if (device)
		kref_get(&device->references);
	mutex_unlock(&kbdus_table_lock);
	return device;
}

/*
 * Whoever finds that the device is gone may unload the module at once. The last file has been
 * released, but may still be about to give up its hold of the module, without sleeping in between:
 * so every processor has to pass by the scheduler first.
 */
static void forget(struct work_struct *work)
{
	struct kbdus_device *device = container_of(work, struct kbdus_device, forget_work);

	synchronize_rcu_expedited();
	mutex_lock(&kbdus_table_lock);
	list_del_init(&device->link);
	kbdus_table_count--;
	mutex_unlock(&kbdus_table_lock);
	kbdus_device_put(device);
}

void kbdus_device_leave(struct kbdus_device *device)
{
	bool last, stopped;

	kbdus_device_stop(device, true);
	mutex_lock(&device->lock);
	last = --device->files == 0;
	stopped = device->state == KBDUS_ABI_STATE_STOPPED;
	mutex_unlock(&device->lock);
	/* The last file's reference goes over to the work, which stop_disk() begins if need be. */
	if (!last)
		kbdus_device_put(device);
	else if (stopped)
		queue_work(kbdus_work, &device->forget_work);
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

int kbdus_device_attach(struct kbdus_device *device, unsigned int index, u64 payloads,
			u64 stride_bytes)
{
	struct kbdus_queue *queue;
	int error = 0;

	if (index >= device->queue_count || !is_payload_memory(device, payloads, stride_bytes))
		return -EINVAL;
	queue = device->queues[index];
	mutex_lock(&device->lock);
	if (device->state != KBDUS_ABI_STATE_CREATED || queue->attached) {
		error = -EBUSY;
	} else {
		queue->payloads = payloads;
		queue->stride_bytes = stride_bytes;
		queue->server = get_task_struct(current->group_leader);
		queue->attached = true;
		device->attached++;
		device->files++;
		kref_get(&device->references);
	}
	mutex_unlock(&device->lock);
	return error;
}

/* ---- starting and stopping ------------------------------------------------------------------- */

static void set_state(struct kbdus_device *device, enum kbdus_abi_state state)
{
	lockdep_assert_held(&device->lock);
	WRITE_ONCE(device->state, state);
	kbdus_queue_notify(device->queues[0]);
}

static void finish_queues(struct kbdus_device *device)
{
	unsigned int i;

	for (i = 0; i < device->queue_count; i++)
		kbdus_queue_finish(device->queues[i]);
}

static void start_disk(struct work_struct *work)
{
	struct kbdus_device *device = container_of(work, struct kbdus_device, start_work);
	const int error = kbdus_disk_add(device);
	bool stop;

	mutex_lock(&device->lock);
	device->start_result = error;
	stop = device->state == KBDUS_ABI_STATE_STOPPING;
	if (!stop && error) {
		finish_queues(device);
		set_state(device, KBDUS_ABI_STATE_STOPPED);
	} else if (!stop) {
		set_state(device, KBDUS_ABI_STATE_LIVE);
	}
	mutex_unlock(&device->lock);
	/* Work is not to wait for other work, of which only so much goes on at a time. */
	if (stop)
		queue_work(kbdus_work, &device->stop_work);
	else
		kbdus_device_put(device);
}

int kbdus_device_start(struct kbdus_device *device)
{
	int error = -EBUSY;

	mutex_lock(&device->lock);
	if (device->state == KBDUS_ABI_STATE_CREATED && device->attached == device->queue_count)
		error = kbdus_disk_create(device);
	if (!error) {
		set_state(device, KBDUS_ABI_STATE_STARTING);
		kref_get(&device->references);
		queue_work(kbdus_work, &device->start_work);
	}
	mutex_unlock(&device->lock);
	return error;
}

static void stop_disk(struct work_struct *work)
{
	struct kbdus_device *device = container_of(work, struct kbdus_device, stop_work);
	bool last;

	kbdus_disk_remove(device);
	mutex_lock(&device->lock);
	finish_queues(device);
	set_state(device, KBDUS_ABI_STATE_STOPPED);
	last = device->files == 0;
	mutex_unlock(&device->lock);
	if (last)
		queue_work(kbdus_work, &device->forget_work);
	kbdus_device_put(device);
}

void kbdus_device_stop(struct kbdus_device *device, bool abort)
{
	unsigned int i;

	for (i = 0; abort && i < device->queue_count; i++)
		kbdus_queue_abort(device->queues[i]);
	mutex_lock(&device->lock);
	switch (device->state) {
	case KBDUS_ABI_STATE_CREATED:
		finish_queues(device);
		set_state(device, KBDUS_ABI_STATE_STOPPED);
		break;
	case KBDUS_ABI_STATE_STARTING:
		/* start_disk() goes on with it. */
		set_state(device, KBDUS_ABI_STATE_STOPPING);
		break;
	case KBDUS_ABI_STATE_LIVE:
		set_state(device, KBDUS_ABI_STATE_STOPPING);
		kref_get(&device->references);
		queue_work(kbdus_work, &device->stop_work);
		break;
	case KBDUS_ABI_STATE_STOPPING:
	case KBDUS_ABI_STATE_STOPPED:
		break;
	}
	mutex_unlock(&device->lock);
}

void kbdus_device_tell(struct kbdus_device *device, struct kbdus_abi_device *told)
{
	*told = device->created;
	mutex_lock(&device->lock);
	kbdus_abi_device_set_state(told, device->state);
	kbdus_abi_device_set_start_result(told, device->start_result);
	if (device->state == KBDUS_ABI_STATE_LIVE) {
		kbdus_abi_device_set_major(told, device->disk->major);
		kbdus_abi_device_set_minor(told, device->disk->first_minor);
	}
	mutex_unlock(&device->lock);
	kbdus_abi_device_set_pid(told, pid_vnr(device->creator));
}
