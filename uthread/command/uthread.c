/* SPDX-License-Identifier: MIT */
/*
 * uthread: runs a program with its threads as userland threads, by preloading libuthread-preload.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY         "libuthread-preload.so"
#define EXIT_CANNOT_RUN 127
#define EXIT_WRONG_USE  2

static const char help[] =
	"usage: uthread run [--report] [--workers N] [--share-tls] PROGRAM [ARGUMENT]...\n"
	"\n"
	"Runs PROGRAM with userland threads in place of its threads.\n"
	"\n"
	"  --report      tell at its end, on standard error, what became of its threads\n"
	"  --workers N   let N threads of the kernel carry them; 1\n"
	"  --share-tls   carry it though it has thread-local variables\n";

static int refuse(const char *what, const char *word)
{
	fprintf(stderr, "uthread: %s: %s; see 'uthread --help'\n", word, what);
	return EXIT_WRONG_USE;
}

/** Beside this program, as in a build, or where it is installed. */
static int find_library(char *path, size_t bytes)
{
	static const char *const places[] = {"preload/" LIBRARY, "../preload/" LIBRARY,
					     UTHREAD_LIBRARY_FOLDER "/" LIBRARY};
	char own[PATH_MAX];
	const ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *end;

	if (length < 0)
		return -errno;
	own[length] = 0;
	end = strrchr(own, '/') + 1;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		*end = 0;
		if ((size_t)snprintf(path, bytes, "%s%s", places[i][0] == '/' ? "" : own,
				     places[i]) < bytes &&
		    access(path, R_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

static int preload(void)
{
	const char *const before = getenv("LD_PRELOAD");
	char library[PATH_MAX * 2], words[PATH_MAX * 4];

	if (find_library(library, sizeof(library)) != 0) {
		fprintf(stderr, "uthread: %s: not found beside this program nor in %s\n", LIBRARY,
			UTHREAD_LIBRARY_FOLDER);
		return EXIT_CANNOT_RUN;
	}
	if (before != NULL && before[0] != 0)
		snprintf(words, sizeof(words), "%s:%s", library, before);
	else
		snprintf(words, sizeof(words), "%s", library);
	return setenv("LD_PRELOAD", words, 1) == 0 ? 0 : EXIT_CANNOT_RUN;
}

static int set_workers(const char *word)
{
	char *end = NULL;
	const unsigned long count = word != NULL ? strtoul(word, &end, 10) : 0;

	if (word == NULL || *end != 0 || count < 1 || count > 1024)
		return refuse("--workers takes a number from 1 to 1024",
			      word != NULL ? word : "nothing");
	return setenv("UTHREAD_PRELOAD_WORKERS", word, 1) == 0 ? 0 : EXIT_CANNOT_RUN;
}

/** Takes the options of `run`; the index of the program in *@at. */
static int take_options(int count, char **words, int *at)
{
	int result = 0;

	for (*at = 2; *at < count && words[*at][0] == '-' && result == 0; ++*at) {
		const char *const word = words[*at];

		if (strcmp(word, "--") == 0) {
			++*at;
			break;
		}
		if (strcmp(word, "--report") == 0)
			setenv("UTHREAD_PRELOAD_REPORT", "1", 1);
		else if (strcmp(word, "--share-tls") == 0)
			setenv("UTHREAD_PRELOAD_SHARE_TLS", "1", 1);
		else if (strcmp(word, "--workers") == 0)
			result = set_workers(++*at < count ? words[*at] : NULL);
		else
			result = refuse("there is no such option", word);
	}
	if (result == 0 && *at >= count)
		result = refuse("a program has to follow", "run");
	return result;
}

int main(int count, char **words)
{
	int at, result;

	if (count == 2 && (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0)) {
		fputs(help, stdout);
		return 0;
	}
	if (count < 2 || strcmp(words[1], "run") != 0)
		return refuse("'run' is what there is", count < 2 ? "nothing" : words[1]);
	result = take_options(count, words, &at);
	if (result == 0)
		result = preload();
	if (result != 0)
		return result;
	execvp(words[at], words + at);
	fprintf(stderr, "uthread: %s: %s\n", words[at], strerror(errno));
	return errno == ENOENT ? EXIT_CANNOT_RUN : EXIT_CANNOT_RUN - 1;
}
