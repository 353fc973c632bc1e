// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a device.
 *
 *	            START                  disk exists          the server dies or leaves
 *	CREATED ───────────▶ STARTING ─────────────────▶ LIVE ───────────────────────────▶ ORPHANED
 *	   │                   │    │ no disk to be had    │ ◀─────────────────────────────    │
 *	   │ STOP, DESTROY,    │    └──────────────────────┼──────┐  a successor STARTs        │
 *	   │ a file is closed  │ STOP, …                   │ …    │                            │
 *	   │                   ▼                           ▼      │                            │
 *	   │                STOPPING ◀─────────────────────┴──────┼────────────────────────────┘
 *	   │                   │ the disk is gone                 │
 *	   └───────────────────┴──────────▶ STOPPED ◀─────────────┘
 *
 * Disks are made and removed by work, since both wait for requests, which the thread that asked for
 * it may have to serve. A file that is closed while there is a disk means that the server has died:
 * the requests fail, and the disk goes. If the device is recoverable, though, the requests wait for
 * another server; and the same after LEAVE, if there is a successor. The device stays in the table
 * until there is no disk and its last file is closed; by then the module is not in use by it any
 * more.
 *
 * A server is the files of one epoch. That of a process killed is succeeded once they are closed,
 * which the kernel does when nothing of the process runs any more; except for one whose thread
 *waits for the device itself, which therefore counts as gone after KILLED_JIFFIES.
 */
#include "kbdus_internal.h"

#include <linux/cred.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

/* After this long, what is left of a killed server waits for the device itself. */
#define KILLED_JIFFIES (5 * HZ)

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

	kbdus_program_put(device->program);
	if (device->has_tags)
		blk_mq_free_tag_set(&device->tags);
	for (i = 0; i < device->queue_count; i++)
		kbdus_queue_destroy(device->queues[i]);
	put_pid(device->creator);
	kvfree(device->parts);
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

static bool is_size(u64 size, u32 block_size)
{
	return size != 0 && size % block_size == 0 && size <= S64_MAX;
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
	const u32 known_ops = ((KBDUS_ABI_OPS_SECURE_ERASE << 1) - 1) | KBDUS_ABI_OPS_IOCTL;
	const u32 known_attrs = (KBDUS_ABI_ATTR_MIRRORED_IOCTLS << 1) - 1;

	return is_block_size(logical) && is_block_size(physical) && physical >= logical &&
	       is_size(kbdus_abi_device_size_bytes(wish), physical) &&
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
	init_waitqueue_head(&device->changed);
	INIT_WORK(&device->start_work, start_disk);
	INIT_WORK(&device->stop_work, stop_disk);
	INIT_WORK(&device->forget_work, forget);
	device->created = *wish;
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

/* The table has a reference. */
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
		kref_get(&device->references);
	}
	mutex_unlock(&kbdus_table_lock);
	return error;
}

static void set_owner(struct kbdus_device *device, struct kbdus_file *file)
{
	put_pid(device->creator);
	device->creator = get_pid(task_tgid(current));
	device->owner = file;
	device->server_files = 1;
	device->leaving = false;
	device->killed_at = 0;
	file->epoch = ++device->epoch;
}

int kbdus_device_create(struct kbdus_abi_device *wish, struct kbdus_file *file,
			struct kbdus_device **result)
{
	struct kbdus_device *device;
	int error;

	if (!is_sound(wish))
		return -EINVAL;
	kbdus_abi_device_set_queues(wish, min(kbdus_abi_device_queues(wish), nr_cpu_ids));
	device = allocate(wish);
	if (!device)
		return -ENOMEM;
	set_owner(device, file);
	device->files = 1;
	error = enter_table(device);
	if (error) {
		kbdus_device_put(device);
		return error;
	}
	kbdus_device_tell(device, NULL, wish);
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
	if (device->keeps_module)
		module_put(THIS_MODULE);
	mutex_lock(&kbdus_table_lock);
	list_del_init(&device->link);
	kbdus_table_count--;
	mutex_unlock(&kbdus_table_lock);
	kbdus_device_put(device);
}

/* ---- servers come and go --------------------------------------------------------------------- */

static void tell_change(struct kbdus_device *device)
{
	lockdep_assert_held(&device->lock);
	device->changes++;
	wake_up_all(&device->changed);
	kbdus_queue_notify(device->queues[0]);
}

static void set_state(struct kbdus_device *device, enum kbdus_abi_state state)
{
	WRITE_ONCE(device->state, state);
	tell_change(device);
}

static bool is_vacant(const struct kbdus_device *device)
{
	return device->state == KBDUS_ABI_STATE_ORPHANED && !device->owner &&
	       (device->server_files == 0 ||
		(device->killed_at && time_after(jiffies, device->killed_at + KILLED_JIFFIES)));
}

static void orphan(struct kbdus_device *device)
{
	unsigned int i;

	lockdep_assert_held(&device->lock);
	for (i = 0; i < device->queue_count; i++)
		kbdus_queue_detach(device->queues[i], NULL);
	put_pid(device->creator);
	device->creator = NULL;
	device->attached = 0;
	device->owner = NULL;
	device->leaving = false;
	set_state(device, KBDUS_ABI_STATE_ORPHANED);
}

/* There is a disk, and a server that has it or is about to. */
static bool has_server(const struct kbdus_device *device)
{
	return device->state == KBDUS_ABI_STATE_LIVE ||
	       (device->state == KBDUS_ABI_STATE_ORPHANED && device->owner);
}

void kbdus_device_lose(struct kbdus_device *device)
{
	bool stop;

	mutex_lock(&device->lock);
	stop = device->state != KBDUS_ABI_STATE_ORPHANED || device->owner;
	if (has_server(device) && kbdus_device_is_recoverable(device)) {
		orphan(device);
		device->killed_at = jiffies | 1;
		stop = false;
	}
	mutex_unlock(&device->lock);
	if (stop)
		kbdus_device_stop(device, true);
}

int kbdus_device_adopt(u64 id, struct kbdus_file *file, struct kbdus_device **result)
{
	struct kbdus_device *device = kbdus_device_find(id, false);
	int error = 0;

	if (!device)
		return -ENODEV;
	mutex_lock(&device->lock);
	if (device->successor ||
	    (device->state != KBDUS_ABI_STATE_LIVE && device->state != KBDUS_ABI_STATE_ORPHANED)) {
		error = -EBUSY;
	} else {
		device->successor = file;
		device->files++;
		tell_change(device);
	}
	mutex_unlock(&device->lock);
	if (error)
		kbdus_device_put(device);
	else
		*result = device;
	return error;
}

/* Whether @file may attach queues; makes the successor the owner, when its time has come. */
static bool may_attach(struct kbdus_device *device, struct kbdus_file *file)
{
	if (file == device->owner)
		return device->state == KBDUS_ABI_STATE_CREATED ||
		       device->state == KBDUS_ABI_STATE_ORPHANED;
	if (file != device->successor || !is_vacant(device))
		return false;
	device->successor = NULL;
	set_owner(device, file);
	tell_change(device);
	return true;
}

int kbdus_device_attach(struct kbdus_device *device, struct kbdus_file *owner,
			struct kbdus_file *file, struct kbdus_session *session)
{
	int error = -EBUSY;

	mutex_lock(&device->lock);
	if (may_attach(device, owner))
		error = kbdus_queue_attach(session->queue, session);
	if (!error) {
		file->epoch = device->epoch;
		device->attached++;
		device->files++;
		device->server_files++;
		kref_get(&device->references);
	}
	mutex_unlock(&device->lock);
	return error;
}

int kbdus_device_vacate(struct kbdus_device *device, const struct kbdus_file *file)
{
	unsigned int i;
	int error = 0;

	mutex_lock(&device->lock);
	if (device->owner != file || device->state != KBDUS_ABI_STATE_LIVE)
		error = -EBUSY;
	else if (!device->successor && !kbdus_device_is_recoverable(device))
		error = -EINVAL;
	else
		device->leaving = true;
	for (i = 0; !error && i < device->queue_count; i++)
		kbdus_queue_leave(device->queues[i]);
	mutex_unlock(&device->lock);
	return error;
}

static bool is_answered(struct kbdus_device *device)
{
	unsigned int i;

	for (i = 0; i < device->queue_count; i++)
		if (READ_ONCE(device->queues[i]->held) != 0)
			return false;
	return true;
}

/*
 * The server of a disk closes one of its files, with which it may have @held requests: whether it
 * has died, rather than left.
 */
static bool is_death(struct kbdus_device *device, bool held)
{
	return !device->leaving || held || !is_answered(device);
}

/* What the end of a file of the server means for the device: whether that ends, too. */
static bool lose_file(struct kbdus_device *device, const struct kbdus_file *file, bool held)
{
	const bool had_server = has_server(device);
	const bool died = is_death(device, held);

	device->server_files--;
	if (file == device->owner)
		device->owner = NULL;
	if (had_server) {
		if (!died && device->server_files > 0)
			return false;
		if (!kbdus_device_is_recoverable(device) && (died || !device->successor))
			return true;
		orphan(device);
		return false;
	}
	if (device->state != KBDUS_ABI_STATE_ORPHANED)
		return true;
	if (device->server_files == 0)
		tell_change(device);
	return false;
}

/* Whether the device is to end. */
static bool let_go(struct kbdus_device *device, const struct kbdus_file *file)
{
	struct kbdus_session *session = file->session;
	const bool held = session && kbdus_queue_detach(session->queue, session);

	if (file == device->successor) {
		device->successor = NULL;
		tell_change(device);
		return device->state == KBDUS_ABI_STATE_ORPHANED &&
		       !kbdus_device_is_recoverable(device);
	}
	return file->epoch == device->epoch && lose_file(device, file, held);
}

void kbdus_device_leave(struct kbdus_device *device, struct kbdus_file *file)
{
	bool last, stop, stopped;

	mutex_lock(&device->lock);
	stop = let_go(device, file);
	mutex_unlock(&device->lock);
	if (stop)
		kbdus_device_stop(device, true);
	mutex_lock(&device->lock);
	last = --device->files == 0;
	stopped = device->state == KBDUS_ABI_STATE_STOPPED;
	mutex_unlock(&device->lock);
	/* Otherwise stop_disk() does so. */
	if (last && stopped)
		queue_work(kbdus_work, &device->forget_work);
	kbdus_device_put(device);
}

/* ---- starting and stopping ------------------------------------------------------------------- */

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

static void open_queues(struct kbdus_device *device)
{
	unsigned int i;

	for (i = 0; i < device->queue_count; i++)
		kbdus_queue_open(device->queues[i]);
}

static int begin(struct kbdus_device *device)
{
	const int error = kbdus_disk_create(device);

	if (error)
		return error;
	/* Of an orphan, neither files nor clients may be left. */
	__module_get(THIS_MODULE);
	device->keeps_module = true;
	open_queues(device);
	set_state(device, KBDUS_ABI_STATE_STARTING);
	kref_get(&device->references);
	queue_work(kbdus_work, &device->start_work);
	return 0;
}

int kbdus_device_start(struct kbdus_device *device, const struct kbdus_file *file)
{
	int error = -EBUSY;

	mutex_lock(&device->lock);
	if (device->owner == file && device->attached == device->queue_count) {
		if (device->state == KBDUS_ABI_STATE_CREATED) {
			error = begin(device);
		} else if (device->state == KBDUS_ABI_STATE_ORPHANED) {
			open_queues(device);
			set_state(device, KBDUS_ABI_STATE_LIVE);
			error = 0;
		}
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
	case KBDUS_ABI_STATE_ORPHANED:
		abort = true;
		fallthrough;
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
	for (i = 0; abort && i < device->queue_count; i++)
		kbdus_queue_abort(device->queues[i]);
	if (abort)
		kbdus_program_end_delays(device);
}

int kbdus_device_end(struct kbdus_device *device, const struct kbdus_file *file)
{
	bool owned;

	mutex_lock(&device->lock);
	owned = device->owner == file;
	mutex_unlock(&device->lock);
	if (!owned)
		return -EBUSY;
	kbdus_device_stop(device, false);
	return 0;
}

int kbdus_device_describe(struct kbdus_device *device, const struct kbdus_file *file,
			  const struct kbdus_abi_ioctl_table *table)
{
	struct kbdus_abi_ioctl_part *parts;
	int error = kbdus_ioctl_describe(table, &parts);

	if (error)
		return error;
	mutex_lock(&device->lock);
	if (device->owner != file || device->state != KBDUS_ABI_STATE_CREATED || device->parts) {
		error = -EBUSY;
	} else {
		device->parts = parts;
		device->part_count = kbdus_abi_ioctl_table_count(table);
	}
	mutex_unlock(&device->lock);
	if (error)
		kvfree(parts);
	return error;
}

int kbdus_device_resize(struct kbdus_device *device, const struct kbdus_file *file, u64 size_bytes)
{
	struct kbdus_abi_device *created = &device->created;
	int error = 0;

	if (!is_size(size_bytes, kbdus_abi_device_physical_block_size(created)))
		return -EINVAL;
	mutex_lock(&device->lock);
	if (device->owner != file || device->state != KBDUS_ABI_STATE_LIVE) {
		error = -EBUSY;
	} else if (kbdus_device_is_zoned(device)) {
		error = -EINVAL;
	} else {
		kbdus_abi_device_set_size_bytes(created, size_bytes);
		kbdus_disk_resize(device);
	}
	mutex_unlock(&device->lock);
	return error;
}

/* ---- what is known --------------------------------------------------------------------------- */

static u32 notices(const struct kbdus_device *device)
{
	return (device->successor ? KBDUS_ABI_NOTICE_SUCCEEDED : 0) |
	       (is_vacant(device) ? KBDUS_ABI_NOTICE_VACANT : 0);
}

static bool has_disk(const struct kbdus_device *device)
{
	return device->state == KBDUS_ABI_STATE_LIVE || device->state == KBDUS_ABI_STATE_ORPHANED;
}

__poll_t kbdus_device_poll(struct kbdus_device *device, struct file *file, poll_table *table)
{
	const struct kbdus_file *control = file->private_data;
	bool changed;

	poll_wait(file, &device->changed, table);
	mutex_lock(&device->lock);
	changed = control->seen != device->changes;
	mutex_unlock(&device->lock);
	return changed ? EPOLLIN | EPOLLRDNORM : 0;
}

void kbdus_device_tell(struct kbdus_device *device, struct kbdus_file *file,
		       struct kbdus_abi_device *told)
{
	mutex_lock(&device->lock);
	*told = device->created;
	if (file)
		file->seen = device->changes;
	kbdus_abi_device_set_notices(told, notices(device));
	kbdus_abi_device_set_state(told, device->state);
	kbdus_abi_device_set_start_result(told, device->start_result);
	if (has_disk(device)) {
		kbdus_abi_device_set_major(told, device->disk->major);
		kbdus_abi_device_set_minor(told, device->disk->first_minor);
	}
	kbdus_abi_device_set_pid(told, pid_vnr(device->creator));
	mutex_unlock(&device->lock);
}
