#!/bin/bash
# SPDX-License-Identifier: MIT
#
# systemd takes the unit without a warning, and the command takes the options in it.
#
# usage: test-systemd-unit-is-valid.sh UNIT BDUS
set -eu
unit=$1 bdus=$(realpath "$2")
command -v systemd-analyze >/dev/null || {
	echo 'SKIP: no systemd-analyze here'
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The command is not where it will be installed, and the manual pages are not either.
sed -e "s|^ExecStart=[^ ]*/bdus |ExecStart=$bdus |" -e '/^Documentation=/d' "$unit" >"$work/bdus@.service"
cp "$work/bdus@.service" "$work/bdus@disk.service"
SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$work/bdus@disk.service" >"$work/out" 2>&1 || {
	cat "$work/out"
	echo 'FAIL: systemd refuses the unit'
	exit 1
}
if grep -F 'bdus@' "$work/out"; then
	echo 'FAIL: systemd warns of the unit'
	exit 1
fi

# Every option of the unit is one of the command.
for option in $(grep '^ExecStart=' "$unit" | grep -o -- '--[a-z-]*'); do
	"$bdus" __words options run | cut -f 1 | grep -qxe "$option" || {
		echo "FAIL: bdus run has no $option"
		exit 1
	}
done
