/* SPDX-License-Identifier: MIT */
/*
 * Zoned devices of the blocking interface: each rule on callbacks and attributes, refusal by a way
 * in without zones, and programs that were built before there were any.
 */
#include "api_test.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ZONE UINT64_C(1048576)

static int report_nothing(struct bdus_zone *zones, uint64_t offset, uint32_t count,
			  struct bdus_ctx *ctx)
{
	(void)zones;
	(void)offset;
	(void)count;
	(void)ctx;
	return 0;
}

static int change_nothing(uint64_t offset, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)ctx;
	return 0;
}

static int discard_nothing(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static const struct bdus_ops zoned_ops = {
	.read = api_read_nothing,
	.write = api_write_nothing,
	.zone_report = report_nothing,
	.zone_open = change_nothing,
	.zone_close = change_nothing,
	.zone_finish = change_nothing,
	.zone_reset = change_nothing,
};

static const struct bdus_attrs zoned_attrs = {
	.size = 16 * ZONE,
	.logical_block_size = 4096,
	.zone_size = ZONE,
	.conventional_zones = 2,
	.max_open_zones = 3,
	.max_active_zones = 5,
};

static void assert_fails(const struct bdus_ops *ops, const struct bdus_attrs *attrs, int errnum,
			 const char *words)
{
	const struct api_outcome *const outcome = api_run_to_end(ops, attrs, NULL);

	assert_false(outcome->result);
	if (strstr(outcome->message, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", outcome->message, words);
	assert_int_equal(outcome->errnum, errnum);
}

static void a_way_in_without_zones_refuses_them_by_name(void **state)
{
	(void)state;
	assert_fails(&zoned_ops, &zoned_attrs, EOPNOTSUPP, "NBD cannot carry the zones of driver");
}

static void zoned_drivers_have_the_callbacks_that_zones_need(void **state)
{
	struct bdus_ops ops = zoned_ops;
	struct bdus_attrs attrs = zoned_attrs;

	(void)state;
	ops.zone_report = NULL;
	assert_fails(&ops, &attrs, EINVAL, "callback 'zone_report' is not");
	ops = zoned_ops;
	ops.zone_close = NULL;
	assert_fails(&ops, &attrs, EINVAL, "callback 'zone_close' is not");
	ops = zoned_ops;
	ops.discard = discard_nothing;
	assert_fails(&ops, &attrs, EINVAL, "callback 'discard' is set and so is");
	ops = (struct bdus_ops){.read = api_read_nothing, .zone_report = report_nothing};
	assert_fails(&ops, &attrs, EOPNOTSUPP, "NBD cannot carry");
	attrs.zone_size = 0;
	assert_fails(&ops, &attrs, EINVAL, "'zone_report' is set but attribute 'zone_size' is 0");
}

static void zoned_attributes_keep_their_rules(void **state)
{
	struct bdus_attrs attrs = zoned_attrs;

	(void)state;
	attrs.zone_size = 3 << 20;
	assert_fails(&zoned_ops, &attrs, EINVAL, "zone size 3145728");
	attrs = zoned_attrs;
	attrs.size += 4096;
	assert_fails(&zoned_ops, &attrs, EINVAL, "multiple of the zone size, 1048576");
	attrs = zoned_attrs;
	attrs.zone_capacity = ZONE + 4096;
	assert_fails(&zoned_ops, &attrs, EINVAL, "zone capacity 1052672");
	attrs = zoned_attrs;
	attrs.conventional_zones = 16;
	assert_fails(&zoned_ops, &attrs, EINVAL, "16 conventional zones");
	attrs = zoned_attrs;
	attrs.max_open_zones = 6;
	assert_fails(&zoned_ops, &attrs, EINVAL, "6 open zones");
	attrs = zoned_attrs;
	attrs.max_active_zones = 15;
	assert_fails(&zoned_ops, &attrs, EINVAL, "sequential zones, 14");
	attrs = zoned_attrs;
	attrs.max_zone_append_size = 512;
	assert_fails(&zoned_ops, &attrs, EINVAL, "append 512");
}

/** @bytes of memory behind which there is none. */
static void *map_at_the_end(size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *const map =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
	return map + page - bytes;
}

static void structures_of_earlier_versions_are_not_read_past_their_end(void **state)
{
	struct bdus_ops *const ops = map_at_the_end(offsetof(struct bdus_ops, zone_report));
	struct bdus_attrs *const attrs = map_at_the_end(offsetof(struct bdus_attrs, zone_size));

	(void)state;
	attrs->logical_block_size = 100;
	assert_false(bdus_run_0_1_0_(ops, attrs, NULL));
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(bdus_get_error_message(), "logical_block_size"));
	assert_false(bdus_run_0_1_1_(ops, attrs, NULL));
	assert_int_equal(errno, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		api_unit_test(a_way_in_without_zones_refuses_them_by_name),
		api_unit_test(zoned_drivers_have_the_callbacks_that_zones_need),
		api_unit_test(zoned_attributes_keep_their_rules),
		api_unit_test(structures_of_earlier_versions_are_not_read_past_their_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
