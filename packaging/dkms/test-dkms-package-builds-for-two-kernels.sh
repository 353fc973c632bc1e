#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The DKMS package builds against the headers of two kernels, as DKMS would do it: from the packaged
# source alone, with neither wirec nor the clone, without a warning, and with opvm in it. Where DKMS itself
# is installed, it does it, in a tree of its own.
#
# usage: SCRIPT BUILD
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail()
{
	echo "FAIL: $*"
	exit 1
}

"$here/build" "$1" "$work/out" || fail 'no package was made'
source=$(echo "$work"/out/bdus-*/)
version=$(basename "$source" | sed 's/^bdus-//')
built=0

build_by_hand() # HEADERS
{
	cp -r "$source" "$work/tree" &&
		make -s -C "$1" M="$work/tree" WIREC=/nonexistent modules >"$work/log" 2>&1 &&
		grep -q opvm_program_create "$work/tree/kbdus.ko"
}

build_by_dkms() # HEADERS RELEASE
{
	local options=(--dkmstree "$work/dkms" --sourcetree "$work/out" -m bdus -v "$version")
	mkdir -p "$work/dkms"
	[[ -e $work/dkms/bdus ]] || dkms add "${options[@]}" >"$work/log" 2>&1 || return
	dkms build "${options[@]}" -k "$2" --kernelsourcedir "$1" >"$work/log" 2>&1 &&
		find "$work/dkms/bdus/$version/$2" -name 'kbdus.ko*' | grep -q .
}

for kernel in 6.1 6.12; do
	headers=$("$here/../../tests/vm/headers" "$kernel") || {
		echo "not for $kernel: $headers"
		continue
	}
	release=$(basename "$headers" | sed 's/^linux-headers-//')
	rm -rf "$work/tree"
	build_by_hand "$headers" || {
		cat "$work/log"
		fail "it does not build for $release"
	}
	if command -v dkms >/dev/null && ((EUID == 0)); then
		build_by_dkms "$headers" "$release" || {
			cat "$work/log" "$work/dkms/bdus/$version/build/make.log" 2>/dev/null
			fail "DKMS does not build it for $release"
		}
		echo "built by DKMS for $release"
	fi
	grep -i 'warning: ' "$work/log" && fail "warnings for $release"
	echo "built for $release"
	built=$((built + 1))
done
if ((built == 0)); then
	echo 'SKIP: no headers of a kernel can be had here'
	exit 77
fi
