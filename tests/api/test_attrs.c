/* SPDX-License-Identifier: MIT */
/*
 * Every rule of `struct bdus_attrs` at its boundaries, what becomes of attributes that are allowed,
 * and what callbacks find in their context. Nothing here needs a client.
 */
#include "api_test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** What `initialize` saw of its context. */
struct seen {
	bool initialized;
	struct bdus_attrs attrs;
	struct bdus_ops ops;
	const struct bdus_attrs *attrs_address;
	uint64_t id;
	char path[256];
	bool is_rerun;
	void *private_data;
	uint32_t major;
	uint32_t minor;
};

static uint32_t page;

static int see(struct bdus_ctx *ctx)
{
	struct seen *seen = ctx->private_data;

	seen->initialized = true;
	seen->attrs = *ctx->attrs;
	seen->ops = *ctx->ops;
	seen->attrs_address = ctx->attrs;
	seen->id = ctx->id;
	snprintf(seen->path, sizeof(seen->path), "%s", ctx->path);
	seen->is_rerun = ctx->is_rerun;
	seen->private_data = ctx->private_data;
	seen->major = ctx->major;
	seen->minor = ctx->minor;
	return ECANCELED;
}

static int zeros_nothing(uint64_t offset, uint32_t size, bool may_unmap, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)size;
	(void)may_unmap;
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

static int flush_nothing(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static int ioctl_nothing(uint32_t command, void *argument, struct bdus_ctx *ctx)
{
	(void)command;
	(void)argument;
	(void)ctx;
	return 0;
}

static const struct bdus_ops all_ops = {
	.initialize = see,
	.read = api_read_nothing,
	.write = api_write_nothing,
	.write_same = api_write_nothing,
	.write_zeros = zeros_nothing,
	.fua_write = api_write_nothing,
	.flush = flush_nothing,
	.discard = discard_nothing,
};

static const struct bdus_attrs good = {.size = 1 << 20, .logical_block_size = 512};

/* Runs until `initialize` fails on purpose, which is how far a good driver gets. */
static const struct seen *try_good(const struct bdus_ops *ops, const struct bdus_attrs *attrs)
{
	struct seen *seen = api_shared_alloc(sizeof(*seen));
	const struct api_outcome *outcome = api_run_to_end(ops, attrs, seen);

	assert_false(outcome->result);
	if (outcome->errnum != ECANCELED)
		fail_msg("refused: %s", outcome->message);
	assert_true(seen->initialized);
	return seen;
}

static const struct api_outcome *try_bad(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
					 int errnum)
{
	struct seen *seen = api_shared_alloc(sizeof(*seen));
	const struct api_outcome *outcome = api_run_to_end(ops, attrs, seen);

	assert_false(outcome->result);
	assert_int_equal(outcome->errnum, errnum);
	assert_false(seen->initialized);
	return outcome;
}

static void assert_mentions(const struct api_outcome *outcome, const char *word)
{
	if (!strstr(outcome->message, word))
		fail_msg("\"%s\" does not mention \"%s\"", outcome->message, word);
}

static void assert_mentions_number(const struct api_outcome *outcome, uint64_t number)
{
	char word[24];

	snprintf(word, sizeof(word), "%llu", (unsigned long long)number);
	assert_mentions(outcome, word);
}

/* EINVAL, with a message that names the attribute, its value and the boundary that it violates. */
static void refuse(const struct bdus_attrs *attrs, const char *name, uint64_t value, uint64_t bound)
{
	const struct api_outcome *outcome = try_bad(&all_ops, attrs, EINVAL);

	assert_mentions(outcome, name);
	assert_mentions_number(outcome, value);
	assert_mentions_number(outcome, bound);
}

static void test_logical_block_size(void **state)
{
	const uint32_t bad_small[] = {0, 1, 256, 511};
	const uint32_t bad_other[] = {513,        1000,     page - 512,
				      page + 512, page * 2, UINT32_C(1) << 31};
	struct bdus_attrs attrs = good;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_small) / sizeof(*bad_small); i++) {
		attrs.logical_block_size = bad_small[i];
		refuse(&attrs, "logical_block_size", bad_small[i], 512);
	}
	for (size_t i = 0; i < sizeof(bad_other) / sizeof(*bad_other); i++) {
		attrs.logical_block_size = bad_other[i];
		refuse(&attrs, "logical_block_size", bad_other[i], page);
	}
	for (uint32_t size = 512; size <= page; size *= 2) {
		attrs.logical_block_size = size;
		assert_int_equal(try_good(&all_ops, &attrs)->attrs.logical_block_size, size);
	}
}

static void test_physical_block_size(void **state)
{
	const uint32_t bad[] = {1, 512, 1023, 1025, 1536, page - 1024, page + 1024, page * 2};
	struct bdus_attrs attrs = good;

	(void)state;
	attrs.logical_block_size = 1024;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		attrs.physical_block_size = bad[i];
		refuse(&attrs, "physical_block_size", bad[i], bad[i] > page ? page : 1024);
	}
	for (uint32_t size = 1024; size <= page; size *= 2) {
		attrs.physical_block_size = size;
		assert_int_equal(try_good(&all_ops, &attrs)->attrs.physical_block_size, size);
	}
	attrs.physical_block_size = 0;
	assert_int_equal(try_good(&all_ops, &attrs)->attrs.physical_block_size, 1024);
}

static void test_size(void **state)
{
	const uint64_t bad[] = {0, 512, 2048, 4095, 4097, 3 * 4096 + 512, UINT64_MAX};
	const uint64_t fine[] = {4096, 3 * 4096, UINT64_C(1) << 40, INT64_MAX - 4095};
	struct bdus_attrs attrs = good;

	(void)state;
	attrs.physical_block_size = 4096;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		attrs.size = bad[i];
		refuse(&attrs, "size", bad[i], 4096);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		attrs.size = fine[i];
		assert_int_equal(try_good(&all_ops, &attrs)->attrs.size, fine[i]);
	}
}

static void test_size_without_physical_block_size(void **state)
{
	struct bdus_attrs attrs = good;

	(void)state;
	attrs.logical_block_size = 2048;
	attrs.size = 3 * 1024;
	refuse(&attrs, "size", 3 * 1024, 2048);
	attrs.size = 3 * 2048;
	assert_int_equal(try_good(&all_ops, &attrs)->attrs.size, 3 * 2048);
}

static void test_max_read_write_size(void **state)
{
	const uint32_t bad[] = {1, 512, page - 1};
	const uint32_t fine[] = {page, page + 1, page + 512, 3 * page, 1 << 20, UINT32_MAX};
	struct bdus_attrs attrs = good;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		attrs.max_read_write_size = bad[i];
		refuse(&attrs, "max_read_write_size", bad[i], page);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		attrs.max_read_write_size = fine[i];
		const struct seen *seen = try_good(&all_ops, &attrs);

		assert_in_range(seen->attrs.max_read_write_size, page, fine[i]);
	}
	attrs.max_read_write_size = 0;
	assert_in_range(try_good(&all_ops, &attrs)->attrs.max_read_write_size, page, UINT32_MAX);
}

/* The three limits with the same rule: 0, or at least the logical block size. */
static void check_block_limit(size_t member, const char *name)
{
	const uint32_t bad[] = {1, 1023};
	const uint32_t fine[] = {1024, 1025, 5 * 1024, UINT32_MAX};
	struct bdus_attrs attrs = good;
	uint32_t *limit = (uint32_t *)(void *)((char *)&attrs + member);
	const struct seen *seen;

	attrs.logical_block_size = 1024;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		*limit = bad[i];
		refuse(&attrs, name, bad[i], 1024);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		*limit = fine[i];
		seen = try_good(&all_ops, &attrs);
		assert_in_range(
			*(const uint32_t *)(const void *)((const char *)&seen->attrs + member),
			1024, fine[i]);
	}
	*limit = 0;
	seen = try_good(&all_ops, &attrs);
	assert_in_range(*(const uint32_t *)(const void *)((const char *)&seen->attrs + member),
			1024, UINT32_MAX);
}

static void test_max_write_same_size(void **state)
{
	(void)state;
	check_block_limit(offsetof(struct bdus_attrs, max_write_same_size), "max_write_same_size");
}

static void test_max_write_zeros_size(void **state)
{
	(void)state;
	check_block_limit(offsetof(struct bdus_attrs, max_write_zeros_size),
			  "max_write_zeros_size");
}

static void test_max_discard_erase_size(void **state)
{
	(void)state;
	check_block_limit(offsetof(struct bdus_attrs, max_discard_erase_size),
			  "max_discard_erase_size");
}

/* Rules hold whether or not there is a callback that the attribute is for. */
static void test_rules_hold_without_the_callbacks(void **state)
{
	const struct bdus_ops ops = {.initialize = see};
	struct bdus_attrs attrs = good;

	(void)state;
	attrs.max_read_write_size = page - 1;
	try_bad(&ops, &attrs, EINVAL);
	attrs = good;
	attrs.max_write_same_size = 511;
	try_bad(&ops, &attrs, EINVAL);
	attrs = good;
	attrs.max_write_zeros_size = 511;
	try_bad(&ops, &attrs, EINVAL);
	attrs = good;
	attrs.max_discard_erase_size = 511;
	try_bad(&ops, &attrs, EINVAL);
}

static void test_max_concurrent_callbacks(void **state)
{
	const uint32_t given[] = {1, 2, 16, UINT32_MAX};
	struct bdus_attrs attrs = good;

	(void)state;
	for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++) {
		attrs.max_concurrent_callbacks = given[i];
		const struct seen *seen = try_good(&all_ops, &attrs);

		assert_in_range(seen->attrs.max_concurrent_callbacks, 1, given[i]);
	}
	attrs.max_concurrent_callbacks = 0;
	assert_int_equal(try_good(&all_ops, &attrs)->attrs.max_concurrent_callbacks, 1);
}

static void test_limits_become_zero_without_the_callbacks(void **state)
{
	const struct bdus_ops ops = {.initialize = see, .flush = flush_nothing};
	struct bdus_attrs attrs = good;
	const struct seen *seen;

	(void)state;
	for (int given = 0; given < 2; given++) {
		attrs.max_read_write_size = given ? page : 0;
		attrs.max_write_same_size = given ? 512 : 0;
		attrs.max_write_zeros_size = given ? 512 : 0;
		attrs.max_discard_erase_size = given ? 512 : 0;
		seen = try_good(&ops, &attrs);
		assert_int_equal(seen->attrs.max_read_write_size, 0);
		assert_int_equal(seen->attrs.max_write_same_size, 0);
		assert_int_equal(seen->attrs.max_write_zeros_size, 0);
		assert_int_equal(seen->attrs.max_discard_erase_size, 0);
	}
}

/* Any one of the callbacks that a limit is for keeps it from becoming 0. */
static void test_one_callback_keeps_a_limit(void **state)
{
	const struct bdus_ops read_only = {.initialize = see, .read = api_read_nothing};
	const struct bdus_ops write_only = {.initialize = see, .write = api_write_nothing};
	const struct bdus_ops zeros = {
		.initialize = see, .write = api_write_nothing, .write_zeros = zeros_nothing};
	const struct bdus_ops discards = {
		.initialize = see, .read = api_read_nothing, .discard = discard_nothing};

	(void)state;
	assert_true(try_good(&read_only, &good)->attrs.max_read_write_size >= page);
	assert_true(try_good(&write_only, &good)->attrs.max_read_write_size >= page);
	assert_int_equal(try_good(&write_only, &good)->attrs.max_write_zeros_size, 0);
	assert_true(try_good(&zeros, &good)->attrs.max_write_zeros_size >= 512);
	assert_true(try_good(&discards, &good)->attrs.max_discard_erase_size >= 512);
}

static void test_fua_write_needs_flush(void **state)
{
	const struct bdus_ops ops = {
		.initialize = see, .write = api_write_nothing, .fua_write = api_write_nothing};
	const struct api_outcome *outcome = try_bad(&ops, &good, EINVAL);

	(void)state;
	assert_mentions(outcome, "fua_write");
	assert_mentions(outcome, "flush");
}

static void test_ioctl_is_not_supported(void **state)
{
	const struct bdus_ops ops = {
		.initialize = see, .read = api_read_nothing, .ioctl = ioctl_nothing};

	(void)state;
	assert_mentions(try_bad(&ops, &good, ENOTSUP), "ioctl");
}

static void test_recoverable_is_passed_on(void **state)
{
	struct bdus_attrs attrs = good;

	(void)state;
	assert_false(try_good(&all_ops, &attrs)->attrs.recoverable);
	attrs.recoverable = true;
	assert_true(try_good(&all_ops, &attrs)->attrs.recoverable);
}

/* NBD cannot tell a client to erase securely; the promise is to refuse that by name. */
static void test_what_nbd_cannot_carry_is_refused_by_name(void **state)
{
	const struct bdus_ops ops = {
		.initialize = see, .read = api_read_nothing, .secure_erase = discard_nothing};
	const struct api_outcome *outcome = try_bad(&ops, &good, ENOTSUP);

	(void)state;
	assert_mentions(outcome, "NBD");
	assert_mentions(outcome, "secure");
}

static void test_flags_are_passed_on(void **state)
{
	struct bdus_attrs attrs = good;
	const struct seen *seen = try_good(&all_ops, &attrs);

	(void)state;
	assert_false(seen->attrs.disable_partition_scanning);
	assert_false(seen->attrs.recoverable);
	assert_true(seen->attrs.dont_daemonize);
	assert_false(seen->attrs.log);
	attrs.disable_partition_scanning = true;
	seen = try_good(&all_ops, &attrs);
	assert_true(seen->attrs.disable_partition_scanning);
}

static void test_context(void **state)
{
	const struct seen *seen = try_good(&all_ops, &good);
	const struct seen *next = try_good(&all_ops, &good);

	(void)state;
	assert_memory_equal(&seen->ops, &all_ops, sizeof(all_ops));
	assert_ptr_equal(seen->private_data, seen);
	assert_false(seen->is_rerun);
	assert_int_equal(strncmp(seen->path, "nbd+unix://", 11), 0);
	assert_non_null(strstr(seen->path, api_socket()));
	assert_int_equal(seen->major, 0);
	assert_int_equal(seen->minor, 0);
	assert_true(next->id > seen->id);
}

static void test_what_the_caller_gave_stays_as_it_was(void **state)
{
	struct seen *seen = api_shared_alloc(sizeof(*seen));
	struct bdus_attrs attrs = {
		.size = 1 << 20, .logical_block_size = 512, .dont_daemonize = true};
	const struct bdus_attrs before = attrs;

	(void)state;
	assert_false(bdus_run(&all_ops, &attrs, seen));
	assert_int_equal(errno, ECANCELED);
	assert_memory_equal(&attrs, &before, sizeof(attrs));
	assert_ptr_not_equal(seen->attrs_address, &attrs);
}

/* With an argument, over a way in that makes block devices: what holds over any is tested. */
int main(int count, char **arguments)
{
	struct CMUnitTest tests[] = {
		api_unit_test(test_logical_block_size),
		api_unit_test(test_physical_block_size),
		api_unit_test(test_size),
		api_unit_test(test_size_without_physical_block_size),
		api_unit_test(test_max_read_write_size),
		api_unit_test(test_max_write_same_size),
		api_unit_test(test_max_write_zeros_size),
		api_unit_test(test_max_discard_erase_size),
		api_unit_test(test_rules_hold_without_the_callbacks),
		api_unit_test(test_max_concurrent_callbacks),
		api_unit_test(test_limits_become_zero_without_the_callbacks),
		api_unit_test(test_one_callback_keeps_a_limit),
		api_unit_test(test_fua_write_needs_flush),
		api_unit_test(test_recoverable_is_passed_on),
		api_unit_test(test_flags_are_passed_on),
		api_unit_test(test_what_the_caller_gave_stays_as_it_was),
		/* Of NBD. */
		api_unit_test(test_ioctl_is_not_supported),
		api_unit_test(test_what_nbd_cannot_carry_is_refused_by_name),
		api_unit_test(test_context),
	};
	const size_t all = sizeof(tests) / sizeof(tests[0]);

	(void)arguments;
	page = (uint32_t)sysconf(_SC_PAGESIZE);
	if (count < 2)
		return _cmocka_run_group_tests("NBD", tests, all, NULL, NULL);
	for (size_t i = 0; i < all; i++) {
		tests[i].setup_func = api_setup_block;
		tests[i].teardown_func = api_teardown_block;
	}
	return _cmocka_run_group_tests("block", tests, all - 3, NULL, NULL);
}
