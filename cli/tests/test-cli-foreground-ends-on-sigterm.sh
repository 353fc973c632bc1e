#!/bin/sh
# SPDX-License-Identifier: MIT
# A driver in the foreground ends in good order on SIGTERM and SIGINT, and when it is destroyed: with
# status 0, leaving nothing.
. "$(dirname "$0")/lib.sh"

start()
{
	rm -f "$tmp/path"
	# A background job of a script ignores SIGINT, which it must not here.
	setsid --wait env --default-signal=INT "$BDUS" run ram size=1M --foreground \
		--transport "$(nbd s)" >"$tmp/path" 2>"$tmp/err" &
	job=$!
	eventually test -s "$tmp/path"
	expect 0 "$BDUS" info "$(cat "$tmp/path")"
	pid=$(awk '$1 == "process" {print $2}' "$tmp/out")
}

ended()
{
	status=0
	wait "$job" || status=$?
	[ "$status" -eq 0 ] || fail "status $status after $1"
	expect_nothing_left s
}

for signal in TERM INT; do
	start
	kill -"$signal" "$pid"
	ended "SIG$signal"
done
start
expect 0 "$BDUS" destroy "$(cat "$tmp/path")"
ended "bdus destroy"
