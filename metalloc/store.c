/* SPDX-License-Identifier: MIT */
/*
 * The database of profiles; see store.h.
 *
 *	a page for a process' record:  free ── store_claim() ──▶ written ── store_merge(), at exit
 *──▶ free └─ store_recover(), by a later process
 *
 * A file is opened before main() only; from then on all is memory. Files are the user's own, or
 *they are not looked at. What is in them is believed within bounds: nothing in a file is an address
 *or a length.
 */
#include "store.h"
#include "text.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The last executions count for so much. */
#define WEIGHT 8u

bool store_directory(char path[static STORE_PATH], char *const environment[])
{
	static const char places[][2][24] = {
		{"METALLOC_DIR", ""},
		{"XDG_STATE_HOME", "/metalloc"},
		{"HOME", "/.local/state/metalloc"},
	};

	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(places); i++) {
		const char *const place = text_variable(environment, places[i][0]);

		path[0] = '\0';
		if (place != NULL && place[0] == '/')
			return text_append(path, STORE_PATH, place) &&
			       text_append(path, STORE_PATH, places[i][1]);
	}
	return false;
}

bool store_path(char path[static STORE_PATH], const char *directory, const uint8_t key[STORE_KEY])
{
	static const char digits[] = "0123456789abcdef";
	char name[2 * STORE_KEY + 2] = "/";

	for (unsigned i = 0; i < STORE_KEY; i++) {
		name[1 + 2 * i] = digits[key[i] >> 4];
		name[2 + 2 * i] = digits[key[i] & 15];
	}
	path[0] = '\0';
	return text_append(path, STORE_PATH, directory) && text_append(path, STORE_PATH, name);
}

bool store_head_is_valid(const struct store_head *head, const uint8_t *key)
{
	return head->magic == STORE_MAGIC && head->bytes == STORE_BYTES &&
	       head->record_bytes == sizeof(struct record) && head->name[STORE_NAME - 1] == '\0' &&
	       (key == NULL || memcmp(head->key, key, STORE_KEY) == 0) &&
	       choice_is_valid(&head->choice);
}

/** Nobody else could have written it. */
static bool is_trusted(const struct stat *file)
{
	return S_ISREG(file->st_mode) && (file->st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
	       (file->st_uid == geteuid() || file->st_uid == 0);
}

static int read_head(int fd, const uint8_t *key, struct store_head *head)
{
	struct stat file;

	if (fstat(fd, &file) != 0)
		return -errno;
	if (!is_trusted(&file))
		return -EPERM;
	if (file.st_size != STORE_BYTES || pread(fd, head, sizeof(*head), 0) != sizeof(*head) ||
	    !store_head_is_valid(head, key))
		return -EBADMSG;
	return 0;
}

static int map_store(int fd, struct store **map)
{
	void *const mapping = mmap(NULL, STORE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mapping == MAP_FAILED)
		return -errno;
	*map = mapping;
	return 0;
}

static bool is_to_be_recorded(const struct store_head *head)
{
	const unsigned char *const chance = (const void *)getauxval(AT_RANDOM);

	return head->stable < STORE_CONVERGED || (chance != NULL && *chance % STORE_SAMPLED == 0);
}

int store_open(const char *path, const uint8_t *key, struct store_head *head, struct store **map)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	int error;

	if (fd < 0 && (errno == EACCES || errno == EROFS)) {
		map = NULL;
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	}
	if (fd < 0)
		return -errno;
	error = read_head(fd, key, head);
	if (error == 0 && map != NULL && is_to_be_recorded(head))
		map_store(fd, map);
	close(fd);
	return error;
}

/** Each part that is missing, but for the first two: a home that is not there is not made. */
static void make_directories(const char *directory)
{
	char path[STORE_PATH] = "";

	for (size_t i = 1; i < STORE_PATH - 1 && directory[i] != '\0'; i++) {
		if (directory[i] != '/')
			continue;
		memcpy(path, directory, i);
		path[i] = '\0';
		mkdir(path, 0700);
	}
	mkdir(directory, 0700);
}

/** Writes all of it, so that no access to the mapping can lack space later. */
static int write_new(int fd, const struct identity *identity)
{
	static const union store_page nothing;
	union store_page page = {.head = {.magic = STORE_MAGIC, .bytes = STORE_BYTES}};
	const struct record empty = {0};

	page.head.record_bytes = sizeof(struct record);
	memcpy(page.head.key, identity->key, STORE_KEY);
	memcpy(page.head.name, identity->name, STORE_NAME);
	choice_make(&empty, &page.head.choice);
	for (unsigned i = 0; i < 2 + STORE_SLOTS; i++)
		if (pwrite(fd, i == 0 ? &page : &nothing, STORE_PAGE, (off_t)i * STORE_PAGE) !=
		    STORE_PAGE)
			return -EIO;
	return 0;
}

static bool may_write(void)
{
	struct rlimit most;

	return getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur >= STORE_BYTES;
}

/** Under a name of its own first: others see it whole or not at all. */
static int make_file(const char *path, const struct identity *identity)
{
	char other[STORE_PATH] = "", number[16] = ".";
	unsigned digits = 1;
	int fd, error;

	for (unsigned left = (unsigned)getpid(); left != 0; left /= 10)
		number[digits++] = (char)('0' + left % 10);
	if (!may_write() || !text_append(other, STORE_PATH, path) ||
	    !text_append(other, STORE_PATH, number))
		return -EFBIG;
	fd = open(other, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	error = write_new(fd, identity);
	close(fd);
	if (error == 0 && link(other, path) != 0 && errno != EEXIST)
		error = -errno;
	unlink(other);
	return error;
}

int store_create(const char *directory, const struct identity *identity, struct store **map)
{
	struct store_head head;
	char path[STORE_PATH];
	int error;

	if (!store_path(path, directory, identity->key))
		return -ENAMETOOLONG;
	error = store_open(path, identity->key, &head, map);
	if (error != -ENOENT)
		return error;
	error = make_file(path, identity);
	if (error == -ENOENT) {
		make_directories(directory);
		error = make_file(path, identity);
	}
	return error != 0 ? error : store_open(path, identity->key, &head, map);
}

static bool is_gone(uint32_t process)
{
	return process > INT32_MAX || (kill((pid_t)process, 0) != 0 && errno == ESRCH);
}

/** Only one merges at a time; who cannot have it leaves its record to a later process. */
static bool begin_merge(struct store_head *head)
{
	uint32_t holder = 0;

	for (unsigned i = 0; i < 100; i++) {
		if (atomic_compare_exchange_strong(&head->merging, &holder, (uint32_t)getpid()))
			return true;
		if (!is_gone(holder))
			holder = 0;
	}
	return false;
}

/** More than anybody counts, and little enough to be added up. */
#define MOST (INT64_MAX / 2)

static void weigh(_Atomic uint64_t *merged, const _Atomic uint64_t *run, int64_t weight)
{
	const int64_t old = (int64_t)(*merged & MOST), new = (int64_t)(*run & MOST);

	*merged = (uint64_t)(old + (new - old + (new > old ? weight - 1 : 0)) / weight);
}

void store_weigh(struct record *merged, const struct record *run, uint32_t runs)
{
	const int64_t weight = (int64_t)base_min((uint64_t)runs + 1, WEIGHT);

	weigh(&merged->threads, &run->threads, weight);
	weigh(&merged->foreign, &run->foreign, weight);
	weigh(&merged->peak_bytes, &run->peak_bytes, weight);
	if (run->resident_bytes != 0)
		merged->resident_bytes = run->resident_bytes;
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		weigh(&merged->allocated[i], &run->allocated[i], weight);
		weigh(&merged->carved[i], &run->carved[i], weight);
	}
	for (unsigned i = 0; i < RECORD_LIVES; i++)
		merged->lives[i] = merged->lives[i] / 2 + run->lives[i] / 2 + run->lives[i] % 2;
	for (unsigned i = 0; i < RECORD_BIG; i++) {
		weigh(&merged->big_allocated[i], &run->big_allocated[i], weight);
		weigh((_Atomic uint64_t *)&merged->big_peak[i],
		      (const _Atomic uint64_t *)&run->big_peak[i], weight);
	}
	/* The picture is that of the last execution: a mean of several would show none. */
	merged->started_ns = run->started_ns;
	merged->seen_ns = run->seen_ns;
	merged->epoch_ns = run->epoch_ns;
	memcpy((char *)merged->epochs, (const char *)run->epochs, sizeof(run->epochs));
}

/** Whether two choices differ in more than numbers that move a little each time. */
static bool is_another(const struct choice *a, const struct choice *b)
{
	return a->flags != b->flags || memcmp(a->ways, b->ways, sizeof(a->ways)) != 0 ||
	       a->expected_bytes / 2 > b->expected_bytes ||
	       b->expected_bytes / 2 > a->expected_bytes;
}

void store_merge(struct store *store, unsigned slot)
{
	struct store_head *const head = &store->pages[0].head;
	struct record *const merged = &store->pages[1].record;
	struct choice choice;

	if (!begin_merge(head))
		return;
	store_weigh(merged, &store->pages[2 + slot].record, head->runs);
	choice_make(merged, &choice);
	head->stable = is_another(&choice, &head->choice) ? 0 : head->stable + 1;
	head->choice = choice;
	head->runs++;
	memset(store->pages[2 + slot].bytes, 0, STORE_PAGE);
	atomic_store(&head->writers[slot], 0);
	atomic_store(&head->merging, 0);
}

void store_recover(struct store *store)
{
	struct store_head *const head = &store->pages[0].head;

	for (unsigned i = 0; i < STORE_SLOTS; i++) {
		const uint32_t writer = head->writers[i];

		if (writer != 0 && is_gone(writer))
			store_merge(store, i);
	}
}

int store_claim(struct store *store)
{
	struct store_head *const head = &store->pages[0].head;

	for (unsigned i = 0; i < STORE_SLOTS; i++) {
		uint32_t nobody = 0;

		if (atomic_compare_exchange_strong(&head->writers[i], &nobody,
						   (uint32_t)getpid())) {
			memset(store->pages[2 + i].bytes, 0, STORE_PAGE);
			return (int)i;
		}
	}
	return -1;
}

int store_read_choice(const char *path, struct choice *choice)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat file;
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &file) != 0 || !is_trusted(&file))
		error = -EPERM;
	else if (file.st_size != sizeof(*choice) ||
		 pread(fd, choice, sizeof(*choice), 0) != sizeof(*choice) ||
		 !choice_is_valid(choice))
		error = -EBADMSG;
	close(fd);
	return error;
}
