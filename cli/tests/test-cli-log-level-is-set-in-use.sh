#!/bin/sh
# SPDX-License-Identifier: MIT
# What the process of a device tells depends on the level that bdus log sets while it runs; words that are no
# level, and drivers that tell nothing, are refused.
. "$(dirname "$0")/lib.sh"

command -v nbdinfo >/dev/null || skip "nbdinfo is not installed"

# told N PATTERN: until the process has told so often what matches, for ten seconds.
told()
{
	for _ in $(seq 100); do
		count=$(grep -c -- "$2" "$tmp/told" || true)
		[ "$count" -lt "$1" ] || break
		sleep 0.1
	done
	[ "$count" -eq "$1" ] || fail "\"$2\" was told $count times, not $1: $(cat "$tmp/told")"
}

level()
{
	expect 0 "$BDUS" log "$uri"
	[ "$(cat "$tmp/out")" = "$1" ] || fail "the level is $(cat "$tmp/out"), not $1"
	expect 0 "$BDUS" info --json "$uri"
	python3 "$tests/check-json.py" info "$tmp/out" "d['devices'][0]['log_level'] == '$1'" ||
		fail "info has another level than $1"
}

"$BDUS" run null size=1M --foreground --transport "$(nbd s),max-connections=2" >"$tmp/path" 2>"$tmp/told" &
pid=$!
for _ in $(seq 100); do
	[ ! -s "$tmp/path" ] || break
	sleep 0.1
done
uri=$(cat "$tmp/path")
level warning
expect 2 "$BDUS" log "$uri" loud
says err 'error, warning, info or debug'
level warning

# Warnings only: what is refused is told, what is done is not.
expect 0 "$BDUS" filter attach "$uri" delay
expect 0 "$BDUS" filter detach "$uri" delay
expect 1 "$BDUS" resize "$uri" 2097153
nbdinfo --size "$uri" >"$tmp/size" || fail "nbdinfo cannot connect"
told 1 '^bdus: warning: refused to process .*multiple of the physical block size'
told 0 '^bdus: info:'

# A flood of clients is one line, and another one once somebody came in between.
for turn in 1 2; do
	python3 - "$tmp/s" <<'END'
import socket, sys
clients = [socket.socket(socket.AF_UNIX) for _ in range(8)]
for client in clients:
    client.connect(sys.argv[1])
clients[-1].settimeout(20)
assert clients[-1].recv(1) == b"", "more clients than there may be"
END
	told "$turn" '^bdus: warning: a client was turned away: there are 2 of 2 clients$'
	eventually nbdinfo --size "$uri"
done

# Errors: not even that.
expect 0 "$BDUS" log "$uri" error
level error
expect 1 "$BDUS" resize "$uri" 2097153
told 3 '^bdus: warning:'

# Info.
expect 0 "$BDUS" log "$uri" info
level info
expect 0 "$BDUS" filter attach "$uri" delay
expect 0 "$BDUS" filter detach "$uri" delay
expect 0 "$BDUS" resize "$uri" 2M
nbdinfo --size "$uri" >"$tmp/size" || fail "nbdinfo cannot connect"
told 1 '^bdus: info: the log level is 2, as process [0-9]* of user [0-9]* asked$'
told 1 '^bdus: info: filter delay was attached'
told 1 '^bdus: info: filter delay was detached'
told 1 '^bdus: info: the device has 2097152 bytes'
told 1 '^bdus: info: a client came: now there are 1$'
told 1 '^bdus: info: a client went: now there are 0$'
told 0 '^bdus: debug:'

# Debug: each question, too; and back.
expect 0 "$BDUS" log "$uri" debug
expect 0 "$BDUS" log "$uri" warning
told 1 '^bdus: debug: process [0-9]* of user [0-9]* asks for operation'
expect 0 "$BDUS" log "$uri"
told 1 '^bdus: debug:'

# Again to be seen at the end.
expect 0 "$BDUS" log "$uri" info
expect 0 "$BDUS" destroy "$uri"
wait "$pid" || fail "the process failed"
told 1 '^bdus: info: the device is being stopped'

expect 2 "$BDUS" run ram size=1M --log loud --transport "$(nbd t)"
says err 'not a log level'
