/* SPDX-License-Identifier: MIT */
/*
 * The formats that the command knows, those of abi/: the one place that names them.
 */
#include "command_internal.h"

#include "ext4.h"
#include "gpt.h"
#include "hammer.h"
#include "hammer2.h"
#include "luks2.h"
#include "nbd.h"
#include "qcow2.h"
#include "ublk.h"
#include "ufs.h"

const struct wire_format *const format_table[] = {
	&ext4_filesystem_format,
	&ext4_superblock_format,
	&gpt_disk_format,
	&gpt_header_format,
	&gpt_protective_mbr_format,
	&hammer_volume_header_format,
	&hammer2_volume_header_format,
	&luks2_device_format,
	&luks2_header_format,
	&nbd_greeting_format,
	&nbd_oldstyle_greeting_format,
	&nbd_client_flags_format,
	&nbd_option_message_format,
	&nbd_option_reply_message_format,
	&nbd_request_header_format,
	&nbd_extended_request_format,
	&nbd_simple_reply_format,
	&nbd_chunk_message_format,
	&nbd_extended_chunk_format,
	&qcow2_image_format,
	&qcow2_header_format,
	&qcow2_l2_table_format,
	&qcow2_extended_l2_table_format,
	&qcow2_refcount_block_format,
	&ublk_abi_ctrl_cmd_format,
	&ublk_abi_dev_info_format,
	&ublk_abi_params_format,
	&ublk_abi_all_params_format,
	&ublk_abi_io_cmd_format,
	&ublk_abi_io_desc_format,
	&ublk_abi_batch_io_format,
	&ufs_superblock1_format,
	&ufs_superblock2_format,
	NULL,
};
