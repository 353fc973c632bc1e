#!/bin/sh
# SPDX-License-Identifier: MIT
# A device whose driver was killed is shown as orphaned and can be destroyed, which leaves nothing.
. "$(dirname "$0")/lib.sh"

expect 0 "$BDUS" run ram size=1M --transport "$(nbd s)"
uri=$(cat "$tmp/out")
expect 0 "$BDUS" info "$uri"
pid=$(awk '$1 == "process" {print $2}' "$tmp/out")
kill -9 "$pid"
eventually no_process "$pid"
expect 0 "$BDUS" list
says out "$uri" orphaned
expect 0 "$BDUS" destroy "$uri"
expect_nothing_left
