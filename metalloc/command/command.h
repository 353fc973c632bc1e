/* SPDX-License-Identifier: MIT */
/*
 * What the files of the `metalloc` command share. Each subcommand gets the words after its name,
 * and returns the exit status: 0, 1 for a failure that it has told of, 2 for wrong usage.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "store.h"

#define EXIT_USAGE 2

int command_run(int count, char *words[]);
int command_profile(int count, char *words[]);
int command_explain(int count, char *words[]);
int command_seed(int count, char *words[]);
int command_bench(int count, char *words[]);
int command_doctor(int count, char *words[]);

/** "metalloc: …" on standard error; returns 1. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** The environment's directory of profiles, or ends the command. */
void find_directory(char directory[static STORE_PATH]);
/**
 * The profile of a program: a path, or a name to be found in PATH; with its script, if it is an
 * interpreter. 0, or says why not and returns 1. @path is where it is.
 */
int find_profile(const char *program, const char *script, char path[static STORE_PATH],
		 struct store *store);
/** Reads a whole file of the database; 0 or a negative errno value. */
int read_store(const char *path, struct store *store);
/** The library to preload: beside the command where it was built, or where it is installed. */
const char *find_library(void);
/** "12.5 MiB" */
const char *bytes_text(uint64_t bytes, char text[static 32]);

#endif
