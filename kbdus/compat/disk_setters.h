/* SPDX-License-Identifier: GPL-2.0 */
/* Before 6.9: limits are set one by one. */
static inline void kbdus_disk_set_limits(struct request_queue *queue,
					 const struct kbdus_abi_device *created)
{
	const u32 attrs = kbdus_abi_device_attrs(created);
	const u32 physical = kbdus_abi_device_physical_block_size(created);
	const u32 granularity = kbdus_abi_device_discard_granularity_bytes(created);

	blk_queue_logical_block_size(queue, kbdus_abi_device_logical_block_size(created));
	blk_queue_physical_block_size(queue, physical);
	blk_queue_io_min(queue, physical);
	blk_queue_io_opt(queue, kbdus_abi_device_optimal_io_bytes(created));
	blk_queue_max_hw_sectors(queue,
				 kbdus_abi_device_max_transfer_bytes(created) >> SECTOR_SHIFT);
	blk_queue_max_segments(queue, USHRT_MAX);
	blk_queue_max_segment_size(queue, UINT_MAX);
	blk_queue_dma_alignment(queue, 3);
	blk_queue_max_discard_sectors(queue,
				      kbdus_abi_device_max_discard_bytes(created) >> SECTOR_SHIFT);
	blk_queue_max_write_zeroes_sectors(queue, kbdus_abi_device_max_write_zeros_bytes(created) >>
							  SECTOR_SHIFT);
	blk_queue_max_secure_erase_sectors(
		queue, kbdus_abi_device_max_secure_erase_bytes(created) >> SECTOR_SHIFT);
	queue->limits.discard_granularity = granularity ?: physical;
	if (kbdus_abi_device_ops(created) & KBDUS_ABI_OPS_FLUSH)
		blk_queue_write_cache(queue, true, attrs & KBDUS_ABI_ATTR_FUA);
	if (!(attrs & KBDUS_ABI_ATTR_ROTATIONAL))
		blk_queue_flag_set(QUEUE_FLAG_NONROT, queue);
	blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, queue);
}

static inline struct gendisk *kbdus_disk_allocate(struct blk_mq_tag_set *tags,
						  const struct kbdus_abi_device *created,
						  const struct kbdus_abi_zoned *zoned)
{
	struct gendisk *disk = blk_mq_alloc_disk(tags, NULL);

	if (!IS_ERR(disk))
		kbdus_disk_set_limits(disk->queue, created);
	return disk;
}
