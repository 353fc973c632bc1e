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
printf '\001\002\003\004\005' >"$dir/data"
(cd "$dir" && "$opvm" compile good.c && "$opvm" compile bad.c) || fail "cannot compile"

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

# Damaged objects are refused, not read past their end.
size=$(wc -c <"$dir/good.o")
for cut in 0 3 63 64 100 $((size / 2)) $((size - 1)); do
	head -c "$cut" "$dir/good.o" >"$dir/cut.o"
	status=0
	"$opvm" verify "$dir/cut.o" >/dev/null 2>"$dir/refusal" || status=$?
	[ $status -eq 1 ] || fail "status $status for an object of $cut bytes"
done

status=0
"$opvm" frobnicate x 2>"$dir/usage" || status=$?
{ [ $status -eq 2 ] && grep -q usage "$dir/usage"; } || fail "wrong usage is not told"
