#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: timeout=90
# ioctls reach the driver with all that their arguments point to, and what it makes of them comes back;
# also from 32-bit clients, and by the BDUS 0.1 API. What does not fit, is not there or is not allowed is
# refused, and an ioctl whose driver dies fails rather than being carried out twice.
. "$(dirname "$0")/lib.sh"
need sfdisk
need_kbdus
client=$BDUS_BUILD/tests/system/ioctl-client
driver=$BDUS_BUILD/tests/system/ioctl_driver.so

refused() # ERRNO COMMAND...
{
	local wanted=$1 status
	shift
	"$client" "$@"
	status=$?
	[[ $status == "$wanted" ]] || fail "errno $status rather than $wanted from $*"
}

old=$BDUS_BUILD/tests/system/ioctl-old
# User Mode Linux has no 32-bit programs.
compat=''
[[ ${BDUS_GUEST:-host} == uml* || $(uname -m) != x86_64 ]] || compat=compat
client_32=true
[[ -z $compat || ! -x $client-32 ]] || client_32=$client-32

for transport in kbdus kbdus,poll=yes; do
	step "$transport, $compat, ${client_32##*/}"
	bdus_run --transport "$transport" "$driver"
	must "$client" "$device" $compat
	must "$client_32" "$device"
	step 'a driver that dies'
	"$client" "$device" hang &
	hanging=$!
	sleep 0.3
	kill -KILL $(servers)
	wait $hanging
	status=$?
	[[ $status == 5 ]] || fail "errno $status rather than EIO"
	must "$BDUS" destroy --all --no-flush
done

step 'what may be repeated, and what may not'
bdus_run --recoverable "$driver"
"$client" "$device" again &
repeated=$!
"$client" "$device" hang &
hanging=$!
sleep 0.3
kill -KILL $(servers)
wait $hanging
status=$?
[[ $status == 5 ]] || fail "errno $status rather than EIO"
wait_until 20 _no_servers || fail 'the driver is still there'
must "$BDUS" recover --quiet "$device" "$driver"
wait $repeated || fail "status $?: it was not repeated"
must "$client" "$device" $compat
must "$BDUS" destroy "$device"

step 'refusals'
must_fail "$BDUS" run "$driver" bad=yes
[[ $refusal == *description* ]] || fail "refused by: $refusal"
must_fail "$BDUS" run --transport nbd "$driver"
[[ $refusal == *ioctls* ]] || fail "refused by: $refusal"
bdus_run ram size=64M
refused 25 "$device" refused
printf '1M,8M\n' | sfdisk -q "$device" || fail 'sfdisk'
must "$BDUS" destroy "$device"

step 'BDUS 0.1'
device=$("$old" serve)
must "$old" "$device"
must "$BDUS" destroy "$device"
