#!/bin/sh
# SPDX-License-Identifier: MIT
# Filters are named on the command line, refused where they or their words are wrong, and do what they
# say to clients of the device.
. "$(dirname "$0")/lib.sh"

refused()
{
	text=$1
	shift
	expect 2 "$BDUS" run ram size=16M --transport "$(nbd s)" "$@"
	says err "$text"
	expect_nothing_left s
}
refused 'did you mean "delay"' --filter dela
refused 'built in: delay, error' --filter nonsense:x=1
refused 'unknown' --filter delay:colour=red
refused 'time=10: must be' --filter delay:10
refused 'rate=2: must be' --filter error:rate=2
# shellcheck disable=SC2046
refused 'more than 16 times' $(seq -f '--filter=delay:%gms' 17)
expect 1 "$BDUS" run ram size=16M --transport "$(nbd s)" --filter ./missing.so
says err 'filter ./missing.so'
expect_nothing_left s

command -v qemu-io >/dev/null || skip "qemu-io is not installed; the rest passed"
io()
{
	qemu-io -f raw "nbd:unix:$tmp/s" "$@"
}
ms()
{
	echo $(($(date +%s%N) / 1000000))
}

expect 0 "$BDUS" run ram size=16M --transport "$(nbd s)" --filter delay:write=300ms \
	--filter error:EIO,operations=read,start=1M,length=4K
expect 0 "$BDUS" list
says out ram
began=$(ms)
expect 0 io -c 'write -P 7 0 4k'
[ $(($(ms) - began)) -ge 300 ] || fail "the write came back after $(($(ms) - began)) ms"
io -c 'read -P 7 0 4k' -c 'read 1M 512' -c 'read -P 0 1028k 4k' >"$tmp/out" 2>&1 || true
says out 'Input/output error'
[ "$(grep -c '^read 4096/4096' "$tmp/out")" = 2 ] || fail "good places cannot be read"
expect 0 "$BDUS" destroy --all
expect_nothing_left s
