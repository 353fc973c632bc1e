# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the shell tests of the command share. $BDUS is the command, $BDUS_SLOW_DRIVER a driver whose
# flush takes its time. Devices are registered in a directory of the test's own, and reached through
# NBD, which needs nothing of the kernel.

set -eu
export LC_ALL=C
unset BDUS_TRANSPORT

tests=$(dirname "$0")
tmp=$(mktemp -d "${TMPDIR:-/tmp}/bdus-cli.XXXXXX")
BDUS_RUNTIME_DIR=$tmp/runtime
export BDUS_RUNTIME_DIR

finish()
{
	status=$?
	trap - EXIT
	if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
		echo "--- stdout of the last command"
		cat "$tmp/out" 2>/dev/null || true
		echo "--- stderr of the last command"
		cat "$tmp/err" 2>/dev/null || true
	fi
	"$BDUS" destroy --all --no-flush --timeout 20 >/dev/null 2>&1 || true
	rm -rf "$tmp"
	exit "$status"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

fail()
{
	echo "FAILED: $*"
	exit 1
}

skip()
{
	echo "SKIPPED: $*"
	exit 77
}

# expect STATUS COMMAND…: runs the command, keeping its output in $tmp/out and $tmp/err.
expect()
{
	expected=$1
	shift
	actual=0
	"$@" >"$tmp/out" 2>"$tmp/err" || actual=$?
	[ "$actual" -eq "$expected" ] || fail "status $actual, not $expected, of: $*"
}

# says out|err TEXT…: each text stands in the last command's output.
says()
{
	where=$1
	shift
	for text in "$@"; do
		grep -qF -e "$text" "$tmp/$where" || fail "std$where does not say \"$text\""
	done
}

silent()
{
	[ ! -s "$tmp/$1" ] || fail "std$1 is not empty"
}

# The --transport word for an NBD server at $tmp/NAME.
nbd()
{
	echo "nbd,socket=$tmp/$1"
}

# eventually COMMAND…: waits up to 20 s for the command to succeed.
eventually()
{
	for _ in $(seq 200); do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.1
	done
	fail "not within 20 s: $*"
}

no_process()
{
	! kill -0 "$1" 2>/dev/null
}

# Nothing of any device is left in the runtime directory, and none of the sockets named.
expect_nothing_left()
{
	left=$(find "$BDUS_RUNTIME_DIR" \( -name '*.dev' -o -type s \) 2>/dev/null || true)
	[ -z "$left" ] || fail "left behind: $left"
	for name in "$@"; do
		[ ! -e "$tmp/$name" ] || fail "left behind: $tmp/$name"
	done
}
