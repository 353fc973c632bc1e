#!/bin/sh
# SPDX-License-Identifier: MIT
# bdus resize makes an image longer while it is served; who cannot, says so, and keeps its size.
. "$(dirname "$0")/lib.sh"

command -v nbdinfo >/dev/null || skip "nbdinfo is not installed"
truncate -s 1M "$tmp/image"
expect 0 "$BDUS" run file path="$tmp/image" --transport "$(nbd s)"
uri=$(cat "$tmp/out")
expect 0 "$BDUS" resize "$uri" 3M
[ "$(stat -c %s "$tmp/image")" -eq 3145728 ] || fail "the image is not longer"
[ "$(nbdinfo --size "$uri")" -eq 3145728 ] || fail "clients see $(nbdinfo --size "$uri") bytes"
expect 0 "$BDUS" info "$uri"
says out '3145728 bytes'
head -c 3145728 /dev/urandom >"$tmp/data"
nbdcopy "$tmp/data" "$uri" || fail "what is new cannot be written"
cmp "$tmp/data" "$tmp/image" || fail "the image has other data"

expect 2 "$BDUS" resize "$uri" 1M
says err --shrink
expect 1 "$BDUS" resize --shrink "$uri" 1M
says err 'at least the 3145728 bytes'
expect 1 "$BDUS" resize "$uri" 3145729
says err 'multiple of the physical block size'
expect 2 "$BDUS" resize "$uri" 3X
[ "$(nbdinfo --size "$uri")" -eq 3145728 ] || fail "another size after all"
expect 0 "$BDUS" run ram size=1M --transport "$(nbd t)"
expect 5 "$BDUS" resize "$(cat "$tmp/out")" 2M
says err 'driver ram cannot'
