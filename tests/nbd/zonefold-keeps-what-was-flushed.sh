#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A server with zonefold over zoned is killed at random, with requests in flight and garbage being
# collected, and started again, over and over: what was flushed, or written by force unit access, is
# there byte for byte, and no block ever holds what was not written to it. BDUS_SEED=N and
# BDUS_ROUNDS=N are for other runs.
. "$(dirname "$0")/lib.sh"
[[ -x ${CRASH_CLIENT:-} ]] || {
	echo 'SKIP: no libnbd here'
	exit 77
}

seed=${BDUS_SEED:-$RANDOM}
rounds=${BDUS_ROUNDS:-20}
echo "seed $seed"
zoned=(zoned "path=$dir/image" create=yes size=8M zone-size=256K zone-capacity=240K conventional=1 max-open=3
	max-active=4 --filter "zonefold:map=$dir/map,create=yes,reserve=0")

step "$rounds kills"
# The shell tells of each.
{
	for ((round = 0; round < rounds; round++)); do
		serve "${zoned[@]}"
		"$CRASH_CLIENT" "$uri" "$dir/model" $((seed * 1000 + round)) "$server" >"$dir/client" 2>&1 ||
			fail "round $round: $(cat "$dir/client")"
		wait "$server"
		server=
	done
} 2>"$dir/killed"
cat "$dir/client"

step 'and ends in good order'
for ((round = 0; round < 2; round++)); do
	serve "${zoned[@]}"
	"$CRASH_CLIENT" "$uri" "$dir/model" $((seed * 1000 + 999 - round)) 0 >"$dir/client" 2>&1 ||
		fail "$(cat "$dir/client")"
	"$BDUS" info "$uri" >"$dir/info"
	stop
done
grep -E 'amplif|collected zones' "$dir/info" | tr -s ' \n' ' '
grep -q 'collected zones *[1-9]' "$dir/info" || fail "nothing was collected: $(cat "$dir/info")"
