#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The example examples/remote.c over ublk: a driver whose requests run in userland threads, which wait
# for a mutex and for a server on the network; and stops in good order while its device was used.
# guest: timeout=60
. "$(dirname "$0")/lib.sh"
need_ublk
need fio
need python3
driver=$BDUS_BUILD/examples/remote.so
[[ -e $driver ]] || skip "there is no $driver"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ip link set lo up 2>/dev/null || true

end_server()
{
	[[ -z $server ]] || kill "$server"
	server=
}

truncate -s 24M "$work/image"
python3 "$here/../../examples/remote-server.py" "$work/image" >"$work/port" &
server=$!
at_exit end_server
wait_until 30 test -s "$work/port" || fail 'no server'

step 'data goes to the server and comes back'
bdus_run "$driver" port="$(cat "$work/port")" || fail 'no device'
must fio --name=verify --filename="$device" --rw=randwrite --bsrange=4k-64k --size=8m --direct=1 \
	--ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1 --output="$work/fio" \
	--verify_state_save=0 --eta=never
must sync "$device"
must cmp -n $((8 << 20)) "$work/image" "$device"

step 'the device ends in good order'
must "$BDUS" destroy "$device"

step 'without a server requests fail, and none hangs'
bdus_run "$driver" port="$(cat "$work/port")" || fail 'no device'
end_server
must_fail timeout 20 dd if="$device" of=/dev/null bs=4k count=1 skip=3000 iflag=direct
[[ $refusal == *'nput/output error'* ]] || fail "not an error of the device: $refusal"
must "$BDUS" destroy "$device"
