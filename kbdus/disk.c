// SPDX-License-Identifier: GPL-2.0
/*
 * The block layer's side of a device.
 */
#include "kbdus_internal.h"

#include "compat/compat.h"

#include <linux/module.h>
#include <linux/sched/mm.h>

/*
 * How long a request may take by default. A server may be stopped in a debugger, or have a slow
 * disk; who wants an error sooner writes queue/io_timeout.
 */
#define TIMEOUT_JIFFIES (24UL * 60 * 60 * HZ)

/* ---- requests -------------------------------------------------------------------------------- */

static int write_zeros_flags(struct request *request)
{
	return request->cmd_flags & REQ_NOUNMAP ? 0 : KBDUS_ABI_REQUEST_FLAG_MAY_UNMAP;
}

int kbdus_disk_operation(const struct kbdus_device *device, struct request *request, u16 *flags)
{
	int op;

	*flags = 0;
	switch (req_op(request)) {
	case REQ_OP_READ:
		op = KBDUS_ABI_OP_READ;
		break;
	case REQ_OP_WRITE:
		op = KBDUS_ABI_OP_WRITE;
		break;
	case REQ_OP_FLUSH:
		op = KBDUS_ABI_OP_FLUSH;
		break;
	case REQ_OP_WRITE_ZEROES:
		op = KBDUS_ABI_OP_WRITE_ZEROS;
		*flags = write_zeros_flags(request);
		break;
	case REQ_OP_DISCARD:
		op = KBDUS_ABI_OP_DISCARD;
		break;
	case REQ_OP_SECURE_ERASE:
		op = KBDUS_ABI_OP_SECURE_ERASE;
		break;
	case REQ_OP_ZONE_OPEN:
		op = KBDUS_ABI_OP_ZONE_OPEN;
		break;
	case REQ_OP_ZONE_CLOSE:
		op = KBDUS_ABI_OP_ZONE_CLOSE;
		break;
	case REQ_OP_ZONE_FINISH:
		op = KBDUS_ABI_OP_ZONE_FINISH;
		break;
	case REQ_OP_ZONE_RESET:
		op = KBDUS_ABI_OP_ZONE_RESET;
		break;
	case REQ_OP_ZONE_RESET_ALL:
		op = KBDUS_ABI_OP_ZONE_RESET_ALL;
		break;
	case REQ_OP_ZONE_APPEND:
		op = KBDUS_ABI_OP_ZONE_APPEND;
		break;
	case REQ_OP_DRV_IN:
		op = KBDUS_ABI_OP_ZONE_REPORT;
		break;
	case REQ_OP_DRV_OUT:
		op = KBDUS_ABI_OP_IOCTL;
		*flags = (*kbdus_request_ioctl(request))->is_32 ? KBDUS_ABI_REQUEST_FLAG_CLIENT_32
								: 0;
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (request->cmd_flags & REQ_FUA)
		*flags |= KBDUS_ABI_REQUEST_FLAG_FUA;
	return kbdus_abi_device_ops(&device->created) & 1U << op ? op : -EOPNOTSUPP;
}

/* The errors that reach clients as they are; the block layer has meanings of its own for others. */
static blk_status_t status_of(int result)
{
	switch (result) {
	case 0:
		return BLK_STS_OK;
	case -ENOSPC:
		return BLK_STS_NOSPC;
	case -EOPNOTSUPP:
		return BLK_STS_NOTSUPP;
	case -ETIMEDOUT:
		return BLK_STS_TIMEOUT;
	case -ENOLINK:
		return BLK_STS_TRANSPORT;
	case -EAGAIN:
		return BLK_STS_AGAIN;
	case -ETOOMANYREFS:
		return BLK_STS_ZONE_OPEN_RESOURCE;
	case -EOVERFLOW:
		return BLK_STS_ZONE_ACTIVE_RESOURCE;
	default:
		return BLK_STS_IOERR;
	}
}

void kbdus_disk_end(struct request *request, int result)
{
	if (kbdus_request_has_message(request)) {
		/* Any error there is reaches the client. */
		(*kbdus_request_ioctl(request))->result =
			result > 0 || result < -MAX_ERRNO ? -EIO : result;
		result = 0;
	} else if (kbdus_program_end(request, result)) {
		return;
	}
	blk_mq_end_request(request, status_of(result));
}

void kbdus_disk_end_in(struct io_comp_batch *batch, struct request *request, int result)
{
	const struct kbdus_request *own = kbdus_request_own(request);

	if (result || kbdus_request_has_message(request) || own->part_bytes || own->is_watched ||
	    !blk_mq_add_to_batch(request, batch, false, blk_mq_end_request_batch))
		kbdus_disk_end(request, result);
}

void kbdus_disk_end_batch(struct io_comp_batch *batch)
{
	if (batch->complete)
		batch->complete(batch);
}

/* After the last of several requests, of which the server may have none: programs answered them. */
static void ring(struct kbdus_queue *queue)
{
	if (!list_empty_careful(&queue->pending))
		kbdus_queue_ring(queue);
}

static blk_status_t queue_rq(struct blk_mq_hw_ctx *context, const struct blk_mq_queue_data *data)
{
	struct kbdus_queue *queue = context->driver_data;
	u16 flags;
	const int op = kbdus_disk_operation(queue->device, data->rq, &flags);

	if (op < 0)
		return BLK_STS_NOTSUPP;
	blk_mq_start_request(data->rq);
	if (READ_ONCE(queue->device->program) && op <= KBDUS_ABI_OP_SECURE_ERASE &&
	    kbdus_program_serve(queue, data->rq, op, flags)) {
		/* What passed before it may wait for the bell. */
		if (data->last)
			ring(queue);
		return BLK_STS_OK;
	}
	if (!kbdus_queue_add(queue, data->rq, data->last))
		kbdus_disk_end(data->rq, -EIO);
	return BLK_STS_OK;
}

static void commit_rqs(struct blk_mq_hw_ctx *context)
{
	ring(context->driver_data);
}

static enum blk_eh_timer_return time_out(struct request *request)
{
	if (!kbdus_queue_time_out(request->mq_hctx->driver_data, request))
		return BLK_EH_RESET_TIMER;
	kbdus_disk_end(request, -ETIMEDOUT);
	return BLK_EH_DONE;
}

static int init_hctx(struct blk_mq_hw_ctx *context, void *data, unsigned int index)
{
	struct kbdus_device *device = data;

	context->driver_data = device->queues[index];
	return 0;
}

static const struct blk_mq_ops request_ops = {
	.queue_rq = queue_rq,
	.commit_rqs = commit_rqs,
	.timeout = time_out,
	.init_hctx = init_hctx,
};

/* ---- the disk -------------------------------------------------------------------------------- */

/* Nobody has the disk any more, open or otherwise. */
static void free_disk(struct gendisk *disk)
{
	kbdus_device_put(disk->private_data);
}

#ifdef CONFIG_COMPAT
#define KBDUS_COMPAT_IOCTL kbdus_compat_ioctl
#else
#define KBDUS_COMPAT_IOCTL NULL
#endif

static const struct block_device_operations disk_ops = {
	.owner = THIS_MODULE,
	.free_disk = free_disk,
	.ioctl = kbdus_ioctl,
	.compat_ioctl = KBDUS_COMPAT_IOCTL,
	.report_zones = kbdus_zones_report,
};

static int create_tags(struct kbdus_device *device)
{
	struct blk_mq_tag_set *tags = &device->tags;
	int error;

	tags->ops = &request_ops;
	tags->nr_hw_queues = device->queue_count;
	tags->queue_depth = kbdus_abi_device_queue_depth(&device->created);
	tags->cmd_size = KBDUS_PROGRAM_REQUEST_OFFSET + KBDUS_PROGRAM_REQUEST_BYTES;
	tags->numa_node = NUMA_NO_NODE;
	/*
	 * Programs send requests to other devices, which may have to wait. A scheduler would have a
	 * task of its own send each request, and what is below has one where that is of use.
	 */
	tags->flags = KBDUS_TAG_SET_FLAGS | BLK_MQ_F_BLOCKING | BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	tags->timeout = TIMEOUT_JIFFIES;
	tags->driver_data = device;
	error = blk_mq_alloc_tag_set(tags);
	device->has_tags = !error;
	return error;
}

int kbdus_disk_create(struct kbdus_device *device)
{
	const struct kbdus_abi_device *created = &device->created;
	struct gendisk *disk;
	int error;

	error = device->has_tags ? 0 : create_tags(device);
	if (error)
		return error;
	disk = kbdus_disk_allocate(&device->tags, created, &device->zoned);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	/* Without a major number: the block layer gives out extended ones, to partitions, too. */
	snprintf(disk->disk_name, sizeof(disk->disk_name), "bdus-%llu",
		 kbdus_abi_device_id(created));
	disk->fops = &disk_ops;
	disk->private_data = device;
	set_capacity(disk, kbdus_abi_device_size_bytes(created) >> SECTOR_SHIFT);
	set_disk_ro(disk, kbdus_abi_device_attrs(created) & KBDUS_ABI_ATTR_READ_ONLY);
	if (kbdus_abi_device_attrs(created) & KBDUS_ABI_ATTR_NO_PARTITION_SCAN)
		kbdus_disk_suppress_scan(disk);
	device->disk = disk;
	return 0;
}

int kbdus_disk_add(struct kbdus_device *device)
{
	int error;

	kref_get(&device->references);
	error = kbdus_zones_add(device);
	if (!error)
		error = add_disk(device->disk);
	if (error) {
		put_disk(device->disk);
		kbdus_device_put(device);
		return error;
	}
	device->disk_added = true;
	return 0;
}

/* The caller is the server, for which memory must not wait. */
void kbdus_disk_resize(struct kbdus_device *device)
{
	const unsigned int flags = memalloc_noio_save();

	set_capacity_and_notify(device->disk,
				kbdus_abi_device_size_bytes(&device->created) >> SECTOR_SHIFT);
	memalloc_noio_restore(flags);
}

void kbdus_disk_remove(struct kbdus_device *device)
{
	if (!device->disk_added)
		return;
	del_gendisk(device->disk);
	put_disk(device->disk);
}
