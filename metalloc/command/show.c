/* SPDX-License-Identifier: MIT */
/*
 * metalloc profile: what is in the database.
 */
#include "command.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_key(const char *name)
{
	return strlen(name) == 2 * STORE_KEY && strspn(name, "0123456789abcdef") == 2 * STORE_KEY;
}

/** Calls @visit with each file of the database that has the name of one; the number of them. */
static unsigned for_each_file(void (*visit)(const char *path))
{
	char directory[STORE_PATH], path[STORE_PATH + 64];
	const struct dirent *entry;
	unsigned count = 0;
	DIR *files;

	find_directory(directory);
	files = opendir(directory);
	if (files == NULL)
		return 0;
	while ((entry = readdir(files)) != NULL) {
		if (!is_key(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		visit(path);
		count++;
	}
	closedir(files);
	return count;
}

static void list(const char *path)
{
	char peak[32];
	struct store store;
	const struct store_head *const head = &store.pages[0].head;

	if (read_store(path, &store) != 0) {
		printf("%-20s damaged: %s\n", "?", path);
		return;
	}
	printf("%-20s %8" PRIu32 " %10s %-10s %s\n", head->name, head->runs,
	       bytes_text(store.pages[1].record.peak_bytes, peak),
	       head->stable >= STORE_CONVERGED ? "converged" : "learning", strrchr(path, '/') + 1);
}

static void print_classes(const struct store *store)
{
	const struct record *const merged = &store->pages[1].record;
	const struct choice *const choice = &store->pages[0].head.choice;

	printf("%8s %14s %14s  %s\n", "bytes", "allocations", "most live", "served by");
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		if (merged->allocated[i] != 0)
			printf("%8zu %14" PRIu64 " %14" PRIu64 "  %s%s\n", class_bytes(i),
			       merged->allocated[i], merged->carved[i],
			       choice_way_name(choice->ways[i]),
			       choice->ways[i] & CHOICE_WHOLE ? ", whole groups" : "");
	for (unsigned i = 0; i < RECORD_BIG; i++)
		if (merged->big_allocated[i] != 0)
			printf("%7uK+ %14" PRIu64 " %14" PRId64 "  %s\n", 28u << i,
			       merged->big_allocated[i], merged->big_peak[i],
			       i < 8 ? "big" : "pages");
}

static int show(int count, char *words[])
{
	char path[STORE_PATH];
	struct store store;

	if (count == 0) {
		printf("%-20s %8s %10s %-10s %s\n", "program", "runs", "peak", "", "file");
		printf("%u profiles\n", for_each_file(list));
		return 0;
	}
	if (count > 2)
		return EXIT_USAGE;
	if (find_profile(words[0], count > 1 ? words[1] : NULL, path, &store) != 0)
		return 1;
	list(path);
	print_classes(&store);
	return 0;
}

static int diff(int count, char *words[])
{
	char paths[2][STORE_PATH];
	struct store stores[2];

	if (count != 2)
		return EXIT_USAGE;
	for (unsigned i = 0; i < 2; i++)
		if (find_profile(words[i], NULL, paths[i], &stores[i]) != 0)
			return 1;
	printf("%8s %14s %14s  %-20s %s\n", "bytes", words[0], words[1], "served by", "and by");
	for (unsigned i = 1; i < CLASS_COUNT; i++) {
		const struct record *const a = &stores[0].pages[1].record;
		const struct record *const b = &stores[1].pages[1].record;

		if (a->allocated[i] != b->allocated[i])
			printf("%8zu %14" PRIu64 " %14" PRIu64 "  %-20s %s\n", class_bytes(i),
			       a->allocated[i], b->allocated[i],
			       choice_way_name(stores[0].pages[0].head.choice.ways[i]),
			       choice_way_name(stores[1].pages[0].head.choice.ways[i]));
	}
	return 0;
}

static void forget_file(const char *path)
{
	if (unlink(path) != 0)
		fail("%s: %s", path, strerror(errno));
}

static int forget(int count, char *words[])
{
	char path[STORE_PATH];
	struct store store;

	if (count == 1 && strcmp(words[0], "--all") == 0) {
		printf("%u profiles forgotten\n", for_each_file(forget_file));
		return 0;
	}
	if (count < 1 || count > 2)
		return EXIT_USAGE;
	if (find_profile(words[0], count > 1 ? words[1] : NULL, path, &store) != 0 &&
	    access(path, F_OK) != 0)
		return 1;
	return unlink(path) == 0 ? 0 : fail("%s: %s", path, strerror(errno));
}

int command_profile(int count, char *words[])
{
	if (count < 1)
		return EXIT_USAGE;
	if (strcmp(words[0], "show") == 0)
		return show(count - 1, words + 1);
	if (strcmp(words[0], "diff") == 0)
		return diff(count - 1, words + 1);
	if (strcmp(words[0], "forget") == 0)
		return forget(count - 1, words + 1);
	return EXIT_USAGE;
}
