/* SPDX-License-Identifier: MIT */
/*
 * The drivers and filters that the command has built in: the one place that names them.
 */
#include "cli_internal.h"

extern const struct bdus_driver bdus_driver_file;
extern const struct bdus_driver bdus_driver_null;
extern const struct bdus_driver bdus_driver_ram;
extern const struct bdus_driver bdus_driver_zoned;

const struct bdus_driver *const cli_driver_table[] = {
	&bdus_driver_file, &bdus_driver_null, &bdus_driver_ram, &bdus_driver_zoned, NULL,
};

extern const struct bdus_filter bdus_filter_delay;
extern const struct bdus_filter bdus_filter_error;
extern const struct bdus_filter bdus_filter_opvm;
extern const struct bdus_filter bdus_filter_zonefold;

const struct bdus_filter *const cli_filter_table[] = {
	&bdus_filter_delay, &bdus_filter_error, &bdus_filter_opvm, &bdus_filter_zonefold, NULL,
};

extern int opvm_kernel_command(uint64_t id, const char *const *words, unsigned count, char *answer,
			       size_t answer_bytes);

int cli_kernel_command(uint64_t id, const char *const *words, unsigned count, char *answer,
		       size_t answer_bytes)
{
	return opvm_kernel_command(id, words, count, answer, answer_bytes);
}
