/* SPDX-License-Identifier: MIT */
/*
 * Everything that an NBD client can ask for, asked through libnbd:
 *
 *	libnbd_client URI
 *
 * for a writable export of at least 8 MiB with trim, block status and a minimum block of 512, which
 * starts out as zeros.
 */
#include <errno.h>
#include <libnbd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK ((size_t)4096)
#define MIB   (UINT64_C(1) << 20)

static const char *uri;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (libnbd: %s)\n", nbd_get_error());
	exit(1);
}

#define must(call)                                 \
	do {                                       \
		if ((call) == -1)                  \
			fail("failed: %s", #call); \
	} while (0)

#define expect(condition)                               \
	do {                                            \
		if (!(condition))                       \
			fail("not so: %s", #condition); \
	} while (0)

/** Checks that @call fails with @errnum as the server's answer. */
#define must_fail(call, errnum)                                                           \
	do {                                                                              \
		if ((call) != -1)                                                         \
			fail("succeeded, but should not have: %s", #call);                \
		if (nbd_get_errno() != (errnum))                                          \
			fail("%s: errno is %d, not %s", #call, nbd_get_errno(), #errnum); \
	} while (0)

static struct nbd_handle *create(void)
{
	struct nbd_handle *const nbd = nbd_create();

	if (nbd == NULL)
		fail("cannot create a handle");
	/* The server is what is tested, so libnbd must not refuse for it. */
	must(nbd_set_strict_mode(nbd, 0));
	must(nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION));
	return nbd;
}

static struct nbd_handle *connect_to_export(void)
{
	struct nbd_handle *const nbd = create();

	must(nbd_connect_uri(nbd, uri));
	return nbd;
}

static void leave(struct nbd_handle *nbd)
{
	must(nbd_shutdown(nbd, 0));
	nbd_close(nbd);
}

static void fill(uint8_t *data, size_t length, unsigned seed)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)(seed + i * 7 + i / 251);
}

static void expect_content(struct nbd_handle *nbd, uint64_t offset, size_t length, unsigned seed)
{
	uint8_t *const expected = malloc(length);
	uint8_t *const read = malloc(length);

	fill(expected, length, seed);
	must(nbd_pread(nbd, read, length, offset, 0));
	if (memcmp(expected, read, length) != 0)
		fail("the data at %llu differ", (unsigned long long)offset);
	free(expected);
	free(read);
}

static void expect_zeros(struct nbd_handle *nbd, uint64_t offset, size_t length)
{
	uint8_t *const read = malloc(length);

	memset(read, 0xff, length);
	must(nbd_pread(nbd, read, length, offset, 0));
	for (size_t i = 0; i < length; i++) {
		if (read[i] != 0)
			fail("byte %zu from %llu on is not zero", i, (unsigned long long)offset);
	}
	free(read);
}

/* ---- negotiation --------------------------------------------------------------------------- */

static int saw_export(void *data, const char *name, const char *description)
{
	*(bool *)data = name[0] == '\0' && strstr(description, "driver ram") != NULL;
	return 0;
}

static int saw_context(void *data, const char *name)
{
	if (strcmp(name, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0)
		++*(unsigned *)data;
	return 0;
}

static void test_options_can_be_asked_for_before_going(void)
{
	struct nbd_handle *const nbd = create();
	bool listed = false;
	unsigned contexts = 0;

	must(nbd_set_opt_mode(nbd, true));
	must(nbd_connect_uri(nbd, uri));
	must(nbd_opt_list(nbd, (nbd_list_callback){.callback = saw_export, .user_data = &listed}));
	expect(listed);
	must(nbd_opt_list_meta_context(
		nbd, (nbd_context_callback){.callback = saw_context, .user_data = &contexts}));
	expect(contexts == 1);
	must(nbd_set_export_name(nbd, "there is no such export"));
	must_fail(nbd_opt_info(nbd), ENOENT);
	must(nbd_set_export_name(nbd, ""));
	must(nbd_opt_info(nbd));
	expect(nbd_get_size(nbd) >= (int64_t)(8 * MIB));
	must(nbd_opt_go(nbd));
	expect(nbd_get_structured_replies_negotiated(nbd) == 1);
	leave(nbd);
}

static void test_abort_ends_the_negotiation(void)
{
	struct nbd_handle *const nbd = create();

	must(nbd_set_opt_mode(nbd, true));
	must(nbd_connect_uri(nbd, uri));
	must(nbd_opt_abort(nbd));
	expect(nbd_aio_is_closed(nbd) == 1);
	nbd_close(nbd);
}

static void test_tls_is_refused_and_the_client_may_go_on(void)
{
	struct nbd_handle *const nbd = create();

	if (nbd_supports_tls(nbd) == 1) {
		must(nbd_set_tls(nbd, LIBNBD_TLS_ALLOW));
		must(nbd_connect_uri(nbd, uri));
		expect(nbd_get_tls_negotiated(nbd) == 0);
		leave(nbd);
		return;
	}
	nbd_close(nbd);
}

static void test_export_tells_its_features_and_sizes(void)
{
	struct nbd_handle *const nbd = connect_to_export();

	expect(strcmp(nbd_get_protocol(nbd), "newstyle-fixed") == 0);
	expect(nbd_is_read_only(nbd) == 0);
	expect(nbd_can_multi_conn(nbd) == 1);
	expect(nbd_can_fua(nbd) == 1);
	expect(nbd_can_trim(nbd) == 1);
	expect(nbd_can_zero(nbd) == 1);
	expect(nbd_can_df(nbd) == 1);
	expect(nbd_can_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1);
	expect(nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM) == 512);
	expect(nbd_get_block_size(nbd, LIBNBD_SIZE_PREFERRED) >= 4096);
	expect(nbd_get_block_size(nbd, LIBNBD_SIZE_MAXIMUM) == 32 << 20);
	leave(nbd);
}

static void test_client_without_structured_replies_is_served(void)
{
	struct nbd_handle *const nbd = create();
	uint8_t data[BLOCK];

	must(nbd_set_request_structured_replies(nbd, false));
	must(nbd_connect_uri(nbd, uri));
	expect(nbd_get_structured_replies_negotiated(nbd) == 0);
	fill(data, sizeof(data), 1);
	must(nbd_pwrite(nbd, data, sizeof(data), 0, 0));
	expect_content(nbd, 0, BLOCK, 1);
	must_fail(nbd_pread(nbd, data, BLOCK, UINT64_C(1) << 60, 0), EINVAL);
	must(nbd_zero(nbd, BLOCK, 0, 0));
	leave(nbd);
}

/* ---- data ---------------------------------------------------------------------------------- */

static void test_writes_of_all_sizes_are_read_back(void)
{
	static const size_t sizes[] = {
		512, 4096, 4608, 65536, 131072, 131072 - 512, 1 << 20, (1 << 20) + 512, 5 << 20};
	struct nbd_handle *const nbd = connect_to_export();
	uint8_t *const data = malloc(8 * MIB);

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const uint64_t offset = i * UINT64_C(512);

		fill(data, sizes[i], i);
		must(nbd_pwrite(nbd, data, sizes[i], offset, i % 2 ? LIBNBD_CMD_FLAG_FUA : 0));
		expect_content(nbd, offset, sizes[i], i);
	}
	must(nbd_zero(nbd, 8 * MIB, 0, 0));
	expect_zeros(nbd, 0, 8 * MIB);
	free(data);
	leave(nbd);
}

struct chunks {
	unsigned holes;
	unsigned data;
};

static int saw_chunk(void *user_data, const void *bytes, size_t count, uint64_t offset,
		     unsigned status, int *error)
{
	struct chunks *const chunks = user_data;

	(void)bytes;
	(void)count;
	(void)offset;
	(void)error;
	chunks->holes += status == LIBNBD_READ_HOLE;
	chunks->data += status == LIBNBD_READ_DATA;
	return 0;
}

static struct chunks read_chunks(struct nbd_handle *nbd, uint32_t flags)
{
	struct chunks chunks = {0, 0};
	uint8_t data[BLOCK];

	must(nbd_pread_structured(nbd, data, sizeof(data), 0,
				  (nbd_chunk_callback){.callback = saw_chunk, .user_data = &chunks},
				  flags));
	return chunks;
}

static void test_reads_of_zeros_come_as_holes(void)
{
	struct nbd_handle *const nbd = connect_to_export();
	struct chunks chunks;

	must(nbd_zero(nbd, BLOCK, 0, 0));
	chunks = read_chunks(nbd, 0);
	expect(chunks.holes == 1 && chunks.data == 0);
	chunks = read_chunks(nbd, LIBNBD_CMD_FLAG_DF);
	expect(chunks.holes == 0 && chunks.data == 1);
	leave(nbd);
}

static void test_zeroing_with_every_flag_reads_as_zeros(void)
{
	static const uint32_t flags[] = {0, LIBNBD_CMD_FLAG_FUA, LIBNBD_CMD_FLAG_NO_HOLE,
					 LIBNBD_CMD_FLAG_NO_HOLE | LIBNBD_CMD_FLAG_FUA};
	struct nbd_handle *const nbd = connect_to_export();
	uint8_t data[4 * BLOCK];

	fill(data, sizeof(data), 9);
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		must(nbd_pwrite(nbd, data, sizeof(data), 0, 0));
		must(nbd_zero(nbd, 2 * BLOCK, BLOCK, flags[i]));
		expect_content(nbd, 0, BLOCK, 9);
		expect_zeros(nbd, BLOCK, 2 * BLOCK);
	}
	must(nbd_pwrite(nbd, data, sizeof(data), 0, 0));
	if (nbd_can_fast_zero(nbd) == 1 &&
	    nbd_zero(nbd, 2 * BLOCK, BLOCK, LIBNBD_CMD_FLAG_FAST_ZERO) == 0)
		expect_zeros(nbd, BLOCK, 2 * BLOCK);
	must(nbd_zero(nbd, sizeof(data), 0, 0));
	leave(nbd);
}

struct map {
	unsigned count;
	uint32_t entries[64];
};

static int saw_extents(void *user_data, const char *context, uint64_t offset, uint32_t *entries,
		       size_t count, int *error)
{
	struct map *const map = user_data;

	(void)offset;
	(void)error;
	expect(strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0);
	expect(count <= 64);
	map->count = (unsigned)count;
	memcpy(map->entries, entries, count * sizeof(entries[0]));
	return 0;
}

static struct map read_map(struct nbd_handle *nbd, uint64_t length, uint64_t offset, uint32_t flags)
{
	struct map map = {.count = 0};

	must(nbd_block_status(nbd, length, offset,
			      (nbd_extent_callback){.callback = saw_extents, .user_data = &map},
			      flags));
	return map;
}

static void test_block_status_follows_writes_and_trims(void)
{
	struct nbd_handle *const nbd = connect_to_export();
	uint8_t data[MIB / 8];
	struct map map;

	fill(data, sizeof(data), 3);
	must(nbd_trim(nbd, 8 * MIB, 0, 0));
	must(nbd_pwrite(nbd, data, sizeof(data), 2 * MIB, 0));
	map = read_map(nbd, 8 * MIB, 0, 0);
	expect(map.count == 6);
	expect(map.entries[0] == 2 * MIB && map.entries[1] == 3);
	expect(map.entries[2] == sizeof(data) && map.entries[3] == 0);
	expect(map.entries[5] == 3);
	map = read_map(nbd, MIB, 0, LIBNBD_CMD_FLAG_REQ_ONE);
	expect(map.count == 2 && map.entries[0] == MIB && map.entries[1] == 3);
	must(nbd_trim(nbd, sizeof(data), 2 * MIB, 0));
	map = read_map(nbd, 4 * MIB, 0, LIBNBD_CMD_FLAG_REQ_ONE);
	expect(map.count == 2 && map.entries[0] == 4 * MIB && map.entries[1] == 3);
	leave(nbd);
}

static void test_connections_see_one_another(void)
{
	struct nbd_handle *connections[8];
	uint8_t data[BLOCK];

	for (unsigned i = 0; i < 8; i++)
		connections[i] = connect_to_export();
	for (unsigned i = 0; i < 8; i++) {
		fill(data, sizeof(data), i + 20);
		must(nbd_pwrite(connections[i], data, sizeof(data), 0, LIBNBD_CMD_FLAG_FUA));
		for (unsigned j = 0; j < 8; j++)
			expect_content(connections[j], 0, BLOCK, i + 20);
	}
	must(nbd_zero(connections[0], BLOCK, 0, 0));
	for (unsigned i = 0; i < 8; i++)
		leave(connections[i]);
}

static void test_hundreds_of_requests_in_flight_keep_apart(void)
{
	struct nbd_handle *const nbd = connect_to_export();
	uint8_t *const written = malloc(2 * MIB);
	uint8_t *const read = malloc(2 * MIB);
	const unsigned count = (unsigned)(2 * MIB / BLOCK);

	fill(written, 2 * MIB, 77);
	for (unsigned i = 0; i < count; i++)
		must(nbd_aio_pwrite(nbd, written + i * BLOCK, BLOCK, i * BLOCK, NBD_NULL_COMPLETION,
				    0));
	while (nbd_aio_in_flight(nbd) > 0)
		must(nbd_poll(nbd, -1));
	for (unsigned i = 0; i < count; i++)
		must(nbd_aio_pread(nbd, read + i * BLOCK, BLOCK, i * BLOCK, NBD_NULL_COMPLETION,
				   0));
	while (nbd_aio_in_flight(nbd) > 0)
		must(nbd_poll(nbd, -1));
	expect(memcmp(written, read, 2 * MIB) == 0);
	must(nbd_zero(nbd, 2 * MIB, 0, 0));
	free(written);
	free(read);
	leave(nbd);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void test_wrong_requests_are_refused_and_harm_nothing(void)
{
	struct nbd_handle *const nbd = connect_to_export();
	const uint64_t size = (uint64_t)nbd_get_size(nbd);
	uint8_t data[BLOCK] = {0};

	must_fail(nbd_pread(nbd, data, BLOCK, size, 0), EINVAL);
	must_fail(nbd_pread(nbd, data, BLOCK, size - 512, 0), EINVAL);
	must_fail(nbd_pwrite(nbd, data, BLOCK, size, 0), ENOSPC);
	must_fail(nbd_zero(nbd, BLOCK, size, 0), ENOSPC);
	must_fail(nbd_trim(nbd, BLOCK, size, 0), EINVAL);
	must_fail(nbd_pread(nbd, data, 100, 0, 0), EINVAL);
	must_fail(nbd_pwrite(nbd, data, 512, 100, 0), EINVAL);
	must_fail(nbd_trim(nbd, 0, 0, 0), EINVAL);
	must_fail(nbd_zero(nbd, 0, 0, 0), EINVAL);
	must(nbd_pread(nbd, data, BLOCK, size - BLOCK, 0));
	leave(nbd);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	uri = argv[1];
	test_options_can_be_asked_for_before_going();
	test_abort_ends_the_negotiation();
	test_tls_is_refused_and_the_client_may_go_on();
	test_export_tells_its_features_and_sizes();
	test_client_without_structured_replies_is_served();
	test_writes_of_all_sizes_are_read_back();
	test_reads_of_zeros_come_as_holes();
	test_zeroing_with_every_flag_reads_as_zeros();
	test_block_status_follows_writes_and_trims();
	test_connections_see_one_another();
	test_hundreds_of_requests_in_flight_keep_apart();
	test_wrong_requests_are_refused_and_harm_nothing();
	return 0;
}
