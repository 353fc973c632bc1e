#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: test-wirec-writes-only-what-changed.sh WIREC
#
# The command line of wirec: outputs, their names, what they depend on, comparison, exit codes.
set -u
wirec=$(realpath "$1")
tests=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

fail()
{
	echo "not so: $1"
	exit 1
}

expect() # CODE COMMAND...
{
	local code=$1
	shift
	"$@" >out 2>err
	local got=$?
	((got == code)) || fail "exit code $got, not $code: $*: $(cat err)"
}

mkdir one two imports "with space"
expect 0 "$wirec" --list-outputs "$tests/flow.wire"
[[ $(tr '\n' ' ' <out) == "flow.h flow.c flow_walk.c " ]] || fail "outputs are named"

expect 0 "$wirec" -o one --depfile one/flow.d "$tests/flow.wire"
[[ $(cd one && echo *) == "flow.c flow.d flow.h flow_walk.c" ]] || fail "exactly the outputs appear"
grep -qF "one/flow.h one/flow.c one/flow_walk.c:" one/flow.d || fail "the depfile names outputs"
grep -qF "$tests/shapes.wire" one/flow.d || fail "the depfile names imports"

touch -d 2001-01-01 one/*
expect 0 "$wirec" -o one --depfile one/flow.d "$tests/flow.wire"
[[ -z $(find one -newermt 2002-01-01 -type f) ]] || fail "what did not change is not written"
expect 0 "$wirec" -o one --check "$tests/flow.wire"
echo >>one/flow.c
expect 1 "$wirec" -o one --check "$tests/flow.wire"
grep -qF "one/flow.c is not what" err || fail "--check names what differs"
expect 0 "$wirec" -o one "$tests/flow.wire"
expect 0 "$wirec" -o one --check "$tests/flow.wire"
[[ $(find one -newermt 2002-01-01 -type f) == one/flow.c ]] || fail "only what changed is written"

# Nothing but the sources matters: not the folder, the time, the place, the language.
mv imports elsewhere && cp "$tests"/{flow,shapes}.wire elsewhere
(cd elsewhere && LC_ALL=C TZ=Asia/Tokyo "$wirec" -o "../with space" flow.wire) || fail "runs elsewhere"
for output in flow.h flow.c flow_walk.c; do
	cmp one/$output "with space/$output" || fail "output is deterministic"
done
mkdir apart && mv elsewhere/shapes.wire apart
expect 1 "$wirec" -o two elsewhere/flow.wire
expect 0 "$wirec" -I apart -o two --depfile "two/a d" elsewhere/flow.wire

expect 2 "$wirec" "$tests/flow.wire"
expect 2 "$wirec" -o one
expect 2 "$wirec" --nonsense -o one "$tests/flow.wire"
expect 3 "$wirec" -o one nowhere.wire
expect 3 "$wirec" -o nowhere "$tests/flow.wire"
expect 3 "$wirec" -o one .
printf 'format x little;\nstruct s { u8 a; }\n\0' >zero.wire
expect 1 "$wirec" -o one zero.wire
: >empty.wire
expect 1 "$wirec" -o one empty.wire

# 5,000 lines within a fifth of a second; the processor's time counts, as machines are shared.
{
	echo "format many little;"
	for ((i = 0; i < 250; i++)); do
		printf 'struct s%d(u32 n) {\n' "$i"
		for ((k = 0; k < 17; k++)); do
			printf '\tu32 field%d in 0..n + %d;\n' "$k" "$k"
		done
		printf '\tu16 x%d[field0];\n}\n' "$i"
	done
} >many.wire
TIMEFORMAT=%U
seconds=$({ time "$wirec" -o two many.wire; } 2>&1) || fail "$seconds"
echo "$(wc -l <many.wire) lines take $seconds s"
echo "$seconds" >seconds
exit 0
