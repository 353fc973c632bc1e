/* SPDX-License-Identifier: MIT */
/*
 * The attribute `log`: what became of the attributes, and each callback before it is called.
 */
#include "api_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** What `read` prints itself, to see that its line in the log comes before. */
#define MARK "read was called\n"

static int mark_read(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	fputs(MARK, stderr);
	return api_read_nothing(buffer, offset, size, ctx);
}

static int succeed(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static const struct bdus_ops ops = {
	.initialize = succeed,
	.on_device_available = succeed,
	.terminate = succeed,
	.read = mark_read,
	.write = api_write_nothing,
	.flush = succeed,
};

/* Runs a device with one read, one write and one flush, and returns what it printed to stderr. */
static char *run(bool log)
{
	const struct bdus_attrs attrs = {.size = 1 << 20, .logical_block_size = 512, .log = log};
	char *text = calloc(1, 65536);
	FILE *file = tmpfile();
	char data[1024] = {0};
	struct nbd_handle *nbd;
	struct api_run run;
	int saved;

	assert_non_null(text);
	assert_non_null(file);
	fflush(stderr);
	saved = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	api_start(&run, &ops, &attrs, NULL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	nbd = api_connect(&run);
	api_assert_nbd(nbd_pread(nbd, data, 1024, 1536, 0));
	api_assert_nbd(nbd_pwrite(nbd, data, 512, 4608, 0));
	api_assert_nbd(nbd_flush(nbd, 0));
	nbd_close(nbd);
	assert_true(api_stop(&run)->result);
	assert_true(pread(fileno(file), text, 65535, 0) >= 0);
	fclose(file);
	return text;
}

/* The first line after @text that has every one of @words; NULL when there is none. */
static const char *find_line(const char *text, const char *const *words)
{
	while (*text) {
		size_t length = strcspn(text, "\n");
		char line[1024];
		int missing = 0;

		snprintf(line, sizeof(line), "%.*s", (int)length, text);
		for (int i = 0; words[i]; i++)
			missing += !strstr(line, words[i]);
		if (!missing)
			return text;
		text += length + (text[length] == '\n');
	}
	return NULL;
}

static void test_nothing_is_printed_without_log(void **state)
{
	char *text = run(false);

	(void)state;
	assert_string_equal(text, MARK);
	free(text);
}

static void test_attributes_are_logged_with_their_values(void **state)
{
	static const char *const names[] = {
		"logical_block_size",     "physical_block_size",     "size",
		"max_read_write_size",    "max_write_same_size",     "max_write_zeros_size",
		"max_discard_erase_size", "max_concurrent_callbacks"};
	char *text = run(true);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strstr(text, names[i]))
			fail_msg("%s is not mentioned in:\n%s", names[i], text);
	/* Given as 0, becomes the logical block size; both values are in the line. */
	assert_non_null(find_line(text, (const char *const[]){"physical_block_size", "512", NULL}));
	assert_non_null(find_line(text, (const char *const[]){"size", "1048576", NULL}));
	free(text);
}

static void test_callbacks_are_logged_before_they_are_called(void **state)
{
	char *text = run(true);
	const char *read = find_line(text, (const char *const[]){"read", "1536", "1024", NULL});
	const char *write = find_line(text, (const char *const[]){"write", "4608", "512", NULL});

	(void)state;
	assert_non_null(read);
	assert_non_null(write);
	assert_true(read < strstr(text, MARK));
	assert_true(strstr(text, MARK) < write);
	assert_non_null(find_line(text, (const char *const[]){"initialize", NULL}));
	assert_non_null(find_line(text, (const char *const[]){"on_device_available", NULL}));
	assert_non_null(find_line(write, (const char *const[]){"flush", NULL}));
	assert_non_null(find_line(write, (const char *const[]){"terminate", NULL}));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		api_unit_test(test_nothing_is_printed_without_log),
		api_unit_test(test_attributes_are_logged_with_their_values),
		api_unit_test(test_callbacks_are_logged_before_they_are_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
