#!/bin/sh
# SPDX-License-Identifier: MIT
# Output that cannot be written gives a status that says so, never a signal; a device whose path
# nobody could read is not left behind; and no file of a driver becomes its stdout.
. "$(dirname "$0")/lib.sh"

[ -e /dev/full ] || skip "there is no /dev/full"

for command in list check drivers version help "list --json" "check --json" "help run"; do
	actual=0
	"$BDUS" $command >&- 2>"$tmp/err" || actual=$?
	[ "$actual" -eq 1 ] || fail "status $actual of $command with stdout closed"
	says err "standard output"
	actual=0
	"$BDUS" $command >/dev/full 2>"$tmp/err" || actual=$?
	[ "$actual" -eq 1 ] || fail "status $actual of $command with stdout full"
	says err "No space left"
done

# The reader is gone before the first byte is written.
{
	sleep 0.3
	actual=0
	"$BDUS" list || actual=$?
	echo "$actual" >"$tmp/status"
} 2>"$tmp/err" | true
eventually test -s "$tmp/status"
[ "$(cat "$tmp/status")" -eq 1 ] || fail "status $(cat "$tmp/status") for a broken pipe"

truncate -s 1M "$tmp/disk.img"
for stream in '>&-' '>/dev/full'; do
	for mode in '' --foreground; do
		actual=0
		eval "timeout 20 \"\$BDUS\" run file path=\"\$tmp/disk.img\" --transport \
			\"\$(nbd s)\" $mode $stream" 2>"$tmp/err" || actual=$?
		[ "$actual" -eq 1 ] || fail "status $actual of run $mode with $stream"
		expect_nothing_left s
	done
done
[ "$(tr -d '\0' <"$tmp/disk.img" | wc -c)" -eq 0 ] || fail "output went to the image"

# With nothing to print there is nothing to fail.
"$BDUS" run ram size=1M --quiet --transport "$(nbd s)" >&- 2>&- <&- || fail "run --quiet failed"
expect 0 "$BDUS" destroy --all
