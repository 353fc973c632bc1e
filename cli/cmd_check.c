/* SPDX-License-Identifier: MIT */
/*
 * bdus check: which ways in work on this machine for this user, what each can carry, and why the
 * rest is not possible. Reasons are footnotes, so that the table fits a terminal.
 */
#include "cli_internal.h"

#include <stdio.h>
#include <string.h>

/* The first column and one for each way in. */
#define MOST_WAYS (CLI_TABLE_COLUMNS - 1)

const struct cli_option cli_check_options[] = {
	{"json", 0, NULL, "Print one JSON document"},
	CLI_OPTIONS_END,
};

struct footnotes {
	char **texts;
	unsigned count;
	/** Whether a way in that does not work here could carry something if it did. */
	bool conditional;
};

/** The number of the footnote that says why; the same words are said once. */
static unsigned footnote(struct footnotes *notes, const char *way, const char *reason)
{
	char *const text = cli_make_printable(cli_format("%s: %s", way, reason));

	for (unsigned i = 0; i < notes->count; i++) {
		if (strcmp(notes->texts[i], text) == 0)
			return i + 1;
	}
	notes->texts = cli_grow(notes->texts, (notes->count + 1) * sizeof(char *));
	notes->texts[notes->count++] = text;
	return notes->count;
}

static void add_cell(struct cli_table *table, struct footnotes *notes, const char *way,
		     const char *word, const char *reason)
{
	if (reason[0] == '\0')
		cli_table_add(table, "%s", word);
	else
		cli_table_add(table, "%s [%u]", word, footnote(notes, way, reason));
}

static void add_feature(struct cli_table *table, struct footnotes *notes,
			const struct bdus_transport_report *report, enum bdus_feature feature)
{
	const bool supported = report->features[feature].supported;
	const char *const yes = report->usable ? "yes" : "(yes)";

	notes->conditional |= supported && !report->usable;
	add_cell(table, notes, report->name, supported ? yes : "no",
		 report->features[feature].reason);
}

static void print_footnotes(const struct footnotes *notes)
{
	if (notes->conditional)
		puts("\n(yes): once that way in can be used");
	if (notes->count != 0)
		putchar('\n');
	for (unsigned i = 0; i < notes->count; i++) {
		printf("[%u]%s ", i + 1, i < 9 ? " " : "");
		cli_print_wrapped(notes->texts[i], 5);
	}
}

static void print_table(const struct bdus_transport_report *reports, unsigned count)
{
	struct cli_table table = {.columns = count + 1};
	struct footnotes notes = {0};

	cli_table_add(&table, "WAY IN");
	for (unsigned i = 0; i < count; i++)
		cli_table_add(&table, "%s", reports[i].name);
	cli_table_add(&table, "works here");
	for (unsigned i = 0; i < count; i++)
		add_cell(&table, &notes, reports[i].name, reports[i].usable ? "yes" : "no",
			 reports[i].reason);
	for (unsigned feature = 0; feature < BDUS_FEATURE_COUNT; feature++) {
		cli_table_add(&table, "%s", bdus_feature_name(feature));
		for (unsigned i = 0; i < count; i++)
			add_feature(&table, &notes, &reports[i], feature);
	}
	cli_table_print(&table);
	print_footnotes(&notes);
}

static void print_way(const struct bdus_transport_report *report)
{
	struct cli_table table = {.columns = 3, .wrap = true};

	printf("%s: %s\n", report->name, report->summary);
	cli_table_add(&table, "works here");
	cli_table_add(&table, "%s", report->usable ? "yes" : "no");
	cli_table_add(&table, "%s", report->reason);
	for (unsigned feature = 0; feature < BDUS_FEATURE_COUNT; feature++) {
		cli_table_add(&table, "%s", bdus_feature_name(feature));
		cli_table_add(&table, "%s", report->features[feature].supported ? "yes" : "no");
		cli_table_add(&table, "%s", report->features[feature].reason);
	}
	cli_table_print(&table);
	if (report->options == NULL || report->options->key == NULL)
		return;
	printf("\nKeys of --transport %s,KEY=VALUE:\n", report->name);
	cli_print_options(report->options);
}

static json_t *json_features(const struct bdus_transport_report *report)
{
	json_t *const features = json_object();

	for (unsigned feature = 0; feature < BDUS_FEATURE_COUNT; feature++) {
		json_t *const object = json_object();

		cli_json_set(object, "supported",
			     json_boolean(report->features[feature].supported));
		cli_json_set(object, "reason", cli_json_text(report->features[feature].reason));
		cli_json_set(features, bdus_feature_name(feature), object);
	}
	return features;
}

static void print_json(const struct bdus_transport_report *reports, unsigned count)
{
	json_t *const document = json_object();
	json_t *const array = json_array();

	for (unsigned i = 0; i < count; i++) {
		json_t *const object = json_object();

		cli_json_set(object, "name", cli_json_text(reports[i].name));
		cli_json_set(object, "summary", cli_json_text(reports[i].summary));
		cli_json_set(object, "usable", json_boolean(reports[i].usable));
		cli_json_set(object, "reason", cli_json_text(reports[i].reason));
		cli_json_set(object, "features", json_features(&reports[i]));
		cli_json_set(object, "options", cli_json_options(reports[i].options));
		cli_json_append(array, object);
	}
	cli_json_set(document, "transports", array);
	cli_json_print(document);
}

/** Finds the report on the way in that the user named; NULL after a message. */
static const struct bdus_transport_report *find_way(const struct bdus_transport_report *reports,
						    unsigned count, const char *name)
{
	struct cli_suggestion suggestion = {.word = name};
	char *allowed = cli_format("%s", "");

	for (unsigned i = 0; i < count; i++) {
		if (strcmp(reports[i].name, name) == 0)
			return &reports[i];
		cli_suggest(&suggestion, reports[i].name);
		allowed = cli_format("%s%s%s", allowed, i == 0 ? "" : ", ", reports[i].name);
	}
	cli_say("there is no way in \"%s\"%s; allowed: %s", name, cli_suggestion_text(&suggestion),
		allowed);
	return NULL;
}

int cli_cmd_check(const struct cli_args *args)
{
	static struct bdus_transport_report space[MOST_WAYS];
	const struct bdus_transport_report *reports = space;
	int count = bdus_manage_check(space, MOST_WAYS);

	if (count < 0) {
		cli_say_library_error(NULL, count);
		return cli_status_of(count);
	}
	if (args->operand_count != 0) {
		reports = find_way(space, (unsigned)count, args->operands[0]);
		if (reports == NULL)
			return CLI_USAGE;
		count = 1;
	}
	if (cli_args_has(args, "json"))
		print_json(reports, (unsigned)count);
	else if (args->operand_count != 0)
		print_way(reports);
	else
		print_table(reports, (unsigned)count);
	return CLI_OK;
}
