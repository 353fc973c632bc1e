/* SPDX-License-Identifier: MIT */
/*
 * The layouts of ext4.wire against those of the header of e2fsprogs. It is enough that this
 * compiles.
 */
#include "ext4.h"
#include "same_layout.h"

#include <stdint.h>

#include <ext2fs/ext2_fs.h>

SAME_SIZE(ext4_superblock, ext2_super_block);
SAME(ext4_superblock, inode_count, ext2_super_block, s_inodes_count);
SAME(ext4_superblock, block_count_lo, ext2_super_block, s_blocks_count);
SAME(ext4_superblock, reserved_block_count_lo, ext2_super_block, s_r_blocks_count);
SAME(ext4_superblock, free_block_count_lo, ext2_super_block, s_free_blocks_count);
SAME(ext4_superblock, free_inode_count, ext2_super_block, s_free_inodes_count);
SAME(ext4_superblock, first_data_block, ext2_super_block, s_first_data_block);
SAME(ext4_superblock, log_block_size, ext2_super_block, s_log_block_size);
SAME(ext4_superblock, log_cluster_size, ext2_super_block, s_log_cluster_size);
SAME(ext4_superblock, blocks_per_group, ext2_super_block, s_blocks_per_group);
SAME(ext4_superblock, clusters_per_group, ext2_super_block, s_clusters_per_group);
SAME(ext4_superblock, inodes_per_group, ext2_super_block, s_inodes_per_group);
SAME(ext4_superblock, mount_time, ext2_super_block, s_mtime);
SAME(ext4_superblock, write_time, ext2_super_block, s_wtime);
SAME(ext4_superblock, mount_count, ext2_super_block, s_mnt_count);
SAME(ext4_superblock, max_mount_count, ext2_super_block, s_max_mnt_count);
SAME(ext4_superblock, magic, ext2_super_block, s_magic);
SAME(ext4_superblock, state, ext2_super_block, s_state);
SAME(ext4_superblock, on_error, ext2_super_block, s_errors);
SAME(ext4_superblock, minor_revision, ext2_super_block, s_minor_rev_level);
SAME(ext4_superblock, last_check, ext2_super_block, s_lastcheck);
SAME(ext4_superblock, check_interval, ext2_super_block, s_checkinterval);
SAME(ext4_superblock, creator, ext2_super_block, s_creator_os);
SAME(ext4_superblock, revision, ext2_super_block, s_rev_level);
SAME(ext4_superblock, reserved_uid, ext2_super_block, s_def_resuid);
SAME(ext4_superblock, reserved_gid, ext2_super_block, s_def_resgid);
SAME(ext4_superblock, first_inode, ext2_super_block, s_first_ino);
SAME(ext4_superblock, inode_bytes, ext2_super_block, s_inode_size);
SAME(ext4_superblock, block_group, ext2_super_block, s_block_group_nr);
SAME(ext4_superblock, compat_features, ext2_super_block, s_feature_compat);
SAME(ext4_superblock, incompat_features, ext2_super_block, s_feature_incompat);
SAME(ext4_superblock, ro_compat_features, ext2_super_block, s_feature_ro_compat);
SAME(ext4_superblock, uuid, ext2_super_block, s_uuid);
SAME(ext4_superblock, label, ext2_super_block, s_volume_name);
SAME(ext4_superblock, last_mounted, ext2_super_block, s_last_mounted);
SAME(ext4_superblock, compression_algorithms, ext2_super_block, s_algorithm_usage_bitmap);
SAME(ext4_superblock, preallocate_blocks, ext2_super_block, s_prealloc_blocks);
SAME(ext4_superblock, preallocate_directory_blocks, ext2_super_block, s_prealloc_dir_blocks);
SAME(ext4_superblock, reserved_descriptor_blocks, ext2_super_block, s_reserved_gdt_blocks);
SAME(ext4_superblock, journal_uuid, ext2_super_block, s_journal_uuid);
SAME(ext4_superblock, journal_inode, ext2_super_block, s_journal_inum);
SAME(ext4_superblock, journal_device, ext2_super_block, s_journal_dev);
SAME(ext4_superblock, last_orphan, ext2_super_block, s_last_orphan);
SAME(ext4_superblock, hash_seed, ext2_super_block, s_hash_seed);
SAME(ext4_superblock, default_hash, ext2_super_block, s_def_hash_version);
SAME(ext4_superblock, journal_backup_type, ext2_super_block, s_jnl_backup_type);
SAME(ext4_superblock, descriptor_bytes, ext2_super_block, s_desc_size);
SAME(ext4_superblock, default_mount_options, ext2_super_block, s_default_mount_opts);
SAME(ext4_superblock, first_meta_group, ext2_super_block, s_first_meta_bg);
SAME(ext4_superblock, creation_time, ext2_super_block, s_mkfs_time);
SAME(ext4_superblock, journal_backup, ext2_super_block, s_jnl_blocks);
SAME(ext4_superblock, block_count_hi, ext2_super_block, s_blocks_count_hi);
SAME(ext4_superblock, reserved_block_count_hi, ext2_super_block, s_r_blocks_count_hi);
SAME(ext4_superblock, free_block_count_hi, ext2_super_block, s_free_blocks_hi);
SAME(ext4_superblock, min_extra_inode_bytes, ext2_super_block, s_min_extra_isize);
SAME(ext4_superblock, want_extra_inode_bytes, ext2_super_block, s_want_extra_isize);
SAME(ext4_superblock, flags, ext2_super_block, s_flags);
SAME(ext4_superblock, raid_stride, ext2_super_block, s_raid_stride);
SAME(ext4_superblock, mmp_interval_s, ext2_super_block, s_mmp_update_interval);
SAME(ext4_superblock, mmp_block, ext2_super_block, s_mmp_block);
SAME(ext4_superblock, raid_stripe_width, ext2_super_block, s_raid_stripe_width);
SAME(ext4_superblock, log_groups_per_flex, ext2_super_block, s_log_groups_per_flex);
SAME(ext4_superblock, checksum_type, ext2_super_block, s_checksum_type);
SAME(ext4_superblock, encryption_level, ext2_super_block, s_encryption_level);
SAME(ext4_superblock, written_kib, ext2_super_block, s_kbytes_written);
SAME(ext4_superblock, snapshot_inode, ext2_super_block, s_snapshot_inum);
SAME(ext4_superblock, snapshot_id, ext2_super_block, s_snapshot_id);
SAME(ext4_superblock, snapshot_reserved_blocks, ext2_super_block, s_snapshot_r_blocks_count);
SAME(ext4_superblock, snapshot_list, ext2_super_block, s_snapshot_list);
SAME(ext4_superblock, error_count, ext2_super_block, s_error_count);
SAME(ext4_superblock, first_error_time, ext2_super_block, s_first_error_time);
SAME(ext4_superblock, first_error_inode, ext2_super_block, s_first_error_ino);
SAME(ext4_superblock, first_error_block, ext2_super_block, s_first_error_block);
SAME(ext4_superblock, first_error_function, ext2_super_block, s_first_error_func);
SAME(ext4_superblock, first_error_line, ext2_super_block, s_first_error_line);
SAME(ext4_superblock, last_error_time, ext2_super_block, s_last_error_time);
SAME(ext4_superblock, last_error_inode, ext2_super_block, s_last_error_ino);
SAME(ext4_superblock, last_error_line, ext2_super_block, s_last_error_line);
SAME(ext4_superblock, last_error_block, ext2_super_block, s_last_error_block);
SAME(ext4_superblock, last_error_function, ext2_super_block, s_last_error_func);
SAME(ext4_superblock, mount_options, ext2_super_block, s_mount_opts);
SAME(ext4_superblock, user_quota_inode, ext2_super_block, s_usr_quota_inum);
SAME(ext4_superblock, group_quota_inode, ext2_super_block, s_grp_quota_inum);
SAME(ext4_superblock, overhead_clusters, ext2_super_block, s_overhead_clusters);
SAME(ext4_superblock, backup_groups, ext2_super_block, s_backup_bgs);
SAME(ext4_superblock, encryption_algorithms, ext2_super_block, s_encrypt_algos);
SAME(ext4_superblock, encryption_salt, ext2_super_block, s_encrypt_pw_salt);
SAME(ext4_superblock, lost_found_inode, ext2_super_block, s_lpf_ino);
SAME(ext4_superblock, project_quota_inode, ext2_super_block, s_prj_quota_inum);
SAME(ext4_superblock, checksum_seed, ext2_super_block, s_checksum_seed);
SAME(ext4_superblock, write_time_hi, ext2_super_block, s_wtime_hi);
SAME(ext4_superblock, mount_time_hi, ext2_super_block, s_mtime_hi);
SAME(ext4_superblock, creation_time_hi, ext2_super_block, s_mkfs_time_hi);
SAME(ext4_superblock, last_check_hi, ext2_super_block, s_lastcheck_hi);
SAME(ext4_superblock, first_error_time_hi, ext2_super_block, s_first_error_time_hi);
SAME(ext4_superblock, last_error_time_hi, ext2_super_block, s_last_error_time_hi);
SAME(ext4_superblock, first_error_code, ext2_super_block, s_first_error_errcode);
SAME(ext4_superblock, last_error_code, ext2_super_block, s_last_error_errcode);
SAME(ext4_superblock, encoding, ext2_super_block, s_encoding);
SAME(ext4_superblock, encoding_flags, ext2_super_block, s_encoding_flags);
SAME(ext4_superblock, orphan_file_inode, ext2_super_block, s_orphan_file_inum);
SAME(ext4_superblock, checksum, ext2_super_block, s_checksum);

int main(void)
{
	return 0;
}
