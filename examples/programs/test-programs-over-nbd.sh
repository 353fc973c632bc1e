#!/bin/bash
# SPDX-License-Identifier: MIT
# Each of the example programs does what it says, on devices that are NBD exports.
set -u -o pipefail

command -v qemu-io >/dev/null || {
	echo 'SKIP: no qemu-io here'
	exit 77
}
work=$(mktemp -d /tmp/bdus-programs-XXXXXX)
export BDUS_RUNTIME_DIR=$work/run
# shellcheck disable=SC2153
programs=$PROGRAMS

finish()
{
	local status=$?
	"$BDUS" destroy --all --no-flush >/dev/null 2>&1
	rm -rf "$work"
	exit "$status"
}
trap finish EXIT

fail()
{
	echo "FAIL: $*"
	exit 1
}

serve()
{
	device=$("$BDUS" run "$@" --transport "nbd,socket=$work/socket") || fail "no device: $*"
	target=nbd:unix:$work/socket
}

unserve()
{
	"$BDUS" destroy "$device" || fail "$device cannot be destroyed"
}

# shellcheck source=examples/programs/cases.sh
. "$(dirname "$0")/cases.sh"
run_cases
