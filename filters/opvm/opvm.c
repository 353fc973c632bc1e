/* SPDX-License-Identifier: MIT */
/*
 * opvm: a program of include/opvm.h decides what becomes of each request. This file has the
 * filter's table and options.
 */
#include "opvm_filter.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FUEL 1000000000

static const struct bdus_option options[] = {
	{.key = "program",
	 .required = true,
	 .help = "File with the program: what clang -target bpf makes, or text in a file named "
		 "*.s"},
	{.key = "name", .help = "Which program of the file; the first one when left out"},
	{.key = "completion",
	 .help = "Which of them is called when a request is back; none when left out"},
	{.key = "payload",
	 .kind = BDUS_OPTION_SIZE,
	 .maximum = MOST_PAYLOAD_BYTES,
	 .help = "How many of the first bytes of writes the program sees",
	 .fallback = "0"},
	{.key = "size",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "How large the device seems to be, when smaller than it is"},
	{.key = "maps", .help = "Values of maps to start with, as MAP:KEY:VALUE+MAP:KEY:VALUE"},
	{.key = "fuel",
	 .kind = BDUS_OPTION_NUMBER,
	 .minimum = 1,
	 .maximum = MOST_FUEL,
	 .help = "About how many instructions a call may take",
	 .fallback = "100000"},
	{.key = "exhausted",
	 .kind = BDUS_OPTION_CHOICE,
	 .choices = "fail pass",
	 .help = "What becomes of a request whose call ran out of fuel",
	 .fallback = "fail"},
	{.key = "interpret",
	 .kind = BDUS_OPTION_BOOL,
	 .help = "Interpret the program even where machine code can be made of it",
	 .fallback = "no"},
	{.key = NULL},
};

static int filter_close(void *instance)
{
	struct filter *const filter = instance;

	opvm_filter_detach(filter);
	free(filter);
	return 0;
}

static int make_smaller(const struct bdus_config *config, struct bdus_device_attrs *attrs)
{
	const uint64_t size_bytes = bdus_config_number(config, "size");

	if (!bdus_config_given(config, "size"))
		return 0;
	if (size_bytes == 0 || size_bytes > attrs->size_bytes ||
	    size_bytes % attrs->physical_block_size != 0)
		return bdus_config_error(EINVAL,
					 "filter opvm: size=%llu: must be whole blocks of %u "
					 "bytes, at most the %llu that there are",
					 (unsigned long long)size_bytes, attrs->physical_block_size,
					 (unsigned long long)attrs->size_bytes);
	attrs->size_bytes = size_bytes;
	return 0;
}

static void find_backends(struct filter *filter, const struct bdus_config *config,
			  struct bdus_device_attrs *attrs)
{
	const struct bdus_device_attrs *backend;

	filter->flushes = (attrs->ops & BDUS_OP_BIT(BDUS_OP_FLUSH)) != 0;
	while ((backend = bdus_filter_backend(config, filter->backends)) != NULL) {
		filter->backends++;
		if (backend->ops & BDUS_OP_BIT(BDUS_OP_FLUSH))
			filter->flushes |= 1U << filter->backends;
	}
	if (filter->flushes != 0)
		attrs->ops |= BDUS_OP_BIT(BDUS_OP_FLUSH);
}

static int prepare(struct filter *filter, const struct bdus_config *config,
		   struct bdus_device_attrs *attrs)
{
	int result;

	filter->device_bytes = attrs->size_bytes;
	filter->block_bytes = attrs->logical_block_size;
	filter->payload_bytes = (uint32_t)bdus_config_number(config, "payload");
	filter->fuel = bdus_config_number(config, "fuel");
	filter->interpret = bdus_config_bool(config, "interpret");
	filter->exhausted_answer = strcmp(bdus_config_string(config, "exhausted"), "pass") == 0
					   ? OPVM_BLOCK_PASS
					   : OPVM_BLOCK_FAIL;
	find_backends(filter, config, attrs);
	result = make_smaller(config, attrs);
	if (result == 0)
		result = opvm_filter_load(filter, bdus_config_string(config, "program"),
					  bdus_config_string(config, "name"),
					  bdus_config_string(config, "completion"), false);
	if (result == 0 && bdus_config_given(config, "maps"))
		result = opvm_filter_set(filter, bdus_config_string(config, "maps"));
	return result;
}

static int filter_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		       void **instance)
{
	struct filter *const filter = aligned_alloc(_Alignof(struct filter), sizeof(*filter));
	struct bdus_device_attrs changed = *attrs;
	int result;

	if (filter == NULL)
		return bdus_config_error(ENOMEM, "filter opvm: no memory");
	memset(filter, 0, sizeof(*filter));
	result = prepare(filter, config, &changed);
	if (result < 0) {
		filter_close(filter);
		return result;
	}
	*attrs = changed;
	*instance = filter;
	return 0;
}

const struct bdus_filter bdus_filter_opvm = {
	.abi = BDUS_FILTER_ABI,
	.size = sizeof(struct bdus_filter),
	.name = "opvm",
	.summary = "A small verified program decides what becomes of each request",
	.options = options,
	.open = filter_open,
	.close = filter_close,
	.submit = opvm_filter_submit,
	.command = opvm_filter_command,
};
