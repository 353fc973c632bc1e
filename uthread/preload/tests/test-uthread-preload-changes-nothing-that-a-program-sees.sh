#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Programs of POSIX and C11 threads give the same output and the same status with the preload and
# without; those that it can carry are carried, and the report says so.
#
# usage: test-uthread-preload-changes-nothing-that-a-program-sees.sh UTHREAD CALLS VARIABLES CREATES DEADLOCK
set -eu
uthread=$1 calls=$2 variables=$3 creates=$4 deadlock=$5
dir=$(mktemp -d /tmp/uthread-preload-XXXXXX)
trap 'rm -rf "$dir"' EXIT

fail()
{
	echo "FAILED: $*"
	cat "$dir"/*.out "$dir"/*.err 2>/dev/null
	exit 1
}

# run NAME COMMAND...: its status is in $status.
run()
{
	name=$1
	shift
	status=0
	timeout -k 5 60 "$@" >"$dir/$name.out" 2>"$dir/$name.err" || status=$?
}

run real "$calls"
[ $status = 0 ] || fail "the program itself fails with status $status"
for workers in 1 2 3 1 2 3; do
	run carried "$uthread" run --report --workers $workers "$calls"
	[ $status = 0 ] || fail "status $status with $workers workers"
	cmp "$dir/real.out" "$dir/carried.out" || fail "other output with $workers workers"
	grep -q "carried on $workers workers" "$dir/carried.err" || fail 'not carried'
	grep -q ' 0 real threads' "$dir/carried.err" || fail 'with real threads'
done
echo 'calls do the same'

run creates "$uthread" run --report "$creates" 1
[ $status = 0 ] || fail "10,000 threads: status $status"
grep -q '20000 userland threads' "$dir/creates.err" || fail 'not 20,000 threads in all'
echo '10,000 threads at once'

run variables "$uthread" run --report "$variables"
[ $status = 5 ] || fail "thread-local variables: status $status rather than 5"
grep -qx '8 of 8 threads kept their variable' "$dir/variables.out" || fail 'variables were shared'
grep -q 'not carried: the program has thread-local variables' "$dir/variables.err" ||
	fail 'no word about thread-local variables'
grep -q '0 userland threads, 8 real threads' "$dir/variables.err" || fail 'real threads not counted'
echo 'a program with thread-local variables keeps its own threads'

for workers in 1 2; do
	run deadlock "$uthread" run --report --workers $workers "$deadlock"
	[ $status = 6 ] || fail "a deadlock with $workers workers: status $status rather than the handler's 6"
	[ "$(grep -c 'nothing can wake one' "$dir/deadlock.err")" = 1 ] || fail 'a deadlock is not told once'
	grep -q "thread 'adam' .* waits for mutex .*, which thread 'eve' 0x" "$dir/deadlock.err" ||
		fail 'the wait of a thread is not told'
	grep -q "thread 'main' .* waits for the end of thread .*, which is 'adam'" "$dir/deadlock.err" ||
		fail 'the wait of main() is not told'
	grep -q 'preload-deadlock(' "$dir/deadlock.err" || fail "the threads' calls are not told"
done
run deadlock "$uthread" run "$deadlock"
[ $status = 6 ] && [ ! -s "$dir/deadlock.err" ] || fail 'a deadlock without --report'
echo 'a deadlock is told of, and goes on'

run wrong "$uthread" run --workers 0 "$calls"
[ $status = 2 ] && grep -q '1 to 1024' "$dir/wrong.err" || fail 'no workers at all'
run wrong "$uthread" run /nowhere
[ $status = 127 ] && grep -q '/nowhere: No such file' "$dir/wrong.err" || fail 'a program that is not there'
echo 'wrong use is refused'
