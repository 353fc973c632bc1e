/* SPDX-License-Identifier: MIT */
/*
 * wire edit: stores values in fields, lets the checksums follow, checks the result and only then
 * writes it. All edits of one command are written or none.
 */
#include "command_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/** Finds how far the structure reaches: all that an edit can change lies within. */
struct extent {
	struct wire_walk walk;
	uint64_t end;
};

static int visit(struct wire_walk *walk, const struct wire_node *node)
{
	struct extent *const extent = (struct extent *)(void *)walk;

	if (node->event != WIRE_LEAVE && node->offset + node->size > extent->end)
		extent->end = node->offset + node->size;
	return 0;
}

static size_t find_extent(const struct subject *subject, size_t at_least)
{
	const struct image *const image = &subject->image;
	struct extent extent = {.walk = {.visit = visit, .data = image->data, .size = image->size}};

	if (subject->format->walk(image->data, image->size, subject->arguments, &extent.walk) < 0 ||
	    extent.end > image->size)
		return image->size;
	return extent.end > at_least ? (size_t)extent.end : at_least;
}

static int refuse_edit(const struct subject *subject, const char *path, const char *value,
		       int error)
{
	if (error == -ENOENT)
		say("%s: %s has no field \"%s\"", subject->image.path,
		    format_title(subject->format), path);
	else if (error == -ENOTSUP)
		say("%s: \"%s\" cannot be edited as a whole; edit its parts", subject->image.path,
		    path);
	else if (error == -ERANGE)
		say("%s: %s=%s: the value does not fit into the field", subject->image.path, path,
		    value);
	else
		say("%s: %s=%s: the field cannot have this value: %s", subject->image.path, path,
		    value, strerror(-error));
	return STATUS_REFUSED;
}

/** Applies one "path=value". Whether the result keeps the rules is asked after all of them. */
static int apply(struct subject *subject, const char *word)
{
	const size_t length = strcspn(word, "=");
	struct wire_fault fault = {0};
	char path[512];
	int error;

	if (word[length] == '\0')
		return usage_error("an edit is PATH=VALUE, but \"%s\" has no =", word);
	if (length >= sizeof(path))
		return usage_error("a path of %zu bytes; allowed: at most %zu", length,
				   sizeof(path) - 1);
	memcpy(path, word, length);
	path[length] = '\0';
	error = wire_edit(subject->format, subject->image.data, subject->image.size,
			  subject->arguments, path, word + length + 1, &fault);
	if (error >= 0 || fault.error != 0)
		return STATUS_OK;
	return refuse_edit(subject, path, word + length + 1, error);
}

/** Whether the result may be written. */
static int judge(const struct subject *subject, bool force)
{
	struct wire_fault fault;

	if (subject->format->check(subject->image.data, subject->image.size, subject->arguments,
				   &fault) >= 0)
		return STATUS_OK;
	subject_say_fault(subject, &fault);
	if (force)
		return STATUS_OK;
	say("%s: nothing was written; --force writes it nevertheless", subject->image.path);
	return STATUS_REFUSED;
}

static int edit(struct subject *subject, const struct words *words)
{
	size_t extent = find_extent(subject, 0);
	int status = STATUS_OK;

	for (unsigned i = 2; i < words->operand_count && status == STATUS_OK; i++)
		status = apply(subject, words->operands[i]);
	if (status == STATUS_OK)
		status = judge(subject, words->force);
	extent = find_extent(subject, extent);
	if (status == STATUS_OK && !words->dry_run)
		status = image_store(&subject->image, extent);
	return status;
}

int command_edit(const struct words *words)
{
	struct subject subject = {0};
	int status = subject_open(&subject, words, true);

	if (status != STATUS_OK)
		return status;
	status = edit(&subject, words);
	subject_close(&subject);
	return status;
}
