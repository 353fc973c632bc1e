#!/bin/sh
# SPDX-License-Identifier: MIT
# A program in C goes all the way: compiled by clang, verified, disassembled, run, measured; and what is
# damaged or unsafe is refused with its source line.
#
# usage: test-opvm-command-compiles-verifies-and-runs.sh OPVM SOURCE_ROOT
set -eu

opvm=$(realpath "$1")
root=$2
clang --print-targets 2>/dev/null | grep -q bpf || {
	echo "SKIP: there is no clang with a target bpf"
	exit 77
}
dir=$(mktemp -d /tmp/opvm-command-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cp -r "$root/include/opvm" "$dir/opvm"

fail()
{
	echo "FAILED: $*"
	exit 1
}

cat >"$dir/good.c" <<'END'
#include "opvm/program.h"

OPVM_MAP(counts, OPVM_MAP_ARRAY, 4, 8, 4);
static const uint32_t weights[4] = {1, 2, 3, 4};
uint64_t calls = 40;

static __attribute__((noinline)) uint64_t twice(uint64_t number)
{
	return number * 2 + calls;
}

OPVM_PROGRAM uint64_t sum(struct opvm_command_context *context)
{
	const uint8_t *first = context->data, *end = context->data_end;
	uint64_t sum = 0;

	for (uint64_t at = 0; at < 100; at++) {
		if (first + at + 1 > end)
			break;
		sum += first[at] * weights[at & 3];
	}
	return sum;
}

OPVM_PROGRAM uint64_t count(struct opvm_command_context *context)
{
	uint32_t key = context->numbers[0] & 3;
	uint64_t *value = opvm_map_lookup(&counts, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	calls++;
	return twice(key);
}
END
cat >"$dir/bad.c" <<'END'
#include "opvm/program.h"

OPVM_PROGRAM uint64_t bad(struct opvm_command_context *context)
{
	return context->data[5];
}
END
# Maps as libbpf describes them.
cat >"$dir/described.c" <<'END'
#include "opvm/program.h"

#define __uint(name, value) int (*name)[value]
#define __type(name, type) type *name

struct key {
	uint32_t number;
	uint16_t more[2];
};
typedef const struct key key_type;
struct {
	__uint(type, 1); /* BPF_MAP_TYPE_HASH */
	__type(key, key_type);
	__type(value, uint64_t);
	__uint(max_entries, 100);
} seen __attribute__((section(".maps"), used));
struct {
	__uint(type, 2);
	__uint(key_size, 4);
	__uint(value_size, 16);
	__uint(max_entries, 3);
	__uint(map_flags, 0);
} numbers __attribute__((section(".maps"), used));

OPVM_PROGRAM uint64_t see(struct opvm_command_context *context)
{
	struct key key = {5, {6, 7}};
	uint64_t value = context->numbers[0], *found;
	uint32_t index = 2;

	opvm_map_update(&seen, &key, &value, 0);
	key.number++;
	found = opvm_map_lookup(&seen, &key);
	if (found)
		return 1;
	key.number--;
	found = opvm_map_lookup(&seen, &key);
	if (!found || !(found = opvm_map_lookup(&seen, &key)))
		return 2;
	value = *found;
	found = opvm_map_lookup(&numbers, &index);
	if (!found)
		return 3;
	found[1] = value;
	index = 3;
	return opvm_map_lookup(&numbers, &index) ? 4 : found[1];
}
END
sed 's/__uint(type, 1)/__uint(type, 13)/' "$dir/described.c" >"$dir/strange.c"
sed 's/__uint(map_flags, 0)/__uint(pinning, 1)/' "$dir/described.c" >"$dir/pinned.c"
printf '\001\002\003\004\005' >"$dir/data"
(cd "$dir" && for file in good bad described strange pinned; do
	"$opvm" compile $file.c || exit 1
done) || fail "cannot compile"

"$opvm" verify "$dir/good.o" | grep -q '^sum: safe' || fail "sum is not accepted"
"$opvm" dis "$dir/good.o" | grep -q '^count:' || fail "no disassembly"
[ "$("$opvm" run --program sum --data "$dir/data" "$dir/good.o")" = 35 ] || fail "wrong sum"
[ "$("$opvm" run --program sum --interpret --data "$dir/data" "$dir/good.o")" = 35 ] ||
	fail "wrong sum, interpreted"
[ "$("$opvm" run --program count "$dir/good.o" 7)" = 47 ] || fail "wrong count"
"$opvm" bench --program sum --data "$dir/data" "$dir/good.o" | grep -q '^interpreter: ' ||
	fail "no measurement"

! "$opvm" verify "$dir/bad.o" 2>"$dir/refusal" || fail "bad is accepted"
grep -q 'bad.c:5: return context->data\[5\];' "$dir/refusal" || fail "no source line"
grep -q 'needs a comparison with the end of data that leaves 6 bytes' "$dir/refusal" ||
	fail "not what was needed: $(cat "$dir/refusal")"
"$opvm" verify --explain "$dir/bad.o" 2>&1 | grep -q '^instruction 0: ' || fail "no explanation"

[ "$("$opvm" run "$dir/described.o" 12345)" = 12345 ] || fail "maps of BTF are not what was described"
! "$opvm" verify "$dir/strange.o" 2>"$dir/refusal" || fail "a strange map is accepted"
grep -q "map seen: there are no maps of Linux's type 13 here" "$dir/refusal" || fail "$(cat "$dir/refusal")"
! "$opvm" verify "$dir/pinned.o" 2>"$dir/refusal" || fail "a map to be pinned is accepted"
grep -q 'map numbers: .pinning. is not understood' "$dir/refusal" || fail "$(cat "$dir/refusal")"

# Damaged objects are refused, not read past their end.
size=$(wc -c <"$dir/good.o")
for cut in 0 3 63 64 100 $((size / 2)) $((size - 1)); do
	head -c "$cut" "$dir/good.o" >"$dir/cut.o"
	status=0
	"$opvm" verify "$dir/cut.o" >/dev/null 2>"$dir/refusal" || status=$?
	[ $status -eq 1 ] || fail "status $status for an object of $cut bytes"
done
llvm-objcopy --remove-section .BTF --remove-section .BTF.ext "$dir/described.o" "$dir/bare.o" 2>/dev/null ||
	cp "$dir/strange.o" "$dir/bare.o"
! "$opvm" verify "$dir/bare.o" 2>/dev/null || fail "maps that nothing describes are accepted"

status=0
"$opvm" frobnicate x 2>"$dir/usage" || status=$?
{ [ $status -eq 2 ] && grep -q usage "$dir/usage"; } || fail "wrong usage is not told"
