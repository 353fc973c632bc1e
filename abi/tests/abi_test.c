/* SPDX-License-Identifier: MIT */
/*
 * See abi_test.h. Images under test lie in memory of exactly their size, so that the address
 * sanitizer sees every byte that is read beyond them.
 */
#include "abi_test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the folder and the tools ---- */

static char folder[256];

int enter_folder(void **state)
{
	const char *base = getenv("TMPDIR");
	char path[1024];

	(void)state;
	snprintf(path, sizeof(path), "%s:/usr/local/sbin:/usr/sbin:/sbin", getenv("PATH"));
	setenv("PATH", path, 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	snprintf(folder, sizeof(folder), "%s/test-abi-XXXXXX", base != NULL ? base : "/tmp");
	return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

int leave_folder(void **state)
{
	(void)state;
	return chdir("/") == 0 ? nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) : -1;
}

static unsigned skipped;

void need_tool(const char *name)
{
	char command[256];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", name);
	if (system(command) == 0)
		return;
	print_message("skipped: there is no %s here\n", name);
	skipped++;
	skip();
}

int exit_code(int failed)
{
	return failed != 0 ? 1 : skipped != 0 ? 77 : 0;
}

static void show_log(void)
{
	char line[1024];
	FILE *log = fopen("log", "re");

	while (log != NULL && fgets(line, sizeof(line), log) != NULL)
		print_error("| %s", line);
	if (log != NULL)
		fclose(log);
}

int run(int expected, const char *format, ...)
{
	char command[4096] = "{ ";
	va_list arguments;
	size_t length = 2;
	int status;

	va_start(arguments, format);
	length += (size_t)vsnprintf(command + length, sizeof(command) - length, format, arguments);
	va_end(arguments);
	assert_true(length + 32 < sizeof(command));
	strcpy(command + length, "\n} >log 2>&1 </dev/null");
	status = system(command);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (status != expected) {
		print_error("exit code %d, expected %d: %s\n", status, expected, command);
		show_log();
	}
	return status;
}

bool said(const char *text)
{
	struct image log = load("log");
	const bool found = memmem(log.data, log.size, text, strlen(text)) != NULL;

	free(log.data);
	if (!found)
		show_log();
	return found;
}

static void make_file(const char *path, size_t size, size_t step)
{
	const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	for (size_t at = 0; at < size; at += step)
		assert_int_equal(pwrite(fd, "some content", 12, (off_t)at), 12);
	close(fd);
}

void make_tree(void)
{
	char path[64];

	mkdir("tree", 0755);
	mkdir("tree/folder", 0755);
	mkdir("tree/folder/empty", 0755);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "tree/folder/file-%02u", i);
		make_file(path, i, 12);
	}
	make_file("tree/large", 300000, 12);
	/* Too many pieces for the extents that an inode has room for. */
	make_file("tree/sparse", 40 << 16, 2 << 16);
	assert_true(symlink("folder/file-01", "tree/short") == 0 || errno == EEXIST);
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_true(symlink(path, "tree/long") == 0 || errno == EEXIST);
}

struct image load_part(const char *path, size_t offset, size_t size)
{
	struct image image = {malloc(size == 0 ? 1 : size), size};
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_non_null(image.data);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, image.data, size, (off_t)offset), size);
	close(fd);
	return image;
}

struct image load(const char *path)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return load_part(path, 0, (size_t)status.st_size);
}

void store_part(const char *path, size_t offset, const void *data, size_t size)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, size, (off_t)offset), size);
	assert_int_equal(close(fd), 0);
}

static struct image duplicate(const void *data, size_t size)
{
	struct image image = {malloc(size == 0 ? 1 : size), size};

	assert_non_null(image.data);
	memcpy(image.data, data, size);
	return image;
}

/* ---- accepted and refused ---- */

void assert_accepted(const struct subject *subject, const void *data, size_t size)
{
	struct wire_fault fault;
	char text[512];

	if (subject->format.check(data, size, NULL, &fault) == 0)
		return;
	wire_fault_text(&fault, text, sizeof(text));
	fail_msg("%s refuses what it must accept: %s", subject->format.format, text);
}

void assert_refused(const struct subject *subject, const void *data, size_t size,
		    const char *expected)
{
	struct wire_fault fault;
	char text[512];

	assert_true(subject->format.check(data, size, NULL, &fault) < 0);
	wire_fault_text(&fault, text, sizeof(text));
	if (strstr(text, expected) == NULL)
		fail_msg("%s says '%s', not '%s'", subject->format.format, text, expected);
}

/* ---- what a walk shows ---- */

struct looker {
	struct wire_walk walk;
	const uint8_t *data;
	size_t size, values;
};

/* The value as the bytes say it, computed here once more. */
static uint64_t value_of_bytes(const struct wire_node *node)
{
	uint64_t value = 0;

	for (uint64_t i = 0; i < node->size; i++) {
		const uint64_t at = node->order == WIRE_BIG ? i : node->size - 1 - i;

		value = value << 8 | node->data[at];
	}
	value >>= node->bit_shift;
	if (node->bit_count < 64)
		value &= (UINT64_C(1) << node->bit_count) - 1;
	if (node->kind == WIRE_SIGNED && node->bit_count < 64 &&
	    value >> (node->bit_count - 1) != 0)
		value |= ~((UINT64_C(1) << node->bit_count) - 1);
	return value;
}

static bool is_number(const struct wire_node *node)
{
	return node->kind == WIRE_UNSIGNED || node->kind == WIRE_SIGNED;
}

static int look(struct wire_walk *walk, const struct wire_node *node)
{
	struct looker *looker = (struct looker *)walk;

	if (node->event != WIRE_VALUE)
		return 0;
	looker->values++;
	assert_true(node->offset <= looker->size);
	if (node->flavour == WIRE_JOINED)
		return 0;
	assert_true(node->size <= looker->size - node->offset);
	assert_ptr_equal(node->data, looker->data + node->offset);
	/* Flags that are cleared do not show. */
	if (is_number(node) && node->flavour != WIRE_FLAGS)
		assert_int_equal(node->value, value_of_bytes(node));
	return 0;
}

struct printed {
	struct wire_sink sink;
	char *text;
	size_t length, room;
};

static void put_printed(struct wire_sink *sink, const char *text, size_t length)
{
	struct printed *out = (struct printed *)sink;

	if (out->length + length + 1 > out->room) {
		out->room = (out->length + length + 1) * 2;
		out->text = realloc(out->text, out->room);
		assert_non_null(out->text);
	}
	memcpy(out->text + out->length, text, length);
	out->length += length;
	out->text[out->length] = '\0';
}

static struct printed print(const struct subject *subject, const void *data, size_t size, bool json)
{
	struct printed out = {.sink.put = put_printed};

	assert_int_equal((json ? wire_print_json : wire_print_text)(&subject->format, data, size,
								    NULL, &out.sink),
			 0);
	assert_true(out.length > 0);
	return out;
}

void assert_printed(const struct subject *subject, const void *data, size_t size)
{
	struct looker looker = {
		.walk = {.visit = look, .data = data, .size = size}, .data = data, .size = size};
	struct printed out;
	json_error_t error;
	json_t *json;

	assert_int_equal(subject->format.walk(data, size, NULL, &looker.walk), 0);
	assert_true(looker.values > 0);
	out = print(subject, data, size, false);
	free(out.text);
	out = print(subject, data, size, true);
	json = json_loadb(out.text, out.length, JSON_DECODE_INT_AS_REAL, &error);
	if (json == NULL)
		fail_msg("%s prints no JSON: %s at %d:%d", subject->format.format, error.text,
			 error.line, error.column);
	json_decref(json);
	free(out.text);
}

void assert_prints(const struct subject *subject, const void *data, size_t size, const char *text)
{
	struct printed out = print(subject, data, size, false);

	if (strstr(out.text, text) == NULL)
		fail_msg("'%s' is not in:\n%s", text, out.text);
	free(out.text);
}

/* ---- round trips and edits ---- */

void assert_round_trip(const struct subject *subject, const void *data, size_t size)
{
	struct image copy = duplicate(data, size);
	long length;

	memset(copy.data, 0xa5, size);
	length = subject->copy(copy.data, size, data, size);
	assert_true(length > 0 && (size_t)length <= size);
	assert_memory_equal(copy.data, data, (size_t)length);
	memcpy(copy.data, data, size);
	assert_true(subject->equal(copy.data, data, size));
	assert_int_equal(subject->format.seal(copy.data, size, NULL), 0);
	assert_memory_equal(copy.data, data, size);
	free(copy.data);
}

struct rewriter {
	struct wire_walk walk;
	const struct subject *subject;
	struct image copy;
	const uint8_t *data;
	char path[256];
	size_t lengths[16]; /* of the path, outside of each level */
	unsigned depth;
};

static void append_step(struct rewriter *rewriter, const struct wire_node *node)
{
	const size_t length = strlen(rewriter->path);
	char *end = rewriter->path + length;
	const size_t room = sizeof(rewriter->path) - length;

	if (node->name == NULL)
		snprintf(end, room, "[%llu]", (unsigned long long)node->index);
	else
		snprintf(end, room, "%s%s", length == 0 ? "" : ".", node->name);
}

static int rewrite_one(struct wire_walk *walk, const struct wire_node *node)
{
	struct rewriter *rewriter = (struct rewriter *)walk;
	const size_t length = strlen(rewriter->path);
	char value[32];

	if (node->event == WIRE_LEAVE) {
		rewriter->path[rewriter->lengths[--rewriter->depth]] = '\0';
		return 0;
	}
	append_step(rewriter, node);
	if (node->event == WIRE_ENTER) {
		assert_true(rewriter->depth < 16);
		rewriter->lengths[rewriter->depth++] = length;
		return 0;
	}
	if (is_number(node) && node->flavour != WIRE_JOINED) {
		snprintf(value, sizeof(value), node->kind == WIRE_SIGNED ? "%lld" : "%llu",
			 (long long)node->value);
		edit(rewriter->subject, rewriter->copy.data, rewriter->copy.size, rewriter->path,
		     value);
		assert_memory_equal(rewriter->copy.data, rewriter->data, rewriter->copy.size);
	}
	rewriter->path[length] = '\0';
	return 0;
}

void assert_rewritten(const struct subject *subject, const void *data, size_t size)
{
	struct rewriter rewriter = {.walk = {.visit = rewrite_one, .data = data, .size = size},
				    .subject = subject,
				    .copy = duplicate(data, size),
				    .data = data};

	assert_int_equal(subject->format.walk(data, size, NULL, &rewriter.walk), 0);
	free(rewriter.copy.data);
}

void edit(const struct subject *subject, void *data, size_t size, const char *path,
	  const char *value)
{
	struct wire_fault fault = {0};
	char text[512];
	const int result = wire_edit(&subject->format, data, size, NULL, path, value, &fault);

	if (result == 0)
		return;
	if (fault.rule == NULL)
		fail_msg("%s: %s = %s: %s", subject->format.format, path, value, strerror(-result));
	wire_fault_text(&fault, text, sizeof(text));
	fail_msg("%s: %s = %s: %s (%d)", subject->format.format, path, value, text, result);
}

void assert_sound(const struct subject *subject, const void *data, size_t size)
{
	assert_accepted(subject, data, size);
	assert_printed(subject, data, size);
	assert_round_trip(subject, data, size);
}

/* ---- damage ---- */

static int look_away(struct wire_walk *walk, const struct wire_node *node)
{
	volatile uint8_t sum = 0;

	(void)walk;
	for (uint64_t i = 0; node->event == WIRE_VALUE && node->data != NULL && i < node->size; i++)
		sum ^= node->data[i];
	return 0;
}

/* Whether it is refused. Nothing that is done with it may crash. */
static bool suffers(const struct subject *subject, const void *data, size_t size)
{
	struct wire_walk walk = {.visit = look_away, .data = data, .size = size};
	struct wire_fault fault;
	char text[256];
	const int result = subject->format.check(data, size, NULL, &fault);

	assert_true(result <= 0);
	if (result < 0)
		assert_true(wire_fault_text(&fault, text, sizeof(text)) > 0);
	subject->format.walk(data, size, NULL, &walk);
	return result < 0;
}

static bool is_covered(const struct range *covered, size_t at)
{
	for (; covered != NULL && covered->to != 0; covered++)
		if (at >= covered->from && at < covered->to)
			return true;
	return false;
}

size_t corrupt(const struct subject *subject, const void *data, size_t size, struct range where,
	       const struct range *covered)
{
	struct image copy = duplicate(data, size);
	size_t found = 0;

	assert_true(where.from < where.to && where.to <= size);
	for (size_t at = where.from; at < where.to; at++) {
		const uint8_t changes[] = {0xff, (uint8_t)(1U << at % 8)};

		for (unsigned i = 0; i < 2; i++) {
			bool refused;

			copy.data[at] ^= changes[i];
			refused = suffers(subject, copy.data, size);
			copy.data[at] ^= changes[i];
			found += refused;
			if (!refused && is_covered(covered, at))
				fail_msg("%s: byte %zu changed by %#x is not noticed",
					 subject->format.format, at, changes[i]);
		}
	}
	free(copy.data);
	print_message("%s: %zu of %zu changes refused\n", subject->format.format, found,
		      2 * (where.to - where.from));
	return found;
}

void truncate_all(const struct subject *subject, const void *data, size_t needed)
{
	for (size_t size = 0; size < needed; size++) {
		struct image cut = duplicate(data, size);

		if (!suffers(subject, cut.data, size))
			fail_msg("%s: cut to %zu of %zu bytes is not noticed",
				 subject->format.format, size, needed);
		free(cut.data);
	}
}
