/* SPDX-License-Identifier: MIT */
/*
 * What the filter tells: one JSON document.
 */
#include "fold.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/** Blocks written below for each that a client wrote, in thousandths. */
static uint64_t amplification(const struct fold_counters *counters)
{
	const uint64_t below =
		counters->written_blocks + counters->collected_blocks + counters->headers;

	return counters->written_blocks != 0 ? below * 1000 / counters->written_blocks : 1000;
}

static uint32_t count_state(const struct fold *fold, enum fold_zone_state state)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < fold->index.zones; i++)
		count += fold->zones[i].state == state;
	return count;
}

/** A sentence without what JSON would have to quote. */
static void quote(const char *text, char *quoted, size_t size_bytes)
{
	size_t used = 0;

	for (; *text != '\0' && used + 1 < size_bytes; text++)
		quoted[used++] =
			*text >= ' ' && *text < 127 && *text != '"' && *text != '\\' ? *text : '\'';
	quoted[used] = '\0';
}

static int tell_status(const struct fold *fold, char *answer, size_t answer_bytes)
{
	const struct fold_counters *const counters = &fold->counters;
	const uint64_t amplified = amplification(counters);
	char error[sizeof(fold->last_error)];
	const char *mark;
	int length;

	quote(fold->last_error, error, sizeof(error));
	mark = error[0] != '\0' ? "\"" : "";
	length = snprintf(
		answer, answer_bytes,
		"{\"write_amplification\":%" PRIu64 ".%03" PRIu64 ",\"written_blocks\":%" PRIu64
		",\"collected_blocks\":%" PRIu64 ",\"collected_zones\":%" PRIu64
		",\"collecting\":%s"
		",\"resets\":%" PRIu64 ",\"commits\":%" PRIu64 ",\"failed_commits\":%" PRIu64
		",\"zones\":%" PRIu32 ",\"free_zones\":%" PRIu32 ",\"broken_zones\":%" PRIu32
		",\"blocks\":%" PRIu32 ",\"mapped_blocks\":%" PRIu32 ",\"last_error\":%s%s%s}",
		amplified / 1000, amplified % 1000, counters->written_blocks,
		counters->collected_blocks, counters->collected_zones,
		fold->collector.phase != FOLD_COLLECT_IDLE ? "true" : "false", counters->resets,
		counters->commits, counters->failed_commits, fold->index.zones, fold->free_zones,
		count_state(fold, FOLD_BROKEN), fold->index.blocks, fold->index.mapped, mark,
		error[0] != '\0' ? error : "null", mark);
	return (size_t)length < answer_bytes
		       ? 0
		       : bdus_config_error(ENOBUFS,
					   "filter zonefold: the answer is longer than "
					   "%zu bytes",
					   answer_bytes);
}

int fold_command(void *instance, const char *const *words, unsigned count, char *answer,
		 size_t answer_bytes)
{
	if (count == 1 && strcmp(words[0], "status") == 0)
		return tell_status(instance, answer, answer_bytes);
	return bdus_config_error(EINVAL,
				 "filter zonefold: '%s' with %u words is no command: status",
				 count > 0 ? words[0] : "", count);
}
