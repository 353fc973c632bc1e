/* SPDX-License-Identifier: MIT */
/*
 * Loads drivers from shared objects.
 */
#include "base/bits.h"
#include "base/error.h"

#include <bdus/manage.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef const struct bdus_driver *entry_fn(void);

static int check_file(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return base_error_errno(errno, "driver %s", path);
	if (!S_ISREG(status.st_mode))
		return base_error(ELIBBAD, "driver %s: must be a shared object, is %s", path,
				  S_ISDIR(status.st_mode) ? "a directory" : "not a regular file");
	if (access(path, R_OK) != 0)
		return base_error_errno(errno, "driver %s", path);
	return 0;
}

static int check_driver(const char *path, const struct bdus_driver *driver)
{
	if (driver == NULL)
		return base_error(ENOEXEC, "driver %s: its " BDUS_DRIVER_SYMBOL "() gave nothing",
				  path);
	if (driver->abi != BDUS_DRIVER_ABI)
		return base_error(
			EPROTO,
			"driver %s: was built for version %u of the driver interface; this "
			"BDUS has version %u",
			path, driver->abi, BDUS_DRIVER_ABI);
	if (driver->size < sizeof(*driver))
		return base_error(EPROTO,
				  "driver %s: its table has %u bytes; version %u of the driver "
				  "interface has %zu",
				  path, driver->size, BDUS_DRIVER_ABI, sizeof(*driver));
	if (driver->name == NULL || driver->summary == NULL)
		return base_error(ENOEXEC, "driver %s: has no name or no summary", path);
	return 0;
}

/** dlopen() looks for names without a slash elsewhere; a driver's path is always a path. */
static void *open_object(const char *path)
{
	char here[4096];

	if (strchr(path, '/') != NULL)
		return dlopen(path, RTLD_NOW | RTLD_LOCAL);
	snprintf(here, sizeof(here), "./%s", path);
	return dlopen(here, RTLD_NOW | RTLD_LOCAL);
}

int bdus_manage_load_driver(const char *path, const struct bdus_driver **driver)
{
	const struct bdus_driver *loaded;
	void *object;
	entry_fn *entry;
	int result = check_file(path);

	if (result < 0)
		return result;
	object = open_object(path);
	if (object == NULL)
		return base_error(ELIBBAD, "driver %s: %s", path, dlerror());
	*(void **)&entry = dlsym(object, BDUS_DRIVER_SYMBOL);
	if (entry == NULL) {
		dlclose(object);
		return base_error(ENOEXEC,
				  "driver %s: has no " BDUS_DRIVER_SYMBOL
				  "(); it must end with BDUS_DRIVER_EXPORT(…)",
				  path);
	}
	loaded = entry();
	result = check_driver(path, loaded);
	if (result < 0) {
		dlclose(object);
		return result;
	}
	*driver = loaded;
	return 0;
}
