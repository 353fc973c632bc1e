/* SPDX-License-Identifier: MIT */
/*
 * What keeps a process able to serve a block device when memory is short, and the capability that
 * the kernel's ublk driver asks about.
 */
#include "ublk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OOM_PATH "/proc/self/oom_score_adj"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* All under the lock. */
static unsigned protected_devices;
static bool changed;
static char previous[16];

static bool read_score(char score[sizeof(previous)])
{
	const int fd = open(OOM_PATH, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return false;
	length = read(fd, score, sizeof(previous) - 1);
	close(fd);
	score[length > 0 ? length : 0] = '\0';
	return length > 0;
}

static bool write_score(const char *score)
{
	const int fd = open(OOM_PATH, O_WRONLY | O_CLOEXEC);
	bool written;

	if (fd < 0)
		return false;
	written = write(fd, score, strlen(score)) == (ssize_t)strlen(score);
	close(fd);
	return written;
}

/*
 * A server that is killed for want of memory takes its disk with it. Lowering the score takes
 * CAP_SYS_RESOURCE; without that, a score that somebody had raised can still be taken back.
 */
void ublk_protect_process(void)
{
	pthread_mutex_lock(&lock);
	if (protected_devices++ == 0 && read_score(previous))
		changed = write_score("-1000") || (previous[0] != '-' && write_score("0"));
	pthread_mutex_unlock(&lock);
}

void ublk_unprotect_process(void)
{
	pthread_mutex_lock(&lock);
	if (--protected_devices == 0 && changed) {
		write_score(previous);
		changed = false;
	}
	pthread_mutex_unlock(&lock);
}

/*
 * Without it, an allocation by the server may make the kernel write dirty pages to the device that
 * the server itself serves, and wait for that. Takes CAP_SYS_RESOURCE; inherited by new threads.
 */
void ublk_protect_thread(void)
{
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

/* ---- capabilities -------------------------------------------------------------------------- */

#define PRIVILEGE_INDEX CAP_TO_INDEX(CAP_SYS_ADMIN)
#define PRIVILEGE_MASK  CAP_TO_MASK(CAP_SYS_ADMIN)

typedef struct __user_cap_data_struct capability_sets[_LINUX_CAPABILITY_U32S_3];

static int get_capabilities(capability_sets sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, sets) == 0 ? 0 : -errno;
}

/* The system call is about the calling thread only, and the C library knows nothing of it. */
static int set_privilege(bool effective)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	capability_sets sets;
	const int result = get_capabilities(sets);

	if (result < 0)
		return result;
	if (effective)
		sets[PRIVILEGE_INDEX].effective |= PRIVILEGE_MASK;
	else
		sets[PRIVILEGE_INDEX].effective &= ~PRIVILEGE_MASK;
	return syscall(SYS_capset, &header, sets) == 0 ? 0 : -errno;
}

bool ublk_has_privilege(void)
{
	capability_sets sets;

	return get_capabilities(sets) == 0 &&
	       (sets[PRIVILEGE_INDEX].effective & PRIVILEGE_MASK) != 0;
}

int ublk_hide_privilege(void)
{
	return set_privilege(false);
}

int ublk_restore_privilege(void)
{
	return set_privilege(true);
}
