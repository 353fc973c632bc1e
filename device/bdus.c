/* SPDX-License-Identifier: MIT */
/*
 * The functions behind include/bdus.h: each turns a negative errno into false, errno and a message.
 */
#include "base/error.h"
#include "blocking.h"
#include "manage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_TIMEOUT_MS   (10 * 60 * 1000)
#define DESTROY_TIMEOUT_MS (60 * 1000)

/** The message of the last call that failed; what succeeds must leave it alone. */
static _Thread_local char api_message[BASE_ERROR_MESSAGE_BYTES];

static bool succeeded(int result)
{
	if (result >= 0)
		return true;
	snprintf(api_message, sizeof(api_message), "%s", base_error_message());
	errno = -result;
	return false;
}

bool bdus_run_0_1_3_(const struct bdus_ops *ops, const struct bdus_attrs *attrs, void *private_data)
{
	return succeeded(bdus_blocking_run(ops, attrs, private_data));
}

/** Programs of before 0.1.3 know less of both structures, which end where zones begin. */
static void know_zones(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		       struct bdus_ops *all_ops, struct bdus_attrs *all_attrs)
{
	*all_ops = (struct bdus_ops){0};
	*all_attrs = (struct bdus_attrs){0};
	memcpy(all_ops, ops, offsetof(struct bdus_ops, zone_report));
	memcpy(all_attrs, attrs, offsetof(struct bdus_attrs, zone_size));
}

bool bdus_run_0_1_0_(const struct bdus_ops *ops, const struct bdus_attrs *attrs, void *private_data)
{
	struct bdus_ops all_ops;
	struct bdus_attrs all_attrs;

	know_zones(ops, attrs, &all_ops, &all_attrs);
	return bdus_run_0_1_3_(&all_ops, &all_attrs, private_data);
}

bool bdus_run_0_1_1_(const struct bdus_ops *ops, const struct bdus_attrs *attrs, void *private_data)
{
	return bdus_run_0_1_0_(ops, attrs, private_data);
}

bool bdus_rerun_0_1_3_(uint64_t dev_id, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		       void *private_data)
{
	return succeeded(bdus_blocking_rerun(dev_id, ops, attrs, private_data));
}

bool bdus_rerun_0_1_0_(uint64_t dev_id, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		       void *private_data)
{
	struct bdus_ops all_ops;
	struct bdus_attrs all_attrs;

	know_zones(ops, attrs, &all_ops, &all_attrs);
	return bdus_rerun_0_1_3_(dev_id, &all_ops, &all_attrs, private_data);
}

bool bdus_rerun_0_1_1_(uint64_t dev_id, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		       void *private_data)
{
	return bdus_rerun_0_1_0_(dev_id, ops, attrs, private_data);
}

bool bdus_get_dev_id_from_path_0_1_0_(uint64_t *out_dev_id, const char *dev_path)
{
	struct bdus_device_info info;

	if (!succeeded(bdus_manage_find_path(dev_path, &info)))
		return false;
	*out_dev_id = info.id;
	return true;
}

bool bdus_flush_dev_0_1_0_(uint64_t dev_id)
{
	struct bdus_device_info info;
	int result = bdus_manage_find_id(dev_id, &info);

	if (result == 0)
		result = bdus_manage_flush(&info, FLUSH_TIMEOUT_MS, NULL, NULL);
	return succeeded(result);
}

bool bdus_destroy_dev_0_1_0_(uint64_t dev_id)
{
	struct bdus_device_info info;
	int result = bdus_manage_find_id(dev_id, &info);

	if (result == 0)
		result = bdus_manage_destroy(&info, DESTROY_TIMEOUT_MS, NULL, NULL);
	return succeeded(result);
}

const char *bdus_get_error_message_0_1_0_(void)
{
	return api_message;
}

const struct bdus_version *bdus_get_libbdus_version_0_1_0_(void)
{
	static const struct bdus_version version = {
		.major = BDUS_HEADER_VERSION_MAJOR,
		.minor = BDUS_HEADER_VERSION_MINOR,
		.patch = BDUS_HEADER_VERSION_PATCH,
	};

	return &version;
}

/** What the kernel shows of the module, such as "0.1.3". */
#define MODULE_VERSION_PATH "/sys/module/kbdus/version"

#define MODULE_CONTROL_PATH "/dev/bdus-control"

/** Everybody may read the version; but who may not use the module is not told of it. */
static int check_module_access(void)
{
	if (faccessat(AT_FDCWD, MODULE_CONTROL_PATH, R_OK | W_OK, AT_EACCESS) == 0 ||
	    (errno != EACCES && errno != EPERM))
		return 0;
	return base_error(errno, "this user may not open " MODULE_CONTROL_PATH);
}

static int read_module_version(struct bdus_version *version)
{
	FILE *const file = fopen(MODULE_VERSION_PATH, "re");
	struct bdus_version read;
	int fields;

	if (file == NULL)
		return base_error(ENOENT,
				  "the kernel module kbdus is not loaded: " MODULE_CONTROL_PATH
				  " does not exist");
	fields = fscanf(file, "%" SCNu32 ".%" SCNu32 ".%" SCNu32, &read.major, &read.minor,
			&read.patch);
	fclose(file);
	if (fields != 3)
		return base_error(EPROTO, MODULE_VERSION_PATH " holds no version");
	*version = read;
	return 0;
}

bool bdus_get_kbdus_version_0_1_0_(struct bdus_version *out_kbdus_version)
{
	int result = check_module_access();

	if (result == 0)
		result = read_module_version(out_kbdus_version);
	return succeeded(result);
}
