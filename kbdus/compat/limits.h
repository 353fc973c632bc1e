/* SPDX-License-Identifier: GPL-2.0 */
/* From 6.9 on: limits are given to whom makes the disk. */
static inline struct queue_limits kbdus_disk_limits(const struct kbdus_abi_device *created)
{
	const u32 physical = kbdus_abi_device_physical_block_size(created);
	const u32 granularity = kbdus_abi_device_discard_granularity_bytes(created);

	return (struct queue_limits){
		.logical_block_size = kbdus_abi_device_logical_block_size(created),
		.physical_block_size = physical,
		.io_min = physical,
		.io_opt = kbdus_abi_device_optimal_io_bytes(created),
		.max_hw_sectors = kbdus_abi_device_max_transfer_bytes(created) >> SECTOR_SHIFT,
		.max_segments = USHRT_MAX,
		.max_segment_size = UINT_MAX,
		.dma_alignment = 3,
		.discard_granularity = granularity ?: physical,
		.max_hw_discard_sectors =
			kbdus_abi_device_max_discard_bytes(created) >> SECTOR_SHIFT,
		.max_discard_segments = 1,
		.max_write_zeroes_sectors =
			kbdus_abi_device_max_write_zeros_bytes(created) >> SECTOR_SHIFT,
		.max_secure_erase_sectors =
			kbdus_abi_device_max_secure_erase_bytes(created) >> SECTOR_SHIFT,
	};
}
