/* SPDX-License-Identifier: MIT */
/*
 * Ending and deleting devices, our own and those of others, alive or not.
 *
 * The kernel has traps here. Deleting waits for everybody who holds the device open; before 6.9 it
 * makes all other creating and deleting on the machine wait along, beyond the reach of signals, and
 * two who delete the same device wait for one another for ever. And stopping waits for the requests
 * that a server holds, which keeps the process that asked for it from exiting. So there nothing is
 * deleted before nobody uses it, and under a lock; and devices are stopped by errands.
 */
#include "base/clock.h"
#include "base/error.h"
#include "ublk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define PAUSE_US 5000

/** How long the number of a deleted device is waited for; whoever still has it open keeps it. */
#define NUMBER_TIMEOUT_MS 2000

/** Sleeps a little; false once the time is over. */
static bool wait_a_little(struct ublk_patience *patience, const char *waiting_for)
{
	const uint64_t now_ns = base_now_ns();
	const uint64_t waited_ms = (now_ns - patience->started_ns) / 1000000U;

	if (now_ns >= patience->deadline_ns)
		return false;
	if (patience->progress && waited_ms / 1000 > patience->told_s) {
		patience->told_s = waited_ms / 1000;
		patience->progress(waited_ms, waiting_for, patience->opaque);
	}
	usleep(PAUSE_US);
	return true;
}

static bool is_unprivileged(const struct ublk_abi_dev_info *answer)
{
	return (ublk_abi_dev_info_flags(answer) & UBLK_ABI_F_UNPRIVILEGED) != 0;
}

static int run_plain(struct ublk_control *control, unsigned number,
		     const struct ublk_abi_dev_info *answer)
{
	const struct ublk_command command = {
		.number = number,
		.device = ublk_abi_dev_info_dev_id(answer),
		.with_path = is_unprivileged(answer),
	};

	return ublk_control_run(control, &command);
}

/* ---- deleting ------------------------------------------------------------------------------ */

/*
 * Whether somebody has the disk of a stopped device open: as long as that is so, the kernel refuses
 * parameters with -EACCES. These are refused in any case, for they make no sense.
 */
static bool disk_is_open(struct ublk_control *control, const struct ublk_abi_dev_info *answer)
{
	struct ublk_abi_params params = {0};
	const struct ublk_command command = {
		.number = UBLK_ABI_CTRL_SET_PARAMS,
		.device = ublk_abi_dev_info_dev_id(answer),
		.payload = &params,
		.payload_bytes = sizeof(params),
		.with_path = is_unprivileged(answer),
	};

	ublk_abi_params_set_len(&params, sizeof(params));
	ublk_abi_params_set_types(&params, UBLK_ABI_PARAM_BASIC);
	return ublk_control_run(control, &command) == -EACCES;
}

/* Whether the device that was asked about in @answer is still there, and not another by its number.
 */
static bool is_same(struct ublk_control *control, const struct ublk_abi_dev_info *answer)
{
	struct ublk_abi_dev_info now;

	return ublk_control_get_info(control, ublk_abi_dev_info_dev_id(answer), &now) == 0 &&
	       ublk_abi_dev_info_server_flags(&now) == ublk_abi_dev_info_server_flags(answer);
}

static int delete_alone(struct ublk_control *control, const struct ublk_abi_dev_info *answer,
			struct ublk_patience *patience)
{
	const int lock = open(UBLK_CONTROL_PATH, O_RDWR | O_CLOEXEC);
	int result = 0;

	if (lock < 0)
		return base_error_errno(errno, "cannot open " UBLK_CONTROL_PATH);
	while (result == 0 && flock(lock, LOCK_EX | LOCK_NB) != 0) {
		if (!wait_a_little(patience, "another process that deletes a ublk device"))
			result = base_error(ETIMEDOUT, "ublk: another process has been deleting a "
						       "device for long");
	}
	if (result == 0 && is_same(control, answer))
		result = run_plain(control, UBLK_ABI_CTRL_DEL_DEV, answer);
	close(lock);
	return result == -ENODEV ? 0 : result;
}

static int delete_unused(struct ublk_control *control, const struct ublk_abi_dev_info *answer,
			 struct ublk_patience *patience)
{
	char text[64];

	snprintf(text, sizeof(text), "those who still have /dev/ublkb%u open",
		 ublk_abi_dev_info_dev_id(answer));
	while (disk_is_open(control, answer) || ublk_is_served(ublk_abi_dev_info_dev_id(answer))) {
		if (!wait_a_little(patience, text))
			return base_error(ETIMEDOUT,
					  "ublk: device %u is stopped, but cannot be deleted while "
					  "somebody has it open; destroy it once more then",
					  ublk_abi_dev_info_dev_id(answer));
	}
	return delete_alone(control, answer, patience);
}

static void wait_for_number(struct ublk_control *control, const struct ublk_abi_dev_info *answer)
{
	struct ublk_patience patience = {
		.started_ns = base_now_ns(),
		.deadline_ns = base_deadline_ns(NUMBER_TIMEOUT_MS),
	};
	struct ublk_abi_dev_info now;
	const struct ublk_command command = {
		.number = UBLK_ABI_CTRL_GET_DEV_INFO,
		.device = ublk_abi_dev_info_dev_id(answer),
		.payload = &now,
		.payload_bytes = sizeof(now),
		.with_path = is_unprivileged(answer),
	};

	while (ublk_control_run(control, &command) >= 0 && wait_a_little(&patience, ""))
		;
}

int ublk_delete(struct ublk_control *control, const struct ublk_abi_dev_info *answer,
		struct ublk_patience *patience)
{
	const int result = run_plain(control, UBLK_ABI_CTRL_DEL_DEV_ASYNC, answer);

	if (result == -ENODEV)
		return 0;
	/* Kernels before 6.9 lack it, and all of them for unprivileged devices. */
	if (result == -EOPNOTSUPP || result == -EINVAL)
		return delete_unused(control, answer, patience);
	if (result < 0)
		return result;
	wait_for_number(control, answer);
	return 0;
}

/* ---- stopping ------------------------------------------------------------------------------ */

/* Until its server has let go of the device: 1, or 0 when the device is gone by then. */
static int wait_for_server(struct ublk_control *control, const struct ublk_abi_dev_info *answer,
			   struct ublk_patience *patience)
{
	struct ublk_abi_dev_info now;
	char text[80];
	int result;

	for (;;) {
		result = ublk_control_get_info(control, ublk_abi_dev_info_dev_id(answer), &now);
		if (result == -ENODEV ||
		    (result == 0 && ublk_abi_dev_info_server_flags(&now) !=
					    ublk_abi_dev_info_server_flags(answer)))
			return 0;
		if (result < 0)
			return result;
		if (!ublk_is_alive(&now))
			return 1;
		if (ublk_abi_dev_info_state(&now) == UBLK_ABI_STATE_DEAD)
			snprintf(text, sizeof(text), "its process to let go of /dev/ublkc%u",
				 ublk_abi_dev_info_dev_id(&now));
		else
			snprintf(text, sizeof(text), "process %d to finish its requests",
				 ublk_abi_dev_info_server_pid(&now));
		if (!wait_a_little(patience, text))
			return base_error(ETIMEDOUT, "ublk: still waiting for %s", text);
	}
}

/* Until @errand has ended; -ENODEV of that is no error. */
static int wait_for_errand(struct ublk_errand *errand, struct ublk_patience *patience)
{
	int result = 0;

	while (ublk_errand_wait(errand, 0, &result) == 0) {
		if (!wait_a_little(patience, "the kernel to stop the device"))
			return base_error(ETIMEDOUT, "ublk: the kernel still has not stopped the "
						     "device");
	}
	if (result < 0 && result != -ENODEV)
		return base_error_errno(-result, "ublk: the kernel failed STOP_DEV");
	return 0;
}

/* The errand outlives us if need be. */
static int stop(struct ublk_control *control, struct ublk_errand *errand,
		const struct ublk_abi_dev_info *answer, struct ublk_patience *patience)
{
	const struct ublk_command command = {
		.number = UBLK_ABI_CTRL_STOP_DEV,
		.device = ublk_abi_dev_info_dev_id(answer),
		.with_path = is_unprivileged(answer),
	};
	int result = ublk_errand_begin(errand, &command);

	if (result == 0)
		result = wait_for_server(control, answer, patience);
	if (result > 0) {
		result = wait_for_errand(errand, patience);
		return result < 0 ? result : 1;
	}
	return result;
}

static int stop_and_delete(struct ublk_control *control, const struct ublk_abi_dev_info *answer,
			   struct ublk_patience *patience)
{
	struct ublk_errand *errand;
	int result = ublk_errand_create(control, &errand);

	if (result < 0)
		return result;
	result = stop(control, errand, answer, patience);
	ublk_errand_destroy(errand);
	return result <= 0 ? result : ublk_delete(control, answer, patience);
}

/* ---- the whole of it ----------------------------------------------------------------------- */

struct search {
	uint64_t id;
	struct ublk_abi_dev_info answer;
};

static int match_id(const struct ublk_abi_dev_info *answer, void *opaque)
{
	struct search *const search = opaque;

	if (ublk_tag_to_id(ublk_abi_dev_info_server_flags(answer)) != search->id)
		return 0;
	search->answer = *answer;
	return 1;
}

/* 1 when the kernel still has the device that @info is about, 0 when not. */
static int find_again(struct ublk_control *control, const struct bdus_device_info *info,
		      struct ublk_abi_dev_info *answer)
{
	const int64_t number = ublk_number_from_path(info->native_path);
	struct search search = {.id = info->id};
	int result;

	if (number < 0) {
		result = info->id != BDUS_ID_NONE ? ublk_for_each(control, match_id, &search) : 0;
		*answer = search.answer;
		return result;
	}
	result = ublk_control_get_info(control, (uint32_t)number, answer);
	if (result < 0)
		return result == -ENODEV ? 0 : result;
	/* Another tag: the number has gone to another device. */
	if (ublk_tag_to_id(ublk_abi_dev_info_server_flags(answer)) != info->id)
		return 0;
	if (info->id == BDUS_ID_NONE && ublk_is_alive(answer))
		return base_error(EINVAL, "%s belongs to another ublk server, which runs",
				  info->native_path);
	return 1;
}

int ublk_remove(const struct bdus_device_info *info, uint64_t deadline_ns,
		bdus_progress_fn *progress, void *opaque)
{
	struct ublk_patience patience = {
		.started_ns = base_now_ns(),
		.deadline_ns = deadline_ns,
		.progress = progress,
		.opaque = opaque,
	};
	struct ublk_abi_dev_info answer;
	struct ublk_control *control;
	int result = ublk_control_create(&control);

	if (result < 0)
		return result == -ENODEV ? 0 : result;
	result = find_again(control, info, &answer);
	if (result > 0)
		result = stop_and_delete(control, &answer, &patience);
	ublk_control_destroy(control);
	return result;
}
