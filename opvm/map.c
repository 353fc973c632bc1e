/* SPDX-License-Identifier: MIT */
/*
 * Maps. Their memory is there from creation to destruction, so that a pointer to a value stays good
 * memory even when its key is removed by somebody else: a program may then write into the value
 * that another key has meanwhile got, as with the preallocated maps of Linux.
 *
 * Hashes: chains of nodes by index. Whoever changes one holds the map's lock and makes the chain's
 * sequence number odd for that time. Readers take no lock: they walk, and begin again if the number
 * was odd or has changed. As nodes move from chain to chain, a reader may stray into another one;
 * so it stops after as many nodes as there are, and then finds the number changed.
 *
 * Keys and values are copied in words of 8 bytes, each atomically.
 */
#include "opvm_internal.h"

#define MAX_KEY_BYTES   512
#define MAX_VALUE_BYTES 65536
#define MAX_ENTRIES     (1U << 24)
#define MAX_MAP_BYTES   (1ULL << 30)
#define BUCKETS         64
#define NOBODY          UINT32_MAX
#define RECORD_HEADER   8

struct opvm_map {
	struct opvm_map_definition definition;
	uint32_t processors;
	/** Bytes from one value to the next, and from one key to the next. */
	uint32_t value_stride;
	uint32_t key_stride;
	/** Arrays: by index. Per-CPU: by processor, then index. Histograms: by processor. */
	uint8_t *values;

	/* Hashes. */
	uint8_t *keys;
	uint32_t *next;
	uint32_t *chains;
	uint32_t *sequences;
	uint32_t chains_mask;
	uint32_t free_first;
	/** Held by whoever changes a hash or adds to a ring. */
	struct opvm_host_lock lock;

	/* Rings. Positions count bytes and never go back. */
	uint64_t written;
	uint64_t read;
	uint64_t lost;
};

/* ---- copies -------------------------------------------------------------------------------- */

/** Copies to the map, whose side is padded to 8 bytes. */
static void copy_in(uint8_t *to, const void *from, uint32_t size_bytes)
{
	const uint8_t *const source = from;

	for (uint32_t at = 0; at < size_bytes; at += 8) {
		uint64_t word = 0;

		memcpy(&word, source + at, size_bytes - at < 8 ? size_bytes - at : 8);
		__atomic_store_n((uint64_t *)(void *)(to + at), word, __ATOMIC_RELEASE);
	}
}

static void copy_out(void *to, const uint8_t *from, uint32_t size_bytes)
{
	uint8_t *const target = to;

	for (uint32_t at = 0; at < size_bytes; at += 8) {
		const uint64_t word = __atomic_load_n((const uint64_t *)(const void *)(from + at),
						      __ATOMIC_ACQUIRE);

		memcpy(target + at, &word, size_bytes - at < 8 ? size_bytes - at : 8);
	}
}

static bool is_key(const uint8_t *kept, const void *key, uint32_t size_bytes)
{
	const uint8_t *const wanted = key;
	uint64_t differs = 0;

	for (uint32_t at = 0; at < size_bytes; at += 8) {
		uint64_t word = 0;

		memcpy(&word, wanted + at, size_bytes - at < 8 ? size_bytes - at : 8);
		differs |= word ^ __atomic_load_n((const uint64_t *)(const void *)(kept + at),
						  __ATOMIC_ACQUIRE);
	}
	return differs == 0;
}

/* ---- creating ------------------------------------------------------------------------------ */

static int check_sizes(const struct opvm_map_definition *definition, struct opvm_log *log)
{
	const bool keyed = definition->kind == OPVM_MAP_HASH;
	const bool valued = definition->kind <= OPVM_MAP_PER_CPU;

	if (definition->kind < OPVM_MAP_ARRAY || definition->kind > OPVM_MAP_RING)
		return opvm_fail(log, EINVAL, "map %s: kind %u: there are 1 to %u\n",
				 definition->name, definition->kind, OPVM_MAP_RING);
	if (keyed && (definition->key_bytes == 0 || definition->key_bytes > MAX_KEY_BYTES))
		return opvm_fail(log, EINVAL, "map %s: key of %u bytes: 1 to %u are possible\n",
				 definition->name, definition->key_bytes, MAX_KEY_BYTES);
	if (!keyed && valued && definition->key_bytes != 4)
		return opvm_fail(log, EINVAL, "map %s: key of %u bytes: an array's has 4\n",
				 definition->name, definition->key_bytes);
	if (valued && (definition->value_bytes == 0 || definition->value_bytes > MAX_VALUE_BYTES))
		return opvm_fail(log, EINVAL, "map %s: value of %u bytes: 1 to %u are possible\n",
				 definition->name, definition->value_bytes, MAX_VALUE_BYTES);
	return 0;
}

static int check_entries(const struct opvm_map_definition *definition, struct opvm_log *log)
{
	const uint32_t entries = definition->entries;

	if (definition->kind == OPVM_MAP_HISTOGRAM)
		return 0;
	if (entries == 0 || entries > MAX_ENTRIES)
		return opvm_fail(log, EINVAL, "map %s: %u entries: 1 to %u are possible\n",
				 definition->name, entries, MAX_ENTRIES);
	if (definition->kind == OPVM_MAP_RING && (entries < 64 || (entries & (entries - 1)) != 0))
		return opvm_fail(log, EINVAL,
				 "map %s: ring of %u bytes: a power of two from 64 on is needed\n",
				 definition->name, entries);
	return 0;
}

static int check_definition(const struct opvm_map_definition *definition, struct opvm_log *log)
{
	int error;

	if (memchr(definition->name, 0, sizeof(definition->name)) == NULL)
		return opvm_fail(log, EINVAL, "the name of a map is not terminated\n");
	error = check_sizes(definition, log);
	return error != 0 ? error : check_entries(definition, log);
}

/** Bytes of all values; each processor's begin on a cache line of their own. */
static uint64_t values_bytes(struct opvm_map *map)
{
	const struct opvm_map_definition *const definition = &map->definition;

	map->value_stride = (definition->value_bytes + 7) & ~7U;
	switch (definition->kind) {
	case OPVM_MAP_PER_CPU:
		return (uint64_t)map->processors *
		       (((uint64_t)definition->entries * map->value_stride + 63) & ~63ULL);
	case OPVM_MAP_HISTOGRAM:
		map->value_stride = 8;
		return (uint64_t)map->processors * BUCKETS * 8;
	case OPVM_MAP_RING:
		return definition->entries;
	default:
		return (uint64_t)definition->entries * map->value_stride;
	}
}

static int create_hash(struct opvm_map *map)
{
	const uint32_t entries = map->definition.entries;
	uint32_t chains = 8;

	while (chains < entries)
		chains *= 2;
	map->chains_mask = chains - 1;
	map->key_stride = (map->definition.key_bytes + 7) & ~7U;
	map->keys = opvm_host_allocate((size_t)entries * map->key_stride);
	map->next = opvm_host_allocate((size_t)entries * sizeof(*map->next));
	map->chains = opvm_host_allocate((size_t)chains * sizeof(*map->chains));
	map->sequences = opvm_host_allocate((size_t)chains * sizeof(*map->sequences));
	if (map->keys == NULL || map->next == NULL || map->chains == NULL || map->sequences == NULL)
		return -ENOMEM;
	for (uint32_t chain = 0; chain < chains; chain++)
		map->chains[chain] = NOBODY;
	for (uint32_t node = 0; node < entries; node++)
		map->next[node] = node + 1 < entries ? node + 1 : NOBODY;
	return 0;
}

static int create_memory(struct opvm_map *map, struct opvm_log *log)
{
	uint64_t bytes;

	map->processors = 1;
	if (map->definition.kind == OPVM_MAP_PER_CPU || map->definition.kind == OPVM_MAP_HISTOGRAM)
		map->processors = opvm_host_processors();
	bytes = values_bytes(map);
	if (bytes + (uint64_t)map->definition.entries * map->definition.key_bytes > MAX_MAP_BYTES)
		return opvm_fail(log, EINVAL,
				 "map %s: takes %llu bytes: at most %llu are possible\n",
				 map->definition.name, (unsigned long long)bytes, MAX_MAP_BYTES);
	map->values = opvm_host_allocate((size_t)bytes);
	if (map->values == NULL || (map->definition.kind == OPVM_MAP_HASH && create_hash(map) != 0))
		return opvm_fail(log, ENOMEM, "map %s: no memory for %llu bytes\n",
				 map->definition.name, (unsigned long long)bytes);
	return 0;
}

int opvm_map_create(const struct opvm_map_definition *definition, struct opvm_log *log,
		    struct opvm_map **result)
{
	struct opvm_map *map;
	int error = check_definition(definition, log);

	if (error != 0)
		return error;
	map = opvm_host_allocate(sizeof(*map));
	if (map == NULL)
		return opvm_fail(log, ENOMEM, "map %s: no memory\n", definition->name);
	opvm_host_lock_init(&map->lock);
	map->definition = *definition;
	if (definition->kind == OPVM_MAP_HISTOGRAM)
		map->definition.value_bytes = 8;
	error = create_memory(map, log);
	if (error != 0) {
		opvm_map_destroy(map);
		return error;
	}
	*result = map;
	return 0;
}

void opvm_map_destroy(struct opvm_map *map)
{
	if (map == NULL)
		return;
	opvm_host_free(map->values);
	opvm_host_free(map->keys);
	opvm_host_free(map->next);
	opvm_host_free(map->chains);
	opvm_host_free(map->sequences);
	opvm_host_free(map);
}

const struct opvm_map_definition *opvm_map_describe(const struct opvm_map *map)
{
	return &map->definition;
}

uint32_t opvm_map_processors(const struct opvm_map *map)
{
	return map->definition.kind == OPVM_MAP_PER_CPU ? map->processors : 1;
}

uint32_t opvm_map_stride(const struct opvm_map *map)
{
	return map->value_stride;
}

/* ---- hashes -------------------------------------------------------------------------------- */

static uint32_t chain_of(const struct opvm_map *map, const void *key)
{
	const uint32_t size_bytes = map->definition.key_bytes;
	const uint8_t *const bytes = key;
	uint64_t hash = size_bytes;

	for (uint32_t at = 0; at < size_bytes; at += 8) {
		uint64_t word = 0;

		memcpy(&word, bytes + at, size_bytes - at < 8 ? size_bytes - at : 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return (uint32_t)hash & map->chains_mask;
}

static uint8_t *key_of(const struct opvm_map *map, uint32_t node)
{
	return map->keys + (size_t)node * map->key_stride;
}

static uint8_t *value_of(const struct opvm_map *map, uint32_t node)
{
	return map->values + (size_t)node * map->value_stride;
}

static uint32_t walk(const struct opvm_map *map, uint32_t chain, const void *key)
{
	uint32_t node = __atomic_load_n(&map->chains[chain], __ATOMIC_ACQUIRE);

	for (uint32_t steps = 0; node != NOBODY && steps < map->definition.entries; steps++) {
		if (is_key(key_of(map, node), key, map->definition.key_bytes))
			return node;
		node = __atomic_load_n(&map->next[node], __ATOMIC_ACQUIRE);
	}
	return NOBODY;
}

static uint32_t find_node(const struct opvm_map *map, const void *key)
{
	const uint32_t chain = chain_of(map, key);

	for (;;) {
		const uint32_t before = __atomic_load_n(&map->sequences[chain], __ATOMIC_ACQUIRE);
		const uint32_t node = walk(map, chain, key);

		/* What was walked over was loaded with acquire, and so before this. */
		if ((before & 1) == 0 &&
		    __atomic_load_n(&map->sequences[chain], __ATOMIC_RELAXED) == before)
			return node;
		opvm_host_relax();
	}
}

/** Between these two the chain is not to be trusted. With the lock. */
static void begin_change(struct opvm_map *map, uint32_t chain)
{
	/* All that is changed is stored with release, and so after this. */
	__atomic_store_n(&map->sequences[chain], map->sequences[chain] + 1, __ATOMIC_RELAXED);
}

static void end_change(struct opvm_map *map, uint32_t chain)
{
	__atomic_store_n(&map->sequences[chain], map->sequences[chain] + 1, __ATOMIC_RELEASE);
}

static int add_node(struct opvm_map *map, uint32_t chain, const void *key, const void *value)
{
	const uint32_t node = map->free_first;

	if (node == NOBODY)
		return -E2BIG;
	map->free_first = map->next[node];
	begin_change(map, chain);
	copy_in(key_of(map, node), key, map->definition.key_bytes);
	copy_in(value_of(map, node), value, map->definition.value_bytes);
	__atomic_store_n(&map->next[node], map->chains[chain], __ATOMIC_RELEASE);
	__atomic_store_n(&map->chains[chain], node, __ATOMIC_RELEASE);
	end_change(map, chain);
	return 0;
}

static int set_in_hash(struct opvm_map *map, const void *key, const void *value, uint64_t flags)
{
	const uint32_t chain = chain_of(map, key);
	uint32_t node;
	int error = 0;

	opvm_host_lock(&map->lock);
	node = walk(map, chain, key);
	if (node == NOBODY && flags == OPVM_MAP_PRESENT)
		error = -ENOENT;
	else if (node == NOBODY)
		error = add_node(map, chain, key, value);
	else if (flags == OPVM_MAP_ABSENT)
		error = -EEXIST;
	else
		copy_in(value_of(map, node), value, map->definition.value_bytes);
	opvm_host_unlock(&map->lock);
	return error;
}

/** Where the index of @node stands in its chain. With the lock. */
static uint32_t *link_to(struct opvm_map *map, uint32_t chain, uint32_t node)
{
	uint32_t *link = &map->chains[chain];

	while (*link != node)
		link = &map->next[*link];
	return link;
}

static int delete_from_hash(struct opvm_map *map, const void *key)
{
	const uint32_t chain = chain_of(map, key);
	uint32_t node;

	opvm_host_lock(&map->lock);
	node = walk(map, chain, key);
	if (node != NOBODY) {
		begin_change(map, chain);
		__atomic_store_n(link_to(map, chain, node), map->next[node], __ATOMIC_RELEASE);
		__atomic_store_n(&map->next[node], map->free_first, __ATOMIC_RELEASE);
		map->free_first = node;
		end_change(map, chain);
	}
	opvm_host_unlock(&map->lock);
	return node == NOBODY ? -ENOENT : 0;
}

/** The first node of a chain from @chain on; NOBODY past the last. With the lock. */
static uint32_t first_from(const struct opvm_map *map, uint32_t chain)
{
	for (; chain <= map->chains_mask; chain++)
		if (map->chains[chain] != NOBODY)
			return map->chains[chain];
	return NOBODY;
}

static int next_in_hash(const struct opvm_map *map, const void *key, void *next_key)
{
	struct opvm_map *const locked = (struct opvm_map *)(uintptr_t)map;
	uint32_t node;

	opvm_host_lock(&locked->lock);
	node = key != NULL ? walk(map, chain_of(map, key), key) : NOBODY;
	if (node == NOBODY)
		node = first_from(map, 0);
	else if (map->next[node] != NOBODY)
		node = map->next[node];
	else
		node = first_from(map, chain_of(map, key) + 1);
	if (node != NOBODY)
		copy_out(next_key, key_of(map, node), map->definition.key_bytes);
	opvm_host_unlock(&locked->lock);
	return node == NOBODY ? -ENOENT : 0;
}

/* ---- arrays -------------------------------------------------------------------------------- */

static uint32_t index_of(const void *key)
{
	uint32_t index;

	memcpy(&index, key, sizeof(index));
	return index;
}

static uint8_t *values_of_processor(const struct opvm_map *map, uint32_t processor)
{
	const uint64_t bytes =
		((uint64_t)map->definition.entries * map->value_stride + 63) & ~63ULL;

	return map->values + processor * bytes;
}

static int get_from_array(const struct opvm_map *map, uint32_t index, void *value)
{
	const uint32_t size_bytes = map->definition.value_bytes;
	const size_t at = (size_t)index * map->value_stride;

	if (index >= map->definition.entries)
		return -ENOENT;
	for (uint32_t processor = 0; processor < map->processors; processor++)
		copy_out((uint8_t *)value + (size_t)processor * size_bytes,
			 values_of_processor(map, processor) + at, size_bytes);
	return 0;
}

static int set_in_array(struct opvm_map *map, uint32_t index, const void *value, uint64_t flags)
{
	const size_t at = (size_t)index * map->value_stride;

	if (index >= map->definition.entries)
		return -E2BIG;
	if (flags == OPVM_MAP_ABSENT)
		return -EEXIST;
	for (uint32_t processor = 0; processor < map->processors; processor++)
		copy_in(values_of_processor(map, processor) + at, value,
			map->definition.value_bytes);
	return 0;
}

static int next_in_array(const struct opvm_map *map, const void *key, void *next_key)
{
	uint32_t index = 0;

	if (key != NULL && index_of(key) < map->definition.entries)
		index = index_of(key) + 1;
	if (index >= map->definition.entries)
		return -ENOENT;
	memcpy(next_key, &index, sizeof(index));
	return 0;
}

/* ---- histograms ---------------------------------------------------------------------------- */

static uint64_t *counters_of(const struct opvm_map *map, uint32_t processor)
{
	return (uint64_t *)(void *)(map->values + (size_t)processor * BUCKETS * 8);
}

int opvm_histogram_add(struct opvm_map *map, uint64_t value)
{
	const unsigned bucket = value == 0 ? 0 : 63 - (unsigned)__builtin_clzll(value);
	const uint32_t processor = opvm_host_processor() % map->processors;

	__atomic_fetch_add(&counters_of(map, processor)[bucket], 1, __ATOMIC_RELAXED);
	return 0;
}

static int get_histogram(const struct opvm_map *map, void *value)
{
	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		uint64_t sum = 0;

		for (uint32_t processor = 0; processor < map->processors; processor++)
			sum += __atomic_load_n(&counters_of(map, processor)[bucket],
					       __ATOMIC_RELAXED);
		memcpy((uint8_t *)value + bucket * sizeof(sum), &sum, sizeof(sum));
	}
	return 0;
}

/* ---- rings --------------------------------------------------------------------------------- */

/** Copies between a record and the ring, around its end. */
static void copy_to_ring(struct opvm_map *map, uint64_t position, const void *from, size_t bytes)
{
	const uint64_t at = position & (map->definition.entries - 1);
	const uint64_t straight = map->definition.entries - at;
	const size_t first = bytes < straight ? bytes : (size_t)straight;

	memcpy(map->values + at, from, first);
	memcpy(map->values, (const uint8_t *)from + first, bytes - first);
}

static void copy_from_ring(const struct opvm_map *map, uint64_t position, void *to, size_t bytes)
{
	const uint64_t at = position & (map->definition.entries - 1);
	const uint64_t straight = map->definition.entries - at;
	const size_t first = bytes < straight ? bytes : (size_t)straight;

	memcpy(to, map->values + at, first);
	memcpy((uint8_t *)to + first, map->values, bytes - first);
}

int opvm_ring_output(struct opvm_map *map, const void *data, uint64_t size_bytes)
{
	const uint64_t capacity = map->definition.entries;
	uint64_t taken;

	if (size_bytes > capacity)
		return -ENOSPC;
	taken = RECORD_HEADER + ((size_bytes + 7) & ~7ULL);
	opvm_host_lock(&map->lock);
	if (map->written + taken - __atomic_load_n(&map->read, __ATOMIC_ACQUIRE) > capacity) {
		__atomic_store_n(&map->lost, map->lost + 1, __ATOMIC_RELAXED);
		opvm_host_unlock(&map->lock);
		return -ENOSPC;
	}
	copy_to_ring(map, map->written, &size_bytes, RECORD_HEADER);
	copy_to_ring(map, map->written + RECORD_HEADER, data, (size_t)size_bytes);
	__atomic_store_n(&map->written, map->written + taken, __ATOMIC_RELEASE);
	opvm_host_unlock(&map->lock);
	return 0;
}

int opvm_ring_read(struct opvm_map *map, void *record, uint32_t size_bytes)
{
	uint64_t length;

	if (map->definition.kind != OPVM_MAP_RING)
		return -EINVAL;
	if (__atomic_load_n(&map->written, __ATOMIC_ACQUIRE) == map->read)
		return 0;
	copy_from_ring(map, map->read, &length, RECORD_HEADER);
	if (length > size_bytes)
		return -ENOSPC;
	copy_from_ring(map, map->read + RECORD_HEADER, record, (size_t)length);
	__atomic_store_n(&map->read, map->read + RECORD_HEADER + ((length + 7) & ~7ULL),
			 __ATOMIC_RELEASE);
	return (int)length;
}

uint64_t opvm_ring_lost(const struct opvm_map *map)
{
	return __atomic_load_n(&map->lost, __ATOMIC_RELAXED);
}

/* ---- all kinds ----------------------------------------------------------------------------- */

void *opvm_map_lookup(struct opvm_map *map, const void *key)
{
	uint32_t found;

	switch (map->definition.kind) {
	case OPVM_MAP_HASH:
		found = find_node(map, key);
		return found == NOBODY ? NULL : value_of(map, found);
	case OPVM_MAP_ARRAY:
		found = index_of(key);
		return found < map->definition.entries ? value_of(map, found) : NULL;
	case OPVM_MAP_PER_CPU:
		found = index_of(key);
		if (found >= map->definition.entries)
			return NULL;
		return values_of_processor(map, opvm_host_processor() % map->processors) +
		       (size_t)found * map->value_stride;
	default:
		return NULL;
	}
}

void *opvm_map_values(struct opvm_map *map)
{
	return map->definition.kind == OPVM_MAP_ARRAY ? map->values : NULL;
}

int opvm_map_get(const struct opvm_map *map, const void *key, void *value)
{
	uint32_t node;

	switch (map->definition.kind) {
	case OPVM_MAP_ARRAY:
	case OPVM_MAP_PER_CPU:
		return get_from_array(map, index_of(key), value);
	case OPVM_MAP_HASH:
		node = find_node(map, key);
		if (node == NOBODY)
			return -ENOENT;
		copy_out(value, value_of(map, node), map->definition.value_bytes);
		return 0;
	case OPVM_MAP_HISTOGRAM:
		return get_histogram(map, value);
	default:
		return -EINVAL;
	}
}

int opvm_map_set(struct opvm_map *map, const void *key, const void *value, uint64_t flags)
{
	if (flags > OPVM_MAP_PRESENT)
		return -EINVAL;
	switch (map->definition.kind) {
	case OPVM_MAP_ARRAY:
	case OPVM_MAP_PER_CPU:
		return set_in_array(map, index_of(key), value, flags);
	case OPVM_MAP_HASH:
		return set_in_hash(map, key, value, flags);
	default:
		return -EINVAL;
	}
}

int opvm_map_delete(struct opvm_map *map, const void *key)
{
	return map->definition.kind == OPVM_MAP_HASH ? delete_from_hash(map, key) : -EINVAL;
}

int opvm_map_next(const struct opvm_map *map, const void *key, void *next_key)
{
	switch (map->definition.kind) {
	case OPVM_MAP_ARRAY:
	case OPVM_MAP_PER_CPU:
		return next_in_array(map, key, next_key);
	case OPVM_MAP_HASH:
		return next_in_hash(map, key, next_key);
	default:
		return -EINVAL;
	}
}

int opvm_map_copy(const struct opvm_map *from, struct opvm_map *to)
{
	const struct opvm_map_definition *const a = &from->definition, *const b = &to->definition;
	uint8_t *memory, *key, *value;
	const void *last = NULL;
	uint32_t left = a->entries;
	int error = 0;

	if ((a->kind != OPVM_MAP_ARRAY && a->kind != OPVM_MAP_HASH) || a->kind != b->kind ||
	    a->key_bytes != b->key_bytes || a->value_bytes != b->value_bytes ||
	    a->entries != b->entries)
		return -EINVAL;
	memory = opvm_host_allocate((size_t)a->key_bytes * 2 + a->value_bytes);
	if (memory == NULL)
		return -ENOMEM;
	key = memory + a->key_bytes;
	value = key + a->key_bytes;
	/* Keys that come and go could keep this from ever ending. */
	while (error == 0 && left-- > 0 && opvm_map_next(from, last, key) == 0) {
		memcpy(memory, key, a->key_bytes);
		last = memory;
		/* It may have been deleted meanwhile. */
		if (opvm_map_get(from, key, value) == 0)
			error = opvm_map_set(to, key, value, OPVM_MAP_ANY);
	}
	opvm_host_free(memory);
	return error;
}
