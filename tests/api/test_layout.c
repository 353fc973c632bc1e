/* SPDX-License-Identifier: MIT */
/*
 * Programs built with BDUS 0.1.0 to 0.1.2 run with this library: structures are laid out as they
 * know them (on 64-bit machines). Compiling this is the test.
 */
#include <bdus.h>

#include <assert.h>

#define AT(type, member, offset) \
	static_assert(offsetof(struct type, member) == (offset), #type "." #member)

#if UINTPTR_MAX == UINT64_MAX
AT(bdus_ctx, id, 0);
AT(bdus_ctx, path, 8);
AT(bdus_ctx, ops, 16);
AT(bdus_ctx, attrs, 24);
AT(bdus_ctx, is_rerun, 32);
AT(bdus_ctx, private_data, 40);
AT(bdus_ctx, major, 48);
AT(bdus_ctx, minor, 52);

AT(bdus_ops, initialize, 0);
AT(bdus_ops, on_device_available, 8);
AT(bdus_ops, terminate, 16);
AT(bdus_ops, read, 24);
AT(bdus_ops, write, 32);
AT(bdus_ops, write_same, 40);
AT(bdus_ops, write_zeros, 48);
AT(bdus_ops, fua_write, 56);
AT(bdus_ops, flush, 64);
AT(bdus_ops, discard, 72);
AT(bdus_ops, secure_erase, 80);
AT(bdus_ops, ioctl, 88);
/* Here the structures of 0.1.2 end. */
AT(bdus_ops, zone_report, 96);
AT(bdus_ops, zone_open, 104);
AT(bdus_ops, zone_close, 112);
AT(bdus_ops, zone_finish, 120);
AT(bdus_ops, zone_reset, 128);
AT(bdus_ops, zone_reset_all, 136);
AT(bdus_ops, zone_append, 144);
static_assert(sizeof(struct bdus_ops) == 152, "struct bdus_ops");

AT(bdus_attrs, logical_block_size, 0);
AT(bdus_attrs, physical_block_size, 4);
AT(bdus_attrs, size, 8);
AT(bdus_attrs, max_concurrent_callbacks, 16);
AT(bdus_attrs, max_read_write_size, 20);
AT(bdus_attrs, max_write_same_size, 24);
AT(bdus_attrs, max_write_zeros_size, 28);
AT(bdus_attrs, max_discard_erase_size, 32);
AT(bdus_attrs, disable_partition_scanning, 36);
AT(bdus_attrs, recoverable, 37);
AT(bdus_attrs, dont_daemonize, 38);
AT(bdus_attrs, log, 39);
AT(bdus_attrs, zone_size, 40);
AT(bdus_attrs, zone_capacity, 48);
AT(bdus_attrs, conventional_zones, 56);
AT(bdus_attrs, max_open_zones, 60);
AT(bdus_attrs, max_active_zones, 64);
AT(bdus_attrs, max_zone_append_size, 68);
static_assert(sizeof(struct bdus_attrs) == 72, "struct bdus_attrs");

AT(bdus_zone, start_bytes, 0);
AT(bdus_zone, length_bytes, 8);
AT(bdus_zone, capacity_bytes, 16);
AT(bdus_zone, write_pointer_bytes, 24);
AT(bdus_zone, type, 32);
AT(bdus_zone, condition, 33);
static_assert(sizeof(struct bdus_zone) == 40, "struct bdus_zone");

AT(bdus_version, major, 0);
AT(bdus_version, minor, 4);
AT(bdus_version, patch, 8);
static_assert(sizeof(struct bdus_version) == 12, "struct bdus_version");
#endif

static_assert(bdus_abort == INT_MIN, "bdus_abort");

int main(void)
{
	return 0;
}
