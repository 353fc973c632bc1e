/* SPDX-License-Identifier: MIT */
/*
 * The asking side: from the id of a device to what its process says.
 *
 * Every wait has an end or, where the caller wants none, tells once a second what it waits for.
 */
#include "control_internal.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"

#include <bdus/stats.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** How long a caller waits before it tries again to be let in. */
#define CONNECT_PAUSE_MS 5
#define WAIT_MS          1000
/** What an answer may have: a reply, or a sentence. */
#define ANSWER_BYTES CONTROL_FILTER_ANSWER_SIZE

_Static_assert(ANSWER_BYTES >= CONTROL_DEVICE_SIZE && ANSWER_BYTES >= BASE_ERROR_MESSAGE_BYTES,
	       "room for every answer");

/** A call of one operation. */
struct question {
	uint64_t id;
	uint32_t operation;
	/** For messages: what the process is asked for. */
	const char *what;
	const void *request;
	size_t request_bytes;
	uint64_t deadline_ns;
	bdus_progress_fn *progress;
	void *opaque;
};

/* ---- errors -------------------------------------------------------------------------------- */

/** Whose device it is, by its record. */
static bool find_owner(uint64_t id, uid_t *owner)
{
	char directory[CONTROL_PATH / 2];
	char path[CONTROL_PATH];
	struct stat status;

	if (bdus_registry_directory(directory, sizeof(directory)) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/%llu.dev", directory, (unsigned long long)id);
	if (stat(path, &status) != 0)
		return false;
	*owner = status.st_uid;
	return true;
}

static int refuse_stranger(uint64_t id)
{
	uid_t owner;

	if (!find_owner(id, &owner))
		return base_error(EPERM, "device %llu belongs to another user",
				  (unsigned long long)id);
	return base_error(EPERM,
			  "device %llu belongs to user %u: only that user and root may "
			  "look after it",
			  (unsigned long long)id, (unsigned)owner);
}

/** An error of caps as ours. */
static int not_reached(const struct question *question, int error)
{
	if (error == -EACCES)
		return refuse_stranger(question->id);
	if (error == -ENOENT)
		return base_error(ENOENT, "no process answers for device %llu",
				  (unsigned long long)question->id);
	if (error == -ENOTCONN)
		return base_error(ECONNRESET, "the driver ended before it was asked for '%s'",
				  question->what);
	return base_error(-error, "cannot reach the process of device %llu: %s",
			  (unsigned long long)question->id, caps_error());
}

/** What the process answered in place of a reply: a sentence, or a word of caps itself. */
static int refused(const struct question *question, const struct caps_message *answer)
{
	if (answer->error == -EACCES)
		return refuse_stranger(question->id);
	if (answer->error == -ECONNRESET || answer->error == -ESHUTDOWN)
		return base_error(ECONNRESET, "the driver ended before it answered to '%s'",
				  question->what);
	if (answer->error >= 0 || answer->error < -4095)
		return base_error(EPROTO, "the driver gave a strange answer to '%s': %d",
				  question->what, answer->error);
	if (answer->length != 0)
		return base_error(-answer->error, "%.*s", (int)base_min(answer->length, 512),
				  (const char *)answer->data);
	return base_error_errno(-answer->error, "the driver did not do '%s'", question->what);
}

/* ---- asking -------------------------------------------------------------------------------- */

/** Connects, which a driver with too many callers at once lets wait. */
static int connect_in_turn(const struct question *question, struct bdus_wait *wait,
			   struct caps_port **port)
{
	char folder[CONTROL_PATH];
	struct caps_client_options options = {.size = sizeof(options), .directory = folder};
	int result = control_folder(question->id, folder);
	uid_t owner;

	if (result < 0)
		return result;
	/* Root looks after the devices of all, each of which answers in its owner's namespace. */
	if (geteuid() == 0 && find_owner(question->id, &owner)) {
		options.users = &owner;
		options.user_count = 1;
	}
	control_caps_connect(&options);
	while ((result = caps_connect(CONTROL_NAME, &options, port)) == -EAGAIN) {
		result = bdus_wait_sleep(wait, CONNECT_PAUSE_MS);
		if (result < 0)
			return result;
	}
	return result < 0 ? not_reached(question, result) : 0;
}

static int wait_for_answer(struct caps_port *port, uint64_t id, struct bdus_wait *wait,
			   struct caps_message *answer, char buffer[ANSWER_BYTES])
{
	int result;

	do {
		const int timeout_ms = bdus_wait_step(wait, WAIT_MS);

		if (timeout_ms < 0)
			return timeout_ms;
		result = caps_wait(port, id, answer, buffer, ANSWER_BYTES, timeout_ms);
	} while (result == -ETIMEDOUT);
	return result < 0 ? base_error(-result, "no answer: %s", caps_error()) : 0;
}

static int exchange(struct caps_port *port, const struct question *question, struct bdus_wait *wait,
		    struct caps_message *answer, char buffer[ANSWER_BYTES])
{
	const struct caps_request request = {
		.operation = question->operation,
		.data = question->request,
		.length = question->request_bytes,
	};
	uint64_t id;
	int result = caps_put(port, &request, &id);

	if (result < 0)
		return not_reached(question, result);
	result = wait_for_answer(port, id, wait, answer, buffer);
	if (result < 0 || answer->error == 0)
		return result;
	result = refused(question, answer);
	caps_release(answer);
	return result;
}

/** After 0, @answer is to be released. */
static int ask(const struct question *question, struct caps_message *answer,
	       char buffer[ANSWER_BYTES])
{
	char waiting_for[64];
	struct bdus_wait wait;
	struct caps_port *port;
	int result;

	snprintf(waiting_for, sizeof(waiting_for), "the driver to answer to '%s'", question->what);
	bdus_wait_init(&wait, waiting_for, question->deadline_ns, question->progress,
		       question->opaque);
	result = connect_in_turn(question, &wait, &port);
	if (result < 0)
		return result;
	result = exchange(port, question, &wait, answer, buffer);
	caps_destroy(port);
	return result;
}

/** Where success is all that there is to know. */
static int tell(const struct question *question)
{
	char buffer[ANSWER_BYTES];
	struct caps_message answer;
	const int result = ask(question, &answer, buffer);

	if (result == 0)
		caps_release(&answer);
	return result;
}

static uint64_t deadline_of(uint64_t timeout_ms)
{
	return timeout_ms != 0 ? base_deadline_ns(timeout_ms) : UINT64_MAX;
}

/* ---- what there is to ask ------------------------------------------------------------------ */

/** An operation without a request, which may take its time. */
static int tell_to(uint64_t id, uint32_t operation, const char *what, uint64_t deadline_ns,
		   bdus_progress_fn *progress, void *opaque)
{
	const struct question question = {.id = id,
					  .operation = operation,
					  .what = what,
					  .deadline_ns = deadline_ns,
					  .progress = progress,
					  .opaque = opaque};

	return tell(&question);
}

int bdus_control_flush(uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress, void *opaque)
{
	return tell_to(id, CONTROL_OPERATION_FLUSH, "flush", deadline_ns, progress, opaque);
}

int bdus_control_stop(uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress, void *opaque)
{
	return tell_to(id, CONTROL_OPERATION_STOP, "stop", deadline_ns, progress, opaque);
}

int bdus_control_hand_over(uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress,
			   void *opaque)
{
	return tell_to(id, CONTROL_OPERATION_HAND_OVER, "hand_over", deadline_ns, progress, opaque);
}

int bdus_control_socket(uint64_t id, unsigned index, uint64_t deadline_ns, int *fd)
{
	struct control_socket_number request;
	const struct question question = {.id = id,
					  .operation = CONTROL_OPERATION_SOCKET,
					  .what = "socket",
					  .request = &request,
					  .request_bytes = sizeof(request),
					  .deadline_ns = deadline_ns};
	char buffer[ANSWER_BYTES];
	struct caps_message answer;
	int result;

	control_socket_number_init(&request);
	control_socket_number_set_number(&request, index);
	result = ask(&question, &answer, buffer);
	if (result < 0)
		return result;
	if (answer.fd_count == 1) {
		*fd = answer.fds[0];
		answer.fds[0] = -1;
	} else {
		result = base_error(EPROTO, "device %llu gave %u sockets in place of one",
				    (unsigned long long)id, answer.fd_count);
	}
	caps_release(&answer);
	return result;
}

int bdus_manage_set_log_level(const struct bdus_device_info *info, enum bdus_log_level level,
			      uint64_t timeout_ms)
{
	struct control_log_level request;
	const struct question question = {.id = info->id,
					  .operation = CONTROL_OPERATION_SET_LOG_LEVEL,
					  .what = "set_log_level",
					  .request = &request,
					  .request_bytes = sizeof(request),
					  .deadline_ns = deadline_of(timeout_ms)};

	if (level > BDUS_LOG_DEBUG)
		return base_error(EINVAL, "log level %u: it is %u to %u", (unsigned)level,
				  BDUS_LOG_ERRORS, BDUS_LOG_DEBUG);
	control_log_level_init(&request);
	control_log_level_set_level(&request, level);
	return tell(&question);
}

#define WORDS_BYTES sizeof(((struct control_filter_command *)0)->words)
_Static_assert(sizeof(((struct control_filter_use *)0)->words) == WORDS_BYTES,
	       "words of both kinds");

/** Joins words, each with its end; how many bytes they have, or -E2BIG. */
static int join_words(char joined[WORDS_BYTES], const char *const *words, unsigned count)
{
	size_t used = 0;

	for (unsigned i = 0; i < count; i++) {
		const size_t length = strlen(words[i]) + 1;

		if (length > WORDS_BYTES - used)
			return base_error(E2BIG, "words for a filter are longer than %zu bytes",
					  WORDS_BYTES);
		memcpy(joined + used, words[i], length);
		used += length;
	}
	return (int)used;
}

static int take_answer(const struct control_filter_answer *found, char *answer, size_t answer_bytes)
{
	const struct wire_text text = control_filter_answer_text(found);

	if (text.length >= answer_bytes)
		return base_error(ENOBUFS,
				  "the filter's answer has %zu bytes: there is room for %zu",
				  text.length, answer_bytes);
	memcpy(answer, text.data, text.length);
	answer[text.length] = '\0';
	return 0;
}

int bdus_manage_filter_command(const struct bdus_device_info *info, const char *filter,
			       const char *const *words, unsigned count, char *answer,
			       size_t answer_bytes, uint64_t timeout_ms)
{
	struct control_filter_command request;
	const struct question question = {.id = info->id,
					  .operation = CONTROL_OPERATION_FILTER,
					  .what = "filter",
					  .request = &request,
					  .request_bytes = sizeof(request),
					  .deadline_ns = deadline_of(timeout_ms)};
	char buffer[ANSWER_BYTES];
	struct caps_message found;
	int result;

	if (count == 0 || strlen(filter) >= sizeof(request.filter))
		return base_error(EINVAL, "a command for filter '%s' with %u words", filter, count);
	control_filter_command_init(&request);
	control_filter_command_set_filter(&request, (struct wire_text){filter, strlen(filter)});
	result = join_words((char *)request.words, words, count);
	if (result < 0)
		return result;
	control_filter_command_set_length(&request, (uint32_t)result);
	result = ask(&question, &found, buffer);
	if (result < 0)
		return result;
	result = take_answer(found.data, answer, answer_bytes);
	caps_release(&found);
	return result;
}

int bdus_manage_attach_filter(const struct bdus_device_info *info, const char *filter,
			      const char *const *words, unsigned count, uint64_t timeout_ms)
{
	struct control_filter_use request;
	const struct question question = {.id = info->id,
					  .operation = CONTROL_OPERATION_ATTACH_FILTER,
					  .what = "attach_filter",
					  .request = &request,
					  .request_bytes = sizeof(request),
					  .deadline_ns = deadline_of(timeout_ms)};
	int result;

	if (strlen(filter) >= sizeof(request.filter))
		return base_error(ENAMETOOLONG, "the path of a filter is longer than %zu bytes",
				  sizeof(request.filter) - 1);
	control_filter_use_init(&request);
	control_filter_use_set_filter(&request, (struct wire_text){filter, strlen(filter)});
	result = join_words((char *)request.words, words, count);
	if (result < 0)
		return result;
	control_filter_use_set_length(&request, (uint32_t)result);
	return tell(&question);
}

int bdus_manage_detach_filter(const struct bdus_device_info *info, const char *filter,
			      uint64_t timeout_ms)
{
	struct control_filter_name request;
	const struct question question = {.id = info->id,
					  .operation = CONTROL_OPERATION_DETACH_FILTER,
					  .what = "detach_filter",
					  .request = &request,
					  .request_bytes = sizeof(request),
					  .deadline_ns = deadline_of(timeout_ms)};

	if (strlen(filter) >= sizeof(request.filter))
		return base_error(ENODEV, "the device has no filter '%s'", filter);
	control_filter_name_init(&request);
	control_filter_name_set_filter(&request, (struct wire_text){filter, strlen(filter)});
	return tell(&question);
}

int bdus_manage_resize(const struct bdus_device_info *info, uint64_t size_bytes,
		       uint64_t timeout_ms)
{
	struct control_size request;
	const struct question question = {.id = info->id,
					  .operation = CONTROL_OPERATION_RESIZE,
					  .what = "resize",
					  .request = &request,
					  .request_bytes = sizeof(request),
					  .deadline_ns = deadline_of(timeout_ms)};

	control_size_init(&request);
	control_size_set_size_bytes(&request, size_bytes);
	return tell(&question);
}

int bdus_stats_open(const struct bdus_device_info *info, uint64_t timeout_ms,
		    struct bdus_stats **stats)
{
	const struct question question = {.id = info->id,
					  .operation = CONTROL_OPERATION_STATISTICS,
					  .what = "statistics",
					  .deadline_ns = deadline_of(timeout_ms)};
	char buffer[ANSWER_BYTES];
	struct caps_message answer;
	int result = ask(&question, &answer, buffer);

	if (result < 0)
		return result;
	result = bdus_stats_open_fd(answer.fds[0], stats);
	answer.fds[0] = -1;
	caps_release(&answer);
	return result;
}

/* ---- what a device is like ----------------------------------------------------------------- */

/** @text may be anything; what drives terminals does not get through. */
static void take_text(char *to, size_t size, struct wire_text text)
{
	const size_t length = base_min(text.length, size - 1);

	for (size_t i = 0; i < length; i++)
		to[i] = (unsigned char)text.data[i] < ' ' || text.data[i] == 127 ? '?'
										 : text.data[i];
	to[length] = '\0';
}

static void take_device(struct bdus_device_info *info, const struct control_device *device)
{
	info->pid = (int)control_device_pid(device);
	info->size_bytes = control_device_size_bytes(device);
	info->created_s = control_device_created_s(device);
	info->logical_block_size = control_device_logical_block_size(device);
	info->physical_block_size = control_device_physical_block_size(device);
	info->queues = control_device_queues(device);
	info->queue_depth = control_device_queue_depth(device);
	info->ops = control_device_ops(device);
	info->flags = control_device_flags(device);
	info->major = control_device_major(device);
	info->minor = control_device_minor(device);
	take_text(info->transport, sizeof(info->transport), control_device_transport(device));
	take_text(info->driver, sizeof(info->driver), control_device_driver(device));
	take_text(info->path, sizeof(info->path), control_device_path(device));
	take_text(info->native_path, sizeof(info->native_path), control_device_native_path(device));
}

/** Asks a process for its device; after 0, @answer has a struct control_device. */
static int ask_for_info(uint64_t id, uint64_t timeout_ms, struct caps_message *answer,
			char buffer[ANSWER_BYTES])
{
	const struct question question = {.id = id,
					  .operation = CONTROL_OPERATION_INFO,
					  .what = "info",
					  .deadline_ns = deadline_of(timeout_ms)};
	const struct control_device *device;
	int result = ask(&question, answer, buffer);

	if (result < 0)
		return result;
	device = answer->data;
	if (control_device_id(device) == id &&
	    control_device_state(device) <= BDUS_STATE_RECOVERING)
		return 0;
	result =
		base_error(EPROTO, "the process of device %llu answers for device %llu in state %u",
			   (unsigned long long)id, (unsigned long long)control_device_id(device),
			   control_device_state(device));
	caps_release(answer);
	return result;
}

int bdus_manage_refresh(struct bdus_device_info *info, uint64_t timeout_ms)
{
	char buffer[ANSWER_BYTES];
	struct caps_message answer;
	const int result = ask_for_info(info->id, timeout_ms, &answer, buffer);

	if (result < 0)
		return result;
	info->state = control_device_state(answer.data);
	take_device(info, answer.data);
	caps_release(&answer);
	return 0;
}

int bdus_manage_log_level(const struct bdus_device_info *info, enum bdus_log_level *level,
			  uint64_t timeout_ms)
{
	char buffer[ANSWER_BYTES];
	struct caps_message answer;
	const int result = ask_for_info(info->id, timeout_ms, &answer, buffer);

	if (result < 0)
		return result;
	*level = (enum bdus_log_level)control_device_log_level(answer.data);
	caps_release(&answer);
	return 0;
}
