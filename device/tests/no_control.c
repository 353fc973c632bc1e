/* SPDX-License-Identifier: MIT */
/*
 * The control plane of a unit test of the engine: none.
 */
#include "device/control.h"

#include <errno.h>

int bdus_control_create(struct bdus_device *device, struct bdus_control **control)
{
	(void)device;
	*control = NULL;
	return 0;
}

int bdus_control_attach(struct bdus_control *control, struct bdus_loop *loop)
{
	(void)control;
	(void)loop;
	return 0;
}

void bdus_control_detach(struct bdus_control *control)
{
	(void)control;
}

void bdus_control_destroy(struct bdus_control *control)
{
	(void)control;
}

void bdus_control_forget(const char *directory, uint64_t id)
{
	(void)directory;
	(void)id;
}

int bdus_control_flush(uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress, void *opaque)
{
	(void)id;
	(void)deadline_ns;
	(void)progress;
	(void)opaque;
	return -ENOENT;
}

int bdus_control_stop(uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress, void *opaque)
{
	(void)id;
	(void)deadline_ns;
	(void)progress;
	(void)opaque;
	return -ENOENT;
}

int bdus_control_socket(uint64_t id, unsigned index, uint64_t deadline_ns, int *fd)
{
	(void)id;
	(void)index;
	(void)deadline_ns;
	(void)fd;
	return -ENOENT;
}

int bdus_control_hand_over(uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress,
			   void *opaque)
{
	(void)id;
	(void)deadline_ns;
	(void)progress;
	(void)opaque;
	return -ENOENT;
}
