#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The driver of an export is replaced, and killed and recovered, while clients use it: each is answered or sees
# its connection end, finds the next driver at the same address, and loses nothing. BDUS_LONG=SECONDS makes it
# last longer.
. "$(dirname "$0")/lib.sh"
need qemu-io
seconds=${BDUS_LONG:-4}
image=$dir/image
must truncate -s 8M "$image"

state()
{
	"$BDUS" info --json 0 2>/dev/null | grep -o '"state": *"[a-z]*"' | cut -d'"' -f4
}
pid()
{
	"$BDUS" info --json 0 | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*$'
}
is_orphaned()
{
	[[ $(state) == orphaned ]]
}
kill_driver()
{
	must kill -9 "$(pid)"
	wait_until 10 is_orphaned || fail "state $(state) after the kill"
}
begin()
{
	uri=$("$BDUS" run --recoverable -t "$1" file path="$image") || fail "not served at $1"
}
end()
{
	must "$BDUS" destroy 0
	[[ ! -e $socket ]] || fail 'the socket file was left behind'
	rm -f "$BDUS_RUNTIME_DIR/next-id"
	[[ -z $(ls "$BDUS_RUNTIME_DIR") ]] || fail "left behind: $(ls "$BDUS_RUNTIME_DIR")"
}
is_sent()
{
	grep -q sent "$dir/answered"
}

step 'a request in flight is answered, and then the connection ends'
begin "nbd,socket=$socket,description=the one,mode=0640"
must "$BDUS" replace --quiet 0 file path="$image" --filter delay:read=500ms
"$RECONNECTING_CLIENT" answered "$uri" >"$dir/answered" 2>&1 &
client=$!
wait_until 10 is_sent || fail 'the client did not begin'
must "$BDUS" replace --quiet 0 file path="$image"
wait "$client" || fail "the client: $(cat "$dir/answered")"

step 'the address, its permissions and what clients are told stay'
[[ $("$BDUS" info 0 | sed -n 's/^path *//p') == "$uri" ]] || fail 'another address'
[[ $(stat -c %a "$socket") == 640 ]] || fail "permissions $(stat -c %a "$socket")"
must nbdinfo "$uri" | grep -q 'the one' || fail 'another description'
kill_driver
must "$BDUS" recover --quiet 0 file path="$image"
[[ $(stat -c %a "$socket") == 640 ]] || fail "permissions $(stat -c %a "$socket") after recovery"
must nbdinfo "$uri" | grep -q 'the one' || fail 'another description after recovery'

step 'clients that connect again lose nothing'
"$RECONNECTING_CLIENT" persists "$uri" "$seconds" >"$dir/persists" 2>&1 &
client=$!
# Another one, which knows nothing of how it is done: qemu's, on the last mebibytes.
(
	end=$((SECONDS + seconds))
	while ((SECONDS < end)); do
		echo "write -q -P $((RANDOM % 255 + 1)) 4M 64k"
		echo 'read -q 4M 64k'
		sleep 0.01
	done
) | qemu-io --image-opts "driver=nbd,server.type=unix,server.path=$socket,reconnect-delay=30" >"$dir/qemu" 2>&1 &
qemu=$!
kills=0 replacements=0
while kill -0 "$client" 2>/dev/null; do
	sleep "0.$((RANDOM % 5))"
	if ((RANDOM % 2)); then
		must "$BDUS" replace --quiet 0 file path="$image"
		((++replacements))
	else
		kill_driver
		must "$BDUS" recover --quiet 0 file path="$image"
		((++kills))
	fi
done
wait "$client" || fail "the client: $(cat "$dir/persists")"
wait "$qemu" || fail "qemu-io: $(cat "$dir/qemu")"
grep -qi 'error\|failed' "$dir/qemu" && fail "qemu-io: $(cat "$dir/qemu")"
echo "$kills kills, $replacements replacements: $(cat "$dir/persists")"
((kills + replacements > 0)) || fail 'nothing happened'
end

step 'a port that the system chose, and a driver that starts again by itself'
must truncate -s 0 "$image" && must truncate -s 8M "$image"
uri=$("$BDUS" run --restart -t nbd,port=0 file path="$image") || fail 'not served'
"$RECONNECTING_CLIENT" persists "$uri" 2 >"$dir/persists" 2>&1 &
client=$!
sleep 0.5
must kill -9 "$(pid)"
wait "$client" || fail "the client: $(cat "$dir/persists")"
grep -q ' 0 connections' "$dir/persists" && fail 'the driver was not killed'
must "$BDUS" replace --quiet 0 file path="$image"
[[ $("$BDUS" info 0 | sed -n 's/^path *//p') == "$uri" ]] || fail 'another port'
end

step 'what a killed driver leaves behind is removed'
begin "nbd,socket=$socket"
kill_driver
[[ -S $socket ]] || fail 'no socket'
end
exit 0
