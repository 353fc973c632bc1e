// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading, and the module's parameters.
 */
#include "kbdus_internal.h"

#include <linux/miscdevice.h>
#include <linux/module.h>

#define MOST_DEVICES (1U << 20)

struct workqueue_struct *kbdus_work;
unsigned int kbdus_max_devices = 4096;

module_param_named(max_devices, kbdus_max_devices, uint, 0444);
MODULE_PARM_DESC(max_devices, "most devices at a time, 1 to 1048576 (default: 4096)");

static struct miscdevice kbdus_control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "bdus-control",
	.fops = &kbdus_control_fops,
	.mode = 0600,
};

static int __init kbdus_init(void)
{
	int error;

	if (kbdus_max_devices < 1 || kbdus_max_devices > MOST_DEVICES) {
		pr_err("kbdus: max_devices is %u: must be from 1 to %u\n", kbdus_max_devices,
		       MOST_DEVICES);
		return -EINVAL;
	}
	/* Each device has at most two pieces of work that wait, for its own server and no other. */
	kbdus_work = alloc_workqueue("kbdus", WQ_UNBOUND, WQ_MAX_ACTIVE);
	if (!kbdus_work)
		return -ENOMEM;
	error = kbdus_program_init();
	if (error)
		goto no_programs;
	error = misc_register(&kbdus_control);
	if (error)
		goto no_control;
	return 0;
no_control:
	kbdus_program_exit();
no_programs:
	destroy_workqueue(kbdus_work);
	return error;
}

/* There are no files and no open disks, or the module could not be unloaded. */
static void __exit kbdus_exit(void)
{
	misc_deregister(&kbdus_control);
	flush_workqueue(kbdus_work);
	kbdus_devices_wait();
	kbdus_program_exit();
	destroy_workqueue(kbdus_work);
}

module_init(kbdus_init);
module_exit(kbdus_exit);
MODULE_LICENSE("GPL");
MODULE_VERSION(KBDUS_VERSION_TEXT);
MODULE_DESCRIPTION("Block devices in user space");
