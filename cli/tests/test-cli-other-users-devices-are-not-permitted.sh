#!/bin/sh
# SPDX-License-Identifier: MIT
# Another user can neither flush nor destroy a device, and is told so with status 4.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip "only root can become another user"
command -v setpriv >/dev/null || skip "setpriv is not installed"
chmod 755 "$tmp"
other="setpriv --reuid 65534 --regid 65534 --clear-groups env \
	LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-} BDUS_RUNTIME_DIR=$BDUS_RUNTIME_DIR"
$other "$BDUS" version >/dev/null 2>&1 || skip "another user cannot run $BDUS"

expect 0 "$BDUS" run ram size=1M --transport "$(nbd s)"
uri=$(cat "$tmp/out")
for command in flush destroy "destroy --no-flush"; do
	expect 4 $other "$BDUS" $command "$uri"
	says err "$uri"
done
expect 0 "$BDUS" info "$uri"
says out available
