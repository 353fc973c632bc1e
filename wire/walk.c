/* SPDX-License-Identifier: MIT */
/*
 * What generated walks call: turns places within structures into places within the data.
 */
#include "wire.h"

static uint64_t base(const struct wire_walk *w)
{
	return w->depth == 0 ? 0 : w->base[w->depth - 1];
}

static const unsigned char *data_at(const struct wire_walk *w, uint64_t offset, uint64_t size)
{
	return w->data != NULL && offset <= w->size && size <= w->size - offset ? w->data + offset
										: NULL;
}

int wire_walk_value(struct wire_walk *w, const char *name, uint64_t index, uint64_t offset,
		    unsigned bytes, unsigned shift, unsigned bits, enum wire_order order,
		    uint64_t value, enum wire_kind kind, enum wire_flavour flavour,
		    const struct wire_name *names)
{
	struct wire_node node = {0};

	node.event = WIRE_VALUE;
	node.kind = kind;
	node.name = name;
	node.index = index;
	node.offset = base(w) + offset;
	node.size = bytes;
	node.data = data_at(w, node.offset, node.size);
	node.value = value;
	node.bit_shift = shift;
	node.bit_count = bits;
	node.order = order;
	node.flavour = flavour;
	node.names = names;
	return w->visit(w, &node);
}

int wire_walk_bytes(struct wire_walk *w, const char *name, uint64_t offset, uint64_t size,
		    enum wire_kind kind, enum wire_flavour flavour, enum wire_order order)
{
	struct wire_node node = {0};

	node.event = WIRE_VALUE;
	node.kind = kind;
	node.name = name;
	node.offset = base(w) + offset;
	node.size = size;
	node.data = data_at(w, node.offset, node.size);
	node.order = order;
	node.flavour = flavour;
	return w->visit(w, &node);
}

int wire_walk_enter(struct wire_walk *w, const char *name, uint64_t index, enum wire_kind kind,
		    uint64_t offset, uint64_t size)
{
	struct wire_node node = {0};

	if (w->depth == WIRE_MAX_DEPTH)
		return -ERANGE;
	node.event = WIRE_ENTER;
	node.kind = kind;
	node.name = name;
	node.index = index;
	node.offset = base(w) + offset;
	node.size = size;
	node.data = data_at(w, node.offset, node.size);
	w->entered[w->depth] = node;
	/* Places in an array are those of the structure that it lies in. */
	w->base[w->depth] = kind == WIRE_ARRAY ? base(w) : node.offset;
	w->depth++;
	return w->visit(w, &node);
}

int wire_walk_leave(struct wire_walk *w)
{
	struct wire_node node;

	if (w->depth == 0)
		return -ERANGE;
	w->depth--;
	node = w->entered[w->depth];
	node.event = WIRE_LEAVE;
	return w->visit(w, &node);
}
