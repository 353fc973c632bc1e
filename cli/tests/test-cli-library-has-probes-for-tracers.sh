#!/bin/sh
# SPDX-License-Identifier: MIT
# libbdus has USDT probes where a request is fetched and where its result goes back.
. "$(dirname "$0")/lib.sh"

[ "$BDUS_PROBES" = 1 ] || skip "this system has no <sys/sdt.h>"
command -v readelf >/dev/null || skip "readelf is not installed"
expect 0 readelf -n "$BDUS_LIBRARY"
for probe in fetch complete; do
	grep -A1 'Provider: bdus' "$tmp/out" | grep -qw "Name: $probe" || fail "no probe $probe"
done
