#!/bin/sh
# SPDX-License-Identifier: MIT
# Another user can do nothing to a device, and is told so with status 4: not to that of root, nor does root's
# right to the devices of all extend to users among themselves.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip "only root can become another user"
command -v setpriv >/dev/null || skip "setpriv is not installed"
chmod 755 "$tmp"
other="setpriv --reuid 65534 --regid 65534 --clear-groups env \
	LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-} BDUS_RUNTIME_DIR=$BDUS_RUNTIME_DIR"
$other "$BDUS" version >/dev/null 2>&1 || skip "another user cannot run $BDUS"

expect 0 "$BDUS" run ram size=1M --filter delay:1us --transport "$(nbd s)"
uri=$(cat "$tmp/out")
for command in flush destroy "destroy --no-flush" stats "resize --timeout 5" log "log --timeout 5" replace recover "filter attach" \
	"filter detach" "program list"; do
	operand=
	case $command in
	resize*) operand=2M ;;
	log\ *) operand=debug ;;
	replace | recover) operand="ram size=1M" ;;
	filter*) operand=delay ;;
	esac
	# shellcheck disable=SC2086
	expect 4 $other "$BDUS" $command "$uri" $operand
	case $command in
	replace | recover) says err 'Permission denied' ;;
	*) says err 'belongs to user 0' ;;
	esac
done
expect 0 "$BDUS" info "$uri"
says out available
expect 0 "$BDUS" stats "$uri"
says out '0 delay'

# A device of an ordinary user, where root has a folder for all: root may, a third user may not.
mkdir -m 1777 "$tmp/own"
chmod 1777 "$tmp/own"
BDUS_RUNTIME_DIR=$tmp/own
owner="setpriv --reuid 65534 --regid 65534 --clear-groups env \
	LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-} BDUS_RUNTIME_DIR=$BDUS_RUNTIME_DIR"
third="setpriv --reuid 65533 --regid 65533 --clear-groups env \
	LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-} BDUS_RUNTIME_DIR=$BDUS_RUNTIME_DIR"
expect 0 $owner "$BDUS" run ram size=1M --transport "$(nbd own/s)"
uri=$(cat "$tmp/out")
for command in flush stats destroy "filter attach"; do
	operand=
	[ "$command" != "filter attach" ] || operand=delay
	# shellcheck disable=SC2086
	expect 4 $third "$BDUS" $command "$uri" $operand
done
for user in "$owner" ""; do
	for command in info flush stats; do
		expect 0 $user "$BDUS" $command "$uri"
	done
	expect 0 $user "$BDUS" filter attach "$uri" delay
	expect 0 $user "$BDUS" filter detach "$uri" delay
done
expect 0 "$BDUS" destroy "$uri"
