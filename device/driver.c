/* SPDX-License-Identifier: MIT */
/*
 * Loads drivers and filters from shared objects.
 */
#include "base/bits.h"
#include "base/error.h"

#include <assert.h>
#include <bdus/filter.h>
#include <bdus/manage.h>
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** What a shared object is loaded for. */
struct kind {
	/** "driver" or "filter", for messages. */
	const char *word;
	const char *symbol;
	const char *macro;
	uint32_t abi;
	size_t size;
};

static const struct kind driver_kind = {"driver", BDUS_DRIVER_SYMBOL, "BDUS_DRIVER_EXPORT",
					BDUS_DRIVER_ABI, sizeof(struct bdus_driver)};
static const struct kind filter_kind = {"filter", BDUS_FILTER_SYMBOL, "BDUS_FILTER_EXPORT",
					BDUS_FILTER_ABI, sizeof(struct bdus_filter)};

/** How the tables of all kinds begin. */
struct table {
	uint32_t abi;
	uint32_t size;
	const char *name;
	const char *summary;
};

typedef const struct table *entry_fn(void);

static_assert(offsetof(struct bdus_driver, summary) == offsetof(struct table, summary) &&
		      offsetof(struct bdus_filter, summary) == offsetof(struct table, summary),
	      "drivers and filters begin alike");

static int check_file(const struct kind *kind, const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return base_error_errno(errno, "%s %s", kind->word, path);
	if (!S_ISREG(status.st_mode))
		return base_error(ELIBBAD, "%s %s: must be a shared object, is %s", kind->word,
				  path,
				  S_ISDIR(status.st_mode) ? "a directory" : "not a regular file");
	if (access(path, R_OK) != 0)
		return base_error_errno(errno, "%s %s", kind->word, path);
	return 0;
}

static int check_table(const struct kind *kind, const char *path, const struct table *table)
{
	if (table == NULL)
		return base_error(ENOEXEC, "%s %s: its %s() gave nothing", kind->word, path,
				  kind->symbol);
	if (table->abi != kind->abi)
		return base_error(
			EPROTO,
			"%s %s: was built for version %u of the %s interface; this BDUS has "
			"version %u",
			kind->word, path, table->abi, kind->word, kind->abi);
	if (table->size < kind->size)
		return base_error(EPROTO,
				  "%s %s: its table has %u bytes; version %u of the %s interface "
				  "has %zu",
				  kind->word, path, table->size, kind->abi, kind->word, kind->size);
	if (table->name == NULL || table->summary == NULL)
		return base_error(ENOEXEC, "%s %s: has no name or no summary", kind->word, path);
	return 0;
}

/** dlopen() looks for names without a slash elsewhere; what a user writes is always a path. */
static void *open_object(const char *path)
{
	char here[4096];

	if (strchr(path, '/') != NULL)
		return dlopen(path, RTLD_NOW | RTLD_LOCAL);
	snprintf(here, sizeof(here), "./%s", path);
	return dlopen(here, RTLD_NOW | RTLD_LOCAL);
}

/** Stores the table that the object's entry function gives. */
static int load(const struct kind *kind, const char *path, const struct table **table)
{
	const struct table *loaded;
	void *object;
	entry_fn *entry;
	int result = check_file(kind, path);

	if (result < 0)
		return result;
	object = open_object(path);
	if (object == NULL)
		return base_error(ELIBBAD, "%s %s: %s", kind->word, path, dlerror());
	*(void **)&entry = dlsym(object, kind->symbol);
	if (entry == NULL) {
		dlclose(object);
		return base_error(ENOEXEC, "%s %s: has no %s(); it must end with %s(…)", kind->word,
				  path, kind->symbol, kind->macro);
	}
	loaded = entry();
	result = check_table(kind, path, loaded);
	if (result < 0) {
		dlclose(object);
		return result;
	}
	*table = loaded;
	return 0;
}

int bdus_manage_load_driver(const char *path, const struct bdus_driver **driver)
{
	const struct table *table;
	const int result = load(&driver_kind, path, &table);

	if (result == 0)
		*driver = (const void *)table;
	return result;
}

int bdus_manage_load_filter(const char *path, const struct bdus_filter **filter)
{
	const struct table *table;
	const int result = load(&filter_kind, path, &table);

	if (result == 0)
		*filter = (const void *)table;
	return result;
}
