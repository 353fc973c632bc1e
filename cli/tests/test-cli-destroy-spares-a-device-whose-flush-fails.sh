#!/bin/sh
# SPDX-License-Identifier: MIT
# A device whose flush fails is kept until --no-flush says that its data may be lost.
. "$(dirname "$0")/lib.sh"

expect 0 "$BDUS" run "$BDUS_SLOW_DRIVER" flush-fails --transport "$(nbd s)"
uri=$(cat "$tmp/out")
expect 0 "$BDUS" run ram size=1M --transport "$(nbd t)"
other=$(cat "$tmp/out")
expect 1 "$BDUS" flush "$uri"
says err "$uri"
expect 1 "$BDUS" destroy "$uri" "$other"
says err "$uri" --no-flush
expect 0 "$BDUS" info "$uri"
says out available
expect 3 "$BDUS" info "$other"
expect 0 "$BDUS" destroy --no-flush "$uri"
expect_nothing_left s t
