#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each of the programs in examples/programs does what it says, on block devices.
#
# guest: timeout=180
. "$(dirname "$0")/lib.sh"
need_ublk
need qemu-io

programs=${BDUS_BUILD:?}/examples/programs
[[ -f $programs/hot-cold.o ]] || skip 'the programs were not compiled: no clang with the target bpf'

serve()
{
	bdus_run "$@" || fail "no device: $*"
	target=$device
}

unserve()
{
	must "$BDUS" destroy "$device"
}

# shellcheck source=examples/programs/cases.sh
. "$(dirname "$0")/../../examples/programs/cases.sh"
run_cases
