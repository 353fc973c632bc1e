/* SPDX-License-Identifier: MIT */
/*
 * Tests of the opvm filter, in the engine, with programs in text.
 */
#include "attrs.h"
#include "base/bits.h"
#include "base/clock.h"
#include "fake.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct bdus_filter bdus_filter_opvm;

/* Places of include/opvm/block.h. */
#define AT_OFFSET    "0"
#define AT_LENGTH    "8"
#define AT_OPERATION "36"
#define AT_PAYLOAD   "48"
#define AT_END       "56"
#define AT_COVERS    "64"
#define AT_TARGET    "72"
#define AT_DELAY     "80"
#define AT_STATUS    "88"
#define AT_RESULT    "92"
#define AT_ELAPSED   "96"
#define AT_BACKENDS  "104"
#define AT_BACKEND   "108"
#define PASS         "mov r0, 0\n"
#define DONE         "mov r0, 1\n"
#define REDIRECT     "mov r0, 2\n"
#define FAIL         "mov r0, 3\n"
#define EXIT         "exit\n"

static const struct bdus_filter *const filters[] = {&bdus_filter_opvm};
static const struct bdus_device_attrs plain = {.size_bytes = 1 << 20};
static struct fake fake;
static struct bdus_io io;
static unsigned char payload[16384] __attribute__((aligned(4096)));
static char directory[] = "/tmp/bdus-test-opvm-XXXXXX";

/** The path of a file with @text; valid until the next call with the same name. */
static const char *file(const char *name, const char *text)
{
	static char path[96];
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	stream = fopen(path, "w");
	assert_non_null(stream);
	fputs(text, stream);
	fclose(stream);
	return path;
}

static void start_with(const char *text, const char *more)
{
	char words[512];
	const char *all = words;

	memset(&io, 0, sizeof(io));
	snprintf(words, sizeof(words), "program=%s %s", file("program.s", text), more);
	fake_init_filtered(&fake, plain, BDUS_OP_BIT(BDUS_OP_CACHE + 1) - 1, filters, &all, 1);
	fake.at_once = true;
}

static void start(const char *text)
{
	start_with(text, "");
}

static int serve(enum bdus_op op, uint64_t offset, uint64_t length)
{
	fake.commit_count = 0;
	fake_issue(&fake, &io, op, 0, offset, length,
		   op == BDUS_OP_READ || op == BDUS_OP_WRITE ? payload : NULL);
	fake_wait(&fake, 1);
	return io.result;
}

static int command(const char *words, char *answer)
{
	const char *cut[8];
	unsigned count = 0;
	char copy[256];
	char *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *word = strtok_r(copy, " ", &rest); word != NULL;
	     word = strtok_r(NULL, " ", &rest))
		cut[count++] = word;
	return bdus_stack_command(fake.stack, "opvm", cut, count, answer, 4096);
}

/** A counter of the status. */
static uint64_t counted(const char *name)
{
	char answer[4096];
	char key[64];
	const char *found;

	assert_int_equal(command("status", answer), 0);
	snprintf(key, sizeof(key), "\"%s\":", name);
	found = strstr(answer, key);
	assert_non_null(found);
	return strtoull(found + strlen(key), NULL, 10);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void a_request_that_passes_reaches_the_driver_as_it_is(void **state)
{
	(void)state;
	start(PASS EXIT);
	fake.at_once = false;
	fake_issue(&fake, &io, BDUS_OP_WRITE, 0, 4096, 8192, payload);
	assert_ptr_equal(fake.pending[0], &io.request);
	assert_null(fake.seen[0].driver_data);
	fake_answer(&fake, 0, -ENOSPC);
	assert_int_equal(io.result, -ENOSPC);
	assert_int_equal(counted("calls"), 1);
	assert_int_equal(counted("passed"), 1);
	fake_finish(&fake);
}

static void a_read_that_is_done_gives_zeros_and_no_old_data(void **state)
{
	(void)state;
	start(DONE EXIT);
	memset(payload, 0xaa, sizeof(payload));
	assert_int_equal(serve(BDUS_OP_READ, 0, 8192), 0);
	assert_int_equal(payload[0], 0);
	assert_int_equal(payload[8191], 0);
	assert_int_equal(payload[8192], 0xaa);
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 512), 0);
	assert_int_equal(serve(BDUS_OP_FLUSH, 0, 0), 0);
	assert_int_equal(fake.seen_count, 0);
	assert_int_equal(counted("done"), 3);
	fake_finish(&fake);
}

static void a_request_fails_with_the_error_that_was_answered(void **state)
{
	(void)state;
	start("mov r2, 28\nstxw [r1+" AT_STATUS "], r2\n" FAIL EXIT);
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 512), -ENOSPC);
	fake_finish(&fake);
	start(FAIL EXIT);
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 512), -EIO);
	assert_int_equal(fake.seen_count, 0);
	assert_int_equal(counted("failed"), 1);
	fake_finish(&fake);
}

static void a_request_is_redirected_with_its_payload(void **state)
{
	(void)state;
	start("ldxdw r2, [r1+" AT_OFFSET "]\nxor r2, 65536\nstxdw [r1+" AT_TARGET
	      "], r2\n" REDIRECT EXIT);
	assert_int_equal(serve(BDUS_OP_WRITE, 4096, 8192), 0);
	assert_int_equal(fake.seen[0].offset_bytes, 65536 + 4096);
	assert_ptr_equal(fake.seen[0].data, payload);
	assert_int_equal(serve(BDUS_OP_FLUSH, 0, 0), 0);
	assert_int_equal(fake.seen[1].op, BDUS_OP_FLUSH);
	assert_int_equal(fake.seen[1].offset_bytes, 0);
	fake_finish(&fake);
}

static void a_redirection_past_the_end_is_an_error_and_reaches_nobody(void **state)
{
	(void)state;
	start("lddw r2, 0xfffffffffffff000\nstxdw [r1+" AT_TARGET "], r2\n" REDIRECT EXIT);
	assert_int_equal(serve(BDUS_OP_READ, 0, 8192), -EIO);
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 512), -ENOSPC);
	assert_int_equal(fake.seen_count, 0);
	fake_finish(&fake);
}

static void a_delayed_request_waits_and_others_do_not(void **state)
{
	const uint64_t began = base_now_ns();

	(void)state;
	start("ldxw r2, [r1+" AT_OPERATION "]\njeq r2, 0, read\nmov r2, 30000000\nstxdw "
	      "[r1+" AT_DELAY "], r2\nread:\n" PASS EXIT);
	fake_issue(&fake, &io, BDUS_OP_WRITE, 0, 0, 512, payload);
	assert_int_equal(fake.seen_count, 0);
	fake_wait(&fake, 1);
	assert_true(base_now_ns() - began >= 30000000);
	assert_int_equal(counted("delayed"), 1);
	assert_int_equal(serve(BDUS_OP_READ, 0, 512), 0);
	assert_int_equal(counted("delayed"), 1);
	fake_finish(&fake);
}

/** Blocks of 4 KiB change places two by two. */
#define SWAP                                                                                 \
	"ldxdw r2, [r1+" AT_OFFSET "]\nmov r3, r2\nand r3, 4095\nmov r4, 4096\nsub r4, r3\n" \
	"ldxdw r5, [r1+" AT_LENGTH "]\njle r5, r4, whole\nstxdw [r1+" AT_COVERS "], r4\n"    \
	"whole:\nxor r2, 4096\nstxdw [r1+" AT_TARGET "], r2\n" REDIRECT EXIT

static void what_an_answer_does_not_cover_is_asked_again(void **state)
{
	(void)state;
	start(SWAP);
	assert_int_equal(serve(BDUS_OP_READ, 2048, 8192), 0);
	assert_int_equal(fake.seen_count, 3);
	assert_int_equal(fake.seen[0].offset_bytes, 4096 + 2048);
	assert_int_equal(fake.seen[0].length_bytes, 2048);
	assert_ptr_equal(fake.seen[0].data, payload);
	assert_int_equal(fake.seen[1].offset_bytes, 0);
	assert_int_equal(fake.seen[1].length_bytes, 4096);
	assert_ptr_equal(fake.seen[1].data, payload + 2048);
	assert_int_equal(fake.seen[2].offset_bytes, 12288);
	assert_int_equal(fake.seen[2].length_bytes, 2048);
	assert_int_equal(counted("calls"), 3);
	fake_finish(&fake);
}

static void parts_that_fail_fail_the_whole(void **state)
{
	(void)state;
	start(SWAP);
	fake.at_once = false;
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 12288, payload);
	assert_int_equal(fake.seen_count, 3);
	fake_answer(&fake, 2, 0);
	fake_answer(&fake, 0, -ETIMEDOUT);
	assert_int_equal(fake.commit_count, 0);
	fake_answer(&fake, 1, -ENOSPC);
	assert_int_equal(fake.commit_count, 1);
	assert_int_equal(io.result, -ETIMEDOUT);
	fake_finish(&fake);
}

static void answers_that_make_no_sense_fail_the_request_and_are_counted(void **state)
{
	static const char *const bad[] = {
		"mov r0, 4\n" EXIT,
		"lddw r0, 0x100000000\n" EXIT,
		"mov r2, 0\nstxdw [r1+" AT_COVERS "], r2\n" PASS EXIT,
		"mov r2, 100\nstxdw [r1+" AT_COVERS "], r2\n" PASS EXIT,
		"mov r2, 65536\nstxdw [r1+" AT_COVERS "], r2\n" PASS EXIT,
		"mov r2, -1\nstxdw [r1+" AT_DELAY "], r2\n" PASS EXIT,
		"mov r2, 0\nstxw [r1+" AT_STATUS "], r2\n" FAIL EXIT,
		"mov r2, -5\nstxw [r1+" AT_STATUS "], r2\n" FAIL EXIT,
	};

	(void)state;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(bad); i++) {
		start(bad[i]);
		assert_int_equal(serve(BDUS_OP_READ, 0, 4096), -EIO);
		assert_int_equal(fake.seen_count, 0);
		assert_int_equal(counted("refused_answers"), 1);
		fake_finish(&fake);
	}
}

/** Counts requests that are back by what became of them, when they took 5 ms. */
#define FOLLOW                                                                              \
	".map results hash 4 8 64\n.program serve\nldxw r2, [r1+" AT_OPERATION              \
	"]\njeq r2, 0, out\nmov r2, 5000000\nstxdw [r1+" AT_DELAY "], r2\nout:\n" PASS EXIT \
	".program back\nldxdw r2, [r1+" AT_ELAPSED "]\njlt r2, 5000000, early\n"            \
	"ldxw r2, [r1+" AT_RESULT "]\nstxw [r10-4], r2\nmov r2, 1\nstxdw [r10-16], r2\n"    \
	"mov r2, r10\nadd r2, -4\nmov r3, r10\nadd r3, -16\nmov r4, 0\n"                    \
	"lddw r1, map results\ncall map_update\nearly:\n" FAIL EXIT

static void a_program_learns_what_became_of_requests_and_when(void **state)
{
	char answer[4096];

	(void)state;
	start_with(FOLLOW, "name=serve completion=back");
	fake.results[1] = -ENOSPC;
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), 0);
	assert_int_equal(command("get results 0", answer), -ENOENT);
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 4096), -ENOSPC);
	assert_int_equal(command("get results 28", answer), 0);
	assert_int_equal(serve(BDUS_OP_FLUSH, 0, 0), 0);
	assert_int_equal(command("get results 0", answer), 0);
	assert_int_equal(counted("calls"), 6);
	fake_finish(&fake);
}

static void a_call_without_fuel_ends_as_was_configured_and_is_counted(void **state)
{
	static const char endless[] = PASS "again:\nja again\n";
	static const char *const more[] = {"fuel=1000", "fuel=1000 exhausted=pass",
					   "fuel=1000 interpret=yes"};

	(void)state;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(more); i++) {
		start_with(endless, more[i]);
		assert_int_equal(serve(BDUS_OP_READ, 0, 4096), i == 1 ? 0 : -EIO);
		assert_int_equal(fake.seen_count, i == 1 ? 1 : 0);
		assert_int_equal(counted("out_of_fuel"), 1);
		fake_finish(&fake);
	}
}

/* ---- payloads ---------------------------------------------------------------------------------
 */

/** Fails writes whose first byte is 7, as far as it is shown. */
#define REFUSE_SEVEN                                                                        \
	"ldxdw r2, [r1+" AT_PAYLOAD "]\nldxdw r3, [r1+" AT_END "]\nmov r4, r2\nadd r4, 1\n" \
	"jgt r4, r3, none\nldxb r5, [r2]\njne r5, 7, none\n" FAIL EXIT "none:\n" PASS EXIT

static void the_first_bytes_of_writes_are_shown_where_asked_for(void **state)
{
	(void)state;
	payload[0] = 7;
	start_with(REFUSE_SEVEN, "payload=16");
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 4096), -EIO);
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), 0);
	payload[0] = 8;
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 4096), 0);
	fake_finish(&fake);
	payload[0] = 7;
	start(REFUSE_SEVEN);
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 4096), 0);
	fake_finish(&fake);
}

static void zero_copy_is_kept_with_and_without_payload(void **state)
{
	struct bdus_device_attrs attrs = plain;
	char words[256];
	const char *all = words;

	(void)state;
	attrs.flags = BDUS_DEVICE_ANY_PAYLOAD;
	snprintf(words, sizeof(words), "program=%s payload=512", file("program.s", PASS EXIT));
	fake_init_filtered(&fake, attrs, BDUS_OP_BIT(BDUS_OP_READ), filters, &all, 1);
	assert_true(fake.attrs.flags & BDUS_DEVICE_ANY_PAYLOAD);
	fake_finish(&fake);
}

/* ---- maps and commands --------------------------------------------------------------------------
 */

/** Counts requests by operation, and fails those of the operation in the map `refused`. */
#define COUNT                                                                               \
	".map counts array 4 8 16\n.map refused hash 4 1 4\n"                               \
	"ldxw r6, [r1+" AT_OPERATION "]\nstxw [r10-4], r6\n"                                \
	"mov r2, r10\nadd r2, -4\nlddw r1, map counts\ncall map_lookup\njeq r0, 0, out\n"   \
	"mov r1, 1\natomic_add64 [r0], r1\nmov r2, r10\nadd r2, -4\nlddw r1, map refused\n" \
	"call map_lookup\njeq r0, 0, out\n" FAIL EXIT "out:\n" PASS EXIT

static void maps_are_read_and_written_while_the_device_runs(void **state)
{
	char answer[4096];

	(void)state;
	start_with(COUNT, "maps=refused:4:1+counts:3:2K");
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), 0);
	assert_int_equal(serve(BDUS_OP_DISCARD, 0, 4096), -EIO);
	assert_int_equal(command("get counts 3", answer), 0);
	assert_string_equal(answer, "2048");
	assert_int_equal(command("set refused 0 1", answer), 0);
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), -EIO);
	assert_int_equal(command("get counts 0", answer), 0);
	assert_string_equal(answer, "2");
	assert_int_equal(command("get counts 16", answer), -ENOENT);
	assert_int_equal(command("get colours 1", answer), -ENOENT);
	assert_int_equal(command("set refused 1 256", answer), -EINVAL);
	assert_int_equal(command("set refused x 1", answer), -EINVAL);
	assert_int_equal(command("fly", answer), -EINVAL);
	fake_finish(&fake);
}

static void a_program_is_replaced_with_or_without_its_values(void **state)
{
	char answer[4096];
	char words[256];

	(void)state;
	start(COUNT);
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), 0);
	snprintf(words, sizeof(words), "replace %s keep-maps", file("second.s", COUNT));
	assert_int_equal(command(words, answer), 0);
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), 0);
	assert_int_equal(command("get counts 0", answer), 0);
	assert_string_equal(answer, "2");
	snprintf(words, sizeof(words), "replace %s", file("second.s", COUNT));
	assert_int_equal(command(words, answer), 0);
	assert_int_equal(command("get counts 0", answer), 0);
	assert_string_equal(answer, "0");
	assert_int_equal(counted("replaced"), 2);
	snprintf(words, sizeof(words), "replace %s", file("second.s", FAIL EXIT));
	assert_int_equal(command(words, answer), 0);
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), -EIO);
	fake_finish(&fake);
}

static void a_program_that_is_refused_leaves_the_old_one_in_place(void **state)
{
	char answer[4096];
	char words[256];

	(void)state;
	start(FAIL EXIT);
	snprintf(words, sizeof(words), "replace %s", file("second.s", "ldxdw r0, [r1+104]\n" EXIT));
	assert_true(command(words, answer) < 0);
	assert_non_null(strstr(base_error_message(), "second.s"));
	assert_int_equal(command("replace /nowhere/at/all.o", answer), -ENOENT);
	snprintf(words, sizeof(words), "replace %s colour", file("second.s", PASS EXIT));
	assert_int_equal(command(words, answer), -ENOENT);
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), -EIO);
	assert_int_equal(counted("replaced"), 0);
	fake_finish(&fake);
}

static void without_a_program_requests_pass(void **state)
{
	char answer[4096];

	(void)state;
	start(FAIL EXIT);
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), -EIO);
	assert_int_equal(command("detach", answer), 0);
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), 0);
	assert_int_equal(command("get counts 0", answer), -ENOENT);
	assert_int_equal(counted("calls"), 1);
	fake_finish(&fake);
}

static atomic_uint replacements;

/** Replaces the program a few hundred times. */
static void *replace_often(void *unused)
{
	(void)unused;
	static const char *const words[] = {"replace", NULL, "keep-maps"};
	const char *all[3];
	char answer[256];
	char path[96];

	snprintf(path, sizeof(path), "%s/often.s", directory);
	memcpy(all, words, sizeof(all));
	all[1] = path;
	for (; atomic_load(&replacements) < 300; atomic_fetch_add(&replacements, 1))
		if (bdus_stack_command(fake.stack, "0", all, 3, answer, sizeof(answer)) != 0)
			abort();
	return NULL;
}

/** Requests are served on one thread while another replaces the program again and again. */
static void a_program_is_replaced_under_load(void **state)
{
	pthread_t thread;
	unsigned served = 0;

	(void)state;
	file("often.s", COUNT);
	start(COUNT);
	assert_int_equal(pthread_create(&thread, NULL, replace_often, NULL), 0);
	for (; atomic_load(&replacements) < 300; served++)
		assert_int_equal(serve(BDUS_OP_READ, 0, 4096), 0);
	pthread_join(thread, NULL);
	assert_int_equal(counted("calls"), served);
	assert_int_equal(counted("replaced"), 300);
	fake_finish(&fake);
}

/* ---- options ------------------------------------------------------------------------------------
 */

static void words_and_programs_that_are_wrong_are_refused_by_name(void **state)
{
	static const struct {
		const char *text;
		const char *more;
		int error;
		const char *says;
	} bad[] = {
		{"mov r0, r5\n" EXIT, "", -EINVAL, "program.s"},
		{"nonsense\n", "", -EINVAL, "program.s"},
		{PASS EXIT, "name=other", -ENOENT, "other"},
		{PASS EXIT, "size=2M", -EINVAL, "size=2097152"},
		{PASS EXIT, "size=1000", -EINVAL, "size=1000"},
		{COUNT, "maps=counts:0", -EINVAL, "MAP:KEY:VALUE"},
		{COUNT, "maps=counts:0:1+", -EINVAL, "MAP:KEY:VALUE"},
		{COUNT, "maps=counts:99:1", -E2BIG, "counts"},
	};

	(void)state;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(bad); i++) {
		char program[128];
		const char *words[] = {program, bad[i].more};
		const struct bdus_filter_use use = {&bdus_filter_opvm, words,
						    bad[i].more[0] != '\0' ? 2 : 1};
		struct bdus_device_attrs attrs = plain;
		struct bdus_stack *stack;

		snprintf(program, sizeof(program), "program=%s", file("program.s", bad[i].text));
		assert_int_equal(bdus_attrs_complete("fake", &attrs), 0);
		assert_int_equal(bdus_stack_create(&use, 1, &stack), 0);
		assert_int_equal(bdus_stack_open(stack, &attrs), bad[i].error);
		if (strstr(base_error_message(), bad[i].says) == NULL)
			fail_msg("%s does not say %s", base_error_message(), bad[i].says);
		bdus_stack_destroy(stack);
	}
}

static void the_device_seems_as_small_as_told(void **state)
{
	(void)state;
	start_with(PASS EXIT, "size=64K");
	assert_int_equal(fake.attrs.size_bytes, 65536);
	assert_int_equal(serve(BDUS_OP_READ, 65536, 512), -EINVAL);
	fake_finish(&fake);
}

/* ---- backends ---------------------------------------------------------------------------------
 */

/** What reached each of two backends. */
static struct {
	struct bdus_request seen[8];
	unsigned count;
	int result;
} reached[2];
static unsigned backends_open;

static int open_backend(const struct bdus_config *config, struct bdus_device_attrs *attrs,
			void **instance)
{
	(void)config;
	attrs->size_bytes = 1 << 19;
	attrs->ops =
		BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) | BDUS_OP_BIT(BDUS_OP_FLUSH);
	*instance = &reached[backends_open++];
	return 0;
}

static int close_backend(void *instance)
{
	(void)instance;
	backends_open--;
	return 0;
}

static void submit_to_backend(void *instance, struct bdus_request *request)
{
	typeof(reached[0]) *const here = instance;

	here->seen[here->count++] = *request;
	bdus_complete(request, here->result);
}

static const struct bdus_driver backend = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(backend),
	.name = "elsewhere",
	.open = open_backend,
	.close = close_backend,
	.submit = submit_to_backend,
};

static void start_backed(const char *text, uint32_t ops)
{
	const struct bdus_backend_use uses[2] = {{.driver = &backend}, {.driver = &backend}};
	char words[512];
	const char *all = words;

	memset(&io, 0, sizeof(io));
	memset(reached, 0, sizeof(reached));
	snprintf(words, sizeof(words), "program=%s", file("program.s", text));
	fake_init_backed(&fake, plain, ops, filters, &all, 1, uses, 2);
	fake.at_once = true;
}

static const uint32_t every_op = BDUS_OP_BIT(BDUS_OP_CACHE + 1) - 1;

static void a_redirected_request_reaches_the_backend_that_was_named(void **state)
{
	(void)state;
	start_backed("ldxw r2, [r1+" AT_BACKENDS "]\nstxw [r1+" AT_BACKEND
		     "], r2\nmov r2, 8192\nstxdw [r1+" AT_TARGET "], r2\n" REDIRECT EXIT,
		     every_op);
	assert_int_equal(serve(BDUS_OP_WRITE, 4096, 8192), 0);
	assert_int_equal(fake.seen_count + reached[0].count, 0);
	assert_int_equal(reached[1].count, 1);
	assert_int_equal(reached[1].seen[0].offset_bytes, 8192);
	assert_int_equal(reached[1].seen[0].length_bytes, 8192);
	assert_ptr_equal(reached[1].seen[0].data, payload);
	reached[1].result = -ENOSPC;
	assert_int_equal(serve(BDUS_OP_WRITE, 4096, 8192), -ENOSPC);
	assert_int_equal(counted("redirected"), 2);
	fake_finish(&fake);
	assert_int_equal(backends_open, 0);
}

static void what_is_not_within_a_backend_is_an_error_and_reaches_nobody(void **state)
{
	(void)state;
	start_backed("mov r2, 2\nstxw [r1+" AT_BACKEND "], r2\n" REDIRECT EXIT, every_op);
	assert_int_equal(serve(BDUS_OP_WRITE, (1 << 19) - 512, 512), 0);
	assert_int_equal(serve(BDUS_OP_WRITE, 1 << 19, 512), -ENOSPC);
	assert_int_equal(reached[1].count, 1);
	fake_finish(&fake);
	start_backed("mov r2, 3\nstxw [r1+" AT_BACKEND "], r2\n" REDIRECT EXIT, every_op);
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 512), -EIO);
	assert_int_equal(counted("refused_answers"), 1);
	assert_int_equal(fake.seen_count + reached[0].count + reached[1].count, 0);
	fake_finish(&fake);
}

static void a_flush_reaches_whatever_has_something_to_flush(void **state)
{
	(void)state;
	start_backed(PASS EXIT, every_op);
	assert_int_equal(serve(BDUS_OP_FLUSH, 0, 0), 0);
	assert_int_equal(fake.seen_count, 1);
	assert_int_equal(reached[0].count, 1);
	assert_int_equal(reached[1].seen[0].op, BDUS_OP_FLUSH);
	reached[0].result = -EIO;
	assert_int_equal(serve(BDUS_OP_FLUSH, 0, 0), -EIO);
	assert_int_equal(reached[1].count, 2);
	fake_finish(&fake);
	/* A driver without a cache does not hide that a backend has one. */
	start_backed(PASS EXIT, BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE));
	assert_true(fake.attrs.ops & BDUS_OP_BIT(BDUS_OP_FLUSH));
	assert_int_equal(serve(BDUS_OP_FLUSH, 0, 0), 0);
	assert_int_equal(fake.seen_count, 0);
	assert_int_equal(reached[0].count, 1);
	assert_int_equal(reached[1].count, 1);
	fake_finish(&fake);
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"program.s", "second.s", "often.s"};
	char path[96];

	(void)state;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_that_passes_reaches_the_driver_as_it_is),
		cmocka_unit_test(a_read_that_is_done_gives_zeros_and_no_old_data),
		cmocka_unit_test(a_request_fails_with_the_error_that_was_answered),
		cmocka_unit_test(a_request_is_redirected_with_its_payload),
		cmocka_unit_test(a_redirection_past_the_end_is_an_error_and_reaches_nobody),
		cmocka_unit_test(a_delayed_request_waits_and_others_do_not),
		cmocka_unit_test(what_an_answer_does_not_cover_is_asked_again),
		cmocka_unit_test(parts_that_fail_fail_the_whole),
		cmocka_unit_test(answers_that_make_no_sense_fail_the_request_and_are_counted),
		cmocka_unit_test(a_program_learns_what_became_of_requests_and_when),
		cmocka_unit_test(a_call_without_fuel_ends_as_was_configured_and_is_counted),
		cmocka_unit_test(the_first_bytes_of_writes_are_shown_where_asked_for),
		cmocka_unit_test(zero_copy_is_kept_with_and_without_payload),
		cmocka_unit_test(maps_are_read_and_written_while_the_device_runs),
		cmocka_unit_test(a_program_is_replaced_with_or_without_its_values),
		cmocka_unit_test(a_program_that_is_refused_leaves_the_old_one_in_place),
		cmocka_unit_test(without_a_program_requests_pass),
		cmocka_unit_test(a_program_is_replaced_under_load),
		cmocka_unit_test(words_and_programs_that_are_wrong_are_refused_by_name),
		cmocka_unit_test(the_device_seems_as_small_as_told),
		cmocka_unit_test(a_redirected_request_reaches_the_backend_that_was_named),
		cmocka_unit_test(what_is_not_within_a_backend_is_an_error_and_reaches_nobody),
		cmocka_unit_test(a_flush_reaches_whatever_has_something_to_flush),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
