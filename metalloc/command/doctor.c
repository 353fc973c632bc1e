/* SPDX-License-Identifier: MIT */
/*
 * metalloc doctor: whether everything is as it should be, and what is ignored for which reason.
 */
#include "command.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned complaints;

static void complain(const char *path, const char *what)
{
	printf("%s: %s\n", path, what);
	complaints++;
}

static void check_library(void)
{
	const char *const library = find_library();

	if (access(library, R_OK) != 0)
		complain(library, strerror(errno));
	else
		printf("library: %s\n", library);
}

static void check_file(const char *path)
{
	struct stat file;
	struct store store;
	int error;

	if (lstat(path, &file) != 0) {
		complain(path, strerror(errno));
		return;
	}
	if (!S_ISREG(file.st_mode)) {
		complain(path, "ignored: not a regular file");
		return;
	}
	if ((file.st_uid != geteuid() && file.st_uid != 0) || (file.st_mode & 022) != 0) {
		complain(path, "ignored: somebody else could have written it");
		return;
	}
	error = file.st_size == STORE_BYTES ? read_store(path, &store) : -EBADMSG;
	if (error == -EBADMSG)
		complain(path, "ignored: damaged, or of another version");
	else if (error != 0)
		complain(path, strerror(-error));
}

static void check_seed(const char *path)
{
	struct choice choice;
	const int error = store_read_choice(path, &choice);

	if (error == -EBADMSG)
		complain(path, "ignored: not a seed of this version");
	else if (error == -EPERM)
		complain(path, "ignored: somebody else could have written it");
	else if (error != 0)
		complain(path, strerror(-error));
}

static void check_all(const char *directory, const char *what, void (*check)(const char *path))
{
	DIR *const files = opendir(directory);
	char path[STORE_PATH + 300];
	const struct dirent *entry;
	unsigned count = 0;

	if (files == NULL) {
		printf("%s: %s: %s\n", what, directory, strerror(errno));
		return;
	}
	while ((entry = readdir(files)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		check(path);
		count++;
	}
	closedir(files);
	printf("%s: %u in %s\n", what, count, directory);
	if (check == check_file && access(directory, W_OK) != 0)
		complain(directory, "not writable: nothing is recorded");
}

static void check_huge_pages(void)
{
	FILE *const file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	char line[64] = "";

	if (file != NULL) {
		if (fgets(line, sizeof(line), file) == NULL)
			line[0] = '\0';
		fclose(file);
	}
	if (strstr(line, "[never]") != NULL || line[0] == '\0')
		printf("huge pages: this kernel gives none\n");
	else
		printf("huge pages: %s", line);
}

int command_doctor(int count, char *words[])
{
	char directory[STORE_PATH];

	(void)words;
	if (count != 0)
		return EXIT_USAGE;
	find_directory(directory);
	check_library();
	check_all(directory, "profiles", check_file);
	check_all(METALLOC_SEEDS_LOCAL, "seeds of this machine", check_seed);
	check_all(METALLOC_SEEDS, "seeds that came with metalloc", check_seed);
	check_huge_pages();
	if (complaints == 0)
		printf("all is well\n");
	else
		printf("%u to look at\n", complaints);
	return complaints != 0;
}
