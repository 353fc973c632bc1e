#!/bin/sh
# SPDX-License-Identifier: MIT
# gdb lists userland threads, shows the calls of one that waits through the switch, and leaves the
# program as it was.
#
# usage: test-uthread-is-seen-by-gdb.sh SOURCE_ROOT PROGRAM
set -eu

root=$1
program=$2
command -v gdb >/dev/null || {
	echo "SKIP: gdb is not here"
	exit 77
}
gdb -batch -nx -ex 'python print(1)' 2>/dev/null | grep -qx 1 || {
	echo "SKIP: this gdb has no Python"
	exit 77
}
output=$(mktemp /tmp/uthread-gdb-XXXXXX)
trap 'rm -f "$output"' EXIT

fail() {
	echo "FAILED: $*"
	cat "$output"
	exit 1
}

timeout 60 gdb -batch -nx -iex 'set debuginfod enabled off' -ex 'set style enabled off' \
	-ex "source $root/uthread/gdb/uthread-gdb.py" -ex 'break all_are_in_place' -ex run \
	-ex 'echo == where\n' -ex bt -ex 'echo == list\n' -ex uthreads \
	-ex 'echo == 1\n' -ex 'uthread 1 bt' -ex 'echo == 2\n' -ex 'uthread 2 bt' \
	-ex 'echo == 3\n' -ex 'uthread 3 bt' -ex continue "$program" >"$output" 2>&1 || true
if grep -q 'ptrace: Operation not permitted\|Could not trace' "$output"; then
	echo "SKIP: programs cannot be traced here"
	exit 77
fi

part() {
	sed -n "/^== $1\$/,/^== /p" "$output"
}

part where | grep -q 'start (' || fail "the running thread has no backtrace"
part where | grep -q 'uthread_context_start' || fail "it does not end where threads begin"
grep -q 'sleeper .*waits for semaphore 0x' "$output" || fail "the sleeper is not listed"
grep -q 'locker .*waits for mutex 0x' "$output" || fail "the locker is not listed"
grep -q 'runs on worker 0' "$output" || fail "no thread is listed as running"
number=$(sed -n 's/^ *\([0-9]*\)  sleeper .*/\1/p' "$output")
[ "$(part "$number" | grep -c 'deep_in_a_wait (')" = 4 ] || fail "the sleeper's calls are not shown"
part "$number" | grep -q 'uthread_context_start' || fail "its backtrace does not end"
grep -q 'exited normally' "$output" || fail "the program did not go on as before"
echo "seen"
