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

static struct kbdus_device *device_of(const struct kbdus_file *file)
{
	/* What it is and has is seen, too: pairs with become(). */
	return smp_load_acquire(&file->device);
}

static struct kbdus_session *session_of(const struct kbdus_file *file)
{
	return device_of(file) ? file->session : NULL;
}

static struct kbdus_device *owned_by(const struct kbdus_file *file)
{
	return session_of(file) ? NULL : device_of(file);
}

struct kbdus_session *kbdus_file_session(struct file *file)
{
	return session_of(file->private_data);
}

static void become(struct kbdus_file *file, struct kbdus_device *device,
		   struct kbdus_session *session)
{
	file->session = session;
	/* Last: who sees it sees the rest; pairs with device_of(). */
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
		kbdus_device_leave(control->device, control);
	kbdus_session_destroy(control->session);
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
	kbdus_abi_version_set_features(&version, KBDUS_HAS_ZONES ? KBDUS_ABI_FEATURE_ZONES : 0);
	return copy_to_user(argument, &version, sizeof(version)) ? -EFAULT : 0;
}

static int tell(struct kbdus_device *device, struct kbdus_file *file, void __user *argument)
{
	struct kbdus_abi_device told;

	kbdus_device_tell(device, file, &told);
	return copy_to_user(argument, &told, sizeof(told)) ? -EFAULT : 0;
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
		error = kbdus_device_create(&wish, file, &device);
	/* Where the answer cannot be told, the file has a device all the same. */
	if (!error)
		become(file, device, NULL);
	mutex_unlock(&file->lock);
	if (!error && copy_to_user(argument, &wish, sizeof(wish)))
		error = -EFAULT;
	return error;
}

static int adopt(struct kbdus_file *file, void __user *argument)
{
	struct kbdus_abi_device wanted;
	struct kbdus_device *device;
	int error = -EBUSY;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&wanted, argument, sizeof(wanted)))
		return -EFAULT;
	mutex_lock(&file->lock);
	if (!file->device)
		error = kbdus_device_adopt(kbdus_abi_device_id(&wanted), file, &device);
	if (!error)
		become(file, device, NULL);
	mutex_unlock(&file->lock);
	return error ? error : tell(device, file, argument);
}

/* With the file's lock, which is nothing yet. */
static int attach_queue(struct kbdus_file *file, struct kbdus_file *owner,
			struct kbdus_abi_attach *attach)
{
	struct kbdus_device *device = owner->device;
	const u32 index = kbdus_abi_attach_queue(attach);
	struct kbdus_session *session;
	int error;

	if (index >= device->queue_count)
		return -EINVAL;
	session = kbdus_session_create(device->queues[index], kbdus_abi_attach_payloads(attach),
				       kbdus_abi_attach_stride_bytes(attach));
	if (IS_ERR(session))
		return PTR_ERR(session);
	error = kbdus_device_attach(device, owner, file, session);
	if (error) {
		kbdus_session_destroy(session);
		return error;
	}
	kbdus_abi_attach_set_entries(attach, session->entries);
	kbdus_abi_attach_set_map_bytes(attach, session->map_bytes);
	become(file, device, session);
	return 0;
}

static int attach_to(struct kbdus_file *file, struct kbdus_file *owner,
		     struct kbdus_abi_attach *attach)
{
	int error;

	if (!owned_by(owner))
		return -EINVAL;
	mutex_lock(&file->lock);
	error = file->device ? -EBUSY : attach_queue(file, owner, attach);
	mutex_unlock(&file->lock);
	return error;
}

static int attach(struct kbdus_file *file, void __user *argument)
{
	struct kbdus_abi_attach attach;
	struct file *owner;
	int error = -EINVAL;

	if (copy_from_user(&attach, argument, sizeof(attach)))
		return -EFAULT;
	owner = fget(kbdus_abi_attach_owner(&attach));
	if (!owner)
		return -EBADF;
	if (owner->f_op == &kbdus_control_fops)
		error = attach_to(file, owner->private_data, &attach);
	fput(owner);
	if (!error && copy_to_user(argument, &attach, sizeof(attach)))
		error = -EFAULT;
	return error;
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
	error = tell(device, NULL, argument);
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

static int describe(struct kbdus_file *file, void __user *argument)
{
	struct kbdus_abi_ioctl_table table;

	if (copy_from_user(&table, argument, sizeof(table)))
		return -EFAULT;
	return kbdus_device_describe(file->device, file, &table);
}

static int zone(struct kbdus_file *file, void __user *argument)
{
	struct kbdus_abi_zoned zoned;

	if (copy_from_user(&zoned, argument, sizeof(zoned)))
		return -EFAULT;
	return kbdus_zones_describe(file->device, file, &zoned);
}

static int resize(struct kbdus_file *file, void __user *argument)
{
	struct kbdus_abi_device wanted;

	if (copy_from_user(&wanted, argument, sizeof(wanted)))
		return -EFAULT;
	return kbdus_device_resize(file->device, file, kbdus_abi_device_size_bytes(&wanted));
}

/* Commands of an owner or successor. */
static long owner_command(struct kbdus_file *file, unsigned int number, void __user *argument)
{
	switch (number) {
	case KBDUS_ABI_COMMAND_START:
		return kbdus_device_start(file->device, file);
	case KBDUS_ABI_COMMAND_STOP:
		return kbdus_device_end(file->device, file);
	case KBDUS_ABI_COMMAND_LEAVE:
		return kbdus_device_vacate(file->device, file);
	case KBDUS_ABI_COMMAND_DESCRIBE:
		return describe(file, argument);
	case KBDUS_ABI_COMMAND_RESIZE:
		return resize(file, argument);
	case KBDUS_ABI_COMMAND_ZONES:
		return zone(file, argument);
	case KBDUS_ABI_COMMAND_STATUS:
		return tell(file->device, file, argument);
	default:
		return -ENOTTY;
	}
}

static long enter(struct kbdus_session *session, unsigned long how)
{
	if (how > KBDUS_ABI_ENTER_WAIT)
		return -EINVAL;
	return kbdus_session_enter(session, how == KBDUS_ABI_ENTER_WAIT);
}

static long control_ioctl(struct file *file, unsigned int number, unsigned long value)
{
	struct kbdus_file *control = file->private_data;
	void __user *argument = (void __user *)value;
	long error;

	switch (number) {
	case KBDUS_ABI_COMMAND_VERSION:
		return tell_version(argument);
	case KBDUS_ABI_COMMAND_CREATE:
		return create(control, argument);
	case KBDUS_ABI_COMMAND_ADOPT:
		return adopt(control, argument);
	case KBDUS_ABI_COMMAND_ATTACH:
		return attach(control, argument);
	case KBDUS_ABI_COMMAND_NEXT:
		return find(argument, true);
	case KBDUS_ABI_COMMAND_FIND:
		return find(argument, false);
	case KBDUS_ABI_COMMAND_DESTROY:
		return destroy(argument);
	case KBDUS_ABI_COMMAND_ENTER:
		return session_of(control) ? enter(session_of(control), value) : -ENOTTY;
	default:
		error = kbdus_program_command(number, argument);
		if (error != -ENOTTY)
			return error;
		return owned_by(control) ? owner_command(control, number, argument) : -ENOTTY;
	}
}

static int control_uring_cmd(struct io_uring_cmd *command, unsigned int issue_flags)
{
	struct kbdus_session *session = kbdus_file_session(command->file);

	if (!session)
		return -ENOTTY;
	if (kbdus_command_is_cancelled(issue_flags)) {
		kbdus_session_cancel(session, command, issue_flags);
		return 0;
	}
	return kbdus_session_command(session, command, issue_flags);
}

/* ---- waiting, mapping, payloads -------------------------------------------------------------- */

static __poll_t control_poll(struct file *file, poll_table *table)
{
	struct kbdus_session *session = kbdus_file_session(file);

	if (session)
		return kbdus_session_poll(session, file, table);
	return device_of(file->private_data)
		       ? kbdus_device_poll(device_of(file->private_data), file, table)
		       : EPOLLERR;
}

static int control_mmap(struct file *file, struct vm_area_struct *area)
{
	struct kbdus_session *session = kbdus_file_session(file);

	if (!session)
		return -ENODEV;
	if (!(area->vm_flags & VM_SHARED) || area->vm_pgoff != 0 ||
	    area->vm_end - area->vm_start > session->map_bytes)
		return -EINVAL;
	return remap_vmalloc_range(area, session->rings, 0);
}

static ssize_t copy_payload(struct kiocb *call, struct iov_iter *iter)
{
	struct kbdus_session *session = kbdus_file_session(call->ki_filp);

	return session ? kbdus_session_copy(session, call->ki_pos, iter) : -EINVAL;
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
	.splice_read = KBDUS_SPLICE_READ,
	.splice_write = iter_file_splice_write,
	.llseek = noop_llseek,
};
