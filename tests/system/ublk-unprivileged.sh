#!/bin/bash
# SPDX-License-Identifier: MIT
#
# An ordinary user can make, use and destroy a device of his own where udev hands him the device files;
# other users cannot open it; where udev does not, the message says so; and the kernel does not look
# for partitions on it.
#
# guest: cpus=2 mem=768 timeout=120
. "$(dirname "$0")/lib.sh"
need_ublk
need setpriv sfdisk pgrep
"$BDUS" check | grep -q '^unprivileged *yes' || skip "Linux $(uname -r) has no unprivileged devices"

as() # USER COMMAND...
{
	local user=$1
	shift
	setpriv --reuid "$user" --regid "$user" --clear-groups \
		env XDG_RUNTIME_DIR="$work/run-$user" HOME=/ LD_LIBRARY_PATH="$work/bin" "$@"
}

# The command may lie where only root gets.
must mkdir "$work/bin"
must cp "$(realpath "$BDUS")" $(ldd "$BDUS" | awk '/lib(bdus|asys|caps|opvm|uthread)/ { print $3 }') "$work/bin"
bdus=$work/bin/$(basename "$(realpath "$BDUS")")

# In the place of udev: gives each new ublk device file to the user 1234.
play_udev()
{
	while sleep 0.05; do
		chown 1234:1234 /dev/ublkc* /dev/ublkb* 2>/dev/null
	done
}

for user in 1234 1235; do
	must mkdir "$work/run-$user"
	must chown "$user:$user" "$work/run-$user"
	must chmod 700 "$work/run-$user"
done
must chmod 755 "$work"

step 'no right to the control file'
must_fail as 1234 "$bdus" run --transport ublk ram size=16M
[[ $refusal == */dev/ublk-control* ]] || fail "says: $refusal"
must chmod 666 /dev/ublk-control

step 'no udev'
must_fail as 1234 "$bdus" run --transport ublk ram size=16M
[[ $refusal == *udev* ]] || fail "says: $refusal"
[[ $refusal == *'left behind'* ]] || fail "does not say what is left: $refusal"
"$BDUS" destroy --all --no-flush >/dev/null 2>&1

step 'his own device'
play_udev &
at_exit kill "$!"
device=$(as 1234 "$bdus" run --transport ublk ram size=16M 2>"$work/notes") ||
	fail "no device: $(cat "$work/notes")"
native=/dev/$(basename "$(echo /dev/ublkb*)")
wait_until 10 as 1234 test -w "$native" || fail "$native was not handed over"
printf 'label: dos\n1M,4M\n' >"$work/table"
as 1234 sfdisk -q --no-reread --no-tell-kernel "$native" <"$work/table" || fail 'sfdisk'
as 1234 dd if="$native" of=/dev/null bs=1M count=4 iflag=direct status=none || fail 'reading'
! as 1235 dd if="$native" of=/dev/null bs=4k count=1 status=none 2>/dev/null || fail 'user 1235 may read'
must chmod 666 "$native"
! as 1235 dd if="$native" of=/dev/null bs=4k count=1 status=none 2>/dev/null ||
	fail 'user 1235 may read when the file allows it'
[[ ! -e ${native}p1 ]] || fail 'there are partitions'
as 1234 "$bdus" list | grep -q available || fail "not listed: $(as 1234 "$bdus" list)"
[[ -z $(as 1235 "$bdus" list | grep ublk) ]] || fail 'listed for user 1235'
as 1234 "$bdus" destroy --all || fail 'destroying'
wait_until 10 test ! -e "$native" || fail "$native is still there"

step 'root may remove what an ordinary user left'
device=$(as 1234 "$bdus" run --transport ublk ram size=16M 2>"$work/notes") ||
	fail "no second device: $(cat "$work/notes")"
native=/dev/$(basename "$(echo /dev/ublkb*)")
must kill -9 "$(pgrep -u 1234 -x "$(basename "$bdus")")"
wait_until 20 test ! -e "$native" || fail "$native is still there"
must "$BDUS" destroy --no-flush "$native"
must_fail "$BDUS" run --transport ublk,unprivileged=yes ram size=16M
[[ $refusal == *unprivileged* ]] || fail "says: $refusal"
