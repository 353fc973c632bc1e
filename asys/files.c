/* SPDX-License-Identifier: MIT */
/*
 * Which file is of what kind, registered files, and registered buffers.
 *
 * A plain descriptor's kind is remembered by number, and can be wrong once the program has closed
 * the file. So it only decides about transfers at an offset, which the kernel refuses at once on
 * files that could block without end, and it is looked at again every LOOK_AGAIN uses.
 */
#include "asys_internal.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LOOK_AGAIN     255
#define KNOWN_MOST     65536
#define FILES_MOST     32768
#define BUFFERS_MOST   16384
#define FAR_BEYOND_ANY (INT64_MAX - 4096)

/* ---- kinds --------------------------------------------------------------------------------- */

static bool lies_in_memory(int file)
{
	struct statfs status;

	return fstatfs(file, &status) == 0 &&
	       ((uint64_t)status.f_type == TMPFS_MAGIC || (uint64_t)status.f_type == RAMFS_MAGIC);
}

/* A read past any end moves nothing and leaves no trace, but fails where waiting cannot be refused.
 */
static bool can_refuse_to_wait(int file)
{
	char byte;
	const struct iovec vector = {&byte, 1};
	const ssize_t result = preadv2(file, &vector, 1, FAR_BEYOND_ANY, RWF_NOWAIT);

	return result >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS);
}

static enum asys_file_kind look_at_regular(int file)
{
	const int flags = fcntl(file, F_GETFL);

	if (lies_in_memory(file))
		return ASYS_FILE_MEMORY;
	if (flags >= 0 && (flags & O_DIRECT))
		return ASYS_FILE_DIRECT;
	/* Cannot be read: then it is the ring that may know how to write without waiting. */
	if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY)
		return ASYS_FILE_DIRECT;
	return can_refuse_to_wait(file) ? ASYS_FILE_NO_WAIT : ASYS_FILE_BLOCKING;
}

enum asys_file_kind asys_look_at_file(int file)
{
	struct stat status;

	if (fstat(file, &status) != 0)
		return ASYS_FILE_UNKNOWN;
	switch (status.st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
		return look_at_regular(file);
	case S_IFIFO:
	case S_IFSOCK:
		return ASYS_FILE_STREAM;
	case S_IFDIR:
		return ASYS_FILE_BLOCKING;
	default:
		return ASYS_FILE_DEVICE;
	}
}

static bool grow_known(struct asys *asys, unsigned file)
{
	const unsigned count = (unsigned)base_align_up(file + 1, 256);
	struct asys_known_file *known;

	if (file >= KNOWN_MOST)
		return false;
	known = realloc(asys->known, count * sizeof(*known));
	if (known == NULL)
		return false;
	memset(known + asys->known_count, 0, (count - asys->known_count) * sizeof(*known));
	asys->known = known;
	asys->known_count = count;
	return true;
}

static enum asys_file_kind look_again(struct asys *asys, unsigned file)
{
	const enum asys_file_kind kind = asys_look_at_file((int)file);

	if (file < asys->known_count || grow_known(asys, file)) {
		asys->known[file].kind = (uint8_t)kind;
		asys->known[file].uses_left = kind == ASYS_FILE_UNKNOWN ? 0 : LOOK_AGAIN;
	}
	return kind;
}

enum asys_file_kind asys_kind_of(struct asys *asys, const struct asys_message *message)
{
	const unsigned file = (unsigned)message->arguments[0];
	struct asys_known_file *known;

	if (message->flags & ASYS_FIXED_FILE)
		return asys->fixed[file].kind;
	if (base_unlikely(file >= asys->known_count || asys->known[file].uses_left == 0))
		return look_again(asys, file);
	known = &asys->known[file];
	known->uses_left--;
	return known->kind;
}

void asys_files_forget(struct asys *asys, int file)
{
	if (file >= 0 && (unsigned)file < asys->known_count)
		asys->known[file].uses_left = 0;
}

int asys_forget_file(struct asys *asys, int file)
{
	const int result = asys_check(asys);

	if (result == 0)
		asys_files_forget(asys, file);
	return result;
}

/* ---- registered files ---------------------------------------------------------------------- */

uint64_t asys_file_of(const struct asys *asys, const struct asys_message *message)
{
	const uint64_t argument = message->arguments[0];

	return (message->flags & ASYS_FIXED_FILE) ? (uint64_t)asys->fixed[argument].file : argument;
}

static bool may_use_buffer(const struct asys_message *message)
{
	switch (message->number) {
	case SYS_read:
	case SYS_write:
	case SYS_pread64:
	case SYS_pwrite64:
	case ASYS_READ:
	case ASYS_WRITE:
	case ASYS_URING_CMD:
		return true;
	default:
		return false;
	}
}

int asys_check_references(const struct asys *asys, struct asys_message *message)
{
	const uint64_t file = message->arguments[0];

	if (message->flags & ASYS_FIXED_FILE) {
		if (message->number == ASYS_SPLICE || message->number == SYS_close)
			return -EINVAL;
		if (file >= asys->fixed_count || asys->fixed[file].file < 0)
			return -EBADF;
	}
	if (base_unlikely(message->flags & (ASYS_PICK_BUFFER | ASYS_REPEAT))) {
		message->shown = asys->wait_number - 1;
		if (message->number != ASYS_URING_CMD || message->deadline_ns != 0 ||
		    (message->flags & ASYS_LINKS) != 0 || message->marks != 0)
			return -EINVAL;
		if ((message->flags & ASYS_PICK_BUFFER) &&
		    (message->buffer_index >= ASYS_GROUPS ||
		     asys->groups[message->buffer_index].ring == NULL))
			return -ENOBUFS;
	}
	if (message->flags & ASYS_FIXED_BUFFER) {
		if (message->buffer_index >= asys->buffer_count)
			return -EFAULT;
		if (!may_use_buffer(message))
			return -EINVAL;
	}
	return 0;
}

static void close_fixed(struct asys_fixed_file *fixed, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (fixed[i].file >= 0)
			close(fixed[i].file);
	free(fixed);
}

static int take_reference(struct asys_fixed_file *fixed, int file)
{
	fixed->file = -1;
	fixed->kind = ASYS_FILE_UNKNOWN;
	if (file == -1)
		return 0;
	fixed->file = fcntl(file, F_DUPFD_CLOEXEC, 0);
	if (fixed->file < 0)
		return base_error_errno(errno, "cannot register file %d", file);
	fixed->kind = (uint8_t)asys_look_at_file(file);
	return 0;
}

static int take_references(const int files[], unsigned count, struct asys_fixed_file **result)
{
	struct asys_fixed_file *const fixed = calloc(count, sizeof(*fixed));
	unsigned taken = 0;
	int error = 0;

	if (fixed == NULL)
		return base_error(ENOMEM, "no memory for %u registered files", count);
	for (; taken < count && error == 0; taken++)
		error = take_reference(&fixed[taken], files[taken]);
	if (error == 0)
		*result = fixed;
	else
		close_fixed(fixed, taken);
	return error;
}

static int register_with_ring(struct asys *asys, const int files[], unsigned count)
{
	int result;

	if (!asys_has_ring(asys))
		return 0;
	if (asys->fixed_count != 0)
		io_uring_unregister_files(&asys->ring);
	if (count == 0)
		return 0;
	result = io_uring_register_files(&asys->ring, files, count);
	return result >= 0
		       ? 0
		       : base_error_errno(-result, "cannot register %u files with io_uring", count);
}

int asys_register_files(struct asys *asys, const int files[], unsigned count)
{
	struct asys_fixed_file *fixed = NULL;
	int result = asys_check(asys);

	if (result == 0 && count > FILES_MOST)
		result = base_error(EINVAL, "%u files to register: at most %d are possible", count,
				    FILES_MOST);
	if (result == 0 && count > 0)
		result = take_references(files, count, &fixed);
	if (result != 0)
		return result;
	result = register_with_ring(asys, files, count);
	if (result != 0) {
		close_fixed(fixed, count);
		fixed = NULL;
		count = 0;
	}
	close_fixed(asys->fixed, asys->fixed_count);
	asys->fixed = fixed;
	asys->fixed_count = count;
	return result;
}

int asys_update_file(struct asys *asys, unsigned index, int file)
{
	struct asys_fixed_file fixed;
	int result = asys_check(asys);

	if (result == 0 && index >= asys->fixed_count)
		result = base_error(EINVAL, "registered file %u: there are %u", index,
				    asys->fixed_count);
	if (result == 0)
		result = take_reference(&fixed, file);
	if (result != 0)
		return result;
	if (asys_has_ring(asys)) {
		result = io_uring_register_files_update(&asys->ring, index, &file, 1);
		if (result < 0) {
			if (fixed.file >= 0)
				close(fixed.file);
			return base_error_errno(-result, "cannot register file %d with io_uring",
						file);
		}
	}
	if (asys->fixed[index].file >= 0)
		close(asys->fixed[index].file);
	asys->fixed[index] = fixed;
	return 0;
}

/* ---- registered buffers -------------------------------------------------------------------- */

bool asys_needs_kernel_buffer(const struct asys *asys, const struct asys_message *message)
{
	return base_unlikely(message->flags & ASYS_FIXED_BUFFER) &&
	       asys->kernel_buffers[message->buffer_index];
}

static int pin_buffers(struct asys *asys, const struct iovec buffers[], unsigned count)
{
	int result;

	if (!asys_has_ring(asys))
		return 0;
	if (asys->buffer_count != 0)
		io_uring_unregister_buffers(&asys->ring);
	if (count == 0)
		return 0;
	result = io_uring_register_buffers(&asys->ring, buffers, count);
	return result >= 0 ? 0
			   : base_error_errno(-result, "cannot register %u buffers with io_uring",
					      count);
}

int asys_register_buffers(struct asys *asys, const struct iovec buffers[], unsigned count)
{
	bool *kernels = NULL;
	int result = asys_check(asys);

	if (result == 0 && count > BUFFERS_MOST)
		result = base_error(EINVAL, "%u buffers to register: at most %d are possible",
				    count, BUFFERS_MOST);
	if (result != 0)
		return result;
	if (count > 0) {
		kernels = calloc(count, sizeof(*kernels));
		if (kernels == NULL)
			return base_error(ENOMEM, "no memory for %u registered buffers", count);
		for (unsigned i = 0; i < count; i++)
			kernels[i] = buffers[i].iov_base == NULL;
	}
	result = pin_buffers(asys, buffers, count);
	if (result != 0) {
		free(kernels);
		kernels = NULL;
		count = 0;
	}
	free(asys->kernel_buffers);
	asys->kernel_buffers = kernels;
	asys->buffer_count = count;
	return result;
}

/* ---- memory to pick from ------------------------------------------------------------------- */

static void add_piece(struct asys_group *group, unsigned index, int place)
{
	io_uring_buf_ring_add(group->ring, group->memory + (size_t)index * group->length_bytes,
			      group->length_bytes, (unsigned short)index,
			      io_uring_buf_ring_mask(group->count), place);
}

static void remove_group(struct asys *asys, unsigned number, bool forked)
{
	struct asys_group *const group = &asys->groups[number];

	if (group->ring == NULL)
		return;
	if (!forked)
		io_uring_unregister_buf_ring(&asys->ring, (int)number);
	free(group->ring);
	*group = (struct asys_group){0};
	asys->group_count--;
}

static int make_group(struct asys *asys, unsigned number, struct asys_group *group)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t bytes = base_align_up(group->count * sizeof(struct io_uring_buf), page);
	struct io_uring_buf_reg how = {.ring_entries = group->count, .bgid = (uint16_t)number};
	int result;

	group->ring = aligned_alloc(page, bytes);
	if (group->ring == NULL)
		return base_error(ENOMEM, "no memory for %u pieces of memory", group->count);
	how.ring_addr = asys_pointer(group->ring);
	io_uring_buf_ring_init(group->ring);
	result = io_uring_register_buf_ring(&asys->ring, &how, 0);
	if (result < 0) {
		free(group->ring);
		return base_error_errno(-result, "cannot provide io_uring with %u pieces of memory",
					group->count);
	}
	for (unsigned i = 0; i < group->count; i++)
		add_piece(group, i, (int)i);
	io_uring_buf_ring_advance(group->ring, (int)group->count);
	asys->groups[number] = *group;
	asys->group_count++;
	return 0;
}

int asys_provide_buffers(struct asys *asys, unsigned group, void *memory, uint32_t length_bytes,
			 unsigned count)
{
	struct asys_group made = {.memory = memory, .length_bytes = length_bytes, .count = count};
	const int result = asys_check(asys);

	if (result != 0)
		return result;
	if (group >= ASYS_GROUPS)
		return base_error(EINVAL, "group %u: 0 to %d are possible", group, ASYS_GROUPS - 1);
	if ((count & (count - 1)) != 0 || count > FILES_MOST)
		return base_error(EINVAL,
				  "%u pieces of memory: powers of two up to %d are possible", count,
				  FILES_MOST);
	if (!asys_has_ring(asys))
		return base_error(EOPNOTSUPP, "memory to pick from needs io_uring");
	remove_group(asys, group, false);
	return count == 0 ? 0 : make_group(asys, group, &made);
}

void asys_return_buffer(struct asys *asys, unsigned group, int32_t picked_buffer)
{
	struct asys_group *const from = &asys->groups[group];

	if (picked_buffer < 0)
		return;
	add_piece(from, (unsigned)picked_buffer, 0);
	io_uring_buf_ring_advance(from->ring, 1);
}

void asys_groups_finish(struct asys *asys, bool forked)
{
	for (unsigned i = 0; i < ASYS_GROUPS; i++)
		remove_group(asys, i, forked);
}

void asys_files_finish(struct asys *asys)
{
	close_fixed(asys->fixed, asys->fixed_count);
	free(asys->kernel_buffers);
	free(asys->known);
}
