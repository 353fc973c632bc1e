/* SPDX-License-Identifier: MIT */
/*
 * wirec: what was asked for on the command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wirec.h"

enum {
	EXIT_REFUSED = 1,
	EXIT_USAGE = 2,
	EXIT_FILES = 3
};

/** Options without a letter of their own. */
enum {
	OPTION_CAPS = 256,
	OPTION_IOCTLS
};

/** The largest source that is read. */
#define MAX_SOURCE_BYTES (64 << 20)

struct options {
	const char *folder, *depfile, *source;
	const char *old; /* of --diff */
	struct header_check header;
	bool list, check, diff;
};

static const char usage[] =
	"usage: wirec [-I DIR]... [--caps | --ioctls] [--depfile FILE] [--check] -o OUTDIR "
	"FILE.wire\n"
	"       wirec [-I DIR]... [--caps | --ioctls] --list-outputs FILE.wire\n"
	"       wirec [-I DIR]... --diff OLD.wire NEW.wire\n"
	"       wirec [-I DIR]... --check-header FILE.h --struct NAME [--as S] [--cc CC] "
	"FILE.wire\n";

/* ---- files ---- */

static const char *read_stream(struct arena *arena, FILE *file, size_t *length)
{
	struct text text = {0};
	const char *copy = NULL;
	char buffer[8192];
	size_t got;

	while ((got = fread(buffer, 1, sizeof(buffer), file)) > 0 && text.length < MAX_SOURCE_BYTES)
		text_put(&text, buffer, got);
	if (ferror(file) || got > 0)
		errno = ferror(file) ? EIO : EFBIG;
	else
		copy = arena_copy(arena, text.data, text.length);
	*length = text.length;
	text_finish(&text);
	return copy;
}

static const char *read_file(struct arena *arena, const char *path, size_t *length)
{
	FILE *file = fopen(path, "re");
	const char *data;
	struct stat status;

	if (file == NULL)
		return NULL;
	if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode)) {
		fclose(file);
		errno = EISDIR;
		return NULL;
	}
	data = read_stream(arena, file, length);
	fclose(file);
	return data;
}

static bool has_content(struct compiler *c, const char *path, const struct text *text)
{
	size_t length;
	const char *data = read_file(&c->arena, path, &length);

	return data != NULL && length == text->length && memcmp(data, text->data, length) == 0;
}

/* In place only once it is whole, so that a build never sees half a file. */
static int write_file(struct compiler *c, const char *path, const struct text *text)
{
	const char *temporary = arena_format(&c->arena, "%s.%ld.new", path, (long)getpid());
	FILE *file = fopen(temporary, "we");
	bool good;

	if (file == NULL)
		return -errno;
	good = fwrite(text->data, 1, text->length, file) == text->length;
	good = fclose(file) == 0 && good;
	if (good && rename(temporary, path) == 0)
		return 0;
	unlink(temporary);
	return errno != 0 ? -errno : -EIO;
}

static int fail_file(const char *path, int error)
{
	fprintf(stderr, "wirec: %s: %s\n", path, strerror(-error));
	return EXIT_FILES;
}

/* ---- what can be asked for ---- */

static int list_outputs(struct compiler *c, const struct options *options)
{
	const char *slash = strrchr(options->source, '/');
	const char *name = slash == NULL ? options->source : slash + 1;
	const size_t length = strlen(name);
	const bool has_suffix = length > 5 && strcmp(name + length - 5, ".wire") == 0;
	const struct unit unit = {
		.base = arena_copy(&c->arena, name, has_suffix ? length - 5 : length)};

	for (unsigned i = 0; output_name(c, &unit, i) != NULL; i++)
		printf("%s\n", output_name(c, &unit, i));
	return 0;
}

/* Make takes "$", " " and "#" for its own otherwise. */
static void put_escaped(struct text *text, const char *path)
{
	for (; *path != '\0'; path++) {
		if (*path == ' ' || *path == '#' || *path == '\\')
			text_put(text, "\\", 1);
		if (*path == '$')
			text_put(text, "$", 1);
		text_put(text, path, 1);
	}
}

static int write_depfile(struct compiler *c, const struct options *options, const struct unit *unit)
{
	struct text text = {0};
	int error;

	for (unsigned i = 0; output_name(c, unit, i) != NULL; i++) {
		text_format(&text, "%s", i == 0 ? "" : " ");
		put_escaped(&text, arena_format(&c->arena, "%s/%s", options->folder,
						output_name(c, unit, i)));
	}
	text_format(&text, ":");
	for (const struct unit *other = c->units; other != NULL; other = other->next) {
		text_format(&text, " ");
		put_escaped(&text, other->source.path);
	}
	text_format(&text, "\n");
	error = has_content(c, options->depfile, &text) ? 0
							: write_file(c, options->depfile, &text);
	text_finish(&text);
	return error == 0 ? 0 : fail_file(options->depfile, error);
}

static int put_output(struct compiler *c, const struct options *options, const char *name,
		      const struct text *text)
{
	const char *path = arena_format(&c->arena, "%s/%s", options->folder, name);
	int error;

	if (has_content(c, path, text))
		return 0;
	if (options->check) {
		fprintf(stderr, "wirec: %s is not what %s gives\n", path, options->source);
		return EXIT_REFUSED;
	}
	error = write_file(c, path, text);
	return error == 0 ? 0 : fail_file(path, error);
}

static int put_outputs(struct compiler *c, const struct options *options, struct unit *unit)
{
	struct text outputs[WIREC_OUTPUTS] = {{0}};
	int result = emit_all(c, unit, outputs) ? 0 : EXIT_REFUSED;

	for (unsigned i = 0; output_name(c, unit, i) != NULL; i++) {
		int one;

		if (result == EXIT_FILES || c->errors != 0)
			break;
		one = put_output(c, options, output_name(c, unit, i), &outputs[i]);

		result = one > result ? one : result;
	}
	for (unsigned i = 0; i < WIREC_OUTPUTS; i++)
		text_finish(&outputs[i]);
	return result;
}

static int check_against_header(struct compiler *c, const struct options *options,
				const struct unit *unit)
{
	struct header_check what = options->header;
	int result;

	what.as = what.as != NULL ? what.as : what.name;
	what.cc = what.cc != NULL ? what.cc : "cc";
	result = check_header(c, unit, &what);
	if (result < 0)
		return EXIT_FILES;
	return result != 0 ? EXIT_REFUSED : 0;
}

static int fail_compilation(const struct compiler *c)
{
	return c->errors != 0 ? EXIT_REFUSED : EXIT_FILES;
}

static int diff(struct compiler *c, const struct options *options)
{
	struct compiler old = {
		.read = read_file, .folders = c->folders, .folder_count = c->folder_count};
	const struct unit *before = compile(&old, options->old);
	const struct unit *after = before != NULL ? compile(c, options->source) : NULL;
	struct text out = {0};
	int result = 0;

	if (before == NULL)
		result = fail_compilation(&old);
	else if (after == NULL)
		result = fail_compilation(c);
	else if (diff_descriptions(&old, before, c, after, &out) != 0)
		result = EXIT_REFUSED;
	if (out.length != 0)
		fputs(out.data, stdout);
	text_put(&c->messages, old.messages.data, old.messages.length);
	if (c->messages.length != 0)
		fputs(c->messages.data, stderr);
	text_finish(&out);
	compiler_finish(&old);
	return result;
}

static int run(struct compiler *c, const struct options *options)
{
	struct unit *unit;
	int result;

	if (options->list)
		return list_outputs(c, options);
	if (options->diff)
		return diff(c, options);
	unit = compile(c, options->source);
	if (unit == NULL)
		result = fail_compilation(c);
	else if (options->header.header != NULL)
		result = check_against_header(c, options, unit);
	else
		result = put_outputs(c, options, unit);
	if (c->messages.length != 0)
		fputs(c->messages.data, stderr);
	if (result == 0 && options->depfile != NULL)
		result = write_depfile(c, options, unit);
	return result;
}

/* ---- the command line ---- */

static void add_folder(struct compiler *c, const char *folder)
{
	const char **more = arena_alloc(&c->arena, (c->folder_count + 1) * sizeof(*more));

	if (c->folder_count != 0)
		memcpy(more, c->folders, c->folder_count * sizeof(*more));
	more[c->folder_count++] = folder;
	c->folders = more;
}

static bool parse_options(struct compiler *c, struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{"caps", no_argument, NULL, OPTION_CAPS},
		{"ioctls", no_argument, NULL, OPTION_IOCTLS},
		{"list-outputs", no_argument, NULL, 'l'},
		{"depfile", required_argument, NULL, 'd'},
		{"check", no_argument, NULL, 'c'},
		{"diff", no_argument, NULL, 'D'},
		{"check-header", required_argument, NULL, 'H'},
		{"struct", required_argument, NULL, 'S'},
		{"as", required_argument, NULL, 'A'},
		{"cc", required_argument, NULL, 'C'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "I:o:h", known, NULL)) != -1) {
		switch (option) {
		case 'I':
			add_folder(c, optarg);
			break;
		case 'o':
			options->folder = optarg;
			break;
		case OPTION_CAPS:
			c->outputs = OUTPUTS_CAPS;
			break;
		case OPTION_IOCTLS:
			c->outputs = OUTPUTS_IOCTLS;
			break;
		case 'l':
			options->list = true;
			break;
		case 'd':
			options->depfile = optarg;
			break;
		case 'c':
			options->check = true;
			break;
		case 'D':
			options->diff = true;
			break;
		case 'H':
			options->header.header = optarg;
			break;
		case 'S':
			options->header.name = optarg;
			break;
		case 'A':
			options->header.as = optarg;
			break;
		case 'C':
			options->header.cc = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			return false;
		}
	}
	if (optind + (options->diff ? 2 : 1) != argc)
		return false;
	options->old = argv[optind];
	options->source = argv[argc - 1];
	if ((options->header.header == NULL) != (options->header.name == NULL))
		return false;
	return options->list || options->diff || options->header.header != NULL ||
	       options->folder != NULL;
}

int main(int argc, char **argv)
{
	struct compiler c = {.read = read_file};
	struct options options = {0};
	int result;

	if (!parse_options(&c, &options, argc, argv)) {
		fputs(usage, stderr);
		result = EXIT_USAGE;
	} else {
		result = run(&c, &options);
	}
	compiler_finish(&c);
	return result;
}
