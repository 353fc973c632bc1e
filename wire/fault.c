/* SPDX-License-Identifier: MIT */
/*
 * Faults: filled in while a validator returns, and described for people.
 */
#include "wire.h"

int wire_fault_value(struct wire_fault *fault, int error, const char *name, uint64_t offset,
		     const char *rule, uint64_t value, uint64_t allowed)
{
	if (fault == NULL)
		return -error;
	fault->error = error;
	fault->rule = rule;
	fault->offset = offset;
	fault->value = value;
	fault->allowed = allowed;
	fault->step_count = 1;
	fault->steps[0].name = name;
	fault->steps[0].index = WIRE_NO_INDEX;
	return -error;
}

int wire_fault_short(struct wire_fault *fault, const struct wire_extent *extents, size_t count,
		     uint64_t base, uint64_t size)
{
	size_t i = 0;

	while (i + 1 < count && base + extents[i].end <= size)
		i++;
	return wire_fault_value(fault, ENODATA, extents[i].name, size,
				"the data ends before its end", size, base + extents[i].end);
}

int wire_fault_bytes(struct wire_fault *fault, const char *name, uint64_t offset,
		     const unsigned char *data, const unsigned char *wanted, size_t size)
{
	size_t i = 0;

	while (i + 1 < size && data[i] == wanted[i])
		i++;
	return wire_fault_value(fault, EBADMSG, name, offset + i, "has a wrong byte", data[i],
				wanted[i]);
}

int wire_fault_text_rule(struct wire_fault *fault, const char *name, uint64_t offset,
			 enum wire_text_rule rule, const unsigned char *data, size_t size)
{
	size_t i = wire_text_length(data, size);

	if (rule == WIRE_TEXT_TERMINATED)
		return wire_fault_value(fault, EBADMSG, name, offset, "has no zero byte at its end",
					size, size);
	while (i + 1 < size && data[i] == 0)
		i++;
	return wire_fault_value(fault, EBADMSG, name, offset + i, "must be zero after its end",
				data[i], 0);
}

int wire_fault_in(struct wire_fault *fault, int error, const char *name, uint64_t index,
		  uint64_t offset)
{
	if (fault == NULL)
		return error;
	fault->offset += offset;
	if (fault->step_count < WIRE_MAX_STEPS) {
		fault->steps[fault->step_count].name = name;
		fault->steps[fault->step_count].index = index;
		fault->step_count++;
	}
	return error;
}

int wire_written(const struct wire_writer *w, struct wire_fault *fault)
{
	if (w->at <= w->size)
		return 0;
	return wire_fault_value(fault, ENOSPC, "size", w->size, "does not fit into the buffer",
				w->at, w->size);
}

long wire_length(uint64_t length)
{
	return length > INT32_MAX ? -ERANGE : (long)length;
}

/* ---- description ---- */

struct output {
	char *buffer;
	size_t size, length;
};

static void put(struct output *out, const char *text)
{
	for (; *text != '\0'; text++, out->length++)
		if (out->length + 1 < out->size)
			out->buffer[out->length] = *text;
}

static void put_number(struct output *out, uint64_t value)
{
	char digits[24], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do
		*--at = (char)('0' + (char)(value % 10));
	while ((value /= 10) != 0);
	put(out, at);
}

static void put_path(struct output *out, const struct wire_fault *fault)
{
	for (unsigned i = fault->step_count; i-- > 0;) {
		put(out, fault->steps[i].name);
		if (fault->steps[i].index != WIRE_NO_INDEX) {
			put(out, "[");
			put_number(out, fault->steps[i].index);
			put(out, "]");
		}
		put(out, i > 0 ? "." : "");
	}
}

size_t wire_fault_text(const struct wire_fault *fault, char *buffer, size_t size)
{
	struct output out = {buffer, size, 0};

	put_path(&out, fault);
	put(&out, ": at byte ");
	put_number(&out, fault->offset);
	put(&out, ": ");
	put(&out, fault->rule != NULL ? fault->rule : "no fault");
	put(&out, ": ");
	put_number(&out, fault->value);
	put(&out, ", allowed ");
	put_number(&out, fault->allowed);
	if (size != 0)
		buffer[out.length < size ? out.length : size - 1] = '\0';
	return out.length;
}
