// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/bdus-control. What a file is, is decided once, by CREATE or ATTACH, and stays until it is
 * closed. Everything that comes from user space is copied once, and checked afterwards.
 */
#include "kbdus_internal.h"

#include "compat/compat.h"

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

struct kbdus_file {
	/* Taken to decide what the file is. */
	struct mutex lock;
	/* NULL before that; then constant, published by the first. */
	struct kbdus_device *device;
	/* NULL for the owner. */
	struct kbdus_queue *queue;
};

static struct kbdus_device *device_of(const struct kbdus_file *file)
{
	return smp_load_acquire(&file->device);
}

static struct kbdus_queue *queue_of(const struct kbdus_file *file)
{
	return device_of(file) ? file->queue : NULL;
}

static struct kbdus_device *owned_by(const struct kbdus_file *file)
{
	return queue_of(file) ? NULL : device_of(file);
}

struct kbdus_queue *kbdus_file_queue(struct file *file)
{
	return queue_of(file->private_data);
}

static void become(struct kbdus_file *file, struct kbdus_device *device, struct kbdus_queue *queue)
{
	file->queue = queue;
	smp_store_release(&file->device, device);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int control_open(struct inode *inode, struct file *file)
{
	struct kbdus_file *control = kzalloc(sizeof(*control), GFP_KERNEL);

	if (!control)
		return -ENOMEM;
	mutex_init(&control->lock);
	file->private_data = control;
	return 0;
}

static int control_release(struct inode *inode, struct file *file)
{
	struct kbdus_file *control = file->private_data;

	if (control->device)
		kbdus_device_leave(control->device);
	mutex_destroy(&control->lock);
	kfree(control);
	return 0;
}

/* ---- commands -------------------------------------------------------------------------------- */

static int tell_version(void __user *argument)
{
	struct kbdus_abi_version version = {};

	kbdus_abi_version_set_abi(&version, KBDUS_ABI_VERSION_NUMBER);
	kbdus_abi_version_set_major(&version, KBDUS_VERSION_MAJOR);
	kbdus_abi_version_set_minor(&version, KBDUS_VERSION_MINOR);
	kbdus_abi_version_set_patch(&version, KBDUS_VERSION_PATCH);
	return copy_to_user(argument, &version, sizeof(version)) ? -EFAULT : 0;
}

static int create(struct kbdus_file *file, void __user *argument)
{
	struct kbdus_abi_device wish;
	struct kbdus_device *device;
	int error = -EBUSY;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&wish, argument, sizeof(wish)))
		return -EFAULT;
	mutex_lock(&file->lock);
	if (!file->device)
		error = kbdus_device_create(&wish, &device);
	/* Where the answer cannot be told, the file has a device all the same. */
	if (!error)
		become(file, device, NULL);
	mutex_unlock(&file->lock);
	if (!error && copy_to_user(argument, &wish, sizeof(wish)))
		error = -EFAULT;
	return error;
}

static int attach_to(struct kbdus_file *file, struct kbdus_device *device,
		     struct kbdus_abi_attach *attach)
{
	const u32 index = kbdus_abi_attach_queue(attach);
	struct kbdus_queue *queue;
	int error = -EBUSY;

	mutex_lock(&file->lock);
	if (!file->device)
		error = kbdus_device_attach(device, index, kbdus_abi_attach_payloads(attach),
					    kbdus_abi_attach_stride_bytes(attach));
	if (!error) {
		queue = device->queues[index];
		kbdus_abi_attach_set_entries(attach, queue->entries);
		kbdus_abi_attach_set_map_bytes(attach, queue->map_bytes);
		become(file, device, queue);
	}
	mutex_unlock(&file->lock);
	return error;
}

static int attach(struct kbdus_file *file, void __user *argument)
{
	struct kbdus_abi_attach attach;
	struct kbdus_device *device;
	struct file *owner;
	int error = -EINVAL;

	if (copy_from_user(&attach, argument, sizeof(attach)))
		return -EFAULT;
	owner = fget(kbdus_abi_attach_owner(&attach));
	if (!owner)
		return -EBADF;
	device = owner->f_op == &kbdus_control_fops ? owned_by(owner->private_data) : NULL;
	if (device)
		error = attach_to(file, device, &attach);
	fput(owner);
	if (!error && copy_to_user(argument, &attach, sizeof(attach)))
		error = -EFAULT;
	return error;
}

static int tell(struct kbdus_device *device, void __user *argument)
{
	struct kbdus_abi_device told;

	kbdus_device_tell(device, &told);
	return copy_to_user(argument, &told, sizeof(told)) ? -EFAULT : 0;
}

static int find(void __user *argument, bool or_next)
{
	struct kbdus_abi_device wanted;
	struct kbdus_device *device;
	int error;

	if (copy_from_user(&wanted, argument, sizeof(wanted)))
		return -EFAULT;
	device = kbdus_device_find(kbdus_abi_device_id(&wanted), or_next);
	if (!device)
		return -ENODEV;
	error = tell(device, argument);
	kbdus_device_put(device);
	return error;
}

static int destroy(void __user *argument)
{
	struct kbdus_abi_device wanted;
	struct kbdus_device *device;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&wanted, argument, sizeof(wanted)))
		return -EFAULT;
	device = kbdus_device_find(kbdus_abi_device_id(&wanted), false);
	if (!device)
		return -ENODEV;
	kbdus_device_stop(device, true);
	kbdus_device_put(device);
	return 0;
}

static int stop(struct kbdus_device *device)
{
	kbdus_device_stop(device, false);
	return 0;
}

/* Commands of an owner. */
static long owner_command(struct kbdus_device *device, unsigned int number, void __user *argument)
{
	switch (number) {
	case KBDUS_ABI_COMMAND_START:
		return kbdus_device_start(device);
	case KBDUS_ABI_COMMAND_STOP:
		return stop(device);
	case KBDUS_ABI_COMMAND_STATUS:
		return tell(device, argument);
	default:
		return -ENOTTY;
	}
}

static long enter(struct kbdus_queue *queue, unsigned long how)
{
	if (how > KBDUS_ABI_ENTER_WAIT)
		return -EINVAL;
	return kbdus_queue_enter(queue, how == KBDUS_ABI_ENTER_WAIT);
}

static long control_ioctl(struct file *file, unsigned int number, unsigned long value)
{
	struct kbdus_file *control = file->private_data;
	void __user *argument = (void __user *)value;
	struct kbdus_device *owned = owned_by(control);

	switch (number) {
	case KBDUS_ABI_COMMAND_VERSION:
		return tell_version(argument);
	case KBDUS_ABI_COMMAND_CREATE:
		return create(control, argument);
	case KBDUS_ABI_COMMAND_ATTACH:
		return attach(control, argument);
	case KBDUS_ABI_COMMAND_NEXT:
		return find(argument, true);
	case KBDUS_ABI_COMMAND_FIND:
		return find(argument, false);
	case KBDUS_ABI_COMMAND_DESTROY:
		return destroy(argument);
	case KBDUS_ABI_COMMAND_ENTER:
		return queue_of(control) ? enter(queue_of(control), value) : -ENOTTY;
	default:
		return owned ? owner_command(owned, number, argument) : -ENOTTY;
	}
}

static int control_uring_cmd(struct io_uring_cmd *command, unsigned int issue_flags)
{
	struct kbdus_queue *queue = kbdus_file_queue(command->file);

	if (!queue)
		return -ENOTTY;
	if (kbdus_command_is_cancelled(issue_flags)) {
		kbdus_queue_cancel(queue, command, issue_flags);
		return 0;
	}
	return kbdus_queue_command(queue, command, issue_flags);
}

/* ---- waiting, mapping, payloads -------------------------------------------------------------- */

static __poll_t control_poll(struct file *file, poll_table *table)
{
	struct kbdus_queue *queue = kbdus_file_queue(file);

	return queue ? kbdus_queue_poll(queue, file, table) : EPOLLERR;
}

static int control_mmap(struct file *file, struct vm_area_struct *area)
{
	struct kbdus_queue *queue = kbdus_file_queue(file);

	if (!queue)
		return -ENODEV;
	if (!(area->vm_flags & VM_SHARED) || area->vm_pgoff != 0 ||
	    area->vm_end - area->vm_start > queue->map_bytes)
		return -EINVAL;
	return remap_vmalloc_range(area, queue->rings, 0);
}

static ssize_t copy_payload(struct kiocb *call, struct iov_iter *iter)
{
	struct kbdus_queue *queue = kbdus_file_queue(call->ki_filp);

	return queue ? kbdus_queue_copy(queue, call->ki_pos, iter) : -EINVAL;
}

const struct file_operations kbdus_control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = control_uring_cmd,
	.poll = control_poll,
	.mmap = control_mmap,
	.read_iter = copy_payload,
	.write_iter = copy_payload,
	.llseek = noop_llseek,
};
