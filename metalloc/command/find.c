/* SPDX-License-Identifier: MIT */
/*
 * Finding things: a program by its name, its profile, the library.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fail(const char *format, ...)
{
	va_list arguments;

	fputs("metalloc: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return 1;
}

void find_directory(char directory[static STORE_PATH])
{
	if (store_directory(directory, environ))
		return;
	fail("neither METALLOC_DIR nor XDG_STATE_HOME nor HOME is an absolute path");
	exit(1);
}

int read_store(const char *path, struct store *store)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = read(fd, store, sizeof(*store));
	close(fd);
	if (got != (ssize_t)sizeof(*store) || !store_head_is_valid(&store->pages[0].head, NULL))
		return -EBADMSG;
	return 0;
}

/** As execvp() looks for it. */
static bool find_program(const char *program, char found[static STORE_PATH])
{
	const char *places = getenv("PATH");

	if (strchr(program, '/') != NULL || places == NULL) {
		snprintf(found, STORE_PATH, "%s", program);
		return true;
	}
	while (*places != '\0') {
		const size_t length = strcspn(places, ":");

		snprintf(found, STORE_PATH, "%.*s/%s", (int)length, places, program);
		if (length != 0 && access(found, X_OK) == 0)
			return true;
		places += length + (places[length] == ':');
	}
	return false;
}

int find_profile(const char *program, const char *script, char path[static STORE_PATH],
		 struct store *store)
{
	char directory[STORE_PATH], file[STORE_PATH];
	struct identity identity;
	int error;

	find_directory(directory);
	if (!find_program(program, file))
		return fail("%s: there is no such program in PATH", program);
	error = identify_file(&identity, file, script);
	if (error != 0)
		return fail("%s: %s", file, strerror(-error));
	if (!store_path(path, directory, identity.key))
		return fail("%s: the path of the profile is too long", directory);
	error = read_store(path, store);
	if (error == -ENOENT)
		return fail(
			"%s has no profile: run it with `metalloc run` first; programs that use "
			"less than 256 KiB get none",
			program);
	if (error == -EBADMSG)
		return fail(
			"%s: damaged, or of another version; `metalloc profile forget` removes it",
			path);
	return error == 0 ? 0 : fail("%s: %s", path, strerror(-error));
}

const char *find_library(void)
{
	static char built[STORE_PATH];
	const ssize_t length = readlink("/proc/self/exe", built, sizeof(built) - 1);
	const char *const suffix = "/../libmetalloc.so.0";
	char *slash;

	if (length > 0) {
		built[length] = '\0';
		slash = strrchr(built, '/');
		if (slash != NULL && (size_t)(slash - built) + strlen(suffix) < sizeof(built)) {
			memcpy(slash, suffix, strlen(suffix) + 1);
			if (access(built, R_OK) == 0)
				return built;
		}
	}
	return METALLOC_LIBRARY;
}

const char *bytes_text(uint64_t bytes, char text[static 32])
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	unsigned unit = 0;

	for (; value >= 1024 && unit < 4; unit++)
		value /= 1024;
	snprintf(text, 32, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return text;
}
