/* SPDX-License-Identifier: MIT */
/*
 * The layouts of ublk.wire against those of the kernel's header; what only later headers have is
 * left out. It is enough that this compiles.
 */
#include "same_layout.h"
#include "ublk.h"

#include <linux/ublk_cmd.h>

SAME_SIZE(ublk_abi_ctrl_cmd, ublksrv_ctrl_cmd);
SAME(ublk_abi_ctrl_cmd, dev_id, ublksrv_ctrl_cmd, dev_id);
SAME(ublk_abi_ctrl_cmd, queue_id, ublksrv_ctrl_cmd, queue_id);
SAME(ublk_abi_ctrl_cmd, len, ublksrv_ctrl_cmd, len);
SAME(ublk_abi_ctrl_cmd, addr, ublksrv_ctrl_cmd, addr);
SAME(ublk_abi_ctrl_cmd, data, ublksrv_ctrl_cmd, data[0]);
SAME_SIZE(ublk_abi_dev_info, ublksrv_ctrl_dev_info);
SAME(ublk_abi_dev_info, nr_hw_queues, ublksrv_ctrl_dev_info, nr_hw_queues);
SAME(ublk_abi_dev_info, queue_depth, ublksrv_ctrl_dev_info, queue_depth);
SAME(ublk_abi_dev_info, state, ublksrv_ctrl_dev_info, state);
SAME(ublk_abi_dev_info, max_io_buf_bytes, ublksrv_ctrl_dev_info, max_io_buf_bytes);
SAME(ublk_abi_dev_info, dev_id, ublksrv_ctrl_dev_info, dev_id);
SAME(ublk_abi_dev_info, server_pid, ublksrv_ctrl_dev_info, ublksrv_pid);
SAME(ublk_abi_dev_info, flags, ublksrv_ctrl_dev_info, flags);
SAME(ublk_abi_dev_info, server_flags, ublksrv_ctrl_dev_info, ublksrv_flags);
SAME(ublk_abi_params, len, ublk_params, len);
SAME(ublk_abi_params, types, ublk_params, types);
SAME(ublk_abi_params, attrs, ublk_params, basic.attrs);
SAME(ublk_abi_params, logical_bs_shift, ublk_params, basic.logical_bs_shift);
SAME(ublk_abi_params, physical_bs_shift, ublk_params, basic.physical_bs_shift);
SAME(ublk_abi_params, io_opt_shift, ublk_params, basic.io_opt_shift);
SAME(ublk_abi_params, io_min_shift, ublk_params, basic.io_min_shift);
SAME(ublk_abi_params, max_sectors, ublk_params, basic.max_sectors);
SAME(ublk_abi_params, chunk_sectors, ublk_params, basic.chunk_sectors);
SAME(ublk_abi_params, dev_sectors, ublk_params, basic.dev_sectors);
SAME(ublk_abi_params, virt_boundary_mask, ublk_params, basic.virt_boundary_mask);
SAME(ublk_abi_params, discard_alignment, ublk_params, discard.discard_alignment);
SAME(ublk_abi_params, discard_granularity, ublk_params, discard.discard_granularity);
SAME(ublk_abi_params, max_discard_sectors, ublk_params, discard.max_discard_sectors);
SAME(ublk_abi_params, max_write_zeroes_sectors, ublk_params, discard.max_write_zeroes_sectors);
SAME(ublk_abi_params, max_discard_segments, ublk_params, discard.max_discard_segments);
SAME_SIZE(ublk_abi_io_cmd, ublksrv_io_cmd);
SAME(ublk_abi_io_cmd, queue_id, ublksrv_io_cmd, q_id);
SAME(ublk_abi_io_cmd, tag, ublksrv_io_cmd, tag);
SAME(ublk_abi_io_cmd, result, ublksrv_io_cmd, result);
SAME(ublk_abi_io_cmd, addr, ublksrv_io_cmd, addr);
SAME_SIZE(ublk_abi_io_desc, ublksrv_io_desc);
SAME(ublk_abi_io_desc, op_flags, ublksrv_io_desc, op_flags);
SAME(ublk_abi_io_desc, nr_sectors, ublksrv_io_desc, nr_sectors);
SAME(ublk_abi_io_desc, start_sector, ublksrv_io_desc, start_sector);
SAME(ublk_abi_io_desc, addr, ublksrv_io_desc, addr);

static_assert(UBLK_ABI_CTRL_SET_PARAMS == UBLK_CMD_SET_PARAMS, "number of a command");
static_assert(UBLK_ABI_CTRL_GET_PARAMS == UBLK_CMD_GET_PARAMS, "number of a command");
static_assert(UBLK_ABI_IO_COMMIT_AND_FETCH == UBLK_IO_COMMIT_AND_FETCH_REQ, "number of a command");
static_assert(UBLK_ABI_OP_WRITE_ZEROES == UBLK_IO_OP_WRITE_ZEROES, "number of an operation");
static_assert(UBLK_ABI_REQUEST_FUA == UBLK_IO_F_FUA, "a flag");
static_assert(UBLK_ABI_F_USER_RECOVERY == UBLK_F_USER_RECOVERY, "a flag");

int main(void)
{
	return 0;
}
