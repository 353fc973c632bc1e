/* SPDX-License-Identifier: MIT */
/*
 * Choosing among the ways in: by name, or the first in the table that works here.
 */
#include "transports.h"

#include "base/error.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_WORDS 32

const struct bdus_transport *bdus_transport_find(const char *name)
{
	for (unsigned i = 0; bdus_transport_table[i] != NULL; i++) {
		if (strcmp(bdus_transport_table[i]->name, name) == 0)
			return bdus_transport_table[i];
	}
	return NULL;
}

static void probe(const struct bdus_transport *transport, struct bdus_transport_report *report)
{
	memset(report, 0, sizeof(*report));
	report->name = transport->name;
	report->summary = transport->summary;
	report->options = transport->options;
	transport->probe(report);
}

int bdus_manage_check(struct bdus_transport_report *reports, unsigned capacity)
{
	unsigned count = 0;

	for (; count < capacity && bdus_transport_table[count] != NULL; count++)
		probe(bdus_transport_table[count], &reports[count]);
	return (int)count;
}

/** The error for a way in that does not work: lack of rights is told from lack of the thing. */
static int unusable_errno(void)
{
	return geteuid() == 0 ? ENODEV : EPERM;
}

static int choose_best(bool block_device_only, const struct bdus_transport **transport)
{
	char reasons[BASE_ERROR_MESSAGE_BYTES] = "";
	size_t used = 0;

	for (unsigned i = 0; bdus_transport_table[i] != NULL; i++) {
		const struct bdus_transport *const candidate = bdus_transport_table[i];
		struct bdus_transport_report report;

		if (block_device_only && !candidate->makes_block_device)
			continue;
		probe(candidate, &report);
		if (report.usable) {
			*transport = candidate;
			return 0;
		}
		if (used < sizeof(reasons))
			used += (size_t)snprintf(reasons + used, sizeof(reasons) - used, "%s%s: %s",
						 used > 0 ? "; " : "", candidate->name,
						 report.reason);
	}
	return base_error(unusable_errno(), "no way to make a %sdevice works here: %s",
			  block_device_only ? "block " : "", reasons);
}

static int refuse_unknown_transport(const char *name)
{
	char known[128] = "auto";
	size_t used = strlen(known);

	for (unsigned i = 0; bdus_transport_table[i] != NULL && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, ", %s",
					 bdus_transport_table[i]->name);
	return base_error(EINVAL, "unknown transport '%s'; allowed are: %s", name, known);
}

static int choose_named(const char *name, const struct bdus_transport **transport)
{
	const struct bdus_transport *const named = bdus_transport_find(name);
	struct bdus_transport_report report;

	if (named == NULL)
		return refuse_unknown_transport(name);
	probe(named, &report);
	if (!report.usable)
		return base_error(unusable_errno(), "transport %s does not work here: %s", name,
				  report.reason);
	*transport = named;
	return 0;
}

/** Cuts "nbd,socket=/x,port=1" at its commas, in place; the first word is the name. */
static int cut_spec(char *spec, const char **words, unsigned *count)
{
	char *rest = NULL;

	*count = 0;
	for (char *word = strtok_r(spec, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		if (*count == MOST_WORDS)
			return base_error(EINVAL, "transport '%s': more than %d options", words[0],
					  MOST_WORDS - 1);
		words[(*count)++] = word;
	}
	if (*count == 0)
		return refuse_unknown_transport("");
	return 0;
}

static int choose_by_words(const char *const *words, unsigned count, bool block_device_only,
			   const struct bdus_transport **transport, struct bdus_config **config)
{
	const struct bdus_transport *chosen = NULL;
	char owner[64];
	int result;

	if (strcmp(words[0], "auto") == 0 && count > 1)
		return base_error(EINVAL,
				  "transport 'auto' takes no options, but '%s' was given; name the "
				  "transport that it is for",
				  words[1]);
	if (strcmp(words[0], "auto") == 0)
		result = choose_best(block_device_only, &chosen);
	else
		result = choose_named(words[0], &chosen);
	if (result < 0)
		return result;
	snprintf(owner, sizeof(owner), "transport %s", chosen->name);
	result = bdus_config_create(owner, chosen->options, words + 1, count - 1, config);
	if (result == 0)
		*transport = chosen;
	return result;
}

int bdus_transport_choose(const char *spec, bool block_device_only,
			  const struct bdus_transport **transport, struct bdus_config **config)
{
	char *const copy = strdup(spec != NULL ? spec : "auto");
	const char *words[MOST_WORDS];
	unsigned count;
	int result;

	if (copy == NULL)
		return base_error(ENOMEM, "no memory for the name of a transport");
	result = cut_spec(copy, words, &count);
	if (result == 0)
		result = choose_by_words(words, count, block_device_only, transport, config);
	free(copy);
	return result;
}
