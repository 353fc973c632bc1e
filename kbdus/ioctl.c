// SPDX-License-Identifier: GPL-2.0
/*
 * ioctls of clients. In the client's task the argument, and what it points to by the table that the
 * server gave, is gathered into one message; a request without a range carries that through the
 * queue, like any other; and what the server made of it is scattered to where it came from. Nobody
 * but the client's task touches the client's memory, and what is checked is what was copied.
 *
 *	table       parts: argument ─▶ what it points to ─▶ …       (checked once, by DESCRIBE)
 *	message     pieces: instances of parts, each at a place of its own
 */
#include "kbdus_internal.h"

#include "compat/compat.h"

#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* ---- the table ------------------------------------------------------------------------------- */

static bool is_argument(const struct kbdus_abi_ioctl_part *part)
{
	return kbdus_abi_ioctl_part_pointer_width(part) == 0;
}

static bool is_string(const struct kbdus_abi_ioctl_part *part)
{
	return kbdus_abi_ioctl_part_flags(part) & KBDUS_ABI_PART_FLAG_STRING;
}

static bool fits(u32 at, u32 width, const struct kbdus_abi_ioctl_part *parent)
{
	return width <= kbdus_abi_ioctl_part_element_bytes(parent) &&
	       at <= kbdus_abi_ioctl_part_element_bytes(parent) - width;
}

static bool is_sound_argument(const struct kbdus_abi_ioctl_part *part)
{
	const u32 clients = KBDUS_ABI_PART_FLAG_CLIENT_64 | KBDUS_ABI_PART_FLAG_CLIENT_32;

	return (kbdus_abi_ioctl_part_flags(part) & clients) && !is_string(part) &&
	       kbdus_abi_ioctl_part_count(part) == 1 && kbdus_abi_ioctl_part_count_width(part) == 0;
}

/* It is as long as the client's memory says, and nothing goes back into that. */
static bool is_sound_string(const struct kbdus_abi_ioctl_part *part)
{
	return kbdus_abi_ioctl_part_element_bytes(part) == 1 &&
	       kbdus_abi_ioctl_part_count(part) != 0 &&
	       kbdus_abi_ioctl_part_count_width(part) == 0 &&
	       (kbdus_abi_ioctl_part_flags(part) & KBDUS_ABI_PART_FLAG_IN) &&
	       !(kbdus_abi_ioctl_part_flags(part) & KBDUS_ABI_PART_FLAG_OUT);
}

static bool is_sound_child(const struct kbdus_abi_ioctl_part *part,
			   const struct kbdus_abi_ioctl_part *parent)
{
	const u32 width = kbdus_abi_ioctl_part_pointer_width(part);
	const u32 counts = kbdus_abi_ioctl_part_count_width(part);

	return (width == 4 || width == 8) && (!is_string(part) || is_sound_string(part)) &&
	       (counts == 0 || (is_power_of_2(counts) && counts <= 8)) &&
	       kbdus_abi_ioctl_part_command(part) == kbdus_abi_ioctl_part_command(parent) &&
	       (kbdus_abi_ioctl_part_flags(parent) & KBDUS_ABI_PART_FLAG_IN) &&
	       fits(kbdus_abi_ioctl_part_pointer_at(part), width, parent) &&
	       fits(kbdus_abi_ioctl_part_count_at(part), counts, parent);
}

/* Part @index of a command whose argument is parts[0]. */
static bool is_sound_part(const struct kbdus_abi_ioctl_part *parts, u32 index)
{
	const struct kbdus_abi_ioctl_part *part = &parts[index];
	unsigned int depth = 0;
	u32 above = index;

	if ((kbdus_abi_ioctl_part_flags(part) & ~((KBDUS_ABI_PART_FLAG_STRING << 1) - 1)) ||
	    kbdus_abi_ioctl_part_element_bytes(part) == 0 ||
	    kbdus_abi_ioctl_part_element_bytes(part) > KBDUS_ABI_IOCTL_BYTES ||
	    kbdus_abi_ioctl_part_count(part) > KBDUS_ABI_IOCTL_BYTES)
		return false;
	if (index == 0)
		return is_argument(part) && is_sound_argument(part);
	if (kbdus_abi_ioctl_part_parent(part) >= index ||
	    !is_sound_child(part, &parts[kbdus_abi_ioctl_part_parent(part)]))
		return false;
	for (; above != 0; above = kbdus_abi_ioctl_part_parent(&parts[above]))
		depth++;
	return depth <= KBDUS_ABI_IOCTL_DEPTH;
}

static bool is_sound_table(const struct kbdus_abi_ioctl_part *parts, u32 count)
{
	u32 first = 0, i;

	for (i = 0; i < count; i++) {
		if (is_argument(&parts[i]))
			first = i;
		if (!is_sound_part(&parts[first], i - first))
			return false;
	}
	return true;
}

int kbdus_ioctl_describe(const struct kbdus_abi_ioctl_table *table,
			 struct kbdus_abi_ioctl_part **result)
{
	const u32 count = kbdus_abi_ioctl_table_count(table);
	struct kbdus_abi_ioctl_part *parts;

	if (count == 0 || kbdus_abi_ioctl_table_parts(table) > ULONG_MAX)
		return -EINVAL;
	if (count > KBDUS_ABI_IOCTL_PARTS)
		return -E2BIG;
	parts = vmemdup_user(u64_to_user_ptr(kbdus_abi_ioctl_table_parts(table)),
			     count * sizeof(*parts));
	if (IS_ERR(parts))
		return PTR_ERR(parts);
	if (!is_sound_table(parts, count)) {
		kvfree(parts);
		return -EINVAL;
	}
	*result = parts;
	return 0;
}

/* ---- a message ------------------------------------------------------------------------------- */

struct piece {
	const struct kbdus_abi_ioctl_part *part;
	u64 address;
	u32 place;
	u32 count;
	/* Where in the message its pointer is; of the argument there is none. */
	u32 pointer_place;
};

struct message {
	struct kbdus_ioctl ioctl;
	const struct kbdus_abi_ioctl_part *parts;
	u32 part_count;
	u32 most_bytes;
	u32 capacity;
	u32 piece_count;
	struct piece pieces[KBDUS_ABI_IOCTL_PIECES];
};

static u64 load(const void *from, u32 width)
{
	u64 number = 0;

	switch (width) {
	case 1:
		return *(const u8 *)from;
	case 2:
		return get_unaligned((const u16 *)from);
	case 4:
		return get_unaligned((const u32 *)from);
	case 8:
		return get_unaligned((const u64 *)from);
	}
	return number;
}

static void store(void *to, u32 width, u64 number)
{
	if (width == 4)
		put_unaligned((u32)number, (u32 *)to);
	else
		put_unaligned(number, (u64 *)to);
}

static int make_room(struct message *message, u32 bytes)
{
	const u32 capacity = max_t(u32, roundup_pow_of_two(bytes), 512);
	void *larger;

	if (bytes <= message->capacity)
		return 0;
	larger = kvzalloc(capacity, GFP_KERNEL_ACCOUNT);
	if (!larger)
		return -ENOMEM;
	if (message->ioctl.bytes)
		memcpy(larger, message->ioctl.data, message->ioctl.bytes);
	kvfree(message->ioctl.data);
	message->ioctl.data = larger;
	message->capacity = capacity;
	return 0;
}

static size_t bytes_of(const struct piece *piece)
{
	return (size_t)piece->count * kbdus_abi_ioctl_part_element_bytes(piece->part);
}

/* Appends what @piece says, but for its place. */
static int add_piece(struct message *message, struct piece piece)
{
	const u64 place = ALIGN((u64)message->ioctl.bytes, 8);
	const u64 end = place + bytes_of(&piece);
	int error;

	if (end > message->most_bytes || message->piece_count == KBDUS_ABI_IOCTL_PIECES)
		return -E2BIG;
	error = make_room(message, end);
	if (error)
		return error;
	piece.place = place;
	message->ioctl.bytes = end;
	if ((kbdus_abi_ioctl_part_flags(piece.part) & KBDUS_ABI_PART_FLAG_IN) &&
	    (piece.address > ULONG_MAX ||
	     copy_from_user(message->ioctl.data + place, u64_to_user_ptr(piece.address),
			    bytes_of(&piece))))
		return -EFAULT;
	/* Its end was there when it was looked for. */
	if (is_string(piece.part))
		((char *)message->ioctl.data)[end - 1] = '\0';
	message->pieces[message->piece_count++] = piece;
	return 0;
}

/* How much of @count elements at @address there is: all, or text up to its end. */
static int measure(const struct kbdus_abi_ioctl_part *part, u64 address, u64 *count)
{
	long length = 0;

	if (!is_string(part))
		return 0;
	if (address <= ULONG_MAX && access_ok(u64_to_user_ptr(address), 1))
		length = strnlen_user(u64_to_user_ptr(address), *count);
	if (length == 0)
		return -EFAULT;
	if (length > *count)
		return -E2BIG;
	*count = length;
	return 0;
}

/* What one element of a piece points to as @part. */
static int follow(struct message *message, const struct kbdus_abi_ioctl_part *part, u32 element)
{
	const u32 width = kbdus_abi_ioctl_part_pointer_width(part);
	const u32 counts = kbdus_abi_ioctl_part_count_width(part);
	const u32 at = element + kbdus_abi_ioctl_part_pointer_at(part);
	const u64 address = load(message->ioctl.data + at, width);
	u64 count = kbdus_abi_ioctl_part_count(part);
	int error;

	if (counts)
		count = load(message->ioctl.data + element + kbdus_abi_ioctl_part_count_at(part),
			     counts);
	if (count > kbdus_abi_ioctl_part_count(part))
		return -E2BIG;
	if (!address || !count) {
		store(message->ioctl.data + at, width, 0);
		if (message->piece_count == KBDUS_ABI_IOCTL_PIECES)
			return -E2BIG;
		message->pieces[message->piece_count++] =
			(struct piece){.part = part, .address = address, .pointer_place = at};
		return 0;
	}
	error = measure(part, address, &count);
	if (error)
		return error;
	return add_piece(message, (struct piece){.part = part,
						 .address = address,
						 .count = count,
						 .pointer_place = at});
}

static int follow_all(struct message *message, const struct piece *piece)
{
	const u32 parent = piece->part - message->parts;
	u32 i, element;
	int error = 0;

	for (i = parent + 1; i < message->part_count; i++) {
		if (kbdus_abi_ioctl_part_parent(&message->parts[i]) != parent)
			continue;
		for (element = 0; !error && element < piece->count; element++)
			error = follow(message, &message->parts[i],
				       piece->place + element * kbdus_abi_ioctl_part_element_bytes(
									piece->part));
		if (error)
			return error;
	}
	return 0;
}

/* Pointers become places when all has been found: a piece's own are read by those that follow. */
static int gather(struct message *message, unsigned long argument)
{
	int error = add_piece(message, (struct piece){
					       .part = message->parts,
					       .address = argument,
					       .count = 1,
				       });
	u32 i;

	for (i = 0; !error && i < message->piece_count; i++)
		error = follow_all(message, &message->pieces[i]);
	for (i = 1; !error && i < message->piece_count; i++)
		store(message->ioctl.data + message->pieces[i].pointer_place,
		      kbdus_abi_ioctl_part_pointer_width(message->pieces[i].part),
		      message->pieces[i].place);
	return error;
}

static int scatter(struct message *message)
{
	u32 i;

	/* Whatever the server put there, the client gets its own pointers back. */
	for (i = 1; i < message->piece_count; i++)
		store(message->ioctl.data + message->pieces[i].pointer_place,
		      kbdus_abi_ioctl_part_pointer_width(message->pieces[i].part),
		      message->pieces[i].address);
	for (i = 0; i < message->piece_count; i++) {
		const struct piece *piece = &message->pieces[i];

		if ((kbdus_abi_ioctl_part_flags(piece->part) & KBDUS_ABI_PART_FLAG_OUT) &&
		    piece->count &&
		    (piece->address > ULONG_MAX ||
		     copy_to_user(u64_to_user_ptr(piece->address),
				  message->ioctl.data + piece->place, bytes_of(piece))))
			return -EFAULT;
	}
	return 0;
}

/* ---- an ioctl -------------------------------------------------------------------------------- */

/* The parts of a command; its own if it is described, else one made of its number. */
static bool find_parts(const struct kbdus_device *device, struct message *message, bool is_32,
		       struct kbdus_abi_ioctl_part *encoded)
{
	const u32 client = is_32 ? KBDUS_ABI_PART_FLAG_CLIENT_32 : KBDUS_ABI_PART_FLAG_CLIENT_64;
	const u32 command = message->ioctl.place;
	const bool mirrored =
		kbdus_abi_device_attrs(&device->created) & KBDUS_ABI_ATTR_MIRRORED_IOCTLS;
	const u32 in = mirrored ? _IOC_READ : _IOC_WRITE;
	const u32 out = mirrored ? _IOC_WRITE : _IOC_READ;
	const u32 direction = _IOC_DIR(command);
	u32 i;

	for (i = 0; i < device->part_count; i++) {
		const struct kbdus_abi_ioctl_part *part = &device->parts[i];

		if (is_argument(part) && kbdus_abi_ioctl_part_command(part) == command &&
		    (kbdus_abi_ioctl_part_flags(part) & client)) {
			message->parts = part;
			for (i++; i < device->part_count && !is_argument(&device->parts[i]);)
				i++;
			message->part_count = &device->parts[i] - part;
			return true;
		}
	}
	kbdus_abi_ioctl_part_set_element_bytes(encoded, _IOC_SIZE(command));
	kbdus_abi_ioctl_part_set_flags(encoded,
				       (direction & in ? KBDUS_ABI_PART_FLAG_IN : 0) |
					       (direction & out ? KBDUS_ABI_PART_FLAG_OUT : 0));
	message->parts = encoded;
	message->part_count = 1;
	return direction != _IOC_NONE && _IOC_SIZE(command) != 0;
}

int kbdus_ioctl_carry(struct request_queue *queue, blk_opf_t op, struct kbdus_ioctl *ioctl)
{
	struct request *request = blk_mq_alloc_request(queue, op, 0);
	blk_status_t status;

	if (IS_ERR(request))
		return PTR_ERR(request);
	*kbdus_request_ioctl(request) = ioctl;
	ioctl->result = -EIO;
	status = blk_execute_rq(request, false);
	blk_mq_free_request(request);
	return status ? blk_status_to_errno(status) : ioctl->result;
}

static int run(struct block_device *disk, struct message *message, unsigned long argument,
	       bool is_32)
{
	const struct kbdus_device *device = disk->bd_disk->private_data;
	struct kbdus_abi_ioctl_part encoded = {};
	int error = 0;

	message->most_bytes = min_t(u32, KBDUS_ABI_IOCTL_BYTES,
				    kbdus_abi_device_max_transfer_bytes(&device->created));
	message->ioctl.is_32 = is_32;
	if (find_parts(device, message, is_32, &encoded))
		error = gather(message, argument);
	message->ioctl.is_repeatable =
		kbdus_abi_ioctl_part_flags(message->parts) & KBDUS_ABI_PART_FLAG_REPEATABLE;
	if (!error)
		error = kbdus_ioctl_carry(bdev_get_queue(disk), REQ_OP_DRV_OUT, &message->ioctl);
	return error ? error : scatter(message);
}

static int forward(struct block_device *disk, unsigned int command, unsigned long argument,
		   bool is_32)
{
	const struct kbdus_device *device = disk->bd_disk->private_data;
	struct message *message;
	int result;

	/* Commands are for the device; who has a part of it is not to reach the rest. */
	if (!(kbdus_abi_device_ops(&device->created) & KBDUS_ABI_OPS_IOCTL) ||
	    bdev_is_partition(disk))
		return -ENOTTY;
	message = kvzalloc(sizeof(*message), GFP_KERNEL);
	if (!message)
		return -ENOMEM;
	message->ioctl.place = command;
	result = run(disk, message, argument, is_32);
	kvfree(message->ioctl.data);
	kvfree(message);
	return result;
}

int kbdus_ioctl(struct block_device *disk, kbdus_mode_t mode, unsigned int command,
		unsigned long argument)
{
	return forward(disk, command, argument, false);
}

#ifdef CONFIG_COMPAT
int kbdus_compat_ioctl(struct block_device *disk, kbdus_mode_t mode, unsigned int command,
		       unsigned long argument)
{
	return forward(disk, command, (unsigned long)compat_ptr(argument), true);
}
#endif
