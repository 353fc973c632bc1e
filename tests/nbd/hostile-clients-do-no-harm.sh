#!/bin/bash
# SPDX-License-Identifier: MIT
#
# hostile-clients-do-no-harm.sh NAME: one hostile client at a time against a server with tight limits.
# It gets what the protocol says; another client that was there before goes on being served; afterwards
# the server has no more descriptors than before, has let go of the memory, and ends in good order.
. "$(dirname "$0")/lib.sh"
need nbdinfo nbdcopy
nbd_options=max-connections=8,handshake-timeout=1
serve ram size=64M --queues 2
head -c 1M /dev/urandom >"$dir/content"
must nbdcopy "$dir/content" "$uri"

good_client()
{
	must timeout 20 nbdcopy "$uri" "$dir/read-back"
	must cmp -n 1048576 "$dir/content" "$dir/read-back"
}

as_before()
{
	[[ $(descriptors) -le $before ]]
}

good_client
wait_until 5 test "$(descriptors)" -gt 0
sleep 0.1
before=$(descriptors)

step "$1"
if [[ $1 == requests-without-reading-the-replies ]]; then
	"$HOSTILE" "$socket" "$1" >"$dir/hostile" &
	hostile=$!
	wait_until 30 grep -q waiting "$dir/hostile" || fail 'the client was not made to wait'
	# What was received before the client had to wait is still being looked at.
	for ((look = 0; look < 30; look++)); do
		resident=$(resident_kib)
		((resident < ${RESIDENT_LIMIT_KIB:-300000})) || fail "the server holds $resident KiB"
		sleep 0.1
	done
	good_client
	kill -9 "$hostile"
	wait "$hostile" 2>/dev/null
else
	must timeout 60 "$HOSTILE" "$socket" "$1"
fi

step 'afterwards'
wait_until 5 as_before || fail "$(descriptors) descriptors instead of $before: $(ls -l "/proc/$server/fd")"
good_client
stop
