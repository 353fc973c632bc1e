# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
#
# What system tests share. A test is a bash script in this folder that begins with
#
#	. "$(dirname "$0")/lib.sh"
#
# and then runs from top to bottom as root, in a guest of tests/vm/run or on this machine. $BDUS is the
# `bdus` command under test. An exit status of 0 means passed, 77 skipped (the reason in a line
# "SKIP: reason"), anything else failed. A line
#
#	# guest: cpus=2 mem=2048 timeout=120 kernels=uml,6.12,7.3
#
# in the script asks for another guest than tests/system/list gives by default.
#
# Whatever a test does, devices that it made are destroyed, what it mounted is unmounted, and its
# scratch directory is removed when it ends; a test that passed up to there fails if anything of BDUS
# is left behind then.
set -u -o pipefail

: "${BDUS:=bdus}"
work=$(mktemp -d "${TMPDIR:-/tmp}/bdus-test.XXXXXX")
_cleanups=()
_may_leave=no

skip()
{
	echo "SKIP: $*"
	exit 77
}

fail()
{
	echo "FAIL: $*"
	exit 1
}

# Says what the test is about to show, and when.
step()
{
	echo "-- $SECONDS s: $*"
}

# Runs a command that has to succeed.
must()
{
	"$@" || fail "status $? from: $*"
}

# Runs a command that has to fail; its output is in $refusal.
must_fail()
{
	refusal=$("$@" 2>&1) && fail "succeeded, but should not have: $*"
	true
}

# Whether the processor is emulated, so that work takes ten times as long: tests show the same there
# with less of it.
is_slow()
{
	[[ ${BDUS_GUEST:-host} == [0-9]* ]]
}

# need TOOL...: skips the test where one of them is not installed.
need()
{
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "no $tool here"
	done
}

# need_module NAME PATH: the kernel has it, as a module or built in, which PATH shows.
need_module()
{
	[[ -e $2 ]] || modprobe "$1" 2>/dev/null || true
	[[ -e $2 ]] || skip "Linux $(uname -r) has no $1"
}

# need_kbdus: devices come by the project's own module from here on, and by nothing else. It is
# unloaded when the test ends.
need_kbdus()
{
	if [[ ! -e /dev/bdus-control ]]; then
		[[ ${BDUS_KBDUS:-} ]] || skip "${BDUS_KBDUS_REASON:-kbdus is not loaded here}"
		must insmod "$BDUS_KBDUS"
		at_exit rmmod kbdus
	fi
	export BDUS_TRANSPORT=kbdus
}

# need_ublk: devices come by ublk from here on, and by nothing else; or by kbdus, to see whether what
# holds on the one way in holds on the other.
need_ublk()
{
	if [[ ${BDUS_WAY:-} == kbdus ]]; then
		need_kbdus
		return
	fi
	need_module ublk_drv /dev/ublk-control
	export BDUS_TRANSPORT=ublk
}

# need_zones: as need_ublk, and devices can have zones.
need_zones()
{
	need_ublk
	"$BDUS" check "$BDUS_TRANSPORT" 2>/dev/null | grep -q '^ *zones  *yes' ||
		skip "$BDUS_TRANSPORT of Linux $(uname -r) has no zones"
}

# need_nbd: the kernel's NBD client, with its devices /dev/nbd0 and so on.
need_nbd()
{
	need_module nbd /dev/nbd0
}

need_filesystem() # TYPE
{
	modprobe "$1" 2>/dev/null || true
	grep -qw "$1" /proc/filesystems || skip "Linux $(uname -r) has no $1"
}

# at_exit COMMAND...: runs it when the test ends, last in, first out.
at_exit()
{
	_cleanups+=("${*@Q}")
}

# bdus_run ARGUMENT...: `bdus run` in the background; the device's path is in $device.
bdus_run()
{
	device=$("$BDUS" run "$@")
}

# wait_until SECONDS COMMAND...: succeeds once the command does.
wait_until()
{
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/./} < deadline)) || return 1
		sleep 0.02
	done
}

# The processes that run $BDUS, one a line.
servers()
{
	find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -lname "$(realpath "$BDUS")" 2>/dev/null |
		cut -d/ -f3
}

_no_servers()
{
	[[ -z $(servers) ]]
}

# nothing_left: fails, with a list, if a device, node, mount, record or process of BDUS is there.
nothing_left()
{
	local left=()
	wait_until 30 _no_servers || left+=("processes: $(servers | tr '\n' ' ')")
	mapfile -t -O "${#left[@]}" left < <(
		shopt -s nullglob
		printf '%s\n' /dev/ublkb* /dev/ublkc* /dev/bdus-[0-9]* /run/bdus/*.dev /run/bdus/*.sock
		grep -E '^(/dev/bdus-|/dev/ublkb)' /proc/mounts /proc/swaps
	)
	[[ "${left[*]}" =~ [^[:space:]] ]] || return 0
	printf 'left behind: %s\n' "${left[@]}"
	return 1
}

_unmount_all()
{
	local target
	while read -r _ target _; do
		[[ $target == "$work"/* ]] && umount -l "$target"
	done < <(tac /proc/mounts)
	while read -r target _; do
		[[ $target == /dev/bdus-* || $target == /dev/ublkb* ]] && swapoff "$target"
	done </proc/swaps
}

_finish()
{
	local status=$? index
	trap - EXIT INT TERM
	for ((index = ${#_cleanups[@]} - 1; index >= 0; index--)); do
		eval "${_cleanups[index]}"
	done
	_unmount_all
	if ! nothing_left >"$work/left"; then
		if [[ $status == 0 && $_may_leave == no ]]; then
			cat "$work/left"
			echo 'FAIL: the test left something behind'
			status=1
		fi
		timeout 30 "$BDUS" destroy --all --no-flush >/dev/null 2>&1
	fi
	rm -rf "$work"
	exit "$status"
}
trap _finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
