/* SPDX-License-Identifier: MIT */
/*
 * Commands on /dev/ublk-control, one at a time. The kernel runs them in threads of its own, so that
 * each can be waited for with a limit.
 *
 * A command that outlives its limit may still read and write its payload. Payloads are therefore
 * copied through memory of the channel, which is left to the kernel when a command is still under
 * way at the end.
 *
 * Owner: the thread that created the channel, or a child of its process: see errand.c.
 */
#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "ublk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/** Room for a path and a payload. */
#define BUFFER_BYTES 512

/** How long a cancelled command has to come back. */
#define CANCEL_TIMEOUT_MS 1000

/** Enough for one command and for what cancels it. */
#define RING_ENTRIES 2

struct ublk_control {
	struct io_uring ring;
	int fd;
	/* The credentials of whoever created the channel, for drivers that give up theirs later. */
	uint16_t personality;
	uint64_t features;
	bool encoded;

	/* Tells a completion of this command from that of an earlier one; 0 before the first. */
	uint64_t generation;
	bool pending;
	unsigned number;
	uint32_t device;
	int result;
	/* Path and payload; what the kernel reads and writes. */
	char *buffer;
};

void ublk_char_path(char path[UBLK_PATH_BYTES], uint32_t device)
{
	snprintf(path, UBLK_PATH_BYTES, "/dev/ublkc%u", device);
}

void ublk_block_path(char path[UBLK_PATH_BYTES], uint32_t device)
{
	snprintf(path, UBLK_PATH_BYTES, "/dev/ublkb%u", device);
}

static const char *command_name(unsigned number)
{
	switch (number) {
	case UBLK_ABI_CTRL_GET_DEV_INFO:
		return "GET_DEV_INFO";
	case UBLK_ABI_CTRL_ADD_DEV:
		return "ADD_DEV";
	case UBLK_ABI_CTRL_DEL_DEV:
		return "DEL_DEV";
	case UBLK_ABI_CTRL_START_DEV:
		return "START_DEV";
	case UBLK_ABI_CTRL_STOP_DEV:
		return "STOP_DEV";
	case UBLK_ABI_CTRL_SET_PARAMS:
		return "SET_PARAMS";
	case UBLK_ABI_CTRL_GET_DEV_INFO2:
		return "GET_DEV_INFO2";
	case UBLK_ABI_CTRL_GET_FEATURES:
		return "GET_FEATURES";
	case UBLK_ABI_CTRL_DEL_DEV_ASYNC:
		return "DEL_DEV_ASYNC";
	default:
		return "an unknown command";
	}
}

/* For messages: "START_DEV of ublk device 3". */
static const char *describe(const struct ublk_control *control, char text[64])
{
	if (control->device == UBLK_ABI_ANY_DEVICE)
		snprintf(text, 64, "%s", command_name(control->number));
	else
		snprintf(text, 64, "%s of ublk device %u", command_name(control->number),
			 control->device);
	return text;
}

static uint32_t encode(const struct ublk_control *control, unsigned number)
{
	if (!control->encoded)
		return number;
	switch (number) {
	case UBLK_ABI_CTRL_GET_DEV_INFO:
	case UBLK_ABI_CTRL_GET_DEV_INFO2:
	case UBLK_ABI_CTRL_GET_FEATURES:
	case UBLK_ABI_CTRL_DEL_DEV_ASYNC:
		return (uint32_t)UBLK_ENCODE_READ(number);
	default:
		return (uint32_t)UBLK_ENCODE_EXCHANGE(number);
	}
}

/* ---- submission and completion ------------------------------------------------------------- */

/* Copies path and payload into the buffer; returns the length of the path with its zero. */
static uint16_t fill_buffer(struct ublk_control *control, const struct ublk_command *command)
{
	char path[UBLK_PATH_BYTES];
	size_t path_bytes = 0;

	if (command->with_path) {
		ublk_char_path(path, command->device);
		path_bytes = strlen(path) + 1;
		memcpy(control->buffer, path, path_bytes);
	}
	if (command->payload_bytes != 0)
		memcpy(control->buffer + path_bytes, command->payload, command->payload_bytes);
	return (uint16_t)path_bytes;
}

/* A submission entry of 128 bytes: the usual 64, of which the command's body begins in the last 16.
 */
union long_entry {
	struct io_uring_sqe usual;
	struct {
		unsigned char head[offsetof(struct io_uring_sqe, addr3)];
		unsigned char body[128 - offsetof(struct io_uring_sqe, addr3)];
	};
};

static void fill_entry(struct ublk_control *control, struct io_uring_sqe *sqe,
		       const struct ublk_command *command)
{
	const uint16_t path_bytes = fill_buffer(control, command);
	const size_t bytes = path_bytes + command->payload_bytes;
	struct ublk_abi_ctrl_cmd body = {0};
	union long_entry entry;

	ublk_abi_ctrl_cmd_set_dev_id(&body, command->device);
	ublk_abi_ctrl_cmd_set_queue_id(&body, UINT16_MAX);
	ublk_abi_ctrl_cmd_set_len(&body, (uint16_t)bytes);
	ublk_abi_ctrl_cmd_set_addr(&body, bytes != 0 ? (uintptr_t)control->buffer : 0);
	ublk_abi_ctrl_cmd_set_data(&body, command->data);
	ublk_abi_ctrl_cmd_set_dev_path_len(&body, path_bytes);
	memset(&entry, 0, sizeof(entry));
	entry.usual.opcode = IORING_OP_URING_CMD;
	entry.usual.fd = control->fd;
	entry.usual.personality = control->personality;
	entry.usual.cmd_op = encode(control, command->number);
	entry.usual.user_data = control->generation;
	memcpy(entry.body, &body, sizeof(body));
	memcpy(sqe, &entry, sizeof(entry));
}

int ublk_control_begin(struct ublk_control *control, const struct ublk_command *command)
{
	struct io_uring_sqe *sqe;
	char text[64];
	int result;

	if (control->pending)
		return base_error(EBUSY, "ublk: %s has not ended yet", describe(control, text));
	sqe = io_uring_get_sqe(&control->ring);
	if (!sqe)
		return base_error(EBUSY, "ublk: the ring for control commands is full");
	control->generation++;
	control->number = command->number;
	control->device = command->device;
	fill_entry(control, sqe, command);
	do {
		result = io_uring_submit(&control->ring);
	} while (result == -EINTR);
	if (result < 0)
		return base_error_errno(-result, "ublk: cannot submit %s", describe(control, text));
	control->pending = true;
	return 0;
}

static void take_completions(struct ublk_control *control)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&control->ring, &cqe) == 0) {
		if (control->pending && cqe->user_data == control->generation) {
			control->pending = false;
			control->result = cqe->res;
		}
		io_uring_cqe_seen(&control->ring, cqe);
	}
}

/* Whether the command has ended by @deadline_ns. */
static bool wait_for_end(struct ublk_control *control, uint64_t deadline_ns)
{
	struct __kernel_timespec timeout;
	struct io_uring_cqe *cqe;
	uint64_t now_ns;

	for (;;) {
		take_completions(control);
		now_ns = base_now_ns();
		if (!control->pending || now_ns >= deadline_ns)
			return !control->pending;
		timeout.tv_sec = (long long)((deadline_ns - now_ns) / 1000000000U);
		timeout.tv_nsec = (long long)((deadline_ns - now_ns) % 1000000000U);
		io_uring_wait_cqe_timeout(&control->ring, &cqe, &timeout);
	}
}

bool ublk_control_ended(struct ublk_control *control, uint64_t deadline_ns, int *result)
{
	if (!wait_for_end(control, deadline_ns))
		return false;
	*result = control->result;
	return true;
}

static void cancel(struct ublk_control *control)
{
	struct io_uring_sqe *const sqe = io_uring_get_sqe(&control->ring);

	if (!sqe)
		return;
	memset(sqe, 0, 2 * sizeof(*sqe));
	io_uring_prep_cancel64(sqe, control->generation, 0);
	/* No command has this generation: the cancellation's own end is of no interest. */
	sqe->user_data = 0;
	io_uring_submit(&control->ring);
	wait_for_end(control, base_deadline_ns(CANCEL_TIMEOUT_MS));
}

static int finish(struct ublk_control *control, const struct ublk_command *command)
{
	char path[UBLK_PATH_BYTES], text[64];

	if (control->result < 0)
		return base_error_errno(-control->result, "ublk: the kernel failed %s",
					describe(control, text));
	ublk_char_path(path, command->device);
	if (command->payload_bytes != 0)
		memcpy(command->payload,
		       control->buffer + (command->with_path ? strlen(path) + 1 : 0),
		       command->payload_bytes);
	return control->result;
}

int ublk_control_run(struct ublk_control *control, const struct ublk_command *command)
{
	const size_t path_bytes = command->with_path ? UBLK_PATH_BYTES : 0;
	char text[64];
	int result;

	if (path_bytes + command->payload_bytes > BUFFER_BYTES)
		return base_error(EINVAL, "ublk: a payload of %zu bytes for %s is too long",
				  command->payload_bytes, command_name(command->number));
	result = ublk_control_begin(control, command);
	if (result < 0)
		return result;
	if (wait_for_end(control, base_deadline_ns(UBLK_COMMAND_TIMEOUT_MS)))
		return finish(control, command);
	cancel(control);
	return base_error(ETIMEDOUT, "ublk: the kernel has not ended %s in %d s",
			  describe(control, text), UBLK_COMMAND_TIMEOUT_MS / 1000);
}

int ublk_control_run_without_limit(struct ublk_control *control, const struct ublk_command *command)
{
	const int result = ublk_control_begin(control, command);

	if (result < 0)
		return result;
	wait_for_end(control, UINT64_MAX);
	return finish(control, command);
}

/* ---- opening ------------------------------------------------------------------------------- */

static int open_control(void)
{
	const int fd = open(UBLK_CONTROL_PATH, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return base_error(ENODEV, "there is no " UBLK_CONTROL_PATH ": the kernel's ublk "
					  "driver is not loaded (try: modprobe ublk_drv) or not "
					  "part of this kernel");
	if (errno == EACCES || errno == EPERM)
		return base_error(EACCES, "no permission to open " UBLK_CONTROL_PATH ": be root, "
					  "or let a udev rule give this user access");
	return base_error_errno(errno, "cannot open " UBLK_CONTROL_PATH);
}

static long read_disabled_level(void)
{
	const int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
	char text[16];
	ssize_t length;

	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	return strtol(text, NULL, 10);
}

static int explain_ring_failure(int errnum)
{
	const long level = read_disabled_level();

	if (errnum == EPERM && level != 0)
		return base_error(EPERM,
				  "io_uring, which ublk needs, is turned off by the sysctl "
				  "kernel.io_uring_disabled=%ld",
				  level);
	if (errnum == EPERM)
		return base_error(EPERM, "io_uring, which ublk needs, is forbidden to this process "
					 "(by a seccomp filter, as in many containers)");
	if (errnum == ENOSYS)
		return base_error(ENOSYS, "this kernel has no io_uring, which ublk needs");
	return base_error_errno(errnum, "cannot create an io_uring with 128-byte entries, which "
					"ublk needs");
}

/* Kernels before 6.5 do not know the command, and say so in different words. */
static void get_features(struct ublk_control *control)
{
	uint64_t features = 0;
	const struct ublk_command command = {
		.number = UBLK_ABI_CTRL_GET_FEATURES,
		.device = UBLK_ABI_ANY_DEVICE,
		.payload = &features,
		.payload_bytes = sizeof(features),
	};

	control->encoded = true;
	if (ublk_control_run(control, &command) < 0)
		control->encoded = false;
	else
		control->features = features;
}

/* liburing 2.3 declares functions for these registrations, but its shared library lacks them. */
static int register_with(const struct ublk_control *control, unsigned what, void *argument,
			 unsigned count)
{
	const long result =
		syscall(SYS_io_uring_register, control->ring.ring_fd, what, argument, count);

	return result < 0 ? -errno : (int)result;
}

/*
 * A driver may drop its privileges before the device is started, and the commands after that need
 * them all the same. So the ring keeps them, for these commands and nothing else: it takes no other
 * operation, and no more registrations, from then on. Where this fails, a command may later.
 */
static int keep_privileges(struct ublk_control *control)
{
	struct io_uring_restriction rules[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_URING_CMD},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_ASYNC_CANCEL},
		{.opcode = IORING_RESTRICTION_REGISTER_OP,
		 .register_op = IORING_REGISTER_ENABLE_RINGS},
	};
	const int personality = register_with(control, IORING_REGISTER_PERSONALITY, NULL, 0);

	if (personality > 0 && register_with(control, IORING_REGISTER_RESTRICTIONS, rules,
					     BASE_ARRAY_LENGTH(rules)) == 0)
		control->personality = (uint16_t)personality;
	return register_with(control, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int init_ring(struct ublk_control *control)
{
	int result = io_uring_queue_init(RING_ENTRIES, &control->ring,
					 IORING_SETUP_SQE128 | IORING_SETUP_R_DISABLED);

	if (result < 0)
		return explain_ring_failure(-result);
	result = keep_privileges(control);
	if (result == 0)
		return 0;
	io_uring_queue_exit(&control->ring);
	return base_error_errno(-result, "cannot enable the ring for ublk's commands");
}

static int init_control(struct ublk_control *control)
{
	int result;

	control->buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (control->buffer == MAP_FAILED)
		return base_error_errno(errno, "cannot map memory for ublk's commands");
	control->fd = open_control();
	if (control->fd < 0) {
		result = control->fd;
		goto unmap;
	}
	result = init_ring(control);
	if (result == 0)
		return 0;
	close(control->fd);
unmap:
	munmap(control->buffer, BUFFER_BYTES);
	return result;
}

static int create(struct ublk_control **result_control)
{
	struct ublk_control *const control = calloc(1, sizeof(*control));
	int result;

	if (!control)
		return base_error(ENOMEM, "out of memory");
	result = init_control(control);
	if (result < 0) {
		free(control);
		return result;
	}
	*result_control = control;
	return 0;
}

int ublk_control_create(struct ublk_control **control)
{
	const int result = create(control);

	if (result == 0)
		get_features(*control);
	return result;
}

int ublk_control_create_like(const struct ublk_control *other, struct ublk_control **control)
{
	const int result = create(control);

	if (result < 0)
		return result;
	(*control)->features = other->features;
	(*control)->encoded = other->encoded;
	return 0;
}

void ublk_control_destroy(struct ublk_control *control)
{
	if (!control)
		return;
	take_completions(control);
	io_uring_queue_exit(&control->ring);
	close(control->fd);
	if (!control->pending)
		munmap(control->buffer, BUFFER_BYTES);
	free(control);
}

void ublk_control_get_files(const struct ublk_control *control, int fds[2])
{
	fds[0] = control->fd;
	fds[1] = control->ring.ring_fd;
}

uint64_t ublk_control_features(const struct ublk_control *control)
{
	return control->features;
}

bool ublk_control_is_encoded(const struct ublk_control *control)
{
	return control->encoded;
}

int ublk_control_get_info(struct ublk_control *control, uint32_t device,
			  struct ublk_abi_dev_info *info)
{
	struct ublk_abi_dev_info answer = {0};
	struct ublk_command command = {
		.number = UBLK_ABI_CTRL_GET_DEV_INFO2,
		.device = device,
		.payload = &answer,
		.payload_bytes = sizeof(answer),
		.with_path = true,
	};
	int result;

	ublk_abi_dev_info_set_dev_id(&answer, device);
	result = ublk_control_run(control, &command);
	/* Older kernels have only the other one; privileged users need no path. */
	if (result < 0 && result != -ENODEV) {
		command.number = UBLK_ABI_CTRL_GET_DEV_INFO;
		command.with_path = false;
		result = ublk_control_run(control, &command);
	}
	if (result < 0)
		return result;
	*info = answer;
	return 0;
}
