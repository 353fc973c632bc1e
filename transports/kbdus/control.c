/* SPDX-License-Identifier: MIT */
/*
 * Files of /dev/bdus-control, and commands on them. None of these waits but for the kernel's
 * memory.
 */
#include "base/error.h"
#include "kbdus_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

void kbdus_path(char path[KBDUS_PATH_BYTES], uint64_t id)
{
	snprintf(path, KBDUS_PATH_BYTES, "/dev/bdus-%" PRIu64, id);
}

int kbdus_control_run(int fd, enum kbdus_abi_command command, void *argument)
{
	const int result = ioctl(fd, (unsigned long)command, argument);

	return result < 0 ? -errno : result;
}

int kbdus_control_version(int fd, struct kbdus_abi_version *version)
{
	return kbdus_control_run(fd, KBDUS_ABI_COMMAND_VERSION, version);
}

static int explain(int error)
{
	if (error == ENOENT || error == ENODEV || error == ENXIO)
		return base_error(ENODEV, "there is no " KBDUS_CONTROL_PATH ": the kernel module "
					  "kbdus is not loaded (try: modprobe kbdus)");
	if (error == EACCES || error == EPERM)
		return base_error(EACCES, "no permission to open " KBDUS_CONTROL_PATH ": be root");
	return base_error_errno(error, "cannot open " KBDUS_CONTROL_PATH);
}

static int check_version(int fd)
{
	struct kbdus_abi_version version;
	const int result = kbdus_control_version(fd, &version);

	if (result < 0)
		return base_error(EPROTO, KBDUS_CONTROL_PATH " is not one of the module kbdus");
	if (kbdus_abi_version_abi(&version) != KBDUS_ABI_VERSION_NUMBER)
		return base_error(EPROTO,
				  "the kernel module kbdus %u.%u.%u has interface %u, but this "
				  "library wants %u",
				  kbdus_abi_version_major(&version),
				  kbdus_abi_version_minor(&version),
				  kbdus_abi_version_patch(&version),
				  kbdus_abi_version_abi(&version), KBDUS_ABI_VERSION_NUMBER);
	return 0;
}

int kbdus_control_open(void)
{
	const int fd = open(KBDUS_CONTROL_PATH, O_RDWR | O_CLOEXEC);
	int result;

	if (fd < 0)
		return explain(errno);
	result = check_version(fd);
	if (result < 0) {
		close(fd);
		return result;
	}
	return fd;
}
