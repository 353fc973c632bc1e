/* SPDX-License-Identifier: MIT */
/*
 * A service by what wirec made of store.wire: one key with one value.
 */
#include "store_service.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool has_key(const struct store *store, struct wire_text name)
{
	return store->length != 0 && name.length == store->length &&
	       memcmp(name.data, store->name, name.length) == 0;
}

static void handle_get(void *context, struct caps_port *port, struct caps_message *message,
		       const struct store_key_view *key)
{
	const struct store *store = context;
	struct store_value_values value = {.version = store->version,
					   .content = wire_bytes(store->content, store->size)};
	char buffer[512];

	if (has_key(store, store_key_name(key)))
		store_get_reply(port, message, &value, buffer, sizeof(buffer));
	else
		store_fail(port, message, STORE_PROBLEM_NO_SUCH_KEY);
}

static void handle_set(void *context, struct caps_port *port, struct caps_message *message,
		       const struct store_change_view *change)
{
	struct store *store = context;
	const struct wire_text name = store_change_name(change);
	const struct wire_bytes content = store_change_content(change);
	struct store_changed changed;

	if (content.size > sizeof(store->content)) {
		store_fail(port, message, STORE_PROBLEM_FULL);
		return;
	}
	memcpy(store->name, name.data, name.length);
	store->length = name.length;
	if (content.size != 0)
		memcpy(store->content, content.data, content.size);
	store->size = content.size;
	store_changed_init(&changed);
	store_changed_set_version(&changed, ++store->version);
	store_set_reply(port, message, &changed);
}

static void handle_state(void *context, struct caps_port *port, struct caps_message *message)
{
	const struct store *store = context;
	struct store_state state;

	store_state_init(&state);
	store_state_set_keys(&state, store->length != 0);
	store_state_set_level(&state, 42);
	store_state_set_paint(&state, STORE_COLOR_GREEN);
	store_state_set_title(&state, (struct wire_text){"the store", 9});
	store_point_set_x(store_state_edit_corners(&state, 1), -5);
	store_point_set_y(store_state_edit_corners(&state, 1), 258);
	store_state_reply(port, message, &state);
}

static void handle_open(void *context, struct caps_port *port, struct caps_message *message,
			const struct store_key_view *key)
{
	const struct store *store = context;
	int fd;

	if (!has_key(store, store_key_name(key))) {
		store_fail(port, message, STORE_PROBLEM_NO_SUCH_KEY);
		return;
	}
	fd = memfd_create("value", MFD_CLOEXEC);
	if (fd < 0 || write(fd, store->content, store->size) != (ssize_t)store->size)
		store_fail(port, message, -EIO);
	else
		store_open_reply(port, message, &fd);
	if (fd >= 0)
		close(fd);
}

static void handle_files(void *context, struct caps_port *port, struct caps_message *message)
{
	(void)context;
	if (write(message->fds[0], "1", 1) == 1 && write(message->fds[1], "2", 1) == 1)
		store_files_reply(port, message);
	else
		store_fail(port, message, -EIO);
}

static void handle_clear(void *context, struct caps_port *port, struct caps_message *message)
{
	struct store *store = context;

	store->length = 0;
	store_clear_reply(port, message);
}

static void handle_mirror(void *context, struct caps_port *port, struct caps_message *message,
			  const struct store_state *state)
{
	(void)context;
	store_mirror_reply(port, message, state);
}

struct store_service store_handlers(struct store *store)
{
	return (struct store_service){.context = store,
				      .handle_get = handle_get,
				      .handle_set = handle_set,
				      .handle_state = handle_state,
				      .handle_open = handle_open,
				      .handle_files = handle_files,
				      .handle_clear = handle_clear,
				      .handle_mirror = handle_mirror};
}
