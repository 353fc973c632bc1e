/* SPDX-License-Identifier: MIT */
/*
 * Before main() and after exit(): which program this is, how it is to be served, and whether this
 * execution is recorded.
 *
 * Looking up takes opening one small file. A record is begun only when the process has used some
 * memory, which most processes never do; it is written to a shared mapping, so that neither _exit()
 * nor SIGKILL loses it, and merged at exit, or else by a later execution.
 *
 * A program that is executed with more rights than its user has (AT_SECURE) looks at nothing that
 * the user could have written.
 */
#include "metalloc_internal.h"
#include "profile.h"
#include "store.h"
#include "text.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static struct {
	struct identity identity;
	char directory[STORE_PATH];
	struct store *store;
	/** The page of this process' record, or -1. */
	int slot;
} recording = {.slot = -1};

/** The record is the parent's. */
static void stop_in_child(void)
{
	profile_move_back();
	recording.slot = -1;
}

static void begin(void)
{
	const int saved_errno = errno;

	if (recording.store == NULL &&
	    store_create(recording.directory, &recording.identity, &recording.store) != 0)
		recording.store = NULL;
	if (recording.store != NULL) {
		recording.slot = store_claim(recording.store);
		if (recording.slot >= 0) {
			profile_move(&recording.store->pages[2 + recording.slot].record);
			pthread_atfork(NULL, NULL, stop_in_child);
		}
	}
	errno = saved_errno;
}

/** "DIRECTORY/NAME", for seeds. */
static bool follow_seed(const char *directory, const char *name)
{
	struct choice choice;
	char path[STORE_PATH] = "";

	if (name[0] == '\0' || !text_append(path, sizeof(path), directory) ||
	    !text_append(path, sizeof(path), "/") || !text_append(path, sizeof(path), name) ||
	    store_read_choice(path, &choice) != 0)
		return false;
	choice_follow(&choice);
	return true;
}

static void follow_seeds(void)
{
	if (!follow_seed(METALLOC_SEEDS_LOCAL, recording.identity.name))
		follow_seed(METALLOC_SEEDS, recording.identity.name);
}

/** METALLOC_CHOICE: everything in one way, or "hardened", or "none"; whether it was given. */
static bool follow_environment(char *const environment[])
{
	const char *const given = text_variable(environment, "METALLOC_CHOICE");
	struct choice choice = {.expected_bytes = UINT64_C(1) << 30};
	int way;

	if (given == NULL)
		return false;
	way = choice_way_named(given);
	if (text_equals(given, "hardened"))
		choice.flags = CHOICE_HARDENED;
	else if (text_equals(given, "huge"))
		choice.flags = CHOICE_HUGE;
	else if (text_equals(given, "whole"))
		memset(choice.ways, CHOICE_LISTS | CHOICE_WHOLE, sizeof(choice.ways));
	else if (way > 0)
		memset(choice.ways, way, sizeof(choice.ways));
	else
		return true;
	choice_follow(&choice);
	return true;
}

static void look_up(char *const environment[])
{
	struct store_head head;
	char path[STORE_PATH];
	const bool given = follow_environment(environment);
	const bool stored = store_directory(recording.directory, environment) &&
			    store_path(path, recording.directory, recording.identity.key);
	const int error = stored ? store_open(path, recording.identity.key, &head, &recording.store)
				 : -ENOENT;

	if (!given && error == 0 && head.runs != 0)
		choice_follow(&head.choice);
	else if (!given)
		follow_seeds();
	if (recording.store != NULL)
		store_recover(recording.store);
	if (stored && (recording.store != NULL || error == -ENOENT))
		atomic_store(&metalloc_begin_record, begin);
}

static __attribute__((constructor)) void start(int count, char **arguments, char **environment)
{
	const int saved_errno = errno;

	identify(&recording.identity, count, arguments);
	if (getauxval(AT_SECURE) != 0)
		follow_seeds();
	else
		look_up(environment);
	errno = saved_errno;
}

/** As much of the peak as is in memory of what was used; with huge pages that would tell nothing.
 */
static void note_resident(struct record *record)
{
	uint64_t written_bytes, resident_bytes, kept_bytes;

	if (metalloc_policy.huge || metalloc_policy.huge_large ||
	    record->peak_bytes < CHOICE_HUGE_FROM_BYTES)
		return;
	resident_bytes = units_resident(&written_bytes) + pages_resident(&kept_bytes);
	written_bytes += kept_bytes;
	if (written_bytes != 0)
		record->resident_bytes =
			(uint64_t)((double)record->peak_bytes *
				   ((double)resident_bytes / (double)written_bytes));
}

static __attribute__((destructor)) void end(void)
{
	const int slot = recording.slot;

	if (slot < 0)
		return;
	recording.slot = -1;
	if (metalloc_thread.heap != NULL)
		profile_flush(metalloc_thread.heap);
	note_resident(&recording.store->pages[2 + slot].record);
	profile_move_back();
	store_merge(recording.store, (unsigned)slot);
}
