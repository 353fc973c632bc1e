/* SPDX-License-Identifier: MIT */
/*
 * error: fails requests on purpose, by operation, place, chance, number, and while a file exists.
 */
#include <bdus/filter.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** The chance of failing is counted in these. */
#define PARTS_PER_UNIT 1000000U

struct error {
	int errnum;
	/** BDUS_OP_BIT() of what may fail. */
	uint32_t ops;
	/** Of so many parts of PARTS_PER_UNIT. */
	uint32_t chance;
	uint64_t start_bytes;
	uint64_t end_bytes;
	/** NULL for always. */
	char *file;
	uint64_t seed;
	atomic_uint_fast64_t drawn;
	/** How many may fail yet. */
	atomic_uint_fast64_t left;
};

static const struct bdus_option options[] = {
	{.key = "error",
	 .kind = BDUS_OPTION_CHOICE,
	 .choices = "EIO ENOSPC ETIMEDOUT EOPNOTSUPP ENOLINK EAGAIN",
	 .help = "What requests fail with",
	 .fallback = "EIO"},
	{.key = "rate", .help = "How many of them fail, such as 0.5%", .fallback = "100%"},
	{.key = "operations", .help = "Which fail, such as read+write; all when left out"},
	{.key = "start",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "Only requests that reach behind this offset fail",
	 .fallback = "0"},
	{.key = "length",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "Of these, only those that begin before this many bytes from there; 0 for the "
		 "rest of the device",
	 .fallback = "0"},
	{.key = "count",
	 .kind = BDUS_OPTION_NUMBER,
	 .help = "At most so many fail; 0 for no limit",
	 .fallback = "0"},
	{.key = "file", .help = "Requests fail only while this file exists"},
	{.key = "seed",
	 .kind = BDUS_OPTION_NUMBER,
	 .help = "Begins the sequence of chances, which is the same for the same number",
	 .fallback = "1"},
	{.key = NULL},
};

static int parse_error(const char *name)
{
	static const struct {
		const char *name;
		int errnum;
	} errors[] = {{"EIO", EIO},
		      {"ENOSPC", ENOSPC},
		      {"ETIMEDOUT", ETIMEDOUT},
		      {"EOPNOTSUPP", EOPNOTSUPP},
		      {"ENOLINK", ENOLINK},
		      {"EAGAIN", EAGAIN}};
	unsigned i = 0;

	while (strcmp(errors[i].name, name) != 0)
		i++;
	return errors[i].errnum;
}

/** "0.5%" as parts; there may be up to four decimals. */
static int parse_rate(const char *text, uint32_t *chance)
{
	uint64_t value = 0;
	unsigned decimals = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9' && value <= 100; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	if (at != text && *at == '.')
		for (at++; *at >= '0' && *at <= '9' && decimals < 4; at++, decimals++)
			value = value * 10 + (uint64_t)(*at - '0');
	for (; decimals < 4; decimals++)
		value *= 10;
	if (at == text || strcmp(at, "%") != 0 || value > PARTS_PER_UNIT)
		return bdus_config_error(EINVAL,
					 "filter error: rate=%s: must be 0%% to 100%%, with up to "
					 "four decimals, such as 0.5%%",
					 text);
	*chance = (uint32_t)value;
	return 0;
}

/** "write zeros", as messages have it, is "write-zeros" for users. */
static bool is_op(const char *word, size_t length, unsigned op)
{
	const char *const name = bdus_op_name(op);

	if (strlen(name) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		if (word[i] != (name[i] == ' ' ? '-' : name[i]))
			return false;
	return true;
}

static int parse_operations(const char *text, uint32_t *ops)
{
	const char *word = text;

	*ops = 0;
	for (;;) {
		const size_t length = strcspn(word, "+");
		unsigned op = 0;

		while (op < BDUS_OP_COUNT && !is_op(word, length, op))
			op++;
		if (op == BDUS_OP_COUNT)
			return bdus_config_error(
				EINVAL,
				"filter error: operations=%s: must be names joined by +, of read, "
				"write, flush, write-zeros, discard, secure-erase, extents, cache",
				text);
		*ops |= BDUS_OP_BIT(op);
		if (word[length] == '\0')
			return 0;
		word += length + 1;
	}
}

static int parse(const struct bdus_config *config, struct error *error)
{
	const char *const operations = bdus_config_string(config, "operations");
	const char *const file = bdus_config_string(config, "file");
	const uint64_t length_bytes = bdus_config_number(config, "length");
	const uint64_t count = bdus_config_number(config, "count");
	int result = parse_rate(bdus_config_string(config, "rate"), &error->chance);

	error->errnum = parse_error(bdus_config_string(config, "error"));
	error->seed = bdus_config_number(config, "seed");
	error->start_bytes = bdus_config_number(config, "start");
	error->end_bytes = UINT64_MAX;
	if (length_bytes != 0 && length_bytes <= UINT64_MAX - error->start_bytes)
		error->end_bytes = error->start_bytes + length_bytes;
	atomic_init(&error->left, count != 0 ? count : UINT64_MAX);
	error->ops = UINT32_MAX;
	if (result == 0 && operations != NULL)
		result = parse_operations(operations, &error->ops);
	if (result == 0 && file != NULL) {
		error->file = strdup(file);
		if (error->file == NULL)
			result = bdus_config_error(ENOMEM, "filter error: no memory");
	}
	return result;
}

static int error_close(void *instance)
{
	struct error *const error = instance;

	free(error->file);
	free(error);
	return 0;
}

static int error_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		      void **instance)
{
	struct error *const error = calloc(1, sizeof(*error));
	int result;

	(void)attrs;
	if (error == NULL)
		return bdus_config_error(ENOMEM, "filter error: no memory");
	result = parse(config, error);
	if (result < 0) {
		error_close(error);
		return result;
	}
	*instance = error;
	return 0;
}

static bool is_meant(const struct error *error, const struct bdus_request *request)
{
	if (!(error->ops & BDUS_OP_BIT(request->op)))
		return false;
	/* A flush has no place. */
	if (request->op == BDUS_OP_FLUSH)
		return true;
	return request->offset_bytes < error->end_bytes &&
	       request->offset_bytes + request->length_bytes > error->start_bytes;
}

/** Whether the next chance is one of failing. */
static bool is_drawn(struct error *error)
{
	uint64_t value =
		error->seed + atomic_fetch_add_explicit(&error->drawn, 1, memory_order_relaxed);

	value = (value + 1) * UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (value ^ (value >> 31)) % PARTS_PER_UNIT < error->chance;
}

/** Counts one failure; false when there were enough. */
static bool take_one(struct error *error)
{
	uint64_t left = atomic_load_explicit(&error->left, memory_order_relaxed);

	do {
		if (left == UINT64_MAX || left == 0)
			return left != 0;
	} while (!atomic_compare_exchange_weak(&error->left, &left, left - 1));
	return true;
}

static void error_submit(void *instance, struct bdus_request *request)
{
	struct error *const error = instance;

	if (is_meant(error, request) && (error->file == NULL || access(error->file, F_OK) == 0) &&
	    is_drawn(error) && take_one(error))
		bdus_complete(request, -error->errnum);
	else
		bdus_filter_pass(request);
}

const struct bdus_filter bdus_filter_error = {
	.abi = BDUS_FILTER_ABI,
	.size = sizeof(struct bdus_filter),
	.name = "error",
	.summary = "Some requests fail on purpose",
	.options = options,
	.open = error_open,
	.close = error_close,
	.submit = error_submit,
};
